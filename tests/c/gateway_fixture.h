/* What the tests of the gateway share: a house of engine, ring, stream and gateway that a test works by hand, with a socket in memory. */
#ifndef GATEWAY_FIXTURE_H
#define GATEWAY_FIXTURE_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ome_clock.h"
#include "commands/ome_apply.h"
#include "gateway_wire.h"
#include "ome_venue_face.h"
#include "ome_test_directory.h"
#include "ome_test_market.h"
#include "pipeline/ome_match_stage.h"
#include "state/ome_state.h"
#include "wire/ome_frame.h"
#include "wire/ome_gateway.h"
#include "wire/ome_port.h"

#define LONG_NS UINT64_C(20000000000) /* a wait this long means that something hangs */

static const ome_limits_t standard_limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 32,
    .rules_version = OME_RULES_VERSION};

static inline void set_header(void *message, uint16_t template_id)
{
    ome_message_header_set(message, template_id, OME_BODY_SIZE);
}

/* ---- a house: engine, ring, stream and gateway, worked by hand ---- */

typedef struct house house_t;

struct house
{
    ome_engine_t *engine;
    ome_ring_t *ring;
    ome_stream_t *stream;
    ome_counters_t counters;
    ome_match_stage_t *stage;
    ome_gateway_t *gateway;
    ome_port_t *port; /* the gateway behaves as in a process of its own; NULL: as in the engine's */
    ome_link_t link;  /* then: the gateway's view */
    void *regions[2];
    wire_t *wire;
    ome_venue_clock_t clock;
    int event_fd;
    int port_event_fd;
    int port_bell[2]; /* who sleeps, who rings */
    int gateway_bell[2];
    atomic_bool is_abandoned;
    bool is_open;
    uint8_t storage; /* ome_storage_t */
    ome_published_t published;
    ome_throttle_limits_t throttle;
    uint32_t numbers[8]; /* by session: of the last message that was put in */
    ome_gateway_end_t end; /* the last session that ended, as the caller was told */
    uint32_t end_count;
    uint32_t defined_count;
    ome_gateway_wanted_t wanted;       /* the last question for reports */
    uint32_t wanted_count;
    void (*answer)(house_t *house); /* answers it at once; NULL: nobody does */
    void *answerer;
};

/* Commands up to this one may be published. */
static inline void open_gate(house_t *house, uint64_t sequence)
{
    ome_published_advance(&house->published, OME_GATE_DURABLE, sequence);
}

static inline bool house_is_open(void *context)
{
    return ((const house_t *)context)->is_open;
}

static inline uint8_t house_storage(void *context)
{
    return ((const house_t *)context)->storage;
}

static inline uint64_t count_of(const house_t *house, ome_venue_counter_t counter)
{
    return ome_counter_get(ome_counters_counter(&house->counters, counter));
}

static inline ome_gateway_counters_t gateway_counters(const ome_counters_t *counters)
{
    return (ome_gateway_counters_t){.frames_in = ome_counters_counter(counters, OME_COUNT_FRAMES_IN),
        .messages_in = ome_counters_counter(counters, OME_COUNT_MESSAGES_IN),
        .frames_rejected = ome_counters_counter(counters, OME_COUNT_FRAMES_REJECTED),
        .messages_busy = ome_counters_counter(counters, OME_COUNT_MESSAGES_BUSY),
        .messages_seen = ome_counters_counter(counters, OME_COUNT_MESSAGES_SEEN),
        .messages_throttled = ome_counters_counter(counters, OME_COUNT_MESSAGES_THROTTLED),
        .reports = ome_counters_counter(counters, OME_COUNT_REPORTS),
        .reports_resent = ome_counters_counter(counters, OME_COUNT_REPORTS_RESENT),
        .disconnect_cancels = ome_counters_counter(counters, OME_COUNT_DISCONNECT_CANCELS),
        .reports_undelivered = ome_counters_counter(counters, OME_COUNT_REPORTS_UNDELIVERED),
        .sessions = ome_counters_counter(counters, OME_COUNT_SESSIONS),
        .sessions_ended = ome_counters_counter(counters, OME_COUNT_SESSIONS_ENDED),
        .orders_storage_low = ome_counters_counter(counters, OME_COUNT_ORDERS_STORAGE_LOW),
        .made = {.orders = ome_counters_counter(counters, OME_COUNT_ORDERS),
            .cancels = ome_counters_counter(counters, OME_COUNT_CANCELS),
            .rejects = ome_counters_counter(counters, OME_COUNT_REJECTS),
            .latency = ome_counters_histogram(counters, OME_LATENCY_REPORT)}};
}

/* The port does what it can. */
static inline void pump(house_t *house)
{
    ome_port_outcome_t outcome = OME_PORT_DEFINED;
    while (house->port != NULL && outcome == OME_PORT_DEFINED)
    {
        outcome = ome_port_run(house->port, 0);
        CHECK(outcome != OME_PORT_BROKEN);
    }
}

static inline ome_link_config_t link_config(const house_t *house)
{
    return (ome_link_config_t){.entry_count = house->ring->slot_count,
        .record_count = ome_link_record_count(house->engine->limits.session_count_max),
        .session_count_max = house->engine->limits.session_count_max,
        .counters = &ome_venue_counters_table};
}

static inline void make_port(house_t *house, ome_reader_t reader)
{
    const ome_link_config_t link = link_config(house);
    uint64_t sizes[2];
    ome_link_size_bytes(&link, &sizes[0], &sizes[1]);
    for (uint32_t i = 0; i < 2; i++)
    {
        house->regions[i] = market_memory(sizes[i]);
        memset(house->regions[i], 0, sizes[i]);
    }
    house->port_event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, house->port_bell), 0);
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, house->gateway_bell), 0);
    const ome_port_config_t config = {.ingress = {.ring = house->ring, .clock = &house->clock},
        .reader = reader,
        .is_open = house_is_open,
        .storage = house_storage,
        .context = house,
        .counters = gateway_counters(&house->counters).made,
        .link = link,
        .engines = house->regions[0],
        .gateways = house->regions[1],
        .order_count_max = house->engine->limits.order_count_max,
        .history_count = OME_GATEWAY_HISTORY_COUNT_MIN,
        .event_fd = house->port_event_fd,
        .bell_fd = house->port_bell[0],
        .gateway_bell_fd = house->gateway_bell[1]};
    const uint64_t size_bytes = ome_port_size_bytes(&config);
    void *memory = market_memory(size_bytes);
    CHECK_EQUAL(ome_port_init(&house->port, memory, size_bytes - 1, &config, house->engine), OME_NO_MEMORY);
    CHECK_EQUAL(ome_port_init(&house->port, memory, size_bytes, &config, house->engine), OME_OK);
}

/* A gateway begins, which knows nothing but what the port tells it. */
static inline void take_over(house_t *house)
{
    const ome_link_config_t link = link_config(house);
    ome_port_attach(house->port);
    ome_link_view(&house->link, &link, house->regions[0], house->regions[1], house->port_bell[1]);
    const ome_gateway_config_t config = {.ingress = {.clock = &house->link.board->clock},
        .link = &house->link,
        .is_open = house_is_open,
        .storage = house_storage,
        .context = house,
        .socket = &house->wire->table,
        .counters = gateway_counters(&house->counters),
        .throttle = house->throttle,
        .history_count = OME_GATEWAY_HISTORY_COUNT_MIN,
        .session_count_max = house->engine->limits.session_count_max,
        .connection_slot_max = PEER_COUNT - 1,
        .event_fd = house->gateway_bell[0]};
    const uint64_t size_bytes = ome_gateway_size_bytes(&config);
    void *memory = market_memory(size_bytes);
    CHECK_EQUAL(ome_gateway_init(&house->gateway, memory, size_bytes, &config, NULL), OME_OK);
    ome_status_t status = OME_EMPTY;
    for (uint32_t turns = 0; turns < 64 && status == OME_EMPTY; turns++)
    {
        pump(house);
        status = ome_gateway_take_over(house->gateway);
    }
    CHECK_EQUAL(status, OME_OK);
}

/* With OME_TEST_PORT in the environment, as in a process of its own: the same tests hold for both. */
static inline void make_gateway(house_t *house)
{
    ome_reader_t reader;
    CHECK_EQUAL(ome_published_register(&house->published, "gateway", true, &reader), OME_OK);
    if (getenv("OME_TEST_PORT") != NULL)
    {
        make_port(house, reader);
        take_over(house);
        return;
    }
    const ome_gateway_config_t config = {.ingress = {.ring = house->ring, .clock = &house->clock},
        .reader = reader,
        .is_open = house_is_open,
        .storage = house_storage,
        .context = house,
        .socket = &house->wire->table,
        .counters = gateway_counters(&house->counters),
        .throttle = house->throttle,
        .history_count = OME_GATEWAY_HISTORY_COUNT_MIN,
        .order_count_max = house->engine->limits.order_count_max,
        .session_count_max = house->engine->limits.session_count_max,
        .connection_slot_max = PEER_COUNT - 1,
        .event_fd = house->event_fd};
    const uint64_t size_bytes = ome_gateway_size_bytes(&config);
    void *memory = market_memory(size_bytes);
    CHECK_EQUAL(ome_gateway_init(&house->gateway, memory, size_bytes - 1, &config, house->engine), OME_NO_MEMORY);
    CHECK_EQUAL(ome_gateway_init(&house->gateway, memory, size_bytes, &config, house->engine), OME_OK);
}

/* A house around an engine, which has a history or not, whose participants may send so much. */
static inline house_t *house_throttled(
    ome_engine_t *engine, uint32_t ring_slot_count, uint32_t stream_slot_count, ome_throttle_limits_t throttle)
{
    house_t *house = calloc(1, sizeof(house_t));
    CHECK(house != NULL);
    house->engine = engine;
    house->throttle = throttle;
    ome_venue_clock_init(&house->clock, ome_clock_steady_ns(), ome_clock_realtime_ns(), 0);
    house->is_open = true;
    house->wire = wire_new();
    house->event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(house->event_fd >= 0);
    const ome_ring_config_t ring = {
        .slot_count = ring_slot_count, .consumer_count = 1, .initial_sequence = engine->sequence, .wait_strategy = OME_WAIT_BLOCK};
    const ome_stream_config_t stream = {.slot_count = stream_slot_count, .reader_count = 1, .wait_strategy = OME_WAIT_BLOCK};
    const uint64_t ring_size_bytes = ome_ring_size_bytes(ring_slot_count);
    const uint64_t stream_size_bytes = ome_stream_size_bytes(stream_slot_count);
    const uint64_t counters_size_bytes = ome_counters_size_bytes(OME_COUNT_COUNT, OME_LATENCY_COUNT);
    CHECK_EQUAL(ome_ring_init(&house->ring, market_memory(ring_size_bytes), ring_size_bytes, &ring), OME_OK);
    CHECK_EQUAL(ome_stream_init(&house->stream, market_memory(stream_size_bytes), stream_size_bytes, &stream), OME_OK);
    CHECK_EQUAL(
        ome_counters_init(&house->counters, market_memory(counters_size_bytes), counters_size_bytes, &ome_venue_counters_table, 1), OME_OK);
    house->stage = market_memory(sizeof(ome_match_stage_t));
    ome_match_stage_init(house->stage, engine, house->ring, 0, house->stream, &house->counters, &house->is_abandoned);
    ome_published_init(&house->published, house->stream, 1u << OME_GATE_DURABLE, UINT64_MAX);
    make_gateway(house);
    return house;
}

static inline house_t *house_around(ome_engine_t *engine, uint32_t ring_slot_count, uint32_t stream_slot_count)
{
    return house_throttled(engine, ring_slot_count, stream_slot_count, (ome_throttle_limits_t){0});
}

static inline void house_free(house_t *house)
{
    CHECK(ome_engine_check(house->engine) == NULL);
    free(house->gateway);
    if (house->port != NULL)
    {
        free(house->port);
        free(house->regions[0]);
        free(house->regions[1]);
        CHECK_EQUAL(close(house->port_event_fd), 0);
        for (uint32_t i = 0; i < 2; i++)
        {
            CHECK_EQUAL(close(house->port_bell[i]), 0);
            CHECK_EQUAL(close(house->gateway_bell[i]), 0);
        }
    }
    free(house->stage);
    free(house->counters.header);
    free(house->stream);
    free(house->ring);
    free(house->engine);
    wire_free(house->wire);
    CHECK_EQUAL(close(house->event_fd), 0);
    free(house);
}

static inline ome_gateway_outcome_t run(house_t *house)
{
    pump(house);
    const ome_gateway_outcome_t outcome = ome_gateway_run(house->gateway, 0);
    pump(house);
    return outcome;
}

static inline uint32_t match(house_t *house)
{
    uint32_t total = 0;
    for (uint32_t count = 1; count > 0; total += count)
    {
        count = ome_match_stage_do_work(house->stage);
    }
    return total;
}

/* Runs once, and notes what there is for the caller. A logon or logout is not expected. */
static inline ome_gateway_outcome_t run_and_note(house_t *house)
{
    const ome_gateway_outcome_t outcome = run(house);
    CHECK(outcome != OME_GATEWAY_MESSAGE && outcome != OME_GATEWAY_STOPPED);
    house->defined_count += outcome == OME_GATEWAY_DEFINED;
    if (outcome == OME_GATEWAY_REPORTS_WANTED)
    {
        ome_gateway_wanted(house->gateway, &house->wanted);
        house->wanted_count++;
        if (house->answer != NULL)
        {
            house->answer(house);
        }
    }
    for (ome_gateway_end_t end; outcome == OME_GATEWAY_ENDED && (end = ome_gateway_take_end(house->gateway)).session != 0;)
    {
        house->end = end;
        house->end_count++;
    }
    return outcome;
}

/* Takes frames, matches, and speaks, until there is nothing left to do. */
static inline void work(house_t *house)
{
    for (;;)
    {
        const uint64_t before = ome_stream_reader_position(house->stream, 0);
        const uint32_t read_before = house->wire->in_read;
        const uint32_t sent_before = house->wire->send_count;
        const ome_gateway_outcome_t outcome = run_and_note(house);
        const uint32_t matched = match(house);
        if (outcome == OME_GATEWAY_IDLE && matched == 0 && house->wire->send_count == sent_before &&
            ome_stream_reader_position(house->stream, 0) == before && house->wire->in_read == read_before)
        {
            return;
        }
    }
}

/* The embedder's own command. */
static inline void submit(house_t *house, const ome_command_t *command)
{
    uint64_t sequence;
    CHECK_EQUAL(ome_ring_try_claim(house->ring, 1, &sequence), OME_OK);
    uint8_t *slot = ome_ring_slot(house->ring, sequence);
    memcpy(slot + 8, (const uint8_t *)command + 8, OME_BODY_SIZE);
    ome_ring_publish(house->ring, sequence, 1);
}

/* A session that the engine knows logs on, as its own participant and under its own number. */
static inline ome_gateway_logon_t logon_of(const house_t *house, uint16_t session, uint32_t peer)
{
    ome_gateway_logon_t logon = {
        .peer = peer_number(house->wire, peer), .participant = session, .session_number = 0, .is_defined = 1, .participant_name = {0}};
    logon.participant_name[0] = (char)('A' + session - 1);
    return logon;
}

static inline void bind_session(house_t *house, uint16_t session, uint32_t peer)
{
    const ome_gateway_logon_t logon = logon_of(house, session, peer);
    CHECK_EQUAL(ome_gateway_bind(house->gateway, session, &logon), OME_OK);
    CHECK(house->wire->peers[peer].is_admitted);
}

static inline uint16_t session_of(const house_t *house, uint32_t peer)
{
    return ome_gateway_session_of(house->gateway, peer_number(house->wire, peer));
}

static inline ome_gateway_session_t look(const house_t *house, uint16_t session)
{
    ome_gateway_session_t seen;
    ome_gateway_look(house->gateway, session, &seen);
    return seen;
}

/* An engine with one instrument and three sessions; session s is participant s's. */
static inline ome_engine_t *defined_engine(void)
{
    ome_engine_t *engine = market_engine(&standard_limits);
    recorder_t *recorder = recorder_new(1);
    const ome_command_t definitions[4] = {
        define_instrument(1, "ONE", 1, 0), define_session(1, 1, "A", 0), define_session(2, 2, "B", 0), define_session(3, 3, "C", 0)};
    ome_engine_apply_many(engine, definitions, 4, &recorder->sink);
    CHECK_EQUAL(engine->session_count, 3);
    recorder_free(recorder);
    return engine;
}

/* A house where sessions 1 and 2 are connected as peers 1 and 2. */
static inline house_t *simple_house(uint32_t ring_slot_count)
{
    house_t *house = house_around(defined_engine(), ring_slot_count, 4096);
    bind_session(house, 1, 1);
    bind_session(house, 2, 2);
    return house;
}

/* The numbers of a frame that has none follow those of the session's frames before. */
static inline void number_commands(house_t *house, uint16_t session, ome_command_t *commands, uint32_t count)
{
    if (session == 0 || commands[0].session_sequence != 0)
    {
        return;
    }
    if (house->wire->in_read == house->wire->in_count)
    {
        house->numbers[session] = look(house, session).command_sequence;
    }
    for (uint32_t i = 0; i < count; i++)
    {
        commands[i].session_sequence = house->numbers[session] = ome_session_next_sequence(house->numbers[session]);
    }
}

/* A client sends commands in one frame. */
static inline void send_commands(house_t *house, uint32_t peer, const ome_command_t *commands, uint32_t count)
{
    uint8_t *frame = malloc(count * OME_RECORD_SIZE);
    CHECK(frame != NULL);
    memcpy(frame, commands, count * OME_RECORD_SIZE);
    number_commands(house, session_of(house, peer), (ome_command_t *)(void *)frame, count);
    for (uint32_t i = 0; i < count; i++)
    {
        set_header(frame + i * OME_RECORD_SIZE, commands[i].kind);
    }
    wire_put(house->wire, peer, frame, count * OME_RECORD_SIZE);
    free(frame);
}

static inline void send_command(house_t *house, uint32_t peer, ome_command_t command)
{
    send_commands(house, peer, &command, 1);
}

/* The next frame that was sent to a peer. */
static inline const wire_frame_t *next_frame(house_t *house, uint32_t peer)
{
    CHECK(house->wire->out_read < house->wire->out_count);
    const wire_frame_t *frame = &house->wire->out[house->wire->out_read++];
    CHECK_EQUAL(frame->peer, peer);
    return frame;
}

static inline void check_silence(const house_t *house)
{
    CHECK_EQUAL(house->wire->out_read, house->wire->out_count);
}

static inline ome_frame_reject_t next_reject(house_t *house, uint32_t peer)
{
    const wire_frame_t *frame = next_frame(house, peer);
    ome_frame_reject_t reject;
    CHECK_EQUAL(frame->size_bytes, sizeof(reject));
    memcpy(&reject, frame->data, sizeof(reject));
    ome_message_header_t header;
    memcpy(&header, &reject, sizeof(header));
    CHECK_EQUAL(header.template_id, OME_TEMPLATE_FRAME_REJECT);
    CHECK_EQUAL(header.block_length, OME_BLOCK_FRAME_REJECT);
    CHECK_EQUAL(header.schema_id, OME_SCHEMA_ID);
    CHECK_EQUAL(header.version, OME_SCHEMA_VERSION);
    return reject;
}

static inline void check_counts(const ome_frame_reject_t *reject, uint8_t reason, uint32_t accepted_count, uint32_t rejected_count)
{
    CHECK_EQUAL(reject->reason, reason);
    CHECK_EQUAL(reject->accepted_count, accepted_count);
    CHECK_EQUAL(reject->rejected_count, rejected_count);
}

/* ---- frames that have been read ---- */

static inline void forget_frames(house_t *house)
{
    for (uint32_t i = 0; i < house->wire->out_count; i++)
    {
        free(house->wire->out[i].data);
    }
    house->wire->out_count = house->wire->out_read = 0;
    CHECK_EQUAL(house->wire->in_read, house->wire->in_count);
    house->wire->in_count = house->wire->in_read = 0;
}

/* The last frame to a peer is a Logout that says why, and the connection ends with it. */
static inline void check_logout(house_t *house, uint32_t peer, uint8_t reason)
{
    const wire_frame_t *frame = next_frame(house, peer);
    uint16_t session;
    memcpy(&session, frame->data + offsetof(ome_logout_t, session), sizeof(session));
    CHECK(session >= 1 && session <= house->engine->limits.session_count_max);
    ome_logout_t expected = {.reason = reason,
        .session = session,
        .command_sequence = look(house, session).command_sequence,
        .report_sequence = look(house, session).report_sequence};
    ome_message_header_set(&expected, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    CHECK(frame->is_last);
    CHECK_EQUAL(frame->size_bytes, sizeof(expected));
    CHECK_BYTES_EQUAL(frame->data, &expected, sizeof(expected));
    CHECK(house->wire->peers[peer].is_ended);
    CHECK_EQUAL(session_of(house, peer), 0);
}

/* ---- commands in sequence ---- */

static inline void set_sequences(ome_command_t *commands, uint32_t count, uint32_t first)
{
    for (uint32_t i = 0; i < count; i++)
    {
        commands[i] = limit_order(OME_SIDE_BUY, 10, 1, first + i);
        commands[i].session_sequence = first + i;
    }
}

#endif
