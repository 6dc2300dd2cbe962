/* Sessions of the gateway: the session table, takeovers, sessions that are defined with their first command, connections that go away. */
#include "gateway_fixture.h"
#include "wire/ome_session_table.h"

static uint64_t seed;

/* ---- the session table ---- */

/* Bind, find and unbind agree with a list, at any load, and leave nothing behind; who had a slot before is not found. */
static void the_session_table_agrees_with_a_list(void)
{
    enum
    {
        SESSIONS = 100,
        SLOTS = 256
    };
    ome_arena_t measure = {0};
    ome_session_table_t table;
    ome_session_table_init(&table, &measure, SESSIONS, 3, SLOTS);
    ome_arena_t arena = {.memory = market_memory(measure.used_bytes)};
    ome_session_table_init(&table, &arena, SESSIONS, 3, SLOTS);
    uint64_t peer_of[SESSIONS + 1] = {0};
    uint16_t session_of[SLOTS + 1] = {0};
    uint64_t generations[SLOTS + 1] = {0};
    uint32_t connected_count = 0;
    uint64_t state = seed ^ 5;
    for (uint32_t step = 0; step < 50000; step++)
    {
        const uint16_t session = (uint16_t)(1 + test_random(&state) % SESSIONS);
        const uint32_t slot = 1 + (uint32_t)(test_random(&state) % SLOTS);
        const uint64_t peer = (generations[slot] + 1) << 32 | slot;
        CHECK_EQUAL(ome_session_table_find(&table, peer), session_of[slot]);
        CHECK_EQUAL(ome_session_table_is_bound(&table, session), peer_of[session] != 0);
        if (peer_of[session] != 0 && (step / 4000 % 2 == 0 || test_random(&state) % 2 == 0))
        {
            const uint32_t its_slot = (uint32_t)peer_of[session];
            session_of[its_slot] = 0;
            generations[its_slot]++; /* the next there is another */
            peer_of[session] = 0;
            ome_session_table_unbind(&table, session);
            connected_count--;
        }
        else if (peer_of[session] == 0 && session_of[slot] == 0)
        {
            ome_session_table_bind(&table, session, peer);
            peer_of[session] = peer;
            session_of[slot] = session;
            connected_count++;
        }
        CHECK_EQUAL(table.connected_count, connected_count);
        for (uint32_t i = 1; step % 64 == 0 && i <= SLOTS; i++)
        {
            CHECK_EQUAL(ome_session_table_find(&table, (generations[i] + 1) << 32 | i), session_of[i]);
            CHECK_EQUAL(ome_session_table_find(&table, generations[i] << 32 | i), 0); /* who was there before */
            CHECK_EQUAL(ome_session_table_find(&table, (generations[i] + 2) << 32 | i), 0);
        }
        CHECK_EQUAL(ome_session_table_find(&table, UINT64_C(1) << 32 | (SLOTS + 1)), 0);
        CHECK_EQUAL(ome_session_table_find(&table, UINT64_MAX), 0);
    }
    for (uint16_t session = 1; session <= SESSIONS; session++)
    {
        if (peer_of[session] != 0)
        {
            ome_session_table_unbind(&table, session);
        }
    }
    for (uint32_t slot = 0; slot <= SLOTS; slot++)
    {
        CHECK_EQUAL(table.by_connection[slot], 0);
    }
    CHECK_EQUAL(table.connected_count, 0);
    free(arena.memory);
}

/* ---- takeovers ---- */

/* A session has one connection and a connection one session: what either had before ends, and the listener knows who is somebody. */
static void a_session_is_taken_over_by_another_connection(void)
{
    house_t *house = house_around(defined_engine(), 16, 64);
    const wire_peer_t *peers = house->wire->peers;
    CHECK_EQUAL(session_of(house, 1), 0);
    bind_session(house, 1, 1);
    CHECK_EQUAL(session_of(house, 1), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    bind_session(house, 1, 2);
    CHECK_EQUAL(session_of(house, 1), 0);
    CHECK_EQUAL(session_of(house, 2), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    CHECK(!peers[1].is_admitted && peers[2].is_admitted && !peers[1].is_ended);
    bind_session(house, 3, 2);
    CHECK_EQUAL(session_of(house, 2), 3);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    CHECK_EQUAL(look(house, 1).peer, 0);
    bind_session(house, 3, 2); /* again */
    CHECK_EQUAL(session_of(house, 2), 3);
    CHECK_EQUAL(look(house, 3).peer, peer_number(house->wire, 2));
    CHECK(peers[2].is_admitted);
    bind_session(house, 1, 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 2);
    ome_gateway_log_out(house->gateway, 3);
    CHECK(!peers[2].is_admitted && peers[1].is_admitted);
    ome_gateway_log_out(house->gateway, 3); /* nothing */
    ome_gateway_log_out(house->gateway, 0);
    ome_gateway_log_out(house->gateway, UINT16_MAX);
    CHECK_EQUAL(session_of(house, 2), 0);
    CHECK_EQUAL(session_of(house, 1), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    house_free(house);
}

/* Who has not logged on is told so, and nothing of it reaches the ring. */
static void an_unknown_connection_is_refused(void)
{
    house_t *house = simple_house(16);
    const ome_command_t commands[3] = {limit_order(OME_SIDE_BUY, 10, 1, 1), limit_order(OME_SIDE_BUY, 10, 1, 2), cancel_order(1)};
    send_commands(house, 3, commands, 3);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    work(house);
    const ome_frame_reject_t reject = next_reject(house, 3);
    check_counts(&reject, OME_REASON_NOT_LOGGED_ON, 0, 3);
    CHECK_TEXT_EQUAL(reject.field, "session");
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_IN), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 0);
    check_silence(house);
    house_free(house);
}

static void a_connection_whose_session_was_taken_over_is_refused(void)
{
    house_t *house = simple_house(16);
    bind_session(house, 1, 3);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 1, 1));
    work(house);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_NOT_LOGGED_ON);
    check_silence(house);
    house_free(house);
}

/* A logon or logout is handed to the caller with its connection, and frames behind it wait until the caller comes back. */
static void a_logon_is_handed_to_the_caller_before_what_follows(void)
{
    house_t *house = house_around(defined_engine(), 16, 64);
    ome_logon_t logon = {.session_number = 3};
    memcpy(logon.participant_name, "A", 1);
    ome_message_header_set(&logon, OME_TEMPLATE_LOGON, OME_BLOCK_LOGON);
    wire_put(house->wire, 1, &logon, sizeof(logon));
    ome_command_t order = limit_order(OME_SIDE_BUY, 10, 1, 1);
    order.session_sequence = 1;
    send_command(house, 1, order);
    ome_logout_t logout = {0};
    set_header(&logout, OME_TEMPLATE_LOGOUT);
    wire_put(house->wire, 1, &logout, sizeof(logout));
    CHECK_EQUAL(run(house), OME_GATEWAY_MESSAGE);
    const uint64_t peer = ome_gateway_peer(house->gateway);
    CHECK_EQUAL(peer, peer_number(house->wire, 1));
    CHECK_BYTES_EQUAL(ome_gateway_message(house->gateway), &logon, sizeof(logon));
    bind_session(house, 1, 1);
    CHECK_EQUAL(ome_gateway_send(house->gateway, peer, (const uint8_t *)"answer", 6), OME_OK);
    CHECK_EQUAL(run(house), OME_GATEWAY_MESSAGE); /* the order is taken on the way to the logout */
    CHECK_BYTES_EQUAL(ome_gateway_message(house->gateway), &logout, sizeof(logout));
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, 6);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    house_free(house);
}

/* ---- sessions that are defined with their first command ---- */

/* Session 4, of a participant that the engine does not know, logs on as peer 4. */
static house_t *house_with_stranger(uint32_t ring_slot_count)
{
    house_t *house = simple_house(ring_slot_count);
    ome_gateway_logon_t logon = logon_of(house, 4, 4);
    logon.session_number = 9;
    logon.is_defined = 0;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    CHECK_EQUAL(session_of(house, 4), 4);
    CHECK(!look(house, 4).is_defined);
    return house;
}

/* What the ring has at a sequence is the definition of session 4. */
static void check_definition(const house_t *house, uint64_t sequence)
{
    const ome_command_t *slot = ome_ring_slot(house->ring, sequence);
    ome_command_t expected = define_session(4, 4, "D", 9);
    CHECK(slot->timestamp_ns > UINT64_C(1600000000000000000));
    expected.sequence = sequence;
    expected.timestamp_ns = slot->timestamp_ns;
    CHECK_BYTES_EQUAL(slot, &expected, sizeof(expected));
}

/* Who logs on, says that it lives, sends bad frames and logs out leaves no trace in the ring. */
static void a_session_without_a_command_is_not_defined(void)
{
    house_t *house = house_with_stranger(16);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    ome_heartbeat_t heartbeat = {.request_id = 3};
    set_header(&heartbeat, OME_TEMPLATE_HEARTBEAT);
    wire_put(house->wire, 4, &heartbeat, sizeof(heartbeat));
    wire_put(house->wire, 4, "?", 1);
    work(house);
    CHECK_EQUAL(next_reject(house, 4).reason, OME_REASON_FRAME_TRUNCATED);
    house->is_open = false; /* nor does one whose commands are not taken */
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    work(house);
    CHECK_EQUAL(next_reject(house, 4).reason, OME_REASON_ENGINE_STOPPED);
    house->is_open = true;
    house->storage = OME_STORAGE_LOW; /* or one whose order is refused at once */
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    work(house);
    CHECK_EQUAL(next_reject(house, 4).reason, OME_REASON_STORAGE_LOW);
    house->storage = OME_STORAGE_ROOM;
    wire_leave(house->wire, 4);
    work(house);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK(!look(house, 4).is_defined);
    CHECK_EQUAL(house->engine->session_count, 3);
    house_free(house);
}

/* The definition has the sequence right before the first command's, once; what the session sent is taken behind it, and
 * the caller gets the answer in its place. */
static void the_definition_comes_right_before_the_first_command(void)
{
    for (uint32_t is_low = 0; is_low < 2; is_low++)
    {
        house_t *house = house_with_stranger(16);
        house->storage = is_low != 0 ? OME_STORAGE_LOW : OME_STORAGE_ROOM; /* a cancel is taken all the same */
        const ome_command_t commands[2] = {cancel_order(7), cancel_order(8)};
        send_command(house, 1, cancel_order(1)); /* 5 */
        send_commands(house, 4, commands, 2); /* 6 is the definition */
        send_command(house, 4, cancel_order(9));
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        CHECK_EQUAL(ome_ring_cursor(house->ring), 9);
        CHECK(look(house, 4).is_defined);
        check_definition(house, 6);
        for (uint64_t sequence = 7; sequence <= 9; sequence++)
        {
            const ome_command_t *slot = ome_ring_slot(house->ring, sequence);
            CHECK_EQUAL(slot->kind, OME_COMMAND_KIND_CANCEL_ORDER);
            CHECK_EQUAL(slot->client_order_id, sequence);
            CHECK_EQUAL(slot->session, 4);
            CHECK_EQUAL(slot->participant, 4);
        }
        CHECK_EQUAL(match(house), 5);
        CHECK_EQUAL(house->engine->session_count, 4);
        CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
        ome_event_t event;
        memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
        CHECK_EQUAL(event.sequence, 6);
        CHECK_EQUAL(event.kind, OME_EVENT_KIND_DEFINED);
        CHECK_EQUAL(event.session, 4);
        CHECK_EQUAL(event.participant, 4);
        CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
        check_silence(house);
        work(house);
        CHECK_EQUAL(next_frame(house, 4)->size_bytes, 3 * REPORT_SIZE);
        CHECK_EQUAL(look(house, 4).report_sequence, 3);
        house_free(house);
    }
}

/* When there is no room for the definition, or none behind it, the session is told BUSY from its first command on; sent
 * again, everything is taken once. */
static void a_full_ring_is_busy_at_the_definition(void)
{
    for (uint32_t room = 0; room < 2; room++)
    {
        house_t *house = house_with_stranger(4);
        ome_command_t commands[4];
        set_sequences(commands, 4, 1);
        send_commands(house, 1, commands, 3);
        if (room == 0)
        {
            send_commands(house, 1, commands + 3, 1);
        }
        send_commands(house, 4, commands, 3);
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        ome_frame_reject_t reject = next_reject(house, 4);
        check_counts(&reject, OME_REASON_BUSY, 0, 3);
        CHECK_EQUAL(reject.found, 1);
        CHECK_EQUAL(reject.message_index, 0);
        CHECK_EQUAL(look(house, 4).is_defined, room == 1);
        CHECK_EQUAL(ome_ring_cursor(house->ring), 4 + 4);
        CHECK_EQUAL(match(house), 4);
        send_commands(house, 4, commands, 3);
        while (run(house) == OME_GATEWAY_DEFINED)
        {
        }
        CHECK_EQUAL(ome_ring_cursor(house->ring), 4 + 4 + 3 + (room == 0));
        check_definition(house, room == 0 ? 9 : 8);
        while (match(house) > 0 || run(house) == OME_GATEWAY_DEFINED)
        {
        }
        CHECK_EQUAL(house->engine->session_count, 4);
        CHECK_EQUAL(house->engine->sequence, 4u + 4 + 3 + (room == 0));
        CHECK_EQUAL(look(house, 4).order_count, 3);
        CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 0);
        house_free(house);
    }
}

/* Session 4 logs on with the participant of another, so that the engine rejects its definition; the gateway has handed the rejection to the
 * caller. */
static house_t *house_that_refuses_a_session(void)
{
    house_t *house = simple_house(64);
    ome_gateway_logon_t logon = logon_of(house, 4, 4);
    logon.is_defined = 0;
    logon.participant = 1; /* another's */
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 2);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    ome_event_t event;
    memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
    CHECK_EQUAL(event.kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(event.command_kind, OME_COMMAND_KIND_DEFINE_SESSION);
    CHECK_EQUAL(event.session, 4);
    CHECK(look(house, 4).is_defined);
    check_silence(house); /* the refusal is no report: the session was never there */
    return house;
}

/* It gets a logout once; where it is gone already, nobody does. Its order is of no session, and so never entered. */
static void a_session_that_is_refused_is_ended(void)
{
    house_t *house = house_that_refuses_a_session();
    ome_gateway_undefine(house->gateway, 4);
    check_logout(house, 4, OME_REASON_SESSION_LIMIT_REACHED);
    CHECK(!look(house, 4).is_defined);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    ome_gateway_undefine(house->gateway, 4);
    check_silence(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    work(house);
    check_silence(house);
    CHECK_EQUAL(house->engine->pools.orders.slots_ever_used, 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 2);
    house_free(house);
}

/* It connects again, with numbers that are its own, and is defined anew. */
static void a_session_that_was_refused_may_log_on_again(void)
{
    house_t *house = house_that_refuses_a_session();
    ome_gateway_undefine(house->gateway, 4);
    work(house);
    house->wire->out_read = house->wire->out_count;
    wire_reconnect(house->wire, 4);
    ome_gateway_logon_t logon = logon_of(house, 4, 4);
    logon.is_defined = 0;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    CHECK_EQUAL(look(house, 4).report_sequence, 0); /* it is somebody else */
    send_command(house, 4, limit_order(OME_SIDE_BUY, 10, 1, 1));
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 2);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    work(house);
    CHECK_EQUAL(next_frame(house, 4)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(look(house, 4).order_count, 1);
    house_free(house);
}

/* ---- connections that go ---- */

/* Session 1 has an order at rest, and its connection is gone. */
static house_t *house_with_gone_peer(uint64_t *gone)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    *gone = peer_number(house->wire, 1);
    wire_leave(house->wire, 1);
    work(house);
    return house;
}

/* Its orders stay, and another client in its slot has no session by it. */
static void a_connection_that_is_gone_has_no_session(void)
{
    uint64_t gone;
    house_t *house = house_with_gone_peer(&gone);
    CHECK_EQUAL(ome_gateway_session_of(house->gateway, gone), 0);
    CHECK_EQUAL(look(house, 1).peer, 0);
    CHECK_EQUAL(look(house, 1).order_count, 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    wire_leave(house->wire, 3); /* who had none */
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    wire_reconnect(house->wire, 1);
    CHECK_EQUAL(session_of(house, 1), 0);
    send_command(house, 1, cancel_order(1));
    work(house);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_NOT_LOGGED_ON);
    house_free(house);
}

/* Nothing can be sent to it, and no session bound to it. */
static void the_number_of_a_connection_that_is_gone_has_no_effect(void)
{
    uint64_t gone;
    house_t *house = house_with_gone_peer(&gone);
    wire_reconnect(house->wire, 1);
    CHECK_EQUAL(ome_gateway_send(house->gateway, gone, (const uint8_t *)"?", 1), OME_NOT_FOUND);
    ome_gateway_logon_t logon = logon_of(house, 1, 1);
    logon.peer = gone;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 1, &logon), OME_NOT_FOUND);
    CHECK_EQUAL(look(house, 1).peer, 0);
    CHECK_EQUAL(session_of(house, 1), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    house_free(house);
}

/* With its orders, and reports are numbered on. */
static void a_session_whose_connection_is_gone_may_log_on_again(void)
{
    uint64_t gone;
    house_t *house = house_with_gone_peer(&gone);
    wire_reconnect(house->wire, 1);
    bind_session(house, 1, 1);
    send_command(house, 1, cancel_order(1));
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(look(house, 1).order_count, 0);
    CHECK_EQUAL(look(house, 1).report_sequence, 2);
    house_free(house);
}

/* The caller ends a session, and its connection with a Logout: the session is free. */
static void the_caller_ends_a_connection(void)
{
    house_t *house = simple_house(64);
    ome_gateway_end_session(house->gateway, 1, OME_REASON_ENGINE_STOPPED);
    check_logout(house, 1, OME_REASON_ENGINE_STOPPED);
    CHECK_EQUAL(look(house, 1).peer, 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    ome_gateway_pause(house->gateway, peer_number(house->wire, 2), 250);
    CHECK_EQUAL(house->wire->peers[2].pause_count, 1);
    CHECK_EQUAL(house->wire->peers[2].pause_ms, 250);
    house_free(house);
}

/* ---- definitions ---- */

/* A definition that took effect, or was refused, comes to the caller when it may be spoken of, after the reports before
 * it and before those after it. */
static void a_definition_comes_to_the_caller_in_its_place(void)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1)); /* 5 */
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    const ome_command_t good = define_session(4, 4, "D", 0);
    const ome_command_t bad = define_instrument(9, "NINE", 1, 0);
    submit(house, &good); /* 6 */
    submit(house, &bad); /* 7 */
    send_command(house, 1, cancel_order(1)); /* 8 */
    open_gate(house, 5);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    check_silence(house);
    open_gate(house, 8);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    ome_event_t event;
    memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
    CHECK_EQUAL(event.sequence, 6);
    CHECK_EQUAL(event.kind, OME_EVENT_KIND_DEFINED);
    CHECK_EQUAL(event.session, 4);
    CHECK_EQUAL(event.participant, 4);
    check_silence(house);
    CHECK_EQUAL(run(house), OME_GATEWAY_DEFINED);
    memcpy(&event, ome_gateway_event(house->gateway), sizeof(event));
    CHECK_EQUAL(event.sequence, 7);
    CHECK_EQUAL(event.kind, OME_EVENT_KIND_REJECTED);
    CHECK_EQUAL(event.reason, OME_REASON_BAD_DEFINITION);
    CHECK_EQUAL(event.command_kind, OME_COMMAND_KIND_DEFINE_INSTRUMENT);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    house_free(house);
}

int main(void)
{
    seed = test_seed(17);
    RUN(the_session_table_agrees_with_a_list);
    RUN(a_session_is_taken_over_by_another_connection);
    RUN(an_unknown_connection_is_refused);
    RUN(a_connection_whose_session_was_taken_over_is_refused);
    RUN(a_logon_is_handed_to_the_caller_before_what_follows);
    RUN(a_session_without_a_command_is_not_defined);
    RUN(the_definition_comes_right_before_the_first_command);
    RUN(a_full_ring_is_busy_at_the_definition);
    RUN(a_session_that_is_refused_is_ended);
    RUN(a_session_that_was_refused_may_log_on_again);
    RUN(a_connection_that_is_gone_has_no_session);
    RUN(the_number_of_a_connection_that_is_gone_has_no_effect);
    RUN(a_session_whose_connection_is_gone_may_log_on_again);
    RUN(the_caller_ends_a_connection);
    RUN(a_definition_comes_to_the_caller_in_its_place);
    return 0;
}
