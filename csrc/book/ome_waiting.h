/* All waiting stops of one side in the order in which they trigger, those with a fixed stop price and trailing ones as
 * one list. For callers that walk the whole book. */
#ifndef OME_WAITING_H
#define OME_WAITING_H

#include "book/ome_trailing.h"

typedef struct
{
    const ome_book_pools_t *pools;
    uint32_t level; /* of the next stop that does not trail */
    uint32_t slot; /* of that stop, or 0 */
    uint32_t trailing; /* slot of the next one that trails, or 0 */
} ome_waiting_t;

/* Begins a walk. No command may be applied until it is over. */
static inline ome_waiting_t ome_waiting_begin(const ome_book_t *book, const ome_book_pools_t *pools, uint8_t side)
{
    const uint32_t level = book->stops[ome_side_index(side)].best;
    return (ome_waiting_t){.pools = pools,
        .level = level,
        .slot = level != 0 ? pools->stops.levels[level].head : 0,
        .trailing = ome_trailing_list(book, pools, side)};
}

/* The next slot, or 0. */
static inline uint32_t ome_waiting_next(ome_waiting_t *walk)
{
    const ome_order_t *orders = walk->pools->orders.orders;
    if (walk->trailing != 0 && (walk->slot == 0 || ome_trailing_is_before(walk->pools, walk->trailing, walk->slot)))
    {
        const uint32_t slot = walk->trailing;
        walk->trailing = orders[slot].next;
        return slot;
    }
    const uint32_t slot = walk->slot;
    walk->slot = orders[slot].next;
    if (slot != 0 && walk->slot == 0)
    {
        walk->level = ome_ladder_next(&walk->pools->stops, walk->level);
        walk->slot = walk->level != 0 ? walk->pools->stops.levels[walk->level].head : 0;
    }
    return slot;
}

#endif
