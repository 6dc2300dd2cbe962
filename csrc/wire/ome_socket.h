/* What the gateway's and the feed's loops need of a socket: a table of functions.
 *
 * Two implementations: libzmq's own functions (ome_zmq.h), and the fallback, whose functions are Python's and call pyzmq. The loops cannot tell
 * which they have. None of the functions blocks but `wait`. One thread uses a socket. */
#ifndef OME_SOCKET_H
#define OME_SOCKET_H

#include <stdint.h>

#include "abi/ome_status.h"

typedef struct ome_socket_message
{
    const uint8_t *peer; /* a ROUTER's routing id; NULL on other sockets */
    const uint8_t *data; /* one part */
    uint32_t peer_size_bytes;
    uint32_t data_size_bytes;
} ome_socket_message_t;

typedef struct ome_socket
{
    void *context; /* handed to every function */

    /* The next part that a peer sent; it stays where it is until the next call. OME_OK; OME_EMPTY; OME_STOPPED: the socket is closed. */
    ome_status_t (*receive)(void *context, ome_socket_message_t *message);

    /* Sends one part, to `peer` where the socket has peers (peer_size_bytes is not 0). OME_OK; OME_FULL: the peer does not read fast enough; OME_NOT_FOUND: the peer is gone;
     * OME_STOPPED: the socket is closed. */
    ome_status_t (*send)(void *context, const uint8_t *peer, uint32_t peer_size_bytes, const uint8_t *data, uint32_t data_size_bytes);

    /* Sleeps until something may have been received, `event_fd` is readable, or the time is over. `event_fd` is read empty. OME_OK; OME_STOPPED. */
    ome_status_t (*wait)(void *context, int event_fd, uint32_t timeout_ms);
} ome_socket_t;

#endif
