#include "wire/ome_feed_book.h"

#include "base/ome_assert.h"

void ome_feed_book_init(ome_feed_book_t *book, ome_arena_t *arena, const ome_limits_t *limits)
{
    book->order_count_max = limits->order_count_max;
    book->instrument_count_max = limits->instrument_count_max;
    book->changed_first = 0;
    book->changed_last = 0;
    /* More than the engine has: emptied levels stay until the end of a command, and its order and each stop that it triggers may make a new one. */
    ome_ladder_pool_init(&book->ladder, arena, limits->level_count_max + 1 + limits->special_count_max, 2 * limits->instrument_count_max);
    book->ladders = ome_arena_take(arena, 2 * ((uint64_t)limits->instrument_count_max + 1) * sizeof(ome_ladder_t));
    book->level_counts = ome_arena_take(arena, 2 * ((uint64_t)limits->instrument_count_max + 1) * sizeof(uint32_t));
    book->orders = ome_arena_take(arena, ((uint64_t)limits->order_count_max + 1) * sizeof(ome_feed_order_t));
}

static ome_ladder_t *book_ladder_of(const ome_feed_book_t *book, uint32_t instrument, uint8_t side)
{
    OME_ASSERT(instrument >= 1);
    OME_ASSERT(instrument <= book->instrument_count_max);
    return &book->ladders[2 * (uint64_t)instrument + ome_side_index(side)];
}

static uint32_t *book_level_count_of(const ome_feed_book_t *book, uint32_t instrument, uint8_t side)
{
    return &book->level_counts[2 * (uint64_t)instrument + ome_side_index(side)];
}

/* Orders prices as unsigned numbers, and bids the other way round: the best level has the smallest key. */
static uint64_t book_key_of(uint8_t side, int64_t price)
{
    return ome_book_key(side, (uint64_t)price ^ UINT64_C(1) << 63);
}

/* To be called before the level changes. */
static void book_mark_changed(ome_feed_book_t *book, uint32_t level_index)
{
    ome_level_t *level = &book->ladder.levels[level_index];
    if (level->is_changed != 0)
    {
        return;
    }
    level->is_changed = 1;
    level->next_changed = 0;
    level->published_quantity = level->quantity;
    level->published_order_count = level->order_count;
    if (book->changed_first == 0)
    {
        book->changed_first = level_index;
    }
    else
    {
        book->ladder.levels[book->changed_last].next_changed = level_index;
    }
    book->changed_last = level_index;
}

static ome_feed_order_t *book_slot_of(const ome_feed_book_t *book, uint64_t order_id)
{
    const uint32_t slot = (uint32_t)order_id;
    OME_ASSERT(slot >= 1);
    OME_ASSERT(slot <= book->order_count_max);
    return &book->orders[slot];
}

/* The order, some of which must be displayed. */
static ome_feed_order_t *book_displayed(const ome_feed_book_t *book, uint64_t order_id)
{
    ome_feed_order_t *order = book_slot_of(book, order_id);
    OME_ASSERT(order->generation == (uint32_t)(order_id >> 32));
    OME_ASSERT(order->leaves_quantity > 0);
    return order;
}

static void book_add(ome_feed_book_t *book, uint32_t instrument, uint8_t side, int64_t price, uint64_t order_id, int64_t quantity)
{
    ome_feed_order_t *order = book_slot_of(book, order_id);
    OME_ASSERT(order->leaves_quantity == 0);
    const uint32_t count_before = book->ladder.level_count;
    const uint32_t level_index = ome_ladder_find_or_insert(book_ladder_of(book, instrument, side), &book->ladder, book_key_of(side, price));
    ome_level_t *level = &book->ladder.levels[level_index];
    *book_level_count_of(book, instrument, side) += book->ladder.level_count - count_before;
    level->price = price;
    level->instrument = instrument;
    level->side = side;
    book_mark_changed(book, level_index);
    level->order_count++;
    level->quantity += quantity;
    *order = (ome_feed_order_t){.leaves_quantity = quantity, .level = level_index, .generation = (uint32_t)(order_id >> 32)};
}

static void book_add_order(ome_feed_book_t *book, const ome_event_t *event)
{
    book_add(book, event->instrument, event->side, event->price, event->order_id, event->quantity);
}

/* Takes lots off what is displayed of an order, and the order off its level when none are left. */
static void book_take_off(ome_feed_book_t *book, uint64_t order_id, int64_t quantity)
{
    ome_feed_order_t *order = book_displayed(book, order_id);
    ome_level_t *level = &book->ladder.levels[order->level];
    OME_ASSERT(quantity <= order->leaves_quantity);
    book_mark_changed(book, order->level);
    order->leaves_quantity -= quantity;
    level->quantity -= quantity;
    level->order_count -= order->leaves_quantity == 0;
}

/* Of an order that was displayed whole. */
static void book_amend(ome_feed_book_t *book, const ome_event_t *event)
{
    const int64_t leaves_quantity = book_displayed(book, event->order_id)->leaves_quantity;
    if ((event->flags & OME_EVENT_FLAGS_KEPT_PRIORITY) != 0)
    {
        if (event->quantity != leaves_quantity)
        {
            book_take_off(book, event->order_id, leaves_quantity - event->quantity);
        }
        return;
    }
    book_take_off(book, event->order_id, leaves_quantity);
    if ((event->flags & OME_EVENT_FLAGS_RESTS) != 0)
    {
        book_add_order(book, event);
    }
}

/* Lots of an order with a peak. One whose peak was used up by the trade before is not displayed when it is displayed
 * anew. */
static void book_display(ome_feed_book_t *book, const ome_event_t *event)
{
    if (event->quantity > 0)
    {
        book_add_order(book, event);
    }
    else
    {
        book_take_off(book, event->order_id, -event->quantity);
    }
}

/* Whether the event, of a kind that has flags, says `flag` of lots that are displayed. */
static bool book_says_displayed(const ome_event_t *event, uint8_t flag)
{
    return (event->flags & (flag | OME_EVENT_FLAGS_HIDDEN)) == flag;
}

void ome_feed_book_apply(ome_feed_book_t *book, const ome_event_t *event)
{
    switch (event->kind)
    {
    case OME_EVENT_KIND_ACCEPTED:
    case OME_EVENT_KIND_RESTED:
        if (book_says_displayed(event, OME_EVENT_FLAGS_RESTS))
        {
            book_add_order(book, event);
        }
        break;
    case OME_EVENT_KIND_TRADE:
        if ((event->flags & OME_EVENT_FLAGS_HIDDEN) == 0)
        {
            book_take_off(book, event->resting_order_id, event->quantity);
        }
        break;
    case OME_EVENT_KIND_CANCELLED:
    case OME_EVENT_KIND_REDUCED:
        if (book_says_displayed(event, OME_EVENT_FLAGS_WAS_RESTING))
        {
            book_take_off(book, event->order_id, event->quantity);
        }
        break;
    case OME_EVENT_KIND_AMENDED:
        if (book_says_displayed(event, OME_EVENT_FLAGS_WAS_RESTING))
        {
            book_amend(book, event);
        }
        break;
    case OME_EVENT_KIND_DISPLAYED:
        book_display(book, event);
        break;
    default: /* nothing rests otherwise than before */
        break;
    }
}

bool ome_feed_book_take_change(ome_feed_book_t *book, ome_level_t *level)
{
    bool has_changed = false;
    while (!has_changed && book->changed_first != 0)
    {
        const uint32_t level_index = book->changed_first;
        ome_level_t *changed = &book->ladder.levels[level_index];
        book->changed_first = changed->next_changed;
        changed->is_changed = 0;
        has_changed = changed->quantity != changed->published_quantity || changed->order_count != changed->published_order_count;
        changed->published_quantity = 0;
        changed->published_order_count = 0;
        *level = *changed;
        if (changed->order_count == 0)
        {
            OME_ASSERT(changed->quantity == 0);
            (*book_level_count_of(book, changed->instrument, changed->side))--;
            ome_ladder_remove(book_ladder_of(book, changed->instrument, changed->side), &book->ladder, level_index);
        }
    }
    return has_changed;
}

uint32_t ome_feed_book_best(const ome_feed_book_t *book, uint32_t instrument, uint8_t side)
{
    return book_ladder_of(book, instrument, side)->best;
}

uint32_t ome_feed_book_level_count(const ome_feed_book_t *book, uint32_t instrument, uint8_t side)
{
    return *book_level_count_of(book, instrument, side);
}

static void book_seed_side(ome_feed_book_t *book, const ome_engine_t *engine, uint32_t instrument, uint8_t side)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    const ome_order_pool_t *orders = &engine->pools.orders;
    for (uint32_t index = ome_book_best(&engine->books[instrument], side); index != 0; index = ome_ladder_next(ladder, index))
    {
        const ome_level_t *level = &ladder->levels[index];
        for (uint32_t slot = level->head; slot != 0; slot = orders->orders[slot].next)
        {
            book_add(book, instrument, side, level->price, ome_order_id(orders, slot),
                orders->orders[slot].leaves_quantity); /* what is displayed of it */
        }
    }
}

void ome_feed_book_seed(ome_feed_book_t *book, const ome_engine_t *engine)
{
    for (uint32_t instrument = 1; instrument <= engine->instrument_count; instrument++)
    {
        book_seed_side(book, engine, instrument, OME_SIDE_BUY);
        book_seed_side(book, engine, instrument, OME_SIDE_SELL);
    }
    ome_level_t level;
    while (ome_feed_book_take_change(book, &level))
    {
    }
}
