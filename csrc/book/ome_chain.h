/* Sorts singly linked orders by merging: needs no memory, and n log n steps.
 *
 * The caller decides where the link is and which order comes first: it passes functions that the compiler knows. A
 * chain is the slot of its first order; 0 ends it. */
#ifndef OME_CHAIN_H
#define OME_CHAIN_H

#include "base/ome_platform.h"
#include "book/ome_book_state.h"

typedef uint32_t (*ome_chain_next_t)(const ome_book_pools_t *pools, uint32_t slot);
typedef void (*ome_chain_link_t)(const ome_book_pools_t *pools, uint32_t slot, uint32_t next);
typedef bool (*ome_chain_before_t)(const ome_book_pools_t *pools, uint32_t slot, uint32_t other);

typedef struct
{
    ome_chain_next_t next;
    ome_chain_link_t link;
    ome_chain_before_t is_before;
} ome_chain_t;

/* Merges two chains that are sorted. */
OME_ALWAYS_INLINE uint32_t ome_chain_merge(const ome_book_pools_t *pools, ome_chain_t chain, uint32_t a, uint32_t b)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    while (a != 0 || b != 0)
    {
        const bool takes_a = b == 0 || (a != 0 && chain.is_before(pools, a, b));
        const uint32_t slot = takes_a ? a : b;
        *(takes_a ? &a : &b) = chain.next(pools, slot);
        if (tail == 0)
        {
            head = slot;
        }
        else
        {
            chain.link(pools, tail, slot);
        }
        tail = slot;
    }
    return head;
}

/* Of 2^i orders each: as many as there can be orders. */
#define OME_CHAIN_RUN_COUNT 32u

/* Merges runs of equal length, as a binary counter carries. Returns the first. */
OME_ALWAYS_INLINE uint32_t ome_chain_sort(const ome_book_pools_t *pools, ome_chain_t chain, uint32_t head)
{
    if (head == 0 || chain.next(pools, head) == 0)
    {
        return head;
    }
    uint32_t runs[OME_CHAIN_RUN_COUNT] = {0};
    while (head != 0)
    {
        uint32_t run = head;
        head = chain.next(pools, head);
        chain.link(pools, run, 0);
        uint32_t i = 0;
        for (; i < OME_CHAIN_RUN_COUNT - 1 && runs[i] != 0; i++)
        {
            run = ome_chain_merge(pools, chain, runs[i], run);
            runs[i] = 0;
        }
        runs[i] = run;
    }
    uint32_t sorted = 0;
    for (uint32_t i = 0; i < OME_CHAIN_RUN_COUNT; i++)
    {
        sorted = ome_chain_merge(pools, chain, runs[i], sorted);
    }
    return sorted;
}

#endif
