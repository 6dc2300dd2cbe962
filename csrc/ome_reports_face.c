#include "ome_reports_face.h"

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_memory.h"
#include "wire/ome_reports.h"

struct ome_report_table
{
    ome_reports_t reports;
    uint64_t *report_sequences; /* by session: of its last report, for ome_report_table_trades */
    uint64_t size_bytes;
    uint32_t session_count_max;
};

static uint64_t face_lay_out_table(ome_report_table_t *table, void *memory, const ome_limits_t *limits)
{
    ome_arena_t arena = {.memory = memory};
    (void)ome_arena_take(&arena, sizeof(ome_report_table_t));
    ome_reports_init(&table->reports, &arena, limits->order_count_max, limits->session_count_max);
    table->report_sequences = ome_arena_take(&arena, ((uint64_t)limits->session_count_max + 1) * sizeof(uint64_t));
    table->session_count_max = limits->session_count_max;
    return arena.used_bytes;
}

static void face_seed_sequences(ome_report_table_t *table, const ome_engine_t *engine)
{
    for (uint32_t number = 1; number <= table->session_count_max; number++)
    {
        ome_session_view_t session;
        if (ome_engine_session(engine, number, &session) == OME_OK)
        {
            table->report_sequences[number] = session.report_sequence;
        }
    }
}

ome_status_t ome_report_table_create(const ome_engine_t *engine, const ome_limits_t *limits, ome_report_table_t **table)
{
    ome_report_table_t measured;
    const uint64_t size_bytes = face_lay_out_table(&measured, NULL, limits);
    ome_report_table_t *made = ome_memory_map(size_bytes);
    if (made == NULL)
    {
        return OME_NO_MEMORY;
    }
    made->size_bytes = face_lay_out_table(made, made, limits);
    if (engine != NULL)
    {
        ome_reports_seed(&made->reports, engine);
        face_seed_sequences(made, engine);
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

/* A session is the participant's from here on, or no longer; with a number that begins anew, so do the reports. */
static void face_note_session(const ome_report_table_t *table, const ome_event_t *event, uint8_t *sessions, ome_copies_wanted_t *wanted)
{
    if (event->kind != OME_EVENT_KIND_DEFINED || event->command_kind != OME_COMMAND_KIND_DEFINE_SESSION ||
        event->session > table->session_count_max)
    {
        return;
    }
    sessions[event->session] = event->participant == wanted->participant;
    if (event->participant == wanted->participant && event->quantity == 0)
    {
        wanted->report_sequence = wanted->report_count = 0;
        wanted->has_begun = 1;
    }
}

void ome_report_table_copies(ome_report_table_t *table, const void *events, uint64_t count, uint8_t *sessions, ome_copies_wanted_t *wanted,
    uint8_t *reports, uint32_t count_max)
{
    const ome_event_t *event = events;
    uint64_t read = 0;
    wanted->report_count = wanted->has_begun = 0;
    for (; read < count && wanted->report_count + 2 <= count_max; read++, event++)
    {
        ome_execution_report_t made[2];
        const uint32_t made_count = ome_reports_make(&table->reports, event, made);
        face_note_session(table, event, sessions, wanted);
        for (uint32_t i = 0; i < made_count; i++)
        {
            const bool is_own = made[i].session != 0 && made[i].session <= table->session_count_max && sessions[made[i].session] != 0;
            made[i].report_sequence = is_own ? ++wanted->report_sequence : 0;
            if (is_own && made[i].report_sequence >= wanted->next_report_sequence)
            {
                memcpy(reports + (size_t)wanted->report_count++ * sizeof(made[i]), &made[i], sizeof(made[i]));
            }
        }
    }
    wanted->event_count = read;
}

void ome_report_table_trades(ome_report_table_t *table, const void *events, uint64_t count, const uint8_t *sessions,
    ome_trades_wanted_t *wanted, uint8_t *reports, uint32_t count_max)
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
            made[i].report_sequence = made[i].session != 0 ? ++table->report_sequences[made[i].session] : 0;
            const bool is_wanted = made[i].kind == OME_EVENT_KIND_TRADE && made[i].trade_id > wanted->after_trade_id &&
                                   made[i].timestamp_ns >= wanted->since_ns;
            if (is_wanted && sessions[made[i].session] != 0)
            {
                memcpy(reports + (size_t)wanted->report_count++ * sizeof(made[i]), &made[i], sizeof(made[i]));
            }
        }
    }
    wanted->event_count = read;
}

void ome_report_table_restart(ome_report_table_t *table, uint32_t session)
{
    OME_ASSERT(session <= table->session_count_max);
    table->report_sequences[session] = 0;
}
