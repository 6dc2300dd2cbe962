/* The match stage: takes commands from the inbound ring, applies them, writes their events into the outbound stream.
 *
 * The only thread that touches the engine while the pipeline runs. Matching does not wait for the journal; the readers
 * of its events do (ome_gate). When the stream is full the stage waits for its slowest reader: nothing is dropped. The
 * events that it publishes at the end of a batch end with a whole command, and the stream says so (`whole`). After a
 * failure of the venue nobody reads any more: `is_abandoned` is set, and events are dropped.
 *
 * Between two batches, and while it is idle, it answers what is asked about the engine (ome_query.h). */
#ifndef OME_MATCH_STAGE_H
#define OME_MATCH_STAGE_H

#include <stdbool.h>

#include "concurrent/ome_ring.h"
#include "concurrent/ome_stream.h"
#include "engine/ome_engine.h"
#include "pipeline/ome_query.h"
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
    ome_query_t *query;        /* NULL: nobody asks */
    ome_event_t *written_from; /* start of what was written to the window and not published */
    uint64_t next_sequence;
    uint32_t consumer_index;
    bool has_open_group; /* a window was published whose last command may be incomplete */
    ome_event_t nowhere[1];
} ome_match_stage_t;

/* The engine has applied everything up to the ring's initial sequence. */
void ome_match_stage_init(ome_match_stage_t *stage, ome_engine_t *engine, ome_ring_t *ring, uint32_t consumer_index, ome_stream_t *stream,
    const ome_counters_t *counters, const atomic_bool *is_abandoned);

/* Answers a question, if there is one, and applies the commands in the ring, at most OME_MATCH_BATCH_COUNT; returns how many. */
uint32_t ome_match_stage_do_work(ome_match_stage_t *stage);

/* Sleeps until there is a command or a question, at most `timeout_ns`. Who asks wakes it as who publishes does, by the ring's wait object. */
void ome_match_stage_wait(ome_match_stage_t *stage, uint64_t timeout_ns);

#endif
