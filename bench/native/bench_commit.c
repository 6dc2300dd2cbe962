#include "bench_commit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "abi/ome_records.h"
#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "bench_child.h"
#include "bench_disk.h"
#include "bench_venue.h"
#include "pipeline/ome_journal_stage.h"

#define PRODUCER_COUNT 4u
#define BATCH_COUNT BENCH_VENUE_BATCH_COUNT
#define ROUND_COUNT (PRODUCER_COUNT * BATCH_COUNT)
#define SLOT_COUNT OME_RING_SLOT_COUNT_DEFAULT
#define IDLE_WAIT_NS UINT64_C(10000000)
#define PREPARE_PAUSE_NS 2000000
#define PRICE INT64_C(1000000)

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    uint64_t count; /* commands, whole rounds */
    uint64_t elapsed_ns;
    uint64_t unprepared_count; /* segments that the journal had to wait for */
    uint64_t group_count;
    uint32_t groups[]; /* commands of each, as the journal made them; room for `count` */
} run_t;

typedef struct
{
    run_t *run;
    ome_ring_t *ring;
    ome_journal_writer_t writer;
    ome_published_t published;
    ome_counters_t counters;
    ome_journal_stage_t stage;
    pthread_barrier_t start;
    atomic_bool is_done;
} journal_t;

/* ---- the journal ---- */

static void *mapped(uint64_t size_bytes)
{
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL)
    {
        bench_fail("no memory for %" PRIu64 " bytes", size_bytes);
    }
    return memory;
}

static void open_writer(journal_t *journal)
{
    char directory[] = "journal-XXXXXX";
    if (mkdtemp(directory) == NULL)
    {
        bench_fail("no folder can be made in the current directory");
    }
    const ome_journal_writer_config_t config = {.file_system = ome_file_system_posix(),
        .directory = directory,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = BENCH_VENUE_SEGMENT_SIZE_BYTES,
        .epoch = 1,
        .first_sequence = 1};
    const size_t size_bytes = ome_journal_writer_size_bytes(SLOT_COUNT);
    if (ome_journal_writer_open(&journal->writer, mapped(size_bytes), size_bytes, &config) != OME_OK)
    {
        bench_fail("the journal cannot be opened: %s: %s", journal->writer.error.call, strerror(journal->writer.error.number));
    }
}

static void open_journal(journal_t *journal)
{
    const ome_ring_config_t ring = {.slot_count = SLOT_COUNT, .consumer_count = 1, .wait_strategy = OME_WAIT_BLOCK};
    const size_t ring_bytes = ome_ring_size_bytes(SLOT_COUNT);
    const size_t counters_bytes = ome_counters_size_bytes(OME_COUNT_COUNT, OME_LATENCY_COUNT);
    if (ome_ring_init(&journal->ring, mapped(ring_bytes), ring_bytes, &ring) != OME_OK ||
        ome_counters_init(&journal->counters, mapped(counters_bytes), counters_bytes, &ome_venue_counters_table, 1) != OME_OK)
    {
        bench_fail("ring or counters refused their configuration");
    }
    open_writer(journal);
    ome_published_init(&journal->published, NULL, 1u << OME_GATE_DURABLE, 0);
    const ome_journal_stage_config_t stage = {.writer = &journal->writer,
        .ring = journal->ring,
        .published = &journal->published,
        .counters = &journal->counters,
        .first_sequence = 1};
    ome_journal_stage_init(&journal->stage, &stage);
}

static void *prepare(void *context)
{
    journal_t *journal = context;
    while (!atomic_load_explicit(&journal->is_done, memory_order_relaxed))
    {
        if (atomic_load_explicit(&journal->stage.is_spare_due, memory_order_relaxed) &&
            ome_journal_writer_prepare_next(&journal->writer) != OME_OK)
        {
            bench_fail("the next segment cannot be made");
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = PREPARE_PAUSE_NS}, NULL);
    }
    return NULL;
}

/* The journal's thread; notes the groups. */
static void commit_all(journal_t *journal)
{
    run_t *run = journal->run;
    uint64_t durable = 0;
    while (durable < run->count)
    {
        if (ome_journal_stage_do_work(&journal->stage) == 0)
        {
            (void)ome_ring_wait(journal->ring, journal->stage.next_sequence, IDLE_WAIT_NS);
        }
        if (journal->stage.status != OME_OK)
        {
            bench_fail("the journal failed: %s: %s", journal->writer.error.call, strerror(journal->writer.error.number));
        }
        if (journal->writer.durable_sequence != durable)
        {
            run->groups[run->group_count++] = (uint32_t)(journal->writer.durable_sequence - durable);
            durable = journal->writer.durable_sequence;
        }
    }
    run->unprepared_count = journal->writer.unprepared_count;
}

/* ---- producers ---- */

static uint64_t claim(ome_ring_t *ring)
{
    uint64_t first_sequence = 0;
    ome_status_t status = OME_FULL;
    while ((status = ome_ring_claim(ring, BATCH_COUNT, OME_RING_CLAIM_SPIN_NS_DEFAULT, &first_sequence)) == OME_FULL)
    {
        (void)nanosleep(&(struct timespec){.tv_nsec = BENCH_VENUE_BUSY_PAUSE_NS}, NULL);
    }
    if (status != OME_OK)
    {
        bench_fail("the ring refused a claim: status %d", (int)status);
    }
    return first_sequence;
}

static void *produce(void *context)
{
    journal_t *journal = context;
    pthread_barrier_wait(&journal->start);
    for (uint64_t number = 0; number < journal->run->count / PRODUCER_COUNT; number += BATCH_COUNT)
    {
        const uint64_t first_sequence = claim(journal->ring);
        const uint64_t now_ns = ome_clock_realtime_ns();
        for (uint32_t i = 0; i < BATCH_COUNT; i++)
        {
            const ome_command_t order = {.timestamp_ns = now_ns,
                .client_order_id = first_sequence + i,
                .price = PRICE + i,
                .quantity = 1,
                .participant = 1,
                .instrument = 1,
                .kind = OME_COMMAND_KIND_NEW_ORDER,
                .side = OME_SIDE_BUY,
                .order_type = OME_ORDER_TYPE_LIMIT,
                .time_in_force = OME_TIME_IN_FORCE_GTC};
            uint8_t *slot = ome_ring_slot(journal->ring, first_sequence + i);
            memcpy(slot + sizeof(uint64_t), (const uint8_t *)&order + sizeof(uint64_t), OME_BODY_SIZE);
        }
        ome_ring_publish(journal->ring, first_sequence, BATCH_COUNT);
    }
    return NULL;
}

/* ---- runs ---- */

static void start(pthread_t *thread, void *(*work)(void *context), journal_t *journal)
{
    if (pthread_create(thread, NULL, work, journal) != 0)
    {
        bench_fail("no thread");
    }
}

static void measure_journal(void *context)
{
    static journal_t journal;
    journal.run = context;
    journal.run->group_count = 0;
    open_journal(&journal);
    pthread_t producers[PRODUCER_COUNT];
    pthread_t preparer;
    pthread_barrier_init(&journal.start, NULL, PRODUCER_COUNT + 1);
    start(&preparer, prepare, &journal);
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++)
    {
        start(&producers[i], produce, &journal);
    }
    pthread_barrier_wait(&journal.start);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    commit_all(&journal);
    journal.run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++)
    {
        pthread_join(producers[i], NULL);
    }
    atomic_store_explicit(&journal.is_done, true, memory_order_relaxed);
    pthread_join(preparer, NULL);
    if (ome_journal_writer_close(&journal.writer) != OME_OK)
    {
        bench_fail("the journal could not be sealed");
    }
}

/* As the journal does: a block that is not full is written again with the next group. */
static void measure_disk(void *context)
{
    run_t *run = context;
    const uint8_t *data = bench_disk_memory(run->count * OME_JOURNAL_COMMAND_SIZE);
    const int file = bench_disk_open(run->count * OME_JOURNAL_COMMAND_SIZE, true);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    uint64_t end = 0; /* bytes */
    for (uint64_t group = 0; group < run->group_count; group++)
    {
        const uint64_t from = end / OME_FILE_BLOCK_SIZE * OME_FILE_BLOCK_SIZE;
        end += (uint64_t)run->groups[group] * OME_JOURNAL_COMMAND_SIZE;
        const uint64_t to = (end + OME_FILE_BLOCK_SIZE - 1) / OME_FILE_BLOCK_SIZE * OME_FILE_BLOCK_SIZE;
        bench_disk_write(file, data + from, to - from, from);
        bench_disk_sync(file);
    }
    run->elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    (void)close(file);
    if (end != run->count * OME_JOURNAL_COMMAND_SIZE)
    {
        bench_fail("the groups have %" PRIu64 " bytes", end);
    }
}

static void print_sample(const char *subject, const run_t *run)
{
    printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 ", \"commits\": %" PRIu64
           ", \"unprepared\": %" PRIu64 "}\n",
        subject, run->count, run->elapsed_ns, run->group_count, run->unprepared_count);
}

void bench_commit_run(uint64_t count, uint32_t repeat)
{
    const uint64_t whole_count = (count + ROUND_COUNT - 1) / ROUND_COUNT * ROUND_COUNT;
    run_t *run = bench_shared_memory(sizeof(*run) + whole_count * sizeof(run->groups[0]));
    run->count = whole_count;
    printf("{\"type\": \"flow\", \"flow\": \"new orders, no engine\", \"commands\": %" PRIu64
           ", \"producers\": %u, \"batch\": %u, \"slots\": %u, \"policy\": \"commit\", \"record_bytes\": %u, \"segment_bytes\": %" PRIu64
           "}\n",
        whole_count, PRODUCER_COUNT, BATCH_COUNT, SLOT_COUNT, OME_JOURNAL_COMMAND_SIZE, BENCH_VENUE_SEGMENT_SIZE_BYTES);
    for (uint32_t i = 0; i < repeat; i++)
    {
        bench_child_run(measure_journal, run);
        print_sample("ome", run);
        bench_child_run(measure_disk, run);
        print_sample("disk", run);
    }
}
