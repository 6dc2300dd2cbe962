/* Commands on their way through the gateway into the ring: stamped, refused whole, cut between commands, never mixed. */
#include <pthread.h>

#include "gateway_fixture.h"
#include "pipeline/ome_venue.h"

/* A venue that takes no more says so. */
static void a_stopped_engine_refuses_commands(void)
{
    house_t *house = simple_house(16);
    house->is_open = false;
    const ome_command_t commands[2] = {limit_order(OME_SIDE_BUY, 10, 1, 1), cancel_order(1)};
    send_commands(house, 1, commands, 2);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    work(house);
    const ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_ENGINE_STOPPED, 0, 2);
    CHECK_TEXT_EQUAL(reject.field, "engine");
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    house_free(house);
}

/* A bad frame is refused whole, and the session goes on. */
static void a_bad_frame_is_refused_whole(void)
{
    house_t *house = simple_house(16);
    ome_command_t commands[3] = {limit_order(OME_SIDE_BUY, 10, 1, 1), limit_order(OME_SIDE_BUY, 10, 1, 2), cancel_order(1)};
    commands[2].kind = 77;
    send_commands(house, 1, commands, 3);
    wire_put(house->wire, 1, commands, 10);
    wire_put(house->wire, 1, commands, 0);
    const uint64_t cursor = ome_ring_cursor(house->ring);
    work(house);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_UNKNOWN_TEMPLATE, 0, 3);
    CHECK_TEXT_EQUAL(reject.field, "template_id");
    CHECK_EQUAL(reject.found, 77);
    CHECK_EQUAL(reject.allowed, OME_TEMPLATE_MASS_CANCEL);
    CHECK_EQUAL(reject.message_index, 2);
    CHECK_EQUAL(reject.byte_offset, 2 * OME_RECORD_SIZE);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_UNKNOWN_SCHEMA, 0, 1);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_FRAME_EMPTY, 0, 1);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_IN), 3);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 3);
    send_command(house, 1, commands[0]);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    house_free(house);
}

/* What only the server may say - time, participant, session, kind - it says; the rest of a command reaches the ring as it was sent. */
static void the_server_stamps_what_is_its_own(void)
{
    house_t *house = simple_house(16);
    ome_command_t command;
    memset(&command, 0x5A, sizeof(command));
    command.session_sequence = 1;
    uint8_t frame[OME_RECORD_SIZE];
    memcpy(frame, &command, sizeof(frame));
    set_header(frame, OME_TEMPLATE_REDUCE_ORDER);
    wire_put(house->wire, 2, frame, sizeof(frame));
    /* The time is the venue's, whatever the machine's clock says. */
    ome_venue_clock_accept(&house->clock, ome_clock_steady_ns(), ome_clock_realtime_ns() - UINT64_C(86400000000000));
    const uint64_t before_ns = ome_venue_clock_now_ns(&house->clock);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    const ome_command_t *slot = ome_ring_slot(house->ring, ome_ring_cursor(house->ring));
    CHECK(slot->timestamp_ns >= before_ns && slot->timestamp_ns <= ome_venue_clock_now_ns(&house->clock));
    CHECK_EQUAL(slot->participant, 2);
    CHECK_EQUAL(slot->session, 2);
    CHECK_EQUAL(slot->kind, OME_COMMAND_KIND_REDUCE_ORDER);
    command.sequence = slot->sequence;
    command.timestamp_ns = slot->timestamp_ns;
    command.participant = command.session = 2;
    command.kind = OME_COMMAND_KIND_REDUCE_ORDER;
    CHECK_BYTES_EQUAL(slot, &command, sizeof(command));
    work(house);
    house_free(house);
}

/* A closed socket ends the loop, whether it shows in a receive or in a wait. */
static void a_closed_socket_ends_the_loop(void)
{
    house_t *house = simple_house(16);
    house->wire->closes_in_wait = true;
    CHECK_EQUAL(ome_gateway_run(house->gateway, 1000), OME_GATEWAY_STOPPED);
    house->wire->closes_in_wait = false;
    CHECK_EQUAL(ome_gateway_run(house->gateway, 1), OME_GATEWAY_IDLE);
    house->wire->is_closed = true;
    CHECK_EQUAL(run(house), OME_GATEWAY_STOPPED);
    house_free(house);
}

/* ---- a full ring ---- */

/* A full ring takes a part of a frame or nothing, says exactly how much, and after a repetition everything has been
 * taken once and in order. */
static void a_full_ring_is_busy_and_loses_nothing(void)
{
    house_t *house = simple_house(8);
    ome_command_t commands[40];
    set_sequences(commands, 40, 1);
    send_commands(house, 1, commands, 20);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 8, 12);
    CHECK_EQUAL(reject.message_index, 8);
    CHECK_EQUAL(reject.byte_offset, 8 * OME_RECORD_SIZE);
    CHECK_BYTES_EQUAL(reject.field, "session_sequence", sizeof(reject.field));
    CHECK_EQUAL(reject.found, 9);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 8);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 12);
    CHECK_EQUAL(match(house), 8);
    /* A frame that was on its way must not overtake: refused although there is room. */
    send_commands(house, 1, commands + 20, 3);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 0);
    while (is_report_frame(house->wire->out[house->wire->out_read].data))
    {
        house->wire->out_read++; /* reports of the first eight */
    }
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_SEQUENCE_GAP, 0, 3);
    CHECK_EQUAL(reject.found, 21);
    CHECK_EQUAL(reject.allowed, 9);
    /* Sent again from where it was refused, the rest is taken, in as many parts as it needs. */
    uint32_t done = 8;
    while (done < 40)
    {
        const uint32_t part = 40 - done < 5 ? 40 - done : 5;
        send_commands(house, 1, commands + done, part);
        CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
        CHECK_EQUAL(match(house), part);
        done += part;
    }
    work(house);
    CHECK_EQUAL(house->engine->sequence, 4 + 40);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 40);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 12);
    for (uint32_t i = 1; i <= 40; i++)
    {
        CHECK_EQUAL(house->engine->pools.orders.orders[i].client_order_id, i);
    }
    house_free(house);
}

/* An order with terms, as its client sends it. */
static void set_iceberg(ome_command_t commands[2], uint32_t session_sequence)
{
    set_sequences(commands, 1, session_sequence);
    commands[0].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[1] = order_terms(OME_TERM_DISPLAY_QUANTITY, 1);
    commands[1].session_sequence = session_sequence + 1;
}

/* A frame larger than the ring is cut between commands only, and refused from a command's first message on; sent again
 * from there it loses nothing. */
static void a_frame_is_cut_between_commands(void)
{
    house_t *house = simple_house(4);
    ome_command_t commands[7];
    set_sequences(commands, 1, 1);
    set_iceberg(commands + 1, 2);
    set_iceberg(commands + 3, 4);
    set_iceberg(commands + 5, 6);
    send_commands(house, 1, commands, 7);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 3, 4); /* a slot of the ring stays empty */
    CHECK_EQUAL(reject.message_index, 3);
    CHECK_EQUAL(reject.found, 4);
    CHECK_EQUAL(match(house), 3);
    send_commands(house, 1, commands + 3, 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 4);
    work(house);
    CHECK_EQUAL(house->engine->pools.specials.record_count, 3);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 7);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 4);
    for (uint32_t i = 1; i <= 4; i++)
    {
        const uint64_t first[4] = {1, 2, 4, 6};
        CHECK_EQUAL(house->engine->pools.orders.orders[i].client_order_id, first[i - 1]);
    }
    house_free(house);
}

/* A command that lacks its terms, or has more messages than the ring has slots, is refused with its frame, and nothing
 * of it reaches the engine. */
static void an_incomplete_command_never_reaches_the_engine(void)
{
    house_t *house = simple_house(2);
    ome_command_t commands[3];
    const uint64_t cursor = ome_ring_cursor(house->ring);
    set_iceberg(commands, 1);
    send_commands(house, 1, commands, 1);
    send_commands(house, 1, commands + 1, 1);
    commands[1].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[2] = order_terms(OME_TERM_MINIMUM_QUANTITY, 1);
    send_commands(house, 1, commands, 3);
    work(house);
    for (uint32_t i = 0; i < 3; i++)
    {
        const ome_frame_reject_t reject = next_reject(house, 1);
        check_counts(&reject, OME_REASON_INCOMPLETE_COMMAND, 0, i < 2 ? 1 : 3);
    }
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 3);
    commands[1].flags = 0;
    send_commands(house, 1, commands, 2);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(house->engine->pools.specials.record_count, 1);
    house_free(house);
}

typedef struct
{
    house_t *house;
    atomic_bool is_over;
    _Atomic uint64_t count;
} intruder_t;

/* Another producer, with commands of one record. */
static void *intrude(void *argument)
{
    intruder_t *intruder = argument;
    const ome_command_t command = {.kind = OME_COMMAND_KIND_CANCEL_ORDER, .client_order_id = 1};
    while (!atomic_load(&intruder->is_over))
    {
        uint64_t sequence;
        if (ome_ring_try_claim(intruder->house->ring, 1, &sequence) == OME_OK)
        {
            memcpy((uint8_t *)ome_ring_slot(intruder->house->ring, sequence) + 8, (const uint8_t *)&command + 8, OME_BODY_SIZE);
            ome_ring_publish(intruder->house->ring, sequence, 1);
            atomic_fetch_add(&intruder->count, 1);
        }
        sched_yield();
    }
    return NULL;
}

/* However many others submit at the same time, none of their commands comes between the records of one. */
static void no_command_comes_between_the_records_of_another(void)
{
    house_t *house = simple_house(64);
    intruder_t intruder = {.house = house};
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, intrude, &intruder), 0);
    uint32_t accepted = 0;
    uint32_t sequence = 0;
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (accepted < 400 || atomic_load(&intruder.count) < 400)
    {
        ome_command_t commands[9];
        for (uint32_t i = 0; i < 4; i++)
        {
            set_iceberg(commands + 2 * i, 1 + sequence);
            commands[2 * i].client_order_id = 0;
            sequence += 2;
        }
        commands[8] = (ome_command_t){.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1};
        commands[0].session_sequence = 0; /* what was refused has no number */
        send_commands(house, 1, commands, 9);
        /* One turn of the stage, for the other producer may never leave the ring empty, and this thread is also the one
         * that reads the events. */
        (void)run(house);
        (void)ome_match_stage_do_work(house->stage);
        (void)run(house);
        for (; house->wire->out_read < house->wire->out_count; house->wire->out_read++)
        {
            const wire_frame_t *frame = &house->wire->out[house->wire->out_read];
            for (uint32_t offset = 0; is_report_frame(frame->data) && offset < frame->size_bytes; offset += REPORT_SIZE)
            {
                ome_execution_report_t report;
                memcpy(&report, frame->data + offset, REPORT_SIZE);
                CHECK(report.kind != OME_EVENT_KIND_REJECTED);
                accepted += report.kind == OME_EVENT_KIND_ACCEPTED;
            }
        }
        forget_frames(house);
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
    atomic_store(&intruder.is_over, true);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    (void)match(house);
    house_free(house);
}

/* Where there is room for a part of a frame that would fit into an empty ring, none of it is taken; another session is
 * not held up by one that was refused. */
static void a_busy_session_does_not_hold_up_another(void)
{
    house_t *house = simple_house(8);
    ome_command_t commands[12];
    set_sequences(commands, 12, 1);
    send_commands(house, 1, commands, 5);
    send_commands(house, 1, commands + 5, 5);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 0, 5);
    CHECK_EQUAL(reject.found, 6);
    CHECK_EQUAL(reject.message_index, 0);
    send_commands(house, 2, commands, 3);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    check_silence(house);
    CHECK_EQUAL(match(house), 8);
    house_free(house);
}

/* What was refused is sent again over another connection, from the number that the logon's answer has; nothing may be left out. */
static void a_busy_session_goes_on_with_its_next_logon(void)
{
    house_t *house = simple_house(8);
    ome_command_t commands[12];
    set_sequences(commands, 12, 1);
    send_commands(house, 1, commands, 5);
    send_commands(house, 1, commands + 5, 5);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(next_reject(house, 1).reason, OME_REASON_BUSY);
    CHECK_EQUAL(match(house), 5);
    bind_session(house, 1, 3);
    CHECK_EQUAL(look(house, 1).command_sequence, 5);
    house->wire->out_read = house->wire->out_count;
    send_commands(house, 3, commands + 9, 2);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    house->wire->out_read = house->wire->out_count - 1;
    const ome_frame_reject_t reject = next_reject(house, 3);
    check_counts(&reject, OME_REASON_SEQUENCE_GAP, 0, 2);
    CHECK_EQUAL(reject.found, 10);
    CHECK_EQUAL(reject.allowed, 6);
    send_commands(house, 3, commands + 5, 7);
    work(house);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 12);
    CHECK_EQUAL(house->engine->sequence, 4 + 12);
    CHECK_EQUAL(house->engine->progress[1].command_sequence, 12);
    house_free(house);
}

int main(void)
{
    RUN(a_stopped_engine_refuses_commands);
    RUN(a_bad_frame_is_refused_whole);
    RUN(the_server_stamps_what_is_its_own);
    RUN(a_closed_socket_ends_the_loop);
    RUN(a_full_ring_is_busy_and_loses_nothing);
    RUN(a_frame_is_cut_between_commands);
    RUN(an_incomplete_command_never_reaches_the_engine);
    RUN(no_command_comes_between_the_records_of_another);
    RUN(a_busy_session_does_not_hold_up_another);
    RUN(a_busy_session_goes_on_with_its_next_logon);
    return 0;
}
