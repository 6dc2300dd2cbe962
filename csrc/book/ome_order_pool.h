/* Resting orders, and the ids of all orders.
 *
 * An order's id is its slot and the slot's generation, so that finding an order by its id is one load and an id never
 * means two orders. Slots count from 1: index 0 is "none" in every link. A slot freed last is taken first, because it
 * is still in the cache; a slot never used comes only when no freed one is left. A slot whose generation is used up is
 * never freed.
 *
 * Two more areas find a participant's orders. `tags` has one byte for each slot, the tag of the participant of its live
 * order (ome_order_tag). An order that ends leaves its tag, and the next search removes it, because removing it at once
 * would cost each cancel a cache line. `presence` has a row for each participant, with a byte for each block of 4096
 * slots: not 0 if the participant may have a live order there. Each order sets it, and a search that finds none clears
 * it, so each order costs at most one search of a block, which is 4096 adjacent tags. An order costs one byte and two
 * stores when it enters, and none when it ends, except a prefetch of the tag's cache line; links would cost 8 bytes and
 * two more cache lines for each cancel.
 *
 * Written and read by the matching thread alone. Does not know prices or queues: see ome_book. */
#ifndef OME_ORDER_POOL_H
#define OME_ORDER_POOL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ome_records.h"
#include "base/ome_arena.h"
#include "base/ome_assert.h"

/* Marks of orders that are not plain. They are in the state hash. */
#define OME_ORDER_MARK_SPECIAL 1u   /* it has a record: ome_special.h */
#define OME_ORDER_MARK_POST_ONLY 2u
#define OME_ORDER_MARK_DAY 4u
#define OME_ORDER_MARK_HIDDEN 8u
#define OME_ORDER_SELF_TRADE_SHIFT 4u /* three bits: OME_SELF_TRADE_PREVENTION_ */
#define OME_ORDER_MARK_SCOPE_PARTICIPANT 128u
static_assert(OME_SELF_TRADE_PREVENTION_DECREMENT < 8, "the instruction takes three bits");

/* OFFSET SIZE FIELD                UNIT
 *      0    8 leaves_quantity      lots, of an order with a peak those displayed; 0 exactly when the slot holds no live order
 *      8    8 cumulative_quantity  lots; of an order that a command is about to cancel with others, in its low half: next_in_chain
 *     16    8 client_order_id
 *     24    8 owner                account | participant << 32 | session << 48, as in an event; of a special order its record instead of the account
 *     32    4 next                 slot; towards the back of the queue. In a free slot: the next free one
 *     36    4 previous             slot; towards the front
 *     40    4 level, marks         index of its price level in the low 24 bits, OME_ORDER_MARK_ in the high 8
 *     44    4 generation           of the last order that took this slot */
typedef struct
{
    int64_t leaves_quantity;
    union
    {
        int64_t cumulative_quantity;
        uint32_t next_in_chain; /* slot */
    };
    uint64_t client_order_id;
    uint64_t owner;
    uint32_t next;
    uint32_t previous;
    union
    {
        struct
        {
            uint32_t level : 24;
            uint32_t marks : 8;
        };
        uint32_t level_and_marks; /* both at once: the level alone, where there are no marks */
    };
    uint32_t generation;
} ome_order_t;
static_assert(sizeof(ome_order_t) == 48, "48 bytes and 13 of the index make an order at rest cost less than a cache line");
static_assert(offsetof(ome_order_t, owner) == 24, "an order has no padding");

/* A block of slots is 2^12: one page of tags. */
#define OME_ORDER_BLOCK_SHIFT 12u

typedef struct
{
    ome_order_t *
        orders; /* slot_count_max + 1; the first is no order. It is marked special, so that who walks a queue until a special order stops at its end */
    uint32_t slot_count_max;
    uint32_t slots_ever_used;
    uint32_t free_head;
    uint8_t *tags; /* by slot */
    uint8_t *presence; /* by participant, then block */
    uint64_t row_size_bytes; /* of one participant */
} ome_order_pool_t;

void ome_order_pool_init(ome_order_pool_t *pool, ome_arena_t *arena, uint32_t slot_count_max);

static inline bool ome_order_pool_is_full(const ome_order_pool_t *pool)
{
    return pool->free_head == 0 && pool->slots_ever_used == pool->slot_count_max;
}

/* Takes a slot and starts its next generation. The pool must not be full. */
static inline uint32_t ome_order_pool_take(ome_order_pool_t *pool)
{
    uint32_t slot = pool->free_head;
    if (OME_LIKELY(slot != 0))
    {
        pool->free_head = pool->orders[slot].next;
    }
    else
    {
        slot = ++pool->slots_ever_used;
        OME_ASSERT(slot <= pool->slot_count_max);
    }
    pool->orders[slot].generation++;
    return slot;
}

/* Never 0, the same for each 128th participant. */
static inline uint8_t ome_order_tag(uint16_t participant)
{
    return (uint8_t)(participant | 128u);
}

static inline uint8_t *ome_order_pool_row(const ome_order_pool_t *pool, uint16_t participant)
{
    return pool->presence + participant * pool->row_size_bytes;
}

/* Sets the tag of a slot. For every order that is live after its command. */
static inline void ome_order_pool_own(ome_order_pool_t *pool, uint32_t slot, uint16_t participant)
{
    OME_EXPECT(slot != 0);
    OME_EXPECT(slot <= pool->slots_ever_used);
    pool->tags[slot] = ome_order_tag(participant);
    ome_order_pool_row(pool, participant)[slot >> OME_ORDER_BLOCK_SHIFT] = 1;
}

/* The first live order of a participant in a slot above this one, or 0. Orders may end between two calls. */
uint32_t ome_order_pool_next_of(ome_order_pool_t *pool, uint16_t participant, uint32_t slot);

/* Whether a live order of the participant was entered by this session, or if that is 0, by any. Reads only the
 * participant's orders. */
bool ome_order_pool_has(ome_order_pool_t *pool, uint16_t participant, uint16_t session);

static inline void ome_order_pool_free(ome_order_pool_t *pool, uint32_t slot)
{
    ome_order_t *order = &pool->orders[slot];
    OME_EXPECT(slot != 0);
    OME_EXPECT(slot <= pool->slots_ever_used);
    order->leaves_quantity = 0;
    if (OME_UNLIKELY(order->generation == UINT32_MAX))
    {
        return;
    }
    __builtin_prefetch(&pool->tags[slot], 1); /* the next order to take the slot, mostly at once, writes it */
    order->next = pool->free_head;
    pool->free_head = slot;
}

static inline uint64_t ome_order_id(const ome_order_pool_t *pool, uint32_t slot)
{
    return (uint64_t)pool->orders[slot].generation << 32 | slot;
}

typedef enum
{
    OME_ORDER_LIVE,
    OME_ORDER_CLOSED, /* it was, and is no longer */
    OME_ORDER_UNKNOWN /* it never was */
} ome_order_state_t;

static inline ome_order_state_t ome_order_pool_state(const ome_order_pool_t *pool, uint64_t order_id)
{
    const uint32_t slot = (uint32_t)order_id;
    const uint32_t generation = (uint32_t)(order_id >> 32);
    if (slot == 0 || slot > pool->slots_ever_used || generation == 0)
    {
        return OME_ORDER_UNKNOWN;
    }
    const ome_order_t *order = &pool->orders[slot];
    if (generation == order->generation && order->leaves_quantity > 0)
    {
        return OME_ORDER_LIVE;
    }
    return generation <= order->generation ? OME_ORDER_CLOSED : OME_ORDER_UNKNOWN;
}

#endif
