/* The journal stage: takes commands from the inbound ring, appends them to the journal, makes them durable, opens the
 * gate.
 *
 * It never waits for a group to fill. While a sync is under way the next group gathers in the ring, so a busy stream
 * makes large groups, and a single order does not wait. Under `commit` every group is synced before the gate opens.
 * Under `async` a group is handed to the operating system at once, and synced when the stream is idle, when
 * `batch_count` commands are waiting, or when the oldest has waited `delay_ns`.
 *
 * A slot of the ring is free again as soon as its command is copied into the writer's buffer, before it is written.
 *
 * One thread. After an error the stage does nothing any more; the commands in the ring stay there. */
#ifndef OME_JOURNAL_STAGE_H
#define OME_JOURNAL_STAGE_H

#include <stdatomic.h>

#include "concurrent/ome_published.h"
#include "concurrent/ome_ring.h"
#include "journal/ome_journal_writer.h"
#include "pipeline/ome_venue_counters.h"

typedef struct
{
    ome_journal_writer_t *writer;
    ome_ring_t *ring;
    ome_published_t *published; /* whose gate it advances */
    const ome_counters_t *counters;
    uint64_t next_sequence;
    uint64_t delay_ns;
    uint64_t oldest_unsynced_ns; /* monotonic; when the oldest command that is not durable was written */
    uint32_t batch_count;
    uint32_t consumer_index;
    bool is_in_command; /* the record that was appended last is CONTINUED */
    bool waits; /* publication waits for the journal: fixed */
    ome_status_t status;   /* OME_OK, or why it stopped */
    atomic_bool is_spare_due; /* read by the thread that prepares: a quarter of the segment is used, so the next one should be made */
} ome_journal_stage_t;

typedef struct
{
    ome_journal_writer_t *writer;
    ome_ring_t *ring;
    ome_published_t *published;
    const ome_counters_t *counters;
    uint64_t first_sequence;
    uint64_t delay_ns;
    uint32_t batch_count;
    uint32_t consumer_index;
} ome_journal_stage_config_t;

void ome_journal_stage_init(ome_journal_stage_t *stage, const ome_journal_stage_config_t *config);

/* Journals the commands in the ring; returns how many it took or made durable. `stage->status` has any error. */
uint32_t ome_journal_stage_do_work(ome_journal_stage_t *stage);

/* Commands written and not yet durable. */
uint64_t ome_journal_stage_unsynced_count(const ome_journal_stage_t *stage);

#endif
