#include "wire/ome_zmtp.h"

#include <string.h>

#include "base/ome_assert.h"

/* Flags of a frame. */
#define FLAG_MORE 1u
#define FLAG_LONG 2u
#define FLAG_COMMAND 4u

/* Offsets in a greeting: signature 10, version 2, mechanism 20, as-server 1, filler 31. */
#define VERSION_AT 10u
#define MECHANISM_AT 12u
#define MECHANISM_SIZE 20u

#define NULL_MECHANISM "NULL"

static void zmtp_set_more(ome_zmtp_item_t *item, uint32_t needed)
{
    item->kind = OME_ZMTP_MORE;
    item->needed = needed;
}

static void zmtp_set_fault(ome_zmtp_item_t *item, const char *fault)
{
    item->kind = OME_ZMTP_FAULT;
    item->fault = fault;
}

static void zmtp_put_mechanism(const char *mechanism, uint8_t padded[MECHANISM_SIZE])
{
    memset(padded, 0, MECHANISM_SIZE);
    memcpy(padded, mechanism, strlen(mechanism));
}

/* A peer with another protocol shows it early: it may never send 64 bytes. */
void ome_zmtp_take_greeting(ome_zmtp_stage_t *stage, const char *mechanism, const uint8_t *data, uint32_t size_bytes, ome_zmtp_item_t *item)
{
    OME_EXPECT(*stage == OME_ZMTP_STAGE_GREETING);
    OME_EXPECT(size_bytes > 0);
    if (data[0] != 0xff || (size_bytes >= VERSION_AT && data[VERSION_AT - 1] != 0x7f))
    {
        zmtp_set_fault(item, "signature of ZMTP 3");
        return;
    }
    if (size_bytes > VERSION_AT && data[VERSION_AT] < 3)
    {
        zmtp_set_fault(item, "version of ZMTP");
        return;
    }
    if (size_bytes < OME_ZMTP_GREETING_SIZE)
    {
        zmtp_set_more(item, size_bytes < VERSION_AT + 1 ? size_bytes + 1 : OME_ZMTP_GREETING_SIZE);
        return;
    }
    uint8_t expected[MECHANISM_SIZE];
    zmtp_put_mechanism(mechanism, expected);
    if (memcmp(data + MECHANISM_AT, expected, MECHANISM_SIZE) != 0)
    {
        zmtp_set_fault(item, "security mechanism");
        return;
    }
    item->kind = OME_ZMTP_GREETED;
    item->consumed_bytes = OME_ZMTP_GREETING_SIZE;
    *stage = OME_ZMTP_STAGE_READY;
}

/* ---- Commands ---- */

typedef struct
{
    const uint8_t *data; /* behind the name */
    uint32_t size_bytes;
} body_t;

/* Whether the command has this name; `body` is what follows it. */
static bool zmtp_is_command(const uint8_t *command, uint32_t size_bytes, const char *name, body_t *body)
{
    const uint32_t name_size_bytes = (uint32_t)strlen(name);
    if (size_bytes < 1 + name_size_bytes || command[0] != name_size_bytes || memcmp(command + 1, name, name_size_bytes) != 0)
    {
        return false;
    }
    body->data = command + 1 + name_size_bytes;
    body->size_bytes = size_bytes - 1 - name_size_bytes;
    return true;
}

static bool zmtp_is_text(const uint8_t *data, uint32_t size_bytes, const char *text)
{
    return size_bytes == strlen(text) && memcmp(data, text, size_bytes) == 0;
}

static bool zmtp_is_client_of(ome_zmtp_role_t role, const uint8_t *type, uint32_t size_bytes)
{
    if (role == OME_ZMTP_XPUB)
    {
        return zmtp_is_text(type, size_bytes, "SUB") || zmtp_is_text(type, size_bytes, "XSUB");
    }
    return zmtp_is_text(type, size_bytes, "DEALER") || zmtp_is_text(type, size_bytes, "REQ") || zmtp_is_text(type, size_bytes, "ROUTER");
}

/* Each property is a name with its length in a byte and a value with its length in four. */
bool ome_zmtp_is_metadata_good(ome_zmtp_role_t role, const uint8_t *metadata, uint32_t size_bytes)
{
    bool is_client = false;
    uint32_t at = 0;
    while (at < size_bytes)
    {
        const uint8_t *name = metadata + at + 1;
        const uint32_t name_size_bytes = metadata[at];
        at += 1 + name_size_bytes;
        if (name_size_bytes == 0 || at > size_bytes || size_bytes - at < 4)
        {
            return false;
        }
        uint32_t value_size_bytes;
        memcpy(&value_size_bytes, metadata + at, sizeof(value_size_bytes));
        value_size_bytes = __builtin_bswap32(value_size_bytes);
        at += 4;
        if (value_size_bytes > size_bytes - at)
        {
            return false;
        }
        if (zmtp_is_text(name, name_size_bytes, "Socket-Type"))
        {
            is_client = zmtp_is_client_of(role, metadata + at, value_size_bytes);
        }
        at += value_size_bytes;
    }
    return is_client;
}

static void zmtp_take_ready(
    ome_zmtp_stage_t *stage, ome_zmtp_role_t role, const uint8_t *command, uint32_t size_bytes, ome_zmtp_item_t *item)
{
    body_t body;
    if (!zmtp_is_command(command, size_bytes, "READY", &body))
    {
        zmtp_set_fault(item, "READY command");
        return;
    }
    if (!ome_zmtp_is_metadata_good(role, body.data, body.size_bytes))
    {
        zmtp_set_fault(item, "properties of READY, with a socket type that fits");
        return;
    }
    item->kind = OME_ZMTP_CONNECTED;
    *stage = OME_ZMTP_STAGE_TRAFFIC;
}

static void zmtp_take_command(ome_zmtp_role_t role, const uint8_t *command, uint32_t size_bytes, ome_zmtp_item_t *item)
{
    body_t body;
    item->kind = OME_ZMTP_NOTHING;
    if (role == OME_ZMTP_XPUB && zmtp_is_command(command, size_bytes, "SUBSCRIBE", &body))
    {
        item->kind = OME_ZMTP_SUBSCRIBE;
    }
    else if (role == OME_ZMTP_XPUB && zmtp_is_command(command, size_bytes, "CANCEL", &body))
    {
        item->kind = OME_ZMTP_CANCEL;
    }
    else if (zmtp_is_command(command, size_bytes, "PING", &body))
    {
        if (body.size_bytes < 2 || body.size_bytes > 2 + OME_ZMTP_PING_CONTEXT_SIZE_MAX)
        {
            zmtp_set_fault(item, "PING command");
            return;
        }
        item->kind = OME_ZMTP_PING;
        body.data += 2; /* the time to live: connections are watched by other means */
        body.size_bytes -= 2;
    }
    else if (zmtp_is_command(command, size_bytes, "ERROR", &body))
    {
        zmtp_set_fault(item, "no ERROR command");
        return;
    }
    else
    {
        return;
    }
    item->data = body.data;
    item->data_size_bytes = body.size_bytes;
}

/* Before ZMTP 3.1 a subscription was a message: a byte 1 or 0, and the prefix. A subscriber has nothing else to say. */
static void zmtp_take_part(ome_zmtp_role_t role, bool has_more, const uint8_t *part, uint32_t size_bytes, ome_zmtp_item_t *item)
{
    item->kind = OME_ZMTP_PART;
    item->data = part;
    item->data_size_bytes = size_bytes;
    if (role == OME_ZMTP_XPUB)
    {
        if (has_more || size_bytes == 0 || part[0] > 1)
        {
            zmtp_set_fault(item, "subscription");
            return;
        }
        item->kind = part[0] == 1 ? OME_ZMTP_SUBSCRIBE : OME_ZMTP_CANCEL;
        item->data = part + 1;
        item->data_size_bytes = size_bytes - 1;
    }
}

bool ome_zmtp_take_frame(
    const ome_zmtp_frame_limits_t *limits, const uint8_t *data, uint32_t size_bytes, ome_zmtp_frame_t *frame, ome_zmtp_item_t *item)
{
    OME_EXPECT(size_bytes > 0);
    const uint8_t flags = data[0];
    const bool is_long = (flags & FLAG_LONG) != 0;
    const bool is_a_command = (flags & FLAG_COMMAND) != 0;
    const uint32_t header_size_bytes = is_long ? 9 : 2;
    if ((flags & ~(FLAG_MORE | FLAG_LONG | FLAG_COMMAND)) != 0 || (is_a_command && (flags & FLAG_MORE) != 0))
    {
        zmtp_set_fault(item, "flags of a frame");
        return false;
    }
    if (!is_a_command && limits->parts_fault != NULL)
    {
        zmtp_set_fault(item, limits->parts_fault);
        return false;
    }
    if (size_bytes < header_size_bytes)
    {
        zmtp_set_more(item, header_size_bytes);
        return false;
    }
    uint64_t body_size_bytes = data[1];
    if (is_long)
    {
        memcpy(&body_size_bytes, data + 1, sizeof(body_size_bytes));
        body_size_bytes = __builtin_bswap64(body_size_bytes);
    }
    if (body_size_bytes > (is_a_command ? limits->command_size_max_bytes : limits->part_size_max_bytes))
    {
        zmtp_set_fault(item, "size of a frame");
        return false;
    }
    if (size_bytes - header_size_bytes < body_size_bytes)
    {
        zmtp_set_more(item, header_size_bytes + (uint32_t)body_size_bytes);
        return false;
    }
    *frame = (ome_zmtp_frame_t){.header_size_bytes = header_size_bytes,
        .body_size_bytes = (uint32_t)body_size_bytes,
        .is_command = is_a_command,
        .has_more = (flags & FLAG_MORE) != 0};
    item->consumed_bytes = header_size_bytes + (uint32_t)body_size_bytes;
    return true;
}

void ome_zmtp_take_body(
    ome_zmtp_role_t role, bool is_command, bool has_more, const uint8_t *body, uint32_t size_bytes, ome_zmtp_item_t *item)
{
    if (is_command)
    {
        zmtp_take_command(role, body, size_bytes, item);
    }
    else
    {
        zmtp_take_part(role, has_more, body, size_bytes, item);
    }
}

static void zmtp_take_any_frame(ome_zmtp_stage_t *stage, ome_zmtp_role_t role, uint32_t part_size_max_bytes, const uint8_t *data,
    uint32_t size_bytes, ome_zmtp_item_t *item)
{
    const ome_zmtp_frame_limits_t limits = {.parts_fault = *stage == OME_ZMTP_STAGE_READY ? "READY command" : NULL,
        .part_size_max_bytes = part_size_max_bytes,
        .command_size_max_bytes = OME_ZMTP_COMMAND_SIZE_MAX};
    ome_zmtp_frame_t frame;
    if (!ome_zmtp_take_frame(&limits, data, size_bytes, &frame, item))
    {
        return;
    }
    if (*stage == OME_ZMTP_STAGE_READY)
    {
        zmtp_take_ready(stage, role, data + frame.header_size_bytes, frame.body_size_bytes, item);
    }
    else
    {
        ome_zmtp_take_body(role, frame.is_command, frame.has_more, data + frame.header_size_bytes, frame.body_size_bytes, item);
    }
}

void ome_zmtp_next(ome_zmtp_stage_t *stage, ome_zmtp_role_t role, uint32_t part_size_max_bytes, const uint8_t *data, uint32_t size_bytes,
    ome_zmtp_item_t *item)
{
    *item = (ome_zmtp_item_t){.kind = OME_ZMTP_MORE, .needed = 1};
    if (size_bytes == 0)
    {
        return;
    }
    if (*stage == OME_ZMTP_STAGE_GREETING)
    {
        ome_zmtp_take_greeting(stage, NULL_MECHANISM, data, size_bytes, item);
    }
    else
    {
        zmtp_take_any_frame(stage, role, part_size_max_bytes, data, size_bytes, item);
    }
}

/* ---- What we say ---- */

static uint32_t zmtp_put(uint8_t *to, uint32_t at, const void *data, uint32_t size_bytes)
{
    memcpy(to + at, data, size_bytes);
    return at + size_bytes;
}

static uint32_t zmtp_put_property(uint8_t *to, uint32_t at, const char *name, const char *value)
{
    const uint8_t name_size_bytes = (uint8_t)strlen(name);
    const uint32_t value_size_bytes = __builtin_bswap32((uint32_t)strlen(value));
    at = zmtp_put(to, at, &name_size_bytes, 1);
    at = zmtp_put(to, at, name, name_size_bytes);
    at = zmtp_put(to, at, &value_size_bytes, sizeof(value_size_bytes));
    return zmtp_put(to, at, value, (uint32_t)strlen(value));
}

void ome_zmtp_greeting(const char *mechanism, bool is_server, uint8_t greeting[OME_ZMTP_GREETING_SIZE])
{
    memset(greeting, 0, OME_ZMTP_GREETING_SIZE);
    greeting[0] = 0xff;
    greeting[VERSION_AT - 1] = 0x7f;
    greeting[VERSION_AT] = 3;
    greeting[VERSION_AT + 1] = 1;
    zmtp_put_mechanism(mechanism, greeting + MECHANISM_AT);
    greeting[OME_ZMTP_AS_SERVER_AT] = is_server;
}

uint32_t ome_zmtp_metadata(ome_zmtp_role_t role, uint8_t metadata[OME_ZMTP_METADATA_SIZE_MAX])
{
    const uint32_t at = zmtp_put_property(metadata, 0, "Socket-Type", role == OME_ZMTP_XPUB ? "XPUB" : "ROUTER");
    return role == OME_ZMTP_ROUTER ? zmtp_put_property(metadata, at, "Identity", "") : at;
}

uint32_t ome_zmtp_hello(ome_zmtp_role_t role, uint8_t hello[OME_ZMTP_HELLO_SIZE_MAX])
{
    uint8_t metadata[OME_ZMTP_METADATA_SIZE_MAX];
    const uint32_t metadata_size_bytes = ome_zmtp_metadata(role, metadata);
    ome_zmtp_greeting(NULL_MECHANISM, false, hello);
    uint32_t at = OME_ZMTP_GREETING_SIZE;
    at += ome_zmtp_command_header(6 + metadata_size_bytes, hello + at);
    at = zmtp_put(hello, at, "\5READY", 6);
    return zmtp_put(hello, at, metadata, metadata_size_bytes);
}

static uint32_t zmtp_put_header(uint8_t flags, uint32_t size_bytes, uint8_t header[OME_ZMTP_HEADER_SIZE_MAX])
{
    if (size_bytes < 256)
    {
        header[0] = flags;
        header[1] = (uint8_t)size_bytes;
        return 2;
    }
    const uint64_t size = __builtin_bswap64(size_bytes);
    header[0] = flags | FLAG_LONG;
    memcpy(header + 1, &size, sizeof(size));
    return 9;
}

uint32_t ome_zmtp_part_header(uint32_t size_bytes, uint8_t header[OME_ZMTP_HEADER_SIZE_MAX])
{
    return zmtp_put_header(0, size_bytes, header);
}

uint32_t ome_zmtp_command_header(uint32_t size_bytes, uint8_t header[OME_ZMTP_HEADER_SIZE_MAX])
{
    return zmtp_put_header(FLAG_COMMAND, size_bytes, header);
}

uint32_t ome_zmtp_pong(const uint8_t *ping, uint32_t ping_size_bytes, uint8_t pong[OME_ZMTP_PONG_SIZE_MAX])
{
    return zmtp_put(pong, zmtp_put(pong, 0, "\4PONG", 5), ping, ping_size_bytes);
}
