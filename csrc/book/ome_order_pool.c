#include "book/ome_order_pool.h"

void ome_order_pool_init(ome_order_pool_t *pool, ome_arena_t *arena, uint32_t slot_count_max)
{
    pool->orders = ome_arena_take(arena, ((uint64_t)slot_count_max + 1) * sizeof(ome_order_t));
    pool->slot_count_max = slot_count_max;
    pool->slots_ever_used = 0;
    pool->free_head = 0;
    if (pool->orders != NULL)
    {
        pool->orders[0].marks = OME_ORDER_MARK_SPECIAL;
    }
}
