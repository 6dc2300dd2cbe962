/* The public face: making, limiting and moving engines, and the status of one. Includes ome.h only, as an embedder does. */
#include <sys/resource.h>

#include "abi/ome_limits.h"
#include "face_fixture.h"

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
static void an_engine_without_memory_is_refused(void)
{
    struct rlimit before;
    CHECK_EQUAL(getrlimit(RLIMIT_AS, &before), 0);
    const struct rlimit none = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
    const ome_limits_t limits = {1u << 24, 1u << 20, 16, 16, 1u << 20, OME_RULES_VERSION, 0, 0};
    ome_engine_t *engine = NULL;
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &none), 0);
    const ome_status_t status = ome_engine_create(&limits, &engine);
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &before), 0);
    CHECK_EQUAL(status, OME_NO_MEMORY);
    CHECK(engine == NULL);
}

/* There is nothing to free in NULL. */
static void an_engine_that_is_not_there_may_be_destroyed(void)
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
    const ome_limits_t limits = {.order_count_max = 3,
        .level_count_max = 2,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = 1,
        .rules_version = OME_RULES_VERSION};
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

/* ---- definitions and counts ---- */

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
        .rules_version = standard_limits.rules_version,
        .account_count_max = standard_limits.account_count_max,
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
    const ome_limits_t larger = {100000, 1000, 30, 30, 70000, OME_RULES_VERSION, 0, 0};
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
        ome_limits_t limits = {values[0], values[1], values[2], values[3], values[4], OME_RULES_VERSION, 0, 0};
        CHECK_EQUAL(ome_engine_resize(&market.engine, &limits), OME_FULL);
        values[i] = UINT32_MAX;
        limits = (ome_limits_t){values[0], values[1], values[2], values[3], values[4], OME_RULES_VERSION, 0, 0};
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
    const ome_limits_t least = {used[0], used[1], used[2], used[3], used[4], OME_RULES_VERSION, 0, 0};
    CHECK_EQUAL(ome_engine_resize(&market.engine, &least), OME_OK);
    CHECK_EQUAL(ome_engine_state_hash(market.engine), hash);
    CHECK(ome_engine_check(market.engine) == NULL);
    market_end(&market);
}

/* Rules D5 and D7: what a session has moves with the engine; where the version of the rules rises it begins at 0, and it never falls. */
static void a_move_keeps_what_sessions_have(void)
{
    ome_limits_t limits = standard_limits;
    limits.rules_version = 0;
    market_t market = market_of(&limits);
    ome_command_t commands[] = {define_session(1, 1, "A", 0), {.kind = OME_COMMAND_KIND_MASS_CANCEL}};
    commands[0].session_flags = OME_SESSION_FLAGS_CANCEL_ON_LOGOUT;
    commands[1].participant = commands[1].session = 1;
    commands[1].session_sequence = 1;
    for (uint32_t i = 0; i < 3; i++)
    {
        ome_session_view_t view;
        const int counts = i > 0;
        apply(&market, commands, 2);
        CHECK_EQUAL(ome_engine_session(market.engine, 1, &view), OME_OK);
        CHECK_EQUAL(view.flags, counts ? OME_SESSION_FLAGS_CANCEL_ON_LOGOUT : 0);
        CHECK_EQUAL(view.command_sequence, counts ? 1 : 0);
        CHECK_EQUAL(view.report_sequence, i);
        limits.rules_version = OME_RULES_VERSION;
        limits.order_count_max++;
        CHECK_EQUAL(ome_engine_resize(&market.engine, &limits), OME_OK);
    }
    limits.rules_version = 0;
    CHECK_EQUAL(ome_engine_resize(&market.engine, &limits), OME_FULL);
    limits.rules_version = OME_RULES_VERSION + 1;
    CHECK_EQUAL(ome_engine_resize(&market.engine, &limits), OME_INVALID);
    market_end(&market);
}

int main(void)
{
    seed = test_seed(20260101);
    RUN(limits_out_of_range_make_no_engine);
    RUN(an_engine_lives_in_memory_that_it_is_given);
    RUN(an_engine_without_memory_is_refused);
    RUN(an_engine_that_is_not_there_may_be_destroyed);
    RUN(a_limit_reached_is_a_rejection_and_nothing_is_lost);
    RUN(an_engine_without_special_orders_refuses_each);
    RUN(the_status_counts_what_happened);
    RUN(the_state_hash_follows_the_commands);
    RUN(an_engine_moves_to_other_limits_and_goes_on);
    RUN(an_engine_does_not_move_where_something_does_not_fit);
    RUN(a_move_keeps_what_sessions_have);
    return 0;
}
