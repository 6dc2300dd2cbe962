/* The mixed flow through ring, journal (policy commit), match and gate to a reader, beside what it cannot beat: the same bytes written and synced in groups of the
 * same size, and the matcher alone. */
#ifndef BENCH_PIPELINE_H
#define BENCH_PIPELINE_H

#include <stdint.h>

/* Prints samples of `ome`, `disk` and `matcher` in turn; ends the process when venue and matcher give different counts of events or trades. */
void bench_pipeline_run(uint64_t count, uint32_t repeat, uint64_t seed);

#endif
