/* The session of a client: see ome_client.h. ome_connection.c has its connection, ome_unanswered.c its messages. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "ome_client.h"
#include "ome_connection.h"
#include "ome_unanswered.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MESSAGES_PER_FRAME 64u
#define LOGON_MS 5000u                                   /* the answer to a logon has so long */
#define BUSY_PAUSE_MIN_MS 1u
#define BUSY_PAUSE_MAX_MS 50u
#define CONNECT_PAUSE_MIN_MS 50u
#define CONNECT_PAUSE_MAX_MS 2000u
typedef enum
{
    WAITING, /* to connect again */
    LOGGING_ON,
    LOGGED_ON,
    ENDED
} state_t;

struct ome_client
{
    ome_connection_t connection;
    ome_logon_t logon;
    state_t state;
    uint64_t now_ms, connect_at_ms, resend_at_ms, sent_at_ms, heard_at_ms, progress_at_ms;
    uint32_t connect_pause_ms, busy_pause_ms, heartbeat_ms, frame_message_count;
    bool is_asked, is_resend_asked, is_leaving, is_logout_sent;
    bool is_news_logged_on, is_news_changed, is_news_ended;
    uint64_t next_report; /* 0: that after the newest at the first logon */
    ome_unanswered_t ring;
    uint32_t instrument_count, instrument_count_max;
    uint8_t end_reason;
    char error[512];
    ome_define_instrument_t *instruments;
    ome_unanswered_message_t messages[];
};

static uint64_t clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void client_explain(ome_client_t *client, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)vsnprintf(client->error, sizeof(client->error), format, values);
    va_end(values);
}

static void client_end(ome_client_t *client, uint8_t reason)
{
    client->state = ENDED;
    client->end_reason = reason;
    client->is_news_ended = true;
}

/* Connects again after a pause that grows until a logon succeeds. */
static ome_client_event_kind_t client_disconnect(ome_client_t *client)
{
    bool was_logged_on = client->state == LOGGED_ON;
    ome_connection_close(&client->connection);
    if (client->is_logout_sent)
    {
        client_explain(client, "%s: the connection ended before the server answered the logout", client->connection.endpoint);
        client_end(client, OME_REASON_NONE);
        return OME_CLIENT_NOTHING;
    }
    client->state = WAITING;
    client->connect_at_ms = client->now_ms + client->connect_pause_ms;
    client->connect_pause_ms = client->connect_pause_ms * 2u > CONNECT_PAUSE_MAX_MS ? CONNECT_PAUSE_MAX_MS : client->connect_pause_ms * 2u;
    return was_logged_on ? OME_CLIENT_DISCONNECTED : OME_CLIENT_NOTHING;
}

static bool client_transmit(ome_client_t *client, const void *data, size_t size)
{
    if (!ome_connection_send(&client->connection, data, size))
    {
        return false;
    }
    client->sent_at_ms = client->now_ms;
    return true;
}

static void client_connect(ome_client_t *client)
{
    if (!ome_connection_open(&client->connection))
    {
        client_explain(client, "%s: no connection can be made: %s", client->connection.endpoint, ome_connection_error());
        ome_connection_close(&client->connection);
        client_end(client, OME_REASON_NONE);
        return;
    }
    client->is_asked = client->is_resend_asked = false;
    client->logon.next_report_sequence = client->next_report;
    client->logon.login_id = client->connection.count;
    client->heard_at_ms = client->now_ms;
    client->state = LOGGING_ON;
    (void)client_transmit(client, &client->logon, sizeof(client->logon)); /* no answer in time: it tries again */
}

static ome_client_event_kind_t client_read_logon_answer(ome_client_t *client, const ome_logon_answer_t *answer)
{
    if (answer->reason != OME_REASON_NONE)
    {
        client_explain(client, "%s: the logon of %.16s, session %u, is refused: %s", client->connection.endpoint,
            client->logon.participant_name, client->logon.session_number, ome_reason_words(answer->reason));
        if (answer->reason == OME_REASON_BUSY || answer->reason == OME_REASON_THROTTLED || answer->reason == OME_REASON_SESSION_IN_USE ||
            answer->reason == OME_REASON_ENGINE_STOPPED)
        {
            return client_disconnect(client);
        }
        client_end(client, answer->reason);
        return OME_CLIENT_NOTHING;
    }
    client->state = LOGGED_ON;
    client->is_news_logged_on = true;
    client->connect_pause_ms = CONNECT_PAUSE_MIN_MS;
    client->busy_pause_ms = BUSY_PAUSE_MIN_MS;
    client->resend_at_ms = 0;
    client->progress_at_ms = client->now_ms;
    client->heartbeat_ms = answer->heartbeat_ms;
    client->frame_message_count =
        answer->frame_message_count_max < MESSAGES_PER_FRAME ? answer->frame_message_count_max : MESSAGES_PER_FRAME;
    client->instrument_count = 0;
    client->next_report = client->next_report == 0 ? answer->report_sequence + 1u : client->next_report;
    client->is_news_changed = !ome_unanswered_resume(&client->ring, answer->command_sequence) || client->is_news_changed;
    return OME_CLIENT_NOTHING;
}

static bool client_ask_again(ome_client_t *client)
{
    ome_resend_request_t request;
    ome_message_init(&request, OME_TEMPLATE_RESEND_REQUEST);
    request.next_report_sequence = client->next_report;
    return client_transmit(client, &request, sizeof(request));
}

static ome_client_event_kind_t client_read_report(ome_client_t *client, const ome_execution_report_t *report, ome_client_event_t *event)
{
    if (report->report_sequence != client->next_report)
    {
        if (report->report_sequence > client->next_report && !client->is_resend_asked)
        {
            client->is_resend_asked = client_ask_again(client);
        }
        return OME_CLIENT_NOTHING; /* it came before, or comes again */
    }
    client->next_report++;
    if (report->header.template_id == OME_TEMPLATE_EXECUTION_REPORT && ome_unanswered_answer(&client->ring, report))
    {
        client->progress_at_ms = client->now_ms;
        client->busy_pause_ms = BUSY_PAUSE_MIN_MS;
    }
    memcpy(&event->of.report, report, sizeof(event->of.report));
    event->reason = report->reason;
    return OME_CLIENT_REPORT;
}

static ome_client_event_kind_t client_read_resend_answer(ome_client_t *client, const ome_resend_answer_t *answer, ome_client_event_t *event)
{
    client->is_resend_asked = false;
    if (answer->reason == OME_REASON_NONE)
    {
        return OME_CLIENT_NOTHING;
    }
    client_explain(client, "%s: reports are lost: found %llu; allowed: from %llu", client->connection.endpoint,
        (unsigned long long)client->next_report, (unsigned long long)answer->next_report_sequence);
    client->next_report = answer->next_report_sequence;
    ome_unanswered_drop_taken(&client->ring); /* their answers may be among the lost */
    event->reason = answer->reason;
    return OME_CLIENT_REPORTS_LOST;
}

/* The server did not take the messages from this number on: they are sent again, in order, after a pause. */
static void client_go_back(ome_client_t *client, const ome_frame_reject_t *reject)
{
    if (!ome_unanswered_go_back(&client->ring, (uint32_t)reject->found, reject->reason == OME_REASON_STORAGE_LOW))
    {
        return;
    }
    client->busy_pause_ms = reject->accepted_count > 0 ? BUSY_PAUSE_MIN_MS : client->busy_pause_ms;
    client->resend_at_ms = client->now_ms + client->busy_pause_ms;
    client->busy_pause_ms = client->busy_pause_ms * 2u > BUSY_PAUSE_MAX_MS ? BUSY_PAUSE_MAX_MS : client->busy_pause_ms * 2u;
}

static ome_client_event_kind_t client_read_reject(ome_client_t *client, const ome_frame_reject_t *reject)
{
    switch (reject->reason)
    {
    case OME_REASON_BUSY:
    case OME_REASON_THROTTLED:
    case OME_REASON_STORAGE_LOW:
        client_go_back(client, reject);
        return OME_CLIENT_NOTHING;
    case OME_REASON_SEQUENCE_GAP: /* stood behind one that was refused, and is sent again with it */
        return OME_CLIENT_NOTHING;
    case OME_REASON_SEQUENCE_SEEN:
        client->is_resend_asked = client->is_resend_asked || client_ask_again(client);
        return OME_CLIENT_NOTHING;
    case OME_REASON_NOT_LOGGED_ON:
    case OME_REASON_ENGINE_STOPPED:
        return client_disconnect(client);
    default:
        client_explain(client, "%s: a frame is refused: field %.16s, found %llu; allowed: %llu; %s", client->connection.endpoint,
            reject->field, (unsigned long long)reject->found, (unsigned long long)reject->allowed, ome_reason_words(reject->reason));
        client_end(client, reject->reason);
        return OME_CLIENT_NOTHING;
    }
}

static ome_client_event_kind_t client_read_logout(ome_client_t *client, const ome_logout_t *logout, ome_client_event_t *event)
{
    event->reason = logout->reason;
    client_explain(client, "%s: the server ended the session: %s", client->connection.endpoint, ome_reason_words(logout->reason));
    if (logout->reason == OME_REASON_REQUESTED || logout->reason == OME_REASON_SESSION_TAKEN_OVER ||
        logout->reason == OME_REASON_NOT_PERMITTED)
    {
        client_end(client, logout->reason);
        return OME_CLIENT_NOTHING;
    }
    return client_disconnect(client);
}

static ome_client_event_kind_t client_read(ome_client_t *client, const ome_connection_message_t *message, ome_client_event_t *event)
{
    ome_heartbeat_t heartbeat;
    switch (message->header.template_id)
    {
    case OME_TEMPLATE_EXECUTION_REPORT:
    case OME_TEMPLATE_ATTRIBUTES_REPORT:
        return client_read_report(client, &message->report, event);
    case OME_TEMPLATE_LOGON_ANSWER:
        return client_read_logon_answer(client, &message->logon_answer);
    case OME_TEMPLATE_DEFINE_INSTRUMENT:
        if (client->instrument_count < client->instrument_count_max)
        {
            client->instruments[client->instrument_count++] = message->instrument;
        }
        return OME_CLIENT_NOTHING;
    case OME_TEMPLATE_RESEND_ANSWER:
        return client_read_resend_answer(client, &message->resend_answer, event);
    case OME_TEMPLATE_FRAME_REJECT:
        return client_read_reject(client, &message->reject);
    case OME_TEMPLATE_LOGOUT:
        return client_read_logout(client, &message->logout, event);
    case OME_TEMPLATE_TEST_REQUEST:
        ome_message_init(&heartbeat, OME_TEMPLATE_HEARTBEAT);
        heartbeat.request_id = message->test_request.request_id;
        (void)client_transmit(client, &heartbeat, sizeof(heartbeat));
        return OME_CLIENT_NOTHING;
    default:
        return OME_CLIENT_NOTHING; /* heartbeats, and what is newer than this client */
    }
}

/* Goes through the frame in hand until something happened. */
static ome_client_event_kind_t client_read_frame(ome_client_t *client, ome_client_event_t *event)
{
    ome_client_event_kind_t kind = OME_CLIENT_NOTHING;
    ome_connection_message_t message;
    while (kind == OME_CLIENT_NOTHING && client->state != ENDED && ome_connection_next(&client->connection, &message))
    {
        kind = client_read(client, &message, event);
    }
    return kind;
}

/* Sends what waits, in frames that end between commands. */
static void client_flush(ome_client_t *client)
{
    ome_unanswered_message_t messages[MESSAGES_PER_FRAME];
    ome_unanswered_t *ring = &client->ring;
    while (client->state == LOGGED_ON && !client->connection.is_lost && client->now_ms >= client->resend_at_ms &&
           ring->refuse_end <= ring->sent)
    {
        uint32_t count = ome_unanswered_copy(ring, messages, client->frame_message_count);
        if (count == 0 || !client_transmit(client, messages, count * sizeof(messages[0])))
        {
            break;
        }
        client->progress_at_ms = ring->sent == ring->first ? client->now_ms : client->progress_at_ms;
        ome_unanswered_note_sent(ring, count);
    }
    if (client->state == LOGGED_ON && client->is_leaving && ring->first == ring->next && !client->is_logout_sent)
    {
        ome_logout_t logout;
        ome_message_init(&logout, OME_TEMPLATE_LOGOUT);
        client->is_logout_sent = client_transmit(client, &logout, sizeof(logout));
    }
}

/* Signs of life: sends them, asks for them, and gives a silent connection up. */
static ome_client_event_kind_t client_keep_alive(ome_client_t *client)
{
    if (client->state == WAITING && client->now_ms >= client->connect_at_ms)
    {
        client_connect(client);
    }
    uint64_t silence_ms = client->now_ms - client->heard_at_ms;
    if (client->state == LOGGING_ON && silence_ms >= LOGON_MS)
    {
        client_explain(client, "%s: no answer to the logon: found none; allowed: one within %u ms", client->connection.endpoint, LOGON_MS);
        return client_disconnect(client);
    }
    if (client->state != LOGGED_ON)
    {
        return OME_CLIENT_NOTHING;
    }
    bool is_stuck = client->ring.first < client->ring.sent && client->now_ms - client->progress_at_ms >= 3u * client->heartbeat_ms;
    if (silence_ms >= 3u * client->heartbeat_ms || is_stuck)
    {
        client_explain(client, "%s: found no %s; allowed: one within %u ms", client->connection.endpoint,
            is_stuck ? "answer" : "sign of life", 3u * client->heartbeat_ms);
        return client_disconnect(client);
    }
    if (silence_ms >= 2u * client->heartbeat_ms && !client->is_asked)
    {
        ome_test_request_t request;
        ome_message_init(&request, OME_TEMPLATE_TEST_REQUEST);
        request.request_id = client->now_ms + 1u;
        client->is_asked = client_transmit(client, &request, sizeof(request));
    }
    if (client->now_ms - client->sent_at_ms >= client->heartbeat_ms / 2u)
    {
        ome_heartbeat_t heartbeat;
        ome_message_init(&heartbeat, OME_TEMPLATE_HEARTBEAT);
        (void)client_transmit(client, &heartbeat, sizeof(heartbeat));
    }
    return OME_CLIENT_NOTHING;
}

/* Takes the next frame in hand. What came before the connection was lost is read first. */
static ome_client_event_kind_t client_receive(ome_client_t *client)
{
    if (client->state == ENDED || client->state == WAITING)
    {
        return OME_CLIENT_NOTHING;
    }
    if (ome_connection_receive(&client->connection))
    {
        client->heard_at_ms = client->now_ms;
        client->is_asked = false;
        return OME_CLIENT_NOTHING;
    }
    if (client->connection.is_refused)
    {
        client_explain(client, "%s: found a key that the venue does not admit; allowed: one of its keys file", client->connection.endpoint);
        client_end(client, OME_REASON_NOT_PERMITTED);
        return OME_CLIENT_NOTHING;
    }
    if (client->connection.is_lost)
    {
        client_explain(client, "%s: the connection is lost, or there is no server", client->connection.endpoint);
        return client_disconnect(client);
    }
    return OME_CLIENT_NOTHING;
}

/* News that stand outside of the frame in hand. */
static ome_client_event_kind_t client_news(ome_client_t *client, ome_client_event_t *event)
{
    if (client->is_news_ended)
    {
        client->is_news_ended = false;
        ome_connection_close(&client->connection);
        event->reason = client->end_reason;
        return OME_CLIENT_ENDED;
    }
    if (client->connection.has_frame)
    {
        return OME_CLIENT_NOTHING;
    }
    if (client->is_news_changed)
    {
        client->is_news_changed = false;
        return OME_CLIENT_SESSION_CHANGED;
    }
    if (client->is_news_logged_on)
    {
        client->is_news_logged_on = false;
        return OME_CLIENT_LOGGED_ON;
    }
    if (client->ring.refuse_end > client->ring.sent && ome_unanswered_leave_out(&client->ring, &event->client_order_id))
    {
        event->reason = OME_REASON_STORAGE_LOW;
        return OME_CLIENT_ORDER_REFUSED;
    }
    return OME_CLIENT_NOTHING;
}

/* Sleeps until something comes or is due. */
static void client_wait(ome_client_t *client, uint64_t deadline_ms)
{
    uint64_t until_ms = deadline_ms;
    uint64_t due_ms = client->state == WAITING      ? client->connect_at_ms
                      : client->state == LOGGING_ON ? client->heard_at_ms + LOGON_MS
                                                    : client->sent_at_ms + client->heartbeat_ms / 2u;
    until_ms = due_ms < until_ms ? due_ms : until_ms;
    if (client->state == LOGGED_ON && client->ring.sent < client->ring.next && client->resend_at_ms > client->now_ms)
    {
        until_ms = client->resend_at_ms < until_ms ? client->resend_at_ms : until_ms;
    }
    long sleep_ms = until_ms > client->now_ms ? (long)(until_ms - client->now_ms) : 0;
    ome_connection_wait(&client->connection, sleep_ms);
}

ome_client_event_kind_t ome_client_poll(ome_client_t *client, ome_client_event_t *event, uint32_t timeout_ms)
{
    uint64_t deadline_ms = clock_ms() + timeout_ms;
    memset(event, 0, sizeof(*event));
    if (client->state == ENDED && !client->is_news_ended)
    {
        event->reason = client->end_reason;
        return event->kind = OME_CLIENT_ENDED;
    }
    for (bool is_over = false;;)
    {
        client->now_ms = clock_ms();
        ome_client_event_kind_t kind = client_read_frame(client, event);
        kind = kind != OME_CLIENT_NOTHING ? kind : client_news(client, event);
        kind = kind != OME_CLIENT_NOTHING || client->connection.has_frame ? kind : client_receive(client);
        kind = kind != OME_CLIENT_NOTHING ? kind : client_keep_alive(client);
        client_flush(client);
        if (kind != OME_CLIENT_NOTHING)
        {
            return event->kind = kind;
        }
        if (client->connection.has_frame || client->is_news_ended)
        {
            continue;
        }
        if (is_over)
        {
            return event->kind = OME_CLIENT_NOTHING;
        }
        client_wait(client, deadline_ms);
        is_over = clock_ms() >= deadline_ms;
    }
}

ome_client_status_t ome_client_send(ome_client_t *client, const void *command, const ome_client_term_t *terms, uint32_t term_count)
{
    ome_unanswered_message_t first;
    memcpy(&first, command, sizeof(first));
    uint16_t template_id = first.header.template_id;
    bool may_have_terms = template_id == OME_TEMPLATE_NEW_ORDER || template_id == OME_TEMPLATE_AMEND_ORDER;
    if (template_id < OME_TEMPLATE_NEW_ORDER || template_id > OME_TEMPLATE_MASS_CANCEL || template_id == OME_TEMPLATE_ORDER_TERMS ||
        term_count > (may_have_terms ? OME_CLIENT_TERM_COUNT_MAX : 0u))
    {
        return OME_CLIENT_INVALID;
    }
    if (client->state == ENDED || client->is_leaving)
    {
        return OME_CLIENT_LEAVING;
    }
    if (!client->ring.is_known)
    {
        return OME_CLIENT_NOT_YET;
    }
    if (!ome_unanswered_put(&client->ring, &first, terms, term_count))
    {
        return OME_CLIENT_FULL;
    }
    client->now_ms = clock_ms();
    client_flush(client);
    return OME_CLIENT_OK;
}

ome_client_status_t ome_client_new_order(
    ome_client_t *client, const ome_new_order_t *order, const ome_client_term_t *terms, uint32_t term_count)
{
    return ome_client_send(client, order, terms, term_count);
}

ome_client_status_t ome_client_amend(
    ome_client_t *client, const ome_amend_order_t *amend, const ome_client_term_t *terms, uint32_t term_count)
{
    return ome_client_send(client, amend, terms, term_count);
}

ome_client_status_t ome_client_cancel(ome_client_t *client, uint64_t client_order_id)
{
    ome_cancel_order_t cancel;
    ome_message_init(&cancel, OME_TEMPLATE_CANCEL_ORDER);
    cancel.client_order_id = client_order_id;
    return ome_client_send(client, &cancel, NULL, 0);
}

/* Copies a text that may be as long as its place; zeros behind it. */
static bool client_copy(char *place, size_t size, const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);
    if (length > size)
    {
        return false;
    }
    memset(place, 0, size);
    memcpy(place, text == NULL ? "" : text, length);
    return true;
}

ome_client_t *ome_client_create(const ome_client_options_t *options)
{
    uint32_t message_count_max = options->message_count_max == 0 ? 1024u : options->message_count_max;
    uint32_t instrument_count_max = options->instrument_count_max == 0 ? 1024u : options->instrument_count_max;
    ome_client_t *client = calloc(1, sizeof(*client) + message_count_max * sizeof(ome_unanswered_message_t));
    if (client == NULL)
    {
        return NULL;
    }
    client->instruments = calloc(instrument_count_max, sizeof(*client->instruments));
    ome_message_init(&client->logon, OME_TEMPLATE_LOGON);
    bool is_good = client->instruments != NULL && ome_connection_create(&client->connection) && options->endpoint != NULL &&
                   options->participant != NULL &&
                   client_copy(client->connection.endpoint, sizeof(client->connection.endpoint) - 1, options->endpoint) &&
                   client_copy(client->logon.participant_name, sizeof(client->logon.participant_name), options->participant) &&
                   client_copy(client->logon.secret, sizeof(client->logon.secret), options->secret) &&
                   client_copy(client->connection.server_key, sizeof(client->connection.server_key) - 1, options->server_key) &&
                   client_copy(client->connection.public_key, sizeof(client->connection.public_key) - 1, options->public_key) &&
                   client_copy(client->connection.secret_key, sizeof(client->connection.secret_key) - 1, options->secret_key);
    if (!is_good)
    {
        ome_client_destroy(client);
        return NULL;
    }
    client->logon.session_number = options->session_number;
    client->logon.session_flags = options->session_flags;
    client->logon.heartbeat_ms = options->heartbeat_ms;
    client->next_report = options->next_report_sequence;
    client->ring.messages = client->messages;
    client->ring.count_max = message_count_max;
    client->instrument_count_max = instrument_count_max;
    client->connect_pause_ms = CONNECT_PAUSE_MIN_MS;
    return client;
}

void ome_client_destroy(ome_client_t *client)
{
    if (client == NULL)
    {
        return;
    }
    ome_connection_destroy(&client->connection);
    free(client->instruments);
    free(client);
}

void ome_client_log_out(ome_client_t *client)
{
    client->is_leaving = true;
}

const ome_define_instrument_t *ome_client_instrument(const ome_client_t *client, const char *symbol)
{
    for (uint32_t index = 0; index < client->instrument_count; index++)
    {
        if (strncmp(client->instruments[index].symbol, symbol, sizeof(client->instruments[index].symbol)) == 0)
        {
            return &client->instruments[index];
        }
    }
    return NULL;
}

uint64_t ome_client_next_report_sequence(const ome_client_t *client)
{
    return client->next_report;
}

uint32_t ome_client_unanswered_count(const ome_client_t *client)
{
    return (uint32_t)(client->ring.next - client->ring.first);
}

const char *ome_client_error(const ome_client_t *client)
{
    return client->error;
}
