#include "ome_reports_face.h"

#include <string.h>

#include "base/ome_memory.h"
#include "wire/ome_reports.h"

struct ome_report_table
{
    ome_reports_t reports;
    uint64_t size_bytes;
};

static uint64_t face_lay_out_table(ome_reports_t *reports, void *memory, const ome_limits_t *limits)
{
    ome_arena_t arena = {.memory = memory};
    (void)ome_arena_take(&arena, sizeof(ome_report_table_t));
    ome_reports_init(reports, &arena, limits->order_count_max, limits->session_count_max);
    return arena.used_bytes;
}

ome_status_t ome_report_table_create(const ome_engine_t *engine, const ome_limits_t *limits, ome_report_table_t **table)
{
    ome_reports_t measured;
    const uint64_t size_bytes = face_lay_out_table(&measured, NULL, limits);
    ome_report_table_t *made = ome_memory_map(size_bytes);
    if (made == NULL)
    {
        return OME_NO_MEMORY;
    }
    made->size_bytes = face_lay_out_table(&made->reports, made, limits);
    if (engine != NULL)
    {
        ome_reports_seed(&made->reports, engine);
    }
    *table = made;
    return OME_OK;
}

void ome_report_table_destroy(ome_report_table_t *table)
{
    if (table != NULL)
    {
        ome_memory_unmap(table, table->size_bytes);
    }
}

void ome_report_table_make(
    ome_report_table_t *table, const void *events, uint64_t count, ome_report_wanted_t *wanted, uint8_t *reports, uint32_t count_max)
{
    const ome_event_t *event = events;
    uint64_t read = 0;
    wanted->report_count = 0;
    for (; read < count && wanted->report_count + 2 <= count_max; read++, event++)
    {
        ome_execution_report_t made[2];
        const uint32_t made_count = ome_reports_make(&table->reports, event, made);
        for (uint32_t i = 0; i < made_count; i++)
        {
            if (made[i].session != wanted->session || event->sequence <= wanted->defined_sequence)
            {
                continue;
            }
            made[i].report_sequence = ++wanted->report_sequence;
            if (made[i].report_sequence >= wanted->next_report_sequence)
            {
                memcpy(reports + (size_t)wanted->report_count++ * sizeof(made[i]), &made[i], sizeof(made[i]));
            }
        }
    }
    wanted->event_count = read;
}
