/* Execution reports: a client that reads them knows what the engine knows. */
#include "gateway_fixture.h"

static uint64_t seed;

/* The next frame to a peer is one report and exactly this one, but for its time, which is that of the last command sequenced. */
static void check_report(house_t *house, uint32_t peer, ome_execution_report_t expected)
{
    const wire_frame_t *frame = next_frame(house, peer);
    const ome_command_t *command = ome_ring_slot(house->ring, expected.engine_sequence);
    CHECK_EQUAL(frame->size_bytes, REPORT_SIZE);
    ome_message_header_set(&expected, OME_TEMPLATE_EXECUTION_REPORT, OME_BLOCK_EXECUTION_REPORT);
    CHECK_EQUAL(command->sequence, expected.engine_sequence);
    CHECK(command->timestamp_ns > UINT64_C(1600000000000000000));
    expected.timestamp_ns = command->timestamp_ns;
    expected.instrument = 1;
    expected.session = expected.participant = (uint16_t)peer;
    CHECK_BYTES_EQUAL(frame->data, &expected, REPORT_SIZE);
}

static uint64_t order_id(uint32_t generation, uint32_t slot)
{
    return (uint64_t)generation << 32 | slot;
}

/* An order's whole life, each report byte for byte: accepted, traded with, reduced, amended up and down, cancelled.
 * Commands are 5 and on. */
static void reports_say_what_is_open_and_what_has_traded(void)
{
    house_t *house = simple_house(64);
    ome_execution_report_t report = {.report_sequence = 1,
        .engine_sequence = 5,
        .order_id = order_id(1, 1),
        .client_order_id = 7,
        .price = 100,
        .leaves_quantity = 50,
        .account = 3,
        .kind = OME_EVENT_KIND_ACCEPTED,
        .flags = OME_EVENT_FLAGS_RESTS,
        .side = OME_SIDE_BUY};
    ome_command_t order = limit_order(OME_SIDE_BUY, 100, 50, 7);
    order.account = 3;
    send_command(house, 1, order);
    work(house);
    check_report(house, 1, report);
    ome_command_t sell = limit_order(OME_SIDE_SELL, 90, 20, 8);
    sell.account = 4;
    send_command(house, 2, sell);
    house->wire->out_read = house->wire->out_count;
    work(house);
    /* The aggressor gets two reports in one frame, the resting order's session one. */
    const wire_frame_t *frame = next_frame(house, 2);
    CHECK_EQUAL(frame->size_bytes, 2 * REPORT_SIZE);
    ome_execution_report_t accepted;
    ome_execution_report_t traded;
    memcpy(&accepted, frame->data, REPORT_SIZE);
    memcpy(&traded, frame->data + REPORT_SIZE, REPORT_SIZE);
    CHECK_EQUAL(accepted.kind, OME_EVENT_KIND_ACCEPTED);
    CHECK_EQUAL(accepted.leaves_quantity, 20);
    CHECK_EQUAL(accepted.price, 90);
    CHECK_EQUAL(accepted.report_sequence, 1);
    CHECK_EQUAL(traded.kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(traded.leaves_quantity, 0);
    CHECK_EQUAL(traded.cumulative_quantity, 20);
    CHECK_EQUAL(traded.price, 100);
    CHECK_EQUAL(traded.last_quantity, 20);
    CHECK_EQUAL(traded.is_aggressor, 1);
    CHECK_EQUAL(traded.trade_id, 1);
    CHECK_EQUAL(traded.order_id, order_id(1, 2));
    CHECK_EQUAL(traded.client_order_id, 8);
    CHECK_EQUAL(traded.side, OME_SIDE_SELL);
    CHECK_EQUAL(traded.account, 4);
    CHECK_EQUAL(traded.report_sequence, 2);
    CHECK_EQUAL(traded.timestamp_ns, accepted.timestamp_ns);
    report.report_sequence++;
    report.engine_sequence++;
    report.kind = OME_EVENT_KIND_TRADE;
    report.last_quantity = 20;
    report.leaves_quantity = 30;
    report.cumulative_quantity = 20;
    report.trade_id = 1;
    report.flags = OME_EVENT_FLAGS_AGGRESSOR_FILLED;
    check_report(house, 1, report);

    static const struct
    {
        uint8_t kind;
        int64_t price;
        int64_t quantity;
        int64_t last;
        int64_t leaves;
        uint8_t reason;
        uint8_t flags;
    } changes[] = {
        {OME_COMMAND_KIND_REDUCE_ORDER, 0, 5, 5, 25, 0, OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_KEPT_PRIORITY},
        {OME_COMMAND_KIND_AMEND_ORDER, OME_NULL_VALUE, 60, 0, 40, 0,
            OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS}, /* up: a total of 60 */
        {OME_COMMAND_KIND_AMEND_ORDER, OME_NULL_VALUE, 30, 0, 10, 0,
            OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY}, /* down */
        {OME_COMMAND_KIND_AMEND_ORDER, 101, OME_NULL_VALUE, 0, 10, 0, OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS},
        {OME_COMMAND_KIND_CANCEL_ORDER, 0, 0, 10, 0, OME_REASON_REQUESTED, OME_EVENT_FLAGS_WAS_RESTING},
    };
    static const uint8_t kinds[] = {
        OME_EVENT_KIND_REDUCED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_CANCELLED};
    report.trade_id = 0;
    for (uint32_t i = 0; i < 5; i++)
    {
        send_command(house, 1,
            (ome_command_t){.kind = changes[i].kind, .client_order_id = 7, .price = changes[i].price, .quantity = changes[i].quantity});
        work(house);
        report.report_sequence++;
        report.engine_sequence++;
        report.kind = kinds[i];
        report.price = i >= 3 ? 101 : 100;
        report.last_quantity = changes[i].last;
        report.leaves_quantity = changes[i].leaves;
        report.reason = changes[i].reason;
        report.flags = changes[i].flags;
        check_report(house, 1, report);
    }
    /* A second cancel is refused; the report has what the command meant. */
    send_command(house, 1, cancel_order(7));
    work(house);
    const wire_frame_t *refused = next_frame(house, 1);
    CHECK_EQUAL(refused->size_bytes, REPORT_SIZE);
    memcpy(&report, refused->data, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(report.reason, OME_REASON_UNKNOWN_ORDER);
    CHECK_EQUAL(report.client_order_id, 7);
    CHECK_EQUAL(report.command_kind, OME_COMMAND_KIND_CANCEL_ORDER);
    CHECK_EQUAL(report.leaves_quantity, 0);
    CHECK_EQUAL(report.report_sequence, 8);
    check_silence(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_CANCELS), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS), 10);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 0);
    house_free(house);
}

/* What a client knows of its orders, by slot, from its reports alone. */
typedef struct
{
    uint64_t report_sequence;
    uint64_t trade_id; /* of its last trade */
    uint64_t id[65];
    int64_t leaves[65];
    int64_t cumulative[65];
} client_t;

typedef struct
{
    client_t clients[PEER_COUNT];
    uint32_t traded[2]; /* reports of resting orders and of aggressors */
    uint32_t kinds[256];
    uint32_t expired;
} known_t;

static void know_order(client_t *client, const ome_execution_report_t *report)
{
    const uint32_t slot = (uint32_t)report->order_id;
    CHECK(slot >= 1 && slot <= 64);
    if (report->kind == OME_EVENT_KIND_ACCEPTED)
    {
        client->id[slot] = report->order_id;
        client->leaves[slot] = report->leaves_quantity;
        client->cumulative[slot] = 0;
    }
    CHECK_EQUAL(client->id[slot], report->order_id);
    if (report->kind == OME_EVENT_KIND_ATTRIBUTES)
    {
        return; /* has no quantities */
    }
    if (report->kind == OME_EVENT_KIND_TRADE)
    {
        CHECK(report->last_quantity > 0 && report->trade_id >= client->trade_id); /* equal where both sides are its own */
        client->trade_id = report->trade_id;
        client->cumulative[slot] += report->last_quantity;
        client->leaves[slot] -= report->last_quantity;
    }
    else if (report->kind == OME_EVENT_KIND_REDUCED || report->kind == OME_EVENT_KIND_CANCELLED)
    {
        client->leaves[slot] -= report->last_quantity;
    }
    else if (report->kind == OME_EVENT_KIND_AMENDED)
    {
        client->leaves[slot] = report->leaves_quantity;
    }
    /* A stop that triggers and a match that is prevented change nothing by themselves. */
    CHECK_EQUAL(report->leaves_quantity, client->leaves[slot]);
    CHECK_EQUAL(report->cumulative_quantity, client->cumulative[slot]);
    CHECK(report->kind != OME_EVENT_KIND_CANCELLED || report->leaves_quantity == 0);
}

static void know(known_t *known, uint32_t peer, const ome_execution_report_t *report)
{
    client_t *client = &known->clients[peer];
    CHECK_EQUAL(report->report_sequence, ++client->report_sequence); /* no gap */
    known->kinds[report->kind]++;
    known->traded[report->is_aggressor] += report->kind == OME_EVENT_KIND_TRADE;
    known->expired += report->kind == OME_EVENT_KIND_CANCELLED && report->reason == OME_REASON_EXPIRED;
    CHECK(report->kind != OME_EVENT_KIND_DISPLAYED);
    if (report->kind == OME_EVENT_KIND_COMPLETED)
    {
        CHECK_EQUAL(report->order_id, 0);
        CHECK_EQUAL(report->leaves_quantity, 0);
        CHECK_EQUAL(report->command_kind, OME_COMMAND_KIND_MASS_CANCEL);
    }
    else if (report->kind != OME_EVENT_KIND_REJECTED)
    {
        know_order(client, report);
    }
}

/* Takes in all frames sent so far, which are reports; returns how many reports it was. */
static uint32_t know_frames(known_t *known, house_t *house)
{
    uint32_t count = 0;
    while (house->wire->out_read < house->wire->out_count)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read++];
        CHECK(is_report_frame(frame->data));
        CHECK_EQUAL(frame->size_bytes % REPORT_SIZE, 0);
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE, count++)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            know(known, frame->peer, &report);
        }
    }
    return count;
}

static void check_known(const known_t *known, const ome_engine_t *engine)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        const ome_order_t *order = &pool->orders[slot];
        for (uint32_t peer = 1; peer < PEER_COUNT; peer++)
        {
            const client_t *client = &known->clients[peer];
            const bool is_its_own = order->leaves_quantity > 0 && order->owner >> 48 == peer;
            CHECK_EQUAL(client->leaves[slot], is_its_own ? ome_book_leaves(&engine->pools, order) : 0);
            CHECK(!is_its_own || client->cumulative[slot] == order->cumulative_quantity);
            CHECK(!is_its_own || client->id[slot] == ome_order_id(pool, slot));
        }
    }
}

/* How many live orders each session has is what a count of the engine's orders gives. */
static void check_order_counts(const house_t *house)
{
    const ome_order_pool_t *pool = &house->engine->pools.orders;
    for (uint16_t session = 1; session <= standard_limits.session_count_max; session++)
    {
        uint32_t count = 0;
        for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
        {
            const ome_order_t *order = &pool->orders[slot];
            count += order->leaves_quantity > 0 && ome_book_owner(&house->engine->pools, order) >> 48 == session;
        }
        CHECK_EQUAL(look(house, session).order_count, count);
    }
}

/* Some commands of a flow, as a client may send them in one frame; returns how many messages. */
static uint32_t next_commands(flow_t *flow, ome_command_t *commands, uint32_t count_min)
{
    uint32_t count = 0;
    while (count < count_min || flow->terms_count > 0)
    {
        ome_command_t *command = &commands[count++];
        *command = flow_next(flow);
        const bool may_be_sent = command->kind >= OME_COMMAND_KIND_NEW_ORDER && command->kind <= OME_COMMAND_KIND_MASS_CANCEL;
        command->kind = may_be_sent ? command->kind : OME_COMMAND_KIND_NEW_ORDER;
        command->session_sequence = 0;
    }
    for (uint32_t i = 0; i < count; i++)
    {
        const bool follows = i > 0 && (commands[i - 1].flags & OME_COMMAND_FLAGS_CONTINUED) != 0 &&
                             commands[i - 1].kind != OME_COMMAND_KIND_CANCEL_ORDER &&
                             commands[i - 1].kind != OME_COMMAND_KIND_REDUCE_ORDER && commands[i - 1].kind != OME_COMMAND_KIND_MASS_CANCEL;
        if ((commands[i].kind == OME_COMMAND_KIND_ORDER_TERMS) != follows)
        {
            commands[i].kind = follows ? OME_COMMAND_KIND_ORDER_TERMS : OME_COMMAND_KIND_NEW_ORDER;
        }
        if (i + 1 == count || commands[i + 1].kind != OME_COMMAND_KIND_ORDER_TERMS)
        {
            commands[i].flags &= (uint16_t)~OME_COMMAND_FLAGS_CONTINUED;
        }
    }
    return count;
}

/* What the embedder does beside the clients: prices from elsewhere, so that stops trigger, and the end of the day. */
static void submit_beside(house_t *house, flow_t *flow)
{
    ome_command_t command = {.timestamp_ns = ome_clock_realtime_ns(), .instrument = 1, .kind = OME_COMMAND_KIND_SET_LAST_PRICE};
    command.price = 1000 + flow_below(flow, flow->price_count);
    if (flow_below(flow, 4) == 0)
    {
        command = (ome_command_t){.timestamp_ns = command.timestamp_ns,
            .kind = OME_COMMAND_KIND_EXPIRE_ORDERS,
            .cutoff_ns = command.timestamp_ns + flow_below(flow, 400) * UINT64_C(1000000),
            .flags = flow_below(flow, 4) == 0 ? OME_COMMAND_FLAGS_END_OF_DAY : 0};
    }
    submit(house, &command);
}

/* Whatever two clients do, from their reports alone they know what the engine knows of every order; no report sequence
 * is missing, and each trade is told to both sides. */
static void clients_know_from_reports_what_the_engine_knows(void)
{
    static known_t known;
    house_t *house = simple_house(1024);
    memset(&known, 0, sizeof(known));
    flow_t flow = {
        .random = seed, .instrument_count = 1, .participant_count = 0, .order_id_count = 30, .price_count = 15, .has_specials = true};
    uint64_t report_count = 0;
    for (uint32_t round = 0; round < 600; round++)
    {
        for (uint32_t peer = 1; peer <= 2; peer++)
        {
            ome_command_t commands[24];
            flow.timestamp_ns = ome_clock_realtime_ns() + flow_below(&flow, 100) * UINT64_C(1000000); /* deadlines follow it */
            send_commands(house, peer, commands, next_commands(&flow, commands, 1 + flow_below(&flow, 20)));
        }
        submit_beside(house, &flow);
        work(house);
        report_count += know_frames(&known, house);
        check_known(&known, house->engine);
        check_order_counts(house);
        forget_frames(house);
    }
    CHECK_EQUAL(known.traded[0], known.traded[1]);
    CHECK_EQUAL(known.traded[0], house->engine->trade_count);
    CHECK(house->engine->trade_count > 500);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS), report_count);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), known.kinds[OME_EVENT_KIND_ACCEPTED]);
    CHECK_EQUAL(count_of(house, OME_COUNT_CANCELS), known.kinds[OME_EVENT_KIND_CANCELLED]);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), known.kinds[OME_EVENT_KIND_REJECTED]);
    for (uint32_t kind = OME_EVENT_KIND_ACCEPTED; kind <= OME_EVENT_KIND_STOP_SET; kind++)
    {
        const bool is_reported = kind != OME_EVENT_KIND_DEFINED && kind != OME_EVENT_KIND_DISPLAYED;
        CHECK_EQUAL(known.kinds[kind] > 5, is_reported);
    }
    CHECK(known.expired > 5);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 0);
    CHECK_EQUAL(look(house, 1).report_sequence, known.clients[1].report_sequence);
    CHECK_EQUAL(look(house, 2).report_sequence, known.clients[2].report_sequence);
    house_free(house);
}

/* An amend that crosses is reported as amended with its new leaves, then trade by trade on both sides, and what is left as it rests. */
static void an_amend_that_crosses_is_reported_step_by_step(void)
{
    house_t *house = simple_house(64);
    static known_t known;
    memset(&known, 0, sizeof(known));
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 104, 3, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 105, 4, 2));
    work(house);
    CHECK_EQUAL(know_frames(&known, house), 3);
    send_command(house, 1, amend_order(1, 106, 12));
    work(house);
    const wire_frame_t frame = house->wire->out[house->wire->out_read];
    CHECK_EQUAL(frame.peer, 1);
    ome_execution_report_t report;
    memcpy(&report, frame.data, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_AMENDED);
    CHECK_EQUAL(report.leaves_quantity, 12);
    CHECK_EQUAL(report.price, 106);
    CHECK_EQUAL(report.cumulative_quantity, 0);
    memcpy(&report, frame.data + REPORT_SIZE, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(report.price, 104);
    CHECK_EQUAL(report.leaves_quantity, 9);
    CHECK_EQUAL(report.cumulative_quantity, 3);
    memcpy(&report, frame.data + 2 * REPORT_SIZE, REPORT_SIZE);
    CHECK_EQUAL(report.kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(report.price, 105);
    CHECK_EQUAL(report.leaves_quantity, 5);
    CHECK_EQUAL(report.cumulative_quantity, 7);
    (void)know_frames(&known, house);
    check_known(&known, house->engine);
    CHECK_EQUAL(known.traded[0], 2);
    CHECK_EQUAL(known.traded[1], 2);
    house_free(house);
}

/* A sweep of more trades than a turn takes and a frame usually has reaches both sides whole and in order. */
static void a_sweep_larger_than_a_turn_is_reported_whole(void)
{
    const ome_limits_t limits = {.order_count_max = 3000,
        .level_count_max = 32,
        .instrument_count_max = 1,
        .session_count_max = 4,
        .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = market_engine(&limits);
    recorder_t *recorder = recorder_new(1);
    const ome_command_t definitions[3] = {define_instrument(1, "ONE", 1, 0), define_session(1, 1, "A", 0), define_session(2, 2, "B", 0)};
    ome_engine_apply_many(engine, definitions, 3, &recorder->sink);
    for (uint32_t i = 0; i < 2500; i++)
    {
        ome_command_t order = limit_order(OME_SIDE_SELL, 100, 1, i + 1);
        order.participant = order.session = 1;
        ome_engine_apply(engine, &order, &recorder->sink);
    }
    recorder_free(recorder);
    house_t *house = house_around(engine, 16, 4096);
    bind_session(house, 1, 1);
    bind_session(house, 2, 2);
    send_command(house, 2, limit_order(OME_SIDE_BUY, 100, 2500, 1));
    work(house);
    uint64_t sequences[PEER_COUNT] = {[1] = 2500}; /* its orders were accepted before */
    uint64_t trades[PEER_COUNT] = {0};
    while (house->wire->out_read < house->wire->out_count)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read++];
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK_EQUAL(report.report_sequence, ++sequences[frame->peer]);
            trades[frame->peer] += report.kind == OME_EVENT_KIND_TRADE;
            CHECK(report.kind != OME_EVENT_KIND_TRADE || report.trade_id == trades[frame->peer]);
        }
    }
    CHECK_EQUAL(trades[1], 2500);
    CHECK_EQUAL(trades[2], 2500);
    CHECK_EQUAL(sequences[1], 5000);
    CHECK_EQUAL(sequences[2], 2501);
    house_free(house);
}

/* Fifty lots of session 1 at 100 with a peak of ten: what it displays is nobody's report, its leaves are whole. */
static void send_iceberg(house_t *house)
{
    ome_command_t iceberg[2] = {limit_order(OME_SIDE_SELL, 100, 50, 1), order_terms(OME_TERM_DISPLAY_QUANTITY, 10)};
    iceberg[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    send_commands(house, 1, iceberg, 2);
}

/* A house with that iceberg, of which twelve lots have traded and whose reports have been read. */
static house_t *house_with_an_iceberg(void)
{
    house_t *house = simple_house(64);
    send_iceberg(house);
    ome_command_t buy = limit_order(OME_SIDE_BUY, 100, 12, 1);
    buy.time_in_force = OME_TIME_IN_FORCE_IOC;
    send_command(house, 2, buy);
    work(house);
    forget_frames(house);
    return house;
}

/* An iceberg's peak is replenished and a stop triggers by one trade: the reports say what is open of the whole order,
 * in the order of the events. */
static void a_trade_with_an_iceberg_that_triggers_a_stop_is_reported_to_both(void)
{
    house_t *house = simple_house(64);
    static known_t known;
    memset(&known, 0, sizeof(known));
    send_iceberg(house);
    /* A stop of the same session, which waits. */
    ome_command_t stop[2] = {limit_order(OME_SIDE_SELL, 0, 5, 2), order_terms(OME_TERM_STOP_PRICE, 100)};
    stop[0].order_type = OME_ORDER_TYPE_STOP;
    stop[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    send_commands(house, 1, stop, 2);
    work(house);
    CHECK_EQUAL(know_frames(&known, house), 3);
    check_known(&known, house->engine);
    /* A buy of 12 takes the peak and two of the next, and triggers the stop, which finds nobody. */
    ome_command_t buy = limit_order(OME_SIDE_BUY, 100, 12, 1);
    buy.time_in_force = OME_TIME_IN_FORCE_IOC;
    send_command(house, 2, buy);
    work(house);
    CHECK_EQUAL(house->wire->out_count - house->wire->out_read, 2);
    static const struct
    {
        uint32_t peer;
        uint8_t kind;
        uint64_t client_order_id;
        int64_t price;
        int64_t last_quantity;
        int64_t leaves_quantity;
        uint8_t reason;
    } expected[] = {{2, OME_EVENT_KIND_ACCEPTED, 1, 100, 0, 12, 0}, {2, OME_EVENT_KIND_TRADE, 1, 100, 10, 2, 0},
        {2, OME_EVENT_KIND_TRADE, 1, 100, 2, 0, 0}, {1, OME_EVENT_KIND_TRADE, 1, 100, 10, 40, 0},
        {1, OME_EVENT_KIND_TRADE, 1, 100, 2, 38, 0}, {1, OME_EVENT_KIND_TRIGGERED, 2, 100, 0, 5, 0},
        {1, OME_EVENT_KIND_CANCELLED, 2, 0, 5, 0, OME_REASON_NO_LIQUIDITY}};
    uint32_t at = 0;
    for (uint32_t i = house->wire->out_read; i < house->wire->out_count; i++)
    {
        const wire_frame_t *frame = &house->wire->out[i];
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE, at++)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK(at < 7);
            CHECK_EQUAL(frame->peer, expected[at].peer);
            CHECK_EQUAL(report.kind, expected[at].kind);
            CHECK_EQUAL(report.client_order_id, expected[at].client_order_id);
            CHECK_EQUAL(report.price, expected[at].price);
            CHECK_EQUAL(report.last_quantity, expected[at].last_quantity);
            CHECK_EQUAL(report.leaves_quantity, expected[at].leaves_quantity);
            CHECK_EQUAL(report.reason, expected[at].reason);
            CHECK_EQUAL(report.engine_sequence, 9);
            CHECK_EQUAL(report.timestamp_ns, ((ome_command_t *)ome_ring_slot(house->ring, 9))->timestamp_ns);
        }
    }
    CHECK_EQUAL(at, 7);
    (void)know_frames(&known, house);
    check_known(&known, house->engine);
    house_free(house);
}

/* Cancel and replace: the report that answers has the new id, and so have those that follow. */
static void an_order_that_is_replaced_is_reported_under_its_new_id(void)
{
    house_t *house = house_with_an_iceberg();
    ome_command_t amend[2] = {amend_order(1, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77)};
    amend[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    send_commands(house, 1, amend, 2);
    work(house);
    ome_execution_report_t report = {.report_sequence = 4,
        .engine_sequence = 9,
        .order_id = order_id(1, 1),
        .client_order_id = 77,
        .price = 100,
        .leaves_quantity = 38,
        .cumulative_quantity = 12,
        .kind = OME_EVENT_KIND_AMENDED,
        .flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY | OME_EVENT_FLAGS_HIDDEN,
        .side = OME_SIDE_SELL};
    check_report(house, 1, report);
    send_command(house, 1, reduce_order(77, 8));
    work(house);
    report.report_sequence = 5;
    report.engine_sequence = 10;
    report.last_quantity = 8;
    report.leaves_quantity = 30;
    report.kind = OME_EVENT_KIND_REDUCED;
    report.flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_KEPT_PRIORITY | OME_EVENT_FLAGS_HIDDEN;
    check_report(house, 1, report);
    house_free(house);
}

/* It is told to both orders, and is no trade. */
static void a_prevented_self_trade_is_reported_to_both_orders(void)
{
    house_t *house = house_with_an_iceberg();
    ome_command_t own = limit_order(OME_SIDE_BUY, 100, 8, 3);
    own.self_trade_prevention = OME_SELF_TRADE_PREVENTION_CANCEL_NEWEST;
    send_command(house, 1, own);
    work(house);
    const wire_frame_t *frame = next_frame(house, 1);
    CHECK_EQUAL(frame->size_bytes, 4 * REPORT_SIZE);
    ome_execution_report_t reports[4];
    memcpy(reports, frame->data, sizeof(reports));
    CHECK_EQUAL(reports[0].kind, OME_EVENT_KIND_ACCEPTED);
    CHECK_EQUAL(reports[3].kind, OME_EVENT_KIND_CANCELLED);
    CHECK_EQUAL(reports[3].reason, OME_REASON_SELF_TRADE_PREVENTION);
    CHECK_EQUAL(reports[3].leaves_quantity, 0);
    for (uint32_t i = 1; i < 3; i++)
    {
        CHECK_EQUAL(reports[i].kind, OME_EVENT_KIND_PREVENTED);
        CHECK_EQUAL(reports[i].last_quantity, 8);
        CHECK_EQUAL(reports[i].trade_id, 0);
        CHECK_EQUAL(reports[i].is_aggressor, i == 1);
        CHECK_EQUAL(reports[i].leaves_quantity, i == 1 ? 8 : 38);
        CHECK_EQUAL(reports[i].client_order_id, i == 1 ? 3 : 1);
        CHECK_EQUAL(reports[i].side, i == 1 ? OME_SIDE_BUY : OME_SIDE_SELL);
        CHECK_EQUAL(reports[i].timestamp_ns, reports[0].timestamp_ns);
        CHECK_EQUAL(reports[i].cumulative_quantity, i == 1 ? 0 : 12);
    }
    check_silence(house);
    house_free(house);
}

/* Each order, and a total that echoes the request. */
static void a_mass_cancel_is_reported_for_each_order_and_in_total(void)
{
    house_t *house = house_with_an_iceberg();
    send_command(house, 1, (ome_command_t){.kind = OME_COMMAND_KIND_MASS_CANCEL, .client_order_id = 5, .instrument = 1});
    work(house);
    const wire_frame_t *frame = next_frame(house, 1);
    CHECK_EQUAL(frame->size_bytes, 2 * REPORT_SIZE);
    ome_execution_report_t reports[2];
    memcpy(reports, frame->data, sizeof(reports));
    CHECK_EQUAL(reports[0].kind, OME_EVENT_KIND_CANCELLED);
    CHECK_EQUAL(reports[0].last_quantity, 38);
    CHECK_EQUAL(reports[0].reason, OME_REASON_MASS_CANCELLED);
    CHECK_EQUAL(reports[1].kind, OME_EVENT_KIND_COMPLETED);
    CHECK_EQUAL(reports[1].last_quantity, 1);
    CHECK_EQUAL(reports[1].client_order_id, 5);
    CHECK_EQUAL(reports[1].command_kind, OME_COMMAND_KIND_MASS_CANCEL);
    CHECK_EQUAL(reports[1].order_id, 0);
    CHECK_EQUAL(reports[1].leaves_quantity, 0);
    check_silence(house);
    house_free(house);
}

/* A gateway beside an engine with a history knows the orders at rest, and goes on counting trades. */
static void a_gateway_takes_over_orders_at_rest(void)
{
    ome_engine_t *engine = defined_engine();
    recorder_t *recorder = recorder_new(1);
    ome_command_t orders[2] = {limit_order(OME_SIDE_BUY, 100, 10, 1), limit_order(OME_SIDE_SELL, 100, 4, 2)};
    orders[0].participant = orders[0].session = 1;
    orders[0].account = 6;
    ome_engine_apply_many(engine, orders, 2, &recorder->sink);
    CHECK_EQUAL(engine->trade_count, 1);
    /* An iceberg behind it, and a stop that waits for a price above. */
    ome_command_t specials[4] = {limit_order(OME_SIDE_BUY, 100, 30, 4), order_terms(OME_TERM_DISPLAY_QUANTITY, 3),
        limit_order(OME_SIDE_BUY, 120, 9, 5), order_terms(OME_TERM_STOP_PRICE, 110)};
    specials[2].order_type = OME_ORDER_TYPE_STOP_LIMIT;
    for (uint32_t i = 0; i < 4; i++)
    {
        specials[i].participant = specials[i].session = 2;
        specials[i].flags = i % 2 == 0 ? OME_COMMAND_FLAGS_CONTINUED : 0;
    }
    specials[0].account = 8;
    ome_engine_apply_many(engine, specials, 4, &recorder->sink);
    CHECK_EQUAL(engine->pools.specials.record_count, 2);
    recorder_free(recorder);
    house_t *house = house_around(engine, 16, 64);
    check_order_counts(house);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    CHECK_EQUAL(look(house, 2).order_count, 2);
    bind_session(house, 1, 1);
    ome_command_t sell = limit_order(OME_SIDE_SELL, 99, 5, 3);
    sell.timestamp_ns = UINT64_C(1700000000000000000);
    submit(house, &sell);
    work(house);
    check_report(house, 1,
        (ome_execution_report_t){.report_sequence = 3,
            .engine_sequence = 11,
            .order_id = order_id(1, 1),
            .client_order_id = 1,
            .price = 100,
            .last_quantity = 5,
            .leaves_quantity = 1,
            .cumulative_quantity = 9,
            .trade_id = 2,
            .account = 6,
            .flags = OME_EVENT_FLAGS_AGGRESSOR_FILLED,
            .kind = OME_EVENT_KIND_TRADE,
            .side = OME_SIDE_BUY});
    check_silence(house);
    bind_session(house, 2, 2);
    ome_execution_report_t report = {.report_sequence = 4, /* the stop has two */
        .engine_sequence = 12,
        .order_id = order_id(2, 2),
        .client_order_id = 4,
        .price = 100,
        .last_quantity = 1,
        .leaves_quantity = 29,
        .account = 8,
        .kind = OME_EVENT_KIND_REDUCED,
        .flags = OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_KEPT_PRIORITY | OME_EVENT_FLAGS_HIDDEN,
        .side = OME_SIDE_BUY};
    send_command(house, 2, reduce_order(4, 1));
    work(house);
    check_report(house, 2, report);
    send_command(house, 2, cancel_order(5));
    work(house);
    report.report_sequence = 5;
    report.flags = OME_EVENT_FLAGS_WAITING;
    report.engine_sequence = 13;
    report.order_id = order_id(1, 3);
    report.client_order_id = 5;
    report.price = 120;
    report.last_quantity = 9;
    report.leaves_quantity = 0;
    report.account = 0;
    report.kind = OME_EVENT_KIND_CANCELLED;
    report.reason = OME_REASON_REQUESTED;
    check_report(house, 2, report);
    house_free(house);
}

/* Reports of a session without a connection are kept: it gets them when it returns, then new ones, and no number is missing. */
static void a_session_without_a_connection_misses_nothing(void)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
    work(house);
    ome_gateway_log_out(house->gateway, 1);
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 3, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 3, 2));
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 0);
    CHECK_EQUAL(look(house, 1).report_sequence, 3);
    CHECK_EQUAL(look(house, 1).first_report_sequence, 1);
    bind_session(house, 1, 3);
    ome_gateway_begin(house->gateway, 1, 2);
    house->wire->out_read = house->wire->out_count;
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 4, 3));
    work(house);
    uint64_t expected = 2;
    for (uint32_t i = house->wire->out_read; i < house->wire->out_count; i++)
    {
        const wire_frame_t *frame = &house->wire->out[i];
        for (uint32_t offset = 0; frame->peer == 3 && offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK_EQUAL(report.kind, OME_EVENT_KIND_TRADE);
            CHECK_EQUAL(report.report_sequence, expected);
            CHECK_EQUAL(report.cumulative_quantity, expected == 4 ? 10 : 3 * (int64_t)(expected - 1));
            expected++;
        }
    }
    CHECK_EQUAL(expected, 5);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_RESENT), 2);
    house_free(house);
}

/* ---- the gate ---- */

/* Of a command that may not be spoken of yet nothing is sent; when it may, all of it is, and nothing twice. */
static void nothing_is_reported_before_the_gate_opens(void)
{
    static known_t known;
    house_t *house = simple_house(64);
    memset(&known, 0, sizeof(known));
    open_gate(house, 4);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1)); /* 5 */
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 2)); /* 6 */
    send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 15, 1)); /* 7 */
    work(house);
    check_silence(house);
    CHECK_EQUAL(ome_gateway_run(house->gateway, 20), OME_GATEWAY_IDLE);
    check_silence(house);
    static const uint32_t counts[4] = {0, 1, 1, 5};
    for (uint32_t i = 0; i < 4; i++)
    {
        open_gate(house, 4 + i);
        work(house);
        CHECK_EQUAL(know_frames(&known, house), counts[i]);
    }
    open_gate(house, UINT64_MAX);
    work(house);
    check_silence(house);
    check_known(&known, house->engine);
    house_free(house);
}

/* ---- commands of the embedder ---- */

/* A command of the embedder's whose session was never defined is rejected; the rejection is for nobody here, and
 * touches nothing, wherever the session's place would be. */
static void a_rejection_for_a_session_beyond_the_limit_touches_nothing(void)
{
    house_t *house = simple_house(64);
    uint64_t reject_count = 0;
    for (uint32_t session = standard_limits.session_count_max + 1; session <= UINT16_MAX; session += session < 2000 ? 1 : 1009)
    {
        ome_command_t command = limit_order(OME_SIDE_BUY, 10, 1, 1);
        command.session = (uint16_t)session;
        submit(house, &command);
        work(house);
        reject_count++;
    }
    check_silence(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), reject_count);
    house_free(house);
}

int main(void)
{
    seed = test_seed(17);
    RUN(reports_say_what_is_open_and_what_has_traded);
    RUN(clients_know_from_reports_what_the_engine_knows);
    RUN(an_amend_that_crosses_is_reported_step_by_step);
    RUN(a_sweep_larger_than_a_turn_is_reported_whole);
    RUN(a_trade_with_an_iceberg_that_triggers_a_stop_is_reported_to_both);
    RUN(an_order_that_is_replaced_is_reported_under_its_new_id);
    RUN(a_prevented_self_trade_is_reported_to_both_orders);
    RUN(a_mass_cancel_is_reported_for_each_order_and_in_total);
    RUN(a_gateway_takes_over_orders_at_rest);
    RUN(a_session_without_a_connection_misses_nothing);
    RUN(nothing_is_reported_before_the_gate_opens);
    RUN(a_rejection_for_a_session_beyond_the_limit_touches_nothing);
    return 0;
}
