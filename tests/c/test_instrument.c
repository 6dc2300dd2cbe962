/* An instrument's arithmetic against plain division, and what a definition may say. */
#include <stdbool.h>

#include "book/ome_instrument.h"
#include "ome_test_market.h"

static uint64_t seed;

static ome_instrument_t instrument_of(int64_t tick, uint16_t flags)
{
    const ome_command_t definition = define_instrument(1, "X", tick, flags);
    ome_instrument_t instrument;
    CHECK(ome_instrument_is_valid(&definition));
    ome_instrument_init(&instrument, &definition);
    return instrument;
}

/* A price in range is on the tick exactly when division leaves no rest, and its tick index is the number of ticks above the base. */
static void check_price(const ome_instrument_t *instrument, int64_t price)
{
    uint64_t tick_index = 0;
    CHECK(ome_instrument_price_in_range(instrument, price));
    const bool is_on_tick = ome_instrument_tick_index(instrument, price, &tick_index);
    CHECK_EQUAL(is_on_tick, price % instrument->tick == 0);
    if (is_on_tick)
    {
        const __int128 distance = (__int128)price - (int64_t)instrument->base;
        CHECK(distance >= 0);
        CHECK_EQUAL(tick_index, (uint64_t)(distance / instrument->tick));
    }
}

static int64_t clamp(__int128 price, int64_t price_min)
{
    if (price < price_min)
    {
        return price_min;
    }
    return price > OME_PRICE_MAX ? OME_PRICE_MAX : (int64_t)price;
}

/* Ticks of one, powers of two, small and large, odd and even, up to the largest. */
static int64_t random_tick(uint64_t *state)
{
    const uint64_t random = test_random(state);
    const uint32_t shift = (uint32_t)(random >> 8 & 63) % 63;
    switch (random & 7)
    {
    case 0:
        return 1 + (int64_t)(random >> 16 & 15);
    case 1:
        return INT64_C(1) << shift;
    case 2:
        return OME_TICK_MAX - (int64_t)(random >> 16 & 255);
    case 3:
        return (int64_t)(test_random(state) % (uint64_t)OME_TICK_MAX) | 1;
    case 4:
        return 25 * (1 + (int64_t)(random >> 16 & 1023));
    default:
        return 1 + (int64_t)((test_random(state) % (uint64_t)OME_TICK_MAX) >> shift);
    }
}

/* Prices at random, and beside multiples of the tick, from `low` to the highest. */
static void check_prices(const ome_instrument_t *instrument, int64_t low, uint64_t *state)
{
    const uint64_t span = (uint64_t)OME_PRICE_MAX - (uint64_t)low;
    for (uint32_t i = 0; i < 50; i++)
    {
        const int64_t price = (int64_t)((uint64_t)low + test_random(state) % (span + 1) / (UINT64_C(1) << (test_random(state) % 62)));
        const int64_t multiple = price / instrument->tick * instrument->tick;
        check_price(instrument, price);
        check_price(instrument, clamp(multiple, low));
        check_price(instrument, clamp((__int128)multiple + 1, low));
        check_price(instrument, clamp((__int128)multiple - 1, low));
        check_price(instrument, clamp((__int128)multiple + instrument->tick, low));
        check_price(instrument, clamp((__int128)OME_PRICE_MAX - i, low));
    }
}

/* Granlund and Montgomery's test of divisibility is division, for prices from 1 on. */
static void the_tick_index_of_a_price_is_its_quotient(void)
{
    uint64_t state = seed;
    for (uint32_t round = 0; round < 4000; round++)
    {
        const ome_instrument_t instrument = instrument_of(random_tick(&state), 0);
        CHECK_EQUAL(instrument.base, 0);
        CHECK_EQUAL(instrument.price_min, 1);
        check_prices(&instrument, 1, &state);
    }
}

/* As above with prices of zero and below; here not below the lowest multiple of the tick that is in range. */
static void the_tick_index_of_a_signed_price_counts_from_the_base(void)
{
    uint64_t state = seed ^ 1;
    for (uint32_t round = 0; round < 4000; round++)
    {
        const ome_instrument_t instrument = instrument_of(random_tick(&state), OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
        const int64_t lowest = -OME_PRICE_MAX / instrument.tick * instrument.tick;
        CHECK_EQUAL((int64_t)instrument.base % instrument.tick, 0);
        CHECK_EQUAL(instrument.price_min, -OME_PRICE_MAX);
        check_prices(&instrument, lowest, &state);
        check_price(&instrument, lowest);
        check_price(&instrument, 0);
    }
}

/* Rules, "Order of checks": a price is on the tick when it is a multiple of it, down to -2^62 itself; the base is at or
 * below every price in range. */
static void the_lowest_signed_prices_are_on_the_tick_only_where_they_are_multiples(void)
{
    uint64_t state = seed ^ 2;
    for (uint32_t round = 0; round < 4000; round++)
    {
        const int64_t tick = round < 1000 ? (int64_t)round + 1 : random_tick(&state);
        const ome_instrument_t instrument = instrument_of(tick, OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
        for (int64_t above = 0; above < 300; above++)
        {
            check_price(&instrument, -OME_PRICE_MAX + above);
        }
        CHECK((int64_t)instrument.base <= instrument.price_min);
    }
}

/* A price outside the range is told to be, at each end and far beyond. */
static void prices_outside_the_range_are_refused(void)
{
    const ome_instrument_t plain = instrument_of(1, 0);
    const ome_instrument_t is_signed = instrument_of(1, OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
    CHECK(ome_instrument_price_in_range(&plain, 1) && ome_instrument_price_in_range(&plain, OME_PRICE_MAX));
    CHECK(!ome_instrument_price_in_range(&plain, 0) && !ome_instrument_price_in_range(&plain, -1));
    CHECK(!ome_instrument_price_in_range(&plain, OME_PRICE_MAX + 1) && !ome_instrument_price_in_range(&plain, INT64_MAX));
    CHECK(!ome_instrument_price_in_range(&plain, INT64_MIN));
    CHECK(ome_instrument_price_in_range(&is_signed, -OME_PRICE_MAX) && ome_instrument_price_in_range(&is_signed, OME_PRICE_MAX));
    CHECK(!ome_instrument_price_in_range(&is_signed, -OME_PRICE_MAX - 1) && !ome_instrument_price_in_range(&is_signed, OME_PRICE_MAX + 1));
    CHECK(!ome_instrument_price_in_range(&is_signed, INT64_MIN) && !ome_instrument_price_in_range(&is_signed, INT64_MAX));
}

static bool name_is_valid(const char *text, size_t size)
{
    char name[OME_NAME_SIZE] = {0};
    memcpy(name, text, size);
    return ome_name_is_valid(name);
}

/* Rules, "Definitions": a name is 1 to 16 printable ASCII characters without space, zero padded. */
static void a_name_is_printable_and_zero_padded(void)
{
    CHECK(name_is_valid("A", 1) && name_is_valid("!", 1) && name_is_valid("~", 1));
    CHECK(name_is_valid("ABCDEFGHIJKLMNOP", 16) && name_is_valid("ABCDEFGHIJKLMNO", 15));
    CHECK(!name_is_valid("", 0) && !name_is_valid(" ", 1) && !name_is_valid("A B", 3) && !name_is_valid("AB ", 3));
    CHECK(!name_is_valid("A\0B", 3) && !name_is_valid("\0A", 2) && !name_is_valid("A\0\0\0\0\0\0\0\0\0\0\0\0\0\0B", 16));
    for (uint32_t value = 0; value < 256; value++)
    {
        const char text[2] = {'A', (char)value};
        CHECK_EQUAL(name_is_valid(text, 2), value == 0 || (value > 0x20 && value < 0x7F));
    }
}

/* Each field of a definition has its limits, and each limit counts by itself. */
static void a_definition_is_valid_only_within_every_limit(void)
{
    const ome_command_t good = define_instrument(1, "X", 5, 0);
    CHECK(ome_instrument_is_valid(&good));
    ome_command_t changed = good;
    static const int64_t bad_ticks[] = {0, -1, INT64_MIN, OME_TICK_MAX + 1, INT64_MAX};
    for (uint32_t i = 0; i < 5; i++)
    {
        changed.tick = bad_ticks[i];
        CHECK(!ome_instrument_is_valid(&changed));
    }
    changed.tick = OME_TICK_MAX;
    CHECK(ome_instrument_is_valid(&changed));
    changed.price_decimals = OME_DECIMALS_MAX;
    changed.quantity_decimals = OME_DECIMALS_MAX;
    changed.instrument_flags = OME_INSTRUMENT_FLAGS_SIGNED_PRICES;
    CHECK(ome_instrument_is_valid(&changed));
    changed.price_decimals = OME_DECIMALS_MAX + 1;
    CHECK(!ome_instrument_is_valid(&changed));
    changed.price_decimals = 0;
    changed.quantity_decimals = OME_DECIMALS_MAX + 1;
    CHECK(!ome_instrument_is_valid(&changed));
    changed.quantity_decimals = 0;
    for (uint32_t flag = 0; flag < 16; flag++)
    {
        changed.instrument_flags = (uint16_t)(1u << flag);
        const bool is_known = changed.instrument_flags <= OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES;
        CHECK_EQUAL(ome_instrument_is_valid(&changed), is_known);
    }
    changed.instrument_flags = 0;
    changed.symbol[0] = 0;
    CHECK(!ome_instrument_is_valid(&changed));
}

/* What is told of an instrument is what was defined. */
static void an_instrument_keeps_its_definition(void)
{
    ome_command_t definition = define_instrument(7, "ABCDEFGHIJKLMNOP", 12, OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
    definition.price_decimals = 3;
    definition.quantity_decimals = 4;
    definition.collar_ticks = 77;
    ome_instrument_t instrument;
    ome_instrument_init(&instrument, &definition);
    CHECK_EQUAL(instrument.collar_ticks, 77);
    CHECK_EQUAL(instrument.tick, 12);
    CHECK_EQUAL(instrument.price_decimals, 3);
    CHECK_EQUAL(instrument.quantity_decimals, 4);
    CHECK_EQUAL(instrument.flags, OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
    CHECK_BYTES_EQUAL(instrument.symbol, "ABCDEFGHIJKLMNOP", 16);
}

int main(void)
{
    seed = test_seed(13);
    RUN(the_tick_index_of_a_price_is_its_quotient);
    RUN(the_tick_index_of_a_signed_price_counts_from_the_base);
    RUN(prices_outside_the_range_are_refused);
    RUN(a_name_is_printable_and_zero_padded);
    RUN(a_definition_is_valid_only_within_every_limit);
    RUN(an_instrument_keeps_its_definition);
    RUN(the_lowest_signed_prices_are_on_the_tick_only_where_they_are_multiples);
    return 0;
}
