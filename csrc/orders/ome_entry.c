#include "orders/ome_entry.h"

#include "book/ome_book.h"
#include "book/ome_trailing.h"
#include "matching/ome_forecast.h"
#include "matching/ome_match.h"
#include "matching/ome_resting.h"
#include "matching/ome_self_trade.h"
#include "matching/ome_stop.h"

/* ---- the order joins a queue, or ends ---- */

/* It lives on after its command: its client order id is in the index from now on. */
static void entry_keep(ome_engine_t *engine, const ome_incoming_t *incoming)
{
    ome_order_t *order = &engine->pools.orders.orders[incoming->slot];
    const uint16_t participant = ome_owner_participant(incoming->subject.owner);
    ome_order_pool_own(&engine->pools.orders, incoming->slot, participant);
    if (order->client_order_id != incoming->subject.client_order_id)
    {
        OME_ASSERT(order->client_order_id == 0);
        order->client_order_id = incoming->subject.client_order_id;
        ome_order_index_insert(&engine->pools.index, participant, order->client_order_id, incoming->slot);
    }
}

/* Joins its queue, and returns the flags that its event has with RESTS. What it displays of a peak is said with entry_say_displayed. */
static uint8_t entry_join(ome_engine_t *engine, const ome_incoming_t *incoming)
{
    ome_order_t *order = &engine->pools.orders.orders[incoming->slot];
    const bool has_peak = ome_resting_special(engine, incoming->slot)->peak != 0;
    OME_ASSERT(!ome_book_crosses(incoming->book, incoming->subject.side, incoming->key));
    OME_EXPECT(incoming->price == 0 || ome_book_price_key(incoming->book, incoming->subject.side, incoming->price) == incoming->key);
    entry_keep(engine, incoming);
    ome_quantity_set_open(order, incoming->leaves);
    ome_book_join(incoming->book, &engine->pools, incoming->slot, incoming->subject.side, incoming->price, incoming->key);
    const bool is_hidden = has_peak || (incoming->marks & OME_ORDER_MARK_HIDDEN) != 0;
    return OME_EVENT_FLAGS_RESTS | (is_hidden ? OME_EVENT_FLAGS_HIDDEN : 0);
}

static void entry_say_displayed(ome_engine_t *engine, const ome_incoming_t *incoming, ome_sink_t *sink)
{
    if (ome_resting_special(engine, incoming->slot)->peak != 0)
    {
        const int64_t displayed = engine->pools.orders.orders[incoming->slot].leaves_quantity;
        ome_event_displayed(engine, sink, &incoming->subject, incoming->price, displayed, OME_EVENT_FLAGS_RESTS);
    }
}

/* Ends the order: CANCELLED with all that is open, no flags. */
static void entry_cancel(ome_engine_t *engine, const ome_incoming_t *incoming, uint8_t reason, ome_sink_t *sink)
{
    OME_ASSERT(incoming->leaves > 0);
    ome_book_end(&engine->pools, incoming->slot);
    ome_event_cancelled(engine, sink, &incoming->subject, incoming->price, incoming->leaves, reason, 0);
}

/* Rests, if there is a level for it. */
static void entry_rest(ome_engine_t *engine, const ome_incoming_t *incoming, ome_sink_t *sink)
{
    const ome_ladder_t *ladder = &incoming->book->ladders[ome_side_index(incoming->subject.side)];
    OME_EXPECT(incoming->leaves > 0);
    if (ome_ladder_pool_is_full(&engine->pools.ladder) && ome_ladder_find(ladder, &engine->pools.ladder, incoming->key) == 0)
    {
        entry_cancel(engine, incoming, OME_REASON_LEVEL_LIMIT_REACHED, sink);
        return;
    }
    const uint8_t flags = entry_join(engine, incoming);
    ome_event_rested(engine, sink, &incoming->subject, incoming->price, incoming->leaves, flags);
    entry_say_displayed(engine, incoming, sink);
}

/* ---- Rules, NewOrder, 1 to 5 ---- */

/* 1: the limit of an order without one is so many ticks from the opposite best. */
static uint64_t entry_collar(const ome_engine_t *engine, const ome_incoming_t *incoming)
{
    const uint32_t best = ome_book_best(incoming->book, ome_side_opposite(incoming->subject.side));
    const uint32_t of_instrument = incoming->book->instrument.collar_ticks;
    if (best == 0 || (!incoming->has_collar && of_instrument == 0))
    {
        return OME_BOOK_ANY_KEY;
    }
    uint32_t ticks = incoming->has_collar ? incoming->collar_ticks : of_instrument;
    ticks = of_instrument != 0 && of_instrument < ticks ? of_instrument : ticks;
    const uint64_t best_key = engine->pools.ladder.levels[best].key;
    const uint64_t last_key = ome_book_turned_key(OME_BOOK_ANY_KEY);
    return ome_book_turned_key(best_key > last_key - ticks ? last_key : best_key + ticks);
}

/* 2: why the order is cancelled before any trade; NONE where it goes on. */
static uint8_t entry_decide(const ome_engine_t *engine, const ome_incoming_t *incoming)
{
    const bool is_fill_or_kill = incoming->time_in_force == OME_TIME_IN_FORCE_FOK;
    if (!is_fill_or_kill && incoming->minimum_quantity == 0)
    {
        return OME_REASON_NONE;
    }
    const ome_forecast_t forecast = ome_forecast(engine, incoming);
    if (is_fill_or_kill && forecast.quantity < incoming->leaves)
    {
        return OME_REASON_FILL_OR_KILL;
    }
    const bool is_buy = incoming->subject.side == OME_SIDE_BUY;
    const bool is_too_dear = is_buy ? forecast.cost > incoming->budget : forecast.cost < incoming->budget;
    if (is_fill_or_kill && incoming->has_budget && is_too_dear)
    {
        return OME_REASON_BUDGET;
    }
    return forecast.quantity < incoming->minimum_quantity ? OME_REASON_MINIMUM_QUANTITY : OME_REASON_NONE;
}

/* 3: trades; returns the lots traded. The order's leaves are what is left then. */
static int64_t entry_trade(ome_engine_t *engine, ome_incoming_t *incoming, ome_sink_t *sink)
{
    OME_EXPECT(incoming->leaves > 0);
    if (ome_marks_instruction(incoming->marks) != OME_SELF_TRADE_PREVENTION_NONE)
    {
        return ome_self_trade_match(engine, incoming, sink);
    }
    ome_stop_watch(engine, incoming->book, incoming->subject.side, incoming->limit);
    const int64_t leaves = ome_match(engine, incoming->book, &incoming->subject, incoming->limit, incoming->leaves, sink);
    const int64_t traded = incoming->leaves - leaves;
    incoming->leaves = leaves;
    return traded;
}

/* 4, for an order without limit that is not filled. */
static void entry_finish_without_limit(ome_engine_t *engine, ome_incoming_t *incoming, bool has_traded, ome_sink_t *sink)
{
    OME_EXPECT(!incoming->has_limit);
    OME_EXPECT(incoming->leaves > 0);
    const bool becomes_limit = (incoming->book->instrument.flags & OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT) != 0;
    if (becomes_limit && has_traded && ome_time_in_force_rests(incoming->time_in_force))
    {
        incoming->price = incoming->book->last_trade_price;
        incoming->key = ome_book_price_key(incoming->book, incoming->subject.side, incoming->price);
        entry_rest(engine, incoming, sink);
        return;
    }
    const bool is_empty = ome_book_best(incoming->book, ome_side_opposite(incoming->subject.side)) == 0;
    entry_cancel(engine, incoming, is_empty ? OME_REASON_NO_LIQUIDITY : OME_REASON_COLLAR, sink);
}

/* 3 to 5, with the limit in force set. */
static void entry_meet(ome_engine_t *engine, ome_incoming_t *incoming, ome_sink_t *sink)
{
    OME_ASSERT(incoming->leaves > 0);
    const int64_t traded = entry_trade(engine, incoming, sink);
    OME_ASSERT(traded >= 0 && incoming->leaves >= 0);
    ome_quantity_add_cumulative(&engine->pools.orders.orders[incoming->slot], traded);
    if (incoming->leaves == 0)
    {
        ome_book_end(&engine->pools, incoming->slot);
    }
    else if (ome_incoming_would_rest(incoming))
    {
        entry_rest(engine, incoming, sink);
    }
    else if (incoming->has_limit)
    {
        entry_cancel(engine, incoming, OME_REASON_IMMEDIATE_OR_CANCEL, sink);
    }
    else
    {
        entry_finish_without_limit(engine, incoming, traded > 0, sink);
    }
    ome_stop_look_after(engine, incoming->book);
}

/* 1 to 5. */
static void entry_run(ome_engine_t *engine, ome_incoming_t *incoming, ome_sink_t *sink)
{
    OME_EXPECT(incoming->leaves > 0);
    OME_EXPECT(incoming->slot != 0);
    engine->first_trade_price = OME_NULL_VALUE;
    incoming->limit = incoming->has_limit ? incoming->key : entry_collar(engine, incoming);
    const uint8_t reason = entry_decide(engine, incoming);
    if (reason != OME_REASON_NONE)
    {
        entry_cancel(engine, incoming, reason, sink);
        return;
    }
    entry_meet(engine, incoming, sink);
}

/* ---- a new order ---- */

static ome_incoming_t entry_incoming(ome_engine_t *engine, const ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    const ome_given_t *given = admission->given;
    const bool has_limit = ome_order_type_has_limit(command->order_type);
    return (ome_incoming_t){.subject = {.client_order_id = command->client_order_id,
                                .owner = ome_command_owner(command),
                                .timestamp_ns = command->timestamp_ns,
                                .instrument = command->instrument,
                                .side = command->side},
        .book = &engine->books[command->instrument],
        .key = admission->key,
        .price = has_limit ? admission->price : 0,
        .leaves = command->quantity,
        .minimum_quantity = given->values[OME_TERM_MINIMUM_QUANTITY],
        .budget = given->values[OME_TERM_BUDGET],
        .group = (uint32_t)given->values[OME_TERM_SELF_TRADE_GROUP],
        .collar_ticks = (uint32_t)given->values[OME_TERM_COLLAR_TICKS],
        .marks = admission->marks,
        .time_in_force = command->time_in_force,
        .has_limit = has_limit,
        .has_collar = (given->given >> OME_TERM_COLLAR_TICKS & 1) != 0,
        .has_budget = (given->given >> OME_TERM_BUDGET & 1) != 0};
}

/* Gives it a slot. Its client order id is not there before it joins a queue. */
static void entry_take_slot(ome_engine_t *engine, ome_incoming_t *incoming)
{
    ome_order_pool_t *pool = &engine->pools.orders;
    const uint32_t slot = ome_order_pool_take(pool);
    ome_order_t *order = &pool->orders[slot];
    OME_EXPECT(incoming->leaves > 0);
    incoming->slot = slot;
    incoming->subject.order_id = ome_order_id(pool, slot);
    order->leaves_quantity = incoming->leaves;
    order->cumulative_quantity = 0;
    order->client_order_id = 0;
    order->owner = incoming->subject.owner;
    order->level = 0;
    order->marks = incoming->marks;
    OME_EXPECT(ome_order_pool_state(pool, incoming->subject.order_id) == OME_ORDER_LIVE);
}

/* Gives it the record of what it has beyond a plain order. */
static void entry_make_special(ome_engine_t *engine, const ome_admission_t *admission, const ome_incoming_t *incoming)
{
    const ome_command_t *command = admission->command;
    const int64_t *values = admission->given->values;
    const bool waits = ome_order_type_waits(command->order_type);
    const uint32_t index = ome_special_pool_take(&engine->pools.specials);
    ome_special_t *special = &engine->pools.specials.records[index];
    *special = (ome_special_t){.deadline_ns = (uint64_t)values[OME_TERM_EXPIRE_TIME],
        .peak = values[OME_TERM_DISPLAY_QUANTITY],
        .stop_price = admission->stop_price,
        .limit = waits ? incoming->price : 0,
        .trail_amount = values[OME_TERM_TRAIL_AMOUNT],
        .minimum_quantity = incoming->minimum_quantity,
        .budget = incoming->budget,
        .group = incoming->group,
        .collar_ticks = incoming->collar_ticks,
        .instrument = command->instrument,
        .trail_basis_points = (uint16_t)values[OME_TERM_TRAIL_BASIS_POINTS],
        .side = command->side,
        .order_type = command->order_type,
        .time_in_force = command->time_in_force,
        .flags = (uint8_t)((incoming->has_collar ? OME_SPECIAL_HAS_COLLAR : 0) | (incoming->has_budget ? OME_SPECIAL_HAS_BUDGET : 0))};
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        special->attributes[i] = (uint32_t)values[OME_ATTRIBUTES[i].term];
    }
    if (ome_order_type_trails(command->order_type))
    {
        const bool is_given = (admission->given->given >> OME_TERM_STOP_PRICE & 1) != 0;
        special->stop_price = is_given ? ome_stop_moved_price(incoming->book, special)
                                       : ome_trailing_price(incoming->book, special, incoming->book->last_trade_price);
    }
    ome_book_make_special(&engine->pools, incoming->slot, index);
    if (special->deadline_ns != 0 && special->deadline_ns < engine->attention_ns)
    {
        engine->attention_ns = special->deadline_ns;
    }
    OME_EXPECT(ome_order_special(&engine->pools.orders.orders[incoming->slot]) == index);
}

void ome_entry_wait(ome_engine_t *engine, ome_book_t *book, uint32_t slot, bool is_past)
{
    OME_ASSERT(ome_order_special(&engine->pools.orders.orders[slot]) != 0);
    ome_resting_special(engine, slot)->entry = engine->sequence;
    if (is_past)
    {
        ome_stop_elect(engine, slot);
        return;
    }
    ome_book_wait(book, &engine->pools, slot);
}

/* ACCEPTED, and the attributes of an order that has some. */
static void entry_say_accepted(ome_engine_t *engine, const ome_incoming_t *incoming, uint8_t flags, ome_sink_t *sink)
{
    const ome_special_t *special = ome_resting_special(engine, incoming->slot);
    ome_event_accepted(engine, sink, &incoming->subject, incoming->price, incoming->leaves, flags);
    if (ome_special_has_attributes(special))
    {
        ome_event_attributes(engine, sink, &incoming->subject, special->attributes);
    }
}

static void entry_new_stop(ome_engine_t *engine, const ome_incoming_t *incoming, ome_sink_t *sink)
{
    const ome_special_t *special = ome_resting_special(engine, incoming->slot);
    const int64_t stop_price = special->stop_price;
    const bool is_past = ome_stop_is_past(incoming->book, incoming->subject.side, stop_price);
    OME_EXPECT(incoming->leaves > 0);
    entry_keep(engine, incoming);
    entry_say_accepted(engine, incoming, is_past ? 0 : OME_EVENT_FLAGS_WAITING, sink);
    ome_entry_wait(engine, incoming->book, incoming->slot, is_past);
    if (!is_past)
    {
        ome_event_stop_set(engine, sink, &incoming->subject, stop_price, incoming->leaves, special->order_type);
    }
    OME_EXPECT(ome_special_waits(ome_resting_special(engine, incoming->slot)) != is_past);
}

void ome_entry_new(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink)
{
    ome_incoming_t incoming = entry_incoming(engine, admission);
    OME_EXPECT(admission->leaves > 0);
    OME_EXPECT(admission->slot == 0);
    entry_take_slot(engine, &incoming);
    if (ome_admission_is_special(admission))
    {
        entry_make_special(engine, admission, &incoming);
    }
    if (ome_order_type_waits(admission->order_type))
    {
        entry_new_stop(engine, &incoming, sink);
        return;
    }
    if (ome_incoming_would_rest(&incoming) && !admission->crosses && incoming.minimum_quantity == 0)
    {
        const uint8_t flags = entry_join(engine, &incoming);
        entry_say_accepted(engine, &incoming, flags, sink);
        entry_say_displayed(engine, &incoming, sink);
        return;
    }
    entry_say_accepted(engine, &incoming, 0, sink);
    entry_run(engine, &incoming, sink);
}

/* ---- a stop that was triggered ---- */

/* The order that it is from now on; its record keeps what outlives the trigger, and goes where that is nothing. */
static ome_incoming_t entry_incoming_stop(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    ome_special_t *special = ome_resting_special(engine, slot);
    ome_book_t *book = &engine->books[special->instrument];
    OME_ASSERT(!ome_special_waits(special));
    ome_incoming_t incoming = {.subject = {.order_id = special->order_id,
                                   .client_order_id = order->client_order_id,
                                   .owner = ome_book_owner(&engine->pools, order),
                                   .timestamp_ns = timestamp_ns,
                                   .instrument = special->instrument,
                                   .side = special->side},
        .book = book,
        .leaves = order->leaves_quantity,
        .minimum_quantity = special->minimum_quantity,
        .budget = special->budget,
        .slot = slot,
        .group = special->group,
        .collar_ticks = special->collar_ticks,
        .time_in_force = special->time_in_force,
        .has_limit = ome_order_type_has_limit(special->order_type),
        .has_collar = (special->flags & OME_SPECIAL_HAS_COLLAR) != 0,
        .has_budget = (special->flags & OME_SPECIAL_HAS_BUDGET) != 0};
    if (incoming.has_limit)
    {
        const __int128 from = ome_order_type_trails(special->order_type) ? special->stop_price : 0;
        incoming.price = ome_instrument_keep_within(&book->instrument, from + special->limit);
        incoming.key = ome_book_price_key(book, special->side, incoming.price);
    }
    special->stop_price = special->limit = special->trail_amount = 0;
    special->trail_basis_points = 0;
    if (!ome_special_outlives_trigger(special))
    {
        ome_book_make_plain(&engine->pools, slot);
    }
    incoming.marks = order->marks;
    return incoming;
}

void ome_entry_triggered(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns, ome_sink_t *sink)
{
    const int64_t stop_price = ome_resting_special(engine, slot)->stop_price;
    ome_incoming_t incoming = entry_incoming_stop(engine, slot, timestamp_ns);
    OME_EXPECT(incoming.leaves > 0);
    ome_event_triggered(engine, sink, &incoming.subject, stop_price, incoming.leaves);
    const uint8_t reason = ome_admit_triggered(engine, &incoming);
    if (reason != OME_REASON_NONE)
    {
        entry_cancel(engine, &incoming, reason, sink);
        return;
    }
    entry_run(engine, &incoming, sink);
}

/* ---- an order that an amend moved ---- */

void ome_entry_moved(ome_engine_t *engine, const ome_incoming_t *incoming, ome_sink_t *sink)
{
    const uint8_t flags = (uint8_t)(entry_join(engine, incoming) | OME_EVENT_FLAGS_WAS_RESTING);
    OME_EXPECT(incoming->leaves > 0);
    ome_event_amended(engine, sink, &incoming->subject, incoming->price, incoming->leaves, flags);
    entry_say_displayed(engine, incoming, sink);
}

void ome_entry_moved_across(ome_engine_t *engine, ome_incoming_t *incoming, uint8_t flags, ome_sink_t *sink)
{
    OME_EXPECT(incoming->leaves > 0);
    OME_EXPECT(ome_book_crosses(incoming->book, incoming->subject.side, incoming->key));
    engine->first_trade_price = OME_NULL_VALUE;
    ome_event_amended(engine, sink, &incoming->subject, incoming->price, incoming->leaves, flags);
    incoming->limit = incoming->key;
    entry_meet(engine, incoming, sink);
}
