#include "engine/ome_match.h"

#include "engine/ome_event.h"

bool ome_match_can_fill(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t limit_key, int64_t quantity)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    uint32_t level = ome_book_best(book, ome_side_opposite(side));
    while (level != 0 && ladder->levels[level].key <= limit_key)
    {
        const int64_t level_quantity = ladder->levels[level].quantity + ladder->levels[level].hidden_quantity;
        if (level_quantity >= quantity)
        {
            return true;
        }
        quantity -= level_quantity;
        level = ome_ladder_next(ladder, level);
    }
    return false;
}

int64_t ome_match_order(
    ome_engine_t *engine, ome_book_t *book, const ome_aggressor_t *aggressor, uint32_t slot, int64_t quantity, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const ome_order_t *order = &pools->orders.orders[slot];
    const uint32_t level_index = order->level;
    const ome_level_t *level = &pools->ladder.levels[level_index];
    const uint64_t order_id = ome_order_id(&pools->orders, slot);
    const uint64_t client_order_id = order->client_order_id;
    const uint64_t owner = ome_book_owner(pools, order);
    const int64_t traded = order->leaves_quantity < quantity ? order->leaves_quantity : quantity;
    const bool fills_resting = ome_book_leaves(pools, order) == traded;
    const uint8_t flags =
        (uint8_t)((quantity == traded ? OME_EVENT_FLAGS_AGGRESSOR_FILLED : 0) | (fills_resting ? OME_EVENT_FLAGS_RESTING_FILLED : 0) |
                  ((order->marks & OME_ORDER_MARK_HIDDEN) != 0 ? OME_EVENT_FLAGS_HIDDEN : 0));
    const int64_t displayed_anew = ome_book_trade(pools, slot, traded);
    engine->trade_count++;
    ome_event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, level->price, traded, order_id, client_order_id,
        ome_event_last_word(book->number, OME_EVENT_KIND_TRADE, aggressor->side, OME_REASON_NONE, flags));
    if (displayed_anew > 0)
    {
        ome_event_write(engine, sink, order_id, client_order_id, level->price, displayed_anew, aggressor->timestamp_ns, owner,
            ome_event_last_word(
                book->number, OME_EVENT_KIND_DISPLAYED, level->side, OME_REASON_NONE, OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS));
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

/* Trades with the queue of one level; returns what is left. Filled orders leave the queue; the level stays, perhaps empty. Ends before a special order that it
 * would fill, since more than the slot goes with that, or it displays more; and at the end of the queue, where slot 0 looks like one. */
OME_ALWAYS_INLINE int64_t match_level(
    ome_engine_t *engine, const ome_book_t *book, const ome_aggressor_t *aggressor, ome_level_t *level, int64_t quantity, ome_sink_t *sink)
{
    ome_order_t *const orders = engine->pools.orders.orders;
    const int64_t price = level->price;
    const uint64_t last_word = ome_event_last_word(book->number, OME_EVENT_KIND_TRADE, aggressor->side, OME_REASON_NONE, 0);
    const int64_t quantity_before = quantity;
    uint32_t slot = level->head;
    for (;;)
    {
        ome_order_t *const order = &orders[slot];
        const uint64_t order_id = (uint64_t)order->generation << 32 | slot;
        const int64_t leaves = order->leaves_quantity;
        if (leaves > quantity)
        {
            engine->trade_count++;
            order->leaves_quantity = leaves - quantity;
            order->cumulative_quantity += quantity;
            ome_event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, price, quantity, order_id,
                order->client_order_id, last_word | (uint64_t)OME_EVENT_FLAGS_AGGRESSOR_FILLED << 56);
            quantity = 0;
            break;
        }
        if (OME_UNLIKELY((order->marks & OME_ORDER_MARK_SPECIAL) != 0))
        {
            break;
        }
        engine->trade_count++;
        quantity -= leaves;
        const uint64_t flags = OME_EVENT_FLAGS_RESTING_FILLED | (quantity == 0 ? OME_EVENT_FLAGS_AGGRESSOR_FILLED : 0u);
        ome_event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, price, leaves, order_id, order->client_order_id,
            last_word | flags << 56);
        const uint32_t next = order->next;
        ome_book_release(&engine->pools, slot);
        level->order_count--;
        slot = next;
        if (quantity == 0)
        {
            break;
        }
    }
    level->quantity -= quantity_before - quantity;
    level->head = slot;
    orders[slot].previous = 0;
    return quantity;
}

/* What match_level does not do: the special order at the front of what is displayed, or where nothing is left of that the first hidden order. */
OME_NEVER_INLINE int64_t match_other(
    ome_engine_t *engine, ome_book_t *book, const ome_aggressor_t *aggressor, ome_level_t *level, int64_t quantity, ome_sink_t *sink)
{
    if (level->order_count == 0)
    {
        level->tail = 0;
    }
    if (quantity == 0)
    {
        return 0;
    }
    const uint32_t slot = level->head != 0 ? level->head : level->hidden_head;
    return ome_match_order(engine, book, aggressor, slot, quantity, sink);
}

int64_t ome_match(ome_engine_t *engine, ome_book_t *book, const ome_aggressor_t *aggressor, int64_t quantity, ome_sink_t *sink)
{
    const uint32_t other = ome_side_index(ome_side_opposite(aggressor->side));
    ome_ladder_t *const ladder = &book->ladders[other];
    const int64_t quantity_at_start = quantity;
    const uint64_t own_key = ~aggressor->limit_key;
    while (ladder->best != 0 && ladder->reach >= own_key)
    {
        const uint32_t level_index = ladder->best;
        ome_level_t *const level = &engine->pools.ladder.levels[level_index];
        book->last_trade_price = level->price;
        quantity = match_level(engine, book, aggressor, level, quantity, sink);
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
    book->open_quantity[other] -= quantity_at_start - quantity;
    return quantity;
}
