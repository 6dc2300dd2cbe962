#include "pipeline/ome_event_log.h"

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "journal/ome_journal_recover.h"

#define BUFFER_COUNT (1u << 14) /* commands' worth: 1.2 MB */
#define WRITE_SIZE_BYTES ((size_t)1 << 18)

static ome_status_t log_append(ome_event_log_t *log, const ome_event_t *event, bool is_durable)
{
    const uint16_t kind = (uint16_t)(event->kind | (is_durable ? OME_JOURNAL_EVENT_DURABLE : 0));
    return ome_journal_writer_append(&log->writer, log->writer.next_sequence, kind, event, sizeof(*event));
}

/* ---- To open ---- */

/* Adds the events that the log lacks. */
typedef struct
{
    ome_event_log_t *log;
    uint64_t next_number; /* of the replay's next event */
} completion_t;

static void log_complete_events(void *visitor, const ome_event_t *events, uint64_t count)
{
    completion_t *completion = visitor;
    ome_event_log_t *log = completion->log;
    for (uint64_t i = 0; i < count && log->status == OME_OK; i++)
    {
        if (completion->next_number == log->writer.next_sequence)
        {
            log->status = log_append(log, &events[i], true);
        }
        completion->next_number++;
    }
}

static ome_status_t log_replay_missing(ome_event_log_t *log, ome_replay_t *again, const ome_replay_t *replay)
{
    completion_t completion = {.log = log};
    again->event_count_below = log->writer.next_sequence;
    again->file_system = replay->file_system;
    again->visit = log_complete_events;
    again->visitor = &completion;
    ome_status_t status = ome_replay_open(again, replay->reader.directory, OME_REPLAY_FROM_SNAPSHOT);
    if (status != OME_OK)
    {
        return status;
    }
    completion.next_number = again->engine != NULL ? again->engine->event_count + 1 : 1;
    while (status == OME_OK && log->status == OME_OK)
    {
        status = ome_replay_step(again, UINT32_MAX);
    }
    return status == OME_EMPTY ? log->status : status;
}

/* By a second replay, from a snapshot that is not ahead of the log: the first one only looked. */
static ome_status_t log_complete(ome_event_log_t *log, ome_replay_t *replay)
{
    ome_replay_t *again = ome_memory_map(sizeof(*again));
    if (again == NULL)
    {
        return OME_NO_MEMORY;
    }
    ome_status_t status = log_replay_missing(log, again, replay);
    if (status == OME_IO_ERROR && log->status == OME_OK)
    {
        replay->reader.error = again->reader.error;
    }
    ome_replay_close(again);
    ome_memory_unmap(again, sizeof(*again));
    return status == OME_OK ? ome_journal_writer_commit(&log->writer) : status;
}

/* Truncates the log after its last whole event that the journal has too. */
static ome_status_t log_recover(ome_replay_t *replay, uint64_t event_count)
{
    ome_event_check_t *check = &replay->check;
    const ome_status_t status = check->ahead_count > 0 ? ome_event_check_cut(check, event_count) : ome_journal_recover(&check->reader);
    if (status == OME_IO_ERROR)
    {
        replay->reader.error = check->reader.error;
    }
    if (status == OME_NOT_FOUND)
    {
        replay->reason = "no event of the event log is one that the journal gives";
        replay->reason_status = status;
        replay->is_check_fault = true;
    }
    return status;
}

static ome_status_t log_open_writer(ome_event_log_t *log, const ome_replay_t *replay, const ome_event_log_config_t *config)
{
    const ome_event_check_t *check = &replay->check;
    const ome_journal_writer_config_t writer = {.file_system = replay->reader.config.file_system,
        .directory = replay->reader.directory,
        .kind = OME_JOURNAL_EVENTS,
        .segment_size_bytes = config->segment_size_bytes,
        .epoch = config->epoch,
        .first_sequence = check->has_log ? check->reader.last_sequence + 1 : config->event_count + 1,
        .previous_checksum = check->has_log ? check->reader.chain_checksum : 0,
        .configuration_hash = config->configuration_hash,
        .grows = true};
    return ome_journal_writer_open(&log->writer, log->memory, log->memory_size_bytes, &writer);
}

ome_status_t ome_event_log_open(ome_event_log_t *log, ome_replay_t *replay, const ome_event_log_config_t *config)
{
    OME_ASSERT(replay->checks_events);
    log->delay_ns = config->delay_ns;
    log->memory_size_bytes = ome_journal_writer_size_bytes(BUFFER_COUNT);
    log->memory = ome_memory_map(log->memory_size_bytes);
    if (log->memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    ome_status_t status = replay->check.has_log ? log_recover(replay, config->event_count) : OME_OK;
    status = status == OME_OK ? log_open_writer(log, replay, config) : status;
    if (status == OME_OK && log->writer.next_sequence <= config->event_count)
    {
        status = log_complete(log, replay);
    }
    OME_ASSERT(status != OME_OK || log->writer.next_sequence == config->event_count + 1);
    return status;
}

/* ---- To write ---- */

void ome_event_log_attach(ome_event_log_t *log, ome_reader_t reader, const ome_counters_t *counters)
{
    log->reader = reader;
    log->counters = counters;
    ome_counter_set(ome_counters_counter(counters, OME_COUNT_EVENTS_DURABLE), log->writer.durable_sequence);
}

static uint64_t log_unsynced_count(const ome_event_log_t *log)
{
    return log->writer.next_sequence - 1 - log->writer.durable_sequence;
}

/* Takes events up to the gate. `ends_command`: anything that follows belongs to another command. */
static uint32_t log_take(ome_event_log_t *log, bool *ends_command)
{
    const ome_event_t *events;
    const uint32_t available = ome_reader_take(&log->reader, UINT32_MAX, &events);
    const uint64_t durable = ome_published_sequence(log->reader.published, OME_GATE_DURABLE);
    uint32_t count = 0;
    while (count < available && log->status == OME_OK)
    {
        log->status = log_append(log, &events[count], events[count].sequence <= durable);
        count++;
    }
    if (count > 0)
    {
        log->last_command = events[count - 1].sequence;
    }
    ome_reader_advance(&log->reader, count);
    *ends_command = ome_reader_is_past(&log->reader, log->last_command);
    return count;
}

/* Writes when there is much, and commits when it is old. */
static ome_status_t log_write_due(ome_event_log_t *log)
{
    if (ome_clock_monotonic_ns() - log->oldest_unsynced_ns >= log->delay_ns)
    {
        const ome_status_t status = ome_journal_writer_commit(&log->writer);
        ome_counter_set(ome_counters_counter(log->counters, OME_COUNT_EVENTS_DURABLE), log->writer.durable_sequence);
        return status;
    }
    return log->writer.buffer_used_bytes >= WRITE_SIZE_BYTES ? ome_journal_writer_write(&log->writer) : OME_OK;
}

uint32_t ome_event_log_do_work(ome_event_log_t *log)
{
    if (log->status != OME_OK)
    {
        return 0;
    }
    if (log_unsynced_count(log) == 0)
    {
        log->oldest_unsynced_ns = ome_clock_monotonic_ns();
    }
    bool ends_command;
    const uint32_t count = log_take(log, &ends_command);
    if (log->status == OME_OK && ends_command && log_unsynced_count(log) > 0)
    {
        log->status = log_write_due(log);
    }
    return count;
}

ome_status_t ome_event_log_close(ome_event_log_t *log)
{
    ome_status_t status = OME_OK;
    if (log->memory != NULL)
    {
        status = log->writer.file_system != NULL ? ome_journal_writer_close(&log->writer) : OME_OK;
        ome_memory_unmap(log->memory, log->memory_size_bytes);
        log->memory = NULL;
    }
    return status;
}
