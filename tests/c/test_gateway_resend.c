/* Reports again: from memory, from the caller, in answer to messages that come again; and what a session that does not read costs others. */
#include "gateway_truth.h"

/* A house of which a second engine makes the reports, too. */
static house_t *house_with_truth(truth_t **truth)
{
    house_t *house = house_around(defined_engine(), 256, 4096);
    *truth = truth_new(defined_engine());
    house->answerer = *truth;
    for (uint16_t session = 1; session <= 2; session++)
    {
        bind_session(house, session, session);
        ome_gateway_begin(house->gateway, session, 0);
    }
    return house;
}

static void follow(house_t *house)
{
    work(house);
    truth_follow(house->answerer, house);
}

static void free_both(house_t *house)
{
    truth_free(house->answerer);
    house_free(house);
}

/* A session gets so many reports, one for each of its commands. */
static void make_reports(house_t *house, uint32_t session, uint32_t count)
{
    while (count > 0)
    {
        ome_command_t commands[200];
        const uint32_t part = count < 200 ? count : 200;
        for (uint32_t i = 0; i < part; i++)
        {
            commands[i] = cancel_order(count - i);
        }
        send_commands(house, session, commands, part);
        follow(house);
        forget_frames(house);
        count -= part;
    }
}

static void ask_again(house_t *house, uint32_t peer, uint64_t next_report_sequence)
{
    ome_resend_request_t request = {.next_report_sequence = next_report_sequence};
    set_header(&request, OME_TEMPLATE_RESEND_REQUEST);
    wire_put(house->wire, peer, &request, sizeof(request));
}

static void check_answer(house_t *house, uint32_t peer, uint64_t next_report_sequence, uint64_t report_sequence, uint8_t reason)
{
    const wire_frame_t *frame = next_frame(house, peer);
    ome_resend_answer_t expected = {
        .next_report_sequence = next_report_sequence, .report_sequence = report_sequence, .session = (uint16_t)peer, .reason = reason};
    ome_message_header_set(&expected, OME_TEMPLATE_RESEND_ANSWER, OME_BLOCK_RESEND_ANSWER);
    CHECK_EQUAL(frame->size_bytes, sizeof(expected));
    CHECK_BYTES_EQUAL(frame->data, &expected, sizeof(expected));
}

/* The next frames to a peer are its session's reports from one number to another, as the events say. */
static void check_reports(house_t *house, uint32_t peer, uint64_t first, uint64_t last)
{
    while (first <= last)
    {
        const wire_frame_t *frame = next_frame(house, peer);
        CHECK(is_report_frame(frame->data));
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE, first++)
        {
            CHECK(first <= last);
            CHECK_BYTES_EQUAL(frame->data + offset, truth_report(house->answerer, peer, first), REPORT_SIZE);
        }
    }
}

static void give_all(house_t *house)
{
    truth_give(house->answerer, house, OME_GATEWAY_ARCHIVE_COUNT_MAX);
}

/* ---- from memory ---- */

static void a_request_begins_the_stream_again_at_its_number(void)
{
    truth_t *truth;
    house_t *house = house_with_truth(&truth);
    make_reports(house, 1, 3000);
    ask_again(house, 1, 1700);
    follow(house);
    check_answer(house, 1, 1700, 3000, OME_REASON_NONE);
    check_reports(house, 1, 1700, 3000);
    ask_again(house, 1, 0);
    follow(house);
    check_answer(house, 1, 1, 3000, OME_REASON_NONE);
    check_reports(house, 1, 1, 3000);
    ask_again(house, 1, 3001); /* the next: there is nothing to send */
    follow(house);
    check_answer(house, 1, 3001, 3000, OME_REASON_NONE);
    ask_again(house, 1, 3002); /* there is no such report */
    ask_again(house, 1, UINT64_MAX);
    follow(house);
    check_answer(house, 1, 3001, 3000, OME_REASON_SEQUENCE_GAP);
    check_answer(house, 1, 3001, 3000, OME_REASON_SEQUENCE_GAP);
    check_silence(house);
    send_command(house, 1, cancel_order(5));
    follow(house);
    check_reports(house, 1, 3001, 3001);
    check_silence(house);
    CHECK(house->wire->peers[1].pause_count >= 5);
    free_both(house);
}

static void a_logon_that_asks_for_more_than_there_is_gets_what_comes(void)
{
    truth_t *truth;
    house_t *house = house_with_truth(&truth);
    make_reports(house, 1, 10);
    static const struct
    {
        uint64_t asked;
        uint64_t next;
        uint8_t is_told;
    } logons[] = {{0, 11, 0}, {11, 11, 0}, {12, 11, 1}, {UINT64_MAX, 11, 1}, {1, 1, 0}, {10, 10, 0}};
    for (uint32_t i = 0; i < sizeof(logons) / sizeof(logons[0]); i++)
    {
        const uint64_t last = 10 + i;
        bind_session(house, 1, 1);
        ome_gateway_begin(house->gateway, 1, logons[i].asked > 1 && logons[i].asked < 20 ? logons[i].asked + i : logons[i].asked);
        follow(house);
        if (logons[i].is_told != 0)
        {
            check_answer(house, 1, last + 1, last, OME_REASON_SEQUENCE_GAP);
        }
        check_reports(house, 1, logons[i].next > 1 ? logons[i].next + i : 1, last);
        check_silence(house);
        send_command(house, 1, cancel_order(5));
        follow(house);
        check_reports(house, 1, last + 1, last + 1);
    }
    free_both(house);
}

/* A session that is served one stream asks for another: it gets that one, and new reports behind it. */
static void a_request_while_an_earlier_one_is_served_begins_anew(void)
{
    truth_t *truth;
    house_t *house = house_with_truth(&truth);
    make_reports(house, 1, 4000);
    ask_again(house, 1, 1);
    (void)run_and_note(house); /* it is taken */
    (void)run_and_note(house); /* the first reports are sent */
    check_answer(house, 1, 1, 4000, OME_REASON_NONE);
    check_reports(house, 1, 1, 1024);
    check_silence(house);
    house->wire->peers[1].queued_bytes = 2000000;
    send_command(house, 1, cancel_order(5));
    follow(house);
    check_silence(house); /* it does not read: it gets nothing, and is not ended */
    ask_again(house, 1, 3500);
    ask_again(house, 1, 3900);
    follow(house);
    check_answer(house, 1, 3500, 4001, OME_REASON_NONE);
    check_answer(house, 1, 3900, 4001, OME_REASON_NONE);
    check_silence(house);
    house->wire->peers[1].queued_bytes = 0;
    follow(house);
    check_reports(house, 1, 3900, 4001);
    check_silence(house);
    CHECK_EQUAL(session_of(house, 1), 1);
    free_both(house);
}

/* ---- from the caller ---- */

/* All that was in memory is overwritten, also while it is being sent. */
static void reports_that_were_overwritten_come_from_the_caller(void)
{
    truth_t *truth;
    house_t *house = house_with_truth(&truth);
    make_reports(house, 1, 3000);
    make_reports(house, 2, 5000); /* nothing of session 1 is left */
    CHECK_EQUAL(look(house, 1).first_report_sequence, 3001);
    CHECK_EQUAL(look(house, 2).first_report_sequence, 5000 - 4096 + 1);
    ask_again(house, 1, 7);
    follow(house);
    check_answer(house, 1, 7, 3000, OME_REASON_NONE);
    check_silence(house);
    CHECK_EQUAL(house->wanted_count, 1);
    CHECK_EQUAL(house->wanted.session, 1);
    CHECK_EQUAL(house->wanted.next_report_sequence, 7);
    CHECK_EQUAL(house->wanted.report_sequence, 3000);
    make_reports(house, 1, 100); /* of which some are in memory: they wait behind */
    check_silence(house);
    give_all(house);
    follow(house);
    check_reports(house, 1, 7, 3100);
    check_silence(house);
    CHECK_EQUAL(house->wanted_count, 1);
    ask_again(house, 1, 3050); /* in memory */
    follow(house);
    check_answer(house, 1, 3050, 3100, OME_REASON_NONE);
    check_reports(house, 1, 3050, 3100);
    free_both(house);
}

static void where_there_are_no_reports_any_more_the_session_is_told(void)
{
    truth_t *truth;
    house_t *house = house_with_truth(&truth);
    make_reports(house, 1, 50);
    make_reports(house, 2, 5000);
    ask_again(house, 1, 1);
    follow(house);
    check_answer(house, 1, 1, 50, OME_REASON_NONE);
    make_reports(house, 1, 3);
    ome_gateway_give_reports(house->gateway, house->wanted.request, (const uint8_t *)truth_report(truth, 1, 40), 11); /* from 40 on */
    follow(house);
    check_answer(house, 1, 40, 53, OME_REASON_REPORTS_GONE);
    check_reports(house, 1, 40, 53);
    ask_again(house, 1, 1);
    follow(house);
    check_answer(house, 1, 1, 53, OME_REASON_NONE);
    ome_gateway_give_reports(house->gateway, house->wanted.request, (const uint8_t *)"", 0);
    follow(house);
    check_answer(house, 1, 51, 53, OME_REASON_REPORTS_GONE);
    check_reports(house, 1, 51, 53);
    make_reports(house, 2, 5000); /* and where none is in memory either */
    ask_again(house, 1, 1);
    follow(house);
    check_answer(house, 1, 1, 53, OME_REASON_NONE);
    ome_gateway_give_reports(house->gateway, house->wanted.request, (const uint8_t *)"", 0);
    follow(house);
    check_answer(house, 1, 54, 53, OME_REASON_REPORTS_GONE);
    check_silence(house);
    send_command(house, 1, cancel_order(5));
    follow(house);
    check_reports(house, 1, 54, 54);
    free_both(house);
}

/* An answer to a question that is out of date has no effect: the session has gone, came back, asked for others, or is another one. */
static void reports_that_come_late_have_no_effect(void)
{
    for (uint32_t kind = 0; kind < 4; kind++)
    {
        truth_t *truth;
        house_t *house = house_with_truth(&truth);
        make_reports(house, 1, 50);
        make_reports(house, 2, 5000);
        ask_again(house, 1, 1);
        follow(house);
        check_answer(house, 1, 1, 50, OME_REASON_NONE);
        const ome_gateway_wanted_t former = house->wanted;
        if (kind == 0)
        {
            wire_leave(house->wire, 1);
        }
        else if (kind == 1)
        {
            bind_session(house, 1, 3);
        }
        else if (kind == 2)
        {
            ask_again(house, 1, 30);
        }
        else
        {
            ome_gateway_log_out(house->gateway, 1);
            ask_again(house, 2, 1);
        }
        follow(house);
        house->wire->out_read = house->wire->out_count;
        ome_gateway_give_reports(house->gateway, former.request, (const uint8_t *)truth_report(truth, 1, 1), 50);
        follow(house);
        check_silence(house);
        if (kind >= 2)
        {
            CHECK(house->wanted.request != former.request);
            give_all(house);
            give_all(house); /* a second answer has none either */
            follow(house);
            check_reports(house, kind == 2 ? 1 : 2, kind == 2 ? 30 : 1, kind == 2 ? 50 : 5000);
        }
        check_silence(house);
        free_both(house);
    }
}

/* The journal is ahead of what may be published: nothing of that is sent. */
static void reports_that_may_not_be_published_yet_are_not_sent(void)
{
    truth_t *truth;
    house_t *house = house_with_truth(&truth);
    make_reports(house, 1, 50);
    make_reports(house, 2, 5000);
    open_gate(house, house->engine->sequence);
    send_command(house, 1, cancel_order(5));
    ask_again(house, 1, 45);
    follow(house);
    check_answer(house, 1, 45, 50, OME_REASON_NONE);
    CHECK_EQUAL(truth->sessions[1].count, 51);
    give_all(house);
    follow(house);
    check_reports(house, 1, 45, 50);
    check_silence(house);
    open_gate(house, UINT64_MAX);
    follow(house);
    check_reports(house, 1, 51, 51);
    check_silence(house);
    free_both(house);
}

/* Who has caught up from memory, or does not read, does not keep the caller's reports to itself. */
static void a_session_does_not_hold_the_archive(void)
{
    for (uint32_t is_stuck = 0; is_stuck < 2; is_stuck++)
    {
        truth_t *truth;
        house_t *house = house_with_truth(&truth);
        make_reports(house, 2, 3000);
        make_reports(house, 1, 5000);
        ask_again(house, 1, 1);
        follow(house);
        check_answer(house, 1, 1, 5000, OME_REASON_NONE);
        if (is_stuck != 0)
        {
            house->wire->peers[1].queued_bytes = 2000000;
        }
        truth_give(truth, house, 2000); /* 905 and on are in memory, too */
        follow(house);
        if (is_stuck == 0)
        {
            check_reports(house, 1, 1, 5000);
        }
        check_silence(house);
        ask_again(house, 2, 1);
        follow(house);
        check_answer(house, 2, 1, 3000, OME_REASON_NONE);
        CHECK_EQUAL(house->wanted.session, 2);
        give_all(house);
        follow(house);
        check_reports(house, 2, 1, 3000);
        house->wire->peers[1].queued_bytes = 0;
        follow(house);
        if (is_stuck != 0)
        {
            CHECK_EQUAL(house->wanted.session, 1);
            CHECK_EQUAL(house->wanted.next_report_sequence, 1);
            give_all(house);
            follow(house);
            check_reports(house, 1, 1, 5000);
        }
        check_silence(house);
        free_both(house);
    }
}

/* ---- messages that come again ---- */

/* They are answered by the same reports, and nothing is taken twice; where those are gone, that is said. */
static void messages_that_come_again_are_answered_by_what_they_caused(void)
{
    truth_t *truth;
    house_t *house = house_with_truth(&truth);
    ome_command_t commands[5] = {limit_order(OME_SIDE_SELL, 10, 5, 1), limit_order(OME_SIDE_BUY, 10, 3, 2), cancel_order(9),
        limit_order(OME_SIDE_BUY, 8, 1, 3), order_terms(OME_TERM_DISPLAY_QUANTITY, 1)};
    commands[3].flags = OME_COMMAND_FLAGS_CONTINUED;
    for (uint32_t i = 0; i < 5; i++)
    {
        commands[i].session_sequence = i + 1;
    }
    send_commands(house, 1, commands, 3);
    send_commands(house, 1, commands, 3); /* its answers are on their way */
    follow(house);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    check_reports(house, 1, 1, 5);
    check_silence(house);
    send_commands(house, 1, commands, 5); /* the end of it is new */
    follow(house);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor + 2);
    check_reports(house, 1, 1, 1);
    check_reports(house, 1, 2, 4);
    check_reports(house, 1, 5, 5);
    check_reports(house, 1, 6, 6);
    check_silence(house);
    send_commands(house, 1, commands + 3, 2);
    follow(house);
    check_reports(house, 1, 6, 6);
    commands[3].kind = OME_COMMAND_KIND_CANCEL_ORDER; /* another command under the number of a part */
    commands[3].flags = 0;
    send_commands(house, 1, commands + 3, 1);
    follow(house);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_SEQUENCE_SEEN, 0, 1);
    CHECK_EQUAL(reject.found, 4);
    CHECK_EQUAL(reject.allowed, 6);
    make_reports(house, 2, 5000);
    send_commands(house, 1, commands, 3);
    follow(house);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_SEQUENCE_SEEN, 0, 3);
    CHECK_EQUAL(reject.found, 1);
    check_silence(house);
    CHECK_EQUAL(house->engine->sequence, ome_ring_cursor(house->ring));
    free_both(house);
}

/* The answer of a command with thousands of reports is sent whole, or not at all. */
static void a_long_answer_is_repeated_whole_or_not_at_all(void)
{
    const ome_limits_t limits = {.order_count_max = 3000,
        .level_count_max = 32,
        .instrument_count_max = 1,
        .session_count_max = 4,
        .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = market_engine(&limits);
    recorder_t *recorder = recorder_new(1);
    const ome_command_t definitions[3] = {define_instrument(1, "ONE", 1, 0), define_session(1, 1, "A", 0), define_session(2, 2, "B", 0)};
    ome_engine_apply_many(engine, definitions, 3, &recorder->sink);
    for (uint32_t i = 0; i < 2500; i++)
    {
        ome_command_t order = limit_order(OME_SIDE_SELL, 100, 1, i + 1);
        order.participant = order.session = 1;
        ome_engine_apply(engine, &order, &recorder->sink);
    }
    recorder_free(recorder);
    house_t *house = house_around(engine, 256, 4096);
    bind_session(house, 1, 1);
    bind_session(house, 2, 2);
    ome_command_t all = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .session_sequence = 1};
    send_command(house, 1, all);
    work(house);
    for (uint32_t others = 0; others < 2; others++)
    {
        for (uint32_t i = 0; i < others * 20; i++)
        {
            ome_command_t commands[100]; /* 2,000 of another session: the first reports are overwritten, the last are not */
            for (uint32_t j = 0; j < 100; j++)
            {
                commands[j] = cancel_order(1);
            }
            send_commands(house, 2, commands, 100);
            work(house);
        }
        forget_frames(house);
        send_command(house, 1, all);
        work(house);
        uint32_t count = 0;
        while (others == 0 && house->wire->out_read < house->wire->out_count)
        {
            count += next_frame(house, 1)->size_bytes / (uint32_t)REPORT_SIZE;
        }
        CHECK_EQUAL(count, others == 0 ? 2501 : 0);
        CHECK(others == 0 || next_reject(house, 1).reason == OME_REASON_SEQUENCE_SEEN);
        check_silence(house);
    }
    house_free(house);
}

int main(void)
{
    RUN(a_request_begins_the_stream_again_at_its_number);
    RUN(a_logon_that_asks_for_more_than_there_is_gets_what_comes);
    RUN(a_request_while_an_earlier_one_is_served_begins_anew);
    RUN(reports_that_were_overwritten_come_from_the_caller);
    RUN(where_there_are_no_reports_any_more_the_session_is_told);
    RUN(reports_that_come_late_have_no_effect);
    RUN(reports_that_may_not_be_published_yet_are_not_sent);
    RUN(a_session_does_not_hold_the_archive);
    RUN(messages_that_come_again_are_answered_by_what_they_caused);
    RUN(a_long_answer_is_repeated_whole_or_not_at_all);
    return 0;
}
