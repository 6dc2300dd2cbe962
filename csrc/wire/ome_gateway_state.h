/* The gateway's state, and the functions that its parts share. Only for csrc/wire/ome_gateway_*.c.
 *
 * Each part uses those below it:
 *     ome_gateway_loop.c      set-up and the loop
 *     ome_gateway_in.c        frames to commands
 *     ome_gateway_link.c      what comes back from the engine where it is another process, and sleep
 *     ome_gateway_out.c       events to reports, and reports to sessions
 *     ome_gateway_copies.c    reports for drop copies
 *     ome_gateway_sessions.c  sessions, heartbeats, ends
 *     ome_gateway_entry.c     commands to the engine */
#ifndef OME_GATEWAY_STATE_H
#define OME_GATEWAY_STATE_H

#include <string.h>

#include "wire/ome_gateway.h"

/* The work of one turn, before the other direction gets its turn. At most two reports for an event. */
#define OME_GATEWAY_EVENT_COUNT_PER_TURN 512u
#define OME_GATEWAY_REPORT_COUNT_MAX (2u * OME_GATEWAY_EVENT_COUNT_PER_TURN)
static_assert(OME_GATEWAY_HISTORY_COUNT_MIN >= 2 * OME_GATEWAY_REPORT_COUNT_MAX, "what is made in a turn is there at its end");

#define OME_GATEWAY_TICK_MS 10u
#define OME_GATEWAY_NS_PER_MS UINT64_C(1000000)

/* The caller's reports for one session, which is the only one that can have some at a time. */
typedef struct
{
    ome_execution_report_t *reports;
    uint32_t count;
    uint32_t next;
    uint32_t request;  /* counts the questions to the caller */
    uint16_t session;  /* that wants or has some; 0: none does */
    bool is_asked;     /* the caller has not answered yet */
    bool is_to_be_told; /* that it is wanted */
    bool is_stuck;      /* the session has some and does not read: another one that wants some comes first */
} ome_gateway_archive_t;

struct ome_gateway
{
    ome_gateway_config_t config;
    ome_session_table_t table;
    ome_reports_t reports;
    ome_report_history_t history;
    ome_runs_t runs;
    ome_throttle_t throttle;
    ome_gateway_archive_t archive;
    ome_order_count_t *order_counts; /* by session */
    ome_execution_report_t *frame;   /* being put together */
    uint16_t *dirty;               /* sessions with reports of this turn */
    uint16_t *behind;              /* sessions that are sent reports of before */
    uint16_t *owing;               /* sessions whose orders are to be cancelled */
    ome_gateway_end_t *ends;       /* for the caller */
    uint32_t dirty_count;
    uint32_t behind_count;
    uint32_t owing_count;
    uint32_t end_count;
    uint64_t answered_sequence; /* all reports of commands up to this one were made */
    uint64_t now_ns;   /* monotonic, at the beginning of the turn */
    uint64_t watch_ns; /* when sessions are looked at again */
    uint64_t peer;
    uint8_t message[OME_FRAME_SESSION_MESSAGE_SIZE_MAX];
    ome_event_t event;
    bool has_event;
    bool has_begun; /* in a process of its own: it knows what was before */
    bool is_behind_stuck; /* a session that is behind waits for its connection */
    uint32_t claim_count_max; /* messages that are claimed at once */
    uint32_t command_message_count_max;
};

/* ---- ome_gateway_entry.c ---- */

/* Over the link. */
ome_status_t ome_gateway_claim_entries(ome_gateway_t *gateway, uint32_t count, ome_ingress_claim_t *claim);
void ome_gateway_publish_entries(const ome_gateway_t *gateway, const ome_ingress_claim_t *claim);

/* Claims `count` commands that follow each other, tries for a while. Their sequences are known at once, or later (OME_LINK_UNSEQUENCED).
 * OME_OK; OME_FULL: busy; OME_STOPPED. */
static inline ome_status_t ome_gateway_claim(ome_gateway_t *gateway, uint32_t count, ome_ingress_claim_t *claim)
{
    return gateway->config.link != NULL ? ome_gateway_claim_entries(gateway, count, claim)
                                        : ome_ingress_claim(&gateway->config.ingress, count, claim);
}

/* Puts a record, of 64 bytes, at the place `index` of a claim. Returns the command. */
static inline ome_command_t *ome_gateway_put(
    const ome_gateway_t *gateway, const ome_ingress_claim_t *claim, uint32_t index, const void *record)
{
    if (gateway->config.link == NULL)
    {
        return ome_ingress_put(&gateway->config.ingress, claim, index, record);
    }
    const uint64_t claimed = index == 0 ? claim->count : 0; /* where there will be a sequence */
    uint8_t *slot = ome_channel_slot(&gateway->config.link->entries, (claim->first_sequence & ~OME_LINK_UNSEQUENCED) + index);
    memcpy(slot, &claimed, sizeof(claimed));
    memcpy(slot + sizeof(claimed), (const uint8_t *)record + sizeof(claimed), OME_BODY_SIZE);
    return (ome_command_t *)(void *)slot;
}

/* Publishes all commands of a claim. */
static inline void ome_gateway_publish(ome_gateway_t *gateway, const ome_ingress_claim_t *claim)
{
    if (gateway->config.link != NULL)
    {
        ome_gateway_publish_entries(gateway, claim);
        return;
    }
    ome_ingress_publish(&gateway->config.ingress, claim);
}

/* The last command that was sequenced, of anybody; it may be some time ago. */
uint64_t ome_gateway_cursor(const ome_gateway_t *gateway);

/* Reads which sequences the commands got that the engine's process has taken since. */
void ome_gateway_take_sequences(ome_gateway_t *gateway);

/* ---- ome_gateway_link.c ---- */

/* Takes what the engine's process has sent, for one turn, until a definition is among it. Returns how many. */
uint32_t ome_gateway_read_link(ome_gateway_t *gateway);

/* Sleeps until there may be a frame or something to be sent. */
ome_status_t ome_gateway_sleep(ome_gateway_t *gateway, uint32_t timeout_ms);

/* ---- ome_gateway_sessions.c ---- */

/* Its connection is gone, by itself or because it is ended: its orders are cancelled where it has chosen so. `reason`: NONE for a connection
 * that is gone. */
void ome_gateway_lose(ome_gateway_t *gateway, uint16_t session, uint8_t reason);

/* The number is another session's from this command on, of which only the participant is known yet. */
void ome_gateway_begin_anew(ome_gateway_t *gateway, uint16_t session, uint16_t participant, uint64_t defined_sequence);

/* Whether a definition with this sequence is one that the gateway itself had sequenced for the session. */
static inline bool ome_gateway_has_defined(const ome_gateway_t *gateway, uint16_t session, uint64_t sequence)
{
    const ome_session_slot_t *slot = &gateway->table.sessions[session];
    return sequence >= slot->defined_sequence && sequence <= slot->definition_sequence;
}

/* Whether somebody is logged on. */
static inline bool ome_gateway_has_connections(const ome_gateway_t *gateway)
{
    return gateway->table.connected_count + gateway->table.connected_copy_count > 0;
}

/* What messages to a connection say its session is: a drop copy is none. */
static inline uint16_t ome_gateway_told_session(const ome_gateway_t *gateway, uint16_t session)
{
    return gateway->table.sessions[session].is_copy ? 0 : session;
}

/* Has the definition of a session sequenced. False while the ring is full. */
bool ome_gateway_define_session(ome_gateway_t *gateway, uint16_t session);

void ome_gateway_send_heartbeat(ome_gateway_t *gateway, uint16_t session, uint64_t request_id);

/* Sends a heartbeat to sessions that heard nothing, asks those that are silent, and ends those that do not answer. Time in
 * which this process did not run does not count as silence: messages of that time may not be read yet. */
void ome_gateway_watch_sessions(ome_gateway_t *gateway);

/* Cancels the orders of sessions that are owed it, as far as the ring has room. */
void ome_gateway_pay_cancels(ome_gateway_t *gateway);

/* ---- ome_gateway_copies.c ---- */

/* Where the report is that a drop copy is to be sent next. */
typedef enum
{
    OME_COPY_HERE,    /* in memory, at its `next_kept` */
    OME_COPY_LOOKING, /* it is looked for in the next turn */
    OME_COPY_GONE,    /* not in memory: the first one that is, is at its `next_kept`, or none is */
} ome_copy_place_t;

/* The participant has a new report, which is kept under this number. */
void ome_gateway_note_copies(ome_gateway_t *gateway, uint16_t participant, uint64_t number);

/* Puts reports in memory into the frame, from the one at `next_kept` on, with the numbers of the drop copy. Returns how many; `next` is where
 * it goes on, or 0 where there are no more. */
uint32_t ome_gateway_take_copies(ome_gateway_t *gateway, const ome_session_slot_t *copy, uint64_t *next);

/* Looks for the report that is to be sent next, for one turn. */
ome_copy_place_t ome_gateway_find_copy(const ome_gateway_t *gateway, ome_session_slot_t *copy);

/* The number of the report at `next_kept`, or one more than the newest where there is none; 0: it is not known any more. */
uint64_t ome_gateway_copy_at(const ome_gateway_t *gateway, const ome_session_slot_t *copy);

/* The number of the participant's oldest report in memory; one more than the newest where there is none. */
uint64_t ome_gateway_first_copy(const ome_gateway_t *gateway, const ome_session_slot_t *copy);

/* The command from which on a participant surely has its number: where it is not known, that which defined the first of its sessions. */
uint64_t ome_gateway_copies_settled(const ome_gateway_t *gateway, uint16_t participant);

/* Ends the drop copies of a participant: its reports begin anew. */
void ome_gateway_end_copies(ome_gateway_t *gateway, uint16_t participant);

/* ---- ome_gateway_in.c ---- */

/* Takes frames for one turn. Returns how many; `outcome` is changed when there is something for the caller. */
uint32_t ome_gateway_take_frames(ome_gateway_t *gateway, ome_gateway_outcome_t *outcome);

/* ---- ome_gateway_out.c ---- */

/* Keeps a report of this session, whose newest it is, and sends it at the end of the turn to one that is up to date. */
void ome_gateway_keep_report(ome_gateway_t *gateway, ome_session_slot_t *session, const ome_execution_report_t *report);

/* A definition took effect or was refused: the caller is told. */
void ome_gateway_note_definition(ome_gateway_t *gateway, const ome_event_t *event);

/* All reports of commands up to this one were made: the messages that became them are answered. */
void ome_gateway_answer(ome_gateway_t *gateway, uint64_t sequence);

/* The session is sent its reports from this number on; and told where they begin, if that is not what it asked for. */
void ome_gateway_resend(ome_gateway_t *gateway, uint16_t session, uint64_t next_report_sequence);

/* Sends the reports of the command with this sequence again. False where they are not in memory, or too far back. */
bool ome_gateway_repeat(ome_gateway_t *gateway, uint16_t session, uint64_t sequence);

/* Makes reports of the events of one turn that may be spoken of, until a definition is among them. Returns how many events. */
uint32_t ome_gateway_read_events(ome_gateway_t *gateway);

/* Sends the reports of this turn to the sessions that are up to date. */
void ome_gateway_send_reports(ome_gateway_t *gateway);

/* Sends reports of before to the sessions that are behind. Returns how many. */
uint32_t ome_gateway_serve_behind(ome_gateway_t *gateway);

#endif
