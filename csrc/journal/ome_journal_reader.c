#include "journal/ome_journal_reader.h"

#include "base/ome_assert.h"

#include <stdio.h>

#define WINDOW_SIZE ((size_t)1 << 18) /* stays in a core's cache */
static_assert(WINDOW_SIZE >= OME_JOURNAL_RECORD_SIZE_MAX, "any record fits in the window");
static_assert(WINDOW_SIZE >= OME_JOURNAL_HEADER_SIZE, "a header fits in the window");

/* What segments a directory holds, by their first sequences; 0: none. */
typedef struct
{
    ome_journal_kind_t kind;
    uint64_t after; /* asked for */
    uint64_t wanted; /* asked for */
    uint64_t next; /* the lowest above `after` */
    uint64_t holding; /* the highest that is not above `wanted`: the segment that holds that sequence, if any does */
} listing_t;

static ome_status_t end_here(ome_journal_reader_t *reader, ome_status_t status, ome_journal_verdict_t verdict, const char *reason)
{
    reader->status = status;
    reader->report.verdict = verdict;
    reader->report.reason = reason;
    return status;
}

static ome_status_t damaged(ome_journal_reader_t *reader, const char *reason)
{
    return end_here(reader, OME_DAMAGED, OME_JOURNAL_DAMAGED, reason);
}

static ome_status_t absent(ome_journal_reader_t *reader, const char *reason)
{
    return end_here(reader, OME_NOT_FOUND, OME_JOURNAL_ABSENT, reason);
}

static ome_status_t failed(ome_journal_reader_t *reader, int64_t result, const char *call, const char *path)
{
    reader->status = ome_file_failed(&reader->error, result, call, path);
    return reader->status;
}

static void forget_window(ome_journal_reader_t *reader)
{
    reader->window_offset = UINT64_MAX;
    reader->window_size_bytes = 0;
}

/* True when the window shows `wanted_bytes` at `offset`, or all that the file has there: a window that is not full ends where the file does. */
static bool is_in_window(const ome_journal_reader_t *reader, uint64_t offset, size_t wanted_bytes)
{
    if (offset < reader->window_offset || offset - reader->window_offset > reader->window_size_bytes)
    {
        return false;
    }
    const size_t shown_bytes = reader->window_size_bytes - (size_t)(offset - reader->window_offset);
    return wanted_bytes <= shown_bytes || reader->window_size_bytes < reader->window_capacity_bytes;
}

/* Gives what the file has at `offset`: `available_bytes` of it, `wanted_bytes` or more unless the file ends. */
static ome_status_t look(ome_journal_reader_t *reader, uint64_t offset, size_t wanted_bytes, const uint8_t **bytes, size_t *available_bytes)
{
    if (!is_in_window(reader, offset, wanted_bytes))
    {
        const ome_file_system_t *const file_system = reader->config.file_system;
        forget_window(reader);
        const int64_t size = file_system->read(file_system->context, reader->file, reader->window, reader->window_capacity_bytes, offset);
        if (size < 0)
        {
            return failed(reader, size, "pread", reader->report.path);
        }
        reader->window_offset = offset;
        reader->window_size_bytes = (size_t)size;
    }
    *bytes = reader->window + (offset - reader->window_offset);
    *available_bytes = reader->window_size_bytes - (size_t)(offset - reader->window_offset);
    return OME_OK;
}

/* Gives the record at the reader's offset. Returns OME_OK; OME_EMPTY (no valid record is there); OME_IO_ERROR. */
static ome_status_t read_record(ome_journal_reader_t *reader, ome_journal_record_t *record)
{
    const uint8_t *bytes = NULL;
    size_t available_bytes = 0;
    const ome_status_t status = look(reader, reader->report.offset, OME_JOURNAL_RECORD_SIZE_MAX, &bytes, &available_bytes);
    if (status != OME_OK)
    {
        return status;
    }
    return ome_journal_decode(bytes, available_bytes, record) ? OME_OK : OME_EMPTY;
}

/* Checks a seal, the reader being behind it. Returns OME_EMPTY: no record is left in the segment; or OME_DAMAGED. */
static ome_status_t take_seal(ome_journal_reader_t *reader, const ome_journal_record_t *record)
{
    ome_journal_seal_t seal = {0};
    bool is_right = record->length == 0 && record->type == OME_JOURNAL_TYPE_SYNCED;
    if (reader->version > 1)
    {
        if (record->length == sizeof(seal))
        {
            memcpy(&seal, record->data, sizeof(seal));
        }
        is_right = seal.record_count == record->sequence - reader->segment_first_sequence && seal.last_sequence == record->sequence - 1 &&
                   seal.chain_checksum == reader->chain_checksum && seal.reason >= OME_JOURNAL_SEAL_ROTATION &&
                   seal.reason <= OME_JOURNAL_SEAL_RECOVERY;
    }
    if (!is_right)
    {
        reader->report.offset -= OME_JOURNAL_ENVELOPE_SIZE + record->length;
        return damaged(reader, "the seal does not fit the records before it");
    }
    reader->is_sealed = true;
    reader->seal_reason = seal.reason;
    return OME_EMPTY;
}

/* Holds the chain checksum against the one that was given, when the reader has come to the first record to be given. */
static ome_status_t check_beginning(ome_journal_reader_t *reader)
{
    const ome_journal_reader_config_t *const config = &reader->config;
    const bool is_due = config->has_previous_checksum && reader->report.sequence_expected == config->first_sequence;
    return !is_due || reader->chain_checksum == config->previous_checksum
               ? OME_OK
               : damaged(reader, "the checksum of all records before the first one asked for is not the one that was given");
}

static bool is_behind_end(const ome_journal_reader_t *reader, const ome_journal_record_t *record)
{
    const bool is_seal = (record->type & OME_JOURNAL_KIND_MAX) == OME_JOURNAL_KIND_SEAL;
    return reader->config.last_sequence != 0 && record->sequence > reader->config.last_sequence && !is_seal;
}

/* Gives the next record and moves behind it; takes a seal on the way. Returns as read_record, OME_EMPTY also for another sequence; or
 * OME_DAMAGED. */
static ome_status_t take_record(ome_journal_reader_t *reader, ome_journal_record_t *record)
{
    if (reader->file < 0 || reader->is_sealed)
    {
        return OME_EMPTY;
    }
    const ome_status_t status = read_record(reader, record);
    if (status != OME_OK)
    {
        return status;
    }
    if (record->sequence != reader->report.sequence_expected)
    {
        return OME_EMPTY;
    }
    if (is_behind_end(reader, record))
    {
        reader->report.sequence_found = record->sequence;
        reader->report.offset_found = reader->report.offset;
        return damaged(reader, "there is a record behind the end that was given");
    }
    if (record->type & OME_JOURNAL_TYPE_SYNCED)
    {
        reader->synced_offset = reader->report.offset;
    }
    reader->report.offset += OME_JOURNAL_ENVELOPE_SIZE + record->length;
    if ((record->type & OME_JOURNAL_KIND_MAX) == OME_JOURNAL_KIND_SEAL)
    {
        return take_seal(reader, record);
    }
    record->type &= OME_JOURNAL_KIND_MAX;
    reader->last_sequence = record->sequence;
    reader->report.sequence_expected++;
    reader->record_checksum = record->checksum;
    reader->chain_checksum = ome_journal_chain(reader->chain_checksum, record->checksum);
    return check_beginning(reader);
}

static void visit_name(void *visitor, const char *name)
{
    listing_t *const listing = visitor;
    const uint64_t sequence = ome_journal_name_sequence(listing->kind, name);
    if (sequence > listing->after && (listing->next == 0 || sequence < listing->next))
    {
        listing->next = sequence;
    }
    if (sequence <= listing->wanted && sequence > listing->holding)
    {
        listing->holding = sequence;
    }
}

/* Version 1 ends with previous_checksum. */
static bool is_unused_zero(const ome_journal_header_t *header)
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
static ome_status_t check_continuation(ome_journal_reader_t *reader, const ome_journal_header_t *header)
{
    if (header->version < reader->before.version)
    {
        return damaged(reader, "the format version is older than that of the segment before");
    }
    if (header->epoch < reader->before.epoch || header->epoch == 0)
    {
        return damaged(reader, "the epoch is lower than that of the segment before");
    }
    /* In version 1 a segment that was full has no seal; only the seal of a full one lets the same run go on. */
    if (header->epoch == reader->before.epoch && header->version > 1 && reader->before.seal_reason != OME_JOURNAL_SEAL_ROTATION)
    {
        return damaged(reader, "the epoch is that of the segment before, which its writer had ended for good");
    }
    /* A journal whose beginning was removed starts with a checksum that nothing is left to compare with. */
    if (header->previous_checksum != reader->chain_checksum && (reader->segment_count > 0 || header->first_sequence == 1))
    {
        return damaged(reader, "the checksum of the segments before is not the one in the header");
    }
    return OME_OK;
}

static ome_status_t check_header(ome_journal_reader_t *reader, const ome_journal_header_t *header, uint64_t file_size_bytes)
{
    const char *const fault = ome_journal_header_fault(header);
    if (fault != NULL)
    {
        return damaged(reader, fault);
    }
    if (header->version < OME_JOURNAL_VERSION_MIN || header->version > OME_JOURNAL_VERSION)
    {
        return end_here(reader, OME_UNSUPPORTED, OME_JOURNAL_UNSUPPORTED, "the segment's format version is not one that this build reads");
    }
    if (header->header_size != OME_JOURNAL_HEADER_SIZE || file_size_bytes > header->segment_size)
    {
        return damaged(reader, "the segment is longer than its header says, or its header is of another length");
    }
    if (!is_unused_zero(header))
    {
        return damaged(reader, "what the format version does not use in the header is not zero");
    }
    if ((header->version == 1 ? OME_JOURNAL_COMMANDS : header->kind) != (uint32_t)reader->config.kind)
    {
        return damaged(reader, "the records of the segment are of another kind than its name says");
    }
    if (header->first_sequence != reader->report.sequence_expected)
    {
        reader->report.sequence_found = header->first_sequence;
        return damaged(reader, "the first sequence in the header is not the next one");
    }
    return check_continuation(reader, header);
}

/* Opens the segment that begins with the next sequence. */
static ome_status_t open_segment(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_reader_close(reader);
    ome_journal_name(name, reader->config.kind, reader->report.sequence_expected);
    const ome_status_t joined = ome_file_join(reader->report.path, reader->directory, name);
    OME_ASSERT(joined == OME_OK);
    reader->file = file_system->open(file_system->context, reader->report.path, OME_FILE_READ);
    if (reader->file < 0)
    {
        return failed(reader, reader->file, "open", reader->report.path);
    }
    const int64_t file_size = file_system->size(file_system->context, reader->file);
    if (file_size < 0)
    {
        return failed(reader, file_size, "fstat", reader->report.path);
    }
    reader->report.offset = 0;
    forget_window(reader);
    const uint8_t *bytes = NULL;
    size_t available_bytes = 0;
    ome_status_t status = look(reader, 0, OME_JOURNAL_HEADER_SIZE, &bytes, &available_bytes);
    if (status != OME_OK)
    {
        return status;
    }
    if (available_bytes < OME_JOURNAL_HEADER_SIZE)
    {
        return damaged(reader, "the segment ends inside its header");
    }
    ome_journal_header_t header;
    memcpy(&header, bytes, sizeof(header));
    status = check_header(reader, &header, (uint64_t)file_size);
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
    return check_beginning(reader);
}

/* The journal ends here, unless it was to be read from further on. */
static ome_status_t end_journal(ome_journal_reader_t *reader, ome_journal_verdict_t verdict, const char *reason)
{
    if (reader->report.sequence_expected < reader->config.first_sequence)
    {
        return absent(reader, "the journal ends before the sequence asked for");
    }
    return end_here(reader, OME_EMPTY, verdict, reason);
}

/* Finds the end of the last byte at or after the reader's offset that is not zero; the offset itself when there is none. */
static ome_status_t find_tail_end(ome_journal_reader_t *reader)
{
    uint64_t offset = reader->report.offset;
    reader->tail_end = offset;
    for (;;)
    {
        const uint8_t *bytes;
        size_t available_bytes;
        const ome_status_t status = look(reader, offset, 1, &bytes, &available_bytes);
        if (status != OME_OK || available_bytes == 0)
        {
            return status;
        }
        size_t end = available_bytes;
        uint64_t word = 0;
        while (end >= sizeof(word) && (memcpy(&word, bytes + end - sizeof(word), sizeof(word)), word == 0))
        {
            end -= sizeof(word);
        }
        while (end > 0 && bytes[end - 1] == 0)
        {
            end--;
        }
        reader->tail_end = end > 0 ? offset + end : reader->tail_end;
        offset += available_bytes;
    }
}

/* Looks for a synced record behind the reader's offset, at any byte. Returns OME_OK (it is in the report); OME_EMPTY; OME_IO_ERROR. */
static ome_status_t find_synced_record(ome_journal_reader_t *reader)
{
    const uint64_t expected = reader->report.sequence_expected;
    const uint64_t tail_size = reader->tail_end - reader->report.offset;
    for (uint64_t offset = reader->report.offset + 1; offset < reader->tail_end; offset++)
    {
        const uint8_t *bytes;
        size_t available_bytes;
        ome_journal_record_t record;
        const ome_status_t status = look(reader, offset, OME_JOURNAL_RECORD_SIZE_MAX, &bytes, &available_bytes);
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

/* Decides about the bytes from the reader's offset to the end of a segment; `is_last` when no other follows it. Returns OME_OK when they are
 * zeros, OME_EMPTY when they are a torn tail. */
static ome_status_t judge_tail(ome_journal_reader_t *reader, bool is_last)
{
    ome_status_t status = find_tail_end(reader);
    if (status != OME_OK || reader->tail_end == reader->report.offset)
    {
        return status;
    }
    ome_journal_record_t record;
    status = read_record(reader, &record);
    if (status == OME_IO_ERROR)
    {
        return status;
    }
    if (reader->is_sealed)
    {
        return damaged(reader, "bytes that are not zero follow the seal");
    }
    if (status == OME_OK)
    {
        reader->report.sequence_found = record.sequence;
        reader->report.offset_found = reader->report.offset;
        return damaged(reader, "the record's sequence is not the next one");
    }
    if (!is_last)
    {
        return damaged(reader, "bytes that are not a record are followed by another segment");
    }
    status = find_synced_record(reader);
    if (status == OME_OK)
    {
        return damaged(reader, "bytes that are not a record are followed by a record of a later group");
    }
    return status == OME_EMPTY
               ? end_journal(reader, OME_JOURNAL_TORN, "bytes that are not a record follow the last one; nothing was acknowledged after it")
               : status;
}

/* Opens the segment to begin with: the one that holds the first record to be given. Returns OME_OK; OME_EMPTY (there is no segment). */
static ome_status_t begin(ome_journal_reader_t *reader, const listing_t *listing)
{
    if (listing->holding != 0)
    {
        reader->report.sequence_expected = listing->holding;
        reader->last_sequence = listing->holding - 1;
        return open_segment(reader);
    }
    if (listing->next != 0)
    {
        snprintf(reader->report.path, sizeof(reader->report.path), "%s", reader->directory);
        reader->report.sequence_found = listing->next;
        return absent(reader, "the journal begins behind the sequence asked for");
    }
    if (reader->config.is_live)
    {
        return OME_EMPTY;
    }
    reader->report.sequence_expected = 1;
    return end_journal(reader, OME_JOURNAL_CLEAN, NULL);
}

/* Moves on from a segment whose records end here to the one that begins with the next sequence. */
static ome_status_t open_next(ome_journal_reader_t *reader)
{
    if (reader->file >= 0)
    {
        if (reader->version > 1 && !reader->is_sealed)
        {
            return damaged(reader, "the segment has no seal and is followed by another segment");
        }
        reader->before = (ome_journal_ending_t){.epoch = reader->epoch, .version = reader->version, .seal_reason = reader->seal_reason};
    }
    return open_segment(reader);
}

/* The last segment of a live journal has no more records. */
static void wait_here(ome_journal_reader_t *reader)
{
    if (reader->file >= 0 && reader->segment_first_sequence == reader->report.sequence_expected)
    {
        /* It is without records, and the next run of the server replaces the file. Open it by name again at the next call. */
        ome_journal_reader_close(reader);
        reader->segment_count--;
    }
}

/* No next record is at the reader's offset: finds out what that means. Returns OME_OK when the reader may look again. */
static ome_status_t at_end(ome_journal_reader_t *reader, ome_journal_record_t *record, bool *has_record)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const bool has_begun = reader->file >= 0 || reader->segment_count > 0;
    const uint64_t expected = reader->report.sequence_expected;
    listing_t listing = {.kind = reader->config.kind, .wanted = reader->config.first_sequence};
    if (has_begun)
    {
        listing.after = reader->file >= 0 ? reader->segment_first_sequence : expected - 1; /* without a file: this one, by name again */
    }
    *has_record = false;
    const int result = file_system->list(file_system->context, reader->directory, visit_name, &listing);
    if (result < 0)
    {
        return failed(reader, result, "readdir", reader->directory);
    }
    if (!has_begun)
    {
        return begin(reader, &listing);
    }
    /* A server may have written more since the window was read: look again, now that the directory is known. What it holds of later segments
     * was made after this one was complete. */
    forget_window(reader);
    ome_status_t status = take_record(reader, record);
    *has_record = status == OME_OK;
    if (status != OME_EMPTY)
    {
        return status;
    }
    const bool is_last = listing.next == 0;
    if (is_last && reader->config.is_live)
    {
        wait_here(reader);
        return OME_EMPTY;
    }
    status = reader->file >= 0 ? judge_tail(reader, is_last) : OME_OK;
    if (status != OME_OK)
    {
        return status;
    }
    if (is_last)
    {
        return end_journal(reader, OME_JOURNAL_CLEAN, NULL);
    }
    if (listing.next == expected)
    {
        return open_next(reader);
    }
    snprintf(reader->report.path, sizeof(reader->report.path), "%s", reader->directory);
    return damaged(reader, "the segment that begins with the next sequence is missing, or there is one that does not belong here");
}

size_t ome_journal_reader_size_bytes(void)
{
    return WINDOW_SIZE;
}

ome_status_t ome_journal_reader_open(
    ome_journal_reader_t *reader, void *memory, size_t size_bytes, const ome_journal_reader_config_t *config)
{
    memset(reader, 0, sizeof(*reader));
    reader->file = -1;
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name(name, config->kind, config->first_sequence);
    if (!ome_journal_kind_is_known(config->kind) || config->first_sequence == 0 ||
        ome_file_join(reader->report.path, config->directory, name) != OME_OK)
    {
        return OME_INVALID;
    }
    if (size_bytes < WINDOW_SIZE)
    {
        return OME_NO_MEMORY;
    }
    reader->config = *config;
    reader->window = memory;
    reader->window_capacity_bytes = WINDOW_SIZE;
    forget_window(reader);
    snprintf(reader->directory, sizeof(reader->directory), "%s", config->directory);
    reader->config.directory = reader->directory;
    reader->report.path[0] = '\0';
    reader->report.sequence_expected = config->first_sequence;
    reader->last_sequence = config->first_sequence - 1;
    return OME_OK;
}

ome_status_t ome_journal_reader_next(ome_journal_reader_t *reader, ome_journal_record_t *record)
{
    if (reader->status != OME_OK)
    {
        return reader->status;
    }
    for (;;)
    {
        ome_status_t status = take_record(reader, record);
        bool has_record = status == OME_OK;
        if (status == OME_EMPTY)
        {
            status = at_end(reader, record, &has_record);
        }
        if (status != OME_OK || (has_record && record->sequence >= reader->config.first_sequence))
        {
            return status;
        }
    }
}

uint64_t ome_journal_reader_next_commands(ome_journal_reader_t *reader, void *slots, uint64_t count_max)
{
    if (reader->status != OME_OK || reader->file < 0 || reader->is_sealed || reader->config.last_sequence != 0 ||
        reader->report.sequence_expected < reader->config.first_sequence || !is_in_window(reader, reader->report.offset, 1))
    {
        return 0;
    }
    const uint64_t first_sequence = reader->report.sequence_expected;
    const size_t begin = (size_t)(reader->report.offset - reader->window_offset);
    const size_t room_count = (reader->window_size_bytes - begin) / OME_JOURNAL_COMMAND_SIZE;
    const uint8_t *bytes = reader->window + begin;
    uint8_t *slot = slots;
    uint32_t chain = reader->chain_checksum;
    uint32_t checksum = reader->record_checksum;
    uint64_t count = 0;
    while (count < count_max && count < room_count)
    {
        ome_journal_record_t record;
        if (!ome_journal_decode(bytes, OME_JOURNAL_COMMAND_SIZE, &record) || record.length != OME_BODY_SIZE ||
            record.sequence != first_sequence + count || (record.type & OME_JOURNAL_KIND_MAX) == OME_JOURNAL_KIND_SEAL)
        {
            break;
        }
        if (record.type & OME_JOURNAL_TYPE_SYNCED)
        {
            reader->synced_offset = reader->report.offset + count * OME_JOURNAL_COMMAND_SIZE;
        }
        memcpy(slot, &record.sequence, sizeof(record.sequence));
        memcpy(slot + sizeof(record.sequence), record.data, OME_BODY_SIZE);
        checksum = record.checksum;
        chain = ome_journal_chain(chain, checksum);
        bytes += OME_JOURNAL_COMMAND_SIZE;
        slot += OME_RECORD_SIZE;
        count++;
    }
    reader->chain_checksum = chain;
    reader->record_checksum = checksum;
    reader->last_sequence += count;
    reader->report.sequence_expected += count;
    reader->report.offset += count * OME_JOURNAL_COMMAND_SIZE;
    return count;
}

void ome_journal_reader_close(ome_journal_reader_t *reader)
{
    if (reader->file >= 0)
    {
        reader->config.file_system->close(reader->config.file_system->context, reader->file);
        reader->file = -1;
    }
}
