#include "journal/ome_journal_cut.h"

#include "journal/ome_journal_directory.h"
#include "journal/ome_journal_recover.h"
#include "journal/ome_journal_search.h"
#include "journal/ome_journal_survey.h"
#include "journal/ome_journal_writer.h"

#include <stdio.h>

/* The names that ome_journal_directory_set_aside gives, of segments that begin behind a sequence. */
typedef struct
{
    ome_journal_kind_t kind;
    uint64_t above;
    uint64_t epoch;
    ome_journal_reader_t *reader;
    ome_status_t status;
} cut_epochs_t;

static void cut_visit_set_aside(void *visitor, const char *name)
{
    cut_epochs_t *const epochs = visitor;
    char segment[OME_JOURNAL_NAME_SIZE];
    char path[OME_PATH_SIZE];
    snprintf(segment, sizeof(segment), "%s", name);
    char *const dot = strstr(segment, ".ome");
    if (dot == NULL ||
        strncmp(name + (dot - segment), ".ome" OME_JOURNAL_NAME_SET_ASIDE, sizeof(".ome" OME_JOURNAL_NAME_SET_ASIDE) - 1) != 0)
    {
        return;
    }
    dot[sizeof(".ome") - 1] = '\0';
    ome_journal_header_t header;
    bool is_valid = false;
    if (epochs->status == OME_OK && ome_journal_name_sequence(epochs->kind, segment) > epochs->above &&
        ome_file_join(path, epochs->reader->directory, name) == OME_OK)
    {
        epochs->status = ome_journal_directory_header(epochs->reader, path, &header, &is_valid);
    }
    epochs->epoch = is_valid && header.epoch > epochs->epoch ? header.epoch : epochs->epoch;
}

/* Leaves an empty segment of the highest epoch that was set aside, where that is higher than the reader's. */
static ome_status_t cut_keep_epoch(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    cut_epochs_t epochs = {.kind = reader->config.kind, .above = ome_journal_survey_last_kept(reader), .reader = reader};
    const int result = file_system->list(file_system->context, reader->directory, cut_visit_set_aside, &epochs);
    if (result < 0 || epochs.status != OME_OK)
    {
        return result < 0 ? ome_journal_place_failed(reader, result, "readdir", reader->directory) : epochs.status;
    }
    if (epochs.epoch <= reader->epoch)
    {
        return OME_OK;
    }
    const ome_journal_writer_config_t config = {.file_system = file_system,
        .directory = reader->directory,
        .kind = reader->config.kind,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .epoch = epochs.epoch,
        .first_sequence = reader->last_sequence + 1,
        .previous_checksum = reader->chain_checksum};
    ome_journal_writer_t writer;
    const ome_status_t opened = ome_journal_writer_open(&writer, reader->window.bytes, reader->window.capacity_bytes, &config);
    const ome_status_t closed = ome_journal_writer_close(&writer);
    if (opened == OME_OK && closed == OME_OK)
    {
        return OME_OK;
    }
    reader->error = writer.error;
    reader->status = OME_IO_ERROR;
    return OME_IO_ERROR;
}

/* Makes the segment end that the reader stands in. */
static ome_status_t cut_end_segment(ome_journal_reader_t *reader)
{
    ome_journal_search_t search;
    ome_status_t status = ome_journal_search_open(&search, reader, reader->report.path);
    if (status != OME_OK)
    {
        return status;
    }
    status = ome_journal_search_used_end(&search, reader->report.offset, &reader->tail_end);
    ome_journal_search_close(&search);
    return status == OME_OK ? ome_journal_end_segment(reader) : status;
}

ome_status_t ome_journal_cut(ome_journal_reader_t *reader)
{
    if (reader->report.verdict != OME_JOURNAL_DAMAGED)
    {
        return OME_INVALID;
    }
    ome_journal_reader_close(reader);
    ome_status_t status = OME_OK;
    ome_journal_range_t range = {0};
    while (status == OME_OK &&
           (status = ome_journal_directory_find(reader, ome_journal_survey_last_kept(reader), UINT64_MAX, &range)) == OME_OK &&
           range.last != 0)
    {
        status = ome_journal_directory_set_aside(reader, range.last);
    }
    if (status == OME_OK)
    {
        status = ome_journal_directory_sync(reader);
    }
    if (status == OME_OK && ome_journal_survey_is_inside(reader))
    {
        status = cut_end_segment(reader);
    }
    return status == OME_OK ? cut_keep_epoch(reader) : status;
}
