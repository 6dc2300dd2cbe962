/* Writing a snapshot: counts first, so that the header says what follows; then one walk in the order of the state hash. */
#include "state/ome_snapshot.h"

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_checksum.h"
#include "book/ome_waiting.h"
#include "state/ome_state.h"

/* ---- bytes ---- */

static void write_put_bytes(ome_snapshot_writer_t *writer, const void *bytes, uint32_t size_bytes)
{
    if (writer->result == 0)
    {
        writer->result = writer->put(writer->context, bytes, size_bytes);
        writer->done_bytes += size_bytes;
    }
}

static void write_end_block(ome_snapshot_writer_t *writer)
{
    writer->checksum = ome_crc32c(writer->checksum, writer->block, writer->used_bytes);
    memcpy(writer->block + writer->used_bytes, &writer->checksum, OME_SNAPSHOT_CHECKSUM_SIZE);
    write_put_bytes(writer, writer->block, writer->used_bytes + OME_SNAPSHOT_CHECKSUM_SIZE);
    writer->used_bytes = 0;
}

/* Of a size that the compiler knows, so that the usual case is a few stores. */
OME_ALWAYS_INLINE void write_put_entry(ome_snapshot_writer_t *writer, const void *entry, uint32_t size_bytes)
{
    const uint32_t room_bytes = OME_SNAPSHOT_BLOCK_SIZE - writer->used_bytes;
    if (OME_LIKELY(size_bytes <= room_bytes))
    {
        memcpy(writer->block + writer->used_bytes, entry, size_bytes);
        writer->used_bytes += size_bytes;
        return;
    }
    memcpy(writer->block + writer->used_bytes, entry, room_bytes);
    writer->used_bytes = OME_SNAPSHOT_BLOCK_SIZE;
    write_end_block(writer);
    memcpy(writer->block, (const uint8_t *)entry + room_bytes, size_bytes - room_bytes);
    writer->used_bytes = size_bytes - room_bytes;
}

/* ---- header ---- */

typedef struct
{
    uint64_t live;
    uint64_t retired; /* a slot whose generation is used up, and whose order has ended */
} slot_count_t;

/* In the order of the slots, not of the free ones: those are scattered. */
static slot_count_t write_count_slots(const ome_order_pool_t *pool)
{
    slot_count_t count = {0};
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        const bool is_live = pool->orders[slot].leaves_quantity > 0;
        count.live += is_live;
        count.retired += !is_live && pool->orders[slot].generation == UINT32_MAX;
    }
    return count;
}

static uint64_t write_count_stops(const ome_engine_t *engine)
{
    uint64_t count = 0;
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        count += engine->books[number].waiting_count;
    }
    return count;
}

static uint64_t write_count_with_attributes(const ome_special_pool_t *pool, bool wait)
{
    uint64_t count = 0;
    for (uint32_t index = 1; index <= pool->records_ever_used; index++)
    {
        const ome_special_t *special = &pool->records[index];
        count += ome_special_waits(special) == wait && ome_special_has_attributes(special);
    }
    return count;
}

static bool write_pending_has_more_terms(const ome_pending_t *pending)
{
    return pending->waits && pending->given.given >> (OME_SNAPSHOT_TERM_PLAIN + 1) != 0;
}

uint32_t ome_snapshot_version(const ome_engine_t *engine)
{
    if (engine->limits.rules_version != 0)
    {
        return ome_engine_knows_accounts(engine) ? OME_SNAPSHOT_VERSION_ACCOUNTS : OME_SNAPSHOT_VERSION_RULES;
    }
    const uint64_t count = write_count_with_attributes(&engine->pools.specials, false) +
                           write_count_with_attributes(&engine->pools.specials, true) + write_pending_has_more_terms(&engine->pending);
    return count == 0 ? OME_SNAPSHOT_VERSION_PLAIN : OME_SNAPSHOT_VERSION_ATTRIBUTES;
}

static void write_set_section(ome_snapshot_header_t *header, uint32_t type, uint64_t count, uint64_t size_bytes)
{
    header->sections[type - 1] = (ome_snapshot_section_t){.type = type, .count = count, .size_bytes = size_bytes};
}

static void write_set_sections(ome_snapshot_header_t *header, const ome_engine_t *engine)
{
    const slot_count_t slots = write_count_slots(&engine->pools.orders);
    const uint64_t free_count = engine->pools.orders.slots_ever_used - slots.live - slots.retired;
    const uint64_t stop_count = write_count_stops(engine);
    const uint64_t rest_count = slots.live - stop_count;
    const uint64_t special_count = engine->pools.specials.record_count - stop_count; /* of those at rest */
    const uint64_t stop_size = sizeof(ome_snapshot_order_t) + sizeof(ome_snapshot_special_t) + sizeof(ome_snapshot_stop_t);
    const uint64_t rest_attributes = write_count_with_attributes(&engine->pools.specials, false);
    const uint64_t stop_attributes = write_count_with_attributes(&engine->pools.specials, true);
    const bool has_more = header->version >= OME_SNAPSHOT_VERSION_ATTRIBUTES;
    const uint64_t pending_size = sizeof(ome_snapshot_pending_t) + (has_more ? sizeof(ome_snapshot_more_terms_t) : 0);
    header->order_count = (uint32_t)slots.live;
    header->slots_ever_used = engine->pools.orders.slots_ever_used;
    header->slots_retired = (uint32_t)slots.retired;
    header->section_count = ome_snapshot_section_count(header->version);
    write_set_section(
        header, OME_SNAPSHOT_SECTION_INSTRUMENTS, engine->instrument_count, engine->instrument_count * sizeof(ome_snapshot_instrument_t));
    write_set_section(
        header, OME_SNAPSHOT_SECTION_SESSIONS, engine->session_count, engine->session_count * ome_snapshot_session_size(header->version));
    write_set_section(header, OME_SNAPSHOT_SECTION_FREE_SLOTS, free_count, free_count * sizeof(ome_snapshot_free_slot_t));
    write_set_section(header, OME_SNAPSHOT_SECTION_ORDERS, rest_count,
        rest_count * sizeof(ome_snapshot_order_t) + special_count * sizeof(ome_snapshot_special_t) +
            rest_attributes * sizeof(ome_snapshot_attributes_t));
    write_set_section(
        header, OME_SNAPSHOT_SECTION_STOPS, stop_count, stop_count * stop_size + stop_attributes * sizeof(ome_snapshot_attributes_t));
    write_set_section(header, OME_SNAPSHOT_SECTION_PENDING, engine->pending.waits, engine->pending.waits * pending_size);
    if (header->version >= OME_SNAPSHOT_VERSION_ACCOUNTS)
    {
        header->accounts = (ome_snapshot_section_t){.type = OME_SNAPSHOT_SECTION_ACCOUNTS,
            .count = engine->accounts.count,
            .size_bytes = engine->accounts.count * sizeof(ome_snapshot_account_t)};
    }
}

static void write_set_header(ome_snapshot_header_t *header, const ome_engine_t *engine, ome_snapshot_past_t past)
{
    *header = (ome_snapshot_header_t){.magic = OME_SNAPSHOT_MAGIC,
        .version = ome_snapshot_version(engine),
        .header_size = OME_SNAPSHOT_HEADER_SIZE,
        .sequence = engine->sequence,
        .time_ns = engine->time_ns,
        .trade_count = engine->trade_count,
        .event_count = engine->event_count,
        .event_hash = past.event_hash,
        .journal_checksum = past.journal_checksum,
        .state_hash = ome_engine_state_hash(engine)};
    ome_snapshot_set_limits(header, &engine->limits);
    if (header->version < OME_SNAPSHOT_VERSION_ACCOUNTS)
    {
        header->account_count_max = header->limit_flags = 0; /* they mean nothing */
    }
    write_set_sections(header, engine);
    header->total_size = ome_snapshot_total_size(header);
    header->checksum = ome_crc32c(0, header, offsetof(ome_snapshot_header_t, checksum));
}

/* ---- sections ---- */

static void write_put_instruments(ome_snapshot_writer_t *writer, const ome_engine_t *engine)
{
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        const ome_instrument_t *instrument = &engine->books[number].instrument;
        ome_snapshot_instrument_t entry = {.tick = instrument->tick,
            .last_trade_price = engine->books[number].last_trade_price,
            .collar_ticks = instrument->collar_ticks,
            .flags = instrument->flags,
            .price_decimals = instrument->price_decimals,
            .quantity_decimals = instrument->quantity_decimals};
        memcpy(entry.symbol, instrument->symbol, OME_NAME_SIZE);
        write_put_entry(writer, &entry, sizeof(entry));
    }
}

static void write_put_session(ome_snapshot_writer_t *writer, const ome_engine_t *engine, uint32_t number)
{
    const ome_session_t *session = &engine->sessions[number];
    ome_snapshot_session_t entry = {
        .participant = ome_session_participant(engine, number), .session_number = session->session_number, .session = (uint16_t)number};
    memcpy(entry.participant_name, session->participant_name, OME_NAME_SIZE);
    if (writer->header.version < OME_SNAPSHOT_VERSION_RULES)
    {
        write_put_entry(writer, &entry, sizeof(entry));
        return;
    }
    const ome_session_progress_t *from = &engine->progress[number];
    const ome_snapshot_progress_t progress = {
        .report_sequence = from->report_sequence, .defined_sequence = from->defined_sequence, .command_sequence = from->command_sequence};
    entry.flags = session->flags;
    write_put_entry(writer, &entry, sizeof(entry));
    write_put_entry(writer, &progress, sizeof(progress));
    if (writer->header.version >= OME_SNAPSHOT_VERSION_ACCOUNTS)
    {
        const ome_snapshot_past_reports_t past = {.past_reports = engine->past_reports[entry.participant]};
        write_put_entry(writer, &past, sizeof(past));
    }
}

static void write_put_sessions(ome_snapshot_writer_t *writer, const ome_engine_t *engine)
{
    for (uint32_t number = 1, seen = 0; seen < engine->session_count; number++)
    {
        if (ome_session_is_defined(engine, number))
        {
            write_put_session(writer, engine, number);
            seen++;
        }
    }
}

static void write_put_free_slots(ome_snapshot_writer_t *writer, const ome_order_pool_t *pool)
{
    for (uint32_t slot = pool->free_head; slot != 0; slot = pool->orders[slot].next)
    {
        const ome_snapshot_free_slot_t entry = {.slot = slot, .generation = pool->orders[slot].generation};
        write_put_entry(writer, &entry, sizeof(entry));
    }
}

/* An order, and what makes it special. */
static void write_put_order(
    ome_snapshot_writer_t *writer, const ome_engine_t *engine, uint32_t slot, int64_t price, uint32_t instrument, uint8_t side)
{
    const ome_order_t *order = &engine->pools.orders.orders[slot];
    const ome_snapshot_order_t entry = {.order_id = ome_order_id(&engine->pools.orders, slot),
        .client_order_id = order->client_order_id,
        .price = price,
        .leaves_quantity = order->leaves_quantity,
        .cumulative_quantity = order->cumulative_quantity,
        .owner = ome_book_owner(&engine->pools, order),
        .instrument = instrument,
        .side = side,
        .marks = order->marks};
    write_put_entry(writer, &entry, sizeof(entry));
    if (OME_UNLIKELY(ome_order_special(order) != 0))
    {
        const ome_special_t *special = &engine->pools.specials.records[ome_order_special(order)];
        const ome_snapshot_special_t more = {.deadline_ns = special->deadline_ns,
            .peak = special->peak,
            .reserve_quantity = special->reserve_quantity,
            .group = special->group,
            .has_attributes = ome_special_has_attributes(special)};
        write_put_entry(writer, &more, sizeof(more));
        if (more.has_attributes)
        {
            ome_snapshot_attributes_t attributes = {0};
            memcpy(attributes.values, special->attributes, OME_ATTRIBUTE_COUNT * sizeof(*special->attributes));
            write_put_entry(writer, &attributes, sizeof(attributes));
        }
    }
}

static void write_put_queue(ome_snapshot_writer_t *writer, const ome_engine_t *engine, const ome_level_t *level, uint32_t head)
{
    for (uint32_t slot = head; slot != 0; slot = engine->pools.orders.orders[slot].next)
    {
        write_put_order(writer, engine, slot, level->price, level->instrument, level->side);
    }
}

static void write_put_orders(ome_snapshot_writer_t *writer, const ome_engine_t *engine, const ome_ladder_t *ladder)
{
    const ome_ladder_pool_t *pool = &engine->pools.ladder;
    for (uint32_t index = ladder->best; index != 0; index = ome_ladder_next(pool, index))
    {
        write_put_queue(writer, engine, &pool->levels[index], pool->levels[index].head);
        write_put_queue(writer, engine, &pool->levels[index], pool->levels[index].hidden_head);
    }
}

static void write_put_stop(ome_snapshot_writer_t *writer, const ome_engine_t *engine, uint32_t slot)
{
    const ome_special_t *special = &engine->pools.specials.records[ome_order_special(&engine->pools.orders.orders[slot])];
    const ome_snapshot_stop_t entry = {.stop_price = special->stop_price,
        .trail_amount = special->trail_amount,
        .entry = special->entry,
        .minimum_quantity = special->minimum_quantity,
        .budget = special->budget,
        .collar_ticks = special->collar_ticks,
        .trail_basis_points = special->trail_basis_points,
        .order_type = special->order_type,
        .time_in_force = special->time_in_force,
        .flags = special->flags & (OME_SPECIAL_HAS_COLLAR | OME_SPECIAL_HAS_BUDGET)};
    write_put_order(writer, engine, slot, special->limit, special->instrument, special->side);
    write_put_entry(writer, &entry, sizeof(entry));
}

static void write_put_stops(ome_snapshot_writer_t *writer, const ome_engine_t *engine, const ome_book_t *book, uint8_t side)
{
    ome_waiting_t waiting = ome_waiting_begin(book, &engine->pools, side);
    for (uint32_t slot = ome_waiting_next(&waiting); slot != 0; slot = ome_waiting_next(&waiting))
    {
        write_put_stop(writer, engine, slot);
    }
}

static void write_put_pending(ome_snapshot_writer_t *writer, const ome_pending_t *pending)
{
    ome_snapshot_more_terms_t more = {0};
    if (!pending->waits)
    {
        return;
    }
    ome_snapshot_pending_t entry = {.given = pending->given.given};
    memcpy(entry.body, (const uint8_t *)&pending->command + sizeof(uint64_t), OME_BODY_SIZE);
    memcpy(entry.values, &pending->given.values[1], sizeof(entry.values));
    write_put_entry(writer, &entry, sizeof(entry));
    if (writer->header.version >= OME_SNAPSHOT_VERSION_ATTRIBUTES)
    {
        const uint32_t first = OME_SNAPSHOT_TERM_PLAIN + 1;
        memcpy(more.values, &pending->given.values[first], (OME_TERM_COUNT - first) * sizeof(*more.values));
        write_put_entry(writer, &more, sizeof(more));
    }
}

static void write_put_accounts(ome_snapshot_writer_t *writer, const ome_accounts_t *accounts)
{
    for (uint32_t i = 0; i < accounts->count; i++)
    {
        ome_snapshot_account_t entry = {.account = accounts->numbers[i]};
        memcpy(entry.participant_name, ome_account_name(accounts, entry.account), OME_NAME_SIZE);
        write_put_entry(writer, &entry, sizeof(entry));
    }
}

ome_status_t ome_snapshot_write(
    ome_snapshot_writer_t *writer, const ome_engine_t *engine, ome_snapshot_past_t past, ome_snapshot_put_t put, void *context)
{
    writer->put = put;
    writer->context = context;
    writer->done_bytes = 0;
    writer->used_bytes = 0;
    writer->result = 0;
    write_set_header(&writer->header, engine, past);
    writer->checksum = writer->header.checksum;
    write_put_bytes(writer, &writer->header, OME_SNAPSHOT_HEADER_SIZE);
    write_put_instruments(writer, engine);
    write_put_sessions(writer, engine);
    write_put_free_slots(writer, &engine->pools.orders);
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        write_put_orders(writer, engine, &engine->books[number].ladders[0]);
        write_put_orders(writer, engine, &engine->books[number].ladders[1]);
    }
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        write_put_stops(writer, engine, &engine->books[number], OME_SIDE_BUY);
        write_put_stops(writer, engine, &engine->books[number], OME_SIDE_SELL);
    }
    write_put_pending(writer, &engine->pending);
    write_put_accounts(writer, &engine->accounts);
    if (writer->used_bytes > 0)
    {
        write_end_block(writer);
    }
    if (writer->result != 0)
    {
        return OME_IO_ERROR;
    }
    OME_ASSERT(writer->done_bytes == writer->header.total_size); /* the walk and the counts agree */
    return OME_OK;
}
