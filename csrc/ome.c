#include "ome.h"

#include <stdlib.h>
#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_hash.h"
#include "base/ome_memory.h"
#include "engine/ome_engine.h"

#define BATCH_EVENT_COUNT_INITIAL 4096u

static_assert(sizeof(ome_depth_t) == 24, "ome_depth_t has no padding");
static_assert(sizeof(ome_order_view_t) == 56, "ome_order_view_t has no padding");
static_assert(sizeof(ome_instrument_view_t) == 32, "ome_instrument_view_t has no padding");
static_assert(sizeof(ome_session_view_t) == 24, "ome_session_view_t has no padding");

ome_status_t ome_engine_create(
    uint32_t order_count_max, uint32_t level_count_max, uint32_t instrument_count_max, uint32_t session_count_max, ome_engine_t **engine)
{
    const ome_limits_t limits = {order_count_max, level_count_max, instrument_count_max, session_count_max};
    const uint64_t size_bytes = ome_engine_size_bytes(&limits);
    if (size_bytes == 0)
    {
        return OME_INVALID;
    }
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    return ome_engine_init(engine, memory, size_bytes, &limits);
}

void ome_engine_destroy(ome_engine_t *engine)
{
    if (engine != NULL)
    {
        ome_memory_unmap(engine, ome_engine_size_bytes(&engine->limits));
    }
}

void ome_engine_status(const ome_engine_t *engine, ome_engine_status_t *status)
{
    *status = (ome_engine_status_t){.sequence = engine->sequence,
        .time_ns = engine->time_ns,
        .trade_count = engine->trade_count,
        .event_count = engine->event_count,
        .instrument_count = engine->instrument_count,
        .session_count = engine->session_count,
        .participant_count = engine->participant_count,
        .level_count = engine->pools.ladder.level_count,
        .order_count_max = engine->limits.order_count_max,
        .level_count_max = engine->limits.level_count_max,
        .instrument_count_max = engine->limits.instrument_count_max,
        .session_count_max = engine->limits.session_count_max};
}

static bool has_instrument(const ome_engine_t *engine, uint32_t number)
{
    return number >= 1 && number <= engine->instrument_count;
}

static uint32_t best_of(const ome_engine_t *engine, uint32_t instrument, uint8_t side)
{
    const bool is_side = side == OME_SIDE_BUY || side == OME_SIDE_SELL;
    return is_side && has_instrument(engine, instrument) ? ome_book_best(&engine->books[instrument], side) : 0;
}

uint32_t ome_engine_levels(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_depth_t *levels)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    uint32_t count = 0;
    for (uint32_t index = best_of(engine, instrument, side); index != 0 && count < count_max; index = ome_ladder_next(ladder, index))
    {
        const ome_level_t *level = &ladder->levels[index];
        levels[count++] = (ome_depth_t){.price = level->price, .quantity = level->quantity, .order_count = level->order_count};
    }
    return count;
}

static ome_order_view_t view_order(const ome_engine_t *engine, uint32_t slot)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const ome_level_t *level = &engine->pools.ladder.levels[order->level];
    return (ome_order_view_t){.order_id = ome_order_id(&engine->pools.orders, slot),
        .client_order_id = order->client_order_id,
        .price = level->price,
        .leaves_quantity = order->leaves_quantity,
        .cumulative_quantity = order->cumulative_quantity,
        .account = (uint32_t)order->owner,
        .participant = ome_owner_participant(order->owner),
        .session = (uint16_t)(order->owner >> 48),
        .instrument = level->instrument,
        .side = level->side};
}

uint32_t ome_engine_orders(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_order_view_t *orders)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    uint32_t count = 0;
    for (uint32_t index = best_of(engine, instrument, side); index != 0; index = ome_ladder_next(ladder, index))
    {
        for (uint32_t slot = ladder->levels[index].head; slot != 0 && count < count_max; slot = engine->pools.orders.orders[slot].next)
        {
            orders[count++] = view_order(engine, slot);
        }
    }
    return count;
}

ome_status_t ome_engine_order(const ome_engine_t *engine, uint64_t order_id, ome_order_view_t *order)
{
    if (ome_order_pool_state(&engine->pools.orders, order_id) != OME_ORDER_LIVE)
    {
        return OME_NOT_FOUND;
    }
    *order = view_order(engine, (uint32_t)order_id);
    return OME_OK;
}

ome_status_t ome_engine_instrument(const ome_engine_t *engine, uint32_t number, ome_instrument_view_t *instrument)
{
    if (!has_instrument(engine, number))
    {
        return OME_NOT_FOUND;
    }
    const ome_instrument_t *from = &engine->books[number].instrument;
    *instrument = (ome_instrument_view_t){
        .tick = from->tick, .price_decimals = from->price_decimals, .quantity_decimals = from->quantity_decimals, .flags = from->flags};
    memcpy(instrument->symbol, from->symbol, sizeof(instrument->symbol));
    return OME_OK;
}

ome_status_t ome_engine_session(const ome_engine_t *engine, uint32_t number, ome_session_view_t *session)
{
    if (number < 1 || number > engine->session_count)
    {
        return OME_NOT_FOUND;
    }
    const ome_session_t *from = &engine->sessions[number];
    *session = (ome_session_view_t){.participant = from->participant, .session_number = from->session_number};
    memcpy(session->participant_name, from->participant_name, sizeof(session->participant_name));
    return OME_OK;
}

/* ---- Batch ---- */

struct ome_batch
{
    ome_sink_t sink; /* first, so that a sink is its batch */
    ome_event_t *events;
    uint64_t capacity;
    uint64_t event_hash;
};

/* The window is full: doubles it. */
static void grow(ome_sink_t *sink)
{
    ome_batch_t *batch = (ome_batch_t *)sink;
    const uint64_t count = (uint64_t)(sink->next - batch->events);
    const uint64_t capacity = batch->capacity * 2;
    ome_event_t *events = realloc(batch->events, capacity * sizeof(ome_event_t));
    OME_ASSERT(events != NULL);
    batch->events = events;
    batch->capacity = capacity;
    sink->next = events + count;
    sink->end = events + capacity;
}

ome_status_t ome_batch_create(ome_batch_t **batch)
{
    ome_batch_t *made = calloc(1, sizeof(ome_batch_t));
    ome_event_t *events = malloc(BATCH_EVENT_COUNT_INITIAL * sizeof(ome_event_t));
    if (made == NULL || events == NULL)
    {
        free(made);
        free(events);
        return OME_NO_MEMORY;
    }
    made->events = events;
    made->capacity = BATCH_EVENT_COUNT_INITIAL;
    made->event_hash = OME_HASH_EVENTS_INITIAL;
    made->sink = (ome_sink_t){.next = events, .end = events + made->capacity, .flush = grow};
    *batch = made;
    return OME_OK;
}

void ome_batch_destroy(ome_batch_t *batch)
{
    if (batch != NULL)
    {
        free(batch->events);
        free(batch);
    }
}

static void apply_unaligned(ome_batch_t *batch, ome_engine_t *engine, const uint8_t *commands, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
    {
        ome_command_t command;
        memcpy(&command, commands + i * sizeof(command), sizeof(command));
        ome_engine_apply(engine, &command, &batch->sink);
    }
}

void ome_batch_apply(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count)
{
    batch->sink.next = batch->events;
    if ((uintptr_t)commands % _Alignof(ome_command_t) == 0)
    {
        ome_engine_apply_many(engine, commands, count, &batch->sink);
    }
    else
    {
        apply_unaligned(batch, engine, commands, count);
    }
    batch->event_hash = ome_hash_events(batch->event_hash, batch->events, ome_batch_event_count(batch));
}

uint64_t ome_batch_event_hash(const ome_batch_t *batch)
{
    return batch->event_hash;
}

const void *ome_batch_events(const ome_batch_t *batch)
{
    return batch->events;
}

uint64_t ome_batch_event_count(const ome_batch_t *batch)
{
    return (uint64_t)(batch->sink.next - batch->events);
}
