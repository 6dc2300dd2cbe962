/* A venue: rings, stages and threads around an engine, listeners, gateway, feed. For whom it is: ome_replay_face.h. */
#ifndef OME_VENUE_FACE_H
#define OME_VENUE_FACE_H

#include "concurrent/ome_thread.h"
#include "ome_replay_face.h"
#include "pipeline/ome_venue_config.h"
#include "wire/ome_curve_config.h"

/* ---- Venue: rings, stages and threads around an engine ---- */

typedef struct ome_venue ome_venue_t;

typedef struct
{
    uint64_t epoch;
    uint64_t cursor; /* last command sequenced */
    uint64_t durable; /* last command on disk */
    uint64_t published; /* last command whose events may be published; the highest possible number where all may */
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

/* Sequences `count` commands (64 bytes each), stamped with the venue's time now; those of several records whole, or a power cut between their
 * parts loses what was told of the first. Any thread. OME_OK; OME_FULL: busy;
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

/* Sets how often the process of the gateway was started anew. One thread calls this. */
void ome_venue_set_gateway_restarts(ome_venue_t *venue, uint64_t restart_count);

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

/* Makes a listener for `use` (ome_listen_use_t) on a descriptor that is bound, listens and does not
 * block; the descriptor stays the caller's. At most `connection_count_max` connections, which hold at most
 * `pool_size_bytes` together; a connection with `queue_size_max_bytes` waiting gets nothing more. With `curve`, which is
 * copied, connections are encrypted, and at first no key is admitted; NULL: they are not. OME_OK; OME_INVALID;
 * OME_NO_MEMORY; OME_IO_ERROR: errno. */
ome_status_t ome_venue_listen(ome_venue_t *venue, int listen_fd, ome_listen_use_t use, uint32_t connection_count_max,
    uint32_t part_size_max_bytes, uint32_t queue_size_max_bytes, uint64_t pool_size_bytes, const ome_curve_config_t *curve,
    ome_listener_t **listener);

/* From any thread: admits these keys and no others. They are in strictly increasing order of the bytes of the public key,
 * with ids from 1. Within half a second the connections end whose key is not among them, or has another id. OME_OK;
 * OME_INVALID: nothing has changed. */
ome_status_t ome_listener_admit_keys(ome_listener_t *listener, const ome_curve_key_t *keys, uint32_t count);

/* On the listener's thread: the id of the key with which a peer has proved who it is; 0: none. */
uint32_t ome_listener_key(const ome_listener_t *listener, uint64_t peer);

/* On the listener's thread: the descriptor of a peer's connection, which stays the listener's; -1: the peer is gone. */
int ome_listener_descriptor(const ome_listener_t *listener, uint64_t peer);

/* Tries for up to `linger_ms` to send the waiting bytes, and closes all connections. */
void ome_listener_destroy(ome_listener_t *listener, uint32_t linger_ms);

/* In a child of fork: closes its copies of the connections, and does nothing else. The child must not use the
 * listener. */
void ome_listener_abandon(const ome_listener_t *listener);

/* ---- Gateway: order entry ---- */

typedef struct ome_gateway ome_gateway_t;

/* Registers as the reader "gateway"; before the venue starts. `event_fd` is an eventfd that wakes it. OME_OK;
 * OME_INVALID: the options; OME_NO_MEMORY; as ome_venue_register. */
ome_status_t ome_gateway_create(
    ome_venue_t *venue, ome_listener_t *listener, int event_fd, const ome_gateway_options_t *options, ome_gateway_t **gateway);
void ome_gateway_destroy(ome_gateway_t *gateway);

/* Works until there is something for the caller, or for about `timeout_ms`. */
ome_gateway_outcome_t ome_gateway_run(ome_gateway_t *gateway, uint32_t timeout_ms);

/* The connection and the 88 bytes of a message, zeros behind a shorter one; the event (64 bytes) of a definition. Valid
 * until the next run. */
uint64_t ome_gateway_peer(const ome_gateway_t *gateway);
const uint8_t *ome_gateway_message(const ome_gateway_t *gateway);
const void *ome_gateway_event(const ome_gateway_t *gateway);

/* Sequences commands of the caller. OME_OK; OME_FULL: busy; OME_STOPPED. */
ome_status_t ome_gateway_submit(ome_gateway_t *gateway, const void *commands, uint32_t count);

/* By session: 1 for one that is connected. For any thread, as long as the gateway lives. */
const uint8_t *ome_gateway_connected(const ome_gateway_t *gateway);

/* Binds a session to a connection, and ends earlier bindings of both. A session that is not defined yet is defined with
 * its first command. OME_OK; OME_NOT_FOUND: the connection is gone. `begin` comes after the answer to the logon: the
 * session's reports follow from that number on; 0: only new ones. */
ome_status_t ome_gateway_bind(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon);
void ome_gateway_begin(ome_gateway_t *gateway, uint16_t session, uint64_t next_report_sequence);

/* Gives a drop copy of a participant this connection, and a number behind those of sessions, under which the functions for sessions know it:
 * it is sent the reports of all the participant's sessions under numbers of their own, and may send no commands. Any session of the connection
 * ends. The logon's session, name and flags mean nothing. OME_OK; OME_FULL: there are as many as there may be, of the participant or of all;
 * OME_NOT_FOUND: the connection is gone. */
ome_status_t ome_gateway_bind_copy(ome_gateway_t *gateway, const ome_gateway_logon_t *logon, uint16_t *number);

/* A session has logged out; or the server ends it, with a Logout that says why. */
void ome_gateway_log_out(ome_gateway_t *gateway, uint16_t session);
void ome_gateway_end_session(ome_gateway_t *gateway, uint16_t session, uint8_t reason);

/* A session that has ended since the last call; session 0: none. */
ome_gateway_end_t ome_gateway_take_end(ome_gateway_t *gateway);

/* The first session of a connection, or 0; the next one of the same connection, or 0; what is known about a session,
 * from 1 to the limit. */
uint16_t ome_gateway_session_of(const ome_gateway_t *gateway, uint64_t peer);
uint16_t ome_gateway_next_session(const ome_gateway_t *gateway, uint16_t session);
void ome_gateway_look(const ome_gateway_t *gateway, uint16_t session, ome_gateway_session_t *look);

/* After OME_GATEWAY_DEFINED, of a session: whether it is a definition that the gateway itself had sequenced for the session that has the
 * number, and so no answer to anybody who waits for the number. */
int ome_gateway_is_own_definition(const ome_gateway_t *gateway);

/* After OME_GATEWAY_DEFINED, of a session: the engine refused it, and its client has to log on again, unless it is another
 * session that has the number; or the session takes its number from another one, of which nothing is known any more. */
void ome_gateway_undefine(ome_gateway_t *gateway, uint16_t session);

/* Sends one frame to a connection; or reads nothing from it for `duration_ms`. OME_OK; OME_FULL; OME_NOT_FOUND. */
ome_status_t ome_gateway_send(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes);
void ome_gateway_pause(ome_gateway_t *gateway, uint64_t peer, uint32_t duration_ms);

/* After OME_GATEWAY_REPORTS_WANTED: which reports. They are given at any time: whole messages of that session, up to
 * 4096, from the number wanted on, or from a later one where those before are gone; none: there are none any more. */
void ome_gateway_wanted(const ome_gateway_t *gateway, ome_gateway_wanted_t *wanted);
void ome_gateway_give_reports(ome_gateway_t *gateway, uint32_t request, const uint8_t *reports, uint32_t count);

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
