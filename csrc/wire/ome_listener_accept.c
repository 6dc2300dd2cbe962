/* New connections; accept4 is GNU's. */
#define _GNU_SOURCE
#include "wire/ome_listener_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define HANDSHAKE_MS 5000u
#define ACCEPT_COUNT 64u

static void listener_set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value)); /* of no kind of socket but TCP: then it does not matter */
}

static void listener_start_connection(ome_listener_t *listener, int fd)
{
    const uint32_t slot = listener->free;
    ome_connection_t *connection = &listener->connections[slot];
    const uint32_t generation = connection->generation + 1;
    listener->free = connection->next_free;
    const bool is_dirty = connection->is_dirty; /* still in that list, from before */
    const bool is_paused = connection->is_paused;
    const uint32_t next_dirty = connection->next_dirty;
    const uint32_t next_paused = connection->next_paused;
    *connection = (ome_connection_t){.state = OME_CONNECTION_OPEN,
        .fd = fd,
        .generation = generation,
        .is_dirty = is_dirty,
        .is_paused = is_paused,
        .next_dirty = next_dirty,
        .next_paused = next_paused,
        .deadline_ns = listener->now_ns + HANDSHAKE_MS * OME_LISTENER_NS_PER_MS,
        .moved_ns = listener->now_ns};
    listener_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    listener_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    listener_set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 5);
    listener_set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3);
    listener_set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    ome_listener_enlist(listener, slot);
    listener->open_count++;
    ome_counter_add(listener->config.counters.accepted, 1);
    ome_counter_set(listener->config.counters.connections, listener->open_count);
    struct epoll_event event = {.events = connection->is_paused ? 0u : EPOLLIN, .data.u64 = ome_listener_peer_of(listener, slot)};
    /* The server sends first: a peer chooses its version by ours. */
    if (epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 ||
        !ome_listener_enqueue(listener, slot, listener->hello, listener->hello_size_bytes, listener->hello, 0))
    {
        ome_listener_close_counted(listener, slot, listener->config.counters.refused);
    }
}

static bool listener_drop_oldest_stranger(ome_listener_t *listener)
{
    if (listener->oldest == 0)
    {
        return false;
    }
    ome_listener_close_counted(listener, listener->oldest, listener->config.counters.refused);
    return true;
}

void ome_listener_accept_connections(ome_listener_t *listener)
{
    for (uint32_t i = 0; i < ACCEPT_COUNT; i++)
    {
        const int fd = accept4(listener->config.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
        {
            /* After the first, no other client may be waiting; without a descriptor accept does not say so. Epoll does. */
            const bool no_descriptor = i == 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
            if (no_descriptor && !listener_drop_oldest_stranger(listener))
            {
                ome_listener_watch_listening(listener, false); /* until the next sweep, so that epoll does not report it again and again */
            }
            return;
        }
        if (listener->free == 0 && !listener_drop_oldest_stranger(listener))
        {
            (void)close(fd);
            ome_counter_add(listener->config.counters.refused, 1);
            continue;
        }
        listener_start_connection(listener, fd);
    }
}
