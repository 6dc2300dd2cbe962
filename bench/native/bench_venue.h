/* A venue under load: one producer submits, the calling thread reads every event, until all is read.
 *
 *     producer --16 a claim--> [ ring ] --> match --> [ stream ] --> reader
 *                                  \--> journal: a new folder in the current directory, which the caller removes
 *
 * The clock runs from the first timed command to the reader's last event. */
#ifndef BENCH_VENUE_H
#define BENCH_VENUE_H

#include <stdint.h>

#include "abi/ome_records.h"
#include "engine/ome_engine.h"
#include "pipeline/ome_venue.h"

#define BENCH_VENUE_BATCH_COUNT 16u
#define BENCH_VENUE_SEGMENT_SIZE_BYTES (UINT64_C(64) << 20)
#define BENCH_VENUE_READER "bench" /* of published events */
#define BENCH_VENUE_BUSY_PAUSE_NS 100000 /* a producer that only spins takes a core from the stages it waits for */
#define BENCH_VENUE_DIRECTORY_SIZE 16u

typedef struct
{
    ome_limits_t limits;
    uint8_t policy;
    const ome_command_t *before; /* submitted before the clock runs */
    uint32_t before_count;
    uint64_t count; /* timed commands */
    /* The `count` timed commands from number `at`, at most BENCH_VENUE_BATCH_COUNT; they stay until the next call. */
    const ome_command_t *(*commands)(void *context, uint64_t at, uint32_t count);
    void *context;
} bench_venue_load_t;

typedef struct
{
    uint64_t elapsed_ns;
    uint64_t event_count;
    uint64_t trade_count;
    uint64_t busy_count;   /* claims that were refused and tried again */
    uint64_t commit_count; /* group commits of the journal */
    uint64_t percentile_50_ns; /* from sequencing to the reader, of each 16th command; at most 1/16 too much */
    uint64_t percentile_99_ns;
} bench_venue_result_t;

/* A venue of one reader, with its threads running. Where its policy has a journal, that is a new folder in the current directory, whose name it writes to `directory`, of
 * BENCH_VENUE_DIRECTORY_SIZE bytes. Ends the process when it does not start. */
ome_venue_t *bench_venue_open(const ome_limits_t *limits, uint8_t policy, char *directory);

/* Submits commands, at most BENCH_VENUE_BATCH_COUNT; waits while the venue is busy. Returns how often it was. Ends the process when it has stopped. */
uint64_t bench_venue_submit(ome_venue_t *venue, const ome_command_t *commands, uint32_t count);

/* Runs the load through a new venue. Ends the process when the venue fails, or loses or reorders an event. */
void bench_venue_run(const bench_venue_load_t *load, bench_venue_result_t *result);

#endif
