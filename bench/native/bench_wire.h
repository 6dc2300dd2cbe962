/* The loops of the wire's figures, for Python to call on sockets that pyzmq made: a client that sends frames and takes the answers, and a bare ROUTER that drops what it
 * gets and answers as often as a venue would. One thread a socket. All return 0, or what went wrong. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdint.h>

#include "bench_zmq.h"

typedef enum
{
    BENCH_WIRE_OK,
    BENCH_WIRE_SILENT, /* nothing came for 10 seconds */
    BENCH_WIRE_STRANGE, /* a frame that is no whole number of answers, or too many of them */
    BENCH_WIRE_STOPPED, /* the socket is closed, or the peer is gone */
    BENCH_WIRE_NO_MEMORY
} bench_wire_outcome_t;

/* What a client sends and expects. */
typedef struct
{
    const uint8_t *messages; /* 64 bytes each */
    uint64_t message_count;
    const uint64_t *answers_after; /* message_count + 1: how many answers the first n messages have */
    uint64_t window_message_count; /* at most so many messages are without their answers */
    uint32_t messages_per_frame;
    uint32_t answer_size_bytes;
} bench_wire_load_t;

typedef struct
{
    uint64_t elapsed_ns; /* from the first send to the last answer */
    uint64_t answer_frame_count;
    uint64_t refused_count; /* messages that the server was too busy to take, and that were sent again */
} bench_wire_result_t;

int bench_wire_load(bench_zmq_t *socket, const bench_wire_load_t *load, bench_wire_result_t *result);

/* Sends one message at a time and waits for one answer; `round_trips_ns` holds message_count. */
int bench_wire_round_trips(bench_zmq_t *socket, const bench_wire_load_t *load, uint64_t *round_trips_ns);

/* Sends the first frame back, then takes `frame_count` frames and spreads `answer_count` answers over them, `answers_per_frame` (1 to 1024) a frame; the rest
 * follows the last frame. */
int bench_wire_answer(
    bench_zmq_t *socket, uint64_t frame_count, uint64_t answer_count, uint32_t answers_per_frame, uint32_t answer_size_bytes);

const char *bench_wire_compiler(void);

#endif
