#include "engine/ome_entry.h"

#include "engine/ome_match.h"
#include "engine/ome_self_trade.h"
#include "engine/ome_stop.h"

bool ome_entry_slide(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, int64_t *price, uint64_t *key)
{
    if ((book->instrument.flags & OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES) == 0)
    {
        return false;
    }
    const uint32_t best = ome_book_best(book, ome_side_opposite(side));
    const int64_t best_price = engine->pools.ladder.levels[best].price;
    const int64_t slid = side == OME_SIDE_BUY ? best_price - book->instrument.tick : best_price + book->instrument.tick;
    uint64_t tick_index;
    if (!ome_instrument_is_price(&book->instrument, slid, &tick_index))
    {
        return false;
    }
    *price = slid;
    *key = ome_book_key(side, tick_index);
    return true;
}

static int64_t peak_of(const ome_engine_t *engine, uint32_t slot)
{
    return engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])].peak;
}

void ome_entry_join(ome_engine_t *engine, const ome_entrant_t *entrant, uint8_t kind, uint8_t flags, ome_sink_t *sink)
{
    ome_order_t *order = &engine->pools.orders.orders[entrant->slot];
    const bool has_peak = peak_of(engine, entrant->slot) != 0;
    const bool is_hidden = has_peak || (entrant->marks & OME_ORDER_MARK_HIDDEN) != 0;
    order->leaves_quantity = entrant->leaves;
    ome_book_join(entrant->book, &engine->pools, entrant->slot, entrant->side, entrant->price, entrant->key);
    ome_entrant_write(engine, entrant, entrant->leaves, kind, OME_REASON_NONE,
        (uint8_t)(flags | OME_EVENT_FLAGS_RESTS | (is_hidden ? OME_EVENT_FLAGS_HIDDEN : 0)), sink);
    if (has_peak)
    {
        ome_entrant_write(engine, entrant, order->leaves_quantity, OME_EVENT_KIND_DISPLAYED, OME_REASON_NONE, OME_EVENT_FLAGS_RESTS, sink);
    }
}

void ome_entry_cancel(ome_engine_t *engine, const ome_entrant_t *entrant, uint8_t reason, ome_sink_t *sink)
{
    ome_book_end(&engine->pools, entrant->slot);
    ome_entrant_write(engine, entrant, entrant->leaves, OME_EVENT_KIND_CANCELLED, reason, 0, sink);
}

/* The limit of an order without one: so many ticks from the opposite best. */
static uint64_t collar_key(const ome_engine_t *engine, const ome_entrant_t *entrant)
{
    const uint32_t best = ome_book_best(entrant->book, ome_side_opposite(entrant->side));
    const uint32_t of_instrument = entrant->book->instrument.collar_ticks;
    if (best == 0 || (!entrant->has_collar && of_instrument == 0))
    {
        return OME_BOOK_ANY_KEY;
    }
    uint32_t ticks = entrant->has_collar ? entrant->collar_ticks : of_instrument;
    ticks = of_instrument != 0 && of_instrument < ticks ? of_instrument : ticks;
    const uint64_t best_key = engine->pools.ladder.levels[best].key;
    return best_key > OME_BOOK_ANY_KEY - ticks ? OME_BOOK_ANY_KEY : best_key + ticks;
}

/* Why the order is cancelled before any trade; NONE where it goes on. */
static uint8_t decide(const ome_engine_t *engine, const ome_entrant_t *entrant)
{
    const bool is_fill_or_kill = entrant->time_in_force == OME_TIME_IN_FORCE_FOK;
    if (!is_fill_or_kill && entrant->minimum_quantity == 0)
    {
        return OME_REASON_NONE;
    }
    const ome_could_trade_t could = ome_could_trade(engine, entrant);
    if (is_fill_or_kill && could.quantity < entrant->leaves)
    {
        return OME_REASON_FILL_OR_KILL;
    }
    const bool is_too_dear = entrant->side == OME_SIDE_BUY ? could.cost > entrant->budget : could.cost < entrant->budget;
    if (is_fill_or_kill && entrant->has_budget && is_too_dear)
    {
        return OME_REASON_BUDGET;
    }
    return could.quantity < entrant->minimum_quantity ? OME_REASON_MINIMUM_QUANTITY : OME_REASON_NONE;
}

/* Trades; returns the lots traded. The entrant's leaves are what is left then. */
static int64_t trade(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink)
{
    if (ome_entrant_instruction(entrant) != OME_SELF_TRADE_PREVENTION_NONE)
    {
        return ome_self_trade_match(engine, entrant, sink);
    }
    const ome_aggressor_t aggressor = {.order_id = entrant->order_id,
        .client_order_id = entrant->client_order_id,
        .limit_key = entrant->limit_key,
        .timestamp_ns = entrant->timestamp_ns,
        .side = entrant->side};
    ome_stop_watch(engine, entrant->book, entrant->side, entrant->limit_key);
    const int64_t leaves = ome_match(engine, entrant->book, &aggressor, entrant->leaves, sink);
    const int64_t traded = entrant->leaves - leaves;
    entrant->leaves = leaves;
    return traded;
}

static void rest(ome_engine_t *engine, const ome_entrant_t *entrant, ome_sink_t *sink)
{
    const ome_ladder_t *ladder = &entrant->book->ladders[ome_side_index(entrant->side)];
    if (ome_ladder_pool_is_full(&engine->pools.ladder) && ome_ladder_find(ladder, &engine->pools.ladder, entrant->key) == 0)
    {
        ome_entry_cancel(engine, entrant, OME_REASON_LEVEL_LIMIT_REACHED, sink);
        return;
    }
    ome_entry_join(engine, entrant, OME_EVENT_KIND_RESTED, 0, sink);
}

/* Step 4 for an order without limit that is not filled. */
static void finish_without_limit(ome_engine_t *engine, ome_entrant_t *entrant, bool has_traded, ome_sink_t *sink)
{
    const bool becomes_limit = (entrant->book->instrument.flags & OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT) != 0;
    if (becomes_limit && has_traded && ome_would_rest(entrant->time_in_force))
    {
        entrant->price = entrant->book->last_trade_price;
        entrant->key = ome_book_price_key(entrant->book, entrant->side, entrant->price);
        rest(engine, entrant, sink);
        return;
    }
    const bool is_empty = ome_book_best(entrant->book, ome_side_opposite(entrant->side)) == 0;
    ome_entry_cancel(engine, entrant, is_empty ? OME_REASON_NO_LIQUIDITY : OME_REASON_COLLAR, sink);
}

void ome_entry_meet(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink)
{
    engine->first_trade_price = OME_NULL_VALUE;
    const int64_t traded = trade(engine, entrant, sink);
    engine->pools.orders.orders[entrant->slot].cumulative_quantity += traded;
    if (entrant->leaves == 0)
    {
        ome_book_end(&engine->pools, entrant->slot);
        return;
    }
    if (ome_entrant_would_rest(entrant))
    {
        rest(engine, entrant, sink);
        return;
    }
    if (entrant->has_limit)
    {
        ome_entry_cancel(engine, entrant, OME_REASON_IMMEDIATE_OR_CANCEL, sink);
        return;
    }
    finish_without_limit(engine, entrant, traded > 0, sink);
}

void ome_entry_run(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink)
{
    engine->first_trade_price = OME_NULL_VALUE;
    entrant->limit_key = entrant->has_limit ? ome_book_limit_key(entrant->key) : collar_key(engine, entrant);
    const uint8_t reason = decide(engine, entrant);
    if (reason != OME_REASON_NONE)
    {
        ome_entry_cancel(engine, entrant, reason, sink);
        return;
    }
    ome_entry_meet(engine, entrant, sink);
}
