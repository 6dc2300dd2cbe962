#include "bench_flow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench_child.h"
#include "bench_textbook.h"
#include "bench_window.h"

#define START_PRICE INT64_C(1000000)
#define QUANTITY_MAX 100u
#define SMALL_BOOK_ORDER_COUNT UINT32_C(65536)
/* As many as rest in the book of a share that is traded much. */
#define MIXED_LIVE_MIN 10000u
#define MIXED_LIVE_MAX 20000u
/* Each numbers its orders from 1, above its own number in the high half. */
#define PARTICIPANT_COUNT 16u
#define MIXED_DISTANCE_MAX 64u
#define DEEP_ORDERS_PER_LEVEL 100u

/* An order as the generator knows it, by its number: orders count from 1, whoever enters them. */
typedef struct
{
    uint32_t live_index; /* its place in `live`, plus 1; 0 when it is not at rest */
    uint8_t side;
} known_order_t;

typedef struct
{
    bench_window_t window; /* first, so that a sink is its generator */
    bench_flow_t *flow;
    bench_textbook_t *book;
    known_order_t *orders;
    uint64_t *live; /* numbers of the orders at rest, in no order */
    uint64_t live_count;
    uint64_t command_count;
    uint64_t order_number; /* last given */
    uint64_t random;
    uint64_t deep_level_count;
    int64_t mid; /* price */
} generator_t;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(generator_t *generator)
{
    uint64_t z = (generator->random += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t below(generator_t *generator, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)next_random(generator) * bound) >> 64);
}

static uint8_t random_side(generator_t *generator)
{
    return below(generator, 2) == 0 ? OME_SIDE_BUY : OME_SIDE_SELL;
}

static int64_t random_quantity(generator_t *generator)
{
    return 1 + (int64_t)below(generator, QUANTITY_MAX);
}

/* ---- whose orders, and their ids ---- */

static uint16_t participant_of(uint64_t number)
{
    return (uint16_t)(1 + number % PARTICIPANT_COUNT);
}

static uint64_t client_order_id_of(uint64_t number)
{
    return (uint64_t)participant_of(number) << 32 | (1 + number / PARTICIPANT_COUNT);
}

static uint64_t number_of(uint64_t client_order_id)
{
    return (uint64_t)((uint32_t)client_order_id - 1) * PARTICIPANT_COUNT + (client_order_id >> 32) - 1;
}

/* ---- what is at rest ---- */

static void live_add(generator_t *generator, uint64_t number)
{
    known_order_t *order = &generator->orders[number];
    if (order->live_index == 0)
    {
        generator->live[generator->live_count] = number;
        order->live_index = (uint32_t)++generator->live_count;
    }
}

static void live_remove(generator_t *generator, uint64_t number)
{
    known_order_t *order = &generator->orders[number];
    if (order->live_index != 0)
    {
        const uint64_t last = generator->live[--generator->live_count];
        generator->live[order->live_index - 1] = last;
        generator->orders[last].live_index = order->live_index;
        order->live_index = 0;
    }
}

static void follow_event(generator_t *generator, const ome_event_t *event)
{
    switch (event->kind)
    {
    case OME_EVENT_KIND_TRADE:
        if ((event->flags & OME_EVENT_FLAGS_RESTING_FILLED) != 0)
        {
            live_remove(generator, number_of(event->resting_client_order_id));
        }
        if ((event->flags & OME_EVENT_FLAGS_AGGRESSOR_FILLED) != 0)
        {
            live_remove(generator, number_of(event->client_order_id));
        }
        break;
    case OME_EVENT_KIND_CANCELLED:
        live_remove(generator, number_of(event->client_order_id));
        break;
    case OME_EVENT_KIND_REJECTED:
        bench_fail("the generator made a command that is rejected, with reason %u", event->reason);
    case OME_EVENT_KIND_DEFINED:
        break;
    default:
        if ((event->flags & OME_EVENT_FLAGS_RESTS) != 0)
        {
            live_add(generator, number_of(event->client_order_id));
        }
        break;
    }
}

static void follow_events(ome_sink_t *sink)
{
    generator_t *generator = (generator_t *)sink;
    for (const ome_event_t *event = generator->window.events; event != sink->next; event++)
    {
        follow_event(generator, event);
    }
    sink->next = generator->window.events;
}

/* ---- commands ---- */

static void put(generator_t *generator, ome_command_t command)
{
    bench_flow_t *flow = generator->flow;
    command.timestamp_ns = ++generator->command_count;
    command.instrument = 1;
    if (command.kind <= OME_COMMAND_KIND_AMEND_ORDER)
    {
        /* Until here an order is its number. */
        command.participant = participant_of(command.client_order_id);
        command.client_order_id = client_order_id_of(command.client_order_id);
    }
    flow->commands[generator->command_count - 1] = command;
    bench_textbook_apply(generator->book, &command, 1, &generator->window.sink);
    follow_events(&generator->window.sink);
    flow->live_count_max = generator->live_count > flow->live_count_max ? generator->live_count : flow->live_count_max;
    if (command.kind <= OME_COMMAND_KIND_AMEND_ORDER && generator->command_count > flow->untimed_count)
    {
        const bool is_ioc = command.kind == OME_COMMAND_KIND_NEW_ORDER && command.time_in_force == OME_TIME_IN_FORCE_IOC;
        flow->ioc_count += is_ioc;
        flow->kind_counts[command.kind] += !is_ioc;
    }
}

static void put_definition(generator_t *generator)
{
    ome_command_t command = {.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT, .tick = 1};
    memcpy(command.symbol, "BENCH", sizeof("BENCH"));
    put(generator, command);
}

static void put_new(generator_t *generator, uint8_t side, int64_t price, int64_t quantity, uint8_t time_in_force)
{
    generator->order_number++;
    generator->orders[generator->order_number].side = side;
    put(generator, (ome_command_t){.kind = OME_COMMAND_KIND_NEW_ORDER,
                       .client_order_id = generator->order_number,
                       .price = price,
                       .quantity = quantity,
                       .side = side,
                       .order_type = OME_ORDER_TYPE_LIMIT,
                       .time_in_force = time_in_force});
}

/* An order at rest, each with the same chance. There is one. */
static uint64_t random_live(generator_t *generator)
{
    return generator->live[below(generator, generator->live_count)];
}

static void put_cancel(generator_t *generator)
{
    put(generator, (ome_command_t){.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = random_live(generator)});
}

/* ---- seed ---- */

static void seed_step(generator_t *generator)
{
    const uint8_t side = generator->command_count % 2 == 1 ? OME_SIDE_SELL : OME_SIDE_BUY;
    put_new(generator, side, START_PRICE, 1, OME_TIME_IN_FORCE_GTC);
}

/* ---- mixed ---- */

/* Near the mid price more often than far from it. */
static int64_t mixed_price(generator_t *generator, uint8_t side)
{
    const uint64_t product = below(generator, MIXED_DISTANCE_MAX) * below(generator, MIXED_DISTANCE_MAX);
    const int64_t distance = (int64_t)(product / MIXED_DISTANCE_MAX);
    return side == OME_SIDE_BUY ? generator->mid - distance : generator->mid + 1 + distance;
}

static void mixed_new(generator_t *generator)
{
    const uint8_t side = random_side(generator);
    put_new(generator, side, mixed_price(generator, side), random_quantity(generator), OME_TIME_IN_FORCE_GTC);
}

static void mixed_ioc(generator_t *generator)
{
    const uint8_t side = random_side(generator);
    const bool buys = side == OME_SIDE_BUY;
    const int64_t touch = bench_textbook_best(generator->book, buys ? OME_SIDE_SELL : OME_SIDE_BUY, generator->mid);
    const int64_t through = (int64_t)below(generator, 3);
    put_new(generator, side, buys ? touch + through : touch - through, random_quantity(generator), OME_TIME_IN_FORCE_IOC);
}

static void mixed_reduce(generator_t *generator)
{
    put(generator, (ome_command_t){.kind = OME_COMMAND_KIND_REDUCE_ORDER,
                       .client_order_id = random_live(generator),
                       .quantity = 1 + (int64_t)below(generator, 10)});
}

/* A new price, and every second time a new quantity too. */
static void mixed_amend(generator_t *generator)
{
    const uint64_t number = random_live(generator);
    const int64_t price = mixed_price(generator, generator->orders[number].side);
    const int64_t quantity = below(generator, 2) == 0 ? OME_NULL_VALUE : random_quantity(generator);
    put(generator, (ome_command_t){.kind = OME_COMMAND_KIND_AMEND_ORDER, .client_order_id = number, .price = price, .quantity = quantity});
}

static void mixed_step(generator_t *generator)
{
    if (below(generator, 1024) == 0)
    {
        generator->mid += below(generator, 2) == 0 ? 1 : -1;
    }
    const uint64_t draw = below(generator, 100);
    const bool is_thin = generator->live_count < MIXED_LIVE_MIN;
    if (draw >= 53)
    {
        if (generator->live_count < MIXED_LIVE_MAX)
        {
            mixed_new(generator);
            return;
        }
        put_cancel(generator);
        return;
    }
    if (is_thin)
    {
        mixed_new(generator);
    }
    else if (draw < 35)
    {
        put_cancel(generator);
    }
    else if (draw < 43)
    {
        mixed_ioc(generator);
    }
    else if (draw < 48)
    {
        mixed_reduce(generator);
    }
    else
    {
        mixed_amend(generator);
    }
}

/* ---- deep ---- */

static void deep_new(generator_t *generator)
{
    const uint8_t side = random_side(generator);
    const int64_t distance = (int64_t)below(generator, generator->deep_level_count / 2);
    const int64_t price = side == OME_SIDE_BUY ? START_PRICE - distance : START_PRICE + 1 + distance;
    put_new(generator, side, price, random_quantity(generator), OME_TIME_IN_FORCE_GTC);
}

static void deep_step(generator_t *generator)
{
    const uint64_t draw = below(generator, 100);
    if (draw < 48 && generator->live_count > 0)
    {
        put_cancel(generator);
    }
    else if (draw < 96)
    {
        deep_new(generator);
    }
    else
    {
        const uint8_t side = random_side(generator);
        const int64_t touch = bench_textbook_best(generator->book, side == OME_SIDE_BUY ? OME_SIDE_SELL : OME_SIDE_BUY, START_PRICE);
        put_new(generator, side, touch, random_quantity(generator), OME_TIME_IN_FORCE_IOC);
    }
}

/* ---- making ---- */

typedef struct
{
    const char *name;
    bool is_deep;
    bool has_build; /* `count` steps of `deep_new` before the clock runs */
    void (*step)(generator_t *generator);
} flow_kind_t;

static const flow_kind_t FLOW_KINDS[] = {
    {.name = "seed", .step = seed_step},
    {.name = "mixed", .step = mixed_step},
    {.name = "deep-build", .is_deep = true, .step = deep_new},
    {.name = "deep-churn", .is_deep = true, .has_build = true, .step = deep_step},
};

typedef struct
{
    bench_flow_t *flow;
    const flow_kind_t *kind;
    uint64_t seed;
} making_t;

static void *zeroed(uint64_t count, uint64_t size_bytes)
{
    void *memory = calloc(count, size_bytes);
    if (memory == NULL)
    {
        bench_fail("no memory for the generator");
    }
    return memory;
}

/* In a child: its book and its tables go with it. */
static void generate(void *context)
{
    const making_t *making = context;
    bench_flow_t *flow = making->flow;
    const uint64_t count = bench_flow_command_count(flow);
    generator_t *generator = zeroed(1, sizeof(*generator));
    bench_window_init_counting(&generator->window);
    generator->window.sink.flush = follow_events;
    generator->flow = flow;
    generator->book = bench_textbook_create(flow->order_count_max);
    generator->orders = zeroed(count + 1, sizeof(*generator->orders));
    generator->live = zeroed(count + 1, sizeof(*generator->live));
    generator->random = making->seed;
    generator->deep_level_count = flow->timed_count / DEEP_ORDERS_PER_LEVEL + 2;
    generator->mid = START_PRICE;
    put_definition(generator);
    while (generator->command_count < flow->untimed_count)
    {
        deep_new(generator);
    }
    while (generator->command_count < count)
    {
        making->kind->step(generator);
    }
    flow->live_count_end = generator->live_count;
}

static const flow_kind_t *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(FLOW_KINDS) / sizeof(FLOW_KINDS[0]); i++)
    {
        if (strcmp(FLOW_KINDS[i].name, name) == 0)
        {
            return &FLOW_KINDS[i];
        }
    }
    return NULL;
}

bench_flow_t *bench_flow_make(const char *name, uint64_t count, uint64_t seed)
{
    const flow_kind_t *kind = find_kind(name);
    if (kind == NULL)
    {
        return NULL;
    }
    const uint64_t untimed_count = kind->has_build ? count + 1 : 1;
    bench_flow_t *flow = bench_shared_memory(sizeof(*flow) + (untimed_count + count) * sizeof(ome_command_t));
    flow->untimed_count = untimed_count;
    flow->timed_count = count;
    /* A deep book has room for a sixteenth more than was built: churn adds as many orders as it cancels, give or take. */
    flow->order_count_max = kind->is_deep ? (uint32_t)(count + count / 16) + 4096 : SMALL_BOOK_ORDER_COUNT;
    making_t making = {.flow = flow, .kind = kind, .seed = seed};
    bench_child_run(generate, &making);
    return flow;
}
