#include "base/ome_venue_clock.h"

static void clock_set_base(ome_venue_clock_t *clock, uint64_t steady_ns, uint64_t time_ns, int64_t correction_ns)
{
    const uint64_t version = atomic_load_explicit(&clock->version, memory_order_relaxed);
    atomic_store_explicit(&clock->version, version + 1, memory_order_relaxed);
    /* Release, each of these: a reader of one of them sees that the version is odd, or the next. They pair with the acquires in
     * ome_venue_clock_at_ns. */
    atomic_store_explicit(&clock->steady_ns, steady_ns, memory_order_release);
    atomic_store_explicit(&clock->time_ns, time_ns, memory_order_release);
    atomic_store_explicit(&clock->correction_ns, correction_ns, memory_order_release);
    atomic_store_explicit(&clock->version, version + 2, memory_order_release);
}

void ome_venue_clock_init(ome_venue_clock_t *clock, uint64_t steady_ns, uint64_t wall_ns, uint64_t last_time_ns)
{
    *clock = (ome_venue_clock_t){0};
    clock_set_base(clock, steady_ns, wall_ns > last_time_ns ? wall_ns : last_time_ns, 0);
    ome_venue_clock_follow(clock, steady_ns, wall_ns);
}

void ome_venue_clock_follow(ome_venue_clock_t *clock, uint64_t steady_ns, uint64_t wall_ns)
{
    const uint64_t time_ns = ome_venue_clock_at_ns(clock, steady_ns);
    clock->difference_ns = (int64_t)(wall_ns - time_ns);
    const bool agrees = clock->difference_ns <= OME_VENUE_CLOCK_LIMIT_NS && clock->difference_ns >= -OME_VENUE_CLOCK_LIMIT_NS;
    clock->jump_count += !agrees && !clock->is_held;
    clock->is_held = !agrees;
    clock_set_base(clock, steady_ns, time_ns, agrees ? clock->difference_ns : 0);
}

void ome_venue_clock_copy(const ome_venue_clock_t *clock, ome_venue_clock_t *copy)
{
    const uint64_t steady_ns = ome_clock_steady_ns();
    clock_set_base(copy, steady_ns, ome_venue_clock_at_ns(clock, steady_ns), 0);
}

void ome_venue_clock_accept(ome_venue_clock_t *clock, uint64_t steady_ns, uint64_t wall_ns)
{
    clock->difference_ns = 0;
    clock->is_held = false;
    clock_set_base(clock, steady_ns, wall_ns, 0);
}
