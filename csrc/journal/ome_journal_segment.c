#include "journal/ome_journal_segment.h"

#include "base/ome_assert.h"

/* Version 1 ends with previous_checksum. */
static bool segment_is_unused_zero(const ome_journal_header_t *header)
{
    const uint8_t *const bytes = (const uint8_t *)header;
    size_t offset = header->version == 1 ? offsetof(ome_journal_header_t, kind) : offsetof(ome_journal_header_t, reserved);
    while (offset < offsetof(ome_journal_header_t, checksum) && bytes[offset] == 0)
    {
        offset++;
    }
    return offset == offsetof(ome_journal_header_t, checksum);
}

/* The header goes on from the segment before. */
static ome_status_t segment_check_continuation(ome_journal_reader_t *reader, const ome_journal_header_t *header)
{
    if (header->version < reader->before.version)
    {
        return ome_journal_place_damaged(reader, "the format version is older than that of the segment before");
    }
    if (header->epoch < reader->before.epoch || header->epoch == 0)
    {
        return ome_journal_place_damaged(reader, "the epoch is lower than that of the segment before");
    }
    /* In version 1 a segment that was full has no seal; only the seal of a full one lets the same run go on. */
    if (header->epoch == reader->before.epoch && header->version > 1 && reader->before.seal_reason != OME_JOURNAL_SEAL_ROTATION)
    {
        return ome_journal_place_damaged(reader, "the epoch is that of the segment before, which its writer had ended for good");
    }
    /* A journal whose beginning was removed starts with a checksum that nothing is left to compare with. */
    if (header->previous_checksum != reader->chain_checksum && (reader->segment_count > 0 || header->first_sequence == 1))
    {
        return ome_journal_place_damaged(reader, "the checksum of the segments before is not the one in the header");
    }
    return OME_OK;
}

static ome_status_t segment_check_header(ome_journal_reader_t *reader, const ome_journal_header_t *header, uint64_t file_size_bytes)
{
    const char *const fault = ome_journal_header_fault(header);
    if (fault != NULL)
    {
        return ome_journal_place_damaged(reader, fault);
    }
    if (header->version < OME_JOURNAL_VERSION_MIN || header->version > OME_JOURNAL_VERSION)
    {
        return ome_journal_place_end(
            reader, OME_UNSUPPORTED, OME_JOURNAL_UNSUPPORTED, "the segment's format version is not one that this build reads");
    }
    if (header->header_size != OME_JOURNAL_HEADER_SIZE || file_size_bytes > header->segment_size)
    {
        return ome_journal_place_damaged(reader, "the segment is longer than its header says, or its header is of another length");
    }
    if (!segment_is_unused_zero(header))
    {
        return ome_journal_place_damaged(reader, "what the format version does not use in the header is not zero");
    }
    if ((header->version == 1 ? OME_JOURNAL_COMMANDS : header->kind) != (uint32_t)reader->config.kind)
    {
        return ome_journal_place_damaged(reader, "the records of the segment are of another kind than its name says");
    }
    if (header->first_sequence != reader->report.sequence_expected)
    {
        reader->report.sequence_found = header->first_sequence;
        return ome_journal_place_damaged(reader, "the first sequence in the header is not the next one");
    }
    return segment_check_continuation(reader, header);
}

ome_status_t ome_journal_segment_open(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_segment_close(reader);
    ome_journal_name(name, reader->config.kind, reader->report.sequence_expected);
    const ome_status_t joined = ome_file_join(reader->report.path, reader->directory, name);
    OME_ASSERT(joined == OME_OK);
    reader->file = file_system->open(file_system->context, reader->report.path, OME_FILE_READ);
    if (reader->file < 0)
    {
        return ome_journal_place_failed(reader, reader->file, "open", reader->report.path);
    }
    const int64_t file_size = file_system->size(file_system->context, reader->file);
    if (file_size < 0)
    {
        return ome_journal_place_failed(reader, file_size, "fstat", reader->report.path);
    }
    reader->report.offset = 0;
    ome_journal_window_forget(&reader->window);
    const uint8_t *bytes = NULL;
    size_t available_bytes = 0;
    ome_status_t status = ome_journal_place_look(reader, 0, OME_JOURNAL_HEADER_SIZE, &bytes, &available_bytes);
    if (status != OME_OK)
    {
        return status;
    }
    if (available_bytes < OME_JOURNAL_HEADER_SIZE)
    {
        return ome_journal_place_damaged(reader, "the segment ends inside its header");
    }
    ome_journal_header_t header;
    memcpy(&header, bytes, sizeof(header));
    status = segment_check_header(reader, &header, (uint64_t)file_size);
    if (status != OME_OK)
    {
        return status;
    }
    reader->epoch = header.epoch;
    reader->version = header.version;
    reader->configuration_hash = header.configuration_hash;
    reader->seal_reason = 0;
    reader->chain_checksum = header.previous_checksum;
    reader->segment_first_sequence = header.first_sequence;
    reader->is_sealed = false;
    reader->segment_count++;
    reader->synced_offset = OME_JOURNAL_HEADER_SIZE;
    reader->report.offset = OME_JOURNAL_HEADER_SIZE;
    return ome_journal_place_check_beginning(reader);
}

void ome_journal_segment_close(ome_journal_reader_t *reader)
{
    if (reader->file >= 0)
    {
        reader->config.file_system->close(reader->config.file_system->context, reader->file);
        reader->file = -1;
    }
}
