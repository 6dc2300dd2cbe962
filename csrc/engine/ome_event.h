/* Writing an event into the sink. Internal to engine/.
 *
 * Events are put together as words in registers and stored once; nothing reads them back here. The rolling hash of events is the business of whoever
 * reads them (ome_hash.h): on the matching thread it would cost as much as a quarter of a match. */
#ifndef OME_EVENT_H
#define OME_EVENT_H

#include "base/ome_assert.h"
#include "engine/ome_engine.h"

static_assert(offsetof(ome_event_t, account) == 48 && offsetof(ome_event_t, participant) == 52 && offsetof(ome_event_t, session) == 54,
    "the owner's word is account | participant << 32 | session << 48");
static_assert(offsetof(ome_event_t, instrument) == 56 && offsetof(ome_event_t, kind) == 60 && offsetof(ome_event_t, side) == 61 &&
                  offsetof(ome_event_t, reason) == 62 && offsetof(ome_event_t, flags) == 63,
    "the last word is instrument | kind << 32 | side << 40 | reason << 48 | flags << 56");

static inline uint64_t ome_event_last_word(uint32_t instrument, uint8_t kind, uint8_t side, uint8_t reason, uint8_t flags)
{
    return (uint64_t)instrument | (uint64_t)kind << 32 | (uint64_t)side << 40 | (uint64_t)reason << 48 | (uint64_t)flags << 56;
}

static inline uint64_t ome_command_owner(const ome_command_t *command)
{
    return (uint64_t)command->account | (uint64_t)command->participant << 32 | (uint64_t)command->session << 48;
}

/* `fifth` and `sixth`: timestamp and owner, or in a trade the resting order's two ids. */
static inline void ome_event_write(ome_engine_t *engine, ome_sink_t *sink, uint64_t order_id, uint64_t client_order_id, int64_t price,
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

/* Says that a command is refused, in the words of the command. */
void ome_reject(ome_engine_t *engine, const ome_command_t *command, uint8_t reason, ome_sink_t *sink);

#endif
