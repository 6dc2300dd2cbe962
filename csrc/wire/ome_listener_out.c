/* Output to connections: sent at once if the kernel takes it, otherwise from a bounded queue. */
#include "wire/ome_listener_state.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/ome_assert.h"

#define PIECE_COUNT 32u
#define FLUSH_SIZE (UINT32_C(64) * 1024)

void ome_listener_flush_connection(ome_listener_t *listener, uint32_t slot)
{
    ome_connection_t *connection = &listener->connections[slot];
    bool is_full = false;
    while (connection->out.size_bytes > 0 && !is_full)
    {
        struct iovec pieces[PIECE_COUNT];
        const struct msghdr message = {
            .msg_iov = pieces, .msg_iovlen = ome_block_queue_look(&listener->blocks, &connection->out, pieces, PIECE_COUNT)};
        const ssize_t written = sendmsg(connection->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        {
            ome_listener_close_connection(listener, slot);
            return;
        }
        is_full = written < 0 && errno != EINTR;
        if (written > 0)
        {
            ome_block_queue_drop(&listener->blocks, &connection->out, (uint32_t)written);
            connection->moved_ns = listener->now_ns;
        }
    }
    ome_listener_count_queued(listener);
    if (connection->out.size_bytes == 0 && connection->state == OME_CONNECTION_ENDING && !connection->is_shut)
    {
        connection->is_shut = true; /* to close it now would cut off what is under way, if it has sent something that nobody read */
        (void)shutdown(connection->fd, SHUT_WR);
    }
    if (connection->wants_write != is_full)
    {
        connection->wants_write = is_full;
        ome_listener_watch(listener, slot);
    }
}

void ome_listener_flush_all(ome_listener_t *listener)
{
    while (listener->dirty != 0)
    {
        const uint32_t slot = listener->dirty;
        ome_connection_t *connection = &listener->connections[slot];
        listener->dirty = connection->next_dirty;
        connection->is_dirty = false;
        if (ome_listener_is_there(connection) && !connection->wants_write)
        {
            ome_listener_flush_connection(listener, slot);
        }
    }
}

bool ome_listener_enqueue(
    ome_listener_t *listener, uint32_t slot, const void *header, uint32_t header_size_bytes, const void *data, uint32_t data_size_bytes)
{
    ome_connection_t *connection = &listener->connections[slot];
    const uint64_t size_bytes = (uint64_t)header_size_bytes + data_size_bytes;
    if (size_bytes + OME_BLOCK_SIZE > listener->config.pool_size_bytes)
    {
        return false; /* there will never be room for it: nobody has to go */
    }
    while (size_bytes + OME_BLOCK_SIZE > ome_blocks_free_bytes(&listener->blocks))
    {
        if (!ome_listener_make_room(listener, slot, size_bytes + connection->in.size_bytes + connection->out.size_bytes))
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

bool ome_listener_enqueue_frame(ome_listener_t *listener, uint32_t slot, bool is_command, const uint8_t *data, uint32_t data_size_bytes)
{
    uint8_t header[OME_ZMTP_HEADER_SIZE_MAX];
    if (listener->curves == NULL)
    {
        const uint32_t header_size_bytes =
            is_command ? ome_zmtp_command_header(data_size_bytes, header) : ome_zmtp_part_header(data_size_bytes, header);
        return ome_listener_enqueue(listener, slot, header, header_size_bytes, data, data_size_bytes);
    }
    if (!ome_listener_may_send(listener, slot) || data_size_bytes > ome_listener_sealed_size_max(listener))
    {
        return false;
    }
    const uint32_t size_bytes = ome_listener_seal(listener, slot, is_command, data, data_size_bytes);
    return ome_listener_enqueue(listener, slot, listener->sealed, size_bytes, listener->sealed, 0);
}

void ome_listener_end_connection(ome_listener_t *listener, uint32_t slot)
{
    ome_connection_t *connection = &listener->connections[slot];
    OME_EXPECT(connection->state == OME_CONNECTION_OPEN);
    if (connection->is_admitted) /* who ends makes room for who comes */
    {
        connection->is_admitted = false;
        ome_listener_enlist(listener, slot);
    }
    connection->state = OME_CONNECTION_ENDING;
    connection->deadline_ns = listener->now_ns + OME_LISTENER_ENDING_MS * OME_LISTENER_NS_PER_MS;
    connection->needed = 0;
    connection->resume_ns = 0; /* a pause is over */
    ome_block_queue_drop(&listener->blocks, &connection->in, connection->in.size_bytes);
    if (listener->current == slot)
    {
        listener->current = 0;
    }
    ome_listener_watch(listener, slot);
    if (!connection->wants_write)
    {
        ome_listener_flush_connection(listener, slot);
    }
}

/* Straight to the kernel, where nothing waits. Returns how much of it went; -1: the connection is closed. */
static ssize_t listener_write_now(ome_listener_t *listener, uint32_t slot, struct iovec pieces[2])
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
    ome_listener_close_connection(listener, slot);
    return -1;
}

static ome_status_t listener_send_frame(ome_listener_t *listener, uint32_t slot, const uint8_t *header, uint32_t header_size_bytes,
    const uint8_t *data, uint32_t data_size_bytes)
{
    const ome_connection_t *connection = &listener->connections[slot];
    const uint64_t size_bytes = (uint64_t)header_size_bytes + data_size_bytes;
    /* Order entry sends one frame a turn, market data many: those are better sent together. */
    uint32_t written = 0;
    if (listener->config.role == OME_ZMTP_ROUTER && connection->out.size_bytes == 0)
    {
        struct iovec pieces[2] = {{(void *)(uintptr_t)header, header_size_bytes}, {(void *)(uintptr_t)data, data_size_bytes}};
        const ssize_t went = listener_write_now(listener, slot, pieces);
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
    if (!ome_listener_enqueue(
            listener, slot, header + header_size_bytes - header_left, header_left, data + data_done, data_size_bytes - data_done))
    {
        if (written > 0)
        {
            ome_listener_close_counted(listener, slot, listener->config.counters.slow); /* half a message is there: nothing can follow it */
            return OME_NOT_FOUND;
        }
        return OME_FULL;
    }
    if (connection->out.size_bytes >= FLUSH_SIZE && !connection->wants_write)
    {
        ome_listener_flush_connection(listener, slot);
    }
    return OME_OK;
}

ome_status_t ome_listener_send(void *context, uint64_t peer, const uint8_t *data, uint32_t data_size_bytes)
{
    ome_listener_t *listener = context;
    const uint32_t slot = ome_listener_open_slot_of(listener, peer);
    if (slot == 0)
    {
        return OME_NOT_FOUND;
    }
    const ome_connection_t *connection = &listener->connections[slot];
    if (connection->out.size_bytes >= listener->config.queue_size_max_bytes)
    {
        return OME_FULL;
    }
    if (listener->curves == NULL)
    {
        uint8_t header[OME_ZMTP_HEADER_SIZE_MAX];
        return listener_send_frame(listener, slot, header, ome_zmtp_part_header(data_size_bytes, header), data, data_size_bytes);
    }
    if (!ome_listener_may_send(listener, slot))
    {
        return OME_NOT_FOUND;
    }
    if (data_size_bytes > ome_listener_sealed_size_max(listener))
    {
        return OME_FULL; /* there will never be room for it */
    }
    const uint32_t size_bytes = ome_listener_seal(listener, slot, false, data, data_size_bytes);
    return listener_send_frame(listener, slot, listener->sealed, size_bytes, listener->sealed, 0);
}
