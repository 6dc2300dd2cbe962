#include "ome_replay_face.h"

#include <string.h>

#include "base/ome_memory.h"
#include "concurrent/ome_idle.h"
#include "pipeline/ome_replay.h"

ome_status_t ome_replay_create(const char *directory, uint32_t flags, ome_replay_t **replay)
{
    ome_replay_t *made = ome_memory_map(sizeof(ome_replay_t));
    if (made == NULL)
    {
        return OME_NO_MEMORY;
    }
    const ome_status_t status = ome_replay_open(made, directory, flags);
    if (status == OME_INVALID || status == OME_NO_MEMORY)
    {
        ome_replay_destroy(made);
        return status;
    }
    *replay = made;
    return status;
}

void ome_replay_destroy(ome_replay_t *replay)
{
    if (replay != NULL)
    {
        ome_replay_close(replay);
        ome_memory_unmap(replay, sizeof(ome_replay_t));
    }
}

typedef struct
{
    ome_engine_t *engine;
    ome_batch_t *batch;
    const ome_command_t *commands;
    uint64_t count;
    bool is_first;
} replay_step_t;

static void replay_apply_step(void *context)
{
    const replay_step_t *step = context;
    (step->is_first ? ome_batch_apply : ome_batch_append)(step->batch, step->engine, step->commands, step->count);
}

ome_status_t ome_replay_step_into(ome_replay_t *replay, ome_batch_t *batch, void *commands, uint64_t count_max, uint64_t *count)
{
    const ome_status_t status = ome_replay_read_next(replay, commands, count_max, count);
    replay_step_t step = {.batch = batch};
    for (uint64_t done = 0; done < *count; done += step.count)
    {
        step.commands = (const ome_command_t *)commands + done;
        ome_status_t applied = ome_replay_part(replay, step.commands, *count - done, &step.count);
        step.engine = replay->engine;
        step.is_first = done == 0;
        applied = applied == OME_OK ? ome_replay_guard(replay, replay_apply_step, &step) : applied;
        if (applied != OME_OK)
        {
            *count = 0;
            return applied;
        }
    }
    return ome_replay_take_events(replay, ome_batch_events(batch), *count > 0 ? ome_batch_event_count(batch) : 0, status);
}

ome_status_t ome_replay_commands(ome_replay_t *replay, void *commands, uint64_t count_max, uint64_t *count)
{
    return ome_replay_read(replay, commands, count_max, count);
}

static ome_status_t replay_step(void *context, uint64_t count)
{
    return ome_replay_step(context, count);
}

static ome_status_t replay_snapshot(void *context, uint64_t count)
{
    return ome_replay_snapshot(context, (uint32_t)count);
}

ome_status_t ome_replay_step_idle(ome_replay_t *replay, uint64_t count_max)
{
    return count_max > 0 ? ome_idle_run(replay_step, replay, count_max) : OME_OK;
}

ome_status_t ome_replay_snapshot_idle(ome_replay_t *replay, uint32_t keep_count)
{
    return ome_idle_run(replay_snapshot, replay, keep_count);
}

const ome_engine_t *ome_replay_engine(const ome_replay_t *replay)
{
    return replay->engine;
}

void ome_replay_report(const ome_replay_t *replay, ome_replay_report_t *report)
{
    const ome_journal_reader_t *reader = &replay->reader;
    const ome_journal_report_t *found = replay->is_check_fault ? &replay->check.reader.report : &reader->report;
    const bool is_torn = found->verdict == OME_JOURNAL_TORN;
    *report = (ome_replay_report_t){.last_sequence = reader->last_sequence,
        .epoch = reader->epoch,
        .segment_count = reader->segment_count,
        .offset = found->offset,
        .sequence_expected = found->sequence_expected,
        .sequence_found = replay->reason_status == OME_ASSERTED ? replay->engine->sequence : found->sequence_found,
        .torn_bytes = is_torn ? reader->tail_end - found->offset : 0,
        .event_hash = ome_replay_event_hash(replay),
        .snapshot_sequence = replay->snapshot_sequence,
        .events_checked = replay->check.compared_count,
        .events_missing = replay->check.has_log ? replay->check.missing_count : 0,
        .events_ahead = replay->check.ahead_count,
        .events_right = replay->is_check_fault ? ome_event_check_right(&replay->check) : 0,
        .quarantined = replay->quarantined_count,
        .configuration_hash = reader->configuration_hash,
        .record_checksum = reader->record_checksum,
        .snapshots_refused = replay->refused_count,
        .refused_path = replay->refused_path,
        .refused_reason = replay->refused_reason,
        .reason = replay->reason != NULL ? replay->reason : found->reason,
        .path = found->path[0] != '\0' || !replay->is_check_fault ? found->path : reader->directory,
        .is_of_event_log = replay->is_check_fault,
        .events_differ = replay->is_check_fault && replay->check.has_other_event,
        .is_of_decisions = replay->is_decision_fault,
        .error_call = reader->error.call,
        .error_path = reader->error.path,
        .error_number = reader->error.number,
        .verdict = replay->reason != NULL ? OME_JOURNAL_DAMAGED : (int32_t)found->verdict};
}
