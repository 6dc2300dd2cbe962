/* ome_instructions OPERATION COUNT: applies COUNT operations of one kind to a book of some thousand orders, for callgrind to count.
 *
 *   add     a new order that joins a level, which exists
 *   cancel  a cancel, by client order id, of an order in the middle of the book
 *   trade   an IOC order that fills one resting order whole
 *   add-day, add-post-only          as add
 *   market, fill-or-kill            as trade
 *   reduce, amend-down              of an order in the middle of the book, which keeps its place
 *   cancel-by-order-id              as cancel
 *   refuse  a new order whose price is out of range
 *   mass-cancel     of a participant that has no orders
 *   trade-trailing  as trade, while some thousand trailing stops wait that it does not trigger
 *
 * All commands are made, and the book is built, before and whatever COUNT is: two runs of different COUNT differ by the operations alone. Counts have the same number of
 * digits, so that the start of the process is the same, too. bench/instructions.py does the subtraction. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ome_memory.h"
#include "commands/ome_apply.h"
#include "engine/ome_engine.h"

#define BOOK_ORDER_COUNT 8000u
#define OPERATION_COUNT_MAX 4000u
#define LEVEL_COUNT 400u
#define STOP_COUNT 4000u
#define PARTICIPANT_COUNT 16u
#define STOP_PARTICIPANT 17u
#define IDLE_PARTICIPANT 18u
#define START_PRICE INT64_C(1000000)
#define EVENT_COUNT 1024u

static ome_event_t events[EVENT_COUNT];
static ome_command_t build[1 + BOOK_ORDER_COUNT];
static ome_command_t operations[OPERATION_COUNT_MAX];

static void flush(ome_sink_t *sink)
{
    sink->next = events;
}

static ome_command_t order_command(uint8_t kind, uint32_t number)
{
    const uint16_t participant = (uint16_t)(1 + number % PARTICIPANT_COUNT);
    return (ome_command_t){.timestamp_ns = number,
        .client_order_id = (uint64_t)participant << 32 | (1 + number / PARTICIPANT_COUNT),
        .participant = participant,
        .instrument = 1,
        .kind = kind};
}

/* The order of this number. Each in turn is on the other side and a few levels on; a number that is scattered over the levels stays within them. */
static ome_command_t new_order(uint32_t number)
{
    ome_command_t command = order_command(OME_COMMAND_KIND_NEW_ORDER, number);
    const int64_t distance = (int64_t)(number * 2654435761u % (LEVEL_COUNT / 2));
    command.side = number % 2 == 0 ? OME_SIDE_BUY : OME_SIDE_SELL;
    command.price = command.side == OME_SIDE_BUY ? START_PRICE - distance : START_PRICE + 1 + distance;
    command.quantity = 10;
    command.order_type = OME_ORDER_TYPE_LIMIT;
    command.time_in_force = OME_TIME_IN_FORCE_GTC;
    return command;
}

static ome_command_t add(uint32_t index)
{
    return new_order(BOOK_ORDER_COUNT + index);
}

static ome_command_t cancel(uint32_t index)
{
    /* An odd step meets each order once. */
    return order_command(OME_COMMAND_KIND_CANCEL_ORDER, (index * 2731u) % BOOK_ORDER_COUNT);
}

static ome_command_t trade(uint32_t index)
{
    ome_command_t command = new_order(BOOK_ORDER_COUNT + index);
    command.price = command.side == OME_SIDE_BUY ? START_PRICE + LEVEL_COUNT : START_PRICE - LEVEL_COUNT;
    command.time_in_force = OME_TIME_IN_FORCE_IOC;
    return command;
}

static ome_command_t add_day(uint32_t index)
{
    ome_command_t command = add(index);
    command.time_in_force = OME_TIME_IN_FORCE_DAY;
    return command;
}

static ome_command_t add_post_only(uint32_t index)
{
    ome_command_t command = add(index);
    command.flags = OME_COMMAND_FLAGS_POST_ONLY;
    return command;
}

static ome_command_t market(uint32_t index)
{
    ome_command_t command = trade(index);
    command.order_type = OME_ORDER_TYPE_MARKET;
    return command;
}

static ome_command_t fill_or_kill(uint32_t index)
{
    ome_command_t command = trade(index);
    command.time_in_force = OME_TIME_IN_FORCE_FOK;
    return command;
}

static ome_command_t reduce(uint32_t index)
{
    ome_command_t command = cancel(index);
    command.kind = OME_COMMAND_KIND_REDUCE_ORDER;
    command.quantity = 1;
    return command;
}

static ome_command_t amend_down(uint32_t index)
{
    ome_command_t command = cancel(index);
    command.kind = OME_COMMAND_KIND_AMEND_ORDER;
    command.price = OME_NULL_VALUE;
    command.quantity = 9;
    return command;
}

static ome_command_t cancel_by_order_id(uint32_t index)
{
    ome_command_t command = cancel(index);
    command.client_order_id = UINT64_C(1) << 32 | (1 + (index * 2731u) % BOOK_ORDER_COUNT); /* slots are taken in order */
    command.flags = OME_COMMAND_FLAGS_BY_ORDER_ID;
    return command;
}

static ome_command_t refuse(uint32_t index)
{
    ome_command_t command = add(index);
    command.price = INT64_MAX;
    return command;
}

static ome_command_t mass_cancel(uint32_t index)
{
    return (ome_command_t){.timestamp_ns = index, .participant = IDLE_PARTICIPANT, .kind = OME_COMMAND_KIND_MASS_CANCEL};
}

static const struct
{
    const char *name;
    ome_command_t (*make)(uint32_t index);
    uint32_t stop_count; /* that wait */
    uint32_t events_each;
    uint32_t trades_each;
    int32_t orders_each; /* more at rest */
} OPERATIONS[] = {
    {.name = "add", .make = add, .events_each = 1, .orders_each = 1},
    {.name = "cancel", .make = cancel, .events_each = 1, .orders_each = -1},
    {.name = "trade", .make = trade, .events_each = 2, .trades_each = 1, .orders_each = -1},
    {.name = "add-day", .make = add_day, .events_each = 1, .orders_each = 1},
    {.name = "add-post-only", .make = add_post_only, .events_each = 1, .orders_each = 1},
    {.name = "market", .make = market, .events_each = 2, .trades_each = 1, .orders_each = -1},
    {.name = "fill-or-kill", .make = fill_or_kill, .events_each = 2, .trades_each = 1, .orders_each = -1},
    {.name = "reduce", .make = reduce, .events_each = 1},
    {.name = "amend-down", .make = amend_down, .events_each = 1},
    {.name = "cancel-by-order-id", .make = cancel_by_order_id, .events_each = 1, .orders_each = -1},
    {.name = "refuse", .make = refuse, .events_each = 1},
    {.name = "mass-cancel", .make = mass_cancel, .events_each = 1},
    {.name = "trade-trailing", .make = trade, .stop_count = STOP_COUNT, .events_each = 2, .trades_each = 1, .orders_each = -1},
};
#define KIND_COUNT (sizeof(OPERATIONS) / sizeof(OPERATIONS[0]))

static ome_engine_t *make_engine(void)
{
    const ome_limits_t limits = {.order_count_max = 16384,
        .level_count_max = 4096,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = STOP_COUNT,
        .rules_version = OME_RULES_VERSION};
    const uint64_t size_bytes = ome_engine_size_bytes(&limits);
    void *memory = ome_memory_map(size_bytes);
    ome_engine_t *engine = NULL;
    return memory != NULL && ome_engine_init(&engine, memory, size_bytes, &limits) == OME_OK ? engine : NULL;
}

static void make_build(void)
{
    build[0] = (ome_command_t){.symbol = "BENCH", .tick = 1, .instrument = 1, .kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT};
    for (uint32_t i = 0; i < BOOK_ORDER_COUNT; i++)
    {
        build[1 + i] = new_order(i);
    }
}

/* Trailing stops far from all prices, that entered at different ones. */
static void enter_stops(ome_engine_t *engine, uint32_t count, ome_sink_t *sink)
{
    for (uint32_t i = 0; i < count; i++)
    {
        ome_command_t commands[3] = {
            {.instrument = 1, .price = START_PRICE + i % 100, .kind = OME_COMMAND_KIND_SET_LAST_PRICE},
            new_order(i),
            {.participant = STOP_PARTICIPANT,
                .kind = OME_COMMAND_KIND_ORDER_TERMS,
                .term_1 = OME_TERM_TRAIL_AMOUNT,
                .value_1 = 2 * LEVEL_COUNT + (int64_t)(i * 7919u % 1000)},
        };
        commands[1].participant = STOP_PARTICIPANT;
        commands[1].order_type = OME_ORDER_TYPE_TRAILING_STOP;
        commands[1].flags = OME_COMMAND_FLAGS_CONTINUED;
        ome_engine_apply_many(engine, commands, 3, sink);
    }
}

/* Returns whether the operations did what they are named for. */
static int run(size_t kind, uint32_t count)
{
    ome_engine_t *engine = make_engine();
    ome_sink_t sink = {.next = events, .end = events + EVENT_COUNT, .flush = flush};
    make_build();
    for (uint32_t i = 0; i < OPERATION_COUNT_MAX; i++)
    {
        operations[i] = OPERATIONS[kind].make(i);
    }
    if (engine == NULL)
    {
        return 0;
    }
    const uint32_t stop_count = OPERATIONS[kind].stop_count;
    ome_engine_apply_many(engine, build, 1 + BOOK_ORDER_COUNT, &sink);
    enter_stops(engine, stop_count, &sink);
    const uint64_t event_count = engine->event_count;
    const uint32_t order_count = engine->pools.index.count;
    ome_engine_apply_many(engine, operations, count, &sink);
    return event_count == 1 + BOOK_ORDER_COUNT + 3 * stop_count && order_count == BOOK_ORDER_COUNT + stop_count &&
           engine->books[1].waiting_count == stop_count &&
           engine->event_count == event_count + (uint64_t)count * OPERATIONS[kind].events_each &&
           engine->trade_count == (uint64_t)count * OPERATIONS[kind].trades_each &&
           (int64_t)engine->pools.index.count == (int64_t)order_count + (int64_t)count * OPERATIONS[kind].orders_each;
}

int main(int argument_count, char **arguments)
{
    const unsigned long count = argument_count == 3 ? strtoul(arguments[2], NULL, 10) : 0;
    for (size_t kind = 0; kind < KIND_COUNT && count >= 1 && count <= OPERATION_COUNT_MAX; kind++)
    {
        if (strcmp(OPERATIONS[kind].name, arguments[1]) == 0)
        {
            const int is_good = run(kind, (uint32_t)count);
            (void)fputs(is_good ? "" : "ome_instructions: the operations did something else\n", stderr);
            return is_good ? 0 : 1;
        }
    }
    (void)fprintf(stderr, "usage: ome_instructions OPERATION COUNT (1 to %u)\n", OPERATION_COUNT_MAX);
    return 2;
}
