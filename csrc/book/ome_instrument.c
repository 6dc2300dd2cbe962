#include "book/ome_instrument.h"

#include <string.h>

#define FLAGS_KNOWN (OME_INSTRUMENT_FLAGS_SIGNED_PRICES | OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT | OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES)

bool ome_name_is_valid(const char name[OME_NAME_SIZE])
{
    uint32_t length = 0;
    while (length < OME_NAME_SIZE && name[length] > ' ' && name[length] <= '~')
    {
        length++;
    }
    for (uint32_t i = length; i < OME_NAME_SIZE; i++)
    {
        if (name[i] != 0)
        {
            return false;
        }
    }
    return length > 0;
}

bool ome_instrument_is_valid(const ome_command_t *definition)
{
    return definition->tick >= 1 && definition->tick <= OME_TICK_MAX && definition->price_decimals <= OME_DECIMALS_MAX &&
           definition->quantity_decimals <= OME_DECIMALS_MAX && (definition->instrument_flags & ~FLAGS_KNOWN) == 0 &&
           ome_name_is_valid(definition->symbol);
}

/* Newton's iteration doubles the correct low bits: 3, 6, 12, 24, 48, 96. */
static uint64_t instrument_inverse_of_odd(uint64_t odd)
{
    uint64_t inverse = odd;
    for (uint32_t i = 0; i < 5; i++)
    {
        inverse *= 2 - odd * inverse;
    }
    return inverse;
}

void ome_instrument_init(ome_instrument_t *instrument, const ome_command_t *definition)
{
    const uint64_t tick = (uint64_t)definition->tick;
    const bool is_signed = (definition->instrument_flags & OME_INSTRUMENT_FLAGS_SIGNED_PRICES) != 0;
    instrument->price_min = is_signed ? -OME_PRICE_MAX : 1;
    /* Below every price that is allowed, on the tick or not, so that the distance from it is never negative. */
    instrument->base = is_signed ? 0 - ((uint64_t)OME_PRICE_MAX / tick + 1) * tick : 0;
    instrument->tick = definition->tick;
    instrument->tick_shift = (uint8_t)__builtin_ctzll(tick);
    instrument->tick_inverse = instrument_inverse_of_odd(tick >> instrument->tick_shift);
    instrument->tick_index_max = UINT64_MAX / tick;
    instrument->tick_index_top = ((uint64_t)OME_PRICE_MAX - instrument->base) / tick;
    instrument->price_decimals = definition->price_decimals;
    instrument->quantity_decimals = definition->quantity_decimals;
    instrument->reserved = 0;
    instrument->collar_ticks = definition->collar_ticks;
    instrument->flags = definition->instrument_flags;
    memcpy(instrument->symbol, definition->symbol, OME_NAME_SIZE);
}
