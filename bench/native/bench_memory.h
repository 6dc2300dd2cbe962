/* The figure of memory: what an order at rest costs, with all that finds it.
 *
 * A book is made in a fresh process and filled with plain orders of 16 participants in random order, 100 a level; nothing trades. What its process has resident
 * more at the end than before the book was made, divided by the orders. The orders are made as they are needed, so that no flow is in memory. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stdint.h>

/* Prints a `flow` line and `repeat` samples of engine and textbook as JSON lines. Takes fewer orders than `count` where the machine has too little memory available
 * for the textbook. Both must say the same. */
void bench_memory_run(uint64_t count, uint32_t repeat, uint64_t seed);

#endif
