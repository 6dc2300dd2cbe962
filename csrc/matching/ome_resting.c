#include "matching/ome_resting.h"

#include "book/ome_book.h"

ome_resting_view_t ome_resting_view(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const ome_special_t *special = ome_resting_special(engine, slot);
    OME_ASSERT(order->leaves_quantity > 0);
    ome_resting_view_t resting = {.subject = {.order_id = ome_order_id(&engine->pools.orders, slot),
                                      .client_order_id = order->client_order_id,
                                      .owner = ome_book_owner(&engine->pools, order),
                                      .timestamp_ns = timestamp_ns},
        .slot = slot};
    if (ome_special_waits(special))
    {
        resting.book = &engine->books[special->instrument];
        resting.price = special->limit;
        resting.subject.instrument = special->instrument;
        resting.subject.side = special->side;
        resting.flags = OME_EVENT_FLAGS_WAITING;
        return resting;
    }
    const ome_level_t *level = &engine->pools.ladder.levels[order->level];
    const bool is_hidden = (order->marks & OME_ORDER_MARK_HIDDEN) != 0 || special->peak != 0;
    resting.book = &engine->books[level->instrument];
    resting.price = level->price;
    resting.subject.instrument = level->instrument;
    resting.subject.side = level->side;
    resting.flags = OME_EVENT_FLAGS_WAS_RESTING | (is_hidden ? OME_EVENT_FLAGS_HIDDEN : 0);
    return resting;
}

void ome_resting_leave(ome_engine_t *engine, const ome_resting_view_t *resting, ome_sink_t *sink)
{
    const int64_t displayed = engine->pools.orders.orders[resting->slot].leaves_quantity;
    OME_ASSERT((resting->flags & OME_EVENT_FLAGS_WAS_RESTING) != 0);
    ome_book_leave(resting->book, &engine->pools, resting->slot);
    if (ome_resting_special(engine, resting->slot)->peak != 0)
    {
        ome_event_displayed(engine, sink, &resting->subject, resting->price, -displayed, OME_EVENT_FLAGS_WAS_RESTING);
    }
}

void ome_resting_shrink(ome_engine_t *engine, const ome_resting_view_t *resting, int64_t quantity, ome_sink_t *sink)
{
    ome_order_t *order = &engine->pools.orders.orders[resting->slot];
    OME_ASSERT(quantity > 0);
    if (ome_special_waits(ome_resting_special(engine, resting->slot)))
    {
        ome_quantity_set_open(order, order->leaves_quantity - quantity);
        return;
    }
    const int64_t displayed_less = ome_book_shrink(resting->book, &engine->pools, resting->slot, quantity);
    if (displayed_less > 0)
    {
        ome_event_displayed(engine, sink, &resting->subject, resting->price, -displayed_less,
            OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY);
    }
}

void ome_resting_cancel(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink)
{
    const ome_resting_view_t resting = ome_resting_view(engine, slot, timestamp_ns);
    const int64_t leaves = ome_book_leaves(&engine->pools, &engine->pools.orders.orders[slot]);
    if ((resting.flags & OME_EVENT_FLAGS_WAITING) != 0)
    {
        ome_book_stop_waiting(resting.book, &engine->pools, slot);
    }
    else
    {
        ome_resting_leave(engine, &resting, sink);
    }
    ome_book_end(&engine->pools, slot);
    OME_EXPECT(ome_order_pool_state(&engine->pools.orders, resting.subject.order_id) == OME_ORDER_CLOSED);
    ome_event_cancelled(engine, sink, &resting.subject, resting.price, leaves, reason, resting.flags);
}

void ome_resting_reduce(ome_engine_t *engine, uint32_t slot, int64_t quantity, uint64_t timestamp_ns, uint8_t reason, ome_sink_t *sink)
{
    const ome_resting_view_t resting = ome_resting_view(engine, slot, timestamp_ns);
    OME_EXPECT(quantity > 0);
    OME_EXPECT(quantity < ome_book_leaves(&engine->pools, &engine->pools.orders.orders[slot]));
    ome_resting_shrink(engine, &resting, quantity, sink);
    ome_event_reduced(
        engine, sink, &resting.subject, resting.price, quantity, reason, (uint8_t)(resting.flags | OME_EVENT_FLAGS_KEPT_PRIORITY));
}
