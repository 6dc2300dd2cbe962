#include "pipeline/ome_decisions.h"

#include "base/ome_memory.h"
#include "journal/ome_journal_recover.h"
#include "journal/ome_journal_writer.h"

#include <inttypes.h>
#include <stdio.h>

static ome_status_t decisions_refuse(ome_decisions_t *decisions, ome_status_t status, const char *reason)
{
    decisions->reason = reason;
    return status;
}

static bool decisions_is_quarantine(const ome_decisions_t *decisions, uint32_t index)
{
    return decisions->entries[index].kind == OME_DECISION_QUARANTINE && !decisions->is_void[index];
}

/* Finds the first quarantined command from a sequence on. */
static void decisions_look_ahead(ome_decisions_t *decisions, uint64_t sequence)
{
    decisions->next_sequence = UINT64_MAX;
    for (uint32_t index = 0; index < decisions->count; index++)
    {
        const uint64_t found = decisions->entries[index].sequence;
        if (decisions_is_quarantine(decisions, index) && found >= sequence && found < decisions->next_sequence)
        {
            decisions->next_sequence = found;
        }
    }
}

ome_status_t ome_decisions_take(ome_decisions_t *decisions, const ome_decision_t *decision)
{
    if (decision->kind < OME_DECISION_QUARANTINE || decision->kind > OME_DECISION_BEGIN)
    {
        return decisions_refuse(decisions, OME_UNSUPPORTED, "a decision is of a kind that this build does not know");
    }
    if (decisions->count == OME_DECISION_COUNT_MAX)
    {
        return decisions_refuse(decisions, OME_FULL, "there are as many decisions as there may be: 1,024");
    }
    for (uint32_t index = 0; index < decisions->count && decision->kind == OME_DECISION_CUT; index++)
    {
        decisions->is_void[index] |= decisions->entries[index].sequence >= decision->sequence;
    }
    decisions->is_void[decisions->count] = false;
    decisions->entries[decisions->count++] = *decision;
    decisions_look_ahead(decisions, 1);
    return OME_OK;
}

static ome_status_t decisions_take_record(ome_decisions_t *decisions, const ome_journal_record_t *record)
{
    ome_decision_t decision;
    if (record->length != sizeof(decision))
    {
        return decisions_refuse(decisions, OME_DAMAGED, "a record of the decisions is not one of 24 bytes");
    }
    memcpy(&decision, record->data, sizeof(decision));
    if (decision.kind != record->type)
    {
        return decisions_refuse(decisions, OME_DAMAGED, "a decision is of another kind than its record says");
    }
    return ome_decisions_take(decisions, &decision);
}

ome_status_t ome_decisions_read(
    ome_decisions_t *decisions, ome_journal_reader_t *reader, void *memory, const ome_file_system_t *file_system, const char *directory)
{
    const ome_journal_reader_config_t config = {
        .file_system = file_system, .directory = directory, .kind = OME_JOURNAL_DECISIONS, .first_sequence = 1};
    ome_journal_record_t record;
    decisions->count = 0;
    decisions->reason = NULL;
    decisions->next_sequence = UINT64_MAX;
    ome_status_t status = ome_journal_reader_open(reader, memory, ome_journal_reader_size_bytes(), &config);
    while (status == OME_OK && (status = ome_journal_reader_next(reader, &record)) == OME_OK)
    {
        status = decisions_take_record(decisions, &record);
    }
    ome_journal_reader_close(reader);
    return status == OME_EMPTY ? OME_OK : status == OME_FULL ? OME_UNSUPPORTED : status;
}

ome_status_t ome_decisions_find(ome_decisions_t *decisions, const ome_journal_record_t *record)
{
    ome_status_t status = OME_EMPTY;
    for (uint32_t index = 0; index < decisions->count; index++)
    {
        const ome_decision_t *const decision = &decisions->entries[index];
        if (!decisions_is_quarantine(decisions, index) || decision->sequence != record->sequence)
        {
            continue;
        }
        if (decision->checksum != record->checksum)
        {
            snprintf(decisions->text, sizeof(decisions->text),
                "decision %" PRIu32 " is about a record of sequence %" PRIu64 " with checksum %08" PRIx32
                ", and that of the journal has %08" PRIx32,
                index + 1, record->sequence, decision->checksum, record->checksum);
            return decisions_refuse(decisions, OME_DAMAGED, decisions->text);
        }
        status = OME_OK;
    }
    decisions_look_ahead(decisions, record->sequence + 1);
    return status;
}

/* The memory that adding a decision needs; taken from the system and given back, because only one is added at a
 * time. */
typedef struct
{
    ome_decisions_t decisions;
    ome_journal_reader_t reader;
    ome_journal_writer_t writer;
    void *reader_memory;
    void *writer_memory;
} work_t;

/* Appends after the existing ones, as a run of its own: a sealed segment of the smallest size. */
static ome_status_t decisions_append(
    work_t *work, const ome_file_system_t *file_system, const char *directory, const ome_decision_t *decision)
{
    const ome_journal_writer_config_t config = {.file_system = file_system,
        .directory = directory,
        .kind = OME_JOURNAL_DECISIONS,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .epoch = work->reader.epoch + 1,
        .first_sequence = work->reader.last_sequence + 1,
        .previous_checksum = work->reader.chain_checksum};
    ome_status_t status = ome_journal_writer_open(&work->writer, work->writer_memory, ome_journal_writer_size_bytes(1), &config);
    if (status == OME_OK)
    {
        status = ome_journal_writer_append(&work->writer, config.first_sequence, (uint16_t)decision->kind, decision, sizeof(*decision));
    }
    const ome_status_t closed = ome_journal_writer_close(&work->writer);
    return status == OME_OK ? closed : status;
}

static ome_status_t decisions_add(work_t *work, const ome_file_system_t *file_system, const char *directory, const ome_decision_t *decision)
{
    ome_status_t status = ome_decisions_read(&work->decisions, &work->reader, work->reader_memory, file_system, directory);
    if (status == OME_OK)
    {
        status = ome_decisions_take(&work->decisions, decision);
    }
    if (status == OME_OK)
    {
        status = ome_journal_recover(&work->reader);
    }
    return status == OME_OK ? decisions_append(work, file_system, directory, decision) : status;
}

ome_status_t ome_decisions_write(
    const ome_file_system_t *file_system, const char *directory, const ome_decision_t *decision, ome_error_t *error)
{
    work_t *work = ome_memory_map(sizeof(*work));
    if (work == NULL)
    {
        return OME_NO_MEMORY;
    }
    ome_status_t status = OME_NO_MEMORY;
    work->reader_memory = ome_memory_map(ome_journal_reader_size_bytes());
    work->writer_memory = ome_memory_map(ome_journal_writer_size_bytes(1));
    if (work->reader_memory != NULL && work->writer_memory != NULL)
    {
        status = decisions_add(work, file_system, directory, decision);
        *error = work->writer.error.call != NULL ? work->writer.error : work->reader.error;
    }
    ome_memory_unmap(work->reader_memory, ome_journal_reader_size_bytes());
    ome_memory_unmap(work->writer_memory, ome_journal_writer_size_bytes(1));
    ome_memory_unmap(work, sizeof(*work));
    return status;
}
