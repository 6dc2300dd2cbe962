/* Snapshots as files: the newest few of a directory, each of them whole on disk or not there.
 *
 * A snapshot is written to `snapshot-new.tmp` and synced, gets its name `snapshot-<sequence, 20 digits>.ome`, and the
 * directory is synced, in this order: a file that has the name of a snapshot is whole. Only then are older ones
 * removed. If the process dies in between, the next snapshot removes the unfinished file. A file that is not what was
 * written is renamed to `<name>.broken`, kept for people, and the snapshot before is used.
 *
 * A failed call is never repeated, above all not a sync: after it the kernel may take unwritten bytes for written. The
 * file on which it failed is removed, and a later snapshot is another file. Only the table of file functions is used.
 * One thread; only one process writes to a directory. */
#ifndef OME_SNAPSHOT_FILE_H
#define OME_SNAPSHOT_FILE_H

#include "base/ome_error.h"
#include "base/ome_file.h"
#include "state/ome_snapshot.h"

#define OME_SNAPSHOT_NAME_SIZE 34u /* of a snapshot, with its terminating zero */
#define OME_SNAPSHOT_NAME_NEW "snapshot-new.tmp"
#define OME_SNAPSHOT_NAME_BROKEN ".broken" /* behind the name */
#define OME_SNAPSHOT_KEEP_COUNT_DEFAULT 3u

/* A snapshot that is not used: why, and at which byte. `status` is OME_DAMAGED, and then it is set aside, or
 * OME_UNSUPPORTED. */
typedef void (*ome_snapshot_refused_t)(void *context, const char *path, ome_status_t status, const char *reason, uint64_t offset);

typedef struct
{
    const ome_file_system_t *file_system;
    const char *directory; /* must exist; is not copied */
    ome_snapshot_refused_t refused; /* called by ome_snapshot_file_load; may be NULL */
    void *context;         /* for it */
    bool is_read_only;     /* a directory that somebody else writes to: nothing is set aside */
    uint64_t event_count_below; /* ome_snapshot_file_load passes over snapshots with as many events or more; 0: over none */
    uint64_t ahead_count; /* of those that it passed over */
    ome_error_t error;     /* after OME_IO_ERROR: what failed */
    char path[OME_PATH_SIZE]; /* of the file that is read or written */
    uint64_t offset;       /* in it */
    int file;
    union
    {
        ome_snapshot_writer_t writer;
        ome_snapshot_reader_t reader;
    };
} ome_snapshot_files_t;

/* Sets up `files`, zeroed memory. OME_OK; OME_INVALID: the directory's name is too long. */
ome_status_t ome_snapshot_files_open(ome_snapshot_files_t *files, const ome_file_system_t *file_system, const char *directory);

/* Writes a snapshot of the engine; after OME_OK it is on disk, and of all the newest `keep_count` are kept, this one
 * among them if it is. One of the same sequence is replaced. OME_OK; OME_INVALID: keep_count is 0; OME_IO_ERROR
 * (files->error): the snapshots that were there are there, and the new one is too if the call that failed came after
 * the sync of the directory. */
ome_status_t ome_snapshot_file_write(
    ome_snapshot_files_t *files, const ome_engine_t *engine, ome_snapshot_past_t past, uint32_t keep_count);

/* An engine from a file, in memory from ome_memory_map, which the caller unmaps. */
typedef struct
{
    ome_engine_t *engine;
    uint64_t engine_size_bytes;
    ome_snapshot_past_t past;
} ome_snapshot_loaded_t;

/* Restores the newest snapshot that is whole. OME_OK; OME_NOT_FOUND: there is none; OME_NO_MEMORY: none for the engine;
 * OME_IO_ERROR (files->error): the file may be good, and nothing was set aside for it. */
ome_status_t ome_snapshot_file_load(ome_snapshot_files_t *files, ome_snapshot_loaded_t *loaded);

/* Restores the snapshot of a sequence, and sets nothing aside. As ome_snapshot_file_load; OME_NOT_FOUND: it does not
 * exist; OME_DAMAGED, OME_UNSUPPORTED: files->reader has the reason and the offset. */
ome_status_t ome_snapshot_file_load_one(ome_snapshot_files_t *files, uint64_t sequence, ome_snapshot_loaded_t *loaded);

/* Writes the name of the snapshot of a sequence; OME_SNAPSHOT_NAME_SIZE bytes. */
void ome_snapshot_name(char *name, uint64_t sequence);

/* Whether it is the name of a snapshot; if so, sets its sequence. */
bool ome_snapshot_name_sequence(const char *name, uint64_t *sequence);

#endif
