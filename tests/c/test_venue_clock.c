/* The venue's time: follows a wall clock that agrees, waits where it jumps, goes back only when it is accepted, and is
 * read whole while it is written. No clock is read. */
#include "base/ome_venue_clock.h"
#include "ome_test.h"

#include <pthread.h>

#define SECOND UINT64_C(1000000000)
#define PERIOD (SECOND / 20)
#define NOON (UINT64_C(1900000000) * SECOND)
#define STEADY (UINT64_C(777) * SECOND)

static uint64_t seed;

/* A clock that began at noon, and both clocks as the machine has them. */
typedef struct
{
    ome_venue_clock_t clock;
    uint64_t steady_ns;
    uint64_t wall_ns;
} machine_t;

static machine_t machine_at_noon(void)
{
    machine_t machine = {.steady_ns = STEADY, .wall_ns = NOON};
    ome_venue_clock_init(&machine.clock, STEADY, NOON, 0);
    return machine;
}

static uint64_t now(const machine_t *machine)
{
    return ome_venue_clock_at_ns(&machine->clock, machine->steady_ns);
}

/* Time passes on both clocks, and is followed each period. The venue's never goes back, and never runs more than a part
 * in 512 faster or slower. */
static void run_for(machine_t *machine, uint64_t duration_ns)
{
    for (uint64_t passed = 0; passed < duration_ns; passed += PERIOD)
    {
        const uint64_t before_ns = now(machine);
        machine->steady_ns += PERIOD;
        machine->wall_ns += PERIOD;
        const uint64_t passed_ns = now(machine) - before_ns;
        CHECK(passed_ns >= PERIOD - (PERIOD >> 9) && passed_ns <= PERIOD + (PERIOD >> 9));
        const uint64_t unfollowed_ns = now(machine);
        ome_venue_clock_follow(&machine->clock, machine->steady_ns, machine->wall_ns);
        CHECK_EQUAL(now(machine), unfollowed_ns); /* no step where the base changes */
    }
}

static void time_is_the_wall_clocks_while_both_agree(void)
{
    machine_t machine = machine_at_noon();
    run_for(&machine, 10 * SECOND);
    CHECK_EQUAL(now(&machine), machine.wall_ns);
    CHECK_EQUAL(now(&machine), NOON + 10 * SECOND);
    CHECK(!machine.clock.is_held);
    CHECK_EQUAL(machine.clock.jump_count, 0);
    CHECK_EQUAL(machine.clock.difference_ns, 0);
}

static void a_small_difference_is_made_up_for_slowly_and_exactly(void)
{
    const int64_t steps_ns[] = {
        1, -1, 400000000, -400000000, (int64_t)SECOND, -(int64_t)SECOND, OME_VENUE_CLOCK_LIMIT_NS, -OME_VENUE_CLOCK_LIMIT_NS};
    for (size_t i = 0; i < sizeof(steps_ns) / sizeof(steps_ns[0]); i++)
    {
        machine_t machine = machine_at_noon();
        machine.wall_ns += (uint64_t)steps_ns[i];
        ome_venue_clock_follow(&machine.clock, machine.steady_ns, machine.wall_ns);
        CHECK_EQUAL(now(&machine), NOON);
        run_for(&machine, 400 * SECOND);
        CHECK_EQUAL(now(&machine) == machine.wall_ns, steps_ns[i] >= -400000000 && steps_ns[i] <= 400000000);
        run_for(&machine, 400 * SECOND);
        CHECK_EQUAL(now(&machine), machine.wall_ns);
        CHECK(!machine.clock.is_held);
        CHECK_EQUAL(machine.clock.jump_count, 0);
    }
}

static void a_jump_holds_the_time_until_the_clock_is_right_again(void)
{
    const int64_t jumps_ns[] = {
        OME_VENUE_CLOCK_LIMIT_NS + 1, -OME_VENUE_CLOCK_LIMIT_NS - 1, INT64_C(4) * 365 * 86400 * (int64_t)SECOND, -(int64_t)NOON};
    for (size_t i = 0; i < sizeof(jumps_ns) / sizeof(jumps_ns[0]); i++)
    {
        machine_t machine = machine_at_noon();
        run_for(&machine, SECOND);
        machine.wall_ns += (uint64_t)jumps_ns[i];
        run_for(&machine, 3 * SECOND);
        CHECK_EQUAL(now(&machine), NOON + 4 * SECOND);
        CHECK(machine.clock.is_held);
        CHECK_EQUAL(machine.clock.jump_count, 1);
        CHECK_EQUAL(machine.clock.difference_ns, jumps_ns[i]);
        machine.wall_ns -= (uint64_t)jumps_ns[i];
        run_for(&machine, SECOND);
        CHECK_EQUAL(now(&machine), NOON + 5 * SECOND);
        CHECK(!machine.clock.is_held);
        CHECK_EQUAL(machine.clock.jump_count, 1);
        machine.wall_ns += (uint64_t)jumps_ns[i];
        run_for(&machine, SECOND);
        CHECK(machine.clock.is_held);
        CHECK_EQUAL(machine.clock.jump_count, 2);
    }
}

static void a_jump_ends_a_correction_that_is_being_made(void)
{
    machine_t machine = machine_at_noon();
    machine.wall_ns += SECOND;
    run_for(&machine, SECOND);
    machine.wall_ns += 3600 * SECOND;
    ome_venue_clock_follow(&machine.clock, machine.steady_ns, machine.wall_ns);
    const uint64_t held_ns = now(&machine);
    run_for(&machine, 100 * SECOND);
    CHECK_EQUAL(now(&machine), held_ns + 100 * SECOND);
}

static void an_accepted_clock_is_the_time_later_or_earlier(void)
{
    const int64_t jumps_ns[] = {INT64_C(86400) * (int64_t)SECOND, -INT64_C(86400) * (int64_t)SECOND, 5};
    for (size_t i = 0; i < sizeof(jumps_ns) / sizeof(jumps_ns[0]); i++)
    {
        machine_t machine = machine_at_noon();
        machine.wall_ns += (uint64_t)jumps_ns[i];
        ome_venue_clock_follow(&machine.clock, machine.steady_ns, machine.wall_ns);
        ome_venue_clock_accept(&machine.clock, machine.steady_ns, machine.wall_ns);
        CHECK_EQUAL(now(&machine), machine.wall_ns);
        CHECK(!machine.clock.is_held);
        CHECK_EQUAL(machine.clock.difference_ns, 0);
        run_for(&machine, SECOND);
        CHECK_EQUAL(now(&machine), machine.wall_ns);
        CHECK_EQUAL(machine.clock.jump_count, i < 2 ? 1 : 0);
    }
}

static void time_begins_no_earlier_than_the_last_command(void)
{
    ome_venue_clock_t clock;
    ome_venue_clock_init(&clock, STEADY, NOON, NOON - 3600 * SECOND);
    CHECK_EQUAL(ome_venue_clock_at_ns(&clock, STEADY), NOON);
    CHECK(!clock.is_held);
    ome_venue_clock_init(&clock, STEADY, NOON, NOON + SECOND);
    CHECK_EQUAL(ome_venue_clock_at_ns(&clock, STEADY), NOON + SECOND);
    CHECK(!clock.is_held);
    CHECK_EQUAL(clock.difference_ns, -(int64_t)SECOND);
    ome_venue_clock_init(&clock, STEADY, NOON, NOON + 3600 * SECOND);
    CHECK_EQUAL(ome_venue_clock_at_ns(&clock, STEADY), NOON + 3600 * SECOND);
    CHECK(clock.is_held);
    CHECK_EQUAL(clock.jump_count, 1);
    CHECK_EQUAL(clock.difference_ns, -INT64_C(3600) * (int64_t)SECOND);
}

static void a_moment_before_the_base_has_its_time(void)
{
    machine_t machine = machine_at_noon();
    CHECK_EQUAL(ome_venue_clock_at_ns(&machine.clock, STEADY - SECOND), NOON); /* read before another thread followed */
}

/* One thread follows, with clocks that agree but for a second or so; readers see a time that belongs to their moment, whole. */
static ome_venue_clock_t shared;
static atomic_bool is_done;

static void *read_times(void *argument)
{
    uint64_t steady_ns = STEADY;
    uint64_t last_ns = 0;
    uint64_t count = 0;
    while (!atomic_load_explicit(&is_done, memory_order_relaxed))
    {
        steady_ns += SECOND;
        const uint64_t time_ns = ome_venue_clock_at_ns(&shared, steady_ns);
        const uint64_t right_ns = NOON + (steady_ns - STEADY);
        /* Behind what another thread has followed, the time of the base is given: it is later than the moment's own. */
        CHECK(time_ns >= last_ns && time_ns + 4 * SECOND >= right_ns);
        last_ns = time_ns;
        count++;
    }
    *(uint64_t *)argument = count;
    return NULL;
}

static void time_is_read_whole_while_another_thread_follows(void)
{
    ome_venue_clock_init(&shared, STEADY, NOON, 0);
    atomic_store(&is_done, false);
    pthread_t readers[2];
    uint64_t counts[2];
    for (int i = 0; i < 2; i++)
    {
        CHECK_EQUAL(pthread_create(&readers[i], NULL, read_times, &counts[i]), 0);
    }
    uint64_t steady_ns = STEADY;
    for (uint32_t i = 0; i < 200000; i++)
    {
        steady_ns += SECOND;
        ome_venue_clock_follow(&shared, steady_ns, NOON + (steady_ns - STEADY) + test_random(&seed) % (SECOND / 2) - SECOND / 4);
    }
    atomic_store(&is_done, true);
    for (int i = 0; i < 2; i++)
    {
        CHECK_EQUAL(pthread_join(readers[i], NULL), 0);
        printf("read %" PRIu64 " times\n", counts[i]);
    }
    CHECK(!shared.is_held);
}

int main(void)
{
    seed = test_seed(8);
    RUN(time_is_the_wall_clocks_while_both_agree);
    RUN(a_small_difference_is_made_up_for_slowly_and_exactly);
    RUN(a_jump_holds_the_time_until_the_clock_is_right_again);
    RUN(a_jump_ends_a_correction_that_is_being_made);
    RUN(an_accepted_clock_is_the_time_later_or_earlier);
    RUN(time_begins_no_earlier_than_the_last_command);
    RUN(a_moment_before_the_base_has_its_time);
    RUN(time_is_read_whole_while_another_thread_follows);
    return 0;
}
