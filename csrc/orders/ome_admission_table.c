/* The table of checks, and the commands that it serves. */
#include "orders/ome_admission.h"

#include "orders/ome_admission_form.h"
#include "orders/ome_admission_values.h"

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

/* Top to bottom; the first that is true gives the reason. A new check is one row, its predicate
 * (ome_admission_form.h, ome_admission_values.h), and its reason in the schema.
 *    reason                       commands                                             what is wrong */
#define ADMISSION_CHECKS(ROW)                                                                                                              \
    ROW(RESERVED_NOT_ZERO, REFERENCE | MASS_CANCEL | EXPIRE_ORDERS | SET_LAST_PRICE | DEFINITION, reserved_is_not_zero)                    \
    ROW(UNKNOWN_SESSION, NEW | REFERENCE | MASS_CANCEL, sender_is_unknown)                                                                 \
    ROW(UNKNOWN_ACCOUNT, NEW, account_is_unknown)                                                                                          \
    ROW(ACCOUNT_NOT_OWNED, NEW, account_is_anothers)                                                                                       \
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
    ROW(UNKNOWN_ORDER, REFERENCE, order_is_unknown)                                                                                        \
    ROW(ORDER_CLOSED, REFERENCE, order_is_closed)                                                                                          \
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

bool ome_admission_is_special(const ome_admission_t *admission)
{
    const uint32_t terms =
        TERM(OME_TERM_DISPLAY_QUANTITY) | TERM(OME_TERM_SELF_TRADE_GROUP) | TERM(OME_TERM_EXPIRE_TIME) | OME_ATTRIBUTE_TERMS;
    return ome_order_type_waits(admission->order_type) || (admission->given->given & terms) != 0;
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
