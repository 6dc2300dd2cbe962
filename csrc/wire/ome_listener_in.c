/* Input from connections: frames, one at a time, as fast as the caller takes them. */
#include "wire/ome_listener_state.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/ome_assert.h"

#define NOISY_MS 10000u /* for who sends more than it may before it is admitted */
#define STRANGER_FRAME_COUNT 4u
#define STRANGERS_FRAME_COUNT 16u /* of all that are not admitted together */
#define COMMAND_COUNT 256u
#define STRANGER_READ_SIZE 2048u

/* Keeps bytes that were read and not taken yet. False if the connection had to be closed because there was no room. */
static bool listener_keep_rest(ome_listener_t *listener, uint32_t needed)
{
    const uint32_t slot = listener->current;
    ome_connection_t *connection = &listener->connections[slot];
    const uint32_t rest_bytes = (uint32_t)(listener->end - listener->position);
    listener->current = 0;
    connection->needed = needed;
    while (!ome_block_queue_append(&listener->blocks, &connection->in, listener->position, rest_bytes))
    {
        if (!ome_listener_make_room(listener, slot, (uint64_t)connection->in.size_bytes + connection->out.size_bytes + rest_bytes))
        {
            ome_listener_close_counted(listener, slot, listener->config.counters.refused);
            return false;
        }
    }
    ome_listener_count_queued(listener);
    return true;
}

void ome_listener_pause_until(ome_listener_t *listener, uint32_t slot, uint64_t resume_ns)
{
    ome_connection_t *connection = &listener->connections[slot];
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
    ome_listener_watch(listener, slot);
}

static void listener_start_tick_of(const ome_listener_t *listener, ome_connection_t *connection)
{
    if (connection->tick != listener->tick)
    {
        connection->tick = listener->tick;
        connection->frame_count = 0;
        connection->command_count = 0;
    }
}

bool ome_listener_has_credit(ome_listener_t *listener, ome_connection_t *connection)
{
    listener_start_tick_of(listener, connection);
    if (connection->command_count >= COMMAND_COUNT)
    {
        return false;
    }
    /* A handshake is short: who comes while others send much is not late by it. */
    if (connection->stage != OME_ZMTP_STAGE_TRAFFIC)
    {
        return ome_listener_may_shake_hands(listener, connection);
    }
    return connection->is_admitted ||
           (connection->frame_count < STRANGER_FRAME_COUNT && listener->strangers_frame_count < STRANGERS_FRAME_COUNT);
}

static void listener_count_item(ome_listener_t *listener, ome_connection_t *connection, ome_zmtp_kind_t kind)
{
    connection->command_count += kind != OME_ZMTP_PART;
    if (!connection->is_admitted)
    {
        connection->frame_count++;
        listener->strangers_frame_count++;
    }
}

/* Who is nobody and sends much does not stay for as long as who is silent: what it has sent is read slowly, and would
 * keep it here after it is gone. */
static void listener_limit_noise(const ome_listener_t *listener, ome_connection_t *connection)
{
    const uint64_t end_ns = listener->now_ns + NOISY_MS * OME_LISTENER_NS_PER_MS;
    if (!connection->is_admitted && connection->deadline_ns > end_ns)
    {
        connection->deadline_ns = end_ns;
    }
}

/* Sends what a handshake calls for, also to a connection that is refused. False when the connection is gone, or ends. */
static bool listener_answer(ome_listener_t *listener, uint32_t slot, const ome_zmtp_item_t *item, const ome_curve_answer_t *answer)
{
    if (answer->size_bytes > 0 && !ome_listener_enqueue(listener, slot, answer->data, answer->size_bytes, answer->data, 0))
    {
        ome_listener_close_counted(listener, slot, listener->config.counters.refused);
        return false;
    }
    if (item->kind != OME_ZMTP_FAULT)
    {
        return true;
    }
    if (answer->size_bytes > 0)
    {
        ome_counter_add(listener->config.counters.faults, 1);
        ome_listener_end_connection(listener, slot);
    }
    else
    {
        ome_listener_close_counted(listener, slot, listener->config.counters.faults);
    }
    return false;
}

/* One that does not read its answers gets none: a queue of them helps nobody. */
static void listener_answer_ping(ome_listener_t *listener, uint32_t slot, const ome_zmtp_item_t *item)
{
    uint8_t pong[OME_ZMTP_PONG_SIZE_MAX];
    if (listener->connections[slot].out.size_bytes < OME_BLOCK_SIZE)
    {
        const uint32_t size_bytes = ome_zmtp_pong(item->data, item->data_size_bytes, pong);
        (void)ome_listener_enqueue_frame(listener, slot, true, pong, size_bytes);
    }
}

static void listener_pause_to_next_tick(ome_listener_t *listener, uint32_t slot)
{
    ome_connection_t *connection = &listener->connections[slot];
    connection->has_waited = connection->stage != OME_ZMTP_STAGE_TRAFFIC;
    ome_listener_pause_until(listener, slot, (listener->tick + 1) * OME_LISTENER_TICK_MS * OME_LISTENER_NS_PER_MS);
    listener_limit_noise(listener, connection);
}

bool ome_listener_next_item(ome_listener_t *listener, ome_socket_message_t *message)
{
    while (listener->current != 0)
    {
        const uint32_t slot = listener->current;
        ome_connection_t *connection = &listener->connections[slot];
        ome_zmtp_item_t item;
        ome_curve_answer_t answer;
        if (connection->is_paused || !ome_listener_has_credit(listener, connection))
        {
            if (listener_keep_rest(listener, 0))
            {
                listener_pause_to_next_tick(listener, slot);
            }
            return false;
        }
        ome_listener_open_item(listener, &item, &answer);
        if (!listener_answer(listener, slot, &item, &answer))
        {
            return false;
        }
        switch (item.kind)
        {
        case OME_ZMTP_MORE:
            (void)listener_keep_rest(listener, item.needed);
            return false;
        case OME_ZMTP_GREETED:
            break;
        case OME_ZMTP_CONNECTED:
            connection->deadline_ns = listener->now_ns + OME_LISTENER_ADMISSION_MS * OME_LISTENER_NS_PER_MS;
            break;
        case OME_ZMTP_PING:
            listener_count_item(listener, connection, item.kind);
            listener_answer_ping(listener, slot, &item);
            break;
        case OME_ZMTP_NOTHING:
            listener_count_item(listener, connection, item.kind);
            break;
        default:
            listener_count_item(listener, connection, item.kind);
            *message = (ome_socket_message_t){.peer = ome_listener_peer_of(listener, slot),
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

void ome_listener_read_connection(ome_listener_t *listener, uint32_t slot)
{
    ome_connection_t *connection = &listener->connections[slot];
    uint8_t *into = listener->buffer + listener->headroom;
    const uint32_t held_bytes = connection->in.size_bytes;
    const bool is_ending = connection->state == OME_CONNECTION_ENDING;
    uint32_t read_bytes = 0;
    /* What was kept over a pause comes first, before more is read. */
    if (held_bytes == 0 || connection->needed > 0)
    {
        const ssize_t count =
            recv(connection->fd, into, connection->is_admitted || is_ending ? OME_LISTENER_READ_SIZE : STRANGER_READ_SIZE, MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        {
            ome_listener_close_connection(listener, slot);
            return;
        }
        read_bytes = count > 0 ? (uint32_t)count : 0;
    }
    if (is_ending)
    {
        if (read_bytes > 0)
        {
            ome_listener_pause_until(listener, slot,
                (listener->tick + 1) * OME_LISTENER_TICK_MS * OME_LISTENER_NS_PER_MS); /* however much it sends, it costs little */
        }
        return;
    }
    listener->current = slot;
    listener->position = into;
    listener->end = into + read_bytes;
    if (held_bytes + read_bytes < connection->needed || read_bytes + held_bytes == 0)
    {
        (void)listener_keep_rest(listener, connection->needed); /* it is not put together again for every byte */
        return;
    }
    OME_ASSERT(held_bytes <= listener->headroom);
    listener->position = into - held_bytes;
    ome_block_queue_take_all(&listener->blocks, &connection->in, into - held_bytes);
}
