#include "ome_gateway_face.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/ome_memory.h"
#include "ome_venue_parts.h"
#include "wire/ome_listener.h"
#include "wire/ome_port.h"

#define TAKE_OVER_NS_MAX UINT64_C(10000000000)
#define TAKE_OVER_PAUSE_NS 200000

/* The counters that a gateway's process writes, of those of the venue. */
#define FIRST_COUNTER OME_COUNT_FRAMES_IN
#define LAST_COUNTER OME_COUNT_ORDERS_QUEUED

static ome_link_config_t link_config(const ome_limits_t *limits, uint32_t ring_slot_count)
{
    return (ome_link_config_t){.entry_count = ring_slot_count,
        .record_count = ome_link_record_count(limits->session_count_max),
        .session_count_max = limits->session_count_max,
        .counters = &ome_venue_counters_table};
}

void ome_link_measure(const ome_limits_t *limits, uint32_t ring_slot_count, uint64_t *engines, uint64_t *gateways)
{
    const ome_link_config_t config = link_config(limits, ring_slot_count);
    ome_link_size_bytes(&config, engines, gateways);
}

static void *link_map(int fd, uint64_t size_bytes, int protection)
{
    void *memory = mmap(NULL, size_bytes, protection, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* ---- the engine's process ---- */

struct ome_engine_port
{
    ome_venue_t *venue;
    ome_port_t *port;
    void *engines;
    void *gateways;
    uint64_t engines_size_bytes;
    uint64_t gateways_size_bytes;
    uint64_t port_size_bytes;
    uint64_t before[LAST_COUNTER - FIRST_COUNTER + 1]; /* what gateways before this one have counted */
};

static ome_status_t port_open(ome_engine_port_t *port, const ome_port_config_t *config)
{
    port->port_size_bytes = ome_port_size_bytes(config);
    void *memory = ome_memory_map(port->port_size_bytes);
    return memory == NULL ? OME_NO_MEMORY : ome_port_init(&port->port, memory, port->port_size_bytes, config, port->venue->engine);
}

ome_status_t ome_engine_port_create(ome_venue_t *venue, int engines_fd, int gateways_fd, int event_fd, int bell_fd, int gateway_bell_fd,
    const ome_gateway_options_t *options, ome_engine_port_t **port)
{
    if (options->history_count < OME_GATEWAY_HISTORY_COUNT_MIN || (options->history_count & (options->history_count - 1)) != 0)
    {
        return OME_INVALID;
    }
    ome_engine_port_t *made = ome_memory_map(sizeof(ome_engine_port_t));
    if (made == NULL)
    {
        return OME_NO_MEMORY;
    }
    made->venue = venue;
    ome_link_measure(&venue->engine->limits, venue->ring->slot_count, &made->engines_size_bytes, &made->gateways_size_bytes);
    made->engines = link_map(engines_fd, made->engines_size_bytes, PROT_READ | PROT_WRITE);
    made->gateways = link_map(gateways_fd, made->gateways_size_bytes, PROT_READ | PROT_WRITE);
    ome_reader_t reader;
    ome_status_t status = made->engines == NULL || made->gateways == NULL
                              ? OME_NO_MEMORY
                              : ome_published_register(&venue->published, "gateway", true, &reader);
    if (status == OME_OK)
    {
        const ome_port_config_t config = {.ingress = venue->ingress,
            .reader = reader,
            .is_open = ome_venue_takes_commands,
            .storage = ome_venue_storage,
            .context = venue,
            .counters = ome_venue_report_counters(&venue->counters),
            .link = link_config(&venue->engine->limits, venue->ring->slot_count),
            .engines = made->engines,
            .gateways = made->gateways,
            .order_count_max = venue->engine->limits.order_count_max,
            .history_count = options->history_count,
            .event_fd = event_fd,
            .bell_fd = bell_fd,
            .gateway_bell_fd = gateway_bell_fd};
        status = port_open(made, &config);
    }
    if (status != OME_OK)
    {
        ome_engine_port_destroy(made);
        return status;
    }
    *port = made;
    return OME_OK;
}

void ome_engine_port_destroy(ome_engine_port_t *port)
{
    if (port != NULL)
    {
        ome_memory_unmap(port->port, port->port_size_bytes);
        ome_memory_unmap(port->engines, port->engines_size_bytes);
        ome_memory_unmap(port->gateways, port->gateways_size_bytes);
        ome_memory_unmap(port, sizeof(ome_engine_port_t));
    }
}

static bool port_is_mirrored(uint32_t index)
{
    return index != OME_COUNT_ORDERS && index != OME_COUNT_CANCELS && index != OME_COUNT_REJECTS; /* the port counts those */
}

/* Shows what the gateway counts among the counters of the venue. */
static void port_mirror_counters(const ome_engine_port_t *port)
{
    for (uint32_t index = FIRST_COUNTER; index <= LAST_COUNTER; index++)
    {
        if (port_is_mirrored(index))
        {
            ome_counter_set(ome_counters_counter(&port->venue->counters, index),
                port->before[index - FIRST_COUNTER] + ome_port_counter(port->port, index));
        }
    }
}

/* Nobody is connected any more, and another gateway counts from 0. */
static void port_keep_counters(ome_engine_port_t *port)
{
    for (uint32_t index = FIRST_COUNTER; index <= LAST_COUNTER; index++)
    {
        if (port_is_mirrored(index))
        {
            const bool is_total = ome_venue_counters_table.counters[index].kind == OME_COUNTER_KIND_TOTAL;
            port->before[index - FIRST_COUNTER] += is_total ? ome_port_counter(port->port, index) : 0;
            ome_counter_set(ome_counters_counter(&port->venue->counters, index), port->before[index - FIRST_COUNTER]);
        }
    }
}

ome_port_outcome_t ome_engine_port_run(ome_engine_port_t *port, uint32_t timeout_ms)
{
    const ome_port_outcome_t outcome = ome_port_run(port->port, timeout_ms);
    port_mirror_counters(port);
    return outcome;
}

void ome_engine_port_attach(ome_engine_port_t *port)
{
    ome_port_attach(port->port);
}

int ome_engine_port_detach(ome_engine_port_t *port)
{
    if (!ome_port_detach(port->port))
    {
        return 0;
    }
    port_keep_counters(port);
    return 1;
}

void ome_engine_port_close_entry(ome_engine_port_t *port)
{
    ome_port_close_entry(port->port);
}

int ome_engine_port_is_flushed(const ome_engine_port_t *port)
{
    return ome_port_is_flushed(port->port);
}

uint64_t ome_engine_port_turns(const ome_engine_port_t *port)
{
    return ome_port_turns(port->port);
}

const void *ome_engine_port_event(const ome_engine_port_t *port)
{
    return ome_port_event(port->port);
}

const uint8_t *ome_engine_port_connected(const ome_engine_port_t *port)
{
    return (const uint8_t *)ome_port_connected(port->port);
}

/* ---- the gateway's process ---- */

struct ome_remote
{
    ome_link_t link;
    ome_limits_t limits;
    void *engines;
    void *gateways;
    uint64_t engines_size_bytes;
    uint64_t gateways_size_bytes;
};

ome_status_t ome_remote_open(
    const ome_limits_t *limits, uint32_t ring_slot_count, int engines_fd, int gateways_fd, int engine_bell_fd, ome_remote_t **remote)
{
    const ome_link_config_t config = link_config(limits, ring_slot_count);
    ome_remote_t *made = ome_memory_map(sizeof(ome_remote_t));
    if (made == NULL)
    {
        return OME_NO_MEMORY;
    }
    made->limits = *limits;
    ome_link_size_bytes(&config, &made->engines_size_bytes, &made->gateways_size_bytes);
    made->engines = link_map(engines_fd, made->engines_size_bytes, PROT_READ);
    made->gateways = link_map(gateways_fd, made->gateways_size_bytes, PROT_READ | PROT_WRITE);
    if (made->engines == NULL || made->gateways == NULL)
    {
        ome_remote_close(made);
        return OME_NO_MEMORY;
    }
    ome_link_view(&made->link, &config, made->engines, made->gateways, engine_bell_fd);
    const size_t counters_size_bytes = ome_counters_size_bytes(config.counters->counter_count, config.counters->histogram_count);
    (void)ome_counters_init(&made->link.counters, made->link.counters.header, counters_size_bytes, config.counters, 0);
    *remote = made;
    return OME_OK;
}

void ome_remote_close(ome_remote_t *remote)
{
    if (remote != NULL)
    {
        ome_memory_unmap(remote->engines, remote->engines_size_bytes);
        ome_memory_unmap(remote->gateways, remote->gateways_size_bytes);
        ome_memory_unmap(remote, sizeof(ome_remote_t));
    }
}

static bool remote_takes_commands(void *context)
{
    return atomic_load_explicit(&((const ome_remote_t *)context)->link.board->is_open, memory_order_relaxed) != 0;
}

static uint8_t remote_storage_of(void *context)
{
    return atomic_load_explicit(&((const ome_remote_t *)context)->link.board->storage, memory_order_relaxed);
}

ome_status_t ome_remote_listen(ome_remote_t *remote, int listen_fd, ome_listen_use_t use, uint32_t connection_count_max,
    uint32_t part_size_max_bytes, uint32_t queue_size_max_bytes, uint64_t pool_size_bytes, const ome_curve_config_t *curve,
    ome_listener_t **listener)
{
    return ome_venue_make_listener(&remote->link.counters, listen_fd, use, connection_count_max, part_size_max_bytes, queue_size_max_bytes,
        pool_size_bytes, curve, listener);
}

static ome_status_t remote_take_over(ome_gateway_t *gateway)
{
    const struct timespec pause = {.tv_nsec = TAKE_OVER_PAUSE_NS};
    const uint64_t deadline_ns = ome_clock_monotonic_ns() + TAKE_OVER_NS_MAX;
    ome_status_t status = ome_gateway_take_over(gateway);
    while (status == OME_EMPTY && ome_clock_monotonic_ns() < deadline_ns)
    {
        (void)nanosleep(&pause, NULL);
        status = ome_gateway_take_over(gateway);
    }
    return status;
}

ome_status_t ome_remote_gateway(
    ome_remote_t *remote, ome_listener_t *listener, int event_fd, const ome_gateway_options_t *options, ome_gateway_t **gateway)
{
    const ome_gateway_config_t config = {.ingress = {.clock = &remote->link.board->clock},
        .link = &remote->link,
        .is_open = remote_takes_commands,
        .storage = remote_storage_of,
        .context = remote,
        .socket = ome_listener_socket(listener),
        .connection_slot_max = ome_listener_connection_count_max(listener),
        .counters = ome_venue_gateway_counters(&remote->link.counters),
        .order_count_max = 0,
        .session_count_max = remote->limits.session_count_max,
        .history_count = options->history_count,
        .throttle = {.message_rate_max = options->message_rate_max, .in_flight_max = options->in_flight_max},
        .event_fd = event_fd};
    const ome_status_t status = ome_venue_make_gateway(&config, NULL, gateway);
    return status == OME_OK ? remote_take_over(*gateway) : status;
}

uint64_t ome_remote_time_ns(const ome_remote_t *remote)
{
    return ome_venue_clock_now_ns(&remote->link.board->clock);
}

uint64_t ome_remote_cursor(const ome_remote_t *remote)
{
    return atomic_load_explicit(&remote->link.board->cursor.value, memory_order_relaxed);
}

int ome_die_with_parent(int parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}
