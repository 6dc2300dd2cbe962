/* The venue: rings, stages and threads, wired in one place.
 *
 *     submit / gateway  --claim, stamp, publish-->  [ inbound ring ]
 *                                                     |         |
 *                                               journal stage  match stage --> engine
 *                                                     |         |
 *                                                    gate   [ outbound stream ] --> readers, by name: gateway, feed, event log
 *
 * Threads: match, journal, event log, and one that prepares segments. Readers of the stream are the caller's threads;
 * they must read until the venue is drained. Any thread may submit. An error of the journal or the event log stops the
 * venue permanently: nothing more is taken, matched or published. */
#ifndef OME_VENUE_H
#define OME_VENUE_H

#include <pthread.h>

#include "base/ome_venue_clock.h"
#include "concurrent/ome_ingress.h"
#include "concurrent/ome_published.h"
#include "pipeline/ome_event_log.h"
#include "pipeline/ome_journal_stage.h"
#include "pipeline/ome_match_stage.h"
#include "pipeline/ome_query.h"
#include "pipeline/ome_replay.h"
#include "pipeline/ome_venue_config.h"

typedef struct ome_venue
{
    ome_engine_t *engine;
    ome_ring_t *ring;
    ome_stream_t *stream;
    ome_ingress_t ingress; /* how commands get into the ring */
    ome_counters_t counters;
    ome_venue_clock_t clock; /* what commands are stamped with */
    uint64_t epoch;
    uint8_t policy;
    bool has_journal;
    bool has_event_log;
    uint64_t ring_size_bytes;
    uint64_t stream_size_bytes;
    uint64_t counters_size_bytes; /* where they are in memory only */
    uint64_t writer_memory_size_bytes;
    void *writer_memory;
    ome_journal_writer_t writer;
    ome_match_stage_t match_stage;
    ome_journal_stage_t journal_stage;
    ome_event_log_t event_log;
    pthread_t match_thread;
    pthread_t journal_thread;
    pthread_t prepare_thread;
    pthread_t event_log_thread;
    bool is_started;
    _Atomic uint8_t storage; /* ome_storage_t */
    OME_CACHE_ALIGNED atomic_bool is_failed; /* the journal or the event log has stopped */
    _Atomic(const ome_error_t *) error; /* of the one that stopped first; NULL while none has */
    atomic_bool is_match_done;
    atomic_bool is_journal_done;
    ome_published_t published; /* what the readers of the stream read */
    ome_query_t query;         /* what one thread asks the match thread */
} ome_venue_t;

/* Wires a venue around `engine`, which it owns from now on, whatever the status is; `venue` is zeroed memory. If the
 * policy has a journal, `replay` has read it to its end: the journal is recovered and a new segment is opened. If the
 * replay has checked events, there is an event log. OME_OK; OME_INVALID: a slot count, reader count, policy or
 * strategy; OME_NO_MEMORY; OME_IO_ERROR: ome_venue_error, or replay->reader.error when its `call` is set, or the
 * counters file (errno) when neither is; OME_DAMAGED, OME_UNSUPPORTED, OME_NOT_FOUND: the journal's verdict. Call
 * ome_venue_close after any. */
ome_status_t ome_venue_open(ome_venue_t *venue, ome_engine_t *engine, ome_replay_t *replay, const ome_venue_config_t *config);

/* Starts the threads. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_venue_start(ome_venue_t *venue);

/* Sequences `count` commands (64 bytes each; at most the ring's slots), stamped with the venue's time now. Any thread.
 * OME_OK; OME_FULL: busy; OME_STOPPED; OME_INVALID: the count. */
ome_status_t ome_venue_submit(ome_venue_t *venue, const void *commands, uint32_t count);

/* Has the match thread do `work` between two batches, and waits for it, about `timeout_ns`. One thread at a time. OME_OK; OME_EMPTY: the match
 * thread did not come to it, and never will; OME_STOPPED: nor to anything else, as it has ended. */
ome_status_t ome_venue_ask(ome_venue_t *venue, ome_query_work_t work, void *context, uint64_t timeout_ns);

/* Brings the counters of the clock up to date. The thread that follows it. */
void ome_venue_count_clock(const ome_venue_t *venue);

/* No new commands from now on. */
void ome_venue_stop(ome_venue_t *venue);

/* After ome_venue_stop: all commands are matched and journaled, so that the readers find the last events. After a
 * failure: the stages have ended. */
bool ome_venue_is_drained(const ome_venue_t *venue);

/* The call on the journal or the event log that failed first; NULL if none did. */
const ome_error_t *ome_venue_error(const ome_venue_t *venue);

/* Ends the threads, seals the journal, frees everything. Readers no longer read. OME_OK, or OME_IO_ERROR (the journal
 * or the event log could not be sealed). */
ome_status_t ome_venue_close(ome_venue_t *venue);

#endif
