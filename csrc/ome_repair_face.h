/* Repair of a journal, and a look at what is stored. For whom it is: ome_replay_face.h. */
#ifndef OME_REPAIR_FACE_H
#define OME_REPAIR_FACE_H

#include "ome_replay_face.h"

/* ---- Repair: on a directory that no other process uses ---- */

typedef struct
{
    uint64_t sequence; /* of the command */
    uint64_t time_ns; /* of the decision, since 1970 */
    uint32_t checksum; /* of the command's record */
    uint32_t kind; /* ome_decision_kind_t */
    uint32_t is_void; /* a later cut has made it void */
    uint32_t reserved;
} ome_decision_view_t;

/* The decision of that index, from 0, that a replay has read. OME_OK; OME_NOT_FOUND: there are not so many. */
ome_status_t ome_replay_decision(const ome_replay_t *replay, uint32_t index, ome_decision_view_t *look);

/* Makes a replay that has read nothing assume that a command is quarantined. OME_OK; OME_FULL. */
ome_status_t ome_replay_suppose(ome_replay_t *replay, uint64_t sequence, uint32_t checksum);

/* Makes a decision, now; it is on disk when this returns OME_OK. OME_OK; OME_FULL: there are 1,024; OME_INVALID;
 * OME_NO_MEMORY; OME_IO_ERROR: errno; OME_DAMAGED, OME_UNSUPPORTED, OME_NOT_FOUND: the existing decisions. */
ome_status_t ome_decision_make(const char *directory, uint32_t kind, uint64_t sequence, uint32_t checksum);

typedef struct
{
    uint64_t last_sequence; /* the highest sequence of a readable record; 0: there is none */
    uint64_t record_count; /* readable records */
    uint64_t segment_count; /* whole segments */
} ome_replay_loss_t;

/* What a cut at the damage that the replay has found would lose. OME_OK; OME_INVALID: it has found no damage;
 * OME_IO_ERROR: see the report. */
ome_status_t ome_replay_survey(ome_replay_t *replay, ome_replay_loss_t *loss);

/* Cuts the journal at the damage that the replay has found; nothing is removed. Afterwards only the report may be read.
 * As ome_replay_survey. */
ome_status_t ome_replay_cut(ome_replay_t *replay);

/* Makes the journal begin after the snapshot that the replay, which has applied nothing, began with; nothing is
 * removed. Afterwards only the report may be read. OME_OK; OME_INVALID: it began with no snapshot; OME_DAMAGED: the
 * records after it are of another journal; OME_UNSUPPORTED: they are of version 1; OME_IO_ERROR: see the report. */
ome_status_t ome_replay_begin_journal(ome_replay_t *replay);

/* Truncates the event log of a directory after that event, and saves the bytes to files; the next start completes the
 * log. OME_OK; OME_NOT_FOUND: the log has no event up to there; OME_INVALID; OME_NO_MEMORY; OME_IO_ERROR: errno. */
ome_status_t ome_event_log_cut(const char *directory, uint64_t last_number);

/* ---- Scan: whether stored segments are what was written, without a replay ---- */

typedef struct ome_scan ome_scan_t;

typedef struct
{
    uint64_t sequence; /* of the last record read */
    uint64_t offset; /* in the file at `path`: the end of what is valid */
    const char *path; /* the segment */
    const char *reason; /* what is wrong; NULL when nothing is */
    const char *error_call; /* the system call that failed; NULL: none */
    int32_t error_number; /* errno */
    int32_t reserved;
} ome_scan_report_t;

/* Opens the segments of a kind, commands or events (ome_journal_kind_t), in `directory`, from the one that holds that sequence on. A
 * server may be writing there. OME_OK; OME_INVALID: the name is too long, the sequence is 0, or there is no such kind;
 * OME_NO_MEMORY. */
ome_status_t ome_scan_create(const char *directory, uint32_t kind, uint64_t first_sequence, ome_scan_t **scan);
void ome_scan_destroy(ome_scan_t *scan);

/* Reads up to `count_max` records and drops them, in a thread that the system runs only while a core is idle; the
 * caller waits. `size_bytes`: how many bytes they were. OME_OK: there may be more; OME_EMPTY: the segments end here;
 * OME_DAMAGED, OME_UNSUPPORTED, OME_NOT_FOUND, OME_IO_ERROR: see the report; OME_NO_MEMORY. */
ome_status_t ome_scan_step_idle(ome_scan_t *scan, uint64_t count_max, uint64_t *size_bytes);

/* The texts live as long as the scan. */
void ome_scan_report(const ome_scan_t *scan, ome_scan_report_t *report);

/* Reads a part of an open file in such a thread; the caller waits. `read_bytes`: fewer only if the file ends. OME_OK;
 * OME_IO_ERROR: errno; OME_NO_MEMORY. */
ome_status_t ome_read_idle(int file, uint64_t offset, void *data, uint64_t size_bytes, uint64_t *read_bytes);

/* ---- Snapshots ---- */

typedef struct
{
    uint64_t state_hash;
    uint64_t event_hash; /* rolling, of all events up to it */
    uint64_t event_count;
    uint32_t journal_checksum; /* chain checksum of the journal's records up to it */
    uint32_t reserved;
    uint64_t offset; /* in the file, where it is not what was written */
    const char *reason; /* why; a constant, NULL otherwise */
} ome_snapshot_view_t;

/* Restores the snapshot of a sequence in `directory`, fills `look` and frees the engine: nothing is changed. OME_OK;
 * OME_NOT_FOUND; OME_DAMAGED, OME_UNSUPPORTED: `look` says why; OME_IO_ERROR: errno; OME_INVALID: the directory's name
 * is too long; OME_NO_MEMORY. */
ome_status_t ome_snapshot_inspect(const char *directory, uint64_t sequence, ome_snapshot_view_t *look);

#endif
