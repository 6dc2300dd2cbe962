/* Replay: what a journal makes of an engine, and what it says of a journal that cannot be replayed. */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>

#include "base/ome_memory.h"
#include "commands/ome_apply.h"
#include "journal/ome_journal_writer.h"
#include "ome_test_directory.h"
#include "ome_test_market.h"
#include "pipeline/ome_replay.h"
#include "state/ome_state.h"

#define COMMAND_COUNT 3000u

static uint64_t seed;

static const ome_limits_t standard_limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 16};

/* ---- a journal made by hand ---- */

typedef struct
{
    ome_journal_writer_t writer;
    void *memory;
} journal_t;

static void journal_open(journal_t *journal, const char *directory)
{
    const size_t size_bytes = ome_journal_writer_size_bytes(64);
    const ome_journal_writer_config_t config = {.file_system = ome_file_system_posix(),
        .directory = directory,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .epoch = 1,
        .first_sequence = 1};
    journal->memory = malloc(size_bytes);
    CHECK(journal->memory != NULL);
    CHECK_EQUAL(ome_journal_writer_open(&journal->writer, journal->memory, size_bytes, &config), OME_OK);
}

static void journal_append(journal_t *journal, const ome_command_t *command, uint32_t length_bytes)
{
    const uint8_t *body = (const uint8_t *)command + sizeof(uint64_t);
    CHECK_EQUAL(ome_journal_writer_append(&journal->writer, journal->writer.next_sequence, 1, body, length_bytes), OME_OK);
}

static void journal_commit(journal_t *journal)
{
    CHECK_EQUAL(ome_journal_writer_commit(&journal->writer), OME_OK);
}

static void journal_close(journal_t *journal)
{
    CHECK_EQUAL(ome_journal_writer_close(&journal->writer), OME_OK);
    free(journal->memory);
}

static ome_replay_t *replay_open(const char *directory, uint32_t flags, ome_status_t status)
{
    ome_replay_t *replay = calloc(1, sizeof(ome_replay_t));
    CHECK(replay != NULL);
    CHECK_EQUAL(ome_replay_open(replay, directory, flags), status);
    return replay;
}

static ome_replay_t *replay_new(const char *directory, bool is_live)
{
    return replay_open(directory, is_live ? OME_REPLAY_IS_LIVE : 0, OME_OK);
}

static void replay_free(ome_replay_t *replay)
{
    ome_replay_close(replay);
    free(replay);
}

static ome_command_t limits_command(const ome_limits_t *limits)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
        .order_count_max = limits->order_count_max,
        .level_count_max = limits->level_count_max,
        .instrument_count_max = limits->instrument_count_max,
        .session_count_max = limits->session_count_max,
        .special_count_max = limits->special_count_max};
}

/* An order of the embedder's own in two records: an iceberg, or a stop. */
static void add_long_order(ome_command_t commands[2], uint32_t index)
{
    const uint8_t side = (uint8_t)(OME_SIDE_BUY + index % 2);
    const bool is_stop = index % 3 == 0;
    commands[0] = limit_order(side, 1000 + index % 20, 20, 1000000 + index);
    commands[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[0].order_type = is_stop ? OME_ORDER_TYPE_STOP_LIMIT : OME_ORDER_TYPE_LIMIT;
    commands[1] = (ome_command_t){.kind = OME_COMMAND_KIND_ORDER_TERMS,
        .term_1 = is_stop ? OME_TERM_STOP_PRICE : OME_TERM_DISPLAY_QUANTITY,
        .value_1 = is_stop ? 1000 + index % 20 : 3};
}

/* The commands of a venue's life: definitions, then a flow that uses them, with orders of two records here and there. */
static ome_command_t *life_of(const ome_limits_t *limits)
{
    ome_command_t *commands = calloc(COMMAND_COUNT, sizeof(ome_command_t));
    CHECK(commands != NULL);
    commands[0] = limits_command(limits);
    commands[1] = define_instrument(1, "ONE", 1, 0);
    commands[2] = define_session(1, 1, "A", 0);
    commands[3] = define_session(2, 2, "B", 0);
    flow_t flow = {.random = seed, .instrument_count = 1, .participant_count = 2, .order_id_count = 50, .price_count = 20};
    for (uint32_t i = 4; i < COMMAND_COUNT; i++)
    {
        commands[i] = flow_next(&flow);
    }
    for (uint32_t i = 20; i + 1 < COMMAND_COUNT; i += 19)
    {
        add_long_order(&commands[i], i);
    }
    return commands;
}

static ome_command_t *life_new(void)
{
    return life_of(&standard_limits);
}

/* Same engines; those that have applied the same commands have said the same. */
static void check_is_same(const ome_engine_t *engine, const ome_engine_t *other)
{
    CHECK_EQUAL(engine->sequence, other->sequence);
    CHECK_EQUAL(engine->event_count, other->event_count);
    CHECK_EQUAL(ome_engine_state_hash(engine), ome_engine_state_hash(other));
    CHECK(ome_engine_check(engine) == NULL);
}

/* ---- tests ---- */

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

/* The engine of a replay is the one that applied the commands, after every step, whatever the size of the steps and where they cut a command of two records, over several segments. */
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

/* Writes the commands of a life to a journal. */
static ome_command_t *journal_of_life(const directory_t *directory)
{
    ome_command_t *commands = life_new();
    journal_t journal;
    journal_open(&journal, directory->path);
    for (uint32_t i = 0; i < COMMAND_COUNT; i++)
    {
        journal_append(&journal, &commands[i], OME_BODY_SIZE);
    }
    journal_close(&journal);
    return commands;
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

/* What the caller applies is part of the replay, whether it steps in between or not: engine and event hash are as if all had been stepped. The first command comes alone. */
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
        const uint32_t count = part < COMMAND_COUNT - done ? part : COMMAND_COUNT - done;
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

/* A DefineLimits behind the first moves the engine in the middle of a group; one that does not fit is rejected. Steps of any size come to the same, from a snapshot behind it too. */
static void a_replay_follows_a_change_of_limits(void)
{
    const directory_t directory = directory_new();
    ome_command_t *commands = life_new();
    const ome_limits_t others[3] = {{5000, 600, 9, 9, 800}, {1, 600, 9, 9, 800}, {6000, 700, 8, 8, 900}};
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
        const ome_limits_t limits = {values[0], values[1], values[2], values[3], values[4]};
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

/* A journal of 60 commands, each on disk before the next was written, whose bytes at `offset` are damaged; returns the replay at its end. */
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
/* ---- snapshots ---- */

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

/* Begun with a snapshot, wherever it was made, also between the records of a command and at the ends of segments, a replay ends as one that began with the first record. */
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
    /* A journal that ends before. */
    journal_t journal;
    directory_remove(&directory);
    const directory_t shorter = directory_new();
    ome_command_t *commands = life_new();
    journal_open(&journal, shorter.path);
    for (uint32_t i = 0; i < sequence - 1; i++)
    {
        journal_append(&journal, &commands[i], OME_BODY_SIZE);
    }
    journal_close(&journal);
    snapshot_path(&shorter, sequence, from);
    CHECK_EQUAL(rename(to, from), 0);
    replay = replay_open(shorter.path, OME_REPLAY_FROM_SNAPSHOT, OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_NOT_FOUND);
    CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_ABSENT);
    replay_free(replay);
    free(commands);
    directory_remove(&shorter);
    directory_remove(&other);
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
    RUN(a_replay_goes_on_from_a_snapshot);
    RUN(a_broken_snapshot_is_passed_over);
    RUN(segments_before_the_snapshots_are_not_needed);
    RUN(a_snapshot_of_another_journal_is_damage);
    RUN(a_live_replay_makes_snapshots);
    RUN(a_command_that_trips_an_assertion_is_named);
    RUN(commands_that_trip_are_quarantined_in_turn);
    RUN(a_quarantined_command_is_one_that_every_engine_rejects);
    RUN(a_decision_about_another_record_is_damage);
    RUN(a_torn_tail_ends_the_replay_cleanly);
    RUN(damage_in_the_middle_stops_the_replay);
    RUN(a_directory_must_be_there_and_have_a_name_that_fits);
    return 0;
}
