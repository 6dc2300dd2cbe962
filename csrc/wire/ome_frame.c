#include "wire/ome_frame.h"

#include <string.h>

#include "base/ome_assert.h"

static bool is_order_command(uint16_t template_id)
{
    return template_id >= OME_TEMPLATE_NEW_ORDER && template_id <= OME_TEMPLATE_AMEND_ORDER;
}

static bool is_session_message(uint16_t template_id)
{
    return template_id == OME_TEMPLATE_LOGON || template_id == OME_TEMPLATE_LOGOUT;
}

static bool fail(ome_frame_t *frame, uint8_t reason, const char *field, uint64_t found, uint64_t allowed)
{
    frame->content = OME_FRAME_BAD;
    frame->fault.reason = reason;
    frame->fault.field = field;
    frame->fault.found = found;
    frame->fault.allowed = allowed;
    return false;
}

/* The message at `offset`; the order of these checks is the order in which a reader could go wrong. */
static bool inspect_message(ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes, ome_message_header_t *header)
{
    const uint32_t left = size_bytes - frame->fault.byte_offset;
    if (left < OME_MESSAGE_HEADER_SIZE)
    {
        return fail(frame, OME_REASON_FRAME_TRUNCATED, "header", left, OME_MESSAGE_HEADER_SIZE);
    }
    memcpy(header, data + frame->fault.byte_offset, sizeof(*header));
    if (header->schema_id != OME_SCHEMA_ID)
    {
        return fail(frame, OME_REASON_UNKNOWN_SCHEMA, "schema_id", header->schema_id, OME_SCHEMA_ID);
    }
    if (header->version != OME_SCHEMA_VERSION)
    {
        return fail(frame, OME_REASON_UNSUPPORTED_VERSION, "version", header->version, OME_SCHEMA_VERSION);
    }
    if (!is_order_command(header->template_id) && !is_session_message(header->template_id))
    {
        return fail(frame, OME_REASON_UNKNOWN_TEMPLATE, "template_id", header->template_id, OME_TEMPLATE_AMEND_ORDER);
    }
    if (header->block_length != OME_BODY_SIZE)
    {
        return fail(frame, OME_REASON_BAD_BLOCK_LENGTH, "block_length", header->block_length, OME_BODY_SIZE);
    }
    if (left < OME_RECORD_SIZE)
    {
        return fail(frame, OME_REASON_FRAME_TRUNCATED, "block", left - OME_MESSAGE_HEADER_SIZE, OME_BODY_SIZE);
    }
    return true;
}

static_assert(OME_BLOCK_LOGON == OME_BODY_SIZE && OME_BLOCK_LOGOUT == OME_BODY_SIZE && OME_BLOCK_NEW_ORDER == OME_BODY_SIZE &&
                  OME_BLOCK_CANCEL_ORDER == OME_BODY_SIZE && OME_BLOCK_REDUCE_ORDER == OME_BODY_SIZE &&
                  OME_BLOCK_AMEND_ORDER == OME_BODY_SIZE,
    "every message that a client may send has the same size");

void ome_frame_inspect(ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes, uint32_t message_count_max)
{
    *frame = (ome_frame_t){.content = OME_FRAME_COMMANDS};
    if (size_bytes == 0)
    {
        frame->message_count = 1;
        (void)fail(frame, OME_REASON_FRAME_EMPTY, "frame", 0, OME_RECORD_SIZE);
        return;
    }
    for (uint32_t offset = 0; offset < size_bytes; offset += OME_RECORD_SIZE)
    {
        frame->fault.message_index = frame->message_count;
        frame->fault.byte_offset = offset;
        ome_message_header_t header;
        if (!inspect_message(frame, data, size_bytes, &header))
        {
            frame->message_count++;
            return;
        }
        const bool is_alone = is_session_message(header.template_id);
        const uint32_t allowed = is_alone || frame->content != OME_FRAME_COMMANDS ? 1 : message_count_max;
        if (frame->message_count >= allowed)
        {
            frame->message_count = (size_bytes + OME_RECORD_SIZE - 1) / OME_RECORD_SIZE;
            (void)fail(frame, OME_REASON_FRAME_TOO_LONG, "message_count", frame->message_count, allowed);
            return;
        }
        frame->message_count++;
        if (is_alone)
        {
            frame->content = header.template_id == OME_TEMPLATE_LOGON ? OME_FRAME_LOGON : OME_FRAME_LOGOUT;
        }
    }
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
