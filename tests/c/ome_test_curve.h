/* What the tests of encrypted connections share: a client of CurveZMQ, put together by hand from the specification
 * (rfc.zeromq.org/spec/26), and functions of NaCl that are none: they have the sizes and the rules of the real ones, and keep nothing secret.
 * The Python tests use the real ones. */
#ifndef OME_TEST_CURVE_H
#define OME_TEST_CURVE_H

#include "ome_test_zmtp.h"
#include "wire/ome_curve_config.h"

#define KEY_SIZE 32u
#define MAC_SIZE 16u
#define NONCE_SIZE 24u

#define BODY_MORE 1u
#define BODY_COMMAND 2u

/* ---- Functions of NaCl ---- */

static uint64_t fake_seed;
static uint64_t fake_multiplication_count; /* of what costs time in the real ones */

static inline void fake_random_bytes(unsigned char *bytes, unsigned long long size_bytes)
{
    for (uint64_t i = 0; i < size_bytes; i++)
    {
        bytes[i] = (uint8_t)test_random(&fake_seed);
    }
}

/* s1 and the public key of s2 give what s2 and the public key of s1 give. */
static inline int fake_box_keypair(unsigned char *public_key, unsigned char *secret_key)
{
    fake_multiplication_count++;
    fake_random_bytes(secret_key, KEY_SIZE);
    for (uint32_t i = 0; i < KEY_SIZE; i++)
    {
        public_key[i] = secret_key[i] ^ 0x5a;
    }
    return 0;
}

static inline int fake_box_beforenm(unsigned char *shared_key, unsigned char *public_key, unsigned char *secret_key)
{
    uint8_t any = 0;
    fake_multiplication_count++;
    for (uint32_t i = 0; i < KEY_SIZE; i++)
    {
        any |= public_key[i];
        shared_key[i] = public_key[i] ^ 0x5a ^ secret_key[i];
    }
    return any == 0 ? -1 : 0; /* a public key of zeros is a weak one, and refused */
}

static inline uint64_t fake_hash(uint64_t state, const uint8_t *data, uint64_t size_bytes)
{
    for (uint64_t i = 0; i < size_bytes; i++)
    {
        state = (state ^ data[i]) * UINT64_C(0x100000001B3);
        state ^= state >> 29;
    }
    return state;
}

static inline void fake_mac(uint8_t mac[MAC_SIZE], const uint8_t *data, uint64_t size_bytes, const uint8_t *nonce, const uint8_t *key)
{
    for (uint64_t half = 0; half < 2; half++)
    {
        uint64_t state = fake_hash(UINT64_C(0xCBF29CE484222325) + half, key, KEY_SIZE);
        state = fake_hash(fake_hash(state, nonce, NONCE_SIZE), data, size_bytes);
        memcpy(mac + 8 * half, &state, 8);
    }
}

static inline void fake_stream(uint8_t *data, uint64_t size_bytes, const uint8_t *nonce, const uint8_t *key)
{
    uint64_t state = fake_hash(fake_hash(7, key, KEY_SIZE), nonce, NONCE_SIZE);
    for (uint64_t i = 0; i < size_bytes; i++)
    {
        data[i] ^= (uint8_t)test_random(&state);
    }
}

static inline int fake_secretbox_easy(
    unsigned char *box, unsigned char *message, unsigned long long size_bytes, unsigned char *nonce, unsigned char *key)
{
    memmove(box + MAC_SIZE, message, size_bytes);
    fake_stream(box + MAC_SIZE, size_bytes, nonce, key);
    fake_mac(box, box + MAC_SIZE, size_bytes, nonce, key);
    return 0;
}

static inline int fake_secretbox_open_easy(
    unsigned char *message, unsigned char *box, unsigned long long size_bytes, unsigned char *nonce, unsigned char *key)
{
    uint8_t mac[MAC_SIZE];
    CHECK(size_bytes >= MAC_SIZE);
    fake_mac(mac, box + MAC_SIZE, size_bytes - MAC_SIZE, nonce, key);
    if (memcmp(mac, box, MAC_SIZE) != 0)
    {
        return -1;
    }
    memmove(message, box + MAC_SIZE, size_bytes - MAC_SIZE);
    fake_stream(message, size_bytes - MAC_SIZE, nonce, key);
    return 0;
}

/* The configuration of a server with new keys. */
static inline ome_curve_config_t curve_config_new(uint32_t key_count_max)
{
    ome_curve_config_t config = {.primitives = {.box_keypair = fake_box_keypair,
                                     .box_beforenm = fake_box_beforenm,
                                     .secretbox_easy = fake_secretbox_easy,
                                     .secretbox_open_easy = fake_secretbox_open_easy,
                                     .random_bytes = fake_random_bytes},
        .key_count_max = key_count_max};
    CHECK_EQUAL(fake_box_keypair(config.public_key, config.secret_key), 0);
    return config;
}

/* ---- The client ---- */

typedef struct
{
    uint8_t server_key[KEY_SIZE]; /* S */
    uint8_t public_key[KEY_SIZE]; /* C */
    uint8_t secret_key[KEY_SIZE];
    uint8_t vouched_key[KEY_SIZE]; /* S, in the vouch */
    uint8_t vouched_change;        /* of C' in the vouch */
    uint8_t short_public_key[KEY_SIZE]; /* C' */
    uint8_t short_secret_key[KEY_SIZE];
    uint8_t server_short_key[KEY_SIZE]; /* S' */
    uint8_t cookie[96];
    uint8_t shared_key[KEY_SIZE]; /* of C' and S' */
    uint64_t nonce;
    uint64_t received_nonce;
} curve_client_t;

static inline curve_client_t curve_client_new(const uint8_t server_key[KEY_SIZE])
{
    curve_client_t client = {0};
    memcpy(client.server_key, server_key, KEY_SIZE);
    memcpy(client.vouched_key, server_key, KEY_SIZE);
    CHECK_EQUAL(fake_box_keypair(client.public_key, client.secret_key), 0);
    CHECK_EQUAL(fake_box_keypair(client.short_public_key, client.short_secret_key), 0);
    return client;
}

static inline ome_curve_key_t curve_key_of(const curve_client_t *client, uint32_t key_id)
{
    ome_curve_key_t key = {.key_id = key_id};
    memcpy(key.public_key, client->public_key, KEY_SIZE);
    return key;
}

static inline void put_curve_greeting(bytes_t *bytes)
{
    put_greeting(bytes, 1);
    memcpy(bytes->data + bytes->size_bytes - 52, "CURVE", 5);
}

/* A nonce of a prefix and a number in network order. */
static inline void short_nonce(const char *prefix, uint64_t number, uint8_t nonce[NONCE_SIZE])
{
    memcpy(nonce, prefix, 16);
    for (uint32_t i = 0; i < 8; i++)
    {
        nonce[16 + i] = (uint8_t)(number >> (56 - 8 * i));
    }
}

static inline void put_box(bytes_t *bytes, const void *content, uint32_t size_bytes, uint8_t nonce[NONCE_SIZE], uint8_t *key)
{
    CHECK(size_bytes + MAC_SIZE <= BYTES_SIZE_MAX - bytes->size_bytes);
    uint8_t *box = bytes->data + bytes->size_bytes;
    if (size_bytes > 0)
    {
        memcpy(box + MAC_SIZE, content, size_bytes);
    }
    CHECK_EQUAL(fake_secretbox_easy(box, box + MAC_SIZE, size_bytes, nonce, key), 0);
    bytes->size_bytes += MAC_SIZE + size_bytes;
}

static inline void put_hello_command(bytes_t *bytes, curve_client_t *client)
{
    static const uint8_t zeros[72];
    uint8_t nonce[NONCE_SIZE];
    uint8_t key[KEY_SIZE];
    short_nonce("CurveZMQHELLO---", ++client->nonce, nonce);
    CHECK_EQUAL(fake_box_beforenm(key, client->server_key, client->short_secret_key), 0);
    put_frame_header(bytes, FRAME_COMMAND, 200);
    put_bytes(bytes, "\5HELLO\1\0", 8);
    put_bytes(bytes, zeros, 72);
    put_bytes(bytes, client->short_public_key, KEY_SIZE);
    put_bytes(bytes, nonce + 16, 8);
    put_box(bytes, zeros, 64, nonce, key);
}

/* Reads the WELCOME command, a whole frame. */
static inline void take_welcome(curve_client_t *client, const uint8_t *frame, uint32_t size_bytes)
{
    uint8_t nonce[NONCE_SIZE];
    uint8_t key[KEY_SIZE];
    uint8_t box[144];
    CHECK_EQUAL(size_bytes, 2 + 168);
    CHECK_BYTES_EQUAL(frame, "\4\xa8\7WELCOME", 10);
    memcpy(nonce, "WELCOME-", 8);
    memcpy(nonce + 8, frame + 10, 16);
    memcpy(box, frame + 26, sizeof(box));
    CHECK_EQUAL(fake_box_beforenm(key, client->server_key, client->short_secret_key), 0);
    CHECK_EQUAL(fake_secretbox_open_easy(box, box, sizeof(box), nonce, key), 0);
    memcpy(client->server_short_key, box, KEY_SIZE);
    memcpy(client->cookie, box + KEY_SIZE, sizeof(client->cookie));
    CHECK_EQUAL(fake_box_beforenm(client->shared_key, client->server_short_key, client->short_secret_key), 0);
}

static inline void put_initiate_command(bytes_t *bytes, curve_client_t *client, const void *metadata, uint32_t metadata_size_bytes)
{
    static bytes_t content;
    uint8_t nonce[NONCE_SIZE];
    uint8_t vouch_nonce[NONCE_SIZE];
    uint8_t vouch_key[KEY_SIZE];
    uint8_t vouched[2 * KEY_SIZE];
    memcpy(vouch_nonce, "VOUCH---", 8);
    fake_random_bytes(vouch_nonce + 8, 16);
    memcpy(vouched, client->short_public_key, KEY_SIZE);
    vouched[0] ^= client->vouched_change;
    memcpy(vouched + KEY_SIZE, client->vouched_key, KEY_SIZE);
    CHECK_EQUAL(fake_box_beforenm(vouch_key, client->server_short_key, client->secret_key), 0);
    content.size_bytes = 0;
    put_bytes(&content, client->public_key, KEY_SIZE);
    put_bytes(&content, vouch_nonce + 8, 16);
    put_box(&content, vouched, sizeof(vouched), vouch_nonce, vouch_key);
    put_bytes(&content, metadata, metadata_size_bytes);
    short_nonce("CurveZMQINITIATE", ++client->nonce, nonce);
    const uint32_t size_bytes = 113 + MAC_SIZE + content.size_bytes;
    put_frame_header(bytes, size_bytes > 255 ? FRAME_COMMAND | FRAME_LONG : FRAME_COMMAND, size_bytes);
    put_bytes(bytes, "\x08INITIATE", 9);
    put_bytes(bytes, client->cookie, sizeof(client->cookie));
    put_bytes(bytes, nonce + 16, 8);
    put_box(bytes, content.data, content.size_bytes, nonce, client->shared_key);
}

static inline void put_initiate_as(bytes_t *bytes, curve_client_t *client, const char *socket_type)
{
    static bytes_t metadata;
    metadata.size_bytes = 0;
    put_property(&metadata, "Socket-Type", socket_type);
    put_property(&metadata, "Identity", "");
    put_initiate_command(bytes, client, metadata.data, metadata.size_bytes);
}

/* The nonce of what the server sent: it must increase. */
static inline void take_nonce(curve_client_t *client, const uint8_t *bytes)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < 8; i++)
    {
        number = number << 8 | bytes[i];
    }
    CHECK(number > client->received_nonce);
    client->received_nonce = number;
}

/* Reads the READY command, a whole frame. Returns the size of its metadata. */
static inline uint32_t take_ready(curve_client_t *client, const uint8_t *frame, uint32_t size_bytes, uint8_t *metadata)
{
    uint8_t nonce[NONCE_SIZE];
    uint8_t box[256];
    CHECK(size_bytes >= 2 + 14 + MAC_SIZE && size_bytes - 16 <= sizeof(box));
    CHECK_EQUAL(frame[0], FRAME_COMMAND);
    CHECK_EQUAL(frame[1], size_bytes - 2);
    CHECK_BYTES_EQUAL(frame + 2, "\5READY", 6);
    memcpy(nonce, "CurveZMQREADY---", 16);
    memcpy(nonce + 16, frame + 8, 8);
    take_nonce(client, frame + 8);
    memcpy(box, frame + 16, size_bytes - 16);
    CHECK_EQUAL(fake_secretbox_open_easy(metadata, box, size_bytes - 16, nonce, client->shared_key), 0);
    return size_bytes - 16 - MAC_SIZE;
}

/* A MESSAGE with that nonce; its body has `flags`, its frame `frame_flags`. */
static inline void put_message_numbered(
    bytes_t *bytes, curve_client_t *client, uint64_t number, uint32_t frame_flags, uint32_t flags, const void *data, uint32_t size_bytes)
{
    static bytes_t content;
    uint8_t nonce[NONCE_SIZE];
    content.size_bytes = 0;
    put_byte(&content, flags);
    put_bytes(&content, data, size_bytes);
    short_nonce("CurveZMQMESSAGEC", number, nonce);
    put_frame_header(bytes, 33 + size_bytes > 255 ? frame_flags | FRAME_LONG : frame_flags, 33 + (uint64_t)size_bytes);
    put_bytes(bytes, "\7MESSAGE", 8);
    put_bytes(bytes, nonce + 16, 8);
    put_box(bytes, content.data, content.size_bytes, nonce, client->shared_key);
}

static inline void put_message(bytes_t *bytes, curve_client_t *client, uint32_t flags, const void *data, uint32_t size_bytes)
{
    put_message_numbered(bytes, client, ++client->nonce, 0, flags, data, size_bytes);
}

/* Opens the body of a frame with a MESSAGE in place. Returns the size of its content: flags and data. */
static inline uint32_t open_message(curve_client_t *client, uint8_t *body, uint32_t size_bytes)
{
    uint8_t nonce[NONCE_SIZE];
    CHECK(size_bytes >= 33);
    CHECK_BYTES_EQUAL(body, "\7MESSAGE", 8);
    memcpy(nonce, "CurveZMQMESSAGES", 16);
    memcpy(nonce + 16, body + 8, 8);
    take_nonce(client, body + 8);
    CHECK_EQUAL(fake_secretbox_open_easy(body, body + 16, size_bytes - 16, nonce, client->shared_key), 0);
    return size_bytes - 32;
}

#endif
