/* Set-up of the feed, reading, and running. */
#include "wire/ome_feed.h"

#include "wire/ome_feed_state.h"

/* ---- set-up ---- */

static uint64_t feed_frame_size_max(const ome_feed_config_t *config)
{
    const uint64_t level_count = 2 * (uint64_t)ome_feed_min(config->snapshot_level_count_max, config->limits.level_count_max);
    const uint64_t message_count = level_count + 1 > OME_FEED_MESSAGE_COUNT_MAX ? level_count + 1 : OME_FEED_MESSAGE_COUNT_MAX;
    return OME_TOPIC_SIZE + message_count * OME_FEED_MESSAGE_SIZE;
}

static void feed_lay_out(ome_feed_t *feed, ome_arena_t *arena, const ome_feed_config_t *config)
{
    ome_feed_book_init(&feed->book, arena, &config->limits);
    ome_subscribers_init(&feed->subscribers, arena, config->socket, OME_FEED_CHANNEL_COUNT, config->limits.instrument_count_max,
        config->connection_slot_max);
    feed->instruments = ome_arena_take(arena, ((uint64_t)config->limits.instrument_count_max + 1) * sizeof(ome_feed_instrument_t));
    feed->messages = ome_arena_take(arena, (OME_FEED_MESSAGE_COUNT_MAX + 1) * sizeof(ome_feed_message_t));
    feed->next_message = ome_arena_take(arena, (OME_FEED_MESSAGE_COUNT_MAX + 1) * sizeof(uint32_t));
    feed->frame = ome_arena_take(arena, feed_frame_size_max(config));
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
    feed_lay_out(&feed, &arena, config);
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
    feed_lay_out(made, &arena, config);
    *feed = made;
    return ome_wait_set_event_fd(ome_reader_wait(&config->reader), config->event_fd);
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
        feed->instruments[number].top = ome_feed_current_top(feed, number);
    }
    feed->instrument_count = engine->instrument_count;
    feed->sequence = engine->sequence;
    feed->command_sequence = engine->sequence;
    feed->timestamp_ns = engine->time_ns;
    feed->trade_count = engine->trade_count;
    ome_counter_set(feed->config.counters.last_sequence, feed->sequence);
    return OME_OK;
}

/* ---- reading ---- */

/* Follows an event of the command that is being read. */
static void feed_read_event(ome_feed_t *feed, const ome_event_t *event)
{
    if (event->kind == OME_EVENT_KIND_TRADE)
    {
        ome_feed_print_trade(feed, event);
    }
    else if (event->kind != OME_EVENT_KIND_PREVENTED) /* which has no time, either */
    {
        feed->timestamp_ns = event->timestamp_ns;
    }
    if (event->kind == OME_EVENT_KIND_DEFINED && event->command_kind == OME_COMMAND_KIND_DEFINE_INSTRUMENT)
    {
        ome_feed_define_instrument(feed, event->instrument);
    }
    ome_feed_book_apply(&feed->book, event);
}

/* Returns how much was done. When the events end inside a command the batch stays open, and goes on with the rest of
 * that command and no further. */
static uint32_t feed_read_batch(ome_feed_t *feed)
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
            ome_feed_end_command(feed);
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
        feed_read_event(feed, &events[count]);
    }
    if (count > 0)
    {
        ome_reader_advance(&feed->config.reader, count);
    }
    if (feed->in_command && ome_reader_is_past(&feed->config.reader, feed->command_sequence))
    {
        ome_feed_end_command(feed);
    }
    const bool has_ended = !feed->in_command && (count > 0 || was_open);
    if (has_ended)
    {
        ome_feed_end_batch(feed);
    }
    return count + has_ended;
}

uint32_t ome_feed_do_work(ome_feed_t *feed)
{
    uint32_t work = 0;
    if (!feed->is_stopped)
    {
        work = ome_feed_receive_subscriptions(feed);
    }
    if (!feed->is_stopped && !feed->in_command)
    {
        work += ome_feed_answer_wanted(feed);
    }
    if (!feed->is_stopped)
    {
        work += feed_read_batch(feed);
    }
    return work;
}

/* ---- running ---- */

static bool feed_has_event(const ome_feed_t *feed)
{
    const ome_reader_t *reader = &feed->config.reader;
    /* Inside a command, the rest of it or its end. */
    return ome_reader_has_event(reader) || (feed->in_command && ome_reader_is_past(reader, feed->command_sequence));
}

static void feed_sleep(ome_feed_t *feed, uint32_t timeout_ms)
{
    const ome_socket_t *socket = feed->config.socket;
    ome_wait_t *wait = ome_reader_wait(&feed->config.reader);
    ome_wait_prepare(wait);
    /* Checked again, because from now on a publisher or an opener of the gate would wake this thread. */
    if (!feed_has_event(feed))
    {
        feed->is_stopped = socket->wait(socket->context, feed->config.event_fd, timeout_ms) == OME_STOPPED;
    }
    ome_wait_cancel(wait);
}

/* After how long there may be something to send without an event. */
static uint64_t feed_more_ns(const ome_feed_t *feed, uint64_t now_ns)
{
    if (feed->wanted_first == 0 && feed->subscribers.owed_count == 0)
    {
        return UINT64_MAX;
    }
    const bool is_soon = feed->wanted_first != 0 || feed->retry_ns < now_ns + OME_FEED_NS_PER_MS;
    return is_soon ? OME_FEED_NS_PER_MS : feed->retry_ns - now_ns;
}

ome_status_t ome_feed_run(ome_feed_t *feed, uint32_t timeout_ms)
{
    const uint64_t deadline_ns = ome_wait_deadline_ns((uint64_t)timeout_ms * OME_FEED_NS_PER_MS);
    uint64_t now_ns = ome_clock_monotonic_ns();
    do
    {
        if (ome_feed_do_work(feed) == 0 && !feed->is_stopped)
        {
            now_ns = ome_clock_monotonic_ns();
            const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
            const uint64_t most_ns = feed_more_ns(feed, now_ns);
            feed_sleep(feed, (uint32_t)(((left_ns < most_ns ? left_ns : most_ns) + OME_FEED_NS_PER_MS - 1) / OME_FEED_NS_PER_MS));
        }
        now_ns = ome_clock_monotonic_ns();
    } while (!feed->is_stopped && now_ns < deadline_ns);
    return feed->is_stopped ? OME_STOPPED : OME_OK;
}
