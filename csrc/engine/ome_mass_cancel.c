#include "engine/ome_mass_cancel.h"

#include "book/ome_chain.h"
#include "engine/ome_special_checks.h"
#include "engine/ome_standing.h"
#include "engine/ome_stop.h"

/* ---- the orders that match, chained and sorted ----
 *
 * An order that is about to be cancelled has no more use for the quantity that it has traded: no event says it. So the chain of those
 * that match is linked through that field, while they are in their queues still, and needs no memory. */

static uint32_t chain_next(const ome_book_pools_t *pools, uint32_t slot)
{
    return (uint32_t)pools->orders.orders[slot].cumulative_quantity;
}

static void chain_link(const ome_book_pools_t *pools, uint32_t slot, uint32_t next)
{
    pools->orders.orders[slot].cumulative_quantity = next;
}

static bool has_lower_id(const ome_book_pools_t *pools, uint32_t slot, uint32_t other)
{
    return ome_order_id(&pools->orders, slot) < ome_order_id(&pools->orders, other);
}

static const ome_chain_t BY_ORDER_ID = {chain_next, chain_link, has_lower_id};

/* What a command says of the orders that it means. */
typedef bool (*match_t)(const ome_engine_t *engine, const ome_command_t *command, const ome_standing_t *order);

/* Puts a live order before the chain where it matches. Returns the head. */
static uint32_t chain_matching(ome_engine_t *engine, const ome_command_t *command, match_t matches, uint32_t slot, uint32_t head)
{
    const ome_standing_t order = ome_standing_order(engine, slot, command->timestamp_ns);
    if ((command->instrument != 0 && command->instrument != order.book->number) || !matches(engine, command, &order))
    {
        return head;
    }
    chain_link(&engine->pools, slot, head);
    return slot;
}

/* Of all orders: reads the whole pool. */
static uint32_t chain_of_all(ome_engine_t *engine, const ome_command_t *command, match_t matches)
{
    uint32_t head = 0;
    for (uint32_t slot = 1; slot <= engine->pools.orders.slots_ever_used; slot++)
    {
        if (engine->pools.orders.orders[slot].leaves_quantity > 0)
        {
            head = chain_matching(engine, command, matches, slot, head);
        }
    }
    return head;
}

/* Of the command's participant: costs as much as it has orders, whatever others have. */
static uint32_t chain_of_participant(ome_engine_t *engine, const ome_command_t *command, match_t matches)
{
    ome_order_pool_t *const pool = &engine->pools.orders;
    uint32_t head = 0;
    for (uint32_t slot = ome_order_pool_next_of(pool, command->participant, 0); slot != 0;
        slot = ome_order_pool_next_of(pool, command->participant, slot))
    {
        head = chain_matching(engine, command, matches, slot, head);
    }
    return head;
}

/* The place after `position` on a walk over the heap of deadlines, each before its children; without those where `is_pruned`. 0 at the end. */
static uint32_t next_position(const ome_special_pool_t *pool, uint32_t position, bool is_pruned)
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
static uint32_t chain_of_dated(ome_engine_t *engine, const ome_command_t *command, match_t matches)
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
            head = chain_matching(engine, command, matches, (uint32_t)special->order_id, head);
        }
        position = next_position(pool, position, is_later);
    }
    return head;
}

/* Cancels the orders of a chain, by rising order id; returns how many. */
static int64_t cancel_chain(ome_engine_t *engine, const ome_command_t *command, uint32_t head, uint8_t reason, ome_sink_t *sink)
{
    int64_t count = 0;
    uint32_t slot = ome_chain_sort(&engine->pools, BY_ORDER_ID, head);
    while (slot != 0)
    {
        const uint32_t next = chain_next(&engine->pools, slot);
        ome_standing_cancel(engine, slot, command->timestamp_ns, reason, sink);
        count++;
        slot = next;
    }
    return count;
}

static void write_completed(ome_engine_t *engine, const ome_command_t *command, uint64_t client_order_id, int64_t price, int64_t quantity,
    uint8_t side, ome_sink_t *sink)
{
    ome_event_write(engine, sink, 0, client_order_id, price, quantity, command->timestamp_ns,
        ome_command_owner(command) & ~(uint64_t)UINT32_MAX,
        ome_event_last_word(command->instrument, OME_EVENT_KIND_COMPLETED, side, OME_REASON_NONE, command->kind));
}

/* ---- MassCancel ---- */

static bool is_for_anybody(const ome_command_t *command)
{
    return (command->flags & OME_COMMAND_FLAGS_ANY_PARTICIPANT) != 0;
}

static uint8_t check_mass_cancel(const ome_engine_t *engine, const ome_command_t *command)
{
    const uint32_t known = OME_COMMAND_FLAGS_BY_ACCOUNT | OME_COMMAND_FLAGS_BY_SESSION | OME_COMMAND_FLAGS_ANY_PARTICIPANT;
    if (command->reserved != 0)
    {
        return OME_REASON_RESERVED_NOT_ZERO;
    }
    if (!ome_engine_knows_sender(engine, ome_command_sender(command)))
    {
        return OME_REASON_UNKNOWN_SESSION;
    }
    if (command->instrument > engine->instrument_count)
    {
        return OME_REASON_UNKNOWN_INSTRUMENT;
    }
    if (command->side > OME_SIDE_SELL)
    {
        return OME_REASON_BAD_SIDE;
    }
    return (command->flags & ~known) != 0 || (is_for_anybody(command) && command->session != 0) ? OME_REASON_BAD_FLAGS : OME_REASON_NONE;
}

/* Whose the order is decides which orders are asked for. */
static bool mass_cancel_means(const ome_engine_t *engine, const ome_command_t *command, const ome_standing_t *order)
{
    (void)engine;
    const bool is_account = (uint32_t)order->owner == command->account;
    const bool is_session = (uint16_t)(order->owner >> 48) == command->target_session;
    return (is_account || (command->flags & OME_COMMAND_FLAGS_BY_ACCOUNT) == 0) &&
           (is_session || (command->flags & OME_COMMAND_FLAGS_BY_SESSION) == 0) && (command->side == 0 || command->side == order->side);
}

void ome_mass_cancel(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    const uint8_t reason = check_mass_cancel(engine, command);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    const uint32_t head = is_for_anybody(command) ? chain_of_all(engine, command, mass_cancel_means)
                                                  : chain_of_participant(engine, command, mass_cancel_means);
    const int64_t count = cancel_chain(engine, command, head, OME_REASON_MASS_CANCELLED, sink);
    write_completed(engine, command, command->client_order_id, 0, count, command->side, sink);
}

/* ---- ExpireOrders ---- */

static uint8_t check_expire_orders(const ome_engine_t *engine, const ome_command_t *command)
{
    if (command->reserved != 0)
    {
        return OME_REASON_RESERVED_NOT_ZERO;
    }
    if (command->instrument > engine->instrument_count)
    {
        return OME_REASON_UNKNOWN_INSTRUMENT;
    }
    const uint32_t allowed = OME_COMMAND_FLAGS_END_OF_DAY | OME_COMMAND_FLAGS_SET_TIME;
    return (command->flags & ~allowed) != 0 ? OME_REASON_BAD_FLAGS : OME_REASON_NONE;
}

static bool expire_orders_means(const ome_engine_t *engine, const ome_command_t *command, const ome_standing_t *order)
{
    const ome_order_t *live = &engine->pools.orders.orders[order->slot];
    const uint64_t deadline_ns = engine->pools.specials.records[ome_order_special(live)].deadline_ns;
    const bool is_day = (live->marks & OME_ORDER_MARK_DAY) != 0 && (command->flags & OME_COMMAND_FLAGS_END_OF_DAY) != 0;
    return is_day || (deadline_ns != 0 && deadline_ns <= command->cutoff_ns);
}

void ome_expire_orders(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    const uint8_t reason = check_expire_orders(engine, command);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    if ((command->flags & OME_COMMAND_FLAGS_SET_TIME) != 0)
    {
        engine->time_ns = command->timestamp_ns; /* an operator's: what has expired by the time that was wrong stays expired */
    }
    const bool is_end_of_day = (command->flags & OME_COMMAND_FLAGS_END_OF_DAY) != 0;
    const uint32_t head =
        is_end_of_day ? chain_of_all(engine, command, expire_orders_means) : chain_of_dated(engine, command, expire_orders_means);
    const int64_t count = cancel_chain(engine, command, head, OME_REASON_EXPIRED, sink);
    write_completed(engine, command, 0, 0, count, 0, sink);
}

/* ---- SetLastPrice ---- */

static uint8_t check_set_last_price(const ome_engine_t *engine, const ome_command_t *command)
{
    if (command->reserved != 0)
    {
        return OME_REASON_RESERVED_NOT_ZERO;
    }
    if (command->instrument == 0 || command->instrument > engine->instrument_count)
    {
        return OME_REASON_UNKNOWN_INSTRUMENT;
    }
    return ome_check_price(&engine->books[command->instrument], command->price);
}

void ome_set_last_price(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    const uint8_t reason = check_set_last_price(engine, command);
    if (reason != OME_REASON_NONE)
    {
        ome_reject(engine, command, reason, sink);
        return;
    }
    write_completed(engine, command, 0, command->price, 0, 0, sink);
    ome_stop_look(engine, &engine->books[command->instrument], command->price);
    ome_stop_run(engine, command->timestamp_ns, sink);
}
