/* The gateway's loop: it puts frames from clients into the inbound ring, and sends events that may be sent back to
 * clients as execution reports.
 *
 * One thread, with one socket and one reader of the outbound stream. The loop hands rare things (a logon, a logout, a
 * definition that took effect, reports that are no longer in memory) to its caller and continues afterwards.
 *
 * Commands. A session's messages are numbered, and the gateway takes them in order, each once: what comes again is answered by the reports
 * that it caused; what comes too early, or may not be taken now, is refused from there on, with the number that is expected. So frames that
 * are under way cannot overtake a refused one.
 *
 * Reports. Every report of a session is kept in memory for a while, whether it is connected or not. A session is sent its reports in order,
 * from the number that it asks for: those in memory, or what the caller reads from the journal. A session that is behind is served at the
 * pace at which it reads; one that is not, and does not read, ends (Logout, SLOW_CONSUMER). Nobody waits for a session.
 *
 * Drop copies. A connection may be sent the reports of all sessions of a participant, in their order and with numbers of their own, and in all
 * that follows from them it is as a session; it sends no commands, and is no session in the engine.
 *
 * Ends. A session ends when its connection does, when it does not read, or when it sends nothing for three heartbeats. Where it has chosen
 * so, its orders are cancelled by a command then.
 *
 * A session is defined in the engine, and so in the journal, with its first command: a client that only logs on leaves no trace.
 * A bad frame is answered with a FrameReject and counted; it never reaches the ring. */
#ifndef OME_GATEWAY_H
#define OME_GATEWAY_H

#include "abi/ome_choices.h"
#include "abi/ome_status.h"
#include "base/ome_counters.h"
#include "concurrent/ome_ingress.h"
#include "concurrent/ome_published.h"
#include "wire/ome_frame.h"
#include "wire/ome_link.h"
#include "wire/ome_report_history.h"
#include "wire/ome_reports.h"
#include "wire/ome_runs.h"
#include "wire/ome_session_table.h"
#include "wire/ome_socket.h"
#include "wire/ome_throttle.h"

#define OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX 256u
#define OME_GATEWAY_ARCHIVE_COUNT_MAX 4096u /* reports that the caller gives at once */
#define OME_GATEWAY_HISTORY_COUNT_MIN 4096u
#define OME_GATEWAY_COPIES_OF_PARTICIPANT_MAX 8u

/* Written by the gateway alone. */
typedef struct
{
    ome_counter_t *frames_in;
    ome_counter_t *messages_in;
    ome_counter_t *frames_rejected;
    ome_counter_t *messages_busy;
    ome_counter_t *messages_seen;
    ome_counter_t *messages_throttled;
    ome_counter_t *reports;
    ome_counter_t *reports_resent;
    ome_counter_t *reports_undelivered;
    ome_counter_t *sessions;
    ome_counter_t *sessions_ended;
    ome_counter_t *disconnect_cancels;
    ome_counter_t *orders_storage_low;
    ome_report_counters_t made;
} ome_gateway_counters_t;

typedef struct
{
    ome_ingress_t ingress; /* in a process of its own: the clock alone */
    ome_reader_t reader;   /* in the engine's process */
    ome_link_t *link;      /* in a process of its own; NULL: it is a thread of the engine's */
    bool (*is_open)(void *context);     /* whether commands are taken */
    uint8_t (*storage)(void *context);  /* ome_storage_t: what is refused because room is short */
    void *context;
    const ome_socket_t *socket;
    ome_gateway_counters_t counters;
    ome_throttle_limits_t throttle;
    uint32_t order_count_max;
    uint32_t session_count_max;
    uint32_t connection_slot_max; /* of the socket's peers */
    uint32_t history_count;       /* reports kept in memory; a power of two, at least OME_GATEWAY_HISTORY_COUNT_MIN */
    int event_fd; /* wakes the loop when there is something to read */
} ome_gateway_config_t;

typedef struct ome_gateway ome_gateway_t;

uint64_t ome_gateway_size_bytes(const ome_gateway_config_t *config);

/* Lays a gateway out in zeroed memory aligned to a cache line, and takes over the engine's sessions and live orders; before the threads
 * start. In a process of its own there is no engine, and ome_gateway_take_over follows. Sessions that want their orders cancelled when they are not connected have them cancelled first. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_gateway_init(
    ome_gateway_t **gateway, void *memory, uint64_t size_bytes, const ome_gateway_config_t *config, const ome_engine_t *engine);

/* In a process of its own, after ome_gateway_init without an engine: reads what the engine's process tells about sessions and reports of
 * before. OME_OK: it is all there, and the gateway can work; OME_EMPTY: not yet. */
ome_status_t ome_gateway_take_over(ome_gateway_t *gateway);

/* Sequences commands of the caller, of which nobody keeps a number. OME_OK; OME_FULL: busy; OME_STOPPED. */
ome_status_t ome_gateway_submit(ome_gateway_t *gateway, const void *commands, uint32_t count);

/* Works until there is something for the caller, or for about `timeout_ms`. */
ome_gateway_outcome_t ome_gateway_run(ome_gateway_t *gateway, uint32_t timeout_ms);

/* The connection and the bytes of a message, zeros behind it; the event of a definition. Valid until the next call of ome_gateway_run. */
uint64_t ome_gateway_peer(const ome_gateway_t *gateway);
const uint8_t *ome_gateway_message(const ome_gateway_t *gateway);
const void *ome_gateway_event(const ome_gateway_t *gateway);

/* Gives a session its connection, and ends what either had before. A session that is not defined yet (`is_defined` 0)
 * is defined with its first command. OME_OK; OME_NOT_FOUND: the connection is gone. */
ome_status_t ome_gateway_bind(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon);

/* Gives a drop copy of a participant this connection, and a number behind those of sessions, under which the functions for sessions know it:
 * it is sent the reports of all the participant's sessions under numbers of their own, and may send no commands. Any session of the connection
 * ends. The logon's session, name and flags mean nothing. OME_OK; OME_FULL: there are as many as there may be, of the participant or of all;
 * OME_NOT_FOUND: the connection is gone. */
ome_status_t ome_gateway_bind_copy(ome_gateway_t *gateway, const ome_gateway_logon_t *logon, uint16_t *number);

/* After the answer to a logon: its reports follow, from this number on; 0: only new ones. */
void ome_gateway_begin(ome_gateway_t *gateway, uint16_t session, uint64_t next_report_sequence);

/* A session has logged out; nothing where it has no connection. */
void ome_gateway_log_out(ome_gateway_t *gateway, uint16_t session);

/* The first session of a connection, or 0; the next one of the same connection, or 0. */
uint16_t ome_gateway_session_of(const ome_gateway_t *gateway, uint64_t peer);
uint16_t ome_gateway_next_session(const ome_gateway_t *gateway, uint16_t session);

/* What is known of a session, from 1 to the most there may be. */
void ome_gateway_look(const ome_gateway_t *gateway, uint16_t session, ome_gateway_session_t *look);

/* By session: 1 for one that has a connection. Any thread may read it, as an atomic value. */
const uint8_t *ome_gateway_connected(const ome_gateway_t *gateway);

/* After OME_GATEWAY_DEFINED, of a session: whether it is a definition that the gateway itself had sequenced for the session that has the
 * number, and so no answer to anybody who waits for the number. */
int ome_gateway_is_own_definition(const ome_gateway_t *gateway);

/* After OME_GATEWAY_DEFINED, of a session: the engine refused it, and it has to log on again, unless the number is another one's; or the
 * number, which was another one's, is this session's now. What was known of the one that had the number is forgotten. */
void ome_gateway_undefine(ome_gateway_t *gateway, uint16_t session);

/* Sends one frame to a connection. OME_OK; OME_FULL; OME_NOT_FOUND. */
ome_status_t ome_gateway_send(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes);

/* Ends a session, and its connection where it has no other, with a Logout that says why. */
void ome_gateway_end_session(ome_gateway_t *gateway, uint16_t session, uint8_t reason);

/* A session that has ended since the last call; session 0: none. */
ome_gateway_end_t ome_gateway_take_end(ome_gateway_t *gateway);

/* Reads nothing from a connection for so long. */
void ome_gateway_pause(ome_gateway_t *gateway, uint64_t peer, uint32_t duration_ms);

/* After OME_GATEWAY_REPORTS_WANTED: which. The caller answers with ome_gateway_give_reports, at any time. */
void ome_gateway_wanted(const ome_gateway_t *gateway, ome_gateway_wanted_t *wanted);

/* Answers a question with reports, whole messages, up to OME_GATEWAY_ARCHIVE_COUNT_MAX: from the number wanted on, or from a later one where
 * those before are gone. None: there are none any more, and the session goes on with what is in memory. */
void ome_gateway_give_reports(ome_gateway_t *gateway, uint32_t request, const uint8_t *reports, uint32_t count);

#endif
