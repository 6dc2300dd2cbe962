/* Group commits of the journal as fast as four producers can cause them, without an engine:
 *
 *     4 producers --16 a claim--> [ ring ] --> journal stage: append, write, sync
 *                                                 ^-- another thread writes the next segment with zeros
 *
 * beside the same bytes in the same groups, written and synced by one thread to a file that was written with zeros beforehand, past the page cache where the journal is. */
#ifndef BENCH_COMMIT_H
#define BENCH_COMMIT_H

#include <stdint.h>

/* Prints samples of `ome` and `disk` in turn; leaves a journal for each run in the current directory. */
void bench_commit_run(uint64_t count, uint32_t repeat);

#endif
