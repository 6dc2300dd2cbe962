/* Subscriptions to the market data feed: who is answered, when, and at what cost to the others. */
#include "base/ome_clock.h"
#include "feed_fixture.h"

#define READS_BYTES 65536u /* who has less waiting reads */

/* Somebody hears trades, which have no state: nothing is asked. */
static void hear_trades(venue_t *venue)
{
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_TRADES, 0, 4);
}

/* What a peer is sent at once when it says something, and whether that makes it somebody. */
static void check_answer(
    ome_socket_kind_t kind, const uint8_t *data, uint32_t size_bytes, uint32_t count, const uint64_t *topics, bool is_admitted)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    for (uint32_t i = 0; i < 2; i++)
    {
        open_instrument(venue, 1, 0);
    }
    drain(venue);
    CHECK_EQUAL(venue->frame_count, 0);
    say(venue, LISTENER, kind, data, size_bytes);
    drain(venue);
    CHECK_EQUAL(venue->frame_count, count);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, count);
    CHECK(count == 0 || memcmp(venue->topics, topics, count * sizeof(uint64_t)) == 0);
    CHECK_EQUAL(venue->peers[LISTENER].is_admitted, is_admitted);
    CHECK(!venue->peers[LISTENER].is_ended);
    CHECK_EQUAL(ome_counter_get(&venue->counters[6]), is_admitted);
    CHECK_EQUAL(ome_counter_get(&venue->counters[7]), kind == OME_SOCKET_SUBSCRIBE && !is_admitted);
    venue_free(venue);
}

/* The current state is sent for each topic that a subscription is a prefix of; what cannot be a topic is refused, and
 * what is no subscription is ignored. */
static void a_subscription_is_answered_for_each_topic_that_it_is_a_prefix_of(void)
{
    const uint64_t top = UINT64_C(1) << 32;
    const uint64_t levels = UINT64_C(2) << 32;
    const uint64_t all[] = {top | 1, levels | 1, top | 2, levels | 2};
    const uint64_t all_levels[] = {levels | 1, levels | 2};
    const uint64_t all_tops[] = {top | 1, top | 2};
    const ome_socket_kind_t kind = OME_SOCKET_SUBSCRIBE;
    check_answer(kind, (const uint8_t[]){0}, 0, 4, all, true);
    check_answer(kind, (const uint8_t[]){0, 0}, 2, 4, all, true);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2}, 4, 2, all_levels, true);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 1, 0, 0, 0}, 7, 2, all_tops, true);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2, 0, 0, 0, 2}, 8, 1, all_levels + 1, true);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 1, 0, 0, 0, 1}, 8, 1, all_tops, true);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 3}, 4, 0, NULL, true); /* trades have no state */
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2, 0, 0, 0, 3}, 8, 0, NULL, true); /* no such instrument yet */
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2, 0, 0, 0, 0}, 8, 0, NULL, false); /* nor ever */
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2, 0, 0, 0, INSTRUMENT_COUNT + 1}, 8, 0, NULL, false);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2, 255, 255, 255, 255}, 8, 0, NULL, false);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2, 255}, 5, 0, NULL, false);
    check_answer(kind, (const uint8_t[]){255}, 1, 0, NULL, false); /* no such channel */
    check_answer(kind, (const uint8_t[]){0, 0, 0, 0}, 4, 0, NULL, false);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 4}, 4, 0, NULL, false);
    check_answer(kind, (const uint8_t[]){0, 0, 0, 2, 0, 0, 0, 1, 0}, 9, 0, NULL, false); /* longer than a topic */
    check_answer(OME_SOCKET_CANCEL, (const uint8_t[]){0, 0, 0, 2}, 4, 0, NULL, false); /* of nothing */
    check_answer(OME_SOCKET_PART, (const uint8_t[]){0, 0, 0, 2}, 4, 0, NULL, false); /* not one at all */
    check_answer(OME_SOCKET_GONE, (const uint8_t[]){0}, 0, 0, NULL, false);
}

/* Subscriptions that wait together are served by one snapshot, which each of them gets once; who asked nothing gets nothing. */
static void many_subscriptions_at_once_cost_one_snapshot(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    hear_trades(venue);
    drain(venue);
    for (uint32_t i = 0; i < 10; i++)
    {
        subscribe_topic(venue, LISTENER + 1 + i, OME_FEED_CHANNEL_LEVELS, 1, OME_TOPIC_SIZE);
    }
    for (uint32_t i = 0; i < 5; i++)
    {
        subscribe_topic(venue, LISTENER + 1 + i, OME_FEED_CHANNEL_LEVELS, 0, 4); /* some of them twice */
    }
    drain(venue);
    CHECK_EQUAL(venue->frame_count, 1);
    CHECK_EQUAL(ome_counter_get(&venue->counters[3]), 1);
    CHECK_EQUAL(ome_counter_get(&venue->counters[0]), 1);
    for (uint32_t slot = 1; slot < PEER_COUNT; slot++)
    {
        CHECK_EQUAL(venue->peers[slot].frame_count, slot > LISTENER && slot <= LISTENER + 10);
    }
    /* From then on each frame goes to all of them, once. */
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    drain(venue);
    for (uint32_t slot = 1; slot < PEER_COUNT; slot++)
    {
        CHECK_EQUAL(venue->peers[slot].frame_count, 2 * (slot > LISTENER && slot <= LISTENER + 10));
    }
    venue_free(venue);
}

/* Two sides of an instrument with so many levels. */
static void deepen(venue_t *venue, uint32_t instrument, uint32_t level_count)
{
    for (uint32_t i = 0; i < level_count; i++)
    {
        order(venue, instrument, OME_SIDE_BUY, 10000 - (int64_t)i, 1);
        order(venue, instrument, OME_SIDE_SELL, 20000 + (int64_t)i, 1);
        if (i % 16 == 15)
        {
            drain(venue);
        }
    }
    drain(venue);
}

static void check_time(uint64_t start_ns)
{
    CHECK(ome_clock_monotonic_ns() - start_ns < LONG_MS * UINT64_C(1000000));
}

/* Who subscribes, for the first time or again, is answered; nobody else is. */
static void an_answer_goes_to_the_subscriber_that_asked(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    open_instrument(venue, 1, 0);
    hear(venue);
    drain(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 4);
    (void)join(venue, NULL, 0);
    drain(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 4);
    CHECK_EQUAL(venue->peers[1].frame_count, 4);
    subscribe(venue, 1, NULL, 0); /* again */
    drain(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 4);
    CHECK_EQUAL(venue->peers[1].frame_count, 8);
    subscribe_topic(venue, 1, OME_FEED_CHANNEL_LEVELS, 2, OME_TOPIC_SIZE);
    drain(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 4);
    CHECK_EQUAL(venue->peers[1].frame_count, 9);
    /* What happens goes to both, to each once, though three subscriptions of one match. */
    subscribe_topic(venue, 1, OME_FEED_CHANNEL_LEVELS, 0, 4);
    drain(venue);
    const uint32_t before = venue->peers[1].frame_count;
    order(venue, 2, OME_SIDE_BUY, 100, 1);
    drain(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 6);
    CHECK_EQUAL(venue->peers[1].frame_count, before + 2);
    check_consumers(venue);
    check_counters(venue);
    venue_free(venue);
}

/* No snapshot is made for who does not read. When it reads again it gets the state as it is then. Another who reads is answered at once. */
static void a_subscriber_that_does_not_read_is_answered_later(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    drain(venue);
    const consumer_t *consumer = join(venue, NULL, 0);
    subscribe_topic(venue, 1, OME_FEED_CHANNEL_LEVELS, 1, OME_TOPIC_SIZE); /* owed by a prefix and by a topic */
    venue->peers[1].queued_bytes = READS_BYTES;
    const uint64_t start_ns = ome_clock_monotonic_ns();
    while (ome_clock_monotonic_ns() - start_ns < UINT64_C(60000000)) /* however often it is looked at */
    {
        (void)ome_feed_do_work(venue->feed);
    }
    CHECK_EQUAL(venue->frame_count, 0);
    CHECK_EQUAL(ome_counter_get(&venue->counters[3]), 0);
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_LEVELS, 1, OME_TOPIC_SIZE);
    drain(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 1);
    CHECK_EQUAL(venue->frame_count, 1);
    CHECK_EQUAL(venue->peers[1].frame_count, 0);
    order(venue, 1, OME_SIDE_BUY, 101, 1); /* this waits in its queue, before any snapshot */
    drain(venue);
    CHECK(!consumer->markets[1].has_levels);
    CHECK_EQUAL(venue->peers[1].frame_count, 2);
    venue->peers[1].queued_bytes = READS_BYTES - 1;
    while (!consumer->markets[1].has_levels)
    {
        drain(venue);
        check_time(start_ns);
    }
    CHECK(consumer->markets[1].has_top);
    CHECK_EQUAL(consumer->markets[1].sides[0].count, 2);
    check_consumers(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 2); /* the second order's levels */
    const uint32_t before = venue->frame_count;
    const uint64_t then_ns = ome_clock_monotonic_ns();
    while (ome_clock_monotonic_ns() - then_ns < UINT64_C(60000000))
    {
        (void)ome_feed_do_work(venue->feed);
    }
    CHECK_EQUAL(venue->frame_count, before); /* nothing is owed any more */
    venue_free(venue);
}

/* A peer that takes less than all that it asks for, each time it is asked, gets all of it in the end. */
static void a_subscriber_that_reads_slowly_gets_every_snapshot(void)
{
    venue_t *venue = venue_new(4000, 4000, 64, 1000);
    for (uint32_t i = 0; i < INSTRUMENT_COUNT; i++)
    {
        open_instrument(venue, 1, 0);
    }
    for (uint32_t i = 1; i <= INSTRUMENT_COUNT; i++)
    {
        deepen(venue, i, 450); /* 72 kB */
    }
    const consumer_t *consumer = join(venue, NULL, 0);
    venue->peers[1].queues = true;
    const uint64_t start_ns = ome_clock_monotonic_ns();
    uint32_t round_count = 0;
    while (!consumer->markets[1].has_levels || !consumer->markets[2].has_levels || !consumer->markets[3].has_levels ||
           !consumer->markets[4].has_levels)
    {
        const uint32_t before = venue->peers[1].frame_count;
        venue->peers[1].queued_bytes = 0;
        while (venue->peers[1].frame_count == before)
        {
            drain(venue);
            check_time(start_ns);
        }
        round_count++;
        CHECK(round_count <= 2 * INSTRUMENT_COUNT);
    }
    check_consumers(venue);
    venue_free(venue);
}

/* Whatever is asked, the bytes of snapshots made and sent are no more than 2 MB and 32 kB a millisecond, but for the
 * last one; and they do go on. */
static void snapshots_are_made_at_a_bounded_rate(void)
{
    const uint64_t start_ns = ome_clock_monotonic_ns();
    venue_t *venue = venue_new(2000, 2000, 64, 1000);
    open_instrument(venue, 1, 0);
    deepen(venue, 1, 500);
    const uint32_t size_bytes = OME_TOPIC_SIZE + 1001 * MESSAGE_SIZE;
    while (venue->snapshot_cost_bytes < UINT64_C(6) << 20)
    {
        for (uint32_t slot = LISTENER; slot < LISTENER + 3; slot++)
        {
            subscribe_topic(venue, slot, OME_FEED_CHANNEL_LEVELS, 1, OME_TOPIC_SIZE);
        }
        (void)ome_feed_do_work(venue->feed);
        const uint64_t passed_ms = (ome_clock_monotonic_ns() - start_ns) / 1000000 + 1;
        CHECK(venue->snapshot_cost_bytes <= (UINT64_C(2) << 20) + passed_ms * 32768 + 4 * size_bytes);
        check_time(start_ns);
    }
    CHECK_EQUAL(venue->snapshot_count, ome_counter_get(&venue->counters[3]));
    /* Meanwhile the feed goes on as ever. */
    hear_trades(venue);
    order(venue, 1, OME_SIDE_SELL, 10000, 1);
    (void)stream_events(venue, UINT32_MAX);
    (void)ome_feed_do_work(venue->feed);
    CHECK_EQUAL(venue->topics[(venue->frame_count - 2) % FRAME_COUNT_MAX], UINT64_C(3) << 32 | 1);
    venue_free(venue);
}

/* Subscriptions to everything, of which each looks at every instrument, do not keep the feed from its events: after a
 * few of them it is their turn. */
static void subscriptions_to_everything_do_not_hold_up_the_feed(void)
{
    instrument_limit = 300;
    venue_t *venue = venue_new(100, 100, 64, 10);
    instrument_limit = INSTRUMENT_COUNT;
    for (uint32_t i = 0; i < 300; i++)
    {
        open_instrument(venue, 1, 0);
        drain(venue);
    }
    venue->peers[LISTENER].queued_bytes = READS_BYTES; /* it asks, and does not read */
    for (uint32_t i = 0; i < 16; i++)
    {
        hear(venue);
    }
    CHECK(ome_feed_do_work(venue->feed) > 0);
    CHECK(venue->wish_read >= 4 && venue->wish_read <= 7);
    drain(venue);
    CHECK_EQUAL(venue->wish_read, 16);
    CHECK_EQUAL(venue->frame_count, 0);
    venue_free(venue);
}

/* Who is gone gets nothing more, by whichever of its subscriptions; who has its slot then gets what it asks for itself. */
static void a_subscriber_that_is_gone_gets_nothing(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    hear(venue);
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_LEVELS, 1, OME_TOPIC_SIZE);
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_TOP, 1, OME_TOPIC_SIZE);
    venue->peers[LISTENER].queued_bytes = READS_BYTES; /* and is owed an answer */
    hear_trades(venue); /* so that frames are made */
    drain(venue);
    CHECK_EQUAL(ome_counter_get(&venue->counters[6]), 4);
    say(venue, LISTENER, OME_SOCKET_GONE, NULL, 0);
    (void)ome_feed_do_work(venue->feed);
    CHECK_EQUAL(ome_counter_get(&venue->counters[6]), 0);
    venue->peers[LISTENER] = (peer_t){.generation = venue->peers[LISTENER].generation + 1};
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    drain(venue);
    CHECK_EQUAL(venue->frame_count, 0);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_LEVELS, 1, OME_TOPIC_SIZE);
    while (ome_clock_monotonic_ns() - start_ns < UINT64_C(60000000))
    {
        (void)ome_feed_do_work(venue->feed);
    }
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, 1);
    CHECK_EQUAL(venue->frame_count, 1);
    CHECK_EQUAL(venue->snapshot_count, 1);
    venue_free(venue);
}

/* Who takes its last subscription back is nobody again; one that it never had changes nothing. */
static void a_peer_without_subscriptions_is_no_subscriber(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    const uint8_t levels[] = {0, 0, 0, OME_FEED_CHANNEL_LEVELS};
    hear_trades(venue);
    subscribe(venue, LISTENER, levels, 4);
    say(venue, LISTENER, OME_SOCKET_CANCEL, levels, 3);
    say(venue, LISTENER, OME_SOCKET_CANCEL, levels, 4);
    drain(venue);
    CHECK(venue->peers[LISTENER].is_admitted);
    CHECK_EQUAL(ome_counter_get(&venue->counters[6]), 1);
    const uint32_t before = venue->peers[LISTENER].frame_count;
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    drain(venue);
    CHECK_EQUAL(venue->peers[LISTENER].frame_count, before);
    say(venue, LISTENER, OME_SOCKET_CANCEL, (const uint8_t[]){0, 0, 0, OME_FEED_CHANNEL_TRADES}, 4);
    drain(venue);
    CHECK(!venue->peers[LISTENER].is_admitted);
    CHECK(!venue->peers[LISTENER].is_ended);
    CHECK_EQUAL(ome_counter_get(&venue->counters[6]), 0);
    venue_free(venue);
}

/* Who asks for more prefixes than it may have is ended: it must not believe that it hears everything. */
static void a_peer_with_too_many_subscriptions_is_ended(void)
{
    instrument_limit = 300;
    venue_t *venue = venue_new(100, 100, 64, 10);
    instrument_limit = INSTRUMENT_COUNT;
    open_instrument(venue, 1, 0);
    uint32_t count = 0;
    for (uint8_t channel = 1; channel <= 3; channel++)
    {
        for (uint32_t size_bytes = 0; size_bytes < OME_TOPIC_SIZE; size_bytes++)
        {
            if (size_bytes >= 4 || channel == 1)
            {
                subscribe_topic(venue, LISTENER, channel, 0, size_bytes);
                count++;
            }
        }
    }
    CHECK_EQUAL(count, OME_SUBSCRIBER_PREFIX_COUNT_MAX);
    subscribe_topic(venue, LISTENER, 1, 1, OME_TOPIC_SIZE); /* topics do not count */
    drain(venue);
    CHECK(!venue->peers[LISTENER].is_ended);
    CHECK_EQUAL(ome_counter_get(&venue->counters[6]), count + 1);
    hear_trades(venue); /* which it has */
    drain(venue);
    CHECK(!venue->peers[LISTENER].is_ended);
    subscribe(venue, LISTENER, (const uint8_t[]){0, 0, 0, 1, 0, 0, 1}, 7);
    drain(venue);
    CHECK(venue->peers[LISTENER].is_ended);
    CHECK_EQUAL(ome_counter_get(&venue->counters[6]), 0);
    CHECK_EQUAL(ome_counter_get(&venue->counters[7]), 1);
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    drain(venue); /* nobody is sent anything */
    venue_free(venue);
}

/* Until somebody subscribes nothing is sent, yet everything is counted: the first who does is told numbers that the
 * next messages go on from. */
static void frames_without_a_subscriber_are_counted(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    for (uint32_t i = 0; i < 5; i++)
    {
        order(venue, 1, OME_SIDE_SELL, 100, 3);
        order(venue, 1, OME_SIDE_BUY, 100, 2);
    }
    drain(venue);
    CHECK_EQUAL(venue->frame_count, 0);
    const consumer_t *consumer = join(venue, NULL, 0);
    drain(venue);
    CHECK_EQUAL(venue->frame_count, 2); /* top and levels, as they stand */
    CHECK_EQUAL(consumer->markets[1].level_sequence, 10);
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    drain(venue);
    CHECK_EQUAL(consumer->markets[1].level_sequence, 11);
    CHECK_EQUAL(consumer->markets[1].trade_sequence, 8);
    check_consumers(venue);
    venue_free(venue);
}

int main(void)
{
    RUN(a_subscription_is_answered_for_each_topic_that_it_is_a_prefix_of);
    RUN(many_subscriptions_at_once_cost_one_snapshot);
    RUN(an_answer_goes_to_the_subscriber_that_asked);
    RUN(a_subscriber_that_does_not_read_is_answered_later);
    RUN(a_subscriber_that_reads_slowly_gets_every_snapshot);
    RUN(snapshots_are_made_at_a_bounded_rate);
    RUN(subscriptions_to_everything_do_not_hold_up_the_feed);
    RUN(a_subscriber_that_is_gone_gets_nothing);
    RUN(a_peer_without_subscriptions_is_no_subscriber);
    RUN(a_peer_with_too_many_subscriptions_is_ended);
    RUN(frames_without_a_subscriber_are_counted);
    return 0;
}
