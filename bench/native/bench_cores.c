/* For the functions that keep a thread on a core. */
#define _GNU_SOURCE

#include "bench_cores.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>

#include "bench_child.h"

void bench_cores_find(bench_cores_t *cores)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
    {
        bench_fail("could not find out which cores may be used");
    }
    cores->core_count = 0;
    for (uint32_t core = 0; core < CPU_SETSIZE && cores->core_count < BENCH_CORE_COUNT_MAX; core++)
    {
        if (CPU_ISSET(core, &set))
        {
            cores->cores[cores->core_count++] = core;
        }
    }
}

void bench_cores_take(const bench_cores_t *cores, uint32_t thread_index)
{
    if (cores->core_count < 2)
    {
        return;
    }
    const uint32_t core = cores->cores[thread_index == 0 ? 0 : 1 + (thread_index - 1) % (cores->core_count - 1)];
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
    {
        bench_fail("could not move a thread to core %" PRIu32, core);
    }
}
