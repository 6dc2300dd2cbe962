/* A channel: records from one process to another, through memory that both have mapped.
 *
 *     producer: room -> write -> publish        consumer: available -> read -> consume
 *
 *                          consumed            published
 *                              v                   v
 *     ... | free | read and done | to be read      | free, up to consumed + slot_count ...
 *
 * Each end has a view in its own memory (ome_channel_t): where the parts are, how many slots there are, its own position. What it reads of
 * the other end is one position, and a position that cannot be is believed by nobody: the channel is broken then, and stays so. So whatever
 * a process does that has lost its mind, the other one neither leaves its memory nor loses its own place.
 *
 * The slots and `published` are in memory that the producer writes, `consumed` is in memory that the consumer writes: one process can have
 * the other's part mapped for reading alone. A process that dies leaves what it has published, whole, and of the rest nothing.
 *
 * A process that sleeps hears a bell (ome_bell_t): it says in its own memory that it sleeps, and the other one sends a message of 8 bytes
 * at most once for each sleep, over a pair of sockets (AF_UNIX, SOCK_SEQPACKET). An event descriptor would not do: both processes would have
 * the same open file, and one could make it block the other, or fill it. Sending says each time that it does not wait.
 *
 * Threads: one at each end. Positions start at 0; the record at position p is in slot p & (slot_count - 1). */
#ifndef OME_CHANNEL_H
#define OME_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ome_arena.h"
#include "concurrent/ome_sequence.h"

/* One end's view. */
typedef struct
{
    ome_sequence_t *published;
    ome_sequence_t *consumed;
    uint8_t *slots;
    uint64_t position;   /* its own: records published, or consumed */
    uint64_t other;      /* the other end's, when it last looked */
    uint32_t slot_count; /* a power of two */
    uint32_t slot_size_bytes;
    bool is_broken; /* the other end's position was one that cannot be */
} ome_channel_t;

/* Lays a channel out: the producer's part and the consumer's part of memory, zeroed. Both ends do the same. */
void ome_channel_lay_out(
    ome_channel_t *channel, ome_arena_t *producers, ome_arena_t *consumers, uint32_t slot_count, uint32_t slot_size_bytes);

static inline void *ome_channel_slot(const ome_channel_t *channel, uint64_t position)
{
    return channel->slots + (position & (channel->slot_count - 1)) * channel->slot_size_bytes;
}

/* ---- the producer ---- */

/* How many records there is room for, at the most `wanted`; looks at the other end only where it has to. */
uint32_t ome_channel_room(ome_channel_t *channel, uint32_t wanted);

/* The next `count` records are written, from ome_channel_slot(channel, channel->position) on: the consumer sees them all, or none. */
void ome_channel_publish(ome_channel_t *channel, uint32_t count);

/* ---- the consumer ---- */

/* How many records there are to be read, from ome_channel_slot(channel, channel->position) on. */
uint32_t ome_channel_available(ome_channel_t *channel);

/* The first `count` of them are read: their slots may be overwritten. */
void ome_channel_consume(ome_channel_t *channel, uint32_t count);

/* ---- the bell of a process ---- */

/* What a process may wait for, so that it is not woken for anything else. */
#define OME_BELL_RECORDS 1u
#define OME_BELL_ROOM 2u

/* Written by the process that sleeps: bits of what it waits for, and above them the number of the sleep. */
typedef ome_sequence_t ome_bell_t;

/* The caller is about to sleep until its end of the sockets is readable. It looks once more at what it waits for after this, before it
 * does. */
void ome_bell_prepare(ome_bell_t *bell, uint32_t waits_for);

/* It does not sleep, or no longer. */
void ome_bell_cancel(ome_bell_t *bell);

/* After something was published or consumed: wakes the process, if it sleeps and waits for that. `rung` is the ringer's own: the last sleep
 * that it has ended. */
void ome_bell_ring(const ome_bell_t *bell, uint32_t reason, int bell_fd, uint64_t *rung);

/* Reads the messages that have come, some of them at least: there are no more than one for each sleep, unless the other process is broken. */
void ome_bell_hear(int bell_fd);

#endif
