/* The journal ends before damage. */
#ifndef OME_JOURNAL_CUT_H
#define OME_JOURNAL_CUT_H

#include "journal/ome_journal_place.h"

/* Makes the journal end where a reader has stopped by damage:
 * 1. Later segments are set aside, from the last to the first, so that those that are left belong together at any moment; the
 *    directory is synced.
 * 2. The segment is cut after its last valid record, and sealed, as recovery does it; what is cut off is saved to a file.
 * 3. Where a segment that was set aside is of a later epoch, an empty segment keeps that one, so that no epoch comes twice.
 * Returns OME_OK; OME_INVALID (the reader has not stopped by damage); OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_cut(ome_journal_reader_t *reader);

#endif
