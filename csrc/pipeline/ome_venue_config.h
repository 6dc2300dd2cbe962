/* The configuration of a venue. Python fills it in (cffi_build.py reads this file). */
#ifndef OME_VENUE_CONFIG_H
#define OME_VENUE_CONFIG_H

#include <stdint.h>

typedef struct ome_venue_config
{
    uint32_t ring_slot_count;   /* a power of two */
    uint32_t stream_slot_count; /* a power of two */
    uint32_t reader_count;      /* of published events, 1 or more; the event log is one besides */
    uint32_t wait_strategy;     /* ome_wait_strategy_t */
    uint32_t policy;            /* OME_POLICY_ */
    uint32_t batch_count;       /* async: so many commands are synced together at the latest */
    const char *counters_path;  /* NULL: the counters are in memory only */
    const char *directory;      /* of the journal; the rest only where there is one */
    uint64_t segment_size_bytes;
    uint64_t delay_ns;           /* async: so long a command may wait to be synced */
    uint64_t configuration_hash; /* kept in the headers of the journal's segments; any value */
} ome_venue_config_t;

#endif
