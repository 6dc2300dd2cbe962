#include "matching/ome_match.h"

#include "book/ome_book.h"

/* Trades with one order whose level goes on being the best, perhaps empty; the side's open quantity is the caller's. */
static int64_t match_one(
    ome_engine_t *engine, ome_book_t *book, const ome_subject_t *aggressor, uint32_t slot, int64_t quantity, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const ome_order_t *order = &pools->orders.orders[slot];
    const uint32_t level_index = order->level;
    const ome_level_t *level = &pools->ladder.levels[level_index];
    const ome_subject_t resting = {.order_id = ome_order_id(&pools->orders, slot),
        .client_order_id = order->client_order_id,
        .owner = ome_book_owner(pools, order),
        .timestamp_ns = aggressor->timestamp_ns,
        .instrument = book->number,
        .side = level->side};
    const int64_t traded = order->leaves_quantity < quantity ? order->leaves_quantity : quantity;
    const bool fills_resting = ome_book_leaves(pools, order) == traded;
    const uint8_t flags =
        (uint8_t)((quantity == traded ? OME_EVENT_FLAGS_AGGRESSOR_FILLED : 0) | (fills_resting ? OME_EVENT_FLAGS_RESTING_FILLED : 0) |
                  ((order->marks & OME_ORDER_MARK_HIDDEN) != 0 ? OME_EVENT_FLAGS_HIDDEN : 0));
    OME_ASSERT(traded > 0);
    const int64_t displayed_anew = ome_book_trade(pools, slot, traded);
    ome_event_trade(engine, sink, aggressor, level->price, traded,
        (ome_counterpart_t){resting.order_id, resting.client_order_id, resting.owner}, flags);
    if (displayed_anew > 0)
    {
        ome_event_displayed(engine, sink, &resting, level->price, displayed_anew, OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS);
    }
    if (fills_resting)
    {
        ome_book_end(pools, slot);
    }
    if (level->order_count == 0 && level->hidden_head == 0)
    {
        OME_ASSERT(level->quantity == 0);
        ome_ladder_remove(&book->ladders[ome_side_index(level->side)], &pools->ladder, level_index);
    }
    return quantity - traded;
}

int64_t ome_match_order(
    ome_engine_t *engine, ome_book_t *book, const ome_subject_t *aggressor, uint32_t slot, int64_t quantity, ome_sink_t *sink)
{
    OME_ASSERT(quantity > 0);
    const int64_t leaves = match_one(engine, book, aggressor, slot, quantity, sink);
    OME_ASSERT(leaves >= 0 && leaves < quantity);
    ome_quantity_trade_side(book, (ome_side_index(aggressor->side) ^ 1u), quantity - leaves);
    return leaves;
}

/* Trades with the queue of one level; returns what is left. Filled orders leave the queue; the level stays, perhaps empty. Ends before a special order that it
 * would fill, since more than the slot goes with that, or it displays more; and at the end of the queue, where slot 0 looks like one. */
OME_ALWAYS_INLINE int64_t match_level(
    ome_engine_t *engine, const ome_subject_t *aggressor, ome_level_t *level, int64_t quantity, ome_sink_t *sink)
{
    ome_order_t *const orders = engine->pools.orders.orders;
    const int64_t price = level->price;
    const int64_t quantity_before = quantity;
    uint32_t slot = level->head;
    OME_EXPECT(quantity > 0);
    OME_EXPECT(level->quantity >= 0);
    for (;;)
    {
        ome_order_t *const order = &orders[slot];
        const uint64_t order_id = (uint64_t)order->generation << 32 | slot;
        const int64_t leaves = order->leaves_quantity;
        if (leaves > quantity)
        {
            ome_quantity_trade(order, quantity);
            const ome_counterpart_t resting = {order_id, order->client_order_id, ome_book_owner(&engine->pools, order)};
            ome_event_trade(engine, sink, aggressor, price, quantity, resting, OME_EVENT_FLAGS_AGGRESSOR_FILLED);
            quantity = 0;
            break;
        }
        if (OME_UNLIKELY((order->marks & OME_ORDER_MARK_SPECIAL) != 0))
        {
            break;
        }
        quantity -= leaves;
        const uint8_t flags = (uint8_t)(OME_EVENT_FLAGS_RESTING_FILLED | (quantity == 0 ? OME_EVENT_FLAGS_AGGRESSOR_FILLED : 0u));
        const ome_counterpart_t resting = {order_id, order->client_order_id, order->owner};
        ome_event_trade(engine, sink, aggressor, price, leaves, resting, flags);
        const uint32_t next = order->next;
        ome_book_release(&engine->pools, slot);
        level->order_count--;
        slot = next;
        if (quantity == 0)
        {
            break;
        }
    }
    ome_quantity_trade_level(level, quantity_before - quantity, 0);
    level->head = slot;
    orders[slot].previous = 0;
    OME_EXPECT(quantity >= 0);
    OME_EXPECT(quantity <= quantity_before);
    return quantity;
}

/* What match_level does not do: the special order at the front of what is displayed, or where nothing is left of that the first hidden order. */
OME_NEVER_INLINE int64_t match_other(
    ome_engine_t *engine, ome_book_t *book, const ome_subject_t *aggressor, ome_level_t *level, int64_t quantity, ome_sink_t *sink)
{
    OME_EXPECT(level->order_count != 0 || level->hidden_head != 0);
    if (level->order_count == 0)
    {
        level->tail = 0;
    }
    if (quantity == 0)
    {
        return 0;
    }
    const uint32_t slot = level->head != 0 ? level->head : level->hidden_head;
    return match_one(engine, book, aggressor, slot, quantity, sink);
}

int64_t ome_match(ome_engine_t *engine, ome_book_t *book, const ome_subject_t *aggressor, uint64_t key, int64_t quantity, ome_sink_t *sink)
{
    const uint32_t other = (ome_side_index(aggressor->side) ^ 1u);
    ome_ladder_t *const ladder = &book->ladders[other];
    const int64_t quantity_at_start = quantity;
    OME_EXPECT(quantity > 0);
    OME_EXPECT(aggressor->instrument == book->number);
    while (ome_book_crosses(book, aggressor->side, key))
    {
        const uint32_t level_index = ladder->best;
        ome_level_t *const level = &engine->pools.ladder.levels[level_index];
        book->last_trade_price = level->price;
        quantity = match_level(engine, aggressor, level, quantity, sink);
        if (level->order_count != 0)
        {
            if (OME_LIKELY(quantity == 0))
            {
                break;
            }
            quantity = match_other(engine, book, aggressor, level, quantity, sink);
        }
        else if (OME_LIKELY(level->hidden_head == 0))
        {
            OME_ASSERT(level->quantity == 0);
            ome_ladder_remove(ladder, &engine->pools.ladder, level_index);
        }
        else
        {
            quantity = match_other(engine, book, aggressor, level, quantity, sink);
        }
        if (quantity == 0)
        {
            break;
        }
    }
    ome_quantity_trade_side(book, other, quantity_at_start - quantity);
    OME_EXPECT(quantity == 0 || !ome_book_crosses(book, aggressor->side, key));
    return quantity;
}
