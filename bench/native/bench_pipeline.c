#include "bench_pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "bench_child.h"
#include "bench_disk.h"
#include "bench_flow.h"
#include "bench_venue.h"
#include "bench_window.h"
#include "commands/ome_apply.h"

#define FLOW_NAME "mixed"
#define LEVEL_COUNT_MAX UINT32_C(65536)
#define JOURNAL_RECORD_SIZE_BYTES UINT64_C(74)

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_flow_t *flow;
    bench_venue_result_t venue;
    bench_window_t window; /* of the matcher */
    uint64_t matcher_trade_count;
    uint64_t elapsed_ns;
} run_t;

static ome_limits_t limits_of(const bench_flow_t *flow)
{
    return (ome_limits_t){.order_count_max = flow->order_count_max,
        .level_count_max = LEVEL_COUNT_MAX,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
}

static const ome_command_t *commands_at(void *context, uint64_t at, uint32_t count)
{
    (void)count;
    const run_t *run = context;
    return run->flow->commands + run->flow->untimed_count + at;
}

static void measure_venue(void *context)
{
    run_t *run = context;
    const bench_flow_t *flow = run->flow;
    const ome_limits_t limits = limits_of(flow);
    bench_touch_to_read(flow->commands, bench_flow_command_count(flow) * sizeof(ome_command_t));
    /* A journal begins with the limits. */
    const ome_command_t before[2] = {{.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
                                         .order_count_max = limits.order_count_max,
                                         .level_count_max = limits.level_count_max,
                                         .instrument_count_max = limits.instrument_count_max,
                                         .session_count_max = limits.session_count_max,
                                         .rules_version = limits.rules_version},
        flow->commands[0]};
    const bench_venue_load_t load = {.limits = limits,
        .policy = OME_POLICY_COMMIT,
        .before = before,
        .before_count = 2,
        .count = flow->timed_count,
        .commands = commands_at,
        .context = run};
    bench_venue_run(&load, &run->venue);
    run->elapsed_ns = run->venue.elapsed_ns;
}

/* As many bytes as the journal's records have, in as many groups as the venue has committed. */
static void measure_disk(void *context)
{
    run_t *run = context;
    const uint64_t count = run->flow->timed_count;
    const uint64_t group_count = run->venue.commit_count;
    const uint8_t *data = bench_disk_memory(count * JOURNAL_RECORD_SIZE_BYTES);
    const int file = bench_disk_open(count * JOURNAL_RECORD_SIZE_BYTES, false);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    uint64_t written = 0; /* records */
    for (uint64_t group = 1; group <= group_count; group++)
    {
        const uint64_t end = (uint64_t)((unsigned __int128)count * group / group_count);
        const uint64_t offset = written * JOURNAL_RECORD_SIZE_BYTES;
        bench_disk_write(file, data + offset, (end - written) * JOURNAL_RECORD_SIZE_BYTES, offset);
        bench_disk_sync(file);
        written = end;
    }
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    (void)close(file);
}

static void measure_matcher(void *context)
{
    run_t *run = context;
    const bench_flow_t *flow = run->flow;
    const ome_limits_t limits = limits_of(flow);
    const uint64_t size_bytes = ome_engine_size_bytes(&limits);
    void *memory = ome_memory_map(size_bytes);
    ome_engine_t *engine = NULL;
    if (memory == NULL)
    {
        bench_fail("no memory for an engine");
    }
    bench_touch_to_write(memory, size_bytes);
    if (ome_engine_init(&engine, memory, size_bytes, &limits) != OME_OK)
    {
        bench_fail("the engine refused its limits");
    }
    bench_touch_to_read(flow->commands, bench_flow_command_count(flow) * sizeof(ome_command_t));
    bench_window_init_counting(&run->window);
    ome_engine_apply_many(engine, flow->commands, flow->untimed_count, &run->window.sink);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    ome_engine_apply_many(engine, flow->commands + flow->untimed_count, flow->timed_count, &run->window.sink);
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    bench_window_finish(&run->window);
    run->matcher_trade_count = engine->trade_count;
}

static void print_sample(const char *subject, const run_t *run)
{
    printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 ", \"commits\": %" PRIu64
           ", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}\n",
        subject, run->flow->timed_count, run->elapsed_ns, run->venue.commit_count, run->venue.percentile_50_ns,
        run->venue.percentile_99_ns);
}

void bench_pipeline_run(uint64_t count, uint32_t repeat, uint64_t seed)
{
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = bench_flow_make(FLOW_NAME, count, seed);
    if (run->flow->untimed_count != 1)
    {
        bench_fail("the flow is expected to open with its definition alone");
    }
    printf("{\"type\": \"flow\", \"flow\": \"" FLOW_NAME "\", \"seed\": %" PRIu64 ", \"commands\": %" PRIu64
           ", \"policy\": \"commit\", \"batch\": %u, \"record_bytes\": %" PRIu64 "}\n",
        seed, run->flow->timed_count, BENCH_VENUE_BATCH_COUNT, JOURNAL_RECORD_SIZE_BYTES);
    for (uint32_t i = 0; i < repeat; i++)
    {
        bench_child_run(measure_venue, run);
        print_sample("ome", run);
        bench_child_run(measure_disk, run);
        print_sample("disk", run);
        bench_child_run(measure_matcher, run);
        print_sample("matcher", run);
        /* The definition of the limits is an event too. */
        if (run->venue.event_count != run->window.event_count + 1 || run->venue.trade_count != run->matcher_trade_count)
        {
            bench_fail("the venue gave %" PRIu64 " events, %" PRIu64 " trades; the matcher %" PRIu64 ", %" PRIu64, run->venue.event_count,
                run->venue.trade_count, run->window.event_count, run->matcher_trade_count);
        }
    }
}
