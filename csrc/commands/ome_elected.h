/* The stops that a command has elected enter when the command has done the rest. */
#ifndef OME_ELECTED_H
#define OME_ELECTED_H

#include "matching/ome_stop.h"
#include "orders/ome_entry.h"

/* One after another, until none is left: each may elect others. `timestamp_ns`: of the command. */
static inline void ome_elected_run(ome_engine_t *engine, uint64_t timestamp_ns, ome_sink_t *sink)
{
    for (uint32_t slot = ome_stop_next_elected(engine); slot != 0; slot = ome_stop_next_elected(engine))
    {
        ome_entry_triggered(engine, slot, timestamp_ns, sink);
    }
    OME_EXPECT(engine->elected_head == 0);
    OME_EXPECT(engine->elected_tail == 0);
}

#endif
