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
#include "commands/ome_apply.h"
#include "ome_venue_face.h"
#include "ome_test_market.h"
#include "wire/ome_feed.h"
#include "wire/ome_subscribers.h"

#define INSTRUMENT_COUNT 4u
#define COMMAND_COUNT_MAX 16384u
#define EVENT_COUNT_MAX 65536u
#define SPECIAL_COUNT_MAX 60u
#define LEVEL_COUNT_MAX 4096u /* of one side, in a consumer's book */
#define CONSUMER_COUNT_MAX 4u
#define PEER_COUNT 32u /* slots of connections; 0 is not used, the first are the consumers' */
#define LISTENER 8u /* slots of peers that are no consumers: what they get is counted, no more */
#define SUBSCRIPTION_COUNT_MAX 64u
#define FRAME_COUNT_MAX 256u
#define FRAME_SIZE_MAX (8u + (2 * LEVEL_COUNT_MAX + 1) * 80u)
#define READS_BYTES 65536u /* who has less waiting reads */
#define EPOCH 77u
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
    uint8_t prefix[OME_TOPIC_SIZE];
    uint32_t prefix_size_bytes;
    uint64_t trade_count;
    market_t markets[INSTRUMENT_COUNT + 1];
} consumer_t;

/* ---- the venue: engine, stream, feed, and a socket that is a table in memory ---- */

typedef struct
{
    consumer_t *consumer; /* NULL: nobody looks at what it gets */
    uint32_t generation;
    uint32_t queued_bytes;
    uint32_t frame_count;
    uint64_t message_count;
    bool queues; /* what it is sent waits, until the test takes it */
    bool refuses; /* its queue is full */
    bool is_admitted;
    bool is_ended;
} peer_t;

typedef struct
{
    uint64_t peer;
    ome_socket_kind_t kind;
    uint32_t size_bytes;
    uint8_t data[16];
} wish_t;

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
    ome_published_t published;
    ome_counter_t counters[8];

    ome_event_t *events; /* all that the engine said since the feed began */
    uint32_t event_count;
    uint32_t event_streamed;
    uint64_t first_trade_count;
    ome_event_t trades[EVENT_COUNT_MAX]; /* with the timestamp of their command in resting_order_id */
    uint32_t trade_count;
    moment_t history[COMMAND_COUNT_MAX + 1][INSTRUMENT_COUNT + 1]; /* after each command */
    uint64_t timestamps[COMMAND_COUNT_MAX + 1];

    peer_t peers[PEER_COUNT];
    wish_t wishes[SUBSCRIPTION_COUNT_MAX]; /* that the socket gives to the feed */
    uint32_t wish_count;
    uint32_t wish_read;

    uint8_t frame[FRAME_SIZE_MAX]; /* the last that was sent */
    uint32_t frame_size_bytes;
    uint64_t frame_number; /* by the feed's own count; UINT64_MAX: none */
    uint32_t frame_peers; /* a bit for each that got it */
    uint64_t snapshot_cost_bytes; /* of snapshots and tops that were asked for: once for making them and once for each who got them */

    uint64_t topics[FRAME_COUNT_MAX]; /* of the last frames sent, each once */
    uint32_t message_counts[FRAME_COUNT_MAX];
    uint32_t frame_count;
    uint64_t message_count;
    uint64_t snapshot_count;
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
        CHECK_EQUAL(update->order_count, 0);
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
    CHECK_EQUAL(update->timestamp_ns, venue->timestamps[update->engine_sequence]);
    if (update->engine_sequence != market->engine_sequence)
    {
        /* All of the commands before have been told. */
        CHECK(update->engine_sequence > market->engine_sequence);
        CHECK_EQUAL(hash_market(market), venue->history[update->engine_sequence - 1][update->instrument].book_hash);
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
    CHECK_EQUAL(snapshot->level_count, count - 1);
    CHECK_EQUAL(snapshot->timestamp_ns, venue->timestamps[snapshot->engine_sequence]);
    CHECK_EQUAL(snapshot->bids_left_out, 0);
    CHECK_EQUAL(snapshot->asks_left_out, 0);
    const uint64_t hash_before = hash_market(market);
    market->sides[0].count = 0;
    market->sides[1].count = 0;
    for (uint32_t i = 1; i < count; i++)
    {
        const ome_level_update_t *update = (const ome_level_update_t *)(messages + (size_t)i * MESSAGE_SIZE);
        CHECK_EQUAL(update->channel_sequence, 0);
        CHECK_EQUAL(update->engine_sequence, snapshot->engine_sequence);
        side_t *side = &market->sides[update->side - 1];
        CHECK_EQUAL(find_level(side, update->side, update->price), side->count); /* best first */
        set_level(market, update);
    }
    CHECK_EQUAL(hash_market(market), venue->history[snapshot->engine_sequence][snapshot->instrument].book_hash);
    if (market->has_levels)
    {
        CHECK_EQUAL(market->level_sequence, snapshot->channel_sequence); /* nothing new for who is in step */
        CHECK_EQUAL(hash_before, hash_market(market));
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
        CHECK_EQUAL(update->channel_sequence, market->level_sequence + 1);
        market->level_sequence = update->channel_sequence;
        take_update(venue, market, update);
    }
}

static void take_top(const venue_t *venue, market_t *market, const ome_top_of_book_t *message)
{
    const top_t before = market->top;
    const bool is_answer = market->has_top && message->channel_sequence == market->top_sequence; /* to who asked again */
    CHECK(!market->has_top || is_answer || message->channel_sequence == market->top_sequence + 1);
    market->has_top = true;
    market->top_sequence = message->channel_sequence;
    market->top = (top_t){.bid_price = message->bid_price,
        .bid_quantity = message->bid_quantity,
        .ask_price = message->ask_price,
        .ask_quantity = message->ask_quantity};
    CHECK(!is_answer || memcmp(&before, &market->top, sizeof(top_t)) == 0);
    CHECK_EQUAL(message->timestamp_ns, venue->timestamps[message->engine_sequence]);
    CHECK_BYTES_EQUAL(&market->top, &venue->history[message->engine_sequence][message->instrument].top, sizeof(top_t));
}

static void take_trade(const venue_t *venue, consumer_t *consumer, market_t *market, const ome_trade_print_t *print)
{
    CHECK(market->trade_sequence == 0 || print->channel_sequence == market->trade_sequence + 1);
    market->trade_sequence = print->channel_sequence;
    market->trade_sequence = print->channel_sequence;
    CHECK(print->trade_id > venue->first_trade_count);
    CHECK(print->trade_id <= venue->first_trade_count + venue->trade_count);
    const ome_event_t *trade = &venue->trades[print->trade_id - venue->first_trade_count - 1];
    CHECK_EQUAL(print->engine_sequence, trade->sequence);
    CHECK_EQUAL(print->timestamp_ns, trade->resting_order_id);
    CHECK_EQUAL(print->price, trade->price);
    CHECK_EQUAL(print->quantity, trade->quantity);
    CHECK_EQUAL(print->instrument, trade->instrument);
    CHECK_EQUAL(print->side, trade->side);
    consumer->trade_count++;
}

static void consumer_take(const venue_t *venue, consumer_t *consumer, const uint8_t *data, uint32_t count)
{
    CHECK_BYTES_EQUAL(data, consumer->prefix, consumer->prefix_size_bytes); /* nobody gets what it did not ask for */
    const uint8_t *messages = data + OME_TOPIC_SIZE;
    market_t *market = &consumer->markets[data[7]];
    switch (data[3])
    {
    case OME_FEED_CHANNEL_TOP:
        CHECK_EQUAL(count, 1);
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
    const uint16_t first_template = ((const ome_message_header_t *)(data + OME_TOPIC_SIZE))->template_id;
    for (uint32_t i = 0; i < count; i++)
    {
        const uint8_t *message = data + OME_TOPIC_SIZE + (size_t)i * MESSAGE_SIZE;
        const ome_message_header_t *header = (const ome_message_header_t *)message;
        CHECK_EQUAL(header->schema_id, OME_SCHEMA_ID);
        CHECK_EQUAL(header->version, OME_SCHEMA_VERSION);
        CHECK_EQUAL(header->block_length, MESSAGE_SIZE - OME_MESSAGE_HEADER_SIZE);
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
            CHECK_EQUAL(data[3], OME_FEED_CHANNEL_LEVELS);
            expected = i == 0 && first_template == OME_TEMPLATE_LEVEL_SNAPSHOT ? OME_TEMPLATE_LEVEL_SNAPSHOT : OME_TEMPLATE_LEVEL_UPDATE;
            offset = expected == OME_TEMPLATE_LEVEL_SNAPSHOT ? offsetof(ome_level_snapshot_t, instrument) : offset;
            break;
        }
        memcpy(numbers, message + offset, sizeof(numbers));
        CHECK_EQUAL(header->template_id, expected);
        CHECK_EQUAL(numbers[0], data[7]);
        CHECK_EQUAL(numbers[1], EPOCH);
        CHECK(engine_sequence <= ome_published_limit(&venue->published));
    }
}

static uint64_t peer_number(const venue_t *venue, uint32_t slot)
{
    return (uint64_t)(venue->peers[slot].generation + 1) << 32 | slot;
}

/* The connection of that number, if it is the one that has the slot now. */
static peer_t *peer_at(venue_t *venue, uint64_t number)
{
    const uint32_t slot = (uint32_t)number;
    CHECK(slot >= 1 && slot < PEER_COUNT);
    return number == peer_number(venue, slot) && !venue->peers[slot].is_ended ? &venue->peers[slot] : NULL;
}

/* A frame that the feed has not counted yet goes to each peer once; where it is the first peer, the frame is kept. */
static void keep_frame(venue_t *venue, uint32_t slot, const uint8_t *data, uint32_t size_bytes)
{
    const ome_message_header_t *header = (const ome_message_header_t *)(data + OME_TOPIC_SIZE);
    const bool is_snapshot = header->template_id == OME_TEMPLATE_LEVEL_SNAPSHOT;
    const uint64_t number = ome_counter_get(&venue->counters[0]);
    if (number == venue->frame_number)
    {
        CHECK_EQUAL(size_bytes, venue->frame_size_bytes);
        CHECK_BYTES_EQUAL(data, venue->frame, size_bytes);
        CHECK_EQUAL(venue->frame_peers & 1u << slot, 0);
        venue->frame_peers |= 1u << slot;
        venue->snapshot_cost_bytes += is_snapshot ? size_bytes : 0;
        return;
    }
    CHECK(size_bytes <= FRAME_SIZE_MAX);
    memcpy(venue->frame, data, size_bytes);
    venue->frame_size_bytes = size_bytes;
    venue->frame_number = number;
    venue->frame_peers = 1u << slot;
    const uint32_t count = (size_bytes - OME_TOPIC_SIZE) / MESSAGE_SIZE;
    venue->topics[venue->frame_count % FRAME_COUNT_MAX] = (uint64_t)data[3] << 32 | data[7];
    venue->message_counts[venue->frame_count % FRAME_COUNT_MAX] = count;
    venue->frame_count++;
    venue->message_count += count;
    venue->snapshot_count += is_snapshot;
    venue->snapshot_cost_bytes += is_snapshot ? 2 * size_bytes : 0;
}

static ome_status_t socket_send(void *context, uint64_t number, const uint8_t *data, uint32_t data_size_bytes)
{
    venue_t *venue = context;
    peer_t *peer = peer_at(venue, number);
    CHECK(peer != NULL); /* nothing is sent to who is gone */
    CHECK(data_size_bytes > OME_TOPIC_SIZE);
    CHECK_EQUAL((data_size_bytes - OME_TOPIC_SIZE) % MESSAGE_SIZE, 0);
    const uint32_t count = (data_size_bytes - OME_TOPIC_SIZE) / MESSAGE_SIZE;
    CHECK_EQUAL(data[0], 0);
    CHECK_EQUAL(data[1], 0);
    CHECK_EQUAL(data[2], 0);
    CHECK_EQUAL(data[4], 0);
    CHECK_EQUAL(data[5], 0);
    CHECK_EQUAL(data[6], 0);
    CHECK(data[7] >= 1 && data[7] <= INSTRUMENT_COUNT);
    check_frame(venue, data, count);
    if (peer->refuses)
    {
        return OME_FULL;
    }
    keep_frame(venue, (uint32_t)number, data, data_size_bytes);
    peer->frame_count++;
    peer->message_count += count;
    peer->queued_bytes += peer->queues ? data_size_bytes : 0;
    if (peer->consumer != NULL)
    {
        consumer_take(venue, peer->consumer, data, count);
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
    if (venue->wish_read == venue->wish_count)
    {
        return OME_EMPTY;
    }
    const wish_t *wish = &venue->wishes[venue->wish_read++ % SUBSCRIPTION_COUNT_MAX];
    *message = (ome_socket_message_t){.peer = wish->peer, .data = wish->data, .data_size_bytes = wish->size_bytes, .kind = wish->kind};
    return OME_OK;
}

static uint32_t socket_queued(void *context, uint64_t number)
{
    const peer_t *peer = peer_at(context, number);
    return peer != NULL ? peer->queued_bytes : 0;
}

static ome_status_t socket_admit(void *context, uint64_t number, int is_admitted)
{
    peer_t *peer = peer_at(context, number);
    CHECK(peer != NULL);
    peer->is_admitted = is_admitted != 0;
    return OME_OK;
}

static void socket_end(void *context, uint64_t number, const uint8_t *data, uint32_t data_size_bytes)
{
    peer_t *peer = peer_at(context, number);
    CHECK(peer != NULL);
    CHECK(data == NULL);
    CHECK_EQUAL(data_size_bytes, 0);
    peer->is_ended = true;
}

static ome_status_t socket_wait(void *context, int event_fd, uint32_t timeout_ms)
{
    const venue_t *venue = context;
    CHECK_EQUAL(event_fd, venue->event_fd);
    struct pollfd item = {.fd = event_fd, .events = POLLIN};
    if (poll(&item, 1, (int)timeout_ms) == 1)
    {
        uint64_t count;
        CHECK_EQUAL(read(event_fd, &count, sizeof(count)), sizeof(count));
    }
    return venue->is_closed ? OME_STOPPED : OME_OK;
}

/* Commands up to this one may be published. */
static void open_gate(venue_t *venue, uint64_t sequence)
{
    ome_published_advance(&venue->published, OME_GATE_DURABLE, sequence);
}

/* ---- running a venue by hand ---- */

static ome_feed_config_t feed_config(venue_t *venue, uint32_t snapshot_level_count_max)
{
    ome_reader_t reader;
    CHECK(ome_published_find(&venue->published, "feed", &reader));
    return (ome_feed_config_t){.limits = venue->limits,
        .snapshot_level_count_max = snapshot_level_count_max,
        .epoch = EPOCH,
        .reader = reader,
        .connection_slot_max = PEER_COUNT - 1,
        .event_fd = venue->event_fd,
        .socket = &venue->socket,
        .counters = {.frames_sent = &venue->counters[0],
            .messages_sent = &venue->counters[1],
            .frames_dropped = &venue->counters[2],
            .snapshots_sent = &venue->counters[3],
            .snapshots_cut = &venue->counters[4],
            .last_sequence = &venue->counters[5],
            .subscriptions = &venue->counters[6],
            .subscriptions_refused = &venue->counters[7]}};
}

static uint32_t instrument_limit = INSTRUMENT_COUNT;

static venue_t *venue_new(uint32_t order_count_max, uint32_t level_count_max, uint32_t slot_count, uint32_t snapshot_level_count_max)
{
    venue_t *venue = ome_memory_map(sizeof(venue_t));
    CHECK(venue != NULL);
    venue->limits = (ome_limits_t){.order_count_max = order_count_max,
        .level_count_max = level_count_max,
        .instrument_count_max = instrument_limit,
        .session_count_max = 1,
        .special_count_max = SPECIAL_COUNT_MAX};
    CHECK_EQUAL(ome_engine_create(&venue->limits, &venue->engine), OME_OK);
    const ome_stream_config_t stream_config = {.slot_count = slot_count, .reader_count = 2, .wait_strategy = OME_WAIT_BLOCK};
    CHECK_EQUAL(ome_stream_init(
                    &venue->stream, ome_memory_map(ome_stream_size_bytes(slot_count)), ome_stream_size_bytes(slot_count), &stream_config),
        OME_OK);
    ome_reader_t reader;
    ome_published_init(&venue->published, venue->stream, 1u << OME_GATE_DURABLE, UINT64_MAX);
    CHECK_EQUAL(ome_published_register(&venue->published, "another", false, &reader), OME_OK);
    ome_reader_detach(&reader);
    CHECK_EQUAL(ome_published_register(&venue->published, "feed", true, &reader), OME_OK);
    venue->event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(venue->event_fd >= 0);
    venue->socket = (ome_socket_t){.context = venue,
        .receive = socket_receive,
        .send = socket_send,
        .queued = socket_queued,
        .admit = socket_admit,
        .end = socket_end,
        .wait = socket_wait};
    venue->frame_number = UINT64_MAX;
    venue->events = ome_memory_map(EVENT_COUNT_MAX * sizeof(ome_event_t));
    for (uint32_t i = 1; i <= INSTRUMENT_COUNT; i++)
    {
        engine_moment(venue->engine, i, &venue->history[0][i]);
    }
    const ome_feed_config_t config = feed_config(venue, snapshot_level_count_max);
    venue->feed_size_bytes = ome_feed_size_bytes(&config);
    CHECK_EQUAL(ome_feed_init(&venue->feed, ome_memory_map(venue->feed_size_bytes), venue->feed_size_bytes, &config), OME_OK);
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
        CHECK_EQUAL(event->sequence, sequence);
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
    CHECK_EQUAL(venue->event_streamed, venue->event_count);
    CHECK_EQUAL(ome_counter_get(&venue->counters[5]), venue->events[venue->event_count - 1].sequence);
}

static void say(venue_t *venue, uint32_t slot, ome_socket_kind_t kind, const uint8_t *data, uint32_t size_bytes)
{
    CHECK(venue->wish_count - venue->wish_read < SUBSCRIPTION_COUNT_MAX);
    wish_t *wish = &venue->wishes[venue->wish_count++ % SUBSCRIPTION_COUNT_MAX];
    *wish = (wish_t){.peer = peer_number(venue, slot), .kind = kind, .size_bytes = size_bytes};
    CHECK(size_bytes <= sizeof(wish->data));
    for (uint32_t i = 0; i < size_bytes; i++)
    {
        wish->data[i] = data[i];
    }
}

/* The peer of a slot subscribes to a prefix. */
static void subscribe(venue_t *venue, uint32_t slot, const uint8_t *prefix, uint32_t size_bytes)
{
    say(venue, slot, OME_SOCKET_SUBSCRIBE, prefix, size_bytes);
}

/* A topic, or where `size_bytes` is 4 a channel. */
static void subscribe_topic(venue_t *venue, uint32_t slot, uint8_t channel, uint8_t instrument, uint32_t size_bytes)
{
    const uint8_t topic[OME_TOPIC_SIZE] = {0, 0, 0, channel, 0, 0, 0, instrument};
    subscribe(venue, slot, topic, size_bytes);
}

/* A new consumer of all topics with this prefix. */
static consumer_t *join(venue_t *venue, const uint8_t *prefix, uint32_t prefix_size_bytes)
{
    consumer_t *consumer = ome_memory_map(sizeof(consumer_t));
    for (uint32_t i = 0; i < prefix_size_bytes; i++)
    {
        consumer->prefix[i] = prefix[i];
    }
    consumer->prefix_size_bytes = prefix_size_bytes;
    CHECK(venue->consumer_count < CONSUMER_COUNT_MAX);
    venue->consumers[venue->consumer_count++] = consumer;
    venue->peers[venue->consumer_count].consumer = consumer;
    subscribe(venue, venue->consumer_count, prefix, prefix_size_bytes);
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
            CHECK_EQUAL(hash_market(market), moment->book_hash);
        }
        if (market->has_top)
        {
            CHECK_BYTES_EQUAL(&market->top, &moment->top, sizeof(top_t));
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
    CHECK_EQUAL(ome_counter_get(&venue->counters[0]), venue->frame_count);
    CHECK_EQUAL(ome_counter_get(&venue->counters[1]), venue->message_count);
    CHECK_EQUAL(ome_counter_get(&venue->counters[3]), venue->snapshot_count);
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
    char symbol[OME_NAME_SIZE + 1] = {0};
    (void)snprintf(symbol, sizeof(symbol), "I%u", command.instrument);
    memcpy(command.symbol, symbol, OME_NAME_SIZE);
    apply(venue, &command);
    CHECK_EQUAL(venue->events[venue->event_count - 1].kind, OME_EVENT_KIND_DEFINED);
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

/* Somebody hears the feed, all of it. */
static void hear(venue_t *venue)
{
    subscribe(venue, LISTENER, NULL, 0);
}

/* Somebody hears trades, which have no state: nothing is asked. */
static void hear_trades(venue_t *venue)
{
    subscribe_topic(venue, LISTENER, OME_FEED_CHANNEL_TRADES, 0, 4);
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
    /* The best levels as they were when the batch began: no top. */
    venue->frame_count = 0;
    order(venue, 1, OME_SIDE_SELL, 100, 5);
    order(venue, 1, OME_SIDE_BUY, 100, 5);
    drain(venue);
    CHECK_EQUAL(venue->frame_count, 2);
    CHECK_EQUAL(venue->topics[0], UINT64_C(3) << 32 | 1);
    CHECK_EQUAL(venue->topics[1], UINT64_C(2) << 32 | 1);
    venue_free(venue);
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

/* The current state is sent for each topic that a subscription is a prefix of; what cannot be a topic is refused, and what is no subscription is ignored. */
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

/* ---- who is answered, and when ---- */

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
static void an_answer_goes_to_who_asked(void)
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
static void who_does_not_read_is_answered_later(void)
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
static void who_reads_slowly_gets_every_snapshot(void)
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

/* Whatever is asked, the bytes of snapshots made and sent are no more than 2 MB and 32 kB a millisecond, but for the last one; and they do go on. */
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

/* Subscriptions to everything, of which each looks at every instrument, do not keep the feed from its events: after a few of them it is their turn. */
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
static void who_is_gone_gets_nothing(void)
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
static void who_cancels_everything_is_nobody_again(void)
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
static void who_asks_for_too_much_is_ended(void)
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

/* A book deeper than a snapshot may be is cut after its best levels, which is counted, and the snapshot says how many levels of each side it lacks. */
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
    CHECK_EQUAL(ome_feed_size_bytes(&bad), 0);
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad = good;
    bad.snapshot_level_count_max = 0;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad.snapshot_level_count_max = OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX + 1;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad = good;
    bad.reader.published = NULL;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad = good;
    bad.event_fd = -1;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    CHECK_EQUAL(ome_feed_init(&feed, memory + 1, size_bytes, &good), OME_INVALID);
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes - 1, &good), OME_NO_MEMORY);
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &good), OME_OK);
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
    CHECK_EQUAL(stream_events(venue, UINT32_MAX), 1);
    CHECK_EQUAL(ome_feed_run(venue->feed, LONG_MS), OME_STOPPED);
    CHECK_EQUAL(ome_feed_do_work(venue->feed), 0);
    CHECK_EQUAL(venue->frame_count, frames_before);
    venue_free(venue);
}

static void *publish_later(void *argument)
{
    venue_t *venue = argument;
    usleep(20000);
    CHECK_EQUAL(stream_events(venue, UINT32_MAX), venue->event_count);
    return NULL;
}

static void *open_gate_later(void *argument)
{
    venue_t *venue = argument;
    usleep(20000);
    open_gate(venue, UINT64_MAX);
    return NULL;
}

static void *open_gate_at_once(void *argument)
{
    open_gate(argument, UINT64_MAX);
    return NULL;
}

/* Wherever the feed is when the gate opens, it does not sleep through that: in some of these rounds it has just looked, and in some it has
 * not yet said that it sleeps. */
static void run_does_not_sleep_when_the_gate_has_just_opened(void)
{
    for (uint32_t round = 0; round < 50; round++)
    {
        venue_t *venue = venue_new(100, 100, 64, 10);
        hear(venue);
        open_instrument(venue, 1, 0);
        CHECK_EQUAL(stream_events(venue, UINT32_MAX), 1);
        open_gate(venue, 0);
        venue->closes_on_send = true;
        pthread_t thread;
        CHECK_EQUAL(pthread_create(&thread, NULL, open_gate_at_once, venue), 0);
        const uint64_t start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_feed_run(venue->feed, LONG_MS), OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
        venue_free(venue);
    }
}

/* run sleeps while there is nothing to do, returns when its time is over, and is woken by a publication, by the gate and by the end of the socket. */
static void run_sleeps_and_is_woken(void)
{
    void *(*const wakers[])(void *) = {publish_later, open_gate_later};
    for (uint32_t i = 0; i < 2; i++)
    {
        venue_t *venue = venue_new(100, 100, 64, 10);
        uint64_t start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_feed_run(venue->feed, 30), OME_OK);
        CHECK(ome_clock_monotonic_ns() - start_ns >= UINT64_C(30000000));
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK_EQUAL(ome_feed_run(venue->feed, 0), OME_OK);
        hear(venue);
        open_instrument(venue, 1, 0);
        venue->closes_on_send = true;
        open_gate(venue, i == 0 ? UINT64_MAX : 0);
        if (i == 1)
        {
            CHECK_EQUAL(stream_events(venue, UINT32_MAX), 1);
        }
        pthread_t thread;
        CHECK_EQUAL(pthread_create(&thread, NULL, wakers[i], venue), 0);
        start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_feed_run(venue->feed, LONG_MS), OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK_EQUAL(venue->frame_count, 2);
        CHECK_EQUAL(ome_feed_do_work(venue->feed), 0);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
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
    RUN(an_answer_goes_to_who_asked);
    RUN(who_does_not_read_is_answered_later);
    RUN(who_reads_slowly_gets_every_snapshot);
    RUN(snapshots_are_made_at_a_bounded_rate);
    RUN(subscriptions_to_everything_do_not_hold_up_the_feed);
    RUN(who_is_gone_gets_nothing);
    RUN(who_cancels_everything_is_nobody_again);
    RUN(who_asks_for_too_much_is_ended);
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
