/* The listener and the operating system: it waits without work, for a descriptor, and it refuses a bad configuration. */
#define _GNU_SOURCE

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "listener_fixture.h"

/* ---- descriptors ---- */

/* Without a descriptor for it, a connection takes the one of the oldest stranger; where there is none it waits, without
 * the listener being told again and again, and is accepted when there are some. */
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

/* ---- configuration ---- */

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
    RUN(a_connection_waits_for_a_descriptor);
    RUN(a_copy_in_a_child_wakes_nobody);
    RUN(a_wait_ends_when_there_is_something);
    RUN(a_bad_configuration_is_refused);
    return 0;
}
