/* Reports for drop copies: the history has the reports of all sessions in order, and a drop copy walks it. */
#include "wire/ome_gateway_state.h"

/* How many reports are looked at for one drop copy, before somebody else has a turn. More than a turn makes. */
#define COPY_LOOKS_MAX 4096u
static_assert(COPY_LOOKS_MAX >= 2 * OME_GATEWAY_REPORT_COUNT_MAX, "one that is up to date stays so");

void ome_gateway_note_copies(ome_gateway_t *gateway, uint16_t participant, uint64_t number)
{
    ome_session_table_t *table = &gateway->table;
    uint32_t left = table->participants[participant].copy_count; /* who has none pays nothing for those of others */
    for (uint32_t slot = table->session_count_max + 1; left > 0; slot++)
    {
        ome_session_slot_t *copy = &table->sessions[slot];
        if (copy->peer == 0 || copy->participant != participant)
        {
            continue;
        }
        left--;
        copy->report_sequence = table->participants[participant].report_sequence;
        if (!copy->is_behind && !copy->is_dirty)
        {
            copy->is_dirty = true;
            copy->next_kept = number;
            gateway->dirty[gateway->dirty_count++] = (uint16_t)slot;
        }
    }
}

/* Whether a kept report is the participant's. */
static bool copies_has(const ome_gateway_t *gateway, const ome_session_slot_t *copy, const ome_kept_report_t *kept)
{
    return ome_report_copy_participant(kept->copy) == copy->participant &&
           ome_session_table_is_participants(&gateway->table, copy->participant, kept->report.engine_sequence);
}

uint32_t ome_gateway_take_copies(ome_gateway_t *gateway, const ome_session_slot_t *copy, uint64_t *next)
{
    const ome_report_history_t *history = &gateway->history;
    uint64_t number = copy->next_kept;
    uint32_t count = 0;
    for (uint32_t looks = 0; looks < COPY_LOOKS_MAX && number <= history->made_count && count < OME_GATEWAY_REPORT_COUNT_MAX; looks++)
    {
        const ome_kept_report_t *kept = ome_report_history_at(history, number++);
        const uint64_t sequence = ome_report_copy_sequence(kept->copy);
        if (copies_has(gateway, copy, kept) && sequence == copy->sent_sequence + count + 1)
        {
            gateway->frame[count] = kept->report;
            gateway->frame[count++].report_sequence = sequence;
        }
    }
    *next = number <= history->made_count ? number : 0;
    return count;
}

ome_copy_place_t ome_gateway_find_copy(const ome_gateway_t *gateway, ome_session_slot_t *copy)
{
    const ome_report_history_t *history = &gateway->history;
    const uint64_t oldest = ome_report_history_oldest(history);
    copy->next_kept = copy->next_kept > oldest ? copy->next_kept : oldest;
    for (uint32_t looks = 0; looks < COPY_LOOKS_MAX && copy->next_kept <= history->made_count; looks++, copy->next_kept++)
    {
        const ome_kept_report_t *kept = ome_report_history_at(history, copy->next_kept);
        const uint64_t sequence = ome_report_copy_sequence(kept->copy);
        if (copies_has(gateway, copy, kept) && sequence > copy->sent_sequence)
        {
            return sequence == copy->sent_sequence + 1 ? OME_COPY_HERE : OME_COPY_GONE;
        }
    }
    return copy->next_kept <= history->made_count ? OME_COPY_LOOKING : OME_COPY_GONE;
}

uint64_t ome_gateway_copy_at(const ome_gateway_t *gateway, const ome_session_slot_t *copy)
{
    const ome_report_history_t *history = &gateway->history;
    if (copy->next_kept > history->made_count)
    {
        return copy->report_sequence + 1;
    }
    const bool is_here = ome_report_history_has(history, copy->next_kept);
    const ome_kept_report_t *kept = ome_report_history_at(history, copy->next_kept);
    return is_here && copies_has(gateway, copy, kept) ? ome_report_copy_sequence(kept->copy) : 0;
}

uint64_t ome_gateway_first_copy(const ome_gateway_t *gateway, const ome_session_slot_t *copy)
{
    const uint64_t first = gateway->table.participants[copy->participant].first_kept;
    return first != 0 ? first : copy->report_sequence + 1;
}

uint64_t ome_gateway_copies_settled(const ome_gateway_t *gateway, uint16_t participant)
{
    const ome_session_table_t *table = &gateway->table;
    uint64_t settled = table->participants[participant].begun_sequence;
    for (uint32_t number = 1; number <= table->session_count_max && table->participants[participant].begun_sequence == 0; number++)
    {
        const uint64_t defined = table->owners[number] == participant ? table->sessions[number].defined_sequence : 0;
        settled = settled == 0 || (defined != 0 && defined < settled) ? defined : settled;
    }
    return settled;
}

void ome_gateway_end_copies(ome_gateway_t *gateway, uint16_t participant)
{
    ome_session_table_t *table = &gateway->table;
    for (uint32_t slot = table->session_count_max + 1; slot <= table->slot_count_max; slot++)
    {
        if (table->sessions[slot].peer != 0 && table->sessions[slot].participant == participant)
        {
            ome_gateway_end_session(gateway, (uint16_t)slot, OME_REASON_UNKNOWN_SESSION);
        }
    }
}
