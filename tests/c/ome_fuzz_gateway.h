/* A venue for the fuzz driver, with clients that look at all that they are sent: the house of the gateway's tests, a clock that moves by
 * hand, the caller (ome_fuzz_caller.h), and a second engine that says what each session's reports are (gateway_truth.h).
 *
 * What always holds, whatever clients send:
 *     a client is sent nothing before it has sent something, and of a session only what it is logged on to
 *     a session's reports are those of the second engine, byte for byte, and none is left out
 *     so are a drop copy's, which are those of its own participant's sessions alone, and it sends no command
 *     a message is sequenced once, in the order of its session's numbers, as a command of the session's own participant
 *     each frame is taken, answered as seen, or refused, and refusals are counted; a bad frame leaves nothing behind
 *     nothing is said of a command before it may be published
 *     what the gateway says of its sessions fits to its connections */
#ifndef OME_FUZZ_GATEWAY_H
#define OME_FUZZ_GATEWAY_H

#include <time.h>

#include "ome_fuzz_caller.h"

#define CLIENT_COUNT (PEER_COUNT - 1)
#define CLIENT_FRAME_SIZE_MAX (OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX * OME_RECORD_SIZE)
#define SENT_COUNT_MAX (1u << 14)
#define CLOCK_STEP_NS UINT64_C(10000) /* each look at the clock takes so long: whoever waits comes to an end */

/* Of a session, on a connection; or of a drop copy, which is session 0. */
typedef struct
{
    bool is_logged_on;
    uint64_t next_report;
} client_session_t;

typedef struct
{
    client_session_t sessions[CALLER_SESSIONS + 1];
    char name[OME_NAME_SIZE]; /* of the participant of the drop copy, and its number */
    uint16_t participant;
    uint32_t numbers[CALLER_SLOTS + 1];   /* of the last message that it sent */
    uint8_t frame[CLIENT_FRAME_SIZE_MAX];  /* the last that was good */
    uint32_t frame_size;
    bool has_sent;
} client_t;

/* A frame that the gateway has sent, or would have. */
typedef struct
{
    uint8_t *data;
    uint32_t size_bytes;
    uint32_t peer;
    bool is_delivered;
    bool is_last;
    bool is_added;  /* of the answer to a logon: the connection keeps the sessions that it has */
    uint64_t asked; /* and the report that was asked for */
    char name[OME_NAME_SIZE]; /* and by whom */
} sent_t;

typedef enum
{
    FRAME_IS_BAD,
    FRAME_IS_COMMANDS,
    FRAME_IS_SESSIONS, /* for a session that is logged on */
    FRAME_IS_CALLERS   /* a logon or logout */
} frame_class_t;

/* The frame that the gateway is at, and the counters before it. */
typedef struct
{
    frame_class_t class;
    uint32_t message_count;
    uint64_t refused;
    uint64_t taken;
    uint64_t seen;
    bool is_there;
    bool is_copys; /* a drop copy has sent it */
} taken_frame_t;

typedef struct
{
    house_t *house;
    truth_t *truth;
    caller_t caller;
    client_t clients[PEER_COUNT];
    sent_t sent[SENT_COUNT_MAX];
    uint32_t sent_count;
    taken_frame_t frame;
    uint64_t frame_count;   /* that the gateway has received */
    uint64_t refusal_count; /* that it has sent, or would have */
    uint64_t report_count;  /* that clients have got, for the driver */
    uint32_t command_messages_max;
    bool is_refused[CALLER_SESSIONS + 1]; /* its last definition */
    bool is_matching; /* the engine is in the middle of a command */
    bool answers_at_once; /* the archive */
} fuzz_venue_t;

static fuzz_venue_t venue;

/* ---- the clock, and the room of the stream: the linker gives both to us (csrc/CMakeLists.txt) ---- */

static bool has_own_time;
static uint64_t own_time_ns;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
ome_status_t __wrap_ome_stream_wait_room(ome_stream_t *stream, uint64_t timeout_ns);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!has_own_time || clock == CLOCK_REALTIME)
    {
        return __real_clock_gettime(clock, now);
    }
    own_time_ns += CLOCK_STEP_NS;
    *now = (struct timespec){.tv_sec = (time_t)(own_time_ns / 1000000000), .tv_nsec = (long)(own_time_ns % 1000000000)};
    return 0;
}

static ome_gateway_outcome_t venue_turn(void);

/* The match stage waits for room in the stream: the gateway reads meanwhile, as its thread does. */
ome_status_t __wrap_ome_stream_wait_room(ome_stream_t *stream, uint64_t timeout_ns)
{
    (void)stream;
    (void)timeout_ns;
    CHECK(venue.is_matching);
    open_gate(venue.house, UINT64_MAX);
    (void)venue_turn();
    return OME_OK;
}

/* ---- what the gateway receives ---- */

static bool is_of_client(uint16_t template_id)
{
    const bool is_command = template_id >= OME_TEMPLATE_NEW_ORDER && template_id <= OME_TEMPLATE_MASS_CANCEL;
    return is_command || template_id == OME_TEMPLATE_LOGON || template_id == OME_TEMPLATE_LOGOUT || template_id == OME_TEMPLATE_HEARTBEAT ||
           template_id == OME_TEMPLATE_TEST_REQUEST || template_id == OME_TEMPLATE_RESEND_REQUEST;
}

/* Whether the messages of a frame are whole commands. */
static bool are_whole_commands(const uint8_t *data, uint32_t count, uint32_t count_max)
{
    uint32_t open_count = 0; /* messages of the command that goes on */
    for (uint32_t i = 0; i < count; i++)
    {
        ome_command_t command;
        memcpy(&command, data + i * OME_RECORD_SIZE, sizeof(command));
        const uint16_t kind = template_of(data + i * OME_RECORD_SIZE);
        const bool is_terms = kind == OME_TEMPLATE_ORDER_TERMS;
        const bool goes_on = (kind == OME_TEMPLATE_NEW_ORDER || kind == OME_TEMPLATE_AMEND_ORDER || is_terms) &&
                             (command.flags & OME_COMMAND_FLAGS_CONTINUED) != 0;
        if (is_terms != (open_count > 0))
        {
            return false;
        }
        open_count = goes_on ? open_count + 1 : 0;
        if (open_count >= count_max)
        {
            return false;
        }
    }
    return open_count == 0;
}

/* What a frame is, by PROTOCOL.md; written apart from the gateway's own inspection. */
static frame_class_t class_of(const uint8_t *data, uint32_t size_bytes, uint32_t *count)
{
    const bool is_logon = size_bytes == sizeof(ome_logon_t) && template_of(data) == OME_TEMPLATE_LOGON;
    *count = is_logon ? 1 : size_bytes / OME_RECORD_SIZE;
    if (*count == 0 || (!is_logon && size_bytes % OME_RECORD_SIZE != 0) || *count > OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX)
    {
        return FRAME_IS_BAD;
    }
    for (uint32_t i = 0; i < *count; i++)
    {
        ome_message_header_t header;
        memcpy(&header, data + i * OME_RECORD_SIZE, sizeof(header));
        const bool is_alone = header.template_id > OME_TEMPLATE_MASS_CANCEL;
        const bool is_right_length = header.block_length == (header.template_id == OME_TEMPLATE_LOGON ? OME_BLOCK_LOGON : OME_BODY_SIZE);
        if (header.schema_id != OME_SCHEMA_ID || header.version != OME_SCHEMA_VERSION || !is_of_client(header.template_id) ||
            !is_right_length || (header.template_id == OME_TEMPLATE_LOGON && !is_logon) || (is_alone && *count > 1))
        {
            return FRAME_IS_BAD;
        }
    }
    const uint16_t template_id = template_of(data);
    if (template_id <= OME_TEMPLATE_MASS_CANCEL)
    {
        return are_whole_commands(data, *count, venue.command_messages_max) ? FRAME_IS_COMMANDS : FRAME_IS_BAD;
    }
    return template_id == OME_TEMPLATE_LOGON || template_id == OME_TEMPLATE_LOGOUT ? FRAME_IS_CALLERS : FRAME_IS_SESSIONS;
}

/* The gateway is done with a frame: what became of it. */
static void settle_frame(void)
{
    const taken_frame_t *frame = &venue.frame;
    const uint64_t refused = count_of(venue.house, OME_COUNT_FRAMES_REJECTED) - frame->refused;
    const uint64_t taken = count_of(venue.house, OME_COUNT_MESSAGES_IN) - frame->taken;
    const uint64_t seen = count_of(venue.house, OME_COUNT_MESSAGES_SEEN) - frame->seen;
    if (!frame->is_there)
    {
        return;
    }
    venue.frame.is_there = false;
    if (frame->class == FRAME_IS_COMMANDS)
    {
        CHECK(!frame->is_copys || (taken + seen == 0 && refused == 1));
        CHECK(taken + seen <= frame->message_count);
        CHECK(taken + seen == frame->message_count || refused > 0);
        CHECK(refused <= 2);
        return;
    }
    CHECK_EQUAL(taken + seen, 0);
    CHECK(frame->class == FRAME_IS_BAD ? refused == 1 : refused <= (frame->class == FRAME_IS_SESSIONS));
}

static ome_status_t venue_receive(void *context, ome_socket_message_t *message)
{
    settle_frame();
    const ome_status_t status = wire_receive(context, message);
    if (status == OME_OK && message->kind == OME_SOCKET_PART)
    {
        taken_frame_t *frame = &venue.frame;
        frame->is_there = true;
        frame->is_copys = caller_is_copy(ome_gateway_session_of(venue.house->gateway, message->peer));
        frame->class = class_of(message->data, message->data_size_bytes, &frame->message_count);
        frame->refused = count_of(venue.house, OME_COUNT_FRAMES_REJECTED);
        frame->taken = count_of(venue.house, OME_COUNT_MESSAGES_IN);
        frame->seen = count_of(venue.house, OME_COUNT_MESSAGES_SEEN);
        venue.frame_count++;
    }
    return status;
}

/* ---- what the gateway sends ---- */

static void keep_sent(uint64_t peer, const uint8_t *data, uint32_t size_bytes, bool is_delivered, bool is_last)
{
    CHECK(venue.sent_count < SENT_COUNT_MAX);
    CHECK(size_bytes >= OME_RECORD_SIZE);
    sent_t *sent = &venue.sent[venue.sent_count++];
    *sent = (sent_t){
        .data = malloc(size_bytes), .size_bytes = size_bytes, .peer = (uint32_t)peer, .is_delivered = is_delivered, .is_last = is_last};
    CHECK(sent->data != NULL);
    memcpy(sent->data, data, size_bytes);
    if (template_of(data) == OME_TEMPLATE_LOGON_ANSWER)
    {
        ome_logon_answer_t answer;
        memcpy(&answer, data, sizeof(answer));
        const uint16_t session = answer.session != 0 ? answer.session : ome_gateway_session_of(venue.house->gateway, peer);
        const ome_logon_t *logon = &venue.caller.admitted[session].logon;
        sent->asked = logon->next_report_sequence;
        sent->is_added = (logon->logon_flags & OME_LOGON_FLAGS_ADD_SESSION) != 0;
        memcpy(sent->name, logon->participant_name, OME_NAME_SIZE);
    }
}

static void check_gate(const uint8_t *data, uint32_t size_bytes)
{
    for (uint32_t offset = 0; is_report_frame(data) && offset < size_bytes; offset += REPORT_SIZE)
    {
        ome_execution_report_t report;
        memcpy(&report, data + offset, sizeof(report));
        CHECK(report.engine_sequence <= ome_published_limit(&venue.house->published));
    }
}

/* Why commands of a drop copy are refused. */
static void check_refusal(const uint8_t *data)
{
    ome_frame_reject_t reject;
    memcpy(&reject, data, sizeof(reject));
    venue.refusal_count++;
    if (venue.frame.is_there && venue.frame.is_copys && venue.frame.class == FRAME_IS_COMMANDS)
    {
        CHECK_EQUAL(reject.reason, OME_REASON_NOT_PERMITTED);
        CHECK_EQUAL(reject.accepted_count, 0);
        CHECK_EQUAL(reject.session, 0);
    }
}

static ome_status_t venue_send(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    const wire_peer_t *to = peer_at(context, peer);
    const ome_status_t status = to != NULL ? to->status : OME_NOT_FOUND;
    if (template_of(data) == OME_TEMPLATE_FRAME_REJECT)
    {
        check_refusal(data);
    }
    check_gate(data, size_bytes);
    if (to != NULL)
    {
        keep_sent(peer, data, size_bytes, status == OME_OK, false);
    }
    return status;
}

static void venue_end(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    wire_peer_t *ended = peer_at(context, peer);
    if (ended != NULL)
    {
        keep_sent(peer, data, size_bytes, true, true);
        ended->is_ended = true;
    }
}

/* ---- what a client makes of it ---- */

static client_session_t *session_sent(client_t *client, uint16_t session)
{
    CHECK(session <= CALLER_SESSIONS);
    CHECK(client->sessions[session].is_logged_on);
    return &client->sessions[session];
}

/* A report to a session of the drop copy's participant, as it was when the command was applied. */
static void check_copy(const client_t *client, const ome_execution_report_t *report)
{
    const truth_copies_t *copies = venue.truth->copies[client->participant];
    while (copies != NULL && copies->begun_sequence >= report->engine_sequence)
    {
        copies = copies->former;
    }
    CHECK(copies != NULL);
    CHECK_BYTES_EQUAL(copies->name, client->name, OME_NAME_SIZE);
    CHECK(report->report_sequence <= copies->count);
    CHECK_BYTES_EQUAL(report, copies->reports + (report->report_sequence - 1) * REPORT_SIZE, REPORT_SIZE);
}

/* The next report, or one that was sent before; and it is what happened. */
static void read_report(client_t *client, const uint8_t *data)
{
    ome_execution_report_t report;
    memcpy(&report, data, sizeof(report));
    const bool is_copy = client->sessions[0].is_logged_on;
    client_session_t *session = session_sent(client, is_copy ? 0 : report.session);
    CHECK(report.report_sequence >= 1 && report.report_sequence <= session->next_report);
    if (is_copy)
    {
        check_copy(client, &report);
    }
    else if (report.engine_sequence > venue.truth->engine->progress[report.session].defined_sequence)
    {
        CHECK_BYTES_EQUAL(&report, truth_report(venue.truth, report.session, report.report_sequence), sizeof(report));
    }
    session->next_report += report.report_sequence == session->next_report;
}

/* A frame that does not arrive leaves the client where it is. */
static void read_reports(client_t *client, const sent_t *sent)
{
    client_session_t before[CALLER_SESSIONS + 1];
    memcpy(before, client->sessions, sizeof(before));
    CHECK_EQUAL(sent->size_bytes % REPORT_SIZE, 0);
    for (uint32_t offset = 0; offset < sent->size_bytes; offset += REPORT_SIZE)
    {
        CHECK(is_report_frame(sent->data + offset));
        read_report(client, sent->data + offset);
    }
    if (!sent->is_delivered)
    {
        memcpy(client->sessions, before, sizeof(before));
        return;
    }
    venue.report_count += sent->size_bytes / REPORT_SIZE;
}

static void read_logon_answer(client_t *client, const sent_t *sent)
{
    ome_logon_answer_t answer;
    CHECK_EQUAL(sent->size_bytes, sizeof(answer));
    memcpy(&answer, sent->data, sizeof(answer));
    if (answer.reason != OME_REASON_NONE)
    {
        return;
    }
    for (uint32_t other = 0; other <= CALLER_SESSIONS; other++)
    {
        client->sessions[other].is_logged_on = client->sessions[other].is_logged_on && sent->is_added && other != 0;
    }
    client->participant = answer.participant;
    memcpy(client->name, sent->name, OME_NAME_SIZE);
    const bool has_asked = sent->asked != 0 && sent->asked <= answer.report_sequence;
    client->sessions[answer.session] =
        (client_session_t){.is_logged_on = true, .next_report = has_asked ? sent->asked : answer.report_sequence + 1};
}

static void read_resend_answer(client_t *client, const sent_t *sent)
{
    ome_resend_answer_t answer;
    memcpy(&answer, sent->data, sizeof(answer));
    client_session_t *session = session_sent(client, answer.session);
    CHECK(answer.next_report_sequence >= 1 && answer.next_report_sequence <= answer.report_sequence + 1);
    CHECK(answer.reason != OME_REASON_REPORTS_GONE || venue.caller.has_lost_reports);
    session->next_report = answer.next_report_sequence;
}

static void read_logout(client_t *client, const sent_t *sent)
{
    ome_logout_t logout;
    memcpy(&logout, sent->data, sizeof(logout));
    if (logout.session != 0)
    {
        (void)session_sent(client, logout.session);
    }
    client->sessions[logout.session].is_logged_on = false;
    for (uint32_t other = 0; other <= CALLER_SESSIONS; other++)
    {
        CHECK(!sent->is_last || !client->sessions[other].is_logged_on);
    }
}

static void read_sent(const sent_t *sent)
{
    client_t *client = &venue.clients[sent->peer];
    ome_heartbeat_t heartbeat;
    ome_test_request_t test;
    memcpy(&heartbeat, sent->data, sizeof(heartbeat));
    memcpy(&test, sent->data, sizeof(test));
    CHECK(client->has_sent);
    switch (template_of(sent->data))
    {
    case OME_TEMPLATE_EXECUTION_REPORT:
    case OME_TEMPLATE_ATTRIBUTES_REPORT:
        read_reports(client, sent);
        break;
    case OME_TEMPLATE_LOGON_ANSWER:
        read_logon_answer(client, sent);
        break;
    case OME_TEMPLATE_RESEND_ANSWER:
        read_resend_answer(client, sent);
        break;
    case OME_TEMPLATE_LOGOUT:
        read_logout(client, sent);
        break;
    case OME_TEMPLATE_HEARTBEAT:
        (void)session_sent(client, heartbeat.session);
        break;
    case OME_TEMPLATE_TEST_REQUEST:
        (void)session_sent(client, test.session);
        break;
    default:
        CHECK_EQUAL(template_of(sent->data), OME_TEMPLATE_FRAME_REJECT);
        break;
    }
}

static void read_all_sent(void)
{
    for (uint32_t i = 0; i < venue.sent_count && !venue.is_matching; i++)
    {
        read_sent(&venue.sent[i]);
        free(venue.sent[i].data);
    }
    venue.sent_count = venue.is_matching ? venue.sent_count : 0;
}

/* ---- what the engine gets ---- */

/* A client's message has the number after the one before, and is of the session's own participant. */
static void check_command(const ome_command_t *command)
{
    const ome_engine_t *engine = venue.truth->engine;
    const bool is_gateways = command->kind == OME_COMMAND_KIND_MASS_CANCEL && (command->flags & OME_COMMAND_FLAGS_ON_DISCONNECT) != 0 &&
                             command->session_sequence == 0;
    if (ome_message_class(command->kind) != OME_MESSAGE_CLASS_ORDER || command->session == 0 || is_gateways)
    {
        return;
    }
    CHECK(command->session <= CALLER_SESSIONS);
    if (!ome_session_is_defined(engine, command->session) || ome_session_participant(engine, command->session) != command->participant)
    {
        CHECK(venue.is_refused[command->session]); /* the definition that went before it */
        return;
    }
    CHECK_EQUAL(command->session_sequence, ome_session_next_sequence(engine->progress[command->session].command_sequence));
}

/* Whether the engine has refused the last definition of a session. */
static void note_definition(const ome_command_t *command)
{
    if (command->kind == OME_COMMAND_KIND_DEFINE_SESSION && command->session <= CALLER_SESSIONS)
    {
        CHECK(venue.truth->recorder->count > 0);
        venue.is_refused[command->session] = venue.truth->recorder->events[0].kind == OME_EVENT_KIND_REJECTED;
    }
}

/* The engine applies a batch, and the second engine follows it. */
static uint32_t venue_match(void)
{
    venue.is_matching = true;
    const uint32_t count = ome_match_stage_do_work(venue.house->stage);
    venue.is_matching = false;
    while (venue.truth->engine->sequence < venue.house->engine->sequence)
    {
        ome_command_t command;
        memcpy(&command, ome_ring_slot(venue.house->ring, venue.truth->engine->sequence + 1), sizeof(command));
        check_command(&command);
        truth_step(venue.truth, venue.house);
        note_definition(&command);
    }
    return count;
}

/* ---- the whole ---- */

static ome_gateway_outcome_t venue_turn(void)
{
    caller_t *caller = &venue.caller;
    const ome_gateway_outcome_t outcome = run(venue.house);
    settle_frame();
    CHECK(outcome != OME_GATEWAY_STOPPED);
    read_all_sent();
    caller_take(caller, outcome);
    if (venue.answers_at_once)
    {
        caller_give(caller, OME_GATEWAY_ARCHIVE_COUNT_MAX, 0);
    }
    read_all_sent();
    wire_t *wire = venue.house->wire;
    if (wire->in_read == wire->in_count)
    {
        wire->in_count = wire->in_read = 0;
    }
    return outcome;
}

/* A definition and a pair of engines that know it. */
static ome_engine_t *venue_engine(void)
{
    ome_engine_t *engine = market_engine(&standard_limits);
    recorder_t *recorder = recorder_new(1);
    const ome_command_t definitions[3] = {define_instrument(1, "ONE", 1, 0),
        define_instrument(2, "TWO", 1, OME_INSTRUMENT_FLAGS_SIGNED_PRICES | OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT),
        define_session(1, 1, "A", 0)};
    ome_engine_apply_many(engine, definitions, 3, &recorder->sink);
    CHECK_EQUAL(engine->session_count, 1);
    recorder_free(recorder);
    return engine;
}

/* A venue whose ring has so many slots. */
static void venue_open(uint32_t ring_slot_count, ome_throttle_limits_t throttle)
{
    has_own_time = true;
    own_time_ns = UINT64_C(1000000000000);
    memset(&venue, 0, offsetof(fuzz_venue_t, sent));
    venue.sent_count = 0;
    memset(&venue.frame, 0, sizeof(venue) - offsetof(fuzz_venue_t, frame));
    venue.house = house_throttled(venue_engine(), ring_slot_count, 4096, throttle);
    venue.truth = truth_new(venue_engine());
    venue.caller.house = venue.house;
    venue.caller.truth = venue.truth;
    venue.caller.entries[1] = (caller_entry_t){.name = "A", .participant = 1, .is_there = true, .is_defined = true};
    venue.house->wire->table.receive = venue_receive;
    venue.house->wire->table.send = venue_send;
    venue.house->wire->table.end = venue_end;
    venue.command_messages_max =
        ring_slot_count < OME_FRAME_COMMAND_MESSAGE_COUNT_MAX ? ring_slot_count : OME_FRAME_COMMAND_MESSAGE_COUNT_MAX;
}

/* A connection has the sessions that the gateway says, and its client knows of. */
static uint32_t check_connection(uint32_t slot)
{
    const wire_peer_t *peer = &venue.house->wire->peers[slot];
    const uint64_t number = peer_number(venue.house->wire, slot);
    bool has[CALLER_SLOTS + 1] = {false};
    uint32_t count = 0;
    bool is_copy = false;
    for (uint16_t session = ome_gateway_session_of(venue.house->gateway, number); session != 0;
        session = ome_gateway_next_session(venue.house->gateway, session))
    {
        CHECK(!has[session] && look(venue.house, session).peer == number);
        has[session] = true;
        is_copy = is_copy || caller_is_copy(session);
        count++;
    }
    CHECK(peer->is_ended || peer->is_admitted == (count > 0));
    CHECK(peer->is_ended || venue.clients[slot].sessions[0].is_logged_on == is_copy);
    CHECK(!is_copy || count == 1);
    for (uint16_t session = 1; session <= CALLER_SESSIONS; session++)
    {
        CHECK(peer->is_ended || venue.clients[slot].sessions[session].is_logged_on == has[session]);
    }
    return count;
}

static void check_venue(void)
{
    uint32_t connected_count = 0;
    uint32_t copy_count = 0;
    uint32_t bound_count = 0;
    for (uint32_t slot = 1; slot <= CLIENT_COUNT; slot++)
    {
        bound_count += check_connection(slot);
    }
    for (uint16_t session = 1; session <= CALLER_SESSIONS; session++)
    {
        const ome_gateway_session_t seen = look(venue.house, session);
        connected_count += seen.peer != 0;
        CHECK_EQUAL((ome_gateway_connected(venue.house->gateway)[session] != 0), seen.peer != 0);
        CHECK(seen.first_report_sequence <= seen.report_sequence + 1);
        CHECK(seen.peer == 0 || venue.caller.is_connected[session]);
    }
    for (uint16_t copy = CALLER_SESSIONS + 1; copy <= CALLER_SLOTS; copy++)
    {
        const uint64_t peer = look(venue.house, copy).peer;
        copy_count += peer != 0;
        CHECK(peer == 0 || venue.caller.is_connected[copy]);
    }
    CHECK(bound_count <=
          connected_count + copy_count); /* a connection that is gone, of which the gateway has not heard, may have a new slot owner */
    CHECK_EQUAL(count_of(venue.house, OME_COUNT_SESSIONS), connected_count);
    CHECK_EQUAL(count_of(venue.house, OME_COUNT_FRAMES_REJECTED), venue.refusal_count);
    CHECK_EQUAL(count_of(venue.house, OME_COUNT_FRAMES_IN), venue.frame_count);
}

/* Everybody reads again, and all is done that there is to do. Then nobody lacks a report. */
static void venue_drain(void)
{
    wire_t *wire = venue.house->wire;
    for (uint32_t slot = 1; slot <= CLIENT_COUNT; slot++)
    {
        wire->peers[slot].status = OME_OK;
        wire->peers[slot].queued_bytes = 0;
    }
    open_gate(venue.house, UINT64_MAX);
    venue.answers_at_once = true;
    caller_give(&venue.caller, OME_GATEWAY_ARCHIVE_COUNT_MAX, 0);
    for (uint32_t idle_count = 0, turn_count = 0; idle_count < 3; turn_count++)
    {
        const uint64_t before =
            count_of(venue.house, OME_COUNT_REPORTS) + ome_stream_reader_position(venue.house->stream, 0) + wire->in_count;
        const ome_gateway_outcome_t outcome = venue_turn();
        const uint32_t matched = venue_match();
        const bool is_idle = outcome == OME_GATEWAY_IDLE && matched == 0 && wire->in_count == 0 &&
                             before == count_of(venue.house, OME_COUNT_REPORTS) + ome_stream_reader_position(venue.house->stream, 0);
        idle_count = is_idle ? idle_count + 1 : 0;
        CHECK(turn_count < 100000);
    }
}

/* A drop copy that is connected has all reports of its participant. */
static void check_drained_copies(const client_t *client, uint32_t slot)
{
    const uint16_t copy = ome_gateway_session_of(venue.house->gateway, peer_number(venue.house->wire, slot));
    if (!venue.house->wire->peers[slot].is_ended && client->sessions[0].is_logged_on)
    {
        const ome_gateway_session_t seen = look(venue.house, copy);
        CHECK_EQUAL(seen.participant, client->participant);
        CHECK_EQUAL(seen.report_sequence, ome_engine_participant_reports(venue.house->engine, seen.participant));
        CHECK_EQUAL(client->sessions[0].next_report, seen.report_sequence + 1);
    }
}

static void check_drained(void)
{
    const ome_engine_t *engine = venue.house->engine;
    CHECK_EQUAL(ome_engine_state_hash(venue.truth->engine), ome_engine_state_hash(engine));
    for (uint32_t slot = 1; slot <= CLIENT_COUNT; slot++)
    {
        check_drained_copies(&venue.clients[slot], slot);
    }
    for (uint16_t session = 1; session <= CALLER_SESSIONS; session++)
    {
        const ome_gateway_session_t seen = look(venue.house, session);
        if (seen.is_defined)
        {
            CHECK_EQUAL(seen.report_sequence, engine->progress[session].report_sequence);
            CHECK_EQUAL(seen.command_sequence, engine->progress[session].command_sequence);
        }
        for (uint32_t slot = 1; slot <= CLIENT_COUNT; slot++)
        {
            const client_session_t *held = &venue.clients[slot].sessions[session];
            CHECK(venue.house->wire->peers[slot].is_ended || !held->is_logged_on || held->next_report == seen.report_sequence + 1);
        }
    }
}

static void venue_close(void)
{
    venue_drain();
    check_venue();
    check_drained();
    venue.house->wire->is_closed = true;
    CHECK_EQUAL(run(venue.house), OME_GATEWAY_STOPPED);
    truth_free(venue.truth);
    house_free(venue.house);
    has_own_time = false;
}

#endif
