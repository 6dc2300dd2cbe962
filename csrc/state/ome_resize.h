/* Moving an engine to other limits: larger ones, or smaller ones that hold all that lives.
 *
 * An engine's memory follows from its limits and does not grow. So the engine is written as a snapshot, into memory, and restored into
 * an engine of the new limits, which goes on exactly as the first would have: the same events, the same order ids, the same state hash.
 * Limits decide only what is refused. */
#ifndef OME_RESIZE_H
#define OME_RESIZE_H

#include "engine/ome_engine.h"

/* Whether an engine of these limits can hold all that this one has: instruments, the numbers of sessions and participants, levels,
 * special orders, and the slots that orders ever used, since an order id is never given twice. */
bool ome_engine_fits(const ome_engine_t *engine, const ome_limits_t *limits);

/* Between two records. `*engine` is in memory of ome_memory_map, of its own size; after OME_OK it is another one, and the first is
 * freed. For a moment both are there, and a snapshot. OME_OK; OME_INVALID: a limit is out of range; OME_FULL: it does not fit;
 * OME_NO_MEMORY: then and otherwise nothing has changed. */
ome_status_t ome_engine_resize(ome_engine_t **engine, const ome_limits_t *limits);

#endif
