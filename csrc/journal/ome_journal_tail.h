/* The tail of a segment: what follows its last valid record. Whether it is nothing, a torn tail or damage is decided here
 * alone, by the table of ome_journal_reader.h. */
#ifndef OME_JOURNAL_TAIL_H
#define OME_JOURNAL_TAIL_H

#include "journal/ome_journal_place.h"

/* Decides about the bytes from the reader's offset, where no record is the next one, to the end of the segment; `is_last` when no
 * other segment follows it. Sets reader->tail_end.
 * Returns OME_OK (they are zeros); OME_EMPTY (they are a torn tail: the journal ends); OME_NOT_FOUND (the same, before the first
 * sequence asked for); OME_DAMAGED; OME_IO_ERROR. */
ome_status_t ome_journal_tail_judge(ome_journal_reader_t *reader, bool is_last);

#endif
