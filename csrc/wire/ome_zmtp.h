/* ZMTP 3.1 (rfc.zeromq.org/spec/37), the server's side, without encryption: how the bytes of a connection are read. What the
 * encrypted one (ome_curve.h) shares with it is here too.
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
#define OME_ZMTP_AS_SERVER_AT 32u /* in a greeting: whether who sends it is the server of a mechanism with keys */
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

/* Our greeting and our READY, to be sent before anything else, without encryption. Returns their size. */
uint32_t ome_zmtp_hello(ome_zmtp_role_t role, uint8_t hello[OME_ZMTP_HELLO_SIZE_MAX]);

/* The header of a part of `size_bytes` bytes, the last of its message. Returns the header's size. */
uint32_t ome_zmtp_part_header(uint32_t size_bytes, uint8_t header[OME_ZMTP_HEADER_SIZE_MAX]);

#define OME_ZMTP_PONG_SIZE_MAX (5u + OME_ZMTP_PING_CONTEXT_SIZE_MAX)

/* The command that answers a PING, without its header. Returns its size. */
uint32_t ome_zmtp_pong(const uint8_t *ping, uint32_t ping_size_bytes, uint8_t pong[OME_ZMTP_PONG_SIZE_MAX]);

/* ---- Parts of the above, for a mechanism with keys (ome_curve.h) ---- */

typedef struct
{
    uint32_t header_size_bytes;
    uint32_t body_size_bytes;
    bool is_command;
    bool has_more;
} ome_zmtp_frame_t;

typedef struct
{
    const char *parts_fault; /* of a frame that is no command; NULL: it may be one */
    uint32_t part_size_max_bytes;
    uint32_t command_size_max_bytes;
} ome_zmtp_frame_limits_t;

/* The peer's greeting, with that mechanism; moves `stage` on. The item is MORE, GREETED or FAULT. */
void ome_zmtp_take_greeting(
    ome_zmtp_stage_t *stage, const char *mechanism, const uint8_t *data, uint32_t size_bytes, ome_zmtp_item_t *item);

/* The frame at the beginning of at least one byte. True when it is complete: then its bytes are counted as consumed. Otherwise the item
 * is MORE or FAULT. */
bool ome_zmtp_take_frame(
    const ome_zmtp_frame_limits_t *limits, const uint8_t *data, uint32_t size_bytes, ome_zmtp_frame_t *frame, ome_zmtp_item_t *item);

/* What the body of a frame means after the handshake. */
void ome_zmtp_take_body(
    ome_zmtp_role_t role, bool is_command, bool has_more, const uint8_t *body, uint32_t size_bytes, ome_zmtp_item_t *item);

/* Whether the properties are complete and name a socket that may be our client. */
bool ome_zmtp_is_metadata_good(ome_zmtp_role_t role, const uint8_t *metadata, uint32_t size_bytes);

/* Our greeting: a server's end of that mechanism, or NULL's, which knows no servers. */
void ome_zmtp_greeting(const char *mechanism, bool is_server, uint8_t greeting[OME_ZMTP_GREETING_SIZE]);

#define OME_ZMTP_METADATA_SIZE_MAX 48u

/* Our properties. Returns their size. */
uint32_t ome_zmtp_metadata(ome_zmtp_role_t role, uint8_t metadata[OME_ZMTP_METADATA_SIZE_MAX]);

/* The header of a command of `size_bytes` bytes. Returns the header's size. */
uint32_t ome_zmtp_command_header(uint32_t size_bytes, uint8_t header[OME_ZMTP_HEADER_SIZE_MAX]);

#endif
