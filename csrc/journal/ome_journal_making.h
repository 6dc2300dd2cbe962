/* A segment that is made of records of another one: their bytes as they are, a header and a seal. */
#ifndef OME_JOURNAL_MAKING_H
#define OME_JOURNAL_MAKING_H

#include "journal/ome_journal_search.h"

/* What the new segment is to be. It begins with the first sequence that the reader of the search was opened with, and with the chain
 * checksum before that one. */
typedef struct
{
    ome_journal_search_t from; /* open where `holding` is not 0 */
    uint64_t holding; /* first sequence of the segment that has the records; 0: none has */
    uint64_t offset; /* in it: where what is taken over begins, */
    uint64_t records_end; /* where its records end, */
    uint64_t end; /* and where what is taken over ends */
    uint64_t next_sequence; /* after its records */
    uint32_t checksum; /* chain checksum after its records */
    uint32_t seal_reason; /* ome_journal_seal_reason_t; 0: it gets no seal */
    ome_journal_header_t header; /* epoch, segment_size and configuration_hash are taken from it */
} ome_journal_making_t;

/* Writes the segment, whole and on disk before it gets its name. It replaces one of that name at once; what that one has is known to
 * be no more than what is taken over. Returns OME_OK; OME_IO_ERROR. */
ome_status_t ome_journal_making_write(ome_journal_making_t *making);

#endif
