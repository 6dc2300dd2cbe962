/* Replay over commands that trip an assertion: they are named, and quarantined by a decision. */
#include "commands/ome_apply.h"
#include "replay_fixture.h"

/* A command that trips an assertion of the core ends the replay, which says which command and which assertion, and ends nothing else. */
static void a_command_that_trips_an_assertion_is_named(void)
{
    const directory_t directory = directory_new();
    free(journal_of_life(&directory));
    ome_replay_t *replay = replay_new(directory.path, false);
    CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT / 2), OME_OK);
    const uint64_t before = replay->engine->sequence;
    ome_ladder_pool_t *const ladder = &replay->engine->pools.ladder;
    for (uint32_t level = 1; level <= ladder->levels_ever_used; level++)
    {
        ladder->levels[level].quantity++; /* as if the core had lost count */
    }
    CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT), OME_ASSERTED);
    CHECK(replay->engine->sequence > before && replay->engine->sequence < COMMAND_COUNT);
    CHECK(strstr(replay->reason, "assertion failed: level->quantity == 0 (ome_") == replay->reason);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_ASSERTED); /* and so for ever */
    replay_free(replay);
    directory_remove(&directory);
}

/* Replays up to and with command `end`, with a level that the core has miscounted from `from` on; gives the replay. */
static ome_replay_t *replay_miscounted(const directory_t *directory, uint64_t from, ome_status_t *status)
{
    ome_replay_t *replay = replay_new(directory->path, false);
    CHECK_EQUAL(ome_replay_step(replay, from), OME_OK);
    ome_ladder_pool_t *const ladder = &replay->engine->pools.ladder;
    for (uint32_t level = 1; level <= ladder->levels_ever_used; level++)
    {
        ladder->levels[level].quantity++;
    }
    *status = ome_replay_step(replay, COMMAND_COUNT);
    return replay;
}

/* The checksum that the journal has for a command. */
static uint32_t checksum_of(const directory_t *directory, uint64_t sequence)
{
    ome_replay_t *replay = replay_new(directory->path, false);
    ome_command_t command;
    uint64_t count;
    CHECK_EQUAL(ome_replay_begin_with(replay, sequence), OME_OK);
    CHECK_EQUAL(ome_replay_read(replay, &command, 1, &count), OME_OK);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(command.sequence, sequence);
    const uint32_t checksum = replay->reader.record_checksum;
    replay_free(replay);
    return checksum;
}

static void quarantine(const directory_t *directory, uint64_t sequence, uint32_t checksum)
{
    const ome_decision_t decision = {
        .sequence = sequence, .time_ns = 1000 + sequence, .checksum = checksum, .kind = OME_DECISION_QUARANTINE};
    ome_error_t error;
    CHECK_EQUAL(ome_decisions_write(ome_file_system_posix(), directory->path, &decision, &error), OME_OK);
}

/* A command that trips an assertion is quarantined, and then the replay goes beyond it; so is the next one that does. */
static void commands_that_trip_are_quarantined_in_turn(void)
{
    const directory_t directory = directory_new();
    free(journal_of_life(&directory));
    uint64_t before = COMMAND_COUNT / 2;
    for (uint64_t round = 0; round < 4; round++)
    {
        ome_status_t status;
        ome_replay_t *replay = replay_miscounted(&directory, COMMAND_COUNT / 2, &status);
        CHECK_EQUAL(status, OME_ASSERTED);
        CHECK(replay->engine->sequence > before);
        CHECK_EQUAL(replay->decisions.count, round);
        CHECK(replay->quarantined_count >= round);
        before = replay->engine->sequence;
        replay_free(replay);
        quarantine(&directory, before, checksum_of(&directory, before));
    }
    directory_remove(&directory);
}

/* A quarantined command is one of no kind, whoever reads it and wherever the replay begins; all others are as they were. */
static void a_quarantined_command_is_one_that_every_engine_rejects(void)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = journal_of_life(&directory);
    ome_engine_t *engine = market_engine(&standard_limits);
    recorder_t *recorder = recorder_new(RECORDER_WINDOW_COUNT_MAX);
    static const uint64_t bad[] = {COMMAND_COUNT, 700, 701, 39};
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    {
        quarantine(&directory, bad[i], checksum_of(&directory, bad[i]));
        commands[bad[i] - 1].kind = 0;
    }
    ome_engine_apply_many(engine, commands, COMMAND_COUNT, &recorder->sink);
    for (uint64_t snapshot = 0; snapshot <= 1000; snapshot += 1000)
    {
        ome_replay_t *replay = replay_new(directory.path, false);
        CHECK(snapshot == 0 || ome_replay_begin_behind(replay, snapshot) == OME_OK);
        CHECK_EQUAL(ome_replay_step(replay, 1000), OME_OK);
        CHECK(snapshot != 0 || ome_replay_snapshot(replay, 3) == OME_OK);
        CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT), OME_EMPTY);
        CHECK_EQUAL(replay->quarantined_count, snapshot == 0 ? 4 : 1);
        check_is_same(replay->engine, engine);
        replay_free(replay);
    }
    free(engine);
    recorder_free(recorder);
    free(commands);
    directory_remove(&directory);
}

/* A decision is about one record: where the journal has another one of that sequence, nothing is applied and both checksums are named. */
static void a_decision_about_another_record_is_damage(void)
{
    const directory_t directory = directory_new();
    free(journal_of_life(&directory));
    const uint32_t checksum = checksum_of(&directory, 500);
    quarantine(&directory, 500, checksum ^ 1);
    ome_replay_t *replay = replay_new(directory.path, false);
    char said[2][9];
    snprintf(said[0], sizeof(said[0]), "%08x", checksum);
    snprintf(said[1], sizeof(said[1]), "%08x", checksum ^ 1);
    CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT), OME_DAMAGED);
    CHECK(replay->engine->sequence < 500);
    CHECK(strstr(replay->reason, said[0]) != NULL && strstr(replay->reason, said[1]) != NULL);
    replay_free(replay);
    directory_remove(&directory);
}

int main(void)
{
    seed = test_seed(15);
    RUN(a_command_that_trips_an_assertion_is_named);
    RUN(commands_that_trip_are_quarantined_in_turn);
    RUN(a_quarantined_command_is_one_that_every_engine_rejects);
    RUN(a_decision_about_another_record_is_damage);
    return 0;
}
