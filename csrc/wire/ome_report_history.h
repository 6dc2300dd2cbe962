/* The newest reports of all sessions, in memory, for those that come back or have missed some.
 *
 *     add -> ... -> overwritten by the newest, when there is no more room
 *
 * Reports are numbered from 1 in the order in which they were made; those of one session are linked both ways. One thread. */
#ifndef OME_REPORT_HISTORY_H
#define OME_REPORT_HISTORY_H

#include "abi/ome_records.h"
#include "wire/ome_session_table.h"

typedef struct
{
    ome_execution_report_t report;
    uint64_t copy;     /* the participant's, and which of its reports it is: ome_report_copy */
    uint32_t previous; /* how far before is the one before of the same session; 0: there is none, or it is gone */
    uint32_t next;     /* how far behind is the next one of the same session; 0: none yet */
} ome_kept_report_t;
static_assert(sizeof(ome_kept_report_t) == 128, "a report fills two cache lines");

typedef struct
{
    ome_kept_report_t *reports;
    uint64_t made_count;
    uint32_t count_max; /* a power of two */
} ome_report_history_t;

/* Of whom a drop copy is sent this report, and under which number. */
static inline uint64_t ome_report_copy(uint16_t participant, uint64_t report_sequence)
{
    return (uint64_t)participant << 48 | report_sequence;
}

static inline uint16_t ome_report_copy_participant(uint64_t copy)
{
    return (uint16_t)(copy >> 48);
}

static inline uint64_t ome_report_copy_sequence(uint64_t copy)
{
    return copy & ((UINT64_C(1) << 48) - 1);
}

void ome_report_history_init(ome_report_history_t *history, ome_arena_t *arena, uint32_t count_max);

/* Keeps a report of this session, whose newest it is; session 0: of one that is gone, for drop copies alone. Returns its number. */
uint64_t ome_report_history_add(
    ome_report_history_t *history, ome_session_table_t *table, uint16_t session, const ome_execution_report_t *report, uint64_t copy);

static inline bool ome_report_history_has(const ome_report_history_t *history, uint64_t number)
{
    return number != 0 && number + history->count_max > history->made_count;
}

/* All reports of this command and of later ones that were made are here. */
static inline bool ome_report_history_covers(const ome_report_history_t *history, uint64_t engine_sequence)
{
    const uint64_t oldest = history->made_count - history->count_max + 1;
    return history->made_count <= history->count_max ||
           history->reports[oldest & (history->count_max - 1)].report.engine_sequence < engine_sequence;
}

static inline const ome_kept_report_t *ome_report_history_at(const ome_report_history_t *history, uint64_t number)
{
    return &history->reports[number & (history->count_max - 1)];
}

/* The number of the next report of the same session, or of the one before; 0: there is none. */
static inline uint64_t ome_report_history_next(const ome_report_history_t *history, uint64_t number)
{
    const uint32_t next = ome_report_history_at(history, number)->next;
    return next != 0 ? number + next : 0;
}

static inline uint64_t ome_report_history_previous(const ome_report_history_t *history, uint64_t number)
{
    const uint32_t previous = ome_report_history_at(history, number)->previous;
    return previous != 0 ? number - previous : 0;
}

/* The number of the oldest that is here. */
static inline uint64_t ome_report_history_oldest(const ome_report_history_t *history)
{
    return history->made_count > history->count_max ? history->made_count - history->count_max + 1 : 1;
}

#endif
