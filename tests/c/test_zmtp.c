/* The ZMTP codec: what it makes of good streams wherever they are cut, of each fault, and of any bytes at all. */
#include "ome_test_zmtp.h"
#include "wire/ome_zmtp.h"

#define PART_SIZE_MAX 1000u
#define ITEM_COUNT_MAX 4096u

static uint64_t seed;
static bytes_t stream;

/* The next item of bytes in memory of exactly their size, so that the address sanitizer sees a step too far; `data` is
 * then an offset, not a place. */
typedef struct
{
    ome_zmtp_item_t item;
    uint32_t data_offset;
    ome_zmtp_stage_t stage;
} next_t;

static next_t next_of(ome_zmtp_stage_t stage, ome_zmtp_role_t role, const uint8_t *data, uint32_t size_bytes)
{
    uint8_t *exact = malloc(size_bytes > 0 ? size_bytes : 1);
    CHECK(exact != NULL);
    memcpy(exact, data, size_bytes);
    next_t next = {.stage = stage};
    ome_zmtp_next(&next.stage, role, PART_SIZE_MAX, exact, size_bytes, &next.item);
    const ome_zmtp_item_t *item = &next.item;
    CHECK(item->consumed_bytes <= size_bytes);
    CHECK_EQUAL(item->kind == OME_ZMTP_FAULT, item->fault != NULL);
    if (item->kind == OME_ZMTP_MORE)
    {
        CHECK_EQUAL(item->consumed_bytes, 0);
        CHECK(item->needed > size_bytes);
        CHECK_EQUAL(next.stage, stage);
        CHECK(item->needed <=
              OME_ZMTP_HEADER_SIZE_MAX + (PART_SIZE_MAX > OME_ZMTP_COMMAND_SIZE_MAX ? PART_SIZE_MAX : OME_ZMTP_COMMAND_SIZE_MAX));
    }
    if (item->data != NULL)
    {
        CHECK(item->data >= exact && item->data_size_bytes <= item->consumed_bytes);
        CHECK_EQUAL((size_t)(item->data - exact) + item->data_size_bytes, item->consumed_bytes);
        next.data_offset = (uint32_t)(item->data - exact);
    }
    free(exact);
    return next;
}

static bool is_same(const next_t *a, const next_t *b)
{
    return a->item.kind == b->item.kind && a->item.consumed_bytes == b->item.consumed_bytes && a->data_offset == b->data_offset &&
           a->item.data_size_bytes == b->item.data_size_bytes && a->stage == b->stage && a->item.fault == b->item.fault;
}

typedef struct
{
    ome_zmtp_kind_t kind;
    const char *data; /* NULL: none */
} expected_t;

/* The stream gives these items, and each of them only when it is complete, whatever stands behind it. */
static void check_items(ome_zmtp_role_t role, const expected_t *expected, uint32_t count)
{
    ome_zmtp_stage_t stage = OME_ZMTP_STAGE_GREETING;
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++)
    {
        const uint32_t left_bytes = stream.size_bytes - at;
        const next_t whole = next_of(stage, role, stream.data + at, left_bytes);
        CHECK_EQUAL(whole.item.kind, expected[i].kind);
        for (uint32_t cut = 0; cut <= left_bytes; cut++)
        {
            const next_t next = next_of(stage, role, stream.data + at, cut);
            if (cut < whole.item.consumed_bytes)
            {
                CHECK_EQUAL(next.item.kind, OME_ZMTP_MORE);
                CHECK(next.item.needed <= whole.item.consumed_bytes);
            }
            else
            {
                CHECK(is_same(&whole, &next));
            }
        }
        const char *data = expected[i].data;
        CHECK(data == NULL || whole.item.data_size_bytes == strlen(data));
        CHECK(data == NULL || memcmp(stream.data + at + whole.data_offset, data, strlen(data)) == 0);
        at += whole.item.consumed_bytes;
        stage = whole.stage;
        CHECK_EQUAL(stage, i == 0 ? OME_ZMTP_STAGE_READY : OME_ZMTP_STAGE_TRAFFIC);
    }
    CHECK_EQUAL(at, stream.size_bytes);
}

static char long_text[PART_SIZE_MAX + 1];

/* A subscriber's stream, of ZMTP 3.0 and 3.1, cut at every byte: subscriptions as messages and as commands, parts short
 * and long, commands that matter and that do not. */
static void a_subscribers_stream_may_be_cut_anywhere(void)
{
    memset(long_text, 'x', PART_SIZE_MAX);
    for (uint8_t minor_version = 0; minor_version < 2; minor_version++)
    {
        stream.size_bytes = 0;
        put_greeting(&stream, minor_version);
        put_ready(&stream, minor_version == 0 ? "SUB" : "XSUB");
        put_command(&stream, "SUBSCRIBE", "abc", 3);
        put_command(&stream, "SUBSCRIBE", "", 0);
        put_frame(&stream, 0, "\1def", 4);
        put_frame(&stream, 0, "\1", 1);
        put_command(&stream, "CANCEL", "abc", 3);
        put_frame(&stream, 0, "\0def", 4);
        put_command(&stream, "PING", "\0\7context", 9);
        put_command(&stream, "PONG", "context", 7);
        put_frame(&stream, FRAME_COMMAND, "", 0);
        put_command(&stream, "JOIN", long_text, 300);
        put_frame_header(&stream, FRAME_LONG, 3); /* longer than it had to be */
        put_bytes(&stream, "\1nd", 3);
        static const expected_t expected[] = {{OME_ZMTP_GREETED, NULL}, {OME_ZMTP_CONNECTED, NULL}, {OME_ZMTP_SUBSCRIBE, "abc"},
            {OME_ZMTP_SUBSCRIBE, ""}, {OME_ZMTP_SUBSCRIBE, "def"}, {OME_ZMTP_SUBSCRIBE, ""}, {OME_ZMTP_CANCEL, "abc"},
            {OME_ZMTP_CANCEL, "def"}, {OME_ZMTP_PING, "context"}, {OME_ZMTP_NOTHING, NULL}, {OME_ZMTP_NOTHING, NULL},
            {OME_ZMTP_NOTHING, NULL}, {OME_ZMTP_SUBSCRIBE, "nd"}};
        check_items(OME_ZMTP_XPUB, expected, sizeof(expected) / sizeof(expected[0]));
    }
}

/* The same of a client of order entry, for which a subscription is a part like any other. */
static void a_clients_stream_may_be_cut_anywhere(void)
{
    static const char *const types[3] = {"DEALER", "REQ", "ROUTER"};
    for (uint32_t i = 0; i < 3; i++)
    {
        stream.size_bytes = 0;
        put_hello(&stream, types[i]);
        put_frame(&stream, 0, "\1def", 4);
        put_frame(&stream, FRAME_MORE, "", 0);
        put_frame(&stream, 0, long_text, 256);
        put_command(&stream, "SUBSCRIBE", "abc", 3);
        put_command(&stream, "CANCEL", "abc", 3);
        put_command(&stream, "PING", "\0\0", 2);
        static char text_256[257];
        memset(text_256, 'x', 256);
        const expected_t expected[] = {{OME_ZMTP_GREETED, NULL}, {OME_ZMTP_CONNECTED, NULL}, {OME_ZMTP_PART, "\1def"}, {OME_ZMTP_PART, ""},
            {OME_ZMTP_PART, text_256}, {OME_ZMTP_NOTHING, NULL}, {OME_ZMTP_NOTHING, NULL}, {OME_ZMTP_PING, ""}};
        check_items(OME_ZMTP_ROUTER, expected, sizeof(expected) / sizeof(expected[0]));
    }
}

/* ---- faults ---- */

/* What is in the stream from `at` on is this fault, and is known when `known_at` bytes of it are there, no later. */
static void check_fault(ome_zmtp_stage_t stage, ome_zmtp_role_t role, const char *fault, uint32_t known_at)
{
    for (uint32_t size_bytes = 0; size_bytes <= stream.size_bytes; size_bytes++)
    {
        const next_t next = next_of(stage, role, stream.data, size_bytes);
        if (size_bytes < known_at)
        {
            CHECK_EQUAL(next.item.kind, OME_ZMTP_MORE);
            CHECK(next.item.needed <= known_at);
        }
        else
        {
            CHECK_EQUAL(next.item.kind, OME_ZMTP_FAULT);
            CHECK_TEXT_EQUAL(next.item.fault, fault);
            CHECK_EQUAL(next.stage, stage);
        }
    }
}

/* A subscriber that says anything but a whole subscription is none: parts without end are not read on. */
static void a_subscriber_may_send_subscriptions_only(void)
{
    static const struct
    {
        uint8_t flags;
        const char *part;
        uint32_t size_bytes;
    } parts[] = {{0, "\2no", 3}, {0, "", 0}, {FRAME_MORE, "\1abc", 4}, {FRAME_MORE, "", 0}, {FRAME_MORE, "more", 4}};
    for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
    {
        stream.size_bytes = 0;
        put_frame(&stream, parts[i].flags, parts[i].part, parts[i].size_bytes);
        check_fault(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_XPUB, "subscription", stream.size_bytes);
    }
}

/* A greeting with one byte changed is refused as soon as it is seen, where the byte matters; padding, minor version and
 * as-server may be anything. */
static void each_byte_of_a_greeting_that_matters_is_checked(void)
{
    for (uint32_t at = 0; at < OME_ZMTP_GREETING_SIZE; at++)
    {
        for (uint32_t value = 0; value < 256; value++)
        {
            stream.size_bytes = 0;
            put_greeting(&stream, 1);
            const uint8_t good = stream.data[at];
            stream.data[at] = (uint8_t)value;
            const char *fault = NULL;
            uint32_t known_at = OME_ZMTP_GREETING_SIZE;
            if (value != good && (at == 0 || at == 9))
            {
                fault = "signature of ZMTP 3";
                known_at = at + 1;
            }
            else if (at == 10 && value < 3)
            {
                fault = "version of ZMTP";
                known_at = 11;
            }
            else if (value != good && at >= 12 && at < 32)
            {
                fault = "security mechanism";
            }
            if (fault != NULL)
            {
                check_fault(OME_ZMTP_STAGE_GREETING, OME_ZMTP_ROUTER, fault, known_at);
            }
            else
            {
                const next_t next = next_of(OME_ZMTP_STAGE_GREETING, OME_ZMTP_ROUTER, stream.data, stream.size_bytes);
                CHECK_EQUAL(next.item.kind, OME_ZMTP_GREETED);
                CHECK_EQUAL(next.item.consumed_bytes, 64);
            }
        }
    }
}

/* Flags that do not exist, a command of several parts, a message before READY, another command instead of READY. */
static void each_fault_of_a_frame_is_named(void)
{
    for (uint32_t flags = 0; flags < 256; flags++)
    {
        for (uint32_t is_ready = 0; is_ready < 2; is_ready++)
        {
            const ome_zmtp_stage_t stage = is_ready ? OME_ZMTP_STAGE_READY : OME_ZMTP_STAGE_TRAFFIC;
            stream.size_bytes = 0;
            put_byte(&stream, flags);
            const next_t next = next_of(stage, OME_ZMTP_XPUB, stream.data, 1);
            const bool is_bad = flags > 7 || (flags & 5) == 5;
            const bool is_early = is_ready && (flags & 4) == 0;
            CHECK_EQUAL(next.item.kind == OME_ZMTP_FAULT, is_bad || is_early);
            CHECK(!is_bad || strcmp(next.item.fault, "flags of a frame") == 0);
            CHECK(is_bad || !is_early || strcmp(next.item.fault, "READY command") == 0);
            CHECK(is_bad || is_early || next.item.needed == ((flags & 2) != 0 ? 9 : 2));
        }
    }
    static const char *const names[] = {"READ", "READYY", "ready", "ERROR", "PING", "SUBSCRIBE", ""};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    {
        stream.size_bytes = 0;
        put_command(&stream, names[i], "\0\0", 2);
        check_fault(OME_ZMTP_STAGE_READY, OME_ZMTP_XPUB, "READY command", stream.size_bytes);
    }
    stream.size_bytes = 0;
    put_command(&stream, "ERROR", "\4text", 5);
    check_fault(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_XPUB, "no ERROR command", stream.size_bytes);
    stream.size_bytes = 0;
    put_frame(&stream, FRAME_COMMAND, "", 0);
    check_fault(OME_ZMTP_STAGE_READY, OME_ZMTP_ROUTER, "READY command", stream.size_bytes);
}

/* A READY command whose properties end anywhere but behind one of them is refused. The frame itself is whole. */
static void ready_with_an_incomplete_property_is_refused(void)
{
    static bytes_t properties;
    properties.size_bytes = 0;
    put_property(&properties, "Identity", "me");
    put_property(&properties, "X", "");
    put_property(&properties, "Socket-Type", "SUB");
    const uint32_t type_end = properties.size_bytes;
    put_property(&properties, "Resource", "a/b");
    for (uint32_t size_bytes = 0; size_bytes <= properties.size_bytes; size_bytes++)
    {
        stream.size_bytes = 0;
        put_command(&stream, "READY", properties.data, size_bytes);
        const next_t next = next_of(OME_ZMTP_STAGE_READY, OME_ZMTP_XPUB, stream.data, stream.size_bytes);
        const bool is_good = size_bytes == type_end || size_bytes == properties.size_bytes;
        CHECK_EQUAL(next.item.kind, is_good ? OME_ZMTP_CONNECTED : OME_ZMTP_FAULT);
        CHECK_EQUAL(next.stage == OME_ZMTP_STAGE_TRAFFIC, is_good);
        const next_t other = next_of(OME_ZMTP_STAGE_READY, OME_ZMTP_ROUTER, stream.data, stream.size_bytes);
        CHECK_EQUAL(other.item.kind, OME_ZMTP_FAULT);
        CHECK_EQUAL(other.stage, OME_ZMTP_STAGE_READY);
    }
}

/* Lengths that point beyond the command, up to those that would wrap around. */
static void a_property_longer_than_its_command_is_refused(void)
{
    static bytes_t properties;
    static const uint32_t lengths[] = {4, 5, 255, 256, 65536, UINT32_C(1) << 31, UINT32_MAX - 20, UINT32_MAX - 4, UINT32_MAX};
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
    {
        properties.size_bytes = 0;
        put_byte(&properties, 11);
        put_bytes(&properties, "Socket-Type", 11);
        put_number(&properties, lengths[i], 4);
        put_bytes(&properties, "SUB", 3);
        stream.size_bytes = 0;
        put_command(&stream, "READY", properties.data, properties.size_bytes);
        check_fault(OME_ZMTP_STAGE_READY, OME_ZMTP_XPUB, "properties of READY, with a socket type that fits", stream.size_bytes);
    }
}

/* The server's end for orders takes clients, that for market data takes subscribers. */
static void ready_needs_a_socket_type_that_fits(void)
{
    static const char *const types[] = {
        "PUB", "XPUB", "PULL", "PUSH", "REP", "PAIR", "DEALER", "REQ", "ROUTER", "SUB", "XSUB", "SU", "SUBS", ""};
    for (uint32_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
    {
        stream.size_bytes = 0;
        put_ready(&stream, types[i]);
        const bool is_subscriber = i == 9 || i == 10;
        const bool is_client = i >= 6 && i <= 8;
        CHECK_EQUAL(
            next_of(OME_ZMTP_STAGE_READY, OME_ZMTP_XPUB, stream.data, stream.size_bytes).item.kind == OME_ZMTP_CONNECTED, is_subscriber);
        CHECK_EQUAL(
            next_of(OME_ZMTP_STAGE_READY, OME_ZMTP_ROUTER, stream.data, stream.size_bytes).item.kind == OME_ZMTP_CONNECTED, is_client);
    }
}

/* A frame of the largest size is taken, one byte more is refused by its header alone; so are sizes that would wrap around. */
static void sizes_have_a_limit(void)
{
    for (uint32_t is_command = 0; is_command < 2; is_command++)
    {
        const uint32_t flags = is_command ? FRAME_COMMAND : 0;
        const uint32_t most = is_command ? OME_ZMTP_COMMAND_SIZE_MAX : PART_SIZE_MAX;
        const uint64_t sizes[] = {0, 1, 255, 256, most - 1, most, most + 1, UINT32_MAX - 9, UINT32_MAX, UINT64_C(1) << 32,
            (UINT64_C(1) << 32) + 1, UINT64_C(1) << 63, UINT64_MAX - 9, UINT64_MAX};
        for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        {
            stream.size_bytes = 0;
            put_frame_header(&stream, flags | FRAME_LONG, sizes[i]);
            if (sizes[i] > most)
            {
                check_fault(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_ROUTER, "size of a frame", 9);
                continue;
            }
            for (uint64_t byte = 0; byte < sizes[i]; byte++)
            {
                put_byte(&stream, 'z');
            }
            const next_t next = next_of(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_ROUTER, stream.data, stream.size_bytes);
            CHECK_EQUAL(next.item.kind, is_command ? OME_ZMTP_NOTHING : OME_ZMTP_PART);
            CHECK_EQUAL(next.item.consumed_bytes, 9 + sizes[i]);
        }
    }
    ome_zmtp_stage_t stage = OME_ZMTP_STAGE_TRAFFIC;
    ome_zmtp_item_t item;
    ome_zmtp_next(&stage, OME_ZMTP_ROUTER, 3, (const uint8_t *)"\0\4", 2, &item); /* a short header too */
    CHECK_EQUAL(item.kind, OME_ZMTP_FAULT);
    ome_zmtp_next(&stage, OME_ZMTP_ROUTER, 3, (const uint8_t *)"\0\3abc", 5, &item);
    CHECK_EQUAL(item.kind, OME_ZMTP_PART);
    CHECK_EQUAL(item.data_size_bytes, 3);
}

/* ---- commands ---- */

/* A PING is answered by a PONG with its context, of at most 16 bytes, whatever time to live it gives. One that is
 * shorter or longer is refused. */
static void a_ping_has_a_pong(void)
{
    for (uint32_t size_bytes = 0; size_bytes <= 2 + OME_ZMTP_PING_CONTEXT_SIZE_MAX + 3; size_bytes++)
    {
        stream.size_bytes = 0;
        put_command(&stream, "PING",
            "\xff\xff"
            "0123456789abcdefghi",
            size_bytes);
        if (size_bytes < 2 || size_bytes > 2 + OME_ZMTP_PING_CONTEXT_SIZE_MAX)
        {
            check_fault(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_XPUB, "PING command", stream.size_bytes);
            continue;
        }
        const next_t next = next_of(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_ROUTER, stream.data, stream.size_bytes);
        CHECK_EQUAL(next.item.kind, OME_ZMTP_PING);
        CHECK_EQUAL(next.item.data_size_bytes, size_bytes - 2);
        uint8_t pong[OME_ZMTP_PONG_SIZE_MAX];
        const uint32_t pong_size_bytes = ome_zmtp_pong(stream.data + next.data_offset, next.item.data_size_bytes, pong);
        static bytes_t expected;
        expected.size_bytes = 0;
        put_command(&expected, "PONG", "0123456789abcdef", size_bytes - 2);
        CHECK_EQUAL(2 + pong_size_bytes, expected.size_bytes);
        CHECK_BYTES_EQUAL(pong, expected.data + 2, pong_size_bytes);
        uint8_t header[OME_ZMTP_HEADER_SIZE_MAX];
        CHECK_EQUAL(ome_zmtp_command_header(pong_size_bytes, header), 2);
        CHECK_BYTES_EQUAL(header, expected.data, 2);
    }
}

/* A command that is not known has no consequence, nor has one whose name is longer than it, nor a subscription on order entry. */
static void unknown_commands_have_no_consequence(void)
{
    static const char *const names[] = {"READY", "PONG", "SUBSCRIB", "SUBSCRIBE2", "subscribe", "CANCE", "PIN", "PINGS", "HELLO", ""};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    {
        for (uint32_t role = OME_ZMTP_ROUTER; role <= OME_ZMTP_XPUB; role++)
        {
            stream.size_bytes = 0;
            put_command(&stream, names[i], "body", 4);
            const next_t next = next_of(OME_ZMTP_STAGE_TRAFFIC, (ome_zmtp_role_t)role, stream.data, stream.size_bytes);
            CHECK_EQUAL(next.item.kind, OME_ZMTP_NOTHING);
            CHECK_EQUAL(next.item.consumed_bytes, stream.size_bytes);
            CHECK(next.item.data == NULL);
        }
    }
    stream.size_bytes = 0;
    put_frame(&stream, FRAME_COMMAND, "\xffSUBSCRIBE", 10);
    CHECK_EQUAL(next_of(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_XPUB, stream.data, stream.size_bytes).item.kind, OME_ZMTP_NOTHING);
}

/* ---- what we say ---- */

/* Our greeting and READY, byte for byte; and the codec takes a part with each header that it makes. */
static void the_greeting_of_the_server_is_zmtp(void)
{
    for (uint32_t role = OME_ZMTP_ROUTER; role <= OME_ZMTP_XPUB; role++)
    {
        uint8_t hello[OME_ZMTP_HELLO_SIZE_MAX];
        static bytes_t properties;
        const uint32_t size_bytes = ome_zmtp_hello((ome_zmtp_role_t)role, hello);
        stream.size_bytes = properties.size_bytes = 0;
        put_greeting(&stream, 1);
        stream.data[8] = 0; /* a length that nobody reads */
        put_property(&properties, "Socket-Type", role == OME_ZMTP_XPUB ? "XPUB" : "ROUTER");
        if (role == OME_ZMTP_ROUTER)
        {
            put_property(&properties, "Identity", "");
        }
        put_command(&stream, "READY", properties.data, properties.size_bytes);
        CHECK_EQUAL(size_bytes, stream.size_bytes);
        CHECK(size_bytes <= OME_ZMTP_HELLO_SIZE_MAX);
        CHECK_BYTES_EQUAL(hello, stream.data, size_bytes);
    }
    for (uint32_t size_bytes = 0; size_bytes <= PART_SIZE_MAX; size_bytes++)
    {
        uint8_t header[OME_ZMTP_HEADER_SIZE_MAX];
        stream.size_bytes = 0;
        put_bytes(&stream, header, ome_zmtp_part_header(size_bytes, header));
        CHECK_EQUAL(stream.size_bytes, size_bytes < 256 ? 2 : 9);
        put_bytes(&stream, long_text, size_bytes);
        const next_t next = next_of(OME_ZMTP_STAGE_TRAFFIC, OME_ZMTP_ROUTER, stream.data, stream.size_bytes);
        CHECK_EQUAL(next.item.kind, OME_ZMTP_PART);
        CHECK_EQUAL(next.item.data_size_bytes, size_bytes);
        CHECK_EQUAL(next.item.consumed_bytes, stream.size_bytes);
    }
}

/* ---- any bytes ---- */

static next_t found[2][ITEM_COUNT_MAX];

/* Takes all that is in the stream, which comes in pieces of random sizes; keeps items until the first fault. Returns how many. */
static uint32_t take_in_pieces(ome_zmtp_role_t role, uint64_t *random, next_t *items)
{
    ome_zmtp_stage_t stage = OME_ZMTP_STAGE_GREETING;
    uint32_t count = 0;
    uint32_t at = 0;
    uint32_t end = 0;
    while (count < ITEM_COUNT_MAX)
    {
        const next_t next = next_of(stage, role, stream.data + at, end - at);
        if (next.item.kind == OME_ZMTP_MORE)
        {
            if (end == stream.size_bytes)
            {
                return count;
            }
            const uint32_t left_bytes = stream.size_bytes - end;
            const uint32_t more_bytes = random == NULL ? left_bytes : 1 + (uint32_t)(test_random(random) % 40);
            end += more_bytes < left_bytes ? more_bytes : left_bytes;
            continue;
        }
        items[count++] = next;
        at += next.item.consumed_bytes;
        stage = next.stage;
        if (next.item.kind == OME_ZMTP_FAULT)
        {
            return count;
        }
    }
    return count;
}

static void put_random_frame(uint64_t *random)
{
    static const char *const names[] = {"SUBSCRIBE", "CANCEL", "PING", "PONG", "READY", "ERROR", "OTHER"};
    const uint32_t size_bytes = (uint32_t)(test_random(random) % (test_random(random) % 8 == 0 ? PART_SIZE_MAX : 30));
    switch (test_random(random) % 4)
    {
    case 0:
        put_command(&stream, names[test_random(random) % 7], long_text, size_bytes % 16);
        break;
    case 1:
        put_frame_header(&stream, (uint32_t)(test_random(random) % 8), test_random(random) % 40);
        break;
    default:
        put_frame(&stream, (uint32_t)(test_random(random) % 2), long_text, size_bytes);
        break;
    }
}

/* Any bytes, good streams with changes among them, give the same items however they are cut, and are never read past their end. */
static void any_bytes_give_the_same_items_however_they_are_cut(void)
{
    uint64_t random = seed;
    uint32_t kinds[OME_ZMTP_FAULT + 1] = {0};
    for (uint32_t round = 0; round < 6000; round++)
    {
        const ome_zmtp_role_t role = round % 2 == 0 ? OME_ZMTP_ROUTER : OME_ZMTP_XPUB;
        stream.size_bytes = 0;
        put_hello(&stream, role == OME_ZMTP_ROUTER ? "DEALER" : "SUB");
        const uint32_t hello_size_bytes = stream.size_bytes;
        for (uint64_t i = test_random(&random) % 20; i > 0; i--)
        {
            put_random_frame(&random);
        }
        for (uint64_t i = test_random(&random) % 4; i > 0; i--)
        {
            const uint32_t from = test_random(&random) % 4 == 0 ? 0 : hello_size_bytes; /* most get past it */
            if (from < stream.size_bytes)
            {
                stream.data[from + test_random(&random) % (stream.size_bytes - from)] = (uint8_t)test_random(&random);
            }
        }
        const uint32_t count = take_in_pieces(role, NULL, found[0]);
        CHECK_EQUAL(take_in_pieces(role, &random, found[1]), count);
        for (uint32_t i = 0; i < count; i++)
        {
            kinds[found[0][i].item.kind]++;
            const bool is_last_fault = found[0][i].item.kind == OME_ZMTP_FAULT; /* seen sooner or later, by how much is there */
            CHECK(is_last_fault ? found[1][i].item.kind == OME_ZMTP_FAULT : is_same(&found[0][i], &found[1][i]));
        }
    }
    for (uint32_t kind = OME_ZMTP_GREETED; kind <= OME_ZMTP_FAULT; kind++)
    {
        CHECK(kinds[kind] > 100);
    }
}

int main(void)
{
    seed = test_seed(3);
    RUN(a_subscribers_stream_may_be_cut_anywhere);
    RUN(a_subscriber_may_send_subscriptions_only);
    RUN(a_clients_stream_may_be_cut_anywhere);
    RUN(each_byte_of_a_greeting_that_matters_is_checked);
    RUN(each_fault_of_a_frame_is_named);
    RUN(ready_with_an_incomplete_property_is_refused);
    RUN(a_property_longer_than_its_command_is_refused);
    RUN(ready_needs_a_socket_type_that_fits);
    RUN(sizes_have_a_limit);
    RUN(a_ping_has_a_pong);
    RUN(unknown_commands_have_no_consequence);
    RUN(the_greeting_of_the_server_is_zmtp);
    RUN(any_bytes_give_the_same_items_however_they_are_cut);
    return 0;
}
