#include "engine/ome_terms.h"

#include "engine/ome_event.h"
#include "engine/ome_expiry.h"
#include "engine/ome_special_orders.h"

static_assert(OME_TERM_NEW_CLIENT_ORDER_ID + 1 == OME_TERM_COUNT, "there is a place for every term");

void ome_terms_hold(ome_engine_t *engine, const ome_command_t *command)
{
    engine->pending = (ome_pending_t){.command = *command, .waits = true};
    engine->attention_ns = 0;
}

/* Adds one term; one that cannot be spoils the command. */
static void add_term(ome_given_t *given, uint8_t term, int64_t value)
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

void ome_terms_apply(ome_engine_t *engine, const ome_command_t *terms, ome_sink_t *sink)
{
    ome_pending_t *pending = &engine->pending;
    if (!pending->waits)
    {
        ome_reject(engine, terms, OME_REASON_INCOMPLETE_COMMAND, sink);
        return;
    }
    if ((terms->flags & ~OME_COMMAND_FLAGS_CONTINUED) != 0 || terms->reserved != 0)
    {
        pending->given.given |= OME_TERMS_BAD;
    }
    add_term(&pending->given, terms->term_1, terms->value_1);
    add_term(&pending->given, terms->term_2, terms->value_2);
    add_term(&pending->given, terms->term_3, terms->value_3);
    if ((terms->flags & OME_COMMAND_FLAGS_CONTINUED) != 0)
    {
        return;
    }
    pending->waits = false;
    engine->attention_ns = ome_expiry_next_ns(engine);
    if (pending->command.kind == OME_COMMAND_KIND_NEW_ORDER)
    {
        ome_special_new(engine, &pending->command, &pending->given, sink);
        return;
    }
    ome_special_amend(engine, &pending->command, &pending->given, sink);
}

void ome_terms_interrupt(ome_engine_t *engine, const ome_command_t *record, ome_sink_t *sink)
{
    ome_pending_t *pending = &engine->pending;
    const bool goes_on = record->kind == OME_COMMAND_KIND_ORDER_TERMS && record->participant == pending->command.participant &&
                         record->session == pending->command.session;
    if (pending->waits && !goes_on)
    {
        pending->waits = false;
        ome_reject(engine, &pending->command, OME_REASON_INCOMPLETE_COMMAND, sink);
    }
}
