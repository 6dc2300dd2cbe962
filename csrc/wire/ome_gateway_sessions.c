/* Sessions: their connections, their heartbeats, and their ends. */
#include <string.h>

#include "base/ome_assert.h"
#include "wire/ome_gateway_state.h"

/* How often sessions with a heartbeat are looked at, and how many intervals one may be silent. */
#define WATCH_MS 25u
#define HEARTBEATS_MISSED_MAX 3u

void ome_gateway_unbind(ome_gateway_t *gateway, uint16_t session)
{
    if (session >= 1 && session <= gateway->table.session_count_max && ome_session_table_is_bound(&gateway->table, session))
    {
        const ome_socket_t *socket = gateway->config.socket;
        (void)socket->admit(socket->context, gateway->table.sessions[session].peer, 0);
        ome_session_table_unbind(&gateway->table, session);
        ome_counter_set(gateway->config.counters.sessions, gateway->table.connected_count);
    }
}

ome_status_t ome_gateway_bind(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon)
{
    const ome_socket_t *socket = gateway->config.socket;
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    if (socket->admit(socket->context, logon->peer, 1) != OME_OK)
    {
        return OME_NOT_FOUND; /* the connection is gone: the session keeps the one that it has */
    }
    ome_gateway_unbind(gateway, ome_session_table_find(&gateway->table, logon->peer));
    ome_gateway_unbind(gateway, session);
    (void)socket->admit(socket->context, logon->peer, 1); /* again, if it had a session before */
    ome_session_table_bind(&gateway->table, session, logon->peer, logon->heartbeat_ms);
    const bool is_same = slot->session_number == logon->session_number && slot->participant == logon->participant &&
                         memcmp(slot->participant_name, logon->participant_name, OME_NAME_SIZE) == 0;
    if (!is_same)
    {
        slot->report_sequence = 0;
        slot->participant = logon->participant;
        slot->session_number = logon->session_number;
        memcpy(slot->participant_name, logon->participant_name, OME_NAME_SIZE);
    }
    slot->is_defined = logon->is_defined != 0;
    slot->heard_ns = gateway->now_ns;
    slot->spoke_ns = gateway->now_ns;
    ome_counter_set(gateway->config.counters.sessions, gateway->table.connected_count);
    return OME_OK;
}

uint16_t ome_gateway_session_of(const ome_gateway_t *gateway, uint64_t peer)
{
    return ome_session_table_find(&gateway->table, peer);
}

void ome_gateway_look(const ome_gateway_t *gateway, uint16_t session, ome_gateway_session_t *look)
{
    OME_ASSERT(session <= gateway->table.session_count_max);
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    *look = (ome_gateway_session_t){.peer = slot->peer,
        .report_sequence = slot->report_sequence,
        .order_count = gateway->reports.order_counts[session],
        .is_defined = slot->is_defined};
}

uint64_t ome_gateway_peer(const ome_gateway_t *gateway)
{
    return gateway->peer;
}

const uint8_t *ome_gateway_message(const ome_gateway_t *gateway)
{
    return gateway->message;
}

const void *ome_gateway_event(const ome_gateway_t *gateway)
{
    return &gateway->event;
}

ome_status_t ome_gateway_send(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    const ome_socket_t *socket = gateway->config.socket;
    return socket->send(socket->context, peer, data, size_bytes);
}

void ome_gateway_end(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    const ome_socket_t *socket = gateway->config.socket;
    ome_gateway_unbind(gateway, ome_session_table_find(&gateway->table, peer));
    socket->end(socket->context, peer, data, size_bytes);
}

void ome_gateway_pause(ome_gateway_t *gateway, uint64_t peer, uint32_t duration_ms)
{
    const ome_socket_t *socket = gateway->config.socket;
    socket->pause(socket->context, peer, duration_ms);
}

void ome_gateway_end_session(ome_gateway_t *gateway, uint16_t session, uint8_t reason)
{
    ome_logout_t logout = {.reason = reason};
    ome_message_header_set(&logout, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    ome_counter_add(gateway->config.counters.sessions_ended, 1);
    ome_gateway_end(gateway, gateway->table.sessions[session].peer, (const uint8_t *)&logout, sizeof(logout));
}

void ome_gateway_undefine(ome_gateway_t *gateway, uint16_t session)
{
    OME_ASSERT(session <= gateway->table.session_count_max);
    gateway->table.sessions[session].is_defined = false;
    if (ome_session_table_is_bound(&gateway->table, session))
    {
        ome_gateway_end_session(gateway, session, OME_REASON_SESSION_LIMIT_REACHED);
    }
}

void ome_gateway_send_heartbeat(ome_gateway_t *gateway, uint16_t session, uint64_t request_id)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    ome_heartbeat_t heartbeat = {.request_id = request_id,
        .server_time_ns = ome_venue_clock_now_ns(gateway->config.ingress.clock),
        .engine_sequence = ome_ring_cursor(gateway->config.ingress.ring),
        .report_sequence = slot->report_sequence};
    ome_message_header_set(&heartbeat, OME_TEMPLATE_HEARTBEAT, OME_BLOCK_HEARTBEAT);
    slot->spoke_ns = gateway->now_ns;
    (void)ome_gateway_send(gateway, slot->peer, (const uint8_t *)&heartbeat, sizeof(heartbeat));
}

void ome_gateway_watch_sessions(ome_gateway_t *gateway)
{
    if (gateway->table.heartbeat_count == 0 || gateway->now_ns < gateway->watch_ns)
    {
        return;
    }
    const uint64_t late_ns = gateway->now_ns - gateway->watch_ns;
    gateway->watch_ns = gateway->now_ns + WATCH_MS * OME_GATEWAY_NS_PER_MS;
    for (uint32_t number = 1; number <= gateway->table.session_count_max; number++)
    {
        ome_session_slot_t *session = &gateway->table.sessions[number];
        const uint64_t interval_ns = session->heartbeat_ms * OME_GATEWAY_NS_PER_MS;
        if (session->peer == 0 || interval_ns == 0)
        {
            continue;
        }
        const uint64_t silent_ns = gateway->now_ns - session->heard_ns;
        session->heard_ns += late_ns < silent_ns ? late_ns : silent_ns;
        if (gateway->now_ns - session->heard_ns >= HEARTBEATS_MISSED_MAX * interval_ns)
        {
            ome_gateway_end_session(gateway, (uint16_t)number, OME_REASON_HEARTBEAT_TIMEOUT);
        }
        else if (gateway->now_ns - session->spoke_ns >= interval_ns)
        {
            ome_gateway_send_heartbeat(gateway, (uint16_t)number, 0);
        }
    }
}
