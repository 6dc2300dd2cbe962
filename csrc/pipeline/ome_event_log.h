/* The event log: a stage that writes every event to disk, in parallel with matching, for audits of what the venue
 * published.
 *
 * It is one more reader of the outbound stream, up to the gate. It writes records in the journal's format to segments
 * `events-<number of the first event>.ome`: the record's sequence is the event's number, its kind is the event's, its
 * data are the event's 64 bytes, the sequence of its command first. The log may lag: appended records are written and
 * synced when there are many, or after some time. Nobody waits for that. If a crash loses the end of the log, the next
 * start completes it from the journal.
 *
 * It never sleeps on the stream, so neither the matcher nor the journal has to wake it: the thread checks from time to
 * time. A write ends at the end of a command, so a command that ends the process leaves none of its events, unless they
 * are more than the buffer holds.
 *
 * One thread. After an error the stage does nothing any more, and the venue stops. */
#ifndef OME_EVENT_LOG_H
#define OME_EVENT_LOG_H

#include "concurrent/ome_published.h"
#include "journal/ome_journal_writer.h"
#include "pipeline/ome_replay.h"
#include "pipeline/ome_venue_counters.h"

typedef struct
{
    ome_journal_writer_t writer;
    void *memory;
    uint64_t memory_size_bytes;
    ome_reader_t reader;
    const ome_counters_t *counters;
    uint64_t last_command;       /* of the last event appended */
    uint64_t delay_ns;           /* as old an event may become before it is synced */
    uint64_t oldest_unsynced_ns; /* monotonic; when the oldest event that is not durable was appended */
    ome_status_t status;         /* OME_OK, or why it stopped */
} ome_event_log_t;

typedef struct
{
    uint64_t segment_size_bytes;
    uint64_t epoch;
    uint64_t configuration_hash;
    uint64_t delay_ns;    /* the longest that an event waits to be synced, while the stream moves */
    uint64_t event_count; /* of the engine: the log gets all events up to here, and goes on behind them */
} ome_event_log_config_t;

/* Recovers the log of the directory that `replay` has read with OME_REPLAY_CHECKS_EVENTS, after the journal was
 * recovered: truncates a torn tail, and events that the journal does not have; appends the events that it lacks, by a
 * replay of its own; and begins a segment. If there is no log, one begins with the next event. `log` is zeroed memory.
 * OME_OK; OME_NO_MEMORY; OME_IO_ERROR: log->writer.error, or replay->reader.error; OME_DAMAGED, OME_UNSUPPORTED,
 * OME_NOT_FOUND: see `replay`. Call ome_event_log_close after any status. */
ome_status_t ome_event_log_open(ome_event_log_t *log, ome_replay_t *replay, const ome_event_log_config_t *config);

/* Sets its reader, whose first event is the next one. */
void ome_event_log_attach(ome_event_log_t *log, ome_reader_t reader, const ome_counters_t *counters);

/* Appends the events that may be published, and writes if it is time; returns how many events it took. `log->status`
 * has any error. */
uint32_t ome_event_log_do_work(ome_event_log_t *log);

/* Commits, seals, frees. OME_OK; OME_IO_ERROR (log->writer.error); OME_STOPPED (it had stopped before). */
ome_status_t ome_event_log_close(ome_event_log_t *log);

#endif
