/* The data of an order beyond the 48 bytes of every order: a stop price that it waits for, a peak, a deadline, a
 * self-trade group, attributes.
 *
 * Such an order is special (OME_ORDER_MARK_SPECIAL). While it is special it has a record here. The low half of its
 * owner's word holds the record's index instead of its account, which is in the record. Index 0 is none: record 0 is
 * all zeros, so a value that an order does not have reads as 0.
 *
 * The records that have a deadline are in a binary heap by deadline, then order id (ome_deadline_heap.h); each record
 * knows its place in the heap, so that any record can be removed.
 *
 * Written and read by the matching thread alone. */
#ifndef OME_SPECIAL_H
#define OME_SPECIAL_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_attributes.h"
#include "abi/ome_limits.h"
#include "base/ome_arena.h"
#include "base/ome_assert.h"

#define OME_SPECIAL_WAITS 1u      /* for its stop price, among the stops of its book */
#define OME_SPECIAL_HAS_COLLAR 2u /* of its own */
#define OME_SPECIAL_HAS_BUDGET 4u

#define OME_SPECIAL_ATTRIBUTE_ROOM 2u

/* OFFSET SIZE FIELD               UNIT
 *      0    8 order_id
 *      8    8 deadline_ns         0 for none
 *     16    8 peak                lots; 0 for none
 *     24    8 reserve_quantity    lots that are open and not displayed; 0 unless it rests
 *     32    8 stop_price          price units; of a waiting trailing stop: as it was last looked up (ome_trailing.h)
 *     40    8 limit               price units; of a trailing stop limit its distance from the stop price; 0 without limit
 *     48    8 trail_amount        price units; 0 if the distance is given in basis points
 *     56    8 entry               sequence of the command that gave it its place among the stops
 *     64    8 minimum_quantity    lots; 0 for none
 *     72    8 budget              price units times lots
 *     80    4 account
 *     84    4 group               self-trade group; 0 for none
 *     88    4 heap_position       0 if it is not in the heap
 *     92    4 collar_ticks
 *     96    4 instrument          number
 *    100    4 level               of the stop ladder, while it waits and does not trail
 *    104    4 next_free           record; of a free record
 *    108    4 trailing_group      of which it is the first while it waits; otherwise 0
 *    112    2 trail_basis_points
 *    114    1 side                OME_SIDE_
 *    115    1 order_type          OME_ORDER_TYPE_
 *    116    1 time_in_force       OME_TIME_IN_FORCE_
 *    117    1 flags               OME_SPECIAL_
 *    118    2 reserved
 *    120    8 attributes          by OME_ATTRIBUTE_; 0 for one that is not given */
typedef struct
{
    uint64_t order_id;
    uint64_t deadline_ns;
    int64_t peak;
    int64_t reserve_quantity;
    int64_t stop_price;
    int64_t limit;
    int64_t trail_amount;
    uint64_t entry;
    int64_t minimum_quantity;
    int64_t budget;
    uint32_t account;
    uint32_t group;
    uint32_t heap_position;
    uint32_t collar_ticks;
    uint32_t instrument;
    uint32_t level;
    uint32_t next_free;
    uint32_t trailing_group;
    uint16_t trail_basis_points;
    uint8_t side;
    uint8_t order_type;
    uint8_t time_in_force;
    uint8_t flags;
    uint8_t reserved[2];
    uint32_t attributes[OME_SPECIAL_ATTRIBUTE_ROOM];
} ome_special_t;
static_assert(sizeof(ome_special_t) == 2 * OME_CACHE_LINE_SIZE, "a special record is two cache lines");
static_assert(OME_ATTRIBUTE_COUNT <= OME_SPECIAL_ATTRIBUTE_ROOM, "every attribute has a place: with more a record is three cache lines");

typedef struct
{
    ome_special_t *records; /* record_count_max + 1; the first stays zero */
    uint32_t *heap;         /* record_count_max + 1; the first is not used */
    uint32_t record_count_max;
    uint32_t record_count; /* in use */
    uint32_t records_ever_used;
    uint32_t free_head;
    uint32_t heap_count;
} ome_special_pool_t;

void ome_special_pool_init(ome_special_pool_t *pool, ome_arena_t *arena, uint32_t record_count_max);

static inline bool ome_special_pool_is_full(const ome_special_pool_t *pool)
{
    return pool->record_count == pool->record_count_max;
}

/* Takes a record, all zeros. The pool must not be full. */
uint32_t ome_special_pool_take(ome_special_pool_t *pool);

/* Frees a record, which is neither in the heap nor in a list. */
void ome_special_pool_free(ome_special_pool_t *pool, uint32_t index);

/* Whether so many open lots, shown peak by peak, are more peaks than an order may have. */
static inline bool ome_special_has_too_many_peaks(int64_t quantity, int64_t peak)
{
    return quantity > 0 && (quantity - 1) / OME_PEAK_COUNT_MAX >= peak;
}

static inline bool ome_special_has_attributes(const ome_special_t *special)
{
    uint32_t any = 0;
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        any |= special->attributes[i];
    }
    return any != 0;
}

/* Whether it has what an order needs a record for when it does not wait. */
static inline bool ome_special_outlives_trigger(const ome_special_t *special)
{
    return special->peak != 0 || special->deadline_ns != 0 || special->group != 0 || ome_special_has_attributes(special);
}

static inline bool ome_special_waits(const ome_special_t *special)
{
    return (special->flags & OME_SPECIAL_WAITS) != 0;
}

#endif
