#include "engine/ome_special_checks.h"

#include "book/ome_trailing.h"
#include "engine/ome_match.h"
#include "engine/ome_stop.h"

/* Whether a term is given, and a bit for it. */
#define TERM(term) (UINT32_C(1) << (term))

#define TRAIL_TERMS (TERM(OME_TERM_TRAIL_AMOUNT) | TERM(OME_TERM_TRAIL_BASIS_POINTS))
#define BASIS_POINTS_MAX 10000

static bool is_given(const ome_given_t *given, uint32_t term)
{
    return (given->given & TERM(term)) != 0;
}

/* Whether a term is not given, or its value is in range. */
static bool is_within(const ome_given_t *given, uint32_t term, int64_t min, int64_t max)
{
    return !is_given(given, term) || (given->values[term] >= min && given->values[term] <= max);
}

uint8_t ome_check_price(const ome_book_t *book, int64_t price)
{
    uint64_t tick_index;
    if (!ome_instrument_price_in_range(&book->instrument, price))
    {
        return OME_REASON_PRICE_OUT_OF_RANGE;
    }
    return ome_instrument_tick_index(&book->instrument, price, &tick_index) ? OME_REASON_NONE : OME_REASON_PRICE_OFF_TICK;
}

/* The limit of a trailing stop limit is a distance, of either sign. */
static uint8_t check_distance(const ome_book_t *book, int64_t distance)
{
    if (distance < -OME_PRICE_MAX || distance > OME_PRICE_MAX)
    {
        return OME_REASON_PRICE_OUT_OF_RANGE;
    }
    return distance % book->instrument.tick == 0 ? OME_REASON_NONE : OME_REASON_PRICE_OFF_TICK;
}

static uint8_t check_limit(const ome_book_t *book, uint8_t order_type, int64_t price)
{
    if (!ome_order_type_has_limit(order_type))
    {
        return OME_REASON_NONE;
    }
    return order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT ? check_distance(book, price) : ome_check_price(book, price);
}

/* ---- a new order ---- */

static bool flags_are_good(const ome_command_t *command)
{
    const uint32_t known = OME_COMMAND_FLAGS_CONTINUED | OME_COMMAND_FLAGS_POST_ONLY | OME_COMMAND_FLAGS_HIDDEN;
    const uint32_t with_limit = OME_COMMAND_FLAGS_POST_ONLY | OME_COMMAND_FLAGS_HIDDEN;
    if ((command->flags & ~known) != 0)
    {
        return false;
    }
    if ((command->flags & with_limit) != 0 && !ome_order_type_has_limit(command->order_type))
    {
        return false;
    }
    return (command->flags & OME_COMMAND_FLAGS_POST_ONLY) == 0 || ome_would_rest(command->time_in_force);
}

static bool self_trade_is_good(const ome_command_t *command)
{
    if (command->self_trade_prevention > OME_SELF_TRADE_PREVENTION_DECREMENT || command->self_trade_scope > OME_SELF_TRADE_SCOPE_GROUP)
    {
        return false;
    }
    return command->self_trade_prevention != OME_SELF_TRADE_PREVENTION_NONE || command->self_trade_scope == OME_SELF_TRADE_SCOPE_ACCOUNT;
}

/* Terms that an order of this form may have. */
static uint32_t terms_allowed(const ome_command_t *command)
{
    uint32_t allowed = 0;
    allowed |= ome_order_type_waits(command->order_type) ? TERM(OME_TERM_STOP_PRICE) : 0;
    allowed |= ome_order_type_trails(command->order_type) ? TRAIL_TERMS : 0;
    allowed |= (command->flags & OME_COMMAND_FLAGS_HIDDEN) == 0 ? TERM(OME_TERM_DISPLAY_QUANTITY) : 0;
    allowed |= (command->flags & OME_COMMAND_FLAGS_POST_ONLY) == 0 ? TERM(OME_TERM_MINIMUM_QUANTITY) : 0;
    allowed |= command->time_in_force == OME_TIME_IN_FORCE_GTD ? TERM(OME_TERM_EXPIRE_TIME) : 0;
    allowed |= command->time_in_force == OME_TIME_IN_FORCE_FOK ? TERM(OME_TERM_BUDGET) : 0;
    allowed |= !ome_order_type_has_limit(command->order_type) ? TERM(OME_TERM_COLLAR_TICKS) : 0;
    allowed |= command->self_trade_scope == OME_SELF_TRADE_SCOPE_GROUP ? TERM(OME_TERM_SELF_TRADE_GROUP) : 0;
    return allowed;
}

/* Terms that it must have; of the two distances of a trailing stop it must have one. */
static bool has_terms_needed(const ome_command_t *command, const ome_given_t *given)
{
    const bool is_plain_stop = ome_order_type_waits(command->order_type) && !ome_order_type_trails(command->order_type);
    uint32_t needed = 0;
    needed |= is_plain_stop ? TERM(OME_TERM_STOP_PRICE) : 0;
    needed |= command->time_in_force == OME_TIME_IN_FORCE_GTD ? TERM(OME_TERM_EXPIRE_TIME) : 0;
    needed |= command->self_trade_scope == OME_SELF_TRADE_SCOPE_GROUP ? TERM(OME_TERM_SELF_TRADE_GROUP) : 0;
    if ((given->given & needed) != needed)
    {
        return false;
    }
    return !ome_order_type_trails(command->order_type) ||
           is_given(given, OME_TERM_TRAIL_AMOUNT) != is_given(given, OME_TERM_TRAIL_BASIS_POINTS);
}

static bool terms_are_good(const ome_book_t *book, const ome_command_t *command, const ome_given_t *given)
{
    const int64_t tick = book->instrument.tick;
    return (given->given & ~terms_allowed(command)) == 0 && has_terms_needed(command, given) &&
           is_within(given, OME_TERM_TRAIL_AMOUNT, tick, OME_PRICE_MAX) && given->values[OME_TERM_TRAIL_AMOUNT] % tick == 0 &&
           is_within(given, OME_TERM_TRAIL_BASIS_POINTS, 1, BASIS_POINTS_MAX) &&
           is_within(given, OME_TERM_DISPLAY_QUANTITY, 1, OME_QUANTITY_MAX) &&
           !(is_given(given, OME_TERM_DISPLAY_QUANTITY) &&
               ome_special_has_too_many_peaks(command->quantity, given->values[OME_TERM_DISPLAY_QUANTITY])) &&
           is_within(given, OME_TERM_MINIMUM_QUANTITY, 1, command->quantity) && is_within(given, OME_TERM_EXPIRE_TIME, 1, INT64_MAX) &&
           is_within(given, OME_TERM_BUDGET, OME_NULL_VALUE + 1, INT64_MAX) && is_within(given, OME_TERM_COLLAR_TICKS, 0, UINT32_MAX) &&
           is_within(given, OME_TERM_SELF_TRADE_GROUP, 1, UINT32_MAX);
}

/* Checks 3 to 10. */
static uint8_t check_form(const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given)
{
    if (!ome_engine_knows_sender(engine, ome_command_sender(command)))
    {
        return OME_REASON_UNKNOWN_SESSION;
    }
    if (command->instrument == 0 || command->instrument > engine->instrument_count)
    {
        return OME_REASON_UNKNOWN_INSTRUMENT;
    }
    if (command->side != OME_SIDE_BUY && command->side != OME_SIDE_SELL)
    {
        return OME_REASON_BAD_SIDE;
    }
    if (command->order_type < OME_ORDER_TYPE_LIMIT || command->order_type > OME_ORDER_TYPE_TRAILING_STOP_LIMIT)
    {
        return OME_REASON_BAD_ORDER_TYPE;
    }
    if (command->time_in_force < OME_TIME_IN_FORCE_GTC || command->time_in_force > OME_TIME_IN_FORCE_GTD)
    {
        return OME_REASON_BAD_TIME_IN_FORCE;
    }
    if (!flags_are_good(command))
    {
        return OME_REASON_BAD_FLAGS;
    }
    if (!self_trade_is_good(command))
    {
        return OME_REASON_BAD_SELF_TRADE_PREVENTION;
    }
    return terms_are_good(&engine->books[command->instrument], command, given) ? OME_REASON_NONE : OME_REASON_BAD_TERM;
}

/* Checks 11 to 15. */
static uint8_t check_values(const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given)
{
    const ome_book_t *book = &engine->books[command->instrument];
    if (command->quantity <= 0)
    {
        return command->quantity == 0 ? OME_REASON_ZERO_QUANTITY : OME_REASON_NEGATIVE_QUANTITY;
    }
    if (command->quantity > OME_QUANTITY_MAX ||
        book->open_quantity[ome_side_index(command->side)] + command->quantity > OME_OPEN_QUANTITY_MAX)
    {
        return OME_REASON_QUANTITY_TOO_LARGE;
    }
    uint8_t reason = check_limit(book, command->order_type, command->price);
    if (reason == OME_REASON_NONE && is_given(given, OME_TERM_STOP_PRICE))
    {
        reason = ome_check_price(book, given->values[OME_TERM_STOP_PRICE]);
    }
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    if (is_given(given, OME_TERM_EXPIRE_TIME) && (uint64_t)given->values[OME_TERM_EXPIRE_TIME] <= engine->time_ns)
    {
        return OME_REASON_ALREADY_EXPIRED;
    }
    const bool needs_last_price = ome_order_type_trails(command->order_type) && !is_given(given, OME_TERM_STOP_PRICE);
    return needs_last_price && book->last_trade_price == OME_NULL_VALUE ? OME_REASON_NO_LAST_PRICE : OME_REASON_NONE;
}

/* Checks 16 to 18. */
static uint8_t check_room(const ome_engine_t *engine, const ome_command_t *command, bool is_special)
{
    const ome_book_pools_t *pools = &engine->pools;
    if (command->client_order_id != 0 &&
        ome_order_index_find(&pools->index, &pools->orders, command->participant, command->client_order_id) != 0)
    {
        return OME_REASON_DUPLICATE_CLIENT_ORDER_ID;
    }
    if (ome_order_pool_is_full(&pools->orders))
    {
        return OME_REASON_ORDER_LIMIT_REACHED;
    }
    return is_special && ome_special_pool_is_full(&pools->specials) ? OME_REASON_SPECIAL_LIMIT_REACHED : OME_REASON_NONE;
}

static uint8_t marks_of(const ome_command_t *command)
{
    uint32_t marks = (uint32_t)command->self_trade_prevention << OME_ORDER_SELF_TRADE_SHIFT;
    marks |= (command->flags & OME_COMMAND_FLAGS_POST_ONLY) != 0 ? OME_ORDER_MARK_POST_ONLY : 0;
    marks |= (command->flags & OME_COMMAND_FLAGS_HIDDEN) != 0 ? OME_ORDER_MARK_HIDDEN : 0;
    marks |= command->time_in_force == OME_TIME_IN_FORCE_DAY ? OME_ORDER_MARK_DAY : 0;
    marks |= command->self_trade_scope == OME_SELF_TRADE_SCOPE_PARTICIPANT ? OME_ORDER_MARK_SCOPE_PARTICIPANT : 0;
    return (uint8_t)marks;
}

static void make_entrant(const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_entrant_t *entrant)
{
    const bool has_limit = ome_order_type_has_limit(command->order_type);
    *entrant = (ome_entrant_t){.book = &engine->books[command->instrument],
        .client_order_id = command->client_order_id,
        .owner = ome_command_owner(command),
        .timestamp_ns = command->timestamp_ns,
        .price = has_limit ? command->price : 0,
        .leaves = command->quantity,
        .minimum_quantity = given->values[OME_TERM_MINIMUM_QUANTITY],
        .budget = given->values[OME_TERM_BUDGET],
        .group = (uint32_t)given->values[OME_TERM_SELF_TRADE_GROUP],
        .collar_ticks = (uint32_t)given->values[OME_TERM_COLLAR_TICKS],
        .side = command->side,
        .marks = marks_of(command),
        .time_in_force = command->time_in_force,
        .has_limit = has_limit,
        .has_collar = is_given(given, OME_TERM_COLLAR_TICKS),
        .has_budget = is_given(given, OME_TERM_BUDGET)};
}

static void make_special(const ome_command_t *command, const ome_given_t *given, const ome_entrant_t *entrant, ome_special_t *special)
{
    *special = (ome_special_t){.deadline_ns = (uint64_t)given->values[OME_TERM_EXPIRE_TIME],
        .peak = given->values[OME_TERM_DISPLAY_QUANTITY],
        .stop_price = given->values[OME_TERM_STOP_PRICE],
        .limit = ome_order_type_waits(command->order_type) ? entrant->price : 0,
        .trail_amount = given->values[OME_TERM_TRAIL_AMOUNT],
        .minimum_quantity = entrant->minimum_quantity,
        .budget = entrant->budget,
        .group = entrant->group,
        .collar_ticks = entrant->collar_ticks,
        .instrument = command->instrument,
        .trail_basis_points = (uint16_t)given->values[OME_TERM_TRAIL_BASIS_POINTS],
        .side = command->side,
        .order_type = command->order_type,
        .time_in_force = command->time_in_force,
        .flags = (uint8_t)((entrant->has_collar ? OME_SPECIAL_HAS_COLLAR : 0) | (entrant->has_budget ? OME_SPECIAL_HAS_BUDGET : 0))};
    if (ome_order_type_trails(command->order_type))
    {
        special->stop_price = is_given(given, OME_TERM_STOP_PRICE)
                                  ? ome_stop_moved_price(entrant->book, special)
                                  : ome_trailing_price(entrant->book, special, entrant->book->last_trade_price);
    }
}

/* Checks 19 and 20, of a limit order. */
static uint8_t check_entry(const ome_engine_t *engine, ome_new_order_t *made)
{
    ome_entrant_t *entrant = &made->entrant;
    entrant->key = ome_book_price_key(entrant->book, entrant->side, entrant->price);
    made->crosses = ome_match_crosses(entrant->book, entrant->side, ome_book_limit_key(entrant->key));
    if (made->crosses && (entrant->marks & OME_ORDER_MARK_POST_ONLY) != 0)
    {
        if (!ome_entry_slide(engine, entrant->book, entrant->side, &entrant->price, &entrant->key))
        {
            return OME_REASON_POST_ONLY_WOULD_TAKE;
        }
        made->crosses = false;
    }
    const ome_ladder_t *ladder = &entrant->book->ladders[ome_side_index(entrant->side)];
    const bool needs_level = ome_entrant_would_rest(entrant) && !made->crosses && ome_ladder_pool_is_full(&engine->pools.ladder) &&
                             ome_ladder_find(ladder, &engine->pools.ladder, entrant->key) == 0;
    return needs_level ? OME_REASON_LEVEL_LIMIT_REACHED : OME_REASON_NONE;
}

uint8_t ome_check_new_order(const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_new_order_t *made)
{
    uint8_t reason = check_form(engine, command, given);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    reason = check_values(engine, command, given);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    made->waits = ome_order_type_waits(command->order_type);
    made->is_special = made->waits || command->time_in_force == OME_TIME_IN_FORCE_GTD || is_given(given, OME_TERM_DISPLAY_QUANTITY) ||
                       is_given(given, OME_TERM_SELF_TRADE_GROUP);
    reason = check_room(engine, command, made->is_special);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    make_entrant(engine, command, given, &made->entrant);
    make_special(command, given, &made->entrant, &made->special);
    made->is_past = made->waits && ome_stop_is_past(made->entrant.book, command->side, made->special.stop_price);
    made->crosses = false;
    return command->order_type == OME_ORDER_TYPE_LIMIT ? check_entry(engine, made) : OME_REASON_NONE;
}

/* ---- commands on an order ---- */

static const ome_special_t *special_of(const ome_engine_t *engine, uint32_t slot)
{
    return &engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])];
}

static uint32_t instrument_of(const ome_engine_t *engine, uint32_t slot)
{
    const ome_special_t *special = special_of(engine, slot);
    return ome_special_waits(special) ? special->instrument
                                      : engine->pools.ladder.levels[engine->pools.orders.orders[slot].level].instrument;
}

/* Finds the order that a command means. */
static uint8_t find_order(const ome_engine_t *engine, const ome_command_t *command, uint32_t *slot)
{
    const ome_order_pool_t *orders = &engine->pools.orders;
    if ((command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0)
    {
        const ome_order_state_t state = ome_order_pool_state(orders, command->client_order_id);
        *slot = (uint32_t)command->client_order_id;
        return state == OME_ORDER_LIVE ? OME_REASON_NONE : state == OME_ORDER_CLOSED ? OME_REASON_ORDER_CLOSED : OME_REASON_UNKNOWN_ORDER;
    }
    *slot = command->client_order_id == 0
                ? 0
                : ome_order_index_find(&engine->pools.index, orders, command->participant, command->client_order_id);
    return *slot == 0 ? OME_REASON_UNKNOWN_ORDER : OME_REASON_NONE;
}

/* Checks 2 to 7. */
static uint8_t check_reference(const ome_engine_t *engine, const ome_command_t *command, uint32_t flags_known, uint32_t *slot)
{
    if (command->reserved != 0)
    {
        return OME_REASON_RESERVED_NOT_ZERO;
    }
    if (!ome_engine_knows_sender(engine, ome_command_sender(command)))
    {
        return OME_REASON_UNKNOWN_SESSION;
    }
    if ((command->flags & ~flags_known) != 0)
    {
        return OME_REASON_BAD_FLAGS;
    }
    const uint8_t reason = find_order(engine, command, slot);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    if (ome_owner_participant(engine->pools.orders.orders[*slot].owner) != command->participant)
    {
        return OME_REASON_NOT_OWNER;
    }
    const bool is_other = command->instrument != 0 && command->instrument != instrument_of(engine, *slot);
    return is_other ? OME_REASON_WRONG_INSTRUMENT : OME_REASON_NONE;
}

uint8_t ome_check_cancel_order(const ome_engine_t *engine, const ome_command_t *command, uint32_t *slot)
{
    return check_reference(engine, command, OME_COMMAND_FLAGS_BY_ORDER_ID, slot);
}

uint8_t ome_check_reduce_order(const ome_engine_t *engine, const ome_command_t *command, uint32_t *slot)
{
    const uint8_t reason = check_reference(engine, command, OME_COMMAND_FLAGS_BY_ORDER_ID, slot);
    if (reason != OME_REASON_NONE || command->quantity > 0)
    {
        return reason;
    }
    return command->quantity == 0 ? OME_REASON_ZERO_QUANTITY : OME_REASON_NEGATIVE_QUANTITY;
}

/* Check 8: a new stop price is for a stop that waits and does not trail, a new client order id for any order. */
static bool amend_terms_are_good(const ome_special_t *special, const ome_given_t *given)
{
    uint32_t allowed = TERM(OME_TERM_NEW_CLIENT_ORDER_ID);
    allowed |= ome_special_waits(special) && !ome_order_type_trails(special->order_type) ? TERM(OME_TERM_STOP_PRICE) : 0;
    return (given->given & ~allowed) == 0 && is_within(given, OME_TERM_NEW_CLIENT_ORDER_ID, 1, INT64_MAX);
}

/* Checks 9 and 10. */
static uint8_t check_amend_quantity(const ome_engine_t *engine, const ome_command_t *command, const ome_book_t *book, ome_change_t *change)
{
    const ome_order_t *order = &engine->pools.orders.orders[change->slot];
    const ome_special_t *special = special_of(engine, change->slot);
    change->old_leaves = ome_book_leaves(&engine->pools, order);
    change->leaves = change->old_leaves;
    if (command->quantity != OME_NULL_VALUE)
    {
        if (command->quantity < 0)
        {
            return OME_REASON_NEGATIVE_QUANTITY;
        }
        const bool is_open = (command->flags & OME_COMMAND_FLAGS_OPEN_QUANTITY) != 0;
        change->leaves = is_open ? command->quantity : command->quantity - order->cumulative_quantity;
    }
    const uint8_t side = change->waits ? special->side : engine->pools.ladder.levels[order->level].side;
    const int64_t open_quantity = book->open_quantity[ome_side_index(side)] - change->old_leaves;
    const bool is_too_large = change->leaves > OME_QUANTITY_MAX ||
                              (!change->waits && open_quantity + change->leaves > OME_OPEN_QUANTITY_MAX) ||
                              order->cumulative_quantity + change->leaves > OME_OPEN_QUANTITY_MAX ||
                              (special->peak != 0 && ome_special_has_too_many_peaks(change->leaves, special->peak));
    return is_too_large ? OME_REASON_QUANTITY_TOO_LARGE : OME_REASON_NONE;
}

/* Check 11; sets price and stop price. */
static uint8_t check_amend_prices(
    const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, const ome_book_t *book, ome_change_t *change)
{
    const ome_special_t *special = special_of(engine, change->slot);
    const uint8_t order_type = change->waits ? special->order_type : OME_ORDER_TYPE_LIMIT;
    const int64_t old_price =
        change->waits ? special->limit : engine->pools.ladder.levels[engine->pools.orders.orders[change->slot].level].price;
    const bool has_new = command->price != OME_NULL_VALUE && ome_order_type_has_limit(order_type);
    change->price = has_new ? command->price : old_price;
    change->stop_price = is_given(given, OME_TERM_STOP_PRICE) ? given->values[OME_TERM_STOP_PRICE] : special->stop_price;
    uint8_t reason = has_new ? check_limit(book, order_type, command->price) : OME_REASON_NONE;
    if (reason == OME_REASON_NONE && is_given(given, OME_TERM_STOP_PRICE))
    {
        reason = ome_check_price(book, change->stop_price);
    }
    return reason;
}

/* Check 12; sets the client order id. */
static uint8_t check_new_client_order_id(
    const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_change_t *change)
{
    change->client_order_id = engine->pools.orders.orders[change->slot].client_order_id;
    if (!is_given(given, OME_TERM_NEW_CLIENT_ORDER_ID))
    {
        return OME_REASON_NONE;
    }
    const uint64_t client_order_id = (uint64_t)given->values[OME_TERM_NEW_CLIENT_ORDER_ID];
    if (client_order_id != change->client_order_id &&
        ome_order_index_find(&engine->pools.index, &engine->pools.orders, command->participant, client_order_id) != 0)
    {
        return OME_REASON_DUPLICATE_CLIENT_ORDER_ID;
    }
    change->client_order_id = client_order_id;
    return OME_REASON_NONE;
}

/* Checks 13 and 14, of an order at rest. */
static uint8_t check_amend_entry(const ome_engine_t *engine, const ome_book_t *book, ome_change_t *change)
{
    const ome_order_t *order = &engine->pools.orders.orders[change->slot];
    const ome_level_t *level = &engine->pools.ladder.levels[order->level];
    change->key = ome_book_price_key(book, level->side, change->price);
    change->crosses = ome_match_crosses(book, level->side, ome_book_limit_key(change->key));
    if (change->leaves <= 0)
    {
        return OME_REASON_NONE;
    }
    if (change->crosses && (order->marks & OME_ORDER_MARK_POST_ONLY) != 0)
    {
        if (!ome_entry_slide(engine, book, level->side, &change->price, &change->key))
        {
            return OME_REASON_POST_ONLY_WOULD_TAKE;
        }
        change->crosses = false;
    }
    const bool needs_level = change->price != level->price && !change->crosses && ome_ladder_pool_is_full(&engine->pools.ladder) &&
                             ome_ladder_find(&book->ladders[ome_side_index(level->side)], &engine->pools.ladder, change->key) == 0;
    return needs_level ? OME_REASON_LEVEL_LIMIT_REACHED : OME_REASON_NONE;
}

uint8_t ome_check_amend_order(const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_change_t *change)
{
    const uint32_t flags_known = OME_COMMAND_FLAGS_BY_ORDER_ID | OME_COMMAND_FLAGS_OPEN_QUANTITY | OME_COMMAND_FLAGS_CONTINUED;
    uint8_t reason = check_reference(engine, command, flags_known, &change->slot);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    const ome_book_t *book = &engine->books[instrument_of(engine, change->slot)];
    change->waits = ome_special_waits(special_of(engine, change->slot));
    change->crosses = false;
    if (!amend_terms_are_good(special_of(engine, change->slot), given))
    {
        return OME_REASON_BAD_TERM;
    }
    reason = check_amend_quantity(engine, command, book, change);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    reason = check_amend_prices(engine, command, given, book, change);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    reason = check_new_client_order_id(engine, command, given, change);
    if (reason != OME_REASON_NONE || change->waits)
    {
        return reason;
    }
    return check_amend_entry(engine, book, change);
}
