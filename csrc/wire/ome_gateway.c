#include "wire/ome_gateway.h"

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"

/* What is done in one turn before the other direction gets its own. Two reports an event at the most. */
#define EVENT_COUNT_PER_TURN 512u
#define FRAME_COUNT_PER_TURN 32u
#define REPORT_COUNT_MAX (2u * EVENT_COUNT_PER_TURN)

/* Bad frames and heartbeats of one session in a tick, before it is read more slowly; how often sessions with a heartbeat are looked at. */
#define NOISE_COUNT_MAX 64u
#define TICK_MS 10u
#define WATCH_MS 25u
#define HEARTBEATS_MISSED_MAX 3u
#define NS_PER_MS UINT64_C(1000000)

typedef struct
{
    ome_execution_report_t report;
    uint32_t next; /* of the same session; 0 is none */
} pooled_report_t;

struct ome_gateway
{
    ome_gateway_config_t config;
    ome_session_table_t table;
    ome_reports_t reports;
    pooled_report_t *pool;       /* index 0 is none */
    ome_execution_report_t *frame; /* being put together */
    uint32_t pool_count;
    uint32_t dirty_count;
    uint16_t *dirty;             /* sessions with reports in the pool */
    uint64_t now_ns;   /* monotonic, at the beginning of the turn */
    uint64_t watch_ns; /* when sessions with a heartbeat are looked at again */
    uint64_t peer;
    uint8_t message[OME_RECORD_SIZE];
    ome_event_t event;
    bool has_event;
    uint32_t command_message_count_max;
};

static void lay_out(ome_gateway_t *gateway, ome_arena_t *arena, const ome_gateway_config_t *config)
{
    ome_session_table_init(&gateway->table, arena, config->session_count_max, config->connection_slot_max);
    ome_reports_init(&gateway->reports, arena, config->order_count_max, config->session_count_max);
    gateway->pool = ome_arena_take(arena, (REPORT_COUNT_MAX + 1) * sizeof(pooled_report_t));
    gateway->frame = ome_arena_take(arena, REPORT_COUNT_MAX * sizeof(ome_execution_report_t));
    gateway->dirty = ome_arena_take(arena, REPORT_COUNT_MAX * sizeof(uint16_t));
}

uint64_t ome_gateway_size_bytes(const ome_gateway_config_t *config)
{
    ome_gateway_t gateway;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_gateway_t));
    lay_out(&gateway, &arena, config);
    return arena.used_bytes;
}

ome_status_t ome_gateway_init(
    ome_gateway_t **gateway, void *memory, uint64_t size_bytes, const ome_gateway_config_t *config, const ome_engine_t *engine)
{
    if (size_bytes < ome_gateway_size_bytes(config))
    {
        return OME_NO_MEMORY;
    }
    ome_arena_t arena = {.memory = memory};
    ome_gateway_t *made = ome_arena_take(&arena, sizeof(ome_gateway_t));
    made->config = *config;
    made->command_message_count_max =
        config->ingress.ring->slot_count < OME_FRAME_COMMAND_MESSAGE_COUNT_MAX ? config->ingress.ring->slot_count : OME_FRAME_COMMAND_MESSAGE_COUNT_MAX;
    lay_out(made, &arena, config);
    ome_reports_seed(&made->reports, engine);
    (void)ome_wait_set_event_fd(ome_reader_wait(&config->reader), config->event_fd);
    *gateway = made;
    return OME_OK;
}

/* ---- Sessions ---- */

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
        return OME_NOT_FOUND; /* it is gone: whoever has the session keeps it */
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

/* The session is over, and its connection with it; it is told why. */
static void end_session(ome_gateway_t *gateway, uint16_t session, uint8_t reason)
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
        end_session(gateway, session, OME_REASON_SESSION_LIMIT_REACHED);
    }
}

static void send_heartbeat(ome_gateway_t *gateway, uint16_t session, uint64_t request_id)
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

/* Sessions with a heartbeat: sends a heartbeat to those that heard nothing, and ends those that are silent. Time in which this process
 * did not run is nobody's silence: what came in it may not be read yet. */
static void watch_sessions(ome_gateway_t *gateway)
{
    if (gateway->table.heartbeat_count == 0 || gateway->now_ns < gateway->watch_ns)
    {
        return;
    }
    const uint64_t late_ns = gateway->now_ns - gateway->watch_ns;
    gateway->watch_ns = gateway->now_ns + WATCH_MS * NS_PER_MS;
    for (uint32_t number = 1; number <= gateway->table.session_count_max; number++)
    {
        ome_session_slot_t *session = &gateway->table.sessions[number];
        const uint64_t interval_ns = session->heartbeat_ms * NS_PER_MS;
        if (session->peer == 0 || interval_ns == 0)
        {
            continue;
        }
        const uint64_t silent_ns = gateway->now_ns - session->heard_ns;
        session->heard_ns += late_ns < silent_ns ? late_ns : silent_ns;
        if (gateway->now_ns - session->heard_ns >= HEARTBEATS_MISSED_MAX * interval_ns)
        {
            end_session(gateway, (uint16_t)number, OME_REASON_HEARTBEAT_TIMEOUT);
        }
        else if (gateway->now_ns - session->spoke_ns >= interval_ns)
        {
            send_heartbeat(gateway, (uint16_t)number, 0);
        }
    }
}

/* ---- Out: events to reports ---- */

static void pool_report(ome_gateway_t *gateway, const ome_execution_report_t *report, uint16_t session_number)
{
    if (session_number == 0 || session_number > gateway->table.session_count_max)
    {
        return; /* the embedder's own, or one that there cannot be */
    }
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    session->report_sequence++;
    if (session->peer == 0)
    {
        ome_counter_add(gateway->config.counters.reports_undelivered, 1);
        return;
    }
    const uint32_t index = ++gateway->pool_count;
    pooled_report_t *pooled = &gateway->pool[index];
    pooled->report = *report;
    pooled->report.report_sequence = session->report_sequence;
    pooled->next = 0;
    if (session->first_report == 0)
    {
        session->first_report = index;
        gateway->dirty[gateway->dirty_count++] = session_number;
    }
    else
    {
        gateway->pool[session->last_report].next = index;
    }
    session->last_report = index;
}

/* A session whose connection does not read ends, and is told: it must not slow the others. */
static void send_session(ome_gateway_t *gateway, uint16_t session_number)
{
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    uint32_t count = 0;
    for (uint32_t index = session->first_report; index != 0; index = gateway->pool[index].next)
    {
        gateway->frame[count++] = gateway->pool[index].report;
    }
    session->first_report = 0;
    session->last_report = 0;
    if (session->peer == 0) /* it ended meanwhile */
    {
        ome_counter_add(gateway->config.counters.reports_undelivered, count);
        return;
    }
    session->spoke_ns = gateway->now_ns;
    const ome_status_t status =
        ome_gateway_send(gateway, session->peer, (const uint8_t *)gateway->frame, (uint32_t)(count * sizeof(ome_execution_report_t)));
    if (status == OME_OK)
    {
        ome_counter_add(gateway->config.counters.reports, count);
        return;
    }
    ome_counter_add(gateway->config.counters.reports_undelivered, count);
    end_session(gateway, session_number, OME_REASON_SLOW_CONSUMER);
}

static void count_event(const ome_gateway_t *gateway, const ome_event_t *event, uint64_t now_ns)
{
    const ome_gateway_counters_t *counters = &gateway->config.counters;
    switch (event->kind)
    {
    case OME_EVENT_KIND_TRADE:
    case OME_EVENT_KIND_PREVENTED: /* has no time of its own */
    case OME_EVENT_KIND_DISPLAYED: /* makes no report */
        return;
    case OME_EVENT_KIND_ACCEPTED:
        ome_counter_add(counters->orders, 1);
        break;
    case OME_EVENT_KIND_CANCELLED:
        ome_counter_add(counters->cancels, 1);
        break;
    case OME_EVENT_KIND_REJECTED:
        ome_counter_add(counters->rejects, 1);
        break;
    default:
        break;
    }
    ome_histogram_record(counters->report_latency, now_ns > event->timestamp_ns ? now_ns - event->timestamp_ns : 0);
}

static bool is_definition_answer(const ome_event_t *event)
{
    return event->kind == OME_EVENT_KIND_DEFINED ||
           (event->kind == OME_EVENT_KIND_REJECTED && event->command_kind >= OME_COMMAND_KIND_DEFINE_LIMITS &&
               event->command_kind <= OME_COMMAND_KIND_DEFINE_SESSION);
}

/* Reads events that may be spoken of, until a definition is among them. Returns how many. */
static uint32_t read_events(ome_gateway_t *gateway)
{
    const ome_gateway_config_t *config = &gateway->config;
    const ome_event_t *events;
    const uint32_t available = ome_reader_take(&config->reader, EVENT_COUNT_PER_TURN, &events);
    if (available == 0)
    {
        return 0;
    }
    const uint64_t now_ns = ome_venue_clock_now_ns(gateway->config.ingress.clock);
    uint32_t count = 0;
    while (count < available && !gateway->has_event)
    {
        const ome_event_t *event = &events[count++];
        ome_execution_report_t made[2];
        uint16_t sessions[2];
        const uint32_t made_count = ome_reports_make(&gateway->reports, event, made, sessions);
        for (uint32_t i = 0; i < made_count; i++)
        {
            pool_report(gateway, &made[i], sessions[i]);
        }
        count_event(gateway, event, now_ns);
        if (is_definition_answer(event))
        {
            gateway->event = *event;
            gateway->has_event = true;
        }
    }
    ome_reader_advance(&config->reader, count);
    return count;
}

static void send_reports(ome_gateway_t *gateway)
{
    for (uint32_t i = 0; i < gateway->dirty_count; i++)
    {
        send_session(gateway, gateway->dirty[i]);
    }
    gateway->dirty_count = 0;
    gateway->pool_count = 0;
}

static uint32_t speak(ome_gateway_t *gateway)
{
    const uint32_t count = read_events(gateway);
    send_reports(gateway);
    return count;
}

/* ---- In: frames to commands ---- */

static void refuse(ome_gateway_t *gateway, const ome_socket_message_t *from, const ome_frame_fault_t *fault, uint32_t accepted_count,
    uint32_t rejected_count)
{
    ome_frame_reject_t reject;
    ome_frame_reject_set(&reject, fault, accepted_count, rejected_count);
    ome_counter_add(gateway->config.counters.frames_rejected, 1);
    (void)ome_gateway_send(gateway, from->peer, (const uint8_t *)&reject, sizeof(reject));
}

/* A session made noise: what is answered without being work. Who makes much of it waits. */
static void count_noise(ome_gateway_t *gateway, uint16_t session)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const uint64_t tick = gateway->now_ns / (TICK_MS * NS_PER_MS);
    if (slot->noise_tick != tick)
    {
        slot->noise_tick = tick;
        slot->noise_count = 0;
    }
    if (++slot->noise_count >= NOISE_COUNT_MAX)
    {
        slot->noise_count = 0;
        ome_gateway_pause(gateway, slot->peer, TICK_MS);
    }
}

/* Puts messages where they were claimed. Whose they are, and of what kind, the gateway knows itself. */
static void put_commands(const ome_gateway_t *gateway, const uint8_t *messages, const ome_ingress_claim_t *claim, uint16_t session)
{
    const uint16_t participant = gateway->table.sessions[session].participant;
    for (uint32_t i = 0; i < claim->count; i++)
    {
        const uint8_t *message = messages + (size_t)i * OME_RECORD_SIZE;
        ome_command_t *command = ome_ingress_put(&gateway->config.ingress, claim, i, message);
        ome_message_header_t header;
        memcpy(&header, message, sizeof(header));
        command->participant = participant;
        command->session = session;
        command->kind = (uint8_t)header.template_id;
    }
}

static uint16_t template_at(const uint8_t *messages, uint32_t index)
{
    ome_message_header_t header;
    memcpy(&header, messages + (size_t)index * OME_RECORD_SIZE, sizeof(header));
    return header.template_id;
}

/* Of `count` messages the most, from the first on, that end with a whole command. The message behind them, if they are not all, is there. */
static uint32_t whole_count(const uint8_t *messages, uint32_t count)
{
    while (template_at(messages, count) == OME_TEMPLATE_ORDER_TERMS)
    {
        count--;
    }
    return count;
}

/* Defines a session in the engine, before its first command. False while the ring is full. */
static bool define_session(ome_gateway_t *gateway, uint16_t session)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const ome_ingress_t *ingress = &gateway->config.ingress;
    ome_ingress_claim_t claim;
    if (ome_ingress_claim(ingress, 1, &claim) != OME_OK)
    {
        return false;
    }
    ome_command_t definition = {.session_number = slot->session_number,
        .participant = slot->participant,
        .session = session,
        .kind = OME_COMMAND_KIND_DEFINE_SESSION};
    memcpy(definition.participant_name, slot->participant_name, OME_NAME_SIZE);
    (void)ome_ingress_put(ingress, &claim, 0, &definition);
    ome_ingress_publish(ingress, &claim);
    slot->is_defined = true;
    return true;
}

/* Returns how many of the messages were taken: all of them, unless the ring stays full. The messages of a command are claimed together,
 * so that no other producer's come in between. */
static uint32_t sequence_commands(ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session)
{
    const ome_ingress_t *ingress = &gateway->config.ingress;
    const uint32_t slot_count = ingress->ring->slot_count;
    uint32_t taken = 0;
    if (!gateway->table.sessions[session].is_defined && !define_session(gateway, session))
    {
        return 0;
    }
    while (taken < count)
    {
        const uint32_t left = count - taken;
        const uint8_t *rest = messages + (size_t)taken * OME_RECORD_SIZE;
        const uint32_t part = left <= slot_count ? left : whole_count(rest, slot_count);
        ome_ingress_claim_t claim;
        if (ome_ingress_claim(ingress, part, &claim) != OME_OK)
        {
            break;
        }
        put_commands(gateway, rest, &claim, session);
        ome_ingress_publish(ingress, &claim);
        taken += part;
    }
    return taken;
}

/* How many of `count` messages, from the first on, are all new orders or all something else. Terms go with the command before them. */
static uint32_t run_count(const uint8_t *messages, uint32_t count)
{
    const bool are_orders = template_at(messages, 0) == OME_TEMPLATE_NEW_ORDER;
    for (uint32_t i = 1; i < count; i++)
    {
        const uint16_t template_id = template_at(messages, i);
        if (template_id != OME_TEMPLATE_ORDER_TERMS && (template_id == OME_TEMPLATE_NEW_ORDER) != are_orders)
        {
            return i;
        }
    }
    return count;
}

static_assert(OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX <= REPORT_COUNT_MAX, "the pool holds a report for each message of a frame");

/* Whether a command of this kind is refused for want of room on the disk. */
static bool is_refused(uint8_t storage, uint16_t template_id)
{
    return storage == OME_STORAGE_SCARCE || (storage == OME_STORAGE_LOW && template_id == OME_TEMPLATE_NEW_ORDER);
}

/* Answers each command among the messages, which has its answer then as one that the engine rejects. */
static void refuse_commands(ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session)
{
    const uint64_t now_ns = ome_venue_clock_now_ns(gateway->config.ingress.clock);
    for (uint32_t i = 0; i < count; i++)
    {
        const uint16_t template_id = template_at(messages, i);
        if (template_id == OME_TEMPLATE_ORDER_TERMS)
        {
            continue;
        }
        ome_command_t command;
        ome_execution_report_t report;
        memcpy(&command, messages + (size_t)i * OME_RECORD_SIZE, sizeof(command));
        ome_reports_refuse(&report, &command, (uint8_t)template_id, OME_REASON_STORAGE_LOW, now_ns);
        pool_report(gateway, &report, session);
        ome_counter_add(gateway->config.counters.orders_storage_low, 1);
    }
}

/* As sequence_commands while there is little room: what is refused counts as taken. What is in the pool of reports is sent when this returns. */
static uint32_t sequence_what_may(ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session, uint8_t storage)
{
    uint32_t taken = 0;
    bool is_full = false;
    while (taken < count && !is_full)
    {
        const uint8_t *rest = messages + (size_t)taken * OME_RECORD_SIZE;
        const uint32_t run = run_count(rest, count - taken);
        uint32_t done = run;
        if (is_refused(storage, template_at(rest, 0)))
        {
            refuse_commands(gateway, rest, run, session);
        }
        else
        {
            done = sequence_commands(gateway, rest, run, session);
        }
        taken += done;
        is_full = done < run;
    }
    send_reports(gateway);
    return taken;
}

static uint32_t session_sequence_at(const ome_socket_message_t *from, uint32_t index)
{
    ome_command_t command;
    memcpy(&command, from->data + (size_t)index * OME_RECORD_SIZE, sizeof(command));
    return command.session_sequence;
}

/* The messages from `taken` on are to be sent again, later. */
static void refuse_busy(
    ome_gateway_t *gateway, const ome_socket_message_t *from, ome_session_slot_t *session, uint32_t taken, uint32_t message_count)
{
    const uint32_t refused_sequence = session_sequence_at(from, taken);
    const ome_frame_fault_t fault = {.found = refused_sequence,
        .field = "session_sequence",
        .message_index = taken,
        .byte_offset = taken * OME_RECORD_SIZE,
        .reason = OME_REASON_BUSY};
    if (!session->is_refused)
    {
        session->is_refused = true;
        session->refused_sequence = refused_sequence;
    }
    ome_counter_add(gateway->config.counters.messages_busy, message_count - taken);
    refuse(gateway, from, &fault, taken, message_count - taken);
}

static void take_commands(ome_gateway_t *gateway, const ome_socket_message_t *from, const ome_frame_t *frame, uint16_t session_number)
{
    if (session_number == 0)
    {
        const ome_frame_fault_t fault = {.field = "session", .reason = OME_REASON_NOT_LOGGED_ON};
        refuse(gateway, from, &fault, 0, frame->message_count);
        return;
    }
    if (!gateway->config.is_open(gateway->config.context))
    {
        const ome_frame_fault_t fault = {.field = "engine", .reason = OME_REASON_ENGINE_STOPPED};
        refuse(gateway, from, &fault, 0, frame->message_count);
        return;
    }
    /* Frames that were under way when one was refused must not overtake it. */
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    if (session->is_refused && session_sequence_at(from, 0) != session->refused_sequence)
    {
        refuse_busy(gateway, from, session, 0, frame->message_count);
        return;
    }
    session->is_refused = false;
    const uint8_t storage = gateway->config.storage(gateway->config.context);
    const uint32_t taken = storage == OME_STORAGE_ROOM
                               ? sequence_commands(gateway, from->data, frame->message_count, session_number)
                               : sequence_what_may(gateway, from->data, frame->message_count, session_number, storage);
    ome_counter_add(gateway->config.counters.messages_in, taken);
    if (taken < frame->message_count)
    {
        refuse_busy(gateway, from, session, taken, frame->message_count);
    }
}

static void take_heartbeat(ome_gateway_t *gateway, const ome_socket_message_t *from, uint16_t session)
{
    if (session == 0)
    {
        const ome_frame_fault_t fault = {.field = "session", .reason = OME_REASON_NOT_LOGGED_ON};
        refuse(gateway, from, &fault, 0, 1);
        return;
    }
    ome_heartbeat_t heartbeat;
    memcpy(&heartbeat, from->data, sizeof(heartbeat));
    count_noise(gateway, session);
    send_heartbeat(gateway, session, heartbeat.request_id);
}

/* Returns true when the frame is one for the caller. */
static bool take_frame(ome_gateway_t *gateway, const ome_socket_message_t *from)
{
    ome_frame_t frame;
    const uint16_t session = ome_session_table_find(&gateway->table, from->peer);
    ome_counter_add(gateway->config.counters.frames_in, 1);
    gateway->table.sessions[session].heard_ns = gateway->now_ns;
    ome_frame_inspect(&frame, from->data, from->data_size_bytes, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, gateway->command_message_count_max);
    switch (frame.content)
    {
    case OME_FRAME_COMMANDS:
        take_commands(gateway, from, &frame, session);
        return false;
    case OME_FRAME_HEARTBEAT:
        take_heartbeat(gateway, from, session);
        return false;
    case OME_FRAME_BAD:
        refuse(gateway, from, &frame.fault, 0, frame.message_count);
        if (session != 0)
        {
            count_noise(gateway, session);
        }
        return false;
    default:
        gateway->peer = from->peer;
        memcpy(gateway->message, from->data, OME_RECORD_SIZE);
        return true;
    }
}

/* The connection of a session, where it had one, is gone. */
static void take_gone(ome_gateway_t *gateway, uint64_t peer)
{
    const uint16_t session = ome_session_table_find(&gateway->table, peer);
    if (session != 0)
    {
        ome_counter_add(gateway->config.counters.sessions_ended, 1);
        ome_gateway_unbind(gateway, session);
    }
}

/* Takes frames for one turn. Returns how many; `outcome` is changed when there is something for the caller. */
static uint32_t listen(ome_gateway_t *gateway, ome_gateway_outcome_t *outcome)
{
    const ome_socket_t *socket = gateway->config.socket;
    uint32_t count = 0;
    while (count < FRAME_COUNT_PER_TURN && *outcome == OME_GATEWAY_IDLE)
    {
        ome_socket_message_t message;
        const ome_status_t status = socket->receive(socket->context, &message);
        if (status == OME_EMPTY)
        {
            break;
        }
        if (status != OME_OK)
        {
            *outcome = OME_GATEWAY_STOPPED;
            break;
        }
        count++;
        if (message.kind == OME_SOCKET_GONE)
        {
            take_gone(gateway, message.peer);
        }
        else if (take_frame(gateway, &message))
        {
            *outcome = OME_GATEWAY_MESSAGE;
        }
    }
    return count;
}

/* ---- The loop ---- */

/* Sleeps until there may be a frame or an event. */
static ome_gateway_outcome_t sleep_for(ome_gateway_t *gateway, uint32_t timeout_ms)
{
    const ome_gateway_config_t *config = &gateway->config;
    ome_wait_t *wait = ome_reader_wait(&config->reader);
    ome_status_t status = OME_OK;
    ome_wait_prepare(wait);
    if (!ome_reader_has_event(&config->reader))
    {
        status = config->socket->wait(config->socket->context, config->event_fd, timeout_ms);
    }
    ome_wait_cancel(wait);
    return status == OME_OK ? OME_GATEWAY_IDLE : OME_GATEWAY_STOPPED;
}

ome_gateway_outcome_t ome_gateway_run(ome_gateway_t *gateway, uint32_t timeout_ms)
{
    gateway->now_ns = ome_clock_monotonic_ns();
    const uint64_t deadline_ns = gateway->now_ns + timeout_ms * NS_PER_MS;
    gateway->has_event = false;
    for (;;)
    {
        ome_gateway_outcome_t outcome = OME_GATEWAY_IDLE;
        uint32_t work = speak(gateway);
        if (gateway->has_event)
        {
            return OME_GATEWAY_DEFINED;
        }
        work += listen(gateway, &outcome);
        if (outcome != OME_GATEWAY_IDLE)
        {
            return outcome;
        }
        watch_sessions(gateway);
        gateway->now_ns = ome_clock_monotonic_ns();
        if (gateway->now_ns >= deadline_ns)
        {
            return OME_GATEWAY_IDLE;
        }
        if (work == 0)
        {
            const uint64_t left_ms = (deadline_ns - gateway->now_ns) / NS_PER_MS + 1;
            const uint64_t watch_ns = gateway->watch_ns > gateway->now_ns ? gateway->watch_ns - gateway->now_ns : 0;
            const uint64_t most_ms = gateway->table.heartbeat_count > 0 ? watch_ns / NS_PER_MS + 1 : left_ms;
            outcome = sleep_for(gateway, (uint32_t)(left_ms < most_ms ? left_ms : most_ms));
            if (outcome != OME_GATEWAY_IDLE)
            {
                return outcome;
            }
            gateway->now_ns = ome_clock_monotonic_ns();
        }
    }
}
