/* Replay of a journal from its beginning: what it makes of an engine, and what it says of a journal that cannot be replayed. */
#include <errno.h>
#include <fcntl.h>

#include "base/ome_memory.h"
#include "commands/ome_apply.h"
#include "replay_fixture.h"

/* A directory without a journal has no command, and is at its end at once, however often it is asked. */
static void an_empty_directory_replays_to_nothing(void)
{
    const directory_t directory = directory_new();
    ome_replay_t *replay = replay_new(directory.path, false);
    CHECK_EQUAL(ome_replay_step(replay, 10), OME_EMPTY);
    CHECK_EQUAL(ome_replay_step(replay, 10), OME_EMPTY);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(replay->reader.last_sequence, 0);
    CHECK(replay->reason == NULL && ome_replay_take_engine(replay) == NULL);
    replay_free(replay);
    directory_remove(&directory);
}

static void check_replay_is_the_engine(const ome_limits_t *limits)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = life_of(limits);
    journal_t journal;
    journal_open(&journal, directory.path);
    for (uint32_t i = 0; i < COMMAND_COUNT; i++)
    {
        journal_append(&journal, &commands[i], OME_BODY_SIZE);
    }
    journal_close(&journal);
    static const uint64_t steps[] = {1, 7, 255, 256, 257, 1000000};
    for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
    {
        ome_engine_t *engine = market_engine(limits);
        recorder_t *recorder = recorder_new(RECORDER_WINDOW_COUNT_MAX);
        ome_replay_t *replay = replay_new(directory.path, false);
        ome_status_t status = OME_OK;
        while (status == OME_OK)
        {
            status = ome_replay_step(replay, steps[i]);
            const uint64_t left = COMMAND_COUNT - engine->sequence;
            ome_engine_apply_many(engine, commands + engine->sequence, left < steps[i] ? left : steps[i], &recorder->sink);
            recorder_take_window(recorder);
            if (steps[i] > 1 || engine->sequence % 256 == 0)
            {
                check_is_same(replay->engine, engine);
                CHECK_EQUAL(ome_replay_event_hash(replay), recorder->hash);
            }
        }
        CHECK_EQUAL(status, OME_EMPTY);
        CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_CLEAN);
        CHECK_EQUAL(replay->reader.last_sequence, COMMAND_COUNT);
        CHECK(replay->reader.segment_count > 2);
        check_is_same(replay->engine, engine);
        /* Taken, it is the caller's. */
        ome_engine_t *taken = ome_replay_take_engine(replay);
        const uint64_t taken_size_bytes = replay->engine_size_bytes;
        replay_free(replay);
        check_is_same(taken, engine);
        ome_memory_unmap(taken, taken_size_bytes);
        recorder_free(recorder);
        free(engine);
    }
    free(commands);
    directory_remove(&directory);
}

/* The engine of a replay is the one that applied the commands, after every step, whatever the size of the steps and
 * where they cut a command of two records, over several segments. */
static void a_replay_is_the_engine_that_applied_the_commands(void)
{
    check_replay_is_the_engine(&standard_limits);
}

/* A journal from before there were special orders has 0 for them in its limits: it replays to an engine that takes none. */
static void a_journal_without_a_limit_for_special_orders_is_replayed(void)
{
    ome_limits_t limits = standard_limits;
    limits.special_count_max = 0;
    check_replay_is_the_engine(&limits);
}

/* Who only reads gets every command with its sequence, in batches of any size, and no engine is made. */
static void commands_can_be_read_without_being_applied(void)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = journal_of_life(&directory);
    ome_command_t *read = calloc(COMMAND_COUNT + 1, sizeof(ome_command_t));
    CHECK(read != NULL);
    static const uint64_t sizes[] = {1, 100, COMMAND_COUNT, COMMAND_COUNT + 1};
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
    {
        ome_replay_t *replay = replay_new(directory.path, false);
        uint64_t total = 0;
        uint64_t count = 0;
        ome_status_t status = OME_OK;
        while (status == OME_OK)
        {
            const uint64_t room = COMMAND_COUNT + 1 - total;
            status = ome_replay_read(replay, read + total, sizes[i] < room ? sizes[i] : room, &count);
            total += count;
        }
        CHECK_EQUAL(status, OME_EMPTY);
        CHECK_EQUAL(total, COMMAND_COUNT);
        CHECK(replay->engine == NULL);
        for (uint32_t k = 0; k < COMMAND_COUNT; k++)
        {
            CHECK_EQUAL(read[k].sequence, k + 1);
            CHECK_BYTES_EQUAL((uint8_t *)&read[k] + 8, (uint8_t *)&commands[k] + 8, OME_BODY_SIZE);
        }
        CHECK_EQUAL(ome_replay_read(replay, read, 10, &count), OME_EMPTY);
        CHECK_EQUAL(count, 0);
        replay_free(replay);
    }
    free(read);
    free(commands);
    directory_remove(&directory);
}

/* What the caller applies is part of the replay, whether it steps in between or not: engine and event hash are as if
 * all had been stepped. The first command comes alone. */
static void a_caller_may_apply_what_is_read_next(void)
{
    const directory_t directory = directory_new();
    free(journal_of_life(&directory));
    ome_replay_t *stepped = replay_new(directory.path, false);
    CHECK_EQUAL(ome_replay_step(stepped, COMMAND_COUNT + 1), OME_EMPTY);
    ome_replay_t *replay = replay_new(directory.path, false);
    recorder_t *recorder = recorder_new(RECORDER_WINDOW_COUNT_MAX);
    ome_command_t *read = calloc(100, sizeof(ome_command_t));
    CHECK(read != NULL);
    uint64_t count = 0;
    ome_status_t status = ome_replay_read_next(replay, read, 100, &count);
    CHECK_EQUAL(status, OME_OK);
    CHECK_EQUAL(count, 1);
    CHECK(replay->engine != NULL);
    while (count > 0)
    {
        const uint64_t before = recorder->count;
        ome_engine_apply_many(replay->engine, read, count, &recorder->sink);
        recorder_take_window(recorder);
        (void)ome_replay_take_events(replay, recorder->events + before, recorder->count - before, OME_OK);
        (void)ome_replay_step(replay, count % 3);
        status = ome_replay_read_next(replay, read, 100, &count);
    }
    CHECK_EQUAL(status, OME_EMPTY);
    check_is_same(replay->engine, stepped->engine);
    CHECK_EQUAL(ome_replay_event_hash(replay), ome_replay_event_hash(stepped));
    free(read);
    recorder_free(recorder);
    replay_free(replay);
    replay_free(stepped);
    directory_remove(&directory);
}

/* A replay of a journal that is being written follows it. */
static void a_live_replay_follows_the_writer(void)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = life_new();
    journal_t journal;
    journal_open(&journal, directory.path);
    ome_engine_t *engine = market_engine(&standard_limits);
    recorder_t *recorder = recorder_new(RECORDER_WINDOW_COUNT_MAX);
    ome_replay_t *replay = replay_new(directory.path, true);
    CHECK_EQUAL(ome_replay_step(replay, 1000), OME_EMPTY);
    CHECK(replay->engine == NULL);
    uint64_t state = seed;
    for (uint32_t done = 0; done < COMMAND_COUNT;)
    {
        const uint32_t part = 1 + (uint32_t)(test_random(&state) % 200);
        uint32_t count = part < COMMAND_COUNT - done ? part : COMMAND_COUNT - done;
        while (done + count < COMMAND_COUNT && commands[done + count].kind == OME_COMMAND_KIND_ORDER_TERMS)
        {
            count++; /* whole commands: the replay waits for the rest of one */
        }
        for (uint32_t i = 0; i < count; i++)
        {
            journal_append(&journal, &commands[done + i], OME_BODY_SIZE);
        }
        journal_commit(&journal);
        ome_engine_apply_many(engine, commands + done, count, &recorder->sink);
        done += count;
        CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT), OME_EMPTY);
        CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_READING);
        recorder_take_window(recorder);
        check_is_same(replay->engine, engine);
        CHECK_EQUAL(ome_replay_event_hash(replay), recorder->hash);
    }
    journal_close(&journal);
    replay_free(replay);
    recorder_free(recorder);
    free(engine);
    free(commands);
    directory_remove(&directory);
}

/* ---- other limits ---- */

/* A DefineLimits behind the first moves the engine in the middle of a group; one that does not fit is rejected. Steps
 * of any size come to the same, from a snapshot behind it too. */
static void a_replay_follows_a_change_of_limits(void)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = life_new();
    const ome_limits_t others[3] = {{5000, 600, 9, 9, 800, OME_RULES_VERSION, 3, 0}, {1, 600, 9, 9, 800, OME_RULES_VERSION, 3, 0},
        {6000, 700, 8, 8, 900, OME_RULES_VERSION, 3, OME_LIMIT_FLAGS_ACCOUNTS_RESTRICTED}};
    for (uint32_t i = 0; i < 3; i++)
    {
        commands[100 + i] = limits_command(&others[i]);
    }
    journal_t journal;
    journal_open(&journal, directory.path);
    for (uint32_t i = 0; i < COMMAND_COUNT; i++)
    {
        journal_append(&journal, &commands[i], OME_BODY_SIZE);
    }
    journal_close(&journal);
    ome_replay_t *whole = replay_new(directory.path, false);
    ome_replay_t *part = replay_new(directory.path, false);
    CHECK_EQUAL(ome_replay_step(part, 101), OME_OK);
    CHECK_EQUAL(part->engine->limits.order_count_max, 5000);
    CHECK_EQUAL(ome_replay_step(part, 1), OME_OK);
    CHECK_EQUAL(part->engine->limits.order_count_max, 5000); /* something has used more than one slot */
    CHECK_EQUAL(ome_replay_step(part, 1), OME_OK);
    CHECK_EQUAL(part->engine->limits.order_count_max, 6000);
    CHECK_EQUAL(ome_replay_snapshot(part, 1), OME_OK);
    CHECK_EQUAL(ome_replay_step(part, UINT64_MAX), OME_EMPTY);
    CHECK_EQUAL(ome_replay_step(whole, UINT64_MAX), OME_EMPTY);
    ome_replay_t *later = replay_open(directory.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(later->snapshot_sequence, 103);
    CHECK_EQUAL(ome_replay_step(later, UINT64_MAX), OME_EMPTY);
    const ome_replay_t *const replays[] = {part, later};
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(ome_engine_state_hash(replays[i]->engine), ome_engine_state_hash(whole->engine));
        CHECK_EQUAL(ome_replay_event_hash(replays[i]), ome_replay_event_hash(whole));
        CHECK_BYTES_EQUAL(&replays[i]->engine->limits, &others[2], sizeof(ome_limits_t));
        CHECK(ome_engine_check(replays[i]->engine) == NULL);
    }
    replay_free(later);
    replay_free(part);
    replay_free(whole);
    free(commands);
    directory_remove(&directory);
}

/* A journal whose only record is this one. */
static void check_first_record_is_refused(const ome_command_t *command, uint32_t length_bytes, const char *part_of_reason)
{
    const directory_t directory = directory_new();
    journal_t journal;
    journal_open(&journal, directory.path);
    journal_append(&journal, command, length_bytes);
    journal_close(&journal);
    ome_replay_t *replay = replay_new(directory.path, false);
    CHECK_EQUAL(ome_replay_step(replay, 10), OME_DAMAGED);
    CHECK(replay->reason != NULL && strstr(replay->reason, part_of_reason) != NULL);
    CHECK(replay->engine == NULL);
    replay_free(replay);
    directory_remove(&directory);
}

/* What cannot be applied is damage with a reason: another first command, limits that no engine has, a record that is no command. */
static void a_journal_must_begin_with_limits_and_hold_commands(void)
{
    const ome_command_t order = limit_order(OME_SIDE_BUY, 1, 1, 1);
    check_first_record_is_refused(&order, OME_BODY_SIZE, "DefineLimits");
    ome_command_t other = limits_command(&standard_limits);
    other.kind = OME_COMMAND_KIND_DEFINE_SESSION; /* whatever its other bytes would say */
    check_first_record_is_refused(&other, OME_BODY_SIZE, "DefineLimits");
    for (uint32_t i = 0; i < 5; i++)
    {
        uint32_t values[5] = {64, 32, 4, 4, 16};
        values[i] = i % 2 == 0 && i != 4 ? 0 : UINT32_MAX;
        const ome_limits_t limits = {values[0], values[1], values[2], values[3], values[4], OME_RULES_VERSION, 0, 0};
        const ome_command_t command = limits_command(&limits);
        check_first_record_is_refused(&command, OME_BODY_SIZE, "limits in range");
    }
    const ome_command_t limits = limits_command(&standard_limits);
    check_first_record_is_refused(&limits, OME_BODY_SIZE - 1, "56 bytes");
    check_first_record_is_refused(&limits, 0, "56 bytes");
}

/* Where the record that cannot be applied comes later, the engine is as after the one before. */
static void a_record_that_is_no_command_ends_the_replay_there(void)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = life_new();
    journal_t journal;
    journal_open(&journal, directory.path);
    for (uint32_t i = 0; i < 20; i++)
    {
        journal_append(&journal, &commands[i], i == 12 ? 8 : OME_BODY_SIZE);
    }
    journal_close(&journal);
    ome_replay_t *replay = replay_new(directory.path, false);
    CHECK_EQUAL(ome_replay_step(replay, 100), OME_DAMAGED);
    CHECK(replay->reason != NULL);
    CHECK_EQUAL(replay->engine->sequence, 12);
    CHECK(ome_engine_check(replay->engine) == NULL);
    replay_free(replay);
    free(commands);
    directory_remove(&directory);
}

/* Writes over bytes of the first segment. */
static void overwrite(const directory_t *directory, uint64_t offset, const void *bytes, size_t size_bytes)
{
    char name[OME_JOURNAL_NAME_SIZE];
    char path[128];
    ome_journal_name(name, OME_JOURNAL_COMMANDS, 1);
    snprintf(path, sizeof(path), "%s/%s", directory->path, name);
    const int file = open(path, O_WRONLY);
    CHECK(file >= 0);
    CHECK_EQUAL(pwrite(file, bytes, size_bytes, (off_t)offset), (ssize_t)size_bytes);
    CHECK_EQUAL(close(file), 0);
}

/* A journal of 60 commands, each on disk before the next was written, whose bytes at `offset` are damaged; returns the
 * replay at its end. */
static ome_replay_t *replay_of_damage(const directory_t *directory, uint64_t offset, ome_status_t status)
{
    ome_command_t *commands = life_new();
    journal_t journal;
    journal_open(&journal, directory->path);
    for (uint32_t i = 0; i < 60; i++)
    {
        journal_append(&journal, &commands[i], OME_BODY_SIZE);
        journal_commit(&journal);
    }
    /* As after a crash: without a seal. */
    (void)journal.writer.file_system->close(NULL, journal.writer.file);
    free(journal.memory);
    overwrite(directory, offset, "\xFF\xFE\xFD", 3);
    ome_replay_t *replay = replay_new(directory->path, false);
    CHECK_EQUAL(ome_replay_step(replay, 1000), status);
    CHECK_EQUAL(ome_replay_step(replay, 1000), status); /* and again */
    CHECK(ome_engine_check(replay->engine) == NULL);
    free(commands);
    return replay;
}

/* A tail that was being written is no damage: what was acknowledged before it is replayed, and the report says where it begins. */
static void a_torn_tail_ends_the_replay_cleanly(void)
{
    const directory_t directory = directory_new();
    const uint64_t end = OME_JOURNAL_HEADER_SIZE + 60 * OME_JOURNAL_COMMAND_SIZE;
    ome_replay_t *replay = replay_of_damage(&directory, end + 5, OME_EMPTY);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_TORN);
    CHECK_EQUAL(replay->reader.report.offset, end);
    CHECK_EQUAL(replay->engine->sequence, 60);
    CHECK_EQUAL(replay->reader.last_sequence, 60);
    CHECK(replay->reason == NULL);
    replay_free(replay);
    directory_remove(&directory);
}

/* Damage among acknowledged records stops the replay there, and the reader's report says where. */
static void damage_in_the_middle_stops_the_replay(void)
{
    const directory_t directory = directory_new();
    const uint64_t offset = OME_JOURNAL_HEADER_SIZE + 20 * OME_JOURNAL_COMMAND_SIZE;
    ome_replay_t *replay = replay_of_damage(&directory, offset + 30, OME_DAMAGED);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_DAMAGED);
    CHECK_EQUAL(replay->reader.report.offset, offset);
    CHECK_EQUAL(replay->reader.report.sequence_expected, 21);
    CHECK_EQUAL(replay->engine->sequence, 20);
    CHECK(replay->reason == NULL && replay->reader.report.reason != NULL);
    replay_free(replay);
    directory_remove(&directory);
}

/* A name that is too long is invalid; a directory that is not there is an error of its system call. */
static void a_directory_must_be_there_and_have_a_name_that_fits(void)
{
    char *name = malloc(2 * OME_PATH_SIZE);
    CHECK(name != NULL);
    memset(name, 'x', 2 * OME_PATH_SIZE);
    name[2 * OME_PATH_SIZE - 1] = 0;
    ome_replay_t *replay = calloc(1, sizeof(ome_replay_t));
    CHECK(replay != NULL);
    CHECK_EQUAL(ome_replay_open(replay, name, false), OME_INVALID);
    replay_free(replay);
    replay = replay_open("/tmp/ome-test-that-is-not-there/at-all", 0, OME_IO_ERROR);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_IO_ERROR);
    CHECK_EQUAL(replay->reader.error.number, ENOENT);
    CHECK(replay->reader.error.call != NULL);
    replay_free(replay);
    free(name);
}

int main(void)
{
    seed = test_seed(15);
    RUN(an_empty_directory_replays_to_nothing);
    RUN(a_replay_is_the_engine_that_applied_the_commands);
    RUN(a_journal_without_a_limit_for_special_orders_is_replayed);
    RUN(commands_can_be_read_without_being_applied);
    RUN(a_caller_may_apply_what_is_read_next);
    RUN(a_live_replay_follows_the_writer);
    RUN(a_replay_follows_a_change_of_limits);
    RUN(a_journal_must_begin_with_limits_and_hold_commands);
    RUN(a_record_that_is_no_command_ends_the_replay_there);
    RUN(a_torn_tail_ends_the_replay_cleanly);
    RUN(damage_in_the_middle_stops_the_replay);
    RUN(a_directory_must_be_there_and_have_a_name_that_fits);
    return 0;
}
