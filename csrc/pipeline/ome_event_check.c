#include "pipeline/ome_event_check.h"

#include "base/ome_memory.h"
#include "journal/ome_journal_repair.h"

#include <inttypes.h>
#include <stdio.h>

/* Sets the reader at an event, and after which event it must stop; 0: no such event. */
static ome_status_t check_set_reader(
    ome_event_check_t *check, const ome_file_system_t *file_system, const char *directory, uint64_t first_number, uint64_t last_number)
{
    const ome_journal_reader_config_t config = {.file_system = file_system,
        .directory = directory,
        .kind = OME_JOURNAL_EVENTS,
        .first_sequence = first_number,
        .last_sequence = last_number};
    ome_journal_reader_close(&check->reader);
    return ome_journal_reader_open(&check->reader, check->reader_memory, ome_journal_reader_size_bytes(), &config);
}

/* The same, of the directory that is open. */
static ome_status_t check_move_reader(ome_event_check_t *check, uint64_t first_number, uint64_t last_number)
{
    char directory[OME_PATH_SIZE];
    memcpy(directory, check->reader.directory, sizeof(directory));
    return check_set_reader(check, check->reader.config.file_system, directory, first_number, last_number);
}

ome_status_t ome_event_check_open(ome_event_check_t *check, const ome_file_system_t *file_system, const char *directory)
{
    check->reader.file = -1;
    check->reader_memory = ome_memory_map(ome_journal_reader_size_bytes());
    if (check->reader_memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    /* No log has so many events: its last segment is read to its end. */
    ome_status_t status = check_set_reader(check, file_system, directory, UINT64_MAX, 0);
    if (status != OME_OK)
    {
        return status;
    }
    ome_journal_record_t record;
    status = ome_journal_reader_next(&check->reader, &record);
    check->has_log = check->reader.segment_count > 0;
    check->last_number = check->has_log ? check->reader.last_sequence : 0;
    check->status = status == OME_NOT_FOUND ? OME_OK : status;
    return check->status;
}

ome_status_t ome_event_check_begin(ome_event_check_t *check, uint64_t first_number)
{
    check->next_number = first_number;
    check->is_at_end = !check->has_log;
    return check->has_log ? check_move_reader(check, first_number, 0) : OME_OK;
}

/* Reads the next event of the log. OME_OK; OME_EMPTY: it has no more, or begins later, as the reader's first_sequence
 * then says. */
static ome_status_t check_next(ome_event_check_t *check, ome_journal_record_t *record)
{
    ome_journal_reader_t *reader = &check->reader;
    if (check->is_at_end || check->next_number < reader->config.first_sequence)
    {
        return OME_EMPTY;
    }
    ome_status_t status = ome_journal_reader_next(reader, record);
    if (status == OME_NOT_FOUND && reader->report.sequence_found > check->next_number)
    {
        status = check_move_reader(check, reader->report.sequence_found, 0);
        return status == OME_OK ? OME_EMPTY : status;
    }
    if (status == OME_EMPTY || status == OME_NOT_FOUND)
    {
        check->is_at_end = true;
        return OME_EMPTY;
    }
    return status;
}

static ome_status_t check_differs(ome_event_check_t *check, const ome_event_t *event, const ome_journal_record_t *record)
{
    ome_event_t logged = {0};
    memcpy(&logged, record->data, record->length == sizeof(logged) ? sizeof(logged) : 0);
    snprintf(check->text, sizeof(check->text),
        "event %" PRIu64 " of the log (command %" PRIu64 ", kind %u) is not the one that the journal gives (command %" PRIu64 ", kind %u)",
        check->next_number, logged.sequence, (unsigned)logged.kind, event->sequence, (unsigned)event->kind);
    check->reason = check->text;
    check->has_other_event = true;
    return OME_DAMAGED;
}

static ome_status_t check_take_one(ome_event_check_t *check, const ome_event_t *event)
{
    ome_journal_record_t record;
    const ome_status_t status = check_next(check, &record);
    if (status == OME_EMPTY)
    {
        check->missing_count += check->is_at_end;
        return OME_OK;
    }
    if (status != OME_OK)
    {
        return status;
    }
    const uint16_t kind = record.type & OME_JOURNAL_EVENT_KIND_MASK;
    if (record.length != sizeof(*event) || kind != event->kind || memcmp(record.data, event, sizeof(*event)) != 0)
    {
        return check_differs(check, event, &record);
    }
    check->compared_count++;
    return OME_OK;
}

ome_status_t ome_event_check_take(ome_event_check_t *check, const ome_event_t *events, uint64_t count)
{
    for (uint64_t i = 0; i < count && check->status == OME_OK; i++)
    {
        check->status = check_take_one(check, &events[i]);
        check->next_number += check->status == OME_OK;
    }
    return check->status;
}

/* An event after the journal's end. */
static ome_status_t check_take_ahead(ome_event_check_t *check, const ome_journal_record_t *record)
{
    check->ahead_count++;
    if ((record->type & OME_JOURNAL_EVENT_DURABLE) == 0)
    {
        return OME_OK;
    }
    ome_event_t event = {0};
    memcpy(&event, record->data, record->length == sizeof(event) ? sizeof(event) : 0);
    snprintf(check->text, sizeof(check->text),
        "event %" PRIu64 " is of command %" PRIu64 ", which was on disk when it was written; the journal ends before that command",
        record->sequence, event.sequence);
    check->reason = check->text;
    return OME_DAMAGED;
}

ome_status_t ome_event_check_finish(ome_event_check_t *check)
{
    while (check->status == OME_OK && !check->is_at_end)
    {
        ome_journal_record_t record;
        ome_status_t status = check_next(check, &record);
        if (status == OME_EMPTY && !check->is_at_end)
        {
            check->next_number = check->reader.config.first_sequence; /* all of the log is behind */
            continue;
        }
        status = status == OME_OK ? check_take_ahead(check, &record) : status;
        check->status = status == OME_EMPTY ? OME_OK : status;
    }
    return check->status;
}

uint64_t ome_event_check_right(const ome_event_check_t *check)
{
    return check->next_number > 0 ? check->next_number - 1 : check->reader.report.sequence_expected - 1;
}

ome_status_t ome_event_check_cut(ome_event_check_t *check, uint64_t last_number)
{
    ome_journal_record_t record;
    ome_status_t status = last_number > 0 ? check_move_reader(check, last_number, last_number) : OME_NOT_FOUND;
    while (status == OME_OK)
    {
        status = ome_journal_reader_next(&check->reader, &record);
    }
    if (status == OME_DAMAGED && check->reader.last_sequence == last_number)
    {
        return ome_journal_cut(&check->reader);
    }
    return status == OME_IO_ERROR ? status : OME_NOT_FOUND;
}

void ome_event_check_close(ome_event_check_t *check)
{
    if (check->reader_memory != NULL)
    {
        ome_journal_reader_close(&check->reader);
        ome_memory_unmap(check->reader_memory, ome_journal_reader_size_bytes());
        check->reader_memory = NULL;
    }
}
