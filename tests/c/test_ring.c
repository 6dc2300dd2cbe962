/* The ring, the stream and the wait objects: their edges by one thread, then their promises between threads. */
#define _GNU_SOURCE

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "base/ome_platform.h"
#include "concurrent/ome_ring.h"
#include "concurrent/ome_stream.h"
#include "concurrent/ome_wait.h"
#include "ome_test.h"

#define PRODUCER_COUNT 4u
#define CONSUMER_COUNT 2u
#define LONG_NS UINT64_C(20000000000) /* a wait this long means that a wake was lost */
#define MILLISECOND_NS UINT64_C(1000000)

static uint64_t seed;

static void *memory_new(size_t size_bytes)
{
    void *memory = aligned_alloc(OME_CACHE_LINE_SIZE, size_bytes);
    CHECK(memory != NULL);
    memset(memory, 0xA5, size_bytes);
    return memory;
}

static ome_ring_t *ring_new(uint32_t slot_count, uint32_t consumer_count, uint64_t initial_sequence, ome_wait_strategy_t strategy)
{
    const ome_ring_config_t config = {
        .slot_count = slot_count, .consumer_count = consumer_count, .initial_sequence = initial_sequence, .wait_strategy = strategy};
    const size_t size_bytes = ome_ring_size_bytes(slot_count);
    ome_ring_t *ring = NULL;
    CHECK_EQUAL(ome_ring_init(&ring, memory_new(size_bytes), size_bytes, &config), OME_OK);
    return ring;
}

static ome_stream_t *stream_new(uint32_t slot_count, uint32_t reader_count, ome_wait_strategy_t strategy)
{
    const ome_stream_config_t config = {.slot_count = slot_count, .reader_count = reader_count, .wait_strategy = strategy};
    const size_t size_bytes = ome_stream_size_bytes(slot_count);
    ome_stream_t *stream = NULL;
    CHECK_EQUAL(ome_stream_init(&stream, memory_new(size_bytes), size_bytes, &config), OME_OK);
    return stream;
}

static void thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    CHECK_EQUAL(pthread_create(thread, NULL, run, argument), 0);
}

static void thread_join(pthread_t thread)
{
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
}

static void spin_for(uint64_t duration_ns)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + duration_ns;
    while (ome_clock_monotonic_ns() < end_ns)
    {
        ome_cpu_relax();
    }
}

/* ---- the ring, one thread ---- */

/* A ring is made only with a power of two from 2 to the limit, 1 to 8 consumers, a known strategy and enough aligned memory. */
static void ring_init_refuses_what_its_header_excludes(void)
{
    const size_t size_bytes = ome_ring_size_bytes(8);
    uint8_t *memory = memory_new(size_bytes + OME_CACHE_LINE_SIZE);
    const ome_ring_config_t good = {.slot_count = 8, .consumer_count = 1, .initial_sequence = 0, .wait_strategy = OME_WAIT_BLOCK};
    ome_ring_t *ring = NULL;
    const uint32_t bad_slot_counts[] = {0, 1, 3, 6, 7, 8191, OME_RING_SLOT_COUNT_MAX + 1, OME_RING_SLOT_COUNT_MAX * 2, UINT32_C(1) << 31};
    for (size_t i = 0; i < sizeof(bad_slot_counts) / sizeof(bad_slot_counts[0]); i++)
    {
        ome_ring_config_t config = good;
        config.slot_count = bad_slot_counts[i];
        CHECK_EQUAL(ome_ring_init(&ring, memory, SIZE_MAX, &config), OME_INVALID);
    }
    ome_ring_config_t config = good;
    config.consumer_count = 0;
    CHECK_EQUAL(ome_ring_init(&ring, memory, size_bytes, &config), OME_INVALID);
    config.consumer_count = OME_RING_CONSUMER_COUNT_MAX + 1;
    CHECK_EQUAL(ome_ring_init(&ring, memory, size_bytes, &config), OME_INVALID);
    config = good;
    config.initial_sequence = OME_SEQUENCE_INITIAL_MAX + 1;
    CHECK_EQUAL(ome_ring_init(&ring, memory, size_bytes, &config), OME_INVALID);
    config = good;
    config.wait_strategy = (ome_wait_strategy_t)0;
    CHECK_EQUAL(ome_ring_init(&ring, memory, size_bytes, &config), OME_INVALID);
    config.wait_strategy = (ome_wait_strategy_t)4;
    CHECK_EQUAL(ome_ring_init(&ring, memory, size_bytes, &config), OME_INVALID);
    CHECK_EQUAL(ome_ring_init(&ring, memory + 8, size_bytes, &good), OME_INVALID);
    CHECK_EQUAL(ome_ring_init(&ring, memory, size_bytes - 1, &good), OME_NO_MEMORY);
    CHECK(ring == NULL);
    CHECK_EQUAL(ome_ring_init(&ring, memory + OME_CACHE_LINE_SIZE, size_bytes, &good), OME_OK);
    CHECK((void *)ring == (void *)(memory + OME_CACHE_LINE_SIZE));
    free(memory);
}

/* The first sequence is 1; a ring of n slots takes n claims and then says OME_FULL, until a consumer has processed one. */
static void ring_is_empty_at_first_and_full_after_as_many_claims_as_slots(void)
{
    ome_ring_t *ring = ring_new(4, 1, 0, OME_WAIT_SPIN);
    uint64_t sequence = 0;
    CHECK_EQUAL(ome_ring_available(ring, 1, 100), 0);
    CHECK_EQUAL(ome_ring_wait(ring, 1, 0), OME_EMPTY);
    for (uint64_t wanted = 1; wanted <= 4; wanted++)
    {
        CHECK_EQUAL(ome_ring_try_claim(ring, 1, &sequence), OME_OK);
        CHECK_EQUAL(sequence, wanted);
        ome_ring_publish(ring, sequence, 1);
    }
    CHECK_EQUAL(ome_ring_try_claim(ring, 1, &sequence), OME_FULL);
    CHECK_EQUAL(ome_ring_cursor(ring), 4);
    CHECK_EQUAL(ome_ring_available(ring, 1, 100), 4);
    CHECK_EQUAL(ome_ring_available(ring, 1, 3), 3);
    CHECK_EQUAL(ome_ring_available(ring, 4, 100), 1);
    CHECK_EQUAL(ome_ring_wait(ring, 4, 0), OME_OK);
    ome_ring_consumer_advance(ring, 0, 1);
    CHECK_EQUAL(ome_ring_consumer_sequence(ring, 0), 1);
    CHECK_EQUAL(ome_ring_try_claim(ring, 1, &sequence), OME_OK);
    CHECK_EQUAL(sequence, 5);
    CHECK_EQUAL(ome_ring_try_claim(ring, 1, &sequence), OME_FULL);
    free(ring);
}

/* A batch is 1 to slot_count slots, claimed whole or not at all. */
static void ring_claims_a_batch_whole_or_not_at_all(void)
{
    ome_ring_t *ring = ring_new(8, 1, 0, OME_WAIT_YIELD);
    uint64_t first = 0;
    CHECK_EQUAL(ome_ring_try_claim(ring, 0, &first), OME_INVALID);
    CHECK_EQUAL(ome_ring_try_claim(ring, 9, &first), OME_INVALID);
    CHECK_EQUAL(ome_ring_claim(ring, 0, 0, &first), OME_INVALID);
    CHECK_EQUAL(ome_ring_try_claim(ring, 5, &first), OME_OK);
    CHECK_EQUAL(first, 1);
    CHECK_EQUAL(ome_ring_try_claim(ring, 4, &first), OME_FULL);
    CHECK_EQUAL(ome_ring_cursor(ring), 5);
    CHECK_EQUAL(ome_ring_try_claim(ring, 3, &first), OME_OK);
    CHECK_EQUAL(first, 6);
    ome_ring_publish(ring, 1, 8);
    ome_ring_consumer_advance(ring, 0, 8);
    CHECK_EQUAL(ome_ring_try_claim(ring, 8, &first), OME_OK);
    CHECK_EQUAL(first, 9);
    free(ring);
}

/* Nothing is written over that the slowest consumer has not processed. */
static void ring_is_held_back_by_its_slowest_consumer(void)
{
    ome_ring_t *ring = ring_new(4, 3, 0, OME_WAIT_SPIN);
    uint64_t first = 0;
    CHECK_EQUAL(ome_ring_try_claim(ring, 4, &first), OME_OK);
    ome_ring_publish(ring, 1, 4);
    ome_ring_consumer_advance(ring, 0, 4);
    ome_ring_consumer_advance(ring, 1, 3);
    CHECK_EQUAL(ome_ring_try_claim(ring, 1, &first), OME_FULL);
    ome_ring_consumer_advance(ring, 2, 1);
    CHECK_EQUAL(ome_ring_try_claim(ring, 2, &first), OME_FULL);
    CHECK_EQUAL(ome_ring_try_claim(ring, 1, &first), OME_OK);
    CHECK_EQUAL(first, 5);
    free(ring);
}

/* Consumers stop at the first slot that is not published, in whatever order producers finish. */
static void ring_shows_slots_only_up_to_the_first_that_is_not_published(void)
{
    ome_ring_t *ring = ring_new(8, 1, 0, OME_WAIT_BLOCK);
    uint64_t early = 0;
    uint64_t late = 0;
    CHECK_EQUAL(ome_ring_try_claim(ring, 3, &early), OME_OK);
    CHECK_EQUAL(ome_ring_try_claim(ring, 2, &late), OME_OK);
    ome_ring_publish(ring, late, 2);
    CHECK_EQUAL(ome_ring_available(ring, 1, 8), 0);
    CHECK_EQUAL(ome_ring_wait(ring, 1, MILLISECOND_NS), OME_EMPTY);
    ome_ring_publish(ring, early, 1);
    CHECK_EQUAL(ome_ring_available(ring, 1, 8), 1);
    ome_ring_publish(ring, early + 1, 2);
    CHECK_EQUAL(ome_ring_available(ring, 1, 8), 5);
    free(ring);
}

/* A slot of the lap before is not taken for one of this lap: it holds an older sequence. A restarted ring goes on after the initial sequence. */
static void ring_does_not_take_an_old_lap_for_a_new_one(void)
{
    const uint64_t initials[] = {0, 1, 2, 3, 1000003, OME_SEQUENCE_INITIAL_MAX};
    for (size_t i = 0; i < sizeof(initials) / sizeof(initials[0]); i++)
    {
        ome_ring_t *ring = ring_new(2, 1, initials[i], OME_WAIT_SPIN);
        uint64_t consumed = initials[i];
        for (uint32_t step = 0; step < 1000; step++)
        {
            uint64_t first = 0;
            const uint32_t count = 1 + step % 2;
            CHECK_EQUAL(ome_ring_available(ring, consumed + 1, 2), 0);
            CHECK_EQUAL(ome_ring_try_claim(ring, count, &first), OME_OK);
            CHECK_EQUAL(first, consumed + 1);
            CHECK_EQUAL(ome_ring_available(ring, consumed + 1, 2), 0);
            ome_ring_publish(ring, first, count);
            CHECK_EQUAL(ome_ring_available(ring, consumed + 1, UINT32_MAX), count);
            consumed += count;
            ome_ring_consumer_advance(ring, 0, consumed);
        }
        free(ring);
    }
}

/* On a full ring the answer busy comes after the time asked for, and not much later. */
static void ring_claim_says_full_after_a_bounded_time(void)
{
    const ome_wait_strategy_t strategies[] = {OME_WAIT_SPIN, OME_WAIT_YIELD, OME_WAIT_BLOCK};
    for (size_t i = 0; i < 3; i++)
    {
        ome_ring_t *ring = ring_new(2, 1, 0, strategies[i]);
        uint64_t first = 0;
        CHECK_EQUAL(ome_ring_claim(ring, 2, OME_RING_CLAIM_SPIN_NS_DEFAULT, &first), OME_OK);
        uint64_t best_ns = UINT64_MAX;
        for (int attempt = 0; attempt < 50; attempt++)
        {
            const uint64_t start_ns = ome_clock_monotonic_ns();
            CHECK_EQUAL(ome_ring_claim(ring, 1, OME_RING_CLAIM_SPIN_NS_DEFAULT, &first), OME_FULL);
            const uint64_t taken_ns = ome_clock_monotonic_ns() - start_ns;
            CHECK(taken_ns >= OME_RING_CLAIM_SPIN_NS_DEFAULT);
            best_ns = taken_ns < best_ns ? taken_ns : best_ns;
        }
        /* Of fifty, one at least was not interrupted by other work on the machine. */
        CHECK(best_ns < 10 * OME_RING_CLAIM_SPIN_NS_DEFAULT);
        free(ring);
    }
}

/* With each strategy a wait for what does not come ends after its timeout, and not before. */
static void wait_ends_after_its_timeout_with_each_strategy(void)
{
    const ome_wait_strategy_t strategies[] = {OME_WAIT_SPIN, OME_WAIT_YIELD, OME_WAIT_BLOCK};
    for (size_t i = 0; i < 3; i++)
    {
        ome_ring_t *ring = ring_new(2, 1, 0, strategies[i]);
        const uint64_t start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_ring_wait(ring, 1, 5 * MILLISECOND_NS), OME_EMPTY);
        const uint64_t taken_ns = ome_clock_monotonic_ns() - start_ns;
        CHECK(taken_ns >= 5 * MILLISECOND_NS);
        CHECK(taken_ns < LONG_NS);
        free(ring);
    }
}

/* ---- the ring, many threads ---- */

typedef struct
{
    uint64_t sequence;
    uint64_t producer;
    uint64_t number; /* of this producer, from 0 */
    uint64_t payload[4];
    uint64_t checksum;
} test_record_t;
static_assert(sizeof(test_record_t) == OME_RECORD_SIZE, "a test record fills a slot");

static uint64_t checksum_of(const test_record_t *record)
{
    uint64_t state = record->producer << 32 ^ record->number;
    for (int i = 0; i < 4; i++)
    {
        state ^= record->payload[i];
        state = test_random(&state);
    }
    return state;
}

typedef struct
{
    ome_ring_t *ring; /* as the producers see it */
    ome_ring_t *ring_mapped; /* as the consumers see it: the same bytes */
    uint64_t initial_sequence;
    uint64_t records_per_producer;
    uint32_t batch_count_max;
} stress_t;

typedef struct
{
    stress_t *stress;
    uint32_t index;
    uint64_t random;
} stress_thread_t;

static void record_fill(ome_ring_t *ring, uint64_t sequence, uint32_t producer, uint64_t number, uint64_t *random)
{
    test_record_t *record = ome_ring_slot(ring, sequence);
    record->producer = producer;
    record->number = number;
    for (int i = 0; i < 4; i++)
    {
        record->payload[i] = test_random(random);
    }
    record->checksum = checksum_of(record);
}

static void *stress_produce(void *argument)
{
    stress_thread_t *self = argument;
    ome_ring_t *ring = self->stress->ring;
    const uint64_t record_count = self->stress->records_per_producer;
    uint64_t number = 0;
    while (number < record_count)
    {
        const uint64_t left = record_count - number;
        const uint64_t wish = 1 + test_random(&self->random) % self->stress->batch_count_max;
        const uint32_t count = (uint32_t)(wish < left ? wish : left);
        uint64_t first = 0;
        while (ome_ring_claim(ring, count, OME_RING_CLAIM_SPIN_NS_DEFAULT, &first) == OME_FULL)
        {
            sched_yield();
        }
        for (uint32_t i = 0; i < count; i++)
        {
            record_fill(ring, first + i, self->index, number + i, &self->random);
        }
        const uint32_t part = (uint32_t)(test_random(&self->random) % (count + 1)); /* publish in two parts, one perhaps empty */
        ome_ring_publish(ring, first, part);
        ome_ring_publish(ring, first + part, count - part);
        number += count;
    }
    return NULL;
}

static void record_check(const test_record_t *record, uint64_t sequence, uint64_t next_numbers[PRODUCER_COUNT])
{
    CHECK_EQUAL(record->sequence, sequence);
    CHECK(record->producer < PRODUCER_COUNT);
    CHECK_EQUAL(record->number, next_numbers[record->producer]);
    CHECK_EQUAL(record->checksum, checksum_of(record));
    next_numbers[record->producer]++;
}

static void *stress_consume(void *argument)
{
    stress_thread_t *self = argument;
    ome_ring_t *ring = self->stress->ring_mapped;
    uint64_t next_numbers[PRODUCER_COUNT] = {0};
    uint64_t consumed = self->stress->initial_sequence;
    const uint64_t end = consumed + PRODUCER_COUNT * self->stress->records_per_producer;
    while (consumed < end)
    {
        const uint64_t start_ns = ome_clock_monotonic_ns();
        while (ome_ring_wait(ring, consumed + 1, ring->wait.strategy == OME_WAIT_BLOCK ? LONG_NS : UINT64_C(50000)) != OME_OK)
        {
            CHECK(ome_clock_monotonic_ns() - start_ns < LONG_NS);
            sched_yield();
        }
        const uint32_t count = ome_ring_available(ring, consumed + 1, 1 + (uint32_t)(test_random(&self->random) % 16));
        CHECK(count >= 1);
        for (uint32_t i = 0; i < count; i++)
        {
            consumed++;
            record_check(ome_ring_slot(ring, consumed), consumed, next_numbers);
        }
        ome_ring_consumer_advance(ring, self->index, consumed);
    }
    CHECK_EQUAL(ome_ring_available(ring, consumed + 1, 1), 0);
    for (uint32_t i = 0; i < PRODUCER_COUNT; i++)
    {
        CHECK_EQUAL(next_numbers[i], self->stress->records_per_producer);
    }
    return NULL;
}

static void stress_run(stress_t *stress)
{
    pthread_t threads[PRODUCER_COUNT + CONSUMER_COUNT];
    stress_thread_t selves[PRODUCER_COUNT + CONSUMER_COUNT];
    for (uint32_t i = 0; i < PRODUCER_COUNT + CONSUMER_COUNT; i++)
    {
        const bool produces = i < PRODUCER_COUNT;
        selves[i] = (stress_thread_t){.stress = stress, .index = produces ? i : i - PRODUCER_COUNT, .random = seed + i};
        thread_start(&threads[i], produces ? stress_produce : stress_consume, &selves[i]);
    }
    for (uint32_t i = 0; i < PRODUCER_COUNT + CONSUMER_COUNT; i++)
    {
        thread_join(threads[i]);
    }
}

static void stress_ring(uint32_t slot_count, ome_wait_strategy_t strategy, uint64_t records_per_producer, uint64_t initial_sequence)
{
    ome_ring_t *ring = ring_new(slot_count, CONSUMER_COUNT, initial_sequence, strategy);
    stress_t stress = {.ring = ring,
        .ring_mapped = ring,
        .initial_sequence = initial_sequence,
        .records_per_producer = records_per_producer,
        .batch_count_max = slot_count < 16 ? slot_count : 16};
    stress_run(&stress);
    CHECK_EQUAL(ome_ring_cursor(ring), initial_sequence + PRODUCER_COUNT * records_per_producer);
    free(ring);
}

/* Four producers with single and batch claims, two consumers: every record once, in its producer's order, whole. */
static void ring_delivers_every_record_once_and_in_order_with_block(void)
{
    stress_ring(64, OME_WAIT_BLOCK, 100000, 0);
}

static void ring_delivers_every_record_once_and_in_order_with_yield(void)
{
    stress_ring(64, OME_WAIT_YIELD, 100000, 12345);
}

static void ring_delivers_every_record_once_and_in_order_with_spin(void)
{
    stress_ring(64, OME_WAIT_SPIN, 10000, 0);
}

/* The same where every few records wrap around. */
static void ring_delivers_every_record_where_it_wraps_at_once(void)
{
    stress_ring(2, OME_WAIT_BLOCK, 5000, 7);
    stress_ring(4, OME_WAIT_YIELD, 10000, 0);
    stress_ring(8, OME_WAIT_BLOCK, 20000, 0);
    stress_ring(2, OME_WAIT_SPIN, 200, 0);
}

/* A ring holds no address and its futex is not private: producers and consumers may map it at different places. ThreadSanitizer takes two addresses
 * for two places, and so cannot see that the consumers stand between one lap's producer and the next's: it does not run this one. */
#if !defined(__SANITIZE_THREAD__)
static void ring_works_between_two_mappings_of_the_same_memory(void)
{
    const size_t size_bytes = ome_ring_size_bytes(64);
    const int file = memfd_create("ring", MFD_CLOEXEC);
    CHECK(file >= 0);
    CHECK_EQUAL(ftruncate(file, (off_t)size_bytes), 0);
    void *here = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    void *there = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(here != MAP_FAILED);
    CHECK(there != MAP_FAILED);
    const ome_ring_config_t config = {.slot_count = 64, .consumer_count = CONSUMER_COUNT, .wait_strategy = OME_WAIT_BLOCK};
    ome_ring_t *ring = NULL;
    CHECK_EQUAL(ome_ring_init(&ring, here, size_bytes, &config), OME_OK);
    stress_t stress = {.ring = ring, .ring_mapped = there, .records_per_producer = 5000, .batch_count_max = 8};
    stress_run(&stress);
    CHECK_EQUAL(munmap(here, size_bytes), 0);
    CHECK_EQUAL(munmap(there, size_bytes), 0);
    CHECK_EQUAL(close(file), 0);
}
#endif

/* ---- wakes ---- */

#define PING_PONG_COUNT 100000u

typedef struct
{
    ome_ring_t *to_other;
    ome_ring_t *to_self;
    bool starts;
    uint64_t random;
    uint64_t timeout_count;
} player_t;

/* What comes in goes out again, after a pause that is now shorter and now longer than the spinning before the sleep: so that wakes meet waiters
 * that spin, that are about to sleep, and that sleep. */
static void *play(void *argument)
{
    player_t *self = argument;
    for (uint64_t turn = 1; turn <= PING_PONG_COUNT / 2; turn++)
    {
        if (!self->starts || turn > 1)
        {
            const uint64_t wanted = self->starts ? turn - 1 : turn;
            while (ome_ring_wait(self->to_self, wanted, LONG_NS / 10) != OME_OK)
            {
                self->timeout_count++;
                CHECK(self->timeout_count < 10);
            }
            ome_ring_consumer_advance(self->to_self, 0, wanted);
        }
        spin_for(test_random(&self->random) % (2 * OME_WAIT_SPIN_NS));
        uint64_t first = 0;
        CHECK_EQUAL(ome_ring_try_claim(self->to_other, 1, &first), OME_OK);
        CHECK_EQUAL(first, turn);
        ome_ring_publish(self->to_other, first, 1);
    }
    return NULL;
}

/* Two threads that wait for each other in turns never need a timeout. */
static void wake_is_not_lost_in_a_ping_pong(void)
{
    ome_ring_t *a = ring_new(4, 1, 0, OME_WAIT_BLOCK);
    ome_ring_t *b = ring_new(4, 1, 0, OME_WAIT_BLOCK);
    player_t players[2] = {{.to_other = a, .to_self = b, .starts = true, .random = seed}, {.to_other = b, .to_self = a, .random = ~seed}};
    pthread_t threads[2];
    thread_start(&threads[0], play, &players[0]);
    thread_start(&threads[1], play, &players[1]);
    thread_join(threads[0]);
    thread_join(threads[1]);
    CHECK_EQUAL(players[0].timeout_count, 0);
    CHECK_EQUAL(players[1].timeout_count, 0);
    free(a);
    free(b);
}

#define POLL_COUNT 20000u

typedef struct
{
    ome_stream_t *stream;
    int event_fd;
    uint64_t sleep_count;
} poller_t;

/* The loop of ome_wait.h, for a thread that sleeps in poll(). */
static void *poll_and_read(void *argument)
{
    poller_t *self = argument;
    ome_wait_t *wait = ome_stream_reader_wait(self->stream, 0);
    const void *slots = NULL;
    uint64_t read_count = 0;
    while (read_count < POLL_COUNT)
    {
        uint32_t count = ome_stream_available(self->stream, 0, &slots);
        if (count == 0)
        {
            ome_wait_prepare(wait);
            if (ome_stream_available(self->stream, 0, &slots) == 0)
            {
                struct pollfd descriptor = {.fd = self->event_fd, .events = POLLIN};
                CHECK_EQUAL(poll(&descriptor, 1, (int)(LONG_NS / MILLISECOND_NS)), 1);
                uint64_t wakes = 0;
                CHECK_EQUAL(read(self->event_fd, &wakes, sizeof(wakes)), (ssize_t)sizeof(wakes));
                CHECK(wakes >= 1); /* 2 when a waker was still on its way when the announcement before was cancelled */
                self->sleep_count++;
            }
            ome_wait_cancel(wait);
            continue;
        }
        read_count += count;
        ome_stream_advance(self->stream, 0, count);
    }
    return NULL;
}

/* A reader that sleeps in poll() is woken through its event descriptor, whether the strategy is one that sleeps or not. */
static void wake_is_not_lost_by_a_reader_in_poll(void)
{
    const ome_wait_strategy_t strategies[] = {OME_WAIT_SPIN, OME_WAIT_BLOCK};
    for (size_t i = 0; i < 2; i++)
    {
        poller_t poller = {.stream = stream_new(8, 1, strategies[i]), .event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
        CHECK(poller.event_fd >= 0);
        CHECK_EQUAL(ome_wait_set_event_fd(ome_stream_reader_wait(poller.stream, 0), poller.event_fd), OME_OK);
        pthread_t thread;
        thread_start(&thread, poll_and_read, &poller);
        uint64_t random = seed;
        for (uint32_t written = 0; written < POLL_COUNT;)
        {
            void *slots = NULL;
            if (ome_stream_window(poller.stream, &slots) == 0)
            {
                CHECK_EQUAL(ome_stream_wait_room(poller.stream, LONG_NS), OME_OK);
                continue;
            }
            spin_for(test_random(&random) % 8000);
            ome_stream_publish(poller.stream, 1);
            written++;
        }
        thread_join(thread);
        CHECK(poller.sleep_count > 0);
        CHECK_EQUAL(close(poller.event_fd), 0);
        free(poller.stream);
    }
}

/* Nobody has announced a sleep, so a publication writes nothing; after a cancel neither. */
static void wake_writes_to_the_event_descriptor_only_when_asked(void)
{
    ome_stream_t *stream = stream_new(8, 2, OME_WAIT_BLOCK);
    ome_wait_t *wait = ome_stream_reader_wait(stream, 1);
    const int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(event_fd >= 0);
    CHECK_EQUAL(ome_wait_set_event_fd(wait, event_fd), OME_OK);
    uint64_t wakes = 0;
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), -1);
    ome_wait_prepare(wait);
    ome_wait_cancel(wait);
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), -1);
    ome_wait_prepare(wait);
    ome_stream_publish(stream, 1);
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), (ssize_t)sizeof(wakes));
    CHECK_EQUAL(wakes, 1);
    ome_stream_advance(stream, 1, 4);
    CHECK_EQUAL(ome_stream_wait(stream, 1, MILLISECOND_NS), OME_EMPTY); /* announced a sleep on the futex, not in poll() */
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), -1);
    CHECK_EQUAL(close(event_fd), 0);
    free(stream);
}

/* Two announcements with a wake in between differ: who is on its way to sleep for the first does not sleep through that wake. */
static void wake_makes_the_next_announcement_another(void)
{
    ome_wait_t wait;
    CHECK_EQUAL(ome_wait_init(&wait, OME_WAIT_BLOCK), OME_OK);
    CHECK_EQUAL(ome_wait_set_event_fd(&wait, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), OME_OK);
    CHECK(wait.event_fd >= 0);
    ome_wait_prepare(&wait);
    const uint32_t first = atomic_load_explicit(&wait.word, memory_order_relaxed);
    ome_wait_notify(&wait);
    ome_wait_prepare(&wait);
    CHECK(atomic_load_explicit(&wait.word, memory_order_relaxed) != first);
    CHECK_EQUAL(close(wait.event_fd), 0);
}

#define MEETING_COUNT 200000u

typedef struct
{
    ome_ring_t *ring; /* or NULL */
    ome_stream_t *stream; /* or NULL */
    ome_wait_t *wait;
    _Atomic uint32_t arrived; /* twice in each round by each thread */
    bool saw[MEETING_COUNT];
} meeting_t;

/* Both threads leave at the same moment, or as near to it as can be. */
static void meet(meeting_t *meeting, uint32_t *stage)
{
    *stage += 2;
    atomic_fetch_add_explicit(&meeting->arrived, 1, memory_order_acq_rel); /* pairs with itself: what was done before is seen after */
    const uint64_t start_ns = ome_clock_monotonic_ns();
    while (atomic_load_explicit(&meeting->arrived, memory_order_acquire) < *stage)
    {
        if (ome_clock_monotonic_ns() - start_ns > 20000)
        {
            sched_yield(); /* the other does not run now */
        }
    }
}

/* A few nanoseconds, more or fewer each time. */
static void stagger(uint64_t *random)
{
    for (volatile uint64_t left = test_random(random) % 32; left > 0; left--)
    {
    }
}

static void *meet_as_waiter(void *argument)
{
    meeting_t *self = argument;
    const void *slots = NULL;
    uint32_t stage = 0;
    uint64_t random = seed;
    for (uint32_t round = 0; round < MEETING_COUNT; round++)
    {
        meet(self, &stage);
        stagger(&random);
        ome_wait_prepare(self->wait);
        self->saw[round] =
            self->ring != NULL ? ome_ring_available(self->ring, round + 1, 1) == 1 : ome_stream_available(self->stream, 0, &slots) == 1;
        meet(self, &stage);
        if (self->ring != NULL)
        {
            ome_ring_consumer_advance(self->ring, 0, round + 1);
        }
        else
        {
            ome_stream_advance(self->stream, 0, 1);
        }
    }
    return NULL;
}

/* A waiter announces itself and looks, a waker publishes and looks, both at once: at least one of them sees the other. */
static void meet_as_waker(meeting_t *self)
{
    uint32_t stage = 0;
    uint64_t random = ~seed;
    uint64_t sequence = 0;
    void *window = NULL;
    pthread_t thread;
    thread_start(&thread, meet_as_waiter, self);
    for (uint32_t round = 0; round < MEETING_COUNT; round++)
    {
        CHECK(self->ring != NULL ? ome_ring_try_claim(self->ring, 1, &sequence) == OME_OK : ome_stream_window(self->stream, &window) > 0);
        meet(self, &stage);
        stagger(&random);
        if (self->ring != NULL)
        {
            ome_ring_publish(self->ring, sequence, 1);
        }
        else
        {
            ome_stream_publish(self->stream, 1);
        }
        meet(self, &stage);
        const bool woken = (atomic_load_explicit(&self->wait->word, memory_order_relaxed) & OME_WAIT_ANYBODY) == 0;
        CHECK(woken || self->saw[round]);
    }
    thread_join(thread);
}

static void wake_or_condition_is_seen_when_both_come_at_once(void)
{
    static meeting_t meetings[2];
    meetings[0].ring = ring_new(8, 1, 0, OME_WAIT_BLOCK);
    meetings[0].wait = &meetings[0].ring->wait;
    meetings[1].stream = stream_new(8, 1, OME_WAIT_BLOCK);
    meetings[1].wait = ome_stream_reader_wait(meetings[1].stream, 0);
    const int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(event_fd >= 0);
    for (int i = 0; i < 2; i++)
    {
        CHECK_EQUAL(ome_wait_set_event_fd(meetings[i].wait, event_fd), OME_OK);
        meet_as_waker(&meetings[i]);
    }
    CHECK_EQUAL(close(event_fd), 0);
    free(meetings[0].ring);
    free(meetings[1].stream);
}

/* ---- the stream ---- */

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
    setvbuf(stdout, NULL, _IOLBF, 0);
    seed = test_seed(1);
    RUN(ring_init_refuses_what_its_header_excludes);
    RUN(ring_is_empty_at_first_and_full_after_as_many_claims_as_slots);
    RUN(ring_claims_a_batch_whole_or_not_at_all);
    RUN(ring_is_held_back_by_its_slowest_consumer);
    RUN(ring_shows_slots_only_up_to_the_first_that_is_not_published);
    RUN(ring_does_not_take_an_old_lap_for_a_new_one);
    RUN(ring_claim_says_full_after_a_bounded_time);
    RUN(wait_ends_after_its_timeout_with_each_strategy);
    RUN(ring_delivers_every_record_once_and_in_order_with_block);
    RUN(ring_delivers_every_record_once_and_in_order_with_yield);
    RUN(ring_delivers_every_record_once_and_in_order_with_spin);
    RUN(ring_delivers_every_record_where_it_wraps_at_once);
#if !defined(__SANITIZE_THREAD__)
    RUN(ring_works_between_two_mappings_of_the_same_memory);
#endif
    RUN(wake_is_not_lost_in_a_ping_pong);
    RUN(wake_is_not_lost_by_a_reader_in_poll);
    RUN(wake_writes_to_the_event_descriptor_only_when_asked);
    RUN(wake_makes_the_next_announcement_another);
    RUN(wake_or_condition_is_seen_when_both_come_at_once);
    RUN(stream_init_refuses_what_its_header_excludes);
    RUN(stream_window_ends_at_the_wrap_and_at_the_slowest_reader);
    RUN(stream_is_not_held_back_by_a_detached_reader);
    RUN(stream_detach_wakes_the_producer);
    RUN(stream_delivers_every_record_to_every_reader);
    return 0;
}
