#include "commands/ome_terms.h"

#include "engine/ome_event.h"

static_assert(OME_TERM_COUNT <= 32, "there is a bit for every term");

const ome_given_t OME_GIVEN_NONE = {.given = 0};

void ome_terms_hold(ome_engine_t *engine, const ome_command_t *command)
{
    OME_EXPECT(!engine->pending.waits);
    engine->pending = (ome_pending_t){.command = *command, .waits = true};
    engine->attention_ns = 0;
    OME_EXPECT(engine->pending.waits);
}

/* Adds one term; one that cannot be spoils the command. */
static void terms_add_one(ome_given_t *given, uint8_t term, int64_t value)
{
    if (term == OME_TERM_NONE)
    {
        given->given |= value != 0 ? OME_TERMS_BAD : 0;
        return;
    }
    if (term >= OME_TERM_COUNT || (given->given & UINT32_C(1) << term) != 0)
    {
        given->given |= OME_TERMS_BAD;
        return;
    }
    given->given |= UINT32_C(1) << term;
    given->values[term] = value;
}

bool ome_terms_add(ome_engine_t *engine, const ome_command_t *terms)
{
    ome_given_t *given = &engine->pending.given;
    OME_ASSERT(engine->pending.waits);
    if ((terms->flags & ~OME_COMMAND_FLAGS_CONTINUED) != 0 || terms->reserved != 0)
    {
        given->given |= OME_TERMS_BAD;
    }
    terms_add_one(given, terms->term_1, terms->value_1);
    terms_add_one(given, terms->term_2, terms->value_2);
    terms_add_one(given, terms->term_3, terms->value_3);
    engine->pending.waits = (terms->flags & OME_COMMAND_FLAGS_CONTINUED) != 0;
    return !engine->pending.waits;
}

void ome_terms_interrupt(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink)
{
    ome_pending_t *pending = &engine->pending;
    const bool goes_on = record->kind == OME_COMMAND_KIND_ORDER_TERMS && record->participant == pending->command.participant &&
                         record->session == pending->command.session;
    if (pending->waits && !goes_on)
    {
        pending->waits = false;
        ome_event_rejected(engine, sink, &pending->command, OME_REASON_INCOMPLETE_COMMAND);
    }
}
