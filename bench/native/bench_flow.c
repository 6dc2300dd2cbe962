#include "bench_flow.h"

#include <stdbool.h>
#include <stdio.h>
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
#define LEVEL_COUNT_MAX UINT32_C(65536)

#define WIDE_INSTRUMENT_COUNT 4096u
#define WIDE_BUILD_COUNT UINT32_C(131072)
#define WIDE_LIVE_MIN 100000u
#define WIDE_LIVE_MAX 200000u
#define WIDE_COUNT_MAX (UINT32_C(1) << 18) /* orders and levels */

#define CHURN_ORDER_COUNT_MAX UINT32_C(16384)
#define CHURN_LIVE_MAX 4000u
#define CHURN_LIFE_MAX 4096u /* new orders; the size of the wheel */
#define CHURN_DUE_COUNT_MAX 4u /* actions of one order */
#define CHURN_IOC_PERCENT 15u
#define CHURN_AMEND_PERCENT 20u
#define CHURN_CANCEL_PERCENT 95u
#define CHURN_TWICE 64u /* one in so many */
#define CHURN_DISTANCE_SCALE UINT64_C(64)
#define CHURN_DISTANCE_MAX UINT64_C(4096)
#define CHURN_MID_STEP 8u /* new orders for each step of the mid price */

/* An order as the generator knows it, by its number: orders count from 1, whoever enters them. */
typedef struct
{
    int64_t price; /* as last asked for, as is the quantity */
    uint32_t quantity;
    uint32_t live_index; /* its place in `live`, plus 1; 0 when it is not at rest */
    uint32_t instrument;
    uint8_t side;
} known_order_t;

/* What will be done to an order of the churn flow, at a place of the wheel. */
typedef struct
{
    uint64_t number;
    uint32_t next; /* plus 1; 0 is none */
    uint8_t kind;  /* of the command */
} due_t;

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
    int64_t *mids; /* prices, by instrument number */
    uint32_t instrument; /* of the next new order */
    uint64_t live_min;
    uint64_t live_max;
    due_t *due;      /* churn only */
    uint32_t *wheel; /* by time modulo CHURN_LIFE_MAX: the first thing due, plus 1 */
    uint64_t time;   /* new orders so far */
    uint32_t due_count;
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
        generator->flow->rejected_count++;
        if (generator->wheel == NULL || event->reason != OME_REASON_UNKNOWN_ORDER)
        {
            bench_fail("the generator made a command that is rejected, with reason %u", event->reason);
        }
        break;
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
    if (command.kind <= OME_COMMAND_KIND_AMEND_ORDER)
    {
        /* Until here an order is its number. */
        command.instrument = generator->orders[command.client_order_id].instrument;
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

/* Symbols are BENCH and five digits. */
static void put_definition(generator_t *generator, uint32_t instrument)
{
    ome_command_t command = {.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT, .instrument = instrument, .tick = 1};
    char symbol[sizeof(command.symbol) + 1] = {0};
    (void)snprintf(symbol, sizeof(symbol), "BENCH%05u", instrument);
    memcpy(command.symbol, symbol, sizeof(command.symbol));
    put(generator, command);
}

static void put_new(generator_t *generator, uint8_t side, int64_t price, int64_t quantity, uint8_t time_in_force)
{
    generator->order_number++;
    generator->orders[generator->order_number] =
        (known_order_t){.price = price, .quantity = (uint32_t)quantity, .instrument = generator->instrument, .side = side};
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
static int64_t mixed_price(generator_t *generator, uint32_t instrument, uint8_t side)
{
    const uint64_t product = below(generator, MIXED_DISTANCE_MAX) * below(generator, MIXED_DISTANCE_MAX);
    const int64_t distance = (int64_t)(product / MIXED_DISTANCE_MAX);
    const int64_t mid = generator->mids[instrument];
    return side == OME_SIDE_BUY ? mid - distance : mid + 1 + distance;
}

static void mixed_new(generator_t *generator)
{
    const uint8_t side = random_side(generator);
    put_new(generator, side, mixed_price(generator, generator->instrument, side), random_quantity(generator), OME_TIME_IN_FORCE_GTC);
}

/* At the touch or up to `through_max` ticks behind it. */
static void put_ioc_near_touch(generator_t *generator, uint8_t through_max)
{
    const uint8_t side = random_side(generator);
    const bool buys = side == OME_SIDE_BUY;
    const uint32_t instrument = generator->instrument;
    const int64_t touch =
        bench_textbook_best(generator->book, instrument, buys ? OME_SIDE_SELL : OME_SIDE_BUY, generator->mids[instrument]);
    const int64_t through = (int64_t)below(generator, through_max + 1u);
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
    const known_order_t *order = &generator->orders[number];
    const int64_t price = mixed_price(generator, order->instrument, order->side);
    const int64_t quantity = below(generator, 2) == 0 ? OME_NULL_VALUE : random_quantity(generator);
    put(generator, (ome_command_t){.kind = OME_COMMAND_KIND_AMEND_ORDER, .client_order_id = number, .price = price, .quantity = quantity});
}

static void mixed_step(generator_t *generator)
{
    if (below(generator, 1024) == 0)
    {
        generator->mids[generator->instrument] += below(generator, 2) == 0 ? 1 : -1;
    }
    const uint64_t draw = below(generator, 100);
    const bool is_thin = generator->live_count < generator->live_min;
    if (draw >= 53)
    {
        if (generator->live_count < generator->live_max)
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
        put_ioc_near_touch(generator, 2);
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

/* ---- wide ---- */

/* A uniform draw to the third power: the k-th has a share in proportion to k^(-2/3). */
static uint32_t wide_instrument(generator_t *generator)
{
    const uint64_t draw = below(generator, UINT64_C(1) << 16);
    return 1 + (uint32_t)((draw * draw * draw * WIDE_INSTRUMENT_COUNT) >> 48);
}

static void wide_new(generator_t *generator)
{
    generator->instrument = wide_instrument(generator);
    mixed_new(generator);
}

static void wide_step(generator_t *generator)
{
    generator->instrument = wide_instrument(generator);
    mixed_step(generator);
}

/* ---- churn ---- */

static void plan(generator_t *generator, uint64_t number, uint8_t kind, uint64_t delay)
{
    uint32_t *first = &generator->wheel[(generator->time + delay) % CHURN_LIFE_MAX];
    generator->due[generator->due_count] = (due_t){.number = number, .next = *first, .kind = kind};
    *first = ++generator->due_count;
}

static int64_t churn_price(generator_t *generator, uint8_t side)
{
    const uint64_t one = UINT64_C(1) << 32;
    const uint64_t least = one * CHURN_DISTANCE_SCALE / (CHURN_DISTANCE_SCALE + CHURN_DISTANCE_MAX);
    const uint64_t draw = least + 1 + below(generator, one - least);
    const int64_t distance = (int64_t)(one * CHURN_DISTANCE_SCALE / draw - CHURN_DISTANCE_SCALE);
    return side == OME_SIDE_BUY ? generator->mids[1] - distance : generator->mids[1] + 1 + distance;
}

static void churn_amend(generator_t *generator, uint64_t number)
{
    known_order_t *order = &generator->orders[number];
    order->quantity += 1 + (uint32_t)below(generator, QUANTITY_MAX);
    if (below(generator, 4) > 0)
    {
        order->price += below(generator, 2) == 0 ? 1 : -1;
    }
    put(generator,
        (ome_command_t){
            .kind = OME_COMMAND_KIND_AMEND_ORDER, .client_order_id = number, .price = order->price, .quantity = order->quantity});
}

/* An order that may rest, and what will be done to it. */
static void churn_new(generator_t *generator)
{
    const uint8_t side = random_side(generator);
    put_new(generator, side, churn_price(generator, side), random_quantity(generator), OME_TIME_IN_FORCE_GTC);
    const uint64_t number = generator->order_number;
    const uint64_t life = 2 + below(generator, 1 + below(generator, CHURN_LIFE_MAX - 3));
    if (below(generator, 100) < CHURN_CANCEL_PERCENT)
    {
        plan(generator, number, OME_COMMAND_KIND_CANCEL_ORDER, life);
        if (below(generator, CHURN_TWICE) == 0)
        {
            plan(generator, number, OME_COMMAND_KIND_CANCEL_ORDER, life + 1);
        }
    }
    if (below(generator, 100) < CHURN_AMEND_PERCENT)
    {
        plan(generator, number, OME_COMMAND_KIND_AMEND_ORDER, 1 + below(generator, life));
        if (below(generator, CHURN_TWICE) == 0)
        {
            plan(generator, number, OME_COMMAND_KIND_AMEND_ORDER, life + 1);
        }
    }
}

/* What is due; when nothing is, time goes on by one new order. */
static void churn_step(generator_t *generator)
{
    uint32_t *first = &generator->wheel[generator->time % CHURN_LIFE_MAX];
    if (*first != 0)
    {
        const due_t due = generator->due[*first - 1];
        *first = due.next;
        if (due.kind == OME_COMMAND_KIND_AMEND_ORDER)
        {
            churn_amend(generator, due.number);
            return;
        }
        put(generator, (ome_command_t){.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = due.number});
        return;
    }
    if (generator->live_count >= CHURN_LIVE_MAX)
    {
        put_cancel(generator);
        return;
    }
    generator->time++;
    if (generator->time % CHURN_MID_STEP == 0)
    {
        generator->mids[1] += below(generator, 2) == 0 ? 1 : -1;
    }
    if (below(generator, 100) < CHURN_IOC_PERCENT)
    {
        put_ioc_near_touch(generator, 3);
        return;
    }
    churn_new(generator);
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
        const int64_t touch = bench_textbook_best(generator->book, 1, side == OME_SIDE_BUY ? OME_SIDE_SELL : OME_SIDE_BUY, START_PRICE);
        put_new(generator, side, touch, random_quantity(generator), OME_TIME_IN_FORCE_IOC);
    }
}

/* ---- making ---- */

typedef struct
{
    const char *name;
    void (*build)(generator_t *generator); /* a step before the clock runs; NULL where there is none */
    void (*step)(generator_t *generator);
    uint32_t build_count; /* steps of `build`; 0 is `count` */
    uint32_t instrument_count;
    uint32_t order_count_max; /* 0 follows from `count` */
    uint32_t level_count_max;
    uint32_t live_min; /* orders at rest */
    uint32_t live_max;
    bool has_wheel;
} flow_kind_t;

static const flow_kind_t FLOW_KINDS[] = {
    {.name = "seed",
        .step = seed_step,
        .instrument_count = 1,
        .order_count_max = SMALL_BOOK_ORDER_COUNT,
        .level_count_max = LEVEL_COUNT_MAX},
    {.name = "mixed",
        .step = mixed_step,
        .instrument_count = 1,
        .order_count_max = SMALL_BOOK_ORDER_COUNT,
        .level_count_max = LEVEL_COUNT_MAX,
        .live_min = MIXED_LIVE_MIN,
        .live_max = MIXED_LIVE_MAX},
    {.name = "wide",
        .build = wide_new,
        .step = wide_step,
        .build_count = WIDE_BUILD_COUNT,
        .instrument_count = WIDE_INSTRUMENT_COUNT,
        .order_count_max = WIDE_COUNT_MAX,
        .level_count_max = WIDE_COUNT_MAX,
        .live_min = WIDE_LIVE_MIN,
        .live_max = WIDE_LIVE_MAX},
    {.name = "churn",
        .step = churn_step,
        .instrument_count = 1,
        .order_count_max = CHURN_ORDER_COUNT_MAX,
        .level_count_max = CHURN_ORDER_COUNT_MAX,
        .has_wheel = true},
    {.name = "deep-build", .step = deep_new, .instrument_count = 1, .level_count_max = LEVEL_COUNT_MAX},
    {.name = "deep-churn", .build = deep_new, .step = deep_step, .instrument_count = 1, .level_count_max = LEVEL_COUNT_MAX},
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
    bench_textbook_warm_heap(flow->order_count_max);
    generator->book = bench_textbook_create(flow->order_count_max, flow->instrument_count);
    generator->orders = zeroed(count + 1, sizeof(*generator->orders));
    generator->live = zeroed(count + 1, sizeof(*generator->live));
    generator->random = making->seed;
    generator->deep_level_count = flow->timed_count / DEEP_ORDERS_PER_LEVEL + 2;
    generator->live_min = making->kind->live_min;
    generator->live_max = making->kind->live_max;
    generator->mids = zeroed(flow->instrument_count + 1, sizeof(*generator->mids));
    if (making->kind->has_wheel)
    {
        generator->due = zeroed(count * CHURN_DUE_COUNT_MAX, sizeof(*generator->due));
        generator->wheel = zeroed(CHURN_LIFE_MAX, sizeof(*generator->wheel));
    }
    for (uint32_t instrument = 1; instrument <= flow->instrument_count; instrument++)
    {
        generator->mids[instrument] = START_PRICE;
        put_definition(generator, instrument);
    }
    generator->instrument = 1;
    while (generator->command_count < flow->untimed_count)
    {
        making->kind->build(generator);
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
    const uint64_t build_count = kind->build == NULL ? 0 : kind->build_count != 0 ? kind->build_count : count;
    const uint64_t untimed_count = kind->instrument_count + build_count;
    bench_flow_t *flow = bench_shared_memory(sizeof(*flow) + (untimed_count + count) * sizeof(ome_command_t));
    flow->untimed_count = untimed_count;
    flow->timed_count = count;
    flow->instrument_count = kind->instrument_count;
    flow->level_count_max = kind->level_count_max;
    /* A deep book has room for a sixteenth more than was built: churn adds as many orders as it cancels, give or take. */
    flow->order_count_max = kind->order_count_max != 0 ? kind->order_count_max : (uint32_t)(count + count / 16) + 4096;
    making_t making = {.flow = flow, .kind = kind, .seed = seed};
    bench_child_run(generate, &making);
    return flow;
}
