/* Orders with a deadline. */
#ifndef OME_EXPIRY_H
#define OME_EXPIRY_H

#include "engine/ome_engine.h"

/* The earliest deadline, or UINT64_MAX. */
uint64_t ome_expiry_next_ns(const ome_engine_t *engine);

/* Rules, "Before every record", 3: cancels the orders whose deadline is at or before the engine's time. `timestamp_ns`: of the record. */
void ome_expiry_run(ome_engine_t *engine, uint64_t timestamp_ns, ome_sink_t *sink);

#endif
