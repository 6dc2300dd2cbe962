/* Power cuts: a venue is cut off at random calls, again and again on one disk, and all that it has spoken of is there
 * at each start.
 *
 *     test_power_cuts [CUTS SEED]          as tools/powercuts starts it; without arguments as many as a test may take
 *
 * At a cut what was written and not synced reaches the disk in any part, sector by sector of 512 bytes and in any
 * order, and of the changes of names any number. The call at which the power goes is any that a process makes: of
 * replay, recovery, a group, rotation, preparation, a snapshot, closing. So the next start may be cut, too. Some
 * processes are killed while the power stays, so that what they have not synced is still to come. */
#include "journal/ome_journal_repair.h"
#include "ome_venue_run.h"

#define CUT_COUNT_STANDARD 500u
#define CUTS_OF_A_VENUE 12u
#define CALL_COUNT_MAX 140u /* more than most lives have: the others are cut off after their end */
#define CONTROL_COUNT 100u
#define REPAIR_CUT_COUNT 3u
#define REPAIR_CALL_COUNT_MAX 45u

static uint64_t seed;
static uint64_t cut_count;
static uint64_t phase_counts[RUN_PHASE_COUNT];
static uint64_t command_count;
static uint64_t repair_count; /* power cuts after a repair had found the damage */
static uint64_t unspoken_count; /* commands that were found though nobody was told of them */

/* Half of the lives are busy, and those that are to end in a rotation, so that segments come to their end. */
static run_life_t random_life(void)
{
    const bool is_to_rotate = run.aim == RUN_ROTATION;
    return (run_life_t){.group_count = (is_to_rotate ? 25 : 5) + run_below(30),
        .group_size_max = is_to_rotate || run_below(2) == 0 ? RUN_RING_SLOT_COUNT : 8,
        .snapshot_every = 3 + run_below(12),
        .prepare_every = 2 + run_below(20),
        .log_every = 1 + run_below(4),
        .follows_at_sync = run_below(2) == 0};
}

static void check_is_right(uint64_t venue_seed, uint32_t cut)
{
    if (run.wrong != NULL)
    {
        fprintf(stderr,
            "LOST: %s\nspoken of %" PRIu64 ", found %" PRIu64 ", sequenced %" PRIu64 "; snapshot %" PRIu64 "; in %s, cut %" PRIu32
            " of the venue\nagain: tools/powercuts --cuts %u --seed %" PRIu64 "\n",
            run.wrong, run.spoken, run.found, run.sequenced, run.snapshot_sequence, run_phase_names[run.phase], cut, CUTS_OF_A_VENUE,
            venue_seed);
        exit(1);
    }
}

/* A process that ends at a random call, or after its last. */
static void live_and_die(void)
{
    run.aim = run_below(2 * RUN_CLOSED); /* one half of the lives ends in a phase, the other at any call */
    run.memory.fail_call = run.aim < RUN_CLOSED ? 0 : 1 + run_below(CALL_COUNT_MAX);
    const run_life_t life = random_life();
    run.memory.fail = run_below(2) == 0 ? MEMORY_FAIL_TORN : MEMORY_FAIL_KILLED;
    run.memory.fails_ever_after = true;
    if (run_below(8) == 0)
    {
        run_spoil_snapshot();
    }
    const uint64_t before = run.sequenced;
    const ome_status_t status = run_live(&life);
    CHECK(status == OME_OK || run.memory.failed != NULL || run.wrong != NULL);
    command_count += run.sequenced > before ? run.sequenced - before : 0;
}

/* A process that nothing happens to. */
static void live_in_peace(void)
{
    const run_life_t life = {.group_count = 2, .group_size_max = 4, .snapshot_every = 2, .prepare_every = 9};
    memory_restart(&run.memory);
    const ome_status_t status = run_live(&life);
    CHECK(status == OME_OK || run.wrong != NULL);
    run_check_whole();
}

static void cut_a_venue(uint64_t venue_seed, uint32_t count)
{
    run_begin(venue_seed);
    run.has_log = venue_seed % 2 == 1;
    for (uint32_t cut = 1; cut <= count; cut++)
    {
        if (run_below(4) == 0)
        {
            live_and_die();
            check_is_right(venue_seed, cut);
            memory_restart(&run.memory);
        }
        live_and_die();
        check_is_right(venue_seed, cut);
        phase_counts[run.phase]++;
        memory_cut_power(&run.memory);
    }
    const uint64_t spoken = run.spoken;
    live_in_peace();
    check_is_right(venue_seed, count);
    unspoken_count += run.found - spoken;
    run_end();
}

static void say_phases(void)
{
    printf("   %" PRIu64 " power cuts, %" PRIu64 " commands:", cut_count, command_count);
    for (uint32_t phase = 0; phase < RUN_REPAIR; phase++)
    {
        printf("%s in %s %" PRIu64, phase == 0 ? "" : ",", run_phase_names[phase], phase_counts[phase]);
    }
    printf("\n");
}

/* ---- tests ---- */

static void a_power_cut_loses_nothing_that_was_published(void)
{
    for (uint64_t done = 0, venue = 0; done < cut_count; done += CUTS_OF_A_VENUE, venue++)
    {
        const uint64_t left = cut_count - done;
        cut_a_venue(seed + venue, left < CUTS_OF_A_VENUE ? (uint32_t)left : CUTS_OF_A_VENUE);
    }
    say_phases();
    for (uint32_t phase = 0; phase < RUN_PHASE_COUNT; phase++)
    {
        CHECK(phase_counts[phase] > 0 || phase == RUN_REPAIR || cut_count < CUT_COUNT_STANDARD);
    }
}

/* ---- repair ---- */

/* Spoils a byte of a record of some segment. */
static void spoil_segment(void)
{
    uint64_t firsts[MEMORY_NAME_COUNT_MAX];
    uint32_t count = 0;
    for (int index = 0; index < run.memory.seen.count; index++)
    {
        const uint64_t first = ome_journal_name_sequence(OME_JOURNAL_COMMANDS, run.memory.seen.entries[index].name);
        firsts[count] = first;
        count += first != 0;
    }
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name(name, OME_JOURNAL_COMMANDS, firsts[run_below(count)]);
    memory_node_t *node = memory_file(&run.memory, name);
    const uint32_t offset = OME_JOURNAL_HEADER_SIZE + run_below(8 * OME_JOURNAL_COMMAND_SIZE);
    node->seen[offset] ^= 1;
    node->disk[offset] ^= 1;
}

/* Cuts the journal where it is damaged. Gives where that is; 0: it is damaged nowhere. */
static uint64_t repair(void)
{
    run.phase = RUN_REPAIR;
    uint64_t sequence = 0;
    ome_replay_t *replay = run_replay_new();
    ome_status_t status = ome_replay_open(replay, RUN_DIRECTORY, 0);
    while (status == OME_OK)
    {
        status = ome_replay_step(replay, 500);
    }
    if (status == OME_DAMAGED)
    {
        sequence = replay->reader.report.sequence_expected;
        (void)ome_journal_cut(&replay->reader);
    }
    run_replay_free(replay);
    return sequence;
}

/* A repair that the power ends somewhere, and one that comes to its end. */
static void cut_a_repair(uint64_t repair_seed)
{
    const run_life_t life = {.group_count = 25, .group_size_max = RUN_RING_SLOT_COUNT, .snapshot_every = 99, .prepare_every = 9};
    run_begin(repair_seed);
    CHECK_EQUAL(run_live(&life), OME_OK);
    CHECK_EQUAL(run_live(&life), OME_OK);
    memory_remove_all(&run.memory, "snapshot-");
    spoil_segment();
    uint64_t damaged = UINT64_MAX;
    for (uint32_t cut = 0; cut < REPAIR_CUT_COUNT; cut++)
    {
        run.memory.fail_call = 1 + run_below(REPAIR_CALL_COUNT_MAX);
        run.memory.fail = run_below(2) == 0 ? MEMORY_FAIL_TORN : MEMORY_FAIL_KILLED;
        run.memory.fails_ever_after = true;
        const uint64_t found = repair();
        CHECK(found == 0 || damaged == UINT64_MAX || found == damaged);
        damaged = found != 0 && damaged == UINT64_MAX ? found : damaged;
        repair_count += run.memory.failed != NULL && found != 0;
        memory_cut_power(&run.memory);
    }
    memory_restart(&run.memory);
    const uint64_t found = repair();
    damaged = found != 0 && damaged == UINT64_MAX ? found : damaged;
    run.spoken = damaged == UINT64_MAX ? run.spoken : damaged - 1;
    run.snapshot_sequence = 0;
    const uint64_t expected = run.spoken;
    live_in_peace();
    if (run.wrong == NULL && run.found != expected)
    {
        run_is_wrong("the journal does not end before the damage");
    }
    check_is_right(repair_seed, 0);
    run_end();
}

static void a_power_cut_in_a_repair_loses_nothing_before_the_damage(void)
{
    for (uint64_t number = 0; number < 1 + cut_count / (5 * REPAIR_CUT_COUNT); number++)
    {
        cut_a_repair(seed + number);
    }
    printf("   %" PRIu64 " power cuts in a repair\n", repair_count);
    CHECK(repair_count > 0);
}

/* The control: where syncs do nothing, each cut loses commands that were spoken of, and the start says so or finds less. */
static void without_syncs_each_power_cut_loses_something(void)
{
    uint32_t refused_count = 0;
    for (uint64_t number = 0; number < CONTROL_COUNT; number++)
    {
        run_begin(seed + number);
        run.memory.syncs_nothing = true;
        const run_life_t life = {
            .group_count = 20, .group_size_max = RUN_RING_SLOT_COUNT, .snapshot_every = 99, .prepare_every = 9, .is_killed = true};
        CHECK_EQUAL(run_live(&life), OME_OK);
        CHECK(run.wrong == NULL && run.spoken > 500);
        memory_cut_power(&run.memory);
        ome_replay_t *replay = run_replay_new();
        if (run_replay_all(replay, OME_REPLAY_FROM_SNAPSHOT) == OME_EMPTY)
        {
            CHECK(replay->reader.last_sequence < run.spoken);
            CHECK(run.wrong == NULL);
            run_check_promises(replay);
        }
        else
        {
            refused_count++;
        }
        CHECK(run.wrong != NULL);
        run_replay_free(replay);
        run_end();
    }
    printf("   %u of %u lose commands, %u of them so that the start refuses\n", CONTROL_COUNT, CONTROL_COUNT, refused_count);
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 1 && argument_count != 3)
    {
        fprintf(stderr, "usage: %s [CUTS SEED]\n", arguments[0]);
        return 2;
    }
    cut_count = argument_count == 3 ? strtoull(arguments[1], NULL, 0) : CUT_COUNT_STANDARD;
    seed = argument_count == 3 ? strtoull(arguments[2], NULL, 0) : test_seed(32);
    RUN(a_power_cut_loses_nothing_that_was_published);
    RUN(a_power_cut_in_a_repair_loses_nothing_before_the_damage);
    RUN(without_syncs_each_power_cut_loses_something);
    return 0;
}
