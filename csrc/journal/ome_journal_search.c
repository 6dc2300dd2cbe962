#include "journal/ome_journal_search.h"

ome_status_t ome_journal_search_open(ome_journal_search_t *search, ome_journal_reader_t *reader, const char *path)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    *search = (ome_journal_search_t){.reader = reader, .path = path};
    ome_journal_window_forget(&reader->window);
    search->file = file_system->open(file_system->context, path, OME_FILE_READ);
    return search->file < 0 ? ome_journal_place_failed(reader, search->file, "open", path) : OME_OK;
}

void ome_journal_search_close(ome_journal_search_t *search)
{
    const ome_file_system_t *const file_system = search->reader->config.file_system;
    file_system->close(file_system->context, search->file);
}

ome_status_t ome_journal_search_look(ome_journal_search_t *search, uint64_t offset, const uint8_t **bytes, size_t *available_bytes)
{
    ome_journal_reader_t *const reader = search->reader;
    const int64_t result = ome_journal_window_look(
        &reader->window, reader->config.file_system, search->file, offset, OME_JOURNAL_RECORD_SIZE_MAX, bytes, available_bytes);
    return result < 0 ? ome_journal_place_failed(reader, result, "pread", search->path) : OME_OK;
}

ome_status_t ome_journal_search_used_end(ome_journal_search_t *search, uint64_t offset, uint64_t *end)
{
    ome_journal_reader_t *const reader = search->reader;
    const int64_t result = ome_journal_window_find_used_end(&reader->window, reader->config.file_system, search->file, offset, end);
    return result < 0 ? ome_journal_place_failed(reader, result, "pread", search->path) : OME_OK;
}

ome_status_t ome_journal_search_record(
    ome_journal_search_t *search, uint64_t *offset, uint64_t end, uint64_t from, ome_journal_record_t *record)
{
    for (; *offset + OME_JOURNAL_ENVELOPE_SIZE <= end; (*offset)++)
    {
        const uint8_t *bytes = NULL;
        size_t available_bytes = 0;
        const ome_status_t status = ome_journal_search_look(search, *offset, &bytes, &available_bytes);
        if (status != OME_OK || available_bytes < OME_JOURNAL_ENVELOPE_SIZE)
        {
            return status == OME_OK ? OME_EMPTY : status;
        }
        uint64_t sequence;
        memcpy(&sequence, bytes, sizeof(sequence));
        if (sequence - from <= end / OME_JOURNAL_ENVELOPE_SIZE && ome_journal_decode(bytes, available_bytes, record))
        {
            return OME_OK;
        }
    }
    return OME_EMPTY;
}
