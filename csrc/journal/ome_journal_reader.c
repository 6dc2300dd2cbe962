#include "journal/ome_journal_reader.h"

#include "journal/ome_journal_segment.h"
#include "journal/ome_journal_tail.h"

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
} reader_listing_t;

/* Checks a seal, the reader being behind it. Returns OME_EMPTY: no record is left in the segment; or OME_DAMAGED. */
static ome_status_t reader_take_seal(ome_journal_reader_t *reader, const ome_journal_record_t *record)
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
        return ome_journal_place_damaged(reader, "the seal does not fit the records before it");
    }
    reader->is_sealed = true;
    reader->seal_reason = seal.reason;
    return OME_EMPTY;
}

static bool reader_is_behind_end(const ome_journal_reader_t *reader, const ome_journal_record_t *record)
{
    return reader->config.last_sequence != 0 && record->sequence > reader->config.last_sequence && !ome_journal_is_seal(record);
}

/* Gives the next record and moves behind it; takes a seal on the way. Returns as ome_journal_place_record, OME_EMPTY also for another sequence; or
 * OME_DAMAGED. */
static ome_status_t reader_take_record(ome_journal_reader_t *reader, ome_journal_record_t *record)
{
    if (reader->file < 0 || reader->is_sealed)
    {
        return OME_EMPTY;
    }
    const ome_status_t status = ome_journal_place_record(reader, record);
    if (status != OME_OK)
    {
        return status;
    }
    uint64_t end;
    if (record->sequence != reader->report.sequence_expected ||
        (ome_journal_begins_several(record) && !ome_journal_place_is_whole(reader, &end)))
    {
        return OME_EMPTY;
    }
    if (reader_is_behind_end(reader, record))
    {
        reader->report.sequence_found = record->sequence;
        reader->report.offset_found = reader->report.offset;
        return ome_journal_place_damaged(reader, "there is a record behind the end that was given");
    }
    if (record->type & OME_JOURNAL_TYPE_SYNCED)
    {
        reader->synced_offset = reader->report.offset;
    }
    reader->report.offset += OME_JOURNAL_ENVELOPE_SIZE + record->length;
    if (ome_journal_is_seal(record))
    {
        return reader_take_seal(reader, record);
    }
    record->type &= OME_JOURNAL_KIND_MAX;
    reader->last_sequence = record->sequence;
    reader->report.sequence_expected++;
    reader->record_checksum = record->checksum;
    reader->chain_checksum = ome_journal_chain(reader->chain_checksum, record->checksum);
    return ome_journal_place_check_beginning(reader);
}

static void reader_visit_name(void *visitor, const char *name)
{
    reader_listing_t *const listing = visitor;
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

/* Opens the segment to begin with: the one that holds the first record to be given. Returns OME_OK; OME_EMPTY (there is no segment). */
static ome_status_t reader_begin(ome_journal_reader_t *reader, const reader_listing_t *listing)
{
    if (listing->holding != 0)
    {
        reader->report.sequence_expected = listing->holding;
        reader->last_sequence = listing->holding - 1;
        return ome_journal_segment_open(reader);
    }
    if (listing->next != 0)
    {
        snprintf(reader->report.path, sizeof(reader->report.path), "%s", reader->directory);
        reader->report.sequence_found = listing->next;
        return ome_journal_place_absent(reader, "the journal begins behind the sequence asked for");
    }
    if (reader->config.is_live)
    {
        return OME_EMPTY;
    }
    reader->report.sequence_expected = 1;
    return ome_journal_place_end_journal(reader, OME_JOURNAL_CLEAN, NULL);
}

/* Moves on from a segment whose records end here to the one that begins with the next sequence. */
static ome_status_t reader_open_next(ome_journal_reader_t *reader)
{
    if (reader->file >= 0)
    {
        if (reader->version > 1 && !reader->is_sealed)
        {
            return ome_journal_place_damaged(reader, "the segment has no seal and is followed by another segment");
        }
        reader->before = (ome_journal_ending_t){.epoch = reader->epoch, .version = reader->version, .seal_reason = reader->seal_reason};
    }
    return ome_journal_segment_open(reader);
}

/* The last segment of a live journal has no more records. */
static void reader_wait_here(ome_journal_reader_t *reader)
{
    if (reader->file >= 0 && reader->segment_first_sequence == reader->report.sequence_expected)
    {
        /* It is without records, and the next run of the server replaces the file. Open it by name again at the next call. */
        ome_journal_segment_close(reader);
        reader->segment_count--;
    }
}

/* No next record is at the reader's offset: finds out what that means. Returns OME_OK when the reader may look again. */
static ome_status_t reader_at_end(ome_journal_reader_t *reader, ome_journal_record_t *record, bool *has_record)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const bool has_begun = reader->file >= 0 || reader->segment_count > 0;
    const uint64_t expected = reader->report.sequence_expected;
    reader_listing_t listing = {.kind = reader->config.kind, .wanted = reader->config.first_sequence};
    if (has_begun)
    {
        listing.after = reader->file >= 0 ? reader->segment_first_sequence : expected - 1; /* without a file: this one, by name again */
    }
    *has_record = false;
    const int result = file_system->list(file_system->context, reader->directory, reader_visit_name, &listing);
    if (result < 0)
    {
        return ome_journal_place_failed(reader, result, "readdir", reader->directory);
    }
    if (!has_begun)
    {
        return reader_begin(reader, &listing);
    }
    /* A server may have written more since the window was read: look again, now that the directory is known. What it holds of later segments
     * was made after this one was complete. */
    ome_journal_window_forget(&reader->window);
    ome_status_t status = reader_take_record(reader, record);
    *has_record = status == OME_OK;
    if (status != OME_EMPTY)
    {
        return status;
    }
    const bool is_last = listing.next == 0;
    if (is_last && reader->config.is_live)
    {
        reader_wait_here(reader);
        return OME_EMPTY;
    }
    status = reader->file >= 0 ? ome_journal_tail_judge(reader, is_last) : OME_OK;
    if (status != OME_OK)
    {
        return status;
    }
    if (is_last)
    {
        return ome_journal_place_end_journal(reader, OME_JOURNAL_CLEAN, NULL);
    }
    if (listing.next == expected)
    {
        return reader_open_next(reader);
    }
    snprintf(reader->report.path, sizeof(reader->report.path), "%s", reader->directory);
    return ome_journal_place_damaged(
        reader, "the segment that begins with the next sequence is missing, or there is one that does not belong here");
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
    reader->window = (ome_journal_window_t){.bytes = memory, .capacity_bytes = WINDOW_SIZE};
    ome_journal_window_forget(&reader->window);
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
        ome_status_t status = reader_take_record(reader, record);
        bool has_record = status == OME_OK;
        if (status == OME_EMPTY)
        {
            status = reader_at_end(reader, record, &has_record);
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
        reader->report.sequence_expected < reader->config.first_sequence ||
        !ome_journal_window_shows(&reader->window, reader->report.offset, 1))
    {
        return 0;
    }
    const uint64_t first_sequence = reader->report.sequence_expected;
    const size_t begin = (size_t)(reader->report.offset - reader->window.offset);
    const size_t room_count = (reader->window.size_bytes - begin) / OME_JOURNAL_COMMAND_SIZE;
    const uint8_t *bytes = reader->window.bytes + begin;
    uint8_t *slot = slots;
    uint32_t chain = reader->chain_checksum;
    uint32_t checksum = reader->record_checksum;
    uint64_t count = 0;
    while (count < count_max && count < room_count)
    {
        ome_journal_record_t record;
        if (!ome_journal_decode(bytes, OME_JOURNAL_COMMAND_SIZE, &record) || record.length != OME_BODY_SIZE ||
            record.sequence != first_sequence + count || ome_journal_is_seal(&record) || ome_journal_begins_several(&record))
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
    ome_journal_segment_close(reader);
}
