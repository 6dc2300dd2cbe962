#include "bench_commit_latency.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "bench_child.h"
#include "bench_disk.h"
#include "bench_venue.h"
#include "ome_venue_face.h"

#define EVENT_COUNT_MAX 64u
#define READ_TIMEOUT_NS UINT64_C(1000000000)
#define PRICE INT64_C(1000000)
#define WRITE_SIZE_BYTES 64u
/* Not measured: the first find threads that never slept. */
#define WARM_UP_COUNT UINT64_C(100)

static const ome_limits_t LIMITS = {.order_count_max = 65536,
    .level_count_max = 4096,
    .instrument_count_max = 1,
    .session_count_max = 1,
    .rules_version = OME_RULES_VERSION};

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    uint64_t count;
    uint8_t policy;
    uint64_t commit_count; /* group commits of the journal, or syncs */
    uint64_t samples_ns[]; /* room for `count` */
} run_t;

/* An order that rests and its cancel, in turn: one event each. */
static ome_command_t command_at(uint64_t number)
{
    const ome_command_t order = {.kind = OME_COMMAND_KIND_NEW_ORDER,
        .instrument = 1,
        .participant = 1,
        .client_order_id = number + 1,
        .price = PRICE,
        .quantity = 1,
        .side = OME_SIDE_BUY,
        .order_type = OME_ORDER_TYPE_LIMIT,
        .time_in_force = OME_TIME_IN_FORCE_GTC};
    const ome_command_t cancel = {.kind = OME_COMMAND_KIND_CANCEL_ORDER, .instrument = 1, .participant = 1, .client_order_id = number};
    return number % 2 == 0 ? order : cancel;
}

/* Returns the time from before the command is sequenced until its event is there. */
static uint64_t time_ns(ome_venue_t *venue, const ome_command_t *command, uint64_t sequence)
{
    ome_event_t events[EVENT_COUNT_MAX];
    const uint64_t start_ns = ome_clock_monotonic_ns();
    (void)bench_venue_submit(venue, command, 1);
    const uint32_t count = ome_venue_read(venue, BENCH_VENUE_READER, events, EVENT_COUNT_MAX, READ_TIMEOUT_NS);
    const uint64_t elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    if (count != 1 || events[0].sequence != sequence || events[0].kind == OME_EVENT_KIND_REJECTED)
    {
        bench_fail("command %" PRIu64 " was not answered by one event of its own", sequence);
    }
    return elapsed_ns;
}

static void measure_venue(void *context)
{
    run_t *run = context;
    char directory[BENCH_VENUE_DIRECTORY_SIZE];
    ome_venue_t *venue = bench_venue_open(&LIMITS, run->policy, directory);
    const ome_command_t before[2] = {{.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
                                         .order_count_max = LIMITS.order_count_max,
                                         .level_count_max = LIMITS.level_count_max,
                                         .instrument_count_max = LIMITS.instrument_count_max,
                                         .session_count_max = LIMITS.session_count_max,
                                         .rules_version = LIMITS.rules_version},
        {.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT, .instrument = 1, .tick = 1, .symbol = "BENCH"}};
    (void)time_ns(venue, &before[0], 1);
    (void)time_ns(venue, &before[1], 2);
    for (uint64_t number = 0; number < WARM_UP_COUNT + run->count; number++)
    {
        const ome_command_t command = command_at(number);
        const uint64_t elapsed_ns = time_ns(venue, &command, 3 + number);
        if (number >= WARM_UP_COUNT)
        {
            run->samples_ns[number - WARM_UP_COUNT] = elapsed_ns;
        }
    }
    run->commit_count = ome_counter_get(ome_counters_counter(&venue->counters, OME_COUNT_COMMITS));
    if (ome_venue_destroy(venue) != OME_OK)
    {
        bench_fail("the journal could not be sealed");
    }
}

/* Through the page cache: past it, 64 bytes cannot be written. */
static void measure_disk(void *context)
{
    run_t *run = context;
    const uint8_t data[WRITE_SIZE_BYTES] = {1};
    const int file = bench_disk_open((WARM_UP_COUNT + run->count) * WRITE_SIZE_BYTES, false);
    for (uint64_t number = 0; number < WARM_UP_COUNT + run->count; number++)
    {
        const uint64_t start_ns = ome_clock_monotonic_ns();
        bench_disk_write(file, data, WRITE_SIZE_BYTES, number * WRITE_SIZE_BYTES);
        bench_disk_sync(file);
        const uint64_t elapsed_ns = ome_clock_monotonic_ns() - start_ns;
        if (number >= WARM_UP_COUNT)
        {
            run->samples_ns[number - WARM_UP_COUNT] = elapsed_ns;
        }
    }
    run->commit_count = WARM_UP_COUNT + run->count;
    (void)close(file);
}

static int compare_ns(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Sorts the samples. */
static void print_latency(const char *subject, run_t *run)
{
    qsort(run->samples_ns, run->count, sizeof(run->samples_ns[0]), compare_ns);
    printf("{\"type\": \"latency\", \"subject\": \"%s\", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 ", \"commits\": %" PRIu64 "}\n",
        subject, run->samples_ns[(run->count - 1) / 2], run->samples_ns[(run->count - 1) * 99 / 100], run->commit_count);
}

void bench_commit_latency_run(uint64_t count, uint32_t repeat)
{
    run_t *run = bench_shared_memory(sizeof(*run) + count * sizeof(run->samples_ns[0]));
    run->count = count;
    printf("{\"type\": \"flow\", \"flow\": \"an order that rests and its cancel, in turn\", \"commands\": %" PRIu64
           ", \"write_bytes\": %u, \"segment_bytes\": %" PRIu64 "}\n",
        count, WRITE_SIZE_BYTES, BENCH_VENUE_SEGMENT_SIZE_BYTES);
    for (uint32_t i = 0; i < repeat; i++)
    {
        run->policy = OME_POLICY_COMMIT;
        bench_child_run(measure_venue, run);
        print_latency("commit", run);
        run->policy = OME_POLICY_MEMORY;
        bench_child_run(measure_venue, run);
        print_latency("memory", run);
        bench_child_run(measure_disk, run);
        print_latency("disk", run);
    }
}
