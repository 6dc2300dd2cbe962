#include "ome_venue_face.h"

#include <string.h>

#include "base/ome_memory.h"
#include "ome_venue_parts.h"
#include "wire/ome_feed.h"

/* ---- Venue ---- */

ome_status_t ome_venue_create(
    ome_replay_t *replay, ome_engine_t *engine, const ome_venue_config_t *config, ome_venue_t **venue, ome_venue_view_t *view)
{
    *view = (ome_venue_view_t){0};
    ome_venue_t *made = ome_memory_map(sizeof(ome_venue_t));
    if (made == NULL)
    {
        ome_engine_destroy(engine);
        return OME_NO_MEMORY;
    }
    if (replay != NULL && replay->engine != NULL)
    {
        ome_engine_destroy(engine);
        engine = ome_replay_take_engine(replay);
    }
    const ome_status_t status = ome_venue_open(made, engine, replay, config);
    if (status == OME_OK)
    {
        *venue = made;
        return OME_OK;
    }
    if (replay != NULL && replay->reader.error.call != NULL)
    {
        view->error_call = replay->reader.error.call;
        view->error_path = replay->reader.error.path;
        view->error_number = replay->reader.error.number;
    }
    else if (ome_venue_error(made) != NULL)
    {
        view->error_call = ome_venue_error(made)->call;
        view->error_path = config->directory;
        view->error_number = ome_venue_error(made)->number;
    }
    (void)ome_venue_destroy(made);
    return status;
}

void ome_venue_look(const ome_venue_t *venue, ome_venue_view_t *view)
{
    const bool is_failed = atomic_load_explicit(&venue->is_failed, memory_order_acquire);
    const ome_error_t *error = ome_venue_error(venue);
    *view = (ome_venue_view_t){.epoch = venue->epoch,
        .cursor = ome_ring_cursor(venue->ring),
        .durable = ome_published_sequence(&venue->published, OME_GATE_DURABLE),
        .published = ome_published_limit(&venue->published),
        .deadline_ns = ome_counter_get(ome_counters_counter(&venue->counters, OME_COUNT_DEADLINE)),
        .time_ns = ome_venue_clock_now_ns(&venue->clock),
        .events_durable =
            venue->has_event_log ? ome_counter_get(ome_counters_counter(&venue->counters, OME_COUNT_EVENTS_DURABLE)) : UINT64_MAX,
        .error_call = error != NULL ? error->call : NULL,
        .error_path = error != NULL ? error->path : NULL,
        .error_number = error != NULL ? error->number : 0,
        .is_failed = is_failed,
        .is_drained = ome_venue_is_drained(venue)};
}

void ome_venue_set_storage(ome_venue_t *venue, uint64_t free_bytes, ome_storage_t storage)
{
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_STORAGE_FREE), free_bytes);
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_STORAGE_LOW), storage);
    /* Relaxed: the gateway needs no more than to see it some time. */
    atomic_store_explicit(&venue->storage, (uint8_t)storage, memory_order_relaxed);
}

void ome_venue_set_check(ome_venue_t *venue, uint64_t size_bytes, uint64_t pass_count, uint64_t damage_count)
{
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_CHECK_BYTES), size_bytes);
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_CHECK_PASSES), pass_count);
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_CHECK_DAMAGED), damage_count);
}

static void venue_look_at_clock(ome_venue_t *venue, uint64_t steady_ns, ome_venue_clock_view_t *view)
{
    const ome_venue_clock_t *clock = &venue->clock;
    ome_venue_count_clock(venue);
    *view = (ome_venue_clock_view_t){.time_ns = ome_venue_clock_at_ns(clock, steady_ns),
        .difference_ns = clock->difference_ns,
        .jump_count = clock->jump_count,
        .is_held = clock->is_held};
}

void ome_venue_follow_clock(ome_venue_t *venue, uint64_t steady_ns, uint64_t wall_ns, ome_venue_clock_view_t *view)
{
    ome_venue_clock_follow(&venue->clock, steady_ns, wall_ns);
    venue_look_at_clock(venue, steady_ns, view);
}

void ome_venue_accept_clock(ome_venue_t *venue, uint64_t steady_ns, uint64_t wall_ns, ome_venue_clock_view_t *view)
{
    ome_venue_clock_accept(&venue->clock, steady_ns, wall_ns);
    venue_look_at_clock(venue, steady_ns, view);
}

void ome_venue_set_threads(ome_venue_t *venue, uint64_t failing_count, uint64_t failure_count)
{
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_THREADS_FAILING), failing_count);
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_THREAD_FAILURES), failure_count);
}

void ome_venue_set_gateway_restarts(ome_venue_t *venue, uint64_t restart_count)
{
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_GATEWAY_RESTARTS), restart_count);
}

const ome_engine_t *ome_venue_engine(const ome_venue_t *venue)
{
    return venue->engine;
}

ome_status_t ome_venue_destroy(ome_venue_t *venue)
{
    if (venue == NULL)
    {
        return OME_OK;
    }
    const ome_status_t status = ome_venue_close(venue);
    ome_memory_unmap(venue, sizeof(ome_venue_t));
    return status;
}

ome_status_t ome_venue_register(ome_venue_t *venue, const char *name)
{
    ome_reader_t reader;
    return ome_published_register(&venue->published, name, true, &reader);
}

static bool venue_has_event(const void *context)
{
    return ome_reader_has_event(context);
}

uint32_t ome_venue_read(ome_venue_t *venue, const char *name, void *events, uint32_t count_max, uint64_t timeout_ns)
{
    ome_reader_t reader;
    if (!ome_published_find(&venue->published, name, &reader) ||
        ome_wait_for(ome_reader_wait(&reader), venue_has_event, &reader, timeout_ns) != OME_OK)
    {
        return 0;
    }
    const ome_event_t *from;
    const uint32_t count = ome_reader_take(&reader, count_max, &from);
    memcpy(events, from, (size_t)count * sizeof(ome_event_t));
    ome_reader_advance(&reader, count);
    return count;
}

/* ---- Listeners ---- */

ome_status_t ome_venue_listen(ome_venue_t *venue, int listen_fd, ome_listen_use_t use, uint32_t connection_count_max,
    uint32_t part_size_max_bytes, uint32_t queue_size_max_bytes, uint64_t pool_size_bytes, const ome_curve_config_t *curve,
    ome_listener_t **listener)
{
    return ome_venue_make_listener(&venue->counters, listen_fd, use, connection_count_max, part_size_max_bytes, queue_size_max_bytes,
        pool_size_bytes, curve, listener);
}

/* ---- Gateway ---- */

ome_status_t ome_gateway_create(
    ome_venue_t *venue, ome_listener_t *listener, int event_fd, const ome_gateway_options_t *options, ome_gateway_t **gateway)
{
    const bool is_power_of_two = (options->history_count & (options->history_count - 1)) == 0;
    if (options->history_count < OME_GATEWAY_HISTORY_COUNT_MIN || !is_power_of_two)
    {
        return OME_INVALID;
    }
    ome_reader_t reader;
    const ome_status_t status = ome_published_register(&venue->published, "gateway", true, &reader);
    if (status != OME_OK)
    {
        return status;
    }
    const ome_gateway_config_t config = {.ingress = venue->ingress,
        .reader = reader,
        .is_open = ome_venue_takes_commands,
        .storage = ome_venue_storage,
        .context = venue,
        .socket = ome_listener_socket(listener),
        .connection_slot_max = ome_listener_connection_count_max(listener),
        .counters = ome_venue_gateway_counters(&venue->counters),
        .order_count_max = venue->engine->limits.order_count_max,
        .session_count_max = venue->engine->limits.session_count_max,
        .history_count = options->history_count,
        .throttle = {.message_rate_max = options->message_rate_max, .in_flight_max = options->in_flight_max},
        .event_fd = event_fd};
    return ome_venue_make_gateway(&config, venue->engine, gateway);
}

void ome_gateway_destroy(ome_gateway_t *gateway)
{
    ome_venue_sized_unmap(gateway);
}

/* ---- Feed ---- */

static ome_feed_counters_t venue_feed_counters(const ome_venue_t *venue)
{
    return (ome_feed_counters_t){.frames_sent = ome_counters_counter(&venue->counters, OME_COUNT_FEED_FRAMES),
        .messages_sent = ome_counters_counter(&venue->counters, OME_COUNT_FEED_MESSAGES),
        .frames_dropped = ome_counters_counter(&venue->counters, OME_COUNT_FEED_DROPPED),
        .snapshots_sent = ome_counters_counter(&venue->counters, OME_COUNT_FEED_SNAPSHOTS),
        .snapshots_cut = ome_counters_counter(&venue->counters, OME_COUNT_FEED_SNAPSHOTS_CUT),
        .last_sequence = ome_counters_counter(&venue->counters, OME_COUNT_FEED_SEQUENCE),
        .subscriptions = ome_counters_counter(&venue->counters, OME_COUNT_FEED_SUBSCRIPTIONS),
        .subscriptions_refused = ome_counters_counter(&venue->counters, OME_COUNT_FEED_SUBSCRIPTIONS_REFUSED)};
}

ome_status_t ome_feed_create(
    ome_venue_t *venue, ome_listener_t *listener, int event_fd, uint32_t snapshot_level_count_max, uint32_t epoch, ome_feed_t **feed)
{
    ome_reader_t reader;
    ome_status_t status = ome_published_register(&venue->published, "feed", true, &reader);
    if (status != OME_OK)
    {
        return status;
    }
    const ome_feed_config_t config = {.limits = venue->engine->limits,
        .snapshot_level_count_max = snapshot_level_count_max,
        .epoch = epoch,
        .connection_slot_max = ome_listener_connection_count_max(listener),
        .reader = reader,
        .event_fd = event_fd,
        .socket = ome_listener_socket(listener),
        .counters = venue_feed_counters(venue)};
    const uint64_t size_bytes = ome_feed_size_bytes(&config);
    if (size_bytes == 0)
    {
        return OME_INVALID;
    }
    void *memory = ome_venue_sized_map(size_bytes);
    if (memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    status = ome_feed_init(feed, memory, size_bytes, &config);
    if (status == OME_OK)
    {
        status = ome_feed_seed(*feed, venue->engine);
    }
    if (status != OME_OK)
    {
        ome_venue_sized_unmap(memory);
    }
    return status;
}

void ome_feed_destroy(ome_feed_t *feed)
{
    ome_venue_sized_unmap(feed);
}
