/* The state hash: a walk over books, instruments, sessions and counts in an order that the rules fix. Which slot the next order takes is not in it. */
#include "base/ome_hash.h"
#include "engine/ome_engine.h"

static void name_words(const char name[OME_NAME_SIZE], uint64_t words[2])
{
    __builtin_memcpy(words, name, OME_NAME_SIZE);
}

static uint64_t mix_side(uint64_t hash, const ome_engine_t *engine, const ome_book_t *book, uint8_t side)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    for (uint32_t level = ome_book_best(book, side); level != 0; level = ome_ladder_next(&engine->pools.ladder, level))
    {
        const int64_t price = engine->pools.ladder.levels[level].price;
        for (uint32_t slot = engine->pools.ladder.levels[level].head; slot != 0; slot = pool->orders[slot].next)
        {
            const ome_order_t *order = &pool->orders[slot];
            const uint64_t words[8] = {ome_order_id(pool, slot), order->client_order_id, (uint64_t)price, (uint64_t)order->leaves_quantity,
                (uint64_t)order->cumulative_quantity, order->owner, side, book->number};
            hash = ome_hash_mix(hash, words);
        }
    }
    return hash;
}

static uint64_t mix_instrument(uint64_t hash, const ome_book_t *book)
{
    const ome_instrument_t *instrument = &book->instrument;
    uint64_t name[2];
    name_words(instrument->symbol, name);
    const uint64_t settings =
        (uint64_t)instrument->price_decimals | (uint64_t)instrument->quantity_decimals << 8 | (uint64_t)instrument->flags << 16;
    const uint64_t words[8] = {
        book->number, (uint64_t)instrument->tick, settings, name[0], name[1], (uint64_t)book->last_trade_price, 0, 0};
    return ome_hash_mix(hash, words);
}

uint64_t ome_engine_state_hash(const ome_engine_t *engine)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    uint64_t live_order_count = 0;
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        live_order_count += pool->orders[slot].leaves_quantity > 0;
    }
    const uint64_t totals[8] = {engine->sequence, engine->time_ns, engine->trade_count, engine->event_count, engine->instrument_count,
        engine->session_count, live_order_count, pool->slots_ever_used};
    uint64_t hash = ome_hash_mix(OME_HASH_STATE_INITIAL, totals);
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        hash = mix_instrument(hash, &engine->books[number]);
    }
    for (uint32_t number = 1; number <= engine->session_count; number++)
    {
        const ome_session_t *session = &engine->sessions[number];
        uint64_t name[2];
        name_words(session->participant_name, name);
        const uint64_t words[8] = {number, session->participant, session->session_number, name[0], name[1], 0, 0, 0};
        hash = ome_hash_mix(hash, words);
    }
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        hash = mix_side(hash, engine, &engine->books[number], OME_SIDE_BUY);
        hash = mix_side(hash, engine, &engine->books[number], OME_SIDE_SELL);
    }
    return hash;
}
