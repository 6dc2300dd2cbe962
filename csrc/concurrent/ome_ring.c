#include "concurrent/ome_ring.h"

#include <sched.h>
#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "base/ome_platform.h"

#define RELAX_COUNT_BETWEEN_TRIES 16

static bool ring_is_power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static bool ring_config_is_valid(const ome_ring_config_t *config)
{
    return ring_is_power_of_two(config->slot_count) && config->slot_count >= 2 && config->slot_count <= OME_RING_SLOT_COUNT_MAX &&
           config->consumer_count >= 1 && config->consumer_count <= OME_RING_CONSUMER_COUNT_MAX &&
           config->initial_sequence <= OME_SEQUENCE_INITIAL_MAX;
}

size_t ome_ring_size_bytes(uint32_t slot_count)
{
    return sizeof(ome_ring_t) + (size_t)slot_count * sizeof(ome_slot_t);
}

ome_status_t ome_ring_init(ome_ring_t **ring, void *memory, size_t size_bytes, const ome_ring_config_t *config)
{
    if (!ring_config_is_valid(config) || (uintptr_t)memory % OME_CACHE_LINE_SIZE != 0)
    {
        return OME_INVALID;
    }
    if (size_bytes < ome_ring_size_bytes(config->slot_count))
    {
        return OME_NO_MEMORY;
    }
    memset(memory, 0, ome_ring_size_bytes(config->slot_count));
    ome_ring_t *made = memory;
    const ome_status_t status = ome_wait_init(&made->wait, config->wait_strategy);
    if (status != OME_OK)
    {
        return status;
    }
    made->slot_count = config->slot_count;
    made->consumer_count = config->consumer_count;
    atomic_init(&made->cursor.value, config->initial_sequence);
    atomic_init(&made->gating_cache.value, config->initial_sequence);
    for (uint32_t i = 0; i < config->consumer_count; i++)
    {
        atomic_init(&made->consumers[i].value, config->initial_sequence);
    }
    *ring = made;
    return OME_OK;
}

/* The slowest consumer, which is also written to the cache. Another producer may have written a later one in the
 * meantime: then the cache goes back a little, which costs that producer one more look and nothing else. */
static uint64_t ring_refresh_gating(ome_ring_t *ring)
{
    uint64_t gating = UINT64_MAX;
    for (uint32_t i = 0; i < ring->consumer_count; i++)
    {
        /* Pairs with the release in ome_ring_consumer_advance: the consumer has read the slots that will be overwritten. */
        const uint64_t sequence = atomic_load_explicit(&ring->consumers[i].value, memory_order_acquire);
        gating = sequence < gating ? sequence : gating;
    }
    /* Release, so that a producer that reads only the cache also comes after those reads. */
    atomic_store_explicit(&ring->gating_cache.value, gating, memory_order_release);
    return gating;
}

static bool ring_has_room(ome_ring_t *ring, uint64_t last_sequence)
{
    /* Pairs with the release in ring_refresh_gating. */
    const uint64_t cached = atomic_load_explicit(&ring->gating_cache.value, memory_order_acquire);
    return OME_LIKELY(last_sequence <= cached + ring->slot_count) || last_sequence <= ring_refresh_gating(ring) + ring->slot_count;
}

ome_status_t ome_ring_try_claim(ome_ring_t *ring, uint32_t count, uint64_t *first_sequence)
{
    if (count == 0 || count > ring->slot_count)
    {
        return OME_INVALID;
    }
    /* Relaxed: the cursor only shares out numbers. What orders the slots is the gating sequence before and the slot's sequence after. */
    uint64_t cursor = atomic_load_explicit(&ring->cursor.value, memory_order_relaxed);
    do
    {
        if (OME_UNLIKELY((cursor & OME_RING_CLOSED) != 0))
        {
            return OME_STOPPED;
        }
        if (!ring_has_room(ring, cursor + count))
        {
            return OME_FULL;
        }
    } while (
        !atomic_compare_exchange_weak_explicit(&ring->cursor.value, &cursor, cursor + count, memory_order_relaxed, memory_order_relaxed));
    *first_sequence = cursor + 1;
    return OME_OK;
}

ome_status_t ome_ring_claim(ome_ring_t *ring, uint32_t count, uint64_t spin_ns, uint64_t *first_sequence)
{
    ome_status_t status = ome_ring_try_claim(ring, count, first_sequence);
    if (OME_LIKELY(status != OME_FULL))
    {
        return status;
    }
    const uint64_t deadline_ns = ome_wait_deadline_ns(spin_ns);
    do
    {
        for (int i = 0; i < RELAX_COUNT_BETWEEN_TRIES; i++)
        {
            ome_cpu_relax();
        }
        if (ring->wait.strategy != OME_WAIT_SPIN)
        {
            sched_yield();
        }
        status = ome_ring_try_claim(ring, count, first_sequence);
    } while (status == OME_FULL && ome_clock_monotonic_ns() < deadline_ns);
    return status;
}

/* The last slot first: a consumer waits for the first of them, and once it is there all are. The other way round it
 * would follow from slot to slot, and take each slot's cache line from the producer that is about to publish it. */
void ome_ring_publish(ome_ring_t *ring, uint64_t first_sequence, uint32_t count)
{
    for (uint64_t sequence = first_sequence + count; sequence-- > first_sequence;)
    {
        ome_slot_t *slot = ome_ring_slot(ring, sequence);
        OME_ASSERT(atomic_load_explicit(&slot->sequence, memory_order_relaxed) < sequence);
        /* Pairs with the acquire in ring_is_published: who sees the sequence sees the body. */
        atomic_store_explicit(&slot->sequence, sequence, memory_order_release);
    }
    ome_wait_notify(&ring->wait);
}

static bool ring_is_published(const ome_ring_t *ring, uint64_t sequence)
{
    const ome_slot_t *slot = &ring->slots[sequence & (ring->slot_count - 1)];
    /* Pairs with the release in ome_ring_publish. */
    return atomic_load_explicit(&slot->sequence, memory_order_acquire) == sequence;
}

uint32_t ome_ring_available(ome_ring_t *ring, uint64_t from_sequence, uint32_t max_count)
{
    uint32_t count = 0;
    while (count < max_count && ring_is_published(ring, from_sequence + count))
    {
        count++;
    }
    return count;
}

typedef struct
{
    const ome_ring_t *ring;
    uint64_t sequence;
} published_condition_t;

static bool ring_published_condition(const void *context)
{
    const published_condition_t *condition = context;
    return ring_is_published(condition->ring, condition->sequence);
}

ome_status_t ome_ring_wait(ome_ring_t *ring, uint64_t from_sequence, uint64_t timeout_ns)
{
    const published_condition_t condition = {.ring = ring, .sequence = from_sequence};
    return ome_wait_for(&ring->wait, ring_published_condition, &condition, timeout_ns);
}

void ome_ring_consumer_advance(ome_ring_t *ring, uint32_t consumer_index, uint64_t sequence)
{
    OME_ASSERT(consumer_index < ring->consumer_count);
    ome_sequence_t *consumer = &ring->consumers[consumer_index];
    OME_ASSERT(atomic_load_explicit(&consumer->value, memory_order_relaxed) <= sequence);
    /* Pairs with the acquire in ring_refresh_gating. */
    atomic_store_explicit(&consumer->value, sequence, memory_order_release);
}

void ome_ring_close(ome_ring_t *ring)
{
    (void)atomic_fetch_or_explicit(&ring->cursor.value, OME_RING_CLOSED, memory_order_relaxed);
}

bool ome_ring_is_closed(const ome_ring_t *ring)
{
    return (atomic_load_explicit(&ring->cursor.value, memory_order_relaxed) & OME_RING_CLOSED) != 0;
}

bool ome_ring_is_finished(const ome_ring_t *ring, uint64_t sequence)
{
    /* One load: whatever is claimed once it shows CLOSED is all that ever will be. */
    return atomic_load_explicit(&ring->cursor.value, memory_order_relaxed) == (sequence | OME_RING_CLOSED);
}

uint64_t ome_ring_cursor(const ome_ring_t *ring)
{
    return atomic_load_explicit(&ring->cursor.value, memory_order_relaxed) & ~OME_RING_CLOSED;
}

uint64_t ome_ring_consumer_sequence(const ome_ring_t *ring, uint32_t consumer_index)
{
    OME_ASSERT(consumer_index < ring->consumer_count);
    return atomic_load_explicit(&ring->consumers[consumer_index].value, memory_order_relaxed);
}
