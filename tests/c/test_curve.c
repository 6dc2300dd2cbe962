/* The server's side of CurveZMQ: what it makes of a good connection wherever it is cut, and of every wrong byte, length, order, nonce,
 * cookie, vouch and key. */
#include "ome_test_curve.h"
#include "wire/ome_curve.h"

#define PART_SIZE_MAX 2000u
#define KEY_COUNT_MAX 8u
#define NS_PER_MS UINT64_C(1000000)

static uint64_t seed;
static bytes_t stream;
static uint64_t now_ns = UINT64_C(1000000000000);

typedef struct
{
    ome_curve_config_t config;
    ome_key_table_t keys;
    ome_curve_server_t server;
    ome_curve_t curve;
    ome_zmtp_stage_t stage;
    ome_zmtp_item_t item;
    ome_curve_answer_t answer;
    uint8_t data[BYTES_SIZE_MAX]; /* of the item */
    curve_client_t client;
} house_t;

static void admit(house_t *house, const ome_curve_key_t *keys, uint32_t count)
{
    CHECK_EQUAL(ome_key_table_replace(&house->keys, keys, count), OME_OK);
    CHECK(ome_key_table_take(&house->keys));
    CHECK(!ome_key_table_take(&house->keys));
}

static house_t *house_new(ome_zmtp_role_t role)
{
    house_t *house = calloc(1, sizeof(house_t));
    CHECK(house != NULL);
    house->config = curve_config_new(KEY_COUNT_MAX);
    CHECK_EQUAL(ome_key_table_create(&house->keys, KEY_COUNT_MAX), OME_OK);
    house->server =
        (ome_curve_server_t){.config = &house->config, .keys = &house->keys, .role = role, .part_size_max_bytes = PART_SIZE_MAX};
    house->client = curve_client_new(house->config.public_key);
    const ome_curve_key_t key = curve_key_of(&house->client, 7);
    admit(house, &key, 1);
    return house;
}

static void house_free(house_t *house)
{
    ome_key_table_destroy(&house->keys);
    free(house);
}

/* A new connection of the same server. */
static void reconnect(house_t *house)
{
    ome_curve_end(&house->curve);
    house->stage = OME_ZMTP_STAGE_GREETING;
    CHECK_EQUAL(fake_box_keypair(house->client.short_public_key, house->client.short_secret_key), 0);
    house->client.nonce = 0;
    house->client.received_nonce = 0;
}

/* Gives the bytes in memory of exactly their size, so that the address sanitizer sees a step too far. */
static ome_zmtp_kind_t give(house_t *house, const uint8_t *data, uint32_t size_bytes)
{
    uint8_t *exact = malloc(size_bytes > 0 ? size_bytes : 1);
    CHECK(exact != NULL);
    memcpy(exact, data, size_bytes);
    ome_curve_next(&house->server, &house->curve, &house->stage, now_ns, exact, size_bytes, &house->item, &house->answer);
    const ome_zmtp_item_t *item = &house->item;
    CHECK(item->consumed_bytes <= size_bytes);
    CHECK_EQUAL(item->kind == OME_ZMTP_FAULT, item->fault != NULL);
    CHECK_EQUAL(item->kind == OME_ZMTP_FAULT, house->curve.stage == OME_CURVE_FAILED);
    CHECK(house->answer.size_bytes <= OME_CURVE_ANSWER_SIZE_MAX);
    if (item->kind == OME_ZMTP_MORE)
    {
        CHECK_EQUAL(item->consumed_bytes, 0);
        CHECK(item->needed > size_bytes);
        CHECK(item->needed <= ome_curve_frame_size_max(PART_SIZE_MAX));
    }
    if (item->kind == OME_ZMTP_FAULT)
    {
        const ome_curve_t expected = {.stage = OME_CURVE_FAILED}; /* no key is left */
        CHECK_BYTES_EQUAL(&house->curve, &expected, sizeof(expected));
    }
    if (item->data != NULL)
    {
        CHECK(item->data >= exact && item->data + item->data_size_bytes <= exact + size_bytes);
        memcpy(house->data, item->data, item->data_size_bytes);
    }
    free(exact);
    return item->kind;
}

static ome_zmtp_kind_t give_stream(house_t *house)
{
    return give(house, stream.data, stream.size_bytes);
}

/* The same, after every shorter piece of it: nothing happens before it is complete. */
static ome_zmtp_kind_t give_cut(house_t *house)
{
    for (uint32_t cut = 0; cut < stream.size_bytes; cut++)
    {
        const ome_curve_t before = house->curve;
        CHECK_EQUAL(give(house, stream.data, cut), OME_ZMTP_MORE);
        CHECK(house->item.needed <= stream.size_bytes);
        CHECK_EQUAL(house->answer.size_bytes, 0);
        CHECK_BYTES_EQUAL(&before, &house->curve, sizeof(before));
    }
    const ome_zmtp_kind_t kind = give_stream(house);
    CHECK_EQUAL(house->item.consumed_bytes, stream.size_bytes);
    return kind;
}

static void to_hello(house_t *house)
{
    reconnect(house);
    stream.size_bytes = 0;
    put_curve_greeting(&stream);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_GREETED);
    CHECK_EQUAL(house->answer.size_bytes, 0);
    stream.size_bytes = 0;
}

static void to_initiate(house_t *house)
{
    to_hello(house);
    put_hello_command(&stream, &house->client);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_GREETED);
    take_welcome(&house->client, house->answer.data, house->answer.size_bytes);
    stream.size_bytes = 0;
}

static const char *type_of(const house_t *house)
{
    return house->server.role == OME_ZMTP_ROUTER ? "DEALER" : "SUB";
}

static void to_messages(house_t *house)
{
    uint8_t metadata[256];
    to_initiate(house);
    put_initiate_as(&stream, &house->client, type_of(house));
    CHECK_EQUAL(give_stream(house), OME_ZMTP_CONNECTED);
    CHECK_EQUAL(house->stage, OME_ZMTP_STAGE_TRAFFIC);
    (void)take_ready(&house->client, house->answer.data, house->answer.size_bytes, metadata);
    stream.size_bytes = 0;
}

static bool is_data(const house_t *house, const void *data, uint32_t size_bytes)
{
    return house->item.data_size_bytes == size_bytes && memcmp(house->data, data, size_bytes) == 0;
}

/* ---- what is good ---- */

static void check_sealed(house_t *house, bool is_command, const uint8_t *data, uint32_t size_bytes)
{
    static bytes_t frame;
    uint8_t *exact = malloc(OME_ZMTP_HEADER_SIZE_MAX + OME_CURVE_OVERHEAD_SIZE + size_bytes);
    CHECK(exact != NULL);
    const uint32_t frame_size_bytes = ome_curve_seal(&house->server, &house->curve, is_command, data, size_bytes, exact);
    frame.size_bytes = 0;
    put_frame_header(&frame, 33 + size_bytes > 255 ? FRAME_LONG : 0, 33 + (uint64_t)size_bytes);
    const uint32_t header_size_bytes = frame.size_bytes;
    CHECK_EQUAL(frame_size_bytes, header_size_bytes + 33 + size_bytes);
    CHECK_BYTES_EQUAL(exact, frame.data, header_size_bytes);
    uint8_t *body = exact + header_size_bytes;
    CHECK_EQUAL(open_message(&house->client, body, 33 + size_bytes), 1 + size_bytes);
    CHECK_EQUAL(body[0], is_command ? BODY_COMMAND : 0);
    CHECK_BYTES_EQUAL(body + 1, data, size_bytes);
    free(exact);
}

/* A whole connection, cut at every byte: greeting, HELLO, INITIATE, messages and commands, in both directions. */
static void a_connection_may_be_cut_anywhere(void)
{
    static uint8_t data[PART_SIZE_MAX + 1];
    fake_random_bytes(data, sizeof(data));
    for (uint32_t role = OME_ZMTP_ROUTER; role <= OME_ZMTP_XPUB; role++)
    {
        house_t *house = house_new((ome_zmtp_role_t)role);
        curve_client_t *client = &house->client;
        stream.size_bytes = 0;
        put_curve_greeting(&stream);
        CHECK_EQUAL(give_cut(house), OME_ZMTP_GREETED);
        stream.size_bytes = 0;
        put_hello_command(&stream, client);
        CHECK_EQUAL(give_cut(house), OME_ZMTP_GREETED);
        CHECK_EQUAL(house->stage, OME_ZMTP_STAGE_READY);
        take_welcome(client, house->answer.data, house->answer.size_bytes);
        stream.size_bytes = 0;
        put_initiate_as(&stream, client, type_of(house));
        CHECK_EQUAL(house->curve.key_id, 0);
        CHECK_EQUAL(give_cut(house), OME_ZMTP_CONNECTED);
        CHECK_EQUAL(house->curve.key_id, 7);
        CHECK_BYTES_EQUAL(house->curve.client_key, client->public_key, KEY_SIZE);
        uint8_t found[256];
        uint8_t expected[OME_ZMTP_METADATA_SIZE_MAX];
        const uint32_t size_bytes = take_ready(client, house->answer.data, house->answer.size_bytes, found);
        CHECK_EQUAL(size_bytes, ome_zmtp_metadata(house->server.role, expected));
        CHECK_BYTES_EQUAL(found, expected, size_bytes);
        if (role == OME_ZMTP_ROUTER)
        {
            for (uint32_t part = 0; part <= PART_SIZE_MAX; part += part < 300 ? 37 : 850)
            {
                stream.size_bytes = 0;
                put_message(&stream, client, part % 2 == 0 ? 0 : BODY_MORE, data, part);
                CHECK_EQUAL(give_cut(house), OME_ZMTP_PART);
                CHECK(is_data(house, data, part));
            }
        }
        stream.size_bytes = 0;
        put_message(&stream, client, BODY_COMMAND, "\x09SUBSCRIBEabc", 13);
        CHECK_EQUAL(give_cut(house), role == OME_ZMTP_XPUB ? OME_ZMTP_SUBSCRIBE : OME_ZMTP_NOTHING);
        CHECK(role != OME_ZMTP_XPUB || is_data(house, "abc", 3));
        stream.size_bytes = 0;
        put_message(&stream, client, BODY_COMMAND, "\6CANCELabc", 10);
        CHECK_EQUAL(give_cut(house), role == OME_ZMTP_XPUB ? OME_ZMTP_CANCEL : OME_ZMTP_NOTHING);
        stream.size_bytes = 0;
        put_message(&stream, client, 0, "\1def", 4);
        CHECK_EQUAL(give_cut(house), role == OME_ZMTP_XPUB ? OME_ZMTP_SUBSCRIBE : OME_ZMTP_PART);
        stream.size_bytes = 0;
        put_message(&stream, client, BODY_COMMAND, "\4PING\0\7context", 14);
        CHECK_EQUAL(give_cut(house), OME_ZMTP_PING);
        CHECK(is_data(house, "context", 7));
        stream.size_bytes = 0;
        put_message_numbered(&stream, client, ++client->nonce, FRAME_COMMAND, BODY_COMMAND, "\4JOIN", 5); /* as the specification has it */
        CHECK_EQUAL(give_cut(house), OME_ZMTP_NOTHING);
        for (uint32_t size = 0; size <= sizeof(data); size += size < 300 ? 1 : 850)
        {
            check_sealed(house, size % 2 != 0, data, size);
        }
        house_free(house);
    }
}

/* What stands behind an item is not touched. */
static void items_that_came_together_are_taken_one_by_one(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    to_messages(house);
    for (uint32_t i = 0; i < 5; i++)
    {
        put_message(&stream, &house->client, 0, &i, sizeof(i));
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < 5; i++)
    {
        CHECK_EQUAL(give(house, stream.data + at, stream.size_bytes - at), OME_ZMTP_PART);
        CHECK(is_data(house, &i, sizeof(i)));
        at += house->item.consumed_bytes;
    }
    CHECK_EQUAL(at, stream.size_bytes);
    house_free(house);
}

/* The keys of two connections have nothing in common, also of one client. */
static void each_connection_has_keys_of_its_own(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    to_messages(house);
    const curve_client_t before = house->client;
    const ome_curve_t curve = house->curve;
    to_messages(house);
    CHECK(memcmp(before.server_short_key, house->client.server_short_key, KEY_SIZE) != 0);
    CHECK(memcmp(before.cookie, house->client.cookie, sizeof(before.cookie)) != 0);
    CHECK(memcmp(curve.key, house->curve.key, KEY_SIZE) != 0);
    static const uint8_t none[KEY_SIZE];
    CHECK_BYTES_EQUAL(house->curve.secret_key, none, KEY_SIZE); /* it has done its work */
    house_free(house);
}

/* ---- what is wrong ---- */

typedef void (*prepare_t)(house_t *house);

static void prepare_greeting(house_t *house)
{
    reconnect(house);
    stream.size_bytes = 0;
    put_curve_greeting(&stream);
}

static void prepare_hello(house_t *house)
{
    to_hello(house);
    put_hello_command(&stream, &house->client);
}

static void prepare_initiate(house_t *house)
{
    to_initiate(house);
    put_initiate_as(&stream, &house->client, type_of(house));
}

static void prepare_message(house_t *house)
{
    to_messages(house);
    put_message(&stream, &house->client, 0, "\1hello", 6);
}

/* Every byte of a command matters: whichever is changed, and how, the connection ends without an answer. A size that is too large only
 * waits for bytes. */
static void check_every_byte(house_t *house, prepare_t prepare)
{
    static const uint8_t changes[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
    prepare(house);
    const uint32_t size_bytes = stream.size_bytes;
    for (uint32_t at = 0; at < size_bytes; at++)
    {
        for (uint32_t i = 0; i < sizeof(changes); i++)
        {
            prepare(house);
            stream.data[at] ^= changes[i];
            const bool is_frame_of_message = prepare == prepare_message && at == 0 && changes[i] == FRAME_COMMAND;
            const ome_zmtp_kind_t kind = give_stream(house);
            if (kind == OME_ZMTP_MORE)
            {
                CHECK(at < OME_ZMTP_HEADER_SIZE_MAX);
            }
            else
            {
                CHECK_EQUAL(kind, is_frame_of_message ? OME_ZMTP_PART : OME_ZMTP_FAULT);
            }
            CHECK_EQUAL(house->answer.size_bytes, 0);
        }
    }
}

static void every_byte_of_a_handshake_and_of_a_message_matters(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    check_every_byte(house, prepare_hello);
    check_every_byte(house, prepare_initiate);
    check_every_byte(house, prepare_message);
    house_free(house);
}

/* Of the greeting: signature, version, mechanism, and that the peer is no server. The others are filler. */
static void a_greeting_has_our_mechanism_and_is_a_clients(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    for (uint32_t at = 0; at < OME_ZMTP_GREETING_SIZE; at++)
    {
        const bool matters = at == 0 || at == 9 || at == 10 || (at >= 12 && at <= 32);
        prepare_greeting(house);
        stream.data[at] ^= 0x83;
        CHECK_EQUAL(give_stream(house), matters && at != 10 ? OME_ZMTP_FAULT : OME_ZMTP_GREETED);
    }
    prepare_greeting(house);
    memcpy(stream.data + 12, "NULL\0", 5);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    CHECK_TEXT_EQUAL(house->item.fault, "security mechanism");
    prepare_greeting(house);
    stream.data[10] = 2;
    CHECK_EQUAL(give(house, stream.data, 11), OME_ZMTP_FAULT);
    uint8_t greeting[OME_ZMTP_GREETING_SIZE];
    ome_curve_greeting(greeting);
    CHECK_BYTES_EQUAL(greeting, "\xff\0\0\0\0\0\0\0\0\x7f\3\1CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 33);
    house_free(house);
}

/* Puts the command with another size, `change` bytes more. */
static void resize(int32_t change)
{
    static bytes_t resized;
    const bool is_long = (stream.data[0] & FRAME_LONG) != 0;
    const uint32_t header_size_bytes = is_long ? 9 : 2;
    const uint32_t body_size_bytes = (uint32_t)((int32_t)(stream.size_bytes - header_size_bytes) + change);
    resized.size_bytes = 0;
    put_frame_header(&resized, (stream.data[0] & ~FRAME_LONG) | (body_size_bytes > 255 ? FRAME_LONG : 0), body_size_bytes);
    memset(stream.data + stream.size_bytes, 0, change > 0 ? (uint32_t)change : 0);
    put_bytes(&resized, stream.data + header_size_bytes, body_size_bytes);
    memcpy(&stream, &resized, sizeof(resized));
}

static void every_length_but_the_right_one_is_refused(void)
{
    static const prepare_t prepares[] = {prepare_hello, prepare_initiate, prepare_message};
    house_t *house = house_new(OME_ZMTP_ROUTER);
    for (uint32_t i = 0; i < 3; i++)
    {
        prepares[i](house);
        const int32_t size_bytes = (int32_t)stream.size_bytes - 9;
        for (int32_t change = -size_bytes; change < 100; change++)
        {
            prepares[i](house);
            resize(change);
            CHECK_EQUAL(give_stream(house), change == 0 ? prepares[i] == prepare_hello      ? OME_ZMTP_GREETED
                                                          : prepares[i] == prepare_initiate ? OME_ZMTP_CONNECTED
                                                                                            : OME_ZMTP_PART
                                                        : OME_ZMTP_FAULT);
        }
    }
    house_free(house);
}

/* The size of a frame is refused before its bytes are there: nobody can make the server wait for, or hold, more than it may need. */
static void a_frame_that_is_too_large_is_refused_by_its_header(void)
{
    static uint8_t data[PART_SIZE_MAX + 1];
    house_t *house = house_new(OME_ZMTP_ROUTER);
    to_hello(house);
    CHECK_EQUAL(give(house, (const uint8_t *)"\4\xc9", 2), OME_ZMTP_FAULT);
    to_initiate(house);
    put_frame_header(&stream, FRAME_COMMAND | FRAME_LONG, OME_ZMTP_COMMAND_SIZE_MAX + 1);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    for (uint32_t flags = 0; flags <= FRAME_COMMAND; flags += FRAME_COMMAND)
    {
        to_messages(house);
        put_frame_header(&stream, flags | FRAME_LONG, PART_SIZE_MAX + OME_CURVE_OVERHEAD_SIZE + 1);
        CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
        to_messages(house);
        put_frame_header(&stream, flags | FRAME_LONG, UINT64_MAX);
        CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
        to_messages(house);
        put_frame_header(&stream, flags | FRAME_LONG, PART_SIZE_MAX + OME_CURVE_OVERHEAD_SIZE);
        CHECK_EQUAL(give_stream(house), OME_ZMTP_MORE);
        CHECK_EQUAL(house->item.needed, ome_curve_frame_size_max(PART_SIZE_MAX));
    }
    /* A command inside a message has the bound of a command. */
    memcpy(data, "\4JOIN", 5);
    to_messages(house);
    put_message(&stream, &house->client, BODY_COMMAND, data, OME_ZMTP_COMMAND_SIZE_MAX);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_NOTHING);
    stream.size_bytes = 0;
    put_message(&stream, &house->client, BODY_COMMAND, data, OME_ZMTP_COMMAND_SIZE_MAX + 1);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    house->server.part_size_max_bytes = 10; /* commands still have room */
    to_messages(house);
    put_message(&stream, &house->client, 0, data, 11);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    house_free(house);
}

static void flags_of_a_message_that_are_none_are_refused(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    for (uint32_t flags = 0; flags < 256; flags++)
    {
        to_messages(house);
        put_message(&stream, &house->client, flags, "\4PING\0\7", 7);
        CHECK_EQUAL(give_stream(house), flags <= BODY_MORE ? OME_ZMTP_PART : flags == BODY_COMMAND ? OME_ZMTP_PING : OME_ZMTP_FAULT);
        to_messages(house);
        put_message_numbered(&stream, &house->client, ++house->client.nonce, flags, 0, "x", 1);
        if (flags == FRAME_LONG || flags == (FRAME_LONG | FRAME_COMMAND))
        {
            continue; /* a long header, which this is not */
        }
        CHECK_EQUAL(give_stream(house), flags == 0 || flags == FRAME_COMMAND ? OME_ZMTP_PART : OME_ZMTP_FAULT);
    }
    house_free(house);
}

/* A command at another place than its own, and what is none of CurveZMQ's, or from NULL's handshake. */
static void commands_in_another_order_are_refused(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    static bytes_t commands[6];
    memset(commands, 0, sizeof(commands));
    to_hello(house);
    put_hello_command(&commands[0], &house->client);
    CHECK_EQUAL(give(house, commands[0].data, commands[0].size_bytes), OME_ZMTP_GREETED);
    take_welcome(&house->client, house->answer.data, house->answer.size_bytes);
    const curve_client_t client = house->client;
    put_initiate_as(&commands[1], &house->client, "DEALER");
    put_message(&commands[2], &house->client, 0, "x", 1);
    put_ready(&commands[3], "DEALER");
    put_command(&commands[4], "ERROR", "\003400", 4);
    put_command(&commands[5], "SUBSCRIBE", "", 0);
    for (uint32_t stage = 0; stage < 3; stage++)
    {
        for (uint32_t command = 0; command < 6; command++)
        {
            if (stage == 0)
            {
                to_hello(house);
            }
            else if (stage == 1)
            {
                to_initiate(house);
            }
            else
            {
                to_messages(house);
            }
            if (command != stage)
            {
                CHECK_EQUAL(give(house, commands[command].data, commands[command].size_bytes), OME_ZMTP_FAULT);
            }
        }
    }
    /* The handshake is of commands. */
    house->client = client;
    for (uint32_t stage = 0; stage < 2; stage++)
    {
        if (stage == 0)
        {
            to_hello(house);
        }
        else
        {
            to_initiate(house);
        }
        commands[stage].data[0] &= (uint8_t)~FRAME_COMMAND;
        CHECK_EQUAL(give(house, commands[stage].data, 1), OME_ZMTP_FAULT);
    }
    house_free(house);
}

/* A nonce that is not later than all before it is refused: what was recorded cannot be sent again. */
static void nonces_must_increase(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    to_messages(house);
    put_message_numbered(&stream, &house->client, 100, 0, 0, "x", 1);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_PART);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    static const uint64_t refused[] = {0, 1, 2, 99, 100};
    for (uint32_t i = 0; i < 5; i++)
    {
        to_messages(house);
        put_message_numbered(&stream, &house->client, 100, 0, 0, "x", 1);
        CHECK_EQUAL(give_stream(house), OME_ZMTP_PART);
        stream.size_bytes = 0;
        put_message_numbered(&stream, &house->client, refused[i], 0, 0, "y", 1);
        CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    }
    to_messages(house);
    for (uint64_t number = 101; number != 0; number = number == 101 ? UINT64_MAX - 1 : number + 1)
    {
        stream.size_bytes = 0;
        put_message_numbered(&stream, &house->client, number, 0, 0, "x", 1);
        CHECK_EQUAL(give_stream(house), OME_ZMTP_PART);
    }
    /* Of the handshake, too. */
    to_hello(house);
    house->client.nonce = UINT64_MAX; /* the next is 0 */
    put_hello_command(&stream, &house->client);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    to_initiate(house);
    house->client.nonce--;
    put_initiate_as(&stream, &house->client, "DEALER");
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    to_messages(house);
    put_message_numbered(&stream, &house->client, house->client.nonce, 0, 0, "x", 1);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    house_free(house);
}

/* A message that an attacker changes does not use up its nonce in vain: the connection ends. One of another connection is of no use here. */
static void a_message_of_another_connection_is_refused(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    static bytes_t recorded;
    recorded.size_bytes = 0;
    to_messages(house);
    put_message(&recorded, &house->client, 0, "buy", 3);
    to_messages(house);
    CHECK_EQUAL(give(house, recorded.data, recorded.size_bytes), OME_ZMTP_FAULT);
    house_free(house);
}

/* A cookie is good for the connection that got it, and for a minute. */
static void a_cookie_of_another_connection_or_time_is_refused(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    to_initiate(house);
    uint8_t cookie[96];
    memcpy(cookie, house->client.cookie, sizeof(cookie));
    to_initiate(house);
    memcpy(house->client.cookie, cookie, sizeof(cookie));
    put_initiate_as(&stream, &house->client, "DEALER");
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    CHECK_TEXT_EQUAL(house->item.fault, "cookie of this connection");
    /* The whole INITIATE of an earlier connection. */
    static bytes_t recorded;
    recorded.size_bytes = 0;
    to_initiate(house);
    put_initiate_as(&recorded, &house->client, "DEALER");
    to_initiate(house);
    CHECK_EQUAL(give(house, recorded.data, recorded.size_bytes), OME_ZMTP_FAULT);
    /* One with the right key and another content. */
    for (uint32_t variant = 0; variant < 3; variant++)
    {
        uint8_t nonce[NONCE_SIZE];
        to_initiate(house);
        uint8_t *box = house->client.cookie + 16;
        memcpy(nonce, "COOKIE--", 8);
        memcpy(nonce + 8, house->client.cookie, 16);
        CHECK_EQUAL(fake_secretbox_open_easy(box + MAC_SIZE, box, 80, nonce, house->curve.key), 0);
        box[MAC_SIZE + 5] ^= variant == 1;
        box[MAC_SIZE + KEY_SIZE + 5] ^= variant == 2;
        CHECK_EQUAL(fake_secretbox_easy(box, box + MAC_SIZE, 64, nonce, house->curve.key), 0);
        put_initiate_as(&stream, &house->client, "DEALER");
        CHECK_EQUAL(give_stream(house), variant == 0 ? OME_ZMTP_CONNECTED : OME_ZMTP_FAULT);
    }
    for (uint64_t late = 0; late < 2; late++)
    {
        to_initiate(house);
        put_initiate_as(&stream, &house->client, "DEALER");
        now_ns += OME_CURVE_COOKIE_MS * NS_PER_MS + late;
        CHECK_EQUAL(give_stream(house), late == 0 ? OME_ZMTP_CONNECTED : OME_ZMTP_FAULT);
    }
    house_free(house);
}

/* A client proves that it has the secret key of the public key that it names, for this connection and this server. */
static void a_vouch_for_something_else_is_refused(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    const curve_client_t good = house->client;
    for (uint32_t variant = 0; variant < 5; variant++)
    {
        house->client = good;
        to_initiate(house);
        if (variant == 1)
        {
            fake_random_bytes(house->client.secret_key, KEY_SIZE); /* it has not the key that it names */
        }
        else if (variant == 2)
        {
            fake_random_bytes(house->client.vouched_key, KEY_SIZE); /* it was asked by another server, which passes the vouch on */
        }
        else if (variant == 3)
        {
            memset(house->client.public_key, 0, KEY_SIZE); /* a weak key */
        }
        else if (variant == 4)
        {
            house->client.vouched_change = 1; /* it is for another connection */
        }
        put_initiate_as(&stream, &house->client, "DEALER");
        CHECK_EQUAL(give_stream(house), variant == 0 ? OME_ZMTP_CONNECTED : OME_ZMTP_FAULT);
        CHECK_EQUAL(house->answer.size_bytes > 0, variant == 0);
    }
    /* HELLO for another server's key; or from a weak one. */
    house->client = good;
    fake_random_bytes(house->client.server_key, KEY_SIZE);
    prepare_hello(house);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    house->client = good;
    prepare_hello(house);
    memset(stream.data + 2 + 80, 0, KEY_SIZE);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    house_free(house);
}

/* A client that has proved who it is, and is not admitted, gets an ERROR. Who it is not told is whether a key is admitted that it does not
 * have. */
static void a_key_that_is_not_admitted_gets_an_error(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    const curve_client_t good = house->client;
    house->client = curve_client_new(house->config.public_key);
    prepare_initiate(house);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    CHECK_TEXT_EQUAL(house->item.fault, "key that is admitted");
    CHECK_EQUAL(house->answer.size_bytes, 12);
    CHECK_BYTES_EQUAL(house->answer.data, "\4\x0a\5ERROR\003400", 12);
    house->client = good;
    admit(house, NULL, 0);
    prepare_initiate(house);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    CHECK_EQUAL(house->answer.size_bytes, 12);
    house_free(house);
}

static void metadata_that_is_none_or_of_another_socket_is_refused(void)
{
    house_t *house = house_new(OME_ZMTP_ROUTER);
    static const char *const types[] = {"DEALER", "REQ", "ROUTER", "SUB", "XSUB", "PUB", ""};
    for (uint32_t role = OME_ZMTP_ROUTER; role <= OME_ZMTP_XPUB; role++)
    {
        house->server.role = (ome_zmtp_role_t)role;
        for (uint32_t i = 0; i < 7; i++)
        {
            to_initiate(house);
            put_initiate_as(&stream, &house->client, types[i]);
            const bool is_good = role == OME_ZMTP_ROUTER ? i < 3 : i == 3 || i == 4;
            CHECK_EQUAL(give_stream(house), is_good ? OME_ZMTP_CONNECTED : OME_ZMTP_FAULT);
        }
    }
    to_initiate(house);
    put_initiate_command(&stream, &house->client, "", 0);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    static uint8_t metadata[OME_ZMTP_COMMAND_SIZE_MAX];
    house->server.role = OME_ZMTP_ROUTER;
    memcpy(metadata, "\x0bSocket-Type\0\0\0\6DEALER\1x\0\0\2\x1f", 28);
    to_initiate(house);
    put_initiate_command(&stream, &house->client, metadata, OME_ZMTP_COMMAND_SIZE_MAX - 257); /* as long as it may be */
    CHECK_EQUAL(stream.size_bytes, 9 + OME_ZMTP_COMMAND_SIZE_MAX);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_FAULT);
    metadata[26] = (uint8_t)((OME_ZMTP_COMMAND_SIZE_MAX - 257 - 28) >> 8);
    metadata[27] = (uint8_t)(OME_ZMTP_COMMAND_SIZE_MAX - 257 - 28);
    to_initiate(house);
    put_initiate_command(&stream, &house->client, metadata, OME_ZMTP_COMMAND_SIZE_MAX - 257);
    CHECK_EQUAL(give_stream(house), OME_ZMTP_CONNECTED);
    house_free(house);
}

/* Whatever comes at any stage: an item, a fault, or a wait for a bounded number of bytes. */
static void any_bytes_at_any_stage_do_no_harm(void)
{
    static const prepare_t prepares[] = {prepare_greeting, prepare_hello, prepare_initiate, prepare_message};
    house_t *house = house_new(OME_ZMTP_XPUB);
    uint64_t random = seed;
    for (uint32_t round = 0; round < 4000; round++)
    {
        prepares[round % 4](house);
        const uint32_t change_count = 1 + (uint32_t)(test_random(&random) % 8);
        for (uint32_t i = 0; i < change_count; i++)
        {
            stream.data[test_random(&random) % stream.size_bytes] = (uint8_t)test_random(&random);
        }
        const uint32_t size_bytes = (uint32_t)(test_random(&random) % (stream.size_bytes + 1));
        (void)give(house, stream.data, size_bytes);
    }
    house_free(house);
}

/* ---- keys ---- */

/* Keys are found where they are admitted, whatever their number; a list that is out of order, has a key twice, or one without an id, or is too
 * long, changes nothing. */
static void a_table_has_the_keys_that_it_was_given(void)
{
    ome_key_table_t table;
    ome_curve_key_t keys[KEY_COUNT_MAX + 1] = {0};
    CHECK_EQUAL(ome_key_table_create(&table, 0), OME_INVALID);
    CHECK_EQUAL(ome_key_table_create(&table, OME_CURVE_KEY_COUNT_MAX + 1), OME_INVALID);
    ome_key_table_destroy(&table);
    CHECK_EQUAL(ome_key_table_create(&table, KEY_COUNT_MAX), OME_OK);
    for (uint32_t i = 0; i <= KEY_COUNT_MAX; i++)
    {
        keys[i].public_key[i % 2 == 0 ? 0 : 31] = (uint8_t)(10 * i + 1);
        keys[i].public_key[0] = (uint8_t)(10 * i + 1);
        keys[i].key_id = 100 + i;
    }
    for (uint32_t count = 0; count <= KEY_COUNT_MAX; count++)
    {
        CHECK_EQUAL(ome_key_table_replace(&table, keys, count), OME_OK);
        CHECK(count == 0 || ome_key_table_find(&table, keys[count - 1].public_key) == 0); /* not before it is taken */
        CHECK(ome_key_table_take(&table));
        for (uint32_t i = 0; i <= KEY_COUNT_MAX; i++)
        {
            uint8_t other[KEY_SIZE];
            CHECK_EQUAL(ome_key_table_find(&table, keys[i].public_key), i < count ? 100 + i : 0);
            memcpy(other, keys[i].public_key, KEY_SIZE);
            other[15] ^= 1;
            CHECK_EQUAL(ome_key_table_find(&table, other), 0);
        }
    }
    CHECK_EQUAL(ome_key_table_replace(&table, keys, KEY_COUNT_MAX + 1), OME_INVALID);
    keys[3].key_id = 0;
    CHECK_EQUAL(ome_key_table_replace(&table, keys, 4), OME_INVALID);
    keys[3] = keys[2];
    CHECK_EQUAL(ome_key_table_replace(&table, keys, 4), OME_INVALID);
    keys[3] = keys[0];
    CHECK_EQUAL(ome_key_table_replace(&table, keys, 4), OME_INVALID);
    CHECK(!ome_key_table_take(&table));
    CHECK_EQUAL(ome_key_table_find(&table, keys[7].public_key), 107);
    /* Of two that were not taken, the last one counts. */
    CHECK_EQUAL(ome_key_table_replace(&table, keys, 3), OME_OK);
    CHECK_EQUAL(ome_key_table_replace(&table, keys, 1), OME_OK);
    CHECK(ome_key_table_take(&table));
    CHECK(!ome_key_table_take(&table));
    CHECK_EQUAL(ome_key_table_find(&table, keys[0].public_key), 100);
    CHECK_EQUAL(ome_key_table_find(&table, keys[1].public_key), 0);
    ome_key_table_destroy(&table);
}

int main(void)
{
    seed = test_seed(1);
    fake_seed = seed;
    RUN(a_connection_may_be_cut_anywhere);
    RUN(items_that_came_together_are_taken_one_by_one);
    RUN(each_connection_has_keys_of_its_own);
    RUN(every_byte_of_a_handshake_and_of_a_message_matters);
    RUN(a_greeting_has_our_mechanism_and_is_a_clients);
    RUN(every_length_but_the_right_one_is_refused);
    RUN(a_frame_that_is_too_large_is_refused_by_its_header);
    RUN(flags_of_a_message_that_are_none_are_refused);
    RUN(commands_in_another_order_are_refused);
    RUN(nonces_must_increase);
    RUN(a_message_of_another_connection_is_refused);
    RUN(a_cookie_of_another_connection_or_time_is_refused);
    RUN(a_vouch_for_something_else_is_refused);
    RUN(a_key_that_is_not_admitted_gets_an_error);
    RUN(metadata_that_is_none_or_of_another_socket_is_refused);
    RUN(any_bytes_at_any_stage_do_no_harm);
    RUN(a_table_has_the_keys_that_it_was_given);
    return 0;
}
