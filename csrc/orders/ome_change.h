/* Commands on a live order, at rest or waiting: cancel, reduce, amend. Each was admitted. */
#ifndef OME_CHANGE_H
#define OME_CHANGE_H

#include "orders/ome_admission.h"

void ome_change_cancel(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink);
void ome_change_reduce(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink);
void ome_change_amend(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink);

#endif
