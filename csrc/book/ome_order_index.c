#include "book/ome_order_index.h"

void ome_order_index_init(ome_order_index_t *index, ome_arena_t *arena, uint32_t order_count_max)
{
    uint64_t entry_count = 64;
    while (entry_count * 3 / 4 < order_count_max)
    {
        entry_count *= 2;
    }
    index->entries = ome_arena_take(arena, entry_count * sizeof(uint64_t));
    index->mask = (uint32_t)(entry_count - 1);
    index->home_shift = 32 - (uint32_t)__builtin_ctzll(entry_count);
    index->count = 0;
}

uint32_t ome_order_index_search(
    const ome_order_index_t *index, const ome_order_pool_t *pool, uint16_t participant, uint64_t client_order_id, ome_index_place_t *at)
{
    uint64_t entry = index->entries[at->place];
    for (uint32_t distance = 0; entry != 0 && ome_order_index_distance(index, entry, at->place) >= distance; distance++)
    {
        if (ome_order_index_is(pool, entry, at->hash, participant, client_order_id))
        {
            return (uint32_t)entry;
        }
        at->place = (at->place + 1) & index->mask;
        entry = index->entries[at->place];
    }
    return 0;
}

void ome_order_index_displace(ome_order_index_t *index, uint32_t place, uint64_t entry)
{
    OME_EXPECT(entry != 0);
    OME_EXPECT(index->entries[place] != 0);
    while (index->entries[place] != 0)
    {
        const uint64_t other = index->entries[place];
        if (ome_order_index_distance(index, other, place) < ome_order_index_distance(index, entry, place))
        {
            index->entries[place] = entry;
            entry = other;
        }
        place = (place + 1) & index->mask;
    }
    index->entries[place] = entry;
}

void ome_order_index_insert(ome_order_index_t *index, uint16_t participant, uint64_t client_order_id, uint32_t slot)
{
    const uint32_t hash = ome_order_index_hash(participant, client_order_id);
    ome_order_index_insert_at(index, (ome_index_place_t){hash, ome_order_index_home(index, hash)}, slot);
}

void ome_order_index_close(ome_order_index_t *index, uint32_t hole)
{
    OME_EXPECT(index->entries[hole] == 0);
    for (uint32_t next = (hole + 1) & index->mask; ome_order_index_is_displaced(index, next); next = (next + 1) & index->mask)
    {
        index->entries[hole] = index->entries[next];
        index->entries[next] = 0;
        hole = next;
    }
}
