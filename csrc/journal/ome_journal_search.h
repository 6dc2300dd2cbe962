/* A search through the bytes of a segment that cannot be read in order: its records are found by their checksums, at any byte.
 *
 * It looks through the window of a reader, which gets the error of a call that failed, and whose own reading is over. One search is
 * open at a time. */
#ifndef OME_JOURNAL_SEARCH_H
#define OME_JOURNAL_SEARCH_H

#include "journal/ome_journal_place.h"

typedef struct
{
    ome_journal_reader_t *reader;
    const char *path; /* outlives the search */
    int file;
} ome_journal_search_t;

/* Opens the file. Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_search_open(ome_journal_search_t *search, ome_journal_reader_t *reader, const char *path);

/* Closes it. */
void ome_journal_search_close(ome_journal_search_t *search);

/* Gives what the file has at an offset: at least a record, unless the file ends. Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_search_look(ome_journal_search_t *search, uint64_t offset, const uint8_t **bytes, size_t *available_bytes);

/* Finds the end of the last byte from an offset on that is not zero; the offset itself where there is none.
 * Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_search_used_end(ome_journal_search_t *search, uint64_t offset, uint64_t *end);

/* Finds the first valid record from an offset on, at any byte, whose sequence is `from` or higher, by no more than the file has room
 * for; a seal counts as one. Moves `offset` to it. The record's data are in the window.
 * Returns OME_OK; OME_EMPTY (there is none up to `end`); OME_IO_ERROR. */
ome_status_t ome_journal_search_record(
    ome_journal_search_t *search, uint64_t *offset, uint64_t end, uint64_t from, ome_journal_record_t *record);

#endif
