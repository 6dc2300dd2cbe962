/* Drop copies: a connection is sent the reports of all sessions of a participant, with numbers of their own, and may send nothing. */
#include "gateway_fixture.h"
#include "ome_reports_face.h"

/* Participant 1 has sessions 1 and 4, which are peers 1 and 2; participant 3 has session 3, which is peer 3. Peers 4 and 5 are for copies. */
static ome_engine_t *engine_of_copies(void)
{
    ome_engine_t *engine = defined_engine();
    recorder_t *recorder = recorder_new(1);
    const ome_command_t definition = define_session(4, 1, "A", 1);
    ome_engine_apply_many(engine, &definition, 1, &recorder->sink);
    CHECK_EQUAL(engine->session_count, 4);
    recorder_free(recorder);
    return engine;
}

/* The reports of participant 1 as the journal would give them. */
typedef struct
{
    ome_engine_t *engine;
    recorder_t *recorder;
    ome_report_table_t *table;
    ome_execution_report_t *reports;
    uint8_t sessions[5];
    uint64_t count;
} copies_t;

enum
{
    MOST = 20000
};

static copies_t *copies_new(void)
{
    copies_t *copies = calloc(1, sizeof(copies_t));
    CHECK(copies != NULL);
    copies->engine = engine_of_copies();
    copies->recorder = recorder_new(1);
    copies->reports = calloc(MOST, REPORT_SIZE);
    copies->sessions[1] = copies->sessions[4] = 1;
    CHECK_EQUAL(ome_report_table_create(NULL, &copies->engine->limits, &copies->table), OME_OK);
    return copies;
}

static void copies_read(copies_t *copies)
{
    for (uint64_t done = 0; done < copies->recorder->count;)
    {
        ome_copies_wanted_t wanted = {.next_report_sequence = 1, .report_sequence = copies->count, .participant = 1};
        ome_execution_report_t made[3];
        ome_report_table_copies(
            copies->table, copies->recorder->events + done, copies->recorder->count - done, copies->sessions, &wanted, (uint8_t *)made, 3);
        copies->count = wanted.has_begun != 0 ? 0 : copies->count;
        CHECK(copies->count + wanted.report_count < MOST);
        memcpy(&copies->reports[copies->count], made, wanted.report_count * REPORT_SIZE);
        copies->count += wanted.report_count;
        CHECK_EQUAL(copies->count, wanted.report_sequence);
        done += wanted.event_count;
    }
    CHECK_EQUAL(copies->count, ome_engine_participant_reports(copies->engine, 1));
}

static void follow(house_t *house)
{
    copies_t *copies = house->answerer;
    work(house);
    while (copies->engine->sequence < house->engine->sequence)
    {
        ome_command_t command;
        memcpy(&command, ome_ring_slot(house->ring, copies->engine->sequence + 1), sizeof(command));
        copies->recorder->count = 0;
        (void)recorder_apply(copies->recorder, copies->engine, &command);
        copies_read(copies);
    }
}

static house_t *house_of_copies(void)
{
    house_t *house = house_around(engine_of_copies(), 256, 4096);
    house->answerer = copies_new();
    bind_session(house, 1, 1);
    bind_session(house, 3, 3);
    ome_gateway_logon_t logon = logon_of(house, 1, 2);
    logon.session_number = 1;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    return house;
}

static void free_both(house_t *house)
{
    copies_t *copies = house->answerer;
    ome_report_table_destroy(copies->table);
    recorder_free(copies->recorder);
    free(copies->reports);
    free(copies->engine);
    free(copies);
    house_free(house);
}

/* A drop copy of participant 1 logs on and asks for this report and those behind it; 0: only for new ones. */
static uint16_t log_on(house_t *house, uint32_t peer, uint64_t next_report_sequence)
{
    const ome_gateway_logon_t logon = {.peer = peer_number(house->wire, peer), .participant = 1};
    uint16_t copy = 0;
    CHECK_EQUAL(ome_gateway_bind_copy(house->gateway, &logon, &copy), OME_OK);
    CHECK(copy > house->engine->limits.session_count_max);
    CHECK_EQUAL(session_of(house, peer), copy);
    CHECK_EQUAL(look(house, copy).participant, 1);
    ome_gateway_begin(house->gateway, copy, next_report_sequence);
    return copy;
}

/* All that was sent to a peer and is a report is what participant 1 was told, from one number to another. */
static void check_copies(house_t *house, uint32_t peer, uint64_t first, uint64_t last)
{
    const copies_t *copies = house->answerer;
    const wire_t *wire = house->wire;
    for (uint32_t i = 0; i < wire->out_count; i++)
    {
        const wire_frame_t *frame = &wire->out[i];
        for (uint32_t offset = 0; frame->peer == peer && is_report_frame(frame->data) && offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            CHECK(first <= last);
            CHECK_BYTES_EQUAL(frame->data + offset, &copies->reports[first++ - 1], REPORT_SIZE);
        }
    }
    CHECK_EQUAL(first, last + 1);
    forget_frames(house);
}

/* Each peer but those of copies sends so many commands, which get one report each. */
static void make_reports(house_t *house, uint32_t peer, uint32_t count)
{
    while (count > 0)
    {
        ome_command_t commands[200];
        const uint32_t part = count < 200 ? count : 200;
        for (uint32_t i = 0; i < part; i++)
        {
            commands[i] = cancel_order(count - i);
        }
        send_commands(house, peer, commands, part);
        follow(house);
        count -= part;
    }
}

static void ask_again(house_t *house, uint32_t peer, uint64_t next_report_sequence)
{
    ome_resend_request_t request = {.next_report_sequence = next_report_sequence};
    set_header(&request, OME_TEMPLATE_RESEND_REQUEST);
    wire_put(house->wire, peer, &request, sizeof(request));
    follow(house);
}

static void a_copy_gets_what_all_sessions_of_its_participant_get(void)
{
    house_t *house = house_of_copies();
    const copies_t *copies = house->answerer;
    (void)log_on(house, 4, 0);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 10, 2, 2)); /* both sides are participant 1's */
    send_command(house, 3, limit_order(OME_SIDE_SELL, 10, 2, 1));
    follow(house);
    CHECK_EQUAL(copies->count, 5);
    CHECK_EQUAL(copies->reports[4].session, 1);
    check_copies(house, 4, 1, 5);
    make_reports(house, 3, 500);
    check_copies(house, 4, 6, 5); /* nothing */
    make_reports(house, 2, 1500);
    check_copies(house, 4, 6, 1506); /* the order is cancelled, which is told to both */
    free_both(house);
}

static void copies_are_as_many_as_want_to_and_each_at_its_own_place(void)
{
    house_t *house = house_of_copies();
    make_reports(house, 3, 300); /* which have the same numbers */
    make_reports(house, 1, 700);
    make_reports(house, 3, 700);
    make_reports(house, 2, 700);
    forget_frames(house);
    const uint16_t one = log_on(house, 4, 0);
    const uint16_t other = log_on(house, 5, 650);
    CHECK(one != other);
    CHECK_EQUAL(look(house, one).report_sequence, 1400);
    follow(house);
    check_copies(house, 5, 650, 1400);
    make_reports(house, 1, 3);
    const uint32_t frames = house->wire->out_count;
    CHECK(frames > 0);
    check_copies(house, 4, 1401, 1403);
    ask_again(house, 4, 1);
    check_copies(house, 4, 1, 1403);
    ask_again(house, 5, 1404);
    check_copies(house, 5, 1404, 1403);
    send_command(house, 1, cancel_order(7));
    follow(house);
    check_copies(house, 5, 1404, 1404);
    free_both(house);
}

/* The archive of these tests. */
static void give(house_t *house)
{
    const copies_t *copies = house->answerer;
    const uint64_t first = house->wanted.next_report_sequence;
    const uint64_t left = copies->count >= first ? copies->count - first + 1 : 0;
    CHECK_EQUAL(house->wanted.participant, 1);
    CHECK_EQUAL(house->wanted.settled_sequence, house->engine->progress[1].defined_sequence);
    ome_gateway_give_reports(
        house->gateway, house->wanted.request, (const uint8_t *)&copies->reports[first - 1], (uint32_t)(left < 1000 ? left : 1000));
}

static void give_nothing(house_t *house)
{
    ome_gateway_give_reports(house->gateway, house->wanted.request, (const uint8_t *)"", 0);
}

static void what_is_not_in_memory_comes_from_the_caller(void)
{
    house_t *house = house_of_copies();
    make_reports(house, 1, 3000);
    make_reports(house, 3, 3000); /* 1096 of participant 1 are left */
    make_reports(house, 2, 10);
    forget_frames(house);
    house->answer = give;
    const uint16_t copy = log_on(house, 4, 5);
    follow(house);
    CHECK_EQUAL(look(house, copy).first_report_sequence, 3010 - 1096 + 1);
    check_copies(house, 4, 5, 3010);
    CHECK(house->wanted_count >= 2);
    make_reports(house, 3, 4096); /* none is left */
    forget_frames(house);
    ask_again(house, 4, 2900);
    check_copies(house, 4, 2900, 3010);
    make_reports(house, 1, 1);
    check_copies(house, 4, 3011, 3011);
    free_both(house);
}

static void what_is_nowhere_is_said_to_be_gone(void)
{
    house_t *house = house_of_copies();
    make_reports(house, 1, 3000);
    make_reports(house, 3, 3000);
    make_reports(house, 2, 10);
    forget_frames(house);
    house->answer = give_nothing;
    (void)log_on(house, 4, 5);
    follow(house);
    ome_resend_answer_t answer;
    memcpy(&answer, next_frame(house, 4)->data, sizeof(answer));
    CHECK_EQUAL(answer.reason, OME_REASON_REPORTS_GONE);
    CHECK_EQUAL(answer.next_report_sequence, 1915);
    CHECK_EQUAL(answer.report_sequence, 3010);
    CHECK_EQUAL(answer.session, 0);
    check_copies(house, 4, 1915, 3010);
    free_both(house);
}

static void a_copy_sends_no_commands(void)
{
    house_t *house = house_of_copies();
    const uint64_t sequence = house->engine->sequence;
    (void)log_on(house, 4, 0);
    ome_command_t command = cancel_order(1);
    command.session_sequence = 1;
    send_command(house, 4, command);
    follow(house);
    const ome_frame_reject_t reject = next_reject(house, 4);
    check_counts(&reject, OME_REASON_NOT_PERMITTED, 0, 1);
    CHECK_EQUAL(reject.session, 0);
    CHECK_EQUAL(house->engine->sequence, sequence);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 3);
    free_both(house);
}

static void a_copy_that_does_not_read_ends(void)
{
    house_t *house = house_of_copies();
    const uint16_t copy = log_on(house, 4, 0);
    house->wire->peers[4].status = OME_FULL;
    make_reports(house, 1, 5);
    CHECK_EQUAL(session_of(house, 4), 0);
    CHECK_EQUAL(house->end.session, copy);
    CHECK_EQUAL(house->end.reason, OME_REASON_SLOW_CONSUMER);
    CHECK(session_of(house, 1) == 1);
    free_both(house);
}

/* There are so many of one participant at most; a connection that logs on again is not one more. */
static void there_is_a_bound_for_copies(void)
{
    house_t *house = house_of_copies();
    const uint16_t copy = log_on(house, 4, 0);
    CHECK_EQUAL(log_on(house, 4, 0), copy);
    bind_session(house, 1, 4); /* the connection trades now */
    CHECK_EQUAL(session_of(house, 4), 1);
    CHECK_EQUAL(look(house, copy).peer, 0);
    CHECK_EQUAL(log_on(house, 4, 0), copy);
    CHECK_EQUAL(session_of(house, 1), 0);
    ome_gateway_log_out(house->gateway, copy);
    CHECK_EQUAL(session_of(house, 4), 0);
    free_both(house);
}

/* The participant's number is given away: its drop copies end, and are told nothing of the next one's. */
static void a_number_that_begins_anew_ends_its_copies(void)
{
    house_t *house = house_of_copies();
    make_reports(house, 1, 3);
    const uint16_t copy = log_on(house, 4, 0);
    ome_gateway_log_out(house->gateway, 1);
    ome_gateway_log_out(house->gateway, 4);
    const ome_command_t definitions[] = {define_session(1, 2, "B", 7), define_session(4, 1, "NEXT", 0)};
    for (uint32_t i = 0; i < 2; i++)
    {
        submit(house, &definitions[i]);
        follow(house);
    }
    CHECK_EQUAL(house->end.session, copy);
    CHECK_EQUAL(house->end.reason, OME_REASON_UNKNOWN_SESSION);
    forget_frames(house);
    const ome_gateway_logon_t next = {.peer = peer_number(house->wire, 2), .participant = 1, .is_defined = 1};
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &next), OME_OK);
    make_reports(house, 2, 2);
    forget_frames(house);
    house->answer = give;
    CHECK_EQUAL(look(house, log_on(house, 5, 1)).report_sequence, 2);
    follow(house);
    check_copies(house, 5, 1, 2);
    free_both(house);
}

/* The participant has lost its last session: its drop copies end, and whoever has the number then is told nothing of before. */
static void a_number_without_sessions_has_no_reports(void)
{
    house_t *house = house_of_copies();
    make_reports(house, 1, 3);
    const uint16_t copy = log_on(house, 4, 0);
    ome_gateway_log_out(house->gateway, 1);
    ome_gateway_log_out(house->gateway, 4);
    const ome_command_t definitions[] = {define_session(1, 2, "B", 7), define_session(4, 2, "B", 8)};
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(look(house, copy).report_sequence, 3);
        submit(house, &definitions[i]);
        work(house);
    }
    CHECK_EQUAL(house->end.session, copy);
    CHECK_EQUAL(house->end.reason, OME_REASON_UNKNOWN_SESSION);
    forget_frames(house);
    const ome_gateway_session_t seen = look(house, log_on(house, 5, 1));
    work(house);
    CHECK_EQUAL(seen.report_sequence, 0);
    CHECK_EQUAL(seen.first_report_sequence, 1);
    CHECK_EQUAL(house->wire->out_count, 0);
    free_both(house);
}

int main(void)
{
    RUN(a_copy_gets_what_all_sessions_of_its_participant_get);
    RUN(copies_are_as_many_as_want_to_and_each_at_its_own_place);
    RUN(what_is_not_in_memory_comes_from_the_caller);
    RUN(what_is_nowhere_is_said_to_be_gone);
    RUN(a_copy_sends_no_commands);
    RUN(a_copy_that_does_not_read_ends);
    RUN(there_is_a_bound_for_copies);
    RUN(a_number_that_begins_anew_ends_its_copies);
    RUN(a_number_without_sessions_has_no_reports);
    return 0;
}
