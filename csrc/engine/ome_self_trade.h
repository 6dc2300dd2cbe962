/* Walks over the other side of a book that look at each order: matching with self-trade prevention, and what could trade. Internal to engine/. */
#ifndef OME_SELF_TRADE_H
#define OME_SELF_TRADE_H

#include "engine/ome_entry.h"

typedef struct
{
    int64_t quantity; /* lots */
    __int128 cost; /* price units times lots */
} ome_could_trade_t;

/* Rules, "What could trade". Changes nothing. */
ome_could_trade_t ome_could_trade(const ome_engine_t *engine, const ome_entrant_t *entrant);

/* Meets the other side as the aggressor's instruction says, until nothing is left of it or nothing is within its limit. Returns the lots traded; the entrant's leaves are what is left, 0
 * also where the aggressor was cancelled, which has been said then. */
int64_t ome_self_trade_match(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink);

#endif
