/* An order in motion: new, triggered, or moved by an amend. It has a slot, is in no queue, and may meet the other side. */
#ifndef OME_INCOMING_H
#define OME_INCOMING_H

#include "engine/ome_event.h"
#include "engine/ome_order_rules.h"

typedef struct
{
    ome_subject_t subject;
    ome_book_t *book;
    uint64_t key;   /* of the price, on its own side */
    uint64_t limit; /* the key that is in force as its limit: that of the price, or of the collar */
    int64_t price;  /* 0 without a limit */
    int64_t leaves;
    int64_t minimum_quantity; /* 0 for none */
    int64_t budget;
    uint32_t slot;
    uint32_t group;
    uint32_t collar_ticks;
    uint8_t marks;
    uint8_t time_in_force;
    bool has_limit;
    bool has_collar; /* of its own */
    bool has_budget;
} ome_incoming_t;

/* GTC, DAY or GTD, with a limit. */
static inline bool ome_incoming_would_rest(const ome_incoming_t *incoming)
{
    return incoming->has_limit && ome_time_in_force_rests(incoming->time_in_force);
}

#endif
