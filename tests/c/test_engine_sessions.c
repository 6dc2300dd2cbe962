/* Sessions and participants of an engine: their numbers, and when one may be replaced. */
#include "engine_fixture.h"
#include "ome.h"

static const ome_limits_t many_sessions = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 1,
    .session_count_max = 6,
    .special_count_max = 24,
    .rules_version = OME_RULES_VERSION};

static ome_command_t sent_by(ome_command_t command, uint16_t participant, uint16_t session)
{
    command.participant = participant;
    command.session = session;
    return command;
}

/* A definition that is refused changes nothing but counters. */
static void refuse_session(market_t *market, uint16_t session, uint16_t participant, const char *name, uint16_t session_number)
{
    ome_engine_t *engine = market->engine;
    const ome_engine_t before = *engine;
    const uint32_t index = session <= engine->limits.session_count_max ? session : 0;
    const ome_session_progress_t progress = engine->progress[index];
    const uint64_t hash = ome_engine_state_hash(engine);
    apply_rejected(market, define_session(session, participant, name, session_number), OME_REASON_BAD_DEFINITION);
    const ome_engine_t after = *engine;
    engine->progress[index] = progress;
    engine->sequence = before.sequence;
    engine->time_ns = before.time_ns;
    engine->event_count = before.event_count;
    CHECK_EQUAL(ome_engine_state_hash(engine), hash);
    *engine = after;
}

static void accept_session(market_t *market, uint16_t session, uint16_t participant, const char *name, uint16_t session_number)
{
    apply(market, define_session(session, participant, name, session_number), 1);
    CHECK_EQUAL(event_from_end(market, 1)->kind, OME_EVENT_KIND_DEFINED);
    CHECK(ome_engine_check(market->engine) == NULL);
}

/* Rules, "Definitions": a session's number, and a new name's, is any that is free. */
static void sessions_have_any_free_number(void)
{
    market_t market = market_new(&many_sessions, 1);
    accept_session(&market, 5, 6, "A", 0);
    accept_session(&market, 2, 1, "B", 0);
    accept_session(&market, 6, 6, "A", 1);
    refuse_session(&market, 0, 2, "C", 0);
    refuse_session(&market, 7, 2, "C", 0);
    refuse_session(&market, UINT16_MAX, 2, "C", 0);
    refuse_session(&market, 1, 0, "C", 0);
    refuse_session(&market, 1, 7, "C", 0);
    refuse_session(&market, 1, 6, "C", 0);
    refuse_session(&market, 1, 1, "A", 2);
    refuse_session(&market, 1, 2, "A", 2);
    refuse_session(&market, 1, 6, "A", 1);
    CHECK_EQUAL(market.engine->session_count, 3);
    CHECK_EQUAL(market.engine->participant_count, 2);
    accept_session(&market, 1, 2, "C", 0);
    market_free(&market);
}

/* Rules, "Definitions": engines with the same sessions have the same state. */
static void the_state_does_not_tell_in_which_order_sessions_came(void)
{
    market_t market = market_new(&many_sessions, 1);
    accept_session(&market, 5, 6, "A", 0);
    accept_session(&market, 2, 1, "B", 0);
    accept_session(&market, 6, 6, "A", 1);
    accept_session(&market, 1, 2, "C", 0);
    market_t other = market_new(&many_sessions, 1);
    accept_session(&other, 1, 2, "C", 0);
    accept_session(&other, 6, 6, "A", 1);
    accept_session(&other, 5, 6, "A", 0);
    accept_session(&other, 2, 1, "B", 0);
    CHECK_EQUAL(other.time_ns, market.time_ns);
    CHECK_EQUAL(ome_engine_state_hash(other.engine), ome_engine_state_hash(market.engine));
    market_free(&market);
    market_free(&other);
}

/* Rules, check 3: nobody is the sender where no session has the number, not even participant 0. */
static void an_order_from_a_number_without_a_session_is_rejected(void)
{
    market_t market = market_new(&many_sessions, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    accept_session(&market, 5, 6, "A", 0);
    const ome_command_t commands[] = {limit_order(OME_SIDE_BUY, 100, 1, 1), cancel_order(1), amend_order(1, 100, 1), reduce_order(1, 1),
        {.kind = OME_COMMAND_KIND_MASS_CANCEL}, limit_order(OME_SIDE_BUY, 100, 1, 0)};
    const uint16_t senders[][2] = {{0, 1}, {0, 4}, {0, 5}, {0, 6}, {0, 7}, {0, UINT16_MAX}, {6, 4}, {6, 6}, {6, 7}, {5, 5}, {1, 1}};
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
    {
        for (uint32_t j = 0; j < sizeof(senders) / sizeof(senders[0]); j++)
        {
            apply_rejected(&market, sent_by(commands[i], senders[j][0], senders[j][1]), OME_REASON_UNKNOWN_SESSION);
        }
    }
    apply(&market, sent_by(commands[0], 6, 5), 1);
    apply(&market, sent_by(commands[2], 6, 5), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_AMENDED);
    apply(&market, sent_by(commands[1], 6, 5), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_CANCELLED);
    market_free(&market);
}

/* Sessions 2 and 3 of one participant, and an instrument. */
static market_t market_of_two_sessions(void)
{
    market_t market = market_new(&many_sessions, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    accept_session(&market, 2, 1, "A", 0);
    accept_session(&market, 3, 1, "A", 1);
    return market;
}

/* A stop of that session, without its terms. */
static ome_command_t stop_sent_by(uint16_t participant, uint16_t session)
{
    ome_command_t stop = sent_by(limit_order(OME_SIDE_BUY, 0, 1, 2), participant, session);
    stop.order_type = OME_ORDER_TYPE_STOP;
    stop.flags = OME_COMMAND_FLAGS_CONTINUED;
    return stop;
}

/* Rules, "Definitions": a session's number is not used again while one of its orders lives, be it at rest or a stop that waits. */
static void a_session_is_not_replaced_while_one_of_its_orders_lives(void)
{
    market_t market = market_of_two_sessions();
    apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 1, 1), 1, 2), 1);
    refuse_session(&market, 2, 2, "B", 0);
    refuse_session(&market, 2, 1, "A", 7);
    accept_session(&market, 2, 1, "A", 0); /* as it is it may come again */
    apply(&market, stop_sent_by(1, 2), 0);
    apply(&market, sent_by(order_terms(OME_TERM_STOP_PRICE, 120), 1, 2), 2);
    CHECK((event_from_end(&market, 2)->flags & OME_EVENT_FLAGS_WAITING) != 0);
    apply(&market, sent_by(cancel_order(1), 1, 3), 2);
    refuse_session(&market, 2, 2, "B", 0);
    apply(&market, sent_by(cancel_order(2), 1, 3), 2);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_CANCELLED);
    accept_session(&market, 2, 2, "B", 0);
    market_free(&market);
}

/* Rules, "Definitions": the number is used again, and the old session is nobody. Orders of the participant's other session do not count. */
static void a_session_is_replaced_where_none_of_its_orders_lives(void)
{
    market_t market = market_of_two_sessions();
    apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 1, 3), 1, 3), 1);
    accept_session(&market, 2, 2, "B", 0);
    CHECK_EQUAL(market.engine->session_count, 2);
    CHECK_EQUAL(market.engine->participant_count, 2);
    apply_rejected(&market, sent_by(cancel_order(3), 1, 2), OME_REASON_UNKNOWN_SESSION);
    apply_rejected(&market, sent_by(cancel_order(3), 2, 2), OME_REASON_UNKNOWN_ORDER);
    apply(&market, sent_by(limit_order(OME_SIDE_SELL, 110, 1, 3), 2, 2), 1);
    CHECK(ome_engine_check(market.engine) == NULL);
    market_free(&market);
}

/* Rules, "Definitions": it is refused before the definition is looked at, and so holds nothing up. */
static void a_command_that_waits_for_its_terms_does_not_keep_its_session(void)
{
    market_t market = market_of_two_sessions();
    accept_session(&market, 2, 2, "B", 0);
    apply(&market, stop_sent_by(2, 2), 0);
    apply(&market, define_session(2, 1, "A", 2), 2);
    CHECK_EQUAL(event_from_end(&market, 2)->reason, OME_REASON_INCOMPLETE_COMMAND);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_DEFINED);
    CHECK_EQUAL(market.engine->session_count, 2);
    CHECK_EQUAL(market.engine->participant_count, 1);
    CHECK(ome_engine_check(market.engine) == NULL);
    market_free(&market);
}

/* Rules, "Definitions": defined again as it is, where none of its orders lives, it stays what it is. */
static void a_session_that_is_defined_again_is_the_same_session(void)
{
    market_t market = market_of_two_sessions();
    const ome_session_t session = market.engine->sessions[2];
    const uint32_t sender = market.engine->senders[2];
    accept_session(&market, 2, 1, "A", 0);
    CHECK_BYTES_EQUAL(&session, &market.engine->sessions[2], sizeof(session));
    CHECK_EQUAL(market.engine->senders[2], sender);
    market_free(&market);
}

/* Rules, "Definitions": a participant's number is used again where it has no session and no order, whoever sent it. */
static void a_participant_is_replaced_where_none_of_its_orders_lives(void)
{
    market_t market = market_new(&many_sessions, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    accept_session(&market, 1, 4, "A", 0);
    accept_session(&market, 2, 4, "A", 1);
    refuse_session(&market, 1, 4, "B", 0); /* the other session of A has the number */
    accept_session(&market, 1, 5, "B", 0);
    refuse_session(&market, 1, 5, "A", 0); /* A has another */
    apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 1, 1), 4, 2), 1);
    apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 1, 2), 4, 0), 1); /* the embedder's, in the name of A */
    refuse_session(&market, 2, 4, "C", 0);
    apply(&market, sent_by(cancel_order(1), 4, 2), 1);
    refuse_session(&market, 2, 4, "C", 0);
    accept_session(&market, 2, 5, "B", 1); /* A is gone, its order is there */
    refuse_session(&market, 3, 4, "C", 0);
    accept_session(&market, 3, 6, "A", 0);
    apply(&market, sent_by(cancel_order(2), 4, 0), 1);
    accept_session(&market, 4, 4, "C", 0);
    CHECK_EQUAL(market.engine->session_count, 4);
    CHECK_EQUAL(market.engine->participant_count, 3);
    apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 1, 1), 4, 4), 1);
    apply_rejected(&market, sent_by(cancel_order(1), 6, 3), OME_REASON_UNKNOWN_ORDER);
    market_free(&market);
}

/* ---- numbers, reports and flags ---- */

static ome_command_t numbered(ome_command_t command, uint32_t sequence)
{
    command.session_sequence = sequence;
    return command;
}

static void take(market_t *market, uint32_t sequence)
{
    apply_rejected(market, numbered(sent_by(cancel_order(9), 1, 2), sequence), OME_REASON_UNKNOWN_ORDER);
    CHECK_EQUAL(market->engine->progress[2].command_sequence, sequence);
}

static void refuse(market_t *market, uint32_t sequence, uint8_t reason)
{
    const uint32_t last = market->engine->progress[2].command_sequence;
    apply_rejected(market, numbered(sent_by(cancel_order(9), 1, 2), sequence), reason);
    CHECK_EQUAL(market->engine->progress[2].command_sequence, last);
}

/* Rule D5: the next one, also where the message is rejected; behind it a gap, before it seen, as far as half of all numbers. */
static void a_number_is_taken_once_and_in_order(void)
{
    market_t market = market_of_two_sessions();
    refuse(&market, 2, OME_REASON_SEQUENCE_GAP);
    take(&market, 1);
    refuse(&market, 1, OME_REASON_SEQUENCE_SEEN);
    refuse(&market, 3, OME_REASON_SEQUENCE_GAP);
    take(&market, 2);
    refuse(&market, (1u << 31) + 1, OME_REASON_SEQUENCE_GAP);
    refuse(&market, (1u << 31) + 2, OME_REASON_SEQUENCE_SEEN);
    refuse(&market, UINT32_MAX, OME_REASON_SEQUENCE_SEEN);
    apply_rejected(&market, sent_by(cancel_order(9), 1, 2), OME_REASON_UNKNOWN_ORDER);
    apply_rejected(&market, numbered(sent_by(cancel_order(9), 4, 2), 7), OME_REASON_UNKNOWN_SESSION);
    apply_rejected(&market, numbered(sent_by(cancel_order(9), 1, 5), 7), OME_REASON_UNKNOWN_SESSION);
    apply_rejected(&market, numbered(sent_by(cancel_order(9), 1, UINT16_MAX), 7), OME_REASON_UNKNOWN_SESSION);
    apply(&market, numbered(sent_by(last_price(100), 1, 2), 7), 1);
    CHECK_EQUAL(market.engine->progress[2].command_sequence, 2);
    CHECK_EQUAL(market.engine->progress[3].command_sequence, 0);
    take(&market, 3);
    market_free(&market);
}

/* Rule D5: 0 is no number. */
static void after_the_last_number_comes_1(void)
{
    market_t market = market_of_two_sessions();
    market.engine->progress[2].command_sequence = UINT32_MAX - 1;
    refuse(&market, 1, OME_REASON_SEQUENCE_GAP);
    take(&market, UINT32_MAX);
    refuse(&market, UINT32_MAX, OME_REASON_SEQUENCE_SEEN);
    refuse(&market, 2, OME_REASON_SEQUENCE_GAP);
    take(&market, 1);
    refuse(&market, UINT32_MAX, OME_REASON_SEQUENCE_SEEN);
    take(&market, 2);
    market_free(&market);
}

/* Rule D5: each record has its own; what waits for its terms goes on waiting where they come out of sequence. */
static void the_records_of_a_command_are_numbered(void)
{
    market_t market = market_of_two_sessions();
    apply(&market, numbered(stop_sent_by(1, 2), 1), 0);
    const ome_command_t terms = sent_by(order_terms(OME_TERM_STOP_PRICE, 120), 1, 2);
    apply_rejected(&market, numbered(terms, 1), OME_REASON_SEQUENCE_SEEN);
    apply_rejected(&market, numbered(terms, 3), OME_REASON_SEQUENCE_GAP);
    CHECK(market.engine->pending.waits);
    apply(&market, numbered(terms, 2), 2);
    expect_stop_set(&market, 1, 2, 120, 1, OME_ORDER_TYPE_STOP);
    apply_rejected(&market, numbered(stop_sent_by(1, 2), 9), OME_REASON_SEQUENCE_GAP);
    CHECK(!market.engine->pending.waits);
    market_free(&market);
}

/* Rule D5: a trade is reported to the sessions of both orders, on the plain path and off it; what is displayed to nobody. */
static void reports_are_counted_for_their_sessions(void)
{
    for (uint16_t flags = 0; flags <= OME_COMMAND_FLAGS_HIDDEN; flags += OME_COMMAND_FLAGS_HIDDEN)
    {
        market_t market = market_of_two_sessions();
        const ome_session_progress_t *const progress = market.engine->progress;
        apply(&market, with_flags(sent_by(limit_order(OME_SIDE_SELL, 100, 5, 1), 1, 2), flags), 1);
        apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 2, 2), 1, 3), 2);
        CHECK_EQUAL(progress[2].report_sequence, 2);
        CHECK_EQUAL(progress[3].report_sequence, 2);
        apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 3, 3), 1, 2), 2);
        CHECK_EQUAL(progress[2].report_sequence, 5);
        ome_command_t iceberg = with_flags(sent_by(limit_order(OME_SIDE_BUY, 90, 9, 4), 1, 2), OME_COMMAND_FLAGS_CONTINUED);
        apply(&market, iceberg, 0);
        apply(&market, sent_by(order_terms(OME_TERM_DISPLAY_QUANTITY, 2), 1, 2), 2);
        CHECK_EQUAL(progress[2].report_sequence, 6);
        apply(&market, sent_by(cancel_order(4), 1, 3), 3);
        CHECK_EQUAL(progress[2].report_sequence, 7);
        CHECK_EQUAL(progress[3].report_sequence, 3);
        market_free(&market);
    }
}

/* Rule D8: a sender who is not the order's session is answered, before what happens; by client order id and by order id. */
static void a_command_on_an_order_of_another_session_is_answered(void)
{
    for (uint16_t flags = 0; flags <= OME_COMMAND_FLAGS_HIDDEN; flags += OME_COMMAND_FLAGS_HIDDEN)
    {
        market_t market = market_of_two_sessions();
        apply(&market, with_flags(sent_by(limit_order(OME_SIDE_SELL, 100, 9, 1), 1, 2), flags), 1);
        const uint64_t id = event_from_end(&market, 1)->order_id;
        apply(&market, sent_by(reduce_order(1, 1), 1, 2), 1);
        apply(&market, sent_by(reduce_order(1, 1), 1, 3), 2);
        expect(&market, 2, OME_EVENT_KIND_COMPLETED, 1, 0, 0, OME_REASON_NONE, OME_COMMAND_KIND_REDUCE_ORDER);
        CHECK_EQUAL(event_from_end(&market, 2)->session, 3);
        CHECK_EQUAL(event_from_end(&market, 1)->session, 2);
        apply(&market, sent_by(amend_order(1, OME_NULL_VALUE, 5), 1, 0), 2);
        expect(&market, 2, OME_EVENT_KIND_COMPLETED, 1, 0, 0, OME_REASON_NONE, OME_COMMAND_KIND_AMEND_ORDER);
        apply(&market, with_flags(sent_by(cancel_order(id), 1, 3), OME_COMMAND_FLAGS_BY_ORDER_ID), 2);
        expect(&market, 2, OME_EVENT_KIND_COMPLETED, 0, 0, 0, OME_REASON_NONE, OME_COMMAND_KIND_CANCEL_ORDER);
        CHECK_EQUAL(event_from_end(&market, 2)->order_id, id);
        market_free(&market);
    }
}

/* Rule D7: flags change without a new session; another one under the number begins at 0. */
static void flags_are_changed_and_counts_kept(void)
{
    market_t market = market_of_two_sessions();
    ome_command_t definition = define_session(2, 1, "A", 0);
    take(&market, 1);
    apply(&market, sent_by(limit_order(OME_SIDE_SELL, 100, 9, 1), 1, 2), 1);
    definition.session_flags = OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT | OME_SESSION_FLAGS_CANCEL_ON_LOGOUT;
    apply(&market, definition, 1);
    CHECK_EQUAL(market.engine->sessions[2].flags, definition.session_flags);
    CHECK_EQUAL(market.engine->progress[2].report_sequence, 2);
    CHECK_EQUAL(market.engine->progress[2].command_sequence, 1);
    definition.session_flags = 4;
    apply_rejected(&market, definition, OME_REASON_BAD_DEFINITION);
    ome_command_t lost = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .flags = OME_COMMAND_FLAGS_ON_DISCONNECT};
    apply_rejected(&market, numbered(sent_by(lost, 1, 2), 2), OME_REASON_BAD_FLAGS);
    apply(&market, sent_by(lost, 1, 2), 2);
    CHECK_EQUAL(event_from_end(&market, 2)->reason, OME_REASON_DISCONNECTED);
    accept_session(&market, 2, 1, "A", 5);
    CHECK_EQUAL(market.engine->sessions[2].flags, 0);
    CHECK_EQUAL(market.engine->progress[2].report_sequence, 0);
    CHECK_EQUAL(market.engine->progress[2].command_sequence, 0);
    market_free(&market);
}

/* Rule D10: what the sessions of a participant are told is counted over all of them, also those that it no longer has. */
static void reports_are_counted_for_their_participants(void)
{
    market_t market = market_of_two_sessions();
    ome_engine_t *engine = market.engine;
    accept_session(&market, 4, 2, "B", 0);
    apply_rejected(&market, sent_by(cancel_order(9), 1, 2), OME_REASON_UNKNOWN_ORDER);
    apply_rejected(&market, sent_by(cancel_order(9), 1, 3), OME_REASON_UNKNOWN_ORDER);
    apply_rejected(&market, sent_by(cancel_order(9), 2, 4), OME_REASON_UNKNOWN_ORDER);
    CHECK_EQUAL(ome_engine_participant_reports(engine, 1), 2);
    CHECK_EQUAL(ome_engine_participant_reports(engine, 2), 1);
    const uint64_t hash = ome_engine_state_hash(engine);
    accept_session(&market, 3, 2, "B", 1);
    CHECK_EQUAL(event_from_end(&market, 1)->quantity, 1);
    CHECK_EQUAL(ome_engine_participant_reports(engine, 1), 2);
    CHECK_EQUAL(engine->past_reports[1], 1);
    engine->past_reports[1] = 0;
    CHECK(ome_engine_state_hash(engine) != hash);
    const uint64_t without = ome_engine_state_hash(engine);
    engine->past_reports[1] = 1;
    CHECK(ome_engine_state_hash(engine) != without);
    accept_session(&market, 2, 5, "C", 0);
    CHECK_EQUAL(ome_engine_participant_reports(engine, 1), 0);
    CHECK_EQUAL(engine->past_reports[1], 0);
    CHECK_EQUAL(ome_engine_participant_reports(engine, 0), 0);
    CHECK_EQUAL(ome_engine_participant_reports(engine, many_sessions.session_count_max + 1), 0);
    engine->past_reports[1] = 1;
    CHECK(ome_engine_check(engine) != NULL);
    engine->past_reports[1] = 0;
    market_free(&market);
}

/* Rules, "Versions of the rules": the first have none of this. */
static void the_first_rules_do_not_count(void)
{
    ome_limits_t limits = many_sessions;
    limits.rules_version = 0;
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    accept_session(&market, 2, 1, "A", 0);
    accept_session(&market, 3, 1, "A", 1);
    apply_rejected(&market, numbered(sent_by(cancel_order(9), 1, 2), 7), OME_REASON_UNKNOWN_ORDER);
    apply(&market, stop_sent_by(1, 2), 0);
    apply(&market, sent_by(order_terms(OME_TERM_STOP_PRICE, 120), 1, 2), 1);
    apply(&market, sent_by(cancel_order(2), 1, 3), 1);
    ome_session_view_t view;
    CHECK_EQUAL(ome_engine_session(market.engine, 2, &view), OME_OK);
    CHECK_EQUAL(view.report_sequence, 0);
    CHECK_EQUAL(view.command_sequence, 0);
    market_free(&market);
}

int main(void)
{
    RUN(sessions_have_any_free_number);
    RUN(the_state_does_not_tell_in_which_order_sessions_came);
    RUN(an_order_from_a_number_without_a_session_is_rejected);
    RUN(a_session_is_not_replaced_while_one_of_its_orders_lives);
    RUN(a_session_is_replaced_where_none_of_its_orders_lives);
    RUN(a_command_that_waits_for_its_terms_does_not_keep_its_session);
    RUN(a_session_that_is_defined_again_is_the_same_session);
    RUN(a_participant_is_replaced_where_none_of_its_orders_lives);
    RUN(a_number_is_taken_once_and_in_order);
    RUN(after_the_last_number_comes_1);
    RUN(the_records_of_a_command_are_numbered);
    RUN(reports_are_counted_for_their_sessions);
    RUN(a_command_on_an_order_of_another_session_is_answered);
    RUN(flags_are_changed_and_counts_kept);
    RUN(reports_are_counted_for_their_participants);
    RUN(the_first_rules_do_not_count);
    return 0;
}
