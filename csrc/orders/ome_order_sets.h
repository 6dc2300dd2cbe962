/* Commands about many orders: MassCancel, ExpireOrders. Each was admitted. */
#ifndef OME_ORDER_SETS_H
#define OME_ORDER_SETS_H

#include "engine/ome_engine.h"

void ome_order_sets_mass_cancel(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);
void ome_order_sets_expire(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);

#endif
