#include "ome_unanswered.h"

#define TERMS_PER_MESSAGE 3u

static ome_unanswered_message_t *unanswered_at(const ome_unanswered_t *ring, uint64_t position)
{
    return &ring->messages[position % ring->count_max];
}

static bool unanswered_is_terms(const ome_unanswered_t *ring, uint64_t position)
{
    return position < ring->next && unanswered_at(ring, position)->header.template_id == OME_TEMPLATE_ORDER_TERMS;
}

/* Where the command that begins at `position` ends: terms belong to the command before them. */
static uint64_t unanswered_command_end(const ome_unanswered_t *ring, uint64_t position)
{
    do
    {
        position++;
    } while (unanswered_is_terms(ring, position));
    return position;
}

/* Numbers skip 0. */
static uint32_t unanswered_number_after(uint32_t number)
{
    return number == UINT32_MAX ? 1u : number + 1u;
}

/* How many messages after `from` the number `to` is. */
static uint32_t unanswered_distance(uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to - from - 1u;
}

static void unanswered_drop_to(ome_unanswered_t *ring, uint64_t position)
{
    if (position > ring->first)
    {
        ring->answered_number = unanswered_at(ring, position - 1)->order.session_sequence;
        ring->first = position;
        ring->sent = ring->sent > position ? ring->sent : position; /* an answer counts also where it was to be sent again */
    }
}

/* One message of up to three terms; the rest of it is zero. */
static void unanswered_fill_terms(ome_order_terms_t *message, const ome_client_term_t *terms, uint32_t term_count)
{
    ome_client_term_t all[TERMS_PER_MESSAGE] = {{0, 0}, {0, 0}, {0, 0}};
    memcpy(all, terms, (term_count < TERMS_PER_MESSAGE ? term_count : TERMS_PER_MESSAGE) * sizeof(*terms));
    ome_message_init(message, OME_TEMPLATE_ORDER_TERMS);
    message->term_1 = all[0].term;
    message->value_1 = all[0].value;
    message->term_2 = all[1].term;
    message->value_2 = all[1].value;
    message->term_3 = all[2].term;
    message->value_3 = all[2].value;
}

bool ome_unanswered_put(
    ome_unanswered_t *ring, const ome_unanswered_message_t *command, const ome_client_term_t *terms, uint32_t term_count)
{
    uint32_t count = 1u + (term_count + TERMS_PER_MESSAGE - 1u) / TERMS_PER_MESSAGE;
    if (ring->next - ring->first + count > ring->count_max)
    {
        return false;
    }
    for (uint32_t index = 0; index < count; index++)
    {
        ome_unanswered_message_t *message = unanswered_at(ring, ring->next + index);
        uint16_t more = index + 1u < count ? OME_COMMAND_FLAGS_CONTINUED : 0u;
        if (index == 0)
        {
            *message = *command;
        }
        else
        {
            uint32_t done = (index - 1u) * TERMS_PER_MESSAGE;
            unanswered_fill_terms(&message->terms, terms + done, term_count - done);
        }
        message->order.flags = (uint16_t)((message->order.flags & ~OME_COMMAND_FLAGS_CONTINUED) | more);
        ring->last_number = unanswered_number_after(ring->last_number);
        message->order.session_sequence = ring->last_number;
    }
    ring->next += count;
    return true;
}

uint32_t ome_unanswered_copy(ome_unanswered_t *ring, ome_unanswered_message_t *messages, uint32_t count_max)
{
    uint32_t count = 0, whole = 0;
    while (count < count_max && ring->sent + count < ring->next)
    {
        messages[count] = *unanswered_at(ring, ring->sent + count);
        count++;
        whole = unanswered_is_terms(ring, ring->sent + count) ? whole : count;
    }
    return whole;
}

void ome_unanswered_note_sent(ome_unanswered_t *ring, uint32_t count)
{
    ring->sent += count;
    ring->said = ring->said > ring->sent ? ring->said : ring->sent;
}

bool ome_unanswered_resume(ome_unanswered_t *ring, uint32_t taken_number)
{
    uint64_t taken_count = unanswered_distance(ring->answered_number, taken_number);
    bool fits = !ring->is_known || taken_count <= ring->next - ring->first;
    if (!ring->is_known || !fits)
    {
        ring->first = ring->next;
        ring->answered_number = ring->last_number = taken_number;
        taken_count = 0;
    }
    ring->is_known = true;
    ring->taken = ring->sent = ring->said = ring->refuse_end = ring->first + taken_count;
    return fits;
}

/* Whether a report of this kind answers a command of this template. */
static bool unanswered_kind_fits(uint16_t template_id, const ome_execution_report_t *report)
{
    uint8_t kind = report->kind, reason = report->reason;
    if (kind == OME_EVENT_KIND_REJECTED || kind == OME_EVENT_KIND_COMPLETED)
    {
        return report->command_kind == template_id;
    }
    switch (template_id)
    {
    case OME_TEMPLATE_NEW_ORDER:
        return kind == OME_EVENT_KIND_ACCEPTED;
    case OME_TEMPLATE_CANCEL_ORDER:
        return kind == OME_EVENT_KIND_CANCELLED && reason == OME_REASON_REQUESTED;
    case OME_TEMPLATE_REDUCE_ORDER:
        return (kind == OME_EVENT_KIND_REDUCED && reason == OME_REASON_NONE) ||
               (kind == OME_EVENT_KIND_CANCELLED && reason == OME_REASON_REDUCED_AWAY);
    case OME_TEMPLATE_AMEND_ORDER:
        return kind == OME_EVENT_KIND_AMENDED || (kind == OME_EVENT_KIND_CANCELLED && reason == OME_REASON_AMENDED_AWAY);
    default:
        return false;
    }
}

static bool unanswered_term_is(uint8_t term, int64_t value, uint64_t client_order_id)
{
    return term == OME_TERM_NEW_CLIENT_ORDER_ID && (uint64_t)value == client_order_id;
}

/* Whether the report names the order of the oldest command, by the id that the command has, or by the new id that an amend gives. */
static bool unanswered_order_fits(const ome_unanswered_t *ring, const ome_execution_report_t *report)
{
    const ome_new_order_t *command = &unanswered_at(ring, ring->first)->order;
    bool by_order_id = (command->flags & OME_COMMAND_FLAGS_BY_ORDER_ID) != 0;
    if ((by_order_id ? report->order_id : report->client_order_id) == command->client_order_id)
    {
        return true;
    }
    for (uint64_t at = ring->first + 1; unanswered_is_terms(ring, at); at++)
    {
        const ome_order_terms_t *terms = &unanswered_at(ring, at)->terms;
        if (unanswered_term_is(terms->term_1, terms->value_1, report->client_order_id) ||
            unanswered_term_is(terms->term_2, terms->value_2, report->client_order_id) ||
            unanswered_term_is(terms->term_3, terms->value_3, report->client_order_id))
        {
            return true;
        }
    }
    return false;
}

/* Answers come in the order of the commands, so only the oldest is looked at. Reports of what another session did to an order look like
 * answers, but seldom like the one that comes next. */
bool ome_unanswered_answer(ome_unanswered_t *ring, const ome_execution_report_t *report)
{
    if (ring->first >= ring->said || !unanswered_kind_fits(unanswered_at(ring, ring->first)->header.template_id, report) ||
        !unanswered_order_fits(ring, report))
    {
        return false;
    }
    unanswered_drop_to(ring, unanswered_command_end(ring, ring->first));
    return true;
}

void ome_unanswered_drop_taken(ome_unanswered_t *ring)
{
    unanswered_drop_to(ring, ring->taken);
}

bool ome_unanswered_go_back(ome_unanswered_t *ring, uint32_t number, bool is_storage_low)
{
    uint64_t position = ring->first + unanswered_distance(ring->answered_number, number) - 1u;
    if (position < ring->first || position >= ring->sent)
    {
        return false;
    }
    ring->sent = position;
    ring->refuse_end = is_storage_low ? ring->next : position;
    return true;
}

bool ome_unanswered_leave_out(ome_unanswered_t *ring, uint64_t *client_order_id)
{
    uint64_t at = ring->sent;
    while (at < ring->refuse_end && unanswered_at(ring, at)->header.template_id != OME_TEMPLATE_NEW_ORDER)
    {
        at++;
    }
    if (at >= ring->refuse_end)
    {
        ring->refuse_end = ring->sent;
        return false;
    }
    *client_order_id = unanswered_at(ring, at)->order.client_order_id;
    uint64_t count = unanswered_command_end(ring, at) - at;
    ring->said -= ring->said > at ? count : 0; /* commands are said whole */
    for (; at + count < ring->next; at++)
    {
        uint32_t number = unanswered_at(ring, at)->order.session_sequence;
        *unanswered_at(ring, at) = *unanswered_at(ring, at + count);
        unanswered_at(ring, at)->order.session_sequence = number;
    }
    ring->next -= count;
    ring->refuse_end -= count;
    ring->last_number = ring->next == ring->first ? ring->answered_number : unanswered_at(ring, ring->next - 1)->order.session_sequence;
    return true;
}
