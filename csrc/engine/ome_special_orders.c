#include "engine/ome_special_orders.h"

#include "engine/ome_special_checks.h"
#include "engine/ome_standing.h"
#include "engine/ome_stop.h"

const ome_given_t OME_GIVEN_NONE = {.given = 0};

static ome_special_t *special_of(ome_engine_t *engine, uint32_t slot)
{
    return &engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])];
}

/* The stop waits from now on, behind those of its stop price; where it is past its trigger, it is elected. */
static void wait_or_elect(ome_engine_t *engine, ome_book_t *book, uint32_t slot, bool is_past)
{
    special_of(engine, slot)->entry = engine->sequence;
    if (is_past)
    {
        ome_stop_elect(engine, slot);
        return;
    }
    ome_book_wait(book, &engine->pools, slot);
}

/* ---- a new order ---- */

static void make_special(ome_engine_t *engine, uint32_t slot, const ome_special_t *special)
{
    const uint32_t index = ome_special_pool_take(&engine->pools.specials);
    engine->pools.specials.records[index] = *special;
    ome_book_make_special(&engine->pools, slot, index);
    if (special->deadline_ns != 0 && special->deadline_ns < engine->attention_ns)
    {
        engine->attention_ns = special->deadline_ns;
    }
}

/* Gives an order that passed every check its slot, its place in the index, and its record. */
static void take_slot(ome_engine_t *engine, ome_new_order_t *made)
{
    ome_book_pools_t *pools = &engine->pools;
    ome_entrant_t *entrant = &made->entrant;
    const uint32_t slot = ome_order_pool_take(&pools->orders);
    ome_order_t *order = &pools->orders.orders[slot];
    entrant->slot = slot;
    entrant->order_id = ome_order_id(&pools->orders, slot);
    order->leaves_quantity = entrant->leaves;
    order->cumulative_quantity = 0;
    order->client_order_id = entrant->client_order_id;
    order->owner = entrant->owner;
    ome_order_pool_own(&pools->orders, slot, ome_owner_participant(entrant->owner));
    order->level = 0;
    order->marks = entrant->marks;
    if (entrant->client_order_id != 0)
    {
        ome_order_index_insert(&pools->index, ome_owner_participant(entrant->owner), entrant->client_order_id, slot);
    }
    if (made->is_special)
    {
        make_special(engine, slot, &made->special);
    }
}

void ome_special_new(ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_sink_t *sink)
{
    ome_new_order_t made;
    const uint8_t reason = ome_check_new_order(engine, command, given, &made);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    take_slot(engine, &made);
    ome_entrant_t *entrant = &made.entrant;
    if (ome_entrant_would_rest(entrant) && !made.waits && !made.crosses && entrant->minimum_quantity == 0)
    {
        ome_entry_join(engine, entrant, OME_EVENT_KIND_ACCEPTED, 0, sink);
        return;
    }
    const uint8_t flags = made.waits && !made.is_past ? OME_EVENT_FLAGS_WAITING : 0;
    ome_entrant_write(engine, entrant, entrant->leaves, OME_EVENT_KIND_ACCEPTED, OME_REASON_NONE, flags, sink);
    if (made.waits)
    {
        wait_or_elect(engine, entrant->book, entrant->slot, made.is_past);
    }
    else
    {
        ome_entry_run(engine, entrant, sink);
        ome_stop_look_after(engine, entrant->book);
    }
    ome_stop_run(engine, command->timestamp_ns, sink);
}

/* ---- an amend ---- */

/* The order has this client order id from now on, in all events of the amend. */
static void rename(ome_engine_t *engine, ome_standing_t *standing, uint64_t client_order_id)
{
    ome_order_t *order = &engine->pools.orders.orders[standing->slot];
    const uint16_t participant = ome_owner_participant(order->owner);
    if (client_order_id == order->client_order_id)
    {
        return;
    }
    if (order->client_order_id != 0)
    {
        ome_order_index_remove(&engine->pools.index, participant, order->client_order_id, standing->slot);
    }
    order->client_order_id = client_order_id;
    standing->client_order_id = client_order_id;
    ome_order_index_insert(&engine->pools.index, participant, client_order_id, standing->slot);
}

static void amend_waiting(ome_engine_t *engine, const ome_standing_t *standing, const ome_change_t *change, ome_sink_t *sink)
{
    ome_special_t *special = special_of(engine, standing->slot);
    const bool moves = change->stop_price != special->stop_price || change->leaves > change->old_leaves;
    special->limit = change->price;
    engine->pools.orders.orders[standing->slot].leaves_quantity = change->leaves;
    uint8_t flags = OME_EVENT_FLAGS_WAITING | OME_EVENT_FLAGS_KEPT_PRIORITY;
    if (moves && ome_order_type_trails(special->order_type))
    {
        /* It stays in its group: an amend gives it no stop price, and its place is a matter of entry alone. */
        special->entry = engine->sequence;
        flags = OME_EVENT_FLAGS_WAITING;
    }
    else if (moves)
    {
        const bool is_past = ome_stop_is_past(standing->book, standing->side, change->stop_price);
        ome_book_stop_waiting(standing->book, &engine->pools, standing->slot);
        special->stop_price = change->stop_price;
        wait_or_elect(engine, standing->book, standing->slot, is_past);
        flags = is_past ? 0 : OME_EVENT_FLAGS_WAITING;
    }
    ome_standing_write(engine, standing, change->price, change->leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE, flags, sink);
    ome_stop_run(engine, standing->timestamp_ns, sink);
}

/* The order leaves its queue: it joins the back of one, or trades first. */
static void amend_moving(ome_engine_t *engine, const ome_standing_t *standing, const ome_change_t *change, ome_sink_t *sink)
{
    const ome_order_t *order = &engine->pools.orders.orders[standing->slot];
    ome_entrant_t entrant = {.book = standing->book,
        .order_id = standing->order_id,
        .client_order_id = standing->client_order_id,
        .owner = standing->owner,
        .timestamp_ns = standing->timestamp_ns,
        .key = change->key,
        .limit_key = ome_book_limit_key(change->key),
        .price = change->price,
        .leaves = change->leaves,
        .slot = standing->slot,
        .group = special_of(engine, standing->slot)->group,
        .side = standing->side,
        .marks = order->marks,
        .time_in_force = OME_TIME_IN_FORCE_GTC,
        .has_limit = true};
    ome_standing_leave(engine, standing, sink);
    if (!change->crosses)
    {
        ome_entry_join(engine, &entrant, OME_EVENT_KIND_AMENDED, OME_EVENT_FLAGS_WAS_RESTING, sink);
        return;
    }
    ome_entrant_write(engine, &entrant, entrant.leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE, standing->flags, sink);
    ome_entry_meet(engine, &entrant, sink);
    ome_stop_look_after(engine, entrant.book);
    ome_stop_run(engine, entrant.timestamp_ns, sink);
}

static void amend_resting(ome_engine_t *engine, const ome_standing_t *standing, const ome_change_t *change, ome_sink_t *sink)
{
    if (change->price != standing->price || change->leaves > change->old_leaves)
    {
        amend_moving(engine, standing, change, sink);
        return;
    }
    if (change->leaves < change->old_leaves)
    {
        ome_standing_shrink(engine, standing, change->old_leaves - change->leaves, sink);
    }
    ome_standing_write(engine, standing, standing->price, change->leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE,
        (uint8_t)(standing->flags | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY), sink);
}

void ome_special_amend(ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_sink_t *sink)
{
    ome_change_t change;
    const uint8_t reason = ome_check_amend_order(engine, command, given, &change);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    if (change.leaves <= 0)
    {
        ome_standing_cancel(engine, change.slot, command->timestamp_ns, OME_REASON_AMENDED_AWAY, sink);
        return;
    }
    ome_standing_t standing = ome_standing_order(engine, change.slot, command->timestamp_ns);
    rename(engine, &standing, change.client_order_id);
    if (change.waits)
    {
        amend_waiting(engine, &standing, &change, sink);
        return;
    }
    amend_resting(engine, &standing, &change, sink);
}

/* ---- a cancel, a reduce ---- */

void ome_special_cancel(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    uint32_t slot;
    const uint8_t reason = ome_check_cancel_order(engine, command, &slot);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    ome_standing_cancel(engine, slot, command->timestamp_ns, OME_REASON_REQUESTED, sink);
}

void ome_special_reduce(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    uint32_t slot;
    const uint8_t reason = ome_check_reduce_order(engine, command, &slot);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    if (command->quantity >= ome_book_leaves(&engine->pools, &engine->pools.orders.orders[slot]))
    {
        ome_standing_cancel(engine, slot, command->timestamp_ns, OME_REASON_REDUCED_AWAY, sink);
        return;
    }
    ome_standing_reduce(engine, slot, command->quantity, command->timestamp_ns, OME_REASON_NONE, sink);
}
