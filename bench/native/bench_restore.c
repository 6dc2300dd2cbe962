#include "bench_restore.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ome_clock.h"
#include "bench_child.h"
#include "bench_flow.h"
#include "bench_subject.h"
#include "bench_window.h"
#include "commands/ome_apply.h"
#include "pipeline/ome_snapshot_file.h"
#include "state/ome_state.h"

#define FLOW_NAME "deep-build"
#define DIRECTORY "."
#define READ_SIZE_BYTES (UINT32_C(1) << 20)

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_flow_t *flow;
    uint64_t elapsed_ns;
    uint64_t sequence;
    uint64_t size_bytes; /* of the file */
    uint64_t state_hash;
    uint64_t order_count;
} run_t;

static ome_snapshot_files_t files;

static void open_files(void)
{
    if (ome_snapshot_files_open(&files, ome_file_system_posix(), DIRECTORY) != OME_OK)
    {
        bench_fail("the current directory has too long a name");
    }
}

static void look(run_t *run, const ome_engine_t *engine)
{
    run->sequence = engine->sequence;
    run->state_hash = ome_engine_state_hash(engine);
    run->order_count = engine->pools.index.count;
}

static void write_snapshot(void *context)
{
    static bench_window_t window;
    run_t *run = context;
    const bench_flow_t *flow = run->flow;
    const ome_limits_t limits = {.order_count_max = flow->order_count_max,
        .level_count_max = flow->level_count_max,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = BENCH_SUBJECTS[BENCH_SUBJECT_OME].create(&limits, true);
    bench_window_init_counting(&window);
    ome_engine_apply_many(engine, flow->commands, bench_flow_command_count(flow), &window.sink);
    open_files();
    if (ome_snapshot_file_write(&files, engine, (ome_snapshot_past_t){0}, 1) != OME_OK)
    {
        bench_fail("no snapshot can be written to the current directory: %s", files.error.call);
    }
    look(run, engine);
}

static void measure_load(void *context)
{
    run_t *run = context;
    ome_snapshot_loaded_t loaded;
    open_files();
    const uint64_t start_ns = ome_clock_monotonic_ns();
    const ome_status_t status = ome_snapshot_file_load(&files, &loaded);
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    if (status != OME_OK)
    {
        bench_fail("the snapshot cannot be loaded: status %d", (int)status);
    }
    look(run, loaded.engine);
}

static void measure_read(void *context)
{
    static uint8_t part[READ_SIZE_BYTES];
    run_t *run = context;
    const ome_file_system_t *file_system = ome_file_system_posix();
    char name[OME_SNAPSHOT_NAME_SIZE];
    ome_snapshot_name(name, run->sequence);
    bench_touch_to_write(part, READ_SIZE_BYTES);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    const int file = file_system->open(file_system->context, name, OME_FILE_READ);
    uint64_t size_bytes = 0;
    int64_t got = file < 0 ? -1 : (int64_t)READ_SIZE_BYTES;
    while (got == READ_SIZE_BYTES)
    {
        got = file_system->read(file_system->context, file, part, READ_SIZE_BYTES, size_bytes);
        size_bytes += got > 0 ? (uint64_t)got : 0;
    }
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    run->size_bytes = size_bytes;
    if (got < 0)
    {
        bench_fail("the snapshot cannot be read");
    }
}

static void print_sample(const char *subject, const run_t *run)
{
    printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 "}\n", subject,
        run->order_count, run->elapsed_ns);
}

void bench_restore_run(uint64_t count, uint32_t repeat, uint64_t seed)
{
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = bench_flow_make(FLOW_NAME, count, seed);
    bench_child_run(write_snapshot, run);
    const run_t written = *run;
    for (uint32_t i = 0; i < repeat; i++)
    {
        bench_child_run(measure_load, run);
        print_sample("ome", run);
        if (run->state_hash != written.state_hash || run->sequence != written.sequence || run->order_count != count)
        {
            bench_fail("the engine has %" PRIu64 " orders after command %" PRIu64 ", and not %" PRIu64 " after %" PRIu64, run->order_count,
                run->sequence, count, written.sequence);
        }
        bench_child_run(measure_read, run);
        print_sample("read", run);
    }
    printf("{\"type\": \"flow\", \"flow\": \"" FLOW_NAME "\", \"seed\": %" PRIu64 ", \"orders\": %" PRIu64 ", \"snapshot_bytes\": %" PRIu64
           ", \"state_hash\": \"%016" PRIx64 "\"}\n",
        seed, run->order_count, run->size_bytes, run->state_hash);
}
