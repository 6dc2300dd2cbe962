/* An instrument: its name, its tick, and the arithmetic between prices and ladder keys.
 *
 * A price is a multiple of the tick exactly when its product with the tick's inverse modulo 2^64, rotated by the tick's
 * power of two, is at most (2^64 - 1) / tick; and then that product is the quotient (Granlund and Montgomery 1994,
 * section 9). One multiplication replaces a division. */
#ifndef OME_INSTRUMENT_H
#define OME_INSTRUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "abi/ome_records.h"

typedef struct
{
    int64_t price_min;          /* lowest price allowed */
    uint64_t base;              /* price of key 0: a multiple of the tick, at or below price_min; two's complement */
    uint64_t tick_inverse;      /* of the tick's odd part, modulo 2^64 */
    uint64_t tick_index_max;    /* (2^64 - 1) / tick */
    uint64_t tick_index_top;    /* of the highest price allowed; the lowest has 1 */
    int64_t tick;               /* price units */
    uint8_t tick_shift;         /* tick = odd part << tick_shift */
    uint8_t price_decimals;
    uint8_t quantity_decimals;
    uint8_t reserved;
    uint16_t flags;             /* OME_INSTRUMENT_FLAGS_ */
    uint32_t collar_ticks;      /* how far from the best opposite price an order without limit may trade; 0 for any */
    char symbol[OME_NAME_SIZE];
} ome_instrument_t;

/* 1 to 16 printable ASCII characters without space, padded with zeros. */
bool ome_name_is_valid(const char name[OME_NAME_SIZE]);

/* Whether the definition by itself is valid. */
bool ome_instrument_is_valid(const ome_command_t *definition);

void ome_instrument_init(ome_instrument_t *instrument, const ome_command_t *definition);

static inline bool ome_instrument_price_in_range(const ome_instrument_t *instrument, int64_t price)
{
    return price >= instrument->price_min && price <= OME_PRICE_MAX;
}

/* Ticks above `base`. False when the price, which must be in range, is not on the tick. */
static inline bool ome_instrument_tick_index(const ome_instrument_t *instrument, int64_t price, uint64_t *tick_index)
{
    const uint64_t product = ((uint64_t)price - instrument->base) * instrument->tick_inverse;
    const uint32_t shift = instrument->tick_shift;
    *tick_index = product >> shift | product << (-shift & 63u);
    return *tick_index <= instrument->tick_index_max;
}

/* Both of the above at once: false also when the price is out of range, whatever it is. */
static inline bool ome_instrument_is_price(const ome_instrument_t *instrument, int64_t price, uint64_t *tick_index)
{
    const uint64_t product = ((uint64_t)price - instrument->base) * instrument->tick_inverse;
    const uint32_t shift = instrument->tick_shift;
    *tick_index = product >> shift | product << (-shift & 63u);
    return *tick_index - 1 < instrument->tick_index_top;
}

/* The highest and the lowest price that are allowed and on the tick. */
static inline int64_t ome_instrument_price_top(const ome_instrument_t *instrument)
{
    return (int64_t)(instrument->base + instrument->tick_index_top * (uint64_t)instrument->tick);
}

static inline int64_t ome_instrument_price_bottom(const ome_instrument_t *instrument)
{
    return (int64_t)(instrument->base + (uint64_t)instrument->tick);
}

/* Clamps a computed price to these two. */
static inline int64_t ome_instrument_keep_within(const ome_instrument_t *instrument, __int128 price)
{
    const int64_t top = ome_instrument_price_top(instrument);
    const int64_t bottom = ome_instrument_price_bottom(instrument);
    return price > top ? top : price < bottom ? bottom : (int64_t)price;
}

#endif
