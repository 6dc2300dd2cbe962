/* The public face: how commands are given and events are taken. Includes ome.h only, as an embedder does. */
#include "face_fixture.h"

/* However the commands are cut into calls, and whatever the window, a sink gets the events that a batch keeps; what no
 * flush took is in the window. */
static void a_sink_gets_the_same_events_as_a_batch(void)
{
    static ome_command_t commands[3001];
    const uint64_t count = flow(commands, 3000);
    market_t market = market_of(&standard_limits);
    ome_batch_apply(market.batch, market.engine, commands, count);
    const uint64_t event_count = ome_batch_event_count(market.batch);
    CHECK(event_count > count / 2 && event_count <= KEPT_COUNT_MAX);
    static const uint32_t windows[] = {1, 2, 7, WINDOW_COUNT_MAX};
    for (uint32_t i = 0; i < 4; i++)
    {
        ome_engine_t *engine = NULL;
        CHECK_EQUAL(ome_engine_create(&standard_limits, &engine), OME_OK);
        keeper_t keeper;
        keeper_start(&keeper, windows[i]);
        uint64_t random = seed + i;
        for (uint64_t done = 0; done < count;)
        {
            const uint64_t part = below(&random, 40);
            const uint64_t left = count - done;
            const uint64_t now = part < left ? part : left;
            if (now == 1)
            {
                ome_engine_apply(engine, &commands[done], &keeper.sink);
            }
            else
            {
                ome_engine_apply_many(engine, &commands[done], now, &keeper.sink);
            }
            CHECK(keeper.sink.next < keeper.sink.end);
            done += now;
        }
        CHECK_EQUAL(keeper.flush_count, event_count / windows[i]);
        keeper_take(&keeper);
        CHECK_EQUAL(keeper.kept_count, event_count);
        CHECK_BYTES_EQUAL(keeper.kept, ome_batch_events(market.batch), event_count * sizeof(ome_event_t));
        CHECK_EQUAL(ome_engine_state_hash(engine), ome_engine_state_hash(market.engine));
        free(keeper.kept);
        ome_engine_destroy(engine);
    }
    market_end(&market);
}

/* A flush may give another window instead of emptying the one that is full. */
static ome_event_t windows_in_a_row[4][2];

static uint32_t window_index;

static void flush_to_the_next_window(ome_sink_t *sink)
{
    window_index++;
    CHECK(window_index < 4);
    sink->next = windows_in_a_row[window_index];
    sink->end = windows_in_a_row[window_index] + 2;
}

static void a_flush_may_give_another_window(void)
{
    market_t market = market_new();
    ome_sink_t sink = {.next = windows_in_a_row[0], .end = windows_in_a_row[0] + 2, .flush = flush_to_the_next_window};
    ome_command_t orders[5];
    for (uint32_t i = 0; i < 5; i++)
    {
        orders[i] = limit_order(i + 1, OME_SIDE_BUY, 1, 100);
    }
    ome_engine_apply_many(market.engine, orders, 5, &sink);
    CHECK_EQUAL(window_index, 2);
    CHECK(sink.next == windows_in_a_row[2] + 1);
    for (uint32_t i = 0; i < 5; i++)
    {
        CHECK_EQUAL(windows_in_a_row[i / 2][i % 2].client_order_id, i + 1);
    }
    market_end(&market);
}

/* A buffer of any size gets every event once, in order; then there are none. */
static void a_buffer_of_any_size_gets_every_event(void)
{
    static ome_command_t commands[8001];
    static ome_event_t buffer[KEPT_COUNT_MAX];
    const uint64_t count = flow(commands, 8000);
    market_t market = market_of(&standard_limits);
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 10), 0);
    ome_batch_apply(market.batch, market.engine, commands, count);
    const uint64_t event_count = ome_batch_event_count(market.batch);
    CHECK(event_count > 5000 && event_count <= KEPT_COUNT_MAX); /* the store has grown */
    CHECK_EQUAL(ome_batch_take(market.batch, NULL, 0), 0);
    uint64_t random = seed;
    uint64_t taken = 0;
    while (taken < event_count)
    {
        const uint64_t room = 1 + below(&random, 300);
        const uint64_t got = ome_batch_take(market.batch, buffer + taken, room);
        CHECK_EQUAL(got, room < event_count - taken ? room : event_count - taken);
        taken += got;
    }
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 10), 0);
    CHECK_BYTES_EQUAL(buffer, ome_batch_events(market.batch), event_count * sizeof(ome_event_t));
    for (uint64_t i = 1; i < event_count; i++)
    {
        CHECK(buffer[i].sequence >= buffer[i - 1].sequence);
    }
    market_end(&market);
}

/* Also those that were not taken. */
static void the_next_call_forgets_the_events_of_the_one_before(void)
{
    static ome_command_t commands[101];
    ome_event_t buffer[1];
    const uint64_t count = flow(commands, 100);
    market_t market = market_of(&standard_limits);
    ome_batch_apply(market.batch, market.engine, commands, count);
    CHECK(ome_batch_event_count(market.batch) > 2);
    const ome_command_t refused[] = {cancel_order(UINT64_MAX), cancel_order(UINT64_MAX)};
    ome_batch_apply(market.batch, market.engine, refused, 2);
    CHECK_EQUAL(ome_batch_event_count(market.batch), 2);
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 1), 1);
    CHECK_EQUAL(buffer[0].sequence, count + 1);
    ome_batch_apply(market.batch, market.engine, NULL, 0);
    CHECK_EQUAL(ome_batch_event_count(market.batch), 0);
    CHECK_EQUAL(ome_batch_take(market.batch, buffer, 1), 0);
    market_end(&market);
}

/* Commands may lie anywhere, and be cut anywhere, also between the records of one command; the hash of events does not depend on it. */
static void commands_may_be_anywhere_in_memory_and_be_cut_anywhere(void)
{
    static ome_command_t commands[3001];
    static uint8_t bytes[sizeof(commands) + 8];
    const uint64_t count = flow(commands, 3000);
    market_t market = market_of(&standard_limits);
    const uint64_t start_hash = ome_batch_event_hash(market.batch);
    ome_batch_apply(market.batch, market.engine, commands, count);
    CHECK(ome_batch_event_hash(market.batch) != start_hash);
    for (uint32_t shift = 0; shift < 8; shift++)
    {
        market_t other = market_of(&standard_limits);
        CHECK_EQUAL(ome_batch_event_hash(other.batch), start_hash);
        memcpy(bytes + shift, commands, count * sizeof(ome_command_t));
        uint64_t random = seed + shift;
        for (uint64_t done = 0; done < count;)
        {
            const uint64_t part = 1 + below(&random, 60);
            const uint64_t now = part < count - done ? part : count - done;
            ome_batch_apply(other.batch, other.engine, bytes + shift + done * sizeof(ome_command_t), now);
            done += now;
        }
        CHECK_EQUAL(ome_batch_event_hash(other.batch), ome_batch_event_hash(market.batch));
        CHECK_EQUAL(ome_engine_state_hash(other.engine), ome_engine_state_hash(market.engine));
        market_end(&other);
    }
    market_end(&market);
}

/* ---- rows ---- */

static void rows_of_events_have_one_meaning_for_each_field(void)
{
    market_t market = market_new();
    ome_command_t maker = limit_order(1, OME_SIDE_SELL, 10, 120);
    maker.account = 33;
    maker.timestamp_ns = 5;
    ome_command_t taker = limit_order(2, OME_SIDE_BUY, 4, 120);
    taker.account = 44;
    taker.timestamp_ns = 6;
    const ome_command_t cancel_unknown = {.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = 9, .instrument = 1};
    const ome_command_t mass_cancel = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .timestamp_ns = 7};
    const ome_command_t commands[] = {maker, taker, cancel_unknown, mass_cancel};
    apply(&market, commands, 4);
    CHECK_EQUAL(market.event_count, 6); /* ACCEPTED, ACCEPTED, TRADE, REJECTED, CANCELLED, COMPLETED */
    uint8_t memory[6 * sizeof(ome_event_row_t) + 1];
    ome_event_rows(ome_batch_events(market.batch), 6, memory + 1);
    ome_event_row_t rows[6];
    memcpy(rows, memory + 1, sizeof(rows));
    CHECK_EQUAL(rows[0].kind, OME_EVENT_KIND_ACCEPTED);
    CHECK_EQUAL(rows[0].flags, OME_EVENT_FLAGS_RESTS);
    CHECK_EQUAL(rows[0].command_kind, 0);
    CHECK_EQUAL(rows[0].resting_order_id, 0);
    CHECK_EQUAL(rows[0].order_count, 0);
    CHECK_EQUAL(rows[0].timestamp_ns, 5);
    CHECK_EQUAL(rows[2].kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(rows[2].timestamp_ns, 6);
    CHECK_EQUAL(rows[2].account, 44);
    CHECK_EQUAL(rows[2].quantity, 4);
    CHECK_EQUAL(rows[2].order_id, rows[1].order_id);
    CHECK_EQUAL(rows[2].resting_order_id, rows[0].order_id);
    CHECK_EQUAL(rows[2].resting_client_order_id, 1);
    CHECK_EQUAL(rows[3].kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(rows[3].command_kind, OME_COMMAND_KIND_CANCEL_ORDER);
    CHECK_EQUAL(rows[3].flags, 0);
    CHECK_EQUAL(rows[3].price, OME_NULL_VALUE);
    CHECK_EQUAL(rows[3].quantity, OME_NULL_VALUE);
    CHECK_EQUAL(rows[3].client_order_id, 9);
    CHECK_EQUAL(rows[5].kind, OME_EVENT_KIND_COMPLETED);
    CHECK_EQUAL(rows[5].order_count, 1);
    CHECK_EQUAL(rows[5].timestamp_ns, 7);
    CHECK_EQUAL(rows[5].price, OME_NULL_VALUE);
    CHECK_EQUAL(rows[5].quantity, OME_NULL_VALUE);
    market_end(&market);
}

/* The aggressor's account and time are in the event that accepted it. */
static void the_row_of_a_trade_alone_lacks_the_account_of_the_aggressor(void)
{
    market_t market = market_new();
    ome_command_t commands[] = {limit_order(1, OME_SIDE_SELL, 10, 120), limit_order(2, OME_SIDE_BUY, 4, 120)};
    commands[1].account = 44;
    commands[1].timestamp_ns = 6;
    apply(&market, commands, 2);
    CHECK_EQUAL(market.event_count, 3);
    const ome_event_t alone = market.events[2];
    ome_event_row_t row;
    ome_event_rows(&alone, 1, &row);
    CHECK_EQUAL(row.kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(row.timestamp_ns, 0);
    CHECK_EQUAL(row.account, 0);
    CHECK_EQUAL(row.order_id, alone.order_id);
    market_end(&market);
}

int main(void)
{
    seed = test_seed(20260101);
    RUN(a_sink_gets_the_same_events_as_a_batch);
    RUN(a_flush_may_give_another_window);
    RUN(a_buffer_of_any_size_gets_every_event);
    RUN(the_next_call_forgets_the_events_of_the_one_before);
    RUN(commands_may_be_anywhere_in_memory_and_be_cut_anywhere);
    RUN(rows_of_events_have_one_meaning_for_each_field);
    RUN(the_row_of_a_trade_alone_lacks_the_account_of_the_aggressor);
    return 0;
}
