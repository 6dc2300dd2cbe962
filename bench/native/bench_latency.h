/* Times of single commands: a clock around each command of a flow.
 *
 * A virtual machine is interrupted now and then, and whoever is under the clock then looks slow: with one pass the highest percentiles show the machine, not the
 * book. A flow is deterministic, so command i does the same work in every pass: each book passes over the flow several times, in turn, each time in a
 * fresh process, and command i counts with the least of its times. What a command does itself, such as walking many levels, is in every pass and
 * stays; what happens to hit it once goes. Percentiles are over commands. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#include "bench_flow.h"

/* Prints a `pass` line for each pass of each book, with its own percentiles, and a `latency` line for each book, from the least times. `ioc_` is over IOC
 * orders alone. The cost of reading the clock is taken off: the median
 * of a pass, and from the least times the least of all passes. */
void bench_latency_run(const bench_flow_t *flow, uint32_t repeat);

#endif
