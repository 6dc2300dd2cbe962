/* The ring: its edges by one thread, then its promises between threads. */
#define _GNU_SOURCE

#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring_fixture.h"

#define PRODUCER_COUNT 4u
#define CONSUMER_COUNT 2u

static uint64_t seed;

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

/* A slot of the lap before is not taken for one of this lap: it holds an older sequence. A restarted ring goes on after
 * the initial sequence. */
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

/* A ring holds no address and its futex is not private: producers and consumers may map it at different places.
 * ThreadSanitizer takes two addresses for two places, and so cannot see that the consumers stand between one lap's
 * producer and the next's: it does not run this one. */
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

int main(void)
{
    seed = test_seed(1);
    RUN(ring_init_refuses_what_its_header_excludes);
    RUN(ring_is_empty_at_first_and_full_after_as_many_claims_as_slots);
    RUN(ring_claims_a_batch_whole_or_not_at_all);
    RUN(ring_is_held_back_by_its_slowest_consumer);
    RUN(ring_shows_slots_only_up_to_the_first_that_is_not_published);
    RUN(ring_does_not_take_an_old_lap_for_a_new_one);
    RUN(ring_claim_says_full_after_a_bounded_time);
    RUN(ring_delivers_every_record_once_and_in_order_with_block);
    RUN(ring_delivers_every_record_once_and_in_order_with_yield);
    RUN(ring_delivers_every_record_once_and_in_order_with_spin);
    RUN(ring_delivers_every_record_where_it_wraps_at_once);
#if !defined(__SANITIZE_THREAD__)
    RUN(ring_works_between_two_mappings_of_the_same_memory);
#endif
    return 0;
}
