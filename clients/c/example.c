/* Trades with itself in rounds, and goes on whatever happens to the connection or the server:
 *
 *     cc -std=c11 example.c ome_client.c ome_connection.c ome_unanswered.c $(pkg-config --cflags --libs libzmq) -o example
 *     ./example tcp://127.0.0.1:5555 FIRM1 MSFT 10
 *
 * Each round sells an iceberg of 100 that displays 10, leaves a stop to buy 20, buys 30 at once, which triggers the stop, and cancels the
 * 50 that are left. It needs an instrument in which nobody else has orders. Prices rise by a tick each round. At the end it has bought 50
 * and sold 50 in each round, or it ends with 1.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "ome_client.h"

#define POLL_MS 100u
#define IDS_PER_ROUND 3u

typedef struct
{
    ome_client_t *client;
    const char *symbol;
    uint64_t first_order_id; /* client order ids of this run begin here */
    uint64_t report_count;
    int64_t bought, sold;
    bool is_logged_on;
    bool is_round_over;
    bool has_ended;
} run_t;

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {"accepted", "rejected", "trade", "cancelled", "reduced", "amended", "rested", "defined",
        "triggered", "displayed", "prevented", "completed", "attributes", "stop set"};
    return kind >= OME_EVENT_KIND_ACCEPTED && kind <= OME_EVENT_KIND_STOP_SET ? names[kind - OME_EVENT_KIND_ACCEPTED] : "other";
}

static void take_report(run_t *run, const ome_execution_report_t *report, uint64_t iceberg_id)
{
    run->report_count++;
    printf("%6" PRIu64 "  %-9s  order %" PRIu64 "  %s  price %" PRId64 "  last %" PRId64 "  leaves %" PRId64 "\n", report->report_sequence,
        kind_name(report->kind), report->client_order_id, report->side == OME_SIDE_BUY ? "buy" : "sell", report->price,
        report->last_quantity, report->leaves_quantity);
    if (report->kind == OME_EVENT_KIND_TRADE)
    {
        *(report->side == OME_SIDE_BUY ? &run->bought : &run->sold) += report->last_quantity;
    }
    if (report->kind == OME_EVENT_KIND_REJECTED)
    {
        fprintf(
            stderr, "example: a command on order %" PRIu64 " is rejected: %s\n", report->client_order_id, ome_reason_words(report->reason));
        run->has_ended = true;
    }
    run->is_round_over = run->is_round_over || (report->kind == OME_EVENT_KIND_CANCELLED && report->client_order_id == iceberg_id);
}

/* One event. A program of its own would compare its orders with the market where reports are lost or the session has changed. */
static void take_event(run_t *run, uint64_t iceberg_id)
{
    ome_client_event_t event;
    switch (ome_client_poll(run->client, &event, POLL_MS))
    {
    case OME_CLIENT_REPORT:
        take_report(run, &event.of.report, iceberg_id);
        break;
    case OME_CLIENT_LOGGED_ON:
        run->is_logged_on = true;
        printf("logged on; the next report is %" PRIu64 "\n", ome_client_next_report_sequence(run->client));
        break;
    case OME_CLIENT_DISCONNECTED:
        printf("disconnected: %s\n", ome_client_error(run->client));
        break;
    case OME_CLIENT_ORDER_REFUSED:
        fprintf(stderr, "example: order %" PRIu64 " is refused: the venue's disk is nearly full\n", event.client_order_id);
        run->has_ended = true;
        break;
    case OME_CLIENT_REPORTS_LOST:
    case OME_CLIENT_SESSION_CHANGED:
        fprintf(stderr, "example: the venue has lost a part of the session: %s\n", ome_client_error(run->client));
        run->has_ended = true;
        break;
    case OME_CLIENT_ENDED:
        run->has_ended = true;
        if (event.reason != OME_REASON_REQUESTED)
        {
            fprintf(stderr, "example: %s\n", ome_client_error(run->client));
        }
        break;
    case OME_CLIENT_NOTHING:
        break;
    }
}

static ome_new_order_t new_order(const run_t *run, uint64_t client_order_id, uint8_t side, int64_t price, int64_t quantity)
{
    ome_new_order_t order;
    ome_message_init(&order, OME_TEMPLATE_NEW_ORDER);
    order.client_order_id = client_order_id;
    order.instrument = ome_client_instrument(run->client, run->symbol)->instrument;
    order.side = side;
    order.order_type = OME_ORDER_TYPE_LIMIT;
    order.time_in_force = OME_TIME_IN_FORCE_GTC;
    order.price = price;
    order.quantity = quantity;
    return order;
}

/* Four commands at once. Their answers come in this order. */
static bool send_round(run_t *run, uint64_t iceberg_id, int64_t price)
{
    ome_client_term_t peak = {OME_TERM_DISPLAY_QUANTITY, 10}, stop_price = {OME_TERM_STOP_PRICE, price};
    ome_new_order_t iceberg = new_order(run, iceberg_id, OME_SIDE_SELL, price, 100);
    ome_new_order_t stop = new_order(run, iceberg_id + 1, OME_SIDE_BUY, 0, 20);
    ome_new_order_t take = new_order(run, iceberg_id + 2, OME_SIDE_BUY, price, 30);
    stop.order_type = OME_ORDER_TYPE_STOP;
    take.time_in_force = OME_TIME_IN_FORCE_IOC;
    return ome_client_new_order(run->client, &iceberg, &peak, 1) == OME_CLIENT_OK &&
           ome_client_new_order(run->client, &stop, &stop_price, 1) == OME_CLIENT_OK &&
           ome_client_new_order(run->client, &take, NULL, 0) == OME_CLIENT_OK &&
           ome_client_cancel(run->client, iceberg_id) == OME_CLIENT_OK;
}

static void trade(run_t *run, uint64_t round_count)
{
    const ome_define_instrument_t *instrument = NULL;
    while (!run->has_ended && instrument == NULL)
    {
        take_event(run, 0);
        instrument = ome_client_instrument(run->client, run->symbol);
        if (instrument == NULL && run->is_logged_on)
        {
            fprintf(stderr, "example: the venue has no instrument %s\n", run->symbol);
            return;
        }
    }
    /* Each order gives a report or more, so no run before this one has come as far with its ids. */
    run->first_order_id = ome_client_next_report_sequence(run->client);
    for (uint64_t round = 1; round <= round_count && !run->has_ended; round++)
    {
        uint64_t iceberg_id = run->first_order_id + (round - 1) * IDS_PER_ROUND;
        int64_t price = instrument->tick * (int64_t)(10000 + round);
        run->is_round_over = false;
        if (!send_round(run, iceberg_id, price))
        {
            fprintf(stderr, "example: round %" PRIu64 " could not be sent\n", round);
            return;
        }
        while (!run->has_ended && !run->is_round_over)
        {
            take_event(run, iceberg_id);
        }
    }
}

int main(int count, char **arguments)
{
    if (count != 5)
    {
        fprintf(stderr, "usage: example ENDPOINT PARTICIPANT SYMBOL ROUNDS\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* each line when it happens, also into a file */
    uint64_t round_count = strtoull(arguments[4], NULL, 10);
    ome_client_options_t options = {0};
    options.endpoint = arguments[1];
    options.participant = arguments[2];
    options.heartbeat_ms = 1000;
    run_t run = {0};
    run.client = ome_client_create(&options);
    run.symbol = arguments[3];
    if (run.client == NULL)
    {
        fprintf(stderr, "example: found an endpoint or a name that is too long, or no memory\n");
        return 2;
    }
    trade(&run, round_count);
    ome_client_log_out(run.client);
    while (!run.has_ended)
    {
        take_event(&run, 0);
    }
    printf("bought %" PRId64 "  sold %" PRId64 "  reports %" PRIu64 "  unanswered %" PRIu32 "\n", run.bought, run.sold, run.report_count,
        ome_client_unanswered_count(run.client));
    bool is_good = run.bought == 50 * (int64_t)round_count && run.sold == run.bought && ome_client_unanswered_count(run.client) == 0;
    ome_client_destroy(run.client);
    return is_good ? 0 : 1;
}
