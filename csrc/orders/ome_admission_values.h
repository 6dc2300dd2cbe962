/* Predicates of the table of checks: quantities, prices, room, and the other side of the book. For ome_admission_table.c alone. */
#ifndef OME_ADMISSION_VALUES_H
#define OME_ADMISSION_VALUES_H

#include "book/ome_quantity.h"
#include "orders/ome_admission_form.h"

/* ---- quantities ---- */

static inline bool admission_quantity_is_zero(const ome_admission_t *admission)
{
    return admission->command->quantity == 0;
}

/* The null value, which an amend may have, is none. */
static inline bool admission_quantity_is_negative(const ome_admission_t *admission)
{
    return admission->command->quantity < 0 &&
           (admission->command->quantity != OME_NULL_VALUE || admission->command->kind != OME_COMMAND_KIND_AMEND_ORDER);
}

static inline bool admission_quantity_is_too_large(const ome_admission_t *admission)
{
    return admission->leaves > OME_QUANTITY_MAX;
}

/* With all that is open on its side. */
static inline bool admission_side_is_full(const ome_admission_t *admission)
{
    return !ome_quantity_fits(admission->book, admission->side, admission->leaves);
}

/* Works out what would be open. What waits is not open in the book. */
static inline bool admission_amended_quantity_is_too_large(ome_admission_t *admission)
{
    const int64_t cumulative = admission_order(admission)->cumulative_quantity;
    const int64_t quantity = admission->command->quantity;
    const int64_t traded = (admission->command->flags & OME_COMMAND_FLAGS_OPEN_QUANTITY) != 0 ? 0 : cumulative;
    const int64_t leaves = quantity == OME_NULL_VALUE ? admission->old_leaves : quantity - traded;
    const int64_t peak = admission->special->peak;
    admission->leaves = leaves;
    return leaves > OME_QUANTITY_MAX || cumulative + leaves > OME_OPEN_QUANTITY_MAX ||
           (!admission->waits && !ome_quantity_fits(admission->book, admission->side, leaves - admission->old_leaves)) ||
           (peak != 0 && ome_special_has_too_many_peaks(leaves, peak));
}

/* ---- prices ---- */

/* Whether the command says a price that means something; otherwise the order keeps its own, or has none. */
static inline bool admission_has_new_price(const ome_admission_t *admission)
{
    return ome_order_type_has_limit(admission->order_type) &&
           (admission->command->price != OME_NULL_VALUE || admission->command->kind != OME_COMMAND_KIND_AMEND_ORDER);
}

static inline bool admission_price_is_out_of_range(ome_admission_t *admission)
{
    if (!admission_has_new_price(admission))
    {
        admission->price = admission->old_price;
        return false;
    }
    admission->price = admission->command->price;
    return admission->order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT
               ? !ome_distance_is_in_range(admission->price)
               : !ome_instrument_price_in_range(&admission->book->instrument, admission->price);
}

/* Of a limit, gives the key. */
static inline bool admission_price_is_off_tick(ome_admission_t *admission)
{
    uint64_t tick_index;
    if (!ome_order_type_has_limit(admission->order_type))
    {
        return false;
    }
    if (admission->order_type == OME_ORDER_TYPE_TRAILING_STOP_LIMIT)
    {
        return !ome_distance_is_on_tick(&admission->book->instrument, admission->price);
    }
    const bool is_on_tick = ome_instrument_tick_index(&admission->book->instrument, admission->price, &tick_index);
    admission->key = ome_book_key(admission->side, tick_index);
    return !is_on_tick;
}

static inline bool admission_stop_price_is_out_of_range(ome_admission_t *admission)
{
    const bool has_stop_price = admission_is_given(admission, OME_TERM_STOP_PRICE);
    admission->stop_price = has_stop_price ? admission->given->values[OME_TERM_STOP_PRICE] : admission->special->stop_price;
    return has_stop_price && !ome_instrument_price_in_range(&admission->book->instrument, admission->stop_price);
}

static inline bool admission_stop_price_is_off_tick(const ome_admission_t *admission)
{
    uint64_t tick_index;
    return admission_is_given(admission, OME_TERM_STOP_PRICE) &&
           !ome_instrument_tick_index(&admission->book->instrument, admission->stop_price, &tick_index);
}

/* ---- the engine's time, last price and room ---- */

static inline bool admission_deadline_is_past(const ome_admission_t *admission)
{
    return admission_is_given(admission, OME_TERM_EXPIRE_TIME) &&
           (uint64_t)admission->given->values[OME_TERM_EXPIRE_TIME] <= admission->engine->time_ns;
}

static inline bool admission_last_price_is_missing(const ome_admission_t *admission)
{
    return ome_order_type_trails(admission->order_type) && !admission_is_given(admission, OME_TERM_STOP_PRICE) &&
           admission->book->last_trade_price == OME_NULL_VALUE;
}

/* Of a new order its id; of an amend the one that the order is to have instead. */
static inline bool admission_client_order_id_is_taken(ome_admission_t *admission)
{
    const ome_book_pools_t *pools = &admission->engine->pools;
    const uint64_t old = admission->client_order_id;
    if (admission_is_given(admission, OME_TERM_NEW_CLIENT_ORDER_ID))
    {
        admission->client_order_id = (uint64_t)admission->given->values[OME_TERM_NEW_CLIENT_ORDER_ID];
    }
    const bool is_its_own = admission->slot != 0 && admission->client_order_id == old;
    return admission->client_order_id != 0 && !is_its_own &&
           ome_order_index_find(&pools->index, &pools->orders, admission->command->participant, admission->client_order_id) != 0;
}

static inline bool admission_no_slot_is_free(const ome_admission_t *admission)
{
    return ome_order_pool_is_full(&admission->engine->pools.orders);
}

static inline bool admission_no_special_is_free(const ome_admission_t *admission)
{
    return ome_admission_is_special(admission) && ome_special_pool_is_full(&admission->engine->pools.specials);
}

/* ---- the other side ---- */

/* Gives a post-only order that crosses the price one tick from the opposite best. False, and nothing changed, where it may not slide: by
 * the instrument, or because that price is out of range. */
OME_NEVER_INLINE bool admission_slide(ome_admission_t *admission)
{
    const ome_book_t *book = admission->book;
    if ((book->instrument.flags & OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES) == 0)
    {
        return false;
    }
    const uint32_t best = ome_book_best(book, ome_side_opposite(admission->side));
    const int64_t best_price = admission->engine->pools.ladder.levels[best].price;
    const int64_t slid = admission->side == OME_SIDE_BUY ? best_price - book->instrument.tick : best_price + book->instrument.tick;
    uint64_t tick_index;
    if (!ome_instrument_is_price(&book->instrument, slid, &tick_index))
    {
        return false;
    }
    admission->price = slid;
    admission->key = ome_book_key(admission->side, tick_index);
    return true;
}

/* Whether it has a limit now, and no stop price to wait for. Of a new stop this is looked at when it is triggered. */
static inline bool admission_has_key(const ome_admission_t *admission)
{
    return admission->order_type == OME_ORDER_TYPE_LIMIT && admission->leaves > 0;
}

static inline bool admission_post_only_would_take(ome_admission_t *admission)
{
    if (!admission_has_key(admission))
    {
        return false;
    }
    admission->crosses = ome_book_crosses(admission->book, admission->side, admission->key);
    if (!admission->crosses || (admission->marks & OME_ORDER_MARK_POST_ONLY) == 0)
    {
        return false;
    }
    admission->crosses = !admission_slide(admission);
    return admission->crosses;
}

static inline bool admission_no_level_is_free(const ome_admission_t *admission)
{
    const ome_ladder_pool_t *ladder = &admission->engine->pools.ladder;
    return ome_ladder_pool_is_full(ladder) && admission_has_key(admission) && admission->rests && !admission->crosses &&
           admission->price != admission->old_price &&
           ome_ladder_find(&admission->book->ladders[ome_side_index(admission->side)], ladder, admission->key) == 0;
}

#endif
