/* Connections of the server: set-up, time, and the table of functions that the loops call. */
#include "wire/ome_listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "wire/ome_listener_state.h"

#define DEAD_MS 30000u    /* without an acknowledgement for what was sent */
#define SWEEP_MS 500u
#define DEAD_SWEEPS 8u /* asking the kernel costs a call: each connection is checked once in this many sweeps */
#define TURN_COUNT 64u /* connections served in one call that has nothing for the caller */
#define EVENT_FD_KEY UINT64_MAX

/* ---- Time ---- */

/* Whether sent bytes were not acknowledged for so long that the peer must be dead. */
static bool listener_is_dead(const ome_connection_t *connection)
{
    struct tcp_info info;
    socklen_t size_bytes = sizeof(info);
    return getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size_bytes) == 0 && info.tcpi_unacked > 0 &&
           info.tcpi_last_ack_recv > DEAD_MS;
}

static void listener_sweep(ome_listener_t *listener)
{
    listener->sweep_ns = listener->now_ns + SWEEP_MS * OME_LISTENER_NS_PER_MS;
    listener->sweep_count++;
    if (!listener->listens)
    {
        ome_listener_watch_listening(listener, true);
    }
    for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
    {
        const ome_connection_t *connection = &listener->connections[slot];
        if (connection->state == OME_CONNECTION_ENDING && connection->deadline_ns <= listener->now_ns)
        {
            ome_listener_close_connection(listener, slot);
        }
        else if (connection->state == OME_CONNECTION_OPEN && !connection->is_admitted && connection->deadline_ns <= listener->now_ns)
        {
            ome_listener_close_counted(listener, slot, listener->config.counters.faults);
        }
        else if (connection->state == OME_CONNECTION_OPEN && slot % DEAD_SWEEPS == listener->sweep_count % DEAD_SWEEPS &&
                 listener_is_dead(connection))
        {
            ome_listener_close_counted(listener, slot, listener->config.counters.slow);
        }
    }
}

static void listener_look_at_clock(ome_listener_t *listener)
{
    listener->now_ns = listener->config.clock_ns();
    const uint64_t tick = listener->now_ns / (OME_LISTENER_TICK_MS * OME_LISTENER_NS_PER_MS);
    if (tick != listener->tick)
    {
        listener->tick = tick;
        listener->strangers_frame_count = 0;
        listener->handshake_count = 0;
    }
    if (listener->curves != NULL)
    {
        ome_listener_take_keys(listener);
    }
    if (listener->now_ns >= listener->sweep_ns)
    {
        listener_sweep(listener);
    }
}

/* Makes the first of the paused connections that may go on the current one. */
static void listener_resume_one(ome_listener_t *listener)
{
    if (listener->skip_tick != listener->tick)
    {
        listener->skip_tick = listener->tick;
        listener->skipped = 0;
    }
    uint32_t previous = listener->skipped;
    uint32_t slot = previous != 0 ? listener->connections[previous].next_paused : listener->paused_first;
    while (slot != 0)
    {
        ome_connection_t *connection = &listener->connections[slot];
        const uint32_t next = connection->next_paused;
        const bool has_turn = connection->state == OME_CONNECTION_ENDING || ome_listener_has_credit(listener, connection);
        if (ome_listener_is_there(connection) && (connection->resume_ns > listener->now_ns || !has_turn))
        {
            previous = slot;
            slot = next;
            continue;
        }
        *(previous != 0 ? &listener->connections[previous].next_paused : &listener->paused_first) = next;
        if (listener->paused_last == slot)
        {
            listener->paused_last = previous;
        }
        connection->is_paused = false;
        if (ome_listener_is_there(connection))
        {
            listener->skipped = previous;
            ome_listener_watch(listener, slot);
            ome_listener_read_connection(listener, slot);
            return;
        }
        slot = next;
    }
    listener->skipped = previous;
    listener->resume_tick = listener->tick;
}

/* ---- The table ---- */

static bool listener_take_event(ome_listener_t *listener, const struct epoll_event *event)
{
    if (event->data.u64 == OME_LISTENER_LISTEN_KEY)
    {
        ome_listener_accept_connections(listener);
        return false;
    }
    const uint32_t slot = event->data.u64 == EVENT_FD_KEY ? 0 : ome_listener_slot_of(listener, event->data.u64);
    if (slot == 0)
    {
        return false;
    }
    if ((event->events & EPOLLOUT) != 0)
    {
        ome_listener_flush_connection(listener, slot);
    }
    if (ome_listener_slot_of(listener, event->data.u64) == 0)
    {
        return false;
    }
    const ome_connection_t *connection = &listener->connections[slot];
    if ((event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0)
    {
        return false;
    }
    if (connection->is_paused)
    {
        if ((event->events & (EPOLLERR | EPOLLHUP)) != 0)
        {
            ome_listener_close_connection(
                listener, slot); /* nobody would read that it is broken, and epoll would tell of it again and again */
        }
        return false;
    }
    ome_listener_read_connection(listener, slot);
    return listener->current != 0;
}

/* Whether one of the paused connections may perhaps go on. */
static bool listener_may_resume(const ome_listener_t *listener)
{
    return listener->paused_first != 0 && listener->resume_tick != listener->tick;
}

/* Looks for a connection that sent something. False when there is none now. */
static bool listener_next_connection(ome_listener_t *listener)
{
    while (listener->event_index < listener->event_count)
    {
        if (listener_take_event(listener, &listener->events[listener->event_index++]))
        {
            return true;
        }
    }
    if (listener_may_resume(listener))
    {
        listener_resume_one(listener);
    }
    return listener->current != 0;
}

static ome_status_t listener_poll_events(ome_listener_t *listener, int timeout_ms)
{
    listener->event_index = 0;
    listener->event_count = 0;
    const int count = epoll_wait(listener->epoll_fd, listener->events, OME_LISTENER_EVENT_COUNT, timeout_ms);
    if (count < 0 && errno != EINTR)
    {
        listener->is_failed = true;
        return OME_STOPPED;
    }
    listener->event_count = count > 0 ? (uint32_t)count : 0;
    listener_look_at_clock(listener);
    return OME_OK;
}

static bool listener_take_gone(ome_listener_t *listener, ome_socket_message_t *message)
{
    const uint32_t slot = listener->gone;
    if (slot == 0)
    {
        return false;
    }
    ome_connection_t *connection = &listener->connections[slot];
    *message = (ome_socket_message_t){.peer = ome_listener_peer_of(listener, slot), .kind = OME_SOCKET_GONE};
    listener->gone = connection->next_free;
    connection->state = OME_CONNECTION_FREE;
    connection->next_free = listener->free;
    listener->free = slot;
    return true;
}

static ome_status_t listener_receive(void *context, ome_socket_message_t *message)
{
    ome_listener_t *listener = context;
    bool has_polled = false;
    uint32_t turn_count = 0;
    if (listener->is_failed)
    {
        return OME_STOPPED;
    }
    ome_listener_flush_all(listener);
    for (;;)
    {
        if (ome_listener_next_item(listener, message) || listener_take_gone(listener, message))
        {
            return OME_OK;
        }
        /* The caller gets its turn also while many send what is not for it. */
        const bool has_turns = turn_count++ < TURN_COUNT;
        if (has_turns && (listener_next_connection(listener) || listener->gone != 0))
        {
            continue;
        }
        ome_listener_flush_all(listener);
        if (has_polled || !has_turns)
        {
            return OME_EMPTY;
        }
        if (listener_poll_events(listener, 0) != OME_OK)
        {
            return OME_STOPPED;
        }
        has_polled = true;
    }
}

static uint32_t listener_queued(void *context, uint64_t peer)
{
    const ome_listener_t *listener = context;
    const uint32_t slot = ome_listener_slot_of(listener, peer);
    return slot != 0 ? listener->connections[slot].out.size_bytes : 0;
}

static ome_status_t listener_admit(void *context, uint64_t peer, int is_admitted)
{
    ome_listener_t *listener = context;
    const uint32_t slot = ome_listener_open_slot_of(listener, peer);
    if (slot == 0)
    {
        return OME_NOT_FOUND;
    }
    ome_connection_t *connection = &listener->connections[slot];
    if (connection->is_admitted == (is_admitted != 0))
    {
        return OME_OK;
    }
    connection->is_admitted = is_admitted != 0;
    connection->deadline_ns = listener->now_ns + OME_LISTENER_ADMISSION_MS * OME_LISTENER_NS_PER_MS;
    if (connection->is_admitted)
    {
        ome_listener_delist(listener, slot);
    }
    else
    {
        ome_listener_enlist(listener, slot);
    }
    return OME_OK;
}

static void listener_pause(void *context, uint64_t peer, uint32_t duration_ms)
{
    ome_listener_t *listener = context;
    const uint32_t slot = ome_listener_open_slot_of(listener, peer);
    if (slot != 0)
    {
        ome_listener_pause_until(listener, slot, listener->now_ns + duration_ms * OME_LISTENER_NS_PER_MS);
    }
}

static void listener_end(void *context, uint64_t peer, const uint8_t *data, uint32_t data_size_bytes)
{
    ome_listener_t *listener = context;
    const uint32_t slot = ome_listener_open_slot_of(listener, peer);
    if (slot == 0)
    {
        return;
    }
    if (data != NULL)
    {
        (void)ome_listener_enqueue_frame(listener, slot, false, data, data_size_bytes);
    }
    ome_listener_end_connection(listener, slot);
}

static uint32_t listener_key(void *context, uint64_t peer)
{
    return ome_listener_key(context, peer);
}

/* How long it may sleep at most, so that pauses and deadlines are looked at. */
static int listener_sleep_ms(const ome_listener_t *listener, uint32_t timeout_ms)
{
    const uint32_t most_ms = listener->paused_first != 0 ? OME_LISTENER_TICK_MS : SWEEP_MS;
    return (int)(timeout_ms < most_ms ? timeout_ms : most_ms);
}

static ome_status_t listener_wait(void *context, int event_fd, uint32_t timeout_ms)
{
    ome_listener_t *listener = context;
    if (listener->is_failed)
    {
        return OME_STOPPED;
    }
    ome_listener_flush_all(listener);
    if (listener->current != 0 || listener->gone != 0 || listener->event_index < listener->event_count || listener_may_resume(listener))
    {
        return OME_OK;
    }
    if (event_fd != listener->event_fd)
    {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = EVENT_FD_KEY};
        if (listener->event_fd >= 0)
        {
            (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->event_fd, NULL);
        }
        if (event_fd >= 0 && epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, event_fd, &event) != 0)
        {
            return OME_STOPPED;
        }
        listener->event_fd = event_fd;
    }
    const ome_status_t status = listener_poll_events(listener, listener_sleep_ms(listener, timeout_ms));
    for (uint32_t i = 0; i < listener->event_count; i++)
    {
        if (listener->events[i].data.u64 == EVENT_FD_KEY)
        {
            uint64_t count;
            (void)!read(event_fd, &count, sizeof(count));
        }
    }
    return status;
}

/* ---- Set-up ---- */

static uint64_t listener_connections_size(const ome_listener_config_t *config)
{
    return ((uint64_t)config->connection_count_max + 1) * sizeof(ome_connection_t);
}

static uint64_t listener_buffer_size(const ome_listener_t *listener)
{
    return (uint64_t)listener->headroom + OME_LISTENER_READ_SIZE;
}

static bool listener_is_config_good(const ome_listener_config_t *config)
{
    return config->connection_count_max >= 1 && config->connection_count_max <= UINT32_C(1) << 20 && config->listen_fd >= 0 &&
           config->part_size_max_bytes >= 1 && config->part_size_max_bytes <= UINT32_C(1) << 20 &&
           config->pool_size_bytes >= 2 * (uint64_t)config->part_size_max_bytes + 2 * OME_LISTENER_READ_SIZE &&
           config->pool_size_bytes <= UINT64_C(1) << 40;
}

static const ome_socket_t listener_table = {.receive = listener_receive,
    .send = ome_listener_send,
    .queued = listener_queued,
    .admit = listener_admit,
    .pause = listener_pause,
    .key = listener_key,
    .end = listener_end,
    .wait = listener_wait};

ome_status_t ome_listener_create(const ome_listener_config_t *config, ome_listener_t **listener)
{
    if (!listener_is_config_good(config))
    {
        return OME_INVALID;
    }
    ome_listener_t *made = ome_memory_map(sizeof(ome_listener_t));
    if (made == NULL)
    {
        return OME_NO_MEMORY;
    }
    made->config = *config;
    made->config.clock_ns = config->clock_ns != NULL ? config->clock_ns : ome_clock_monotonic_ns;
    made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    made->event_fd = -1;
    /* What a connection may hold: the beginning of a part, or what was read before it was paused. */
    made->headroom = (OME_LISTENER_READ_SIZE > config->part_size_max_bytes ? OME_LISTENER_READ_SIZE : config->part_size_max_bytes) +
                     (config->curve != NULL ? ome_curve_frame_size_max(config->part_size_max_bytes)
                                            : OME_ZMTP_HEADER_SIZE_MAX + config->part_size_max_bytes);
    made->connections = ome_memory_map(listener_connections_size(config));
    made->buffer = ome_memory_map(listener_buffer_size(made));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = OME_LISTENER_LISTEN_KEY};
    ome_status_t status = ome_blocks_create(&made->blocks, config->pool_size_bytes);
    if (made->connections == NULL || made->buffer == NULL)
    {
        status = OME_NO_MEMORY;
    }
    else if (made->epoll_fd < 0 || epoll_ctl(made->epoll_fd, EPOLL_CTL_ADD, config->listen_fd, &event) != 0)
    {
        status = OME_IO_ERROR;
    }
    else if (status == OME_OK)
    {
        status = ome_listener_curve_create(made);
    }
    if (status != OME_OK)
    {
        const int error_number = errno;
        ome_listener_destroy(made, 0);
        errno = error_number;
        return status;
    }
    for (uint32_t slot = config->connection_count_max; slot >= 1; slot--)
    {
        made->connections[slot].next_free = made->free;
        made->free = slot;
    }
    made->listens = true;
    made->full_tick = UINT64_MAX;
    made->now_ns = made->config.clock_ns();
    made->table = listener_table;
    made->table.context = made;
    *listener = made;
    return OME_OK;
}

/* Sends what waits and ends all connections. Who has sent something that nobody read must close first: otherwise the
 * kernel cuts off what is under way to it. */
static void listener_drain(ome_listener_t *listener, uint32_t linger_ms)
{
    const uint64_t deadline_ns = listener->config.clock_ns() + linger_ms * OME_LISTENER_NS_PER_MS;
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->config.listen_fd, NULL);
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->event_fd, NULL);
    for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
    {
        listener_end(listener, ome_listener_peer_of(listener, slot), NULL, 0);
    }
    while (
        listener->open_count > 0 && listener->now_ns < deadline_ns && listener_poll_events(listener, (int)OME_LISTENER_TICK_MS) == OME_OK)
    {
        while (listener->event_index < listener->event_count)
        {
            (void)listener_take_event(listener, &listener->events[listener->event_index++]);
        }
        while (listener_may_resume(listener))
        {
            listener_resume_one(listener);
        }
    }
}

void ome_listener_destroy(ome_listener_t *listener, uint32_t linger_ms)
{
    if (listener == NULL)
    {
        return;
    }
    if (listener->table.context != NULL)
    {
        listener_drain(listener, linger_ms);
        for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
        {
            if (ome_listener_is_there(&listener->connections[slot]))
            {
                ome_listener_close_connection(listener, slot);
            }
        }
    }
    if (listener->epoll_fd >= 0)
    {
        (void)close(listener->epoll_fd);
    }
    ome_listener_curve_destroy(listener);
    ome_blocks_destroy(&listener->blocks);
    ome_memory_unmap(listener->connections, listener_connections_size(&listener->config));
    ome_memory_unmap(listener->buffer, listener_buffer_size(listener));
    ome_memory_unmap(listener, sizeof(ome_listener_t));
}

const ome_socket_t *ome_listener_socket(ome_listener_t *listener)
{
    return &listener->table;
}

uint32_t ome_listener_connection_count_max(const ome_listener_t *listener)
{
    return listener->config.connection_count_max;
}

void ome_listener_abandon(const ome_listener_t *listener)
{
    for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
    {
        const ome_connection_t *connection = &listener->connections[slot];
        if (ome_listener_is_there(connection))
        {
            (void)close(connection->fd);
        }
    }
    (void)close(listener->epoll_fd);
}
