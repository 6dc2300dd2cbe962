#include "state/ome_resize.h"

#include <errno.h>
#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_memory.h"
#include "state/ome_snapshot.h"

/* The snapshot, in memory, and what it takes to write and read it. */
typedef struct
{
    ome_snapshot_writer_t writer;
    ome_snapshot_reader_t reader;
    uint8_t *bytes;
    uint64_t size_bytes;
    uint64_t used_bytes; /* written, and then read */
} work_t;

/* The header comes first, and says how much there will be. */
static int resize_put(void *context, const void *bytes, uint32_t size_bytes)
{
    work_t *work = context;
    if (work->bytes == NULL)
    {
        work->size_bytes = work->writer.header.total_size;
        work->bytes = ome_memory_map(work->size_bytes);
        if (work->bytes == NULL)
        {
            return -ENOMEM;
        }
    }
    OME_ASSERT(size_bytes <= work->size_bytes - work->used_bytes);
    memcpy(work->bytes + work->used_bytes, bytes, size_bytes);
    work->used_bytes += size_bytes;
    return 0;
}

static int64_t resize_get(void *context, void *bytes, uint32_t size_bytes)
{
    work_t *work = context;
    const uint64_t left_bytes = work->size_bytes - work->used_bytes;
    const uint64_t count = size_bytes < left_bytes ? size_bytes : left_bytes;
    memcpy(bytes, work->bytes + work->used_bytes, count);
    work->used_bytes += count;
    return (int64_t)count;
}

/* The highest number that a session or a participant has: there may be gaps below it. */
static uint32_t resize_session_number_max(const ome_engine_t *engine)
{
    uint32_t number = engine->limits.session_count_max;
    while (number > 0 && !ome_session_is_defined(engine, number) && engine->participant_sessions[number] == 0)
    {
        number--;
    }
    return number;
}

bool ome_engine_fits(const ome_engine_t *engine, const ome_limits_t *limits)
{
    return engine->pools.orders.slots_ever_used <= limits->order_count_max && engine->pools.ladder.level_count <= limits->level_count_max &&
           engine->instrument_count <= limits->instrument_count_max && resize_session_number_max(engine) <= limits->session_count_max &&
           engine->pools.specials.record_count <= limits->special_count_max && engine->limits.rules_version <= limits->rules_version &&
           engine->accounts.count <= limits->account_count_max;
}

/* What was counted under rules without sessions means nothing. */
static void resize_set_rules(ome_engine_t *engine, uint32_t rules_version)
{
    const bool counted = ome_engine_counts_sessions(engine);
    engine->limits.rules_version = rules_version;
    ome_engine_set_account_mask(engine);
    for (uint32_t number = 1; number <= engine->limits.session_count_max && !counted; number++)
    {
        engine->progress[number] = (ome_session_progress_t){.defined_sequence = engine->sequence};
        engine->sessions[number].flags = 0;
    }
}

/* Makes the engine of the new limits. */
static ome_status_t resize_move(work_t *work, ome_engine_t **engine, const ome_limits_t *limits)
{
    const ome_snapshot_past_t past = {0}; /* nobody asks it */
    if (ome_snapshot_write(&work->writer, *engine, past, resize_put, work) != OME_OK)
    {
        return OME_NO_MEMORY;
    }
    work->used_bytes = 0;
    const uint64_t size_bytes = ome_engine_size_bytes(limits);
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    ome_status_t status = ome_snapshot_open(&work->reader, resize_get, work);
    OME_ASSERT(status == OME_OK);
    ome_limits_t moved = *limits; /* a snapshot has the rules of its progress */
    moved.rules_version = (*engine)->limits.rules_version;
    ome_snapshot_set_limits(&work->reader.header, &moved);
    ome_engine_t *made = NULL;
    status = ome_snapshot_restore(&work->reader, &made, memory, size_bytes);
    OME_ASSERT(status == OME_OK); /* what was just written, and fits */
    resize_set_rules(made, limits->rules_version);
    ome_memory_unmap(*engine, ome_engine_size_bytes(&(*engine)->limits));
    *engine = made;
    return OME_OK;
}

ome_status_t ome_engine_resize(ome_engine_t **engine, const ome_limits_t *limits)
{
    if (ome_engine_size_bytes(limits) == 0)
    {
        return OME_INVALID;
    }
    if (!ome_engine_fits(*engine, limits))
    {
        return OME_FULL;
    }
    work_t *work = ome_memory_map(sizeof(*work));
    if (work == NULL)
    {
        return OME_NO_MEMORY;
    }
    const ome_status_t status = resize_move(work, engine, limits);
    ome_memory_unmap(work->bytes, work->size_bytes);
    ome_memory_unmap(work, sizeof(*work));
    return status;
}
