/* Connections of the server; accept4 is GNU's. */
#define _GNU_SOURCE
#include "wire/ome_listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "wire/ome_blocks.h"

#define NS_PER_MS UINT64_C(1000000)

#define TICK_MS 10u
#define HANDSHAKE_MS 5000u
#define ADMISSION_MS 30000u
#define NOISY_MS 10000u /* for who sends more than it may before it is admitted */
#define ENDING_MS 30000u  /* for who is to read the last of what waits for it */
#define DEAD_MS 30000u    /* without an acknowledgement for what was sent */
#define STALLED_MS 1000u  /* without having taken anything */
#define SWEEP_MS 500u
#define DEAD_SWEEPS 8u /* to ask the kernel costs a call: each connection is asked about once in so many sweeps */

/* Of a tick. An honest client needs two frames before it is admitted. */
#define STRANGER_FRAME_COUNT 4u
#define STRANGERS_FRAME_COUNT 16u /* of all that are not admitted together */
#define COMMAND_COUNT 256u

#define EVENT_COUNT 64u
#define ACCEPT_COUNT 64u
#define TURN_COUNT 64u /* connections served in one call that has nothing for the caller */
#define PIECE_COUNT 32u
#define READ_SIZE (UINT32_C(64) * 1024)
#define STRANGER_READ_SIZE 2048u
#define FLUSH_SIZE (UINT32_C(64) * 1024)

#define LISTEN_KEY UINT64_C(0)
#define EVENT_FD_KEY UINT64_MAX

typedef enum
{
    CONNECTION_FREE,
    CONNECTION_OPEN,
    CONNECTION_ENDING, /* what it sends is dropped, a piece each tick; ends when all is sent and the peer has closed, or its time is over */
    CONNECTION_GONE /* closed, after it was admitted; the caller is still to be told */
} connection_state_t;

typedef struct
{
    connection_state_t state;
    ome_zmtp_stage_t stage;
    int fd;
    uint32_t generation;
    bool is_admitted;
    bool is_shut; /* all is sent, and the peer knows that nothing follows */
    bool wants_write; /* is told when it can be written to */
    bool is_dirty; /* in the list of those with something to write */
    bool is_paused;
    uint32_t needed; /* bytes of input before it can go on */
    uint32_t frame_count; /* in this tick */
    uint32_t command_count;
    uint64_t tick;
    uint64_t resume_ns;
    uint64_t deadline_ns; /* of admission, or of the end */
    uint64_t moved_ns; /* when it last took something, or its queue was empty */
    ome_block_queue_t in; /* the beginning of a frame, or what was read before a pause */
    ome_block_queue_t out;
    uint32_t older; /* of those that are not admitted, by when they came */
    uint32_t newer;
    uint32_t next_dirty;
    uint32_t next_paused;
    uint32_t next_free; /* or next gone */
} connection_t;

struct ome_listener
{
    ome_socket_t table;
    ome_listener_config_t config;
    connection_t *connections; /* the first is not used */
    uint8_t *buffer; /* room for what a connection held, and then what is read */
    uint32_t headroom;
    ome_blocks_t blocks;
    int epoll_fd;
    int event_fd; /* the one that epoll knows; -1: none */
    bool is_failed;
    bool listens; /* epoll is to tell of connections */

    struct epoll_event events[EVENT_COUNT];
    uint32_t event_index;
    uint32_t event_count;

    uint32_t current; /* whose bytes are in the buffer; 0: nobody's */
    const uint8_t *position;
    const uint8_t *end;

    uint64_t now_ns;
    uint64_t tick;
    uint64_t sweep_ns;
    uint32_t sweep_count;
    uint32_t strangers_frame_count; /* in this tick */
    uint32_t open_count;
    uint32_t free;
    uint32_t gone;
    uint32_t dirty;
    uint32_t paused_first;
    uint32_t paused_last;
    uint64_t resume_tick; /* the last in which nobody else could go on */
    uint64_t full_tick; /* in which nobody could be closed to make room: in it, that is tried again only for who needs less than half of: */
    uint32_t full_bytes;
    uint64_t skip_tick; /* up to `skipped`, nobody in the list can go on in this tick */
    uint32_t skipped;
    uint32_t oldest; /* that is not admitted */
    uint32_t newest;
    uint32_t hello_size_bytes;
    uint8_t hello[OME_ZMTP_HELLO_SIZE_MAX];
};

/* ---- Connections ---- */

static bool is_there(const connection_t *connection)
{
    return connection->state == CONNECTION_OPEN || connection->state == CONNECTION_ENDING;
}

static uint64_t peer_of(const ome_listener_t *listener, uint32_t slot)
{
    return (uint64_t)listener->connections[slot].generation << 32 | slot;
}

/* The slot of a peer that is there; 0 when it is gone. */
static uint32_t slot_of(const ome_listener_t *listener, uint64_t peer)
{
    const uint32_t slot = (uint32_t)peer;
    if (slot < 1 || slot > listener->config.connection_count_max)
    {
        return 0;
    }
    const connection_t *connection = &listener->connections[slot];
    return is_there(connection) && connection->generation == (uint32_t)(peer >> 32) ? slot : 0;
}

/* The slot of a peer that is there and does not end; 0 otherwise. */
static uint32_t open_slot_of(const ome_listener_t *listener, uint64_t peer)
{
    const uint32_t slot = slot_of(listener, peer);
    return slot != 0 && listener->connections[slot].state == CONNECTION_OPEN ? slot : 0;
}

static void watch(const ome_listener_t *listener, uint32_t slot)
{
    const connection_t *connection = &listener->connections[slot];
    struct epoll_event event = {
        .events = (!connection->is_paused ? EPOLLIN : 0u) | (connection->wants_write ? EPOLLOUT : 0u), .data.u64 = peer_of(listener, slot)};
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

/* While it is off, nobody is accepted: connections wait in the kernel's queue. */
static void watch_listening(ome_listener_t *listener, bool listens)
{
    struct epoll_event event = {.events = listens ? EPOLLIN : 0u, .data.u64 = LISTEN_KEY};
    listener->listens = listens;
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_MOD, listener->config.listen_fd, &event);
}

/* Puts it in, or takes it out of, the list of those that are not admitted. */
static void enlist(ome_listener_t *listener, uint32_t slot)
{
    connection_t *connection = &listener->connections[slot];
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

static void delist(ome_listener_t *listener, uint32_t slot)
{
    const connection_t *connection = &listener->connections[slot];
    *(connection->older != 0 ? &listener->connections[connection->older].newer : &listener->oldest) = connection->newer;
    *(connection->newer != 0 ? &listener->connections[connection->newer].older : &listener->newest) = connection->older;
}

static void count_queued(const ome_listener_t *listener)
{
    ome_counter_set(listener->config.counters.queued_bytes, (uint64_t)listener->blocks.used_count * OME_BLOCK_SIZE);
}

/* Closes it at once. What waits in either direction is dropped. */
static void close_connection(ome_listener_t *listener, uint32_t slot)
{
    connection_t *connection = &listener->connections[slot];
    OME_ASSERT(is_there(connection));
    ome_block_queue_drop(&listener->blocks, &connection->in, connection->in.size_bytes);
    ome_block_queue_drop(&listener->blocks, &connection->out, connection->out.size_bytes);
    if (!connection->is_admitted)
    {
        delist(listener, slot);
    }
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL); /* closing it does not, while a forked child has a copy */
    (void)close(connection->fd);
    if (listener->current == slot)
    {
        listener->current = 0;
    }
    listener->open_count--;
    ome_counter_set(listener->config.counters.connections, listener->open_count);
    count_queued(listener);
    const bool tells = connection->is_admitted && connection->state == CONNECTION_OPEN;
    connection->state = tells ? CONNECTION_GONE : CONNECTION_FREE;
    connection->next_free = tells ? listener->gone : listener->free;
    *(tells ? &listener->gone : &listener->free) = slot;
}

static void close_counted(ome_listener_t *listener, uint32_t slot, ome_counter_t *counter)
{
    ome_counter_add(counter, 1);
    close_connection(listener, slot);
}

static bool is_stalled(const ome_listener_t *listener, const connection_t *connection)
{
    return connection->out.size_bytes > 0 && listener->now_ns - connection->moved_ns >= STALLED_MS * NS_PER_MS;
}

/* The pool is used up: closes the connection that holds most, of those that do not read; if all read, of those that hold more than twice
 * what the one that is to be spared needs: who reads a little at a time must not keep what all share. False where there is none. */
static bool make_room(ome_listener_t *listener, uint32_t spared, uint64_t needed_bytes)
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
        const connection_t *connection = &listener->connections[slot];
        const uint32_t held_bytes = connection->in.size_bytes + connection->out.size_bytes;
        if (!is_there(connection) || slot == spared)
        {
            continue;
        }
        if (held_bytes > largest_bytes)
        {
            largest = slot;
            largest_bytes = held_bytes;
        }
        if (held_bytes > idle_bytes && (is_stalled(listener, connection) || !connection->is_admitted))
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
    close_counted(listener, worst, listener->config.counters.slow);
    return true;
}

/* ---- Writing ---- */

/* Writes what waits, as far as the kernel takes it. */
static void flush_connection(ome_listener_t *listener, uint32_t slot)
{
    connection_t *connection = &listener->connections[slot];
    bool is_full = false;
    while (connection->out.size_bytes > 0 && !is_full)
    {
        struct iovec pieces[PIECE_COUNT];
        const struct msghdr message = {
            .msg_iov = pieces, .msg_iovlen = ome_block_queue_look(&listener->blocks, &connection->out, pieces, PIECE_COUNT)};
        const ssize_t written = sendmsg(connection->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        {
            close_connection(listener, slot);
            return;
        }
        is_full = written < 0 && errno != EINTR;
        if (written > 0)
        {
            ome_block_queue_drop(&listener->blocks, &connection->out, (uint32_t)written);
            connection->moved_ns = listener->now_ns;
        }
    }
    count_queued(listener);
    if (connection->out.size_bytes == 0 && connection->state == CONNECTION_ENDING && !connection->is_shut)
    {
        connection->is_shut = true; /* to close it now would cut off what is under way, if it has sent something that nobody read */
        (void)shutdown(connection->fd, SHUT_WR);
    }
    if (connection->wants_write != is_full)
    {
        connection->wants_write = is_full;
        watch(listener, slot);
    }
}

static void flush_all(ome_listener_t *listener)
{
    while (listener->dirty != 0)
    {
        const uint32_t slot = listener->dirty;
        connection_t *connection = &listener->connections[slot];
        listener->dirty = connection->next_dirty;
        connection->is_dirty = false;
        if (is_there(connection) && !connection->wants_write)
        {
            flush_connection(listener, slot);
        }
    }
}

/* Puts bytes into its queue; they leave with the next flush. */
static bool enqueue(
    ome_listener_t *listener, uint32_t slot, const void *header, uint32_t header_size_bytes, const void *data, uint32_t data_size_bytes)
{
    connection_t *connection = &listener->connections[slot];
    const uint64_t size_bytes = (uint64_t)header_size_bytes + data_size_bytes;
    if (size_bytes + OME_BLOCK_SIZE > listener->config.pool_size_bytes)
    {
        return false; /* there will never be room for it: nobody has to go */
    }
    while (size_bytes + OME_BLOCK_SIZE > ome_blocks_free_bytes(&listener->blocks))
    {
        if (!make_room(listener, slot, size_bytes + connection->in.size_bytes + connection->out.size_bytes))
        {
            return false;
        }
    }
    if (connection->out.size_bytes == 0)
    {
        connection->moved_ns = listener->now_ns;
    }
    const bool is_in = ome_block_queue_append(&listener->blocks, &connection->out, header, header_size_bytes) &&
                       ome_block_queue_append(&listener->blocks, &connection->out, data, data_size_bytes);
    OME_ASSERT(is_in);
    if (!connection->is_dirty)
    {
        connection->is_dirty = true;
        connection->next_dirty = listener->dirty;
        listener->dirty = slot;
    }
    return true;
}

/* Straight to the kernel, where nothing waits. Returns how much of it went; -1: the connection is closed. */
static ssize_t write_now(ome_listener_t *listener, uint32_t slot, struct iovec pieces[2])
{
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    const ssize_t written = sendmsg(listener->connections[slot].fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written >= 0)
    {
        return written;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
    {
        return 0;
    }
    close_connection(listener, slot);
    return -1;
}

static ome_status_t listener_send(void *context, uint64_t peer, const uint8_t *data, uint32_t data_size_bytes)
{
    ome_listener_t *listener = context;
    const uint32_t slot = open_slot_of(listener, peer);
    if (slot == 0)
    {
        return OME_NOT_FOUND;
    }
    const connection_t *connection = &listener->connections[slot];
    uint8_t header[OME_ZMTP_HEADER_SIZE_MAX];
    const uint32_t header_size_bytes = ome_zmtp_part_header(data_size_bytes, header);
    const uint64_t size_bytes = (uint64_t)header_size_bytes + data_size_bytes;
    if (connection->out.size_bytes >= listener->config.queue_size_max_bytes)
    {
        return OME_FULL;
    }
    /* Order entry sends one frame a turn, market data many: those are better sent together. */
    uint32_t written = 0;
    if (listener->config.role == OME_ZMTP_ROUTER && connection->out.size_bytes == 0)
    {
        struct iovec pieces[2] = {{header, header_size_bytes}, {(void *)(uintptr_t)data, data_size_bytes}};
        const ssize_t went = write_now(listener, slot, pieces);
        if (went < 0)
        {
            return OME_NOT_FOUND;
        }
        if ((uint64_t)went == size_bytes)
        {
            return OME_OK;
        }
        written = (uint32_t)went;
    }
    const uint32_t header_left = written < header_size_bytes ? header_size_bytes - written : 0;
    const uint32_t data_done = written > header_size_bytes ? written - header_size_bytes : 0;
    if (!enqueue(listener, slot, header + header_size_bytes - header_left, header_left, data + data_done, data_size_bytes - data_done))
    {
        if (written > 0)
        {
            close_counted(listener, slot, listener->config.counters.slow); /* half a message is there: nothing can follow it */
            return OME_NOT_FOUND;
        }
        return OME_FULL;
    }
    if (connection->out.size_bytes >= FLUSH_SIZE && !connection->wants_write)
    {
        flush_connection(listener, slot);
    }
    return OME_OK;
}

/* ---- Accepting ---- */

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value)); /* of no kind of socket but TCP: then it does not matter */
}

static void start_connection(ome_listener_t *listener, int fd)
{
    const uint32_t slot = listener->free;
    connection_t *connection = &listener->connections[slot];
    const uint32_t generation = connection->generation + 1;
    listener->free = connection->next_free;
    const bool is_dirty = connection->is_dirty; /* still in that list, from before */
    const bool is_paused = connection->is_paused;
    const uint32_t next_dirty = connection->next_dirty;
    const uint32_t next_paused = connection->next_paused;
    *connection = (connection_t){.state = CONNECTION_OPEN,
        .fd = fd,
        .generation = generation,
        .is_dirty = is_dirty,
        .is_paused = is_paused,
        .next_dirty = next_dirty,
        .next_paused = next_paused,
        .deadline_ns = listener->now_ns + HANDSHAKE_MS * NS_PER_MS,
        .moved_ns = listener->now_ns};
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 5);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    enlist(listener, slot);
    listener->open_count++;
    ome_counter_add(listener->config.counters.accepted, 1);
    ome_counter_set(listener->config.counters.connections, listener->open_count);
    struct epoll_event event = {.events = connection->is_paused ? 0u : EPOLLIN, .data.u64 = peer_of(listener, slot)};
    /* We speak first: a peer tells its version by ours. */
    if (epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 ||
        !enqueue(listener, slot, listener->hello, listener->hello_size_bytes, listener->hello, 0))
    {
        close_counted(listener, slot, listener->config.counters.refused);
    }
}

static bool drop_oldest_stranger(ome_listener_t *listener)
{
    if (listener->oldest == 0)
    {
        return false;
    }
    close_counted(listener, listener->oldest, listener->config.counters.refused);
    return true;
}

static void accept_connections(ome_listener_t *listener)
{
    for (uint32_t i = 0; i < ACCEPT_COUNT; i++)
    {
        const int fd = accept4(listener->config.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
        {
            /* Behind the first nobody may be waiting: without a descriptor that is not told. Epoll tells. */
            const bool no_descriptor = i == 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
            if (no_descriptor && !drop_oldest_stranger(listener))
            {
                watch_listening(listener, false); /* until the next sweep, rather than be told again and again */
            }
            return;
        }
        if (listener->free == 0 && !drop_oldest_stranger(listener))
        {
            (void)close(fd);
            ome_counter_add(listener->config.counters.refused, 1);
            continue;
        }
        start_connection(listener, fd);
    }
}

/* ---- Reading ---- */

/* Keeps what was read and not taken yet. False when the connection had to be closed for want of room. */
static bool keep_rest(ome_listener_t *listener, uint32_t needed)
{
    const uint32_t slot = listener->current;
    connection_t *connection = &listener->connections[slot];
    const uint32_t rest_bytes = (uint32_t)(listener->end - listener->position);
    listener->current = 0;
    connection->needed = needed;
    while (!ome_block_queue_append(&listener->blocks, &connection->in, listener->position, rest_bytes))
    {
        if (!make_room(listener, slot, (uint64_t)connection->in.size_bytes + connection->out.size_bytes + rest_bytes))
        {
            close_counted(listener, slot, listener->config.counters.refused);
            return false;
        }
    }
    count_queued(listener);
    return true;
}

static void pause_until(ome_listener_t *listener, uint32_t slot, uint64_t resume_ns)
{
    connection_t *connection = &listener->connections[slot];
    connection->resume_ns = resume_ns > connection->resume_ns ? resume_ns : connection->resume_ns;
    if (connection->is_paused)
    {
        return;
    }
    /* At the end of the list: they get their turns in the order they came. */
    connection->is_paused = true;
    connection->next_paused = 0;
    *(listener->paused_last != 0 ? &listener->connections[listener->paused_last].next_paused : &listener->paused_first) = slot;
    listener->paused_last = slot;
    ome_counter_add(listener->config.counters.pauses, 1);
    watch(listener, slot);
}

static void start_tick_of(const ome_listener_t *listener, connection_t *connection)
{
    if (connection->tick != listener->tick)
    {
        connection->tick = listener->tick;
        connection->frame_count = 0;
        connection->command_count = 0;
    }
}

/* Whether the connection may have another item in this tick. */
static bool has_credit(ome_listener_t *listener, connection_t *connection)
{
    start_tick_of(listener, connection);
    if (connection->command_count >= COMMAND_COUNT)
    {
        return false;
    }
    /* A handshake is short: who comes while others send much is not late by it. */
    return connection->is_admitted || connection->stage != OME_ZMTP_STAGE_TRAFFIC ||
           (connection->frame_count < STRANGER_FRAME_COUNT && listener->strangers_frame_count < STRANGERS_FRAME_COUNT);
}

static void count_item(ome_listener_t *listener, connection_t *connection, ome_zmtp_kind_t kind)
{
    connection->command_count += kind != OME_ZMTP_PART;
    if (!connection->is_admitted)
    {
        connection->frame_count++;
        listener->strangers_frame_count++;
    }
}

/* Who is nobody and sends much does not stay for as long as who is silent: what it has sent is read slowly, and would keep it here after
 * it is gone. */
static void limit_noise(const ome_listener_t *listener, connection_t *connection)
{
    const uint64_t end_ns = listener->now_ns + NOISY_MS * NS_PER_MS;
    if (!connection->is_admitted && connection->deadline_ns > end_ns)
    {
        connection->deadline_ns = end_ns;
    }
}

/* Takes the beginning of what the current connection sent, up to the first item for the caller. False when there is none: then there is
 * no current connection any more. */
static bool next_item(ome_listener_t *listener, ome_socket_message_t *message)
{
    while (listener->current != 0)
    {
        const uint32_t slot = listener->current;
        connection_t *connection = &listener->connections[slot];
        ome_zmtp_item_t item;
        if (connection->is_paused || !has_credit(listener, connection))
        {
            if (keep_rest(listener, 0))
            {
                pause_until(listener, slot, (listener->tick + 1) * TICK_MS * NS_PER_MS);
                limit_noise(listener, connection);
            }
            return false;
        }
        ome_zmtp_next(&connection->stage, listener->config.role, listener->config.part_size_max_bytes, listener->position,
            (uint32_t)(listener->end - listener->position), &item);
        listener->position += item.consumed_bytes;
        switch (item.kind)
        {
        case OME_ZMTP_MORE:
            (void)keep_rest(listener, item.needed);
            return false;
        case OME_ZMTP_FAULT:
            close_counted(listener, slot, listener->config.counters.faults);
            return false;
        case OME_ZMTP_GREETED:
            break;
        case OME_ZMTP_CONNECTED:
            connection->deadline_ns = listener->now_ns + ADMISSION_MS * NS_PER_MS;
            break;
        case OME_ZMTP_PING:
        {
            /* One that does not read its answers gets none: a queue of them helps nobody. */
            uint8_t pong[OME_ZMTP_PONG_SIZE_MAX];
            count_item(listener, connection, item.kind);
            if (connection->out.size_bytes < OME_BLOCK_SIZE)
            {
                (void)enqueue(listener, slot, pong, ome_zmtp_pong(item.data, item.data_size_bytes, pong), pong, 0);
            }
            break;
        }
        case OME_ZMTP_NOTHING:
            count_item(listener, connection, item.kind);
            break;
        default:
            count_item(listener, connection, item.kind);
            *message = (ome_socket_message_t){.peer = peer_of(listener, slot),
                .data = item.data,
                .data_size_bytes = item.data_size_bytes,
                .kind = item.kind == OME_ZMTP_PART        ? OME_SOCKET_PART
                        : item.kind == OME_ZMTP_SUBSCRIBE ? OME_SOCKET_SUBSCRIBE
                                                          : OME_SOCKET_CANCEL};
            return true;
        }
    }
    return false;
}

/* Reads once from a connection, which then is the current one if there is something to take. */
static void read_connection(ome_listener_t *listener, uint32_t slot)
{
    connection_t *connection = &listener->connections[slot];
    uint8_t *into = listener->buffer + listener->headroom;
    const uint32_t held_bytes = connection->in.size_bytes;
    const bool is_ending = connection->state == CONNECTION_ENDING;
    uint32_t read_bytes = 0;
    /* What was kept over a pause comes first, before more is read. */
    if (held_bytes == 0 || connection->needed > 0)
    {
        const ssize_t count =
            recv(connection->fd, into, connection->is_admitted || is_ending ? READ_SIZE : STRANGER_READ_SIZE, MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        {
            close_connection(listener, slot);
            return;
        }
        read_bytes = count > 0 ? (uint32_t)count : 0;
    }
    if (is_ending)
    {
        if (read_bytes > 0)
        {
            pause_until(listener, slot, (listener->tick + 1) * TICK_MS * NS_PER_MS); /* however much it sends, it costs little */
        }
        return;
    }
    listener->current = slot;
    listener->position = into;
    listener->end = into + read_bytes;
    if (held_bytes + read_bytes < connection->needed || read_bytes + held_bytes == 0)
    {
        (void)keep_rest(listener, connection->needed); /* it is not put together again for every byte */
        return;
    }
    OME_ASSERT(held_bytes <= listener->headroom);
    listener->position = into - held_bytes;
    ome_block_queue_take_all(&listener->blocks, &connection->in, into - held_bytes);
}

/* ---- Time ---- */

/* Whether what it was sent has not been acknowledged for so long that it must be dead. */
static bool is_dead(const connection_t *connection)
{
    struct tcp_info info;
    socklen_t size_bytes = sizeof(info);
    return getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size_bytes) == 0 && info.tcpi_unacked > 0 &&
           info.tcpi_last_ack_recv > DEAD_MS;
}

static void sweep(ome_listener_t *listener)
{
    listener->sweep_ns = listener->now_ns + SWEEP_MS * NS_PER_MS;
    listener->sweep_count++;
    if (!listener->listens)
    {
        watch_listening(listener, true);
    }
    for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
    {
        const connection_t *connection = &listener->connections[slot];
        if (connection->state == CONNECTION_ENDING && connection->deadline_ns <= listener->now_ns)
        {
            close_connection(listener, slot);
        }
        else if (connection->state == CONNECTION_OPEN && !connection->is_admitted && connection->deadline_ns <= listener->now_ns)
        {
            close_counted(listener, slot, listener->config.counters.faults);
        }
        else if (connection->state == CONNECTION_OPEN && slot % DEAD_SWEEPS == listener->sweep_count % DEAD_SWEEPS && is_dead(connection))
        {
            close_counted(listener, slot, listener->config.counters.slow);
        }
    }
}

static void look_at_clock(ome_listener_t *listener)
{
    listener->now_ns = listener->config.clock_ns();
    const uint64_t tick = listener->now_ns / (TICK_MS * NS_PER_MS);
    if (tick != listener->tick)
    {
        listener->tick = tick;
        listener->strangers_frame_count = 0;
    }
    if (listener->now_ns >= listener->sweep_ns)
    {
        sweep(listener);
    }
}

/* Makes the first of the paused connections that may go on the current one. */
static void resume_one(ome_listener_t *listener)
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
        connection_t *connection = &listener->connections[slot];
        const uint32_t next = connection->next_paused;
        const bool has_turn = connection->state == CONNECTION_ENDING || has_credit(listener, connection);
        if (is_there(connection) && (connection->resume_ns > listener->now_ns || !has_turn))
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
        if (is_there(connection))
        {
            listener->skipped = previous;
            watch(listener, slot);
            read_connection(listener, slot);
            return;
        }
        slot = next;
    }
    listener->skipped = previous;
    listener->resume_tick = listener->tick;
}

/* ---- The table ---- */

static bool take_event(ome_listener_t *listener, const struct epoll_event *event)
{
    if (event->data.u64 == LISTEN_KEY)
    {
        accept_connections(listener);
        return false;
    }
    const uint32_t slot = event->data.u64 == EVENT_FD_KEY ? 0 : slot_of(listener, event->data.u64);
    if (slot == 0)
    {
        return false;
    }
    if ((event->events & EPOLLOUT) != 0)
    {
        flush_connection(listener, slot);
    }
    if (slot_of(listener, event->data.u64) == 0)
    {
        return false;
    }
    const connection_t *connection = &listener->connections[slot];
    if ((event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0)
    {
        return false;
    }
    if (connection->is_paused)
    {
        if ((event->events & (EPOLLERR | EPOLLHUP)) != 0)
        {
            close_connection(listener, slot); /* nobody would read that it is broken, and epoll would tell of it again and again */
        }
        return false;
    }
    read_connection(listener, slot);
    return listener->current != 0;
}

/* Whether one of the paused connections may perhaps go on. */
static bool may_resume(const ome_listener_t *listener)
{
    return listener->paused_first != 0 && listener->resume_tick != listener->tick;
}

/* Looks for a connection that sent something. False when there is none now. */
static bool next_connection(ome_listener_t *listener)
{
    while (listener->event_index < listener->event_count)
    {
        if (take_event(listener, &listener->events[listener->event_index++]))
        {
            return true;
        }
    }
    if (may_resume(listener))
    {
        resume_one(listener);
    }
    return listener->current != 0;
}

static ome_status_t poll_events(ome_listener_t *listener, int timeout_ms)
{
    listener->event_index = 0;
    listener->event_count = 0;
    const int count = epoll_wait(listener->epoll_fd, listener->events, EVENT_COUNT, timeout_ms);
    if (count < 0 && errno != EINTR)
    {
        listener->is_failed = true;
        return OME_STOPPED;
    }
    listener->event_count = count > 0 ? (uint32_t)count : 0;
    look_at_clock(listener);
    return OME_OK;
}

static bool take_gone(ome_listener_t *listener, ome_socket_message_t *message)
{
    const uint32_t slot = listener->gone;
    if (slot == 0)
    {
        return false;
    }
    connection_t *connection = &listener->connections[slot];
    *message = (ome_socket_message_t){.peer = peer_of(listener, slot), .kind = OME_SOCKET_GONE};
    listener->gone = connection->next_free;
    connection->state = CONNECTION_FREE;
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
    flush_all(listener);
    for (;;)
    {
        if (next_item(listener, message) || take_gone(listener, message))
        {
            return OME_OK;
        }
        /* The caller gets its turn also while many send what is not for it. */
        const bool has_turns = turn_count++ < TURN_COUNT;
        if (has_turns && (next_connection(listener) || listener->gone != 0))
        {
            continue;
        }
        flush_all(listener);
        if (has_polled || !has_turns)
        {
            return OME_EMPTY;
        }
        if (poll_events(listener, 0) != OME_OK)
        {
            return OME_STOPPED;
        }
        has_polled = true;
    }
}

static uint32_t listener_queued(void *context, uint64_t peer)
{
    const ome_listener_t *listener = context;
    const uint32_t slot = slot_of(listener, peer);
    return slot != 0 ? listener->connections[slot].out.size_bytes : 0;
}

static ome_status_t listener_admit(void *context, uint64_t peer, int is_admitted)
{
    ome_listener_t *listener = context;
    const uint32_t slot = open_slot_of(listener, peer);
    if (slot == 0)
    {
        return OME_NOT_FOUND;
    }
    connection_t *connection = &listener->connections[slot];
    if (connection->is_admitted == (is_admitted != 0))
    {
        return OME_OK;
    }
    connection->is_admitted = is_admitted != 0;
    connection->deadline_ns = listener->now_ns + ADMISSION_MS * NS_PER_MS;
    if (connection->is_admitted)
    {
        delist(listener, slot);
    }
    else
    {
        enlist(listener, slot);
    }
    return OME_OK;
}

static void listener_pause(void *context, uint64_t peer, uint32_t duration_ms)
{
    ome_listener_t *listener = context;
    const uint32_t slot = open_slot_of(listener, peer);
    if (slot != 0)
    {
        pause_until(listener, slot, listener->now_ns + duration_ms * NS_PER_MS);
    }
}

static void listener_end(void *context, uint64_t peer, const uint8_t *data, uint32_t data_size_bytes)
{
    ome_listener_t *listener = context;
    const uint32_t slot = open_slot_of(listener, peer);
    if (slot == 0)
    {
        return;
    }
    connection_t *connection = &listener->connections[slot];
    uint8_t header[OME_ZMTP_HEADER_SIZE_MAX];
    if (data != NULL)
    {
        (void)enqueue(listener, slot, header, ome_zmtp_part_header(data_size_bytes, header), data, data_size_bytes);
    }
    (void)listener_admit(listener, peer, 0); /* who ends makes room for who comes */
    connection->state = CONNECTION_ENDING;
    connection->deadline_ns = listener->now_ns + ENDING_MS * NS_PER_MS;
    connection->needed = 0;
    connection->resume_ns = 0; /* a pause is over */
    ome_block_queue_drop(&listener->blocks, &connection->in, connection->in.size_bytes);
    if (listener->current == slot)
    {
        listener->current = 0;
    }
    watch(listener, slot);
    if (!connection->wants_write)
    {
        flush_connection(listener, slot);
    }
}

/* How long it may sleep at most, so that pauses and deadlines are looked at. */
static int sleep_ms(const ome_listener_t *listener, uint32_t timeout_ms)
{
    const uint32_t most_ms = listener->paused_first != 0 ? TICK_MS : SWEEP_MS;
    return (int)(timeout_ms < most_ms ? timeout_ms : most_ms);
}

static ome_status_t listener_wait(void *context, int event_fd, uint32_t timeout_ms)
{
    ome_listener_t *listener = context;
    if (listener->is_failed)
    {
        return OME_STOPPED;
    }
    flush_all(listener);
    if (listener->current != 0 || listener->gone != 0 || listener->event_index < listener->event_count || may_resume(listener))
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
    const ome_status_t status = poll_events(listener, sleep_ms(listener, timeout_ms));
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

static uint64_t connections_size(const ome_listener_config_t *config)
{
    return ((uint64_t)config->connection_count_max + 1) * sizeof(connection_t);
}

static uint64_t buffer_size(const ome_listener_t *listener)
{
    return (uint64_t)listener->headroom + READ_SIZE;
}

static bool is_config_good(const ome_listener_config_t *config)
{
    return config->connection_count_max >= 1 && config->connection_count_max <= UINT32_C(1) << 20 && config->listen_fd >= 0 &&
           config->part_size_max_bytes >= 1 && config->part_size_max_bytes <= UINT32_C(1) << 20 &&
           config->pool_size_bytes >= 2 * (uint64_t)config->part_size_max_bytes + 2 * READ_SIZE &&
           config->pool_size_bytes <= UINT64_C(1) << 40;
}

ome_status_t ome_listener_create(const ome_listener_config_t *config, ome_listener_t **listener)
{
    if (!is_config_good(config))
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
    made->headroom = (READ_SIZE > config->part_size_max_bytes ? READ_SIZE : config->part_size_max_bytes) + OME_ZMTP_HEADER_SIZE_MAX +
                     config->part_size_max_bytes;
    made->connections = ome_memory_map(connections_size(config));
    made->buffer = ome_memory_map(buffer_size(made));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = LISTEN_KEY};
    ome_status_t status = ome_blocks_create(&made->blocks, config->pool_size_bytes);
    if (made->connections == NULL || made->buffer == NULL)
    {
        status = OME_NO_MEMORY;
    }
    else if (made->epoll_fd < 0 || epoll_ctl(made->epoll_fd, EPOLL_CTL_ADD, config->listen_fd, &event) != 0)
    {
        status = OME_IO_ERROR;
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
    made->hello_size_bytes = ome_zmtp_hello(config->role, made->hello);
    made->now_ns = made->config.clock_ns();
    made->table = (ome_socket_t){.context = made,
        .receive = listener_receive,
        .send = listener_send,
        .queued = listener_queued,
        .admit = listener_admit,
        .pause = listener_pause,
        .end = listener_end,
        .wait = listener_wait};
    *listener = made;
    return OME_OK;
}

/* Sends what waits and ends all connections. Who has sent something that nobody read must close first: otherwise the kernel cuts off
 * what is under way to it. */
static void drain(ome_listener_t *listener, uint32_t linger_ms)
{
    const uint64_t deadline_ns = listener->config.clock_ns() + linger_ms * NS_PER_MS;
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->config.listen_fd, NULL);
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->event_fd, NULL);
    for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
    {
        listener_end(listener, peer_of(listener, slot), NULL, 0);
    }
    while (listener->open_count > 0 && listener->now_ns < deadline_ns && poll_events(listener, (int)TICK_MS) == OME_OK)
    {
        while (listener->event_index < listener->event_count)
        {
            (void)take_event(listener, &listener->events[listener->event_index++]);
        }
        while (may_resume(listener))
        {
            resume_one(listener);
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
        drain(listener, linger_ms);
        for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
        {
            if (is_there(&listener->connections[slot]))
            {
                close_connection(listener, slot);
            }
        }
    }
    if (listener->epoll_fd >= 0)
    {
        (void)close(listener->epoll_fd);
    }
    ome_blocks_destroy(&listener->blocks);
    ome_memory_unmap(listener->connections, connections_size(&listener->config));
    ome_memory_unmap(listener->buffer, buffer_size(listener));
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
        const connection_t *connection = &listener->connections[slot];
        if (is_there(connection))
        {
            (void)close(connection->fd);
        }
    }
    (void)close(listener->epoll_fd);
}
