/* What the tests of the public face share: a market, its commands, a flow, and a sink. It includes ome.h and nothing of
 * the engine's own. */
#ifndef FACE_FIXTURE_H
#define FACE_FIXTURE_H

#include <string.h>

#include "ome.h"
#include "ome_test.h"

#define EVENT_COUNT_MAX 64u

static uint64_t seed;

static const ome_limits_t standard_limits = {.order_count_max = 256,
    .level_count_max = 64,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 64,
    .rules_version = OME_RULES_VERSION};

/* ---- a market and its commands ---- */

typedef struct
{
    ome_engine_t *engine;
    ome_batch_t *batch;
    ome_event_t events[EVENT_COUNT_MAX]; /* of the last command */
    uint64_t event_count;
} market_t;

static inline void apply(market_t *market, const ome_command_t *commands, uint64_t count)
{
    ome_batch_apply(market->batch, market->engine, commands, count);
    market->event_count = ome_batch_event_count(market->batch);
    CHECK(market->event_count <= EVENT_COUNT_MAX);
    memcpy(market->events, ome_batch_events(market->batch), market->event_count * sizeof(ome_event_t));
    CHECK(ome_engine_check(market->engine) == NULL);
}

/* Applies commands that must give one event of this kind. */
static inline void apply_one(market_t *market, const ome_command_t *commands, uint64_t count, uint8_t kind, uint8_t reason)
{
    apply(market, commands, count);
    CHECK_EQUAL(market->event_count, 1);
    CHECK_EQUAL(market->events[0].kind, kind);
    CHECK_EQUAL(market->events[0].reason, reason);
}

static inline ome_command_t define_instrument(uint32_t number, const char *symbol, int64_t tick, uint16_t flags)
{
    ome_command_t command = {.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT,
        .instrument = number,
        .tick = tick,
        .price_decimals = 2,
        .quantity_decimals = 1,
        .collar_ticks = 9,
        .instrument_flags = flags};
    memcpy(command.symbol, symbol, strlen(symbol));
    return command;
}

static inline ome_command_t define_session(uint16_t session, uint16_t participant, const char *name, uint16_t session_number)
{
    ome_command_t command = {
        .kind = OME_COMMAND_KIND_DEFINE_SESSION, .session = session, .participant = participant, .session_number = session_number};
    memcpy(command.participant_name, name, strlen(name));
    return command;
}

static inline ome_command_t limit_order(uint64_t client_order_id, uint8_t side, int64_t quantity, int64_t price)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_NEW_ORDER,
        .instrument = 1,
        .side = side,
        .order_type = OME_ORDER_TYPE_LIMIT,
        .time_in_force = OME_TIME_IN_FORCE_GTC,
        .price = price,
        .quantity = quantity,
        .client_order_id = client_order_id};
}

static inline ome_command_t typed_order(uint64_t client_order_id, uint8_t side, int64_t quantity, int64_t price, uint8_t order_type)
{
    ome_command_t order = limit_order(client_order_id, side, quantity, price);
    order.order_type = order_type;
    return order;
}

static inline ome_command_t cancel_order(uint64_t client_order_id)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = client_order_id};
}

/* The order and a record with two terms of it; the second may be none. */
typedef struct
{
    ome_command_t records[2];
} long_order_t;

static inline long_order_t with_terms(ome_command_t order, uint8_t term_1, int64_t value_1, uint8_t term_2, int64_t value_2)
{
    order.flags |= OME_COMMAND_FLAGS_CONTINUED;
    return (long_order_t){{order, {.kind = OME_COMMAND_KIND_ORDER_TERMS,
                                      .participant = order.participant,
                                      .session = order.session,
                                      .term_1 = term_1,
                                      .value_1 = value_1,
                                      .term_2 = term_2,
                                      .value_2 = value_2}}};
}

static inline long_order_t with_term(ome_command_t order, uint8_t term, int64_t value)
{
    return with_terms(order, term, value, OME_TERM_NONE, 0);
}

/* Instrument 1 has tick 5, instrument 2 tick 1 and signed prices; sessions 1 and 2 are participants 1 and 2. */
static inline market_t market_of(const ome_limits_t *limits)
{
    market_t market = {0};
    CHECK_EQUAL(ome_engine_create(limits, &market.engine), OME_OK);
    CHECK_EQUAL(ome_batch_create(&market.batch), OME_OK);
    return market;
}

static inline market_t market_new(void)
{
    market_t market = market_of(&standard_limits);
    const ome_command_t definitions[] = {define_instrument(1, "ONE", 5, 0),
        define_instrument(2, "TWO", 1, OME_INSTRUMENT_FLAGS_SIGNED_PRICES), define_session(1, 1, "A", 0), define_session(2, 2, "B", 7)};
    apply(&market, definitions, 4);
    CHECK_EQUAL(market.event_count, 4);
    CHECK_EQUAL(market.events[3].kind, OME_EVENT_KIND_DEFINED);
    return market;
}

static inline void market_end(market_t *market)
{
    ome_batch_destroy(market->batch);
    ome_engine_destroy(market->engine);
}

static inline void enter(market_t *market, ome_command_t order)
{
    apply(market, &order, 1);
    CHECK_EQUAL(market->events[0].kind, OME_EVENT_KIND_ACCEPTED);
}

static inline void enter_long(market_t *market, long_order_t order)
{
    apply(market, order.records, 2);
    CHECK_EQUAL(market->events[0].kind, OME_EVENT_KIND_ACCEPTED);
}

/* ---- a flow ---- */

static inline uint64_t below(uint64_t *random, uint64_t count)
{
    return test_random(random) % count;
}

/* Definitions, then orders of every kind near one price, of one record and of two. Returns how many records; `commands`
 * has room for one more than `count`. */
static inline uint64_t flow(ome_command_t *commands, uint64_t count)
{
    uint64_t random = seed;
    uint64_t at = 0;
    commands[at++] = define_instrument(1, "ONE", 5, 0);
    while (at < count)
    {
        const uint8_t side = (uint8_t)(OME_SIDE_BUY + below(&random, 2));
        ome_command_t order =
            limit_order(1 + below(&random, 300), side, 1 + (int64_t)below(&random, 40), 5 * (int64_t)(200 + below(&random, 12)));
        order.timestamp_ns = at;
        const uint64_t kind = below(&random, 8);
        if (kind == 0)
        {
            commands[at++] = cancel_order(order.client_order_id);
        }
        else if (kind == 1)
        {
            const long_order_t long_order = with_term(order, OME_TERM_DISPLAY_QUANTITY, 1 + (int64_t)below(&random, 9));
            memcpy(&commands[at], long_order.records, sizeof(long_order.records));
            at += 2;
        }
        else if (kind == 2)
        {
            order.order_type = OME_ORDER_TYPE_STOP;
            const long_order_t long_order = with_term(order, OME_TERM_STOP_PRICE, order.price);
            memcpy(&commands[at], long_order.records, sizeof(long_order.records));
            at += 2;
        }
        else
        {
            commands[at++] = order;
        }
    }
    return at;
}

/* ---- a sink ---- */

#define WINDOW_COUNT_MAX 16u
#define KEPT_COUNT_MAX 65536u

typedef struct
{
    ome_sink_t sink; /* first, so that a sink is its keeper */
    ome_event_t window[WINDOW_COUNT_MAX];
    ome_event_t *kept;
    uint64_t kept_count;
    uint64_t flush_count;
} keeper_t;

static inline void keeper_take(keeper_t *keeper)
{
    const uint64_t count = (uint64_t)(keeper->sink.next - keeper->window);
    CHECK(keeper->kept_count + count <= KEPT_COUNT_MAX);
    memcpy(keeper->kept + keeper->kept_count, keeper->window, count * sizeof(ome_event_t));
    keeper->kept_count += count;
    keeper->sink.next = keeper->window;
}

static inline void keeper_flush(ome_sink_t *sink)
{
    CHECK(sink->next == sink->end);
    keeper_t *keeper = (keeper_t *)sink;
    keeper->flush_count++;
    keeper_take(keeper);
}

static inline void keeper_start(keeper_t *keeper, uint32_t window_count)
{
    *keeper = (keeper_t){.kept = calloc(KEPT_COUNT_MAX, sizeof(ome_event_t))};
    CHECK(keeper->kept != NULL);
    keeper->sink = (ome_sink_t){.next = keeper->window, .end = keeper->window + window_count, .flush = keeper_flush};
}

#endif
