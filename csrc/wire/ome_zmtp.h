/* ZMTP 3.1 (rfc.zeromq.org/spec/37), the server's side, without encryption: how the bytes of a connection are read.
 *
 *     greeting (64 bytes) -> READY command -> messages and commands
 *
 * It has no state except the stage, no memory, no input or output: the caller has the bytes, asks for the next item,
 * and gets it when it is complete. Nothing that a peer sends is stored here, so nothing can grow. A peer's routing id
 * is ignored: the listener distinguishes connections. Each part of a message of several parts is an item of its own.
 *
 * A client may be any ZMTP 3.x implementation with the NULL mechanism, such as libzmq 4. Earlier versions, other
 * mechanisms and other socket types are refused. */
#ifndef OME_ZMTP_H
#define OME_ZMTP_H

#include <stdbool.h>
#include <stdint.h>

#define OME_ZMTP_GREETING_SIZE 64u
#define OME_ZMTP_HEADER_SIZE_MAX 9u
#define OME_ZMTP_COMMAND_SIZE_MAX 1024u /* READY with all its properties; others are shorter */
#define OME_ZMTP_PING_CONTEXT_SIZE_MAX 16u

typedef enum
{
    OME_ZMTP_ROUTER, /* its clients are DEALER, REQ or ROUTER */
    OME_ZMTP_XPUB    /* its clients are SUB or XSUB */
} ome_zmtp_role_t;

typedef enum
{
    OME_ZMTP_STAGE_GREETING,
    OME_ZMTP_STAGE_READY, /* the greeting is complete, READY is not */
    OME_ZMTP_STAGE_TRAFFIC
} ome_zmtp_stage_t;

typedef enum
{
    OME_ZMTP_MORE,       /* the next item needs `needed` bytes from where it starts, or at least so many */
    OME_ZMTP_GREETED,    /* the peer's greeting is good */
    OME_ZMTP_CONNECTED,  /* its READY is good */
    OME_ZMTP_PART,       /* `data`: a part of a message; only from a ROUTER's clients */
    OME_ZMTP_SUBSCRIBE,  /* `data`: a prefix of topics */
    OME_ZMTP_CANCEL,     /* the same, that is no longer wanted */
    OME_ZMTP_PING,       /* `data`: what the answer repeats */
    OME_ZMTP_NOTHING,    /* a command without consequence */
    OME_ZMTP_FAULT       /* not ZMTP, or not what we take: `fault` says what; end the connection */
} ome_zmtp_kind_t;

typedef struct
{
    ome_zmtp_kind_t kind;
    uint32_t consumed_bytes; /* of what was given */
    uint32_t needed;
    uint32_t data_size_bytes;
    const uint8_t *data; /* inside what was given */
    const char *fault;   /* a constant */
} ome_zmtp_item_t;

/* What the next item of `size_bytes` bytes at `data` is; moves `stage` on. A part may have `part_size_max_bytes`. */
void ome_zmtp_next(ome_zmtp_stage_t *stage, ome_zmtp_role_t role, uint32_t part_size_max_bytes, const uint8_t *data, uint32_t size_bytes,
    ome_zmtp_item_t *item);

#define OME_ZMTP_HELLO_SIZE_MAX 128u

/* Our greeting and our READY, to be sent before anything else. Returns their size. */
uint32_t ome_zmtp_hello(ome_zmtp_role_t role, uint8_t hello[OME_ZMTP_HELLO_SIZE_MAX]);

/* The header of a part of `size_bytes` bytes, the last of its message. Returns the header's size. */
uint32_t ome_zmtp_part_header(uint32_t size_bytes, uint8_t header[OME_ZMTP_HEADER_SIZE_MAX]);

#define OME_ZMTP_PONG_SIZE_MAX (7u + OME_ZMTP_PING_CONTEXT_SIZE_MAX)

/* The answer to a PING. Returns its size. */
uint32_t ome_zmtp_pong(const uint8_t *ping, uint32_t ping_size_bytes, uint8_t pong[OME_ZMTP_PONG_SIZE_MAX]);

#endif
