/* The order commands where an order or a command is not plain: stops, peaks, hidden and post-only orders, deadlines, groups, terms. Internal to engine/. */
#ifndef OME_SPECIAL_ORDERS_H
#define OME_SPECIAL_ORDERS_H

#include "engine/ome_engine.h"

/* Each applies a whole command, or rejects it. */
void ome_special_new(ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_sink_t *sink);
void ome_special_amend(ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_sink_t *sink);
void ome_special_cancel(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);
void ome_special_reduce(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);

/* Of a command without terms. */
extern const ome_given_t OME_GIVEN_NONE;

#endif
