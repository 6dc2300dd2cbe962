/* The venue when its journal fails: it stops, publishes nothing that is not on disk, and loses nothing that is. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/ome_clock.h"
#include "venue_fixture.h"

static void wait_until_drained(const ome_venue_t *venue)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (!ome_venue_is_drained(venue))
    {
        CHECK(ome_clock_monotonic_ns() < end_ns);
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

/* Files may grow to so many bytes; RLIM_INFINITY: to any. */
static void limit_files(rlim_t size_bytes)
{
    struct rlimit limit;
    CHECK_EQUAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size_bytes < limit.rlim_max ? size_bytes : limit.rlim_max;
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Submits one by one until the venue says that it is stopped. */
static uint64_t submit_until_stopped(ome_venue_t *venue)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    flow_t flow = flow_of(seed);
    uint64_t taken = 0;
    for (;;)
    {
        const ome_command_t command = flow_next(&flow);
        const ome_status_t status = ome_venue_submit(venue, &command, 1);
        if (status == OME_STOPPED)
        {
            return taken;
        }
        taken += status == OME_OK;
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
}

/* Replays as far as the reader was told, and finds the same events. */
static void check_spoken_is_in_the_journal(const char *directory, const reader_t *reader)
{
    const uint64_t spoken = atomic_load(&reader->last_sequence);
    ome_replay_t *replay = NULL;
    CHECK_EQUAL(ome_replay_create(directory, 0, &replay), OME_OK);
    CHECK(spoken > 2);
    CHECK_EQUAL(ome_replay_step(replay, spoken), OME_OK);
    CHECK_EQUAL(replay->engine->sequence, spoken);
    CHECK_EQUAL(replay->engine->event_count, reader->event_count);
    CHECK_EQUAL(ome_replay_event_hash(replay), reader->hash);
    ome_replay_destroy(replay);
}

/* A venue on the journal as it is now, after a failure. */
static void check_can_go_on(const plan_t *plan)
{
    ome_replay_t *replay = replay_to_end(plan->directory);
    spoken_t spoken = {.sequence = replay->engine->sequence, .hash = ome_replay_event_hash(replay)};
    ome_replay_destroy(replay);
    const uint64_t hash = live_on(plan, 20, 0, &spoken);
    replay = replay_to_end(plan->directory);
    CHECK_EQUAL(ome_engine_state_hash(replay->engine), hash);
    CHECK_EQUAL(ome_replay_event_hash(replay), spoken.hash);
    ome_replay_destroy(replay);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* The journal's file reaches its limit: the venue stops for good and says why, and all that was spoken under `commit`
 * is in the journal, which can be gone on with. */
static void a_journal_that_cannot_be_written_stops_the_venue(void)
{
    for (uint8_t policy = OME_POLICY_COMMIT; policy <= OME_POLICY_ASYNC; policy++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {policy, 16, 32, 1, OME_WAIT_BLOCK, directory.path};
        ome_venue_t *venue = venue_open(&plan);
        reader_t reader;
        reader_start(&reader, venue, 0, 0, &nothing);
        CHECK_EQUAL(ome_venue_start(venue), OME_OK);
        submit_definitions(venue);
        limit_files(OME_JOURNAL_HEADER_SIZE + 2 * OME_FILE_BLOCK_SIZE + 30);
        CHECK(submit_until_stopped(venue) >= 98);
        CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
        limit_files(RLIM_INFINITY);
        ome_venue_view_t view;
        ome_venue_look(venue, &view);
        CHECK(view.is_failed && view.is_drained);
        CHECK_EQUAL(view.error_number, EFBIG);
        CHECK_TEXT_EQUAL(view.error_call, "pwrite");
        CHECK(ends_with(view.error_path, "journal-00000000000000000001.ome"));
        CHECK_EQUAL(ome_venue_submit(venue, &(ome_command_t){0}, 1), OME_STOPPED);
        /* All but what says nothing: the first records of a command that goes on. */
        const uint64_t spoken = atomic_load(&reader.last_sequence);
        CHECK(policy == OME_POLICY_ASYNC || (spoken <= view.durable && spoken + 2 >= view.durable));
        CHECK(view.durable <= 110);
        (void)ome_venue_destroy(venue);
        if (policy == OME_POLICY_COMMIT)
        {
            check_spoken_is_in_the_journal(directory.path, &reader);
        }
        check_can_go_on(&plan);
        directory_remove(&directory);
    }
}

/* The next segment cannot be made, neither ahead nor when it is needed: the venue goes on to the end of this one, then
 * stops and says why. */
static void a_segment_that_cannot_be_made_stops_the_venue_when_it_is_needed(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    char spare[128];
    char new[128];
    snprintf(spare, sizeof(spare), "%s/journal-spare.tmp", directory.path);
    snprintf(new, sizeof(new), "%s/journal-new.tmp", directory.path);
    CHECK_EQUAL(mkdir(spare, 0700), 0);
    CHECK_EQUAL(mkdir(new, 0700), 0); /* where files should be */
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    (void)submit_until_stopped(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    ome_venue_view_t view;
    ome_venue_look(venue, &view);
    CHECK(view.is_failed);
    CHECK_EQUAL(view.error_number, EISDIR);
    CHECK_TEXT_EQUAL(view.error_call, "open");
    CHECK(ends_with(view.error_path, "journal-new.tmp"));
    (void)ome_venue_destroy(venue);
    check_spoken_is_in_the_journal(directory.path, &reader);
    CHECK_EQUAL(rmdir(spare), 0);
    CHECK_EQUAL(rmdir(new), 0);
    check_can_go_on(&plan);
    directory_remove(&directory);
}

/* The next segment cannot be made ahead, for a while: the writer makes it when it needs it, and later ones are made ahead again. */
static void a_segment_that_cannot_be_made_ahead_is_made_when_it_is_needed(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    char spare[128];
    snprintf(spare, sizeof(spare), "%s/journal-spare.tmp", directory.path);
    CHECK_EQUAL(mkdir(spare, 0700), 0);
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    flow_t flow = flow_of(seed);
    const ome_counter_t *unprepared = ome_counters_counter(&venue->counters, OME_COUNT_JOURNAL_UNPREPARED);
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (ome_counter_get(unprepared) == 0)
    {
        const ome_command_t command = flow_next(&flow);
        CHECK(ome_venue_submit(venue, &command, 1) != OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
    CHECK_EQUAL(rmdir(spare), 0);
    while (atomic_load(&venue->writer.spare_state) == 0)
    {
        const ome_command_t command = flow_next(&flow);
        CHECK(ome_venue_submit(venue, &command, 1) != OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
    ome_venue_view_t view;
    ome_venue_look(venue, &view);
    CHECK(!view.is_failed);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    (void)ome_venue_destroy(venue);
    check_spoken_is_in_the_journal(directory.path, &reader);
    check_can_go_on(&plan);
    directory_remove(&directory);
}

/* A matcher that waits for a reader who never comes ends when the journal fails. */
static void a_venue_that_fails_while_nobody_reads_ends(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 16, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    limit_files(OME_JOURNAL_HEADER_SIZE + 20 * OME_JOURNAL_COMMAND_SIZE);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    (void)submit_until_stopped(venue);
    wait_until_drained(venue);
    limit_files(RLIM_INFINITY);
    (void)ome_venue_destroy(venue);
    directory_remove(&directory);
}

/* ome_venue_close: OME_OK or OME_IO_ERROR; a venue that failed could not seal its journal. */
static void closing_a_failed_venue_says_that_the_journal_could_not_be_sealed(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    limit_files(OME_JOURNAL_HEADER_SIZE);
    submit_definitions(venue);
    CHECK_EQUAL(ome_journal_stage_do_work(&venue->journal_stage), 0);
    CHECK_EQUAL(venue->journal_stage.status, OME_IO_ERROR);
    limit_files(RLIM_INFINITY);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_IO_ERROR);
    directory_remove(&directory);
}

/* Once an event went nowhere, because the venue has failed and nobody reads, none after it is published: a reader never sees a gap. */
static void no_event_is_published_after_one_that_was_lost(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 2, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    const ome_command_t commands[3] = {0};
    ome_event_t events[4];
    CHECK_EQUAL(ome_venue_submit(venue, commands, 3), OME_OK);
    atomic_store(&venue->is_failed, true);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 3);
    const uint32_t count = ome_venue_read(venue, "first", events, 4, 0);
    CHECK(count <= 2);
    atomic_store(&venue->is_failed, false);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 2), OME_OK);
    atomic_store(&venue->is_failed, true);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 4, 0), 0);
    (void)ome_venue_destroy(venue);
}

/* ome_venue_stop: no new commands from then on. What a thread was told is taken while another stops the venue is
 * matched, said, and in the journal. */
static void a_command_taken_while_the_venue_is_stopped_is_not_lost(void)
{
    for (uint32_t round = 0; round < 40 * LOAD; round++)
    {
        const directory_t directory = directory_new();
        const bool has_journal = round % 4 == 0;
        const plan_t plan = {
            has_journal ? OME_POLICY_ASYNC : OME_POLICY_MEMORY, 256, 256, 1, OME_WAIT_BLOCK, has_journal ? directory.path : NULL};
        ome_venue_t *venue = venue_open(&plan);
        submitter_t submitters[SUBMITTER_COUNT];
        reader_t reader;
        reader_start(&reader, venue, 0, 0, &nothing);
        CHECK_EQUAL(ome_venue_start(venue), OME_OK);
        submit_definitions(venue);
        submitters_start(submitters, venue, UINT32_MAX, 1);
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        ome_venue_stop(venue);
        const uint64_t taken = submitters_join(submitters) + 2;
        CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
        CHECK_EQUAL(ome_venue_engine(venue)->sequence, taken);
        CHECK(atomic_load(&reader.last_sequence) + 2 >= taken); /* the first records of a command that goes on say nothing */
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
        if (has_journal)
        {
            ome_replay_t *replay = replay_to_end(directory.path);
            CHECK_EQUAL(replay->engine->sequence, taken);
            ome_replay_destroy(replay);
        }
        directory_remove(&directory);
    }
}

int main(void)
{
    seed = test_seed(16);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR); /* so that a file's limit is an error of its write */
    RUN(a_journal_that_cannot_be_written_stops_the_venue);
    RUN(a_segment_that_cannot_be_made_stops_the_venue_when_it_is_needed);
    RUN(a_segment_that_cannot_be_made_ahead_is_made_when_it_is_needed);
    RUN(a_venue_that_fails_while_nobody_reads_ends);
    RUN(closing_a_failed_venue_says_that_the_journal_could_not_be_sealed);
    RUN(no_event_is_published_after_one_that_was_lost);
    RUN(a_command_taken_while_the_venue_is_stopped_is_not_lost);
    return 0;
}
