/* Counters and histograms: in given memory, in a file, and read while they are written. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "base/ome_counters.h"
#include "ome_test.h"

enum
{
    COMMANDS,
    RING_USED,
    COUNTER_COUNT
};

enum
{
    MATCH_LATENCY,
    COMMIT_LATENCY,
    HISTOGRAM_COUNT
};

static const ome_counter_definition_t counter_definitions[COUNTER_COUNT] = {
    [COMMANDS] = {.label = "match.commands", .kind = OME_COUNTER_KIND_TOTAL, .unit = OME_COUNTER_UNIT_COUNT},
    [RING_USED] = {.label = "ring.used", .kind = OME_COUNTER_KIND_GAUGE, .unit = OME_COUNTER_UNIT_SEQUENCE},
};

static const char *const histogram_labels[HISTOGRAM_COUNT] = {[MATCH_LATENCY] = "match.latency", [COMMIT_LATENCY] = "journal.commit"};

static const ome_counters_table_t table = {.counters = counter_definitions,
    .counter_count = COUNTER_COUNT,
    .histogram_labels = histogram_labels,
    .histogram_count = HISTOGRAM_COUNT};

static char directory[] = "/tmp/ome_test_counters_XXXXXX";
static char path[sizeof(directory) + 16];
static uint64_t seed;

static void *memory_new(size_t size_bytes)
{
    void *memory = aligned_alloc(OME_CACHE_LINE_SIZE, size_bytes);
    CHECK(memory != NULL);
    memset(memory, 0xA5, size_bytes);
    return memory;
}

static ome_status_t init_with_label(void *memory, size_t size_bytes, const char *label)
{
    const ome_counter_definition_t definition = {.label = label, .kind = OME_COUNTER_KIND_TOTAL, .unit = OME_COUNTER_UNIT_BYTES};
    const ome_counters_table_t one = {.counters = &definition, .counter_count = 1};
    ome_counters_t counters;
    return ome_counters_init(&counters, memory, size_bytes, &one, 0);
}

/* A label has 1 to 47 bytes, kinds and units are known, the memory is aligned and large enough. */
static void init_refuses_what_its_header_excludes(void)
{
    const size_t size_bytes = ome_counters_size_bytes(COUNTER_COUNT, HISTOGRAM_COUNT);
    CHECK_EQUAL(size_bytes, 64 + 2 * 64 + 2 * 4288);
    uint8_t *memory = memory_new(size_bytes);
    ome_counters_t counters;
    CHECK_EQUAL(ome_counters_init(&counters, memory, size_bytes - 1, &table, 0), OME_NO_MEMORY);
    CHECK_EQUAL(ome_counters_init(&counters, memory + 8, size_bytes, &table, 0), OME_INVALID);
    CHECK_EQUAL(init_with_label(memory, size_bytes, ""), OME_INVALID);
    CHECK_EQUAL(init_with_label(memory, size_bytes, "123456789012345678901234567890123456789012345678"), OME_INVALID);
    CHECK_EQUAL(init_with_label(memory, size_bytes, "12345678901234567890123456789012345678901234567"), OME_OK);
    ome_counter_definition_t definition = {.label = "x", .kind = (ome_counter_kind_t)3, .unit = OME_COUNTER_UNIT_COUNT};
    const ome_counters_table_t one = {.counters = &definition, .counter_count = 1};
    CHECK_EQUAL(ome_counters_init(&counters, memory, size_bytes, &one, 0), OME_INVALID);
    definition.kind = OME_COUNTER_KIND_GAUGE;
    definition.unit = (ome_counter_unit_t)0;
    CHECK_EQUAL(ome_counters_init(&counters, memory, size_bytes, &one, 0), OME_INVALID);
    CHECK_EQUAL(ome_counters_create(&counters, path, &one, 0), OME_INVALID);
    const ome_counters_table_t many = {.counters = &definition, .counter_count = OME_COUNTER_COUNT_MAX + 1};
    CHECK_EQUAL(ome_counters_init(&counters, memory, SIZE_MAX, &many, 0), OME_INVALID);
    free(memory);
}

/* Counters work in memory that was given, without a file; each starts at 0 and has its own cache line. */
static void counters_in_given_memory_start_at_zero_and_add_up(void)
{
    const size_t size_bytes = ome_counters_size_bytes(COUNTER_COUNT, HISTOGRAM_COUNT);
    void *memory = memory_new(size_bytes);
    ome_counters_t counters;
    CHECK_EQUAL(ome_counters_init(&counters, memory, size_bytes, &table, 7), OME_OK);
    ome_counter_t *commands = ome_counters_counter(&counters, COMMANDS);
    ome_counter_t *ring_used = ome_counters_counter(&counters, RING_USED);
    CHECK_EQUAL((uint8_t *)ring_used - (uint8_t *)commands, 64);
    CHECK_EQUAL((uintptr_t)commands % 64, 0);
    CHECK_EQUAL(ome_counter_get(commands), 0);
    ome_counter_add(commands, 3);
    ome_counter_add(commands, 4);
    ome_counter_set(ring_used, 99);
    CHECK_EQUAL(ome_counter_get(commands), 7);
    CHECK_EQUAL(ome_counter_get(ring_used), 99);
    CHECK_TEXT_EQUAL(ring_used->label, "ring.used");
    ome_counters_close(&counters);
    free(memory);
}

/* Another that opens the file sees header, labels and values, and sees them change. */
static void counters_file_shows_its_reader_what_is_written(void)
{
    const uint64_t before_ns = ome_clock_realtime_ns();
    ome_counters_t writer;
    ome_counters_t reader;
    CHECK_EQUAL(ome_counters_open_read(&reader, path), OME_NOT_FOUND);
    CHECK_EQUAL(ome_counters_create(&writer, path, &table, 42), OME_OK);
    CHECK_EQUAL(ome_counters_open_read(&reader, path), OME_OK);
    CHECK(reader.header != writer.header);
    CHECK_BYTES_EQUAL(reader.header, "OMECOUNT", 8);
    CHECK_EQUAL(reader.header->counter_count, COUNTER_COUNT);
    CHECK_EQUAL(reader.header->histogram_count, HISTOGRAM_COUNT);
    CHECK_EQUAL(reader.header->epoch, 42);
    CHECK_EQUAL(reader.header->pid, (uint64_t)getpid());
    CHECK(reader.header->start_time_ns >= before_ns);
    CHECK(reader.header->start_time_ns <= ome_clock_realtime_ns());
    const ome_counter_t *seen = ome_counters_counter(&reader, RING_USED);
    CHECK_TEXT_EQUAL(seen->label, "ring.used");
    CHECK_EQUAL(seen->kind, OME_COUNTER_KIND_GAUGE);
    CHECK_EQUAL(seen->unit, OME_COUNTER_UNIT_SEQUENCE);
    ome_counter_set(ome_counters_counter(&writer, RING_USED), 5);
    CHECK_EQUAL(ome_counter_get(seen), 5);
    const ome_histogram_t *histogram = ome_counters_histogram(&reader, COMMIT_LATENCY);
    CHECK_TEXT_EQUAL(histogram->label, "journal.commit");
    ome_histogram_record(ome_counters_histogram(&writer, COMMIT_LATENCY), 1000);
    ome_histogram_snapshot_t snapshot;
    ome_histogram_read(histogram, &snapshot);
    CHECK_EQUAL(snapshot.count, 1);
    CHECK_EQUAL(snapshot.max_ns, 1000);
    CHECK_EQUAL(snapshot.sum_ns, 1000);
    ome_counters_close(&writer);
    CHECK_EQUAL(ome_counter_get(seen), 5); /* the file stays */
    ome_counters_close(&reader);
}

/* A new run makes a new file: who reads the old one keeps it. */
static void counters_of_a_new_run_leave_the_old_readers_alone(void)
{
    ome_counters_t first;
    ome_counters_t second;
    ome_counters_t reader;
    CHECK_EQUAL(ome_counters_create(&first, path, &table, 1), OME_OK);
    ome_counter_set(ome_counters_counter(&first, COMMANDS), 11);
    CHECK_EQUAL(ome_counters_open_read(&reader, path), OME_OK);
    CHECK_EQUAL(ome_counters_create(&second, path, &table, 2), OME_OK);
    ome_counter_set(ome_counters_counter(&second, COMMANDS), 22);
    CHECK_EQUAL(reader.header->epoch, 1);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(&reader, COMMANDS)), 11);
    ome_counters_close(&reader);
    CHECK_EQUAL(ome_counters_open_read(&reader, path), OME_OK);
    CHECK_EQUAL(reader.header->epoch, 2);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(&reader, COMMANDS)), 22);
    ome_counters_close(&reader);
    ome_counters_close(&first);
    ome_counters_close(&second);
}

/* Writes one byte of the file and returns what opening it says; the byte is put back. */
static ome_status_t open_with_byte(long offset, uint8_t value)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL);
    CHECK_EQUAL(fseek(file, offset, SEEK_SET), 0);
    const int old = fgetc(file);
    CHECK(old != EOF);
    CHECK_EQUAL(fseek(file, offset, SEEK_SET), 0);
    CHECK_EQUAL(fputc(value, file), value);
    CHECK_EQUAL(fflush(file), 0);
    ome_counters_t reader;
    const ome_status_t status = ome_counters_open_read(&reader, path);
    ome_counters_close(&reader);
    CHECK_EQUAL(fseek(file, offset, SEEK_SET), 0);
    CHECK_EQUAL(fputc(old, file), old);
    CHECK_EQUAL(fclose(file), 0);
    return status;
}

/* What is not a counters file, is cut, or is of another version is refused. */
static void counters_file_that_is_damaged_is_refused(void)
{
    ome_counters_t counters;
    CHECK_EQUAL(ome_counters_create(&counters, path, &table, 1), OME_OK);
    ome_counters_close(&counters);
    CHECK_EQUAL(open_with_byte(64, 9), OME_OK);
    CHECK_EQUAL(open_with_byte(0, 'X'), OME_DAMAGED);
    CHECK_EQUAL(open_with_byte(8, 2), OME_UNSUPPORTED);
    CHECK_EQUAL(open_with_byte(12, 3), OME_DAMAGED);
    CHECK_EQUAL(open_with_byte(18, 1), OME_DAMAGED);
    CHECK_EQUAL(open_with_byte(48, 0), OME_DAMAGED);
    CHECK_EQUAL(truncate(path, 64 + 2 * 64), 0);
    CHECK_EQUAL(ome_counters_open_read(&counters, path), OME_DAMAGED);
    CHECK_EQUAL(truncate(path, 63), 0);
    CHECK_EQUAL(ome_counters_open_read(&counters, path), OME_DAMAGED);
    CHECK_EQUAL(truncate(path, 0), 0);
    CHECK_EQUAL(ome_counters_open_read(&counters, path), OME_DAMAGED);
}

/* A file that cannot be made leaves errno, and nothing behind. */
static void counters_file_that_cannot_be_made_says_why(void)
{
    ome_counters_t counters;
    CHECK_EQUAL(ome_counters_create(&counters, "/nonexistent/counters", &table, 1), OME_IO_ERROR);
    CHECK_EQUAL(errno, ENOENT);
    /* The name is a directory: the file is made beside it and cannot take its place. */
    CHECK_EQUAL(ome_counters_create(&counters, directory, &table, 1), OME_IO_ERROR);
    CHECK(errno == EISDIR || errno == EEXIST || errno == ENOTEMPTY);
    char beside[sizeof(directory) + 8];
    snprintf(beside, sizeof(beside), "%s.new", directory);
    CHECK(access(beside, F_OK) != 0);
}

typedef struct
{
    ome_counters_t *counters;
    _Atomic bool done;
} writer_t;

#define WRITE_COUNT 500000u

static void *write_counters(void *argument)
{
    writer_t *self = argument;
    ome_counter_t *commands = ome_counters_counter(self->counters, COMMANDS);
    ome_histogram_t *latency = ome_counters_histogram(self->counters, MATCH_LATENCY);
    uint64_t random = seed;
    for (uint32_t i = 0; i < WRITE_COUNT; i++)
    {
        ome_counter_add(commands, 1);
        ome_histogram_record(latency, test_random(&random) % 100000);
    }
    atomic_store_explicit(&self->done, true, memory_order_release); /* pairs with the acquire in the reader below */
    return NULL;
}

/* One thread writes while another reads : a total only grows, a percentile is within the maximum, nothing is lost. */
static void counters_are_read_while_another_thread_writes(void)
{
    const size_t size_bytes = ome_counters_size_bytes(COUNTER_COUNT, HISTOGRAM_COUNT);
    void *memory = memory_new(size_bytes);
    ome_counters_t counters;
    CHECK_EQUAL(ome_counters_init(&counters, memory, size_bytes, &table, 0), OME_OK);
    writer_t writer = {.counters = &counters};
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, write_counters, &writer), 0);
    uint64_t commands = 0;
    uint64_t count = 0;
    bool done = false;
    ome_histogram_snapshot_t snapshot;
    while (!done)
    {
        done = atomic_load_explicit(&writer.done, memory_order_acquire); /* pairs with the release of the writer */
        const uint64_t commands_now = ome_counter_get(ome_counters_counter(&counters, COMMANDS));
        ome_histogram_read(ome_counters_histogram(&counters, MATCH_LATENCY), &snapshot);
        CHECK(commands_now >= commands);
        CHECK(snapshot.count >= count);
        CHECK(snapshot.count == 0 || snapshot.max_ns + snapshot.max_ns / 16 >= ome_histogram_percentile(&snapshot, 1000000));
        CHECK(snapshot.max_ns < 100000);
        commands = commands_now;
        count = snapshot.count;
    }
    CHECK_EQUAL(commands, WRITE_COUNT);
    CHECK_EQUAL(count, WRITE_COUNT);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    free(memory);
}

static int compare_values(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

#define VALUE_COUNT 20000u
static uint64_t values[VALUE_COUNT];

/* The smallest value with at least that share of all values at or below it; `values` is sorted. */
static uint64_t exact_percentile(uint32_t rank_per_million)
{
    const uint64_t rank = ((uint64_t)VALUE_COUNT * rank_per_million + 999999) / 1000000;
    return values[rank == 0 ? 0 : rank - 1];
}

/* A percentile is the exact one, or up to a sixteenth more. */
static void percentiles_check(void)
{
    ome_histogram_t histogram = {.label = ""};
    uint64_t sum_ns = 0;
    for (uint32_t i = 0; i < VALUE_COUNT; i++)
    {
        ome_histogram_record(&histogram, values[i]);
        sum_ns += values[i];
    }
    qsort(values, VALUE_COUNT, sizeof(values[0]), compare_values);
    ome_histogram_snapshot_t snapshot;
    ome_histogram_read(&histogram, &snapshot);
    CHECK_EQUAL(snapshot.count, VALUE_COUNT);
    CHECK_EQUAL(snapshot.sum_ns, sum_ns);
    CHECK_EQUAL(snapshot.max_ns, values[VALUE_COUNT - 1]);
    const uint32_t ranks[] = {0, 1, 10000, 250000, 333333, 500000, 900000, 990000, 999000, 999900, 999999, 1000000};
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++)
    {
        const uint64_t exact = exact_percentile(ranks[i]);
        const uint64_t given = ome_histogram_percentile(&snapshot, ranks[i]);
        CHECK(given >= exact);
        CHECK(given <= exact + exact / 16);
    }
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 1000000), values[VALUE_COUNT - 1]);
}

static void percentiles_are_exact_or_a_sixteenth_more(void)
{
    uint64_t random = seed;
    const uint64_t spans[] = {1, 10, 16, 17, 1000, 1000000, UINT64_C(60000000000)};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
    {
        for (uint32_t j = 0; j < VALUE_COUNT; j++)
        {
            values[j] = test_random(&random) % spans[i];
        }
        percentiles_check();
    }
    /* Like latencies: every power of two as likely as another. */
    for (uint32_t j = 0; j < VALUE_COUNT; j++)
    {
        values[j] = (test_random(&random) & 0x7FFFFFFFF) >> (test_random(&random) % 36);
    }
    percentiles_check();
}

/* Buckets follow each other without gap or overlap, from 0 to 2^36, and what is larger falls into the last. */
static void buckets_follow_each_other_without_a_gap(void)
{
    uint32_t previous = 0;
    for (uint64_t value = 0; value < (UINT64_C(1) << 37); value += 1 + value / 64)
    {
        const uint32_t bucket = ome_histogram_bucket(value);
        CHECK(bucket == previous || bucket == previous + 1);
        previous = bucket;
    }
    CHECK_EQUAL(previous, OME_HISTOGRAM_BUCKET_COUNT - 1);
    CHECK_EQUAL(ome_histogram_bucket(15), 15);
    CHECK_EQUAL(ome_histogram_bucket(16), 16);
    CHECK_EQUAL(ome_histogram_bucket(31), 31);
    CHECK_EQUAL(ome_histogram_bucket(33), 32);
    CHECK_EQUAL(ome_histogram_bucket(34), 33);
    CHECK_EQUAL(ome_histogram_bucket((UINT64_C(1) << 36) - 1), OME_HISTOGRAM_BUCKET_COUNT - 1);
    CHECK_EQUAL(ome_histogram_bucket((UINT64_C(31) << 31) - 1), OME_HISTOGRAM_BUCKET_COUNT - 2);
    CHECK_EQUAL(ome_histogram_bucket(UINT64_MAX), OME_HISTOGRAM_BUCKET_COUNT - 1);
}

static void a_histogram_without_values_has_percentiles_of_0(void)
{
    ome_histogram_t histogram = {.label = ""};
    ome_histogram_snapshot_t snapshot;
    ome_histogram_read(&histogram, &snapshot);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 500000), 0);
}

static void a_single_value_is_every_percentile(void)
{
    ome_histogram_t histogram = {.label = ""};
    ome_histogram_snapshot_t snapshot;
    ome_histogram_record(&histogram, 1000);
    ome_histogram_read(&histogram, &snapshot);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 0), 1000);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 1000000), 1000);
}

/* A value beyond the range has no bucket of its own, but the maximum is kept. */
static void a_percentile_beyond_the_range_is_the_maximum(void)
{
    ome_histogram_t histogram = {.label = ""};
    ome_histogram_snapshot_t snapshot;
    ome_histogram_record(&histogram, 1000);
    ome_histogram_record(&histogram, UINT64_C(1) << 40);
    ome_histogram_read(&histogram, &snapshot);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 1000000), UINT64_C(1) << 40);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 500000), 1023);
}

/* The rank is rounded up: 15 % of ten values are two values. */
static void percentile_rank_is_rounded_up(void)
{
    ome_histogram_t histogram = {.label = ""};
    ome_histogram_snapshot_t snapshot;
    for (uint64_t value = 1; value <= 10; value++)
    {
        ome_histogram_record(&histogram, value);
    }
    ome_histogram_read(&histogram, &snapshot);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 100000), 1);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 100001), 2);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 150000), 2);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 200000), 2);
    CHECK_EQUAL(ome_histogram_percentile(&snapshot, 1000000), 10);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    seed = test_seed(1);
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/counters", directory);
    RUN(init_refuses_what_its_header_excludes);
    RUN(counters_in_given_memory_start_at_zero_and_add_up);
    RUN(counters_file_shows_its_reader_what_is_written);
    RUN(counters_of_a_new_run_leave_the_old_readers_alone);
    RUN(counters_file_that_is_damaged_is_refused);
    RUN(counters_file_that_cannot_be_made_says_why);
    RUN(counters_are_read_while_another_thread_writes);
    RUN(percentiles_are_exact_or_a_sixteenth_more);
    RUN(buckets_follow_each_other_without_a_gap);
    RUN(a_histogram_without_values_has_percentiles_of_0);
    RUN(a_single_value_is_every_percentile);
    RUN(a_percentile_beyond_the_range_is_the_maximum);
    RUN(percentile_rank_is_rounded_up);
    CHECK_EQUAL(unlink(path), 0);
    CHECK_EQUAL(rmdir(directory), 0);
    return 0;
}
