#include "bench_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench_child.h"
#include "bench_subject.h"
#include "bench_window.h"

#define PARTICIPANT_COUNT 16u
#define ORDERS_PER_LEVEL 100u
#define START_PRICE INT64_C(100000000)
#define CHUNK_COUNT 256u
#define TEXTBOOK_BYTES_PER_ORDER 192u
/* Of the memory that is available, in percent. */
#define MEMORY_PERCENT 80u

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_subject_t *subject;
    uint64_t order_count;
    uint64_t level_count; /* about so many come about */
    uint64_t seed;
    uint64_t resident_bytes;
    uint64_t huge_page_bytes;
    uint64_t structure_bytes; /* of the engine: orders, index, levels and nodes in use */
    uint64_t event_count;
    uint64_t digest;
} run_t;

/* A number of kilobytes behind a name in a file such as /proc/meminfo; 0 where it is not there. */
static uint64_t read_bytes(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    char line[256];
    char found[64];
    uint64_t kilobytes = 0;
    uint64_t value = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
    {
        if (sscanf(line, "%63[^:]: %" SCNu64, found, &value) == 2 && strcmp(found, name) == 0)
        {
            kilobytes = value;
        }
    }
    if (file != NULL)
    {
        (void)fclose(file);
    }
    return kilobytes * 1024;
}

/* SplitMix64 (Steele, Lea, Flood 2014) of a counter. */
static uint64_t random_at(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static ome_command_t order_at(const run_t *run, uint64_t index)
{
    const uint64_t draw = random_at(run->seed, index);
    const int64_t distance = (int64_t)(((unsigned __int128)draw * (run->level_count / 2)) >> 64);
    const bool buys = (draw & 1) == 0;
    const uint16_t participant = (uint16_t)(1 + index % PARTICIPANT_COUNT);
    return (ome_command_t){.timestamp_ns = 2 + index,
        .client_order_id = (uint64_t)participant << 32 | (1 + index / PARTICIPANT_COUNT),
        .price = buys ? START_PRICE - distance : START_PRICE + 1 + distance,
        .quantity = 1 + (int64_t)(draw >> 1 & 63),
        .participant = participant,
        .instrument = 1,
        .kind = OME_COMMAND_KIND_NEW_ORDER,
        .side = buys ? OME_SIDE_BUY : OME_SIDE_SELL,
        .order_type = OME_ORDER_TYPE_LIMIT,
        .time_in_force = OME_TIME_IN_FORCE_GTC};
}

static void fill_book(const run_t *run, void *book, ome_sink_t *sink)
{
    static ome_command_t chunk[CHUNK_COUNT];
    chunk[0] =
        (ome_command_t){.timestamp_ns = 1, .symbol = "BENCH", .tick = 1, .instrument = 1, .kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT};
    run->subject->apply(book, chunk, 1, sink);
    for (uint64_t at = 0; at < run->order_count; at += CHUNK_COUNT)
    {
        const uint64_t left = run->order_count - at;
        const uint64_t count = left < CHUNK_COUNT ? left : CHUNK_COUNT;
        for (uint64_t i = 0; i < count; i++)
        {
            chunk[i] = order_at(run, at + i);
        }
        run->subject->apply(book, chunk, count, sink);
    }
}

static uint64_t structure_bytes(const ome_engine_t *engine)
{
    const ome_book_pools_t *pools = &engine->pools;
    return pools->orders.slots_ever_used * (sizeof(ome_order_t) + sizeof(pools->orders.tags[0])) +
           PARTICIPANT_COUNT * pools->orders.row_size_bytes + ((uint64_t)pools->index.mask + 1) * sizeof(pools->index.entries[0]) +
           pools->ladder.levels_ever_used * sizeof(ome_level_t) + pools->ladder.nodes_ever_used * sizeof(ome_ladder_node_t);
}

static void measure(void *context)
{
    run_t *run = context;
    static bench_window_t window;
    bench_window_init_digesting(&window);
    const ome_limits_t limits = {.order_count_max = (uint32_t)run->order_count,
        .level_count_max = (uint32_t)run->level_count + 2,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .rules_version = OME_RULES_VERSION};
    const uint64_t before_bytes = read_bytes("/proc/self/smaps_rollup", "Rss");
    void *book = run->subject->create(&limits, false);
    fill_book(run, book, &window.sink);
    run->resident_bytes = read_bytes("/proc/self/smaps_rollup", "Rss") - before_bytes;
    run->huge_page_bytes = read_bytes("/proc/self/smaps_rollup", "AnonHugePages");
    bench_window_finish(&window);
    run->structure_bytes = run->subject == &BENCH_SUBJECTS[BENCH_SUBJECT_OME] ? structure_bytes(book) : 0;
    run->event_count = window.event_count;
    run->digest = window.digest;
    if (before_bytes == 0)
    {
        bench_fail("the system does not say in /proc/self/smaps_rollup what is resident");
    }
    if (window.trade_count != 0)
    {
        bench_fail("an order traded that was to rest");
    }
}

void bench_memory_run(uint64_t count, uint32_t repeat, uint64_t seed)
{
    const uint64_t available_bytes = read_bytes("/proc/meminfo", "MemAvailable");
    const uint64_t affordable = available_bytes / 100 * MEMORY_PERCENT / TEXTBOOK_BYTES_PER_ORDER;
    run_t *run = bench_shared_memory(sizeof(*run));
    run->order_count = affordable != 0 && affordable < count ? affordable : count;
    run->level_count = run->order_count / ORDERS_PER_LEVEL + 2;
    run->seed = seed;
    printf("{\"type\": \"flow\", \"flow\": \"orders at rest, %u a level\", \"seed\": %" PRIu64 ", \"orders_wanted\": %" PRIu64
           ", \"orders\": %" PRIu64 ", \"memory_available_bytes\": %" PRIu64 ", \"order_bytes\": %zu, \"entry_bytes\": %zu}\n",
        ORDERS_PER_LEVEL, seed, count, run->order_count, available_bytes, sizeof(ome_order_t), sizeof(uint64_t));
    uint64_t digest = 0;
    for (uint32_t i = 0; i < BENCH_BOOK_COUNT * repeat; i++)
    {
        run->subject = &BENCH_SUBJECTS[i % BENCH_BOOK_COUNT];
        bench_child_run(measure, run);
        digest = i == 0 ? run->digest : digest;
        if (run->event_count != run->order_count + 1 || run->digest != digest)
        {
            bench_fail("%s gave %" PRIu64 " events, digest %016" PRIx64 "; expected %" PRIu64 ", digest %016" PRIx64, run->subject->name,
                run->event_count, run->digest, run->order_count + 1, digest);
        }
        printf("{\"type\": \"resident\", \"subject\": \"%s\", \"orders\": %" PRIu64 ", \"resident_bytes\": %" PRIu64
               ", \"huge_page_bytes\": %" PRIu64 ", \"structure_bytes\": %" PRIu64 "}\n",
            run->subject->name, run->order_count, run->resident_bytes, run->huge_page_bytes, run->structure_bytes);
    }
}
