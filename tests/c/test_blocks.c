/* Byte queues of one pool against plain arrays: whatever is put in comes out, all together have a bound, and memory goes back. */
#define _GNU_SOURCE

#include <string.h>
#include <sys/mman.h>

#include "ome_test.h"
#include "wire/ome_blocks.h"

#define QUEUE_COUNT 8u
#define BLOCK_COUNT 64u
#define POOL_SIZE (BLOCK_COUNT * OME_BLOCK_SIZE)

static uint64_t seed;

typedef struct
{
    ome_block_queue_t queue;
    uint8_t *bytes; /* room for all of the pool */
    uint32_t size_bytes;
    uint32_t first_offset; /* of the first byte in its block: so many blocks are in use */
} model_t;

static uint32_t blocks_of(const model_t *model)
{
    return model->size_bytes == 0 ? 0 : (model->first_offset + model->size_bytes + OME_BLOCK_SIZE - 1) / OME_BLOCK_SIZE;
}

/* Where the bytes are, in as many pieces as are asked for; together they are the front of the model. */
static void check_look(const ome_blocks_t *blocks, const model_t *model, uint32_t count_max)
{
    struct iovec pieces[BLOCK_COUNT + 1];
    const uint32_t count = ome_block_queue_look(blocks, &model->queue, pieces, count_max);
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++)
    {
        CHECK(pieces[i].iov_len > 0 && pieces[i].iov_len <= model->size_bytes - at);
        CHECK_BYTES_EQUAL(pieces[i].iov_base, model->bytes + at, pieces[i].iov_len);
        at += (uint32_t)pieces[i].iov_len;
    }
    const uint32_t most = blocks_of(model);
    CHECK_EQUAL(count, most < count_max ? most : count_max);
    CHECK(count == count_max || at == model->size_bytes);
}

static void append(ome_blocks_t *blocks, model_t *model, uint64_t *random, const uint8_t *noise)
{
    const uint32_t size_bytes = (uint32_t)(test_random(random) % (test_random(random) % 4 == 0 ? 5 * OME_BLOCK_SIZE : 300));
    const uint8_t *data = noise + test_random(random) % 100;
    const ome_block_queue_t before = model->queue;
    const uint32_t used_before = blocks->used_count;
    model_t after = *model;
    after.size_bytes += size_bytes;
    const bool fits = used_before + blocks_of(&after) - blocks_of(model) <= BLOCK_COUNT;
    CHECK_EQUAL(ome_block_queue_append(blocks, &model->queue, data, size_bytes), fits);
    if (!fits)
    {
        CHECK_BYTES_EQUAL(&before, &model->queue, sizeof(before));
        CHECK_EQUAL(blocks->used_count, used_before);
        return;
    }
    memcpy(model->bytes + model->size_bytes, data, size_bytes);
    model->size_bytes += size_bytes;
}

static void drop(ome_blocks_t *blocks, model_t *model, uint32_t size_bytes)
{
    ome_block_queue_drop(blocks, &model->queue, size_bytes);
    memmove(model->bytes, model->bytes + size_bytes, model->size_bytes - size_bytes);
    model->size_bytes -= size_bytes;
    model->first_offset = model->size_bytes == 0 ? 0 : (model->first_offset + size_bytes) % OME_BLOCK_SIZE;
}

static void take_all(ome_blocks_t *blocks, model_t *model)
{
    uint8_t *taken = malloc(model->size_bytes + 1);
    CHECK(taken != NULL);
    ome_block_queue_take_all(blocks, &model->queue, taken);
    CHECK_BYTES_EQUAL(taken, model->bytes, model->size_bytes);
    free(taken);
    model->size_bytes = 0;
    model->first_offset = 0;
}

/* Appends, looks and takes of eight queues that share a pool, which is full now and then, agree with arrays; no block is lost. */
static void queues_agree_with_arrays(void)
{
    static uint8_t noise[6 * OME_BLOCK_SIZE];
    ome_blocks_t blocks;
    model_t models[QUEUE_COUNT] = {0};
    uint64_t random = seed;
    uint32_t full_count = 0;
    CHECK_EQUAL(ome_blocks_create(&blocks, POOL_SIZE), OME_OK);
    for (uint32_t i = 0; i < sizeof(noise); i++)
    {
        noise[i] = (uint8_t)test_random(&random);
    }
    for (uint32_t i = 0; i < QUEUE_COUNT; i++)
    {
        models[i].bytes = malloc(POOL_SIZE + sizeof(noise));
        CHECK(models[i].bytes != NULL);
    }
    for (uint32_t step = 0; step < 60000; step++)
    {
        model_t *model = &models[test_random(&random) % QUEUE_COUNT];
        const uint64_t choice = test_random(&random) % 100;
        if (choice < (step / 5000 % 2 == 0 ? 60 : 35))
        {
            append(&blocks, model, &random, noise);
        }
        else if (choice < 90)
        {
            const uint64_t some = test_random(&random) % (test_random(&random) % 3 == 0 ? model->size_bytes + 1 : 200);
            drop(&blocks, model, some < model->size_bytes ? (uint32_t)some : model->size_bytes);
        }
        else if (choice < 93)
        {
            take_all(&blocks, model);
        }
        check_look(&blocks, model, 1 + (uint32_t)(test_random(&random) % (BLOCK_COUNT + 1)));
        uint32_t used_count = 0;
        for (uint32_t i = 0; i < QUEUE_COUNT; i++)
        {
            CHECK_EQUAL(models[i].queue.size_bytes, models[i].size_bytes);
            used_count += blocks_of(&models[i]);
        }
        CHECK_EQUAL(blocks.used_count, used_count);
        CHECK_EQUAL(ome_blocks_free_bytes(&blocks), (uint64_t)(BLOCK_COUNT - used_count) * OME_BLOCK_SIZE);
        full_count += used_count == BLOCK_COUNT;
    }
    CHECK(full_count > 100);
    for (uint32_t i = 0; i < QUEUE_COUNT; i++)
    {
        drop(&blocks, &models[i], models[i].size_bytes);
        free(models[i].bytes);
    }
    CHECK_EQUAL(blocks.used_count, 0);
    CHECK_EQUAL(ome_blocks_free_bytes(&blocks), POOL_SIZE);
    ome_blocks_destroy(&blocks);
}

/* A pool takes exactly its size: the last block to its last byte, and no byte more in any queue. */
static void a_pool_takes_exactly_its_size(void)
{
    static uint8_t all[POOL_SIZE];
    ome_blocks_t blocks;
    ome_block_queue_t queue = {0};
    ome_block_queue_t other = {0};
    CHECK_EQUAL(ome_blocks_create(&blocks, POOL_SIZE), OME_OK);
    CHECK(!ome_block_queue_append(&blocks, &queue, all, POOL_SIZE) || blocks.used_count == BLOCK_COUNT);
    ome_block_queue_drop(&blocks, &queue, queue.size_bytes);
    CHECK(ome_block_queue_append(&blocks, &queue, all, POOL_SIZE - 1));
    CHECK(ome_block_queue_append(&blocks, &other, all, 0));
    CHECK_EQUAL(other.first, 0);
    CHECK(!ome_block_queue_append(&blocks, &other, all, 1));
    CHECK_EQUAL(other.size_bytes, 0);
    CHECK(!ome_block_queue_append(&blocks, &queue, all, 2));
    CHECK(ome_block_queue_append(&blocks, &queue, all, 1));
    CHECK(!ome_block_queue_append(&blocks, &queue, all, 1));
    CHECK_EQUAL(queue.size_bytes, POOL_SIZE);
    ome_block_queue_drop(&blocks, &queue, OME_BLOCK_SIZE - 1);
    CHECK(!ome_block_queue_append(&blocks, &other, all, 1));
    ome_block_queue_drop(&blocks, &queue, 1);
    CHECK(ome_block_queue_append(&blocks, &other, all, 1));
    ome_blocks_destroy(&blocks);
}

/* Pages of the pool that are in memory. */
static uint64_t resident_count(const ome_blocks_t *blocks)
{
    static uint8_t pages[1u << 16];
    CHECK(blocks->block_count <= sizeof(pages));
    CHECK_EQUAL((uintptr_t)blocks->memory % OME_BLOCK_SIZE, 0);
    CHECK_EQUAL(mincore(blocks->memory, (size_t)blocks->block_count * OME_BLOCK_SIZE, pages), 0);
    uint64_t count = 0;
    for (uint32_t i = 0; i < blocks->block_count; i++)
    {
        count += pages[i] & 1;
    }
    return count;
}

/* A pool that is not used takes no memory; after a flood its memory goes back when the last queue is empty, and the pool is as new. */
static void memory_goes_back_after_a_flood(void)
{
    static uint8_t block[OME_BLOCK_SIZE];
    const uint32_t block_count = 4096;
    ome_blocks_t blocks;
    memset(block, 7, sizeof(block));
    CHECK_EQUAL(ome_blocks_create(&blocks, (uint64_t)block_count * OME_BLOCK_SIZE), OME_OK);
    CHECK_EQUAL(resident_count(&blocks), 0);
    for (uint32_t round = 0; round < 3; round++)
    {
        ome_block_queue_t queues[2] = {0};
        for (uint32_t i = 0; i < block_count; i++)
        {
            CHECK(ome_block_queue_append(&blocks, &queues[i % 2], block, OME_BLOCK_SIZE));
        }
        CHECK(resident_count(&blocks) >= block_count);
        ome_block_queue_drop(&blocks, &queues[round % 2], queues[0].size_bytes);
        CHECK(resident_count(&blocks) > block_count / 4);
        for (uint32_t i = 0; i < block_count / 2; i++)
        {
            struct iovec piece;
            CHECK_EQUAL(ome_block_queue_look(&blocks, &queues[1 - round % 2], &piece, 1), 1);
            CHECK_EQUAL(piece.iov_len, OME_BLOCK_SIZE);
            CHECK_BYTES_EQUAL(piece.iov_base, block, OME_BLOCK_SIZE);
            ome_block_queue_drop(&blocks, &queues[1 - round % 2], OME_BLOCK_SIZE);
        }
        CHECK_EQUAL(blocks.used_count, 0);
        CHECK_EQUAL(resident_count(&blocks), 0);
    }
    ome_blocks_destroy(&blocks);
}

int main(void)
{
    seed = test_seed(11);
    RUN(queues_agree_with_arrays);
    RUN(a_pool_takes_exactly_its_size);
    RUN(memory_goes_back_after_a_flood);
    return 0;
}
