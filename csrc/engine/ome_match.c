#include "engine/ome_match.h"

#include "engine/ome_event.h"

bool ome_match_can_fill(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t limit_key, int64_t quantity)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    uint32_t level = ome_book_best(book, ome_side_opposite(side));
    while (level != 0 && ladder->levels[level].key <= limit_key)
    {
        if (ladder->levels[level].quantity >= quantity)
        {
            return true;
        }
        quantity -= ladder->levels[level].quantity;
        level = ome_ladder_next(ladder, level);
    }
    return false;
}

/* Trades with the queue of one level; returns what is left. Filled orders leave the queue; the level stays, perhaps empty. */
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
        engine->trade_count++;
        if (leaves > quantity)
        {
            order->leaves_quantity = leaves - quantity;
            order->cumulative_quantity += quantity;
            ome_event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, price, quantity, order_id,
                order->client_order_id, last_word | (uint64_t)OME_EVENT_FLAGS_AGGRESSOR_FILLED << 56);
            quantity = 0;
            break;
        }
        quantity -= leaves;
        const uint64_t flags = OME_EVENT_FLAGS_RESTING_FILLED | (quantity == 0 ? OME_EVENT_FLAGS_AGGRESSOR_FILLED : 0u);
        ome_event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, price, leaves, order_id, order->client_order_id,
            last_word | flags << 56);
        const uint32_t next = order->next;
        ome_book_release(&engine->pools, slot);
        level->order_count--;
        slot = next;
        if (slot == 0 || quantity == 0)
        {
            break;
        }
    }
    level->quantity -= quantity_before - quantity;
    level->head = slot;
    orders[slot].previous = 0;
    return quantity;
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
        if (level->order_count == 0)
        {
            OME_ASSERT(level->quantity == 0);
            ome_ladder_remove(ladder, &engine->pools.ladder, level_index);
        }
        if (quantity == 0)
        {
            break;
        }
    }
    book->open_quantity[other] -= quantity_at_start - quantity;
    return quantity;
}
