/* The structures of an engine's books, and functions that read them. Functions that change them are in ome_quantity.h
 * and ome_book.h. */
#ifndef OME_BOOK_STATE_H
#define OME_BOOK_STATE_H

#include "base/ome_arena.h"
#include "base/ome_platform.h"
#include "book/ome_instrument.h"
#include "book/ome_ladder.h"
#include "book/ome_meld_heap.h"
#include "book/ome_order_index.h"
#include "book/ome_order_pool.h"
#include "book/ome_special.h"

/* Trailing stops that move together: ome_trailing.h. */
typedef struct
{
    uint32_t first; /* special record: root of the heap of its orders */
    uint32_t next_free; /* of a free group */
    uint8_t side;
    bool has_basis_points;
    bool has_not_moved; /* the stop price of its only order is not that of its best */
} ome_trailing_group_t;

/* Each array has a place for every special record; the first is not used. */
typedef struct
{
    ome_meld_node_t *orders; /* by special record, by distance */
    ome_meld_node_t *bests; /* by group, by best price */
    ome_meld_node_t *fronts; /* by group, by stop price of the first order */
    ome_trailing_group_t *groups;
    uint32_t group_count; /* in use */
    uint32_t groups_ever_used;
    uint32_t free_head;
} ome_trailing_pool_t;

typedef struct
{
    ome_order_pool_t orders;
    ome_order_index_t index;
    ome_ladder_pool_t ladder;
    ome_special_pool_t specials;
    ome_ladder_pool_t stops; /* levels of stop prices: never more than special orders */
    ome_trailing_pool_t trailing;
} ome_book_pools_t;

typedef struct
{
    OME_CACHE_ALIGNED ome_ladder_t ladders[2]; /* by ome_side_index */
    int64_t open_quantity[2]; /* resting lots, including hidden ones */
    int64_t last_trade_price; /* price units; OME_NULL_VALUE before the first trade */
    uint32_t number; /* of the instrument, from 1 */
    uint32_t waiting_count; /* stops that wait */
    ome_instrument_t instrument;
    ome_ladder_t
        stops[2]; /* those that do not trail, by ome_side_index of the order; the best is the first to trigger (ome_book_stop_key) */
    uint32_t trailing_bests[2][2]; /* groups of trailing stops, by side and whether in basis points: the first to be passed */
    uint32_t trailing_fronts[2]; /* the same, by side: the first to trigger */
    OME_CACHE_ALIGNED uint8_t unused; /* for one more cache line */
} ome_book_t;
static_assert(
    sizeof(ome_book_t) / OME_CACHE_LINE_SIZE % 2 == 1, "the lines that an order touches, in books side by side, use all sets of a cache");

/* Touches the memory that nearly every command uses: the index, of which even a few orders use each page, and the
 * beginnings of the pools, which are used from the front. Of each part no more than OME_BOOK_TOUCH_BYTES_MAX: what large
 * limits allow is touched when it is used. */
#define OME_BOOK_TOUCH_BYTES_MAX (UINT64_C(32) << 20)
#define OME_BOOK_TOUCH_BEGINNING_BYTES (UINT64_C(4) << 20)
void ome_book_pools_touch(const ome_book_pools_t *pools);

static inline uint32_t ome_side_index(uint8_t side)
{
    return side - 1u;
}

static inline uint8_t ome_side_opposite(uint8_t side)
{
    return (uint8_t)(OME_SIDE_BUY + OME_SIDE_SELL - side);
}

/* The keys of bids are reversed, so that on both sides the best level has the smallest key. */
static inline uint64_t ome_book_key(uint8_t side, uint64_t tick_index)
{
    return tick_index ^ -(uint64_t)(side == OME_SIDE_BUY);
}

static inline uint64_t ome_book_price_key(const ome_book_t *book, uint8_t side, int64_t price)
{
    uint64_t tick_index;
    (void)ome_instrument_tick_index(&book->instrument, price, &tick_index);
    return ome_book_key(side, tick_index);
}

static inline uint32_t ome_book_best(const ome_book_t *book, uint8_t side)
{
    return book->ladders[ome_side_index(side)].best;
}

/* The key of an order without a limit: it crosses every key that there is. */
#define OME_BOOK_ANY_KEY UINT64_C(1)

/* The key, on the other side, of the last level that an order with this key would trade with. */
static inline uint64_t ome_book_turned_key(uint64_t key)
{
    return ~key;
}

/* Whether two prices may trade. Only this function decides it. `key`: of an order, on its own side; `reach`: of a price
 * on the other side, its key turned, or 0 for none. */
static inline bool ome_book_prices_cross(uint64_t key, uint64_t reach)
{
    return reach >= key;
}

/* Whether an order with this key on its own side may trade with the best level of the other side. */
static inline bool ome_book_crosses(const ome_book_t *book, uint8_t side, uint64_t key)
{
    return ome_book_prices_cross(key, book->ladders[ome_side_index(side) ^ 1u].reach);
}

/* Whether it may trade with this level, which is on the other side. */
static inline bool ome_book_reaches(const ome_level_t *level, uint64_t key)
{
    return ome_book_prices_cross(key, ome_book_turned_key(level->key));
}

/* Buys trigger from the lowest stop price up, sells from the highest down: the reverse of the order in which they
 * trade. */
static inline uint64_t ome_book_stop_key(uint8_t side, uint64_t tick_index)
{
    return ome_book_key(ome_side_opposite(side), tick_index);
}

static inline uint16_t ome_owner_participant(uint64_t owner)
{
    return (uint16_t)(owner >> 32);
}

/* The record of a special order; of any other order 0. */
static inline uint32_t ome_order_special(const ome_order_t *order)
{
    return (order->marks & OME_ORDER_MARK_SPECIAL) != 0 ? (uint32_t)order->owner : 0;
}

/* The owner's word as in an event. */
static inline uint64_t ome_book_owner(const ome_book_pools_t *pools, const ome_order_t *order)
{
    const uint32_t special = ome_order_special(order);
    return special == 0 ? order->owner : (order->owner & ~(uint64_t)UINT32_MAX) | pools->specials.records[special].account;
}

/* All that is open, the reserve included. */
static inline int64_t ome_book_leaves(const ome_book_pools_t *pools, const ome_order_t *order)
{
    return order->leaves_quantity + pools->specials.records[ome_order_special(order)].reserve_quantity;
}

#endif
