/* Waiting trailing stops, in groups that move together: a price that triggers none and moves none costs the same,
 * however many wait.
 *
 * A trailing stop's stop price follows from its distance and from the best price that was looked at since it entered:
 * for a buy the lowest, for a sell the highest. So all orders of one side with the same best are one group, and only
 * the group knows the best; an order's own `stop_price` is updated only when a caller reads it. When a price is better
 * than the best of some groups, those become one group with that price as their best. Each order makes one group at
 * most and each merge ends one, so that merging costs each order a logarithm once.
 *
 * The orders of a group are in a heap by distance: its root triggers first. Amounts and basis points cannot be sorted
 * together, because the distance in basis points depends on the price: they are in separate groups. The groups of a
 * side are in two heaps: by best, the first to be passed in front, for amounts and basis points each; and by the stop
 * price of their first order, the first to trigger in front. Prices here are mirrored for sells (the number turned into
 * its negative), so that for both sides lower is better and a stop triggers at its price or above.
 *
 * If an order has a start price, or comes from a snapshot, its best is the price at which it begins to move. With an
 * amount that is the stop price less the amount. With basis points several prices may have the same stop price, and
 * some stop prices belong to no price: then the order is a group by itself, *not moved* yet, until it moves for the
 * first time.
 *
 * The order in which a heap is walked never matters: orders that trigger together are sorted (ome_trailing_trigger),
 * and so are listed orders.
 *
 * Written and read by the matching thread alone. */
#ifndef OME_TRAILING_H
#define OME_TRAILING_H

#include "book/ome_book_state.h"

static inline bool ome_trailing_is(const ome_special_t *special)
{
    return special->order_type == OME_ORDER_TYPE_TRAILING_STOP || special->order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT;
}

/* A price of a buy as it is, of a sell as its negative. Mirrors back, too. */
static inline int64_t ome_trailing_mirror(uint8_t side, int64_t price)
{
    return side == OME_SIDE_BUY ? price : -price;
}

/* The stop price at the order's distance from a price, kept within the prices of the instrument. Never gets worse when
 * the price gets better. */
int64_t ome_trailing_price(const ome_book_t *book, const ome_special_t *special, int64_t price);

/* The stop price of a waiting order. Takes as many steps as the order's depth in its heap. */
int64_t ome_trailing_stop_price(const ome_book_t *book, const ome_book_pools_t *pools, uint32_t index);

/* An order begins to wait. Its stop price is up to date with the last trade price. `index` is its record, here and
 * below. */
void ome_trailing_join(ome_book_t *book, ome_book_pools_t *pools, uint32_t index);

/* An order stops waiting. */
void ome_trailing_leave(ome_book_t *book, ome_book_pools_t *pools, uint32_t index);

/* The orders of a side follow the last trade price. */
void ome_trailing_move(ome_book_t *book, ome_book_pools_t *pools, uint8_t side);

/* Removes the orders of a side that the last trade price reaches. Returns the first of them: linked by `next`, by stop
 * price as they trigger, then entry, with their stop prices set. They no longer wait. */
uint32_t ome_trailing_trigger(ome_book_t *book, ome_book_pools_t *pools, uint8_t side);

/* Lists the orders of a side in the same way; they keep waiting. */
uint32_t ome_trailing_list(const ome_book_t *book, const ome_book_pools_t *pools, uint8_t side);

/* Whether an order, whose stop price is set, triggers before another of its side. */
bool ome_trailing_is_before(const ome_book_pools_t *pools, uint32_t slot, uint32_t other);

/* Makes one group of all orders with the same best: for a book that was not filled by commands. */
void ome_trailing_gather(ome_book_t *book, ome_book_pools_t *pools);

#endif
