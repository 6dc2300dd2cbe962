/* The only way in for commands, from every sender: each command gets its sequence and the venue's time here.
 *
 *     claim -> put each, in any order -> publish
 *
 * Threads: any thread may claim; the thread that has claimed puts and publishes. */
#ifndef OME_INGRESS_H
#define OME_INGRESS_H

#include <string.h>

#include "abi/ome_records.h"
#include "base/ome_venue_clock.h"
#include "concurrent/ome_ring.h"

typedef struct
{
    ome_ring_t *ring;
    const ome_venue_clock_t *clock;
} ome_ingress_t;

/* Consecutive sequences, and the time of their commands. */
typedef struct
{
    uint64_t first_sequence;
    uint64_t now_ns;
    uint32_t count;
} ome_ingress_claim_t;

/* Claims `count` sequences, 1 to the ring's slots. OME_OK; OME_FULL: busy; OME_STOPPED; OME_INVALID: the count. */
static inline ome_status_t ome_ingress_claim(const ome_ingress_t *ingress, uint32_t count, ome_ingress_claim_t *claim)
{
    const ome_status_t status = ome_ring_claim(ingress->ring, count, OME_RING_CLAIM_SPIN_NS_DEFAULT, &claim->first_sequence);
    claim->count = count;
    claim->now_ns = status == OME_OK ? ome_venue_clock_now_ns(ingress->clock) : 0;
    return status;
}

/* Puts the body of a record, of 64 bytes, at the place `index` of a claim, stamped with the time. Returns the command,
 * so that a caller that knows more about its sender can fill that in. */
static inline ome_command_t *ome_ingress_put(
    const ome_ingress_t *ingress, const ome_ingress_claim_t *claim, uint32_t index, const void *record)
{
    ome_command_t *command = ome_ring_slot(ingress->ring, claim->first_sequence + index);
    memcpy((uint8_t *)command + sizeof(uint64_t), (const uint8_t *)record + sizeof(uint64_t), OME_BODY_SIZE);
    command->timestamp_ns = claim->now_ns;
    return command;
}

/* Publishes all claimed slots to the stages. */
static inline void ome_ingress_publish(const ome_ingress_t *ingress, const ome_ingress_claim_t *claim)
{
    ome_ring_publish(ingress->ring, claim->first_sequence, claim->count);
}

#endif
