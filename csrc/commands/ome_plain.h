/* The plain path: the commonest commands at first sight. A limit or market order without options; a cancel or a reduce; an amend
 * by client order id.
 *
 * They are nearly all of any flow, so they have a path of their own, in which nothing is kept that only a rarer command needs. Each
 * function either does the whole command, exactly as the general path would, or returns false with nothing changed: then the general path
 * (ome_apply.c) decides, and gives the reason where there is one. So this file knows no reason for a rejection. What is asked in one
 * condition here stands check by check in orders/ome_admission_table.c. A build without this path (OME_WITHOUT_PLAIN_PATH) does the same. */
#ifndef OME_PLAIN_H
#define OME_PLAIN_H

#include "book/ome_book.h"
#include "commands/ome_elected.h"
#include "matching/ome_match.h"
#include "matching/ome_stop.h"

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

/* LIMIT, FOK, otherwise the same. */
static inline bool ome_plain_is_fill_or_kill(uint64_t form)
{
    return (form & ~UINT64_C(0xFF00)) ==
           (OME_COMMAND_KIND_NEW_ORDER | (uint64_t)OME_ORDER_TYPE_LIMIT << 16 | (uint64_t)OME_TIME_IN_FORCE_FOK << 24);
}

/* MARKET, GTC or IOC, otherwise the same. */
static inline bool ome_plain_is_market(uint64_t form)
{
    const uint64_t market_gtc = OME_COMMAND_KIND_NEW_ORDER | (uint64_t)OME_ORDER_TYPE_MARKET << 16 | (uint64_t)OME_TIME_IN_FORCE_GTC << 24;
    return (((form & ~UINT64_C(0xFF00)) - market_gtc) & ~OME_PLAIN_TIME_IN_FORCE_STEP) == 0;
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

static inline bool ome_plain_is_cancel_by_order_id(uint64_t form)
{
    return form == (OME_COMMAND_KIND_CANCEL_ORDER | (uint64_t)OME_COMMAND_FLAGS_BY_ORDER_ID << 32);
}

/* By client order id or by order id. */
static inline bool ome_plain_is_reduce(uint64_t form)
{
    return (form & ~((uint64_t)OME_COMMAND_FLAGS_BY_ORDER_ID << 32)) == OME_COMMAND_KIND_REDUCE_ORDER;
}

/* Orders whose cancels and amends are not plain: those that are in another queue than that of the orders displayed, or hold more than a slot. */
#define OME_PLAIN_MARKS_NOT_KNOWN (OME_ORDER_MARK_SPECIAL | OME_ORDER_MARK_HIDDEN)

/* ---- an order that crosses ---- */

/* The commonest trade: the first order of the best level fills the whole aggressor, and has nothing that goes with it but its slot. Does
 * it all, or returns false with nothing changed. */
OME_ALWAYS_INLINE bool plain_take_one(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, int64_t limit, uint64_t key, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    ome_order_t *const orders = pools->orders.orders;
    const uint8_t side = command->side;
    const uint32_t other = (ome_side_index(side) ^ 1u);
    ome_ladder_t *const ladder = &book->ladders[other];
    ome_level_t *const level = &pools->ladder.levels[ladder->best];
    const uint32_t slot = level->head; /* 0, and so special, where no order is displayed */
    const int64_t quantity = command->quantity;
    ome_order_t *const order = &orders[slot];
    const int64_t leaves = order->leaves_quantity;
    if (!ome_book_crosses(book, side, key) || leaves < quantity || (order->marks & OME_ORDER_MARK_SPECIAL) != 0)
    {
        return false;
    }
    OME_EXPECT(quantity > 0);
    OME_EXPECT(level->quantity >= leaves);
    const uint32_t aggressor_slot = ome_order_pool_take(&pools->orders);
    const ome_subject_t aggressor = {.order_id = ome_order_id(&pools->orders, aggressor_slot),
        .client_order_id = command->client_order_id,
        .owner = ome_command_owner(command),
        .timestamp_ns = command->timestamp_ns,
        .instrument = book->number,
        .side = side};
    const uint64_t order_id = (uint64_t)order->generation << 32 | slot;
    const ome_counterpart_t resting = {order_id, order->client_order_id, order->owner};
    const int64_t price = level->price;
    const uint8_t flags = OME_EVENT_FLAGS_AGGRESSOR_FILLED | (leaves == quantity ? OME_EVENT_FLAGS_RESTING_FILLED : 0);
    ome_event_accepted(engine, sink, &aggressor, limit, quantity, 0);
    ome_event_trade(engine, sink, &aggressor, price, quantity, resting, flags);
    book->last_trade_price = price;
    ome_quantity_trade_side(book, other, quantity);
    ome_quantity_trade_level(level, quantity, 0);
    if (leaves != quantity)
    {
        ome_quantity_trade(order, quantity);
        ome_order_pool_free(&pools->orders, aggressor_slot);
        OME_EXPECT(order->leaves_quantity == leaves - quantity);
        return true;
    }
    OME_EXPECT((level->order_count == 1) == (order->next == 0));
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

/* What is left of a GTC order joins the book. */
OME_ALWAYS_INLINE void plain_rest(ome_engine_t *engine, const ome_command_t *command, const ome_subject_t *subject, ome_book_t *book,
    uint64_t key, uint32_t hash, int64_t leaves, ome_sink_t *sink)
{
    const uint32_t slot = (uint32_t)subject->order_id;
    ome_order_t *order = &engine->pools.orders.orders[slot];
    order->leaves_quantity = leaves;
    order->cumulative_quantity = command->quantity - leaves;
    order->client_order_id = subject->client_order_id;
    order->owner = subject->owner;
    ome_order_pool_own(&engine->pools.orders, slot, command->participant);
    order->marks = 0;
    OME_ASSERT(!ome_book_crosses(book, subject->side, key));
    ome_book_add(book, &engine->pools, slot, subject->side, command->price, key);
    /* From its home: matching has taken entries out. */
    const ome_index_place_t home = {.hash = hash, .place = ome_order_index_home(&engine->pools.index, hash)};
    ome_order_index_insert_at(&engine->pools.index, home, slot);
    ome_event_rested(engine, sink, subject, command->price, leaves, OME_EVENT_FLAGS_RESTS);
    OME_EXPECT(ome_order_pool_state(&engine->pools.orders, subject->order_id) == OME_ORDER_LIVE);
}

/* An order that passes every check and does not simply join the book: it trades what crosses; what is left rests or is cancelled. */
OME_ALWAYS_INLINE void plain_take(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, bool has_limit, uint64_t key, uint32_t hash, ome_sink_t *sink)
{
    const int64_t limit = has_limit ? command->price : 0;
    if (plain_take_one(engine, command, book, limit, key, sink))
    {
        return;
    }
    const uint32_t slot = ome_order_pool_take(&engine->pools.orders);
    const ome_subject_t subject = {.order_id = ome_order_id(&engine->pools.orders, slot),
        .client_order_id = command->client_order_id,
        .owner = ome_command_owner(command),
        .timestamp_ns = command->timestamp_ns,
        .instrument = book->number,
        .side = command->side};
    ome_event_accepted(engine, sink, &subject, limit, command->quantity, 0);
    const int64_t leaves = ome_match(engine, book, &subject, key, command->quantity, sink);
    OME_EXPECT(leaves >= 0 && leaves <= command->quantity);
    if (leaves != 0 && has_limit && command->time_in_force == OME_TIME_IN_FORCE_GTC)
    {
        plain_rest(engine, command, &subject, book, key, hash, leaves, sink);
        return;
    }
    ome_order_pool_free(&engine->pools.orders, slot);
    if (leaves != 0)
    {
        const uint8_t reason = has_limit ? OME_REASON_IMMEDIATE_OR_CANCEL : OME_REASON_NO_LIQUIDITY;
        ome_event_cancelled(engine, sink, &subject, limit, leaves, reason, 0);
    }
}

OME_NEVER_INLINE void plain_take_limit(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, uint32_t hash, ome_sink_t *sink)
{
    OME_EXPECT(command->flags == 0); /* no post-only order takes */
    plain_take(engine, command, book, true, key, hash, sink);
}

/* The same where stops wait: those that it triggers enter. */
OME_NEVER_INLINE void plain_take_and_trigger(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, uint32_t hash, ome_sink_t *sink)
{
    OME_EXPECT(book->waiting_count != 0);
    OME_EXPECT(engine->elected_head == 0);
    ome_stop_watch(engine, book, command->side, key);
    plain_take_limit(engine, command, book, key, hash, sink);
    ome_stop_look_after(engine, book);
    ome_elected_run(engine, command->timestamp_ns, sink);
}

/* ---- the commands ---- */

/* The book of a new order whose sender, account, side, instrument and quantity are good; otherwise NULL. */
OME_ALWAYS_INLINE ome_book_t *plain_book(const ome_engine_t *engine, const ome_command_t *command)
{
    const uint32_t side_index = ome_side_index(command->side);
    const uint32_t instrument = command->instrument;
    if (OME_UNLIKELY(side_index > 1 || instrument - 1 >= engine->instrument_count ||
                     !ome_engine_knows_sender(engine, ome_command_sender(command)) ||
                     !ome_engine_may_use_account(engine, command->account, command->participant)))
    {
        return NULL;
    }
    ome_book_t *const book = &engine->books[instrument];
    /* In unsigned numbers, since the quantity may be anything; what is looked at has not overflowed. */
    const uint64_t quantity = (uint64_t)command->quantity;
    const int64_t open_quantity = (int64_t)((uint64_t)book->open_quantity[side_index] + quantity);
    const bool is_good = quantity - 1 < (uint64_t)OME_QUANTITY_MAX && open_quantity <= OME_OPEN_QUANTITY_MAX;
    return OME_LIKELY(is_good) ? book : NULL;
}

/* Whether a new order has a client order id that is not taken, and a slot is free. `at` is the home of the id, and becomes its place. */
OME_ALWAYS_INLINE bool plain_has_room(const ome_engine_t *engine, const ome_command_t *command, ome_index_place_t *at)
{
    const ome_book_pools_t *const pools = &engine->pools;
    return command->client_order_id != 0 &&
           ome_order_index_probe_from(&pools->index, &pools->orders, command->participant, command->client_order_id, at) == 0 &&
           !ome_order_pool_is_full(&pools->orders);
}

/* A GTC order that does not cross joins its level: as ome_book_add, with everything at hand. `at`: the place of its id. */
OME_ALWAYS_INLINE void plain_join(
    ome_engine_t *engine, const ome_command_t *command, ome_book_t *book, uint64_t key, ome_index_place_t at, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const uint8_t side = command->side;
    const uint32_t side_index = ome_side_index(side);
    const int64_t quantity = command->quantity;
    const uint64_t client_order_id = command->client_order_id;
    OME_EXPECT(quantity > 0);
    OME_EXPECT(!ome_book_crosses(book, side, key));
    const uint32_t level_index = ome_ladder_find_or_insert(&book->ladders[side_index], &pools->ladder, key);
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
        level->instrument = command->instrument;
        level->side = side;
        level->head = slot;
    }
    else
    {
        orders[tail].next = slot;
    }
    level->tail = slot;
    level->order_count = order_count + 1;
    ome_quantity_join_displayed(book, side_index, level, quantity);
    ome_order_pool_own(&pools->orders, slot, command->participant);
    ome_order_index_insert_at(&pools->index, at, slot);
    const ome_subject_t subject = {.order_id = (uint64_t)order->generation << 32 | slot,
        .client_order_id = client_order_id,
        .owner = owner,
        .timestamp_ns = command->timestamp_ns,
        .instrument = command->instrument,
        .side = side};
    ome_event_accepted(engine, sink, &subject, command->price, quantity, OME_EVENT_FLAGS_RESTS);
    OME_EXPECT(ome_order_pool_state(&pools->orders, subject.order_id) == OME_ORDER_LIVE);
}

/* A new order whose form is plain. `hash` is that of its client order id. */
OME_ALWAYS_INLINE bool ome_plain_new(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const uint8_t side = command->side;
    ome_book_t *const book = plain_book(engine, command);
    uint64_t tick_index;
    if (OME_UNLIKELY(book == NULL || !ome_instrument_is_price(&book->instrument, command->price, &tick_index)))
    {
        return false;
    }
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&pools->index, hash)};
    if (OME_UNLIKELY(!plain_has_room(engine, command, &at)))
    {
        return false;
    }
    const uint64_t key = ome_book_key(side, tick_index);
    if (OME_UNLIKELY(ome_book_crosses(book, side, key)) || command->time_in_force != OME_TIME_IN_FORCE_GTC)
    {
        if (OME_UNLIKELY(book->waiting_count != 0))
        {
            plain_take_and_trigger(engine, command, book, key, hash, sink);
            return true;
        }
        plain_take_limit(engine, command, book, key, hash, sink);
        return true;
    }
    if (OME_UNLIKELY(ome_ladder_pool_is_full(&pools->ladder)))
    {
        return false;
    }
    plain_join(engine, command, book, key, at, sink);
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

/* Whether an order, that a cancel, reduce or amend means, is one of the queue displayed, of the instrument that the command says, and was
 * sent by its session. */
OME_ALWAYS_INLINE bool plain_is_displayed(const ome_engine_t *engine, const ome_command_t *command, const ome_order_t *order)
{
    const uint32_t instrument = engine->pools.ladder.levels[order->level].instrument;
    return (order->marks & OME_PLAIN_MARKS_NOT_KNOWN) == 0 && (command->instrument == instrument || command->instrument == 0) &&
           order->owner >> 48 == command->session;
}

OME_ALWAYS_INLINE ome_subject_t plain_subject(
    const ome_command_t *command, const ome_order_t *order, uint32_t slot, uint64_t client_order_id, const ome_level_t *level)
{
    return (ome_subject_t){.order_id = (uint64_t)order->generation << 32 | slot,
        .client_order_id = client_order_id,
        .owner = order->owner,
        .timestamp_ns = command->timestamp_ns,
        .instrument = level->instrument,
        .side = level->side};
}

/* Cancels an order of the queue displayed, but for its entry in the index: as ome_book_unlink and ome_book_release, with everything at
 * hand. */
OME_ALWAYS_INLINE void plain_cancel(
    ome_engine_t *engine, const ome_command_t *command, uint32_t slot, uint64_t client_order_id, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    ome_order_t *const orders = pools->orders.orders;
    const ome_order_t *const order = &orders[slot];
    const uint32_t level_index = order->level;
    ome_level_t *const level = &pools->ladder.levels[level_index];
    ome_book_t *const book = &engine->books[level->instrument];
    const uint32_t side_index = ome_side_index(level->side);
    const int64_t quantity = order->leaves_quantity;
    const uint32_t next = order->next;
    const uint32_t previous = order->previous;
    OME_EXPECT(slot != 0);
    OME_EXPECT(engine->pools.orders.orders[slot].leaves_quantity > 0);
    ome_order_pool_free(&pools->orders, slot);
    uint32_t *const to_this = ome_choose(previous != 0, &orders[previous].next, &level->head);
    uint32_t *const back_to_this = ome_choose(next != 0, &orders[next].previous, &level->tail);
    *to_this = next;
    *back_to_this = previous;
    ome_quantity_leave_displayed(book, side_index, level, quantity);
    const ome_subject_t subject = plain_subject(command, order, slot, client_order_id, level); /* the slot says still who was in it */
    ome_event_cancelled(engine, sink, &subject, level->price, quantity, OME_REASON_REQUESTED, OME_EVENT_FLAGS_WAS_RESTING);
    OME_EXPECT((level->order_count == 1) == (level->head == 0));
    if (--level->order_count == 0 && level->hidden_head == 0)
    {
        ome_ladder_remove(&book->ladders[side_index], &pools->ladder, level_index);
    }
}

/* A cancel whose form is plain. `hash` is that of its client order id. */
OME_ALWAYS_INLINE bool ome_plain_cancel(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_order_index_t *const index = &engine->pools.index;
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(index, hash)};
    const uint32_t slot = ome_plain_find(engine, command, &at);
    if (OME_UNLIKELY(slot == 0 || !plain_is_displayed(engine, command, &engine->pools.orders.orders[slot])))
    {
        return false;
    }
    plain_cancel(engine, command, slot, command->client_order_id, sink);
    ome_order_index_remove_at(index, at.place);
    return true;
}

/* Puts an order, with other leaves, at the back of the level of another price. False, and nothing changed, where that crosses or has no
 * level. */
OME_ALWAYS_INLINE bool plain_move(
    ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, uint8_t side, int64_t price, uint64_t key, int64_t leaves)
{
    const ome_ladder_t *const ladder = &book->ladders[ome_side_index(side)];
    if (OME_UNLIKELY(ome_book_crosses(book, side, key) ||
                     (ome_ladder_find_near(ladder, &pools->ladder, key) == 0 && ome_ladder_pool_is_full(&pools->ladder))))
    {
        return false;
    }
    OME_EXPECT(leaves > 0);
    ome_book_unlink(book, pools, slot);
    ome_quantity_set_open(&pools->orders.orders[slot], leaves);
    ome_book_add(book, pools, slot, side, price, key);
    OME_EXPECT(pools->ladder.levels[pools->orders.orders[slot].level].tail == slot);
    return true;
}

/* An amend by client order id whose flags are zero, of an order that goes on resting. `hash` is that of its client order id. */
OME_ALWAYS_INLINE bool ome_plain_amend(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&pools->index, hash)};
    const uint32_t slot = ome_plain_find(engine, command, &at);
    ome_order_t *const order = &pools->orders.orders[slot];
    if (OME_UNLIKELY(
            slot == 0 || !plain_is_displayed(engine, command, order) || (command->quantity < 0 && command->quantity != OME_NULL_VALUE)))
    {
        return false;
    }
    const ome_level_t *const level = &pools->ladder.levels[order->level];
    ome_book_t *const book = &engine->books[level->instrument];
    const uint8_t side = level->side;
    const int64_t old_leaves = order->leaves_quantity;
    const int64_t leaves = command->quantity == OME_NULL_VALUE ? old_leaves : command->quantity - order->cumulative_quantity;
    const int64_t price = command->price == OME_NULL_VALUE ? level->price : command->price;
    uint64_t tick_index;
    if (OME_UNLIKELY(leaves <= 0 || leaves > OME_QUANTITY_MAX || !ome_quantity_fits(book, side, leaves - old_leaves) ||
                     order->cumulative_quantity + leaves > OME_OPEN_QUANTITY_MAX ||
                     !ome_instrument_is_price(&book->instrument, price, &tick_index)))
    {
        return false;
    }
    const ome_subject_t subject = plain_subject(command, order, slot, command->client_order_id, level);
    uint8_t flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS;
    if (price != level->price || leaves > old_leaves)
    {
        if (OME_UNLIKELY(!plain_move(book, pools, slot, side, price, ome_book_key(side, tick_index), leaves)))
        {
            return false;
        }
    }
    else
    {
        flags |= OME_EVENT_FLAGS_KEPT_PRIORITY;
        if (leaves < old_leaves)
        {
            ome_book_reduce(book, pools, slot, old_leaves - leaves);
        }
    }
    ome_event_amended(engine, sink, &subject, price, leaves, flags);
    OME_EXPECT(order->leaves_quantity == leaves);
    return true;
}

/* ---- not as common ---- */

/* The slot of the sender's own order that a command means by its order id; or 0. */
static inline uint32_t plain_find_by_order_id(const ome_engine_t *engine, const ome_command_t *command)
{
    const uint32_t slot = (uint32_t)command->client_order_id;
    const ome_order_pool_t *const pool = &engine->pools.orders;
    const bool is_own = ome_order_pool_state(pool, command->client_order_id) == OME_ORDER_LIVE &&
                        ome_owner_participant(pool->orders[slot].owner) == command->participant &&
                        ome_engine_knows_sender(engine, ome_command_sender(command));
    return is_own ? slot : 0;
}

static inline bool plain_cancel_by_order_id(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    const uint32_t slot = plain_find_by_order_id(engine, command);
    if (OME_UNLIKELY(slot == 0 || !plain_is_displayed(engine, command, &pools->orders.orders[slot])))
    {
        return false;
    }
    const uint64_t client_order_id = pools->orders.orders[slot].client_order_id;
    if (client_order_id != 0)
    {
        ome_order_index_remove(&pools->index, command->participant, client_order_id, slot);
    }
    plain_cancel(engine, command, slot, client_order_id, sink);
    return true;
}

static inline bool plain_reduce(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_book_pools_t *const pools = &engine->pools;
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&pools->index, hash)};
    const bool is_by_order_id = (command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0;
    const uint32_t slot = is_by_order_id ? plain_find_by_order_id(engine, command) : ome_plain_find(engine, command, &at);
    const ome_order_t *const order = &pools->orders.orders[slot];
    const int64_t quantity = command->quantity;
    if (OME_UNLIKELY(slot == 0 || !plain_is_displayed(engine, command, order) || quantity <= 0 || quantity >= order->leaves_quantity))
    {
        return false;
    }
    const ome_level_t *const level = &pools->ladder.levels[order->level];
    const ome_subject_t subject = plain_subject(command, order, slot, order->client_order_id, level);
    ome_book_reduce(&engine->books[level->instrument], pools, slot, quantity);
    ome_event_reduced(
        engine, sink, &subject, level->price, quantity, OME_REASON_NONE, OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_KEPT_PRIORITY);
    return true;
}

/* Where no collar holds it, what is left is not to rest, and no stop waits. */
static inline bool plain_market(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&engine->pools.index, hash)};
    ome_book_t *const book = plain_book(engine, command);
    if (OME_UNLIKELY(book == NULL || book->instrument.collar_ticks != 0 || book->waiting_count != 0 ||
                     (book->instrument.flags & OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT) != 0 || !plain_has_room(engine, command, &at)))
    {
        return false;
    }
    plain_take(engine, command, book, false, OME_BOOK_ANY_KEY, hash, sink);
    return true;
}

/* Where the best level has enough to fill it, and no stop waits. */
static inline bool plain_fill_or_kill(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    ome_index_place_t at = {.hash = hash, .place = ome_order_index_home(&engine->pools.index, hash)};
    ome_book_t *const book = plain_book(engine, command);
    uint64_t tick_index;
    if (OME_UNLIKELY(book == NULL || book->waiting_count != 0 || !ome_instrument_is_price(&book->instrument, command->price, &tick_index) ||
                     !plain_has_room(engine, command, &at)))
    {
        return false;
    }
    const uint64_t key = ome_book_key(command->side, tick_index);
    const ome_level_t *const level = &engine->pools.ladder.levels[ome_book_best(book, ome_side_opposite(command->side))];
    if (!ome_book_crosses(book, command->side, key) || level->quantity + level->hidden_quantity < command->quantity)
    {
        return false;
    }
    plain_take(engine, command, book, true, key, hash, sink);
    return true;
}

/* The plain commands that are not as common; false for all others. */
OME_NEVER_INLINE bool ome_plain_other(ome_engine_t *engine, const ome_command_t *command, uint64_t form, uint32_t hash, ome_sink_t *sink)
{
    if (ome_plain_is_market(form))
    {
        return plain_market(engine, command, hash, sink);
    }
    if (ome_plain_is_reduce(form))
    {
        return plain_reduce(engine, command, hash, sink);
    }
    if (ome_plain_is_fill_or_kill(form))
    {
        return plain_fill_or_kill(engine, command, hash, sink);
    }
    return ome_plain_is_cancel_by_order_id(form) && plain_cancel_by_order_id(engine, command, sink);
}

#endif
