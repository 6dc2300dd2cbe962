/* The gateway while storage is low or scarce: what it refuses, and what it still accepts. */
#include "gateway_fixture.h"

/* The next frame to a peer refuses the messages of a frame from this one on. */
static void check_refusal(house_t *house, uint8_t reason, uint32_t accepted_count, uint32_t rejected_count, uint32_t found)
{
    const ome_frame_reject_t reject = next_reject(house, 1);
    check_counts(&reject, reason, accepted_count, rejected_count);
    CHECK_EQUAL(reject.message_index, accepted_count);
    CHECK_EQUAL(reject.byte_offset, accepted_count * OME_RECORD_SIZE);
    CHECK_EQUAL(reject.found, found);
    CHECK_EQUAL(reject.session, 1);
    CHECK_BYTES_EQUAL(reject.field, "session_sequence", sizeof(reject.field));
}

/* While storage is scarce nothing is taken, of whatever kind, and no session is defined; with room again the same numbers are. */
static void every_command_is_refused_while_storage_is_scarce(void)
{
    house_t *house = simple_house(64);
    ome_command_t commands[6] = {{.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1}, reduce_order(1, 1), cancel_order(3),
        amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE), order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77),
        limit_order(OME_SIDE_SELL, 20, 8, 21)};
    commands[3].flags = OME_COMMAND_FLAGS_CONTINUED;
    const uint64_t cursor = ome_ring_cursor(house->ring);
    house->storage = OME_STORAGE_SCARCE;
    send_commands(house, 1, commands, 6);
    work(house);
    check_refusal(house, OME_REASON_STORAGE_LOW, 0, 6, 1);
    send_commands(house, 1, commands + 1, 1);
    work(house);
    check_refusal(house, OME_REASON_STORAGE_LOW, 0, 1, 1);
    CHECK_EQUAL(ome_ring_cursor(house->ring), cursor);
    CHECK_EQUAL(look(house, 1).command_sequence, 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), 7);
    house->storage = OME_STORAGE_ROOM;
    send_commands(house, 1, commands, 6);
    work(house);
    CHECK_EQUAL(look(house, 1).command_sequence, 6);
    CHECK_EQUAL(house->engine->progress[1].command_sequence, 6);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), 1);
    house_free(house);
}

/* While storage is low a frame is taken up to its first new order: what came before it is, and the order, its terms and everything behind
 * it is not. Numbered on without the orders, the rest is taken. */
static void a_frame_is_cut_at_its_first_new_order_while_storage_is_low(void)
{
    house_t *house = simple_house(64);
    ome_command_t resting[2] = {limit_order(OME_SIDE_BUY, 10, 5, 1), limit_order(OME_SIDE_BUY, 11, 6, 2)};
    send_commands(house, 1, resting, 2);
    work(house);
    CHECK_EQUAL(next_frame(house, 1)->size_bytes, 2 * REPORT_SIZE);
    house->storage = OME_STORAGE_LOW;
    ome_command_t commands[7] = {reduce_order(1, 1), amend_order(2, OME_NULL_VALUE, OME_NULL_VALUE),
        order_terms(OME_TERM_NEW_CLIENT_ORDER_ID, 77), limit_order(OME_SIDE_BUY, 9, 4, 22), order_terms(OME_TERM_DISPLAY_QUANTITY, 1),
        cancel_order(1), {.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1}};
    commands[1].flags = commands[3].flags = OME_COMMAND_FLAGS_CONTINUED;
    send_commands(house, 1, commands, 7);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    check_refusal(house, OME_REASON_STORAGE_LOW, 3, 4, 6);
    send_commands(house, 1, commands + 5, 2); /* numbered from the one that was refused on */
    send_command(house, 1, limit_order(OME_SIDE_SELL, 20, 1, 3));
    work(house);
    uint32_t count = 0;
    static const uint8_t kinds[] = {
        OME_EVENT_KIND_REDUCED, OME_EVENT_KIND_AMENDED, OME_EVENT_KIND_CANCELLED, OME_EVENT_KIND_CANCELLED, OME_EVENT_KIND_COMPLETED};
    while (house->wire->out_read < house->wire->out_count)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read];
        if (!is_report_frame(frame->data))
        {
            check_refusal(house, OME_REASON_STORAGE_LOW, 0, 1, 8);
            continue;
        }
        house->wire->out_read++;
        for (uint32_t offset = 0; offset < frame->size_bytes; offset += REPORT_SIZE, count++)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK(count < sizeof(kinds));
            CHECK_EQUAL(report.kind, kinds[count]);
            CHECK_EQUAL(report.report_sequence, 3 + count);
        }
    }
    CHECK_EQUAL(count, sizeof(kinds));
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_IN), 2 + 5);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), 5);
    CHECK_EQUAL(count_of(house, OME_COUNT_REJECTS), 0);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS), 2);
    house_free(house);
}

/* The reason is that of the message where the cut is: a full ring before the first new order is BUSY. */
static void a_full_ring_is_busy_while_storage_is_low(void)
{
    house_t *house = simple_house(4);
    ome_command_t commands[8];
    set_sequences(commands, 8, 1);
    for (uint32_t i = 0; i < 6; i++)
    {
        commands[i] = cancel_order(i + 1);
        commands[i].session_sequence = i + 1;
    }
    house->storage = OME_STORAGE_LOW;
    send_commands(house, 1, commands, 8);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    check_refusal(house, OME_REASON_BUSY, 4, 4, 5);
    CHECK_EQUAL(match(house), 4);
    send_commands(house, 1, commands + 4, 4);
    CHECK_EQUAL(run(house), OME_GATEWAY_IDLE);
    house->wire->out_read = house->wire->out_count - 1; /* behind the reports of the first four */
    check_refusal(house, OME_REASON_STORAGE_LOW, 2, 2, 7);
    work(house);
    CHECK_EQUAL(house->engine->sequence, 4 + 6);
    CHECK_EQUAL(count_of(house, OME_COUNT_MESSAGES_BUSY), 4);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), 2);
    house_free(house);
}

/* A flood of orders is refused frame by frame, and the session goes on. */
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
    work(house);
    for (uint32_t i = 0; i < FRAMES; i++)
    {
        check_refusal(house, OME_REASON_STORAGE_LOW, 0, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, 1);
    }
    check_silence(house);
    CHECK_EQUAL(house->engine->sequence, 4);
    CHECK_EQUAL(count_of(house, OME_COUNT_ORDERS_STORAGE_LOW), FRAMES * OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX);
    CHECK_EQUAL(session_of(house, 1), 1);
    house_free(house);
}

int main(void)
{
    RUN(every_command_is_refused_while_storage_is_scarce);
    RUN(a_frame_is_cut_at_its_first_new_order_while_storage_is_low);
    RUN(a_full_ring_is_busy_while_storage_is_low);
    RUN(every_order_of_a_flood_is_refused_while_storage_is_low);
    return 0;
}
