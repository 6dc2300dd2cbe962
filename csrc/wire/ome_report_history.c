#include "wire/ome_report_history.h"

#include "base/ome_assert.h"

void ome_report_history_init(ome_report_history_t *history, ome_arena_t *arena, uint32_t count_max)
{
    OME_ASSERT(count_max != 0 && (count_max & (count_max - 1)) == 0);
    history->reports = ome_arena_take(arena, (uint64_t)count_max * sizeof(ome_kept_report_t));
    history->made_count = 0;
    history->count_max = count_max;
}

/* The oldest report is gone: the one after it is its session's oldest and its participant's, unless these are others by now. */
static void history_forget(const ome_report_history_t *history, ome_session_table_t *table, uint64_t number)
{
    const ome_kept_report_t *oldest = ome_report_history_at(history, number);
    ome_session_slot_t *session = &table->sessions[oldest->report.session];
    if (session->first_kept == number)
    {
        session->first_kept = ome_report_history_next(history, number);
        session->last_kept = oldest->next != 0 ? session->last_kept : 0;
    }
    const uint16_t participant = ome_report_copy_participant(oldest->copy);
    if (ome_session_table_is_participants(table, participant, oldest->report.engine_sequence))
    {
        table->participants[participant].first_kept = ome_report_copy_sequence(oldest->copy) + 1;
    }
}

/* The report, whose number this is, is the newest of its session. */
static void history_link(const ome_report_history_t *history, ome_session_slot_t *session, uint64_t number)
{
    if (session->last_kept != 0)
    {
        const uint32_t distance = (uint32_t)(number - session->last_kept);
        history->reports[number & (history->count_max - 1)].previous = distance;
        history->reports[session->last_kept & (history->count_max - 1)].next = distance;
    }
    else
    {
        session->first_kept = number;
    }
    session->last_kept = number;
}

uint64_t ome_report_history_add(
    ome_report_history_t *history, ome_session_table_t *table, uint16_t session, const ome_execution_report_t *report, uint64_t copy)
{
    const uint64_t number = history->made_count + 1;
    OME_ASSERT(session == 0 || report->session == session);
    if (number > history->count_max)
    {
        history_forget(history, table, number - history->count_max);
    }
    history->made_count = number;
    ome_kept_report_t *kept = &history->reports[number & (history->count_max - 1)];
    *kept = (ome_kept_report_t){.report = *report, .copy = copy};
    ome_participant_reports_t *participant = &table->participants[ome_report_copy_participant(copy)];
    participant->first_kept = participant->first_kept != 0 ? participant->first_kept : ome_report_copy_sequence(copy);
    if (session != 0)
    {
        history_link(history, &table->sessions[session], number);
    }
    return number;
}
