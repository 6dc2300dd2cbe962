#include "wire/ome_runs.h"

#include "base/ome_assert.h"

#define RUNS_LOOKS_MAX 1024u

void ome_runs_init(ome_runs_t *runs, ome_arena_t *arena, uint32_t count_max)
{
    OME_ASSERT(count_max != 0 && (count_max & (count_max - 1)) == 0);
    runs->runs = ome_arena_take(arena, (uint64_t)count_max * sizeof(ome_run_t));
    runs->made_count = 0;
    runs->answered_count = 0;
    runs->count_max = count_max;
}

static const ome_run_t *runs_at(const ome_runs_t *runs, uint64_t number)
{
    return &runs->runs[number & (runs->count_max - 1)];
}

uint64_t ome_runs_add(ome_runs_t *runs, const ome_run_t *run)
{
    OME_ASSERT(!ome_runs_is_full(runs));
    const uint64_t number = ++runs->made_count;
    runs->runs[number & (runs->count_max - 1)] = *run;
    return number;
}

void ome_runs_sequence(ome_runs_t *runs, uint64_t number, uint64_t first_sequence)
{
    ome_run_t *next = &runs->runs[(runs->sequenced_count + 1) & (runs->count_max - 1)];
    if (runs->sequenced_count < runs->made_count && next->first_sequence == number)
    {
        next->first_sequence = first_sequence;
        runs->sequenced_count++;
    }
}

const ome_run_t *ome_runs_answer(ome_runs_t *runs, uint64_t sequence)
{
    if (runs->answered_count == runs->made_count)
    {
        return NULL;
    }
    const ome_run_t *run = runs_at(runs, runs->answered_count + 1);
    if (run->first_sequence + run->count - 1 > sequence)
    {
        return NULL;
    }
    runs->answered_count++;
    return run;
}

uint64_t ome_runs_find(const ome_runs_t *runs, uint64_t last, uint32_t number)
{
    for (uint32_t looks = 0; looks < RUNS_LOOKS_MAX && number != 0 && last != 0 && last + runs->count_max > runs->made_count; looks++)
    {
        const ome_run_t *run = runs_at(runs, last);
        const uint32_t index = number - run->first_number - (number < run->first_number); /* 0 is no number: after 2^32 - 1 comes 1 */
        if (index < run->count)
        {
            return run->first_sequence + index;
        }
        last = run->previous;
    }
    return 0;
}
