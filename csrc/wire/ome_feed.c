#include "wire/ome_feed.h"

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "wire/ome_feed_book.h"
#include "wire/ome_subscribers.h"

/* In one call of do_work: subscriptions read, instruments noted for them after which no further one is read, and messages after which no
 * further snapshot is begun. */
#define SUBSCRIPTION_COUNT 16u
#define NOTED_COUNT 4096u
#define SNAPSHOT_MESSAGE_COUNT 1024u

/* Snapshots: bytes made and sent in a second at most, and how much of it may be saved up. */
#define SNAPSHOT_BYTES_PER_MS (INT64_C(32) * 1024)
#define SNAPSHOT_BYTES_MAX (INT64_C(2) * 1024 * 1024)
#define RETRY_NS UINT64_C(20000000) /* how often who did not read is looked at again */
#define NS_PER_MS UINT64_C(1000000)

#define CHANNEL_COUNT 3u

#define MESSAGE_SIZE 80u
static_assert(sizeof(ome_top_of_book_t) == MESSAGE_SIZE, "messages of the feed have one size");
static_assert(sizeof(ome_trade_print_t) == MESSAGE_SIZE, "messages of the feed have one size");
static_assert(sizeof(ome_level_update_t) == MESSAGE_SIZE, "messages of the feed have one size");
static_assert(sizeof(ome_level_snapshot_t) == MESSAGE_SIZE, "messages of the feed have one size");
static_assert((2 * (uint64_t)OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX + 1) * MESSAGE_SIZE + OME_TOPIC_SIZE <= UINT32_MAX,
    "a frame's size is a 32-bit number");

/* An ome_message_header_t as the word that stands where a record has its sequence. */
#define HEADER(template_id, block_length)                                                                                                  \
    ((uint64_t)(block_length) | (uint64_t)(template_id) << 16 | (uint64_t)OME_SCHEMA_ID << 32 | (uint64_t)OME_SCHEMA_VERSION << 48)
static_assert(offsetof(ome_message_header_t, template_id) == 2, "HEADER has the fields where the header has them");
static_assert(offsetof(ome_message_header_t, schema_id) == 4, "HEADER has the fields where the header has them");
static_assert(offsetof(ome_message_header_t, version) == 6, "HEADER has the fields where the header has them");

typedef union
{
    ome_trade_print_t trade;
    ome_level_update_t level;
} message_t;

typedef struct
{
    int64_t bid_price;
    int64_t bid_quantity;
    int64_t ask_price;
    int64_t ask_quantity;
} top_t;
static_assert(sizeof(top_t) == 32, "tops are compared as bytes");

/* Messages of one channel and instrument that are not sent yet, linked through `next_message`. */
typedef struct
{
    uint32_t first;
    uint32_t last;
    uint32_t count;
} queue_t;

typedef struct
{
    top_t top; /* as last published, or as whoever asks would be told */
    uint64_t top_sequence;
    uint64_t level_sequence; /* the last channel_sequence of each channel */
    uint64_t trade_sequence;
    queue_t levels;
    queue_t trades;
    uint32_t next_wanted; /* instrument; 0 ends the list */
    uint32_t next_touched;
    bool is_touched;
    bool wants_top;
    bool wants_levels;
} instrument_t;

struct ome_feed
{
    ome_feed_config_t config;
    ome_feed_book_t book;
    ome_subscribers_t subscribers;
    instrument_t *instruments; /* by number; the first is not used */
    uint32_t instrument_count;

    uint64_t sequence; /* last command that was read whole */
    uint64_t command_sequence; /* of the last event that was read */
    uint64_t timestamp_ns; /* of the command that is being read, or of the last */
    uint64_t trade_count;
    bool in_command; /* there may be more events of the command of `command_sequence` */
    bool is_stopped;

    message_t *messages; /* of the batch; the first is not used */
    uint32_t *next_message; /* 0 ends a queue */
    uint32_t message_count;
    uint32_t touched_first; /* instruments that the batch says something of, in the order first met */
    uint32_t touched_last;

    uint64_t noted_count; /* in this call of do_work: instruments looked at for who subscribed */
    uint32_t wanted_first; /* instruments that somebody has to be told of */
    uint32_t wanted_last;
    int64_t snapshot_bytes; /* that may be sent now */
    uint64_t now_ns; /* monotonic, when snapshots were last looked at */
    uint64_t retry_ns;

    uint8_t *frame; /* topic, then messages */
};

/* ---- set-up ---- */

static uint32_t min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint64_t frame_size_max(const ome_feed_config_t *config)
{
    const uint64_t level_count = 2 * (uint64_t)min(config->snapshot_level_count_max, config->limits.level_count_max);
    const uint64_t message_count = level_count + 1 > OME_FEED_MESSAGE_COUNT_MAX ? level_count + 1 : OME_FEED_MESSAGE_COUNT_MAX;
    return OME_TOPIC_SIZE + message_count * MESSAGE_SIZE;
}

static void lay_out(ome_feed_t *feed, ome_arena_t *arena, const ome_feed_config_t *config)
{
    ome_feed_book_init(&feed->book, arena, &config->limits);
    ome_subscribers_init(
        &feed->subscribers, arena, config->socket, CHANNEL_COUNT, config->limits.instrument_count_max, config->connection_slot_max);
    feed->instruments = ome_arena_take(arena, ((uint64_t)config->limits.instrument_count_max + 1) * sizeof(instrument_t));
    feed->messages = ome_arena_take(arena, (OME_FEED_MESSAGE_COUNT_MAX + 1) * sizeof(message_t));
    feed->next_message = ome_arena_take(arena, (OME_FEED_MESSAGE_COUNT_MAX + 1) * sizeof(uint32_t));
    feed->frame = ome_arena_take(arena, frame_size_max(config));
}

uint64_t ome_feed_size_bytes(const ome_feed_config_t *config)
{
    if (ome_engine_size_bytes(&config->limits) == 0 || config->snapshot_level_count_max < 1 ||
        config->snapshot_level_count_max > OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX)
    {
        return 0;
    }
    ome_feed_t feed;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_feed_t));
    lay_out(&feed, &arena, config);
    return arena.used_bytes;
}

ome_status_t ome_feed_init(ome_feed_t **feed, void *memory, uint64_t size_bytes, const ome_feed_config_t *config)
{
    const uint64_t needed_bytes = ome_feed_size_bytes(config);
    if (needed_bytes == 0 || (uintptr_t)memory % OME_CACHE_LINE_SIZE != 0 || config->reader.published == NULL || config->event_fd < 0)
    {
        return OME_INVALID;
    }
    if (size_bytes < needed_bytes)
    {
        return OME_NO_MEMORY;
    }
    ome_arena_t arena = {.memory = memory};
    ome_feed_t *made = ome_arena_take(&arena, sizeof(ome_feed_t));
    *made = (ome_feed_t){.config = *config};
    lay_out(made, &arena, config);
    *feed = made;
    return ome_wait_set_event_fd(ome_reader_wait(&config->reader), config->event_fd);
}

static void side_top(const ome_feed_book_t *book, uint32_t number, uint8_t side, int64_t *price, int64_t *quantity)
{
    const uint32_t level = ome_feed_book_best(book, number, side);
    *price = level != 0 ? book->ladder.levels[level].price : OME_NULL_VALUE;
    *quantity = level != 0 ? book->ladder.levels[level].quantity : 0;
}

static top_t current_top(const ome_feed_t *feed, uint32_t number)
{
    top_t top;
    side_top(&feed->book, number, OME_SIDE_BUY, &top.bid_price, &top.bid_quantity);
    side_top(&feed->book, number, OME_SIDE_SELL, &top.ask_price, &top.ask_quantity);
    return top;
}

ome_status_t ome_feed_seed(ome_feed_t *feed, const ome_engine_t *engine)
{
    if (memcmp(&engine->limits, &feed->config.limits, sizeof(ome_limits_t)) != 0)
    {
        return OME_INVALID;
    }
    OME_ASSERT(feed->sequence == 0);
    ome_feed_book_seed(&feed->book, engine);
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        feed->instruments[number].top = current_top(feed, number);
    }
    feed->instrument_count = engine->instrument_count;
    feed->sequence = engine->sequence;
    feed->command_sequence = engine->sequence;
    feed->timestamp_ns = engine->time_ns;
    feed->trade_count = engine->trade_count;
    ome_counter_set(feed->config.counters.last_sequence, feed->sequence);
    return OME_OK;
}

/* ---- frames ---- */

static uint8_t *frame_message(const ome_feed_t *feed, uint32_t index)
{
    return feed->frame + OME_TOPIC_SIZE + (uint64_t)index * MESSAGE_SIZE;
}

static void count_publication(const ome_feed_t *feed, ome_publication_t publication, uint32_t message_count)
{
    const ome_feed_counters_t *counters = &feed->config.counters;
    if (publication.sent_count > 0)
    {
        ome_counter_add(counters->frames_sent, 1);
        ome_counter_add(counters->messages_sent, message_count);
    }
    ome_counter_add(counters->frames_dropped, publication.dropped_count);
}

/* Puts the topic before the first `message_count` messages of the frame buffer. Returns the frame's size. */
static uint32_t finish_frame(const ome_feed_t *feed, uint32_t channel, uint32_t number, uint32_t message_count)
{
    const uint64_t topic = __builtin_bswap64((uint64_t)channel << 32 | number);
    memcpy(feed->frame, &topic, OME_TOPIC_SIZE);
    return OME_TOPIC_SIZE + message_count * MESSAGE_SIZE;
}

/* Sends the first `message_count` messages of the frame buffer to all who want them. */
static void send_frame(ome_feed_t *feed, uint32_t channel, uint32_t number, uint32_t message_count)
{
    const uint32_t size_bytes = finish_frame(feed, channel, number, message_count);
    count_publication(feed, ome_subscribers_publish(&feed->subscribers, channel, number, feed->frame, size_bytes), message_count);
}

/* Sends them to those who asked. */
static void answer_frame(ome_feed_t *feed, uint32_t channel, uint32_t number, uint32_t message_count)
{
    const uint32_t size_bytes = finish_frame(feed, channel, number, message_count);
    const ome_publication_t publication = ome_subscribers_answer(&feed->subscribers, channel, number, feed->frame, size_bytes);
    count_publication(feed, publication, message_count);
    feed->snapshot_bytes -= (int64_t)size_bytes * (publication.sent_count + 1);
}

static void send_queue(ome_feed_t *feed, uint32_t channel, uint32_t number, queue_t *queue)
{
    uint32_t count = 0;
    if (queue->count > 0 && !ome_subscribers_want(&feed->subscribers, channel, number))
    {
        *queue = (queue_t){0};
        return;
    }
    for (uint32_t index = queue->first; index != 0; index = feed->next_message[index])
    {
        memcpy(frame_message(feed, count), &feed->messages[index], MESSAGE_SIZE);
        count++;
    }
    OME_ASSERT(count == queue->count);
    *queue = (queue_t){0};
    if (count > 0)
    {
        send_frame(feed, channel, number, count);
    }
}

static void send_messages(ome_feed_t *feed)
{
    if (feed->message_count == 0)
    {
        return;
    }
    for (uint32_t number = feed->touched_first; number != 0; number = feed->instruments[number].next_touched)
    {
        instrument_t *instrument = &feed->instruments[number];
        send_queue(feed, OME_FEED_CHANNEL_TRADES, number, &instrument->trades);
        send_queue(feed, OME_FEED_CHANNEL_LEVELS, number, &instrument->levels);
    }
    feed->message_count = 0;
}

/* Puts the top as it was last published into the frame buffer. */
static void put_top(const ome_feed_t *feed, uint32_t number)
{
    const instrument_t *instrument = &feed->instruments[number];
    const top_t *top = &instrument->top;
    const ome_top_of_book_t message = {.sequence = HEADER(OME_TEMPLATE_TOP_OF_BOOK, OME_BLOCK_TOP_OF_BOOK),
        .channel_sequence = instrument->top_sequence,
        .engine_sequence = feed->sequence,
        .timestamp_ns = feed->timestamp_ns,
        .bid_price = top->bid_price,
        .bid_quantity = top->bid_quantity,
        .ask_price = top->ask_price,
        .ask_quantity = top->ask_quantity,
        .instrument = number,
        .epoch = feed->config.epoch};
    memcpy(frame_message(feed, 0), &message, MESSAGE_SIZE);
}

static void publish_top(ome_feed_t *feed, uint32_t number)
{
    feed->instruments[number].top_sequence++;
    if (ome_subscribers_want(&feed->subscribers, OME_FEED_CHANNEL_TOP, number))
    {
        put_top(feed, number);
        send_frame(feed, OME_FEED_CHANNEL_TOP, number, 1);
    }
}

/* ---- what the events of a batch say ---- */

static instrument_t *instrument_of(const ome_feed_t *feed, uint32_t number)
{
    OME_ASSERT(number >= 1);
    OME_ASSERT(number <= feed->instrument_count);
    return &feed->instruments[number];
}

static void touch(ome_feed_t *feed, uint32_t number, instrument_t *instrument)
{
    if (instrument->is_touched)
    {
        return;
    }
    instrument->is_touched = true;
    instrument->next_touched = 0;
    if (feed->touched_first == 0)
    {
        feed->touched_first = number;
    }
    else
    {
        feed->instruments[feed->touched_last].next_touched = number;
    }
    feed->touched_last = number;
}

/* A new message at the end of a queue of an instrument that is touched. */
static message_t *append(ome_feed_t *feed, queue_t *queue)
{
    if (feed->message_count == OME_FEED_MESSAGE_COUNT_MAX)
    {
        send_messages(feed);
    }
    const uint32_t index = ++feed->message_count;
    feed->next_message[index] = 0;
    if (queue->count == 0)
    {
        queue->first = index;
    }
    else
    {
        feed->next_message[queue->last] = index;
    }
    queue->last = index;
    queue->count++;
    return &feed->messages[index];
}

static void print_trade(ome_feed_t *feed, const ome_event_t *event)
{
    instrument_t *instrument = instrument_of(feed, event->instrument);
    feed->trade_count++;
    instrument->trade_sequence++;
    if (feed->subscribers.count == 0)
    {
        return;
    }
    touch(feed, event->instrument, instrument);
    append(feed, &instrument->trades)->trade = (ome_trade_print_t){.sequence = HEADER(OME_TEMPLATE_TRADE_PRINT, OME_BLOCK_TRADE_PRINT),
        .channel_sequence = instrument->trade_sequence,
        .engine_sequence = event->sequence,
        .timestamp_ns = feed->timestamp_ns,
        .trade_id = feed->trade_count,
        .price = event->price,
        .quantity = event->quantity,
        .instrument = event->instrument,
        .epoch = feed->config.epoch,
        .side = event->side};
}

static ome_level_update_t level_update(const ome_feed_t *feed, const ome_level_t *level, uint64_t channel_sequence)
{
    return (ome_level_update_t){.sequence = HEADER(OME_TEMPLATE_LEVEL_UPDATE, OME_BLOCK_LEVEL_UPDATE),
        .channel_sequence = channel_sequence,
        .engine_sequence = feed->sequence,
        .timestamp_ns = feed->timestamp_ns,
        .price = level->price,
        .quantity = level->quantity,
        .order_count = level->order_count,
        .instrument = level->instrument,
        .epoch = feed->config.epoch,
        .side = level->side};
}

/* The command is complete: says what it changed. */
static void end_command(ome_feed_t *feed)
{
    feed->in_command = false;
    feed->sequence = feed->command_sequence;
    ome_level_t level;
    while (ome_feed_book_take_change(&feed->book, &level))
    {
        instrument_t *instrument = instrument_of(feed, level.instrument);
        touch(feed, level.instrument, instrument);
        instrument->level_sequence++;
        if (feed->subscribers.count > 0)
        {
            append(feed, &instrument->levels)->level = level_update(feed, &level, instrument->level_sequence);
        }
    }
}

/* ---- who has to be told how things stand ---- */

static void want(ome_feed_t *feed, uint32_t number, uint32_t channel)
{
    instrument_t *instrument = &feed->instruments[number];
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

static void define_instrument(ome_feed_t *feed, uint32_t number)
{
    OME_ASSERT(number == feed->instrument_count + 1);
    OME_ASSERT(number <= feed->config.limits.instrument_count_max);
    feed->instrument_count = number;
    feed->instruments[number].top = current_top(feed, number);
    want(feed, number, OME_FEED_CHANNEL_TOP);
    want(feed, number, OME_FEED_CHANNEL_LEVELS);
}

/* The instruments of a channel, from the first on, whose topics begin with the prefix: topics are numbers, and those with a prefix a
 * range of them. */
static void want_prefix(ome_feed_t *feed, uint32_t channel, const uint8_t *prefix, uint32_t prefix_size_bytes, uint32_t first_instrument)
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
        want(feed, (uint32_t)topic, channel);
        feed->noted_count++;
    }
}

/* Wants of both channels that have something to say of how things stand. */
static void want_all(void *context, const uint8_t *prefix, uint32_t prefix_size_bytes, uint32_t first_instrument)
{
    ome_feed_t *feed = context;
    want_prefix(feed, OME_FEED_CHANNEL_TOP, prefix, prefix_size_bytes, first_instrument);
    want_prefix(feed, OME_FEED_CHANNEL_LEVELS, prefix, prefix_size_bytes, first_instrument);
}

static void subscribe(ome_feed_t *feed, const ome_socket_message_t *message)
{
    const ome_socket_t *socket = feed->config.socket;
    const ome_status_t status = ome_subscribers_add(&feed->subscribers, message->peer, message->data, message->data_size_bytes);
    if (status == OME_OK)
    {
        (void)socket->admit(socket->context, message->peer, 1); /* it is there: this came from it just now */
        want_all(feed, message->data, message->data_size_bytes, 1);
        return;
    }
    ome_counter_add(feed->config.counters.subscriptions_refused, 1);
    if (status == OME_FULL) /* it cannot be told, and must not believe that it hears everything */
    {
        ome_subscribers_remove_peer(&feed->subscribers, message->peer);
        socket->end(socket->context, message->peer, NULL, 0);
    }
}

static void take_message(ome_feed_t *feed, const ome_socket_message_t *message)
{
    const ome_socket_t *socket = feed->config.socket;
    switch (message->kind)
    {
    case OME_SOCKET_SUBSCRIBE:
        subscribe(feed, message);
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

static uint32_t receive_subscriptions(ome_feed_t *feed)
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
        take_message(feed, &message);
    }
    if (count > 0)
    {
        ome_counter_set(feed->config.counters.subscriptions, feed->subscribers.count);
    }
    return count;
}

/* Puts the levels of a side into the frame from message `count` on, best first; returns how many messages there are then. `left_out` is
 * how many levels more there are. */
static uint32_t put_side(ome_feed_t *feed, uint32_t number, uint8_t side, uint32_t count, uint32_t *left_out)
{
    const uint32_t level_count = ome_feed_book_level_count(&feed->book, number, side);
    const uint32_t end = count + min(feed->config.snapshot_level_count_max, level_count);
    uint32_t index = ome_feed_book_best(&feed->book, number, side);
    *left_out = level_count - (end - count);
    for (; count < end; index = ome_ladder_next(&feed->book.ladder, index))
    {
        const ome_level_update_t update = level_update(feed, &feed->book.ladder.levels[index], 0);
        memcpy(frame_message(feed, count), &update, MESSAGE_SIZE);
        count++;
    }
    OME_ASSERT(index == 0 || *left_out > 0);
    return count;
}

/* Returns the messages sent. */
static uint32_t answer_levels(ome_feed_t *feed, uint32_t number)
{
    if (!ome_subscribers_ask(&feed->subscribers, OME_FEED_CHANNEL_LEVELS, number))
    {
        return 0;
    }
    uint32_t bids_left_out;
    uint32_t asks_left_out;
    uint32_t count = put_side(feed, number, OME_SIDE_BUY, 1, &bids_left_out);
    count = put_side(feed, number, OME_SIDE_SELL, count, &asks_left_out);
    const ome_level_snapshot_t snapshot = {.sequence = HEADER(OME_TEMPLATE_LEVEL_SNAPSHOT, OME_BLOCK_LEVEL_SNAPSHOT),
        .channel_sequence = feed->instruments[number].level_sequence,
        .engine_sequence = feed->sequence,
        .timestamp_ns = feed->timestamp_ns,
        .level_count = count - 1,
        .instrument = number,
        .epoch = feed->config.epoch,
        .bids_left_out = bids_left_out,
        .asks_left_out = asks_left_out};
    memcpy(frame_message(feed, 0), &snapshot, MESSAGE_SIZE);
    answer_frame(feed, OME_FEED_CHANNEL_LEVELS, number, count);
    ome_counter_add(feed->config.counters.snapshots_sent, 1);
    ome_counter_add(feed->config.counters.snapshots_cut, bids_left_out > 0 || asks_left_out > 0);
    return count;
}

static uint32_t answer_top(ome_feed_t *feed, uint32_t number)
{
    if (!ome_subscribers_ask(&feed->subscribers, OME_FEED_CHANNEL_TOP, number))
    {
        return 0;
    }
    put_top(feed, number);
    answer_frame(feed, OME_FEED_CHANNEL_TOP, number, 1);
    return 1;
}

/* What may be sent of snapshots grows with time. */
static void refill(ome_feed_t *feed)
{
    const uint64_t now_ns = ome_clock_monotonic_ns();
    const uint64_t passed_ms = (now_ns - feed->now_ns) / NS_PER_MS;
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
            has_more = ome_subscribers_retry(&feed->subscribers, want_all, feed);
        }
        feed->retry_ns = has_more ? now_ns : now_ns + RETRY_NS;
    }
}

/* Whether somebody is still to be told how things stand. */
static bool owes(const ome_feed_t *feed)
{
    return feed->wanted_first != 0 || feed->subscribers.owed_count > 0;
}

/* Between batches. Returns the messages sent. */
static uint32_t answer_wanted(ome_feed_t *feed)
{
    uint32_t count = 0;
    if (!owes(feed))
    {
        return 0;
    }
    refill(feed);
    while (feed->wanted_first != 0 && count < SNAPSHOT_MESSAGE_COUNT && feed->snapshot_bytes > 0)
    {
        const uint32_t number = feed->wanted_first;
        instrument_t *instrument = &feed->instruments[number];
        feed->wanted_first = instrument->next_wanted;
        count += 1; /* also looking for who asked takes time */
        if (instrument->wants_top)
        {
            instrument->wants_top = false;
            count += answer_top(feed, number);
        }
        if (instrument->wants_levels)
        {
            instrument->wants_levels = false;
            count += answer_levels(feed, number);
        }
    }
    return count;
}

/* ---- reading ---- */

/* Follows an event of the command that is being read. */
static void read_event(ome_feed_t *feed, const ome_event_t *event)
{
    if (event->kind == OME_EVENT_KIND_TRADE)
    {
        print_trade(feed, event);
    }
    else if (event->kind != OME_EVENT_KIND_PREVENTED) /* which has no time, either */
    {
        feed->timestamp_ns = event->timestamp_ns;
    }
    if (event->kind == OME_EVENT_KIND_DEFINED && event->command_kind == OME_COMMAND_KIND_DEFINE_INSTRUMENT)
    {
        define_instrument(feed, event->instrument);
    }
    ome_feed_book_apply(&feed->book, event);
}

/* Sends what the batch has to say. */
static void end_batch(ome_feed_t *feed)
{
    send_messages(feed);
    for (uint32_t number = feed->touched_first; number != 0; number = feed->instruments[number].next_touched)
    {
        instrument_t *instrument = &feed->instruments[number];
        instrument->is_touched = false;
        const top_t top = current_top(feed, number);
        if (memcmp(&top, &instrument->top, sizeof(top_t)) != 0)
        {
            instrument->top = top;
            publish_top(feed, number);
        }
    }
    feed->touched_first = 0;
    ome_counter_set(feed->config.counters.last_sequence, feed->sequence);
}

/* Returns how much was done. When the events end inside a command the batch stays open, and goes on with the rest of that command and no further. */
static uint32_t read_batch(ome_feed_t *feed)
{
    const ome_event_t *events;
    const uint32_t available = ome_reader_take(&feed->config.reader, OME_FEED_BATCH_EVENT_COUNT, &events);
    const bool was_open = feed->in_command;
    uint32_t count = 0;
    for (; count < available; count++)
    {
        const uint64_t sequence = events[count].sequence;
        if (feed->in_command && sequence != feed->command_sequence)
        {
            end_command(feed);
            if (was_open)
            {
                break;
            }
        }
        if (!feed->in_command)
        {
            if (sequence <= feed->sequence)
            {
                feed->is_stopped = true;
                break;
            }
            feed->in_command = true;
            feed->command_sequence = sequence;
        }
        read_event(feed, &events[count]);
    }
    if (count > 0)
    {
        ome_reader_advance(&feed->config.reader, count);
    }
    if (feed->in_command && ome_reader_is_past(&feed->config.reader, feed->command_sequence))
    {
        end_command(feed);
    }
    const bool has_ended = !feed->in_command && (count > 0 || was_open);
    if (has_ended)
    {
        end_batch(feed);
    }
    return count + has_ended;
}

uint32_t ome_feed_do_work(ome_feed_t *feed)
{
    uint32_t work = 0;
    if (!feed->is_stopped)
    {
        work = receive_subscriptions(feed);
    }
    if (!feed->is_stopped && !feed->in_command)
    {
        work += answer_wanted(feed);
    }
    if (!feed->is_stopped)
    {
        work += read_batch(feed);
    }
    return work;
}

/* ---- running ---- */

static bool has_event(const ome_feed_t *feed)
{
    const ome_reader_t *reader = &feed->config.reader;
    /* Inside a command, the rest of it or its end. */
    return ome_reader_has_event(reader) || (feed->in_command && ome_reader_is_past(reader, feed->command_sequence));
}

static void sleep_for(ome_feed_t *feed, uint32_t timeout_ms)
{
    const ome_socket_t *socket = feed->config.socket;
    ome_wait_t *wait = ome_reader_wait(&feed->config.reader);
    ome_wait_prepare(wait);
    /* Asked again, now that whoever publishes or opens the gate would wake us. */
    if (!has_event(feed))
    {
        feed->is_stopped = socket->wait(socket->context, feed->config.event_fd, timeout_ms) == OME_STOPPED;
    }
    ome_wait_cancel(wait);
}

/* After how long there may be something to send without an event. */
static uint64_t more_ns(const ome_feed_t *feed, uint64_t now_ns)
{
    if (feed->wanted_first == 0 && feed->subscribers.owed_count == 0)
    {
        return UINT64_MAX;
    }
    const bool is_soon = feed->wanted_first != 0 || feed->retry_ns < now_ns + NS_PER_MS;
    return is_soon ? NS_PER_MS : feed->retry_ns - now_ns;
}

ome_status_t ome_feed_run(ome_feed_t *feed, uint32_t timeout_ms)
{
    const uint64_t deadline_ns = ome_wait_deadline_ns((uint64_t)timeout_ms * NS_PER_MS);
    uint64_t now_ns = ome_clock_monotonic_ns();
    do
    {
        if (ome_feed_do_work(feed) == 0 && !feed->is_stopped)
        {
            now_ns = ome_clock_monotonic_ns();
            const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
            const uint64_t most_ns = more_ns(feed, now_ns);
            sleep_for(feed, (uint32_t)(((left_ns < most_ns ? left_ns : most_ns) + NS_PER_MS - 1) / NS_PER_MS));
        }
        now_ns = ome_clock_monotonic_ns();
    } while (!feed->is_stopped && now_ns < deadline_ns);
    return feed->is_stopped ? OME_STOPPED : OME_OK;
}
