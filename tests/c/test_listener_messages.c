/* The listener and what clients send: messages arrive whole, input has its bounds, and what is not ZMTP ends the connection. */
#include "listener_fixture.h"
#include "wire/ome_blocks.h"

#define CLIENT_COUNT_MAX 128u

static uint64_t seed;

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

/* Each connection gets so many commands a tick: 256 PINGs of somebody, 4 of a stranger. The rest is not lost.
 * Subscriptions are commands. */
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

/* While a connection is paused nothing comes from it, not even what was read already; then all of it does, in order. A
 * longer pause counts. */
static void nothing_comes_from_a_paused_connection(void)
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

/* ---- faults ---- */

/* Whatever is not ZMTP, or not from a client of this kind, ends the connection, and is counted; a socket of another
 * kind, an HTTP request, a frame that is too large. */
static void bytes_that_are_not_zmtp_end_the_connection(void)
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

/* Random streams, cut and mixed over several connections that come and go while the caller pauses, admits and ends at
 * random: nothing breaks, and everything is given back. */
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

int main(void)
{
    seed = test_seed(41);
    fill_pattern();
    RUN(frames_arrive_however_they_are_sent);
    RUN(subscriptions_arrive_as_such);
    RUN(two_clients_are_served_in_turn);
    RUN(nothing_is_kept_of_a_message_that_never_ends);
    RUN(commands_have_a_budget);
    RUN(the_caller_gets_its_turn);
    RUN(nothing_comes_from_a_paused_connection);
    RUN(bytes_that_are_not_zmtp_end_the_connection);
    RUN(random_streams_break_nothing);
    return 0;
}
