#include "matching/ome_stop.h"

#include "book/ome_book.h"
#include "book/ome_trailing.h"

int64_t ome_stop_moved_price(const ome_book_t *book, const ome_special_t *special)
{
    if (book->last_trade_price == OME_NULL_VALUE)
    {
        return special->stop_price;
    }
    const int64_t trailed = ome_trailing_price(book, special, book->last_trade_price);
    const bool is_better = special->side == OME_SIDE_BUY ? trailed < special->stop_price : trailed > special->stop_price;
    return is_better ? trailed : special->stop_price;
}

bool ome_stop_is_past(const ome_book_t *book, uint8_t side, int64_t stop_price)
{
    if (book->last_trade_price == OME_NULL_VALUE)
    {
        return false;
    }
    return side == OME_SIDE_BUY ? book->last_trade_price >= stop_price : book->last_trade_price <= stop_price;
}

void ome_stop_elect(ome_engine_t *engine, uint32_t slot)
{
    OME_ASSERT(engine->pools.orders.orders[slot].leaves_quantity > 0);
    OME_EXPECT(!ome_special_waits(&engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])]));
    engine->pools.orders.orders[slot].next = 0;
    if (engine->elected_head == 0)
    {
        engine->elected_head = slot;
    }
    else
    {
        engine->pools.orders.orders[engine->elected_tail].next = slot;
    }
    engine->elected_tail = slot;
}

/* The first of the stops of one side that stand at their stop price, if the last trade price is at it or past it; otherwise 0. */
static uint32_t stop_first_past(const ome_engine_t *engine, const ome_book_t *book, uint8_t side)
{
    const uint32_t best = book->stops[ome_side_index(side)].best;
    const ome_level_t *level = &engine->pools.stops.levels[best];
    return best != 0 && ome_stop_is_past(book, side, level->price) ? level->head : 0;
}

/* Elects what one side has at or past its stop price, in the order in which it triggers (S2). */
static void stop_elect_side(ome_engine_t *engine, ome_book_t *book, uint8_t side)
{
    uint32_t trailing = ome_trailing_trigger(book, &engine->pools, side);
    uint32_t slot = stop_first_past(engine, book, side);
    while (slot != 0 || trailing != 0)
    {
        if (trailing != 0 && (slot == 0 || ome_trailing_is_before(&engine->pools, trailing, slot)))
        {
            const uint32_t first = trailing;
            trailing = engine->pools.orders.orders[first].next;
            ome_stop_elect(engine, first);
            continue;
        }
        ome_book_stop_waiting(book, &engine->pools, slot);
        ome_stop_elect(engine, slot);
        slot = stop_first_past(engine, book, side);
    }
    OME_EXPECT(stop_first_past(engine, book, side) == 0);
}

void ome_stop_look(ome_engine_t *engine, ome_book_t *book, int64_t price)
{
    OME_EXPECT(price != OME_NULL_VALUE);
    book->last_trade_price = price;
    ome_trailing_move(book, &engine->pools, OME_SIDE_BUY); /* S6 */
    ome_trailing_move(book, &engine->pools, OME_SIDE_SELL);
    stop_elect_side(engine, book, OME_SIDE_BUY);
    stop_elect_side(engine, book, OME_SIDE_SELL);
    OME_EXPECT(book->last_trade_price == price);
}

void ome_stop_watch(ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t key)
{
    const uint32_t best = ome_book_best(book, ome_side_opposite(side));
    engine->first_trade_price = ome_book_crosses(book, side, key) ? engine->pools.ladder.levels[best].price : OME_NULL_VALUE;
}

void ome_stop_look_after(ome_engine_t *engine, ome_book_t *book)
{
    const int64_t last = book->last_trade_price;
    if (book->waiting_count == 0 || engine->first_trade_price == OME_NULL_VALUE)
    {
        return;
    }
    ome_stop_look(engine, book, engine->first_trade_price);
    if (last != engine->first_trade_price)
    {
        ome_stop_look(engine, book, last);
    }
    OME_EXPECT(book->last_trade_price == last);
}

uint32_t ome_stop_next_elected(ome_engine_t *engine)
{
    const uint32_t slot = engine->elected_head;
    OME_ASSERT((slot == 0) == (engine->elected_tail == 0));
    if (slot != 0)
    {
        engine->elected_head = slot == engine->elected_tail ? 0 : engine->pools.orders.orders[slot].next;
        engine->elected_tail = engine->elected_head == 0 ? 0 : engine->elected_tail;
    }
    return slot;
}
