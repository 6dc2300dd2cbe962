/* Making the orders of an engine from a snapshot. For ome_snapshot_restore.c alone. */
#ifndef OME_SNAPSHOT_ORDERS_H
#define OME_SNAPSHOT_ORDERS_H

#include "engine/ome_engine.h"
#include "state/ome_snapshot_read.h"

/* Each returns false where the snapshot is not one that can be: its fault is set then. */

/* Gives a slot its generation. A slot that no entry has had yet has generation 0. */
bool ome_snapshot_take_slot(ome_snapshot_reader_t *reader, ome_order_pool_t *pool, uint32_t slot, uint32_t generation);

/* The orders at rest. */
bool ome_snapshot_restore_orders(ome_snapshot_reader_t *reader, ome_engine_t *engine, const ome_snapshot_section_t *section);

/* The orders that wait. The books are whole, and are not crossed. */
bool ome_snapshot_restore_stops(ome_snapshot_reader_t *reader, ome_engine_t *engine, uint64_t count);

#endif
