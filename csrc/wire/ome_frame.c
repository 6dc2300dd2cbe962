#include "wire/ome_frame.h"

#include <string.h>

#include "base/ome_assert.h"

static bool frame_is_client_command(uint16_t template_id)
{
    return ome_message_class(template_id) == OME_MESSAGE_CLASS_ORDER;
}

static bool frame_is_request(uint16_t template_id)
{
    return ome_message_class(template_id) == OME_MESSAGE_CLASS_REQUEST;
}

static bool frame_is_session_message(uint16_t template_id)
{
    return ome_message_class(template_id) == OME_MESSAGE_CLASS_SESSION;
}

static ome_frame_content_t frame_content_of(uint16_t template_id)
{
    switch (template_id)
    {
    case OME_TEMPLATE_LOGON:
        return OME_FRAME_LOGON;
    case OME_TEMPLATE_LOGOUT:
        return OME_FRAME_LOGOUT;
    case OME_TEMPLATE_HEARTBEAT:
        return OME_FRAME_HEARTBEAT;
    case OME_TEMPLATE_TEST_REQUEST:
        return OME_FRAME_TEST_REQUEST;
    case OME_TEMPLATE_RESEND_REQUEST:
        return OME_FRAME_RESEND_REQUEST;
    default:
        return OME_FRAME_COMMANDS;
    }
}

static bool frame_fail(ome_frame_t *frame, uint8_t reason, const char *field, uint64_t found, uint64_t allowed)
{
    frame->content = OME_FRAME_BAD;
    frame->fault.reason = reason;
    frame->fault.field = field;
    frame->fault.found = found;
    frame->fault.allowed = allowed;
    return false;
}

static uint16_t frame_block_length(uint16_t template_id)
{
    return template_id == OME_TEMPLATE_LOGON ? OME_BLOCK_LOGON : OME_BODY_SIZE;
}

static bool frame_may_be_sent(uint16_t template_id, bool is_request)
{
    if (is_request)
    {
        return frame_is_request(template_id) || template_id == OME_TEMPLATE_LOGON || template_id == OME_TEMPLATE_LOGOUT;
    }
    return frame_is_client_command(template_id) || frame_is_session_message(template_id);
}

/* The message at `offset`; the order of these checks is the order in which a reader could go wrong. */
static bool frame_inspect_message(
    ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes, bool is_request, ome_message_header_t *header)
{
    const uint32_t left = size_bytes - frame->fault.byte_offset;
    if (left < OME_MESSAGE_HEADER_SIZE)
    {
        return frame_fail(frame, OME_REASON_FRAME_TRUNCATED, "header", left, OME_MESSAGE_HEADER_SIZE);
    }
    memcpy(header, data + frame->fault.byte_offset, sizeof(*header));
    if (header->schema_id != OME_SCHEMA_ID)
    {
        return frame_fail(frame, OME_REASON_UNKNOWN_SCHEMA, "schema_id", header->schema_id, OME_SCHEMA_ID);
    }
    if (header->version != OME_SCHEMA_VERSION)
    {
        return frame_fail(frame, OME_REASON_UNSUPPORTED_VERSION, "version", header->version, OME_SCHEMA_VERSION);
    }
    if (!frame_may_be_sent(header->template_id, is_request))
    {
        const uint16_t allowed = is_request ? OME_TEMPLATE_FILLS_REQUEST : OME_TEMPLATE_MASS_CANCEL;
        return frame_fail(frame, OME_REASON_UNKNOWN_TEMPLATE, "template_id", header->template_id, allowed);
    }
    const uint16_t block_length = frame_block_length(header->template_id);
    if (header->block_length != block_length)
    {
        return frame_fail(frame, OME_REASON_BAD_BLOCK_LENGTH, "block_length", header->block_length, block_length);
    }
    if (left - OME_MESSAGE_HEADER_SIZE < block_length)
    {
        return frame_fail(frame, OME_REASON_FRAME_TRUNCATED, "block", left - OME_MESSAGE_HEADER_SIZE, block_length);
    }
    return true;
}

static_assert(OME_BLOCK_LOGOUT == OME_BODY_SIZE && OME_BLOCK_HEARTBEAT == OME_BODY_SIZE && OME_BLOCK_TEST_REQUEST == OME_BODY_SIZE &&
                  OME_BLOCK_RESEND_REQUEST == OME_BODY_SIZE && OME_BLOCK_NEW_ORDER == OME_BODY_SIZE &&
                  OME_BLOCK_CANCEL_ORDER == OME_BODY_SIZE && OME_BLOCK_REDUCE_ORDER == OME_BODY_SIZE &&
                  OME_BLOCK_AMEND_ORDER == OME_BODY_SIZE && OME_BLOCK_ORDER_TERMS == OME_BODY_SIZE &&
                  OME_BLOCK_MASS_CANCEL == OME_BODY_SIZE && OME_BLOCK_ORDERS_REQUEST == OME_BODY_SIZE &&
                  OME_BLOCK_ORDER_STATUS_REQUEST == OME_BODY_SIZE && OME_BLOCK_INSTRUMENTS_REQUEST == OME_BODY_SIZE &&
                  OME_BLOCK_SESSIONS_REQUEST == OME_BODY_SIZE && OME_BLOCK_FILLS_REQUEST == OME_BODY_SIZE,
    "every message that a client may send has the same size, but for the logon");

/* The command that the messages so far have left open. */
typedef struct
{
    uint32_t message_count; /* 0: the next message begins a command */
    uint32_t message_count_max;
} open_command_t;

static uint16_t frame_flags_of(const uint8_t *message)
{
    uint16_t flags;
    memcpy(&flags, message + offsetof(ome_command_t, flags), sizeof(flags));
    return flags;
}

/* OrderTerms follow a message with CONTINUED, and nothing else does. On the other commands CONTINUED is a flag like any
 * that does not belong to them: the engine's to refuse. */
static bool frame_inspect_command(ome_frame_t *frame, open_command_t *command, const uint8_t *message, uint16_t template_id)
{
    const bool is_terms = template_id == OME_TEMPLATE_ORDER_TERMS;
    if (is_terms != (command->message_count > 0))
    {
        const uint16_t allowed = is_terms ? OME_TEMPLATE_AMEND_ORDER : OME_TEMPLATE_ORDER_TERMS;
        return frame_fail(frame, OME_REASON_INCOMPLETE_COMMAND, "template_id", template_id, allowed);
    }
    const bool may_continue = is_terms || template_id == OME_TEMPLATE_NEW_ORDER || template_id == OME_TEMPLATE_AMEND_ORDER;
    if (!may_continue || (frame_flags_of(message) & OME_COMMAND_FLAGS_CONTINUED) == 0)
    {
        command->message_count = 0;
        return true;
    }
    command->message_count++;
    if (command->message_count >= command->message_count_max)
    {
        return frame_fail(
            frame, OME_REASON_INCOMPLETE_COMMAND, "command_messages", (uint64_t)command->message_count + 1, command->message_count_max);
    }
    return true;
}

static uint32_t frame_message_count_of(uint32_t size_bytes)
{
    return (size_bytes + OME_RECORD_SIZE - 1) / OME_RECORD_SIZE;
}

void ome_frame_inspect(
    ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes, uint32_t message_count_max, uint32_t command_message_count_max)
{
    *frame = (ome_frame_t){.content = OME_FRAME_COMMANDS};
    open_command_t command = {.message_count_max = command_message_count_max};
    if (size_bytes == 0)
    {
        frame->message_count = 1;
        (void)frame_fail(frame, OME_REASON_FRAME_EMPTY, "frame", 0, OME_RECORD_SIZE);
        return;
    }
    for (uint32_t offset = 0, message_size = 0; offset < size_bytes; offset += message_size)
    {
        frame->fault.message_index = frame->message_count;
        frame->fault.byte_offset = offset;
        ome_message_header_t header;
        if (!frame_inspect_message(frame, data, size_bytes, false, &header))
        {
            frame->message_count++;
            return;
        }
        message_size = OME_MESSAGE_HEADER_SIZE + header.block_length;
        const bool is_alone = frame_is_session_message(header.template_id);
        const uint32_t allowed = is_alone || frame->content != OME_FRAME_COMMANDS ? 1 : message_count_max;
        if (frame->message_count >= allowed)
        {
            frame->message_count += (size_bytes - offset + message_size - 1) / message_size; /* the rest, if it is like this one */
            (void)frame_fail(frame, OME_REASON_FRAME_TOO_LONG, "message_count", frame->message_count, allowed);
            return;
        }
        frame->message_count++;
        if (is_alone)
        {
            frame->content = frame_content_of(header.template_id);
        }
        else if (!frame_inspect_command(frame, &command, data + offset, header.template_id))
        {
            frame->message_count = frame_message_count_of(size_bytes);
            return;
        }
    }
    if (command.message_count > 0)
    {
        const uint16_t flags = frame_flags_of(data + frame->fault.byte_offset);
        (void)frame_fail(frame, OME_REASON_INCOMPLETE_COMMAND, "flags", flags, flags - (uint32_t)OME_COMMAND_FLAGS_CONTINUED);
    }
}

void ome_frame_inspect_request(ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes)
{
    *frame = (ome_frame_t){.message_count = 1};
    if (size_bytes == 0)
    {
        (void)frame_fail(frame, OME_REASON_FRAME_EMPTY, "frame", 0, OME_RECORD_SIZE);
        return;
    }
    ome_message_header_t header;
    if (!frame_inspect_message(frame, data, size_bytes, true, &header))
    {
        return;
    }
    const uint32_t message_size = OME_MESSAGE_HEADER_SIZE + header.block_length;
    if (size_bytes > message_size)
    {
        frame->message_count = (size_bytes + message_size - 1) / message_size;
        frame->fault.message_index = 1;
        frame->fault.byte_offset = message_size;
        (void)frame_fail(frame, OME_REASON_FRAME_TOO_LONG, "message_count", frame->message_count, 1);
        return;
    }
    frame->content = frame_is_request(header.template_id) ? OME_FRAME_REQUEST : frame_content_of(header.template_id);
}

void ome_frame_reject_set(ome_frame_reject_t *reject, const ome_frame_fault_t *fault, uint32_t accepted_count, uint32_t rejected_count)
{
    *reject = (ome_frame_reject_t){.found = fault->found,
        .allowed = fault->allowed,
        .message_index = fault->message_index,
        .byte_offset = fault->byte_offset,
        .accepted_count = accepted_count,
        .rejected_count = rejected_count,
        .reason = fault->reason};
    ome_message_header_set(reject, OME_TEMPLATE_FRAME_REJECT, OME_BLOCK_FRAME_REJECT);
    const size_t length = strlen(fault->field);
    OME_ASSERT(length <= sizeof(reject->field));
    memcpy(reject->field, fault->field, length);
}
