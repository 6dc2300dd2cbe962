/* What is said of the whole state of an engine. */
#ifndef OME_STATE_H
#define OME_STATE_H

#include "engine/ome_engine.h"

/* Hash of the whole state, as docs/RULES.md defines it. Walks every order. */
uint64_t ome_engine_state_hash(const ome_engine_t *engine);

/* Walks everything and returns NULL, or what is wrong: for tests. */
const char *ome_engine_check(const ome_engine_t *engine);

#endif
