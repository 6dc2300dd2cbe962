/* What the tests of the wire share: the bytes that a ZMTP client sends, put together by hand from the specification
 * (rfc.zeromq.org/spec/37). */
#ifndef OME_TEST_ZMTP_H
#define OME_TEST_ZMTP_H

#include <stdbool.h>
#include <string.h>

#include "ome_test.h"

#define BYTES_SIZE_MAX (UINT32_C(1) << 18)

#define FRAME_MORE 1u
#define FRAME_LONG 2u
#define FRAME_COMMAND 4u

typedef struct
{
    uint8_t data[BYTES_SIZE_MAX];
    uint32_t size_bytes;
} bytes_t;

static inline void put_bytes(bytes_t *bytes, const void *data, uint32_t size_bytes)
{
    CHECK(size_bytes <= BYTES_SIZE_MAX - bytes->size_bytes);
    if (size_bytes > 0)
    {
        memcpy(bytes->data + bytes->size_bytes, data, size_bytes);
    }
    bytes->size_bytes += size_bytes;
}

static inline void put_byte(bytes_t *bytes, uint32_t byte)
{
    const uint8_t one = (uint8_t)byte;
    put_bytes(bytes, &one, 1);
}

/* A number in network order. */
static inline void put_number(bytes_t *bytes, uint64_t number, uint32_t size_bytes)
{
    for (uint32_t i = size_bytes; i-- > 0;)
    {
        put_byte(bytes, (uint32_t)(number >> 8 * i));
    }
}

static inline void put_greeting(bytes_t *bytes, uint8_t minor_version)
{
    static const uint8_t zeros[32] = {0};
    put_bytes(bytes, "\xff\0\0\0\0\0\0\0\1\x7f\3", 11); /* libzmq sends a length of 1 in the signature */
    put_byte(bytes, minor_version);
    put_bytes(bytes, "NULL", 4);
    put_bytes(bytes, zeros, 16);
    put_bytes(bytes, zeros, 32);
    CHECK_EQUAL(bytes->size_bytes % 64, 0);
}

/* The header of a frame; long where the flags say so. */
static inline void put_frame_header(bytes_t *bytes, uint32_t flags, uint64_t size_bytes)
{
    put_byte(bytes, flags);
    put_number(bytes, size_bytes, (flags & FRAME_LONG) != 0 ? 8 : 1);
}

static inline void put_frame(bytes_t *bytes, uint32_t flags, const void *data, uint32_t size_bytes)
{
    put_frame_header(bytes, size_bytes > 255 ? flags | FRAME_LONG : flags, size_bytes);
    put_bytes(bytes, data, size_bytes);
}

static inline void put_command(bytes_t *bytes, const char *name, const void *body, uint32_t body_size_bytes)
{
    const uint32_t size_bytes = 1 + (uint32_t)strlen(name) + body_size_bytes;
    put_frame_header(bytes, size_bytes > 255 ? FRAME_COMMAND | FRAME_LONG : FRAME_COMMAND, size_bytes);
    put_byte(bytes, (uint32_t)strlen(name));
    put_bytes(bytes, name, (uint32_t)strlen(name));
    put_bytes(bytes, body, body_size_bytes);
}

static inline void put_property(bytes_t *bytes, const char *name, const char *value)
{
    put_byte(bytes, (uint32_t)strlen(name));
    put_bytes(bytes, name, (uint32_t)strlen(name));
    put_number(bytes, strlen(value), 4);
    put_bytes(bytes, value, (uint32_t)strlen(value));
}

static inline void put_ready(bytes_t *bytes, const char *socket_type)
{
    static bytes_t properties;
    properties.size_bytes = 0;
    put_property(&properties, "Socket-Type", socket_type);
    put_property(&properties, "Identity", "");
    put_command(bytes, "READY", properties.data, properties.size_bytes);
}

/* All that a client says before its first message. */
static inline void put_hello(bytes_t *bytes, const char *socket_type)
{
    put_greeting(bytes, 1);
    put_ready(bytes, socket_type);
}

#endif
