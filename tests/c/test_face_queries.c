/* The public face: what an embedder can ask of the book, orders and definitions. Includes ome.h only, as an embedder does. */
#include "abi/ome_limits.h"
#include "face_fixture.h"

static ome_order_view_t view(const market_t *market, uint64_t client_order_id)
{
    ome_order_view_t order;
    CHECK_EQUAL(ome_engine_client_order(market->engine, 0, client_order_id, &order), OME_OK);
    return order;
}

/* ---- market data ---- */

static void check_depth(const market_t *market, uint8_t side, int64_t price, int64_t quantity, uint32_t order_count)
{
    ome_depth_t depth;
    CHECK_EQUAL(ome_engine_depth(market->engine, 1, side, price, &depth), OME_OK);
    CHECK_EQUAL(depth.price, price);
    CHECK_EQUAL(depth.quantity, quantity);
    CHECK_EQUAL(depth.order_count, order_count);
}

/* Two levels to buy, of three orders, and one to sell. */
static market_t market_of_three_levels(void)
{
    market_t market = market_new();
    enter(&market, limit_order(1, OME_SIDE_BUY, 10, 100));
    enter(&market, limit_order(2, OME_SIDE_BUY, 20, 105));
    enter(&market, limit_order(3, OME_SIDE_BUY, 30, 105));
    enter(&market, limit_order(4, OME_SIDE_SELL, 40, 115));
    return market;
}

static void the_best_level_of_a_side_is_found(void)
{
    market_t empty = market_new();
    ome_depth_t depth;
    CHECK_EQUAL(ome_engine_best(empty.engine, 1, OME_SIDE_BUY, &depth), OME_EMPTY);
    market_end(&empty);
    market_t market = market_of_three_levels();
    const ome_engine_t *engine = market.engine;
    CHECK_EQUAL(ome_engine_best(engine, 1, OME_SIDE_BUY, &depth), OME_OK);
    CHECK_EQUAL(depth.price, 105);
    CHECK_EQUAL(depth.quantity, 50);
    CHECK_EQUAL(depth.order_count, 2);
    CHECK_EQUAL(ome_engine_best(engine, 1, OME_SIDE_SELL, &depth), OME_OK);
    CHECK_EQUAL(depth.price, 115);
    CHECK_EQUAL(depth.quantity, 40);
    CHECK_EQUAL(depth.order_count, 1);
    CHECK_EQUAL(ome_engine_best(engine, 2, OME_SIDE_BUY, &depth), OME_EMPTY);
    market_end(&market);
}

static void the_depth_at_a_price_is_found(void)
{
    market_t market = market_of_three_levels();
    const ome_engine_t *engine = market.engine;
    ome_depth_t depth;
    check_depth(&market, OME_SIDE_BUY, 100, 10, 1);
    check_depth(&market, OME_SIDE_BUY, 105, 50, 2);
    check_depth(&market, OME_SIDE_SELL, 115, 40, 1);
    CHECK_EQUAL(ome_engine_depth(engine, 1, OME_SIDE_SELL, 105, &depth), OME_EMPTY);
    CHECK_EQUAL(ome_engine_depth(engine, 1, OME_SIDE_BUY, 110, &depth), OME_EMPTY);
    CHECK_EQUAL(ome_engine_depth(engine, 1, OME_SIDE_BUY, 101, &depth), OME_INVALID);
    CHECK_EQUAL(ome_engine_depth(engine, 1, OME_SIDE_BUY, 0, &depth), OME_INVALID);
    CHECK_EQUAL(ome_engine_depth(engine, 1, OME_SIDE_BUY, -5, &depth), OME_INVALID);
    CHECK_EQUAL(ome_engine_depth(engine, 1, OME_SIDE_BUY, INT64_MAX, &depth), OME_INVALID);
    CHECK_EQUAL(ome_engine_depth(engine, 2, OME_SIDE_BUY, -5, &depth), OME_EMPTY);
    market_end(&market);
}

/* As many as there is room for; what is behind them is not touched. */
static void levels_are_listed_best_first(void)
{
    market_t market = market_of_three_levels();
    const ome_engine_t *engine = market.engine;
    ome_depth_t levels[3] = {{0}, {0}, {.price = 77}};
    CHECK_EQUAL(ome_engine_levels(engine, 1, OME_SIDE_BUY, 0, levels), 0);
    CHECK_EQUAL(levels[0].price, 0);
    CHECK_EQUAL(ome_engine_levels(engine, 1, OME_SIDE_BUY, 1, levels), 1);
    CHECK_EQUAL(levels[0].price, 105);
    CHECK_EQUAL(levels[1].price, 0);
    CHECK_EQUAL(ome_engine_levels(engine, 1, OME_SIDE_BUY, 3, levels), 2);
    CHECK_EQUAL(levels[0].price, 105);
    CHECK_EQUAL(levels[1].price, 100);
    CHECK_EQUAL(levels[2].price, 77);
    market_end(&market);
}

static void an_instrument_or_side_that_does_not_exist_has_no_depth(void)
{
    market_t market = market_of_three_levels();
    const ome_engine_t *engine = market.engine;
    ome_depth_t depth;
    for (uint32_t i = 0; i < 2; i++)
    {
        const uint32_t instrument = i == 0 ? 0 : 3;
        CHECK_EQUAL(ome_engine_best(engine, instrument, OME_SIDE_BUY, &depth), OME_NOT_FOUND);
        CHECK_EQUAL(ome_engine_depth(engine, instrument, OME_SIDE_BUY, 100, &depth), OME_NOT_FOUND);
        const uint8_t side = i == 0 ? 0 : 3;
        CHECK_EQUAL(ome_engine_best(engine, 1, side, &depth), OME_INVALID);
        CHECK_EQUAL(ome_engine_depth(engine, 1, side, 100, &depth), OME_INVALID);
        CHECK_EQUAL(ome_engine_levels(engine, instrument, OME_SIDE_BUY, 1, &depth), 0);
        CHECK_EQUAL(ome_engine_levels(engine, 1, side, 1, &depth), 0);
    }
    market_end(&market);
}

/* Hidden orders, reserves and orders that wait are not market data; levels that hold nothing else are passed over. */
static void market_data_shows_no_hidden_lots(void)
{
    market_t market = market_new();
    ome_depth_t depth;
    ome_command_t hidden = limit_order(1, OME_SIDE_BUY, 10, 110);
    hidden.flags = OME_COMMAND_FLAGS_HIDDEN;
    enter(&market, hidden);
    CHECK_EQUAL(ome_engine_best(market.engine, 1, OME_SIDE_BUY, &depth), OME_EMPTY);
    CHECK_EQUAL(ome_engine_depth(market.engine, 1, OME_SIDE_BUY, 110, &depth), OME_EMPTY);
    CHECK_EQUAL(ome_engine_levels(market.engine, 1, OME_SIDE_BUY, 1, &depth), 0);
    enter_long(&market, with_term(limit_order(2, OME_SIDE_BUY, 100, 105), OME_TERM_DISPLAY_QUANTITY, 30));
    hidden.client_order_id = 3;
    hidden.price = 105;
    enter(&market, hidden);
    hidden.client_order_id = 4;
    hidden.price = 100;
    enter(&market, hidden);
    enter(&market, limit_order(5, OME_SIDE_BUY, 7, 95));
    enter_long(&market, with_term(typed_order(6, OME_SIDE_BUY, 9, 0, OME_ORDER_TYPE_STOP), OME_TERM_STOP_PRICE, 200));
    CHECK_EQUAL(ome_engine_best(market.engine, 1, OME_SIDE_BUY, &depth), OME_OK);
    CHECK_EQUAL(depth.price, 105);
    CHECK_EQUAL(depth.quantity, 30);
    CHECK_EQUAL(depth.order_count, 1);
    check_depth(&market, OME_SIDE_BUY, 105, 30, 1);
    ome_depth_t levels[5];
    CHECK_EQUAL(ome_engine_levels(market.engine, 1, OME_SIDE_BUY, 5, levels), 2);
    CHECK_EQUAL(levels[0].price, 105);
    CHECK_EQUAL(levels[0].quantity, 30);
    CHECK_EQUAL(levels[1].price, 95);
    CHECK_EQUAL(levels[1].quantity, 7);
    market_end(&market);
}

/* ---- orders ---- */

/* An order is found by its id and by its participant's own, as long as it lives. */
static void an_order_is_found_by_either_id_while_it_lives(void)
{
    market_t market = market_new();
    ome_command_t command = limit_order(9, OME_SIDE_SELL, 40, 120);
    command.participant = 2;
    command.session = 2;
    command.account = 33;
    command.flags = OME_COMMAND_FLAGS_POST_ONLY;
    command.time_in_force = OME_TIME_IN_FORCE_DAY;
    command.self_trade_prevention = OME_SELF_TRADE_PREVENTION_DECREMENT;
    command.self_trade_scope = OME_SELF_TRADE_SCOPE_PARTICIPANT;
    enter(&market, command);
    const uint64_t order_id = market.events[0].order_id;
    command = limit_order(1, OME_SIDE_BUY, 15, 120);
    apply(&market, &command, 1);
    ome_order_view_t order;
    ome_order_view_t same;
    memset(&order, 0xFF, sizeof(order));
    CHECK_EQUAL(ome_engine_order(market.engine, order_id, &order), OME_OK);
    CHECK_EQUAL(ome_engine_client_order(market.engine, 2, 9, &same), OME_OK);
    CHECK_BYTES_EQUAL(&order, &same, sizeof(order));
    const ome_order_view_t expected = {.order_id = order_id,
        .client_order_id = 9,
        .price = 120,
        .leaves_quantity = 25,
        .cumulative_quantity = 15,
        .displayed_quantity = 25,
        .account = 33,
        .instrument = 1,
        .participant = 2,
        .session = 2,
        .side = OME_SIDE_SELL,
        .order_type = OME_ORDER_TYPE_LIMIT,
        .time_in_force = OME_TIME_IN_FORCE_DAY,
        .is_post_only = 1,
        .self_trade_prevention = OME_SELF_TRADE_PREVENTION_DECREMENT,
        .self_trade_scope = OME_SELF_TRADE_SCOPE_PARTICIPANT};
    CHECK_BYTES_EQUAL(&order, &expected, sizeof(order));
    CHECK_EQUAL(ome_engine_client_order(market.engine, 1, 9, &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_client_order(market.engine, 2, 8, &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_client_order(market.engine, 0, 1, &order), OME_NOT_FOUND); /* filled */
    CHECK_EQUAL(ome_engine_order(market.engine, 0, &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_order(market.engine, order_id + (UINT64_C(1) << 32), &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_order(market.engine, UINT64_MAX, &order), OME_NOT_FOUND);
    command = cancel_order(9);
    command.participant = 2;
    command.session = 2;
    apply_one(&market, &command, 1, OME_EVENT_KIND_CANCELLED, OME_REASON_REQUESTED);
    CHECK_EQUAL(ome_engine_order(market.engine, order_id, &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_client_order(market.engine, 2, 9, &order), OME_NOT_FOUND);
    market_end(&market);
}

static void an_order_without_a_client_order_id_is_found_by_its_own_id_only(void)
{
    market_t market = market_new();
    ome_order_view_t order;
    enter(&market, limit_order(0, OME_SIDE_BUY, 1, 100));
    CHECK_EQUAL(ome_engine_client_order(market.engine, 0, 0, &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_order(market.engine, market.events[0].order_id, &order), OME_OK);
    CHECK_EQUAL(order.client_order_id, 0);
    market_end(&market);
}

/* What is special of an order at rest: its peak and what of it is displayed, its deadline, its group; or that it is hidden. */
static void the_account_of_an_order_that_rested_is_known_until_the_next_order(void)
{
    market_t market = market_new();
    ome_command_t plain = limit_order(1, OME_SIDE_SELL, 10, 120);
    plain.account = 33;
    enter(&market, plain);
    const uint64_t plain_id = market.events[0].order_id;
    ome_command_t iceberg[2] = {limit_order(2, OME_SIDE_SELL, 10, 120)};
    iceberg[0].account = 44;
    iceberg[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    iceberg[1] = (ome_command_t){.kind = OME_COMMAND_KIND_ORDER_TERMS, .term_1 = OME_TERM_DISPLAY_QUANTITY, .value_1 = 5};
    apply(&market, iceberg, 2);
    const uint64_t iceberg_id = market.events[0].order_id;
    uint32_t account = 0;
    CHECK_EQUAL(ome_engine_account(market.engine, plain_id, &account), OME_OK);
    CHECK_EQUAL(account, 33);
    CHECK_EQUAL(ome_engine_account(market.engine, iceberg_id, &account), OME_OK);
    CHECK_EQUAL(account, 44);
    const ome_command_t taker = limit_order(3, OME_SIDE_BUY, 20, 120);
    apply(&market, &taker, 1);
    ome_order_view_t order;
    CHECK_EQUAL(ome_engine_order(market.engine, plain_id, &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_account(market.engine, plain_id, &account), OME_OK);
    CHECK_EQUAL(account, 33);
    CHECK_EQUAL(ome_engine_account(market.engine, iceberg_id, &account), OME_OK);
    CHECK_EQUAL(account, 44);
    for (uint64_t id = 4; id < 8; id++) /* they take the places of those that are gone */
    {
        const ome_command_t next = limit_order(id, OME_SIDE_BUY, 1, 10);
        apply(&market, &next, 1);
    }
    CHECK_EQUAL(ome_engine_account(market.engine, plain_id, &account), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_account(market.engine, 0, &account), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_account(market.engine, UINT64_MAX, &account), OME_NOT_FOUND);
    market_end(&market);
}

/* As many instruments as the limit says, whatever their symbols; each symbol once. */
static void symbols_are_told_apart_up_to_the_limit(void)
{
    enum
    {
        INSTRUMENT_COUNT = 700
    };
    const ome_limits_t limits = {.order_count_max = 1,
        .level_count_max = 1,
        .instrument_count_max = INSTRUMENT_COUNT,
        .session_count_max = 1,
        .special_count_max = 0,
        .rules_version = OME_RULES_VERSION};
    market_t market = market_of(&limits);
    for (uint32_t number = 1; number <= INSTRUMENT_COUNT; number++)
    {
        char symbol[OME_NAME_SIZE + 1];
        (void)snprintf(symbol, sizeof(symbol), "O%u", number);
        const ome_command_t definition = define_instrument(number, symbol, 1, 0);
        apply_one(&market, &definition, 1, OME_EVENT_KIND_DEFINED, OME_REASON_NONE);
        if (number < INSTRUMENT_COUNT)
        {
            const ome_command_t again = define_instrument(number + 1, number % 2 == 0 ? "O1" : symbol, 1, 0);
            apply_one(&market, &again, 1, OME_EVENT_KIND_REJECTED, OME_REASON_BAD_DEFINITION);
        }
    }
    market_end(&market);
}

static void an_iceberg_shows_its_peak_and_what_is_left_of_it(void)
{
    market_t market = market_new();
    enter_long(&market, with_term(limit_order(1, OME_SIDE_SELL, 100, 120), OME_TERM_DISPLAY_QUANTITY, 30));
    ome_command_t taker = limit_order(2, OME_SIDE_BUY, 35, 120);
    taker.time_in_force = OME_TIME_IN_FORCE_IOC;
    apply(&market, &taker, 1);
    const ome_order_view_t order = view(&market, 1);
    CHECK_EQUAL(order.leaves_quantity, 65);
    CHECK_EQUAL(order.displayed_quantity, 25);
    CHECK_EQUAL(order.peak_quantity, 30);
    CHECK_EQUAL(order.cumulative_quantity, 35);
    CHECK_EQUAL(order.is_waiting, 0);
    CHECK_EQUAL(order.is_hidden, 0);
    CHECK_EQUAL(order.stop_price, 0);
    CHECK_EQUAL(order.deadline_ns, 0);
    market_end(&market);
}

static void an_order_shows_its_deadline_and_its_self_trade_group(void)
{
    market_t market = market_new();
    ome_command_t dated = limit_order(3, OME_SIDE_SELL, 10, 125);
    dated.time_in_force = OME_TIME_IN_FORCE_GTD;
    dated.self_trade_prevention = OME_SELF_TRADE_PREVENTION_CANCEL_BOTH;
    dated.self_trade_scope = OME_SELF_TRADE_SCOPE_GROUP;
    enter_long(&market, with_terms(dated, OME_TERM_EXPIRE_TIME, 1000, OME_TERM_SELF_TRADE_GROUP, 77));
    const ome_order_view_t order = view(&market, 3);
    CHECK_EQUAL(order.deadline_ns, 1000);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_GTD);
    CHECK_EQUAL(order.self_trade_group, 77);
    CHECK_EQUAL(order.self_trade_prevention, OME_SELF_TRADE_PREVENTION_CANCEL_BOTH);
    CHECK_EQUAL(order.self_trade_scope, OME_SELF_TRADE_SCOPE_GROUP);
    CHECK_EQUAL(order.displayed_quantity, 10);
    CHECK_EQUAL(order.peak_quantity, 0);
    market_end(&market);
}

static void a_hidden_order_displays_nothing(void)
{
    market_t market = market_new();
    ome_command_t hidden = limit_order(4, OME_SIDE_SELL, 10, 130);
    hidden.flags = OME_COMMAND_FLAGS_HIDDEN;
    enter(&market, hidden);
    const ome_order_view_t order = view(&market, 4);
    CHECK_EQUAL(order.is_hidden, 1);
    CHECK_EQUAL(order.displayed_quantity, 0);
    CHECK_EQUAL(order.leaves_quantity, 10);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_GTC);
    market_end(&market);
}

static void set_last_price(market_t *market, int64_t price)
{
    const ome_command_t last = {.kind = OME_COMMAND_KIND_SET_LAST_PRICE, .instrument = 1, .price = price};
    apply(market, &last, 1);
}

/* While it waits it has its stop price and displays nothing; when it has triggered it is an order like others. */
static void a_stop_limit_order_is_an_order_like_others_once_it_has_triggered(void)
{
    market_t market = market_new();
    set_last_price(&market, 100);
    ome_command_t stop = typed_order(1, OME_SIDE_BUY, 10, 130, OME_ORDER_TYPE_STOP_LIMIT);
    stop.time_in_force = OME_TIME_IN_FORCE_DAY;
    stop.flags = OME_COMMAND_FLAGS_POST_ONLY;
    enter_long(&market, with_terms(stop, OME_TERM_STOP_PRICE, 120, OME_TERM_DISPLAY_QUANTITY, 4));
    ome_order_view_t order = view(&market, 1);
    CHECK_EQUAL(order.is_waiting, 1);
    CHECK_EQUAL(order.stop_price, 120);
    CHECK_EQUAL(order.price, 130);
    CHECK_EQUAL(order.order_type, OME_ORDER_TYPE_STOP_LIMIT);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_DAY);
    CHECK_EQUAL(order.is_post_only, 1);
    CHECK_EQUAL(order.leaves_quantity, 10);
    CHECK_EQUAL(order.displayed_quantity, 0);
    CHECK_EQUAL(order.peak_quantity, 4);
    CHECK_EQUAL(order.instrument, 1);
    CHECK_EQUAL(order.side, OME_SIDE_BUY);
    set_last_price(&market, 120);
    order = view(&market, 1);
    CHECK_EQUAL(order.is_waiting, 0);
    CHECK_EQUAL(order.stop_price, 0);
    CHECK_EQUAL(order.price, 130);
    CHECK_EQUAL(order.displayed_quantity, 4);
    CHECK_EQUAL(order.peak_quantity, 4);
    CHECK_EQUAL(order.order_type, OME_ORDER_TYPE_LIMIT);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_DAY);
    market_end(&market);
}

/* By an amount or by basis points, with a limit at a distance or without one. */
static void a_trailing_stop_shows_its_distance_and_where_it_stands(void)
{
    market_t market = market_new();
    set_last_price(&market, 100);
    enter_long(&market, with_term(typed_order(2, OME_SIDE_SELL, 10, -5, OME_ORDER_TYPE_TRAILING_STOP_LIMIT), OME_TERM_TRAIL_AMOUNT, 20));
    ome_order_view_t order = view(&market, 2);
    CHECK_EQUAL(order.is_waiting, 1);
    CHECK_EQUAL(order.stop_price, 80);
    CHECK_EQUAL(order.price, -5);
    CHECK_EQUAL(order.trail_amount, 20);
    CHECK_EQUAL(order.trail_basis_points, 0);
    CHECK_EQUAL(order.order_type, OME_ORDER_TYPE_TRAILING_STOP_LIMIT);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_GTC);
    ome_command_t trailing = typed_order(3, OME_SIDE_SELL, 10, 777, OME_ORDER_TYPE_TRAILING_STOP);
    trailing.time_in_force = OME_TIME_IN_FORCE_IOC;
    enter_long(&market, with_term(trailing, OME_TERM_TRAIL_BASIS_POINTS, 1000));
    order = view(&market, 3);
    CHECK_EQUAL(order.is_waiting, 1);
    CHECK_EQUAL(order.stop_price, 90);
    CHECK_EQUAL(order.price, 0);
    CHECK_EQUAL(order.trail_amount, 0);
    CHECK_EQUAL(order.trail_basis_points, 1000);
    CHECK_EQUAL(order.order_type, OME_ORDER_TYPE_TRAILING_STOP);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_IOC);
    set_last_price(&market, 120);
    CHECK_EQUAL(view(&market, 2).stop_price, 100);
    CHECK_EQUAL(view(&market, 3).stop_price, 105);
    market_end(&market);
}

static void check_ids(const ome_order_view_t *orders, uint32_t count, const uint64_t *ids, uint32_t id_count)
{
    CHECK_EQUAL(count, id_count);
    for (uint32_t i = 0; i < count; i++)
    {
        CHECK_EQUAL(orders[i].client_order_id, ids[i]);
    }
}

/* Displayed orders come before hidden ones at each price. A list that is cut has the first. */
static void orders_are_listed_as_they_would_trade(void)
{
    market_t market = market_new();
    ome_command_t hidden = limit_order(1, OME_SIDE_BUY, 10, 105);
    hidden.flags = OME_COMMAND_FLAGS_HIDDEN;
    enter(&market, hidden);
    enter(&market, limit_order(2, OME_SIDE_BUY, 10, 100));
    enter(&market, limit_order(3, OME_SIDE_BUY, 10, 105));
    enter_long(&market, with_term(limit_order(4, OME_SIDE_BUY, 10, 105), OME_TERM_DISPLAY_QUANTITY, 3));
    hidden.client_order_id = 5;
    enter(&market, hidden);
    const ome_engine_t *engine = market.engine;
    ome_order_view_t orders[8];
    static const uint64_t at_rest[] = {3, 4, 1, 5, 2};
    check_ids(orders, ome_engine_orders(engine, 1, OME_SIDE_BUY, 8, orders), at_rest, 5);
    CHECK(memcmp(&orders[1], &(ome_order_view_t){0}, sizeof(orders[1])) != 0);
    CHECK_EQUAL(orders[1].displayed_quantity, 3);
    CHECK_EQUAL(orders[2].is_hidden, 1);
    CHECK_EQUAL(orders[2].price, 105);
    CHECK_EQUAL(orders[4].price, 100);
    check_ids(orders, ome_engine_orders(engine, 1, OME_SIDE_BUY, 3, orders), at_rest, 3);
    market_end(&market);
}

static market_t market_with_stops(void)
{
    market_t market = market_new();
    static const int64_t stop_prices[] = {130, 120, 125, 120};
    for (uint32_t i = 0; i < 4; i++)
    {
        const ome_command_t buy = typed_order(11 + i, OME_SIDE_BUY, 1, 0, OME_ORDER_TYPE_STOP);
        const ome_command_t sell = typed_order(21 + i, OME_SIDE_SELL, 1, 0, OME_ORDER_TYPE_STOP);
        enter_long(&market, with_term(buy, OME_TERM_STOP_PRICE, stop_prices[i]));
        enter_long(&market, with_term(sell, OME_TERM_STOP_PRICE, stop_prices[i] - 60));
    }
    return market;
}

static void waiting_orders_are_listed_as_they_would_trigger(void)
{
    market_t market = market_with_stops();
    ome_order_view_t orders[8];
    static const uint64_t buys[] = {12, 14, 13, 11};
    static const uint64_t sells[] = {21, 23, 22, 24};
    check_ids(orders, ome_engine_waiting_orders(market.engine, 1, OME_SIDE_BUY, 8, orders), buys, 4);
    CHECK_EQUAL(orders[0].is_waiting, 1);
    CHECK_EQUAL(orders[0].stop_price, 120);
    check_ids(orders, ome_engine_waiting_orders(market.engine, 1, OME_SIDE_SELL, 8, orders), sells, 4);
    check_ids(orders, ome_engine_waiting_orders(market.engine, 1, OME_SIDE_SELL, 2, orders), sells, 2);
    market_end(&market);
}

/* Of an instrument or a side that does not exist, of one without orders, or where there is no room for any. */
static void a_list_of_orders_may_be_empty(void)
{
    market_t market = market_with_stops();
    enter(&market, limit_order(1, OME_SIDE_BUY, 10, 100));
    const ome_engine_t *engine = market.engine;
    ome_order_view_t orders[8];
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(ome_engine_orders(engine, i * 3, OME_SIDE_BUY, 8, orders), 0);
        CHECK_EQUAL(ome_engine_orders(engine, 1, (uint8_t)(i * 3), 8, orders), 0);
        CHECK_EQUAL(ome_engine_waiting_orders(engine, i * 3, OME_SIDE_BUY, 8, orders), 0);
        CHECK_EQUAL(ome_engine_waiting_orders(engine, 1, (uint8_t)(i * 3), 8, orders), 0);
    }
    CHECK_EQUAL(ome_engine_orders(engine, 1, OME_SIDE_BUY, 0, NULL), 0);
    CHECK_EQUAL(ome_engine_waiting_orders(engine, 1, OME_SIDE_BUY, 0, NULL), 0);
    CHECK_EQUAL(ome_engine_orders(engine, 2, OME_SIDE_BUY, 8, orders), 0);
    CHECK_EQUAL(ome_engine_waiting_orders(engine, 2, OME_SIDE_BUY, 8, orders), 0);
    market_end(&market);
}

/* ---- definitions ---- */

static void an_instrument_is_found_as_it_was_defined(void)
{
    market_t market = market_new();
    ome_instrument_view_t instrument;
    memset(&instrument, 0xFF, sizeof(instrument));
    CHECK_EQUAL(ome_engine_instrument(market.engine, 2, &instrument), OME_OK);
    const ome_instrument_view_t expected = {.symbol = "TWO",
        .tick = 1,
        .last_trade_price = OME_NULL_VALUE,
        .collar_ticks = 9,
        .flags = OME_INSTRUMENT_FLAGS_SIGNED_PRICES,
        .price_decimals = 2,
        .quantity_decimals = 1};
    CHECK_BYTES_EQUAL(&instrument, &expected, sizeof(instrument));
    CHECK_EQUAL(ome_engine_instrument(market.engine, 0, &instrument), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_instrument(market.engine, 3, &instrument), OME_NOT_FOUND);
    market_end(&market);
}

static void an_instrument_has_the_price_of_its_last_trade(void)
{
    market_t market = market_new();
    enter(&market, limit_order(1, OME_SIDE_BUY, 10, 100));
    const ome_command_t sell = limit_order(2, OME_SIDE_SELL, 4, 95);
    apply(&market, &sell, 1);
    ome_instrument_view_t instrument;
    CHECK_EQUAL(ome_engine_instrument(market.engine, 1, &instrument), OME_OK);
    CHECK_EQUAL(instrument.last_trade_price, 100);
    CHECK_EQUAL(instrument.tick, 5);
    CHECK_BYTES_EQUAL(instrument.symbol, "ONE", 4);
    market_end(&market);
}

static void a_session_is_found_as_it_was_defined(void)
{
    market_t market = market_new();
    ome_session_view_t session;
    memset(&session, 0xFF, sizeof(session));
    CHECK_EQUAL(ome_engine_session(market.engine, 2, &session), OME_OK);
    const ome_session_view_t expected_session = {.participant_name = "B", .defined_sequence = 4, .participant = 2, .session_number = 7};
    CHECK_BYTES_EQUAL(&session, &expected_session, sizeof(session));
    CHECK_EQUAL(ome_engine_session(market.engine, 0, &session), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_session(market.engine, 3, &session), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_session(market.engine, standard_limits.session_count_max + 1, &session), OME_NOT_FOUND);
    market_end(&market);
}

/* Sessions are found by their numbers, and what no session has is not found. */
static void sessions_are_found_by_numbers_with_gaps(void)
{
    market_t market = market_of(&standard_limits);
    const ome_command_t definitions[] = {define_session(3, 2, "LATE", 9), define_session(1, 3, "EARLY", 0)};
    apply(&market, definitions, 2);
    ome_session_view_t session;
    CHECK_EQUAL(ome_engine_session(market.engine, 1, &session), OME_OK);
    CHECK_EQUAL(session.participant, 3);
    CHECK_EQUAL(session.session_number, 0);
    CHECK_EQUAL(ome_engine_session(market.engine, 2, &session), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_session(market.engine, 3, &session), OME_OK);
    CHECK_EQUAL(session.participant, 2);
    CHECK_EQUAL(session.session_number, 9);
    CHECK_TEXT_EQUAL(session.participant_name, "LATE");
    ome_engine_status_t status;
    ome_engine_status(market.engine, &status);
    CHECK_EQUAL(status.session_count, 2);
    CHECK_EQUAL(status.participant_count, 2);
    market_end(&market);
}

int main(void)
{
    RUN(the_best_level_of_a_side_is_found);
    RUN(the_depth_at_a_price_is_found);
    RUN(levels_are_listed_best_first);
    RUN(an_instrument_or_side_that_does_not_exist_has_no_depth);
    RUN(market_data_shows_no_hidden_lots);
    RUN(an_order_is_found_by_either_id_while_it_lives);
    RUN(an_order_without_a_client_order_id_is_found_by_its_own_id_only);
    RUN(the_account_of_an_order_that_rested_is_known_until_the_next_order);
    RUN(symbols_are_told_apart_up_to_the_limit);
    RUN(an_iceberg_shows_its_peak_and_what_is_left_of_it);
    RUN(an_order_shows_its_deadline_and_its_self_trade_group);
    RUN(a_hidden_order_displays_nothing);
    RUN(a_stop_limit_order_is_an_order_like_others_once_it_has_triggered);
    RUN(a_trailing_stop_shows_its_distance_and_where_it_stands);
    RUN(orders_are_listed_as_they_would_trade);
    RUN(waiting_orders_are_listed_as_they_would_trigger);
    RUN(a_list_of_orders_may_be_empty);
    RUN(an_instrument_is_found_as_it_was_defined);
    RUN(an_instrument_has_the_price_of_its_last_trade);
    RUN(a_session_is_found_as_it_was_defined);
    RUN(sessions_are_found_by_numbers_with_gaps);
    return 0;
}
