#include "bench_churn.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "bench_book.h"
#include "bench_child.h"
#include "bench_cores.h"
#include "concurrent/ome_stream.h"

#define SLOT_COUNT 32768u
#define BATCH_COUNT 256u
#define WAIT_NS UINT64_C(1000000)

/* What a child is to do, and what it found; in shared memory. */
typedef struct
{
    const bench_subject_t *subject;
    const bench_flow_t *flow;
    bench_cores_t cores;
    uint64_t end_ns; /* written by the drainer, as is what follows */
    uint64_t event_count;
    uint64_t digest;
    uint64_t elapsed_ns;
    ome_stream_t *stream;
    pthread_barrier_t start;
} run_t;

/* Free slots of the stream, where a book writes its events. */
typedef struct
{
    ome_sink_t sink; /* first, so that a sink is its outlet */
    ome_stream_t *stream;
    ome_event_t *written_from; /* start of what was written and not published */
} outlet_t;

static void publish(outlet_t *outlet)
{
    const uint32_t count = (uint32_t)(outlet->sink.next - outlet->written_from);
    if (count > 0)
    {
        ome_stream_publish(outlet->stream, count);
    }
    outlet->written_from = outlet->sink.next;
}

/* The window is full, or there is none yet. */
static void open_window(ome_sink_t *sink)
{
    outlet_t *outlet = (outlet_t *)sink;
    publish(outlet);
    void *slots = NULL;
    uint32_t count = 0;
    while ((count = ome_stream_window(outlet->stream, &slots)) == 0)
    {
        (void)ome_stream_wait_room(outlet->stream, WAIT_NS);
    }
    outlet->written_from = slots;
    sink->next = slots;
    sink->end = sink->next + count;
}

static void apply_all(const run_t *run, void *book)
{
    outlet_t outlet = {.sink = {.flush = open_window}, .stream = run->stream};
    open_window(&outlet.sink);
    const ome_command_t *commands = run->flow->commands + run->flow->untimed_count;
    for (uint64_t at = 0; at < run->flow->timed_count; at += BATCH_COUNT)
    {
        const uint64_t left = run->flow->timed_count - at;
        run->subject->apply(book, commands + at, left < BATCH_COUNT ? left : BATCH_COUNT, &outlet.sink);
        publish(&outlet);
    }
    /* No event has kind 0: it says that this was all. */
    *outlet.sink.next++ = (ome_event_t){.kind = 0};
    publish(&outlet);
}

/* All but the ids that a book gives itself: word 1, and in a trade word 5, which is otherwise the time and left out as well. */
static uint64_t digest_event(uint64_t digest, const uint64_t *words)
{
    const uint64_t mixed = words[0] + words[2] * 3 + words[3] * 5 + words[4] * 7 + words[6] * 9 + words[7];
    return (digest << 5 | digest >> 59) ^ mixed;
}

static void *drain(void *context)
{
    run_t *run = context;
    bench_cores_take(&run->cores, 1);
    pthread_barrier_wait(&run->start);
    uint64_t event_count = 0;
    uint64_t digest = 0;
    for (;;)
    {
        const void *slots = NULL;
        const uint32_t count = ome_stream_available(run->stream, 0, &slots);
        if (count == 0)
        {
            (void)ome_stream_wait(run->stream, 0, WAIT_NS);
            continue;
        }
        const ome_event_t *events = slots;
        const bool is_last = events[count - 1].kind == 0;
        for (uint32_t i = 0; i < count - is_last; i++)
        {
            digest = digest_event(digest, (const uint64_t *)(const void *)&events[i]);
        }
        event_count += count - is_last;
        ome_stream_advance(run->stream, 0, count);
        if (is_last)
        {
            run->end_ns = ome_clock_monotonic_ns();
            run->event_count = event_count;
            run->digest = digest;
            return NULL;
        }
    }
}

static void make_stream(run_t *run)
{
    const bool has_two_cores = run->cores.core_count > 1;
    const ome_stream_config_t config = {
        .slot_count = SLOT_COUNT, .reader_count = 1, .wait_strategy = has_two_cores ? OME_WAIT_SPIN : OME_WAIT_BLOCK};
    const uint64_t size_bytes = ome_stream_size_bytes(SLOT_COUNT);
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL || ome_stream_init(&run->stream, memory, size_bytes, &config) != OME_OK)
    {
        bench_fail("no memory for a stream");
    }
}

static void measure(void *context)
{
    run_t *run = context;
    static bench_window_t window;
    bench_cores_take(&run->cores, 0);
    void *book = bench_book_prepare(run->subject, run->flow, &window);
    make_stream(run);
    pthread_t drainer;
    pthread_barrier_init(&run->start, NULL, 2);
    if (pthread_create(&drainer, NULL, drain, run) != 0)
    {
        bench_fail("no thread for the drainer");
    }
    pthread_barrier_wait(&run->start);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    apply_all(run, book);
    pthread_join(drainer, NULL);
    run->elapsed_ns = run->end_ns - start_ns;
}

/* Engine and textbook say what the first run of the engine said; the null engine answers once. */
static void check(const run_t *run, uint64_t event_count, uint64_t digest)
{
    const bool is_null = run->subject == &BENCH_SUBJECTS[BENCH_SUBJECT_NULL];
    const uint64_t expected = is_null ? run->flow->timed_count : event_count;
    if (run->event_count != expected || (!is_null && run->digest != digest))
    {
        bench_fail("the drainer read %" PRIu64 " events of %s, digest %016" PRIx64 ", and not %" PRIu64 ", digest %016" PRIx64,
            run->event_count, run->subject->name, run->digest, expected, digest);
    }
}

void bench_churn_run(uint64_t count, uint32_t repeat, uint64_t seed)
{
    uint64_t event_count = 0;
    const bench_flow_t *flow = bench_book_agree("churn", count, seed, &event_count);
    run_t *run = bench_shared_memory(sizeof(*run));
    run->flow = flow;
    bench_cores_find(&run->cores);
    printf("{\"type\": \"stream\", \"slots\": %u, \"batch\": %u, \"wait\": \"%s\", \"cores_used\": %u}\n", SLOT_COUNT, BATCH_COUNT,
        run->cores.core_count > 1 ? "spin" : "block", run->cores.core_count > 1 ? 2 : 1);
    uint64_t digest = 0;
    for (uint32_t i = 0; i < BENCH_SUBJECT_COUNT * repeat; i++)
    {
        run->subject = &BENCH_SUBJECTS[i % BENCH_SUBJECT_COUNT];
        bench_child_run(measure, run);
        digest = i == 0 ? run->digest : digest;
        check(run, event_count - flow->untimed_count, digest);
        printf("{\"type\": \"sample\", \"subject\": \"%s\", \"operations\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64 ", \"events\": %" PRIu64
               "}\n",
            run->subject->name, flow->timed_count, run->elapsed_ns, run->event_count);
    }
}
