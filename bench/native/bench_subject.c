#include "bench_subject.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/ome_memory.h"
#include "bench_child.h"
#include "bench_textbook.h"
#include "commands/ome_apply.h"

static void *create_engine(const ome_limits_t *limits, bool is_warm)
{
    const uint64_t size_bytes = ome_engine_size_bytes(limits);
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL)
    {
        bench_fail("no memory for an engine of %" PRIu64 " bytes", size_bytes);
    }
    if (is_warm)
    {
        bench_touch_to_write(memory, size_bytes);
    }
    ome_engine_t *engine = NULL;
    if (ome_engine_init(&engine, memory, size_bytes, limits) != OME_OK)
    {
        bench_fail("the engine refused its limits");
    }
    return engine;
}

static void apply_engine(void *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    ome_engine_apply_many(book, commands, count, sink);
}

static void *create_textbook(const ome_limits_t *limits, bool is_warm)
{
    if (is_warm)
    {
        bench_textbook_warm_heap(limits->order_count_max);
    }
    return bench_textbook_create(limits->order_count_max, limits->instrument_count_max);
}

static void apply_textbook(void *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    bench_textbook_apply(book, commands, count, sink);
}

/* ---- null engine ---- */

typedef struct
{
    uint64_t sequence;
} null_engine_t;

static void *create_null(const ome_limits_t *limits, bool is_warm)
{
    (void)limits;
    (void)is_warm;
    null_engine_t *engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
    {
        bench_fail("no memory for a null engine");
    }
    return engine;
}

/* Whole words, as the engine writes them. */
static void apply_null(void *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    null_engine_t *engine = book;
    for (uint64_t i = 0; i < count; i++)
    {
        const ome_command_t *command = &commands[i];
        uint64_t *words = (uint64_t *)(void *)sink->next;
        words[0] = ++engine->sequence;
        words[1] = engine->sequence;
        words[2] = command->client_order_id;
        words[3] = (uint64_t)command->price;
        words[4] = (uint64_t)command->quantity;
        words[5] = command->timestamp_ns;
        words[6] = (uint64_t)command->account | (uint64_t)command->participant << 32 | (uint64_t)command->session << 48;
        words[7] = (uint64_t)command->instrument | (uint64_t)OME_EVENT_KIND_ACCEPTED << 32 | (uint64_t)command->side << 40;
        if (++sink->next == sink->end)
        {
            sink->flush(sink);
        }
    }
}

const bench_subject_t BENCH_SUBJECTS[BENCH_SUBJECT_COUNT] = {
    [BENCH_SUBJECT_OME] = {.name = "ome", .create = create_engine, .apply = apply_engine},
    [BENCH_SUBJECT_TEXTBOOK] = {.name = "textbook", .create = create_textbook, .apply = apply_textbook},
    [BENCH_SUBJECT_NULL] = {.name = "null", .create = create_null, .apply = apply_null},
};
