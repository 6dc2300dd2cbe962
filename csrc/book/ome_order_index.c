#include "book/ome_order_index.h"

#include "base/ome_assert.h"

static uint32_t entry_hash(uint64_t entry)
{
    return (uint32_t)(entry >> 32);
}

static uint16_t owner_participant(uint64_t owner)
{
    return (uint16_t)(owner >> 32);
}

void ome_order_index_init(ome_order_index_t *index, ome_arena_t *arena, uint32_t order_count_max)
{
    uint64_t entry_count = 64;
    while (entry_count * 3 / 4 < order_count_max)
    {
        entry_count *= 2;
    }
    index->entries = ome_arena_take(arena, entry_count * sizeof(uint64_t));
    index->mask = (uint32_t)(entry_count - 1);
    index->count = 0;
}

uint32_t ome_order_index_find(const ome_order_index_t *index, const ome_order_pool_t *pool, uint16_t participant, uint64_t client_order_id)
{
    const uint32_t hash = ome_order_index_hash(participant, client_order_id);
    for (uint32_t at = hash & index->mask;; at = (at + 1) & index->mask)
    {
        const uint64_t entry = index->entries[at];
        if (entry == 0)
        {
            return 0;
        }
        if (entry_hash(entry) == hash)
        {
            const uint32_t slot = (uint32_t)entry;
            const ome_order_t *order = &pool->orders[slot];
            if (order->client_order_id == client_order_id && owner_participant(order->owner) == participant)
            {
                return slot;
            }
        }
    }
}

void ome_order_index_insert(ome_order_index_t *index, uint16_t participant, uint64_t client_order_id, uint32_t slot)
{
    const uint32_t hash = ome_order_index_hash(participant, client_order_id);
    uint32_t at = hash & index->mask;
    while (index->entries[at] != 0)
    {
        at = (at + 1) & index->mask;
    }
    index->entries[at] = (uint64_t)hash << 32 | slot;
    index->count++;
}

void ome_order_index_remove(ome_order_index_t *index, uint16_t participant, uint64_t client_order_id, uint32_t slot)
{
    const uint32_t mask = index->mask;
    const uint32_t hash = ome_order_index_hash(participant, client_order_id);
    const uint64_t wanted = (uint64_t)hash << 32 | slot;
    uint32_t hole = hash & mask;
    while (index->entries[hole] != wanted)
    {
        OME_ASSERT(index->entries[hole] != 0);
        hole = (hole + 1) & mask;
    }
    /* Pull back whatever would no longer be reached across the hole (Knuth 6.4, algorithm R). */
    for (uint32_t at = (hole + 1) & mask; index->entries[at] != 0; at = (at + 1) & mask)
    {
        const uint32_t home = entry_hash(index->entries[at]) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask))
        {
            index->entries[hole] = index->entries[at];
            hole = at;
        }
    }
    index->entries[hole] = 0;
    index->count--;
}
