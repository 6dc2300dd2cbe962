/* The invariants of the engine, walked in full. Slow; for tests. */
#include "book/ome_trailing.h"
#include "engine/ome_define.h"
#include "engine/ome_engine.h"
#include "matching/ome_stop.h"
#include "state/ome_state.h"

/* What is counted along the walk, and compared with what the pools say. */
typedef struct
{
    uint32_t order_count;
    uint32_t level_count;
    uint32_t stop_level_count;
    uint32_t indexed_count;
    uint32_t special_count;
    uint32_t deadline_count;
    uint32_t group_count;
} count_t;

static const ome_special_t *check_special_of(const ome_engine_t *engine, uint32_t slot)
{
    return &engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])];
}

static const char *check_special(const ome_engine_t *engine, uint32_t slot, count_t *count)
{
    const ome_special_pool_t *pool = &engine->pools.specials;
    const uint32_t index = ome_order_special(&engine->pools.orders.orders[slot]);
    if (index == 0)
    {
        return NULL;
    }
    if (index > pool->records_ever_used || pool->records[index].order_id != ome_order_id(&engine->pools.orders, slot))
    {
        return "a special order's record is not its own";
    }
    const ome_special_t *special = &pool->records[index];
    if (!ome_special_waits(special) && !ome_special_outlives_trigger(special))
    {
        return "an order is special for nothing";
    }
    if ((special->deadline_ns != 0) != (special->heap_position != 0))
    {
        return "an order is among the deadlines without one, or has one and is not";
    }
    if (special->deadline_ns != 0 && (special->heap_position > pool->heap_count || pool->heap[special->heap_position] != index))
    {
        return "an order is not at its place among the deadlines";
    }
    if (special->deadline_ns != 0 && special->deadline_ns < engine->attention_ns)
    {
        return "a deadline would be missed";
    }
    count->special_count++;
    count->deadline_count += special->deadline_ns != 0;
    return NULL;
}

/* What holds for every live order, wherever it is. */
static const char *check_order(const ome_engine_t *engine, uint32_t slot, count_t *count)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    const ome_order_t *order = &pool->orders[slot];
    if (slot > pool->slots_ever_used)
    {
        return "a queue holds a slot that was never used";
    }
    if (order->leaves_quantity <= 0 || order->cumulative_quantity < 0)
    {
        return "a live order has no lots open";
    }
    const uint16_t participant = ome_owner_participant(order->owner);
    if (pool->tags[slot] != ome_order_tag(participant) || ome_order_pool_row(pool, participant)[slot >> OME_ORDER_BLOCK_SHIFT] == 0)
    {
        return "a live order is not found by its participant";
    }
    if (!ome_engine_knows_sender(engine, (uint32_t)(order->owner >> 32)))
    {
        return "a live order came by a session that is not its participant's";
    }
    if (order->client_order_id != 0 &&
        ome_order_index_find(&engine->pools.index, pool, ome_owner_participant(order->owner), order->client_order_id) != slot)
    {
        return "a live order is not found by its client order id";
    }
    count->order_count++;
    count->indexed_count += order->client_order_id != 0;
    return check_special(engine, slot, count);
}

/* ---- levels ---- */

typedef struct
{
    uint32_t order_count;
    uint32_t last;
    int64_t quantity;
    int64_t reserve_quantity;
} queue_t;

static const char *check_queue(
    const ome_engine_t *engine, uint32_t level_index, uint32_t head, bool is_hidden, queue_t *queue, count_t *count)
{
    const ome_order_t *orders = engine->pools.orders.orders;
    *queue = (queue_t){0};
    for (uint32_t slot = head; slot != 0; slot = orders[slot].next)
    {
        const char *wrong = check_order(engine, slot, count);
        const ome_special_t *special = check_special_of(engine, slot);
        if (wrong != NULL)
        {
            return wrong;
        }
        if (orders[slot].previous != queue->last)
        {
            return "the links of a queue do not agree";
        }
        if (orders[slot].level != level_index || ome_special_waits(special))
        {
            return "an order does not point at the level whose queue it is in";
        }
        if (((orders[slot].marks & OME_ORDER_MARK_HIDDEN) != 0) != is_hidden)
        {
            return "a hidden order is displayed, or one that is not is hidden";
        }
        if (special->peak != 0 ? orders[slot].leaves_quantity > special->peak : special->reserve_quantity != 0)
        {
            return "an order displays more than its peak, or has a reserve without one";
        }
        queue->quantity += orders[slot].leaves_quantity;
        queue->reserve_quantity += special->reserve_quantity;
        queue->last = slot;
        if (++queue->order_count > engine->pools.orders.slots_ever_used)
        {
            return "a queue goes round";
        }
    }
    return NULL;
}

static const char *check_level(const ome_engine_t *engine, uint32_t level_index, count_t *count)
{
    const ome_level_t *level = &engine->pools.ladder.levels[level_index];
    queue_t displayed;
    queue_t hidden;
    const char *wrong = check_queue(engine, level_index, level->head, false, &displayed, count);
    if (wrong != NULL)
    {
        return wrong;
    }
    wrong = check_queue(engine, level_index, level->hidden_head, true, &hidden, count);
    if (wrong != NULL)
    {
        return wrong;
    }
    if (displayed.order_count + hidden.order_count == 0 || displayed.order_count != level->order_count)
    {
        return "a level does not hold the orders that it counts";
    }
    if (displayed.last != level->tail || hidden.last != level->hidden_tail)
    {
        return "a level's tail is not the last of its queue";
    }
    if (displayed.quantity != level->quantity || hidden.quantity + displayed.reserve_quantity != level->hidden_quantity)
    {
        return "a level's quantity is not the sum of its orders";
    }
    return NULL;
}

static const char *check_side(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, count_t *count)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    const uint32_t side_index = ome_side_index(side);
    int64_t quantity = 0;
    uint64_t last_key = 0;
    for (uint32_t index = book->ladders[side_index].best; index != 0; index = ome_ladder_next(ladder, index))
    {
        const ome_level_t *level = &ladder->levels[index];
        const char *wrong = check_level(engine, index, count);
        if (wrong != NULL)
        {
            return wrong;
        }
        const uint64_t key = ome_book_price_key(book, side, level->price);
        if (quantity > 0 && key <= last_key)
        {
            return "levels are not in price order";
        }
        if (level->side != side || level->instrument != book->number || ome_ladder_find(&book->ladders[side_index], ladder, key) != index)
        {
            return "a level is not where its price belongs";
        }
        last_key = key;
        quantity += level->quantity + level->hidden_quantity;
        if (++count->level_count > ladder->level_count)
        {
            return "a side holds more levels than are in use";
        }
    }
    return quantity == book->open_quantity[side_index] ? NULL : "a side's open quantity is not the sum of its levels";
}

/* ---- stops ---- */

static const char *check_stop(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint32_t level_index, uint32_t slot)
{
    const ome_special_t *special = check_special_of(engine, slot);
    const ome_level_t *level = &engine->pools.stops.levels[level_index];
    if (!ome_special_waits(special) || ome_order_type_trails(special->order_type) || special->level != level_index ||
        special->stop_price != level->price || special->side != side || special->instrument != book->number)
    {
        return "a stop is not where its stop price belongs";
    }
    if (special->reserve_quantity != 0)
    {
        return "a stop that waits has a reserve";
    }
    if (ome_stop_is_past(book, side, special->stop_price))
    {
        return "a stop waits past its trigger";
    }
    const uint32_t next = engine->pools.orders.orders[slot].next;
    return next != 0 && check_special_of(engine, next)->entry < special->entry ? "stops of one price are not in the order of their entry"
                                                                               : NULL;
}

static const char *check_stop_level(
    const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint32_t level_index, uint32_t *waiting_count, count_t *count)
{
    const ome_level_t *level = &engine->pools.stops.levels[level_index];
    uint32_t previous = 0;
    uint32_t order_count = 0;
    for (uint32_t slot = level->head; slot != 0; slot = engine->pools.orders.orders[slot].next)
    {
        const char *wrong = check_order(engine, slot, count);
        if (engine->pools.orders.orders[slot].previous != previous)
        {
            wrong = "the links of a queue do not agree";
        }
        if (wrong == NULL)
        {
            wrong = check_stop(engine, book, side, level_index, slot);
        }
        if (wrong != NULL)
        {
            return wrong;
        }
        previous = slot;
        if (++order_count > level->order_count)
        {
            return "a queue of stops is longer than its level says";
        }
    }
    *waiting_count += order_count;
    return order_count > 0 && order_count == level->order_count && previous == level->tail ? NULL
                                                                                           : "a queue of stops is not what its level says";
}

/* A node of a heap: its links, its rank and its key agree with those of its parent. */
static bool check_node_is_good(const ome_meld_node_t *nodes, uint32_t index)
{
    const ome_meld_node_t *node = &nodes[index];
    const ome_meld_node_t *parent = &nodes[node->parent];
    if (node->rank != nodes[node->right].rank + 1 || nodes[node->left].rank < nodes[node->right].rank)
    {
        return false;
    }
    return node->parent == 0 || (parent->key <= node->key && (parent->left == index || parent->right == index));
}

static const char *check_trailing_order(
    const ome_engine_t *engine, const ome_book_t *book, const ome_trailing_group_t *group, uint32_t index, int64_t stop_price)
{
    ome_special_t special = engine->pools.specials.records[index];
    special.stop_price = stop_price;
    const bool has_basis_points = special.trail_amount == 0;
    if (!ome_special_waits(&special) || !ome_trailing_is(&special) || special.level != 0 || special.side != group->side ||
        special.instrument != book->number || has_basis_points != group->has_basis_points)
    {
        return "a group of trailing stops holds what does not belong there";
    }
    if (engine->pools.trailing.orders[index].key != (has_basis_points ? special.trail_basis_points : special.trail_amount) ||
        (special.trailing_group != 0) != (index == group->first))
    {
        return "a trailing stop has another distance than in its group, or is taken for the first";
    }
    if (ome_stop_is_past(book, special.side, stop_price))
    {
        return "a stop waits past its trigger";
    }
    return ome_stop_moved_price(book, &special) != stop_price ? "a trailing stop has not followed the last price" : NULL;
}

static const char *check_group(const ome_engine_t *engine, const ome_book_t *book, uint32_t number, uint32_t *waiting_count, count_t *count)
{
    const ome_book_pools_t *pools = &engine->pools;
    const ome_trailing_group_t *group = &pools->trailing.groups[number];
    if (group->first == 0 || pools->specials.records[group->first].trailing_group != number ||
        pools->trailing.orders[group->first].parent != 0)
    {
        return "a group of trailing stops has not its first";
    }
    const int64_t front = ome_trailing_mirror(group->side, ome_trailing_stop_price(book, pools, group->first));
    uint32_t order_count = 0;
    for (uint32_t index = group->first; index != 0; index = ome_meld_heap_next(pools->trailing.orders, index))
    {
        const int64_t stop_price = ome_trailing_stop_price(book, pools, index);
        const uint32_t slot = (uint32_t)pools->specials.records[index].order_id;
        const char *wrong = check_order(engine, slot, count);
        if (wrong == NULL)
        {
            wrong = check_trailing_order(engine, book, group, index, stop_price);
        }
        if (wrong != NULL)
        {
            return wrong;
        }
        if (!check_node_is_good(pools->trailing.orders, index) || ome_trailing_mirror(group->side, stop_price) < front)
        {
            return "a group of trailing stops is not in order";
        }
        if (++order_count > pools->specials.record_count)
        {
            return "a group of trailing stops goes round";
        }
    }
    *waiting_count += order_count;
    const bool is_in_front = pools->trailing.fronts[number].key == front;
    return is_in_front && (!group->has_not_moved || order_count == 1) ? NULL
                                                                      : "a group of trailing stops does not stand where its first stops";
}

/* The groups of a side: from their fronts, and that they are those that its heaps of bests hold. */
static const char *check_groups(
    const ome_engine_t *engine, const ome_book_t *book, uint32_t side_index, uint32_t *waiting_count, count_t *count)
{
    const ome_trailing_pool_t *pool = &engine->pools.trailing;
    uint32_t front_count = 0;
    for (uint32_t group = book->trailing_fronts[side_index]; group != 0; group = ome_meld_heap_next(pool->fronts, group))
    {
        const char *wrong = check_group(engine, book, group, waiting_count, count);
        if (wrong != NULL)
        {
            return wrong;
        }
        if (!check_node_is_good(pool->fronts, group) || ome_side_index(pool->groups[group].side) != side_index ||
            ++front_count > pool->group_count)
        {
            return "the groups of trailing stops are not in the order of their first";
        }
    }
    uint32_t best_count = 0;
    for (uint32_t kind = 0; kind < 2; kind++)
    {
        for (uint32_t group = book->trailing_bests[side_index][kind]; group != 0; group = ome_meld_heap_next(pool->bests, group))
        {
            const ome_trailing_group_t *at = &pool->groups[group];
            const bool is_its_own = ome_side_index(at->side) == side_index && at->has_basis_points == (kind == 1);
            if (!check_node_is_good(pool->bests, group) || !is_its_own || at->first == 0 || ++best_count > pool->group_count)
            {
                return "the groups of trailing stops are not in the order of their best";
            }
        }
    }
    count->group_count += front_count;
    return front_count == best_count ? NULL : "a group of trailing stops is in one order and not in the other";
}

static const char *check_stops(const ome_engine_t *engine, const ome_book_t *book, count_t *count)
{
    uint32_t waiting_count = 0;
    for (uint8_t side = OME_SIDE_BUY; side <= OME_SIDE_SELL; side++)
    {
        const ome_ladder_t *ladder = &book->stops[ome_side_index(side)];
        for (uint32_t index = ladder->best; index != 0; index = ome_ladder_next(&engine->pools.stops, index))
        {
            const char *wrong = check_stop_level(engine, book, side, index, &waiting_count, count);
            if (wrong != NULL)
            {
                return wrong;
            }
            if (++count->stop_level_count > engine->pools.stops.level_count)
            {
                return "there are more levels of stops than are in use";
            }
        }
        const char *wrong = check_groups(engine, book, ome_side_index(side), &waiting_count, count);
        if (wrong != NULL)
        {
            return wrong;
        }
    }
    return waiting_count == book->waiting_count ? NULL : "a book does not hold the stops that it counts";
}

/* ---- the whole ---- */

static const char *check_book(const ome_engine_t *engine, const ome_book_t *book, count_t *count)
{
    for (uint8_t side = OME_SIDE_BUY; side <= OME_SIDE_SELL; side++)
    {
        const char *wrong = check_side(engine, book, side, count);
        if (wrong != NULL)
        {
            return wrong;
        }
    }
    const uint32_t bid = ome_book_best(book, OME_SIDE_BUY);
    const uint32_t ask = ome_book_best(book, OME_SIDE_SELL);
    if (bid != 0 && ask != 0 && engine->pools.ladder.levels[bid].price >= engine->pools.ladder.levels[ask].price)
    {
        return "the book is crossed";
    }
    return check_stops(engine, book, count);
}

static const char *check_heap(const ome_special_pool_t *pool)
{
    for (uint32_t position = 2; position <= pool->heap_count; position++)
    {
        const ome_special_t *special = &pool->records[pool->heap[position]];
        const ome_special_t *parent = &pool->records[pool->heap[position / 2]];
        if (special->deadline_ns < parent->deadline_ns ||
            (special->deadline_ns == parent->deadline_ns && special->order_id < parent->order_id))
        {
            return "the deadlines are not in order";
        }
    }
    return NULL;
}

static const char *check_counts(const ome_engine_t *engine, const count_t *count)
{
    const ome_book_pools_t *pools = &engine->pools;
    uint32_t live_order_count = 0;
    for (uint32_t slot = 1; slot <= pools->orders.slots_ever_used; slot++)
    {
        live_order_count += pools->orders.orders[slot].leaves_quantity > 0;
    }
    if (count->order_count != live_order_count)
    {
        return "an order lives that is in no queue";
    }
    if (count->level_count != pools->ladder.level_count || count->stop_level_count != pools->stops.level_count)
    {
        return "levels are in use that no book holds";
    }
    const uint32_t ladder_count = 2 * engine->instrument_count;
    if (pools->ladder.node_count > 2 * count->level_count + ladder_count ||
        pools->stops.node_count > 2 * count->stop_level_count + ladder_count)
    {
        return "nodes are in use that no level needs";
    }
    if (count->group_count != pools->trailing.group_count)
    {
        return "groups of trailing stops are in use that no book holds";
    }
    if (count->special_count != pools->specials.record_count || count->deadline_count != pools->specials.heap_count)
    {
        return "special records are in use that no order has";
    }
    return count->indexed_count == pools->index.count ? NULL : "the index holds orders that no book does";
}

static const char *check_sessions(const ome_engine_t *engine)
{
    uint32_t session_count = 0;
    uint32_t participant_count = 0;
    uint64_t participant_session_count = 0;
    for (uint32_t number = 0; number <= engine->limits.session_count_max; number++)
    {
        const bool is_defined = ome_session_is_defined(engine, number);
        const uint32_t participant = ome_session_participant(engine, number);
        session_count += is_defined;
        if (engine->participant_sessions[number] == 0 && engine->past_reports[number] != 0)
        {
            return "a participant without sessions has reports";
        }
        participant_count += engine->participant_sessions[number] > 0;
        participant_session_count += engine->participant_sessions[number];
        if (is_defined && (engine->senders[number] >> 16 != number || participant == 0 || participant > engine->limits.session_count_max ||
                              engine->participant_sessions[participant] == 0))
        {
            return "a session does not have its number, or has a participant without sessions";
        }
    }
    return session_count == engine->session_count && participant_count == engine->participant_count &&
                   participant_session_count == session_count
               ? NULL
               : "the sessions and their participants are not as many as are counted";
}

const char *ome_engine_check(const ome_engine_t *engine)
{
    count_t count = {0};
    const char *wrong_session = check_sessions(engine);
    const char *wrong_account = ome_accounts_check(&engine->accounts);
    if (wrong_session != NULL || wrong_account != NULL)
    {
        return wrong_session != NULL ? wrong_session : wrong_account;
    }
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        if (ome_define_find_symbol(engine, engine->books[number].instrument.symbol) != number)
        {
            return "an instrument is not found by its symbol";
        }
        const char *wrong = check_book(engine, &engine->books[number], &count);
        if (wrong != NULL)
        {
            return wrong;
        }
    }
    if (engine->elected_head != 0)
    {
        return "a stop was triggered and has not entered";
    }
    if (engine->pending.waits && engine->attention_ns != 0)
    {
        return "a command waits for its terms unattended";
    }
    const char *wrong = check_heap(&engine->pools.specials);
    return wrong != NULL ? wrong : check_counts(engine, &count);
}
