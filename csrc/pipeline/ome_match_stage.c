#include "pipeline/ome_match_stage.h"

#include "base/ome_assert.h"
#include "book/ome_deadline_heap.h"
#include "commands/ome_apply.h"

#define ROOM_WAIT_NS UINT64_C(1000000)

/* The events in the window that are not published; 0 if events are dropped. */
static uint32_t stage_written_count(const ome_match_stage_t *stage)
{
    return stage->written_from == stage->nowhere ? 0 : (uint32_t)(stage->sink.next - stage->written_from);
}

/* The window is full, perhaps inside a command, or there is none yet: publishes it and opens the next. */
static void stage_open_window(ome_sink_t *sink)
{
    ome_match_stage_t *stage = (ome_match_stage_t *)sink;
    const uint32_t written = stage_written_count(stage);
    if (written > 0)
    {
        ome_stream_publish(stage->stream, written);
        stage->has_open_group = true;
    }
    stage->written_from = stage->sink.next;
    void *slots = stage->nowhere;
    uint32_t count = 1;
    /* Relaxed: it is only a flag to be seen some time. Asked first, so that nothing is published behind what went nowhere. */
    while (!atomic_load_explicit(stage->is_abandoned, memory_order_relaxed))
    {
        count = ome_stream_window(stage->stream, &slots);
        if (count > 0)
        {
            break;
        }
        (void)ome_stream_wait_room(stage->stream, ROOM_WAIT_NS);
        slots = stage->nowhere;
        count = 1;
    }
    stage->written_from = slots;
    sink->next = slots;
    sink->end = sink->next + count;
}

/* The time of the next expiry, for the thread of the clock; 0: nothing expires. */
static void stage_tell_deadline(const ome_match_stage_t *stage)
{
    const ome_special_pool_t *specials = &stage->engine->pools.specials;
    const uint32_t first = ome_deadline_heap_first(specials);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_DEADLINE), specials->records[first].deadline_ns);
}

void ome_match_stage_init(ome_match_stage_t *stage, ome_engine_t *engine, ome_ring_t *ring, uint32_t consumer_index, ome_stream_t *stream,
    const ome_counters_t *counters, const atomic_bool *is_abandoned)
{
    *stage = (ome_match_stage_t){.engine = engine,
        .ring = ring,
        .stream = stream,
        .counters = counters,
        .is_abandoned = is_abandoned,
        .next_sequence = engine->sequence + 1,
        .consumer_index = consumer_index};
    stage->sink.flush = stage_open_window;
    stage->written_from = stage->nowhere;
    stage->sink.next = stage->nowhere;
    stage->sink.end = stage->nowhere;
    stage_tell_deadline(stage);
}

/* The events since the last window was opened end with a whole command. */
static void stage_publish_whole(ome_match_stage_t *stage)
{
    const uint32_t written = stage_written_count(stage);
    if (written > 0 || stage->has_open_group)
    {
        ome_stream_publish_whole(stage->stream, written);
        stage->has_open_group = false;
    }
    stage->written_from = stage->sink.next;
}

static void stage_count_work(const ome_match_stage_t *stage)
{
    const ome_engine_t *engine = stage->engine;
    stage_tell_deadline(stage);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_COMMANDS), engine->sequence);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_EVENTS), engine->event_count);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_TRADES), engine->trade_count);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_LEVELS), engine->pools.ladder.level_count);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_INSTRUMENTS), engine->instrument_count);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_RING_CURSOR), ome_ring_cursor(stage->ring));
}

uint32_t ome_match_stage_do_work(ome_match_stage_t *stage)
{
    if (stage->query != NULL && OME_UNLIKELY(ome_query_is_asked(stage->query)))
    {
        ome_query_answer(stage->query, stage->engine);
    }
    const uint32_t count = ome_ring_available(stage->ring, stage->next_sequence, OME_MATCH_BATCH_COUNT);
    if (count == 0)
    {
        return 0;
    }
    if (stage->sink.next == stage->sink.end)
    {
        stage_open_window(&stage->sink);
    }
    OME_ASSERT(stage->engine->sequence + 1 == stage->next_sequence);
    /* In one piece, or in two where the ring wraps. */
    const uint32_t to_wrap = stage->ring->slot_count - (uint32_t)(stage->next_sequence & (stage->ring->slot_count - 1));
    const uint32_t first = count < to_wrap ? count : to_wrap;
    ome_engine_apply_many(stage->engine, ome_ring_slot(stage->ring, stage->next_sequence), first, &stage->sink);
    ome_engine_apply_many(stage->engine, ome_ring_slot(stage->ring, stage->next_sequence + first), count - first, &stage->sink);
    stage->next_sequence += count;
    stage_publish_whole(stage);
    ome_ring_consumer_advance(stage->ring, stage->consumer_index, stage->next_sequence - 1);
    stage_count_work(stage);
    return count;
}

static bool stage_has_work(const void *context)
{
    const ome_match_stage_t *stage = context;
    return ome_ring_available(stage->ring, stage->next_sequence, 1) > 0 || (stage->query != NULL && ome_query_is_asked(stage->query));
}

void ome_match_stage_wait(ome_match_stage_t *stage, uint64_t timeout_ns)
{
    (void)ome_wait_for(&stage->ring->wait, stage_has_work, stage, timeout_ns);
}
