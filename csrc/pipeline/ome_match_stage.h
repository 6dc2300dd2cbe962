/* The match stage: takes commands from the inbound ring, applies them, writes their events into the outbound stream.
 *
 * The only thread that touches the engine while the pipeline runs. Matching does not wait for the journal; what is said about it does (ome_gate). When the stream is full
 * the stage waits for its slowest reader: nothing is dropped. What it publishes at the end of a batch ends with a command, and the stream says so (`whole`). Once `is_abandoned` is set, when the venue has failed and nobody will read, events go nowhere instead. */
#ifndef OME_MATCH_STAGE_H
#define OME_MATCH_STAGE_H

#include <stdbool.h>

#include "concurrent/ome_ring.h"
#include "concurrent/ome_stream.h"
#include "engine/ome_engine.h"
#include "pipeline/ome_venue_counters.h"

#define OME_MATCH_BATCH_COUNT 256u

typedef struct
{
    ome_sink_t sink; /* first, so that a sink is its stage */
    ome_engine_t *engine;
    ome_ring_t *ring;
    ome_stream_t *stream;
    const ome_counters_t *counters;
    const atomic_bool *is_abandoned;
    ome_event_t *written_from; /* start of what was written to the window and not published */
    uint64_t next_sequence;
    uint32_t consumer_index;
    bool has_open_group; /* a window was published whose last command may be incomplete */
    ome_event_t nowhere[1];
} ome_match_stage_t;

/* The engine has applied everything up to the ring's initial sequence. */
void ome_match_stage_init(ome_match_stage_t *stage, ome_engine_t *engine, ome_ring_t *ring, uint32_t consumer_index, ome_stream_t *stream,
    const ome_counters_t *counters, const atomic_bool *is_abandoned);

/* Applies what is there, up to OME_MATCH_BATCH_COUNT commands; returns how many it was. */
uint32_t ome_match_stage_do_work(ome_match_stage_t *stage);

#endif
