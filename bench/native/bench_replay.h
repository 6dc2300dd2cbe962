/* A replay of a journal of the mixed flow: read from the page cache, checked, applied and its events hashed, beside the bare engine on the same commands in memory, as
 * many at a time. Neither makes its engine under the clock, and both have its memory touched beforehand. */
#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

#include <stdint.h>

/* Prints samples of `ome` and `matcher` in turn; leaves a journal in the current directory. Ends the process when the two engines are not of one state. */
void bench_replay_run(uint64_t count, uint32_t repeat, uint64_t seed);

#endif
