/* The flows: arrays of commands made from a seed before any clock runs, the same for both books.
 *
 *   seed        a sell and a buy in turn, one lot at one price: each pair trades and leaves nothing
 *   mixed       new orders near a mid price that walks slowly, 35 % cancels of live orders, IOC orders near the touch, reduces, amends;
 *               10,000 to 20,000 orders at rest
 *   wide        the same mix over 4,096 instruments, the k-th of which gets commands in proportion to k^(-2/3); 100,000 to 200,000 orders at rest, the
 *               first 131,072 of them entered before the clock runs
 *   churn       new orders that are soon gone again. Of all new orders 15 % are IOC, near the touch; the others are of a size from 1 to 100 at a distance from a
 *               mid price that walks, with P(distance > x) = 64 / (64 + x). Of those, 20 % are amended to a larger quantity, three in four of these
 *               by one tick as well, and 95 % are cancelled within 4,096 new orders. Who amends or cancels does not know whether the order was filled in the meantime,
 *               and one cancel in 64 and one amend in 64 are sent twice; so some are rejected. At most 4,000 orders at rest, some 1,000 levels
 *   deep-build  `count` new orders, none of which trades, on `count` / 100 levels in random order
 *   deep-churn  deep-build without the clock, then `count` commands on that book: 48 % cancels of a random order, 48 % new
 *               orders anywhere in it, 4 % IOC orders at the touch
 *
 * But in `churn`, what a flow cancels, reduces or amends is at rest at that moment. To know what is, the generator applies each command to a textbook book,
 * so that a flow does not depend on the engine that is measured. Commands are of 16 participants, each of which numbers its orders in turn. The first
 * commands define the instruments. */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include <stdint.h>

#include "abi/ome_records.h"

typedef struct
{
    uint64_t untimed_count; /* commands before the clock runs; at least the definitions */
    uint64_t timed_count;
    uint64_t live_count_max; /* most orders at rest at once */
    uint64_t live_count_end; /* orders at rest at the end */
    uint64_t kind_counts[5]; /* of the timed commands, by command kind; new orders without IOC orders */
    uint64_t ioc_count; /* of the timed commands */
    uint64_t rejected_count; /* of all commands */
    uint32_t order_count_max; /* orders at rest that a book is sized for */
    uint32_t level_count_max; /* as order_count_max */
    uint32_t instrument_count;
    uint32_t reserved;
    ome_command_t commands[];
} bench_flow_t;

/* Makes a flow in shared memory, for good. `name` is one of those above; NULL when it is not. `count` is 1 to 100,000,000. */
bench_flow_t *bench_flow_make(const char *name, uint64_t count, uint64_t seed);

/* How many commands there are, timed or not. */
static inline uint64_t bench_flow_command_count(const bench_flow_t *flow)
{
    return flow->untimed_count + flow->timed_count;
}

#endif
