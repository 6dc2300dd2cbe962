/* The messages of a batch, gathered by channel and instrument, and sent at its end. */
#include "wire/ome_feed_state.h"

/* ---- frames ---- */

static void feed_count_publication(const ome_feed_t *feed, ome_publication_t publication, uint32_t message_count)
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
static uint32_t feed_finish_frame(const ome_feed_t *feed, uint32_t channel, uint32_t number, uint32_t message_count)
{
    const uint64_t topic = __builtin_bswap64((uint64_t)channel << 32 | number);
    memcpy(feed->frame, &topic, OME_TOPIC_SIZE);
    return OME_TOPIC_SIZE + message_count * OME_FEED_MESSAGE_SIZE;
}

/* Sends the first `message_count` messages of the frame buffer to all their subscribers. */
static void feed_send_frame(ome_feed_t *feed, uint32_t channel, uint32_t number, uint32_t message_count)
{
    const uint32_t size_bytes = feed_finish_frame(feed, channel, number, message_count);
    feed_count_publication(feed, ome_subscribers_publish(&feed->subscribers, channel, number, feed->frame, size_bytes), message_count);
}

void ome_feed_answer_frame(ome_feed_t *feed, uint32_t channel, uint32_t number, uint32_t message_count)
{
    const uint32_t size_bytes = feed_finish_frame(feed, channel, number, message_count);
    const ome_publication_t publication = ome_subscribers_answer(&feed->subscribers, channel, number, feed->frame, size_bytes);
    feed_count_publication(feed, publication, message_count);
    feed->snapshot_bytes -= (int64_t)size_bytes * (publication.sent_count + 1);
}

static void feed_send_queue(ome_feed_t *feed, uint32_t channel, uint32_t number, ome_feed_queue_t *queue)
{
    uint32_t count = 0;
    if (queue->count > 0 && !ome_subscribers_want(&feed->subscribers, channel, number))
    {
        *queue = (ome_feed_queue_t){0};
        return;
    }
    for (uint32_t index = queue->first; index != 0; index = feed->next_message[index])
    {
        memcpy(ome_feed_frame_message(feed, count), &feed->messages[index], OME_FEED_MESSAGE_SIZE);
        count++;
    }
    OME_ASSERT(count == queue->count);
    *queue = (ome_feed_queue_t){0};
    if (count > 0)
    {
        feed_send_frame(feed, channel, number, count);
    }
}

static void feed_send_messages(ome_feed_t *feed)
{
    if (feed->message_count == 0)
    {
        return;
    }
    for (uint32_t number = feed->touched_first; number != 0; number = feed->instruments[number].next_touched)
    {
        ome_feed_instrument_t *instrument = &feed->instruments[number];
        feed_send_queue(feed, OME_FEED_CHANNEL_TRADES, number, &instrument->trades);
        feed_send_queue(feed, OME_FEED_CHANNEL_LEVELS, number, &instrument->levels);
    }
    feed->message_count = 0;
}

void ome_feed_put_top(const ome_feed_t *feed, uint32_t number)
{
    const ome_feed_instrument_t *instrument = &feed->instruments[number];
    const ome_feed_top_t *top = &instrument->top;
    const ome_top_of_book_t message = {.sequence = OME_FEED_HEADER(OME_TEMPLATE_TOP_OF_BOOK, OME_BLOCK_TOP_OF_BOOK),
        .channel_sequence = instrument->top_sequence,
        .engine_sequence = feed->sequence,
        .timestamp_ns = feed->timestamp_ns,
        .bid_price = top->bid_price,
        .bid_quantity = top->bid_quantity,
        .ask_price = top->ask_price,
        .ask_quantity = top->ask_quantity,
        .instrument = number,
        .epoch = feed->config.epoch};
    memcpy(ome_feed_frame_message(feed, 0), &message, OME_FEED_MESSAGE_SIZE);
}

static void feed_publish_top(ome_feed_t *feed, uint32_t number)
{
    feed->instruments[number].top_sequence++;
    if (ome_subscribers_want(&feed->subscribers, OME_FEED_CHANNEL_TOP, number))
    {
        ome_feed_put_top(feed, number);
        feed_send_frame(feed, OME_FEED_CHANNEL_TOP, number, 1);
    }
}

static void feed_side_top(const ome_feed_book_t *book, uint32_t number, uint8_t side, int64_t *price, int64_t *quantity)
{
    const uint32_t level = ome_feed_book_best(book, number, side);
    *price = level != 0 ? book->ladder.levels[level].price : OME_NULL_VALUE;
    *quantity = level != 0 ? book->ladder.levels[level].quantity : 0;
}

ome_feed_top_t ome_feed_current_top(const ome_feed_t *feed, uint32_t number)
{
    ome_feed_top_t top;
    feed_side_top(&feed->book, number, OME_SIDE_BUY, &top.bid_price, &top.bid_quantity);
    feed_side_top(&feed->book, number, OME_SIDE_SELL, &top.ask_price, &top.ask_quantity);
    return top;
}

/* ---- what the events of a batch say ---- */

static ome_feed_instrument_t *feed_instrument_of(const ome_feed_t *feed, uint32_t number)
{
    OME_ASSERT(number >= 1);
    OME_ASSERT(number <= feed->instrument_count);
    return &feed->instruments[number];
}

static void feed_touch(ome_feed_t *feed, uint32_t number, ome_feed_instrument_t *instrument)
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
static ome_feed_message_t *feed_append(ome_feed_t *feed, ome_feed_queue_t *queue)
{
    if (feed->message_count == OME_FEED_MESSAGE_COUNT_MAX)
    {
        feed_send_messages(feed);
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

void ome_feed_print_trade(ome_feed_t *feed, const ome_event_t *event)
{
    ome_feed_instrument_t *instrument = feed_instrument_of(feed, event->instrument);
    feed->trade_count++;
    instrument->trade_sequence++;
    if (feed->subscribers.count == 0)
    {
        return;
    }
    feed_touch(feed, event->instrument, instrument);
    feed_append(feed, &instrument->trades)->trade =
        (ome_trade_print_t){.sequence = OME_FEED_HEADER(OME_TEMPLATE_TRADE_PRINT, OME_BLOCK_TRADE_PRINT),
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

ome_level_update_t ome_feed_level_update(const ome_feed_t *feed, const ome_level_t *level, uint64_t channel_sequence)
{
    return (ome_level_update_t){.sequence = OME_FEED_HEADER(OME_TEMPLATE_LEVEL_UPDATE, OME_BLOCK_LEVEL_UPDATE),
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
void ome_feed_end_command(ome_feed_t *feed)
{
    feed->in_command = false;
    feed->sequence = feed->command_sequence;
    ome_level_t level;
    while (ome_feed_book_take_change(&feed->book, &level))
    {
        ome_feed_instrument_t *instrument = feed_instrument_of(feed, level.instrument);
        feed_touch(feed, level.instrument, instrument);
        instrument->level_sequence++;
        if (feed->subscribers.count > 0)
        {
            feed_append(feed, &instrument->levels)->level = ome_feed_level_update(feed, &level, instrument->level_sequence);
        }
    }
}

void ome_feed_end_batch(ome_feed_t *feed)
{
    feed_send_messages(feed);
    for (uint32_t number = feed->touched_first; number != 0; number = feed->instruments[number].next_touched)
    {
        ome_feed_instrument_t *instrument = &feed->instruments[number];
        instrument->is_touched = false;
        const ome_feed_top_t top = ome_feed_current_top(feed, number);
        if (memcmp(&top, &instrument->top, sizeof(ome_feed_top_t)) != 0)
        {
            instrument->top = top;
            feed_publish_top(feed, number);
        }
    }
    feed->touched_first = 0;
    ome_counter_set(feed->config.counters.last_sequence, feed->sequence);
}
