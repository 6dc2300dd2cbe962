/* What comes back from the engine where it is another process, and sleep until something does. */
#include <string.h>

#include "base/ome_assert.h"
#include "wire/ome_gateway_state.h"

/* Of one turn. */
#define RECORD_COUNT_PER_TURN OME_GATEWAY_REPORT_COUNT_MAX

/* ---- what comes back ---- */

static void gateway_take_session(ome_gateway_t *gateway, const ome_link_session_t *session)
{
    ome_session_slot_t *slot = &gateway->table.sessions[session->session];
    *slot = (ome_session_slot_t){.is_defined = true,
        .participant = session->participant,
        .session_number = session->session_number,
        .flags = session->flags,
        .defined_flags = session->flags,
        .command_sequence = session->command_sequence,
        .report_sequence = session->report_sequence,
        .defined_sequence = session->defined_sequence};
    memcpy(slot->participant_name, session->participant_name, OME_NAME_SIZE);
    (void)ome_session_table_own(&gateway->table, session->session, session->participant);
    gateway->table.participants[session->participant].report_sequence = session->participant_reports;
}

/* A report of before. That of a session which is gone is one of its participant's still. */
static void gateway_take_kept_record(ome_gateway_t *gateway, const ome_link_record_t *record)
{
    const bool has_owner = ome_session_table_owner(&gateway->table, &record->report) != NULL;
    (void)ome_report_history_add(&gateway->history, &gateway->table, has_owner ? record->report.session : 0, &record->report, record->copy);
}

static void gateway_take_record(ome_gateway_t *gateway, const ome_link_record_t *record)
{
    ome_session_slot_t *owner;
    switch (record->kind)
    {
    case OME_LINK_SESSION:
        gateway_take_session(gateway, &record->session);
        break;
    case OME_LINK_KEPT:
        gateway_take_kept_record(gateway, record);
        break;
    case OME_LINK_BEGIN:
        gateway->has_begun = true;
        break;
    case OME_LINK_REPORT:
        owner = ome_session_table_owner(&gateway->table, &record->report);
        if (owner != NULL)
        {
            owner->report_sequence = record->report.report_sequence;
            gateway->table.participants[owner->participant].report_sequence = ome_report_copy_sequence(record->copy);
            ome_gateway_keep_report(gateway, owner, &record->report);
        }
        break;
    default:
        ome_gateway_note_definition(gateway, &record->event);
        break;
    }
}

uint32_t ome_gateway_read_link(ome_gateway_t *gateway)
{
    ome_link_t *link = gateway->config.link;
    ome_channel_t *records = &link->records;
    /* Before the records are looked at: those of commands up to it are there then. Pairs with the release in port_write_board. */
    const uint64_t answered = atomic_load_explicit(&link->board->answered.value, memory_order_acquire);
    const uint32_t available = ome_channel_available(records);
    const bool had_begun = gateway->has_begun; /* what comes after the beginning is for a gateway that works */
    uint32_t count = 0;
    atomic_store_explicit(
        &link->life->turns.value, atomic_load_explicit(&link->life->turns.value, memory_order_relaxed) + 1, memory_order_relaxed);
    ome_gateway_take_sequences(gateway); /* after the records were looked at: those of their commands are known */
    while (count < available && count < RECORD_COUNT_PER_TURN && !gateway->has_event && gateway->has_begun == had_begun)
    {
        gateway_take_record(gateway, ome_channel_slot(records, records->position + count));
        count++;
    }
    if (count > 0)
    {
        ome_channel_consume(records, count);
        ome_bell_ring(&link->board->bell, OME_BELL_ROOM, link->bell_fd, &link->rung);
    }
    if (count == available && answered > gateway->answered_sequence)
    {
        ome_gateway_answer(gateway, answered);
    }
    return count;
}

/* ---- sleep ---- */

static ome_status_t gateway_sleep_on_link(ome_gateway_t *gateway, uint32_t timeout_ms)
{
    const ome_gateway_config_t *config = &gateway->config;
    ome_link_t *link = config->link;
    ome_status_t status = OME_OK;
    ome_bell_prepare(&link->life->bell, OME_BELL_RECORDS);
    if (ome_channel_available(&link->records) == 0)
    {
        status = config->socket->wait(config->socket->context, config->event_fd, timeout_ms);
    }
    ome_bell_cancel(&link->life->bell);
    return status;
}

ome_status_t ome_gateway_sleep(ome_gateway_t *gateway, uint32_t timeout_ms)
{
    const ome_gateway_config_t *config = &gateway->config;
    if (config->link != NULL)
    {
        return gateway_sleep_on_link(gateway, timeout_ms);
    }
    ome_wait_t *wait = ome_reader_wait(&config->reader);
    ome_status_t status = OME_OK;
    ome_wait_prepare(wait);
    if (!ome_reader_has_event(&config->reader))
    {
        status = config->socket->wait(config->socket->context, config->event_fd, timeout_ms);
    }
    ome_wait_cancel(wait);
    return status;
}
