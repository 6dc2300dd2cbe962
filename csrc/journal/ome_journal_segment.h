/* A segment that a reader opens: its header must be right by itself and go on from the segment before. */
#ifndef OME_JOURNAL_SEGMENT_H
#define OME_JOURNAL_SEGMENT_H

#include "journal/ome_journal_place.h"

/* Opens the segment that begins with the next sequence, and stands behind its header. The one that is open is closed first.
 * Returns OME_OK; OME_DAMAGED or OME_UNSUPPORTED (the header); OME_IO_ERROR. */
ome_status_t ome_journal_segment_open(ome_journal_reader_t *reader);

/* Closes the file, where one is open. What the reader knows stays. */
void ome_journal_segment_close(ome_journal_reader_t *reader);

#endif
