/* The commonest commands, at first sight: a limit order, GTC or IOC, without options; and a cancel or an amend by client order id.
 * Internal to engine/.
 *
 * They are nearly all of any flow, so they have a path of their own, in which nothing is kept that only a rarer command needs. Each
 * function either does the whole command, exactly as the full path would, or returns false with nothing changed: then the full path
 * (ome_engine.c) decides, and gives the reason where there is one. So this file knows no reject. What is asked in one condition here
 * stands check by check in ome_checks.h. */
#ifndef OME_PLAIN_H
#define OME_PLAIN_H

#include "engine/ome_engine.h"
#include "engine/ome_event.h"
#include "engine/ome_match.h"

/* The last eight bytes of a command as one word: kind, side, order type, time in force, flags (two bytes), self-trade instruction and scope. */
static inline uint64_t ome_plain_form(const ome_command_t *command)
{
    uint64_t form;
    __builtin_memcpy(&form, &command->kind, sizeof(form));
    return form;
}

static_assert(offsetof(ome_command_t, kind) == 56 && offsetof(ome_command_t, side) == 57 && offsetof(ome_command_t, order_type) == 58 &&
                  offsetof(ome_command_t, time_in_force) == 59,
    "the form is the last word of a command");
static_assert(OME_TIME_IN_FORCE_GTC == 1 && OME_TIME_IN_FORCE_IOC == 2, "GTC and IOC differ from one form by 0 and 1");

#define OME_PLAIN_TIME_IN_FORCE_STEP (UINT64_C(1) << 24)

/* LIMIT, GTC or IOC, no flags, no instruction; any side. */
static inline bool ome_plain_is_new(uint64_t form)
{
    const uint64_t limit_gtc = OME_COMMAND_KIND_NEW_ORDER | (uint64_t)OME_ORDER_TYPE_LIMIT << 16 | (uint64_t)OME_TIME_IN_FORCE_GTC << 24;
    return (((form & ~UINT64_C(0xFF00)) - limit_gtc) & ~OME_PLAIN_TIME_IN_FORCE_STEP) == 0;
}

/* No flags; zeros where other commands have a side, a type and a time in force. */
static inline bool ome_plain_is_cancel(uint64_t form)
{
    return form == OME_COMMAND_KIND_CANCEL_ORDER;
}

/* No flags; zeros likewise. */
static inline bool ome_plain_is_amend(uint64_t form)
{
    return form == OME_COMMAND_KIND_AMEND_ORDER;
}

/* Orders whose cancels and amends are not plain: those that are in another queue than that of the orders displayed, or hold more than a slot. */
#define OME_PLAIN_MARKS_NOT_KNOWN (OME_ORDER_MARK_SPECIAL | OME_ORDER_MARK_HIDDEN)

/* An order that passes every check and does not simply join the book: it trades what crosses; what is left rests or is cancelled. */
OME_NEVER_INLINE void ome_plain_take(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, uint32_t hash, ome_sink_t *sink);

/* A new order whose form is plain. `hash` is that of its client order id. */
OME_ALWAYS_INLINE bool ome_plain_new(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const uint8_t side = command->side;
    const uint32_t side_index = ome_side_index(side);
    const uint32_t instrument = command->instrument;
    if (OME_UNLIKELY(
            side_index > 1 || instrument - 1 >= engine->instrument_count || !ome_engine_knows_sender(engine, ome_command_sender(command))))
    {
        return false;
    }
    ome_book_t *const book = &engine->books[instrument];
    const int64_t quantity = command->quantity;
    /* In unsigned numbers, since the quantity may be anything; what is looked at has not overflowed. */
    const int64_t open_quantity = (int64_t)((uint64_t)book->open_quantity[side_index] + (uint64_t)quantity);
    uint64_t tick_index;
    if (OME_UNLIKELY((uint64_t)quantity - 1 >= (uint64_t)OME_QUANTITY_MAX || open_quantity > OME_OPEN_QUANTITY_MAX ||
                     !ome_instrument_is_price(&book->instrument, command->price, &tick_index)))
    {
        return false;
    }
    const uint64_t client_order_id = command->client_order_id;
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&pools->index, hash)};
    if (OME_UNLIKELY(client_order_id == 0 ||
                     ome_order_index_probe_from(&pools->index, &pools->orders, command->participant, client_order_id, &at) != 0 ||
                     ome_order_pool_is_full(&pools->orders)))
    {
        return false;
    }
    const uint64_t key = ome_book_key(side, tick_index);
    if (OME_UNLIKELY(book->ladders[side_index ^ 1].reach >= key) || command->time_in_force != OME_TIME_IN_FORCE_GTC)
    {
        ome_plain_take(engine, command, book, key, hash, sink);
        return true;
    }
    if (OME_UNLIKELY(ome_ladder_pool_is_full(&pools->ladder)))
    {
        return false;
    }
    const uint32_t level_index = ome_ladder_find_or_insert(&book->ladders[side_index], &pools->ladder, key);
    /* As ome_book_add, with everything at hand. */
    ome_order_t *const orders = pools->orders.orders;
    const uint32_t slot = ome_order_pool_take(&pools->orders);
    const uint64_t owner = ome_command_owner(command);
    ome_order_t *const order = &orders[slot];
    ome_level_t *const level = &pools->ladder.levels[level_index];
    const uint32_t tail = level->tail;
    const uint32_t order_count = level->order_count;
    order->leaves_quantity = quantity;
    order->cumulative_quantity = 0;
    order->client_order_id = client_order_id;
    order->owner = owner;
    order->next = 0;
    order->previous = tail;
    order->level_and_marks = level_index;
    if (OME_UNLIKELY(order_count == 0))
    {
        level->price = command->price;
        level->instrument = instrument;
        level->side = side;
        level->head = slot;
    }
    else
    {
        orders[tail].next = slot;
    }
    level->tail = slot;
    level->order_count = order_count + 1;
    level->quantity += quantity;
    book->open_quantity[side_index] = open_quantity;
    ome_order_pool_own(&pools->orders, slot, command->participant);
    ome_order_index_insert_at(&pools->index, at, slot);
    const uint64_t order_id = (uint64_t)order->generation << 32 | slot;
    ome_event_write(engine, sink, order_id, client_order_id, command->price, quantity, command->timestamp_ns, owner,
        ome_event_last_word(instrument, OME_EVENT_KIND_ACCEPTED, side, OME_REASON_NONE, OME_EVENT_FLAGS_RESTS));
    return true;
}

/* The slot of the order that a command means by its client order id, or 0. `at` is the home of the id, and becomes the place of its entry. */
OME_ALWAYS_INLINE uint32_t ome_plain_find(const ome_engine_t *engine, const ome_command_t *command, ome_index_place_t *at)
{
    if (OME_UNLIKELY(command->client_order_id == 0 || !ome_engine_knows_sender(engine, ome_command_sender(command))))
    {
        return 0;
    }
    return ome_order_index_probe_from(&engine->pools.index, &engine->pools.orders, command->participant, command->client_order_id, at);
}

/* A cancel whose form is plain. `hash` is that of its client order id. */
OME_ALWAYS_INLINE bool ome_plain_cancel(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const uint64_t client_order_id = command->client_order_id;
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&pools->index, hash)};
    const uint32_t slot = ome_plain_find(engine, command, &at);
    if (OME_UNLIKELY(slot == 0))
    {
        return false;
    }
    ome_order_t *const orders = pools->orders.orders;
    const ome_order_t *const order = &orders[slot];
    const uint32_t level_index = order->level;
    if (OME_UNLIKELY((order->marks & OME_PLAIN_MARKS_NOT_KNOWN) != 0))
    {
        return false;
    }
    ome_level_t *const level = &pools->ladder.levels[level_index];
    const uint32_t instrument = level->instrument;
    if (OME_UNLIKELY(command->instrument != instrument && command->instrument != 0))
    {
        return false;
    }
    /* As ome_book_unlink and ome_book_release, with everything at hand. */
    ome_book_t *const book = &engine->books[instrument];
    const uint32_t side_index = ome_side_index(level->side);
    const int64_t quantity = order->leaves_quantity;
    const uint32_t next = order->next;
    const uint32_t previous = order->previous;
    const uint64_t order_id = (uint64_t)order->generation << 32 | slot;
    const uint64_t owner = order->owner;
    ome_order_pool_free(&pools->orders, slot);
    uint32_t *const to_this = ome_choose(previous != 0, &orders[previous].next, &level->head);
    uint32_t *const back_to_this = ome_choose(next != 0, &orders[next].previous, &level->tail);
    *to_this = next;
    *back_to_this = previous;
    level->quantity -= quantity;
    book->open_quantity[side_index] -= quantity;
    ome_event_write(engine, sink, order_id, client_order_id, level->price, quantity, command->timestamp_ns, owner,
        ome_event_last_word(instrument, OME_EVENT_KIND_CANCELLED, level->side, OME_REASON_REQUESTED, OME_EVENT_FLAGS_WAS_RESTING));
    if (--level->order_count == 0 && level->hidden_head == 0)
    {
        ome_ladder_remove(&book->ladders[side_index], &pools->ladder, level_index);
    }
    ome_order_index_remove_at(&pools->index, at.place);
    return true;
}

/* An amend by client order id whose flags are zero, of an order that goes on resting. `hash` is that of its client order id. */
OME_ALWAYS_INLINE bool ome_plain_amend(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const uint64_t client_order_id = command->client_order_id;
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&pools->index, hash)};
    const uint32_t slot = ome_plain_find(engine, command, &at);
    if (OME_UNLIKELY(slot == 0))
    {
        return false;
    }
    ome_order_t *const order = &pools->orders.orders[slot];
    if (OME_UNLIKELY((order->marks & OME_PLAIN_MARKS_NOT_KNOWN) != 0))
    {
        return false;
    }
    const ome_level_t *const level = &pools->ladder.levels[order->level];
    const uint32_t instrument = level->instrument;
    const uint8_t side = level->side;
    ome_book_t *const book = &engine->books[instrument];
    const int64_t old_leaves = order->leaves_quantity;
    const int64_t price = command->price == OME_NULL_VALUE ? level->price : command->price;
    if (OME_UNLIKELY((command->instrument != instrument && command->instrument != 0) ||
                     (command->quantity < 0 && command->quantity != OME_NULL_VALUE)))
    {
        return false;
    }
    const int64_t leaves = command->quantity == OME_NULL_VALUE ? old_leaves : command->quantity - order->cumulative_quantity;
    uint64_t tick_index;
    if (OME_UNLIKELY(leaves <= 0 || leaves > OME_QUANTITY_MAX ||
                     book->open_quantity[ome_side_index(side)] - old_leaves + leaves > OME_OPEN_QUANTITY_MAX ||
                     order->cumulative_quantity + leaves > OME_OPEN_QUANTITY_MAX ||
                     !ome_instrument_is_price(&book->instrument, price, &tick_index)))
    {
        return false;
    }
    uint8_t flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY;
    if (price == level->price && leaves <= old_leaves)
    {
        if (leaves < old_leaves)
        {
            ome_book_reduce(book, pools, slot, old_leaves - leaves);
        }
    }
    else
    {
        const uint64_t key = ome_book_key(side, tick_index);
        const uint32_t side_index = ome_side_index(side);
        if (OME_UNLIKELY(
                book->ladders[side_index ^ 1].reach >= key ||
                (ome_ladder_find_near(&book->ladders[side_index], &pools->ladder, key) == 0 && ome_ladder_pool_is_full(&pools->ladder))))
        {
            return false;
        }
        flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS;
        ome_book_unlink(book, pools, slot);
        order->leaves_quantity = leaves;
        ome_book_add(book, pools, slot, side, price, key);
    }
    ome_event_write(engine, sink, (uint64_t)order->generation << 32 | slot, client_order_id, price, leaves, command->timestamp_ns,
        order->owner, ome_event_last_word(instrument, OME_EVENT_KIND_AMENDED, side, OME_REASON_NONE, flags));
    return true;
}

#endif
