/* How connections of the listener end: by the caller, by the client, at any stage. */
#include "listener_fixture.h"

/* Like work_until, while time goes on: what an ended connection still sends is read a piece each tick. */
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

/* Who is ended gets what waits for it and a last frame, also when its queue is full and it has sent much that nobody
 * read; then the connection closes without a reset, and nobody is told. */
static void an_ended_client_gets_the_last_frame(void)
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
static void an_ended_client_that_goes_on_sending_costs_little(void)
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
static void an_ended_client_that_stays_costs_nothing(void)
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
static void an_ended_client_makes_room(void)
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

/* At whatever stage a connection goes, and however, it is closed, its memory is free, and who was somebody is told to
 * be gone once; who was not, or was ended, is not. */
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

int main(void)
{
    fill_pattern();
    RUN(an_ended_client_gets_the_last_frame);
    RUN(an_ended_client_that_goes_on_sending_costs_little);
    RUN(an_ended_client_that_stays_costs_nothing);
    RUN(an_ended_client_makes_room);
    RUN(an_end_has_a_deadline);
    RUN(connections_may_go_at_any_stage);
    RUN(a_reset_may_show_in_a_send);
    RUN(an_old_number_has_no_effect);
    return 0;
}
