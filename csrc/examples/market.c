/* A small market in a C program: one instrument, some orders, an iceberg and a stop; prints what happens, and the book.
 *
 *     cc market.c $(pkg-config --cflags --libs ome) -o market
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ome.h"

/* The program prints the events that it receives. Here they come into a small buffer, until there are no more. */
#define BUFFER_COUNT 4u

typedef struct
{
    ome_engine_t *engine;
    ome_batch_t *batch;
    uint64_t time_ns;
} market_t;

static const char *kind_name(uint8_t kind)
{
    switch (kind)
    {
    case OME_EVENT_KIND_ACCEPTED:
        return "accepted";
    case OME_EVENT_KIND_REJECTED:
        return "rejected";
    case OME_EVENT_KIND_TRADE:
        return "trade";
    case OME_EVENT_KIND_CANCELLED:
        return "cancelled";
    case OME_EVENT_KIND_RESTED:
        return "rested";
    case OME_EVENT_KIND_DEFINED:
        return "defined";
    case OME_EVENT_KIND_TRIGGERED:
        return "triggered";
    case OME_EVENT_KIND_DISPLAYED:
        return "displayed";
    case OME_EVENT_KIND_STOP_SET:
        return "stop set";
    default:
        return "other";
    }
}

static void print_event(const ome_event_t *event)
{
    printf("  %-9s", kind_name(event->kind));
    if (event->kind == OME_EVENT_KIND_TRADE)
    {
        printf(" order %" PRIu64 " with order %" PRIu64 ": %" PRId64 " lots at %" PRId64 "%s\n", event->client_order_id,
            event->resting_client_order_id, event->quantity, event->price,
            (event->flags & OME_EVENT_FLAGS_RESTING_FILLED) != 0 ? ", which fills it" : "");
    }
    else if (event->kind == OME_EVENT_KIND_DEFINED)
    {
        printf(" instrument %" PRIu32 "\n", event->instrument);
    }
    else
    {
        printf(" order %" PRIu64 ": %" PRId64 " lots, price %" PRId64, event->client_order_id, event->quantity, event->price);
        printf(event->reason != OME_REASON_NONE ? ", reason %d\n" : "\n", event->reason);
    }
}

/* Applies the records of one command and prints its events. */
static void apply(market_t *market, const char *what, ome_command_t *records, uint64_t count)
{
    ome_event_t events[BUFFER_COUNT];
    for (uint64_t i = 0; i < count; i++)
    {
        records[i].timestamp_ns = ++market->time_ns;
    }
    printf("%s\n", what);
    ome_batch_apply(market->batch, market->engine, records, count);
    uint64_t event_count;
    while ((event_count = ome_batch_take(market->batch, events, BUFFER_COUNT)) > 0)
    {
        for (uint64_t i = 0; i < event_count; i++)
        {
            print_event(&events[i]);
        }
    }
}

static ome_command_t limit_order(uint64_t id, uint8_t side, int64_t quantity, int64_t price)
{
    ome_command_t command;
    memset(&command, 0, sizeof(command));
    command.kind = OME_COMMAND_KIND_NEW_ORDER;
    command.client_order_id = id;
    command.instrument = 1;
    command.side = side;
    command.order_type = OME_ORDER_TYPE_LIMIT;
    command.time_in_force = OME_TIME_IN_FORCE_GTC;
    command.quantity = quantity;
    command.price = price;
    return command;
}

/* The record that follows an order whose flags have CONTINUED: one term more. */
static ome_command_t one_term(uint8_t term, int64_t value)
{
    ome_command_t command;
    memset(&command, 0, sizeof(command));
    command.kind = OME_COMMAND_KIND_ORDER_TERMS;
    command.term_1 = term;
    command.value_1 = value;
    return command;
}

static void define_instrument(market_t *market)
{
    ome_command_t command;
    memset(&command, 0, sizeof(command));
    command.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT;
    command.instrument = 1;
    memcpy(command.symbol, "AAPL", 4);
    command.tick = 5;
    command.price_decimals = 2;
    apply(market, "define AAPL, tick 0.05", &command, 1);
}

static void enter(market_t *market, const char *what, uint64_t id, uint8_t side, int64_t quantity, int64_t price)
{
    ome_command_t order = limit_order(id, side, quantity, price);
    apply(market, what, &order, 1);
}

/* An order of two records: what does not fit in the first follows in the second. */
static void enter_with_term(market_t *market, const char *what, ome_command_t order, uint8_t term, int64_t value)
{
    ome_command_t records[2];
    order.flags |= OME_COMMAND_FLAGS_CONTINUED;
    records[0] = order;
    records[1] = one_term(term, value);
    apply(market, what, records, 2);
}

static void print_book(const market_t *market)
{
    ome_depth_t levels[8];
    printf("book\n");
    for (uint8_t side = OME_SIDE_BUY; side <= OME_SIDE_SELL; side++)
    {
        const uint32_t count = ome_engine_levels(market->engine, 1, side, 8, levels);
        for (uint32_t i = 0; i < count; i++)
        {
            printf("  %s %" PRId64 ": %" PRId64 " lots displayed, %" PRIu32 " orders\n", side == OME_SIDE_BUY ? "bid" : "ask",
                levels[i].price, levels[i].quantity, levels[i].order_count);
        }
    }
}

static void print_order(const market_t *market, uint64_t client_order_id)
{
    ome_order_view_t order;
    if (ome_engine_client_order(market->engine, 0, client_order_id, &order) != OME_OK)
    {
        printf("order %" PRIu64 " does not live\n", client_order_id);
        return;
    }
    printf("order %" PRIu64 ": %" PRId64 " lots open, %" PRId64 " traded, %" PRId64 " displayed, stop price %" PRId64 "%s\n",
        client_order_id, order.leaves_quantity, order.cumulative_quantity, order.displayed_quantity, order.stop_price,
        order.is_waiting ? ", waits" : "");
}

static void run(market_t *market)
{
    define_instrument(market);
    enter(market, "sell 100 at 150.25", 1, OME_SIDE_SELL, 100, 15025);
    enter_with_term(
        market, "sell 500 at 150.25, displaying 200", limit_order(2, OME_SIDE_SELL, 500, 15025), OME_TERM_DISPLAY_QUANTITY, 200);
    enter(market, "sell 80 at 150.40", 3, OME_SIDE_SELL, 80, 15040);
    enter(market, "buy 60 at 150.00", 4, OME_SIDE_BUY, 60, 15000);
    ome_command_t stop = limit_order(5, OME_SIDE_BUY, 30, 15050);
    stop.order_type = OME_ORDER_TYPE_STOP_LIMIT;
    enter_with_term(market, "buy 30 at 150.50 once 150.40 trades", stop, OME_TERM_STOP_PRICE, 15040);
    enter(market, "buy 10 at 150.02, which is not on the tick", 6, OME_SIDE_BUY, 10, 15002);
    print_book(market);
    print_order(market, 2);
    print_order(market, 5);
    enter(market, "buy 350 at 150.25", 7, OME_SIDE_BUY, 350, 15025);
    print_book(market);
    print_order(market, 2);
    enter(market, "buy 260 at 150.40", 8, OME_SIDE_BUY, 260, 15040);
    print_book(market);
    print_order(market, 2);
    print_order(market, 5);
}

int main(void)
{
    const ome_limits_t limits = {.order_count_max = 100,
        .level_count_max = 100,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = 10,
        .rules_version = OME_RULES_VERSION};
    market_t market = {0};
    if (ome_engine_create(&limits, &market.engine) != OME_OK || ome_batch_create(&market.batch) != OME_OK)
    {
        fprintf(stderr, "no memory for a market\n");
        return 1;
    }
    run(&market);
    const char *wrong = ome_engine_check(market.engine);
    printf("%s\n", wrong != NULL ? wrong : "every invariant holds");
    ome_batch_destroy(market.batch);
    ome_engine_destroy(market.engine);
    return wrong != NULL;
}
