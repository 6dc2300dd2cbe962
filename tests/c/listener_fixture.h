/* What the tests of the listener share: a listener over real connections, TCP on the loopback and AF_UNIX, and its clients. Its time is the
 * test's: it goes on when the test says so. */
#ifndef LISTENER_FIXTURE_H
#define LISTENER_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/sockios.h>

#include "base/ome_clock.h"
#include "ome_test_zmtp.h"
#include "wire/ome_listener.h"

#define LONG_NS UINT64_C(5000000000) /* a wait this long means that something hangs */
#define MS UINT64_C(1000000)
#define TICK (10 * MS)
#define PART_SIZE_MAX 32768u
#define QUEUE_SIZE_MAX (UINT32_C(256) * 1024)
#define POOL_SIZE (UINT64_C(4) * 1024 * 1024)
#define KERNEL_BUFFER_SIZE 16384

static uint64_t time_ns;

static inline uint64_t test_clock(void)
{
    return time_ns;
}

/* ---- a listener and its clients ---- */

typedef struct
{
    ome_listener_config_t config;
    ome_listener_t *listener;
    const ome_socket_t *socket;
    bool is_unix;
    struct sockaddr_in tcp;
    struct sockaddr_un local;
    ome_counter_t counters[7];
    uint8_t data[PART_SIZE_MAX]; /* of the last message */
    ome_socket_message_t message;
} house_t;

typedef struct
{
    int fd;
    uint64_t peer; /* where the listener knows it; 0: it has not said anything */
    bool has_hello;
} client_t;

static inline house_t *house_begin(bool is_unix, ome_zmtp_role_t role, uint32_t connection_count_max)
{
    static uint32_t number;
    house_t *house = calloc(1, sizeof(house_t));
    CHECK(house != NULL);
    time_ns = UINT64_C(1000) * 1000 * MS;
    house->is_unix = is_unix;
    const int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int size = KERNEL_BUFFER_SIZE;
    CHECK(fd >= 0);
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    if (is_unix)
    {
        house->local.sun_family = AF_UNIX; /* in the abstract name space: no file */
        (void)snprintf(house->local.sun_path + 1, sizeof(house->local.sun_path) - 1, "ome-test-%d-%u", getpid(), number++);
        CHECK_EQUAL(bind(fd, (struct sockaddr *)&house->local, sizeof(house->local)), 0);
    }
    else
    {
        socklen_t size_bytes = sizeof(house->tcp);
        house->tcp = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        CHECK_EQUAL(bind(fd, (struct sockaddr *)&house->tcp, sizeof(house->tcp)), 0);
        CHECK_EQUAL(getsockname(fd, (struct sockaddr *)&house->tcp, &size_bytes), 0);
    }
    CHECK_EQUAL(listen(fd, 256), 0);
    house->config = (ome_listener_config_t){.role = role,
        .listen_fd = fd,
        .connection_count_max = connection_count_max,
        .part_size_max_bytes = PART_SIZE_MAX,
        .queue_size_max_bytes = QUEUE_SIZE_MAX,
        .pool_size_bytes = POOL_SIZE,
        .clock_ns = test_clock,
        .counters = {.connections = &house->counters[0],
            .accepted = &house->counters[1],
            .refused = &house->counters[2],
            .faults = &house->counters[3],
            .slow = &house->counters[4],
            .pauses = &house->counters[5],
            .queued_bytes = &house->counters[6]}};
    return house;
}

static inline house_t *house_open(house_t *house)
{
    CHECK_EQUAL(ome_listener_create(&house->config, &house->listener), OME_OK);
    CHECK_EQUAL(ome_listener_connection_count_max(house->listener), house->config.connection_count_max);
    house->socket = ome_listener_socket(house->listener);
    return house;
}

static inline house_t *house_new(bool is_unix, ome_zmtp_role_t role, uint32_t connection_count_max)
{
    return house_open(house_begin(is_unix, role, connection_count_max));
}

static inline void house_free(house_t *house)
{
    ome_listener_destroy(house->listener, 0);
    CHECK_EQUAL(close(house->config.listen_fd), 0);
    CHECK_EQUAL(ome_counter_get(&house->counters[0]), 0);
    CHECK_EQUAL(ome_counter_get(&house->counters[6]), 0); /* whatever happened */
    free(house);
}

static inline uint64_t connections(const house_t *house)
{
    return ome_counter_get(house->config.counters.connections);
}

static inline uint64_t count(const ome_counter_t *counter)
{
    return ome_counter_get(counter);
}

/* The next message, which is kept, if there is one. */
static inline bool take(house_t *house)
{
    const ome_status_t status = house->socket->receive(house->socket->context, &house->message);
    CHECK(status == OME_OK || status == OME_EMPTY);
    if (status == OME_OK && house->message.kind != OME_SOCKET_GONE)
    {
        CHECK(house->message.data_size_bytes <= PART_SIZE_MAX);
        memcpy(house->data, house->message.data, house->message.data_size_bytes);
    }
    return status == OME_OK;
}

static inline void wait_a_little(house_t *house)
{
    CHECK_EQUAL(house->socket->wait(house->socket->context, -1, 1), OME_OK);
}

/* Takes the next message, as long as it takes to come. */
static inline void take_next(house_t *house)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (!take(house))
    {
        CHECK(ome_clock_monotonic_ns() < end_ns);
        wait_a_little(house);
    }
}

static inline bool is_message(const house_t *house, uint64_t peer, const void *data, uint32_t size_bytes)
{
    return house->message.kind == OME_SOCKET_PART && house->message.peer == peer && house->message.data_size_bytes == size_bytes &&
           memcmp(house->data, data, size_bytes) == 0;
}

/* Works until nothing is left to do; no message may come. */
static inline void work(house_t *house)
{
    for (uint32_t i = 0; i < 3; i++)
    {
        CHECK(!take(house));
        wait_a_little(house);
    }
}

/* Works until a counter has a value; no message may come. */
static inline void work_until(house_t *house, const ome_counter_t *counter, uint64_t value)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (count(counter) != value)
    {
        CHECK(!take(house) && ome_clock_monotonic_ns() < end_ns);
        wait_a_little(house);
    }
}

static inline int connect_socket(const house_t *house, int fd)
{
    return house->is_unix ? connect(fd, (const struct sockaddr *)&house->local, sizeof(house->local))
                          : connect(fd, (const struct sockaddr *)&house->tcp, sizeof(house->tcp));
}

static inline int new_socket(const house_t *house)
{
    const int fd = socket(house->is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    const int size = KERNEL_BUFFER_SIZE;
    CHECK(fd >= 0);
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    return fd;
}

/* A client connects, and is accepted. */
static inline client_t client_new(house_t *house)
{
    const client_t client = {.fd = new_socket(house)};
    const uint64_t accepted = count(house->config.counters.accepted);
    CHECK_EQUAL(connect_socket(house, client.fd), 0);
    work_until(house, house->config.counters.accepted, accepted + 1);
    return client;
}

/* Sends it all; the listener works meanwhile where there is no room, which must not give a message. */
static inline void client_send(house_t *house, const client_t *client, const void *data, uint32_t size_bytes)
{
    const uint8_t *from = data;
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (size_bytes > 0)
    {
        const ssize_t sent = send(client->fd, from, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(sent > 0 || errno == EAGAIN);
        from += sent > 0 ? sent : 0;
        size_bytes -= sent > 0 ? (uint32_t)sent : 0;
        if (sent < 0)
        {
            CHECK(!take(house) && ome_clock_monotonic_ns() < end_ns);
            wait_a_little(house);
        }
    }
    /* What is sent has arrived when this returns. */
    int waiting = 1;
    while (!house->is_unix && waiting > 0)
    {
        CHECK_EQUAL(ioctl(client->fd, SIOCOUTQ, &waiting), 0);
        CHECK(ome_clock_monotonic_ns() < end_ns);
        (void)sched_yield();
    }
}

static inline void client_send_bytes(house_t *house, const client_t *client, const bytes_t *bytes)
{
    client_send(house, client, bytes->data, bytes->size_bytes);
}

static inline void client_part(house_t *house, const client_t *client, const void *data, uint32_t size_bytes)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_frame(&bytes, 0, data, size_bytes);
    client_send_bytes(house, client, &bytes);
}

static inline const char *client_type(const house_t *house)
{
    return house->config.role == OME_ZMTP_ROUTER ? "DEALER" : "SUB";
}

static inline void client_hello(house_t *house, const client_t *client)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_hello(&bytes, client_type(house));
    client_send_bytes(house, client, &bytes);
}

/* A client that has said a word, and so is known; admitted or not. */
static inline client_t client_known(house_t *house, bool is_admitted)
{
    client_t client = client_new(house);
    client_hello(house, &client);
    const bool is_subscriber = house->config.role == OME_ZMTP_XPUB;
    client_part(house, &client, is_subscriber ? "\1?" : "?", is_subscriber ? 2 : 1);
    take_next(house);
    CHECK_EQUAL(house->message.kind, is_subscriber ? OME_SOCKET_SUBSCRIBE : OME_SOCKET_PART);
    CHECK_EQUAL(house->message.data_size_bytes, 1);
    CHECK_EQUAL(house->data[0], '?');
    client.peer = house->message.peer;
    CHECK((uint32_t)client.peer >= 1 && (uint32_t)client.peer <= house->config.connection_count_max);
    if (is_admitted)
    {
        CHECK_EQUAL(house->socket->admit(house->socket->context, client.peer, 1), OME_OK);
    }
    return client;
}

static inline ome_status_t send_to(house_t *house, const client_t *client, const void *data, uint32_t size_bytes)
{
    return house->socket->send(house->socket->context, client->peer, data, size_bytes);
}

/* Reads what is there, waiting for the first byte while the listener works. Returns 0 at the end, -1 when the connection was reset. */
static inline ssize_t client_read(house_t *house, const client_t *client, void *data, size_t size_bytes)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    for (;;)
    {
        const ssize_t got = recv(client->fd, data, size_bytes, MSG_DONTWAIT);
        if (got >= 0 || errno != EAGAIN)
        {
            return got;
        }
        CHECK(ome_clock_monotonic_ns() < end_ns);
        CHECK(!take(house));
        wait_a_little(house);
    }
}

static inline void client_read_exact(house_t *house, const client_t *client, uint8_t *data, size_t size_bytes)
{
    while (size_bytes > 0)
    {
        const ssize_t got = client_read(house, client, data, size_bytes);
        CHECK(got > 0);
        data += got;
        size_bytes -= (size_t)got;
    }
}

/* Reads a frame, after the greeting and READY of the server. Returns its size. */
static inline uint32_t client_read_frame(house_t *house, client_t *client, uint8_t *data, uint8_t *flags)
{
    uint8_t header[9];
    if (!client->has_hello)
    {
        uint8_t greeting[66];
        uint8_t ready[256];
        client_read_exact(house, client, greeting, sizeof(greeting));
        CHECK_EQUAL(greeting[0], 0xff);
        CHECK_EQUAL(greeting[10], 3);
        CHECK_EQUAL(greeting[64], FRAME_COMMAND);
        client_read_exact(house, client, ready, greeting[65]);
        client->has_hello = true;
    }
    client_read_exact(house, client, header, 2);
    *flags = header[0];
    uint64_t size_bytes = header[1];
    if ((header[0] & FRAME_LONG) != 0)
    {
        client_read_exact(house, client, header + 2, 7);
        size_bytes = 0;
        for (uint32_t i = 1; i < 9; i++)
        {
            size_bytes = size_bytes << 8 | header[i];
        }
    }
    CHECK(size_bytes <= 2 * PART_SIZE_MAX);
    client_read_exact(house, client, data, size_bytes);
    return (uint32_t)size_bytes;
}

static inline void client_check_frame(house_t *house, client_t *client, const void *expected, uint32_t size_bytes)
{
    static uint8_t data[2 * PART_SIZE_MAX];
    uint8_t flags;
    CHECK_EQUAL(client_read_frame(house, client, data, &flags), size_bytes);
    CHECK_BYTES_EQUAL(data, expected, size_bytes);
    CHECK_EQUAL(flags & ~FRAME_LONG, 0);
}

/* Reads and drops all that there is to the end. */
static inline bool client_ends_well(house_t *house, const client_t *client)
{
    static uint8_t data[65536];
    ssize_t got = 1;
    while (got > 0)
    {
        got = client_read(house, client, data, sizeof(data));
    }
    return got == 0;
}

static inline void client_close(const client_t *client)
{
    CHECK_EQUAL(close(client->fd), 0);
}

/* Closes it so that the other end is told of a reset. */
static inline void client_reset(const client_t *client)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    client_close(client);
}

static inline void take_gone(house_t *house, uint64_t peer)
{
    take_next(house);
    CHECK_EQUAL(house->message.kind, OME_SOCKET_GONE);
    CHECK_EQUAL(house->message.peer, peer);
}

static uint8_t pattern[PART_SIZE_MAX];

static inline void fill_pattern(void)
{
    uint64_t random = 1;
    for (uint32_t i = 0; i < sizeof(pattern); i++)
    {
        pattern[i] = (uint8_t)test_random(&random);
    }
}

/* ---- queues ---- */

static inline uint32_t fill_queue(house_t *house, const client_t *client, uint32_t size_bytes)
{
    uint32_t frame_count = 0;
    while (house->socket->queued(house->socket->context, client->peer) < size_bytes)
    {
        if (send_to(house, client, pattern, 1000) != OME_OK)
        {
            break;
        }
        frame_count++;
    }
    return frame_count;
}

#endif
