/* An engine under random flows: its invariants hold, its events tell the whole book, and its hashes see every difference. */
#include <stdbool.h>

#include "commands/ome_apply.h"
#include "engine_fixture.h"

static uint64_t seed;

/* ---- flows ---- */

#define FLOW_COUNT 100000u

static flow_t flow_of(uint64_t flow_seed, uint32_t price_count)
{
    return (flow_t){.random = flow_seed, .instrument_count = 3, .participant_count = 3, .order_id_count = 60, .price_count = price_count};
}

static void define_flow(market_t *market)
{
    ome_command_t third = define_instrument(3, "THREE", 2, OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES | OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT);
    third.collar_ticks = 4;
    apply(market, define_instrument(1, "ONE", 1, 0), 1);
    apply(market, define_instrument(2, "TWO", 1, OME_INSTRUMENT_FLAGS_SIGNED_PRICES), 1);
    apply(market, third, 1);
    apply(market, define_session(1, 1, "A", 0), 1);
    apply(market, define_session(2, 2, "B", 0), 1);
    apply(market, define_session(3, 3, "C", 9), 1);
}

/* What a reader of events knows of each slot. */
typedef struct
{
    int64_t leaves;
    int64_t cumulative;
    int64_t displayed; /* lots that the market sees in the book */
    uint64_t id;
} known_order_t;

static void learn_trade(known_order_t *known, const ome_event_t *event)
{
    known_order_t *aggressor = &known[(uint32_t)event->order_id];
    known_order_t *resting = &known[(uint32_t)event->resting_order_id];
    CHECK(event->quantity > 0);
    CHECK_EQUAL(aggressor->id, event->order_id);
    CHECK_EQUAL(resting->id, event->resting_order_id);
    aggressor->leaves -= event->quantity;
    resting->leaves -= event->quantity;
    aggressor->cumulative += event->quantity;
    resting->cumulative += event->quantity;
    resting->displayed -= (event->flags & OME_EVENT_FLAGS_HIDDEN) != 0 ? 0 : event->quantity;
    CHECK_EQUAL(aggressor->leaves == 0, (event->flags & OME_EVENT_FLAGS_AGGRESSOR_FILLED) != 0);
    CHECK_EQUAL(resting->leaves == 0, (event->flags & OME_EVENT_FLAGS_RESTING_FILLED) != 0);
    CHECK(aggressor->leaves >= 0 && resting->leaves >= 0 && resting->displayed >= 0);
}

/* What the flags of an event say of the order's lots in the book: those that are hidden are told by DISPLAYED alone. */
static void learn_place(known_order_t *order, const ome_event_t *event)
{
    if ((event->flags & OME_EVENT_FLAGS_HIDDEN) != 0)
    {
        CHECK((event->flags & OME_EVENT_FLAGS_KEPT_PRIORITY) != 0 || order->displayed == 0);
        return;
    }
    order->displayed = (event->flags & OME_EVENT_FLAGS_RESTS) != 0 ? order->leaves : 0;
}

static void learn_displayed(known_order_t *order, const ome_event_t *event)
{
    CHECK_EQUAL(order->id, event->order_id);
    CHECK(event->quantity != 0);
    CHECK_EQUAL(order->displayed != 0, (event->flags & OME_EVENT_FLAGS_WAS_RESTING) != 0 && event->quantity < 0);
    order->displayed += event->quantity;
    CHECK(order->displayed >= 0 && order->displayed <= order->leaves);
    CHECK_EQUAL(order->displayed != 0, (event->flags & OME_EVENT_FLAGS_RESTS) != 0);
}

static void learn_reduced(known_order_t *order, const ome_event_t *event)
{
    CHECK_EQUAL(order->id, event->order_id);
    CHECK(order->leaves > event->quantity);
    CHECK(event->quantity > 0);
    order->leaves -= event->quantity;
    if ((event->flags & OME_EVENT_FLAGS_WAS_RESTING) != 0 && (event->flags & OME_EVENT_FLAGS_HIDDEN) == 0)
    {
        order->displayed -= event->quantity;
    }
}

/* Rules P5: lots are conserved. */
static void learn(known_order_t *known, const ome_event_t *event)
{
    known_order_t *order = &known[(uint32_t)event->order_id];
    switch (event->kind)
    {
    case OME_EVENT_KIND_ACCEPTED:
        CHECK_EQUAL(order->leaves, 0);
        CHECK(event->order_id > order->id);
        *order = (known_order_t){.leaves = event->quantity, .id = event->order_id};
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_TRADE:
        learn_trade(known, event);
        break;
    case OME_EVENT_KIND_CANCELLED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK_EQUAL(order->leaves, event->quantity);
        order->leaves = 0;
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_REDUCED:
        learn_reduced(order, event);
        break;
    case OME_EVENT_KIND_AMENDED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK(event->quantity > 0);
        order->leaves = event->quantity;
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_RESTED:
    case OME_EVENT_KIND_TRIGGERED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK_EQUAL(order->leaves, event->quantity);
        learn_place(order, event);
        break;
    case OME_EVENT_KIND_DISPLAYED:
        learn_displayed(order, event);
        break;
    case OME_EVENT_KIND_PREVENTED:
        CHECK_EQUAL(order->id, event->order_id);
        CHECK_EQUAL(known[(uint32_t)event->resting_order_id].id, event->resting_order_id);
        CHECK(event->quantity > 0 && event->quantity <= order->leaves);
        CHECK(event->quantity <= known[(uint32_t)event->resting_order_id].leaves);
        break;
    default:
        break;
    }
}

static void check_known(const ome_engine_t *engine, const known_order_t *known)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        const ome_order_t *order = &pool->orders[slot];
        CHECK_EQUAL(ome_order_id(pool, slot), known[slot].id);
        if (order->leaves_quantity == 0)
        {
            CHECK_EQUAL(known[slot].leaves, 0);
            CHECK_EQUAL(known[slot].displayed, 0);
            continue;
        }
        const ome_special_t *special = &engine->pools.specials.records[ome_order_special(order)];
        const bool is_displayed = !ome_special_waits(special) && (order->marks & OME_ORDER_MARK_HIDDEN) == 0;
        CHECK_EQUAL(ome_book_leaves(&engine->pools, order), known[slot].leaves);
        CHECK_EQUAL(order->cumulative_quantity, known[slot].cumulative);
        CHECK_EQUAL(known[slot].displayed, is_displayed ? order->leaves_quantity : 0);
    }
}

static void check_engine(const ome_engine_t *engine, uint32_t at)
{
    const char *wrong = ome_engine_check(engine);
    if (wrong != NULL)
    {
        fprintf(stderr, "after command %" PRIu32 ": %s\n", at, wrong);
    }
    CHECK(wrong == NULL);
}

/* Whether a command says something at once: one of several records waits for its terms. */
static bool says_something(const ome_engine_t *engine)
{
    return !engine->pending.waits;
}

/* After two hundred thousand commands of every sort over three instruments, through full pools and odd fields, every
 * invariant holds, and what the events said is what the engine has. */
static void invariants_hold_after_any_flow(void)
{
    static known_order_t known[65];
    static uint32_t reasons[256];
    static uint32_t kinds[256];
    for (uint32_t flavour = 0; flavour < 4; flavour++)
    {
        market_t market = market_new(&standard_limits, 3);
        flow_t flow = flow_of(seed ^ flavour, flavour % 2 == 0 ? 8 : 100);
        flow.has_specials = flavour >= 2;
        memset(known, 0, sizeof(known));
        define_flow(&market);
        for (uint32_t i = 0; i < FLOW_COUNT; i++)
        {
            ome_command_t command = flow_next(&flow);
            market.recorder->count = 0;
            const uint64_t count = recorder_apply(market.recorder, market.engine, &command);
            CHECK(count >= 1 || !says_something(market.engine));
            for (uint64_t at = 0; at < count; at++)
            {
                const ome_event_t *event = &market.recorder->events[at];
                CHECK_EQUAL(event->sequence, market.engine->sequence);
                learn(known, event);
                kinds[event->kind]++;
                reasons[event->reason]++;
            }
            check_engine(market.engine, i);
            check_known(market.engine, known);
        }
        market_free(&market);
    }
    /* The flow is one: everything happened. */
    for (uint32_t kind = OME_EVENT_KIND_ACCEPTED; kind <= OME_EVENT_KIND_COMPLETED; kind++)
    {
        CHECK(kinds[kind] > 100 || kind == OME_EVENT_KIND_DEFINED);
    }
    for (uint32_t reason = OME_REASON_NONE; reason <= OME_REASON_SPECIAL_LIMIT_REACHED; reason++)
    {
        /* No definitions are in the flow, and a last price is missing only at its start. */
        const bool is_elsewhere = reason == OME_REASON_BAD_DEFINITION || reason == OME_REASON_NO_LAST_PRICE;
        if (reasons[reason] == 0 && !is_elsewhere)
        {
            fprintf(stderr, "no command was refused for reason %" PRIu32 "\n", reason);
        }
        CHECK(reasons[reason] > 0 || is_elsewhere);
    }
    for (uint32_t reason = OME_REASON_REQUESTED; reason <= OME_REASON_MASS_CANCELLED; reason++)
    {
        CHECK(reasons[reason] > 0);
    }
}

/* Rules D2: a rejected command changes nothing but the counters: with them set back, the state hash is as before. */
static void a_rejected_command_changes_nothing_but_counters(void)
{
    market_t market = market_new(&standard_limits, 1);
    flow_t flow = flow_of(seed ^ 2, 30);
    flow.has_specials = true;
    define_flow(&market);
    ome_engine_t *engine = market.engine;
    uint32_t rejected_count = 0;
    for (uint32_t i = 0; i < 5000; i++)
    {
        ome_command_t command = flow_next(&flow);
        const uint64_t hash = ome_engine_state_hash(engine);
        const uint64_t time_ns = engine->time_ns;
        const uint32_t free_head = engine->pools.orders.free_head;
        const bool waited = engine->pending.waits;
        const uint32_t session = command.session <= engine->limits.session_count_max ? command.session : 0;
        const ome_session_progress_t progress = engine->progress[session];
        const uint64_t count = recorder_apply(market.recorder, engine, &command);
        if (count == 1 && !waited && event_from_end(&market, 1)->kind == OME_EVENT_KIND_REJECTED)
        {
            const uint64_t time_after_ns = engine->time_ns;
            const ome_session_progress_t progress_after = engine->progress[session];
            CHECK_EQUAL(progress_after.report_sequence, progress.report_sequence + ome_session_is_defined(engine, session));
            engine->progress[session] = progress;
            engine->time_ns = time_ns;
            engine->sequence--;
            engine->event_count--;
            CHECK_EQUAL(ome_engine_state_hash(engine), hash);
            CHECK_EQUAL(engine->pools.orders.free_head, free_head);
            engine->progress[session] = progress_after;
            engine->time_ns = time_after_ns;
            engine->sequence++;
            engine->event_count++;
            rejected_count++;
        }
    }
    CHECK(rejected_count > 500);
    market_free(&market);
}

/* Rules D1: two engines say the same, byte for byte, and are the same, whether commands come one by one or many, and
 * whatever the window of the sink. */
static void the_same_commands_give_the_same_events_and_the_same_hashes(void)
{
    enum
    {
        COUNT = 20000
    };
    ome_command_t *commands = malloc(COUNT * sizeof(ome_command_t));
    CHECK(commands != NULL);
    flow_t flow = flow_of(seed ^ 3, 20);
    flow.has_specials = true;
    for (uint32_t i = 0; i < COUNT; i++)
    {
        commands[i] = flow_next(&flow);
    }
    market_t one = market_new(&standard_limits, 1);
    market_t many = market_new(&standard_limits, 7);
    define_flow(&one);
    define_flow(&many);
    for (uint32_t i = 0; i < COUNT; i++)
    {
        ome_engine_apply(one.engine, &commands[i], &one.recorder->sink);
        commands[i].sequence = UINT64_MAX - i; /* is ignored */
    }
    uint64_t state = seed;
    for (uint32_t done = 0; done < COUNT;)
    {
        const uint32_t part = (uint32_t)(test_random(&state) % 300);
        const uint32_t count = part < COUNT - done ? part : COUNT - done;
        ome_engine_apply_many(many.engine, commands + done, count, &many.recorder->sink);
        done += count;
    }
    recorder_take_window(one.recorder);
    recorder_take_window(many.recorder);
    CHECK_EQUAL(one.recorder->count, many.recorder->count);
    CHECK_EQUAL(one.recorder->count, one.engine->event_count);
    CHECK_BYTES_EQUAL(one.recorder->events, many.recorder->events, one.recorder->count * sizeof(ome_event_t));
    CHECK_EQUAL(one.recorder->hash, many.recorder->hash);
    CHECK_EQUAL(ome_engine_state_hash(one.engine), ome_engine_state_hash(many.engine));
    market_free(&one);
    market_free(&many);
    free(commands);
}

/* ---- the state hash ---- */

/* Every bit of the memory given is in the hash. */
static void check_bits_are_hashed(ome_engine_t *engine, void *memory, size_t size_bytes)
{
    uint8_t *bytes = memory;
    const uint64_t hash = ome_engine_state_hash(engine);
    for (size_t i = 0; i < 8 * size_bytes; i++)
    {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        CHECK(ome_engine_state_hash(engine) != hash);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    CHECK_EQUAL(ome_engine_state_hash(engine), hash);
}

/* Rules, "Hashes": whichever bit of what the state hash covers is another, the hash is another. */
static void the_state_hash_changes_with_every_bit_that_it_covers(void)
{
    market_t market = market_new(&standard_limits, 1);
    define_flow(&market);
    ome_command_t order = limit_order(OME_SIDE_BUY, 100, 10, 31);
    order.participant = order.session = 2;
    order.account = 6;
    apply(&market, order, 1);
    apply(&market, limit_order(OME_SIDE_BUY, 100, 20, 32), 1);
    apply(&market, limit_order(OME_SIDE_BUY, 99, 5, 33), 1);
    apply(&market, limit_order(OME_SIDE_SELL, 100, 4, 34), 2); /* trades with the first */
    ome_engine_t *engine = market.engine;
    check_bits_are_hashed(engine, &engine->sequence, 8);
    check_bits_are_hashed(engine, &engine->time_ns, 8);
    check_bits_are_hashed(engine, &engine->trade_count, 8);
    check_bits_are_hashed(engine, &engine->event_count, 8);
    for (uint32_t number = 1; number <= 3; number++)
    {
        ome_book_t *book = &engine->books[number];
        check_bits_are_hashed(engine, &book->number, 4);
        check_bits_are_hashed(engine, &book->last_trade_price, 8);
        check_bits_are_hashed(engine, &book->instrument.tick, 8);
        check_bits_are_hashed(engine, &book->instrument.price_decimals, 1);
        check_bits_are_hashed(engine, &book->instrument.quantity_decimals, 1);
        check_bits_are_hashed(engine, &book->instrument.flags, 2);
        check_bits_are_hashed(engine, book->instrument.symbol, OME_NAME_SIZE);
        check_bits_are_hashed(engine, &engine->senders[number], 2);
        check_bits_are_hashed(engine, &engine->sessions[number], sizeof(ome_session_t));
    }
    for (uint32_t slot = 1; slot <= 3; slot++)
    {
        ome_order_t *resting = &engine->pools.orders.orders[slot];
        check_bits_are_hashed(engine, &resting->leaves_quantity, 8);
        check_bits_are_hashed(engine, &resting->cumulative_quantity, 8);
        check_bits_are_hashed(engine, &resting->client_order_id, 8);
        check_bits_are_hashed(engine, &resting->owner, 8);
        check_bits_are_hashed(engine, &resting->generation, 4);
        check_bits_are_hashed(engine, &engine->pools.ladder.levels[resting->level].price, 8);
    }
    market_free(&market);
}

/* The state hash after two orders on one side of one instrument, and two amends of the first. */
static uint64_t hash_of_two_orders(uint8_t side, uint32_t instrument, int64_t first_quantity, int64_t second_quantity)
{
    market_t market = market_new(&standard_limits, 1);
    define_flow(&market);
    ome_command_t order = limit_order(side, 100, 10, 1);
    order.instrument = instrument;
    apply(&market, order, 1);
    order.client_order_id = 2;
    apply(&market, order, 1);
    apply(&market, amend_order(1, OME_NULL_VALUE, first_quantity), 1);
    apply(&market, amend_order(1, OME_NULL_VALUE, second_quantity), 1);
    const uint64_t hash = ome_engine_state_hash(market.engine);
    market_free(&market);
    return hash;
}

/* Histories that differ only in the side of the orders, in their places in the queue (the first grew in between), or in
 * a lot give different hashes. */
static void the_state_hash_tells_places_in_the_book_apart(void)
{
    const uint64_t hash = hash_of_two_orders(OME_SIDE_BUY, 1, 10, 10);
    CHECK_EQUAL(hash, hash_of_two_orders(OME_SIDE_BUY, 1, 10, 10));
    CHECK(hash != hash_of_two_orders(OME_SIDE_SELL, 1, 10, 10));
    CHECK(hash != hash_of_two_orders(OME_SIDE_BUY, 1, 11, 10));
    CHECK(hash != hash_of_two_orders(OME_SIDE_BUY, 1, 10, 9));
}

/* So do histories that differ only in the instrument of the orders. */
static void the_state_hash_tells_instruments_apart(void)
{
    CHECK(hash_of_two_orders(OME_SIDE_BUY, 1, 10, 10) != hash_of_two_orders(OME_SIDE_BUY, 2, 10, 10));
}

int main(void)
{
    seed = test_seed(14);
    RUN(invariants_hold_after_any_flow);
    RUN(a_rejected_command_changes_nothing_but_counters);
    RUN(the_same_commands_give_the_same_events_and_the_same_hashes);
    RUN(the_state_hash_changes_with_every_bit_that_it_covers);
    RUN(the_state_hash_tells_places_in_the_book_apart);
    RUN(the_state_hash_tells_instruments_apart);
    return 0;
}
