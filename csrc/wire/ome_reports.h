/* From events to execution reports.
 *
 * An event says what happened; a report says what it means for one order, with its open quantity, reserves included,
 * and what has traded so far. So this table keeps, for each slot of an order, its leaves, its cumulative quantity and
 * its owner. Trade ids count the trades, and times are those of the command. One thread. */
#ifndef OME_REPORTS_H
#define OME_REPORTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_records.h"
#include "base/ome_arena.h"
#include "base/ome_counters.h"
#include "engine/ome_engine.h"

typedef struct
{
    int64_t leaves_quantity;
    int64_t cumulative_quantity;
    uint64_t owner; /* account | participant << 32 | session << 48 */
} ome_report_order_t;

/* Live orders of a session. Written by one thread; any thread reads. */
typedef _Atomic uint32_t ome_order_count_t;

typedef struct
{
    ome_report_order_t *orders;      /* by slot */
    ome_order_count_t *order_counts; /* by session: live orders that came by it */
    uint64_t trade_count;
    uint64_t sequence; /* of the command whose events are being read */
    uint64_t timestamp_ns;
} ome_reports_t;

static inline uint32_t ome_order_count(const ome_order_count_t *counts, uint16_t session)
{
    return atomic_load_explicit(&counts[session], memory_order_relaxed); /* says nothing about other memory */
}

/* Written by the thread that makes reports. */
typedef struct
{
    ome_counter_t *orders;
    ome_counter_t *cancels;
    ome_counter_t *rejects;
    ome_histogram_t *latency;
} ome_report_counters_t;

void ome_reports_init(ome_reports_t *reports, ome_arena_t *arena, uint32_t order_count_max, uint32_t session_count_max);

/* Takes over the live orders, resting or waiting, before the engine's thread starts. */
void ome_reports_seed(ome_reports_t *reports, const ome_engine_t *engine);

/* Makes the reports of one event, at most two, with header, session and participant, and without report_sequence. Returns how many. They
 * follow from the events alone: the same events make the same bytes. */
uint32_t ome_reports_make(ome_reports_t *reports, const ome_event_t *event, ome_execution_report_t made[2]);

/* Counts an event of which clients hear at this time. */
static inline void ome_report_counters_count(const ome_report_counters_t *counters, const ome_event_t *event, uint64_t now_ns)
{
    switch (event->kind)
    {
    case OME_EVENT_KIND_TRADE:
    case OME_EVENT_KIND_PREVENTED: /* has no time of its own */
    case OME_EVENT_KIND_DISPLAYED: /* makes no report */
        return;
    case OME_EVENT_KIND_ACCEPTED:
        ome_counter_add(counters->orders, 1);
        break;
    case OME_EVENT_KIND_CANCELLED:
        ome_counter_add(counters->cancels, 1);
        break;
    case OME_EVENT_KIND_REJECTED:
        ome_counter_add(counters->rejects, 1);
        break;
    default:
        break;
    }
    ome_histogram_record(counters->latency, now_ns > event->timestamp_ns ? now_ns - event->timestamp_ns : 0);
}

/* Whether an event answers a definition. */
static inline bool ome_event_is_definition_answer(const ome_event_t *event)
{
    return event->kind == OME_EVENT_KIND_DEFINED ||
           (event->kind == OME_EVENT_KIND_REJECTED && ome_message_class(event->command_kind) == OME_MESSAGE_CLASS_DEFINITION);
}

#endif
