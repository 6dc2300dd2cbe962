/* What an incoming order could trade, before it trades anything: for orders that want all at once, or so much. */
#ifndef OME_FORECAST_H
#define OME_FORECAST_H

#include "matching/ome_incoming.h"

typedef struct
{
    int64_t quantity; /* lots */
    __int128 cost;    /* price units times lots */
} ome_forecast_t;

/* Rules, "What could trade". Changes nothing. */
ome_forecast_t ome_forecast(const ome_engine_t *engine, const ome_incoming_t *incoming);

#endif
