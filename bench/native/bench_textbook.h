/* The yardstick: the order book of the textbooks. One instrument, price-time priority.
 *
 * A std::map of price levels for each side, a std::list of orders in each level, a std::unordered_map from client order id to the order's place in its
 * list. It follows docs/RULES.md for limit orders (GTC and IOC), cancel, reduce and amend by client order id, and for the rejections that an
 * order command from one participant can meet: zero or negative quantity, a client order id that is live, one that is not. Prices are on a tick of 1.
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

    /* An empty book, with memory at hand for so many orders at rest. */
    bench_textbook_t *bench_textbook_create(uint32_t order_count);

    /* Applies `count` commands, one after another. Kinds other than the four order commands and DefineInstrument are not for this book: it ends the process. */
    void bench_textbook_apply(bench_textbook_t *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink);

    /* The best price of a side, or `otherwise` when it is empty. */
    int64_t bench_textbook_best(const bench_textbook_t *book, uint8_t side, int64_t otherwise);

#ifdef __cplusplus
}
#endif

#endif
