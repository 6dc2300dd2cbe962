/* What the gateway knows of sessions: the connection of each, how far its commands and its reports are, and what it has chosen.
 *
 * A session (participant and number) is the engine's and outlives connections. A session that has sent no command yet is known here alone:
 * it is defined in the engine with its first command. Written by the gateway's thread, and read by
 * it alone, but for `is_connected`. */
#ifndef OME_SESSION_TABLE_H
#define OME_SESSION_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "abi/ome_records.h"
#include "base/ome_arena.h"
#include "engine/ome_engine.h"

typedef struct
{
    uint64_t peer;             /* 0: not connected */
    uint64_t report_sequence;  /* of its newest report */
    uint64_t sent_sequence;    /* of the last report that its connection was sent */
    uint64_t first_kept;       /* its oldest and newest report in memory (ome_report_history.h); 0: none */
    uint64_t last_kept;
    uint64_t next_kept;        /* in memory, at or before the one to be sent next; 0: none, or it has to be looked for */
    uint64_t heard_ns;         /* monotonic: when it last sent something */
    uint64_t spoke_ns;         /* when it was last sent something */
    uint64_t noise_tick;
    uint64_t last_run;         /* its last messages (ome_runs.h); 0: none */
    uint64_t defined_sequence; /* of the command that defined it: reports of commands up to it are not its own; 0: it is not known */
    uint64_t definition_sequence; /* of the last definition that the gateway itself had sequenced for it; 0: none */
    uint32_t noise_count;      /* bad frames and other messages that are no work, in this tick */
    uint32_t heartbeat_ms;
    uint32_t command_sequence; /* of the last message that was taken from it */
    uint16_t participant;
    uint16_t session_number;
    uint16_t flags;            /* OME_SESSION_FLAGS_: what it has chosen */
    uint16_t defined_flags;    /* those that the engine has */
    uint16_t next_of_peer;     /* another session of the same connection, or 0 */
    bool is_copy;              /* it is no session, but a drop copy of its participant: it is sent the reports of all of its sessions */
    bool is_shared;            /* its connection has several sessions, and its messages name theirs */
    bool is_defined;           /* in the engine, or on its way there */
    bool is_dirty;             /* there are reports to be sent at the end of the turn */
    bool is_behind;            /* it is sent reports of before, at its own pace, until it has caught up */
    bool is_told;              /* it has been told where those begin */
    bool is_tested;            /* it was silent, and has been sent a TestRequest */
    bool owes_cancel;          /* its orders are to be cancelled, as soon as the ring has room */
    char participant_name[OME_NAME_SIZE];
} ome_session_slot_t;

/* The reports of a participant to all its sessions, which its drop copies are sent. */
typedef struct
{
    uint64_t report_sequence; /* of the newest */
    uint64_t first_kept; /* the number of its oldest report in memory, or of the next one; 0: it has had none since it began */
    uint64_t begun_sequence; /* of the command that gave or took the number: reports of commands up to it are another one's; 0: unknown */
    uint32_t session_count; /* its sessions in the engine */
    uint32_t copy_count; /* its drop copies that are connected */
} ome_participant_reports_t;

typedef struct
{
    ome_session_slot_t *sessions; /* by session; the first is not used; drop copies are behind the sessions */
    ome_participant_reports_t *participants; /* by participant */
    uint16_t *owners; /* by session: the participant whose it is in the engine, as far as events were read; 0: nobody's */
    _Atomic uint8_t *is_connected; /* by session: the same as whether it has a peer, for other threads */
    uint16_t *by_connection; /* sessions, by the slot of the connection: the first of those that it has, or 0 */
    uint32_t connection_slot_max;
    uint32_t session_count_max;
    uint32_t slot_count_max; /* sessions and drop copies */
    uint32_t connected_count;
    uint32_t connected_copy_count;
} ome_session_table_t;

/* How many drop copies there may be at once: their numbers follow those of the sessions. */
#define OME_DROP_COPY_COUNT_MAX 64u

/* `copy_count_max`: at most OME_DROP_COPY_COUNT_MAX; as many as there are numbers for. */
void ome_session_table_init(
    ome_session_table_t *table, ome_arena_t *arena, uint32_t session_count_max, uint32_t copy_count_max, uint32_t connection_slot_max);

/* Takes over the sessions that an engine has, before its thread starts. */
void ome_session_table_seed(ome_session_table_t *table, const ome_engine_t *engine);

/* The engine has the session as this participant's. Returns the participant that has lost its last session by it, or 0. */
uint16_t ome_session_table_own(ome_session_table_t *table, uint16_t session, uint16_t participant);

/* An event may take a participant's last session, or give its number to another one: its reports begin anew. Returns the participant of
 * which there were some before, or 0. */
uint16_t ome_session_table_note_participant(ome_session_table_t *table, const ome_event_t *event);

/* Whether a report to the participant's session is one of the participant's, and not of one that had its number before. */
static inline bool ome_session_table_is_participants(const ome_session_table_t *table, uint16_t participant, uint64_t engine_sequence)
{
    return participant <= table->session_count_max && engine_sequence > table->participants[participant].begun_sequence;
}

/* Whose report this is; NULL: nobody's, since it is the embedder's own, or of one that had the number before. */
static inline ome_session_slot_t *ome_session_table_owner(const ome_session_table_t *table, const ome_execution_report_t *report)
{
    const uint16_t number = report->session <= table->session_count_max ? report->session : 0;
    ome_session_slot_t *session = &table->sessions[number];
    return number != 0 && session->is_defined && report->engine_sequence > session->defined_sequence ? session : NULL;
}

/* The first session of a connection, or 0. */
static inline uint16_t ome_session_table_find(const ome_session_table_t *table, uint64_t peer)
{
    const uint32_t slot = (uint32_t)peer;
    const uint16_t session = slot <= table->connection_slot_max ? table->by_connection[slot] : 0;
    return table->sessions[session].peer == peer ? session : 0;
}

/* Gives the session this connection; it has none. A connection that has others already shares its sessions from now on. */
void ome_session_table_bind(ome_session_table_t *table, uint16_t session, uint64_t peer);

/* Takes the session's connection away. It has one. */
void ome_session_table_unbind(ome_session_table_t *table, uint16_t session);

static inline bool ome_session_table_is_bound(const ome_session_table_t *table, uint16_t session)
{
    return table->sessions[session].peer != 0;
}

#endif
