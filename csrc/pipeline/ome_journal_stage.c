#include "pipeline/ome_journal_stage.h"

#include "abi/ome_records.h"
#include "base/ome_clock.h"

#define PART_COUNT_MAX 256u
#define REST_WAIT_NS UINT64_C(1000000)
#define COMMAND_RECORD_COUNT_MAX 5u /* of the longest command, with all terms that there are and room for more */
#define COMMAND_SIZE_MAX (COMMAND_RECORD_COUNT_MAX * OME_JOURNAL_COMMAND_SIZE)

void ome_journal_stage_init(ome_journal_stage_t *stage, const ome_journal_stage_config_t *config)
{
    *stage = (ome_journal_stage_t){.writer = config->writer,
        .ring = config->ring,
        .published = config->published,
        .counters = config->counters,
        .next_sequence = config->first_sequence,
        .delay_ns = config->delay_ns,
        .batch_count = config->batch_count,
        .consumer_index = config->consumer_index,
        .waits = (config->published->required >> OME_GATE_DURABLE & 1) != 0,
        .status = OME_OK};
}

uint64_t ome_journal_stage_unsynced_count(const ome_journal_stage_t *stage)
{
    return stage->writer->written_sequence - stage->writer->durable_sequence;
}

/* A command of several records is written whole: who is killed between two writes leaves all of it or nothing. */
static ome_status_t stage_begin_command(ome_journal_stage_t *stage, uint16_t kind, const uint8_t *body)
{
    const bool is_continued = ome_journal_is_continued(kind, body);
    const bool begins_several = is_continued && kind != OME_COMMAND_KIND_ORDER_TERMS;
    stage->is_in_command = begins_several || (is_continued && stage->is_in_command);
    return begins_several ? ome_journal_writer_make_room(stage->writer, COMMAND_SIZE_MAX) : OME_OK;
}

/* The slots are free again when this returns OME_OK: the writer has copied them. */
static ome_status_t stage_append(ome_journal_stage_t *stage, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        const uint64_t sequence = stage->next_sequence + i;
        const ome_command_t *command = ome_ring_slot(stage->ring, sequence);
        /* A kind of 0 marks the end of a journal; the engine rejects it and every other unknown kind alike. */
        const uint16_t kind = command->kind != 0 ? command->kind : UINT8_MAX;
        const uint8_t *body = (const uint8_t *)command + sizeof(uint64_t);
        ome_status_t status = stage_begin_command(stage, kind, body);
        if (status != OME_OK)
        {
            return status;
        }
        status = ome_journal_writer_append(stage->writer, sequence, kind, body, OME_BODY_SIZE);
        if (status != OME_OK)
        {
            return status;
        }
    }
    stage->next_sequence += count;
    ome_ring_consumer_advance(stage->ring, stage->consumer_index, stage->next_sequence - 1);
    return OME_OK;
}

/* Appends what is there and what comes meanwhile, at most as much as the ring holds and the rest of the last command;
 * gives how much. In parts, so that the slots of one part are filled again while the next is appended.
 *
 * A group ends with a whole command, so that nobody is told of a part of one, which recovery would take away. The rest comes at once: who
 * sends a command claims and publishes all of it together. For a sender that does not, nobody waits for long. */
static ome_status_t stage_append_group(ome_journal_stage_t *stage, uint32_t *group_count)
{
    const uint32_t group_count_max = stage->ring->slot_count;
    *group_count = 0;
    while (*group_count < group_count_max || (stage->is_in_command && *group_count < group_count_max + COMMAND_RECORD_COUNT_MAX))
    {
        const uint32_t left = *group_count < group_count_max ? group_count_max - *group_count : 1;
        const uint32_t count = ome_ring_available(stage->ring, stage->next_sequence, left < PART_COUNT_MAX ? left : PART_COUNT_MAX);
        if (count == 0)
        {
            if (stage->is_in_command && ome_ring_wait(stage->ring, stage->next_sequence, REST_WAIT_NS) == OME_OK)
            {
                continue;
            }
            break;
        }
        const ome_status_t status = stage_append(stage, count);
        if (status != OME_OK)
        {
            return status;
        }
        *group_count += count;
    }
    return OME_OK;
}

/* Says that everything written is durable. */
static void stage_open_gate(ome_journal_stage_t *stage)
{
    const uint64_t durable = stage->writer->durable_sequence;
    ome_published_advance(stage->published, OME_GATE_DURABLE, durable);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_DURABLE), durable);
    ome_counter_set(ome_counters_counter(stage->counters, OME_COUNT_JOURNAL_UNPREPARED), stage->writer->unprepared_count);
    ome_counter_add(ome_counters_counter(stage->counters, OME_COUNT_COMMITS), 1);
}

static ome_status_t stage_sync(ome_journal_stage_t *stage)
{
    const uint64_t start_ns = ome_clock_monotonic_ns();
    const ome_status_t status = ome_journal_writer_sync(stage->writer);
    if (status == OME_OK)
    {
        ome_histogram_record(ome_counters_histogram(stage->counters, OME_LATENCY_COMMIT), ome_clock_monotonic_ns() - start_ns);
        stage_open_gate(stage);
    }
    return status;
}

static ome_status_t stage_write_group(ome_journal_stage_t *stage, uint32_t *count)
{
    if (ome_journal_stage_unsynced_count(stage) == 0)
    {
        stage->oldest_unsynced_ns = ome_clock_monotonic_ns();
    }
    ome_status_t status = stage_append_group(stage, count);
    if (status == OME_OK)
    {
        status = ome_journal_writer_write(stage->writer);
    }
    /* Relaxed: it is only a hint to be seen some time. A venue that writes little makes no second segment. */
    atomic_store_explicit(&stage->is_spare_due, stage->writer->offset > stage->writer->segment_size_bytes / 4, memory_order_relaxed);
    return status;
}

static bool stage_is_sync_due(const ome_journal_stage_t *stage, uint32_t count)
{
    const uint64_t unsynced = ome_journal_stage_unsynced_count(stage);
    if (unsynced == 0)
    {
        return false;
    }
    return stage->waits || count == 0 || unsynced >= stage->batch_count ||
           ome_clock_monotonic_ns() - stage->oldest_unsynced_ns >= stage->delay_ns;
}

uint32_t ome_journal_stage_do_work(ome_journal_stage_t *stage)
{
    if (stage->status != OME_OK)
    {
        return 0;
    }
    uint32_t count;
    stage->status = stage_write_group(stage, &count);
    if (stage->status != OME_OK)
    {
        return 0;
    }
    if (!stage_is_sync_due(stage, count))
    {
        return count;
    }
    stage->status = stage_sync(stage);
    return stage->status == OME_OK ? count + 1 : 0;
}
