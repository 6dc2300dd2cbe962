#include "engine/ome_self_trade.h"

#include "engine/ome_match.h"
#include "engine/ome_standing.h"

/* Whether an order at rest is of the aggressor's group. */
static bool is_own(const ome_engine_t *engine, const ome_entrant_t *entrant, const ome_order_t *order)
{
    if (ome_owner_participant(order->owner) != ome_owner_participant(entrant->owner))
    {
        return false;
    }
    if (entrant->group != 0)
    {
        return engine->pools.specials.records[ome_order_special(order)].group == entrant->group;
    }
    return (entrant->marks & OME_ORDER_MARK_SCOPE_PARTICIPANT) != 0 ||
           (uint32_t)ome_book_owner(&engine->pools, order) == (uint32_t)entrant->owner;
}

/* ---- what could trade ---- */

typedef struct
{
    const ome_engine_t *engine;
    const ome_entrant_t *entrant;
    int64_t open;
    ome_could_trade_t could;
} forecast_t;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void add(forecast_t *forecast, int64_t available, int64_t price)
{
    const int64_t quantity = smaller(forecast->open, available);
    forecast->open -= quantity;
    forecast->could.quantity += quantity;
    forecast->could.cost += (__int128)price * quantity;
}

/* Meets an order of the aggressor's own group. */
static void meet_own(forecast_t *forecast, const ome_order_t *order)
{
    switch (ome_entrant_instruction(forecast->entrant))
    {
    case OME_SELF_TRADE_PREVENTION_CANCEL_OLDEST:
        break;
    case OME_SELF_TRADE_PREVENTION_DECREMENT:
        forecast->open -= smaller(forecast->open, ome_book_leaves(&forecast->engine->pools, order));
        break;
    default:
        forecast->open = 0;
        break;
    }
}

/* Walks one queue with what each order has in it. */
static void forecast_queue(forecast_t *forecast, uint32_t head, int64_t price)
{
    const ome_order_t *orders = forecast->engine->pools.orders.orders;
    for (uint32_t slot = head; slot != 0 && forecast->open > 0; slot = orders[slot].next)
    {
        if (is_own(forecast->engine, forecast->entrant, &orders[slot]))
        {
            meet_own(forecast, &orders[slot]);
        }
        else
        {
            add(forecast, orders[slot].leaves_quantity, price);
        }
    }
}

/* Walks the reserves of one queue; those of its own group have been met whole. */
static void forecast_reserves(forecast_t *forecast, uint32_t head, int64_t price)
{
    const ome_book_pools_t *pools = &forecast->engine->pools;
    const ome_order_t *orders = pools->orders.orders;
    for (uint32_t slot = head; slot != 0 && forecast->open > 0; slot = orders[slot].next)
    {
        const int64_t reserve = pools->specials.records[ome_order_special(&orders[slot])].reserve_quantity;
        if (reserve > 0 && !is_own(forecast->engine, forecast->entrant, &orders[slot]))
        {
            add(forecast, reserve, price);
        }
    }
}

ome_could_trade_t ome_could_trade(const ome_engine_t *engine, const ome_entrant_t *entrant)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    const bool is_guarded = ome_entrant_instruction(entrant) != OME_SELF_TRADE_PREVENTION_NONE;
    forecast_t forecast = {.engine = engine, .entrant = entrant, .open = entrant->leaves};
    uint32_t index = ome_book_best(entrant->book, ome_side_opposite(entrant->side));
    while (index != 0 && forecast.open > 0 && ladder->levels[index].key <= entrant->limit_key)
    {
        const ome_level_t *level = &ladder->levels[index];
        if (is_guarded)
        {
            forecast_queue(&forecast, level->head, level->price);
            forecast_reserves(&forecast, level->head, level->price);
            forecast_queue(&forecast, level->hidden_head, level->price);
        }
        else
        {
            add(&forecast, level->quantity + level->hidden_quantity, level->price);
        }
        index = ome_ladder_next(ladder, index);
    }
    return forecast.could;
}

/* ---- matching ---- */

/* The aggressor is cancelled with what is left. Its slot is freed by who brought it here, as that of an order that is filled. */
static void cancel_aggressor(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink)
{
    ome_entrant_write(engine, entrant, entrant->leaves, OME_EVENT_KIND_CANCELLED, OME_REASON_SELF_TRADE_PREVENTION, 0, sink);
    entrant->leaves = 0;
}

static void decrement(ome_engine_t *engine, ome_entrant_t *entrant, uint32_t slot, int64_t resting_leaves, ome_sink_t *sink)
{
    const int64_t quantity = smaller(entrant->leaves, resting_leaves);
    if (quantity == resting_leaves)
    {
        ome_standing_cancel(engine, slot, entrant->timestamp_ns, OME_REASON_SELF_TRADE_PREVENTION, sink);
    }
    else
    {
        ome_standing_reduce(engine, slot, quantity, entrant->timestamp_ns, OME_REASON_SELF_TRADE_PREVENTION, sink);
    }
    if (quantity == entrant->leaves)
    {
        cancel_aggressor(engine, entrant, sink);
        return;
    }
    entrant->leaves -= quantity;
    ome_entrant_write(engine, entrant, quantity, OME_EVENT_KIND_REDUCED, OME_REASON_SELF_TRADE_PREVENTION, 0, sink);
}

static void prevent(ome_engine_t *engine, ome_entrant_t *entrant, uint32_t slot, ome_sink_t *sink)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const int64_t resting_leaves = ome_book_leaves(&engine->pools, order);
    const uint8_t instruction = ome_entrant_instruction(entrant);
    ome_event_write(engine, sink, entrant->order_id, entrant->client_order_id, engine->pools.ladder.levels[order->level].price,
        smaller(entrant->leaves, resting_leaves), ome_order_id(&engine->pools.orders, slot), order->client_order_id,
        ome_event_last_word(entrant->book->number, OME_EVENT_KIND_PREVENTED, entrant->side, OME_REASON_NONE, 0));
    if (instruction == OME_SELF_TRADE_PREVENTION_DECREMENT)
    {
        decrement(engine, entrant, slot, resting_leaves, sink);
        return;
    }
    if (instruction != OME_SELF_TRADE_PREVENTION_CANCEL_NEWEST)
    {
        ome_standing_cancel(engine, slot, entrant->timestamp_ns, OME_REASON_SELF_TRADE_PREVENTION, sink);
    }
    if (instruction != OME_SELF_TRADE_PREVENTION_CANCEL_OLDEST)
    {
        cancel_aggressor(engine, entrant, sink);
    }
}

int64_t ome_self_trade_match(ome_engine_t *engine, ome_entrant_t *entrant, ome_sink_t *sink)
{
    const uint32_t other = ome_side_index(ome_side_opposite(entrant->side));
    ome_book_t *book = entrant->book;
    const ome_aggressor_t aggressor = {.order_id = entrant->order_id,
        .client_order_id = entrant->client_order_id,
        .limit_key = entrant->limit_key,
        .timestamp_ns = entrant->timestamp_ns,
        .side = entrant->side};
    int64_t traded = 0;
    while (entrant->leaves > 0 && ome_match_crosses(book, entrant->side, entrant->limit_key))
    {
        const ome_level_t *level = &engine->pools.ladder.levels[book->ladders[other].best];
        const uint32_t slot = level->order_count != 0 ? level->head : level->hidden_head;
        if (is_own(engine, entrant, &engine->pools.orders.orders[slot]))
        {
            prevent(engine, entrant, slot, sink);
            continue;
        }
        book->last_trade_price = level->price;
        engine->first_trade_price = traded == 0 ? level->price : engine->first_trade_price;
        const int64_t leaves = ome_match_order(engine, book, &aggressor, slot, entrant->leaves, sink);
        book->open_quantity[other] -= entrant->leaves - leaves;
        traded += entrant->leaves - leaves;
        entrant->leaves = leaves;
    }
    return traded;
}
