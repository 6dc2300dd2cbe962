/* A question to the matching thread: the only way to read the engine while the venue runs.
 *
 *     asker: IDLE --post--> ASKED              ANSWERED --take--> IDLE
 *     match thread:         ASKED --> WORKING --> ANSWERED
 *
 * One slot, and one asker at a time. A question is a function with what it needs; the match stage calls it between two batches, when the
 * engine has applied whole batches and nothing is in motion. It must do a bounded, small amount of work, and change nothing that the state
 * hash covers: all commands wait for it meanwhile. While nobody asks, the match stage pays one load of a line that nobody writes, for each
 * batch.
 *
 * What the answer shows may not be durable yet: it may be sent when the gate has reached the engine's sequence (ome_published_limit).
 *
 * Threads: the match thread calls ome_query_answer, one other thread the rest. `work` and `context` are written before ASKED is stored
 * (release) and read after it was loaded (acquire); what the work has written, before ANSWERED is stored and after it was loaded. */
#ifndef OME_QUERY_H
#define OME_QUERY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_status.h"
#include "concurrent/ome_wait.h"
#include "engine/ome_engine.h"

typedef enum
{
    OME_QUERY_IDLE,
    OME_QUERY_ASKED,
    OME_QUERY_WORKING,
    OME_QUERY_ANSWERED
} ome_query_state_t;

typedef void (*ome_query_work_t)(ome_engine_t *engine, void *context);

typedef struct
{
    OME_CACHE_ALIGNED _Atomic uint32_t state; /* ome_query_state_t */
    ome_query_work_t work;
    void *context;
    ome_wait_t answered; /* where the asker sleeps, whatever the strategy of the venue: questions are not worth a core */
} ome_query_t;

/* Nothing is asked. */
void ome_query_init(ome_query_t *query);

/* ---- the match thread ---- */

static inline bool ome_query_is_asked(const ome_query_t *query)
{
    /* Acquire: pairs with the release in ome_query_post. */
    return atomic_load_explicit(&query->state, memory_order_acquire) == OME_QUERY_ASKED;
}

/* Answers what is asked, unless it was withdrawn meanwhile. */
void ome_query_answer(ome_query_t *query, ome_engine_t *engine);

/* ---- the asker ---- */

/* Asks; nothing is asked yet. The caller then wakes the match thread. */
void ome_query_post(ome_query_t *query, ome_query_work_t work, void *context);

/* Waits for the answer, about `timeout_ns`. OME_OK: the work was done; OME_EMPTY: it was not, and never will be. Either way the next question
 * may be asked. */
ome_status_t ome_query_take(ome_query_t *query, uint64_t timeout_ns);

#endif
