#include "bench_replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/ome_memory.h"
#include "bench_child.h"
#include "bench_flow.h"
#include "bench_subject.h"
#include "bench_venue.h"
#include "bench_window.h"
#include "commands/ome_apply.h"
#include "journal/ome_journal_writer.h"
#include "ome_venue_face.h"
#include "pipeline/ome_replay.h"
#include "state/ome_state.h"

#define FLOW_NAME "mixed"
#define DIRECTORY "journal"
#define BUFFER_COMMAND_COUNT 8192u
#define BATCH_COUNT (sizeof(((ome_replay_t *)NULL)->commands) / sizeof(ome_command_t))

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_flow_t *flow;
    ome_limits_t limits;
    uint64_t elapsed_ns;
    uint64_t event_count;
    uint64_t state_hash;
    uint64_t segment_count;
} run_t;

/* What a journal begins with. */
static ome_command_t limits_command(const run_t *run)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
        .order_count_max = run->limits.order_count_max,
        .level_count_max = run->limits.level_count_max,
        .instrument_count_max = run->limits.instrument_count_max,
        .session_count_max = run->limits.session_count_max,
        .rules_version = run->limits.rules_version};
}

static void append(ome_journal_writer_t *writer, uint64_t sequence, const ome_command_t *command)
{
    const uint8_t *body = (const uint8_t *)command + sizeof(uint64_t);
    if (ome_journal_writer_append(writer, sequence, command->kind, body, OME_BODY_SIZE) != OME_OK)
    {
        bench_fail("the journal cannot be written: %s", writer->error.call);
    }
}

static void write_journal(void *context)
{
    const run_t *run = context;
    static ome_journal_writer_t writer;
    const ome_journal_writer_config_t config = {.file_system = ome_file_system_posix(),
        .directory = DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = BENCH_VENUE_SEGMENT_SIZE_BYTES,
        .epoch = 1,
        .first_sequence = 1};
    const size_t size_bytes = ome_journal_writer_size_bytes(BUFFER_COMMAND_COUNT);
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL || mkdir(DIRECTORY, 0750) != 0 || ome_journal_writer_open(&writer, memory, size_bytes, &config) != OME_OK)
    {
        bench_fail("no journal can be made in the current directory");
    }
    const ome_command_t limits = limits_command(run);
    append(&writer, 1, &limits);
    for (uint64_t i = 0; i < bench_flow_command_count(run->flow); i++)
    {
        append(&writer, i + 2, &run->flow->commands[i]);
    }
    if (ome_journal_writer_close(&writer) != OME_OK)
    {
        bench_fail("the journal could not be sealed");
    }
}

static ome_replay_t *open_replay(void)
{
    ome_replay_t *replay = NULL;
    if (ome_replay_create(DIRECTORY, 0, &replay) != OME_OK)
    {
        bench_fail("the journal cannot be opened");
    }
    return replay;
}

/* Reads all of the journal, so that it is in the page cache. */
static void read_journal(void *context)
{
    static ome_command_t commands[BATCH_COUNT];
    (void)context;
    ome_replay_t *replay = open_replay();
    uint64_t count = 0;
    while (ome_replay_read(replay, commands, BATCH_COUNT, &count) == OME_OK)
    {
    }
    if (replay->reader.report.verdict != OME_JOURNAL_CLEAN)
    {
        bench_fail("the journal that was written is not one: %s", replay->reader.report.reason);
    }
}

/* As bench_touch_to_write, of memory that is in use. */
static void touch_engine(ome_replay_t *replay)
{
    volatile uint8_t *memory = (volatile uint8_t *)(void *)replay->engine;
    for (uint64_t at = 0; at < replay->engine_size_bytes; at += OME_FILE_BLOCK_SIZE)
    {
        memory[at] = memory[at];
    }
}

static void measure_replay(void *context)
{
    run_t *run = context;
    ome_replay_t *replay = open_replay();
    if (ome_replay_step(replay, 1 + run->flow->untimed_count) != OME_OK)
    {
        bench_fail("the definitions cannot be replayed");
    }
    touch_engine(replay);
    const uint64_t start_ns = bench_thread_time_ns();
    const ome_status_t status = ome_replay_step(replay, UINT64_MAX);
    run->elapsed_ns = bench_thread_time_ns() - start_ns;
    if (status != OME_EMPTY)
    {
        bench_fail("the replay ended with status %d", (int)status);
    }
    run->event_count = replay->engine->event_count;
    run->state_hash = ome_engine_state_hash(replay->engine);
    run->segment_count = replay->reader.segment_count;
}

static void measure_matcher(void *context)
{
    static bench_window_t window;
    run_t *run = context;
    const bench_flow_t *flow = run->flow;
    ome_engine_t *engine = BENCH_SUBJECTS[BENCH_SUBJECT_OME].create(&run->limits, true);
    const ome_command_t limits = limits_command(run);
    bench_window_init_counting(&window);
    bench_touch_to_read(flow->commands, bench_flow_command_count(flow) * sizeof(ome_command_t));
    ome_engine_apply_many(engine, &limits, 1, &window.sink);
    ome_engine_apply_many(engine, flow->commands, flow->untimed_count, &window.sink);
    const ome_command_t *commands = flow->commands + flow->untimed_count;
    const uint64_t start_ns = bench_thread_time_ns();
    for (uint64_t at = 0; at < flow->timed_count; at += BATCH_COUNT)
    {
        const uint64_t left = flow->timed_count - at;
        ome_engine_apply_many(engine, commands + at, left < BATCH_COUNT ? left : BATCH_COUNT, &window.sink);
    }
    run->elapsed_ns = bench_thread_time_ns() - start_ns;
    run->event_count = engine->event_count;
    run->state_hash = ome_engine_state_hash(engine);
}

static void print_sample(const char *subject, const run_t *run)
{
    printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 "}\n", subject,
        run->flow->timed_count, run->elapsed_ns);
}

void bench_replay_run(uint64_t count, uint32_t repeat, uint64_t seed)
{
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = bench_flow_make(FLOW_NAME, count, seed);
    run->limits = (ome_limits_t){.order_count_max = run->flow->order_count_max,
        .level_count_max = run->flow->level_count_max,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
    bench_child_run(write_journal, run);
    bench_child_run(read_journal, run);
    for (uint32_t i = 0; i < repeat; i++)
    {
        bench_child_run(measure_replay, run);
        const run_t replayed = *run;
        print_sample("ome", run);
        bench_child_run(measure_matcher, run);
        print_sample("matcher", run);
        if (replayed.event_count != run->event_count || replayed.state_hash != run->state_hash)
        {
            bench_fail("the replay gave %" PRIu64 " events, state %016" PRIx64 "; the matcher %" PRIu64 ", %016" PRIx64,
                replayed.event_count, replayed.state_hash, run->event_count, run->state_hash);
        }
    }
    printf("{\"type\": \"flow\", \"flow\": \"" FLOW_NAME "\", \"seed\": %" PRIu64 ", \"commands\": %" PRIu64
           ", \"batch\": %zu, \"record_bytes\": %u, \"segments\": %" PRIu64 ", \"state_hash\": \"%016" PRIx64 "\"}\n",
        seed, run->flow->timed_count, BATCH_COUNT, OME_JOURNAL_COMMAND_SIZE, run->segment_count, run->state_hash);
}
