#include "wire/ome_zmq.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* From zmq.h, which need not be installed: these are part of its stable interface. */
#define ZMQ_DONTWAIT 1
#define ZMQ_SNDMORE 2
#define ZMQ_POLLIN 1

typedef struct
{
    _Alignas(void *) uint8_t bytes[64];
} zmq_message_t;

typedef struct
{
    void *socket;
    int fd;
    short events;
    short revents;
} zmq_poll_item_t;

struct ome_zmq
{
    void *library;
    int (*msg_init)(zmq_message_t *message);
    int (*msg_close)(zmq_message_t *message);
    int (*msg_recv)(zmq_message_t *message, void *socket, int flags);
    int (*msg_more)(const zmq_message_t *message);
    void *(*msg_data)(zmq_message_t *message);
    size_t (*msg_size)(const zmq_message_t *message);
    int (*send)(void *socket, const void *data, size_t size, int flags);
    int (*poll)(zmq_poll_item_t *items, int count, long timeout_ms);
    int (*error_number)(void);
    void (*version)(int *major, int *minor, int *patch);
};

typedef struct
{
    ome_socket_t table; /* first, so that a table is its socket */
    const ome_zmq_t *zmq;
    void *handle;
    bool has_peers;
    bool more;          /* the last part received has another behind it, from the same peer */
    zmq_message_t peer;
    zmq_message_t data;
} zmq_socket_t;

ome_status_t ome_zmq_create(const char *path, int version, ome_zmq_t **zmq)
{
    ome_zmq_t *made = calloc(1, sizeof(ome_zmq_t));
    if (made == NULL)
    {
        return OME_NO_MEMORY;
    }
    made->library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (made->library == NULL)
    {
        free(made);
        return OME_NOT_FOUND;
    }
    struct
    {
        const char *name;
        void *slot;
    } const wanted[] = {
        {"zmq_msg_init", &made->msg_init},
        {"zmq_msg_close", &made->msg_close},
        {"zmq_msg_recv", &made->msg_recv},
        {"zmq_msg_more", &made->msg_more},
        {"zmq_msg_data", &made->msg_data},
        {"zmq_msg_size", &made->msg_size},
        {"zmq_send", &made->send},
        {"zmq_poll", &made->poll},
        {"zmq_errno", &made->error_number},
        {"zmq_version", &made->version},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
    {
        void *found = dlsym(made->library, wanted[i].name);
        if (found == NULL)
        {
            ome_zmq_destroy(made);
            return OME_NOT_FOUND;
        }
        *(void **)wanted[i].slot = found;
    }
    int major;
    int minor;
    int patch;
    made->version(&major, &minor, &patch);
    if (major * 10000 + minor * 100 + patch != version)
    {
        ome_zmq_destroy(made);
        return OME_UNSUPPORTED;
    }
    *zmq = made;
    return OME_OK;
}

void ome_zmq_destroy(ome_zmq_t *zmq)
{
    if (zmq != NULL)
    {
        (void)dlclose(zmq->library);
        free(zmq);
    }
}

static ome_status_t receive_part(zmq_socket_t *socket, zmq_message_t *part)
{
    const ome_zmq_t *zmq = socket->zmq;
    (void)zmq->msg_close(part);
    (void)zmq->msg_init(part);
    if (zmq->msg_recv(part, socket->handle, ZMQ_DONTWAIT) >= 0)
    {
        return OME_OK;
    }
    const int error = zmq->error_number();
    return error == EAGAIN || error == EINTR ? OME_EMPTY : OME_STOPPED;
}

static ome_status_t zmq_receive(void *context, ome_socket_message_t *message)
{
    zmq_socket_t *socket = context;
    const ome_zmq_t *zmq = socket->zmq;
    if (socket->has_peers && !socket->more)
    {
        const ome_status_t status = receive_part(socket, &socket->peer);
        if (status != OME_OK)
        {
            return status;
        }
    }
    const ome_status_t status = receive_part(socket, &socket->data); /* parts of one message arrive together */
    if (status != OME_OK)
    {
        return status;
    }
    socket->more = zmq->msg_more(&socket->data) != 0;
    message->peer = socket->has_peers ? zmq->msg_data(&socket->peer) : NULL;
    message->peer_size_bytes = socket->has_peers ? (uint32_t)zmq->msg_size(&socket->peer) : 0;
    message->data = zmq->msg_data(&socket->data);
    message->data_size_bytes = (uint32_t)zmq->msg_size(&socket->data);
    return OME_OK;
}

static ome_status_t send_failure(const zmq_socket_t *socket)
{
    const int error = socket->zmq->error_number();
    if (error == EAGAIN || error == EINTR)
    {
        return OME_FULL;
    }
    return error == EHOSTUNREACH ? OME_NOT_FOUND : OME_STOPPED;
}

static ome_status_t zmq_send_part(
    void *context, const uint8_t *peer, uint32_t peer_size_bytes, const uint8_t *data, uint32_t data_size_bytes)
{
    const zmq_socket_t *socket = context;
    const ome_zmq_t *zmq = socket->zmq;
    /* The peer's name is what is refused when the peer is full or gone; after that the data is taken. */
    if (peer_size_bytes > 0 && zmq->send(socket->handle, peer, peer_size_bytes, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
    {
        return send_failure(socket);
    }
    return zmq->send(socket->handle, data, data_size_bytes, ZMQ_DONTWAIT) < 0 ? send_failure(socket) : OME_OK;
}

static ome_status_t zmq_wait(void *context, int event_fd, uint32_t timeout_ms)
{
    const zmq_socket_t *socket = context;
    zmq_poll_item_t items[2] = {
        {.socket = socket->handle, .fd = -1, .events = ZMQ_POLLIN}, {.socket = NULL, .fd = event_fd, .events = ZMQ_POLLIN}};
    if (socket->zmq->poll(items, event_fd >= 0 ? 2 : 1, (long)timeout_ms) < 0 && socket->zmq->error_number() != EINTR)
    {
        return OME_STOPPED;
    }
    if ((items[1].revents & ZMQ_POLLIN) != 0)
    {
        uint64_t count;
        (void)!read(event_fd, &count, sizeof(count));
    }
    return OME_OK;
}

ome_status_t ome_zmq_socket_create(const ome_zmq_t *zmq, void *handle, int has_peers, ome_socket_t **table)
{
    zmq_socket_t *socket = calloc(1, sizeof(zmq_socket_t));
    if (socket == NULL)
    {
        return OME_NO_MEMORY;
    }
    socket->table = (ome_socket_t){.context = socket, .receive = zmq_receive, .send = zmq_send_part, .wait = zmq_wait};
    socket->zmq = zmq;
    socket->handle = handle;
    socket->has_peers = has_peers != 0;
    (void)zmq->msg_init(&socket->peer);
    (void)zmq->msg_init(&socket->data);
    *table = &socket->table;
    return OME_OK;
}

void ome_zmq_socket_destroy(ome_socket_t *table)
{
    if (table != NULL)
    {
        zmq_socket_t *socket = table->context;
        (void)socket->zmq->msg_close(&socket->peer);
        (void)socket->zmq->msg_close(&socket->data);
        free(socket);
    }
}
