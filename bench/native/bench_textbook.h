/* The yardstick: the order book of the textbooks, one for each instrument. Price-time priority.
 *
 * A std::map of price levels for each side, a std::list of orders in each level, a std::unordered_map from participant and client order id to the order's
 * place in its list; the last is one for all instruments, as an id is unique for its participant. It follows docs/RULES.md for limit orders (GTC and IOC),
 * cancel, reduce and amend by client order id, and for the rejections that these can meet where the instrument exists: zero or negative quantity, a client
 * order id that is live, one that is not. Prices are on a tick of 1.
 *
 * It is written to be quick as far as its structure allows: the hash map has its buckets from the start, an order knows its level, so that a map is searched
 * only where an order joins a level or a level goes, and an amended order moves with its list node. It writes the same 64-byte events as the engine; it
 * does not hash them, and checks less. There is no way to destroy one: each run is a process of its own. */
#ifndef BENCH_TEXTBOOK_H
#define BENCH_TEXTBOOK_H

#include <stdint.h>

#include "engine/ome_sink.h"

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct bench_textbook bench_textbook_t;

/* Pages that the heap will need for so many orders at rest are there from now on. Before the book is made. */
void bench_textbook_warm_heap(uint32_t order_count);

/* Empty books of instruments 1 to `instrument_count`, with buckets for so many orders at rest. */
bench_textbook_t *bench_textbook_create(uint32_t order_count, uint32_t instrument_count);

/* Applies `count` commands, one after another. Kinds other than the four order commands and DefineInstrument are not for this book: it ends the process. */
void bench_textbook_apply(bench_textbook_t *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink);

/* The best price of a side, or `otherwise` when it is empty. */
int64_t bench_textbook_best(const bench_textbook_t *book, uint32_t instrument, uint8_t side, int64_t otherwise);

#ifdef __cplusplus
}
#endif

#endif
