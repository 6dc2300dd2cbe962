#include "bench_batch.h"

#include <inttypes.h>
#include <stdio.h>

#include "bench_child.h"
#include "bench_flow.h"
#include "ome.h"

#define FLOW_NAME "mixed"
#define LEVEL_COUNT_MAX UINT32_C(65536)
#define INSTRUMENT_COUNT_MAX 1u
#define SESSION_COUNT_MAX 1u

typedef struct
{
    const bench_flow_t *flow;
    uint64_t elapsed_ns;
    ome_engine_status_t status;
    uint64_t event_hash;
} run_t;

/* Ready for the flow's timed commands. */
static void prepare(const bench_flow_t *flow, ome_engine_t **engine, ome_batch_t **batch)
{
    bench_touch_to_read(flow->commands, bench_flow_command_count(flow) * sizeof(ome_command_t));
    const ome_limits_t limits = {.order_count_max = flow->order_count_max,
        .level_count_max = LEVEL_COUNT_MAX,
        .instrument_count_max = INSTRUMENT_COUNT_MAX,
        .session_count_max = SESSION_COUNT_MAX,
        .rules_version = OME_RULES_VERSION};
    if (ome_engine_create(&limits, engine) != OME_OK || ome_batch_create(batch) != OME_OK)
    {
        bench_fail("no memory for an engine");
    }
    ome_batch_apply(*batch, *engine, flow->commands, flow->untimed_count);
}

static void measure(void *context)
{
    run_t *run = context;
    const bench_flow_t *flow = run->flow;
    const uint64_t command_count = bench_flow_command_count(flow);
    ome_engine_t *engine = NULL;
    ome_batch_t *batch = NULL;
    prepare(flow, &engine, &batch);
    const uint64_t start_ns = bench_thread_time_ns();
    for (uint64_t at = flow->untimed_count; at < command_count; at += BENCH_BATCH_COMMAND_COUNT)
    {
        const uint64_t left = command_count - at;
        ome_batch_apply(batch, engine, &flow->commands[at], left < BENCH_BATCH_COMMAND_COUNT ? left : BENCH_BATCH_COMMAND_COUNT);
    }
    run->elapsed_ns = bench_thread_time_ns() - start_ns;
    ome_engine_status(engine, &run->status);
    run->event_hash = ome_batch_event_hash(batch);
}

void bench_batch_run(uint64_t count, uint32_t repeat, uint64_t seed)
{
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = bench_flow_make(FLOW_NAME, count, seed);
    printf("{\"type\": \"flow\", \"flow\": \"" FLOW_NAME "\", \"seed\": %" PRIu64 ", \"commands\": %" PRIu64
           ", \"commands_per_call\": %u, \"order_count_max\": %" PRIu32 ", \"level_count_max\": %" PRIu32
           ", \"instrument_count_max\": %u, \"session_count_max\": %u}\n",
        seed, run->flow->timed_count, BENCH_BATCH_COMMAND_COUNT, run->flow->order_count_max, LEVEL_COUNT_MAX, INSTRUMENT_COUNT_MAX,
        SESSION_COUNT_MAX);
    for (uint32_t i = 0; i < repeat; i++)
    {
        bench_child_run(measure, run);
        printf("{\"type\": \"sample\", \"subject\": \"c\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 ", \"events\": %" PRIu64
               ", \"trades\": %" PRIu64 ", \"event_hash\": %" PRIu64 "}\n",
            run->flow->timed_count, run->elapsed_ns, run->status.event_count, run->status.trade_count, run->event_hash);
    }
}

void bench_batch_write_flow(const char *flow_name, uint64_t count, uint64_t seed)
{
    const bench_flow_t *flow = bench_flow_make(flow_name, count, seed);
    const uint64_t command_count = bench_flow_command_count(flow);
    if (fwrite(flow->commands, sizeof(ome_command_t), command_count, stdout) != command_count)
    {
        bench_fail("could not write the flow");
    }
}
