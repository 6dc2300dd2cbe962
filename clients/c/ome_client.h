/* A client of the venue that loses nothing (docs/PROTOCOL.md), on libzmq.
 *
 * It logs on, numbers messages and keeps each one until a report answers it. When the connection breaks, it connects again, resumes the
 * session, and sends again what the venue has not taken. Each report comes out once and in order. What the venue refuses for now (BUSY,
 * THROTTLED) is sent again after a pause.
 *
 * One thread uses a client. It works only inside its functions: call ome_client_poll at least twice in each heartbeat interval. It allocates
 * when it is created and never after that; libzmq allocates as it does.
 *
 * It does not survive the end of its process: keep `next_report_sequence` and your orders where they survive, if you have to.
 */
#ifndef OME_CLIENT_H
#define OME_CLIENT_H

#include "ome_messages.h"

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct ome_client ome_client_t;

/* Begin with zeros: 0 or NULL is the default. The strings are copied. */
typedef struct
{
    const char *endpoint;          /* of order entry: "tcp://127.0.0.1:5555"; at most 255 characters */
    const char *participant;       /* 1 to 16 characters */
    const char *secret;            /* at most 32 characters; NULL: none */
    const char *server_key;        /* the three keys of CURVE as Z85 text; NULL: no keys */
    const char *public_key;
    const char *secret_key;
    uint64_t next_report_sequence; /* the first report that you want; 1: all of the session; 0: only new ones */
    uint32_t heartbeat_ms;         /* 100 to 60,000; 0: the server's default */
    uint32_t message_count_max;    /* messages without an answer that it keeps; 0: 1,024 */
    uint32_t instrument_count_max; /* instruments that it knows by symbol; 0: 1,024 */
    uint16_t session_number;
    uint16_t session_flags;        /* OME_SESSION_FLAGS_ */
} ome_client_options_t;

typedef enum
{
    OME_CLIENT_NOTHING,         /* nothing happened in time */
    OME_CLIENT_REPORT,          /* `report`, or `attributes` where report.kind is ATTRIBUTES */
    OME_CLIENT_LOGGED_ON,       /* for the first time, or again: what is unanswered is on its way */
    OME_CLIENT_DISCONNECTED,    /* it connects again by itself; `reason` is that of the server's Logout, if it sent one */
    OME_CLIENT_ORDER_REFUSED,   /* STORAGE_LOW: the new order `client_order_id` was not sequenced, and is not sent again */
    OME_CLIENT_REPORTS_LOST,    /* the server cannot send some reports (`reason`): compare your orders with the market */
    OME_CLIENT_SESSION_CHANGED, /* the venue's count of your messages does not fit: what has no answer is dropped. Compare your orders */
    OME_CLIENT_ENDED            /* for good: `reason`, and in words ome_client_error */
} ome_client_event_kind_t;

typedef struct
{
    ome_client_event_kind_t kind;
    uint8_t reason; /* OME_REASON_ */
    uint64_t client_order_id;
    union
    {
        ome_execution_report_t report;
        ome_attributes_report_t attributes;
    } of;
} ome_client_event_t;

typedef struct
{
    uint8_t term; /* OME_TERM_ */
    int64_t value;
} ome_client_term_t;

#define OME_CLIENT_TERM_COUNT_MAX 12u

typedef enum
{
    OME_CLIENT_OK,
    OME_CLIENT_FULL,    /* as many messages as it keeps have no answer: poll, then try again */
    OME_CLIENT_NOT_YET, /* it has not logged on for the first time: poll until LOGGED_ON */
    OME_CLIENT_LEAVING, /* it logs out, or has ended */
    OME_CLIENT_INVALID  /* not a command, too many terms, or terms that do not belong there */
} ome_client_status_t;

/* NULL where an option is missing or too long, or there is no memory. It connects at the first poll. */
ome_client_t *ome_client_create(const ome_client_options_t *options);

/* Closes the connection without a Logout and frees everything. NULL is allowed. */
void ome_client_destroy(ome_client_t *client);

/* Sends and receives for up to `timeout_ms` milliseconds, until something happens, and says what. 0: only what is there. */
ome_client_event_kind_t ome_client_poll(ome_client_t *client, ome_client_event_t *event, uint32_t timeout_ms);

/* Sends a command: NewOrder, CancelOrder, ReduceOrder, AmendOrder or MassCancel, made with ome_message_init. Terms belong to a NewOrder
 * or an AmendOrder: a stop price, a peak. The client sets session_sequence, and CONTINUED where there are terms. It sends also while it is
 * disconnected: then later. */
ome_client_status_t ome_client_send(ome_client_t *client, const void *command, const ome_client_term_t *terms, uint32_t term_count);

ome_client_status_t ome_client_new_order(
    ome_client_t *client, const ome_new_order_t *order, const ome_client_term_t *terms, uint32_t term_count);
ome_client_status_t ome_client_amend(
    ome_client_t *client, const ome_amend_order_t *amend, const ome_client_term_t *terms, uint32_t term_count);
ome_client_status_t ome_client_cancel(ome_client_t *client, uint64_t client_order_id);

/* Logs out when all messages are answered: poll until ENDED, whose reason is then REQUESTED. */
void ome_client_log_out(ome_client_t *client);

/* The definition of an instrument, since the first LOGGED_ON; NULL where there is none. */
const ome_define_instrument_t *ome_client_instrument(const ome_client_t *client, const char *symbol);

/* The report that comes next: keep it, to resume the session in another process. */
uint64_t ome_client_next_report_sequence(const ome_client_t *client);

/* Messages that no report has answered. */
uint32_t ome_client_unanswered_count(const ome_client_t *client);

/* The last thing that went wrong, in words. */
const char *ome_client_error(const ome_client_t *client);

#ifdef __cplusplus
}
#endif

#endif
