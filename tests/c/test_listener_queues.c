/* The listener and clients that do not read, or read slowly: queues are bounded, and so is the memory of all together. */
#include <pthread.h>

#include "listener_fixture.h"

/* A client that does not read is sent no more than its queue takes; when it reads, it gets all of that, whole and in order. */
static void a_client_that_does_not_read_has_a_bounded_queue(void)
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
        work(house); /* the kernel may have taken some more of it meanwhile */
        CHECK(count(house->config.counters.queued_bytes) >= house->socket->queued(house->socket->context, client.peer));
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

/* When the pool is used up, who holds most of it and has not read for a second ends, and is told to the caller once;
 * who holds less stays. Where nobody stalls, the message is refused. */
static void a_client_that_hoards_ends_when_the_pool_is_used_up(void)
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

/* Who reads a little at a time, and so is never stalled, must not keep the pool from those who hold little: the one
 * that holds most ends. Who holds as much as it is refused. */
static void a_client_that_reads_a_little_does_not_keep_the_pool(void)
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
static void a_message_that_can_never_fit_ends_no_connection(void)
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

/* When the listener ends, a client that reads gets all that waits for it, also when it has sent something that nobody
 * read. One that does not read is waited for no longer than is said. */
static void queued_frames_are_sent_when_the_listener_closes(void)
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

int main(void)
{
    fill_pattern();
    RUN(a_client_that_does_not_read_has_a_bounded_queue);
    RUN(a_client_that_hoards_ends_when_the_pool_is_used_up);
    RUN(a_client_that_reads_a_little_does_not_keep_the_pool);
    RUN(a_message_that_can_never_fit_ends_no_connection);
    RUN(queued_frames_are_sent_when_the_listener_closes);
    return 0;
}
