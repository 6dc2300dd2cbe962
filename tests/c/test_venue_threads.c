/* The venue with its threads: every event in order, and a restart that gives the state that was stopped. */
#include "base/ome_clock.h"
#include "venue_fixture.h"

static void live_once(const plan_t *plan, uint32_t command_count, uint32_t pause_every)
{
    spoken_t spoken = nothing;
    (void)live_on(plan, command_count, pause_every, &spoken);
}

static void every_reader_sees_every_event_in_order_without_a_journal(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 256, 256, 2, OME_WAIT_BLOCK, NULL};
    live_once(&plan, 5000 * LOAD, 0);
    const plan_t yielding = {OME_POLICY_MEMORY, 64, 128, 1, OME_WAIT_YIELD, NULL};
    live_once(&yielding, 1000 * LOAD, 0);
}

static void every_reader_sees_every_event_in_order_with_a_journal(void)
{
    for (uint8_t policy = OME_POLICY_COMMIT; policy <= OME_POLICY_ASYNC; policy++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {policy, 256, 512, 2, OME_WAIT_BLOCK, directory.path};
        live_once(&plan, 500 * LOAD, 0);
        directory_remove(&directory);
    }
}

/* Rings of 16 slots and a reader that pauses: the producers are told that it is busy, and nothing is lost. */
static void a_slow_reader_holds_a_small_venue_back_and_misses_nothing(void)
{
    const directory_t directory = directory_new();
    const plan_t memory = {OME_POLICY_MEMORY, 16, 16, 2, OME_WAIT_BLOCK, NULL};
    const plan_t commit = {OME_POLICY_COMMIT, 16, 16, 2, OME_WAIT_BLOCK, directory.path};
    live_once(&memory, 300 * LOAD, 40);
    live_once(&commit, 60 * LOAD, 40);
    directory_remove(&directory);
}

/* While nobody reads, the venue takes what its rings hold and then is busy; it goes on when somebody does. */
static void a_venue_that_nobody_reads_becomes_busy_and_recovers(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 16, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    uint64_t taken = 0;
    uint32_t busy_in_a_row = 0;
    while (busy_in_a_row < 50)
    {
        const ome_status_t status = ome_venue_submit(venue, &(ome_command_t){0}, 1);
        CHECK(status == OME_OK || status == OME_FULL);
        taken += status == OME_OK;
        busy_in_a_row = status == OME_FULL ? busy_in_a_row + 1 : 0;
    }
    CHECK(taken >= 16 && taken <= 16 + 16 + 16); /* one event each: the stream, one batch being matched, the ring */
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    const ome_command_t command = {0};
    CHECK_EQUAL(submit(venue, &command, 1), OME_OK);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    CHECK_EQUAL(reader.event_count, taken + 1);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* Started again, a venue is what it was: the replay of its journal has the state that it was stopped in, over several
 * lives and policies. */
static void a_restart_gives_the_state_that_was_stopped(void)
{
    const directory_t directory = directory_new();
    static const uint8_t policies[4] = {OME_POLICY_COMMIT, OME_POLICY_ASYNC, OME_POLICY_ASYNC, OME_POLICY_COMMIT};
    uint64_t epoch = 0;
    spoken_t spoken = nothing;
    for (uint32_t life = 0; life < 4; life++)
    {
        const plan_t plan = {policies[life], 64, 128, 1, OME_WAIT_BLOCK, directory.path};
        const uint64_t hash = live_on(&plan, 150 * LOAD + life, 0, &spoken);
        ome_replay_t *replay = replay_to_end(directory.path);
        CHECK_EQUAL(ome_engine_state_hash(replay->engine), hash);
        CHECK_EQUAL(ome_replay_event_hash(replay), spoken.hash);
        CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_CLEAN);
        CHECK(replay->reader.epoch > epoch);
        epoch = replay->reader.epoch;
        ome_replay_destroy(replay);
    }
    directory_remove(&directory);
}

/* A command of kind 0, which the journal cannot say as it is, is rejected alike now and in a replay. */
static void unknown_kinds_replay_to_the_same_state(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 64, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    for (uint32_t kind = 0; kind < 256; kind += 5)
    {
        const ome_command_t command = {.kind = (uint8_t)kind};
        CHECK_EQUAL(submit(venue, &command, 1), OME_OK);
    }
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    const uint64_t state_hash = ome_engine_state_hash(ome_venue_engine(venue));
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    ome_replay_t *replay = replay_to_end(directory.path);
    CHECK_EQUAL(ome_engine_state_hash(replay->engine), state_hash);
    CHECK_EQUAL(ome_replay_event_hash(replay), reader.hash);
    ome_replay_destroy(replay);
    directory_remove(&directory);
}

/* Closed at once, with commands in the ring and nobody reading, a venue ends and has journaled what it took. */
static void a_venue_closed_without_draining_has_journaled_what_it_took(void)
{
    for (uint32_t round = 0; round < 4; round++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {round % 2 == 0 ? OME_POLICY_COMMIT : OME_POLICY_ASYNC, 64, 16, 1, OME_WAIT_BLOCK, directory.path};
        ome_venue_t *venue = venue_open(&plan);
        CHECK_EQUAL(ome_venue_start(venue), OME_OK);
        submit_definitions(venue);
        flow_t flow = flow_of(seed + round);
        for (uint32_t i = 0; i < 40; i++)
        {
            const ome_command_t command = flow_next(&flow);
            CHECK_EQUAL(submit(venue, &command, 1), OME_OK);
        }
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
        ome_replay_t *replay = replay_to_end(directory.path);
        CHECK_EQUAL(replay->engine->sequence, 42);
        CHECK(ome_engine_check(replay->engine) == NULL);
        ome_replay_destroy(replay);
        directory_remove(&directory);
    }
}

static uint64_t thread_time_ns(void)
{
    struct timespec now;
    CHECK_EQUAL(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Under the strategy block, who waits for the gate sleeps, and leaves the core to the journal that is to open it. */
static void a_reader_sleeps_while_the_gate_is_shut(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 16, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_event_t events[4];
    submit_definitions(venue);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
    const uint64_t start_ns = thread_time_ns();
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 4, UINT64_C(100000000)), 0);
    CHECK(thread_time_ns() - start_ns < UINT64_C(20000000));
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

int main(void)
{
    seed = test_seed(16);
    RUN(every_reader_sees_every_event_in_order_without_a_journal);
    RUN(every_reader_sees_every_event_in_order_with_a_journal);
    RUN(a_slow_reader_holds_a_small_venue_back_and_misses_nothing);
    RUN(a_venue_that_nobody_reads_becomes_busy_and_recovers);
    RUN(a_restart_gives_the_state_that_was_stopped);
    RUN(unknown_kinds_replay_to_the_same_state);
    RUN(a_venue_closed_without_draining_has_journaled_what_it_took);
    RUN(a_reader_sleeps_while_the_gate_is_shut);
    return 0;
}
