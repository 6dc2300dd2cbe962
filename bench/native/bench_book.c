#include "bench_book.h"

#include <inttypes.h>
#include <stdio.h>

#include "bench_child.h"
#include "bench_latency.h"

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_subject_t *subject;
    const bench_flow_t *flow;
    uint64_t elapsed_ns;
    uint64_t event_count;
    uint64_t trade_count;
    uint64_t digest;
} run_t;

static bench_window_t window;

static ome_limits_t limits_of(const bench_flow_t *flow)
{
    return (ome_limits_t){.order_count_max = flow->order_count_max,
        .level_count_max = flow->level_count_max,
        .instrument_count_max = flow->instrument_count,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
}

static void check(void *context)
{
    run_t *run = context;
    bench_window_init_digesting(&window);
    const ome_limits_t limits = limits_of(run->flow);
    void *book = run->subject->create(&limits, false);
    run->subject->apply(book, run->flow->commands, bench_flow_command_count(run->flow), &window.sink);
    bench_window_finish(&window);
    run->event_count = window.event_count;
    run->trade_count = window.trade_count;
    run->digest = window.digest;
}

void *bench_book_prepare(const bench_subject_t *subject, const bench_flow_t *flow, bench_window_t *into)
{
    const ome_limits_t limits = limits_of(flow);
    bench_touch_to_read(flow->commands, bench_flow_command_count(flow) * sizeof(ome_command_t));
    bench_window_init_counting(into);
    void *book = subject->create(&limits, true);
    subject->apply(book, flow->commands, flow->untimed_count, &into->sink);
    return book;
}

static void measure(void *context)
{
    run_t *run = context;
    void *book = bench_book_prepare(run->subject, run->flow, &window);
    const uint64_t start_ns = bench_thread_time_ns();
    run->subject->apply(book, run->flow->commands + run->flow->untimed_count, run->flow->timed_count, &window.sink);
    run->elapsed_ns = bench_thread_time_ns() - start_ns;
    bench_window_finish(&window);
    run->event_count = window.event_count;
}

static void print_flow(const char *name, uint64_t seed, const bench_flow_t *flow)
{
    printf("{\"type\": \"flow\", \"flow\": \"%s\", \"seed\": %" PRIu64 ", \"commands\": %" PRIu64 ", \"commands_before\": %" PRIu64
           ", \"new_orders\": %" PRIu64 ", \"ioc_orders\": %" PRIu64 ", \"cancels\": %" PRIu64 ", \"reduces\": %" PRIu64
           ", \"amends\": %" PRIu64 ", \"orders_at_rest_max\": %" PRIu64 ", \"orders_at_rest_end\": %" PRIu64 ", \"rejects\": %" PRIu64
           ", \"order_count_max\": %" PRIu32 ", \"instruments\": %" PRIu32 "}\n",
        name, seed, flow->timed_count, flow->untimed_count, flow->kind_counts[OME_COMMAND_KIND_NEW_ORDER], flow->ioc_count,
        flow->kind_counts[OME_COMMAND_KIND_CANCEL_ORDER], flow->kind_counts[OME_COMMAND_KIND_REDUCE_ORDER],
        flow->kind_counts[OME_COMMAND_KIND_AMEND_ORDER], flow->live_count_max, flow->live_count_end, flow->rejected_count,
        flow->order_count_max, flow->instrument_count);
}

/* Both must say the same; returns how many events that is. */
static uint64_t check_agreement(const bench_flow_t *flow)
{
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = flow;
    run_t found[BENCH_BOOK_COUNT];
    for (uint32_t i = 0; i < BENCH_BOOK_COUNT; i++)
    {
        run->subject = &BENCH_SUBJECTS[i];
        bench_child_run(check, run);
        found[i] = *run;
    }
    if (found[0].event_count != found[1].event_count || found[0].trade_count != found[1].trade_count || found[0].digest != found[1].digest)
    {
        bench_fail("the books disagree: %s has %" PRIu64 " events, %" PRIu64 " trades, digest %016" PRIx64 "; %s has %" PRIu64
                   " events, %" PRIu64 " trades, digest %016" PRIx64,
            BENCH_SUBJECTS[0].name, found[0].event_count, found[0].trade_count, found[0].digest, BENCH_SUBJECTS[1].name,
            found[1].event_count, found[1].trade_count, found[1].digest);
    }
    printf("{\"type\": \"check\", \"events\": %" PRIu64 ", \"trades\": %" PRIu64 ", \"digest\": \"%016" PRIx64 "\"}\n",
        found[0].event_count, found[0].trade_count, found[0].digest);
    return found[0].event_count;
}

const bench_flow_t *bench_book_agree(const char *flow_name, uint64_t count, uint64_t seed, uint64_t *event_count)
{
    const bench_flow_t *flow = bench_flow_make(flow_name, count, seed);
    if (flow == NULL)
    {
        bench_fail("there is no flow %s", flow_name);
    }
    print_flow(flow_name, seed, flow);
    *event_count = check_agreement(flow);
    return flow;
}

void bench_book_run(const char *flow_name, uint64_t count, uint32_t repeat, uint64_t seed, int with_latency)
{
    uint64_t event_count = 0;
    const bench_flow_t *flow = bench_book_agree(flow_name, count, seed, &event_count);
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = flow;
    for (uint32_t i = 0; i < BENCH_BOOK_COUNT * repeat; i++)
    {
        run->subject = &BENCH_SUBJECTS[i % BENCH_BOOK_COUNT];
        bench_child_run(measure, run);
        if (run->event_count != event_count)
        {
            bench_fail(
                "%s gave %" PRIu64 " events, and %" PRIu64 " when it was checked", run->subject->name, run->event_count, event_count);
        }
        printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 "}\n",
            run->subject->name, flow->timed_count, run->elapsed_ns);
    }
    if (with_latency)
    {
        bench_latency_run(flow, repeat);
    }
}

void bench_book_run_latency(const char *flow_name, uint64_t count, uint32_t repeat, uint64_t seed)
{
    uint64_t event_count = 0;
    bench_latency_run(bench_book_agree(flow_name, count, seed, &event_count), repeat);
}
