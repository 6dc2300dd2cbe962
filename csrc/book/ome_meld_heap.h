/* A leftist heap (Crane 1972): a priority queue that merges with another, and removes any of its nodes, in logarithmic
 * time.
 *
 * The caller numbers the nodes from 1, in an array of its own. A heap is the number of its root, which has the smallest
 * key; 0 is an empty heap. A node's rank is the length of its shortest way down to a place where a node is missing; the
 * left child's is never below the right child's. So the way down to the right is short, and only that way is walked.
 *
 * Written and read by the matching thread alone. */
#ifndef OME_MELD_HEAP_H
#define OME_MELD_HEAP_H

#include <stdint.h>

/* OFFSET SIZE FIELD
 *      0    8 key
 *      8    4 left    0 if there is none, and so are right and parent
 *     12    4 right
 *     16    4 parent
 *     20    4 rank    1 for a node without a right child */
typedef struct
{
    int64_t key;
    uint32_t left;
    uint32_t right;
    uint32_t parent;
    uint32_t rank;
} ome_meld_node_t;

/* Makes a heap of one node. */
static inline void ome_meld_heap_make(ome_meld_node_t *nodes, uint32_t index, int64_t key)
{
    nodes[index] = (ome_meld_node_t){.key = key, .rank = 1};
}

/* Makes one heap of two. Returns its root. */
uint32_t ome_meld_heap_meld(ome_meld_node_t *nodes, uint32_t root, uint32_t other_root);

/* Removes a node. Returns the node that is in its place now, or 0. If it was the root, that node is the new root. */
uint32_t ome_meld_heap_remove(ome_meld_node_t *nodes, uint32_t index);

/* The node after this one on a walk over the whole heap that begins with its root, each before its children; 0 at the
 * end. */
uint32_t ome_meld_heap_next(const ome_meld_node_t *nodes, uint32_t index);

#endif
