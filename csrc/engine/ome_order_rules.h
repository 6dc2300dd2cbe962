/* What holds for the values of an order, whoever states them: a command that is admitted, or a snapshot that is restored. Pure: no engine
 * is looked at, and nothing is changed. */
#ifndef OME_ORDER_RULES_H
#define OME_ORDER_RULES_H

#include "base/ome_assert.h"
#include "book/ome_book_state.h"

static_assert(OME_ORDER_TYPE_LIMIT == 1 && OME_ORDER_TYPE_MARKET == 2 && OME_ORDER_TYPE_STOP == 3 && OME_ORDER_TYPE_STOP_LIMIT == 4 &&
                  OME_ORDER_TYPE_TRAILING_STOP == 5 && OME_ORDER_TYPE_TRAILING_STOP_LIMIT == 6,
    "stops are the types from STOP on, trailing ones from TRAILING_STOP on");
static_assert(OME_TIME_IN_FORCE_GTC == 1 && OME_TIME_IN_FORCE_GTD == 5, "times in force are from GTC to GTD");
static_assert(OME_SIDE_BUY == 1 && OME_SIDE_SELL == 2, "a side's index is its number less one");

#define OME_BASIS_POINTS_MAX 10000

/* ---- side, type, time in force ---- */

static inline bool ome_side_is_valid(uint8_t side)
{
    return ome_side_index(side) <= 1;
}

static inline bool ome_order_type_is_valid(uint8_t order_type)
{
    return order_type >= OME_ORDER_TYPE_LIMIT && order_type <= OME_ORDER_TYPE_TRAILING_STOP_LIMIT;
}

static inline bool ome_order_type_waits(uint8_t order_type)
{
    return order_type >= OME_ORDER_TYPE_STOP;
}

static inline bool ome_order_type_trails(uint8_t order_type)
{
    return order_type >= OME_ORDER_TYPE_TRAILING_STOP;
}

/* Whether an order of this type has a limit, perhaps at a distance from its stop price. */
static inline bool ome_order_type_has_limit(uint8_t order_type)
{
    const uint32_t with_limit = 1u << OME_ORDER_TYPE_LIMIT | 1u << OME_ORDER_TYPE_STOP_LIMIT | 1u << OME_ORDER_TYPE_TRAILING_STOP_LIMIT;
    return (with_limit >> (order_type & 31u) & 1u) != 0;
}

static inline bool ome_time_in_force_is_valid(uint8_t time_in_force)
{
    return time_in_force >= OME_TIME_IN_FORCE_GTC && time_in_force <= OME_TIME_IN_FORCE_GTD;
}

/* Whether what does not trade may rest: GTC, DAY, GTD. */
static inline bool ome_time_in_force_rests(uint8_t time_in_force)
{
    return time_in_force != OME_TIME_IN_FORCE_IOC && time_in_force != OME_TIME_IN_FORCE_FOK;
}

/* ---- self-trade prevention ---- */

static inline uint8_t ome_marks_instruction(uint8_t marks)
{
    return marks >> OME_ORDER_SELF_TRADE_SHIFT & 7u;
}

/* A scope goes with an instruction only. */
static inline bool ome_self_trade_is_valid(uint8_t instruction, bool has_scope)
{
    return instruction <= OME_SELF_TRADE_PREVENTION_DECREMENT && (instruction != OME_SELF_TRADE_PREVENTION_NONE || !has_scope);
}

/* ---- prices and distances ---- */

static inline bool ome_distance_is_in_range(int64_t distance)
{
    return distance >= -OME_PRICE_MAX && distance <= OME_PRICE_MAX;
}

static inline bool ome_distance_is_on_tick(const ome_instrument_t *instrument, int64_t distance)
{
    return distance % instrument->tick == 0;
}

static inline bool ome_trail_amount_is_valid(const ome_instrument_t *instrument, int64_t amount)
{
    return amount >= instrument->tick && amount <= OME_PRICE_MAX && ome_distance_is_on_tick(instrument, amount);
}

static inline bool ome_trail_basis_points_are_valid(int64_t basis_points)
{
    return basis_points >= 1 && basis_points <= OME_BASIS_POINTS_MAX;
}

/* ---- quantities ---- */

static inline bool ome_quantity_is_in_range(int64_t quantity)
{
    return quantity >= 1 && quantity <= OME_QUANTITY_MAX;
}

#endif
