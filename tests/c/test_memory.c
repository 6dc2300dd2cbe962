/* Memory from the system: what is touched ahead is there, and keeps its content. */
#define _GNU_SOURCE
#include "base/ome_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include "engine/ome_engine.h"
#include "ome_test.h"

#define MEMORY_SIZE_BYTES (UINT64_C(8) << 20)

static uint64_t page_size_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* How many pages of this memory there are; it begins with a page. */
static uint64_t page_count_present(void *memory, uint64_t size_bytes)
{
    static unsigned char present[(64u << 20) / 4096];
    const uint64_t page_count = (size_bytes + page_size_bytes() - 1) / page_size_bytes();
    CHECK(page_count <= sizeof(present));
    CHECK(mincore(memory, size_bytes, present) == 0);
    uint64_t count = 0;
    for (uint64_t i = 0; i < page_count; i++)
    {
        count += present[i] & 1u;
    }
    return count;
}

/* Before Linux 5.14 nothing is touched ahead. */
static bool system_can_touch(void)
{
    uint8_t *memory = ome_memory_map(page_size_bytes());
    ome_memory_touch(memory, 1);
    const bool can = page_count_present(memory, 1) == 1;
    ome_memory_unmap(memory, page_size_bytes());
    return can;
}

static void what_is_touched_is_there_and_keeps_its_content(void)
{
    uint8_t *memory = ome_memory_map(MEMORY_SIZE_BYTES);
    CHECK(memory != NULL);
    memory[0] = 7;
    memory[MEMORY_SIZE_BYTES - 1] = 9;
    ome_memory_touch(memory + 100, MEMORY_SIZE_BYTES - 100);
    CHECK_EQUAL(memory[0], 7);
    CHECK_EQUAL(memory[1], 0);
    CHECK_EQUAL(memory[MEMORY_SIZE_BYTES - 1], 9);
    if (system_can_touch())
    {
        CHECK_EQUAL(page_count_present(memory, MEMORY_SIZE_BYTES), MEMORY_SIZE_BYTES / page_size_bytes());
    }
    ome_memory_unmap(memory, MEMORY_SIZE_BYTES);
}

static void the_index_of_an_engine_is_there_before_its_first_order(void)
{
    const ome_limits_t limits = {
        .order_count_max = 100000, .level_count_max = 1000, .instrument_count_max = 10, .session_count_max = 10, .special_count_max = 10};
    const uint64_t size_bytes = ome_engine_size_bytes(&limits);
    void *memory = ome_memory_map(size_bytes);
    ome_engine_t *engine = NULL;
    CHECK_EQUAL(ome_engine_init(&engine, memory, size_bytes, &limits), OME_OK);
    ome_book_pools_touch(&engine->pools);
    if (system_can_touch())
    {
        const ome_order_index_t *index = &engine->pools.index;
        uint8_t *first = (uint8_t *)index->entries + (-(uintptr_t)index->entries % page_size_bytes());
        const uint64_t index_size_bytes = ((uint64_t)index->mask + 1) * sizeof(uint64_t) - page_size_bytes();
        CHECK_EQUAL(page_count_present(first, index_size_bytes), index_size_bytes / page_size_bytes());
    }
    ome_memory_unmap(memory, size_bytes);
}

static void large_limits_touch_no_more_than_a_bounded_share(void)
{
    const ome_limits_t limits = {.order_count_max = 100000000,
        .level_count_max = 1000000,
        .instrument_count_max = 10,
        .session_count_max = 10,
        .special_count_max = 10};
    const uint64_t size_bytes = ome_engine_size_bytes(&limits);
    void *memory = ome_memory_map(size_bytes);
    ome_engine_t *engine = NULL;
    CHECK_EQUAL(ome_engine_init(&engine, memory, size_bytes, &limits), OME_OK);
    ome_book_pools_touch(&engine->pools);
    if (system_can_touch())
    {
        const ome_order_index_t *index = &engine->pools.index;
        uint8_t *behind = (uint8_t *)index->entries + OME_BOOK_TOUCH_BYTES_MAX + (UINT64_C(4) << 20);
        behind += -(uintptr_t)behind % page_size_bytes();
        CHECK_EQUAL(page_count_present(behind, UINT64_C(16) << 20), 0);
    }
    ome_memory_unmap(memory, size_bytes);
}

int main(void)
{
    RUN(what_is_touched_is_there_and_keeps_its_content);
    RUN(the_index_of_an_engine_is_there_before_its_first_order);
    RUN(large_limits_touch_no_more_than_a_bounded_share);
    return 0;
}
