/* The mixed flow through the batch call of ome.h, 256 commands a call: what the same calls from Python are compared with. */
#ifndef BENCH_BATCH_H
#define BENCH_BATCH_H

#include <stdint.h>

#define BENCH_BATCH_COMMAND_COUNT 256u

/* Prints `repeat` samples as JSON lines, each with the engine's event hash. */
void bench_batch_run(uint64_t count, uint32_t repeat, uint64_t seed);

/* Writes a flow of bench_flow.h to standard output: commands of 64 bytes, the first of which define the instruments. */
void bench_batch_write_flow(const char *flow_name, uint64_t count, uint64_t seed);

#endif
