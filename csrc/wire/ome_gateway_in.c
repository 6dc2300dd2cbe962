/* Frames to commands: messages that may be sequenced are sequenced, in order, and everything else is answered. */
#include <string.h>

#include "base/ome_assert.h"
#include "wire/ome_gateway_state.h"

#define FRAME_COUNT_PER_TURN 32u

/* Bad frames and other messages that are no work, of one session in a tick, before it is read more slowly. */
#define NOISE_COUNT_MAX 64u

/* After a ResendRequest nothing is read from the connection for so long: its answer may be long. */
#define RESEND_PAUSE_MS 50u

static void gateway_refuse(ome_gateway_t *gateway, const ome_socket_message_t *from, uint16_t session, const ome_frame_fault_t *fault,
    uint32_t accepted_count, uint32_t rejected_count)
{
    ome_frame_reject_t reject;
    ome_frame_reject_set(&reject, fault, accepted_count, rejected_count);
    reject.session = ome_gateway_told_session(gateway, session);
    ome_counter_add(gateway->config.counters.frames_rejected, 1);
    (void)ome_gateway_send(gateway, from->peer, (const uint8_t *)&reject, sizeof(reject));
}

/* A session made noise: so many messages that are answered without being work. A session that makes much noise has to wait. */
static void gateway_count_noise(ome_gateway_t *gateway, uint16_t session, uint32_t count)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const uint64_t tick = gateway->now_ns / (OME_GATEWAY_TICK_MS * OME_GATEWAY_NS_PER_MS);
    if (slot->noise_tick != tick)
    {
        slot->noise_tick = tick;
        slot->noise_count = 0;
    }
    slot->noise_count += count;
    if (slot->noise_count >= NOISE_COUNT_MAX)
    {
        slot->noise_count = 0;
        ome_gateway_pause(gateway, slot->peer, OME_GATEWAY_TICK_MS);
    }
}

/* ---- the messages of a frame ---- */

static ome_command_t gateway_command_at(const uint8_t *messages, uint32_t index)
{
    ome_command_t command;
    memcpy(&command, messages + (size_t)index * OME_RECORD_SIZE, sizeof(command));
    return command;
}

static uint16_t gateway_template_at(const uint8_t *messages, uint32_t index)
{
    ome_message_header_t header;
    memcpy(&header, messages + (size_t)index * OME_RECORD_SIZE, sizeof(header));
    return header.template_id;
}

/* Of `count` messages the most, from the first on, that end with a whole command. The message behind them, if they are
 * not all, is there. */
static uint32_t gateway_whole_count(const uint8_t *messages, uint32_t count)
{
    while (count > 0 && gateway_template_at(messages, count) == OME_TEMPLATE_ORDER_TERMS)
    {
        count--;
    }
    return count;
}

/* ---- sequencing ---- */

/* Puts messages into the claimed slots. The gateway itself fills in their owner and kind. */
static void gateway_put_commands(const ome_gateway_t *gateway, const uint8_t *messages, const ome_ingress_claim_t *claim, uint16_t session)
{
    const uint16_t participant = gateway->table.sessions[session].participant;
    for (uint32_t i = 0; i < claim->count; i++)
    {
        const uint8_t *message = messages + (size_t)i * OME_RECORD_SIZE;
        ome_command_t *command = ome_gateway_put(gateway, claim, i, message);
        command->participant = participant;
        command->session = session;
        command->kind = (uint8_t)gateway_template_at(message, 0);
    }
}

/* The session's messages of a claim are taken: its next one has the number after theirs. */
static void gateway_note_run(ome_gateway_t *gateway, uint16_t session, const ome_ingress_claim_t *claim)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const ome_run_t run = {.first_sequence = claim->first_sequence,
        .previous = slot->last_run,
        .first_number = ome_session_next_sequence(slot->command_sequence),
        .count = claim->count,
        .session = session,
        .participant = slot->participant};
    slot->last_run = ome_runs_add(&gateway->runs, &run);
    for (uint32_t i = 0; i < claim->count; i++)
    {
        slot->command_sequence = ome_session_next_sequence(slot->command_sequence);
    }
    ome_throttle_take(&gateway->throttle, slot->participant, claim->count);
}

/* Returns how many of the messages were taken: all of them, unless the ring stays full. The messages of a command are
 * claimed together, so that no other producer's come in between. */
static uint32_t gateway_sequence_commands(ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session)
{
    uint32_t taken = 0;
    if (count == 0)
    {
        return 0; /* what is refused whole leaves no trace: it defines no session */
    }
    ome_gateway_pay_cancels(gateway);
    if (gateway->table.sessions[session].owes_cancel || !ome_gateway_define_session(gateway, session))
    {
        return 0; /* what is owed comes before what the session sends now */
    }
    while (taken < count)
    {
        const uint32_t left = count - taken;
        const uint8_t *rest = messages + (size_t)taken * OME_RECORD_SIZE;
        const uint32_t part = left <= gateway->claim_count_max ? left : gateway_whole_count(rest, gateway->claim_count_max);
        ome_ingress_claim_t claim;
        if (ome_runs_is_full(&gateway->runs) || ome_gateway_claim(gateway, part, &claim) != OME_OK)
        {
            break;
        }
        gateway_put_commands(gateway, rest, &claim, session);
        ome_gateway_publish(gateway, &claim);
        gateway_note_run(gateway, session, &claim);
        taken += part;
    }
    return taken;
}

/* ---- numbers ---- */

/* Whether the numbers of a frame's messages follow each other, and are all of one session. */
static bool gateway_is_in_row(const uint8_t *messages, uint32_t count, bool is_shared, ome_frame_fault_t *fault)
{
    const ome_command_t first = gateway_command_at(messages, 0);
    uint32_t expected = first.session_sequence;
    for (uint32_t i = 0; i < count; i++)
    {
        const ome_command_t command = gateway_command_at(messages, i);
        const bool is_same_session = !is_shared || command.session == first.session;
        if (is_same_session && command.session_sequence == expected && expected != 0)
        {
            expected = ome_session_next_sequence(expected);
            continue;
        }
        *fault = (ome_frame_fault_t){.message_index = i, .byte_offset = i * OME_RECORD_SIZE};
        fault->field = is_same_session ? "session_sequence" : "session";
        fault->found = is_same_session ? command.session_sequence : command.session;
        fault->allowed = is_same_session ? expected : first.session;
        fault->reason = is_same_session ? OME_REASON_SEQUENCE_GAP : OME_REASON_UNKNOWN_SESSION;
        return false;
    }
    return true;
}

/* How many messages of a frame, from the first on, were taken before: 0 if the first is the next one. False, and `fault`, where the first
 * comes too early. */
static bool gateway_count_seen(
    const ome_session_slot_t *session, const uint8_t *messages, uint32_t count, uint32_t *seen, ome_frame_fault_t *fault)
{
    const uint32_t expected = ome_session_next_sequence(session->command_sequence);
    const uint32_t first = gateway_command_at(messages, 0).session_sequence;
    *seen = 0;
    while (*seen < count && gateway_command_at(messages, *seen).session_sequence != expected)
    {
        (*seen)++;
    }
    if (*seen < count || (int32_t)(first - expected) < 0)
    {
        return true;
    }
    *fault = (ome_frame_fault_t){.found = first, .allowed = expected, .field = "session_sequence", .reason = OME_REASON_SEQUENCE_GAP};
    return false;
}

/* Answers the messages, which were taken before, from what they caused. */
static void gateway_answer_seen(ome_gateway_t *gateway, const ome_socket_message_t *from, uint32_t count, uint16_t session)
{
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    const uint64_t answered = gateway->answered_sequence;
    uint32_t unknown_count = 0;
    uint32_t first_unknown = 0;
    for (uint32_t i = 0; i < count; i++)
    {
        const bool is_last_of_command = i + 1 == count || gateway_template_at(from->data, i + 1) != OME_TEMPLATE_ORDER_TERMS;
        if (!is_last_of_command)
        {
            continue;
        }
        const uint32_t number = gateway_command_at(from->data, i).session_sequence;
        const uint64_t sequence = ome_runs_find(&gateway->runs, slot->last_run, number);
        const bool is_answered =
            sequence != 0 && (sequence > answered || ome_gateway_repeat(gateway, session, sequence) || slot->is_behind);
        if (!is_answered)
        {
            first_unknown = unknown_count++ == 0 ? i : first_unknown;
        }
    }
    ome_counter_add(gateway->config.counters.messages_seen, count);
    gateway_count_noise(gateway, session, count); /* each is looked for */
    if (unknown_count > 0)
    {
        const ome_frame_fault_t fault = {.found = gateway_command_at(from->data, first_unknown).session_sequence,
            .allowed = ome_session_next_sequence(slot->command_sequence),
            .field = "session_sequence",
            .message_index = first_unknown,
            .byte_offset = first_unknown * OME_RECORD_SIZE,
            .reason = OME_REASON_SEQUENCE_SEEN};
        gateway_refuse(gateway, from, session, &fault, 0, count);
    }
}

/* ---- what may be taken now ---- */

/* How many of `count` messages come before the first command that is refused because room on the disk is short. */
static uint32_t gateway_storage_allows(uint8_t storage, const uint8_t *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count && storage != OME_STORAGE_ROOM; i++)
    {
        if (storage == OME_STORAGE_SCARCE || gateway_template_at(messages, i) == OME_TEMPLATE_NEW_ORDER)
        {
            return i;
        }
    }
    return count;
}

/* How many of `count` messages may be taken, whole commands; `reason` says why not all. */
static uint32_t gateway_allows(ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session, uint8_t *reason)
{
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    const uint32_t stored = gateway_storage_allows(gateway->config.storage(gateway->config.context), messages, count);
    const uint32_t allowed = ome_throttle_allows(&gateway->throttle, slot->participant, stored, gateway->now_ns);
    *reason = allowed < stored ? OME_REASON_THROTTLED : stored < count ? OME_REASON_STORAGE_LOW : OME_REASON_BUSY;
    return allowed < stored ? gateway_whole_count(messages, allowed) : stored;
}

/* The messages from `taken` on are refused; they, and those behind them, are to be sent again. */
static void gateway_refuse_rest(
    ome_gateway_t *gateway, const ome_socket_message_t *from, uint16_t session, uint8_t reason, uint32_t taken, uint32_t message_count)
{
    const uint32_t rest = message_count - taken;
    const ome_frame_fault_t fault = {.found = gateway_command_at(from->data, taken).session_sequence,
        .field = "session_sequence",
        .message_index = taken,
        .byte_offset = taken * OME_RECORD_SIZE,
        .reason = reason};
    const ome_gateway_counters_t *counters = &gateway->config.counters;
    ome_counter_add(reason == OME_REASON_BUSY        ? counters->messages_busy
                    : reason == OME_REASON_THROTTLED ? counters->messages_throttled
                                                     : counters->orders_storage_low,
        rest);
    gateway_refuse(gateway, from, session, &fault, taken, rest);
    const uint16_t participant = gateway->table.sessions[session].participant;
    if (reason == OME_REASON_THROTTLED && ome_throttle_refuse(&gateway->throttle, participant, rest, gateway->now_ns))
    {
        ome_gateway_end_session(gateway, session, OME_REASON_THROTTLED);
    }
}

static void gateway_take_numbered(ome_gateway_t *gateway, const ome_socket_message_t *from, uint32_t count, uint16_t session)
{
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    ome_frame_fault_t fault = {0};
    uint32_t seen = 0;
    if (!gateway_is_in_row(from->data, count, slot->is_shared, &fault) || !gateway_count_seen(slot, from->data, count, &seen, &fault))
    {
        const bool is_unnumbered = fault.found == 0 && fault.message_index == 0 && fault.reason == OME_REASON_SEQUENCE_GAP;
        fault.allowed = is_unnumbered ? ome_session_next_sequence(slot->command_sequence) : fault.allowed;
        gateway_refuse(gateway, from, session, &fault, 0, count);
        gateway_count_noise(gateway, session, 1);
        return;
    }
    if (seen < count && gateway_template_at(from->data, seen) == OME_TEMPLATE_ORDER_TERMS)
    {
        seen = count; /* other commands than before under these numbers: none of them is new */
    }
    if (seen > 0)
    {
        gateway_answer_seen(gateway, from, seen, session);
    }
    if (seen == count)
    {
        return;
    }
    const uint8_t *messages = from->data + (size_t)seen * OME_RECORD_SIZE;
    uint8_t reason;
    const uint32_t allowed = gateway_allows(gateway, messages, count - seen, session, &reason);
    const uint32_t taken = gateway_sequence_commands(gateway, messages, allowed, session);
    ome_counter_add(gateway->config.counters.messages_in, taken);
    if (seen + taken < count)
    {
        gateway_refuse_rest(gateway, from, session, taken < allowed ? OME_REASON_BUSY : reason, seen + taken, count);
    }
}

/* ---- frames ---- */

/* The session that a frame is of: the connection's, or of several the one that it names; 0: none. */
static uint16_t gateway_session_named(const ome_gateway_t *gateway, const ome_socket_message_t *from, uint16_t named)
{
    const uint16_t first = ome_session_table_find(&gateway->table, from->peer);
    if (first == 0 || !gateway->table.sessions[first].is_shared)
    {
        return first;
    }
    return named >= 1 && named <= gateway->table.session_count_max && gateway->table.sessions[named].peer == from->peer ? named : 0;
}

static void gateway_take_commands(ome_gateway_t *gateway, const ome_socket_message_t *from, const ome_frame_t *frame)
{
    const uint16_t session = gateway_session_named(gateway, from, gateway_command_at(from->data, 0).session);
    if (session == 0)
    {
        const ome_frame_fault_t fault = {.field = "session", .reason = OME_REASON_NOT_LOGGED_ON};
        gateway_refuse(gateway, from, 0, &fault, 0, frame->message_count);
        return;
    }
    gateway->table.sessions[session].heard_ns = gateway->now_ns;
    if (gateway->table.sessions[session].is_copy)
    {
        const ome_frame_fault_t fault = {.field = "drop copy", .reason = OME_REASON_NOT_PERMITTED};
        gateway_refuse(gateway, from, session, &fault, 0, frame->message_count);
        gateway_count_noise(gateway, session, 1);
        return;
    }
    if (!gateway->config.is_open(gateway->config.context))
    {
        const ome_frame_fault_t fault = {.field = "engine", .reason = OME_REASON_ENGINE_STOPPED};
        gateway_refuse(gateway, from, session, &fault, 0, frame->message_count);
        return;
    }
    gateway_take_numbered(gateway, from, frame->message_count, session);
}

/* A Heartbeat, TestRequest or ResendRequest. Each names its session where the connection has several. */
static void gateway_take_session_message(ome_gateway_t *gateway, const ome_socket_message_t *from, ome_frame_content_t content)
{
    ome_heartbeat_t heartbeat;
    ome_test_request_t test;
    ome_resend_request_t resend;
    memcpy(&heartbeat, from->data, sizeof(heartbeat));
    memcpy(&test, from->data, sizeof(test));
    memcpy(&resend, from->data, sizeof(resend));
    const uint16_t session = gateway_session_named(gateway, from, content == OME_FRAME_HEARTBEAT ? heartbeat.session : test.session);
    if (session == 0)
    {
        const ome_frame_fault_t fault = {.field = "session", .reason = OME_REASON_NOT_LOGGED_ON};
        gateway_refuse(gateway, from, 0, &fault, 0, 1);
        return;
    }
    gateway->table.sessions[session].heard_ns = gateway->now_ns;
    gateway_count_noise(gateway, session, 1);
    if (content == OME_FRAME_TEST_REQUEST)
    {
        ome_gateway_send_heartbeat(gateway, session, test.request_id);
    }
    else if (content == OME_FRAME_RESEND_REQUEST)
    {
        ome_gateway_pause(gateway, from->peer, RESEND_PAUSE_MS);
        ome_gateway_resend(gateway, session, resend.next_report_sequence != 0 ? resend.next_report_sequence : 1);
    }
}
static_assert(offsetof(ome_test_request_t, session) == offsetof(ome_resend_request_t, session), "both name their session in one place");

/* Returns true when the frame is one for the caller. */
static bool gateway_take_frame(ome_gateway_t *gateway, const ome_socket_message_t *from)
{
    ome_frame_t frame;
    const uint16_t session = ome_session_table_find(&gateway->table, from->peer);
    ome_counter_add(gateway->config.counters.frames_in, 1);
    ome_frame_inspect(&frame, from->data, from->data_size_bytes, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, gateway->command_message_count_max);
    switch (frame.content)
    {
    case OME_FRAME_COMMANDS:
        gateway_take_commands(gateway, from, &frame);
        return false;
    case OME_FRAME_HEARTBEAT:
    case OME_FRAME_TEST_REQUEST:
    case OME_FRAME_RESEND_REQUEST:
        gateway_take_session_message(gateway, from, frame.content);
        return false;
    case OME_FRAME_BAD:
        gateway_refuse(gateway, from, session, &frame.fault, 0, frame.message_count);
        if (session != 0)
        {
            gateway->table.sessions[session].heard_ns = gateway->now_ns;
            gateway_count_noise(gateway, session, 1);
        }
        return false;
    default:
        gateway->peer = from->peer;
        memset(gateway->message, 0, sizeof(gateway->message));
        memcpy(gateway->message, from->data, from->data_size_bytes);
        return true;
    }
}

/* The connection of sessions is gone. */
static void gateway_take_gone(ome_gateway_t *gateway, uint64_t peer)
{
    for (uint16_t session = ome_session_table_find(&gateway->table, peer); session != 0;
        session = ome_session_table_find(&gateway->table, peer))
    {
        ome_gateway_lose(gateway, session, OME_REASON_NONE);
    }
}

uint32_t ome_gateway_take_frames(ome_gateway_t *gateway, ome_gateway_outcome_t *outcome)
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
            gateway_take_gone(gateway, message.peer);
        }
        else if (gateway_take_frame(gateway, &message))
        {
            *outcome = OME_GATEWAY_MESSAGE;
        }
    }
    return count;
}
