/* How the drivers of test_fuzz.c change an input: bytes of a snapshot or a segment, and segments of a journal. An input of a journal is a
 * row of frames, one for each segment: the sequence of its name, 8 bytes, its size, 4, and its bytes. */
#ifndef OME_FUZZ_CHANGES_H
#define OME_FUZZ_CHANGES_H

#include <stdbool.h>
#include <string.h>

#include "journal/ome_journal_format.h"
#include "ome_memory_file.h"
#include "ome_test.h"

#define INPUT_SIZE_MAX (1u << 17)
#define FRAME_HEAD_SIZE 12u
#define FRAME_COUNT_MAX 8u

typedef struct
{
    uint64_t name; /* sequence */
    uint32_t size;
    uint8_t *bytes;
} frame_t;

/* Takes the next segment off an input. */
static inline bool next_frame(uint8_t *bytes, size_t size, size_t *at, frame_t *frame)
{
    if (size - *at < FRAME_HEAD_SIZE)
    {
        return false;
    }
    memcpy(&frame->name, bytes + *at, sizeof(frame->name));
    memcpy(&frame->size, bytes + *at + sizeof(frame->name), sizeof(frame->size));
    *at += FRAME_HEAD_SIZE;
    frame->size = frame->size < size - *at ? frame->size : (uint32_t)(size - *at);
    frame->bytes = bytes + *at;
    *at += frame->size;
    return true;
}

/* ---- changes ---- */

static inline uint64_t below(uint64_t *random, uint64_t count)
{
    return test_random(random) % count;
}

/* A place in a segment or a snapshot: often in the fields of its header. */
static inline size_t some_place(uint64_t *random, size_t size)
{
    const size_t fields_size = size < 256 ? size : 256;
    return below(random, 6) == 0 || size <= OME_JOURNAL_HEADER_SIZE
               ? below(random, fields_size)
               : OME_JOURNAL_HEADER_SIZE + below(random, size - OME_JOURNAL_HEADER_SIZE);
}

static inline void change_bytes(uint64_t *random, uint8_t *bytes, size_t size)
{
    static const uint64_t values[] = {0, 1, 2, 255, 4096, 65535, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 60};
    const size_t at = some_place(random, size);
    const size_t width = (size_t)1 << below(random, 4);
    const size_t length = below(random, 4) == 0 ? OME_JOURNAL_COMMAND_SIZE : 1 + below(random, 200);
    const size_t from = some_place(random, size);
    uint64_t value = values[below(random, sizeof(values) / sizeof(values[0]))];
    switch (below(random, 5))
    {
    case 0:
        bytes[at] ^= (uint8_t)(1u << below(random, 8));
        break;
    case 1: /* a number that is near to what it was */
        memcpy(&value, bytes + at, size - at < sizeof(value) ? size - at : sizeof(value));
        value += below(random, 7) - 3;
        memcpy(bytes + at, &value, size - at < width ? size - at : width);
        break;
    case 2:
        memcpy(bytes + at, &value, size - at < width ? size - at : width);
        break;
    case 3: /* bytes of another place */
        memmove(bytes + at, bytes + from, size - (at > from ? at : from) < length ? size - (at > from ? at : from) : length);
        break;
    default: /* a sector that was lost */
        memset(bytes + at / MEMORY_SECTOR_SIZE * MEMORY_SECTOR_SIZE, 0,
            size - at / MEMORY_SECTOR_SIZE * MEMORY_SECTOR_SIZE < MEMORY_SECTOR_SIZE ? size - at / MEMORY_SECTOR_SIZE * MEMORY_SECTOR_SIZE
                                                                                     : MEMORY_SECTOR_SIZE);
        break;
    }
}

/* Most often one; sometimes none, as what else there is may be enough. */
static inline uint64_t change_count(uint64_t *random)
{
    return below(random, 8) < 5 ? 1 : below(random, 5);
}

/* Drops or doubles segments, gives them each other's names or sizes. */
static inline void change_frames(uint64_t *random, frame_t *frames, uint32_t *count)
{
    frame_t *const frame = &frames[below(random, *count)];
    frame_t *const other = &frames[below(random, *count)];
    const uint64_t name = frame->name;
    switch (below(random, 4))
    {
    case 0:
        *frame = frames[--*count];
        break;
    case 1:
        if (*count < FRAME_COUNT_MAX)
        {
            frames[*count] = *frame;
            frames[(*count)++].name = other->name + below(random, 3);
        }
        break;
    case 2:
        frame->name = other->name;
        other->name = name;
        break;
    default:
        frame->size -= (uint32_t)below(random, 1 + (below(random, 2) == 0 ? frame->size : frame->size % 100));
        break;
    }
}

/* Writes a changed input of `bytes`, which have their flags before them, to `to`; gives its size. */
static inline size_t change_journal(uint64_t *random, uint8_t *bytes, size_t size, uint8_t *to)
{
    frame_t frames[FRAME_COUNT_MAX];
    uint32_t count = 0;
    size_t at = 0;
    while (count < FRAME_COUNT_MAX && next_frame(bytes + 1, size - 1, &at, &frames[count]))
    {
        count++;
    }
    if (count > 0 && below(random, 6) == 0)
    {
        change_frames(random, frames, &count);
    }
    to[0] = bytes[0];
    at = 1;
    for (uint32_t index = 0; index < count && at + FRAME_HEAD_SIZE + frames[index].size <= INPUT_SIZE_MAX; index++)
    {
        memcpy(to + at, &frames[index].name, sizeof(frames[index].name));
        memcpy(to + at + sizeof(frames[index].name), &frames[index].size, sizeof(frames[index].size));
        memcpy(to + at + FRAME_HEAD_SIZE, frames[index].bytes, frames[index].size);
        frames[index].bytes = to + at + FRAME_HEAD_SIZE;
        at += FRAME_HEAD_SIZE + frames[index].size;
    }
    for (uint64_t left = change_count(random); count > 0 && left > 0; left--)
    {
        const frame_t *frame = &frames[below(random, count)];
        if (frame->size > 0 && frame->bytes > to && frame->bytes < to + at)
        {
            change_bytes(random, frame->bytes, frame->size);
        }
    }
    return at;
}

static inline size_t change_snapshot(uint64_t *random, const uint8_t *bytes, size_t size, uint8_t *to)
{
    memcpy(to, bytes, size);
    for (uint64_t left = change_count(random); size > 1 && left > 0; left--)
    {
        change_bytes(random, to + 1, size - 1);
    }
    if (size > 1 && below(random, 8) == 0)
    {
        size -= below(random, below(random, 2) == 0 ? size : 1 + size % 100);
    }
    return size;
}

#endif
