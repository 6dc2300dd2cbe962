/* The price ladder against a sorted array: whatever the keys, it finds what is there, in order, with few nodes, and
 * gives everything back. */
#define _GNU_SOURCE

#include <stdbool.h>
#include <time.h>

#include "base/ome_memory.h"
#include "book/ome_book.h"
#include "ome_test_market.h"

#define LADDER_COUNT 3u
#define MODEL_COUNT_MAX 400u

static uint64_t seed;

typedef struct
{
    uint64_t key;
    uint32_t level;
} entry_t;

typedef struct
{
    ome_ladder_t ladder;
    entry_t entries[MODEL_COUNT_MAX]; /* by key */
    uint32_t count;
} model_t;

static uint64_t pool_size_bytes(uint32_t level_count_max)
{
    ome_ladder_pool_t pool;
    ome_arena_t arena = {0};
    ome_ladder_pool_init(&pool, &arena, level_count_max, LADDER_COUNT);
    return arena.used_bytes;
}

static void *pool_make(ome_ladder_pool_t *pool, uint32_t level_count_max)
{
    ome_arena_t arena = {.memory = market_memory(pool_size_bytes(level_count_max))};
    ome_ladder_pool_init(pool, &arena, level_count_max, LADDER_COUNT);
    return arena.memory;
}

/* Where the key is, or would be. */
static uint32_t model_position(const model_t *model, uint64_t key)
{
    uint32_t at = 0;
    while (at < model->count && model->entries[at].key < key)
    {
        at++;
    }
    return at;
}

static bool model_has(const model_t *model, uint64_t key)
{
    const uint32_t at = model_position(model, key);
    return at < model->count && model->entries[at].key == key;
}

/* ---- invariants ---- */

/* The path from the root to a key: every node is where its parent says, is on the key's way, and if it is no leaf has
 * two children or more. */
static void check_path(const model_t *model, const ome_ladder_pool_t *pool, const entry_t *entry)
{
    uint32_t parent = 0;
    uint32_t index = model->ladder.root;
    for (;;)
    {
        const ome_ladder_node_t *node = &pool->nodes[index];
        const uint32_t digit = (uint32_t)(entry->key >> node->shift) & 63u;
        CHECK_EQUAL(node->parent, parent);
        CHECK_EQUAL(node->shift % 6, 0);
        CHECK(node->shift <= 60);
        CHECK(parent == 0 || node->shift < pool->nodes[parent].shift);
        CHECK_EQUAL(node->prefix, entry->key >> node->shift >> 6);
        CHECK(parent == 0 || pool->nodes[parent].child[node->digit] == index);
        CHECK((node->bitmap >> digit & 1) != 0);
        if (node->shift == 0)
        {
            CHECK_EQUAL(node->child[digit], entry->level);
            CHECK_EQUAL(pool->levels[entry->level].leaf, index);
            CHECK_EQUAL(pool->levels[entry->level].key, entry->key);
            return;
        }
        CHECK(__builtin_popcountll(node->bitmap) >= 2);
        parent = index;
        index = node->child[digit];
    }
}

static void check_all(const model_t *models, const ome_ladder_pool_t *pool)
{
    uint32_t level_count = 0;
    uint32_t empty_leaf_count = 0;
    for (uint32_t i = 0; i < LADDER_COUNT; i++)
    {
        const model_t *model = &models[i];
        uint32_t level = model->ladder.best;
        for (uint32_t at = 0; at < model->count; at++)
        {
            CHECK_EQUAL(level, model->entries[at].level);
            check_path(model, pool, &model->entries[at]);
            level = ome_ladder_next(pool, level);
        }
        CHECK_EQUAL(level, 0);
        if (model->count == 0)
        {
            /* Never used, or with the last leaf at hand. */
            const ome_ladder_node_t *root = &pool->nodes[model->ladder.root];
            CHECK_EQUAL(model->ladder.reach, 0);
            CHECK_EQUAL(root->bitmap, 0);
            CHECK_EQUAL(root->shift, 0);
            CHECK_EQUAL(root->parent, 0);
            empty_leaf_count += model->ladder.root != 0;
        }
        level_count += model->count;
    }
    CHECK_EQUAL(pool->level_count, level_count);
    CHECK(pool->node_count <= 2 * level_count + empty_leaf_count);
}

/* What was ever handed out is in use or in the list of free ones, once. */
static void check_free_lists(const ome_ladder_pool_t *pool)
{
    uint32_t free_levels = 0;
    uint32_t free_nodes = 0;
    for (uint32_t level = pool->level_free_head; level != 0; level = pool->levels[level].head)
    {
        CHECK(++free_levels <= pool->levels_ever_used);
    }
    for (uint32_t node = pool->node_free_head; node != 0; node = pool->nodes[node].parent)
    {
        CHECK(++free_nodes <= pool->nodes_ever_used);
    }
    CHECK_EQUAL(free_levels + pool->level_count, pool->levels_ever_used);
    CHECK_EQUAL(free_nodes + pool->node_count, pool->nodes_ever_used);
    CHECK(pool->nodes_ever_used <= pool->node_count_max);
}

/* ---- steps ---- */

static void insert(model_t *model, ome_ladder_pool_t *pool, uint64_t key)
{
    const uint32_t at = model_position(model, key);
    const bool is_there = model_has(model, key);
    const uint32_t found = ome_ladder_find(&model->ladder, pool, key);
    CHECK_EQUAL(found, is_there ? model->entries[at].level : 0);
    if (!is_there && (model->count == MODEL_COUNT_MAX || ome_ladder_pool_is_full(pool)))
    {
        return;
    }
    const uint32_t level = ome_ladder_find_or_insert(&model->ladder, pool, key);
    CHECK(level != 0);
    if (is_there)
    {
        CHECK_EQUAL(level, found);
        return;
    }
    CHECK_EQUAL(pool->levels[level].order_count, 0);
    CHECK_EQUAL(pool->levels[level].quantity, 0);
    CHECK_EQUAL(pool->levels[level].head, 0);
    memmove(&model->entries[at + 1], &model->entries[at], (model->count - at) * sizeof(entry_t));
    model->entries[at] = (entry_t){.key = key, .level = level};
    model->count++;
    CHECK_EQUAL(model->ladder.best, model->entries[0].level);
}

static void remove_at(model_t *model, ome_ladder_pool_t *pool, uint32_t at)
{
    const entry_t entry = model->entries[at];
    memmove(&model->entries[at], &model->entries[at + 1], (model->count - at - 1) * sizeof(entry_t));
    model->count--;
    ome_ladder_remove(&model->ladder, pool, entry.level);
    CHECK_EQUAL(ome_ladder_find(&model->ladder, pool, entry.key), 0);
    CHECK_EQUAL(model->ladder.best, model->count > 0 ? model->entries[0].level : 0);
}

/* Keys at both ends, near each other, far from each other, and beside powers of two, where digits and shifts change. */
static uint64_t random_key(uint64_t *state)
{
    const uint64_t random = test_random(state);
    const uint64_t near = random >> 8 & 0xFF;
    switch (random & 7)
    {
    case 0:
        return near;
    case 1:
        return UINT64_MAX - near;
    case 2:
        return (UINT64_C(1) << (random >> 16 & 63)) - 128 + near;
    case 3:
        return test_random(state);
    case 4:
        return test_random(state) >> (random >> 16 & 63);
    default:
        return (UINT64_C(1) << 40) + (random >> 16 & 0x3FF);
    }
}

/* ---- tests ---- */

/* Insert, find, remove, next and best agree with sorted arrays, for three ladders that share a pool, also when the pool is full. */
static void ladders_agree_with_sorted_arrays_for_keys_of_every_kind(void)
{
    static model_t models[LADDER_COUNT];
    uint64_t state = seed;
    for (uint32_t round = 0; round < 8; round++)
    {
        const uint32_t level_count_max = round % 2 == 0 ? LADDER_COUNT * MODEL_COUNT_MAX : 40;
        ome_ladder_pool_t pool;
        void *memory = pool_make(&pool, level_count_max);
        memset(models, 0, sizeof(models));
        for (uint32_t step = 0; step < 12000; step++)
        {
            model_t *model = &models[test_random(&state) % LADDER_COUNT];
            const bool grows = test_random(&state) % 100 < (step / 3000 % 2 == 0 ? 60u : 40u);
            if (grows || model->count == 0)
            {
                insert(model, &pool, random_key(&state));
            }
            else
            {
                remove_at(model, &pool, (uint32_t)(test_random(&state) % (test_random(&state) % 2 == 0 ? 1 : model->count)));
            }
            const uint64_t key = random_key(&state);
            CHECK_EQUAL(ome_ladder_find(&model->ladder, &pool, key) != 0, model_has(model, key));
            if (step % 100 == 0)
            {
                check_all(models, &pool);
                check_free_lists(&pool);
            }
        }
        for (uint32_t i = 0; i < LADDER_COUNT; i++)
        {
            while (models[i].count > 0)
            {
                remove_at(&models[i], &pool, (uint32_t)(test_random(&state) % models[i].count));
            }
        }
        check_all(models, &pool);
        check_free_lists(&pool);
        CHECK_EQUAL(pool.level_count, 0);
        CHECK(pool.node_count <= LADDER_COUNT);
        free(memory);
    }
}

/* Each pair of keys that differ first in a given bit: the root grows to exactly the digit in which they differ, whichever comes first. */
static void the_root_moves_to_the_digit_in_which_keys_differ(void)
{
    static model_t models[LADDER_COUNT];
    ome_ladder_pool_t pool;
    void *memory = pool_make(&pool, 8);
    for (uint32_t differing_bit = 0; differing_bit < 64; differing_bit++)
    {
        for (uint32_t order = 0; order < 2; order++)
        {
            const uint64_t low = UINT64_C(0x5A5A5A5A5A5A5A5A) & ~(UINT64_C(1) << differing_bit);
            const uint64_t high = low | UINT64_C(1) << differing_bit;
            insert(&models[0], &pool, order == 0 ? low : high);
            insert(&models[0], &pool, order == 0 ? high : low);
            check_all(models, &pool);
            CHECK_EQUAL(pool.nodes[models[0].ladder.root].shift, differing_bit / 6 * 6);
            CHECK_EQUAL(pool.node_count, differing_bit < 6 ? 1 : 3);
            /* One alone is a leaf again, whichever stays. */
            remove_at(&models[0], &pool, order);
            check_all(models, &pool);
            CHECK_EQUAL(pool.node_count, 1);
            CHECK_EQUAL(pool.nodes[models[0].ladder.root].shift, 0);
            remove_at(&models[0], &pool, 0);
            CHECK_EQUAL(pool.node_count, 1);
            CHECK_EQUAL(models[0].ladder.best, 0);
        }
    }
    free(memory);
}

/* The leaf of an empty ladder moves to another key, is freed, and comes back as an inner node whose prefix is that of a
 * key near which the leaf once was: that key is not found. */
static void a_leaf_that_moved_is_not_found_where_it_was(void)
{
    static model_t models[LADDER_COUNT];
    ome_ladder_pool_t pool;
    void *memory = pool_make(&pool, 8);
    const uint64_t far = UINT64_C(1) << 26;
    const uint64_t inner_prefix = far >> 12; /* of the node above far + 64 and far + 128 */
    CHECK_EQUAL(inner_prefix % OME_LADDER_NEAR_COUNT, 0);
    insert(&models[0], &pool, 0);
    remove_at(&models[0], &pool, 0);
    insert(&models[0], &pool, far);
    insert(&models[0], &pool, far + 64);
    remove_at(&models[0], &pool, 0);
    insert(&models[0], &pool, far + 128);
    CHECK_EQUAL(pool.node_count, 3);
    for (uint32_t digit = 0; digit < 64; digit++)
    {
        CHECK_EQUAL(ome_ladder_find(&models[0].ladder, &pool, inner_prefix << 6 | digit), 0);
        CHECK_EQUAL(ome_ladder_find_near(&models[0].ladder, &pool, inner_prefix << 6 | digit), 0);
    }
    check_all(models, &pool);
    free(memory);
}

/* A key in every leaf of the last digits: 64 children under one node, in any order of their coming and going. */
static void a_node_holds_sixty_four_children(void)
{
    static model_t models[LADDER_COUNT];
    ome_ladder_pool_t pool;
    void *memory = pool_make(&pool, 64);
    uint64_t state = seed ^ 64;
    for (uint32_t shift = 0; shift < 60; shift += 6)
    {
        for (uint32_t i = 0; i < 64; i++)
        {
            insert(&models[0], &pool, (uint64_t)(i * 37 & 63) << shift);
        }
        CHECK_EQUAL(models[0].count, 64);
        CHECK_EQUAL(pool.node_count, shift == 0 ? 1 : 65);
        check_all(models, &pool);
        while (models[0].count > 0)
        {
            remove_at(&models[0], &pool, (uint32_t)(test_random(&state) % models[0].count));
            check_all(models, &pool);
        }
    }
    free(memory);
}

static uint64_t cpu_time_ns(void)
{
    struct timespec now;
    CHECK_EQUAL(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* A million levels are made in any order, walked in order and removed in another, in less than two seconds. */
static void a_million_levels_take_less_than_two_seconds(void)
{
    const uint32_t count = 1u << 20;
    const uint64_t size_bytes = pool_size_bytes(count);
    ome_arena_t arena = {.memory = ome_memory_map(size_bytes)};
    CHECK(arena.memory != NULL);
    ome_ladder_pool_t pool;
    ome_ladder_t ladder = {0};
    ome_ladder_pool_init(&pool, &arena, count, LADDER_COUNT);
    const uint64_t start_ns = cpu_time_ns();
    for (uint32_t i = 0; i < count; i++)
    {
        /* An odd factor permutes the numbers below a power of two. */
        const uint64_t key = i * 2654435761u & (count - 1);
        pool.levels[ome_ladder_find_or_insert(&ladder, &pool, key)].price = (int64_t)key;
    }
    CHECK(ome_ladder_pool_is_full(&pool));
    CHECK_EQUAL(pool.node_count, count / 64 + count / 64 / 64 + count / 64 / 64 / 64 + 1);
    int64_t expected = 0;
    for (uint32_t level = ladder.best; level != 0; level = ome_ladder_next(&pool, level))
    {
        CHECK_EQUAL(pool.levels[level].price, expected);
        expected++;
    }
    CHECK_EQUAL(expected, count);
    for (uint32_t i = 0; i < count; i++)
    {
        const uint64_t key = i * 1597334677u & (count - 1);
        ome_ladder_remove(&ladder, &pool, ome_ladder_find(&ladder, &pool, key));
    }
    CHECK_EQUAL(pool.level_count, 0);
    CHECK_EQUAL(pool.node_count, 1);
    CHECK_EQUAL(ladder.best, 0);
    CHECK_EQUAL(ladder.reach, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(cpu_time_ns() - start_ns < UINT64_C(2000000000));
#else
    (void)start_ns;
#endif
    ome_memory_unmap(arena.memory, size_bytes);
}

/* The prices of a side, best first, are those given. */
static void check_prices(const ome_book_t *book, const ome_ladder_pool_t *pool, uint8_t side, const int64_t *prices, uint32_t count)
{
    uint32_t level = ome_book_best(book, side);
    for (uint32_t i = 0; i < count; i++)
    {
        CHECK(level != 0);
        CHECK_EQUAL(pool->levels[level].price, prices[i]);
        level = ome_ladder_next(pool, level);
    }
    CHECK_EQUAL(level, 0);
}

/* The lowest and the highest price that an instrument allows order rightly on both sides, together with their neighbours. */
static void the_ends_of_a_price_range_are_in_order_on_both_sides(void)
{
    static const int64_t unsigned_prices[] = {1, 2, 63, 64, 1000, OME_PRICE_MAX - 1, OME_PRICE_MAX};
    static const int64_t signed_prices[] = {-OME_PRICE_MAX, -OME_PRICE_MAX + 1, -64, -1, 0, 1, 64, OME_PRICE_MAX - 1, OME_PRICE_MAX};
    for (uint32_t is_signed = 0; is_signed < 2; is_signed++)
    {
        const int64_t *prices = is_signed ? signed_prices : unsigned_prices;
        const uint32_t count = is_signed ? 9 : 7;
        ome_arena_t measure = {0};
        ome_book_pools_t pools;
        ome_book_pools_init(&pools, &measure, 32, 32, 8, 1);
        ome_arena_t arena = {.memory = market_memory(measure.used_bytes)};
        ome_book_pools_init(&pools, &arena, 32, 32, 8, 1);
        const ome_command_t definition = define_instrument(1, "X", 1, (uint16_t)is_signed);
        ome_book_t *book = market_memory(sizeof(ome_book_t));
        ome_book_init(book, 1, &definition);
        int64_t down[9];
        for (uint32_t i = 0; i < count; i++)
        {
            const int64_t price = prices[i * 4 % count]; /* in another order */
            down[i] = prices[count - 1 - i];
            for (uint8_t side = OME_SIDE_BUY; side <= OME_SIDE_SELL; side++)
            {
                uint64_t tick_index;
                CHECK(ome_instrument_price_in_range(&book->instrument, price));
                CHECK(ome_instrument_tick_index(&book->instrument, price, &tick_index));
                const uint32_t slot = ome_order_pool_take(&pools.orders);
                pools.orders.orders[slot].leaves_quantity = 5;
                ome_book_add(book, &pools, slot, side, price, ome_book_key(side, tick_index));
            }
        }
        CHECK(!ome_instrument_price_in_range(&book->instrument, prices[0] - 1));
        CHECK(!ome_instrument_price_in_range(&book->instrument, OME_PRICE_MAX + 1));
        check_prices(book, &pools.ladder, OME_SIDE_BUY, down, count);
        check_prices(book, &pools.ladder, OME_SIDE_SELL, prices, count);
        for (uint32_t slot = 1; slot <= 2 * count; slot++)
        {
            ome_book_unlink(book, &pools, slot);
            ome_book_release(&pools, slot);
        }
        CHECK_EQUAL(pools.ladder.level_count, 0);
        CHECK(pools.ladder.node_count <= 2);
        CHECK_EQUAL(book->open_quantity[0], 0);
        CHECK_EQUAL(book->open_quantity[1], 0);
        free(book);
        free(arena.memory);
    }
}

int main(void)
{
    seed = test_seed(11);
    RUN(ladders_agree_with_sorted_arrays_for_keys_of_every_kind);
    RUN(the_root_moves_to_the_digit_in_which_keys_differ);
    RUN(a_leaf_that_moved_is_not_found_where_it_was);
    RUN(a_node_holds_sixty_four_children);
    RUN(the_ends_of_a_price_range_are_in_order_on_both_sides);
    RUN(a_million_levels_take_less_than_two_seconds);
    return 0;
}
