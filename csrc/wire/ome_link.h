/* What joins the engine's process and a gateway's: two channels in shared memory, and what each tells the other beside them.
 *
 *     gateway's process                                         engine's process
 *     gateway (ome_gateway_link.c)                              port (ome_port.h)
 *         |  commands, 64 bytes                                     |
 *         +-----------> [ entries ] ------------------------------> + --> inbound ring
 *         |             [ sequences ] <---------------------------- |     which sequence each command got
 *         |                                                         |
 *         + <---------- [ records ] <------------------------------ + <-- published events, made into reports
 *
 * There are two regions. The engine's is written by the engine's process alone, and the gateway's process can only read it. The gateway's
 * is written by the gateway's process; the engine's process believes nothing in it that it has not checked, and copies before it checks.
 *
 * A gateway's process that dies leaves no more behind than commands that it has published: a command that was being written was never
 * there. */
#ifndef OME_LINK_H
#define OME_LINK_H

#include "abi/ome_records.h"
#include "base/ome_counters.h"
#include "base/ome_venue_clock.h"
#include "concurrent/ome_channel.h"
#include "wire/ome_reports.h"

/* The sequence of a command that is not known yet: this and the command's position among the entries. No sequence is so high. */
#define OME_LINK_UNSEQUENCED (UINT64_C(1) << 63)

/* Records to the gateway. */
typedef enum
{
    OME_LINK_SESSION = 1,    /* a session that there is, to a gateway that begins (ome_link_session_t) */
    OME_LINK_KEPT = 2,       /* a report of before, to a gateway that begins: its sessions may want it again */
    OME_LINK_BEGIN = 3,      /* the gateway knows everything that was before */
    OME_LINK_REPORT = 4,     /* a report, with its number */
    OME_LINK_DEFINITION = 5, /* the event of a definition (ome_event_t) */
} ome_link_kind_t;

typedef struct
{
    uint64_t report_sequence;
    uint64_t participant_reports; /* the number of the participant's newest report */
    uint64_t defined_sequence;
    uint32_t command_sequence;
    uint16_t session;
    uint16_t participant;
    uint16_t session_number;
    uint16_t flags;
    char participant_name[OME_NAME_SIZE];
} ome_link_session_t;

typedef struct
{
    union
    {
        ome_execution_report_t report;
        ome_event_t event;
        ome_link_session_t session;
    };
    uint64_t copy; /* of a report: ome_report_copy */
    uint32_t kind;
    uint32_t reserved;
} ome_link_record_t;
static_assert(sizeof(ome_link_record_t) == sizeof(ome_execution_report_t) + 16, "a report, and what it is");

typedef struct
{
    uint32_t entry_count;  /* of commands; a power of two, at most the slots of the inbound ring */
    uint32_t record_count; /* to the gateway; a power of two, more than there can be sessions */
    uint32_t session_count_max;
    const ome_counters_table_t *counters; /* of the venue: the gateway counts in a block of its own */
} ome_link_config_t;

/* What the engine's process tells, beside the records. */
typedef struct
{
    ome_bell_t bell;
    ome_sequence_t cursor;   /* last command sequenced, some time ago */
    ome_sequence_t answered; /* all reports of commands up to this one are among the records */
    ome_venue_clock_t clock; /* a copy */
    _Atomic uint8_t is_open; /* commands are taken */
    _Atomic uint8_t storage; /* ome_storage_t */
} ome_link_board_t;

/* What the gateway's process tells, beside the entries. */
typedef struct
{
    ome_bell_t bell;
    ome_sequence_t turns; /* its loop lives */
} ome_link_life_t;

/* One process's view. */
typedef struct
{
    ome_link_board_t *board;
    ome_link_life_t *life;
    ome_channel_t entries; /* of ome_command_t; the first of a claim has the number of its messages instead of a sequence, the others 0 */
    ome_channel_t records; /* of ome_link_record_t */
    uint64_t *sequences; /* which the commands got, by slot of the entries */
    ome_order_count_t *order_counts; /* by session: its live orders */
    _Atomic uint8_t *is_connected; /* by session; written by the gateway's process */
    ome_counters_t counters; /* of the gateway */
    uint64_t rung; /* the last sleep of the other process that this one has ended */
    uint64_t sequenced; /* the gateway's: commands whose sequences it has read */
    int bell_fd; /* by which it wakes the other process */
} ome_link_t;

/* Bytes of the two regions. */
void ome_link_size_bytes(const ome_link_config_t *config, uint64_t *engines, uint64_t *gateways);

/* Makes a view of the regions. They are aligned to a cache line; zeroed before the gateway's process begins. */
void ome_link_view(ome_link_t *link, const ome_link_config_t *config, void *engines, void *gateways, int bell_fd);

/* The number of records that fits so many sessions. */
uint32_t ome_link_record_count(uint32_t session_count_max);

#endif
