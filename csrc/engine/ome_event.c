/* What REJECTED and COMPLETED echo of their command. */
#include "engine/ome_event.h"

/* What an order command says of the order that it means. */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    uint64_t owner;
    int64_t price;
    int64_t quantity;
    uint8_t side;
} echo_t;

static echo_t event_echo_order(const ome_command_t *command)
{
    const bool is_new = command->kind == OME_COMMAND_KIND_NEW_ORDER;
    const bool by_order_id = !is_new && (command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0;
    return (echo_t){.order_id = by_order_id ? command->client_order_id : 0,
        .client_order_id = by_order_id ? 0 : command->client_order_id,
        .owner = ome_command_owner(command),
        .price = is_new || command->kind == OME_COMMAND_KIND_AMEND_ORDER ? command->price : 0,
        .quantity = command->kind == OME_COMMAND_KIND_CANCEL_ORDER ? 0 : command->quantity,
        .side = is_new ? command->side : 0};
}

static echo_t event_echo(const ome_command_t *command)
{
    echo_t echo = {.owner = ome_command_sender_owner(command)};
    switch (command->kind)
    {
    case OME_COMMAND_KIND_NEW_ORDER:
    case OME_COMMAND_KIND_CANCEL_ORDER:
    case OME_COMMAND_KIND_REDUCE_ORDER:
    case OME_COMMAND_KIND_AMEND_ORDER:
        return event_echo_order(command);
    case OME_COMMAND_KIND_MASS_CANCEL:
        echo.client_order_id = command->client_order_id;
        echo.owner = ome_command_owner(command);
        echo.side = command->side;
        return echo;
    case OME_COMMAND_KIND_SET_LAST_PRICE:
        echo.price = command->price;
        return echo;
    default:
        return echo;
    }
}

void ome_event_completed_elsewhere(ome_engine_t *engine, ome_sink_t *sink, const ome_command_t *command)
{
    const echo_t echo = event_echo_order(command);
    event_count_answer(engine, command);
    event_write(engine, sink, echo.order_id, echo.client_order_id, 0, 0, command->timestamp_ns, ome_command_sender_owner(command),
        event_last_word(command->instrument, OME_EVENT_KIND_COMPLETED, 0, OME_REASON_NONE, command->kind));
}

void ome_event_rejected(ome_engine_t *engine, ome_sink_t *sink, const ome_command_t *command, uint8_t reason)
{
    const echo_t echo = event_echo(command);
    event_count_answer(engine, command);
    const uint32_t instrument = command->kind == OME_COMMAND_KIND_ORDER_TERMS ? 0 : command->instrument;
    event_write(engine, sink, echo.order_id, echo.client_order_id, echo.price, echo.quantity, command->timestamp_ns, echo.owner,
        event_last_word(instrument, OME_EVENT_KIND_REJECTED, echo.side, reason, command->kind));
}
