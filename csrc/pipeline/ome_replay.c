#include "pipeline/ome_replay.h"

#include "base/ome_hash.h"
#include "base/ome_memory.h"
#include "commands/ome_apply.h"
#include "state/ome_resize.h"

#include <stdio.h>

#define COMMAND_COUNT_MAX (sizeof(((ome_replay_t *)NULL)->commands) / sizeof(ome_command_t))

/* Nothing is read or applied any more. */
static ome_status_t replay_fail(ome_replay_t *replay, ome_status_t status, const char *reason)
{
    replay->reason = reason;
    replay->reason_status = status;
    return status;
}

/* Copies the finding of the event check, and its place, to the replay. */
static ome_status_t replay_take_check(ome_replay_t *replay, ome_status_t status)
{
    const ome_event_check_t *check = &replay->check;
    if (status == OME_OK || replay->reason != NULL)
    {
        return replay->reason != NULL ? replay->reason_status : OME_OK;
    }
    if (status == OME_IO_ERROR)
    {
        replay->reader.error = check->reader.error;
    }
    replay->is_check_fault = true;
    const char *found = check->reason != NULL ? check->reason : check->reader.report.reason;
    return replay_fail(replay, status, found != NULL ? found : "the event log cannot be read");
}

/* Every event passes here. */
static void replay_take_events(ome_replay_t *replay, const ome_event_t *events, uint64_t count)
{
    replay->event_hash = ome_hash_events(replay->event_hash, events, count);
    if (replay->checks_events)
    {
        (void)replay_take_check(replay, ome_event_check_take(&replay->check, events, count)); /* who steps sees the reason */
    }
    if (replay->visit != NULL)
    {
        replay->visit(replay->visitor, events, count);
    }
}

static void replay_forget_events(ome_sink_t *sink)
{
    ome_replay_t *replay = (ome_replay_t *)sink;
    replay_take_events(replay, replay->events, (uint64_t)(sink->next - replay->events));
    sink->next = replay->events;
}

uint64_t ome_replay_event_hash(const ome_replay_t *replay)
{
    return ome_hash_events(replay->event_hash, replay->events, (uint64_t)(replay->sink.next - replay->events));
}

/* Sets the reader at a sequence; `before`, unless it is NULL, is the chain checksum of all records before that one. */
static ome_status_t replay_open_reader(
    ome_replay_t *replay, const char *directory, uint64_t first_sequence, const uint32_t *before, uint32_t flags)
{
    const ome_journal_reader_config_t config = {.file_system = replay->file_system,
        .directory = directory,
        .kind = OME_JOURNAL_COMMANDS,
        .first_sequence = first_sequence,
        .has_previous_checksum = before != NULL,
        .previous_checksum = before != NULL ? *before : 0,
        .is_live = (flags & OME_REPLAY_IS_LIVE) != 0};
    return ome_journal_reader_open(&replay->reader, replay->reader_memory, ome_journal_reader_size_bytes(), &config);
}

static void replay_note_refused(void *context, const char *path, ome_status_t status, const char *reason, uint64_t offset)
{
    (void)status;
    (void)offset;
    ome_replay_t *replay = context;
    if (replay->refused_count++ == 0)
    {
        snprintf(replay->refused_path, sizeof(replay->refused_path), "%s", path);
        replay->refused_reason = reason;
    }
}

/* Takes over the loaded snapshot, and sets the reader after it. */
static ome_status_t replay_begin_loaded(ome_replay_t *replay, const ome_snapshot_loaded_t *loaded, const char *directory, uint32_t flags)
{
    replay->engine = loaded->engine;
    replay->engine_size_bytes = loaded->engine_size_bytes;
    replay->event_hash = loaded->past.event_hash;
    replay->snapshot_sequence = loaded->engine->sequence;
    const ome_status_t status = replay_open_reader(replay, directory, replay->snapshot_sequence + 1, &loaded->past.journal_checksum, flags);
    return status == OME_OK && replay->checks_events ? ome_event_check_begin(&replay->check, replay->engine->event_count + 1) : status;
}

/* Begins with the newest snapshot. OME_NOT_FOUND: there is none. */
static ome_status_t replay_open_snapshot(ome_replay_t *replay, const char *directory, uint32_t flags)
{
    replay->files->refused = replay_note_refused;
    replay->files->context = replay;
    replay->files->is_read_only = (flags & OME_REPLAY_SETS_ASIDE) == 0;
    replay->files->event_count_below = replay->event_count_below;
    ome_snapshot_loaded_t loaded;
    const ome_status_t status = ome_snapshot_file_load(replay->files, &loaded);
    if (status != OME_OK)
    {
        replay->reader.error = replay->files->error;
        return status;
    }
    return replay_begin_loaded(replay, &loaded, directory, flags);
}

static ome_status_t replay_read_decisions(ome_replay_t *replay, const char *directory)
{
    const ome_status_t status =
        ome_decisions_read(&replay->decisions, &replay->reader, replay->reader_memory, replay->file_system, directory);
    replay->is_decision_fault = status != OME_OK;
    return replay->decisions.reason == NULL ? status : replay_fail(replay, status, replay->decisions.reason);
}

/* A snapshot that is ahead of the log would leave a gap in the log. */
static ome_status_t replay_open_check(ome_replay_t *replay, const char *directory)
{
    const ome_status_t status = ome_event_check_open(&replay->check, replay->file_system, directory);
    replay->checks_events = true;
    replay->event_count_below = replay->check.has_log ? replay->check.last_number + 1 : 0;
    if (status == OME_OK)
    {
        return ome_event_check_begin(&replay->check, 1);
    }
    return status == OME_INVALID || status == OME_NO_MEMORY ? status : replay_take_check(replay, status);
}

ome_status_t ome_replay_open(ome_replay_t *replay, const char *directory, uint32_t flags)
{
    replay->file_system = replay->file_system != NULL ? replay->file_system : ome_file_system_posix();
    replay->reader.file = -1;
    replay->event_hash = OME_HASH_EVENTS_INITIAL;
    replay->reader_memory = ome_memory_map(ome_journal_reader_size_bytes());
    replay->files = ome_memory_map(sizeof(*replay->files));
    if (replay->reader_memory == NULL || replay->files == NULL)
    {
        return OME_NO_MEMORY;
    }
    replay->sink = (ome_sink_t){
        .next = replay->events, .end = replay->events + sizeof(replay->events) / sizeof(replay->events[0]), .flush = replay_forget_events};
    ome_status_t status = replay_read_decisions(replay, directory);
    if (status == OME_OK)
    {
        status = replay_open_reader(replay, directory, 1, NULL, flags); /* before all else, so that it has a copy of the directory's name */
    }
    if (status == OME_OK)
    {
        status = ome_snapshot_files_open(replay->files, replay->file_system, replay->reader.directory);
    }
    if (status == OME_OK && (flags & OME_REPLAY_CHECKS_EVENTS) != 0)
    {
        status = replay_open_check(replay, directory);
    }
    if (status == OME_OK && (flags & OME_REPLAY_FROM_SNAPSHOT) != 0)
    {
        const ome_status_t opened = replay_open_snapshot(replay, directory, flags);
        status = opened == OME_NOT_FOUND ? OME_OK : opened;
    }
    return status;
}

static uint32_t replay_flags_of(const ome_replay_t *replay)
{
    return replay->reader.config.is_live ? OME_REPLAY_IS_LIVE : 0;
}

ome_status_t ome_replay_begin_with(ome_replay_t *replay, uint64_t sequence)
{
    char directory[OME_PATH_SIZE];
    memcpy(directory, replay->reader.directory, sizeof(directory));
    return replay_open_reader(replay, directory, sequence, NULL, replay_flags_of(replay));
}

ome_status_t ome_replay_begin_behind(ome_replay_t *replay, uint64_t snapshot_sequence)
{
    char directory[OME_PATH_SIZE];
    memcpy(directory, replay->reader.directory, sizeof(directory));
    ome_snapshot_loaded_t loaded;
    const ome_status_t status = ome_snapshot_file_load_one(replay->files, snapshot_sequence, &loaded);
    if (status == OME_IO_ERROR)
    {
        replay->reader.error = replay->files->error;
    }
    if (status == OME_DAMAGED || status == OME_UNSUPPORTED)
    {
        return replay_fail(replay, status, replay->files->reader.reason);
    }
    return status == OME_OK ? replay_begin_loaded(replay, &loaded, directory, replay_flags_of(replay)) : status;
}

#define REPLAY_UNKNOWN_RULES "a command asks for a version of the rules that this build does not know"

/* Bytes that meant nothing when the command was written still mean nothing. */
static ome_limits_t replay_limits_of(const ome_command_t *command)
{
    const bool knows_accounts = command->rules_version >= OME_RULES_VERSION_ACCOUNTS;
    return (ome_limits_t){.order_count_max = command->order_count_max,
        .level_count_max = command->level_count_max,
        .instrument_count_max = command->instrument_count_max,
        .session_count_max = command->session_count_max,
        .special_count_max = command->special_count_max,
        .rules_version = command->rules_version,
        .account_count_max = knows_accounts ? command->account_count_max : 0,
        .limit_flags = knows_accounts ? command->limit_flags : 0};
}

/* Makes the engine with the limits of the journal's first command. */
static ome_status_t replay_make_engine(ome_replay_t *replay, const ome_command_t *first)
{
    const ome_limits_t limits = replay_limits_of(first);
    replay->engine_size_bytes = ome_engine_size_bytes(&limits);
    if (first->kind == OME_COMMAND_KIND_DEFINE_LIMITS && limits.rules_version > OME_RULES_VERSION)
    {
        return replay_fail(replay, OME_UNSUPPORTED, REPLAY_UNKNOWN_RULES);
    }
    if (first->kind != OME_COMMAND_KIND_DEFINE_LIMITS || replay->engine_size_bytes == 0)
    {
        return replay_fail(replay, OME_DAMAGED, "the first command of a journal must be DefineLimits, with limits in range");
    }
    void *memory = ome_memory_map(replay->engine_size_bytes);
    return memory == NULL ? OME_NO_MEMORY : ome_engine_init(&replay->engine, memory, replay->engine_size_bytes, &limits);
}

/* A quarantined command gets kind 0. That of a client still takes its number, for the session's next ones go on from there. */
static ome_status_t replay_decide(ome_replay_t *replay, const ome_journal_record_t *record, ome_command_t *command)
{
    const ome_status_t status = ome_decisions_find(&replay->decisions, record);
    if (status == OME_DAMAGED)
    {
        replay->is_decision_fault = true;
        return replay_fail(replay, status, replay->decisions.reason);
    }
    if (status == OME_OK)
    {
        if (ome_message_class(command->kind) != OME_MESSAGE_CLASS_ORDER)
        {
            command->session_sequence = 0;
        }
        command->kind = 0;
        replay->quarantined_count++;
    }
    return OME_OK;
}

static ome_status_t replay_read_command(ome_replay_t *replay, ome_command_t *command)
{
    ome_journal_record_t record;
    const ome_status_t status = ome_journal_reader_next(&replay->reader, &record);
    if (status != OME_OK)
    {
        return status;
    }
    if (record.length != OME_BODY_SIZE)
    {
        return replay_fail(replay, OME_DAMAGED, "a record of the journal does not hold a command of 56 bytes");
    }
    command->sequence = record.sequence;
    memcpy((uint8_t *)command + sizeof(uint64_t), record.data, OME_BODY_SIZE);
    return ome_decisions_may_be(&replay->decisions, record.sequence) ? replay_decide(replay, &record, command) : OME_OK;
}

/* Reads commands before the first that may be quarantined. */
static uint64_t replay_read_plain(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max)
{
    const uint64_t next = replay->reader.report.sequence_expected;
    const uint64_t plain_count = ome_decisions_may_be(&replay->decisions, next) ? 0 : replay->decisions.next_sequence - next;
    return ome_journal_reader_next_commands(&replay->reader, commands, count_max < plain_count ? count_max : plain_count);
}

ome_status_t ome_replay_read(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max, uint64_t *count)
{
    ome_status_t status = replay->reason != NULL ? replay->reason_status : OME_OK;
    *count = 0;
    while (status == OME_OK && *count < count_max)
    {
        *count += replay_read_plain(replay, &commands[*count], count_max - *count);
        if (*count == count_max)
        {
            break;
        }
        status = replay_read_command(replay, &commands[*count]);
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
        status = replay_make_engine(replay, commands);
        *count = status == OME_OK;
    }
    return status;
}

/* The events of what was applied are taken; `status` is what reading it gave. Gives it, or what is wrong with the event
 * log. */
static ome_status_t replay_finish_events(ome_replay_t *replay, ome_status_t status)
{
    replay_forget_events(&replay->sink);
    if (replay->checks_events && status == OME_EMPTY)
    {
        (void)replay_take_check(replay, ome_event_check_finish(&replay->check));
    }
    if (replay->files->ahead_count > 0 && replay->snapshot_sequence == 0 && status == OME_NOT_FOUND)
    {
        replay->is_check_fault = true;
        (void)replay_fail(
            replay, status, "the event log ends before every snapshot, and the journal begins later: nothing gives the events between");
    }
    return replay->reason != NULL && (status == OME_OK || status == OME_EMPTY) ? replay->reason_status : status;
}

ome_status_t ome_replay_take_events(ome_replay_t *replay, const ome_event_t *events, uint64_t count, ome_status_t status)
{
    replay_take_events(replay, events, count);
    return replay_finish_events(replay, status);
}

ome_status_t ome_replay_guard(ome_replay_t *replay, void (*work)(void *context), void *context)
{
    ome_assert_trap_set(&replay->trap);
    if (setjmp(replay->trap.jump) == 0)
    {
        work(context);
    }
    ome_assert_trap_set(NULL);
    return replay->trap.message[0] == '\0' ? OME_OK : replay_fail(replay, OME_ASSERTED, replay->trap.message);
}

ome_status_t ome_replay_resize(ome_replay_t *replay, const ome_limits_t *limits)
{
    if (replay->engine == NULL)
    {
        return OME_EMPTY;
    }
    const ome_status_t status = ome_engine_resize(&replay->engine, limits);
    replay->engine_size_bytes = ome_engine_size_bytes(&replay->engine->limits);
    return status;
}

/* Before a DefineLimits is applied. If the engine must not move, it rejects the command, because its limits differ. */
static ome_status_t replay_follow_limits(ome_replay_t *replay, const ome_command_t *command)
{
    const ome_limits_t limits = replay_limits_of(command);
    if (limits.rules_version > OME_RULES_VERSION)
    {
        return replay_fail(replay, OME_UNSUPPORTED, REPLAY_UNKNOWN_RULES);
    }
    if (command->reserved != 0 || memcmp(&limits, &replay->engine->limits, sizeof(limits)) == 0)
    {
        return OME_OK;
    }
    const ome_status_t status = ome_replay_resize(replay, &limits);
    return status == OME_NO_MEMORY ? replay_fail(replay, status, "no memory for an engine of the limits that it changes to") : OME_OK;
}

ome_status_t ome_replay_part(ome_replay_t *replay, const ome_command_t *commands, uint64_t count, uint64_t *part_count)
{
    uint64_t part = 1;
    while (part < count && commands[part].kind != OME_COMMAND_KIND_DEFINE_LIMITS)
    {
        part++;
    }
    *part_count = part;
    return commands->kind == OME_COMMAND_KIND_DEFINE_LIMITS ? replay_follow_limits(replay, commands) : OME_OK;
}

typedef struct
{
    ome_replay_t *replay;
    const ome_command_t *commands;
    uint64_t count;
} group_t;

static void replay_apply_group(void *context)
{
    const group_t *group = context;
    ome_engine_apply_many(group->replay->engine, group->commands, group->count, &group->replay->sink);
}

/* Applies up to `count_max` commands, read together: the engine requests their memory in advance. */
static ome_status_t replay_step_group(ome_replay_t *replay, uint64_t count_max, uint64_t *count)
{
    const ome_status_t status = ome_replay_read_next(replay, replay->commands, count_max, count);
    ome_status_t applied = OME_OK;
    group_t group = {.replay = replay};
    for (uint64_t done = 0; done < *count && applied == OME_OK; done += group.count)
    {
        group.commands = &replay->commands[done];
        applied = ome_replay_part(replay, group.commands, *count - done, &group.count);
        applied = applied == OME_OK ? ome_replay_guard(replay, replay_apply_group, &group) : applied;
    }
    return applied == OME_OK ? replay_finish_events(replay, status) : applied;
}

ome_status_t ome_replay_step(ome_replay_t *replay, uint64_t count_max)
{
    ome_status_t status = OME_OK;
    while (status == OME_OK && count_max > 0)
    {
        uint64_t count;
        status = replay_step_group(replay, count_max < COMMAND_COUNT_MAX ? count_max : COMMAND_COUNT_MAX, &count);
        count_max -= count;
    }
    return status;
}

ome_status_t ome_replay_snapshot(ome_replay_t *replay, uint32_t keep_count)
{
    ome_journal_reader_t *const reader = &replay->reader;
    const ome_file_system_t *const file_system = reader->config.file_system;
    if (replay->engine == NULL)
    {
        return OME_EMPTY;
    }
    OME_ASSERT(replay->engine->sequence == reader->last_sequence);
    const int result = reader->file < 0 ? 0 : file_system->sync_data(file_system->context, reader->file);
    if (result < 0)
    {
        return ome_file_failed(&reader->error, result, "fdatasync", reader->report.path);
    }
    /* A reader that has read nothing yet is where it began. */
    const uint32_t checksum = reader->segment_count > 0 ? reader->chain_checksum : reader->config.previous_checksum;
    const ome_snapshot_past_t past = {.event_hash = ome_replay_event_hash(replay), .journal_checksum = checksum};
    const ome_status_t status = ome_snapshot_file_write(replay->files, replay->engine, past, keep_count);
    if (status == OME_IO_ERROR)
    {
        reader->error = replay->files->error;
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
    ome_event_check_close(&replay->check);
    ome_journal_reader_close(&replay->reader);
    ome_memory_unmap(replay->reader_memory, ome_journal_reader_size_bytes());
    ome_memory_unmap(replay->engine, replay->engine_size_bytes);
    ome_memory_unmap(replay->files, sizeof(*replay->files));
    replay->files = NULL;
    replay->reader_memory = NULL;
    replay->engine = NULL;
}
