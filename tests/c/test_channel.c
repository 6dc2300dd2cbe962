/* Channels between processes, and their bells. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "concurrent/ome_channel.h"
#include "ome_test.h"
#include "ome_test_market.h"

#define SLOT_COUNT 8u
#define RECORD_COUNT UINT64_C(300000)

typedef struct
{
    ome_channel_t producer;
    ome_channel_t consumer;
    void *regions[2];
    ome_bell_t *bell; /* the consumer's */
    int bell_fds[2]; /* who sleeps, who rings */
} pair_t;

static pair_t pair_new(void)
{
    pair_t pair = {0};
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair.bell_fds), 0);
    ome_arena_t sizes[2] = {{0}, {0}};
    ome_channel_lay_out(&pair.producer, &sizes[0], &sizes[1], SLOT_COUNT, sizeof(uint64_t));
    for (uint32_t i = 0; i < 2; i++)
    {
        pair.regions[i] = market_memory(sizes[i].used_bytes);
    }
    ome_channel_t *views[2] = {&pair.producer, &pair.consumer};
    for (uint32_t i = 0; i < 2; i++)
    {
        ome_arena_t producers = {.memory = pair.regions[0]};
        ome_arena_t consumers = {.memory = pair.regions[1]};
        ome_channel_lay_out(views[i], &producers, &consumers, SLOT_COUNT, sizeof(uint64_t));
    }
    pair.bell = market_memory(sizeof(ome_bell_t));
    return pair;
}

static void pair_free(pair_t *pair)
{
    free(pair->regions[0]);
    free(pair->regions[1]);
    free(pair->bell);
    CHECK_EQUAL(close(pair->bell_fds[0]), 0);
    CHECK_EQUAL(close(pair->bell_fds[1]), 0);
}

static void put(pair_t *pair, uint64_t value)
{
    *(uint64_t *)ome_channel_slot(&pair->producer, pair->producer.position) = value;
    ome_channel_publish(&pair->producer, 1);
}

static void what_was_not_published_is_not_there(void)
{
    pair_t pair = pair_new();
    CHECK_EQUAL(ome_channel_room(&pair.producer, 100), SLOT_COUNT);
    *(uint64_t *)ome_channel_slot(&pair.producer, 0) = 7;
    CHECK_EQUAL(ome_channel_available(&pair.consumer), 0);
    ome_channel_publish(&pair.producer, 1);
    CHECK_EQUAL(ome_channel_available(&pair.consumer), 1);
    CHECK_EQUAL(*(uint64_t *)ome_channel_slot(&pair.consumer, 0), 7);
    pair_free(&pair);
}

static void nothing_is_overwritten_that_was_not_read(void)
{
    pair_t pair = pair_new();
    for (uint64_t i = 0; i < SLOT_COUNT; i++)
    {
        put(&pair, i);
    }
    CHECK_EQUAL(ome_channel_room(&pair.producer, 1), 0);
    CHECK_EQUAL(ome_channel_available(&pair.consumer), SLOT_COUNT);
    ome_channel_consume(&pair.consumer, 3);
    CHECK_EQUAL(ome_channel_room(&pair.producer, 100), 3);
    CHECK_EQUAL(ome_channel_room(&pair.producer, 2), 2);
    put(&pair, 8);
    CHECK_EQUAL(ome_channel_available(&pair.consumer), SLOT_COUNT - 2);
    CHECK_EQUAL(*(uint64_t *)ome_channel_slot(&pair.consumer, pair.consumer.position), 3);
    pair_free(&pair);
}

/* A position that cannot be is believed by nobody, and the channel stays broken. */
static void a_position_that_cannot_be_breaks_the_channel(void)
{
    static const int64_t wrong[] = {-1, 9, INT64_MAX, INT64_MIN};
    for (uint32_t i = 0; i < 4; i++)
    {
        pair_t pair = pair_new();
        put(&pair, 1);
        put(&pair, 2);
        CHECK_EQUAL(ome_channel_available(&pair.consumer), 2);
        ome_channel_consume(&pair.consumer, 1);
        atomic_store(&pair.producer.published->value, 1 + (uint64_t)wrong[i]);
        CHECK_EQUAL(ome_channel_available(&pair.consumer), 0);
        CHECK(pair.consumer.is_broken);
        atomic_store(&pair.producer.published->value, 2);
        CHECK_EQUAL(ome_channel_available(&pair.consumer), 0);

        atomic_store(&pair.consumer.consumed->value, 2 + (wrong[i] == -1 ? 1 : (uint64_t)wrong[i]));
        CHECK_EQUAL(ome_channel_room(&pair.producer, SLOT_COUNT), 0);
        CHECK(pair.producer.is_broken);
        pair_free(&pair);
    }
}

static uint64_t reads_of(const pair_t *pair)
{
    uint64_t one;
    uint64_t count = 0;
    while (read(pair->bell_fds[0], &one, sizeof(one)) == sizeof(one))
    {
        count++;
    }
    return count;
}

static void a_bell_rings_once_for_each_sleep(void)
{
    pair_t pair = pair_new();
    uint64_t rung = 0;
    ome_bell_ring(pair.bell, OME_BELL_RECORDS, pair.bell_fds[1], &rung);
    CHECK_EQUAL(reads_of(&pair), 0); /* nobody sleeps */
    for (uint32_t sleep = 0; sleep < 3; sleep++)
    {
        ome_bell_prepare(pair.bell, OME_BELL_RECORDS);
        ome_bell_ring(pair.bell, OME_BELL_ROOM, pair.bell_fds[1], &rung);
        CHECK_EQUAL(reads_of(&pair), 0); /* it waits for something else */
        ome_bell_ring(pair.bell, OME_BELL_RECORDS, pair.bell_fds[1], &rung);
        ome_bell_ring(pair.bell, OME_BELL_RECORDS, pair.bell_fds[1], &rung);
        CHECK_EQUAL(reads_of(&pair), 1);
        ome_bell_cancel(pair.bell);
        ome_bell_ring(pair.bell, OME_BELL_RECORDS, pair.bell_fds[1], &rung);
        CHECK_EQUAL(reads_of(&pair), 0);
    }
    pair_free(&pair);
}

static void *produce(void *argument)
{
    pair_t *pair = argument;
    uint64_t rung = 0;
    for (uint64_t value = 0; value < RECORD_COUNT;)
    {
        const uint32_t room = ome_channel_room(&pair->producer, 1 + (uint32_t)(value % 5));
        for (uint32_t i = 0; i < room && value + i < RECORD_COUNT; i++)
        {
            *(uint64_t *)ome_channel_slot(&pair->producer, pair->producer.position + i) = value + i;
        }
        const uint32_t count = value + room <= RECORD_COUNT ? room : (uint32_t)(RECORD_COUNT - value);
        if (count > 0)
        {
            ome_channel_publish(&pair->producer, count);
            ome_bell_ring(pair->bell, OME_BELL_RECORDS, pair->bell_fds[1], &rung);
            value += count;
        }
        else
        {
            sched_yield();
        }
    }
    return NULL;
}

/* Two threads: every record comes, in order, and no sleeper is missed. */
static void records_come_in_order_and_sleepers_are_woken(void)
{
    pair_t pair = pair_new();
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, produce, &pair), 0);
    for (uint64_t expected = 0; expected < RECORD_COUNT;)
    {
        const uint32_t available = ome_channel_available(&pair.consumer);
        for (uint32_t i = 0; i < available; i++)
        {
            CHECK_EQUAL(*(uint64_t *)ome_channel_slot(&pair.consumer, pair.consumer.position + i), expected + i);
        }
        ome_channel_consume(&pair.consumer, available);
        expected += available;
        if (available == 0)
        {
            struct pollfd waited = {.fd = pair.bell_fds[0], .events = POLLIN};
            ome_bell_prepare(pair.bell, OME_BELL_RECORDS);
            if (ome_channel_available(&pair.consumer) == 0)
            {
                CHECK_EQUAL(poll(&waited, 1, 20000), 1); /* a wait this long means that a wake was missed */
            }
            (void)reads_of(&pair);
            ome_bell_cancel(pair.bell);
        }
    }
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK(!pair.producer.is_broken && !pair.consumer.is_broken);
    pair_free(&pair);
}

int main(void)
{
    RUN(what_was_not_published_is_not_there);
    RUN(nothing_is_overwritten_that_was_not_read);
    RUN(a_position_that_cannot_be_breaks_the_channel);
    RUN(a_bell_rings_once_for_each_sleep);
    RUN(records_come_in_order_and_sleepers_are_woken);
    return 0;
}
