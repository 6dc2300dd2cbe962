/* The loop of the address of requests, over a socket, an engine and a gate that are tables in memory: who may ask, what is answered when, and
 * what bounds it. */
#include "base/ome_memory.h"
#include "ome_test.h"
#include "wire/ome_requests.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define PEER_COUNT 4u
#define INBOX_COUNT 512u
#define SENT_COUNT 512u
#define NS_PER_MS UINT64_C(1000000)

typedef struct
{
    uint64_t peer;
    uint32_t size_bytes;
    ome_socket_kind_t kind;
    uint8_t data[128];
} inbound_t;

typedef struct
{
    uint64_t peer;
    uint32_t size_bytes;
    uint8_t data[OME_ANSWER_SIZE_MAX + 64];
} sent_t;

/* Everything around the loop. */
typedef struct
{
    ome_requests_t *requests;
    uint64_t size_bytes;
    inbound_t inbox[INBOX_COUNT];
    uint32_t inbox_read;
    uint32_t inbox_end;
    sent_t sent[8];
    uint32_t sent_count;
    uint64_t full_peer; /* does not read */
    uint64_t ended_peer; /* the last that was ended */
    uint32_t pause_count;
    uint32_t pause_ms; /* the last */
    uint32_t admitted[PEER_COUNT];
    uint64_t limit;
    uint64_t sequence; /* the engine's */
    uint16_t participant; /* that FIRM1 has; 0: none */
    uint32_t visited_count;
    uint32_t asked_count;
    ome_status_t ask_status;
    ome_question_t asked;
    ome_counter_t counters[5];
    int event_fd;
} stand_t;

static uint64_t now_ns = UINT64_C(1000000000);
static stand_t stand;

static uint64_t clock_of_test(void)
{
    return now_ns;
}

static ome_status_t take_received(void *context, ome_socket_message_t *message)
{
    (void)context;
    if (stand.inbox_read == stand.inbox_end)
    {
        return OME_EMPTY;
    }
    const inbound_t *inbound = &stand.inbox[stand.inbox_read++ % INBOX_COUNT];
    *message =
        (ome_socket_message_t){.peer = inbound->peer, .data = inbound->data, .data_size_bytes = inbound->size_bytes, .kind = inbound->kind};
    return OME_OK;
}

static ome_status_t keep_sent(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    (void)context;
    if (peer == stand.full_peer)
    {
        return OME_FULL;
    }
    sent_t *sent = &stand.sent[stand.sent_count++ % 8];
    sent->peer = peer;
    sent->size_bytes = size_bytes;
    CHECK(size_bytes <= sizeof(sent->data));
    memcpy(sent->data, data, size_bytes);
    return OME_OK;
}

static ome_status_t keep_admitted(void *context, uint64_t peer, int is_admitted)
{
    (void)context;
    stand.admitted[(uint32_t)peer] = (uint32_t)is_admitted;
    return OME_OK;
}

static void keep_pause(void *context, uint64_t peer, uint32_t duration_ms)
{
    (void)context;
    (void)peer;
    stand.pause_count++;
    stand.pause_ms = duration_ms;
}

static void keep_end(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    ome_logout_t logout;
    (void)context;
    CHECK_EQUAL(size_bytes, sizeof(logout));
    memcpy(&logout, data, sizeof(logout));
    CHECK_EQUAL(logout.reason, OME_REASON_SLOW_CONSUMER);
    stand.ended_peer = peer;
}

static ome_status_t wait_for_nothing(void *context, int event_fd, uint32_t timeout_ms)
{
    (void)context;
    (void)event_fd;
    now_ns += (timeout_ms > 0 ? timeout_ms : 1) * NS_PER_MS;
    return OME_OK;
}

/* An engine with one participant, FIRM1, whose every answer is one OpenOrder. */
static ome_status_t answer_of_test(void *context, const ome_question_t *question, ome_answer_t *answer)
{
    (void)context;
    stand.asked_count++;
    stand.asked = *question;
    if (stand.ask_status != OME_OK)
    {
        return stand.ask_status;
    }
    const bool is_firm = memcmp(question->name, "FIRM1", 6) == 0;
    answer->sequence = stand.sequence;
    answer->visited_count = stand.visited_count;
    answer->is_known = question->template_id == OME_QUESTION_WHO ||
                       (is_firm && question->participant == stand.participant && question->session == 3 && stand.participant != 0);
    if (question->template_id == OME_QUESTION_WHO && is_firm)
    {
        answer->participant = stand.participant;
        answer->session = 3;
    }
    else if (answer->is_known && question->template_id != OME_QUESTION_WHO)
    {
        memset(answer->messages, 0, sizeof(ome_open_order_t));
        ome_message_header_set(answer->messages, OME_TEMPLATE_OPEN_ORDER, OME_BLOCK_OPEN_ORDER);
        answer->size_bytes = sizeof(ome_open_order_t);
        answer->message_count = 1;
    }
    return OME_OK;
}

static uint64_t limit_of_test(void *context)
{
    (void)context;
    return stand.limit;
}

static void begin(void)
{
    static ome_socket_t socket;
    socket = (ome_socket_t){.receive = take_received,
        .send = keep_sent,
        .admit = keep_admitted,
        .pause = keep_pause,
        .end = keep_end,
        .wait = wait_for_nothing};
    memset(&stand, 0, sizeof(stand));
    stand.limit = UINT64_MAX;
    stand.sequence = 10;
    stand.participant = 7;
    stand.event_fd = eventfd(0, EFD_NONBLOCK);
    const ome_requests_config_t config = {.ask = answer_of_test,
        .limit = limit_of_test,
        .socket = &socket,
        .counters = {&stand.counters[0], &stand.counters[1], &stand.counters[2], &stand.counters[3], &stand.counters[4]},
        .clock_ns = clock_of_test,
        .connection_slot_max = PEER_COUNT - 1,
        .event_fd = stand.event_fd};
    stand.size_bytes = ome_requests_size_bytes(&config);
    void *memory = ome_memory_map(stand.size_bytes);
    CHECK_EQUAL(ome_requests_init(&stand.requests, memory, stand.size_bytes - 1, &config), OME_NO_MEMORY);
    CHECK_EQUAL(ome_requests_init(&stand.requests, memory, stand.size_bytes, &config), OME_OK);
}

static void finish(void)
{
    ome_memory_unmap(stand.requests, stand.size_bytes);
    CHECK_EQUAL(close(stand.event_fd), 0);
}

/* ---- frames ---- */

static void put(uint64_t peer, const void *data, uint32_t size_bytes)
{
    inbound_t *inbound = &stand.inbox[stand.inbox_end++ % INBOX_COUNT];
    inbound->peer = peer;
    inbound->kind = OME_SOCKET_PART;
    inbound->size_bytes = size_bytes;
    memcpy(inbound->data, data, size_bytes);
}

static ome_request_t request_of(uint16_t template_id, uint64_t request_id)
{
    ome_request_t request = {.request_id = request_id};
    ome_message_header_set(&request, template_id, OME_BODY_SIZE);
    return request;
}

static void put_request(uint64_t peer, uint16_t template_id, uint64_t request_id)
{
    const ome_request_t request = request_of(template_id, request_id);
    put(peer, &request, sizeof(request));
}

static ome_requests_outcome_t work(void)
{
    ome_requests_outcome_t outcome = OME_REQUESTS_IDLE;
    while (outcome == OME_REQUESTS_IDLE && ome_requests_do_work(stand.requests, &outcome) > 0)
    {
    }
    return outcome;
}

static void log_on(uint64_t peer)
{
    ome_requests_who_t who;
    ome_logon_t logon = {.participant_name = "FIRM1"};
    static const char name[OME_NAME_SIZE] = "FIRM1";
    ome_message_header_set(&logon, OME_TEMPLATE_LOGON, OME_BLOCK_LOGON);
    put(peer, &logon, sizeof(logon));
    CHECK_EQUAL(work(), OME_REQUESTS_LOGON);
    CHECK_EQUAL(ome_requests_peer(stand.requests), peer);
    CHECK_BYTES_EQUAL(ome_requests_message(stand.requests), &logon, sizeof(logon));
    ome_requests_find(stand.requests, name, &who);
    CHECK_EQUAL(who.reason, OME_REASON_NONE);
    CHECK_EQUAL(who.participant, stand.participant);
    CHECK_EQUAL(ome_requests_admit(stand.requests, peer, name, &who), OME_OK);
    CHECK_EQUAL(stand.admitted[(uint32_t)peer], 1);
    now_ns += NS_PER_MS * 1000;
}

static ome_request_answer_t last_answer(uint64_t peer)
{
    ome_request_answer_t answer;
    ome_message_header_t header;
    CHECK(stand.sent_count > 0);
    const sent_t *sent = &stand.sent[(stand.sent_count - 1) % 8];
    CHECK_EQUAL(sent->peer, peer);
    memcpy(&answer, sent->data, sizeof(answer));
    memcpy(&header, sent->data, sizeof(header));
    CHECK_EQUAL(header.template_id, OME_TEMPLATE_REQUEST_ANSWER);
    CHECK_EQUAL(sent->size_bytes, sizeof(answer) + answer.message_count * sizeof(ome_open_order_t));
    return answer;
}

static ome_frame_reject_t last_reject(void)
{
    ome_frame_reject_t reject;
    ome_message_header_t header;
    const sent_t *sent = &stand.sent[(stand.sent_count - 1) % 8];
    CHECK_EQUAL(sent->size_bytes, sizeof(reject));
    memcpy(&reject, sent->data, sizeof(reject));
    memcpy(&header, sent->data, sizeof(header));
    CHECK_EQUAL(header.template_id, OME_TEMPLATE_FRAME_REJECT);
    return reject;
}

/* ---- tests ---- */

static void a_request_before_a_logon_is_refused_and_asks_nothing(void)
{
    begin();
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 5);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_reject().reason, OME_REASON_NOT_LOGGED_ON);
    CHECK_EQUAL(stand.asked_count, 0);
    finish();
}

static void a_connection_that_is_logged_on_is_answered(void)
{
    begin();
    log_on(1);
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 5);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    const ome_request_answer_t answer = last_answer(1);
    CHECK_EQUAL(answer.request_id, 5);
    CHECK_EQUAL(answer.engine_sequence, 10);
    CHECK_EQUAL(answer.message_count, 1);
    CHECK_EQUAL(answer.reason, OME_REASON_NONE);
    CHECK_EQUAL(stand.asked.participant, 7);
    CHECK_EQUAL(stand.asked.session, 3);
    /* Another connection has its slot: it is not logged on. */
    put_request(UINT64_C(1) << 32 | 1, OME_TEMPLATE_ORDERS_REQUEST, 6);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_reject().reason, OME_REASON_NOT_LOGGED_ON);
    finish();
}

static void answers_wait_for_the_gate_in_their_order(void)
{
    begin();
    log_on(1);
    stand.limit = 9;
    for (uint64_t i = 1; i <= OME_REQUESTS_HELD_MAX + 2; i++)
    {
        put_request(1, OME_TEMPLATE_ORDERS_REQUEST, i);
    }
    put(1, "x", 1);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.sent_count, 0);
    CHECK_EQUAL(stand.inbox_read, 1 + OME_REQUESTS_HELD_MAX); /* the logon, and as many as may wait */
    stand.limit = 10;
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.sent_count, OME_REQUESTS_HELD_MAX + 3);
    CHECK_EQUAL(last_reject().reason, OME_REASON_FRAME_TRUNCATED); /* that of the last frame, and so the last */
    finish();
}

static void a_participant_whose_number_went_to_another_one_is_found_again(void)
{
    begin();
    log_on(1);
    stand.participant = 8;
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 5);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_answer(1).message_count, 1);
    CHECK_EQUAL(stand.asked.participant, 8);
    stand.participant = 0; /* it has no session any more */
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 6);
    now_ns += NS_PER_MS;
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_answer(1).message_count, 0);
    CHECK_EQUAL(last_answer(1).reason, OME_REASON_NONE);
    put_request(1, OME_TEMPLATE_ORDER_STATUS_REQUEST, 7);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_answer(1).reason, OME_REASON_UNKNOWN_ORDER);
    finish();
}

static void an_engine_that_is_busy_or_has_ended_is_named(void)
{
    begin();
    log_on(1);
    stand.ask_status = OME_EMPTY;
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 5);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_answer(1).reason, OME_REASON_BUSY);
    CHECK_EQUAL(ome_counter_get(&stand.counters[3]), 1);
    stand.ask_status = OME_STOPPED;
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 6);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_answer(1).reason, OME_REASON_ENGINE_STOPPED);
    finish();
}

/* What a question looked at is time in which the match thread is asked nothing. */
static void the_match_thread_is_left_alone_after_a_long_answer(void)
{
    begin();
    log_on(1);
    stand.visited_count = OME_ANSWER_ORDER_COUNT_MAX;
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 1);
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 2);
    const uint32_t before = stand.asked_count;
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.asked_count, before + 1);
    now_ns += NS_PER_MS / 2;
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.asked_count, before + 1);
    now_ns += NS_PER_MS / 2;
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.asked_count, before + 2);
    finish();
}

static void a_connection_that_asks_much_is_read_more_slowly(void)
{
    begin();
    log_on(1);
    stand.pause_count = 0;
    for (uint64_t i = 0; i < 3 * OME_REQUESTS_FRAME_COUNT_MAX; i++)
    {
        put_request(1, OME_TEMPLATE_ORDER_STATUS_REQUEST, i);
    }
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.pause_count, 3);
    CHECK_EQUAL(stand.pause_ms, OME_REQUESTS_TICK_MS);
    finish();
}

static void a_connection_has_one_question_about_fills_at_a_time(void)
{
    begin();
    log_on(1);
    put_request(1, OME_TEMPLATE_FILLS_REQUEST, 1);
    CHECK_EQUAL(work(), OME_REQUESTS_FILLS);
    CHECK_BYTES_EQUAL(ome_requests_name(stand.requests), "FIRM1\0\0\0\0\0\0\0\0\0\0", OME_NAME_SIZE);
    put_request(1, OME_TEMPLATE_FILLS_REQUEST, 2);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_answer(1).reason, OME_REASON_BUSY);
    const ome_request_t fills = request_of(OME_TEMPLATE_REQUEST_ANSWER, 1);
    ome_requests_answer_fills(stand.requests, 1, (const uint8_t *)&fills, sizeof(fills));
    CHECK_EQUAL(last_answer(1).request_id, 1);
    put_request(1, OME_TEMPLATE_FILLS_REQUEST, 3);
    CHECK_EQUAL(work(), OME_REQUESTS_FILLS);
    /* It goes away before the answer, which is dropped. */
    put(1, "", 0);
    stand.inbox[(stand.inbox_end - 1) % INBOX_COUNT].kind = OME_SOCKET_GONE;
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    const uint32_t before = stand.sent_count;
    ome_requests_answer_fills(stand.requests, 1, (const uint8_t *)&fills, sizeof(fills));
    CHECK_EQUAL(stand.sent_count, before);
    finish();
}

static void a_connection_that_does_not_read_ends(void)
{
    begin();
    log_on(1);
    stand.full_peer = 1;
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 1);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.ended_peer, 1);
    CHECK_EQUAL(ome_counter_get(&stand.counters[4]), 1);
    stand.full_peer = 0;
    put_request(1, OME_TEMPLATE_ORDERS_REQUEST, 2);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_reject().reason, OME_REASON_NOT_LOGGED_ON);
    finish();
}

static void a_frame_that_is_none_is_refused_by_its_first_fault(void)
{
    begin();
    log_on(1);
    ome_request_t requests[2] = {request_of(OME_TEMPLATE_ORDERS_REQUEST, 1), request_of(OME_TEMPLATE_ORDERS_REQUEST, 2)};
    put(1, requests, 0);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_reject().reason, OME_REASON_FRAME_EMPTY);
    put(1, requests, sizeof(requests));
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_reject().reason, OME_REASON_FRAME_TOO_LONG);
    CHECK_EQUAL(last_reject().found, 2);
    for (uint16_t template_id = 0; template_id < 256; template_id++)
    {
        const bool is_known = ome_message_class(template_id) == OME_MESSAGE_CLASS_REQUEST || template_id == OME_TEMPLATE_LOGON ||
                              template_id == OME_TEMPLATE_LOGOUT;
        if (!is_known)
        {
            put_request(1, template_id, 1);
            CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
            CHECK_EQUAL(last_reject().reason, OME_REASON_UNKNOWN_TEMPLATE);
            CHECK_EQUAL(last_reject().found, template_id);
        }
    }
    finish();
}

/* Each byte of each request that has no meaning there must be zero. */
static void a_byte_that_means_nothing_is_refused(void)
{
    begin();
    log_on(1);
    static const uint16_t templates[] = {
        OME_TEMPLATE_ORDERS_REQUEST, OME_TEMPLATE_ORDER_STATUS_REQUEST, OME_TEMPLATE_INSTRUMENTS_REQUEST, OME_TEMPLATE_SESSIONS_REQUEST};
    static const uint32_t used_counts[] = {14, 16, 8, 8}; /* beside the request_id */
    for (uint32_t t = 0; t < 4; t++)
    {
        uint32_t used_count = 0;
        for (uint32_t place = 16; place < sizeof(ome_request_t); place++)
        {
            uint8_t bytes[sizeof(ome_request_t)];
            const ome_request_t request = request_of(templates[t], 1);
            memcpy(bytes, &request, sizeof(bytes));
            bytes[place] = 1;
            put(1, bytes, sizeof(bytes));
            CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
            used_count += last_answer(1).reason == OME_REASON_NONE;
            CHECK(last_answer(1).reason == OME_REASON_NONE || last_answer(1).reason == OME_REASON_RESERVED_NOT_ZERO);
        }
        CHECK_EQUAL(used_count, used_counts[t]);
    }
    finish();
}

static void a_logout_is_answered_and_ends_the_logon(void)
{
    begin();
    log_on(2);
    ome_logout_t logout = {0};
    ome_message_header_set(&logout, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    put(2, &logout, sizeof(logout));
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(stand.admitted[2], 0);
    memcpy(&logout, stand.sent[(stand.sent_count - 1) % 8].data, sizeof(logout));
    CHECK_EQUAL(logout.reason, OME_REASON_REQUESTED);
    put_request(2, OME_TEMPLATE_SESSIONS_REQUEST, 1);
    CHECK_EQUAL(work(), OME_REQUESTS_IDLE);
    CHECK_EQUAL(last_reject().reason, OME_REASON_NOT_LOGGED_ON);
    finish();
}

static void a_run_ends_with_its_time_or_when_it_is_called(void)
{
    begin();
    const uint64_t before_ns = now_ns;
    CHECK_EQUAL(ome_requests_run(stand.requests, 50), OME_REQUESTS_IDLE);
    CHECK(now_ns >= before_ns + 50 * NS_PER_MS && now_ns <= before_ns + 52 * NS_PER_MS);
    ome_requests_call(stand.requests);
    const uint64_t called_ns = now_ns;
    CHECK_EQUAL(ome_requests_run(stand.requests, 50), OME_REQUESTS_IDLE);
    CHECK_EQUAL(now_ns, called_ns);
    finish();
}

int main(void)
{
    RUN(a_request_before_a_logon_is_refused_and_asks_nothing);
    RUN(a_connection_that_is_logged_on_is_answered);
    RUN(answers_wait_for_the_gate_in_their_order);
    RUN(a_participant_whose_number_went_to_another_one_is_found_again);
    RUN(an_engine_that_is_busy_or_has_ended_is_named);
    RUN(the_match_thread_is_left_alone_after_a_long_answer);
    RUN(a_connection_that_asks_much_is_read_more_slowly);
    RUN(a_connection_has_one_question_about_fills_at_a_time);
    RUN(a_connection_that_does_not_read_ends);
    RUN(a_frame_that_is_none_is_refused_by_its_first_fault);
    RUN(a_byte_that_means_nothing_is_refused);
    RUN(a_logout_is_answered_and_ends_the_logon);
    RUN(a_run_ends_with_its_time_or_when_it_is_called);
    return 0;
}
