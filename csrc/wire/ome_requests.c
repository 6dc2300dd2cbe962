#include "wire/ome_requests.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/ome_arena.h"
#include "base/ome_assert.h"
#include "base/ome_clock.h"

#define NS_PER_MS UINT64_C(1000000)

/* For each order that it looked at the match thread is left alone for so long: 256 take it some 30 microseconds, and then it has about a
 * millisecond. */
#define PAUSE_NS_PER_ORDER UINT64_C(4000)
/* After what is work for the caller nothing is read from the connection for so long. */
#define LOGON_AGAIN_PAUSE_MS 250u
#define FILLS_PAUSE_MS 10u

/* A shorter pause is no reason to sleep. */
#define PAUSE_NS_MIN UINT64_C(50000)

#define FRAME_SIZE_MAX (sizeof(ome_request_answer_t) + OME_ANSWER_SIZE_MAX)

typedef struct
{
    uint64_t peer; /* 0: nobody */
    uint64_t tick;
    uint32_t frame_count; /* in this tick */
    uint16_t participant;
    uint16_t session;
    bool is_logged_on;
    bool has_fills; /* are being read for it */
    char name[OME_NAME_SIZE];
} requests_connection_t;

/* An answer that waits for the gate. */
typedef struct
{
    uint64_t peer;
    uint64_t sequence;
    uint32_t size_bytes;
    uint8_t *frame;
} requests_held_t;

struct ome_requests
{
    ome_requests_config_t config;
    requests_connection_t *connections; /* by slot */
    requests_held_t held[OME_REQUESTS_HELD_MAX];
    uint64_t held_first; /* counts; they are used in turn */
    uint64_t held_end;
    uint8_t *frame; /* being put together */
    uint64_t ask_after_ns;
    uint64_t now_ns;
    uint64_t peer; /* for the caller, as the next two */
    char name[OME_NAME_SIZE];
    uint8_t message[OME_FRAME_SESSION_MESSAGE_SIZE_MAX];
    atomic_bool is_called;
};

/* ---- set-up ---- */

static void requests_lay_out(ome_requests_t *requests, ome_arena_t *arena, const ome_requests_config_t *config)
{
    requests->connections = ome_arena_take(arena, ((uint64_t)config->connection_slot_max + 1) * sizeof(requests_connection_t));
    requests->frame = ome_arena_take(arena, FRAME_SIZE_MAX);
    for (uint32_t i = 0; i < OME_REQUESTS_HELD_MAX; i++)
    {
        requests->held[i].frame = ome_arena_take(arena, FRAME_SIZE_MAX);
    }
}

uint64_t ome_requests_size_bytes(const ome_requests_config_t *config)
{
    ome_requests_t requests;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_requests_t));
    requests_lay_out(&requests, &arena, config);
    return arena.used_bytes;
}

ome_status_t ome_requests_init(ome_requests_t **requests, void *memory, uint64_t size_bytes, const ome_requests_config_t *config)
{
    if (size_bytes < ome_requests_size_bytes(config))
    {
        return OME_NO_MEMORY;
    }
    ome_arena_t arena = {.memory = memory};
    ome_requests_t *made = ome_arena_take(&arena, sizeof(ome_requests_t));
    made->config = *config;
    made->config.clock_ns = config->clock_ns != NULL ? config->clock_ns : ome_clock_monotonic_ns;
    requests_lay_out(made, &arena, config);
    *requests = made;
    return OME_OK;
}

/* ---- connections ---- */

/* The entry of a connection; what another one has left in its place is dropped. */
static requests_connection_t *requests_connection(ome_requests_t *requests, uint64_t peer)
{
    const uint32_t slot = (uint32_t)peer;
    OME_ASSERT(slot >= 1 && slot <= requests->config.connection_slot_max);
    requests_connection_t *connection = &requests->connections[slot];
    if (connection->peer != peer)
    {
        *connection = (requests_connection_t){.peer = peer};
    }
    return connection;
}

/* The entry of a connection that is there; NULL otherwise. */
static requests_connection_t *requests_find_connection(ome_requests_t *requests, uint64_t peer)
{
    const uint32_t slot = (uint32_t)peer;
    const bool is_slot = slot >= 1 && slot <= requests->config.connection_slot_max;
    return is_slot && requests->connections[slot].peer == peer ? &requests->connections[slot] : NULL;
}

static void requests_forget(ome_requests_t *requests, uint64_t peer)
{
    requests_connection_t *connection = requests_find_connection(requests, peer);
    if (connection != NULL)
    {
        *connection = (requests_connection_t){0};
    }
}

static void requests_count_frame(ome_requests_t *requests, requests_connection_t *connection)
{
    const uint64_t tick = requests->now_ns / (OME_REQUESTS_TICK_MS * NS_PER_MS);
    ome_counter_add(requests->config.counters.frames, 1);
    if (connection->tick != tick)
    {
        connection->tick = tick;
        connection->frame_count = 0;
    }
    if (++connection->frame_count >= OME_REQUESTS_FRAME_COUNT_MAX)
    {
        const ome_socket_t *socket = requests->config.socket;
        connection->frame_count = 0;
        socket->pause(socket->context, connection->peer, OME_REQUESTS_TICK_MS);
    }
}

/* ---- answers ---- */

static ome_logout_t requests_logout_of(uint8_t reason)
{
    ome_logout_t logout = {.reason = reason};
    ome_message_header_set(&logout, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    return logout;
}

static void requests_end(ome_requests_t *requests, uint64_t peer, uint8_t reason)
{
    const ome_socket_t *socket = requests->config.socket;
    const ome_logout_t logout = requests_logout_of(reason);
    socket->end(socket->context, peer, (const uint8_t *)&logout, sizeof(logout));
}

static void requests_send_now(ome_requests_t *requests, uint64_t peer, const uint8_t *frame, uint32_t size_bytes)
{
    const ome_socket_t *socket = requests->config.socket;
    const ome_status_t status = socket->send(socket->context, peer, frame, size_bytes);
    ome_counter_add(status == OME_OK ? requests->config.counters.answers : requests->config.counters.undelivered, 1);
    if (status == OME_FULL)
    {
        requests_end(requests, peer, OME_REASON_SLOW_CONSUMER);
    }
    if (status != OME_OK)
    {
        requests_forget(requests, peer);
    }
}

static uint32_t requests_held_count(const ome_requests_t *requests)
{
    return (uint32_t)(requests->held_end - requests->held_first);
}

/* Sends a frame when the gate has reached `sequence`, and all frames before are sent. There is room for one to each frame that is taken. */
static void requests_send(ome_requests_t *requests, uint64_t peer, const void *frame, uint32_t size_bytes, uint64_t sequence)
{
    if (requests_held_count(requests) == 0 && sequence <= requests->config.limit(requests->config.context))
    {
        requests_send_now(requests, peer, frame, size_bytes);
        return;
    }
    OME_ASSERT(requests_held_count(requests) < OME_REQUESTS_HELD_MAX && size_bytes <= FRAME_SIZE_MAX);
    requests_held_t *held = &requests->held[requests->held_end++ % OME_REQUESTS_HELD_MAX];
    held->peer = peer;
    held->sequence = sequence;
    held->size_bytes = size_bytes;
    memcpy(held->frame, frame, size_bytes);
}

static uint32_t requests_send_held(ome_requests_t *requests)
{
    uint32_t count = 0;
    while (requests_held_count(requests) > 0)
    {
        const requests_held_t *held = &requests->held[requests->held_first % OME_REQUESTS_HELD_MAX];
        if (held->sequence > requests->config.limit(requests->config.context))
        {
            break;
        }
        requests_send_now(requests, held->peer, held->frame, held->size_bytes);
        requests->held_first++;
        count++;
    }
    return count;
}

static void requests_refuse(ome_requests_t *requests, uint64_t peer, const ome_frame_fault_t *fault, uint32_t rejected_count)
{
    ome_frame_reject_t reject;
    ome_frame_reject_set(&reject, fault, 0, rejected_count);
    ome_counter_add(requests->config.counters.frames_rejected, 1);
    requests_send(requests, peer, &reject, sizeof(reject), 0);
}

/* Answers a request by the messages that follow the place of its RequestAnswer in `frame`. */
static void requests_answer(ome_requests_t *requests, uint64_t peer, uint64_t request_id, const ome_answer_t *answer)
{
    const ome_request_answer_t head = {.request_id = request_id,
        .engine_sequence = answer->sequence,
        .next_cursor = answer->next_cursor,
        .message_count = answer->message_count,
        .reason = answer->reason};
    memcpy(requests->frame, &head, sizeof(head));
    ome_message_header_set(requests->frame, OME_TEMPLATE_REQUEST_ANSWER, OME_BLOCK_REQUEST_ANSWER);
    ome_counter_add(requests->config.counters.busy, answer->reason == OME_REASON_BUSY);
    requests_send(requests, peer, requests->frame, (uint32_t)sizeof(head) + answer->size_bytes, answer->sequence);
}

/* ---- questions ---- */

/* Asks, and leaves the match thread alone afterwards. False: `answer` says by its reason that there is none. */
static bool requests_ask(ome_requests_t *requests, const ome_question_t *question, ome_answer_t *answer)
{
    *answer = (ome_answer_t){.messages = requests->frame + sizeof(ome_request_answer_t)};
    const ome_status_t status = requests->config.ask(requests->config.context, question, answer);
    if (status == OME_OK)
    {
        OME_ASSERT(answer->size_bytes <= OME_ANSWER_SIZE_MAX);
        const uint64_t now_ns = requests->config.clock_ns();
        const uint64_t from_ns = requests->ask_after_ns > now_ns ? requests->ask_after_ns : now_ns;
        requests->ask_after_ns = from_ns + answer->visited_count * PAUSE_NS_PER_ORDER;
        return true;
    }
    *answer = (ome_answer_t){.reason = status == OME_STOPPED ? OME_REASON_ENGINE_STOPPED : OME_REASON_BUSY};
    return false;
}

void ome_requests_find(ome_requests_t *requests, const char *name, ome_requests_who_t *who)
{
    ome_question_t question = {.template_id = OME_QUESTION_WHO};
    ome_answer_t answer;
    bool is_answered;
    memcpy(question.name, name, OME_NAME_SIZE);
    do
    {
        is_answered = requests_ask(requests, &question, &answer);
        question.cursor = answer.next_cursor;
    } while (is_answered && answer.participant == 0 && question.cursor != 0);
    *who = (ome_requests_who_t){
        .sequence = answer.sequence, .participant = answer.participant, .session = answer.session, .reason = answer.reason};
}

/* Asks for a connection. Where the engine does not know its session any more, or yet, it finds out who the participant is, and asks again:
 * who is nobody has nothing. */
static void requests_ask_for(ome_requests_t *requests, requests_connection_t *connection, ome_question_t *question, ome_answer_t *answer)
{
    for (uint32_t attempt = 0; attempt < 2; attempt++)
    {
        memcpy(question->name, connection->name, OME_NAME_SIZE);
        question->participant = connection->participant;
        question->session = connection->session;
        if (!requests_ask(requests, question, answer) || answer->is_known)
        {
            return;
        }
        ome_requests_who_t who;
        ome_requests_find(requests, connection->name, &who);
        connection->participant = who.participant;
        connection->session = who.session;
        const bool is_order = question->template_id == OME_TEMPLATE_ORDER_STATUS_REQUEST;
        *answer = (ome_answer_t){
            .sequence = who.sequence, .reason = who.reason == OME_REASON_NONE && is_order ? OME_REASON_UNKNOWN_ORDER : who.reason};
        if (who.participant == 0)
        {
            return;
        }
    }
    answer->reason = OME_REASON_BUSY; /* it has changed again: the client asks again */
}

/* Whether nothing is set in a request but what it has. */
static bool requests_is_clean(const ome_request_t *request, uint16_t template_id)
{
    static const ome_request_t zeros;
    ome_request_t rest = *request;
    rest.sequence = rest.request_id = 0;
    if (template_id == OME_TEMPLATE_ORDER_STATUS_REQUEST)
    {
        rest.order_id = rest.client_order_id = 0;
    }
    else
    {
        rest.cursor = 0;
    }
    if (template_id == OME_TEMPLATE_ORDERS_REQUEST)
    {
        rest.instrument = 0;
        rest.target_session = 0;
    }
    if (template_id == OME_TEMPLATE_FILLS_REQUEST)
    {
        rest.since_ns = 0;
    }
    return memcmp(&rest, &zeros, sizeof(rest)) == 0;
}

/* ---- frames ---- */

static void requests_hand_over(
    ome_requests_t *requests, const requests_connection_t *connection, const ome_socket_message_t *from, uint32_t pause_ms)
{
    const ome_socket_t *socket = requests->config.socket;
    if (pause_ms > 0)
    {
        socket->pause(socket->context, from->peer, pause_ms);
    }
    requests->peer = from->peer;
    memcpy(requests->name, connection->name, OME_NAME_SIZE);
    memset(requests->message, 0, sizeof(requests->message));
    memcpy(requests->message, from->data, from->data_size_bytes);
}

/* Returns true when it is for the caller. */
static bool requests_take_request(ome_requests_t *requests, requests_connection_t *connection, const ome_socket_message_t *from)
{
    ome_request_t request;
    ome_message_header_t header;
    ome_answer_t answer = {0};
    memcpy(&request, from->data, sizeof(request));
    memcpy(&header, from->data, sizeof(header));
    const bool is_fills = header.template_id == OME_TEMPLATE_FILLS_REQUEST;
    if (!requests_is_clean(&request, header.template_id))
    {
        answer.reason = OME_REASON_RESERVED_NOT_ZERO;
    }
    else if (is_fills && connection->has_fills)
    {
        answer.reason = OME_REASON_BUSY;
    }
    else if (is_fills)
    {
        connection->has_fills = true;
        requests_hand_over(requests, connection, from, FILLS_PAUSE_MS);
        return true;
    }
    else
    {
        ome_question_t question = {.cursor = request.cursor,
            .order_id = request.order_id,
            .client_order_id = request.client_order_id,
            .instrument = request.instrument,
            .target_session = request.target_session,
            .template_id = header.template_id};
        requests_ask_for(requests, connection, &question, &answer);
    }
    requests_answer(requests, from->peer, request.request_id, &answer);
    return false;
}

static void requests_take_logout(ome_requests_t *requests, requests_connection_t *connection)
{
    const ome_socket_t *socket = requests->config.socket;
    const ome_logout_t logout = requests_logout_of(OME_REASON_REQUESTED);
    connection->is_logged_on = false;
    (void)socket->admit(socket->context, connection->peer, 0);
    requests_send(requests, connection->peer, &logout, sizeof(logout), 0);
}

static ome_requests_outcome_t requests_take_frame(ome_requests_t *requests, const ome_socket_message_t *from)
{
    requests_connection_t *connection = requests_connection(requests, from->peer);
    ome_frame_t frame;
    requests_count_frame(requests, connection);
    ome_frame_inspect_request(&frame, from->data, from->data_size_bytes);
    switch (frame.content)
    {
    case OME_FRAME_LOGON:
        requests_hand_over(requests, connection, from, connection->is_logged_on ? LOGON_AGAIN_PAUSE_MS : 0);
        return OME_REQUESTS_LOGON;
    case OME_FRAME_LOGOUT:
        requests_take_logout(requests, connection);
        return OME_REQUESTS_IDLE;
    case OME_FRAME_REQUEST:
        if (connection->is_logged_on)
        {
            return requests_take_request(requests, connection, from) ? OME_REQUESTS_FILLS : OME_REQUESTS_IDLE;
        }
        frame.fault = (ome_frame_fault_t){.field = "session", .reason = OME_REASON_NOT_LOGGED_ON};
        requests_refuse(requests, from->peer, &frame.fault, 1);
        return OME_REQUESTS_IDLE;
    default:
        requests_refuse(requests, from->peer, &frame.fault, frame.message_count);
        return OME_REQUESTS_IDLE;
    }
}

/* ---- the loop ---- */

static bool requests_may_read(const ome_requests_t *requests)
{
    return requests_held_count(requests) < OME_REQUESTS_HELD_MAX && requests->now_ns + PAUSE_NS_MIN >= requests->ask_after_ns;
}

uint32_t ome_requests_do_work(ome_requests_t *requests, ome_requests_outcome_t *outcome)
{
    const ome_socket_t *socket = requests->config.socket;
    requests->now_ns = requests->config.clock_ns();
    uint32_t work = requests_send_held(requests);
    ome_socket_message_t message;
    if (!requests_may_read(requests))
    {
        return work;
    }
    const ome_status_t status = socket->receive(socket->context, &message);
    if (status != OME_OK)
    {
        *outcome = status == OME_EMPTY ? *outcome : OME_REQUESTS_STOPPED;
        return work;
    }
    if (message.kind == OME_SOCKET_GONE)
    {
        requests_forget(requests, message.peer);
    }
    else
    {
        *outcome = requests_take_frame(requests, &message);
    }
    return work + 1;
}

/* While it must not read, it does not wait for what could be read. */
static ome_status_t requests_sleep(const ome_requests_t *requests, bool may_read, uint32_t timeout_ms)
{
    const ome_socket_t *socket = requests->config.socket;
    if (!may_read)
    {
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
    }
    const bool is_soon = requests_held_count(requests) > 0;
    return socket->wait(socket->context, requests->config.event_fd, !may_read ? 0 : is_soon ? 1 : timeout_ms);
}

void ome_requests_call(ome_requests_t *requests)
{
    atomic_store_explicit(&requests->is_called, true, memory_order_release);
    (void)eventfd_write(requests->config.event_fd, 1);
}

ome_requests_outcome_t ome_requests_run(ome_requests_t *requests, uint32_t timeout_ms)
{
    const uint64_t deadline_ns = requests->config.clock_ns() + timeout_ms * NS_PER_MS;
    ome_requests_outcome_t outcome = OME_REQUESTS_IDLE;
    for (;;)
    {
        const uint32_t work = ome_requests_do_work(requests, &outcome);
        const uint64_t now_ns = requests->config.clock_ns();
        /* Acquire: pairs with the release in ome_requests_call. */
        const bool is_called = atomic_exchange_explicit(&requests->is_called, false, memory_order_acquire);
        if (outcome != OME_REQUESTS_IDLE || is_called || now_ns >= deadline_ns)
        {
            return outcome;
        }
        const uint32_t left_ms = (uint32_t)((deadline_ns - now_ns) / NS_PER_MS) + 1;
        if (work == 0 && requests_sleep(requests, requests_may_read(requests), left_ms) != OME_OK)
        {
            return OME_REQUESTS_STOPPED;
        }
    }
}

/* ---- for the caller ---- */

uint64_t ome_requests_peer(const ome_requests_t *requests)
{
    return requests->peer;
}

const uint8_t *ome_requests_message(const ome_requests_t *requests)
{
    return requests->message;
}

const char *ome_requests_name(const ome_requests_t *requests)
{
    return requests->name;
}

ome_status_t ome_requests_admit(ome_requests_t *requests, uint64_t peer, const char *name, const ome_requests_who_t *who)
{
    const ome_socket_t *socket = requests->config.socket;
    requests_connection_t *connection = requests_find_connection(requests, peer);
    if (connection == NULL || socket->admit(socket->context, peer, 1) != OME_OK)
    {
        return OME_NOT_FOUND;
    }
    connection->is_logged_on = true;
    connection->participant = who->participant;
    connection->session = who->session;
    memcpy(connection->name, name, OME_NAME_SIZE);
    return OME_OK;
}

void ome_requests_answer_logon(ome_requests_t *requests, uint64_t peer, const uint8_t *frame, uint32_t size_bytes, uint64_t sequence)
{
    requests_send(requests, peer, frame, size_bytes, sequence);
}

void ome_requests_pause(ome_requests_t *requests, uint64_t peer, uint32_t duration_ms)
{
    const ome_socket_t *socket = requests->config.socket;
    socket->pause(socket->context, peer, duration_ms);
}

int ome_requests_is_logged_on(const ome_requests_t *requests, uint64_t peer)
{
    const uint32_t slot = (uint32_t)peer;
    const bool is_slot = slot >= 1 && slot <= requests->config.connection_slot_max;
    return is_slot && requests->connections[slot].peer == peer && requests->connections[slot].is_logged_on;
}

void ome_requests_end(ome_requests_t *requests, uint64_t peer, uint8_t reason)
{
    requests_end(requests, peer, reason);
    requests_forget(requests, peer);
}

void ome_requests_answer_fills(ome_requests_t *requests, uint64_t peer, const uint8_t *frame, uint32_t size_bytes)
{
    requests_connection_t *connection = requests_find_connection(requests, peer);
    if (connection != NULL)
    {
        connection->has_fills = false;
        requests_send_now(requests, peer, frame, size_bytes);
    }
}
