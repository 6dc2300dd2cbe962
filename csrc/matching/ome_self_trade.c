#include "matching/ome_self_trade.h"

#include "matching/ome_match.h"
#include "matching/ome_resting.h"

static int64_t self_trade_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The aggressor is cancelled with what is left. Its slot is freed by who brought it here, as that of an order that is filled. */
static void self_trade_cancel_aggressor(ome_engine_t *engine, ome_incoming_t *incoming, ome_sink_t *sink)
{
    OME_EXPECT(incoming->leaves > 0);
    ome_event_cancelled(engine, sink, &incoming->subject, incoming->price, incoming->leaves, OME_REASON_SELF_TRADE_PREVENTION, 0);
    incoming->leaves = 0;
}

static void self_trade_decrement(ome_engine_t *engine, ome_incoming_t *incoming, uint32_t slot, int64_t resting_leaves, ome_sink_t *sink)
{
    const int64_t quantity = self_trade_smaller(incoming->leaves, resting_leaves);
    OME_ASSERT(quantity > 0);
    if (quantity == resting_leaves)
    {
        ome_resting_cancel(engine, slot, incoming->subject.timestamp_ns, OME_REASON_SELF_TRADE_PREVENTION, sink);
    }
    else
    {
        ome_resting_reduce(engine, slot, quantity, incoming->subject.timestamp_ns, OME_REASON_SELF_TRADE_PREVENTION, sink);
    }
    if (quantity == incoming->leaves)
    {
        self_trade_cancel_aggressor(engine, incoming, sink);
        return;
    }
    incoming->leaves -= quantity;
    ome_event_reduced(engine, sink, &incoming->subject, incoming->price, quantity, OME_REASON_SELF_TRADE_PREVENTION, 0);
}

static void self_trade_prevent(ome_engine_t *engine, ome_incoming_t *incoming, uint32_t slot, ome_sink_t *sink)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const int64_t resting_leaves = ome_book_leaves(&engine->pools, order);
    const uint8_t instruction = ome_marks_instruction(incoming->marks);
    OME_EXPECT(slot != 0);
    OME_EXPECT(incoming->leaves > 0);
    ome_event_prevented(engine, sink, &incoming->subject, engine->pools.ladder.levels[order->level].price,
        self_trade_smaller(incoming->leaves, resting_leaves),
        (ome_counterpart_t){ome_order_id(&engine->pools.orders, slot), order->client_order_id, ome_book_owner(&engine->pools, order)});
    if (instruction == OME_SELF_TRADE_PREVENTION_DECREMENT)
    {
        self_trade_decrement(engine, incoming, slot, resting_leaves, sink);
        return;
    }
    if (instruction != OME_SELF_TRADE_PREVENTION_CANCEL_NEWEST)
    {
        ome_resting_cancel(engine, slot, incoming->subject.timestamp_ns, OME_REASON_SELF_TRADE_PREVENTION, sink);
    }
    if (instruction != OME_SELF_TRADE_PREVENTION_CANCEL_OLDEST)
    {
        self_trade_cancel_aggressor(engine, incoming, sink);
    }
    OME_EXPECT(incoming->leaves >= 0);
}

int64_t ome_self_trade_match(ome_engine_t *engine, ome_incoming_t *incoming, ome_sink_t *sink)
{
    const uint32_t other = (ome_side_index(incoming->subject.side) ^ 1u);
    ome_book_t *book = incoming->book;
    int64_t traded = 0;
    while (incoming->leaves > 0 && ome_book_crosses(book, incoming->subject.side, incoming->limit))
    {
        const ome_level_t *level = &engine->pools.ladder.levels[book->ladders[other].best];
        const uint32_t slot = level->order_count != 0 ? level->head : level->hidden_head;
        if (ome_self_trade_is_own(engine, incoming, &engine->pools.orders.orders[slot]))
        {
            self_trade_prevent(engine, incoming, slot, sink);
            continue;
        }
        book->last_trade_price = level->price;
        engine->first_trade_price = traded == 0 ? level->price : engine->first_trade_price;
        const int64_t leaves = ome_match_order(engine, book, &incoming->subject, slot, incoming->leaves, sink);
        traded += incoming->leaves - leaves;
        incoming->leaves = leaves;
    }
    OME_ASSERT(incoming->leaves >= 0);
    OME_EXPECT(incoming->leaves == 0 || !ome_book_crosses(book, incoming->subject.side, incoming->limit));
    return traded;
}
