/* Replay: rebuilds an engine from the journal, and writes snapshots of the engine.
 *
 * Reads the journal of a directory and applies every command: from its first record, or after the newest whole
 * snapshot. The first command gives the engine's limits (DefineLimits), and a later one of that kind changes them, so
 * nothing outside the journal decides the result of a replay. If it begins with a snapshot, it reads the segment that
 * holds the snapshot's last command from the segment's beginning: the journal's checksum there must be that of the
 * snapshot, which proves that the two belong together.
 *
 * It reads the decisions of the directory first. A quarantined command is returned, and applied, as a command of kind
 * 0, which every engine rejects.
 *
 * It works in steps, so that a caller can show its progress. Only OME_REPLAY_SETS_ASIDE and ome_replay_snapshot change
 * anything on disk. One thread. */
#ifndef OME_REPLAY_H
#define OME_REPLAY_H

#include "base/ome_assert.h"
#include "engine/ome_engine.h"
#include "journal/ome_journal_reader.h"
#include "pipeline/ome_decisions.h"
#include "pipeline/ome_event_check.h"
#include "pipeline/ome_snapshot_file.h"

/* Receives every event, once, in order. */
typedef void (*ome_replay_visit_t)(void *visitor, const ome_event_t *events, uint64_t count);

typedef struct ome_replay
{
    ome_sink_t sink; /* first, so that a sink is its replay */
    const ome_file_system_t *file_system; /* set before it is opened, and outlives it; NULL: the operating system's */
    ome_journal_reader_t reader;
    ome_engine_t *engine;        /* NULL before the first command */
    const char *reason;          /* why a record cannot be applied, where the reader found nothing wrong; otherwise NULL */
    ome_status_t reason_status;  /* where there is a reason: what every later call returns */
    bool is_check_fault;         /* the reason is the event log's: check.reader.report says where */
    bool is_decision_fault;      /* the reason, or what the reader found, is about the decisions */
    bool checks_events;
    ome_event_check_t check;     /* where it checks events */
    uint64_t event_count_below;  /* set before it is opened, it begins with no snapshot that has as many events; 0: with any */
    ome_replay_visit_t visit;    /* set before the first step, or NULL */
    void *visitor;               /* for it */
    ome_assert_trap_t trap;
    uint64_t engine_size_bytes;
    uint64_t event_hash;         /* of what was flushed so far: see ome_replay_event_hash */
    void *reader_memory;
    ome_snapshot_files_t *files;
    uint64_t snapshot_sequence;  /* of the snapshot that it began with; 0 for none */
    uint64_t refused_count;      /* snapshots that were not used, and of the first of them: */
    char refused_path[OME_PATH_SIZE];
    const char *refused_reason;
    uint64_t quarantined_count;  /* commands that it gave as quarantined */
    ome_decisions_t decisions;
    ome_command_t commands[256]; /* read and applied together */
    ome_event_t events[256];     /* regenerated, hashed, and not kept */
} ome_replay_t;

/* Opens the journal in `directory`, which must exist. `replay` is zeroed memory, except its file_system. OME_OK;
 * OME_INVALID: the name is too long; OME_NO_MEMORY; OME_IO_ERROR (reader.error); OME_DAMAGED, OME_UNSUPPORTED,
 * OME_NOT_FOUND: the decisions, or the event log where it checks events, are not what was written (reader.report, or
 * `reason`). Call ome_replay_close after any status. The first step checks whether journal and snapshot belong
 * together. */
ome_status_t ome_replay_open(ome_replay_t *replay, const char *directory, uint32_t flags);

/* Makes a replay that has read nothing yet begin elsewhere: with the record of that sequence, for a caller that only
 * reads (ome_replay_read); or after the snapshot of that sequence, which is never set aside. OME_OK; OME_INVALID: the
 * sequence is 0; of a snapshot also OME_NOT_FOUND, OME_DAMAGED, OME_UNSUPPORTED (`reason`), OME_NO_MEMORY, OME_IO_ERROR
 * (reader.error). */
ome_status_t ome_replay_begin_with(ome_replay_t *replay, uint64_t sequence);
ome_status_t ome_replay_begin_behind(ome_replay_t *replay, uint64_t snapshot_sequence);

/* Applies up to `count_max` commands; a command of several records, of which each counts, may be split over steps.
 * Everything before the end or an error is applied when the function returns it. OME_OK: there may be more; OME_EMPTY:
 * the journal ends here (reader.report says how); OME_DAMAGED, OME_UNSUPPORTED, OME_NOT_FOUND (reader.report, or
 * `reason`, which may be about the event log); OME_ASSERTED (`reason`; the engine's sequence says which command trips
 * an assertion of the core, and nothing else of the engine may be used); OME_IO_ERROR (reader.error); OME_NO_MEMORY. */
ome_status_t ome_replay_step(ome_replay_t *replay, uint64_t count_max);

/* Reads up to `count_max` commands and applies none: for a caller that only looks at them, and never steps. `count`
 * commands are read, whatever the status is; statuses as ome_replay_step, without OME_NO_MEMORY. */
ome_status_t ome_replay_read(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max, uint64_t *count);

/* Reads up to `count_max` commands, the first of all alone, which the caller then applies to `engine`, part by part
 * (ome_replay_part), by ome_replay_guard, and whose events it hands to ome_replay_take_events. Statuses as
 * ome_replay_step; `count` commands are read, whatever the status is. */
ome_status_t ome_replay_read_next(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max, uint64_t *count);

/* Says how many of the commands that were read, from the first on, an engine of one size takes, at least one: those
 * before the next DefineLimits. Where the first is one, the engine is moved to its limits if they are in range and hold
 * all that there is; otherwise it rejects it. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_replay_part(ome_replay_t *replay, const ome_command_t *commands, uint64_t count, uint64_t *part_count);

/* Moves the engine to other limits, for a caller that then writes a DefineLimits as the journal's next command. As
 * ome_engine_resize; OME_EMPTY: there is no engine yet. */
ome_status_t ome_replay_resize(ome_replay_t *replay, const ome_limits_t *limits);

/* Does work that applies commands to the engine. OME_OK; OME_ASSERTED, as ome_replay_step. */
ome_status_t ome_replay_guard(ome_replay_t *replay, void (*work)(void *context), void *context);

/* `status` is the status of ome_replay_read_next; returns it, or the error of the event log. */
ome_status_t ome_replay_take_events(ome_replay_t *replay, const ome_event_t *events, uint64_t count, ome_status_t status);

/* Writes a snapshot of the engine, after everything that was read is applied. It first syncs the segment that was read
 * last, so that no snapshot is ahead of its journal. It keeps the newest `keep_count`. OME_OK; OME_EMPTY: there is no
 * engine yet; OME_IO_ERROR (reader.error). */
ome_status_t ome_replay_snapshot(ome_replay_t *replay, uint32_t keep_count);

/* Hands the engine over; the caller unmaps its memory of ome_engine_size_bytes. NULL if the journal had no command. */
ome_engine_t *ome_replay_take_engine(ome_replay_t *replay);

/* Rolling hash of all events so far. */
uint64_t ome_replay_event_hash(const ome_replay_t *replay);

void ome_replay_close(ome_replay_t *replay);

#endif
