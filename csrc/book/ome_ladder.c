#include "book/ome_ladder.h"

#include "base/ome_assert.h"
#include "base/ome_platform.h"

#define DIGIT_BITS 6u
#define DIGIT_MASK 63u

static uint64_t ladder_bit(uint32_t digit)
{
    return UINT64_C(1) << digit;
}

static uint64_t ladder_bits_above(uint32_t digit)
{
    return ~UINT64_C(0) << digit << 1;
}

static uint32_t ladder_lowest(uint64_t bitmap)
{
    return (uint32_t)__builtin_ctzll(bitmap);
}

/* In two steps, because a shift by 66 is not defined. */
static uint64_t ladder_prefix_of(uint64_t key, uint32_t shift)
{
    return key >> shift >> DIGIT_BITS;
}

static uint32_t ladder_digit_of(uint64_t key, uint32_t shift)
{
    return (uint32_t)(key >> shift) & DIGIT_MASK;
}

void ome_ladder_pool_init(ome_ladder_pool_t *pool, ome_arena_t *arena, uint32_t level_count_max, uint32_t ladder_count_max)
{
    pool->level_count_max = level_count_max;
    pool->level_count = 0;
    pool->levels_ever_used = 0;
    pool->level_free_head = 0;
    /* Each leaf holds a level and each inner node two children: fewer inner nodes than leaves, no more leaves than levels. One more, because an inner
     * node is put in before what it makes superfluous is taken out; and a leaf for each ladder that is empty. */
    pool->node_count_max = 2 * level_count_max + 1 + ladder_count_max;
    pool->node_count = 0;
    pool->nodes_ever_used = 0;
    pool->node_free_head = 0;
    pool->levels = ome_arena_take(arena, ((uint64_t)level_count_max + 1) * sizeof(ome_level_t));
    pool->nodes = ome_arena_take(arena, ((uint64_t)pool->node_count_max + 1) * sizeof(ome_ladder_node_t));
}

static uint32_t ladder_take_level(ome_ladder_pool_t *pool)
{
    uint32_t level = pool->level_free_head;
    if (level != 0)
    {
        pool->level_free_head = pool->levels[level].next_free;
    }
    else
    {
        OME_ASSERT(pool->levels_ever_used < pool->level_count_max);
        level = ++pool->levels_ever_used;
    }
    pool->level_count++;
    pool->levels[level] = (ome_level_t){0};
    return level;
}

static void ladder_free_level(ome_ladder_pool_t *pool, uint32_t index)
{
    OME_EXPECT(index != 0);
    OME_EXPECT(pool->level_count > 0);
    pool->levels[index].next_free = pool->level_free_head;
    pool->level_free_head = index;
    pool->level_count--;
}

static uint32_t ladder_take_node(ome_ladder_pool_t *pool, uint64_t key, uint32_t shift)
{
    uint32_t index = pool->node_free_head;
    if (index != 0)
    {
        pool->node_free_head = pool->nodes[index].next_free;
    }
    else
    {
        OME_ASSERT(pool->nodes_ever_used < pool->node_count_max);
        index = ++pool->nodes_ever_used;
    }
    pool->node_count++;
    ome_ladder_node_t *node = &pool->nodes[index];
    node->bitmap = 0;
    node->prefix = ladder_prefix_of(key, shift);
    node->parent = 0;
    node->shift = (uint8_t)shift;
    node->digit = 0;
    return index;
}

static void ladder_free_node(ome_ladder_pool_t *pool, uint32_t index)
{
    OME_EXPECT(index != 0);
    OME_EXPECT(pool->node_count > 0);
    pool->nodes[index].next_free = pool->node_free_head;
    pool->node_free_head = index;
    pool->node_count--;
}

static void ladder_attach(ome_ladder_pool_t *pool, uint32_t parent, uint32_t digit, uint32_t child)
{
    OME_EXPECT(parent != 0);
    OME_EXPECT(child != 0);
    OME_EXPECT(digit < 64);
    pool->nodes[parent].child[digit] = child;
    pool->nodes[parent].bitmap |= ladder_bit(digit);
    pool->nodes[child].parent = parent;
    pool->nodes[child].digit = (uint8_t)digit;
}

/* Puts `node` where `other` hangs: below other's parent, or as the root. */
static void ladder_take_place(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint32_t node, uint32_t other)
{
    const ome_ladder_node_t *from = &pool->nodes[other];
    OME_EXPECT(node != 0);
    OME_EXPECT(other != 0);
    if (from->parent == 0)
    {
        ladder->root = node;
        pool->nodes[node].parent = 0;
    }
    else
    {
        ladder_attach(pool, from->parent, from->digit, node);
    }
}

/* The leaf that holds the key, or would; 0 where there is none. */
static uint32_t ladder_find_leaf(const ome_ladder_t *ladder, const ome_ladder_pool_t *pool, uint64_t key)
{
    uint32_t index = ladder->near[ladder_prefix_of(key, 0) % OME_LADDER_NEAR_COUNT];
    if (OME_LIKELY(index != 0 && pool->nodes[index].prefix == ladder_prefix_of(key, 0)))
    {
        return index;
    }
    index = ladder->root;
    while (index != 0)
    {
        const ome_ladder_node_t *node = &pool->nodes[index];
        if (node->prefix != ladder_prefix_of(key, node->shift))
        {
            return 0;
        }
        if (node->shift == 0)
        {
            return index;
        }
        const uint32_t digit = ladder_digit_of(key, node->shift);
        if ((node->bitmap & ladder_bit(digit)) == 0)
        {
            return 0;
        }
        index = node->child[digit];
    }
    return 0;
}

/* The only leaf of an empty ladder becomes that of another key. */
static void ladder_move_empty_leaf(ome_ladder_t *ladder, ome_ladder_node_t *leaf, uint64_t key)
{
    OME_EXPECT(ladder->best == 0);
    OME_EXPECT(leaf->bitmap == 0 && leaf->shift == 0);
    ladder->near[leaf->prefix % OME_LADDER_NEAR_COUNT] = 0;
    leaf->prefix = ladder_prefix_of(key, 0);
}

/* Makes the leaf of a key that has none. */
static uint32_t ladder_insert_leaf(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint64_t key)
{
    uint32_t index = ladder->root;
    OME_EXPECT(ladder_find_leaf(ladder, pool, key) == 0);
    if (ladder->best == 0 && index != 0)
    {
        ladder_move_empty_leaf(ladder, &pool->nodes[index], key);
        return index;
    }
    const uint32_t leaf = ladder_take_node(pool, key, 0);
    if (index == 0)
    {
        ladder->root = leaf;
        return leaf;
    }
    for (;;)
    {
        ome_ladder_node_t *node = &pool->nodes[index];
        if (node->prefix != ladder_prefix_of(key, node->shift))
        {
            break;
        }
        const uint32_t digit = ladder_digit_of(key, node->shift);
        if ((node->bitmap & ladder_bit(digit)) == 0)
        {
            ladder_attach(pool, index, digit, leaf);
            return leaf;
        }
        index = node->child[digit];
    }
    /* The key leaves the path above this node: a new node goes in at the highest digit in which they differ. */
    const ome_ladder_node_t *node = &pool->nodes[index];
    const uint64_t node_key = node->prefix << DIGIT_BITS << node->shift;
    const uint32_t highest_bit = 63u - (uint32_t)__builtin_clzll(key ^ node_key);
    const uint32_t shift = highest_bit / DIGIT_BITS * DIGIT_BITS;
    const uint32_t inner = ladder_take_node(pool, key, shift);
    ladder_take_place(ladder, pool, inner, index);
    ladder_attach(pool, inner, ladder_digit_of(node_key, shift), index);
    ladder_attach(pool, inner, ladder_digit_of(key, shift), leaf);
    return leaf;
}

uint32_t ome_ladder_find(const ome_ladder_t *ladder, const ome_ladder_pool_t *pool, uint64_t key)
{
    const ome_ladder_node_t *leaf = &pool->nodes[ladder_find_leaf(ladder, pool, key)];
    const uint32_t digit = ladder_digit_of(key, 0);
    return leaf != pool->nodes && (leaf->bitmap & ladder_bit(digit)) != 0 ? leaf->child[digit] : 0;
}

uint32_t ome_ladder_find_or_insert_anywhere(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint64_t key)
{
    uint32_t index = ladder_find_leaf(ladder, pool, key);
    if (OME_UNLIKELY(index == 0))
    {
        index = ladder_insert_leaf(ladder, pool, key);
        OME_EXPECT(ladder_find_leaf(ladder, pool, key) == index);
    }
    ladder->near[ladder_prefix_of(key, 0) % OME_LADDER_NEAR_COUNT] = index;
    const ome_ladder_node_t *leaf = &pool->nodes[index];
    const uint32_t digit = ladder_digit_of(key, 0);
    if ((leaf->bitmap & ladder_bit(digit)) != 0)
    {
        return leaf->child[digit];
    }
    const uint32_t level = ladder_take_level(pool);
    ome_ladder_enter(ladder, pool, index, key, level);
    return level;
}

uint32_t ome_ladder_next(const ome_ladder_pool_t *pool, uint32_t level)
{
    uint32_t digit = ladder_digit_of(pool->levels[level].key, 0);
    const ome_ladder_node_t *node = &pool->nodes[pool->levels[level].leaf];
    uint64_t rest = node->bitmap & ladder_bits_above(digit);
    while (rest == 0)
    {
        if (node->parent == 0)
        {
            return 0;
        }
        digit = node->digit;
        node = &pool->nodes[node->parent];
        rest = node->bitmap & ladder_bits_above(digit);
    }
    while (node->shift != 0)
    {
        node = &pool->nodes[node->child[ladder_lowest(rest)]];
        rest = node->bitmap;
    }
    return node->child[ladder_lowest(rest)];
}

/* Takes out a leaf that has become empty and is not the root, and its parent when that is left with one child. */
static void ladder_remove_leaf(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint32_t leaf)
{
    const uint32_t parent_index = pool->nodes[leaf].parent;
    const uint32_t digit = pool->nodes[leaf].digit;
    uint32_t *near = &ladder->near[pool->nodes[leaf].prefix % OME_LADDER_NEAR_COUNT];
    *near = *near == leaf ? 0 : *near;
    ladder_free_node(pool, leaf);
    ome_ladder_node_t *parent = &pool->nodes[parent_index];
    parent->bitmap &= ~ladder_bit(digit);
    OME_ASSERT(parent->bitmap != 0);
    if ((parent->bitmap & (parent->bitmap - 1)) == 0)
    {
        ladder_take_place(ladder, pool, parent->child[ladder_lowest(parent->bitmap)], parent_index);
        ladder_free_node(pool, parent_index);
    }
}

/* Removes the last level of a leaf, and mostly the leaf. */
OME_NEVER_INLINE void ladder_remove_last(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint32_t level_index)
{
    const uint32_t leaf_index = pool->levels[level_index].leaf;
    ome_ladder_node_t *leaf = &pool->nodes[leaf_index];
    if (leaf->parent == 0)
    {
        /* It was the last of all. The leaf stays, for it is likely that the next level is near. */
        ladder->best = 0;
        ladder->reach = 0;
        leaf->bitmap = 0;
        return;
    }
    if (ladder->best == level_index)
    {
        ladder->best = ome_ladder_next(pool, level_index);
        ladder->reach = ~pool->levels[ladder->best].key;
    }
    leaf->bitmap = 0;
    ladder_remove_leaf(ladder, pool, leaf_index);
    OME_EXPECT((ladder->best == 0) == (ladder->reach == 0));
}

void ome_ladder_remove(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint32_t level_index)
{
    const ome_level_t *level = &pool->levels[level_index];
    OME_ASSERT(level->order_count == 0 && level->quantity == 0);
    ome_ladder_node_t *leaf = &pool->nodes[level->leaf];
    const uint64_t rest = leaf->bitmap & ~ladder_bit(ladder_digit_of(level->key, 0));
    if (OME_UNLIKELY(rest == 0))
    {
        ladder_remove_last(ladder, pool, level_index);
    }
    else
    {
        leaf->bitmap = rest;
        if (ladder->best == level_index)
        {
            /* Nothing better is there: the best of what is left in the leaf is the next. */
            ladder->best = leaf->child[ladder_lowest(rest)];
            ladder->reach = ~pool->levels[ladder->best].key;
        }
    }
    ladder_free_level(pool, level_index);
}
