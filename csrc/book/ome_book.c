#include "book/ome_book.h"

#include "base/ome_memory.h"
#include "book/ome_deadline_heap.h"
#include "book/ome_trailing.h"

static void book_init_trailing(ome_trailing_pool_t *pool, ome_arena_t *arena, uint32_t special_count_max)
{
    const uint64_t place_count = (uint64_t)special_count_max + 1;
    pool->orders = ome_arena_take(arena, place_count * sizeof(ome_meld_node_t));
    pool->bests = ome_arena_take(arena, place_count * sizeof(ome_meld_node_t));
    pool->fronts = ome_arena_take(arena, place_count * sizeof(ome_meld_node_t));
    pool->groups = ome_arena_take(arena, place_count * sizeof(ome_trailing_group_t));
    pool->group_count = 0;
    pool->groups_ever_used = 0;
    pool->free_head = 0;
}

void ome_book_pools_init(ome_book_pools_t *pools, ome_arena_t *arena, uint32_t order_count_max, uint32_t level_count_max,
    uint32_t special_count_max, uint32_t instrument_count_max)
{
    const uint32_t ladder_count_max = 2 * instrument_count_max;
    ome_order_pool_init(&pools->orders, arena, order_count_max);
    ome_order_index_init(&pools->index, arena, order_count_max);
    ome_ladder_pool_init(&pools->ladder, arena, level_count_max, ladder_count_max);
    ome_special_pool_init(&pools->specials, arena, special_count_max);
    ome_ladder_pool_init(&pools->stops, arena, special_count_max, special_count_max > 0 ? ladder_count_max : 0);
    book_init_trailing(&pools->trailing, arena, special_count_max);
}

static void book_touch(const void *memory, uint64_t size_bytes, uint64_t size_max_bytes)
{
    ome_memory_touch(memory, size_bytes < size_max_bytes ? size_bytes : size_max_bytes);
}

void ome_book_pools_touch(const ome_book_pools_t *pools)
{
    const ome_order_pool_t *const orders = &pools->orders;
    const ome_ladder_pool_t *const ladder = &pools->ladder;
    const uint64_t slot_count = (uint64_t)orders->slot_count_max + 1;
    book_touch(pools->index.entries, ((uint64_t)pools->index.mask + 1) * sizeof(uint64_t), OME_BOOK_TOUCH_BYTES_MAX);
    book_touch(orders->orders, slot_count * sizeof(ome_order_t), OME_BOOK_TOUCH_BEGINNING_BYTES);
    book_touch(orders->tags, slot_count, OME_BOOK_TOUCH_BEGINNING_BYTES);
    book_touch(ladder->levels, ((uint64_t)ladder->level_count_max + 1) * sizeof(ome_level_t), OME_BOOK_TOUCH_BEGINNING_BYTES);
    book_touch(ladder->nodes, ((uint64_t)ladder->node_count_max + 1) * sizeof(ome_ladder_node_t), OME_BOOK_TOUCH_BEGINNING_BYTES);
}

void ome_book_init(ome_book_t *book, uint32_t number, const ome_command_t *definition)
{
    *book = (ome_book_t){.number = number, .last_trade_price = OME_NULL_VALUE};
    ome_instrument_init(&book->instrument, definition);
}

/* The two ends of a queue of orders that are linked by `next` and `previous`. */
typedef struct
{
    uint32_t *head;
    uint32_t *tail;
} queue_t;

static queue_t book_queue_of(ome_level_t *level, const ome_order_t *order)
{
    if ((order->marks & OME_ORDER_MARK_HIDDEN) != 0)
    {
        return (queue_t){&level->hidden_head, &level->hidden_tail};
    }
    return (queue_t){&level->head, &level->tail};
}

/* Puts an order behind `previous`, which is in the queue, or at the front where that is 0. */
static void book_insert_behind(ome_order_t *orders, queue_t queue, uint32_t previous, uint32_t slot)
{
    uint32_t *const to_this = previous != 0 ? &orders[previous].next : queue.head;
    const uint32_t next = *to_this;
    OME_EXPECT(slot != 0);
    OME_EXPECT(slot != previous && slot != next);
    uint32_t *const back_to_this = next != 0 ? &orders[next].previous : queue.tail;
    orders[slot].next = next;
    orders[slot].previous = previous;
    *to_this = slot;
    *back_to_this = slot;
    OME_EXPECT(*queue.head != 0);
    OME_EXPECT(*queue.tail != 0);
}

static void book_detach(ome_order_t *orders, queue_t queue, uint32_t slot)
{
    const ome_order_t *order = &orders[slot];
    OME_EXPECT(*(order->previous != 0 ? &orders[order->previous].next : queue.head) == slot);
    OME_EXPECT(*(order->next != 0 ? &orders[order->next].previous : queue.tail) == slot);
    *(order->previous != 0 ? &orders[order->previous].next : queue.head) = order->next;
    *(order->next != 0 ? &orders[order->next].previous : queue.tail) = order->previous;
    OME_EXPECT((*queue.head == 0) == (*queue.tail == 0));
}

static ome_special_t *book_special_of(ome_book_pools_t *pools, const ome_order_t *order)
{
    return &pools->specials.records[ome_order_special(order)];
}

static bool book_is_hidden(const ome_order_t *order)
{
    return (order->marks & OME_ORDER_MARK_HIDDEN) != 0;
}

void ome_book_join(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, uint8_t side, int64_t price, uint64_t key)
{
    const uint32_t side_index = ome_side_index(side);
    const uint32_t level_index = ome_ladder_find_or_insert(&book->ladders[side_index], &pools->ladder, key);
    ome_level_t *level = &pools->ladder.levels[level_index];
    ome_order_t *order = &pools->orders.orders[slot];
    OME_ASSERT(order->leaves_quantity > 0);
    OME_EXPECT(level->order_count == 0 || (level->price == price && level->side == side));
    level->price = price;
    level->instrument = book->number;
    level->side = side;
    order->level = level_index & OME_LEVEL_COUNT_MAX;
    ome_quantity_split(order, book_special_of(pools, order));
    const queue_t queue = book_queue_of(level, order);
    book_insert_behind(pools->orders.orders, queue, *queue.tail, slot);
    if (book_is_hidden(order))
    {
        ome_quantity_join(book, level, 0, order->leaves_quantity);
        return;
    }
    level->order_count++;
    ome_quantity_join(book, level, order->leaves_quantity, book_special_of(pools, order)->reserve_quantity);
}

void ome_book_leave(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot)
{
    ome_order_t *order = &pools->orders.orders[slot];
    ome_level_t *level = &pools->ladder.levels[order->level];
    const uint32_t side_index = ome_side_index(level->side);
    OME_ASSERT(order->leaves_quantity > 0);
    OME_EXPECT(book->number == level->instrument);
    book_detach(pools->orders.orders, book_queue_of(level, order), slot);
    if (book_is_hidden(order))
    {
        ome_quantity_leave(book, level, 0, order->leaves_quantity);
    }
    else
    {
        ome_special_t *special = book_special_of(pools, order);
        level->order_count--;
        ome_quantity_leave(book, level, order->leaves_quantity, special->reserve_quantity);
        if (ome_order_special(order) != 0)
        {
            ome_quantity_unite(order, special);
        }
    }
    if (level->order_count == 0 && level->hidden_head == 0)
    {
        OME_ASSERT(level->quantity == 0);
        OME_ASSERT(level->hidden_quantity == 0);
        ome_ladder_remove(&book->ladders[side_index], &pools->ladder, order->level);
    }
}

int64_t ome_book_shrink(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, int64_t quantity)
{
    ome_order_t *order = &pools->orders.orders[slot];
    ome_level_t *level = &pools->ladder.levels[order->level];
    OME_ASSERT(quantity > 0);
    OME_EXPECT(quantity < ome_book_leaves(pools, order));
    if (book_is_hidden(order))
    {
        ome_quantity_shrink_hidden(book, level, order, quantity);
        return 0;
    }
    ome_special_t *special = book_special_of(pools, order);
    const int64_t from_reserve = quantity < special->reserve_quantity ? quantity : special->reserve_quantity;
    const int64_t displayed = quantity - from_reserve;
    if (from_reserve > 0)
    {
        ome_quantity_shrink_reserve(book, level, special, from_reserve);
    }
    if (displayed > 0)
    {
        ome_quantity_shrink_displayed(book, level, order, displayed);
    }
    return special->peak != 0 ? displayed : 0;
}

int64_t ome_book_trade(ome_book_pools_t *pools, uint32_t slot, int64_t quantity)
{
    ome_order_t *order = &pools->orders.orders[slot];
    ome_level_t *level = &pools->ladder.levels[order->level];
    const queue_t queue = book_queue_of(level, order);
    OME_ASSERT(quantity > 0);
    ome_quantity_trade(order, quantity);
    OME_ASSERT(order->leaves_quantity >= 0);
    ome_quantity_trade_level(level, book_is_hidden(order) ? 0 : quantity, book_is_hidden(order) ? quantity : 0);
    if (order->leaves_quantity > 0)
    {
        return 0;
    }
    book_detach(pools->orders.orders, queue, slot);
    const uint32_t special_index = ome_order_special(order);
    if (special_index == 0 || pools->specials.records[special_index].reserve_quantity == 0)
    {
        level->order_count -= !book_is_hidden(order);
        return 0;
    }
    book_insert_behind(pools->orders.orders, queue, *queue.tail, slot);
    return ome_quantity_replenish(level, order, &pools->specials.records[special_index]);
}

void ome_book_make_special(ome_book_pools_t *pools, uint32_t slot, uint32_t special_index)
{
    ome_order_t *order = &pools->orders.orders[slot];
    ome_special_t *special = &pools->specials.records[special_index];
    OME_ASSERT(special_index != 0);
    OME_ASSERT(ome_order_special(order) == 0);
    special->account = (uint32_t)order->owner;
    special->order_id = ome_order_id(&pools->orders, slot);
    order->owner = (order->owner & ~(uint64_t)UINT32_MAX) | special_index;
    order->marks |= OME_ORDER_MARK_SPECIAL;
    if (special->deadline_ns != 0)
    {
        ome_deadline_heap_insert(&pools->specials, special_index);
    }
}

void ome_book_make_plain(ome_book_pools_t *pools, uint32_t slot)
{
    ome_order_t *order = &pools->orders.orders[slot];
    const uint32_t special_index = ome_order_special(order);
    OME_ASSERT(special_index != 0);
    order->owner = ome_book_owner(pools, order);
    order->marks &= (uint8_t)~OME_ORDER_MARK_SPECIAL;
    if (pools->specials.records[special_index].heap_position != 0)
    {
        ome_deadline_heap_remove(&pools->specials, special_index);
    }
    ome_special_pool_free(&pools->specials, special_index);
}

void ome_book_end(ome_book_pools_t *pools, uint32_t slot)
{
    if (ome_order_special(&pools->orders.orders[slot]) != 0)
    {
        ome_book_make_plain(pools, slot);
    }
    ome_book_release(pools, slot);
    OME_EXPECT(pools->orders.orders[slot].leaves_quantity == 0);
}

static void book_stand(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, ome_special_t *special)
{
    uint64_t tick_index;
    const bool is_on_tick = ome_instrument_tick_index(&book->instrument, special->stop_price, &tick_index);
    OME_ASSERT(is_on_tick);
    special->level =
        ome_ladder_find_or_insert(&book->stops[ome_side_index(special->side)], &pools->stops, ome_book_stop_key(special->side, tick_index));
    ome_level_t *level = &pools->stops.levels[special->level];
    level->price = special->stop_price;
    level->instrument = book->number;
    level->side = special->side;
    level->order_count++;
    book_insert_behind(pools->orders.orders, (queue_t){&level->head, &level->tail}, level->tail, slot);
}

static void book_stand_no_longer(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot, ome_special_t *special)
{
    ome_level_t *level = &pools->stops.levels[special->level];
    OME_EXPECT(special->level != 0);
    OME_EXPECT(level->order_count > 0);
    book_detach(pools->orders.orders, (queue_t){&level->head, &level->tail}, slot);
    if (--level->order_count == 0)
    {
        ome_ladder_remove(&book->stops[ome_side_index(special->side)], &pools->stops, special->level);
    }
    special->level = 0;
}

void ome_book_wait(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot)
{
    const uint32_t index = ome_order_special(&pools->orders.orders[slot]);
    ome_special_t *special = &pools->specials.records[index];
    OME_ASSERT(index != 0);
    OME_ASSERT(!ome_special_waits(special));
    if (ome_trailing_is(special))
    {
        ome_trailing_join(book, pools, index);
    }
    else
    {
        book_stand(book, pools, slot, special);
    }
    special->flags |= OME_SPECIAL_WAITS;
    book->waiting_count++;
}

void ome_book_stop_waiting(ome_book_t *book, ome_book_pools_t *pools, uint32_t slot)
{
    const uint32_t index = ome_order_special(&pools->orders.orders[slot]);
    ome_special_t *special = &pools->specials.records[index];
    OME_ASSERT(ome_special_waits(special));
    OME_ASSERT(book->waiting_count > 0);
    if (ome_trailing_is(special))
    {
        ome_trailing_leave(book, pools, index);
    }
    else
    {
        book_stand_no_longer(book, pools, slot, special);
    }
    special->flags &= (uint8_t)~OME_SPECIAL_WAITS;
    book->waiting_count--;
}
