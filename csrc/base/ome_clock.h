/* Clocks. Only producers and stages read them; the engine gets the time from its commands. */
#ifndef OME_CLOCK_H
#define OME_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds since 1970-01-01 00:00:00 UTC. */
static inline uint64_t ome_clock_realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Nanoseconds since an arbitrary start; never goes back. */
static inline uint64_t ome_clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Nanoseconds since an arbitrary start; never goes back, and continues while the machine is suspended. */
static inline uint64_t ome_clock_steady_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
