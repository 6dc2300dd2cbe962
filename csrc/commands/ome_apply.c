/* The way of a command: what comes before every record, then the plain path or the general one. The general path decodes the command,
 * admits it (orders/ome_admission.h) and hands it to what applies it; stops that this has elected enter last, one after another. Nothing
 * below calls back up. */
#include "commands/ome_apply.h"

#include "commands/ome_elected.h"
#include "commands/ome_plain.h"
#include "commands/ome_terms.h"
#include "engine/ome_define.h"
#include "orders/ome_change.h"
#include "orders/ome_entry.h"
#include "orders/ome_expiry.h"
#include "orders/ome_order_sets.h"

/* ---- the general path ---- */

static void apply_set_last_price(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    ome_event_completed(engine, sink, command, 0, command->price, 0, 0);
    ome_stop_look(engine, &engine->books[command->instrument], command->price);
}

/* A definition is checked by what it defines. Returns why it is not applied. */
static uint8_t apply_definition(ome_engine_t *engine, ome_admission_t *admission, ome_sink_t *sink)
{
    const ome_command_t *command = admission->command;
    if (command->kind == OME_COMMAND_KIND_DEFINE_ACCOUNT && !ome_engine_knows_accounts(engine))
    {
        return OME_REASON_UNKNOWN_COMMAND;
    }
    uint8_t reason = ome_admit_definition(admission);
    reason = reason != OME_REASON_NONE ? reason : ome_define(engine, command);
    if (reason == OME_REASON_NONE)
    {
        const bool is_session = command->kind == OME_COMMAND_KIND_DEFINE_SESSION;
        ome_event_defined(engine, sink, command, is_session ? ome_define_participant_reports(engine, command->participant) : 0);
    }
    return reason;
}

/* A command on an order that was admitted: answers its sender where the order is of another session, and applies it. */
static void apply_change(ome_engine_t *engine, const ome_admission_t *admission,
    void (*change)(ome_engine_t *engine, const ome_admission_t *admission, ome_sink_t *sink), ome_sink_t *sink)
{
    const ome_order_t *order = &engine->pools.orders.orders[admission->slot];
    const bool is_elsewhere = ome_book_owner(&engine->pools, order) >> 48 != admission->command->session;
    OME_EXPECT(admission->slot != 0);
    if (is_elsewhere && ome_engine_counts_sessions(engine))
    {
        ome_event_completed_elsewhere(engine, sink, admission->command);
    }
    change(engine, admission, sink);
}

/* Admits a command and applies it; or returns why not, and nothing is changed. */
static uint8_t apply_admitted(ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_sink_t *sink)
{
    ome_admission_t admission;
    ome_admission_begin(&admission, engine, command, given);
    uint8_t reason;
    switch (command->kind)
    {
    case OME_COMMAND_KIND_NEW_ORDER:
        if ((reason = ome_admit_new(&admission)) == OME_REASON_NONE)
        {
            ome_entry_new(engine, &admission, sink);
        }
        return reason;
    case OME_COMMAND_KIND_CANCEL_ORDER:
        if ((reason = ome_admit_cancel(&admission)) == OME_REASON_NONE)
        {
            apply_change(engine, &admission, ome_change_cancel, sink);
        }
        return reason;
    case OME_COMMAND_KIND_REDUCE_ORDER:
        if ((reason = ome_admit_reduce(&admission)) == OME_REASON_NONE)
        {
            apply_change(engine, &admission, ome_change_reduce, sink);
        }
        return reason;
    case OME_COMMAND_KIND_AMEND_ORDER:
        if ((reason = ome_admit_amend(&admission)) == OME_REASON_NONE)
        {
            apply_change(engine, &admission, ome_change_amend, sink);
        }
        return reason;
    case OME_COMMAND_KIND_MASS_CANCEL:
        if ((reason = ome_admit_mass_cancel(&admission)) == OME_REASON_NONE)
        {
            ome_order_sets_mass_cancel(engine, command, sink);
        }
        return reason;
    case OME_COMMAND_KIND_EXPIRE_ORDERS:
        if ((reason = ome_admit_expire_orders(&admission)) == OME_REASON_NONE)
        {
            ome_order_sets_expire(engine, command, sink);
        }
        return reason;
    case OME_COMMAND_KIND_SET_LAST_PRICE:
        if ((reason = ome_admit_set_last_price(&admission)) == OME_REASON_NONE)
        {
            apply_set_last_price(engine, command, sink);
        }
        return reason;
    case OME_COMMAND_KIND_DEFINE_LIMITS:
    case OME_COMMAND_KIND_DEFINE_INSTRUMENT:
    case OME_COMMAND_KIND_DEFINE_SESSION:
    case OME_COMMAND_KIND_DEFINE_ACCOUNT:
        return apply_definition(engine, &admission, sink);
    default:
        return OME_REASON_UNKNOWN_COMMAND;
    }
}

/* A whole command, with its terms; and the stops that it has elected, which may elect others. */
OME_NEVER_INLINE void apply_whole(ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_sink_t *sink)
{
    OME_EXPECT(engine->elected_head == 0);
    const uint8_t reason = apply_admitted(engine, command, given, sink);
    if (reason != OME_REASON_NONE)
    {
        OME_EXPECT(engine->elected_head == 0);
        ome_event_rejected(engine, sink, command, reason);
        return;
    }
    ome_elected_run(engine, command->timestamp_ns, sink);
}

/* A record that is not a whole command: the first of several, or one that follows it. */
OME_NEVER_INLINE void apply_part(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink)
{
    if (record->kind != OME_COMMAND_KIND_ORDER_TERMS)
    {
        ome_terms_hold(engine, record);
        return;
    }
    if (!engine->pending.waits)
    {
        ome_event_rejected(engine, sink, record, OME_REASON_INCOMPLETE_COMMAND);
        return;
    }
    if (ome_terms_add(engine, record))
    {
        engine->attention_ns = ome_expiry_next_ns(engine);
        apply_whole(engine, &engine->pending.command, &engine->pending.given, sink);
    }
}

/* Whether a record is the first of a command of several, or one that follows it. */
static inline bool apply_is_part(const ome_command_t *record)
{
    const bool may_continue = record->kind == OME_COMMAND_KIND_NEW_ORDER || record->kind == OME_COMMAND_KIND_AMEND_ORDER;
    return record->kind == OME_COMMAND_KIND_ORDER_TERMS || (may_continue && (record->flags & OME_COMMAND_FLAGS_CONTINUED) != 0);
}

/* ---- a record ---- */

/* Rules, "Before every record", 2 and 3: when the engine's time is at or past attention_ns. */
OME_NEVER_INLINE void apply_attend(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink)
{
    ome_terms_interrupt(engine, record, sink);
    ome_expiry_run(engine, record->timestamp_ns, sink);
    engine->attention_ns = engine->pending.waits ? 0 : ome_expiry_next_ns(engine);
}

/* ---- the sequence of a session ---- */

OME_NEVER_INLINE void apply_reject_sequence(ome_engine_t *engine, const ome_command_t *record, uint32_t last, ome_sink_t *sink)
{
    const bool is_seen = (int32_t)(record->session_sequence - last) <= 0;
    ome_event_rejected(engine, sink, record, is_seen ? OME_REASON_SEQUENCE_SEEN : OME_REASON_SEQUENCE_GAP);
}

/* Rules, "Before every record", 4. Takes the number of a record that a session has numbered; false, and the record is rejected, where it
 * is not the next one. Who the sender is, is checked with the command. */
OME_ALWAYS_INLINE bool apply_takes_sequence(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink)
{
    const uint32_t sequence = record->session_sequence;
    const uint32_t session = record->session;
    const bool is_of_client = ome_message_class(record->kind) == OME_MESSAGE_CLASS_ORDER || record->kind == 0; /* 0: quarantined */
    const bool is_numbered = sequence != 0 && is_of_client;
    if (!is_numbered || session > engine->limits.session_count_max || engine->senders[session] != ome_command_sender(record) ||
        !ome_engine_counts_sessions(engine))
    {
        return true;
    }
    ome_session_progress_t *const progress = &engine->progress[session];
    if (OME_UNLIKELY(sequence != ome_session_next_sequence(progress->command_sequence)))
    {
        apply_reject_sequence(engine, record, progress->command_sequence, sink);
        return false;
    }
    progress->command_sequence = sequence;
    return true;
}

#ifdef OME_WITHOUT_PLAIN_PATH
#define APPLY_PLAIN false /* the same, only slower: a test holds that */
#else
#define APPLY_PLAIN true
#endif

OME_ALWAYS_INLINE void apply_one(ome_engine_t *engine, const ome_command_t *command, uint32_t hash, ome_sink_t *sink)
{
    engine->sequence++;
    engine->time_ns = command->timestamp_ns > engine->time_ns ? command->timestamp_ns : engine->time_ns;
    if (OME_UNLIKELY(engine->time_ns >= engine->attention_ns))
    {
        apply_attend(engine, command, sink);
    }
    if (!apply_takes_sequence(engine, command, sink))
    {
        return;
    }
    const uint64_t form = ome_plain_form(command);
    if (APPLY_PLAIN && ome_plain_is_new(form))
    {
        if (OME_LIKELY(ome_plain_new(engine, command, hash, sink)))
        {
            return;
        }
    }
    else if (APPLY_PLAIN && ome_plain_is_cancel(form))
    {
        if (OME_LIKELY(ome_plain_cancel(engine, command, hash, sink)))
        {
            return;
        }
    }
    else if (APPLY_PLAIN && ome_plain_is_amend(form))
    {
        if (OME_LIKELY(ome_plain_amend(engine, command, hash, sink)))
        {
            return;
        }
    }
    else if (OME_UNLIKELY(apply_is_part(command)))
    {
        apply_part(engine, command, sink);
        return;
    }
    else if (APPLY_PLAIN && command->kind <= OME_COMMAND_KIND_REDUCE_ORDER)
    {
        if (ome_plain_other(engine, command, form, hash, sink))
        {
            return;
        }
    }
    apply_whole(engine, command, &OME_GIVEN_NONE, sink);
}

void ome_engine_apply(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink)
{
    apply_one(engine, command, ome_order_index_hash(command->participant, command->client_order_id), sink);
}

/* How far ahead of a command its memory is asked for: the command itself, then the index entry of its client order id, then the order that is there.
 * The hash of an id is worked out once, when its entry is asked for. */
#define AHEAD_COMMAND 12u
#define AHEAD_ENTRY 8u
#define AHEAD_ORDER 4u

void ome_engine_apply_many(ome_engine_t *engine, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    const uint64_t *const entries = engine->pools.index.entries;
    const ome_order_t *const orders = engine->pools.orders.orders;
    const uint32_t home_shift = engine->pools.index.home_shift;
    uint32_t hashes[AHEAD_ENTRY]; /* of the commands from i on, each at its number modulo AHEAD_ENTRY */
    uint64_t i = 0;
    for (; i < AHEAD_ENTRY && count > AHEAD_COMMAND; i++)
    {
        hashes[i] = ome_order_index_hash(commands[i].participant, commands[i].client_order_id);
    }
    for (i = 0; i + AHEAD_COMMAND < count; i++)
    {
        const ome_command_t *const ahead = &commands[i + AHEAD_ENTRY];
        const uint32_t hash = hashes[i % AHEAD_ENTRY];
        const uint32_t hash_ahead = ome_order_index_hash(ahead->participant, ahead->client_order_id);
        hashes[i % AHEAD_ENTRY] = hash_ahead;
        __builtin_prefetch(&commands[i + AHEAD_COMMAND]);
        __builtin_prefetch(&entries[hash_ahead >> home_shift]);
        __builtin_prefetch(&orders[(uint32_t)entries[hashes[(i + AHEAD_ORDER) % AHEAD_ENTRY] >> home_shift]]);
        apply_one(engine, &commands[i], hash, sink);
    }
    for (; i < count; i++)
    {
        ome_engine_apply(engine, &commands[i], sink);
    }
}
