/* Stops: what they wait for, and when they are triggered.
 *
 * A stop that is triggered is elected: it leaves the stops of its book and queues, linked by `next`, until it enters as an order of the
 * command that runs. Who applies the command works the queue off when it has done the rest, however long a cascade is; it is empty
 * between commands. */
#ifndef OME_STOP_H
#define OME_STOP_H

#include "engine/ome_engine.h"
#include "engine/ome_order_rules.h"

/* The better of its stop price and where the last trade price would put it, if there is one. */
int64_t ome_stop_moved_price(const ome_book_t *book, const ome_special_t *special);

/* Whether the last trade price is at this stop price or past it. */
bool ome_stop_is_past(const ome_book_t *book, uint8_t side, int64_t stop_price);

/* Elects a stop that waits in no queue. */
void ome_stop_elect(ome_engine_t *engine, uint32_t slot);

/* The price becomes the last trade price; trailing stops move; what it triggers is elected. */
void ome_stop_look(ome_engine_t *engine, ome_book_t *book, int64_t price);

/* Before an aggressor whose first trade, if it crosses, is with the best level: remembers that price. */
void ome_stop_watch(ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t key);

/* What follows an aggressor: stops are looked at for its first and its last trade price. */
void ome_stop_look_after(ome_engine_t *engine, ome_book_t *book);

/* Takes the first of the elected out of the queue; 0 where there is none. */
uint32_t ome_stop_next_elected(ome_engine_t *engine);

#endif
