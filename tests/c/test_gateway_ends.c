/* Ends and beginnings of sessions: cancels on disconnect, numbers that go to another session, several sessions on a connection, numbers
 * that go round, and participants that send too much. */
#include "gateway_fixture.h"

static void bind_with(house_t *house, uint16_t session, uint32_t peer, uint16_t flags, uint16_t is_added)
{
    ome_gateway_logon_t logon = logon_of(house, session, peer);
    logon.flags = flags;
    logon.is_added = is_added;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, session, &logon), OME_OK);
}

/* ---- cancel on disconnect ---- */

/* Session 1 with an order, and these flags. */
static house_t *house_with_flags(uint16_t flags, uint32_t ring_slot_count)
{
    house_t *house = simple_house(ring_slot_count);
    bind_with(house, 1, 1, flags, 0);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
    work(house);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    CHECK_EQUAL(house->engine->sessions[1].flags, flags);
    return house;
}

static void orders_are_cancelled_as_the_session_has_chosen(void)
{
    for (uint16_t flags = 0; flags < 4; flags++)
    {
        for (uint32_t end = 0; end < 5; end++)
        {
            house_t *house = house_with_flags(flags, 64);
            bool is_cancelled = (flags & OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT) != 0;
            if (end == 0)
            {
                wire_leave(house->wire, 1);
            }
            else if (end == 1)
            {
                ome_gateway_end_session(house->gateway, 1, OME_REASON_HEARTBEAT_TIMEOUT);
            }
            else if (end == 2)
            {
                house->wire->peers[1].status = OME_FULL;
                send_command(house, 1, cancel_order(7));
            }
            else if (end == 3)
            {
                ome_gateway_log_out(house->gateway, 1);
                is_cancelled = (flags & OME_SESSION_FLAGS_CANCEL_ON_LOGOUT) != 0;
            }
            else
            {
                bind_with(house, 1, 3, flags, 0); /* taken over */
                is_cancelled = false;
            }
            work(house);
            CHECK_EQUAL(look(house, 1).order_count, !is_cancelled);
            CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), is_cancelled);
            CHECK_EQUAL(house->engine->books[1].open_quantity[0], is_cancelled ? 0 : 5);
            CHECK_EQUAL(house->end_count, end < 3);
            CHECK_EQUAL(house->end.reason, end == 1 ? OME_REASON_HEARTBEAT_TIMEOUT : end == 2 ? OME_REASON_SLOW_CONSUMER : OME_REASON_NONE);
            house_free(house);
        }
    }
}

/* A session without orders owes nothing; one whose order has not been answered yet does, also if another connection sent it. */
static void orders_under_way_are_cancelled_too(void)
{
    for (uint32_t is_taken_over = 0; is_taken_over < 2; is_taken_over++)
    {
        house_t *house = simple_house(64);
        bind_with(house, 1, 1, OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 0);
        work(house);
        wire_leave(house->wire, 1);
        work(house);
        CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), 0);
        wire_reconnect(house->wire, 1);
        bind_with(house, 1, 1, OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 0);
        open_gate(house, 0);
        send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
        CHECK_EQUAL(run_and_note(house), OME_GATEWAY_ENDED - OME_GATEWAY_ENDED);
        if (is_taken_over != 0)
        {
            bind_with(house, 1, 3, OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 0);
        }
        wire_leave(house->wire, is_taken_over != 0 ? 3 : 1);
        work(house);
        open_gate(house, UINT64_MAX);
        work(house);
        CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), 1);
        CHECK_EQUAL(house->engine->books[1].open_quantity[0], 0);
        house_free(house);
    }
}

/* While the ring is full the cancel waits, once, and what the session sends after it has returned comes behind it. */
static void a_cancel_that_waits_comes_before_what_is_sent_later(void)
{
    house_t *house = house_with_flags(OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 4);
    if (house->port != NULL)
    {
        house_free(house); /* the link has room while the ring has none: the cancel need not wait */
        return;
    }
    ome_command_t commands[4] = {cancel_order(7), cancel_order(7), cancel_order(7), cancel_order(7)};
    send_commands(house, 2, commands, 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE); /* full */
    wire_leave(house->wire, 1);
    CHECK_EQUAL(run(house), OME_GATEWAY_ENDED);
    while (ome_gateway_take_end(house->gateway).session != 0)
    {
    }
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(look(house, 1).order_count, 2); /* the number is not free yet */
    wire_reconnect(house->wire, 1);
    bind_with(house, 1, 1, OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 0);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 11, 6, 2));
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 1);
    wire_leave(house->wire, 1); /* lost again: it is owed once */
    CHECK_EQUAL(run(house), OME_GATEWAY_ENDED);
    while (ome_gateway_take_end(house->gateway).session != 0)
    {
    }
    CHECK_EQUAL(match(house), 4);
    wire_reconnect(house->wire, 1);
    bind_with(house, 1, 1, OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 0);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 11, 6, 2));
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), 1);
    CHECK_EQUAL(house->engine->books[1].open_quantity[0], 6);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    house_free(house);
}

static void match_now(void *context)
{
    (void)match(context);
}

/* Also where the ring gets room in the middle of a turn, right before the session's next order is taken. */
static void a_cancel_that_waits_is_paid_before_the_next_order(void)
{
    house_t *house = house_with_flags(OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 4);
    ome_command_t commands[4] = {cancel_order(7), cancel_order(7), cancel_order(7), cancel_order(7)};
    send_commands(house, 2, commands, 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE); /* full */
    wire_leave(house->wire, 1);
    CHECK_EQUAL(run_and_note(house), OME_GATEWAY_ENDED);
    wire_reconnect(house->wire, 1);
    bind_with(house, 1, 1, OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 0);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 11, 6, 2));
    house->wire->before_receive = match_now;
    house->wire->before_receive_context = house;
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    house->wire->before_receive = NULL;
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), 1);
    CHECK_EQUAL(house->engine->books[1].open_quantity[0], 6);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    house_free(house);
}

/* A closed ring takes no cancel: nothing waits for it. */
static void a_closed_ring_owes_nothing(void)
{
    house_t *house = house_with_flags(OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 4);
    house->is_open = false;
    ome_ring_close(house->ring);
    wire_leave(house->wire, 1);
    work(house);
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), 0);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    house_free(house);
}

/* At the start nobody is connected: who has chosen so has its orders cancelled before anything else. */
static void orders_are_cancelled_at_the_start(void)
{
    ome_engine_t *engine = defined_engine();
    recorder_t *recorder = recorder_new(1);
    ome_command_t commands[3] = {define_session(1, 1, "A", 0), limit_order(OME_SIDE_BUY, 10, 5, 1), limit_order(OME_SIDE_BUY, 9, 3, 1)};
    commands[0].session_flags = OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT;
    commands[1].participant = commands[1].session = 1;
    commands[2].participant = commands[2].session = 2;
    ome_engine_apply_many(engine, commands, 3, &recorder->sink);
    recorder_free(recorder);
    house_t *house = house_around(engine, 16, 64);
    bind_with(house, 1, 1, OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT, 0);
    ome_command_t order = limit_order(OME_SIDE_BUY, 11, 4, 2);
    order.session_sequence = 1;
    send_command(house, 1, order);
    work(house);
    CHECK_EQUAL(house->engine->books[1].open_quantity[0], 3 + 4);
    CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), 1);
    CHECK_EQUAL(look(house, 1).report_sequence, 4); /* accepted, cancelled, completed, accepted */
    house_free(house);
}

/* ---- numbers that go to another session ---- */

/* Session 1, which has had reports, has no connection and no order; its number is given to another one. */
static house_t *house_with_number_to_give(void)
{
    house_t *house = simple_house(64);
    const ome_command_t commands[3] = {limit_order(OME_SIDE_BUY, 10, 5, 1), cancel_order(1), cancel_order(9)};
    send_commands(house, 1, commands, 3);
    work(house);
    ome_gateway_log_out(house->gateway, 1);
    forget_frames(house);
    CHECK_EQUAL(look(house, 1).report_sequence, 3);
    CHECK_EQUAL(look(house, 1).command_sequence, 3);
    return house;
}

/* The caller has the number redefined, and forgets what was known of it. */
static void redefine(house_t *house, uint16_t participant, const char *name, uint16_t session_number)
{
    const ome_command_t definition = define_session(1, participant, name, session_number);
    CHECK_EQUAL(ome_gateway_submit(house->gateway, &definition, 1), OME_OK);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 1);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    CHECK_EQUAL(((const ome_event_t *)ome_gateway_event(house->gateway))->kind, OME_EVENT_KIND_DEFINED);
    ome_gateway_undefine(house->gateway, 1);
    CHECK_EQUAL(look(house, 1).report_sequence, 0);
    CHECK_EQUAL(look(house, 1).command_sequence, 0);
    CHECK(look(house, 1).is_defined);
}

/* Another participant, or another session of the same: none of the former's reports reaches it, whatever it asks for, and its numbers begin
 * at 1. So do those of the former when it gets the number back. */
static void a_number_that_goes_to_another_session_begins_anew(void)
{
    for (uint16_t kind = 0; kind < 3; kind++)
    {
        house_t *house = house_with_number_to_give();
        redefine(house, kind == 0 ? 4 : 1, kind == 0 ? "D" : "A", kind == 0 ? 0 : 5);
        if (kind == 2)
        {
            redefine(house, 1, "A", 0); /* nobody was bound in between */
        }
        ome_gateway_logon_t logon = logon_of(house, 1, 1);
        logon.participant = kind == 0 ? 4 : 1;
        logon.participant_name[0] = kind == 0 ? 'D' : 'A';
        logon.session_number = kind == 1 ? 5 : 0;
        CHECK_EQUAL(ome_gateway_bind(house->gateway, 1, &logon), OME_OK);
        ome_gateway_begin(house->gateway, 1, 1);
        work(house);
        check_silence(house);
        ome_resend_request_t request = {.next_report_sequence = 1};
        set_header(&request, OME_TEMPLATE_RESEND_REQUEST);
        wire_put(house->wire, 1, &request, sizeof(request));
        work(house);
        CHECK_EQUAL(template_of(next_frame(house, 1)->data), OME_TEMPLATE_RESEND_ANSWER);
        check_silence(house);
        ome_command_t commands[2];
        set_sequences(commands, 2, 1);
        send_commands(house, 1, commands, 2);
        work(house);
        const wire_frame_t *frame = next_frame(house, 1);
        CHECK_EQUAL(frame->size_bytes, 2 * REPORT_SIZE);
        ome_execution_report_t report;
        memcpy(&report, frame->data, REPORT_SIZE);
        CHECK_EQUAL(report.report_sequence, 1);
        CHECK_EQUAL(report.kind, OME_EVENT_KIND_ACCEPTED);
        CHECK_EQUAL(house->engine->progress[1].report_sequence, 2);
        CHECK_EQUAL(house->engine->progress[1].command_sequence, 2);
        CHECK_EQUAL(look(house, 1).report_sequence, 2);
        house_free(house);
    }
}

/* The engine refuses to give a number away whose session has an order: that session keeps all that it has. */
static void a_session_keeps_a_number_that_another_one_was_refused(void)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
    work(house);
    ome_gateway_log_out(house->gateway, 1);
    const ome_command_t definition = define_session(1, 4, "D", 0);
    CHECK_EQUAL(ome_gateway_submit(house->gateway, &definition, 1), OME_OK);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 1);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    ome_gateway_undefine(house->gateway, 1);
    CHECK(look(house, 1).is_defined);
    CHECK_EQUAL(look(house, 1).command_sequence, 1);
    CHECK_EQUAL(look(house, 1).report_sequence, house->engine->progress[1].report_sequence);
    bind_session(house, 1, 1);
    send_command(house, 1, cancel_order(1));
    work(house);
    CHECK_EQUAL(look(house, 1).report_sequence, house->engine->progress[1].report_sequence);
    CHECK_EQUAL(house->engine->progress[1].command_sequence, 2);
    CHECK_EQUAL(look(house, 1).order_count, 0);
    house_free(house);
}

/* A client logs on again before the definition of its session is reported: its first reports are not lost. */
static void a_session_whose_definition_is_on_its_way_is_defined(void)
{
    house_t *house = simple_house(64);
    for (uint32_t peer = 4; peer <= 5; peer++)
    {
        ome_gateway_logon_t logon = logon_of(house, 4, peer);
        logon.is_defined = 0;
        CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
        ome_gateway_begin(house->gateway, 4, 1);
        CHECK_EQUAL(look(house, 4).is_defined, peer == 5);
        if (peer == 4)
        {
            const ome_command_t commands[2] = {limit_order(OME_SIDE_BUY, 10, 5, 1), cancel_order(1)};
            send_commands(house, 4, commands, 2);
            CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        }
    }
    work(house);
    CHECK_EQUAL(look(house, 4).report_sequence, 2);
    CHECK_EQUAL(look(house, 4).command_sequence, 2);
    CHECK_EQUAL(house->engine->progress[4].report_sequence, 2);
    CHECK_EQUAL(next_frame(house, 5)->size_bytes, 2 * REPORT_SIZE);
    CHECK_EQUAL(house->defined_count, 1);
    house_free(house);
}

/* ---- several sessions on a connection ---- */

static ome_command_t named(ome_command_t command, uint16_t session, uint32_t number)
{
    command.session = session;
    command.session_sequence = number;
    return command;
}

static void sessions_of_one_connection_end_one_by_one(void)
{
    house_t *house = house_around(defined_engine(), 64, 4096);
    for (uint16_t session = 1; session <= 3; session++)
    {
        bind_with(house, session, 1, 0, session > 1);
    }
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 3);
    for (uint16_t session = 1; session <= 3; session++)
    {
        send_command(house, 1, named(cancel_order(1), session, 1));
    }
    send_command(house, 1, named(cancel_order(1), 0, 1)); /* of none */
    send_command(house, 1, named(cancel_order(1), UINT16_MAX, 1));
    ome_command_t mixed[2] = {named(cancel_order(1), 1, 2), named(cancel_order(1), 2, 3)};
    send_commands(house, 1, mixed, 2);
    work(house);
    for (uint32_t i = 0; i < 3; i++)
    {
        const ome_frame_reject_t reject = next_reject(house, 1);
        CHECK_EQUAL(reject.reason, i < 2 ? OME_REASON_NOT_LOGGED_ON : OME_REASON_UNKNOWN_SESSION);
        CHECK(i < 2 || (reject.found == 2 && reject.allowed == 1 && reject.message_index == 1));
    }
    for (uint16_t session = 1; session <= 3; session++)
    {
        ome_execution_report_t report;
        memcpy(&report, next_frame(house, 1)->data, REPORT_SIZE);
        CHECK_EQUAL(report.session, session);
    }
    ome_gateway_log_out(house->gateway, 2);
    CHECK(house->wire->peers[1].is_admitted);
    send_command(house, 1, named(cancel_order(1), 2, 2));
    send_command(house, 1, named(cancel_order(1), 3, 2));
    work(house);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_NOT_LOGGED_ON);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    ome_gateway_end_session(house->gateway, 3, OME_REASON_SESSION_TAKEN_OVER);
    CHECK(!next_frame(house, 1)->is_last); /* the connection goes on with session 1 */
    CHECK_EQUAL(session_of(house, 1), 1);
    CHECK_EQUAL(ome_gateway_next_session(house->gateway, 1), 0);
    send_command(house, 1, named(cancel_order(1), 1, 2));
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    bind_with(house, 2, 1, 0, 1);
    wire_leave(house->wire, 1);
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 0);
    CHECK_EQUAL(house->end_count, 3);
    check_silence(house);
    house_free(house);
}

/* One connection that does not read loses all its sessions, the last with the connection. */
static void a_slow_connection_loses_all_its_sessions(void)
{
    house_t *house = house_around(defined_engine(), 64, 4096);
    bind_with(house, 1, 1, 0, 0);
    bind_with(house, 2, 1, 0, 1);
    house->wire->peers[1].status = OME_FULL;
    send_command(house, 1, named(cancel_order(1), 1, 1));
    send_command(house, 1, named(cancel_order(1), 2, 1));
    work(house);
    CHECK_EQUAL(house->end_count, 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 0);
    check_logout(house, 1, OME_REASON_SLOW_CONSUMER);
    check_silence(house);
    house_free(house);
}

/* ---- numbers that go round ---- */

static void after_the_last_number_comes_one(void)
{
    ome_engine_t *engine = defined_engine();
    engine->progress[1].command_sequence = UINT32_MAX - 2;
    house_t *house = house_around(engine, 64, 4096);
    bind_session(house, 1, 1);
    ome_command_t commands[5];
    for (uint32_t i = 0; i < 5; i++)
    {
        commands[i] = cancel_order(i + 1);
        commands[i].session_sequence = i < 2 ? UINT32_MAX - 1 + i : i - 1;
    }
    send_commands(house, 1, commands + 2, 1); /* 1 comes too early */
    work(house);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_SEQUENCE_GAP);
    send_commands(house, 1, commands, 4);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, 4 * REPORT_SIZE);
    CHECK_EQUAL(look(house, 1).command_sequence, 2);
    send_commands(house, 1, commands, 5); /* again, and one more */
    work(house);
    for (uint32_t i = 0; i < 5; i++)
    {
        ome_execution_report_t report;
        memcpy(&report, next_frame(house, 1)->data, REPORT_SIZE);
        CHECK_EQUAL(report.client_order_id, i + 1);
        CHECK_EQUAL(report.report_sequence, i + 1);
    }
    commands[0].session_sequence = 0; /* no number */
    wire_put(house->wire, 1, commands, 0);
    ome_command_t unnumbered = cancel_order(1);
    set_header(&unnumbered, OME_TEMPLATE_CANCEL_ORDER);
    wire_put(house->wire, 1, &unnumbered, sizeof(unnumbered));
    work(house);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_FRAME_EMPTY);
    const ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_SEQUENCE_GAP, 0, 1);
    CHECK_EQUAL(reject.found, 0);
    CHECK_EQUAL(reject.allowed, 4);
    CHECK_EQUAL(engine->progress[1].command_sequence, 3);
    check_silence(house);
    house_free(house);
}

/* ---- participants that send too much ---- */

static void a_participant_that_sends_too_much_is_refused_and_then_ended(void)
{
    house_t *house = house_throttled(defined_engine(), 64, 4096, (ome_throttle_limits_t){.in_flight_max = 4});
    bind_session(house, 1, 1);
    bind_session(house, 2, 2);
    ome_command_t commands[256];
    set_sequences(commands, 256, 1);
    commands[2].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[3] = order_terms(OME_TERM_DISPLAY_QUANTITY, 1);
    commands[3].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[4] = order_terms(OME_TERM_MINIMUM_QUANTITY, 1);
    commands[3].session_sequence = 4;
    commands[4].session_sequence = 5;
    send_commands(house, 1, commands, 6);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_THROTTLED, 2, 4); /* a command is not cut */
    CHECK_EQUAL(reject.found, 3);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_THROTTLED), 4);
    send_command(house, 2, cancel_order(1)); /* another participant's */
    work(house);
    CHECK_EQUAL(look(house, 2).command_sequence, 1);
    forget_frames(house);
    send_commands(house, 1, commands + 2, 4); /* those before are answered */
    work(house);
    CHECK_EQUAL(look(house, 1).command_sequence, 6);
    forget_frames(house);
    open_gate(house, house->engine->sequence);
    send_commands(house, 1, commands + 6, 4);
    for (uint32_t i = 0; i < 40; i++)
    {
        send_commands(house, 1, commands + 10, 240);
    }
    work(house);
    CHECK_EQUAL(session_of(house, 1), 0);
    CHECK_EQUAL(house->end.reason, OME_REASON_THROTTLED);
    CHECK_EQUAL(look(house, 1).command_sequence, 10);
    house->wire->out_read = house->wire->out_count - 1;
    check_logout(house, 1, OME_REASON_THROTTLED);
    CHECK_EQUAL(session_of(house, 2), 2);
    house_free(house);
}

int main(void)
{
    RUN(orders_are_cancelled_as_the_session_has_chosen);
    RUN(orders_under_way_are_cancelled_too);
    RUN(a_cancel_that_waits_comes_before_what_is_sent_later);
    RUN(a_cancel_that_waits_is_paid_before_the_next_order);
    RUN(a_closed_ring_owes_nothing);
    RUN(orders_are_cancelled_at_the_start);
    RUN(a_number_that_goes_to_another_session_begins_anew);
    RUN(a_session_keeps_a_number_that_another_one_was_refused);
    RUN(a_session_whose_definition_is_on_its_way_is_defined);
    RUN(sessions_of_one_connection_end_one_by_one);
    RUN(a_slow_connection_loses_all_its_sessions);
    RUN(after_the_last_number_comes_one);
    RUN(a_participant_that_sends_too_much_is_refused_and_then_ended);
    return 0;
}
