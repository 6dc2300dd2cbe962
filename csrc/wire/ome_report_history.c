#include "wire/ome_report_history.h"

#include "base/ome_assert.h"

void ome_report_history_init(ome_report_history_t *history, ome_arena_t *arena, uint32_t count_max)
{
    OME_ASSERT(count_max != 0 && (count_max & (count_max - 1)) == 0);
    history->reports = ome_arena_take(arena, (uint64_t)count_max * sizeof(ome_kept_report_t));
    history->made_count = 0;
    history->count_max = count_max;
}

/* The oldest report is gone: the one after it is its session's oldest, unless the session is another one by now. */
static void history_forget(const ome_report_history_t *history, ome_session_table_t *table, uint64_t number)
{
    const ome_kept_report_t *oldest = ome_report_history_at(history, number);
    ome_session_slot_t *session = &table->sessions[oldest->report.session];
    if (session->first_kept == number)
    {
        session->first_kept = oldest->next;
        session->last_kept = oldest->next != 0 ? session->last_kept : 0;
    }
}

uint64_t ome_report_history_add(
    ome_report_history_t *history, ome_session_table_t *table, uint16_t session, const ome_execution_report_t *report)
{
    const uint64_t number = history->made_count + 1;
    ome_session_slot_t *slot = &table->sessions[session];
    OME_ASSERT(report->session == session);
    if (number > history->count_max)
    {
        history_forget(history, table, number - history->count_max);
    }
    history->made_count = number;
    ome_kept_report_t *kept = &history->reports[number & (history->count_max - 1)];
    kept->report = *report;
    kept->previous = slot->last_kept;
    kept->next = 0;
    if (slot->last_kept != 0)
    {
        history->reports[slot->last_kept & (history->count_max - 1)].next = number;
    }
    else
    {
        slot->first_kept = number;
    }
    slot->last_kept = number;
    return number;
}
