#include "wire/ome_port.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "wire/ome_frame.h"
#include "wire/ome_report_history.h"

/* The work of one turn, before the other direction gets its turn. */
#define EVENT_COUNT_PER_TURN 512u
#define RECORD_COUNT_PER_TURN 1024u

#define NS_PER_MS UINT64_C(1000000)
/* The board's copy of the time is renewed so often. */
#define PAUSE_MS_MAX 20u

/* A definition of a session that is on its way to the engine. */
typedef struct
{
    uint64_t sequence;
    ome_link_session_t session;
} ome_port_definition_t;

struct ome_port
{
    ome_port_config_t config;
    ome_link_t link;
    ome_reports_t reports;
    ome_session_table_t table; /* of all sessions; none has a connection here */
    ome_link_record_t *history;
    uint64_t made_count; /* records that were ever put into the history */
    uint64_t sent_count; /* of them, those that the gateway got, or that were there before it and are not for it */
    uint64_t live_from;  /* those before are of before the gateway began */
    ome_port_definition_t *definitions;
    uint32_t definition_count_max;
    uint64_t definitions_made;
    uint64_t definitions_done;
    uint64_t last_sequence; /* of the last command that came from a gateway */
    ome_event_t event;
    bool has_event;
    bool is_attached;
    bool is_due;    /* to attach, when everything is published that was sent */
    bool has_begun; /* it knows everything that was before */
    bool is_broken;
    atomic_bool is_closing; /* set by another thread */
};

static void port_lay_out(ome_port_t *port, ome_arena_t *arena, const ome_port_config_t *config)
{
    ome_reports_init(&port->reports, arena, config->order_count_max, config->link.session_count_max);
    ome_session_table_init(&port->table, arena, config->link.session_count_max, 0, 0);
    port->history = ome_arena_take(arena, (uint64_t)config->history_count * sizeof(ome_link_record_t));
    port->definition_count_max = 2 * config->ingress.ring->slot_count;
    port->definitions = ome_arena_take(arena, (uint64_t)port->definition_count_max * sizeof(ome_port_definition_t));
}

uint64_t ome_port_size_bytes(const ome_port_config_t *config)
{
    ome_port_t port;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_port_t));
    port_lay_out(&port, &arena, config);
    return arena.used_bytes;
}

ome_status_t ome_port_init(
    ome_port_t **port, void *memory, uint64_t size_bytes, const ome_port_config_t *config, const ome_engine_t *engine)
{
    if (size_bytes < ome_port_size_bytes(config))
    {
        return OME_NO_MEMORY;
    }
    OME_ASSERT(config->history_count >= RECORD_COUNT_PER_TURN && (config->history_count & (config->history_count - 1)) == 0);
    OME_ASSERT(config->link.record_count > config->link.session_count_max + 1);
    ome_arena_t arena = {.memory = memory};
    ome_port_t *made = ome_arena_take(&arena, sizeof(ome_port_t));
    made->config = *config;
    port_lay_out(made, &arena, config);
    ome_link_view(&made->link, &config->link, config->engines, config->gateways, config->gateway_bell_fd);
    made->reports.order_counts = made->link.order_counts; /* where the gateway sees them */
    ome_reports_seed(&made->reports, engine);
    ome_session_table_seed(&made->table, engine);
    made->reports.sequence = made->last_sequence = engine->sequence;
    (void)ome_wait_set_event_fd(ome_reader_wait(&config->reader), config->event_fd);
    *port = made;
    return OME_OK;
}

/* ---- entries ---- */

static bool port_is_of_gateway(const ome_port_t *port, const ome_command_t *command)
{
    const bool is_kind = ome_message_class(command->kind) == OME_MESSAGE_CLASS_ORDER || command->kind == OME_COMMAND_KIND_DEFINE_SESSION;
    return is_kind && command->session >= 1 && command->session <= port->config.link.session_count_max;
}

/* Whether the engine takes the number of a command, as far as it is known here: a gateway that begins must go on with the engine's number, and
 * not with what a broken one before it has said. */
static bool port_is_number_taken(const ome_port_t *port, const ome_session_slot_t *slot, const ome_command_t *command)
{
    const bool is_being_defined = slot->definition_sequence > port->reports.sequence;
    const bool is_its_own = is_being_defined || (slot->is_defined && slot->participant == command->participant);
    return is_its_own && command->session_sequence == ome_session_next_sequence(slot->command_sequence);
}

/* What follows from a command of the gateway for its session. */
static void port_note_command(ome_port_t *port, const ome_command_t *command, uint64_t sequence)
{
    ome_session_slot_t *slot = &port->table.sessions[command->session];
    if (command->kind != OME_COMMAND_KIND_DEFINE_SESSION)
    {
        slot->command_sequence = port_is_number_taken(port, slot, command) ? command->session_sequence : slot->command_sequence;
        return;
    }
    if (!slot->is_defined && slot->definition_sequence <= port->reports.sequence)
    {
        slot->command_sequence = 0; /* nothing is on its way for another one */
    }
    slot->definition_sequence = sequence;
    ome_port_definition_t *definition = &port->definitions[port->definitions_made++ & (port->definition_count_max - 1)];
    *definition = (ome_port_definition_t){.sequence = sequence,
        .session = {.session = command->session,
            .participant = command->participant,
            .session_number = command->session_number,
            .flags = command->session_flags}};
    memcpy(definition->session.participant_name, command->participant_name, OME_NAME_SIZE);
}

/* Copies a claim into the inbound ring, checking the copies: the gateway could change what it has published. A command that may not come from
 * a gateway becomes one of no kind, which the engine rejects: the sequences are fixed by then. */
static void port_sequence_claim(ome_port_t *port, uint32_t count, const ome_ingress_claim_t *claim)
{
    ome_channel_t *entries = &port->link.entries;
    for (uint32_t i = 0; i < count; i++)
    {
        const uint64_t position = entries->position + i;
        ome_command_t *command = ome_ingress_put(&port->config.ingress, claim, i, ome_channel_slot(entries, position));
        if (!port_is_of_gateway(port, command))
        {
            port->is_broken = true;
            memset((uint8_t *)command + sizeof(uint64_t), 0, OME_BODY_SIZE);
            command->timestamp_ns = claim->now_ns;
        }
        else
        {
            port_note_command(port, command, claim->first_sequence + i);
        }
        port->link.sequences[position & (entries->slot_count - 1)] = claim->first_sequence + i;
    }
    ome_ingress_publish(&port->config.ingress, claim);
    port->last_sequence = claim->first_sequence + count - 1;
}

/* The messages of the next claim, all of which are there; 0 where the gateway has said what cannot be. */
static uint32_t port_claim_count(const ome_port_t *port, uint32_t available)
{
    const ome_channel_t *entries = &port->link.entries;
    const uint64_t *first = ome_channel_slot(entries, entries->position);
    const uint64_t count = *(const volatile uint64_t *)first;
    return count >= 1 && count <= available && count <= port->config.ingress.ring->slot_count ? (uint32_t)count : 0;
}

/* Takes what the gateway has published, as far as the ring has room. Returns how many commands; `is_stuck`: some are left. */
static uint32_t port_take_entries(ome_port_t *port, bool *is_stuck)
{
    ome_channel_t *entries = &port->link.entries;
    uint32_t available = ome_channel_available(entries);
    uint32_t taken = 0;
    *is_stuck = false;
    while (taken < available && !port->is_broken)
    {
        const uint32_t count = port_claim_count(port, available - taken);
        ome_ingress_claim_t claim;
        port->is_broken = count == 0;
        const bool has_room = port->definitions_made - port->definitions_done + count <= port->definition_count_max;
        if (count == 0 || !has_room || ome_ingress_claim(&port->config.ingress, count, &claim) != OME_OK)
        {
            *is_stuck = count != 0;
            break;
        }
        port_sequence_claim(port, count, &claim);
        ome_channel_consume(entries, count);
        taken += count;
    }
    port->is_broken |= entries->is_broken;
    return taken;
}

/* ---- events ---- */

/* Keeps one more record. One that the gateway has not got yet is overwritten at the worst: of those of before it has one less then, and of new
 * ones it may miss none. */
static ome_link_record_t *port_keep(ome_port_t *port, ome_link_kind_t kind)
{
    if (port->is_attached && port->made_count - port->sent_count == port->config.history_count)
    {
        port->is_broken |= port->sent_count >= port->live_from;
        port->sent_count++;
    }
    ome_link_record_t *record = &port->history[port->made_count++ & (port->config.history_count - 1)];
    record->kind = kind;
    return record;
}

static bool port_is_same_session(const ome_session_slot_t *slot, const ome_link_session_t *session)
{
    return slot->is_defined && slot->participant == session->participant && slot->session_number == session->session_number &&
           memcmp(slot->participant_name, session->participant_name, OME_NAME_SIZE) == 0;
}

/* The number is this session's from the event's command on. */
static void port_begin_session(ome_port_t *port, const ome_event_t *event, const ome_link_session_t *session)
{
    ome_session_slot_t *slot = &port->table.sessions[event->session];
    if (!port_is_same_session(slot, session))
    {
        const uint32_t command_sequence = slot->is_defined ? 0 : slot->command_sequence;
        const uint64_t definition_sequence = slot->definition_sequence;
        *slot = (ome_session_slot_t){.is_defined = true,
            .participant = session->participant,
            .session_number = session->session_number,
            .command_sequence = command_sequence,
            .definition_sequence = definition_sequence,
            .defined_sequence = event->sequence};
        memcpy(slot->participant_name, session->participant_name, OME_NAME_SIZE);
    }
    slot->defined_flags = session->flags;
}

/* Somebody else than a gateway has defined a session: of its new owner no more is known than the participant. */
static void port_note_other(ome_port_t *port, const ome_event_t *event)
{
    const bool is_of_session = event->kind == OME_EVENT_KIND_DEFINED && event->command_kind == OME_COMMAND_KIND_DEFINE_SESSION &&
                               event->session <= port->table.session_count_max;
    ome_session_slot_t *slot = &port->table.sessions[is_of_session ? event->session : 0];
    if (is_of_session && (!slot->is_defined || slot->participant != event->participant))
    {
        *slot = (ome_session_slot_t){.is_defined = true, .participant = event->participant, .defined_sequence = event->sequence};
    }
}

/* The answer to a definition: what a gateway's said is known from the command. */
static void port_note_definition(ome_port_t *port, const ome_event_t *event)
{
    while (port->definitions_done != port->definitions_made)
    {
        const ome_port_definition_t *definition = &port->definitions[port->definitions_done & (port->definition_count_max - 1)];
        if (definition->sequence > event->sequence)
        {
            break;
        }
        port->definitions_done++;
        if (definition->sequence == event->sequence)
        {
            if (event->kind == OME_EVENT_KIND_DEFINED)
            {
                port_begin_session(port, event, &definition->session);
            }
            return;
        }
    }
    port_note_other(port, event);
}

static void port_take_event(ome_port_t *port, const ome_event_t *event, uint64_t now_ns)
{
    ome_execution_report_t made[2];
    const uint32_t count = ome_reports_make(&port->reports, event, made);
    for (uint32_t i = 0; i < count; i++)
    {
        ome_session_slot_t *slot = ome_session_table_owner(&port->table, &made[i]);
        if (slot != NULL)
        {
            made[i].report_sequence = ++slot->report_sequence;
            ome_link_record_t *record = port_keep(port, OME_LINK_REPORT);
            record->report = made[i];
            record->copy = ome_report_copy(slot->participant, ++port->table.participants[slot->participant].report_sequence);
        }
    }
    ome_report_counters_count(&port->config.counters, event, now_ns);
    if (ome_event_is_definition_answer(event))
    {
        (void)ome_session_table_note_participant(&port->table, event);
        port_note_definition(port, event);
        port_keep(port, OME_LINK_DEFINITION)->event = *event;
        port->event = *event;
        port->has_event = true;
    }
}

/* Reads events that may be published, until a definition is among them. Returns how many. */
static uint32_t port_take_events(ome_port_t *port)
{
    const ome_event_t *events;
    const uint32_t available = ome_reader_take(&port->config.reader, EVENT_COUNT_PER_TURN, &events);
    const uint64_t now_ns = available > 0 ? ome_venue_clock_now_ns(port->config.ingress.clock) : 0;
    uint32_t count = 0;
    while (count < available && !port->has_event)
    {
        port_take_event(port, &events[count++], now_ns);
    }
    if (count > 0)
    {
        port->reports.sequence = events[count - 1].sequence;
        ome_reader_advance(&port->config.reader, count);
    }
    return count;
}

/* ---- records to the gateway ---- */

static ome_link_record_t *port_next_record(const ome_port_t *port, uint32_t count)
{
    return ome_channel_slot(&port->link.records, port->link.records.position + count);
}

/* Everything that was sent is published: the gateway begins with all sessions. */
static void port_begin_gateway(ome_port_t *port)
{
    uint32_t count = 0;
    const uint32_t room = ome_channel_room(&port->link.records, port->config.link.session_count_max + 1);
    OME_ASSERT(room == port->config.link.session_count_max + 1); /* nothing was sent yet */
    for (uint32_t number = 1; number <= port->config.link.session_count_max; number++)
    {
        const ome_session_slot_t *slot = &port->table.sessions[number];
        if (!slot->is_defined)
        {
            continue;
        }
        ome_link_record_t *record = port_next_record(port, count++);
        record->kind = OME_LINK_SESSION;
        record->session = (ome_link_session_t){.report_sequence = slot->report_sequence,
            .participant_reports = port->table.participants[slot->participant].report_sequence,
            .defined_sequence = slot->defined_sequence,
            .command_sequence = slot->command_sequence,
            .session = (uint16_t)number,
            .participant = slot->participant,
            .session_number = slot->session_number,
            .flags = slot->defined_flags};
        memcpy(record->session.participant_name, slot->participant_name, OME_NAME_SIZE);
    }
    ome_channel_publish(&port->link.records, count);
    port->live_from = port->made_count;
    port->sent_count = port->made_count > port->config.history_count ? port->made_count - port->config.history_count : 0;
    port->is_due = false;
    port->is_attached = true;
}

/* A report of before that the sessions of now, or drop copies of their participants, may want again. */
static bool port_is_wanted(const ome_port_t *port, const ome_link_record_t *record)
{
    const uint16_t participant = ome_report_copy_participant(record->copy);
    return record->kind == OME_LINK_REPORT && ome_session_table_is_participants(&port->table, participant, record->report.engine_sequence);
}

/* Sends what the gateway has not got, as far as there is room. Returns how many records it has looked at. */
static uint32_t port_send_records(ome_port_t *port)
{
    ome_channel_t *records = &port->link.records;
    const uint32_t room = ome_channel_room(records, RECORD_COUNT_PER_TURN);
    uint32_t count = 0;
    uint32_t looks = 0;
    while (count < room && looks < RECORD_COUNT_PER_TURN && port->sent_count < port->made_count)
    {
        const bool is_live = port->sent_count >= port->live_from;
        if (is_live && !port->has_begun)
        {
            break;
        }
        const ome_link_record_t *from = &port->history[port->sent_count++ & (port->config.history_count - 1)];
        looks++;
        if (is_live || port_is_wanted(port, from))
        {
            ome_link_record_t *record = port_next_record(port, count++);
            *record = *from;
            record->kind = is_live ? from->kind : OME_LINK_KEPT;
        }
    }
    if (!port->has_begun && port->sent_count >= port->live_from && count < room)
    {
        port_next_record(port, count++)->kind = OME_LINK_BEGIN;
        port->has_begun = true;
        looks++;
    }
    if (count > 0)
    {
        ome_channel_publish(records, count);
    }
    port->is_broken |= records->is_broken;
    return looks;
}

/* ---- the gateway, and the other end of the link ---- */

static void port_reset_link(ome_port_t *port)
{
    ome_link_t *link = &port->link;
    const ome_link_config_t *config = &port->config.link;
    uint64_t engines;
    uint64_t gateways;
    ome_link_size_bytes(config, &engines, &gateways);
    memset(port->config.gateways, 0, gateways);
    atomic_store_explicit(&link->entries.consumed->value, 0, memory_order_relaxed);
    atomic_store_explicit(&link->records.published->value, 0, memory_order_relaxed);
    ome_link_t fresh;
    ome_link_view(&fresh, config, port->config.engines, port->config.gateways, port->config.gateway_bell_fd);
    link->entries = fresh.entries; /* and nothing else: other threads look at the rest, which is where it was */
    link->records = fresh.records;
    link->rung = 0;
}

void ome_port_attach(ome_port_t *port)
{
    OME_ASSERT(!port->is_attached);
    port_reset_link(port);
    port->is_due = true;
    port->is_broken = port->has_begun = false;
}

bool ome_port_detach(ome_port_t *port)
{
    bool is_stuck = false;
    if (port->is_attached)
    {
        (void)port_take_entries(port, &is_stuck);
    }
    if (is_stuck && !ome_ring_is_closed(port->config.ingress.ring))
    {
        return false;
    }
    memset((void *)(uintptr_t)port->link.is_connected, 0, port->config.link.session_count_max + 1);
    port->is_attached = port->is_due = false;
    return true;
}

void ome_port_close_entry(ome_port_t *port)
{
    atomic_store_explicit(&port->is_closing, true, memory_order_relaxed);
}

/* Tells the gateway what it has to know beside the records. */
static void port_write_board(ome_port_t *port)
{
    ome_link_board_t *board = port->link.board;
    const ome_port_config_t *config = &port->config;
    const bool is_open = !atomic_load_explicit(&port->is_closing, memory_order_relaxed) && config->is_open(config->context);
    if (port->is_attached && port->has_begun && port->sent_count == port->made_count)
    {
        atomic_store_explicit(&board->answered.value, port->reports.sequence, memory_order_release);
    }
    atomic_store_explicit(&board->cursor.value, ome_ring_cursor(config->ingress.ring), memory_order_relaxed);
    atomic_store_explicit(&board->is_open, is_open, memory_order_relaxed);
    atomic_store_explicit(&board->storage, config->storage(config->context), memory_order_relaxed);
    ome_venue_clock_copy(config->ingress.clock, &board->clock);
}

/* Does what can be done without waiting. Returns how much it was; `is_stuck`: the inbound ring is full. */
static uint32_t port_turn(ome_port_t *port, bool *is_stuck)
{
    uint32_t work = port_take_events(port);
    *is_stuck = false;
    if (port->is_due && port->reports.sequence >= port->last_sequence)
    {
        port_begin_gateway(port);
        work++;
    }
    if (port->is_attached)
    {
        const uint64_t position = port->link.records.position;
        const uint32_t taken = port_take_entries(port, is_stuck);
        work += taken + port_send_records(port);
        port_write_board(port);
        if (port->link.records.position != position)
        {
            ome_bell_ring(&port->link.life->bell, OME_BELL_RECORDS, port->link.bell_fd, &port->link.rung);
        }
    }
    return work;
}

static bool port_has_work(ome_port_t *port)
{
    const bool has_entries = port->is_attached && ome_channel_available(&port->link.entries) > 0;
    const bool can_send = port->is_attached && port->sent_count < port->made_count && ome_channel_room(&port->link.records, 1) > 0;
    return has_entries || can_send || ome_reader_has_event(&port->config.reader);
}

static void port_sleep(ome_port_t *port, uint32_t timeout_ms, bool is_stuck)
{
    ome_wait_t *wait = ome_reader_wait(&port->config.reader);
    struct pollfd waited[2] = {{.fd = port->config.event_fd, .events = POLLIN}, {.fd = port->config.bell_fd, .events = POLLIN}};
    uint64_t count;
    ome_wait_prepare(wait);
    const bool waits_for_room = port->is_attached && port->sent_count < port->made_count;
    ome_bell_prepare(&port->link.board->bell, OME_BELL_RECORDS | (waits_for_room ? OME_BELL_ROOM : 0));
    if ((is_stuck || !port_has_work(port)) && poll(waited, 2, (int)timeout_ms) > 0)
    {
        OME_ASSERT(read(port->config.event_fd, &count, sizeof(count)) == sizeof(count) || errno == EAGAIN);
        ome_bell_hear(port->config.bell_fd);
    }
    ome_bell_cancel(&port->link.board->bell);
    ome_wait_cancel(wait);
}

ome_port_outcome_t ome_port_run(ome_port_t *port, uint32_t timeout_ms)
{
    uint64_t now_ns = ome_clock_monotonic_ns();
    const uint64_t deadline_ns = now_ns + timeout_ms * NS_PER_MS;
    port->has_event = false;
    do
    {
        bool is_stuck;
        const uint32_t work = port_turn(port, &is_stuck);
        if (port->has_event)
        {
            return OME_PORT_DEFINED;
        }
        if (port->is_broken && port->is_attached)
        {
            return OME_PORT_BROKEN;
        }
        now_ns = ome_clock_monotonic_ns();
        if (work == 0 && now_ns < deadline_ns)
        {
            const uint64_t left_ms = (deadline_ns - now_ns) / NS_PER_MS + 1;
            port_sleep(port, is_stuck ? 1 : left_ms < PAUSE_MS_MAX ? (uint32_t)left_ms : PAUSE_MS_MAX, is_stuck);
        }
    } while (now_ns < deadline_ns);
    return OME_PORT_IDLE;
}

/* ---- questions ---- */

const void *ome_port_event(const ome_port_t *port)
{
    return &port->event;
}

bool ome_port_is_flushed(const ome_port_t *port)
{
    const ome_link_t *link = &port->link;
    const uint64_t consumed = atomic_load_explicit(&link->records.consumed->value, memory_order_acquire);
    const uint64_t published = atomic_load_explicit(&link->entries.published->value, memory_order_acquire);
    const bool is_sent = port->sent_count == port->made_count && consumed == link->records.position;
    return is_sent && published == link->entries.position && !ome_reader_has_event(&port->config.reader);
}

uint64_t ome_port_turns(const ome_port_t *port)
{
    return atomic_load_explicit(&port->link.life->turns.value, memory_order_relaxed);
}

const _Atomic uint8_t *ome_port_connected(const ome_port_t *port)
{
    return port->link.is_connected;
}

uint64_t ome_port_counter(const ome_port_t *port, uint32_t index)
{
    OME_ASSERT(index < port->config.link.counters->counter_count);
    const ome_counter_t *counters = (const ome_counter_t *)(const void *)(port->link.counters.header + 1);
    return ome_counter_get(&counters[index]); /* not as ome_counters_counter does, which believes the header */
}
