#include "bench_zmq.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

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

struct bench_zmq
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
    void *handle;
    bool has_peers;
    bool more; /* the last part received has another behind it, from the same peer */
    zmq_message_t peer;
    zmq_message_t data;
};

static bool find_functions(bench_zmq_t *socket, int version)
{
    struct
    {
        const char *name;
        void *slot;
    } const wanted[] = {
        {"zmq_msg_init", &socket->msg_init},
        {"zmq_msg_close", &socket->msg_close},
        {"zmq_msg_recv", &socket->msg_recv},
        {"zmq_msg_more", &socket->msg_more},
        {"zmq_msg_data", &socket->msg_data},
        {"zmq_msg_size", &socket->msg_size},
        {"zmq_send", &socket->send},
        {"zmq_poll", &socket->poll},
        {"zmq_errno", &socket->error_number},
        {"zmq_version", &socket->version},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
    {
        void *found = dlsym(socket->library, wanted[i].name);
        if (found == NULL)
        {
            return false;
        }
        *(void **)wanted[i].slot = found;
    }
    int major;
    int minor;
    int patch;
    socket->version(&major, &minor, &patch);
    return major * 10000 + minor * 100 + patch == version;
}

bench_zmq_t *bench_zmq_open(const char *path, int version, void *handle, int has_peers)
{
    bench_zmq_t *made = calloc(1, sizeof(bench_zmq_t));
    if (made == NULL)
    {
        return NULL;
    }
    made->library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (made->library == NULL)
    {
        free(made);
        return NULL;
    }
    if (!find_functions(made, version))
    {
        (void)dlclose(made->library);
        free(made);
        return NULL;
    }
    made->handle = handle;
    made->has_peers = has_peers != 0;
    (void)made->msg_init(&made->peer);
    (void)made->msg_init(&made->data);
    return made;
}

void bench_zmq_close(bench_zmq_t *socket)
{
    (void)socket->msg_close(&socket->peer);
    (void)socket->msg_close(&socket->data);
    (void)dlclose(socket->library);
    free(socket);
}

static ome_status_t receive_part(const bench_zmq_t *socket, zmq_message_t *part)
{
    (void)socket->msg_close(part);
    (void)socket->msg_init(part);
    if (socket->msg_recv(part, socket->handle, ZMQ_DONTWAIT) >= 0)
    {
        return OME_OK;
    }
    const int error = socket->error_number();
    return error == EAGAIN || error == EINTR ? OME_EMPTY : OME_STOPPED;
}

ome_status_t bench_zmq_receive(bench_zmq_t *socket, bench_message_t *message)
{
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
    socket->more = socket->msg_more(&socket->data) != 0;
    message->peer = socket->has_peers ? socket->msg_data(&socket->peer) : NULL;
    message->peer_size_bytes = socket->has_peers ? (uint32_t)socket->msg_size(&socket->peer) : 0;
    message->data = socket->msg_data(&socket->data);
    message->data_size_bytes = (uint32_t)socket->msg_size(&socket->data);
    return OME_OK;
}

static ome_status_t send_failure(const bench_zmq_t *socket)
{
    const int error = socket->error_number();
    if (error == EAGAIN || error == EINTR)
    {
        return OME_FULL;
    }
    return error == EHOSTUNREACH ? OME_NOT_FOUND : OME_STOPPED;
}

ome_status_t bench_zmq_send(
    bench_zmq_t *socket, const uint8_t *peer, uint32_t peer_size_bytes, const uint8_t *data, uint32_t data_size_bytes)
{
    /* The peer's name is what is refused when the peer is full or gone; after that the data is taken. */
    if (peer_size_bytes > 0 && socket->send(socket->handle, peer, peer_size_bytes, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
    {
        return send_failure(socket);
    }
    return socket->send(socket->handle, data, data_size_bytes, ZMQ_DONTWAIT) < 0 ? send_failure(socket) : OME_OK;
}

ome_status_t bench_zmq_wait(bench_zmq_t *socket, uint32_t timeout_ms)
{
    zmq_poll_item_t item = {.socket = socket->handle, .fd = -1, .events = ZMQ_POLLIN};
    return socket->poll(&item, 1, (long)timeout_ms) < 0 && socket->error_number() != EINTR ? OME_STOPPED : OME_OK;
}

ome_status_t bench_zmq_wait_any(bench_zmq_t *const *sockets, uint32_t count, uint32_t timeout_ms, bool *is_ready)
{
    zmq_poll_item_t items[BENCH_ZMQ_SOCKET_COUNT_MAX];
    if (count == 0 || count > BENCH_ZMQ_SOCKET_COUNT_MAX)
    {
        return OME_STOPPED;
    }
    for (uint32_t i = 0; i < count; i++)
    {
        items[i] = (zmq_poll_item_t){.socket = sockets[i]->handle, .fd = -1, .events = ZMQ_POLLIN};
    }
    int found = 0;
    while ((found = sockets[0]->poll(items, (int)count, (long)timeout_ms)) < 0)
    {
        if (sockets[0]->error_number() != EINTR)
        {
            return OME_STOPPED;
        }
    }
    for (uint32_t i = 0; i < count; i++)
    {
        is_ready[i] = items[i].revents != 0;
    }
    return found > 0 ? OME_OK : OME_EMPTY;
}
