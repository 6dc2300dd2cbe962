/* A sequence: one 64-bit count that one side writes and the other reads, alone on its cache lines.
 *
 * Two lines and not one, because processors fetch lines in pairs: a neighbour's write must not take this line away. The
 * second line is never used, so whichever of its neighbours the first line is paired with, it is paired with padding:
 * memory aligned to one line is enough. It defines no memory order; its users do, at each load and store. */
#ifndef OME_SEQUENCE_H
#define OME_SEQUENCE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "base/ome_platform.h"

#define OME_SEQUENCE_SIZE (2 * OME_CACHE_LINE_SIZE)

/* The highest sequence that a structure may start from, so that no sum of sequences wraps around. */
#define OME_SEQUENCE_INITIAL_MAX (UINT64_C(1) << 62)

typedef struct
{
    OME_CACHE_ALIGNED _Atomic uint64_t value;
    uint8_t padding[OME_SEQUENCE_SIZE - sizeof(uint64_t)];
} ome_sequence_t;
static_assert(sizeof(ome_sequence_t) == OME_SEQUENCE_SIZE, "a sequence has its cache lines for itself");
static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "an atomic value has the layout of a plain one");

#endif
