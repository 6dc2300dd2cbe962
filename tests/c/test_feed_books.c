/* The market data feed: a consumer that builds books from its frames has the books of the engine, after every command. */
#include "base/ome_clock.h"
#include "feed_fixture.h"

static uint64_t seed;

/* ---- random flows ---- */

static const int64_t ticks[INSTRUMENT_COUNT] = {1, 5, 100, INT64_C(1) << 57};

static uint64_t below(uint64_t *state, uint64_t count)
{
    return test_random(state) % count;
}

static int64_t random_price(uint64_t *state, uint32_t instrument)
{
    const int64_t middles[INSTRUMENT_COUNT] = {1000, 5000, 0, 0};
    const int64_t price = middles[instrument - 1] + ((int64_t)below(state, 21) - 10) * ticks[instrument - 1];
    return below(state, 200) == 0 ? price + 1 : price; /* now and then off the tick */
}

static int64_t random_quantity(uint64_t *state)
{
    return below(state, 20) == 0 ? (int64_t)below(state, 400) : 1 + (int64_t)below(state, 30);
}

/* An order or a change of one of the orders accepted before, many of which are gone. */
static void apply_random(venue_t *venue, uint64_t *state)
{
    const uint32_t instrument = 1 + (uint32_t)below(state, venue->engine->instrument_count);
    ome_command_t command =
        new_order(venue, instrument, (uint8_t)(1 + below(state, 2)), random_price(state, instrument), random_quantity(state));
    const uint64_t choice = below(state, 100);
    if (choice < 55)
    {
        command.time_in_force = (uint8_t)(below(state, 5) == 0 ? 1 + below(state, 3) : OME_TIME_IN_FORCE_GTC);
        command.order_type = below(state, 30) == 0 ? OME_ORDER_TYPE_MARKET : OME_ORDER_TYPE_LIMIT;
        apply(venue, &command);
        return;
    }
    /* One of the last events that name an order. */
    const uint32_t back = 1 + (uint32_t)below(state, 150);
    const ome_event_t *event = &venue->events[venue->event_count - (back < venue->event_count ? back : venue->event_count)];
    command.client_order_id = event->order_id;
    command.flags = OME_COMMAND_FLAGS_BY_ORDER_ID;
    command.instrument = 0;
    command.side = 0;
    command.order_type = 0;
    command.time_in_force = 0;
    if (choice < 70)
    {
        command.kind = OME_COMMAND_KIND_CANCEL_ORDER;
        command.price = 0;
        command.quantity = 0;
    }
    else if (choice < 80)
    {
        command.kind = OME_COMMAND_KIND_REDUCE_ORDER;
        command.price = 0;
    }
    else
    {
        command.kind = OME_COMMAND_KIND_AMEND_ORDER;
        command.flags |= below(state, 2) == 0 ? OME_COMMAND_FLAGS_OPEN_QUANTITY : 0;
        command.price =
            below(state, 3) == 0 || event->instrument - 1 >= INSTRUMENT_COUNT ? OME_NULL_VALUE : random_price(state, event->instrument);
        command.quantity = below(state, 3) == 0 ? OME_NULL_VALUE : random_quantity(state);
    }
    apply(venue, &command);
}

/* The next of a flow with every sort of order, on the first instrument. */
static void apply_special(venue_t *venue, flow_t *flow)
{
    flow->timestamp_ns = next_time(venue);
    const ome_command_t command = flow_next(flow);
    apply(venue, &command);
}

static uint32_t kinds_seen[256]; /* over all flows: that they are worth something */

/* One of the things that happen beside the commands, in any order: events arrive, the gate opens, the feed works, somebody joins. */
static void step(venue_t *venue, uint64_t *state, uint64_t *durable)
{
    (void)stream_events(venue, 1 + (uint32_t)below(state, 40));
    if (below(state, 3) != 0)
    {
        *durable += below(state, venue->engine->sequence - *durable + 1);
        open_gate(venue, *durable);
    }
    if (below(state, 50) == 0)
    {
        subscribe_topic(venue, 1, (uint8_t)(1 + below(state, 2)), (uint8_t)(1 + below(state, INSTRUMENT_COUNT)), OME_TOPIC_SIZE);
    }
    (void)ome_feed_do_work(venue->feed);
    check_consumers(venue);
}

static void random_flow(uint64_t flow_seed, uint32_t command_count, uint32_t level_count_max, uint32_t slot_count)
{
    uint64_t state = flow_seed;
    venue_t *venue = venue_new(200, level_count_max, slot_count, 100);
    flow_t flow = {.random = flow_seed, .instrument_count = 1, .order_id_count = 200, .price_count = 20, .has_specials = true};
    uint64_t durable = 0;
    open_gate(venue, durable);
    const consumer_t *first = join(venue, NULL, 0);
    const uint64_t joins_at = 100 + below(&state, command_count / 2);
    for (uint32_t i = 0; i < 3; i++)
    {
        open_instrument(venue, ticks[i], i == 2 ? OME_INSTRUMENT_FLAGS_SIGNED_PRICES : 0);
    }
    while (venue->engine->sequence < command_count)
    {
        if (flow.terms_count > 0 || below(&state, 2) == 0)
        {
            apply_special(venue, &flow);
        }
        else
        {
            apply_random(venue, &state);
        }
        if (venue->engine->sequence == joins_at)
        {
            (void)join(venue, NULL, 0);
            (void)join(venue, (const uint8_t[]){0, 0, 0, 2, 0, 0, 0, 2}, 8);
        }
        if (venue->engine->sequence == command_count / 2)
        {
            open_instrument(venue, ticks[3], OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
        }
        while (venue->event_count - venue->event_streamed > 100 || below(&state, 2) == 0)
        {
            step(venue, &state, &durable);
        }
    }
    open_gate(venue, UINT64_MAX);
    drain(venue);
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_MS * UINT64_C(1000000);
    for (uint32_t i = 0; i < venue->consumer_count; i++)
    {
        while (!venue->consumers[i]->markets[2].has_levels) /* snapshots are made at a bounded rate */
        {
            CHECK(ome_clock_monotonic_ns() < end_ns);
            drain(venue);
        }
    }
    check_consumers(venue);
    for (uint32_t i = 1; i <= INSTRUMENT_COUNT; i++)
    {
        moment_t moment;
        engine_moment(venue->engine, i, &moment);
        CHECK(first->markets[i].has_levels);
        CHECK(first->markets[i].has_top);
        CHECK_EQUAL(hash_market(&first->markets[i]), moment.book_hash);
        CHECK_BYTES_EQUAL(&first->markets[i].top, &moment.top, sizeof(top_t));
    }
    CHECK_EQUAL(first->trade_count, venue->trade_count);
    check_counters(venue);
    for (uint32_t i = 0; i < venue->event_count; i++)
    {
        kinds_seen[venue->events[i].kind]++;
        kinds_seen[0] += venue->events[i].reason == OME_REASON_LEVEL_LIMIT_REACHED;
        kinds_seen[1] += venue->events[i].kind == OME_EVENT_KIND_AMENDED && venue->events[i].flags == OME_EVENT_FLAGS_WAS_RESTING;
        kinds_seen[2] += venue->events[i].kind == OME_EVENT_KIND_TRADE && (venue->events[i].flags & OME_EVENT_FLAGS_HIDDEN) != 0;
    }
    venue_free(venue);
}

/* Applying the updates up to engine sequence s gives the book after command s; joining late gives the same; nothing
 * passes the gate; no sequence is left out. */
static void books_built_from_frames_equal_the_engines_after_every_command(void)
{
    uint64_t state = seed;
    for (uint32_t i = 0; i < 24; i++)
    {
        const uint32_t level_count_max = i % 2 == 0 ? 30 : 100;
        random_flow(test_random(&state), 1500, level_count_max, 8u << i % 4 << i % 4);
    }
    for (uint32_t kind = OME_EVENT_KIND_ACCEPTED; kind <= OME_EVENT_KIND_COMPLETED; kind++)
    {
        CHECK(kinds_seen[kind] > 10);
    }
    CHECK(kinds_seen[0] > 0);
    CHECK(kinds_seen[1] > 10);
    CHECK(kinds_seen[2] > 10);
}

/* A command may trade with more levels than a stream has slots, a batch has events and the feed has messages; its
 * updates are sent once it is complete, one for each level, in the order touched. Who subscribes in the middle of it
 * gets the book after it. The levels it has emptied and the one that it makes are more than the engine's limit. */
static void one_command_may_sweep_more_levels_than_fit_into_anything(void)
{
    const uint32_t count = 3000;
    venue_t *venue = venue_new(4000, count, 64, OME_FEED_SNAPSHOT_LEVEL_COUNT_DEFAULT);
    open_instrument(venue, 1, 0);
    for (uint32_t i = 0; i < count; i++)
    {
        order(venue, 1, OME_SIDE_SELL, 100 + i, 1);
    }
    const consumer_t *consumer = join(venue, NULL, 0);
    drain(venue);
    CHECK_EQUAL(consumer->markets[1].sides[1].count, count);
    order(venue, 1, OME_SIDE_BUY, 100 + count, count + 5);
    const uint64_t frames_before = venue->frame_count;
    while (venue->event_streamed < venue->event_count - 1)
    {
        CHECK(stream_events(venue, venue->event_count - 1 - venue->event_streamed) > 0);
        CHECK(ome_feed_do_work(venue->feed) > 0);
    }
    CHECK(consumer->markets[1].level_sequence == 0 || consumer->markets[1].engine_sequence < venue->engine->sequence);
    CHECK(venue->frame_count > frames_before); /* trades, when they filled the pool */
    consumer_t *late = join(venue, (const uint8_t[]){0, 0, 0, 2}, 4);
    (void)ome_feed_do_work(venue->feed);
    CHECK(!late->markets[1].has_levels);
    drain(venue);
    CHECK(late->markets[1].has_levels);
    CHECK_EQUAL(late->markets[1].level_sequence, count + count + 1);
    CHECK_EQUAL(consumer->trade_count, count);
    const market_t *market = &consumer->markets[1];
    CHECK_EQUAL(market->update_count, count + 1);
    CHECK_EQUAL(market->sides[1].count, 0);
    CHECK_EQUAL(market->sides[0].count, 1);
    CHECK_EQUAL(market->sides[0].levels[0].quantity, 5);
    for (uint32_t i = 0; i < count; i++)
    {
        CHECK_EQUAL(market->command_prices[i], 100 + (int64_t)i);
    }
    CHECK_EQUAL(market->command_prices[count], 100 + count);
    check_consumers(venue);
    check_counters(venue);
    venue_free(venue);
}

/* A batch is one frame for each channel and instrument that it touched: two commands on one instrument, one on another. */
static void a_batch_is_one_frame_for_each_channel_and_instrument(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    open_instrument(venue, 1, 0);
    hear(venue);
    drain(venue);
    venue->frame_count = 0;
    order(venue, 1, OME_SIDE_SELL, 100, 5);
    order(venue, 2, OME_SIDE_SELL, 100, 5);
    order(venue, 1, OME_SIDE_BUY, 100, 2);
    order(venue, 1, OME_SIDE_BUY, 100, 2);
    drain(venue);
    const uint64_t expected[] = {
        UINT64_C(3) << 32 | 1, UINT64_C(2) << 32 | 1, UINT64_C(2) << 32 | 2, UINT64_C(1) << 32 | 1, UINT64_C(1) << 32 | 2};
    const uint32_t counts[] = {2, 3, 1, 1, 1};
    CHECK_EQUAL(venue->frame_count, 5);
    CHECK_BYTES_EQUAL(venue->topics, expected, sizeof(expected));
    CHECK_BYTES_EQUAL(venue->message_counts, counts, sizeof(counts));
    venue_free(venue);
}

/* The best levels are as they were when the batch began: there is no top of the book to send. */
static void a_batch_that_leaves_the_best_levels_sends_no_top(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    hear(venue);
    order(venue, 1, OME_SIDE_SELL, 100, 1);
    drain(venue);
    venue->frame_count = 0;
    order(venue, 1, OME_SIDE_SELL, 100, 5);
    order(venue, 1, OME_SIDE_BUY, 100, 5);
    drain(venue);
    CHECK_EQUAL(venue->frame_count, 2);
    CHECK_EQUAL(venue->topics[0], UINT64_C(3) << 32 | 1);
    CHECK_EQUAL(venue->topics[1], UINT64_C(2) << 32 | 1);
    venue_free(venue);
}

/* Events may always end inside a command when the feed looks: each of its batches ends with a command all the same, and
 * who subscribes does not wait for ever. */
static void a_stream_that_always_ends_inside_a_command_starves_nobody(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    order(venue, 1, OME_SIDE_SELL, 100, 1000);
    for (uint32_t i = 0; i < 50; i++)
    {
        order(venue, 1, OME_SIDE_BUY, 100, 1); /* accepted, then traded */
    }
    CHECK_EQUAL(stream_events(venue, 3), 3);
    CHECK(ome_feed_do_work(venue->feed) > 0);
    const consumer_t *consumer = join(venue, NULL, 0);
    for (uint32_t i = 0; i < 10; i++)
    {
        CHECK_EQUAL(stream_events(venue, 2), 2); /* the trade of one command, the acceptance of the next */
        CHECK(ome_feed_do_work(venue->feed) > 0);
        CHECK(ome_counter_get(&venue->counters[5]) >= 2 + i / 2);
    }
    CHECK(consumer->markets[1].has_levels);
    CHECK(consumer->trade_count > 0);
    drain(venue);
    check_consumers(venue);
    venue_free(venue);
}

/* A feed that is started beside an engine with a history goes on from there, and numbers trades as the engine does. */
static void a_seeded_feed_goes_on_where_the_engine_stands(void)
{
    uint64_t state = seed;
    venue_t *venue = venue_new(200, 100, 64, 100);
    for (uint32_t i = 0; i < 3; i++)
    {
        open_instrument(venue, ticks[i], i == 2 ? OME_INSTRUMENT_FLAGS_SIGNED_PRICES : 0);
    }
    flow_t flow = {.random = seed, .instrument_count = 1, .order_id_count = 200, .price_count = 20, .has_specials = true};
    for (uint32_t i = 0; i < 1000 || flow.terms_count > 0 || venue->engine->pools.specials.record_count < 5; i++)
    {
        CHECK(i < 5000);
        if (i % 2 == 0 || flow.terms_count > 0)
        {
            apply_special(venue, &flow);
        }
        else
        {
            apply_random(venue, &state);
        }
    }
    CHECK(venue->trade_count > 0);
    CHECK_EQUAL(ome_feed_seed(venue->feed, venue->engine), OME_OK);
    CHECK_EQUAL(ome_counter_get(&venue->counters[5]), venue->engine->sequence);
    venue->timestamps[venue->engine->sequence] = venue->engine->time_ns;
    venue->event_streamed = venue->event_count;
    venue->first_trade_count = venue->trade_count;
    venue->trade_count = 0;
    const consumer_t *consumer = join(venue, NULL, 0);
    CHECK(ome_feed_do_work(venue->feed) > 0);
    check_consumers(venue);
    CHECK_EQUAL(venue->snapshot_count, 3);
    CHECK_EQUAL(venue->frame_count, 6); /* nothing but what was asked for */
    for (uint32_t i = 0; i < 1000; i++)
    {
        apply_random(venue, &state);
        if (i % 10 == 0)
        {
            drain(venue);
            check_consumers(venue);
        }
    }
    open_instrument(venue, ticks[3], 0);
    drain(venue);
    check_consumers(venue);
    CHECK_EQUAL(consumer->trade_count, venue->trade_count);
    CHECK(venue->trade_count > 0);
    venue_free(venue);
    venue = venue_new(200, 100, 64, 100);
    venue_t *other = venue_new(201, 100, 64, 100);
    CHECK_EQUAL(ome_feed_seed(venue->feed, other->engine), OME_INVALID);
    venue_free(other);
    venue_free(venue);
}

/* The end of a command may be told after its last event: the feed is woken and says what the command changed. */
static void the_end_of_a_command_may_come_late(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    const consumer_t *consumer = join(venue, NULL, 0);
    drain(venue);
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    void *slots;
    CHECK(ome_stream_window(venue->stream, &slots) > 1);
    memcpy(slots, &venue->events[venue->event_streamed++], sizeof(ome_event_t));
    ome_stream_publish(venue->stream, 1);
    CHECK_EQUAL(ome_feed_do_work(venue->feed), 1);
    CHECK_EQUAL(ome_feed_do_work(venue->feed), 0);
    CHECK_EQUAL(consumer->markets[1].sides[0].count, 0);
    ome_stream_publish_whole(venue->stream, 0);
    drain(venue);
    CHECK_EQUAL(consumer->markets[1].sides[0].count, 1);
    check_consumers(venue);
    venue_free(venue);
}

/* What a peer's queue does not take is dropped for that peer and counted, and its sequence numbers are not used again; others get it. */
static void a_frame_that_is_not_taken_leaves_a_gap(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    hear(venue);
    subscribe(venue, LISTENER + 1, NULL, 0);
    const consumer_t *consumer = join(venue, NULL, 0);
    drain(venue);
    const uint64_t frames_before = ome_counter_get(&venue->counters[0]);
    venue->peers[LISTENER].refuses = venue->peers[LISTENER + 1].refuses = true;
    order(venue, 1, OME_SIDE_BUY, 100, 5);
    drain(venue);
    CHECK_EQUAL(ome_counter_get(&venue->counters[2]), 4); /* levels and top, for each of the two */
    CHECK_EQUAL(ome_counter_get(&venue->counters[0]), frames_before + 2);
    CHECK_EQUAL(consumer->markets[1].level_sequence, 1);
    venue->peers[LISTENER].refuses = venue->peers[LISTENER + 1].refuses = false;
    const consumer_t *late = join(venue, (const uint8_t[]){0, 0, 0, 2}, 4);
    drain(venue);
    CHECK_EQUAL(late->markets[1].level_sequence, 1);
    order(venue, 1, OME_SIDE_BUY, 101, 5);
    drain(venue);
    CHECK_EQUAL(late->markets[1].level_sequence, 2);
    CHECK_EQUAL(ome_counter_get(&venue->counters[2]), 4);
    check_consumers(venue);
    check_counters(venue);
    venue_free(venue);
}

/* A book deeper than a snapshot may be is cut after its best levels, which is counted, and the snapshot says how many
 * levels of each side it lacks. */
static void a_snapshot_of_a_deep_book_has_its_best_levels(void)
{
    venue_t *venue = venue_new(200, 100, 64, 10);
    open_instrument(venue, 1, 0);
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_LEVELS, 0, 4);
    drain(venue);
    for (int64_t i = 0; i < 14; i++)
    {
        for (int64_t side = OME_SIDE_BUY; side <= OME_SIDE_SELL; side++)
        {
            const int64_t count_max = side == OME_SIDE_BUY ? 12 : 14;
            if (i < count_max)
            {
                order(venue, 1, (uint8_t)side, side == OME_SIDE_BUY ? 100 - i : 200 + i, 1);
                drain(venue);
            }
        }
        subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_LEVELS, 0, 4);
        drain(venue);
        const ome_level_snapshot_t *snapshot = (const ome_level_snapshot_t *)(venue->frame + OME_TOPIC_SIZE);
        const uint32_t bid_count = (uint32_t)(i < 12 ? i + 1 : 12);
        const uint32_t ask_count = (uint32_t)(i + 1);
        const uint32_t bids_sent = bid_count < 10 ? bid_count : 10;
        const uint32_t asks_sent = ask_count < 10 ? ask_count : 10;
        ome_message_header_t header;
        memcpy(&header, snapshot, sizeof(header));
        CHECK_EQUAL(header.template_id, OME_TEMPLATE_LEVEL_SNAPSHOT);
        CHECK_EQUAL(snapshot->level_count, bids_sent + asks_sent);
        CHECK_EQUAL(snapshot->bids_left_out, bid_count - bids_sent);
        CHECK_EQUAL(snapshot->asks_left_out, ask_count - asks_sent);
        CHECK_EQUAL(venue->frame_size_bytes, OME_TOPIC_SIZE + (1 + bids_sent + asks_sent) * MESSAGE_SIZE);
        for (uint32_t at = 0; at < bids_sent + asks_sent; at++)
        {
            const ome_level_update_t *update = (const ome_level_update_t *)(venue->frame + OME_TOPIC_SIZE + (at + 1) * MESSAGE_SIZE);
            CHECK_EQUAL(update->price, at < bids_sent ? 100 - (int64_t)at : 200 + (int64_t)(at - bids_sent));
        }
        CHECK_EQUAL(ome_counter_get(&venue->counters[4]), (uint64_t)(i < 10 ? 0 : i - 9));
    }
    /* Levels that go are no longer left out. */
    order(venue, 1, OME_SIDE_SELL, 89, 2);
    order(venue, 1, OME_SIDE_BUY, 203, 4);
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_LEVELS, 0, 4);
    drain(venue);
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_LEVELS, 0, 4);
    drain(venue);
    const ome_level_snapshot_t *snapshot = (const ome_level_snapshot_t *)(venue->frame + OME_TOPIC_SIZE);
    CHECK_EQUAL(snapshot->bids_left_out, 0);
    CHECK_EQUAL(snapshot->asks_left_out, 0);
    CHECK_EQUAL(snapshot->level_count, 20);
    venue_free(venue);
}

int main(void)
{
    seed = test_seed(20240611);
    RUN(books_built_from_frames_equal_the_engines_after_every_command);
    RUN(one_command_may_sweep_more_levels_than_fit_into_anything);
    RUN(a_batch_is_one_frame_for_each_channel_and_instrument);
    RUN(a_batch_that_leaves_the_best_levels_sends_no_top);
    RUN(a_stream_that_always_ends_inside_a_command_starves_nobody);
    RUN(a_seeded_feed_goes_on_where_the_engine_stands);
    RUN(the_end_of_a_command_may_come_late);
    RUN(a_frame_that_is_not_taken_leaves_a_gap);
    RUN(a_snapshot_of_a_deep_book_has_its_best_levels);
    return 0;
}
