/* The journal's reader: every record in order, or the exact place where the journal is not what was written.
 *
 * One thread owns a reader. It changes nothing on disk. It may read a journal that a server is writing to: with `is_live` it stops at the
 * last complete record, says nothing about what follows, and goes on from there when it is called again.
 *
 * It may begin anywhere: it finds the segment that holds the first sequence asked for, reads that one from its beginning, and gives the records from
 * there on. Segments before need not be there any more. Whoever knows the chain checksum just before that sequence, as a snapshot does, gives
 * it, and is told where the journal is another one.
 *
 * What is said about the end of a journal, when not live (docs/JOURNAL.md, "Where the journal ends"):
 *
 *   after the last valid record         last segment   another, version 1   another, version 2
 *   a seal, then zeros only             CLEAN          goes on to the next  goes on to the next
 *   zeros only                          CLEAN          goes on to the next  DAMAGED
 *   something, no synced record later   TORN           DAMAGED              DAMAGED
 *   something, a synced record later    DAMAGED        DAMAGED              DAMAGED
 *
 * A valid record with another sequence than the next, a seal that says something else than the records before it, anything after a seal, a header
 * that is not right or does not go on from the segment before, a segment that is missing or too many: DAMAGED. A segment is there only after its
 * header was on disk, and the next one only after its seal was, so these are never a crash's doing. */
#ifndef OME_JOURNAL_READER_H
#define OME_JOURNAL_READER_H

#include "base/ome_file.h"
#include "journal/ome_journal_format.h"

typedef enum
{
    OME_JOURNAL_READING = 0, /* the end has not been reached, or the reader is live */
    OME_JOURNAL_CLEAN = 1, /* the journal ends after its last record */
    OME_JOURNAL_TORN = 2, /* what was being written when the server ended follows the last record; it was never acknowledged */
    OME_JOURNAL_DAMAGED = 3, /* stored bytes are not what was written */
    OME_JOURNAL_UNSUPPORTED = 4, /* a segment has another format version */
    OME_JOURNAL_ABSENT = 5 /* the first sequence asked for lies before the beginning of what is there, or more than one behind its end */
} ome_journal_verdict_t;

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

    /* A window on the file. */
    uint8_t *window;
    size_t window_capacity_bytes;
    size_t window_size_bytes;
    uint64_t window_offset;

    char directory[OME_PATH_SIZE];
} ome_journal_reader_t;

/* Bytes of memory for a reader. */
size_t ome_journal_reader_size_bytes(void);

/* Sets a reader at the beginning. `memory` is of ome_journal_reader_size_bytes() and outlives the reader.
 * Returns OME_OK; OME_INVALID (first_sequence is 0, there is no such kind, the directory's name is too long); OME_NO_MEMORY. */
ome_status_t ome_journal_reader_open(
    ome_journal_reader_t *reader, void *memory, size_t size_bytes, const ome_journal_reader_config_t *config);

/* Gives the next record; its data stays until the next call.
 * Returns OME_OK; OME_EMPTY (no more records: report.verdict is CLEAN or TORN, or READING where the reader is live and may be asked again);
 * OME_DAMAGED, OME_UNSUPPORTED or OME_NOT_FOUND (report, which is ABSENT then); OME_IO_ERROR (error); and the same again ever after. */
ome_status_t ome_journal_reader_next(ome_journal_reader_t *reader, ome_journal_record_t *record);

/* Gives up to `count_max` records that follow at once and hold 56 bytes, into slots of 64 bytes: the sequence, then the data. Returns how many; where it is 0, or fewer than could be, ome_journal_reader_next
 * says what comes. Exactly what that one would give, sooner: nothing else decides what a record is. */
uint64_t ome_journal_reader_next_commands(ome_journal_reader_t *reader, void *slots, uint64_t count_max);

/* Closes the file. What the reader knows stays. */
void ome_journal_reader_close(ome_journal_reader_t *reader);

#endif
