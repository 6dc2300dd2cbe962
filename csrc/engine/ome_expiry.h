/* What comes before a record, and ExpireOrders. Internal to engine/. */
#ifndef OME_EXPIRY_H
#define OME_EXPIRY_H

#include "engine/ome_engine.h"

/* The earliest deadline, or UINT64_MAX. */
uint64_t ome_expiry_next_ns(const ome_engine_t *engine);

/* Rules, "Before every record", 2 and 3. To be called when the engine's time is at or past attention_ns. */
void ome_attend(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink);

#endif
