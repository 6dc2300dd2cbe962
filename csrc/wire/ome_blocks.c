#include "wire/ome_blocks.h"

#include <string.h>
#include <sys/mman.h>

#include "base/ome_assert.h"
#include "base/ome_memory.h"

#define GIVE_BACK_BLOCK_COUNT 1024u /* 4 MB: below it is not worth a system call */

ome_status_t ome_blocks_create(ome_blocks_t *blocks, uint64_t size_bytes)
{
    const uint32_t block_count = (uint32_t)(size_bytes / OME_BLOCK_SIZE) + 1;
    *blocks = (ome_blocks_t){.block_count = block_count, .fresh = 1};
    blocks->memory = ome_memory_map((uint64_t)block_count * OME_BLOCK_SIZE);
    blocks->next = ome_memory_map((uint64_t)block_count * sizeof(uint32_t));
    if (blocks->memory == NULL || blocks->next == NULL)
    {
        ome_blocks_destroy(blocks);
        return OME_NO_MEMORY;
    }
    (void)madvise(blocks->memory, (size_t)block_count * OME_BLOCK_SIZE, MADV_NOHUGEPAGE); /* only what is used is to count */
    return OME_OK;
}

void ome_blocks_destroy(ome_blocks_t *blocks)
{
    ome_memory_unmap(blocks->memory, (uint64_t)blocks->block_count * OME_BLOCK_SIZE);
    ome_memory_unmap(blocks->next, (uint64_t)blocks->block_count * sizeof(uint32_t));
    *blocks = (ome_blocks_t){0};
}

static uint8_t *block_at(const ome_blocks_t *blocks, uint32_t block)
{
    return blocks->memory + (uint64_t)block * OME_BLOCK_SIZE;
}

static uint32_t blocks_take_block(ome_blocks_t *blocks)
{
    uint32_t block = blocks->free;
    if (block != 0)
    {
        blocks->free = blocks->next[block];
    }
    else
    {
        block = blocks->fresh++;
    }
    OME_ASSERT(block < blocks->block_count);
    blocks->used_count++;
    blocks->next[block] = 0;
    return block;
}

static void blocks_free_block(ome_blocks_t *blocks, uint32_t block)
{
    OME_ASSERT(blocks->used_count > 0);
    blocks->used_count--;
    blocks->next[block] = blocks->free;
    blocks->free = block;
    if (blocks->used_count == 0 && blocks->fresh > GIVE_BACK_BLOCK_COUNT)
    {
        (void)madvise(blocks->memory, (size_t)blocks->fresh * OME_BLOCK_SIZE, MADV_DONTNEED);
        blocks->fresh = 1;
        blocks->free = 0;
    }
}

static void blocks_add_block(ome_blocks_t *blocks, ome_block_queue_t *queue)
{
    const uint32_t block = blocks_take_block(blocks);
    if (queue->first == 0)
    {
        queue->first = block;
        queue->first_offset = 0;
    }
    else
    {
        blocks->next[queue->last] = block;
    }
    queue->last = block;
    queue->last_offset = 0;
}

bool ome_block_queue_append(ome_blocks_t *blocks, ome_block_queue_t *queue, const void *data, uint32_t size_bytes)
{
    const uint32_t room_bytes = queue->first == 0 ? 0 : OME_BLOCK_SIZE - queue->last_offset;
    if (size_bytes > room_bytes && size_bytes - room_bytes > ome_blocks_free_bytes(blocks))
    {
        return false;
    }
    const uint8_t *from = data;
    uint32_t left_bytes = size_bytes;
    while (left_bytes > 0)
    {
        if (queue->first == 0 || queue->last_offset == OME_BLOCK_SIZE)
        {
            blocks_add_block(blocks, queue);
        }
        const uint32_t free_bytes = OME_BLOCK_SIZE - queue->last_offset;
        const uint32_t part_bytes = left_bytes < free_bytes ? left_bytes : free_bytes;
        memcpy(block_at(blocks, queue->last) + queue->last_offset, from, part_bytes);
        queue->last_offset += part_bytes;
        from += part_bytes;
        left_bytes -= part_bytes;
    }
    queue->size_bytes += size_bytes;
    return true;
}

/* How many bytes of the queue are in this block of it, and where they start. */
static uint32_t blocks_bytes_in(const ome_block_queue_t *queue, uint32_t block, uint32_t *offset)
{
    *offset = block == queue->first ? queue->first_offset : 0;
    return (block == queue->last ? queue->last_offset : OME_BLOCK_SIZE) - *offset;
}

uint32_t ome_block_queue_look(const ome_blocks_t *blocks, const ome_block_queue_t *queue, struct iovec *pieces, uint32_t count_max)
{
    uint32_t count = 0;
    for (uint32_t block = queue->first; block != 0 && count < count_max; block = blocks->next[block])
    {
        uint32_t offset;
        pieces[count].iov_len = blocks_bytes_in(queue, block, &offset);
        pieces[count].iov_base = block_at(blocks, block) + offset;
        count++;
    }
    return count;
}

void ome_block_queue_drop(ome_blocks_t *blocks, ome_block_queue_t *queue, uint32_t size_bytes)
{
    OME_ASSERT(size_bytes <= queue->size_bytes);
    queue->size_bytes -= size_bytes;
    while (size_bytes > 0 || (queue->size_bytes == 0 && queue->first != 0))
    {
        const uint32_t block = queue->first;
        uint32_t offset;
        const uint32_t there_bytes = blocks_bytes_in(queue, block, &offset);
        if (size_bytes < there_bytes)
        {
            queue->first_offset += size_bytes;
            return;
        }
        size_bytes -= there_bytes;
        queue->first = blocks->next[block];
        queue->first_offset = 0;
        blocks_free_block(blocks, block);
    }
}

void ome_block_queue_take_all(ome_blocks_t *blocks, ome_block_queue_t *queue, uint8_t *to)
{
    for (uint32_t block = queue->first; block != 0; block = blocks->next[block])
    {
        uint32_t offset;
        const uint32_t size_bytes = blocks_bytes_in(queue, block, &offset);
        memcpy(to, block_at(blocks, block) + offset, size_bytes);
        to += size_bytes;
    }
    ome_block_queue_drop(blocks, queue, queue->size_bytes);
}
