/* Commands of more than one record: the first waits until its last terms have come. */
#ifndef OME_TERMS_H
#define OME_TERMS_H

#include "engine/ome_engine.h"

/* Of a command without terms. */
extern const ome_given_t OME_GIVEN_NONE;

/* Keeps a new order or an amend whose flags have CONTINUED. Says nothing. */
void ome_terms_hold(ome_engine_t *engine, const ome_command_t *command);

/* Adds an OrderTerms to the command that waits. Returns whether that is complete now. */
bool ome_terms_add(ome_engine_t *engine, const ome_command_t *terms);

/* Before a record: rejects the command that waits where this record does not go on with it. */
void ome_terms_interrupt(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink);

#endif
