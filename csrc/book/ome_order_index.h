/* Finds a participant's live order by the participant's own id.
 *
 * Open addressing in Robin Hood order (Celis 1986): along a run, entries are in the order of their homes, so that a
 * search ends early and a removal shifts back only displaced entries. There are no tombstones and no rehash, ever. An
 * entry is a slot and 32 bits of hash: the home of any entry follows from the entry alone, and an order is only touched
 * when its hash matches.
 *
 * Ids are scattered, though clients count. Keeping neighbouring ids together is faster for one participant alone; with
 * several participants the blocks overlap, and displaced entries cost more than the cache misses, which are requested
 * in advance (ome_engine_apply_many).
 *
 * Written and read by the matching thread alone. The order of entries never reaches an event. */
#ifndef OME_ORDER_INDEX_H
#define OME_ORDER_INDEX_H

#include <stdint.h>

#include "book/ome_order_pool.h"

typedef struct
{
    uint64_t *entries; /* hash << 32 | slot; 0 is empty */
    uint32_t mask;       /* entry_count - 1 */
    uint32_t home_shift; /* a home is the hash's highest bits */
    uint32_t count;
} ome_order_index_t;

/* Room for `order_count_max` orders at a load of at most three quarters. */
void ome_order_index_init(ome_order_index_t *index, ome_arena_t *arena, uint32_t order_count_max);

/* The two halves of one long product, folded (as in wyhash). */
static inline uint32_t ome_order_index_hash(uint16_t participant, uint64_t client_order_id)
{
    const unsigned __int128 product =
        (unsigned __int128)(client_order_id ^ UINT64_C(0x9E3779B97F4A7C15)) * (participant ^ UINT64_C(0xD6E8FEB86659FD93));
    return (uint32_t)(((uint64_t)product ^ (uint64_t)(product >> 64)) >> 32);
}

/* Where an entry of this hash belongs. */
static inline uint32_t ome_order_index_home(const ome_order_index_t *index, uint32_t hash)
{
    return hash >> index->home_shift;
}

/* How far an entry is from where it belongs. */
static inline uint32_t ome_order_index_distance(const ome_order_index_t *index, uint64_t entry, uint32_t at)
{
    return (at - ome_order_index_home(index, (uint32_t)(entry >> 32))) & index->mask;
}

/* Where a search has ended: the entry's place, or the place where it would go. Valid until the index changes. */
typedef struct
{
    uint32_t hash;
    uint32_t place;
} ome_index_place_t;

/* Continues from the home of a hash that another entry occupies. Returns the slot of the live order, or 0. */
uint32_t ome_order_index_search(
    const ome_order_index_t *index, const ome_order_pool_t *pool, uint16_t participant, uint64_t client_order_id, ome_index_place_t *at);

static inline bool ome_order_index_is(
    const ome_order_pool_t *pool, uint64_t entry, uint32_t hash, uint16_t participant, uint64_t client_order_id)
{
    const ome_order_t *order = &pool->orders[(uint32_t)entry];
    return (uint32_t)(entry >> 32) == hash && order->client_order_id == client_order_id && (uint16_t)(order->owner >> 32) == participant;
}

/* The slot of the live order, or 0. Nearly always the entry is at its home, or the home is empty. `at` is the home of
 * the id. */
static inline uint32_t ome_order_index_probe_from(
    const ome_order_index_t *index, const ome_order_pool_t *pool, uint16_t participant, uint64_t client_order_id, ome_index_place_t *at)
{
    const uint64_t entry = index->entries[at->place];
    if (OME_LIKELY(entry == 0))
    {
        return 0;
    }
    if (OME_LIKELY(ome_order_index_is(pool, entry, at->hash, participant, client_order_id)))
    {
        return (uint32_t)entry;
    }
    /* Of a copy, so that the place itself stays in registers. */
    ome_index_place_t from = *at;
    const uint32_t slot = ome_order_index_search(index, pool, participant, client_order_id, &from);
    *at = from;
    return slot;
}

static inline uint32_t ome_order_index_probe(
    const ome_order_index_t *index, const ome_order_pool_t *pool, uint16_t participant, uint64_t client_order_id, ome_index_place_t *at)
{
    at->hash = ome_order_index_hash(participant, client_order_id);
    at->place = ome_order_index_home(index, at->hash);
    return ome_order_index_probe_from(index, pool, participant, client_order_id, at);
}

/* The slot of the live order, or 0. */
static inline uint32_t ome_order_index_find(
    const ome_order_index_t *index, const ome_order_pool_t *pool, uint16_t participant, uint64_t client_order_id)
{
    ome_index_place_t at;
    return ome_order_index_probe(index, pool, participant, client_order_id, &at);
}

/* Enters an entry from an occupied `place` on; the others move on. */
void ome_order_index_displace(ome_order_index_t *index, uint32_t place, uint64_t entry);

/* Enters an order where a probe has just not found its id. */
static inline void ome_order_index_insert_at(ome_order_index_t *index, ome_index_place_t at, uint32_t slot)
{
    const uint64_t entry = (uint64_t)at.hash << 32 | slot;
    OME_EXPECT(slot != 0);
    OME_EXPECT(index->count < index->mask);
    index->count++;
    if (OME_LIKELY(index->entries[at.place] == 0))
    {
        index->entries[at.place] = entry;
        return;
    }
    ome_order_index_displace(index, at.place, entry);
}

/* Enters an order; its id must not be there. */
void ome_order_index_insert(ome_order_index_t *index, uint16_t participant, uint64_t client_order_id, uint32_t slot);

/* Whether there is an entry that belongs further up. One condition, not two: whether there is a neighbour cannot be
 * predicted, but it is hardly ever displaced. */
static inline bool ome_order_index_is_displaced(const ome_order_index_t *index, uint32_t at)
{
    const uint64_t entry = index->entries[at];
    return (entry != 0) & (ome_order_index_distance(index, entry, at) != 0);
}

/* Moves the entries after a hole up. */
void ome_order_index_close(ome_order_index_t *index, uint32_t hole);

/* Takes out the entry at `place`. */
static inline void ome_order_index_remove_at(ome_order_index_t *index, uint32_t place)
{
    OME_EXPECT(index->count > 0);
    OME_EXPECT(index->entries[place] != 0);
    index->entries[place] = 0;
    index->count--;
    if (OME_UNLIKELY(ome_order_index_is_displaced(index, (place + 1) & index->mask)))
    {
        ome_order_index_close(index, place);
    }
}

/* Takes an order out; it must be there. */
static inline void ome_order_index_remove(ome_order_index_t *index, uint16_t participant, uint64_t client_order_id, uint32_t slot)
{
    const uint32_t hash = ome_order_index_hash(participant, client_order_id);
    const uint64_t wanted = (uint64_t)hash << 32 | slot;
    uint32_t place = ome_order_index_home(index, hash);
    while (OME_UNLIKELY(index->entries[place] != wanted))
    {
        OME_ASSERT(index->entries[place] != 0);
        place = (place + 1) & index->mask;
    }
    ome_order_index_remove_at(index, place);
}

#endif
