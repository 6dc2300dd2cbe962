/* libzmq's functions on sockets that pyzmq made, for the loops of the wire's figures: looked up in the library that pyzmq has loaded. One thread uses a socket. */
#ifndef BENCH_ZMQ_H
#define BENCH_ZMQ_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_status.h"

typedef struct
{
    const uint8_t *peer; /* a ROUTER's routing id; NULL on other sockets */
    const uint8_t *data; /* one part */
    uint32_t peer_size_bytes;
    uint32_t data_size_bytes;
} bench_message_t;

typedef struct bench_zmq bench_zmq_t;

/* On an open socket, which outlives it; `path` is the library's, `version` major * 10000 + minor * 100 + patch. NULL: it is not loaded, is another version, or there is no memory. */
bench_zmq_t *bench_zmq_open(const char *path, int version, void *handle, int has_peers);
void bench_zmq_close(bench_zmq_t *socket);

/* The next part that a peer sent; it stays where it is until the next call. OME_OK; OME_EMPTY; OME_STOPPED: the socket is closed. */
ome_status_t bench_zmq_receive(bench_zmq_t *socket, bench_message_t *message);

/* Sends one part. OME_OK; OME_FULL; OME_NOT_FOUND: the peer is gone; OME_STOPPED. */
ome_status_t bench_zmq_send(
    bench_zmq_t *socket, const uint8_t *peer, uint32_t peer_size_bytes, const uint8_t *data, uint32_t data_size_bytes);

/* Sleeps until something may have been received, or the time is over. OME_OK; OME_STOPPED. */
ome_status_t bench_zmq_wait(bench_zmq_t *socket, uint32_t timeout_ms);

/* Sleeps until at least one of them may have received something; `is_ready` tells which. OME_OK; OME_EMPTY: the time is over; OME_STOPPED, also where there are more
 * than BENCH_ZMQ_SOCKET_COUNT_MAX. */
#define BENCH_ZMQ_SOCKET_COUNT_MAX 256u
ome_status_t bench_zmq_wait_any(bench_zmq_t *const *sockets, uint32_t count, uint32_t timeout_ms, bool *is_ready);

#endif
