/* A listener with keys: who comes in, what comes through, how much handshakes may cost, and what happens when other keys are admitted. */
#include <pthread.h>

#include "listener_fixture.h"
#include "ome_test_curve.h"

#define KEY_COUNT_MAX 300u
#define CONNECTION_COUNT_MAX 128u
#define HANDSHAKE_COUNT 16u /* steps in a tick, of which newcomers get half */
#define SWEEP (500 * MS)

static ome_curve_config_t curve_config;

static house_t *keyed_house_new(bool is_unix, ome_zmtp_role_t role)
{
    house_t *house = house_begin(is_unix, role, CONNECTION_COUNT_MAX);
    curve_config = curve_config_new(KEY_COUNT_MAX);
    house->config.curve = &curve_config;
    return house_open(house);
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, KEY_SIZE); /* the key is the first of its fields */
}

static void admit_keys(house_t *house, ome_curve_key_t *keys, uint32_t key_count)
{
    if (key_count > 1)
    {
        qsort(keys, key_count, sizeof(keys[0]), compare_keys);
    }
    CHECK_EQUAL(ome_listener_admit_keys(house->listener, keys, key_count), OME_OK);
    work(house);
}

typedef struct
{
    client_t client;
    curve_client_t curve;
} keyed_client_t;

static keyed_client_t keyed_client_new(house_t *house)
{
    (void)house;
    return (keyed_client_t){.curve = curve_client_new(curve_config.public_key)};
}

static void send_greeting_and_hello(house_t *house, keyed_client_t *client)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_curve_greeting(&bytes);
    put_hello_command(&bytes, &client->curve);
    client_send_bytes(house, &client->client, &bytes);
}

static void read_welcome(house_t *house, keyed_client_t *client)
{
    uint8_t data[256];
    client_read_exact(house, &client->client, data, OME_ZMTP_GREETING_SIZE);
    CHECK_BYTES_EQUAL(data + 12, "CURVE", 6);
    client_read_exact(house, &client->client, data, 170);
    take_welcome(&client->curve, data, 170);
}

static void send_initiate(house_t *house, keyed_client_t *client)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_initiate_as(&bytes, &client->curve, client_type(house));
    client_send_bytes(house, &client->client, &bytes);
}

static void read_ready(house_t *house, keyed_client_t *client)
{
    uint8_t data[256];
    uint8_t metadata[256];
    client_read_exact(house, &client->client, data, 2);
    client_read_exact(house, &client->client, data + 2, data[1]);
    (void)take_ready(&client->curve, data, 2 + (uint32_t)data[1], metadata);
    client->client.has_hello = true;
}

static void keyed_part(house_t *house, keyed_client_t *client, uint32_t flags, const void *data, uint32_t size_bytes)
{
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_message(&bytes, &client->curve, flags, data, size_bytes);
    client_send_bytes(house, &client->client, &bytes);
}

static void keyed_connect(house_t *house, keyed_client_t *client)
{
    client->client = client_new(house);
    send_greeting_and_hello(house, client);
    read_welcome(house, client);
    send_initiate(house, client);
    read_ready(house, client);
}

/* Connected, and known by a first message; admitted or not. */
static void keyed_connect_known(house_t *house, keyed_client_t *client, bool is_admitted)
{
    keyed_connect(house, client);
    keyed_part(house, client, 0, "\1?", 2);
    take_next(house);
    client->client.peer = house->message.peer;
    CHECK(!is_admitted || house->socket->admit(house->socket->context, client->client.peer, 1) == OME_OK);
}

/* The next frame, opened: its flags and data. */
static uint32_t keyed_read(house_t *house, keyed_client_t *client, uint8_t *content)
{
    uint8_t flags;
    const uint32_t size_bytes = client_read_frame(house, &client->client, content, &flags);
    CHECK_EQUAL(flags & ~FRAME_LONG, 0);
    return open_message(&client->curve, content, size_bytes);
}

static uint32_t key_of(house_t *house, const keyed_client_t *client)
{
    return house->socket->key(house->socket->context, client->client.peer);
}

/* What the loops see is what they see without keys: parts in both directions, subscriptions, PONGs, a last message; and who it is. */
static void messages_come_through_as_they_are(void)
{
    static uint8_t content[2 * PART_SIZE_MAX];
    fill_pattern();
    for (uint32_t variant = 0; variant < 4; variant++)
    {
        const bool is_router = variant % 2 == 0;
        house_t *house = keyed_house_new(variant >= 2, is_router ? OME_ZMTP_ROUTER : OME_ZMTP_XPUB);
        keyed_client_t client = keyed_client_new(house);
        ome_curve_key_t key = curve_key_of(&client.curve, 4000000000u);
        admit_keys(house, &key, 1);
        keyed_connect_known(house, &client, true);
        CHECK_EQUAL(key_of(house, &client), 4000000000u);
        CHECK_EQUAL(ome_listener_key(house->listener, client.client.peer), 4000000000u);
        CHECK_EQUAL(ome_listener_key(house->listener, client.client.peer + 1), 0);
        CHECK_EQUAL(house->message.kind, is_router ? OME_SOCKET_PART : OME_SOCKET_SUBSCRIBE);
        if (is_router)
        {
            for (uint32_t size_bytes = 0; size_bytes <= 8000; size_bytes = 2 * size_bytes + 1)
            {
                keyed_part(house, &client, 0, pattern, size_bytes);
                take_next(house);
                CHECK(is_message(house, client.client.peer, pattern, size_bytes));
            }
            const uint32_t large_bytes = variant >= 2 ? PART_SIZE_MAX : 8000; /* as much as the kernel takes over TCP */
            keyed_part(house, &client, 0, pattern, large_bytes);
            take_next(house);
            CHECK(is_message(house, client.client.peer, pattern, large_bytes));
        }
        else
        {
            keyed_part(house, &client, BODY_COMMAND, "\x09SUBSCRIBEabc", 13);
            take_next(house);
            CHECK_EQUAL(house->message.kind, OME_SOCKET_SUBSCRIBE);
            CHECK_BYTES_EQUAL(house->data, "abc", 3);
            keyed_part(house, &client, BODY_COMMAND, "\6CANCELabc", 10);
            take_next(house);
            CHECK_EQUAL(house->message.kind, OME_SOCKET_CANCEL);
        }
        for (uint32_t size_bytes = 0; size_bytes <= PART_SIZE_MAX; size_bytes = 2 * size_bytes + 1)
        {
            CHECK_EQUAL(send_to(house, &client.client, pattern, size_bytes), OME_OK);
            CHECK_EQUAL(keyed_read(house, &client, content), 1 + size_bytes);
            CHECK_EQUAL(content[0], 0);
            CHECK_BYTES_EQUAL(content + 1, pattern, size_bytes);
        }
        keyed_part(house, &client, BODY_COMMAND, "\4PING\0\7context", 14);
        CHECK_EQUAL(keyed_read(house, &client, content), 13);
        CHECK_BYTES_EQUAL(content, "\2\4PONGcontext", 13);
        /* What is longer than all memory for the output is refused, and nothing ends. */
        CHECK_EQUAL(send_to(house, &client.client, pattern, POOL_SIZE), OME_FULL);
        house->socket->end(house->socket->context, client.client.peer, (const uint8_t *)"bye", 3);
        CHECK_EQUAL(keyed_read(house, &client, content), 4);
        CHECK_BYTES_EQUAL(content, "\0bye", 4);
        CHECK(client_ends_well(house, &client.client));
        client_close(&client.client);
        work_until(house, house->config.counters.connections, 0);
        CHECK_EQUAL(key_of(house, &client), 0);
        house_free(house);
    }
}

/* Messages that wait for a client to read them are encrypted when they are sent, and arrive in their order. */
static void a_queue_holds_encrypted_messages_in_order(void)
{
    static uint8_t content[2 * PART_SIZE_MAX];
    fill_pattern();
    for (uint32_t role = OME_ZMTP_ROUTER; role <= OME_ZMTP_XPUB; role++)
    {
        house_t *house = keyed_house_new(false, (ome_zmtp_role_t)role);
        keyed_client_t client = keyed_client_new(house);
        ome_curve_key_t key = curve_key_of(&client.curve, 1);
        admit_keys(house, &key, 1);
        keyed_connect_known(house, &client, true);
        uint32_t sent = 0;
        while (send_to(house, &client.client, pattern + sent % 100, 1000 + sent % 7000) == OME_OK)
        {
            sent++;
            work(house);
        }
        CHECK(sent > 50);
        for (uint32_t i = 0; i < sent; i++)
        {
            CHECK_EQUAL(keyed_read(house, &client, content), 1 + 1000 + i % 7000);
            CHECK_BYTES_EQUAL(content + 1, pattern + i % 100, 1000 + i % 7000);
        }
        client_close(&client.client);
        take_gone(house, client.client.peer);
        house_free(house);
    }
}

/* Who has no keys, or asks for another server, is closed; who is not admitted is told so first; a client with keys finds no listener without
 * them. */
static void who_does_not_have_the_right_keys_does_not_come_in(void)
{
    house_t *house = keyed_house_new(false, OME_ZMTP_ROUTER);
    keyed_client_t client = keyed_client_new(house);
    ome_curve_key_t key = curve_key_of(&client.curve, 1);
    const client_t plain = client_new(house);
    client_hello(house, &plain);
    work_until(house, house->config.counters.faults, 1);
    client_close(&plain);

    keyed_client_t lost = keyed_client_new(house);
    fake_random_bytes(lost.curve.server_key, KEY_SIZE);
    lost.client = client_new(house);
    send_greeting_and_hello(house, &lost);
    work_until(house, house->config.counters.faults, 2);
    client_close(&lost.client);

    client.client = client_new(house); /* not admitted yet */
    send_greeting_and_hello(house, &client);
    read_welcome(house, &client);
    send_initiate(house, &client);
    uint8_t error[12];
    client_read_exact(house, &client.client, error, sizeof(error));
    CHECK_BYTES_EQUAL(error, "\4\x0a\5ERROR\003400", sizeof(error));
    CHECK(client_ends_well(house, &client.client));
    client_close(&client.client);
    work_until(house, house->config.counters.connections, 0);
    CHECK_EQUAL(count(house->config.counters.faults), 3);

    admit_keys(house, &key, 1);
    client.curve.nonce = 0;
    client.curve.received_nonce = 0;
    keyed_connect_known(house, &client, false);
    static bytes_t bytes;
    bytes.size_bytes = 0;
    put_message_numbered(&bytes, &client.curve, client.curve.nonce, 0, 0, "again", 5);
    client_send_bytes(house, &client.client, &bytes);
    work_until(house, house->config.counters.faults, 4);
    CHECK_EQUAL(connections(house), 0);
    CHECK_EQUAL(send_to(house, &client.client, error, 1), OME_NOT_FOUND);
    client_close(&client.client);
    house_free(house);

    house = house_new(false, OME_ZMTP_ROUTER, 4);
    client.client = client_new(house);
    send_greeting_and_hello(house, &client);
    work_until(house, house->config.counters.faults, 1);
    client_close(&client.client);
    CHECK_EQUAL(ome_listener_admit_keys(house->listener, &key, 1), OME_INVALID);
    client_t known = client_known(house, true);
    CHECK_EQUAL(house->socket->key(house->socket->context, known.peer), 0);
    client_close(&known);
    take_gone(house, known.peer);
    house_free(house);
}

/* A connection ends with the admission of its key, and when its key gets another number; the others stay. The loop gets GONE. */
static void a_connection_ends_when_its_key_is_no_longer_admitted(void)
{
    house_t *house = keyed_house_new(false, OME_ZMTP_ROUTER);
    keyed_client_t clients[4];
    ome_curve_key_t keys[4];
    for (uint32_t i = 0; i < 4; i++)
    {
        clients[i] = keyed_client_new(house);
        keys[i] = curve_key_of(&clients[i].curve, 10 + i);
    }
    ome_curve_key_t all[4];
    memcpy(all, keys, sizeof(all));
    admit_keys(house, all, 4);
    for (uint32_t i = 0; i < 4; i++)
    {
        keyed_connect_known(house, &clients[i], i != 3);
        CHECK_EQUAL(key_of(house, &clients[i]), 10 + i);
        time_ns += TICK;
    }
    ome_curve_key_t some[2] = {keys[0], keys[1]};
    some[1].key_id = 99;
    qsort(some, 2, sizeof(some[0]), compare_keys);
    CHECK_EQUAL(ome_listener_admit_keys(house->listener, some, 2), OME_OK);
    uint64_t gone[2];
    for (uint32_t i = 0; i < 2; i++)
    {
        take_next(house);
        CHECK_EQUAL(house->message.kind, OME_SOCKET_GONE);
        gone[i] = house->message.peer;
    }
    const uint64_t peers[2] = {clients[1].client.peer, clients[2].client.peer};
    CHECK((gone[0] == peers[0] && gone[1] == peers[1]) || (gone[0] == peers[1] && gone[1] == peers[0]));
    work(house);
    CHECK_EQUAL(connections(house), 1);
    CHECK_EQUAL(count(house->config.counters.refused), 3);
    for (uint32_t i = 1; i < 4; i++)
    {
        (void)client_ends_well(house, &clients[i].client);
        client_close(&clients[i].client);
        CHECK_EQUAL(key_of(house, &clients[i]), 0);
    }
    keyed_part(house, &clients[0], 0, "still", 5);
    take_next(house);
    CHECK(is_message(house, clients[0].client.peer, "still", 5));
    /* It may come back under its new number. */
    clients[1].curve.nonce = 0;
    clients[1].curve.received_nonce = 0;
    keyed_connect_known(house, &clients[1], false);
    CHECK_EQUAL(key_of(house, &clients[1]), 99);
    /* The keys of before, once more: nobody ends. */
    admit_keys(house, some, 2);
    CHECK_EQUAL(connections(house), 2);
    CHECK_EQUAL(ome_listener_admit_keys(house->listener, NULL, 0), OME_OK);
    take_gone(house, clients[0].client.peer);
    CHECK_EQUAL(connections(house), 0);
    client_close(&clients[0].client);
    client_close(&clients[1].client);
    house_free(house);
}

/* A loop that only sleeps notices it, too: without anything that happens, in half a second at most. */
static void a_sleeping_listener_notices_new_keys(void)
{
    house_t *house = keyed_house_new(false, OME_ZMTP_ROUTER);
    keyed_client_t client = keyed_client_new(house);
    ome_curve_key_t key = curve_key_of(&client.curve, 1);
    admit_keys(house, &key, 1);
    keyed_connect_known(house, &client, true);
    CHECK_EQUAL(ome_listener_admit_keys(house->listener, NULL, 0), OME_OK);
    const uint64_t begin_ns = ome_clock_monotonic_ns();
    CHECK_EQUAL(house->socket->wait(house->socket->context, -1, 10000), OME_OK);
    CHECK(ome_clock_monotonic_ns() - begin_ns < 2 * SWEEP);
    take_gone(house, client.client.peer);
    client_close(&client.client);
    house_free(house);
}

enum
{
    WAITING_COUNT = 60
};

static uint64_t multiplications_in(house_t *house, uint32_t turn_count)
{
    const uint64_t before = fake_multiplication_count;
    for (uint32_t i = 0; i < turn_count; i++)
    {
        work(house);
    }
    return fake_multiplication_count - before;
}

/* However many shake hands at once: in a tick there is time for a few steps. Who waits gets its turn before those that come later. */
static void handshakes_cost_a_bounded_time_in_each_tick(void)
{
    house_t *house = keyed_house_new(false, OME_ZMTP_ROUTER);
    static keyed_client_t clients[2 * WAITING_COUNT];
    ome_curve_key_t keys[2 * WAITING_COUNT];
    for (uint32_t i = 0; i < 2 * WAITING_COUNT; i++)
    {
        clients[i] = keyed_client_new(house);
        keys[i] = curve_key_of(&clients[i].curve, 1 + i);
    }
    admit_keys(house, keys, 2 * WAITING_COUNT);
    uint64_t before = fake_multiplication_count;
    for (uint32_t i = 0; i < WAITING_COUNT; i++)
    {
        clients[i].client = client_new(house);
        send_greeting_and_hello(house, &clients[i]); /* one multiplication here */
    }
    work(house);
    CHECK_EQUAL(fake_multiplication_count - before, WAITING_COUNT + 2 * (HANDSHAKE_COUNT / 2));
    uint32_t newcomer = WAITING_COUNT;
    uint32_t left = WAITING_COUNT - HANDSHAKE_COUNT / 2;
    while (left > 0)
    {
        CHECK_EQUAL(multiplications_in(house, 3), 0);
        time_ns += TICK;
        /* Newcomers are first, and get no more than half. */
        before = fake_multiplication_count;
        for (uint32_t i = 0; i < HANDSHAKE_COUNT / 2 + 1 && newcomer < 2 * WAITING_COUNT; i++)
        {
            clients[newcomer].client = client_new(house);
            send_greeting_and_hello(house, &clients[newcomer++]);
        }
        for (uint32_t i = 0; i < 10; i++)
        {
            work(house);
        }
        CHECK(fake_multiplication_count - before <= HANDSHAKE_COUNT / 2 + 1 + 2 * HANDSHAKE_COUNT);
        left = left > HANDSHAKE_COUNT / 2 ? left - HANDSHAKE_COUNT / 2 : 0;
    }
    /* All of the first ones have their answer: reading it takes no further tick. */
    for (uint32_t i = 0; i < WAITING_COUNT; i++)
    {
        before = fake_multiplication_count;
        read_welcome(house, &clients[i]);
        CHECK_EQUAL(fake_multiplication_count - before, 2); /* the client's */
    }
    /* The second step counts like the first. */
    time_ns += 100 * TICK;
    work(house);
    for (uint32_t i = 0; i < 100; i++)
    {
        time_ns += TICK;
        work(house);
    }
    time_ns += TICK;
    before = fake_multiplication_count;
    for (uint32_t i = 0; i < WAITING_COUNT; i++)
    {
        send_initiate(house, &clients[i]); /* one here */
    }
    work(house);
    CHECK(fake_multiplication_count - before <= WAITING_COUNT + 2 * HANDSHAKE_COUNT);
    for (uint32_t i = 0; i < WAITING_COUNT; i++)
    {
        time_ns += TICK;
        work(house);
    }
    for (uint32_t i = 0; i < WAITING_COUNT; i++)
    {
        read_ready(house, &clients[i]);
    }
    for (uint32_t i = 0; i < newcomer; i++)
    {
        client_close(&clients[i].client);
    }
    work_until(house, house->config.counters.connections, 0);
    house_free(house);
}

/* A handshake that is not complete after 5 seconds ends, whichever step is missing. */
static void a_handshake_has_a_deadline(void)
{
    house_t *house = keyed_house_new(false, OME_ZMTP_ROUTER);
    keyed_client_t silent = keyed_client_new(house);
    keyed_client_t half = keyed_client_new(house);
    silent.client = client_new(house);
    half.client = client_new(house);
    send_greeting_and_hello(house, &half);
    read_welcome(house, &half);
    time_ns += 4999 * MS;
    work(house);
    CHECK_EQUAL(connections(house), 2);
    time_ns += SWEEP + 2 * MS;
    work_until(house, house->config.counters.connections, 0);
    CHECK_EQUAL(count(house->config.counters.faults), 2);
    client_close(&silent.client);
    client_close(&half.client);
    house_free(house);
}

static void a_configuration_without_functions_or_keys_is_refused(void)
{
    house_t *house = house_begin(false, OME_ZMTP_ROUTER, 4);
    curve_config = curve_config_new(0);
    house->config.curve = &curve_config;
    CHECK_EQUAL(ome_listener_create(&house->config, &house->listener), OME_INVALID);
    curve_config = curve_config_new(OME_CURVE_KEY_COUNT_MAX + 1);
    CHECK_EQUAL(ome_listener_create(&house->config, &house->listener), OME_INVALID);
    curve_config = curve_config_new(1);
    curve_config.primitives.box_beforenm = NULL;
    CHECK_EQUAL(ome_listener_create(&house->config, &house->listener), OME_INVALID);
    curve_config = curve_config_new(1);
    CHECK_EQUAL(ome_listener_create(&house->config, &house->listener), OME_OK);
    house->socket = ome_listener_socket(house->listener);
    ome_curve_key_t keys[2] = {{.public_key = {1}, .key_id = 1}, {.public_key = {2}, .key_id = 2}};
    CHECK_EQUAL(ome_listener_admit_keys(house->listener, keys, 2), OME_INVALID);
    CHECK_EQUAL(ome_listener_admit_keys(house->listener, keys, 1), OME_OK);
    house_free(house);
}

typedef struct
{
    ome_listener_t *listener;
    ome_curve_key_t key;
    _Atomic bool is_over;
} replacing_t;

static void *replace_keys(void *argument)
{
    replacing_t *replacing = argument;
    ome_curve_key_t keys[KEY_COUNT_MAX] = {0};
    for (uint32_t round = 0; !replacing->is_over; round++)
    {
        const uint32_t key_count = 1 + round % (KEY_COUNT_MAX - 1);
        for (uint32_t i = 0; i < key_count; i++)
        {
            keys[i].public_key[0] = (uint8_t)(i >> 8);
            keys[i].public_key[1] = (uint8_t)i;
            keys[i].key_id = 1 + i;
        }
        keys[key_count] = replacing->key;
        keys[key_count].public_key[0] |= 0x80;
        CHECK_EQUAL(ome_listener_admit_keys(replacing->listener, keys, key_count + 1), OME_OK);
        (void)usleep(100);
    }
    return NULL;
}

/* Other threads replace the keys all the time, while clients come and talk: the key that is in every list stays admitted. */
static void keys_are_replaced_while_the_listener_works(void)
{
    house_t *house = keyed_house_new(false, OME_ZMTP_ROUTER);
    keyed_client_t client = keyed_client_new(house);
    client.curve.public_key[0] |= 0x80; /* the last in order */
    for (uint32_t i = 0; i < KEY_SIZE; i++)
    {
        client.curve.secret_key[i] = client.curve.public_key[i] ^ 0x5a;
    }
    ome_curve_key_t key = curve_key_of(&client.curve, 77);
    replacing_t replacing = {.listener = house->listener, .key = key};
    pthread_t threads[2];
    admit_keys(house, &key, 1);
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(pthread_create(&threads[i], NULL, replace_keys, &replacing), 0);
    }
    for (uint32_t round = 0; round < 20; round++)
    {
        CHECK_EQUAL(fake_box_keypair(client.curve.short_public_key, client.curve.short_secret_key), 0);
        client.curve.nonce = 0;
        client.curve.received_nonce = 0;
        keyed_connect_known(house, &client, true);
        for (uint32_t i = 0; i < 5; i++)
        {
            keyed_part(house, &client, 0, "still", 5);
            take_next(house);
            CHECK(is_message(house, client.client.peer, "still", 5));
            CHECK_EQUAL(key_of(house, &client), 77);
        }
        client_close(&client.client);
        take_gone(house, client.client.peer);
        time_ns += TICK;
    }
    replacing.is_over = true;
    for (uint32_t i = 0; i < 2; i++)
    {
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    }
    house_free(house);
}

int main(void)
{
    fake_seed = test_seed(1);
    RUN(messages_come_through_as_they_are);
    RUN(a_queue_holds_encrypted_messages_in_order);
    RUN(who_does_not_have_the_right_keys_does_not_come_in);
    RUN(a_connection_ends_when_its_key_is_no_longer_admitted);
    RUN(a_sleeping_listener_notices_new_keys);
    RUN(handshakes_cost_a_bounded_time_in_each_tick);
    RUN(a_handshake_has_a_deadline);
    RUN(a_configuration_without_functions_or_keys_is_refused);
    RUN(keys_are_replaced_while_the_listener_works);
    return 0;
}
