/* Predicates of the table of checks: who sends a command, what it is about, and whether its fields and terms go together. For
 * ome_admission_table.c alone. */
#ifndef OME_ADMISSION_FORM_H
#define OME_ADMISSION_FORM_H

#include "orders/ome_admission.h"

/* ---- sender, instrument, form ---- */

static inline bool admission_reserved_is_not_zero(const ome_admission_t *admission)
{
    return admission->command->reserved != 0;
}

static inline bool admission_sender_is_unknown(const ome_admission_t *admission)
{
    return !ome_engine_knows_sender(admission->engine, ome_command_sender(admission->command));
}

/* Where anybody may use it, it is not. */
static inline bool admission_account_is_unknown(const ome_admission_t *admission)
{
    const ome_engine_t *engine = admission->engine;
    const uint32_t account = admission->command->account;
    return OME_UNLIKELY((account & engine->account_mask) != 0) && ome_engine_restricts_accounts(engine) &&
           ome_account_owner(&engine->accounts, account) == 0;
}

static inline bool admission_account_is_anothers(const ome_admission_t *admission)
{
    return !ome_engine_may_use_account(admission->engine, admission->command->account, admission->command->participant);
}

static inline bool admission_instrument_is_missing(const ome_admission_t *admission)
{
    return admission->command->instrument == 0;
}

/* 0 is all instruments, where a command may mean all. */
static inline bool admission_instrument_is_unknown(ome_admission_t *admission)
{
    const uint32_t instrument = admission->command->instrument;
    if (instrument > admission->engine->instrument_count)
    {
        return true;
    }
    admission->book = &admission->engine->books[instrument];
    return false;
}

static inline bool admission_side_is_bad(const ome_admission_t *admission)
{
    return !ome_side_is_valid(admission->command->side);
}

static inline bool admission_side_is_bad_or_missing(const ome_admission_t *admission)
{
    return admission->command->side != 0 && admission_side_is_bad(admission);
}

static inline bool admission_order_type_is_bad(const ome_admission_t *admission)
{
    return !ome_order_type_is_valid(admission->command->order_type);
}

static inline bool admission_time_in_force_is_bad(const ome_admission_t *admission)
{
    return !ome_time_in_force_is_valid(admission->command->time_in_force);
}

static inline bool admission_flags_are_bad(const ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    const uint32_t with_limit = OME_COMMAND_FLAGS_POST_ONLY | OME_COMMAND_FLAGS_HIDDEN;
    if ((command->flags & ~(OME_COMMAND_FLAGS_CONTINUED | with_limit)) != 0)
    {
        return true;
    }
    if ((command->flags & with_limit) != 0 && !ome_order_type_has_limit(command->order_type))
    {
        return true;
    }
    return (command->flags & OME_COMMAND_FLAGS_POST_ONLY) != 0 && !ome_time_in_force_rests(command->time_in_force);
}

static inline bool admission_cancel_flags_are_bad(const ome_admission_t *admission)
{
    return (admission->command->flags & ~OME_COMMAND_FLAGS_BY_ORDER_ID) != 0;
}

static inline bool admission_amend_flags_are_bad(const ome_admission_t *admission)
{
    const uint32_t known = OME_COMMAND_FLAGS_BY_ORDER_ID | OME_COMMAND_FLAGS_OPEN_QUANTITY | OME_COMMAND_FLAGS_CONTINUED;
    return (admission->command->flags & ~known) != 0;
}

/* Orders of any participant are cancelled by the embedder alone. That a session has lost its connection is not for the session to say,
 * whose commands are counted. */
static inline bool admission_mass_cancel_flags_are_bad(const ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    const uint32_t disconnect = ome_engine_counts_sessions(admission->engine) ? OME_COMMAND_FLAGS_ON_DISCONNECT : 0;
    const uint32_t known = OME_COMMAND_FLAGS_BY_ACCOUNT | OME_COMMAND_FLAGS_BY_SESSION | OME_COMMAND_FLAGS_ANY_PARTICIPANT | disconnect;
    const bool is_for_anybody = (command->flags & OME_COMMAND_FLAGS_ANY_PARTICIPANT) != 0;
    const bool is_on_disconnect = (command->flags & OME_COMMAND_FLAGS_ON_DISCONNECT) != 0;
    return (command->flags & ~known) != 0 || (is_for_anybody && command->session != 0) ||
           (is_on_disconnect && command->session_sequence != 0);
}

static inline bool admission_expire_orders_flags_are_bad(const ome_admission_t *admission)
{
    return (admission->command->flags & ~(OME_COMMAND_FLAGS_END_OF_DAY | OME_COMMAND_FLAGS_SET_TIME)) != 0;
}

static inline bool admission_self_trade_is_bad(const ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    return command->self_trade_scope > OME_SELF_TRADE_SCOPE_GROUP ||
           !ome_self_trade_is_valid(command->self_trade_prevention, command->self_trade_scope != OME_SELF_TRADE_SCOPE_ACCOUNT);
}

/* ---- the order meant ---- */

static inline bool admission_is_by_order_id(const ome_admission_t *admission)
{
    return (admission->command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0;
}

/* Finds it. */
static inline bool admission_order_is_unknown(ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    const ome_book_pools_t *pools = &admission->engine->pools;
    if (admission_is_by_order_id(admission))
    {
        admission->slot = (uint32_t)command->client_order_id;
        return ome_order_pool_state(&pools->orders, command->client_order_id) == OME_ORDER_UNKNOWN;
    }
    if (command->client_order_id == 0)
    {
        return true;
    }
    admission->slot = ome_order_index_find(&pools->index, &pools->orders, command->participant, command->client_order_id);
    return admission->slot == 0;
}

static inline bool admission_order_is_closed(const ome_admission_t *admission)
{
    return admission_is_by_order_id(admission) &&
           ome_order_pool_state(&admission->engine->pools.orders, admission->command->client_order_id) == OME_ORDER_CLOSED;
}

static inline const ome_order_t *admission_order(const ome_admission_t *admission)
{
    return &admission->engine->pools.orders.orders[admission->slot];
}

static inline bool admission_order_is_anothers(const ome_admission_t *admission)
{
    return ome_owner_participant(admission_order(admission)->owner) != admission->command->participant;
}

/* Looks up what the order is. */
static inline bool admission_instrument_is_another(ome_admission_t *admission)
{
    const ome_book_pools_t *pools = &admission->engine->pools;
    const ome_order_t *order = admission_order(admission);
    const ome_level_t *level = &pools->ladder.levels[order->level];
    admission->special = &pools->specials.records[ome_order_special(order)];
    admission->waits = ome_special_waits(admission->special);
    admission->side = admission->waits ? admission->special->side : level->side;
    admission->old_price = admission->waits ? admission->special->limit : level->price;
    admission->order_type = admission->waits ? admission->special->order_type : OME_ORDER_TYPE_LIMIT;
    admission->marks = order->marks;
    admission->client_order_id = order->client_order_id;
    admission->old_leaves = order->leaves_quantity + admission->special->reserve_quantity;
    const uint32_t instrument = admission->waits ? admission->special->instrument : level->instrument;
    admission->book = &admission->engine->books[instrument];
    return admission->command->instrument != 0 && admission->command->instrument != instrument;
}

/* ---- terms ---- */

/* A bit for a term. */
#define TERM(term) (UINT32_C(1) << (term))

#define TRAIL_TERMS (TERM(OME_TERM_TRAIL_AMOUNT) | TERM(OME_TERM_TRAIL_BASIS_POINTS))

static inline bool admission_is_given(const ome_admission_t *admission, uint32_t term)
{
    return (admission->given->given & TERM(term)) != 0;
}

/* Whether a term is not given, or its value is in range. */
static inline bool admission_is_within(const ome_admission_t *admission, uint32_t term, int64_t min, int64_t max)
{
    const int64_t value = admission->given->values[term];
    return !admission_is_given(admission, term) || (value >= min && value <= max);
}

/* Terms that an order of this form may have. */
static inline uint32_t admission_terms_allowed(const ome_command_t *command)
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
    allowed |= OME_ATTRIBUTE_TERMS;
    return allowed;
}

/* Terms that it must have. */
static inline uint32_t admission_terms_needed(const ome_command_t *command)
{
    const bool is_plain_stop = ome_order_type_waits(command->order_type) && !ome_order_type_trails(command->order_type);
    uint32_t needed = 0;
    needed |= is_plain_stop ? TERM(OME_TERM_STOP_PRICE) : 0;
    needed |= command->time_in_force == OME_TIME_IN_FORCE_GTD ? TERM(OME_TERM_EXPIRE_TIME) : 0;
    needed |= command->self_trade_scope == OME_SELF_TRADE_SCOPE_GROUP ? TERM(OME_TERM_SELF_TRADE_GROUP) : 0;
    return needed;
}

/* A trailing stop has one of two distances. */
static inline bool admission_distance_is_bad(const ome_admission_t *admission)
{
    const ome_instrument_t *instrument = &admission->book->instrument;
    const int64_t *values = admission->given->values;
    const bool has_amount = admission_is_given(admission, OME_TERM_TRAIL_AMOUNT);
    const bool has_basis_points = admission_is_given(admission, OME_TERM_TRAIL_BASIS_POINTS);
    if (ome_order_type_trails(admission->command->order_type) && has_amount == has_basis_points)
    {
        return true;
    }
    return (has_amount && !ome_trail_amount_is_valid(instrument, values[OME_TERM_TRAIL_AMOUNT])) ||
           (has_basis_points && !ome_trail_basis_points_are_valid(values[OME_TERM_TRAIL_BASIS_POINTS]));
}

static inline bool admission_has_too_many_peaks(const ome_admission_t *admission)
{
    return admission_is_given(admission, OME_TERM_DISPLAY_QUANTITY) &&
           ome_special_has_too_many_peaks(admission->command->quantity, admission->given->values[OME_TERM_DISPLAY_QUANTITY]);
}

static inline bool admission_attributes_are_bad(const ome_admission_t *admission)
{
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        if (!admission_is_within(admission, OME_ATTRIBUTES[i].term, 1, OME_ATTRIBUTES[i].value_max))
        {
            return true;
        }
    }
    return false;
}

OME_NEVER_INLINE bool admission_terms_given_are_bad(const ome_admission_t *admission, uint32_t needed)
{
    const ome_command_t *command = admission->command;
    const uint32_t given = admission->given->given;
    return (given & ~admission_terms_allowed(command)) != 0 || (given & needed) != needed || admission_distance_is_bad(admission) ||
           !admission_is_within(admission, OME_TERM_DISPLAY_QUANTITY, 1, OME_QUANTITY_MAX) || admission_has_too_many_peaks(admission) ||
           !admission_is_within(admission, OME_TERM_MINIMUM_QUANTITY, 1, command->quantity) ||
           !admission_is_within(admission, OME_TERM_EXPIRE_TIME, 1, INT64_MAX) ||
           !admission_is_within(admission, OME_TERM_BUDGET, OME_NULL_VALUE + 1, INT64_MAX) ||
           !admission_is_within(admission, OME_TERM_COLLAR_TICKS, 0, UINT32_MAX) ||
           !admission_is_within(admission, OME_TERM_SELF_TRADE_GROUP, 1, UINT32_MAX) || admission_attributes_are_bad(admission);
}

static inline bool admission_terms_are_bad(const ome_admission_t *admission)
{
    const uint32_t needed = admission_terms_needed(admission->command);
    if (OME_LIKELY((admission->given->given | needed) == 0 && !ome_order_type_trails(admission->command->order_type)))
    {
        return false;
    }
    return admission_terms_given_are_bad(admission, needed);
}

/* A new stop price is for a stop that waits and does not trail, a new client order id for any order. */
static inline bool admission_amend_terms_are_bad(const ome_admission_t *admission)
{
    const bool has_stop_price = admission->waits && !ome_order_type_trails(admission->order_type);
    const uint32_t allowed = TERM(OME_TERM_NEW_CLIENT_ORDER_ID) | (has_stop_price ? TERM(OME_TERM_STOP_PRICE) : 0);
    return (admission->given->given & ~allowed) != 0 || !admission_is_within(admission, OME_TERM_NEW_CLIENT_ORDER_ID, 1, INT64_MAX);
}

#endif
