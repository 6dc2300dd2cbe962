/* Heartbeats of the gateway, and what becomes of peers that are silent, noisy or too slow. */
#include "gateway_fixture.h"

/* ---- slow peers ---- */

/* Session 1 has an order of ten lots at rest, its connection takes nothing more, and session 2 trades with it four times. */
static house_t *house_with_slow_peer(ome_status_t failure)
{
    house_t *house = simple_house(64);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 100, 10, 1));
    work(house);
    house->wire->out_read = house->wire->out_count;
    house->wire->peers[1].status = failure;
    for (uint64_t id = 1; id <= 4; id++)
    {
        send_command(house, 2, limit_order(OME_SIDE_SELL, 100, 2, id));
    }
    work(house);
    return house;
}

static const ome_status_t failures[3] = {OME_FULL, OME_NOT_FOUND, OME_STOPPED};

/* A connection that does not read, or is gone, or a socket that refuses ends that session, which gets the reason; the
 * other gets everything. */
static void a_slow_peer_loses_its_session_and_hurts_nobody(void)
{
    for (uint32_t i = 0; i < 3; i++)
    {
        house_t *house = house_with_slow_peer(failures[i]);
        CHECK_EQUAL(session_of(house, 1), 0);
        CHECK_EQUAL(session_of(house, 2), 2);
        CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
        CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
        CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 4);
        CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS), 1 + 8);
        uint32_t report_count = 0;
        uint32_t logout_count = 0;
        while (house->wire->out_read < house->wire->out_count)
        {
            if (house->wire->out[house->wire->out_read].is_last)
            {
                check_logout(house, 1, OME_REASON_SLOW_CONSUMER);
                logout_count++;
                continue;
            }
            report_count += next_frame(house, 2)->size_bytes / (uint32_t)REPORT_SIZE;
        }
        CHECK_EQUAL(report_count, 8);
        CHECK_EQUAL(logout_count, 1);
        house_free(house);
    }
}

/* What it sends after it has connected again is refused until it logs on. */
static void the_orders_of_a_slow_peer_stay(void)
{
    for (uint32_t i = 0; i < 3; i++)
    {
        house_t *house = house_with_slow_peer(failures[i]);
        CHECK_EQUAL(house->engine->books[1].open_quantity[0], 2);
        CHECK_EQUAL(look(house, 1).order_count, 1);
        house->wire->out_read = house->wire->out_count;
        wire_reconnect(house->wire, 1);
        send_command(house, 1, cancel_order(1));
        work(house);
        CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_NOT_LOGGED_ON);
        house_free(house);
    }
}

/* ---- heartbeats ---- */

static void put_heartbeat(house_t *house, uint32_t peer, uint64_t request_id)
{
    ome_heartbeat_t heartbeat = {.request_id = request_id, .server_time_ns = 1, .engine_sequence = 2, .report_sequence = 3};
    set_header(&heartbeat, OME_TEMPLATE_HEARTBEAT);
    wire_put(house->wire, peer, &heartbeat, sizeof(heartbeat));
}

static void check_heartbeat(house_t *house, uint32_t peer, ome_heartbeat_t expected)
{
    const wire_frame_t *frame = next_frame(house, peer);
    ome_heartbeat_t heartbeat;
    CHECK_EQUAL(frame->size_bytes, sizeof(heartbeat));
    CHECK(!frame->is_last);
    memcpy(&heartbeat, frame->data, sizeof(heartbeat));
    CHECK(heartbeat.server_time_ns > UINT64_C(1600000000000000000));
    expected.server_time_ns = heartbeat.server_time_ns;
    ome_message_header_set(&expected, OME_TEMPLATE_HEARTBEAT, OME_BLOCK_HEARTBEAT);
    CHECK_BYTES_EQUAL(&heartbeat, &expected, sizeof(expected));
}

static void bind_with_heartbeat(house_t *house, uint32_t heartbeat_ms)
{
    ome_gateway_logon_t logon = logon_of(house, 1, 1);
    logon.heartbeat_ms = heartbeat_ms;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 1, &logon), OME_OK);
}

static void put_test_request(house_t *house, uint32_t peer, uint64_t request_id)
{
    ome_test_request_t request = {.request_id = request_id};
    set_header(&request, OME_TEMPLATE_TEST_REQUEST);
    wire_put(house->wire, peer, &request, sizeof(request));
}

/* A client's TestRequest is answered with what it chose, and with how far the venue and its two streams are. Its heartbeat is not, nor is
 * that of an answer. One without a session is refused. */
static void a_test_request_is_answered_and_a_heartbeat_is_not(void)
{
    house_t *house = simple_house(64);
    put_heartbeat(house, 2, 0);
    put_heartbeat(house, 2, 7);
    put_test_request(house, 2, UINT64_MAX);
    send_command(house, 2, cancel_order(1));
    work(house);
    check_heartbeat(house, 2, (ome_heartbeat_t){.request_id = UINT64_MAX, .engine_sequence = 4, .session = 2});
    CHECK_EQUAL(next_frame(house, 2)->size_bytes, REPORT_SIZE);
    put_test_request(house, 2, 8);
    work(house);
    check_heartbeat(
        house, 2, (ome_heartbeat_t){.request_id = 8, .engine_sequence = 5, .report_sequence = 1, .command_sequence = 1, .session = 2});
    for (uint32_t kind = 0; kind < 2; kind++)
    {
        kind == 0 ? put_heartbeat(house, 3, 8) : put_test_request(house, 3, 8);
        work(house);
        const ome_frame_reject_t reject = next_reject(house, 3);
        check_counts(&reject, OME_REASON_NOT_LOGGED_ON, 0, 1);
    }
    check_silence(house);
    house_free(house);
}

/* Who hears nothing for its heartbeat is sent one. It is never ended while what it sends is there to be taken, however late that is. */
static void a_peer_without_reports_is_sent_a_heartbeat(void)
{
    house_t *house = simple_house(1024);
    bind_with_heartbeat(house, 2);
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    uint32_t sent = 0;
    uint32_t heard = 0;
    for (uint32_t read = 0; heard < 3;)
    {
        send_command(house, 1, cancel_order(1)); /* nobody matches: no answer comes */
        sent++;
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        CHECK_EQUAL(session_of(house, 1), 1);
        for (; read < house->wire->out_count; read++)
        {
            heard += template_of(house->wire->out[read].data) == OME_TEMPLATE_HEARTBEAT;
            CHECK(template_of(house->wire->out[read].data) != OME_TEMPLATE_LOGOUT);
        }
        CHECK(ome_clock_monotonic_ns() < end_ns);
        usleep(8000);
    }
    for (uint32_t i = 0; i < house->wire->out_count; i++)
    {
        const wire_frame_t *frame = &house->wire->out[i];
        ome_heartbeat_t heartbeat;
        if (template_of(frame->data) != OME_TEMPLATE_HEARTBEAT)
        {
            continue; /* a TestRequest, if this ran late */
        }
        CHECK_EQUAL(frame->peer, 1);
        CHECK_EQUAL(frame->size_bytes, sizeof(heartbeat));
        memcpy(&heartbeat, frame->data, sizeof(heartbeat));
        CHECK_EQUAL(heartbeat.request_id, 0);
        CHECK_EQUAL(heartbeat.report_sequence, 0);
    }
    CHECK_EQUAL(ome_ring_cursor(house->ring), 4 + sent);
    house_free(house);
}

/* Who says nothing for two heartbeats is asked whether it lives; after three its session is over. Who need not send any is left alone. */
static void a_silent_peer_is_ended(void)
{
    house_t *house = simple_house(64);
    bind_with_heartbeat(house, 30);
    const uint64_t start_ns = ome_clock_monotonic_ns();
    while (session_of(house, 1) != 0)
    {
        (void)ome_gateway_run(house->gateway, 10);
        CHECK(ome_clock_monotonic_ns() - start_ns < LONG_NS);
    }
    CHECK(ome_clock_monotonic_ns() - start_ns >= UINT64_C(90000000));
    uint32_t asked = 0;
    while (!house->wire->out[house->wire->out_read].is_last)
    {
        asked += template_of(next_frame(house, 1)->data) == OME_TEMPLATE_TEST_REQUEST;
    }
    CHECK_EQUAL(asked, 1);
    check_logout(house, 1, OME_REASON_HEARTBEAT_TIMEOUT);
    check_silence(house);
    CHECK_EQUAL(session_of(house, 2), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS), 1);
    house_free(house);
}

/* The venue did not run for a while: who has sent something meanwhile is not ended, although much of others is read before it. */
static void no_session_ends_for_silence_while_the_venue_did_not_run(void)
{
    house_t *house = simple_house(1024);
    bind_with_heartbeat(house, 100);
    CHECK_EQUAL(ome_gateway_run(house->gateway, 30), OME_GATEWAY_IDLE);
    usleep(400000);
    for (uint32_t i = 0; i < 100; i++)
    {
        send_command(house, 2, cancel_order(1));
    }
    send_command(house, 1, cancel_order(1));
    work(house);
    CHECK_EQUAL(house->wire->in_read, house->wire->in_count);
    CHECK_EQUAL(session_of(house, 1), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 0);
    house_free(house);
}

/* Who makes much noise, bad frames, requests or messages that were taken before, is read more slowly; who works is not, however much it sends. */
static void a_connection_that_sends_noise_is_read_more_slowly(void)
{
    enum
    {
        FRAMES = 2000
    };
    for (uint32_t kind = 0; kind < 4; kind++)
    {
        house_t *house = simple_house(64);
        for (uint32_t i = 0; i < FRAMES; i++)
        {
            if (kind == 0)
            {
                put_test_request(house, 1, i + 1);
            }
            else if (kind == 1)
            {
                wire_put(house->wire, 1, "x", 1);
            }
            else
            {
                ome_command_t command = cancel_order(1);
                command.session_sequence = kind == 3 ? 1 : 0;
                send_command(house, 1, command);
            }
        }
        wire_put(house->wire, 3, "x", 1); /* of no session: it is the listener that counts */
        work(house);
        CHECK_EQUAL(house->wire->in_read, house->wire->in_count);
        CHECK_EQUAL(session_of(house, 1), 1);
        CHECK_EQUAL(house->wire->peers[1].pause_count > 0, kind != 2);
        CHECK(house->wire->peers[1].pause_count <= FRAMES / 64);
        CHECK(kind == 2 || house->wire->peers[1].pause_ms == 10);
        CHECK_EQUAL(house->wire->peers[2].pause_count, 0);
        CHECK_EQUAL(house->wire->peers[3].pause_count, 0);
        CHECK(kind >= 2 || house->wire->out_count == FRAMES + 1); /* each is answered */
        house_free(house);
    }
}

int main(void)
{
    RUN(a_slow_peer_loses_its_session_and_hurts_nobody);
    RUN(the_orders_of_a_slow_peer_stay);
    RUN(a_test_request_is_answered_and_a_heartbeat_is_not);
    RUN(a_peer_without_reports_is_sent_a_heartbeat);
    RUN(a_silent_peer_is_ended);
    RUN(no_session_ends_for_silence_while_the_venue_did_not_run);
    RUN(a_connection_that_sends_noise_is_read_more_slowly);
    return 0;
}
