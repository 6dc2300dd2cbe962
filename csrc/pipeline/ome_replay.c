#include "pipeline/ome_replay.h"

#include "base/ome_hash.h"
#include "base/ome_memory.h"

#define COMMAND_COUNT_MAX (sizeof(((ome_replay_t *)NULL)->commands) / sizeof(ome_command_t))

static void hash_and_forget(ome_sink_t *sink)
{
    ome_replay_t *replay = (ome_replay_t *)sink;
    replay->event_hash = ome_replay_event_hash(replay);
    sink->next = replay->events;
}

uint64_t ome_replay_event_hash(const ome_replay_t *replay)
{
    return ome_hash_events(replay->event_hash, replay->events, (uint64_t)(replay->sink.next - replay->events));
}

ome_status_t ome_replay_open(ome_replay_t *replay, const char *directory, bool is_live)
{
    const size_t size_bytes = ome_journal_reader_size_bytes();
    replay->reader.file = -1;
    replay->event_hash = OME_HASH_EVENTS_INITIAL;
    replay->reader_memory = ome_memory_map(size_bytes);
    if (replay->reader_memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    replay->sink = (ome_sink_t){
        .next = replay->events, .end = replay->events + sizeof(replay->events) / sizeof(replay->events[0]), .flush = hash_and_forget};
    const ome_journal_reader_config_t config = {
        .file_system = ome_file_system_posix(), .directory = directory, .first_sequence = 1, .is_live = is_live};
    return ome_journal_reader_open(&replay->reader, replay->reader_memory, size_bytes, &config);
}

/* Nothing is read or applied any more. */
static ome_status_t fail(ome_replay_t *replay, ome_status_t status, const char *reason)
{
    replay->reason = reason;
    replay->reason_status = status;
    return status;
}

/* Makes the engine that the first command of the journal asks for. */
static ome_status_t make_engine(ome_replay_t *replay, const ome_command_t *first)
{
    const ome_limits_t limits = {.order_count_max = first->order_count_max,
        .level_count_max = first->level_count_max,
        .instrument_count_max = first->instrument_count_max,
        .session_count_max = first->session_count_max,
        .special_count_max = first->special_count_max};
    replay->engine_size_bytes = ome_engine_size_bytes(&limits);
    if (first->kind != OME_COMMAND_KIND_DEFINE_LIMITS || replay->engine_size_bytes == 0)
    {
        return fail(replay, OME_DAMAGED, "the first command of a journal must be DefineLimits, with limits in range");
    }
    void *memory = ome_memory_map(replay->engine_size_bytes);
    return memory == NULL ? OME_NO_MEMORY : ome_engine_init(&replay->engine, memory, replay->engine_size_bytes, &limits);
}

static ome_status_t read_command(ome_replay_t *replay, ome_command_t *command)
{
    ome_journal_record_t record;
    const ome_status_t status = ome_journal_reader_next(&replay->reader, &record);
    if (status != OME_OK)
    {
        return status;
    }
    if (record.length != OME_BODY_SIZE)
    {
        return fail(replay, OME_DAMAGED, "a record of the journal does not hold a command of 56 bytes");
    }
    command->sequence = record.sequence;
    memcpy((uint8_t *)command + sizeof(uint64_t), record.data, OME_BODY_SIZE);
    return OME_OK;
}

ome_status_t ome_replay_read(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max, uint64_t *count)
{
    ome_status_t status = replay->reason != NULL ? replay->reason_status : OME_OK;
    *count = 0;
    while (status == OME_OK && *count < count_max)
    {
        status = read_command(replay, &commands[*count]);
        *count += status == OME_OK;
    }
    return status;
}

ome_status_t ome_replay_read_next(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max, uint64_t *count)
{
    const bool is_first = replay->engine == NULL && count_max > 0;
    ome_status_t status = ome_replay_read(replay, commands, is_first ? 1 : count_max, count);
    if (is_first && *count > 0)
    {
        status = make_engine(replay, commands);
        *count = status == OME_OK;
    }
    return status;
}

void ome_replay_hash(ome_replay_t *replay, const ome_event_t *events, uint64_t count)
{
    hash_and_forget(&replay->sink);
    replay->event_hash = ome_hash_events(replay->event_hash, events, count);
}

ome_status_t ome_replay_guard(ome_replay_t *replay, void (*work)(void *context), void *context)
{
    ome_assert_trap_set(&replay->trap);
    if (setjmp(replay->trap.jump) == 0)
    {
        work(context);
    }
    ome_assert_trap_set(NULL);
    return replay->trap.message[0] == '\0' ? OME_OK : fail(replay, OME_ASSERTED, replay->trap.message);
}

typedef struct
{
    ome_replay_t *replay;
    uint64_t count;
} group_t;

static void apply_group(void *context)
{
    const group_t *group = context;
    ome_engine_apply_many(group->replay->engine, group->replay->commands, group->count, &group->replay->sink);
}

/* Applies up to `count_max` commands, read together: the engine asks ahead for their memory. */
static ome_status_t step_group(ome_replay_t *replay, uint64_t count_max, uint64_t *count)
{
    const ome_status_t status = ome_replay_read_next(replay, replay->commands, count_max, count);
    group_t group = {.replay = replay, .count = *count};
    const ome_status_t applied = *count > 0 ? ome_replay_guard(replay, apply_group, &group) : OME_OK;
    return applied == OME_OK ? status : applied;
}

ome_status_t ome_replay_step(ome_replay_t *replay, uint64_t count_max)
{
    ome_status_t status = OME_OK;
    while (status == OME_OK && count_max > 0)
    {
        uint64_t count;
        status = step_group(replay, count_max < COMMAND_COUNT_MAX ? count_max : COMMAND_COUNT_MAX, &count);
        count_max -= count;
    }
    return status;
}

ome_engine_t *ome_replay_take_engine(ome_replay_t *replay)
{
    ome_engine_t *engine = replay->engine;
    replay->engine = NULL;
    return engine;
}

void ome_replay_close(ome_replay_t *replay)
{
    ome_journal_reader_close(&replay->reader);
    ome_memory_unmap(replay->reader_memory, ome_journal_reader_size_bytes());
    ome_memory_unmap(replay->engine, replay->engine_size_bytes);
    replay->reader_memory = NULL;
    replay->engine = NULL;
}
