/* A snapshot of a million orders at rest made into an engine again, as a start does: read, every block and every entry checked, all that is not stored made again, the state hash compared. Beside
 * it a bare read of the same file. Both from the page cache, each in a fresh process. */
#ifndef BENCH_RESTORE_H
#define BENCH_RESTORE_H

#include <stdint.h>

/* `count` orders. Prints samples of `ome` and `read` in turn, in orders; leaves a snapshot in the current directory. Ends the process when the engine is another. */
void bench_restore_run(uint64_t count, uint32_t repeat, uint64_t seed);

#endif
