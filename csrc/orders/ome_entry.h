/* How an order enters the book: a new one, a stop that was triggered, or one that an amend moved. It trades what it may, and what is left
 * rests or is cancelled. Stops are looked at for what it traded; those that this elects enter later, which is the caller's business. */
#ifndef OME_ENTRY_H
#define OME_ENTRY_H

#include "orders/ome_admission.h"

/* A new order that was admitted. */
void ome_entry_new(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink);

/* A stop that was elected, of the command of this time: TRIGGERED, and what follows. */
void ome_entry_triggered(ome_engine_t *engine, uint32_t slot, uint64_t timestamp_ns, ome_sink_t *sink);

/* An order that an amend took out of its queue, that does not cross: it joins the back of one. */
void ome_entry_moved(ome_engine_t *engine, const ome_incoming_t *incoming, ome_sink_t *sink);

/* The same of one that crosses; `flags` are those of its AMENDED. */
void ome_entry_moved_across(ome_engine_t *engine, ome_incoming_t *incoming, uint8_t flags, ome_sink_t *sink);

/* A stop waits from now on, at the end of its stop price; where that is past, it is elected. */
void ome_entry_wait(ome_engine_t *engine, ome_book_t *book, uint32_t slot, bool is_past);

#endif
