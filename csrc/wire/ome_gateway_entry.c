/* Commands to the engine: in its process by its ring, in another one by the link (ome_link.h). */
#include <sched.h>

#include "base/ome_clock.h"
#include "wire/ome_gateway_state.h"

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

void ome_gateway_take_sequences(ome_gateway_t *gateway)
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
        ome_gateway_take_sequences(gateway);
    }
    return link->entries.slot_count - (link->entries.position - link->sequenced) >= count &&
           ome_channel_room(&link->entries, count) == count;
}

ome_status_t ome_gateway_claim_entries(ome_gateway_t *gateway, uint32_t count, ome_ingress_claim_t *claim)
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

void ome_gateway_publish_entries(const ome_gateway_t *gateway, const ome_ingress_claim_t *claim)
{
    ome_link_t *link = gateway->config.link;
    ome_channel_publish(&link->entries, claim->count);
    ome_bell_ring(&link->board->bell, OME_BELL_RECORDS, link->bell_fd, &link->rung);
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
