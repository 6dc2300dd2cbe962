/* Finds a participant's live order by the participant's own id.
 *
 * Open addressing with linear probing; removal shifts back, so there are no tombstones and no rehash, ever. An entry is a slot and 32 bits of hash: the
 * home of any entry follows from the entry alone, and an order is only touched when its hash matches. Eight neighbouring ids share one cache
 * line, because clients count: entering ids in turn misses the cache once in eight. Participants and blocks of ids are scattered by
 * two multiplications (the finaliser of Stafford's mix13).
 *
 * Written and read by the matching thread alone. The order of entries never reaches an event. */
#ifndef OME_ORDER_INDEX_H
#define OME_ORDER_INDEX_H

#include <stdint.h>

#include "book/ome_order_pool.h"

typedef struct
{
    uint64_t *entries; /* hash << 32 | slot; 0 is empty */
    uint32_t mask;     /* entry_count - 1 */
    uint32_t count;
} ome_order_index_t;

/* Room for `order_count_max` orders at a load of at most three quarters. */
void ome_order_index_init(ome_order_index_t *index, ome_arena_t *arena, uint32_t order_count_max);

static inline uint32_t ome_order_index_hash(uint16_t participant, uint64_t client_order_id)
{
    uint64_t x = (client_order_id >> 3) ^ ((uint64_t)participant << 48);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(x >> 32) << 3 | (uint32_t)(client_order_id & 7);
}

/* The slot of the live order, or 0. */
uint32_t ome_order_index_find(const ome_order_index_t *index, const ome_order_pool_t *pool, uint16_t participant, uint64_t client_order_id);

/* The id must not be there. */
void ome_order_index_insert(ome_order_index_t *index, uint16_t participant, uint64_t client_order_id, uint32_t slot);

/* The id must be there. */
void ome_order_index_remove(ome_order_index_t *index, uint16_t participant, uint64_t client_order_id, uint32_t slot);

#endif
