/* Reading a snapshot's bytes: a block is proved by its checksum before any of its bytes is used. For who restores. */
#ifndef OME_SNAPSHOT_READ_H
#define OME_SNAPSHOT_READ_H

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_platform.h"
#include "state/ome_snapshot.h"

/* Says what is wrong and where. False, always, so that a check can return it. */
bool ome_snapshot_fault_at(ome_snapshot_reader_t *reader, uint64_t offset, const char *reason);

/* The same of the entry that was taken last. */
bool ome_snapshot_fault(ome_snapshot_reader_t *reader, const char *reason);

/* What a read that has failed is to return. */
ome_status_t ome_snapshot_status(const ome_snapshot_reader_t *reader);

/* An entry that begins in one block and ends in the next, which it reads. Not more than a block. */
bool ome_snapshot_take_across(ome_snapshot_reader_t *reader, void *entry, uint32_t size_bytes);

/* Bytes of content that were taken. */
static inline uint64_t ome_snapshot_taken_bytes(const ome_snapshot_reader_t *reader)
{
    return reader->loaded_bytes - reader->size_bytes + reader->used_bytes;
}

/* Of a size that the compiler knows, so that the usual case is a few loads. */
OME_ALWAYS_INLINE bool ome_snapshot_take(ome_snapshot_reader_t *reader, void *entry, uint32_t size_bytes)
{
    reader->taken_at_bytes = ome_snapshot_taken_bytes(reader);
    if (OME_UNLIKELY(reader->size_bytes - reader->used_bytes < size_bytes))
    {
        return ome_snapshot_take_across(reader, entry, size_bytes);
    }
    memcpy(entry, reader->block + reader->used_bytes, size_bytes);
    reader->used_bytes += size_bytes;
    return true;
}

static inline bool ome_snapshot_is_zero(const uint8_t *bytes, size_t size_bytes)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size_bytes; i++)
    {
        any |= bytes[i];
    }
    return any == 0;
}

static inline uint64_t ome_snapshot_count(const ome_snapshot_header_t *header, uint32_t type)
{
    return ome_snapshot_section(header, type)->count;
}

#endif
