/* From events to execution reports.
 *
 * An event says what happened; a report says what it means for one order, with its open quantity, reserves included,
 * and what has traded so far. So this table keeps, for each slot of an order, its leaves, its cumulative quantity and
 * its owner. Trade ids count the trades, and times are those of the command. One thread. */
#ifndef OME_REPORTS_H
#define OME_REPORTS_H

#include <stdint.h>

#include "abi/ome_records.h"
#include "base/ome_arena.h"
#include "engine/ome_engine.h"

typedef struct
{
    int64_t leaves_quantity;
    int64_t cumulative_quantity;
    uint64_t owner; /* account | participant << 32 | session << 48 */
} ome_report_order_t;

typedef struct
{
    ome_report_order_t *orders; /* by slot */
    uint32_t *order_counts;     /* by session: live orders that came by it */
    uint64_t trade_count;
    uint64_t sequence;          /* of the command whose events are being read */
    uint64_t timestamp_ns;
} ome_reports_t;

void ome_reports_init(ome_reports_t *reports, ome_arena_t *arena, uint32_t order_count_max, uint32_t session_count_max);

/* Takes over the live orders, resting or waiting, before the engine's thread starts. */
void ome_reports_seed(ome_reports_t *reports, const ome_engine_t *engine);

/* Makes the reports of one event, at most two, with header, session and participant, and without report_sequence. Returns how many. They
 * follow from the events alone: the same events make the same bytes. */
uint32_t ome_reports_make(ome_reports_t *reports, const ome_event_t *event, ome_execution_report_t made[2]);

#endif
