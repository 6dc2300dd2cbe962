/* The state hash: a walk over books, instruments, sessions and counts in an order that the rules fix. Which slot the next order takes is
 * not in it. */
#include "base/ome_hash.h"
#include "book/ome_waiting.h"
#include "engine/ome_engine.h"
#include "state/ome_state.h"

static void hash_name_words(const char name[OME_NAME_SIZE], uint64_t words[2])
{
    __builtin_memcpy(words, name, OME_NAME_SIZE);
}

static uint64_t hash_mix_order(uint64_t hash, const ome_engine_t *engine, uint32_t slot, int64_t price, uint8_t side, uint32_t instrument)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const uint64_t words[8] = {ome_order_id(&engine->pools.orders, slot), order->client_order_id, (uint64_t)price,
        (uint64_t)ome_book_leaves(&engine->pools, order), (uint64_t)order->cumulative_quantity, ome_book_owner(&engine->pools, order),
        (uint64_t)side | (uint64_t)order->marks << 8, instrument};
    return ome_hash_mix(hash, words);
}

/* Nothing for an order without attributes. */
static uint64_t hash_mix_attributes(uint64_t hash, const ome_special_t *special)
{
    static_assert(OME_ATTRIBUTE_COUNT <= OME_SPECIAL_ATTRIBUTE_ROOM && OME_SPECIAL_ATTRIBUTE_ROOM == 2, "each has its half of a word");
    const uint64_t words[8] = {special->attributes[0] | (uint64_t)special->attributes[1] << 32, 0, 0, 0, 0, 0, 0, 0};
    return ome_special_has_attributes(special) ? ome_hash_mix(hash, words) : hash;
}

static uint64_t hash_mix_queue(uint64_t hash, const ome_engine_t *engine, const ome_level_t *level, uint32_t head)
{
    for (uint32_t slot = head; slot != 0; slot = engine->pools.orders.orders[slot].next)
    {
        const ome_order_t *order = &engine->pools.orders.orders[slot];
        hash = hash_mix_order(hash, engine, slot, level->price, level->side, level->instrument);
        if (ome_order_special(order) != 0)
        {
            const ome_special_t *special = &engine->pools.specials.records[ome_order_special(order)];
            const uint64_t displayed = special->peak != 0 ? (uint64_t)order->leaves_quantity : 0;
            const uint64_t words[8] = {(uint64_t)special->peak, displayed, special->deadline_ns, special->group, 0, 0, 0, 0};
            hash = hash_mix_attributes(ome_hash_mix(hash, words), special);
        }
    }
    return hash;
}

static uint64_t hash_mix_side(uint64_t hash, const ome_engine_t *engine, const ome_book_t *book, uint8_t side)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    for (uint32_t index = ome_book_best(book, side); index != 0; index = ome_ladder_next(ladder, index))
    {
        hash = hash_mix_queue(hash, engine, &ladder->levels[index], ladder->levels[index].head);
        hash = hash_mix_queue(hash, engine, &ladder->levels[index], ladder->levels[index].hidden_head);
    }
    return hash;
}

static uint64_t hash_mix_waiting_order(uint64_t hash, const ome_engine_t *engine, uint32_t slot)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const ome_special_t *special = &engine->pools.specials.records[ome_order_special(order)];
    const uint64_t has_collar = (special->flags & OME_SPECIAL_HAS_COLLAR) != 0;
    const uint64_t has_budget = (special->flags & OME_SPECIAL_HAS_BUDGET) != 0;
    const uint64_t terms[8] = {(uint64_t)special->peak, 0, special->deadline_ns, special->group, (uint64_t)special->stop_price,
        (uint64_t)special->trail_amount, special->trail_basis_points,
        (uint64_t)special->order_type | (uint64_t)special->time_in_force << 8 | has_collar << 16 | has_budget << 17};
    const uint64_t more_terms[8] = {
        (uint64_t)special->minimum_quantity, special->collar_ticks, (uint64_t)special->budget, special->entry, 0, 0, 0, 0};
    hash = hash_mix_order(hash, engine, slot, special->limit, special->side, special->instrument);
    hash = ome_hash_mix(hash, terms);
    return hash_mix_attributes(ome_hash_mix(hash, more_terms), special);
}

static uint64_t hash_mix_waiting(uint64_t hash, const ome_engine_t *engine, const ome_book_t *book, uint8_t side)
{
    ome_waiting_t waiting = ome_waiting_begin(book, &engine->pools, side);
    for (uint32_t slot = ome_waiting_next(&waiting); slot != 0; slot = ome_waiting_next(&waiting))
    {
        hash = hash_mix_waiting_order(hash, engine, slot);
    }
    return hash;
}

static uint64_t hash_mix_pending(uint64_t hash, const ome_pending_t *pending)
{
    const ome_command_t *command = &pending->command;
    const int64_t *values = pending->given.values;
    const uint64_t owner = (uint64_t)command->account | (uint64_t)command->participant << 32 | (uint64_t)command->session << 48;
    /* The last word of a command is what the rules write out: kind, side, type, time in force, flags, instruction and scope, from the
     * lowest byte up. */
    uint64_t form;
    __builtin_memcpy(&form, &command->kind, sizeof(form));
    const uint64_t words[8] = {command->client_order_id, (uint64_t)command->price, (uint64_t)command->quantity, owner, form,
        command->instrument, pending->given.given, command->timestamp_ns};
    uint64_t terms[16] = {0}; /* by number, from 1 */
    static_assert((OME_TERM_COUNT - 1) * sizeof(*values) <= sizeof(terms), "every term is in the hash: with more there is another block");
    __builtin_memcpy(terms, &values[1], (OME_TERM_COUNT - 1) * sizeof(*values));
    hash = ome_hash_mix(hash, words);
    hash = ome_hash_mix(hash, &terms[0]);
    return ome_hash_mix(hash, &terms[8]);
}

static uint64_t hash_mix_instrument(uint64_t hash, const ome_book_t *book)
{
    const ome_instrument_t *instrument = &book->instrument;
    uint64_t name[2];
    hash_name_words(instrument->symbol, name);
    const uint64_t settings = (uint64_t)instrument->price_decimals | (uint64_t)instrument->quantity_decimals << 8 |
                              (uint64_t)instrument->flags << 16 | (uint64_t)instrument->collar_ticks << 32;
    const uint64_t words[8] = {
        book->number, (uint64_t)instrument->tick, settings, name[0], name[1], (uint64_t)book->last_trade_price, 0, 0};
    return ome_hash_mix(hash, words);
}

static uint64_t hash_mix_session(uint64_t hash, const ome_engine_t *engine, uint32_t number)
{
    const ome_session_t *session = &engine->sessions[number];
    uint64_t name[2];
    hash_name_words(session->participant_name, name);
    uint64_t words[8] = {number, ome_session_participant(engine, number), session->session_number, name[0], name[1], 0, 0, 0};
    if (ome_engine_counts_sessions(engine))
    {
        words[5] = session->flags;
        words[6] = engine->progress[number].command_sequence;
        words[7] = engine->progress[number].report_sequence;
    }
    hash = ome_hash_mix(hash, words);
    const uint16_t participant = ome_session_participant(engine, number); /* of a state with a fault, any number */
    const uint64_t past[8] = {participant <= engine->limits.session_count_max ? engine->past_reports[participant] : 0, 0, 0, 0, 0, 0, 0, 0};
    return past[0] != 0 ? ome_hash_mix(hash, past) : hash;
}

static uint64_t hash_mix_account(uint64_t hash, const ome_accounts_t *accounts, uint32_t account)
{
    uint64_t name[2];
    hash_name_words(ome_account_name(accounts, account), name);
    const uint64_t words[8] = {account, name[0], name[1], 0, 0, 0, 0, 0};
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
        hash = hash_mix_instrument(hash, &engine->books[number]);
    }
    for (uint32_t number = 1, seen = 0; seen < engine->session_count; number++)
    {
        if (ome_session_is_defined(engine, number))
        {
            hash = hash_mix_session(hash, engine, number);
            seen++;
        }
    }
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        hash = hash_mix_side(hash, engine, &engine->books[number], OME_SIDE_BUY);
        hash = hash_mix_side(hash, engine, &engine->books[number], OME_SIDE_SELL);
    }
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        hash = hash_mix_waiting(hash, engine, &engine->books[number], OME_SIDE_BUY);
        hash = hash_mix_waiting(hash, engine, &engine->books[number], OME_SIDE_SELL);
    }
    hash = engine->pending.waits ? hash_mix_pending(hash, &engine->pending) : hash;
    for (uint32_t i = 0; i < engine->accounts.count; i++)
    {
        hash = hash_mix_account(hash, &engine->accounts, engine->accounts.numbers[i]);
    }
    return hash;
}
