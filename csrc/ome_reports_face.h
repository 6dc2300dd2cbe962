/* Reports of before, made again from the events of a replay. Beside ome_replay_face.h, for Python (cffi_build.py reads it) and for tests. */
#ifndef OME_REPORTS_FACE_H
#define OME_REPORTS_FACE_H

#include "ome.h"

typedef struct ome_report_table ome_report_table_t;

/* A table that begins with what lives in an engine, or NULL: in none. It has room for an engine of these limits. OME_OK; OME_NO_MEMORY. */
ome_status_t ome_report_table_create(const ome_engine_t *engine, const ome_limits_t *limits, ome_report_table_t **table);
void ome_report_table_destroy(ome_report_table_t *table);

/* Which reports are wanted of one session, and how far it is. */
typedef struct
{
    uint64_t defined_sequence; /* reports of commands up to this one are not the session's, but of one that had its number before */
    uint64_t next_report_sequence; /* the first that is wanted */
    uint64_t report_sequence; /* in: of the session's last report before these events; out: after those that were read */
    uint64_t event_count; /* out: events that were read: all, unless there was no more room */
    uint32_t session;
    uint32_t report_count; /* out */
} ome_report_wanted_t;

/* Makes the reports of `count` events, which follow those of the calls before, and puts those that are wanted into `reports`, which has
 * room for `count_max`, at least 2: the same bytes as the gateway sent. */
void ome_report_table_make(
    ome_report_table_t *table, const void *events, uint64_t count, ome_report_wanted_t *wanted, uint8_t *reports, uint32_t count_max);

/* Which reports are wanted of a participant, whose drop copy has them under numbers of their own, and how far it is. */
typedef struct
{
    uint64_t next_report_sequence; /* the first that is wanted */
    uint64_t report_sequence; /* in: of the participant's last report before these events; out: after those that were read */
    uint64_t event_count; /* out: events that were read: all, unless there was no more room */
    uint32_t participant;
    uint32_t report_count; /* out */
    uint32_t has_begun; /* out: the reports begin anew among these events: what was made of those before is not the participant's */
    uint32_t reserved;
} ome_copies_wanted_t;

/* As ome_report_table_make, for a drop copy. `sessions` has a byte for each session, by number from 0 to the limit: 1 where it is the
 * participant's before these events; it is changed as the events say. */
void ome_report_table_copies(ome_report_table_t *table, const void *events, uint64_t count, uint8_t *sessions, ome_copies_wanted_t *wanted,
    uint8_t *reports, uint32_t count_max);

/* Which trades are wanted. */
typedef struct
{
    uint64_t since_ns; /* of this time or later */
    uint64_t after_trade_id; /* with a higher id */
    uint64_t event_count; /* out: events that were read: all, unless there was no more room */
    uint32_t report_count; /* out */
    uint32_t reserved;
} ome_trades_wanted_t;

/* As ome_report_table_make, for the trades of several sessions: those whose byte in `sessions`, by number from 0 to the limit, is not 0.
 * All events since the table was created are to be read, each once, and none by ome_report_table_make: reports are counted for each session. */
void ome_report_table_trades(ome_report_table_t *table, const void *events, uint64_t count, const uint8_t *sessions,
    ome_trades_wanted_t *wanted, uint8_t *reports, uint32_t count_max);

/* The reports of a session, from 1 to the limit, begin anew with 1: its number is another one's. */
void ome_report_table_restart(ome_report_table_t *table, uint32_t session);

#endif
