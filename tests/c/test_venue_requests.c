/* Requests to a venue that runs: its match thread, its journal, the thread of requests, and a client over TCP, all at once. What comes is what
 * the engine has, and may be spoken of. */
#include <arpa/inet.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ome_requests_face.h"
#include "ome_test_zmtp.h"
#include "venue_fixture.h"
#include "wire/ome_requests.h"

#define GREETING_SIZE 64u
#define NAME "FIRM1"

/* A venue with an address of requests, and a client of it. */
typedef struct
{
    ome_venue_t *venue;
    ome_listener_t *listener;
    ome_requests_t *requests;
    pthread_t thread;
    atomic_bool is_over;
    int listen_fd;
    int event_fd;
    int client_fd;
    uint64_t last_sequence;
    uint32_t order_count;
    uint8_t frame[sizeof(ome_request_answer_t) + OME_ANSWER_SIZE_MAX];
} stand_t;

/* ---- the thread of requests ---- */

static void log_on(stand_t *stand)
{
    static const char name[OME_NAME_SIZE] = NAME;
    ome_requests_who_t who;
    ome_logon_answer_t answer = {0};
    const uint64_t peer = ome_requests_peer(stand->requests);
    ome_requests_find(stand->requests, name, &who);
    CHECK_EQUAL(ome_requests_admit(stand->requests, peer, name, &who), OME_OK);
    ome_message_header_set(&answer, OME_TEMPLATE_LOGON_ANSWER, OME_BLOCK_LOGON_ANSWER);
    answer.participant = who.participant;
    ome_requests_answer_logon(stand->requests, peer, (const uint8_t *)&answer, sizeof(answer), who.sequence);
}

static void *serve(void *argument)
{
    stand_t *stand = argument;
    while (!atomic_load(&stand->is_over))
    {
        const ome_requests_outcome_t outcome = ome_requests_run(stand->requests, 50);
        CHECK(outcome == OME_REQUESTS_IDLE || outcome == OME_REQUESTS_LOGON);
        if (outcome == OME_REQUESTS_LOGON)
        {
            log_on(stand);
        }
    }
    return NULL;
}

/* ---- the client ---- */

static void read_exactly(const stand_t *stand, void *data, size_t size_bytes)
{
    for (size_t done = 0; done < size_bytes;)
    {
        const ssize_t count = recv(stand->client_fd, (uint8_t *)data + done, size_bytes - done, 0);
        CHECK(count > 0);
        done += (size_t)count;
    }
}

/* Reads a frame of ZMTP. Returns its size. */
static uint32_t read_frame(stand_t *stand)
{
    uint8_t head[9];
    uint64_t size_bytes = 0;
    read_exactly(stand, head, 1);
    const uint32_t size_size = (head[0] & 2) != 0 ? 8 : 1;
    read_exactly(stand, head + 1, size_size);
    for (uint32_t i = 1; i <= size_size; i++)
    {
        size_bytes = size_bytes << 8 | head[i];
    }
    CHECK(size_bytes <= sizeof(stand->frame));
    read_exactly(stand, stand->frame, size_bytes);
    return (uint32_t)size_bytes;
}

static void send_bytes(const stand_t *stand, const bytes_t *bytes)
{
    CHECK_EQUAL(send(stand->client_fd, bytes->data, bytes->size_bytes, 0), bytes->size_bytes);
}

static void client_begin(stand_t *stand)
{
    struct sockaddr_in address;
    socklen_t size_bytes = sizeof(address);
    uint8_t greeting[GREETING_SIZE];
    bytes_t bytes = {0};
    ome_logon_t logon = {.participant_name = NAME};
    ome_logon_answer_t answer;
    CHECK_EQUAL(getsockname(stand->listen_fd, (struct sockaddr *)&address, &size_bytes), 0);
    stand->client_fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQUAL(connect(stand->client_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ome_message_header_set(&logon, OME_TEMPLATE_LOGON, OME_BLOCK_LOGON);
    put_hello(&bytes, "DEALER");
    put_frame(&bytes, 0, &logon, sizeof(logon));
    send_bytes(stand, &bytes);
    read_exactly(stand, greeting, sizeof(greeting));
    (void)read_frame(stand); /* READY */
    CHECK_EQUAL(read_frame(stand), sizeof(answer));
    memcpy(&answer, stand->frame, sizeof(answer));
    CHECK_EQUAL(answer.participant, 1);
}

/* Asks, checks what every answer has, and gives it. */
static ome_request_answer_t ask(stand_t *stand, ome_request_t request, uint16_t template_id)
{
    static uint64_t request_id;
    bytes_t bytes = {0};
    ome_request_answer_t answer;
    ome_message_header_t header;
    request.request_id = ++request_id;
    ome_message_header_set(&request, template_id, OME_BODY_SIZE);
    put_frame(&bytes, 0, &request, sizeof(request));
    send_bytes(stand, &bytes);
    const uint32_t size_bytes = read_frame(stand);
    memcpy(&answer, stand->frame, sizeof(answer));
    memcpy(&header, stand->frame, sizeof(header));
    CHECK_EQUAL(header.template_id, OME_TEMPLATE_REQUEST_ANSWER);
    CHECK_EQUAL(answer.request_id, request_id);
    if (answer.reason == OME_REASON_ENGINE_STOPPED)
    {
        return answer;
    }
    CHECK(answer.engine_sequence >= stand->last_sequence);
    CHECK(answer.engine_sequence <= ome_published_limit(&stand->venue->published));
    stand->last_sequence = answer.engine_sequence;
    uint32_t offset = sizeof(answer);
    for (uint32_t i = 0; i < answer.message_count; i++)
    {
        memcpy(&header, stand->frame + offset, sizeof(header));
        offset += OME_MESSAGE_HEADER_SIZE + header.block_length;
    }
    CHECK_EQUAL(offset, size_bytes);
    return answer;
}

/* Pages through the open orders, and asks for each by both ids: it is open still, or has ended. */
static void ask_for_orders(stand_t *stand)
{
    ome_open_order_t orders[OME_ANSWER_MESSAGE_COUNT_MAX];
    ome_request_answer_t answer = {0};
    do
    {
        answer = ask(stand, (ome_request_t){.cursor = answer.next_cursor}, OME_TEMPLATE_ORDERS_REQUEST);
        CHECK_EQUAL(answer.reason, OME_REASON_NONE);
        memcpy(orders, stand->frame + sizeof(answer), answer.message_count * sizeof(orders[0]));
        for (uint32_t i = 0; i < answer.message_count; i++)
        {
            CHECK_EQUAL(orders[i].session, 1);
            CHECK_EQUAL(orders[i].instrument, 1);
            CHECK(orders[i].leaves_quantity > 0);
            CHECK(orders[i].displayed_quantity <= orders[i].leaves_quantity);
            const ome_request_answer_t found =
                ask(stand, (ome_request_t){.order_id = orders[i].order_id}, OME_TEMPLATE_ORDER_STATUS_REQUEST);
            CHECK_EQUAL(found.message_count, found.reason == OME_REASON_NONE);
            CHECK(found.reason == OME_REASON_NONE || found.reason == OME_REASON_ORDER_CLOSED || found.reason == OME_REASON_UNKNOWN_ORDER);
            stand->order_count++;
        }
    } while (answer.next_cursor != 0);
}

/* ---- a life ---- */

static void stand_begin(stand_t *stand, const char *directory)
{
    const plan_t plan = {OME_POLICY_COMMIT, 256, 512, 1, OME_WAIT_BLOCK, directory};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *stand = (stand_t){.venue = venue_open(&plan), .event_fd = eventfd(0, EFD_NONBLOCK)};
    stand->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_EQUAL(bind(stand->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQUAL(listen(stand->listen_fd, 8), 0);
    CHECK_EQUAL(
        ome_venue_listen(stand->venue, stand->listen_fd, OME_LISTEN_REQUESTS, 4, 1024, 1 << 20, 4 << 20, NULL, &stand->listener), OME_OK);
    CHECK_EQUAL(ome_requests_create(stand->venue, NULL, stand->listener, stand->event_fd, &stand->requests), OME_OK);
}

static void stand_end(stand_t *stand)
{
    atomic_store(&stand->is_over, true);
    ome_requests_call(stand->requests);
    CHECK_EQUAL(pthread_join(stand->thread, NULL), 0);
    CHECK_EQUAL(close(stand->client_fd), 0);
    ome_requests_destroy(stand->requests);
    ome_listener_destroy(stand->listener, 0);
    CHECK_EQUAL(close(stand->listen_fd), 0);
    CHECK_EQUAL(close(stand->event_fd), 0);
    CHECK_EQUAL(ome_venue_destroy(stand->venue), OME_OK);
}

/* Orders of FIRM1, of all kinds, until it is over. */
static void *submit_for_firm(void *argument)
{
    submitter_t *submitter = argument;
    flow_t flow = flow_of(submitter->flow_seed);
    submitter->status = OME_OK;
    while (submitter->accepted_count < submitter->command_count && submitter->status == OME_OK)
    {
        ome_command_t command = flow_next(&flow);
        command.participant = 1;
        command.session = 1;
        submitter->status = submit(submitter->venue, &command, 1);
        submitter->accepted_count++;
    }
    return NULL;
}

static void requests_are_answered_while_orders_of_all_kinds_come(void)
{
    const directory_t directory = directory_new();
    static stand_t stand;
    reader_t reader;
    stand_begin(&stand, directory.path);
    submitter_t submitter = {.venue = stand.venue, .flow_seed = seed, .command_count = 4000 * LOAD};
    reader_start(&reader, stand.venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(stand.venue), OME_OK);
    submit_definitions(stand.venue);
    const ome_command_t session = define_session(1, 1, NAME, 0);
    CHECK_EQUAL(submit(stand.venue, &session, 1), OME_OK);
    CHECK_EQUAL(pthread_create(&stand.thread, NULL, serve, &stand), 0);
    while (counter_of(stand.venue, OME_COUNT_COMMANDS) < 3)
    {
        sched_yield();
    }
    client_begin(&stand);
    CHECK_EQUAL(pthread_create(&submitter.thread, NULL, submit_for_firm, &submitter), 0);
    for (uint32_t i = 0; i < 30 * LOAD; i++)
    {
        ask_for_orders(&stand);
        CHECK_EQUAL(ask(&stand, (ome_request_t){0}, OME_TEMPLATE_SESSIONS_REQUEST).message_count, 1);
        CHECK_EQUAL(ask(&stand, (ome_request_t){0}, OME_TEMPLATE_INSTRUMENTS_REQUEST).message_count, 1);
    }
    CHECK(stand.order_count > 0);
    CHECK_EQUAL(pthread_join(submitter.thread, NULL), 0);
    CHECK_EQUAL(submitter.status, OME_OK);
    ask_for_orders(&stand);
    ome_venue_stop(stand.venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    CHECK_EQUAL(ask(&stand, (ome_request_t){0}, OME_TEMPLATE_SESSIONS_REQUEST).reason, OME_REASON_ENGINE_STOPPED);
    stand_end(&stand);
    directory_remove(&directory);
}

int main(void)
{
    seed = test_seed(22);
    RUN(requests_are_answered_while_orders_of_all_kinds_come);
    return 0;
}
