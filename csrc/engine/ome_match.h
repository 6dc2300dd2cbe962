/* Matching of one aggressor against the other side of its book. Internal to engine/. */
#ifndef OME_MATCH_H
#define OME_MATCH_H

#include "engine/ome_engine.h"

typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    uint64_t limit_key;    /* in the keys of the other side; OME_BOOK_ANY_KEY where it has no limit */
    uint64_t timestamp_ns; /* of the command */
    uint8_t side;
} ome_aggressor_t;

/* Whether the best level of the other side is within the limit. */
static inline bool ome_match_crosses(const ome_book_t *book, uint8_t side, uint64_t limit_key)
{
    const ome_ladder_t *other = &book->ladders[ome_side_index(ome_side_opposite(side))];
    return other->reach >= ~limit_key && other->best != 0;
}

/* Whether `quantity` lots rest within the limit, hidden ones and reserves included. */
bool ome_match_can_fill(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t limit_key, int64_t quantity);

/* Trades until the quantity is used up or nothing is within the limit; returns what is left. */
int64_t ome_match(ome_engine_t *engine, ome_book_t *book, const ome_aggressor_t *aggressor, int64_t quantity, ome_sink_t *sink);

/* Trades with one order, of any sort, and says so; a level that this leaves empty goes. Returns what is left of `quantity`. open_quantity is the caller's. */
int64_t ome_match_order(
    ome_engine_t *engine, ome_book_t *book, const ome_aggressor_t *aggressor, uint32_t slot, int64_t quantity, ome_sink_t *sink);

#endif
