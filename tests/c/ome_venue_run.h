/* A venue over the file system in memory, one process after another, and what it has promised: for tests that let calls
 * fail, cut the power or spoil files.
 *
 * A life is what one process does to the disk, step by step in one thread and by the code that a server uses: it starts
 * (replay from the newest snapshot, recovery, a segment of the next epoch), takes groups of commands through ring,
 * journal stage and gate, with a follower beside it that reads the journal and writes snapshots, and closes. What is
 * decided outside the core, in ome/server/ and ome/recovery/follower.py, is done here in the same order.
 *
 * Noted are the state and the event hash after each command, the last command that the gate has let out, and the newest
 * snapshot that was told to be on disk. A start must find exactly a beginning of what was sequenced, with all that was
 * let out, from a snapshot that is not older than the newest; otherwise `wrong` says what it found. No command is
 * sequenced twice: what is lost is followed by others, so that what comes back from an earlier life is not taken for
 * right.
 *
 * This file has the memory of base/ome_memory.c, too, so that asking for it is a call that can fail, and a step behind
 * it is seen by the address sanitizer. A program includes it once. */
#ifndef OME_VENUE_RUN_H
#define OME_VENUE_RUN_H

#include "base/ome_memory.h"
#include "journal/ome_journal_recover.h"
#include "ome_memory_file.h"
#include "ome_test_market.h"
#include "pipeline/ome_event_log.h"
#include "pipeline/ome_journal_stage.h"
#include "pipeline/ome_replay.h"
#include "state/ome_state.h"

#include <malloc.h>

#define RUN_DIRECTORY "data"
#define RUN_COMMAND_COUNT_MAX 32768u
#define RUN_RING_SLOT_COUNT 64u
#define RUN_STREAM_SLOT_COUNT 32768u
#define RUN_AIM_CALL_COUNT 10u
#define RUN_MEMORY_SIZE_MAX (UINT64_C(1) << 26)

/* What a life is at. */
typedef enum
{
    RUN_REPLAY,
    RUN_RECOVERY,
    RUN_OPENING, /* of the writer */
    RUN_LOG_OPENING, /* recovery and completion of the event log */
    RUN_GROUP,
    RUN_ROTATION,
    RUN_LOGGING,
    RUN_PREPARATION,
    RUN_SNAPSHOT,
    RUN_CLOSING,
    RUN_CLOSED,
    RUN_REPAIR, /* no part of a life: a program repairs what it has spoilt */
    RUN_PHASE_COUNT
} run_phase_t;

static const char *const run_phase_names[RUN_PHASE_COUNT] = {"replay", "recovery", "opening", "opening the event log", "a group",
    "rotation", "logging", "preparation", "a snapshot", "closing", "a clean end", "a repair"};

/* What a life does between start and end. */
typedef struct
{
    uint32_t group_count;
    uint32_t group_size_max; /* at most RUN_RING_SLOT_COUNT; each group has at least half as many */
    uint32_t snapshot_every; /* groups */
    uint32_t prepare_every; /* groups */
    uint32_t log_every; /* groups; the event log lags behind as many */
    bool follows_at_sync; /* the follower comes between a write and its sync, otherwise between two groups */
    bool is_killed; /* at the end, in the middle of a write; otherwise closed */
} run_life_t;

typedef struct
{
    memory_file_system_t memory;
    uint64_t random;
    flow_t flow;
    run_phase_t phase;
    uint32_t aim; /* the process ends at one of the first calls of this phase, unless it has ended before; RUN_PHASE_COUNT: of none */
    const char *wrong; /* what must not be; NULL while there is nothing */

    /* What was promised. */
    uint64_t sequenced;
    uint64_t spoken; /* let out by the gate, or told by a start */
    uint64_t snapshot_sequence;
    bool has_log; /* set behind run_begin: the venue writes an event log */
    bool is_snapshot_spoiled; /* on purpose: one may be older than promised */
    uint64_t found; /* by the last start */
    uint64_t state_hashes[RUN_COMMAND_COUNT_MAX + 1];
    uint64_t event_hashes[RUN_COMMAND_COUNT_MAX + 1];

    /* One process. */
    ome_replay_t *replay;
    ome_replay_t *follower;
    ome_engine_t *engine;
    uint64_t engine_size_bytes;
    recorder_t *recorder;
    ome_ring_t *ring;
    ome_stream_t *stream;
    ome_event_log_t log;
    ome_published_t published;
    ome_counters_t counters;
    ome_journal_writer_t writer;
    ome_journal_stage_t stage;
    uint64_t followed_sequence; /* of the snapshot that the follower made last, or the start began with */
    bool is_writer_open;
    bool is_follower_due;
} run_t;

static run_t run;

static const ome_limits_t run_limits = {.order_count_max = 48,
    .level_count_max = 32,
    .instrument_count_max = 2,
    .session_count_max = 3,
    .special_count_max = 16,
    .rules_version = OME_RULES_VERSION};

/* ---- memory ---- */

/* Windows of readers are large, and there is hardly a moment without one that is free: they are kept. */
static void *run_windows[8];

static inline void **run_window(bool is_free)
{
    for (uint32_t index = 0; index < sizeof(run_windows) / sizeof(run_windows[0]); index++)
    {
        if ((run_windows[index] != NULL) == is_free)
        {
            return &run_windows[index];
        }
    }
    return NULL;
}

void *ome_memory_map(uint64_t size_bytes)
{
    if (memory_fails(&run.memory, "memory") || size_bytes > RUN_MEMORY_SIZE_MAX)
    {
        return NULL;
    }
    void **const kept = size_bytes == ome_journal_reader_size_bytes() ? run_window(true) : NULL;
    if (kept == NULL)
    {
        return market_memory(size_bytes);
    }
    void *memory = *kept;
    *kept = NULL;
    return memory; /* not zeroed: a reader does not rely on it */
}

void ome_memory_touch(const void *memory, uint64_t size_bytes)
{
    (void)memory; /* a wish, which costs time in each of the many runs */
    (void)size_bytes;
}

void ome_memory_unmap(void *memory, uint64_t size_bytes)
{
    void **const place = memory != NULL && size_bytes == ome_journal_reader_size_bytes() ? run_window(false) : NULL;
    if (place != NULL)
    {
        *place = memory;
        return;
    }
    free(memory);
}

static _Alignas(OME_CACHE_LINE_SIZE) uint8_t run_ring_memory[1 << 14];
static _Alignas(OME_CACHE_LINE_SIZE) uint8_t run_stream_memory[RUN_STREAM_SLOT_COUNT * OME_RECORD_SIZE + (1 << 14)];
static _Alignas(OME_CACHE_LINE_SIZE) uint8_t run_counters_memory[1 << 16];
static _Alignas(OME_FILE_BLOCK_SIZE) uint8_t run_writer_memory[6 * OME_FILE_BLOCK_SIZE];

/* ---- a venue ---- */

static inline int run_sync(void *context, int file);

/* A new disk, and nothing promised. */
static inline void run_begin(uint64_t seed)
{
    /* Memory that was freed is used again, instead of being given back and asked for: that would be most of the time. */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 28);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    memset(&run, 0, sizeof(run));
    memory_start(&run.memory, seed);
    run.memory.counts_close = true;
    run.memory.table.sync_data = run_sync;
    run.random = seed ^ UINT64_C(0x5EED);
    run.flow = (flow_t){.random = seed ^ UINT64_C(0xF10),
        .instrument_count = 2,
        .participant_count = 2,
        .order_id_count = 60,
        .price_count = 20,
        .has_specials = true};
    run.event_hashes[0] = OME_HASH_EVENTS_INITIAL;
    run.aim = RUN_PHASE_COUNT;
}

static inline void run_end(void)
{
    memory_end(&run.memory);
}

static inline uint32_t run_below(uint32_t count)
{
    return (uint32_t)(test_random(&run.random) % count);
}

/* Nothing that the process does reaches the disk any more. */
static inline bool run_is_dead(void)
{
    return run.memory.fails_ever_after && run.memory.failed != NULL;
}

static inline void run_enter(run_phase_t phase)
{
    run.phase = phase;
    if (run.aim == phase)
    {
        run.memory.fail_call = run.memory.call_count + 1 + run_below(RUN_AIM_CALL_COUNT);
        run.aim = RUN_PHASE_COUNT;
    }
}

static inline void run_is_wrong(const char *what)
{
    run.wrong = run.wrong == NULL ? what : run.wrong;
}

/* What the venue begins with, then the flow. */
static inline ome_command_t run_command(uint64_t sequence)
{
    const ome_command_t first[] = {define_limits(&run_limits), define_instrument(1, "ONE", 1, 0),
        define_instrument(2, "TWO", 1, OME_INSTRUMENT_FLAGS_SIGNED_PRICES), define_session(1, 1, "A", 0), define_session(2, 2, "B", 0)};
    if (sequence <= sizeof(first) / sizeof(first[0]))
    {
        return first[sequence - 1];
    }
    ome_command_t command = flow_next(&run.flow);
    const bool is_order = command.kind == OME_COMMAND_KIND_NEW_ORDER || command.kind == OME_COMMAND_KIND_AMEND_ORDER;
    command.quantity = is_order && command.quantity > 1000 ? 1000 : command.quantity; /* two of 2^50 lots would trade for long */
    return command;
}

/* ---- the start ---- */

/* The replay is what was noted at its sequence. */
static inline void run_check_replay(const ome_replay_t *replay)
{
    const uint64_t sequence = replay->engine != NULL ? replay->engine->sequence : 0;
    if (sequence != replay->reader.last_sequence || sequence > run.sequenced)
    {
        run_is_wrong("there are commands that were not sequenced");
    }
    else if (replay->engine != NULL && ome_engine_state_hash(replay->engine) != run.state_hashes[sequence])
    {
        run_is_wrong("the state is another one");
    }
    else if (ome_replay_event_hash(replay) != run.event_hashes[sequence])
    {
        run_is_wrong("the events are others");
    }
    else if (replay->engine != NULL && ome_engine_check(replay->engine) != NULL)
    {
        run_is_wrong("the engine breaks a rule");
    }
}

static inline void run_check_promises(const ome_replay_t *replay)
{
    run_check_replay(replay);
    run.found = replay->reader.last_sequence;
    if (run.found < run.spoken)
    {
        run_is_wrong("commands that were spoken of are lost");
    }
    if (!run.is_snapshot_spoiled && (replay->snapshot_sequence < run.snapshot_sequence || replay->refused_count > 0))
    {
        run_is_wrong("a snapshot that was promised is lost or broken");
    }
}

static inline uint32_t run_check_flag(void)
{
    return run.has_log ? OME_REPLAY_CHECKS_EVENTS : 0;
}

static inline ome_replay_t *run_replay_new(void)
{
    ome_replay_t *replay = calloc(1, sizeof(*replay));
    CHECK(replay != NULL);
    replay->file_system = &run.memory.table;
    return replay;
}

static inline void run_replay_free(ome_replay_t *replay)
{
    if (replay != NULL)
    {
        ome_replay_close(replay);
        free(replay);
    }
}

/* Replays to the end. OME_EMPTY; what a failing call returns; anything else is wrong. */
static inline ome_status_t run_replay_all(ome_replay_t *replay, uint32_t flags)
{
    ome_status_t status = ome_replay_open(replay, RUN_DIRECTORY, flags);
    while (status == OME_OK)
    {
        status = ome_replay_step(replay, 500);
    }
    if (status != OME_EMPTY && status != OME_IO_ERROR && status != OME_NO_MEMORY)
    {
        run_is_wrong(replay->reason != NULL ? replay->reason : replay->reader.report.reason);
    }
    return status;
}

static inline ome_status_t run_take_engine(void)
{
    run.engine = ome_replay_take_engine(run.replay);
    run.engine_size_bytes = run.replay->engine_size_bytes;
    if (run.engine != NULL)
    {
        return OME_OK;
    }
    run.engine_size_bytes = ome_engine_size_bytes(&run_limits);
    void *memory = ome_memory_map(run.engine_size_bytes);
    return memory != NULL ? ome_engine_init(&run.engine, memory, run.engine_size_bytes, &run_limits) : OME_NO_MEMORY;
}

static inline ome_status_t run_open_writer(void)
{
    const ome_journal_reader_t *reader = &run.replay->reader;
    const ome_journal_writer_config_t config = {.file_system = &run.memory.table,
        .directory = RUN_DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .epoch = reader->epoch + 1,
        .first_sequence = reader->last_sequence + 1,
        .previous_checksum = reader->chain_checksum};
    const size_t size_bytes = ome_journal_writer_size_bytes(RUN_RING_SLOT_COUNT);
    CHECK(size_bytes <= sizeof(run_writer_memory));
    run.is_writer_open = true; /* to be closed whatever is returned */
    return ome_journal_writer_open(&run.writer, run_writer_memory, size_bytes, &config);
}

static inline void run_make_stage(void)
{
    const ome_ring_config_t ring = {
        .slot_count = RUN_RING_SLOT_COUNT, .consumer_count = 1, .initial_sequence = run.found, .wait_strategy = OME_WAIT_YIELD};
    CHECK_EQUAL(ome_ring_init(&run.ring, run_ring_memory, sizeof(run_ring_memory), &ring), OME_OK);
    memset(run_counters_memory, 0, sizeof(run_counters_memory));
    CHECK_EQUAL(ome_counters_init(&run.counters, run_counters_memory, sizeof(run_counters_memory), &ome_venue_counters_table, 1), OME_OK);
    const ome_stream_config_t stream = {.slot_count = RUN_STREAM_SLOT_COUNT, .reader_count = 1, .wait_strategy = OME_WAIT_YIELD};
    CHECK_EQUAL(ome_stream_init(&run.stream, run_stream_memory, sizeof(run_stream_memory), &stream), OME_OK);
    ome_published_init(&run.published, run.stream, 1u << OME_GATE_DURABLE, run.found);
    const ome_journal_stage_config_t stage = {.writer = &run.writer,
        .ring = run.ring,
        .published = &run.published,
        .counters = &run.counters,
        .first_sequence = run.found + 1,
        .batch_count = 1};
    ome_journal_stage_init(&run.stage, &stage);
}

/* The event log, recovered and completed, and what it reads from. */
static inline ome_status_t run_open_log(void)
{
    run_enter(RUN_LOG_OPENING);
    const ome_event_log_config_t config = {
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN, .epoch = run.writer.epoch, .event_count = run.engine->event_count};
    const ome_status_t status = ome_event_log_open(&run.log, run.replay, &config);
    if (status == OME_OK)
    {
        ome_reader_t reader;
        CHECK_EQUAL(ome_published_register(&run.published, "event log", false, &reader), OME_OK);
        ome_event_log_attach(&run.log, reader, &run.counters);
    }
    else if (status != OME_IO_ERROR && status != OME_NO_MEMORY)
    {
        run_is_wrong("the event log cannot be gone on with");
    }
    return status;
}

/* Starts a process; what it finds is held against what was promised. */
static inline ome_status_t run_start(void)
{
    run_enter(RUN_REPLAY);
    run.replay = run_replay_new();
    ome_status_t status = run_replay_all(run.replay, OME_REPLAY_FROM_SNAPSHOT | OME_REPLAY_SETS_ASIDE | run_check_flag());
    if (status != OME_EMPTY)
    {
        return status;
    }
    run_check_promises(run.replay);
    run_enter(RUN_RECOVERY);
    status = ome_journal_recover(&run.replay->reader);
    if (status != OME_OK)
    {
        return status;
    }
    run.sequenced = run.found;
    run.spoken = run.found;
    run.followed_sequence = run.replay->snapshot_sequence;
    run_enter(RUN_OPENING);
    status = run_take_engine();
    if (status == OME_OK)
    {
        status = run_open_writer();
    }
    if (status == OME_OK)
    {
        run.recorder = recorder_new(RECORDER_WINDOW_COUNT_MAX);
        run.recorder->hash = run.event_hashes[run.found];
        run_make_stage();
    }
    return status == OME_OK && run.has_log ? run_open_log() : status;
}

/* ---- the follower ---- */

/* No snapshot is ahead of the event log. */
static inline bool run_is_logged(const ome_replay_t *replay)
{
    return !run.has_log || run.log.writer.durable_sequence >= replay->engine->event_count;
}

static inline void run_follow(void)
{
    const run_phase_t phase = run.phase;
    run_enter(RUN_SNAPSHOT);
    ome_status_t status = OME_OK;
    if (run.follower == NULL)
    {
        run.follower = run_replay_new();
        status = run_replay_all(run.follower, OME_REPLAY_FROM_SNAPSHOT | OME_REPLAY_IS_LIVE);
    }
    else
    {
        while (status == OME_OK)
        {
            status = ome_replay_step(run.follower, 500);
        }
    }
    const uint64_t reached = run.follower->reader.last_sequence;
    if (status == OME_EMPTY && reached > run.followed_sequence && run_is_logged(run.follower))
    {
        run_check_replay(run.follower);
        status = ome_replay_snapshot(run.follower, OME_SNAPSHOT_KEEP_COUNT_DEFAULT);
        if (status == OME_OK)
        {
            run.followed_sequence = reached;
            run.snapshot_sequence = reached;
            run.is_snapshot_spoiled = false;
        }
    }
    if (status != OME_OK && status != OME_EMPTY)
    {
        /* It is told to the log, and a new one tries when the next snapshot is due. */
        run_replay_free(run.follower);
        run.follower = NULL;
    }
    run.phase = run_is_dead() ? run.phase : phase;
}

/* The follower is a thread: it may come between a write and its sync. */
static inline int run_sync(void *context, int file)
{
    if (run.is_follower_due)
    {
        run.is_follower_due = false;
        run_follow();
    }
    return memory_sync(context, file);
}

/* ---- work ---- */

/* What the matcher hands to the readers of the stream. */
static inline void run_publish(const recorder_t *recorder)
{
    uint64_t done = 0;
    while (run.has_log && done < recorder->count)
    {
        void *slots = NULL;
        const uint32_t room = ome_stream_window(run.stream, &slots);
        CHECK(room > 0);
        const uint64_t left = recorder->count - done;
        const uint32_t count = left < room ? (uint32_t)left : room;
        memcpy(slots, recorder->events + done, count * sizeof(ome_event_t));
        ome_stream_publish_whole(run.stream, count);
        done += count;
    }
}

/* The event log takes what may be spoken of. */
static inline ome_status_t run_log_events(void)
{
    run_enter(RUN_LOGGING);
    while (ome_event_log_do_work(&run.log) > 0)
    {
    }
    return run_is_dead() ? OME_STOPPED : run.log.status;
}

static inline void run_sequence_commands(uint32_t count)
{
    uint64_t first = 0;
    CHECK(run.sequenced + count <= RUN_COMMAND_COUNT_MAX);
    CHECK_EQUAL(ome_ring_try_claim(run.ring, count, &first), OME_OK);
    CHECK_EQUAL(first, run.sequenced + 1);
    for (uint64_t sequence = first; sequence < first + count; sequence++)
    {
        ome_command_t command = run_command(sequence);
        memcpy((uint8_t *)ome_ring_slot(run.ring, sequence) + sizeof(uint64_t), (uint8_t *)&command + sizeof(uint64_t), OME_BODY_SIZE);
        command.sequence = sequence;
        run.recorder->count = 0;
        (void)recorder_apply(run.recorder, run.engine, &command);
        run.state_hashes[sequence] = ome_engine_state_hash(run.engine);
        run.event_hashes[sequence] = run.recorder->hash;
        run_publish(run.recorder);
    }
    run.sequenced = first + count - 1;
    ome_ring_publish(run.ring, first, count);
}

/* Whether the next group ends the segment. */
static inline bool run_rotates(uint32_t count)
{
    return run.writer.buffer_offset + run.writer.buffer_used_bytes + count * OME_JOURNAL_COMMAND_SIZE + OME_JOURNAL_SEAL_SIZE >
           OME_JOURNAL_SEGMENT_SIZE_MIN;
}

/* Journals a group, and hears what the gate lets out. */
static inline ome_status_t run_group(uint32_t count)
{
    run_enter(run_rotates(count) ? RUN_ROTATION : RUN_GROUP);
    for (uint32_t done = 0; (done < count && done < RUN_RING_SLOT_COUNT - 3) || run.flow.terms_count > 0; done++)
    {
        run_sequence_commands(1); /* whole commands */
    }
    (void)ome_journal_stage_do_work(&run.stage);
    run.spoken = ome_published_limit(&run.published);
    if (run.stage.status == OME_OK && run.spoken != run.sequenced && !run_is_dead())
    {
        run_is_wrong("the gate does not let out what was journaled");
    }
    return run_is_dead() ? OME_STOPPED : run.stage.status;
}

static inline ome_status_t run_work(const run_life_t *life)
{
    ome_status_t status = OME_OK;
    for (uint32_t group = 1; status == OME_OK && group <= life->group_count; group++)
    {
        const bool is_due = group % life->snapshot_every == 0;
        run.is_follower_due = is_due && life->follows_at_sync;
        status = run_group(1 + life->group_size_max / 2 + run_below((life->group_size_max + 1) / 2));
        if (status == OME_OK && run.has_log && (life->log_every == 0 || group % life->log_every == 0))
        {
            status = run_log_events();
        }
        if (status == OME_OK && is_due && !life->follows_at_sync)
        {
            run_follow();
        }
        if (status == OME_OK && group % life->prepare_every == 0 && !run_is_dead())
        {
            run_enter(RUN_PREPARATION);
            (void)ome_journal_writer_prepare_next(&run.writer); /* a failure is told when the segment is needed */
        }
        status = run_is_dead() ? OME_STOPPED : status;
    }
    return status;
}

/* ---- the end ---- */

/* The process is killed in the middle of a write. */
static inline void run_kill(void)
{
    run.phase = RUN_GROUP;
    for (uint32_t i = 0; i < 7; i++)
    {
        const uint64_t sequence = run.sequenced + 1;
        run_sequence_commands(1);
        const uint8_t *body = (uint8_t *)ome_ring_slot(run.ring, sequence) + sizeof(uint64_t);
        if (ome_journal_writer_append(&run.writer, sequence, 1, body, OME_BODY_SIZE) != OME_OK)
        {
            return;
        }
        ome_ring_consumer_advance(run.ring, 0, sequence);
    }
    if (ome_journal_writer_write(&run.writer) == OME_OK)
    {
        const size_t half = 3 * OME_JOURNAL_COMMAND_SIZE + 37;
        memset(memory_file(&run.memory, run.writer.path)->seen + run.writer.offset - half, 0, half);
    }
}

static inline ome_status_t run_close(void)
{
    const ome_status_t logged = run.has_log ? run_log_events() : OME_OK;
    run_enter(RUN_CLOSING);
    ome_status_t status = ome_journal_writer_close(&run.writer);
    run.is_writer_open = false;
    if (run.has_log && !run_is_dead())
    {
        const ome_status_t closed = ome_event_log_close(&run.log);
        status = status == OME_OK && logged == OME_OK ? closed : status;
    }
    if (!run_is_dead())
    {
        run_follow(); /* a snapshot of the end */
    }
    return run_is_dead() ? OME_STOPPED : status;
}

/* The process has ended; its memory and its open files are gone. */
static inline void run_process_end(void)
{
    if (run.is_writer_open)
    {
        atomic_store_explicit(&run.writer.is_stopped, true, memory_order_relaxed); /* nothing is sealed */
        (void)ome_journal_writer_close(&run.writer);
        run.is_writer_open = false;
    }
    if (run.log.memory != NULL)
    {
        atomic_store_explicit(&run.log.writer.is_stopped, true, memory_order_relaxed);
        (void)ome_event_log_close(&run.log);
    }
    memset(&run.log, 0, sizeof(run.log));
    run_replay_free(run.replay);
    run_replay_free(run.follower);
    ome_memory_unmap(run.engine, run.engine_size_bytes);
    if (run.recorder != NULL)
    {
        recorder_free(run.recorder);
    }
    run.replay = NULL;
    run.follower = NULL;
    run.engine = NULL;
    run.recorder = NULL;
    run.is_follower_due = false;
    CHECK_EQUAL(memory_open_count(&run.memory), 0);
}

/* One process, from its start to its end. OME_OK: it came to its end as it should; otherwise what ended it. */
static inline ome_status_t run_live(const run_life_t *life)
{
    ome_status_t status = run_start();
    if (status == OME_OK)
    {
        status = run_work(life);
    }
    if (status == OME_OK)
    {
        if (life->is_killed)
        {
            run_kill();
        }
        else
        {
            status = run_close();
        }
    }
    run.phase = status == OME_OK && !run_is_dead() ? RUN_CLOSED : run.phase;
    run_process_end();
    return status;
}

/* ---- afterwards ---- */

/* The whole journal, from its first command on, is what was sequenced. */
static inline void run_check_whole(void)
{
    ome_replay_t *replay = run_replay_new();
    if (run_replay_all(replay, run_check_flag()) != OME_EMPTY)
    {
        run_is_wrong("the journal cannot be read from its beginning");
    }
    else
    {
        run_check_replay(replay);
        if (replay->reader.last_sequence < run.spoken)
        {
            run_is_wrong("commands that were spoken of are not in the journal");
        }
        if (run.phase == RUN_CLOSED && (replay->check.missing_count > 0 || replay->check.ahead_count > 0) && run.has_log)
        {
            run_is_wrong("the event log does not end where the journal does");
        }
    }
    run_replay_free(replay);
    CHECK_EQUAL(memory_open_count(&run.memory), 0);
}

/* Spoils a byte of the newest snapshot, where there is one. */
static inline void run_spoil_snapshot(void)
{
    uint64_t newest = 0;
    for (int index = 0; index < run.memory.seen.count; index++)
    {
        uint64_t sequence = 0;
        newest = ome_snapshot_name_sequence(run.memory.seen.entries[index].name, &sequence) && sequence > newest ? sequence : newest;
    }
    if (newest > 0)
    {
        char name[OME_SNAPSHOT_NAME_SIZE];
        ome_snapshot_name(name, newest);
        memory_node_t *node = memory_file(&run.memory, name);
        node->seen[run_below((uint32_t)node->seen_size)] ^= 1;
        run.is_snapshot_spoiled = true;
    }
}

#endif
