/* The feed's own copy of the displayed part of every book: which order displays how much at which price, and the
 * displayed total of each price level.
 *
 * It follows the engine only by its events. Hidden orders, reserves and waiting stops are not in it. A level is found
 * by its price, not by ticks, so the book needs to know nothing about instruments. Levels have no queues: priority is
 * not published. A level that a command empties stays, with no orders, until its change is taken, so that a command may
 * change any number of levels, and a level more than once. If a later change of the same command undoes a change, there
 * is no change.
 *
 *     apply, for each event of a command; then take_change, until there is none
 *
 * Written and read by the feed's thread alone.
 *
 * Invariants: a level's quantity and order_count are the sums over the orders that point to it; between commands every
 * level has orders and none is changed. */
#ifndef OME_FEED_BOOK_H
#define OME_FEED_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_records.h"
#include "book/ome_ladder.h"
#include "engine/ome_engine.h"

/* OFFSET SIZE FIELD            UNIT
 *      0    8 leaves_quantity  displayed lots; 0 exactly when the slot holds no displayed order
 *      8    4 level            index of its price level
 *     12    4 generation       of the displayed order in this slot */
typedef struct
{
    int64_t leaves_quantity;
    uint32_t level;
    uint32_t generation;
} ome_feed_order_t;
static_assert(sizeof(ome_feed_order_t) == 16, "four orders share a cache line");

typedef struct
{
    ome_ladder_pool_t ladder;
    ome_ladder_t *ladders; /* two for each instrument number, by ome_side_index; the first two are not used */
    uint32_t *level_counts; /* of each ladder */
    ome_feed_order_t *orders; /* by slot; the first is not used */
    uint32_t order_count_max;
    uint32_t instrument_count_max;
    /* Levels touched since the last take, in the order first touched: linked by `tail`, `head` is 1 in each, and `hidden_quantity` and
     * `hidden_head` hold the quantity and the order_count that it had. */
    uint32_t changed_first;
    uint32_t changed_last;
} ome_feed_book_t;

/* Lays an empty book out in an arena over zeroed memory; without memory it only measures. */
void ome_feed_book_init(ome_feed_book_t *book, ome_arena_t *arena, const ome_limits_t *limits);

/* Fills an empty book with what is displayed in the books of an engine of the same limits. Leaves no change. */
void ome_feed_book_seed(ome_feed_book_t *book, const ome_engine_t *engine);

/* Follows one event. */
void ome_feed_book_apply(ome_feed_book_t *book, const ome_event_t *event);

/* Copies the next level that has changed to `level` as it is now, with order_count and quantity 0 when it is gone.
 * False when there is none. Only after the last event of a command. */
bool ome_feed_book_take_change(ome_feed_book_t *book, ome_level_t *level);

/* The best level of a side, or 0; the others with ome_ladder_next. Only when there are no changes to take. */
uint32_t ome_feed_book_best(const ome_feed_book_t *book, uint32_t instrument, uint8_t side);

/* How many levels a side has. Only when there are no changes to take. */
uint32_t ome_feed_book_level_count(const ome_feed_book_t *book, uint32_t instrument, uint8_t side);

#endif
