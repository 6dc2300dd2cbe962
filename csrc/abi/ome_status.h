/* Status codes. A function that can fail returns one; each header says which. A business reject is an event, never a status. */
#ifndef OME_STATUS_H
#define OME_STATUS_H

#include <stdint.h>

typedef enum
{
    OME_OK = 0,
    OME_INVALID = 1,        /* an argument is outside what the header allows */
    OME_NO_MEMORY = 2,      /* the memory given is too small, or none could be had */
    OME_FULL = 3,           /* no room now: try again later (busy) */
    OME_EMPTY = 4,          /* nothing there now */
    OME_IO_ERROR = 5,       /* a system call on a file failed: ome_error has file, call and errno; the writer is stopped for good */
    OME_DAMAGED = 6,        /* stored bytes are not what was written */
    OME_UNSUPPORTED = 7,    /* a format or schema version, or a platform, that this build does not handle */
    OME_STOPPED = 8,        /* asked to stop, or stopped by an earlier error */
    OME_NOT_FOUND = 9,      /* no such thing */
    OME_ASSERTED = 10       /* an assertion of the core does not hold: what it worked on is lost */
} ome_status_t;

/* Why ome_gateway_run came back. */
typedef enum
{
    OME_GATEWAY_IDLE = 0,    /* the time is over */
    OME_GATEWAY_MESSAGE = 1, /* a logon or logout: ome_gateway_peer, ome_gateway_message */
    OME_GATEWAY_DEFINED = 2, /* a definition took effect, or was refused, and may be spoken of: ome_gateway_event */
    OME_GATEWAY_STOPPED = 3  /* the socket is closed */
} ome_gateway_outcome_t;

/* How much room the journal has. */
typedef enum
{
    OME_STORAGE_ROOM = 0,
    OME_STORAGE_LOW = 1,    /* new orders are refused */
    OME_STORAGE_SCARCE = 2  /* all commands of clients are: what is left is for the venue's own */
} ome_storage_t;

/* Who logs on, from which connection. */
typedef struct
{
    uint64_t peer;
    uint32_t heartbeat_ms; /* 0: its silence is no matter */
    uint16_t participant;
    uint16_t session_number;
    int32_t is_defined; /* in the engine */
    char participant_name[16];
} ome_gateway_logon_t;

/* What the gateway knows of a session. */
typedef struct
{
    uint64_t peer; /* 0: not connected */
    uint64_t report_sequence; /* reports made for it in this epoch */
    uint32_t order_count; /* live orders that came by it */
    int32_t is_defined; /* in the engine, or on its way there */
} ome_gateway_session_t;

#endif
