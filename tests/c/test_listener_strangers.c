/* The listener and strangers, connections that have not been admitted: they have a deadline, share a budget, and give way. */
#include "listener_fixture.h"

/* When all connections are taken, a new one takes the place of the oldest that is nobody. Those that are somebody stay,
 * and when they are all, a new one is closed. */
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

/* Who does not complete its handshake in 5 s, or does and is nobody after 30 s, is closed; who is somebody may be
 * silent for as long as it likes. */
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

enum
{
    STRANGERS = 12,
    FRAMES = 10
};

static void strangers_come(house_t *house, client_t clients[STRANGERS])
{
    for (uint32_t i = 0; i < STRANGERS; i++)
    {
        clients[i] = client_new(house);
        client_hello(house, &clients[i]);
    }
    work(house);
    time_ns += TICK;
}

static void strangers_leave(client_t clients[STRANGERS])
{
    for (uint32_t i = 0; i < STRANGERS; i++)
    {
        client_close(&clients[i]);
    }
}

/* Numbered frames, at once. */
static void send_frames(house_t *house, const client_t *client, uint8_t name)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    for (uint32_t frame = 0; frame < FRAMES; frame++)
    {
        const uint8_t data[2] = {name, (uint8_t)frame};
        put_frame(&bytes, 0, data, 2);
    }
    client_send_bytes(house, client, &bytes);
}

/* All strangers together get 16 frames a tick, each at most 4; in later ticks each gets its turn, in the order they
 * came, and nothing is lost. Who is somebody does not wait for them. */
static void strangers_share_a_budget(void)
{
    house_t *house = house_new(true, OME_ZMTP_ROUTER, 32);
    const client_t kept = client_known(house, true);
    client_t clients[STRANGERS];
    uint64_t peers[STRANGERS] = {0};
    uint32_t counts[STRANGERS] = {0};
    strangers_come(house, clients);
    for (uint32_t i = 0; i < STRANGERS; i++)
    {
        send_frames(house, &clients[i], (uint8_t)i);
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
    CHECK_EQUAL(connections(house), STRANGERS + 1);
    CHECK_EQUAL(count(house->config.counters.faults), 0);
    strangers_leave(clients);
    client_close(&kept);
    house_free(house);
}

/* Who comes while the budget is used up completes its handshake all the same, and is not late by it. */
static void a_handshake_does_not_wait_for_the_budget_of_strangers(void)
{
    house_t *house = house_new(true, OME_ZMTP_ROUTER, 32);
    const client_t kept = client_known(house, true);
    client_t clients[STRANGERS];
    strangers_come(house, clients);
    for (uint32_t i = 0; i < 4; i++)
    {
        send_frames(house, &clients[i], (uint8_t)i);
    }
    for (uint32_t i = 0; i < 16; i++)
    {
        take_next(house);
    }
    const client_t late = client_new(house);
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
    strangers_leave(clients);
    client_close(&kept);
    client_close(&late);
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

int main(void)
{
    fill_pattern();
    RUN(the_oldest_stranger_gives_way);
    RUN(strangers_have_a_deadline);
    RUN(strangers_share_a_budget);
    RUN(a_handshake_does_not_wait_for_the_budget_of_strangers);
    RUN(strangers_give_their_memory_back);
    return 0;
}
