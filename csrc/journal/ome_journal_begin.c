#include "journal/ome_journal_begin.h"

#include "journal/ome_journal_directory.h"
#include "journal/ome_journal_making.h"
#include "journal/ome_journal_reader.h"

static ome_status_t begin_foreign(ome_journal_reader_t *reader)
{
    reader->report.reason = "the records behind the first sequence asked for are not those that the checksum goes on with";
    return OME_DAMAGED;
}

/* Whether all up to the first sequence can be read where it is. */
static bool begin_is_readable(ome_journal_reader_t *reader)
{
    ome_journal_record_t record;
    const ome_status_t status = ome_journal_reader_next(reader, &record);
    return status == OME_OK || (reader->segment_count > 0 && reader->report.sequence_expected == reader->config.first_sequence &&
                                   reader->chain_checksum == reader->config.previous_checksum);
}

/* Follows the records that are taken over, to the seal or to where they end. */
static ome_status_t begin_follow_records(ome_journal_making_t *making)
{
    ome_journal_reader_t *const reader = making->from.reader;
    making->next_sequence = reader->config.first_sequence;
    making->checksum = reader->config.previous_checksum;
    making->records_end = making->offset;
    for (;;)
    {
        const uint8_t *bytes = NULL;
        size_t available_bytes = 0;
        ome_journal_record_t record;
        const ome_status_t status = ome_journal_search_look(&making->from, making->records_end, &bytes, &available_bytes);
        if (status != OME_OK || !ome_journal_decode(bytes, available_bytes, &record) || record.sequence != making->next_sequence)
        {
            return status;
        }
        if (ome_journal_is_seal(&record))
        {
            ome_journal_seal_t seal = {0};
            memcpy(&seal, record.data, record.length < sizeof(seal) ? record.length : sizeof(seal));
            making->seal_reason = seal.reason;
            making->end = making->records_end;
            return seal.chain_checksum == making->checksum ? OME_OK : begin_foreign(reader);
        }
        making->checksum = ome_journal_chain(making->checksum, record.checksum);
        making->next_sequence++;
        making->records_end += OME_JOURNAL_ENVELOPE_SIZE + record.length;
    }
}

/* Finds in the segment that should hold them the records from the first sequence on. Where there are none the new segment is empty. */
static ome_status_t begin_find_records(ome_journal_making_t *making)
{
    uint64_t used_end = 0;
    ome_journal_record_t record;
    making->offset = OME_JOURNAL_HEADER_SIZE;
    ome_status_t status = ome_journal_search_used_end(&making->from, OME_JOURNAL_HEADER_SIZE, &used_end);
    if (status != OME_OK)
    {
        return status;
    }
    making->end = used_end + sizeof(uint32_t); /* a checksum may end with zeros */
    status = ome_journal_search_record(&making->from, &making->offset, making->end, making->from.reader->config.first_sequence, &record);
    if (status == OME_EMPTY)
    {
        making->end = making->offset;
        making->records_end = making->offset;
        return OME_OK;
    }
    return status == OME_OK ? begin_follow_records(making) : status;
}

/* Where the segment's own seal is spoiled, the header of the next segment may prove that the records are complete. And the epoch must
 * fit before it. */
static ome_status_t begin_fit_before_next(ome_journal_making_t *making, bool has_header)
{
    ome_journal_reader_t *const reader = making->from.reader;
    char path[OME_PATH_SIZE];
    ome_journal_header_t next;
    bool has_next = false;
    ome_journal_directory_path(reader, path, making->next_sequence);
    const ome_status_t status =
        making->next_sequence > reader->config.first_sequence ? ome_journal_directory_header(reader, path, &next, &has_next) : OME_OK;
    if (status != OME_OK || !has_next)
    {
        return status;
    }
    if (next.previous_checksum != making->checksum)
    {
        return begin_foreign(reader);
    }
    if (making->seal_reason == 0)
    {
        making->seal_reason = has_header && making->header.epoch < next.epoch ? OME_JOURNAL_SEAL_RECOVERY : OME_JOURNAL_SEAL_ROTATION;
        making->end = making->records_end;
    }
    if (!has_header)
    {
        making->header.epoch = next.epoch - (making->seal_reason != OME_JOURNAL_SEAL_ROTATION && next.epoch > 1);
    }
    return OME_OK;
}

/* The highest epoch of all segments that can be read, for a segment of which nobody knows it. */
static ome_status_t begin_highest_epoch(ome_journal_reader_t *reader, uint64_t *epoch)
{
    ome_journal_range_t range = {0};
    ome_status_t status = OME_OK;
    *epoch = 1;
    while (status == OME_OK && (status = ome_journal_directory_find(reader, range.first, UINT64_MAX, &range)) == OME_OK && range.first != 0)
    {
        char path[OME_PATH_SIZE];
        ome_journal_header_t header;
        bool is_valid = false;
        ome_journal_directory_path(reader, path, range.first);
        status = ome_journal_directory_header(reader, path, &header, &is_valid);
        *epoch = is_valid && header.epoch > *epoch ? header.epoch : *epoch;
    }
    return status;
}

/* Decides what the new segment is: everything but its bytes. */
static ome_status_t begin_plan_segment(ome_journal_making_t *making, const char *path)
{
    ome_journal_reader_t *const reader = making->from.reader;
    bool has_header = false;
    uint64_t epoch = 0;
    ome_status_t status = begin_highest_epoch(reader, &epoch);
    if (status == OME_OK && making->holding != 0)
    {
        status = ome_journal_directory_header(reader, path, &making->header, &has_header);
    }
    if (status == OME_OK && making->holding != 0)
    {
        status = begin_find_records(making);
    }
    if (!has_header)
    {
        making->header = (ome_journal_header_t){.epoch = epoch, .segment_size = OME_JOURNAL_SEGMENT_SIZE_MIN};
    }
    return status == OME_OK ? begin_fit_before_next(making, has_header) : status;
}

static ome_status_t begin_make_segment(ome_journal_reader_t *reader)
{
    const uint64_t first_sequence = reader->config.first_sequence;
    ome_journal_making_t making = {.from.reader = reader, .next_sequence = first_sequence, .checksum = reader->config.previous_checksum};
    ome_journal_range_t range;
    ome_status_t status = ome_journal_directory_find(reader, 0, first_sequence + 1, &range);
    if (status != OME_OK)
    {
        return status;
    }
    making.holding = range.last;
    char path[OME_PATH_SIZE];
    ome_journal_directory_path(reader, path, making.holding);
    if (making.holding != 0)
    {
        status = ome_journal_search_open(&making.from, reader, path);
        if (status != OME_OK)
        {
            return status;
        }
    }
    status = begin_plan_segment(&making, path);
    status = status == OME_OK ? ome_journal_making_write(&making) : status;
    if (making.holding != 0)
    {
        ome_journal_search_close(&making.from);
    }
    return status;
}

ome_status_t ome_journal_begin(ome_journal_reader_t *reader)
{
    if (!reader->config.has_previous_checksum || reader->status != OME_OK || reader->segment_count > 0)
    {
        return OME_INVALID;
    }
    const bool is_there = begin_is_readable(reader);
    if (reader->status == OME_IO_ERROR || reader->status == OME_UNSUPPORTED)
    {
        return reader->status;
    }
    const uint64_t first = is_there ? reader->segment_first_sequence : reader->config.first_sequence;
    ome_journal_reader_close(reader);
    if (!is_there && reader->segment_count > 0 && reader->version != OME_JOURNAL_VERSION)
    {
        reader->report.reason = "a segment of an older format version cannot be made anew";
        return OME_UNSUPPORTED;
    }
    ome_status_t status = is_there ? OME_OK : begin_make_segment(reader);
    ome_journal_range_t range = {0};
    while (status == OME_OK && (status = ome_journal_directory_find(reader, 0, first, &range)) == OME_OK && range.first != 0)
    {
        status = ome_journal_directory_set_aside(reader, range.first);
    }
    return status == OME_OK ? ome_journal_directory_sync(reader) : status;
}
