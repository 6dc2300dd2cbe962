/* Files, through a table of functions: the journal reaches the disk by this table only, so that a test can insert
 * faults, torn writes and power cuts.
 *
 * Every function is a whole operation: it has happened, or it returns a negative errno. Interrupted calls are made
 * again and short transfers are continued by the table, except that a sync is never made twice: after a failed sync the
 * kernel may have dropped the pages and would report success. If the file system refuses a write past the page cache,
 * the table writes through the cache. A path is absolute or relative to the process. The table has no state of its own;
 * calls on different files may be made by different threads. */
#ifndef OME_FILE_H
#define OME_FILE_H

#include "abi/ome_status.h"
#include "base/ome_error.h"

#include <stddef.h>
#include <stdint.h>

typedef enum
{
    OME_FILE_READ = 0, /* an existing file, for reading */
    OME_FILE_WRITE = 1, /* an existing file, for reading and writing */
    OME_FILE_CREATE = 2, /* a new or emptied file, for reading and writing */
    OME_FILE_CREATE_DIRECT = 3 /* the same, for writing whole blocks: past the page cache, if the file system can do that */
} ome_file_mode_t;

/* Writes to a file made by OME_FILE_CREATE_DIRECT have offset, size and memory in multiples of this. */
#define OME_FILE_BLOCK_SIZE 4096u

typedef void (*ome_file_visit_t)(void *visitor, const char *name);

typedef struct
{
    void *context; /* passed to every function */
    int (*open)(void *context, const char *path, ome_file_mode_t mode); /* returns a descriptor, 0 or above */
    int (*close)(void *context, int file);
    int (*write)(void *context, int file, const void *data, size_t size_bytes, uint64_t offset);
    int64_t (*read)(void *context, int file, void *data, size_t size_bytes, uint64_t offset); /* returns bytes read; fewer: the file ends */
    int64_t (*size)(void *context, int file); /* returns bytes */
    int (*truncate)(void *context, int file, uint64_t size_bytes);
    int (*sync_data)(void *context, int file); /* content and what is needed to read it back are on disk */
    int (*sync_all)(void *context, int file); /* also when the file has become shorter */
    int (*rename)(void *context, const char *from, const char *to);
    int (*remove)(void *context, const char *path);
    int (*sync_directory)(void *context, const char *path); /* names that were made, renamed or removed in it are on disk */
    int (*list)(void *context, const char *path, ome_file_visit_t visit, void *visitor); /* names in a directory, in any order */
} ome_file_system_t;

/* The table of the operating system. */
const ome_file_system_t *ome_file_system_posix(void);

/* Records a failure. `result` is the negative errno that a function of the table returned. Returns OME_IO_ERROR,
 * always. */
ome_status_t ome_file_failed(ome_error_t *error, int64_t result, const char *call, const char *path);

/* Joins a directory and a name into `path`, of OME_PATH_SIZE bytes. Returns OME_OK, or OME_INVALID when they do not
 * fit. */
ome_status_t ome_file_join(char *path, const char *directory, const char *name);

#endif
