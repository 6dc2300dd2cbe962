/* The journal begins behind a snapshot, which has the state behind the damage. */
#ifndef OME_JOURNAL_BEGIN_H
#define OME_JOURNAL_BEGIN_H

#include "journal/ome_journal_place.h"

/* Makes the journal begin with the first sequence of a reader that was opened with it and with the chain checksum before it, which are
 * a snapshot's:
 * 1. Where the segment that holds that sequence cannot be read up to it, the records from there on are found by their checksums, and a
 *    new segment is made of them, their bytes unchanged, and of the seal. It is whole and on disk before it gets its name. Where they
 *    stop being records the rest is taken over as it is: it is damage still.
 * 2. Segments before it are set aside, from the first to the last.
 * Returns OME_OK; OME_INVALID (the reader has no chain checksum, or was used); OME_DAMAGED (report.reason: the records are not those
 * that the checksum goes on with; nothing was changed); OME_UNSUPPORTED (the segment is not of the version that is written; nothing was
 * changed); OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_begin(ome_journal_reader_t *reader);

#endif
