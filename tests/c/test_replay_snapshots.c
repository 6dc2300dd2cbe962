/* Replay that goes on from a snapshot. */
#include "replay_fixture.h"

static void snapshot_path(const directory_t *directory, uint64_t sequence, char *path)
{
    char name[OME_SNAPSHOT_NAME_SIZE];
    ome_snapshot_name(name, sequence);
    CHECK_EQUAL(ome_file_join(path, directory->path, name), OME_OK);
}

/* Snapshots of a journal after each of these commands. */
static void make_snapshots(const directory_t *directory, const uint64_t *sequences, uint32_t count)
{
    ome_replay_t *replay = replay_new(directory->path, false);
    CHECK_EQUAL(ome_replay_snapshot(replay, 3), OME_EMPTY);
    for (uint32_t i = 0; i < count; i++)
    {
        CHECK_EQUAL(ome_replay_step(replay, sequences[i] - (i == 0 ? 0 : sequences[i - 1])), OME_OK);
        CHECK_EQUAL(ome_replay_snapshot(replay, 3), OME_OK);
    }
    replay_free(replay);
}

/* The replay goes on from that snapshot and ends as one from the beginning does. */
static void check_goes_on(const directory_t *directory, uint32_t flags, uint64_t snapshot_sequence)
{
    ome_replay_t *whole = replay_new(directory->path, false);
    ome_replay_t *replay = replay_open(directory->path, OME_REPLAY_FROM_SNAPSHOT | flags, OME_OK);
    CHECK_EQUAL(replay->snapshot_sequence, snapshot_sequence);
    CHECK_EQUAL(ome_replay_step(whole, snapshot_sequence), OME_OK);
    if (snapshot_sequence > 0)
    {
        check_is_same(replay->engine, whole->engine);
        CHECK_EQUAL(ome_replay_event_hash(replay), ome_replay_event_hash(whole));
    }
    CHECK_EQUAL(ome_replay_step(whole, COMMAND_COUNT + 1), OME_EMPTY);
    CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT + 1), OME_EMPTY);
    check_is_same(replay->engine, whole->engine);
    CHECK_EQUAL(ome_replay_event_hash(replay), ome_replay_event_hash(whole));
    CHECK_EQUAL(replay->reader.chain_checksum, whole->reader.chain_checksum);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(replay->reader.epoch, whole->reader.epoch);
    replay_free(replay);
    replay_free(whole);
}

/* Begun with a snapshot, wherever it was made, also between the records of a command and at the ends of segments, a
 * replay ends as one that began with the first record. */
static void a_replay_goes_on_from_a_snapshot(void)
{
    const directory_t directory = directory_new();
    free(journal_of_life(&directory));
    check_goes_on(&directory, 0, 0);
    uint64_t state = seed;
    const uint64_t record_count =
        (OME_JOURNAL_SEGMENT_SIZE_MIN - OME_JOURNAL_HEADER_SIZE) / OME_JOURNAL_COMMAND_SIZE; /* of a segment, or one less */
    for (uint32_t i = 0; i < 40; i++)
    {
        const uint64_t ends[] = {
            1, 2, record_count - 1, record_count, record_count + 1, 2 * record_count - 1, 2 * record_count, COMMAND_COUNT - 1};
        const uint64_t sequence = i < 8 ? ends[i] : 1 + test_random(&state) % (COMMAND_COUNT - 1);
        make_snapshots(&directory, &sequence, 1);
        check_goes_on(&directory, 0, sequence);
        char path[OME_PATH_SIZE];
        snapshot_path(&directory, sequence, path);
        CHECK_EQUAL(unlink(path), 0);
    }
    /* After the last command, too. */
    ome_replay_t *replay = replay_new(directory.path, false);
    CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT + 1), OME_EMPTY);
    CHECK_EQUAL(ome_replay_snapshot(replay, 3), OME_OK);
    replay_free(replay);
    replay = replay_open(directory.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(replay->snapshot_sequence, COMMAND_COUNT);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_EMPTY);
    replay_free(replay);
    directory_remove(&directory);
}

static void flip_byte(const char *path, long offset)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL);
    CHECK_EQUAL(fseek(file, offset, SEEK_SET), 0);
    const int byte = fgetc(file);
    CHECK(byte != EOF);
    CHECK_EQUAL(fseek(file, offset, SEEK_SET), 0);
    CHECK(fputc(byte ^ 4, file) != EOF);
    CHECK_EQUAL(fclose(file), 0);
}

/* A broken snapshot is passed over, and set aside by who may; the one before is used; where all are broken, the first record is. */
static void a_broken_snapshot_is_passed_over(void)
{
    const directory_t directory = directory_new();
    free(journal_of_life(&directory));
    const uint64_t sequences[2] = {1000, 2000};
    make_snapshots(&directory, sequences, 2);
    char path[OME_PATH_SIZE];
    snapshot_path(&directory, 2000, path);
    flip_byte(path, 5000);
    check_goes_on(&directory, 0, 1000);
    CHECK_EQUAL(access(path, F_OK), 0);
    ome_replay_t *replay = replay_open(directory.path, OME_REPLAY_FROM_SNAPSHOT | OME_REPLAY_SETS_ASIDE, OME_OK);
    CHECK_EQUAL(replay->snapshot_sequence, 1000);
    CHECK_EQUAL(replay->refused_count, 1);
    CHECK_TEXT_EQUAL(replay->refused_path, path);
    CHECK(replay->refused_reason != NULL);
    replay_free(replay);
    CHECK(access(path, F_OK) != 0);
    snapshot_path(&directory, 1000, path);
    flip_byte(path, 100);
    check_goes_on(&directory, OME_REPLAY_SETS_ASIDE, 0);
    CHECK(access(path, F_OK) != 0);
    directory_remove(&directory);
}

/* Segments that a snapshot has made superfluous may be gone; one that it needs may not. */
static void segments_before_the_snapshots_are_not_needed(void)
{
    const directory_t directory = directory_new();
    free(journal_of_life(&directory));
    const uint64_t sequence = COMMAND_COUNT / 2;
    make_snapshots(&directory, &sequence, 1);
    ome_replay_t *replay = replay_open(directory.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_OK);
    const uint64_t first = replay->reader.segment_first_sequence;
    CHECK(first > 1);
    CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT), OME_EMPTY);
    const uint64_t state_hash = ome_engine_state_hash(replay->engine);
    replay_free(replay);
    char name[OME_JOURNAL_NAME_SIZE];
    char path[OME_PATH_SIZE];
    ome_journal_name(name, OME_JOURNAL_COMMANDS, 1);
    CHECK_EQUAL(ome_file_join(path, directory.path, name), OME_OK);
    CHECK_EQUAL(unlink(path), 0);
    replay = replay_open(directory.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT), OME_EMPTY);
    CHECK_EQUAL(ome_engine_state_hash(replay->engine), state_hash);
    replay_free(replay);
    ome_journal_name(name, OME_JOURNAL_COMMANDS, first);
    CHECK_EQUAL(ome_file_join(path, directory.path, name), OME_OK);
    CHECK_EQUAL(unlink(path), 0);
    replay = replay_open(directory.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_NOT_FOUND);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_ABSENT);
    replay_free(replay);
    directory_remove(&directory);
}

/* A snapshot and a journal that do not belong together are not put together. */
static void a_snapshot_of_another_journal_is_damage(void)
{
    const directory_t directory = directory_new();
    const directory_t other = directory_new();
    free(journal_of_life(&directory));
    seed++;
    free(journal_of_life(&other));
    seed--;
    const uint64_t sequence = 1234;
    make_snapshots(&directory, &sequence, 1);
    char from[OME_PATH_SIZE];
    char to[OME_PATH_SIZE];
    snapshot_path(&directory, sequence, from);
    snapshot_path(&other, sequence, to);
    CHECK_EQUAL(rename(from, to), 0);
    ome_replay_t *replay = replay_open(other.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_DAMAGED);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_DAMAGED);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_DAMAGED);
    replay_free(replay);
    directory_remove(&directory);
    directory_remove(&other);
}

/* The journal that the snapshot goes on from is not there. */
static void a_journal_that_ends_before_its_snapshot_is_absent(void)
{
    const directory_t directory = directory_new();
    const directory_t shorter = directory_new();
    ome_command_t *commands = journal_of_life(&directory);
    const uint64_t sequence = 1234;
    make_snapshots(&directory, &sequence, 1);
    journal_t journal;
    journal_open(&journal, shorter.path);
    for (uint32_t i = 0; i < sequence - 1; i++)
    {
        journal_append(&journal, &commands[i], OME_BODY_SIZE);
    }
    journal_close(&journal);
    char from[OME_PATH_SIZE];
    char to[OME_PATH_SIZE];
    snapshot_path(&directory, sequence, from);
    snapshot_path(&shorter, sequence, to);
    CHECK_EQUAL(rename(from, to), 0);
    ome_replay_t *replay = replay_open(shorter.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_NOT_FOUND);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_ABSENT);
    replay_free(replay);
    free(commands);
    directory_remove(&shorter);
    directory_remove(&directory);
}

/* A live replay that began with a snapshot follows the writer, and its snapshots are those of the beginning's. */
static void a_live_replay_makes_snapshots(void)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = life_new();
    journal_t journal;
    journal_open(&journal, directory.path);
    for (uint32_t done = 0; done < COMMAND_COUNT; done += 500)
    {
        for (uint32_t i = done; i < done + 500; i++)
        {
            journal_append(&journal, &commands[i], OME_BODY_SIZE);
        }
        journal_commit(&journal);
        ome_replay_t *replay = replay_open(directory.path, OME_REPLAY_IS_LIVE | OME_REPLAY_FROM_SNAPSHOT, OME_OK);
        CHECK_EQUAL(replay->snapshot_sequence, done);
        CHECK_EQUAL(ome_replay_step(replay, COMMAND_COUNT), OME_EMPTY);
        CHECK_EQUAL(replay->engine->sequence, done + 500);
        CHECK_EQUAL(ome_replay_snapshot(replay, 2), OME_OK);
        replay_free(replay);
    }
    journal_close(&journal);
    check_goes_on(&directory, 0, COMMAND_COUNT);
    free(commands);
    directory_remove(&directory);
}

int main(void)
{
    seed = test_seed(15);
    RUN(a_replay_goes_on_from_a_snapshot);
    RUN(a_broken_snapshot_is_passed_over);
    RUN(segments_before_the_snapshots_are_not_needed);
    RUN(a_snapshot_of_another_journal_is_damage);
    RUN(a_journal_that_ends_before_its_snapshot_is_absent);
    RUN(a_live_replay_makes_snapshots);
    return 0;
}
