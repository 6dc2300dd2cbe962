/* CurveZMQ (rfc.zeromq.org/spec/26 and 25), the server's side: the handshake of a connection, and its messages, encrypted.
 *
 *     peer:    greeting   HELLO             INITIATE          MESSAGE ...
 *     server:  greeting           WELCOME           READY     MESSAGE ...
 *
 * Letters as in the specification: S, s are the server's public and secret key; C is the client's. S', s' and C' are made for this
 * connection only: who learns s later cannot read what was recorded.
 *
 *     OFFSET SIZE                OFFSET SIZE                   OFFSET SIZE
 *     HELLO, 200 bytes           INITIATE, 257 bytes or more   MESSAGE, 33 bytes or more
 *          0    6 "\5HELLO"          0    9 "\x08INITIATE"          0    8 "\7MESSAGE"
 *          6    2 version 1.0        9   96 cookie                 8    8 nonce
 *          8   72 zeros            105    8 nonce                 16      box of flags (1) and data
 *         80   32 C'               113      box (C' -> S') of      WELCOME, 168 bytes
 *        112    8 nonce                  32 C                      0    8 "\7WELCOME"
 *        120   80 box (C' -> S)          16 nonce of the vouch     8   16 nonce
 *                 of 64 zeros            80 vouch: box (C -> S')  24  144 box (S -> C') of S' and cookie
 *                                           of C' and S            READY, 30 bytes or more
 *                                           metadata              0    6 "\5READY"
 *                                                                 6    8 nonce
 *                                                                14      box (S' -> C') of metadata
 *
 * A state machine over bytes, like ome_zmtp.h: no input or output, no clock, no memory except the state of a connection. A command
 * that is wrong in any byte is a FAULT, and ends the connection. Only a client that has proved who it is, and is not admitted, gets
 * an answer: ERROR. A HELLO and an INITIATE each cost up to two multiplications of a point, some 25 us each; the caller limits how
 * many it takes. The nonces of a peer must increase, so nothing that was recorded can be sent again.
 *
 * The flags inside a MESSAGE are libzmq's: 1 is MORE, 2 is a command of ZMTP 3.1. The frame of a MESSAGE may be a command or, as
 * libzmq sends it, none. */
#ifndef OME_CURVE_H
#define OME_CURVE_H

#include "wire/ome_curve_config.h"
#include "wire/ome_key_table.h"
#include "wire/ome_zmtp.h"

#define OME_CURVE_COOKIE_MS 60000u /* how old the cookie in an INITIATE may be */
#define OME_CURVE_OVERHEAD_SIZE 33u /* of a MESSAGE: name 8, nonce 8, authenticator 16, flags 1 */
#define OME_CURVE_ANSWER_SIZE_MAX 192u

/* What all connections of a listener share. The keys are asked, and not written. */
typedef struct
{
    const ome_curve_config_t *config;
    const ome_key_table_t *keys;
    ome_zmtp_role_t role;
    uint32_t part_size_max_bytes;
} ome_curve_server_t;

typedef enum
{
    OME_CURVE_HELLO, /* is expected */
    OME_CURVE_INITIATE,
    OME_CURVE_MESSAGE,
    OME_CURVE_FAILED
} ome_curve_stage_t;

/* One connection. All zeros at first. */
typedef struct
{
    ome_curve_stage_t stage;
    uint32_t key_id;         /* of the client's key, from MESSAGE on; 0 before */
    uint64_t received_nonce; /* the last */
    uint64_t sent_nonce;
    uint64_t cookie_ns;                     /* when the cookie was made */
    uint8_t client_key[OME_CURVE_KEY_SIZE]; /* C', from MESSAGE on C */
    uint8_t secret_key[OME_CURVE_KEY_SIZE]; /* s', up to MESSAGE */
    uint8_t key[OME_CURVE_KEY_SIZE];        /* of the cookie, from MESSAGE on of the messages in both directions */
} ome_curve_t;

typedef struct
{
    uint32_t size_bytes; /* 0: there is none */
    uint8_t data[OME_CURVE_ANSWER_SIZE_MAX];
} ome_curve_answer_t;

/* What the next item of `size_bytes` bytes at `data` is, as ome_zmtp_next; moves `stage` on, too. A HELLO is one more GREETED. Opens boxes
 * in place: consumed bytes are overwritten. `answer` is to be sent, also after a FAULT. */
void ome_curve_next(const ome_curve_server_t *server, ome_curve_t *curve, ome_zmtp_stage_t *stage, uint64_t now_ns, uint8_t *data,
    uint32_t size_bytes, ome_zmtp_item_t *item, ome_curve_answer_t *answer);

/* The most bytes of a frame that a peer may send. */
uint32_t ome_curve_frame_size_max(uint32_t part_size_max_bytes);

/* Puts the last part of a message, or a command, as a frame into `frame`, which has room for `size_bytes` and for
 * OME_ZMTP_HEADER_SIZE_MAX + OME_CURVE_OVERHEAD_SIZE more. The connection is in its stage MESSAGE. Returns the frame's size. */
uint32_t ome_curve_seal(
    const ome_curve_server_t *server, ome_curve_t *curve, bool is_command, const uint8_t *data, uint32_t size_bytes, uint8_t *frame);

/* What the server sends first. */
void ome_curve_greeting(uint8_t greeting[OME_ZMTP_GREETING_SIZE]);

/* Forgets the keys of a connection. */
void ome_curve_end(ome_curve_t *curve);

#endif
