#include "journal/ome_journal_tail.h"

/* Looks for a synced record behind this offset, at any byte. Returns OME_OK (it is in the report); OME_EMPTY; OME_IO_ERROR. */
static ome_status_t tail_find_synced_record(ome_journal_reader_t *reader, uint64_t behind)
{
    const uint64_t expected = reader->report.sequence_expected;
    const uint64_t tail_size = reader->tail_end - reader->report.offset;
    for (uint64_t offset = behind + 1; offset < reader->tail_end; offset++)
    {
        const uint8_t *bytes;
        size_t available_bytes;
        ome_journal_record_t record;
        const ome_status_t status = ome_journal_place_look(reader, offset, OME_JOURNAL_RECORD_SIZE_MAX, &bytes, &available_bytes);
        if (status != OME_OK)
        {
            return status;
        }
        if (available_bytes < OME_JOURNAL_ENVELOPE_SIZE)
        {
            break;
        }
        uint64_t sequence;
        memcpy(&sequence, bytes, sizeof(sequence));
        /* Between it and here there is room for so many records and no more; this leaves almost nothing for the checksum to decide. */
        if (sequence - expected - 1 <= tail_size / OME_JOURNAL_ENVELOPE_SIZE && ome_journal_decode(bytes, available_bytes, &record) &&
            (record.type & OME_JOURNAL_TYPE_SYNCED) != 0)
        {
            reader->report.sequence_found = record.sequence;
            reader->report.offset_found = offset;
            return OME_OK;
        }
    }
    return OME_EMPTY;
}

/* Finds the end of the last byte at or after the reader's offset that is not zero; the offset itself when there is none. */
static ome_status_t tail_find_end(ome_journal_reader_t *reader)
{
    const int64_t result = ome_journal_window_find_used_end(
        &reader->window, reader->config.file_system, reader->file, reader->report.offset, &reader->tail_end);
    return result < 0 ? ome_journal_place_failed(reader, result, "pread", reader->report.path) : OME_OK;
}

ome_status_t ome_journal_tail_judge(ome_journal_reader_t *reader, bool is_last)
{
    ome_status_t status = tail_find_end(reader);
    if (status != OME_OK || reader->tail_end == reader->report.offset)
    {
        return status;
    }
    ome_journal_record_t record;
    status = ome_journal_place_record(reader, &record);
    if (status == OME_IO_ERROR)
    {
        return status;
    }
    if (reader->is_sealed)
    {
        return ome_journal_place_damaged(reader, "bytes that are not zero follow the seal");
    }
    uint64_t end = reader->report.offset;
    const bool is_part =
        status == OME_OK && record.sequence == reader->report.sequence_expected && !ome_journal_place_is_whole(reader, &end);
    if (status == OME_OK && !is_part)
    {
        reader->report.sequence_found = record.sequence;
        reader->report.offset_found = reader->report.offset;
        return ome_journal_place_damaged(reader, "the record's sequence is not the next one");
    }
    if (!is_last)
    {
        return ome_journal_place_damaged(reader, "bytes that are not a record are followed by another segment");
    }
    status = tail_find_synced_record(reader, end);
    if (status == OME_OK)
    {
        return ome_journal_place_damaged(reader, "bytes that are not a record are followed by a record of a later group");
    }
    const char *reason =
        is_part ? "the last command has several records, and not all of them are there; nothing was acknowledged after the one before it"
                : "bytes that are not a record follow the last one; nothing was acknowledged after it";
    return status == OME_EMPTY ? ome_journal_place_end_journal(reader, OME_JOURNAL_TORN, reason) : status;
}
