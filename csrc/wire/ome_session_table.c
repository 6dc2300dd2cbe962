#include "wire/ome_session_table.h"

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_checksum.h"

void ome_session_table_init(ome_session_table_t *table, ome_arena_t *arena, uint32_t session_count_max)
{
    uint32_t bucket_count = 64;
    while (bucket_count < 2 * session_count_max)
    {
        bucket_count *= 2;
    }
    table->sessions = ome_arena_take(arena, ((uint64_t)session_count_max + 1) * sizeof(ome_session_slot_t));
    table->buckets = ome_arena_take(arena, bucket_count * sizeof(uint16_t));
    table->bucket_mask = bucket_count - 1;
    table->session_count_max = session_count_max;
    table->connected_count = 0;
}

static uint32_t home_of(const ome_session_table_t *table, const uint8_t *peer, uint32_t peer_size_bytes)
{
    return ome_crc32c(0, peer, peer_size_bytes) & table->bucket_mask;
}

static bool is_peer_of(const ome_session_slot_t *session, const uint8_t *peer, uint32_t peer_size_bytes)
{
    return session->peer_size_bytes == peer_size_bytes && memcmp(session->peer, peer, peer_size_bytes) == 0;
}

uint16_t ome_session_table_find(const ome_session_table_t *table, const uint8_t *peer, uint32_t peer_size_bytes)
{
    for (uint32_t at = home_of(table, peer, peer_size_bytes); table->buckets[at] != 0; at = (at + 1) & table->bucket_mask)
    {
        if (is_peer_of(&table->sessions[table->buckets[at]], peer, peer_size_bytes))
        {
            return table->buckets[at];
        }
    }
    return 0;
}

void ome_session_table_bind(
    ome_session_table_t *table, uint16_t session, uint16_t participant, const uint8_t *peer, uint32_t peer_size_bytes)
{
    OME_ASSERT(session >= 1 && session <= table->session_count_max);
    OME_ASSERT(peer_size_bytes >= 1 && peer_size_bytes <= OME_PEER_SIZE_MAX);
    ome_session_slot_t *slot = &table->sessions[session];
    OME_ASSERT(slot->peer_size_bytes == 0);
    uint32_t at = home_of(table, peer, peer_size_bytes);
    while (table->buckets[at] != 0)
    {
        at = (at + 1) & table->bucket_mask;
    }
    table->buckets[at] = session;
    table->connected_count++;
    slot->participant = participant;
    slot->is_refused = false;
    slot->peer_size_bytes = (uint8_t)peer_size_bytes;
    memcpy(slot->peer, peer, peer_size_bytes);
}

void ome_session_table_unbind(ome_session_table_t *table, uint16_t session)
{
    ome_session_slot_t *slot = &table->sessions[session];
    OME_ASSERT(slot->peer_size_bytes != 0);
    const uint32_t mask = table->bucket_mask;
    uint32_t hole = home_of(table, slot->peer, slot->peer_size_bytes);
    while (table->buckets[hole] != session)
    {
        OME_ASSERT(table->buckets[hole] != 0);
        hole = (hole + 1) & mask;
    }
    /* Pull back whatever would no longer be reached across the hole (Knuth 6.4, algorithm R). */
    for (uint32_t at = (hole + 1) & mask; table->buckets[at] != 0; at = (at + 1) & mask)
    {
        const ome_session_slot_t *other = &table->sessions[table->buckets[at]];
        const uint32_t home = home_of(table, other->peer, other->peer_size_bytes);
        if (((at - home) & mask) >= ((at - hole) & mask))
        {
            table->buckets[hole] = table->buckets[at];
            hole = at;
        }
    }
    table->buckets[hole] = 0;
    slot->peer_size_bytes = 0;
    table->connected_count--;
}
