/* Counters and latency histograms in one block of memory, usually a mapped file, so that another process can read them
 * without the engine.
 *
 * The block, all integers little-endian:
 *
 *     OFFSET            SIZE  FIELD             UNIT
 *     0                 8     magic             OME_COUNTERS_MAGIC
 *     8                 4     version           OME_COUNTERS_VERSION
 *     12                4     counter_count
 *     16                4     histogram_count
 *     20                4     reserved          0
 *     24                8     start_time_ns     nanoseconds since 1970
 *     32                8     pid               process that writes
 *     40                8     epoch             given by the writer; distinguishes runs
 *     48                8     size_bytes        of the block
 *     56                8     reserved          0
 *     64                64    each counter      value 8 | label 48, zero padded | kind 4 | unit 4
 *     then              4288  each histogram    label 48 | max 8 | sum 8 | buckets 8 x 528
 *
 * A reader maps the file, checks magic, version and size_bytes, and reads values at any time. A new run makes a new
 * file under the old name. A reader that has the old file open keeps reading the old one; when it opens the name again,
 * `pid` and `epoch` show that there is another.
 *
 * Threads: each counter and each histogram has one thread that writes it; any thread or process reads. A value is read
 * whole, but different values are not of one instant: two counters may differ by what happened between the two reads.
 *
 * Source: the counters file of Aeron; the buckets of HdrHistogram with 16 steps per power of two. */
#ifndef OME_COUNTERS_H
#define OME_COUNTERS_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "abi/ome_status.h"
#include "base/ome_platform.h"

#define OME_COUNTERS_MAGIC UINT64_C(0x544E554F43454D4F) /* "OMECOUNT" */
#define OME_COUNTERS_VERSION 1u
#define OME_COUNTER_LABEL_SIZE 48u
#define OME_COUNTER_COUNT_MAX 65536u

/* What a counter means. */
typedef enum
{
    OME_COUNTER_KIND_TOTAL = 1, /* only grows; a rate is its difference over time */
    OME_COUNTER_KIND_GAUGE = 2 /* a level now */
} ome_counter_kind_t;

typedef enum
{
    OME_COUNTER_UNIT_COUNT = 1,
    OME_COUNTER_UNIT_BYTES = 2,
    OME_COUNTER_UNIT_NANOSECONDS = 3,
    OME_COUNTER_UNIT_SEQUENCE = 4
} ome_counter_unit_t;

typedef struct
{
    uint64_t magic;
    uint32_t version;
    uint32_t counter_count;
    uint32_t histogram_count;
    uint32_t reserved_0;
    uint64_t start_time_ns;
    uint64_t pid;
    uint64_t epoch;
    uint64_t size_bytes;
    uint64_t reserved_1;
} ome_counters_header_t;
static_assert(sizeof(ome_counters_header_t) == 64, "the header has no padding");
static_assert(offsetof(ome_counters_header_t, version) == 8, "version is in place");
static_assert(offsetof(ome_counters_header_t, counter_count) == 12, "counter_count is in place");
static_assert(offsetof(ome_counters_header_t, histogram_count) == 16, "histogram_count is in place");
static_assert(offsetof(ome_counters_header_t, start_time_ns) == 24, "start_time_ns is in place");
static_assert(offsetof(ome_counters_header_t, pid) == 32, "pid is in place");
static_assert(offsetof(ome_counters_header_t, epoch) == 40, "epoch is in place");
static_assert(offsetof(ome_counters_header_t, size_bytes) == 48, "size_bytes is in place");

typedef struct
{
    _Atomic uint64_t value;
    char label[OME_COUNTER_LABEL_SIZE];
    uint32_t kind;
    uint32_t unit;
} ome_counter_t;
static_assert(sizeof(ome_counter_t) == OME_CACHE_LINE_SIZE, "two writers never share a cache line");
static_assert(offsetof(ome_counter_t, label) == 8, "label is in place");
static_assert(offsetof(ome_counter_t, kind) == 56, "kind is in place");
static_assert(offsetof(ome_counter_t, unit) == 60, "unit is in place");

/* Buckets of a histogram. 0 to 15 ns have a bucket each; from there each power of two is cut into 16 equal buckets, so
 * that a bucket is at most 1/16 of its values wide. The last bucket, from 31 * 2^31 ns (66.6 s) on, has no end. */
#define OME_HISTOGRAM_STEP_BITS 4u
#define OME_HISTOGRAM_STEP_COUNT (1u << OME_HISTOGRAM_STEP_BITS)
#define OME_HISTOGRAM_VALUE_BITS 36u
#define OME_HISTOGRAM_BUCKET_COUNT ((OME_HISTOGRAM_VALUE_BITS - OME_HISTOGRAM_STEP_BITS + 1) * OME_HISTOGRAM_STEP_COUNT)

typedef struct
{
    char label[OME_COUNTER_LABEL_SIZE];
    _Atomic uint64_t max_ns;
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t buckets[OME_HISTOGRAM_BUCKET_COUNT];
} ome_histogram_t;
static_assert(OME_HISTOGRAM_BUCKET_COUNT == 528, "the table above says so");
static_assert(sizeof(ome_histogram_t) == 4288, "the table above says so");
static_assert(sizeof(ome_histogram_t) % OME_CACHE_LINE_SIZE == 0, "two writers never share a cache line");
static_assert(offsetof(ome_histogram_t, max_ns) == 48, "max_ns is in place");
static_assert(offsetof(ome_histogram_t, buckets) == 64, "buckets are in place");

/* A copy to compute with. */
typedef struct
{
    uint64_t count; /* sum of the buckets */
    uint64_t max_ns;
    uint64_t sum_ns;
    uint64_t buckets[OME_HISTOGRAM_BUCKET_COUNT];
} ome_histogram_snapshot_t;

/* The contents of the block. A label has 1 to 47 bytes, for example "journal.commits". The order is that of the
 * writer's enumerations. */
typedef struct
{
    const char *label;
    ome_counter_kind_t kind;
    ome_counter_unit_t unit;
} ome_counter_definition_t;

typedef struct
{
    const ome_counter_definition_t *counters;
    uint32_t counter_count; /* at most OME_COUNTER_COUNT_MAX */
    const char *const *histogram_labels;
    uint32_t histogram_count; /* at most OME_COUNTER_COUNT_MAX */
} ome_counters_table_t;

/* A process's access to a block. */
typedef struct
{
    ome_counters_header_t *header;
    size_t mapped_bytes; /* 0 if the caller gave the memory */
} ome_counters_t;

/* Bytes of memory for so many counters and histograms. */
size_t ome_counters_size_bytes(uint32_t counter_count, uint32_t histogram_count);

/* Lays zeroed counters into `memory`, aligned to OME_CACHE_LINE_SIZE. OME_OK; OME_INVALID when a count, label, kind or
 * unit is outside its limits or the memory is not aligned; OME_NO_MEMORY when `size_bytes` is below
 * ome_counters_size_bytes. */
ome_status_t ome_counters_init(
    ome_counters_t *counters, void *memory, size_t size_bytes, const ome_counters_table_t *table, uint64_t epoch);

/* As ome_counters_init, in a new file that takes the name `path` when it is complete. In addition OME_IO_ERROR: errno
 * says why; a file that was at `path` is as before. */
ome_status_t ome_counters_create(ome_counters_t *counters, const char *path, const ome_counters_table_t *table, uint64_t epoch);

/* Maps a file to read it. OME_OK; OME_NOT_FOUND; OME_IO_ERROR: errno says why; OME_DAMAGED when it is not a counters
 * file or its size is not what it says; OME_UNSUPPORTED when its version is another. */
ome_status_t ome_counters_open_read(ome_counters_t *counters, const char *path);

/* Unmaps a mapped file, which stays on disk; does nothing with given memory. */
void ome_counters_close(ome_counters_t *counters);

/* Counter or histogram number `index` in the order of the table. Only the writer writes to it. */
ome_counter_t *ome_counters_counter(const ome_counters_t *counters, uint32_t index);
ome_histogram_t *ome_counters_histogram(const ome_counters_t *counters, uint32_t index);

/* Any thread. */
static inline uint64_t ome_counter_get(const ome_counter_t *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* The one writer. Relaxed: a counter says nothing about other memory. */
static inline void ome_counter_set(ome_counter_t *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

/* The one writer, so a load and a store are enough, without the cost of an atomic addition. */
static inline void ome_counter_add(ome_counter_t *counter, uint64_t amount)
{
    ome_counter_set(counter, ome_counter_get(counter) + amount);
}

static inline uint32_t ome_histogram_bucket(uint64_t value_ns)
{
    if (value_ns < OME_HISTOGRAM_STEP_COUNT)
    {
        return (uint32_t)value_ns;
    }
    if (value_ns >> OME_HISTOGRAM_VALUE_BITS != 0)
    {
        return OME_HISTOGRAM_BUCKET_COUNT - 1;
    }
    /* The position of the highest bit gives the power of two, the four bits below it the step. */
    const uint32_t shift = 63u - (uint32_t)__builtin_clzll(value_ns) - OME_HISTOGRAM_STEP_BITS;
    return shift * OME_HISTOGRAM_STEP_COUNT + (uint32_t)(value_ns >> shift);
}

/* The one writer. */
static inline void ome_histogram_record(ome_histogram_t *histogram, uint64_t value_ns)
{
    if (value_ns > atomic_load_explicit(&histogram->max_ns, memory_order_relaxed))
    {
        atomic_store_explicit(&histogram->max_ns, value_ns, memory_order_relaxed);
    }
    const uint64_t sum_ns = atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed) + value_ns;
    atomic_store_explicit(&histogram->sum_ns, sum_ns, memory_order_relaxed);
    _Atomic uint64_t *bucket = &histogram->buckets[ome_histogram_bucket(value_ns)];
    const uint64_t count = atomic_load_explicit(bucket, memory_order_relaxed) + 1;
    /* Pairs with the acquire in ome_histogram_read: a reader that counts a value sees a maximum that is not below it. */
    atomic_store_explicit(bucket, count, memory_order_release);
}

/* Copies a histogram while it is written. Any thread. */
void ome_histogram_read(const ome_histogram_t *histogram, ome_histogram_snapshot_t *snapshot);

/* The value that `rank_per_million` of a million recorded values do not exceed (500000 is the median, 999000 the 99.9th
 * percentile): the smallest recorded value with at least that share at or below it, or at most 1/16 (6.25 %) more;
 * never less, and never more than the maximum. For a value in the last bucket the result is the maximum. 0 when nothing
 * was recorded. `rank_per_million` is at most 1000000. */
uint64_t ome_histogram_percentile(const ome_histogram_snapshot_t *snapshot, uint32_t rank_per_million);

#endif
