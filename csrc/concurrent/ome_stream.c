#include "concurrent/ome_stream.h"

#include <string.h>

#include "base/ome_assert.h"

static bool stream_config_is_valid(const ome_stream_config_t *config)
{
    return config->slot_count >= 2 && config->slot_count <= OME_RING_SLOT_COUNT_MAX &&
           (config->slot_count & (config->slot_count - 1)) == 0 && config->reader_count >= 1 &&
           config->reader_count <= OME_RING_CONSUMER_COUNT_MAX;
}

size_t ome_stream_size_bytes(uint32_t slot_count)
{
    return sizeof(ome_stream_t) + (size_t)slot_count * OME_RECORD_SIZE;
}

ome_status_t ome_stream_init(ome_stream_t **stream, void *memory, size_t size_bytes, const ome_stream_config_t *config)
{
    if (!stream_config_is_valid(config) || (uintptr_t)memory % OME_CACHE_LINE_SIZE != 0)
    {
        return OME_INVALID;
    }
    if (size_bytes < ome_stream_size_bytes(config->slot_count))
    {
        return OME_NO_MEMORY;
    }
    memset(memory, 0, ome_stream_size_bytes(config->slot_count));
    ome_stream_t *made = memory;
    ome_status_t status = ome_wait_init(&made->room, config->wait_strategy);
    for (uint32_t i = 0; i < config->reader_count && status == OME_OK; i++)
    {
        status = ome_wait_init(&made->readers[i].wait, config->wait_strategy);
    }
    if (status != OME_OK)
    {
        return status;
    }
    made->slot_count = config->slot_count;
    made->reader_count = config->reader_count;
    *stream = made;
    return OME_OK;
}

/* How many of `count` slots from `position` come before the wrap, and where they are. */
static uint32_t stream_contiguous(const ome_stream_t *stream, uint64_t position, uint64_t count, uint32_t *slot_index)
{
    *slot_index = (uint32_t)(position & (stream->slot_count - 1));
    const uint32_t before_wrap = stream->slot_count - *slot_index;
    return count < before_wrap ? (uint32_t)count : before_wrap;
}

/* The slowest attached reader; OME_STREAM_DETACHED when there is none. */
static uint64_t stream_slowest_reader(const ome_stream_t *stream)
{
    uint64_t slowest = OME_STREAM_DETACHED;
    for (uint32_t i = 0; i < stream->reader_count; i++)
    {
        /* Pairs with the release in ome_stream_advance and ome_stream_detach: the reader has read the slots that will be overwritten. */
        const uint64_t position = atomic_load_explicit(&stream->readers[i].position.value, memory_order_acquire);
        slowest = position < slowest ? position : slowest;
    }
    return slowest;
}

/* What only the producer writes, read by the producer. */
static uint64_t stream_own_value(const ome_sequence_t *sequence)
{
    return atomic_load_explicit(&sequence->value, memory_order_relaxed);
}

static uint64_t stream_free_slot_count(const ome_stream_t *stream)
{
    return stream->slot_count - (stream_own_value(&stream->published) - stream_own_value(&stream->slowest_cache));
}

/* Looks at the readers. */
static void stream_refresh_slowest(ome_stream_t *stream)
{
    const uint64_t published = stream_own_value(&stream->published);
    const uint64_t slowest = stream_slowest_reader(stream);
    atomic_store_explicit(&stream->slowest_cache.value, slowest < published ? slowest : published, memory_order_relaxed);
}

uint32_t ome_stream_window(ome_stream_t *stream, void **slots)
{
    /* While more than half is free there is no need to look at the readers; after that, a look keeps windows from becoming small. */
    if (stream_free_slot_count(stream) <= stream->slot_count / 2)
    {
        stream_refresh_slowest(stream);
    }
    uint32_t slot_index;
    const uint32_t count = stream_contiguous(stream, stream_own_value(&stream->published), stream_free_slot_count(stream), &slot_index);
    *slots = stream->slots + (size_t)slot_index * OME_RECORD_SIZE;
    return count;
}

static bool stream_room_condition(const void *context)
{
    const ome_stream_t *stream = context;
    const uint64_t published = stream_own_value(&stream->published);
    const uint64_t slowest = stream_slowest_reader(stream);
    return slowest >= published || published - slowest < stream->slot_count;
}

ome_status_t ome_stream_wait_room(ome_stream_t *stream, uint64_t timeout_ns)
{
    return ome_wait_for(&stream->room, stream_room_condition, stream, timeout_ns);
}

void ome_stream_publish(ome_stream_t *stream, uint32_t count)
{
    OME_ASSERT(count <= stream_free_slot_count(stream));
    const uint64_t published = stream_own_value(&stream->published) + count;
    /* Pairs with the acquire in stream_readable_count: who sees the position sees the slots before it. */
    atomic_store_explicit(&stream->published.value, published, memory_order_release);
    ome_wait_fence(); /* once for all readers */
    for (uint32_t i = 0; i < stream->reader_count; i++)
    {
        ome_wait_notify_after_fence(&stream->readers[i].wait);
    }
}

void ome_stream_publish_whole(ome_stream_t *stream, uint32_t count)
{
    /* Relaxed, but before the release of `published`: a reader that has seen all of these slots sees this, too. */
    atomic_store_explicit(&stream->whole.value, stream_own_value(&stream->published) + count, memory_order_relaxed);
    ome_stream_publish(stream, count);
}

/* The reader's own position. */
static uint64_t stream_own_position(const ome_stream_t *stream, uint32_t reader_index)
{
    OME_ASSERT(reader_index < stream->reader_count);
    const uint64_t position = atomic_load_explicit(&stream->readers[reader_index].position.value, memory_order_relaxed);
    OME_ASSERT(position != OME_STREAM_DETACHED);
    return position;
}

static uint64_t stream_readable_count(const ome_stream_t *stream, uint64_t position)
{
    /* Pairs with the release in ome_stream_publish. */
    return atomic_load_explicit(&stream->published.value, memory_order_acquire) - position;
}

uint32_t ome_stream_available(ome_stream_t *stream, uint32_t reader_index, const void **slots)
{
    const uint64_t position = stream_own_position(stream, reader_index);
    uint32_t slot_index;
    const uint32_t count = stream_contiguous(stream, position, stream_readable_count(stream, position), &slot_index);
    *slots = stream->slots + (size_t)slot_index * OME_RECORD_SIZE;
    return count;
}

bool ome_stream_is_whole(const ome_stream_t *stream, uint32_t reader_index)
{
    return atomic_load_explicit(&stream->whole.value, memory_order_relaxed) == stream_own_position(stream, reader_index);
}

typedef struct
{
    const ome_stream_t *stream;
    uint64_t position;
} readable_condition_t;

static bool stream_readable_condition(const void *context)
{
    const readable_condition_t *condition = context;
    return stream_readable_count(condition->stream, condition->position) > 0;
}

ome_status_t ome_stream_wait(ome_stream_t *stream, uint32_t reader_index, uint64_t timeout_ns)
{
    const readable_condition_t condition = {.stream = stream, .position = stream_own_position(stream, reader_index)};
    return ome_wait_for(&stream->readers[reader_index].wait, stream_readable_condition, &condition, timeout_ns);
}

void ome_stream_advance(ome_stream_t *stream, uint32_t reader_index, uint32_t count)
{
    const uint64_t position = stream_own_position(stream, reader_index);
    OME_ASSERT(count <= stream_readable_count(stream, position));
    /* Pairs with the acquire in stream_slowest_reader. */
    atomic_store_explicit(&stream->readers[reader_index].position.value, position + count, memory_order_release);
    ome_wait_notify(&stream->room);
}

void ome_stream_detach(ome_stream_t *stream, uint32_t reader_index)
{
    OME_ASSERT(reader_index < stream->reader_count);
    /* Pairs with the acquire in stream_slowest_reader. */
    atomic_store_explicit(&stream->readers[reader_index].position.value, OME_STREAM_DETACHED, memory_order_release);
    ome_wait_notify(&stream->room);
}

ome_wait_t *ome_stream_reader_wait(ome_stream_t *stream, uint32_t reader_index)
{
    OME_ASSERT(reader_index < stream->reader_count);
    return &stream->readers[reader_index].wait;
}

uint64_t ome_stream_published(const ome_stream_t *stream)
{
    return atomic_load_explicit(&stream->published.value, memory_order_relaxed);
}

uint64_t ome_stream_reader_position(const ome_stream_t *stream, uint32_t reader_index)
{
    OME_ASSERT(reader_index < stream->reader_count);
    return atomic_load_explicit(&stream->readers[reader_index].position.value, memory_order_relaxed);
}
