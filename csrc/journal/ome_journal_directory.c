#include "journal/ome_journal_directory.h"

#include "base/ome_assert.h"

#include <errno.h>
#include <stdio.h>

#define DIRECTORY_SET_ASIDE_COUNT_MAX 1000u /* names that are tried */

static void directory_visit_segment(void *visitor, const char *name)
{
    ome_journal_range_t *const range = visitor;
    const uint64_t sequence = ome_journal_name_sequence(range->kind, name);
    if (sequence <= range->above || sequence >= range->below)
    {
        return;
    }
    range->first = range->first == 0 || sequence < range->first ? sequence : range->first;
    range->last = sequence > range->last ? sequence : range->last;
    range->count++;
}

ome_status_t ome_journal_directory_find(ome_journal_reader_t *reader, uint64_t above, uint64_t below, ome_journal_range_t *range)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    *range = (ome_journal_range_t){.kind = reader->config.kind, .above = above, .below = below};
    const int result = file_system->list(file_system->context, reader->directory, directory_visit_segment, range);
    return result < 0 ? ome_journal_place_failed(reader, result, "readdir", reader->directory) : OME_OK;
}

void ome_journal_directory_path(const ome_journal_reader_t *reader, char *path, uint64_t first_sequence)
{
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name(name, reader->config.kind, first_sequence);
    const ome_status_t status = ome_file_join(path, reader->directory, name);
    OME_ASSERT(status == OME_OK); /* one was tried when the reader was opened */
}

ome_status_t ome_journal_directory_header(ome_journal_reader_t *reader, const char *path, ome_journal_header_t *header, bool *is_valid)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    *is_valid = false;
    const int file = file_system->open(file_system->context, path, OME_FILE_READ);
    if (file == -ENOENT)
    {
        return OME_OK;
    }
    if (file < 0)
    {
        return ome_journal_place_failed(reader, file, "open", path);
    }
    const int64_t got = file_system->read(file_system->context, file, header, sizeof(*header), 0);
    file_system->close(file_system->context, file);
    *is_valid = got == sizeof(*header) && ome_journal_header_fault(header) == NULL && header->version == OME_JOURNAL_VERSION;
    return got < 0 ? ome_journal_place_failed(reader, got, "pread", path) : OME_OK;
}

/* Gives a free name for a segment that is set aside. */
static ome_status_t directory_free_path(ome_journal_reader_t *reader, const char *path, char *to)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    int result = 0;
    for (uint32_t number = 1; number <= DIRECTORY_SET_ASIDE_COUNT_MAX && result >= 0; number++)
    {
        char end[sizeof(OME_JOURNAL_NAME_SET_ASIDE) + 8] = OME_JOURNAL_NAME_SET_ASIDE;
        if (number > 1)
        {
            snprintf(end, sizeof(end), "%s-%u", OME_JOURNAL_NAME_SET_ASIDE, number);
        }
        const int length = snprintf(to, OME_PATH_SIZE, "%s%s", path, end);
        if (length < 0 || (size_t)length >= OME_PATH_SIZE)
        {
            return ome_journal_place_failed(reader, -ENAMETOOLONG, "open", path);
        }
        result = file_system->open(file_system->context, to, OME_FILE_READ);
        if (result >= 0)
        {
            file_system->close(file_system->context, result);
        }
    }
    return result == -ENOENT ? OME_OK : ome_journal_place_failed(reader, result < 0 ? result : -EEXIST, "open", to);
}

ome_status_t ome_journal_directory_set_aside(ome_journal_reader_t *reader, uint64_t first_sequence)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    char path[OME_PATH_SIZE];
    char to[OME_PATH_SIZE];
    ome_journal_directory_path(reader, path, first_sequence);
    const ome_status_t status = directory_free_path(reader, path, to);
    if (status != OME_OK)
    {
        return status;
    }
    const int result = file_system->rename(file_system->context, path, to);
    return result < 0 ? ome_journal_place_failed(reader, result, "rename", to) : OME_OK;
}

ome_status_t ome_journal_directory_sync(ome_journal_reader_t *reader)
{
    const ome_file_system_t *const file_system = reader->config.file_system;
    const int result = file_system->sync_directory(file_system->context, reader->directory);
    return result < 0 ? ome_journal_place_failed(reader, result, "fsync", reader->directory) : OME_OK;
}
