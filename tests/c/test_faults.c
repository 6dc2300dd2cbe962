/* Faults: every single call that a venue makes to the disk, and every time that it asks for memory, fails in turn, and
 * what was promised is there afterwards.
 *
 * A script of three processes has every sort of call: a start over nothing, groups, a rotation, a prepared segment,
 * snapshots, a clean end; a start from a snapshot and a death in the middle of a write; a start with a torn tail to cut
 * and a broken snapshot to set aside. */
#include "ome_venue_run.h"

static uint64_t seed;
static bool has_log;

static const run_life_t script[] = {
    {.group_count = 19, .group_size_max = 64, .snapshot_every = 6, .prepare_every = 9, .follows_at_sync = true},
    {.group_count = 7, .group_size_max = 9, .snapshot_every = 3, .prepare_every = 5, .is_killed = true},
    {.group_count = 4, .group_size_max = 9, .snapshot_every = 2, .prepare_every = 9},
};
#define SCRIPT_COUNT (sizeof(script) / sizeof(script[0]))

static const run_life_t afterwards = {.group_count = 3, .group_size_max = 5, .snapshot_every = 2, .prepare_every = 9};

/* ---- which calls there are ---- */

static const char *const calls[] = {
    "open", "close", "write", "read", "size", "truncate", "sync", "sync directory", "rename", "remove", "list", "memory"};
#define CALL_COUNT (sizeof(calls) / sizeof(calls[0]))

static const char *failed; /* the call of this fault; NULL before it */
static uint64_t failed_counts[CALL_COUNT];
static uint64_t phase_counts[RUN_PHASE_COUNT];

static void count_failed(void)
{
    uint32_t index = 0;
    failed = run.memory.failed;
    while (strcmp(calls[index], failed) != 0)
    {
        index++;
        CHECK(index < CALL_COUNT);
    }
    failed_counts[index]++;
    phase_counts[run.phase]++;
}

/* ---- one fault ---- */

static const char *const how_names[] = {"fails", "fails half done", "is not made, the process is killed before it"};

static void check_is_right(uint64_t call, memory_fail_t how, bool cuts_power)
{
    if (run.wrong != NULL)
    {
        fprintf(stderr,
            "call %" PRIu64 " (%s) %s%s: %s\nspoken of %" PRIu64 ", found %" PRIu64 ", sequenced %" PRIu64 ", seed %" PRIu64 "\n", call,
            failed != NULL ? failed : "none", how_names[how], cuts_power ? ", then the power is cut" : "", run.wrong, run.spoken, run.found,
            run.sequenced, seed);
        exit(1);
    }
}

/* The three processes, or until one is ended by a failure. */
static void run_script(void)
{
    ome_status_t status = OME_OK;
    for (uint32_t number = 0; status == OME_OK && number < SCRIPT_COUNT; number++)
    {
        if (number == 2)
        {
            run_spoil_snapshot();
        }
        status = run_live(&script[number]);
    }
    CHECK(status == OME_OK || run.memory.failed != NULL || run.wrong != NULL);
}

/* A process that nothing happens to, and the journal as it leaves it. */
static void live_afterwards(void)
{
    const ome_status_t status = run_live(&afterwards);
    CHECK(status == OME_OK || run.wrong != NULL);
    run_check_whole();
}

/* Runs the script with the n-th call failing, and two processes after it. True while n is a call. */
static bool check_fault(uint64_t call, memory_fail_t how, bool cuts_power)
{
    run_begin(seed);
    run.has_log = has_log;
    failed = NULL;
    run.memory.random += call;
    run.memory.fail_call = call;
    run.memory.fail = how;
    run.memory.fails_ever_after = how == MEMORY_FAIL_KILLED;
    run_script();
    const bool is_reached = run.memory.failed != NULL;
    if (is_reached)
    {
        count_failed();
    }
    check_is_right(call, how, cuts_power);
    memory_restart(&run.memory);
    if (cuts_power)
    {
        memory_cut_power(&run.memory);
    }
    live_afterwards();
    check_is_right(call, how, cuts_power);
    memory_cut_power(&run.memory); /* a failed sync has left nothing that only seemed to be on disk */
    live_afterwards();
    check_is_right(call, how, cuts_power);
    run_end();
    return is_reached;
}

/* ---- tests ---- */

/* Without a fault the script has what it is for: rotations, recovery of a torn tail, a snapshot that is set aside. */
static void the_script_has_every_sort_of_call(void)
{
    run_begin(seed);
    run_script();
    CHECK(run.wrong == NULL);
    uint32_t segment_count = 0;
    uint32_t torn_count = 0;
    uint32_t broken_count = 0;
    uint32_t snapshot_count = 0;
    for (int index = 0; index < run.memory.seen.count; index++)
    {
        const char *name = run.memory.seen.entries[index].name;
        uint64_t sequence = 0;
        segment_count += ome_journal_name_sequence(OME_JOURNAL_COMMANDS, name) != 0;
        torn_count += strstr(name, ".torn-") != NULL;
        broken_count += strstr(name, OME_SNAPSHOT_NAME_BROKEN) != NULL;
        snapshot_count += ome_snapshot_name_sequence(name, &sequence);
    }
    CHECK(segment_count >= 4);
    CHECK_EQUAL(torn_count, 1);
    CHECK_EQUAL(broken_count, 1);
    CHECK_EQUAL(snapshot_count, OME_SNAPSHOT_KEEP_COUNT_DEFAULT);
    CHECK_EQUAL(run.spoken, run.sequenced);
    CHECK_EQUAL(run.snapshot_sequence, run.sequenced);
    run_end();
}

/* Whichever call fails, however, and whether the power goes with it: the next start finds a beginning of what was
 * sequenced, all that was spoken of in it, and goes on. */
static void fail_every_call(bool with_log)
{
    uint64_t call = 1;
    has_log = with_log;
    memset(failed_counts, 0, sizeof(failed_counts));
    memset(phase_counts, 0, sizeof(phase_counts));
    while (check_fault(call, MEMORY_FAIL_CLEAN, false))
    {
        (void)check_fault(call, MEMORY_FAIL_CLEAN, true);
        (void)check_fault(call, MEMORY_FAIL_TORN, false);
        (void)check_fault(call, MEMORY_FAIL_TORN, true);
        (void)check_fault(call, MEMORY_FAIL_KILLED, false);
        (void)check_fault(call, MEMORY_FAIL_KILLED, true);
        call++;
    }
    printf("   %" PRIu64 " calls, each in six ways:", call - 1);
    for (uint32_t index = 0; index < CALL_COUNT; index++)
    {
        printf(" %s %" PRIu64, calls[index], failed_counts[index] / 6);
        CHECK(failed_counts[index] >= 6);
    }
    printf("\n");
    for (uint32_t phase = 0; phase < RUN_CLOSED; phase++)
    {
        CHECK(phase_counts[phase] > 0 || (!with_log && (phase == RUN_LOG_OPENING || phase == RUN_LOGGING)));
    }
}

static void any_failing_call_loses_nothing_that_was_published(void)
{
    fail_every_call(false);
}

static void any_failing_call_loses_nothing_that_was_published_with_an_event_log(void)
{
    fail_every_call(true);
}

int main(void)
{
    seed = test_seed(31);
    RUN(the_script_has_every_sort_of_call);
    RUN(any_failing_call_loses_nothing_that_was_published);
    RUN(any_failing_call_loses_nothing_that_was_published_with_an_event_log);
    return 0;
}
