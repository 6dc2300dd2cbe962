/* What the tests of replay share: a journal made by hand, the life of an engine, and engines that are compared. */
#ifndef REPLAY_FIXTURE_H
#define REPLAY_FIXTURE_H

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
    .special_count_max = 16,
    .rules_version = OME_RULES_VERSION};

/* ---- a journal made by hand ---- */

typedef struct
{
    ome_journal_writer_t writer;
    void *memory;
} journal_t;

static inline void journal_open(journal_t *journal, const char *directory)
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

static inline void journal_append(journal_t *journal, const ome_command_t *command, uint32_t length_bytes)
{
    const uint8_t *body = (const uint8_t *)command + sizeof(uint64_t);
    CHECK_EQUAL(ome_journal_writer_append(&journal->writer, journal->writer.next_sequence, 1, body, length_bytes), OME_OK);
}

static inline void journal_commit(journal_t *journal)
{
    CHECK_EQUAL(ome_journal_writer_commit(&journal->writer), OME_OK);
}

static inline void journal_close(journal_t *journal)
{
    CHECK_EQUAL(ome_journal_writer_close(&journal->writer), OME_OK);
    free(journal->memory);
}

static inline ome_replay_t *replay_open(const char *directory, uint32_t flags, ome_status_t status)
{
    ome_replay_t *replay = calloc(1, sizeof(ome_replay_t));
    CHECK(replay != NULL);
    CHECK_EQUAL(ome_replay_open(replay, directory, flags), status);
    return replay;
}

static inline ome_replay_t *replay_new(const char *directory, bool is_live)
{
    return replay_open(directory, is_live ? OME_REPLAY_IS_LIVE : 0, OME_OK);
}

static inline void replay_free(ome_replay_t *replay)
{
    ome_replay_close(replay);
    free(replay);
}

static inline ome_command_t limits_command(const ome_limits_t *limits)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_DEFINE_LIMITS,
        .order_count_max = limits->order_count_max,
        .level_count_max = limits->level_count_max,
        .instrument_count_max = limits->instrument_count_max,
        .session_count_max = limits->session_count_max,
        .special_count_max = limits->special_count_max,
        .rules_version = limits->rules_version,
        .account_count_max = limits->account_count_max,
        .limit_flags = (uint16_t)limits->limit_flags};
}

/* An order of the embedder's own in two records: an iceberg, or a stop. */
static inline void add_long_order(ome_command_t commands[2], uint32_t index)
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
static inline ome_command_t *life_of(const ome_limits_t *limits)
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

static inline ome_command_t *life_new(void)
{
    return life_of(&standard_limits);
}

/* Same engines; those that have applied the same commands have said the same. */
static inline void check_is_same(const ome_engine_t *engine, const ome_engine_t *other)
{
    CHECK_EQUAL(engine->sequence, other->sequence);
    CHECK_EQUAL(engine->event_count, other->event_count);
    CHECK_EQUAL(ome_engine_state_hash(engine), ome_engine_state_hash(other));
    CHECK(ome_engine_check(engine) == NULL);
}

/* Writes the commands of a life to a journal. */
static inline ome_command_t *journal_of_life(const directory_t *directory)
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

#endif
