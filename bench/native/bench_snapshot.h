/* What the matcher sees of a snapshot: a venue (policy commit) with a million orders at rest gets a command every 100 microseconds, while a follower replays its journal and writes
 * a snapshot, as the server's does: in a thread of the lowest priority, at first from the journal's beginning.
 *
 *     one command a tick --> [ ring ] --> match --> [ stream ] --> reader, which takes the time and does not wait for the gate
 *                                \--> journal --> files --> follower, now and then: apply, write
 *
 * A pause is the time of one command from before it is published in the ring until the reader has its event: what matching took, and how long match stage and reader were kept
 * from running. Stretches with a snapshot and, just as long, without one take turns. */
#ifndef BENCH_SNAPSHOT_H
#define BENCH_SNAPSHOT_H

#include <stdint.h>

/* `count` orders at rest. Prints `pause` lines of `ome` and `quiet` in turn; leaves a journal and snapshots in the current directory. */
void bench_snapshot_run(uint64_t count, uint32_t repeat, uint64_t seed);

#endif
