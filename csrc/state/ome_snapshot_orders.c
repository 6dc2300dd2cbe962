/* Orders of a snapshot: those at rest, and those that wait for their stop price. */
#include "state/ome_snapshot_orders.h"

#include "book/ome_book.h"
#include "book/ome_trailing.h"
#include "engine/ome_order_rules.h"
#include "matching/ome_stop.h"

/* A slot that no entry has had yet has generation 0. */
bool ome_snapshot_take_slot(ome_snapshot_reader_t *reader, ome_order_pool_t *pool, uint32_t slot, uint32_t generation)
{
    if (slot == 0 || slot > pool->slots_ever_used || generation == 0)
    {
        return ome_snapshot_fault(reader, "a slot is out of range");
    }
    if (pool->orders[slot].generation != 0)
    {
        return ome_snapshot_fault(reader, "a slot is there twice");
    }
    pool->orders[slot].generation = generation;
    return true;
}

/* ---- orders ---- */

/* An order as its entries have it. */
typedef struct
{
    ome_snapshot_order_t order;
    ome_snapshot_special_t special; /* zeros where it is not */
    ome_snapshot_attributes_t attributes; /* zeros where it has none */
    ome_snapshot_stop_t stop; /* zeros where it does not wait */
} restored_t;

static bool orders_is_special(const restored_t *restored)
{
    return (restored->order.marks & OME_ORDER_MARK_SPECIAL) != 0;
}

static bool orders_take_order(ome_snapshot_reader_t *reader, restored_t *restored)
{
    if (!ome_snapshot_take(reader, &restored->order, sizeof(restored->order)))
    {
        return false;
    }
    if (OME_LIKELY(!orders_is_special(restored)))
    {
        restored->special = (ome_snapshot_special_t){0};
        return true;
    }
    restored->attributes = (ome_snapshot_attributes_t){.values = {0}};
    if (!ome_snapshot_take(reader, &restored->special, sizeof(restored->special)))
    {
        return false;
    }
    const uint32_t has_attributes = restored->special.has_attributes;
    if (has_attributes > (reader->header.version >= OME_SNAPSHOT_VERSION_ATTRIBUTES))
    {
        return ome_snapshot_fault(reader, "an order's attributes are out of range");
    }
    return has_attributes == 0 || ome_snapshot_take(reader, &restored->attributes, sizeof(restored->attributes));
}

/* An order that has attributes has one, and each is one that an order can have. */
static bool orders_check_attributes(ome_snapshot_reader_t *reader, const restored_t *restored)
{
    uint32_t any = 0;
    bool is_good = true;
    for (uint32_t i = 0; i < OME_ATTRIBUTE_ROOM; i++)
    {
        const uint32_t value_max = i < OME_ATTRIBUTE_COUNT ? OME_ATTRIBUTES[i].value_max : 0;
        any |= restored->attributes.values[i];
        is_good = is_good && restored->attributes.values[i] <= value_max;
    }
    return (is_good && restored->special.has_attributes == (any != 0)) ||
           ome_snapshot_fault(reader, "an order's attributes are out of range");
}

/* Where an order stands among all: by instrument and side, then key, then what comes last. Each order's place is at or behind the one before. */
typedef struct
{
    uint64_t side; /* instrument and side */
    uint64_t key;
    uint64_t last; /* at rest: 1 for hidden orders; waiting: entry */
} place_t;

static bool orders_is_behind(const place_t *place, const place_t *other)
{
    if (place->side != other->side)
    {
        return place->side > other->side;
    }
    return place->key != other->key ? place->key > other->key : place->last > other->last;
}

static uint64_t orders_side_of(const ome_snapshot_order_t *order)
{
    return (uint64_t)order->instrument << 1 | ome_side_index(order->side);
}

static bool orders_marks_are_good(uint8_t marks)
{
    return ome_self_trade_is_valid(ome_marks_instruction(marks), (marks & OME_ORDER_MARK_SCOPE_PARTICIPANT) != 0);
}

/* What every live order keeps. */
static bool orders_check_order(ome_snapshot_reader_t *reader, const ome_engine_t *engine, const ome_snapshot_order_t *order)
{
    if (order->instrument == 0 || order->instrument > engine->instrument_count || !ome_side_is_valid(order->side) || order->reserved != 0)
    {
        return ome_snapshot_fault(reader, "an order's instrument or side is not there");
    }
    if (!ome_quantity_is_in_range(order->leaves_quantity) || order->cumulative_quantity < 0 ||
        order->cumulative_quantity > OME_OPEN_QUANTITY_MAX - order->leaves_quantity)
    {
        return ome_snapshot_fault(reader, "an order's quantity is out of range");
    }
    if (!orders_marks_are_good(order->marks))
    {
        return ome_snapshot_fault(reader, "an order's marks do not go together");
    }
    return ome_engine_knows_sender(engine, (uint32_t)(order->owner >> 32)) ||
           ome_snapshot_fault(reader, "an order's session is not its participant's");
}

/* What every special order keeps. */
static bool orders_check_special(ome_snapshot_reader_t *reader, const ome_engine_t *engine, const restored_t *restored)
{
    const ome_snapshot_special_t *special = &restored->special;
    const bool is_hidden = (restored->order.marks & OME_ORDER_MARK_HIDDEN) != 0;
    if (special->deadline_ns > INT64_MAX || special->peak < 0 || special->peak > OME_QUANTITY_MAX || special->reserve_quantity < 0 ||
        special->reserve_quantity > OME_QUANTITY_MAX - restored->order.leaves_quantity ||
        special->reserve_quantity > OME_OPEN_QUANTITY_MAX - restored->order.leaves_quantity - restored->order.cumulative_quantity)
    {
        return ome_snapshot_fault(reader, "a special order's terms are out of range");
    }
    if (special->peak == 0 ? special->reserve_quantity != 0 : is_hidden)
    {
        return ome_snapshot_fault(reader, "an order has a reserve without a peak, or a peak and is hidden");
    }
    if (special->peak > 0 && ome_special_has_too_many_peaks(restored->order.leaves_quantity + special->reserve_quantity, special->peak))
    {
        return ome_snapshot_fault(reader, "an order has more peaks than it may have");
    }
    if (!orders_check_attributes(reader, restored))
    {
        return false;
    }
    return !ome_special_pool_is_full(&engine->pools.specials) || ome_snapshot_fault(reader, "there are more special orders than the limit");
}

/* Gives an order its slot and its place in the index; it is plain until orders_make_special. */
static bool orders_enter_order(ome_snapshot_reader_t *reader, ome_engine_t *engine, const ome_snapshot_order_t *entry)
{
    ome_book_pools_t *pools = &engine->pools;
    const uint32_t slot = (uint32_t)entry->order_id;
    if (!ome_snapshot_take_slot(reader, &pools->orders, slot, (uint32_t)(entry->order_id >> 32)))
    {
        return false;
    }
    ome_order_t *order = &pools->orders.orders[slot];
    order->leaves_quantity = entry->leaves_quantity;
    order->cumulative_quantity = entry->cumulative_quantity;
    order->client_order_id = entry->client_order_id;
    order->owner = entry->owner;
    ome_order_pool_own(&pools->orders, slot, ome_owner_participant(entry->owner));
    order->marks = entry->marks & (uint8_t)~OME_ORDER_MARK_SPECIAL;
    if (entry->client_order_id == 0)
    {
        return true;
    }
    ome_index_place_t at;
    if (ome_order_index_probe(&pools->index, &pools->orders, ome_owner_participant(entry->owner), entry->client_order_id, &at) != 0)
    {
        return ome_snapshot_fault(reader, "two live orders have one client order id");
    }
    /* From its home: the probe may have ended further on than the order of entries has it. */
    at.place = ome_order_index_home(&pools->index, at.hash);
    ome_order_index_insert_at(&pools->index, at, slot);
    return true;
}

/* Gives it its record. */
static ome_special_t *orders_make_special(ome_engine_t *engine, const restored_t *restored)
{
    ome_book_pools_t *pools = &engine->pools;
    const uint32_t index = ome_special_pool_take(&pools->specials);
    ome_special_t *special = &pools->specials.records[index];
    special->deadline_ns = restored->special.deadline_ns;
    special->peak = restored->special.peak;
    special->reserve_quantity = restored->special.reserve_quantity;
    special->group = restored->special.group;
    memcpy(special->attributes, restored->attributes.values, OME_ATTRIBUTE_COUNT * sizeof(*special->attributes));
    ome_book_make_special(pools, (uint32_t)restored->order.order_id, index);
    return special;
}

/* ---- at rest ---- */

/* What only an order at rest keeps; gives its place. */
static bool orders_check_resting(ome_snapshot_reader_t *reader, const ome_engine_t *engine, const restored_t *restored, place_t *place)
{
    const ome_snapshot_order_t *order = &restored->order;
    const ome_snapshot_special_t *special = &restored->special;
    const ome_book_t *book = &engine->books[order->instrument];
    uint64_t tick_index;
    if (!ome_instrument_is_price(&book->instrument, order->price, &tick_index))
    {
        return ome_snapshot_fault(reader, "an order's price is none of its instrument's");
    }
    const uint64_t key = ome_book_key(order->side, tick_index);
    const place_t before = *place;
    *place = (place_t){.side = orders_side_of(order), .key = key, .last = (order->marks & OME_ORDER_MARK_HIDDEN) != 0};
    if (orders_is_behind(&before, place))
    {
        return ome_snapshot_fault(reader, "an order stands behind one that comes after it");
    }
    if (!ome_quantity_fits(book, order->side, order->leaves_quantity + special->reserve_quantity))
    {
        return ome_snapshot_fault(reader, "more is open on a side than there can be");
    }
    if (orders_is_special(restored) &&
        ((special->peak == 0 && special->deadline_ns == 0 && special->group == 0 && special->has_attributes == 0) ||
            (special->peak != 0 && order->leaves_quantity > special->peak)))
    {
        return ome_snapshot_fault(reader, "an order is special for nothing, or displays more than its peak");
    }
    if (ome_ladder_pool_is_full(&engine->pools.ladder) &&
        ome_ladder_find(&book->ladders[ome_side_index(order->side)], &engine->pools.ladder, key) == 0)
    {
        return ome_snapshot_fault(reader, "there are more price levels than the limit");
    }
    return true;
}

/* Its own leaves are what it displays: so it joins as an order without a peak, and the reserve is put to it. */
static void orders_join(ome_engine_t *engine, const restored_t *restored, uint64_t key)
{
    const uint32_t slot = (uint32_t)restored->order.order_id;
    ome_book_t *book = &engine->books[restored->order.instrument];
    ome_book_join(book, &engine->pools, slot, restored->order.side, restored->order.price, key);
    if (OME_UNLIKELY(orders_is_special(restored)))
    {
        const int64_t reserve_quantity = orders_make_special(engine, restored)->reserve_quantity;
        ome_quantity_join(book, &engine->pools.ladder.levels[engine->pools.orders.orders[slot].level], 0, reserve_quantity);
    }
}

/* How many entries ahead of its own the memory of an order is asked for: orders are scattered over slots and index. */
#define AHEAD_COUNT 12u

static void orders_ask_ahead(const ome_snapshot_reader_t *reader, const ome_engine_t *engine)
{
    const uint32_t at_bytes = reader->used_bytes + AHEAD_COUNT * (uint32_t)sizeof(ome_snapshot_order_t);
    if (at_bytes + sizeof(ome_snapshot_order_t) > reader->size_bytes)
    {
        return;
    }
    /* Behind a special order this is no entry but parts of two; it is only asked for. */
    ome_snapshot_order_t entry;
    memcpy(&entry, reader->block + at_bytes, sizeof(entry));
    const uint32_t slot = (uint32_t)entry.order_id;
    const uint32_t hash = ome_order_index_hash(ome_owner_participant(entry.owner), entry.client_order_id);
    __builtin_prefetch(&engine->pools.orders.orders[slot <= engine->pools.orders.slots_ever_used ? slot : 0], 1);
    __builtin_prefetch(&engine->pools.index.entries[ome_order_index_home(&engine->pools.index, hash)], 1);
}

bool ome_snapshot_restore_orders(ome_snapshot_reader_t *reader, ome_engine_t *engine, const ome_snapshot_section_t *section)
{
    const uint64_t end_bytes = ome_snapshot_taken_bytes(reader) + section->size_bytes;
    restored_t restored = {0};
    place_t place = {0};
    for (uint64_t i = 0; i < section->count; i++)
    {
        orders_ask_ahead(reader, engine);
        if (!orders_take_order(reader, &restored) || !orders_check_order(reader, engine, &restored.order) ||
            (OME_UNLIKELY(orders_is_special(&restored)) && !orders_check_special(reader, engine, &restored)) ||
            !orders_check_resting(reader, engine, &restored, &place) || !orders_enter_order(reader, engine, &restored.order))
        {
            return false;
        }
        orders_join(engine, &restored, place.key);
    }
    return ome_snapshot_taken_bytes(reader) == end_bytes || ome_snapshot_fault(reader, "the orders do not fill their section");
}

/* ---- waiting ---- */

static bool orders_limit_is_good(const ome_book_t *book, uint8_t order_type, int64_t limit)
{
    uint64_t tick_index;
    switch (order_type)
    {
    case OME_ORDER_TYPE_STOP_LIMIT:
        return ome_instrument_is_price(&book->instrument, limit, &tick_index);
    case OME_ORDER_TYPE_TRAILING_STOP_LIMIT:
        return ome_distance_is_in_range(limit) && ome_distance_is_on_tick(&book->instrument, limit);
    default:
        return limit == 0;
    }
}

/* A trailing stop has one distance, any other none. */
static bool orders_distance_is_good(const ome_book_t *book, const ome_snapshot_stop_t *stop)
{
    if (!ome_order_type_trails(stop->order_type))
    {
        return stop->trail_amount == 0 && stop->trail_basis_points == 0;
    }
    if (stop->trail_amount == 0)
    {
        return ome_trail_basis_points_are_valid(stop->trail_basis_points);
    }
    return stop->trail_basis_points == 0 && ome_trail_amount_is_valid(&book->instrument, stop->trail_amount);
}

static bool orders_stop_is_good(const restored_t *restored)
{
    const ome_snapshot_stop_t *stop = &restored->stop;
    const uint32_t with_limit = OME_ORDER_MARK_POST_ONLY | OME_ORDER_MARK_HIDDEN;
    const bool has_deadline = restored->special.deadline_ns != 0;
    return ome_order_type_waits(stop->order_type) && ome_order_type_is_valid(stop->order_type) &&
           ome_time_in_force_is_valid(stop->time_in_force) && has_deadline == (stop->time_in_force == OME_TIME_IN_FORCE_GTD) &&
           restored->special.reserve_quantity == 0 &&
           ((restored->order.marks & with_limit) == 0 || ome_order_type_has_limit(stop->order_type)) && stop->minimum_quantity >= 0 &&
           stop->minimum_quantity <= OME_QUANTITY_MAX && (stop->flags & ~(OME_SPECIAL_HAS_COLLAR | OME_SPECIAL_HAS_BUDGET)) == 0 &&
           ((stop->flags & OME_SPECIAL_HAS_COLLAR) != 0 || stop->collar_ticks == 0) &&
           ((stop->flags & OME_SPECIAL_HAS_BUDGET) != 0 || stop->budget == 0) &&
           ome_snapshot_is_zero(stop->reserved, sizeof(stop->reserved));
}

/* What only a stop keeps; `place` is the one before, and becomes its own. */
static bool orders_check_stop(ome_snapshot_reader_t *reader, const ome_engine_t *engine, const restored_t *restored, place_t *place)
{
    const ome_snapshot_order_t *order = &restored->order;
    const ome_snapshot_stop_t *stop = &restored->stop;
    const ome_book_t *book = &engine->books[order->instrument];
    uint64_t tick_index;
    if (!orders_stop_is_good(restored) || !orders_limit_is_good(book, stop->order_type, order->price) ||
        !orders_distance_is_good(book, stop))
    {
        return ome_snapshot_fault(reader, "a stop's terms are out of range or do not go together");
    }
    if (!ome_instrument_is_price(&book->instrument, stop->stop_price, &tick_index))
    {
        return ome_snapshot_fault(reader, "a stop price is none of its instrument's");
    }
    const place_t before = *place;
    *place = (place_t){.side = orders_side_of(order), .key = ome_book_stop_key(order->side, tick_index), .last = stop->entry};
    if (!orders_is_behind(place, &before) || stop->entry > engine->sequence)
    {
        return ome_snapshot_fault(reader, "a stop stands behind one that comes after it");
    }
    return !ome_stop_is_past(book, order->side, stop->stop_price) || ome_snapshot_fault(reader, "a stop waits past its trigger");
}

static bool orders_wait(ome_snapshot_reader_t *reader, ome_engine_t *engine, const restored_t *restored)
{
    const ome_snapshot_stop_t *stop = &restored->stop;
    ome_book_t *book = &engine->books[restored->order.instrument];
    ome_special_t *special = orders_make_special(engine, restored);
    special->stop_price = stop->stop_price;
    special->limit = restored->order.price;
    special->trail_amount = stop->trail_amount;
    special->entry = stop->entry;
    special->minimum_quantity = stop->minimum_quantity;
    special->budget = stop->budget;
    special->collar_ticks = stop->collar_ticks;
    special->instrument = restored->order.instrument;
    special->trail_basis_points = stop->trail_basis_points;
    special->side = restored->order.side;
    special->order_type = stop->order_type;
    special->time_in_force = stop->time_in_force;
    special->flags = stop->flags;
    if (ome_order_type_trails(stop->order_type) && ome_stop_moved_price(book, special) != stop->stop_price)
    {
        return ome_snapshot_fault(reader, "a trailing stop has not followed the last price");
    }
    ome_book_wait(book, &engine->pools, (uint32_t)restored->order.order_id);
    return true;
}

bool ome_snapshot_restore_stops(ome_snapshot_reader_t *reader, ome_engine_t *engine, uint64_t count)
{
    restored_t restored = {0};
    place_t place = {0};
    for (uint64_t i = 0; i < count; i++)
    {
        if (!orders_take_order(reader, &restored) || !orders_check_order(reader, engine, &restored.order))
        {
            return false;
        }
        if (!orders_is_special(&restored))
        {
            return ome_snapshot_fault(reader, "a stop is not special");
        }
        if (!orders_check_special(reader, engine, &restored) || !ome_snapshot_take(reader, &restored.stop, sizeof(restored.stop)) ||
            !orders_check_stop(reader, engine, &restored, &place) || !orders_enter_order(reader, engine, &restored.order) ||
            !orders_wait(reader, engine, &restored))
        {
            return false;
        }
    }
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        ome_trailing_gather(&engine->books[number], &engine->pools);
    }
    return true;
}
