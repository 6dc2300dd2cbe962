#include "book/ome_order_pool.h"

#include <string.h>

#define PARTICIPANT_COUNT ((uint64_t)UINT16_MAX + 1)
#define BLOCK_SLOT_COUNT (1u << OME_ORDER_BLOCK_SHIFT)
#define STEP 64u /* blocks that are looked at together */

void ome_order_pool_init(ome_order_pool_t *pool, ome_arena_t *arena, uint32_t slot_count_max)
{
    const uint64_t block_count = ((uint64_t)slot_count_max >> OME_ORDER_BLOCK_SHIFT) + 1;
    pool->row_size_bytes = block_count < STEP ? block_count : (block_count + STEP - 1) / STEP * STEP;
    pool->orders = ome_arena_take(arena, ((uint64_t)slot_count_max + 1) * sizeof(ome_order_t));
    pool->tags = ome_arena_take(arena, (uint64_t)slot_count_max + 1);
    pool->presence = ome_arena_take(arena, PARTICIPANT_COUNT * pool->row_size_bytes);
    pool->slot_count_max = slot_count_max;
    pool->slots_ever_used = 0;
    pool->free_head = 0;
    if (pool->orders != NULL)
    {
        pool->orders[0].marks = OME_ORDER_MARK_SPECIAL;
    }
}

static bool pool_has_any(const uint8_t *row)
{
    uint64_t words[STEP / sizeof(uint64_t)];
    uint64_t any = 0;
    memcpy(words, row, sizeof(words));
    for (uint32_t i = 0; i < STEP / sizeof(uint64_t); i++)
    {
        any |= words[i];
    }
    return any != 0;
}

/* The first block from this one on that the row has, or one that no slot is in. */
static uint32_t pool_next_block(const ome_order_pool_t *pool, const uint8_t *row, uint32_t block)
{
    const uint32_t block_count = (pool->slots_ever_used >> OME_ORDER_BLOCK_SHIFT) + 1;
    while (block < block_count && row[block] == 0)
    {
        const bool is_step = block % STEP == 0 && block + STEP <= pool->row_size_bytes;
        block += is_step && !pool_has_any(row + block) ? STEP : 1;
    }
    return block;
}

static bool pool_is_live_of(const ome_order_t *order, uint16_t participant)
{
    return order->leaves_quantity > 0 && (uint16_t)(order->owner >> 32) == participant;
}

/* The first live order of a participant from `slot` on and before `end`, or 0. Tags that orders have left behind are
 * taken away: each is met once at most. */
static uint32_t pool_search(ome_order_pool_t *pool, uint16_t participant, uint32_t slot, uint32_t end)
{
    while (slot < end)
    {
        const uint8_t *tag = memchr(pool->tags + slot, ome_order_tag(participant), end - slot);
        if (tag == NULL)
        {
            return 0;
        }
        slot = (uint32_t)(tag - pool->tags);
        if (pool_is_live_of(&pool->orders[slot], participant))
        {
            return slot;
        }
        pool->tags[slot] = pool->orders[slot].leaves_quantity > 0 ? pool->tags[slot] : 0;
        slot++;
    }
    return 0;
}

uint32_t ome_order_pool_next_of(ome_order_pool_t *pool, uint16_t participant, uint32_t slot)
{
    uint8_t *const row = ome_order_pool_row(pool, participant);
    uint32_t block = (slot + 1) >> OME_ORDER_BLOCK_SHIFT;
    uint32_t from = slot + 1;
    for (;;)
    {
        const uint32_t next = pool_next_block(pool, row, block);
        from = next > block ? next << OME_ORDER_BLOCK_SHIFT : from;
        block = next;
        if (from > pool->slots_ever_used)
        {
            return 0;
        }
        const uint32_t last = block << OME_ORDER_BLOCK_SHIFT | (BLOCK_SLOT_COUNT - 1);
        const uint32_t end = (last < pool->slots_ever_used ? last : pool->slots_ever_used) + 1;
        const uint32_t found = pool_search(pool, participant, from, end);
        if (found != 0)
        {
            return found;
        }
        const uint32_t first = block << OME_ORDER_BLOCK_SHIFT;
        if (from == first || from == 1)
        {
            row[block] = 0; /* all of it was searched */
        }
        from = end;
        block++;
    }
}

bool ome_order_pool_has(ome_order_pool_t *pool, uint16_t participant, uint16_t session)
{
    uint32_t slot = ome_order_pool_next_of(pool, participant, 0);
    while (slot != 0 && session != 0 && (uint16_t)(pool->orders[slot].owner >> 48) != session)
    {
        slot = ome_order_pool_next_of(pool, participant, slot);
    }
    return slot != 0;
}
