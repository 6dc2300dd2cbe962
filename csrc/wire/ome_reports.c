#include "wire/ome_reports.h"

#include "abi/ome_attributes.h"
#include "wire/ome_frame.h"

void ome_reports_init(ome_reports_t *reports, ome_arena_t *arena, uint32_t order_count_max, uint32_t session_count_max)
{
    reports->order_counts = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(ome_order_count_t));
    reports->orders = ome_arena_take(arena, ((uint64_t)order_count_max + 1) * sizeof(ome_report_order_t));
    reports->trade_count = 0;
    reports->sequence = 0;
    reports->timestamp_ns = 0;
}

static uint16_t reports_session_of(const ome_report_order_t *order)
{
    return (uint16_t)(order->owner >> 48);
}

static void reports_count_orders(ome_reports_t *reports, const ome_report_order_t *order, uint32_t change)
{
    ome_order_count_t *count = &reports->order_counts[reports_session_of(order)];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + change, memory_order_relaxed);
}

static void reports_set_leaves(ome_reports_t *reports, ome_report_order_t *order, int64_t leaves_quantity)
{
    reports_count_orders(reports, order, (uint32_t)(leaves_quantity > 0) - (uint32_t)(order->leaves_quantity > 0));
    order->leaves_quantity = leaves_quantity;
}

void ome_reports_seed(ome_reports_t *reports, const ome_engine_t *engine)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    reports->trade_count = engine->trade_count;
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        const ome_order_t *order = &pool->orders[slot];
        if (order->leaves_quantity > 0)
        {
            reports->orders[slot] = (ome_report_order_t){.leaves_quantity = ome_book_leaves(&engine->pools, order),
                .cumulative_quantity = order->cumulative_quantity,
                .owner = ome_book_owner(&engine->pools, order)};
            reports_count_orders(reports, &reports->orders[slot], 1);
        }
    }
}

static uint64_t reports_owner_of(const ome_event_t *event)
{
    return (uint64_t)event->account | (uint64_t)event->participant << 32 | (uint64_t)event->session << 48;
}

/* What all reports about an order have in common. */
static void reports_fill(
    ome_execution_report_t *report, const ome_reports_t *reports, const ome_event_t *event, const ome_report_order_t *order)
{
    *report = (ome_execution_report_t){.engine_sequence = event->sequence,
        .timestamp_ns = reports->timestamp_ns,
        .order_id = event->order_id,
        .client_order_id = event->client_order_id,
        .price = event->price,
        .leaves_quantity = order->leaves_quantity,
        .cumulative_quantity = order->cumulative_quantity,
        .instrument = event->instrument,
        .account = (uint32_t)order->owner,
        .kind = event->kind,
        .side = event->side,
        .reason = event->reason,
        .session = reports_session_of(order),
        .participant = (uint16_t)(order->owner >> 32)};
    ome_message_header_set(report, OME_TEMPLATE_EXECUTION_REPORT, OME_BLOCK_EXECUTION_REPORT);
}

static void reports_trade_order(ome_reports_t *reports, ome_report_order_t *order, int64_t quantity)
{
    reports_set_leaves(reports, order, order->leaves_quantity - quantity);
    order->cumulative_quantity += quantity;
}

/* Two orders met: the aggressor's report, then the resting order's. Where they did not trade, what becomes of them is
 * in the events that follow. */
static uint32_t reports_make_meeting(ome_reports_t *reports, const ome_event_t *event, ome_execution_report_t made[2])
{
    ome_report_order_t *aggressor = &reports->orders[(uint32_t)event->order_id];
    ome_report_order_t *resting = &reports->orders[(uint32_t)event->resting_order_id];
    const bool is_trade = event->kind == OME_EVENT_KIND_TRADE;
    if (is_trade)
    {
        reports_trade_order(reports, aggressor, event->quantity);
        reports_trade_order(reports, resting, event->quantity);
        reports->trade_count++;
    }
    reports_fill(&made[0], reports, event, aggressor);
    reports_fill(&made[1], reports, event, resting);
    made[0].is_aggressor = 1;
    made[1].order_id = event->resting_order_id;
    made[1].client_order_id = event->resting_client_order_id;
    made[1].side = (uint8_t)(OME_SIDE_BUY + OME_SIDE_SELL - event->side);
    for (uint32_t i = 0; i < 2; i++)
    {
        made[i].last_quantity = event->quantity;
        made[i].flags = event->flags;
        made[i].trade_id = is_trade ? reports->trade_count : 0;
    }
    return 2;
}

/* The attributes of the order accepted right before: in the event they lie where others have price and quantity. */
static uint32_t reports_make_attributes(ome_reports_t *reports, const ome_event_t *event, ome_execution_report_t *made)
{
    const ome_report_order_t *order = &reports->orders[(uint32_t)event->order_id];
    static_assert(OME_ATTRIBUTE_ROOM * sizeof(uint32_t) == sizeof(made->price) + sizeof(made->last_quantity), "a report has room for all");
    reports_fill(made, reports, event, order);
    made->last_quantity = event->quantity;
    made->leaves_quantity = made->cumulative_quantity = 0;
    ome_message_header_set(made, OME_TEMPLATE_ATTRIBUTES_REPORT, OME_BLOCK_ATTRIBUTES_REPORT);
    return 1;
}

uint32_t ome_reports_make(ome_reports_t *reports, const ome_event_t *event, ome_execution_report_t made[2])
{
    if (event->kind == OME_EVENT_KIND_TRADE || event->kind == OME_EVENT_KIND_PREVENTED)
    {
        return reports_make_meeting(reports, event, made);
    }
    reports->sequence = event->sequence;
    reports->timestamp_ns = event->timestamp_ns;
    /* These two are about a command, not about an order; a rejection may name any order id. */
    const bool is_of_command = event->kind == OME_EVENT_KIND_REJECTED || event->kind == OME_EVENT_KIND_COMPLETED;
    ome_report_order_t nobodys = {.owner = reports_owner_of(event)};
    ome_report_order_t *order = is_of_command ? &nobodys : &reports->orders[(uint32_t)event->order_id];
    int64_t last_quantity = 0;
    switch (event->kind)
    {
    case OME_EVENT_KIND_ACCEPTED:
        reports_set_leaves(reports, order, 0);
        *order = (ome_report_order_t){.owner = reports_owner_of(event)};
        reports_set_leaves(reports, order, event->quantity);
        break;
    case OME_EVENT_KIND_AMENDED:
        reports_set_leaves(reports, order, event->quantity);
        break;
    case OME_EVENT_KIND_REDUCED:
        reports_set_leaves(reports, order, order->leaves_quantity - event->quantity);
        last_quantity = event->quantity;
        break;
    case OME_EVENT_KIND_CANCELLED:
        reports_set_leaves(reports, order, 0);
        last_quantity = event->quantity;
        break;
    case OME_EVENT_KIND_COMPLETED:
        last_quantity = event->quantity;
        break;
    case OME_EVENT_KIND_ATTRIBUTES:
        return reports_make_attributes(reports, event, &made[0]);
    case OME_EVENT_KIND_REJECTED:
    case OME_EVENT_KIND_RESTED:
    case OME_EVENT_KIND_TRIGGERED:
    case OME_EVENT_KIND_STOP_SET:
        break;
    default:
        return 0; /* definitions belong to no order, and displayed quantity is market data */
    }
    reports_fill(&made[0], reports, event, order);
    made[0].last_quantity = last_quantity;
    /* The last byte of an event says one of three. */
    if (is_of_command)
    {
        made[0].command_kind = event->command_kind;
    }
    else if (event->kind == OME_EVENT_KIND_STOP_SET)
    {
        made[0].order_type = event->order_type;
    }
    else
    {
        made[0].flags = event->flags;
    }
    return 1;
}
