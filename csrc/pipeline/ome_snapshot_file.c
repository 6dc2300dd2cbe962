#include "pipeline/ome_snapshot_file.h"

#include "base/ome_assert.h"
#include "base/ome_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

static const char name_start[] = "snapshot-";
static const char name_end[] = ".ome";
#define NAME_START_SIZE (sizeof(name_start) - 1)
#define NAME_DIGITS 20u
static_assert(NAME_START_SIZE + NAME_DIGITS + sizeof(name_end) == OME_SNAPSHOT_NAME_SIZE, "a name fits exactly");
#define NAME_SIZE_MAX (OME_SNAPSHOT_NAME_SIZE + sizeof(OME_SNAPSHOT_NAME_BROKEN) - 1)
static_assert(sizeof(OME_SNAPSHOT_NAME_NEW) <= NAME_SIZE_MAX, "the longest name is that of a broken snapshot");

void ome_snapshot_name(char *name, uint64_t sequence)
{
    snprintf(name, OME_SNAPSHOT_NAME_SIZE, "%s%020" PRIu64 "%s", name_start, sequence, name_end);
}

bool ome_snapshot_name_sequence(const char *name, uint64_t *sequence)
{
    if (strlen(name) != OME_SNAPSHOT_NAME_SIZE - 1 || strncmp(name, name_start, NAME_START_SIZE) != 0 ||
        strcmp(name + NAME_START_SIZE + NAME_DIGITS, name_end) != 0)
    {
        return false;
    }
    uint64_t found = 0;
    for (size_t index = NAME_START_SIZE; index < NAME_START_SIZE + NAME_DIGITS; index++)
    {
        const uint64_t digit = (uint64_t)(name[index] - '0');
        if (digit > 9 || found > (UINT64_MAX - digit) / 10)
        {
            return false;
        }
        found = found * 10 + digit;
    }
    *sequence = found;
    return true;
}

/* Joins the directory and a name, which fit: the longest was tried when it was opened. */
static void file_join(const ome_snapshot_files_t *files, char *path, const char *name)
{
    const ome_status_t status = ome_file_join(path, files->directory, name);
    OME_ASSERT(status == OME_OK);
}

ome_status_t ome_snapshot_files_open(ome_snapshot_files_t *files, const ome_file_system_t *file_system, const char *directory)
{
    char longest[NAME_SIZE_MAX];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    files->file_system = file_system;
    files->directory = directory;
    files->file = -1;
    return ome_file_join(files->path, directory, longest);
}

/* ---- what is there ---- */

typedef struct
{
    uint64_t newest; /* of those that may be */
    uint64_t below;  /* only older ones than this count, */
    bool is_bounded; /* if this is set */
    bool is_found;
} search_t;

static void file_visit(void *visitor, const char *name)
{
    search_t *search = visitor;
    uint64_t sequence;
    if (!ome_snapshot_name_sequence(name, &sequence) || (search->is_bounded && sequence >= search->below) ||
        (search->is_found && sequence <= search->newest))
    {
        return;
    }
    search->newest = sequence;
    search->is_found = true;
}

/* Finds the next older snapshot than the one found before; the newest at first. OME_OK; OME_NOT_FOUND; OME_IO_ERROR. */
static ome_status_t file_find_next(ome_snapshot_files_t *files, search_t *search)
{
    *search = (search_t){.below = search->newest, .is_bounded = search->is_found};
    const int result = files->file_system->list(files->file_system->context, files->directory, file_visit, search);
    if (result < 0)
    {
        return ome_file_failed(&files->error, result, "readdir", files->directory);
    }
    if (!search->is_found)
    {
        return OME_NOT_FOUND;
    }
    char name[OME_SNAPSHOT_NAME_SIZE];
    ome_snapshot_name(name, search->newest);
    file_join(files, files->path, name);
    return OME_OK;
}

/* ---- to write ---- */

static int file_put(void *context, const void *bytes, uint32_t size_bytes)
{
    ome_snapshot_files_t *files = context;
    const int result = files->file_system->write(files->file_system->context, files->file, bytes, size_bytes, files->offset);
    files->offset += size_bytes;
    return result;
}

/* Writes the new file; it is on disk when this returns OME_OK. */
static ome_status_t file_fill(ome_snapshot_files_t *files, const ome_engine_t *engine, ome_snapshot_past_t past)
{
    files->offset = 0;
    if (ome_snapshot_write(&files->writer, engine, past, file_put, files) != OME_OK)
    {
        return ome_file_failed(&files->error, files->writer.result, "pwrite", files->path);
    }
    const int result = files->file_system->sync_data(files->file_system->context, files->file);
    return result < 0 ? ome_file_failed(&files->error, result, "fdatasync", files->path) : OME_OK;
}

/* Removes the new file, if it is there. */
static ome_status_t file_remove_new(ome_snapshot_files_t *files)
{
    const int result = files->file_system->remove(files->file_system->context, files->path);
    return result < 0 && result != -ENOENT ? ome_file_failed(&files->error, result, "unlink", files->path) : OME_OK;
}

/* Makes the new file. An old unfinished file is not written to again: its sync may have failed. */
static ome_status_t file_make_new(ome_snapshot_files_t *files, const ome_engine_t *engine, ome_snapshot_past_t past)
{
    const ome_file_system_t *const file_system = files->file_system;
    file_join(files, files->path, OME_SNAPSHOT_NAME_NEW);
    ome_status_t status = file_remove_new(files);
    if (status != OME_OK)
    {
        return status;
    }
    files->file = file_system->open(file_system->context, files->path, OME_FILE_CREATE);
    if (files->file < 0)
    {
        return ome_file_failed(&files->error, files->file, "open", files->path);
    }
    status = file_fill(files, engine, past);
    file_system->close(file_system->context, files->file);
    files->file = -1;
    if (status != OME_OK)
    {
        /* A full disk needs the room. If this fails too, the first failure is reported. */
        (void)file_system->remove(file_system->context, files->path);
    }
    return status;
}

/* Gives the new file its name. */
static ome_status_t file_name_new(ome_snapshot_files_t *files, uint64_t sequence)
{
    const ome_file_system_t *const file_system = files->file_system;
    char name[OME_SNAPSHOT_NAME_SIZE];
    char path[OME_PATH_SIZE];
    ome_snapshot_name(name, sequence);
    file_join(files, path, name);
    int result = file_system->rename(file_system->context, files->path, path);
    if (result < 0)
    {
        return ome_file_failed(&files->error, result, "rename", path);
    }
    result = file_system->sync_directory(file_system->context, files->directory);
    return result < 0 ? ome_file_failed(&files->error, result, "fsync", files->directory) : OME_OK;
}

/* Removes all but the newest. After a power cut some may be there again; the next snapshot removes them. */
static ome_status_t file_remove_old(ome_snapshot_files_t *files, uint32_t keep_count)
{
    search_t search = {0};
    ome_status_t status = file_find_next(files, &search);
    for (uint32_t count = 1; status == OME_OK; count++)
    {
        const int result = count > keep_count ? files->file_system->remove(files->file_system->context, files->path) : 0;
        status = result < 0 ? ome_file_failed(&files->error, result, "unlink", files->path) : file_find_next(files, &search);
    }
    return status == OME_NOT_FOUND ? OME_OK : status;
}

ome_status_t ome_snapshot_file_write(ome_snapshot_files_t *files, const ome_engine_t *engine, ome_snapshot_past_t past, uint32_t keep_count)
{
    if (keep_count == 0)
    {
        return OME_INVALID;
    }
    ome_status_t status = file_make_new(files, engine, past);
    if (status == OME_OK)
    {
        status = file_name_new(files, engine->sequence);
    }
    return status == OME_OK ? file_remove_old(files, keep_count) : status;
}

/* ---- to read ---- */

static int64_t file_get(void *context, void *bytes, uint32_t size_bytes)
{
    ome_snapshot_files_t *files = context;
    const int64_t got = files->file_system->read(files->file_system->context, files->file, bytes, size_bytes, files->offset);
    files->offset += got > 0 ? (uint64_t)got : 0;
    return got;
}

/* Restores what the open file holds. OME_EMPTY: it has too many events. */
static ome_status_t file_restore(ome_snapshot_files_t *files, uint64_t sequence, ome_snapshot_loaded_t *loaded)
{
    ome_snapshot_reader_t *reader = &files->reader;
    files->offset = 0;
    ome_status_t status = ome_snapshot_open(reader, file_get, files);
    if (status != OME_OK)
    {
        return status;
    }
    if (reader->header.sequence != sequence)
    {
        reader->reason = "its name says another sequence";
        reader->offset = offsetof(ome_snapshot_header_t, sequence);
        return OME_DAMAGED;
    }
    if (files->event_count_below != 0 && reader->header.event_count >= files->event_count_below)
    {
        files->ahead_count++;
        return OME_EMPTY;
    }
    loaded->past.event_hash = reader->header.event_hash;
    loaded->past.journal_checksum = reader->header.journal_checksum;
    const ome_limits_t limits = ome_snapshot_limits(&reader->header);
    loaded->engine_size_bytes = ome_engine_size_bytes(&limits);
    void *memory = ome_memory_map(loaded->engine_size_bytes);
    if (memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    status = ome_snapshot_restore(reader, &loaded->engine, memory, loaded->engine_size_bytes);
    if (status != OME_OK)
    {
        ome_memory_unmap(memory, loaded->engine_size_bytes);
    }
    return status;
}

/* Restores the snapshot whose path is set. OME_NOT_FOUND: it is not there. */
static ome_status_t file_load(ome_snapshot_files_t *files, uint64_t sequence, ome_snapshot_loaded_t *loaded)
{
    const ome_file_system_t *const file_system = files->file_system;
    files->file = file_system->open(file_system->context, files->path, OME_FILE_READ);
    if (files->file == -ENOENT)
    {
        return OME_NOT_FOUND;
    }
    if (files->file < 0)
    {
        return ome_file_failed(&files->error, files->file, "open", files->path);
    }
    const ome_status_t status = file_restore(files, sequence, loaded);
    file_system->close(file_system->context, files->file);
    files->file = -1;
    return status == OME_IO_ERROR ? ome_file_failed(&files->error, files->reader.result, "pread", files->path) : status;
}

/* Renames a broken snapshot, so that its name is no longer that of a snapshot. */
static ome_status_t file_set_aside(ome_snapshot_files_t *files, uint64_t sequence)
{
    const ome_file_system_t *const file_system = files->file_system;
    char name[NAME_SIZE_MAX];
    char path[OME_PATH_SIZE];
    ome_snapshot_name(name, sequence);
    memcpy(name + OME_SNAPSHOT_NAME_SIZE - 1, OME_SNAPSHOT_NAME_BROKEN, sizeof(OME_SNAPSHOT_NAME_BROKEN));
    file_join(files, path, name);
    int result = file_system->rename(file_system->context, files->path, path);
    if (result < 0)
    {
        return ome_file_failed(&files->error, result, "rename", path);
    }
    result = file_system->sync_directory(file_system->context, files->directory);
    return result < 0 ? ome_file_failed(&files->error, result, "fsync", files->directory) : OME_OK;
}

static ome_status_t file_refuse(ome_snapshot_files_t *files, uint64_t sequence, ome_status_t status)
{
    if (files->refused != NULL)
    {
        files->refused(files->context, files->path, status, files->reader.reason, files->reader.offset);
    }
    return status == OME_DAMAGED && !files->is_read_only ? file_set_aside(files, sequence) : OME_OK;
}

ome_status_t ome_snapshot_file_load(ome_snapshot_files_t *files, ome_snapshot_loaded_t *loaded)
{
    search_t search = {0};
    *loaded = (ome_snapshot_loaded_t){0};
    ome_status_t status = file_find_next(files, &search);
    while (status == OME_OK)
    {
        status = file_load(files, search.newest, loaded);
        if (status == OME_NOT_FOUND)
        {
            /* Who writes here has removed it since it was listed, and there are newer ones. */
            search = (search_t){0};
            status = file_find_next(files, &search);
            continue;
        }
        if (status == OME_OK || status == OME_NO_MEMORY || status == OME_IO_ERROR)
        {
            return status;
        }
        status = status == OME_EMPTY ? OME_OK : file_refuse(files, search.newest, status);
        status = status == OME_OK ? file_find_next(files, &search) : status;
    }
    return status;
}

ome_status_t ome_snapshot_file_load_one(ome_snapshot_files_t *files, uint64_t sequence, ome_snapshot_loaded_t *loaded)
{
    char name[OME_SNAPSHOT_NAME_SIZE];
    *loaded = (ome_snapshot_loaded_t){0};
    ome_snapshot_name(name, sequence);
    file_join(files, files->path, name);
    return file_load(files, sequence, loaded);
}
