/* Consumers of the market data feed: they build books from its frames, and check each frame. The venue that they check it against is in
 * feed_fixture.h. */
#ifndef FEED_CONSUMER_H
#define FEED_CONSUMER_H

#include <stdbool.h>
#include <string.h>

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
#define EPOCH 77u
#define MESSAGE_SIZE 80u
#define LONG_MS 20000u

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

static inline uint64_t hash_side(uint64_t hash, const ome_depth_t *levels, uint32_t count)
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

static inline uint64_t hash_market(const market_t *market)
{
    return hash_side(hash_side(1, market->sides[0].levels, market->sides[0].count), market->sides[1].levels, market->sides[1].count);
}

static inline void engine_moment(const ome_engine_t *engine, uint32_t instrument, moment_t *moment)
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

static inline uint64_t find_level(const side_t *side, uint8_t side_number, int64_t price)
{
    uint32_t i = 0;
    while (i < side->count && (side_number == OME_SIDE_BUY ? side->levels[i].price > price : side->levels[i].price < price))
    {
        i++;
    }
    return i;
}

static inline void set_level(market_t *market, const ome_level_update_t *update)
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

static inline void take_update(const venue_t *venue, market_t *market, const ome_level_update_t *update)
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

static inline void take_snapshot(const venue_t *venue, market_t *market, const uint8_t *messages, uint32_t count)
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

static inline void take_levels(const venue_t *venue, market_t *market, const uint8_t *messages, uint32_t count)
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

static inline void take_top(const venue_t *venue, market_t *market, const ome_top_of_book_t *message)
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

static inline void take_trade(const venue_t *venue, consumer_t *consumer, market_t *market, const ome_trade_print_t *print)
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

static inline void consumer_take(const venue_t *venue, consumer_t *consumer, const uint8_t *data, uint32_t count)
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
static inline void check_frame(const venue_t *venue, const uint8_t *data, uint32_t count)
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

#endif
