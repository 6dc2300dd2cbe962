#include "book/ome_book.h"

#include "base/ome_assert.h"

void ome_book_pools_init(ome_book_pools_t *pools, ome_arena_t *arena, uint32_t order_count_max, uint32_t level_count_max)
{
    ome_order_pool_init(&pools->orders, arena, order_count_max);
    ome_order_index_init(&pools->index, arena, order_count_max);
    ome_ladder_pool_init(&pools->ladder, arena, level_count_max);
}

void ome_book_init(ome_book_t *book, uint32_t number, const ome_command_t *definition)
{
    *book = (ome_book_t){.number = number};
    ome_instrument_init(&book->instrument, definition);
}

void ome_book_add(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, uint8_t side, int64_t price, uint64_t key)
{
    const uint32_t side_index = ome_side_index(side);
    const uint32_t level_index = ome_ladder_find_or_insert(&book->ladders[side_index], &pools->ladder, key);
    ome_level_t *level = &pools->ladder.levels[level_index];
    ome_order_t *order = &pools->orders.orders[slot];
    order->level = level_index & 0x3FFFFFFFu;
    order->next = 0;
    order->previous = level->tail;
    if (level->order_count == 0)
    {
        level->price = price;
        level->instrument = book->number;
        level->side = side;
        level->head = slot;
    }
    else
    {
        pools->orders.orders[level->tail].next = slot;
    }
    level->tail = slot;
    level->order_count++;
    level->quantity += order->leaves_quantity;
    book->open_quantity[side_index] += order->leaves_quantity;
}

void ome_book_unlink(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot)
{
    ome_order_t *orders = pools->orders.orders;
    const ome_order_t *order = &orders[slot];
    ome_level_t *level = &pools->ladder.levels[order->level];
    const uint32_t side_index = ome_side_index(level->side);
    if (order->previous != 0)
    {
        orders[order->previous].next = order->next;
    }
    else
    {
        level->head = order->next;
    }
    if (order->next != 0)
    {
        orders[order->next].previous = order->previous;
    }
    else
    {
        level->tail = order->previous;
    }
    level->order_count--;
    level->quantity -= order->leaves_quantity;
    book->open_quantity[side_index] -= order->leaves_quantity;
    if (level->order_count == 0)
    {
        OME_ASSERT(level->quantity == 0);
        ome_ladder_remove(&book->ladders[side_index], &pools->ladder, order->level);
    }
}

void ome_book_reduce(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, int64_t quantity)
{
    ome_order_t *order = &pools->orders.orders[slot];
    ome_level_t *level = &pools->ladder.levels[order->level];
    order->leaves_quantity -= quantity;
    OME_ASSERT(order->leaves_quantity > 0);
    level->quantity -= quantity;
    book->open_quantity[ome_side_index(level->side)] -= quantity;
}

void ome_book_release(ome_book_pools_t *pools, uint32_t slot)
{
    const ome_order_t *order = &pools->orders.orders[slot];
    if (order->client_order_id != 0)
    {
        ome_order_index_remove(&pools->index, ome_owner_participant(order->owner), order->client_order_id, slot);
    }
    ome_order_pool_free(&pools->orders, slot);
}
