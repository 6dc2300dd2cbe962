/* The special orders that have a deadline, the earliest first; at one deadline the lowest order id.
 *
 * A binary heap of record indexes, from place 1, in the memory of the special pool. Each record keeps its place, so
 * that an order that ends before its deadline is taken out in logarithmic time. */
#ifndef OME_DEADLINE_HEAP_H
#define OME_DEADLINE_HEAP_H

#include "book/ome_special.h"

/* Enters a record whose deadline and order id are set. */
void ome_deadline_heap_insert(ome_special_pool_t *pool, uint32_t index);

/* Takes a record out. */
void ome_deadline_heap_remove(ome_special_pool_t *pool, uint32_t index);

/* The record with the earliest deadline, or 0. */
static inline uint32_t ome_deadline_heap_first(const ome_special_pool_t *pool)
{
    return pool->heap_count == 0 ? 0 : pool->heap[1];
}

#endif
