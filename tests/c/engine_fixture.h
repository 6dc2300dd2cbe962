/* What the tests of the engine share: a market, which is an engine with a recorder of its events, and what they enter and expect. */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include "ome_test_market.h"
#include "state/ome_state.h"

static const ome_limits_t standard_limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 24,
    .rules_version = OME_RULES_VERSION,
    .account_count_max = 5};

typedef struct
{
    ome_engine_t *engine;
    recorder_t *recorder;
    uint64_t time_ns;
} market_t;

static inline market_t market_new(const ome_limits_t *limits, uint32_t window_count)
{
    return (market_t){.engine = market_engine(limits), .recorder = recorder_new(window_count)};
}

static inline void market_free(market_t *market)
{
    CHECK(ome_engine_check(market->engine) == NULL);
    free(market->engine);
    recorder_free(market->recorder);
}

/* Applies a command a moment later than the one before, and checks how many events it gives. */
static inline void apply(market_t *market, ome_command_t command, uint64_t event_count)
{
    command.timestamp_ns = ++market->time_ns;
    CHECK_EQUAL(recorder_apply(market->recorder, market->engine, &command), event_count);
    CHECK_EQUAL(market->engine->sequence, market->time_ns);
}

/* A market with one instrument, "ABC" with tick 1. */
static inline market_t simple_market(void)
{
    market_t market = market_new(&standard_limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    return market;
}

/* The event `from_end` before the last, which is 1. */
static inline ome_event_t *event_from_end(const market_t *market, uint64_t from_end)
{
    CHECK(from_end >= 1 && from_end <= market->recorder->count);
    return &market->recorder->events[market->recorder->count - from_end];
}

static inline uint8_t last_reason(const market_t *market)
{
    return event_from_end(market, 1)->reason;
}

static inline void apply_rejected(market_t *market, ome_command_t command, uint8_t reason)
{
    apply(market, command, 1);
    CHECK_EQUAL(event_from_end(market, 1)->kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(last_reason(market), reason);
}

static inline uint64_t order_id(uint32_t generation, uint32_t slot)
{
    return (uint64_t)generation << 32 | slot;
}

/* ---- orders with terms ---- */

/* The event `from_end` before the last is this one. */
static inline void expect(const market_t *market, uint64_t from_end, uint8_t kind, uint64_t client_order_id, int64_t price,
    int64_t quantity, uint8_t reason, uint32_t flags)
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

/* The event `from_end` before the last says that an order waits for this stop price. */
static inline void expect_stop_set(
    const market_t *market, uint64_t from_end, uint64_t client_order_id, int64_t stop_price, int64_t leaves, uint8_t order_type)
{
    expect(market, from_end, OME_EVENT_KIND_STOP_SET, client_order_id, stop_price, leaves, OME_REASON_NONE, order_type);
}

/* Applies a command and one record with its terms, up to three; those that are NONE come last. */
static inline void apply_with(market_t *market, ome_command_t command, ome_command_t terms, uint64_t event_count)
{
    command.flags |= OME_COMMAND_FLAGS_CONTINUED;
    apply(market, command, 0);
    terms.kind = OME_COMMAND_KIND_ORDER_TERMS;
    apply(market, terms, event_count);
}

static inline ome_command_t with_type(ome_command_t command, uint8_t order_type)
{
    command.order_type = order_type;
    return command;
}

static inline ome_command_t with_flags(ome_command_t command, uint16_t flags)
{
    command.flags |= flags;
    return command;
}

static inline ome_command_t last_price(int64_t price)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_SET_LAST_PRICE, .instrument = 1, .price = price};
}

#endif
