/* The table of the operating system. O_DIRECT is a flag of Linux, which needs _GNU_SOURCE. */
#define _GNU_SOURCE
#include "base/ome_file.h"

#include "base/ome_assert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_PERMISSIONS 0640

static int file_result_of(int returned)
{
    return returned < 0 ? -errno : returned;
}

static int file_posix_open(void *context, const char *path, ome_file_mode_t mode)
{
    (void)context;
    static const int flags[] = {
        [OME_FILE_READ] = O_RDONLY,
        [OME_FILE_WRITE] = O_RDWR,
        [OME_FILE_CREATE] = O_RDWR | O_CREAT | O_TRUNC,
        [OME_FILE_CREATE_DIRECT] = O_RDWR | O_CREAT | O_TRUNC | O_DIRECT,
    };
    int file;
    do
    {
        file = open(path, flags[mode] | O_CLOEXEC, FILE_PERMISSIONS);
        if (file < 0 && errno == EINVAL && mode == OME_FILE_CREATE_DIRECT)
        {
            file = open(path, flags[OME_FILE_CREATE] | O_CLOEXEC, FILE_PERMISSIONS); /* this file system always uses the page cache */
        }
    } while (file < 0 && errno == EINTR);
    return file_result_of(file);
}

static int file_posix_close(void *context, int file)
{
    (void)context;
    const int result = file_result_of(close(file));
    return result == -EINTR ? 0 : result; /* on Linux the descriptor is gone */
}

/* After EINVAL from a write: true when it was past the page cache, and will not be when it is made again. Nothing was
 * written. */
static bool file_falls_back_to_page_cache(int file)
{
    const int flags = fcntl(file, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) != 0 && fcntl(file, F_SETFL, flags & ~O_DIRECT) == 0;
}

static int file_posix_write(void *context, int file, const void *data, size_t size_bytes, uint64_t offset)
{
    (void)context;
    const uint8_t *bytes = data;
    while (size_bytes > 0)
    {
        const ssize_t written = pwrite(file, bytes, size_bytes, (off_t)offset);
        if (written < 0 && (errno == EINTR || (errno == EINVAL && file_falls_back_to_page_cache(file))))
        {
            continue;
        }
        if (written <= 0)
        {
            return written < 0 ? -errno : -EIO;
        }
        bytes += written;
        size_bytes -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

static int64_t file_posix_read(void *context, int file, void *data, size_t size_bytes, uint64_t offset)
{
    (void)context;
    uint8_t *bytes = data;
    size_t done = 0;
    while (done < size_bytes)
    {
        const ssize_t got = pread(file, bytes + done, size_bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
        {
            continue;
        }
        if (got < 0)
        {
            return -errno;
        }
        if (got == 0)
        {
            break;
        }
        done += (size_t)got;
    }
    return (int64_t)done;
}

static int64_t file_posix_size(void *context, int file)
{
    (void)context;
    struct stat information;
    return fstat(file, &information) < 0 ? -errno : (int64_t)information.st_size;
}

static int file_posix_truncate(void *context, int file, uint64_t size_bytes)
{
    (void)context;
    int result;
    do
    {
        result = file_result_of(ftruncate(file, (off_t)size_bytes));
    } while (result == -EINTR);
    return result;
}

static int file_posix_sync_data(void *context, int file)
{
    (void)context;
    return file_result_of(fdatasync(file));
}

static int file_posix_sync_all(void *context, int file)
{
    (void)context;
    return file_result_of(fsync(file));
}

static int file_posix_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return file_result_of(rename(from, to));
}

static int file_posix_remove(void *context, const char *path)
{
    (void)context;
    return file_result_of(unlink(path));
}

static int file_posix_sync_directory(void *context, const char *path)
{
    const int directory = file_result_of(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory < 0)
    {
        return directory;
    }
    const int result = file_result_of(fsync(directory));
    file_posix_close(context, directory);
    return result;
}

static int file_posix_list(void *context, const char *path, ome_file_visit_t visit, void *visitor)
{
    (void)context;
    DIR *directory = opendir(path);
    if (directory == NULL)
    {
        return -errno;
    }
    const struct dirent *entry;
    errno = 0; /* readdir returns NULL at the end and on an error alike */
    while ((entry = readdir(directory)) != NULL)
    {
        visit(visitor, entry->d_name);
        errno = 0;
    }
    const int result = -errno;
    closedir(directory);
    return result;
}

const ome_file_system_t *ome_file_system_posix(void)
{
    static const ome_file_system_t table = {
        .open = file_posix_open,
        .close = file_posix_close,
        .write = file_posix_write,
        .read = file_posix_read,
        .size = file_posix_size,
        .truncate = file_posix_truncate,
        .sync_data = file_posix_sync_data,
        .sync_all = file_posix_sync_all,
        .rename = file_posix_rename,
        .remove = file_posix_remove,
        .sync_directory = file_posix_sync_directory,
        .list = file_posix_list,
    };
    return &table;
}

ome_status_t ome_file_failed(ome_error_t *error, int64_t result, const char *call, const char *path)
{
    OME_ASSERT(result < 0);
    error->number = (int)-result;
    error->call = call;
    snprintf(error->path, sizeof(error->path), "%s", path);
    return OME_IO_ERROR;
}

ome_status_t ome_file_join(char *path, const char *directory, const char *name)
{
    const int length = snprintf(path, OME_PATH_SIZE, "%s/%s", directory, name);
    return length >= 0 && (size_t)length < OME_PATH_SIZE ? OME_OK : OME_INVALID;
}
