#include "wire/ome_session_table.h"

#include <string.h>

#include "base/ome_assert.h"
#include "engine/ome_define.h"

void ome_session_table_init(
    ome_session_table_t *table, ome_arena_t *arena, uint32_t session_count_max, uint32_t copy_count_max, uint32_t connection_slot_max)
{
    const uint32_t numbers_left = UINT16_MAX - session_count_max;
    table->slot_count_max = session_count_max + (copy_count_max < numbers_left ? copy_count_max : numbers_left);
    table->sessions = ome_arena_take(arena, ((uint64_t)table->slot_count_max + 1) * sizeof(ome_session_slot_t));
    table->participants = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(ome_participant_reports_t));
    table->owners = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(uint16_t));
    table->by_connection = ome_arena_take(arena, ((uint64_t)connection_slot_max + 1) * sizeof(uint16_t));
    table->is_connected = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(uint8_t));
    table->connection_slot_max = connection_slot_max;
    table->session_count_max = session_count_max;
    table->connected_count = table->connected_copy_count = 0;
}

void ome_session_table_seed(ome_session_table_t *table, const ome_engine_t *engine)
{
    OME_ASSERT(engine->limits.session_count_max == table->session_count_max);
    for (uint32_t number = 1; number <= table->session_count_max; number++)
    {
        ome_session_slot_t *slot = &table->sessions[number];
        if (!ome_session_is_defined(engine, number))
        {
            continue;
        }
        slot->is_defined = true;
        slot->participant = ome_session_participant(engine, number);
        (void)ome_session_table_own(table, (uint16_t)number, slot->participant);
        slot->session_number = engine->sessions[number].session_number;
        memcpy(slot->participant_name, engine->sessions[number].participant_name, OME_NAME_SIZE);
        table->participants[slot->participant].report_sequence = ome_define_participant_reports(engine, slot->participant);
        if (ome_engine_counts_sessions(engine))
        {
            slot->flags = slot->defined_flags = engine->sessions[number].flags;
            slot->command_sequence = engine->progress[number].command_sequence;
            slot->report_sequence = engine->progress[number].report_sequence;
            slot->defined_sequence = engine->progress[number].defined_sequence;
        }
    }
}

uint16_t ome_session_table_own(ome_session_table_t *table, uint16_t session, uint16_t participant)
{
    const uint16_t former = table->owners[session];
    table->owners[session] = participant;
    table->participants[participant].session_count++;
    return former != 0 && --table->participants[former].session_count == 0 ? former : 0;
}

/* Returns whether there were reports before. */
static bool session_table_begin_reports(ome_session_table_t *table, uint16_t participant, uint64_t sequence)
{
    ome_participant_reports_t *reports = &table->participants[participant];
    const bool had_reports = reports->report_sequence != 0;
    reports->report_sequence = reports->first_kept = 0;
    reports->begun_sequence = sequence;
    return had_reports;
}

uint16_t ome_session_table_note_participant(ome_session_table_t *table, const ome_event_t *event)
{
    const bool is_of_session = event->kind == OME_EVENT_KIND_DEFINED && event->command_kind == OME_COMMAND_KIND_DEFINE_SESSION;
    if (!is_of_session || event->session > table->session_count_max || event->participant > table->session_count_max)
    {
        return 0;
    }
    const uint16_t former = ome_session_table_own(table, event->session, event->participant);
    if (former != 0 && session_table_begin_reports(table, former, event->sequence))
    {
        return former;
    }
    return event->quantity == 0 && session_table_begin_reports(table, event->participant, event->sequence) ? event->participant : 0;
}

/* A drop copy is no session: who counts sessions does not see it. */
static void session_table_count(ome_session_table_t *table, uint16_t session, bool is_connected)
{
    const uint32_t change = is_connected ? 1 : UINT32_MAX;
    if (session > table->session_count_max)
    {
        table->connected_copy_count += change;
        table->participants[table->sessions[session].participant].copy_count += change;
        return;
    }
    table->connected_count += change;
    atomic_store_explicit(&table->is_connected[session], is_connected, memory_order_relaxed);
}

void ome_session_table_bind(ome_session_table_t *table, uint16_t session, uint64_t peer)
{
    OME_ASSERT(session >= 1 && session <= table->slot_count_max);
    OME_ASSERT(peer != 0 && (uint32_t)peer <= table->connection_slot_max);
    ome_session_slot_t *slot = &table->sessions[session];
    const uint16_t first = ome_session_table_find(table, peer);
    OME_ASSERT(slot->peer == 0);
    slot->peer = peer;
    slot->next_of_peer = first;
    slot->is_shared = first != 0;
    table->sessions[first].is_shared = first != 0;
    table->by_connection[(uint32_t)peer] = session;
    session_table_count(table, session, true);
}

void ome_session_table_unbind(ome_session_table_t *table, uint16_t session)
{
    ome_session_slot_t *slot = &table->sessions[session];
    OME_ASSERT(slot->peer != 0);
    uint16_t *link = &table->by_connection[(uint32_t)slot->peer];
    while (*link != session)
    {
        OME_ASSERT(*link != 0 && table->sessions[*link].peer == slot->peer);
        link = &table->sessions[*link].next_of_peer;
    }
    *link = slot->next_of_peer;
    slot->next_of_peer = 0;
    slot->peer = 0;
    session_table_count(table, session, false);
}
