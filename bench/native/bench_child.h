/* Work in a process of its own, and memory to hand its results back in.
 *
 * Each measured run starts from a fresh process: no run inherits the heap, the cache lines or the page tables that another one left. The parent
 * waits, so that at any time one of them runs. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdint.h>

/* Zeroed memory that children share with their parent; never given back. Ends the process when there is none. */
void *bench_shared_memory(uint64_t size_bytes);

/* Runs `work(context)` in a child and waits for it. Ends the process when the child does not end well. */
void bench_child_run(void (*work)(void *context), void *context);

/* Says what is wrong on standard error and ends the process with 1. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes to the first byte of each page, or reads it, so that no page is missing when the clock runs. The writes need zeroed memory. */
void bench_touch_to_write(void *memory, uint64_t size_bytes);
void bench_touch_to_read(const void *memory, uint64_t size_bytes);

/* CPU time of the calling thread in nanoseconds. */
uint64_t bench_thread_time_ns(void);

#endif
