/* Figures of the book: the engine and the textbook in turn on one flow, each run in a fresh process with its memory touched beforehand.
 *
 * Before anything is timed both apply the flow once and must say the same (bench_window.h); each timed run must give as many events again. What is timed is
 * the CPU time of the thread that applies the flow's timed commands. */
#ifndef BENCH_BOOK_H
#define BENCH_BOOK_H

#include <stdint.h>

#include "bench_flow.h"
#include "bench_subject.h"
#include "bench_window.h"

/* Prints the flow, the check and `repeat` samples of each book as JSON lines; with `with_latency` also percentiles of single commands (bench_latency.h). */
void bench_book_run(const char *flow_name, uint64_t count, uint32_t repeat, uint64_t seed, int with_latency);

/* Prints the flow, the check and percentiles of single commands. */
void bench_book_run_latency(const char *flow_name, uint64_t count, uint32_t repeat, uint64_t seed);

/* Makes a flow and prints it; both books apply it, and must say the same, which is printed too. Ends the process when they do not. `*event_count` is how many
 * events that is. */
const bench_flow_t *bench_book_agree(const char *flow_name, uint64_t count, uint64_t seed, uint64_t *event_count);

/* A warm book that has applied the untimed commands, into the window, which only counts; and commands whose pages are there. */
void *bench_book_prepare(const bench_subject_t *subject, const bench_flow_t *flow, bench_window_t *window);

#endif
