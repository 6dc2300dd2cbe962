/* The gateway's loop: it puts frames from clients into the inbound ring, and sends events that may be sent back to
 * clients as execution reports.
 *
 * One thread, with one socket and one reader of the outbound stream. The loop hands rare things (a logon, a logout, a
 * definition that took effect) to its caller and continues afterwards.
 *
 * A session is defined in the engine, and so in the journal, with its first command: a client that only logs on
 * leaves no trace.
 *
 * A session ends when its connection does, when it does not read (Logout, SLOW_CONSUMER), or when it asked to be
 * watched and sent nothing for three heartbeats. Nobody waits for it. If a client sends bad frames or heartbeats
 * without end, the gateway reads it more slowly.
 *
 * Every loss is counted: a report for a session without a connection, or with one that does not read, is counted as
 * undelivered, and the session's report sequence shows the gap. A bad frame is answered with a FrameReject and counted;
 * it never reaches the ring. Nor does a new order while storage is low: the gateway answers it at once, and it takes no
 * room in the journal. */
#ifndef OME_GATEWAY_H
#define OME_GATEWAY_H

#include "abi/ome_choices.h"
#include "abi/ome_status.h"
#include "base/ome_counters.h"
#include "concurrent/ome_ingress.h"
#include "concurrent/ome_published.h"
#include "wire/ome_frame.h"
#include "wire/ome_reports.h"
#include "wire/ome_session_table.h"
#include "wire/ome_socket.h"

#define OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX 256u

/* Written by the gateway alone. */
typedef struct
{
    ome_counter_t *frames_in;
    ome_counter_t *messages_in;
    ome_counter_t *frames_rejected;
    ome_counter_t *messages_busy;
    ome_counter_t *reports;
    ome_counter_t *reports_undelivered;
    ome_counter_t *sessions;
    ome_counter_t *sessions_ended;
    ome_counter_t *orders;
    ome_counter_t *cancels;
    ome_counter_t *rejects;
    ome_counter_t *orders_storage_low;
    ome_histogram_t *report_latency;
} ome_gateway_counters_t;

typedef struct
{
    ome_ingress_t ingress;
    ome_reader_t reader;
    bool (*is_open)(void *context);     /* whether commands are taken */
    uint8_t (*storage)(void *context);  /* ome_storage_t: what is refused because room is short */
    void *context;
    const ome_socket_t *socket;
    ome_gateway_counters_t counters;
    uint32_t order_count_max;
    uint32_t session_count_max;
    uint32_t connection_slot_max; /* of the socket's peers */
    int event_fd; /* wakes the loop when there is something to read */
} ome_gateway_config_t;

typedef struct ome_gateway ome_gateway_t;

uint64_t ome_gateway_size_bytes(const ome_gateway_config_t *config);

/* Lays a gateway out in zeroed memory aligned to a cache line, and takes over the engine's resting orders; before the
 * threads start. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_gateway_init(
    ome_gateway_t **gateway, void *memory, uint64_t size_bytes, const ome_gateway_config_t *config, const ome_engine_t *engine);

/* Works until there is something for the caller, or for about `timeout_ms`. */
ome_gateway_outcome_t ome_gateway_run(ome_gateway_t *gateway, uint32_t timeout_ms);

/* The connection and the 64 bytes of a message; the event of a definition. Valid until the next call of
 * ome_gateway_run. */
uint64_t ome_gateway_peer(const ome_gateway_t *gateway);
const uint8_t *ome_gateway_message(const ome_gateway_t *gateway);
const void *ome_gateway_event(const ome_gateway_t *gateway);

/* Gives a session its connection, and ends what either had before. A session that is not defined yet (`is_defined` 0)
 * is defined with its first command. OME_OK; OME_NOT_FOUND: the connection is gone. */
ome_status_t ome_gateway_bind(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon);

/* Takes a session's connection away; nothing where it has none. */
void ome_gateway_unbind(ome_gateway_t *gateway, uint16_t session);

/* The session of a connection, or 0; what is known of a session, from 1 to the most there may be. */
uint16_t ome_gateway_session_of(const ome_gateway_t *gateway, uint64_t peer);
void ome_gateway_look(const ome_gateway_t *gateway, uint16_t session, ome_gateway_session_t *look);

/* The engine refused to define a session: it has to log on again. */
void ome_gateway_undefine(ome_gateway_t *gateway, uint16_t session);

/* Sends one frame to a connection. OME_OK; OME_FULL; OME_NOT_FOUND. */
ome_status_t ome_gateway_send(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes);

/* Sends a last frame, also to a connection that does not read, and ends it. */
void ome_gateway_end(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes);

/* Reads nothing from a connection for so long. */
void ome_gateway_pause(ome_gateway_t *gateway, uint64_t peer, uint32_t duration_ms);

#endif
