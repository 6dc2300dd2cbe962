#include "bench_sessions.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGE_SIZE_BYTES 64u
#define SILENCE_MS 10000u
/* From look to look another session comes first; prime, so that each does as often. */
#define FIRST_STEP 61u

/* All sessions of a run. */
typedef struct
{
    bench_zmq_t *const *sockets;
    const bench_wire_load_t *load;
    uint64_t frames_left;      /* that nobody has sent yet */
    uint64_t frames_on_way;    /* without all their answers */
    uint64_t *frame_counts;    /* sent, by session */
    uint32_t *answers_missing; /* of its last frame, by session */
} crowd_t;

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* A session never has more than one frame on its way, so there is room for it. */
static int send_next(crowd_t *crowd, uint32_t session)
{
    const uint32_t count = crowd->load->messages_per_frame;
    const uint8_t *data = crowd->load->messages + crowd->frame_counts[session] * count * MESSAGE_SIZE_BYTES;
    if (bench_zmq_send(crowd->sockets[session], NULL, 0, data, count * MESSAGE_SIZE_BYTES) != OME_OK)
    {
        return BENCH_WIRE_STOPPED;
    }
    crowd->frame_counts[session]++;
    crowd->answers_missing[session] = count;
    crowd->frames_left--;
    crowd->frames_on_way++;
    return BENCH_WIRE_OK;
}

static int take_answers(crowd_t *crowd, uint32_t session)
{
    bench_message_t message;
    ome_status_t status = OME_EMPTY;
    while ((status = bench_zmq_receive(crowd->sockets[session], &message)) == OME_OK)
    {
        const uint32_t count = message.data_size_bytes / crowd->load->answer_size_bytes;
        if (message.data_size_bytes % crowd->load->answer_size_bytes != 0 || count > crowd->answers_missing[session])
        {
            return BENCH_WIRE_STRANGE;
        }
        crowd->answers_missing[session] -= count;
        if (crowd->answers_missing[session] > 0)
        {
            continue;
        }
        crowd->frames_on_way--;
        const int outcome = crowd->frames_left > 0 ? send_next(crowd, session) : BENCH_WIRE_OK;
        if (outcome != BENCH_WIRE_OK)
        {
            return outcome;
        }
    }
    return status == OME_EMPTY ? BENCH_WIRE_OK : BENCH_WIRE_STOPPED;
}

static int run(crowd_t *crowd, uint32_t session_count, bool *is_ready, uint64_t *look_count)
{
    for (uint32_t session = 0; session < session_count; session++)
    {
        const int outcome = send_next(crowd, session);
        if (outcome != BENCH_WIRE_OK)
        {
            return outcome;
        }
    }
    while (crowd->frames_on_way > 0)
    {
        const ome_status_t status = bench_zmq_wait_any(crowd->sockets, session_count, SILENCE_MS, is_ready);
        if (status != OME_OK)
        {
            return status == OME_EMPTY ? BENCH_WIRE_SILENT : BENCH_WIRE_STOPPED;
        }
        const uint64_t first = ++*look_count * FIRST_STEP;
        for (uint32_t i = 0; i < session_count; i++)
        {
            const uint32_t session = (uint32_t)((first + i) % session_count);
            const int outcome = is_ready[session] ? take_answers(crowd, session) : BENCH_WIRE_OK;
            if (outcome != BENCH_WIRE_OK)
            {
                return outcome;
            }
        }
    }
    return BENCH_WIRE_OK;
}

int bench_sessions_load(bench_zmq_t *const *sockets, uint32_t session_count, const bench_wire_load_t *load, uint64_t frame_count,
    uint64_t *frame_counts, bench_sessions_result_t *result)
{
    memset(frame_counts, 0, session_count * sizeof(frame_counts[0]));
    crowd_t crowd = {.sockets = sockets,
        .load = load,
        .frames_left = frame_count,
        .frame_counts = frame_counts,
        .answers_missing = calloc(session_count, sizeof(uint32_t))};
    bool *is_ready = calloc(session_count, sizeof(bool));
    int outcome = BENCH_WIRE_NO_MEMORY;
    result->look_count = 0;
    if (crowd.answers_missing != NULL && is_ready != NULL)
    {
        const uint64_t start_ns = now_ns();
        outcome = run(&crowd, session_count, is_ready, &result->look_count);
        result->elapsed_ns = now_ns() - start_ns;
    }
    free(crowd.answers_missing);
    free(is_ready);
    return outcome;
}
