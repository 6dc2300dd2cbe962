#include "ome.h"

#include <stdlib.h>
#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_hash.h"
#include "base/ome_memory.h"
#include "book/ome_waiting.h"
#include "engine/ome_define.h"
#include "engine/ome_engine.h"

#define BATCH_EVENT_COUNT_INITIAL 4096u

static_assert(sizeof(ome_depth_t) == 24, "ome_depth_t has no padding");
static_assert(sizeof(ome_order_view_t) == 128, "ome_order_view_t has no padding");
static_assert(sizeof(ome_instrument_view_t) == 40, "ome_instrument_view_t has no padding");
static_assert(sizeof(ome_session_view_t) == 48, "ome_session_view_t has no padding");
static_assert(sizeof(ome_event_row_t) == 104, "ome_event_row_t has no padding");

ome_status_t ome_engine_create(const ome_limits_t *limits, ome_engine_t **engine)
{
    const uint64_t size_bytes = ome_engine_size_bytes(limits);
    if (size_bytes == 0)
    {
        return OME_INVALID;
    }
    void *memory = ome_memory_map(size_bytes);
    if (memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    return ome_engine_init(engine, memory, size_bytes, limits);
}

void ome_engine_destroy(ome_engine_t *engine)
{
    if (engine != NULL)
    {
        ome_memory_unmap(engine, ome_engine_size_bytes(&engine->limits));
    }
}

void ome_engine_status(const ome_engine_t *engine, ome_engine_status_t *status)
{
    *status = (ome_engine_status_t){.sequence = engine->sequence,
        .time_ns = engine->time_ns,
        .trade_count = engine->trade_count,
        .event_count = engine->event_count,
        .instrument_count = engine->instrument_count,
        .session_count = engine->session_count,
        .participant_count = engine->participant_count,
        .level_count = engine->pools.ladder.level_count,
        .special_count = engine->pools.specials.record_count,
        .order_count_max = engine->limits.order_count_max,
        .level_count_max = engine->limits.level_count_max,
        .instrument_count_max = engine->limits.instrument_count_max,
        .session_count_max = engine->limits.session_count_max,
        .special_count_max = engine->limits.special_count_max,
        .rules_version = engine->limits.rules_version,
        .account_count_max = engine->limits.account_count_max,
        .limit_flags = engine->limits.limit_flags,
        .account_count = engine->accounts.count,
        .order_slot_count = engine->pools.orders.slots_ever_used};
}

static bool face_has_instrument(const ome_engine_t *engine, uint32_t number)
{
    return number >= 1 && number <= engine->instrument_count;
}

static bool face_is_side(uint8_t side)
{
    return side == OME_SIDE_BUY || side == OME_SIDE_SELL;
}

/* ---- Market data ---- */

/* Level `index`, or the next worse one that displays something; 0 for none. */
static uint32_t face_displayed_from(const ome_engine_t *engine, uint32_t index)
{
    const ome_ladder_pool_t *ladder = &engine->pools.ladder;
    while (index != 0 && ladder->levels[index].order_count == 0)
    {
        index = ome_ladder_next(ladder, index);
    }
    return index;
}

static ome_depth_t face_depth_of(const ome_engine_t *engine, uint32_t index)
{
    const ome_level_t *level = &engine->pools.ladder.levels[index];
    return (ome_depth_t){.price = level->price, .quantity = level->quantity, .order_count = level->order_count};
}

static uint32_t face_best_of(const ome_engine_t *engine, uint32_t instrument, uint8_t side)
{
    return face_is_side(side) && face_has_instrument(engine, instrument) ? ome_book_best(&engine->books[instrument], side) : 0;
}

ome_status_t ome_engine_best(const ome_engine_t *engine, uint32_t instrument, uint8_t side, ome_depth_t *depth)
{
    if (!face_is_side(side))
    {
        return OME_INVALID;
    }
    if (!face_has_instrument(engine, instrument))
    {
        return OME_NOT_FOUND;
    }
    const uint32_t index = face_displayed_from(engine, face_best_of(engine, instrument, side));
    if (index == 0)
    {
        return OME_EMPTY;
    }
    *depth = face_depth_of(engine, index);
    return OME_OK;
}

ome_status_t ome_engine_depth(const ome_engine_t *engine, uint32_t instrument, uint8_t side, int64_t price, ome_depth_t *depth)
{
    if (!face_is_side(side))
    {
        return OME_INVALID;
    }
    if (!face_has_instrument(engine, instrument))
    {
        return OME_NOT_FOUND;
    }
    const ome_book_t *book = &engine->books[instrument];
    uint64_t tick_index;
    if (!ome_instrument_price_in_range(&book->instrument, price) || !ome_instrument_tick_index(&book->instrument, price, &tick_index))
    {
        return OME_INVALID;
    }
    const uint32_t index = ome_ladder_find(&book->ladders[ome_side_index(side)], &engine->pools.ladder, ome_book_key(side, tick_index));
    if (index == 0 || face_displayed_from(engine, index) != index)
    {
        return OME_EMPTY;
    }
    *depth = face_depth_of(engine, index);
    return OME_OK;
}

uint32_t ome_engine_levels(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_depth_t *levels)
{
    uint32_t count = 0;
    uint32_t index = face_displayed_from(engine, face_best_of(engine, instrument, side));
    while (index != 0 && count < count_max)
    {
        levels[count++] = face_depth_of(engine, index);
        index = face_displayed_from(engine, ome_ladder_next(&engine->pools.ladder, index));
    }
    return count;
}

/* ---- Orders ---- */

/* The scope that an order came in with: a group is only there where it is the scope. */
static uint8_t face_scope_of(const ome_order_t *order, const ome_special_t *special)
{
    if (special->group != 0)
    {
        return OME_SELF_TRADE_SCOPE_GROUP;
    }
    return (order->marks & OME_ORDER_MARK_SCOPE_PARTICIPANT) != 0 ? OME_SELF_TRADE_SCOPE_PARTICIPANT : OME_SELF_TRADE_SCOPE_ACCOUNT;
}

/* What an order tells wherever it is. */
static ome_order_view_t face_view_terms(const ome_engine_t *engine, uint32_t slot, const ome_special_t *special)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const uint64_t owner = ome_book_owner(&engine->pools, order);
    ome_order_view_t view = {.order_id = ome_order_id(&engine->pools.orders, slot),
        .client_order_id = order->client_order_id,
        .leaves_quantity = ome_book_leaves(&engine->pools, order),
        .cumulative_quantity = order->cumulative_quantity,
        .peak_quantity = special->peak,
        .deadline_ns = special->deadline_ns,
        .account = (uint32_t)owner,
        .self_trade_group = special->group,
        .participant = ome_owner_participant(owner),
        .session = (uint16_t)(owner >> 48),
        .is_hidden = (order->marks & OME_ORDER_MARK_HIDDEN) != 0,
        .is_post_only = (order->marks & OME_ORDER_MARK_POST_ONLY) != 0,
        .self_trade_prevention = order->marks >> OME_ORDER_SELF_TRADE_SHIFT & 7u,
        .self_trade_scope = face_scope_of(order, special)};
    memcpy(view.attributes, special->attributes, OME_ATTRIBUTE_COUNT * sizeof(*special->attributes));
    return view;
}

static uint8_t face_resting_time_in_force(const ome_order_t *order, const ome_special_t *special)
{
    if (special->deadline_ns != 0)
    {
        return OME_TIME_IN_FORCE_GTD;
    }
    return (order->marks & OME_ORDER_MARK_DAY) != 0 ? OME_TIME_IN_FORCE_DAY : OME_TIME_IN_FORCE_GTC;
}

static ome_order_view_t face_view_waiting(const ome_engine_t *engine, uint32_t slot, const ome_special_t *special, int64_t stop_price)
{
    ome_order_view_t view = face_view_terms(engine, slot, special);
    view.is_waiting = 1;
    view.price = special->limit;
    view.stop_price = stop_price;
    view.trail_amount = special->trail_amount;
    view.trail_basis_points = special->trail_basis_points;
    view.instrument = special->instrument;
    view.side = special->side;
    view.order_type = special->order_type;
    view.time_in_force = special->time_in_force;
    return view;
}

static ome_order_view_t face_view_order(const ome_engine_t *engine, uint32_t slot)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const uint32_t index = ome_order_special(order);
    const ome_special_t *special = &engine->pools.specials.records[index];
    if (ome_special_waits(special))
    {
        const ome_book_t *book = &engine->books[special->instrument];
        const bool trails = ome_trailing_is(special);
        return face_view_waiting(
            engine, slot, special, trails ? ome_trailing_stop_price(book, &engine->pools, index) : special->stop_price);
    }
    ome_order_view_t view = face_view_terms(engine, slot, special);
    const ome_level_t *level = &engine->pools.ladder.levels[order->level];
    view.price = level->price;
    view.instrument = level->instrument;
    view.side = level->side;
    view.displayed_quantity = view.is_hidden ? 0 : order->leaves_quantity;
    view.order_type = OME_ORDER_TYPE_LIMIT;
    view.time_in_force = face_resting_time_in_force(order, special);
    return view;
}

/* Lists a queue, from `slot` on. Returns how many orders are in `orders` then. */
static uint32_t face_view_queue(const ome_engine_t *engine, uint32_t slot, uint32_t count, uint32_t count_max, ome_order_view_t *orders)
{
    for (; slot != 0 && count < count_max; slot = engine->pools.orders.orders[slot].next)
    {
        orders[count++] = face_view_order(engine, slot);
    }
    return count;
}

/* Lists the queues of a ladder, from level `index` on. */
static uint32_t face_view_levels(
    const ome_engine_t *engine, const ome_ladder_pool_t *ladder, uint32_t index, uint32_t count_max, ome_order_view_t *orders)
{
    uint32_t count = 0;
    for (; index != 0 && count < count_max; index = ome_ladder_next(ladder, index))
    {
        count = face_view_queue(engine, ladder->levels[index].head, count, count_max, orders);
        count = face_view_queue(engine, ladder->levels[index].hidden_head, count, count_max, orders);
    }
    return count;
}

uint32_t ome_engine_orders(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_order_view_t *orders)
{
    return face_view_levels(engine, &engine->pools.ladder, face_best_of(engine, instrument, side), count_max, orders);
}

uint32_t ome_engine_waiting_orders(
    const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_order_view_t *orders)
{
    if (!face_is_side(side) || !face_has_instrument(engine, instrument))
    {
        return 0;
    }
    ome_waiting_t waiting = ome_waiting_begin(&engine->books[instrument], &engine->pools, side);
    uint32_t count = 0;
    for (uint32_t slot = ome_waiting_next(&waiting); slot != 0 && count < count_max; slot = ome_waiting_next(&waiting))
    {
        const ome_special_t *special = &engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])];
        orders[count++] = face_view_waiting(engine, slot, special, special->stop_price);
    }
    return count;
}

ome_status_t ome_engine_order(const ome_engine_t *engine, uint64_t order_id, ome_order_view_t *order)
{
    if (ome_order_pool_state(&engine->pools.orders, order_id) != OME_ORDER_LIVE)
    {
        return OME_NOT_FOUND;
    }
    *order = face_view_order(engine, (uint32_t)order_id);
    return OME_OK;
}

ome_status_t ome_engine_client_order(const ome_engine_t *engine, uint16_t participant, uint64_t client_order_id, ome_order_view_t *order)
{
    const uint32_t slot = ome_order_index_find(&engine->pools.index, &engine->pools.orders, participant, client_order_id);
    if (slot == 0)
    {
        return OME_NOT_FOUND;
    }
    *order = face_view_order(engine, slot);
    return OME_OK;
}

ome_status_t ome_engine_account(const ome_engine_t *engine, uint64_t order_id, uint32_t *account)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    if (ome_order_pool_state(pool, order_id) == OME_ORDER_UNKNOWN)
    {
        return OME_NOT_FOUND;
    }
    const ome_order_t *order = &pool->orders[(uint32_t)order_id];
    if (order->generation != order_id >> 32)
    {
        return OME_NOT_FOUND;
    }
    *account = (uint32_t)ome_book_owner(&engine->pools, order); /* a slot that was freed keeps it until it is taken */
    return OME_OK;
}

/* ---- Definitions ---- */

ome_status_t ome_engine_instrument(const ome_engine_t *engine, uint32_t number, ome_instrument_view_t *instrument)
{
    if (!face_has_instrument(engine, number))
    {
        return OME_NOT_FOUND;
    }
    const ome_instrument_t *from = &engine->books[number].instrument;
    *instrument = (ome_instrument_view_t){.tick = from->tick,
        .last_trade_price = engine->books[number].last_trade_price,
        .collar_ticks = from->collar_ticks,
        .flags = from->flags,
        .price_decimals = from->price_decimals,
        .quantity_decimals = from->quantity_decimals};
    memcpy(instrument->symbol, from->symbol, sizeof(instrument->symbol));
    return OME_OK;
}

ome_status_t ome_engine_session(const ome_engine_t *engine, uint32_t number, ome_session_view_t *session)
{
    if (number < 1 || number > engine->limits.session_count_max || !ome_session_is_defined(engine, number))
    {
        return OME_NOT_FOUND;
    }
    const ome_session_t *from = &engine->sessions[number];
    *session = (ome_session_view_t){.participant = ome_session_participant(engine, number), .session_number = from->session_number};
    if (ome_engine_counts_sessions(engine))
    {
        session->flags = from->flags;
        session->command_sequence = engine->progress[number].command_sequence;
        session->report_sequence = engine->progress[number].report_sequence;
        session->defined_sequence = engine->progress[number].defined_sequence;
    }
    memcpy(session->participant_name, from->participant_name, sizeof(session->participant_name));
    return OME_OK;
}

uint64_t ome_engine_participant_reports(const ome_engine_t *engine, uint32_t participant)
{
    return ome_define_participant_reports(engine, participant);
}

ome_status_t ome_engine_account_owner(const ome_engine_t *engine, uint32_t index, ome_account_view_t *account)
{
    if (index >= engine->accounts.count)
    {
        return OME_NOT_FOUND;
    }
    const uint32_t number = engine->accounts.numbers[index];
    *account = (ome_account_view_t){.account = number};
    memcpy(account->participant_name, ome_account_name(&engine->accounts, number), sizeof(account->participant_name));
    return OME_OK;
}

/* ---- Batch ---- */

struct ome_batch
{
    ome_sink_t sink; /* first, so that a sink is its batch */
    ome_event_t *events;
    uint64_t capacity;
    uint64_t taken_count;
    uint64_t event_hash;
};

/* The window is full: doubles it. */
static void face_grow(ome_sink_t *sink)
{
    ome_batch_t *batch = (ome_batch_t *)sink;
    const uint64_t count = (uint64_t)(sink->next - batch->events);
    const uint64_t capacity = batch->capacity * 2;
    ome_event_t *events = realloc(batch->events, capacity * sizeof(ome_event_t));
    OME_ASSERT(events != NULL);
    batch->events = events;
    batch->capacity = capacity;
    sink->next = events + count;
    sink->end = events + capacity;
}

ome_status_t ome_batch_create(ome_batch_t **batch)
{
    ome_batch_t *made = calloc(1, sizeof(ome_batch_t));
    ome_event_t *events = malloc(BATCH_EVENT_COUNT_INITIAL * sizeof(ome_event_t));
    if (made == NULL || events == NULL)
    {
        free(made);
        free(events);
        return OME_NO_MEMORY;
    }
    made->events = events;
    made->capacity = BATCH_EVENT_COUNT_INITIAL;
    made->event_hash = OME_HASH_EVENTS_INITIAL;
    made->sink = (ome_sink_t){.next = events, .end = events + made->capacity, .flush = face_grow};
    *batch = made;
    return OME_OK;
}

void ome_batch_destroy(ome_batch_t *batch)
{
    if (batch != NULL)
    {
        free(batch->events);
        free(batch);
    }
}

static void face_apply_unaligned(ome_batch_t *batch, ome_engine_t *engine, const uint8_t *commands, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
    {
        ome_command_t command;
        memcpy(&command, commands + i * sizeof(command), sizeof(command));
        ome_engine_apply(engine, &command, &batch->sink);
    }
}

void ome_batch_apply(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count)
{
    batch->sink.next = batch->events;
    batch->taken_count = 0;
    ome_batch_append(batch, engine, commands, count);
}

void ome_batch_append(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count)
{
    const uint64_t before = ome_batch_event_count(batch);
    if ((uintptr_t)commands % _Alignof(ome_command_t) == 0)
    {
        ome_engine_apply_many(engine, commands, count, &batch->sink);
    }
    else
    {
        face_apply_unaligned(batch, engine, commands, count);
    }
    batch->event_hash = ome_hash_events(batch->event_hash, batch->events + before, ome_batch_event_count(batch) - before);
}

uint64_t ome_batch_take(ome_batch_t *batch, void *events, uint64_t count_max)
{
    const uint64_t left = ome_batch_event_count(batch) - batch->taken_count;
    const uint64_t count = left < count_max ? left : count_max;
    if (count > 0)
    {
        memcpy(events, batch->events + batch->taken_count, count * sizeof(ome_event_t));
    }
    batch->taken_count += count;
    return count;
}

uint64_t ome_batch_event_hash(const ome_batch_t *batch)
{
    return batch->event_hash;
}

const void *ome_batch_events(const ome_batch_t *batch)
{
    return batch->events;
}

uint64_t ome_batch_event_count(const ome_batch_t *batch)
{
    return (uint64_t)(batch->sink.next - batch->events);
}

/* Who the aggressor of the next trades is: the last order that was taken, amended or triggered. */
typedef struct
{
    uint64_t sequence;
    uint64_t order_id;
    uint64_t timestamp_ns;
    uint32_t account;
    uint16_t participant;
    uint16_t session;
} aggressor_t;

static ome_event_row_t face_row_of(const ome_event_t *event)
{
    return (ome_event_row_t){.sequence = event->sequence,
        .timestamp_ns = event->timestamp_ns,
        .order_id = event->order_id,
        .client_order_id = event->client_order_id,
        .price = event->price,
        .quantity = event->quantity,
        .account = event->account,
        .instrument = event->instrument,
        .participant = event->participant,
        .session = event->session,
        .kind = event->kind,
        .side = event->side,
        .reason = event->reason,
        .flags = event->flags};
}

static void face_complete_pair(ome_event_row_t *row, const ome_event_t *event, const aggressor_t *aggressor)
{
    const bool is_known = aggressor->sequence == event->sequence && aggressor->order_id == event->order_id;
    row->resting_order_id = event->resting_order_id;
    row->resting_client_order_id = event->resting_client_order_id;
    row->timestamp_ns = is_known ? aggressor->timestamp_ns : 0;
    row->account = is_known ? aggressor->account : 0;
    row->participant = is_known ? aggressor->participant : 0;
    row->session = is_known ? aggressor->session : 0;
}

/* Of an event about a command: the kind of that instead of flags, and no price or quantity where the command has none. */
static void face_complete_command(ome_event_row_t *row)
{
    const uint8_t command = row->flags;
    const bool is_echo = row->kind == OME_EVENT_KIND_REJECTED;
    const bool has_price = row->kind != OME_EVENT_KIND_DEFINED &&
                           (command == OME_COMMAND_KIND_SET_LAST_PRICE ||
                               (is_echo && (command == OME_COMMAND_KIND_NEW_ORDER || command == OME_COMMAND_KIND_AMEND_ORDER)));
    const bool has_quantity = is_echo && (command == OME_COMMAND_KIND_NEW_ORDER || command == OME_COMMAND_KIND_REDUCE_ORDER ||
                                             command == OME_COMMAND_KIND_AMEND_ORDER);
    row->command_kind = command;
    row->flags = 0;
    row->order_count = row->kind == OME_EVENT_KIND_COMPLETED ? (uint32_t)row->quantity : 0;
    row->price = has_price ? row->price : OME_NULL_VALUE;
    row->quantity = has_quantity ? row->quantity : OME_NULL_VALUE;
}

/* They lie where other events have price and quantity. */
static void face_complete_attributes(ome_event_row_t *row, const ome_event_t *event)
{
    memcpy(row->attributes, (const uint8_t *)event + offsetof(ome_event_t, price), sizeof(row->attributes));
    row->price = row->quantity = OME_NULL_VALUE;
}

void ome_event_rows(const void *events, uint64_t count, void *rows)
{
    aggressor_t aggressor = {0};
    for (uint64_t i = 0; i < count; i++)
    {
        ome_event_t event;
        memcpy(&event, (const uint8_t *)events + i * sizeof event, sizeof event);
        ome_event_row_t row = face_row_of(&event);
        switch (event.kind)
        {
        case OME_EVENT_KIND_TRADE:
        case OME_EVENT_KIND_PREVENTED:
            face_complete_pair(&row, &event, &aggressor);
            break;
        case OME_EVENT_KIND_REJECTED:
        case OME_EVENT_KIND_DEFINED:
        case OME_EVENT_KIND_COMPLETED:
            face_complete_command(&row);
            break;
        case OME_EVENT_KIND_ATTRIBUTES:
            face_complete_attributes(&row, &event);
            break;
        case OME_EVENT_KIND_STOP_SET:
            row.order_type = event.order_type;
            row.flags = 0;
            break;
        case OME_EVENT_KIND_ACCEPTED:
        case OME_EVENT_KIND_AMENDED:
        case OME_EVENT_KIND_TRIGGERED:
            aggressor = (aggressor_t){.sequence = event.sequence,
                .order_id = event.order_id,
                .timestamp_ns = event.timestamp_ns,
                .account = event.account,
                .participant = event.participant,
                .session = event.session};
            break;
        default:
            break;
        }
        memcpy((uint8_t *)rows + i * sizeof row, &row, sizeof row);
    }
}
