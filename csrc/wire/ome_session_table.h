/* Who is connected: from a connection's routing id to its session, and back.
 *
 * A session (participant and number) is the engine's and outlives connections; here is which connection it has now, and how many reports it was sent. Routing ids are found by
 * linear probing in a table twice the sessions' number. Written and read by the gateway's thread alone. */
#ifndef OME_SESSION_TABLE_H
#define OME_SESSION_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ome_arena.h"

#define OME_PEER_SIZE_MAX 255u

typedef struct
{
    uint64_t report_sequence;   /* reports made for it in this epoch */
    uint32_t first_report;      /* of those waiting to be sent; index in the gateway's pool, 0 is none */
    uint32_t last_report;
    uint32_t refused_sequence;  /* where it was told BUSY: what it sent after that waits until it begins there again */
    bool is_refused;
    uint16_t participant;
    uint8_t peer_size_bytes;    /* 0: not connected */
    uint8_t peer[OME_PEER_SIZE_MAX];
} ome_session_slot_t;

typedef struct
{
    ome_session_slot_t *sessions; /* by session number; the first is not used */
    uint16_t *buckets;            /* session numbers; 0 is empty */
    uint32_t bucket_mask;
    uint32_t session_count_max;
    uint32_t connected_count;
} ome_session_table_t;

void ome_session_table_init(ome_session_table_t *table, ome_arena_t *arena, uint32_t session_count_max);

/* The session of a connection, or 0. */
uint16_t ome_session_table_find(const ome_session_table_t *table, const uint8_t *peer, uint32_t peer_size_bytes);

/* Gives the session this connection; it has none, and the connection has no session. */
void ome_session_table_bind(
    ome_session_table_t *table, uint16_t session, uint16_t participant, const uint8_t *peer, uint32_t peer_size_bytes);

/* Takes the session's connection away. It has one. */
void ome_session_table_unbind(ome_session_table_t *table, uint16_t session);

static inline bool ome_session_table_is_bound(const ome_session_table_t *table, uint16_t session)
{
    return table->sessions[session].peer_size_bytes != 0;
}

#endif
