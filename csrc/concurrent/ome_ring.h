/* The inbound ring: many producers, a few consumers that each see every record.
 *
 *     producers: claim -> fill -> publish        consumers: wait -> available -> read -> advance
 *
 *                consumer 1      consumer 0             cursor
 *                    v               v                    v
 *     ... | free | done by 0 | done by none | ... claimed or published | free ...
 *                ^
 *                gating: the slowest consumer; nothing after it is overwritten
 *
 * A slot is 64 bytes: its sequence (8), then the body (56). Sequences start at 1; the slot of sequence s has index s &
 * (slot_count - 1). `cursor` is the last sequence claimed; a claim moves it with compare-and-swap. A slot is published
 * when it holds the expected sequence: on an earlier lap it held an earlier one, and at the start 0. So producers may
 * finish in another order than they claimed and need not wait for each other; a consumer stops at the first slot that
 * is not published.
 *
 * Threads: producers write `cursor`, `gating_cache` and slots that they claimed; consumer i writes `consumers[i]`; both
 * read the rest. Any thread may sleep on `wait` for a publication.
 *
 * Invariants: gating <= every consumer <= cursor <= gating + slot_count.
 *
 * The ring does not order its consumers, does not copy, and does not repair: if a producer dies between claim and
 * publish, the consumers stop at that slot. It holds no pointers, so it may lie in memory that processes share.
 *
 * Source: the LMAX Disruptor's multi-producer sequencer, with the sequence in the slot instead of a separate array of
 * laps. */
#ifndef OME_RING_H
#define OME_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "abi/ome_status.h"
#include "concurrent/ome_sequence.h"
#include "concurrent/ome_wait.h"

/* In the cursor: no more claims. Sequences stay far below it. */
#define OME_RING_CLOSED (UINT64_C(1) << 63)
static_assert(OME_SEQUENCE_INITIAL_MAX < OME_RING_CLOSED / 2 + 1, "a sequence never reaches the bit that closes the ring");

#define OME_RING_CLAIM_SPIN_NS_DEFAULT UINT64_C(100000)

typedef struct
{
    _Atomic uint64_t sequence; /* written by ome_ring_publish only */
    uint8_t body[OME_BODY_SIZE];
} ome_slot_t;
static_assert(sizeof(ome_slot_t) == OME_RECORD_SIZE, "a slot is a record");

typedef struct
{
    uint32_t slot_count; /* a power of two, 2 to OME_RING_SLOT_COUNT_MAX */
    uint32_t consumer_count; /* 1 to OME_RING_CONSUMER_COUNT_MAX */
    /* The last sequence already used: 0, or that of a restarted engine; at most OME_SEQUENCE_INITIAL_MAX. */
    uint64_t initial_sequence;
    ome_wait_strategy_t wait_strategy;
} ome_ring_config_t;

typedef struct
{
    OME_CACHE_ALIGNED uint32_t slot_count; /* fixed, as is consumer_count */
    uint32_t consumer_count;
    uint8_t padding[OME_SEQUENCE_SIZE - 2 * sizeof(uint32_t)];
    ome_sequence_t cursor; /* last claimed */
    ome_sequence_t gating_cache; /* a gating sequence seen by some producer: the true one is here or later */
    ome_sequence_t consumers[OME_RING_CONSUMER_COUNT_MAX]; /* last processed by each */
    ome_wait_t wait;
    ome_slot_t slots[];
} ome_ring_t;
static_assert(offsetof(ome_ring_t, slots) == sizeof(ome_ring_t), "slots follow at once");
static_assert(sizeof(ome_ring_t) % OME_CACHE_LINE_SIZE == 0, "slots are aligned to cache lines");

/* Bytes of memory for a ring of so many slots. */
size_t ome_ring_size_bytes(uint32_t slot_count);

/* Lays an empty ring into `memory`, aligned to OME_CACHE_LINE_SIZE, and sets `*ring` to it. Touches all of the memory,
 * so that no page fault comes later. OME_OK; OME_INVALID when the configuration is outside its limits or the memory not
 * aligned; OME_NO_MEMORY when `size_bytes` is below ome_ring_size_bytes. */
ome_status_t ome_ring_init(ome_ring_t **ring, void *memory, size_t size_bytes, const ome_ring_config_t *config);

/* ---- producers ---- */

/* Claims `count` consecutive slots, 1 to slot_count, and sets `*first_sequence`. OME_OK; OME_FULL when the consumers
 * have not freed so many; OME_STOPPED when the ring is closed; OME_INVALID when `count` is 0 or more than the ring
 * has. */
ome_status_t ome_ring_try_claim(ome_ring_t *ring, uint32_t count, uint64_t *first_sequence);

/* As ome_ring_try_claim, but tries for `spin_ns` before it returns OME_FULL, which means busy. Between tries it yields
 * the core, unless the strategy is spin: if cores are few, the consumer may need this one. */
ome_status_t ome_ring_claim(ome_ring_t *ring, uint32_t count, uint64_t spin_ns, uint64_t *first_sequence);

/* The 64 bytes of a slot. A producer fills the body from byte 8 on, and leaves the first 8 to ome_ring_publish; a
 * consumer reads all. */
static inline void *ome_ring_slot(ome_ring_t *ring, uint64_t sequence)
{
    return &ring->slots[sequence & (ring->slot_count - 1)];
}

/* Publishes claimed and filled slots to the consumers, and wakes sleepers. A consumer sees none of them or all. A claim
 * may be published in parts. */
void ome_ring_publish(ome_ring_t *ring, uint64_t first_sequence, uint32_t count);

/* No claim succeeds from now on; claimed slots are still published and processed. Any thread; permanent. */
void ome_ring_close(ome_ring_t *ring);

bool ome_ring_is_closed(const ome_ring_t *ring);

/* Whether the ring is closed and `sequence` is the last that was ever claimed. */
bool ome_ring_is_finished(const ome_ring_t *ring, uint64_t sequence);

/* ---- consumers ---- */

/* How many consecutive slots from `from_sequence` are published, at most `max_count`. `from_sequence` is not before the
 * caller's next. */
uint32_t ome_ring_available(ome_ring_t *ring, uint64_t from_sequence, uint32_t max_count);

/* Waits until `from_sequence` is published. OME_OK; OME_EMPTY when `timeout_ns` ran out first. */
ome_status_t ome_ring_wait(ome_ring_t *ring, uint64_t from_sequence, uint64_t timeout_ns);

/* Consumer `consumer_index` has processed everything up to `sequence`: its slots may be overwritten when the other
 * consumers have too. */
void ome_ring_consumer_advance(ome_ring_t *ring, uint32_t consumer_index, uint64_t sequence);

/* ---- any thread, for figures ---- */

/* The last sequence that is claimed, and the last that a consumer has processed; each may be older than now. */
uint64_t ome_ring_cursor(const ome_ring_t *ring);
uint64_t ome_ring_consumer_sequence(const ome_ring_t *ring, uint32_t consumer_index);

#endif
