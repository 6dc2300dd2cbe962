#include "orders/ome_change.h"

#include "book/ome_book.h"
#include "book/ome_trailing.h"
#include "matching/ome_resting.h"
#include "matching/ome_stop.h"
#include "orders/ome_entry.h"

/* ---- a cancel, a reduce ---- */

void ome_change_cancel(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink)
{
    OME_EXPECT(admission->slot != 0);
    ome_resting_cancel(engine, admission->slot, admission->command->timestamp_ns, OME_REASON_REQUESTED, sink);
}

void ome_change_reduce(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink)
{
    const ome_command_t *command = admission->command;
    OME_ASSERT(command->quantity > 0);
    if (command->quantity >= admission->old_leaves)
    {
        ome_resting_cancel(engine, admission->slot, command->timestamp_ns, OME_REASON_REDUCED_AWAY, sink);
        return;
    }
    ome_resting_reduce(engine, admission->slot, command->quantity, command->timestamp_ns, OME_REASON_NONE, sink);
}

/* ---- an amend ---- */

/* The order has this client order id from now on, in all events of the amend. */
static void change_rename(ome_engine_t *engine, ome_resting_view_t *resting, uint64_t client_order_id)
{
    ome_order_t *order = &engine->pools.orders.orders[resting->slot];
    const uint16_t participant = ome_owner_participant(order->owner);
    OME_EXPECT(client_order_id != 0 || order->client_order_id == 0);
    if (client_order_id == order->client_order_id)
    {
        return;
    }
    if (order->client_order_id != 0)
    {
        ome_order_index_remove(&engine->pools.index, participant, order->client_order_id, resting->slot);
    }
    order->client_order_id = client_order_id;
    resting->subject.client_order_id = client_order_id;
    ome_order_index_insert(&engine->pools.index, participant, client_order_id, resting->slot);
}

static void change_waiting(ome_engine_t *engine, const ome_admission_t *admission, const ome_resting_view_t *resting, ome_sink_t *sink)
{
    ome_special_t *special = ome_resting_special(engine, resting->slot);
    const bool moves = admission->stop_price != special->stop_price || admission->leaves > admission->old_leaves;
    OME_EXPECT(admission->waits);
    OME_EXPECT(admission->leaves > 0);
    special->limit = admission->price;
    ome_quantity_set_open(&engine->pools.orders.orders[resting->slot], admission->leaves);
    uint8_t flags = OME_EVENT_FLAGS_WAITING | OME_EVENT_FLAGS_KEPT_PRIORITY;
    if (moves && ome_order_type_trails(special->order_type))
    {
        /* It stays in its group: an amend gives it no stop price, and its place is a matter of entry alone. */
        special->entry = engine->sequence;
        flags = OME_EVENT_FLAGS_WAITING;
    }
    else if (moves)
    {
        const bool is_past = ome_stop_is_past(resting->book, resting->subject.side, admission->stop_price);
        ome_book_stop_waiting(resting->book, &engine->pools, resting->slot);
        special->stop_price = admission->stop_price;
        ome_entry_wait(engine, resting->book, resting->slot, is_past);
        flags = is_past ? 0 : OME_EVENT_FLAGS_WAITING;
    }
    ome_event_amended(engine, sink, &resting->subject, admission->price, admission->leaves, flags);
    if ((flags & OME_EVENT_FLAGS_WAITING) != 0)
    {
        const uint32_t index = ome_order_special(&engine->pools.orders.orders[resting->slot]);
        const bool trails = ome_order_type_trails(special->order_type);
        const int64_t stop_price = trails ? ome_trailing_stop_price(resting->book, &engine->pools, index) : special->stop_price;
        ome_event_stop_set(engine, sink, &resting->subject, stop_price, admission->leaves, special->order_type);
    }
}

/* The order leaves its queue: it joins the back of one, or trades first. */
static void change_moving(ome_engine_t *engine, const ome_admission_t *admission, const ome_resting_view_t *resting, ome_sink_t *sink)
{
    ome_incoming_t incoming = {.subject = resting->subject,
        .book = resting->book,
        .key = admission->key,
        .price = admission->price,
        .leaves = admission->leaves,
        .slot = resting->slot,
        .group = ome_resting_special(engine, resting->slot)->group,
        .marks = admission->marks,
        .time_in_force = OME_TIME_IN_FORCE_GTC,
        .has_limit = true};
    OME_ASSERT(admission->leaves > 0);
    ome_resting_leave(engine, resting, sink);
    if (admission->crosses)
    {
        ome_entry_moved_across(engine, &incoming, resting->flags, sink);
        return;
    }
    ome_entry_moved(engine, &incoming, sink);
}

static void change_resting(ome_engine_t *engine, const ome_admission_t *admission, const ome_resting_view_t *resting, ome_sink_t *sink)
{
    OME_EXPECT(!admission->waits);
    OME_EXPECT(admission->leaves > 0);
    if (admission->price != resting->price || admission->leaves > admission->old_leaves)
    {
        change_moving(engine, admission, resting, sink);
        return;
    }
    if (admission->leaves < admission->old_leaves)
    {
        ome_resting_shrink(engine, resting, admission->old_leaves - admission->leaves, sink);
    }
    ome_event_amended(engine, sink, &resting->subject, resting->price, admission->leaves,
        (uint8_t)(resting->flags | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY));
}

void ome_change_amend(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink)
{
    const uint64_t timestamp_ns = admission->command->timestamp_ns;
    OME_EXPECT(admission->slot != 0);
    if (admission->leaves <= 0)
    {
        ome_resting_cancel(engine, admission->slot, timestamp_ns, OME_REASON_AMENDED_AWAY, sink);
        return;
    }
    ome_resting_view_t resting = ome_resting_view(engine, admission->slot, timestamp_ns);
    change_rename(engine, &resting, admission->client_order_id);
    if (admission->waits)
    {
        change_waiting(engine, admission, &resting, sink);
        return;
    }
    change_resting(engine, admission, &resting, sink);
}
