/* The market data feed against a real engine and stream: whoever builds books from its frames has the engine's books, after every command. */
#define _GNU_SOURCE

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "ome_venue_face.h"
#include "ome_test_market.h"
#include "wire/ome_feed.h"

#define INSTRUMENT_COUNT 4u
#define COMMAND_COUNT_MAX 16384u
#define EVENT_COUNT_MAX 65536u
#define SPECIAL_COUNT_MAX 60u
#define LEVEL_COUNT_MAX 4096u /* of one side, in a consumer's book */
#define CONSUMER_COUNT_MAX 4u
#define SUBSCRIPTION_COUNT_MAX 64u
#define FRAME_COUNT_MAX 256u
#define EPOCH 77u
#define READER_INDEX 1u /* of 2: the other one reads at once */
#define MESSAGE_SIZE 80u
#define LONG_MS 20000u

static uint64_t seed;

/* ---- what a subscriber makes of the frames ---- */

typedef struct
{
    ome_depth_t levels[LEVEL_COUNT_MAX]; /* best first */
    uint32_t count;
} side_t;

typedef struct
{
    int64_t bid_price;
    int64_t bid_quantity;
    int64_t ask_price;
    int64_t ask_quantity;
} top_t;

typedef struct
{
    side_t sides[2];
    top_t top;
    bool has_levels; /* saw a snapshot */
    bool has_top;
    uint64_t level_sequence; /* the last channel_sequence of each channel */
    uint64_t top_sequence;
    uint64_t trade_sequence;
    uint64_t engine_sequence; /* of the last level update or snapshot */
    uint64_t update_count; /* of the command of that number, in this consumer */
    int64_t command_prices[LEVEL_COUNT_MAX];
    uint8_t command_sides[LEVEL_COUNT_MAX];
} market_t;

typedef struct
{
    uint8_t prefix[OME_FEED_TOPIC_SIZE];
    uint32_t prefix_size_bytes;
    uint64_t trade_count;
    market_t markets[INSTRUMENT_COUNT + 1];
} consumer_t;

/* ---- the venue: engine, stream, feed, and a socket that is a table in memory ---- */

typedef struct
{
    uint64_t book_hash;
    top_t top;
} moment_t;

typedef struct
{
    ome_limits_t limits;
    ome_engine_t *engine;
    ome_stream_t *stream;
    ome_feed_t *feed;
    uint64_t feed_size_bytes;
    ome_socket_t socket;
    int event_fd;
    _Atomic uint64_t durable;
    bool gate_opens_when_asked; /* after the answer: as if it had opened a moment later */
    ome_counter_t counters[6];

    ome_event_t *events; /* all that the engine said since the feed began */
    uint32_t event_count;
    uint32_t event_streamed;
    uint64_t first_trade_count;
    ome_event_t trades[EVENT_COUNT_MAX]; /* with the timestamp of their command in resting_order_id */
    uint32_t trade_count;
    moment_t history[COMMAND_COUNT_MAX + 1][INSTRUMENT_COUNT + 1]; /* after each command */
    uint64_t timestamps[COMMAND_COUNT_MAX + 1];

    uint8_t subscriptions[SUBSCRIPTION_COUNT_MAX][16];
    uint32_t subscription_sizes[SUBSCRIPTION_COUNT_MAX];
    uint32_t subscription_count;
    uint32_t subscription_read;

    uint64_t topics[FRAME_COUNT_MAX]; /* of the last frames sent */
    uint32_t message_counts[FRAME_COUNT_MAX];
    uint32_t frame_count;
    uint64_t message_count;
    uint64_t snapshot_count;
    bool refuses; /* the socket takes nothing */
    bool is_closed;
    bool closes_on_send;
    consumer_t *consumers[CONSUMER_COUNT_MAX];
    uint32_t consumer_count;
} venue_t;

static uint64_t hash_side(uint64_t hash, const ome_depth_t *levels, uint32_t count)
{
    hash = (hash ^ count) * UINT64_C(0x100000001B3);
    for (uint32_t i = 0; i < count; i++)
    {
        const uint64_t words[3] = {(uint64_t)levels[i].price, (uint64_t)levels[i].quantity, levels[i].order_count};
        for (uint32_t j = 0; j < 3; j++)
        {
            hash = (hash ^ words[j]) * UINT64_C(0x9E3779B97F4A7C15);
            hash ^= hash >> 29;
        }
    }
    return hash;
}

static uint64_t hash_market(const market_t *market)
{
    return hash_side(hash_side(1, market->sides[0].levels, market->sides[0].count), market->sides[1].levels, market->sides[1].count);
}

static void engine_moment(const ome_engine_t *engine, uint32_t instrument, moment_t *moment)
{
    static ome_depth_t bids[LEVEL_COUNT_MAX];
    static ome_depth_t asks[LEVEL_COUNT_MAX];
    const uint32_t bid_count = ome_engine_levels(engine, instrument, OME_SIDE_BUY, LEVEL_COUNT_MAX, bids);
    const uint32_t ask_count = ome_engine_levels(engine, instrument, OME_SIDE_SELL, LEVEL_COUNT_MAX, asks);
    moment->book_hash = hash_side(hash_side(1, bids, bid_count), asks, ask_count);
    moment->top = (top_t){.bid_price = bid_count > 0 ? bids[0].price : OME_NULL_VALUE,
        .bid_quantity = bid_count > 0 ? bids[0].quantity : 0,
        .ask_price = ask_count > 0 ? asks[0].price : OME_NULL_VALUE,
        .ask_quantity = ask_count > 0 ? asks[0].quantity : 0};
}

/* ---- checks of each frame ---- */

static uint64_t find_level(const side_t *side, uint8_t side_number, int64_t price)
{
    uint32_t i = 0;
    while (i < side->count && (side_number == OME_SIDE_BUY ? side->levels[i].price > price : side->levels[i].price < price))
    {
        i++;
    }
    return i;
}

static void set_level(market_t *market, const ome_level_update_t *update)
{
    side_t *side = &market->sides[update->side - 1];
    const uint64_t at = find_level(side, update->side, update->price);
    const bool is_there = at < side->count && side->levels[at].price == update->price;
    if (update->quantity == 0)
    {
        CHECK(update->order_count == 0);
        CHECK(is_there);
        memmove(&side->levels[at], &side->levels[at + 1], (side->count - at - 1) * sizeof(ome_depth_t));
        side->count--;
        return;
    }
    CHECK(update->order_count > 0);
    if (!is_there)
    {
        CHECK(side->count < LEVEL_COUNT_MAX);
        memmove(&side->levels[at + 1], &side->levels[at], (side->count - at) * sizeof(ome_depth_t));
        side->count++;
        side->levels[at] = (ome_depth_t){.price = update->price};
    }
    const ome_depth_t before = side->levels[at];
    side->levels[at].quantity = update->quantity;
    side->levels[at].order_count = update->order_count;
    CHECK(memcmp(&before, &side->levels[at], sizeof(before)) != 0); /* an update says something new */
}

static void take_update(const venue_t *venue, market_t *market, const ome_level_update_t *update)
{
    CHECK(update->side == OME_SIDE_BUY || update->side == OME_SIDE_SELL);
    CHECK(update->timestamp_ns == venue->timestamps[update->engine_sequence]);
    if (update->engine_sequence != market->engine_sequence)
    {
        /* All of the commands before have been told. */
        CHECK(update->engine_sequence > market->engine_sequence);
        CHECK(hash_market(market) == venue->history[update->engine_sequence - 1][update->instrument].book_hash);
        market->engine_sequence = update->engine_sequence;
        market->update_count = 0;
    }
    for (uint64_t i = 0; i < market->update_count; i++)
    {
        CHECK(market->command_prices[i] != update->price || market->command_sides[i] != update->side); /* once for each level */
    }
    market->command_prices[market->update_count] = update->price;
    market->command_sides[market->update_count] = update->side;
    market->update_count++;
    set_level(market, update);
}

static void take_snapshot(const venue_t *venue, market_t *market, const uint8_t *messages, uint32_t count)
{
    const ome_level_snapshot_t *snapshot = (const ome_level_snapshot_t *)messages;
    CHECK(snapshot->level_count == count - 1);
    CHECK(snapshot->timestamp_ns == venue->timestamps[snapshot->engine_sequence]);
    const uint64_t hash_before = hash_market(market);
    market->sides[0].count = 0;
    market->sides[1].count = 0;
    for (uint32_t i = 1; i < count; i++)
    {
        const ome_level_update_t *update = (const ome_level_update_t *)(messages + (size_t)i * MESSAGE_SIZE);
        CHECK(update->channel_sequence == 0);
        CHECK(update->engine_sequence == snapshot->engine_sequence);
        side_t *side = &market->sides[update->side - 1];
        CHECK(find_level(side, update->side, update->price) == side->count); /* best first */
        set_level(market, update);
    }
    CHECK(hash_market(market) == venue->history[snapshot->engine_sequence][snapshot->instrument].book_hash);
    if (market->has_levels)
    {
        CHECK(market->level_sequence == snapshot->channel_sequence); /* nothing new for who is in step */
        CHECK(hash_before == hash_market(market));
    }
    market->has_levels = true;
    market->level_sequence = snapshot->channel_sequence;
    market->engine_sequence = snapshot->engine_sequence;
    market->update_count = 0;
}

static void take_levels(const venue_t *venue, market_t *market, const uint8_t *messages, uint32_t count)
{
    const ome_message_header_t *header = (const ome_message_header_t *)messages;
    if (header->template_id == OME_TEMPLATE_LEVEL_SNAPSHOT)
    {
        take_snapshot(venue, market, messages, count);
        return;
    }
    for (uint32_t i = 0; i < count && market->has_levels; i++)
    {
        const ome_level_update_t *update = (const ome_level_update_t *)(messages + (size_t)i * MESSAGE_SIZE);
        CHECK(update->channel_sequence == market->level_sequence + 1);
        market->level_sequence = update->channel_sequence;
        take_update(venue, market, update);
    }
}

static void take_top(const venue_t *venue, market_t *market, const ome_top_of_book_t *message)
{
    CHECK(!market->has_top || message->channel_sequence == market->top_sequence + 1);
    market->has_top = true;
    market->top_sequence = message->channel_sequence;
    market->top = (top_t){.bid_price = message->bid_price,
        .bid_quantity = message->bid_quantity,
        .ask_price = message->ask_price,
        .ask_quantity = message->ask_quantity};
    CHECK(message->timestamp_ns == venue->timestamps[message->engine_sequence]);
    CHECK(memcmp(&market->top, &venue->history[message->engine_sequence][message->instrument].top, sizeof(top_t)) == 0);
}

static void take_trade(const venue_t *venue, consumer_t *consumer, market_t *market, const ome_trade_print_t *print)
{
    CHECK(market->trade_sequence == 0 || print->channel_sequence == market->trade_sequence + 1);
    market->trade_sequence = print->channel_sequence;
    market->trade_sequence = print->channel_sequence;
    CHECK(print->trade_id > venue->first_trade_count);
    CHECK(print->trade_id <= venue->first_trade_count + venue->trade_count);
    const ome_event_t *trade = &venue->trades[print->trade_id - venue->first_trade_count - 1];
    CHECK(print->engine_sequence == trade->sequence);
    CHECK(print->timestamp_ns == trade->resting_order_id);
    CHECK(print->price == trade->price);
    CHECK(print->quantity == trade->quantity);
    CHECK(print->instrument == trade->instrument);
    CHECK(print->side == trade->side);
    consumer->trade_count++;
}

static void consumer_take(const venue_t *venue, consumer_t *consumer, const uint8_t *data, uint32_t count)
{
    if (memcmp(data, consumer->prefix, consumer->prefix_size_bytes) != 0)
    {
        return;
    }
    const uint8_t *messages = data + OME_FEED_TOPIC_SIZE;
    market_t *market = &consumer->markets[data[7]];
    switch (data[3])
    {
    case OME_FEED_CHANNEL_TOP:
        CHECK(count == 1);
        take_top(venue, market, (const ome_top_of_book_t *)messages);
        break;
    case OME_FEED_CHANNEL_LEVELS:
        take_levels(venue, market, messages, count);
        break;
    default:
        for (uint32_t i = 0; i < count; i++)
        {
            take_trade(venue, consumer, market, (const ome_trade_print_t *)(messages + (size_t)i * MESSAGE_SIZE));
        }
        break;
    }
}

/* What holds for every message of a frame. */
static void check_frame(const venue_t *venue, const uint8_t *data, uint32_t count)
{
    const uint16_t first_template = ((const ome_message_header_t *)(data + OME_FEED_TOPIC_SIZE))->template_id;
    for (uint32_t i = 0; i < count; i++)
    {
        const uint8_t *message = data + OME_FEED_TOPIC_SIZE + (size_t)i * MESSAGE_SIZE;
        const ome_message_header_t *header = (const ome_message_header_t *)message;
        CHECK(header->schema_id == OME_SCHEMA_ID);
        CHECK(header->version == OME_SCHEMA_VERSION);
        CHECK(header->block_length == MESSAGE_SIZE - OME_MESSAGE_HEADER_SIZE);
        uint32_t numbers[2]; /* instrument and epoch */
        uint64_t engine_sequence;
        uint16_t expected = first_template;
        memcpy(&engine_sequence, message + offsetof(ome_level_update_t, engine_sequence), sizeof(engine_sequence));
        size_t offset = offsetof(ome_level_update_t, instrument);
        switch (data[3])
        {
        case OME_FEED_CHANNEL_TOP:
            expected = OME_TEMPLATE_TOP_OF_BOOK;
            offset = offsetof(ome_top_of_book_t, instrument);
            break;
        case OME_FEED_CHANNEL_TRADES:
            expected = OME_TEMPLATE_TRADE_PRINT;
            offset = offsetof(ome_trade_print_t, instrument);
            break;
        default:
            CHECK(data[3] == OME_FEED_CHANNEL_LEVELS);
            expected = i == 0 && first_template == OME_TEMPLATE_LEVEL_SNAPSHOT ? OME_TEMPLATE_LEVEL_SNAPSHOT : OME_TEMPLATE_LEVEL_UPDATE;
            offset = expected == OME_TEMPLATE_LEVEL_SNAPSHOT ? offsetof(ome_level_snapshot_t, instrument) : offset;
            break;
        }
        memcpy(numbers, message + offset, sizeof(numbers));
        CHECK(header->template_id == expected);
        CHECK(numbers[0] == data[7]);
        CHECK(numbers[1] == EPOCH);
        CHECK(engine_sequence <= atomic_load_explicit(&venue->durable, memory_order_acquire)); /* the gate */
    }
}

static ome_status_t socket_send(void *context, const uint8_t *peer, uint32_t peer_size_bytes, const uint8_t *data, uint32_t data_size_bytes)
{
    venue_t *venue = context;
    CHECK(peer == NULL && peer_size_bytes == 0);
    CHECK(data_size_bytes > OME_FEED_TOPIC_SIZE);
    CHECK((data_size_bytes - OME_FEED_TOPIC_SIZE) % MESSAGE_SIZE == 0);
    const uint32_t count = (data_size_bytes - OME_FEED_TOPIC_SIZE) / MESSAGE_SIZE;
    CHECK(data[0] == 0 && data[1] == 0 && data[2] == 0);
    CHECK(data[4] == 0 && data[5] == 0 && data[6] == 0);
    CHECK(data[7] >= 1 && data[7] <= INSTRUMENT_COUNT);
    check_frame(venue, data, count);
    if (venue->refuses)
    {
        return OME_FULL;
    }
    venue->topics[venue->frame_count % FRAME_COUNT_MAX] = (uint64_t)data[3] << 32 | data[7];
    venue->message_counts[venue->frame_count % FRAME_COUNT_MAX] = count;
    venue->frame_count++;
    venue->message_count += count;
    const ome_message_header_t *header = (const ome_message_header_t *)(data + OME_FEED_TOPIC_SIZE);
    venue->snapshot_count += header->template_id == OME_TEMPLATE_LEVEL_SNAPSHOT;
    for (uint32_t i = 0; i < venue->consumer_count; i++)
    {
        consumer_take(venue, venue->consumers[i], data, count);
    }
    venue->is_closed = venue->closes_on_send;
    return OME_OK;
}

static ome_status_t socket_receive(void *context, ome_socket_message_t *message)
{
    venue_t *venue = context;
    if (venue->is_closed)
    {
        return OME_STOPPED;
    }
    if (venue->subscription_read == venue->subscription_count)
    {
        return OME_EMPTY;
    }
    const uint32_t index = venue->subscription_read++ % SUBSCRIPTION_COUNT_MAX;
    *message = (ome_socket_message_t){.data = venue->subscriptions[index], .data_size_bytes = venue->subscription_sizes[index]};
    return OME_OK;
}

static ome_status_t socket_wait(void *context, int event_fd, uint32_t timeout_ms)
{
    const venue_t *venue = context;
    CHECK(event_fd == venue->event_fd);
    struct pollfd item = {.fd = event_fd, .events = POLLIN};
    if (poll(&item, 1, (int)timeout_ms) == 1)
    {
        uint64_t count;
        CHECK(read(event_fd, &count, sizeof(count)) == sizeof(count));
    }
    return venue->is_closed ? OME_STOPPED : OME_OK;
}

static uint64_t venue_durable(void *context)
{
    venue_t *venue = context;
    const uint64_t durable = atomic_load_explicit(&venue->durable, memory_order_acquire);
    if (venue->gate_opens_when_asked)
    {
        atomic_store_explicit(&venue->durable, UINT64_MAX, memory_order_release);
    }
    return durable;
}

/* ---- running a venue by hand ---- */

static ome_feed_config_t feed_config(venue_t *venue, uint32_t snapshot_level_count_max)
{
    return (ome_feed_config_t){.limits = venue->limits,
        .snapshot_level_count_max = snapshot_level_count_max,
        .epoch = EPOCH,
        .stream = venue->stream,
        .reader_index = READER_INDEX,
        .event_fd = venue->event_fd,
        .socket = &venue->socket,
        .durable = venue_durable,
        .durable_context = venue,
        .counters = {.frames_sent = &venue->counters[0],
            .messages_sent = &venue->counters[1],
            .frames_dropped = &venue->counters[2],
            .snapshots_sent = &venue->counters[3],
            .snapshots_cut = &venue->counters[4],
            .last_sequence = &venue->counters[5]}};
}

static venue_t *venue_new(uint32_t order_count_max, uint32_t level_count_max, uint32_t slot_count, uint32_t snapshot_level_count_max)
{
    venue_t *venue = ome_memory_map(sizeof(venue_t));
    CHECK(venue != NULL);
    venue->limits = (ome_limits_t){.order_count_max = order_count_max,
        .level_count_max = level_count_max,
        .instrument_count_max = INSTRUMENT_COUNT,
        .session_count_max = 1,
        .special_count_max = SPECIAL_COUNT_MAX};
    CHECK(ome_engine_create(&venue->limits, &venue->engine) == OME_OK);
    const ome_stream_config_t stream_config = {.slot_count = slot_count, .reader_count = 2, .wait_strategy = OME_WAIT_BLOCK};
    CHECK(ome_stream_init(&venue->stream, ome_memory_map(ome_stream_size_bytes(slot_count)), ome_stream_size_bytes(slot_count),
              &stream_config) == OME_OK);
    ome_stream_detach(venue->stream, 1 - READER_INDEX);
    venue->event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(venue->event_fd >= 0);
    venue->socket = (ome_socket_t){.context = venue, .receive = socket_receive, .send = socket_send, .wait = socket_wait};
    atomic_store_explicit(&venue->durable, UINT64_MAX, memory_order_relaxed);
    venue->events = ome_memory_map(EVENT_COUNT_MAX * sizeof(ome_event_t));
    for (uint32_t i = 1; i <= INSTRUMENT_COUNT; i++)
    {
        engine_moment(venue->engine, i, &venue->history[0][i]);
    }
    const ome_feed_config_t config = feed_config(venue, snapshot_level_count_max);
    venue->feed_size_bytes = ome_feed_size_bytes(&config);
    CHECK(ome_feed_init(&venue->feed, ome_memory_map(venue->feed_size_bytes), venue->feed_size_bytes, &config) == OME_OK);
    return venue;
}

static void consumer_free(consumer_t *consumer)
{
    ome_memory_unmap(consumer, sizeof(consumer_t));
}

static void venue_free(venue_t *venue)
{
    for (uint32_t i = 0; i < venue->consumer_count; i++)
    {
        consumer_free(venue->consumers[i]);
    }
    close(venue->event_fd);
    ome_engine_destroy(venue->engine);
    ome_memory_unmap(venue->stream, ome_stream_size_bytes(venue->stream->slot_count));
    ome_memory_unmap(venue->feed, venue->feed_size_bytes);
    ome_memory_unmap(venue->events, EVENT_COUNT_MAX * sizeof(ome_event_t));
    ome_memory_unmap(venue, sizeof(venue_t));
}

static void no_room(ome_sink_t *sink)
{
    (void)sink;
    CHECK(false);
}

/* Applies a command; its events wait to be put into the stream. */
static void apply(venue_t *venue, const ome_command_t *command)
{
    const uint32_t from = venue->event_count;
    ome_sink_t sink = {.next = venue->events + from, .end = venue->events + EVENT_COUNT_MAX, .flush = no_room};
    ome_engine_apply(venue->engine, command, &sink);
    venue->event_count = (uint32_t)(sink.next - venue->events);
    const uint64_t sequence = venue->engine->sequence;
    CHECK(sequence <= COMMAND_COUNT_MAX);
    venue->timestamps[sequence] = command->timestamp_ns;
    for (uint32_t i = 1; i <= INSTRUMENT_COUNT; i++)
    {
        engine_moment(venue->engine, i, &venue->history[sequence][i]);
    }
    for (uint32_t i = from; i < venue->event_count; i++)
    {
        const ome_event_t *event = &venue->events[i];
        CHECK(event->sequence == sequence);
        if (event->kind == OME_EVENT_KIND_TRADE)
        {
            venue->trades[venue->trade_count] = *event;
            venue->trades[venue->trade_count++].resting_order_id = venue->timestamps[sequence];
        }
        else if (event->kind != OME_EVENT_KIND_PREVENTED)
        {
            venue->timestamps[sequence] = event->timestamp_ns; /* of several records the first one's */
        }
    }
}

/* Whether the first event that is not streamed, if there is one, is another command's than the last that is. */
static bool ends_with_a_command(const venue_t *venue)
{
    const ome_event_t *next = &venue->events[venue->event_streamed];
    return venue->event_streamed == venue->event_count || next[0].sequence != next[-1].sequence;
}

/* Puts up to `count_max` events into the stream. */
static uint32_t stream_events(venue_t *venue, uint32_t count_max)
{
    void *slots;
    uint32_t count = ome_stream_window(venue->stream, &slots);
    const uint32_t waiting = venue->event_count - venue->event_streamed;
    count = count < waiting ? count : waiting;
    count = count < count_max ? count : count_max;
    if (count > 0)
    {
        memcpy(slots, venue->events + venue->event_streamed, count * sizeof(ome_event_t));
        venue->event_streamed += count;
        if (ends_with_a_command(venue))
        {
            ome_stream_publish_whole(venue->stream, count);
        }
        else
        {
            ome_stream_publish(venue->stream, count);
        }
    }
    return count;
}

static void drain(venue_t *venue)
{
    while (stream_events(venue, UINT32_MAX) + ome_feed_do_work(venue->feed) > 0)
    {
    }
    CHECK(venue->event_streamed == venue->event_count);
    CHECK(ome_counter_get(&venue->counters[5]) == venue->events[venue->event_count - 1].sequence);
}

static void subscription(venue_t *venue, const uint8_t *data, uint32_t size_bytes)
{
    CHECK(venue->subscription_count - venue->subscription_read < SUBSCRIPTION_COUNT_MAX);
    const uint32_t index = venue->subscription_count++ % SUBSCRIPTION_COUNT_MAX;
    memcpy(venue->subscriptions[index], data, size_bytes);
    venue->subscription_sizes[index] = size_bytes;
}

/* A new consumer of all topics with this prefix. */
static consumer_t *join(venue_t *venue, const uint8_t *prefix, uint32_t prefix_size_bytes)
{
    consumer_t *consumer = ome_memory_map(sizeof(consumer_t));
    uint8_t data[1 + OME_FEED_TOPIC_SIZE] = {1};
    for (uint32_t i = 0; i < prefix_size_bytes; i++)
    {
        consumer->prefix[i] = prefix[i];
        data[1 + i] = prefix[i];
    }
    consumer->prefix_size_bytes = prefix_size_bytes;
    CHECK(venue->consumer_count < CONSUMER_COUNT_MAX);
    venue->consumers[venue->consumer_count++] = consumer;
    subscription(venue, data, prefix_size_bytes + 1);
    return consumer;
}

/* All that a consumer has is as it was after the last command published. */
static void check_consumer(const venue_t *venue, const consumer_t *consumer)
{
    const uint64_t sequence = ome_counter_get(&venue->counters[5]);
    for (uint32_t i = 1; i <= INSTRUMENT_COUNT; i++)
    {
        const market_t *market = &consumer->markets[i];
        const moment_t *moment = &venue->history[sequence][i];
        /* A batch that filled the pool of messages has said more than its end has been reached. */
        if (market->has_levels && market->engine_sequence <= sequence)
        {
            CHECK(hash_market(market) == moment->book_hash);
        }
        if (market->has_top)
        {
            CHECK(memcmp(&market->top, &moment->top, sizeof(top_t)) == 0);
        }
    }
}

static void check_consumers(const venue_t *venue)
{
    for (uint32_t i = 0; i < venue->consumer_count; i++)
    {
        check_consumer(venue, venue->consumers[i]);
    }
}

static void check_counters(const venue_t *venue)
{
    CHECK(ome_counter_get(&venue->counters[0]) == venue->frame_count);
    CHECK(ome_counter_get(&venue->counters[1]) == venue->message_count);
    CHECK(ome_counter_get(&venue->counters[3]) == venue->snapshot_count);
}

/* ---- commands ---- */

static uint64_t next_time(const venue_t *venue)
{
    return UINT64_C(1700000000000000000) + venue->engine->sequence * 10;
}

static void open_instrument(venue_t *venue, int64_t tick, uint16_t flags)
{
    ome_command_t command = {.timestamp_ns = next_time(venue),
        .tick = tick,
        .instrument = venue->engine->instrument_count + 1,
        .kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT,
        .instrument_flags = flags};
    command.symbol[0] = 'I';
    command.symbol[1] = (char)('0' + command.instrument);
    apply(venue, &command);
    CHECK(venue->events[venue->event_count - 1].kind == OME_EVENT_KIND_DEFINED);
}

static ome_command_t new_order(const venue_t *venue, uint32_t instrument, uint8_t side, int64_t price, int64_t quantity)
{
    return (ome_command_t){.timestamp_ns = next_time(venue),
        .price = price,
        .quantity = quantity,
        .participant = 1,
        .instrument = instrument,
        .kind = OME_COMMAND_KIND_NEW_ORDER,
        .side = side,
        .order_type = OME_ORDER_TYPE_LIMIT,
        .time_in_force = OME_TIME_IN_FORCE_GTC};
}

static void order(venue_t *venue, uint32_t instrument, uint8_t side, int64_t price, int64_t quantity)
{
    const ome_command_t command = new_order(venue, instrument, side, price, quantity);
    apply(venue, &command);
}

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

/* ---- tests ---- */

static uint32_t kinds_seen[256]; /* over all flows: that they are worth something */

/* One of the things that happen beside the commands, in any order: events arrive, the gate opens, the feed works, somebody joins. */
static void step(venue_t *venue, uint64_t *state, uint64_t *durable)
{
    (void)stream_events(venue, 1 + (uint32_t)below(state, 40));
    if (below(state, 3) != 0)
    {
        *durable += below(state, venue->engine->sequence - *durable + 1);
        atomic_store_explicit(&venue->durable, *durable, memory_order_release);
    }
    if (below(state, 50) == 0)
    {
        const uint8_t data[9] = {1, 0, 0, 0, (uint8_t)(1 + below(state, 2)), 0, 0, 0, (uint8_t)(1 + below(state, INSTRUMENT_COUNT))};
        subscription(venue, data, 9);
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
    atomic_store_explicit(&venue->durable, durable, memory_order_relaxed);
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
    atomic_store_explicit(&venue->durable, UINT64_MAX, memory_order_release);
    drain(venue);
    check_consumers(venue);
    for (uint32_t i = 0; i < venue->consumer_count; i++)
    {
        CHECK(venue->consumers[i]->markets[2].has_levels);
    }
    for (uint32_t i = 1; i <= INSTRUMENT_COUNT; i++)
    {
        moment_t moment;
        engine_moment(venue->engine, i, &moment);
        CHECK(first->markets[i].has_levels);
        CHECK(first->markets[i].has_top);
        CHECK(hash_market(&first->markets[i]) == moment.book_hash);
        CHECK(memcmp(&first->markets[i].top, &moment.top, sizeof(top_t)) == 0);
    }
    CHECK(first->trade_count == venue->trade_count);
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

/* Applying the updates up to engine sequence s gives the book after command s; joining late gives the same; nothing passes the gate; no sequence is left out. */
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

/* A command may trade with more levels than a stream has slots, a batch has events and the feed has messages; its updates are sent once it is complete, one for each level,
 * in the order touched. Who subscribes in the middle of it gets the book after it. The levels it has emptied and the one that it makes are more than the engine's limit. */
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
    CHECK(consumer->markets[1].sides[1].count == count);
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
    CHECK(late->markets[1].level_sequence == count + count + 1);
    CHECK(consumer->trade_count == count);
    const market_t *market = &consumer->markets[1];
    CHECK(market->update_count == 0 && market->sides[1].count == 0 && market->sides[0].count == 1);
    CHECK(market->sides[0].levels[0].quantity == 5);
    for (uint32_t i = 0; i < count; i++)
    {
        CHECK(market->command_prices[i] == 100 + (int64_t)i);
    }
    CHECK(market->command_prices[count] == 100 + count);
    check_consumers(venue);
    check_counters(venue);
    venue_free(venue);
}

/* Somebody hears the feed, and asks for nothing: trades have no state. */
static void hear(venue_t *venue)
{
    subscription(venue, (const uint8_t[]){1, 0, 0, 0, OME_FEED_CHANNEL_TRADES}, 5);
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
    CHECK(venue->frame_count == 5);
    CHECK(memcmp(venue->topics, expected, sizeof(expected)) == 0);
    CHECK(memcmp(venue->message_counts, counts, sizeof(counts)) == 0);
    /* The best levels as they were when the batch began: no top. */
    venue->frame_count = 0;
    order(venue, 1, OME_SIDE_SELL, 100, 5);
    order(venue, 1, OME_SIDE_BUY, 100, 5);
    drain(venue);
    CHECK(venue->frame_count == 2);
    CHECK(venue->topics[0] == (UINT64_C(3) << 32 | 1) && venue->topics[1] == (UINT64_C(2) << 32 | 1));
    venue_free(venue);
}

static void check_answer(const uint8_t *data, uint32_t size_bytes, uint32_t count, const uint64_t *topics)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    for (uint32_t i = 0; i < 2; i++)
    {
        open_instrument(venue, 1, 0);
    }
    drain(venue);
    venue->frame_count = 0;
    subscription(venue, data, size_bytes);
    drain(venue);
    CHECK(venue->frame_count == count);
    CHECK(count == 0 || memcmp(venue->topics, topics, count * sizeof(uint64_t)) == 0);
    venue_free(venue);
}

/* The current state is sent for each topic that a subscription is a prefix of; what is no subscription is ignored. */
static void a_subscription_is_answered_for_each_topic_that_it_is_a_prefix_of(void)
{
    const uint64_t top = UINT64_C(1) << 32;
    const uint64_t levels = UINT64_C(2) << 32;
    const uint64_t all[] = {top | 1, levels | 1, top | 2, levels | 2};
    const uint64_t all_levels[] = {levels | 1, levels | 2};
    const uint64_t all_tops[] = {top | 1, top | 2};
    check_answer((const uint8_t[]){1}, 1, 4, all);
    check_answer((const uint8_t[]){1, 0, 0}, 3, 4, all);
    check_answer((const uint8_t[]){1, 0, 0, 0, 2}, 5, 2, all_levels);
    check_answer((const uint8_t[]){1, 0, 0, 0, 1, 0, 0, 0}, 8, 2, all_tops);
    check_answer((const uint8_t[]){1, 0, 0, 0, 2, 0, 0, 0, 2}, 9, 1, all_levels + 1);
    check_answer((const uint8_t[]){1, 0, 0, 0, 1, 0, 0, 0, 1}, 9, 1, all_tops);
    check_answer((const uint8_t[]){1, 0, 0, 0, 3}, 5, 0, NULL); /* trades have no state */
    check_answer((const uint8_t[]){1, 0, 0, 0, 2, 0, 0, 0, 3}, 9, 0, NULL); /* no such instrument */
    check_answer((const uint8_t[]){1, 0, 0, 0, 2, 0, 0, 0, 0}, 9, 0, NULL); /* no such instrument */
    check_answer((const uint8_t[]){1, 0, 0, 0, 2, 255, 255, 255, 255}, 9, 0, NULL); /* no such instrument */
    check_answer((const uint8_t[]){1, 255}, 2, 0, NULL); /* no such channel */
    check_answer((const uint8_t[]){1, 0, 0, 0, 2, 0, 0, 0, 1, 0}, 10, 0, NULL); /* longer than a topic */
    check_answer((const uint8_t[]){0, 0, 0, 0, 2}, 5, 0, NULL); /* ends a subscription */
    check_answer((const uint8_t[]){2, 0, 0, 0, 2}, 5, 0, NULL); /* not one at all */
    check_answer((const uint8_t[]){1}, 0, 0, NULL); /* empty */
}

/* Subscriptions that wait together are served by one snapshot. */
static void many_subscriptions_at_once_cost_one_snapshot(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    drain(venue);
    venue->frame_count = 0;
    for (uint32_t i = 0; i < 10; i++)
    {
        subscription(venue, (const uint8_t[]){1, 0, 0, 0, 2, 0, 0, 0, 1}, 9);
    }
    drain(venue);
    CHECK(venue->frame_count == 1);
    venue_free(venue);
}

/* Events may always end inside a command when the feed looks: each of its batches ends with a command all the same, and who subscribes does not wait for ever. */
static void a_stream_that_always_ends_inside_a_command_starves_nobody(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    order(venue, 1, OME_SIDE_SELL, 100, 1000);
    for (uint32_t i = 0; i < 50; i++)
    {
        order(venue, 1, OME_SIDE_BUY, 100, 1); /* accepted, then traded */
    }
    CHECK(stream_events(venue, 3) == 3);
    CHECK(ome_feed_do_work(venue->feed) > 0);
    const consumer_t *consumer = join(venue, NULL, 0);
    for (uint32_t i = 0; i < 10; i++)
    {
        CHECK(stream_events(venue, 2) == 2); /* the trade of one command, the acceptance of the next */
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
    CHECK(ome_feed_seed(venue->feed, venue->engine) == OME_OK);
    CHECK(ome_counter_get(&venue->counters[5]) == venue->engine->sequence);
    venue->timestamps[venue->engine->sequence] = venue->engine->time_ns;
    venue->event_streamed = venue->event_count;
    venue->first_trade_count = venue->trade_count;
    venue->trade_count = 0;
    const consumer_t *consumer = join(venue, NULL, 0);
    CHECK(ome_feed_do_work(venue->feed) > 0);
    check_consumers(venue);
    CHECK(venue->snapshot_count == 3 && venue->frame_count == 6); /* nothing but what was asked for */
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
    CHECK(consumer->trade_count == venue->trade_count);
    CHECK(venue->trade_count > 0);
    venue_free(venue);
    venue = venue_new(200, 100, 64, 100);
    venue_t *other = venue_new(201, 100, 64, 100);
    CHECK(ome_feed_seed(venue->feed, other->engine) == OME_INVALID);
    venue_free(other);
    venue_free(venue);
}

/* Until somebody subscribes nothing is sent, yet everything is counted: the first who does is told numbers that the next messages go on from. */
static void what_nobody_hears_is_counted(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    for (uint32_t i = 0; i < 5; i++)
    {
        order(venue, 1, OME_SIDE_SELL, 100, 3);
        order(venue, 1, OME_SIDE_BUY, 100, 2);
    }
    drain(venue);
    CHECK(venue->frame_count == 0);
    const consumer_t *consumer = join(venue, NULL, 0);
    drain(venue);
    CHECK(venue->frame_count == 2); /* top and levels, as they stand */
    CHECK(consumer->markets[1].level_sequence == 10);
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    drain(venue);
    CHECK(consumer->markets[1].level_sequence == 11 && consumer->markets[1].trade_sequence == 8);
    check_consumers(venue);
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
    CHECK(ome_feed_do_work(venue->feed) == 1 && ome_feed_do_work(venue->feed) == 0);
    CHECK(consumer->markets[1].sides[0].count == 0);
    ome_stream_publish_whole(venue->stream, 0);
    drain(venue);
    CHECK(consumer->markets[1].sides[0].count == 1);
    check_consumers(venue);
    venue_free(venue);
}

/* What the socket does not take is dropped and counted, and its sequence numbers are not used again. */
static void a_frame_that_is_not_taken_leaves_a_gap(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    hear(venue);
    drain(venue);
    venue->refuses = true;
    order(venue, 1, OME_SIDE_BUY, 100, 5);
    drain(venue);
    CHECK(ome_counter_get(&venue->counters[2]) == 2); /* levels and top */
    venue->refuses = false;
    const consumer_t *consumer = join(venue, (const uint8_t[]){0, 0, 0, 2}, 4);
    drain(venue);
    CHECK(consumer->markets[1].level_sequence == 1);
    order(venue, 1, OME_SIDE_BUY, 101, 5);
    drain(venue);
    CHECK(consumer->markets[1].level_sequence == 2);
    check_consumers(venue);
    venue_free(venue);
}

/* A book deeper than a snapshot may be is cut after its best levels, and counted. */
static void a_snapshot_of_a_deep_book_has_its_best_levels(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    for (int64_t i = 0; i < 10; i++)
    {
        order(venue, 1, OME_SIDE_BUY, 100 - i, 1);
        order(venue, 1, OME_SIDE_SELL, 200 + i, 1);
    }
    drain(venue);
    const uint8_t data[] = {1, 0, 0, 0, 2};
    venue->frame_count = 0;
    subscription(venue, data, sizeof(data));
    drain(venue);
    CHECK(venue->message_counts[0] == 21);
    CHECK(ome_counter_get(&venue->counters[4]) == 0);
    order(venue, 1, OME_SIDE_SELL, 210, 1);
    drain(venue);
    venue->frame_count = 0;
    subscription(venue, data, sizeof(data));
    drain(venue);
    CHECK(venue->message_counts[0] == 21);
    CHECK(ome_counter_get(&venue->counters[4]) == 1);
    venue_free(venue);
}

/* A configuration outside its limits, memory that is too small or not aligned, are refused. */
static void a_bad_configuration_is_refused(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    const ome_feed_config_t good = feed_config(venue, 10);
    const uint64_t size_bytes = ome_feed_size_bytes(&good);
    uint8_t *memory = ome_memory_map(size_bytes + 1);
    ome_feed_t *feed;
    ome_feed_config_t bad = good;
    bad.limits.order_count_max = 0;
    CHECK(ome_feed_size_bytes(&bad) == 0);
    CHECK(ome_feed_init(&feed, memory, size_bytes, &bad) == OME_INVALID);
    bad = good;
    bad.snapshot_level_count_max = 0;
    CHECK(ome_feed_init(&feed, memory, size_bytes, &bad) == OME_INVALID);
    bad.snapshot_level_count_max = OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX + 1;
    CHECK(ome_feed_init(&feed, memory, size_bytes, &bad) == OME_INVALID);
    bad = good;
    bad.reader_index = 2;
    CHECK(ome_feed_init(&feed, memory, size_bytes, &bad) == OME_INVALID);
    bad = good;
    bad.event_fd = -1;
    CHECK(ome_feed_init(&feed, memory, size_bytes, &bad) == OME_INVALID);
    CHECK(ome_feed_init(&feed, memory + 1, size_bytes, &good) == OME_INVALID);
    CHECK(ome_feed_init(&feed, memory, size_bytes - 1, &good) == OME_NO_MEMORY);
    CHECK(ome_feed_init(&feed, memory, size_bytes, &good) == OME_OK);
    ome_memory_unmap(memory, size_bytes + 1);
    venue_free(venue);
}

/* Commands that say nothing leave numbers out, but never does a command come again: a feed that is told so stops, and publishes nothing made up. */
static void a_stream_that_goes_back_stops_the_feed(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    hear(venue);
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    order(venue, 1, OME_SIDE_BUY, 101, 1);
    drain(venue);
    const uint32_t frames_before = venue->frame_count;
    venue->event_streamed--;
    CHECK(stream_events(venue, UINT32_MAX) == 1);
    CHECK(ome_feed_run(venue->feed, LONG_MS) == OME_STOPPED);
    CHECK(ome_feed_do_work(venue->feed) == 0);
    CHECK(venue->frame_count == frames_before);
    venue_free(venue);
}

static void *publish_later(void *argument)
{
    venue_t *venue = argument;
    usleep(20000);
    CHECK(stream_events(venue, UINT32_MAX) == venue->event_count);
    return NULL;
}

static void *open_gate_later(void *argument)
{
    venue_t *venue = argument;
    usleep(20000);
    atomic_store_explicit(&venue->durable, UINT64_MAX, memory_order_release);
    ome_wait_notify(ome_stream_reader_wait(venue->stream, READER_INDEX));
    return NULL;
}

/* What comes after the last look at the stream and the gate, and before the feed has said that it sleeps, wakes nobody: it looks once more. */
static void run_does_not_sleep_when_the_gate_has_just_opened(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    hear(venue);
    open_instrument(venue, 1, 0);
    CHECK(stream_events(venue, UINT32_MAX) == 1);
    atomic_store_explicit(&venue->durable, 0, memory_order_relaxed);
    venue->gate_opens_when_asked = true;
    venue->closes_on_send = true;
    const uint64_t start_ns = ome_clock_monotonic_ns();
    CHECK(ome_feed_run(venue->feed, LONG_MS) == OME_STOPPED);
    CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
    venue_free(venue);
}

/* run sleeps while there is nothing to do, returns when its time is over, and is woken by a publication, by the gate and by the end of the socket. */
static void run_sleeps_and_is_woken(void)
{
    void *(*const wakers[])(void *) = {publish_later, open_gate_later};
    for (uint32_t i = 0; i < 2; i++)
    {
        venue_t *venue = venue_new(100, 100, 64, 10);
        uint64_t start_ns = ome_clock_monotonic_ns();
        CHECK(ome_feed_run(venue->feed, 30) == OME_OK);
        CHECK(ome_clock_monotonic_ns() - start_ns >= UINT64_C(30000000));
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK(ome_feed_run(venue->feed, 0) == OME_OK);
        hear(venue);
        open_instrument(venue, 1, 0);
        venue->closes_on_send = true;
        atomic_store_explicit(&venue->durable, i == 0 ? UINT64_MAX : 0, memory_order_release);
        if (i == 1)
        {
            CHECK(stream_events(venue, UINT32_MAX) == 1);
        }
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, wakers[i], venue) == 0);
        start_ns = ome_clock_monotonic_ns();
        CHECK(ome_feed_run(venue->feed, LONG_MS) == OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK(venue->frame_count == 2);
        CHECK(ome_feed_do_work(venue->feed) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        venue_free(venue);
    }
}

int main(void)
{
    seed = test_seed(20240611);
    RUN(books_built_from_frames_equal_the_engines_after_every_command);
    RUN(one_command_may_sweep_more_levels_than_fit_into_anything);
    RUN(a_batch_is_one_frame_for_each_channel_and_instrument);
    RUN(a_subscription_is_answered_for_each_topic_that_it_is_a_prefix_of);
    RUN(many_subscriptions_at_once_cost_one_snapshot);
    RUN(a_stream_that_always_ends_inside_a_command_starves_nobody);
    RUN(a_seeded_feed_goes_on_where_the_engine_stands);
    RUN(what_nobody_hears_is_counted);
    RUN(the_end_of_a_command_may_come_late);
    RUN(a_frame_that_is_not_taken_leaves_a_gap);
    RUN(a_snapshot_of_a_deep_book_has_its_best_levels);
    RUN(a_bad_configuration_is_refused);
    RUN(a_stream_that_goes_back_stops_the_feed);
    RUN(run_does_not_sleep_when_the_gate_has_just_opened);
    RUN(run_sleeps_and_is_woken);
    return 0;
}
