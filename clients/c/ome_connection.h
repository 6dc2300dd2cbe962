/* A connection over libzmq that ends when it breaks, and the frame in hand: part of the client library (ome_client.h).
 *
 * libzmq connects again by itself, and then sends what it holds to a server that does not know the connection. This one does not: it says
 * that it is lost, and its owner opens it anew. One thread uses it. Only its source calls libzmq.
 */
#ifndef OME_CONNECTION_H
#define OME_CONNECTION_H

#include <stdbool.h>

#include "ome_messages.h"

/* A message that came. */
typedef union
{
    ome_header_t header;
    ome_logon_answer_t logon_answer;
    ome_define_instrument_t instrument;
    ome_logout_t logout;
    ome_frame_reject_t reject;
    ome_test_request_t test_request;
    ome_resend_answer_t resend_answer;
    ome_execution_report_t report;
} ome_connection_message_t;

/* Texts end with a zero. The keys of CURVE are Z85 text; an empty `server_key`: none. */
typedef struct
{
    char endpoint[256], server_key[41], public_key[41], secret_key[41];
    void *context, *socket, *monitor;
    uint64_t count;  /* how often it was opened */
    bool is_lost;    /* broken, or never made; frames that came before can still be read */
    bool is_refused; /* the server does not admit the key */
    bool has_frame;
    size_t frame_offset;
    union
    {
        unsigned char bytes[64]; /* a zmq_msg_t */
        void *alignment;
    } frame;
} ome_connection_t;

/* Makes the context. False where libzmq cannot. */
bool ome_connection_create(ome_connection_t *connection);

void ome_connection_destroy(ome_connection_t *connection);

/* Begins to connect; a loss shows later. False, with a reason in `ome_connection_error`, where an option is wrong. */
bool ome_connection_open(ome_connection_t *connection);

/* Drops what was not sent and not read. */
void ome_connection_close(ome_connection_t *connection);

const char *ome_connection_error(void);

/* Sends one frame, or does nothing and returns false: there is no connection any more, or no room. */
bool ome_connection_send(ome_connection_t *connection, const void *data, size_t size);

/* Takes the next frame in hand, if one has come. Looks whether the connection is lost. */
bool ome_connection_receive(ome_connection_t *connection);

/* Copies the next message of the frame in hand. False, and no frame in hand, at its end, or where it is malformed. */
bool ome_connection_next(ome_connection_t *connection, ome_connection_message_t *message);

/* Sleeps until something comes. */
void ome_connection_wait(ome_connection_t *connection, long timeout_ms);

#endif
