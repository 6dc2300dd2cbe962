/* The table of connected sessions: from a connection to its session, and back.
 *
 * A session (participant and number) is the engine's and outlives connections; here is which connection it has now, and
 * how many reports it was sent. A session that has sent no command yet is known here alone: it is defined in the engine
 * with its first command. Written and read by the gateway's thread alone. */
#ifndef OME_SESSION_TABLE_H
#define OME_SESSION_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "base/ome_arena.h"

typedef struct
{
    uint64_t peer;            /* 0: not connected */
    uint64_t report_sequence; /* reports made for it in this epoch */
    uint64_t heard_ns;        /* monotonic: when it last sent something */
    uint64_t spoke_ns;        /* when it was last sent something */
    uint32_t heartbeat_ms;    /* 0: nobody minds silence */
    uint32_t first_report;    /* of those waiting to be sent; index in the gateway's pool, 0 is none */
    uint32_t last_report;
    uint32_t refused_sequence; /* the sequence that got BUSY: later frames are refused until one begins with it */
    uint32_t noise_count;      /* bad frames and heartbeats in this tick: */
    uint64_t noise_tick;
    bool is_refused;
    bool is_defined;           /* in the engine, or on its way there */
    uint16_t participant;
    uint16_t session_number;
    char participant_name[OME_NAME_SIZE];
} ome_session_slot_t;

typedef struct
{
    ome_session_slot_t *sessions; /* by session; the first is not used */
    uint16_t *by_connection;      /* sessions, by the slot of the connection; 0: none */
    uint32_t connection_slot_max;
    uint32_t session_count_max;
    uint32_t connected_count;
    uint32_t heartbeat_count; /* of those connected, with a heartbeat */
} ome_session_table_t;

void ome_session_table_init(ome_session_table_t *table, ome_arena_t *arena, uint32_t session_count_max, uint32_t connection_slot_max);

/* The session of a connection, or 0. */
static inline uint16_t ome_session_table_find(const ome_session_table_t *table, uint64_t peer)
{
    const uint32_t slot = (uint32_t)peer;
    const uint16_t session = slot <= table->connection_slot_max ? table->by_connection[slot] : 0;
    return table->sessions[session].peer == peer ? session : 0;
}

/* Gives the session this connection; it has none, and the connection has no session. */
void ome_session_table_bind(ome_session_table_t *table, uint16_t session, uint64_t peer, uint32_t heartbeat_ms);

/* Takes the session's connection away. It has one. */
void ome_session_table_unbind(ome_session_table_t *table, uint16_t session);

static inline bool ome_session_table_is_bound(const ome_session_table_t *table, uint16_t session)
{
    return table->sessions[session].peer != 0;
}

#endif
