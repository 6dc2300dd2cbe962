/* The listener over real connections, TCP on the loopback and AF_UNIX: what honest clients get, and what hostile ones do not. Its time is the test's: it goes on when the test says so. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "base/ome_clock.h"
#include "ome_test_zmtp.h"
#include "wire/ome_blocks.h"
#include "wire/ome_listener.h"

#define LONG_NS UINT64_C(5000000000) /* a wait this long means that something hangs */
#define MS UINT64_C(1000000)
#define TICK (10 * MS)
#define PART_SIZE_MAX 32768u
#define QUEUE_SIZE_MAX (UINT32_C(256) * 1024)
#define POOL_SIZE (UINT64_C(4) * 1024 * 1024)
#define KERNEL_BUFFER_SIZE 16384
#define CLIENT_COUNT_MAX 128u

static uint64_t seed;

static uint64_t time_ns;

static uint64_t test_clock(void)
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

static house_t *house_begin(bool is_unix, ome_zmtp_role_t role, uint32_t connection_count_max)
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

static house_t *house_open(house_t *house)
{
    CHECK_EQUAL(ome_listener_create(&house->config, &house->listener), OME_OK);
    CHECK_EQUAL(ome_listener_connection_count_max(house->listener), house->config.connection_count_max);
    house->socket = ome_listener_socket(house->listener);
    return house;
}

static house_t *house_new(bool is_unix, ome_zmtp_role_t role, uint32_t connection_count_max)
{
    return house_open(house_begin(is_unix, role, connection_count_max));
}

static void house_free(house_t *house)
{
    ome_listener_destroy(house->listener, 0);
    CHECK_EQUAL(close(house->config.listen_fd), 0);
    CHECK_EQUAL(ome_counter_get(&house->counters[0]), 0);
    CHECK_EQUAL(ome_counter_get(&house->counters[6]), 0); /* whatever happened */
    free(house);
}

static uint64_t connections(const house_t *house)
{
    return ome_counter_get(house->config.counters.connections);
}

static uint64_t count(const ome_counter_t *counter)
{
    return ome_counter_get(counter);
}

/* The next message, which is kept, if there is one. */
static bool take(house_t *house)
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

static void wait_a_little(house_t *house)
{
    CHECK_EQUAL(house->socket->wait(house->socket->context, -1, 1), OME_OK);
}

/* Takes the next message, as long as it takes to come. */
static void take_next(house_t *house)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (!take(house))
    {
        CHECK(ome_clock_monotonic_ns() < end_ns);
        wait_a_little(house);
    }
}

static bool is_message(const house_t *house, uint64_t peer, const void *data, uint32_t size_bytes)
{
    return house->message.kind == OME_SOCKET_PART && house->message.peer == peer && house->message.data_size_bytes == size_bytes &&
           memcmp(house->data, data, size_bytes) == 0;
}

/* Works until nothing is left to do; no message may come. */
static void work(house_t *house)
{
    for (uint32_t i = 0; i < 3; i++)
    {
        CHECK(!take(house));
        wait_a_little(house);
    }
}

/* Works until a counter has a value; no message may come. */
static void work_until(house_t *house, const ome_counter_t *counter, uint64_t value)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (count(counter) != value)
    {
        CHECK(!take(house) && ome_clock_monotonic_ns() < end_ns);
        wait_a_little(house);
    }
}

/* The same while time goes on: what is ended is read a piece each tick. */
static void work_until_connections(house_t *house, uint64_t value)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (count(house->config.counters.connections) != value)
    {
        CHECK(!take(house) && ome_clock_monotonic_ns() < end_ns);
        wait_a_little(house);
        time_ns += TICK;
    }
}

static int connect_socket(const house_t *house, int fd)
{
    return house->is_unix ? connect(fd, (const struct sockaddr *)&house->local, sizeof(house->local))
                          : connect(fd, (const struct sockaddr *)&house->tcp, sizeof(house->tcp));
}

static int new_socket(const house_t *house)
{
    const int fd = socket(house->is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    const int size = KERNEL_BUFFER_SIZE;
    CHECK(fd >= 0);
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    return fd;
}

/* A client connects, and is accepted. */
static client_t client_new(house_t *house)
{
    const client_t client = {.fd = new_socket(house)};
    const uint64_t accepted = count(house->config.counters.accepted);
    CHECK_EQUAL(connect_socket(house, client.fd), 0);
    work_until(house, house->config.counters.accepted, accepted + 1);
    return client;
}

/* Sends it all; the listener works meanwhile where there is no room, which must not give a message. */
static void client_send(house_t *house, const client_t *client, const void *data, uint32_t size_bytes)
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

static void client_send_bytes(house_t *house, const client_t *client, const bytes_t *bytes)
{
    client_send(house, client, bytes->data, bytes->size_bytes);
}

static void client_part(house_t *house, const client_t *client, const void *data, uint32_t size_bytes)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_frame(&bytes, 0, data, size_bytes);
    client_send_bytes(house, client, &bytes);
}

static const char *client_type(const house_t *house)
{
    return house->config.role == OME_ZMTP_ROUTER ? "DEALER" : "SUB";
}

static void client_hello(house_t *house, const client_t *client)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_hello(&bytes, client_type(house));
    client_send_bytes(house, client, &bytes);
}

/* A client that has said a word, and so is known; admitted or not. */
static client_t client_known(house_t *house, bool is_admitted)
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

static ome_status_t send_to(house_t *house, const client_t *client, const void *data, uint32_t size_bytes)
{
    return house->socket->send(house->socket->context, client->peer, data, size_bytes);
}

/* Reads what is there, waiting for the first byte while the listener works. Returns 0 at the end, -1 when the connection was reset. */
static ssize_t client_read(house_t *house, const client_t *client, void *data, size_t size_bytes)
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

static void client_read_exact(house_t *house, const client_t *client, uint8_t *data, size_t size_bytes)
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
static uint32_t client_read_frame(house_t *house, client_t *client, uint8_t *data, uint8_t *flags)
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

static void client_check_frame(house_t *house, client_t *client, const void *expected, uint32_t size_bytes)
{
    static uint8_t data[2 * PART_SIZE_MAX];
    uint8_t flags;
    CHECK_EQUAL(client_read_frame(house, client, data, &flags), size_bytes);
    CHECK_BYTES_EQUAL(data, expected, size_bytes);
    CHECK_EQUAL(flags & ~FRAME_LONG, 0);
}

/* Reads and drops all that there is to the end. */
static bool client_ends_well(house_t *house, const client_t *client)
{
    static uint8_t data[65536];
    ssize_t got = 1;
    while (got > 0)
    {
        got = client_read(house, client, data, sizeof(data));
    }
    return got == 0;
}

static void client_close(const client_t *client)
{
    CHECK_EQUAL(close(client->fd), 0);
}

/* Closes it so that the other end is told of a reset. */
static void client_reset(const client_t *client)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    client_close(client);
}

static void take_gone(house_t *house, uint64_t peer)
{
    take_next(house);
    CHECK_EQUAL(house->message.kind, OME_SOCKET_GONE);
    CHECK_EQUAL(house->message.peer, peer);
}

static uint8_t pattern[PART_SIZE_MAX];

/* ---- honest clients ---- */

/* Frames arrive whole and in order, whether bytes come one by one or all at once, and so do the answers. */
static void frames_arrive_however_they_are_sent(void)
{
    static const uint32_t sizes[] = {0, 1, 255, 256, 3000, PART_SIZE_MAX, 7};
    for (uint32_t variant = 0; variant < 4; variant++)
    {
        house_t *house = house_new(variant % 2 == 1, OME_ZMTP_ROUTER, 4);
        client_t client = client_new(house);
        static bytes_t bytes;
        bytes.size_bytes = 0;
        put_hello(&bytes, "DEALER");
        for (uint32_t i = 0; i < 7; i++)
        {
            put_frame(&bytes, i % 3 == 0 ? FRAME_MORE : 0, pattern, sizes[i]);
        }
        uint32_t at = 0;
        uint32_t message_count = 0;
        while (message_count < 7)
        {
            const uint32_t left_bytes = bytes.size_bytes - at;
            const uint32_t piece_bytes = variant < 2 ? 1 : 10000;
            if (left_bytes > 0)
            {
                const ssize_t sent =
                    send(client.fd, bytes.data + at, piece_bytes < left_bytes ? piece_bytes : left_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
                CHECK(sent > 0 || errno == EAGAIN);
                at += sent > 0 ? (uint32_t)sent : 0;
            }
            time_ns += MS;
            if (!take(house))
            {
                continue;
            }
            CHECK_EQUAL(house->message.kind, OME_SOCKET_PART);
            CHECK_EQUAL(house->message.data_size_bytes, sizes[message_count]);
            CHECK_BYTES_EQUAL(house->data, pattern, sizes[message_count]);
            CHECK(client.peer == 0 || house->message.peer == client.peer);
            client.peer = house->message.peer;
            CHECK_EQUAL(house->socket->admit(house->socket->context, client.peer, 1), OME_OK);
            CHECK_EQUAL(send_to(house, &client, pattern, sizes[message_count]), OME_OK);
            message_count++;
        }
        for (uint32_t i = 0; i < 7; i++)
        {
            client_check_frame(house, &client, pattern, sizes[i]);
        }
        work(house);
        CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
        client_close(&client);
        take_gone(house, client.peer);
        work(house);
        CHECK_EQUAL(connections(house), 0);
        house_free(house);
    }
}

/* Subscriptions as commands and as messages reach the caller as what they are, and frames reach the subscribers. */
static void subscriptions_arrive_as_such(void)
{
    for (uint32_t is_unix = 0; is_unix < 2; is_unix++)
    {
        house_t *house = house_new(is_unix, OME_ZMTP_XPUB, 4);
        client_t client = client_new(house);
        static bytes_t bytes;
        bytes.size_bytes = 0;
        put_hello(&bytes, "SUB");
        put_command(&bytes, "SUBSCRIBE", "abc", 3);
        put_frame(&bytes, 0, "\1", 1);
        put_command(&bytes, "CANCEL", "abc", 3);
        put_frame(&bytes, 0, "\0x", 2);
        client_send_bytes(house, &client, &bytes);
        static const struct
        {
            ome_socket_kind_t kind;
            const char *data;
        } expected[] = {{OME_SOCKET_SUBSCRIBE, "abc"}, {OME_SOCKET_SUBSCRIBE, ""}, {OME_SOCKET_CANCEL, "abc"}, {OME_SOCKET_CANCEL, "x"}};
        for (uint32_t i = 0; i < 4; i++)
        {
            take_next(house);
            CHECK_EQUAL(house->message.kind, expected[i].kind);
            CHECK_EQUAL(house->message.data_size_bytes, strlen(expected[i].data));
            CHECK_BYTES_EQUAL(house->data, expected[i].data, strlen(expected[i].data));
        }
        client.peer = house->message.peer;
        for (uint32_t i = 0; i < 5; i++)
        {
            CHECK_EQUAL(send_to(house, &client, pattern, 300 * i), OME_OK);
        }
        for (uint32_t i = 0; i < 5; i++)
        {
            client_check_frame(house, &client, pattern, 300 * i);
        }
        client_close(&client);
        time_ns += TICK; /* it had what a stranger gets in one */
        work_until(house, house->config.counters.connections, 0);
        house_free(house);
    }
}

/* Of two clients that have sent much, neither waits for the other to be done. */
static void two_clients_are_served_in_turn(void)
{
    house_t *house = house_new(true, OME_ZMTP_ROUTER, 4);
    const client_t clients[2] = {client_known(house, true), client_known(house, true)};
    static bytes_t bytes;
    bytes.size_bytes = 0;
    for (uint32_t i = 0; i < 1000; i++)
    {
        put_frame(&bytes, 0, "fair", 4);
    }
    uint32_t counts[2] = {0};
    uint32_t at[2] = {0};
    uint32_t longest = 0;
    uint32_t current = 0;
    while (counts[0] + counts[1] < 20000)
    {
        for (uint32_t i = 0; i < 2; i++) /* neither ever stops sending */
        {
            const ssize_t sent = send(clients[i].fd, bytes.data + at[i], bytes.size_bytes - at[i], MSG_DONTWAIT | MSG_NOSIGNAL);
            at[i] = sent > 0 ? (at[i] + (uint32_t)sent) % bytes.size_bytes : at[i];
        }
        take_next(house);
        const uint32_t which = house->message.peer == clients[1].peer;
        CHECK(is_message(house, clients[which].peer, "fair", 4));
        current = counts[0] + counts[1] > 0 && counts[which] > 0 && which == (longest >> 31) ? current + 1 : 1;
        longest = which << 31;
        counts[which]++;
        CHECK(current <= 65536 / 6 + 2); /* what is read at once */
    }
    CHECK(counts[0] > 1000 && counts[1] > 1000);
    client_close(&clients[0]);
    client_close(&clients[1]);
    house_free(house);
}

/* ---- bounds of input ---- */

/* A message whose parts never end is nothing but its parts; nothing is kept of it. */
static void nothing_is_kept_of_a_message_that_never_ends(void)
{
    house_t *house = house_begin(true, OME_ZMTP_ROUTER, 4);
    house->config.pool_size_bytes = 2 * PART_SIZE_MAX + 2 * 65536; /* the least */
    house_open(house);
    const client_t client = client_known(house, true);
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_frame(&bytes, FRAME_MORE, pattern, 1000);
    for (uint32_t i = 0; i < 5000; i++)
    {
        client_send_bytes(house, &client, &bytes);
        take_next(house);
        CHECK(is_message(house, client.peer, pattern, 1000));
        CHECK(count(house->config.counters.queued_bytes) <= 2 * OME_BLOCK_SIZE);
    }
    work(house);
    CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
    client_close(&client);
    take_gone(house, client.peer);
    house_free(house);
}

/* When all connections are taken, a new one takes the place of the oldest that is nobody. Those that are somebody stay, and when they are all, a new one is closed. */
static void the_oldest_stranger_gives_way(void)
{
    for (uint32_t is_unix = 0; is_unix < 2; is_unix++)
    {
        house_t *house = house_new(is_unix, OME_ZMTP_ROUTER, 4);
        client_t clients[8];
        clients[0] = client_known(house, true);
        clients[1] = client_new(house); /* the oldest */
        clients[2] = client_known(house, false);
        clients[3] = client_known(house, true);
        clients[4] = client_new(house);
        CHECK(client_ends_well(house, &clients[1]));
        CHECK_EQUAL(count(house->config.counters.refused), 1);
        CHECK_EQUAL(connections(house), 4);
        /* Who is nobody again is the newest of them. */
        CHECK_EQUAL(house->socket->admit(house->socket->context, clients[3].peer, 0), OME_OK);
        clients[5] = client_new(house);
        CHECK(client_ends_well(house, &clients[2]));
        CHECK_EQUAL(connections(house), 4);
        clients[6] = client_new(house);
        CHECK(client_ends_well(house, &clients[4]));
        clients[7] = client_new(house);
        CHECK(client_ends_well(house, &clients[3]));
        CHECK_EQUAL(count(house->config.counters.refused), 4);
        for (uint32_t i = 5; i < 8; i++)
        {
            client_hello(house, &clients[i]);
            client_part(house, &clients[i], "?", 1);
            take_next(house);
            clients[i].peer = house->message.peer;
            CHECK_EQUAL(house->socket->admit(house->socket->context, clients[i].peer, 1), OME_OK);
            time_ns += TICK;
        }
        const client_t late = {.fd = new_socket(house)};
        CHECK_EQUAL(connect_socket(house, late.fd), 0);
        work_until(house, house->config.counters.refused, 5);
        uint8_t byte;
        CHECK(recv(late.fd, &byte, 1, 0) <= 0);
        CHECK_EQUAL(connections(house), 4);
        for (uint32_t i = 0; i < 8; i++)
        {
            client_close(&clients[i]);
        }
        client_close(&late);
        for (uint32_t i = 0; i < 4; i++)
        {
            take_next(house);
            CHECK_EQUAL(house->message.kind, OME_SOCKET_GONE);
        }
        work(house);
        CHECK_EQUAL(connections(house), 0);
        house_free(house);
    }
}

/* Who does not complete its handshake in 5 s, or does and is nobody after 30 s, is closed; who is somebody may be silent for as long as it likes. */
static void strangers_have_a_deadline(void)
{
    static bytes_t hello;
    hello.size_bytes = 0;
    put_hello(&hello, "DEALER");
    for (uint32_t variant = 0; variant < 4; variant++)
    {
        house_t *house = house_new(false, OME_ZMTP_ROUTER, 8);
        const client_t kept = client_known(house, true);
        const client_t client = variant == 3 ? client_known(house, true) : client_new(house);
        const uint32_t said_bytes[] = {0, 70, hello.size_bytes, 0};
        client_send(house, &client, hello.data, said_bytes[variant]);
        work(house);
        if (variant == 3) /* it is nobody again, from now on */
        {
            time_ns += 100000 * MS;
            work(house);
            CHECK_EQUAL(house->socket->admit(house->socket->context, client.peer, 0), OME_OK);
        }
        const uint64_t limit_ns = variant < 2 ? 5000 * MS : 30000 * MS;
        time_ns += limit_ns - 1;
        work(house);
        CHECK_EQUAL(connections(house), 2);
        time_ns += 501 * MS; /* it is looked for twice a second */
        work_until(house, house->config.counters.connections, 1);
        CHECK_EQUAL(count(house->config.counters.faults), 1);
        CHECK(client_ends_well(house, &client));
        time_ns += 1000000 * MS;
        work(house);
        CHECK_EQUAL(connections(house), 1);
        client_part(house, &kept, "still", 5);
        take_next(house);
        CHECK(is_message(house, kept.peer, "still", 5));
        client_close(&client);
        client_close(&kept);
        take_gone(house, kept.peer);
        house_free(house);
    }
}

/* All strangers together get 16 frames a tick, each at most 4; in later ticks each gets its turn, in the order they came, and nothing is lost. Who is somebody does not wait for them. */
static void strangers_share_a_budget(void)
{
    enum
    {
        STRANGERS = 12,
        FRAMES = 10
    };
    house_t *house = house_new(true, OME_ZMTP_ROUTER, 32);
    const client_t kept = client_known(house, true);
    client_t clients[STRANGERS];
    uint64_t peers[STRANGERS] = {0};
    uint32_t counts[STRANGERS] = {0};
    for (uint32_t i = 0; i < STRANGERS; i++)
    {
        clients[i] = client_new(house);
        client_hello(house, &clients[i]);
    }
    work(house);
    time_ns += TICK;
    static bytes_t bytes;
    for (uint32_t i = 0; i < STRANGERS; i++)
    {
        bytes.size_bytes = 0;
        for (uint32_t frame = 0; frame < FRAMES; frame++)
        {
            const uint8_t data[2] = {(uint8_t)i, (uint8_t)frame};
            put_frame(&bytes, 0, data, 2);
        }
        client_send_bytes(house, &clients[i], &bytes);
    }
    uint32_t tick_count = 0;
    for (uint32_t total = 0; total < STRANGERS * FRAMES; tick_count++)
    {
        uint32_t now[STRANGERS] = {0};
        uint32_t all = 0;
        client_part(house, &kept, "kept", 4);
        bool is_served = false;
        const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
        for (uint32_t idle = 0; idle < 3 || !is_served;)
        {
            CHECK(ome_clock_monotonic_ns() < end_ns);
            if (!take(house))
            {
                idle++;
                wait_a_little(house);
                continue;
            }
            if (is_message(house, kept.peer, "kept", 4))
            {
                is_served = true;
                continue;
            }
            const uint32_t which = house->data[0];
            CHECK(which < STRANGERS);
            CHECK_EQUAL(house->data[1], counts[which]);
            CHECK_EQUAL(house->message.data_size_bytes, 2);
            CHECK(peers[which] == 0 || peers[which] == house->message.peer);
            peers[which] = house->message.peer;
            counts[which]++;
            now[which]++;
            all++;
        }
        for (uint32_t i = 0; i < STRANGERS; i++)
        {
            CHECK(now[i] <= 4);
        }
        total += all;
        CHECK(all == 16 || total == STRANGERS * FRAMES || all >= 4);
        CHECK(all <= 16);
        time_ns += TICK;
    }
    CHECK(tick_count <= 2 * STRANGERS * FRAMES / 16 + 2);
    /* Who comes while the budget is used up completes its handshake all the same, and is not late by it. */
    client_t late;
    for (uint32_t i = 0; i < 4; i++)
    {
        client_send_bytes(house, &clients[i], &bytes);
    }
    for (uint32_t i = 0; i < 16; i++)
    {
        take_next(house);
    }
    late = client_new(house);
    client_hello(house, &late);
    work(house);
    time_ns += 5600 * MS;
    for (uint32_t i = 0; i < 24;)
    {
        i += take(house);
        time_ns += i % 4 == 0 ? TICK : 0;
    }
    CHECK_EQUAL(connections(house), STRANGERS + 2);
    CHECK_EQUAL(count(house->config.counters.faults), 0);
    for (uint32_t i = 0; i < STRANGERS; i++)
    {
        client_close(&clients[i]);
    }
    client_close(&kept);
    client_close(&late);
    house_free(house);
}

static void put_pings(bytes_t *bytes, uint32_t ping_count)
{
    bytes->size_bytes = 0;
    for (uint32_t i = 0; i < ping_count; i++)
    {
        const uint8_t ping[4] = {0, 0, (uint8_t)(i >> 8), (uint8_t)i};
        put_command(bytes, "PING", ping, 4);
    }
}

static uint32_t count_pongs(house_t *house, client_t *client, uint32_t from)
{
    uint32_t pong_count = 0;
    for (;;)
    {
        work(house);
        int readable;
        CHECK_EQUAL(ioctl(client->fd, FIONREAD, &readable), 0);
        if (readable == 0)
        {
            return pong_count;
        }
        uint8_t data[64];
        uint8_t flags;
        CHECK_EQUAL(client_read_frame(house, client, data, &flags), 7);
        CHECK_EQUAL(flags, FRAME_COMMAND);
        CHECK_BYTES_EQUAL(data, "\4PONG", 5);
        CHECK_EQUAL((uint32_t)(data[5] << 8 | data[6]), from + pong_count);
        pong_count++;
    }
}

/* Each connection gets so many commands a tick: 256 PINGs of somebody, 4 of a stranger. The rest is not lost. Subscriptions are commands. */
static void commands_have_a_budget(void)
{
    static bytes_t bytes;
    for (uint32_t is_admitted = 0; is_admitted < 2; is_admitted++)
    {
        house_t *house = house_new(false, OME_ZMTP_ROUTER, 4);
        client_t client = client_known(house, is_admitted);
        time_ns += TICK;
        work(house);
        uint8_t hello[256];
        client.has_hello = true;
        int readable;
        CHECK_EQUAL(ioctl(client.fd, FIONREAD, &readable), 0);
        CHECK(readable < 256);
        client_read_exact(house, &client, hello, (size_t)readable);
        const uint32_t a_tick = is_admitted ? 256 : 4;
        put_pings(&bytes, 2 * a_tick + 1);
        client_send_bytes(house, &client, &bytes);
        CHECK_EQUAL(count_pongs(house, &client, 0), a_tick);
        CHECK_EQUAL(count_pongs(house, &client, a_tick), 0);
        CHECK_EQUAL(count(house->config.counters.pauses), 1);
        time_ns += TICK;
        CHECK_EQUAL(count_pongs(house, &client, a_tick), a_tick);
        time_ns += TICK;
        CHECK_EQUAL(count_pongs(house, &client, 2 * a_tick), 1);
        CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
        client_close(&client);
        house_free(house);
    }
    house_t *house = house_new(false, OME_ZMTP_XPUB, 4);
    const client_t client = client_known(house, true);
    time_ns += TICK;
    work(house);
    bytes.size_bytes = 0;
    for (uint32_t i = 0; i < 300; i++)
    {
        put_frame(&bytes, 0, i % 2 == 0 ? "\1x" : "\0x", 2);
    }
    client_send_bytes(house, &client, &bytes);
    for (uint32_t i = 0; i < 256; i++)
    {
        take_next(house);
    }
    work(house);
    time_ns += TICK;
    for (uint32_t i = 0; i < 44; i++)
    {
        take_next(house);
    }
    work(house);
    client_close(&client);
    house_free(house);
}

/* However many connections send nothing for the caller, it gets its turn, and all of them are answered. */
static void the_caller_gets_its_turn(void)
{
    static bytes_t bytes;
    house_t *house = house_new(true, OME_ZMTP_ROUTER, CLIENT_COUNT_MAX);
    static client_t clients[CLIENT_COUNT_MAX];
    for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
    {
        clients[i] = client_known(house, true);
        time_ns += TICK;
    }
    put_pings(&bytes, 350); /* more than a tick's */
    int readable[CLIENT_COUNT_MAX];
    uint32_t answered = 0;
    for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
    {
        client_send_bytes(house, &clients[i], &bytes);
    }
    work(house);
    CHECK(count(house->config.counters.pauses) >= CLIENT_COUNT_MAX);
    for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
    {
        CHECK_EQUAL(ioctl(clients[i].fd, FIONREAD, &readable[i]), 0);
    }
    /* All of them may go on now. */
    time_ns += TICK;
    CHECK(!take(house));
    for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
    {
        int now;
        CHECK_EQUAL(ioctl(clients[i].fd, FIONREAD, &now), 0);
        answered += now > readable[i];
    }
    CHECK(answered > 0 && answered <= 64);
    for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
    {
        uint8_t data[64];
        uint8_t flags;
        for (uint32_t pong = 0; pong < 350; pong++)
        {
            CHECK_EQUAL(client_read_frame(house, &clients[i], data, &flags), 7);
            CHECK_EQUAL(data[6], (uint8_t)pong);
            time_ns += pong == 256 ? TICK : 0;
        }
    }
    for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
    {
        client_close(&clients[i]);
    }
    house_free(house);
}

/* While a connection is paused nothing comes from it, not even what was read already; then all of it does, in order. A longer pause counts. */
static void nothing_comes_from_who_is_paused(void)
{
    for (uint32_t is_unix = 0; is_unix < 2; is_unix++)
    {
        house_t *house = house_new(is_unix, OME_ZMTP_ROUTER, 4);
        const client_t client = client_known(house, true);
        const client_t other = client_known(house, true);
        static bytes_t bytes;
        bytes.size_bytes = 0;
        for (uint8_t i = 0; i < 5; i++)
        {
            put_frame(&bytes, 0, &i, 1);
        }
        put_frame(&bytes, 0, pattern, 5000);
        client_send(house, &client, bytes.data, bytes.size_bytes - 3000); /* ends inside a frame */
        take_next(house);
        CHECK_EQUAL(house->data[0], 0);
        house->socket->pause(house->socket->context, client.peer, 100);
        house->socket->pause(house->socket->context, client.peer, 20);
        work(house);
        time_ns += 99 * MS;
        work(house);
        client_part(house, &other, "other", 5);
        take_next(house);
        CHECK(is_message(house, other.peer, "other", 5));
        time_ns += TICK;
        for (uint8_t i = 1; i < 5; i++)
        {
            take_next(house);
            CHECK(is_message(house, client.peer, &i, 1));
            house->socket->pause(house->socket->context, client.peer, 20);
            work(house);
            time_ns += 3 * TICK;
        }
        work(house); /* the rest of the frame is not there */
        client_send(house, &client, bytes.data + bytes.size_bytes - 3000, 3000);
        take_next(house);
        CHECK(is_message(house, client.peer, pattern, 5000));
        work(house);
        CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
        CHECK(count(house->config.counters.pauses) >= 5);
        /* One that goes while it is paused is noticed, at the latest when the pause is over; the slot is no worse for it. */
        house->socket->pause(house->socket->context, client.peer, 100);
        client_close(&client);
        time_ns += 200 * MS;
        take_gone(house, client.peer);
        const client_t next = client_known(house, true);
        client_part(house, &next, "next", 4);
        take_next(house);
        CHECK(is_message(house, next.peer, "next", 4));
        client_close(&next);
        client_close(&other);
        house_free(house);
    }
}

/* ---- bounds of output ---- */

/* A client that does not read is sent no more than its queue takes; when it reads, it gets all of that, whole and in order. */
static void who_does_not_read_has_a_bounded_queue(void)
{
    for (uint32_t variant = 0; variant < 4; variant++)
    {
        house_t *house = house_new(variant % 2 == 1, variant < 2 ? OME_ZMTP_ROUTER : OME_ZMTP_XPUB, 4);
        client_t client = client_known(house, true);
        uint32_t sent_count = 0;
        ome_status_t status = OME_OK;
        while (status == OME_OK)
        {
            memcpy(pattern, &sent_count, sizeof(sent_count));
            status = send_to(house, &client, pattern, 1000);
            sent_count += status == OME_OK;
            CHECK(house->socket->queued(house->socket->context, client.peer) < QUEUE_SIZE_MAX + 1009);
            CHECK(sent_count < 10000);
        }
        CHECK_EQUAL(status, OME_FULL);
        CHECK(sent_count >= QUEUE_SIZE_MAX / 1009);
        CHECK(house->socket->queued(house->socket->context, client.peer) >= QUEUE_SIZE_MAX);
        work(house);
        CHECK(count(house->config.counters.queued_bytes) >= QUEUE_SIZE_MAX);
        for (uint32_t i = 0; i < sent_count; i++)
        {
            memcpy(pattern, &i, sizeof(i));
            client_check_frame(house, &client, pattern, 1000);
        }
        work(house);
        CHECK_EQUAL(house->socket->queued(house->socket->context, client.peer), 0);
        CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
        CHECK_EQUAL(send_to(house, &client, "on", 2), OME_OK);
        client_check_frame(house, &client, "on", 2);
        client_close(&client);
        take_gone(house, client.peer);
        house_free(house);
    }
}

static uint32_t fill_queue(house_t *house, const client_t *client, uint32_t size_bytes)
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

/* When the pool is used up, who holds most of it and has not read for a second ends, and is told to the caller once; who holds less stays. Where nobody stalls, the message is refused. */
static void who_hoards_ends_when_the_pool_is_used_up(void)
{
    house_t *house = house_begin(true, OME_ZMTP_ROUTER, 8); /* whose buffers in the kernel do not grow */
    house->config.pool_size_bytes = 600 * 1024;
    house_open(house);
    client_t clients[4];
    for (uint32_t i = 0; i < 4; i++)
    {
        clients[i] = client_known(house, true);
    }
    (void)fill_queue(house, &clients[0], 150 * 1024);
    (void)fill_queue(house, &clients[1], 250 * 1024);
    work(house);
    time_ns += 999 * MS;
    work(house);
    uint32_t third_count = fill_queue(house, &clients[2], 250 * 1024);
    CHECK(send_to(house, &clients[2], pattern, 30000) == OME_FULL || count(house->config.counters.slow) == 0);
    while (send_to(house, &clients[2], pattern, 1000) == OME_OK)
    {
        third_count++;
    }
    CHECK_EQUAL(count(house->config.counters.slow), 0);
    CHECK_EQUAL(connections(house), 4); /* nobody stalls yet */
    time_ns += 2 * MS + TICK;
    work(house);
    (void)fill_queue(house, &clients[3], 150 * 1024);
    CHECK_EQUAL(count(house->config.counters.slow), 1);
    CHECK_EQUAL(connections(house), 3);
    CHECK_EQUAL(send_to(house, &clients[1], "?", 1), OME_NOT_FOUND);
    CHECK_EQUAL(house->socket->queued(house->socket->context, clients[1].peer), 0);
    take_gone(house, clients[1].peer);
    work(house);
    for (uint32_t i = 0; i < third_count; i++)
    {
        client_check_frame(house, &clients[2], pattern, 1000);
    }
    for (uint32_t i = 0; i < 4; i++)
    {
        client_close(&clients[i]);
    }
    house_free(house);
}

/* Who reads a little at a time, and so is never stalled, must not keep the pool from those who hold little: the one that holds most ends. Who holds as much as it is refused. */
static void who_reads_a_little_does_not_keep_the_pool(void)
{
    house_t *house = house_begin(true, OME_ZMTP_XPUB, 8);
    house->config.pool_size_bytes = 600 * 1024;
    house_open(house);
    client_t honest = client_known(house, true);
    client_t hoarders[3];
    for (uint32_t i = 0; i < 3; i++)
    {
        hoarders[i] = client_known(house, true);
        (void)fill_queue(house, &hoarders[i], 200 * 1024);
    }
    CHECK_EQUAL(send_to(house, &hoarders[2], pattern, 1000), OME_FULL);
    CHECK_EQUAL(connections(house), 4);
    CHECK_EQUAL(send_to(house, &honest, pattern, 10000), OME_OK);
    CHECK_EQUAL(count(house->config.counters.slow), 1);
    take_gone(house, hoarders[0].peer);
    work(house);
    client_check_frame(house, &honest, pattern, 10000);
    for (uint32_t i = 0; i < 300; i++)
    {
        CHECK_EQUAL(send_to(house, &honest, pattern, 1000), OME_OK);
        work(house);
        client_check_frame(house, &honest, pattern, 1000);
    }
    CHECK_EQUAL(connections(house), 3);
    CHECK_EQUAL(count(house->config.counters.slow), 1); /* the honest one and two of them */
    for (uint32_t i = 0; i < 3; i++)
    {
        client_close(&hoarders[i]);
    }
    client_close(&honest);
    house_free(house);
}

/* A message that is larger than the pool ends nobody. */
static void what_can_never_fit_ends_nobody(void)
{
    static uint8_t large[1u << 20];
    house_t *house = house_begin(true, OME_ZMTP_XPUB, 8);
    house->config.pool_size_bytes = 600 * 1024;
    house_open(house);
    const client_t clients[2] = {client_known(house, true), client_known(house, true)};
    (void)fill_queue(house, &clients[0], 100 * 1024);
    work(house);
    time_ns += 2000 * MS;
    work(house);
    CHECK_EQUAL(send_to(house, &clients[1], large, sizeof(large)), OME_FULL);
    CHECK_EQUAL(connections(house), 2);
    client_close(&clients[0]);
    client_close(&clients[1]);
    house_free(house);
}

/* Strangers that hold beginnings of frames go first when the pool is used up; who is somebody and stalls not is not touched. */
static void strangers_give_their_memory_back(void)
{
    house_t *house = house_begin(true, OME_ZMTP_ROUTER, 40);
    house->config.pool_size_bytes = 256 * 1024;
    house_open(house);
    client_t kept = client_known(house, true);
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_hello(&bytes, "DEALER");
    put_frame(&bytes, 0, pattern, PART_SIZE_MAX);
    client_t clients[20];
    for (uint32_t i = 0; i < 20; i++)
    {
        clients[i] = client_new(house);
        client_send(house, &clients[i], bytes.data, bytes.size_bytes - 1); /* never its end */
        for (uint32_t turn = 0; turn < 20; turn++)
        {
            work(house);
        }
        CHECK(count(house->config.counters.queued_bytes) <= 256 * 1024);
    }
    CHECK(connections(house) < 12 && count(house->config.counters.slow) + count(house->config.counters.refused) >= 10);
    CHECK_EQUAL(send_to(house, &kept, pattern, 20000), OME_OK);
    client_check_frame(house, &kept, pattern, 20000);
    for (uint32_t i = 0; i < 20; i++)
    {
        client_close(&clients[i]);
    }
    client_close(&kept);
    take_gone(house, kept.peer);
    work_until(house, house->config.counters.connections, 0);
    CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
    house_free(house);
}

/* ---- ends ---- */

/* Who is ended gets what waits for it and a last frame, also when its queue is full and it has sent much that nobody read; then the connection closes without a reset, and nobody is told. */
static void who_is_ended_gets_the_last_frame(void)
{
    for (uint32_t variant = 0; variant < 8; variant++)
    {
        house_t *house = house_new(variant % 2 == 1, OME_ZMTP_ROUTER, 4);
        const bool is_full = (variant & 2) != 0;
        const bool has_unread = (variant & 4) != 0;
        client_t client = client_known(house, true);
        uint32_t frame_count = 0;
        if (has_unread)
        {
            house->socket->pause(house->socket->context, client.peer, 1000);
            while (send(client.fd, "\0\1?", 3, MSG_DONTWAIT | MSG_NOSIGNAL) == 3)
            {
            }
        }
        if (is_full)
        {
            frame_count = fill_queue(house, &client, UINT32_MAX);
            CHECK_EQUAL(send_to(house, &client, pattern, 1000), OME_FULL);
        }
        house->socket->end(house->socket->context, client.peer, (const uint8_t *)"goodbye", 7);
        CHECK_EQUAL(send_to(house, &client, "?", 1), OME_NOT_FOUND);
        CHECK_EQUAL(house->socket->admit(house->socket->context, client.peer, 1), OME_NOT_FOUND);
        house->socket->end(house->socket->context, client.peer, (const uint8_t *)"again", 5); /* nothing */
        house->socket->pause(house->socket->context, client.peer, 1000);
        for (uint32_t i = 0; i < frame_count; i++)
        {
            client_check_frame(house, &client, pattern, 1000);
        }
        client_check_frame(house, &client, "goodbye", 7);
        CHECK(client_ends_well(house, &client));
        CHECK_EQUAL(connections(house), 1);
        (void)send(client.fd, "late", 4, MSG_DONTWAIT | MSG_NOSIGNAL); /* is read and dropped */
        client_close(&client);
        work_until_connections(house, 0);
        work(house);
        CHECK_EQUAL(count(house->config.counters.slow), 0);
        house_free(house);
    }
}

/* Who goes on sending after its end is read a piece at a time, and not as fast as it sends. */
static void who_is_ended_and_goes_on_sending_costs_little(void)
{
    house_t *house = house_new(true, OME_ZMTP_ROUTER, 4);
    client_t client = client_known(house, true);
    house->socket->end(house->socket->context, client.peer, (const uint8_t *)"end", 3);
    uint64_t sent_bytes = 0;
    for (uint32_t i = 0; i < 2000; i++)
    {
        const ssize_t sent = send(client.fd, pattern, sizeof(pattern), MSG_DONTWAIT | MSG_NOSIGNAL);
        sent_bytes += sent > 0 ? (uint64_t)sent : 0;
        CHECK(!take(house));
    }
    CHECK(sent_bytes < UINT64_C(1000) * 1024);
    client_check_frame(house, &client, "end", 3);
    CHECK_EQUAL(shutdown(client.fd, SHUT_WR), 0);
    work_until_connections(house, 0);
    client_close(&client);
    house_free(house);
}

/* Who is ended, sends one byte and then stays as it is costs that one pause, however many ticks pass. */
static void who_is_ended_and_stays_costs_nothing(void)
{
    house_t *house = house_new(false, OME_ZMTP_ROUTER, 4);
    client_t client = client_known(house, true);
    house->socket->end(house->socket->context, client.peer, NULL, 0);
    work(house);
    CHECK_EQUAL(send(client.fd, pattern, 1, MSG_DONTWAIT | MSG_NOSIGNAL), 1);
    for (uint32_t i = 0; i < 200; i++)
    {
        time_ns += 11 * MS;
        work(house);
    }
    CHECK_EQUAL(count(house->config.counters.pauses), 1);
    CHECK_EQUAL(connections(house), 1);
    client_close(&client);
    work_until_connections(house, 0);
    house_free(house);
}

/* Who ends leaves its place to who comes. */
static void who_is_ended_makes_room(void)
{
    house_t *house = house_new(false, OME_ZMTP_XPUB, 1);
    client_t client = client_known(house, true);
    house->socket->end(house->socket->context, client.peer, NULL, 0);
    work(house);
    client_t next = client_known(house, true);
    CHECK_EQUAL(connections(house), 1);
    client_close(&client);
    client_close(&next);
    house_free(house);
}

/* Who is ended and neither reads nor closes is closed after 30 s, whatever waits for it. An end without a frame is an end too. */
static void an_end_has_a_deadline(void)
{
    for (uint32_t is_full = 0; is_full < 2; is_full++)
    {
        house_t *house = house_new(false, OME_ZMTP_XPUB, 4);
        client_t client = client_known(house, true);
        (void)fill_queue(house, &client, is_full ? QUEUE_SIZE_MAX : 0);
        house->socket->end(house->socket->context, client.peer, NULL, 0);
        work(house);
        time_ns += 29999 * MS;
        work(house);
        CHECK_EQUAL(connections(house), 1);
        time_ns += 502 * MS;
        work_until(house, house->config.counters.connections, 0);
        client_close(&client);
        house_free(house);
    }
}

typedef enum
{
    GO_BY_CLOSING,
    GO_BY_RESET,
    GO_BY_HALF, /* it says that it will send nothing more, and stays */
    GO_COUNT
} go_t;

/* At whatever stage a connection goes, and however, it is closed, its memory is free, and who was somebody is told to be gone once; who was not, or was ended, is not. */
static void connections_may_go_at_any_stage(void)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_hello(&bytes, "DEALER");
    enum
    {
        ACCEPTED,
        IN_GREETING,
        IN_READY,
        CONNECTED,
        KNOWN,
        IN_FRAME,
        ADMITTED,
        IN_FRAME_ADMITTED,
        PAUSED,
        STALLED,
        ENDED,
        ENDED_STALLED,
        STAGE_COUNT
    };
    for (uint32_t variant = 0; variant < 2 * GO_COUNT * STAGE_COUNT; variant++)
    {
        const uint32_t stage = variant / (2 * GO_COUNT);
        const go_t how = (go_t)(variant / 2 % GO_COUNT);
        house_t *house = house_new(variant % 2 == 1, OME_ZMTP_ROUTER, 4);
        const client_t other = client_known(house, true);
        const client_t client = stage < KNOWN ? client_new(house) : client_known(house, stage >= ADMITTED);
        const uint32_t said_bytes[] = {0, 30, 70, bytes.size_bytes};
        if (stage < KNOWN)
        {
            client_send(house, &client, bytes.data, said_bytes[stage]);
        }
        if (stage == IN_FRAME || stage == IN_FRAME_ADMITTED || stage == PAUSED)
        {
            client_send(house, &client, "\0\5abc", 5);
        }
        work(house);
        if (stage == STALLED || stage == ENDED_STALLED)
        {
            (void)fill_queue(house, &client, QUEUE_SIZE_MAX);
        }
        if (stage == PAUSED)
        {
            house->socket->pause(house->socket->context, client.peer, 100);
        }
        if (stage == ENDED || stage == ENDED_STALLED)
        {
            house->socket->end(house->socket->context, client.peer, (const uint8_t *)"end", 3);
        }
        work(house);
        if (how == GO_BY_HALF)
        {
            CHECK_EQUAL(shutdown(client.fd, SHUT_WR), 0);
        }
        else if (how == GO_BY_RESET)
        {
            client_reset(&client);
        }
        else
        {
            client_close(&client);
        }
        time_ns += 200 * MS;
        if (stage >= ADMITTED && stage < ENDED)
        {
            take_gone(house, client.peer);
        }
        work_until_connections(house, 1);
        work(house);
        CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
        if (stage >= KNOWN)
        {
            CHECK_EQUAL(send_to(house, &client, "?", 1), OME_NOT_FOUND);
        }
        if (how == GO_BY_HALF)
        {
            client_close(&client);
        }
        client_part(house, &other, "alive", 5);
        take_next(house);
        CHECK(is_message(house, other.peer, "alive", 5));
        client_close(&other);
        house_free(house);
    }
}

/* A reset that shows in a send: the send says that the peer is gone, and so does one message. */
static void a_reset_may_show_in_a_send(void)
{
    house_t *house = house_new(true, OME_ZMTP_ROUTER, 4);
    const client_t client = client_known(house, true);
    client_close(&client);
    CHECK_EQUAL(send_to(house, &client, "?", 1), OME_NOT_FOUND);
    CHECK_EQUAL(connections(house), 0);
    CHECK_EQUAL(send_to(house, &client, "?", 1), OME_NOT_FOUND);
    CHECK_EQUAL(house->socket->admit(house->socket->context, client.peer, 0), OME_NOT_FOUND);
    house->socket->end(house->socket->context, client.peer, (const uint8_t *)"end", 3);
    take_gone(house, client.peer);
    work(house);
    house_free(house);
}

/* The number of a connection that is gone has no effect on the one that has its slot. */
static void an_old_number_has_no_effect(void)
{
    house_t *house = house_new(false, OME_ZMTP_ROUTER, 1);
    uint64_t old = 0;
    for (uint32_t round = 0; round < 20; round++)
    {
        client_t client = client_known(house, true);
        CHECK_EQUAL((uint32_t)client.peer, 1);
        CHECK(client.peer != old);
        const ome_socket_t *socket = house->socket;
        const uint64_t numbers[] = {old, client.peer + (UINT64_C(1) << 32), client.peer & UINT32_MAX, client.peer + 1, 0, UINT64_MAX};
        for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        {
            CHECK_EQUAL(socket->send(socket->context, numbers[i], (const uint8_t *)"?", 1), OME_NOT_FOUND);
            CHECK_EQUAL(socket->queued(socket->context, numbers[i]), 0);
            CHECK_EQUAL(socket->admit(socket->context, numbers[i], 0), OME_NOT_FOUND);
            socket->pause(socket->context, numbers[i], 100000);
            socket->end(socket->context, numbers[i], (const uint8_t *)"?", 1);
        }
        client_part(house, &client, "here", 4);
        take_next(house);
        CHECK(is_message(house, client.peer, "here", 4));
        CHECK_EQUAL(send_to(house, &client, "here", 4), OME_OK);
        client_check_frame(house, &client, "here", 4);
        if (round % 3 == 0)
        {
            socket->pause(socket->context, client.peer, 50); /* the next one must not be */
        }
        client_reset(&client);
        time_ns += round % 3 == 0 ? 100 * MS : 0;
        take_gone(house, client.peer);
        old = client.peer;
    }
    house_free(house);
}

/* ---- faults ---- */

/* Whatever is not ZMTP, or not from a client of this kind, ends the connection, and is counted; a socket of another kind, an HTTP request, a frame that is too large. */
static void what_is_not_zmtp_ends_the_connection(void)
{
    static bytes_t bytes;
    for (uint32_t kind = 0; kind < 5; kind++)
    {
        house_t *house = house_new(false, OME_ZMTP_ROUTER, 4);
        const client_t client = kind == 4 ? client_known(house, true) : client_new(house);
        bytes.size_bytes = 0;
        if (kind == 0)
        {
            put_bytes(&bytes, "GET / HTTP/1.1\r\n\r\n", 18);
        }
        else if (kind == 1)
        {
            put_hello(&bytes, "SUB");
        }
        else
        {
            if (kind < 4)
            {
                put_hello(&bytes, "DEALER");
            }
            put_frame_header(&bytes, FRAME_LONG | (kind == 2 ? 8u : 0), PART_SIZE_MAX + 1);
        }
        client_send_bytes(house, &client, &bytes);
        if (kind == 4)
        {
            take_gone(house, client.peer);
        }
        work_until(house, house->config.counters.faults, 1);
        CHECK_EQUAL(connections(house), 0);
        CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
        client_close(&client);
        house_free(house);
    }
}

/* Random streams, cut and mixed over several connections that come and go while the caller pauses, admits and ends at random: nothing breaks, and everything is given back. */
static void random_streams_break_nothing(void)
{
    enum
    {
        CLIENTS = 8
    };
    uint64_t random = seed;
    static bytes_t bytes;
    for (uint32_t round = 0; round < 24; round++)
    {
        house_t *house = house_begin(round % 2 == 1, round % 4 < 2 ? OME_ZMTP_ROUTER : OME_ZMTP_XPUB, 5);
        house->config.pool_size_bytes = 300 * 1024;
        house->config.queue_size_max_bytes = 64 * 1024;
        house_open(house);
        client_t clients[CLIENTS];
        uint64_t peers[8] = {0};
        bool is_admitted[64] = {0}; /* by slot */
        for (uint32_t i = 0; i < CLIENTS; i++)
        {
            clients[i].fd = -1;
        }
        for (uint32_t step = 0; step < 1500; step++)
        {
            client_t *client = &clients[test_random(&random) % CLIENTS];
            const uint64_t peer = peers[test_random(&random) % 8];
            const uint64_t choice = test_random(&random) % 100;
            if (client->fd < 0)
            {
                client->fd = socket(house->is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
                CHECK(client->fd >= 0);
                (void)connect_socket(house, client->fd);
                bytes.size_bytes = 0;
                put_hello(&bytes, client_type(house));
                const uint32_t said_bytes =
                    test_random(&random) % 4 == 0 ? (uint32_t)(test_random(&random) % bytes.size_bytes) : bytes.size_bytes;
                (void)send(client->fd, bytes.data, said_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
            }
            else if (choice < 35)
            {
                bytes.size_bytes = 0;
                const uint32_t size_bytes = (uint32_t)(test_random(&random) % (choice < 5 ? PART_SIZE_MAX : 200));
                if (house->config.role == OME_ZMTP_XPUB)
                {
                    put_command(&bytes, "CANCEL", pattern, size_bytes % 500);
                }
                else
                {
                    put_frame(&bytes, (uint32_t)(test_random(&random) % 2), pattern, size_bytes);
                }
                put_command(&bytes, choice % 2 == 0 ? "SUBSCRIBE" : "PING", "\0\0abc", 5);
                bytes.data[test_random(&random) % bytes.size_bytes] ^= choice == 7 ? 0xff : 0;
                (void)send(client->fd, bytes.data, test_random(&random) % bytes.size_bytes + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
            }
            else if (choice < 45)
            {
                (void)recv(client->fd, bytes.data, test_random(&random) % 50000 + 1, MSG_DONTWAIT);
            }
            else if (choice < 50)
            {
                if (choice % 2 == 0)
                {
                    client_reset(client);
                }
                else
                {
                    client_close(client);
                }
                client->fd = -1;
            }
            else if (choice < 70)
            {
                const ome_status_t status = house->socket->send(
                    house->socket->context, peer, pattern, (uint32_t)(test_random(&random) % (choice < 53 ? PART_SIZE_MAX : 500)));
                CHECK(status == OME_OK || status == OME_FULL || status == OME_NOT_FOUND);
            }
            else if (choice < 75)
            {
                const bool admits = test_random(&random) % 3 != 0;
                if (house->socket->admit(house->socket->context, peer, admits) == OME_OK)
                {
                    is_admitted[(uint32_t)peer] = admits;
                }
            }
            else if (choice < 78)
            {
                house->socket->pause(house->socket->context, peer, (uint32_t)(test_random(&random) % 100));
            }
            else if (choice < 80)
            {
                house->socket->end(house->socket->context, peer, pattern, (uint32_t)(test_random(&random) % 100));
            }
            else if (choice < 90)
            {
                time_ns += test_random(&random) % (choice < 82 ? 2000 * MS : 2 * TICK);
            }
            for (uint32_t i = 0; i < 8 && take(house); i++)
            {
                CHECK((uint32_t)house->message.peer >= 1 && (uint32_t)house->message.peer <= 5);
                if (house->message.kind == OME_SOCKET_GONE)
                {
                    CHECK(is_admitted[(uint32_t)house->message.peer]);
                    is_admitted[(uint32_t)house->message.peer] = false;
                    CHECK_EQUAL(house->socket->send(house->socket->context, house->message.peer, pattern, 1), OME_NOT_FOUND);
                    continue;
                }
                peers[test_random(&random) % 8] = house->message.peer;
            }
            CHECK(connections(house) <= 5 && count(house->config.counters.queued_bytes) <= 300 * 1024);
        }
        for (uint32_t i = 0; i < CLIENTS; i++)
        {
            if (clients[i].fd >= 0)
            {
                client_close(&clients[i]);
            }
        }
        const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
        while (connections(house) > 0)
        {
            CHECK(ome_clock_monotonic_ns() < end_ns);
            (void)take(house);
            time_ns += 100 * MS;
        }
        while (take(house))
        {
        }
        CHECK_EQUAL(count(house->config.counters.queued_bytes), 0);
        house_free(house);
    }
}

/* ---- descriptors ---- */

/* Without a descriptor for it, a connection takes the one of the oldest stranger; where there is none it waits, without the listener being told again and again, and is accepted when there are some. */
static void a_connection_waits_for_a_descriptor(void)
{
    house_t *house = house_new(false, OME_ZMTP_ROUTER, 8);
    const client_t kept = client_known(house, true);
    const client_t stranger = client_new(house);
    const client_t first = {.fd = new_socket(house)};
    const client_t second = {.fd = new_socket(house)};
    struct rlimit before;
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    const int next_fd = dup(kept.fd);
    CHECK(next_fd >= 0);
    CHECK_EQUAL(close(next_fd), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next_fd, .rlim_max = before.rlim_max};
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_EQUAL(connect_socket(house, first.fd), 0);
    work_until(house, house->config.counters.accepted, 3); /* known, stranger, first */
    CHECK(client_ends_well(house, &stranger));
    CHECK_EQUAL(count(house->config.counters.refused), 1);
    CHECK_EQUAL(connections(house), 2);
    client_hello(house, &first);
    client_part(house, &first, "?", 1);
    take_next(house);
    CHECK_EQUAL(house->socket->admit(house->socket->context, house->message.peer, 1), OME_OK);
    const uint64_t peer = house->message.peer;
    CHECK_EQUAL(connect_socket(house, second.fd), 0);
    work(house);
    work(house);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    for (uint32_t i = 0; i < 20; i++)
    {
        CHECK_EQUAL(house->socket->wait(house->socket->context, -1, 2), OME_OK);
        CHECK(!take(house));
    }
    CHECK(ome_clock_monotonic_ns() - start_ns >= 20 * MS); /* it slept */
    CHECK_EQUAL(count(house->config.counters.accepted), 3);
    CHECK_EQUAL(connections(house), 2);
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    time_ns += 501 * MS;
    work_until(house, house->config.counters.accepted, 4);
    client_close(&kept);
    take_gone(house, kept.peer);
    client_close(&first);
    take_gone(house, peer);
    client_close(&second);
    client_close(&stranger);
    work_until(house, house->config.counters.connections, 0);
    house_free(house);
}

/* A connection that the listener closed while a forked child has a copy of its descriptor does not wake the listener any more. */
static void a_copy_in_a_child_wakes_nobody(void)
{
    house_t *house = house_new(true, OME_ZMTP_ROUTER, 8);
    const client_t client = client_known(house, true);
    int ends[2];
    CHECK_EQUAL(pipe(ends), 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        char byte;
        (void)close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    house->socket->end(house->socket->context, client.peer, NULL, 0);
    client_send(house, &client, "much", 4);
    time_ns += 31000 * MS;
    work_until(house, house->config.counters.connections, 0);
    (void)send(client.fd, "more", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    for (uint32_t i = 0; i < 20; i++)
    {
        CHECK_EQUAL(house->socket->wait(house->socket->context, -1, 2), OME_OK);
        CHECK(!take(house));
    }
    CHECK(ome_clock_monotonic_ns() - start_ns >= 20 * MS);
    CHECK_EQUAL(close(ends[0]), 0);
    CHECK_EQUAL(close(ends[1]), 0);
    int status;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 0);
    client_close(&client);
    house_free(house);
}

/* ---- waiting ---- */

static void *write_later(void *argument)
{
    usleep(20000);
    const uint64_t one = 1;
    CHECK_EQUAL(write(*(const int *)argument, &one, sizeof(one)), sizeof(one));
    return NULL;
}

/* A wait ends when its time is over, when the event descriptor is readable, which then is empty, and when something was sent. */
static void a_wait_ends_when_there_is_something(void)
{
    house_t *house = house_new(false, OME_ZMTP_ROUTER, 4);
    const client_t client = client_known(house, true);
    const ome_socket_t *socket = house->socket;
    const int event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(event_fd >= 0);
    work(house);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    CHECK_EQUAL(socket->wait(socket->context, event_fd, 30), OME_OK);
    CHECK(ome_clock_monotonic_ns() - start_ns >= 30 * MS);
    pthread_t thread;
    int fd = event_fd;
    CHECK_EQUAL(pthread_create(&thread, NULL, write_later, &fd), 0);
    uint32_t wait_count = 0;
    uint64_t read_count;
    do
    {
        CHECK_EQUAL(socket->wait(socket->context, event_fd, 20000), OME_OK);
        CHECK(read(event_fd, &read_count, sizeof(read_count)) < 0); /* it was read empty */
        CHECK(!take(house)); /* as callers do: until then a wait ends at once */
        wait_count++;
    } while (pthread_tryjoin_np(thread, NULL) != 0);
    CHECK(wait_count < 200);
    client_part(house, &client, "wake", 4);
    CHECK_EQUAL(socket->wait(socket->context, event_fd, 20000), OME_OK);
    take_next(house);
    CHECK(is_message(house, client.peer, "wake", 4));
    client_close(&client);
    house_free(house);
    CHECK_EQUAL(close(event_fd), 0);
}

/* ---- the end of the listener ---- */

typedef struct
{
    int fd;
    uint64_t size_bytes;
    bool ended_well;
} reader_t;

static void *read_slowly(void *argument)
{
    reader_t *reader = argument;
    static uint8_t data[4096];
    ssize_t got;
    while ((got = recv(reader->fd, data, sizeof(data), 0)) > 0)
    {
        reader->size_bytes += (uint64_t)got;
        usleep(100);
    }
    reader->ended_well = got == 0;
    (void)close(reader->fd);
    return NULL;
}

/* When the listener ends, a client that reads gets all that waits for it, also when it has sent something that nobody read. One that does not read is waited for no longer than is said. */
static void what_waits_is_sent_at_the_end(void)
{
    for (uint32_t variant = 0; variant < 4; variant++)
    {
        house_t *house = house_begin(variant % 2 == 1, OME_ZMTP_ROUTER, 4);
        house->config.clock_ns = NULL;
        house_open(house);
        const client_t client = client_known(house, true);
        if (variant >= 2)
        {
            client_part(house, &client, "nobody reads this", 17);
        }
        const uint64_t frame_count = fill_queue(house, &client, UINT32_MAX);
        reader_t reader = {.fd = client.fd};
        pthread_t thread;
        CHECK_EQUAL(pthread_create(&thread, NULL, read_slowly, &reader), 0);
        ome_listener_destroy(house->listener, 20000);
        house->listener = NULL;
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
        CHECK(reader.ended_well && reader.size_bytes > frame_count * 1009 && reader.size_bytes < frame_count * 1009 + 256);
        house_free(house);
    }
    house_t *house = house_begin(false, OME_ZMTP_ROUTER, 4);
    house->config.clock_ns = NULL;
    house_open(house);
    const client_t client = client_known(house, true);
    (void)fill_queue(house, &client, UINT32_MAX);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    ome_listener_destroy(house->listener, 50);
    house->listener = NULL;
    CHECK(ome_clock_monotonic_ns() - start_ns >= 50 * MS && ome_clock_monotonic_ns() - start_ns < LONG_NS);
    client_close(&client);
    house_free(house);
}

/* A configuration outside its limits is refused. */
static void a_bad_configuration_is_refused(void)
{
    house_t *house = house_new(false, OME_ZMTP_ROUTER, 4);
    ome_listener_t *listener = NULL;
    for (uint32_t i = 0; i < 8; i++)
    {
        ome_listener_config_t config = house->config;
        config.connection_count_max = i == 0 ? 0 : i == 1 ? (1u << 20) + 1 : 4;
        config.part_size_max_bytes = i == 2 ? 0 : i == 3 ? (1u << 20) + 1 : PART_SIZE_MAX;
        config.pool_size_bytes = i == 4 ? 2 * PART_SIZE_MAX + 2 * 65536 - 1 : i == 5 ? (UINT64_C(1) << 40) + 1 : POOL_SIZE;
        config.listen_fd = i == 6 ? -1 : i == 7 ? 1000000 : house->config.listen_fd;
        CHECK_EQUAL(ome_listener_create(&config, &listener), i < 7 ? OME_INVALID : OME_IO_ERROR);
        CHECK(listener == NULL);
    }
    house_free(house);
    ome_listener_destroy(NULL, 0);
}

int main(void)
{
    seed = test_seed(41);
    uint64_t random = 1;
    for (uint32_t i = 0; i < sizeof(pattern); i++)
    {
        pattern[i] = (uint8_t)test_random(&random);
    }
    RUN(frames_arrive_however_they_are_sent);
    RUN(subscriptions_arrive_as_such);
    RUN(two_clients_are_served_in_turn);
    RUN(nothing_is_kept_of_a_message_that_never_ends);
    RUN(the_oldest_stranger_gives_way);
    RUN(strangers_have_a_deadline);
    RUN(strangers_share_a_budget);
    RUN(commands_have_a_budget);
    RUN(the_caller_gets_its_turn);
    RUN(nothing_comes_from_who_is_paused);
    RUN(who_does_not_read_has_a_bounded_queue);
    RUN(who_hoards_ends_when_the_pool_is_used_up);
    RUN(who_reads_a_little_does_not_keep_the_pool);
    RUN(what_can_never_fit_ends_nobody);
    RUN(strangers_give_their_memory_back);
    RUN(who_is_ended_gets_the_last_frame);
    RUN(who_is_ended_and_goes_on_sending_costs_little);
    RUN(who_is_ended_and_stays_costs_nothing);
    RUN(who_is_ended_makes_room);
    RUN(an_end_has_a_deadline);
    RUN(connections_may_go_at_any_stage);
    RUN(a_reset_may_show_in_a_send);
    RUN(an_old_number_has_no_effect);
    RUN(what_is_not_zmtp_ends_the_connection);
    RUN(random_streams_break_nothing);
    RUN(a_connection_waits_for_a_descriptor);
    RUN(a_copy_in_a_child_wakes_nobody);
    RUN(a_wait_ends_when_there_is_something);
    RUN(what_waits_is_sent_at_the_end);
    RUN(a_bad_configuration_is_refused);
    return 0;
}
