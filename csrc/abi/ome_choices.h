/* The small numbers and records that the venue's C code and Python share. Python reads them from here (cffi_build.py), and repeats none. */
#ifndef OME_CHOICES_H
#define OME_CHOICES_H

#include <stdint.h>

/* How a thread waits. */
typedef enum
{
    OME_WAIT_SPIN = 1,
    OME_WAIT_YIELD = 2,
    OME_WAIT_BLOCK = 3
} ome_wait_strategy_t;

/* What the segments of a journal hold. */
typedef enum
{
    OME_JOURNAL_COMMANDS = 1, /* files journal-... */
    OME_JOURNAL_EVENTS = 2, /* files events-... */
    OME_JOURNAL_DECISIONS = 3 /* files decisions-... */
} ome_journal_kind_t;

/* What the end of a journal looks like. */
typedef enum
{
    OME_JOURNAL_READING = 0, /* the end has not been reached, or the reader is live */
    OME_JOURNAL_CLEAN = 1, /* the journal ends after its last record */
    OME_JOURNAL_TORN = 2, /* what was being written when the server ended follows the last record; it was never acknowledged */
    OME_JOURNAL_DAMAGED = 3, /* stored bytes are not what was written */
    OME_JOURNAL_UNSUPPORTED = 4, /* a segment has another format version */
    OME_JOURNAL_ABSENT = 5 /* the first sequence asked for lies before the beginning of what is there, or more than one behind its end */
} ome_journal_verdict_t;

/* How a replay is opened: any of these together. */
typedef enum
{
    OME_REPLAY_IS_LIVE = 1, /* a server may be writing */
    OME_REPLAY_FROM_SNAPSHOT = 2, /* begins with the newest snapshot that is whole, if there is one */
    OME_REPLAY_SETS_ASIDE = 4, /* broken snapshots get another name: only for the one process that uses the directory */
    OME_REPLAY_CHECKS_EVENTS = 8 /* compares the events with the event log, if there is one. Not for a live journal */
} ome_replay_flags_t;

/* What people have decided about a journal. */
typedef enum
{
    OME_DECISION_QUARANTINE = 1, /* the command of that sequence counts as one of no kind, which every engine rejects */
    OME_DECISION_CUT = 2, /* the journal was cut before that sequence: what was decided about it and later ones before is void */
    OME_DECISION_BEGIN = 3 /* the journal was made to begin with that sequence, behind a snapshot */
} ome_decision_kind_t;

/* Why ome_gateway_run came back. */
typedef enum
{
    OME_GATEWAY_IDLE = 0, /* the time is over */
    OME_GATEWAY_MESSAGE = 1, /* a logon or logout: ome_gateway_peer, ome_gateway_message */
    OME_GATEWAY_DEFINED = 2, /* a definition took effect, or was refused, and may be spoken of: ome_gateway_event */
    OME_GATEWAY_STOPPED = 3, /* the socket is closed */
    OME_GATEWAY_REPORTS_WANTED = 4, /* a session is to be sent reports that are no longer in memory: ome_gateway_wanted */
    OME_GATEWAY_ENDED = 5 /* sessions have ended: ome_gateway_take_end */
} ome_gateway_outcome_t;

/* Why ome_port_run came back. */
typedef enum
{
    OME_PORT_IDLE = 0, /* the time is over */
    OME_PORT_DEFINED = 1, /* a definition took effect, or was refused, and may be spoken of: ome_port_event */
    OME_PORT_BROKEN = 2 /* the gateway has sent what it must not, or has not read for too long: it is to be ended */
} ome_port_outcome_t;

/* What a listener is for. */
typedef enum
{
    OME_LISTEN_ORDERS = 0,
    OME_LISTEN_FEED = 1,
    OME_LISTEN_REQUESTS = 2
} ome_listen_use_t;

/* Why ome_requests_run came back. */
typedef enum
{
    OME_REQUESTS_IDLE = 0, /* the time is over */
    OME_REQUESTS_LOGON = 1, /* ome_requests_peer, ome_requests_message */
    OME_REQUESTS_FILLS = 2, /* a FillsRequest: as above, and ome_requests_name */
    OME_REQUESTS_STOPPED = 3 /* the socket is closed */
} ome_requests_outcome_t;

/* Who a participant is in the engine. */
typedef struct
{
    uint64_t sequence; /* of the engine, when it was so */
    uint16_t participant; /* 0: none of its sessions has sent a command yet */
    uint16_t session; /* one of its sessions */
    uint8_t reason; /* OME_REASON_NONE; BUSY or ENGINE_STOPPED: the engine did not say */
    uint8_t reserved[3];
} ome_requests_who_t;

/* How much room the journal has. */
typedef enum
{
    OME_STORAGE_ROOM = 0,
    OME_STORAGE_LOW = 1, /* new orders are refused */
    OME_STORAGE_SCARCE = 2 /* all commands of clients are: what is left is for the venue's own */
} ome_storage_t;

/* What a gateway is made with. */
typedef struct
{
    uint32_t history_count; /* reports kept in memory; a power of two, 4096 or more */
    uint32_t message_rate_max; /* messages of a participant in a second; 0: any number */
    uint32_t in_flight_max; /* messages of a participant that are not answered yet; 0: any number */
    uint32_t reserved;
} ome_gateway_options_t;

/* Who logs on, from which connection. */
typedef struct
{
    uint64_t peer;
    uint32_t heartbeat_ms; /* 0: its silence is no matter */
    uint16_t participant;
    uint16_t session_number;
    uint16_t flags; /* OME_SESSION_FLAGS_ */
    uint16_t is_added; /* the connection keeps the sessions that it has */
    int32_t is_defined; /* in the engine */
    char participant_name[16];
} ome_gateway_logon_t;

/* A session that has ended, other than by its own Logout. */
typedef struct
{
    uint16_t session;
    uint8_t reason; /* OME_REASON_; NONE: its connection is gone */
    uint8_t reserved;
} ome_gateway_end_t;

/* Reports of a session that are wanted, from this number on. */
typedef struct
{
    uint64_t next_report_sequence;
    uint64_t report_sequence; /* the newest that there is */
    uint64_t settled_sequence; /* from this command on the number is its own: before, it may have been another one's */
    uint32_t request; /* counts the questions */
    uint16_t session;
    uint16_t participant; /* all reports of this participant are wanted, for a drop copy; 0: those of the session */
} ome_gateway_wanted_t;

/* What the gateway knows of a session. */
typedef struct
{
    uint64_t peer; /* 0: not connected */
    uint64_t report_sequence; /* of its newest report */
    uint64_t first_report_sequence; /* of the oldest in memory; one more than the newest where there is none */
    uint32_t command_sequence; /* of the last message that was taken from it */
    uint32_t order_count; /* live orders that came by it */
    int32_t is_defined; /* in the engine, or on its way there */
    uint16_t participant;
    uint16_t session_number;
    char participant_name[16]; /* zeros behind; all zeros where only the participant is known yet */
} ome_gateway_session_t;

#endif
