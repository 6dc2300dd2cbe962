#include "engine/ome_engine.h"

#include "base/ome_assert.h"
#include "engine/ome_checks.h"
#include "engine/ome_define.h"
#include "engine/ome_event.h"
#include "engine/ome_expiry.h"
#include "engine/ome_mass_cancel.h"
#include "engine/ome_match.h"
#include "engine/ome_plain.h"
#include "engine/ome_special_orders.h"
#include "engine/ome_stop.h"
#include "engine/ome_terms.h"

static bool in_limit(uint32_t value, uint32_t max)
{
    return value >= 1 && value <= max;
}

static bool limits_are_valid(const ome_limits_t *limits)
{
    return in_limit(limits->order_count_max, OME_ORDER_COUNT_MAX) && in_limit(limits->level_count_max, OME_LEVEL_COUNT_MAX) &&
           in_limit(limits->instrument_count_max, OME_INSTRUMENT_COUNT_MAX) && in_limit(limits->session_count_max, OME_SESSION_COUNT_MAX) &&
           limits->special_count_max <= OME_ORDER_COUNT_MAX;
}

/* Lays an engine out in an arena; without memory it only measures. */
static void lay_out(ome_engine_t *engine, ome_arena_t *arena, const ome_limits_t *limits)
{
    engine->books = ome_arena_take(arena, ((uint64_t)limits->instrument_count_max + 1) * sizeof(ome_book_t));
    engine->senders = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(uint32_t));
    uint32_t symbols_size = 2;
    while (symbols_size < 2 * limits->instrument_count_max)
    {
        symbols_size *= 2;
    }
    engine->symbols_mask = symbols_size - 1;
    engine->symbols = ome_arena_take(arena, (uint64_t)symbols_size * sizeof(uint32_t));
    engine->sessions = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(ome_session_t));
    engine->participant_sessions = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(uint16_t));
    ome_book_pools_init(
        &engine->pools, arena, limits->order_count_max, limits->level_count_max, limits->special_count_max, limits->instrument_count_max);
}

uint64_t ome_engine_size_bytes(const ome_limits_t *limits)
{
    if (!limits_are_valid(limits))
    {
        return 0;
    }
    ome_engine_t engine;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_engine_t));
    lay_out(&engine, &arena, limits);
    return arena.used_bytes;
}

ome_status_t ome_engine_init(ome_engine_t **engine, void *memory, uint64_t size_bytes, const ome_limits_t *limits)
{
    const uint64_t needed_bytes = ome_engine_size_bytes(limits);
    if (needed_bytes == 0 || (uintptr_t)memory % OME_CACHE_LINE_SIZE != 0)
    {
        return OME_INVALID;
    }
    if (size_bytes < needed_bytes)
    {
        return OME_NO_MEMORY;
    }
    ome_arena_t arena = {.memory = memory};
    ome_engine_t *made = ome_arena_take(&arena, sizeof(ome_engine_t));
    *made = (ome_engine_t){.attention_ns = UINT64_MAX, .limits = *limits};
    lay_out(made, &arena, limits);
    *engine = made;
    return OME_OK;
}

/* An order that is on its way through the book: a new one, or one that an amend took out of its queue. */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    uint64_t owner;
    uint64_t timestamp_ns;
    uint32_t slot;
    uint8_t marks;            /* OME_ORDER_MARK_ */
    bool is_indexed;          /* its client order id is in the index already */
    bool rests;               /* what is left joins the book */
    uint8_t remainder_reason; /* otherwise, why it is cancelled */
} ome_incoming_t;

OME_ALWAYS_INLINE void write_order_event(ome_engine_t *engine, ome_sink_t *sink, const ome_incoming_t *order, const ome_terms_t *terms,
    int64_t quantity, uint8_t kind, uint8_t reason, uint8_t flags)
{
    ome_event_write(engine, sink, order->order_id, order->client_order_id, terms->price, quantity, order->timestamp_ns, order->owner,
        ome_event_last_word(terms->book->number, kind, terms->side, reason, flags));
}

/* The order joins the back of its level. */
OME_ALWAYS_INLINE void rest(
    ome_engine_t *engine, const ome_incoming_t *incoming, const ome_terms_t *terms, int64_t leaves, int64_t cumulative)
{
    ome_order_t *order = &engine->pools.orders.orders[incoming->slot];
    order->leaves_quantity = leaves;
    order->cumulative_quantity = cumulative;
    order->client_order_id = incoming->client_order_id;
    order->owner = incoming->owner;
    ome_order_pool_own(&engine->pools.orders, incoming->slot, ome_owner_participant(incoming->owner));
    order->marks = incoming->marks;
    ome_book_add(terms->book, &engine->pools, incoming->slot, terms->side, terms->price, terms->key);
}

static void release(ome_engine_t *engine, const ome_incoming_t *incoming)
{
    if (incoming->is_indexed)
    {
        ome_book_release(&engine->pools, incoming->slot);
    }
    else
    {
        ome_order_pool_free(&engine->pools.orders, incoming->slot);
    }
}

/* Trades what crosses; what is left rests or is cancelled. Stops are the caller's. */
OME_NEVER_INLINE void trade_and_rest(
    ome_engine_t *engine, const ome_incoming_t *incoming, const ome_terms_t *terms, int64_t cumulative, ome_sink_t *sink)
{
    const ome_aggressor_t aggressor = {.order_id = incoming->order_id,
        .client_order_id = incoming->client_order_id,
        .limit_key = terms->limit_key,
        .timestamp_ns = incoming->timestamp_ns,
        .side = terms->side};
    const int64_t leaves = ome_match(engine, terms->book, &aggressor, terms->leaves, sink);
    if (leaves == 0)
    {
        release(engine, incoming);
        return;
    }
    if (incoming->rests)
    {
        /* A level is free: the one that was emptied last. */
        rest(engine, incoming, terms, leaves, cumulative + terms->leaves - leaves);
        if (!incoming->is_indexed && incoming->client_order_id != 0)
        {
            ome_order_index_insert(&engine->pools.index, ome_owner_participant(incoming->owner), incoming->client_order_id, incoming->slot);
        }
        write_order_event(engine, sink, incoming, terms, leaves, OME_EVENT_KIND_RESTED, OME_REASON_NONE, OME_EVENT_FLAGS_RESTS);
        return;
    }
    release(engine, incoming);
    write_order_event(engine, sink, incoming, terms, leaves, OME_EVENT_KIND_CANCELLED, incoming->remainder_reason, 0);
}

/* The same, and what follows from it where stops wait. */
static void aggress(ome_engine_t *engine, const ome_incoming_t *incoming, const ome_terms_t *terms, int64_t cumulative, ome_sink_t *sink)
{
    ome_book_t *book = terms->book;
    if (OME_LIKELY(book->waiting_count == 0))
    {
        trade_and_rest(engine, incoming, terms, cumulative, sink);
        return;
    }
    ome_stop_watch(engine, book, terms->side, terms->limit_key);
    trade_and_rest(engine, incoming, terms, cumulative, sink);
    ome_stop_look_after(engine, book);
    ome_stop_run(engine, incoming->timestamp_ns, sink);
}

static uint8_t remainder_reason(const ome_command_t *command)
{
    if (command->order_type == OME_ORDER_TYPE_MARKET)
    {
        return OME_REASON_NO_LIQUIDITY;
    }
    return OME_REASON_IMMEDIATE_OR_CANCEL;
}

/* A new order that does not simply join the book. */
OME_NEVER_INLINE void enter_aggressor(
    ome_engine_t *engine, const ome_command_t *command, ome_incoming_t incoming, ome_terms_t terms, ome_sink_t *sink)
{
    write_order_event(engine, sink, &incoming, &terms, terms.leaves, OME_EVENT_KIND_ACCEPTED, OME_REASON_NONE, 0);
    if (command->time_in_force == OME_TIME_IN_FORCE_FOK &&
        !ome_match_can_fill(engine, terms.book, terms.side, terms.limit_key, terms.leaves))
    {
        release(engine, &incoming);
        write_order_event(engine, sink, &incoming, &terms, terms.leaves, OME_EVENT_KIND_CANCELLED, OME_REASON_FILL_OR_KILL, 0);
        return;
    }
    incoming.remainder_reason = remainder_reason(command);
    aggress(engine, &incoming, &terms, 0, sink);
}

/* Whether a new order has nothing that the plain path does not know: no options, no instruction, and for an order without limit an
 * instrument that says nothing of those. */
OME_ALWAYS_INLINE bool is_plain_new(const ome_engine_t *engine, const ome_command_t *command)
{
    const bool is_market = command->order_type == OME_ORDER_TYPE_MARKET;
    if ((command->flags | command->reserved) != 0 || (command->order_type != OME_ORDER_TYPE_LIMIT && !is_market) ||
        command->time_in_force > OME_TIME_IN_FORCE_FOK)
    {
        return false;
    }
    if (!is_market || command->instrument == 0 || command->instrument > engine->instrument_count)
    {
        return true;
    }
    const ome_instrument_t *instrument = &engine->books[command->instrument].instrument;
    return instrument->collar_ticks == 0 && (instrument->flags & OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT) == 0;
}

OME_NEVER_INLINE void apply_special_new(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    if ((command->flags & OME_COMMAND_FLAGS_CONTINUED) != 0)
    {
        ome_terms_hold(engine, command);
        return;
    }
    ome_special_new(engine, command, &OME_GIVEN_NONE, sink);
}

static void apply_new(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    ome_terms_t terms;
    if (OME_UNLIKELY(!is_plain_new(engine, command)))
    {
        apply_special_new(engine, command, sink);
        return;
    }
    const uint8_t reason = ome_check_new(engine, command, &terms);
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    const uint32_t slot = ome_order_pool_take(&engine->pools.orders);
    const ome_incoming_t incoming = {.order_id = ome_order_id(&engine->pools.orders, slot),
        .client_order_id = command->client_order_id,
        .owner = ome_command_owner(command),
        .timestamp_ns = command->timestamp_ns,
        .slot = slot,
        .rests = command->order_type == OME_ORDER_TYPE_LIMIT && command->time_in_force == OME_TIME_IN_FORCE_GTC};
    if (!incoming.rests || terms.crosses)
    {
        enter_aggressor(engine, command, incoming, terms, sink);
        return;
    }
    rest(engine, &incoming, &terms, terms.leaves, 0);
    if (command->client_order_id != 0)
    {
        ome_order_index_insert_at(&engine->pools.index, terms.index_place, slot);
    }
    write_order_event(engine, sink, &incoming, &terms, terms.leaves, OME_EVENT_KIND_ACCEPTED, OME_REASON_NONE, OME_EVENT_FLAGS_RESTS);
}

/* The order at rest that a command means. */
OME_ALWAYS_INLINE ome_incoming_t resting_order(const ome_engine_t *engine, const ome_command_t *command, uint32_t slot)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    return (ome_incoming_t){.order_id = ome_order_id(&engine->pools.orders, slot),
        .client_order_id = order->client_order_id,
        .owner = order->owner,
        .timestamp_ns = command->timestamp_ns,
        .slot = slot,
        .marks = order->marks,
        .is_indexed = true,
        .rests = true,
        .remainder_reason = OME_REASON_NONE};
}

/* Takes an order out of the book for good. `terms` has the price that it rested at. */
OME_ALWAYS_INLINE void cancel_resting(
    ome_engine_t *engine, const ome_incoming_t *order, const ome_terms_t *terms, uint8_t reason, ome_sink_t *sink)
{
    const int64_t leaves = engine->pools.orders.orders[order->slot].leaves_quantity;
    ome_book_unlink(terms->book, &engine->pools, order->slot);
    ome_book_release(&engine->pools, order->slot);
    write_order_event(engine, sink, order, terms, leaves, OME_EVENT_KIND_CANCELLED, reason, OME_EVENT_FLAGS_WAS_RESTING);
}

static void apply_cancel(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    ome_terms_t terms;
    const uint8_t reason = ome_check_cancel(engine, command, &terms);
    if (OME_UNLIKELY(reason == OME_CHECK_SPECIAL))
    {
        ome_special_cancel(engine, command, sink);
        return;
    }
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    const ome_incoming_t order = resting_order(engine, command, terms.slot);
    if ((command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0)
    {
        cancel_resting(engine, &order, &terms, OME_REASON_REQUESTED, sink);
        return;
    }
    /* As cancel_resting, with the index entry at hand. */
    ome_book_unlink(terms.book, &engine->pools, terms.slot);
    ome_order_index_remove_at(&engine->pools.index, terms.index_place.place);
    ome_order_pool_free(&engine->pools.orders, terms.slot);
    write_order_event(
        engine, sink, &order, &terms, terms.leaves, OME_EVENT_KIND_CANCELLED, OME_REASON_REQUESTED, OME_EVENT_FLAGS_WAS_RESTING);
}

static void apply_reduce(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    ome_terms_t terms;
    const uint8_t reason = ome_check_reduce(engine, command, &terms);
    if (OME_UNLIKELY(reason == OME_CHECK_SPECIAL))
    {
        ome_special_reduce(engine, command, sink);
        return;
    }
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    const ome_incoming_t order = resting_order(engine, command, terms.slot);
    if (command->quantity >= terms.leaves)
    {
        cancel_resting(engine, &order, &terms, OME_REASON_REDUCED_AWAY, sink);
        return;
    }
    ome_book_reduce(terms.book, &engine->pools, terms.slot, command->quantity);
    write_order_event(engine, sink, &order, &terms, command->quantity, OME_EVENT_KIND_REDUCED, OME_REASON_NONE,
        OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_KEPT_PRIORITY);
}

/* The amended order leaves its queue: it joins the back of a level, or trades first. */
OME_NEVER_INLINE void amend_moving(ome_engine_t *engine, const ome_incoming_t *order, const ome_terms_t *terms, ome_sink_t *sink)
{
    const int64_t cumulative = engine->pools.orders.orders[order->slot].cumulative_quantity;
    ome_book_unlink(terms->book, &engine->pools, order->slot);
    if (terms->crosses)
    {
        write_order_event(engine, sink, order, terms, terms->leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE, OME_EVENT_FLAGS_WAS_RESTING);
        aggress(engine, order, terms, cumulative, sink);
        return;
    }
    rest(engine, order, terms, terms->leaves, cumulative);
    write_order_event(engine, sink, order, terms, terms->leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE,
        OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS);
}

static void apply_amend(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    if (OME_UNLIKELY((command->flags & OME_COMMAND_FLAGS_CONTINUED) != 0))
    {
        ome_terms_hold(engine, command);
        return;
    }
    ome_terms_t terms;
    const uint8_t reason = ome_check_amend(engine, command, &terms);
    if (OME_UNLIKELY(reason == OME_CHECK_SPECIAL))
    {
        ome_special_amend(engine, command, &OME_GIVEN_NONE, sink);
        return;
    }
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    const ome_incoming_t order = resting_order(engine, command, terms.slot);
    const ome_order_t *resting = &engine->pools.orders.orders[terms.slot];
    const int64_t old_price = engine->pools.ladder.levels[resting->level].price;
    if (terms.leaves <= 0)
    {
        terms.price = old_price;
        cancel_resting(engine, &order, &terms, OME_REASON_AMENDED_AWAY, sink);
        return;
    }
    if (terms.price != old_price || terms.leaves > resting->leaves_quantity)
    {
        const ome_incoming_t moving = order;
        const ome_terms_t moving_terms = terms;
        amend_moving(engine, &moving, &moving_terms, sink);
        return;
    }
    if (terms.leaves < resting->leaves_quantity)
    {
        ome_book_reduce(terms.book, &engine->pools, terms.slot, resting->leaves_quantity - terms.leaves);
    }
    write_order_event(engine, sink, &order, &terms, terms.leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE,
        OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY);
}

static void apply_definition(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    const uint8_t reason = command->reserved != 0 ? OME_REASON_RESERVED_NOT_ZERO : ome_define(engine, command);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    ome_event_write(engine, sink, 0, 0, 0, 0, command->timestamp_ns, ome_command_owner(command) & ~(uint64_t)UINT32_MAX,
        ome_event_last_word(command->instrument, OME_EVENT_KIND_DEFINED, 0, OME_REASON_NONE, command->kind));
}

/* What is not a command about one order, or not known. */
OME_NEVER_INLINE void apply_other(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    switch (command->kind)
    {
    case OME_COMMAND_KIND_ORDER_TERMS:
        ome_terms_apply(engine, command, sink);
        break;
    case OME_COMMAND_KIND_MASS_CANCEL:
        ome_mass_cancel(engine, command, sink);
        break;
    case OME_COMMAND_KIND_DEFINE_LIMITS:
    case OME_COMMAND_KIND_DEFINE_INSTRUMENT:
    case OME_COMMAND_KIND_DEFINE_SESSION:
        apply_definition(engine, command, sink);
        break;
    case OME_COMMAND_KIND_EXPIRE_ORDERS:
        ome_expire_orders(engine, command, sink);
        break;
    case OME_COMMAND_KIND_SET_LAST_PRICE:
        ome_set_last_price(engine, command, sink);
        break;
    default:
        ome_reject(engine, command, OME_REASON_UNKNOWN_COMMAND, sink);
        break;
    }
}

/* The commonest trade: the first order of the best level fills the whole aggressor, and has nothing that goes with it but its slot. Does
 * it all, or returns false with nothing changed. */
OME_ALWAYS_INLINE bool take_one(ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    ome_order_t *const orders = pools->orders.orders;
    const uint8_t side = command->side;
    const uint32_t other = ome_side_index(ome_side_opposite(side));
    ome_ladder_t *const ladder = &book->ladders[other];
    ome_level_t *const level = &pools->ladder.levels[ladder->best];
    const uint32_t slot = level->head; /* 0, and so special, where no order is displayed */
    const int64_t quantity = command->quantity;
    ome_order_t *const order = &orders[slot];
    const int64_t leaves = order->leaves_quantity;
    if (ladder->reach < key || leaves < quantity || (order->marks & OME_ORDER_MARK_SPECIAL) != 0)
    {
        return false;
    }
    const uint32_t aggressor_slot = ome_order_pool_take(&pools->orders);
    const uint64_t aggressor_id = ome_order_id(&pools->orders, aggressor_slot);
    const uint64_t order_id = (uint64_t)order->generation << 32 | slot;
    const uint64_t client_order_id = order->client_order_id;
    const int64_t price = level->price;
    const uint64_t flags = OME_EVENT_FLAGS_AGGRESSOR_FILLED | (leaves == quantity ? OME_EVENT_FLAGS_RESTING_FILLED : 0u);
    ome_event_write(engine, sink, aggressor_id, command->client_order_id, command->price, quantity, command->timestamp_ns,
        ome_command_owner(command), ome_event_last_word(book->number, OME_EVENT_KIND_ACCEPTED, side, OME_REASON_NONE, 0));
    ome_event_write(engine, sink, aggressor_id, command->client_order_id, price, quantity, order_id, client_order_id,
        ome_event_last_word(book->number, OME_EVENT_KIND_TRADE, side, OME_REASON_NONE, 0) | flags << 56);
    engine->trade_count++;
    book->last_trade_price = price;
    book->open_quantity[other] -= quantity;
    level->quantity -= quantity;
    if (leaves != quantity)
    {
        order->leaves_quantity = leaves - quantity;
        order->cumulative_quantity += quantity;
        ome_order_pool_free(&pools->orders, aggressor_slot);
        return true;
    }
    level->head = order->next;
    orders[order->next].previous = 0;
    ome_book_release(pools, slot);
    ome_order_pool_free(&pools->orders, aggressor_slot);
    if (--level->order_count == 0)
    {
        level->tail = 0;
        if (level->hidden_head == 0)
        {
            ome_ladder_remove(ladder, &pools->ladder, ladder->best);
        }
    }
    return true;
}

/* As ome_plain_take, but for the stops. */
OME_ALWAYS_INLINE void take(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, uint32_t hash, ome_sink_t *sink)
{
    const uint32_t slot = ome_order_pool_take(&engine->pools.orders);
    const uint64_t order_id = ome_order_id(&engine->pools.orders, slot);
    const uint64_t client_order_id = command->client_order_id;
    const uint8_t side = command->side;
    const int64_t quantity = command->quantity;
    const uint64_t owner = ome_command_owner(command);
    ome_event_write(engine, sink, order_id, client_order_id, command->price, quantity, command->timestamp_ns, owner,
        ome_event_last_word(book->number, OME_EVENT_KIND_ACCEPTED, side, OME_REASON_NONE, 0));
    const ome_aggressor_t aggressor = {.order_id = order_id,
        .client_order_id = client_order_id,
        .limit_key = ome_book_limit_key(key),
        .timestamp_ns = command->timestamp_ns,
        .side = side};
    const int64_t leaves = ome_match(engine, book, &aggressor, quantity, sink);
    if (leaves != 0 && command->time_in_force == OME_TIME_IN_FORCE_GTC)
    {
        ome_order_t *order = &engine->pools.orders.orders[slot];
        order->leaves_quantity = leaves;
        order->cumulative_quantity = quantity - leaves;
        order->client_order_id = client_order_id;
        order->owner = owner;
        ome_order_pool_own(&engine->pools.orders, slot, command->participant);
        order->marks = 0;
        ome_book_add(book, &engine->pools, slot, side, command->price, key);
        /* From its home: matching has taken entries out. */
        const ome_index_place_t home = {.hash = hash, .place = ome_order_index_home(&engine->pools.index, hash)};
        ome_order_index_insert_at(&engine->pools.index, home, slot);
        ome_event_write(engine, sink, order_id, client_order_id, command->price, leaves, command->timestamp_ns, owner,
            ome_event_last_word(book->number, OME_EVENT_KIND_RESTED, side, OME_REASON_NONE, OME_EVENT_FLAGS_RESTS));
        return;
    }
    ome_order_pool_free(&engine->pools.orders, slot);
    if (leaves != 0)
    {
        ome_event_write(engine, sink, order_id, client_order_id, command->price, leaves, command->timestamp_ns, owner,
            ome_event_last_word(book->number, OME_EVENT_KIND_CANCELLED, side, OME_REASON_IMMEDIATE_OR_CANCEL, 0));
    }
}

/* ome_plain_take where stops wait. */
OME_NEVER_INLINE void take_and_trigger(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, uint32_t hash, ome_sink_t *sink)
{
    ome_stop_watch(engine, book, command->side, ome_book_limit_key(key));
    take(engine, command, book, key, hash, sink);
    ome_stop_look_after(engine, book);
    ome_stop_run(engine, command->timestamp_ns, sink);
}

void ome_plain_take(ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, uint32_t hash, ome_sink_t *sink)
{
    if (OME_UNLIKELY(book->waiting_count != 0))
    {
        take_and_trigger(engine, command, book, key, hash, sink);
        return;
    }
    if (!take_one(engine, command, book, key, sink))
    {
        take(engine, command, book, key, hash, sink);
    }
}

/* The full path: every command, every check, every reason. */
OME_NEVER_INLINE void apply_any(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    switch (command->kind)
    {
    case OME_COMMAND_KIND_NEW_ORDER:
        apply_new(engine, command, sink);
        break;
    case OME_COMMAND_KIND_CANCEL_ORDER:
        apply_cancel(engine, command, sink);
        break;
    case OME_COMMAND_KIND_REDUCE_ORDER:
        apply_reduce(engine, command, sink);
        break;
    case OME_COMMAND_KIND_AMEND_ORDER:
        apply_amend(engine, command, sink);
        break;
    default:
        apply_other(engine, command, sink);
        break;
    }
}

OME_ALWAYS_INLINE void apply(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    engine->sequence++;
    engine->time_ns = command->timestamp_ns > engine->time_ns ? command->timestamp_ns : engine->time_ns;
    if (OME_UNLIKELY(engine->time_ns >= engine->attention_ns))
    {
        ome_attend(engine, command, sink);
    }
    const uint64_t form = ome_plain_form(command);
    if (ome_plain_is_new(form))
    {
        if (OME_LIKELY(ome_plain_new(engine, command, hash, sink)))
        {
            return;
        }
    }
    else if (ome_plain_is_cancel(form))
    {
        if (OME_LIKELY(ome_plain_cancel(engine, command, hash, sink)))
        {
            return;
        }
    }
    else if (ome_plain_is_amend(form))
    {
        if (OME_LIKELY(ome_plain_amend(engine, command, hash, sink)))
        {
            return;
        }
    }
    apply_any(engine, command, sink);
}

void ome_engine_apply(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    apply(engine, command, ome_order_index_hash(command->participant, command->client_order_id), sink);
}

/* How far ahead of a command its memory is asked for: the command itself, then the index entry of its client order id, then the order that is there.
 * The hash of an id is worked out once, when its entry is asked for. */
#define AHEAD_COMMAND 12u
#define AHEAD_ENTRY 8u
#define AHEAD_ORDER 4u

void ome_engine_apply_many(ome_engine_t *engine, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    const uint64_t *const entries = engine->pools.index.entries;
    const ome_order_t *const orders = engine->pools.orders.orders;
    const uint32_t home_shift = engine->pools.index.home_shift;
    uint32_t hashes[AHEAD_ENTRY]; /* of the commands from i on, each at its number modulo AHEAD_ENTRY */
    uint64_t i = 0;
    for (; i < AHEAD_ENTRY && count > AHEAD_COMMAND; i++)
    {
        hashes[i] = ome_order_index_hash(commands[i].participant, commands[i].client_order_id);
    }
    for (i = 0; i + AHEAD_COMMAND < count; i++)
    {
        const ome_command_t *const ahead = &commands[i + AHEAD_ENTRY];
        const uint32_t hash = hashes[i % AHEAD_ENTRY];
        const uint32_t hash_ahead = ome_order_index_hash(ahead->participant, ahead->client_order_id);
        hashes[i % AHEAD_ENTRY] = hash_ahead;
        __builtin_prefetch(&commands[i + AHEAD_COMMAND]);
        __builtin_prefetch(&entries[hash_ahead >> home_shift]);
        __builtin_prefetch(&orders[(uint32_t)entries[hashes[(i + AHEAD_ORDER) % AHEAD_ENTRY] >> home_shift]]);
        apply(engine, &commands[i], hash, sink);
    }
    for (; i < count; i++)
    {
        ome_engine_apply(engine, &commands[i], sink);
    }
}
