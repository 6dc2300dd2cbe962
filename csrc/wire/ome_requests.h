/* The loop of the address of requests: questions of clients about orders, sessions and instruments, and their answers.
 *
 *     frame --> inspect, count --> ask the match thread --> [ held until the gate allows it ] --> answer
 *                    |                                                  ^
 *                    +--> logon, fills: the caller, in the background --+
 *
 * A slow question never delays an order: the loop has a thread and a socket of its own. The match thread answers a question between two
 * batches and looks at OME_ANSWER_ORDER_COUNT_MAX orders at most; after that the loop leaves it alone for a time that grows with what it
 * looked at, so that all questions together take some percent of it.
 *
 * An answer is sent when the gate has reached the command up to which it is true, in the order of the requests. While OME_REQUESTS_HELD_MAX
 * answers wait for that, nothing more is read.
 *
 * A connection logs on for a participant, by name. The engine may give a participant's number to another name when all are used, so each
 * question carries the name with a session that has it, and the match thread compares. No answer shows what is another participant's.
 *
 * Bounds: so many frames of a connection in a tick (OME_REQUESTS_FRAME_COUNT_MAX), then it is read more slowly; one FillsRequest of a
 * connection at a time (BUSY); a connection that does not read its answers ends (Logout, SLOW_CONSUMER).
 *
 * One thread, but for ome_requests_call. It knows the venue only by the functions of its configuration. */
#ifndef OME_REQUESTS_H
#define OME_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_choices.h"
#include "abi/ome_limits.h"
#include "abi/ome_records.h"
#include "abi/ome_status.h"
#include "base/ome_counters.h"
#include "wire/ome_frame.h"
#include "wire/ome_socket.h"

#define OME_REQUESTS_FRAME_COUNT_MAX 64u /* of a connection in a tick */
#define OME_REQUESTS_TICK_MS 10u
#define OME_REQUESTS_HELD_MAX 8u

#define OME_ANSWER_ORDER_COUNT_MAX 256u    /* that one question looks at */
#define OME_ANSWER_SESSION_COUNT_MAX 1024u /* the same */
#define OME_ANSWER_MESSAGE_COUNT_MAX 256u
#define OME_ANSWER_SIZE_MAX (OME_ANSWER_MESSAGE_COUNT_MAX * (uint32_t)sizeof(ome_open_order_t))

/* Who asks, by which question: a template id of class REQUEST, or: */
#define OME_QUESTION_WHO 0u /* which number the name has; looks at sessions from `cursor` on */

typedef struct
{
    uint64_t cursor;
    uint64_t order_id;
    uint64_t client_order_id;
    uint32_t instrument;
    uint16_t target_session;
    uint16_t template_id;
    uint16_t participant;
    uint16_t session; /* one of the participant's, which has this name: */
    char name[OME_NAME_SIZE];
} ome_question_t;

typedef struct
{
    uint64_t sequence; /* the engine's */
    uint64_t next_cursor;
    uint8_t *messages; /* the asker's, OME_ANSWER_SIZE_MAX bytes */
    uint32_t size_bytes;
    uint32_t message_count;
    uint32_t visited_count; /* orders, or what costs as much */
    uint16_t participant; /* of OME_QUESTION_WHO */
    uint16_t session;
    uint8_t reason;
    bool is_known; /* the session of the question is the participant's still; otherwise there is no answer */
} ome_answer_t;

/* Written by the loop alone. */
typedef struct
{
    ome_counter_t *frames;
    ome_counter_t *frames_rejected;
    ome_counter_t *answers;
    ome_counter_t *busy;        /* answered by BUSY */
    ome_counter_t *undelivered; /* answers to who was not there, or did not read */
} ome_requests_counters_t;

typedef struct
{
    /* Answers from the engine. OME_OK; OME_EMPTY: it is busy; OME_STOPPED. */
    ome_status_t (*ask)(void *context, const ome_question_t *question, ome_answer_t *answer);
    uint64_t (*limit)(void *context); /* the last command of which may be spoken */
    void *context;
    const ome_socket_t *socket;
    ome_requests_counters_t counters;
    uint64_t (*clock_ns)(void); /* monotonic; NULL: the system's */
    uint32_t connection_slot_max; /* of the socket's peers */
    int event_fd; /* wakes the loop */
} ome_requests_config_t;

typedef struct ome_requests ome_requests_t;

uint64_t ome_requests_size_bytes(const ome_requests_config_t *config);

/* Lays the loop out in zeroed memory aligned to a cache line. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_requests_init(ome_requests_t **requests, void *memory, uint64_t size_bytes, const ome_requests_config_t *config);

/* Sends what may be sent and takes one frame, if there is one. Returns how much it did; `outcome` is changed when there is something for the
 * caller. */
uint32_t ome_requests_do_work(ome_requests_t *requests, ome_requests_outcome_t *outcome);

/* Works until there is something for the caller, or for about `timeout_ms`. */
ome_requests_outcome_t ome_requests_run(ome_requests_t *requests, uint32_t timeout_ms);

/* From any thread: the run returns soon. */
void ome_requests_call(ome_requests_t *requests);

/* The connection, the message, zeros behind it, and the participant's name of a connection that is logged on. Valid until the next run. */
uint64_t ome_requests_peer(const ome_requests_t *requests);
const uint8_t *ome_requests_message(const ome_requests_t *requests);
const char *ome_requests_name(const ome_requests_t *requests);

/* Finds out who the participant of this name, OME_NAME_SIZE bytes, is in the engine. */
void ome_requests_find(ome_requests_t *requests, const char *name, ome_requests_who_t *who);

/* The connection is the participant's from now on. OME_OK; OME_NOT_FOUND: it is gone. */
ome_status_t ome_requests_admit(ome_requests_t *requests, uint64_t peer, const char *name, const ome_requests_who_t *who);

/* Sends the answer to a logon, of at most OME_ANSWER_SIZE_MAX bytes, when the gate has reached `sequence`. Once for each logon. */
void ome_requests_answer_logon(ome_requests_t *requests, uint64_t peer, const uint8_t *frame, uint32_t size_bytes, uint64_t sequence);

/* Nothing is read from a connection for `duration_ms`; whether it is logged on; it ends, with a Logout that says why. */
void ome_requests_pause(ome_requests_t *requests, uint64_t peer, uint32_t duration_ms);
int ome_requests_is_logged_on(const ome_requests_t *requests, uint64_t peer);
void ome_requests_end(ome_requests_t *requests, uint64_t peer, uint8_t reason);

/* Sends the answer to a FillsRequest, which may be spoken of. The connection may send the next one. */
void ome_requests_answer_fills(ome_requests_t *requests, uint64_t peer, const uint8_t *frame, uint32_t size_bytes);

#endif
