/* Decisions: decisions of people about a journal, stored in the same directory as a journal of their own.
 *
 * A record of the journal is never changed. Instead a decision records that a command counts as rejected because no
 * engine survives it, or that the journal continues from an earlier place. Decisions are in segments
 * `decisions-<number>.ome` of the same format, and every replay of the directory reads them first. So all readers of
 * the journal see the same commands, and the time of each decision is on record.
 *
 * One thread. The writer is the only process that uses the directory. */
#ifndef OME_DECISIONS_H
#define OME_DECISIONS_H

#include "journal/ome_journal_reader.h"

#define OME_DECISION_COUNT_MAX 1024u /* of a directory */

/* DECISION: the data of a record, whose sequence is the number of the decision from 1, and whose kind is that of the
 * decision.
 *
 * OFFSET SIZE FIELD
 *      0    8 sequence  of the command
 *      8    8 time_ns   of the decision, since 1970
 *     16    4 checksum  of the command's record in the journal: the decision is about this record only. 0 if it is about none
 *     20    4 kind      ome_decision_kind_t */
typedef struct
{
    uint64_t sequence;
    uint64_t time_ns;
    uint32_t checksum;
    uint32_t kind;
} ome_decision_t;
static_assert(sizeof(ome_decision_t) == 24, "a decision has no padding");
static_assert(offsetof(ome_decision_t, time_ns) == 8, "time_ns is in place");
static_assert(offsetof(ome_decision_t, checksum) == 16, "checksum is in place");
static_assert(offsetof(ome_decision_t, kind) == 20, "kind is in place");

typedef struct
{
    ome_decision_t entries[OME_DECISION_COUNT_MAX]; /* in the order in which they were made */
    bool is_void[OME_DECISION_COUNT_MAX];
    uint32_t count;
    uint64_t next_sequence; /* of the first quarantined command that was not asked for yet; UINT64_MAX: there is none */
    const char *reason; /* what is wrong, where the reader found nothing wrong; otherwise NULL */
    char text[160];
} ome_decisions_t;

/* Reads all decisions of a directory, with a reader and its memory that are used for something else afterwards. A last
 * decision that is not whole was never made. OME_OK; OME_INVALID: the directory's name is too long; OME_DAMAGED,
 * OME_UNSUPPORTED, OME_NOT_FOUND (`reason`, or reader->report); OME_IO_ERROR (reader->error). */
ome_status_t ome_decisions_read(
    ome_decisions_t *decisions, ome_journal_reader_t *reader, void *memory, const ome_file_system_t *file_system, const char *directory);

/* Adds one more decision in memory, on disk or not. OME_OK; OME_FULL; OME_UNSUPPORTED: there is no such kind
 * (`reason`). */
ome_status_t ome_decisions_take(ome_decisions_t *decisions, const ome_decision_t *decision);

/* Whether the command of a record is quarantined. Records come in order. OME_OK: it is; OME_EMPTY: it is not;
 * OME_DAMAGED: a decision is about another record of that sequence (`reason`). */
ome_status_t ome_decisions_find(ome_decisions_t *decisions, const ome_journal_record_t *record);

/* Whether a command of that sequence, or a later one, may be quarantined: for most commands this check is enough. */
static inline bool ome_decisions_may_be(const ome_decisions_t *decisions, uint64_t sequence)
{
    return sequence >= decisions->next_sequence;
}

/* Adds a decision to those of a directory; it is on disk when this returns OME_OK. OME_OK; OME_FULL; OME_INVALID;
 * OME_NO_MEMORY; OME_IO_ERROR (`error`): the decision may be there or not, and reading shows it; the statuses of
 * ome_decisions_read for the existing decisions. */
ome_status_t ome_decisions_write(
    const ome_file_system_t *file_system, const char *directory, const ome_decision_t *decision, ome_error_t *error);

#endif
