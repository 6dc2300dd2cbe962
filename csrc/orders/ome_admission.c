#include "orders/ome_admission.h"

#include "book/ome_quantity.h"

/* ---- the table ---- */

/* The commands that a row is for. What only options can get wrong is not asked of a new order without any. */
#define NEW_WITHOUT_OPTIONS 1u
#define NEW_WITH_OPTIONS 512u
#define NEW (NEW_WITHOUT_OPTIONS | NEW_WITH_OPTIONS)
#define CANCEL 2u
#define REDUCE 4u
#define AMEND 8u
#define TRIGGERED 16u
#define MASS_CANCEL 32u
#define EXPIRE_ORDERS 64u
#define SET_LAST_PRICE 128u
#define DEFINITION 256u
#define REFERENCE (CANCEL | REDUCE | AMEND)

/* Top to bottom; the first that is true gives the reason. A new check is one row, its predicate below, and its reason in the schema.
 *    reason                       commands                                             what is wrong */
#define ADMISSION_CHECKS(ROW)                                                                                                              \
    ROW(RESERVED_NOT_ZERO, REFERENCE | MASS_CANCEL | EXPIRE_ORDERS | SET_LAST_PRICE | DEFINITION, reserved_is_not_zero)                    \
    ROW(UNKNOWN_SESSION, NEW | REFERENCE | MASS_CANCEL, sender_is_unknown)                                                                 \
    ROW(UNKNOWN_INSTRUMENT, NEW | SET_LAST_PRICE, instrument_is_missing)                                                                   \
    ROW(UNKNOWN_INSTRUMENT, NEW | SET_LAST_PRICE | MASS_CANCEL | EXPIRE_ORDERS, instrument_is_unknown)                                     \
    ROW(BAD_SIDE, NEW, side_is_bad)                                                                                                        \
    ROW(BAD_SIDE, MASS_CANCEL, side_is_bad_or_missing)                                                                                     \
    ROW(BAD_ORDER_TYPE, NEW_WITH_OPTIONS, order_type_is_bad)                                                                               \
    ROW(BAD_TIME_IN_FORCE, NEW_WITH_OPTIONS, time_in_force_is_bad)                                                                         \
    ROW(BAD_FLAGS, NEW_WITH_OPTIONS, flags_are_bad)                                                                                        \
    ROW(BAD_FLAGS, CANCEL | REDUCE, cancel_flags_are_bad)                                                                                  \
    ROW(BAD_FLAGS, AMEND, amend_flags_are_bad)                                                                                             \
    ROW(BAD_FLAGS, MASS_CANCEL, mass_cancel_flags_are_bad)                                                                                 \
    ROW(BAD_FLAGS, EXPIRE_ORDERS, expire_orders_flags_are_bad)                                                                             \
    ROW(BAD_SELF_TRADE_PREVENTION, NEW_WITH_OPTIONS, self_trade_is_bad)                                                                    \
    ROW(ORDER_CLOSED, REFERENCE, order_is_closed)                                                                                          \
    ROW(UNKNOWN_ORDER, REFERENCE, order_is_unknown)                                                                                        \
    ROW(NOT_OWNER, REFERENCE, order_is_anothers)                                                                                           \
    ROW(WRONG_INSTRUMENT, REFERENCE, instrument_is_another)                                                                                \
    ROW(BAD_TERM, NEW_WITH_OPTIONS, terms_are_bad)                                                                                         \
    ROW(BAD_TERM, AMEND, amend_terms_are_bad)                                                                                              \
    ROW(ZERO_QUANTITY, NEW | REDUCE, quantity_is_zero)                                                                                     \
    ROW(NEGATIVE_QUANTITY, NEW | REDUCE | AMEND, quantity_is_negative)                                                                     \
    ROW(QUANTITY_TOO_LARGE, NEW, quantity_is_too_large)                                                                                    \
    ROW(QUANTITY_TOO_LARGE, AMEND, amended_quantity_is_too_large)                                                                          \
    ROW(QUANTITY_TOO_LARGE, NEW | TRIGGERED, side_is_full)                                                                                 \
    ROW(PRICE_OUT_OF_RANGE, NEW | AMEND | SET_LAST_PRICE, price_is_out_of_range)                                                           \
    ROW(PRICE_OFF_TICK, NEW | AMEND | SET_LAST_PRICE, price_is_off_tick)                                                                   \
    ROW(PRICE_OUT_OF_RANGE, NEW_WITH_OPTIONS | AMEND, stop_price_is_out_of_range)                                                          \
    ROW(PRICE_OFF_TICK, NEW_WITH_OPTIONS | AMEND, stop_price_is_off_tick)                                                                  \
    ROW(ALREADY_EXPIRED, NEW_WITH_OPTIONS, deadline_is_past)                                                                               \
    ROW(NO_LAST_PRICE, NEW_WITH_OPTIONS, last_price_is_missing)                                                                            \
    ROW(DUPLICATE_CLIENT_ORDER_ID, NEW | AMEND, client_order_id_is_taken)                                                                  \
    ROW(ORDER_LIMIT_REACHED, NEW, no_slot_is_free)                                                                                         \
    ROW(SPECIAL_LIMIT_REACHED, NEW_WITH_OPTIONS, no_special_is_free)                                                                       \
    ROW(POST_ONLY_WOULD_TAKE, NEW | AMEND | TRIGGERED, post_only_would_take)                                                               \
    ROW(LEVEL_LIMIT_REACHED, NEW | AMEND, no_level_is_free)

/* ---- sender, instrument, form ---- */

static bool admission_reserved_is_not_zero(const ome_admission_t *admission)
{
    return admission->command->reserved != 0;
}

static bool admission_sender_is_unknown(const ome_admission_t *admission)
{
    return !ome_engine_knows_sender(admission->engine, ome_command_sender(admission->command));
}

static bool admission_instrument_is_missing(const ome_admission_t *admission)
{
    return admission->command->instrument == 0;
}

/* 0 is all instruments, where a command may mean all. */
static bool admission_instrument_is_unknown(ome_admission_t *admission)
{
    const uint32_t instrument = admission->command->instrument;
    if (instrument > admission->engine->instrument_count)
    {
        return true;
    }
    admission->book = &admission->engine->books[instrument];
    return false;
}

static bool admission_side_is_bad(const ome_admission_t *admission)
{
    return !ome_side_is_valid(admission->command->side);
}

static bool admission_side_is_bad_or_missing(const ome_admission_t *admission)
{
    return admission->command->side != 0 && admission_side_is_bad(admission);
}

static bool admission_order_type_is_bad(const ome_admission_t *admission)
{
    return !ome_order_type_is_valid(admission->command->order_type);
}

static bool admission_time_in_force_is_bad(const ome_admission_t *admission)
{
    return !ome_time_in_force_is_valid(admission->command->time_in_force);
}

static bool admission_flags_are_bad(const ome_admission_t *admission)
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

static bool admission_cancel_flags_are_bad(const ome_admission_t *admission)
{
    return (admission->command->flags & ~OME_COMMAND_FLAGS_BY_ORDER_ID) != 0;
}

static bool admission_amend_flags_are_bad(const ome_admission_t *admission)
{
    const uint32_t known = OME_COMMAND_FLAGS_BY_ORDER_ID | OME_COMMAND_FLAGS_OPEN_QUANTITY | OME_COMMAND_FLAGS_CONTINUED;
    return (admission->command->flags & ~known) != 0;
}

/* Orders of any participant are cancelled by the embedder alone. */
static bool admission_mass_cancel_flags_are_bad(const ome_admission_t *admission)
{
    const uint32_t known = OME_COMMAND_FLAGS_BY_ACCOUNT | OME_COMMAND_FLAGS_BY_SESSION | OME_COMMAND_FLAGS_ANY_PARTICIPANT;
    const uint32_t flags = admission->command->flags;
    return (flags & ~known) != 0 || ((flags & OME_COMMAND_FLAGS_ANY_PARTICIPANT) != 0 && admission->command->session != 0);
}

static bool admission_expire_orders_flags_are_bad(const ome_admission_t *admission)
{
    return (admission->command->flags & ~(OME_COMMAND_FLAGS_END_OF_DAY | OME_COMMAND_FLAGS_SET_TIME)) != 0;
}

static bool admission_self_trade_is_bad(const ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    return command->self_trade_scope > OME_SELF_TRADE_SCOPE_GROUP ||
           !ome_self_trade_is_valid(command->self_trade_prevention, command->self_trade_scope != OME_SELF_TRADE_SCOPE_ACCOUNT);
}

/* ---- the order meant ---- */

static bool admission_is_by_order_id(const ome_admission_t *admission)
{
    return (admission->command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0;
}

static bool admission_order_is_closed(const ome_admission_t *admission)
{
    return admission_is_by_order_id(admission) &&
           ome_order_pool_state(&admission->engine->pools.orders, admission->command->client_order_id) == OME_ORDER_CLOSED;
}

/* Finds it. */
static bool admission_order_is_unknown(ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    const ome_book_pools_t *pools = &admission->engine->pools;
    if (admission_is_by_order_id(admission))
    {
        admission->slot = (uint32_t)command->client_order_id;
        return ome_order_pool_state(&pools->orders, command->client_order_id) != OME_ORDER_LIVE;
    }
    if (command->client_order_id == 0)
    {
        return true;
    }
    admission->slot = ome_order_index_find(&pools->index, &pools->orders, command->participant, command->client_order_id);
    return admission->slot == 0;
}

static const ome_order_t *admission_order(const ome_admission_t *admission)
{
    return &admission->engine->pools.orders.orders[admission->slot];
}

static bool admission_order_is_anothers(const ome_admission_t *admission)
{
    return ome_owner_participant(admission_order(admission)->owner) != admission->command->participant;
}

/* Looks up what the order is. */
static bool admission_instrument_is_another(ome_admission_t *admission)
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

static bool admission_is_given(const ome_admission_t *admission, uint32_t term)
{
    return (admission->given->given & TERM(term)) != 0;
}

/* Whether a term is not given, or its value is in range. */
static bool admission_is_within(const ome_admission_t *admission, uint32_t term, int64_t min, int64_t max)
{
    const int64_t value = admission->given->values[term];
    return !admission_is_given(admission, term) || (value >= min && value <= max);
}

/* Terms that an order of this form may have. */
static uint32_t admission_terms_allowed(const ome_command_t *command)
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

/* Terms that it must have. */
static uint32_t admission_terms_needed(const ome_command_t *command)
{
    const bool is_plain_stop = ome_order_type_waits(command->order_type) && !ome_order_type_trails(command->order_type);
    uint32_t needed = 0;
    needed |= is_plain_stop ? TERM(OME_TERM_STOP_PRICE) : 0;
    needed |= command->time_in_force == OME_TIME_IN_FORCE_GTD ? TERM(OME_TERM_EXPIRE_TIME) : 0;
    needed |= command->self_trade_scope == OME_SELF_TRADE_SCOPE_GROUP ? TERM(OME_TERM_SELF_TRADE_GROUP) : 0;
    return needed;
}

/* A trailing stop has one of two distances. */
static bool admission_distance_is_bad(const ome_admission_t *admission)
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

static bool admission_has_too_many_peaks(const ome_admission_t *admission)
{
    return admission_is_given(admission, OME_TERM_DISPLAY_QUANTITY) &&
           ome_special_has_too_many_peaks(admission->command->quantity, admission->given->values[OME_TERM_DISPLAY_QUANTITY]);
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
           !admission_is_within(admission, OME_TERM_SELF_TRADE_GROUP, 1, UINT32_MAX);
}

static bool admission_terms_are_bad(const ome_admission_t *admission)
{
    const uint32_t needed = admission_terms_needed(admission->command);
    if (OME_LIKELY((admission->given->given | needed) == 0 && !ome_order_type_trails(admission->command->order_type)))
    {
        return false;
    }
    return admission_terms_given_are_bad(admission, needed);
}

/* A new stop price is for a stop that waits and does not trail, a new client order id for any order. */
static bool admission_amend_terms_are_bad(const ome_admission_t *admission)
{
    const bool has_stop_price = admission->waits && !ome_order_type_trails(admission->order_type);
    const uint32_t allowed = TERM(OME_TERM_NEW_CLIENT_ORDER_ID) | (has_stop_price ? TERM(OME_TERM_STOP_PRICE) : 0);
    return (admission->given->given & ~allowed) != 0 || !admission_is_within(admission, OME_TERM_NEW_CLIENT_ORDER_ID, 1, INT64_MAX);
}

/* ---- quantities ---- */

static bool admission_quantity_is_zero(const ome_admission_t *admission)
{
    return admission->command->quantity == 0;
}

/* The null value, which an amend may have, is none. */
static bool admission_quantity_is_negative(const ome_admission_t *admission)
{
    return admission->command->quantity < 0 &&
           (admission->command->quantity != OME_NULL_VALUE || admission->command->kind != OME_COMMAND_KIND_AMEND_ORDER);
}

static bool admission_quantity_is_too_large(const ome_admission_t *admission)
{
    return admission->leaves > OME_QUANTITY_MAX;
}

/* With all that is open on its side. */
static bool admission_side_is_full(const ome_admission_t *admission)
{
    return !ome_quantity_fits(admission->book, admission->side, admission->leaves);
}

/* Works out what would be open. What waits is not open in the book. */
static bool admission_amended_quantity_is_too_large(ome_admission_t *admission)
{
    const int64_t cumulative = admission_order(admission)->cumulative_quantity;
    const int64_t quantity = admission->command->quantity;
    const int64_t traded = (admission->command->flags & OME_COMMAND_FLAGS_OPEN_QUANTITY) != 0 ? 0 : cumulative;
    const int64_t leaves = quantity == OME_NULL_VALUE ? admission->old_leaves : quantity - traded;
    const int64_t peak = admission->special->peak;
    admission->leaves = leaves;
    return leaves > OME_QUANTITY_MAX || cumulative + leaves > OME_OPEN_QUANTITY_MAX ||
           (!admission->waits && !ome_quantity_fits(admission->book, admission->side, leaves - admission->old_leaves)) ||
           (peak != 0 && ome_special_has_too_many_peaks(leaves, peak));
}

/* ---- prices ---- */

/* Whether the command says a price that means something; otherwise the order keeps its own, or has none. */
static bool admission_has_new_price(const ome_admission_t *admission)
{
    return ome_order_type_has_limit(admission->order_type) &&
           (admission->command->price != OME_NULL_VALUE || admission->command->kind != OME_COMMAND_KIND_AMEND_ORDER);
}

static bool admission_price_is_out_of_range(ome_admission_t *admission)
{
    if (!admission_has_new_price(admission))
    {
        admission->price = admission->old_price;
        return false;
    }
    admission->price = admission->command->price;
    return admission->order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT
               ? !ome_distance_is_in_range(admission->price)
               : !ome_instrument_price_in_range(&admission->book->instrument, admission->price);
}

/* Of a limit, gives the key. */
static bool admission_price_is_off_tick(ome_admission_t *admission)
{
    uint64_t tick_index;
    if (!ome_order_type_has_limit(admission->order_type))
    {
        return false;
    }
    if (admission->order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT)
    {
        return !ome_distance_is_on_tick(&admission->book->instrument, admission->price);
    }
    const bool is_on_tick = ome_instrument_tick_index(&admission->book->instrument, admission->price, &tick_index);
    admission->key = ome_book_key(admission->side, tick_index);
    return !is_on_tick;
}

static bool admission_stop_price_is_out_of_range(ome_admission_t *admission)
{
    const bool has_stop_price = admission_is_given(admission, OME_TERM_STOP_PRICE);
    admission->stop_price = has_stop_price ? admission->given->values[OME_TERM_STOP_PRICE] : admission->special->stop_price;
    return has_stop_price && !ome_instrument_price_in_range(&admission->book->instrument, admission->stop_price);
}

static bool admission_stop_price_is_off_tick(const ome_admission_t *admission)
{
    uint64_t tick_index;
    return admission_is_given(admission, OME_TERM_STOP_PRICE) &&
           !ome_instrument_tick_index(&admission->book->instrument, admission->stop_price, &tick_index);
}

/* ---- the engine's time, last price and room ---- */

static bool admission_deadline_is_past(const ome_admission_t *admission)
{
    return admission_is_given(admission, OME_TERM_EXPIRE_TIME) &&
           (uint64_t)admission->given->values[OME_TERM_EXPIRE_TIME] <= admission->engine->time_ns;
}

static bool admission_last_price_is_missing(const ome_admission_t *admission)
{
    return ome_order_type_trails(admission->order_type) && !admission_is_given(admission, OME_TERM_STOP_PRICE) &&
           admission->book->last_trade_price == OME_NULL_VALUE;
}

/* Of a new order its id; of an amend the one that the order is to have instead. */
static bool admission_client_order_id_is_taken(ome_admission_t *admission)
{
    const ome_book_pools_t *pools = &admission->engine->pools;
    const uint64_t old = admission->client_order_id;
    if (admission_is_given(admission, OME_TERM_NEW_CLIENT_ORDER_ID))
    {
        admission->client_order_id = (uint64_t)admission->given->values[OME_TERM_NEW_CLIENT_ORDER_ID];
    }
    const bool is_its_own = admission->slot != 0 && admission->client_order_id == old;
    return admission->client_order_id != 0 && !is_its_own &&
           ome_order_index_find(&pools->index, &pools->orders, admission->command->participant, admission->client_order_id) != 0;
}

static bool admission_no_slot_is_free(const ome_admission_t *admission)
{
    return ome_order_pool_is_full(&admission->engine->pools.orders);
}

bool ome_admission_is_special(const ome_admission_t *admission)
{
    const uint32_t terms = TERM(OME_TERM_DISPLAY_QUANTITY) | TERM(OME_TERM_SELF_TRADE_GROUP) | TERM(OME_TERM_EXPIRE_TIME);
    return ome_order_type_waits(admission->order_type) || (admission->given->given & terms) != 0;
}

static bool admission_no_special_is_free(const ome_admission_t *admission)
{
    return ome_admission_is_special(admission) && ome_special_pool_is_full(&admission->engine->pools.specials);
}

/* ---- the other side ---- */

/* Gives a post-only order that crosses the price one tick from the opposite best. False, and nothing changed, where it may not slide: by
 * the instrument, or because that price is out of range. */
OME_NEVER_INLINE bool admission_slide(ome_admission_t *admission)
{
    const ome_book_t *book = admission->book;
    if ((book->instrument.flags & OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES) == 0)
    {
        return false;
    }
    const uint32_t best = ome_book_best(book, ome_side_opposite(admission->side));
    const int64_t best_price = admission->engine->pools.ladder.levels[best].price;
    const int64_t slid = admission->side == OME_SIDE_BUY ? best_price - book->instrument.tick : best_price + book->instrument.tick;
    uint64_t tick_index;
    if (!ome_instrument_is_price(&book->instrument, slid, &tick_index))
    {
        return false;
    }
    admission->price = slid;
    admission->key = ome_book_key(admission->side, tick_index);
    return true;
}

/* Whether it has a limit now, and no stop price to wait for. Of a new stop this is looked at when it is triggered. */
static bool admission_has_key(const ome_admission_t *admission)
{
    return admission->order_type == OME_ORDER_TYPE_LIMIT && admission->leaves > 0;
}

static bool admission_post_only_would_take(ome_admission_t *admission)
{
    if (!admission_has_key(admission))
    {
        return false;
    }
    admission->crosses = ome_book_crosses(admission->book, admission->side, admission->key);
    if (!admission->crosses || (admission->marks & OME_ORDER_MARK_POST_ONLY) == 0)
    {
        return false;
    }
    admission->crosses = !admission_slide(admission);
    return admission->crosses;
}

static bool admission_no_level_is_free(const ome_admission_t *admission)
{
    const ome_ladder_pool_t *ladder = &admission->engine->pools.ladder;
    return ome_ladder_pool_is_full(ladder) && admission_has_key(admission) && admission->rests && !admission->crosses &&
           admission->price != admission->old_price &&
           ome_ladder_find(&admission->book->ladders[ome_side_index(admission->side)], ladder, admission->key) == 0;
}

/* ---- the commands ---- */

#define ADMISSION_CHECK(reason, commands, predicate)                                                                                       \
    if (((commands) & command) != 0 && OME_UNLIKELY(admission_##predicate(admission)))                                                     \
    {                                                                                                                                      \
        return OME_REASON_##reason;                                                                                                        \
    }

/* `command` is known where this is called, so that only its own rows are left. */
OME_ALWAYS_INLINE uint8_t admission_check(ome_admission_t *admission, uint32_t command)
{
    ADMISSION_CHECKS(ADMISSION_CHECK)
    return OME_REASON_NONE;
}

static uint8_t admission_marks(const ome_command_t *command)
{
    uint32_t marks = (uint32_t)command->self_trade_prevention << OME_ORDER_SELF_TRADE_SHIFT;
    marks |= (command->flags & OME_COMMAND_FLAGS_POST_ONLY) != 0 ? OME_ORDER_MARK_POST_ONLY : 0;
    marks |= (command->flags & OME_COMMAND_FLAGS_HIDDEN) != 0 ? OME_ORDER_MARK_HIDDEN : 0;
    marks |= command->time_in_force == OME_TIME_IN_FORCE_DAY ? OME_ORDER_MARK_DAY : 0;
    marks |= command->self_trade_scope == OME_SELF_TRADE_SCOPE_PARTICIPANT ? OME_ORDER_MARK_SCOPE_PARTICIPANT : 0;
    return (uint8_t)marks;
}

/* A limit or market order, not GTD, without flags, self-trade prevention and terms. */
static bool admission_has_no_options(const ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    return command->order_type - 1u <= OME_ORDER_TYPE_MARKET - 1u && command->time_in_force - 1u <= OME_TIME_IN_FORCE_DAY - 1u &&
           (command->flags | command->self_trade_prevention | command->self_trade_scope) == 0 && admission->given->given == 0;
}

uint8_t ome_admit_new(ome_admission_t *admission)
{
    const ome_command_t *command = admission->command;
    admission->special = &admission->engine->pools.specials.records[0];
    admission->client_order_id = command->client_order_id;
    admission->leaves = command->quantity;
    admission->old_price = OME_NULL_VALUE;
    admission->stop_price = 0;
    admission->side = command->side;
    admission->order_type = command->order_type;
    admission->rests = ome_time_in_force_rests(command->time_in_force);
    if (OME_LIKELY(admission_has_no_options(admission)))
    {
        admission->marks = command->time_in_force == OME_TIME_IN_FORCE_DAY ? OME_ORDER_MARK_DAY : 0;
        return admission_check(admission, NEW_WITHOUT_OPTIONS);
    }
    admission->marks = admission_marks(command);
    return admission_check(admission, NEW_WITH_OPTIONS);
}

uint8_t ome_admit_amend(ome_admission_t *admission)
{
    admission->rests = true;
    return admission_check(admission, AMEND);
}

uint8_t ome_admit_reduce(ome_admission_t *admission)
{
    return admission_check(admission, REDUCE);
}

uint8_t ome_admit_cancel(ome_admission_t *admission)
{
    return admission_check(admission, CANCEL);
}

uint8_t ome_admit_mass_cancel(ome_admission_t *admission)
{
    return admission_check(admission, MASS_CANCEL);
}

uint8_t ome_admit_expire_orders(ome_admission_t *admission)
{
    return admission_check(admission, EXPIRE_ORDERS);
}

uint8_t ome_admit_set_last_price(ome_admission_t *admission)
{
    admission->order_type = OME_ORDER_TYPE_LIMIT;
    return admission_check(admission, SET_LAST_PRICE);
}

uint8_t ome_admit_definition(ome_admission_t *admission)
{
    return admission_check(admission, DEFINITION);
}

uint8_t ome_admit_triggered(const ome_engine_t *engine, ome_incoming_t *incoming)
{
    ome_admission_t admission = {.engine = engine,
        .book = incoming->book,
        .key = incoming->key,
        .price = incoming->price,
        .leaves = incoming->leaves,
        .side = incoming->subject.side,
        .order_type = incoming->has_limit ? OME_ORDER_TYPE_LIMIT : OME_ORDER_TYPE_MARKET,
        .marks = incoming->marks};
    const uint8_t reason = admission_check(&admission, TRIGGERED);
    incoming->price = admission.price;
    incoming->key = admission.key;
    return reason;
}
