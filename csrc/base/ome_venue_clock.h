/* The time of a venue, with which every command is stamped.
 *
 * The machine's clock (wall) can be set by anybody who administers the machine, and can be wrong. A timestamp cannot be
 * taken back: a time that is too late expires orders. So the venue's time begins at the wall clock and from then on
 * advances with a steady clock, which nobody sets (CLOCK_BOOTTIME: it continues while the machine is suspended, so that
 * a suspension is no jump). It follows the wall clock as long as both agree:
 *
 *     difference of the wall clock      what the venue's time does
 *     up to OME_VENUE_CLOCK_LIMIT_NS    approaches it, by at most 1 part in 512: 1 s takes 9 minutes; never goes back
 *     more                              is held: advances with the steady clock alone, until the wall clock agrees again or an operator accepts it
 *
 * A leap second, or a small correction by NTP, is within the limit.
 *
 * Threads: one follows and accepts; any thread reads the time. `version` is odd while the writer writes; a reader that
 * sees an odd one reads again.
 *
 * The functions take both clocks as values, so that a test needs no clock. */
#ifndef OME_VENUE_CLOCK_H
#define OME_VENUE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ome_clock.h"

#define OME_VENUE_CLOCK_LIMIT_NS INT64_C(1500000000)
#define OME_VENUE_CLOCK_SLEW_SHIFT 9u

typedef struct
{
    _Atomic uint64_t version;
    _Atomic uint64_t steady_ns; /* a moment of the steady clock */
    _Atomic uint64_t time_ns;   /* the venue's time at that moment */
    _Atomic int64_t correction_ns; /* still to make */
    /* Of the thread that follows. */
    int64_t difference_ns; /* of the wall clock to the venue's time, at the last comparison */
    uint64_t jump_count;   /* how often it was held */
    bool is_held;
} ome_venue_clock_t;

/* Begins at the wall clock, or at the time of the last command if that is later: then it is held if the difference is
 * more than the limit. */
void ome_venue_clock_init(ome_venue_clock_t *clock, uint64_t steady_ns, uint64_t wall_ns, uint64_t last_time_ns);

/* Compares with the wall clock: every 50 ms or so. */
void ome_venue_clock_follow(ome_venue_clock_t *clock, uint64_t steady_ns, uint64_t wall_ns);

/* The venue's time is the wall clock's from now on, earlier or later. */
void ome_venue_clock_accept(ome_venue_clock_t *clock, uint64_t steady_ns, uint64_t wall_ns);

/* The venue's time at a moment of the steady clock. Goes back by ome_venue_clock_accept; otherwise at most by what the
 * slew differs in the time between taking the clocks and ome_venue_clock_follow, some microseconds: the engine takes
 * the later of two times. Any thread. */
static inline uint64_t ome_venue_clock_at_ns(const ome_venue_clock_t *clock, uint64_t steady_ns)
{
    for (;;)
    {
        /* Acquire, each of these: none is read before the one above it. They pair with the releases in set_base. */
        const uint64_t version = atomic_load_explicit(&clock->version, memory_order_acquire);
        const uint64_t base_ns = atomic_load_explicit(&clock->steady_ns, memory_order_acquire);
        const uint64_t time_ns = atomic_load_explicit(&clock->time_ns, memory_order_acquire);
        const int64_t correction_ns = atomic_load_explicit(&clock->correction_ns, memory_order_acquire);
        if ((version & 1) != 0 || atomic_load_explicit(&clock->version, memory_order_relaxed) != version)
        {
            continue;
        }
        const uint64_t elapsed_ns = steady_ns > base_ns ? steady_ns - base_ns : 0;
        const int64_t most_ns = (int64_t)(elapsed_ns >> OME_VENUE_CLOCK_SLEW_SHIFT);
        const int64_t slewed_ns = correction_ns > most_ns ? most_ns : correction_ns < -most_ns ? -most_ns : correction_ns;
        return time_ns + elapsed_ns + (uint64_t)slewed_ns;
    }
}

/* Makes `copy` give the same time as of now, without the corrections that follow. One thread at a time; any thread may read the time of the copy meanwhile. */
void ome_venue_clock_copy(const ome_venue_clock_t *clock, ome_venue_clock_t *copy);

static inline uint64_t ome_venue_clock_now_ns(const ome_venue_clock_t *clock)
{
    return ome_venue_clock_at_ns(clock, ome_clock_steady_ns());
}

#endif
