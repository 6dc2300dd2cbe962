/* Frames to commands: commands that may be sequenced are sequenced, in order, and everything else is answered. */
#include <string.h>

#include "base/ome_assert.h"
#include "wire/ome_gateway_state.h"

#define FRAME_COUNT_PER_TURN 32u

/* Bad frames and heartbeats of one session in a tick, before it is read more slowly. */
#define NOISE_COUNT_MAX 64u

static void gateway_refuse(ome_gateway_t *gateway, const ome_socket_message_t *from, const ome_frame_fault_t *fault,
    uint32_t accepted_count, uint32_t rejected_count)
{
    ome_frame_reject_t reject;
    ome_frame_reject_set(&reject, fault, accepted_count, rejected_count);
    ome_counter_add(gateway->config.counters.frames_rejected, 1);
    (void)ome_gateway_send(gateway, from->peer, (const uint8_t *)&reject, sizeof(reject));
}

/* A session made noise: messages that are answered without being work. A session that makes much noise has to wait. */
static void gateway_count_noise(ome_gateway_t *gateway, uint16_t session)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    const uint64_t tick = gateway->now_ns / (OME_GATEWAY_TICK_MS * OME_GATEWAY_NS_PER_MS);
    if (slot->noise_tick != tick)
    {
        slot->noise_tick = tick;
        slot->noise_count = 0;
    }
    if (++slot->noise_count >= NOISE_COUNT_MAX)
    {
        slot->noise_count = 0;
        ome_gateway_pause(gateway, slot->peer, OME_GATEWAY_TICK_MS);
    }
}

/* Puts messages into the claimed slots. The gateway itself fills in their owner and kind. */
static void gateway_put_commands(const ome_gateway_t *gateway, const uint8_t *messages, const ome_ingress_claim_t *claim, uint16_t session)
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
    while (gateway_template_at(messages, count) == OME_TEMPLATE_ORDER_TERMS)
    {
        count--;
    }
    return count;
}

/* Defines a session in the engine, before its first command. False while the ring is full. */
static bool gateway_define_session(ome_gateway_t *gateway, uint16_t session)
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

/* Returns how many of the messages were taken: all of them, unless the ring stays full. The messages of a command are
 * claimed together, so that no other producer's come in between. */
static uint32_t gateway_sequence_commands(ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session)
{
    const ome_ingress_t *ingress = &gateway->config.ingress;
    const uint32_t slot_count = ingress->ring->slot_count;
    uint32_t taken = 0;
    if (!gateway->table.sessions[session].is_defined && !gateway_define_session(gateway, session))
    {
        return 0;
    }
    while (taken < count)
    {
        const uint32_t left = count - taken;
        const uint8_t *rest = messages + (size_t)taken * OME_RECORD_SIZE;
        const uint32_t part = left <= slot_count ? left : gateway_whole_count(rest, slot_count);
        ome_ingress_claim_t claim;
        if (ome_ingress_claim(ingress, part, &claim) != OME_OK)
        {
            break;
        }
        gateway_put_commands(gateway, rest, &claim, session);
        ome_ingress_publish(ingress, &claim);
        taken += part;
    }
    return taken;
}

/* How many of `count` messages, from the first on, are all new orders or all something else. Terms go with the command
 * before them. */
static uint32_t gateway_run_count(const uint8_t *messages, uint32_t count)
{
    const bool are_orders = gateway_template_at(messages, 0) == OME_TEMPLATE_NEW_ORDER;
    for (uint32_t i = 1; i < count; i++)
    {
        const uint16_t template_id = gateway_template_at(messages, i);
        if (template_id != OME_TEMPLATE_ORDER_TERMS && (template_id == OME_TEMPLATE_NEW_ORDER) != are_orders)
        {
            return i;
        }
    }
    return count;
}

static_assert(OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX <= OME_GATEWAY_REPORT_COUNT_MAX, "the pool holds a report for each message of a frame");

/* Whether a command of this kind is refused because room on the disk is short. */
static bool gateway_is_refused(uint8_t storage, uint16_t template_id)
{
    return storage == OME_STORAGE_SCARCE || (storage == OME_STORAGE_LOW && template_id == OME_TEMPLATE_NEW_ORDER);
}

/* Answers each command among the messages, which has its answer then as one that the engine rejects. */
static void gateway_refuse_commands(ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session)
{
    const uint64_t now_ns = ome_venue_clock_now_ns(gateway->config.ingress.clock);
    for (uint32_t i = 0; i < count; i++)
    {
        const uint16_t template_id = gateway_template_at(messages, i);
        if (template_id == OME_TEMPLATE_ORDER_TERMS)
        {
            continue;
        }
        ome_command_t command;
        ome_execution_report_t report;
        memcpy(&command, messages + (size_t)i * OME_RECORD_SIZE, sizeof(command));
        ome_reports_refuse(&report, &command, (uint8_t)template_id, OME_REASON_STORAGE_LOW, now_ns);
        ome_gateway_pool_report(gateway, &report, session);
        ome_counter_add(gateway->config.counters.orders_storage_low, 1);
    }
}

/* As sequence_commands while there is little room: what is refused counts as taken. What is in the pool of reports is
 * sent when this returns. */
static uint32_t gateway_sequence_what_may(
    ome_gateway_t *gateway, const uint8_t *messages, uint32_t count, uint16_t session, uint8_t storage)
{
    uint32_t taken = 0;
    bool is_full = false;
    while (taken < count && !is_full)
    {
        const uint8_t *rest = messages + (size_t)taken * OME_RECORD_SIZE;
        const uint32_t run = gateway_run_count(rest, count - taken);
        uint32_t done = run;
        if (gateway_is_refused(storage, gateway_template_at(rest, 0)))
        {
            gateway_refuse_commands(gateway, rest, run, session);
        }
        else
        {
            done = gateway_sequence_commands(gateway, rest, run, session);
        }
        taken += done;
        is_full = done < run;
    }
    ome_gateway_send_reports(gateway);
    return taken;
}

static uint32_t gateway_session_sequence_at(const ome_socket_message_t *from, uint32_t index)
{
    ome_command_t command;
    memcpy(&command, from->data + (size_t)index * OME_RECORD_SIZE, sizeof(command));
    return command.session_sequence;
}

/* The messages from `taken` on are to be sent again, later. */
static void gateway_refuse_busy(
    ome_gateway_t *gateway, const ome_socket_message_t *from, ome_session_slot_t *session, uint32_t taken, uint32_t message_count)
{
    const uint32_t refused_sequence = gateway_session_sequence_at(from, taken);
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
    gateway_refuse(gateway, from, &fault, taken, message_count - taken);
}

static void gateway_take_commands(
    ome_gateway_t *gateway, const ome_socket_message_t *from, const ome_frame_t *frame, uint16_t session_number)
{
    if (session_number == 0)
    {
        const ome_frame_fault_t fault = {.field = "session", .reason = OME_REASON_NOT_LOGGED_ON};
        gateway_refuse(gateway, from, &fault, 0, frame->message_count);
        return;
    }
    if (!gateway->config.is_open(gateway->config.context))
    {
        const ome_frame_fault_t fault = {.field = "engine", .reason = OME_REASON_ENGINE_STOPPED};
        gateway_refuse(gateway, from, &fault, 0, frame->message_count);
        return;
    }
    /* Frames that were under way when one was refused must not overtake it. */
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    if (session->is_refused && gateway_session_sequence_at(from, 0) != session->refused_sequence)
    {
        gateway_refuse_busy(gateway, from, session, 0, frame->message_count);
        return;
    }
    session->is_refused = false;
    const uint8_t storage = gateway->config.storage(gateway->config.context);
    const uint32_t taken = storage == OME_STORAGE_ROOM
                               ? gateway_sequence_commands(gateway, from->data, frame->message_count, session_number)
                               : gateway_sequence_what_may(gateway, from->data, frame->message_count, session_number, storage);
    ome_counter_add(gateway->config.counters.messages_in, taken);
    if (taken < frame->message_count)
    {
        gateway_refuse_busy(gateway, from, session, taken, frame->message_count);
    }
}

static void gateway_take_heartbeat(ome_gateway_t *gateway, const ome_socket_message_t *from, uint16_t session)
{
    if (session == 0)
    {
        const ome_frame_fault_t fault = {.field = "session", .reason = OME_REASON_NOT_LOGGED_ON};
        gateway_refuse(gateway, from, &fault, 0, 1);
        return;
    }
    ome_heartbeat_t heartbeat;
    memcpy(&heartbeat, from->data, sizeof(heartbeat));
    gateway_count_noise(gateway, session);
    ome_gateway_send_heartbeat(gateway, session, heartbeat.request_id);
}

/* Returns true when the frame is one for the caller. */
static bool gateway_take_frame(ome_gateway_t *gateway, const ome_socket_message_t *from)
{
    ome_frame_t frame;
    const uint16_t session = ome_session_table_find(&gateway->table, from->peer);
    ome_counter_add(gateway->config.counters.frames_in, 1);
    gateway->table.sessions[session].heard_ns = gateway->now_ns;
    ome_frame_inspect(&frame, from->data, from->data_size_bytes, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, gateway->command_message_count_max);
    switch (frame.content)
    {
    case OME_FRAME_COMMANDS:
        gateway_take_commands(gateway, from, &frame, session);
        return false;
    case OME_FRAME_HEARTBEAT:
        gateway_take_heartbeat(gateway, from, session);
        return false;
    case OME_FRAME_BAD:
        gateway_refuse(gateway, from, &frame.fault, 0, frame.message_count);
        if (session != 0)
        {
            gateway_count_noise(gateway, session);
        }
        return false;
    default:
        gateway->peer = from->peer;
        memcpy(gateway->message, from->data, OME_RECORD_SIZE);
        return true;
    }
}

/* The connection of a session, where it had one, is gone. */
static void gateway_take_gone(ome_gateway_t *gateway, uint64_t peer)
{
    const uint16_t session = ome_session_table_find(&gateway->table, peer);
    if (session != 0)
    {
        ome_counter_add(gateway->config.counters.sessions_ended, 1);
        ome_gateway_unbind(gateway, session);
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
