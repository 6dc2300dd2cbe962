/* Published events: names of readers, the gate, batches, wake-ups; by hand and with threads. */
#include <pthread.h>
#include <sched.h>

#include "base/ome_memory.h"
#include "concurrent/ome_published.h"
#include "ome_test.h"

#define SLOT_COUNT 16u
#define LONG_NS UINT64_C(10000000000)

typedef struct
{
    ome_stream_t *stream;
    ome_published_t published;
    uint64_t sequence; /* of the last event written */
} house_t;

static house_t *house_new(uint32_t reader_count, uint32_t required)
{
    house_t *house = ome_memory_map(sizeof(house_t));
    CHECK(house != NULL);
    const ome_stream_config_t config = {.slot_count = SLOT_COUNT, .reader_count = reader_count, .wait_strategy = OME_WAIT_BLOCK};
    const size_t size_bytes = ome_stream_size_bytes(SLOT_COUNT);
    CHECK_EQUAL(ome_stream_init(&house->stream, ome_memory_map(size_bytes), size_bytes, &config), OME_OK);
    ome_published_init(&house->published, house->stream, required, 0);
    return house;
}

static void house_free(house_t *house)
{
    ome_memory_unmap(house->stream, ome_stream_size_bytes(SLOT_COUNT));
    ome_memory_unmap(house, sizeof(house_t));
}

static ome_reader_t reader_new(house_t *house, const char *name, bool sleeps)
{
    ome_reader_t reader;
    CHECK_EQUAL(ome_published_register(&house->published, name, sleeps, &reader), OME_OK);
    return reader;
}

/* Publishes a command of so many events; its last part ends it. False where the stream is full. */
static bool say(house_t *house, uint32_t event_count, bool is_whole)
{
    void *slots;
    if (ome_stream_window(house->stream, &slots) < event_count)
    {
        return false;
    }
    ome_event_t *events = slots;
    for (uint32_t i = 0; i < event_count; i++)
    {
        events[i] = (ome_event_t){.sequence = house->sequence + 1};
    }
    if (is_whole)
    {
        ome_stream_publish_whole(house->stream, event_count);
        house->sequence++;
    }
    else
    {
        ome_stream_publish(house->stream, event_count);
    }
    return true;
}

/* A reader has a name that no other has; there are no more than the stream has room for. */
static void readers_have_names(void)
{
    house_t *house = house_new(2, 0);
    ome_reader_t reader;
    CHECK(!ome_published_find(&house->published, "gateway", &reader));
    const ome_reader_t gateway = reader_new(house, "gateway", true);
    CHECK_EQUAL(ome_published_register(&house->published, "gateway", true, &reader), OME_INVALID);
    const ome_reader_t feed = reader_new(house, "feed", true);
    CHECK_EQUAL(ome_published_register(&house->published, "log", false, &reader), OME_FULL);
    CHECK(ome_published_find(&house->published, "feed", &reader));
    CHECK_EQUAL(reader.index, feed.index);
    CHECK(gateway.index != feed.index);
    house_free(house);
}

/* A place that nobody has taken when the venue starts holds nothing back; a reader that reads nothing does. */
static void a_reader_that_is_not_there_holds_nothing_back(void)
{
    house_t *house = house_new(3, 0);
    const ome_reader_t reader = reader_new(house, "first", true);
    ome_published_start(&house->published);
    for (uint32_t i = 0; i < SLOT_COUNT; i++)
    {
        CHECK(say(house, 1, true));
    }
    CHECK(!say(house, 1, true));
    const ome_event_t *events;
    CHECK_EQUAL(ome_reader_take(&reader, UINT32_MAX, &events), SLOT_COUNT);
    ome_reader_advance(&reader, 1);
    CHECK(say(house, 1, true));
    ome_reader_detach(&reader);
    CHECK(say(house, SLOT_COUNT - 1, true));
    house_free(house);
}

/* Events come up to the gate and no further, in order, at most as many as asked for; and each reader has its own place. */
static void events_come_up_to_the_gate(void)
{
    house_t *house = house_new(2, 1u << OME_GATE_DURABLE);
    const ome_reader_t readers[2] = {reader_new(house, "first", true), reader_new(house, "second", false)};
    const ome_event_t *events;
    CHECK(say(house, 2, true)); /* 1 */
    CHECK(say(house, 3, true)); /* 2 */
    CHECK(say(house, 1, true)); /* 3 */
    CHECK_EQUAL(ome_reader_take(&readers[0], UINT32_MAX, &events), 0);
    CHECK(!ome_reader_has_event(&readers[0]));
    ome_published_advance(&house->published, OME_GATE_DURABLE, 2);
    CHECK_EQUAL(ome_published_limit(&house->published), 2);
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(ome_reader_take(&readers[i], 4, &events), 4);
        CHECK_EQUAL(events[1].sequence, 1);
        CHECK_EQUAL(events[3].sequence, 2);
        ome_reader_advance(&readers[i], 4);
        CHECK_EQUAL(ome_reader_take(&readers[i], UINT32_MAX, &events), 1);
        ome_reader_advance(&readers[i], 1);
        CHECK(!ome_reader_has_event(&readers[i]));
    }
    ome_published_advance(&house->published, OME_GATE_DURABLE, 3);
    CHECK_EQUAL(ome_reader_take(&readers[1], UINT32_MAX, &events), 1);
    CHECK_EQUAL(events[0].sequence, 3);
    house_free(house);
}

/* Where nothing is waited for, the gate stands open, and its sequences are still known. */
static void an_open_gate_holds_nothing_back(void)
{
    house_t *house = house_new(1, 0);
    const ome_reader_t reader = reader_new(house, "first", true);
    const ome_event_t *events;
    CHECK(say(house, 5, true));
    CHECK_EQUAL(ome_published_limit(&house->published), UINT64_MAX);
    CHECK_EQUAL(ome_reader_take(&reader, UINT32_MAX, &events), 5);
    ome_published_advance(&house->published, OME_GATE_DURABLE, 1);
    CHECK_EQUAL(ome_published_sequence(&house->published, OME_GATE_DURABLE), 1);
    house_free(house);
}

/* A reader knows whether the command that it has read has more: by the next event, though it may not be published, or by the stream. */
static void the_end_of_a_command_is_known(void)
{
    house_t *house = house_new(1, 1u << OME_GATE_DURABLE);
    const ome_reader_t reader = reader_new(house, "first", true);
    const ome_event_t *events;
    ome_published_advance(&house->published, OME_GATE_DURABLE, 1);
    CHECK(say(house, 2, false));
    CHECK_EQUAL(ome_reader_take(&reader, UINT32_MAX, &events), 2);
    ome_reader_advance(&reader, 1);
    CHECK(!ome_reader_is_past(&reader, 1)); /* the second of it is there */
    ome_reader_advance(&reader, 1);
    CHECK(!ome_reader_is_past(&reader, 1)); /* more may come */
    CHECK(say(house, 1, true));
    CHECK(!ome_reader_is_past(&reader, 1));
    ome_reader_advance(&reader, 1);
    CHECK(ome_reader_is_past(&reader, 1));
    CHECK(say(house, 1, true));
    CHECK(ome_reader_is_past(&reader, 1) && !ome_reader_has_event(&reader));
    house_free(house);
}

/* ---- threads ---- */

#define COMMAND_COUNT 20000u

typedef struct
{
    pthread_t thread;
    ome_reader_t reader;
    uint64_t last_sequence;
    uint64_t event_count;
} worker_t;

static bool has_event(const void *context)
{
    return ome_reader_has_event(context);
}

/* Reads until it has all events of the last command, which come at once; sleeps on its wait object between. */
static void *read_all(void *argument)
{
    worker_t *worker = argument;
    while (worker->last_sequence < COMMAND_COUNT || ome_reader_has_event(&worker->reader))
    {
        CHECK_EQUAL(ome_wait_for(ome_reader_wait(&worker->reader), has_event, &worker->reader, LONG_NS), OME_OK);
        const ome_event_t *events;
        const uint32_t count = ome_reader_take(&worker->reader, 7, &events);
        for (uint32_t i = 0; i < count; i++)
        {
            CHECK(events[i].sequence == worker->last_sequence || events[i].sequence == worker->last_sequence + 1);
            worker->last_sequence = events[i].sequence;
        }
        CHECK(worker->last_sequence <= ome_published_limit(worker->reader.published));
        worker->event_count += count;
        ome_reader_advance(&worker->reader, count);
    }
    return NULL;
}

/* The journal: what was said becomes durable a little later, in groups. */
static void *open_gate(void *argument)
{
    house_t *house = argument;
    uint64_t durable = 0;
    uint64_t state = 1;
    while (durable < COMMAND_COUNT)
    {
        durable += 1 + test_random(&state) % 5;
        durable = durable < COMMAND_COUNT ? durable : COMMAND_COUNT;
        ome_published_advance(&house->published, OME_GATE_DURABLE, durable);
        if (test_random(&state) % 64 == 0)
        {
            sched_yield();
        }
    }
    return NULL;
}

/* Readers that sleep miss no event and no opening of the gate, whoever is first. */
static void a_sleeping_reader_is_woken_by_events_and_by_the_gate(void)
{
    house_t *house = house_new(2, 1u << OME_GATE_DURABLE);
    worker_t workers[2] = {{.reader = reader_new(house, "first", true)}, {.reader = reader_new(house, "second", true)}};
    pthread_t journal;
    uint64_t state = 2;
    ome_published_start(&house->published);
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(pthread_create(&workers[i].thread, NULL, read_all, &workers[i]), 0);
    }
    CHECK_EQUAL(pthread_create(&journal, NULL, open_gate, house), 0);
    while (house->sequence < COMMAND_COUNT)
    {
        void *slots;
        const uint32_t room = ome_stream_window(house->stream, &slots);
        const uint32_t count = 1 + (uint32_t)(test_random(&state) % 3);
        if (room == 0)
        {
            (void)ome_stream_wait_room(house->stream, UINT64_C(1000000));
            continue;
        }
        CHECK(say(house, count < room ? count : room, true));
    }
    CHECK_EQUAL(pthread_join(journal, NULL), 0);
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(pthread_join(workers[i].thread, NULL), 0);
        CHECK_EQUAL(workers[i].event_count, ome_stream_published(house->stream));
    }
    house_free(house);
}

int main(void)
{
    RUN(readers_have_names);
    RUN(a_reader_that_is_not_there_holds_nothing_back);
    RUN(events_come_up_to_the_gate);
    RUN(an_open_gate_holds_nothing_back);
    RUN(the_end_of_a_command_is_known);
    RUN(a_sleeping_reader_is_woken_by_events_and_by_the_gate);
    return 0;
}
