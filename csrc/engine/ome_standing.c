#include "engine/ome_standing.h"

static const ome_special_t *special_of(const ome_engine_t *engine, uint32_t slot)
{
    return &engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])];
}

ome_standing_t ome_standing_order(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const ome_special_t *special = special_of(engine, slot);
    ome_standing_t standing = {.order_id = ome_order_id(&engine->pools.orders, slot),
        .client_order_id = order->client_order_id,
        .owner = ome_book_owner(&engine->pools, order),
        .timestamp_ns = timestamp_ns,
        .slot = slot};
    if (ome_special_waits(special))
    {
        standing.book = &engine->books[special->instrument];
        standing.price = special->limit;
        standing.side = special->side;
        standing.flags = OME_EVENT_FLAGS_WAITING;
        return standing;
    }
    const ome_level_t *level = &engine->pools.ladder.levels[order->level];
    const bool is_hidden = (order->marks & OME_ORDER_MARK_HIDDEN) != 0 || special->peak != 0;
    standing.book = &engine->books[level->instrument];
    standing.price = level->price;
    standing.side = level->side;
    standing.flags = OME_EVENT_FLAGS_WAS_RESTING | (is_hidden ? OME_EVENT_FLAGS_HIDDEN : 0);
    return standing;
}

bool ome_standing_exists(ome_engine_t *engine, uint16_t participant, uint16_t session)
{
    ome_order_pool_t *pool = &engine->pools.orders;
    uint32_t slot = ome_order_pool_next_of(pool, participant, 0);
    while (slot != 0 && session != 0 && (uint16_t)(pool->orders[slot].owner >> 48) != session)
    {
        slot = ome_order_pool_next_of(pool, participant, slot);
    }
    return slot != 0;
}

void ome_standing_leave(ome_engine_t *engine, const ome_standing_t *order, ome_sink_t *sink)
{
    const int64_t displayed = engine->pools.orders.orders[order->slot].leaves_quantity;
    ome_book_leave(order->book, &engine->pools, order->slot);
    if (special_of(engine, order->slot)->peak != 0)
    {
        ome_standing_write(
            engine, order, order->price, -displayed, OME_EVENT_KIND_DISPLAYED, OME_REASON_NONE, OME_EVENT_FLAGS_WAS_RESTING, sink);
    }
}

void ome_standing_shrink(ome_engine_t *engine, const ome_standing_t *order, int64_t quantity, ome_sink_t *sink)
{
    if (ome_special_waits(special_of(engine, order->slot)))
    {
        engine->pools.orders.orders[order->slot].leaves_quantity -= quantity;
        return;
    }
    const int64_t displayed_less = ome_book_shrink(order->book, &engine->pools, order->slot, quantity);
    if (displayed_less > 0)
    {
        ome_standing_write(engine, order, order->price, -displayed_less, OME_EVENT_KIND_DISPLAYED, OME_REASON_NONE,
            OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY, sink);
    }
}

void ome_standing_cancel(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink)
{
    const ome_standing_t order = ome_standing_order(engine, slot, timestamp_ns);
    const int64_t leaves = ome_book_leaves(&engine->pools, &engine->pools.orders.orders[slot]);
    if ((order.flags & OME_EVENT_FLAGS_WAITING) != 0)
    {
        ome_book_stop_waiting(order.book, &engine->pools, slot);
    }
    else
    {
        ome_standing_leave(engine, &order, sink);
    }
    ome_book_end(&engine->pools, slot);
    ome_standing_write(engine, &order, order.price, leaves, OME_EVENT_KIND_CANCELLED, reason, order.flags, sink);
}

void ome_standing_reduce(ome_engine_t *engine, uint32_t slot, int64_t quantity, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink)
{
    const ome_standing_t order = ome_standing_order(engine, slot, timestamp_ns);
    ome_standing_shrink(engine, &order, quantity, sink);
    ome_standing_write(engine, &order, order.price, quantity, OME_EVENT_KIND_REDUCED, reason,
        (uint8_t)(order.flags | OME_EVENT_FLAGS_KEPT_PRIORITY), sink);
}
