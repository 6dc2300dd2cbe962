/* What the faces of the venue and of a gateway's process share. Not for Python. */
#ifndef OME_VENUE_PARTS_H
#define OME_VENUE_PARTS_H

#include "pipeline/ome_venue.h"
#include "wire/ome_gateway.h"
#include "wire/ome_listener.h"

/* For the configuration of a gateway; `context` is the venue. */
bool ome_venue_takes_commands(void *context);
uint8_t ome_venue_storage(void *context);

/* Counters of a block with the venue's table. */
ome_report_counters_t ome_venue_report_counters(const ome_counters_t *counters);
ome_gateway_counters_t ome_venue_gateway_counters(const ome_counters_t *counters);

/* Makes a listener with the counters of a block. As ome_venue_listen. */
ome_status_t ome_venue_make_listener(const ome_counters_t *counters, int listen_fd, ome_listen_use_t use, uint32_t connection_count_max,
    uint32_t part_size_max_bytes, uint32_t queue_size_max_bytes, uint64_t pool_size_bytes, const ome_curve_config_t *curve,
    ome_listener_t **listener);

/* Memory that knows its size. NULL if there is none. */
void *ome_venue_sized_map(uint64_t size_bytes);
void ome_venue_sized_unmap(void *memory);

/* Makes a gateway in memory of its own, which ome_gateway_destroy frees. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_venue_make_gateway(const ome_gateway_config_t *config, const ome_engine_t *engine, ome_gateway_t **gateway);

#endif
