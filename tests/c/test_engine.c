/* The engine: what it refuses to be made of, what it says byte for byte, its limits, its invariants after any flow, and its hashes. */
#include <stdbool.h>

#include "book/ome_trailing.h"
#include "commands/ome_apply.h"
#include "matching/ome_stop.h"
#include "ome_test_market.h"
#include "state/ome_state.h"

static uint64_t seed;

static const ome_limits_t standard_limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 24};

typedef struct
{
    ome_engine_t *engine;
    recorder_t *recorder;
    uint64_t time_ns;
} market_t;

static market_t market_new(const ome_limits_t *limits, uint32_t window_count)
{
    return (market_t){.engine = market_engine(limits), .recorder = recorder_new(window_count)};
}

static void market_free(market_t *market)
{
    CHECK(ome_engine_check(market->engine) == NULL);
    free(market->engine);
    recorder_free(market->recorder);
}

/* Applies a command a moment later than the one before, and checks how many events it gives. */
static void apply(market_t *market, ome_command_t command, uint64_t event_count)
{
    command.timestamp_ns = ++market->time_ns;
    CHECK_EQUAL(recorder_apply(market->recorder, market->engine, &command), event_count);
    CHECK_EQUAL(market->engine->sequence, market->time_ns);
}

/* A market with one instrument, "ABC" with tick 1. */
static market_t simple_market(void)
{
    market_t market = market_new(&standard_limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    return market;
}

/* The event `from_end` before the last, which is 1. */
static ome_event_t *event_from_end(const market_t *market, uint64_t from_end)
{
    CHECK(from_end >= 1 && from_end <= market->recorder->count);
    return &market->recorder->events[market->recorder->count - from_end];
}

static uint8_t last_reason(const market_t *market)
{
    return event_from_end(market, 1)->reason;
}

static void apply_rejected(market_t *market, ome_command_t command, uint8_t reason)
{
    apply(market, command, 1);
    CHECK_EQUAL(event_from_end(market, 1)->kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(last_reason(market), reason);
}

static uint64_t order_id(uint32_t generation, uint32_t slot)
{
    return (uint64_t)generation << 32 | slot;
}

/* ---- making an engine ---- */

/* Each limit has its range; outside it there is no size and no engine. */
static void an_engine_is_made_only_with_limits_in_range(void)
{
    const ome_limits_t smallest = {1, 1, 1, 1, 0};
    const ome_limits_t largest = {
        OME_ORDER_COUNT_MAX, OME_LEVEL_COUNT_MAX, OME_INSTRUMENT_COUNT_MAX, OME_SESSION_COUNT_MAX, OME_ORDER_COUNT_MAX};
    const ome_limits_t too_special = {1, 1, 1, 1, OME_ORDER_COUNT_MAX + 1};
    CHECK_EQUAL(ome_engine_size_bytes(&too_special), 0);
    CHECK(ome_engine_size_bytes(&smallest) > 0);
    CHECK(ome_engine_size_bytes(&largest) > (UINT64_C(1) << 36));
    const uint32_t maxima[4] = {OME_ORDER_COUNT_MAX, OME_LEVEL_COUNT_MAX, OME_INSTRUMENT_COUNT_MAX, OME_SESSION_COUNT_MAX};
    for (uint32_t i = 0; i < 4; i++)
    {
        const uint32_t bad[3] = {0, maxima[i] + 1, UINT32_MAX};
        for (uint32_t j = 0; j < 3; j++)
        {
            uint32_t values[4] = {1, 1, 1, 1};
            values[i] = bad[j];
            const ome_limits_t limits = {values[0], values[1], values[2], values[3], 1};
            ome_engine_t *engine = NULL;
            uint8_t *memory = market_memory(4096);
            CHECK_EQUAL(ome_engine_size_bytes(&limits), 0);
            CHECK_EQUAL(ome_engine_init(&engine, memory, 4096, &limits), OME_INVALID);
            CHECK(engine == NULL);
            free(memory);
        }
    }
}

/* Memory that is not aligned is invalid, one byte too little is too small, exactly enough is enough. */
static void an_engine_is_made_only_in_aligned_memory_of_its_size(void)
{
    const uint64_t size_bytes = ome_engine_size_bytes(&standard_limits);
    uint8_t *memory = market_memory(size_bytes + OME_CACHE_LINE_SIZE);
    ome_engine_t *engine = NULL;
    for (uint32_t offset = 1; offset < OME_CACHE_LINE_SIZE; offset++)
    {
        CHECK_EQUAL(ome_engine_init(&engine, memory + offset, size_bytes, &standard_limits), OME_INVALID);
        CHECK(engine == NULL);
    }
    CHECK_EQUAL(ome_engine_init(&engine, memory, size_bytes - 1, &standard_limits), OME_NO_MEMORY);
    CHECK(engine == NULL);
    CHECK_EQUAL(ome_engine_init(&engine, memory, 0, &standard_limits), OME_NO_MEMORY);
    CHECK(engine == NULL);
    CHECK_EQUAL(ome_engine_init(&engine, memory, size_bytes, &standard_limits), OME_OK);
    CHECK(engine != NULL);
    CHECK_EQUAL(engine->sequence, 0);
    CHECK(ome_engine_check(engine) == NULL);
    free(memory);
}

/* ---- stories, byte by byte ---- */

static void check_event(const market_t *market, uint64_t from_end, const ome_event_t *expected)
{
    CHECK_BYTES_EQUAL(event_from_end(market, from_end), expected, sizeof(*expected));
}

/* Rules, NewOrder: an order rests, another trades with part of it, and each event has exactly its bytes. */
static void a_trade_is_told_byte_for_byte(void)
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
static void changes_of_an_order_at_rest_are_told_byte_for_byte(void)
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

/* Rules, "Definitions" and "Rejections": what is echoed. */
static void definitions_and_their_rejections_are_told_byte_for_byte(void)
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
    apply(&market, define_session(2, 1, "FIRM", 77), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 3,
            .timestamp_ns = 3,
            .participant = 1,
            .session = 2,
            .kind = OME_EVENT_KIND_REJECTED,
            .reason = OME_REASON_BAD_DEFINITION,
            .command_kind = OME_COMMAND_KIND_DEFINE_SESSION});
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    check_event(&market, 1,
        &(ome_event_t){.sequence = 4,
            .timestamp_ns = 4,
            .instrument = 1,
            .kind = OME_EVENT_KIND_DEFINED,
            .command_kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT});
    const ome_limits_t other = {.order_count_max = 65, .level_count_max = 32, .instrument_count_max = 4, .session_count_max = 4};
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

/* DefineLimits is valid only with the engine's own limits. */
static void limits_are_defined_as_they_are(void)
{
    for (uint32_t i = 0; i < 5; i++)
    {
        uint32_t values[5] = {64, 32, 4, 4, 24};
        values[i]++;
        const ome_limits_t other = {values[0], values[1], values[2], values[3], values[4]};
        market_t market = market_new(&standard_limits, 1);
        apply_rejected(&market, define_limits(&other), OME_REASON_BAD_DEFINITION);
        apply(&market, define_limits(&standard_limits), 1);
        CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_DEFINED);
        apply_rejected(&market, define_limits(&other), OME_REASON_BAD_DEFINITION);
        market_free(&market);
    }
}

/* ---- limits ---- */

/* Rules, "Order of checks" 13: every accepted order takes a slot, also one that would never rest; a freed one is taken again at once. */
static void an_order_is_refused_while_no_slot_is_free(void)
{
    const ome_limits_t limits = {.order_count_max = 3, .level_count_max = 8, .instrument_count_max = 1, .session_count_max = 1};
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    for (uint64_t id = 1; id <= 3; id++)
    {
        apply(&market, limit_order(OME_SIDE_SELL, 100, 5, id), 1);
    }
    apply_rejected(&market, limit_order(OME_SIDE_SELL, 100, 5, 4), OME_REASON_ORDER_LIMIT_REACHED);
    ome_command_t taker = limit_order(OME_SIDE_BUY, 100, 5, 4);
    taker.time_in_force = OME_TIME_IN_FORCE_IOC;
    apply_rejected(&market, taker, OME_REASON_ORDER_LIMIT_REACHED);
    apply(&market, cancel_order(2), 1);
    apply(&market, taker, 2);
    CHECK_EQUAL(event_from_end(&market, 1)->order_id, order_id(2, 2));
    CHECK_EQUAL(event_from_end(&market, 1)->resting_order_id, order_id(1, 1));
    /* Freed last is the aggressor's slot, before it that of the order that it filled. */
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 5), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->order_id, order_id(3, 2));
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 6), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->order_id, order_id(2, 1));
    apply_rejected(&market, limit_order(OME_SIDE_SELL, 100, 5, 7), OME_REASON_ORDER_LIMIT_REACHED);
    market_free(&market);
}

/* Rules, "Order of checks" 14 and 11: levels are counted over all instruments and sides; an order that joins a level or crosses needs none. */
static void an_order_is_refused_while_no_level_is_free(void)
{
    const ome_limits_t limits = {.order_count_max = 16, .level_count_max = 3, .instrument_count_max = 2, .session_count_max = 1};
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    apply(&market, define_instrument(2, "DEF", 1, 0), 1);
    ome_command_t other = limit_order(OME_SIDE_BUY, 50, 5, 1);
    other.instrument = 2;
    apply(&market, other, 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 2), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 105, 5, 3), 1);
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 99, 5, 4), OME_REASON_LEVEL_LIMIT_REACHED);
    apply_rejected(&market, limit_order(OME_SIDE_SELL, 106, 5, 4), OME_REASON_LEVEL_LIMIT_REACHED);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 4), 1);
    /* Alone at its price, an order would give its level back by moving; it is refused all the same. */
    apply_rejected(&market, amend_order(3, 107, OME_NULL_VALUE), OME_REASON_LEVEL_LIMIT_REACHED);
    /* An amend that cancels needs no level, and one that crosses takes the level that it empties. */
    apply(&market, amend_order(4, 106, 12), 3);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_RESTED);
    CHECK_EQUAL(event_from_end(&market, 1)->quantity, 7);
    apply(&market, amend_order(4, 200, 5), 1);
    CHECK_EQUAL(last_reason(&market), OME_REASON_AMENDED_AWAY);
    apply(&market, limit_order(OME_SIDE_SELL, 106, 20, 5), 1);
    apply_rejected(&market, limit_order(OME_SIDE_SELL, 107, 5, 6), OME_REASON_LEVEL_LIMIT_REACHED);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 8, 6), 3);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_RESTED);
    CHECK_EQUAL(event_from_end(&market, 1)->price, 100);
    market_free(&market);
}

/* Rules, "Order of checks" 10 and 9: 2^60 for one order, 2^62 for a side, and what an order has traded and has open together. */
static void quantities_are_refused_above_their_limits(void)
{
    market_t market = simple_market();
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, OME_QUANTITY_MAX + 1, 9), OME_REASON_QUANTITY_TOO_LARGE);
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, INT64_MAX, 9), OME_REASON_QUANTITY_TOO_LARGE);
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, INT64_MIN, 9), OME_REASON_NEGATIVE_QUANTITY);
    for (uint64_t id = 1; id <= 4; id++)
    {
        apply(&market, limit_order(OME_SIDE_BUY, 10, OME_QUANTITY_MAX, id), 1);
    }
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, 1, 9), OME_REASON_QUANTITY_TOO_LARGE);
    apply(&market, reduce_order(1, 1), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 10, 1, 9), 1);
    apply_rejected(&market, amend_order(9, OME_NULL_VALUE, 2), OME_REASON_QUANTITY_TOO_LARGE);
    apply_rejected(&market, amend_order(9, OME_NULL_VALUE, INT64_MAX), OME_REASON_QUANTITY_TOO_LARGE);
    apply(&market, amend_order(9, OME_NULL_VALUE, 1), 1);
    /* Order 1 is at the front: it trades all but one lot, and grows again, until what it has traded would pass 2^62. */
    int64_t traded = 0;
    for (uint32_t round = 0; round < 4; round++)
    {
        ome_command_t taker = limit_order(OME_SIDE_SELL, 11, OME_QUANTITY_MAX - 2, 0);
        taker.price = 10;
        taker.time_in_force = OME_TIME_IN_FORCE_IOC;
        apply(&market, taker, 2);
        CHECK_EQUAL(event_from_end(&market, 1)->resting_client_order_id, 1);
        traded += OME_QUANTITY_MAX - 2;
        ome_command_t grow = amend_order(1, 11, OME_QUANTITY_MAX - 1); /* to the front, at a better price */
        grow.flags = OME_COMMAND_FLAGS_OPEN_QUANTITY;
        if (round == 3)
        {
            grow.quantity = OME_OPEN_QUANTITY_MAX - traded + 1;
            apply_rejected(&market, grow, OME_REASON_QUANTITY_TOO_LARGE);
            grow.quantity--;
        }
        apply(&market, grow, 1);
    }
    CHECK(ome_engine_check(market.engine) == NULL);
    market_free(&market);
}

/* Rules, "Order ids": a slot whose generation is used up is not handed out again, so that the engine holds one order less. */
static void a_retired_slot_makes_the_engine_hold_one_order_less(void)
{
    const ome_limits_t limits = {.order_count_max = 2, .level_count_max = 8, .instrument_count_max = 1, .session_count_max = 1};
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 1), 1);
    market.engine->pools.orders.orders[1].generation = UINT32_MAX;
    ome_command_t cancel = cancel_order(order_id(UINT32_MAX, 1));
    cancel.flags = OME_COMMAND_FLAGS_BY_ORDER_ID;
    apply(&market, cancel, 1);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_CANCELLED);
    apply_rejected(&market, cancel, OME_REASON_ORDER_CLOSED);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 1), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->order_id, order_id(1, 2));
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 100, 5, 2), OME_REASON_ORDER_LIMIT_REACHED);
    market_free(&market);
}

/* ---- the sink ---- */

/* A sweep of ten thousand orders over a thousand levels flushes after every event when the window has one, and says the same as with a large one. */
static void a_sweep_of_ten_thousand_orders_fits_through_a_window_of_one_event(void)
{
    const ome_limits_t limits = {.order_count_max = 10001, .level_count_max = 1000, .instrument_count_max = 1, .session_count_max = 1};
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

/* ---- stories of each rule that is not plain ----
 *
 * What the reference model says of them, case by case, is in tests/test_reference.py; here each group runs once under the sanitizers. */

/* The event `from_end` before the last is this one. */
static void expect(const market_t *market, uint64_t from_end, uint8_t kind, uint64_t client_order_id, int64_t price, int64_t quantity,
    uint8_t reason, uint32_t flags)
{
    const ome_event_t *event = event_from_end(market, from_end);
    CHECK_EQUAL(event->kind, kind);
    CHECK_EQUAL(event->client_order_id, client_order_id);
    CHECK_EQUAL(event->price, price);
    CHECK_EQUAL(event->quantity, quantity);
    CHECK_EQUAL(event->reason, reason);
    CHECK_EQUAL(event->flags, flags);
    CHECK(ome_engine_check(market->engine) == NULL);
}

/* Applies a command and one record with its terms, up to three; those that are NONE come last. */
static void apply_with(market_t *market, ome_command_t command, ome_command_t terms, uint64_t event_count)
{
    command.flags |= OME_COMMAND_FLAGS_CONTINUED;
    apply(market, command, 0);
    terms.kind = OME_COMMAND_KIND_ORDER_TERMS;
    apply(market, terms, event_count);
}

static ome_command_t with_type(ome_command_t command, uint8_t order_type)
{
    command.order_type = order_type;
    return command;
}

static ome_command_t with_time(ome_command_t command, uint8_t time_in_force)
{
    command.time_in_force = time_in_force;
    return command;
}

static ome_command_t with_flags(ome_command_t command, uint16_t flags)
{
    command.flags |= flags;
    return command;
}

static ome_command_t last_price(int64_t price)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_SET_LAST_PRICE, .instrument = 1, .price = price};
}

/* Of a trailing stop that waits, by its record. */
static int64_t stop_price_of(const market_t *market, uint32_t index)
{
    return ome_trailing_stop_price(&market->engine->books[1], &market->engine->pools, index);
}

#define HIDDEN_AT_REST (OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_HIDDEN)

/* Rules S1, S2 and S4: a trade triggers stops, whose trades trigger others, in one command; buys come before sells, and at one stop price the first to enter. */
static void a_trade_sets_off_a_cascade_of_stops_in_order(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_SELL, 101, 1, 1), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 105, 10, 2), 1);
    apply_with(&market, with_type(limit_order(OME_SIDE_BUY, 0, 1, 11), OME_ORDER_TYPE_STOP), order_terms(OME_TERM_STOP_PRICE, 105), 1);
    expect(&market, 1, OME_EVENT_KIND_ACCEPTED, 11, 0, 1, 0, OME_EVENT_FLAGS_WAITING);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_BUY, 106, 2, 12), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 101), 1);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_BUY, 106, 3, 13), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 101), 1);
    CHECK_EQUAL(market.engine->books[1].waiting_count, 3);
    CHECK_EQUAL(market.engine->pools.specials.record_count, 3);
    apply(&market, limit_order(OME_SIDE_BUY, 101, 1, 3), 8);
    expect(&market, 7, OME_EVENT_KIND_TRADE, 3, 101, 1, 0, OME_EVENT_FLAGS_AGGRESSOR_FILLED | OME_EVENT_FLAGS_RESTING_FILLED);
    expect(&market, 6, OME_EVENT_KIND_TRIGGERED, 12, 101, 2, 0, 0);
    expect(&market, 5, OME_EVENT_KIND_TRADE, 12, 105, 2, 0, OME_EVENT_FLAGS_AGGRESSOR_FILLED);
    expect(&market, 4, OME_EVENT_KIND_TRIGGERED, 13, 101, 3, 0, 0);
    expect(&market, 2, OME_EVENT_KIND_TRIGGERED, 11, 105, 1, 0, 0);
    expect(&market, 1, OME_EVENT_KIND_TRADE, 11, 105, 1, 0, OME_EVENT_FLAGS_AGGRESSOR_FILLED);
    CHECK_EQUAL(market.engine->pools.specials.record_count, 0);
    CHECK_EQUAL(market.engine->pools.stops.level_count, 0);
    /* One that is past its trigger on entry triggers at once. */
    apply_with(&market, with_type(limit_order(OME_SIDE_BUY, 0, 1, 14), OME_ORDER_TYPE_STOP), order_terms(OME_TERM_STOP_PRICE, 105), 3);
    expect(&market, 3, OME_EVENT_KIND_ACCEPTED, 14, 0, 1, 0, 0);
    market_free(&market);
}

/* Rules S6: a trailing stop follows in its favour, keeps its entry when it moves, and has its limit at a distance from where it triggers. */
static void a_trailing_stop_follows_in_its_favour_only(void)
{
    market_t market = simple_market();
    ome_command_t trailing = with_type(limit_order(OME_SIDE_SELL, -2, 5, 1), OME_ORDER_TYPE_TRAILING_STOP_LIMIT);
    trailing.flags = OME_COMMAND_FLAGS_CONTINUED;
    apply(&market, trailing, 0);
    apply(&market, order_terms(OME_TERM_TRAIL_AMOUNT, 3), 1);
    CHECK_EQUAL(last_reason(&market), OME_REASON_NO_LAST_PRICE);
    apply(&market, last_price(100), 1);
    expect(&market, 1, OME_EVENT_KIND_COMPLETED, 0, 100, 0, 0, OME_COMMAND_KIND_SET_LAST_PRICE);
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_AMOUNT, 3), 1);
    CHECK_EQUAL(stop_price_of(&market, 1), 97);
    apply(&market, last_price(110), 1);
    CHECK_EQUAL(stop_price_of(&market, 1), 107);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_SELL, 90, 5, 2), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 112), 3);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_SELL, 90, 5, 3), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 108), 1);
    apply(&market, last_price(111), 1);
    CHECK_EQUAL(stop_price_of(&market, 1), 108); /* beside order 3, which entered later */
    apply(&market, last_price(109), 1);
    CHECK_EQUAL(stop_price_of(&market, 1), 108);
    apply(&market, last_price(108), 5);
    expect(&market, 4, OME_EVENT_KIND_TRIGGERED, 1, 108, 5, 0, 0);
    expect(&market, 3, OME_EVENT_KIND_RESTED, 1, 106, 5, 0, OME_EVENT_FLAGS_RESTS);
    expect(&market, 2, OME_EVENT_KIND_TRIGGERED, 3, 108, 5, 0, 0);
    market_free(&market);
}

/* A trailing stop is kept within the prices of the instrument, and its basis points are rounded up to a tick. */
static void a_trailing_stop_stays_within_the_prices_of_its_instrument(void)
{
    market_t market = market_new(&standard_limits, 1);
    apply(&market, define_instrument(1, "ABC", 8, OME_INSTRUMENT_FLAGS_SIGNED_PRICES), 1);
    apply(&market, last_price(OME_PRICE_MAX), 1);
    ome_command_t trailing = with_type(limit_order(OME_SIDE_BUY, 0, 5, 1), OME_ORDER_TYPE_TRAILING_STOP);
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_BASIS_POINTS, 10000), 3); /* at the highest price: past it at once */
    CHECK_EQUAL(event_from_end(&market, 2)->kind, OME_EVENT_KIND_TRIGGERED);
    CHECK_EQUAL(event_from_end(&market, 2)->price, OME_PRICE_MAX);
    apply(&market, last_price(-OME_PRICE_MAX), 1);
    trailing.side = OME_SIDE_SELL;
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_AMOUNT, OME_PRICE_MAX), 3);
    CHECK_EQUAL(event_from_end(&market, 2)->price, -OME_PRICE_MAX);
    apply(&market, last_price(-8), 1);
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_BASIS_POINTS, 1), 1);
    CHECK_EQUAL(stop_price_of(&market, 1), -16);
    trailing.side = OME_SIDE_BUY;
    trailing.client_order_id = 2;
    apply(&market, last_price(0), 1); /* of nothing the distance is one tick */
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_BASIS_POINTS, 10000), 1);
    CHECK_EQUAL(stop_price_of(&market, 2), 8);
    market_free(&market);
}

static void enter_trailing(market_t *market, uint8_t side, uint64_t id, uint8_t term, int64_t distance)
{
    const ome_command_t order = with_type(limit_order(side, 0, 1, id), OME_ORDER_TYPE_TRAILING_STOP);
    apply_with(market, order, order_terms(term, distance), 1);
}

/* Rules S6: trailing stops with the same best price are one group, which moves as one; a price that passes the best of several makes them one; a group ends with its last order. */
static void trailing_stops_with_one_best_price_move_as_one_group(void)
{
    market_t market = simple_market();
    const ome_trailing_pool_t *pool = &market.engine->pools.trailing;
    for (uint64_t id = 1; id <= 18; id++)
    {
        apply(&market, last_price(1000 + (int64_t)((id - 1) / 6) * 10), 1);
        enter_trailing(&market, OME_SIDE_BUY, id, OME_TERM_TRAIL_AMOUNT, 100 + (int64_t)(id * 7 % 13));
    }
    CHECK_EQUAL(pool->group_count, 3);
    static const struct
    {
        int64_t price;
        uint32_t group_count;
    } steps[] = {{1050, 3}, {1020, 3}, {1015, 3}, {1012, 3}, {1010, 2}, {1040, 2}, {1004, 2}, {1000, 1}, {1001, 1}, {990, 1}};
    for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
    {
        apply(&market, last_price(steps[i].price), 1);
        CHECK_EQUAL(pool->group_count, steps[i].group_count);
        CHECK(ome_engine_check(market.engine) == NULL);
    }
    for (uint32_t index = 1; index <= 18; index++)
    {
        CHECK_EQUAL(stop_price_of(&market, index), 990 + 100 + (int64_t)(index * 7 % 13));
    }
    /* From the middle, the first one too; what grows goes behind the others of its price. */
    ome_command_t grown = {.kind = OME_COMMAND_KIND_AMEND_ORDER, .client_order_id = 12, .quantity = 2, .price = OME_NULL_VALUE};
    apply(&market, grown, 1);
    expect(&market, 1, OME_EVENT_KIND_AMENDED, 12, 0, 2, 0, OME_EVENT_FLAGS_WAITING);
    for (uint64_t id = 1; id <= 18; id++)
    {
        if (id != 12 && id != 5)
        {
            apply(&market, cancel_order(id), 1);
            CHECK(ome_engine_check(market.engine) == NULL);
        }
    }
    apply(&market, last_price(1097), 3); /* 7 * 12 % 13 is 6, 7 * 5 % 13 is 9 */
    expect(&market, 2, OME_EVENT_KIND_TRIGGERED, 12, 1096, 2, 0, 0);
    apply(&market, cancel_order(5), 1);
    CHECK_EQUAL(pool->group_count, 0);
    CHECK_EQUAL(market.engine->pools.specials.record_count, 0);
    market_free(&market);
}

#define TRAILING_COUNT 400u
#define PRICE_STEP_COUNT 4000u

/* Moves copies of the records of all that wait, each by itself, to where a price puts it. */
static void move_copies(const ome_book_t *book, ome_special_t *copies, int64_t price)
{
    ome_book_t at_price = *book;
    at_price.last_trade_price = price;
    for (uint32_t index = 1; index <= TRAILING_COUNT; index++)
    {
        copies[index].stop_price = copies[index].order_id != 0 ? ome_stop_moved_price(&at_price, &copies[index]) : 0;
    }
}

static void check_copies(const market_t *market, ome_special_t *copies)
{
    const ome_book_t *book = &market->engine->books[1];
    for (uint32_t index = 1; index <= TRAILING_COUNT; index++)
    {
        const bool has_triggered = copies[index].order_id != market->engine->pools.specials.records[index].order_id;
        if (copies[index].order_id == 0)
        {
            continue;
        }
        CHECK_EQUAL(has_triggered, ome_stop_is_past(book, copies[index].side, copies[index].stop_price));
        CHECK(has_triggered || stop_price_of(market, index) == copies[index].stop_price);
        copies[index].order_id = has_triggered ? 0 : copies[index].order_id;
    }
}

/* An order that takes the place of one that has gone; some are told where to start. */
static void enter_any_trailing(market_t *market, uint64_t *random, uint64_t id, int64_t price)
{
    const uint8_t side = (uint8_t)(OME_SIDE_BUY + test_random(random) % 2);
    const bool is_amount = test_random(random) % 2 == 0;
    const int64_t distance = 1 + (int64_t)(test_random(random) % (test_random(random) % 2 == 0 ? 10 : 2000));
    const int64_t away = (1 + (int64_t)(test_random(random) % 1000)) * 5;
    ome_command_t terms = order_terms(is_amount ? OME_TERM_TRAIL_AMOUNT : OME_TERM_TRAIL_BASIS_POINTS, is_amount ? distance * 5 : distance);
    if (test_random(random) % 3 == 0)
    {
        terms.term_2 = OME_TERM_STOP_PRICE;
        terms.value_2 = side == OME_SIDE_BUY ? price + away : price - away;
    }
    apply_with(market, with_type(limit_order(side, 0, 1, id), OME_ORDER_TYPE_TRAILING_STOP), terms, 1);
}

/* Rules S6: as the price goes its way over thousands of steps, each of hundreds of trailing stops stands where looking at it alone at each step would have put it, and triggers just then. */
static void trailing_stops_stand_where_looking_at_each_would_have_put_them(void)
{
    const ome_limits_t limits = {.order_count_max = TRAILING_COUNT,
        .level_count_max = 2,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = TRAILING_COUNT};
    static ome_special_t copies[TRAILING_COUNT + 1];
    market_t market = market_new(&limits, 64);
    uint64_t random = seed;
    uint64_t id = 0;
    int64_t price = 0;
    memset(copies, 0, sizeof(copies));
    apply(&market, define_instrument(1, "ABC", 5, OME_INSTRUMENT_FLAGS_SIGNED_PRICES), 1);
    for (uint32_t step = 0; step < PRICE_STEP_COUNT; step++)
    {
        const uint64_t reach = step % 100 == 0 ? 1000 : 20;
        price += ((int64_t)(test_random(&random) % (2 * reach + 1)) - (int64_t)reach) * 5;
        move_copies(&market.engine->books[1], copies, price);
        ome_command_t look = last_price(price);
        look.timestamp_ns = ++market.time_ns;
        (void)recorder_apply(market.recorder, market.engine, &look);
        check_copies(&market, copies);
        if (market.engine->pools.specials.record_count == TRAILING_COUNT)
        {
            (void)recorder_apply(market.recorder, market.engine,
                &(ome_command_t){
                    .kind = OME_COMMAND_KIND_MASS_CANCEL, .timestamp_ns = ++market.time_ns, .side = (uint8_t)(OME_SIDE_BUY + step % 2)});
        }
        for (uint32_t i = 0; i < 3; i++)
        {
            enter_any_trailing(&market, &random, ++id, price);
        }
        /* What has gone is gone, what has come is there with the stop price that it came with. */
        for (uint32_t index = 1; index <= TRAILING_COUNT; index++)
        {
            const ome_special_t *record = &market.engine->pools.specials.records[index];
            copies[index] = record->order_id == copies[index].order_id ? copies[index] : *record;
        }
        CHECK(step % 20 != 0 || ome_engine_check(market.engine) == NULL);
    }
    CHECK(market.engine->pools.trailing.groups_ever_used > 20);
    market_free(&market);
}

/* Rules I1 to I3 and P7: only peaks are displayed; they are replenished at the back, in the order in which they were used up; hidden orders trade last. */
static void icebergs_are_displayed_anew_at_the_back_and_hidden_orders_trade_last(void)
{
    market_t market = simple_market();
    const uint32_t joins = OME_EVENT_FLAGS_RESTS;
    apply(&market, with_flags(limit_order(OME_SIDE_SELL, 100, 4, 1), OME_COMMAND_FLAGS_HIDDEN), 1);
    expect(&market, 1, OME_EVENT_KIND_ACCEPTED, 1, 100, 4, 0, joins | OME_EVENT_FLAGS_HIDDEN);
    apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 2), order_terms(OME_TERM_DISPLAY_QUANTITY, 2), 2);
    expect(&market, 2, OME_EVENT_KIND_ACCEPTED, 2, 100, 5, 0, joins | OME_EVENT_FLAGS_HIDDEN);
    expect(&market, 1, OME_EVENT_KIND_DISPLAYED, 2, 100, 2, 0, joins);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 3, 3), 1);
    apply(&market, with_time(limit_order(OME_SIDE_BUY, 100, 13, 4), OME_TIME_IN_FORCE_FOK), 2);
    CHECK_EQUAL(last_reason(&market), OME_REASON_FILL_OR_KILL);
    apply(&market, with_time(limit_order(OME_SIDE_BUY, 100, 11, 4), OME_TIME_IN_FORCE_FOK), 8);
    const uint32_t anew = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS;
    expect(&market, 7, OME_EVENT_KIND_TRADE, 4, 100, 2, 0, 0);
    expect(&market, 6, OME_EVENT_KIND_DISPLAYED, 2, 100, 2, 0, anew);
    expect(&market, 5, OME_EVENT_KIND_TRADE, 4, 100, 3, 0, OME_EVENT_FLAGS_RESTING_FILLED);
    expect(&market, 4, OME_EVENT_KIND_TRADE, 4, 100, 2, 0, 0);
    expect(&market, 3, OME_EVENT_KIND_DISPLAYED, 2, 100, 1, 0, anew);
    expect(&market, 2, OME_EVENT_KIND_TRADE, 4, 100, 1, 0, OME_EVENT_FLAGS_RESTING_FILLED);
    expect(&market, 1, OME_EVENT_KIND_TRADE, 4, 100, 3, 0, OME_EVENT_FLAGS_AGGRESSOR_FILLED | OME_EVENT_FLAGS_HIDDEN);
    /* A displayed order joins a level of which only a hidden one is left, and trades before it. */
    apply(&market, limit_order(OME_SIDE_SELL, 100, 2, 5), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 2, 6), 2);
    CHECK_EQUAL(event_from_end(&market, 1)->resting_client_order_id, 5);
    apply(&market, cancel_order(1), 1);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 1, 100, 1, OME_REASON_REQUESTED, HIDDEN_AT_REST);
    CHECK_EQUAL(market.engine->pools.ladder.level_count, 0);
    market_free(&market);
}

/* What is taken off an iceberg comes from its reserve first; what it displays less is said before. */
static void what_is_taken_off_an_iceberg_comes_from_its_reserve_first(void)
{
    market_t market = simple_market();
    apply_with(&market, limit_order(OME_SIDE_BUY, 100, 10, 1), order_terms(OME_TERM_DISPLAY_QUANTITY, 4), 2);
    apply(&market, reduce_order(1, 5), 1);
    expect(&market, 1, OME_EVENT_KIND_REDUCED, 1, 100, 5, 0, HIDDEN_AT_REST | OME_EVENT_FLAGS_KEPT_PRIORITY);
    apply(&market, amend_order(1, OME_NULL_VALUE, 3), 2);
    expect(&market, 2, OME_EVENT_KIND_DISPLAYED, 1, 100, -1, 0,
        OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY);
    expect(&market, 1, OME_EVENT_KIND_AMENDED, 1, 100, 3, 0, HIDDEN_AT_REST | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY);
    apply_with(&market, amend_order(1, 99, 9), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 2), 3);
    expect(&market, 3, OME_EVENT_KIND_DISPLAYED, 2, 100, -3, 0, OME_EVENT_FLAGS_WAS_RESTING);
    expect(&market, 2, OME_EVENT_KIND_AMENDED, 2, 99, 9, 0, HIDDEN_AT_REST | OME_EVENT_FLAGS_RESTS);
    expect(&market, 1, OME_EVENT_KIND_DISPLAYED, 2, 99, 4, 0, OME_EVENT_FLAGS_RESTS);
    apply_rejected(&market, cancel_order(1), OME_REASON_UNKNOWN_ORDER);
    apply(&market, cancel_order(2), 2);
    expect(&market, 2, OME_EVENT_KIND_DISPLAYED, 2, 99, -4, 0, OME_EVENT_FLAGS_WAS_RESTING);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 2, 99, 9, OME_REASON_REQUESTED, HIDDEN_AT_REST);
    CHECK_EQUAL(market.engine->pools.specials.record_count, 0);
    CHECK_EQUAL(market.engine->pools.index.count, 0);
    market_free(&market);
}

/* Rules T2 and T7: before a record, orders die by rising deadline, wherever they are; DAY orders at the end of the day. */
static void orders_die_at_their_deadline_before_anything_else(void)
{
    market_t market = simple_market();
    const ome_command_t far = with_time(limit_order(OME_SIDE_BUY, 100, 5, 1), OME_TIME_IN_FORCE_GTD);
    ome_command_t near = with_time(limit_order(OME_SIDE_BUY, 100, 5, 2), OME_TIME_IN_FORCE_GTD);
    apply_with(&market, far, order_terms(OME_TERM_EXPIRE_TIME, 1000), 1);
    apply_with(&market, near, order_terms(OME_TERM_EXPIRE_TIME, 900), 1);
    ome_command_t stop = with_type(near, OME_ORDER_TYPE_STOP);
    stop.client_order_id = 3;
    ome_command_t terms = order_terms(OME_TERM_EXPIRE_TIME, 900);
    terms.term_2 = OME_TERM_STOP_PRICE;
    terms.value_2 = 500;
    apply_with(&market, stop, terms, 1);
    apply(&market, with_time(limit_order(OME_SIDE_BUY, 99, 5, 4), OME_TIME_IN_FORCE_DAY), 1);
    ome_command_t taker = limit_order(OME_SIDE_SELL, 100, 5, 5);
    taker.timestamp_ns = 999;
    CHECK_EQUAL(recorder_apply(market.recorder, market.engine, &taker), 4);
    expect(&market, 4, OME_EVENT_KIND_CANCELLED, 2, 100, 5, OME_REASON_EXPIRED, OME_EVENT_FLAGS_WAS_RESTING);
    expect(&market, 3, OME_EVENT_KIND_CANCELLED, 3, 0, 5, OME_REASON_EXPIRED, OME_EVENT_FLAGS_WAITING);
    CHECK_EQUAL(event_from_end(&market, 1)->resting_client_order_id, 1);
    CHECK_EQUAL(market.engine->attention_ns, 1000);
    CHECK_EQUAL(market.engine->pools.specials.heap_count, 0); /* order 1 was filled: nothing will be missed */
    ome_command_t late = far;
    late.flags = OME_COMMAND_FLAGS_CONTINUED;
    CHECK_EQUAL(recorder_apply(market.recorder, market.engine, &late), 0);
    ome_command_t expired = order_terms(OME_TERM_EXPIRE_TIME, 999);
    CHECK_EQUAL(recorder_apply(market.recorder, market.engine, &expired), 1);
    CHECK_EQUAL(last_reason(&market), OME_REASON_ALREADY_EXPIRED);
    ome_command_t end = {.kind = OME_COMMAND_KIND_EXPIRE_ORDERS, .flags = OME_COMMAND_FLAGS_END_OF_DAY, .timestamp_ns = 1001};
    CHECK_EQUAL(recorder_apply(market.recorder, market.engine, &end), 2);
    expect(&market, 2, OME_EVENT_KIND_CANCELLED, 4, 99, 5, OME_REASON_EXPIRED, OME_EVENT_FLAGS_WAS_RESTING);
    expect(&market, 1, OME_EVENT_KIND_COMPLETED, 0, 0, 1, 0, OME_COMMAND_KIND_EXPIRE_ORDERS);
    CHECK_EQUAL(market.engine->attention_ns, UINT64_MAX);
    market_free(&market);
}

/* Rules T1, T5, T6 and T9: collars, minimum quantities, post-only orders and budgets. */
static void orders_are_held_to_what_they_say(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 103, 5, 2), 1);
    ome_command_t buy = limit_order(OME_SIDE_BUY, 103, 8, 3);
    apply_with(&market, with_time(buy, OME_TIME_IN_FORCE_FOK), order_terms(OME_TERM_BUDGET, 5 * 100 + 3 * 103 - 1), 2);
    CHECK_EQUAL(last_reason(&market), OME_REASON_BUDGET);
    apply_rejected(&market, with_flags(buy, OME_COMMAND_FLAGS_POST_ONLY), OME_REASON_POST_ONLY_WOULD_TAKE);
    buy.quantity = 20;
    apply_with(&market, buy, order_terms(OME_TERM_MINIMUM_QUANTITY, 11), 2);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 3, 103, 20, OME_REASON_MINIMUM_QUANTITY, 0);
    apply_with(&market, with_type(buy, OME_ORDER_TYPE_MARKET), order_terms(OME_TERM_COLLAR_TICKS, 2), 3);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 3, 0, 15, OME_REASON_COLLAR, 0);
    apply(&market, with_flags(limit_order(OME_SIDE_BUY, 102, 4, 4), OME_COMMAND_FLAGS_POST_ONLY), 1);
    apply_rejected(&market, amend_order(4, 103, OME_NULL_VALUE), OME_REASON_POST_ONLY_WOULD_TAKE);
    market_free(&market);
}

/* Rules T1 and T6, choices of the instrument: a market order's rest becomes a limit order, a post-only order slides. */
static void an_instrument_lets_market_orders_rest_and_post_only_orders_slide(void)
{
    market_t market = market_new(&standard_limits, 1);
    ome_command_t instrument = define_instrument(1, "ABC", 1, OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT | OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES);
    instrument.collar_ticks = 5;
    apply(&market, instrument, 1);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 106, 5, 2), 1);
    apply(&market, with_flags(limit_order(OME_SIDE_BUY, 120, 1, 3), OME_COMMAND_FLAGS_POST_ONLY), 1);
    expect(&market, 1, OME_EVENT_KIND_ACCEPTED, 3, 99, 1, 0, OME_EVENT_FLAGS_RESTS);
    apply(&market, with_type(limit_order(OME_SIDE_BUY, 0, 8, 4), OME_ORDER_TYPE_MARKET), 3);
    expect(&market, 1, OME_EVENT_KIND_RESTED, 4, 100, 3, 0, OME_EVENT_FLAGS_RESTS);
    apply(&market, amend_order(3, 106, 1), 1);
    expect(&market, 1, OME_EVENT_KIND_AMENDED, 3, 105, 1, 0, OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS);
    market_free(&market);
}

static ome_command_t guarded(ome_command_t command, uint8_t instruction, uint8_t scope)
{
    command.self_trade_prevention = instruction;
    command.self_trade_scope = scope;
    return command;
}

/* Rules X1 to X4: each instruction of the aggressor, on an order of its own group that stands before one of another account. */
static void the_instruction_of_the_aggressor_decides(void)
{
    static const struct
    {
        uint8_t instruction;
        uint32_t event_count;
        int64_t own_left;
        int64_t other_left;
    } cases[] = {{OME_SELF_TRADE_PREVENTION_NONE, 3, 0, 3}, {OME_SELF_TRADE_PREVENTION_CANCEL_NEWEST, 3, 5, 5},
        {OME_SELF_TRADE_PREVENTION_CANCEL_OLDEST, 5, 0, 0}, {OME_SELF_TRADE_PREVENTION_CANCEL_BOTH, 4, 0, 5},
        {OME_SELF_TRADE_PREVENTION_DECREMENT, 5, 0, 3}};
    for (uint32_t i = 0; i < 5; i++)
    {
        market_t market = simple_market();
        ome_command_t own = limit_order(OME_SIDE_SELL, 100, 5, 1);
        ome_command_t other = limit_order(OME_SIDE_SELL, 100, 5, 2);
        own.account = 7;
        other.account = 8;
        apply(&market, own, 1);
        apply(&market, other, 1);
        ome_command_t taker = guarded(limit_order(OME_SIDE_BUY, 100, 7, 3), cases[i].instruction, OME_SELF_TRADE_SCOPE_ACCOUNT);
        taker.account = 7;
        apply(&market, taker, cases[i].event_count);
        const ome_order_t *orders = market.engine->pools.orders.orders;
        CHECK_EQUAL(orders[1].leaves_quantity, cases[i].own_left);
        CHECK_EQUAL(orders[2].leaves_quantity, cases[i].other_left);
        if (cases[i].instruction == OME_SELF_TRADE_PREVENTION_DECREMENT)
        {
            expect(&market, 4, OME_EVENT_KIND_PREVENTED, 3, 100, 5, 0, 0);
            expect(&market, 3, OME_EVENT_KIND_CANCELLED, 1, 100, 5, OME_REASON_SELF_TRADE_PREVENTION, OME_EVENT_FLAGS_WAS_RESTING);
            expect(&market, 2, OME_EVENT_KIND_REDUCED, 3, 100, 5, OME_REASON_SELF_TRADE_PREVENTION, 0);
        }
        market_free(&market);
    }
}

/* Rules X2: a group is of the participant, whatever the account; fill or kill does not count its orders. */
static void a_fill_or_kill_does_not_count_orders_of_its_own_group(void)
{
    market_t market = simple_market();
    const ome_command_t own =
        guarded(limit_order(OME_SIDE_SELL, 100, 5, 1), OME_SELF_TRADE_PREVENTION_CANCEL_OLDEST, OME_SELF_TRADE_SCOPE_GROUP);
    apply_with(&market, own, order_terms(OME_TERM_SELF_TRADE_GROUP, 6), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 2), 1);
    ome_command_t taker =
        guarded(limit_order(OME_SIDE_BUY, 100, 6, 3), OME_SELF_TRADE_PREVENTION_CANCEL_OLDEST, OME_SELF_TRADE_SCOPE_GROUP);
    taker.account = 99;
    taker.time_in_force = OME_TIME_IN_FORCE_FOK;
    apply_with(&market, taker, order_terms(OME_TERM_SELF_TRADE_GROUP, 6), 2);
    CHECK_EQUAL(last_reason(&market), OME_REASON_FILL_OR_KILL);
    taker.quantity = 5;
    apply_with(&market, taker, order_terms(OME_TERM_SELF_TRADE_GROUP, 6), 4);
    CHECK_EQUAL(event_from_end(&market, 1)->resting_client_order_id, 2);
    expect(&market, 2, OME_EVENT_KIND_CANCELLED, 1, 100, 5, OME_REASON_SELF_TRADE_PREVENTION, OME_EVENT_FLAGS_WAS_RESTING);
    taker.client_order_id = 4;
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 5), 1);
    apply_with(&market, taker, order_terms(OME_TERM_SELF_TRADE_GROUP, 5), 2);
    market_free(&market);
}

/* Rules A7: what matches dies in the order of order ids, which is not that of slots; then the total is said. */
static void a_mass_cancel_ends_what_matches_by_order_id(void)
{
    market_t market = simple_market();
    for (uint64_t id = 1; id <= 40; id++)
    {
        apply(&market,
            with_flags(limit_order(id % 2 == 0 ? OME_SIDE_BUY : OME_SIDE_SELL, id % 2 == 0 ? 90 : 110, 1, id),
                id % 3 == 0 ? OME_COMMAND_FLAGS_HIDDEN : 0),
            1);
    }
    for (uint64_t id = 1; id <= 20; id += 3)
    {
        apply(&market, cancel_order(id), 1);
        apply(&market, limit_order(OME_SIDE_BUY, 91, 1, id), 1); /* in the same slot, of a later generation */
    }
    ome_command_t mass = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .side = OME_SIDE_BUY, .client_order_id = 77, .instrument = 1};
    apply(&market, mass, 25);
    expect(&market, 1, OME_EVENT_KIND_COMPLETED, 77, 0, 24, 0, OME_COMMAND_KIND_MASS_CANCEL);
    for (uint64_t from_end = 2; from_end < 25; from_end++)
    {
        CHECK(event_from_end(&market, from_end)->order_id > event_from_end(&market, from_end + 1)->order_id);
        CHECK_EQUAL(event_from_end(&market, from_end)->reason, OME_REASON_MASS_CANCELLED);
    }
    mass.side = 0;
    mass.account = 1;
    mass.flags = OME_COMMAND_FLAGS_BY_ACCOUNT;
    apply(&market, mass, 1);
    mass.flags = OME_COMMAND_FLAGS_ANY_PARTICIPANT;
    apply(&market, mass, 17);
    CHECK_EQUAL(market.engine->pools.ladder.level_count, 0);
    CHECK_EQUAL(market.engine->pools.index.count, 0);
    mass.side = 3;
    apply_rejected(&market, mass, OME_REASON_BAD_SIDE);
    market_free(&market);
}

#define CROWD_ORDER_COUNT 20000u

static uint32_t count_all(const ome_order_pool_t *pool, uint16_t participant)
{
    uint32_t count = 0;
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        count += pool->orders[slot].leaves_quantity > 0 && ome_owner_participant(pool->orders[slot].owner) == participant;
    }
    return count;
}

static uint32_t count_found(ome_order_pool_t *pool, uint16_t participant)
{
    uint32_t count = 0;
    uint32_t last = 0;
    for (uint32_t slot = ome_order_pool_next_of(pool, participant, 0); slot != 0; slot = ome_order_pool_next_of(pool, participant, slot))
    {
        CHECK(slot > last);
        CHECK_EQUAL(ome_owner_participant(pool->orders[slot].owner), participant);
        last = slot;
        count++;
    }
    return count;
}

/* Rules A7: of tens of thousands of orders in slots that change hands, a mass cancel finds all of its participant's and no other, also where participants share a tag; and what it has
 * searched in vain it does not search again. */
static void a_mass_cancel_finds_its_orders_among_those_of_others(void)
{
    static const uint16_t participants[] = {1, 129, 257, 2, 0, 65535};
    const ome_limits_t limits = {
        .order_count_max = CROWD_ORDER_COUNT, .level_count_max = 8, .instrument_count_max = 1, .session_count_max = 1};
    market_t market = market_new(&limits, 64);
    ome_order_pool_t *const pool = &market.engine->pools.orders;
    uint64_t random = seed;
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    for (uint64_t id = 1; id <= CROWD_ORDER_COUNT; id++)
    {
        ome_command_t order = limit_order(id % 2 == 0 ? OME_SIDE_BUY : OME_SIDE_SELL, id % 2 == 0 ? 90 : 110, 1, id);
        order.participant = participants[test_random(&random) % 4 + (id < 10 ? 2 : 0)];
        apply(&market, order, 1);
    }
    CHECK(ome_engine_check(market.engine) == NULL);
    for (uint32_t round = 0; round < 8; round++)
    {
        const uint16_t participant = participants[round % 6];
        const uint32_t count = count_all(pool, participant);
        ome_command_t mass = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .participant = participant, .side = OME_SIDE_BUY};
        CHECK_EQUAL(count_found(pool, participant), count);
        market.recorder->count = 0;
        mass.timestamp_ns = ++market.time_ns;
        const uint64_t buy_count = recorder_apply(market.recorder, market.engine, &mass) - 1;
        CHECK_EQUAL(event_from_end(&market, 1)->quantity, (int64_t)buy_count);
        CHECK_EQUAL(count_all(pool, participant), count - buy_count);
        CHECK_EQUAL(count_found(pool, participant), count - buy_count);
        mass.side = 0;
        apply(&market, mass, count - buy_count + 1);
        apply(&market, mass, 1);
        CHECK_EQUAL(count_all(pool, participant), 0);
        for (uint64_t block = 0; block < pool->row_size_bytes; block++)
        {
            CHECK_EQUAL(ome_order_pool_row(pool, participant)[block], 0);
        }
        CHECK(ome_engine_check(market.engine) == NULL);
        /* Whoever comes next takes the slots that are free now. */
        for (uint64_t id = 1; id <= count; id++)
        {
            ome_command_t order = limit_order(OME_SIDE_BUY, 91, 1, 100000u * (round + 1) + id);
            order.participant = participants[test_random(&random) % 6];
            apply(&market, order, 1);
        }
    }
    market_free(&market);
}

/* Commands of several records: one that is interrupted is refused, what interrupts it is looked at by itself, and terms that follow nothing are refused. */
static void a_command_that_is_not_completed_is_refused(void)
{
    market_t market = simple_market();
    const ome_command_t order = with_flags(limit_order(OME_SIDE_BUY, 100, 5, 1), OME_COMMAND_FLAGS_CONTINUED);
    apply(&market, order, 0);
    apply(&market, order, 1);
    expect(&market, 1, OME_EVENT_KIND_REJECTED, 1, 100, 5, OME_REASON_INCOMPLETE_COMMAND, OME_COMMAND_KIND_NEW_ORDER);
    CHECK_EQUAL(event_from_end(&market, 1)->timestamp_ns, 2);
    CHECK_EQUAL(event_from_end(&market, 1)->sequence, 3);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 1), 2);
    apply_rejected(&market, order_terms(OME_TERM_STOP_PRICE, 5), OME_REASON_INCOMPLETE_COMMAND);
    CHECK_EQUAL(market.engine->attention_ns, UINT64_MAX);
    apply(&market, with_flags(limit_order(OME_SIDE_BUY, 100, 9, 2), OME_COMMAND_FLAGS_CONTINUED), 0);
    apply(&market, with_flags(order_terms(OME_TERM_DISPLAY_QUANTITY, 2), OME_COMMAND_FLAGS_CONTINUED), 0);
    apply_rejected(&market, order_terms(OME_TERM_DISPLAY_QUANTITY, 2), OME_REASON_BAD_TERM); /* twice */
    market_free(&market);
}

/* Order of checks 18: special orders have a limit of their own. */
static void a_special_order_is_refused_while_no_record_is_free(void)
{
    const ome_limits_t limits = {8, 8, 1, 1, 1};
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    ome_command_t stop = with_flags(with_type(limit_order(OME_SIDE_BUY, 0, 5, 1), OME_ORDER_TYPE_STOP), OME_COMMAND_FLAGS_CONTINUED);
    apply_with(&market, stop, order_terms(OME_TERM_STOP_PRICE, 100), 1);
    stop.client_order_id = 2;
    apply(&market, stop, 0);
    apply_rejected(&market, order_terms(OME_TERM_STOP_PRICE, 101), OME_REASON_SPECIAL_LIMIT_REACHED);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 3), 1);
    apply(&market, cancel_order(1), 1);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 1, 0, 5, OME_REASON_REQUESTED, OME_EVENT_FLAGS_WAITING);
    apply_with(&market, stop, order_terms(OME_TERM_STOP_PRICE, 101), 1);
    /* A waiting order is amended: a new stop price past the last price triggers it. */
    apply(&market, last_price(90), 1);
    apply_with(&market, amend_order(2, OME_NULL_VALUE, 4), order_terms(OME_TERM_STOP_PRICE, 101), 1);
    expect(&market, 1, OME_EVENT_KIND_AMENDED, 2, 0, 4, 0, OME_EVENT_FLAGS_WAITING | OME_EVENT_FLAGS_KEPT_PRIORITY);
    apply_with(&market, amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_STOP_PRICE, 90), 3);
    expect(&market, 3, OME_EVENT_KIND_AMENDED, 2, 0, 4, 0, 0);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 2, 0, 4, OME_REASON_NO_LIQUIDITY, 0);
    market_free(&market);
}

/* ---- sessions ---- */

static const ome_limits_t many_sessions = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 1,
    .session_count_max = 6,
    .special_count_max = 24};

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
    const uint64_t hash = ome_engine_state_hash(engine);
    apply_rejected(market, define_session(session, participant, name, session_number), OME_REASON_BAD_DEFINITION);
    const ome_engine_t after = *engine;
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

/* Rules, "Definitions": a session's number, and a new name's, is any that is free; the state does not say in which order they came. */
static void sessions_have_any_free_number(void)
{
    market_t market = market_new(&many_sessions, 1);
    market_t other = market_new(&many_sessions, 1);
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
    accept_session(&other, 1, 2, "C", 0);
    accept_session(&other, 6, 6, "A", 1);
    accept_session(&other, 5, 6, "A", 0);
    accept_session(&other, 2, 1, "B", 0);
    for (uint32_t i = 0; i < 9; i++)
    {
        apply_rejected(&other, define_session(0, 0, "", 0), OME_REASON_BAD_DEFINITION);
    }
    CHECK_EQUAL(other.time_ns, market.time_ns);
    CHECK_EQUAL(ome_engine_state_hash(other.engine), ome_engine_state_hash(market.engine));
    market_free(&market);
    market_free(&other);
}

/* Rules, check 3: nobody is the sender where no session has the number, not even participant 0. */
static void a_number_that_no_session_has_is_nobody(void)
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

/* Rules, "Definitions": a session's number is used again where none of its orders lives; then the old session is nobody. */
static void a_session_is_replaced_where_none_of_its_orders_lives(void)
{
    market_t market = market_new(&many_sessions, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    accept_session(&market, 2, 1, "A", 0);
    accept_session(&market, 3, 1, "A", 1);
    apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 1, 1), 1, 2), 1);
    refuse_session(&market, 2, 2, "B", 0);
    refuse_session(&market, 2, 1, "A", 7);
    refuse_session(&market, 2, 1, "A", 0); /* not even as it is */
    /* A stop that waits lives too. */
    ome_command_t stop = sent_by(limit_order(OME_SIDE_BUY, 0, 1, 2), 1, 2);
    stop.order_type = OME_ORDER_TYPE_STOP;
    stop.flags = OME_COMMAND_FLAGS_CONTINUED;
    apply(&market, stop, 0);
    apply(&market, sent_by(order_terms(OME_TERM_STOP_PRICE, 120), 1, 2), 1);
    CHECK((event_from_end(&market, 1)->flags & OME_EVENT_FLAGS_WAITING) != 0);
    apply(&market, sent_by(cancel_order(1), 1, 3), 1);
    refuse_session(&market, 2, 2, "B", 0);
    apply(&market, sent_by(cancel_order(2), 1, 3), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_CANCELLED);
    /* Orders that came by another session of the participant do not count. */
    apply(&market, sent_by(limit_order(OME_SIDE_BUY, 100, 1, 3), 1, 3), 1);
    accept_session(&market, 2, 2, "B", 0);
    CHECK_EQUAL(market.engine->session_count, 2);
    CHECK_EQUAL(market.engine->participant_count, 2);
    apply_rejected(&market, sent_by(cancel_order(3), 1, 2), OME_REASON_UNKNOWN_SESSION);
    apply_rejected(&market, sent_by(cancel_order(3), 2, 2), OME_REASON_UNKNOWN_ORDER);
    apply(&market, sent_by(limit_order(OME_SIDE_SELL, 110, 1, 3), 2, 2), 1);
    /* A command that waits for its terms is over before the definition is looked at. */
    apply(&market, sent_by(cancel_order(3), 2, 2), 1);
    apply(&market, sent_by(stop, 2, 2), 0);
    apply(&market, define_session(2, 1, "A", 2), 2);
    CHECK_EQUAL(event_from_end(&market, 2)->reason, OME_REASON_INCOMPLETE_COMMAND);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_DEFINED);
    CHECK_EQUAL(market.engine->session_count, 2);
    CHECK_EQUAL(market.engine->participant_count, 1);
    CHECK(ome_engine_check(market.engine) == NULL);
    /* The same session again, where nothing lives, is the same session. */
    const ome_session_t session = market.engine->sessions[2];
    const uint32_t sender = market.engine->senders[2];
    accept_session(&market, 2, 1, "A", 2);
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

/* ---- flows ---- */

#define FLOW_COUNT 100000u

static flow_t flow_of(uint64_t flow_seed, uint32_t price_count)
{
    return (flow_t){.random = flow_seed, .instrument_count = 3, .participant_count = 3, .order_id_count = 60, .price_count = price_count};
}

static void define_flow(market_t *market)
{
    ome_command_t third = define_instrument(3, "THREE", 2, OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES | OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT);
    third.collar_ticks = 4;
    apply(market, define_instrument(1, "ONE", 1, 0), 1);
    apply(market, define_instrument(2, "TWO", 1, OME_INSTRUMENT_FLAGS_SIGNED_PRICES), 1);
    apply(market, third, 1);
    apply(market, define_session(1, 1, "A", 0), 1);
    apply(market, define_session(2, 2, "B", 0), 1);
    apply(market, define_session(3, 3, "C", 9), 1);
}

/* What a reader of events knows of each slot. */
typedef struct
{
    int64_t leaves;
    int64_t cumulative;
    int64_t displayed; /* lots that the market sees in the book */
    uint64_t id;
} known_order_t;

static void learn_trade(known_order_t *known, const ome_event_t *event)
{
    known_order_t *aggressor = &known[(uint32_t)event->order_id];
    known_order_t *resting = &known[(uint32_t)event->resting_order_id];
    CHECK(event->quantity > 0);
    CHECK_EQUAL(aggressor->id, event->order_id);
    CHECK_EQUAL(resting->id, event->resting_order_id);
    aggressor->leaves -= event->quantity;
    resting->leaves -= event->quantity;
    aggressor->cumulative += event->quantity;
    resting->cumulative += event->quantity;
    resting->displayed -= (event->flags & OME_EVENT_FLAGS_HIDDEN) != 0 ? 0 : event->quantity;
    CHECK_EQUAL(aggressor->leaves == 0, (event->flags & OME_EVENT_FLAGS_AGGRESSOR_FILLED) != 0);
    CHECK_EQUAL(resting->leaves == 0, (event->flags & OME_EVENT_FLAGS_RESTING_FILLED) != 0);
    CHECK(aggressor->leaves >= 0 && resting->leaves >= 0 && resting->displayed >= 0);
}

/* What the flags of an event say of the order's lots in the book: those that are hidden are told by DISPLAYED alone. */
static void learn_place(known_order_t *order, const ome_event_t *event)
{
    if ((event->flags & OME_EVENT_FLAGS_HIDDEN) != 0)
    {
        CHECK((event->flags & OME_EVENT_FLAGS_KEPT_PRIORITY) != 0 || order->displayed == 0);
        return;
    }
    order->displayed = (event->flags & OME_EVENT_FLAGS_RESTS) != 0 ? order->leaves : 0;
}

static void learn_displayed(known_order_t *order, const ome_event_t *event)
{
    CHECK_EQUAL(order->id, event->order_id);
    CHECK(event->quantity != 0);
    CHECK_EQUAL(order->displayed != 0, (event->flags & OME_EVENT_FLAGS_WAS_RESTING) != 0 && event->quantity < 0);
    order->displayed += event->quantity;
    CHECK(order->displayed >= 0 && order->displayed <= order->leaves);
    CHECK_EQUAL(order->displayed != 0, (event->flags & OME_EVENT_FLAGS_RESTS) != 0);
}

static void learn_reduced(known_order_t *order, const ome_event_t *event)
{
    CHECK_EQUAL(order->id, event->order_id);
    CHECK(order->leaves > event->quantity);
    CHECK(event->quantity > 0);
    order->leaves -= event->quantity;
    if ((event->flags & OME_EVENT_FLAGS_WAS_RESTING) != 0 && (event->flags & OME_EVENT_FLAGS_HIDDEN) == 0)
    {
        order->displayed -= event->quantity;
    }
}

/* Rules P5: lots are conserved. */
static void learn(known_order_t *known, const ome_event_t *event)
{
    known_order_t *order = &known[(uint32_t)event->order_id];
    switch (event->kind)
    {
    case OME_EVENT_KIND_ACCEPTED:
        CHECK_EQUAL(order->leaves, 0);
        CHECK(event->order_id > order->id);
        *order = (known_order_t){.leaves = event->quantity, .id = event->order_id};
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_TRADE:
        learn_trade(known, event);
        break;
    case OME_EVENT_KIND_CANCELLED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK_EQUAL(order->leaves, event->quantity);
        order->leaves = 0;
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_REDUCED:
        learn_reduced(order, event);
        break;
    case OME_EVENT_KIND_AMENDED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK(event->quantity > 0);
        order->leaves = event->quantity;
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_RESTED:
    case OME_EVENT_KIND_TRIGGERED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK_EQUAL(order->leaves, event->quantity);
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_DISPLAYED:
        learn_displayed(order, event);
        break;
    case OME_EVENT_KIND_PREVENTED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK_EQUAL(known[(uint32_t)event->resting_order_id].id, event->resting_order_id);
        CHECK(event->quantity > 0 && event->quantity <= order->leaves);
        CHECK(event->quantity <= known[(uint32_t)event->resting_order_id].leaves);
        break;
    default:
        break;
    }
}

static void check_known(const ome_engine_t *engine, const known_order_t *known)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        const ome_order_t *order = &pool->orders[slot];
        CHECK_EQUAL(ome_order_id(pool, slot), known[slot].id);
        if (order->leaves_quantity == 0)
        {
            CHECK_EQUAL(known[slot].leaves, 0);
            CHECK_EQUAL(known[slot].displayed, 0);
            continue;
        }
        const ome_special_t *special = &engine->pools.specials.records[ome_order_special(order)];
        const bool is_displayed = !ome_special_waits(special) && (order->marks & OME_ORDER_MARK_HIDDEN) == 0;
        CHECK_EQUAL(ome_book_leaves(&engine->pools, order), known[slot].leaves);
        CHECK_EQUAL(order->cumulative_quantity, known[slot].cumulative);
        CHECK_EQUAL(known[slot].displayed, is_displayed ? order->leaves_quantity : 0);
    }
}

static void check_engine(const ome_engine_t *engine, uint32_t at)
{
    const char *wrong = ome_engine_check(engine);
    if (wrong != NULL)
    {
        fprintf(stderr, "after command %" PRIu32 ": %s\n", at, wrong);
    }
    CHECK(wrong == NULL);
}

/* Whether a command says something at once: one of several records waits for its terms. */
static bool says_something(const ome_engine_t *engine)
{
    return !engine->pending.waits;
}

/* After two hundred thousand commands of every sort over three instruments, through full pools and odd fields, every invariant holds, and what the events said is what the engine has. */
static void invariants_hold_after_any_flow(void)
{
    static known_order_t known[65];
    static uint32_t reasons[256];
    static uint32_t kinds[256];
    for (uint32_t flavour = 0; flavour < 4; flavour++)
    {
        market_t market = market_new(&standard_limits, 3);
        flow_t flow = flow_of(seed ^ flavour, flavour % 2 == 0 ? 8 : 100);
        flow.has_specials = flavour >= 2;
        memset(known, 0, sizeof(known));
        define_flow(&market);
        for (uint32_t i = 0; i < FLOW_COUNT; i++)
        {
            ome_command_t command = flow_next(&flow);
            market.recorder->count = 0;
            const uint64_t count = recorder_apply(market.recorder, market.engine, &command);
            CHECK(count >= 1 || !says_something(market.engine));
            for (uint64_t at = 0; at < count; at++)
            {
                const ome_event_t *event = &market.recorder->events[at];
                CHECK_EQUAL(event->sequence, market.engine->sequence);
                learn(known, event);
                kinds[event->kind]++;
                reasons[event->reason]++;
            }
            check_engine(market.engine, i);
            check_known(market.engine, known);
        }
        market_free(&market);
    }
    /* The flow is one: everything happened. */
    for (uint32_t kind = OME_EVENT_KIND_ACCEPTED; kind <= OME_EVENT_KIND_COMPLETED; kind++)
    {
        CHECK(kinds[kind] > 100 || kind == OME_EVENT_KIND_DEFINED);
    }
    for (uint32_t reason = OME_REASON_NONE; reason <= OME_REASON_SPECIAL_LIMIT_REACHED; reason++)
    {
        /* No definitions are in the flow, and a last price is missing only at its start. */
        const bool is_elsewhere = reason == OME_REASON_BAD_DEFINITION || reason == OME_REASON_NO_LAST_PRICE;
        if (reasons[reason] == 0 && !is_elsewhere)
        {
            fprintf(stderr, "no command was refused for reason %" PRIu32 "\n", reason);
        }
        CHECK(reasons[reason] > 0 || is_elsewhere);
    }
    for (uint32_t reason = OME_REASON_REQUESTED; reason <= OME_REASON_MASS_CANCELLED; reason++)
    {
        CHECK(reasons[reason] > 0);
    }
}

/* Rules D2: a rejected command changes nothing but the counters: with them set back, the state hash is as before. */
static void a_rejected_command_changes_nothing_but_counters(void)
{
    market_t market = market_new(&standard_limits, 1);
    flow_t flow = flow_of(seed ^ 2, 30);
    flow.has_specials = true;
    define_flow(&market);
    ome_engine_t *engine = market.engine;
    uint32_t rejected_count = 0;
    for (uint32_t i = 0; i < 5000; i++)
    {
        ome_command_t command = flow_next(&flow);
        const uint64_t hash = ome_engine_state_hash(engine);
        const uint64_t time_ns = engine->time_ns;
        const uint32_t free_head = engine->pools.orders.free_head;
        const bool waited = engine->pending.waits;
        const uint64_t count = recorder_apply(market.recorder, engine, &command);
        if (count == 1 && !waited && event_from_end(&market, 1)->kind == OME_EVENT_KIND_REJECTED)
        {
            const uint64_t time_after_ns = engine->time_ns;
            engine->time_ns = time_ns;
            engine->sequence--;
            engine->event_count--;
            CHECK_EQUAL(ome_engine_state_hash(engine), hash);
            CHECK_EQUAL(engine->pools.orders.free_head, free_head);
            engine->time_ns = time_after_ns;
            engine->sequence++;
            engine->event_count++;
            rejected_count++;
        }
    }
    CHECK(rejected_count > 500);
    market_free(&market);
}

/* Rules D1: two engines say the same, byte for byte, and are the same, whether commands come one by one or many, and whatever the window of the sink. */
static void the_same_commands_give_the_same_events_and_the_same_hashes(void)
{
    enum
    {
        COUNT = 20000
    };
    ome_command_t *commands = malloc(COUNT * sizeof(ome_command_t));
    CHECK(commands != NULL);
    flow_t flow = flow_of(seed ^ 3, 20);
    flow.has_specials = true;
    for (uint32_t i = 0; i < COUNT; i++)
    {
        commands[i] = flow_next(&flow);
    }
    market_t one = market_new(&standard_limits, 1);
    market_t many = market_new(&standard_limits, 7);
    define_flow(&one);
    define_flow(&many);
    for (uint32_t i = 0; i < COUNT; i++)
    {
        ome_engine_apply(one.engine, &commands[i], &one.recorder->sink);
        commands[i].sequence = UINT64_MAX - i; /* is ignored */
    }
    uint64_t state = seed;
    for (uint32_t done = 0; done < COUNT;)
    {
        const uint32_t part = (uint32_t)(test_random(&state) % 300);
        const uint32_t count = part < COUNT - done ? part : COUNT - done;
        ome_engine_apply_many(many.engine, commands + done, count, &many.recorder->sink);
        done += count;
    }
    recorder_take_window(one.recorder);
    recorder_take_window(many.recorder);
    CHECK_EQUAL(one.recorder->count, many.recorder->count);
    CHECK_EQUAL(one.recorder->count, one.engine->event_count);
    CHECK_BYTES_EQUAL(one.recorder->events, many.recorder->events, one.recorder->count * sizeof(ome_event_t));
    CHECK_EQUAL(one.recorder->hash, many.recorder->hash);
    CHECK_EQUAL(ome_engine_state_hash(one.engine), ome_engine_state_hash(many.engine));
    market_free(&one);
    market_free(&many);
    free(commands);
}

/* ---- the state hash ---- */

/* Every bit of the memory given is in the hash. */
static void check_bits_are_hashed(ome_engine_t *engine, void *memory, size_t size_bytes)
{
    uint8_t *bytes = memory;
    const uint64_t hash = ome_engine_state_hash(engine);
    for (size_t i = 0; i < 8 * size_bytes; i++)
    {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        CHECK(ome_engine_state_hash(engine) != hash);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    CHECK_EQUAL(ome_engine_state_hash(engine), hash);
}

/* Rules, "Hashes": whichever bit of what the state hash covers is another, the hash is another. */
static void the_state_hash_changes_with_every_bit_that_it_covers(void)
{
    market_t market = market_new(&standard_limits, 1);
    define_flow(&market);
    ome_command_t order = limit_order(OME_SIDE_BUY, 100, 10, 31);
    order.participant = order.session = 2;
    order.account = 6;
    apply(&market, order, 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 20, 32), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 99, 5, 33), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 4, 34), 2); /* trades with the first */
    ome_engine_t *engine = market.engine;
    check_bits_are_hashed(engine, &engine->sequence, 8);
    check_bits_are_hashed(engine, &engine->time_ns, 8);
    check_bits_are_hashed(engine, &engine->trade_count, 8);
    check_bits_are_hashed(engine, &engine->event_count, 8);
    for (uint32_t number = 1; number <= 3; number++)
    {
        ome_book_t *book = &engine->books[number];
        check_bits_are_hashed(engine, &book->number, 4);
        check_bits_are_hashed(engine, &book->last_trade_price, 8);
        check_bits_are_hashed(engine, &book->instrument.tick, 8);
        check_bits_are_hashed(engine, &book->instrument.price_decimals, 1);
        check_bits_are_hashed(engine, &book->instrument.quantity_decimals, 1);
        check_bits_are_hashed(engine, &book->instrument.flags, 2);
        check_bits_are_hashed(engine, book->instrument.symbol, OME_NAME_SIZE);
        check_bits_are_hashed(engine, &engine->senders[number], 2);
        check_bits_are_hashed(engine, &engine->sessions[number], sizeof(ome_session_t));
    }
    for (uint32_t slot = 1; slot <= 3; slot++)
    {
        ome_order_t *resting = &engine->pools.orders.orders[slot];
        check_bits_are_hashed(engine, &resting->leaves_quantity, 8);
        check_bits_are_hashed(engine, &resting->cumulative_quantity, 8);
        check_bits_are_hashed(engine, &resting->client_order_id, 8);
        check_bits_are_hashed(engine, &resting->owner, 8);
        check_bits_are_hashed(engine, &resting->generation, 4);
        check_bits_are_hashed(engine, &engine->pools.ladder.levels[resting->level].price, 8);
    }
    market_free(&market);
}

/* The state hash after two orders on one side of one instrument, and two amends of the first. */
static uint64_t hash_of_two_orders(uint8_t side, uint32_t instrument, int64_t first_quantity, int64_t second_quantity)
{
    market_t market = market_new(&standard_limits, 1);
    define_flow(&market);
    ome_command_t order = limit_order(side, 100, 10, 1);
    order.instrument = instrument;
    apply(&market, order, 1);
    order.client_order_id = 2;
    apply(&market, order, 1);
    apply(&market, amend_order(1, OME_NULL_VALUE, first_quantity), 1);
    apply(&market, amend_order(1, OME_NULL_VALUE, second_quantity), 1);
    const uint64_t hash = ome_engine_state_hash(market.engine);
    market_free(&market);
    return hash;
}

/* Histories that differ only in the side of the orders, in their places in the queue (the first grew in between), or in a lot give different hashes. */
static void the_state_hash_tells_places_in_the_book_apart(void)
{
    const uint64_t hash = hash_of_two_orders(OME_SIDE_BUY, 1, 10, 10);
    CHECK_EQUAL(hash, hash_of_two_orders(OME_SIDE_BUY, 1, 10, 10));
    CHECK(hash != hash_of_two_orders(OME_SIDE_SELL, 1, 10, 10));
    CHECK(hash != hash_of_two_orders(OME_SIDE_BUY, 1, 11, 10));
    CHECK(hash != hash_of_two_orders(OME_SIDE_BUY, 1, 10, 9));
}

/* So do histories that differ only in the instrument of the orders. */
static void the_state_hash_tells_instruments_apart(void)
{
    CHECK(hash_of_two_orders(OME_SIDE_BUY, 1, 10, 10) != hash_of_two_orders(OME_SIDE_BUY, 2, 10, 10));
}

int main(void)
{
    seed = test_seed(14);
    RUN(an_engine_is_made_only_with_limits_in_range);
    RUN(an_engine_is_made_only_in_aligned_memory_of_its_size);
    RUN(a_trade_is_told_byte_for_byte);
    RUN(changes_of_an_order_at_rest_are_told_byte_for_byte);
    RUN(an_amend_that_crosses_trades_under_its_own_id);
    RUN(remainders_that_do_not_rest_are_cancelled_with_their_reason);
    RUN(definitions_and_their_rejections_are_told_byte_for_byte);
    RUN(limits_are_defined_as_they_are);
    RUN(an_order_is_refused_while_no_slot_is_free);
    RUN(an_order_is_refused_while_no_level_is_free);
    RUN(quantities_are_refused_above_their_limits);
    RUN(a_retired_slot_makes_the_engine_hold_one_order_less);
    RUN(a_sweep_of_ten_thousand_orders_fits_through_a_window_of_one_event);
    RUN(a_trade_sets_off_a_cascade_of_stops_in_order);
    RUN(a_trailing_stop_follows_in_its_favour_only);
    RUN(a_trailing_stop_stays_within_the_prices_of_its_instrument);
    RUN(trailing_stops_with_one_best_price_move_as_one_group);
    RUN(trailing_stops_stand_where_looking_at_each_would_have_put_them);
    RUN(icebergs_are_displayed_anew_at_the_back_and_hidden_orders_trade_last);
    RUN(what_is_taken_off_an_iceberg_comes_from_its_reserve_first);
    RUN(orders_die_at_their_deadline_before_anything_else);
    RUN(orders_are_held_to_what_they_say);
    RUN(an_instrument_lets_market_orders_rest_and_post_only_orders_slide);
    RUN(the_instruction_of_the_aggressor_decides);
    RUN(a_fill_or_kill_does_not_count_orders_of_its_own_group);
    RUN(a_mass_cancel_ends_what_matches_by_order_id);
    RUN(a_mass_cancel_finds_its_orders_among_those_of_others);
    RUN(a_command_that_is_not_completed_is_refused);
    RUN(a_special_order_is_refused_while_no_record_is_free);
    RUN(sessions_have_any_free_number);
    RUN(a_number_that_no_session_has_is_nobody);
    RUN(a_session_is_replaced_where_none_of_its_orders_lives);
    RUN(a_participant_is_replaced_where_none_of_its_orders_lives);
    RUN(invariants_hold_after_any_flow);
    RUN(a_rejected_command_changes_nothing_but_counters);
    RUN(the_same_commands_give_the_same_events_and_the_same_hashes);
    RUN(the_state_hash_changes_with_every_bit_that_it_covers);
    RUN(the_state_hash_tells_places_in_the_book_apart);
    RUN(the_state_hash_tells_instruments_apart);
    return 0;
}
