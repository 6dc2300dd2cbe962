/* The journal's format: what the bytes of its files mean. No file is touched here.
 *
 * A journal is a directory of segments, `journal-<first sequence, 20 digits>.ome`. A segment is a header of one 4096-byte block and
 * then records, back to back, in order of sequence and without gaps. The file was written with zeros beforehand, so a sequence of zero is
 * where the records end; no record spans two segments. docs/JOURNAL.md has the reader's algorithm and the promises.
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
 * SEAL is a record of kind 0 without data, SYNCED, with the sequence that the next record will have. The writer puts it at the end when it is
 * closed in good order: with it the last group is known to be complete as well.
 *
 * CHAIN checksum: the CRC-32C of the checksums of all records, from the first of the journal on, without seals. Of the checksums, not of the
 * records: a CRC over bytes that end with their own CRC depends on their length only, and would prove nothing. */
#ifndef OME_JOURNAL_FORMAT_H
#define OME_JOURNAL_FORMAT_H

#include "abi/ome_limits.h"
#include "base/ome_checksum.h"
#include "base/ome_platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define OME_JOURNAL_MAGIC UINT64_C(0x4C4E524A454D4F0A) /* "\nOMEJRNL" */
#define OME_JOURNAL_VERSION 1u
#define OME_JOURNAL_HEADER_SIZE 4096u

/* SEGMENT HEADER. Magic and checksum stay where they are in every version of the format.
 *
 * OFFSET SIZE FIELD
 *      0    8 magic
 *      8    4 version            of the format
 *     12    4 header_size        bytes: where the records begin
 *     16    8 epoch              of the writer's run; never goes down
 *     24    8 first_sequence     of the segment
 *     32    8 segment_size       bytes; the file has as many, or fewer once recovery has cut it
 *     40    4 previous_checksum  chain checksum of all segments before
 *     44 4048 reserved           zero
 *   4092    4 checksum           CRC-32C of all before */
typedef struct
{
    uint64_t magic;
    uint32_t version;
    uint32_t header_size;
    uint64_t epoch;
    uint64_t first_sequence;
    uint64_t segment_size;
    uint32_t previous_checksum;
    uint8_t reserved[4048];
    uint32_t checksum;
} ome_journal_header_t;
static_assert(sizeof(ome_journal_header_t) == OME_JOURNAL_HEADER_SIZE, "the header is one block and has no padding");
static_assert(offsetof(ome_journal_header_t, version) == 8, "version is in place");
static_assert(offsetof(ome_journal_header_t, header_size) == 12, "header_size is in place");
static_assert(offsetof(ome_journal_header_t, epoch) == 16, "epoch is in place");
static_assert(offsetof(ome_journal_header_t, first_sequence) == 24, "first_sequence is in place");
static_assert(offsetof(ome_journal_header_t, segment_size) == 32, "segment_size is in place");
static_assert(offsetof(ome_journal_header_t, previous_checksum) == 40, "previous_checksum is in place");
static_assert(offsetof(ome_journal_header_t, reserved) == 44, "reserved is in place");
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
#define OME_JOURNAL_TYPE_SEAL OME_JOURNAL_TYPE_SYNCED
#define OME_JOURNAL_KIND_MAX UINT16_C(0x7FFF)

#define OME_JOURNAL_SEGMENT_SIZE_MIN (UINT64_C(64) << 10)
#define OME_JOURNAL_SEGMENT_SIZE_MAX (UINT64_C(1) << 40)
static_assert(OME_JOURNAL_SEGMENT_SIZE_MIN >= OME_JOURNAL_HEADER_SIZE + OME_JOURNAL_RECORD_SIZE_MAX + OME_JOURNAL_ENVELOPE_SIZE,
    "an empty segment has room for any record and the seal");

/* Names of files. Those that end in .tmp are work that was not finished, and are no part of the journal. */
#define OME_JOURNAL_NAME_SIZE 33u /* of a segment, with its terminating zero */
#define OME_JOURNAL_NAME_NEW "journal-new.tmp"
#define OME_JOURNAL_NAME_SPARE "journal-spare.tmp"
#define OME_JOURNAL_NAME_TORN "journal-torn.tmp"

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
    return record->checksum == ome_crc32c(0, bytes, OME_JOURNAL_PREFIX_SIZE + prefix.length);
}

/* Continues the chain checksum, 0 at first, by one record. */
static inline uint32_t ome_journal_chain(uint32_t chain, uint32_t record_checksum)
{
    return ome_crc32c(chain, &record_checksum, sizeof(record_checksum));
}

/* Fills a header and its checksum. */
void ome_journal_header_set(
    ome_journal_header_t *header, uint64_t epoch, uint64_t first_sequence, uint64_t segment_size, uint32_t previous_checksum);

/* NULL when the header is one of this format, whatever its version; otherwise what is wrong with it. */
const char *ome_journal_header_fault(const ome_journal_header_t *header);

/* Writes the name of the segment that begins with a sequence; OME_JOURNAL_NAME_SIZE bytes. */
void ome_journal_name(char *name, uint64_t first_sequence);

/* The first sequence of the segment of that name; 0 when it is not the name of a segment. */
uint64_t ome_journal_name_sequence(const char *name);

#endif
