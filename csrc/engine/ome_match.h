/* Matching of one aggressor against the other side of its book. Internal to engine/. */
#ifndef OME_MATCH_H
#define OME_MATCH_H

#include "engine/ome_engine.h"

typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    int64_t limit; /* price units; OME_MATCH_ANY_PRICE of its side where it has none */
    uint8_t side;
} ome_aggressor_t;

/* A limit that every price of the other side is within. */
static inline int64_t ome_match_any_price(uint8_t side)
{
    return side == OME_SIDE_BUY ? INT64_MAX : INT64_MIN;
}

/* Whether the best level of the other side is within the limit. */
bool ome_match_crosses(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, int64_t limit);

/* Whether `quantity` lots rest within the limit. */
bool ome_match_can_fill(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, int64_t limit, int64_t quantity);

/* Trades until the quantity is used up or nothing is within the limit; returns what is left. */
int64_t ome_match(ome_engine_t *engine, ome_book_t *book, const ome_aggressor_t *aggressor, int64_t quantity, ome_sink_t *sink);

#endif
