/* The journal's format: what the bytes of its files mean. No file is touched here.
 *
 * A journal is a directory of segments, `journal-<first sequence, 20 digits>.ome`. A segment is a header of one 4096-byte block and
 * then records, back to back, in order of sequence and without gaps, and a seal once it is finished. The file was written with zeros beforehand,
 * so a sequence of zero is where the records end; no record spans two segments. docs/JOURNAL.md has the reader's algorithm and the promises.
 *
 * A log of events has the same format, with another kind in its headers and names `events-<first sequence, 20 digits>.ome`, and so have the decisions about a
 * journal (pipeline/ome_decisions.h), with names `decisions-<first sequence, 20 digits>.ome`.
 *
 * RECORD, packed, little-endian
 * OFFSET SIZE FIELD
 *      0    8 sequence  counts from 1 without gaps over all segments
 *      8    2 type      kind (bits 0 to 14) and OME_JOURNAL_TYPE_SYNCED (bit 15)
 *     10    4 length    bytes of data, at most OME_JOURNAL_DATA_SIZE_MAX
 *     14    n data
 *   14+n    4 checksum  CRC-32C of all that stands before it in the record
 *
 * SYNCED says: all records before this one were on disk before this one was written. The first record of every group has it. What for:
 * the power fails while a group is written, and of its sectors the third reaches the disk but not the second. Then bytes that are no record
 * are followed by valid records, as they are when the disk has damaged a record that was acknowledged long ago. Only the first may be
 * cut off. A SYNCED record further on tells the two apart.
 *
 * SEAL is a record of kind 0 with the sequence that the next record will have, and ome_journal_seal_t as data. It ends every segment that is
 * finished: nothing but zeros follows it. It is SYNCED when all before it was on disk, as every record: at the end of a segment it is written together
 * with the last group, and a power cut may leave the seal without the group. In version 1 only the writer's closing wrote one, without data.
 *
 * CHAIN checksum: the CRC-32C of the checksums of all records, from the first of the journal on, without seals. Of the checksums, not of the
 * records: a CRC over bytes that end with their own CRC depends on their length only, and would prove nothing. */
#ifndef OME_JOURNAL_FORMAT_H
#define OME_JOURNAL_FORMAT_H

#include "abi/ome_choices.h"
#include "abi/ome_limits.h"
#include "abi/ome_records.h"
#include "base/ome_checksum.h"
#include "base/ome_platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define OME_JOURNAL_MAGIC UINT64_C(0x4C4E524A454D4F0A) /* "\nOMEJRNL" */
#define OME_JOURNAL_VERSION 2u /* that is written */
#define OME_JOURNAL_VERSION_MIN 1u /* that is read */
#define OME_JOURNAL_HEADER_SIZE 4096u

/* What the records of a segment are. */
/* SEGMENT HEADER. Magic and checksum stay where they are in every version of the format. What version 1 does not have is zero there.
 *
 * OFFSET SIZE FIELD
 *      0    8 magic
 *      8    4 version             of the format
 *     12    4 header_size         bytes: where the records begin
 *     16    8 epoch               of the writer's run; never goes down. A segment of a run that died is so told from the next run's
 *     24    8 first_sequence      of the segment. A file that was given another segment's name is found by it
 *     32    8 segment_size        bytes; the file has as many, or fewer once recovery has cut it. A file that grew is found by it
 *     40    4 previous_checksum   chain checksum of all segments before. A segment taken from another journal, or from a copy that went on
 *                                 otherwise, fits in by name and sequence: this tells it from the one that was here
 *     44    4 kind                from version 2: ome_journal_kind_t. Events renamed to journal-... are not replayed as commands
 *     48    8 configuration_hash  from version 2: given by who opens the writer. After a crash the server may come back configured otherwise; this
 *                                 says under which configuration the records were made
 *     56 4036 reserved            zero
 *   4092    4 checksum            CRC-32C of all before */
typedef struct
{
    uint64_t magic;
    uint32_t version;
    uint32_t header_size;
    uint64_t epoch;
    uint64_t first_sequence;
    uint64_t segment_size;
    uint32_t previous_checksum;
    uint32_t kind;
    uint64_t configuration_hash;
    uint8_t reserved[4036];
    uint32_t checksum;
} ome_journal_header_t;
static_assert(sizeof(ome_journal_header_t) == OME_JOURNAL_HEADER_SIZE, "the header is one block and has no padding");
static_assert(offsetof(ome_journal_header_t, version) == 8, "version is in place");
static_assert(offsetof(ome_journal_header_t, header_size) == 12, "header_size is in place");
static_assert(offsetof(ome_journal_header_t, epoch) == 16, "epoch is in place");
static_assert(offsetof(ome_journal_header_t, first_sequence) == 24, "first_sequence is in place");
static_assert(offsetof(ome_journal_header_t, segment_size) == 32, "segment_size is in place");
static_assert(offsetof(ome_journal_header_t, previous_checksum) == 40, "previous_checksum is in place");
static_assert(offsetof(ome_journal_header_t, kind) == 44, "kind is in place");
static_assert(offsetof(ome_journal_header_t, configuration_hash) == 48, "configuration_hash is in place");
static_assert(offsetof(ome_journal_header_t, reserved) == 56, "reserved is in place");
static_assert(offsetof(ome_journal_header_t, checksum) == 4092, "checksum is in place");

/* What stands before a record's data. */
typedef struct __attribute__((packed))
{
    uint64_t sequence;
    uint16_t type;
    uint32_t length;
} ome_journal_prefix_t;
static_assert(sizeof(ome_journal_prefix_t) == 14, "the prefix is packed");
static_assert(offsetof(ome_journal_prefix_t, type) == 8, "type is in place");
static_assert(offsetof(ome_journal_prefix_t, length) == 10, "length is in place");

#define OME_JOURNAL_PREFIX_SIZE 14u
#define OME_JOURNAL_ENVELOPE_SIZE 18u /* a record without its data: the prefix and the checksum */
#define OME_JOURNAL_DATA_SIZE_MAX 4096u
#define OME_JOURNAL_RECORD_SIZE_MAX (OME_JOURNAL_ENVELOPE_SIZE + OME_JOURNAL_DATA_SIZE_MAX)
#define OME_JOURNAL_COMMAND_SIZE (OME_JOURNAL_ENVELOPE_SIZE + OME_BODY_SIZE) /* a record that holds a command */

#define OME_JOURNAL_TYPE_SYNCED UINT16_C(0x8000)
#define OME_JOURNAL_KIND_MAX UINT16_C(0x7FFF)
#define OME_JOURNAL_KIND_SEAL UINT16_C(0)

/* In a log of events the kind has a bit more: the event's command was on disk when the event was written. A journal that ends before that command has lost it. */
#define OME_JOURNAL_EVENT_DURABLE UINT16_C(0x4000)
#define OME_JOURNAL_EVENT_KIND_MASK UINT16_C(0x3FFF)

/* Why a segment was sealed; and so, who may have written the next one. */
typedef enum
{
    OME_JOURNAL_SEAL_ROTATION = 1, /* it was full: the same run goes on in the next one, or died before it could and a later run does */
    OME_JOURNAL_SEAL_CLOSE = 2, /* the writer was closed in good order: a later run goes on */
    OME_JOURNAL_SEAL_RECOVERY = 3 /* the writer died; recovery has cut the segment after its last record: a later run goes on */
} ome_journal_seal_reason_t;

/* SEAL: the data of a record of kind 0.
 *
 * OFFSET SIZE FIELD
 *      0    8 record_count    of the segment. Says how long the segment is without a look at anything but its end
 *      8    8 last_sequence   of the last record; first_sequence - 1 in a segment without records. So the end of one segment and the name of
 *                             the next agree, or something between them is gone
 *     16    4 chain_checksum  after the last record. The segment is proven to its end when the next one, which has it too, is in an archive
 *     20    4 reason          ome_journal_seal_reason_t. A segment that one run ended for good and the same run goes on from was put there */
typedef struct
{
    uint64_t record_count;
    uint64_t last_sequence;
    uint32_t chain_checksum;
    uint32_t reason;
} ome_journal_seal_t;
static_assert(sizeof(ome_journal_seal_t) == 24, "a seal has no padding");
static_assert(offsetof(ome_journal_seal_t, last_sequence) == 8, "last_sequence is in place");
static_assert(offsetof(ome_journal_seal_t, chain_checksum) == 16, "chain_checksum is in place");
static_assert(offsetof(ome_journal_seal_t, reason) == 20, "reason is in place");

#define OME_JOURNAL_SEAL_SIZE (OME_JOURNAL_ENVELOPE_SIZE + 24u) /* a record that is a seal */

#define OME_JOURNAL_SEGMENT_SIZE_MIN (UINT64_C(64) << 10)
#define OME_JOURNAL_SEGMENT_SIZE_MAX (UINT64_C(1) << 40)
static_assert(OME_JOURNAL_SEGMENT_SIZE_MIN >= OME_JOURNAL_HEADER_SIZE + OME_JOURNAL_RECORD_SIZE_MAX + OME_JOURNAL_SEAL_SIZE,
    "an empty segment has room for any record and the seal");

/* Names of files: room for any of them, with its terminating zero. */
#define OME_JOURNAL_NAME_SIZE 35u

/* Files of work that was not finished, which are no part of the journal. */
typedef enum
{
    OME_JOURNAL_TEMPORARY_NEW, /* ...-new.tmp */
    OME_JOURNAL_TEMPORARY_SPARE, /* ...-spare.tmp */
    OME_JOURNAL_TEMPORARY_TORN, /* ...-torn.tmp */
    OME_JOURNAL_TEMPORARY_COUNT
} ome_journal_temporary_t;

typedef struct
{
    const uint8_t *data; /* not aligned */
    uint64_t sequence;
    uint32_t length; /* bytes of data */
    uint32_t checksum; /* the record's own */
    uint16_t type;
} ome_journal_record_t;

/* Writes a record of OME_JOURNAL_ENVELOPE_SIZE + length bytes; gives its checksum. Data may be NULL where length is 0. */
static inline uint32_t ome_journal_encode(uint8_t *bytes, uint64_t sequence, uint16_t type, const void *data, uint32_t length)
{
    /* No load here reads what two stores have put together, which would wait for both: the prefix is stored as two words, of which the second
     * reaches two bytes too far, and the checksum reads where the data come from. */
    const uint64_t prefix[2] = {sequence, type | (uint64_t)length << 16};
    memcpy(bytes, &prefix[0], sizeof(prefix[0]));
    memcpy(bytes + sizeof(prefix[0]), &prefix[1], sizeof(prefix[1]));
    uint32_t checksum = ome_crc32c(0, prefix, OME_JOURNAL_PREFIX_SIZE);
    if (length == OME_BODY_SIZE) /* nearly always; of a known size both are a few instructions */
    {
        memcpy(bytes + OME_JOURNAL_PREFIX_SIZE, data, OME_BODY_SIZE);
        checksum = ome_crc32c(checksum, data, OME_BODY_SIZE);
    }
    else if (length > 0)
    {
        memcpy(bytes + OME_JOURNAL_PREFIX_SIZE, data, length);
        checksum = ome_crc32c(checksum, data, length);
    }
    memcpy(bytes + OME_JOURNAL_PREFIX_SIZE + length, &checksum, sizeof(checksum));
    return checksum;
}

/* True when a whole and valid record, a seal included, begins at `bytes`, of which `size_bytes` may be read. */
static inline bool ome_journal_decode(const uint8_t *bytes, size_t size_bytes, ome_journal_record_t *record)
{
    if (size_bytes < OME_JOURNAL_ENVELOPE_SIZE)
    {
        return false;
    }
    ome_journal_prefix_t prefix;
    memcpy(&prefix, bytes, OME_JOURNAL_PREFIX_SIZE);
    if (prefix.sequence == 0 || prefix.length > size_bytes - OME_JOURNAL_ENVELOPE_SIZE || prefix.length > OME_JOURNAL_DATA_SIZE_MAX)
    {
        return false;
    }
    memcpy(&record->checksum, bytes + OME_JOURNAL_PREFIX_SIZE + prefix.length, sizeof(record->checksum));
    record->data = bytes + OME_JOURNAL_PREFIX_SIZE;
    record->sequence = prefix.sequence;
    record->length = prefix.length;
    record->type = prefix.type;
    return record->checksum == (prefix.length == OME_BODY_SIZE /* nearly always; of a known size it is a few instructions */
                                       ? ome_crc32c(0, bytes, OME_JOURNAL_PREFIX_SIZE + OME_BODY_SIZE)
                                       : ome_crc32c(0, bytes, OME_JOURNAL_PREFIX_SIZE + prefix.length));
}

/* Whether the record behind it belongs to the same command: CONTINUED, on a kind that may have it. `body`: of a command. */
static inline bool ome_journal_is_continued(uint16_t kind, const uint8_t *body)
{
    uint16_t flags;
    memcpy(&flags, body + offsetof(ome_command_t, flags) - sizeof(uint64_t), sizeof(flags));
    const bool may_be = kind == OME_COMMAND_KIND_NEW_ORDER || kind == OME_COMMAND_KIND_AMEND_ORDER || kind == OME_COMMAND_KIND_ORDER_TERMS;
    return may_be && (flags & OME_COMMAND_FLAGS_CONTINUED) != 0;
}

/* Whether a record is the first of a command of several. */
static inline bool ome_journal_begins_several(const ome_journal_record_t *record)
{
    const uint16_t kind = record->type & OME_JOURNAL_KIND_MAX;
    return record->length == OME_BODY_SIZE && kind != OME_COMMAND_KIND_ORDER_TERMS && ome_journal_is_continued(kind, record->data);
}

/* Whether a record is a seal, which is no content. */
static inline bool ome_journal_is_seal(const ome_journal_record_t *record)
{
    return (record->type & OME_JOURNAL_KIND_MAX) == OME_JOURNAL_KIND_SEAL;
}

/* Continues the chain checksum, 0 at first, by one record. */
static inline uint32_t ome_journal_chain(uint32_t chain, uint32_t record_checksum)
{
    return ome_crc32c(chain, &record_checksum, sizeof(record_checksum));
}

/* Whether there is such a kind. */
static inline bool ome_journal_kind_is_known(ome_journal_kind_t kind)
{
    return kind >= OME_JOURNAL_COMMANDS && kind <= OME_JOURNAL_DECISIONS;
}

/* Fills a header of this version and its checksum. */
void ome_journal_header_set(ome_journal_header_t *header, ome_journal_kind_t kind, uint64_t epoch, uint64_t first_sequence,
    uint64_t segment_size, uint32_t previous_checksum, uint64_t configuration_hash);

/* Writes a seal of OME_JOURNAL_SEAL_SIZE bytes; `synced` is OME_JOURNAL_TYPE_SYNCED when all before it is on disk, otherwise 0. */
void ome_journal_seal_encode(uint8_t *bytes, const ome_journal_seal_t *seal, uint16_t synced);

/* NULL when the header is one of this format, whatever its version; otherwise what is wrong with it. */
const char *ome_journal_header_fault(const ome_journal_header_t *header);

/* Writes the name of the segment that begins with a sequence; OME_JOURNAL_NAME_SIZE bytes. */
void ome_journal_name(char *name, ome_journal_kind_t kind, uint64_t first_sequence);

/* Writes the name of an unfinished file; OME_JOURNAL_NAME_SIZE bytes. */
void ome_journal_name_temporary(char *name, ome_journal_kind_t kind, ome_journal_temporary_t temporary);

/* The first sequence of the segment of that name; 0 when it is not the name of a segment of that kind. */
uint64_t ome_journal_name_sequence(ome_journal_kind_t kind, const char *name);

#endif
