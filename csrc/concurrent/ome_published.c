#include "concurrent/ome_published.h"

#include <string.h>

#include "base/ome_assert.h"

void ome_published_init(ome_published_t *published, ome_stream_t *stream, uint32_t required, uint64_t sequence)
{
    OME_ASSERT(required >> OME_GATE_COUNT == 0);
    *published = (ome_published_t){.stream = stream, .required = required};
    for (uint32_t gate = 0; gate < OME_GATE_COUNT; gate++)
    {
        atomic_store_explicit(&published->sequences[gate].value, sequence, memory_order_release);
    }
}

bool ome_published_find(ome_published_t *published, const char *name, ome_reader_t *reader)
{
    for (uint32_t index = 0; index < published->reader_count; index++)
    {
        if (strcmp(published->names[index], name) == 0)
        {
            *reader = (ome_reader_t){.published = published, .index = index};
            return true;
        }
    }
    return false;
}

ome_status_t ome_published_register(ome_published_t *published, const char *name, bool sleeps, ome_reader_t *reader)
{
    if (ome_published_find(published, name, reader))
    {
        return OME_INVALID;
    }
    if (published->reader_count == published->stream->reader_count)
    {
        return OME_FULL;
    }
    const uint32_t index = published->reader_count++;
    published->names[index] = name;
    published->sleeps[index] = sleeps;
    *reader = (ome_reader_t){.published = published, .index = index};
    return OME_OK;
}

void ome_published_start(ome_published_t *published)
{
    for (uint32_t index = published->reader_count; index < published->stream->reader_count; index++)
    {
        ome_stream_detach(published->stream, index);
    }
}

void ome_published_close(ome_published_t *published)
{
    for (uint32_t index = 0; index < published->reader_count; index++)
    {
        if (published->sleeps[index])
        {
            ome_stream_detach(published->stream, index);
        }
    }
}

void ome_published_advance(ome_published_t *published, ome_gate_t gate, uint64_t sequence)
{
    atomic_store_explicit(&published->sequences[gate].value, sequence, memory_order_release);
    if ((published->required >> gate & 1) == 0)
    {
        return;
    }
    ome_wait_fence();
    for (uint32_t index = 0; index < published->reader_count; index++)
    {
        if (published->sleeps[index])
        {
            ome_wait_notify_after_fence(ome_stream_reader_wait(published->stream, index));
        }
    }
}

/* Of `count` events, whose sequences do not fall, how many are not above the limit. Nearly always all, or none. */
static uint32_t published_count(const ome_event_t *events, uint32_t count, uint64_t limit)
{
    uint32_t least = 0;
    uint32_t most = count;
    if (count == 0 || events[count - 1].sequence <= limit)
    {
        return count;
    }
    while (least < most)
    {
        const uint32_t middle = least + (most - least) / 2;
        *(events[middle].sequence <= limit ? &least : &most) = events[middle].sequence <= limit ? middle + 1 : middle;
    }
    return least;
}

uint32_t ome_reader_take(const ome_reader_t *reader, uint32_t count_max, const ome_event_t **events)
{
    const void *slots = NULL;
    const uint32_t available = ome_stream_available(reader->published->stream, reader->index, &slots);
    *events = slots;
    return published_count(slots, available < count_max ? available : count_max, ome_published_limit(reader->published));
}

void ome_reader_advance(const ome_reader_t *reader, uint32_t count)
{
    ome_stream_advance(reader->published->stream, reader->index, count);
}

bool ome_reader_is_past(const ome_reader_t *reader, uint64_t sequence)
{
    const void *slots = NULL;
    if (ome_stream_available(reader->published->stream, reader->index, &slots) > 0)
    {
        return ((const ome_event_t *)slots)->sequence != sequence;
    }
    return ome_stream_is_whole(reader->published->stream, reader->index);
}

bool ome_reader_has_event(const ome_reader_t *reader)
{
    const ome_event_t *events;
    return ome_reader_take(reader, 1, &events) > 0;
}

ome_wait_t *ome_reader_wait(const ome_reader_t *reader)
{
    return ome_stream_reader_wait(reader->published->stream, reader->index);
}

void ome_reader_detach(const ome_reader_t *reader)
{
    ome_stream_detach(reader->published->stream, reader->index);
}
