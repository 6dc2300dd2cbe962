/* Carves one given block of memory into aligned parts, in order. Used only while something is being set up.
 *
 * The same walk with no memory measures how much is needed, so that a size and a layout can never disagree:
 * `x_size_bytes` runs the set-up on an arena without memory and returns what was taken. */
#ifndef OME_ARENA_H
#define OME_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "abi/ome_limits.h"

typedef struct
{
    uint8_t *memory;      /* NULL while measuring */
    uint64_t used_bytes;
} ome_arena_t;

static inline void *ome_arena_take(ome_arena_t *arena, uint64_t size_bytes)
{
    const uint64_t at = arena->used_bytes;
    arena->used_bytes += (size_bytes + OME_CACHE_LINE_SIZE - 1) & ~(uint64_t)(OME_CACHE_LINE_SIZE - 1);
    return arena->memory == NULL ? NULL : arena->memory + at;
}

#endif
