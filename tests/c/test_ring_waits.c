/* The wait objects of ring and stream: no wake is lost, and none is made that nobody asked for. */
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ring_fixture.h"

static uint64_t seed;

/* With each strategy a wait for what does not come ends after its timeout, and not before. */
static void wait_ends_after_its_timeout_with_each_strategy(void)
{
    const ome_wait_strategy_t strategies[] = {OME_WAIT_SPIN, OME_WAIT_YIELD, OME_WAIT_BLOCK};
    for (size_t i = 0; i < 3; i++)
    {
        ome_ring_t *ring = ring_new(2, 1, 0, strategies[i]);
        const uint64_t start_ns = ome_clock_monotonic_ns();
        CHECK_EQUAL(ome_ring_wait(ring, 1, 5 * MILLISECOND_NS), OME_EMPTY);
        const uint64_t taken_ns = ome_clock_monotonic_ns() - start_ns;
        CHECK(taken_ns >= 5 * MILLISECOND_NS);
        CHECK(taken_ns < LONG_NS);
        free(ring);
    }
}

#define PING_PONG_COUNT 100000u

typedef struct
{
    ome_ring_t *to_other;
    ome_ring_t *to_self;
    bool starts;
    uint64_t random;
    uint64_t timeout_count;
} player_t;

/* What comes in goes out again, after a pause that is now shorter and now longer than the spinning before the sleep: so
 * that wakes meet waiters that spin, that are about to sleep, and that sleep. */
static void *play(void *argument)
{
    player_t *self = argument;
    for (uint64_t turn = 1; turn <= PING_PONG_COUNT / 2; turn++)
    {
        if (!self->starts || turn > 1)
        {
            const uint64_t wanted = self->starts ? turn - 1 : turn;
            while (ome_ring_wait(self->to_self, wanted, LONG_NS / 10) != OME_OK)
            {
                self->timeout_count++;
                CHECK(self->timeout_count < 10);
            }
            ome_ring_consumer_advance(self->to_self, 0, wanted);
        }
        spin_for(test_random(&self->random) % (2 * OME_WAIT_SPIN_NS));
        uint64_t first = 0;
        CHECK_EQUAL(ome_ring_try_claim(self->to_other, 1, &first), OME_OK);
        CHECK_EQUAL(first, turn);
        ome_ring_publish(self->to_other, first, 1);
    }
    return NULL;
}

/* Two threads that wait for each other in turns never need a timeout. */
static void wake_is_not_lost_in_a_ping_pong(void)
{
    ome_ring_t *a = ring_new(4, 1, 0, OME_WAIT_BLOCK);
    ome_ring_t *b = ring_new(4, 1, 0, OME_WAIT_BLOCK);
    player_t players[2] = {{.to_other = a, .to_self = b, .starts = true, .random = seed}, {.to_other = b, .to_self = a, .random = ~seed}};
    pthread_t threads[2];
    thread_start(&threads[0], play, &players[0]);
    thread_start(&threads[1], play, &players[1]);
    thread_join(threads[0]);
    thread_join(threads[1]);
    CHECK_EQUAL(players[0].timeout_count, 0);
    CHECK_EQUAL(players[1].timeout_count, 0);
    free(a);
    free(b);
}

#define POLL_COUNT 20000u

typedef struct
{
    ome_stream_t *stream;
    int event_fd;
    uint64_t sleep_count;
} poller_t;

/* The loop of ome_wait.h, for a thread that sleeps in poll(). */
static void *poll_and_read(void *argument)
{
    poller_t *self = argument;
    ome_wait_t *wait = ome_stream_reader_wait(self->stream, 0);
    const void *slots = NULL;
    uint64_t read_count = 0;
    while (read_count < POLL_COUNT)
    {
        uint32_t count = ome_stream_available(self->stream, 0, &slots);
        if (count == 0)
        {
            ome_wait_prepare(wait);
            if (ome_stream_available(self->stream, 0, &slots) == 0)
            {
                struct pollfd descriptor = {.fd = self->event_fd, .events = POLLIN};
                CHECK_EQUAL(poll(&descriptor, 1, (int)(LONG_NS / MILLISECOND_NS)), 1);
                uint64_t wakes = 0;
                CHECK_EQUAL(read(self->event_fd, &wakes, sizeof(wakes)), (ssize_t)sizeof(wakes));
                CHECK(wakes >= 1); /* 2 when a waker was still on its way when the announcement before was cancelled */
                self->sleep_count++;
            }
            ome_wait_cancel(wait);
            continue;
        }
        read_count += count;
        ome_stream_advance(self->stream, 0, count);
    }
    return NULL;
}

/* A reader that sleeps in poll() is woken through its event descriptor, whether the strategy is one that sleeps or not. */
static void wake_is_not_lost_by_a_reader_in_poll(void)
{
    const ome_wait_strategy_t strategies[] = {OME_WAIT_SPIN, OME_WAIT_BLOCK};
    for (size_t i = 0; i < 2; i++)
    {
        poller_t poller = {.stream = stream_new(8, 1, strategies[i]), .event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
        CHECK(poller.event_fd >= 0);
        CHECK_EQUAL(ome_wait_set_event_fd(ome_stream_reader_wait(poller.stream, 0), poller.event_fd), OME_OK);
        pthread_t thread;
        thread_start(&thread, poll_and_read, &poller);
        uint64_t random = seed;
        for (uint32_t written = 0; written < POLL_COUNT;)
        {
            void *slots = NULL;
            if (ome_stream_window(poller.stream, &slots) == 0)
            {
                CHECK_EQUAL(ome_stream_wait_room(poller.stream, LONG_NS), OME_OK);
                continue;
            }
            spin_for(test_random(&random) % 8000);
            ome_stream_publish(poller.stream, 1);
            written++;
        }
        thread_join(thread);
        CHECK(poller.sleep_count > 0);
        CHECK_EQUAL(close(poller.event_fd), 0);
        free(poller.stream);
    }
}

/* Nobody has announced a sleep, so a publication writes nothing; after a cancel neither. */
static void wake_writes_to_the_event_descriptor_only_when_asked(void)
{
    ome_stream_t *stream = stream_new(8, 2, OME_WAIT_BLOCK);
    ome_wait_t *wait = ome_stream_reader_wait(stream, 1);
    const int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(event_fd >= 0);
    CHECK_EQUAL(ome_wait_set_event_fd(wait, event_fd), OME_OK);
    uint64_t wakes = 0;
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), -1);
    ome_wait_prepare(wait);
    ome_wait_cancel(wait);
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), -1);
    ome_wait_prepare(wait);
    ome_stream_publish(stream, 1);
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), (ssize_t)sizeof(wakes));
    CHECK_EQUAL(wakes, 1);
    ome_stream_advance(stream, 1, 4);
    CHECK_EQUAL(ome_stream_wait(stream, 1, MILLISECOND_NS), OME_EMPTY); /* announced a sleep on the futex, not in poll() */
    ome_stream_publish(stream, 1);
    CHECK_EQUAL(read(event_fd, &wakes, sizeof(wakes)), -1);
    CHECK_EQUAL(close(event_fd), 0);
    free(stream);
}

/* Two announcements with a wake in between differ: who is on its way to sleep for the first does not sleep through that wake. */
static void wake_makes_the_next_announcement_another(void)
{
    ome_wait_t wait;
    CHECK_EQUAL(ome_wait_init(&wait, OME_WAIT_BLOCK), OME_OK);
    CHECK_EQUAL(ome_wait_set_event_fd(&wait, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), OME_OK);
    CHECK(wait.event_fd >= 0);
    ome_wait_prepare(&wait);
    const uint32_t first = atomic_load_explicit(&wait.word, memory_order_relaxed);
    ome_wait_notify(&wait);
    ome_wait_prepare(&wait);
    CHECK(atomic_load_explicit(&wait.word, memory_order_relaxed) != first);
    CHECK_EQUAL(close(wait.event_fd), 0);
}

#define MEETING_COUNT 200000u

typedef struct
{
    ome_ring_t *ring; /* or NULL */
    ome_stream_t *stream; /* or NULL */
    ome_wait_t *wait;
    _Atomic uint32_t arrived; /* twice in each round by each thread */
    bool saw[MEETING_COUNT];
} meeting_t;

/* Both threads leave at the same moment, or as near to it as can be. */
static void meet(meeting_t *meeting, uint32_t *stage)
{
    *stage += 2;
    atomic_fetch_add_explicit(&meeting->arrived, 1, memory_order_acq_rel); /* pairs with itself: what was done before is seen after */
    const uint64_t start_ns = ome_clock_monotonic_ns();
    while (atomic_load_explicit(&meeting->arrived, memory_order_acquire) < *stage)
    {
        if (ome_clock_monotonic_ns() - start_ns > 20000)
        {
            sched_yield(); /* the other does not run now */
        }
    }
}

/* A few nanoseconds, more or fewer each time. */
static void stagger(uint64_t *random)
{
    for (volatile uint64_t left = test_random(random) % 32; left > 0; left--)
    {
    }
}

static void *meet_as_waiter(void *argument)
{
    meeting_t *self = argument;
    const void *slots = NULL;
    uint32_t stage = 0;
    uint64_t random = seed;
    for (uint32_t round = 0; round < MEETING_COUNT; round++)
    {
        meet(self, &stage);
        stagger(&random);
        ome_wait_prepare(self->wait);
        self->saw[round] =
            self->ring != NULL ? ome_ring_available(self->ring, round + 1, 1) == 1 : ome_stream_available(self->stream, 0, &slots) == 1;
        meet(self, &stage);
        if (self->ring != NULL)
        {
            ome_ring_consumer_advance(self->ring, 0, round + 1);
        }
        else
        {
            ome_stream_advance(self->stream, 0, 1);
        }
    }
    return NULL;
}

/* A waiter announces itself and looks, a waker publishes and looks, both at once: at least one of them sees the other. */
static void meet_as_waker(meeting_t *self)
{
    uint32_t stage = 0;
    uint64_t random = ~seed;
    uint64_t sequence = 0;
    void *window = NULL;
    pthread_t thread;
    thread_start(&thread, meet_as_waiter, self);
    for (uint32_t round = 0; round < MEETING_COUNT; round++)
    {
        CHECK(self->ring != NULL ? ome_ring_try_claim(self->ring, 1, &sequence) == OME_OK : ome_stream_window(self->stream, &window) > 0);
        meet(self, &stage);
        stagger(&random);
        if (self->ring != NULL)
        {
            ome_ring_publish(self->ring, sequence, 1);
        }
        else
        {
            ome_stream_publish(self->stream, 1);
        }
        meet(self, &stage);
        const bool woken = (atomic_load_explicit(&self->wait->word, memory_order_relaxed) & OME_WAIT_ANYBODY) == 0;
        CHECK(woken || self->saw[round]);
    }
    thread_join(thread);
}

static void wake_or_condition_is_seen_when_both_come_at_once(void)
{
    static meeting_t meetings[2];
    meetings[0].ring = ring_new(8, 1, 0, OME_WAIT_BLOCK);
    meetings[0].wait = &meetings[0].ring->wait;
    meetings[1].stream = stream_new(8, 1, OME_WAIT_BLOCK);
    meetings[1].wait = ome_stream_reader_wait(meetings[1].stream, 0);
    const int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(event_fd >= 0);
    for (int i = 0; i < 2; i++)
    {
        CHECK_EQUAL(ome_wait_set_event_fd(meetings[i].wait, event_fd), OME_OK);
        meet_as_waker(&meetings[i]);
    }
    CHECK_EQUAL(close(event_fd), 0);
    free(meetings[0].ring);
    free(meetings[1].stream);
}

int main(void)
{
    seed = test_seed(1);
    RUN(wait_ends_after_its_timeout_with_each_strategy);
    RUN(wake_is_not_lost_in_a_ping_pong);
    RUN(wake_is_not_lost_by_a_reader_in_poll);
    RUN(wake_writes_to_the_event_descriptor_only_when_asked);
    RUN(wake_makes_the_next_announcement_another);
    RUN(wake_or_condition_is_seen_when_both_come_at_once);
    return 0;
}
