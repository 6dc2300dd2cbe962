/* The invariants of the engine, walked in full. Slow; for tests. */
#include "engine/ome_engine.h"

static const char *check_order(const ome_engine_t *engine, uint32_t slot, uint32_t level_index, uint32_t previous)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    const ome_order_t *order = &pool->orders[slot];
    if (slot > pool->slots_ever_used)
    {
        return "a queue holds a slot that was never used";
    }
    if (order->leaves_quantity <= 0 || order->cumulative_quantity < 0)
    {
        return "an order at rest has no lots open";
    }
    if (order->level != level_index)
    {
        return "an order does not point at the level whose queue it is in";
    }
    if (order->previous != previous)
    {
        return "the links of a queue do not agree";
    }
    if (order->client_order_id != 0 &&
        ome_order_index_find(&engine->pools.index, pool, ome_owner_participant(order->owner), order->client_order_id) != slot)
    {
        return "an order at rest is not found by its client order id";
    }
    return NULL;
}

static const char *check_level(const ome_engine_t *engine, uint32_t level_index, uint32_t *indexed_count)
{
    const ome_level_t *level = &engine->pools.ladder.levels[level_index];
    int64_t quantity = 0;
    uint32_t count = 0;
    uint32_t previous = 0;
    for (uint32_t slot = level->head; slot != 0; slot = engine->pools.orders.orders[slot].next)
    {
        const char *wrong = check_order(engine, slot, level_index, previous);
        if (wrong != NULL)
        {
            return wrong;
        }
        quantity += engine->pools.orders.orders[slot].leaves_quantity;
        *indexed_count += engine->pools.orders.orders[slot].client_order_id != 0;
        previous = slot;
        if (++count > level->order_count)
        {
            return "a queue is longer than its level says";
        }
    }
    if (count == 0 || count != level->order_count)
    {
        return "a level does not hold the orders that it counts";
    }
    if (previous != level->tail)
    {
        return "a level's tail is not the last of its queue";
    }
    return quantity == level->quantity ? NULL : "a level's quantity is not the sum of its orders";
}

static const char *check_side(
    const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint32_t *level_count, uint32_t *indexed_count)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    const uint32_t side_index = ome_side_index(side);
    int64_t quantity = 0;
    uint64_t last_key = 0;
    for (uint32_t index = book->ladders[side_index].best; index != 0; index = ome_ladder_next(ladder, index))
    {
        const ome_level_t *level = &ladder->levels[index];
        const char *wrong = check_level(engine, index, indexed_count);
        if (wrong != NULL)
        {
            return wrong;
        }
        const uint64_t key = ome_book_price_key(book, side, level->price);
        if (quantity > 0 && key <= last_key)
        {
            return "levels are not in price order";
        }
        if (level->side != side || level->instrument != book->number || ome_ladder_find(&book->ladders[side_index], ladder, key) != index)
        {
            return "a level is not where its price belongs";
        }
        last_key = key;
        quantity += level->quantity;
        if (++*level_count > ladder->level_count)
        {
            return "a side holds more levels than are in use";
        }
    }
    return quantity == book->open_quantity[side_index] ? NULL : "a side's open quantity is not the sum of its levels";
}

const char *ome_engine_check(const ome_engine_t *engine)
{
    uint32_t level_count = 0;
    uint32_t indexed_count = 0;
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        const ome_book_t *book = &engine->books[number];
        for (uint8_t side = OME_SIDE_BUY; side <= OME_SIDE_SELL; side++)
        {
            const char *wrong = check_side(engine, book, side, &level_count, &indexed_count);
            if (wrong != NULL)
            {
                return wrong;
            }
        }
        const uint32_t bid = ome_book_best(book, OME_SIDE_BUY);
        const uint32_t ask = ome_book_best(book, OME_SIDE_SELL);
        if (bid != 0 && ask != 0 && engine->pools.ladder.levels[bid].price >= engine->pools.ladder.levels[ask].price)
        {
            return "the book is crossed";
        }
    }
    if (level_count != engine->pools.ladder.level_count)
    {
        return "levels are in use that no book holds";
    }
    if (engine->pools.ladder.node_count > 2 * level_count)
    {
        return "nodes are in use that no level needs";
    }
    return indexed_count == engine->pools.index.count ? NULL : "the index holds orders that no book does";
}
