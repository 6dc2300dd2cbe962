#include "concurrent/ome_channel.h"

#include <sys/socket.h>

#include "base/ome_assert.h"
#include "concurrent/ome_wait.h"

/* Of one look: a process that sends more of them keeps this one awake, and from nothing else. */
#define BELL_MESSAGES_MAX 64u

#define BELL_BITS 2u
#define BELL_MASK ((UINT64_C(1) << BELL_BITS) - 1)

void ome_channel_lay_out(
    ome_channel_t *channel, ome_arena_t *producers, ome_arena_t *consumers, uint32_t slot_count, uint32_t slot_size_bytes)
{
    OME_ASSERT(slot_count != 0 && (slot_count & (slot_count - 1)) == 0);
    *channel = (ome_channel_t){.slot_count = slot_count, .slot_size_bytes = slot_size_bytes};
    channel->published = ome_arena_take(producers, sizeof(ome_sequence_t));
    channel->slots = ome_arena_take(producers, (uint64_t)slot_count * slot_size_bytes);
    channel->consumed = ome_arena_take(consumers, sizeof(ome_sequence_t));
}

/* ---- the producer ---- */

uint32_t ome_channel_room(ome_channel_t *channel, uint32_t wanted)
{
    uint64_t room = channel->slot_count - (channel->position - channel->other);
    if (room < wanted && !channel->is_broken)
    {
        /* Pairs with the release in ome_channel_consume: the consumer has read the slots that will be overwritten. */
        const uint64_t consumed = atomic_load_explicit(&channel->consumed->value, memory_order_acquire);
        channel->is_broken = consumed < channel->other || consumed > channel->position;
        channel->other = channel->is_broken ? channel->other : consumed;
        room = channel->slot_count - (channel->position - channel->other);
    }
    return channel->is_broken ? 0 : room < wanted ? (uint32_t)room : wanted;
}

void ome_channel_publish(ome_channel_t *channel, uint32_t count)
{
    OME_EXPECT(channel->position + count - channel->other <= channel->slot_count);
    channel->position += count;
    /* Pairs with the acquire in ome_channel_available: who sees the position sees the slots. */
    atomic_store_explicit(&channel->published->value, channel->position, memory_order_release);
}

/* ---- the consumer ---- */

uint32_t ome_channel_available(ome_channel_t *channel)
{
    if (channel->is_broken)
    {
        return 0;
    }
    const uint64_t published = atomic_load_explicit(&channel->published->value, memory_order_acquire);
    channel->is_broken = published < channel->other || published - channel->position > channel->slot_count;
    channel->other = channel->is_broken ? channel->other : published;
    return channel->is_broken ? 0 : (uint32_t)(published - channel->position);
}

void ome_channel_consume(ome_channel_t *channel, uint32_t count)
{
    OME_EXPECT(count <= channel->other - channel->position);
    channel->position += count;
    atomic_store_explicit(&channel->consumed->value, channel->position, memory_order_release);
}

/* ---- the bell ---- */

void ome_bell_prepare(ome_bell_t *bell, uint32_t waits_for)
{
    const uint64_t number = (atomic_load_explicit(&bell->value, memory_order_relaxed) >> BELL_BITS) + 1;
    atomic_store_explicit(&bell->value, number << BELL_BITS | waits_for, memory_order_relaxed);
    ome_wait_fence(); /* pairs with the fence in ome_bell_ring (Dekker, as in ome_wait.h) */
}

void ome_bell_cancel(ome_bell_t *bell)
{
    const uint64_t word = atomic_load_explicit(&bell->value, memory_order_relaxed);
    atomic_store_explicit(&bell->value, word & ~BELL_MASK, memory_order_relaxed);
}

void ome_bell_ring(const ome_bell_t *bell, uint32_t reason, int bell_fd, uint64_t *rung)
{
    ome_wait_fence();
    const uint64_t word = atomic_load_explicit(&bell->value, memory_order_relaxed);
    if ((word & reason) == 0 || word >> BELL_BITS == *rung)
    {
        return;
    }
    *rung = word >> BELL_BITS;
    const uint64_t one = 1;
    /* Where there is no room, messages wait that will wake it; where nobody is there any more, nobody sleeps. */
    (void)!send(bell_fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ome_bell_hear(int bell_fd)
{
    uint64_t one;
    for (uint32_t i = 0; i < BELL_MESSAGES_MAX && recv(bell_fd, &one, sizeof(one), MSG_DONTWAIT) > 0; i++)
    {
    }
}
