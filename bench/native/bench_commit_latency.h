/* One client that sends one order at a time to a venue and waits until its event may be spoken of: under the policy commit, and under memory, which has no journal. The
 * difference is what durability adds. Beside it 64 bytes written to a file that was written with zeros beforehand, and fdatasync. */
#ifndef BENCH_COMMIT_LATENCY_H
#define BENCH_COMMIT_LATENCY_H

#include <stdint.h>

/* `count` orders a run. Prints `latency` lines of `commit`, `memory` and `disk` in turn; leaves a journal for each run in the current directory. */
void bench_commit_latency_run(uint64_t count, uint32_t repeat);

#endif
