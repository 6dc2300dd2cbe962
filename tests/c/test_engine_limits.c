/* What an engine refuses to be made of, and what it refuses when one of its limits is reached. */
#include "engine_fixture.h"

/* ---- making an engine ---- */

/* Each limit has its range; outside it there is no size and no engine. */
static void an_engine_is_made_only_with_limits_in_range(void)
{
    const ome_limits_t smallest = {1, 1, 1, 1, 0, 0, 0, 0};
    const ome_limits_t largest = {OME_ORDER_COUNT_MAX, OME_LEVEL_COUNT_MAX, OME_INSTRUMENT_COUNT_MAX, OME_SESSION_COUNT_MAX,
        OME_ORDER_COUNT_MAX, OME_RULES_VERSION, OME_ACCOUNT_COUNT_MAX, OME_LIMIT_FLAGS_ACCOUNTS_RESTRICTED};
    const ome_limits_t too_special = {1, 1, 1, 1, OME_ORDER_COUNT_MAX + 1, 0, 0, 0};
    const ome_limits_t too_new = {1, 1, 1, 1, 0, OME_RULES_VERSION + 1, 0, 0};
    const ome_limits_t too_many_accounts = {1, 1, 1, 1, 0, OME_RULES_VERSION, OME_ACCOUNT_COUNT_MAX + 1, 0};
    const ome_limits_t unknown_flag = {1, 1, 1, 1, 0, OME_RULES_VERSION, 0, 2};
    CHECK_EQUAL(ome_engine_size_bytes(&too_many_accounts), 0);
    CHECK_EQUAL(ome_engine_size_bytes(&unknown_flag), 0);
    CHECK_EQUAL(ome_engine_size_bytes(&too_new), 0);
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
            const ome_limits_t limits = {values[0], values[1], values[2], values[3], 1, 0, 0, 0};
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

/* DefineLimits is valid only with the engine's own limits. */
static void limits_are_defined_as_they_are(void)
{
    for (uint32_t i = 0; i < 8; i++)
    {
        uint32_t values[8] = {64, 32, 4, 4, 24, OME_RULES_VERSION, 5, 0};
        values[i]++;
        const ome_limits_t other = {values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7]};
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
    const ome_limits_t limits = {
        .order_count_max = 3, .level_count_max = 8, .instrument_count_max = 1, .session_count_max = 1, .rules_version = OME_RULES_VERSION};
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
    /* Two are free again: freed last is the aggressor's slot, before it that of the order that it filled. */
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 5), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->order_id, order_id(3, 2));
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 6), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->order_id, order_id(2, 1));
    apply_rejected(&market, limit_order(OME_SIDE_SELL, 100, 5, 7), OME_REASON_ORDER_LIMIT_REACHED);
    market_free(&market);
}

/* Three levels, which are counted over all instruments and sides. */
static market_t market_without_free_levels(void)
{
    const ome_limits_t limits = {
        .order_count_max = 16, .level_count_max = 3, .instrument_count_max = 2, .session_count_max = 1, .rules_version = OME_RULES_VERSION};
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    apply(&market, define_instrument(2, "DEF", 1, 0), 1);
    ome_command_t other = limit_order(OME_SIDE_BUY, 50, 5, 1);
    other.instrument = 2;
    apply(&market, other, 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 2), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 105, 5, 3), 1);
    return market;
}

/* Rules, "Order of checks" 14: an order that joins a level needs none. */
static void an_order_is_refused_while_no_level_is_free(void)
{
    market_t market = market_without_free_levels();
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 99, 5, 4), OME_REASON_LEVEL_LIMIT_REACHED);
    apply_rejected(&market, limit_order(OME_SIDE_SELL, 106, 5, 4), OME_REASON_LEVEL_LIMIT_REACHED);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 4), 1);
    market_free(&market);
}

/* Rules, "Order of checks" 11: alone at its price, an order would give its level back by moving; it is refused all the same. */
static void an_amend_is_refused_while_no_level_is_free(void)
{
    market_t market = market_without_free_levels();
    apply_rejected(&market, amend_order(3, 107, OME_NULL_VALUE), OME_REASON_LEVEL_LIMIT_REACHED);
    market_free(&market);
}

/* Rules, "Order of checks" 14 and 11: an amend that cancels needs no level, and what crosses takes the level that it empties. */
static void an_order_that_crosses_takes_the_level_that_it_empties(void)
{
    market_t market = market_without_free_levels();
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 4), 1);
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

/* Rules, "Order of checks" 10 and 9: 2^60 for one order. */
static void an_order_is_refused_above_the_largest_quantity(void)
{
    market_t market = simple_market();
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, OME_QUANTITY_MAX + 1, 9), OME_REASON_QUANTITY_TOO_LARGE);
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, INT64_MAX, 9), OME_REASON_QUANTITY_TOO_LARGE);
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, INT64_MIN, 9), OME_REASON_NEGATIVE_QUANTITY);
    market_free(&market);
}

/* A side whose open quantity is 2^62, of four orders and a fifth of one lot. */
static market_t market_of_a_full_side(void)
{
    market_t market = simple_market();
    for (uint64_t id = 1; id <= 4; id++)
    {
        apply(&market, limit_order(OME_SIDE_BUY, 10, OME_QUANTITY_MAX, id), 1);
    }
    apply_rejected(&market, limit_order(OME_SIDE_BUY, 10, 1, 9), OME_REASON_QUANTITY_TOO_LARGE);
    apply(&market, reduce_order(1, 1), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 10, 1, 9), 1);
    return market;
}

/* Rules, "Order of checks" 10 and 9: 2^62 for a side, by a new order and by an amend. */
static void an_order_is_refused_above_the_open_quantity_of_a_side(void)
{
    market_t market = market_of_a_full_side();
    apply_rejected(&market, amend_order(9, OME_NULL_VALUE, 2), OME_REASON_QUANTITY_TOO_LARGE);
    apply_rejected(&market, amend_order(9, OME_NULL_VALUE, INT64_MAX), OME_REASON_QUANTITY_TOO_LARGE);
    apply(&market, amend_order(9, OME_NULL_VALUE, 1), 1);
    market_free(&market);
}

/* Rules, "Order of checks" 10 and 9: an order trades and grows again, until what it has traded and has open would pass 2^62. */
static void an_amend_is_refused_above_what_an_order_may_trade_in_its_life(void)
{
    market_t market = market_of_a_full_side();
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
    const ome_limits_t limits = {
        .order_count_max = 2, .level_count_max = 8, .instrument_count_max = 1, .session_count_max = 1, .rules_version = OME_RULES_VERSION};
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

/* Order of checks 19: special orders have a limit of their own. */
static void a_special_order_is_refused_while_no_record_is_free(void)
{
    const ome_limits_t limits = {8, 8, 1, 1, 1, OME_RULES_VERSION, 0, 0};
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    ome_command_t stop = with_flags(with_type(limit_order(OME_SIDE_BUY, 0, 5, 1), OME_ORDER_TYPE_STOP), OME_COMMAND_FLAGS_CONTINUED);
    apply_with(&market, stop, order_terms(OME_TERM_STOP_PRICE, 100), 2);
    stop.client_order_id = 2;
    apply(&market, stop, 0);
    apply_rejected(&market, order_terms(OME_TERM_STOP_PRICE, 101), OME_REASON_SPECIAL_LIMIT_REACHED);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 3), 1);
    apply(&market, cancel_order(1), 1);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 1, 0, 5, OME_REASON_REQUESTED, OME_EVENT_FLAGS_WAITING);
    apply_with(&market, stop, order_terms(OME_TERM_STOP_PRICE, 101), 2);
    market_free(&market);
}

int main(void)
{
    RUN(an_engine_is_made_only_with_limits_in_range);
    RUN(an_engine_is_made_only_in_aligned_memory_of_its_size);
    RUN(limits_are_defined_as_they_are);
    RUN(an_order_is_refused_while_no_slot_is_free);
    RUN(an_order_is_refused_while_no_level_is_free);
    RUN(an_amend_is_refused_while_no_level_is_free);
    RUN(an_order_that_crosses_takes_the_level_that_it_empties);
    RUN(an_order_is_refused_above_the_largest_quantity);
    RUN(an_order_is_refused_above_the_open_quantity_of_a_side);
    RUN(an_amend_is_refused_above_what_an_order_may_trade_in_its_life);
    RUN(a_retired_slot_makes_the_engine_hold_one_order_less);
    RUN(a_special_order_is_refused_while_no_record_is_free);
    return 0;
}
