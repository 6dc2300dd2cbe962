/* The public face: every function of ome.h, and every status that its comment promises. Includes ome.h and nothing of the engine's own, as an embedder does. */
#define _GNU_SOURCE

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include "abi/ome_limits.h"
#include "ome.h"
#include "ome_test.h"

#define EVENT_COUNT_MAX 64u

static uint64_t seed;

static const ome_limits_t standard_limits = {.order_count_max = 256,
    .level_count_max = 64,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 64};

/* ---- a market and its commands ---- */

typedef struct
{
    ome_engine_t *engine;
    ome_batch_t *batch;
    ome_event_t events[EVENT_COUNT_MAX]; /* of the last command */
    uint64_t event_count;
} market_t;

static void apply(market_t *market, const ome_command_t *commands, uint64_t count)
{
    ome_batch_apply(market->batch, market->engine, commands, count);
    market->event_count = ome_batch_event_count(market->batch);
    CHECK(market->event_count <= EVENT_COUNT_MAX);
    memcpy(market->events, ome_batch_events(market->batch), market->event_count * sizeof(ome_event_t));
    CHECK(ome_engine_check(market->engine) == NULL);
}

/* Applies commands that must give one event of this kind. */
static void apply_one(market_t *market, const ome_command_t *commands, uint64_t count, uint8_t kind, uint8_t reason)
{
    apply(market, commands, count);
    CHECK_EQUAL(market->event_count, 1);
    CHECK_EQUAL(market->events[0].kind, kind);
    CHECK_EQUAL(market->events[0].reason, reason);
}

static ome_command_t define_instrument(uint32_t number, const char *symbol, int64_t tick, uint16_t flags)
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

static ome_command_t define_session(uint16_t session, uint16_t participant, const char *name, uint16_t session_number)
{
    ome_command_t command = {
        .kind = OME_COMMAND_KIND_DEFINE_SESSION, .session = session, .participant = participant, .session_number = session_number};
    memcpy(command.participant_name, name, strlen(name));
    return command;
}

static ome_command_t limit_order(uint64_t client_order_id, uint8_t side, int64_t quantity, int64_t price)
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

static ome_command_t typed_order(uint64_t client_order_id, uint8_t side, int64_t quantity, int64_t price, uint8_t order_type)
{
    ome_command_t order = limit_order(client_order_id, side, quantity, price);
    order.order_type = order_type;
    return order;
}

static ome_command_t cancel_order(uint64_t client_order_id)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = client_order_id};
}

/* The order and a record with two terms of it; the second may be none. */
typedef struct
{
    ome_command_t records[2];
} long_order_t;

static long_order_t with_terms(ome_command_t order, uint8_t term_1, int64_t value_1, uint8_t term_2, int64_t value_2)
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

static long_order_t with_term(ome_command_t order, uint8_t term, int64_t value)
{
    return with_terms(order, term, value, OME_TERM_NONE, 0);
}

/* Instrument 1 has tick 5, instrument 2 tick 1 and signed prices; sessions 1 and 2 are participants 1 and 2. */
static market_t market_of(const ome_limits_t *limits)
{
    market_t market = {0};
    CHECK_EQUAL(ome_engine_create(limits, &market.engine), OME_OK);
    CHECK_EQUAL(ome_batch_create(&market.batch), OME_OK);
    return market;
}

static market_t market_new(void)
{
    market_t market = market_of(&standard_limits);
    const ome_command_t definitions[] = {define_instrument(1, "ONE", 5, 0),
        define_instrument(2, "TWO", 1, OME_INSTRUMENT_FLAGS_SIGNED_PRICES), define_session(1, 1, "A", 0), define_session(2, 2, "B", 7)};
    apply(&market, definitions, 4);
    CHECK_EQUAL(market.event_count, 4);
    CHECK_EQUAL(market.events[3].kind, OME_EVENT_KIND_DEFINED);
    return market;
}

static void market_end(market_t *market)
{
    ome_batch_destroy(market->batch);
    ome_engine_destroy(market->engine);
}

static void enter(market_t *market, ome_command_t order)
{
    apply(market, &order, 1);
    CHECK_EQUAL(market->events[0].kind, OME_EVENT_KIND_ACCEPTED);
}

static void enter_long(market_t *market, long_order_t order)
{
    apply(market, order.records, 2);
    CHECK_EQUAL(market->events[0].kind, OME_EVENT_KIND_ACCEPTED);
}

static ome_order_view_t view(const market_t *market, uint64_t client_order_id)
{
    ome_order_view_t order;
    CHECK_EQUAL(ome_engine_client_order(market->engine, 0, client_order_id, &order), OME_OK);
    return order;
}

/* ---- a flow ---- */

static uint64_t below(uint64_t *random, uint64_t count)
{
    return test_random(random) % count;
}

/* Definitions, then orders of every kind near one price, of one record and of two. Returns how many records; `commands` has room for one more than `count`. */
static uint64_t flow(ome_command_t *commands, uint64_t count)
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

static void keeper_take(keeper_t *keeper)
{
    const uint64_t count = (uint64_t)(keeper->sink.next - keeper->window);
    CHECK(keeper->kept_count + count <= KEPT_COUNT_MAX);
    memcpy(keeper->kept + keeper->kept_count, keeper->window, count * sizeof(ome_event_t));
    keeper->kept_count += count;
    keeper->sink.next = keeper->window;
}

static void keeper_flush(ome_sink_t *sink)
{
    CHECK(sink->next == sink->end);
    keeper_t *keeper = (keeper_t *)sink;
    keeper->flush_count++;
    keeper_take(keeper);
}

static void keeper_start(keeper_t *keeper, uint32_t window_count)
{
    *keeper = (keeper_t){.kept = calloc(KEPT_COUNT_MAX, sizeof(ome_event_t))};
    CHECK(keeper->kept != NULL);
    keeper->sink = (ome_sink_t){.next = keeper->window, .end = keeper->window + window_count, .flush = keeper_flush};
}

/* ---- making an engine ---- */

static uint32_t *limit_at(ome_limits_t *limits, uint32_t index)
{
    uint32_t *const values[] = {&limits->order_count_max, &limits->level_count_max, &limits->instrument_count_max,
        &limits->session_count_max, &limits->special_count_max};
    return values[index];
}

/* Each limit has a lowest and a highest value; what is outside has no size, and no engine is made. */
static void limits_out_of_range_make_no_engine(void)
{
    static const uint32_t highest[] = {
        OME_ORDER_COUNT_MAX, OME_LEVEL_COUNT_MAX, OME_INSTRUMENT_COUNT_MAX, OME_SESSION_COUNT_MAX, OME_ORDER_COUNT_MAX};
    void *const memory = aligned_alloc(64, 4096);
    CHECK(memory != NULL);
    for (uint32_t i = 0; i < 5; i++)
    {
        for (uint32_t is_above = 0; is_above < 2; is_above++)
        {
            ome_limits_t limits = standard_limits;
            *limit_at(&limits, i) = is_above ? highest[i] : i < 4 ? 1 : 0;
            CHECK(ome_engine_size_bytes(&limits) > 0);
            if (i == 4 && !is_above)
            {
                continue; /* none below 0 */
            }
            *limit_at(&limits, i) = is_above ? highest[i] + 1 : 0;
            CHECK_EQUAL(ome_engine_size_bytes(&limits), 0);
            ome_engine_t *engine = NULL;
            CHECK_EQUAL(ome_engine_create(&limits, &engine), OME_INVALID);
            CHECK(engine == NULL);
            CHECK_EQUAL(ome_engine_init(&engine, memory, 4096, &limits), OME_INVALID);
            CHECK(engine == NULL);
        }
    }
    free(memory);
}

/* In memory of the caller: exactly so many bytes are enough, one less is not, and it has to be aligned. */
static void an_engine_lives_in_memory_that_it_is_given(void)
{
    const uint64_t size_bytes = ome_engine_size_bytes(&standard_limits);
    const uint64_t block_bytes = (size_bytes + 63) / 64 * 64 + 64;
    uint8_t *const memory = aligned_alloc(64, block_bytes);
    CHECK(memory != NULL);
    memset(memory, 0, block_bytes);
    memset(memory + size_bytes, 0xA5, block_bytes - size_bytes);
    ome_engine_t *engine = NULL;
    CHECK_EQUAL(ome_engine_init(&engine, memory, size_bytes - 1, &standard_limits), OME_NO_MEMORY);
    CHECK(engine == NULL);
    CHECK_EQUAL(ome_engine_init(&engine, memory + 8, size_bytes, &standard_limits), OME_INVALID);
    CHECK(engine == NULL);
    CHECK_EQUAL(ome_engine_init(&engine, memory, size_bytes, &standard_limits), OME_OK);
    CHECK(engine != NULL);
    keeper_t keeper;
    keeper_start(&keeper, WINDOW_COUNT_MAX);
    ome_command_t commands[2001];
    ome_engine_apply_many(engine, commands, flow(commands, 2000), &keeper.sink);
    CHECK(ome_engine_check(engine) == NULL);
    /* The same as in memory of its own. */
    market_t market = market_of(&standard_limits);
    ome_batch_apply(market.batch, market.engine, commands, flow(commands, 2000));
    CHECK_EQUAL(ome_engine_state_hash(engine), ome_engine_state_hash(market.engine));
    market_end(&market);
    for (uint64_t i = size_bytes; i < block_bytes; i++)
    {
        CHECK_EQUAL(memory[i], 0xA5);
    }
    free(keeper.kept);
    free(memory);
}

/* Where the system grants no memory that is a status. */
static void an_engine_that_no_memory_can_be_had_for_is_told(void)
{
    struct rlimit before;
    CHECK_EQUAL(getrlimit(RLIMIT_AS, &before), 0);
    const struct rlimit none = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
    const ome_limits_t limits = {1u << 24, 1u << 20, 16, 16, 1u << 20};
    ome_engine_t *engine = NULL;
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &none), 0);
    const ome_status_t status = ome_engine_create(&limits, &engine);
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &before), 0);
    CHECK_EQUAL(status, OME_NO_MEMORY);
    CHECK(engine == NULL);
}

/* There is nothing to free in NULL. */
static void nothing_may_be_destroyed(void)
{
    ome_engine_destroy(NULL);
    ome_batch_destroy(NULL);
}

/* ---- limits ---- */

static void check_is_refused(market_t *market, const ome_command_t *commands, uint64_t count, uint8_t reason)
{
    ome_depth_t before[8];
    ome_depth_t after[8];
    const uint32_t level_count = ome_engine_levels(market->engine, 1, OME_SIDE_BUY, 8, before);
    apply_one(market, commands, count, OME_EVENT_KIND_REJECTED, reason);
    CHECK_EQUAL(ome_engine_levels(market->engine, 1, OME_SIDE_BUY, 8, after), level_count);
    CHECK_BYTES_EQUAL(before, after, level_count * sizeof(ome_depth_t));
}

/* A limit that is reached is a rejection; what lives goes on, and when something ends there is room again. */
static void a_limit_reached_is_a_rejection_and_nothing_is_lost(void)
{
    const ome_limits_t limits = {
        .order_count_max = 3, .level_count_max = 2, .instrument_count_max = 1, .session_count_max = 1, .special_count_max = 1};
    market_t market = market_of(&limits);
    const ome_command_t definitions[] = {define_instrument(1, "ONE", 5, 0), define_session(1, 1, "A", 0)};
    apply(&market, definitions, 2);
    const ome_command_t instrument = define_instrument(2, "TWO", 5, 0);
    const ome_command_t session = define_session(2, 1, "A", 1);
    check_is_refused(&market, &instrument, 1, OME_REASON_BAD_DEFINITION);
    check_is_refused(&market, &session, 1, OME_REASON_BAD_DEFINITION);
    enter(&market, limit_order(1, OME_SIDE_BUY, 10, 100));
    enter(&market, limit_order(2, OME_SIDE_BUY, 10, 105));
    ome_command_t order = limit_order(3, OME_SIDE_BUY, 10, 110);
    check_is_refused(&market, &order, 1, OME_REASON_LEVEL_LIMIT_REACHED);
    enter_long(&market, with_term(limit_order(3, OME_SIDE_BUY, 10, 105), OME_TERM_DISPLAY_QUANTITY, 4));
    order = limit_order(4, OME_SIDE_BUY, 10, 105);
    check_is_refused(&market, &order, 1, OME_REASON_ORDER_LIMIT_REACHED);
    ome_engine_status_t status;
    ome_engine_status(market.engine, &status);
    CHECK_EQUAL(status.level_count, 2);
    CHECK_EQUAL(status.special_count, 1);
    order = cancel_order(1);
    apply_one(&market, &order, 1, OME_EVENT_KIND_CANCELLED, OME_REASON_REQUESTED);
    const long_order_t special = with_term(limit_order(4, OME_SIDE_BUY, 10, 105), OME_TERM_DISPLAY_QUANTITY, 4);
    check_is_refused(&market, special.records, 2, OME_REASON_SPECIAL_LIMIT_REACHED);
    enter(&market, limit_order(4, OME_SIDE_BUY, 10, 110));
    order = cancel_order(3);
    apply(&market, &order, 1);
    enter_long(&market, with_term(limit_order(3, OME_SIDE_BUY, 10, 105), OME_TERM_DISPLAY_QUANTITY, 4));
    ome_depth_t levels[3];
    CHECK_EQUAL(ome_engine_levels(market.engine, 1, OME_SIDE_BUY, 3, levels), 2);
    CHECK_EQUAL(levels[0].quantity, 10);
    CHECK_EQUAL(levels[1].quantity, 14);
    CHECK_EQUAL(levels[1].order_count, 2);
    market_end(&market);
}

/* With a special_count_max of 0 an engine takes no special order, and every other. */
static void an_engine_without_special_orders_refuses_each(void)
{
    ome_limits_t limits = standard_limits;
    limits.special_count_max = 0;
    market_t market = market_of(&limits);
    const ome_command_t definition = define_instrument(1, "ONE", 5, 0);
    apply(&market, &definition, 1);
    const long_order_t iceberg = with_term(limit_order(1, OME_SIDE_BUY, 10, 100), OME_TERM_DISPLAY_QUANTITY, 4);
    const long_order_t stop = with_term(typed_order(1, OME_SIDE_BUY, 10, 0, OME_ORDER_TYPE_STOP), OME_TERM_STOP_PRICE, 100);
    check_is_refused(&market, iceberg.records, 2, OME_REASON_SPECIAL_LIMIT_REACHED);
    check_is_refused(&market, stop.records, 2, OME_REASON_SPECIAL_LIMIT_REACHED);
    ome_command_t hidden = limit_order(1, OME_SIDE_BUY, 10, 100);
    hidden.flags = OME_COMMAND_FLAGS_HIDDEN;
    enter(&market, hidden);
    enter_long(&market, with_term(limit_order(2, OME_SIDE_BUY, 10, 100), OME_TERM_MINIMUM_QUANTITY, 1));
    market_end(&market);
}

/* ---- applying ---- */

/* However the commands are cut into calls, and whatever the window, a sink gets the events that a batch keeps; what no flush took is in the window. */
static void a_sink_gets_the_same_events_as_a_batch(void)
{
    static ome_command_t commands[3001];
    const uint64_t count = flow(commands, 3000);
    market_t market = market_of(&standard_limits);
    ome_batch_apply(market.batch, market.engine, commands, count);
    const uint64_t event_count = ome_batch_event_count(market.batch);
    CHECK(event_count > count / 2 && event_count <= KEPT_COUNT_MAX);
    static const uint32_t windows[] = {1, 2, 7, WINDOW_COUNT_MAX};
    for (uint32_t i = 0; i < 4; i++)
    {
        ome_engine_t *engine = NULL;
        CHECK_EQUAL(ome_engine_create(&standard_limits, &engine), OME_OK);
        keeper_t keeper;
        keeper_start(&keeper, windows[i]);
        uint64_t random = seed + i;
        for (uint64_t done = 0; done < count;)
        {
            const uint64_t part = below(&random, 40);
            const uint64_t left = count - done;
            const uint64_t now = part < left ? part : left;
            if (now == 1)
            {
                ome_engine_apply(engine, &commands[done], &keeper.sink);
            }
            else
            {
                ome_engine_apply_many(engine, &commands[done], now, &keeper.sink);
            }
            CHECK(keeper.sink.next < keeper.sink.end);
            done += now;
        }
        CHECK_EQUAL(keeper.flush_count, event_count / windows[i]);
        keeper_take(&keeper);
        CHECK_EQUAL(keeper.kept_count, event_count);
        CHECK_BYTES_EQUAL(keeper.kept, ome_batch_events(market.batch), event_count * sizeof(ome_event_t));
        CHECK_EQUAL(ome_engine_state_hash(engine), ome_engine_state_hash(market.engine));
        free(keeper.kept);
        ome_engine_destroy(engine);
    }
    market_end(&market);
}

/* A flush may give another window instead of emptying the one that is full. */
static ome_event_t windows_in_a_row[4][2];
static uint32_t window_index;

static void flush_to_the_next_window(ome_sink_t *sink)
{
    window_index++;
    CHECK(window_index < 4);
    sink->next = windows_in_a_row[window_index];
    sink->end = windows_in_a_row[window_index] + 2;
}

static void a_flush_may_give_another_window(void)
{
    market_t market = market_new();
    ome_sink_t sink = {.next = windows_in_a_row[0], .end = windows_in_a_row[0] + 2, .flush = flush_to_the_next_window};
    ome_command_t orders[5];
    for (uint32_t i = 0; i < 5; i++)
    {
        orders[i] = limit_order(i + 1, OME_SIDE_BUY, 1, 100);
    }
    ome_engine_apply_many(market.engine, orders, 5, &sink);
    CHECK_EQUAL(window_index, 2);
    CHECK(sink.next == windows_in_a_row[2] + 1);
    for (uint32_t i = 0; i < 5; i++)
    {
        CHECK_EQUAL(windows_in_a_row[i / 2][i % 2].client_order_id, i + 1);
    }
    market_end(&market);
}

/* A buffer of any size gets every event once, in order; then there are none. */
static void a_buffer_of_any_size_gets_every_event(void)
{
    static ome_command_t commands[8001];
    static ome_event_t buffer[KEPT_COUNT_MAX];
    const uint64_t count = flow(commands, 8000);
    market_t market = market_of(&standard_limits);
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 10), 0);
    ome_batch_apply(market.batch, market.engine, commands, count);
    const uint64_t event_count = ome_batch_event_count(market.batch);
    CHECK(event_count > 5000 && event_count <= KEPT_COUNT_MAX); /* the store has grown */
    CHECK_EQUAL(ome_batch_take(market.batch, NULL, 0), 0);
    uint64_t random = seed;
    uint64_t taken = 0;
    while (taken < event_count)
    {
        const uint64_t room = 1 + below(&random, 300);
        const uint64_t got = ome_batch_take(market.batch, buffer + taken, room);
        CHECK_EQUAL(got, room < event_count - taken ? room : event_count - taken);
        taken += got;
    }
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 10), 0);
    CHECK_BYTES_EQUAL(buffer, ome_batch_events(market.batch), event_count * sizeof(ome_event_t));
    for (uint64_t i = 1; i < event_count; i++)
    {
        CHECK(buffer[i].sequence >= buffer[i - 1].sequence);
    }
    /* The next call forgets them, also those that were not taken. */
    const ome_command_t refused[] = {cancel_order(UINT64_MAX), cancel_order(UINT64_MAX)};
    ome_batch_apply(market.batch, market.engine, refused, 2);
    CHECK_EQUAL(ome_batch_event_count(market.batch), 2);
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 1), 1);
    CHECK_EQUAL(buffer[0].sequence, count + 1);
    ome_batch_apply(market.batch, market.engine, NULL, 0);
    CHECK_EQUAL(ome_batch_event_count(market.batch), 0);
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 1), 0);
    market_end(&market);
}

/* Commands may lie anywhere, and be cut anywhere, also between the records of one command; the hash of events does not depend on it. */
static void commands_may_lie_and_be_cut_anywhere(void)
{
    static ome_command_t commands[3001];
    static uint8_t bytes[sizeof(commands) + 8];
    const uint64_t count = flow(commands, 3000);
    market_t market = market_of(&standard_limits);
    const uint64_t start_hash = ome_batch_event_hash(market.batch);
    ome_batch_apply(market.batch, market.engine, commands, count);
    CHECK(ome_batch_event_hash(market.batch) != start_hash);
    for (uint32_t shift = 0; shift < 8; shift++)
    {
        market_t other = market_of(&standard_limits);
        CHECK_EQUAL(ome_batch_event_hash(other.batch), start_hash);
        memcpy(bytes + shift, commands, count * sizeof(ome_command_t));
        uint64_t random = seed + shift;
        for (uint64_t done = 0; done < count;)
        {
            const uint64_t part = 1 + below(&random, 60);
            const uint64_t now = part < count - done ? part : count - done;
            ome_batch_apply(other.batch, other.engine, bytes + shift + done * sizeof(ome_command_t), now);
            done += now;
        }
        CHECK_EQUAL(ome_batch_event_hash(other.batch), ome_batch_event_hash(market.batch));
        CHECK_EQUAL(ome_engine_state_hash(other.engine), ome_engine_state_hash(market.engine));
        market_end(&other);
    }
    market_end(&market);
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

/* Best, depth at a price and levels tell what is displayed, and why they cannot. */
static void best_depth_and_levels_tell_what_is_displayed(void)
{
    market_t market = market_new();
    const ome_engine_t *engine = market.engine;
    ome_depth_t depth;
    CHECK_EQUAL(ome_engine_best(engine, 1, OME_SIDE_BUY, &depth), OME_EMPTY);
    enter(&market, limit_order(1, OME_SIDE_BUY, 10, 100));
    enter(&market, limit_order(2, OME_SIDE_BUY, 20, 105));
    enter(&market, limit_order(3, OME_SIDE_BUY, 30, 105));
    enter(&market, limit_order(4, OME_SIDE_SELL, 40, 115));
    CHECK_EQUAL(ome_engine_best(engine, 1, OME_SIDE_BUY, &depth), OME_OK);
    CHECK_EQUAL(depth.price, 105);
    CHECK_EQUAL(depth.quantity, 50);
    CHECK_EQUAL(depth.order_count, 2);
    CHECK_EQUAL(ome_engine_best(engine, 1, OME_SIDE_SELL, &depth), OME_OK);
    CHECK_EQUAL(depth.price, 115);
    CHECK_EQUAL(depth.quantity, 40);
    CHECK_EQUAL(depth.order_count, 1);
    CHECK_EQUAL(ome_engine_best(engine, 2, OME_SIDE_BUY, &depth), OME_EMPTY);
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
    /* An order without a client order id is found by its own id only. */
    enter(&market, limit_order(0, OME_SIDE_BUY, 1, 100));
    CHECK_EQUAL(ome_engine_client_order(market.engine, 0, 0, &order), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_order(market.engine, market.events[0].order_id, &order), OME_OK);
    CHECK_EQUAL(order.client_order_id, 0);
    market_end(&market);
}

/* What is special of an order at rest: its peak and what of it is displayed, its deadline, its group; or that it is hidden. */
static void the_account_of_an_order_that_rested_is_told_until_the_next_order(void)
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
        .special_count_max = 0};
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

static void rows_of_events_have_one_meaning_for_each_field(void)
{
    market_t market = market_new();
    ome_command_t maker = limit_order(1, OME_SIDE_SELL, 10, 120);
    maker.account = 33;
    maker.timestamp_ns = 5;
    ome_command_t taker = limit_order(2, OME_SIDE_BUY, 4, 120);
    taker.account = 44;
    taker.timestamp_ns = 6;
    const ome_command_t cancel_unknown = {.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = 9, .instrument = 1};
    const ome_command_t mass_cancel = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .timestamp_ns = 7};
    const ome_command_t commands[] = {maker, taker, cancel_unknown, mass_cancel};
    apply(&market, commands, 4);
    CHECK_EQUAL(market.event_count, 6); /* ACCEPTED, ACCEPTED, TRADE, REJECTED, CANCELLED, COMPLETED */
    uint8_t memory[6 * sizeof(ome_event_row_t) + 1];
    ome_event_rows(ome_batch_events(market.batch), 6, memory + 1);
    ome_event_row_t rows[6];
    memcpy(rows, memory + 1, sizeof(rows));
    CHECK_EQUAL(rows[0].kind, OME_EVENT_KIND_ACCEPTED);
    CHECK_EQUAL(rows[0].flags, OME_EVENT_FLAGS_RESTS);
    CHECK_EQUAL(rows[0].command_kind, 0);
    CHECK_EQUAL(rows[0].resting_order_id, 0);
    CHECK_EQUAL(rows[0].order_count, 0);
    CHECK_EQUAL(rows[0].timestamp_ns, 5);
    CHECK_EQUAL(rows[2].kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(rows[2].timestamp_ns, 6);
    CHECK_EQUAL(rows[2].account, 44);
    CHECK_EQUAL(rows[2].quantity, 4);
    CHECK_EQUAL(rows[2].order_id, rows[1].order_id);
    CHECK_EQUAL(rows[2].resting_order_id, rows[0].order_id);
    CHECK_EQUAL(rows[2].resting_client_order_id, 1);
    CHECK_EQUAL(rows[3].kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(rows[3].command_kind, OME_COMMAND_KIND_CANCEL_ORDER);
    CHECK_EQUAL(rows[3].flags, 0);
    CHECK_EQUAL(rows[3].price, OME_NULL_VALUE);
    CHECK_EQUAL(rows[3].quantity, OME_NULL_VALUE);
    CHECK_EQUAL(rows[3].client_order_id, 9);
    CHECK_EQUAL(rows[5].kind, OME_EVENT_KIND_COMPLETED);
    CHECK_EQUAL(rows[5].order_count, 1);
    CHECK_EQUAL(rows[5].timestamp_ns, 7);
    CHECK_EQUAL(rows[5].price, OME_NULL_VALUE);
    CHECK_EQUAL(rows[5].quantity, OME_NULL_VALUE);
    const ome_event_t alone = market.events[2];
    ome_event_rows(&alone, 1, &rows[0]); /* without the event that tells the aggressor's owner */
    CHECK_EQUAL(rows[0].timestamp_ns, 0);
    CHECK_EQUAL(rows[0].account, 0);
    CHECK_EQUAL(rows[0].order_id, alone.order_id);
    market_end(&market);
}

static void a_special_order_at_rest_tells_its_terms(void)
{
    market_t market = market_new();
    enter_long(&market, with_term(limit_order(1, OME_SIDE_SELL, 100, 120), OME_TERM_DISPLAY_QUANTITY, 30));
    ome_command_t taker = limit_order(2, OME_SIDE_BUY, 35, 120);
    taker.time_in_force = OME_TIME_IN_FORCE_IOC;
    apply(&market, &taker, 1);
    ome_order_view_t order = view(&market, 1);
    CHECK_EQUAL(order.leaves_quantity, 65);
    CHECK_EQUAL(order.displayed_quantity, 25);
    CHECK_EQUAL(order.peak_quantity, 30);
    CHECK_EQUAL(order.cumulative_quantity, 35);
    CHECK_EQUAL(order.is_waiting, 0);
    CHECK_EQUAL(order.is_hidden, 0);
    CHECK_EQUAL(order.stop_price, 0);
    CHECK_EQUAL(order.deadline_ns, 0);
    ome_command_t dated = limit_order(3, OME_SIDE_SELL, 10, 125);
    dated.time_in_force = OME_TIME_IN_FORCE_GTD;
    dated.self_trade_prevention = OME_SELF_TRADE_PREVENTION_CANCEL_BOTH;
    dated.self_trade_scope = OME_SELF_TRADE_SCOPE_GROUP;
    enter_long(&market, with_terms(dated, OME_TERM_EXPIRE_TIME, 1000, OME_TERM_SELF_TRADE_GROUP, 77));
    order = view(&market, 3);
    CHECK_EQUAL(order.deadline_ns, 1000);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_GTD);
    CHECK_EQUAL(order.self_trade_group, 77);
    CHECK_EQUAL(order.self_trade_prevention, OME_SELF_TRADE_PREVENTION_CANCEL_BOTH);
    CHECK_EQUAL(order.self_trade_scope, OME_SELF_TRADE_SCOPE_GROUP);
    CHECK_EQUAL(order.displayed_quantity, 10);
    CHECK_EQUAL(order.peak_quantity, 0);
    ome_command_t hidden = limit_order(4, OME_SIDE_SELL, 10, 130);
    hidden.flags = OME_COMMAND_FLAGS_HIDDEN;
    enter(&market, hidden);
    order = view(&market, 4);
    CHECK_EQUAL(order.is_hidden, 1);
    CHECK_EQUAL(order.displayed_quantity, 0);
    CHECK_EQUAL(order.leaves_quantity, 10);
    CHECK_EQUAL(order.time_in_force, OME_TIME_IN_FORCE_GTC);
    market_end(&market);
}

/* What waits tells its stop price, its limit or distance, and how it trails; when it has triggered it is an order like others. */
static void a_waiting_order_tells_its_stop(void)
{
    market_t market = market_new();
    const ome_command_t last = {.kind = OME_COMMAND_KIND_SET_LAST_PRICE, .instrument = 1, .price = 100};
    apply(&market, &last, 1);
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
    enter_long(&market, with_term(typed_order(2, OME_SIDE_SELL, 10, -5, OME_ORDER_TYPE_TRAILING_STOP_LIMIT), OME_TERM_TRAIL_AMOUNT, 20));
    order = view(&market, 2);
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
    const ome_command_t up = {.kind = OME_COMMAND_KIND_SET_LAST_PRICE, .instrument = 1, .price = 120};
    apply(&market, &up, 1);
    CHECK_EQUAL(view(&market, 2).stop_price, 100);
    CHECK_EQUAL(view(&market, 3).stop_price, 105); /* they trail */
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

static void check_ids(const ome_order_view_t *orders, uint32_t count, const uint64_t *ids, uint32_t id_count)
{
    CHECK_EQUAL(count, id_count);
    for (uint32_t i = 0; i < count; i++)
    {
        CHECK_EQUAL(orders[i].client_order_id, ids[i]);
    }
}

/* Orders are listed as they would trade, displayed before hidden; those that wait as they would trigger. */
static void orders_are_listed_in_priority(void)
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
    static const int64_t stop_prices[] = {130, 120, 125, 120};
    for (uint32_t i = 0; i < 4; i++)
    {
        const ome_command_t buy = typed_order(11 + i, OME_SIDE_BUY, 1, 0, OME_ORDER_TYPE_STOP);
        const ome_command_t sell = typed_order(21 + i, OME_SIDE_SELL, 1, 0, OME_ORDER_TYPE_STOP);
        enter_long(&market, with_term(buy, OME_TERM_STOP_PRICE, stop_prices[i]));
        enter_long(&market, with_term(sell, OME_TERM_STOP_PRICE, stop_prices[i] - 60));
    }
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
    static const uint64_t buys[] = {12, 14, 13, 11};
    static const uint64_t sells[] = {21, 23, 22, 24};
    check_ids(orders, ome_engine_waiting_orders(engine, 1, OME_SIDE_BUY, 8, orders), buys, 4);
    CHECK_EQUAL(orders[0].is_waiting, 1);
    CHECK_EQUAL(orders[0].stop_price, 120);
    check_ids(orders, ome_engine_waiting_orders(engine, 1, OME_SIDE_SELL, 8, orders), sells, 4);
    check_ids(orders, ome_engine_waiting_orders(engine, 1, OME_SIDE_SELL, 2, orders), sells, 2);
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

/* ---- definitions and counts ---- */

/* Instruments and sessions tell what they were defined as, and an instrument its last trade price. */
static void definitions_are_told_as_they_were_given(void)
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
    enter(&market, limit_order(1, OME_SIDE_BUY, 10, 100));
    const ome_command_t sell = limit_order(2, OME_SIDE_SELL, 4, 95);
    apply(&market, &sell, 1);
    CHECK_EQUAL(ome_engine_instrument(market.engine, 1, &instrument), OME_OK);
    CHECK_EQUAL(instrument.last_trade_price, 100);
    CHECK_EQUAL(instrument.tick, 5);
    CHECK_BYTES_EQUAL(instrument.symbol, "ONE", 4);
    CHECK_EQUAL(ome_engine_instrument(market.engine, 0, &instrument), OME_NOT_FOUND);
    CHECK_EQUAL(ome_engine_instrument(market.engine, 3, &instrument), OME_NOT_FOUND);
    ome_session_view_t session;
    memset(&session, 0xFF, sizeof(session));
    CHECK_EQUAL(ome_engine_session(market.engine, 2, &session), OME_OK);
    const ome_session_view_t expected_session = {.participant_name = "B", .participant = 2, .session_number = 7};
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

/* The status counts what happened and what is in use, beside the limits. */
static void the_status_counts_what_happened(void)
{
    market_t market = market_new();
    ome_command_t order = limit_order(1, OME_SIDE_BUY, 10, 100);
    order.timestamp_ns = 50;
    enter(&market, order);
    order = limit_order(2, OME_SIDE_SELL, 4, 100);
    order.timestamp_ns = 40;
    apply(&market, &order, 1);
    CHECK_EQUAL(market.event_count, 2);
    enter_long(&market, with_term(limit_order(3, OME_SIDE_SELL, 10, 110), OME_TERM_DISPLAY_QUANTITY, 3));
    CHECK_EQUAL(market.event_count, 2);
    ome_engine_status_t status;
    memset(&status, 0xFF, sizeof(status));
    ome_engine_status(market.engine, &status);
    const ome_engine_status_t expected = {.sequence = 8,
        .time_ns = 50,
        .trade_count = 1,
        .event_count = 9,
        .instrument_count = 2,
        .session_count = 2,
        .participant_count = 2,
        .level_count = 2,
        .special_count = 1,
        .order_count_max = standard_limits.order_count_max,
        .level_count_max = standard_limits.level_count_max,
        .instrument_count_max = standard_limits.instrument_count_max,
        .session_count_max = standard_limits.session_count_max,
        .special_count_max = standard_limits.special_count_max,
        .order_slot_count = 2}; /* the aggressor's was freed and taken again */
    CHECK_BYTES_EQUAL(&status, &expected, sizeof(status));
    market_end(&market);
}

/* Two engines have the same hash as long as they have taken the same commands, and not longer. */
static void the_state_hash_follows_the_commands(void)
{
    market_t market = market_new();
    market_t other = market_new();
    CHECK_EQUAL(ome_engine_state_hash(market.engine), ome_engine_state_hash(other.engine));
    enter_long(&market, with_term(limit_order(1, OME_SIDE_SELL, 10, 110), OME_TERM_DISPLAY_QUANTITY, 3));
    CHECK(ome_engine_state_hash(market.engine) != ome_engine_state_hash(other.engine));
    enter_long(&other, with_term(limit_order(1, OME_SIDE_SELL, 10, 110), OME_TERM_DISPLAY_QUANTITY, 3));
    CHECK_EQUAL(ome_engine_state_hash(market.engine), ome_engine_state_hash(other.engine));
    CHECK_EQUAL(ome_batch_event_hash(market.batch), ome_batch_event_hash(other.batch));
    CHECK(ome_engine_check(market.engine) == NULL);
    market_end(&market);
    market_end(&other);
}

/* ---- other limits ---- */

/* Moved between any two records, to larger limits and back, it goes on as one that was never moved; a batch keeps the events of both. */
static void an_engine_moves_to_other_limits_and_goes_on(void)
{
    static ome_command_t commands[3001];
    const uint64_t count = flow(commands, 3000);
    market_t still = market_of(&standard_limits);
    market_t moved = market_of(&standard_limits);
    const ome_limits_t larger = {100000, 1000, 30, 30, 70000};
    ome_batch_apply(still.batch, still.engine, commands, count);
    ome_batch_apply(moved.batch, moved.engine, NULL, 0);
    uint64_t random = seed;
    for (uint64_t done = 0, part; done < count; done += part)
    {
        part = 1 + below(&random, 40);
        part = part < count - done ? part : count - done;
        ome_batch_append(moved.batch, moved.engine, &commands[done], part);
        const uint64_t hash = ome_engine_state_hash(moved.engine);
        CHECK_EQUAL(ome_engine_resize(&moved.engine, &larger), OME_OK);
        CHECK_EQUAL(ome_engine_state_hash(moved.engine), hash);
        CHECK_EQUAL(ome_engine_resize(&moved.engine, &standard_limits), OME_OK);
        CHECK(ome_engine_check(moved.engine) == NULL);
    }
    CHECK_EQUAL(ome_batch_event_count(moved.batch), ome_batch_event_count(still.batch));
    CHECK_BYTES_EQUAL(
        ome_batch_events(moved.batch), ome_batch_events(still.batch), ome_batch_event_count(still.batch) * sizeof(ome_event_t));
    CHECK_EQUAL(ome_batch_event_hash(moved.batch), ome_batch_event_hash(still.batch));
    CHECK_EQUAL(ome_engine_state_hash(moved.engine), ome_engine_state_hash(still.engine));
    market_end(&still);
    market_end(&moved);
}

/* As many as are in use fit, one less does not, and a limit out of range is none; then nothing has changed. */
static void an_engine_does_not_move_where_something_does_not_fit(void)
{
    static ome_command_t commands[3001];
    const uint64_t count = flow(commands, 3000);
    market_t market = market_of(&standard_limits);
    ome_batch_apply(market.batch, market.engine, commands, count);
    const ome_command_t definitions[] = {define_instrument(2, "TWO", 1, 0), define_session(1, 1, "A", 0), define_session(2, 2, "B", 7)};
    ome_batch_apply(market.batch, market.engine, definitions, 3);
    ome_engine_status_t status;
    ome_engine_status(market.engine, &status);
    const uint32_t used[5] = {
        status.order_slot_count, status.level_count, status.instrument_count, status.session_count, status.special_count};
    const uint64_t hash = ome_engine_state_hash(market.engine);
    const ome_engine_t *const before = market.engine;
    for (uint32_t i = 0; i < 5; i++)
    {
        CHECK(used[i] > 1);
        uint32_t values[5];
        memcpy(values, used, sizeof(values));
        values[i]--;
        ome_limits_t limits = {values[0], values[1], values[2], values[3], values[4]};
        CHECK_EQUAL(ome_engine_resize(&market.engine, &limits), OME_FULL);
        values[i] = UINT32_MAX;
        limits = (ome_limits_t){values[0], values[1], values[2], values[3], values[4]};
        CHECK_EQUAL(ome_engine_resize(&market.engine, &limits), OME_INVALID);
    }
    struct rlimit memory;
    CHECK_EQUAL(getrlimit(RLIMIT_AS, &memory), 0);
    const struct rlimit none = {.rlim_cur = 1 << 20, .rlim_max = memory.rlim_max};
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &none), 0);
    const ome_status_t refused = ome_engine_resize(&market.engine, &standard_limits);
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &memory), 0);
    CHECK_EQUAL(refused, OME_NO_MEMORY);
    CHECK(market.engine == before);
    CHECK_EQUAL(ome_engine_state_hash(market.engine), hash);
    const ome_limits_t least = {used[0], used[1], used[2], used[3], used[4]};
    CHECK_EQUAL(ome_engine_resize(&market.engine, &least), OME_OK);
    CHECK_EQUAL(ome_engine_state_hash(market.engine), hash);
    CHECK(ome_engine_check(market.engine) == NULL);
    market_end(&market);
}

int main(void)
{
    seed = test_seed(20260101);
    RUN(limits_out_of_range_make_no_engine);
    RUN(an_engine_lives_in_memory_that_it_is_given);
    RUN(an_engine_that_no_memory_can_be_had_for_is_told);
    RUN(nothing_may_be_destroyed);
    RUN(a_limit_reached_is_a_rejection_and_nothing_is_lost);
    RUN(an_engine_without_special_orders_refuses_each);
    RUN(a_sink_gets_the_same_events_as_a_batch);
    RUN(a_flush_may_give_another_window);
    RUN(a_buffer_of_any_size_gets_every_event);
    RUN(commands_may_lie_and_be_cut_anywhere);
    RUN(best_depth_and_levels_tell_what_is_displayed);
    RUN(market_data_shows_no_hidden_lots);
    RUN(an_order_is_found_by_either_id_while_it_lives);
    RUN(the_account_of_an_order_that_rested_is_told_until_the_next_order);
    RUN(symbols_are_told_apart_up_to_the_limit);
    RUN(rows_of_events_have_one_meaning_for_each_field);
    RUN(a_special_order_at_rest_tells_its_terms);
    RUN(a_waiting_order_tells_its_stop);
    RUN(orders_are_listed_in_priority);
    RUN(definitions_are_told_as_they_were_given);
    RUN(sessions_are_found_by_numbers_with_gaps);
    RUN(the_status_counts_what_happened);
    RUN(the_state_hash_follows_the_commands);
    RUN(an_engine_moves_to_other_limits_and_goes_on);
    RUN(an_engine_does_not_move_where_something_does_not_fit);
    return 0;
}
