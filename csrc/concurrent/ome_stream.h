/* The outbound stream: one producer, a few readers that each see every record. A slow reader delays the producer.
 *
 *     producer: window -> write -> publish        readers: wait -> available -> read -> advance
 *
 *                reader 1      reader 0          published
 *                    v             v                 v
 *     ... | free | read by 0 | read by none | window of the producer, up to the wrap ...
 *                ^
 *                slowest: nothing after it is overwritten
 *
 * A slot is 64 bytes, all of them the producer's. A position counts the slots published so far; the slot at position p
 * has index p & (slot_count - 1). Publication is one store of the producer's position, for as many slots as were
 * written. Windows and the slots that a reader gets are contiguous in memory: they end at the wrap, and the next call
 * continues after it.
 *
 * Threads: the producer writes slots, `published` and `slowest_cache`; reader i writes its `position` and sleeps on its
 * `wait`; the producer sleeps on `room`. A reader that detaches never delays the producer again; another thread may
 * detach it, when it certainly reads no more.
 *
 * The producer may publish a part of a group, such as the events of one command. `whole` says where the last complete
 * group ends, so a reader that has read everything knows whether more of the group will follow.
 *
 * Invariants: slowest <= every attached reader <= published <= slowest + slot_count. A position that was once `whole`
 * is never inside a group.
 *
 * The stream does not know what may be published yet: a reader itself compares the sequence in a record with the
 * durable sequence. It holds no pointers, so it may lie in memory that processes share.
 *
 * Source: the LMAX Disruptor's single-producer sequencer. */
#ifndef OME_STREAM_H
#define OME_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "abi/ome_status.h"
#include "concurrent/ome_sequence.h"
#include "concurrent/ome_wait.h"

typedef struct
{
    uint32_t slot_count; /* a power of two, 2 to OME_RING_SLOT_COUNT_MAX */
    uint32_t reader_count; /* 1 to OME_RING_CONSUMER_COUNT_MAX */
    ome_wait_strategy_t wait_strategy;
} ome_stream_config_t;

/* The position of a reader that is detached: later than all others, so that it is never the slowest. */
#define OME_STREAM_DETACHED UINT64_MAX

typedef struct
{
    ome_sequence_t position; /* slots read, or OME_STREAM_DETACHED */
    ome_wait_t wait; /* for this reader alone */
} ome_stream_reader_t;

typedef struct
{
    OME_CACHE_ALIGNED uint32_t slot_count; /* fixed, as is reader_count */
    uint32_t reader_count;
    uint8_t padding[OME_SEQUENCE_SIZE - 2 * sizeof(uint32_t)];
    ome_sequence_t published; /* slots published */
    ome_sequence_t slowest_cache; /* the producer's own: the slowest reader at its last look */
    ome_sequence_t whole; /* position after the last complete group; may run ahead of `published` for a moment */
    ome_wait_t room;
    ome_stream_reader_t readers[OME_RING_CONSUMER_COUNT_MAX];
    uint8_t slots[];
} ome_stream_t;
static_assert(offsetof(ome_stream_t, slots) % OME_CACHE_LINE_SIZE == 0, "slots are aligned to cache lines");

/* Bytes of memory for a stream of so many slots. */
size_t ome_stream_size_bytes(uint32_t slot_count);

/* Lays an empty stream with all readers attached into `memory`, aligned to OME_CACHE_LINE_SIZE, and sets `*stream` to
 * it. Touches all of the memory, so that no page fault comes later. OME_OK; OME_INVALID when the configuration is
 * outside its limits or the memory not aligned; OME_NO_MEMORY when `size_bytes` is below ome_stream_size_bytes. */
ome_status_t ome_stream_init(ome_stream_t **stream, void *memory, size_t size_bytes, const ome_stream_config_t *config);

/* ---- the producer ---- */

/* Sets `*slots` to the first free slot and returns how many are free and contiguous from there; 0 when the slowest
 * reader must advance first. */
uint32_t ome_stream_window(ome_stream_t *stream, void **slots);

/* Waits until the window is not empty. OME_OK; OME_EMPTY when `timeout_ns` ran out first. */
ome_status_t ome_stream_wait_room(ome_stream_t *stream, uint64_t timeout_ns);

/* Publishes the first `count` slots of the window, which are written, to the readers, and wakes sleepers. */
void ome_stream_publish(ome_stream_t *stream, uint32_t count);

/* The same, if a group ends with them; `count` may be 0, when the whole group was published before. */
void ome_stream_publish_whole(ome_stream_t *stream, uint32_t count);

/* ---- reader `reader_index` ---- */

/* Sets `*slots` to the first slot that was not read and returns how many are readable and contiguous from there. */
uint32_t ome_stream_available(ome_stream_t *stream, uint32_t reader_index, const void **slots);

/* Whether a group ends at the reader's position. Also false while more is on its way: then it becomes readable, and the
 * reader is woken. */
bool ome_stream_is_whole(const ome_stream_t *stream, uint32_t reader_index);

/* Waits until a slot is readable. OME_OK; OME_EMPTY when `timeout_ns` ran out first. */
ome_status_t ome_stream_wait(ome_stream_t *stream, uint32_t reader_index, uint64_t timeout_ns);

/* The first `count` available slots are read: they may be overwritten when the other readers have read them too. */
void ome_stream_advance(ome_stream_t *stream, uint32_t reader_index, uint32_t count);

/* The reader reads no more and no longer delays the producer, permanently. */
void ome_stream_detach(ome_stream_t *stream, uint32_t reader_index);

/* The reader's wait object: to give it an event descriptor, to sleep in poll(), or to be woken for a condition outside
 * the stream. */
ome_wait_t *ome_stream_reader_wait(ome_stream_t *stream, uint32_t reader_index);

/* ---- any thread, for figures ---- */

/* Slots published, and slots that a reader has read (OME_STREAM_DETACHED when it is detached); each may be older than
 * now. */
uint64_t ome_stream_published(const ome_stream_t *stream);
uint64_t ome_stream_reader_position(const ome_stream_t *stream, uint32_t reader_index);

#endif
