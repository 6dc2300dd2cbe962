/* The gate: up to which command anything may be said.
 *
 * Under the policy `commit` nothing about a command leaves before the journal stage has made it durable; under the others the gate stands open. Written by the
 * journal stage, read by every reader of the outbound stream. A standby's acknowledgement joins here: the limit becomes min(durable, replicated). */
#ifndef OME_GATE_H
#define OME_GATE_H

#include <stdbool.h>

#include "concurrent/ome_sequence.h"

typedef struct
{
    ome_sequence_t durable; /* last command that is on disk */
    bool waits;             /* fixed: the policy is commit */
    uint8_t padding[OME_SEQUENCE_SIZE - 1];
} ome_gate_t;

/* The last command that may be spoken of. Acquires what ome_gate_open released. */
static inline uint64_t ome_gate_limit(const ome_gate_t *gate)
{
    return gate->waits ? atomic_load_explicit(&gate->durable.value, memory_order_acquire) : UINT64_MAX;
}

/* Everything up to `sequence` is durable. */
static inline void ome_gate_open(ome_gate_t *gate, uint64_t sequence)
{
    atomic_store_explicit(&gate->durable.value, sequence, memory_order_release);
}

#endif
