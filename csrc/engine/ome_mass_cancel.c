#include "engine/ome_mass_cancel.h"

#include "engine/ome_special_checks.h"
#include "engine/ome_standing.h"
#include "engine/ome_stop.h"

/* ---- the orders that match, chained and sorted ----
 *
 * An order that is about to be cancelled has no more use for the quantity that it has traded: no event says it. So the chain of those that match is linked
 * through that field, while they are in their queues still, and needs no memory. */

static uint32_t chain_next(const ome_engine_t *engine, uint32_t slot)
{
    return (uint32_t)engine->pools.orders.orders[slot].cumulative_quantity;
}

static void chain_link(ome_engine_t *engine, uint32_t slot, uint32_t next)
{
    engine->pools.orders.orders[slot].cumulative_quantity = next;
}

/* Merges two chains that are sorted by order id. */
static uint32_t merge(ome_engine_t *engine, uint32_t a, uint32_t b)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    while (a != 0 || b != 0)
    {
        const bool takes_a = b == 0 || (a != 0 && ome_order_id(&engine->pools.orders, a) < ome_order_id(&engine->pools.orders, b));
        const uint32_t slot = takes_a ? a : b;
        *(takes_a ? &a : &b) = chain_next(engine, slot);
        if (tail == 0)
        {
            head = slot;
        }
        else
        {
            chain_link(engine, tail, slot);
        }
        tail = slot;
    }
    return head;
}

/* Of 2^i orders each: as many as there can be orders. */
#define RUN_COUNT 32u

/* Sorts by merging runs of equal length, as a binary counter carries. */
static uint32_t sort(ome_engine_t *engine, uint32_t head)
{
    uint32_t runs[RUN_COUNT] = {0};
    while (head != 0)
    {
        uint32_t run = head;
        head = chain_next(engine, head);
        chain_link(engine, run, 0);
        uint32_t i = 0;
        for (; i < RUN_COUNT - 1 && runs[i] != 0; i++)
        {
            run = merge(engine, runs[i], run);
            runs[i] = 0;
        }
        runs[i] = run;
    }
    uint32_t sorted = 0;
    for (uint32_t i = 0; i < RUN_COUNT; i++)
    {
        sorted = merge(engine, runs[i], sorted);
    }
    return sorted;
}

/* What a command says of the orders that it means. */
typedef bool (*match_t)(const ome_engine_t *engine, const ome_command_t *command, const ome_standing_t *order);

/* Cancels all orders that match, by rising order id; returns how many. */
static int64_t cancel_matching(ome_engine_t *engine, const ome_command_t *command, match_t matches, uint8_t reason, ome_sink_t *sink)
{
    uint32_t head = 0;
    for (uint32_t slot = 1; slot <= engine->pools.orders.slots_ever_used; slot++)
    {
        if (engine->pools.orders.orders[slot].leaves_quantity > 0)
        {
            const ome_standing_t order = ome_standing_order(engine, slot, command->timestamp_ns);
            if ((command->instrument == 0 || command->instrument == order.book->number) && matches(engine, command, &order))
            {
                chain_link(engine, slot, head);
                head = slot;
            }
        }
    }
    int64_t count = 0;
    uint32_t slot = sort(engine, head);
    while (slot != 0)
    {
        const uint32_t next = chain_next(engine, slot);
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
    const bool is_anybody = (command->flags & OME_COMMAND_FLAGS_ANY_PARTICIPANT) != 0;
    return (command->flags & ~known) != 0 || (is_anybody && command->session != 0) ? OME_REASON_BAD_FLAGS : OME_REASON_NONE;
}

static bool mass_cancel_means(const ome_engine_t *engine, const ome_command_t *command, const ome_standing_t *order)
{
    (void)engine;
    const bool is_participant = ome_owner_participant(order->owner) == command->participant;
    const bool is_account = (uint32_t)order->owner == command->account;
    const bool is_session = (uint16_t)(order->owner >> 48) == command->target_session;
    return (is_participant || (command->flags & OME_COMMAND_FLAGS_ANY_PARTICIPANT) != 0) &&
           (is_account || (command->flags & OME_COMMAND_FLAGS_BY_ACCOUNT) == 0) &&
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
    const int64_t count = cancel_matching(engine, command, mass_cancel_means, OME_REASON_MASS_CANCELLED, sink);
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
    const int64_t count = cancel_matching(engine, command, expire_orders_means, OME_REASON_EXPIRED, sink);
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
