/* The part of libzmq's interface (4.3 or later) that ome_connection.c uses, for a machine that has the library and not its header.
 *
 * Compile it with -DOME_CLIENT_OWN_ZMQ to use it; otherwise <zmq.h> is used. The values are part of libzmq's ABI.
 */
#ifndef OME_ZMQ_H
#define OME_ZMQ_H

#include <stddef.h>

#define ZMQ_PAIR 0
#define ZMQ_DEALER 5
#define ZMQ_LINGER 17
#define ZMQ_RECONNECT_IVL 18
#define ZMQ_IPV6 42
#define ZMQ_CURVE_PUBLICKEY 48
#define ZMQ_CURVE_SECRETKEY 49
#define ZMQ_CURVE_SERVERKEY 50
#define ZMQ_DONTWAIT 1
#define ZMQ_POLLIN 1
#define ZMQ_EVENT_CLOSED 0x0080
#define ZMQ_EVENT_DISCONNECTED 0x0200
#define ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL 0x0800
#define ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL 0x2000
#define ZMQ_EVENT_HANDSHAKE_FAILED_AUTH 0x4000

typedef union
{
    unsigned char bytes[64];
    void *alignment;
} zmq_msg_t;

typedef struct
{
    void *socket;
    int fd;
    short events;
    short revents;
} zmq_pollitem_t;

void *zmq_ctx_new(void);
int zmq_ctx_term(void *context);
void *zmq_socket(void *context, int type);
int zmq_close(void *socket);
int zmq_setsockopt(void *socket, int option, const void *value, size_t size);
int zmq_connect(void *socket, const char *endpoint);
int zmq_socket_monitor(void *socket, const char *endpoint, int events);
int zmq_send(void *socket, const void *data, size_t size, int flags);
int zmq_recv(void *socket, void *data, size_t size, int flags);
int zmq_msg_init(zmq_msg_t *message);
int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags);
void *zmq_msg_data(zmq_msg_t *message);
size_t zmq_msg_size(const zmq_msg_t *message);
int zmq_msg_close(zmq_msg_t *message);
int zmq_poll(zmq_pollitem_t *items, int count, long timeout_ms);
const char *zmq_strerror(int number);
int zmq_errno(void);

#endif
