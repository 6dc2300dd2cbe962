#include "book/ome_deadline_heap.h"

static bool heap_is_earlier(const ome_special_pool_t *pool, uint32_t index, uint32_t other_index)
{
    const ome_special_t *special = &pool->records[index];
    const ome_special_t *other = &pool->records[other_index];
    if (special->deadline_ns != other->deadline_ns)
    {
        return special->deadline_ns < other->deadline_ns;
    }
    return special->order_id < other->order_id;
}

static void heap_put(ome_special_pool_t *pool, uint32_t position, uint32_t index)
{
    pool->heap[position] = index;
    pool->records[index].heap_position = position;
}

static void heap_move_up(ome_special_pool_t *pool, uint32_t position, uint32_t index)
{
    while (position > 1 && heap_is_earlier(pool, index, pool->heap[position / 2]))
    {
        heap_put(pool, position, pool->heap[position / 2]);
        position /= 2;
    }
    heap_put(pool, position, index);
}

static void heap_move_down(ome_special_pool_t *pool, uint32_t position, uint32_t index)
{
    while (position <= pool->heap_count / 2)
    {
        uint32_t child = 2 * position;
        if (child < pool->heap_count && heap_is_earlier(pool, pool->heap[child + 1], pool->heap[child]))
        {
            child++;
        }
        if (!heap_is_earlier(pool, pool->heap[child], index))
        {
            break;
        }
        heap_put(pool, position, pool->heap[child]);
        position = child;
    }
    heap_put(pool, position, index);
}

void ome_deadline_heap_insert(ome_special_pool_t *pool, uint32_t index)
{
    OME_ASSERT(pool->records[index].heap_position == 0);
    heap_move_up(pool, ++pool->heap_count, index);
}

void ome_deadline_heap_remove(ome_special_pool_t *pool, uint32_t index)
{
    const uint32_t position = pool->records[index].heap_position;
    OME_ASSERT(position != 0);
    const uint32_t last = pool->heap[pool->heap_count--];
    pool->records[index].heap_position = 0;
    if (last == index)
    {
        return;
    }
    if (position > 1 && heap_is_earlier(pool, last, pool->heap[position / 2]))
    {
        heap_move_up(pool, position, last);
        return;
    }
    heap_move_down(pool, position, last);
}
