/* Stop and trailing stop orders of an engine.
 *
 * What the reference model says of each rule, case by case, is in tests/test_reference.py; here each group runs once
 * under the sanitizers. */
#include <stdbool.h>

#include "book/ome_trailing.h"
#include "engine_fixture.h"
#include "matching/ome_stop.h"

static uint64_t seed;

/* Of a trailing stop that waits, by its record. */
static int64_t stop_price_of(const market_t *market, uint32_t index)
{
    return ome_trailing_stop_price(&market->engine->books[1], &market->engine->pools, index);
}

/* Rules S1, S2 and S4: a trade triggers stops, whose trades trigger others, in one command; buys come before sells, and
 * at one stop price the first to enter. */
static void a_trade_sets_off_a_cascade_of_stops_in_order(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_SELL, 101, 1, 1), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 105, 10, 2), 1);
    apply_with(&market, with_type(limit_order(OME_SIDE_BUY, 0, 1, 11), OME_ORDER_TYPE_STOP), order_terms(OME_TERM_STOP_PRICE, 105), 2);
    expect(&market, 2, OME_EVENT_KIND_ACCEPTED, 11, 0, 1, 0, OME_EVENT_FLAGS_WAITING);
    expect_stop_set(&market, 1, 11, 105, 1, OME_ORDER_TYPE_STOP);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_BUY, 106, 2, 12), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 101), 2);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_BUY, 106, 3, 13), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 101), 2);
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
    market_free(&market);
}

/* Rule S1: it never waits. */
static void a_stop_that_is_past_its_trigger_on_entry_triggers_at_once(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_SELL, 105, 10, 2), 1);
    apply(&market, last_price(105), 1);
    apply_with(&market, with_type(limit_order(OME_SIDE_BUY, 0, 1, 14), OME_ORDER_TYPE_STOP), order_terms(OME_TERM_STOP_PRICE, 105), 3);
    expect(&market, 3, OME_EVENT_KIND_ACCEPTED, 14, 0, 1, 0, 0);
    market_free(&market);
}

/* Rule S1: a new stop price that the last price has reached. */
static void an_amend_may_trigger_a_stop(void)
{
    market_t market = simple_market();
    apply_with(&market, with_type(limit_order(OME_SIDE_BUY, 0, 5, 2), OME_ORDER_TYPE_STOP), order_terms(OME_TERM_STOP_PRICE, 101), 2);
    apply(&market, last_price(90), 1);
    apply_with(&market, amend_order(2, OME_NULL_VALUE, 4), order_terms(OME_TERM_STOP_PRICE, 101), 2);
    expect(&market, 2, OME_EVENT_KIND_AMENDED, 2, 0, 4, 0, OME_EVENT_FLAGS_WAITING | OME_EVENT_FLAGS_KEPT_PRIORITY);
    expect_stop_set(&market, 1, 2, 101, 4, OME_ORDER_TYPE_STOP);
    apply_with(&market, amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_STOP_PRICE, 90), 3);
    expect(&market, 3, OME_EVENT_KIND_AMENDED, 2, 0, 4, 0, 0);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 2, 0, 4, OME_REASON_NO_LIQUIDITY, 0);
    market_free(&market);
}

/* Rule S6: there is nothing to follow yet, unless an operator's command sets a last price. */
static void a_trailing_stop_is_rejected_while_there_is_no_last_price(void)
{
    market_t market = simple_market();
    ome_command_t trailing = with_type(limit_order(OME_SIDE_SELL, -2, 5, 1), OME_ORDER_TYPE_TRAILING_STOP_LIMIT);
    trailing.flags = OME_COMMAND_FLAGS_CONTINUED;
    apply(&market, trailing, 0);
    apply(&market, order_terms(OME_TERM_TRAIL_AMOUNT, 3), 1);
    CHECK_EQUAL(last_reason(&market), OME_REASON_NO_LAST_PRICE);
    apply(&market, last_price(100), 1);
    expect(&market, 1, OME_EVENT_KIND_COMPLETED, 0, 100, 0, 0, OME_COMMAND_KIND_SET_LAST_PRICE);
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_AMOUNT, 3), 2);
    CHECK_EQUAL(stop_price_of(&market, 1), 97);
    market_free(&market);
}

/* Rules S6: a trailing stop follows in its favour, keeps its entry when it moves, and has its limit at a distance from
 * where it triggers. */
static void a_trailing_stop_follows_in_its_favour_only(void)
{
    market_t market = simple_market();
    ome_command_t trailing = with_type(limit_order(OME_SIDE_SELL, -2, 5, 1), OME_ORDER_TYPE_TRAILING_STOP_LIMIT);
    trailing.flags = OME_COMMAND_FLAGS_CONTINUED;
    apply(&market, last_price(100), 1);
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_AMOUNT, 3), 2);
    CHECK_EQUAL(stop_price_of(&market, 1), 97);
    apply(&market, last_price(110), 1);
    CHECK_EQUAL(stop_price_of(&market, 1), 107);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_SELL, 90, 5, 2), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 112), 3);
    apply_with(
        &market, with_type(limit_order(OME_SIDE_SELL, 90, 5, 3), OME_ORDER_TYPE_STOP_LIMIT), order_terms(OME_TERM_STOP_PRICE, 108), 2);
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
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_BASIS_POINTS, 1), 2);
    CHECK_EQUAL(stop_price_of(&market, 1), -16);
    trailing.side = OME_SIDE_BUY;
    trailing.client_order_id = 2;
    apply(&market, last_price(0), 1); /* of nothing the distance is one tick */
    apply_with(&market, trailing, order_terms(OME_TERM_TRAIL_BASIS_POINTS, 10000), 2);
    CHECK_EQUAL(stop_price_of(&market, 2), 8);
    market_free(&market);
}

static void enter_trailing(market_t *market, uint8_t side, uint64_t id, uint8_t term, int64_t distance)
{
    const ome_command_t order = with_type(limit_order(side, 0, 1, id), OME_ORDER_TYPE_TRAILING_STOP);
    apply_with(market, order, order_terms(term, distance), 2);
}

/* Rules S6: trailing stops with the same best price are one group, which moves as one; a price that passes the best of
 * several makes them one; a group ends with its last order. */
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
    apply(&market, grown, 2);
    expect(&market, 2, OME_EVENT_KIND_AMENDED, 12, 0, 2, 0, OME_EVENT_FLAGS_WAITING);
    expect_stop_set(&market, 1, 12, 1096, 2, OME_ORDER_TYPE_TRAILING_STOP);
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
    /* Of more than there is room for the last are rejected. */
    const uint64_t event_count = market->engine->pools.specials.record_count < TRAILING_COUNT ? 2 : 1;
    apply_with(market, with_type(limit_order(side, 0, 1, id), OME_ORDER_TYPE_TRAILING_STOP), terms, event_count);
}

/* Rules S6: as the price goes its way over thousands of steps, each of hundreds of trailing stops stands where looking
 * at it alone at each step would have put it, and triggers just then. */
static void trailing_stops_stand_where_each_alone_would_stand(void)
{
    const ome_limits_t limits = {.order_count_max = TRAILING_COUNT,
        .level_count_max = 2,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = TRAILING_COUNT,
        .rules_version = OME_RULES_VERSION};
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

int main(void)
{
    seed = test_seed(14);
    RUN(a_trade_sets_off_a_cascade_of_stops_in_order);
    RUN(a_stop_that_is_past_its_trigger_on_entry_triggers_at_once);
    RUN(an_amend_may_trigger_a_stop);
    RUN(a_trailing_stop_is_rejected_while_there_is_no_last_price);
    RUN(a_trailing_stop_follows_in_its_favour_only);
    RUN(a_trailing_stop_stays_within_the_prices_of_its_instrument);
    RUN(trailing_stops_with_one_best_price_move_as_one_group);
    RUN(trailing_stops_stand_where_each_alone_would_stand);
    return 0;
}
