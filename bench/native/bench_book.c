#include "bench_book.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "bench_child.h"
#include "bench_flow.h"
#include "bench_textbook.h"
#include "bench_window.h"
#include "engine/ome_engine.h"

#define LEVEL_COUNT_MAX UINT32_C(65536)
#define CLOCK_SAMPLE_COUNT 10001u

/* What is measured: the engine or the textbook. */
typedef struct
{
    const char *name;
    void *(*create)(uint32_t order_count_max);
    void (*apply)(void *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink);
} subject_t;

static void *create_engine(uint32_t order_count_max)
{
    const ome_limits_t limits = {
        .order_count_max = order_count_max, .level_count_max = LEVEL_COUNT_MAX, .instrument_count_max = 1, .session_count_max = 1};
    const uint64_t size_bytes = ome_engine_size_bytes(&limits);
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL)
    {
        bench_fail("no memory for an engine of %" PRIu64 " bytes", size_bytes);
    }
    bench_touch_to_write(memory, size_bytes);
    ome_engine_t *engine = NULL;
    if (ome_engine_init(&engine, memory, size_bytes, &limits) != OME_OK)
    {
        bench_fail("the engine refused its limits");
    }
    return engine;
}

static void apply_engine(void *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    ome_engine_apply_many(book, commands, count, sink);
}

static void *create_textbook(uint32_t order_count_max)
{
    return bench_textbook_create(order_count_max);
}

static void apply_textbook(void *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    bench_textbook_apply(book, commands, count, sink);
}

static const subject_t SUBJECTS[2] = {
    {.name = "ome", .create = create_engine, .apply = apply_engine},
    {.name = "textbook", .create = create_textbook, .apply = apply_textbook},
};

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const subject_t *subject;
    const bench_flow_t *flow;
    uint64_t elapsed_ns;
    uint64_t event_count;
    uint64_t trade_count;
    uint64_t digest;
    uint64_t clock_ns; /* what reading the clock twice costs: taken off the percentiles */
    uint64_t percentile_50_ns;
    uint64_t percentile_99_ns;
    uint64_t percentile_999_ns;
} run_t;

static bench_window_t window;

static void check(void *context)
{
    run_t *run = context;
    bench_window_init_digesting(&window);
    void *book = run->subject->create(run->flow->order_count_max);
    run->subject->apply(book, run->flow->commands, bench_flow_command_count(run->flow), &window.sink);
    bench_window_finish(&window);
    run->event_count = window.event_count;
    run->trade_count = window.trade_count;
    run->digest = window.digest;
}

/* A book that has applied the untimed commands, and commands whose pages are there. */
static void *prepare(const run_t *run)
{
    const bench_flow_t *flow = run->flow;
    bench_touch_to_read(flow->commands, bench_flow_command_count(flow) * sizeof(ome_command_t));
    bench_window_init_counting(&window);
    void *book = run->subject->create(flow->order_count_max);
    run->subject->apply(book, flow->commands, flow->untimed_count, &window.sink);
    return book;
}

static void measure(void *context)
{
    run_t *run = context;
    void *book = prepare(run);
    const uint64_t start_ns = bench_thread_time_ns();
    run->subject->apply(book, run->flow->commands + run->flow->untimed_count, run->flow->timed_count, &window.sink);
    run->elapsed_ns = bench_thread_time_ns() - start_ns;
    bench_window_finish(&window);
    run->event_count = window.event_count;
}

static int compare_ns(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint64_t median_clock_ns(void)
{
    static uint64_t samples[CLOCK_SAMPLE_COUNT];
    for (uint32_t i = 0; i < CLOCK_SAMPLE_COUNT; i++)
    {
        const uint64_t start_ns = ome_clock_monotonic_ns();
        samples[i] = ome_clock_monotonic_ns() - start_ns;
    }
    qsort(samples, CLOCK_SAMPLE_COUNT, sizeof(samples[0]), compare_ns);
    return samples[CLOCK_SAMPLE_COUNT / 2];
}

static uint64_t percentile_ns(const run_t *run, const uint64_t *sorted_ns, uint64_t per_thousand)
{
    const uint64_t value_ns = sorted_ns[(run->flow->timed_count - 1) * per_thousand / 1000];
    return value_ns > run->clock_ns ? value_ns - run->clock_ns : 0;
}

/* One command at a time with a clock around it. Wall time: a thread's CPU clock costs a system call. */
static void measure_latency(void *context)
{
    run_t *run = context;
    const uint64_t count = run->flow->timed_count;
    uint64_t *samples_ns = calloc(count, sizeof(*samples_ns));
    if (samples_ns == NULL)
    {
        bench_fail("no memory for %" PRIu64 " samples", count);
    }
    bench_touch_to_write(samples_ns, count * sizeof(*samples_ns));
    void *book = prepare(run);
    run->clock_ns = median_clock_ns();
    const ome_command_t *commands = run->flow->commands + run->flow->untimed_count;
    for (uint64_t i = 0; i < count; i++)
    {
        const uint64_t start_ns = ome_clock_monotonic_ns();
        run->subject->apply(book, &commands[i], 1, &window.sink);
        samples_ns[i] = ome_clock_monotonic_ns() - start_ns;
    }
    qsort(samples_ns, count, sizeof(*samples_ns), compare_ns);
    run->percentile_50_ns = percentile_ns(run, samples_ns, 500);
    run->percentile_99_ns = percentile_ns(run, samples_ns, 990);
    run->percentile_999_ns = percentile_ns(run, samples_ns, 999);
}

static void print_flow(const char *name, uint64_t seed, const bench_flow_t *flow)
{
    printf("{\"type\": \"flow\", \"flow\": \"%s\", \"seed\": %" PRIu64 ", \"commands\": %" PRIu64 ", \"commands_before\": %" PRIu64
           ", \"new_orders\": %" PRIu64 ", \"ioc_orders\": %" PRIu64 ", \"cancels\": %" PRIu64 ", \"reduces\": %" PRIu64
           ", \"amends\": %" PRIu64 ", \"orders_at_rest_max\": %" PRIu64 ", \"orders_at_rest_end\": %" PRIu64
           ", \"order_count_max\": %" PRIu32 "}\n",
        name, seed, flow->timed_count, flow->untimed_count, flow->kind_counts[OME_COMMAND_KIND_NEW_ORDER], flow->ioc_count,
        flow->kind_counts[OME_COMMAND_KIND_CANCEL_ORDER], flow->kind_counts[OME_COMMAND_KIND_REDUCE_ORDER],
        flow->kind_counts[OME_COMMAND_KIND_AMEND_ORDER], flow->live_count_max, flow->live_count_end, flow->order_count_max);
}

/* Both must say the same; returns how many events that is. */
static uint64_t check_agreement(run_t *run)
{
    run_t found[2];
    for (int i = 0; i < 2; i++)
    {
        run->subject = &SUBJECTS[i];
        bench_child_run(check, run);
        found[i] = *run;
    }
    if (found[0].event_count != found[1].event_count || found[0].trade_count != found[1].trade_count || found[0].digest != found[1].digest)
    {
        bench_fail("the books disagree: %s has %" PRIu64 " events, %" PRIu64 " trades, digest %016" PRIx64 "; %s has %" PRIu64
                   " events, %" PRIu64 " trades, digest %016" PRIx64,
            SUBJECTS[0].name, found[0].event_count, found[0].trade_count, found[0].digest, SUBJECTS[1].name, found[1].event_count,
            found[1].trade_count, found[1].digest);
    }
    printf("{\"type\": \"check\", \"events\": %" PRIu64 ", \"trades\": %" PRIu64 ", \"digest\": \"%016" PRIx64 "\"}\n",
        found[0].event_count, found[0].trade_count, found[0].digest);
    return found[0].event_count;
}

void bench_book_run(const char *flow_name, uint64_t count, uint32_t repeat, uint64_t seed, int with_latency)
{
    const bench_flow_t *flow = bench_flow_make(flow_name, count, seed);
    if (flow == NULL)
    {
        bench_fail("there is no flow %s", flow_name);
    }
    print_flow(flow_name, seed, flow);
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = flow;
    const uint64_t event_count = check_agreement(run);
    for (uint32_t i = 0; i < 2 * repeat; i++)
    {
        run->subject = &SUBJECTS[i % 2];
        bench_child_run(measure, run);
        if (run->event_count != event_count)
        {
            bench_fail(
                "%s gave %" PRIu64 " events, and %" PRIu64 " when it was checked", run->subject->name, run->event_count, event_count);
        }
        printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 "}\n",
            run->subject->name, flow->timed_count, run->elapsed_ns);
    }
    for (int i = 0; with_latency && i < 2; i++)
    {
        run->subject = &SUBJECTS[i];
        bench_child_run(measure_latency, run);
        printf("{\"type\": \"latency\", \"subject\": \"%s\", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 ", \"p99.9_ns\": %" PRIu64
               ", \"clock_ns\": %" PRIu64 "}\n",
            run->subject->name, run->percentile_50_ns, run->percentile_99_ns, run->percentile_999_ns, run->clock_ns);
    }
}
