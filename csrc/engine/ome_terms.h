/* Commands of more than one record: the first waits until its last terms have come. Internal to engine/. */
#ifndef OME_TERMS_H
#define OME_TERMS_H

#include "engine/ome_engine.h"

/* Keeps a new order or an amend whose flags have CONTINUED. Says nothing. */
void ome_terms_hold(ome_engine_t *engine, const ome_command_t *command);

/* Applies an OrderTerms: adds it to the command that waits, and with the last one applies that. */
void ome_terms_apply(ome_engine_t *engine, const ome_command_t *terms, ome_sink_t *sink);

/* Before a record: rejects the command that waits where this record does not go on with it. */
void ome_terms_interrupt(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink);

#endif
