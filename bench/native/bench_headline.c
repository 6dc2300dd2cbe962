#include "bench_headline.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "bench_child.h"
#include "bench_venue.h"
#include "bench_window.h"
#include "commands/ome_apply.h"
#include "concurrent/ome_ring.h"
#include "concurrent/ome_stream.h"

#define BATCH_COUNT BENCH_VENUE_BATCH_COUNT
#define TAKE_COUNT_MAX 256u
#define SLOT_COUNT OME_RING_SLOT_COUNT_DEFAULT
#define WAIT_NS UINT64_C(10000000)
#define PRICE INT64_C(1000000)

static const ome_limits_t LIMITS = {.order_count_max = 65536,
    .level_count_max = 4096,
    .instrument_count_max = 1,
    .session_count_max = 1,
    .rules_version = OME_RULES_VERSION};

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    uint64_t count; /* orders */
    uint64_t elapsed_ns;
    uint64_t check; /* of the part: what must be the same in every run */
    bench_venue_result_t venue;
} run_t;

/* ---- orders ---- */

static void define(ome_command_t *commands)
{
    memset(commands, 0, 2 * sizeof(*commands));
    commands[0] = (ome_command_t){.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
        .order_count_max = LIMITS.order_count_max,
        .level_count_max = LIMITS.level_count_max,
        .instrument_count_max = LIMITS.instrument_count_max,
        .session_count_max = LIMITS.session_count_max,
        .rules_version = LIMITS.rules_version};
    commands[1] = (ome_command_t){.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT, .instrument = 1, .tick = 1};
    memcpy(commands[1].symbol, "BENCH", sizeof("BENCH"));
}

static void make_orders(ome_command_t *batch)
{
    for (uint32_t i = 0; i < BATCH_COUNT; i++)
    {
        batch[i] = (ome_command_t){.kind = OME_COMMAND_KIND_NEW_ORDER,
            .instrument = 1,
            .participant = 1,
            .price = PRICE,
            .quantity = 1,
            .side = i % 2 == 0 ? OME_SIDE_BUY : OME_SIDE_SELL,
            .order_type = OME_ORDER_TYPE_LIMIT,
            .time_in_force = OME_TIME_IN_FORCE_GTC};
    }
}

/* The batch from order number `at` on: the same orders again, with client order ids that count up. */
static const ome_command_t *next_orders(void *context, uint64_t at, uint32_t count)
{
    ome_command_t *batch = context;
    for (uint32_t i = 0; i < count; i++)
    {
        batch[i].client_order_id = at + i + 1;
    }
    return batch;
}

/* ---- the whole ---- */

static void measure_whole(void *context)
{
    run_t *run = context;
    ome_command_t before[2];
    ome_command_t batch[BATCH_COUNT];
    define(before);
    make_orders(batch);
    const bench_venue_load_t load = {.limits = LIMITS,
        .policy = OME_POLICY_ASYNC,
        .before = before,
        .before_count = 2,
        .count = run->count,
        .commands = next_orders,
        .context = batch};
    bench_venue_run(&load, &run->venue);
    run->elapsed_ns = run->venue.elapsed_ns;
    run->check = run->venue.trade_count;
}

/* ---- the parts ---- */

static ome_ring_t *make_ring(void)
{
    const ome_ring_config_t config = {.slot_count = SLOT_COUNT, .consumer_count = 1, .wait_strategy = OME_WAIT_BLOCK};
    const uint64_t size_bytes = ome_ring_size_bytes(SLOT_COUNT);
    void *memory = ome_memory_map(size_bytes);
    ome_ring_t *ring = NULL;
    if (memory == NULL || ome_ring_init(&ring, memory, size_bytes, &config) != OME_OK)
    {
        bench_fail("no ring");
    }
    return ring;
}

/* One batch into the ring, as ome_venue_submit does it; returns its last sequence. */
static uint64_t put(ome_ring_t *ring, ome_command_t *batch, uint64_t at)
{
    const ome_command_t *orders = next_orders(batch, at, BATCH_COUNT);
    uint64_t first_sequence = 0;
    while (ome_ring_claim(ring, BATCH_COUNT, OME_RING_CLAIM_SPIN_NS_DEFAULT, &first_sequence) == OME_FULL)
    {
    }
    const uint64_t now_ns = ome_clock_realtime_ns();
    for (uint32_t i = 0; i < BATCH_COUNT; i++)
    {
        ome_command_t *slot = ome_ring_slot(ring, first_sequence + i);
        memcpy((uint8_t *)slot + sizeof(uint64_t), (const uint8_t *)&orders[i] + sizeof(uint64_t), OME_BODY_SIZE);
        slot->timestamp_ns = now_ns;
    }
    ome_ring_publish(ring, first_sequence, BATCH_COUNT);
    return first_sequence + BATCH_COUNT - 1;
}

static void measure_claim(void *context)
{
    run_t *run = context;
    ome_command_t batch[BATCH_COUNT];
    make_orders(batch);
    ome_ring_t *ring = make_ring();
    const uint64_t start_ns = ome_clock_monotonic_ns();
    for (uint64_t at = 0; at < run->count; at += BATCH_COUNT)
    {
        ome_ring_consumer_advance(ring, 0, put(ring, batch, at));
    }
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    run->check = ome_ring_cursor(ring);
}

typedef struct
{
    run_t *run;
    void *from; /* ring or stream */
} taker_t;

static void *take_orders(void *context)
{
    const taker_t *taker = context;
    ome_ring_t *ring = taker->from;
    uint64_t next = 1;
    while (next <= taker->run->count)
    {
        const uint32_t count = ome_ring_available(ring, next, TAKE_COUNT_MAX);
        if (count == 0)
        {
            (void)ome_ring_wait(ring, next, WAIT_NS);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
        {
            const ome_command_t *command = ome_ring_slot(ring, next + i);
            taker->run->check += command->client_order_id == next + i;
        }
        next += count;
        ome_ring_consumer_advance(ring, 0, next - 1);
    }
    return NULL;
}

static pthread_t start(void *(*work)(void *context), taker_t *taker)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, taker) != 0)
    {
        bench_fail("no thread");
    }
    return thread;
}

static void measure_ring(void *context)
{
    run_t *run = context;
    ome_command_t batch[BATCH_COUNT];
    make_orders(batch);
    taker_t taker = {.run = run, .from = make_ring()};
    const pthread_t thread = start(take_orders, &taker);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    for (uint64_t at = 0; at < run->count; at += BATCH_COUNT)
    {
        (void)put(taker.from, batch, at);
    }
    pthread_join(thread, NULL);
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
}

static void measure_match(void *context)
{
    static bench_window_t window;
    run_t *run = context;
    ome_command_t before[2];
    ome_command_t batch[BATCH_COUNT];
    define(before);
    make_orders(batch);
    bench_window_init_counting(&window);
    const uint64_t size_bytes = ome_engine_size_bytes(&LIMITS);
    void *memory = ome_memory_map(size_bytes);
    ome_engine_t *engine = NULL;
    if (memory == NULL)
    {
        bench_fail("no memory for an engine");
    }
    bench_touch_to_write(memory, size_bytes);
    if (ome_engine_init(&engine, memory, size_bytes, &LIMITS) != OME_OK)
    {
        bench_fail("the engine refused its limits");
    }
    ome_engine_apply_many(engine, before, 2, &window.sink);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    for (uint64_t at = 0; at < run->count; at += BATCH_COUNT)
    {
        ome_engine_apply_many(engine, next_orders(batch, at, BATCH_COUNT), BATCH_COUNT, &window.sink);
    }
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    run->check = engine->trade_count;
}

/* Three events for two orders. */
static uint64_t event_count(const run_t *run)
{
    return run->count / 2 * 3;
}

static void *take_events(void *context)
{
    const taker_t *taker = context;
    ome_stream_t *stream = taker->from;
    uint64_t taken_count = 0;
    while (taken_count < event_count(taker->run))
    {
        const void *slots = NULL;
        uint32_t count = ome_stream_available(stream, 0, &slots);
        count = count < TAKE_COUNT_MAX ? count : TAKE_COUNT_MAX;
        if (count == 0)
        {
            (void)ome_stream_wait(stream, 0, WAIT_NS);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
        {
            taker->run->check += ((const ome_event_t *)slots)[i].sequence == taken_count + i;
        }
        taken_count += count;
        ome_stream_advance(stream, 0, count);
    }
    return NULL;
}

static ome_stream_t *make_stream(void)
{
    const ome_stream_config_t config = {.slot_count = SLOT_COUNT, .reader_count = 1, .wait_strategy = OME_WAIT_BLOCK};
    const uint64_t size_bytes = ome_stream_size_bytes(SLOT_COUNT);
    void *memory = ome_memory_map(size_bytes);
    ome_stream_t *stream = NULL;
    if (memory == NULL || ome_stream_init(&stream, memory, size_bytes, &config) != OME_OK)
    {
        bench_fail("no stream");
    }
    return stream;
}

static void measure_events(void *context)
{
    run_t *run = context;
    ome_stream_t *stream = make_stream();
    taker_t taker = {.run = run, .from = stream};
    const pthread_t thread = start(take_events, &taker);
    ome_event_t event = {.kind = OME_EVENT_KIND_ACCEPTED};
    const uint64_t start_ns = ome_clock_monotonic_ns();
    while (event.sequence < event_count(run))
    {
        void *slots = NULL;
        uint32_t count = ome_stream_window(stream, &slots);
        const uint64_t left = event_count(run) - event.sequence;
        count = count < TAKE_COUNT_MAX ? count : TAKE_COUNT_MAX;
        count = count < left ? count : (uint32_t)left;
        if (count == 0)
        {
            (void)ome_stream_wait_room(stream, WAIT_NS);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
        {
            ((ome_event_t *)slots)[i] = event;
            event.sequence++;
        }
        ome_stream_publish(stream, count);
    }
    pthread_join(thread, NULL);
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
}

/* ---- runs ---- */

static uint64_t all_orders(const run_t *run)
{
    return run->count;
}

static uint64_t all_trades(const run_t *run)
{
    return run->count / 2;
}

static const struct
{
    const char *name;
    void (*measure)(void *context);
    uint64_t (*expected)(const run_t *run); /* what `check` must be */
} PARTS[] = {
    {"ome", measure_whole, all_trades},
    {"claim", measure_claim, all_orders},
    {"ring", measure_ring, all_orders},
    {"match", measure_match, all_trades},
    {"events", measure_events, event_count},
};
#define PART_COUNT (sizeof(PARTS) / sizeof(PARTS[0]))

void bench_headline_run(uint64_t count, uint32_t repeat)
{
    run_t *run = bench_shared_memory(sizeof(*run));
    run->count = (count + BATCH_COUNT - 1) / BATCH_COUNT * BATCH_COUNT;
    printf("{\"type\": \"flow\", \"flow\": \"buy and sell in turn at one price\", \"commands\": %" PRIu64 ", \"trades\": %" PRIu64
           ", \"policy\": \"async\", \"batch\": %u, \"slots\": %u, \"wait\": \"block\"}\n",
        run->count, run->count / 2, BATCH_COUNT, SLOT_COUNT);
    for (uint32_t i = 0; i < repeat * PART_COUNT; i++)
    {
        const uint64_t part = i % PART_COUNT;
        run->check = 0;
        bench_child_run(PARTS[part].measure, run);
        if (run->check != PARTS[part].expected(run))
        {
            bench_fail("%s: %" PRIu64 " of %" PRIu64, PARTS[part].name, run->check, PARTS[part].expected(run));
        }
        printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 ", \"p50_ns\": %" PRIu64
               ", \"p99_ns\": %" PRIu64 ", \"busy\": %" PRIu64 ", \"commits\": %" PRIu64 "}\n",
            PARTS[part].name, run->count, run->elapsed_ns, run->venue.percentile_50_ns, run->venue.percentile_99_ns, run->venue.busy_count,
            run->venue.commit_count);
    }
}
