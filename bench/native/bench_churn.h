/* The figure of churn: a book whose every event is handed to another core.
 *
 *     match thread: up to 256 commands --> book --> [ stream ] --> drainer
 *
 * The match thread takes commands from memory, applies them in batches, and publishes a batch's events with one store, as the match stage does; the drainer reads every
 * word of every event. Each has a core of its own where there are two. Three subjects in turn, behind the same stream: the engine, the
 * textbook, the null engine. The clock runs from the first timed command to the drainer's last event; wall time. */
#ifndef BENCH_CHURN_H
#define BENCH_CHURN_H

#include <stdint.h>

/* Prints the flow, the check and `repeat` samples of each subject as JSON lines. What the drainer read of engine and textbook must be the same in every run. */
void bench_churn_run(uint64_t count, uint32_t repeat, uint64_t seed);

#endif
