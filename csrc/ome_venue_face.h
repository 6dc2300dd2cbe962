/* The part of the C library that runs a venue: replay of a journal, stages and threads, gateway, feed. Python uses it
 * together with ome.h, whose conventions hold here too (cffi_build.py reads both). It is not installed for C programs,
 * and may change with every version. */
#ifndef OME_VENUE_FACE_H
#define OME_VENUE_FACE_H

#include "ome.h"
#include "pipeline/ome_venue_config.h"

/* ---- Replay: an engine from a journal ---- */

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
    int32_t verdict; /* 0 reading, 1 clean, 2 torn, 3 damaged, 4 unsupported, 5 absent */
    uint64_t configuration_hash; /* in the header of the last segment */
    uint32_t record_checksum; /* of the last command's record in the journal */
    uint32_t is_of_event_log; /* the error is in the event log; `path`, `offset` and sequences are those of the log */
    uint32_t is_of_decisions; /* the error is in the decisions about the journal */
    uint32_t events_differ; /* the event log's bytes are right, and the event after `events_right` is not that of the journal */
} ome_replay_report_t;

/* Opens the journal in `directory`, which must exist, and reads the decisions about it. `flags`: 1, a server may be
 * writing it; 2, begin with the newest whole snapshot; 4, rename broken snapshots; 8, compare the events with the event
 * log, if there is one. OME_OK; OME_INVALID: the name is too long; OME_NO_MEMORY; otherwise as ome_replay_step: then
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

/* ---- Repair: on a directory that no other process uses ---- */

typedef struct
{
    uint64_t sequence; /* of the command */
    uint64_t time_ns; /* of the decision, since 1970 */
    uint32_t checksum; /* of the command's record */
    uint32_t kind; /* 1 quarantine, 2 cut before it, 3 begin with it */
    uint32_t is_void; /* a later cut has made it void */
    uint32_t reserved;
} ome_decision_look_t;

/* The decision of that index, from 0, that a replay has read. OME_OK; OME_NOT_FOUND: there are not so many. */
ome_status_t ome_replay_decision(const ome_replay_t *replay, uint32_t index, ome_decision_look_t *look);

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

/* Opens the segments of a kind, 1 commands, 2 events, in `directory`, from the one that holds that sequence on. A
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
} ome_snapshot_look_t;

/* Restores the snapshot of a sequence in `directory`, fills `look` and frees the engine: nothing is changed. OME_OK;
 * OME_NOT_FOUND; OME_DAMAGED, OME_UNSUPPORTED: `look` says why; OME_IO_ERROR: errno; OME_INVALID: the directory's name
 * is too long; OME_NO_MEMORY. */
ome_status_t ome_snapshot_inspect(const char *directory, uint64_t sequence, ome_snapshot_look_t *look);

/* ---- Venue: rings, stages and threads around an engine ---- */

typedef struct ome_venue ome_venue_t;

typedef struct
{
    uint64_t epoch;
    uint64_t cursor; /* last command sequenced */
    uint64_t durable; /* last command on disk */
    uint64_t deadline_ns; /* when the next order expires; 0: none does */
    uint64_t time_ns; /* the timestamp that a command would get now */
    uint64_t events_durable; /* number of the last event that the event log has on disk; without a log, the highest possible number */
    const char *error_call; /* the system call that failed; NULL: none */
    const char *error_path;
    int32_t error_number; /* errno */
    int32_t is_failed;
    int32_t is_drained;
    int32_t reserved;
} ome_venue_view_t;

/* With a journal (policy commit or async): `replay` has been stepped to OME_EMPTY; its engine becomes the venue's, or
 * where the journal is empty `engine` does; if it has checked events, the venue writes an event log. Without (policy
 * memory): `replay` and `config->directory` are NULL. `engine` is owned by the venue from now on, whatever is returned.
 * OME_OK; OME_INVALID: a slot count, reader count, policy or strategy; OME_NO_MEMORY; OME_IO_ERROR: see `view`;
 * OME_DAMAGED; OME_UNSUPPORTED; OME_NOT_FOUND. */
ome_status_t ome_venue_create(
    ome_replay_t *replay, ome_engine_t *engine, const ome_venue_config_t *config, ome_venue_t **venue, ome_venue_view_t *view);

/* Starts the threads. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_venue_start(ome_venue_t *venue);

/* Sequences `count` commands (64 bytes each), stamped with the venue's time now. Any thread. OME_OK; OME_FULL: busy;
 * OME_STOPPED; OME_INVALID: more than the ring has slots. */
ome_status_t ome_venue_submit(ome_venue_t *venue, const void *commands, uint32_t count);

/* Takes no new commands from now on; the readers continue until the view says that the venue is drained. */
void ome_venue_stop(ome_venue_t *venue);

void ome_venue_look(const ome_venue_t *venue, ome_venue_view_t *view);

/* Sets how much room the journal's directory has, which decides what the gateway refuses. One thread. */
void ome_venue_set_storage(ome_venue_t *venue, uint64_t free_bytes, ome_storage_t storage);

/* Sets how far the check of stored segments has come: bytes read, passes over all of them, and damaged places found in
 * the last pass or in this one. One thread. */
void ome_venue_set_check(ome_venue_t *venue, uint64_t size_bytes, uint64_t pass_count, uint64_t damage_count);

typedef struct
{
    uint64_t time_ns; /* the venue's, since 1970 */
    int64_t difference_ns; /* of the machine's clock to it: above 0, the machine's is ahead */
    uint64_t jump_count; /* how often the venue stopped following the machine's clock */
    int32_t is_held; /* they differ by more than 1.5 s: the venue's time advances by itself until the clock agrees again or is accepted */
    int32_t reserved;
} ome_venue_clock_view_t;

/* The venue's time advances with a steady clock (CLOCK_BOOTTIME) and follows the machine's clock as long as both agree.
 * One thread calls these, every 50 ms or so, with both clocks of one moment: the first compares; the second makes the
 * machine's clock the venue's time, earlier or later. */
void ome_venue_follow_clock(ome_venue_t *venue, uint64_t steady_ns, uint64_t wall_ns, ome_venue_clock_view_t *view);
void ome_venue_accept_clock(ome_venue_t *venue, uint64_t steady_ns, uint64_t wall_ns, ome_venue_clock_view_t *view);

/* Sets how many of the caller's background threads fail now, and how many of their attempts failed so far. One thread
 * at a time. */
void ome_venue_set_threads(ome_venue_t *venue, uint64_t failing_count, uint64_t failure_count);

/* For reading, before the start or after the venue is drained. */
const ome_engine_t *ome_venue_engine(const ome_venue_t *venue);

/* Ends the threads, seals the journal, frees everything. OME_OK or OME_IO_ERROR. */
ome_status_t ome_venue_destroy(ome_venue_t *venue);

/* Makes a reader of published events, before the start; it must read until the venue is drained. `name` lives as long
 * as the venue. OME_OK; OME_INVALID: another reader has the name; OME_FULL: there are as many as the configuration
 * says. */
ome_status_t ome_venue_register(ome_venue_t *venue, const char *name);

/* Reads published events as the reader of that name into `events`; waits up to `timeout_ns` for the first. Returns how
 * many. */
uint32_t ome_venue_read(ome_venue_t *venue, const char *name, void *events, uint32_t count_max, uint64_t timeout_ns);

/* ---- Listeners: the server's end of connections ---- */

typedef struct ome_listener ome_listener_t;

/* Makes a listener for order entry (`is_feed` 0) or market data on a descriptor that is bound, listens and does not
 * block; the descriptor stays the caller's. At most `connection_count_max` connections, which hold at most
 * `pool_size_bytes` together; a connection with `queue_size_max_bytes` waiting gets nothing more. OME_OK; OME_INVALID;
 * OME_NO_MEMORY; OME_IO_ERROR: errno. */
ome_status_t ome_venue_listen(ome_venue_t *venue, int listen_fd, int is_feed, uint32_t connection_count_max, uint32_t part_size_max_bytes,
    uint32_t queue_size_max_bytes, uint64_t pool_size_bytes, ome_listener_t **listener);

/* Tries for up to `linger_ms` to send the waiting bytes, and closes all connections. */
void ome_listener_destroy(ome_listener_t *listener, uint32_t linger_ms);

/* In a child of fork: closes its copies of the connections, and does nothing else. The child must not use the
 * listener. */
void ome_listener_abandon(const ome_listener_t *listener);

/* ---- Gateway: order entry ---- */

typedef struct ome_gateway ome_gateway_t;

/* Registers as the reader "gateway"; before the venue starts. `event_fd` is an eventfd that wakes it. OME_OK;
 * OME_NO_MEMORY; as ome_venue_register. */
ome_status_t ome_gateway_create(ome_venue_t *venue, ome_listener_t *listener, int event_fd, ome_gateway_t **gateway);
void ome_gateway_destroy(ome_gateway_t *gateway);

/* Works until there is something for the caller, or for about `timeout_ms`. */
ome_gateway_outcome_t ome_gateway_run(ome_gateway_t *gateway, uint32_t timeout_ms);

/* The connection and the 64 bytes of a message; the event (64 bytes) of a definition. Valid until the next run. */
uint64_t ome_gateway_peer(const ome_gateway_t *gateway);
const uint8_t *ome_gateway_message(const ome_gateway_t *gateway);
const void *ome_gateway_event(const ome_gateway_t *gateway);

/* Binds a session to a connection, and ends earlier bindings of both; or unbinds it. A session that is not defined yet
 * is defined with its first command. OME_OK; OME_NOT_FOUND: the connection is gone. */
ome_status_t ome_gateway_bind(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon);
void ome_gateway_unbind(ome_gateway_t *gateway, uint16_t session);

/* The session of a connection, or 0; what is known about a session, from 1 to the limit. */
uint16_t ome_gateway_session_of(const ome_gateway_t *gateway, uint64_t peer);
void ome_gateway_look(const ome_gateway_t *gateway, uint16_t session, ome_gateway_session_t *look);

/* The engine refused to define a session: its client has to log on again. */
void ome_gateway_undefine(ome_gateway_t *gateway, uint16_t session);

/* Sends one frame to a connection; or reads nothing from it for `duration_ms`. OME_OK; OME_FULL; OME_NOT_FOUND. */
ome_status_t ome_gateway_send(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes);
void ome_gateway_pause(ome_gateway_t *gateway, uint64_t peer, uint32_t duration_ms);

/* ---- Feed: market data ---- */

typedef struct ome_feed ome_feed_t;

/* Registers as the reader "feed"; before the venue starts. `event_fd` is an eventfd that wakes it; a snapshot has up to
 * `snapshot_level_count_max` levels of a side; `epoch` distinguishes this start from others. OME_OK; OME_INVALID: the
 * count; OME_NO_MEMORY. */
ome_status_t ome_feed_create(
    ome_venue_t *venue, ome_listener_t *listener, int event_fd, uint32_t snapshot_level_count_max, uint32_t epoch, ome_feed_t **feed);
void ome_feed_destroy(ome_feed_t *feed);

/* Works, and sleeps when there is nothing to do, for about `timeout_ms`. OME_OK; OME_STOPPED: the socket is closed. */
ome_status_t ome_feed_run(ome_feed_t *feed, uint32_t timeout_ms);

#endif
