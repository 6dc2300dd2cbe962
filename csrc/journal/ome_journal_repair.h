/* Repair: makes a damaged journal one that can be read again, with as little lost as can be. Nothing is removed: what is no part of the journal any more gets the name
 * `<name>.set-aside`, or is kept beside as a torn tail is.
 *
 * Run by people who have a copy, on a directory that nobody else uses. There are two ways. Where a snapshot has the state behind the damage, the journal may begin behind the
 * snapshot: nothing that was acknowledged is lost, but what was before cannot be read any more. Otherwise it ends before the damage. Each step is safe to do again when the
 * process dies or the power fails between or inside them: then the journal is damaged as it was, or less, and repair is run again. */
#ifndef OME_JOURNAL_REPAIR_H
#define OME_JOURNAL_REPAIR_H

#include "journal/ome_journal_reader.h"

#define OME_JOURNAL_NAME_SET_ASIDE ".set-aside" /* behind the name; then a number from 2, where that one is taken */

/* What a journal would lose that ends where the reader has stopped. */
typedef struct
{
    uint64_t last_sequence; /* the highest of a record that is still readable; 0: none is */
    uint64_t record_count; /* that are still readable */
    uint64_t segment_count; /* whole segments */
} ome_journal_loss_t;

/* Looks for records behind the place where a reader has stopped by damage, in its segment and in all later ones. Changes nothing.
 * Returns OME_OK; OME_INVALID (the reader has not stopped by damage); OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_survey(ome_journal_reader_t *reader, ome_journal_loss_t *loss);

/* Makes the journal end where a reader has stopped by damage:
 * 1. Later segments are set aside, from the last to the first, so that those that are left belong together at any moment; the directory is synced.
 * 2. The segment is cut after its last valid record, and sealed, as recovery does it; what is cut off is kept beside.
 * 3. Where a segment that was set aside is of a later epoch, an empty segment keeps that one, so that no epoch comes twice.
 * Returns OME_OK; OME_INVALID (the reader has not stopped by damage); OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_cut(ome_journal_reader_t *reader);

/* Makes the journal begin with the first sequence of a reader that was opened with it and with the chain checksum before it, which are a snapshot's:
 * 1. Where the segment that holds that sequence cannot be read up to it, the records from there on are found by their checksums, and a new segment is made of them, their
 *    bytes unchanged, and of the seal. It is whole and on disk before it gets its name. Where they stop being records the rest is taken over as it is: it is damage still.
 * 2. Segments before it are set aside, from the first to the last.
 * Returns OME_OK; OME_INVALID (the reader has no chain checksum, or was used); OME_DAMAGED (report.reason: the records are not those that the checksum goes on with; nothing was
 * changed); OME_UNSUPPORTED (the segment is not of the version that is written; nothing was changed); OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_begin(ome_journal_reader_t *reader);

#endif
