#include "book/ome_trailing.h"

#include "book/ome_chain.h"

#define BASIS_POINTS_OF_ONE 10000

static bool trailing_has_basis_points(const ome_special_t *special)
{
    return special->trail_amount == 0;
}

/* ---- prices ---- */

static __int128 trailing_distance_from(const ome_book_t *book, const ome_special_t *special, int64_t price)
{
    if (!trailing_has_basis_points(special))
    {
        return special->trail_amount;
    }
    const __int128 size = price < 0 ? -(__int128)price : price;
    const __int128 step = (__int128)book->instrument.tick * BASIS_POINTS_OF_ONE;
    const __int128 ticks = (size * special->trail_basis_points + step - 1) / step;
    return (ticks > 0 ? ticks : 1) * book->instrument.tick;
}

int64_t ome_trailing_price(const ome_book_t *book, const ome_special_t *special, int64_t price)
{
    const __int128 distance = trailing_distance_from(book, special, price);
    return ome_instrument_keep_within(&book->instrument, special->side == OME_SIDE_BUY ? price + distance : price - distance);
}

/* From here on prices are mirrored. */

static int64_t trailing_last_of(const ome_book_t *book, uint8_t side)
{
    return ome_trailing_mirror(side, book->last_trade_price);
}

/* The stop price of an order at this best price. An amount leads from a best to a stop price and back: the stop price
 * that the best was computed from is the one that is kept within the instrument's prices. */
static int64_t trailing_stop_at(const ome_book_t *book, const ome_special_t *special, int64_t best)
{
    return trailing_has_basis_points(special)
               ? ome_trailing_mirror(special->side, ome_trailing_price(book, special, ome_trailing_mirror(special->side, best)))
               : best + special->trail_amount;
}

/* The lowest price from which the stop of an order with basis points would be at `stop` or above. Below it, the order
 * moves. */
static int64_t trailing_lowest_best(const ome_book_t *book, const ome_special_t *special, int64_t stop)
{
    const int64_t tick = book->instrument.tick;
    const int64_t top = ome_instrument_price_top(&book->instrument);
    const int64_t bottom = ome_instrument_price_bottom(&book->instrument);
    int64_t low = (special->side == OME_SIDE_BUY ? bottom : -top) / tick;
    int64_t high = (special->side == OME_SIDE_BUY ? top : -bottom) / tick;
    while (low < high)
    {
        const int64_t middle = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);
        if (trailing_stop_at(book, special, middle * tick) >= stop)
        {
            high = middle;
        }
        else
        {
            low = middle + 1;
        }
    }
    return low * tick;
}

/* ---- groups ---- */

static ome_trailing_group_t *trailing_group_at(const ome_book_pools_t *pools, uint32_t group)
{
    return &pools->trailing.groups[group];
}

/* A heap has the smallest key in front, and the best that is passed first is the largest. */
static int64_t trailing_best_key(int64_t best)
{
    return ~best;
}

static int64_t trailing_best_of(const ome_book_pools_t *pools, uint32_t group)
{
    return ~pools->trailing.bests[group].key;
}

static uint32_t *trailing_bests_of(ome_book_t *book, const ome_trailing_group_t *group)
{
    return &book->trailing_bests[ome_side_index(group->side)][group->has_basis_points];
}

static uint32_t *trailing_fronts_of(ome_book_t *book, const ome_trailing_group_t *group)
{
    return &book->trailing_fronts[ome_side_index(group->side)];
}

static void trailing_put_in(ome_meld_node_t *nodes, uint32_t *root, uint32_t index, int64_t key)
{
    ome_meld_heap_make(nodes, index, key);
    *root = ome_meld_heap_meld(nodes, *root, index);
}

static void trailing_take_out(ome_meld_node_t *nodes, uint32_t *root, uint32_t index)
{
    const uint32_t in_its_place = ome_meld_heap_remove(nodes, index);
    if (*root == index)
    {
        *root = in_its_place;
    }
}

/* The stop price of an order in this group. */
static int64_t trailing_stop_in(const ome_book_t *book, const ome_book_pools_t *pools, uint32_t group, uint32_t index)
{
    const ome_special_t *special = &pools->specials.records[index];
    return trailing_group_at(pools, group)->has_not_moved ? ome_trailing_mirror(special->side, special->stop_price)
                                                          : trailing_stop_at(book, special, trailing_best_of(pools, group));
}

/* The first order of a group or its best has changed: moves the group among the fronts. */
static void trailing_set_first(ome_book_t *book, ome_book_pools_t *pools, uint32_t group, uint32_t first)
{
    ome_trailing_group_t *const at = trailing_group_at(pools, group);
    const int64_t front = trailing_stop_in(book, pools, group, first);
    OME_EXPECT(group != 0);
    OME_EXPECT(first != 0);
    pools->specials.records[at->first].trailing_group = 0;
    pools->specials.records[first].trailing_group = group;
    at->first = first;
    if (pools->trailing.fronts[group].key != front)
    {
        trailing_take_out(pools->trailing.fronts, trailing_fronts_of(book, at), group);
        trailing_put_in(pools->trailing.fronts, trailing_fronts_of(book, at), group, front);
    }
    OME_EXPECT(pools->trailing.fronts[group].key == front);
}

static void trailing_make_group(ome_book_t *book, ome_book_pools_t *pools, uint32_t index, int64_t best, bool has_not_moved)
{
    ome_trailing_pool_t *const pool = &pools->trailing;
    ome_special_t *const special = &pools->specials.records[index];
    const uint32_t group = pool->free_head != 0 ? pool->free_head : ++pool->groups_ever_used;
    OME_EXPECT(index != 0);
    pool->free_head = pool->groups[group].next_free;
    pool->group_count++;
    pool->groups[group] = (ome_trailing_group_t){
        .first = index, .side = special->side, .has_basis_points = trailing_has_basis_points(special), .has_not_moved = has_not_moved};
    special->trailing_group = group;
    trailing_put_in(pool->bests, trailing_bests_of(book, &pool->groups[group]), group, trailing_best_key(best));
    trailing_put_in(pool->fronts, trailing_fronts_of(book, &pool->groups[group]), group, trailing_stop_in(book, pools, group, index));
    OME_EXPECT(pool->groups[group].first == index);
}

/* Ends a group that was removed from its heap of bests. */
static void trailing_end_group(ome_book_t *book, ome_book_pools_t *pools, uint32_t group)
{
    ome_trailing_pool_t *const pool = &pools->trailing;
    OME_EXPECT(group != 0);
    OME_EXPECT(pool->group_count > 0);
    pools->specials.records[pool->groups[group].first].trailing_group = 0;
    trailing_take_out(pool->fronts, trailing_fronts_of(book, &pool->groups[group]), group);
    pool->groups[group] = (ome_trailing_group_t){.next_free = pool->free_head};
    pool->free_head = group;
    pool->group_count--;
}

/* A group takes in the orders of another, which was removed from its heap of bests and ends. */
static void trailing_absorb(ome_book_t *book, ome_book_pools_t *pools, uint32_t group, uint32_t other)
{
    OME_EXPECT(group != 0 && other != 0);
    OME_EXPECT(group != other);
    const uint32_t first =
        ome_meld_heap_meld(pools->trailing.orders, trailing_group_at(pools, group)->first, trailing_group_at(pools, other)->first);
    trailing_end_group(book, pools, other);
    trailing_set_first(book, pools, group, first);
}

/* Whether a group may take in orders whose best is this one. */
static bool trailing_has_best(const ome_book_pools_t *pools, uint32_t group, int64_t best)
{
    return group != 0 && !trailing_group_at(pools, group)->has_not_moved && trailing_best_of(pools, group) == best;
}

/* ---- orders ---- */

int64_t ome_trailing_stop_price(const ome_book_t *book, const ome_book_pools_t *pools, uint32_t index)
{
    uint32_t root = index;
    while (pools->trailing.orders[root].parent != 0)
    {
        root = pools->trailing.orders[root].parent;
    }
    const ome_special_t *special = &pools->specials.records[index];
    return ome_trailing_mirror(special->side, trailing_stop_in(book, pools, pools->specials.records[root].trailing_group, index));
}

/* The best of an order that has this stop price. Says whether the stop is nearer than that best has it. */
static int64_t trailing_best_for(const ome_book_t *book, const ome_special_t *special, bool *has_not_moved)
{
    const int64_t stop = ome_trailing_mirror(special->side, special->stop_price);
    *has_not_moved = false;
    if (!trailing_has_basis_points(special))
    {
        return stop - special->trail_amount;
    }
    if (book->last_trade_price != OME_NULL_VALUE && trailing_stop_at(book, special, trailing_last_of(book, special->side)) == stop)
    {
        return trailing_last_of(book, special->side);
    }
    const int64_t best = trailing_lowest_best(book, special, stop);
    *has_not_moved = trailing_stop_at(book, special, best) != stop;
    return best;
}

void ome_trailing_join(ome_book_t *book, ome_book_pools_t *pools, uint32_t index)
{
    const ome_special_t *const special = &pools->specials.records[index];
    const bool is_in_basis_points = trailing_has_basis_points(special);
    const uint32_t group = book->trailing_bests[ome_side_index(special->side)][is_in_basis_points];
    bool has_not_moved;
    const int64_t best = trailing_best_for(book, special, &has_not_moved);
    OME_EXPECT(ome_trailing_is(special));
    ome_meld_heap_make(pools->trailing.orders, index, is_in_basis_points ? special->trail_basis_points : special->trail_amount);
    if (has_not_moved || !trailing_has_best(pools, group, best))
    {
        trailing_make_group(book, pools, index, best, has_not_moved);
        return;
    }
    trailing_set_first(book, pools, group, ome_meld_heap_meld(pools->trailing.orders, trailing_group_at(pools, group)->first, index));
}

void ome_trailing_leave(ome_book_t *book, ome_book_pools_t *pools, uint32_t index)
{
    const uint32_t group = pools->specials.records[index].trailing_group;
    const uint32_t in_its_place = ome_meld_heap_remove(pools->trailing.orders, index);
    OME_EXPECT(index != 0);
    if (group == 0)
    {
        return; /* it was not the first of its group */
    }
    if (in_its_place != 0)
    {
        trailing_set_first(book, pools, group, in_its_place);
        return;
    }
    trailing_take_out(pools->trailing.bests, trailing_bests_of(book, trailing_group_at(pools, group)), group);
    trailing_end_group(book, pools, group);
}

/* ---- a price is looked at ---- */

/* Those of one kind whose best is passed become one group, and one with those whose best it is. */
static void trailing_merge_passed(ome_book_t *book, ome_book_pools_t *pools, uint32_t *root, int64_t last)
{
    ome_meld_node_t *const bests = pools->trailing.bests;
    const uint32_t group = *root;
    if (group == 0 || trailing_best_of(pools, group) <= last)
    {
        return;
    }
    trailing_take_out(bests, root, group);
    ome_meld_heap_make(bests, group, trailing_best_key(last));
    trailing_group_at(pools, group)->has_not_moved = false;
    trailing_set_first(book, pools, group, trailing_group_at(pools, group)->first);
    while (*root != 0 && (trailing_best_of(pools, *root) > last || trailing_has_best(pools, *root, last)))
    {
        const uint32_t other = *root;
        trailing_take_out(bests, root, other);
        trailing_absorb(book, pools, group, other);
    }
    *root = ome_meld_heap_meld(bests, *root, group);
    OME_EXPECT(trailing_best_of(pools, *root) == last);
}

void ome_trailing_move(ome_book_t *book, ome_book_pools_t *pools, uint8_t side)
{
    const int64_t last = trailing_last_of(book, side);
    OME_EXPECT(book->last_trade_price != OME_NULL_VALUE);
    trailing_merge_passed(book, pools, &book->trailing_bests[ome_side_index(side)][false], last);
    trailing_merge_passed(book, pools, &book->trailing_bests[ome_side_index(side)][true], last);
}

static uint32_t trailing_next_in_chain(const ome_book_pools_t *pools, uint32_t slot)
{
    return pools->orders.orders[slot].next;
}

static void trailing_link_in_chain(const ome_book_pools_t *pools, uint32_t slot, uint32_t next)
{
    pools->orders.orders[slot].next = next;
}

bool ome_trailing_is_before(const ome_book_pools_t *pools, uint32_t slot, uint32_t other)
{
    const ome_special_t *special = &pools->specials.records[ome_order_special(&pools->orders.orders[slot])];
    const ome_special_t *other_special = &pools->specials.records[ome_order_special(&pools->orders.orders[other])];
    const int64_t stop = ome_trailing_mirror(special->side, special->stop_price);
    const int64_t other_stop = ome_trailing_mirror(special->side, other_special->stop_price);
    return stop != other_stop ? stop < other_stop : special->entry < other_special->entry;
}

static const ome_chain_t BY_TRIGGER = {trailing_next_in_chain, trailing_link_in_chain, ome_trailing_is_before};

/* Sets an order's stop price and puts it before a chain. Returns the head. */
static uint32_t trailing_chain(const ome_book_t *book, const ome_book_pools_t *pools, uint32_t group, uint32_t index, uint32_t head)
{
    ome_special_t *const special = &pools->specials.records[index];
    const uint32_t slot = (uint32_t)special->order_id;
    special->stop_price = ome_trailing_mirror(special->side, trailing_stop_in(book, pools, group, index));
    trailing_link_in_chain(pools, slot, head);
    return slot;
}

uint32_t ome_trailing_trigger(ome_book_t *book, ome_book_pools_t *pools, uint8_t side)
{
    const int64_t last = trailing_last_of(book, side);
    const uint32_t *const fronts = &book->trailing_fronts[ome_side_index(side)];
    uint32_t head = 0;
    while (*fronts != 0 && pools->trailing.fronts[*fronts].key <= last)
    {
        const uint32_t group = *fronts;
        const uint32_t index = trailing_group_at(pools, group)->first;
        OME_EXPECT(book->waiting_count > 0);
        OME_EXPECT(ome_special_waits(&pools->specials.records[index]));
        head = trailing_chain(book, pools, group, index, head);
        ome_trailing_leave(book, pools, index);
        pools->specials.records[index].flags &= (uint8_t)~OME_SPECIAL_WAITS;
        book->waiting_count--;
    }
    return ome_chain_sort(pools, BY_TRIGGER, head);
}

uint32_t ome_trailing_list(const ome_book_t *book, const ome_book_pools_t *pools, uint8_t side)
{
    const ome_trailing_pool_t *const pool = &pools->trailing;
    uint32_t head = 0;
    for (uint32_t group = book->trailing_fronts[ome_side_index(side)]; group != 0; group = ome_meld_heap_next(pool->fronts, group))
    {
        for (uint32_t index = pool->groups[group].first; index != 0; index = ome_meld_heap_next(pool->orders, index))
        {
            head = trailing_chain(book, pools, group, index, head);
        }
    }
    return ome_chain_sort(pools, BY_TRIGGER, head);
}

/* ---- after a restore ---- */

static void trailing_gather(ome_book_t *book, ome_book_pools_t *pools, uint32_t *root)
{
    ome_meld_node_t *const bests = pools->trailing.bests;
    uint32_t gathered = 0;
    uint32_t last = 0;
    while (*root != 0)
    {
        const uint32_t group = *root;
        const int64_t best = trailing_best_of(pools, group);
        trailing_take_out(bests, root, group);
        if (!trailing_group_at(pools, group)->has_not_moved && trailing_has_best(pools, last, best))
        {
            trailing_absorb(book, pools, last, group);
            continue;
        }
        trailing_put_in(bests, &gathered, group, trailing_best_key(best));
        last = trailing_group_at(pools, group)->has_not_moved ? last : group;
    }
    *root = gathered;
}

void ome_trailing_gather(ome_book_t *book, ome_book_pools_t *pools)
{
    for (uint32_t side_index = 0; side_index < 2; side_index++)
    {
        trailing_gather(book, pools, &book->trailing_bests[side_index][false]);
        trailing_gather(book, pools, &book->trailing_bests[side_index][true]);
    }
}
