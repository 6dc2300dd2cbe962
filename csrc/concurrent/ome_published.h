/* Published events: the only way to read the outbound stream.
 *
 *     match stage --> [ outbound stream ] --> gate --> readers: gateway, feed, event log, ...
 *
 * A reader takes events in batches, up to the gate: the last command whose events may be published. The gate is the
 * smallest of the sequences that publication waits for: the last durable command, and later the last one that a standby
 * has. The thread that advances a sequence wakes the sleeping readers.
 *
 * Readers register by name, before the venue starts. Each must read until the venue is drained, or detach: a reader
 * that reads nothing stops the matcher.
 *
 * Threads: a gate's sequence is written by one thread, and read by all; a reader belongs to one thread. Events are read
 * with the acquire of the stream; the gate's acquire is paired with the release in ome_published_advance. */
#ifndef OME_PUBLISHED_H
#define OME_PUBLISHED_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_records.h"
#include "abi/ome_status.h"
#include "concurrent/ome_stream.h"

/* What publication may wait for. A standby adds its own. */
typedef enum
{
    OME_GATE_DURABLE, /* the last command on disk */
    OME_GATE_COUNT
} ome_gate_t;

typedef struct
{
    ome_sequence_t sequences[OME_GATE_COUNT];
    ome_stream_t *stream;
    const char *names[OME_RING_CONSUMER_COUNT_MAX]; /* of readers, by index */
    bool sleeps[OME_RING_CONSUMER_COUNT_MAX];       /* the reader sleeps and must be woken */
    uint32_t reader_count;
    uint32_t required; /* fixed: bit n is set if publication waits for sequence n */
} ome_published_t;

/* One reader. A value that the reading thread keeps. */
typedef struct
{
    ome_published_t *published;
    uint32_t index;
} ome_reader_t;

/* Events up to the gate and no further; the stream is empty. All sequences are at `sequence`. */
void ome_published_init(ome_published_t *published, ome_stream_t *stream, uint32_t required, uint64_t sequence);

/* Makes a reader. `name` lives as long as the venue; `sleeps`: it sleeps on its wait object. OME_OK; OME_INVALID:
 * another reader has the name; OME_FULL: the stream has no more. */
ome_status_t ome_published_register(ome_published_t *published, const char *name, bool sleeps, ome_reader_t *reader);

/* The reader of a name. False if there is none. */
bool ome_published_find(ome_published_t *published, const char *name, ome_reader_t *reader);

/* Ends registration: reader places without a reader delay nothing. */
void ome_published_start(ome_published_t *published);

/* Ends all readers except those that never sleep, which check by themselves: for the thread that ends the venue. */
void ome_published_close(ome_published_t *published);

/* ---- the gate ---- */

/* Advances a sequence; wakes the sleeping readers if publication waits for it. */
void ome_published_advance(ome_published_t *published, ome_gate_t gate, uint64_t sequence);

static inline uint64_t ome_published_sequence(const ome_published_t *published, ome_gate_t gate)
{
    return atomic_load_explicit(&published->sequences[gate].value, memory_order_acquire);
}

/* The last command whose events may be published; UINT64_MAX if publication waits for nothing. */
static inline uint64_t ome_published_limit(const ome_published_t *published)
{
    uint64_t limit = UINT64_MAX;
    for (uint32_t gate = 0; gate < OME_GATE_COUNT; gate++)
    {
        const bool is_required = (published->required >> gate & 1) != 0;
        const uint64_t sequence = is_required ? ome_published_sequence(published, (ome_gate_t)gate) : UINT64_MAX;
        limit = sequence < limit ? sequence : limit;
    }
    return limit;
}

/* ---- a reader ---- */

/* Sets `*events` to the next event and returns how many, up to `count_max`, may be published from there. They are
 * contiguous. */
uint32_t ome_reader_take(const ome_reader_t *reader, uint32_t count_max, const ome_event_t **events);

/* The first `count` of them are read: their slots may be overwritten. */
void ome_reader_advance(const ome_reader_t *reader, uint32_t count);

/* Whether the command `sequence`, whose event was read last, has no more events. Also false while this is not known
 * yet: when it is known, the reader is woken. */
bool ome_reader_is_past(const ome_reader_t *reader, uint64_t sequence);

/* Whether there is an event that may be published. */
bool ome_reader_has_event(const ome_reader_t *reader);

/* The reader's wait object. */
ome_wait_t *ome_reader_wait(const ome_reader_t *reader);

/* The reader reads no more and delays nothing, permanently. */
void ome_reader_detach(const ome_reader_t *reader);

#endif
