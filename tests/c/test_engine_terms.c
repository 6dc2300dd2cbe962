/* Orders with terms: icebergs and hidden orders, deadlines, self-trade prevention, mass cancels.
 *
 * What the reference model says of each rule, case by case, is in tests/test_reference.py; here each group runs once
 * under the sanitizers. */
#include "engine_fixture.h"

static uint64_t seed;

static ome_command_t with_time(ome_command_t command, uint8_t time_in_force)
{
    command.time_in_force = time_in_force;
    return command;
}

#define HIDDEN_AT_REST (OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_HIDDEN)

/* Four hidden lots, an iceberg of five with a peak of two, and three lots of a plain order, at one price and in this order. */
static market_t market_of_a_hidden_order_and_an_iceberg(void)
{
    market_t market = simple_market();
    const uint32_t joins = OME_EVENT_FLAGS_RESTS;
    apply(&market, with_flags(limit_order(OME_SIDE_SELL, 100, 4, 1), OME_COMMAND_FLAGS_HIDDEN), 1);
    expect(&market, 1, OME_EVENT_KIND_ACCEPTED, 1, 100, 4, 0, joins | OME_EVENT_FLAGS_HIDDEN);
    apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 2), order_terms(OME_TERM_DISPLAY_QUANTITY, 2), 2);
    expect(&market, 2, OME_EVENT_KIND_ACCEPTED, 2, 100, 5, 0, joins | OME_EVENT_FLAGS_HIDDEN);
    expect(&market, 1, OME_EVENT_KIND_DISPLAYED, 2, 100, 2, 0, joins);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 3, 3), 1);
    return market;
}

/* Rules I1 to I3: only peaks are displayed; they are replenished at the back, in the order in which they were used up. */
static void the_peak_of_an_iceberg_is_replenished_at_the_back(void)
{
    market_t market = market_of_a_hidden_order_and_an_iceberg();
    apply(&market, with_time(limit_order(OME_SIDE_BUY, 100, 11, 4), OME_TIME_IN_FORCE_FOK), 8);
    const uint32_t anew = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS;
    expect(&market, 7, OME_EVENT_KIND_TRADE, 4, 100, 2, 0, 0);
    expect(&market, 6, OME_EVENT_KIND_DISPLAYED, 2, 100, 2, 0, anew);
    expect(&market, 5, OME_EVENT_KIND_TRADE, 4, 100, 3, 0, OME_EVENT_FLAGS_RESTING_FILLED);
    expect(&market, 4, OME_EVENT_KIND_TRADE, 4, 100, 2, 0, 0);
    expect(&market, 3, OME_EVENT_KIND_DISPLAYED, 2, 100, 1, 0, anew);
    expect(&market, 2, OME_EVENT_KIND_TRADE, 4, 100, 1, 0, OME_EVENT_FLAGS_RESTING_FILLED);
    expect(&market, 1, OME_EVENT_KIND_TRADE, 4, 100, 3, 0, OME_EVENT_FLAGS_AGGRESSOR_FILLED | OME_EVENT_FLAGS_HIDDEN);
    market_free(&market);
}

/* Rule T4: it counts the reserves of icebergs and hidden orders, and is cancelled only where even these are not enough. */
static void a_fill_or_kill_order_trades_with_lots_that_are_not_displayed(void)
{
    market_t market = market_of_a_hidden_order_and_an_iceberg();
    apply(&market, with_time(limit_order(OME_SIDE_BUY, 100, 13, 4), OME_TIME_IN_FORCE_FOK), 2);
    CHECK_EQUAL(last_reason(&market), OME_REASON_FILL_OR_KILL);
    apply(&market, with_time(limit_order(OME_SIDE_BUY, 100, 12, 4), OME_TIME_IN_FORCE_FOK), 8);
    CHECK_EQUAL(market.engine->pools.ladder.level_count, 0);
    market_free(&market);
}

/* Rule P7: a displayed order joins a level of which only a hidden one is left, and trades before it. */
static void a_hidden_order_trades_after_displayed_orders_that_came_later(void)
{
    market_t market = simple_market();
    apply(&market, with_flags(limit_order(OME_SIDE_SELL, 100, 4, 1), OME_COMMAND_FLAGS_HIDDEN), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 3, 4), 2);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 2, 5), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 2, 6), 2);
    CHECK_EQUAL(event_from_end(&market, 1)->resting_client_order_id, 5);
    apply(&market, cancel_order(1), 1);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 1, 100, 1, OME_REASON_REQUESTED, HIDDEN_AT_REST);
    CHECK_EQUAL(market.engine->pools.ladder.level_count, 0);
    market_free(&market);
}

/* What is taken off an iceberg comes from its reserve first; what it displays less is said before. */
static void a_reduction_of_an_iceberg_comes_from_its_reserve_first(void)
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

static uint64_t apply_at(market_t *market, ome_command_t command, uint64_t time_ns)
{
    command.timestamp_ns = time_ns;
    return recorder_apply(market->recorder, market->engine, &command);
}

/* Rule T2: before a record, orders die by rising deadline, whether they rest or wait. */
static void orders_die_at_their_deadline_before_anything_else(void)
{
    market_t market = simple_market();
    const ome_command_t far = with_time(limit_order(OME_SIDE_BUY, 100, 5, 1), OME_TIME_IN_FORCE_GTD);
    const ome_command_t near = with_time(limit_order(OME_SIDE_BUY, 100, 5, 2), OME_TIME_IN_FORCE_GTD);
    apply_with(&market, far, order_terms(OME_TERM_EXPIRE_TIME, 1000), 1);
    apply_with(&market, near, order_terms(OME_TERM_EXPIRE_TIME, 900), 1);
    ome_command_t stop = with_type(near, OME_ORDER_TYPE_STOP);
    stop.client_order_id = 3;
    ome_command_t terms = order_terms(OME_TERM_EXPIRE_TIME, 900);
    terms.term_2 = OME_TERM_STOP_PRICE;
    terms.value_2 = 500;
    apply_with(&market, stop, terms, 2);
    CHECK_EQUAL(apply_at(&market, limit_order(OME_SIDE_SELL, 100, 5, 5), 999), 4);
    expect(&market, 4, OME_EVENT_KIND_CANCELLED, 2, 100, 5, OME_REASON_EXPIRED, OME_EVENT_FLAGS_WAS_RESTING);
    expect(&market, 3, OME_EVENT_KIND_CANCELLED, 3, 0, 5, OME_REASON_EXPIRED, OME_EVENT_FLAGS_WAITING);
    CHECK_EQUAL(event_from_end(&market, 1)->resting_client_order_id, 1);
    CHECK_EQUAL(market.engine->attention_ns, 1000);
    CHECK_EQUAL(market.engine->pools.specials.heap_count, 0); /* order 1 was filled: nothing will be missed */
    CHECK_EQUAL(apply_at(&market, (ome_command_t){.kind = OME_COMMAND_KIND_EXPIRE_ORDERS}, 1001), 1);
    CHECK_EQUAL(market.engine->attention_ns, UINT64_MAX);
    market_free(&market);
}

/* Rule T2: the deadline of a new order must be later than the time of the engine. */
static void an_order_whose_deadline_has_passed_is_rejected(void)
{
    market_t market = simple_market();
    apply_at(&market, last_price(100), 999);
    ome_command_t late = with_time(limit_order(OME_SIDE_BUY, 100, 5, 1), OME_TIME_IN_FORCE_GTD);
    late.flags = OME_COMMAND_FLAGS_CONTINUED;
    CHECK_EQUAL(apply_at(&market, late, 0), 0);
    CHECK_EQUAL(apply_at(&market, order_terms(OME_TERM_EXPIRE_TIME, 999), 0), 1);
    CHECK_EQUAL(last_reason(&market), OME_REASON_ALREADY_EXPIRED);
    market_free(&market);
}

/* Rule T7: the command says when the day ends; the engine has no calendar. */
static void day_orders_die_at_the_end_of_the_day(void)
{
    market_t market = simple_market();
    apply(&market, with_time(limit_order(OME_SIDE_BUY, 99, 5, 4), OME_TIME_IN_FORCE_DAY), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 99, 5, 5), 1);
    const ome_command_t end = {.kind = OME_COMMAND_KIND_EXPIRE_ORDERS, .flags = OME_COMMAND_FLAGS_END_OF_DAY};
    CHECK_EQUAL(apply_at(&market, end, 1001), 2);
    expect(&market, 2, OME_EVENT_KIND_CANCELLED, 4, 99, 5, OME_REASON_EXPIRED, OME_EVENT_FLAGS_WAS_RESTING);
    expect(&market, 1, OME_EVENT_KIND_COMPLETED, 0, 0, 1, 0, OME_COMMAND_KIND_EXPIRE_ORDERS);
    CHECK_EQUAL(market.engine->attention_ns, UINT64_MAX);
    market_free(&market);
}

/* Five lots are offered at 100, and five at 103. */
static market_t market_of_two_sells(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 103, 5, 2), 1);
    return market;
}

/* Rule T9: one less than what the trades would cost is not enough. */
static void a_fill_or_kill_order_is_cancelled_when_it_would_cost_more_than_its_budget(void)
{
    market_t market = market_of_two_sells();
    const ome_command_t buy = with_time(limit_order(OME_SIDE_BUY, 103, 8, 3), OME_TIME_IN_FORCE_FOK);
    apply_with(&market, buy, order_terms(OME_TERM_BUDGET, 5 * 100 + 3 * 103 - 1), 2);
    CHECK_EQUAL(last_reason(&market), OME_REASON_BUDGET);
    apply_with(&market, buy, order_terms(OME_TERM_BUDGET, 5 * 100 + 3 * 103), 3);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_TRADE);
    market_free(&market);
}

/* Rule T6: neither a new order nor an amend. */
static void a_post_only_order_that_would_trade_is_rejected(void)
{
    market_t market = market_of_two_sells();
    apply_rejected(&market, with_flags(limit_order(OME_SIDE_BUY, 103, 8, 3), OME_COMMAND_FLAGS_POST_ONLY), OME_REASON_POST_ONLY_WOULD_TAKE);
    apply(&market, with_flags(limit_order(OME_SIDE_BUY, 99, 4, 4), OME_COMMAND_FLAGS_POST_ONLY), 1);
    apply_rejected(&market, amend_order(4, 103, OME_NULL_VALUE), OME_REASON_POST_ONLY_WOULD_TAKE);
    apply_rejected(&market, amend_order(4, 100, OME_NULL_VALUE), OME_REASON_POST_ONLY_WOULD_TAKE);
    market_free(&market);
}

/* Rule T5: it trades at least so much on entry, or nothing. */
static void an_order_that_cannot_trade_its_minimum_quantity_is_cancelled(void)
{
    market_t market = market_of_two_sells();
    const ome_command_t buy = limit_order(OME_SIDE_BUY, 103, 20, 3);
    apply_with(&market, buy, order_terms(OME_TERM_MINIMUM_QUANTITY, 11), 2);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 3, 103, 20, OME_REASON_MINIMUM_QUANTITY, 0);
    market_free(&market);
}

/* Rule T1: the collar counts from the price at which the order found the book. */
static void a_market_order_ends_at_its_collar(void)
{
    market_t market = market_of_two_sells();
    const ome_command_t buy = with_type(limit_order(OME_SIDE_BUY, 103, 20, 3), OME_ORDER_TYPE_MARKET);
    apply_with(&market, buy, order_terms(OME_TERM_COLLAR_TICKS, 2), 3);
    expect(&market, 1, OME_EVENT_KIND_CANCELLED, 3, 0, 15, OME_REASON_COLLAR, 0);
    market_free(&market);
}

/* An instrument with these flags and a collar of five ticks; five lots are offered at 100, and five at 106. */
static market_t market_with_flags(uint16_t flags)
{
    market_t market = market_new(&standard_limits, 1);
    ome_command_t instrument = define_instrument(1, "ABC", 1, flags);
    instrument.collar_ticks = 5;
    apply(&market, instrument, 1);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 106, 5, 2), 1);
    return market;
}

/* Rule T1, a choice of the instrument: what a market order leaves rests at the price of its last trade. */
static void an_instrument_may_turn_the_rest_of_a_market_order_into_a_limit_order(void)
{
    market_t market = market_with_flags(OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT);
    apply(&market, with_type(limit_order(OME_SIDE_BUY, 0, 8, 4), OME_ORDER_TYPE_MARKET), 3);
    expect(&market, 1, OME_EVENT_KIND_RESTED, 4, 100, 3, 0, OME_EVENT_FLAGS_RESTS);
    market_free(&market);
}

/* Rule T6, a choice of the instrument: a post-only order that would trade rests one tick before the other side, also when it is amended. */
static void an_instrument_may_let_post_only_orders_slide(void)
{
    market_t market = market_with_flags(OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES);
    apply(&market, with_flags(limit_order(OME_SIDE_BUY, 120, 1, 3), OME_COMMAND_FLAGS_POST_ONLY), 1);
    expect(&market, 1, OME_EVENT_KIND_ACCEPTED, 3, 99, 1, 0, OME_EVENT_FLAGS_RESTS);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 5, 4), 2);
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

/* Forty orders, some of them hidden; several have taken the slot of an earlier one. */
static market_t market_of_forty_orders(void)
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
    return market;
}

/* Rule A7: orders die in the order of their ids, which is not that of slots; then the total follows. */
static void a_mass_cancel_ends_what_matches_by_order_id(void)
{
    market_t market = market_of_forty_orders();
    const ome_command_t mass = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .side = OME_SIDE_BUY, .client_order_id = 77, .instrument = 1};
    apply(&market, mass, 25);
    expect(&market, 1, OME_EVENT_KIND_COMPLETED, 77, 0, 24, 0, OME_COMMAND_KIND_MASS_CANCEL);
    for (uint64_t from_end = 2; from_end < 25; from_end++)
    {
        CHECK(event_from_end(&market, from_end)->order_id > event_from_end(&market, from_end + 1)->order_id);
        CHECK_EQUAL(event_from_end(&market, from_end)->reason, OME_REASON_MASS_CANCELLED);
    }
    market_free(&market);
}

/* Rule A7: the fields of the command choose; without one of them it is every order of the instrument. */
static void a_mass_cancel_spares_what_does_not_match(void)
{
    market_t market = market_of_forty_orders();
    ome_command_t mass = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .side = OME_SIDE_BUY, .client_order_id = 77, .instrument = 1};
    apply(&market, mass, 25);
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

/* Rules A7: of tens of thousands of orders in slots that change hands, a mass cancel finds all of its participant's and
 * no other, also where participants share a tag; and what it has searched in vain it does not search again. */
static void a_mass_cancel_finds_its_orders_among_those_of_others(void)
{
    static const uint16_t participants[] = {1, 129, 257, 2, 0, 65535};
    const ome_limits_t limits = {.order_count_max = CROWD_ORDER_COUNT,
        .level_count_max = 8,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
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

/* Commands of several records: one that is interrupted is refused, what interrupts it is looked at by itself, and terms
 * that follow nothing are refused. */
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

int main(void)
{
    seed = test_seed(14);
    RUN(the_peak_of_an_iceberg_is_replenished_at_the_back);
    RUN(a_fill_or_kill_order_trades_with_lots_that_are_not_displayed);
    RUN(a_hidden_order_trades_after_displayed_orders_that_came_later);
    RUN(a_reduction_of_an_iceberg_comes_from_its_reserve_first);
    RUN(orders_die_at_their_deadline_before_anything_else);
    RUN(an_order_whose_deadline_has_passed_is_rejected);
    RUN(day_orders_die_at_the_end_of_the_day);
    RUN(a_fill_or_kill_order_is_cancelled_when_it_would_cost_more_than_its_budget);
    RUN(a_post_only_order_that_would_trade_is_rejected);
    RUN(an_order_that_cannot_trade_its_minimum_quantity_is_cancelled);
    RUN(a_market_order_ends_at_its_collar);
    RUN(an_instrument_may_turn_the_rest_of_a_market_order_into_a_limit_order);
    RUN(an_instrument_may_let_post_only_orders_slide);
    RUN(the_instruction_of_the_aggressor_decides);
    RUN(a_fill_or_kill_does_not_count_orders_of_its_own_group);
    RUN(a_mass_cancel_ends_what_matches_by_order_id);
    RUN(a_mass_cancel_spares_what_does_not_match);
    RUN(a_mass_cancel_finds_its_orders_among_those_of_others);
    RUN(a_command_that_is_not_completed_is_refused);
    return 0;
}
