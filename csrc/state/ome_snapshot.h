/* A snapshot: the whole state of an engine as a stream of bytes, and an engine made from it that goes on exactly as the first would have.
 *
 * Pure, as the engine is: bytes go out through a function of the caller and come in through one. The structs hold one block, and are all the memory that is
 * needed beside the engine's. One thread. The format is in ome_snapshot_format.h. */
#ifndef OME_SNAPSHOT_H
#define OME_SNAPSHOT_H

#include "state/ome_snapshot_format.h"

/* Takes bytes, one after another. 0, or a negative errno: then it is not called again. */
typedef int (*ome_snapshot_put_t)(void *context, const void *bytes, uint32_t size_bytes);

/* Gives the next bytes. How many; fewer than wanted: there are no more; or a negative errno. */
typedef int64_t (*ome_snapshot_get_t)(void *context, void *bytes, uint32_t size_bytes);

/* The lowest version that holds the state of an engine: OME_SNAPSHOT_VERSION_. */
uint32_t ome_snapshot_version(const ome_engine_t *engine);

/* ---- to write ---- */

typedef struct
{
    ome_snapshot_put_t put;
    void *context;
    ome_snapshot_header_t header; /* of what was written last */
    uint64_t done_bytes;          /* put so far */
    uint32_t used_bytes;          /* of the block */
    uint32_t checksum;            /* of all that is done */
    int result;                   /* of `put`: what failed first, or 0 */
    uint8_t block[OME_SNAPSHOT_BLOCK_SIZE + OME_SNAPSHOT_CHECKSUM_SIZE];
} ome_snapshot_writer_t;

/* What a snapshot keeps of the past, which the engine itself does not know. */
typedef struct
{
    uint64_t event_hash;       /* rolling, of all events so far */
    uint32_t journal_checksum; /* chain checksum of the journal's records so far */
} ome_snapshot_past_t;

/* Writes the state of an engine, between two commands; those of several records may be between their records. OME_OK;
 * OME_IO_ERROR: `put` failed (writer->result). */
ome_status_t ome_snapshot_write(
    ome_snapshot_writer_t *writer, const ome_engine_t *engine, ome_snapshot_past_t past, ome_snapshot_put_t put, void *context);

/* ---- to read ---- */

typedef struct
{
    ome_snapshot_get_t get;
    void *context;
    ome_snapshot_header_t header;
    const char *reason;      /* what is wrong where it is damaged or not supported; otherwise NULL */
    uint64_t offset;         /* where, in bytes from the beginning */
    uint64_t content_bytes;  /* of all sections */
    uint64_t loaded_bytes;   /* of content, in blocks that were read and proved */
    uint64_t taken_at_bytes; /* where in the content the entry begins that was taken last */
    uint32_t size_bytes;     /* of the block */
    uint32_t used_bytes;     /* of the block */
    uint32_t checksum;       /* of all that was read */
    int result;              /* of `get` where it failed, otherwise 0 */
    uint8_t block[OME_SNAPSHOT_BLOCK_SIZE + OME_SNAPSHOT_CHECKSUM_SIZE];
} ome_snapshot_reader_t;

/* Reads the header: after OME_OK it says what the rest holds, and the limits that an engine for it has. OME_DAMAGED, OME_UNSUPPORTED (reader->reason, offset);
 * OME_IO_ERROR: `get` failed (reader->result). */
ome_status_t ome_snapshot_open(ome_snapshot_reader_t *reader, ome_snapshot_get_t get, void *context);

/* Makes the engine in `memory`, as ome_engine_init: zeroed, aligned to a cache line, of ome_engine_size_bytes of ome_snapshot_limits(&reader->header). Once after OME_OK of ome_snapshot_open.
 * All of it or none: only after OME_OK is there an engine; otherwise the memory holds nothing of use and must be zeroed before it is used again.
 *
 * Every entry is checked against the rules that an engine keeps, so that whatever the bytes are, an engine that was made keeps them (ome_engine_check); and its state hash
 * is that of the header. Not checked, because it would take the square of their number: that no two instruments have one symbol, and what names of sessions
 * have in common with their participants.
 *
 * OME_OK; OME_DAMAGED (reader->reason, offset); OME_IO_ERROR (reader->result); OME_INVALID: the memory is not aligned; OME_NO_MEMORY: it is too small. */
ome_status_t ome_snapshot_restore(ome_snapshot_reader_t *reader, ome_engine_t **engine, void *memory, uint64_t size_bytes);

#endif
