/* A client with many sessions, each a connection of its own, for Python to call: all of them always have a frame on its way. */
#ifndef BENCH_SESSIONS_H
#define BENCH_SESSIONS_H

#include <stdint.h>

#include "bench_wire.h"
#include "bench_zmq.h"

typedef struct
{
    uint64_t elapsed_ns; /* from the first send to the last answer */
    uint64_t look_count; /* how often it looked which sessions have answers */
} bench_sessions_result_t;

/* Each session sends the next frame of `load`, from the first on, when the last one has all its answers, one a message. All send the same messages; together
 * they send `frame_count` frames, at least one each, and `frame_counts` gets how many of them were of each session. Sessions are served as their answers come, each
 * look beginning with another: the server decides whose turn it is, as long as a look finds but some with answers. Returns 0, or what went wrong. */
int bench_sessions_load(bench_zmq_t *const *sockets, uint32_t session_count, const bench_wire_load_t *load, uint64_t frame_count,
    uint64_t *frame_counts, bench_sessions_result_t *result);

#endif
