#include "bench_flat.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ome_clock.h"
#include "bench_child.h"
#include "bench_subject.h"
#include "bench_window.h"
#include "commands/ome_apply.h"

#define START_PRICE INT64_C(1000000)
#define PRICE_COUNT 1000u

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    uint32_t present_count; /* orders at rest, or stops that wait */
    uint32_t affected_count;
    uint32_t present_count_max; /* of all runs: every engine has the same sizes */
    uint64_t seed;
    uint64_t operations;
    uint64_t elapsed_ns;
} run_t;

static bench_window_t window;
static uint64_t time_ns;

static ome_engine_t *make_engine(uint32_t order_count, uint32_t special_count)
{
    const ome_limits_t limits = {.order_count_max = order_count,
        .level_count_max = 4 * PRICE_COUNT,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = special_count,
        .rules_version = OME_RULES_VERSION};
    bench_window_init_counting(&window);
    return BENCH_SUBJECTS[BENCH_SUBJECT_OME].create(&limits, true);
}

static void apply(ome_engine_t *engine, ome_command_t command)
{
    command.timestamp_ns = ++time_ns;
    ome_engine_apply(engine, &command, &window.sink);
}

static void define(ome_engine_t *engine)
{
    apply(engine, (ome_command_t){.symbol = "BENCH", .tick = 1, .instrument = 1, .kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT});
}

static uint64_t event_count(void)
{
    return window.event_count + (uint64_t)(window.sink.next - window.events);
}

static ome_command_t limit_order(uint16_t participant, uint64_t id, uint8_t side, int64_t price, int64_t quantity)
{
    return (ome_command_t){.client_order_id = id,
        .price = price,
        .quantity = quantity,
        .participant = participant,
        .instrument = 1,
        .kind = OME_COMMAND_KIND_NEW_ORDER,
        .side = side,
        .order_type = OME_ORDER_TYPE_LIMIT,
        .time_in_force = OME_TIME_IN_FORCE_GTC};
}

static void print_sample(const char *subject, const run_t *run)
{
    printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 "}\n", subject,
        run->operations, run->elapsed_ns);
}

/* ---- mass cancel ---- */

#define CANCELLING_PARTICIPANT 1u
#define OTHER_PARTICIPANT_COUNT 16u
#define ROUND_COUNT 20u
#define EMPTY_CANCELS 1000u /* one of nothing takes less than reading the clock */

static ome_command_t resting_order(const run_t *run, uint16_t participant, uint64_t index)
{
    const uint64_t draw = (index + run->seed) * UINT64_C(0x9E3779B97F4A7C15) >> 32;
    const uint8_t side = draw % 2 == 0 ? OME_SIDE_BUY : OME_SIDE_SELL;
    const int64_t away = 1 + (int64_t)(draw / 2 % PRICE_COUNT);
    return limit_order(participant, 1 + index, side, side == OME_SIDE_BUY ? START_PRICE - away : START_PRICE + away, 1);
}

static uint16_t other_participant(uint64_t index)
{
    return (uint16_t)(CANCELLING_PARTICIPANT + 1 + index % OTHER_PARTICIPANT_COUNT);
}

/* Orders of others make room, here and there, for as many of the participant that cancels, whose slots are theirs then. */
static void swap_in(ome_engine_t *engine, const run_t *run)
{
    for (uint64_t i = 0; i < run->affected_count; i++)
    {
        const uint64_t index = i * run->present_count / run->affected_count;
        apply(engine,
            (ome_command_t){.client_order_id = 1 + index, .participant = other_participant(index), .kind = OME_COMMAND_KIND_CANCEL_ORDER});
    }
    for (uint64_t i = 0; i < run->affected_count; i++)
    {
        apply(engine, resting_order(run, CANCELLING_PARTICIPANT, i));
    }
}

static void swap_out(ome_engine_t *engine, const run_t *run)
{
    for (uint64_t i = run->affected_count; i > 0; i--)
    {
        const uint64_t index = (i - 1) * run->present_count / run->affected_count;
        apply(engine, resting_order(run, other_participant(index), index));
    }
}

static void measure_mass_cancel(void *context)
{
    run_t *run = context;
    ome_engine_t *engine = make_engine(run->present_count_max, 0);
    const ome_command_t mass_cancel = {.participant = CANCELLING_PARTICIPANT, .kind = OME_COMMAND_KIND_MASS_CANCEL};
    const uint64_t cancels_each = run->affected_count == 0 ? EMPTY_CANCELS : 1;
    define(engine);
    for (uint64_t i = 0; i < run->present_count; i++)
    {
        apply(engine, resting_order(run, other_participant(i), i));
    }
    run->operations = cancels_each;
    run->elapsed_ns = UINT64_MAX;
    for (uint32_t round = 0; round < ROUND_COUNT; round++)
    {
        swap_in(engine, run);
        const uint64_t before = event_count();
        const uint64_t start_ns = ome_clock_monotonic_ns();
        for (uint64_t i = 0; i < cancels_each; i++)
        {
            apply(engine, mass_cancel);
        }
        const uint64_t elapsed_ns = ome_clock_monotonic_ns() - start_ns;
        run->elapsed_ns = elapsed_ns < run->elapsed_ns ? elapsed_ns : run->elapsed_ns;
        if (event_count() - before != cancels_each + run->affected_count)
        {
            bench_fail("a mass cancel of %" PRIu32 " orders gave %" PRIu64 " events", run->affected_count, event_count() - before);
        }
        swap_out(engine, run);
    }
    if (engine->pools.index.count != run->present_count)
    {
        bench_fail("%" PRIu32 " orders are at rest, not %" PRIu32, engine->pools.index.count, run->present_count);
    }
}

void bench_flat_run_mass_cancel(uint64_t count, uint32_t repeat, uint64_t seed)
{
    static const uint32_t affected[] = {0, 10, 1000};
    const uint64_t present[] = {(count + 999) / 1000, (count + 9) / 10, count};
    run_t *run = bench_shared_memory(sizeof(*run));
    printf("{\"type\": \"flow\", \"flow\": \"orders at rest of %u participants, and some of the one that cancels\", \"seed\": %" PRIu64
           "}\n",
        OTHER_PARTICIPANT_COUNT, seed);
    for (uint32_t i = 0; i < repeat; i++)
    {
        for (uint32_t at = 0; at < 9; at++)
        {
            char subject[48];
            *run = (run_t){.present_count = (uint32_t)present[at % 3],
                .affected_count = affected[at / 3],
                .present_count_max = (uint32_t)count,
                .seed = seed};
            (void)snprintf(subject, sizeof(subject), "%" PRIu32 "/%" PRIu32, run->present_count, run->affected_count);
            run->affected_count = run->affected_count < run->present_count ? run->affected_count : run->present_count;
            bench_child_run(measure_mass_cancel, run);
            print_sample(subject, run);
        }
    }
}

/* ---- trailing stops ---- */

#define TRADE_COUNT 20000u
#define FIRST_TRADE_COUNT 100u /* before the clock runs */
#define STOPS_A_PRICE 10u      /* enter at one last price */
#define DISTANCE INT64_C(20000)

static void set_last_price(ome_engine_t *engine, int64_t price)
{
    apply(engine, (ome_command_t){.instrument = 1, .price = price, .kind = OME_COMMAND_KIND_SET_LAST_PRICE});
}

/* Three of four trail by an amount, one by basis points; all far from the prices that are traded. */
static void enter_stop(ome_engine_t *engine, uint64_t index)
{
    ome_command_t command = limit_order(2, 1 + index, index % 2 == 0 ? OME_SIDE_BUY : OME_SIDE_SELL, 0, 1);
    command.order_type = OME_ORDER_TYPE_TRAILING_STOP;
    command.flags = OME_COMMAND_FLAGS_CONTINUED;
    const bool is_amount = index % 4 != 0;
    const ome_command_t terms = {.participant = 2,
        .kind = OME_COMMAND_KIND_ORDER_TERMS,
        .term_1 = is_amount ? OME_TERM_TRAIL_AMOUNT : OME_TERM_TRAIL_BASIS_POINTS,
        .value_1 = is_amount ? DISTANCE + (int64_t)(index * 7919 % 10000) : 200 + (int64_t)(index % 300)};
    apply(engine, command);
    apply(engine, terms);
}

/* An order that fills one lot of what is at rest, at one of two prices in turn. */
static void trade(ome_engine_t *engine, uint64_t index)
{
    const uint8_t side = index % 2 == 0 ? OME_SIDE_BUY : OME_SIDE_SELL;
    ome_command_t command = limit_order(1, 3 + index, side, side == OME_SIDE_BUY ? START_PRICE : START_PRICE - 1, 1);
    command.time_in_force = OME_TIME_IN_FORCE_IOC;
    apply(engine, command);
}

static void measure_trailing(void *context)
{
    run_t *run = context;
    ome_engine_t *engine = make_engine(run->present_count_max + 4, run->present_count_max);
    define(engine);
    for (uint64_t i = 0; i < run->present_count; i++)
    {
        if (i % STOPS_A_PRICE == 0)
        {
            set_last_price(engine, START_PRICE + (int64_t)(i / STOPS_A_PRICE * 31 % 2000) - 1000);
        }
        enter_stop(engine, i);
    }
    apply(engine, limit_order(1, 1, OME_SIDE_SELL, START_PRICE, INT64_C(1) << 40));
    apply(engine, limit_order(1, 2, OME_SIDE_BUY, START_PRICE - 1, INT64_C(1) << 40));
    for (uint64_t i = 0; i < FIRST_TRADE_COUNT; i++)
    {
        trade(engine, i);
    }
    const uint64_t start_ns = bench_thread_time_ns();
    for (uint64_t i = 0; i < TRADE_COUNT; i++)
    {
        trade(engine, i);
    }
    run->elapsed_ns = bench_thread_time_ns() - start_ns;
    run->operations = TRADE_COUNT;
    if (engine->trade_count != FIRST_TRADE_COUNT + TRADE_COUNT || engine->books[1].waiting_count != run->present_count)
    {
        bench_fail("%" PRIu64 " trades, and %" PRIu32 " stops wait of %" PRIu32, engine->trade_count, engine->books[1].waiting_count,
            run->present_count);
    }
}

void bench_flat_run_trailing(uint64_t count, uint32_t repeat)
{
    const uint64_t present[] = {0, (count + 999) / 1000, count * 6 / 100};
    run_t *run = bench_shared_memory(sizeof(*run));
    printf("{\"type\": \"flow\", \"flow\": \"trades at two prices in turn, and trailing stops of many distances that they do not "
           "trigger\"}\n");
    for (uint32_t i = 0; i < repeat * 3; i++)
    {
        char subject[24];
        *run = (run_t){
            .present_count = (uint32_t)present[i % 3], .present_count_max = (uint32_t)(present[1] > present[2] ? present[1] : present[2])};
        bench_child_run(measure_trailing, run);
        (void)snprintf(subject, sizeof(subject), "%" PRIu32, run->present_count);
        print_sample(subject, run);
    }
}
