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
 * A command of several records that is not there to its end counts as nothing: what is there of it is a part of what follows the last record
 * (docs/JOURNAL.md).
 *
 * A valid record with another sequence than the next, a seal that says something else than the records before it, anything after a seal, a header
 * that is not right or does not go on from the segment before, a segment that is missing or too many: DAMAGED. A segment is there only after its
 * header was on disk, and the next one only after its seal was, so these are never a crash's doing.
 *
 * Each part uses those below it:
 *     ome_journal_reader     the order of things: records, seals, from one segment to the next
 *     ome_journal_tail       what follows the last record of a segment
 *     ome_journal_segment    opening a segment, its header
 *     ome_journal_place      where the reader stands, and its verdict
 *     ome_journal_window     the bytes of a file, piece by piece */
#ifndef OME_JOURNAL_READER_H
#define OME_JOURNAL_READER_H

#include "journal/ome_journal_place.h"

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
