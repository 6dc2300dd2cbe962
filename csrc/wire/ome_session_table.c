#include "wire/ome_session_table.h"

#include <string.h>

#include "base/ome_assert.h"

void ome_session_table_init(ome_session_table_t *table, ome_arena_t *arena, uint32_t session_count_max, uint32_t connection_slot_max)
{
    table->sessions = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(ome_session_slot_t));
    table->by_connection = ome_arena_take(arena, ((uint64_t)connection_slot_max + 1) * sizeof(uint16_t));
    table->is_connected = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(uint8_t));
    table->connection_slot_max = connection_slot_max;
    table->session_count_max = session_count_max;
    table->connected_count = 0;
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
        slot->session_number = engine->sessions[number].session_number;
        memcpy(slot->participant_name, engine->sessions[number].participant_name, OME_NAME_SIZE);
        if (ome_engine_counts_sessions(engine))
        {
            slot->flags = slot->defined_flags = engine->sessions[number].flags;
            slot->command_sequence = engine->progress[number].command_sequence;
            slot->report_sequence = engine->progress[number].report_sequence;
            slot->defined_sequence = engine->progress[number].defined_sequence;
        }
    }
}

void ome_session_table_bind(ome_session_table_t *table, uint16_t session, uint64_t peer)
{
    OME_ASSERT(session >= 1 && session <= table->session_count_max);
    OME_ASSERT(peer != 0 && (uint32_t)peer <= table->connection_slot_max);
    ome_session_slot_t *slot = &table->sessions[session];
    const uint16_t first = ome_session_table_find(table, peer);
    OME_ASSERT(slot->peer == 0);
    slot->peer = peer;
    slot->next_of_peer = first;
    slot->is_shared = first != 0;
    table->sessions[first].is_shared = first != 0;
    table->by_connection[(uint32_t)peer] = session;
    table->connected_count++;
    atomic_store_explicit(&table->is_connected[session], 1, memory_order_relaxed);
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
    table->connected_count--;
    atomic_store_explicit(&table->is_connected[session], 0, memory_order_relaxed);
}
