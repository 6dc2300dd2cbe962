#include "wire/ome_curve.h"

#include <assert.h>
#include <string.h>

#include "base/ome_assert.h"

#define MECHANISM "CURVE"
#define NONCE_SIZE 24u
#define SHORT_NONCE_SIZE 8u /* of a prefix of 16; a long one is random, 16 after a prefix of 8 */
#define LONG_NONCE_SIZE 16u
#define MAC_SIZE 16u
#define KEY_SIZE OME_CURVE_KEY_SIZE
#define NS_PER_MS UINT64_C(1000000)

#define HELLO_SIZE 200u
#define HELLO_PADDING_AT 8u
#define HELLO_KEY_AT 80u
#define HELLO_NONCE_AT 112u
#define HELLO_BOX_AT 120u
#define HELLO_ZEROS 64u

#define COOKIE_CONTENT_SIZE (2u * KEY_SIZE) /* C' and s' */
#define COOKIE_SIZE (LONG_NONCE_SIZE + MAC_SIZE + COOKIE_CONTENT_SIZE)

#define WELCOME_SIZE 168u
#define WELCOME_NONCE_AT 8u
#define WELCOME_BOX_AT 24u

#define INITIATE_COOKIE_AT 9u
#define INITIATE_NONCE_AT 105u
#define INITIATE_BOX_AT 113u
#define INITIATE_SIZE_MIN 257u
#define VOUCH_NONCE_AT 32u /* in the box */
#define VOUCH_AT 48u
#define VOUCH_CONTENT_SIZE (2u * KEY_SIZE) /* C' and S */
#define METADATA_AT 128u

#define READY_NONCE_AT 6u
#define READY_BOX_AT 14u

#define MESSAGE_NONCE_AT 8u
#define MESSAGE_BOX_AT 16u
#define MESSAGE_MORE 1u
#define MESSAGE_COMMAND 2u

static_assert(WELCOME_BOX_AT + MAC_SIZE + KEY_SIZE + COOKIE_SIZE == WELCOME_SIZE, "WELCOME as specified");
static_assert(INITIATE_COOKIE_AT + COOKIE_SIZE == INITIATE_NONCE_AT, "INITIATE as specified");
static_assert(INITIATE_BOX_AT + MAC_SIZE + METADATA_AT == INITIATE_SIZE_MIN, "INITIATE as specified");
static_assert(VOUCH_AT + MAC_SIZE + VOUCH_CONTENT_SIZE == METADATA_AT, "INITIATE as specified");
static_assert(HELLO_BOX_AT + MAC_SIZE + HELLO_ZEROS == HELLO_SIZE, "HELLO as specified");
static_assert(MESSAGE_BOX_AT + MAC_SIZE + 1 == OME_CURVE_OVERHEAD_SIZE, "MESSAGE as specified");
static_assert(2 + WELCOME_SIZE <= OME_CURVE_ANSWER_SIZE_MAX, "the longest answer has room");
static_assert(2 + READY_BOX_AT + MAC_SIZE + OME_ZMTP_METADATA_SIZE_MAX <= OME_CURVE_ANSWER_SIZE_MAX, "READY has room");

static const uint8_t zeros[HELLO_KEY_AT - HELLO_PADDING_AT];

/* ---- Nonces ---- */

static void curve_short_nonce(const char prefix[16], const uint8_t short_nonce[SHORT_NONCE_SIZE], uint8_t nonce[NONCE_SIZE])
{
    memcpy(nonce, prefix, NONCE_SIZE - SHORT_NONCE_SIZE);
    memcpy(nonce + NONCE_SIZE - SHORT_NONCE_SIZE, short_nonce, SHORT_NONCE_SIZE);
}

static void curve_long_nonce(const char prefix[8], const uint8_t long_nonce[LONG_NONCE_SIZE], uint8_t nonce[NONCE_SIZE])
{
    memcpy(nonce, prefix, NONCE_SIZE - LONG_NONCE_SIZE);
    memcpy(nonce + NONCE_SIZE - LONG_NONCE_SIZE, long_nonce, LONG_NONCE_SIZE);
}

/* Whether the peer's nonce is later than all before it; it is remembered when its box is good. */
static bool curve_is_later(const ome_curve_t *curve, const uint8_t short_nonce[SHORT_NONCE_SIZE], uint64_t *number)
{
    memcpy(number, short_nonce, sizeof(*number));
    *number = __builtin_bswap64(*number);
    return *number > curve->received_nonce;
}

static void curve_count_nonce(ome_curve_t *curve, uint8_t short_nonce[SHORT_NONCE_SIZE])
{
    OME_ASSERT(curve->sent_nonce < UINT64_MAX);
    const uint64_t number = __builtin_bswap64(++curve->sent_nonce);
    memcpy(short_nonce, &number, sizeof(number));
}

/* ---- Boxes ---- */

/* Encrypts in place what stands 16 bytes behind the box's beginning. */
static void curve_close_box(
    const ome_curve_primitives_t *primitives, uint8_t *box, uint64_t content_size_bytes, uint8_t nonce[NONCE_SIZE], uint8_t *key)
{
    const int result = primitives->secretbox_easy(box, box + MAC_SIZE, content_size_bytes, nonce, key);
    OME_ASSERT(result == 0);
}

/* Decrypts in place: the content then stands where the box began. False where it is not what the holder of the key has closed. */
static bool curve_open_box(
    const ome_curve_primitives_t *primitives, uint8_t *box, uint64_t content_size_bytes, uint8_t nonce[NONCE_SIZE], uint8_t *key)
{
    return primitives->secretbox_open_easy(box, box, MAC_SIZE + content_size_bytes, nonce, key) == 0;
}

/* ---- The handshake ---- */

static void curve_set_fault(ome_curve_t *curve, ome_zmtp_item_t *item, const char *fault)
{
    ome_curve_end(curve);
    curve->stage = OME_CURVE_FAILED;
    item->kind = OME_ZMTP_FAULT;
    item->fault = fault;
}

static bool curve_is_command(const uint8_t *command, uint32_t size_bytes, const char *name, uint32_t name_size_bytes)
{
    return size_bytes >= name_size_bytes && memcmp(command, name, name_size_bytes) == 0;
}

/* Puts the header before a command that stands at `answer->data + 2`. */
static void curve_complete_answer(ome_curve_answer_t *answer, uint32_t command_size_bytes)
{
    uint8_t header[OME_ZMTP_HEADER_SIZE_MAX];
    const uint32_t header_size_bytes = ome_zmtp_command_header(command_size_bytes, header);
    OME_ASSERT(header_size_bytes == 2);
    memcpy(answer->data, header, 2);
    answer->size_bytes = 2 + command_size_bytes;
}

static void curve_put_welcome(
    const ome_curve_primitives_t *primitives, ome_curve_t *curve, const uint8_t public_key[KEY_SIZE], uint8_t *hello_key, uint8_t *welcome)
{
    uint8_t nonce[NONCE_SIZE];
    uint8_t *box = welcome + WELCOME_BOX_AT;
    uint8_t *cookie = box + MAC_SIZE + KEY_SIZE;
    memcpy(welcome, "\7WELCOME", WELCOME_NONCE_AT);
    primitives->random_bytes(curve->key, KEY_SIZE);
    primitives->random_bytes(cookie, LONG_NONCE_SIZE);
    curve_long_nonce("COOKIE--", cookie, nonce);
    uint8_t *content = cookie + LONG_NONCE_SIZE + MAC_SIZE;
    memcpy(content, curve->client_key, KEY_SIZE);
    memcpy(content + KEY_SIZE, curve->secret_key, KEY_SIZE);
    curve_close_box(primitives, cookie + LONG_NONCE_SIZE, COOKIE_CONTENT_SIZE, nonce, curve->key);
    memcpy(box + MAC_SIZE, public_key, KEY_SIZE);
    primitives->random_bytes(welcome + WELCOME_NONCE_AT, LONG_NONCE_SIZE);
    curve_long_nonce("WELCOME-", welcome + WELCOME_NONCE_AT, nonce);
    curve_close_box(primitives, box, KEY_SIZE + COOKIE_SIZE, nonce, hello_key);
}

static void curve_take_hello(const ome_curve_server_t *server, ome_curve_t *curve, uint64_t now_ns, uint8_t *hello, uint32_t size_bytes,
    ome_zmtp_item_t *item, ome_curve_answer_t *answer)
{
    const ome_curve_primitives_t *primitives = &server->config->primitives;
    uint8_t nonce[NONCE_SIZE];
    uint8_t hello_key[KEY_SIZE]; /* of C' and S, for HELLO and WELCOME */
    uint8_t public_key[KEY_SIZE];
    uint64_t number;
    if (size_bytes != HELLO_SIZE || memcmp(hello, "\5HELLO\1\0", HELLO_PADDING_AT) != 0 ||
        memcmp(hello + HELLO_PADDING_AT, zeros, HELLO_KEY_AT - HELLO_PADDING_AT) != 0 ||
        !curve_is_later(curve, hello + HELLO_NONCE_AT, &number))
    {
        curve_set_fault(curve, item, "HELLO command");
        return;
    }
    uint8_t server_secret_key[KEY_SIZE];
    memcpy(server_secret_key, server->config->secret_key, KEY_SIZE);
    memcpy(curve->client_key, hello + HELLO_KEY_AT, KEY_SIZE);
    curve_short_nonce("CurveZMQHELLO---", hello + HELLO_NONCE_AT, nonce);
    uint8_t *box = hello + HELLO_BOX_AT;
    const bool is_good = primitives->box_beforenm(hello_key, curve->client_key, server_secret_key) == 0 &&
                         curve_open_box(primitives, box, HELLO_ZEROS, nonce, hello_key) && memcmp(box, zeros, HELLO_ZEROS) == 0;
    explicit_bzero(server_secret_key, sizeof(server_secret_key));
    if (!is_good)
    {
        explicit_bzero(hello_key, sizeof(hello_key));
        curve_set_fault(curve, item, "box of HELLO, for our key");
        return;
    }
    const int result = primitives->box_keypair(public_key, curve->secret_key);
    OME_ASSERT(result == 0);
    curve_put_welcome(primitives, curve, public_key, hello_key, answer->data + 2);
    explicit_bzero(hello_key, sizeof(hello_key));
    curve_complete_answer(answer, WELCOME_SIZE);
    curve->received_nonce = number;
    curve->cookie_ns = now_ns;
    curve->stage = OME_CURVE_INITIATE;
    item->kind = OME_ZMTP_GREETED;
}

/* Whether it is the cookie that this connection got, not long ago. */
static bool curve_is_cookie_good(const ome_curve_primitives_t *primitives, ome_curve_t *curve, uint64_t now_ns, uint8_t cookie[COOKIE_SIZE])
{
    uint8_t nonce[NONCE_SIZE];
    uint8_t *content = cookie + LONG_NONCE_SIZE;
    if (now_ns - curve->cookie_ns > OME_CURVE_COOKIE_MS * NS_PER_MS)
    {
        return false;
    }
    curve_long_nonce("COOKIE--", cookie, nonce);
    return curve_open_box(primitives, content, COOKIE_CONTENT_SIZE, nonce, curve->key) &&
           memcmp(content, curve->client_key, KEY_SIZE) == 0 && memcmp(content + KEY_SIZE, curve->secret_key, KEY_SIZE) == 0;
}

/* Whether the client has the secret key of C, and means this connection and this server. */
static bool curve_is_vouched(
    const ome_curve_server_t *server, ome_curve_t *curve, uint8_t *client_key, uint8_t *vouch_nonce, uint8_t *vouch)
{
    const ome_curve_primitives_t *primitives = &server->config->primitives;
    uint8_t nonce[NONCE_SIZE];
    uint8_t vouch_key[KEY_SIZE]; /* of C and S' */
    curve_long_nonce("VOUCH---", vouch_nonce, nonce);
    const bool is_good = primitives->box_beforenm(vouch_key, client_key, curve->secret_key) == 0 &&
                         curve_open_box(primitives, vouch, VOUCH_CONTENT_SIZE, nonce, vouch_key) &&
                         memcmp(vouch, curve->client_key, KEY_SIZE) == 0 &&
                         memcmp(vouch + KEY_SIZE, server->config->public_key, KEY_SIZE) == 0;
    explicit_bzero(vouch_key, sizeof(vouch_key));
    return is_good;
}

static void curve_put_ready(const ome_curve_server_t *server, ome_curve_t *curve, ome_curve_answer_t *answer)
{
    uint8_t nonce[NONCE_SIZE];
    uint8_t *ready = answer->data + 2;
    uint8_t *box = ready + READY_BOX_AT;
    memcpy(ready, "\5READY", READY_NONCE_AT);
    curve_count_nonce(curve, ready + READY_NONCE_AT);
    curve_short_nonce("CurveZMQREADY---", ready + READY_NONCE_AT, nonce);
    const uint32_t metadata_size_bytes = ome_zmtp_metadata(server->role, box + MAC_SIZE);
    curve_close_box(&server->config->primitives, box, metadata_size_bytes, nonce, curve->key);
    curve_complete_answer(answer, READY_BOX_AT + MAC_SIZE + metadata_size_bytes);
}

/* For a client whose key is not admitted: "400", as libzmq reports a refusal. */
static void curve_put_error(ome_curve_answer_t *answer)
{
    static const char error[] = "\5ERROR\003400";
    memcpy(answer->data + 2, error, sizeof(error) - 1);
    curve_complete_answer(answer, sizeof(error) - 1);
}

static void curve_take_initiate(const ome_curve_server_t *server, ome_curve_t *curve, uint64_t now_ns, uint8_t *initiate,
    uint32_t size_bytes, ome_zmtp_item_t *item, ome_curve_answer_t *answer)
{
    const ome_curve_primitives_t *primitives = &server->config->primitives;
    uint8_t nonce[NONCE_SIZE];
    uint8_t *box = initiate + INITIATE_BOX_AT;
    uint64_t number;
    if (size_bytes < INITIATE_SIZE_MIN || !curve_is_command(initiate, size_bytes, "\x08INITIATE", INITIATE_COOKIE_AT) ||
        !curve_is_later(curve, initiate + INITIATE_NONCE_AT, &number))
    {
        curve_set_fault(curve, item, "INITIATE command");
        return;
    }
    if (!curve_is_cookie_good(primitives, curve, now_ns, initiate + INITIATE_COOKIE_AT))
    {
        curve_set_fault(curve, item, "cookie of this connection");
        return;
    }
    curve_short_nonce("CurveZMQINITIATE", initiate + INITIATE_NONCE_AT, nonce);
    if (primitives->box_beforenm(curve->key, curve->client_key, curve->secret_key) != 0 ||
        !curve_open_box(primitives, box, size_bytes - INITIATE_BOX_AT - MAC_SIZE, nonce, curve->key) ||
        !curve_is_vouched(server, curve, box, box + VOUCH_NONCE_AT, box + VOUCH_AT))
    {
        curve_set_fault(curve, item, "box and vouch of INITIATE");
        return;
    }
    if (!ome_zmtp_is_metadata_good(server->role, box + METADATA_AT, size_bytes - INITIATE_SIZE_MIN))
    {
        curve_set_fault(curve, item, "properties of INITIATE, with a socket type that fits");
        return;
    }
    const uint32_t key_id = ome_key_table_find(server->keys, box);
    if (key_id == 0)
    {
        curve_put_error(answer);
        curve_set_fault(curve, item, "key that is admitted");
        return;
    }
    curve->received_nonce = number;
    curve->key_id = key_id;
    memcpy(curve->client_key, box, KEY_SIZE);
    explicit_bzero(curve->secret_key, sizeof(curve->secret_key));
    curve->stage = OME_CURVE_MESSAGE;
    curve_put_ready(server, curve, answer);
    item->kind = OME_ZMTP_CONNECTED;
}

/* ---- Messages ---- */

static void curve_take_message(
    const ome_curve_server_t *server, ome_curve_t *curve, uint8_t *message, uint32_t size_bytes, ome_zmtp_item_t *item)
{
    uint8_t nonce[NONCE_SIZE];
    uint8_t *box = message + MESSAGE_BOX_AT;
    uint64_t number;
    if (size_bytes < OME_CURVE_OVERHEAD_SIZE || !curve_is_command(message, size_bytes, "\7MESSAGE", MESSAGE_NONCE_AT) ||
        !curve_is_later(curve, message + MESSAGE_NONCE_AT, &number))
    {
        curve_set_fault(curve, item, "MESSAGE command");
        return;
    }
    curve_short_nonce("CurveZMQMESSAGEC", message + MESSAGE_NONCE_AT, nonce);
    if (!curve_open_box(&server->config->primitives, box, size_bytes - MESSAGE_BOX_AT - MAC_SIZE, nonce, curve->key))
    {
        curve_set_fault(curve, item, "box of MESSAGE");
        return;
    }
    curve->received_nonce = number;
    const uint8_t flags = box[0];
    const bool is_command = (flags & MESSAGE_COMMAND) != 0;
    const uint32_t data_size_bytes = size_bytes - OME_CURVE_OVERHEAD_SIZE;
    if ((flags & ~(MESSAGE_MORE | MESSAGE_COMMAND)) != 0 || flags == (MESSAGE_MORE | MESSAGE_COMMAND) ||
        data_size_bytes > (is_command ? OME_ZMTP_COMMAND_SIZE_MAX : server->part_size_max_bytes))
    {
        curve_set_fault(curve, item, "flags and size of a MESSAGE");
        return;
    }
    ome_zmtp_take_body(server->role, is_command, (flags & MESSAGE_MORE) != 0, box + 1, data_size_bytes, item);
    if (item->kind == OME_ZMTP_FAULT)
    {
        curve_set_fault(curve, item, item->fault);
    }
}

static uint32_t curve_body_size_max(uint32_t part_size_max_bytes)
{
    return OME_CURVE_OVERHEAD_SIZE + (part_size_max_bytes > OME_ZMTP_COMMAND_SIZE_MAX ? part_size_max_bytes : OME_ZMTP_COMMAND_SIZE_MAX);
}

uint32_t ome_curve_frame_size_max(uint32_t part_size_max_bytes)
{
    return OME_ZMTP_HEADER_SIZE_MAX + curve_body_size_max(part_size_max_bytes);
}

static void curve_take_frame(const ome_curve_server_t *server, ome_curve_t *curve, ome_zmtp_stage_t *stage, uint64_t now_ns, uint8_t *data,
    uint32_t size_bytes, ome_zmtp_item_t *item, ome_curve_answer_t *answer)
{
    const bool is_connected = curve->stage == OME_CURVE_MESSAGE;
    const uint32_t body_size_max = is_connected                      ? curve_body_size_max(server->part_size_max_bytes)
                                   : curve->stage == OME_CURVE_HELLO ? HELLO_SIZE
                                                                     : OME_ZMTP_COMMAND_SIZE_MAX;
    const ome_zmtp_frame_limits_t limits = {.parts_fault = is_connected ? NULL : "command of the handshake",
        .part_size_max_bytes = body_size_max,
        .command_size_max_bytes = body_size_max};
    ome_zmtp_frame_t frame;
    if (!ome_zmtp_take_frame(&limits, data, size_bytes, &frame, item))
    {
        if (item->kind == OME_ZMTP_FAULT)
        {
            curve_set_fault(curve, item, item->fault);
        }
        return;
    }
    uint8_t *body = data + frame.header_size_bytes;
    if (frame.has_more)
    {
        curve_set_fault(curve, item, "flags of a frame"); /* MORE is inside the box */
    }
    else if (curve->stage == OME_CURVE_HELLO)
    {
        curve_take_hello(server, curve, now_ns, body, frame.body_size_bytes, item, answer);
    }
    else if (curve->stage == OME_CURVE_INITIATE)
    {
        curve_take_initiate(server, curve, now_ns, body, frame.body_size_bytes, item, answer);
    }
    else
    {
        curve_take_message(server, curve, body, frame.body_size_bytes, item);
    }
    if (item->kind == OME_ZMTP_CONNECTED)
    {
        *stage = OME_ZMTP_STAGE_TRAFFIC;
    }
}

void ome_curve_next(const ome_curve_server_t *server, ome_curve_t *curve, ome_zmtp_stage_t *stage, uint64_t now_ns, uint8_t *data,
    uint32_t size_bytes, ome_zmtp_item_t *item, ome_curve_answer_t *answer)
{
    OME_ASSERT(curve->stage != OME_CURVE_FAILED);
    OME_EXPECT((*stage == OME_ZMTP_STAGE_TRAFFIC) == (curve->stage == OME_CURVE_MESSAGE));
    *item = (ome_zmtp_item_t){.kind = OME_ZMTP_MORE, .needed = 1};
    answer->size_bytes = 0;
    if (size_bytes == 0)
    {
        return;
    }
    if (*stage != OME_ZMTP_STAGE_GREETING)
    {
        curve_take_frame(server, curve, stage, now_ns, data, size_bytes, item, answer);
        return;
    }
    ome_zmtp_take_greeting(stage, MECHANISM, data, size_bytes, item);
    if (item->kind == OME_ZMTP_GREETED && data[OME_ZMTP_AS_SERVER_AT] != 0)
    {
        item->kind = OME_ZMTP_FAULT;
        item->fault = "client's greeting";
    }
    if (item->kind == OME_ZMTP_FAULT)
    {
        curve->stage = OME_CURVE_FAILED;
    }
}

uint32_t ome_curve_seal(
    const ome_curve_server_t *server, ome_curve_t *curve, bool is_command, const uint8_t *data, uint32_t size_bytes, uint8_t *frame)
{
    OME_ASSERT(curve->stage == OME_CURVE_MESSAGE);
    uint8_t nonce[NONCE_SIZE];
    const uint32_t header_size_bytes = ome_zmtp_part_header(OME_CURVE_OVERHEAD_SIZE + size_bytes, frame);
    uint8_t *message = frame + header_size_bytes;
    uint8_t *box = message + MESSAGE_BOX_AT;
    memcpy(message, "\7MESSAGE", MESSAGE_NONCE_AT);
    curve_count_nonce(curve, message + MESSAGE_NONCE_AT);
    curve_short_nonce("CurveZMQMESSAGES", message + MESSAGE_NONCE_AT, nonce);
    box[MAC_SIZE] = is_command ? MESSAGE_COMMAND : 0;
    if (size_bytes > 0)
    {
        memcpy(box + MAC_SIZE + 1, data, size_bytes);
    }
    curve_close_box(&server->config->primitives, box, 1 + (uint64_t)size_bytes, nonce, curve->key);
    return header_size_bytes + OME_CURVE_OVERHEAD_SIZE + size_bytes;
}

void ome_curve_greeting(uint8_t greeting[OME_ZMTP_GREETING_SIZE])
{
    ome_zmtp_greeting(MECHANISM, true, greeting);
}

void ome_curve_end(ome_curve_t *curve)
{
    explicit_bzero(curve, sizeof(*curve));
}
