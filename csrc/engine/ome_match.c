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
static int64_t match_level(
    ome_engine_t *engine, const ome_book_t *book, const ome_aggressor_t *aggressor, ome_level_t *level, int64_t quantity, ome_sink_t *sink)
{
    ome_order_pool_t *pool = &engine->pools.orders;
    uint32_t slot = level->head;
    while (quantity > 0 && slot != 0)
    {
        ome_order_t *order = &pool->orders[slot];
        const uint32_t next = order->next;
        const bool fills_resting = order->leaves_quantity <= quantity;
        const int64_t traded = fills_resting ? order->leaves_quantity : quantity;
        OME_ASSERT(traded > 0);
        quantity -= traded;
        level->quantity -= traded;
        order->leaves_quantity -= traded;
        order->cumulative_quantity += traded;
        engine->trade_count++;
        const uint8_t flags =
            (uint8_t)((quantity == 0 ? OME_EVENT_FLAGS_AGGRESSOR_FILLED : 0) | (fills_resting ? OME_EVENT_FLAGS_RESTING_FILLED : 0));
        ome_event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, level->price, traded, ome_order_id(pool, slot),
            order->client_order_id, ome_event_last_word(book->number, OME_EVENT_KIND_TRADE, aggressor->side, OME_REASON_NONE, flags));
        if (fills_resting)
        {
            ome_book_release(&engine->pools, slot);
            level->order_count--;
            slot = next;
        }
    }
    level->head = slot;
    if (slot != 0)
    {
        pool->orders[slot].previous = 0;
    }
    return quantity;
}

int64_t ome_match(ome_engine_t *engine, ome_book_t *book, const ome_aggressor_t *aggressor, int64_t quantity, ome_sink_t *sink)
{
    const uint32_t other = ome_side_index(ome_side_opposite(aggressor->side));
    ome_ladder_t *ladder = &book->ladders[other];
    const int64_t quantity_at_start = quantity;
    while (quantity > 0 && ladder->best != 0)
    {
        const uint32_t level_index = ladder->best;
        ome_level_t *level = &engine->pools.ladder.levels[level_index];
        if (level->key > aggressor->limit_key)
        {
            break;
        }
        book->last_trade_price = level->price;
        quantity = match_level(engine, book, aggressor, level, quantity, sink);
        if (level->order_count == 0)
        {
            OME_ASSERT(level->quantity == 0);
            ome_ladder_remove(ladder, &engine->pools.ladder, level_index);
        }
    }
    book->open_quantity[other] -= quantity_at_start - quantity;
    return quantity;
}
