/* A listening socket and its connections, each a ZMTP peer (ome_zmtp.h): the server's end of order entry and of market
 * data.
 *
 *     accept -> read -> ome_zmtp_next -> receive()            send() -> queue of the connection -> write
 *
 * With keys, ome_curve_next and ome_curve_seal take part: only clients that prove to have an admitted key come as far as receive(). Messages
 * are the same then.
 *
 * What a peer can cost is bounded, in bytes and in number:
 *   connections   at most `connection_count_max`. When all are taken, a new one takes the place of the one that has waited longest without
 *                 being admitted; if all are admitted, the new one is closed at once. A connection that is not admitted within
 *                 HANDSHAKE_MS (no READY) or ADMISSION_MS is closed.
 *   input         the listener reads no more than the caller takes, except one buffer for all. A connection holds the beginning of one
 *                 frame, so at most `part_size_max_bytes`; while it is paused, also the bytes that were read before: READ_SIZE more.
 *                 Before it is admitted a connection gets a few frames and commands in each tick, and all such connections together
 *                 a few more.
 *   output        while `queue_size_max_bytes` wait for a connection, it gets nothing more; all have `pool_size_bytes` together, input
 *                 included. When the pool is used up, the listener closes the connection that holds most, of those that have not
 *                 read for a while, or else of those that hold more than twice what is needed; if there is none, it refuses the
 *                 message.
 *   handshakes    with keys, each step of a handshake costs some 50 us: all connections together get a few in each tick. Those that had to
 *                 wait get the next ones in the order in which they came, and newcomers no more than half.
 *   commands      PINGs, subscriptions: a limited number in each tick, then the connection waits for the next tick.
 * A connection whose peer has vanished ends by TCP keepalive, or when nothing was acknowledged for DEAD_MS.
 *
 * One thread, one epoll. Memory is reserved when it is made. It closes everything but the listening descriptor, which
 * is the caller's. */
#ifndef OME_LISTENER_H
#define OME_LISTENER_H

#include "abi/ome_status.h"
#include "base/ome_counters.h"
#include "wire/ome_curve_config.h"
#include "wire/ome_socket.h"
#include "wire/ome_zmtp.h"

/* Written by the thread that uses the listener. */
typedef struct
{
    ome_counter_t *connections;  /* open now */
    ome_counter_t *accepted;
    ome_counter_t *refused;      /* closed because there was no room, or to make room, or because its key is no longer admitted */
    ome_counter_t *faults;       /* closed because of what they sent, or did not send in time */
    ome_counter_t *slow;         /* ended because they did not read */
    ome_counter_t *pauses;       /* times that nothing was read from a connection for a while, because it sent too much */
    ome_counter_t *queued_bytes; /* in the pool now */
} ome_listener_counters_t;

typedef struct
{
    ome_zmtp_role_t role;
    int listen_fd; /* bound, listening, non-blocking */
    uint32_t connection_count_max;
    uint32_t part_size_max_bytes;
    uint32_t queue_size_max_bytes; /* with so much waiting, nothing more is put behind it */
    uint64_t pool_size_bytes;
    uint64_t (*clock_ns)(void); /* monotonic; NULL: the system's */
    ome_listener_counters_t counters;
    const ome_curve_config_t *curve; /* NULL: without keys. It is copied. At first no key is admitted */
} ome_listener_config_t;

typedef struct ome_listener ome_listener_t;

/* OME_OK; OME_INVALID; OME_NO_MEMORY; OME_IO_ERROR: errno. */
ome_status_t ome_listener_create(const ome_listener_config_t *config, ome_listener_t **listener);

/* Sends what waits and closes all connections; waits up to `linger_ms` for the peers to have read it and closed. */
void ome_listener_destroy(ome_listener_t *listener, uint32_t linger_ms);

/* In a child of fork: closes its copies of the descriptors, which are the parent's to serve, and does nothing else. The
 * listener is not to be used there. */
void ome_listener_abandon(const ome_listener_t *listener);

uint32_t ome_listener_connection_count_max(const ome_listener_t *listener);

/* From any thread: admits these keys and no others, from the thread's next turn on. A connection whose key is no longer admitted, or has
 * another id now, ends within half a second: receive() gives OME_SOCKET_GONE. `keys` are in strictly increasing order of the bytes of the public
 * key, with ids from 1. OME_OK; OME_INVALID: they are not, or are too many, or the listener has no keys: nothing has changed. */
ome_status_t ome_listener_admit_keys(ome_listener_t *listener, const ome_curve_key_t *keys, uint32_t count);

/* As ome_socket_t.key. */
uint32_t ome_listener_key(const ome_listener_t *listener, uint64_t peer);

/* The descriptor of a peer's connection, which stays the listener's; -1: the peer is gone. */
int ome_listener_descriptor(const ome_listener_t *listener, uint64_t peer);

/* The table of functions over it. */
const ome_socket_t *ome_listener_socket(ome_listener_t *listener);

#endif
