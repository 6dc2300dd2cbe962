/* The events of an engine, byte for byte. */
#include "engine_fixture.h"

static void check_event(const market_t *market, uint64_t from_end, const ome_event_t *expected)
{
    CHECK_BYTES_EQUAL(event_from_end(market, from_end), expected, sizeof(*expected));
}

/* Rules, NewOrder: an order rests, another trades with part of it, and each event has exactly its bytes. */
static void a_trade_is_published_byte_for_byte(void)
{
    market_t market = simple_market();
    ome_command_t sell = limit_order(OME_SIDE_SELL, 105, 10, 501);
    sell.account = 9;
    apply(&market, sell, 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 2,
            .order_id = order_id(1, 1),
            .client_order_id = 501,
            .price = 105,
            .quantity = 10,
            .timestamp_ns = 2,
            .account = 9,
            .instrument = 1,
            .kind = OME_EVENT_KIND_ACCEPTED,
            .side = OME_SIDE_SELL,
            .flags = OME_EVENT_FLAGS_RESTS});
    ome_command_t buy = limit_order(OME_SIDE_BUY, 110, 4, 502);
    buy.account = 8;
    apply(&market, buy, 2);
    check_event(&market, 2,
        &(ome_event_t){.sequence = 3,
            .order_id = order_id(1, 2),
            .client_order_id = 502,
            .price = 110,
            .quantity = 4,
            .timestamp_ns = 3,
            .account = 8,
            .instrument = 1,
            .kind = OME_EVENT_KIND_ACCEPTED,
            .side = OME_SIDE_BUY});
    check_event(&market, 1,
        &(ome_event_t){.sequence = 3,
            .order_id = order_id(1, 2),
            .client_order_id = 502,
            .price = 105,
            .quantity = 4,
            .resting_order_id = order_id(1, 1),
            .resting_client_order_id = 501,
            .instrument = 1,
            .kind = OME_EVENT_KIND_TRADE,
            .side = OME_SIDE_BUY,
            .flags = OME_EVENT_FLAGS_AGGRESSOR_FILLED});
    buy.client_order_id = 503;
    buy.quantity = 9;
    apply(&market, buy, 3);
    check_event(&market, 2,
        &(ome_event_t){.sequence = 4,
            .order_id = order_id(2, 2),
            .client_order_id = 503,
            .price = 105,
            .quantity = 6,
            .resting_order_id = order_id(1, 1),
            .resting_client_order_id = 501,
            .instrument = 1,
            .kind = OME_EVENT_KIND_TRADE,
            .side = OME_SIDE_BUY,
            .flags = OME_EVENT_FLAGS_RESTING_FILLED});
    check_event(&market, 1,
        &(ome_event_t){.sequence = 4,
            .order_id = order_id(2, 2),
            .client_order_id = 503,
            .price = 110,
            .quantity = 3,
            .timestamp_ns = 4,
            .account = 8,
            .instrument = 1,
            .kind = OME_EVENT_KIND_RESTED,
            .side = OME_SIDE_BUY,
            .flags = OME_EVENT_FLAGS_RESTS});
    CHECK_EQUAL(market.engine->trade_count, 2);
    market_free(&market);
}

/* Rules, CancelOrder, ReduceOrder and AmendOrder: what becomes of an order at rest, byte for byte. */
static void changes_of_an_order_at_rest_are_published_byte_for_byte(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_BUY, 100, 10, 7), 1);
    ome_event_t expected = {.sequence = 3,
        .order_id = order_id(1, 1),
        .client_order_id = 7,
        .price = 100,
        .quantity = 3,
        .timestamp_ns = 3,
        .instrument = 1,
        .kind = OME_EVENT_KIND_REDUCED,
        .side = OME_SIDE_BUY,
        .flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_KEPT_PRIORITY};
    apply(&market, reduce_order(7, 3), 1);
    check_event(&market, 1, &expected);
    apply(&market, amend_order(7, OME_NULL_VALUE, 5), 1);
    expected.sequence = expected.timestamp_ns = 4;
    expected.kind = OME_EVENT_KIND_AMENDED;
    expected.quantity = 5;
    expected.flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY;
    check_event(&market, 1, &expected);
    apply(&market, amend_order(7, 99, OME_NULL_VALUE), 1);
    expected.sequence = expected.timestamp_ns = 5;
    expected.price = 99;
    expected.flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS;
    check_event(&market, 1, &expected);
    apply(&market, cancel_order(7), 1);
    expected.sequence = expected.timestamp_ns = 6;
    expected.kind = OME_EVENT_KIND_CANCELLED;
    expected.reason = OME_REASON_REQUESTED;
    expected.flags = OME_EVENT_FLAGS_WAS_RESTING;
    check_event(&market, 1, &expected);
    apply(&market, cancel_order(7), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 7,
            .client_order_id = 7,
            .timestamp_ns = 7,
            .kind = OME_EVENT_KIND_REJECTED,
            .reason = OME_REASON_UNKNOWN_ORDER,
            .command_kind = OME_COMMAND_KIND_CANCEL_ORDER});
    market_free(&market);
}

/* Rules, AmendOrder 4: an amend that crosses trades as aggressor under its own id, and what is left rests. */
static void an_amend_that_crosses_trades_under_its_own_id(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_BUY, 100, 10, 7), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 104, 4, 8), 1);
    apply(&market, amend_order(7, 105, OME_NULL_VALUE), 3);
    check_event(&market, 3,
        &(ome_event_t){.sequence = 4,
            .order_id = order_id(1, 1),
            .client_order_id = 7,
            .price = 105,
            .quantity = 10,
            .timestamp_ns = 4,
            .instrument = 1,
            .kind = OME_EVENT_KIND_AMENDED,
            .side = OME_SIDE_BUY,
            .flags = OME_EVENT_FLAGS_WAS_RESTING});
    check_event(&market, 2,
        &(ome_event_t){.sequence = 4,
            .order_id = order_id(1, 1),
            .client_order_id = 7,
            .price = 104,
            .quantity = 4,
            .resting_order_id = order_id(1, 2),
            .resting_client_order_id = 8,
            .instrument = 1,
            .kind = OME_EVENT_KIND_TRADE,
            .side = OME_SIDE_BUY,
            .flags = OME_EVENT_FLAGS_RESTING_FILLED});
    check_event(&market, 1,
        &(ome_event_t){.sequence = 4,
            .order_id = order_id(1, 1),
            .client_order_id = 7,
            .price = 105,
            .quantity = 6,
            .timestamp_ns = 4,
            .instrument = 1,
            .kind = OME_EVENT_KIND_RESTED,
            .side = OME_SIDE_BUY,
            .flags = OME_EVENT_FLAGS_RESTS});
    /* Its history stays: a total of 4 is what has traded already. */
    apply(&market, amend_order(7, OME_NULL_VALUE, 4), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 5,
            .order_id = order_id(1, 1),
            .client_order_id = 7,
            .price = 105,
            .quantity = 6,
            .timestamp_ns = 5,
            .instrument = 1,
            .kind = OME_EVENT_KIND_CANCELLED,
            .side = OME_SIDE_BUY,
            .reason = OME_REASON_AMENDED_AWAY,
            .flags = OME_EVENT_FLAGS_WAS_RESTING});
    market_free(&market);
}

/* Rules, NewOrder 1 and 3: what IOC, FOK and market orders leave unfilled is cancelled, each with its reason. */
static void remainders_that_do_not_rest_are_cancelled_with_their_reason(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 101, 5, 2), 1);
    ome_command_t buy = limit_order(OME_SIDE_BUY, 101, 11, 3);
    buy.time_in_force = OME_TIME_IN_FORCE_FOK;
    apply(&market, buy, 2);
    CHECK_EQUAL(last_reason(&market), OME_REASON_FILL_OR_KILL);
    CHECK_EQUAL(event_from_end(&market, 1)->quantity, 11);
    CHECK_EQUAL(event_from_end(&market, 1)->flags, 0);
    buy.price = 100;
    buy.time_in_force = OME_TIME_IN_FORCE_IOC;
    apply(&market, buy, 3);
    CHECK_EQUAL(last_reason(&market), OME_REASON_IMMEDIATE_OR_CANCEL);
    CHECK_EQUAL(event_from_end(&market, 1)->quantity, 6);
    buy.price = 101;
    buy.quantity = 5;
    buy.time_in_force = OME_TIME_IN_FORCE_FOK;
    apply(&market, buy, 2);
    CHECK_EQUAL(event_from_end(&market, 1)->flags, OME_EVENT_FLAGS_AGGRESSOR_FILLED | OME_EVENT_FLAGS_RESTING_FILLED);
    buy.order_type = OME_ORDER_TYPE_MARKET;
    buy.time_in_force = OME_TIME_IN_FORCE_GTC;
    buy.price = -77; /* ignored */
    apply(&market, buy, 2);
    CHECK_EQUAL(last_reason(&market), OME_REASON_NO_LIQUIDITY);
    CHECK_EQUAL(event_from_end(&market, 1)->price, 0);
    CHECK_EQUAL(market.engine->pools.ladder.level_count, 0);
    market_free(&market);
}

/* Rules, "Definitions": the event names what was defined. */
static void definitions_are_published_byte_for_byte(void)
{
    market_t market = market_new(&standard_limits, 1);
    apply(&market, define_limits(&standard_limits), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 1, .timestamp_ns = 1, .kind = OME_EVENT_KIND_DEFINED, .command_kind = OME_COMMAND_KIND_DEFINE_LIMITS});
    apply(&market, define_session(1, 1, "FIRM", 77), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 2,
            .timestamp_ns = 2,
            .participant = 1,
            .session = 1,
            .kind = OME_EVENT_KIND_DEFINED,
            .command_kind = OME_COMMAND_KIND_DEFINE_SESSION});
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 3,
            .timestamp_ns = 3,
            .instrument = 1,
            .kind = OME_EVENT_KIND_DEFINED,
            .command_kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT});
    market_free(&market);
}

/* Rules, "Definitions": numbers are consecutive, names are there once, and what was defined stays as it is. */
static void a_definition_that_does_not_fit_is_rejected(void)
{
    market_t market = market_new(&standard_limits, 1);
    apply(&market, define_session(1, 1, "FIRM", 77), 1);
    apply(&market, define_session(2, 1, "FIRM", 77), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 2,
            .timestamp_ns = 2,
            .participant = 1,
            .session = 2,
            .kind = OME_EVENT_KIND_REJECTED,
            .reason = OME_REASON_BAD_DEFINITION,
            .command_kind = OME_COMMAND_KIND_DEFINE_SESSION});
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    const ome_limits_t other = {.order_count_max = 65,
        .level_count_max = 32,
        .instrument_count_max = 4,
        .session_count_max = 4,
        .rules_version = OME_RULES_VERSION};
    apply_rejected(&market, define_limits(&other), OME_REASON_BAD_DEFINITION);
    apply_rejected(&market, define_instrument(2, "ABC", 1, 0), OME_REASON_BAD_DEFINITION);
    apply_rejected(&market, define_instrument(3, "DEF", 1, 0), OME_REASON_BAD_DEFINITION);
    apply_rejected(&market, define_session(2, 1, "OTHER", 1), OME_REASON_BAD_DEFINITION);
    apply_rejected(&market, define_session(2, 2, "FIRM", 1), OME_REASON_BAD_DEFINITION);
    apply(&market, define_session(2, 2, "OTHER", 77), 1);
    apply(&market, define_session(3, 1, "FIRM", 78), 1);
    CHECK_EQUAL(market.engine->session_count, 3);
    CHECK_EQUAL(market.engine->participant_count, 2);
    CHECK_EQUAL(market.engine->instrument_count, 1);
    market_free(&market);
}

/* Rules, "Rejections": what the command had is there again, byte for byte. */
static void a_rejection_echoes_its_command(void)
{
    market_t market = simple_market();
    apply(&market, define_session(1, 1, "FIRM", 77), 1);
    apply(&market, define_session(2, 2, "OTHER", 77), 1);
    ome_command_t bad = limit_order(OME_SIDE_BUY, 100, 0, 55);
    bad.account = 4;
    bad.participant = 2;
    bad.session = 2;
    apply(&market, bad, 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = market.time_ns,
            .client_order_id = 55,
            .price = 100,
            .timestamp_ns = market.time_ns,
            .account = 4,
            .participant = 2,
            .session = 2,
            .instrument = 1,
            .kind = OME_EVENT_KIND_REJECTED,
            .side = OME_SIDE_BUY,
            .reason = OME_REASON_ZERO_QUANTITY,
            .command_kind = OME_COMMAND_KIND_NEW_ORDER});
    ome_command_t amend = amend_order(order_id(9, 9), 101, 12);
    amend.flags = OME_COMMAND_FLAGS_BY_ORDER_ID;
    apply(&market, amend, 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = market.time_ns,
            .order_id = order_id(9, 9),
            .price = 101,
            .quantity = 12,
            .timestamp_ns = market.time_ns,
            .kind = OME_EVENT_KIND_REJECTED,
            .reason = OME_REASON_UNKNOWN_ORDER,
            .command_kind = OME_COMMAND_KIND_AMEND_ORDER});
    market_free(&market);
}

/* ---- the sink ---- */

/* A sweep of ten thousand orders over a thousand levels flushes after every event when the window has one, and says the
 * same as with a large one. */
static void a_sweep_of_ten_thousand_orders_fits_through_a_window_of_one_event(void)
{
    const ome_limits_t limits = {.order_count_max = 10001,
        .level_count_max = 1000,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
    market_t markets[2] = {market_new(&limits, 1), market_new(&limits, RECORDER_WINDOW_COUNT_MAX)};
    for (uint32_t i = 0; i < 2; i++)
    {
        market_t *market = &markets[i];
        apply(market, define_instrument(1, "ABC", 1, 0), 1);
        for (uint32_t order = 0; order < 10000; order++)
        {
            apply(market, limit_order(OME_SIDE_SELL, 1 + order * 7919 % 1000, 1 + order % 3, order + 1), 1);
        }
        ome_command_t sweep = limit_order(OME_SIDE_BUY, 1000, OME_QUANTITY_MAX, 0);
        sweep.time_in_force = OME_TIME_IN_FORCE_IOC;
        const uint64_t first = market->recorder->count;
        apply(market, sweep, 10002);
        for (uint64_t at = first + 1; at < first + 10000; at++)
        {
            CHECK_EQUAL(market->recorder->events[at].kind, OME_EVENT_KIND_TRADE);
            CHECK(at == first + 1 || market->recorder->events[at].price >= market->recorder->events[at - 1].price);
        }
        CHECK_EQUAL(last_reason(market), OME_REASON_IMMEDIATE_OR_CANCEL);
        CHECK_EQUAL(market->engine->pools.ladder.level_count, 0);
        CHECK_EQUAL(market->engine->pools.ladder.node_count, 1);
    }
    CHECK_EQUAL(markets[0].recorder->flush_count, markets[0].recorder->count);
    CHECK_EQUAL(markets[1].recorder->flush_count, 10002 / RECORDER_WINDOW_COUNT_MAX);
    CHECK_EQUAL(markets[0].recorder->count, markets[1].recorder->count);
    CHECK_BYTES_EQUAL(markets[0].recorder->events, markets[1].recorder->events, markets[0].recorder->count * sizeof(ome_event_t));
    market_free(&markets[0]);
    market_free(&markets[1]);
}

int main(void)
{
    RUN(a_trade_is_published_byte_for_byte);
    RUN(changes_of_an_order_at_rest_are_published_byte_for_byte);
    RUN(an_amend_that_crosses_trades_under_its_own_id);
    RUN(remainders_that_do_not_rest_are_cancelled_with_their_reason);
    RUN(definitions_are_published_byte_for_byte);
    RUN(a_definition_that_does_not_fit_is_rejected);
    RUN(a_rejection_echoes_its_command);
    RUN(a_sweep_of_ten_thousand_orders_fits_through_a_window_of_one_event);
    return 0;
}
