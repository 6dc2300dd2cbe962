/* The stream: its edges by one thread, then its promises between threads. */
#include "ring_fixture.h"

static uint64_t seed;

/* A stream is made only with a power of two from 2 to the limit, 1 to 8 readers, a known strategy and enough aligned memory. */
static void stream_init_refuses_what_its_header_excludes(void)
{
    const size_t size_bytes = ome_stream_size_bytes(8);
    uint8_t *memory = memory_new(size_bytes + OME_CACHE_LINE_SIZE);
    const ome_stream_config_t good = {.slot_count = 8, .reader_count = 1, .wait_strategy = OME_WAIT_BLOCK};
    ome_stream_t *stream = NULL;
    const uint32_t bad_slot_counts[] = {0, 1, 3, 6, 7, 8191, OME_RING_SLOT_COUNT_MAX + 1, OME_RING_SLOT_COUNT_MAX * 2, UINT32_C(1) << 31};
    for (size_t i = 0; i < sizeof(bad_slot_counts) / sizeof(bad_slot_counts[0]); i++)
    {
        ome_stream_config_t config = good;
        config.slot_count = bad_slot_counts[i];
        CHECK_EQUAL(ome_stream_init(&stream, memory, SIZE_MAX, &config), OME_INVALID);
    }
    ome_stream_config_t config = good;
    config.reader_count = 0;
    CHECK_EQUAL(ome_stream_init(&stream, memory, size_bytes, &config), OME_INVALID);
    config.reader_count = OME_RING_CONSUMER_COUNT_MAX + 1;
    CHECK_EQUAL(ome_stream_init(&stream, memory, size_bytes, &config), OME_INVALID);
    config = good;
    config.wait_strategy = (ome_wait_strategy_t)0;
    CHECK_EQUAL(ome_stream_init(&stream, memory, size_bytes, &config), OME_INVALID);
    CHECK_EQUAL(ome_stream_init(&stream, memory + 8, size_bytes, &good), OME_INVALID);
    CHECK_EQUAL(ome_stream_init(&stream, memory, size_bytes - 1, &good), OME_NO_MEMORY);
    CHECK(stream == NULL);
    CHECK_EQUAL(ome_stream_init(&stream, memory + OME_CACHE_LINE_SIZE, size_bytes, &good), OME_OK);
    free(memory);
}

/* Windows and what is readable are contiguous: they end at the wrap, and at the slowest reader. */
static void stream_window_ends_at_the_wrap_and_at_the_slowest_reader(void)
{
    ome_stream_t *stream = stream_new(8, 2, OME_WAIT_BLOCK);
    void *window = NULL;
    const void *slots = NULL;
    CHECK_EQUAL(ome_stream_window(stream, &window), 8);
    void *const start = window;
    CHECK_EQUAL(ome_stream_available(stream, 0, &slots), 0);
    CHECK_EQUAL(ome_stream_wait(stream, 0, MILLISECOND_NS), OME_EMPTY);
    ome_stream_publish(stream, 6);
    CHECK_EQUAL(ome_stream_window(stream, &window), 2);
    CHECK((uint8_t *)window == (uint8_t *)start + (size_t)6 * OME_RECORD_SIZE);
    CHECK_EQUAL(ome_stream_available(stream, 0, &slots), 6);
    CHECK(slots == start);
    ome_stream_publish(stream, 2);
    CHECK_EQUAL(ome_stream_window(stream, &window), 0);
    CHECK_EQUAL(ome_stream_wait_room(stream, MILLISECOND_NS), OME_EMPTY);
    ome_stream_advance(stream, 0, 8);
    CHECK_EQUAL(ome_stream_window(stream, &window), 0);
    ome_stream_advance(stream, 1, 3);
    CHECK_EQUAL(ome_stream_wait_room(stream, 0), OME_OK);
    CHECK_EQUAL(ome_stream_window(stream, &window), 3);
    CHECK(window == start);
    ome_stream_publish(stream, 2);
    CHECK_EQUAL(ome_stream_available(stream, 1, &slots), 5);
    ome_stream_advance(stream, 1, 5);
    CHECK_EQUAL(ome_stream_available(stream, 1, &slots), 2);
    CHECK(slots == start);
    CHECK_EQUAL(ome_stream_published(stream), 10);
    CHECK_EQUAL(ome_stream_reader_position(stream, 1), 8);
    free(stream);
}

/* A reader that is detached does not hold the producer back; without readers nothing does. */
static void stream_is_not_held_back_by_a_detached_reader(void)
{
    ome_stream_t *stream = stream_new(4, 2, OME_WAIT_BLOCK);
    void *window = NULL;
    const void *slots = NULL;
    CHECK_EQUAL(ome_stream_window(stream, &window), 4);
    ome_stream_publish(stream, 4);
    ome_stream_advance(stream, 0, 2);
    CHECK_EQUAL(ome_stream_window(stream, &window), 0);
    ome_stream_detach(stream, 1);
    CHECK_EQUAL(ome_stream_reader_position(stream, 1), OME_STREAM_DETACHED);
    CHECK_EQUAL(ome_stream_wait_room(stream, 0), OME_OK);
    CHECK_EQUAL(ome_stream_window(stream, &window), 2);
    CHECK_EQUAL(ome_stream_available(stream, 0, &slots), 2);
    ome_stream_detach(stream, 0);
    for (int i = 0; i < 100; i++)
    {
        CHECK_EQUAL(ome_stream_wait_room(stream, 0), OME_OK);
        CHECK(ome_stream_window(stream, &window) >= 1);
        ome_stream_publish(stream, 1);
    }
    free(stream);
}

static void *detach_soon(void *argument)
{
    spin_for(2 * MILLISECOND_NS);
    ome_stream_detach(argument, 0);
    return NULL;
}

/* A producer that sleeps because of a reader wakes when the reader leaves. */
static void stream_detach_wakes_the_producer(void)
{
    ome_stream_t *stream = stream_new(4, 1, OME_WAIT_BLOCK);
    ome_stream_publish(stream, 4);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    pthread_t thread;
    thread_start(&thread, detach_soon, stream);
    CHECK_EQUAL(ome_stream_wait_room(stream, LONG_NS), OME_OK);
    CHECK(ome_clock_monotonic_ns() - start_ns < LONG_NS);
    thread_join(thread);
    free(stream);
}

typedef struct
{
    ome_stream_t *stream;
    uint32_t reader_index;
    uint64_t random;
    uint64_t record_count; /* reads so many, then detaches */
} stream_thread_t;

static void stream_slot_fill(uint64_t *slot, uint64_t position)
{
    uint64_t state = position;
    slot[0] = position;
    for (int i = 1; i < 8; i++)
    {
        slot[i] = test_random(&state);
    }
}

/* Word by word and not with memcmp, which the compiler may expand into loads that ThreadSanitizer does not see. */
static void stream_slot_check(const uint64_t *slot, uint64_t position)
{
    uint64_t expected[8];
    stream_slot_fill(expected, position);
    for (int i = 0; i < 8; i++)
    {
        CHECK_EQUAL(slot[i], expected[i]);
    }
}

static void *stream_produce(void *argument)
{
    stream_thread_t *self = argument;
    uint64_t written = 0;
    while (written < self->record_count)
    {
        void *window = NULL;
        const uint32_t room = ome_stream_window(self->stream, &window);
        if (room == 0)
        {
            CHECK_EQUAL(ome_stream_wait_room(self->stream, LONG_NS), OME_OK);
            continue;
        }
        uint32_t count = 1 + (uint32_t)(test_random(&self->random) % room);
        count = count < self->record_count - written ? count : (uint32_t)(self->record_count - written);
        for (uint32_t i = 0; i < count; i++)
        {
            stream_slot_fill((uint64_t *)window + (size_t)i * 8, written + i);
        }
        ome_stream_publish(self->stream, count);
        written += count;
    }
    return NULL;
}

static void *stream_read(void *argument)
{
    stream_thread_t *self = argument;
    uint64_t position = 0;
    while (position < self->record_count)
    {
        CHECK_EQUAL(ome_stream_wait(self->stream, self->reader_index, LONG_NS), OME_OK);
        const void *slots = NULL;
        uint32_t count = ome_stream_available(self->stream, self->reader_index, &slots);
        CHECK(count >= 1);
        count = 1 + (uint32_t)(test_random(&self->random) % count);
        for (uint32_t i = 0; i < count; i++)
        {
            stream_slot_check((const uint64_t *)slots + (size_t)i * 8, position + i);
        }
        ome_stream_advance(self->stream, self->reader_index, count);
        position += count;
    }
    ome_stream_detach(self->stream, self->reader_index);
    return NULL;
}

static void stream_stress(uint32_t slot_count, ome_wait_strategy_t strategy, uint64_t record_count)
{
    ome_stream_t *stream = stream_new(slot_count, 2, strategy);
    stream_thread_t selves[3] = {{.stream = stream, .random = seed, .record_count = record_count},
        {.stream = stream, .reader_index = 0, .random = seed + 1, .record_count = record_count},
        {.stream = stream, .reader_index = 1, .random = seed + 2, .record_count = record_count / 2}};
    pthread_t threads[3];
    thread_start(&threads[0], stream_produce, &selves[0]);
    thread_start(&threads[1], stream_read, &selves[1]);
    thread_start(&threads[2], stream_read, &selves[2]);
    for (int i = 0; i < 3; i++)
    {
        thread_join(threads[i]);
    }
    CHECK_EQUAL(ome_stream_published(stream), record_count);
    free(stream);
}

/* One producer, two readers of which one leaves half way: each sees every record whole, in order, with no timeout needed. */
static void stream_delivers_every_record_to_every_reader(void)
{
    stream_stress(64, OME_WAIT_BLOCK, 200000);
    stream_stress(64, OME_WAIT_YIELD, 100000);
    stream_stress(64, OME_WAIT_SPIN, 2000);
    stream_stress(2, OME_WAIT_BLOCK, 10000);
    stream_stress(4, OME_WAIT_YIELD, 10000);
    stream_stress(8, OME_WAIT_BLOCK, 20000);
}

int main(void)
{
    seed = test_seed(1);
    RUN(stream_init_refuses_what_its_header_excludes);
    RUN(stream_window_ends_at_the_wrap_and_at_the_slowest_reader);
    RUN(stream_is_not_held_back_by_a_detached_reader);
    RUN(stream_detach_wakes_the_producer);
    RUN(stream_delivers_every_record_to_every_reader);
    return 0;
}
