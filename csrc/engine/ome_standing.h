/* What an event says of a live order, and the events of orders that leave the book or lose lots in it. Internal to engine/. */
#ifndef OME_STANDING_H
#define OME_STANDING_H

#include "engine/ome_event.h"

/* A live order, at rest or waiting, as its events speak of it. */
typedef struct
{
    ome_book_t *book;
    uint64_t order_id;
    uint64_t client_order_id;
    uint64_t owner;
    uint64_t timestamp_ns; /* of the command */
    int64_t price;         /* where it rests; of a waiting order its limit, of a trailing one its distance, 0 without limit */
    uint32_t slot;
    uint8_t side;
    uint8_t flags; /* what every event of it has: WAS_RESTING, with HIDDEN for a hidden order or one with a peak; or WAITING */
} ome_standing_t;

ome_standing_t ome_standing_order(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns);

static inline void ome_standing_write(ome_engine_t *engine, const ome_standing_t *order, int64_t price, int64_t quantity, uint8_t kind,
    uint8_t reason, uint8_t flags, ome_sink_t *sink)
{
    ome_event_write(engine, sink, order->order_id, order->client_order_id, price, quantity, order->timestamp_ns, order->owner,
        ome_event_last_word(order->book->number, kind, order->side, reason, flags));
}

/* Whether a live order of the participant, at rest or waiting, came by this session; where that is 0, by any. Looks at the participant's
 * orders alone. */
bool ome_standing_exists(ome_engine_t *engine, uint16_t participant, uint16_t session);

/* Takes an order at rest out of its queue; where it has a peak, says that it is not displayed any more. */
void ome_standing_leave(ome_engine_t *engine, const ome_standing_t *order, ome_sink_t *sink);

/* Takes lots off a live order that keeps its place; some must be left. Where it displays less, says so. */
void ome_standing_shrink(ome_engine_t *engine, const ome_standing_t *order, int64_t quantity, ome_sink_t *sink);

/* Ends a live order: CANCELLED. */
void ome_standing_cancel(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink);

/* As ome_standing_shrink, and REDUCED. */
void ome_standing_reduce(ome_engine_t *engine, uint32_t slot, int64_t quantity, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink);

#endif
