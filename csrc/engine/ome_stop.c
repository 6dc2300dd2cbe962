#include "engine/ome_stop.h"

#include "book/ome_trailing.h"
#include "engine/ome_entry.h"
#include "engine/ome_match.h"

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
static uint32_t first_past(const ome_engine_t *engine, const ome_book_t *book, uint8_t side)
{
    const uint32_t best = book->stops[ome_side_index(side)].best;
    const ome_level_t *level = &engine->pools.stops.levels[best];
    return best != 0 && ome_stop_is_past(book, side, level->price) ? level->head : 0;
}

/* Elects what one side has at or past its stop price, in the order in which it triggers (S2). */
static void elect_side(ome_engine_t *engine, ome_book_t *book, uint8_t side)
{
    uint32_t trailing = ome_trailing_trigger(book, &engine->pools, side);
    uint32_t slot = first_past(engine, book, side);
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
        slot = first_past(engine, book, side);
    }
}

void ome_stop_look(ome_engine_t *engine, ome_book_t *book, int64_t price)
{
    book->last_trade_price = price;
    ome_trailing_move(book, &engine->pools, OME_SIDE_BUY); /* S6 */
    ome_trailing_move(book, &engine->pools, OME_SIDE_SELL);
    elect_side(engine, book, OME_SIDE_BUY);
    elect_side(engine, book, OME_SIDE_SELL);
}

void ome_stop_watch(ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t limit_key)
{
    const uint32_t best = ome_book_best(book, ome_side_opposite(side));
    const bool crosses = ome_match_crosses(book, side, limit_key);
    engine->first_trade_price = crosses ? engine->pools.ladder.levels[best].price : OME_NULL_VALUE;
}

void ome_stop_look_after(ome_engine_t *engine, ome_book_t *book)
{
    const int64_t last = book->last_trade_price;
    if (engine->first_trade_price == OME_NULL_VALUE)
    {
        return;
    }
    ome_stop_look(engine, book, engine->first_trade_price);
    if (last != engine->first_trade_price)
    {
        ome_stop_look(engine, book, last);
    }
}

/* The order that a triggered stop is; its record keeps what outlives the trigger, and goes where that is nothing. */
static ome_entrant_t entrant_of(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    ome_special_t *special = &engine->pools.specials.records[ome_order_special(order)];
    ome_book_t *book = &engine->books[special->instrument];
    ome_entrant_t entrant = {.book = book,
        .order_id = special->order_id,
        .client_order_id = order->client_order_id,
        .owner = ome_book_owner(&engine->pools, order),
        .timestamp_ns = timestamp_ns,
        .leaves = order->leaves_quantity,
        .minimum_quantity = special->minimum_quantity,
        .budget = special->budget,
        .slot = slot,
        .group = special->group,
        .collar_ticks = special->collar_ticks,
        .side = special->side,
        .time_in_force = special->time_in_force,
        .has_limit = ome_order_type_has_limit(special->order_type),
        .has_collar = (special->flags & OME_SPECIAL_HAS_COLLAR) != 0,
        .has_budget = (special->flags & OME_SPECIAL_HAS_BUDGET) != 0};
    if (entrant.has_limit)
    {
        const __int128 from = ome_order_type_trails(special->order_type) ? special->stop_price : 0;
        entrant.price = ome_instrument_keep_within(&book->instrument, from + special->limit);
        entrant.key = ome_book_price_key(book, entrant.side, entrant.price);
    }
    special->stop_price = special->limit = special->trail_amount = 0;
    special->trail_basis_points = 0;
    if (special->peak == 0 && special->deadline_ns == 0 && special->group == 0)
    {
        ome_book_make_plain(&engine->pools, slot);
    }
    entrant.marks = order->marks;
    return entrant;
}

/* Rules, Stops: why a triggered order is cancelled before it meets anything; a post-only one may slide. */
static uint8_t check_triggered(const ome_engine_t *engine, ome_entrant_t *entrant)
{
    const ome_book_t *book = entrant->book;
    if (book->open_quantity[ome_side_index(entrant->side)] + entrant->leaves > OME_OPEN_QUANTITY_MAX)
    {
        return OME_REASON_QUANTITY_TOO_LARGE;
    }
    if ((entrant->marks & OME_ORDER_MARK_POST_ONLY) != 0 && ome_match_crosses(book, entrant->side, ome_book_limit_key(entrant->key)) &&
        !ome_entry_slide(engine, book, entrant->side, &entrant->price, &entrant->key))
    {
        return OME_REASON_POST_ONLY_WOULD_TAKE;
    }
    return OME_REASON_NONE;
}

static void enter(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns, ome_sink_t *sink)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const int64_t stop_price = engine->pools.specials.records[ome_order_special(order)].stop_price;
    ome_entrant_t entrant = entrant_of(engine, slot, timestamp_ns);
    ome_event_write(engine, sink, entrant.order_id, entrant.client_order_id, stop_price, entrant.leaves, timestamp_ns, entrant.owner,
        ome_event_last_word(entrant.book->number, OME_EVENT_KIND_TRIGGERED, entrant.side, OME_REASON_NONE, 0));
    engine->first_trade_price = OME_NULL_VALUE;
    const uint8_t reason = check_triggered(engine, &entrant);
    if (reason != OME_REASON_NONE)
    {
        ome_entry_cancel(engine, &entrant, reason, sink);
        return;
    }
    ome_entry_run(engine, &entrant, sink);
    ome_stop_look_after(engine, entrant.book);
}

void ome_stop_run(ome_engine_t *engine, uint64_t timestamp_ns, ome_sink_t *sink)
{
    while (engine->elected_head != 0)
    {
        const uint32_t slot = engine->elected_head;
        engine->elected_head = engine->pools.orders.orders[slot].next;
        enter(engine, slot, timestamp_ns, sink);
    }
    engine->elected_tail = 0;
}
