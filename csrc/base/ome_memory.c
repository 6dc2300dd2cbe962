#include "base/ome_memory.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_SIZE ((uint64_t)sysconf(_SC_PAGESIZE))
#define HUGE_PAGE_SIZE (UINT64_C(2) << 20)
#ifndef MADV_POPULATE_WRITE /* in older headers */
#define MADV_POPULATE_WRITE 23
#endif

static uint64_t memory_page_aligned(uint64_t size_bytes)
{
    return (size_bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

/* A mapping of 2 MB or more begins where a huge page can: a deep book spends more on finding its pages than on reading
 * them. */
void *ome_memory_map(uint64_t size_bytes)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const uint64_t spare_bytes = size_bytes >= HUGE_PAGE_SIZE ? HUGE_PAGE_SIZE : 0;
    uint8_t *mapped = mmap(NULL, size_bytes + spare_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (mapped == MAP_FAILED)
    {
        return NULL;
    }
    if (spare_bytes == 0)
    {
        return mapped;
    }
    const uint64_t before_bytes = -(uintptr_t)mapped % HUGE_PAGE_SIZE;
    uint8_t *memory = mapped + before_bytes;
    uint8_t *end = memory + memory_page_aligned(size_bytes);
    if (before_bytes > 0)
    {
        (void)munmap(mapped, before_bytes);
    }
    if (end < mapped + memory_page_aligned(size_bytes + spare_bytes))
    {
        (void)munmap(end, (uint64_t)(mapped + memory_page_aligned(size_bytes + spare_bytes) - end));
    }
    (void)madvise(memory, size_bytes, MADV_HUGEPAGE); /* only a wish */
    return memory;
}

void ome_memory_touch(const void *memory, uint64_t size_bytes)
{
    const uint64_t before_bytes = (uintptr_t)memory % PAGE_SIZE;
    uint8_t *first_page = (uint8_t *)(uintptr_t)memory - before_bytes;
    (void)madvise(first_page, memory_page_aligned(size_bytes + before_bytes), MADV_POPULATE_WRITE); /* only a wish */
}

void ome_memory_unmap(void *memory, uint64_t size_bytes)
{
    if (memory != NULL)
    {
        (void)munmap(memory, size_bytes);
    }
}
