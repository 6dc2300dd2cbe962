/* Sessions and participants of an engine: their numbers, and when one may be replaced. */
#include "engine_fixture.h"

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

/* The same four sessions, defined one way or the other round. */
static uint64_t hash_of_four_sessions(uint32_t rules_version, bool is_turned)
{
    ome_limits_t limits = many_sessions;
    limits.rules_version = rules_version;
    market_t market = market_new(&limits, 1);
    static const struct
    {
        uint16_t session;
        uint16_t participant;
        const char *name;
        uint16_t number;
    } sessions[4] = {{5, 6, "A", 0}, {2, 1, "B", 0}, {6, 6, "A", 1}, {1, 2, "C", 0}};
    for (uint32_t i = 0; i < 4; i++)
    {
        const uint32_t at = is_turned ? 3 - i : i;
        accept_session(&market, sessions[at].session, sessions[at].participant, sessions[at].name, sessions[at].number);
    }
    const uint64_t hash = ome_engine_state_hash(market.engine);
    market_free(&market);
    return hash;
}

/* Rules, "Sessions": the engine keeps the command that defined a session. By the first version of the rules, engines with the same sessions
 * have the same state. */
static void the_state_tells_when_a_session_was_defined(void)
{
    CHECK(hash_of_four_sessions(OME_RULES_VERSION, false) != hash_of_four_sessions(OME_RULES_VERSION, true));
    CHECK_EQUAL(hash_of_four_sessions(0, false), hash_of_four_sessions(0, true));
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

int main(void)
{
    RUN(sessions_have_any_free_number);
    RUN(the_state_tells_when_a_session_was_defined);
    RUN(an_order_from_a_number_without_a_session_is_rejected);
    RUN(a_session_is_not_replaced_while_one_of_its_orders_lives);
    RUN(a_session_is_replaced_where_none_of_its_orders_lives);
    RUN(a_command_that_waits_for_its_terms_does_not_keep_its_session);
    RUN(a_session_that_is_defined_again_is_the_same_session);
    RUN(a_participant_is_replaced_where_none_of_its_orders_lives);
    return 0;
}
