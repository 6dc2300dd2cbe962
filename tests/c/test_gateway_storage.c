/* The gateway while storage is low or scarce: what it refuses, and what it still accepts. */
#include "gateway_fixture.h"

/* The next frame to a peer: the reports, each a refusal of a new order, but for its time, which is later than `since_ns`. */
static void check_refusals(house_t *house, uint32_t peer, const ome_execution_report_t *expected, uint32_t count, uint64_t since_ns)
{
    const wire_frame_t *frame = next_frame(house, peer);
    CHECK_EQUAL(frame->size_bytes, count * REPORT_SIZE);
    for (uint32_t i = 0; i < count; i++)
    {
        ome_execution_report_t report;
        ome_execution_report_t due = expected[i];
        memcpy(&report, frame->data + i * REPORT_SIZE, REPORT_SIZE);
        CHECK(report.timestamp_ns >= since_ns && report.timestamp_ns <= ome_venue_clock_now_ns(&house->clock));
        due.timestamp_ns = report.timestamp_ns;
        due.kind = OME_EVENT_KIND_REJECTED;
        due.reason = OME_REASON_STORAGE_LOW;
        due.command_kind = OME_COMMAND_KIND_NEW_ORDER;
        ome_message_header_set(&due, OME_TEMPLATE_EXECUTION_REPORT, OME_BLOCK_EXECUTION_REPORT);
        CHECK_BYTES_EQUAL(&report, &due, REPORT_SIZE);
    }
}

/* While storage is scarce every command is answered without a sequence, of whatever kind, and no session is defined. */
static void every_command_is_refused_while_storage_is_scarce(void)
{
    house_t *house = simple_house(64);
    house->storage = OME_STORAGE_SCARCE;
    ome_command_t commands[6] = {limit_order(OME_SIDE_SELL, 20, 8, 21), reduce_order(1, 1), cancel_order(3),
        amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77),
        {.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1, .side = OME_SIDE_SELL}};
    commands[3].flags = OME_COMMAND_FLAGS_CONTINUED;
    const uint64_t cursor = ome_ring_cursor(house->ring);
    send_commands(house, 1, commands, 6);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    const wire_frame_t *frame = next_frame(house, 1);
    static const uint8_t kinds[] = {OME_COMMAND_KIND_NEW_ORDER, OME_COMMAND_KIND_REDUCE_ORDER, OME_COMMAND_KIND_CANCEL_ORDER,
        OME_COMMAND_KIND_AMEND_ORDER, OME_COMMAND_KIND_MASS_CANCEL};
    CHECK_EQUAL(frame->size_bytes, sizeof(kinds) * REPORT_SIZE);
    for (uint32_t i = 0; i < sizeof(kinds); i++)
    {
        ome_execution_report_t report;
        memcpy(&report, frame->data + i * REPORT_SIZE, REPORT_SIZE);
        CHECK_EQUAL(report.kind, OME_EVENT_KIND_REJECTED);
        CHECK_EQUAL(report.reason, OME_REASON_STORAGE_LOW);
        CHECK_EQUAL(report.command_kind, kinds[i]);
        CHECK_EQUAL(report.engine_sequence, 0);
        CHECK_EQUAL(report.report_sequence, 1 + i);
    }
    CHECK_EQUAL(match(house), 0);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    check_silence(house);
    house_free(house);
}

/* While storage is low each new order of a frame is answered without a sequence, its terms with it, and everything else
 * of the frame is taken, in its order. */
static void new_orders_are_refused_while_storage_is_low_and_all_else_is_taken(void)
{
    house_t *house = simple_house(64);
    ome_command_t resting[3] = {
        limit_order(OME_SIDE_BUY, 10, 5, 1), limit_order(OME_SIDE_BUY, 11, 6, 2), limit_order(OME_SIDE_BUY, 12, 7, 3)};
    send_commands(house, 1, resting, 3);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, 3 * REPORT_SIZE);
    house->storage = OME_STORAGE_LOW;
    ome_command_t commands[11] = {limit_order(OME_SIDE_SELL, 20, 8, 21), reduce_order(1, 1), limit_order(OME_SIDE_BUY, 9, 4, 22),
        order_terms(OME_TERM_DISPLAY_QUANTITY, 1), order_terms(OME_TERM_MINIMUM_QUANTITY, 1), limit_order(OME_SIDE_SELL, 5, 3, 23),
        amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77), cancel_order(3),
        {.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1}, limit_order(OME_SIDE_BUY, 9, 4, 24)};
    commands[0].account = 6;
    commands[2].flags = commands[3].flags = commands[6].flags = OME_COMMAND_FLAGS_CONTINUED;
    const uint64_t since_ns = ome_venue_clock_now_ns(&house->clock);
    send_commands(house, 1, commands, 11);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    static const ome_execution_report_t refused[] = {
        {.report_sequence = 4, .client_order_id = 21, .price = 20, .instrument = 1, .account = 6, .side = OME_SIDE_SELL},
        {.report_sequence = 5, .client_order_id = 22, .price = 9, .instrument = 1, .side = OME_SIDE_BUY},
        {.report_sequence = 6, .client_order_id = 23, .price = 5, .instrument = 1, .side = OME_SIDE_SELL},
        {.report_sequence = 7, .client_order_id = 24, .price = 9, .instrument = 1, .side = OME_SIDE_BUY}};
    check_refusals(house, 1, refused, 4, since_ns);
    check_silence(house);
    CHECK_EQUAL(match(house), 5); /* the amend has two records */
    work(house);
    const wire_frame_t *frame = next_frame(house, 1);
    static const uint8_t kinds[] = {OME_EVENT_KIND_REDUCED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_CANCELLED, OME_EVENT_KIND_CANCELLED,
        OME_EVENT_KIND_CANCELLED, OME_EVENT_KIND_COMPLETED};
    CHECK_EQUAL(frame->size_bytes, sizeof(kinds) * REPORT_SIZE);
    for (uint32_t i = 0; i < sizeof(kinds); i++)
    {
        ome_execution_report_t report;
        memcpy(&report, frame->data + i * REPORT_SIZE, REPORT_SIZE);
        CHECK_EQUAL(report.kind, kinds[i]);
        CHECK_EQUAL(report.report_sequence, 8 + i);
        CHECK(report.engine_sequence > 0);
    }
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 3 + 11);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), 4);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_FRAMES_REJECTED), 0);
    /* Room again. */
    house->storage = OME_STORAGE_ROOM;
    send_commands(house, 1, commands, 1);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), 4);
    check_silence(house);
    house_free(house);
}

/* Low storage does not hide a full ring: what is refused as low counts as taken, the cut is where the ring was full,
 * and the session is held there. */
static void a_full_ring_is_busy_while_storage_is_low(void)
{
    house_t *house = simple_house(4);
    ome_command_t commands[12];
    set_sequences(commands, 12, 1);
    for (uint32_t i = 0; i < 12; i++)
    {
        if (i % 6 != 0) /* an order, five cancels, an order, five cancels */
        {
            commands[i] = cancel_order(i);
            commands[i].session_sequence = i + 1;
        }
    }
    house->storage = OME_STORAGE_LOW;
    send_commands(house, 1, commands, 12);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 5, 7);
    CHECK_EQUAL(reject.message_index, 5);
    CHECK_EQUAL(reject.found, 6);
    /* What overtakes is held, an order too: it is not answered twice when it is sent again. */
    send_commands(house, 1, commands + 6, 1);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 0, 1);
    CHECK_EQUAL(match(house), 4);
    send_commands(house, 1, commands + 5, 7);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    house->wire->out_read = house->wire->out_count - 2; /* reports of the first four */
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, REPORT_SIZE);
    reject = next_reject(house, 1);
    check_counts(&reject, OME_REASON_BUSY, 2, 5);
    CHECK_EQUAL(reject.found, 8);
    CHECK_EQUAL(match(house), 1);
    send_commands(house, 1, commands + 7, 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    CHECK_EQUAL(match(house), 4);
    send_commands(house, 1, commands + 11, 1);
    work(house);
    CHECK_EQUAL(house->engine->sequence, 4 + 10);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), 2);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 12);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 10);
    CHECK_EQUAL(look(house, 1).report_sequence, 12);
    house_free(house);
}

/* More refusals in a turn than the gateway has room for reports are all said, frame by frame, without a gap; a peer
 * that does not read them loses its session. */
static void every_order_of_a_flood_is_refused_while_storage_is_low(void)
{
    enum
    {
        FRAMES = 30
    };
    house_t *house = simple_house(16);
    ome_command_t commands[OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX];
    set_sequences(commands, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, 1);
    house->storage = OME_STORAGE_LOW;
    for (uint32_t i = 0; i < FRAMES; i++)
    {
        send_commands(house, 1, commands, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX);
    }
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    uint64_t report_sequence = 0;
    for (uint32_t i = 0; i < FRAMES; i++)
    {
        const wire_frame_t *frame = next_frame(house, 1);
        CHECK_EQUAL(frame->size_bytes, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX * REPORT_SIZE);
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK_EQUAL(report.report_sequence, ++report_sequence);
            CHECK_EQUAL(report.reason, OME_REASON_STORAGE_LOW);
        }
    }
    check_silence(house);
    CHECK_EQUAL(house->engine->sequence, 4);
    CHECK_EQUAL(match(house), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), FRAMES * OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX);
    house->wire->peers[1].status = OME_FULL;
    send_commands(house, 1, commands, 3);
    work(house);
    check_logout(house, 1, OME_REASON_SLOW_CONSUMER);
    CHECK_EQUAL(session_of(house, 1), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_SESSIONS_ENDED), 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_REPORTS_UNDELIVERED), 3);
    house_free(house);
}

int main(void)
{
    RUN(every_command_is_refused_while_storage_is_scarce);
    RUN(new_orders_are_refused_while_storage_is_low_and_all_else_is_taken);
    RUN(a_full_ring_is_busy_while_storage_is_low);
    RUN(every_order_of_a_flood_is_refused_while_storage_is_low);
    return 0;
}
