/* A live order, at rest in the book or waiting among the stops: what its events say of it, and the events of orders that leave or lose
 * lots where they are. */
#ifndef OME_RESTING_H
#define OME_RESTING_H

#include "engine/ome_event.h"

/* A live order as its events speak of it. */
typedef struct
{
    ome_subject_t subject;
    ome_book_t *book;
    int64_t price; /* where it rests; of a waiting order its limit, of a trailing one its distance, 0 without limit */
    uint32_t slot;
    uint8_t flags; /* what every event of it has: WAS_RESTING, with HIDDEN for a hidden order or one with a peak; or WAITING */
} ome_resting_view_t;

/* `timestamp_ns`: of the command that its events will be of. */
ome_resting_view_t ome_resting_view(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns);

/* The record of what a live order has beyond a plain one; of a plain order one that is all zeros. */
static inline ome_special_t *ome_resting_special(const ome_engine_t *engine, uint32_t slot)
{
    return &engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])];
}

/* Takes an order at rest out of its queue; where it has a peak, says that it is not displayed any more. */
void ome_resting_leave(ome_engine_t *engine, const ome_resting_view_t *resting, ome_sink_t *sink);

/* Takes lots off a live order that keeps its place; some must be left. Where it displays less, says so. */
void ome_resting_shrink(ome_engine_t *engine, const ome_resting_view_t *resting, int64_t quantity, ome_sink_t *sink);

/* Ends a live order: CANCELLED. */
void ome_resting_cancel(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink);

/* As ome_resting_shrink, and REDUCED. */
void ome_resting_reduce(ome_engine_t *engine, uint32_t slot, int64_t quantity, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink);

#endif
