#include "book/ome_order_pool.h"

#include "base/ome_assert.h"

void ome_order_pool_init(ome_order_pool_t *pool, ome_arena_t *arena, uint32_t slot_count_max)
{
    pool->orders = ome_arena_take(arena, ((uint64_t)slot_count_max + 1) * sizeof(ome_order_t));
    pool->slot_count_max = slot_count_max;
    pool->slots_ever_used = 0;
    pool->free_head = 0;
}

uint32_t ome_order_pool_take(ome_order_pool_t *pool)
{
    uint32_t slot = pool->free_head;
    if (slot != 0)
    {
        pool->free_head = pool->orders[slot].next;
    }
    else
    {
        OME_ASSERT(pool->slots_ever_used < pool->slot_count_max);
        slot = ++pool->slots_ever_used;
    }
    pool->orders[slot].generation++;
    return slot;
}

void ome_order_pool_free(ome_order_pool_t *pool, uint32_t slot)
{
    ome_order_t *order = &pool->orders[slot];
    order->leaves_quantity = 0;
    if (OME_UNLIKELY(order->generation == UINT32_MAX))
    {
        return;
    }
    order->next = pool->free_head;
    pool->free_head = slot;
}
