/* An engine in memory of its own, commands for it, a sink that keeps every event, and a seeded flow of commands: for tests. */
#ifndef OME_TEST_MARKET_H
#define OME_TEST_MARKET_H

#include <stdbool.h>
#include <string.h>

#include "base/ome_hash.h"
#include "commands/ome_apply.h"
#include "engine/ome_engine.h"
#include "ome_test.h"

/* ---- memory and engines ---- */

/* Zeroed and aligned to a cache line; exactly so many bytes, so that the address sanitizer sees a step too far. */
static inline void *market_memory(uint64_t size_bytes)
{
    void *memory = aligned_alloc(OME_CACHE_LINE_SIZE, (size_bytes + OME_CACHE_LINE_SIZE - 1) / OME_CACHE_LINE_SIZE * OME_CACHE_LINE_SIZE);
    CHECK(memory != NULL);
    memset(memory, 0, size_bytes);
    return memory;
}

static inline ome_engine_t *market_engine(const ome_limits_t *limits)
{
    const uint64_t size_bytes = ome_engine_size_bytes(limits);
    ome_engine_t *engine = NULL;
    CHECK(size_bytes > 0);
    CHECK_EQUAL(ome_engine_init(&engine, market_memory(size_bytes), size_bytes, limits), OME_OK);
    return engine;
}

/* ---- a sink that keeps what it gets ---- */

#define RECORDER_WINDOW_COUNT_MAX 64u

typedef struct
{
    ome_sink_t sink; /* first, so that a sink is its recorder */
    ome_event_t window[RECORDER_WINDOW_COUNT_MAX];
    ome_event_t *events;
    uint64_t count;
    uint64_t capacity;
    uint64_t flush_count;
    uint64_t hash; /* rolling, of all events */
} recorder_t;

static inline void recorder_take_window(recorder_t *recorder)
{
    const uint64_t count = (uint64_t)(recorder->sink.next - recorder->window);
    if (recorder->count + count > recorder->capacity)
    {
        recorder->capacity = 2 * (recorder->count + count);
        recorder->events = realloc(recorder->events, recorder->capacity * sizeof(ome_event_t));
        CHECK(recorder->events != NULL);
    }
    for (uint64_t i = 0; i < count; i++)
    {
        uint64_t words[8];
        memcpy(words, &recorder->window[i], sizeof(words));
        recorder->hash = ome_hash_mix(recorder->hash, words);
        recorder->events[recorder->count++] = recorder->window[i];
    }
    recorder->sink.next = recorder->window;
}

static inline void recorder_flush(ome_sink_t *sink)
{
    recorder_t *recorder = (recorder_t *)sink;
    CHECK(sink->next == sink->end);
    recorder->flush_count++;
    recorder_take_window(recorder);
}

/* A recorder whose window has `window_count` events. */
static inline recorder_t *recorder_new(uint32_t window_count)
{
    CHECK(window_count >= 1 && window_count <= RECORDER_WINDOW_COUNT_MAX);
    recorder_t *recorder = calloc(1, sizeof(recorder_t));
    CHECK(recorder != NULL);
    recorder->hash = OME_HASH_EVENTS_INITIAL;
    recorder->sink = (ome_sink_t){.next = recorder->window, .end = recorder->window + window_count, .flush = recorder_flush};
    return recorder;
}

static inline void recorder_free(recorder_t *recorder)
{
    free(recorder->events);
    free(recorder);
}

/* Applies a command; returns how many events it gave, which are the last of the recorder. */
static inline uint64_t recorder_apply(recorder_t *recorder, ome_engine_t *engine, const ome_command_t *command)
{
    const uint64_t before = recorder->count;
    ome_engine_apply(engine, command, &recorder->sink);
    recorder_take_window(recorder);
    return recorder->count - before;
}

/* ---- commands ---- */

static inline ome_command_t define_limits(const ome_limits_t *limits)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
        .order_count_max = limits->order_count_max,
        .level_count_max = limits->level_count_max,
        .instrument_count_max = limits->instrument_count_max,
        .session_count_max = limits->session_count_max,
        .special_count_max = limits->special_count_max,
        .rules_version = limits->rules_version,
        .account_count_max = limits->account_count_max,
        .limit_flags = (uint16_t)limits->limit_flags};
}

/* Of nobody where the name is empty. */
static inline ome_command_t define_account(uint32_t account, const char *name)
{
    ome_command_t command = {.kind = OME_COMMAND_KIND_DEFINE_ACCOUNT, .account = account};
    memcpy(command.participant_name, name, strlen(name));
    return command;
}

static inline ome_command_t define_instrument(uint32_t number, const char *symbol, int64_t tick, uint16_t flags)
{
    ome_command_t command = {
        .kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT, .instrument = number, .tick = tick, .price_decimals = 2, .instrument_flags = flags};
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

/* A GTC limit order of the embedder's own (participant and session 0) on instrument 1. */
static inline ome_command_t limit_order(uint8_t side, int64_t price, int64_t quantity, uint64_t client_order_id)
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

static inline ome_command_t cancel_order(uint64_t client_order_id)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = client_order_id};
}

static inline ome_command_t reduce_order(uint64_t client_order_id, int64_t quantity)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_REDUCE_ORDER, .client_order_id = client_order_id, .quantity = quantity};
}

static inline ome_command_t amend_order(uint64_t client_order_id, int64_t price, int64_t quantity)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_AMEND_ORDER, .client_order_id = client_order_id, .price = price, .quantity = quantity};
}

/* A record of one term, for a command whose flags have CONTINUED. */
static inline ome_command_t order_terms(uint8_t term, int64_t value)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_ORDER_TERMS, .term_1 = term, .value_1 = value};
}

/* ---- a flow ---- */

/* Orders near a price that moves little, in few ids, so that most cancels, reductions and amends find an order and much trades. */
typedef struct
{
    uint64_t random;
    uint64_t timestamp_ns;
    uint32_t instrument_count;  /* defined, with tick 1 */
    uint32_t participant_count; /* session s is participant s's; 0: all are the embedder's own */
    uint32_t order_id_count;    /* of client order ids, from 1 */
    uint32_t price_count;       /* prices from 1000 on */
    bool has_specials;          /* every sort of order and command, not only the plain ones */
    uint32_t terms_count;       /* records of terms that are to come */
    ome_command_t terms[2];     /* the last comes first */
} flow_t;

static inline uint32_t flow_below(flow_t *flow, uint32_t count)
{
    return (uint32_t)(test_random(&flow->random) % count);
}

static inline void flow_new_order(flow_t *flow, ome_command_t *command)
{
    const uint32_t kind = flow_below(flow, 20);
    command->kind = OME_COMMAND_KIND_NEW_ORDER;
    command->instrument = 1 + flow_below(flow, flow->instrument_count);
    command->side = (uint8_t)(OME_SIDE_BUY + flow_below(flow, 2));
    command->order_type = kind == 0 ? OME_ORDER_TYPE_MARKET : OME_ORDER_TYPE_LIMIT;
    command->time_in_force = (uint8_t)(kind < 3 ? OME_TIME_IN_FORCE_GTC + flow_below(flow, 3) : OME_TIME_IN_FORCE_GTC);
    command->price = 1000 + flow_below(flow, flow->price_count) + (command->side == OME_SIDE_SELL ? flow->price_count / 2 : 0);
    command->quantity = 1 + flow_below(flow, 50);
    command->account = flow_below(flow, 4);
}

/* What is odd: a field of the command is something else. */
static inline void flow_spoil(flow_t *flow, ome_command_t *command)
{
    uint8_t *bytes = (uint8_t *)command;
    bytes[sizeof(uint64_t) + flow_below(flow, OME_BODY_SIZE)] = (uint8_t)test_random(&flow->random);
}

/* ---- what is not plain ---- */

static inline bool flow_has_limit(uint8_t order_type)
{
    return order_type == OME_ORDER_TYPE_LIMIT || order_type == OME_ORDER_TYPE_STOP_LIMIT ||
           order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT;
}

static inline void flow_add_term(ome_command_t *terms, uint32_t *count, uint8_t term, int64_t value)
{
    uint8_t *const kinds = &terms[*count / 3].term_1;
    int64_t *const values = &terms[*count / 3].value_1;
    kinds[*count % 3] = term;
    values[*count % 3] = value;
    ++*count;
}

static inline bool flow_one_in(flow_t *flow, uint32_t count)
{
    return flow_below(flow, count) == 0;
}

/* Terms that go with a new order, most of them as they must be; returns how many. */
static inline uint32_t flow_new_terms(flow_t *flow, const ome_command_t *command, ome_command_t *terms)
{
    const int64_t price = 1000 + flow_below(flow, flow->price_count + flow->price_count / 2);
    uint32_t count = 0;
    if (command->order_type >= OME_ORDER_TYPE_STOP && (command->order_type <= OME_ORDER_TYPE_STOP_LIMIT || flow_one_in(flow, 2)))
    {
        flow_add_term(terms, &count, OME_TERM_STOP_PRICE, price);
    }
    if (command->order_type >= OME_ORDER_TYPE_TRAILING_STOP)
    {
        const bool has_amount = flow_one_in(flow, 2);
        flow_add_term(
            terms, &count, has_amount ? OME_TERM_TRAIL_AMOUNT : OME_TERM_TRAIL_BASIS_POINTS, 1 + flow_below(flow, has_amount ? 10 : 60));
    }
    if (command->time_in_force == OME_TIME_IN_FORCE_GTD)
    {
        flow_add_term(terms, &count, OME_TERM_EXPIRE_TIME, (int64_t)flow->timestamp_ns + 1 + flow_below(flow, 60));
    }
    if (command->self_trade_scope == OME_SELF_TRADE_SCOPE_GROUP)
    {
        flow_add_term(terms, &count, OME_TERM_SELF_TRADE_GROUP, 1 + flow_below(flow, 2));
    }
    if (command->time_in_force == OME_TIME_IN_FORCE_FOK && flow_one_in(flow, 3))
    {
        flow_add_term(terms, &count, OME_TERM_BUDGET, command->quantity * price);
    }
    if (count < 5 && (command->flags & OME_COMMAND_FLAGS_HIDDEN) == 0 && flow_one_in(flow, 4))
    {
        flow_add_term(terms, &count, OME_TERM_DISPLAY_QUANTITY, 1 + flow_below(flow, 12));
    }
    if (count < 5 && (command->flags & OME_COMMAND_FLAGS_POST_ONLY) == 0 && flow_one_in(flow, 10))
    {
        flow_add_term(terms, &count, OME_TERM_MINIMUM_QUANTITY, 1 + flow_below(flow, (uint32_t)command->quantity));
    }
    if (count < 6 && !flow_has_limit(command->order_type) && flow_one_in(flow, 3))
    {
        flow_add_term(terms, &count, OME_TERM_COLLAR_TICKS, flow_below(flow, 6));
    }
    if (count < 6 && flow_one_in(flow, 50))
    {
        flow_add_term(terms, &count, (uint8_t)flow_below(flow, OME_TERM_COUNT + 3), 1 + flow_below(flow, 20));
    }
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT && count < 6 && flow_one_in(flow, 8); i++)
    {
        flow_add_term(terms, &count, OME_ATTRIBUTES[i].term, 1 + flow_below(flow, OME_ATTRIBUTES[i].value_max));
    }
    return count;
}

/* Makes the records of the terms, and the command continued, where there are any. */
static inline void flow_continue(flow_t *flow, ome_command_t *command, const ome_command_t *terms, uint32_t count)
{
    flow->terms_count = (count + 2) / 3;
    for (uint32_t i = 0; i < flow->terms_count; i++)
    {
        ome_command_t *const record = &flow->terms[flow->terms_count - 1 - i];
        *record = terms[i];
        record->kind = OME_COMMAND_KIND_ORDER_TERMS;
        record->participant = command->participant;
        record->session = command->session;
        record->flags = i + 1 < flow->terms_count ? OME_COMMAND_FLAGS_CONTINUED : 0;
    }
    command->flags |= count > 0 ? OME_COMMAND_FLAGS_CONTINUED : 0;
}

static inline void flow_new_special(flow_t *flow, ome_command_t *command)
{
    ome_command_t terms[2] = {{.sequence = 0}};
    command->order_type = (uint8_t)(flow_one_in(flow, 2) ? OME_ORDER_TYPE_LIMIT : OME_ORDER_TYPE_LIMIT + flow_below(flow, 6));
    command->time_in_force = (uint8_t)(flow_one_in(flow, 2) ? OME_TIME_IN_FORCE_GTC : OME_TIME_IN_FORCE_GTC + flow_below(flow, 5));
    if (command->order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT)
    {
        command->price = (int64_t)flow_below(flow, 9) - 4;
    }
    if (flow_has_limit(command->order_type) && flow_one_in(flow, 4))
    {
        command->flags |= OME_COMMAND_FLAGS_HIDDEN;
    }
    const bool would_rest = command->time_in_force != OME_TIME_IN_FORCE_IOC && command->time_in_force != OME_TIME_IN_FORCE_FOK;
    if (flow_has_limit(command->order_type) && would_rest && flow_one_in(flow, 6))
    {
        command->flags |= OME_COMMAND_FLAGS_POST_ONLY;
    }
    if (flow_one_in(flow, 3))
    {
        command->self_trade_prevention = (uint8_t)(1 + flow_below(flow, 4));
        command->self_trade_scope = (uint8_t)flow_below(flow, 3);
    }
    flow_continue(flow, command, terms, flow_new_terms(flow, command, terms));
}

static inline void flow_amend_special(flow_t *flow, ome_command_t *command)
{
    ome_command_t terms[2] = {{.sequence = 0}};
    uint32_t count = 0;
    if (flow_one_in(flow, 2))
    {
        flow_add_term(terms, &count, OME_TERM_STOP_PRICE, 1000 + flow_below(flow, flow->price_count));
    }
    if (flow_one_in(flow, 2))
    {
        flow_add_term(terms, &count, OME_TERM_NEW_CLIENT_ORDER_ID, 1 + flow_below(flow, flow->order_id_count));
    }
    flow_continue(flow, command, terms, count);
}

static inline void flow_many(flow_t *flow, ome_command_t *command)
{
    command->instrument = flow_below(flow, flow->instrument_count + 1);
    switch (flow_below(flow, 3))
    {
    case 0:
        command->kind = OME_COMMAND_KIND_MASS_CANCEL;
        command->side = (uint8_t)flow_below(flow, 3);
        command->account = flow_below(flow, 4);
        command->target_session = command->session;
        command->flags = (uint16_t)(flow_one_in(flow, 2) ? OME_COMMAND_FLAGS_BY_ACCOUNT : OME_COMMAND_FLAGS_BY_SESSION);
        command->flags |= command->session == 0 && flow_one_in(flow, 2) ? OME_COMMAND_FLAGS_ANY_PARTICIPANT : 0;
        break;
    case 1:
        command->kind = OME_COMMAND_KIND_EXPIRE_ORDERS;
        command->cutoff_ns = flow->timestamp_ns + flow_below(flow, 30);
        command->flags = flow_one_in(flow, 3) ? OME_COMMAND_FLAGS_END_OF_DAY : 0;
        break;
    default:
        command->kind = OME_COMMAND_KIND_SET_LAST_PRICE;
        command->price = 1000 + flow_below(flow, flow->price_count);
        break;
    }
}

static inline ome_command_t flow_next(flow_t *flow)
{
    ome_command_t command = {.timestamp_ns = ++flow->timestamp_ns};
    if (flow->terms_count > 0)
    {
        command = flow->terms[--flow->terms_count];
        command.timestamp_ns = flow->timestamp_ns;
        return command;
    }
    const uint32_t kind = flow_below(flow, 100);
    const uint32_t participant = flow->participant_count > 0 ? 1 + flow_below(flow, flow->participant_count) : 0;
    command.participant = (uint16_t)participant;
    command.session = (uint16_t)participant;
    if (flow->has_specials && flow_one_in(flow, 60))
    {
        flow_many(flow, &command);
        return command;
    }
    if (kind < 55)
    {
        flow_new_order(flow, &command);
    }
    else if (kind < 72)
    {
        command.kind = OME_COMMAND_KIND_CANCEL_ORDER;
    }
    else if (kind < 82)
    {
        command.kind = OME_COMMAND_KIND_REDUCE_ORDER;
        command.quantity = 1 + (int64_t)flow_below(flow, 20) - (flow->has_specials && flow_one_in(flow, 20) ? 1 : 0);
    }
    else
    {
        command.kind = OME_COMMAND_KIND_AMEND_ORDER;
        command.price = flow_below(flow, 2) == 0 ? OME_NULL_VALUE : (int64_t)(1000 + flow_below(flow, flow->price_count));
        command.quantity = flow_below(flow, 3) == 0 ? OME_NULL_VALUE : (int64_t)flow_below(flow, 60);
        command.flags = flow_below(flow, 2) == 0 ? 0 : OME_COMMAND_FLAGS_OPEN_QUANTITY;
    }
    command.client_order_id = flow_below(flow, 16) == 0 ? 0 : 1 + flow_below(flow, flow->order_id_count);
    if (kind >= 55 && flow_below(flow, 4) == 0)
    {
        command.flags |= OME_COMMAND_FLAGS_BY_ORDER_ID;
        command.client_order_id = (uint64_t)(1 + flow_below(flow, 30)) << 32 | flow_below(flow, 200);
    }
    if (flow->has_specials && command.kind != OME_COMMAND_KIND_NEW_ORDER && flow_one_in(flow, 20))
    {
        command.instrument = 1 + flow_below(flow, flow->instrument_count);
    }
    if (flow->has_specials && command.kind == OME_COMMAND_KIND_NEW_ORDER && flow_below(flow, 3) != 0)
    {
        flow_new_special(flow, &command);
    }
    if (flow->has_specials && command.kind == OME_COMMAND_KIND_AMEND_ORDER && flow_one_in(flow, 4))
    {
        flow_amend_special(flow, &command);
    }
    if (flow_below(flow, 50) == 0)
    {
        flow_spoil(flow, &command);
        if (flow->has_specials)
        {
            command.timestamp_ns = flow->timestamp_ns; /* otherwise the first far future would end every deadline */
        }
        if (!flow->has_specials && (command.kind == OME_COMMAND_KIND_NEW_ORDER || command.kind == OME_COMMAND_KIND_AMEND_ORDER))
        {
            /* In a flow without terms each command says something at once. */
            command.flags &= (uint16_t)~OME_COMMAND_FLAGS_CONTINUED;
        }
    }
    return command;
}

#endif
