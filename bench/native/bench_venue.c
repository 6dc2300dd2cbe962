#include "bench_venue.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/ome_clock.h"
#include "base/ome_counters.h"
#include "base/ome_memory.h"
#include "bench_child.h"
#include "concurrent/ome_ring.h"
#include "ome_venue_face.h"

#define READ_COUNT_MAX 256u
#define READ_TIMEOUT_NS UINT64_C(10000000)
#define STREAM_SLOT_COUNT 32768u
#define DELAY_NS UINT64_C(10000000)
#define UNSYNCED_COUNT_MAX 1000u

typedef struct
{
    const bench_venue_load_t *load;
    bench_venue_result_t *result;
    ome_venue_t *venue;
    ome_histogram_t *latency;
    uint64_t start_ns; /* written by the producer; read when it has ended */
    uint64_t end_ns;
    uint64_t last_sequence;
} run_t;

static ome_replay_t *new_journal(const char *directory)
{
    ome_replay_t *replay = NULL;
    if (ome_replay_create(directory, 0, &replay) != OME_OK || ome_replay_step(replay, 1) != OME_EMPTY)
    {
        bench_fail("the folder %s is no place for a new journal", directory);
    }
    return replay;
}

/* With its pages there. The venue gives the memory back. */
static ome_engine_t *make_engine(const ome_limits_t *limits)
{
    const uint64_t size_bytes = ome_engine_size_bytes(limits);
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL)
    {
        bench_fail("no memory for an engine");
    }
    bench_touch_to_write(memory, size_bytes);
    ome_engine_t *engine = NULL;
    if (ome_engine_init(&engine, memory, size_bytes, limits) != OME_OK)
    {
        bench_fail("the engine refused its limits");
    }
    return engine;
}

ome_venue_t *bench_venue_open(const ome_limits_t *limits, uint8_t policy, char *directory)
{
    const bool has_journal = policy != OME_POLICY_MEMORY;
    strcpy(directory, "journal-XXXXXX");
    if (has_journal && mkdtemp(directory) == NULL)
    {
        bench_fail("no folder can be made in the current directory");
    }
    ome_replay_t *replay = has_journal ? new_journal(directory) : NULL;
    ome_venue_t *venue = NULL;
    ome_venue_view_t view;
    const ome_venue_config_t config = {.ring_slot_count = OME_RING_SLOT_COUNT_DEFAULT,
        .stream_slot_count = STREAM_SLOT_COUNT,
        .reader_count = 1,
        .wait_strategy = OME_WAIT_BLOCK,
        .policy = policy,
        .batch_count = UNSYNCED_COUNT_MAX,
        .directory = has_journal ? directory : NULL,
        .segment_size_bytes = BENCH_VENUE_SEGMENT_SIZE_BYTES,
        .delay_ns = DELAY_NS};
    const ome_status_t status = ome_venue_create(replay, make_engine(limits), &config, &venue, &view);
    if (status != OME_OK || ome_venue_register(venue, BENCH_VENUE_READER) != OME_OK || ome_venue_start(venue) != OME_OK)
    {
        bench_fail("the venue does not start: status %d", (int)status);
    }
    ome_replay_destroy(replay);
    return venue;
}

uint64_t bench_venue_submit(ome_venue_t *venue, const ome_command_t *commands, uint32_t count)
{
    uint64_t busy_count = 0;
    ome_status_t status = OME_FULL;
    while ((status = ome_venue_submit(venue, commands, count)) == OME_FULL)
    {
        busy_count++;
        (void)nanosleep(&(struct timespec){.tv_nsec = BENCH_VENUE_BUSY_PAUSE_NS}, NULL);
    }
    if (status != OME_OK)
    {
        bench_fail("the venue refused commands: status %d", (int)status);
    }
    return busy_count;
}

static void submit(run_t *run, const ome_command_t *commands, uint32_t count)
{
    run->result->busy_count += bench_venue_submit(run->venue, commands, count);
}

static void *produce(void *context)
{
    run_t *run = context;
    const bench_venue_load_t *load = run->load;
    submit(run, load->before, load->before_count);
    run->start_ns = ome_clock_monotonic_ns();
    for (uint64_t at = 0; at < load->count; at += BENCH_VENUE_BATCH_COUNT)
    {
        const uint64_t left = load->count - at;
        const uint32_t count = left < BENCH_VENUE_BATCH_COUNT ? (uint32_t)left : BENCH_VENUE_BATCH_COUNT;
        submit(run, load->commands(load->context, at, count), count);
    }
    ome_venue_stop(run->venue);
    return NULL;
}

static void take(run_t *run, const ome_event_t *event, uint64_t now_ns)
{
    if (event->kind == OME_EVENT_KIND_REJECTED || (event->sequence != run->last_sequence && event->sequence != run->last_sequence + 1))
    {
        bench_fail("event kind %u, reason %u, of command %" PRIu64 " after one of command %" PRIu64, event->kind, event->reason,
            event->sequence, run->last_sequence);
    }
    if (event->sequence != run->last_sequence && event->sequence % BENCH_VENUE_BATCH_COUNT == 0)
    {
        ome_histogram_record(run->latency, now_ns > event->timestamp_ns ? now_ns - event->timestamp_ns : 0);
    }
    run->last_sequence = event->sequence;
    run->result->event_count++;
    run->result->trade_count += event->kind == OME_EVENT_KIND_TRADE;
}

static void consume(run_t *run)
{
    static ome_event_t events[READ_COUNT_MAX];
    for (;;)
    {
        const bool is_drained = ome_venue_is_drained(run->venue);
        const uint32_t count = ome_venue_read(run->venue, BENCH_VENUE_READER, events, READ_COUNT_MAX, READ_TIMEOUT_NS);
        if (count == 0 && is_drained)
        {
            return;
        }
        const uint64_t now_ns = ome_clock_realtime_ns();
        for (uint32_t i = 0; i < count; i++)
        {
            take(run, &events[i], now_ns);
        }
        run->end_ns = count > 0 ? ome_clock_monotonic_ns() : run->end_ns;
    }
}

static void finish(run_t *run)
{
    bench_venue_result_t *result = run->result;
    const uint64_t command_count = run->load->before_count + run->load->count;
    if (run->last_sequence != command_count)
    {
        bench_fail("the last event is of command %" PRIu64 " of %" PRIu64, run->last_sequence, command_count);
    }
    result->elapsed_ns = run->end_ns - run->start_ns;
    result->commit_count = ome_counter_get(ome_counters_counter(&run->venue->counters, OME_COUNT_COMMITS));
    ome_histogram_snapshot_t snapshot;
    ome_histogram_read(run->latency, &snapshot);
    result->percentile_50_ns = ome_histogram_percentile(&snapshot, 500000);
    result->percentile_99_ns = ome_histogram_percentile(&snapshot, 990000);
    if (ome_venue_destroy(run->venue) != OME_OK)
    {
        bench_fail("the journal could not be sealed");
    }
}

void bench_venue_run(const bench_venue_load_t *load, bench_venue_result_t *result)
{
    static ome_histogram_t latency;
    latency = (ome_histogram_t){0};
    *result = (bench_venue_result_t){0};
    char directory[BENCH_VENUE_DIRECTORY_SIZE];
    run_t run = {.load = load, .result = result, .venue = bench_venue_open(&load->limits, load->policy, directory), .latency = &latency};
    pthread_t producer;
    if (pthread_create(&producer, NULL, produce, &run) != 0)
    {
        bench_fail("no thread for the producer");
    }
    consume(&run);
    pthread_join(producer, NULL);
    finish(&run);
}
