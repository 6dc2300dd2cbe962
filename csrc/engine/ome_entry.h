/* An order of any sort on its way into the book: new, triggered, or moved by an amend. Internal to engine/.
 *
 * Plain orders have paths of their own (ome_plain.h, ome_engine.c); this one knows collars, decisions before any trade, self-trade prevention, peaks and hidden orders. The
 * order has its slot and its place in the index already, is in no queue, and its leaves there are what was open before. */
#ifndef OME_ENTRY_H
#define OME_ENTRY_H

#include "engine/ome_event.h"

typedef struct
{
    ome_book_t *book;
    uint64_t order_id;
    uint64_t client_order_id;
    uint64_t owner; /* as in an event */
    uint64_t timestamp_ns;
    uint64_t key;       /* of the limit, on its own side */
    uint64_t limit_key; /* the limit in force, in the keys of the other side */
    int64_t price;      /* limit; 0 without */
    int64_t leaves;
    int64_t minimum_quantity; /* 0 for none */
    int64_t budget;
    uint32_t slot;
    uint32_t group;
    uint32_t collar_ticks;
    uint8_t side;
    uint8_t marks;
    uint8_t time_in_force;
    bool has_limit;
    bool has_collar; /* of its own */
    bool has_budget;
} ome_entrant_t;

static inline uint8_t ome_entrant_instruction(const ome_entrant_t *entrant)
{
    return entrant->marks >> OME_ORDER_SELF_TRADE_SHIFT & 7u;
}

static inline bool ome_would_rest(uint8_t time_in_force)
{
    return time_in_force != OME_TIME_IN_FORCE_IOC && time_in_force != OME_TIME_IN_FORCE_FOK;
}

/* GTC, DAY or GTD, with a limit. */
static inline bool ome_entrant_would_rest(const ome_entrant_t *entrant)
{
    return entrant->has_limit && ome_would_rest(entrant->time_in_force);
}

static inline void ome_entrant_write(
    ome_engine_t *engine, const ome_entrant_t *entrant, int64_t quantity, uint8_t kind, uint8_t reason, uint8_t flags, ome_sink_t *sink)
{
    ome_event_write(engine, sink, entrant->order_id, entrant->client_order_id, entrant->price, quantity, entrant->timestamp_ns,
        entrant->owner, ome_event_last_word(entrant->book->number, kind, entrant->side, reason, flags));
}

/* Gives a post-only order that crosses the price one tick from the opposite best. False, and nothing changed, where it may not slide: by the instrument, or because that
 * price is out of range. */
bool ome_entry_slide(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, int64_t *price, uint64_t *key);

/* The order joins its queue: says `kind` with RESTS, and what it displays of a peak. */
void ome_entry_join(ome_engine_t *engine, const ome_entrant_t *entrant, uint8_t kind, uint8_t flags, ome_sink_t *sink);

/* Ends the order: CANCELLED with all that is open, no flags. */
void ome_entry_cancel(ome_engine_t *engine, const ome_entrant_t *entrant, uint8_t reason, ome_sink_t *sink);

/* Rules, NewOrder 1 to 5: the limit in force, what could trade, and what follows. */
void ome_entry_run(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink);

/* Rules, NewOrder 3 to 5, with the limit in force set. */
void ome_entry_meet(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink);

#endif
