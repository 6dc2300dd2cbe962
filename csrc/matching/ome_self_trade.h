/* Self-trade prevention: an aggressor meets the other side order by order, and does not trade with those of its own group. */
#ifndef OME_SELF_TRADE_H
#define OME_SELF_TRADE_H

#include "matching/ome_incoming.h"

/* Whether an order at rest is of the aggressor's group. */
static inline bool ome_self_trade_is_own(const ome_engine_t *engine, const ome_incoming_t *incoming, const ome_order_t *order)
{
    if (ome_owner_participant(order->owner) != ome_owner_participant(incoming->subject.owner))
    {
        return false;
    }
    if (incoming->group != 0)
    {
        return engine->pools.specials.records[ome_order_special(order)].group == incoming->group;
    }
    return (incoming->marks & OME_ORDER_MARK_SCOPE_PARTICIPANT) != 0 ||
           (uint32_t)ome_book_owner(&engine->pools, order) == (uint32_t)incoming->subject.owner;
}

/* Meets the other side as the aggressor's instruction says, until nothing is left of it or nothing is within its limit. Returns the lots
 * traded; the order's leaves are what is left, 0 also where it was cancelled, which has been said then. */
int64_t ome_self_trade_match(ome_engine_t *engine, ome_incoming_t *incoming, ome_sink_t *sink);

#endif
