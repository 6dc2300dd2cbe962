/* The format of a snapshot: what its bytes mean. docs/JOURNAL.md has the reader's algorithm and the promises.
 *
 * A snapshot is the header, then the entries of all sections, back to back, in blocks of 64 KiB, of which the last is shorter; an entry
 * may begin in one block and end in the next. Each block is followed by 4 bytes: the CRC-32C of everything before it, header and blocks,
 * the checksums left out. So a checksum proves its block, and that it stands where it was written: the next one goes on from it.
 *
 * What is stored is what decides how the engine goes on, in one order that follows from it alone; there is one snapshot of a state. Not
 * stored is what can be made again and what no event can show: ladders, index, totals of levels; places in the pools of levels and
 * special records; the heap of deadlines, whose order is by deadline and order id; the order of the list of trailing stops, of which no
 * two are in one place of a queue; and what a special record keeps of a stop that has triggered.
 *
 * A snapshot has the lowest version that can hold its state, so that a build of before reads what it can go on with, and refuses the rest
 * by the version.
 *
 * Little-endian, no implicit padding, reserved bytes are zero. */
#ifndef OME_SNAPSHOT_FORMAT_H
#define OME_SNAPSHOT_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ome_attributes.h"
#include "abi/ome_limits.h"
#include "base/ome_platform.h"
#include "engine/ome_engine.h"

#define OME_SNAPSHOT_MAGIC UINT64_C(0x50414E53454D4F0A) /* "\nOMESNAP" */
#define OME_SNAPSHOT_VERSION_PLAIN 1u      /* no order attributes, and no term above OME_SNAPSHOT_TERM_PLAIN */
#define OME_SNAPSHOT_VERSION_ATTRIBUTES 2u /* either of them */
#define OME_SNAPSHOT_VERSION_RULES 3u      /* a version of the rules above the first; the rest as in version 2 */
#define OME_SNAPSHOT_VERSION_ACCOUNTS                                                                                                      \
    4u /* a version of the rules that has accounts and counts the reports of participants: the section of accounts, their limits, past reports */
#define OME_SNAPSHOT_VERSION 4u /* the highest that this build reads */
#define OME_SNAPSHOT_HEADER_SIZE 4096u
#define OME_SNAPSHOT_BLOCK_SIZE 65536u /* of content, without its checksum */
#define OME_SNAPSHOT_CHECKSUM_SIZE 4u

/* The sections, in this order; each is there, perhaps empty. A later version adds some at the end. */
enum
{
    OME_SNAPSHOT_SECTION_INSTRUMENTS = 1, /* by number from 1 */
    OME_SNAPSHOT_SECTION_SESSIONS = 2, /* by rising number */
    OME_SNAPSHOT_SECTION_FREE_SLOTS = 3, /* in the order in which they will be taken */
    OME_SNAPSHOT_SECTION_ORDERS =
        4, /* at rest: by instrument, bids before asks, best price first, displayed before hidden, front of the queue first */
    OME_SNAPSHOT_SECTION_STOPS = 5, /* waiting: by instrument, buys before sells, first to trigger first, by entry */
    OME_SNAPSHOT_SECTION_PENDING = 6, /* the command that waits for its terms, if one does */
    OME_SNAPSHOT_SECTION_ACCOUNTS = 7 /* in the order of their first definitions; from version 4 on */
};
#define OME_SNAPSHOT_SECTION_COUNT 7u
#define OME_SNAPSHOT_SECTION_COUNT_FIRST 6u /* before version 4 */

/* OFFSET SIZE FIELD
 *      0    4 type
 *      4    4 reserved
 *      8    8 count       of instruments, sessions, slots, orders, commands or accounts
 *     16    8 size_bytes  of its entries */
typedef struct
{
    uint32_t type;
    uint32_t reserved;
    uint64_t count;
    uint64_t size_bytes;
} ome_snapshot_section_t;
static_assert(sizeof(ome_snapshot_section_t) == 24, "a section's line has no padding");
static_assert(offsetof(ome_snapshot_section_t, count) == 8, "count is in place");
static_assert(offsetof(ome_snapshot_section_t, size_bytes) == 16, "size_bytes is in place");

/* HEADER. Magic, version and checksum stay where they are in every version of the format.
 *
 * OFFSET SIZE FIELD                 UNIT
 *      0    8 magic
 *      8    4 version               of the format
 *     12    4 header_size           bytes: where the first block begins
 *     16    8 total_size            bytes of the snapshot, checksums included
 *     24    8 sequence              commands applied
 *     32    8 time_ns
 *     40    8 trade_count
 *     48    8 event_count
 *     56    8 event_hash            of all events so far, as the caller gave it
 *     64    8 state_hash
 *     72    4 order_count_max       the limits, all but the version of the rules
 *     76    4 level_count_max
 *     80    4 instrument_count_max
 *     84    4 session_count_max
 *     88    4 special_count_max
 *     92    4 order_count           that live
 *     96    4 slots_ever_used
 *    100    4 slots_retired         whose generations are used up: neither live nor free, in no section
 *    104    4 section_count
 *    108    4 journal_checksum      chain checksum of the journal's records so far, as the caller gave it
 *    112  144 sections              all but that of accounts
 *    256    4 rules_version         0 before version 3
 *    260    4 account_count_max     0 before version 4
 *    264   24 accounts              their section; zeros before version 4
 *    288    4 limit_flags           OME_LIMIT_FLAGS_; 0 before version 4
 *    292 3800 reserved
 *   4092    4 checksum              CRC-32C of all before */
typedef struct
{
    uint64_t magic;
    uint32_t version;
    uint32_t header_size;
    uint64_t total_size;
    uint64_t sequence;
    uint64_t time_ns;
    uint64_t trade_count;
    uint64_t event_count;
    uint64_t event_hash;
    uint64_t state_hash;
    uint32_t order_count_max;
    uint32_t level_count_max;
    uint32_t instrument_count_max;
    uint32_t session_count_max;
    uint32_t special_count_max;
    uint32_t order_count;
    uint32_t slots_ever_used;
    uint32_t slots_retired;
    uint32_t section_count;
    uint32_t journal_checksum;
    ome_snapshot_section_t sections[OME_SNAPSHOT_SECTION_COUNT_FIRST];
    uint32_t rules_version;
    uint32_t account_count_max;
    ome_snapshot_section_t accounts;
    uint32_t limit_flags;
    uint8_t reserved[3800];
    uint32_t checksum;
} ome_snapshot_header_t;
static_assert(sizeof(ome_snapshot_header_t) == OME_SNAPSHOT_HEADER_SIZE, "the header is one block of a disk and has no padding");
static_assert(offsetof(ome_snapshot_header_t, version) == 8, "version is in place");
static_assert(offsetof(ome_snapshot_header_t, total_size) == 16, "total_size is in place");
static_assert(offsetof(ome_snapshot_header_t, state_hash) == 64, "state_hash is in place");
static_assert(offsetof(ome_snapshot_header_t, order_count_max) == 72, "the limits are in place");
static_assert(offsetof(ome_snapshot_header_t, special_count_max) == 88, "special_count_max is in place");
static_assert(offsetof(ome_snapshot_header_t, order_count) == 92, "order_count is in place");
static_assert(offsetof(ome_snapshot_header_t, section_count) == 104, "section_count is in place");
static_assert(offsetof(ome_snapshot_header_t, sections) == 112, "the sections are in place");
static_assert(offsetof(ome_snapshot_header_t, rules_version) == 256, "rules_version is in place");
static_assert(offsetof(ome_snapshot_header_t, account_count_max) == 260, "account_count_max is in place");
static_assert(offsetof(ome_snapshot_header_t, accounts) == 264, "the section of accounts is in place");
static_assert(offsetof(ome_snapshot_header_t, limit_flags) == 288, "limit_flags is in place");
static_assert(offsetof(ome_snapshot_header_t, reserved) == 292, "reserved is in place");
static_assert(offsetof(ome_snapshot_header_t, checksum) == 4092, "checksum is in place");

static inline ome_limits_t ome_snapshot_limits(const ome_snapshot_header_t *header)
{
    return (ome_limits_t){.order_count_max = header->order_count_max,
        .level_count_max = header->level_count_max,
        .instrument_count_max = header->instrument_count_max,
        .session_count_max = header->session_count_max,
        .special_count_max = header->special_count_max,
        .rules_version = header->rules_version,
        .account_count_max = header->account_count_max,
        .limit_flags = header->limit_flags};
}

static inline void ome_snapshot_set_limits(ome_snapshot_header_t *header, const ome_limits_t *limits)
{
    header->order_count_max = limits->order_count_max;
    header->level_count_max = limits->level_count_max;
    header->instrument_count_max = limits->instrument_count_max;
    header->session_count_max = limits->session_count_max;
    header->special_count_max = limits->special_count_max;
    header->rules_version = limits->rules_version;
    header->account_count_max = limits->account_count_max;
    header->limit_flags = limits->limit_flags;
}

/* How many sections a snapshot of this version has. */
static inline uint32_t ome_snapshot_section_count(uint32_t version)
{
    return version < OME_SNAPSHOT_VERSION_ACCOUNTS ? OME_SNAPSHOT_SECTION_COUNT_FIRST : OME_SNAPSHOT_SECTION_COUNT;
}

/* Where the line of a section is in the header. */
static inline uint64_t ome_snapshot_section_offset(uint32_t type)
{
    return type == OME_SNAPSHOT_SECTION_ACCOUNTS ? offsetof(ome_snapshot_header_t, accounts)
                                                 : offsetof(ome_snapshot_header_t, sections) + (type - 1) * sizeof(ome_snapshot_section_t);
}

static inline const ome_snapshot_section_t *ome_snapshot_section(const ome_snapshot_header_t *header, uint32_t type)
{
    return type == OME_SNAPSHOT_SECTION_ACCOUNTS ? &header->accounts : &header->sections[type - 1];
}

/* Bytes of all sections. The sizes are within the limits. */
static inline uint64_t ome_snapshot_content_size(const ome_snapshot_header_t *header)
{
    uint64_t size_bytes = 0;
    for (uint32_t type = 1; type <= OME_SNAPSHOT_SECTION_COUNT; type++)
    {
        size_bytes += ome_snapshot_section(header, type)->size_bytes; /* 0 of one that the version does not have */
    }
    return size_bytes;
}

/* Where a byte of the content is in the snapshot. */
static inline uint64_t ome_snapshot_offset(uint64_t content_offset)
{
    return OME_SNAPSHOT_HEADER_SIZE + content_offset + content_offset / OME_SNAPSHOT_BLOCK_SIZE * OME_SNAPSHOT_CHECKSUM_SIZE;
}

static inline uint64_t ome_snapshot_total_size(const ome_snapshot_header_t *header)
{
    const uint64_t content_size = ome_snapshot_content_size(header);
    const uint64_t block_count = (content_size + OME_SNAPSHOT_BLOCK_SIZE - 1) / OME_SNAPSHOT_BLOCK_SIZE;
    return OME_SNAPSHOT_HEADER_SIZE + content_size + block_count * OME_SNAPSHOT_CHECKSUM_SIZE;
}

/* INSTRUMENT
 * OFFSET SIZE FIELD              UNIT
 *      0   16 symbol
 *     16    8 tick               price units
 *     24    8 last_trade_price   price units; the null value before the first
 *     32    4 collar_ticks
 *     36    2 flags              OME_INSTRUMENT_FLAGS_
 *     38    1 price_decimals
 *     39    1 quantity_decimals */
typedef struct
{
    char symbol[OME_NAME_SIZE];
    int64_t tick;
    int64_t last_trade_price;
    uint32_t collar_ticks;
    uint16_t flags;
    uint8_t price_decimals;
    uint8_t quantity_decimals;
} ome_snapshot_instrument_t;
static_assert(sizeof(ome_snapshot_instrument_t) == 40, "an instrument has no padding");
static_assert(offsetof(ome_snapshot_instrument_t, last_trade_price) == 24, "last_trade_price is in place");
static_assert(offsetof(ome_snapshot_instrument_t, flags) == 36, "flags are in place");

/* SESSION
 * OFFSET SIZE FIELD
 *      0   16 participant_name
 *     16    2 participant
 *     18    2 session_number
 *     20    2 session             its number; 0 from a build whose sessions had no gaps: one more than the entry before
 *     22    2 flags               OME_SESSION_FLAGS_; 0 before version 3
 *
 * PROGRESS, behind each session in version 3
 *      0    8 report_sequence     events so far that were reported to it
 *      8    8 defined_sequence    of the command that defined it
 *     16    4 command_sequence    of the last record that was taken from it
 *     20    4 reserved
 *
 * PAST, behind each progress in version 4
 *      0    8 past_reports        events so far that were reported to sessions that its participant no longer has; the same in all its sessions */
typedef struct
{
    char participant_name[OME_NAME_SIZE];
    uint16_t participant;
    uint16_t session_number;
    uint16_t session;
    uint16_t flags;
} ome_snapshot_session_t;
typedef struct
{
    uint64_t report_sequence;
    uint64_t defined_sequence;
    uint32_t command_sequence;
    uint32_t reserved;
} ome_snapshot_progress_t;
typedef struct
{
    uint64_t past_reports;
} ome_snapshot_past_reports_t;
static_assert(sizeof(ome_snapshot_past_reports_t) == 8, "past reports have no padding");
static_assert(sizeof(ome_snapshot_progress_t) == 24, "a session's progress has no padding");
static_assert(offsetof(ome_snapshot_progress_t, command_sequence) == 16, "command_sequence is in place");
static_assert(sizeof(ome_snapshot_session_t) == 24, "a session has no padding");
static_assert(offsetof(ome_snapshot_session_t, participant) == 16, "participant is in place");
static_assert(offsetof(ome_snapshot_session_t, session) == 20, "session is in place");

/* Bytes of a session's entry. */
static inline uint64_t ome_snapshot_session_size(uint32_t version)
{
    return sizeof(ome_snapshot_session_t) + (version >= OME_SNAPSHOT_VERSION_RULES ? sizeof(ome_snapshot_progress_t) : 0) +
           (version >= OME_SNAPSHOT_VERSION_ACCOUNTS ? sizeof(ome_snapshot_past_reports_t) : 0);
}

/* ACCOUNT
 * OFFSET SIZE FIELD
 *      0   16 participant_name  whom it belongs to; zeros: nobody
 *     16    4 account           not 0
 *     20    4 reserved */
typedef struct
{
    char participant_name[OME_NAME_SIZE];
    uint32_t account;
    uint32_t reserved;
} ome_snapshot_account_t;
static_assert(sizeof(ome_snapshot_account_t) == 24, "an account has no padding");
static_assert(offsetof(ome_snapshot_account_t, account) == 16, "account is in place");

/* FREE SLOT
 * OFFSET SIZE FIELD
 *      0    4 slot
 *      4    4 generation  of the last order that took it */
typedef struct
{
    uint32_t slot;
    uint32_t generation;
} ome_snapshot_free_slot_t;
static_assert(sizeof(ome_snapshot_free_slot_t) == 8, "a free slot has no padding");

/* ORDER. One whose marks have SPECIAL is followed by SPECIAL, then ATTRIBUTES where it has some; one that waits, by STOP behind those.
 * OFFSET SIZE FIELD                UNIT
 *      0    8 order_id             slot | generation << 32
 *      8    8 client_order_id
 *     16    8 price                price units; of a stop its limit, or its distance, or 0 without limit
 *     24    8 leaves_quantity      lots; of an order at rest with a peak those displayed
 *     32    8 cumulative_quantity  lots
 *     40    8 owner                account | participant << 32 | session << 48
 *     48    4 instrument           number
 *     52    1 side                 OME_SIDE_
 *     53    1 marks                OME_ORDER_MARK_, as in the state hash
 *     54    2 reserved */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    int64_t price;
    int64_t leaves_quantity;
    int64_t cumulative_quantity;
    uint64_t owner;
    uint32_t instrument;
    uint8_t side;
    uint8_t marks;
    uint16_t reserved;
} ome_snapshot_order_t;
static_assert(sizeof(ome_snapshot_order_t) == 56, "an order has no padding");
static_assert(offsetof(ome_snapshot_order_t, owner) == 40, "owner is in place");
static_assert(offsetof(ome_snapshot_order_t, marks) == 53, "marks are in place");

/* SPECIAL
 * OFFSET SIZE FIELD             UNIT
 *      0    8 deadline_ns       0 for none
 *      8    8 peak              lots; 0 for none
 *     16    8 reserve_quantity  lots that are open and not displayed
 *     24    4 group             self-trade group; 0 for none
 *     28    4 has_attributes    1: ATTRIBUTES follows; version 2 */
typedef struct
{
    uint64_t deadline_ns;
    int64_t peak;
    int64_t reserve_quantity;
    uint32_t group;
    uint32_t has_attributes;
} ome_snapshot_special_t;
static_assert(sizeof(ome_snapshot_special_t) == 32, "what makes an order special has no padding");
static_assert(offsetof(ome_snapshot_special_t, group) == 24, "group is in place");

/* ATTRIBUTES
 * OFFSET SIZE FIELD
 *      0   16 values  by OME_ATTRIBUTE_; 0 for one that is not given, or that there is not */
typedef struct
{
    uint32_t values[OME_ATTRIBUTE_ROOM];
} ome_snapshot_attributes_t;
static_assert(sizeof(ome_snapshot_attributes_t) == 16, "attributes have no padding");

/* STOP
 * OFFSET SIZE FIELD               UNIT
 *      0    8 stop_price          price units
 *      8    8 trail_amount        price units; 0 where it does not trail, or by basis points
 *     16    8 entry               sequence of the command that gave it its place
 *     24    8 minimum_quantity    lots; 0 for none
 *     32    8 budget              price units times lots
 *     40    4 collar_ticks
 *     44    2 trail_basis_points
 *     46    1 order_type          OME_ORDER_TYPE_
 *     47    1 time_in_force       OME_TIME_IN_FORCE_
 *     48    1 flags               OME_SPECIAL_HAS_
 *     49    7 reserved */
typedef struct
{
    int64_t stop_price;
    int64_t trail_amount;
    uint64_t entry;
    int64_t minimum_quantity;
    int64_t budget;
    uint32_t collar_ticks;
    uint16_t trail_basis_points;
    uint8_t order_type;
    uint8_t time_in_force;
    uint8_t flags;
    uint8_t reserved[7];
} ome_snapshot_stop_t;
static_assert(sizeof(ome_snapshot_stop_t) == 56, "what a stop waits for has no padding");
static_assert(offsetof(ome_snapshot_stop_t, collar_ticks) == 40, "collar_ticks is in place");
static_assert(offsetof(ome_snapshot_stop_t, flags) == 48, "flags are in place");

/* PENDING, and in version 2 MORE TERMS behind it
 * OFFSET SIZE FIELD
 *      0   56 body      of the first record, as in the journal
 *     56    4 given     bit n: term n is given; bit 0: one of them cannot be
 *     60    4 reserved
 *     64   80 values    of terms 1 to 10; 0 where a term is not given
 *
 * MORE TERMS
 *      0  168 values    of terms 11 to 31 */
#define OME_SNAPSHOT_TERM_PLAIN 10u
typedef struct
{
    uint8_t body[OME_BODY_SIZE];
    uint32_t given;
    uint32_t reserved;
    int64_t values[OME_SNAPSHOT_TERM_PLAIN];
} ome_snapshot_pending_t;
typedef struct
{
    int64_t values[31 - OME_SNAPSHOT_TERM_PLAIN];
} ome_snapshot_more_terms_t;
static_assert(sizeof(ome_snapshot_pending_t) == 144, "a pending command has no padding");
static_assert(sizeof(ome_snapshot_more_terms_t) == 168, "more terms have no padding");
static_assert(OME_TERM_COUNT <= 32, "every term has a place");
static_assert(offsetof(ome_snapshot_pending_t, given) == 56, "given is in place");
static_assert(offsetof(ome_snapshot_pending_t, values) == 64, "values are in place");

#endif
