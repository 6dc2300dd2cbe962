/* What the tests of the market data feed share: a venue of a real engine, a stream, a feed and a socket that is a table
 * in memory. Consumers are in feed_consumer.h. */
#ifndef FEED_FIXTURE_H
#define FEED_FIXTURE_H

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ome_memory.h"
#include "commands/ome_apply.h"
#include "feed_consumer.h"

/* ---- a socket that is a table in memory ---- */

static inline uint64_t peer_number(const venue_t *venue, uint32_t slot)
{
    return (uint64_t)(venue->peers[slot].generation + 1) << 32 | slot;
}

/* The connection of that number, if it is the one that has the slot now. */
static inline peer_t *peer_at(venue_t *venue, uint64_t number)
{
    const uint32_t slot = (uint32_t)number;
    CHECK(slot >= 1 && slot < PEER_COUNT);
    return number == peer_number(venue, slot) && !venue->peers[slot].is_ended ? &venue->peers[slot] : NULL;
}

/* A frame that the feed has not counted yet goes to each peer once; where it is the first peer, the frame is kept. */
static inline void keep_frame(venue_t *venue, uint32_t slot, const uint8_t *data, uint32_t size_bytes)
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

static inline ome_status_t socket_send(void *context, uint64_t number, const uint8_t *data, uint32_t data_size_bytes)
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

static inline ome_status_t socket_receive(void *context, ome_socket_message_t *message)
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

static inline uint32_t socket_queued(void *context, uint64_t number)
{
    const peer_t *peer = peer_at(context, number);
    return peer != NULL ? peer->queued_bytes : 0;
}

static inline uint32_t socket_key(void *context, uint64_t peer)
{
    (void)context;
    (void)peer;
    return 0;
}

static inline ome_status_t socket_admit(void *context, uint64_t number, int is_admitted)
{
    peer_t *peer = peer_at(context, number);
    CHECK(peer != NULL);
    peer->is_admitted = is_admitted != 0;
    return OME_OK;
}

static inline void socket_end(void *context, uint64_t number, const uint8_t *data, uint32_t data_size_bytes)
{
    peer_t *peer = peer_at(context, number);
    CHECK(peer != NULL);
    CHECK(data == NULL);
    CHECK_EQUAL(data_size_bytes, 0);
    peer->is_ended = true;
}

static inline ome_status_t socket_wait(void *context, int event_fd, uint32_t timeout_ms)
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
static inline void open_gate(venue_t *venue, uint64_t sequence)
{
    ome_published_advance(&venue->published, OME_GATE_DURABLE, sequence);
}

/* ---- running a venue by hand ---- */

static inline ome_feed_config_t feed_config(venue_t *venue, uint32_t snapshot_level_count_max)
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

static inline venue_t *venue_new(uint32_t order_count_max, uint32_t level_count_max, uint32_t slot_count, uint32_t snapshot_level_count_max)
{
    venue_t *venue = ome_memory_map(sizeof(venue_t));
    CHECK(venue != NULL);
    venue->limits = (ome_limits_t){.order_count_max = order_count_max,
        .level_count_max = level_count_max,
        .instrument_count_max = instrument_limit,
        .session_count_max = 1,
        .special_count_max = SPECIAL_COUNT_MAX,
        .rules_version = OME_RULES_VERSION};
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
        .key = socket_key,
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

static inline void consumer_free(consumer_t *consumer)
{
    ome_memory_unmap(consumer, sizeof(consumer_t));
}

static inline void venue_free(venue_t *venue)
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

static inline void no_room(ome_sink_t *sink)
{
    (void)sink;
    CHECK(false);
}

/* Applies a command; its events wait to be put into the stream. */
static inline void apply(venue_t *venue, const ome_command_t *command)
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
static inline bool ends_with_a_command(const venue_t *venue)
{
    const ome_event_t *next = &venue->events[venue->event_streamed];
    return venue->event_streamed == venue->event_count || next[0].sequence != next[-1].sequence;
}

/* Puts up to `count_max` events into the stream. */
static inline uint32_t stream_events(venue_t *venue, uint32_t count_max)
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

static inline void drain(venue_t *venue)
{
    while (stream_events(venue, UINT32_MAX) + ome_feed_do_work(venue->feed) > 0)
    {
    }
    CHECK_EQUAL(venue->event_streamed, venue->event_count);
    CHECK_EQUAL(ome_counter_get(&venue->counters[5]), venue->events[venue->event_count - 1].sequence);
}

static inline void say(venue_t *venue, uint32_t slot, ome_socket_kind_t kind, const uint8_t *data, uint32_t size_bytes)
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
static inline void subscribe(venue_t *venue, uint32_t slot, const uint8_t *prefix, uint32_t size_bytes)
{
    say(venue, slot, OME_SOCKET_SUBSCRIBE, prefix, size_bytes);
}

/* A topic, or where `size_bytes` is 4 a channel. */
static inline void subscribe_topic(venue_t *venue, uint32_t slot, uint8_t channel, uint8_t instrument, uint32_t size_bytes)
{
    const uint8_t topic[OME_TOPIC_SIZE] = {0, 0, 0, channel, 0, 0, 0, instrument};
    subscribe(venue, slot, topic, size_bytes);
}

/* A new consumer of all topics with this prefix. */
static inline consumer_t *join(venue_t *venue, const uint8_t *prefix, uint32_t prefix_size_bytes)
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
static inline void check_consumer(const venue_t *venue, const consumer_t *consumer)
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

static inline void check_consumers(const venue_t *venue)
{
    for (uint32_t i = 0; i < venue->consumer_count; i++)
    {
        check_consumer(venue, venue->consumers[i]);
    }
}

static inline void check_counters(const venue_t *venue)
{
    CHECK_EQUAL(ome_counter_get(&venue->counters[0]), venue->frame_count);
    CHECK_EQUAL(ome_counter_get(&venue->counters[1]), venue->message_count);
    CHECK_EQUAL(ome_counter_get(&venue->counters[3]), venue->snapshot_count);
}

/* ---- commands ---- */

static inline uint64_t next_time(const venue_t *venue)
{
    return UINT64_C(1700000000000000000) + venue->engine->sequence * 10;
}

static inline void open_instrument(venue_t *venue, int64_t tick, uint16_t flags)
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

static inline ome_command_t new_order(const venue_t *venue, uint32_t instrument, uint8_t side, int64_t price, int64_t quantity)
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

static inline void order(venue_t *venue, uint32_t instrument, uint8_t side, int64_t price, int64_t quantity)
{
    const ome_command_t command = new_order(venue, instrument, side, price, quantity);
    apply(venue, &command);
}

/* ---- a listener to everything ---- */

/* Somebody hears the feed, all of it. */
static inline void hear(venue_t *venue)
{
    subscribe(venue, LISTENER, NULL, 0);
}

#endif
