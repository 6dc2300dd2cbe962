#include "ome_repair_face.h"

#include <errno.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "concurrent/ome_idle.h"
#include "journal/ome_journal_repair.h"
#include "pipeline/ome_replay.h"

/* ---- Repair ---- */

ome_status_t ome_replay_decision(const ome_replay_t *replay, uint32_t index, ome_decision_view_t *look)
{
    const ome_decisions_t *const decisions = &replay->decisions;
    if (index >= decisions->count)
    {
        return OME_NOT_FOUND;
    }
    const ome_decision_t *const decision = &decisions->entries[index];
    *look = (ome_decision_view_t){.sequence = decision->sequence,
        .time_ns = decision->time_ns,
        .checksum = decision->checksum,
        .kind = decision->kind,
        .is_void = decisions->is_void[index]};
    return OME_OK;
}

static ome_decision_t repair_decision(uint32_t kind, uint64_t sequence, uint32_t checksum)
{
    return (ome_decision_t){.sequence = sequence, .time_ns = ome_clock_realtime_ns(), .checksum = checksum, .kind = kind};
}

ome_status_t ome_replay_suppose(ome_replay_t *replay, uint64_t sequence, uint32_t checksum)
{
    const ome_decision_t decision = repair_decision(OME_DECISION_QUARANTINE, sequence, checksum);
    return ome_decisions_take(&replay->decisions, &decision);
}

ome_status_t ome_decision_make(const char *directory, uint32_t kind, uint64_t sequence, uint32_t checksum)
{
    const ome_decision_t decision = repair_decision(kind, sequence, checksum);
    ome_error_t error = {0};
    const ome_status_t status = ome_decisions_write(ome_file_system_posix(), directory, &decision, &error);
    errno = error.number;
    return status;
}

ome_status_t ome_replay_survey(ome_replay_t *replay, ome_replay_loss_t *loss)
{
    ome_journal_loss_t found;
    const ome_status_t status = ome_journal_survey(&replay->reader, &found);
    *loss =
        (ome_replay_loss_t){.last_sequence = found.last_sequence, .record_count = found.record_count, .segment_count = found.segment_count};
    return status;
}

ome_status_t ome_replay_cut(ome_replay_t *replay)
{
    return ome_journal_cut(&replay->reader);
}

ome_status_t ome_replay_begin_journal(ome_replay_t *replay)
{
    return ome_journal_begin(&replay->reader);
}

ome_status_t ome_event_log_cut(const char *directory, uint64_t last_number)
{
    ome_event_check_t check = {0};
    ome_status_t status = ome_event_check_open(&check, ome_file_system_posix(), directory);
    if (status == OME_OK || status == OME_DAMAGED)
    {
        status = ome_event_check_cut(&check, last_number);
    }
    errno = check.reader.error.number;
    ome_event_check_close(&check);
    return status;
}

/* ---- Scan ---- */

struct ome_scan
{
    ome_journal_reader_t reader;
    void *reader_memory;
    uint64_t size_bytes; /* read in this step */
};

ome_status_t ome_scan_create(const char *directory, uint32_t kind, uint64_t first_sequence, ome_scan_t **scan)
{
    ome_scan_t *made = ome_memory_map(sizeof(*made));
    void *memory = ome_memory_map(ome_journal_reader_size_bytes());
    const ome_journal_reader_config_t config = {.file_system = ome_file_system_posix(),
        .directory = directory,
        .kind = (ome_journal_kind_t)kind,
        .first_sequence = first_sequence,
        .is_live = true};
    ome_status_t status = made != NULL && memory != NULL ? OME_OK : OME_NO_MEMORY;
    if (status == OME_OK)
    {
        made->reader_memory = memory;
        status = ome_journal_reader_open(&made->reader, memory, ome_journal_reader_size_bytes(), &config);
    }
    if (status == OME_OK)
    {
        *scan = made;
        return OME_OK;
    }
    ome_memory_unmap(memory, ome_journal_reader_size_bytes());
    ome_memory_unmap(made, sizeof(*made));
    return status;
}

void ome_scan_destroy(ome_scan_t *scan)
{
    if (scan != NULL)
    {
        ome_journal_reader_close(&scan->reader);
        ome_memory_unmap(scan->reader_memory, ome_journal_reader_size_bytes());
        ome_memory_unmap(scan, sizeof(*scan));
    }
}

static ome_status_t repair_scan_step(void *context, uint64_t count)
{
    ome_scan_t *scan = context;
    ome_status_t status = OME_OK;
    for (uint64_t i = 0; i < count && status == OME_OK; i++)
    {
        ome_journal_record_t record;
        status = ome_journal_reader_next(&scan->reader, &record);
        scan->size_bytes += status == OME_OK ? OME_JOURNAL_ENVELOPE_SIZE + record.length : 0;
    }
    return status;
}

ome_status_t ome_scan_step_idle(ome_scan_t *scan, uint64_t count_max, uint64_t *size_bytes)
{
    scan->size_bytes = 0;
    const ome_status_t status = ome_idle_run(repair_scan_step, scan, count_max);
    *size_bytes = scan->size_bytes;
    return status;
}

void ome_scan_report(const ome_scan_t *scan, ome_scan_report_t *report)
{
    const ome_journal_reader_t *reader = &scan->reader;
    *report = (ome_scan_report_t){.sequence = reader->last_sequence,
        .offset = reader->report.offset,
        .path = reader->report.path[0] != '\0' ? reader->report.path : reader->directory,
        .reason = reader->report.reason,
        .error_call = reader->error.call,
        .error_number = reader->error.number};
}

/* ---- Files ---- */

typedef struct
{
    int file;
    uint64_t offset;
    void *data;
    int64_t result; /* bytes read, or a negative errno */
} idle_read_t;

static ome_status_t repair_read(void *context, uint64_t size_bytes)
{
    idle_read_t *read = context;
    const ome_file_system_t *files = ome_file_system_posix();
    read->result = files->read(files->context, read->file, read->data, size_bytes, read->offset);
    return read->result >= 0 ? OME_OK : OME_IO_ERROR;
}

ome_status_t ome_read_idle(int file, uint64_t offset, void *data, uint64_t size_bytes, uint64_t *read_bytes)
{
    idle_read_t read = {.file = file, .offset = offset, .data = data};
    const ome_status_t status = ome_idle_run(repair_read, &read, size_bytes);
    *read_bytes = status == OME_OK ? (uint64_t)read.result : 0;
    if (status == OME_IO_ERROR)
    {
        errno = (int)-read.result;
    }
    return status;
}

/* ---- Snapshots ---- */

static ome_status_t repair_snapshot_inspect(
    ome_snapshot_files_t *files, const char *directory, uint64_t sequence, ome_snapshot_view_t *look)
{
    ome_status_t status = ome_snapshot_files_open(files, ome_file_system_posix(), directory);
    if (status != OME_OK)
    {
        return status;
    }
    ome_snapshot_loaded_t loaded;
    status = ome_snapshot_file_load_one(files, sequence, &loaded);
    if (status == OME_OK)
    {
        *look = (ome_snapshot_view_t){.state_hash = files->reader.header.state_hash,
            .event_hash = loaded.past.event_hash,
            .event_count = files->reader.header.event_count,
            .journal_checksum = loaded.past.journal_checksum};
        ome_memory_unmap(loaded.engine, loaded.engine_size_bytes);
    }
    else if (status == OME_DAMAGED || status == OME_UNSUPPORTED)
    {
        *look = (ome_snapshot_view_t){.reason = files->reader.reason, .offset = files->reader.offset};
    }
    else if (status == OME_IO_ERROR)
    {
        errno = files->error.number;
    }
    return status;
}

ome_status_t ome_snapshot_inspect(const char *directory, uint64_t sequence, ome_snapshot_view_t *look)
{
    ome_snapshot_files_t *files = ome_memory_map(sizeof(*files));
    if (files == NULL)
    {
        return OME_NO_MEMORY;
    }
    const ome_status_t status = repair_snapshot_inspect(files, directory, sequence, look);
    ome_memory_unmap(files, sizeof(*files));
    return status;
}
