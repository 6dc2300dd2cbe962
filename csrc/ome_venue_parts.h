/* What the faces of the venue and of a gateway's process share. Not for Python. */
#ifndef OME_VENUE_PARTS_H
#define OME_VENUE_PARTS_H

#include "pipeline/ome_venue.h"
#include "wire/ome_gateway.h"
#include "wire/ome_listener.h"

/* For the configuration of a gateway; `context` is the venue. */
bool ome_venue_takes_commands(void *context);
uint8_t ome_venue_storage(void *context);

/* Counters of a block with the venue's table. `first` of a listener. */
ome_report_counters_t ome_venue_report_counters(const ome_counters_t *counters);
ome_gateway_counters_t ome_venue_gateway_counters(const ome_counters_t *counters);
ome_listener_counters_t ome_venue_listener_counters(const ome_counters_t *counters, ome_venue_counter_t first);

/* Memory that knows its size. NULL if there is none. */
void *ome_venue_sized_map(uint64_t size_bytes);
void ome_venue_sized_unmap(void *memory);

/* Makes a gateway in memory of its own, which ome_gateway_destroy frees. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_venue_make_gateway(const ome_gateway_config_t *config, const ome_engine_t *engine, ome_gateway_t **gateway);

#endif
