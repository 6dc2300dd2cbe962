#include "book/ome_special.h"

void ome_special_pool_init(ome_special_pool_t *pool, ome_arena_t *arena, uint32_t record_count_max)
{
    pool->records = ome_arena_take(arena, ((uint64_t)record_count_max + 1) * sizeof(ome_special_t));
    pool->heap = ome_arena_take(arena, ((uint64_t)record_count_max + 1) * sizeof(uint32_t));
    pool->record_count_max = record_count_max;
    pool->record_count = 0;
    pool->records_ever_used = 0;
    pool->free_head = 0;
    pool->heap_count = 0;
}

uint32_t ome_special_pool_take(ome_special_pool_t *pool)
{
    uint32_t index = pool->free_head;
    if (index != 0)
    {
        pool->free_head = pool->records[index].next_free;
    }
    else
    {
        OME_ASSERT(pool->records_ever_used < pool->record_count_max);
        index = ++pool->records_ever_used;
    }
    pool->record_count++;
    pool->records[index] = (ome_special_t){0};
    return index;
}

void ome_special_pool_free(ome_special_pool_t *pool, uint32_t index)
{
    OME_ASSERT(index != 0);
    OME_ASSERT(pool->records[index].heap_position == 0);
    pool->records[index] = (ome_special_t){.next_free = pool->free_head};
    pool->free_head = index;
    pool->record_count--;
}
