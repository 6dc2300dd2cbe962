/* The gateway's state, and the functions that its parts share. Only for csrc/wire/ome_gateway_*.c.
 *
 * Each part uses those below it:
 *     ome_gateway_loop.c      set-up and the loop
 *     ome_gateway_in.c        frames to commands
 *     ome_gateway_out.c       events to reports
 *     ome_gateway_sessions.c  sessions, heartbeats, ends */
#ifndef OME_GATEWAY_STATE_H
#define OME_GATEWAY_STATE_H

#include "wire/ome_gateway.h"

/* The work of one turn, before the other direction gets its turn. At most two reports for an event. */
#define OME_GATEWAY_EVENT_COUNT_PER_TURN 512u
#define OME_GATEWAY_REPORT_COUNT_MAX (2u * OME_GATEWAY_EVENT_COUNT_PER_TURN)

#define OME_GATEWAY_TICK_MS 10u
#define OME_GATEWAY_NS_PER_MS UINT64_C(1000000)

typedef struct
{
    ome_execution_report_t report;
    uint32_t next; /* of the same session; 0 is none */
} ome_pooled_report_t;

struct ome_gateway
{
    ome_gateway_config_t config;
    ome_session_table_t table;
    ome_reports_t reports;
    ome_pooled_report_t *pool;       /* index 0 is none */
    ome_execution_report_t *frame; /* being put together */
    uint32_t pool_count;
    uint32_t dirty_count;
    uint16_t *dirty;             /* sessions with reports in the pool */
    uint64_t now_ns;   /* monotonic, at the beginning of the turn */
    uint64_t watch_ns; /* when sessions with a heartbeat are looked at again */
    uint64_t peer;
    uint8_t message[OME_RECORD_SIZE];
    ome_event_t event;
    bool has_event;
    uint32_t command_message_count_max;
};

/* ---- ome_gateway_sessions.c ---- */

/* Ends the session and its connection, with a Logout that says why. */
void ome_gateway_end_session(ome_gateway_t *gateway, uint16_t session, uint8_t reason);

void ome_gateway_send_heartbeat(ome_gateway_t *gateway, uint16_t session, uint64_t request_id);

/* Sessions with a heartbeat: sends a heartbeat to those that heard nothing, and ends those that are silent. Time in
 * which this process did not run does not count as silence: messages of that time may not be read yet. */
void ome_gateway_watch_sessions(ome_gateway_t *gateway);

/* ---- ome_gateway_in.c ---- */

/* Takes frames for one turn. Returns how many; `outcome` is changed when there is something for the caller. */
uint32_t ome_gateway_take_frames(ome_gateway_t *gateway, ome_gateway_outcome_t *outcome);

/* ---- ome_gateway_out.c ---- */

/* Puts a report into the pool of those to be sent; or counts it, where its session has no connection. */
void ome_gateway_pool_report(ome_gateway_t *gateway, const ome_execution_report_t *report, uint16_t session_number);

/* Sends what is in the pool, one frame to a session. */
void ome_gateway_send_reports(ome_gateway_t *gateway);

/* Makes reports of the events of one turn, until a definition is among them, and sends them. Returns how many
 * events. */
uint32_t ome_gateway_report_events(ome_gateway_t *gateway);

#endif
