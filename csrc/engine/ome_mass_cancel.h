/* Commands about many orders, and about the last trade price: MassCancel, ExpireOrders, SetLastPrice. Internal to engine/. */
#ifndef OME_MASS_CANCEL_H
#define OME_MASS_CANCEL_H

#include "engine/ome_engine.h"

/* Each applies a whole command, or rejects it. */
void ome_mass_cancel(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);
void ome_expire_orders(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);
void ome_set_last_price(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);

#endif
