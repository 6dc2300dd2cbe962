#include "base/ome_memory.h"

#include <stddef.h>
#include <sys/mman.h>

void *ome_memory_map(uint64_t size_bytes)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void ome_memory_unmap(void *memory, uint64_t size_bytes)
{
    if (memory != NULL)
    {
        (void)munmap(memory, size_bytes);
    }
}
