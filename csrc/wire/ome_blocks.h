/* Bytes that wait for a connection, in blocks of one pool: all queues together have one bound, and no queue allocates
 * memory.
 *
 * A queue is a chain of blocks, appended to at its end and read from its front. When the last queue becomes empty and
 * many blocks were in use, their memory goes back to the system. One thread uses a pool. */
#ifndef OME_BLOCKS_H
#define OME_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "abi/ome_status.h"

#define OME_BLOCK_SIZE 4096u

typedef struct
{
    uint8_t *memory;
    uint32_t *next;       /* by block: the next of its queue, or of the free ones; 0 is none */
    uint32_t block_count; /* the first is not used */
    uint32_t used_count;
    uint32_t fresh;       /* blocks from here on were never used since memory was last given back */
    uint32_t free;
} ome_blocks_t;

typedef struct
{
    uint32_t first; /* block; 0: the queue is empty */
    uint32_t last;
    uint32_t first_offset; /* of the first byte in the first block */
    uint32_t last_offset;  /* behind the last byte in the last block */
    uint32_t size_bytes;
} ome_block_queue_t;

/* A pool of `size_bytes`, reserved and not touched. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_blocks_create(ome_blocks_t *blocks, uint64_t size_bytes);
void ome_blocks_destroy(ome_blocks_t *blocks);

static inline uint64_t ome_blocks_free_bytes(const ome_blocks_t *blocks)
{
    return (uint64_t)(blocks->block_count - 1 - blocks->used_count) * OME_BLOCK_SIZE;
}

/* Puts all of the bytes behind the queue, or none: false when the pool has too few blocks. */
bool ome_block_queue_append(ome_blocks_t *blocks, ome_block_queue_t *queue, const void *data, uint32_t size_bytes);

/* Where the first bytes of the queue are, in at most `count_max` pieces. Returns how many pieces. */
uint32_t ome_block_queue_look(const ome_blocks_t *blocks, const ome_block_queue_t *queue, struct iovec *pieces, uint32_t count_max);

/* Takes bytes off the front of the queue, which has so many. */
void ome_block_queue_drop(ome_blocks_t *blocks, ome_block_queue_t *queue, uint32_t size_bytes);

/* Copies all of the queue's bytes to `to` and empties it. */
void ome_block_queue_take_all(ome_blocks_t *blocks, ome_block_queue_t *queue, uint8_t *to);

#endif
