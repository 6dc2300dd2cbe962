/* Stops: what they wait for, when they are triggered, and what they do then. Internal to engine/.
 *
 * A stop that is triggered is elected: it leaves the stops of its book and queues, linked by `next`, until it enters as an order of the
 * command that runs. The queue is worked off in a loop, however long a cascade is, and is empty between commands. */
#ifndef OME_STOP_H
#define OME_STOP_H

#include "base/ome_assert.h"
#include "engine/ome_engine.h"

static inline bool ome_order_type_waits(uint8_t order_type)
{
    return order_type >= OME_ORDER_TYPE_STOP;
}

static inline bool ome_order_type_trails(uint8_t order_type)
{
    return order_type >= OME_ORDER_TYPE_TRAILING_STOP;
}

/* Whether an order of this type has a limit, perhaps at a distance from its stop price. */
static inline bool ome_order_type_has_limit(uint8_t order_type)
{
    return order_type == OME_ORDER_TYPE_LIMIT || order_type == OME_ORDER_TYPE_STOP_LIMIT ||
           order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT;
}

static_assert(OME_ORDER_TYPE_STOP == 3 && OME_ORDER_TYPE_STOP_LIMIT == 4 && OME_ORDER_TYPE_TRAILING_STOP == 5 &&
                  OME_ORDER_TYPE_TRAILING_STOP_LIMIT == 6,
    "stops are the types from STOP on, trailing ones from TRAILING_STOP on");

/* The better of its stop price and where the last trade price would put it, if there is one. */
int64_t ome_stop_moved_price(const ome_book_t *book, const ome_special_t *special);

/* Whether the last trade price is at this stop price or past it. */
bool ome_stop_is_past(const ome_book_t *book, uint8_t side, int64_t stop_price);

/* Elects a stop that waits in no queue. */
void ome_stop_elect(ome_engine_t *engine, uint32_t slot);

/* The price becomes the last trade price; trailing stops move; what it triggers is elected. */
void ome_stop_look(ome_engine_t *engine, ome_book_t *book, int64_t price);

/* Before an aggressor whose first trade, if it crosses, is with the best level: remembers that price. */
void ome_stop_watch(ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t limit_key);

/* What follows an aggressor: stops are looked at for its first and its last trade price. */
void ome_stop_look_after(ome_engine_t *engine, ome_book_t *book);

/* The elected enter, one after another, until none is left. */
void ome_stop_run(ome_engine_t *engine, uint64_t timestamp_ns, ome_sink_t *sink);

#endif
