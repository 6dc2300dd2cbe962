#include "bench_latency.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ome_clock.h"
#include "bench_book.h"
#include "bench_child.h"
#include "bench_subject.h"
#include "bench_window.h"

#define CLOCK_SAMPLE_COUNT 10001u

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_subject_t *subject;
    const bench_flow_t *flow;
    uint64_t clock_ns;       /* what reading the clock twice costs: median */
    uint64_t clock_least_ns; /* the least */
    uint64_t event_count;
    uint32_t samples_ns[]; /* by timed command */
} pass_t;

static bench_window_t window;

static int compare_ns(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void time_clock(pass_t *pass)
{
    static uint32_t samples[CLOCK_SAMPLE_COUNT];
    for (uint32_t i = 0; i < CLOCK_SAMPLE_COUNT; i++)
    {
        const uint64_t start_ns = ome_clock_monotonic_ns();
        samples[i] = (uint32_t)(ome_clock_monotonic_ns() - start_ns);
    }
    qsort(samples, CLOCK_SAMPLE_COUNT, sizeof(samples[0]), compare_ns);
    pass->clock_ns = samples[CLOCK_SAMPLE_COUNT / 2];
    pass->clock_least_ns = samples[0];
}

/* Wall time: a thread's CPU clock costs a system call. */
static void measure(void *context)
{
    pass_t *pass = context;
    const bench_flow_t *flow = pass->flow;
    bench_touch_to_write(pass->samples_ns, flow->timed_count * sizeof(*pass->samples_ns));
    void *book = bench_book_prepare(pass->subject, flow, &window);
    time_clock(pass);
    const ome_command_t *commands = flow->commands + flow->untimed_count;
    for (uint64_t i = 0; i < flow->timed_count; i++)
    {
        const uint64_t start_ns = ome_clock_monotonic_ns();
        pass->subject->apply(book, &commands[i], 1, &window.sink);
        const uint64_t elapsed_ns = ome_clock_monotonic_ns() - start_ns;
        pass->samples_ns[i] = elapsed_ns < UINT32_MAX ? (uint32_t)elapsed_ns : UINT32_MAX;
    }
    bench_window_finish(&window);
    pass->event_count = window.event_count;
}

static int is_ioc(const ome_command_t *command)
{
    return command->kind == OME_COMMAND_KIND_NEW_ORDER && command->time_in_force == OME_TIME_IN_FORCE_IOC;
}

static uint64_t percentile_ns(const uint32_t *sorted_ns, uint64_t count, uint64_t per_thousand, uint64_t clock_ns)
{
    const uint64_t value_ns = count == 0 ? 0 : sorted_ns[(count - 1) * per_thousand / 1000];
    return value_ns > clock_ns ? value_ns - clock_ns : 0;
}

/* Sorts `scratch_ns`. */
static void print_percentiles(const char *prefix, uint32_t *scratch_ns, uint64_t count, uint64_t clock_ns)
{
    qsort(scratch_ns, count, sizeof(*scratch_ns), compare_ns);
    printf(", \"%sp50_ns\": %" PRIu64 ", \"%sp99_ns\": %" PRIu64 ", \"%sp99.9_ns\": %" PRIu64, prefix,
        percentile_ns(scratch_ns, count, 500, clock_ns), prefix, percentile_ns(scratch_ns, count, 990, clock_ns), prefix,
        percentile_ns(scratch_ns, count, 999, clock_ns));
}

/* `times_ns` by timed command. */
static void print_line(
    const char *type, const char *subject, const bench_flow_t *flow, const uint32_t *times_ns, uint64_t clock_ns, uint32_t *scratch_ns)
{
    printf("{\"type\": \"%s\", \"subject\": \"%s\", \"clock_ns\": %" PRIu64, type, subject, clock_ns);
    memcpy(scratch_ns, times_ns, flow->timed_count * sizeof(*scratch_ns));
    print_percentiles("", scratch_ns, flow->timed_count, clock_ns);
    uint64_t ioc_count = 0;
    for (uint64_t i = 0; i < flow->timed_count; i++)
    {
        if (is_ioc(&flow->commands[flow->untimed_count + i]))
        {
            scratch_ns[ioc_count++] = times_ns[i];
        }
    }
    print_percentiles("ioc_", scratch_ns, ioc_count, clock_ns);
    printf("}\n");
}

static uint32_t *times(uint64_t count)
{
    uint32_t *memory = malloc(count * sizeof(*memory));
    if (memory == NULL)
    {
        bench_fail("no memory for %" PRIu64 " times", count);
    }
    memset(memory, UINT8_MAX, count * sizeof(*memory));
    return memory;
}

void bench_latency_run(const bench_flow_t *flow, uint32_t repeat)
{
    pass_t *pass = bench_shared_memory(sizeof(*pass) + flow->timed_count * sizeof(*pass->samples_ns));
    pass->flow = flow;
    uint32_t *scratch_ns = times(flow->timed_count);
    uint32_t *least_ns[BENCH_BOOK_COUNT] = {times(flow->timed_count), times(flow->timed_count)};
    uint64_t clock_ns[BENCH_BOOK_COUNT] = {UINT64_MAX, UINT64_MAX};
    uint64_t event_count = 0;
    for (uint32_t i = 0; i < BENCH_BOOK_COUNT * repeat; i++)
    {
        const uint32_t book = i % BENCH_BOOK_COUNT;
        pass->subject = &BENCH_SUBJECTS[book];
        bench_child_run(measure, pass);
        event_count = i == 0 ? pass->event_count : event_count;
        if (pass->event_count != event_count)
        {
            bench_fail("%s gave %" PRIu64 " events, and not %" PRIu64 " as before", pass->subject->name, pass->event_count, event_count);
        }
        for (uint64_t at = 0; at < flow->timed_count; at++)
        {
            least_ns[book][at] = pass->samples_ns[at] < least_ns[book][at] ? pass->samples_ns[at] : least_ns[book][at];
        }
        clock_ns[book] = pass->clock_least_ns < clock_ns[book] ? pass->clock_least_ns : clock_ns[book];
        print_line("pass", pass->subject->name, flow, pass->samples_ns, pass->clock_ns, scratch_ns);
    }
    for (uint32_t book = 0; book < BENCH_BOOK_COUNT; book++)
    {
        print_line("latency", BENCH_SUBJECTS[book].name, flow, least_ns[book], clock_ns[book], scratch_ns);
        free(least_ns[book]);
    }
    free(scratch_ns);
}
