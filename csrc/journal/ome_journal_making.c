#include "journal/ome_journal_making.h"

#include "base/ome_assert.h"
#include "journal/ome_journal_directory.h"

static ome_status_t making_write_bytes(
    ome_journal_reader_t *reader, int file, const char *path, const void *bytes, size_t size_bytes, uint64_t offset)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const int result = file_system->write(file_system->context, file, bytes, size_bytes, offset);
    return result < 0 ? ome_journal_place_failed(reader, result, "pwrite", path) : OME_OK;
}

/* Takes the bytes over, as they are. */
static ome_status_t making_write_records(ome_journal_making_t *making, int file, const char *path, uint64_t *end)
{
    ome_status_t status = OME_OK;
    *end = OME_JOURNAL_HEADER_SIZE;
    for (uint64_t offset = making->offset; status == OME_OK && offset < making->end;)
    {
        const uint8_t *bytes = NULL;
        size_t size_bytes = 0;
        status = ome_journal_search_look(&making->from, offset, &bytes, &size_bytes);
        if (status != OME_OK || size_bytes == 0)
        {
            return status;
        }
        size_bytes = size_bytes < making->end - offset ? size_bytes : (size_t)(making->end - offset);
        status = making_write_bytes(making->from.reader, file, path, bytes, size_bytes, *end);
        offset += size_bytes;
        *end += size_bytes;
    }
    return status;
}

/* Fills the new file, all of it on disk when this returns OME_OK. */
static ome_status_t making_fill(ome_journal_making_t *making, int file, const char *path)
{
    ome_journal_reader_t *const reader = making->from.reader;
    const ome_file_system_t *const file_system = reader->config.file_system;
    const uint64_t first_sequence = reader->config.first_sequence;
    uint64_t end = OME_JOURNAL_HEADER_SIZE;
    ome_status_t status = making->holding != 0 ? making_write_records(making, file, path, &end) : OME_OK;
    if (status == OME_OK && making->seal_reason != 0)
    {
        const ome_journal_seal_t seal = {.record_count = making->next_sequence - first_sequence,
            .last_sequence = making->next_sequence - 1,
            .chain_checksum = making->checksum,
            .reason = making->seal_reason};
        uint8_t bytes[OME_JOURNAL_SEAL_SIZE];
        ome_journal_seal_encode(bytes, &seal, OME_JOURNAL_TYPE_SYNCED);
        status = making_write_bytes(reader, file, path, bytes, sizeof(bytes), end);
        end += sizeof(bytes);
    }
    if (status != OME_OK)
    {
        return status;
    }
    const uint64_t room = (end + OME_JOURNAL_HEADER_SIZE - 1) / OME_JOURNAL_HEADER_SIZE * OME_JOURNAL_HEADER_SIZE;
    const uint64_t segment_size = making->header.segment_size > room ? making->header.segment_size : room;
    ome_journal_header_t header;
    ome_journal_header_set(&header, reader->config.kind, making->header.epoch, first_sequence, segment_size,
        reader->config.previous_checksum, making->header.configuration_hash);
    status = making_write_bytes(reader, file, path, &header, sizeof(header), 0);
    const int result = status == OME_OK ? file_system->sync_all(file_system->context, file) : 0;
    return result < 0 ? ome_journal_place_failed(reader, result, "fsync", path) : status;
}

ome_status_t ome_journal_making_write(ome_journal_making_t *making)
{
    ome_journal_reader_t *const reader = making->from.reader;
    const ome_file_system_t *const file_system = reader->config.file_system;
    char name[OME_JOURNAL_NAME_SIZE];
    char temporary[OME_PATH_SIZE];
    char path[OME_PATH_SIZE];
    ome_journal_name_temporary(name, reader->config.kind, OME_JOURNAL_TEMPORARY_NEW);
    ome_status_t status = ome_file_join(temporary, reader->directory, name);
    OME_ASSERT(status == OME_OK);
    ome_journal_directory_path(reader, path, reader->config.first_sequence);
    const int file = file_system->open(file_system->context, temporary, OME_FILE_CREATE);
    if (file < 0)
    {
        return ome_journal_place_failed(reader, file, "open", temporary);
    }
    status = making_fill(making, file, temporary);
    file_system->close(file_system->context, file);
    if (status != OME_OK)
    {
        return status;
    }
    const int result = file_system->rename(file_system->context, temporary, path);
    return result < 0 ? ome_journal_place_failed(reader, result, "rename", path) : ome_journal_directory_sync(reader);
}
