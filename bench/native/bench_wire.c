#include "bench_wire.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "abi/ome_records.h"

#define MESSAGE_SIZE_BYTES 64u
#define SEND_FRAME_COUNT 16u /* in a row before looking for answers */
#define ANSWER_COUNT_MAX 1024u
#define ANSWER_SIZE_MAX_BYTES 128u
#define SILENCE_MS 10000u
#define BUSY_PAUSE_NS 1000000

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The next frame; waits for it. */
static int receive(bench_zmq_t *socket, bench_message_t *message)
{
    const uint64_t start_ns = now_ns();
    ome_status_t status = OME_EMPTY;
    while ((status = bench_zmq_receive(socket, message)) == OME_EMPTY)
    {
        if (now_ns() - start_ns > SILENCE_MS * UINT64_C(1000000))
        {
            return BENCH_WIRE_SILENT;
        }
        (void)bench_zmq_wait(socket, SILENCE_MS);
    }
    return status == OME_OK ? BENCH_WIRE_OK : BENCH_WIRE_STOPPED;
}

/* Sends one frame; where there is no room, tries again. */
static int send(bench_zmq_t *socket, const uint8_t *peer, uint32_t peer_size_bytes, const uint8_t *data, uint32_t data_size_bytes)
{
    ome_status_t status = OME_FULL;
    while ((status = bench_zmq_send(socket, peer, peer_size_bytes, data, data_size_bytes)) == OME_FULL)
    {
        (void)sched_yield();
    }
    return status == OME_OK ? BENCH_WIRE_OK : BENCH_WIRE_STOPPED;
}

/* ---- client ---- */

typedef struct
{
    bench_zmq_t *socket;
    const bench_wire_load_t *load;
    uint64_t sent_count;     /* messages */
    uint64_t answered_count; /* messages that have all their answers */
    uint64_t received_count; /* answers */
    uint64_t frame_count;    /* of answers */
    uint64_t refused_count;  /* messages refused because the server is busy, to be sent again */
    uint64_t refused_total;
} client_t;

/* Whether the frame says that the server is busy, or was when a frame before came. */
static int count_refusal(client_t *client, const bench_message_t *message)
{
    ome_message_header_t header;
    ome_frame_reject_t reject;
    if (message->data_size_bytes != sizeof(reject))
    {
        return 0;
    }
    memcpy(&header, message->data, sizeof(header));
    memcpy(&reject, message->data, sizeof(reject));
    const int is_for_now = reject.reason == OME_REASON_BUSY || reject.reason == OME_REASON_SEQUENCE_GAP;
    if (header.template_id != OME_TEMPLATE_FRAME_REJECT || !is_for_now)
    {
        return 0;
    }
    client->refused_count += reject.rejected_count;
    client->refused_total += reject.rejected_count;
    return 1;
}

/* A server that was busy refuses all that comes behind. When each message has its answers or was refused, what was refused is sent again. */
static void go_back(client_t *client)
{
    if (client->refused_count > 0 && client->answered_count + client->refused_count == client->sent_count)
    {
        client->sent_count = client->answered_count;
        client->refused_count = 0;
        (void)nanosleep(&(struct timespec){.tv_nsec = BUSY_PAUSE_NS}, NULL);
    }
}

static int count_frame(client_t *client, const bench_message_t *message)
{
    const bench_wire_load_t *load = client->load;
    if (count_refusal(client, message))
    {
        return BENCH_WIRE_OK;
    }
    client->frame_count++;
    client->received_count += message->data_size_bytes / load->answer_size_bytes;
    while (client->answered_count < client->sent_count && load->answers_after[client->answered_count + 1] <= client->received_count)
    {
        client->answered_count++;
    }
    const int is_strange =
        message->data_size_bytes % load->answer_size_bytes != 0 || client->received_count > load->answers_after[load->message_count];
    return is_strange ? BENCH_WIRE_STRANGE : BENCH_WIRE_OK;
}

/* Sends what the window allows, SEND_FRAME_COUNT frames at most; `*has_sent` tells whether it was any. */
static int send_some(client_t *client, int *has_sent)
{
    const bench_wire_load_t *load = client->load;
    *has_sent = 0;
    go_back(client);
    for (uint32_t i = 0; i < SEND_FRAME_COUNT && client->sent_count < load->message_count && client->refused_count == 0; i++)
    {
        const uint64_t left = load->message_count - client->sent_count;
        const uint32_t count = left < load->messages_per_frame ? (uint32_t)left : load->messages_per_frame;
        if (client->sent_count - client->answered_count + count > load->window_message_count)
        {
            break;
        }
        const uint8_t *data = load->messages + client->sent_count * MESSAGE_SIZE_BYTES;
        const int outcome = send(client->socket, NULL, 0, data, count * MESSAGE_SIZE_BYTES);
        if (outcome != BENCH_WIRE_OK)
        {
            return outcome;
        }
        client->sent_count += count;
        *has_sent = 1;
    }
    return BENCH_WIRE_OK;
}

/* Takes what has come; where nothing could be sent, waits for something first. */
static int take_some(client_t *client, int waits)
{
    bench_message_t message;
    int outcome = BENCH_WIRE_OK;
    if (waits)
    {
        outcome = receive(client->socket, &message);
        outcome = outcome == BENCH_WIRE_OK ? count_frame(client, &message) : outcome;
    }
    while (outcome == BENCH_WIRE_OK)
    {
        const ome_status_t status = bench_zmq_receive(client->socket, &message);
        if (status != OME_OK)
        {
            return status == OME_EMPTY ? BENCH_WIRE_OK : BENCH_WIRE_STOPPED;
        }
        outcome = count_frame(client, &message);
    }
    return outcome;
}

int bench_wire_load(bench_zmq_t *socket, const bench_wire_load_t *load, bench_wire_result_t *result)
{
    client_t client = {.socket = socket, .load = load};
    const uint64_t start_ns = now_ns();
    while (client.received_count < load->answers_after[load->message_count])
    {
        int has_sent = 0;
        int outcome = send_some(&client, &has_sent);
        if (outcome == BENCH_WIRE_OK)
        {
            outcome = take_some(&client, !has_sent);
        }
        if (outcome != BENCH_WIRE_OK)
        {
            return outcome;
        }
    }
    result->elapsed_ns = now_ns() - start_ns;
    result->answer_frame_count = client.frame_count;
    result->refused_count = client.refused_total;
    return BENCH_WIRE_OK;
}

int bench_wire_round_trips(bench_zmq_t *socket, const bench_wire_load_t *load, uint64_t *round_trips_ns)
{
    for (uint64_t i = 0; i < load->message_count; i++)
    {
        bench_message_t message = {0};
        const uint64_t start_ns = now_ns();
        int outcome = send(socket, NULL, 0, load->messages + i * MESSAGE_SIZE_BYTES, MESSAGE_SIZE_BYTES);
        if (outcome == BENCH_WIRE_OK)
        {
            outcome = receive(socket, &message);
        }
        if (outcome != BENCH_WIRE_OK)
        {
            return outcome;
        }
        round_trips_ns[i] = now_ns() - start_ns;
        if (message.data_size_bytes != load->answer_size_bytes)
        {
            return BENCH_WIRE_STRANGE;
        }
    }
    return BENCH_WIRE_OK;
}

/* ---- bare ROUTER ---- */

/* Answers that are due after `frame_index` frames; all after the last. */
static uint64_t due_after(uint64_t frame_index, uint64_t frame_count, uint64_t answer_count)
{
    return (uint64_t)((unsigned __int128)answer_count * frame_index / frame_count);
}

int bench_wire_answer(
    bench_zmq_t *socket, uint64_t frame_count, uint64_t answer_count, uint32_t answers_per_frame, uint32_t answer_size_bytes)
{
    static const uint8_t answers[ANSWER_COUNT_MAX * ANSWER_SIZE_MAX_BYTES];
    bench_message_t message;
    uint64_t sent_count = 0;
    int outcome = receive(socket, &message);
    if (outcome == BENCH_WIRE_OK)
    {
        outcome = send(socket, message.peer, message.peer_size_bytes, message.data, message.data_size_bytes);
    }
    for (uint64_t index = 1; index <= frame_count && outcome == BENCH_WIRE_OK; index++)
    {
        outcome = receive(socket, &message);
        const uint64_t due_count = due_after(index, frame_count, answer_count);
        while (outcome == BENCH_WIRE_OK && sent_count < due_count && (due_count - sent_count >= answers_per_frame || index == frame_count))
        {
            const uint64_t left = due_count - sent_count;
            const uint32_t count = left < answers_per_frame ? (uint32_t)left : answers_per_frame;
            outcome = send(socket, message.peer, message.peer_size_bytes, answers, count * answer_size_bytes);
            sent_count += count;
        }
    }
    return outcome;
}

const char *bench_wire_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}
