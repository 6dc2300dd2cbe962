/* What a journal would lose that ends where a reader has stopped by damage. Changes nothing. */
#ifndef OME_JOURNAL_SURVEY_H
#define OME_JOURNAL_SURVEY_H

#include "journal/ome_journal_place.h"

typedef struct
{
    uint64_t last_sequence; /* the highest of a record that is still readable; 0: none is */
    uint64_t record_count; /* that are still readable */
    uint64_t segment_count; /* whole segments */
} ome_journal_loss_t;

/* Looks for records behind the place where a reader has stopped by damage, in its segment and in all later ones.
 * Returns OME_OK; OME_INVALID (the reader has not stopped by damage); OME_IO_ERROR (reader->error). */
ome_status_t ome_journal_survey(ome_journal_reader_t *reader, ome_journal_loss_t *loss);

/* Whether the reader has stopped inside a segment. Otherwise it has stopped between two: one is missing, or its header is wrong, and
 * the one before is complete. */
bool ome_journal_survey_is_inside(const ome_journal_reader_t *reader);

/* Segments that begin behind this sequence are those that a journal loses that ends here. */
uint64_t ome_journal_survey_last_kept(const ome_journal_reader_t *reader);

#endif
