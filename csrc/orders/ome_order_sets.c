#include "orders/ome_order_sets.h"

#include "book/ome_chain.h"
#include "matching/ome_resting.h"

/* ---- the orders that match, chained and sorted ----
 *
 * An order that is about to be cancelled has no more use for the quantity that it has traded: no event says it. So the chain of those
 * that match is linked through that field, while they are in their queues still, and needs no memory. */

static uint32_t sets_next(const ome_book_pools_t *pools, uint32_t slot)
{
    return pools->orders.orders[slot].next_in_chain;
}

static void sets_link(const ome_book_pools_t *pools, uint32_t slot, uint32_t next)
{
    pools->orders.orders[slot].next_in_chain = next;
}

static bool sets_has_lower_id(const ome_book_pools_t *pools, uint32_t slot, uint32_t other)
{
    return ome_order_id(&pools->orders, slot) < ome_order_id(&pools->orders, other);
}

static const ome_chain_t SETS_BY_ORDER_ID = {sets_next, sets_link, sets_has_lower_id};

/* What a command says of the orders that it means. */
typedef bool (*match_t)(const ome_engine_t *engine, const ome_command_t *command, const ome_resting_view_t *resting);

/* Puts a live order before the chain where it matches. Returns the head. */
static uint32_t sets_chain_matching(ome_engine_t *engine, const ome_command_t *command, match_t matches, uint32_t slot, uint32_t head)
{
    const ome_resting_view_t resting = ome_resting_view(engine, slot, command->timestamp_ns);
    OME_EXPECT(slot != 0);
    if ((command->instrument != 0 && command->instrument != resting.subject.instrument) || !matches(engine, command, &resting))
    {
        return head;
    }
    sets_link(&engine->pools, slot, head);
    return slot;
}

/* Of all orders: reads the whole pool. */
static uint32_t sets_chain_all(ome_engine_t *engine, const ome_command_t *command, match_t matches)
{
    uint32_t head = 0;
    for (uint32_t slot = 1; slot <= engine->pools.orders.slots_ever_used; slot++)
    {
        if (engine->pools.orders.orders[slot].leaves_quantity > 0)
        {
            head = sets_chain_matching(engine, command, matches, slot, head);
        }
    }
    return head;
}

/* Of the command's participant: costs as much as it has orders, whatever others have. */
static uint32_t sets_chain_participant(ome_engine_t *engine, const ome_command_t *command, match_t matches)
{
    ome_order_pool_t *const pool = &engine->pools.orders;
    uint32_t head = 0;
    for (uint32_t slot = ome_order_pool_next_of(pool, command->participant, 0); slot != 0;
        slot = ome_order_pool_next_of(pool, command->participant, slot))
    {
        head = sets_chain_matching(engine, command, matches, slot, head);
    }
    return head;
}

/* The place after `position` on a walk over the heap of deadlines, each before its children; without those where `is_pruned`. 0 at the end. */
static uint32_t sets_next_position(const ome_special_pool_t *pool, uint32_t position, bool is_pruned)
{
    if (!is_pruned && position <= pool->heap_count / 2)
    {
        return 2 * position;
    }
    while (position % 2 == 1 || position == pool->heap_count)
    {
        position /= 2; /* 0 behind the root, which is 1 */
    }
    return position == 0 ? 0 : position + 1;
}

/* Of those whose deadline is not behind the cutoff: costs as much as there are. */
static uint32_t sets_chain_dated(ome_engine_t *engine, const ome_command_t *command, match_t matches)
{
    const ome_special_pool_t *const pool = &engine->pools.specials;
    uint32_t head = 0;
    uint32_t position = pool->heap_count > 0 ? 1 : 0;
    while (position != 0)
    {
        const ome_special_t *special = &pool->records[pool->heap[position]];
        const bool is_later = special->deadline_ns > command->cutoff_ns;
        if (!is_later)
        {
            head = sets_chain_matching(engine, command, matches, (uint32_t)special->order_id, head);
        }
        position = sets_next_position(pool, position, is_later);
    }
    return head;
}

/* Cancels the orders of a chain, by rising order id; returns how many. */
static int64_t sets_cancel(ome_engine_t *engine, const ome_command_t *command, uint32_t head, uint8_t reason, ome_sink_t *sink)
{
    int64_t count = 0;
    uint32_t slot = ome_chain_sort(&engine->pools, SETS_BY_ORDER_ID, head);
    while (slot != 0)
    {
        const uint32_t next = sets_next(&engine->pools, slot);
        OME_EXPECT(next == 0 || sets_has_lower_id(&engine->pools, slot, next));
        ome_resting_cancel(engine, slot, command->timestamp_ns, reason, sink);
        count++;
        slot = next;
    }
    return count;
}

/* ---- MassCancel ---- */

/* Whose the order is decides which orders are asked for. */
static bool sets_mass_cancel_means(const ome_engine_t *engine, const ome_command_t *command, const ome_resting_view_t *resting)
{
    (void)engine;
    const bool is_account = (uint32_t)resting->subject.owner == command->account;
    const bool is_session = (uint16_t)(resting->subject.owner >> 48) == command->target_session;
    return (is_account || (command->flags & OME_COMMAND_FLAGS_BY_ACCOUNT) == 0) &&
           (is_session || (command->flags & OME_COMMAND_FLAGS_BY_SESSION) == 0) &&
           (command->side == 0 || command->side == resting->subject.side);
}

void ome_order_sets_mass_cancel(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    const bool is_for_anybody = (command->flags & OME_COMMAND_FLAGS_ANY_PARTICIPANT) != 0;
    const uint32_t head = is_for_anybody ? sets_chain_all(engine, command, sets_mass_cancel_means)
                                         : sets_chain_participant(engine, command, sets_mass_cancel_means);
    const bool is_on_disconnect = (command->flags & OME_COMMAND_FLAGS_ON_DISCONNECT) != 0;
    const uint8_t reason = is_on_disconnect ? OME_REASON_DISCONNECTED : OME_REASON_MASS_CANCELLED;
    const int64_t count = sets_cancel(engine, command, head, reason, sink);
    OME_EXPECT((is_for_anybody ? sets_chain_all : sets_chain_participant)(engine, command, sets_mass_cancel_means) == 0);
    ome_event_completed(engine, sink, command, command->client_order_id, 0, count, command->side);
}

/* ---- ExpireOrders ---- */

static bool sets_expire_means(const ome_engine_t *engine, const ome_command_t *command, const ome_resting_view_t *resting)
{
    const ome_order_t *live = &engine->pools.orders.orders[resting->slot];
    const uint64_t deadline_ns = engine->pools.specials.records[ome_order_special(live)].deadline_ns;
    const bool is_day = (live->marks & OME_ORDER_MARK_DAY) != 0 && (command->flags & OME_COMMAND_FLAGS_END_OF_DAY) != 0;
    return is_day || (deadline_ns != 0 && deadline_ns <= command->cutoff_ns);
}

void ome_order_sets_expire(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    if ((command->flags & OME_COMMAND_FLAGS_SET_TIME) != 0)
    {
        engine->time_ns = command->timestamp_ns; /* an operator's: what has expired by the time that was wrong stays expired */
    }
    const bool is_end_of_day = (command->flags & OME_COMMAND_FLAGS_END_OF_DAY) != 0;
    const uint32_t head =
        is_end_of_day ? sets_chain_all(engine, command, sets_expire_means) : sets_chain_dated(engine, command, sets_expire_means);
    const int64_t count = sets_cancel(engine, command, head, OME_REASON_EXPIRED, sink);
    OME_EXPECT((is_end_of_day ? sets_chain_all : sets_chain_dated)(engine, command, sets_expire_means) == 0);
    ome_event_completed(engine, sink, command, 0, 0, count, 0);
}
