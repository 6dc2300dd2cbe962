/* The requirements on the platform, and the few differences between the two processors. */
#ifndef OME_PLATFORM_H
#define OME_PLATFORM_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__))
#error "ome runs on Linux on x86_64 and aarch64"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little-endian in memory"
#endif

#include "abi/ome_limits.h"

/* For the few functions whose arguments must stay in registers. */
#define OME_ALWAYS_INLINE static inline __attribute__((always_inline))
#define OME_NEVER_INLINE static __attribute__((noinline))

/* One of two addresses, chosen without a branch, for a condition that the processor cannot predict: a wrong prediction
 * costs more. */
static inline uint32_t *ome_choose(bool condition, uint32_t *yes, uint32_t *no)
{
    const uintptr_t mask = (uintptr_t)0 - condition;
    return (uint32_t *)(((uintptr_t)yes & mask) | ((uintptr_t)no & ~mask));
}

#define OME_CACHE_ALIGNED _Alignas(OME_CACHE_LINE_SIZE)

/* Tells the processor that this is a loop that waits. */
static inline void ome_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ __volatile__("yield");
#endif
}

#endif
