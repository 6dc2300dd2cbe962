/* Where the engine writes its events: a window of records that somebody else empties.
 *
 * The engine writes at `next` and calls `flush` when the window is full; `flush` must leave room for at least one event. In the pipeline the window is free slots of
 * the outbound ring, so that an event is written once, where its readers find it. */
#ifndef OME_SINK_H
#define OME_SINK_H

#include "abi/ome_records.h"

typedef struct ome_sink
{
    ome_event_t *next;
    ome_event_t *end;
    void (*flush)(struct ome_sink *sink);
} ome_sink_t;

#endif
