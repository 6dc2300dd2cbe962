#include "base/ome_counters.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"

#define RANK_WHOLE 1000000u

size_t ome_counters_size_bytes(uint32_t counter_count, uint32_t histogram_count)
{
    return sizeof(ome_counters_header_t) + counter_count * sizeof(ome_counter_t) + histogram_count * sizeof(ome_histogram_t);
}

static ome_counter_t *counter_at(ome_counters_header_t *header, uint32_t index)
{
    return (ome_counter_t *)(header + 1) + index;
}

static ome_histogram_t *counters_histogram_at(ome_counters_header_t *header, uint32_t index)
{
    return (ome_histogram_t *)counter_at(header, header->counter_count) + index;
}

static bool counters_label_is_valid(const char *label)
{
    const size_t length = strnlen(label, OME_COUNTER_LABEL_SIZE);
    return length >= 1 && length < OME_COUNTER_LABEL_SIZE;
}

static bool counters_definition_is_valid(const ome_counter_definition_t *definition)
{
    return counters_label_is_valid(definition->label) && definition->kind >= OME_COUNTER_KIND_TOTAL &&
           definition->kind <= OME_COUNTER_KIND_GAUGE && definition->unit >= OME_COUNTER_UNIT_COUNT &&
           definition->unit <= OME_COUNTER_UNIT_SEQUENCE;
}

static bool counters_table_is_valid(const ome_counters_table_t *table)
{
    if (table->counter_count > OME_COUNTER_COUNT_MAX || table->histogram_count > OME_COUNTER_COUNT_MAX)
    {
        return false;
    }
    for (uint32_t i = 0; i < table->counter_count; i++)
    {
        if (!counters_definition_is_valid(&table->counters[i]))
        {
            return false;
        }
    }
    for (uint32_t i = 0; i < table->histogram_count; i++)
    {
        if (!counters_label_is_valid(table->histogram_labels[i]))
        {
            return false;
        }
    }
    return true;
}

/* The rest of a label is zero already. */
static void counters_label_copy(char *label, const char *from)
{
    memcpy(label, from, strlen(from));
}

ome_status_t ome_counters_init(ome_counters_t *counters, void *memory, size_t size_bytes, const ome_counters_table_t *table, uint64_t epoch)
{
    if (!counters_table_is_valid(table) || (uintptr_t)memory % OME_CACHE_LINE_SIZE != 0)
    {
        return OME_INVALID;
    }
    const size_t needed_bytes = ome_counters_size_bytes(table->counter_count, table->histogram_count);
    if (size_bytes < needed_bytes)
    {
        return OME_NO_MEMORY;
    }
    memset(memory, 0, needed_bytes);
    ome_counters_header_t *header = memory;
    *header = (ome_counters_header_t){.version = OME_COUNTERS_VERSION,
        .counter_count = table->counter_count,
        .histogram_count = table->histogram_count,
        .start_time_ns = ome_clock_realtime_ns(),
        .pid = (uint64_t)getpid(),
        .epoch = epoch,
        .size_bytes = needed_bytes};
    for (uint32_t i = 0; i < table->counter_count; i++)
    {
        ome_counter_t *counter = counter_at(header, i);
        counters_label_copy(counter->label, table->counters[i].label);
        counter->kind = (uint32_t)table->counters[i].kind;
        counter->unit = (uint32_t)table->counters[i].unit;
    }
    for (uint32_t i = 0; i < table->histogram_count; i++)
    {
        counters_label_copy(counters_histogram_at(header, i)->label, table->histogram_labels[i]);
    }
    header->magic = OME_COUNTERS_MAGIC;
    *counters = (ome_counters_t){.header = header, .mapped_bytes = 0};
    return OME_OK;
}

/* Opens a new file, with all of its blocks on the disk: so a store into the mapping cannot fail because the disk is
 * full. Returns the descriptor, or -1 and errno. */
static int counters_new_file_open(const char *path, size_t size_bytes)
{
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0)
    {
        return -1;
    }
    const int error = posix_fallocate(file, 0, (off_t)size_bytes);
    if (error != 0)
    {
        close(file);
        unlink(path);
        errno = error;
        return -1;
    }
    return file;
}

/* Maps a file and closes the descriptor. NULL and errno when it cannot. */
static void *counters_file_map(int file, size_t size_bytes, int protection)
{
    void *memory = mmap(NULL, size_bytes, protection, MAP_SHARED, file, 0);
    const int error = errno;
    close(file);
    errno = error;
    return memory == MAP_FAILED ? NULL : memory;
}

/* Makes the file under a name of its own and maps it. The name is free afterwards when this fails. */
static ome_status_t counters_new_file_fill(ome_counters_t *counters, const char *path, const ome_counters_table_t *table, uint64_t epoch)
{
    const size_t size_bytes = ome_counters_size_bytes(table->counter_count, table->histogram_count);
    const int file = counters_new_file_open(path, size_bytes);
    if (file < 0)
    {
        return OME_IO_ERROR;
    }
    void *memory = counters_file_map(file, size_bytes, PROT_READ | PROT_WRITE);
    if (memory == NULL)
    {
        const int error = errno;
        unlink(path);
        errno = error;
        return OME_IO_ERROR;
    }
    const ome_status_t status = ome_counters_init(counters, memory, size_bytes, table, epoch);
    OME_ASSERT(status == OME_OK);
    counters->mapped_bytes = size_bytes;
    return OME_OK;
}

ome_status_t ome_counters_create(ome_counters_t *counters, const char *path, const ome_counters_table_t *table, uint64_t epoch)
{
    if (!counters_table_is_valid(table))
    {
        return OME_INVALID;
    }
    char new_path[PATH_MAX];
    const int length = snprintf(new_path, sizeof(new_path), "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof(new_path))
    {
        errno = ENAMETOOLONG;
        return OME_IO_ERROR;
    }
    const ome_status_t status = counters_new_file_fill(counters, new_path, table, epoch);
    if (status != OME_OK)
    {
        return status;
    }
    if (rename(new_path, path) != 0)
    {
        const int error = errno;
        ome_counters_close(counters);
        unlink(new_path);
        errno = error;
        return OME_IO_ERROR;
    }
    return OME_OK;
}

static ome_status_t counters_header_check(const ome_counters_header_t *header, size_t size_bytes)
{
    if (header->magic != OME_COUNTERS_MAGIC)
    {
        return OME_DAMAGED;
    }
    if (header->version != OME_COUNTERS_VERSION)
    {
        return OME_UNSUPPORTED;
    }
    const bool fits = header->size_bytes == size_bytes && header->counter_count <= OME_COUNTER_COUNT_MAX &&
                      header->histogram_count <= OME_COUNTER_COUNT_MAX &&
                      ome_counters_size_bytes(header->counter_count, header->histogram_count) == size_bytes;
    return fits ? OME_OK : OME_DAMAGED;
}

ome_status_t ome_counters_open_read(ome_counters_t *counters, const char *path)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
    {
        return errno == ENOENT ? OME_NOT_FOUND : OME_IO_ERROR;
    }
    struct stat information;
    if (fstat(file, &information) != 0)
    {
        const int error = errno;
        close(file);
        errno = error;
        return OME_IO_ERROR;
    }
    const size_t size_bytes = (size_t)information.st_size;
    if (size_bytes < sizeof(ome_counters_header_t))
    {
        close(file);
        return OME_DAMAGED;
    }
    ome_counters_header_t *header = counters_file_map(file, size_bytes, PROT_READ);
    if (header == NULL)
    {
        return OME_IO_ERROR;
    }
    const ome_status_t status = counters_header_check(header, size_bytes);
    *counters = (ome_counters_t){.header = header, .mapped_bytes = size_bytes};
    if (status != OME_OK)
    {
        ome_counters_close(counters);
    }
    return status;
}

void ome_counters_close(ome_counters_t *counters)
{
    if (counters->mapped_bytes != 0)
    {
        const int result = munmap(counters->header, counters->mapped_bytes);
        OME_ASSERT(result == 0);
    }
    *counters = (ome_counters_t){.header = NULL, .mapped_bytes = 0};
}

ome_counter_t *ome_counters_counter(const ome_counters_t *counters, uint32_t index)
{
    OME_ASSERT(index < counters->header->counter_count);
    return counter_at(counters->header, index);
}

ome_histogram_t *ome_counters_histogram(const ome_counters_t *counters, uint32_t index)
{
    OME_ASSERT(index < counters->header->histogram_count);
    return counters_histogram_at(counters->header, index);
}

void ome_histogram_read(const ome_histogram_t *histogram, ome_histogram_snapshot_t *snapshot)
{
    snapshot->count = 0;
    for (uint32_t i = 0; i < OME_HISTOGRAM_BUCKET_COUNT; i++)
    {
        /* Pairs with the release in ome_histogram_record. */
        snapshot->buckets[i] = atomic_load_explicit(&histogram->buckets[i], memory_order_acquire);
        snapshot->count += snapshot->buckets[i];
    }
    snapshot->max_ns = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
    snapshot->sum_ns = atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
}

/* The highest value of a bucket but the last, which has none. */
static uint64_t counters_bucket_highest_ns(uint32_t bucket)
{
    if (bucket < OME_HISTOGRAM_STEP_COUNT)
    {
        return bucket;
    }
    const uint32_t shift = bucket / OME_HISTOGRAM_STEP_COUNT - 1;
    const uint64_t step = bucket - shift * OME_HISTOGRAM_STEP_COUNT;
    return ((step + 1) << shift) - 1;
}

uint64_t ome_histogram_percentile(const ome_histogram_snapshot_t *snapshot, uint32_t rank_per_million)
{
    OME_ASSERT(rank_per_million <= RANK_WHOLE);
    const unsigned __int128 product = (unsigned __int128)snapshot->count * rank_per_million;
    const uint64_t rank = (uint64_t)((product + RANK_WHOLE - 1) / RANK_WHOLE);
    const uint64_t wanted = rank == 0 ? 1 : rank; /* the minimum for rank 0 */
    uint64_t seen = 0;
    for (uint32_t i = 0; i < OME_HISTOGRAM_BUCKET_COUNT - 1; i++)
    {
        seen += snapshot->buckets[i];
        if (seen >= wanted)
        {
            const uint64_t highest_ns = counters_bucket_highest_ns(i);
            return highest_ns < snapshot->max_ns ? highest_ns : snapshot->max_ns;
        }
    }
    return snapshot->max_ns;
}
