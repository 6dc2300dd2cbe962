/* ome: the public face of the C library, and the source of the declarations that Python uses (cffi_build.py reads this file).
 *
 * An engine is a pure state machine: `ome_batch_apply` feeds it commands, 64 bytes each (ome_command_t in abi/ome_records.h), and gives back events of 64 bytes
 * (ome_event_t). What each command does is told in docs/RULES.md. One engine is used by one thread at a time; different engines are independent.
 *
 * Functions that can fail return an ome_status_t (abi/ome_status.h); what each may return stands with it. */
#ifndef OME_H
#define OME_H

#include <stdint.h>

#include "abi/ome_status.h"

/* ---- Engine ---- */

typedef struct ome_engine ome_engine_t;

/* Sizes that are fixed when an engine is made: orders at rest at once (to 2^30), price levels over all instruments (to 2^28), instruments (to 2^20), sessions (to 65535). */
typedef struct ome_limits ome_limits_t;

/* What the layers above read of an engine: all counts since its first command. */
typedef struct
{
    uint64_t sequence;         /* commands applied */
    uint64_t time_ns;          /* highest timestamp of a command */
    uint64_t trade_count;
    uint64_t event_count;
    uint64_t event_hash;       /* rolling, over all events */
    uint32_t instrument_count;
    uint32_t session_count;
    uint32_t participant_count;
    uint32_t level_count;      /* price levels in use */
} ome_engine_status_t;

typedef struct
{
    int64_t price;         /* price units */
    int64_t quantity;      /* lots */
    uint32_t order_count;
    uint32_t reserved;
} ome_depth_t;

/* An order at rest. */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    int64_t price;               /* price units */
    int64_t leaves_quantity;     /* lots */
    int64_t cumulative_quantity; /* lots */
    uint32_t account;
    uint16_t participant;
    uint16_t session;
    uint32_t instrument;
    uint8_t side;
    uint8_t reserved[3];
} ome_order_view_t;

typedef struct
{
    char symbol[16];
    int64_t tick; /* price units */
    uint8_t price_decimals;
    uint8_t quantity_decimals;
    uint16_t flags;
    uint32_t reserved;
} ome_instrument_view_t;

typedef struct
{
    char participant_name[16];
    uint16_t participant;
    uint16_t session_number;
    uint32_t reserved;
} ome_session_view_t;

/* Makes an engine in memory of its own. OME_OK; OME_INVALID: a limit is out of range; OME_NO_MEMORY. */
ome_status_t ome_engine_create(
    uint32_t order_count_max, uint32_t level_count_max, uint32_t instrument_count_max, uint32_t session_count_max, ome_engine_t **engine);
void ome_engine_destroy(ome_engine_t *engine);

void ome_engine_status(const ome_engine_t *engine, ome_engine_status_t *status);

/* Hash of the whole state: walks every order. */
uint64_t ome_engine_state_hash(const ome_engine_t *engine);

/* Walks everything and returns NULL, or what is wrong: for tests. */
const char *ome_engine_check(const ome_engine_t *engine);

/* Up to `count_max` levels of a side (1 buy, 2 sell), best first; returns how many. 0 for an instrument that is not there. */
uint32_t ome_engine_levels(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_depth_t *levels);

/* Up to `count_max` orders of a side in priority; returns how many. */
uint32_t ome_engine_orders(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_order_view_t *orders);

/* OME_OK, or OME_NOT_FOUND when it is not at rest. */
ome_status_t ome_engine_order(const ome_engine_t *engine, uint64_t order_id, ome_order_view_t *order);

/* Numbers count from 1. OME_OK, or OME_NOT_FOUND. */
ome_status_t ome_engine_instrument(const ome_engine_t *engine, uint32_t number, ome_instrument_view_t *instrument);
ome_status_t ome_engine_session(const ome_engine_t *engine, uint32_t number, ome_session_view_t *session);

/* ---- Batch: many commands in, all their events out ---- */

typedef struct ome_batch ome_batch_t;

/* OME_OK or OME_NO_MEMORY. */
ome_status_t ome_batch_create(ome_batch_t **batch);
void ome_batch_destroy(ome_batch_t *batch);

/* Applies `count` commands of 64 bytes each, and keeps their events until the next call. `commands` needs no alignment. Ends the process when no memory can be had for the events:
 * the commands are applied by then, and what they caused must not be lost. */
void ome_batch_apply(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count);

const void *ome_batch_events(const ome_batch_t *batch);
uint64_t ome_batch_event_count(const ome_batch_t *batch);

#endif
