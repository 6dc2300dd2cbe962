/* The segments of a journal's directory, as whole files: which there are, what their headers say, and how one leaves the journal.
 *
 * The directory, the kind of the segments and the table of files are those of a reader, which gets the error of a call that failed;
 * what it has read is neither used nor changed. */
#ifndef OME_JOURNAL_DIRECTORY_H
#define OME_JOURNAL_DIRECTORY_H

#include "journal/ome_journal_place.h"

#define OME_JOURNAL_NAME_SET_ASIDE ".set-aside" /* behind the name; then a number from 2, where that one is taken */

/* The segments of a range: which is the first, which the last, how many there are. */
typedef struct
{
    ome_journal_kind_t kind;
    uint64_t above; /* asked for: only segments that begin behind this sequence */
    uint64_t below; /* asked for: only segments that begin before this one */
    uint64_t first; /* the lowest; 0: there is none */
    uint64_t last; /* the highest; 0: there is none */
    uint64_t count;
} ome_journal_range_t;

/* Finds the segments that begin between two sequences. A name of sequence UINT64_MAX is none that a journal comes to.
 * Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_directory_find(ome_journal_reader_t *reader, uint64_t above, uint64_t below, ome_journal_range_t *range);

/* Writes the path of the segment that begins with a sequence; OME_PATH_SIZE bytes. */
void ome_journal_directory_path(const ome_journal_reader_t *reader, char *path, uint64_t first_sequence);

/* Reads a segment's header. Gives whether it is one of this version that can be relied on; where there is no file it is not.
 * Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_directory_header(ome_journal_reader_t *reader, const char *path, ome_journal_header_t *header, bool *is_valid);

/* Gives a segment a name that no reader looks at. The directory is still to be synced. Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_directory_set_aside(ome_journal_reader_t *reader, uint64_t first_sequence);

/* All names are on disk when this returns OME_OK; otherwise OME_IO_ERROR. */
ome_status_t ome_journal_directory_sync(ome_journal_reader_t *reader);

#endif
