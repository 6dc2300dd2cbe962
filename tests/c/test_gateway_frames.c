/* Frames of order entry: good ones are accepted, each fault has a name, and any bytes get a verdict. */
#include "gateway_fixture.h"

static uint64_t seed;

/* A good frame of cancels in memory of exactly its size, so that the address sanitizer sees a step too far. */
static uint8_t *good_frame(uint32_t message_count, uint32_t size_bytes)
{
    uint8_t *data = calloc(1, size_bytes > 0 ? size_bytes : 1);
    CHECK(data != NULL);
    for (uint32_t i = 0; i < message_count && (i + 1) * OME_RECORD_SIZE <= size_bytes; i++)
    {
        set_header(data + i * OME_RECORD_SIZE, (uint16_t)(OME_TEMPLATE_NEW_ORDER + i % 4));
    }
    return data;
}

static ome_frame_t inspect(const uint8_t *data, uint32_t size_bytes)
{
    ome_frame_t frame;
    ome_frame_inspect(&frame, data, size_bytes, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, OME_FRAME_COMMAND_MESSAGE_COUNT_MAX);
    return frame;
}

static void check_fault(
    const ome_frame_t *frame, uint8_t reason, const char *field, uint64_t found, uint64_t allowed, uint32_t message_index)
{
    CHECK_EQUAL(frame->content, OME_FRAME_BAD);
    CHECK_EQUAL(frame->fault.reason, reason);
    CHECK_TEXT_EQUAL(frame->fault.field, field);
    CHECK(strlen(field) <= OME_NAME_SIZE);
    CHECK_EQUAL(frame->fault.found, found);
    CHECK_EQUAL(frame->fault.allowed, allowed);
    CHECK_EQUAL(frame->fault.message_index, message_index);
    CHECK_EQUAL(frame->fault.byte_offset, message_index * OME_RECORD_SIZE);
}

/* Frames of 1 to 256 commands are good; their number is told. */
static void frames_of_up_to_256_commands_are_good(void)
{
    for (uint32_t count = 1; count <= 256; count += 5)
    {
        uint8_t *data = good_frame(count, count * OME_RECORD_SIZE);
        const ome_frame_t frame = inspect(data, count * OME_RECORD_SIZE);
        CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
        CHECK_EQUAL(frame.message_count, count);
        free(data);
    }
}

/* One more than 256 is too long, and the first that is too many is named. */
static void a_frame_of_257_commands_is_too_long(void)
{
    uint8_t *data = good_frame(257, 257 * OME_RECORD_SIZE);
    ome_frame_t frame = inspect(data, 257 * OME_RECORD_SIZE);
    check_fault(&frame, OME_REASON_FRAME_TOO_LONG, "message_count", 257, 256, 256);
    frame = inspect(data, 256 * OME_RECORD_SIZE);
    CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
    CHECK_EQUAL(frame.message_count, 256);
    free(data);
}

/* Each fault of a message has its reason, field, value found and value allowed, in whichever message of the frame it is. */
static void every_fault_of_a_message_is_named(void)
{
    for (uint32_t index = 0; index < 3; index++)
    {
        uint8_t *data = good_frame(3, 3 * OME_RECORD_SIZE);
        ome_message_header_t *header = (ome_message_header_t *)(void *)(data + index * OME_RECORD_SIZE);
        const ome_message_header_t good = *header;
        header->schema_id = 7;
        ome_frame_t frame = inspect(data, 3 * OME_RECORD_SIZE);
        check_fault(&frame, OME_REASON_UNKNOWN_SCHEMA, "schema_id", 7, OME_SCHEMA_ID, index);
        *header = good;
        header->version = OME_SCHEMA_VERSION + 1;
        frame = inspect(data, 3 * OME_RECORD_SIZE);
        check_fault(&frame, OME_REASON_UNSUPPORTED_VERSION, "version", OME_SCHEMA_VERSION + 1, OME_SCHEMA_VERSION, index);
        *header = good;
        header->block_length = 55;
        frame = inspect(data, 3 * OME_RECORD_SIZE);
        check_fault(&frame, OME_REASON_BAD_BLOCK_LENGTH, "block_length", 55, OME_BODY_SIZE, index);
        for (uint32_t template_id = 0; template_id < 70000; template_id += template_id < 300 ? 1 : 997)
        {
            const uint16_t id = (uint16_t)template_id;
            *header = good;
            header->template_id = id;
            frame = inspect(data, 3 * OME_RECORD_SIZE);
            const bool is_of_session = id == OME_TEMPLATE_LOGON || id == OME_TEMPLATE_LOGOUT || id == OME_TEMPLATE_HEARTBEAT ||
                                       id == OME_TEMPLATE_TEST_REQUEST || id == OME_TEMPLATE_RESEND_REQUEST;
            if (id < 1 || (id > 6 && !is_of_session))
            {
                check_fault(&frame, OME_REASON_UNKNOWN_TEMPLATE, "template_id", id, OME_TEMPLATE_MASS_CANCEL, index);
            }
        }
        free(data);
    }
}

/* A frame that ends inside a header or inside a block is truncated there; a frame of no bytes is empty. */
static void every_truncation_is_named(void)
{
    for (uint32_t size_bytes = 0; size_bytes <= 3 * OME_RECORD_SIZE; size_bytes++)
    {
        uint8_t *data = good_frame(3, 3 * OME_RECORD_SIZE);
        uint8_t *cut = malloc(size_bytes > 0 ? size_bytes : 1);
        CHECK(cut != NULL);
        memcpy(cut, data, size_bytes);
        const ome_frame_t frame = inspect(cut, size_bytes);
        const uint32_t index = size_bytes / OME_RECORD_SIZE;
        const uint32_t left = size_bytes % OME_RECORD_SIZE;
        if (size_bytes == 0)
        {
            check_fault(&frame, OME_REASON_FRAME_EMPTY, "frame", 0, OME_RECORD_SIZE, 0);
        }
        else if (left == 0)
        {
            CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
            CHECK_EQUAL(frame.message_count, index);
        }
        else if (left < OME_MESSAGE_HEADER_SIZE)
        {
            check_fault(&frame, OME_REASON_FRAME_TRUNCATED, "header", left, OME_MESSAGE_HEADER_SIZE, index);
        }
        else
        {
            check_fault(&frame, OME_REASON_FRAME_TRUNCATED, "block", left - OME_MESSAGE_HEADER_SIZE, OME_BODY_SIZE, index);
        }
        free(cut);
        free(data);
    }
}

/* Of several faults the first message's is told, and of one message's the first in the order of the reasons. */
static void only_the_first_fault_of_a_frame_is_reported(void)
{
    uint8_t *data = good_frame(3, 3 * OME_RECORD_SIZE);
    ome_message_header_t *header = (ome_message_header_t *)(void *)(data + OME_RECORD_SIZE);
    *header = (ome_message_header_t){.block_length = 1, .template_id = 99, .schema_id = 2, .version = 9};
    memset(data + 2 * OME_RECORD_SIZE, 0xFF, OME_MESSAGE_HEADER_SIZE);
    static const uint8_t reasons[4] = {
        OME_REASON_UNKNOWN_SCHEMA, OME_REASON_UNSUPPORTED_VERSION, OME_REASON_UNKNOWN_TEMPLATE, OME_REASON_BAD_BLOCK_LENGTH};
    for (uint32_t i = 0; i < 4; i++)
    {
        const ome_frame_t frame = inspect(data, 3 * OME_RECORD_SIZE);
        CHECK_EQUAL(frame.fault.reason, reasons[i]);
        CHECK_EQUAL(frame.fault.message_index, 1);
        header->schema_id = i == 0 ? OME_SCHEMA_ID : header->schema_id;
        header->version = i == 1 ? OME_SCHEMA_VERSION : header->version;
        header->template_id = i == 2 ? OME_TEMPLATE_CANCEL_ORDER : header->template_id;
        header->block_length = i == 3 ? OME_BODY_SIZE : header->block_length;
    }
    const ome_frame_t frame = inspect(data, 3 * OME_RECORD_SIZE);
    CHECK_EQUAL(frame.content, OME_FRAME_BAD);
    CHECK_EQUAL(frame.fault.message_index, 2);
    free(data);
}

/* A logon, which is longer than the others, a logout, a heartbeat or a request is alone in its frame: behind another message, or with another
 * behind it, the frame is too long. */
static void a_message_of_class_session_is_alone_in_its_frame(void)
{
    enum
    {
        KINDS = 6
    };
    static const uint16_t ids[KINDS] = {OME_TEMPLATE_LOGON, OME_TEMPLATE_LOGOUT, OME_TEMPLATE_HEARTBEAT, OME_TEMPLATE_TEST_REQUEST,
        OME_TEMPLATE_RESEND_REQUEST, OME_TEMPLATE_NEW_ORDER};
    static const ome_frame_content_t contents[KINDS] = {
        OME_FRAME_LOGON, OME_FRAME_LOGOUT, OME_FRAME_HEARTBEAT, OME_FRAME_TEST_REQUEST, OME_FRAME_RESEND_REQUEST, OME_FRAME_COMMANDS};
    for (uint32_t first = 0; first < KINDS; first++)
    {
        const uint16_t block = first == 0 ? OME_BLOCK_LOGON : OME_BODY_SIZE;
        const uint32_t size_bytes = OME_MESSAGE_HEADER_SIZE + block;
        for (uint32_t second = 0; second < KINDS; second++)
        {
            const uint16_t second_block = second == 0 ? OME_BLOCK_LOGON : OME_BODY_SIZE;
            const uint32_t both_bytes = size_bytes + OME_MESSAGE_HEADER_SIZE + second_block;
            uint8_t *data = calloc(1, both_bytes);
            CHECK(data != NULL);
            ome_message_header_set(data, ids[first], block);
            ome_frame_t frame = inspect(data, size_bytes);
            CHECK_EQUAL(frame.content, contents[first]);
            CHECK_EQUAL(frame.message_count, 1);
            ome_message_header_set(data + size_bytes, ids[second], second_block);
            frame = inspect(data, both_bytes);
            if (first == KINDS - 1 && second == KINDS - 1)
            {
                CHECK_EQUAL(frame.content, OME_FRAME_COMMANDS);
                CHECK_EQUAL(frame.message_count, 2);
            }
            else
            {
                CHECK_EQUAL(frame.content, OME_FRAME_BAD);
                CHECK_EQUAL(frame.fault.reason, OME_REASON_FRAME_TOO_LONG);
                CHECK_EQUAL(frame.fault.message_index, 1);
                CHECK_EQUAL(frame.fault.byte_offset, size_bytes);
                CHECK_EQUAL(frame.fault.allowed, 1);
            }
            free(data);
        }
    }
}

/* A logon of the first version is refused by its version, whatever its length is; one of another length by its length. */
static void a_logon_of_another_version_or_length_is_refused(void)
{
    for (uint32_t size_bytes = OME_MESSAGE_HEADER_SIZE; size_bytes <= sizeof(ome_logon_t); size_bytes++)
    {
        uint8_t *data = calloc(1, size_bytes);
        CHECK(data != NULL);
        ome_message_header_set(data, OME_TEMPLATE_LOGON, (uint16_t)(size_bytes - OME_MESSAGE_HEADER_SIZE));
        ome_frame_t frame = inspect(data, size_bytes);
        CHECK_EQUAL(frame.content, size_bytes == sizeof(ome_logon_t) ? OME_FRAME_LOGON : OME_FRAME_BAD);
        CHECK(frame.content == OME_FRAME_LOGON || frame.fault.reason == OME_REASON_BAD_BLOCK_LENGTH);
        ome_message_header_set(data, OME_TEMPLATE_LOGON, OME_BLOCK_LOGON);
        frame = inspect(data, size_bytes);
        CHECK(frame.content == OME_FRAME_LOGON || frame.fault.reason == OME_REASON_FRAME_TRUNCATED);
        ((ome_message_header_t *)(void *)data)->version = 1;
        frame = inspect(data, size_bytes);
        check_fault(&frame, OME_REASON_UNSUPPORTED_VERSION, "version", 1, 2, 0);
        free(data);
    }
}

/* A frame of messages with these templates, of which those whose letter is large say CONTINUED: n new order, a amend, c
 * cancel, t terms, m mass cancel. */
static ome_frame_t inspect_letters(const char *letters, uint32_t command_message_count_max)
{
    static const char known[] = "?ncratm"; /* by template */
    const uint32_t count = (uint32_t)strlen(letters);
    uint8_t *data = calloc(count, OME_RECORD_SIZE);
    CHECK(data != NULL);
    for (uint32_t i = 0; i < count; i++)
    {
        const char small = (char)(letters[i] | 32);
        ome_command_t *command = (ome_command_t *)(void *)(data + i * OME_RECORD_SIZE);
        set_header(command, (uint16_t)(strchr(known, small) - known));
        command->flags = (uint16_t)(8 | (letters[i] != small ? OME_COMMAND_FLAGS_CONTINUED : 0));
    }
    ome_frame_t frame;
    ome_frame_inspect(&frame, data, count * OME_RECORD_SIZE, OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX, command_message_count_max);
    CHECK_EQUAL(frame.message_count, count);
    free(data);
    return frame;
}

/* Terms follow at once the command that says CONTINUED, in the same frame, and nothing else. On a command that cannot
 * be continued the flag is the engine's to refuse. */
static void the_messages_of_a_command_are_in_one_frame(void)
{
    static const char *const good[] = {"n", "Nt", "NTt", "NTTTt", "NtNtn", "At", "cAtNTtm", "Cn", "Mc", "CNtR", "m"};
    for (uint32_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    {
        CHECK_EQUAL(inspect_letters(good[i], 5).content, OME_FRAME_COMMANDS);
    }
    static const struct
    {
        const char *letters;
        const char *field;
        uint32_t found;
        uint32_t allowed;
        uint32_t message_index;
    } bad[] = {{"N", "flags", 12, 8, 0}, /* ends the frame */
        {"ncA", "flags", 12, 8, 2}, {"NT", "flags", 12, 8, 1},
        {"t", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 0}, /* belongs to nothing */
        {"nt", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 1},
        {"Ntt", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 2},
        {"Ct", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 1},
        {"Mt", "template_id", OME_TEMPLATE_ORDER_TERMS, OME_TEMPLATE_AMEND_ORDER, 1},
        {"NcT", "template_id", OME_TEMPLATE_CANCEL_ORDER, OME_TEMPLATE_ORDER_TERMS, 1}, /* comes in between */
        {"cNTNt", "template_id", OME_TEMPLATE_NEW_ORDER, OME_TEMPLATE_ORDER_TERMS, 3}, {"cNTTTTt", "command_messages", 6, 5, 5}};
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    {
        const ome_frame_t frame = inspect_letters(bad[i].letters, 5);
        check_fault(&frame, OME_REASON_INCOMPLETE_COMMAND, bad[i].field, bad[i].found, bad[i].allowed, bad[i].message_index);
    }
    const ome_frame_t frame = inspect_letters("NTt", 2);
    check_fault(&frame, OME_REASON_INCOMPLETE_COMMAND, "command_messages", 3, 2, 1);
}

/* What must hold of the verdict on any bytes. */
static void check_verdict(const ome_frame_t *frame, const uint8_t *data, uint32_t size_bytes)
{
    if (frame->content == OME_FRAME_LOGON)
    {
        CHECK_EQUAL(size_bytes, sizeof(ome_logon_t));
        return;
    }
    if (frame->content != OME_FRAME_BAD)
    {
        CHECK_EQUAL(frame->message_count, size_bytes / OME_RECORD_SIZE);
        CHECK_EQUAL(size_bytes % OME_RECORD_SIZE, 0);
        CHECK(frame->message_count >= 1 && frame->message_count <= OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX);
        for (uint32_t i = 0; i < frame->message_count; i++)
        {
            ome_message_header_t header;
            memcpy(&header, data + i * OME_RECORD_SIZE, sizeof(header));
            CHECK_EQUAL(header.schema_id, OME_SCHEMA_ID);
            CHECK_EQUAL(header.version, OME_SCHEMA_VERSION);
            CHECK_EQUAL(header.block_length, OME_BODY_SIZE);
            const bool is_command = header.template_id >= OME_TEMPLATE_NEW_ORDER && header.template_id <= OME_TEMPLATE_MASS_CANCEL;
            CHECK_EQUAL(frame->content == OME_FRAME_COMMANDS, is_command);
        }
        return;
    }
    const ome_frame_fault_t *fault = &frame->fault;
    ome_frame_reject_t reject;
    CHECK((fault->reason >= OME_REASON_FRAME_EMPTY && fault->reason <= OME_REASON_BAD_BLOCK_LENGTH) ||
          fault->reason == OME_REASON_INCOMPLETE_COMMAND);
    CHECK_EQUAL(fault->byte_offset, fault->message_index * OME_RECORD_SIZE);
    CHECK(fault->byte_offset < size_bytes || size_bytes == 0);
    CHECK(fault->found != fault->allowed);
    ome_frame_reject_set(&reject, fault, 0, 1);
    CHECK_EQUAL(reject.reason, fault->reason);
    CHECK(strncmp(reject.field, fault->field, sizeof(reject.field)) == 0);
}

/* A hundred thousand frames of random bytes, or of good ones with a few bytes changed or the end cut: each gets a
 * verdict, and none is read past its end. */
static void any_bytes_get_a_verdict(void)
{
    uint64_t state = seed;
    uint32_t good_count = 0;
    for (uint32_t i = 0; i < 100000; i++)
    {
        const uint32_t size_bytes = (uint32_t)(test_random(&state) % (i % 500 == 0 ? 260 * OME_RECORD_SIZE : 5 * OME_RECORD_SIZE));
        const uint32_t whole = size_bytes / OME_RECORD_SIZE * OME_RECORD_SIZE;
        uint8_t *data = good_frame(size_bytes / OME_RECORD_SIZE, i % 3 == 0 ? size_bytes : whole);
        const uint32_t used = i % 3 == 0 ? size_bytes : whole;
        for (uint32_t change = 0; change < test_random(&state) % 3 && used > 0; change++)
        {
            data[test_random(&state) % used] = (uint8_t)test_random(&state);
        }
        for (uint32_t at = 0; i % 3 == 0 && i % 2 == 0 && at < used; at++)
        {
            data[at] = (uint8_t)test_random(&state);
        }
        const ome_frame_t frame = inspect(data, used);
        check_verdict(&frame, data, used);
        good_count += frame.content == OME_FRAME_COMMANDS;
        free(data);
    }
    CHECK(good_count > 10000 && good_count < 90000);
}

/* A FrameReject has exactly its bytes; a field of 16 characters needs no terminating zero. */
static void a_frame_reject_has_exactly_its_bytes(void)
{
    const ome_frame_fault_t fault = {
        .found = 5, .allowed = 6, .field = "session_sequence", .message_index = 7, .byte_offset = 448, .reason = 139};
    ome_frame_reject_t reject;
    memset(&reject, 0xEE, sizeof(reject));
    ome_frame_reject_set(&reject, &fault, 7, 3);
    ome_frame_reject_t expected = {
        .found = 5, .allowed = 6, .message_index = 7, .byte_offset = 448, .accepted_count = 7, .rejected_count = 3, .reason = 139};
    memcpy(expected.field, "session_sequence", 16);
    ome_message_header_set(&expected, OME_TEMPLATE_FRAME_REJECT, OME_BLOCK_FRAME_REJECT);
    CHECK_BYTES_EQUAL(&reject, &expected, sizeof(reject));
}

int main(void)
{
    seed = test_seed(17);
    RUN(frames_of_up_to_256_commands_are_good);
    RUN(a_frame_of_257_commands_is_too_long);
    RUN(every_fault_of_a_message_is_named);
    RUN(every_truncation_is_named);
    RUN(only_the_first_fault_of_a_frame_is_reported);
    RUN(a_message_of_class_session_is_alone_in_its_frame);
    RUN(a_logon_of_another_version_or_length_is_refused);
    RUN(the_messages_of_a_command_are_in_one_frame);
    RUN(any_bytes_get_a_verdict);
    RUN(a_frame_reject_has_exactly_its_bytes);
    return 0;
}
