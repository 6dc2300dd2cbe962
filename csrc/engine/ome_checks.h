/* Every check of a plain command before anything changes, in the order that docs/RULES.md gives. Internal to engine/.
 *
 * The engine is only read. What the checks had to work out on the way is kept, so that it is not worked out twice. */
#ifndef OME_CHECKS_H
#define OME_CHECKS_H

#include "base/ome_assert.h"
#include "engine/ome_engine.h"
#include "engine/ome_match.h"

/* No reason: the command, or the order that it means, is not plain; ome_special_checks.h has its checks, from the first on. */
#define OME_CHECK_SPECIAL 255u

typedef struct
{
    ome_book_t *book;
    uint64_t key;       /* of the price, on the order's side; not set for a market order */
    uint64_t limit_key; /* in the keys of the other side */
    int64_t price;      /* limit; 0 for a market order */
    int64_t leaves;     /* lots open once the command has taken effect; at or below 0 an amend cancels */
    uint32_t slot;   /* of the order meant; 0 for a new order */
    ome_index_place_t index_place; /* of the client order id, where the command gave one; good until the index changes */
    uint8_t side;
    bool crosses;
} ome_terms_t;

/* What holds for the four commands about orders: reserved bytes, and the sender. */
OME_ALWAYS_INLINE uint8_t check_sender(const ome_engine_t *engine, const ome_command_t *command)
{
    if (OME_UNLIKELY(command->reserved != 0))
    {
        return OME_REASON_RESERVED_NOT_ZERO;
    }
    if (OME_UNLIKELY(!ome_engine_knows_sender(engine, ome_command_sender(command))))
    {
        return OME_REASON_UNKNOWN_SESSION;
    }
    return OME_REASON_NONE;
}

/* Whether an order can join the level of this key: it exists, or one is free. */
OME_ALWAYS_INLINE bool ome_check_level_room(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t key)
{
    return OME_LIKELY(!ome_ladder_pool_is_full(&engine->pools.ladder)) ||
           ome_ladder_find(&book->ladders[ome_side_index(side)], &engine->pools.ladder, key) != 0;
}

OME_ALWAYS_INLINE uint8_t check_price(const ome_book_t *book, int64_t price, uint8_t side, ome_terms_t *terms)
{
    uint64_t tick_index;
    if (OME_UNLIKELY(!ome_instrument_price_in_range(&book->instrument, price)))
    {
        return OME_REASON_PRICE_OUT_OF_RANGE;
    }
    if (OME_UNLIKELY(!ome_instrument_tick_index(&book->instrument, price, &tick_index)))
    {
        return OME_REASON_PRICE_OFF_TICK;
    }
    terms->key = ome_book_key(side, tick_index);
    terms->limit_key = ome_book_limit_key(terms->key);
    return OME_REASON_NONE;
}

/* Side, type, time in force and flags of a new order. */
OME_ALWAYS_INLINE uint8_t check_form(const ome_command_t *command)
{
    /* One condition where all is well, which is nearly always. */
    const uint32_t side = command->side - 1u;
    const uint32_t order_type = command->order_type - 1u;
    const uint32_t time_in_force = command->time_in_force - 1u;
    if (OME_LIKELY(((side | order_type) <= 1u) & (time_in_force <= 2u) & (command->flags == 0)))
    {
        return OME_REASON_NONE;
    }
    if (side > 1u)
    {
        return OME_REASON_BAD_SIDE;
    }
    if (order_type > 1u)
    {
        return OME_REASON_BAD_ORDER_TYPE;
    }
    return time_in_force > 2u ? OME_REASON_BAD_TIME_IN_FORCE : OME_REASON_BAD_FLAGS;
}

OME_ALWAYS_INLINE uint8_t check_new_quantity(const ome_book_t *book, uint8_t side, int64_t quantity)
{
    if (OME_UNLIKELY((uint64_t)quantity - 1 >= (uint64_t)OME_QUANTITY_MAX))
    {
        return quantity == 0 ? OME_REASON_ZERO_QUANTITY : quantity < 0 ? OME_REASON_NEGATIVE_QUANTITY : OME_REASON_QUANTITY_TOO_LARGE;
    }
    if (book->open_quantity[ome_side_index(side)] + quantity > OME_OPEN_QUANTITY_MAX)
    {
        return OME_REASON_QUANTITY_TOO_LARGE;
    }
    return OME_REASON_NONE;
}

OME_ALWAYS_INLINE uint8_t ome_check_new(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms)
{
    uint8_t reason = check_sender(engine, command);
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        return reason;
    }
    if (OME_UNLIKELY(command->instrument == 0 || command->instrument > engine->instrument_count))
    {
        return OME_REASON_UNKNOWN_INSTRUMENT;
    }
    terms->book = &engine->books[command->instrument];
    terms->side = command->side;
    terms->slot = 0;
    terms->leaves = command->quantity;
    reason = check_form(command);
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        return reason;
    }
    reason = check_new_quantity(terms->book, command->side, command->quantity);
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        return reason;
    }
    terms->price = 0;
    terms->limit_key = OME_BOOK_ANY_KEY;
    if (command->order_type == OME_ORDER_TYPE_LIMIT)
    {
        terms->price = command->price;
        reason = check_price(terms->book, command->price, command->side, terms);
        if (OME_UNLIKELY(reason != OME_REASON_NONE))
        {
            return reason;
        }
    }
    if (command->client_order_id != 0 && OME_UNLIKELY(ome_order_index_probe(&engine->pools.index, &engine->pools.orders,
                                                          command->participant, command->client_order_id, &terms->index_place) != 0))
    {
        return OME_REASON_DUPLICATE_CLIENT_ORDER_ID;
    }
    if (OME_UNLIKELY(ome_order_pool_is_full(&engine->pools.orders)))
    {
        return OME_REASON_ORDER_LIMIT_REACHED;
    }
    terms->crosses = ome_match_crosses(terms->book, command->side, terms->limit_key);
    const bool rests_whole =
        !terms->crosses && command->order_type == OME_ORDER_TYPE_LIMIT && command->time_in_force == OME_TIME_IN_FORCE_GTC;
    if (rests_whole && !ome_check_level_room(engine, terms->book, command->side, terms->key))
    {
        return OME_REASON_LEVEL_LIMIT_REACHED;
    }
    return OME_REASON_NONE;
}

/* Finds the order that a cancel, reduce or amend means, and whether the sender may touch it. */
OME_ALWAYS_INLINE uint8_t check_reference(
    const ome_engine_t *engine, const ome_command_t *command, uint16_t flags_known, uint8_t marks_not_known, ome_terms_t *terms)
{
    const ome_order_pool_t *orders = &engine->pools.orders;
    const uint8_t reason = check_sender(engine, command);
    if (OME_UNLIKELY(reason != OME_REASON_NONE))
    {
        return reason;
    }
    if (OME_UNLIKELY((command->flags & ~flags_known) != 0))
    {
        return OME_REASON_BAD_FLAGS;
    }
    if ((command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0)
    {
        const ome_order_state_t state = ome_order_pool_state(orders, command->client_order_id);
        if (OME_UNLIKELY(state != OME_ORDER_LIVE))
        {
            return state == OME_ORDER_CLOSED ? OME_REASON_ORDER_CLOSED : OME_REASON_UNKNOWN_ORDER;
        }
        terms->slot = (uint32_t)command->client_order_id;
    }
    else
    {
        terms->slot = command->client_order_id == 0 ? 0
                                                    : ome_order_index_probe(&engine->pools.index, orders, command->participant,
                                                          command->client_order_id, &terms->index_place);
        if (OME_UNLIKELY(terms->slot == 0))
        {
            return OME_REASON_UNKNOWN_ORDER;
        }
    }
    const ome_order_t *order = &orders->orders[terms->slot];
    if (OME_UNLIKELY((order->marks & marks_not_known) != 0))
    {
        return OME_CHECK_SPECIAL;
    }
    const ome_level_t *level = &engine->pools.ladder.levels[order->level];
    terms->book = &engine->books[level->instrument];
    terms->side = level->side;
    terms->price = level->price;
    terms->leaves = order->leaves_quantity;
    if (OME_UNLIKELY(ome_owner_participant(order->owner) != command->participant))
    {
        return OME_REASON_NOT_OWNER;
    }
    if (OME_UNLIKELY(command->instrument != 0 && command->instrument != level->instrument))
    {
        return OME_REASON_WRONG_INSTRUMENT;
    }
    return OME_REASON_NONE;
}

OME_ALWAYS_INLINE uint8_t ome_check_cancel(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms)
{
    return check_reference(engine, command, OME_COMMAND_FLAGS_BY_ORDER_ID, OME_ORDER_MARK_SPECIAL | OME_ORDER_MARK_HIDDEN, terms);
}

OME_ALWAYS_INLINE uint8_t ome_check_reduce(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms)
{
    const uint8_t reason =
        check_reference(engine, command, OME_COMMAND_FLAGS_BY_ORDER_ID, OME_ORDER_MARK_SPECIAL | OME_ORDER_MARK_HIDDEN, terms);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    if (command->quantity <= 0)
    {
        return command->quantity == 0 ? OME_REASON_ZERO_QUANTITY : OME_REASON_NEGATIVE_QUANTITY;
    }
    return OME_REASON_NONE;
}

/* What would be open after the amend; the command's quantity is not negative. */
OME_ALWAYS_INLINE uint8_t check_amend_quantity(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms)
{
    const ome_order_t *order = &engine->pools.orders.orders[terms->slot];
    if (command->quantity != OME_NULL_VALUE)
    {
        if (command->quantity < 0)
        {
            return OME_REASON_NEGATIVE_QUANTITY;
        }
        const bool is_open = (command->flags & OME_COMMAND_FLAGS_OPEN_QUANTITY) != 0;
        terms->leaves = is_open ? command->quantity : command->quantity - order->cumulative_quantity;
    }
    const int64_t open_quantity = terms->book->open_quantity[ome_side_index(terms->side)];
    if (terms->leaves > OME_QUANTITY_MAX || open_quantity - order->leaves_quantity + terms->leaves > OME_OPEN_QUANTITY_MAX ||
        order->cumulative_quantity + terms->leaves > OME_OPEN_QUANTITY_MAX)
    {
        return OME_REASON_QUANTITY_TOO_LARGE;
    }
    return OME_REASON_NONE;
}

OME_ALWAYS_INLINE uint8_t ome_check_amend(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms)
{
    uint8_t reason = check_reference(
        engine, command, OME_COMMAND_FLAGS_BY_ORDER_ID | OME_COMMAND_FLAGS_OPEN_QUANTITY, (uint8_t)~OME_ORDER_MARK_DAY, terms);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    reason = check_amend_quantity(engine, command, terms);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    const int64_t old_price = terms->price;
    terms->price = command->price == OME_NULL_VALUE ? old_price : command->price;
    reason = check_price(terms->book, terms->price, terms->side, terms);
    if (reason != OME_REASON_NONE)
    {
        return reason;
    }
    terms->crosses = ome_match_crosses(terms->book, terms->side, terms->limit_key);
    const bool moves = terms->price != old_price && terms->leaves > 0;
    if (moves && !terms->crosses && !ome_check_level_room(engine, terms->book, terms->side, terms->key))
    {
        return OME_REASON_LEVEL_LIMIT_REACHED;
    }
    return OME_REASON_NONE;
}

#endif
