#include "engine/ome_expiry.h"

#include "book/ome_deadline_heap.h"
#include "engine/ome_standing.h"
#include "engine/ome_terms.h"

uint64_t ome_expiry_next_ns(const ome_engine_t *engine)
{
    const uint32_t first = ome_deadline_heap_first(&engine->pools.specials);
    return first == 0 ? UINT64_MAX : engine->pools.specials.records[first].deadline_ns;
}

void ome_attend(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink)
{
    ome_terms_interrupt(engine, record, sink);
    while (ome_expiry_next_ns(engine) <= engine->time_ns && engine->pools.specials.heap_count > 0)
    {
        const uint32_t first = ome_deadline_heap_first(&engine->pools.specials);
        const uint32_t slot = (uint32_t)engine->pools.specials.records[first].order_id;
        ome_standing_cancel(engine, slot, record->timestamp_ns, OME_REASON_EXPIRED, sink);
    }
    engine->attention_ns = engine->pending.waits ? 0 : ome_expiry_next_ns(engine);
}
