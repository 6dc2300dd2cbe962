/* Matching: one aggressor against the other side of its book. */
#ifndef OME_MATCH_H
#define OME_MATCH_H

#include "engine/ome_event.h"

/* Trades until the quantity is used up or nothing is within the limit, which `key` is on the aggressor's own side; returns what is left. */
int64_t ome_match(ome_engine_t *engine, ome_book_t *book, const ome_subject_t *aggressor, uint64_t key, int64_t quantity, ome_sink_t *sink);

/* Trades with one order, of any sort, and says so; a level that this leaves empty goes. Returns what is left of `quantity`. */
int64_t ome_match_order(
    ome_engine_t *engine, ome_book_t *book, const ome_subject_t *aggressor, uint32_t slot, int64_t quantity, ome_sink_t *sink);

#endif
