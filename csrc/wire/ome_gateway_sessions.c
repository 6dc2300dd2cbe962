/* Sessions: their connections, their heartbeats, and their ends. */
#include <string.h>

#include "base/ome_assert.h"
#include "wire/ome_gateway_state.h"

/* How often sessions are looked at; after how many silent intervals one is asked, and after how many it ends. */
#define WATCH_MS 25u
#define HEARTBEATS_MISSED_TO_ASK 2u
#define HEARTBEATS_MISSED_MAX 3u

/* ---- a session and its connection ---- */

static void gateway_leave_behind(ome_gateway_t *gateway, uint16_t session)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < gateway->behind_count; i++)
    {
        gateway->behind[left] = gateway->behind[i];
        left += gateway->behind[i] != session;
    }
    gateway->behind_count = left;
    gateway->table.sessions[session].is_behind = false;
}

/* Takes a session's connection away. */
static void gateway_unbind(ome_gateway_t *gateway, uint16_t session)
{
    const ome_socket_t *socket = gateway->config.socket;
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const uint64_t peer = slot->peer;
    OME_ASSERT(peer != 0);
    gateway_leave_behind(gateway, session);
    slot->next_kept = 0;
    if (gateway->archive.session == session)
    {
        gateway->archive.session = 0;
    }
    ome_session_table_unbind(&gateway->table, session);
    if (ome_session_table_find(&gateway->table, peer) == 0)
    {
        (void)socket->admit(socket->context, peer, 0);
    }
    ome_counter_set(gateway->config.counters.sessions, gateway->table.connected_count);
}

/* Its orders are cancelled, if it may have some, as soon as the ring has room. */
static void gateway_owe_cancel(ome_gateway_t *gateway, uint16_t session)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const bool may_have_orders = ome_runs_waits(&gateway->runs, slot->last_run) || ome_order_count(gateway->order_counts, session) > 0;
    if (slot->is_defined && may_have_orders && !slot->owes_cancel)
    {
        slot->owes_cancel = true;
        gateway->owing[gateway->owing_count++] = session;
    }
}

void ome_gateway_pay_cancels(ome_gateway_t *gateway)
{
    while (gateway->owing_count > 0)
    {
        const uint16_t session = gateway->owing[gateway->owing_count - 1];
        ome_session_slot_t *slot = &gateway->table.sessions[session];
        const ome_command_t cancel = {.participant = slot->participant,
            .session = session,
            .target_session = session,
            .flags = OME_COMMAND_FLAGS_BY_SESSION | OME_COMMAND_FLAGS_ON_DISCONNECT,
            .kind = OME_COMMAND_KIND_MASS_CANCEL};
        ome_ingress_claim_t claim;
        const ome_status_t status = ome_gateway_claim(gateway, 1, &claim);
        if (status == OME_FULL)
        {
            return;
        }
        if (status == OME_OK)
        {
            (void)ome_gateway_put(gateway, &claim, 0, &cancel);
            ome_gateway_publish(gateway, &claim);
            ome_counter_add(gateway->config.counters.disconnect_cancels, 1);
        }
        slot->owes_cancel = false;
        gateway->owing_count--;
    }
}

void ome_gateway_lose(ome_gateway_t *gateway, uint16_t session, uint8_t reason)
{
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    ome_counter_add(gateway->config.counters.sessions_ended, slot->is_copy ? 0 : 1);
    gateway_unbind(gateway, session);
    if ((slot->flags & OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT) != 0)
    {
        gateway_owe_cancel(gateway, session);
    }
    if (gateway->end_count <= gateway->table.slot_count_max)
    {
        gateway->ends[gateway->end_count++] = (ome_gateway_end_t){.session = session, .reason = reason};
    }
}

void ome_gateway_log_out(ome_gateway_t *gateway, uint16_t session)
{
    if (session < 1 || session > gateway->table.slot_count_max || !ome_session_table_is_bound(&gateway->table, session))
    {
        return;
    }
    gateway_unbind(gateway, session);
    if ((gateway->table.sessions[session].flags & OME_SESSION_FLAGS_CANCEL_ON_LOGOUT) != 0)
    {
        gateway_owe_cancel(gateway, session);
    }
}

void ome_gateway_begin_anew(ome_gateway_t *gateway, uint16_t session, uint16_t participant, uint64_t defined_sequence)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    uint32_t left = 0;
    for (uint32_t i = 0; i < gateway->owing_count; i++)
    {
        gateway->owing[left] = gateway->owing[i];
        left += gateway->owing[i] != session;
    }
    gateway->owing_count = left;
    OME_ASSERT(slot->peer == 0);
    *slot = (ome_session_slot_t){.participant = participant, .defined_sequence = defined_sequence, .is_defined = defined_sequence != 0};
}

/* The session may be another one than the number had before: nothing was taken from it then, and nothing reported. */
static void gateway_begin_session(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const bool has_name = slot->participant_name[0] != 0;
    const bool is_same = has_name ? slot->session_number == logon->session_number && slot->participant == logon->participant &&
                                        memcmp(slot->participant_name, logon->participant_name, OME_NAME_SIZE) == 0
                                  : slot->is_defined && logon->is_defined != 0 && slot->participant == logon->participant;
    if (!is_same)
    {
        ome_gateway_begin_anew(gateway, session, logon->participant, 0);
    }
    slot->session_number = logon->session_number;
    memcpy(slot->participant_name, logon->participant_name, OME_NAME_SIZE);
    slot->is_defined = slot->is_defined || logon->is_defined != 0; /* its first command may be on its way */
}

/* The connection has no other session, unless this one is added. */
static void gateway_leave_others(ome_gateway_t *gateway, const ome_gateway_logon_t *logon)
{
    const ome_socket_t *socket = gateway->config.socket;
    for (uint16_t other = ome_session_table_find(&gateway->table, logon->peer); other != 0 && !logon->is_added;
        other = ome_session_table_find(&gateway->table, logon->peer))
    {
        ome_gateway_log_out(gateway, other);
    }
    (void)socket->admit(socket->context, logon->peer, 1); /* again, if it had a session before */
}

static void gateway_connect(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    ome_session_table_bind(&gateway->table, session, logon->peer);
    slot->flags = logon->flags;
    slot->heartbeat_ms = logon->heartbeat_ms;
    slot->heard_ns = slot->spoke_ns = gateway->now_ns;
    slot->sent_sequence = slot->report_sequence;
    slot->noise_count = 0;
    slot->is_told = slot->is_tested = false;
    ome_counter_set(gateway->config.counters.sessions, gateway->table.connected_count);
}

ome_status_t ome_gateway_bind(ome_gateway_t *gateway, uint16_t session, const ome_gateway_logon_t *logon)
{
    const ome_socket_t *socket = gateway->config.socket;
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    if (socket->admit(socket->context, logon->peer, 1) != OME_OK)
    {
        return OME_NOT_FOUND; /* the connection is gone: the session keeps the one that it has */
    }
    if (ome_session_table_is_bound(&gateway->table, session))
    {
        gateway_unbind(gateway, session); /* taken over: it goes on here */
    }
    gateway_leave_others(gateway, logon);
    gateway_begin_session(gateway, session, logon);
    gateway_connect(gateway, session, logon);
    if (slot->is_defined)
    {
        (void)ome_gateway_define_session(gateway, session); /* what it has chosen now; if the ring is full, with its first command */
    }
    return OME_OK;
}

/* A number for a drop copy of this participant; 0: there are as many as there may be, of it or of all. That of the connection itself is about
 * to be free. */
static uint16_t gateway_free_copy(const ome_gateway_t *gateway, const ome_gateway_logon_t *logon)
{
    const ome_session_table_t *table = &gateway->table;
    uint32_t count = 0;
    uint16_t found = 0;
    for (uint32_t number = table->slot_count_max; number > table->session_count_max; number--)
    {
        const ome_session_slot_t *copy = &table->sessions[number];
        const bool is_free = copy->peer == 0 || copy->peer == logon->peer;
        found = is_free ? (uint16_t)number : found;
        count += !is_free && copy->participant == logon->participant;
    }
    return count < OME_GATEWAY_COPIES_OF_PARTICIPANT_MAX ? found : 0;
}

ome_status_t ome_gateway_bind_copy(ome_gateway_t *gateway, const ome_gateway_logon_t *logon, uint16_t *number)
{
    const ome_socket_t *socket = gateway->config.socket;
    const uint16_t found = gateway_free_copy(gateway, logon);
    if (found == 0)
    {
        return OME_FULL;
    }
    if (socket->admit(socket->context, logon->peer, 1) != OME_OK)
    {
        return OME_NOT_FOUND;
    }
    gateway_leave_others(gateway, logon);
    gateway->table.sessions[found] = (ome_session_slot_t){.is_copy = true,
        .participant = logon->participant,
        .report_sequence = gateway->table.participants[logon->participant].report_sequence};
    gateway_connect(gateway, found, logon);
    *number = found;
    return OME_OK;
}

bool ome_gateway_define_session(ome_gateway_t *gateway, uint16_t session)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    if (slot->is_defined && slot->defined_flags == slot->flags)
    {
        return true;
    }
    ome_ingress_claim_t claim;
    if (ome_gateway_claim(gateway, 1, &claim) != OME_OK)
    {
        return false;
    }
    ome_command_t definition = {.session_number = slot->session_number,
        .session_flags = slot->flags,
        .participant = slot->participant,
        .session = session,
        .kind = OME_COMMAND_KIND_DEFINE_SESSION};
    memcpy(definition.participant_name, slot->participant_name, OME_NAME_SIZE);
    (void)ome_gateway_put(gateway, &claim, 0, &definition);
    ome_gateway_publish(gateway, &claim);
    slot->defined_sequence = slot->is_defined ? slot->defined_sequence : claim.first_sequence;
    slot->definition_sequence = claim.first_sequence;
    slot->is_defined = true;
    slot->defined_flags = slot->flags;
    return true;
}

int ome_gateway_is_own_definition(const ome_gateway_t *gateway)
{
    const ome_event_t *event = &gateway->event;
    return event->session <= gateway->table.session_count_max && ome_gateway_has_defined(gateway, event->session, event->sequence);
}

void ome_gateway_undefine(ome_gateway_t *gateway, uint16_t session)
{
    OME_ASSERT(session <= gateway->table.session_count_max);
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    if (gateway->event.kind == OME_EVENT_KIND_REJECTED && !ome_gateway_has_defined(gateway, session, gateway->event.sequence))
    {
        return; /* it was another one that was to have the number: this one keeps it */
    }
    slot->is_defined = false;
    slot->command_sequence = 0;
    if (ome_session_table_is_bound(&gateway->table, session))
    {
        ome_gateway_end_session(gateway, session, OME_REASON_SESSION_LIMIT_REACHED);
    }
    const bool is_taken = gateway->event.kind == OME_EVENT_KIND_DEFINED && gateway->event.session == session;
    ome_gateway_begin_anew(gateway, session, gateway->event.participant, is_taken ? gateway->event.sequence : 0);
}

/* ---- questions ---- */

uint16_t ome_gateway_session_of(const ome_gateway_t *gateway, uint64_t peer)
{
    return ome_session_table_find(&gateway->table, peer);
}

uint16_t ome_gateway_next_session(const ome_gateway_t *gateway, uint16_t session)
{
    OME_ASSERT(session <= gateway->table.slot_count_max);
    return gateway->table.sessions[session].next_of_peer;
}

const uint8_t *ome_gateway_connected(const ome_gateway_t *gateway)
{
    return (const uint8_t *)gateway->table.is_connected;
}

void ome_gateway_look(const ome_gateway_t *gateway, uint16_t session, ome_gateway_session_t *look)
{
    OME_ASSERT(session <= gateway->table.slot_count_max);
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    if (slot->is_copy)
    {
        *look = (ome_gateway_session_t){.peer = slot->peer,
            .report_sequence = slot->report_sequence,
            .first_report_sequence = ome_gateway_first_copy(gateway, slot),
            .participant = slot->participant};
        return;
    }
    const ome_kept_report_t *first = ome_report_history_at(&gateway->history, slot->first_kept);
    *look = (ome_gateway_session_t){.peer = slot->peer,
        .report_sequence = slot->report_sequence,
        .first_report_sequence = slot->first_kept == 0 ? slot->report_sequence + 1 : first->report.report_sequence,
        .command_sequence = slot->command_sequence,
        .order_count =
            ome_order_count(gateway->order_counts, session) + slot->owes_cancel, /* that a number is not used again before it is paid */
        .is_defined = slot->is_defined,
        .participant = slot->participant,
        .session_number = slot->session_number};
    memcpy(look->participant_name, slot->participant_name, OME_NAME_SIZE);
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

ome_gateway_end_t ome_gateway_take_end(ome_gateway_t *gateway)
{
    return gateway->end_count > 0 ? gateway->ends[--gateway->end_count] : (ome_gateway_end_t){0};
}

/* ---- what connections are sent ---- */

ome_status_t ome_gateway_send(ome_gateway_t *gateway, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    const ome_socket_t *socket = gateway->config.socket;
    return socket->send(socket->context, peer, data, size_bytes);
}

void ome_gateway_pause(ome_gateway_t *gateway, uint64_t peer, uint32_t duration_ms)
{
    const ome_socket_t *socket = gateway->config.socket;
    socket->pause(socket->context, peer, duration_ms);
}

void ome_gateway_end_session(ome_gateway_t *gateway, uint16_t session, uint8_t reason)
{
    const ome_socket_t *socket = gateway->config.socket;
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    const uint64_t peer = slot->peer;
    ome_logout_t logout = {.reason = reason,
        .session = ome_gateway_told_session(gateway, session),
        .command_sequence = slot->command_sequence,
        .report_sequence = slot->report_sequence};
    ome_message_header_set(&logout, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    ome_gateway_lose(gateway, session, reason);
    if (ome_session_table_find(&gateway->table, peer) != 0)
    {
        (void)ome_gateway_send(gateway, peer, (const uint8_t *)&logout, sizeof(logout));
        return;
    }
    socket->end(socket->context, peer, (const uint8_t *)&logout, sizeof(logout));
}

void ome_gateway_send_heartbeat(ome_gateway_t *gateway, uint16_t session, uint64_t request_id)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    ome_heartbeat_t heartbeat = {.request_id = request_id,
        .server_time_ns = ome_venue_clock_now_ns(gateway->config.ingress.clock),
        .engine_sequence = ome_gateway_cursor(gateway),
        .report_sequence = slot->report_sequence,
        .command_sequence = slot->command_sequence,
        .session = ome_gateway_told_session(gateway, session)};
    ome_message_header_set(&heartbeat, OME_TEMPLATE_HEARTBEAT, OME_BLOCK_HEARTBEAT);
    slot->spoke_ns = gateway->now_ns;
    (void)ome_gateway_send(gateway, slot->peer, (const uint8_t *)&heartbeat, sizeof(heartbeat));
}

static void gateway_send_test_request(ome_gateway_t *gateway, uint16_t session)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    ome_test_request_t test = {.request_id = gateway->now_ns, .session = ome_gateway_told_session(gateway, session)};
    ome_message_header_set(&test, OME_TEMPLATE_TEST_REQUEST, OME_BLOCK_TEST_REQUEST);
    slot->spoke_ns = gateway->now_ns;
    slot->is_tested = true;
    (void)ome_gateway_send(gateway, slot->peer, (const uint8_t *)&test, sizeof(test));
}

static void gateway_watch_session(ome_gateway_t *gateway, uint16_t number, uint64_t late_ns)
{
    ome_session_slot_t *session = &gateway->table.sessions[number];
    const uint64_t interval_ns = session->heartbeat_ms * OME_GATEWAY_NS_PER_MS;
    uint64_t silent_ns = gateway->now_ns - session->heard_ns;
    session->heard_ns += late_ns < silent_ns ? late_ns : silent_ns;
    silent_ns = gateway->now_ns - session->heard_ns;
    if (silent_ns >= HEARTBEATS_MISSED_MAX * interval_ns)
    {
        ome_gateway_end_session(gateway, number, OME_REASON_HEARTBEAT_TIMEOUT);
        return;
    }
    if (silent_ns < HEARTBEATS_MISSED_TO_ASK * interval_ns)
    {
        session->is_tested = false;
    }
    else if (!session->is_tested)
    {
        gateway_send_test_request(gateway, number);
    }
    if (gateway->now_ns - session->spoke_ns >= interval_ns)
    {
        ome_gateway_send_heartbeat(gateway, number, 0);
    }
}

void ome_gateway_watch_sessions(ome_gateway_t *gateway)
{
    if (!ome_gateway_has_connections(gateway) || gateway->now_ns < gateway->watch_ns)
    {
        return;
    }
    const uint64_t late_ns = gateway->now_ns - gateway->watch_ns;
    gateway->watch_ns = gateway->now_ns + WATCH_MS * OME_GATEWAY_NS_PER_MS;
    for (uint32_t number = 1; number <= gateway->table.slot_count_max; number++)
    {
        const ome_session_slot_t *session = &gateway->table.sessions[number];
        if (session->peer != 0 && session->heartbeat_ms != 0)
        {
            gateway_watch_session(gateway, (uint16_t)number, late_ns);
        }
    }
}
