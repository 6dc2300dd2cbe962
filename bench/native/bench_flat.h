/* What must cost the same however much is at rest or waits: a mass cancel, by how many orders it cancels and how many others there are; and a trade, by how many trailing stops
 * wait that it does not trigger. Each size in a fresh process. */
#ifndef BENCH_FLAT_H
#define BENCH_FLAT_H

#include <stdint.h>

/* Up to `count` orders at rest, of 16 participants. Prints samples of "AT_REST/CANCELLED", in mass cancels, each the least of some. Ends the process when others are cancelled. */
void bench_flat_run_mass_cancel(uint64_t count, uint32_t repeat, uint64_t seed);

/* Up to 6 stops for each 100 of `count`. Prints samples of "WAITING", in trades. Ends the process when a stop triggers. */
void bench_flat_run_trailing(uint64_t count, uint32_t repeat);

#endif
