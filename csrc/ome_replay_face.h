/* Replay: an engine from a journal. Beside ome.h, whose conventions hold here too. It is for Python (cffi_build.py reads it) and for tests;
 * it is not installed for C programs. */
#ifndef OME_REPLAY_FACE_H
#define OME_REPLAY_FACE_H

#include "abi/ome_choices.h"
#include "ome.h"

typedef struct ome_replay ome_replay_t;

typedef struct
{
    uint64_t last_sequence; /* last command of the journal so far */
    uint64_t epoch; /* of the last segment */
    uint64_t segment_count; /* read so far */
    uint64_t offset; /* in the file at `path`: the end of what is valid */
    uint64_t sequence_expected;
    uint64_t sequence_found; /* of the record that should not be there, or that trips an assertion; 0: none */
    uint64_t torn_bytes; /* after the last valid record, when torn */
    uint64_t event_hash; /* rolling, over all events so far */
    uint64_t snapshot_sequence; /* of the snapshot that the replay began with; 0: none */
    uint64_t events_checked; /* events that are equal in the event log */
    uint64_t events_missing; /* events of the replay that the event log lacks at its end */
    uint64_t events_ahead; /* events of the log after the journal's end */
    uint64_t events_right; /* if the event log is wrong: the number of its last right event */
    uint64_t quarantined; /* quarantined commands so far */
    uint64_t snapshots_refused; /* snapshots that are broken or of another version */
    const char *refused_path; /* the first of them, and why */
    const char *refused_reason;
    const char *reason; /* what is wrong; NULL when nothing is */
    const char *path; /* the segment */
    const char *error_call; /* the system call that failed; NULL: none */
    const char *error_path;
    int32_t error_number; /* errno */
    int32_t verdict; /* ome_journal_verdict_t */
    uint64_t configuration_hash; /* in the header of the last segment */
    uint32_t record_checksum; /* of the last command's record in the journal */
    uint32_t is_of_event_log; /* the error is in the event log; `path`, `offset` and sequences are those of the log */
    uint32_t is_of_decisions; /* the error is in the decisions about the journal */
    uint32_t events_differ; /* the event log's bytes are right, and the event after `events_right` is not that of the journal */
} ome_replay_report_t;

/* Opens the journal in `directory`, which must exist, and reads the decisions about it. `flags`:
 * ome_replay_flags_t. OME_OK; OME_INVALID: the name is too long; OME_NO_MEMORY; otherwise as ome_replay_step: then
 * there is a replay all the same, whose report says why. */
ome_status_t ome_replay_create(const char *directory, uint32_t flags, ome_replay_t **replay);
void ome_replay_destroy(ome_replay_t *replay);

/* Makes a replay that has read nothing begin with the command of that sequence, for a caller that only reads; or after
 * the snapshot of that sequence. OME_OK; OME_INVALID: it is 0; OME_NOT_FOUND: there is no such snapshot; otherwise as
 * ome_replay_step. */
ome_status_t ome_replay_begin_with(ome_replay_t *replay, uint64_t sequence);
ome_status_t ome_replay_begin_behind(ome_replay_t *replay, uint64_t snapshot_sequence);

/* Applies up to `count_max` commands. OME_OK: there may be more; OME_EMPTY: the journal ends here; OME_DAMAGED,
 * OME_UNSUPPORTED, OME_NOT_FOUND, OME_IO_ERROR: see the report; OME_ASSERTED: a command trips an assertion of the core,
 * both are in the report, and the engine is lost; OME_NO_MEMORY. */
ome_status_t ome_replay_step(ome_replay_t *replay, uint64_t count_max);

/* As ome_replay_step, and returns what it applied: `count` commands of 64 bytes each in `commands`, which has room for
 * `count_max`, and where they are not 0 their events in `batch`. The first command of a journal comes alone. These
 * `count` commands are applied, whatever the function returns. */
ome_status_t ome_replay_step_into(ome_replay_t *replay, ome_batch_t *batch, void *commands, uint64_t count_max, uint64_t *count);

/* Reads up to `count_max` commands and applies none; not to be mixed with steps. `count` and what is returned: as
 * ome_replay_step_into. */
ome_status_t ome_replay_commands(ome_replay_t *replay, void *commands, uint64_t count_max, uint64_t *count);

/* Writes a snapshot of the state so far, which is on disk when this returns, and keeps the newest `keep_count`. OME_OK;
 * OME_EMPTY: there is no engine yet; OME_INVALID; OME_IO_ERROR: see the report. */
ome_status_t ome_replay_snapshot(ome_replay_t *replay, uint32_t keep_count);

/* As ome_replay_step, and ome_replay_snapshot, in a thread that the system runs only while a core is idle, and that
 * gives way to every other thread as soon as one wakes; the caller waits for its end. */
ome_status_t ome_replay_step_idle(ome_replay_t *replay, uint64_t count_max);
ome_status_t ome_replay_snapshot_idle(ome_replay_t *replay, uint32_t keep_count);

/* Moves the engine to other limits, for a caller that then sequences DefineLimits as the next command. As
 * ome_engine_resize; OME_EMPTY: there is no engine yet. */
ome_status_t ome_replay_resize(ome_replay_t *replay, const ome_limits_t *limits);

/* The engine so far; NULL before the first command. Another one after a change of limits. */
const ome_engine_t *ome_replay_engine(const ome_replay_t *replay);

/* The texts live as long as the replay. */
void ome_replay_report(const ome_replay_t *replay, ome_replay_report_t *report);

#endif
