/* The place where a reader stands in a journal: what it was asked for, what it has read so far, and its verdict about what is there.
 *
 * ome_journal_reader.h says what a reader is; it and its parts move the place. Recovery and repair go on from it. */
#ifndef OME_JOURNAL_PLACE_H
#define OME_JOURNAL_PLACE_H

#include "base/ome_file.h"
#include "journal/ome_journal_format.h"
#include "journal/ome_journal_window.h"

/* Where the reader stands, and what it thinks of what is there. */
typedef struct
{
    ome_journal_verdict_t verdict;
    const char *reason; /* what is wrong, a constant; NULL while nothing is */
    char path[OME_PATH_SIZE]; /* the segment, or the directory when a segment is missing; empty before the first */
    uint64_t offset; /* in the segment: the end of the valid records; 0 when the header is wrong */
    uint64_t sequence_expected; /* of the next record */
    uint64_t sequence_found; /* of the record that should not be there, of the one after the damage, or where the journal begins; 0: none */
    uint64_t offset_found; /* in the segment: where that record is */
} ome_journal_report_t;

typedef struct
{
    const ome_file_system_t *file_system; /* outlives the reader */
    const char *directory; /* exists; copied */
    ome_journal_kind_t kind;
    uint64_t first_sequence; /* of the first record to be given: 1 for all */
    bool has_previous_checksum;
    uint32_t previous_checksum; /* chain checksum of all records before the first one, where it is known */
    uint64_t last_sequence; /* a record behind this one is damage; 0: none is */
    bool is_live; /* a server may be writing */
} ome_journal_reader_config_t;

/* What the header of a segment has to go on from. */
typedef struct
{
    uint64_t epoch; /* 0: there is no segment before */
    uint32_t version;
    uint32_t seal_reason; /* ome_journal_seal_reason_t; 0: no seal, or one of version 1, which has none */
} ome_journal_ending_t;

typedef struct
{
    ome_journal_reader_config_t config;
    ome_journal_report_t report;
    ome_status_t status; /* OME_OK while reading: what every later call returns otherwise */
    ome_error_t error; /* the call that failed */

    /* What a writer that goes on from here has to know. */
    uint64_t last_sequence; /* of the last record, given or passed over; one less than the first where there is none */
    uint64_t epoch; /* of the last segment; 0 where there is none */
    uint32_t chain_checksum; /* of all records so far */
    uint32_t record_checksum; /* of the last of them */
    uint64_t configuration_hash; /* in the header of the last segment */

    /* The segment. */
    int file; /* -1: none open */
    bool is_sealed; /* the seal was read */
    uint32_t version;
    uint32_t seal_reason; /* as in ome_journal_ending_t */
    ome_journal_ending_t before; /* of the segment before */
    uint64_t segment_first_sequence;
    uint64_t segment_count; /* read so far, this one included; those before the one that was begun with are not */
    uint64_t synced_offset; /* of the last record that says that all before it is on disk: the last group begins there */
    uint64_t tail_end; /* end of the last byte that is not zero; known when torn */

    ome_journal_window_t window; /* on the segment; its memory is used for other things, too, once reading is over */

    char directory[OME_PATH_SIZE];
} ome_journal_reader_t;

/* Whether the command of several records that begins at the reader's offset is there to its end: its last record, another command, or a seal
 * follows. `end`: where the records end that are there. Of version 1, which a writer may have torn before later segments, all count as whole. */
bool ome_journal_place_is_whole(ome_journal_reader_t *reader, uint64_t *end);

/* Ends reading with a status, a verdict and what is wrong, a constant; NULL: nothing is. Returns the status. */
ome_status_t ome_journal_place_end(ome_journal_reader_t *reader, ome_status_t status, ome_journal_verdict_t verdict, const char *reason);

/* Ends reading at damage. Returns OME_DAMAGED. */
ome_status_t ome_journal_place_damaged(ome_journal_reader_t *reader, const char *reason);

/* Ends reading since the first sequence asked for is not there. Returns OME_NOT_FOUND. */
ome_status_t ome_journal_place_absent(ome_journal_reader_t *reader, const char *reason);

/* Ends reading at a call that failed; `result` is its negative errno. Returns OME_IO_ERROR. */
ome_status_t ome_journal_place_failed(ome_journal_reader_t *reader, int64_t result, const char *call, const char *path);

/* The journal ends here: with this verdict, unless it was to be read from further on. Returns OME_EMPTY or OME_NOT_FOUND. */
ome_status_t ome_journal_place_end_journal(ome_journal_reader_t *reader, ome_journal_verdict_t verdict, const char *reason);

/* Compares the chain checksum with the one that was given, when the reader has come to the first record to be given.
 * Returns OME_OK; OME_DAMAGED. */
ome_status_t ome_journal_place_check_beginning(ome_journal_reader_t *reader);

/* Gives what the open segment has at `offset`: `available_bytes` of it, `wanted_bytes` or more unless the file ends.
 * Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_place_look(
    ome_journal_reader_t *reader, uint64_t offset, size_t wanted_bytes, const uint8_t **bytes, size_t *available_bytes);

/* Gives the record at the reader's offset. Returns OME_OK; OME_EMPTY (no valid record is there); OME_IO_ERROR. */
ome_status_t ome_journal_place_record(ome_journal_reader_t *reader, ome_journal_record_t *record);

#endif
