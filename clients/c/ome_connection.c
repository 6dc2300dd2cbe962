#include "ome_connection.h"

#include <stdio.h>

#ifdef OME_CLIENT_OWN_ZMQ
#include "ome_zmq.h"
#else
#include <zmq.h>
#endif

OME_CHECK_LAYOUT(frame, sizeof(zmq_msg_t) == 64);

#define LOSSES                                                                                                                             \
    (ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |              \
        ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

static zmq_msg_t *connection_frame(ome_connection_t *connection)
{
    return (zmq_msg_t *)(void *)&connection->frame;
}

static void connection_drop_frame(ome_connection_t *connection)
{
    if (connection->has_frame)
    {
        (void)zmq_msg_close(connection_frame(connection));
    }
    connection->has_frame = false;
}

bool ome_connection_create(ome_connection_t *connection)
{
    connection->context = zmq_ctx_new();
    return connection->context != NULL;
}

void ome_connection_destroy(ome_connection_t *connection)
{
    ome_connection_close(connection);
    if (connection->context != NULL)
    {
        (void)zmq_ctx_term(connection->context);
    }
}

static bool connection_set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

static bool connection_set_key(void *socket, int option, const char *key)
{
    return zmq_setsockopt(socket, option, key, strlen(key) + 1u) == 0;
}

bool ome_connection_open(ome_connection_t *connection)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "inproc://ome-connection-%llu", (unsigned long long)++connection->count);
    connection->is_lost = connection->is_refused = false;
    connection->socket = zmq_socket(connection->context, ZMQ_DEALER);
    connection->monitor = zmq_socket(connection->context, ZMQ_PAIR);
    if (connection->socket == NULL || connection->monitor == NULL)
    {
        return false;
    }
    void *socket = connection->socket;
    bool is_set = connection_set(socket, ZMQ_LINGER, 0) && connection_set(connection->monitor, ZMQ_LINGER, 0) &&
                  connection_set(socket, ZMQ_RECONNECT_IVL, -1) && connection_set(socket, ZMQ_IPV6, 1);
    if (connection->server_key[0] != '\0')
    {
        is_set = is_set && connection_set_key(socket, ZMQ_CURVE_SERVERKEY, connection->server_key) &&
                 connection_set_key(socket, ZMQ_CURVE_PUBLICKEY, connection->public_key) &&
                 connection_set_key(socket, ZMQ_CURVE_SECRETKEY, connection->secret_key);
    }
    return is_set && zmq_socket_monitor(socket, name, LOSSES) == 0 && zmq_connect(connection->monitor, name) == 0 &&
           zmq_connect(socket, connection->endpoint) == 0;
}

void ome_connection_close(ome_connection_t *connection)
{
    connection_drop_frame(connection);
    if (connection->socket != NULL)
    {
        (void)zmq_socket_monitor(connection->socket, NULL, 0); /* first: an event that nobody reads would block libzmq */
        (void)zmq_close(connection->socket);
    }
    if (connection->monitor != NULL)
    {
        (void)zmq_close(connection->monitor);
    }
    connection->monitor = connection->socket = NULL;
}

const char *ome_connection_error(void)
{
    return zmq_strerror(zmq_errno());
}

bool ome_connection_send(ome_connection_t *connection, const void *data, size_t size)
{
    return zmq_send(connection->socket, data, size, ZMQ_DONTWAIT) >= 0;
}

/* Each event of the monitor has two parts: its number and an address. */
static void connection_watch(ome_connection_t *connection)
{
    unsigned char data[256];
    uint16_t event;
    while (zmq_recv(connection->monitor, data, sizeof(data), ZMQ_DONTWAIT) >= (int)sizeof(event))
    {
        memcpy(&event, data, sizeof(event));
        (void)zmq_recv(connection->monitor, data, sizeof(data), ZMQ_DONTWAIT);
        connection->is_lost = true;
        connection->is_refused = connection->is_refused || event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    }
}

bool ome_connection_receive(ome_connection_t *connection)
{
    if (connection->socket == NULL)
    {
        return false;
    }
    connection_watch(connection); /* before the look: a frame that came before the loss is there now */
    (void)zmq_msg_init(connection_frame(connection));
    connection->frame_offset = 0;
    connection->has_frame = zmq_msg_recv(connection_frame(connection), connection->socket, ZMQ_DONTWAIT) >= 0;
    if (!connection->has_frame)
    {
        (void)zmq_msg_close(connection_frame(connection));
    }
    return connection->has_frame;
}

bool ome_connection_next(ome_connection_t *connection, ome_connection_message_t *message)
{
    if (!connection->has_frame)
    {
        return false;
    }
    size_t left = zmq_msg_size(connection_frame(connection)) - connection->frame_offset;
    const unsigned char *at = (const unsigned char *)zmq_msg_data(connection_frame(connection)) + connection->frame_offset;
    memset(message, 0, sizeof(*message));
    if (left >= sizeof(message->header))
    {
        memcpy(&message->header, at, sizeof(message->header));
    }
    size_t size = sizeof(message->header) + message->header.block_length;
    uint16_t known = ome_block_length(message->header.template_id);
    if (size > left || message->header.schema_id != OME_SCHEMA_ID || (known != 0 && known != message->header.block_length))
    {
        connection_drop_frame(connection);
        return false;
    }
    memcpy(message, at, size < sizeof(*message) ? size : sizeof(*message));
    connection->frame_offset += size;
    return true;
}

void ome_connection_wait(ome_connection_t *connection, long timeout_ms)
{
    zmq_pollitem_t items[2] = {{connection->socket, 0, ZMQ_POLLIN, 0}, {connection->monitor, 0, ZMQ_POLLIN, 0}};
    (void)zmq_poll(items, connection->socket == NULL ? 0 : 2, timeout_ms);
}
