/* The price levels of one side of one book, in price order.
 *
 * A trie of 64-way bitmap nodes over the key of a price, path-compressed: every inner node has at least two children,
 * so that there are never more than twice as many nodes as levels, however far prices are from each other, and the root
 * moves to wherever the prices are. A key is the price in ticks, reversed for bids, so that on both sides the best
 * level has the smallest key. The best level is kept at hand; most commands find their level in its leaf with one
 * comparison.
 *
 * Levels and nodes come from pools that all ladders of an engine share. Written and read by the matching thread
 * alone. */
#ifndef OME_LADDER_H
#define OME_LADDER_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ome_arena.h"
#include "base/ome_assert.h"

/* OFFSET SIZE FIELD        UNIT
 *      0    8 price        price units
 *      8    8 key          its place in the ladder
 *     16    8 quantity     lots displayed
 *     24    4 head         slot of the first order displayed
 *     28    4 tail         slot of the last
 *     32    4 order_count  orders displayed
 *     36    4 leaf         node that holds it
 *     40    4 instrument   number
 *     44    1 side         OME_SIDE_
 *     45    3 reserved
 *     48    4 hidden_head      slot of the first hidden order
 *     52    4 hidden_tail      slot of the last
 *     56    8 hidden_quantity  lots of hidden orders, and what displayed orders hold in reserve
 *
 * A free level has `next_free` in place of its head. The feed's book has no queues and no hidden orders: there a level
 * that has changed since the last publication has is_changed, next_changed, and what was published of it. */
typedef struct
{
    int64_t price;
    uint64_t key;
    int64_t quantity;
    union
    {
        uint32_t head;
        uint32_t next_free;  /* level */
        uint32_t is_changed;
    };
    union
    {
        uint32_t tail;
        uint32_t next_changed; /* level */
    };
    uint32_t order_count;
    uint32_t leaf;
    uint32_t instrument;
    uint8_t side;
    uint8_t reserved[3];
    union
    {
        uint32_t hidden_head;
        uint32_t published_order_count;
    };
    uint32_t hidden_tail;
    union
    {
        int64_t hidden_quantity;
        int64_t published_quantity;
    };
} ome_level_t;
static_assert(sizeof(ome_level_t) == OME_CACHE_LINE_SIZE, "a level is one cache line");

/* How many leaves of a side are kept at hand. */
#define OME_LADDER_NEAR_COUNT 16u

typedef struct
{
    uint64_t bitmap;    /* which children are there */
    uint64_t prefix;    /* the key's digits above this node's own */
    union
    {
        uint32_t parent;    /* node, 0 for the root */
        uint32_t next_free; /* node; of a free node */
    };
    uint8_t shift;      /* bits below this node's digit: 0 in a leaf, otherwise 6 to 60 */
    uint8_t digit;      /* its place in the parent */
    uint16_t reserved;
    uint32_t child[64]; /* levels in a leaf, otherwise nodes; meaningful where the bitmap says so */
} ome_ladder_node_t;

typedef struct
{
    ome_level_t *levels;      /* index 0 is none */
    ome_ladder_node_t *nodes; /* index 0 is none */
    uint32_t level_count_max;
    uint32_t level_count;     /* in use */
    uint32_t levels_ever_used;
    uint32_t level_free_head; /* linked by next_free */
    uint32_t node_count_max;
    uint32_t node_count;
    uint32_t nodes_ever_used;
    uint32_t node_free_head;  /* linked by next_free */
} ome_ladder_pool_t;

typedef struct
{
    uint64_t
        reach; /* the best level's key with all bits inverted: keys of the other side from 1 up to this one cross. 0 when the side is empty */
    uint32_t best; /* level, 0 when the side is empty */
    uint32_t root; /* node, 0 before the first level; of an empty side a leaf without levels */
    uint32_t near[OME_LADDER_NEAR_COUNT]; /* leaf last used, by the lowest bits of its prefix; 0 for none */
} ome_ladder_t;

/* `ladder_count_max`: how many ladders share the pool. */
void ome_ladder_pool_init(ome_ladder_pool_t *pool, ome_arena_t *arena, uint32_t level_count_max, uint32_t ladder_count_max);

static inline bool ome_ladder_pool_is_full(const ome_ladder_pool_t *pool)
{
    return pool->level_count == pool->level_count_max;
}

/* The level of this key, if it is in a recently used leaf; otherwise 0, which does not mean that there is none. */
static inline uint32_t ome_ladder_find_near(const ome_ladder_t *ladder, const ome_ladder_pool_t *pool, uint64_t key)
{
    const ome_ladder_node_t *leaf = &pool->nodes[ladder->near[(key >> 6) % OME_LADDER_NEAR_COUNT]];
    if (OME_LIKELY(leaf->prefix == key >> 6) && OME_LIKELY((leaf->bitmap >> (key & 63) & 1) != 0))
    {
        return leaf->child[key & 63];
    }
    return 0;
}

/* The level of this key, or 0. */
uint32_t ome_ladder_find(const ome_ladder_t *ladder, const ome_ladder_pool_t *pool, uint64_t key);

/* As ome_ladder_find_or_insert, wherever the leaf is and whether or not there is a freed level. */
uint32_t ome_ladder_find_or_insert_anywhere(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint64_t key);

/* Enters an empty level into its leaf. */
static inline void ome_ladder_enter(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint32_t leaf, uint64_t key, uint32_t level)
{
    OME_EXPECT(leaf != 0 && level != 0);
    OME_EXPECT((pool->nodes[leaf].bitmap >> (key & 63) & 1) == 0);
    pool->nodes[leaf].child[key & 63] = level;
    pool->nodes[leaf].bitmap |= UINT64_C(1) << (key & 63);
    pool->levels[level] = (ome_level_t){.key = key, .leaf = leaf};
    if (ladder->best == 0 || ~key > ladder->reach)
    {
        ladder->best = level;
        ladder->reach = ~key;
    }
    OME_EXPECT(ladder->reach == ~pool->levels[ladder->best].key);
}

/* The level of this key, made empty where it is not there. The pool must not be full then. The caller fills price,
 * instrument and side of a new level (one with order_count 0). */
static inline uint32_t ome_ladder_find_or_insert(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint64_t key)
{
    const uint32_t leaf_index = ladder->near[(key >> 6) % OME_LADDER_NEAR_COUNT];
    const ome_ladder_node_t *leaf = &pool->nodes[leaf_index];
    const uint32_t level = pool->level_free_head;
    if (OME_UNLIKELY(leaf->prefix != key >> 6 || leaf_index == 0))
    {
        return ome_ladder_find_or_insert_anywhere(ladder, pool, key);
    }
    if ((leaf->bitmap >> (key & 63) & 1) != 0)
    {
        return leaf->child[key & 63];
    }
    if (OME_UNLIKELY(level == 0))
    {
        return ome_ladder_find_or_insert_anywhere(ladder, pool, key);
    }
    pool->level_free_head = pool->levels[level].head;
    pool->level_count++;
    ome_ladder_enter(ladder, pool, leaf_index, key, level);
    return level;
}

/* Removes a level that has no orders. */
void ome_ladder_remove(ome_ladder_t *ladder, ome_ladder_pool_t *pool, uint32_t level);

/* The next worse level, or 0. */
uint32_t ome_ladder_next(const ome_ladder_pool_t *pool, uint32_t level);

#endif
