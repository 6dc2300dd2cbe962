#include "journal/ome_journal_repair.h"

#include "base/ome_assert.h"
#include "journal/ome_journal_recover.h"
#include "journal/ome_journal_writer.h"

#include <errno.h>
#include <stdio.h>

#define SET_ASIDE_COUNT_MAX 1000u /* names that are tried */

static ome_status_t failed(ome_journal_reader_t *reader, int64_t result, const char *call, const char *path)
{
    reader->status = ome_file_failed(&reader->error, result, call, path);
    return reader->status;
}

/* ---- segments of the directory ---- */

/* The segments of a range: which is the first, which the last, how many there are. */
typedef struct
{
    ome_journal_kind_t kind;
    uint64_t above; /* asked for: only segments that begin behind this sequence */
    uint64_t below; /* asked for: only segments that begin before this one */
    uint64_t first; /* the lowest; 0: there is none */
    uint64_t last; /* the highest; 0: there is none */
    uint64_t count;
} range_t;

static void visit_segment(void *visitor, const char *name)
{
    range_t *const range = visitor;
    const uint64_t sequence = ome_journal_name_sequence(range->kind, name);
    if (sequence <= range->above || sequence >= range->below)
    {
        return;
    }
    range->first = range->first == 0 || sequence < range->first ? sequence : range->first;
    range->last = sequence > range->last ? sequence : range->last;
    range->count++;
}

/* Finds the segments that begin between two sequences. A name of sequence UINT64_MAX is none that a journal comes to. */
static ome_status_t find_segments(ome_journal_reader_t *reader, uint64_t above, uint64_t below, range_t *range)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    *range = (range_t){.kind = reader->config.kind, .above = above, .below = below};
    const int result = file_system->list(file_system->context, reader->directory, visit_segment, range);
    return result < 0 ? failed(reader, result, "readdir", reader->directory) : OME_OK;
}

static void segment_path(const ome_journal_reader_t *reader, char *path, uint64_t first_sequence)
{
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name(name, reader->config.kind, first_sequence);
    const ome_status_t status = ome_file_join(path, reader->directory, name);
    OME_ASSERT(status == OME_OK); /* one was tried when the reader was opened */
}

/* Reads a segment's header. Gives whether it is one of this version that can be relied on. */
static ome_status_t read_header(ome_journal_reader_t *reader, const char *path, ome_journal_header_t *header, bool *is_valid)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    *is_valid = false;
    const int file = file_system->open(file_system->context, path, OME_FILE_READ);
    if (file == -ENOENT)
    {
        return OME_OK;
    }
    if (file < 0)
    {
        return failed(reader, file, "open", path);
    }
    const int64_t got = file_system->read(file_system->context, file, header, sizeof(*header), 0);
    file_system->close(file_system->context, file);
    *is_valid = got == sizeof(*header) && ome_journal_header_fault(header) == NULL && header->version == OME_JOURNAL_VERSION;
    return got < 0 ? failed(reader, got, "pread", path) : OME_OK;
}

/* Gives a free name for a segment that is set aside. */
static ome_status_t set_aside_path(ome_journal_reader_t *reader, const char *path, char *to)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    int result = 0;
    for (uint32_t number = 1; number <= SET_ASIDE_COUNT_MAX && result >= 0; number++)
    {
        char end[sizeof(OME_JOURNAL_NAME_SET_ASIDE) + 8] = OME_JOURNAL_NAME_SET_ASIDE;
        if (number > 1)
        {
            snprintf(end, sizeof(end), "%s-%u", OME_JOURNAL_NAME_SET_ASIDE, number);
        }
        const int length = snprintf(to, OME_PATH_SIZE, "%s%s", path, end);
        if (length < 0 || (size_t)length >= OME_PATH_SIZE)
        {
            return failed(reader, -ENAMETOOLONG, "open", path);
        }
        result = file_system->open(file_system->context, to, OME_FILE_READ);
        if (result >= 0)
        {
            file_system->close(file_system->context, result);
        }
    }
    return result == -ENOENT ? OME_OK : failed(reader, result < 0 ? result : -EEXIST, "open", to);
}

/* Renames a segment; the directory is to be synced. */
static ome_status_t set_aside(ome_journal_reader_t *reader, uint64_t first_sequence)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    char path[OME_PATH_SIZE];
    char to[OME_PATH_SIZE];
    segment_path(reader, path, first_sequence);
    const ome_status_t status = set_aside_path(reader, path, to);
    if (status != OME_OK)
    {
        return status;
    }
    const int result = file_system->rename(file_system->context, path, to);
    return result < 0 ? failed(reader, result, "rename", to) : OME_OK;
}

static ome_status_t sync_directory(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const int result = file_system->sync_directory(file_system->context, reader->directory);
    return result < 0 ? failed(reader, result, "fsync", reader->directory) : OME_OK;
}

/* ---- bytes of a segment ---- */

/* A part of a file, in the reader's window, whose own content is not needed any more. */
typedef struct
{
    ome_journal_reader_t *reader;
    const char *path;
    int file;
    uint64_t offset; /* of the part */
    size_t size_bytes; /* of the part; a part that is not full ends where the file does */
} part_t;

static ome_status_t open_part(part_t *part, ome_journal_reader_t *reader, const char *path)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    *part = (part_t){.reader = reader, .path = path, .offset = UINT64_MAX};
    part->file = file_system->open(file_system->context, path, OME_FILE_READ);
    return part->file < 0 ? failed(reader, part->file, "open", path) : OME_OK;
}

static void close_part(part_t *part)
{
    const ome_file_system_t *const file_system = part->reader->config.file_system;
    file_system->close(file_system->context, part->file);
}

/* Gives what the file has at an offset: at least a record, unless the file ends. */
static ome_status_t look(part_t *part, uint64_t offset, const uint8_t **bytes, size_t *available_bytes)
{
    ome_journal_reader_t *const reader = part->reader;
    const bool is_there =
        offset >= part->offset && offset - part->offset <= part->size_bytes &&
        (part->size_bytes - (offset - part->offset) >= OME_JOURNAL_RECORD_SIZE_MAX || part->size_bytes < reader->window_capacity_bytes);
    if (!is_there)
    {
        const ome_file_system_t *const file_system = reader->config.file_system;
        const int64_t got = file_system->read(file_system->context, part->file, reader->window, reader->window_capacity_bytes, offset);
        if (got < 0)
        {
            part->offset = UINT64_MAX;
            return failed(reader, got, "pread", part->path);
        }
        part->offset = offset;
        part->size_bytes = (size_t)got;
    }
    *bytes = reader->window + (offset - part->offset);
    *available_bytes = part->size_bytes - (size_t)(offset - part->offset);
    return OME_OK;
}

/* Finds the end of the last byte from an offset on that is not zero; the offset itself where there is none. */
static ome_status_t find_used_end(part_t *part, uint64_t offset, uint64_t *end)
{
    *end = offset;
    for (;;)
    {
        const uint8_t *bytes = NULL;
        size_t available_bytes = 0;
        const ome_status_t status = look(part, offset, &bytes, &available_bytes);
        if (status != OME_OK || available_bytes == 0)
        {
            return status;
        }
        for (size_t index = available_bytes; index > 0; index--)
        {
            if (bytes[index - 1] != 0)
            {
                *end = offset + index;
                break;
            }
        }
        offset += available_bytes;
    }
}

/* Finds the first valid record from an offset on, at any byte, whose sequence is `from` or higher, by no more than the file has room for; a seal counts as one. OME_OK;
 * OME_EMPTY: there is none up to `end`; OME_IO_ERROR. The record's data are in the window. */
static ome_status_t find_record(part_t *part, uint64_t *offset, uint64_t end, uint64_t from, ome_journal_record_t *record)
{
    for (; *offset + OME_JOURNAL_ENVELOPE_SIZE <= end; (*offset)++)
    {
        const uint8_t *bytes = NULL;
        size_t available_bytes = 0;
        const ome_status_t status = look(part, *offset, &bytes, &available_bytes);
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

static bool is_seal(const ome_journal_record_t *record)
{
    return (record->type & OME_JOURNAL_KIND_MAX) == OME_JOURNAL_KIND_SEAL;
}

/* ---- to cut ---- */

/* Whether the reader has stopped inside a segment. Otherwise it has stopped between two: one is missing, or its header is wrong, and the one before is complete. */
static bool is_inside(const ome_journal_reader_t *reader)
{
    char path[OME_PATH_SIZE];
    segment_path(reader, path, reader->segment_first_sequence);
    return reader->segment_count > 0 && strcmp(path, reader->report.path) == 0 && reader->report.offset >= OME_JOURNAL_HEADER_SIZE;
}

/* Segments that begin behind this sequence are those that go. */
static uint64_t last_kept(const ome_journal_reader_t *reader)
{
    return reader->segment_count > 0 ? reader->segment_first_sequence : reader->report.sequence_expected - 1;
}

/* Counts the records of a file from an offset and a sequence on. */
static ome_status_t count_records(ome_journal_reader_t *reader, const char *path, uint64_t offset, uint64_t from, ome_journal_loss_t *loss)
{
    part_t part;
    uint64_t end;
    ome_status_t status = open_part(&part, reader, path);
    if (status != OME_OK)
    {
        return status;
    }
    status = find_used_end(&part, offset, &end);
    ome_journal_record_t record;
    while (status == OME_OK && (status = find_record(&part, &offset, end + sizeof(uint32_t), from, &record)) == OME_OK)
    {
        if (!is_seal(&record))
        {
            loss->record_count++;
            loss->last_sequence = record.sequence > loss->last_sequence ? record.sequence : loss->last_sequence;
        }
        offset += OME_JOURNAL_ENVELOPE_SIZE + record.length;
    }
    close_part(&part);
    return status == OME_EMPTY ? OME_OK : status;
}

ome_status_t ome_journal_survey(ome_journal_reader_t *reader, ome_journal_loss_t *loss)
{
    *loss = (ome_journal_loss_t){0};
    if (reader->report.verdict != OME_JOURNAL_DAMAGED)
    {
        return OME_INVALID;
    }
    ome_status_t status = is_inside(reader)
                              ? count_records(reader, reader->report.path, reader->report.offset, reader->report.sequence_expected, loss)
                              : OME_OK;
    range_t range = {.first = last_kept(reader)};
    while (status == OME_OK && (status = find_segments(reader, range.first, UINT64_MAX, &range)) == OME_OK && range.first != 0)
    {
        char path[OME_PATH_SIZE];
        segment_path(reader, path, range.first);
        status = count_records(reader, path, OME_JOURNAL_HEADER_SIZE, range.first, loss);
        loss->segment_count++;
    }
    return status;
}

/* The names that set_aside gives, of segments that begin behind a sequence. */
typedef struct
{
    ome_journal_kind_t kind;
    uint64_t above;
    uint64_t epoch;
    ome_journal_reader_t *reader;
    ome_status_t status;
} epochs_t;

static void visit_set_aside(void *visitor, const char *name)
{
    epochs_t *const epochs = visitor;
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
        epochs->status = read_header(epochs->reader, path, &header, &is_valid);
    }
    epochs->epoch = is_valid && header.epoch > epochs->epoch ? header.epoch : epochs->epoch;
}

/* Leaves an empty segment of the highest epoch that was set aside, where that is higher than the reader's. */
static ome_status_t keep_epoch(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    epochs_t epochs = {.kind = reader->config.kind, .above = last_kept(reader), .reader = reader};
    const int result = file_system->list(file_system->context, reader->directory, visit_set_aside, &epochs);
    if (result < 0 || epochs.status != OME_OK)
    {
        return result < 0 ? failed(reader, result, "readdir", reader->directory) : epochs.status;
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
    const ome_status_t opened = ome_journal_writer_open(&writer, reader->window, reader->window_capacity_bytes, &config);
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
static ome_status_t end_segment(ome_journal_reader_t *reader)
{
    part_t part;
    ome_status_t status = open_part(&part, reader, reader->report.path);
    if (status != OME_OK)
    {
        return status;
    }
    status = find_used_end(&part, reader->report.offset, &reader->tail_end);
    close_part(&part);
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
    range_t range = {0};
    while (status == OME_OK && (status = find_segments(reader, last_kept(reader), UINT64_MAX, &range)) == OME_OK && range.last != 0)
    {
        status = set_aside(reader, range.last);
    }
    if (status == OME_OK)
    {
        status = sync_directory(reader);
    }
    if (status == OME_OK && is_inside(reader))
    {
        status = end_segment(reader);
    }
    return status == OME_OK ? keep_epoch(reader) : status;
}

/* ---- to begin ---- */

/* The segment that is made. */
typedef struct
{
    part_t from;
    uint64_t holding; /* first sequence of the segment that has the records; 0: none has */
    uint64_t offset; /* in it: where what is taken over begins, */
    uint64_t records_end; /* where its records end, */
    uint64_t end; /* and where what is taken over ends */
    uint64_t next_sequence; /* after its records */
    uint32_t checksum; /* chain checksum after its records */
    uint32_t seal_reason; /* ome_journal_seal_reason_t; 0: it gets no seal */
    ome_journal_header_t header;
} making_t;

static ome_status_t foreign(ome_journal_reader_t *reader)
{
    reader->report.reason = "the records behind the first sequence asked for are not those that the checksum goes on with";
    return OME_DAMAGED;
}

/* Whether all up to the first sequence can be read where it is. */
static bool is_readable(ome_journal_reader_t *reader)
{
    ome_journal_record_t record;
    const ome_status_t status = ome_journal_reader_next(reader, &record);
    return status == OME_OK || (reader->segment_count > 0 && reader->report.sequence_expected == reader->config.first_sequence &&
                                   reader->chain_checksum == reader->config.previous_checksum);
}

/* Follows the records that are taken over, to the seal or to where they end. */
static ome_status_t follow_records(making_t *making)
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
        const ome_status_t status = look(&making->from, making->records_end, &bytes, &available_bytes);
        if (status != OME_OK || !ome_journal_decode(bytes, available_bytes, &record) || record.sequence != making->next_sequence)
        {
            return status;
        }
        if (is_seal(&record))
        {
            ome_journal_seal_t seal = {0};
            memcpy(&seal, record.data, record.length < sizeof(seal) ? record.length : sizeof(seal));
            making->seal_reason = seal.reason;
            making->end = making->records_end;
            return seal.chain_checksum == making->checksum ? OME_OK : foreign(reader);
        }
        making->checksum = ome_journal_chain(making->checksum, record.checksum);
        making->next_sequence++;
        making->records_end += OME_JOURNAL_ENVELOPE_SIZE + record.length;
    }
}

/* Finds in the segment that should hold them the records from the first sequence on. Where there are none the new segment is empty. */
static ome_status_t find_records(making_t *making)
{
    uint64_t used_end = 0;
    ome_journal_record_t record;
    making->offset = OME_JOURNAL_HEADER_SIZE;
    ome_status_t status = find_used_end(&making->from, OME_JOURNAL_HEADER_SIZE, &used_end);
    if (status != OME_OK)
    {
        return status;
    }
    making->end = used_end + sizeof(uint32_t); /* a checksum may end with zeros */
    status = find_record(&making->from, &making->offset, making->end, making->from.reader->config.first_sequence, &record);
    if (status == OME_EMPTY)
    {
        making->end = making->offset;
        making->records_end = making->offset;
        return OME_OK;
    }
    return status == OME_OK ? follow_records(making) : status;
}

/* Where the segment's own seal is spoiled, the header of the next segment may prove that the records are complete. And the epoch must fit before it. */
static ome_status_t fit_before_next(making_t *making, bool has_header)
{
    ome_journal_reader_t *const reader = making->from.reader;
    char path[OME_PATH_SIZE];
    ome_journal_header_t next;
    bool has_next = false;
    segment_path(reader, path, making->next_sequence);
    const ome_status_t status =
        making->next_sequence > reader->config.first_sequence ? read_header(reader, path, &next, &has_next) : OME_OK;
    if (status != OME_OK || !has_next)
    {
        return status;
    }
    if (next.previous_checksum != making->checksum)
    {
        return foreign(reader);
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
static ome_status_t highest_epoch(ome_journal_reader_t *reader, uint64_t *epoch)
{
    range_t range = {0};
    ome_status_t status = OME_OK;
    *epoch = 1;
    while (status == OME_OK && (status = find_segments(reader, range.first, UINT64_MAX, &range)) == OME_OK && range.first != 0)
    {
        char path[OME_PATH_SIZE];
        ome_journal_header_t header;
        bool is_valid = false;
        segment_path(reader, path, range.first);
        status = read_header(reader, path, &header, &is_valid);
        *epoch = is_valid && header.epoch > *epoch ? header.epoch : *epoch;
    }
    return status;
}

/* Decides what the new segment is: everything but its bytes. */
static ome_status_t plan_segment(making_t *making, const char *path)
{
    ome_journal_reader_t *const reader = making->from.reader;
    bool has_header = false;
    uint64_t epoch = 0;
    ome_status_t status = highest_epoch(reader, &epoch);
    if (status == OME_OK && making->holding != 0)
    {
        status = read_header(reader, path, &making->header, &has_header);
    }
    if (status == OME_OK && making->holding != 0)
    {
        status = find_records(making);
    }
    if (!has_header)
    {
        making->header = (ome_journal_header_t){.epoch = epoch, .segment_size = OME_JOURNAL_SEGMENT_SIZE_MIN};
    }
    return status == OME_OK ? fit_before_next(making, has_header) : status;
}

static ome_status_t write_bytes(
    ome_journal_reader_t *reader, int file, const char *path, const void *bytes, size_t size_bytes, uint64_t offset)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const int result = file_system->write(file_system->context, file, bytes, size_bytes, offset);
    return result < 0 ? failed(reader, result, "pwrite", path) : OME_OK;
}

/* Takes the bytes over, as they are. */
static ome_status_t write_records(making_t *making, int file, const char *path, uint64_t *end)
{
    ome_status_t status = OME_OK;
    *end = OME_JOURNAL_HEADER_SIZE;
    for (uint64_t offset = making->offset; status == OME_OK && offset < making->end;)
    {
        const uint8_t *bytes = NULL;
        size_t size_bytes = 0;
        status = look(&making->from, offset, &bytes, &size_bytes);
        if (status != OME_OK || size_bytes == 0)
        {
            return status;
        }
        size_bytes = size_bytes < making->end - offset ? size_bytes : (size_t)(making->end - offset);
        status = write_bytes(making->from.reader, file, path, bytes, size_bytes, *end);
        offset += size_bytes;
        *end += size_bytes;
    }
    return status;
}

/* Fills the new file, all of it on disk when this returns OME_OK. */
static ome_status_t fill_segment(making_t *making, int file, const char *path)
{
    ome_journal_reader_t *const reader = making->from.reader;
    const ome_file_system_t *const file_system = reader->config.file_system;
    const uint64_t first_sequence = reader->config.first_sequence;
    uint64_t end = OME_JOURNAL_HEADER_SIZE;
    ome_status_t status = making->holding != 0 ? write_records(making, file, path, &end) : OME_OK;
    if (status == OME_OK && making->seal_reason != 0)
    {
        const ome_journal_seal_t seal = {.record_count = making->next_sequence - first_sequence,
            .last_sequence = making->next_sequence - 1,
            .chain_checksum = making->checksum,
            .reason = making->seal_reason};
        uint8_t bytes[OME_JOURNAL_SEAL_SIZE];
        ome_journal_seal_encode(bytes, &seal, OME_JOURNAL_TYPE_SYNCED);
        status = write_bytes(reader, file, path, bytes, sizeof(bytes), end);
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
    status = write_bytes(reader, file, path, &header, sizeof(header), 0);
    const int result = status == OME_OK ? file_system->sync_all(file_system->context, file) : 0;
    return result < 0 ? failed(reader, result, "fsync", path) : status;
}

/* Makes the new segment, which replaces one of its name at once; what that one has is known to be no more than what is taken over. */
static ome_status_t make_segment(making_t *making)
{
    ome_journal_reader_t *const reader = making->from.reader;
    const ome_file_system_t *const file_system = reader->config.file_system;
    char name[OME_JOURNAL_NAME_SIZE];
    char temporary[OME_PATH_SIZE];
    char path[OME_PATH_SIZE];
    ome_journal_name_temporary(name, reader->config.kind, OME_JOURNAL_TEMPORARY_NEW);
    ome_status_t status = ome_file_join(temporary, reader->directory, name);
    OME_ASSERT(status == OME_OK);
    segment_path(reader, path, reader->config.first_sequence);
    const int file = file_system->open(file_system->context, temporary, OME_FILE_CREATE);
    if (file < 0)
    {
        return failed(reader, file, "open", temporary);
    }
    status = fill_segment(making, file, temporary);
    file_system->close(file_system->context, file);
    if (status != OME_OK)
    {
        return status;
    }
    const int result = file_system->rename(file_system->context, temporary, path);
    return result < 0 ? failed(reader, result, "rename", path) : sync_directory(reader);
}

static ome_status_t make_beginning(ome_journal_reader_t *reader)
{
    const uint64_t first_sequence = reader->config.first_sequence;
    making_t making = {.from.reader = reader, .next_sequence = first_sequence, .checksum = reader->config.previous_checksum};
    range_t range;
    ome_status_t status = find_segments(reader, 0, first_sequence + 1, &range);
    if (status != OME_OK)
    {
        return status;
    }
    making.holding = range.last;
    char path[OME_PATH_SIZE];
    segment_path(reader, path, making.holding);
    if (making.holding != 0)
    {
        status = open_part(&making.from, reader, path);
        if (status != OME_OK)
        {
            return status;
        }
    }
    status = plan_segment(&making, path);
    status = status == OME_OK ? make_segment(&making) : status;
    if (making.holding != 0)
    {
        close_part(&making.from);
    }
    return status;
}

ome_status_t ome_journal_begin(ome_journal_reader_t *reader)
{
    if (!reader->config.has_previous_checksum || reader->status != OME_OK || reader->segment_count > 0)
    {
        return OME_INVALID;
    }
    const bool is_there = is_readable(reader);
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
    ome_status_t status = is_there ? OME_OK : make_beginning(reader);
    range_t range = {0};
    while (status == OME_OK && (status = find_segments(reader, 0, first, &range)) == OME_OK && range.first != 0)
    {
        status = set_aside(reader, range.first);
    }
    return status == OME_OK ? sync_directory(reader) : status;
}
