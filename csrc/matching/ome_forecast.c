#include "matching/ome_forecast.h"

#include "matching/ome_self_trade.h"

typedef struct
{
    const ome_engine_t *engine;
    const ome_incoming_t *incoming;
    int64_t open;
    ome_forecast_t could;
} walk_t;

static int64_t forecast_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void forecast_add(walk_t *walk, int64_t available, int64_t price)
{
    const int64_t quantity = forecast_smaller(walk->open, available);
    walk->open -= quantity;
    walk->could.quantity += quantity;
    walk->could.cost += (__int128)price * quantity;
}

/* Meets an order of the aggressor's own group. */
static void forecast_meet_own(walk_t *walk, const ome_order_t *order)
{
    switch (ome_marks_instruction(walk->incoming->marks))
    {
    case OME_SELF_TRADE_PREVENTION_CANCEL_OLDEST:
        break;
    case OME_SELF_TRADE_PREVENTION_DECREMENT:
        walk->open -= forecast_smaller(walk->open, ome_book_leaves(&walk->engine->pools, order));
        break;
    default:
        walk->open = 0;
        break;
    }
}

/* Walks one queue with what each order has in it. */
static void forecast_queue(walk_t *walk, uint32_t head, int64_t price)
{
    const ome_order_t *orders = walk->engine->pools.orders.orders;
    for (uint32_t slot = head; slot != 0 && walk->open > 0; slot = orders[slot].next)
    {
        if (ome_self_trade_is_own(walk->engine, walk->incoming, &orders[slot]))
        {
            forecast_meet_own(walk, &orders[slot]);
        }
        else
        {
            forecast_add(walk, orders[slot].leaves_quantity, price);
        }
    }
}

/* Walks the reserves of one queue; those of its own group have been met whole. */
static void forecast_reserves(walk_t *walk, uint32_t head, int64_t price)
{
    const ome_book_pools_t *pools = &walk->engine->pools;
    const ome_order_t *orders = pools->orders.orders;
    for (uint32_t slot = head; slot != 0 && walk->open > 0; slot = orders[slot].next)
    {
        const int64_t reserve = pools->specials.records[ome_order_special(&orders[slot])].reserve_quantity;
        if (reserve > 0 && !ome_self_trade_is_own(walk->engine, walk->incoming, &orders[slot]))
        {
            forecast_add(walk, reserve, price);
        }
    }
}

ome_forecast_t ome_forecast(const ome_engine_t *engine, const ome_incoming_t *incoming)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    const bool is_guarded = ome_marks_instruction(incoming->marks) != OME_SELF_TRADE_PREVENTION_NONE;
    walk_t walk = {.engine = engine, .incoming = incoming, .open = incoming->leaves};
    uint32_t index = ome_book_best(incoming->book, ome_side_opposite(incoming->subject.side));
    while (index != 0 && walk.open > 0 && ome_book_reaches(&ladder->levels[index], incoming->limit))
    {
        const ome_level_t *level = &ladder->levels[index];
        if (is_guarded)
        {
            forecast_queue(&walk, level->head, level->price);
            forecast_reserves(&walk, level->head, level->price);
            forecast_queue(&walk, level->hidden_head, level->price);
        }
        else
        {
            forecast_add(&walk, level->quantity + level->hidden_quantity, level->price);
        }
        index = ome_ladder_next(ladder, index);
    }
    return walk.could;
}
