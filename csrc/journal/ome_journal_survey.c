#include "journal/ome_journal_survey.h"

#include "journal/ome_journal_directory.h"
#include "journal/ome_journal_search.h"

bool ome_journal_survey_is_inside(const ome_journal_reader_t *reader)
{
    char path[OME_PATH_SIZE];
    ome_journal_directory_path(reader, path, reader->segment_first_sequence);
    return reader->segment_count > 0 && strcmp(path, reader->report.path) == 0 && reader->report.offset >= OME_JOURNAL_HEADER_SIZE;
}

uint64_t ome_journal_survey_last_kept(const ome_journal_reader_t *reader)
{
    return reader->segment_count > 0 ? reader->segment_first_sequence : reader->report.sequence_expected - 1;
}

/* Counts the records of a file from an offset and a sequence on. */
static ome_status_t survey_count_records(
    ome_journal_reader_t *reader, const char *path, uint64_t offset, uint64_t from, ome_journal_loss_t *loss)
{
    ome_journal_search_t search;
    uint64_t end;
    ome_status_t status = ome_journal_search_open(&search, reader, path);
    if (status != OME_OK)
    {
        return status;
    }
    status = ome_journal_search_used_end(&search, offset, &end);
    ome_journal_record_t record;
    while (status == OME_OK && (status = ome_journal_search_record(&search, &offset, end + sizeof(uint32_t), from, &record)) == OME_OK)
    {
        if (!ome_journal_is_seal(&record))
        {
            loss->record_count++;
            loss->last_sequence = record.sequence > loss->last_sequence ? record.sequence : loss->last_sequence;
        }
        offset += OME_JOURNAL_ENVELOPE_SIZE + record.length;
    }
    ome_journal_search_close(&search);
    return status == OME_EMPTY ? OME_OK : status;
}

ome_status_t ome_journal_survey(ome_journal_reader_t *reader, ome_journal_loss_t *loss)
{
    *loss = (ome_journal_loss_t){0};
    if (reader->report.verdict != OME_JOURNAL_DAMAGED)
    {
        return OME_INVALID;
    }
    ome_status_t status = ome_journal_survey_is_inside(reader) ? survey_count_records(reader, reader->report.path, reader->report.offset,
                                                                     reader->report.sequence_expected, loss)
                                                               : OME_OK;
    ome_journal_range_t range = {.first = ome_journal_survey_last_kept(reader)};
    while (status == OME_OK && (status = ome_journal_directory_find(reader, range.first, UINT64_MAX, &range)) == OME_OK && range.first != 0)
    {
        char path[OME_PATH_SIZE];
        ome_journal_directory_path(reader, path, range.first);
        status = survey_count_records(reader, path, OME_JOURNAL_HEADER_SIZE, range.first, loss);
        loss->segment_count++;
    }
    return status;
}
