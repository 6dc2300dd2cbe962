/* Subscriptions, and snapshots for new subscribers: made once for all, at a bounded rate, only for those who read. */
#include "wire/ome_feed_state.h"

/* In one call of do_work: subscriptions read, instruments noted for them after which no further one is read, and
 * messages after which no further snapshot is begun. */
#define SUBSCRIPTION_COUNT 16u
#define NOTED_COUNT 4096u
#define SNAPSHOT_MESSAGE_COUNT 1024u

/* Snapshots: the most bytes made and sent in a second, and how many of them may be saved up. */
#define SNAPSHOT_BYTES_PER_MS (INT64_C(32) * 1024)
#define SNAPSHOT_BYTES_MAX (INT64_C(2) * 1024 * 1024)
#define RETRY_NS UINT64_C(20000000) /* how often who did not read is looked at again */

static void feed_want(ome_feed_t *feed, uint32_t number, uint32_t channel)
{
    ome_feed_instrument_t *instrument = &feed->instruments[number];
    if (!instrument->wants_top && !instrument->wants_levels)
    {
        instrument->next_wanted = 0;
        if (feed->wanted_first == 0)
        {
            feed->wanted_first = number;
        }
        else
        {
            feed->instruments[feed->wanted_last].next_wanted = number;
        }
        feed->wanted_last = number;
    }
    instrument->wants_top = instrument->wants_top || channel == OME_FEED_CHANNEL_TOP;
    instrument->wants_levels = instrument->wants_levels || channel == OME_FEED_CHANNEL_LEVELS;
}

void ome_feed_define_instrument(ome_feed_t *feed, uint32_t number)
{
    OME_ASSERT(number == feed->instrument_count + 1);
    OME_ASSERT(number <= feed->config.limits.instrument_count_max);
    feed->instrument_count = number;
    feed->instruments[number].top = ome_feed_current_top(feed, number);
    feed_want(feed, number, OME_FEED_CHANNEL_TOP);
    feed_want(feed, number, OME_FEED_CHANNEL_LEVELS);
}

/* The instruments of a channel, from the first on, whose topics begin with the prefix: topics are numbers, and those
 * with a prefix a range of them. */
static void feed_want_prefix(
    ome_feed_t *feed, uint32_t channel, const uint8_t *prefix, uint32_t prefix_size_bytes, uint32_t first_instrument)
{
    uint64_t low = 0;
    uint64_t high = UINT64_MAX;
    for (uint32_t i = 0; i < prefix_size_bytes; i++)
    {
        const uint32_t shift = 56 - 8 * i;
        low |= (uint64_t)prefix[i] << shift;
        high &= ~((uint64_t)(uint8_t)~prefix[i] << shift);
    }
    const uint64_t base = (uint64_t)channel << 32;
    const uint64_t first = low > base + first_instrument ? low : base + first_instrument;
    const uint64_t last = high < base + feed->instrument_count ? high : base + feed->instrument_count;
    for (uint64_t topic = first; topic <= last; topic++)
    {
        feed_want(feed, (uint32_t)topic, channel);
        feed->noted_count++;
    }
}

/* Notes the prefix for both channels that have a current state: top and levels. */
static void feed_want_all(void *context, const uint8_t *prefix, uint32_t prefix_size_bytes, uint32_t first_instrument)
{
    ome_feed_t *feed = context;
    feed_want_prefix(feed, OME_FEED_CHANNEL_TOP, prefix, prefix_size_bytes, first_instrument);
    feed_want_prefix(feed, OME_FEED_CHANNEL_LEVELS, prefix, prefix_size_bytes, first_instrument);
}

static void feed_subscribe(ome_feed_t *feed, const ome_socket_message_t *message)
{
    const ome_socket_t *socket = feed->config.socket;
    const ome_status_t status = ome_subscribers_add(&feed->subscribers, message->peer, message->data, message->data_size_bytes);
    if (status == OME_OK)
    {
        (void)socket->admit(socket->context, message->peer, 1); /* it is there: this came from it just now */
        feed_want_all(feed, message->data, message->data_size_bytes, 1);
        return;
    }
    ome_counter_add(feed->config.counters.subscriptions_refused, 1);
    if (status == OME_FULL) /* the peer cannot be answered, and must not believe that it gets everything */
    {
        ome_subscribers_remove_peer(&feed->subscribers, message->peer);
        socket->end(socket->context, message->peer, NULL, 0);
    }
}

static void feed_take_message(ome_feed_t *feed, const ome_socket_message_t *message)
{
    const ome_socket_t *socket = feed->config.socket;
    switch (message->kind)
    {
    case OME_SOCKET_SUBSCRIBE:
        feed_subscribe(feed, message);
        break;
    case OME_SOCKET_CANCEL:
        ome_subscribers_remove(&feed->subscribers, message->peer, message->data, message->data_size_bytes);
        if (!ome_subscribers_has(&feed->subscribers, message->peer))
        {
            (void)socket->admit(socket->context, message->peer, 0);
        }
        break;
    case OME_SOCKET_GONE:
        ome_subscribers_remove_peer(&feed->subscribers, message->peer);
        break;
    default: /* a subscriber has nothing else to say */
        break;
    }
}

uint32_t ome_feed_receive_subscriptions(ome_feed_t *feed)
{
    const ome_socket_t *socket = feed->config.socket;
    uint32_t count = 0;
    feed->noted_count = 0;
    for (; count < SUBSCRIPTION_COUNT && feed->noted_count < NOTED_COUNT; count++)
    {
        ome_socket_message_t message;
        const ome_status_t status = socket->receive(socket->context, &message);
        if (status != OME_OK)
        {
            feed->is_stopped = feed->is_stopped || status == OME_STOPPED;
            break;
        }
        feed_take_message(feed, &message);
    }
    if (count > 0)
    {
        ome_counter_set(feed->config.counters.subscriptions, feed->subscribers.count);
    }
    return count;
}

/* Puts the levels of a side into the frame from message `count` on, best first; returns how many messages there are
 * then. `left_out` is how many levels more there are. */
static uint32_t feed_put_side(ome_feed_t *feed, uint32_t number, uint8_t side, uint32_t count, uint32_t *left_out)
{
    const uint32_t level_count = ome_feed_book_level_count(&feed->book, number, side);
    const uint32_t end = count + ome_feed_min(feed->config.snapshot_level_count_max, level_count);
    uint32_t index = ome_feed_book_best(&feed->book, number, side);
    *left_out = level_count - (end - count);
    for (; count < end; index = ome_ladder_next(&feed->book.ladder, index))
    {
        const ome_level_update_t update = ome_feed_level_update(feed, &feed->book.ladder.levels[index], 0);
        memcpy(ome_feed_frame_message(feed, count), &update, OME_FEED_MESSAGE_SIZE);
        count++;
    }
    OME_ASSERT(index == 0 || *left_out > 0);
    return count;
}

/* Returns the messages sent. */
static uint32_t feed_answer_levels(ome_feed_t *feed, uint32_t number)
{
    if (!ome_subscribers_ask(&feed->subscribers, OME_FEED_CHANNEL_LEVELS, number))
    {
        return 0;
    }
    uint32_t bids_left_out;
    uint32_t asks_left_out;
    uint32_t count = feed_put_side(feed, number, OME_SIDE_BUY, 1, &bids_left_out);
    count = feed_put_side(feed, number, OME_SIDE_SELL, count, &asks_left_out);
    const ome_level_snapshot_t snapshot = {.sequence = OME_FEED_HEADER(OME_TEMPLATE_LEVEL_SNAPSHOT, OME_BLOCK_LEVEL_SNAPSHOT),
        .channel_sequence = feed->instruments[number].level_sequence,
        .engine_sequence = feed->sequence,
        .timestamp_ns = feed->timestamp_ns,
        .level_count = count - 1,
        .instrument = number,
        .epoch = feed->config.epoch,
        .bids_left_out = bids_left_out,
        .asks_left_out = asks_left_out};
    memcpy(ome_feed_frame_message(feed, 0), &snapshot, OME_FEED_MESSAGE_SIZE);
    ome_feed_answer_frame(feed, OME_FEED_CHANNEL_LEVELS, number, count);
    ome_counter_add(feed->config.counters.snapshots_sent, 1);
    ome_counter_add(feed->config.counters.snapshots_cut, bids_left_out > 0 || asks_left_out > 0);
    return count;
}

static uint32_t feed_answer_top(ome_feed_t *feed, uint32_t number)
{
    if (!ome_subscribers_ask(&feed->subscribers, OME_FEED_CHANNEL_TOP, number))
    {
        return 0;
    }
    ome_feed_put_top(feed, number);
    ome_feed_answer_frame(feed, OME_FEED_CHANNEL_TOP, number, 1);
    return 1;
}

/* What may be sent of snapshots grows with time. */
static void feed_refill(ome_feed_t *feed)
{
    const uint64_t now_ns = ome_clock_monotonic_ns();
    const uint64_t passed_ms = (now_ns - feed->now_ns) / OME_FEED_NS_PER_MS;
    if (passed_ms > 0)
    {
        feed->now_ns = now_ns;
        const int64_t more = passed_ms < 1000 ? (int64_t)passed_ms * SNAPSHOT_BYTES_PER_MS : SNAPSHOT_BYTES_MAX;
        feed->snapshot_bytes = feed->snapshot_bytes + more < SNAPSHOT_BYTES_MAX ? feed->snapshot_bytes + more : SNAPSHOT_BYTES_MAX;
    }
    if (now_ns >= feed->retry_ns)
    {
        /* A few at a time: each may look at every instrument, and events come in between. */
        bool has_more = true;
        feed->noted_count = 0;
        while (has_more && feed->noted_count < NOTED_COUNT)
        {
            has_more = ome_subscribers_retry(&feed->subscribers, feed_want_all, feed);
        }
        feed->retry_ns = has_more ? now_ns : now_ns + RETRY_NS;
    }
}

/* Whether somebody still waits for the current state. */
static bool feed_owes(const ome_feed_t *feed)
{
    return feed->wanted_first != 0 || feed->subscribers.owed_count > 0;
}

/* Between batches. Returns the messages sent. */
uint32_t ome_feed_answer_wanted(ome_feed_t *feed)
{
    uint32_t count = 0;
    if (!feed_owes(feed))
    {
        return 0;
    }
    feed_refill(feed);
    while (feed->wanted_first != 0 && count < SNAPSHOT_MESSAGE_COUNT && feed->snapshot_bytes > 0)
    {
        const uint32_t number = feed->wanted_first;
        ome_feed_instrument_t *instrument = &feed->instruments[number];
        feed->wanted_first = instrument->next_wanted;
        count += 1; /* also looking for who asked takes time */
        if (instrument->wants_top)
        {
            instrument->wants_top = false;
            count += feed_answer_top(feed, number);
        }
        if (instrument->wants_levels)
        {
            instrument->wants_levels = false;
            count += feed_answer_levels(feed, number);
        }
    }
    return count;
}
