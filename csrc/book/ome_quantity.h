/* The only place where quantities move: every change of the open quantity of an order, of its level's totals and of its
 * side.
 *
 * A live order's lots are in three places at once: in the order itself (and in its reserve), in the totals of its
 * level, and in the open quantity of its side of the book; the lots of a waiting stop are only in the order. The
 * functions here keep the three consistent, and nothing else writes any of them. */
#ifndef OME_QUANTITY_H
#define OME_QUANTITY_H

#include "abi/ome_limits.h"
#include "base/ome_assert.h"
#include "book/ome_book_state.h"

/* ---- a side ---- */

/* Whether the open quantity of a side stays within its limit when this much is added. */
static inline bool ome_quantity_fits(const ome_book_t *book, uint8_t side, int64_t change)
{
    return book->open_quantity[ome_side_index(side)] + change <= OME_OPEN_QUANTITY_MAX;
}

/* ---- an order that joins a level or leaves it ---- */

/* Lots join a level: displayed and hidden ones. */
static inline void ome_quantity_join(ome_book_t *book, ome_level_t *level, int64_t displayed, int64_t hidden)
{
    OME_EXPECT(displayed >= 0);
    OME_EXPECT(hidden >= 0);
    level->quantity += displayed;
    level->hidden_quantity += hidden;
    book->open_quantity[ome_side_index(level->side)] += displayed + hidden;
    OME_EXPECT(level->quantity >= displayed);
    OME_EXPECT(level->hidden_quantity >= hidden);
}

/* The same of an order without hidden lots; the caller knows the side. */
static inline void ome_quantity_join_displayed(ome_book_t *book, uint32_t side_index, ome_level_t *level, int64_t displayed)
{
    OME_EXPECT(displayed > 0);
    OME_EXPECT(side_index == ome_side_index(level->side));
    level->quantity += displayed;
    book->open_quantity[side_index] += displayed;
    OME_EXPECT(book->open_quantity[side_index] >= displayed);
}

static inline void ome_quantity_leave(ome_book_t *book, ome_level_t *level, int64_t displayed, int64_t hidden)
{
    OME_EXPECT(level->quantity >= displayed);
    OME_EXPECT(level->hidden_quantity >= hidden);
    level->quantity -= displayed;
    level->hidden_quantity -= hidden;
    book->open_quantity[ome_side_index(level->side)] -= displayed + hidden;
    OME_EXPECT(book->open_quantity[ome_side_index(level->side)] >= 0);
}

static inline void ome_quantity_leave_displayed(ome_book_t *book, uint32_t side_index, ome_level_t *level, int64_t displayed)
{
    OME_EXPECT(level->quantity >= displayed);
    OME_EXPECT(side_index == ome_side_index(level->side));
    level->quantity -= displayed;
    book->open_quantity[side_index] -= displayed;
    OME_EXPECT(book->open_quantity[side_index] >= 0);
}

/* ---- an order that loses lots where it is ---- */

/* Of what an order displays. */
static inline void ome_quantity_shrink_displayed(ome_book_t *book, ome_level_t *level, ome_order_t *order, int64_t quantity)
{
    order->leaves_quantity -= quantity;
    OME_ASSERT(order->leaves_quantity > 0);
    ome_quantity_leave_displayed(book, ome_side_index(level->side), level, quantity);
}

/* Of a hidden order. */
static inline void ome_quantity_shrink_hidden(ome_book_t *book, ome_level_t *level, ome_order_t *order, int64_t quantity)
{
    order->leaves_quantity -= quantity;
    OME_ASSERT(order->leaves_quantity > 0);
    ome_quantity_leave(book, level, 0, quantity);
}

/* Of the reserve of an order with a peak. */
static inline void ome_quantity_shrink_reserve(ome_book_t *book, ome_level_t *level, ome_special_t *special, int64_t quantity)
{
    special->reserve_quantity -= quantity;
    OME_ASSERT(special->reserve_quantity >= 0);
    ome_quantity_leave(book, level, 0, quantity);
}

/* Of a stop that waits, which has its lots alone; or of an order on its way into the book. */
static inline void ome_quantity_set_open(ome_order_t *order, int64_t leaves)
{
    OME_ASSERT(leaves > 0);
    order->leaves_quantity = leaves;
}

/* ---- a trade ---- */

/* A resting order trades. Its level and its side follow (ome_quantity_trade_level, ome_quantity_trade_side), once for
 * all of its orders. */
static inline void ome_quantity_trade(ome_order_t *order, int64_t quantity)
{
    OME_EXPECT(quantity > 0);
    OME_EXPECT(quantity <= order->leaves_quantity);
    order->leaves_quantity -= quantity;
    order->cumulative_quantity += quantity;
    OME_EXPECT(order->cumulative_quantity >= quantity);
}

static inline void ome_quantity_trade_level(ome_level_t *level, int64_t displayed, int64_t hidden)
{
    OME_EXPECT(displayed >= 0);
    OME_EXPECT(hidden >= 0);
    level->quantity -= displayed;
    level->hidden_quantity -= hidden;
    OME_EXPECT(level->quantity >= 0);
    OME_EXPECT(level->hidden_quantity >= 0);
}

static inline void ome_quantity_trade_side(ome_book_t *book, uint32_t side_index, int64_t quantity)
{
    OME_EXPECT(quantity >= 0);
    book->open_quantity[side_index] -= quantity;
    OME_EXPECT(book->open_quantity[side_index] >= 0);
}

/* An order on its way into the book has traded. */
static inline void ome_quantity_add_cumulative(ome_order_t *order, int64_t quantity)
{
    OME_EXPECT(quantity >= 0);
    order->cumulative_quantity += quantity;
    OME_EXPECT(order->cumulative_quantity >= quantity);
}

/* ---- peaks ---- */

/* Splits the order's leaves, which are all its lots: displays the peak and puts the rest into the reserve. */
static inline void ome_quantity_split(ome_order_t *order, ome_special_t *special)
{
    OME_EXPECT(order->leaves_quantity > 0);
    OME_EXPECT(special->reserve_quantity == 0);
    if (special->peak != 0 && order->leaves_quantity > special->peak)
    {
        special->reserve_quantity = order->leaves_quantity - special->peak;
        order->leaves_quantity = special->peak;
    }
    OME_EXPECT(special->peak == 0 || order->leaves_quantity <= special->peak);
}

/* Joins an order's displayed lots and its reserve again. */
static inline void ome_quantity_unite(ome_order_t *order, ome_special_t *special)
{
    OME_EXPECT(special->reserve_quantity >= 0);
    order->leaves_quantity += special->reserve_quantity;
    special->reserve_quantity = 0;
    OME_EXPECT(order->leaves_quantity >= 0);
}

/* An order whose peak has traded displays the next one. Returns its size. */
static inline int64_t ome_quantity_replenish(ome_level_t *level, ome_order_t *order, ome_special_t *special)
{
    OME_ASSERT(order->leaves_quantity == 0);
    level->hidden_quantity -= special->reserve_quantity;
    ome_quantity_unite(order, special);
    ome_quantity_split(order, special);
    level->hidden_quantity += special->reserve_quantity;
    level->quantity += order->leaves_quantity;
    return order->leaves_quantity;
}

#endif
