/* The benchmark that the original design tells of itself: buy and sell in turn at one price, from one producer through ring, match and journal to a
 * reader of the events; then each of the parts alone. */
#ifndef BENCH_HEADLINE_H
#define BENCH_HEADLINE_H

#include <stdint.h>

/* `count` orders, made even. Prints one sample of the whole, and one each of `claim` (claiming, filling and publishing, one thread), `ring` (the same, to
 * another thread), `match` (the engine alone) and `events` (64 bytes an event through the stream to another thread), in orders. */
void bench_headline_run(uint64_t count, uint32_t repeat);

#endif
