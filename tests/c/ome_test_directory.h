/* A directory of its own for a test that writes files, and what becomes of it. */
#ifndef OME_TEST_DIRECTORY_H
#define OME_TEST_DIRECTORY_H

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/ome_error.h"
#include "ome_test.h"

typedef struct
{
    char path[64];
} directory_t;

static inline directory_t directory_new(void)
{
    directory_t directory = {.path = "/tmp/ome-test-XXXXXX"};
    CHECK(mkdtemp(directory.path) != NULL);
    return directory;
}

/* Empties and removes it. */
static inline void directory_remove(const directory_t *directory)
{
    DIR *opened = opendir(directory->path);
    CHECK(opened != NULL);
    const struct dirent *entry;
    while ((entry = readdir(opened)) != NULL)
    {
        char path[sizeof(directory->path) + sizeof(entry->d_name)];
        snprintf(path, sizeof(path), "%s/%s", directory->path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
        {
            CHECK_EQUAL(remove(path), 0);
        }
    }
    closedir(opened);
    CHECK_EQUAL(rmdir(directory->path), 0);
}

#endif
