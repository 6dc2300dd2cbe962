#include "bench_ring.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "bench_child.h"
#include "bench_cores.h"
#include "bench_queue.h"
#include "concurrent/ome_ring.h"

static_assert(BENCH_CORE_COUNT_MAX >= 1 + BENCH_RING_PRODUCER_COUNT_MAX, "each thread can have a core");

#define SLOT_COUNT OME_RING_SLOT_COUNT_DEFAULT
#define TAKE_COUNT_MAX 256u
#define WAIT_TIMEOUT_NS UINT64_C(1000000000)
#define PAYLOAD_KEY UINT64_C(0x9E3779B97F4A7C15)

/* The body of a message, behind the 8 bytes of the slot's sequence. */
typedef struct
{
    uint64_t producer_index;
    uint64_t number; /* of this producer, from 0 */
    uint64_t payload[5]; /* each number ^ PAYLOAD_KEY */
} message_t;
static_assert(sizeof(message_t) == OME_BODY_SIZE, "a message is the body of a record");

struct run;

/* What is measured: the ring or the queue. */
typedef struct
{
    const char *name;
    void (*produce)(struct run *run, uint32_t producer_index);
    void (*consume)(struct run *run);
} subject_t;

typedef struct run
{
    const subject_t *subject;
    uint32_t producer_count;
    uint32_t batch_count;
    uint64_t count_per_producer; /* whole batches */
    ome_ring_t *ring;
    bench_queue_t queue;
    pthread_barrier_t start;
    bench_cores_t cores; /* the consumer on the first, all producers on the others in turn */
    uint64_t received[BENCH_RING_PRODUCER_COUNT_MAX]; /* written by the consumer */
} run_t;

static void fill(void *record, uint32_t producer_index, uint64_t number)
{
    message_t message = {.producer_index = producer_index, .number = number};
    for (uint32_t i = 0; i < 5; i++)
    {
        message.payload[i] = number ^ PAYLOAD_KEY;
    }
    memcpy((uint8_t *)record + sizeof(uint64_t), &message, sizeof(message));
}

static void receive(run_t *run, const void *record)
{
    message_t message;
    memcpy(&message, (const uint8_t *)record + sizeof(uint64_t), sizeof(message));
    uint64_t *received = &run->received[message.producer_index % BENCH_RING_PRODUCER_COUNT_MAX];
    uint64_t wrong = message.number ^ *received;
    for (uint32_t i = 0; i < 5; i++)
    {
        wrong |= message.payload[i] ^ message.number ^ PAYLOAD_KEY;
    }
    if (wrong != 0 || message.producer_index >= run->producer_count)
    {
        bench_fail("%s: message %" PRIu64 " of producer %" PRIu64 " arrived damaged or out of order", run->subject->name, message.number,
            message.producer_index);
    }
    (*received)++;
}

static uint64_t total(const run_t *run)
{
    return run->count_per_producer * run->producer_count;
}

/* ---- ring ---- */

static void produce_to_ring(run_t *run, uint32_t producer_index)
{
    for (uint64_t number = 0; number < run->count_per_producer; number += run->batch_count)
    {
        uint64_t first_sequence = 0;
        while (ome_ring_claim(run->ring, run->batch_count, OME_RING_CLAIM_SPIN_NS_DEFAULT, &first_sequence) == OME_FULL)
        {
        }
        for (uint32_t i = 0; i < run->batch_count; i++)
        {
            fill(ome_ring_slot(run->ring, first_sequence + i), producer_index, number + i);
        }
        ome_ring_publish(run->ring, first_sequence, run->batch_count);
    }
}

static void consume_from_ring(run_t *run)
{
    uint64_t next = 1;
    while (next <= total(run))
    {
        const uint32_t count = ome_ring_available(run->ring, next, TAKE_COUNT_MAX);
        if (count == 0)
        {
            (void)ome_ring_wait(run->ring, next, WAIT_TIMEOUT_NS);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
        {
            receive(run, ome_ring_slot(run->ring, next + i));
        }
        next += count;
        ome_ring_consumer_advance(run->ring, 0, next - 1);
    }
}

/* ---- queue ---- */

static void produce_to_queue(run_t *run, uint32_t producer_index)
{
    bench_record_t records[BENCH_RING_BATCH_COUNT_MAX] = {0};
    for (uint64_t number = 0; number < run->count_per_producer; number += run->batch_count)
    {
        for (uint32_t i = 0; i < run->batch_count; i++)
        {
            fill(&records[i], producer_index, number + i);
        }
        bench_queue_put(&run->queue, records, run->batch_count);
    }
}

static void consume_from_queue(run_t *run)
{
    bench_record_t records[TAKE_COUNT_MAX];
    uint64_t taken_count = 0;
    while (taken_count < total(run))
    {
        const uint32_t count = bench_queue_take(&run->queue, records, TAKE_COUNT_MAX);
        for (uint32_t i = 0; i < count; i++)
        {
            receive(run, &records[i]);
        }
        taken_count += count;
    }
}

/* ---- runs ---- */

static const subject_t SUBJECTS[2] = {
    {.name = "ome", .produce = produce_to_ring, .consume = consume_from_ring},
    {.name = "queue", .produce = produce_to_queue, .consume = consume_from_queue},
};

typedef struct
{
    run_t *run;
    uint32_t producer_index;
    pthread_t thread;
} producer_t;

static void *produce(void *context)
{
    producer_t *producer = context;
    bench_cores_take(&producer->run->cores, producer->producer_index + 1);
    pthread_barrier_wait(&producer->run->start);
    producer->run->subject->produce(producer->run, producer->producer_index);
    return NULL;
}

static void start_producers(run_t *run, producer_t *producers)
{
    pthread_barrier_init(&run->start, NULL, run->producer_count + 1);
    for (uint32_t i = 0; i < run->producer_count; i++)
    {
        producers[i] = (producer_t){.run = run, .producer_index = i};
        if (pthread_create(&producers[i].thread, NULL, produce, &producers[i]) != 0)
        {
            bench_fail("no thread for a producer");
        }
    }
}

/* Sends all messages once; returns the wall time. The calling thread is the consumer. */
static uint64_t measure_ns(run_t *run)
{
    producer_t producers[BENCH_RING_PRODUCER_COUNT_MAX];
    memset(run->received, 0, sizeof(run->received));
    start_producers(run, producers);
    pthread_barrier_wait(&run->start);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    run->subject->consume(run);
    const uint64_t elapsed_ns = ome_clock_monotonic_ns() - start_ns;
    for (uint32_t i = 0; i < run->producer_count; i++)
    {
        pthread_join(producers[i].thread, NULL);
        if (run->received[i] != run->count_per_producer)
        {
            bench_fail("%s lost messages of producer %" PRIu32, run->subject->name, i);
        }
    }
    pthread_barrier_destroy(&run->start);
    return elapsed_ns;
}

/* A fresh ring in the memory of the last one. */
static void init_ring(run_t *run, void *memory, uint64_t size_bytes)
{
    const ome_ring_config_t config = {.slot_count = SLOT_COUNT, .consumer_count = 1, .wait_strategy = OME_WAIT_BLOCK};
    if (ome_ring_init(&run->ring, memory, size_bytes, &config) != OME_OK)
    {
        bench_fail("the ring refused its configuration");
    }
}

void bench_ring_run(uint32_t producer_count, uint32_t batch_count, uint64_t count, uint32_t repeat)
{
    const uint64_t round_count = (uint64_t)producer_count * batch_count;
    run_t run = {.producer_count = producer_count,
        .batch_count = batch_count,
        .count_per_producer = (count + round_count - 1) / round_count * batch_count};
    const uint64_t ring_bytes = ome_ring_size_bytes(SLOT_COUNT);
    const uint64_t queue_bytes = SLOT_COUNT * sizeof(bench_record_t);
    bench_cores_find(&run.cores);
    bench_cores_take(&run.cores, 0);
    void *ring_memory = ome_memory_map(ring_bytes);
    void *queue_memory = ome_memory_map(queue_bytes);
    if (ring_memory == NULL || queue_memory == NULL)
    {
        bench_fail("no memory for a ring and a queue");
    }
    memset(queue_memory, 0, queue_bytes);
    printf("{\"type\": \"flow\", \"producers\": %" PRIu32 ", \"messages\": %" PRIu64 ", \"message_bytes\": %u, \"slots\": %u, "
           "\"batch\": %u, \"take_max\": %u, \"wait\": \"block\", \"cores_used\": %" PRIu32 "}\n",
        producer_count, total(&run), OME_RECORD_SIZE, SLOT_COUNT, batch_count, TAKE_COUNT_MAX,
        run.cores.core_count < producer_count + 1 ? run.cores.core_count : producer_count + 1);
    for (uint32_t i = 0; i < 2 * repeat; i++)
    {
        run.subject = &SUBJECTS[i % 2];
        init_ring(&run, ring_memory, ring_bytes);
        bench_queue_init(&run.queue, queue_memory, SLOT_COUNT);
        const uint64_t elapsed_ns = measure_ns(&run);
        bench_queue_destroy(&run.queue);
        printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 "}\n", run.subject->name,
            total(&run), elapsed_ns);
    }
    ome_memory_unmap(queue_memory, queue_bytes);
    ome_memory_unmap(ring_memory, ring_bytes);
}
