/* Where both books write their events: 64 KB that are used again and again, so that they stay in the second-level cache.
 *
 * Emptying the window only counts, or it takes a digest of all events too. The digest leaves out the order ids that a book gives, for these
 * are its own affair; it has everything else: sequence, both client order ids of a trade, price, quantity, time, owner, kind, side, reason
 * and flags. Two books that give the same digest and the same count said the same. */
#ifndef BENCH_WINDOW_H
#define BENCH_WINDOW_H

#include <stdint.h>

#include "engine/ome_sink.h"

#define BENCH_WINDOW_EVENT_COUNT 1024u

typedef struct
{
    ome_sink_t sink; /* first, so that a sink is its window */
    uint64_t event_count; /* emptied so far */
    uint64_t trade_count; /* of those; 0 where emptying only counts */
    uint64_t digest; /* as trade_count */
    ome_event_t events[BENCH_WINDOW_EVENT_COUNT];
} bench_window_t;

/* A window that only counts. */
void bench_window_init_counting(bench_window_t *window);

/* A window that takes the digest. */
void bench_window_init_digesting(bench_window_t *window);

/* Empties what is left. */
void bench_window_finish(bench_window_t *window);

#endif
