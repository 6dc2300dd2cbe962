/* A file system in memory for tests: ome_file_system_t whose calls can be made to fail and whose power can be cut.
 *
 * It has two images: what the processes see (the page cache), and what is on the disk. A write marks sectors of 512
 * bytes as dirty; a sync takes the dirty ones of a file to the disk; names reach it by sync_directory. A sync that
 * fails marks the sectors as clean without writing them, as Linux does: from then on only the processes see them. A
 * power cut makes the disk's image the only one, after any part of what was dirty, sector by sector, has reached it,
 * and any number of the changes of names, in order.
 *
 * A sync that fails is told once to each descriptor that the file had open then, as Linux does: whoever opens it later
 * hears nothing of it.
 *
 * One directory; a path counts from its last slash on. One thread. */
#ifndef OME_MEMORY_FILE_H
#define OME_MEMORY_FILE_H

#include "base/ome_file.h"
#include "ome_test.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define MEMORY_SECTOR_SIZE 512u
#define MEMORY_NODE_COUNT_MAX 256
#define MEMORY_FILE_COUNT_MAX 1024
#define MEMORY_NAME_COUNT_MAX 128
#define MEMORY_NAME_SIZE 96
#define MEMORY_CHANGE_COUNT_MAX 256

typedef struct
{
    uint8_t *seen;
    uint8_t *disk;
    bool *is_dirty; /* by sector */
    size_t capacity;
    size_t seen_size;
    size_t disk_size;
    uint32_t error_count; /* syncs that have failed */
} memory_node_t;

/* What a descriptor stands for. */
typedef struct
{
    int node; /* from 1; 0: closed */
    uint32_t error_count; /* of the node, as far as this descriptor was told */
    bool is_direct; /* opened for whole blocks: any other write is an error of the test's subject */
} memory_file_t;

typedef struct
{
    char name[MEMORY_NAME_SIZE];
    int node;
} memory_entry_t;

typedef struct
{
    memory_entry_t entries[MEMORY_NAME_COUNT_MAX];
    int count;
} memory_directory_t;

typedef enum
{
    MEMORY_FAIL_CLEAN = 0, /* the call that fails has done nothing */
    MEMORY_FAIL_TORN = 1, /* a write that fails has written a half, a sync that fails a half of the sectors */
    MEMORY_FAIL_KILLED = 2 /* the process is killed before the call: what was not synced is still to come */
} memory_fail_t;

typedef struct
{
    ome_file_system_t table;
    memory_node_t nodes[MEMORY_NODE_COUNT_MAX]; /* a node lives as long as the file system */
    int node_count;
    memory_file_t files[MEMORY_FILE_COUNT_MAX]; /* by descriptor */
    memory_directory_t seen;
    memory_directory_t disk;
    memory_entry_t changes[MEMORY_CHANGE_COUNT_MAX]; /* of names since the directory was synced; node -1: removed */
    int change_count;
    uint64_t call_count; /* of all calls, close among them where it counts */
    bool counts_close;
    uint64_t fail_call; /* the call of that number fails, counted from 1; 0: none */
    bool fails_ever_after; /* so do all after it, and do nothing: the process is dead */
    const char *failed; /* the call that has failed, NULL before */
    bool syncs_nothing; /* syncs succeed and do nothing: for negative controls */
    uint64_t sync_count; /* of files and directory */
    uint64_t lying_sync; /* the sync of that number, counted from 1, succeeds and does nothing; 0: none */
    memory_fail_t fail;
    int fail_number; /* errno */
    uint64_t random;
} memory_file_system_t;

static inline int memory_find(const memory_directory_t *directory, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    for (int index = 0; index < directory->count; index++)
    {
        if (strcmp(directory->entries[index].name, name) == 0)
        {
            return index;
        }
    }
    return -1;
}

static inline void memory_set(memory_directory_t *directory, const char *path, int node)
{
    const char *slash = strrchr(path, '/');
    int index = memory_find(directory, path);
    if (node < 0)
    {
        if (index >= 0)
        {
            directory->entries[index] = directory->entries[--directory->count];
        }
        return;
    }
    if (index < 0)
    {
        index = directory->count++;
        CHECK(index < MEMORY_NAME_COUNT_MAX);
        snprintf(directory->entries[index].name, MEMORY_NAME_SIZE, "%s", slash != NULL ? slash + 1 : path);
    }
    directory->entries[index].node = node;
}

static inline void memory_change(memory_file_system_t *memory, const char *path, int node)
{
    CHECK(memory->change_count < MEMORY_CHANGE_COUNT_MAX);
    memory_entry_t *change = &memory->changes[memory->change_count++];
    snprintf(change->name, MEMORY_NAME_SIZE, "%s", strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
    change->node = node;
    memory_set(&memory->seen, path, node);
}

/* Whether the call is one that fails; counts it. */
static inline bool memory_fails(memory_file_system_t *memory, const char *call)
{
    memory->call_count++;
    if (memory->fail_call == 0 || memory->call_count < memory->fail_call)
    {
        return false;
    }
    memory->failed = memory->call_count == memory->fail_call ? call : memory->failed;
    return memory->call_count == memory->fail_call || memory->fails_ever_after;
}

/* How the call fails that was found to. */
static inline memory_fail_t memory_how(const memory_file_system_t *memory)
{
    return memory->call_count == memory->fail_call ? memory->fail : MEMORY_FAIL_KILLED;
}

/* The open file of a descriptor. */
static inline memory_file_t *memory_opened(memory_file_system_t *memory, int file)
{
    CHECK(file >= 0 && file < MEMORY_FILE_COUNT_MAX && memory->files[file].node > 0);
    return &memory->files[file];
}

static inline memory_node_t *memory_node(memory_file_system_t *memory, int file)
{
    return &memory->nodes[memory_opened(memory, file)->node - 1];
}

/* Gives the lowest free descriptor for a node. */
static inline int memory_describe(memory_file_system_t *memory, int node, ome_file_mode_t mode)
{
    int file = 0;
    while (memory->files[file].node != 0)
    {
        file++;
        CHECK(file < MEMORY_FILE_COUNT_MAX);
    }
    memory->files[file] =
        (memory_file_t){.node = node + 1, .error_count = memory->nodes[node].error_count, .is_direct = mode == OME_FILE_CREATE_DIRECT};
    return file;
}

static inline int memory_open_count(const memory_file_system_t *memory)
{
    int count = 0;
    for (int file = 0; file < MEMORY_FILE_COUNT_MAX; file++)
    {
        count += memory->files[file].node != 0;
    }
    return count;
}

static inline void memory_reserve(memory_node_t *node, size_t size)
{
    if (size <= node->capacity)
    {
        return;
    }
    const size_t twice = 2 * node->capacity > 65536 ? 2 * node->capacity : 65536;
    const size_t capacity = size > twice ? (size + 65535) / 65536 * 65536 : twice;
    node->seen = realloc(node->seen, capacity);
    node->disk = realloc(node->disk, capacity);
    node->is_dirty = realloc(node->is_dirty, capacity / MEMORY_SECTOR_SIZE * sizeof(bool));
    memset(node->seen + node->capacity, 0, capacity - node->capacity);
    memset(node->disk + node->capacity, 0, capacity - node->capacity);
    memset(node->is_dirty + node->capacity / MEMORY_SECTOR_SIZE, 0, (capacity - node->capacity) / MEMORY_SECTOR_SIZE * sizeof(bool));
    node->capacity = capacity;
}

static inline int memory_open(void *context, const char *path, ome_file_mode_t mode)
{
    memory_file_system_t *memory = context;
    if (memory_fails(memory, "open"))
    {
        return -memory->fail_number;
    }
    const int index = memory_find(&memory->seen, path);
    if (mode == OME_FILE_READ || mode == OME_FILE_WRITE)
    {
        if (index < 0)
        {
            return -ENOENT;
        }
        return memory_describe(memory, memory->seen.entries[index].node, mode);
    }
    CHECK(memory->node_count < MEMORY_NODE_COUNT_MAX); /* creating over a file makes a new one: nothing depends on the difference */
    memory->nodes[memory->node_count] = (memory_node_t){.seen_size = 0};
    memory_reserve(&memory->nodes[memory->node_count], 1);
    memory_change(memory, path, memory->node_count);
    return memory_describe(memory, memory->node_count++, mode);
}

static inline int memory_close(void *context, int file)
{
    memory_file_system_t *memory = context;
    memory_opened(memory, file)->node = 0; /* also where it fails */
    return memory->counts_close && memory_fails(memory, "close") ? -memory->fail_number : 0;
}

static inline int memory_write(void *context, int file, const void *data, size_t size_bytes, uint64_t offset)
{
    memory_file_system_t *memory = context;
    memory_node_t *node = memory_node(memory, file);
    const bool fails = memory_fails(memory, "write");
    CHECK(!memory_opened(memory, file)->is_direct || (offset | size_bytes | (uintptr_t)data) % OME_FILE_BLOCK_SIZE == 0);
    if (fails)
    {
        size_bytes = memory_how(memory) == MEMORY_FAIL_TORN ? size_bytes / 2 : 0;
    }
    if (size_bytes > 0)
    {
        memory_reserve(node, offset + size_bytes);
        memcpy(node->seen + offset, data, size_bytes);
        for (uint64_t sector = offset / MEMORY_SECTOR_SIZE; sector <= (offset + size_bytes - 1) / MEMORY_SECTOR_SIZE; sector++)
        {
            node->is_dirty[sector] = true;
        }
        node->seen_size = offset + size_bytes > node->seen_size ? offset + size_bytes : node->seen_size;
    }
    return fails ? -memory->fail_number : 0;
}

static inline int64_t memory_read(void *context, int file, void *data, size_t size_bytes, uint64_t offset)
{
    memory_file_system_t *memory = context;
    const memory_node_t *node = memory_node(memory, file);
    if (memory_fails(memory, "read"))
    {
        return -memory->fail_number;
    }
    if (offset >= node->seen_size)
    {
        return 0;
    }
    const size_t size = size_bytes < node->seen_size - offset ? size_bytes : node->seen_size - offset;
    memcpy(data, node->seen + offset, size);
    return (int64_t)size;
}

static inline int64_t memory_size(void *context, int file)
{
    memory_file_system_t *memory = context;
    const memory_node_t *node = memory_node(memory, file);
    return memory_fails(memory, "size") ? -memory->fail_number : (int64_t)node->seen_size;
}

static inline int memory_truncate(void *context, int file, uint64_t size_bytes)
{
    memory_file_system_t *memory = context;
    memory_node_t *node = memory_node(memory, file);
    if (memory_fails(memory, "truncate"))
    {
        return -memory->fail_number;
    }
    CHECK(size_bytes <= node->seen_size);
    memset(node->seen + size_bytes, 0, node->capacity - size_bytes);
    node->seen_size = size_bytes;
    return 0;
}

/* Takes dirty sectors to the disk: all of them, or each with a probability of one half. */
static inline void memory_flush(memory_file_system_t *memory, memory_node_t *node, bool is_partial)
{
    for (size_t sector = 0; sector < node->capacity / MEMORY_SECTOR_SIZE; sector++)
    {
        if (node->is_dirty[sector] && (!is_partial || (test_random(&memory->random) & 1) != 0))
        {
            memcpy(node->disk + sector * MEMORY_SECTOR_SIZE, node->seen + sector * MEMORY_SECTOR_SIZE, MEMORY_SECTOR_SIZE);
            node->is_dirty[sector] = false;
        }
    }
    if (!is_partial || (test_random(&memory->random) & 1) != 0)
    {
        node->disk_size = node->seen_size;
    }
}

/* Whether this sync only says that it is done. */
static inline bool memory_lies(memory_file_system_t *memory)
{
    memory->sync_count++;
    return memory->syncs_nothing || memory->sync_count == memory->lying_sync;
}

static inline int memory_sync(void *context, int file)
{
    memory_file_system_t *memory = context;
    memory_file_t *opened = memory_opened(memory, file);
    memory_node_t *node = memory_node(memory, file);
    const bool fails = memory_fails(memory, "sync");
    if (memory_lies(memory))
    {
        return 0;
    }
    if (fails && memory_how(memory) == MEMORY_FAIL_KILLED)
    {
        return -memory->fail_number;
    }
    if (fails)
    {
        node->error_count++;
    }
    if (!fails || memory->fail == MEMORY_FAIL_TORN)
    {
        memory_flush(memory, node, fails);
    }
    memset(node->is_dirty, 0, node->capacity / MEMORY_SECTOR_SIZE * sizeof(bool));
    const bool is_told = opened->error_count == node->error_count;
    opened->error_count = node->error_count;
    return is_told ? 0 : -memory->fail_number;
}

static inline int memory_rename(void *context, const char *from, const char *to)
{
    memory_file_system_t *memory = context;
    if (memory_fails(memory, "rename"))
    {
        return -memory->fail_number;
    }
    const int index = memory_find(&memory->seen, from);
    if (index < 0)
    {
        return -ENOENT;
    }
    const int node = memory->seen.entries[index].node;
    memory_change(memory, to, node);
    memory_change(memory, from, -1);
    return 0;
}

static inline int memory_remove(void *context, const char *path)
{
    memory_file_system_t *memory = context;
    if (memory_fails(memory, "remove"))
    {
        return -memory->fail_number;
    }
    if (memory_find(&memory->seen, path) < 0)
    {
        return -ENOENT;
    }
    memory_change(memory, path, -1);
    return 0;
}

static inline int memory_sync_directory(void *context, const char *path)
{
    memory_file_system_t *memory = context;
    (void)path;
    if (memory_fails(memory, "sync directory"))
    {
        return -memory->fail_number;
    }
    if (!memory_lies(memory))
    {
        memory->disk = memory->seen;
        memory->change_count = 0;
    }
    return 0;
}

static inline int memory_list(void *context, const char *path, ome_file_visit_t visit, void *visitor)
{
    memory_file_system_t *memory = context;
    (void)path;
    if (memory_fails(memory, "list"))
    {
        return -memory->fail_number;
    }
    for (int index = 0; index < memory->seen.count; index++)
    {
        visit(visitor, memory->seen.entries[index].name);
    }
    return 0;
}

static inline void memory_start(memory_file_system_t *memory, uint64_t seed)
{
    memset(memory, 0, sizeof(*memory));
    memory->table = (ome_file_system_t){
        .context = memory,
        .open = memory_open,
        .close = memory_close,
        .write = memory_write,
        .read = memory_read,
        .size = memory_size,
        .truncate = memory_truncate,
        .sync_data = memory_sync,
        .sync_all = memory_sync,
        .rename = memory_rename,
        .remove = memory_remove,
        .sync_directory = memory_sync_directory,
        .list = memory_list,
    };
    memory->fail_number = EIO;
    memory->random = seed;
}

static inline void memory_end(memory_file_system_t *memory)
{
    for (int index = 0; index < memory->node_count; index++)
    {
        free(memory->nodes[index].seen);
        free(memory->nodes[index].disk);
        free(memory->nodes[index].is_dirty);
    }
}

/* The process has ended: the system closes what it had open. */
static inline void memory_close_all(memory_file_system_t *memory)
{
    memset(memory->files, 0, sizeof(memory->files));
}

/* The process was started again: calls work, and the page cache is as it was. */
static inline void memory_restart(memory_file_system_t *memory)
{
    memory_close_all(memory);
    memory->failed = NULL;
    memory->call_count = 0;
    memory->fail_call = 0;
    memory->fails_ever_after = false;
}

/* The power fails and comes back. */
static inline void memory_cut_power(memory_file_system_t *memory)
{
    const int kept_count = memory->change_count > 0 ? (int)(test_random(&memory->random) % (uint64_t)(memory->change_count + 1)) : 0;
    for (int index = 0; index < kept_count; index++)
    {
        memory_set(&memory->disk, memory->changes[index].name, memory->changes[index].node);
    }
    memory->change_count = 0;
    memory->seen = memory->disk;
    for (int index = 0; index < memory->node_count; index++)
    {
        memory_node_t *node = &memory->nodes[index];
        memory_flush(memory, node, true);
        node->disk_size = node->disk_size < node->capacity ? node->disk_size : node->capacity;
        memset(node->disk + node->disk_size, 0, node->capacity - node->disk_size);
        memcpy(node->seen, node->disk, node->capacity);
        memset(node->is_dirty, 0, node->capacity / MEMORY_SECTOR_SIZE * sizeof(bool));
        node->seen_size = node->disk_size;
    }
    memory_restart(memory);
}

/* Removes all files whose names begin so, from the disk too. */
static inline void memory_remove_all(memory_file_system_t *memory, const char *start)
{
    for (int index = memory->seen.count - 1; index >= 0; index--)
    {
        if (strncmp(memory->seen.entries[index].name, start, strlen(start)) == 0)
        {
            memory->seen.entries[index] = memory->seen.entries[--memory->seen.count];
        }
    }
    memory->disk = memory->seen;
    memory->change_count = 0;
}

/* The file of that name as the processes see it; it must be there. */
static inline memory_node_t *memory_file(memory_file_system_t *memory, const char *name)
{
    const int index = memory_find(&memory->seen, name);
    CHECK(index >= 0);
    return &memory->nodes[memory->seen.entries[index].node];
}

#endif
