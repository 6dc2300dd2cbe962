/* The book of one instrument: two ladders of levels, each level a queue of the orders that it displays and a queue of
 * hidden ones; and two ladders of waiting stops.
 *
 * All books of an engine share one ome_book_pools_t. Functions here keep queues, levels and totals right; they know
 * nothing of matching, events or rejects. The inline functions are for plain orders, those in ome_book.c for all
 * orders. Written and read by the matching thread alone.
 *
 * An order with a peak is in the queue of displayed quantity; its leaves there are what it displays. The rest is the
 * reserve in its special record.
 *
 * Invariants: a level that exists has orders; its quantity is the sum of the leaves in the queue of displayed quantity,
 * its hidden quantity the sum of those in the hidden queue and of all reserves; open_quantity is the sum of the side's
 * levels; every order's level is the one whose queue it is in; an order with a client order id is in the index. */
#ifndef OME_BOOK_H
#define OME_BOOK_H

#include "book/ome_quantity.h"

void ome_book_pools_init(ome_book_pools_t *pools, ome_arena_t *arena, uint32_t order_count_max, uint32_t level_count_max,
    uint32_t special_count_max, uint32_t instrument_count_max);

void ome_book_init(ome_book_t *book, uint32_t number, const ome_command_t *definition);

/* Puts an order without a peak at the back of the displayed queue of its price level. Its leaves and its client order
 * id are set. If the price has no level the ladder pool must not be full. */
static inline void ome_book_add(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, uint8_t side, int64_t price, uint64_t key)
{
    const uint32_t side_index = ome_side_index(side);
    uint32_t level_index = ome_ladder_find_near(&book->ladders[side_index], &pools->ladder, key);
    if (OME_UNLIKELY(level_index == 0))
    {
        level_index = ome_ladder_find_or_insert(&book->ladders[side_index], &pools->ladder, key);
    }
    ome_level_t *level = &pools->ladder.levels[level_index];
    ome_order_t *order = &pools->orders.orders[slot];
    OME_EXPECT(order->leaves_quantity > 0);
    OME_EXPECT(level->order_count == 0 || (level->price == price && level->side == side));
    order->level = level_index & OME_LEVEL_COUNT_MAX;
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
    ome_quantity_join_displayed(book, side_index, level, order->leaves_quantity);
}

/* Takes a displayed order without a reserve out of its queue, and the level with it when it was the last. The order
 * keeps its leaves, its slot and its place in the index. */
static inline void ome_book_unlink(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot)
{
    ome_order_t *orders = pools->orders.orders;
    const ome_order_t *order = &orders[slot];
    ome_level_t *level = &pools->ladder.levels[order->level];
    const uint32_t side_index = ome_side_index(level->side);
    OME_EXPECT(order->leaves_quantity > 0 && level->order_count > 0);
    OME_EXPECT(book->number == level->instrument);
    /* Pointers are chosen, not branches: whether an order is first or last in its queue cannot be predicted. */
    uint32_t *const to_this = ome_choose(order->previous != 0, &orders[order->previous].next, &level->head);
    uint32_t *const back_to_this = ome_choose(order->next != 0, &orders[order->next].previous, &level->tail);
    *to_this = order->next;
    *back_to_this = order->previous;
    level->order_count--;
    ome_quantity_leave_displayed(book, side_index, level, order->leaves_quantity);
    if (level->order_count == 0 && level->hidden_head == 0)
    {
        OME_ASSERT(level->quantity == 0);
        ome_ladder_remove(&book->ladders[side_index], &pools->ladder, order->level);
    }
}

/* Takes lots off a displayed resting order; some must be left. The order keeps its place. */
static inline void ome_book_reduce(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, int64_t quantity)
{
    ome_order_t *order = &pools->orders.orders[slot];
    OME_EXPECT(slot != 0);
    OME_EXPECT(quantity > 0);
    ome_quantity_shrink_displayed(book, &pools->ladder.levels[order->level], order, quantity);
}

/* Ends an order that is not special, resting or just unlinked: frees the slot and the client order id. */
static inline void ome_book_release(ome_book_pools_t *pools, uint32_t slot)
{
    const ome_order_t *order = &pools->orders.orders[slot];
    OME_EXPECT(ome_order_special(order) == 0);
    if (order->client_order_id != 0)
    {
        ome_order_index_remove(&pools->index, ome_owner_participant(order->owner), order->client_order_id, slot);
    }
    ome_order_pool_free(&pools->orders, slot);
}

/* ---- any order, special and hidden ones too ---- */

/* Puts an order at the back of its queue at a price: its leaves are all that is open. Room as for ome_book_add. Where
 * it has a peak it displays that much of it; the level's hidden quantity has the rest. */
void ome_book_join(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, uint8_t side, int64_t price, uint64_t key);

/* Takes an order out of its queue, and the level with it when it was the last. Its leaves are all that was open. */
void ome_book_leave(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot);

/* Takes lots off a resting order, from its reserve first; some must be left. The order keeps its place. If it has a
 * peak, returns by how many lots its displayed quantity shrinks, otherwise 0. */
int64_t ome_book_shrink(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, int64_t quantity);

/* Takes traded lots off a resting order, no more than its leaves. If nothing is left, the order leaves its queue; but
 * if it has a reserve, it displays a new peak at the back of the queue. The level stays, perhaps empty, and
 * open_quantity does not change: the caller updates both. Returns the size of the new peak. */
int64_t ome_book_trade(ome_book_pools_t *pools, uint32_t slot, int64_t quantity);

/* Makes an order special: its account goes into the record, the record's index into its owner's word. */
void ome_book_make_special(ome_book_pools_t *pools, uint32_t slot, uint32_t special_index);

/* Makes it a plain order again, and frees the record. */
void ome_book_make_plain(ome_book_pools_t *pools, uint32_t slot);

/* Ends an order that is in no queue: frees the slot, the client order id and the special record. */
void ome_book_end(ome_book_pools_t *pools, uint32_t slot);

/* Puts a stop at the back of the queue of its stop price, or among the trailing stops. Side, stop price and entry are
 * in its record. */
void ome_book_wait(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot);

/* Takes a stop out again. */
void ome_book_stop_waiting(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot);

#endif
