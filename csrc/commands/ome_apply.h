/* Applying commands: each is decoded, admitted, and applied. */
#ifndef OME_APPLY_H
#define OME_APPLY_H

#include "engine/ome_engine.h"

/* Applies one command; its events go to `sink`. Never fails: a bad command is a REJECTED event. `sequence` in the command is ignored. */
void ome_engine_apply(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);

/* Applies `count` commands, one after another. */
void ome_engine_apply_many(ome_engine_t *engine, const ome_command_t *commands, uint64_t count, ome_sink_t *sink);

#endif
