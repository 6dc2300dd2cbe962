/* Making an engine of a snapshot: an entry is checked before it changes the engine, and the books are made by the functions that make them
 * for commands. */
#include "state/ome_snapshot.h"

#include "book/ome_book.h"
#include "engine/ome_define.h"
#include "orders/ome_expiry.h"
#include "state/ome_snapshot_orders.h"
#include "state/ome_state.h"

/* ---- instruments and sessions ---- */

static bool restore_instrument(ome_snapshot_reader_t *reader, ome_engine_t *engine)
{
    ome_snapshot_instrument_t entry;
    if (!ome_snapshot_take(reader, &entry, sizeof(entry)))
    {
        return false;
    }
    ome_command_t definition = {.tick = entry.tick,
        .collar_ticks = entry.collar_ticks,
        .instrument_flags = entry.flags,
        .price_decimals = entry.price_decimals,
        .quantity_decimals = entry.quantity_decimals};
    memcpy(definition.symbol, entry.symbol, OME_NAME_SIZE);
    if (!ome_instrument_is_valid(&definition))
    {
        return ome_snapshot_fault(reader, "an instrument is not one that can be defined");
    }
    if (ome_define_find_symbol(engine, definition.symbol) != 0)
    {
        return ome_snapshot_fault(reader, "two instruments have one symbol");
    }
    ome_book_t *book = ome_define_add_instrument(engine, &definition);
    book->last_trade_price = entry.last_trade_price;
    uint64_t tick_index;
    if (entry.last_trade_price != OME_NULL_VALUE && !ome_instrument_is_price(&book->instrument, entry.last_trade_price, &tick_index))
    {
        return ome_snapshot_fault(reader, "an instrument's last trade price is none of its prices");
    }
    return true;
}

/* Behind the progress of a session that is restored. All sessions of a participant say the same. */
static bool restore_past_reports(ome_snapshot_reader_t *reader, ome_engine_t *engine, uint16_t participant)
{
    ome_snapshot_past_reports_t entry;
    if (reader->header.version < OME_SNAPSHOT_VERSION_ACCOUNTS)
    {
        return true;
    }
    if (!ome_snapshot_take(reader, &entry, sizeof(entry)))
    {
        return false;
    }
    if (engine->participant_sessions[participant] > 1 && engine->past_reports[participant] != entry.past_reports)
    {
        return ome_snapshot_fault(reader, "the sessions of a participant do not agree on its past reports");
    }
    engine->past_reports[participant] = entry.past_reports;
    return true;
}

/* `last` is the number of the session before. */
static bool restore_session(ome_snapshot_reader_t *reader, ome_engine_t *engine, uint32_t *last)
{
    const bool has_progress = reader->header.version >= OME_SNAPSHOT_VERSION_RULES;
    ome_snapshot_session_t entry;
    ome_snapshot_progress_t progress = {0};
    if (!ome_snapshot_take(reader, &entry, sizeof(entry)) || (has_progress && !ome_snapshot_take(reader, &progress, sizeof(progress))))
    {
        return false;
    }
    const uint32_t number = entry.session != 0 ? entry.session : *last + 1;
    const uint32_t number_max = engine->limits.session_count_max;
    if (!ome_name_is_valid(entry.participant_name) || entry.participant == 0 || entry.participant > number_max || progress.reserved != 0 ||
        (has_progress ? !ome_define_are_session_flags(entry.flags) : entry.flags != 0))
    {
        return ome_snapshot_fault(reader, "a session is not one that can be defined");
    }
    if (number <= *last || number > number_max)
    {
        return ome_snapshot_fault(reader, "a session's number is out of range or out of order");
    }
    ome_define_session(engine, entry.participant | number << 16, entry.participant_name, entry.session_number);
    engine->sessions[number].flags = entry.flags;
    engine->progress[number] = (ome_session_progress_t){.report_sequence = progress.report_sequence,
        .defined_sequence = progress.defined_sequence,
        .command_sequence = progress.command_sequence};
    *last = number;
    return restore_past_reports(reader, engine, entry.participant);
}

/* ---- slots ---- */

static bool restore_free_slots(ome_snapshot_reader_t *reader, ome_order_pool_t *pool, uint64_t count)
{
    uint32_t *to_next = &pool->free_head;
    for (uint64_t i = 0; i < count; i++)
    {
        ome_snapshot_free_slot_t entry;
        if (!ome_snapshot_take(reader, &entry, sizeof(entry)) || !ome_snapshot_take_slot(reader, pool, entry.slot, entry.generation))
        {
            return false;
        }
        if (entry.generation == UINT32_MAX)
        {
            return ome_snapshot_fault(reader, "a slot is free whose generations are used up");
        }
        *to_next = entry.slot;
        to_next = &pool->orders[entry.slot].next;
    }
    return true;
}

/* Slots that no section has. By the counts of the header there are as many as it says. */
static void restore_retire_slots(ome_order_pool_t *pool)
{
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        if (pool->orders[slot].generation == 0)
        {
            pool->orders[slot].generation = UINT32_MAX;
        }
    }
}

/* ---- books ---- */

static bool restore_check_books(ome_snapshot_reader_t *reader, const ome_engine_t *engine)
{
    for (uint32_t number = 1; number <= engine->instrument_count; number++)
    {
        const uint32_t bid = ome_book_best(&engine->books[number], OME_SIDE_BUY);
        const uint32_t ask = ome_book_best(&engine->books[number], OME_SIDE_SELL);
        if (bid != 0 && ask != 0 && engine->pools.ladder.levels[bid].price >= engine->pools.ladder.levels[ask].price)
        {
            return ome_snapshot_fault(reader, "a book is crossed");
        }
    }
    return true;
}

/* ---- the command that waits ---- */

static bool restore_pending(ome_snapshot_reader_t *reader, ome_pending_t *pending)
{
    const uint32_t first_of_more = OME_SNAPSHOT_TERM_PLAIN + 1;
    const bool has_more = reader->header.version >= OME_SNAPSHOT_VERSION_ATTRIBUTES;
    ome_snapshot_pending_t entry;
    ome_snapshot_more_terms_t more = {.values = {0}};
    if (!ome_snapshot_take(reader, &entry, sizeof(entry)) || (has_more && !ome_snapshot_take(reader, &more, sizeof(more))))
    {
        return false;
    }
    memcpy(&pending->given.values[first_of_more], more.values, (OME_TERM_COUNT - first_of_more) * sizeof(*more.values));
    memcpy((uint8_t *)&pending->command + sizeof(uint64_t), entry.body, OME_BODY_SIZE);
    memcpy(&pending->given.values[1], entry.values, sizeof(entry.values));
    pending->given.given = entry.given;
    pending->waits = true;
    const bool is_order = pending->command.kind == OME_COMMAND_KIND_NEW_ORDER || pending->command.kind == OME_COMMAND_KIND_AMEND_ORDER;
    if (!is_order || (pending->command.flags & OME_COMMAND_FLAGS_CONTINUED) == 0 || entry.given >> OME_TERM_COUNT != 0 ||
        entry.reserved != 0)
    {
        return ome_snapshot_fault(reader, "the command that waits for its terms is not one that can");
    }
    for (uint32_t term = 1; term < 32; term++)
    {
        const int64_t value = term <= OME_SNAPSHOT_TERM_PLAIN ? entry.values[term - 1] : more.values[term - first_of_more];
        if ((entry.given >> term & 1) == 0 && value != 0)
        {
            return ome_snapshot_fault(reader, "a term has a value and is not given");
        }
    }
    return true;
}

/* ---- accounts ---- */

static bool restore_account(ome_snapshot_reader_t *reader, ome_accounts_t *accounts)
{
    ome_snapshot_account_t entry;
    if (!ome_snapshot_take(reader, &entry, sizeof(entry)))
    {
        return false;
    }
    if (entry.account == 0 || entry.reserved != 0 ||
        !(ome_name_is_valid(entry.participant_name) || ome_define_is_nobody(entry.participant_name)))
    {
        return ome_snapshot_fault(reader, "an account is not one that can be defined");
    }
    if (ome_account_is_defined(accounts, entry.account))
    {
        return ome_snapshot_fault(reader, "an account is there twice");
    }
    const bool is_there = ome_account_define(accounts, entry.account, entry.participant_name);
    OME_ASSERT(is_there); /* the header counts no more than fit */
    return true;
}

static bool restore_accounts(ome_snapshot_reader_t *reader, ome_engine_t *engine)
{
    for (uint64_t i = 0; i < ome_snapshot_count(&reader->header, OME_SNAPSHOT_SECTION_ACCOUNTS); i++)
    {
        if (!restore_account(reader, &engine->accounts))
        {
            return false;
        }
    }
    ome_define_account_participants(engine);
    ome_engine_set_account_mask(engine);
    return true;
}

/* ---- the whole ---- */

/* Makes one entry of a section with few. */
static bool restore_definitions(ome_snapshot_reader_t *reader, ome_engine_t *engine)
{
    for (uint64_t i = 0; i < ome_snapshot_count(&reader->header, OME_SNAPSHOT_SECTION_INSTRUMENTS); i++)
    {
        if (!restore_instrument(reader, engine))
        {
            return false;
        }
    }
    uint32_t last_session = 0;
    for (uint64_t i = 0; i < ome_snapshot_count(&reader->header, OME_SNAPSHOT_SECTION_SESSIONS); i++)
    {
        if (!restore_session(reader, engine, &last_session))
        {
            return false;
        }
    }
    return true;
}

/* Nothing is behind the content, of which every byte was used. */
static bool restore_check_end(ome_snapshot_reader_t *reader)
{
    const int64_t got = reader->get(reader->context, reader->block, 1);
    if (got < 0)
    {
        reader->result = (int)got;
        return false;
    }
    return got == 0 || ome_snapshot_fault_at(reader, reader->header.total_size, "something follows its end");
}

static bool restore_sections(ome_snapshot_reader_t *reader, ome_engine_t *engine)
{
    const ome_snapshot_header_t *header = &reader->header;
    ome_order_pool_t *orders = &engine->pools.orders;
    orders->slots_ever_used = header->slots_ever_used;
    if (!restore_definitions(reader, engine) ||
        !restore_free_slots(reader, orders, ome_snapshot_count(header, OME_SNAPSHOT_SECTION_FREE_SLOTS)) ||
        !ome_snapshot_restore_orders(reader, engine, &header->sections[OME_SNAPSHOT_SECTION_ORDERS - 1]) ||
        !restore_check_books(reader, engine) ||
        !ome_snapshot_restore_stops(reader, engine, ome_snapshot_count(header, OME_SNAPSHOT_SECTION_STOPS)))
    {
        return false;
    }
    if (ome_snapshot_count(header, OME_SNAPSHOT_SECTION_PENDING) != 0 && !restore_pending(reader, &engine->pending))
    {
        return false;
    }
    if (!restore_accounts(reader, engine))
    {
        return false;
    }
    if (header->slots_retired != 0)
    {
        restore_retire_slots(orders);
    }
    return restore_check_end(reader);
}

ome_status_t ome_snapshot_restore(ome_snapshot_reader_t *reader, ome_engine_t **engine, void *memory, uint64_t size_bytes)
{
    const ome_snapshot_header_t *header = &reader->header;
    ome_engine_t *made;
    const ome_limits_t limits = ome_snapshot_limits(header);
    const ome_status_t status = ome_engine_init(&made, memory, size_bytes, &limits);
    if (status != OME_OK)
    {
        return status;
    }
    made->sequence = header->sequence;
    made->time_ns = header->time_ns;
    made->trade_count = header->trade_count;
    made->event_count = header->event_count;
    if (!restore_sections(reader, made))
    {
        return ome_snapshot_status(reader);
    }
    made->attention_ns = made->pending.waits ? 0 : ome_expiry_next_ns(made);
    if (ome_engine_state_hash(made) != header->state_hash)
    {
        (void)ome_snapshot_fault_at(reader, offsetof(ome_snapshot_header_t, state_hash), "the state hash is not that of the state");
        return OME_DAMAGED;
    }
    if (ome_snapshot_version(made) != header->version)
    {
        (void)ome_snapshot_fault_at(reader, offsetof(ome_snapshot_header_t, version), "it has a higher version than its state needs");
        return OME_DAMAGED;
    }
    *engine = made;
    return OME_OK;
}
