#include "journal/ome_journal_recover.h"

#include "base/ome_assert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Copies bytes between files, or over themselves; by way of the reader's window, whose content is not needed any more. */
static ome_status_t recover_copy(
    ome_journal_reader_t *reader, int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t size_bytes, const char *to_path)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    ome_journal_window_forget(&reader->window);
    while (size_bytes > 0)
    {
        const size_t part = size_bytes < reader->window.capacity_bytes ? (size_t)size_bytes : reader->window.capacity_bytes;
        const int64_t got = file_system->read(file_system->context, from, reader->window.bytes, part, from_offset);
        if (got != (int64_t)part)
        {
            return ome_journal_place_failed(reader, got < 0 ? got : -EIO, "pread", reader->report.path);
        }
        const int result = file_system->write(file_system->context, to, reader->window.bytes, part, to_offset);
        if (result < 0)
        {
            return ome_journal_place_failed(reader, result, "pwrite", to_path);
        }
        from_offset += part;
        to_offset += part;
        size_bytes -= part;
    }
    return OME_OK;
}

/* Fills the file that keeps a torn tail. It gets its name when it is whole. */
static ome_status_t recover_fill_torn(ome_journal_reader_t *reader, int from, int to, const char *temporary)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const uint64_t offset = reader->report.offset;
    const ome_status_t status = recover_copy(reader, from, offset, to, 0, reader->tail_end - offset, temporary);
    if (status != OME_OK)
    {
        return status;
    }
    const int result = file_system->sync_data(file_system->context, to);
    return result < 0 ? ome_journal_place_failed(reader, result, "fdatasync", temporary) : OME_OK;
}

static ome_status_t recover_save_torn(ome_journal_reader_t *reader, int from)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    char temporary[OME_PATH_SIZE];
    char path[OME_PATH_SIZE];
    const int length = snprintf(path, sizeof(path), "%s.torn-%" PRIu64, reader->report.path, reader->report.offset);
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name_temporary(name, reader->config.kind, OME_JOURNAL_TEMPORARY_TORN);
    if (length < 0 || (size_t)length >= sizeof(path) || ome_file_join(temporary, reader->directory, name) != OME_OK)
    {
        return ome_journal_place_failed(reader, -ENAMETOOLONG, "open", reader->report.path);
    }
    const int kept = file_system->open(file_system->context, path, OME_FILE_READ);
    if (kept >= 0)
    {
        /* From a try that died later. It stays: cutting may have changed a part of the tail since. */
        file_system->close(file_system->context, kept);
        return OME_OK;
    }
    if (kept != -ENOENT)
    {
        return ome_journal_place_failed(reader, kept, "open", path);
    }
    const int to = file_system->open(file_system->context, temporary, OME_FILE_CREATE);
    if (to < 0)
    {
        return ome_journal_place_failed(reader, to, "open", temporary);
    }
    const ome_status_t status = recover_fill_torn(reader, from, to, temporary);
    file_system->close(file_system->context, to);
    if (status != OME_OK)
    {
        return status;
    }
    int result = file_system->rename(file_system->context, temporary, path);
    if (result < 0)
    {
        return ome_journal_place_failed(reader, result, "rename", path);
    }
    result = file_system->sync_directory(file_system->context, reader->directory);
    return result < 0 ? ome_journal_place_failed(reader, result, "fsync", reader->directory) : OME_OK;
}

/* Seals the segment, which was cut at its last record. The writer left room for it. */
static ome_status_t recover_seal(ome_journal_reader_t *reader, int file)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const ome_journal_seal_t data = {.record_count = reader->last_sequence + 1 - reader->segment_first_sequence,
        .last_sequence = reader->last_sequence,
        .chain_checksum = reader->chain_checksum,
        .reason = OME_JOURNAL_SEAL_RECOVERY};
    uint8_t bytes[OME_JOURNAL_SEAL_SIZE];
    ome_journal_seal_encode(bytes, &data, OME_JOURNAL_TYPE_SYNCED);
    int result = file_system->write(file_system->context, file, bytes, sizeof(bytes), reader->report.offset);
    if (result < 0)
    {
        return ome_journal_place_failed(reader, result, "pwrite", reader->report.path);
    }
    result = file_system->sync_all(file_system->context, file);
    return result < 0 ? ome_journal_place_failed(reader, result, "fsync", reader->report.path) : OME_OK;
}

static ome_status_t recover_cut(ome_journal_reader_t *reader, int file)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const char *const path = reader->report.path;
    const bool is_without_records = reader->last_sequence < reader->segment_first_sequence;
    const uint64_t end = is_without_records ? OME_JOURNAL_HEADER_SIZE : reader->report.offset; /* then also without the seal */
    ome_status_t status = reader->tail_end > reader->report.offset ? recover_save_torn(reader, file) : OME_OK;
    if (status == OME_OK)
    {
        status = recover_copy(reader, file, reader->synced_offset, file, reader->synced_offset, end - reader->synced_offset, path);
    }
    if (status != OME_OK)
    {
        return status;
    }
    int result = file_system->truncate(file_system->context, file, end);
    if (result < 0)
    {
        return ome_journal_place_failed(reader, result, "ftruncate", path);
    }
    /* Also what is no content: the cut must hold when the next segment is there, or its tail would be called damage. */
    result = file_system->sync_all(file_system->context, file);
    if (result < 0)
    {
        return ome_journal_place_failed(reader, result, "fsync", path);
    }
    return reader->version == 1 || reader->is_sealed || is_without_records ? OME_OK : recover_seal(reader, file);
}

ome_status_t ome_journal_end_segment(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const int file = file_system->open(file_system->context, reader->report.path, OME_FILE_WRITE);
    if (file < 0)
    {
        return ome_journal_place_failed(reader, file, "open", reader->report.path);
    }
    const ome_status_t status = recover_cut(reader, file);
    file_system->close(file_system->context, file);
    return status;
}

static ome_status_t recover_remove_temporaries(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    for (int temporary = 0; temporary < OME_JOURNAL_TEMPORARY_COUNT; temporary++)
    {
        char name[OME_JOURNAL_NAME_SIZE];
        char path[OME_PATH_SIZE];
        ome_journal_name_temporary(name, reader->config.kind, (ome_journal_temporary_t)temporary);
        const ome_status_t status = ome_file_join(path, reader->directory, name);
        OME_ASSERT(status == OME_OK);
        const int result = file_system->remove(file_system->context, path);
        if (result < 0 && result != -ENOENT)
        {
            return ome_journal_place_failed(reader, result, "unlink", path);
        }
    }
    const int result = file_system->sync_directory(file_system->context, reader->directory);
    return result < 0 ? ome_journal_place_failed(reader, result, "fsync", reader->directory) : OME_OK;
}

ome_status_t ome_journal_recover(ome_journal_reader_t *reader)
{
    if (reader->status == OME_DAMAGED || reader->status == OME_UNSUPPORTED || reader->status == OME_NOT_FOUND ||
        reader->status == OME_IO_ERROR)
    {
        return reader->status;
    }
    if (reader->report.verdict != OME_JOURNAL_CLEAN && reader->report.verdict != OME_JOURNAL_TORN)
    {
        return OME_INVALID;
    }
    if (reader->segment_count > 0)
    {
        const ome_status_t status = ome_journal_end_segment(reader);
        if (status != OME_OK)
        {
            return status;
        }
    }
    return recover_remove_temporaries(reader);
}
