/* The gateway: frames, the session table, reports, and the loop between a socket that is a table in memory and a real engine, by hand and with threads. */
#define _GNU_SOURCE

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "commands/ome_apply.h"
#include "ome_venue_face.h"
#include "ome_test_directory.h"
#include "ome_test_market.h"
#include "pipeline/ome_match_stage.h"
#include "pipeline/ome_venue.h"
#include "state/ome_state.h"
#include "wire/ome_frame.h"
#include "wire/ome_gateway.h"
#include "wire/ome_session_table.h"

#define PEER_COUNT 6u /* their slots; 0 is not used */
#define FRAME_COUNT_MAX 4096u
#define REPORT_SIZE sizeof(ome_execution_report_t)
#define LONG_NS UINT64_C(20000000000) /* a wait this long means that something hangs */

static uint64_t seed;

static const ome_limits_t standard_limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 32};

static void set_header(void *message, uint16_t template_id)
{
    ome_message_header_set(message, template_id, OME_BODY_SIZE);
}

/* ---- frames ---- */

/* A good frame of cancels in memory of exactly its size, so that the address sanitizer sees a step too far. */
static uint8_t *good_frame(uint32_t message_count, uint32_t size_bytes)
{
    uint8_t *data = calloc(1, size_bytes > 0 ? size_bytes : 1);
    CHECK(data != NULL);
    for (uint32_t i = 0; i < message_count && (i + 1) * OME_RECORD_SIZE <= size_bytes; i++)
    {
        set_header(data + i * OME_RECORD_SIZE, (uint16_t)(OME_TEMPLATE_NEW_ORDER + i % 4));
    }
    return data;
}

static ome_frame_t inspect(const uint8_t *data, uint32_t size_bytes)
{
    ome_frame_t frame;
    ome_frame_inspect(&frame, data, size_bytes, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, OME_FRAME_COMMAND_MESSAGE_COUNT_MAX);
    return frame;
}

static void check_fault(
    const ome_frame_t *frame, uint8_t reason, const char *field, uint64_t found, uint64_t allowed, uint32_t message_index)
{
    CHECK_EQUAL(frame->content, OME_FRAME_BAD);
    CHECK_EQUAL(frame->fault.reason, reason);
    CHECK_TEXT_EQUAL(frame->fault.field, field);
    CHECK(strlen(field) <= OME_NAME_SIZE);
    CHECK_EQUAL(frame->fault.found, found);
    CHECK_EQUAL(frame->fault.allowed, allowed);
    CHECK_EQUAL(frame->fault.message_index, message_index);
    CHECK_EQUAL(frame->fault.byte_offset, message_index * OME_RECORD_SIZE);
}

/* Frames of 1 to 256 commands are good; their number is told. */
static void frames_of_up_to_256_commands_are_good(void)
{
    for (uint32_t count = 1; count <= 256; count += 5)
    {
        uint8_t *data = good_frame(count, count * OME_RECORD_SIZE);
        const ome_frame_t frame = inspect(data, count * OME_RECORD_SIZE);
        CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
        CHECK_EQUAL(frame.message_count, count);
        free(data);
    }
}

/* One more than 256 is too long, and the first that is too many is named. */
static void a_frame_of_257_commands_is_too_long(void)
{
    uint8_t *data = good_frame(257, 257 * OME_RECORD_SIZE);
    ome_frame_t frame = inspect(data, 257 * OME_RECORD_SIZE);
    check_fault(&frame, OME_REASON_FRAME_TOO_LONG, "message_count", 257, 256, 256);
    frame = inspect(data, 256 * OME_RECORD_SIZE);
    CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
    CHECK_EQUAL(frame.message_count, 256);
    free(data);
}

/* Each fault of a message has its reason, field, value found and value allowed, in whichever message of the frame it is. */
static void every_fault_of_a_message_is_named(void)
{
    for (uint32_t index = 0; index < 3; index++)
    {
        uint8_t *data = good_frame(3, 3 * OME_RECORD_SIZE);
        ome_message_header_t *header = (ome_message_header_t *)(void *)(data + index * OME_RECORD_SIZE);
        const ome_message_header_t good = *header;
        header->schema_id = 7;
        ome_frame_t frame = inspect(data, 3 * OME_RECORD_SIZE);
        check_fault(&frame, OME_REASON_UNKNOWN_SCHEMA, "schema_id", 7, OME_SCHEMA_ID, index);
        *header = good;
        header->version = OME_SCHEMA_VERSION + 1;
        frame = inspect(data, 3 * OME_RECORD_SIZE);
        check_fault(&frame, OME_REASON_UNSUPPORTED_VERSION, "version", OME_SCHEMA_VERSION + 1, OME_SCHEMA_VERSION, index);
        *header = good;
        header->block_length = 55;
        frame = inspect(data, 3 * OME_RECORD_SIZE);
        check_fault(&frame, OME_REASON_BAD_BLOCK_LENGTH, "block_length", 55, OME_BODY_SIZE, index);
        for (uint32_t template_id = 0; template_id < 70000; template_id += template_id < 300 ? 1 : 997)
        {
            const uint16_t id = (uint16_t)template_id;
            *header = good;
            header->template_id = id;
            frame = inspect(data, 3 * OME_RECORD_SIZE);
            if (id < 1 || (id > 6 && id != OME_TEMPLATE_LOGON && id != OME_TEMPLATE_LOGOUT && id != OME_TEMPLATE_HEARTBEAT))
            {
                check_fault(&frame, OME_REASON_UNKNOWN_TEMPLATE, "template_id", id, OME_TEMPLATE_MASS_CANCEL, index);
            }
        }
        free(data);
    }
}

/* A frame that ends inside a header or inside a block is truncated there; a frame of no bytes is empty. */
static void every_truncation_is_named(void)
{
    for (uint32_t size_bytes = 0; size_bytes <= 3 * OME_RECORD_SIZE; size_bytes++)
    {
        uint8_t *data = good_frame(3, 3 * OME_RECORD_SIZE);
        uint8_t *cut = malloc(size_bytes > 0 ? size_bytes : 1);
        CHECK(cut != NULL);
        memcpy(cut, data, size_bytes);
        const ome_frame_t frame = inspect(cut, size_bytes);
        const uint32_t index = size_bytes / OME_RECORD_SIZE;
        const uint32_t left = size_bytes % OME_RECORD_SIZE;
        if (size_bytes == 0)
        {
            check_fault(&frame, OME_REASON_FRAME_EMPTY, "frame", 0, OME_RECORD_SIZE, 0);
        }
        else if (left == 0)
        {
            CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
            CHECK_EQUAL(frame.message_count, index);
        }
        else if (left < OME_MESSAGE_HEADER_SIZE)
        {
            check_fault(&frame, OME_REASON_FRAME_TRUNCATED, "header", left, OME_MESSAGE_HEADER_SIZE, index);
        }
        else
        {
            check_fault(&frame, OME_REASON_FRAME_TRUNCATED, "block", left - OME_MESSAGE_HEADER_SIZE, OME_BODY_SIZE, index);
        }
        free(cut);
        free(data);
    }
}

/* Of several faults the first message's is told, and of one message's the first in the order of the reasons. */
static void the_first_fault_is_the_one_that_is_told(void)
{
    uint8_t *data = good_frame(3, 3 * OME_RECORD_SIZE);
    ome_message_header_t *header = (ome_message_header_t *)(void *)(data + OME_RECORD_SIZE);
    *header = (ome_message_header_t){.block_length = 1, .template_id = 99, .schema_id = 2, .version = 9};
    memset(data + 2 * OME_RECORD_SIZE, 0xFF, OME_MESSAGE_HEADER_SIZE);
    static const uint8_t reasons[4] = {
        OME_REASON_UNKNOWN_SCHEMA, OME_REASON_UNSUPPORTED_VERSION, OME_REASON_UNKNOWN_TEMPLATE, OME_REASON_BAD_BLOCK_LENGTH};
    for (uint32_t i = 0; i < 4; i++)
    {
        const ome_frame_t frame = inspect(data, 3 * OME_RECORD_SIZE);
        CHECK_EQUAL(frame.fault.reason, reasons[i]);
        CHECK_EQUAL(frame.fault.message_index, 1);
        header->schema_id = i == 0 ? OME_SCHEMA_ID : header->schema_id;
        header->version = i == 1 ? OME_SCHEMA_VERSION : header->version;
        header->template_id = i == 2 ? OME_TEMPLATE_CANCEL_ORDER : header->template_id;
        header->block_length = i == 3 ? OME_BODY_SIZE : header->block_length;
    }
    const ome_frame_t frame = inspect(data, 3 * OME_RECORD_SIZE);
    CHECK_EQUAL(frame.content, OME_FRAME_BAD);
    CHECK_EQUAL(frame.fault.message_index, 2);
    free(data);
}

/* A logon, a logout or a heartbeat is alone in its frame: behind another message, or with another behind it, the frame is too long. */
static void a_logon_logout_or_heartbeat_is_alone_in_its_frame(void)
{
    static const uint16_t ids[4] = {OME_TEMPLATE_LOGON, OME_TEMPLATE_LOGOUT, OME_TEMPLATE_HEARTBEAT, OME_TEMPLATE_NEW_ORDER};
    static const ome_frame_content_t contents[4] = {OME_FRAME_LOGON, OME_FRAME_LOGOUT, OME_FRAME_HEARTBEAT, OME_FRAME_COMMANDS};
    for (uint32_t first = 0; first < 4; first++)
    {
        uint8_t *data = good_frame(2, 2 * OME_RECORD_SIZE);
        set_header(data, ids[first]);
        ome_frame_t frame = inspect(data, OME_RECORD_SIZE);
        CHECK_EQUAL(frame.content, contents[first]);
        CHECK_EQUAL(frame.message_count, 1);
        for (uint32_t second = 0; second < 4; second++)
        {
            set_header(data + OME_RECORD_SIZE, ids[second]);
            frame = inspect(data, 2 * OME_RECORD_SIZE);
            if (first == 3 && second == 3)
            {
                CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
                CHECK_EQUAL(frame.message_count, 2);
            }
            else
            {
                check_fault(&frame, OME_REASON_FRAME_TOO_LONG, "message_count", 2, 1, 1);
            }
        }
        free(data);
    }
}

/* A frame of messages with these templates, of which those whose letter is large say CONTINUED: n new order, a amend, c cancel, t terms, m mass cancel. */
static ome_frame_t inspect_letters(const char *letters, uint32_t command_message_count_max)
{
    static const char known[] = "?ncratm"; /* by template */
    const uint32_t count = (uint32_t)strlen(letters);
    uint8_t *data = calloc(count, OME_RECORD_SIZE);
    CHECK(data != NULL);
    for (uint32_t i = 0; i < count; i++)
    {
        const char small = (char)(letters[i] | 32);
        ome_command_t *command = (ome_command_t *)(void *)(data + i * OME_RECORD_SIZE);
        set_header(command, (uint16_t)(strchr(known, small) - known));
        command->flags = (uint16_t)(8 | (letters[i] != small ? OME_COMMAND_FLAGS_CONTINUED : 0));
    }
    ome_frame_t frame;
    ome_frame_inspect(&frame, data, count * OME_RECORD_SIZE, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, command_message_count_max);
    CHECK_EQUAL(frame.message_count, count);
    free(data);
    return frame;
}

/* Terms follow at once the command that says CONTINUED, in the same frame, and nothing else. On a command that cannot be continued the flag is the engine's to refuse. */
static void the_messages_of_a_command_are_in_one_frame(void)
{
    static const char *const good[] = {"n", "Nt", "NTt", "NTTTt", "NtNtn", "At", "cAtNTtm", "Cn", "Mc", "CNtR", "m"};
    for (uint32_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    {
        CHECK_EQUAL(inspect_letters(good[i], 5).content, OME_FRAME_COMMANDS);
    }
    static const struct
    {
        const char *letters;
        const char *field;
        uint32_t found;
        uint32_t allowed;
        uint32_t message_index;
    } bad[] = {{"N", "flags", 12, 8, 0}, /* ends the frame */
        {"ncA", "flags", 12, 8, 2}, {"NT", "flags", 12, 8, 1},
        {"t", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 0}, /* belongs to nothing */
        {"nt", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 1},
        {"Ntt", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 2},
        {"Ct", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 1},
        {"Mt", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 1},
        {"NcT", "template_id", OME_TEMPLATE_CANCEL_ORDER, OME_TEMPLATE_ORDER_TERMS, 1}, /* comes in between */
        {"cNTNt", "template_id", OME_TEMPLATE_NEW_ORDER, OME_TEMPLATE_ORDER_TERMS, 3}, {"cNTTTTt", "command_messages", 6, 5, 5}};
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    {
        const ome_frame_t frame = inspect_letters(bad[i].letters, 5);
        check_fault(&frame, OME_REASON_INCOMPLETE_COMMAND, bad[i].field, bad[i].found, bad[i].allowed, bad[i].message_index);
    }
    const ome_frame_t frame = inspect_letters("NTt", 2);
    check_fault(&frame, OME_REASON_INCOMPLETE_COMMAND, "command_messages", 3, 2, 1);
}

/* What must hold of the verdict on any bytes. */
static void check_verdict(const ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes)
{
    if (frame->content != OME_FRAME_BAD)
    {
        CHECK_EQUAL(frame->message_count, size_bytes / OME_RECORD_SIZE);
        CHECK_EQUAL(size_bytes % OME_RECORD_SIZE, 0);
        CHECK(frame->message_count >= 1 && frame->message_count <= OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX);
        for (uint32_t i = 0; i < frame->message_count; i++)
        {
            ome_message_header_t header;
            memcpy(&header, data + i * OME_RECORD_SIZE, sizeof(header));
            CHECK_EQUAL(header.schema_id, OME_SCHEMA_ID);
            CHECK_EQUAL(header.version, OME_SCHEMA_VERSION);
            CHECK_EQUAL(header.block_length, OME_BODY_SIZE);
            const bool is_command = header.template_id >= OME_TEMPLATE_NEW_ORDER && header.template_id <= OME_TEMPLATE_MASS_CANCEL;
            CHECK_EQUAL(is_command, frame->content == OME_FRAME_COMMANDS);
        }
        return;
    }
    const ome_frame_fault_t *fault = &frame->fault;
    ome_frame_reject_t reject;
    CHECK((fault->reason >= OME_REASON_FRAME_EMPTY && fault->reason <= OME_REASON_BAD_BLOCK_LENGTH) ||
          fault->reason == OME_REASON_INCOMPLETE_COMMAND);
    CHECK_EQUAL(fault->byte_offset, fault->message_index * OME_RECORD_SIZE);
    CHECK(fault->byte_offset < size_bytes || size_bytes == 0);
    CHECK(fault->found != fault->allowed);
    ome_frame_reject_set(&reject, fault, 0, 1);
    CHECK_EQUAL(reject.reason, fault->reason);
    CHECK(strncmp(reject.field, fault->field, sizeof(reject.field)) == 0);
}

/* A hundred thousand frames of random bytes, or of good ones with a few bytes changed or the end cut: each gets a verdict, and none is read past its end. */
static void any_bytes_get_a_verdict(void)
{
    uint64_t state = seed;
    uint32_t good_count = 0;
    for (uint32_t i = 0; i < 100000; i++)
    {
        const uint32_t size_bytes = (uint32_t)(test_random(&state) % (i % 500 == 0 ? 260 * OME_RECORD_SIZE : 5 * OME_RECORD_SIZE));
        const uint32_t whole = size_bytes / OME_RECORD_SIZE * OME_RECORD_SIZE;
        uint8_t *data = good_frame(size_bytes / OME_RECORD_SIZE, i % 3 == 0 ? size_bytes : whole);
        const uint32_t used = i % 3 == 0 ? size_bytes : whole;
        for (uint32_t change = 0; change < test_random(&state) % 3 && used > 0; change++)
        {
            data[test_random(&state) % used] = (uint8_t)test_random(&state);
        }
        for (uint32_t at = 0; i % 3 == 0 && i % 2 == 0 && at < used; at++)
        {
            data[at] = (uint8_t)test_random(&state);
        }
        const ome_frame_t frame = inspect(data, used);
        check_verdict(&frame, data, used);
        good_count += frame.content == OME_FRAME_COMMANDS;
        free(data);
    }
    CHECK(good_count > 10000 && good_count < 90000);
}

/* A FrameReject has exactly its bytes; a field of 16 characters needs no terminating zero. */
static void a_frame_reject_is_told_byte_for_byte(void)
{
    const ome_frame_fault_t fault = {
        .found = 5, .allowed = 6, .field = "session_sequence", .message_index = 7, .byte_offset = 448, .reason = 139};
    ome_frame_reject_t reject;
    memset(&reject, 0xEE, sizeof(reject));
    ome_frame_reject_set(&reject, &fault, 7, 3);
    ome_frame_reject_t expected = {
        .found = 5, .allowed = 6, .message_index = 7, .byte_offset = 448, .accepted_count = 7, .rejected_count = 3, .reason = 139};
    memcpy(expected.field, "session_sequence", 16);
    ome_message_header_set(&expected, OME_TEMPLATE_FRAME_REJECT, OME_BLOCK_FRAME_REJECT);
    CHECK_BYTES_EQUAL(&reject, &expected, sizeof(reject));
}

/* ---- the session table ---- */

/* Bind, find and unbind agree with a list, at any load, and leave nothing behind; who had a slot before is not found. */
static void the_session_table_agrees_with_a_list(void)
{
    enum
    {
        SESSIONS = 100,
        SLOTS = 256
    };
    ome_arena_t measure = {0};
    ome_session_table_t table;
    ome_session_table_init(&table, &measure, SESSIONS, SLOTS);
    ome_arena_t arena = {.memory = market_memory(measure.used_bytes)};
    ome_session_table_init(&table, &arena, SESSIONS, SLOTS);
    uint64_t peer_of[SESSIONS + 1] = {0};
    uint32_t heartbeats[SESSIONS + 1] = {0};
    uint16_t session_of[SLOTS + 1] = {0};
    uint64_t generations[SLOTS + 1] = {0};
    uint32_t connected_count = 0;
    uint32_t heartbeat_count = 0;
    uint64_t state = seed ^ 5;
    for (uint32_t step = 0; step < 50000; step++)
    {
        const uint16_t session = (uint16_t)(1 + test_random(&state) % SESSIONS);
        const uint32_t slot = 1 + (uint32_t)(test_random(&state) % SLOTS);
        const uint64_t peer = (generations[slot] + 1) << 32 | slot;
        CHECK_EQUAL(ome_session_table_find(&table, peer), session_of[slot]);
        CHECK_EQUAL(ome_session_table_is_bound(&table, session), peer_of[session] != 0);
        if (peer_of[session] != 0 && (step / 4000 % 2 == 0 || test_random(&state) % 2 == 0))
        {
            const uint32_t its_slot = (uint32_t)peer_of[session];
            heartbeat_count -= heartbeats[session] != 0;
            session_of[its_slot] = 0;
            generations[its_slot]++; /* the next there is another */
            peer_of[session] = 0;
            ome_session_table_unbind(&table, session);
            connected_count--;
        }
        else if (peer_of[session] == 0 && session_of[slot] == 0)
        {
            heartbeats[session] = (uint32_t)(test_random(&state) % 2);
            heartbeat_count += heartbeats[session];
            ome_session_table_bind(&table, session, peer, heartbeats[session]);
            peer_of[session] = peer;
            session_of[slot] = session;
            connected_count++;
        }
        CHECK_EQUAL(table.connected_count, connected_count);
        CHECK_EQUAL(table.heartbeat_count, heartbeat_count);
        for (uint32_t i = 1; step % 64 == 0 && i <= SLOTS; i++)
        {
            CHECK_EQUAL(ome_session_table_find(&table, (generations[i] + 1) << 32 | i), session_of[i]);
            CHECK_EQUAL(ome_session_table_find(&table, generations[i] << 32 | i), 0); /* who was there before */
            CHECK_EQUAL(ome_session_table_find(&table, (generations[i] + 2) << 32 | i), 0);
        }
        CHECK_EQUAL(ome_session_table_find(&table, UINT64_C(1) << 32 | (SLOTS + 1)), 0);
        CHECK_EQUAL(ome_session_table_find(&table, UINT64_MAX), 0);
    }
    for (uint16_t session = 1; session <= SESSIONS; session++)
    {
        if (peer_of[session] != 0)
        {
            ome_session_table_unbind(&table, session);
        }
    }
    for (uint32_t slot = 0; slot <= SLOTS; slot++)
    {
        CHECK_EQUAL(table.by_connection[slot], 0);
    }
    CHECK_EQUAL(table.connected_count, 0);
    CHECK_EQUAL(table.heartbeat_count, 0);
    free(arena.memory);
}

/* ---- a socket that is a table in memory ---- */

typedef struct
{
    uint32_t peer; /* its slot */
    uint32_t generation;
    uint32_t size_bytes;
    ome_socket_kind_t kind; /* of what came in */
    bool is_last; /* of what went out: the connection ended with it */
    uint8_t *data;
} wire_frame_t;

/* What the gateway did to a connection. */
typedef struct
{
    uint32_t generation; /* counts the connections that had the slot before */
    bool is_admitted;
    bool is_ended; /* nothing is sent to it any more, and nothing comes from it */
    uint32_t pause_count;
    uint32_t pause_ms; /* the last one's */
    ome_status_t status; /* what sending to it gives */
} wire_peer_t;

typedef struct
{
    ome_socket_t table;
    pthread_mutex_t lock;
    int event_fd; /* readable when a frame was put in */
    wire_frame_t in[FRAME_COUNT_MAX];
    uint32_t in_count;
    uint32_t in_read;
    uint8_t *handed_over; /* until the next receive */
    wire_frame_t out[FRAME_COUNT_MAX];
    uint32_t out_count;
    uint32_t out_read; /* by the test */
    uint32_t send_count; /* tried, also those refused */
    wire_peer_t peers[PEER_COUNT];
    bool is_closed;
    bool closes_in_wait;
    const ome_published_t *published; /* no report of a command beyond it may be sent; NULL: not checked */
} wire_t;

/* The number of the connection that has the slot now. */
static uint64_t peer_number(const wire_t *wire, uint32_t peer)
{
    return (uint64_t)(wire->peers[peer].generation + 1) << 32 | peer;
}

/* The connection of that number, if it is the one that has the slot now and has not ended. */
static wire_peer_t *peer_at(wire_t *wire, uint64_t number)
{
    const uint32_t slot = (uint32_t)number;
    CHECK(slot >= 1 && slot < PEER_COUNT);
    return number == peer_number(wire, slot) && !wire->peers[slot].is_ended ? &wire->peers[slot] : NULL;
}

/* What came from those that have ended meanwhile is left out, as a listener does. */
static const wire_frame_t *next_in(wire_t *wire)
{
    while (wire->in_read < wire->in_count)
    {
        const wire_frame_t *frame = &wire->in[wire->in_read++];
        const wire_peer_t *peer = &wire->peers[frame->peer];
        if (frame->kind == OME_SOCKET_GONE || (!peer->is_ended && peer->generation == frame->generation))
        {
            return frame;
        }
        free(frame->data);
    }
    return NULL;
}

static ome_status_t wire_receive(void *context, ome_socket_message_t *message)
{
    wire_t *wire = context;
    pthread_mutex_lock(&wire->lock);
    free(wire->handed_over);
    wire->handed_over = NULL;
    ome_status_t status = wire->is_closed ? OME_STOPPED : OME_EMPTY;
    const wire_frame_t *frame = wire->is_closed ? NULL : next_in(wire);
    if (frame != NULL)
    {
        wire->handed_over = frame->data;
        *message = (ome_socket_message_t){.peer = (uint64_t)(frame->generation + 1) << 32 | frame->peer,
            .data = frame->data,
            .data_size_bytes = frame->size_bytes,
            .kind = frame->kind};
        status = OME_OK;
    }
    pthread_mutex_unlock(&wire->lock);
    return status;
}

static void wire_keep(wire_t *wire, uint64_t peer, const uint8_t *data, uint32_t size_bytes, bool is_last)
{
    CHECK(wire->out_count < FRAME_COUNT_MAX);
    wire_frame_t *frame = &wire->out[wire->out_count++];
    *frame = (wire_frame_t){.peer = (uint32_t)peer, .size_bytes = size_bytes, .is_last = is_last, .data = malloc(size_bytes)};
    CHECK(frame->data != NULL);
    memcpy(frame->data, data, size_bytes);
}

static ome_status_t wire_send(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    wire_t *wire = context;
    pthread_mutex_lock(&wire->lock);
    wire->send_count++;
    const wire_peer_t *to = peer_at(wire, peer);
    const ome_status_t status = to != NULL ? to->status : OME_NOT_FOUND;
    if (status == OME_OK)
    {
        wire_keep(wire, peer, data, size_bytes, false);
        for (uint32_t offset = 0; wire->published != NULL && size_bytes % REPORT_SIZE == 0 && offset < size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, data + offset, sizeof(report));
            CHECK(report.engine_sequence <= ome_published_limit(wire->published));
        }
    }
    pthread_mutex_unlock(&wire->lock);
    return status;
}

static uint32_t wire_queued(void *context, uint64_t peer)
{
    (void)context;
    (void)peer;
    return 0;
}

static ome_status_t wire_admit(void *context, uint64_t peer, int is_admitted)
{
    wire_peer_t *admitted = peer_at(context, peer);
    if (admitted == NULL)
    {
        return OME_NOT_FOUND;
    }
    admitted->is_admitted = is_admitted != 0;
    return OME_OK;
}

static void wire_pause(void *context, uint64_t peer, uint32_t duration_ms)
{
    wire_peer_t *paused = peer_at(context, peer);
    CHECK(paused != NULL);
    paused->pause_count++;
    paused->pause_ms = duration_ms;
}

/* As a listener does: the last message goes out whatever sending to the peer gives. */
static void wire_end(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    wire_t *wire = context;
    wire_peer_t *ended = peer_at(wire, peer);
    if (ended == NULL)
    {
        return;
    }
    pthread_mutex_lock(&wire->lock);
    ended->is_ended = true;
    wire_keep(wire, peer, data, size_bytes, true);
    pthread_mutex_unlock(&wire->lock);
}

static ome_status_t wire_wait(void *context, int event_fd, uint32_t timeout_ms)
{
    wire_t *wire = context;
    struct pollfd items[2] = {{.fd = event_fd, .events = POLLIN}, {.fd = wire->event_fd, .events = POLLIN}};
    if (wire->closes_in_wait)
    {
        return OME_STOPPED;
    }
    (void)poll(items, 2, (int)timeout_ms);
    for (uint32_t i = 0; i < 2; i++)
    {
        uint64_t count;
        CHECK((items[i].revents & POLLIN) == 0 || read(items[i].fd, &count, sizeof(count)) == sizeof(count));
    }
    return OME_OK;
}

static wire_t *wire_new(void)
{
    wire_t *wire = calloc(1, sizeof(wire_t));
    CHECK(wire != NULL);
    CHECK_EQUAL(pthread_mutex_init(&wire->lock, NULL), 0);
    wire->event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(wire->event_fd >= 0);
    wire->table = (ome_socket_t){.context = wire,
        .receive = wire_receive,
        .send = wire_send,
        .queued = wire_queued,
        .admit = wire_admit,
        .pause = wire_pause,
        .end = wire_end,
        .wait = wire_wait};
    return wire;
}

static void wire_free(wire_t *wire)
{
    while (wire->in_read < wire->in_count)
    {
        free(wire->in[wire->in_read++].data);
    }
    free(wire->handed_over);
    for (uint32_t i = 0; i < wire->out_count; i++)
    {
        free(wire->out[i].data);
    }
    CHECK_EQUAL(close(wire->event_fd), 0);
    pthread_mutex_destroy(&wire->lock);
    free(wire);
}

static void wire_put_kind(wire_t *wire, uint32_t peer, ome_socket_kind_t kind, const void *data, uint32_t size_bytes)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&wire->lock);
    CHECK(wire->in_count < FRAME_COUNT_MAX);
    wire_frame_t *frame = &wire->in[wire->in_count++];
    *frame = (wire_frame_t){.peer = peer,
        .generation = wire->peers[peer].generation,
        .size_bytes = size_bytes,
        .kind = kind,
        .data = malloc(size_bytes > 0 ? size_bytes : 1)};
    CHECK(frame->data != NULL);
    memcpy(frame->data, data, size_bytes);
    pthread_mutex_unlock(&wire->lock);
    CHECK_EQUAL(write(wire->event_fd, &one, sizeof(one)), sizeof(one));
}

/* A client sends a frame. */
static void wire_put(wire_t *wire, uint32_t peer, const void *data, uint32_t size_bytes)
{
    wire_put_kind(wire, peer, OME_SOCKET_PART, data, size_bytes);
}

/* Another client connects and gets the slot. */
static void wire_reconnect(wire_t *wire, uint32_t peer)
{
    wire->peers[peer] = (wire_peer_t){.generation = wire->peers[peer].generation + 1};
}

/* The client of a slot goes. */
static void wire_leave(wire_t *wire, uint32_t peer)
{
    wire_put_kind(wire, peer, OME_SOCKET_GONE, "", 0);
    wire->peers[peer].is_ended = true;
}

/* ---- a house: engine, ring, stream and gateway, worked by hand ---- */

typedef struct
{
    ome_engine_t *engine;
    ome_ring_t *ring;
    ome_stream_t *stream;
    ome_counters_t counters;
    ome_match_stage_t *stage;
    ome_gateway_t *gateway;
    wire_t *wire;
    ome_venue_clock_t clock;
    int event_fd;
    atomic_bool is_abandoned;
    bool is_open;
    uint8_t storage; /* ome_storage_t */
    ome_published_t published;
} house_t;

/* Commands up to this one may be published. */
static void open_gate(house_t *house, uint64_t sequence)
{
    ome_published_advance(&house->published, OME_GATE_DURABLE, sequence);
}

static bool house_is_open(void *context)
{
    return ((const house_t *)context)->is_open;
}

static uint8_t house_storage(void *context)
{
    return ((const house_t *)context)->storage;
}

static uint64_t count_of(const house_t *house, ome_venue_counter_t counter)
{
    return ome_counter_get(ome_counters_counter(&house->counters, counter));
}

static ome_gateway_counters_t gateway_counters(const ome_counters_t *counters)
{
    return (ome_gateway_counters_t){.frames_in = ome_counters_counter(counters, OME_COUNT_FRAMES_IN),
        .messages_in = ome_counters_counter(counters, OME_COUNT_MESSAGES_IN),
        .frames_rejected = ome_counters_counter(counters, OME_COUNT_FRAMES_REJECTED),
        .messages_busy = ome_counters_counter(counters, OME_COUNT_MESSAGES_BUSY),
        .reports = ome_counters_counter(counters, OME_COUNT_REPORTS),
        .reports_undelivered = ome_counters_counter(counters, OME_COUNT_REPORTS_UNDELIVERED),
        .sessions = ome_counters_counter(counters, OME_COUNT_SESSIONS),
        .sessions_ended = ome_counters_counter(counters, OME_COUNT_SESSIONS_ENDED),
        .orders = ome_counters_counter(counters, OME_COUNT_ORDERS),
        .cancels = ome_counters_counter(counters, OME_COUNT_CANCELS),
        .rejects = ome_counters_counter(counters, OME_COUNT_REJECTS),
        .orders_storage_low = ome_counters_counter(counters, OME_COUNT_ORDERS_STORAGE_LOW),
        .report_latency = ome_counters_histogram(counters, OME_LATENCY_REPORT)};
}

static void make_gateway(house_t *house)
{
    ome_reader_t reader;
    CHECK_EQUAL(ome_published_register(&house->published, "gateway", true, &reader), OME_OK);
    const ome_gateway_config_t config = {.ingress = {.ring = house->ring, .clock = &house->clock},
        .reader = reader,
        .is_open = house_is_open,
        .storage = house_storage,
        .context = house,
        .socket = &house->wire->table,
        .counters = gateway_counters(&house->counters),
        .order_count_max = house->engine->limits.order_count_max,
        .session_count_max = house->engine->limits.session_count_max,
        .connection_slot_max = PEER_COUNT - 1,
        .event_fd = house->event_fd};
    const uint64_t size_bytes = ome_gateway_size_bytes(&config);
    void *memory = market_memory(size_bytes);
    CHECK_EQUAL(ome_gateway_init(&house->gateway, memory, size_bytes - 1, &config, house->engine), OME_NO_MEMORY);
    CHECK_EQUAL(ome_gateway_init(&house->gateway, memory, size_bytes, &config, house->engine), OME_OK);
}

/* A house around an engine, which has a history or not. */
static house_t *house_around(ome_engine_t *engine, uint32_t ring_slot_count, uint32_t stream_slot_count)
{
    house_t *house = calloc(1, sizeof(house_t));
    CHECK(house != NULL);
    house->engine = engine;
    ome_venue_clock_init(&house->clock, ome_clock_steady_ns(), ome_clock_realtime_ns(), 0);
    house->is_open = true;
    house->wire = wire_new();
    house->event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(house->event_fd >= 0);
    const ome_ring_config_t ring = {
        .slot_count = ring_slot_count, .consumer_count = 1, .initial_sequence = engine->sequence, .wait_strategy = OME_WAIT_BLOCK};
    const ome_stream_config_t stream = {.slot_count = stream_slot_count, .reader_count = 1, .wait_strategy = OME_WAIT_BLOCK};
    const uint64_t ring_size_bytes = ome_ring_size_bytes(ring_slot_count);
    const uint64_t stream_size_bytes = ome_stream_size_bytes(stream_slot_count);
    const uint64_t counters_size_bytes = ome_counters_size_bytes(OME_COUNT_COUNT, OME_LATENCY_COUNT);
    CHECK_EQUAL(ome_ring_init(&house->ring, market_memory(ring_size_bytes), ring_size_bytes, &ring), OME_OK);
    CHECK_EQUAL(ome_stream_init(&house->stream, market_memory(stream_size_bytes), stream_size_bytes, &stream), OME_OK);
    CHECK_EQUAL(
        ome_counters_init(&house->counters, market_memory(counters_size_bytes), counters_size_bytes, &ome_venue_counters_table, 1), OME_OK);
    house->stage = market_memory(sizeof(ome_match_stage_t));
    ome_match_stage_init(house->stage, engine, house->ring, 0, house->stream, &house->counters, &house->is_abandoned);
    ome_published_init(&house->published, house->stream, 1u << OME_GATE_DURABLE, UINT64_MAX);
    make_gateway(house);
    return house;
}

static void house_free(house_t *house)
{
    CHECK(ome_engine_check(house->engine) == NULL);
    free(house->gateway);
    free(house->stage);
    free(house->counters.header);
    free(house->stream);
    free(house->ring);
    free(house->engine);
    wire_free(house->wire);
    CHECK_EQUAL(close(house->event_fd), 0);
    free(house);
}

static ome_gateway_outcome_t run(house_t *house)
{
    return ome_gateway_run(house->gateway, 0);
}

static uint32_t match(house_t *house)
{
    uint32_t total = 0;
    for (uint32_t count = 1; count > 0; total += count)
    {
        count = ome_match_stage_do_work(house->stage);
    }
    return total;
}

/* Takes frames, matches, and speaks, until there is nothing left to do. */
static void work(house_t *house)
{
    for (;;)
    {
        const uint64_t before = ome_stream_reader_position(house->stream, 0);
        const uint32_t read_before = house->wire->in_read;
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        const uint32_t matched = match(house);
        if (matched == 0 && ome_stream_reader_position(house->stream, 0) == before && house->wire->in_read == read_before)
        {
            return;
        }
    }
}

/* The embedder's own command. */
static void submit(house_t *house, const ome_command_t *command)
{
    uint64_t sequence;
    CHECK_EQUAL(ome_ring_try_claim(house->ring, 1, &sequence), OME_OK);
    uint8_t *slot = ome_ring_slot(house->ring, sequence);
    memcpy(slot + 8, (const uint8_t *)command + 8, OME_BODY_SIZE);
    ome_ring_publish(house->ring, sequence, 1);
}

/* A session that the engine knows logs on, as its own participant and under its own number. */
static ome_gateway_logon_t logon_of(const house_t *house, uint16_t session, uint32_t peer)
{
    ome_gateway_logon_t logon = {
        .peer = peer_number(house->wire, peer), .participant = session, .session_number = 0, .is_defined = 1, .participant_name = {0}};
    logon.participant_name[0] = (char)('A' + session - 1);
    return logon;
}

static void bind(house_t *house, uint16_t session, uint32_t peer)
{
    const ome_gateway_logon_t logon = logon_of(house, session, peer);
    CHECK_EQUAL(ome_gateway_bind(house->gateway, session, &logon), OME_OK);
    CHECK(house->wire->peers[peer].is_admitted);
}

static uint16_t session_of(const house_t *house, uint32_t peer)
{
    return ome_gateway_session_of(house->gateway, peer_number(house->wire, peer));
}

static ome_gateway_session_t look(const house_t *house, uint16_t session)
{
    ome_gateway_session_t seen;
    ome_gateway_look(house->gateway, session, &seen);
    return seen;
}

/* An engine with one instrument and three sessions; session s is participant s's. */
static ome_engine_t *defined_engine(void)
{
    ome_engine_t *engine = market_engine(&standard_limits);
    recorder_t *recorder = recorder_new(1);
    const ome_command_t definitions[4] = {
        define_instrument(1, "ONE", 1, 0), define_session(1, 1, "A", 0), define_session(2, 2, "B", 0), define_session(3, 3, "C", 0)};
    ome_engine_apply_many(engine, definitions, 4, &recorder->sink);
    CHECK_EQUAL(engine->session_count, 3);
    recorder_free(recorder);
    return engine;
}

/* A house where sessions 1 and 2 are connected as peers 1 and 2. */
static house_t *simple_house(uint32_t ring_slot_count)
{
    house_t *house = house_around(defined_engine(), ring_slot_count, 4096);
    bind(house, 1, 1);
    bind(house, 2, 2);
    return house;
}

/* A client sends commands in one frame. */
static void send_commands(house_t *house, uint32_t peer, const ome_command_t *commands, uint32_t count)
{
    uint8_t *frame = malloc(count * OME_RECORD_SIZE);
    CHECK(frame != NULL);
    memcpy(frame, commands, count * OME_RECORD_SIZE);
    for (uint32_t i = 0; i < count; i++)
    {
        set_header(frame + i * OME_RECORD_SIZE, commands[i].kind);
    }
    wire_put(house->wire, peer, frame, count * OME_RECORD_SIZE);
    free(frame);
}

static void send_command(house_t *house, uint32_t peer, ome_command_t command)
{
    send_commands(house, peer, &command, 1);
}

/* The next frame that was sent to a peer. */
static const wire_frame_t *next_frame(house_t *house, uint32_t peer)
{
    CHECK(house->wire->out_read < house->wire->out_count);
    const wire_frame_t *frame = &house->wire->out[house->wire->out_read++];
    CHECK_EQUAL(frame->peer, peer);
    return frame;
}

static void check_silence(const house_t *house)
{
    CHECK_EQUAL(house->wire->out_read, house->wire->out_count);
}

static ome_frame_reject_t next_reject(house_t *house, uint32_t peer)
{
    const wire_frame_t *frame = next_frame(house, peer);
    ome_frame_reject_t reject;
    CHECK_EQUAL(frame->size_bytes, sizeof(reject));
    memcpy(&reject, frame->data, sizeof(reject));
    ome_message_header_t header;
    memcpy(&header, &reject, sizeof(header));
    CHECK_EQUAL(header.template_id, OME_TEMPLATE_FRAME_REJECT);
    CHECK_EQUAL(header.block_length, OME_BLOCK_FRAME_REJECT);
    CHECK_EQUAL(header.schema_id, OME_SCHEMA_ID);
    CHECK_EQUAL(header.version, OME_SCHEMA_VERSION);
    return reject;
}

static void check_counts(const ome_frame_reject_t *reject, uint8_t reason, uint32_t accepted_count, uint32_t rejected_count)
{
    CHECK_EQUAL(reject->reason, reason);
    CHECK_EQUAL(reject->accepted_count, accepted_count);
    CHECK_EQUAL(reject->rejected_count, rejected_count);
}

/* The next frame to a peer is one report and exactly this one, but for its time, which is that of the last command sequenced. */
static void check_report(house_t *house, uint32_t peer, ome_execution_report_t expected)
{
    const wire_frame_t *frame = next_frame(house, peer);
    const ome_command_t *command = ome_ring_slot(house->ring, expected.engine_sequence);
    CHECK_EQUAL(frame->size_bytes, REPORT_SIZE);
    ome_message_header_set(&expected, OME_TEMPLATE_EXECUTION_REPORT, OME_BLOCK_EXECUTION_REPORT);
    CHECK_EQUAL(command->sequence, expected.engine_sequence);
    CHECK(command->timestamp_ns > UINT64_C(1600000000000000000));
    expected.timestamp_ns = command->timestamp_ns;
    expected.instrument = 1;
    CHECK_BYTES_EQUAL(frame->data, &expected, REPORT_SIZE);
}

/* ---- sessions ---- */

/* A session has one connection and a connection one session: what either had before ends, and the listener knows who is somebody. */
static void a_session_is_taken_over_by_another_connection(void)
{
    house_t *house = house_around(defined_engine(), 16, 64);
    const wire_peer_t *peers = house->wire->peers;
    CHECK_EQUAL(session_of(house, 1), 0);
    bind(house, 1, 1);
    CHECK_EQUAL(session_of(house, 1), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    bind(house, 1, 2);
    CHECK_EQUAL(session_of(house, 1), 0);
    CHECK_EQUAL(session_of(house, 2), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    CHECK(!peers[1].is_admitted && peers[2].is_admitted && !peers[1].is_ended);
    bind(house, 3, 2);
    CHECK_EQUAL(session_of(house, 2), 3);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    CHECK_EQUAL(look(house, 1).peer, 0);
    bind(house, 3, 2); /* again */
    CHECK_EQUAL(session_of(house, 2), 3);
    CHECK_EQUAL(look(house, 3).peer, peer_number(house->wire, 2));
    CHECK(peers[2].is_admitted);
    bind(house, 1, 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 2);
    ome_gateway_unbind(house->gateway, 3);
    CHECK(!peers[2].is_admitted && peers[1].is_admitted);
    ome_gateway_unbind(house->gateway, 3); /* nothing */
    ome_gateway_unbind(house->gateway, 0);
    ome_gateway_unbind(house->gateway, UINT16_MAX);
    CHECK_EQUAL(session_of(house, 2), 0);
    CHECK_EQUAL(session_of(house, 1), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    house_free(house);
}

/* Who has not logged on is told so, and nothing of it reaches the ring. */
static void an_unknown_connection_is_refused(void)
{
    house_t *house = simple_house(16);
    const ome_command_t commands[3] = {limit_order(OME_SIDE_BUY, 10, 1, 1), limit_order(OME_SIDE_BUY, 10, 1, 2), cancel_order(1)};
    send_commands(house, 3, commands, 3);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    work(house);
    const ome_frame_reject_t reject = next_reject(house, 3);
    check_counts(&reject, OME_REASON_NOT_LOGGED_ON, 0, 3);
    CHECK_TEXT_EQUAL(reject.field, "session");
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_IN), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 0);
    /* One whose session was taken over, too. */
    bind(house, 1, 3);
    send_command(house, 1, commands[0]);
    work(house);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_NOT_LOGGED_ON);
    check_silence(house);
    house_free(house);
}

/* A venue that takes no more says so. */
static void a_stopped_engine_refuses_commands(void)
{
    house_t *house = simple_house(16);
    house->is_open = false;
    const ome_command_t commands[2] = {limit_order(OME_SIDE_BUY, 10, 1, 1), cancel_order(1)};
    send_commands(house, 1, commands, 2);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    work(house);
    const ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_ENGINE_STOPPED, 0, 2);
    CHECK_TEXT_EQUAL(reject.field, "engine");
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    house_free(house);
}

/* A bad frame is refused whole, and the session goes on. */
static void a_bad_frame_is_refused_whole(void)
{
    house_t *house = simple_house(16);
    ome_command_t commands[3] = {limit_order(OME_SIDE_BUY, 10, 1, 1), limit_order(OME_SIDE_BUY, 10, 1, 2), cancel_order(1)};
    commands[2].kind = 77;
    send_commands(house, 1, commands, 3);
    wire_put(house->wire, 1, commands, 10);
    wire_put(house->wire, 1, commands, 0);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    work(house);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_UNKNOWN_TEMPLATE, 0, 3);
    CHECK_TEXT_EQUAL(reject.field, "template_id");
    CHECK_EQUAL(reject.found, 77);
    CHECK_EQUAL(reject.allowed, OME_TEMPLATE_MASS_CANCEL);
    CHECK_EQUAL(reject.message_index, 2);
    CHECK_EQUAL(reject.byte_offset, 2 * OME_RECORD_SIZE);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_UNKNOWN_SCHEMA, 0, 1);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_FRAME_EMPTY, 0, 1);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_IN), 3);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 3);
    send_command(house, 1, commands[0]);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    house_free(house);
}

/* What only the server may say - time, participant, session, kind - it says; the rest of a command reaches the ring as it was sent. */
static void the_server_stamps_what_is_its_own(void)
{
    house_t *house = simple_house(16);
    ome_command_t command;
    memset(&command, 0x5A, sizeof(command));
    uint8_t frame[OME_RECORD_SIZE];
    memcpy(frame, &command, sizeof(frame));
    set_header(frame, OME_TEMPLATE_REDUCE_ORDER);
    wire_put(house->wire, 2, frame, sizeof(frame));
    /* The time is the venue's, whatever the machine's clock says. */
    ome_venue_clock_accept(&house->clock, ome_clock_steady_ns(), ome_clock_realtime_ns() - UINT64_C(86400000000000));
    const uint64_t before_ns = ome_venue_clock_now_ns(&house->clock);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    const ome_command_t *slot = ome_ring_slot(house->ring, ome_ring_cursor(house->ring));
    CHECK(slot->timestamp_ns >= before_ns && slot->timestamp_ns <= ome_venue_clock_now_ns(&house->clock));
    CHECK_EQUAL(slot->participant, 2);
    CHECK_EQUAL(slot->session, 2);
    CHECK_EQUAL(slot->kind, OME_COMMAND_KIND_REDUCE_ORDER);
    command.sequence = slot->sequence;
    command.timestamp_ns = slot->timestamp_ns;
    command.participant = command.session = 2;
    command.kind = OME_COMMAND_KIND_REDUCE_ORDER;
    CHECK_BYTES_EQUAL(slot, &command, sizeof(command));
    work(house);
    house_free(house);
}

/* A logon or logout is handed to the caller with its connection, and frames behind it wait until the caller comes back. */
static void a_logon_is_handed_to_the_caller_before_what_follows(void)
{
    house_t *house = house_around(defined_engine(), 16, 64);
    ome_logon_t logon = {.session_number = 3};
    memcpy(logon.participant_name, "A", 1);
    set_header(&logon, OME_TEMPLATE_LOGON);
    wire_put(house->wire, 1, &logon, sizeof(logon));
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 1, 1));
    ome_logout_t logout = {0};
    set_header(&logout, OME_TEMPLATE_LOGOUT);
    wire_put(house->wire, 1, &logout, sizeof(logout));
    CHECK_EQUAL(run(house), OME_GATEWAY_MESSAGE);
    const uint64_t peer = ome_gateway_peer(house->gateway);
    CHECK_EQUAL(peer, peer_number(house->wire, 1));
    CHECK_BYTES_EQUAL(ome_gateway_message(house->gateway), &logon, sizeof(logon));
    bind(house, 1, 1);
    CHECK_EQUAL(ome_gateway_send(house->gateway, peer, (const uint8_t *)"answer", 6), OME_OK);
    CHECK_EQUAL(run(house), OME_GATEWAY_MESSAGE); /* the order is taken on the way to the logout */
    CHECK_BYTES_EQUAL(ome_gateway_message(house->gateway), &logout, sizeof(logout));
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, 6);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    house_free(house);
}

/* A closed socket ends the loop, whether it shows in a receive or in a wait. */
static void a_closed_socket_ends_the_loop(void)
{
    house_t *house = simple_house(16);
    house->wire->closes_in_wait = true;
    CHECK_EQUAL(ome_gateway_run(house->gateway, 1000), OME_GATEWAY_STOPPED);
    house->wire->closes_in_wait = false;
    CHECK_EQUAL(ome_gateway_run(house->gateway, 1), OME_GATEWAY_IDLE);
    house->wire->is_closed = true;
    CHECK_EQUAL(run(house), OME_GATEWAY_STOPPED);
    house_free(house);
}

/* ---- reports ---- */

static uint64_t order_id(uint32_t generation, uint32_t slot)
{
    return (uint64_t)generation << 32 | slot;
}

/* An order's whole life, each report byte for byte: accepted, traded with, reduced, amended up and down, cancelled. Commands are 5 and on. */
static void reports_say_what_is_open_and_what_has_traded(void)
{
    house_t *house = simple_house(64);
    ome_execution_report_t report = {.report_sequence = 1,
        .engine_sequence = 5,
        .order_id = order_id(1, 1),
        .client_order_id = 7,
        .price = 100,
        .leaves_quantity = 50,
        .account = 3,
        .kind = OME_EVENT_KIND_ACCEPTED,
        .side = OME_SIDE_BUY};
    ome_command_t order = limit_order(OME_SIDE_BUY, 100, 50, 7);
    order.account = 3;
    send_command(house, 1, order);
    work(house);
    check_report(house, 1, report);
    ome_command_t sell = limit_order(OME_SIDE_SELL, 90, 20, 8);
    sell.account = 4;
    send_command(house, 2, sell);
    house->wire->out_read = house->wire->out_count;
    work(house);
    /* The aggressor gets two reports in one frame, the resting order's session one. */
    const wire_frame_t *frame = next_frame(house, 2);
    CHECK_EQUAL(frame->size_bytes, 2 * REPORT_SIZE);
    ome_execution_report_t accepted;
    ome_execution_report_t traded;
    memcpy(&accepted, frame->data, REPORT_SIZE);
    memcpy(&traded, frame->data + REPORT_SIZE, REPORT_SIZE);
    CHECK_EQUAL(accepted.kind, OME_EVENT_KIND_ACCEPTED);
    CHECK_EQUAL(accepted.leaves_quantity, 20);
    CHECK_EQUAL(accepted.price, 90);
    CHECK_EQUAL(accepted.report_sequence, 1);
    CHECK_EQUAL(traded.kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(traded.leaves_quantity, 0);
    CHECK_EQUAL(traded.cumulative_quantity, 20);
    CHECK_EQUAL(traded.price, 100);
    CHECK_EQUAL(traded.last_quantity, 20);
    CHECK_EQUAL(traded.is_aggressor, 1);
    CHECK_EQUAL(traded.trade_id, 1);
    CHECK_EQUAL(traded.order_id, order_id(1, 2));
    CHECK_EQUAL(traded.client_order_id, 8);
    CHECK_EQUAL(traded.side, OME_SIDE_SELL);
    CHECK_EQUAL(traded.account, 4);
    CHECK_EQUAL(traded.report_sequence, 2);
    CHECK_EQUAL(traded.timestamp_ns, accepted.timestamp_ns);
    report.report_sequence++;
    report.engine_sequence++;
    report.kind = OME_EVENT_KIND_TRADE;
    report.last_quantity = 20;
    report.leaves_quantity = 30;
    report.cumulative_quantity = 20;
    report.trade_id = 1;
    check_report(house, 1, report);

    static const struct
    {
        uint8_t kind;
        int64_t price;
        int64_t quantity;
        int64_t last;
        int64_t leaves;
        uint8_t reason;
    } changes[] = {
        {OME_COMMAND_KIND_REDUCE_ORDER, 0, 5, 5, 25, 0},
        {OME_COMMAND_KIND_AMEND_ORDER, OME_NULL_VALUE, 60, 0, 40, 0}, /* up: a total of 60 */
        {OME_COMMAND_KIND_AMEND_ORDER, OME_NULL_VALUE, 30, 0, 10, 0}, /* down */
        {OME_COMMAND_KIND_AMEND_ORDER, 101, OME_NULL_VALUE, 0, 10, 0},
        {OME_COMMAND_KIND_CANCEL_ORDER, 0, 0, 10, 0, OME_REASON_REQUESTED},
    };
    static const uint8_t kinds[] = {
        OME_EVENT_KIND_REDUCED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_CANCELLED};
    report.trade_id = 0;
    for (uint32_t i = 0; i < 5; i++)
    {
        send_command(house, 1,
            (ome_command_t){.kind = changes[i].kind, .client_order_id = 7, .price = changes[i].price, .quantity = changes[i].quantity});
        work(house);
        report.report_sequence++;
        report.engine_sequence++;
        report.kind = kinds[i];
        report.price = i >= 3 ? 101 : 100;
        report.last_quantity = changes[i].last;
        report.leaves_quantity = changes[i].leaves;
        report.reason = changes[i].reason;
        check_report(house, 1, report);
    }
    /* A second cancel is refused; the report has what the command meant. */
    send_command(house, 1, cancel_order(7));
    work(house);
    const wire_frame_t *refused = next_frame(house, 1);
    CHECK_EQUAL(refused->size_bytes, REPORT_SIZE);
    memcpy(&report, refused->data, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(report.reason, OME_REASON_UNKNOWN_ORDER);
    CHECK_EQUAL(report.client_order_id, 7);
    CHECK_EQUAL(report.command_kind, OME_COMMAND_KIND_CANCEL_ORDER);
    CHECK_EQUAL(report.leaves_quantity, 0);
    CHECK_EQUAL(report.report_sequence, 8);
    check_silence(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_CANCELS), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS), 10);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 0);
    house_free(house);
}

/* What a client knows of its orders, by slot, from its reports alone. */
typedef struct
{
    uint64_t report_sequence;
    uint64_t trade_id; /* of its last trade */
    uint64_t id[65];
    int64_t leaves[65];
    int64_t cumulative[65];
} client_t;

typedef struct
{
    client_t clients[PEER_COUNT];
    uint32_t traded[2]; /* reports of resting orders and of aggressors */
    uint32_t kinds[256];
    uint32_t expired;
} known_t;

static void know_order(client_t *client, const ome_execution_report_t *report)
{
    const uint32_t slot = (uint32_t)report->order_id;
    CHECK(slot >= 1 && slot <= 64);
    if (report->kind == OME_EVENT_KIND_ACCEPTED)
    {
        client->id[slot] = report->order_id;
        client->leaves[slot] = report->leaves_quantity;
        client->cumulative[slot] = 0;
    }
    CHECK_EQUAL(client->id[slot], report->order_id);
    if (report->kind == OME_EVENT_KIND_TRADE)
    {
        CHECK(report->last_quantity > 0 && report->trade_id >= client->trade_id); /* equal where both sides are its own */
        client->trade_id = report->trade_id;
        client->cumulative[slot] += report->last_quantity;
        client->leaves[slot] -= report->last_quantity;
    }
    else if (report->kind == OME_EVENT_KIND_REDUCED || report->kind == OME_EVENT_KIND_CANCELLED)
    {
        client->leaves[slot] -= report->last_quantity;
    }
    else if (report->kind == OME_EVENT_KIND_AMENDED)
    {
        client->leaves[slot] = report->leaves_quantity;
    }
    /* A stop that triggers and a match that is prevented change nothing by themselves. */
    CHECK_EQUAL(report->leaves_quantity, client->leaves[slot]);
    CHECK_EQUAL(report->cumulative_quantity, client->cumulative[slot]);
    CHECK(report->kind != OME_EVENT_KIND_CANCELLED || report->leaves_quantity == 0);
}

static void know(known_t *known, uint32_t peer, const ome_execution_report_t *report)
{
    client_t *client = &known->clients[peer];
    CHECK_EQUAL(report->report_sequence, ++client->report_sequence); /* no gap */
    known->kinds[report->kind]++;
    known->traded[report->is_aggressor] += report->kind == OME_EVENT_KIND_TRADE;
    known->expired += report->kind == OME_EVENT_KIND_CANCELLED && report->reason == OME_REASON_EXPIRED;
    CHECK(report->kind != OME_EVENT_KIND_DISPLAYED);
    if (report->kind == OME_EVENT_KIND_COMPLETED)
    {
        CHECK_EQUAL(report->order_id, 0);
        CHECK_EQUAL(report->leaves_quantity, 0);
        CHECK_EQUAL(report->command_kind, OME_COMMAND_KIND_MASS_CANCEL);
    }
    else if (report->kind != OME_EVENT_KIND_REJECTED)
    {
        know_order(client, report);
    }
}

/* Takes in all frames sent so far, which are reports; returns how many reports it was. */
static uint32_t know_frames(known_t *known, house_t *house)
{
    uint32_t count = 0;
    while (house->wire->out_read < house->wire->out_count)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read++];
        CHECK_EQUAL(frame->size_bytes % REPORT_SIZE, 0);
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE, count++)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            know(known, frame->peer, &report);
        }
    }
    return count;
}

static void forget_frames(house_t *house)
{
    for (uint32_t i = 0; i < house->wire->out_count; i++)
    {
        free(house->wire->out[i].data);
    }
    house->wire->out_count = house->wire->out_read = 0;
    CHECK_EQUAL(house->wire->in_read, house->wire->in_count);
    house->wire->in_count = house->wire->in_read = 0;
}

static void check_known(const known_t *known, const ome_engine_t *engine)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        const ome_order_t *order = &pool->orders[slot];
        for (uint32_t peer = 1; peer < PEER_COUNT; peer++)
        {
            const client_t *client = &known->clients[peer];
            const bool is_its_own = order->leaves_quantity > 0 && order->owner >> 48 == peer;
            CHECK_EQUAL(client->leaves[slot], is_its_own ? ome_book_leaves(&engine->pools, order) : 0);
            CHECK(!is_its_own || client->cumulative[slot] == order->cumulative_quantity);
            CHECK(!is_its_own || client->id[slot] == ome_order_id(pool, slot));
        }
    }
}

/* How many live orders each session has is what a count of the engine's orders gives. */
static void check_order_counts(const house_t *house)
{
    const ome_order_pool_t *pool = &house->engine->pools.orders;
    for (uint16_t session = 1; session <= standard_limits.session_count_max; session++)
    {
        uint32_t count = 0;
        for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
        {
            const ome_order_t *order = &pool->orders[slot];
            count += order->leaves_quantity > 0 && ome_book_owner(&house->engine->pools, order) >> 48 == session;
        }
        CHECK_EQUAL(look(house, session).order_count, count);
    }
}

/* Some commands of a flow, as a client may send them in one frame; returns how many messages. */
static uint32_t next_commands(flow_t *flow, ome_command_t *commands, uint32_t count_min)
{
    uint32_t count = 0;
    while (count < count_min || flow->terms_count > 0)
    {
        ome_command_t *command = &commands[count++];
        *command = flow_next(flow);
        const bool may_be_sent = command->kind >= OME_COMMAND_KIND_NEW_ORDER && command->kind <= OME_COMMAND_KIND_MASS_CANCEL;
        command->kind = may_be_sent ? command->kind : OME_COMMAND_KIND_NEW_ORDER;
    }
    for (uint32_t i = 0; i < count; i++)
    {
        const bool follows = i > 0 && (commands[i - 1].flags & OME_COMMAND_FLAGS_CONTINUED) != 0 &&
                             commands[i - 1].kind != OME_COMMAND_KIND_CANCEL_ORDER &&
                             commands[i - 1].kind != OME_COMMAND_KIND_REDUCE_ORDER && commands[i - 1].kind != OME_COMMAND_KIND_MASS_CANCEL;
        if ((commands[i].kind == OME_COMMAND_KIND_ORDER_TERMS) != follows)
        {
            commands[i].kind = follows ? OME_COMMAND_KIND_ORDER_TERMS : OME_COMMAND_KIND_NEW_ORDER;
        }
        if (i + 1 == count || commands[i + 1].kind != OME_COMMAND_KIND_ORDER_TERMS)
        {
            commands[i].flags &= (uint16_t)~OME_COMMAND_FLAGS_CONTINUED;
        }
    }
    return count;
}

/* What the embedder does beside the clients: prices from elsewhere, so that stops trigger, and the end of the day. */
static void submit_beside(house_t *house, flow_t *flow)
{
    ome_command_t command = {.timestamp_ns = ome_clock_realtime_ns(), .instrument = 1, .kind = OME_COMMAND_KIND_SET_LAST_PRICE};
    command.price = 1000 + flow_below(flow, flow->price_count);
    if (flow_below(flow, 4) == 0)
    {
        command = (ome_command_t){.timestamp_ns = command.timestamp_ns,
            .kind = OME_COMMAND_KIND_EXPIRE_ORDERS,
            .cutoff_ns = command.timestamp_ns + flow_below(flow, 400) * UINT64_C(1000000),
            .flags = flow_below(flow, 4) == 0 ? OME_COMMAND_FLAGS_END_OF_DAY : 0};
    }
    submit(house, &command);
}

/* Whatever two clients do, from their reports alone they know what the engine knows of every order; no report sequence is missing, and each trade is told to both sides. */
static void clients_know_from_reports_what_the_engine_knows(void)
{
    static known_t known;
    house_t *house = simple_house(1024);
    memset(&known, 0, sizeof(known));
    flow_t flow = {
        .random = seed, .instrument_count = 1, .participant_count = 0, .order_id_count = 30, .price_count = 15, .has_specials = true};
    uint64_t report_count = 0;
    for (uint32_t round = 0; round < 600; round++)
    {
        for (uint32_t peer = 1; peer <= 2; peer++)
        {
            ome_command_t commands[24];
            flow.timestamp_ns = ome_clock_realtime_ns() + flow_below(&flow, 100) * UINT64_C(1000000); /* deadlines follow it */
            send_commands(house, peer, commands, next_commands(&flow, commands, 1 + flow_below(&flow, 20)));
        }
        submit_beside(house, &flow);
        work(house);
        report_count += know_frames(&known, house);
        check_known(&known, house->engine);
        check_order_counts(house);
        forget_frames(house);
    }
    CHECK_EQUAL(known.traded[0], known.traded[1]);
    CHECK_EQUAL(known.traded[0], house->engine->trade_count);
    CHECK(house->engine->trade_count > 500);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS), report_count);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), known.kinds[OME_EVENT_KIND_ACCEPTED]);
    CHECK_EQUAL(count_of(house, OME_COUNT_CANCELS), known.kinds[OME_EVENT_KIND_CANCELLED]);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), known.kinds[OME_EVENT_KIND_REJECTED]);
    for (uint32_t kind = OME_EVENT_KIND_ACCEPTED; kind <= OME_EVENT_KIND_COMPLETED; kind++)
    {
        const bool is_reported = kind != OME_EVENT_KIND_DEFINED && kind != OME_EVENT_KIND_DISPLAYED;
        CHECK_EQUAL(known.kinds[kind] > 5, is_reported);
    }
    CHECK(known.expired > 5);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 0);
    CHECK_EQUAL(look(house, 1).report_sequence, known.clients[1].report_sequence);
    CHECK_EQUAL(look(house, 2).report_sequence, known.clients[2].report_sequence);
    house_free(house);
}

/* An amend that crosses is reported as amended with its new leaves, then trade by trade on both sides, and what is left as it rests. */
static void an_amend_that_crosses_is_reported_step_by_step(void)
{
    house_t *house = simple_house(64);
    static known_t known;
    memset(&known, 0, sizeof(known));
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 104, 3, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 105, 4, 2));
    work(house);
    CHECK_EQUAL(know_frames(&known, house), 3);
    send_command(house, 1, amend_order(1, 106, 12));
    work(house);
    const wire_frame_t frame = house->wire->out[house->wire->out_read];
    CHECK_EQUAL(frame.peer, 1);
    ome_execution_report_t report;
    memcpy(&report, frame.data, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_AMENDED);
    CHECK_EQUAL(report.leaves_quantity, 12);
    CHECK_EQUAL(report.price, 106);
    CHECK_EQUAL(report.cumulative_quantity, 0);
    memcpy(&report, frame.data + REPORT_SIZE, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(report.price, 104);
    CHECK_EQUAL(report.leaves_quantity, 9);
    CHECK_EQUAL(report.cumulative_quantity, 3);
    memcpy(&report, frame.data + 2 * REPORT_SIZE, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(report.price, 105);
    CHECK_EQUAL(report.leaves_quantity, 5);
    CHECK_EQUAL(report.cumulative_quantity, 7);
    (void)know_frames(&known, house);
    check_known(&known, house->engine);
    CHECK_EQUAL(known.traded[0], 2);
    CHECK_EQUAL(known.traded[1], 2);
    house_free(house);
}

/* A sweep of more trades than a turn takes and a frame usually has reaches both sides whole and in order. */
static void a_sweep_larger_than_a_turn_is_reported_whole(void)
{
    const ome_limits_t limits = {.order_count_max = 3000, .level_count_max = 32, .instrument_count_max = 1, .session_count_max = 4};
    ome_engine_t *engine = market_engine(&limits);
    recorder_t *recorder = recorder_new(1);
    const ome_command_t definitions[3] = {define_instrument(1, "ONE", 1, 0), define_session(1, 1, "A", 0), define_session(2, 2, "B", 0)};
    ome_engine_apply_many(engine, definitions, 3, &recorder->sink);
    for (uint32_t i = 0; i < 2500; i++)
    {
        ome_command_t order = limit_order(OME_SIDE_SELL, 100, 1, i + 1);
        order.participant = order.session = 1;
        ome_engine_apply(engine, &order, &recorder->sink);
    }
    recorder_free(recorder);
    house_t *house = house_around(engine, 16, 4096);
    bind(house, 1, 1);
    bind(house, 2, 2);
    send_command(house, 2, limit_order(OME_SIDE_BUY, 100, 2500, 1));
    work(house);
    uint64_t sequences[PEER_COUNT] = {0};
    uint64_t trades[PEER_COUNT] = {0};
    while (house->wire->out_read < house->wire->out_count)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read++];
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK_EQUAL(report.report_sequence, ++sequences[frame->peer]);
            trades[frame->peer] += report.kind == OME_EVENT_KIND_TRADE;
            CHECK(report.kind != OME_EVENT_KIND_TRADE || report.trade_id == trades[frame->peer]);
        }
    }
    CHECK_EQUAL(trades[1], 2500);
    CHECK_EQUAL(trades[2], 2500);
    CHECK_EQUAL(sequences[1], 2500);
    CHECK_EQUAL(sequences[2], 2501);
    house_free(house);
}

/* The report of each event in the life of special orders, where it differs from a plain order's. */
static void special_orders_are_reported_with_all_that_is_open(void)
{
    house_t *house = simple_house(64);
    static known_t known;
    memset(&known, 0, sizeof(known));
    /* An iceberg: what it displays is nobody's report; its leaves are whole. */
    ome_command_t iceberg[2] = {limit_order(OME_SIDE_SELL, 100, 50, 1), order_terms(OME_TERM_DISPLAY_QUANTITY, 10)};
    iceberg[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    send_commands(house, 1, iceberg, 2);
    /* A stop of the same session, which waits. */
    ome_command_t stop[2] = {limit_order(OME_SIDE_SELL, 0, 5, 2), order_terms(OME_TERM_STOP_PRICE, 100)};
    stop[0].order_type = OME_ORDER_TYPE_STOP;
    stop[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    send_commands(house, 1, stop, 2);
    work(house);
    CHECK_EQUAL(know_frames(&known, house), 2);
    check_known(&known, house->engine);
    /* A buy of 12 takes the peak and two of the next, and triggers the stop, which finds nobody. */
    ome_command_t buy = limit_order(OME_SIDE_BUY, 100, 12, 1);
    buy.time_in_force = OME_TIME_IN_FORCE_IOC;
    send_command(house, 2, buy);
    work(house);
    CHECK_EQUAL(house->wire->out_count - house->wire->out_read, 2);
    static const struct
    {
        uint32_t peer;
        uint8_t kind;
        uint64_t client_order_id;
        int64_t price;
        int64_t last_quantity;
        int64_t leaves_quantity;
        uint8_t reason;
    } expected[] = {{2, OME_EVENT_KIND_ACCEPTED, 1, 100, 0, 12, 0}, {2, OME_EVENT_KIND_TRADE, 1, 100, 10, 2, 0},
        {2, OME_EVENT_KIND_TRADE, 1, 100, 2, 0, 0}, {1, OME_EVENT_KIND_TRADE, 1, 100, 10, 40, 0},
        {1, OME_EVENT_KIND_TRADE, 1, 100, 2, 38, 0}, {1, OME_EVENT_KIND_TRIGGERED, 2, 100, 0, 5, 0},
        {1, OME_EVENT_KIND_CANCELLED, 2, 0, 5, 0, OME_REASON_NO_LIQUIDITY}};
    uint32_t at = 0;
    for (uint32_t i = house->wire->out_read; i < house->wire->out_count; i++)
    {
        const wire_frame_t *frame = &house->wire->out[i];
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE, at++)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK(at < 7);
            CHECK_EQUAL(frame->peer, expected[at].peer);
            CHECK_EQUAL(report.kind, expected[at].kind);
            CHECK_EQUAL(report.client_order_id, expected[at].client_order_id);
            CHECK_EQUAL(report.price, expected[at].price);
            CHECK_EQUAL(report.last_quantity, expected[at].last_quantity);
            CHECK_EQUAL(report.leaves_quantity, expected[at].leaves_quantity);
            CHECK_EQUAL(report.reason, expected[at].reason);
            CHECK_EQUAL(report.engine_sequence, 9);
            CHECK_EQUAL(report.timestamp_ns, ((ome_command_t *)ome_ring_slot(house->ring, 9))->timestamp_ns);
        }
    }
    CHECK_EQUAL(at, 7);
    (void)know_frames(&known, house);
    check_known(&known, house->engine);
    /* Cancel and replace under another id: the report that answers has it. */
    ome_command_t amend[2] = {amend_order(1, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77)};
    amend[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    send_commands(house, 1, amend, 2);
    work(house);
    check_report(house, 1,
        (ome_execution_report_t){.report_sequence = 7,
            .engine_sequence = 11,
            .order_id = order_id(1, 1),
            .client_order_id = 77,
            .price = 100,
            .leaves_quantity = 38,
            .cumulative_quantity = 12,
            .kind = OME_EVENT_KIND_AMENDED,
            .side = OME_SIDE_SELL});
    /* A match with itself is told to both orders, and is no trade. */
    ome_command_t own = limit_order(OME_SIDE_BUY, 100, 8, 3);
    own.self_trade_prevention = OME_SELF_TRADE_PREVENTION_CANCEL_NEWEST;
    send_command(house, 1, own);
    work(house);
    const wire_frame_t *frame = next_frame(house, 1);
    CHECK_EQUAL(frame->size_bytes, 4 * REPORT_SIZE);
    ome_execution_report_t reports[4];
    memcpy(reports, frame->data, sizeof(reports));
    CHECK_EQUAL(reports[0].kind, OME_EVENT_KIND_ACCEPTED);
    CHECK_EQUAL(reports[3].kind, OME_EVENT_KIND_CANCELLED);
    CHECK_EQUAL(reports[3].reason, OME_REASON_SELF_TRADE_PREVENTION);
    CHECK_EQUAL(reports[3].leaves_quantity, 0);
    for (uint32_t i = 1; i < 3; i++)
    {
        CHECK_EQUAL(reports[i].kind, OME_EVENT_KIND_PREVENTED);
        CHECK_EQUAL(reports[i].last_quantity, 8);
        CHECK_EQUAL(reports[i].trade_id, 0);
        CHECK_EQUAL(reports[i].is_aggressor, i == 1);
        CHECK_EQUAL(reports[i].leaves_quantity, i == 1 ? 8 : 38);
        CHECK_EQUAL(reports[i].client_order_id, i == 1 ? 3 : 77);
        CHECK_EQUAL(reports[i].side, i == 1 ? OME_SIDE_BUY : OME_SIDE_SELL);
        CHECK_EQUAL(reports[i].timestamp_ns, reports[0].timestamp_ns);
        CHECK_EQUAL(reports[i].cumulative_quantity, i == 1 ? 0 : 12);
    }
    /* A mass cancel: each order, and a total that echoes the request. */
    send_command(house, 1, (ome_command_t){.kind = OME_COMMAND_KIND_MASS_CANCEL, .client_order_id = 5, .instrument = 1});
    work(house);
    frame = next_frame(house, 1);
    CHECK_EQUAL(frame->size_bytes, 2 * REPORT_SIZE);
    memcpy(reports, frame->data, 2 * REPORT_SIZE);
    CHECK_EQUAL(reports[0].kind, OME_EVENT_KIND_CANCELLED);
    CHECK_EQUAL(reports[0].last_quantity, 38);
    CHECK_EQUAL(reports[0].reason, OME_REASON_MASS_CANCELLED);
    CHECK_EQUAL(reports[1].kind, OME_EVENT_KIND_COMPLETED);
    CHECK_EQUAL(reports[1].last_quantity, 1);
    CHECK_EQUAL(reports[1].client_order_id, 5);
    CHECK_EQUAL(reports[1].command_kind, OME_COMMAND_KIND_MASS_CANCEL);
    CHECK_EQUAL(reports[1].order_id, 0);
    CHECK_EQUAL(reports[1].leaves_quantity, 0);
    check_silence(house);
    house_free(house);
}

/* A gateway beside an engine with a history knows the orders at rest, and goes on counting trades. */
static void a_gateway_takes_over_orders_at_rest(void)
{
    ome_engine_t *engine = defined_engine();
    recorder_t *recorder = recorder_new(1);
    ome_command_t orders[2] = {limit_order(OME_SIDE_BUY, 100, 10, 1), limit_order(OME_SIDE_SELL, 100, 4, 2)};
    orders[0].participant = orders[0].session = 1;
    orders[0].account = 6;
    ome_engine_apply_many(engine, orders, 2, &recorder->sink);
    CHECK_EQUAL(engine->trade_count, 1);
    /* An iceberg behind it, and a stop that waits for a price above. */
    ome_command_t specials[4] = {limit_order(OME_SIDE_BUY, 100, 30, 4), order_terms(OME_TERM_DISPLAY_QUANTITY, 3),
        limit_order(OME_SIDE_BUY, 120, 9, 5), order_terms(OME_TERM_STOP_PRICE, 110)};
    specials[2].order_type = OME_ORDER_TYPE_STOP_LIMIT;
    for (uint32_t i = 0; i < 4; i++)
    {
        specials[i].participant = specials[i].session = 2;
        specials[i].flags = i % 2 == 0 ? OME_COMMAND_FLAGS_CONTINUED : 0;
    }
    specials[0].account = 8;
    ome_engine_apply_many(engine, specials, 4, &recorder->sink);
    CHECK_EQUAL(engine->pools.specials.record_count, 2);
    recorder_free(recorder);
    house_t *house = house_around(engine, 16, 64);
    check_order_counts(house);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    CHECK_EQUAL(look(house, 2).order_count, 2);
    bind(house, 1, 1);
    ome_command_t sell = limit_order(OME_SIDE_SELL, 99, 5, 3);
    sell.timestamp_ns = UINT64_C(1700000000000000000);
    submit(house, &sell);
    work(house);
    check_report(house, 1,
        (ome_execution_report_t){.report_sequence = 1,
            .engine_sequence = 11,
            .order_id = order_id(1, 1),
            .client_order_id = 1,
            .price = 100,
            .last_quantity = 5,
            .leaves_quantity = 1,
            .cumulative_quantity = 9,
            .trade_id = 2,
            .account = 6,
            .kind = OME_EVENT_KIND_TRADE,
            .side = OME_SIDE_BUY});
    check_silence(house);
    bind(house, 2, 2);
    ome_execution_report_t report = {.report_sequence = 1,
        .engine_sequence = 12,
        .order_id = order_id(2, 2),
        .client_order_id = 4,
        .price = 100,
        .last_quantity = 1,
        .leaves_quantity = 29,
        .account = 8,
        .kind = OME_EVENT_KIND_REDUCED,
        .side = OME_SIDE_BUY};
    send_command(house, 2, reduce_order(4, 1));
    work(house);
    check_report(house, 2, report);
    send_command(house, 2, cancel_order(5));
    work(house);
    report.report_sequence = 2;
    report.engine_sequence = 13;
    report.order_id = order_id(1, 3);
    report.client_order_id = 5;
    report.price = 120;
    report.last_quantity = 9;
    report.leaves_quantity = 0;
    report.account = 0;
    report.kind = OME_EVENT_KIND_CANCELLED;
    report.reason = OME_REASON_REQUESTED;
    check_report(house, 2, report);
    house_free(house);
}

/* A report for a session without a connection is counted, and after the next logon the sequence shows the gap. */
static void reports_for_nobody_are_counted_and_leave_a_gap(void)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
    work(house);
    ome_gateway_unbind(house->gateway, 1);
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 3, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 3, 2));
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 0);
    CHECK_EQUAL(look(house, 1).report_sequence, 3);
    bind(house, 1, 3);
    house->wire->out_read = house->wire->out_count;
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 4, 3));
    work(house);
    CHECK_EQUAL(next_frame(house, 2)->size_bytes, 2 * REPORT_SIZE);
    ome_execution_report_t report;
    memcpy(&report, next_frame(house, 3)->data, REPORT_SIZE);
    CHECK_EQUAL(report.report_sequence, 4);
    CHECK_EQUAL(report.cumulative_quantity, 10);
    CHECK_EQUAL(report.leaves_quantity, 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 2);
    house_free(house);
}

/* The last frame to a peer is a Logout that says why, and the connection ends with it. */
static void check_logout(house_t *house, uint32_t peer, uint8_t reason)
{
    const wire_frame_t *frame = next_frame(house, peer);
    ome_logout_t expected = {.reason = reason};
    ome_message_header_set(&expected, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    CHECK(frame->is_last);
    CHECK_EQUAL(frame->size_bytes, sizeof(expected));
    CHECK_BYTES_EQUAL(frame->data, &expected, sizeof(expected));
    CHECK(house->wire->peers[peer].is_ended);
    CHECK_EQUAL(session_of(house, peer), 0);
}

/* A connection that does not read, or is gone, or a socket that refuses ends that session, which is told why; the other gets everything. */
static void a_slow_peer_loses_its_session_and_hurts_nobody(void)
{
    static const ome_status_t failures[3] = {OME_FULL, OME_NOT_FOUND, OME_STOPPED};
    for (uint32_t i = 0; i < 3; i++)
    {
        house_t *house = simple_house(64);
        send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
        work(house);
        house->wire->out_read = house->wire->out_count;
        house->wire->peers[1].status = failures[i];
        for (uint64_t id = 1; id <= 4; id++)
        {
            send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 2, id));
        }
        work(house);
        CHECK_EQUAL(session_of(house, 1), 0);
        CHECK_EQUAL(session_of(house, 2), 2);
        CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
        CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
        CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 4);
        CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS), 1 + 8);
        uint32_t report_count = 0;
        uint32_t logout_count = 0;
        while (house->wire->out_read < house->wire->out_count)
        {
            if (house->wire->out[house->wire->out_read].is_last)
            {
                check_logout(house, 1, OME_REASON_SLOW_CONSUMER);
                logout_count++;
                continue;
            }
            report_count += next_frame(house, 2)->size_bytes / (uint32_t)REPORT_SIZE;
        }
        CHECK_EQUAL(report_count, 8);
        CHECK_EQUAL(logout_count, 1);
        /* Its order stays; what it sends after it has connected again is refused until it logs on. */
        CHECK_EQUAL(house->engine->books[1].open_quantity[0], 2);
        CHECK_EQUAL(look(house, 1).order_count, 1);
        wire_reconnect(house->wire, 1);
        send_command(house, 1, cancel_order(1));
        work(house);
        CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_NOT_LOGGED_ON);
        house_free(house);
    }
}

/* ---- busy ---- */

static void set_sequences(ome_command_t *commands, uint32_t count, uint32_t first)
{
    for (uint32_t i = 0; i < count; i++)
    {
        commands[i] = limit_order(OME_SIDE_BUY, 10, 1, first + i);
        commands[i].session_sequence = first + i;
    }
}

/* A full ring takes a part of a frame or nothing, says exactly how much, and after a repetition everything has been taken once and in order. */
static void a_full_ring_is_busy_and_loses_nothing(void)
{
    house_t *house = simple_house(8);
    ome_command_t commands[40];
    set_sequences(commands, 40, 1);
    send_commands(house, 1, commands, 20);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 8, 12);
    CHECK_EQUAL(reject.message_index, 8);
    CHECK_EQUAL(reject.byte_offset, 8 * OME_RECORD_SIZE);
    CHECK_BYTES_EQUAL(reject.field, "session_sequence", sizeof(reject.field));
    CHECK_EQUAL(reject.found, 9);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 8);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 12);
    CHECK_EQUAL(match(house), 8);
    /* A frame that was on its way must not overtake: refused although there is room. */
    send_commands(house, 1, commands + 20, 3);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 0);
    while (house->wire->out[house->wire->out_read].size_bytes % REPORT_SIZE == 0)
    {
        house->wire->out_read++; /* reports of the first eight */
    }
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 0, 3);
    CHECK_EQUAL(reject.found, 21);
    /* Sent again from where it was refused, the rest is taken, in as many parts as it needs. */
    uint32_t done = 8;
    while (done < 40)
    {
        const uint32_t part = 40 - done < 5 ? 40 - done : 5;
        send_commands(house, 1, commands + done, part);
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        CHECK_EQUAL(match(house), part);
        done += part;
    }
    work(house);
    CHECK_EQUAL(house->engine->sequence, 4 + 40);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 40);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 15);
    for (uint32_t i = 1; i <= 40; i++)
    {
        CHECK_EQUAL(house->engine->pools.orders.orders[i].client_order_id, i);
    }
    house_free(house);
}

/* An order with terms, as its client sends it. */
static void set_iceberg(ome_command_t commands[2], uint32_t session_sequence)
{
    set_sequences(commands, 1, session_sequence);
    commands[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[1] = order_terms(OME_TERM_DISPLAY_QUANTITY, 1);
    commands[1].session_sequence = session_sequence + 1;
}

/* A frame larger than the ring is cut between commands only, and refused from a command's first message on; sent again from there it loses nothing. */
static void a_frame_is_cut_between_commands(void)
{
    house_t *house = simple_house(4);
    ome_command_t commands[7];
    set_sequences(commands, 1, 1);
    set_iceberg(commands + 1, 2);
    set_iceberg(commands + 3, 4);
    set_iceberg(commands + 5, 6);
    send_commands(house, 1, commands, 7);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 3, 4); /* a slot of the ring stays empty */
    CHECK_EQUAL(reject.message_index, 3);
    CHECK_EQUAL(reject.found, 4);
    CHECK_EQUAL(match(house), 3);
    send_commands(house, 1, commands + 3, 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 4);
    work(house);
    CHECK_EQUAL(house->engine->pools.specials.record_count, 3);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 7);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 4);
    for (uint32_t i = 1; i <= 4; i++)
    {
        const uint64_t first[4] = {1, 2, 4, 6};
        CHECK_EQUAL(house->engine->pools.orders.orders[i].client_order_id, first[i - 1]);
    }
    house_free(house);
}

/* A command that lacks its terms, or has more messages than the ring has slots, is refused with its frame, and nothing of it reaches the engine. */
static void an_incomplete_command_never_reaches_the_engine(void)
{
    house_t *house = simple_house(2);
    ome_command_t commands[3];
    const uint64_t cursor = ome_ring_cursor(house->ring);
    set_iceberg(commands, 1);
    send_commands(house, 1, commands, 1);
    send_commands(house, 1, commands + 1, 1);
    commands[1].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[2] = order_terms(OME_TERM_MINIMUM_QUANTITY, 1);
    send_commands(house, 1, commands, 3);
    work(house);
    for (uint32_t i = 0; i < 3; i++)
    {
        const ome_frame_reject_t reject = next_reject(house, 1);
        check_counts(&reject, OME_REASON_INCOMPLETE_COMMAND, 0, i < 2 ? 1 : 3);
    }
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 3);
    commands[1].flags = 0;
    send_commands(house, 1, commands, 2);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(house->engine->pools.specials.record_count, 1);
    house_free(house);
}

typedef struct
{
    house_t *house;
    atomic_bool is_over;
    _Atomic uint64_t count;
} intruder_t;

/* Another producer, with commands of one record. */
static void *intrude(void *argument)
{
    intruder_t *intruder = argument;
    const ome_command_t command = {.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = 1};
    while (!atomic_load(&intruder->is_over))
    {
        uint64_t sequence;
        if (ome_ring_try_claim(intruder->house->ring, 1, &sequence) == OME_OK)
        {
            memcpy((uint8_t *)ome_ring_slot(intruder->house->ring, sequence) + 8, (const uint8_t *)&command + 8, OME_BODY_SIZE);
            ome_ring_publish(intruder->house->ring, sequence, 1);
            atomic_fetch_add(&intruder->count, 1);
        }
        sched_yield();
    }
    return NULL;
}

/* However many others submit at the same time, none of their commands comes between the records of one. */
static void no_command_comes_between_the_records_of_another(void)
{
    house_t *house = simple_house(64);
    intruder_t intruder = {.house = house};
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, intrude, &intruder), 0);
    uint32_t accepted = 0;
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (accepted < 400 || atomic_load(&intruder.count) < 400)
    {
        ome_command_t commands[9];
        for (uint32_t i = 0; i < 4; i++)
        {
            set_iceberg(commands + 2 * i, 1 + 2 * i);
            commands[2 * i].client_order_id = 0;
        }
        commands[8] = (ome_command_t){.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1};
        send_commands(house, 1, commands, 9);
        /* One turn of the stage, for the other producer may never leave the ring empty, and this thread is also the one that reads the events. */
        (void)run(house);
        (void)ome_match_stage_do_work(house->stage);
        (void)run(house);
        for (; house->wire->out_read < house->wire->out_count; house->wire->out_read++)
        {
            const wire_frame_t *frame = &house->wire->out[house->wire->out_read];
            for (uint32_t offset = 0; frame->size_bytes % REPORT_SIZE == 0 && offset < frame->size_bytes; offset += REPORT_SIZE)
            {
                ome_execution_report_t report;
                memcpy(&report, frame->data + offset, REPORT_SIZE);
                CHECK(report.kind != OME_EVENT_KIND_REJECTED);
                accepted += report.kind == OME_EVENT_KIND_ACCEPTED;
            }
        }
        forget_frames(house);
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
    atomic_store(&intruder.is_over, true);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    (void)match(house);
    house_free(house);
}

/* Where there is room for a part of a frame that would fit into an empty ring, none of it is taken; another session is not held up by one that was refused. */
static void a_busy_session_does_not_hold_up_another(void)
{
    house_t *house = simple_house(8);
    ome_command_t commands[12];
    set_sequences(commands, 12, 1);
    send_commands(house, 1, commands, 5);
    send_commands(house, 1, commands + 5, 5);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 0, 5);
    CHECK_EQUAL(reject.found, 6);
    CHECK_EQUAL(reject.message_index, 0);
    send_commands(house, 2, commands, 3);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    check_silence(house);
    CHECK_EQUAL(match(house), 8);
    /* A new logon of the session begins anew. */
    bind(house, 1, 3);
    send_commands(house, 3, commands + 9, 2);
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 10);
    CHECK_EQUAL(house->engine->sequence, 14);
    house_free(house);
}

/* ---- sessions that are defined with their first command ---- */

/* Session 4, of a participant that the engine does not know, logs on as peer 4. */
static house_t *house_with_stranger(uint32_t ring_slot_count)
{
    house_t *house = simple_house(ring_slot_count);
    ome_gateway_logon_t logon = logon_of(house, 4, 4);
    logon.session_number = 9;
    logon.is_defined = 0;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    CHECK_EQUAL(session_of(house, 4), 4);
    CHECK(!look(house, 4).is_defined);
    return house;
}

/* What the ring has at a sequence is the definition of session 4. */
static void check_definition(const house_t *house, uint64_t sequence)
{
    const ome_command_t *slot = ome_ring_slot(house->ring, sequence);
    ome_command_t expected = define_session(4, 4, "D", 9);
    CHECK(slot->timestamp_ns > UINT64_C(1600000000000000000));
    expected.sequence = sequence;
    expected.timestamp_ns = slot->timestamp_ns;
    CHECK_BYTES_EQUAL(slot, &expected, sizeof(expected));
}

/* Who logs on, says that it lives, sends bad frames and logs out leaves no trace in the ring. */
static void a_session_without_a_command_is_not_defined(void)
{
    house_t *house = house_with_stranger(16);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    ome_heartbeat_t heartbeat = {.request_id = 3};
    set_header(&heartbeat, OME_TEMPLATE_HEARTBEAT);
    wire_put(house->wire, 4, &heartbeat, sizeof(heartbeat));
    wire_put(house->wire, 4, "?", 1);
    work(house);
    CHECK_EQUAL(next_frame(house, 4)->size_bytes, sizeof(heartbeat));
    CHECK_EQUAL(next_reject(house, 4).reason, OME_REASON_FRAME_TRUNCATED);
    house->is_open = false; /* nor does one whose commands are not taken */
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    work(house);
    CHECK_EQUAL(next_reject(house, 4).reason, OME_REASON_ENGINE_STOPPED);
    house->is_open = true;
    house->storage = OME_STORAGE_LOW; /* or one whose order is refused at once */
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    work(house);
    CHECK_EQUAL(next_frame(house, 4)->size_bytes, REPORT_SIZE);
    house->storage = OME_STORAGE_ROOM;
    wire_leave(house->wire, 4);
    work(house);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK(!look(house, 4).is_defined);
    CHECK_EQUAL(house->engine->session_count, 3);
    house_free(house);
}

/* The definition has the sequence right before the first command's, once; what the session sent is taken behind it, and the caller gets the answer in its place. */
static void the_definition_comes_right_before_the_first_command(void)
{
    for (uint32_t is_low = 0; is_low < 2; is_low++)
    {
        house_t *house = house_with_stranger(16);
        house->storage = is_low != 0 ? OME_STORAGE_LOW : OME_STORAGE_ROOM; /* a cancel is taken all the same */
        const ome_command_t commands[2] = {cancel_order(7), cancel_order(8)};
        send_command(house, 1, cancel_order(1)); /* 5 */
        send_commands(house, 4, commands, 2); /* 6 is the definition */
        send_command(house, 4, cancel_order(9));
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        CHECK_EQUAL(ome_ring_cursor(house->ring), 9);
        CHECK(look(house, 4).is_defined);
        check_definition(house, 6);
        for (uint64_t sequence = 7; sequence <= 9; sequence++)
        {
            const ome_command_t *slot = ome_ring_slot(house->ring, sequence);
            CHECK_EQUAL(slot->kind, OME_COMMAND_KIND_CANCEL_ORDER);
            CHECK_EQUAL(slot->client_order_id, sequence);
            CHECK_EQUAL(slot->session, 4);
            CHECK_EQUAL(slot->participant, 4);
        }
        CHECK_EQUAL(match(house), 5);
        CHECK_EQUAL(house->engine->session_count, 4);
        CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
        ome_event_t event;
        memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
        CHECK_EQUAL(event.sequence, 6);
        CHECK_EQUAL(event.kind, OME_EVENT_KIND_DEFINED);
        CHECK_EQUAL(event.session, 4);
        CHECK_EQUAL(event.participant, 4);
        CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
        check_silence(house);
        work(house);
        CHECK_EQUAL(next_frame(house, 4)->size_bytes, 3 * REPORT_SIZE);
        CHECK_EQUAL(look(house, 4).report_sequence, 3);
        house_free(house);
    }
}

/* When there is no room for the definition, or none behind it, the session is told BUSY from its first command on; sent again, everything is taken once. */
static void a_full_ring_is_busy_at_the_definition(void)
{
    for (uint32_t room = 0; room < 2; room++)
    {
        house_t *house = house_with_stranger(4);
        ome_command_t commands[4];
        set_sequences(commands, 4, 1);
        send_commands(house, 1, commands, 3);
        if (room == 0)
        {
            send_commands(house, 1, commands + 3, 1);
        }
        send_commands(house, 4, commands, 3);
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        ome_frame_reject_t reject = next_reject(house, 4);
        check_counts(&reject, OME_REASON_BUSY, 0, 3);
        CHECK_EQUAL(reject.found, 1);
        CHECK_EQUAL(reject.message_index, 0);
        CHECK_EQUAL(look(house, 4).is_defined, room == 1);
        CHECK_EQUAL(ome_ring_cursor(house->ring), 4 + 4);
        CHECK_EQUAL(match(house), 4);
        send_commands(house, 4, commands, 3);
        while (run(house) == OME_GATEWAY_DEFINED)
        {
        }
        CHECK_EQUAL(ome_ring_cursor(house->ring), 4 + 4 + 3 + (room == 0));
        check_definition(house, room == 0 ? 9 : 8);
        while (match(house) > 0 || run(house) == OME_GATEWAY_DEFINED)
        {
        }
        CHECK_EQUAL(house->engine->session_count, 4);
        CHECK_EQUAL(house->engine->sequence, 4u + 4 + 3 + (room == 0));
        CHECK_EQUAL(look(house, 4).order_count, 3);
        CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 0);
        house_free(house);
    }
}

/* A session that the engine refused has to log on again, and is told so; where it is gone already, nobody is. */
static void a_session_that_is_refused_is_ended(void)
{
    house_t *house = simple_house(64);
    ome_gateway_logon_t logon = logon_of(house, 4, 4);
    logon.is_defined = 0;
    logon.participant = 1; /* another's */
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 2);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    ome_event_t event;
    memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
    CHECK_EQUAL(event.kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(event.command_kind, OME_COMMAND_KIND_DEFINE_SESSION);
    CHECK_EQUAL(event.session, 4);
    CHECK(look(house, 4).is_defined);
    house->wire->out_read = house->wire->out_count; /* the refusal is also a report */
    ome_gateway_undefine(house->gateway, 4);
    check_logout(house, 4, OME_REASON_SESSION_LIMIT_REACHED);
    CHECK(!look(house, 4).is_defined);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    ome_gateway_undefine(house->gateway, 4);
    check_silence(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    /* Its order was of no session. */
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(house->engine->pools.orders.slots_ever_used, 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 2);
    /* It connects again, with numbers that are its own, and is defined anew. */
    wire_reconnect(house->wire, 4);
    logon = logon_of(house, 4, 4);
    logon.is_defined = 0;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    CHECK_EQUAL(look(house, 4).report_sequence, 0); /* it is somebody else */
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 2);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    work(house);
    CHECK_EQUAL(next_frame(house, 4)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(look(house, 4).order_count, 1);
    house_free(house);
}

/* ---- connections that go ---- */

/* Whose connection is gone has none; its orders stay, its session is free for another connection, and the slot for another client, who has no session by it. */
static void a_connection_that_is_gone_has_no_session(void)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    const uint64_t gone = peer_number(house->wire, 1);
    wire_leave(house->wire, 1);
    work(house);
    CHECK_EQUAL(ome_gateway_session_of(house->gateway, gone), 0);
    CHECK_EQUAL(look(house, 1).peer, 0);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    wire_leave(house->wire, 3); /* who had none */
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    wire_reconnect(house->wire, 1);
    CHECK_EQUAL(session_of(house, 1), 0);
    send_command(house, 1, cancel_order(1));
    work(house);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_NOT_LOGGED_ON);
    /* Its number has no effect either. */
    CHECK_EQUAL(ome_gateway_send(house->gateway, gone, (const uint8_t *)"?", 1), OME_NOT_FOUND);
    ome_gateway_logon_t logon = logon_of(house, 1, 1);
    logon.peer = gone;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 1, &logon), OME_NOT_FOUND);
    CHECK_EQUAL(look(house, 1).peer, 0);
    CHECK_EQUAL(session_of(house, 1), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    bind(house, 1, 1);
    send_command(house, 1, cancel_order(1));
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(look(house, 1).order_count, 0);
    CHECK_EQUAL(look(house, 1).report_sequence, 2);
    house_free(house);
}

/* The caller ends a connection with a last frame: its session is free. */
static void the_caller_ends_a_connection(void)
{
    house_t *house = simple_house(64);
    ome_gateway_end(house->gateway, peer_number(house->wire, 1), (const uint8_t *)"over", 4);
    const wire_frame_t *frame = next_frame(house, 1);
    CHECK(frame->is_last);
    CHECK_EQUAL(frame->size_bytes, 4);
    CHECK_EQUAL(look(house, 1).peer, 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    ome_gateway_pause(house->gateway, peer_number(house->wire, 2), 250);
    CHECK_EQUAL(house->wire->peers[2].pause_count, 1);
    CHECK_EQUAL(house->wire->peers[2].pause_ms, 250);
    house_free(house);
}

/* ---- heartbeats ---- */

static void put_heartbeat(house_t *house, uint32_t peer, uint64_t request_id)
{
    ome_heartbeat_t heartbeat = {.request_id = request_id, .server_time_ns = 1, .engine_sequence = 2, .report_sequence = 3};
    set_header(&heartbeat, OME_TEMPLATE_HEARTBEAT);
    wire_put(house->wire, peer, &heartbeat, sizeof(heartbeat));
}

static void check_heartbeat(house_t *house, uint32_t peer, ome_heartbeat_t expected)
{
    const wire_frame_t *frame = next_frame(house, peer);
    ome_heartbeat_t heartbeat;
    CHECK_EQUAL(frame->size_bytes, sizeof(heartbeat));
    CHECK(!frame->is_last);
    memcpy(&heartbeat, frame->data, sizeof(heartbeat));
    CHECK(heartbeat.server_time_ns > UINT64_C(1600000000000000000));
    expected.server_time_ns = heartbeat.server_time_ns;
    ome_message_header_set(&expected, OME_TEMPLATE_HEARTBEAT, OME_BLOCK_HEARTBEAT);
    CHECK_BYTES_EQUAL(&heartbeat, &expected, sizeof(expected));
}

static void bind_with_heartbeat(house_t *house, uint32_t heartbeat_ms)
{
    ome_gateway_logon_t logon = logon_of(house, 1, 1);
    logon.heartbeat_ms = heartbeat_ms;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 1, &logon), OME_OK);
}

/* A client's heartbeat is answered with what it chose, and with how far the venue and its reports are; also where nobody minds its silence. One without a session is refused. */
static void a_heartbeat_is_answered(void)
{
    house_t *house = simple_house(64);
    put_heartbeat(house, 2, UINT64_MAX);
    send_command(house, 2, cancel_order(1));
    work(house);
    check_heartbeat(house, 2, (ome_heartbeat_t){.request_id = UINT64_MAX, .engine_sequence = 4});
    CHECK_EQUAL(next_frame(house, 2)->size_bytes, REPORT_SIZE);
    put_heartbeat(house, 2, 0);
    put_heartbeat(house, 2, 8);
    work(house);
    check_heartbeat(house, 2, (ome_heartbeat_t){.engine_sequence = 5, .report_sequence = 1});
    check_heartbeat(house, 2, (ome_heartbeat_t){.request_id = 8, .engine_sequence = 5, .report_sequence = 1});
    put_heartbeat(house, 3, 8);
    work(house);
    const ome_frame_reject_t reject = next_reject(house, 3);
    check_counts(&reject, OME_REASON_NOT_LOGGED_ON, 0, 1);
    check_silence(house);
    house_free(house);
}

/* Who hears nothing for its heartbeat is sent one. It is never ended while what it sends is there to be taken, however late that is. */
static void who_hears_nothing_is_sent_a_heartbeat(void)
{
    house_t *house = simple_house(1024);
    bind_with_heartbeat(house, 2);
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    uint32_t sent = 0;
    while (house->wire->out_count < 3)
    {
        send_command(house, 1, cancel_order(1)); /* nobody matches: no answer comes */
        sent++;
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        CHECK_EQUAL(session_of(house, 1), 1);
        CHECK(ome_clock_monotonic_ns() < end_ns);
        usleep(8000);
    }
    for (uint32_t i = 0; i < 3; i++)
    {
        const wire_frame_t *frame = &house->wire->out[i];
        ome_heartbeat_t heartbeat;
        CHECK_EQUAL(frame->peer, 1);
        CHECK_EQUAL(frame->size_bytes, sizeof(heartbeat));
        memcpy(&heartbeat, frame->data, sizeof(heartbeat));
        CHECK_EQUAL(heartbeat.request_id, 0);
        CHECK_EQUAL(heartbeat.report_sequence, 0);
    }
    CHECK_EQUAL(ome_ring_cursor(house->ring), 4 + sent);
    house_free(house);
}

/* Who asked to be watched and says nothing for three heartbeats is told that its session is over. Who did not ask is left alone. */
static void who_says_nothing_is_ended(void)
{
    house_t *house = simple_house(64);
    bind_with_heartbeat(house, 1);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    while (session_of(house, 1) != 0)
    {
        CHECK_EQUAL(ome_gateway_run(house->gateway, 100), OME_GATEWAY_IDLE);
        CHECK(ome_clock_monotonic_ns() - start_ns < LONG_NS);
    }
    CHECK(ome_clock_monotonic_ns() - start_ns >= UINT64_C(3000000));
    while (!house->wire->out[house->wire->out_read].is_last)
    {
        CHECK_EQUAL(next_frame(house, 1)->size_bytes, sizeof(ome_heartbeat_t));
    }
    check_logout(house, 1, OME_REASON_HEARTBEAT_TIMEOUT);
    check_silence(house);
    CHECK_EQUAL(session_of(house, 2), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    house_free(house);
}

/* The venue did not run for a while: who has sent something meanwhile is not ended, although much of others is read before it. */
static void time_in_which_the_venue_did_not_run_is_nobodys_silence(void)
{
    house_t *house = simple_house(1024);
    bind_with_heartbeat(house, 100);
    CHECK_EQUAL(ome_gateway_run(house->gateway, 30), OME_GATEWAY_IDLE);
    usleep(400000);
    for (uint32_t i = 0; i < 100; i++)
    {
        send_command(house, 2, cancel_order(1));
    }
    send_command(house, 1, cancel_order(1));
    work(house);
    CHECK_EQUAL(house->wire->in_read, house->wire->in_count);
    CHECK_EQUAL(session_of(house, 1), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 0);
    house_free(house);
}

/* Who makes much noise, bad frames or heartbeats, is read more slowly; who works is not, however much it sends. */
static void noise_is_read_more_slowly(void)
{
    enum
    {
        FRAMES = 2000
    };
    for (uint32_t kind = 0; kind < 3; kind++)
    {
        house_t *house = simple_house(64);
        for (uint32_t i = 0; i < FRAMES; i++)
        {
            if (kind == 0)
            {
                put_heartbeat(house, 1, i);
            }
            else if (kind == 1)
            {
                wire_put(house->wire, 1, "x", 1);
            }
            else
            {
                send_command(house, 1, cancel_order(1));
            }
        }
        wire_put(house->wire, 3, "x", 1); /* of no session: it is the listener that counts */
        work(house);
        CHECK_EQUAL(house->wire->in_read, house->wire->in_count);
        CHECK_EQUAL(session_of(house, 1), 1);
        CHECK_EQUAL(house->wire->peers[1].pause_count > 0, kind < 2);
        CHECK(house->wire->peers[1].pause_count <= FRAMES / 64);
        CHECK(kind == 2 || house->wire->peers[1].pause_ms == 10);
        CHECK_EQUAL(house->wire->peers[2].pause_count, 0);
        CHECK_EQUAL(house->wire->peers[3].pause_count, 0);
        CHECK(kind == 2 || house->wire->out_count == FRAMES + 1); /* each is answered */
        house_free(house);
    }
}

/* ---- low storage ---- */

/* The next frame to a peer: the reports, each a refusal of a new order, but for its time, which is later than `since_ns`. */
static void check_refusals(house_t *house, uint32_t peer, const ome_execution_report_t *expected, uint32_t count, uint64_t since_ns)
{
    const wire_frame_t *frame = next_frame(house, peer);
    CHECK_EQUAL(frame->size_bytes, count * REPORT_SIZE);
    for (uint32_t i = 0; i < count; i++)
    {
        ome_execution_report_t report;
        ome_execution_report_t due = expected[i];
        memcpy(&report, frame->data + i * REPORT_SIZE, REPORT_SIZE);
        CHECK(report.timestamp_ns >= since_ns && report.timestamp_ns <= ome_venue_clock_now_ns(&house->clock));
        due.timestamp_ns = report.timestamp_ns;
        due.kind = OME_EVENT_KIND_REJECTED;
        due.reason = OME_REASON_STORAGE_LOW;
        due.command_kind = OME_COMMAND_KIND_NEW_ORDER;
        ome_message_header_set(&due, OME_TEMPLATE_EXECUTION_REPORT, OME_BLOCK_EXECUTION_REPORT);
        CHECK_BYTES_EQUAL(&report, &due, REPORT_SIZE);
    }
}

/* While storage is scarce every command is answered without a sequence, of whatever kind, and no session is defined. */
static void every_command_is_refused_while_storage_is_scarce(void)
{
    house_t *house = simple_house(64);
    house->storage = OME_STORAGE_SCARCE;
    ome_command_t commands[6] = {limit_order(OME_SIDE_SELL, 20, 8, 21), reduce_order(1, 1), cancel_order(3),
        amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77),
        {.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1, .side = OME_SIDE_SELL}};
    commands[3].flags = OME_COMMAND_FLAGS_CONTINUED;
    const uint64_t cursor = ome_ring_cursor(house->ring);
    send_commands(house, 1, commands, 6);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    const wire_frame_t *frame = next_frame(house, 1);
    static const uint8_t kinds[] = {OME_COMMAND_KIND_NEW_ORDER, OME_COMMAND_KIND_REDUCE_ORDER, OME_COMMAND_KIND_CANCEL_ORDER,
        OME_COMMAND_KIND_AMEND_ORDER, OME_COMMAND_KIND_MASS_CANCEL};
    CHECK_EQUAL(frame->size_bytes, sizeof(kinds) * REPORT_SIZE);
    for (uint32_t i = 0; i < sizeof(kinds); i++)
    {
        ome_execution_report_t report;
        memcpy(&report, frame->data + i * REPORT_SIZE, REPORT_SIZE);
        CHECK_EQUAL(report.kind, OME_EVENT_KIND_REJECTED);
        CHECK_EQUAL(report.reason, OME_REASON_STORAGE_LOW);
        CHECK_EQUAL(report.command_kind, kinds[i]);
        CHECK_EQUAL(report.engine_sequence, 0);
        CHECK_EQUAL(report.report_sequence, 1 + i);
    }
    CHECK_EQUAL(match(house), 0);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    check_silence(house);
    house_free(house);
}

/* While storage is low each new order of a frame is answered without a sequence, its terms with it, and everything else of the frame is taken, in its order. */
static void new_orders_are_refused_while_storage_is_low_and_all_else_is_taken(void)
{
    house_t *house = simple_house(64);
    ome_command_t resting[3] = {
        limit_order(OME_SIDE_BUY, 10, 5, 1), limit_order(OME_SIDE_BUY, 11, 6, 2), limit_order(OME_SIDE_BUY, 12, 7, 3)};
    send_commands(house, 1, resting, 3);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, 3 * REPORT_SIZE);
    house->storage = OME_STORAGE_LOW;
    ome_command_t commands[11] = {limit_order(OME_SIDE_SELL, 20, 8, 21), reduce_order(1, 1), limit_order(OME_SIDE_BUY, 9, 4, 22),
        order_terms(OME_TERM_DISPLAY_QUANTITY, 1), order_terms(OME_TERM_MINIMUM_QUANTITY, 1), limit_order(OME_SIDE_SELL, 5, 3, 23),
        amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77), cancel_order(3),
        {.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1}, limit_order(OME_SIDE_BUY, 9, 4, 24)};
    commands[0].account = 6;
    commands[2].flags = commands[3].flags = commands[6].flags = OME_COMMAND_FLAGS_CONTINUED;
    const uint64_t since_ns = ome_venue_clock_now_ns(&house->clock);
    send_commands(house, 1, commands, 11);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    static const ome_execution_report_t refused[] = {
        {.report_sequence = 4, .client_order_id = 21, .price = 20, .instrument = 1, .account = 6, .side = OME_SIDE_SELL},
        {.report_sequence = 5, .client_order_id = 22, .price = 9, .instrument = 1, .side = OME_SIDE_BUY},
        {.report_sequence = 6, .client_order_id = 23, .price = 5, .instrument = 1, .side = OME_SIDE_SELL},
        {.report_sequence = 7, .client_order_id = 24, .price = 9, .instrument = 1, .side = OME_SIDE_BUY}};
    check_refusals(house, 1, refused, 4, since_ns);
    check_silence(house);
    CHECK_EQUAL(match(house), 5); /* the amend has two records */
    work(house);
    const wire_frame_t *frame = next_frame(house, 1);
    static const uint8_t kinds[] = {OME_EVENT_KIND_REDUCED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_CANCELLED, OME_EVENT_KIND_CANCELLED,
        OME_EVENT_KIND_CANCELLED, OME_EVENT_KIND_COMPLETED};
    CHECK_EQUAL(frame->size_bytes, sizeof(kinds) * REPORT_SIZE);
    for (uint32_t i = 0; i < sizeof(kinds); i++)
    {
        ome_execution_report_t report;
        memcpy(&report, frame->data + i * REPORT_SIZE, REPORT_SIZE);
        CHECK_EQUAL(report.kind, kinds[i]);
        CHECK_EQUAL(report.report_sequence, 8 + i);
        CHECK(report.engine_sequence > 0);
    }
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 3 + 11);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), 4);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 0);
    /* Room again. */
    house->storage = OME_STORAGE_ROOM;
    send_commands(house, 1, commands, 1);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), 4);
    check_silence(house);
    house_free(house);
}

/* Low storage does not hide a full ring: what is refused as low counts as taken, the cut is where the ring was full, and the session is held there. */
static void a_full_ring_is_busy_while_storage_is_low(void)
{
    house_t *house = simple_house(4);
    ome_command_t commands[12];
    set_sequences(commands, 12, 1);
    for (uint32_t i = 0; i < 12; i++)
    {
        if (i % 6 != 0) /* an order, five cancels, an order, five cancels */
        {
            commands[i] = cancel_order(i);
            commands[i].session_sequence = i + 1;
        }
    }
    house->storage = OME_STORAGE_LOW;
    send_commands(house, 1, commands, 12);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 5, 7);
    CHECK_EQUAL(reject.message_index, 5);
    CHECK_EQUAL(reject.found, 6);
    /* What overtakes is held, an order too: it is not answered twice when it is sent again. */
    send_commands(house, 1, commands + 6, 1);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 0, 1);
    CHECK_EQUAL(match(house), 4);
    send_commands(house, 1, commands + 5, 7);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    house->wire->out_read = house->wire->out_count - 2; /* reports of the first four */
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 2, 5);
    CHECK_EQUAL(reject.found, 8);
    CHECK_EQUAL(match(house), 1);
    send_commands(house, 1, commands + 7, 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 4);
    send_commands(house, 1, commands + 11, 1);
    work(house);
    CHECK_EQUAL(house->engine->sequence, 4 + 10);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 12);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 10);
    CHECK_EQUAL(look(house, 1).report_sequence, 12);
    house_free(house);
}

/* More refusals in a turn than the gateway has room for reports are all said, frame by frame, without a gap; a peer that does not read them loses its session. */
static void every_order_of_a_flood_is_refused_while_storage_is_low(void)
{
    enum
    {
        FRAMES = 30
    };
    house_t *house = simple_house(16);
    ome_command_t commands[OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX];
    set_sequences(commands, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, 1);
    house->storage = OME_STORAGE_LOW;
    for (uint32_t i = 0; i < FRAMES; i++)
    {
        send_commands(house, 1, commands, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX);
    }
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    uint64_t report_sequence = 0;
    for (uint32_t i = 0; i < FRAMES; i++)
    {
        const wire_frame_t *frame = next_frame(house, 1);
        CHECK_EQUAL(frame->size_bytes, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX * REPORT_SIZE);
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK_EQUAL(report.report_sequence, ++report_sequence);
            CHECK_EQUAL(report.reason, OME_REASON_STORAGE_LOW);
        }
    }
    check_silence(house);
    CHECK_EQUAL(house->engine->sequence, 4);
    CHECK_EQUAL(match(house), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), FRAMES * OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX);
    house->wire->peers[1].status = OME_FULL;
    send_commands(house, 1, commands, 3);
    work(house);
    check_logout(house, 1, OME_REASON_SLOW_CONSUMER);
    CHECK_EQUAL(session_of(house, 1), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 3);
    house_free(house);
}

/* ---- the gate ---- */

/* Of a command that may not be spoken of yet nothing is sent; when it may, all of it is, and nothing twice. */
static void nothing_is_reported_before_the_gate_opens(void)
{
    static known_t known;
    house_t *house = simple_house(64);
    memset(&known, 0, sizeof(known));
    open_gate(house, 4);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1)); /* 5 */
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 2)); /* 6 */
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 15, 1)); /* 7 */
    work(house);
    check_silence(house);
    CHECK_EQUAL(ome_gateway_run(house->gateway, 20), OME_GATEWAY_IDLE);
    check_silence(house);
    static const uint32_t counts[4] = {0, 1, 1, 5};
    for (uint32_t i = 0; i < 4; i++)
    {
        open_gate(house, 4 + i);
        work(house);
        CHECK_EQUAL(know_frames(&known, house), counts[i]);
    }
    open_gate(house, UINT64_MAX);
    work(house);
    check_silence(house);
    check_known(&known, house->engine);
    house_free(house);
}

/* ---- definitions ---- */

/* A definition that took effect, or was refused, comes to the caller when it may be spoken of, after the reports before it and before those after it. */
static void a_definition_comes_to_the_caller_in_its_place(void)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1)); /* 5 */
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    const ome_command_t good = define_session(4, 4, "D", 0);
    const ome_command_t bad = define_instrument(9, "NINE", 1, 0);
    submit(house, &good); /* 6 */
    submit(house, &bad); /* 7 */
    send_command(house, 1, cancel_order(1)); /* 8 */
    open_gate(house, 5);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    check_silence(house);
    open_gate(house, 8);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    ome_event_t event;
    memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
    CHECK_EQUAL(event.sequence, 6);
    CHECK_EQUAL(event.kind, OME_EVENT_KIND_DEFINED);
    CHECK_EQUAL(event.session, 4);
    CHECK_EQUAL(event.participant, 4);
    check_silence(house);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
    CHECK_EQUAL(event.sequence, 7);
    CHECK_EQUAL(event.kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(event.reason, OME_REASON_BAD_DEFINITION);
    CHECK_EQUAL(event.command_kind, OME_COMMAND_KIND_DEFINE_INSTRUMENT);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    house_free(house);
}

/* ---- threads ---- */

typedef struct
{
    pthread_t thread;
    ome_gateway_t *gateway;
    atomic_bool is_over;
} loop_t;

static void *loop_run(void *argument)
{
    loop_t *loop = argument;
    while (!atomic_load_explicit(&loop->is_over, memory_order_acquire))
    {
        const ome_gateway_outcome_t outcome = ome_gateway_run(loop->gateway, 50);
        CHECK(outcome == OME_GATEWAY_IDLE || outcome == OME_GATEWAY_DEFINED);
    }
    return NULL;
}

/* Reports of a peer so far, and the first frames that were refused. */
static uint32_t count_reports(wire_t *wire, uint32_t peer, uint32_t *reject_count)
{
    uint32_t count = 0;
    *reject_count = 0;
    pthread_mutex_lock(&wire->lock);
    for (uint32_t i = 0; i < wire->out_count; i++)
    {
        const bool is_reports = wire->out[i].size_bytes % REPORT_SIZE == 0;
        count += wire->out[i].peer == peer && is_reports ? wire->out[i].size_bytes / (uint32_t)REPORT_SIZE : 0;
        *reject_count += wire->out[i].peer == peer && !is_reports;
    }
    pthread_mutex_unlock(&wire->lock);
    return count;
}

static ome_venue_t *gateway_venue(const char *directory)
{
    ome_venue_t *venue = NULL;
    ome_venue_view_t view;
    ome_engine_t *engine = NULL;
    ome_replay_t *replay = NULL;
    CHECK_EQUAL(ome_engine_create(&standard_limits, &engine), OME_OK);
    CHECK_EQUAL(ome_replay_create(directory, 0, &replay), OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_EMPTY);
    const ome_venue_config_t config = {.ring_slot_count = 256,
        .stream_slot_count = 512,
        .reader_count = 1,
        .wait_strategy = OME_WAIT_BLOCK,
        .policy = OME_POLICY_COMMIT,
        .batch_count = 64,
        .directory = directory,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .delay_ns = 1000000};
    CHECK_EQUAL(ome_venue_create(replay, engine, &config, &venue, &view), OME_OK);
    ome_replay_destroy(replay);
    return venue;
}

static bool venue_is_open(void *context)
{
    (void)context;
    return true;
}

static uint8_t venue_storage(void *context)
{
    (void)context;
    return OME_STORAGE_ROOM;
}

/* In a venue with all its threads every command of two clients is answered, while the gateway sleeps and is woken by frames and by the gate; nothing is sent of what is not on disk. */
static void clients_of_a_running_venue_get_every_answer(void)
{
    enum
    {
        ROUNDS = 60,
        COUNT = 10
    };
    const directory_t directory = directory_new();
    ome_venue_t *venue = gateway_venue(directory.path);
    wire_t *wire = wire_new();
    loop_t loop = {.is_over = false};
    const int event_fd = eventfd(0, EFD_NONBLOCK);
    wire->published = &venue->published;
    ome_reader_t reader;
    CHECK_EQUAL(ome_published_register(&venue->published, "gateway", true, &reader), OME_OK);
    const ome_gateway_config_t config = {.ingress = venue->ingress,
        .reader = reader,
        .is_open = venue_is_open,
        .storage = venue_storage,
        .context = venue,
        .socket = &wire->table,
        .counters = gateway_counters(&venue->counters),
        .order_count_max = standard_limits.order_count_max,
        .session_count_max = standard_limits.session_count_max,
        .connection_slot_max = PEER_COUNT - 1,
        .event_fd = event_fd};
    const uint64_t size_bytes = ome_gateway_size_bytes(&config);
    void *memory = market_memory(size_bytes);
    CHECK_EQUAL(ome_gateway_init(&loop.gateway, memory, size_bytes, &config, venue->engine), OME_OK);
    for (uint16_t session = 1; session <= 2; session++)
    {
        /* Nobody has defined it: it is, with its first command. */
        ome_gateway_logon_t logon = {.peer = peer_number(wire, session), .participant = session};
        logon.participant_name[0] = (char)('A' + session - 1);
        CHECK_EQUAL(ome_gateway_bind(loop.gateway, session, &logon), OME_OK);
    }
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    CHECK_EQUAL(pthread_create(&loop.thread, NULL, loop_run, &loop), 0);
    const ome_command_t definitions[2] = {define_limits(&standard_limits), define_instrument(1, "ONE", 1, 0)};
    CHECK_EQUAL(ome_venue_submit(venue, definitions, 2), OME_OK);
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    for (uint32_t round = 1; round <= ROUNDS; round++)
    {
        for (uint32_t peer = 1; peer <= 2; peer++)
        {
            /* Each command is answered by one report: cancels of nothing, but for a pair that trades. */
            uint8_t frame[COUNT * OME_RECORD_SIZE] = {0};
            for (uint32_t i = 0; i < COUNT; i++)
            {
                set_header(frame + i * OME_RECORD_SIZE, OME_TEMPLATE_CANCEL_ORDER);
            }
            const ome_command_t order = limit_order((uint8_t)peer, 10, 1, round);
            memcpy(frame + OME_MESSAGE_HEADER_SIZE, (const uint8_t *)&order + OME_MESSAGE_HEADER_SIZE, OME_BODY_SIZE);
            set_header(frame, OME_TEMPLATE_NEW_ORDER);
            wire_put(wire, peer, frame, sizeof(frame));
        }
        uint32_t rejects = 0;
        for (uint32_t peer = 1; peer <= 2; peer++)
        {
            while (count_reports(wire, peer, &rejects) < round * (COUNT + 1)) /* and the trade */
            {
                CHECK_EQUAL(rejects, 0);
                CHECK(ome_clock_monotonic_ns() < end_ns);
                (void)sched_yield();
            }
            CHECK_EQUAL(count_reports(wire, peer, &rejects), round * (COUNT + 1));
        }
    }
    ome_venue_stop(venue);
    while (!ome_venue_is_drained(venue))
    {
        CHECK(ome_clock_monotonic_ns() < end_ns);
        (void)sched_yield();
    }
    atomic_store_explicit(&loop.is_over, true, memory_order_release);
    CHECK_EQUAL(pthread_join(loop.thread, NULL), 0);
    ome_gateway_session_t seen;
    ome_gateway_look(loop.gateway, 1, &seen);
    CHECK_EQUAL(ome_venue_engine(venue)->trade_count, ROUNDS);
    CHECK_EQUAL(seen.report_sequence, ROUNDS * (COUNT + 1));
    CHECK_EQUAL(ome_venue_engine(venue)->session_count, 2);
    free(memory);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    CHECK_EQUAL(close(event_fd), 0);
    wire_free(wire);
    directory_remove(&directory);
}

/* A command of the embedder's whose session was never defined is rejected; the rejection is for nobody here, and touches nothing, wherever the session's place would be. */
static void a_rejection_for_a_session_beyond_the_limit_touches_nothing(void)
{
    house_t *house = simple_house(64);
    uint64_t reject_count = 0;
    for (uint32_t session = standard_limits.session_count_max + 1; session <= UINT16_MAX; session += session < 2000 ? 1 : 1009)
    {
        ome_command_t command = limit_order(OME_SIDE_BUY, 10, 1, 1);
        command.session = (uint16_t)session;
        submit(house, &command);
        work(house);
        reject_count++;
    }
    check_silence(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), reject_count);
    house_free(house);
}

int main(void)
{
    seed = test_seed(17);
    RUN(frames_of_up_to_256_commands_are_good);
    RUN(a_frame_of_257_commands_is_too_long);
    RUN(every_fault_of_a_message_is_named);
    RUN(every_truncation_is_named);
    RUN(the_first_fault_is_the_one_that_is_told);
    RUN(a_logon_logout_or_heartbeat_is_alone_in_its_frame);
    RUN(the_messages_of_a_command_are_in_one_frame);
    RUN(any_bytes_get_a_verdict);
    RUN(a_frame_reject_is_told_byte_for_byte);
    RUN(the_session_table_agrees_with_a_list);
    RUN(a_session_is_taken_over_by_another_connection);
    RUN(an_unknown_connection_is_refused);
    RUN(a_stopped_engine_refuses_commands);
    RUN(a_bad_frame_is_refused_whole);
    RUN(the_server_stamps_what_is_its_own);
    RUN(a_logon_is_handed_to_the_caller_before_what_follows);
    RUN(a_closed_socket_ends_the_loop);
    RUN(reports_say_what_is_open_and_what_has_traded);
    RUN(clients_know_from_reports_what_the_engine_knows);
    RUN(an_amend_that_crosses_is_reported_step_by_step);
    RUN(a_sweep_larger_than_a_turn_is_reported_whole);
    RUN(special_orders_are_reported_with_all_that_is_open);
    RUN(a_gateway_takes_over_orders_at_rest);
    RUN(reports_for_nobody_are_counted_and_leave_a_gap);
    RUN(a_slow_peer_loses_its_session_and_hurts_nobody);
    RUN(a_full_ring_is_busy_and_loses_nothing);
    RUN(a_frame_is_cut_between_commands);
    RUN(an_incomplete_command_never_reaches_the_engine);
    RUN(no_command_comes_between_the_records_of_another);
    RUN(a_busy_session_does_not_hold_up_another);
    RUN(a_session_without_a_command_is_not_defined);
    RUN(the_definition_comes_right_before_the_first_command);
    RUN(a_full_ring_is_busy_at_the_definition);
    RUN(a_session_that_is_refused_is_ended);
    RUN(a_connection_that_is_gone_has_no_session);
    RUN(the_caller_ends_a_connection);
    RUN(a_heartbeat_is_answered);
    RUN(who_hears_nothing_is_sent_a_heartbeat);
    RUN(who_says_nothing_is_ended);
    RUN(time_in_which_the_venue_did_not_run_is_nobodys_silence);
    RUN(noise_is_read_more_slowly);
    RUN(every_command_is_refused_while_storage_is_scarce);
    RUN(new_orders_are_refused_while_storage_is_low_and_all_else_is_taken);
    RUN(a_full_ring_is_busy_while_storage_is_low);
    RUN(every_order_of_a_flood_is_refused_while_storage_is_low);
    RUN(nothing_is_reported_before_the_gate_opens);
    RUN(a_definition_comes_to_the_caller_in_its_place);
    RUN(clients_of_a_running_venue_get_every_answer);
    RUN(a_rejection_for_a_session_beyond_the_limit_touches_nothing);
    return 0;
}
