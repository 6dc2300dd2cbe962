/* Commands to the engine, and what comes back: in the engine's process by its ring and its events, in another one by the link (ome_link.h). */
#include <sched.h>
#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "wire/ome_gateway_state.h"

/* Of one turn. */
#define RECORD_COUNT_PER_TURN OME_GATEWAY_REPORT_COUNT_MAX

/* ---- sequences that become known ---- */

/* The command at this position of the entries has got its sequence: if it has defined a session, this is when. */
static void gateway_sequence_definition(ome_gateway_t *gateway, const ome_command_t *command, uint64_t position, uint64_t sequence)
{
    ome_session_slot_t *slot = &gateway->table.sessions[command->session];
    if (slot->definition_sequence == (OME_LINK_UNSEQUENCED | position))
    {
        slot->definition_sequence = sequence;
    }
    if (slot->defined_sequence == (OME_LINK_UNSEQUENCED | position))
    {
        slot->defined_sequence = sequence;
    }
}

/* Reads which sequences the commands got that the engine's process has taken since. */
static void gateway_take_sequences(ome_gateway_t *gateway)
{
    ome_link_t *link = gateway->config.link;
    /* Acquire: pairs with the release in ome_channel_consume, before which the sequences are written. */
    const uint64_t consumed = atomic_load_explicit(&link->entries.consumed->value, memory_order_acquire);
    for (; link->sequenced < consumed; link->sequenced++)
    {
        const uint64_t sequence = link->sequences[link->sequenced & (link->entries.slot_count - 1)];
        const ome_command_t *command = ome_channel_slot(&link->entries, link->sequenced);
        if (command->kind == OME_COMMAND_KIND_DEFINE_SESSION)
        {
            gateway_sequence_definition(gateway, command, link->sequenced, sequence);
        }
        ome_runs_sequence(&gateway->runs, OME_LINK_UNSEQUENCED | link->sequenced, sequence);
    }
}

/* ---- commands to the engine ---- */

static bool gateway_has_room(ome_gateway_t *gateway, uint32_t count)
{
    ome_link_t *link = gateway->config.link;
    if (link->entries.slot_count - (link->entries.position - link->sequenced) < count)
    {
        gateway_take_sequences(gateway);
    }
    return link->entries.slot_count - (link->entries.position - link->sequenced) >= count &&
           ome_channel_room(&link->entries, count) == count;
}

static ome_status_t gateway_claim_entries(ome_gateway_t *gateway, uint32_t count, ome_ingress_claim_t *claim)
{
    const uint64_t begun_ns = ome_clock_monotonic_ns();
    if (!gateway->config.is_open(gateway->config.context))
    {
        return OME_STOPPED;
    }
    while (!gateway_has_room(gateway, count))
    {
        if (ome_clock_monotonic_ns() - begun_ns >= OME_RING_CLAIM_SPIN_NS_DEFAULT)
        {
            return OME_FULL;
        }
        sched_yield();
    }
    *claim = (ome_ingress_claim_t){.first_sequence = OME_LINK_UNSEQUENCED | gateway->config.link->entries.position, .count = count};
    return OME_OK;
}

ome_status_t ome_gateway_claim(ome_gateway_t *gateway, uint32_t count, ome_ingress_claim_t *claim)
{
    return gateway->config.link != NULL ? gateway_claim_entries(gateway, count, claim)
                                        : ome_ingress_claim(&gateway->config.ingress, count, claim);
}

ome_command_t *ome_gateway_put(const ome_gateway_t *gateway, const ome_ingress_claim_t *claim, uint32_t index, const void *record)
{
    if (gateway->config.link == NULL)
    {
        return ome_ingress_put(&gateway->config.ingress, claim, index, record);
    }
    const uint64_t claimed = index == 0 ? claim->count : 0; /* where there will be a sequence */
    uint8_t *slot = ome_channel_slot(&gateway->config.link->entries, (claim->first_sequence & ~OME_LINK_UNSEQUENCED) + index);
    memcpy(slot, &claimed, sizeof(claimed));
    memcpy(slot + sizeof(claimed), (const uint8_t *)record + sizeof(claimed), OME_BODY_SIZE);
    return (ome_command_t *)(void *)slot;
}

void ome_gateway_publish(ome_gateway_t *gateway, const ome_ingress_claim_t *claim)
{
    ome_link_t *link = gateway->config.link;
    if (link == NULL)
    {
        ome_ingress_publish(&gateway->config.ingress, claim);
        return;
    }
    ome_channel_publish(&link->entries, claim->count);
    ome_bell_ring(&link->board->bell, OME_BELL_RECORDS, link->event_fd, &link->rung);
}

ome_status_t ome_gateway_submit(ome_gateway_t *gateway, const void *commands, uint32_t count)
{
    ome_ingress_claim_t claim;
    const ome_status_t status = ome_gateway_claim(gateway, count, &claim);
    for (uint32_t i = 0; i < count && status == OME_OK; i++)
    {
        (void)ome_gateway_put(gateway, &claim, i, (const uint8_t *)commands + (size_t)i * OME_RECORD_SIZE);
    }
    if (status == OME_OK)
    {
        ome_gateway_publish(gateway, &claim);
    }
    return status;
}

uint64_t ome_gateway_cursor(const ome_gateway_t *gateway)
{
    const ome_link_t *link = gateway->config.link;
    return link != NULL ? atomic_load_explicit(&link->board->cursor.value, memory_order_relaxed)
                        : ome_ring_cursor(gateway->config.ingress.ring);
}

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
    uint32_t count = 0;
    atomic_store_explicit(
        &link->life->turns.value, atomic_load_explicit(&link->life->turns.value, memory_order_relaxed) + 1, memory_order_relaxed);
    gateway_take_sequences(gateway); /* after the records were looked at: those of their commands are known */
    while (count < available && count < RECORD_COUNT_PER_TURN && !gateway->has_event)
    {
        gateway_take_record(gateway, ome_channel_slot(records, records->position + count));
        count++;
    }
    if (count > 0)
    {
        ome_channel_consume(records, count);
        ome_bell_ring(&link->board->bell, OME_BELL_ROOM, link->event_fd, &link->rung);
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
