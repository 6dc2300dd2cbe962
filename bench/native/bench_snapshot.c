#include "bench_snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/ome_clock.h"
#include "bench_child.h"
#include "bench_flow.h"
#include "bench_venue.h"
#include "ome_venue_face.h"

#define FLOW_NAME "deep-build"
#define TICK_NS UINT64_C(100000)
#define STRETCH_NS_MIN UINT64_C(100000000)
#define COMMAND_COUNT_MAX (UINT64_C(1) << 26) /* an hour and more */
#define READ_TIMEOUT_NS UINT64_C(10000000)
#define STEP_COUNT 20000u /* commands at a time, as the server's follower does */
#define PARTICIPANT 1000u /* none of the flow */
#define PLACE_STEP UINT64_C(7919) /* a prime: the orders join levels all over the book */

/* Commands of a stretch, and what became of them. */
typedef struct
{
    uint64_t first_sequence;
    uint64_t command_count;
    uint64_t elapsed_ns;
    uint64_t write_ns; /* to write the snapshot; 0 where there is none */
    uint32_t percentile_50_ns;
    uint32_t percentile_999_ns; /* the 99.9th */
    uint32_t percentile_100_ns;
} stretch_t;

/* What the child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_flow_t *flow;
    uint32_t repeat;
    uint64_t order_count; /* at rest at the end */
    uint64_t size_bytes;  /* of the snapshot written last */
    stretch_t stretches[]; /* 2 * repeat: with a snapshot, without, in turn */
} run_t;

typedef struct
{
    run_t *run;
    ome_venue_t *venue;
    char directory[BENCH_VENUE_DIRECTORY_SIZE];
    uint64_t build_count;   /* commands before the first tick */
    uint64_t tick_count;    /* commands since; written by the thread that submits */
    uint32_t *pauses_ns;    /* of these, by number; written by the reader */
    uint64_t last_sequence; /* that the reader has seen */
    ome_replay_t *replay;   /* the follower's */
    uint64_t write_ns;      /* written by the follower */
    atomic_bool is_written;
} market_t;

/* ---- the follower ---- */

static void apply_all(market_t *market)
{
    if (market->replay == NULL &&
        ome_replay_create(market->directory, OME_REPLAY_IS_LIVE | OME_REPLAY_FROM_SNAPSHOT, &market->replay) != OME_OK)
    {
        bench_fail("the journal cannot be followed");
    }
    ome_status_t status = OME_OK;
    while (status == OME_OK)
    {
        status = ome_replay_step_idle(market->replay, STEP_COUNT);
    }
    if (status != OME_EMPTY)
    {
        bench_fail("the follower ended with status %d", (int)status);
    }
}

static void *follow(void *context)
{
    market_t *market = context;
    apply_all(market);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    if (ome_replay_snapshot_idle(market->replay, OME_SNAPSHOT_KEEP_COUNT_DEFAULT) != OME_OK)
    {
        bench_fail("the snapshot cannot be written: %s", market->replay->reader.error.call);
    }
    market->write_ns = ome_clock_monotonic_ns() - start_ns;
    /* Release: pairs with the acquire in the thread that submits. */
    atomic_store_explicit(&market->is_written, true, memory_order_release);
    return NULL;
}

/* ---- the reader ---- */

static void take(market_t *market, const ome_event_t *event, uint64_t now_ns)
{
    if (event->kind == OME_EVENT_KIND_REJECTED || event->kind == OME_EVENT_KIND_TRADE || event->sequence != ++market->last_sequence)
    {
        bench_fail("event kind %u, reason %u, of command %" PRIu64, event->kind, event->reason, event->sequence);
    }
    if (event->sequence > market->build_count)
    {
        const uint64_t pause_ns = now_ns > event->timestamp_ns ? now_ns - event->timestamp_ns : 0;
        market->pauses_ns[event->sequence - market->build_count - 1] = pause_ns < UINT32_MAX ? (uint32_t)pause_ns : UINT32_MAX;
    }
}

static void *read_events(void *context)
{
    market_t *market = context;
    ome_stream_t *stream = market->venue->stream;
    for (;;)
    {
        const bool is_drained = ome_venue_is_drained(market->venue);
        const void *slots = NULL;
        const uint32_t count = ome_stream_available(stream, 0, &slots);
        if (count == 0)
        {
            if (is_drained)
            {
                return NULL;
            }
            (void)ome_stream_wait(stream, 0, READ_TIMEOUT_NS);
            continue;
        }
        const uint64_t now_ns = ome_clock_realtime_ns();
        for (uint32_t i = 0; i < count; i++)
        {
            take(market, (const ome_event_t *)slots + i, now_ns);
        }
        ome_stream_advance(stream, 0, count);
    }
}

/* ---- commands ---- */

static void build(market_t *market)
{
    const bench_flow_t *flow = market->run->flow;
    const ome_limits_t *limits = &market->venue->engine->limits;
    const ome_command_t first = {.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
        .order_count_max = limits->order_count_max,
        .level_count_max = limits->level_count_max,
        .instrument_count_max = limits->instrument_count_max,
        .session_count_max = limits->session_count_max,
        .rules_version = limits->rules_version};
    (void)bench_venue_submit(market->venue, &first, 1);
    const uint64_t count = bench_flow_command_count(flow);
    for (uint64_t at = 0; at < count; at += BENCH_VENUE_BATCH_COUNT)
    {
        const uint64_t left = count - at;
        (void)bench_venue_submit(
            market->venue, flow->commands + at, left < BENCH_VENUE_BATCH_COUNT ? (uint32_t)left : BENCH_VENUE_BATCH_COUNT);
    }
}

/* An order that joins a level of the book and its cancel, in turn. */
static ome_command_t command_at(const bench_flow_t *flow, uint64_t number)
{
    const uint64_t order_number = number / 2;
    ome_command_t command = flow->commands[flow->untimed_count + order_number * PLACE_STEP % flow->timed_count];
    command.participant = PARTICIPANT;
    command.client_order_id = order_number + 1;
    if (number % 2 == 0)
    {
        return command;
    }
    return (ome_command_t){.kind = OME_COMMAND_KIND_CANCEL_ORDER,
        .instrument = command.instrument,
        .participant = PARTICIPANT,
        .client_order_id = order_number + 1};
}

static void tick(market_t *market, uint64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / UINT64_C(1000000000)), .tv_nsec = (long)(at_ns % UINT64_C(1000000000))};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
    {
    }
    if (market->tick_count == COMMAND_COUNT_MAX)
    {
        bench_fail("the snapshots take too long");
    }
    const ome_command_t command = command_at(market->run->flow, market->tick_count++);
    (void)bench_venue_submit(market->venue, &command, 1);
}

/* Ticks for so long, and where a snapshot is made until it is. */
static void run_stretch(market_t *market, stretch_t *stretch, bool has_snapshot, uint64_t elapsed_ns_min)
{
    pthread_t follower;
    atomic_store_explicit(&market->is_written, !has_snapshot, memory_order_relaxed);
    market->write_ns = 0;
    *stretch = (stretch_t){.first_sequence = market->build_count + market->tick_count + 1};
    const uint64_t start_ns = ome_clock_monotonic_ns();
    if (has_snapshot && pthread_create(&follower, NULL, follow, market) != 0)
    {
        bench_fail("no thread for the follower");
    }
    /* Acquire: pairs with the release in the follower. */
    while (stretch->elapsed_ns < elapsed_ns_min || !atomic_load_explicit(&market->is_written, memory_order_acquire))
    {
        tick(market, start_ns + ++stretch->command_count * TICK_NS);
        stretch->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    }
    if (has_snapshot)
    {
        pthread_join(follower, NULL);
    }
    stretch->write_ns = market->write_ns;
}

/* ---- the whole ---- */

static int compare_ns(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Sorts the pauses of the stretch. */
static void find_percentiles(const market_t *market, stretch_t *stretch)
{
    uint32_t *pauses_ns = market->pauses_ns + (stretch->first_sequence - market->build_count - 1);
    const uint64_t last = stretch->command_count - 1;
    qsort(pauses_ns, stretch->command_count, sizeof(*pauses_ns), compare_ns);
    stretch->percentile_50_ns = pauses_ns[last / 2];
    stretch->percentile_999_ns = pauses_ns[last * 999 / 1000];
    stretch->percentile_100_ns = pauses_ns[last];
}

static void open_market(market_t *market, run_t *run)
{
    const bench_flow_t *flow = run->flow;
    const ome_limits_t limits = {.order_count_max = flow->order_count_max,
        .level_count_max = flow->level_count_max,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
    *market = (market_t){.run = run, .build_count = 1 + bench_flow_command_count(flow)};
    market->pauses_ns = bench_shared_memory(COMMAND_COUNT_MAX * sizeof(market->pauses_ns[0]));
    market->venue = bench_venue_open(&limits, OME_POLICY_COMMIT, market->directory);
}

static void measure(void *context)
{
    static market_t market;
    run_t *run = context;
    pthread_t reader;
    open_market(&market, run);
    if (pthread_create(&reader, NULL, read_events, &market) != 0)
    {
        bench_fail("no thread for the reader");
    }
    build(&market);
    for (uint32_t i = 0; i < run->repeat; i++)
    {
        stretch_t *with = &run->stretches[(size_t)2 * i];
        run_stretch(&market, with, true, STRETCH_NS_MIN);
        run_stretch(&market, with + 1, false, with->elapsed_ns);
    }
    ome_venue_stop(market.venue);
    pthread_join(reader, NULL);
    for (uint32_t i = 0; i < 2 * run->repeat; i++)
    {
        find_percentiles(&market, &run->stretches[i]);
    }
    run->order_count = market.venue->engine->pools.index.count;
    run->size_bytes = market.replay->files->offset;
    ome_replay_destroy(market.replay);
    if (ome_venue_destroy(market.venue) != OME_OK)
    {
        bench_fail("the journal could not be sealed");
    }
}

static void print_pause(const char *subject, const stretch_t *stretch)
{
    printf("{\"type\": \"pause\", \"subject\": \"%s\", \"commands\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 ", \"write_ns\": %" PRIu64
           ", \"p50_ns\": %" PRIu32 ", \"p99.9_ns\": %" PRIu32 ", \"p100_ns\": %" PRIu32 "}\n",
        subject, stretch->command_count, stretch->elapsed_ns, stretch->write_ns, stretch->percentile_50_ns, stretch->percentile_999_ns,
        stretch->percentile_100_ns);
}

void bench_snapshot_run(uint64_t count, uint32_t repeat, uint64_t seed)
{
    run_t *run = bench_shared_memory(sizeof(*run) + (size_t)2 * repeat * sizeof(run->stretches[0]));
    run->flow = bench_flow_make(FLOW_NAME, count, seed);
    run->repeat = repeat;
    bench_child_run(measure, run);
    printf("{\"type\": \"flow\", \"flow\": \"" FLOW_NAME ", then an order and its cancel in turn\", \"seed\": %" PRIu64
           ", \"orders\": %" PRIu64 ", \"policy\": \"commit\", \"commands_per_second\": %" PRIu64 ", \"snapshot_bytes\": %" PRIu64 "}\n",
        seed, run->order_count, UINT64_C(1000000000) / TICK_NS, run->size_bytes);
    for (uint32_t i = 0; i < 2 * repeat; i++)
    {
        print_pause(i % 2 == 0 ? "ome" : "quiet", &run->stretches[i]);
    }
}
