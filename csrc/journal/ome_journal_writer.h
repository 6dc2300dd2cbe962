/* The journal's writer: records in, durable sequence out.
 *
 * One thread appends, writes and syncs: the journal stage. One other thread may call ome_journal_writer_prepare_next, which fills the
 * next segment's file with zeros, so that the first thread need not. Who reads is a process of its own or comes later
 * (ome_journal_reader).
 *
 * Invariants:
 * - durable <= written < next sequence. What is not durable may be gone after a power cut, in any part.
 * - A segment is complete, sealed and on disk before the next one gets its name. So only the last segment can have a torn tail or no seal.
 * - A segment's name appears after its zeros and its header are on disk.
 * - After the first call that failed nothing is written or synced again: a failed fsync leaves a file whose content nobody knows, and the
 *   second one says that all is well. The engine has to stop, and the next start decides by what is on the disk.
 * - Segments are written past the page cache, where the file system can do that, and in whole blocks everywhere: what is behind the last record in its
 *   block is zeros, and the next write repeats that block with more in it. So the buffer begins where a block does.
 *
 * What it does not do: keep two writers out of one directory, choose when to sync, start threads. */
#ifndef OME_JOURNAL_WRITER_H
#define OME_JOURNAL_WRITER_H

#include "base/ome_file.h"
#include "journal/ome_journal_format.h"

#include <stdatomic.h>

typedef struct
{
    const ome_file_system_t *file_system; /* outlives the writer */
    const char *directory; /* exists; copied */
    ome_journal_kind_t kind;
    uint64_t segment_size_bytes; /* OME_JOURNAL_SEGMENT_SIZE_MIN to _MAX, a multiple of 4096 */
    uint64_t epoch; /* 1 for a new journal, otherwise one more than the reader found */
    uint64_t first_sequence; /* 1 for a new journal, otherwise one more than the last in the journal */
    uint32_t previous_checksum; /* 0 for a new journal, otherwise the chain checksum that the reader found */
    uint64_t configuration_hash; /* kept in every header; any value */
    bool
        grows; /* segments grow as they are written, instead of being zeros beforehand: where nobody waits for a commit, half as much is written */
} ome_journal_writer_config_t;

typedef struct
{
    /* The writer's thread. */
    const ome_file_system_t *file_system;
    uint8_t *buffer; /* the block that was written last, if it is not full, and the records that were appended since */
    size_t buffer_capacity_bytes; /* whole blocks */
    size_t buffer_used_bytes;
    uint64_t buffer_offset; /* in the segment: where the buffer will be written; where a block begins */
    uint64_t segment_size_bytes;
    uint64_t zeros_size_bytes; /* of a new segment */
    uint64_t offset; /* in the segment: where what was written ends */
    uint64_t epoch;
    uint64_t configuration_hash;
    uint64_t segment_first_sequence;
    uint64_t next_sequence;
    uint64_t written_sequence; /* handed to the operating system up to here: survives the end of the process */
    uint64_t durable_sequence; /* on disk up to here: survives a power cut */
    uint64_t unprepared_count; /* times that a segment ended and the next was not prepared */
    uint32_t checksum; /* chain checksum of all records appended */
    ome_journal_kind_t kind;
    int file;
    ome_error_t error; /* why the writer stopped */
    char directory[OME_PATH_SIZE];
    char path[OME_PATH_SIZE]; /* of the segment */

    /* Between the writer's thread and the one that prepares. */
    _Atomic(int) spare_state; /* the one that prepares ends ABSENT, the writer makes it so again */
    atomic_bool is_stopped;
    int spare_file; /* valid while READY */
    ome_error_t spare_error; /* of the one that prepares: why its last attempt failed */
} ome_journal_writer_t;

/* Bytes of memory for groups of up to that many commands. A larger group is written in several parts. */
size_t ome_journal_writer_size_bytes(uint32_t group_count_max);

/* Makes the first segment of a run. An existing segment of the same name is replaced if it is without records, as recovery leaves one.
 * `memory` is of ome_journal_writer_size_bytes() and outlives the writer. Call ome_journal_writer_close whatever is returned.
 * Returns OME_OK; OME_INVALID (a value of the configuration); OME_NO_MEMORY; OME_IO_ERROR (writer->error; EEXIST: the segment has
 * records). */
ome_status_t ome_journal_writer_open(
    ome_journal_writer_t *writer, void *memory, size_t size_bytes, const ome_journal_writer_config_t *config);

/* Adds a record. `sequence` is one more than that of the call before, `kind` is 1 to OME_JOURNAL_KIND_MAX, `length_bytes` at most
 * OME_JOURNAL_DATA_SIZE_MAX. Writes only when the buffer is full; at the end of a segment commits with the seal and begins the next.
 * Returns OME_OK; OME_IO_ERROR (writer->error); OME_STOPPED. */
ome_status_t ome_journal_writer_append(
    ome_journal_writer_t *writer, uint64_t sequence, uint16_t kind, const void *data, uint32_t length_bytes);

/* The next records, of `size_bytes` with their envelopes, shall be written by one call: begins the next segment, or writes what there is,
 * where they do not fit behind it. At most OME_JOURNAL_RECORD_SIZE_MAX. Returns as ome_journal_writer_append. */
ome_status_t ome_journal_writer_make_room(ome_journal_writer_t *writer, size_t size_bytes);

/* Hands all that was appended to the operating system. Returns OME_OK; OME_IO_ERROR (writer->error); OME_STOPPED. */
ome_status_t ome_journal_writer_write(ome_journal_writer_t *writer);

/* Makes all that was written durable. Returns OME_OK; OME_IO_ERROR (writer->error); OME_STOPPED. */
ome_status_t ome_journal_writer_sync(ome_journal_writer_t *writer);

/* Writes and syncs: one group commit. When it returns OME_OK, durable_sequence is the last sequence appended.
 * Returns OME_OK; OME_IO_ERROR (writer->error); OME_STOPPED. */
ome_status_t ome_journal_writer_commit(ome_journal_writer_t *writer);

/* Prepares the next segment unless one is ready. Takes as long as writing a segment takes; for a thread of its own, one at a time.
 * After a failure it may be called again; a writer that needs the segment meanwhile makes it itself, and stops only where that fails too.
 * Returns OME_OK (one is ready); OME_IO_ERROR (writer->spare_error); OME_STOPPED. */
ome_status_t ome_journal_writer_prepare_next(ome_journal_writer_t *writer);

/* Commits, seals and closes; nobody may be preparing. After a failure only closes. The writer is stopped then.
 * Returns OME_OK; OME_IO_ERROR (writer->error); OME_STOPPED (it had stopped before). */
ome_status_t ome_journal_writer_close(ome_journal_writer_t *writer);

#endif
