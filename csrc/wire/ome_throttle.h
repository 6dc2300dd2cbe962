/* How much each participant may send: messages a second, and messages that are not answered yet. One thread.
 *
 * A participant may send a second's messages at once, and then as they come back with time. Who goes on sending what is refused has to go. */
#ifndef OME_THROTTLE_H
#define OME_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ome_arena.h"

typedef struct
{
    uint32_t message_rate_max; /* in a second; 0: any number */
    uint32_t in_flight_max;    /* 0: any number */
} ome_throttle_limits_t;

typedef struct
{
    uint64_t filled_ns;     /* when `left` was counted; 0: never */
    uint64_t second;        /* of `refused_count` */
    uint32_t left;          /* messages that it may send now */
    uint32_t in_flight;
    uint32_t refused_count; /* in this second */
    uint32_t reserved;
} ome_throttle_slot_t;

typedef struct
{
    ome_throttle_slot_t *participants; /* by number */
    ome_throttle_limits_t limits;
} ome_throttle_t;

void ome_throttle_init(ome_throttle_t *throttle, ome_arena_t *arena, uint32_t participant_count_max, const ome_throttle_limits_t *limits);

/* Of `count` messages how many the participant may send now. */
uint32_t ome_throttle_allows(ome_throttle_t *throttle, uint16_t participant, uint32_t count, uint64_t now_ns);

/* So many were taken; answered; refused. Refused: true where they are too many, and the session has to end. */
void ome_throttle_take(ome_throttle_t *throttle, uint16_t participant, uint32_t count);
void ome_throttle_answer(ome_throttle_t *throttle, uint16_t participant, uint32_t count);
bool ome_throttle_refuse(ome_throttle_t *throttle, uint16_t participant, uint32_t count, uint64_t now_ns);

#endif
