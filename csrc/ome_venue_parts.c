#include "ome_venue_parts.h"

#include "base/ome_memory.h"

bool ome_venue_takes_commands(void *context)
{
    const ome_venue_t *venue = context;
    return !ome_ring_is_closed(venue->ring) && !atomic_load_explicit(&venue->is_failed, memory_order_acquire);
}

uint8_t ome_venue_storage(void *context)
{
    return atomic_load_explicit(&((const ome_venue_t *)context)->storage, memory_order_relaxed);
}

ome_report_counters_t ome_venue_report_counters(const ome_counters_t *counters)
{
    return (ome_report_counters_t){.orders = ome_counters_counter(counters, OME_COUNT_ORDERS),
        .cancels = ome_counters_counter(counters, OME_COUNT_CANCELS),
        .rejects = ome_counters_counter(counters, OME_COUNT_REJECTS),
        .latency = ome_counters_histogram(counters, OME_LATENCY_REPORT)};
}

ome_gateway_counters_t ome_venue_gateway_counters(const ome_counters_t *counters)
{
    return (ome_gateway_counters_t){.frames_in = ome_counters_counter(counters, OME_COUNT_FRAMES_IN),
        .messages_in = ome_counters_counter(counters, OME_COUNT_MESSAGES_IN),
        .frames_rejected = ome_counters_counter(counters, OME_COUNT_FRAMES_REJECTED),
        .messages_busy = ome_counters_counter(counters, OME_COUNT_MESSAGES_BUSY),
        .messages_seen = ome_counters_counter(counters, OME_COUNT_MESSAGES_SEEN),
        .messages_throttled = ome_counters_counter(counters, OME_COUNT_MESSAGES_THROTTLED),
        .reports_resent = ome_counters_counter(counters, OME_COUNT_REPORTS_RESENT),
        .disconnect_cancels = ome_counters_counter(counters, OME_COUNT_DISCONNECT_CANCELS),
        .reports = ome_counters_counter(counters, OME_COUNT_REPORTS),
        .reports_undelivered = ome_counters_counter(counters, OME_COUNT_REPORTS_UNDELIVERED),
        .sessions = ome_counters_counter(counters, OME_COUNT_SESSIONS),
        .sessions_ended = ome_counters_counter(counters, OME_COUNT_SESSIONS_ENDED),
        .orders_storage_low = ome_counters_counter(counters, OME_COUNT_ORDERS_STORAGE_LOW),
        .made = ome_venue_report_counters(counters)};
}

static_assert(OME_COUNT_ORDERS_QUEUED - OME_COUNT_ORDERS_CONNECTIONS == 6 && OME_COUNT_FEED_QUEUED - OME_COUNT_FEED_CONNECTIONS == 6 &&
                  OME_COUNT_REQUESTS_QUEUED - OME_COUNT_REQUESTS_CONNECTIONS == 6,
    "the counters of all listeners are in the order of ome_listener_counters_t");

static ome_listener_counters_t venue_listener_counters(const ome_counters_t *counters, ome_venue_counter_t first)
{
    return (ome_listener_counters_t){.connections = ome_counters_counter(counters, first),
        .accepted = ome_counters_counter(counters, first + 1),
        .refused = ome_counters_counter(counters, first + 2),
        .faults = ome_counters_counter(counters, first + 3),
        .slow = ome_counters_counter(counters, first + 4),
        .pauses = ome_counters_counter(counters, first + 5),
        .queued_bytes = ome_counters_counter(counters, first + 6)};
}

ome_status_t ome_venue_make_listener(const ome_counters_t *counters, int listen_fd, ome_listen_use_t use, uint32_t connection_count_max,
    uint32_t part_size_max_bytes, uint32_t queue_size_max_bytes, uint64_t pool_size_bytes, const ome_curve_config_t *curve,
    ome_listener_t **listener)
{
    static const ome_venue_counter_t firsts[] = {[OME_LISTEN_ORDERS] = OME_COUNT_ORDERS_CONNECTIONS,
        [OME_LISTEN_FEED] = OME_COUNT_FEED_CONNECTIONS,
        [OME_LISTEN_REQUESTS] = OME_COUNT_REQUESTS_CONNECTIONS};
    const ome_listener_config_t config = {.role = use == OME_LISTEN_FEED ? OME_ZMTP_XPUB : OME_ZMTP_ROUTER,
        .listen_fd = listen_fd,
        .connection_count_max = connection_count_max,
        .part_size_max_bytes = part_size_max_bytes,
        .queue_size_max_bytes = queue_size_max_bytes,
        .pool_size_bytes = pool_size_bytes,
        .counters = venue_listener_counters(counters, firsts[use]),
        .curve = curve};
    return ome_listener_create(&config, listener);
}

/* The size is before it. */
void *ome_venue_sized_map(uint64_t size_bytes)
{
    uint64_t *memory = ome_memory_map(size_bytes + OME_CACHE_LINE_SIZE);
    if (memory == NULL)
    {
        return NULL;
    }
    *memory = size_bytes + OME_CACHE_LINE_SIZE;
    return (uint8_t *)memory + OME_CACHE_LINE_SIZE;
}

void ome_venue_sized_unmap(void *memory)
{
    if (memory != NULL)
    {
        uint64_t *start = (uint64_t *)(void *)((uint8_t *)memory - OME_CACHE_LINE_SIZE);
        ome_memory_unmap(start, *start);
    }
}

ome_status_t ome_venue_make_gateway(const ome_gateway_config_t *config, const ome_engine_t *engine, ome_gateway_t **gateway)
{
    const uint64_t size_bytes = ome_gateway_size_bytes(config);
    void *memory = ome_venue_sized_map(size_bytes);
    return memory == NULL ? OME_NO_MEMORY : ome_gateway_init(gateway, memory, size_bytes, config, engine);
}
