/* Writing events into the sink: one function for each event.
 *
 * Events are put together as words in registers and stored once; nothing reads them back here. The rolling hash of events is the
 * business of whoever reads them (ome_hash.h): on the matching thread it would cost as much as a quarter of a match. */
#ifndef OME_EVENT_H
#define OME_EVENT_H

#include "abi/ome_attributes.h"
#include "base/ome_assert.h"
#include "base/ome_platform.h"
#include "engine/ome_engine.h"

static_assert(offsetof(ome_event_t, account) == 48 && offsetof(ome_event_t, participant) == 52 && offsetof(ome_event_t, session) == 54,
    "the owner's word is account | participant << 32 | session << 48");
static_assert(offsetof(ome_event_t, instrument) == 56 && offsetof(ome_event_t, kind) == 60 && offsetof(ome_event_t, side) == 61 &&
                  offsetof(ome_event_t, reason) == 62 && offsetof(ome_event_t, flags) == 63,
    "the last word is instrument | kind << 32 | side << 40 | reason << 48 | flags << 56");

/* Whom an event is about: an order, in the command that runs. */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    uint64_t owner;        /* account | participant << 32 | session << 48 */
    uint64_t timestamp_ns; /* of the command */
    uint32_t instrument;
    uint8_t side;
} ome_subject_t;

static inline uint64_t ome_command_owner(const ome_command_t *command)
{
    return (uint64_t)command->account | (uint64_t)command->participant << 32 | (uint64_t)command->session << 48;
}

OME_ALWAYS_INLINE uint64_t event_last_word(uint32_t instrument, uint8_t kind, uint8_t side, uint8_t reason, uint8_t flags)
{
    return (uint64_t)instrument | (uint64_t)kind << 32 | (uint64_t)side << 40 | (uint64_t)reason << 48 | (uint64_t)flags << 56;
}

/* `fifth` and `sixth`: timestamp and owner, or in a trade and a match that is prevented the resting order's two ids. */
OME_ALWAYS_INLINE void event_write(ome_engine_t *engine, ome_sink_t *sink, uint64_t order_id, uint64_t client_order_id, int64_t price,
    int64_t quantity, uint64_t fifth, uint64_t sixth, uint64_t last_word)
{
    uint64_t *words = (uint64_t *)(void *)sink->next;
    words[0] = engine->sequence;
    words[1] = order_id;
    words[2] = client_order_id;
    words[3] = (uint64_t)price;
    words[4] = (uint64_t)quantity;
    words[5] = fifth;
    words[6] = sixth;
    words[7] = last_word;
    engine->event_count++;
    sink->next++;
    if (OME_UNLIKELY(sink->next == sink->end))
    {
        sink->flush(sink);
    }
}

/* The event is one more that is reported to the session of this owner; that of 0 counts for nobody. */
OME_ALWAYS_INLINE void event_count_report(ome_engine_t *engine, uint64_t owner)
{
    engine->progress[owner >> 48].report_sequence++;
}

/* ---- about an order ---- */

OME_ALWAYS_INLINE void event_of_order(ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, uint8_t kind, int64_t price,
    int64_t quantity, uint8_t reason, uint8_t flags)
{
    event_count_report(engine, subject->owner);
    event_write(engine, sink, subject->order_id, subject->client_order_id, price, quantity, subject->timestamp_ns, subject->owner,
        event_last_word(subject->instrument, kind, subject->side, reason, flags));
}

OME_ALWAYS_INLINE void ome_event_accepted(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t price, int64_t leaves, uint8_t flags)
{
    event_of_order(engine, sink, subject, OME_EVENT_KIND_ACCEPTED, price, leaves, OME_REASON_NONE, flags);
}

/* What is left of an order joins the book. */
OME_ALWAYS_INLINE void ome_event_rested(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t price, int64_t leaves, uint8_t flags)
{
    event_of_order(engine, sink, subject, OME_EVENT_KIND_RESTED, price, leaves, OME_REASON_NONE, flags);
}

OME_ALWAYS_INLINE void ome_event_amended(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t price, int64_t leaves, uint8_t flags)
{
    event_of_order(engine, sink, subject, OME_EVENT_KIND_AMENDED, price, leaves, OME_REASON_NONE, flags);
}

/* `quantity`: the lots that were taken off. */
OME_ALWAYS_INLINE void ome_event_reduced(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t price, int64_t quantity, uint8_t reason, uint8_t flags)
{
    event_of_order(engine, sink, subject, OME_EVENT_KIND_REDUCED, price, quantity, reason, flags);
}

/* `leaves`: what was open. */
OME_ALWAYS_INLINE void ome_event_cancelled(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t price, int64_t leaves, uint8_t reason, uint8_t flags)
{
    event_of_order(engine, sink, subject, OME_EVENT_KIND_CANCELLED, price, leaves, reason, flags);
}

/* `quantity`: what an order with a peak displays anew; below zero what it displays no longer. Not reported. */
OME_ALWAYS_INLINE void ome_event_displayed(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t price, int64_t quantity, uint8_t flags)
{
    event_write(engine, sink, subject->order_id, subject->client_order_id, price, quantity, subject->timestamp_ns, subject->owner,
        event_last_word(subject->instrument, OME_EVENT_KIND_DISPLAYED, subject->side, OME_REASON_NONE, flags));
}

OME_ALWAYS_INLINE void ome_event_triggered(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t stop_price, int64_t leaves)
{
    event_of_order(engine, sink, subject, OME_EVENT_KIND_TRIGGERED, stop_price, leaves, OME_REASON_NONE, 0);
}

/* The order waits for this stop price; `order_type` lies where other events have flags. Not in the first version of the rules. */
static inline void ome_event_stop_set(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, int64_t stop_price, int64_t leaves, uint8_t order_type)
{
    if (!ome_engine_counts_sessions(engine))
    {
        return;
    }
    event_of_order(engine, sink, subject, OME_EVENT_KIND_STOP_SET, stop_price, leaves, OME_REASON_NONE, order_type);
}

/* `attributes`: by OME_ATTRIBUTE_. They lie where other events have price and quantity. */
static inline void ome_event_attributes(ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *subject, const uint32_t *attributes)
{
    uint32_t values[OME_ATTRIBUTE_ROOM] = {0};
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        values[i] = attributes[i];
    }
    event_of_order(engine, sink, subject, OME_EVENT_KIND_ATTRIBUTES, (int64_t)(values[0] | (uint64_t)values[1] << 32),
        (int64_t)(values[2] | (uint64_t)values[3] << 32), OME_REASON_NONE, 0);
}

/* ---- about two orders ---- */

/* The other one: what such an event says of it, and whose it is. */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;
    uint64_t owner;
} ome_counterpart_t;

/* Counts the trade, whose id is the count. */
OME_ALWAYS_INLINE void ome_event_trade(ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *aggressor, int64_t price,
    int64_t quantity, ome_counterpart_t resting, uint8_t flags)
{
    engine->trade_count++;
    event_count_report(engine, aggressor->owner);
    event_count_report(engine, resting.owner);
    event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, price, quantity, resting.order_id, resting.client_order_id,
        event_last_word(aggressor->instrument, OME_EVENT_KIND_TRADE, aggressor->side, OME_REASON_NONE, flags));
}

/* A match that self-trade prevention did not let happen. */
OME_ALWAYS_INLINE void ome_event_prevented(
    ome_engine_t *engine, ome_sink_t *sink, const ome_subject_t *aggressor, int64_t price, int64_t quantity, ome_counterpart_t resting)
{
    event_count_report(engine, aggressor->owner);
    event_count_report(engine, resting.owner);
    event_write(engine, sink, aggressor->order_id, aggressor->client_order_id, price, quantity, resting.order_id, resting.client_order_id,
        event_last_word(aggressor->instrument, OME_EVENT_KIND_PREVENTED, aggressor->side, OME_REASON_NONE, 0));
}

/* ---- about a command ---- */

/* Participant and session of a command, without an account. */
static inline uint64_t ome_command_sender_owner(const ome_command_t *command)
{
    return ome_command_owner(command) & ~(uint64_t)UINT32_MAX;
}

/* The session of a command that is refused may be any number. */
static inline void event_count_answer(ome_engine_t *engine, const ome_command_t *command)
{
    if (command->session <= engine->limits.session_count_max && ome_session_is_defined(engine, command->session))
    {
        event_count_report(engine, ome_command_owner(command));
    }
}

/* `report_count`: of a session, the reports of its participant so far. */
static inline void ome_event_defined(ome_engine_t *engine, ome_sink_t *sink, const ome_command_t *command, uint64_t report_count)
{
    event_write(engine, sink, 0, 0, 0, (int64_t)report_count, command->timestamp_ns, ome_command_sender_owner(command),
        event_last_word(command->instrument, OME_EVENT_KIND_DEFINED, 0, OME_REASON_NONE, command->kind));
}

/* The end of a command about many orders, or about a price. */
static inline void ome_event_completed(ome_engine_t *engine, ome_sink_t *sink, const ome_command_t *command, uint64_t client_order_id,
    int64_t price, int64_t quantity, uint8_t side)
{
    event_count_answer(engine, command);
    event_write(engine, sink, 0, client_order_id, price, quantity, command->timestamp_ns, ome_command_sender_owner(command),
        event_last_word(command->instrument, OME_EVENT_KIND_COMPLETED, side, OME_REASON_NONE, command->kind));
}

/* The answer to a command on an order that another session of its participant has sent: what happened is reported there. */
void ome_event_completed_elsewhere(ome_engine_t *engine, ome_sink_t *sink, const ome_command_t *command);

/* A command is refused, in the words of the command. */
void ome_event_rejected(ome_engine_t *engine, ome_sink_t *sink, const ome_command_t *command, uint8_t reason);

#endif
