/* The market data feed as a stage: its configuration, how it sleeps and wakes, and what stops it. */
#include <pthread.h>

#include "base/ome_clock.h"
#include "feed_fixture.h"

/* A configuration outside its limits, memory that is too small or not aligned, are refused. */
static void a_bad_configuration_is_refused(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    const ome_feed_config_t good = feed_config(venue, 10);
    const uint64_t size_bytes = ome_feed_size_bytes(&good);
    uint8_t *memory = ome_memory_map(size_bytes + 1);
    ome_feed_t *feed;
    ome_feed_config_t bad = good;
    bad.limits.order_count_max = 0;
    CHECK_EQUAL(ome_feed_size_bytes(&bad), 0);
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad = good;
    bad.snapshot_level_count_max = 0;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad.snapshot_level_count_max = OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX + 1;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad = good;
    bad.reader.published = NULL;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    bad = good;
    bad.event_fd = -1;
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &bad), OME_INVALID);
    CHECK_EQUAL(ome_feed_init(&feed, memory + 1, size_bytes, &good), OME_INVALID);
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes - 1, &good), OME_NO_MEMORY);
    CHECK_EQUAL(ome_feed_init(&feed, memory, size_bytes, &good), OME_OK);
    ome_memory_unmap(memory, size_bytes + 1);
    venue_free(venue);
}

/* Commands that say nothing leave numbers out, but never does a command come again: a feed that is told so stops, and
 * publishes nothing made up. */
static void a_stream_that_goes_back_stops_the_feed(void)
{
    venue_t *venue = venue_new(100, 100, 64, 10);
    open_instrument(venue, 1, 0);
    hear(venue);
    order(venue, 1, OME_SIDE_BUY, 100, 1);
    order(venue, 1, OME_SIDE_BUY, 101, 1);
    drain(venue);
    const uint32_t frames_before = venue->frame_count;
    venue->event_streamed--;
    CHECK_EQUAL(stream_events(venue, UINT32_MAX), 1);
    CHECK_EQUAL(ome_feed_run(venue->feed, LONG_MS), OME_STOPPED);
    CHECK_EQUAL(ome_feed_do_work(venue->feed), 0);
    CHECK_EQUAL(venue->frame_count, frames_before);
    venue_free(venue);
}

static void *publish_later(void *argument)
{
    venue_t *venue = argument;
    usleep(20000);
    CHECK_EQUAL(stream_events(venue, UINT32_MAX), venue->event_count);
    return NULL;
}

static void *open_gate_later(void *argument)
{
    venue_t *venue = argument;
    usleep(20000);
    open_gate(venue, UINT64_MAX);
    return NULL;
}

static void *open_gate_at_once(void *argument)
{
    open_gate(argument, UINT64_MAX);
    return NULL;
}

/* Wherever the feed is when the gate opens, it does not sleep through that: in some of these rounds it has just looked, and in some it has
 * not yet said that it sleeps. */
static void run_does_not_sleep_when_the_gate_has_just_opened(void)
{
    for (uint32_t round = 0; round < 50; round++)
    {
        venue_t *venue = venue_new(100, 100, 64, 10);
        hear(venue);
        open_instrument(venue, 1, 0);
        CHECK_EQUAL(stream_events(venue, UINT32_MAX), 1);
        open_gate(venue, 0);
        venue->closes_on_send = true;
        pthread_t thread;
        CHECK_EQUAL(pthread_create(&thread, NULL, open_gate_at_once, venue), 0);
        const uint64_t start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_feed_run(venue->feed, LONG_MS), OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
        venue_free(venue);
    }
}

/* run sleeps while there is nothing to do, returns when its time is over, and is woken by a publication, by the gate
 * and by the end of the socket. */
static void run_sleeps_and_is_woken(void)
{
    void *(*const wakers[])(void *) = {publish_later, open_gate_later};
    for (uint32_t i = 0; i < 2; i++)
    {
        venue_t *venue = venue_new(100, 100, 64, 10);
        uint64_t start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_feed_run(venue->feed, 30), OME_OK);
        CHECK(ome_clock_monotonic_ns() - start_ns >= UINT64_C(30000000));
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK_EQUAL(ome_feed_run(venue->feed, 0), OME_OK);
        hear(venue);
        open_instrument(venue, 1, 0);
        venue->closes_on_send = true;
        open_gate(venue, i == 0 ? UINT64_MAX : 0);
        if (i == 1)
        {
            CHECK_EQUAL(stream_events(venue, UINT32_MAX), 1);
        }
        pthread_t thread;
        CHECK_EQUAL(pthread_create(&thread, NULL, wakers[i], venue), 0);
        start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_feed_run(venue->feed, LONG_MS), OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() - start_ns < UINT64_C(10000000000));
        CHECK_EQUAL(venue->frame_count, 2);
        CHECK_EQUAL(ome_feed_do_work(venue->feed), 0);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
        venue_free(venue);
    }
}

int main(void)
{
    RUN(a_bad_configuration_is_refused);
    RUN(a_stream_that_goes_back_stops_the_feed);
    RUN(run_does_not_sleep_when_the_gate_has_just_opened);
    RUN(run_sleeps_and_is_woken);
    return 0;
}
