/* Keeps threads on cores of their own, where there are several. */
#ifndef BENCH_CORES_H
#define BENCH_CORES_H

#include <stdint.h>

#define BENCH_CORE_COUNT_MAX 4u

typedef struct
{
    uint32_t cores[BENCH_CORE_COUNT_MAX];
    uint32_t core_count; /* that the process may use, at most BENCH_CORE_COUNT_MAX */
} bench_cores_t;

/* Before any thread is moved. Ends the process where the system does not say. */
void bench_cores_find(bench_cores_t *cores);

/* Keeps the calling thread on one core: thread 0 on the first, all others on the rest in turn. On one core nothing is to be kept apart. */
void bench_cores_take(const bench_cores_t *cores, uint32_t thread_index);

#endif
