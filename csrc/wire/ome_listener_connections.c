/* Connections: finding, watching and closing them, and making room for new ones. */
#include "wire/ome_listener_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/ome_assert.h"

#define STALLED_MS 1000u  /* without having taken anything */

uint32_t ome_listener_slot_of(const ome_listener_t *listener, uint64_t peer)
{
    const uint32_t slot = (uint32_t)peer;
    if (slot < 1 || slot > listener->config.connection_count_max)
    {
        return 0;
    }
    const ome_connection_t *connection = &listener->connections[slot];
    return ome_listener_is_there(connection) && connection->generation == (uint32_t)(peer >> 32) ? slot : 0;
}

uint32_t ome_listener_open_slot_of(const ome_listener_t *listener, uint64_t peer)
{
    const uint32_t slot = ome_listener_slot_of(listener, peer);
    return slot != 0 && listener->connections[slot].state == OME_CONNECTION_OPEN ? slot : 0;
}

int ome_listener_descriptor(const ome_listener_t *listener, uint64_t peer)
{
    const uint32_t slot = ome_listener_slot_of(listener, peer);
    return slot != 0 ? listener->connections[slot].fd : -1;
}

void ome_listener_watch(const ome_listener_t *listener, uint32_t slot)
{
    const ome_connection_t *connection = &listener->connections[slot];
    struct epoll_event event = {.events = (!connection->is_paused ? EPOLLIN : 0u) | (connection->wants_write ? EPOLLOUT : 0u),
        .data.u64 = ome_listener_peer_of(listener, slot)};
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

void ome_listener_watch_listening(ome_listener_t *listener, bool listens)
{
    struct epoll_event event = {.events = listens ? EPOLLIN : 0u, .data.u64 = OME_LISTENER_LISTEN_KEY};
    listener->listens = listens;
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_MOD, listener->config.listen_fd, &event);
}

void ome_listener_enlist(ome_listener_t *listener, uint32_t slot)
{
    ome_connection_t *connection = &listener->connections[slot];
    connection->older = listener->newest;
    connection->newer = 0;
    if (listener->newest != 0)
    {
        listener->connections[listener->newest].newer = slot;
    }
    else
    {
        listener->oldest = slot;
    }
    listener->newest = slot;
}

void ome_listener_delist(ome_listener_t *listener, uint32_t slot)
{
    const ome_connection_t *connection = &listener->connections[slot];
    *(connection->older != 0 ? &listener->connections[connection->older].newer : &listener->oldest) = connection->newer;
    *(connection->newer != 0 ? &listener->connections[connection->newer].older : &listener->newest) = connection->older;
}

void ome_listener_count_queued(const ome_listener_t *listener)
{
    ome_counter_set(listener->config.counters.queued_bytes, (uint64_t)listener->blocks.used_count * OME_BLOCK_SIZE);
}

void ome_listener_close_connection(ome_listener_t *listener, uint32_t slot)
{
    ome_connection_t *connection = &listener->connections[slot];
    OME_ASSERT(ome_listener_is_there(connection));
    ome_block_queue_drop(&listener->blocks, &connection->in, connection->in.size_bytes);
    ome_block_queue_drop(&listener->blocks, &connection->out, connection->out.size_bytes);
    if (!connection->is_admitted)
    {
        ome_listener_delist(listener, slot);
    }
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL); /* closing it does not, while a forked child has a copy */
    (void)close(connection->fd);
    if (listener->current == slot)
    {
        listener->current = 0;
    }
    if (listener->curves != NULL)
    {
        ome_curve_end(&listener->curves[slot]);
    }
    listener->open_count--;
    ome_counter_set(listener->config.counters.connections, listener->open_count);
    ome_listener_count_queued(listener);
    const bool tells = connection->is_admitted && connection->state == OME_CONNECTION_OPEN;
    connection->state = tells ? OME_CONNECTION_GONE : OME_CONNECTION_FREE;
    connection->next_free = tells ? listener->gone : listener->free;
    *(tells ? &listener->gone : &listener->free) = slot;
}

void ome_listener_close_counted(ome_listener_t *listener, uint32_t slot, ome_counter_t *counter)
{
    ome_counter_add(counter, 1);
    ome_listener_close_connection(listener, slot);
}

static bool listener_is_stalled(const ome_listener_t *listener, const ome_connection_t *connection)
{
    return connection->out.size_bytes > 0 && listener->now_ns - connection->moved_ns >= STALLED_MS * OME_LISTENER_NS_PER_MS;
}

bool ome_listener_make_room(ome_listener_t *listener, uint32_t spared, uint64_t needed_bytes)
{
    uint32_t idle = 0;
    uint32_t idle_bytes = 0;
    uint32_t largest = 0;
    uint32_t largest_bytes = 0;
    if (listener->full_tick == listener->tick && 2 * needed_bytes >= listener->full_bytes)
    {
        return false;
    }
    for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
    {
        const ome_connection_t *connection = &listener->connections[slot];
        const uint32_t held_bytes = connection->in.size_bytes + connection->out.size_bytes;
        if (!ome_listener_is_there(connection) || slot == spared)
        {
            continue;
        }
        if (held_bytes > largest_bytes)
        {
            largest = slot;
            largest_bytes = held_bytes;
        }
        if (held_bytes > idle_bytes && (listener_is_stalled(listener, connection) || !connection->is_admitted))
        {
            idle = slot;
            idle_bytes = held_bytes;
        }
    }
    const uint32_t worst = idle != 0 ? idle : largest_bytes > 2 * needed_bytes ? largest : 0;
    if (worst == 0)
    {
        listener->full_tick = listener->tick;
        listener->full_bytes = largest_bytes;
        return false;
    }
    ome_listener_close_counted(listener, worst, listener->config.counters.slow);
    return true;
}
