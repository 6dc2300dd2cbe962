/* Recovery: makes the journal end after its last valid record, so that a writer can go on.
 *
 * Run at the start, by the only process that uses the directory, after a reader has come to the end. In this order, each step safe to do
 * again when the process dies between or inside them:
 * 1. A torn tail is copied to a file beside, `<segment>.torn-<offset>`, unless that is there.
 * 2. The last group is written again, as it is. It may have been read from memory only: the kernel keeps pages that it failed to write, and
 *    calls them clean.
 * 3. The last segment is cut after its last record, or after its seal; all of it is on disk.
 * 4. Where it has no seal it gets one, which says that it was recovered; that is on disk. Not before the cut is: bytes behind a seal are damage.
 *    So every segment that another one follows is sealed, however its writer ended. Version 1 has no such seal and gets none.
 * 5. Unfinished files (journal-*.tmp) are removed.
 * A last segment without records stays, cut to its header, so that its epoch is not forgotten; the next writer replaces it. */
#ifndef OME_JOURNAL_RECOVER_H
#define OME_JOURNAL_RECOVER_H

#include "journal/ome_journal_reader.h"

/* The reader stays open; afterwards a writer is opened with last_sequence + 1, epoch + 1 and chain_checksum of the reader.
 * Returns OME_OK; OME_INVALID (the reader has not come to the end, or is live); OME_DAMAGED, OME_UNSUPPORTED or OME_NOT_FOUND (the reader's
 * verdict; nothing is changed); OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_recover(ome_journal_reader_t *reader);

/* Steps 1 to 4, for repair: the segment that the reader stands in ends after its last valid record, whatever follows; `tail_end` must be known. No
 * later segment is there any more. Returns OME_OK; OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_end_segment(ome_journal_reader_t *reader);

#endif
