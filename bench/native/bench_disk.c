#include "bench_disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_child.h"

#define PART_SIZE_BYTES (UINT64_C(1) << 20)
#define NAME_SIZE 32u

void *bench_disk_memory(uint64_t size_bytes)
{
    const uint64_t whole_bytes = (size_bytes + OME_FILE_BLOCK_SIZE - 1) / OME_FILE_BLOCK_SIZE * OME_FILE_BLOCK_SIZE;
    void *memory = aligned_alloc(OME_FILE_BLOCK_SIZE, whole_bytes);
    if (memory == NULL)
    {
        bench_fail("no memory for %" PRIu64 " bytes to write", whole_bytes);
    }
    memset(memory, 0x5A, whole_bytes);
    return memory;
}

void bench_disk_write(int file, const void *data, uint64_t size_bytes, uint64_t offset)
{
    if (pwrite(file, data, size_bytes, (off_t)offset) != (ssize_t)size_bytes)
    {
        bench_fail("a write to the current directory failed");
    }
}

void bench_disk_sync(int file)
{
    if (fdatasync(file) != 0)
    {
        bench_fail("fdatasync failed");
    }
}

int bench_disk_open(uint64_t size_bytes, bool is_direct)
{
    const ome_file_system_t *file_system = ome_file_system_posix();
    char name[NAME_SIZE];
    snprintf(name, sizeof(name), "disk-%ld", (long)getpid());
    const int file = file_system->open(file_system->context, name, is_direct ? OME_FILE_CREATE_DIRECT : OME_FILE_CREATE);
    if (file < 0)
    {
        bench_fail("no file can be made in the current directory");
    }
    (void)unlink(name); /* its room is free again when it is closed */
    void *zeros = bench_disk_memory(PART_SIZE_BYTES);
    memset(zeros, 0, PART_SIZE_BYTES);
    for (uint64_t at = 0; at < size_bytes; at += PART_SIZE_BYTES)
    {
        bench_disk_write(file, zeros, PART_SIZE_BYTES, at);
    }
    bench_disk_sync(file);
    free(zeros);
    return file;
}
