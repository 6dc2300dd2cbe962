/* Runs of messages that were taken from a session together: which commands of the engine they became, and which of them are not answered
 * yet.
 *
 *     add (sequenced) -> answered, in the same order -> overwritten, when there is no more room
 *
 * One thread. */
#ifndef OME_RUNS_H
#define OME_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ome_arena.h"

typedef struct
{
    uint64_t first_sequence; /* of the engine; a number beyond all sequences, in increasing order, where it is not known yet */
    uint64_t previous;       /* run of the same session; 0: none */
    uint32_t first_number;   /* session sequence */
    uint32_t count;
    uint16_t session;
    uint16_t participant;
    uint32_t reserved;
} ome_run_t;

typedef struct
{
    ome_run_t *runs;
    uint64_t made_count;
    uint64_t answered_count;
    uint64_t sequenced_count; /* where runs are added before they have a sequence */
    uint32_t count_max; /* a power of two */
} ome_runs_t;

void ome_runs_init(ome_runs_t *runs, ome_arena_t *arena, uint32_t count_max);

/* There is room for one more that is not answered. */
static inline bool ome_runs_is_full(const ome_runs_t *runs)
{
    return runs->made_count - runs->answered_count == runs->count_max;
}

/* Not all of the messages up to this run are answered. */
static inline bool ome_runs_waits(const ome_runs_t *runs, uint64_t number)
{
    return number > runs->answered_count;
}

/* Adds a run; there is room. Returns its number, from 1. */
uint64_t ome_runs_add(ome_runs_t *runs, const ome_run_t *run);

/* The next run that has no sequence yet, if it is the one of this number, has got it. */
void ome_runs_sequence(ome_runs_t *runs, uint64_t number, uint64_t first_sequence);

/* The oldest run that is not answered, if all of it came up to this command; or NULL. It counts as answered then. */
const ome_run_t *ome_runs_answer(ome_runs_t *runs, uint64_t sequence);

/* The command that a message of a session became, with `last` the number of the session's last run; 0 where that is no longer known. Looks
 * at a bounded number of runs. */
uint64_t ome_runs_find(const ome_runs_t *runs, uint64_t last, uint32_t number);

#endif
