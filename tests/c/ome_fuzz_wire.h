/* Spoiled ZMTP streams given to the codec and, over a connection, to a listener: what the listener hands to its caller
 * is what the codec makes of the whole, however the bytes were cut on the way, and when the connection is gone nothing
 * is left of it. */
#ifndef OME_FUZZ_WIRE_H
#define OME_FUZZ_WIRE_H

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ome_test_zmtp.h"
#include "wire/ome_listener.h"

#define WIRE_PART_SIZE_MAX 16384u
#define WIRE_TICK_NS UINT64_C(10000000)

typedef struct
{
    ome_listener_t *listener;
    const ome_socket_t *socket;
    struct sockaddr_un address;
    ome_counter_t counters[7];
} wire_t;

/* What is left of the stream for the codec, and what it is of. */
typedef struct
{
    const uint8_t *bytes;
    uint32_t size_bytes;
    uint32_t at;
    ome_zmtp_role_t role;
    ome_zmtp_stage_t stage;
    bool has_fault;
} wire_stream_t;

static uint64_t wire_time_ns = UINT64_C(1000000000000);

static uint64_t wire_clock(void)
{
    return wire_time_ns;
}

/* One for each role, for all inputs. */
static wire_t *wire_of(ome_zmtp_role_t role)
{
    static wire_t wires[2];
    wire_t *wire = &wires[role];
    if (wire->listener != NULL)
    {
        return wire;
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    wire->address.sun_family = AF_UNIX; /* in the abstract name space: no file */
    (void)snprintf(wire->address.sun_path + 1, sizeof(wire->address.sun_path) - 1, "ome-fuzz-%d-%d", getpid(), (int)role);
    CHECK(fd >= 0);
    CHECK_EQUAL(bind(fd, (const struct sockaddr *)&wire->address, sizeof(wire->address)), 0);
    CHECK_EQUAL(listen(fd, 8), 0);
    const ome_listener_config_t config = {.role = role,
        .listen_fd = fd,
        .connection_count_max = 2,
        .part_size_max_bytes = WIRE_PART_SIZE_MAX,
        .queue_size_max_bytes = 65536,
        .pool_size_bytes = UINT64_C(1) << 20,
        .clock_ns = wire_clock,
        .counters = {.connections = &wire->counters[0],
            .accepted = &wire->counters[1],
            .refused = &wire->counters[2],
            .faults = &wire->counters[3],
            .slow = &wire->counters[4],
            .pauses = &wire->counters[5],
            .queued_bytes = &wire->counters[6]}};
    CHECK_EQUAL(ome_listener_create(&config, &wire->listener), OME_OK);
    wire->socket = ome_listener_socket(wire->listener);
    return wire;
}

/* The codec's next item for the caller. False at the end of the stream, or at a fault. */
static bool wire_next_expected(wire_stream_t *stream, ome_zmtp_item_t *item)
{
    while (!stream->has_fault)
    {
        ome_zmtp_next(&stream->stage, stream->role, WIRE_PART_SIZE_MAX, stream->bytes + stream->at, stream->size_bytes - stream->at, item);
        stream->at += item->consumed_bytes;
        stream->has_fault = item->kind == OME_ZMTP_FAULT;
        if (item->kind == OME_ZMTP_MORE)
        {
            CHECK_EQUAL(item->consumed_bytes, 0);
            CHECK(item->needed > stream->size_bytes - stream->at);
            return false;
        }
        CHECK(item->consumed_bytes > 0 || stream->has_fault);
        if (item->kind == OME_ZMTP_PART || item->kind == OME_ZMTP_SUBSCRIBE || item->kind == OME_ZMTP_CANCEL)
        {
            return true;
        }
    }
    return false;
}

static void wire_check_message(wire_stream_t *stream, const ome_socket_message_t *message)
{
    ome_zmtp_item_t item;
    CHECK(wire_next_expected(stream, &item));
    CHECK_EQUAL(message->kind, item.kind == OME_ZMTP_PART     ? OME_SOCKET_PART
                               : item.kind == OME_ZMTP_CANCEL ? OME_SOCKET_CANCEL
                                                              : OME_SOCKET_SUBSCRIBE);
    CHECK_EQUAL(message->data_size_bytes, item.data_size_bytes);
    CHECK_BYTES_EQUAL(message->data, item.data, item.data_size_bytes);
}

/* Sends the stream in pieces, lets the listener work, and looks at each message. Returns whether the stream had no fault. */
static bool wire_read_stream(const uint8_t *bytes, uint32_t size_bytes, ome_zmtp_role_t role)
{
    wire_t *wire = wire_of(role);
    const ome_socket_t *table = wire->socket;
    wire_stream_t stream = {.bytes = bytes, .size_bytes = size_bytes, .role = role};
    static uint8_t answers[65536];
    uint64_t random = size_bytes;
    uint64_t peer = 0;
    uint32_t sent_bytes = 0;
    uint32_t idle_count = 0;
    bool is_gone = false;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(connect(fd, (const struct sockaddr *)&wire->address, sizeof(wire->address)), 0);
    while (idle_count < 3 || sent_bytes < size_bytes)
    {
        const uint32_t left_bytes = size_bytes - sent_bytes;
        const uint32_t piece_bytes = 1 + (uint32_t)(test_random(&random) % (left_bytes < 200 || test_random(&random) % 2 == 0 ? 20 : 5000));
        const ssize_t sent =
            left_bytes == 0 ? 0 : send(fd, bytes + sent_bytes, piece_bytes < left_bytes ? piece_bytes : left_bytes, MSG_NOSIGNAL);
        CHECK(sent >= 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
        if (sent < 0 && errno != EAGAIN)
        {
            break; /* it was closed */
        }
        sent_bytes += sent > 0 ? (uint32_t)sent : 0;
        (void)recv(fd, answers, sizeof(answers), 0);
        ome_socket_message_t message;
        const uint64_t pauses_before = ome_counter_get(&wire->counters[5]);
        const ome_status_t status = table->receive(table->context, &message);
        const bool is_idle = status == OME_EMPTY && sent <= 0 && ome_counter_get(&wire->counters[5]) == pauses_before;
        idle_count = is_idle ? idle_count + 1 : 0;
        if (status == OME_OK && message.kind == OME_SOCKET_GONE)
        {
            CHECK(!is_gone);
            CHECK_EQUAL(message.peer, peer);
            is_gone = true;
        }
        else if (status == OME_OK)
        {
            wire_check_message(&stream, &message);
            CHECK(peer == 0 || message.peer == peer);
            peer = message.peer;
            CHECK_EQUAL(table->admit(table->context, peer, 1), OME_OK);
        }
        wire_time_ns += WIRE_TICK_NS;
    }
    /* What the codec still has is what the listener has not handed out because it closed before: only a stranger, that was late. */
    const bool was_closed = ome_counter_get(&wire->counters[0]) == 0;
    CHECK_EQUAL(close(fd), 0);
    while (ome_counter_get(&wire->counters[0]) > 0)
    {
        ome_socket_message_t message;
        const ome_status_t status = table->receive(table->context, &message);
        if (status == OME_OK && message.kind != OME_SOCKET_GONE)
        {
            wire_check_message(&stream, &message);
            peer = message.peer;
            CHECK_EQUAL(table->admit(table->context, peer, 1), OME_OK);
        }
        is_gone = is_gone || (status == OME_OK && message.kind == OME_SOCKET_GONE);
        wire_time_ns += WIRE_TICK_NS;
    }
    ome_socket_message_t message;
    if (table->receive(table->context, &message) == OME_OK)
    {
        CHECK_EQUAL(message.kind, OME_SOCKET_GONE);
        CHECK_EQUAL(message.peer, peer);
        CHECK(!is_gone);
        is_gone = true;
    }
    CHECK_EQUAL(is_gone, peer != 0);
    CHECK_EQUAL(table->receive(table->context, &message), OME_EMPTY);
    CHECK_EQUAL(ome_counter_get(&wire->counters[6]), 0);
    CHECK_EQUAL(ome_counter_get(&wire->counters[4]), 0);
    ome_zmtp_item_t item;
    const bool has_more = wire_next_expected(&stream, &item);
    CHECK(!has_more || (was_closed && peer == 0));
    return !stream.has_fault && !has_more;
}

/* A good stream of either role: a handshake, and frames and commands of many sizes. Returns its size. */
static size_t wire_original(uint64_t seed, ome_zmtp_role_t role, uint8_t *to)
{
    static bytes_t bytes;
    static uint8_t noise[4000];
    uint64_t random = seed;
    bytes.size_bytes = 0;
    for (uint32_t i = 0; i < sizeof(noise); i++)
    {
        noise[i] = (uint8_t)test_random(&random);
    }
    put_hello(&bytes, role == OME_ZMTP_ROUTER ? "DEALER" : "SUB");
    while (bytes.size_bytes < 12000)
    {
        const uint32_t size_bytes = (uint32_t)(test_random(&random) % (test_random(&random) % 6 == 0 ? sizeof(noise) : 100));
        const uint64_t choice = test_random(&random) % 8;
        if (choice == 0)
        {
            put_command(&bytes, "PING", noise, 2 + size_bytes % 17);
        }
        else if (choice == 1)
        {
            put_command(&bytes, "OTHER", noise, size_bytes % 900);
        }
        else if (role == OME_ZMTP_ROUTER)
        {
            put_frame(&bytes, choice < 4 ? FRAME_MORE : 0, noise, size_bytes);
        }
        else if (choice < 5)
        {
            put_command(&bytes, choice == 2 ? "CANCEL" : "SUBSCRIBE", noise, size_bytes % 900);
        }
        else
        {
            noise[0] = (uint8_t)(choice % 2);
            put_frame(&bytes, 0, noise, 1 + size_bytes);
        }
    }
    memcpy(to, bytes.data, bytes.size_bytes);
    return bytes.size_bytes;
}

#endif
