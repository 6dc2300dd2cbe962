/* The functions of a socket that the gateway's and the feed's loops use, as a table.
 *
 * A listener implements it (ome_listener.h), or a test. No function blocks except `wait`. One thread uses a socket.
 *
 * A peer is a connection: a number that is never used again, whose low 32 bits are a slot, from 1 to the most
 * connections there may be. */
#ifndef OME_SOCKET_H
#define OME_SOCKET_H

#include <stdint.h>

#include "abi/ome_choices.h"
#include "abi/ome_status.h"

typedef enum
{
    OME_SOCKET_PART,      /* a part of a message */
    OME_SOCKET_SUBSCRIBE, /* `data` is a prefix of topics */
    OME_SOCKET_CANCEL,    /* a prefix that is no longer wanted */
    OME_SOCKET_GONE       /* the peer is gone; nothing more comes from it */
} ome_socket_kind_t;

typedef struct
{
    uint64_t peer;
    const uint8_t *data;
    uint32_t data_size_bytes;
    ome_socket_kind_t kind;
} ome_socket_message_t;

typedef struct ome_socket
{
    void *context; /* handed to every function */

    /* What came next; it stays where it is until the next call. OME_OK; OME_EMPTY; OME_STOPPED: the socket is closed. */
    ome_status_t (*receive)(void *context, ome_socket_message_t *message);

    /* Sends one message of one part. OME_OK; OME_FULL: the peer does not read fast enough; OME_NOT_FOUND: the peer is gone, or ends. */
    ome_status_t (*send)(void *context, uint64_t peer, const uint8_t *data, uint32_t data_size_bytes);

    /* Bytes that wait for a peer to read them; 0 where it is gone. */
    uint32_t (*queued)(void *context, uint64_t peer);

    /* The peer is somebody: from now on it may send as fast as it is read, and stay for as long as it likes. Or it is nobody again
     * (`is_admitted` 0), as at first. OME_OK; OME_NOT_FOUND: it is gone. */
    ome_status_t (*admit)(void *context, uint64_t peer, int is_admitted);

    /* Nothing more is read from the peer for so long. */
    void (*pause)(void *context, uint64_t peer, uint32_t duration_ms);

    /* The id of the key with which the peer has proved who it is (ome_curve_config.h); 0: it has none, because the socket is one without
     * keys, or it is gone. */
    uint32_t (*key)(void *context, uint64_t peer);

    /* A last message of one part, or none (`data` NULL), also to a peer that does not read fast enough. Nothing more is taken from it;
     * what waits is sent, as far as it reads, and then the connection ends. No OME_SOCKET_GONE comes. */
    void (*end)(void *context, uint64_t peer, const uint8_t *data, uint32_t data_size_bytes);

    /* Sleeps until something may have been received, `event_fd` is readable, or the time is over. `event_fd` is read empty. OME_OK; OME_STOPPED. */
    ome_status_t (*wait)(void *context, int event_fd, uint32_t timeout_ms);
} ome_socket_t;

#endif
