#include "journal/ome_journal_place.h"

ome_status_t ome_journal_place_end(ome_journal_reader_t *reader, ome_status_t status, ome_journal_verdict_t verdict, const char *reason)
{
    reader->status = status;
    reader->report.verdict = verdict;
    reader->report.reason = reason;
    return status;
}

ome_status_t ome_journal_place_damaged(ome_journal_reader_t *reader, const char *reason)
{
    return ome_journal_place_end(reader, OME_DAMAGED, OME_JOURNAL_DAMAGED, reason);
}

ome_status_t ome_journal_place_absent(ome_journal_reader_t *reader, const char *reason)
{
    return ome_journal_place_end(reader, OME_NOT_FOUND, OME_JOURNAL_ABSENT, reason);
}

ome_status_t ome_journal_place_failed(ome_journal_reader_t *reader, int64_t result, const char *call, const char *path)
{
    reader->status = ome_file_failed(&reader->error, result, call, path);
    return reader->status;
}

ome_status_t ome_journal_place_end_journal(ome_journal_reader_t *reader, ome_journal_verdict_t verdict, const char *reason)
{
    if (reader->report.sequence_expected < reader->config.first_sequence)
    {
        return ome_journal_place_absent(reader, "the journal ends before the sequence asked for");
    }
    return ome_journal_place_end(reader, OME_EMPTY, verdict, reason);
}

ome_status_t ome_journal_place_check_beginning(ome_journal_reader_t *reader)
{
    const ome_journal_reader_config_t *const config = &reader->config;
    const bool is_due = config->has_previous_checksum && reader->report.sequence_expected == config->first_sequence;
    return !is_due || reader->chain_checksum == config->previous_checksum
               ? OME_OK
               : ome_journal_place_damaged(
                     reader, "the checksum of all records before the first one asked for is not the one that was given");
}

ome_status_t ome_journal_place_look(
    ome_journal_reader_t *reader, uint64_t offset, size_t wanted_bytes, const uint8_t **bytes, size_t *available_bytes)
{
    const int64_t result =
        ome_journal_window_look(&reader->window, reader->config.file_system, reader->file, offset, wanted_bytes, bytes, available_bytes);
    return result < 0 ? ome_journal_place_failed(reader, result, "pread", reader->report.path) : OME_OK;
}

ome_status_t ome_journal_place_record(ome_journal_reader_t *reader, ome_journal_record_t *record)
{
    const uint8_t *bytes = NULL;
    size_t available_bytes = 0;
    const ome_status_t status =
        ome_journal_place_look(reader, reader->report.offset, OME_JOURNAL_RECORD_SIZE_MAX, &bytes, &available_bytes);
    if (status != OME_OK)
    {
        return status;
    }
    return ome_journal_decode(bytes, available_bytes, record) ? OME_OK : OME_EMPTY;
}

bool ome_journal_place_is_whole(ome_journal_reader_t *reader, uint64_t *end)
{
    const uint64_t begin = reader->report.offset;
    const uint8_t *bytes = NULL;
    size_t available_bytes = 0;
    size_t at = 0;
    ome_journal_record_t record;
    *end = begin;
    /* The record is in the window, with as much behind it as any command has. */
    if (reader->version == 1 || reader->config.kind != OME_JOURNAL_COMMANDS ||
        ome_journal_place_look(reader, begin, OME_JOURNAL_RECORD_SIZE_MAX, &bytes, &available_bytes) != OME_OK ||
        !ome_journal_decode(bytes, available_bytes, &record) || !ome_journal_begins_several(&record))
    {
        return true;
    }
    const uint64_t first_sequence = record.sequence;
    for (uint64_t count = 1; at + 2 * OME_JOURNAL_COMMAND_SIZE <= OME_JOURNAL_RECORD_SIZE_MAX; count++)
    {
        at += OME_JOURNAL_COMMAND_SIZE;
        *end = begin + at;
        if (!ome_journal_decode(bytes + at, available_bytes - at, &record) || record.sequence != first_sequence + count)
        {
            return false;
        }
        const uint16_t kind = record.type & OME_JOURNAL_KIND_MAX;
        if (record.length != OME_BODY_SIZE || kind != OME_COMMAND_KIND_ORDER_TERMS || !ome_journal_is_continued(kind, record.data))
        {
            return true;
        }
    }
    return true;
}
