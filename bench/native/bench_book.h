/* Figures of the book: the engine and the textbook in turn on one flow, each run in a fresh process with its memory touched beforehand.
 *
 * Before anything is timed both apply the flow once and must say the same (bench_window.h); each timed run must give as many events again. What is timed is
 * the CPU time of the thread that applies the flow's timed commands. */
#ifndef BENCH_BOOK_H
#define BENCH_BOOK_H

#include <stdint.h>

/* Prints the flow, the check and `repeat` samples of each book as JSON lines; with `with_latency` also percentiles of single commands. */
void bench_book_run(const char *flow_name, uint64_t count, uint32_t repeat, uint64_t seed, int with_latency);

#endif
