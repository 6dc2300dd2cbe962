/* Figures of the inbound ring: 64-byte messages from producer threads to one consumer thread, through ome_ring and through bench_queue in turn.
 *
 *     producer 1 --+
 *     producer 2 --+--> ring or queue, 32768 slots --> consumer
 *     producer 3 --+
 *
 * The consumer has a core of its own where there are two or more, as in a venue: left alone, the scheduler tends to put the threads that sleep on
 * one mutex on one core, where nothing is handed from core to core.
 *
 * Producers claim `batch_count` slots at a time; the consumer takes what is there, at most 256. Both wait by sleeping, after the short spin that each has. The
 * consumer checks that each producer's messages arrive complete and in order. What is timed is wall time from the start of all threads to the
 * last message. */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <stdint.h>

#define BENCH_RING_PRODUCER_COUNT_MAX 3u

#define BENCH_RING_BATCH_COUNT_MAX 16u

/* Prints `repeat` samples of each as JSON lines. `count` is rounded up to whole batches of every producer. */
void bench_ring_run(uint32_t producer_count, uint32_t batch_count, uint64_t count, uint32_t repeat);

#endif
