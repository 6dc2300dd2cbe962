#include "wire/ome_session_table.h"

#include "base/ome_assert.h"

void ome_session_table_init(ome_session_table_t *table, ome_arena_t *arena, uint32_t session_count_max, uint32_t connection_slot_max)
{
    table->sessions = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(ome_session_slot_t));
    table->by_connection = ome_arena_take(arena, ((uint64_t)connection_slot_max + 1) * sizeof(uint16_t));
    table->connection_slot_max = connection_slot_max;
    table->session_count_max = session_count_max;
    table->connected_count = 0;
    table->heartbeat_count = 0;
}

void ome_session_table_bind(ome_session_table_t *table, uint16_t session, uint64_t peer, uint32_t heartbeat_ms)
{
    OME_ASSERT(session >= 1 && session <= table->session_count_max);
    OME_ASSERT(peer != 0 && (uint32_t)peer <= table->connection_slot_max);
    ome_session_slot_t *slot = &table->sessions[session];
    OME_ASSERT(slot->peer == 0);
    slot->peer = peer;
    slot->heartbeat_ms = heartbeat_ms;
    slot->is_refused = false;
    slot->noise_count = 0;
    table->by_connection[(uint32_t)peer] = session;
    table->connected_count++;
    table->heartbeat_count += heartbeat_ms != 0;
}

void ome_session_table_unbind(ome_session_table_t *table, uint16_t session)
{
    ome_session_slot_t *slot = &table->sessions[session];
    OME_ASSERT(slot->peer != 0);
    OME_ASSERT(table->by_connection[(uint32_t)slot->peer] == session);
    table->by_connection[(uint32_t)slot->peer] = 0;
    table->connected_count--;
    table->heartbeat_count -= slot->heartbeat_ms != 0;
    slot->peer = 0;
}
