#include "bench_window.h"

#include <string.h>

#include "base/ome_hash.h"

static uint64_t rewind_window(bench_window_t *window)
{
    const uint64_t count = (uint64_t)(window->sink.next - window->events);
    window->sink.next = window->events;
    window->event_count += count;
    return count;
}

static void count_events(ome_sink_t *sink)
{
    (void)rewind_window((bench_window_t *)sink);
}

static void digest_events(ome_sink_t *sink)
{
    bench_window_t *window = (bench_window_t *)sink;
    const uint64_t count = rewind_window(window);
    for (uint64_t i = 0; i < count; i++)
    {
        ome_event_t event = window->events[i];
        event.order_id = 0;
        if (event.kind == OME_EVENT_KIND_TRADE)
        {
            event.resting_order_id = 0;
            window->trade_count++;
        }
        uint64_t words[8];
        memcpy(words, &event, sizeof(words));
        window->digest = ome_hash_mix(window->digest, words);
    }
}

static void init(bench_window_t *window, void (*flush)(ome_sink_t *sink))
{
    memset(window, 0, sizeof(*window));
    window->digest = OME_HASH_EVENTS_INITIAL;
    window->sink = (ome_sink_t){.next = window->events, .end = window->events + BENCH_WINDOW_EVENT_COUNT, .flush = flush};
}

void bench_window_init_counting(bench_window_t *window)
{
    init(window, count_events);
}

void bench_window_init_digesting(bench_window_t *window)
{
    init(window, digest_events);
}

void bench_window_finish(bench_window_t *window)
{
    window->sink.flush(&window->sink);
}
