#include "orders/ome_expiry.h"

#include "book/ome_deadline_heap.h"
#include "matching/ome_resting.h"

uint64_t ome_expiry_next_ns(const ome_engine_t *engine)
{
    const uint32_t first = ome_deadline_heap_first(&engine->pools.specials);
    return first == 0 ? UINT64_MAX : engine->pools.specials.records[first].deadline_ns;
}

void ome_expiry_run(ome_engine_t *engine, uint64_t timestamp_ns, ome_sink_t *sink)
{
    while (ome_expiry_next_ns(engine) <= engine->time_ns && engine->pools.specials.heap_count > 0)
    {
        const uint32_t first = ome_deadline_heap_first(&engine->pools.specials);
        const uint32_t slot = (uint32_t)engine->pools.specials.records[first].order_id;
        ome_resting_cancel(engine, slot, timestamp_ns, OME_REASON_EXPIRED, sink);
    }
    OME_EXPECT(engine->pools.specials.heap_count == 0 || ome_expiry_next_ns(engine) > engine->time_ns);
}
