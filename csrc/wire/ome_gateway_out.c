/* Events to reports, and reports to sessions: at once to those that are up to date, and at its own pace to one that is behind. */
#include <string.h>

#include "base/ome_assert.h"
#include "wire/ome_gateway_state.h"

/* A session that is behind gets more while less than this waits for its connection. */
#define BEHIND_QUEUE_BYTES (1u << 20)

/* How many reports are looked at to find the one that is wanted, before somebody else has a turn. */
#define LOOKS_MAX 4096u

/* ---- frames ---- */

/* Sends the frame of so many reports, the last of which is of this number. */
static ome_status_t gateway_send_frame(ome_gateway_t *gateway, ome_session_slot_t *session, uint32_t count)
{
    OME_EXPECT(count > 0 && gateway->frame[0].report_sequence == session->sent_sequence + 1);
    const ome_status_t status =
        ome_gateway_send(gateway, session->peer, (const uint8_t *)gateway->frame, (uint32_t)(count * sizeof(ome_execution_report_t)));
    if (status == OME_OK)
    {
        session->spoke_ns = gateway->now_ns;
        session->sent_sequence += count;
        ome_counter_add(gateway->config.counters.reports, count);
    }
    return status;
}

/* Puts reports in memory into the frame, from the one that is to be sent next on. Returns how many; `next` is the one after them, or 0. */
static uint32_t gateway_take_kept(ome_gateway_t *gateway, const ome_session_slot_t *session, uint64_t *next)
{
    uint32_t count = 0;
    uint64_t number = session->next_kept;
    if (session->is_copy)
    {
        return ome_gateway_take_copies(gateway, session, next);
    }
    while (number != 0 && count < OME_GATEWAY_REPORT_COUNT_MAX)
    {
        gateway->frame[count++] = ome_report_history_at(&gateway->history, number)->report;
        number = ome_report_history_next(&gateway->history, number);
    }
    *next = number;
    return count;
}

/* ---- sessions that are up to date ---- */

void ome_gateway_keep_report(ome_gateway_t *gateway, ome_session_slot_t *session, const ome_execution_report_t *report)
{
    const uint16_t participant = session->participant;
    const uint64_t copy = ome_report_copy(participant, gateway->table.participants[participant].report_sequence);
    const uint64_t number = ome_report_history_add(&gateway->history, &gateway->table, report->session, report, copy);
    ome_gateway_note_copies(gateway, participant, number);
    if (session->peer == 0)
    {
        ome_counter_add(gateway->config.counters.reports_undelivered, 1);
        return;
    }
    if (session->is_behind)
    {
        return;
    }
    if (!session->is_dirty)
    {
        session->is_dirty = true;
        session->next_kept = number;
        gateway->dirty[gateway->dirty_count++] = report->session;
    }
}

/* Ends a session whose connection does not read, with a Logout: it must not slow the others. */
static void gateway_send_session(ome_gateway_t *gateway, uint16_t session_number)
{
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    session->is_dirty = false;
    while (session->peer != 0 && session->next_kept != 0)
    {
        uint64_t next;
        const uint32_t count = gateway_take_kept(gateway, session, &next);
        session->next_kept = next;
        if (count > 0 && gateway_send_frame(gateway, session, count) != OME_OK)
        {
            ome_counter_add(gateway->config.counters.reports_undelivered, count);
            ome_gateway_end_session(gateway, session_number, OME_REASON_SLOW_CONSUMER);
        }
    }
    session->next_kept = 0;
}

void ome_gateway_send_reports(ome_gateway_t *gateway)
{
    for (uint32_t i = 0; i < gateway->dirty_count; i++)
    {
        gateway_send_session(gateway, gateway->dirty[i]);
    }
    gateway->dirty_count = 0;
}

/* ---- events ---- */

/* Somebody else than the gateway has defined a session: its reports count from here on, though its client has not logged on yet. A session
 * that has a connection, or that this definition may only have changed, stays what it is. */
static void gateway_note_other(ome_gateway_t *gateway, const ome_event_t *event)
{
    if (event->kind != OME_EVENT_KIND_DEFINED || event->command_kind != OME_COMMAND_KIND_DEFINE_SESSION ||
        event->session > gateway->table.session_count_max)
    {
        return;
    }
    const ome_session_slot_t *slot = &gateway->table.sessions[event->session];
    if (!ome_gateway_has_defined(gateway, event->session, event->sequence) && slot->peer == 0 &&
        (!slot->is_defined || slot->participant != event->participant))
    {
        ome_gateway_begin_anew(gateway, event->session, event->participant, event->sequence);
    }
}

void ome_gateway_note_definition(ome_gateway_t *gateway, const ome_event_t *event)
{
    const uint16_t begun = ome_session_table_note_participant(&gateway->table, event);
    if (begun != 0)
    {
        ome_gateway_end_copies(gateway, begun);
    }
    gateway_note_other(gateway, event);
    gateway->event = *event;
    gateway->has_event = true;
}

void ome_gateway_answer(ome_gateway_t *gateway, uint64_t sequence)
{
    gateway->answered_sequence = sequence;
    const ome_run_t *run;
    while ((run = ome_runs_answer(&gateway->runs, sequence)) != NULL)
    {
        ome_throttle_answer(&gateway->throttle, run->participant, run->count);
    }
}

uint32_t ome_gateway_read_events(ome_gateway_t *gateway)
{
    const ome_gateway_config_t *config = &gateway->config;
    const ome_event_t *events;
    const uint32_t available = ome_reader_take(&config->reader, OME_GATEWAY_EVENT_COUNT_PER_TURN, &events);
    if (available == 0)
    {
        return 0;
    }
    const uint64_t now_ns = ome_venue_clock_now_ns(gateway->config.ingress.clock);
    uint32_t count = 0;
    while (count < available && !gateway->has_event)
    {
        const ome_event_t *event = &events[count++];
        ome_execution_report_t made[2];
        const uint32_t made_count = ome_reports_make(&gateway->reports, event, made);
        for (uint32_t i = 0; i < made_count; i++)
        {
            ome_session_slot_t *session = ome_session_table_owner(&gateway->table, &made[i]);
            if (session != NULL)
            {
                made[i].report_sequence = ++session->report_sequence;
                gateway->table.participants[session->participant].report_sequence++;
                ome_gateway_keep_report(gateway, session, &made[i]);
            }
        }
        ome_report_counters_count(&config->counters.made, event, now_ns);
        if (ome_event_is_definition_answer(event))
        {
            ome_gateway_note_definition(gateway, event);
        }
    }
    ome_gateway_answer(gateway, events[count - 1].sequence);
    ome_reader_advance(&config->reader, count);
    return count;
}

/* ---- sessions that are behind ---- */

static void gateway_tell_resend(ome_gateway_t *gateway, uint16_t session_number, uint8_t reason)
{
    const ome_session_slot_t *session = &gateway->table.sessions[session_number];
    ome_resend_answer_t answer = {.next_report_sequence = session->sent_sequence + 1,
        .report_sequence = session->report_sequence,
        .session = ome_gateway_told_session(gateway, session_number),
        .reason = reason};
    ome_message_header_set(&answer, OME_TEMPLATE_RESEND_ANSWER, OME_BLOCK_RESEND_ANSWER);
    (void)ome_gateway_send(gateway, session->peer, (const uint8_t *)&answer, sizeof(answer));
}

void ome_gateway_resend(ome_gateway_t *gateway, uint16_t session_number, uint64_t next_report_sequence)
{
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    const bool is_ahead = next_report_sequence > session->report_sequence + 1;
    OME_ASSERT(session->peer != 0 && next_report_sequence != 0);
    session->sent_sequence = is_ahead ? session->report_sequence : next_report_sequence - 1;
    session->next_kept = 0;
    if (gateway->archive.session == session_number)
    {
        gateway->archive.session = 0;
    }
    if (!session->is_behind && session->sent_sequence != session->report_sequence)
    {
        session->is_behind = true;
        gateway->behind[gateway->behind_count++] = session_number;
    }
    if (session->is_told || is_ahead)
    {
        gateway_tell_resend(gateway, session_number, is_ahead ? OME_REASON_SEQUENCE_GAP : OME_REASON_NONE);
    }
    session->is_told = true;
}

void ome_gateway_begin(ome_gateway_t *gateway, uint16_t session, uint64_t next_report_sequence)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session];
    if (slot->peer != 0 && next_report_sequence != 0)
    {
        ome_gateway_resend(gateway, session, next_report_sequence);
    }
    slot->is_told = true;
}

/* Finds the report that is to be sent next, in memory. */
static bool gateway_find_kept(const ome_gateway_t *gateway, ome_session_slot_t *session)
{
    const ome_report_history_t *history = &gateway->history;
    const uint64_t wanted = session->sent_sequence + 1;
    if (!ome_report_history_has(history, session->next_kept))
    {
        session->next_kept = session->first_kept;
    }
    for (uint32_t looks = 0; looks < LOOKS_MAX && session->next_kept != 0; looks++)
    {
        const ome_kept_report_t *kept = ome_report_history_at(history, session->next_kept);
        if (kept->report.report_sequence >= wanted)
        {
            return kept->report.report_sequence == wanted;
        }
        session->next_kept = ome_report_history_next(history, session->next_kept);
    }
    return false;
}

/* Whether the report that is to be sent next is older than what is in memory. */
static bool gateway_wants_archive(const ome_gateway_t *gateway, const ome_session_slot_t *session)
{
    return session->first_kept == 0 ||
           ome_report_history_at(&gateway->history, session->first_kept)->report.report_sequence > session->sent_sequence + 1;
}

/* Puts the caller's reports into the frame. Returns how many. */
static uint32_t gateway_take_archived(ome_gateway_t *gateway)
{
    ome_gateway_archive_t *archive = &gateway->archive;
    uint32_t count = 0;
    while (count < OME_GATEWAY_REPORT_COUNT_MAX && archive->next + count < archive->count)
    {
        gateway->frame[count] = archive->reports[archive->next + count];
        count++;
    }
    return count;
}

static void gateway_serve_archived(ome_gateway_t *gateway, uint16_t session_number, uint32_t *served)
{
    ome_gateway_archive_t *archive = &gateway->archive;
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    if (archive->session == 0 || (archive->session != session_number && archive->is_stuck))
    {
        archive->session = session_number;
        archive->is_stuck = false;
        archive->request++;
        archive->is_asked = archive->is_to_be_told = true;
        return;
    }
    if (archive->session != session_number || archive->is_asked)
    {
        return; /* another one's turn, or the caller's */
    }
    archive->is_stuck = false;
    const uint32_t count = gateway_take_archived(gateway);
    if (gateway_send_frame(gateway, session, count) != OME_OK)
    {
        gateway->is_behind_stuck = true;
        return;
    }
    ome_counter_add(gateway->config.counters.reports_resent, count);
    *served += count;
    archive->next += count;
    if (archive->next == archive->count)
    {
        archive->session = 0;
    }
}

/* Whether the session is still behind: new reports are sent at once to one that is not. */
static bool gateway_stays_behind(ome_session_slot_t *session)
{
    if (session->is_behind && session->sent_sequence != session->report_sequence)
    {
        return true;
    }
    session->is_behind = false;
    session->next_kept = 0;
    return false;
}

/* Returns false when the session is no longer behind. */
static bool gateway_serve_one(ome_gateway_t *gateway, uint16_t session_number, uint32_t *served)
{
    const ome_socket_t *socket = gateway->config.socket;
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    if (!gateway_stays_behind(session))
    {
        return false;
    }
    if (socket->queued(socket->context, session->peer) > BEHIND_QUEUE_BYTES)
    {
        gateway->is_behind_stuck = true;
        gateway->archive.is_stuck |= gateway->archive.session == session_number && !gateway->archive.is_asked;
        return true;
    }
    const ome_copy_place_t place = session->is_copy ? ome_gateway_find_copy(gateway, session) : OME_COPY_HERE;
    if (place == OME_COPY_GONE || (!session->is_copy && gateway_wants_archive(gateway, session)))
    {
        gateway_serve_archived(gateway, session_number, served);
        return gateway_stays_behind(session);
    }
    if (gateway->archive.session == session_number)
    {
        gateway->archive.session = 0; /* the rest of what the caller gave is in memory too */
    }
    if (place == OME_COPY_LOOKING || (!session->is_copy && !gateway_find_kept(gateway, session)))
    {
        *served += 1; /* it has been looked for, and is found in a later turn */
        return true;
    }
    uint64_t next;
    const uint32_t count = gateway_take_kept(gateway, session, &next);
    if (gateway_send_frame(gateway, session, count) == OME_OK)
    {
        session->next_kept = next != 0 || session->is_copy ? next : session->last_kept; /* where it goes on */
        ome_counter_add(gateway->config.counters.reports_resent, count);
        *served += count;
        return gateway_stays_behind(session);
    }
    gateway->is_behind_stuck = true;
    return true;
}

uint32_t ome_gateway_serve_behind(ome_gateway_t *gateway)
{
    uint32_t served = 0;
    uint32_t left = 0;
    gateway->is_behind_stuck = false;
    for (uint32_t i = 0; i < gateway->behind_count; i++)
    {
        const uint16_t session = gateway->behind[i];
        if (gateway_serve_one(gateway, session, &served))
        {
            gateway->behind[left++] = session;
        }
    }
    gateway->behind_count = left;
    return served;
}

void ome_gateway_wanted(const ome_gateway_t *gateway, ome_gateway_wanted_t *wanted)
{
    const ome_session_slot_t *session = &gateway->table.sessions[gateway->archive.session];
    *wanted = (ome_gateway_wanted_t){.next_report_sequence = session->sent_sequence + 1,
        .report_sequence = session->report_sequence,
        .settled_sequence = session->is_copy ? ome_gateway_copies_settled(gateway, session->participant) : session->defined_sequence,
        .request = gateway->archive.request,
        .session = gateway->archive.session,
        .participant = session->is_copy ? session->participant : 0};
}

/* The session goes on with this report, since those before are gone. */
static void gateway_skip_to(ome_gateway_t *gateway, uint16_t session_number, uint64_t report_sequence)
{
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    session->sent_sequence = report_sequence - 1;
    gateway_tell_resend(gateway, session_number, OME_REASON_REPORTS_GONE);
}

/* The number of the first report in memory behind those that are gone; 0: it has to be looked for once more. */
static uint64_t gateway_first_kept(const ome_gateway_t *gateway, const ome_session_slot_t *session)
{
    if (session->is_copy)
    {
        return ome_gateway_copy_at(gateway, session);
    }
    return session->first_kept == 0 ? session->report_sequence + 1
                                    : ome_report_history_at(&gateway->history, session->first_kept)->report.report_sequence;
}

void ome_gateway_give_reports(ome_gateway_t *gateway, uint32_t request, const uint8_t *reports, uint32_t count)
{
    ome_gateway_archive_t *archive = &gateway->archive;
    const uint16_t session_number = archive->session;
    const ome_session_slot_t *session = &gateway->table.sessions[session_number];
    if (session_number == 0 || archive->request != request || !archive->is_asked)
    {
        return; /* something else is wanted by now */
    }
    OME_ASSERT(count <= OME_GATEWAY_ARCHIVE_COUNT_MAX);
    memcpy(archive->reports, reports, (size_t)count * sizeof(ome_execution_report_t));
    while (count > 0 && archive->reports[count - 1].report_sequence > session->report_sequence)
    {
        count--; /* the journal is ahead of what may be published */
    }
    archive->count = count;
    archive->next = 0;
    archive->is_asked = archive->is_to_be_told = archive->is_stuck = false;
    archive->session = count == 0 ? 0 : session_number;
    const uint64_t first = count == 0 ? gateway_first_kept(gateway, session) : archive->reports[0].report_sequence;
    if (first == 0)
    {
        return;
    }
    OME_ASSERT(first > session->sent_sequence);
    if (first != session->sent_sequence + 1)
    {
        gateway_skip_to(gateway, session_number, first);
    }
}

/* ---- answers again ---- */

/* The session's first report of this command; 0 where it is not in memory, or too far back. */
static uint64_t gateway_first_of_command(const ome_gateway_t *gateway, const ome_session_slot_t *session, uint64_t sequence)
{
    const ome_report_history_t *history = &gateway->history;
    uint64_t number = session->last_kept;
    uint64_t first = 0;
    uint32_t looks = 0;
    while (looks++ < LOOKS_MAX && ome_report_history_has(history, number))
    {
        const ome_kept_report_t *kept = ome_report_history_at(history, number);
        if (kept->report.engine_sequence < sequence)
        {
            return first;
        }
        first = kept->report.engine_sequence == sequence ? number : first;
        number = ome_report_history_previous(history, number);
    }
    return looks <= LOOKS_MAX ? first : 0;
}

bool ome_gateway_repeat(ome_gateway_t *gateway, uint16_t session_number, uint64_t sequence)
{
    const ome_session_slot_t *session = &gateway->table.sessions[session_number];
    uint64_t number = ome_report_history_covers(&gateway->history, sequence) ? gateway_first_of_command(gateway, session, sequence) : 0;
    if (number == 0)
    {
        return false;
    }
    while (number != 0)
    {
        uint32_t count = 0;
        while (number != 0 && count < OME_GATEWAY_REPORT_COUNT_MAX)
        {
            const ome_kept_report_t *kept = ome_report_history_at(&gateway->history, number);
            if (kept->report.engine_sequence != sequence || kept->report.report_sequence > session->sent_sequence)
            {
                number = 0; /* the rest has not been sent, and comes */
                break;
            }
            gateway->frame[count++] = kept->report;
            number = ome_report_history_next(&gateway->history, number);
        }
        if (count > 0)
        {
            (void)ome_gateway_send(
                gateway, session->peer, (const uint8_t *)gateway->frame, (uint32_t)(count * sizeof(ome_execution_report_t)));
            ome_counter_add(gateway->config.counters.reports_resent, count);
        }
    }
    return true;
}
