/* What the tests of the ring, the stream and the wait objects share: their memory, and threads. */
#ifndef RING_FIXTURE_H
#define RING_FIXTURE_H

#include <pthread.h>
#include <string.h>

#include "base/ome_clock.h"
#include "base/ome_platform.h"
#include "concurrent/ome_ring.h"
#include "concurrent/ome_stream.h"
#include "concurrent/ome_wait.h"
#include "ome_test.h"

#define LONG_NS UINT64_C(20000000000) /* a wait this long means that a wake was lost */
#define MILLISECOND_NS UINT64_C(1000000)

static inline void *memory_new(size_t size_bytes)
{
    void *memory = aligned_alloc(OME_CACHE_LINE_SIZE, size_bytes);
    CHECK(memory != NULL);
    memset(memory, 0xA5, size_bytes);
    return memory;
}

static inline ome_ring_t *ring_new(uint32_t slot_count, uint32_t consumer_count, uint64_t initial_sequence, ome_wait_strategy_t strategy)
{
    const ome_ring_config_t config = {
        .slot_count = slot_count, .consumer_count = consumer_count, .initial_sequence = initial_sequence, .wait_strategy = strategy};
    const size_t size_bytes = ome_ring_size_bytes(slot_count);
    ome_ring_t *ring = NULL;
    CHECK_EQUAL(ome_ring_init(&ring, memory_new(size_bytes), size_bytes, &config), OME_OK);
    return ring;
}

static inline ome_stream_t *stream_new(uint32_t slot_count, uint32_t reader_count, ome_wait_strategy_t strategy)
{
    const ome_stream_config_t config = {.slot_count = slot_count, .reader_count = reader_count, .wait_strategy = strategy};
    const size_t size_bytes = ome_stream_size_bytes(slot_count);
    ome_stream_t *stream = NULL;
    CHECK_EQUAL(ome_stream_init(&stream, memory_new(size_bytes), size_bytes, &config), OME_OK);
    return stream;
}

static inline void thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    CHECK_EQUAL(pthread_create(thread, NULL, run, argument), 0);
}

static inline void thread_join(pthread_t thread)
{
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
}

static inline void spin_for(uint64_t duration_ns)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + duration_ns;
    while (ome_clock_monotonic_ns() < end_ns)
    {
        ome_cpu_relax();
    }
}

#endif
