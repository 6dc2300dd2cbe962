/* The yardstick of the ring: a bounded queue of 64-byte records behind one mutex and two condition variables.
 *
 * Producers put whole batches and wait while there is no room; the consumer takes what is there, up to what it asks for, and waits while
 * there is nothing. Records are copied in and out under the lock; the other side is woken after the lock is given back.
 *
 * Threads: any number of producers, one consumer. All fields but the fixed ones are guarded by `lock`. */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include <pthread.h>
#include <stdint.h>

#include "abi/ome_limits.h"

typedef struct
{
    uint8_t bytes[OME_RECORD_SIZE];
} bench_record_t;

typedef struct
{
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    uint64_t put_count; /* records put so far */
    uint64_t taken_count; /* records taken so far */
    uint32_t slot_count; /* a power of two; fixed */
    bench_record_t *slots;
} bench_queue_t;

/* Lays an empty queue over `slots`. */
void bench_queue_init(bench_queue_t *queue, bench_record_t *slots, uint32_t slot_count);

void bench_queue_destroy(bench_queue_t *queue);

/* Puts `count` records, at most `slot_count`; waits until all of them have room. */
void bench_queue_put(bench_queue_t *queue, const bench_record_t *records, uint32_t count);

/* Takes 1 to `count_max` records; waits until there is one. Returns how many. */
uint32_t bench_queue_take(bench_queue_t *queue, bench_record_t *records, uint32_t count_max);

#endif
