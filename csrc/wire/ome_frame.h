/* A frame from a client: one or more SBE messages back to back. The inspection finds that its whole structure is right,
 * or names the first error.
 *
 * No state; any thread. */
#ifndef OME_FRAME_H
#define OME_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "abi/ome_records.h"

typedef enum
{
    OME_FRAME_COMMANDS, /* whole commands of one or several messages, message_count in all, 64 bytes each */
    OME_FRAME_LOGON,
    OME_FRAME_LOGOUT,
    OME_FRAME_HEARTBEAT,
    OME_FRAME_TEST_REQUEST,
    OME_FRAME_RESEND_REQUEST,
    OME_FRAME_REQUEST, /* on the address of requests */
    OME_FRAME_BAD /* see `fault` */
} ome_frame_content_t;

typedef struct
{
    uint64_t found;
    uint64_t allowed;
    const char *field; /* at most OME_NAME_SIZE characters */
    uint32_t message_index;
    uint32_t byte_offset;
    uint8_t reason; /* OME_REASON_ */
} ome_frame_fault_t;

typedef struct
{
    ome_frame_content_t content;
    uint32_t message_count; /* of a bad frame, as far as they can be recognised */
    ome_frame_fault_t fault;
} ome_frame_t;

/* The most messages of one command that a client may send: all existing terms take three more; one is spare. */
#define OME_FRAME_COMMAND_MESSAGE_COUNT_MAX 5u

/* Looks at `size_bytes` bytes. A frame has at most `message_count_max` messages, and a command at most
 * `command_message_count_max` of them, all in the same frame; a message of class SESSION is alone in its frame. */
void ome_frame_inspect(
    ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes, uint32_t message_count_max, uint32_t command_message_count_max);

/* The same for the address of requests: one message, a Logon, a Logout or one of class REQUEST. */
void ome_frame_inspect_request(ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes);

/* Bytes of the largest message of class SESSION. */
#define OME_FRAME_SESSION_MESSAGE_SIZE_MAX (OME_MESSAGE_HEADER_SIZE + OME_BLOCK_LOGON)

/* Writes an SBE header at `message`. */
static inline void ome_message_header_set(void *message, uint16_t template_id, uint16_t block_length)
{
    const ome_message_header_t header = {
        .block_length = block_length, .template_id = template_id, .schema_id = OME_SCHEMA_ID, .version = OME_SCHEMA_VERSION};
    __builtin_memcpy(message, &header, sizeof(header));
}

/* Fills a FrameReject. */
void ome_frame_reject_set(ome_frame_reject_t *reject, const ome_frame_fault_t *fault, uint32_t accepted_count, uint32_t rejected_count);

#endif
