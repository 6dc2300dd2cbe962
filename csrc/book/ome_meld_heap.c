#include "book/ome_meld_heap.h"

/* Puts the child of lower rank on the right. Returns whether the node's rank is another now. */
static int heap_settle(ome_meld_node_t *nodes, uint32_t index)
{
    ome_meld_node_t *node = &nodes[index];
    if (nodes[node->left].rank < nodes[node->right].rank)
    {
        const uint32_t left = node->left;
        node->left = node->right;
        node->right = left;
    }
    const uint32_t rank = nodes[node->right].rank + 1; /* node 0 has rank 0 */
    const int is_other = rank != node->rank;
    node->rank = rank;
    return is_other;
}

uint32_t ome_meld_heap_meld(ome_meld_node_t *nodes, uint32_t root, uint32_t other_root)
{
    uint32_t melded = 0;
    uint32_t above = 0; /* the last node of the way down to the right */
    while (root != 0 && other_root != 0)
    {
        if (nodes[other_root].key < nodes[root].key)
        {
            const uint32_t smaller = other_root;
            other_root = root;
            root = smaller;
        }
        *(above != 0 ? &nodes[above].right : &melded) = root;
        nodes[root].parent = above;
        above = root;
        root = nodes[above].right;
    }
    const uint32_t rest = root != 0 ? root : other_root;
    if (above == 0)
    {
        return rest;
    }
    nodes[above].right = rest;
    if (rest != 0)
    {
        nodes[rest].parent = above;
    }
    for (; above != 0; above = nodes[above].parent)
    {
        (void)heap_settle(nodes, above);
    }
    return melded;
}

uint32_t ome_meld_heap_remove(ome_meld_node_t *nodes, uint32_t index)
{
    const ome_meld_node_t node = nodes[index];
    nodes[node.left].parent = 0;
    nodes[node.right].parent = 0;
    const uint32_t in_its_place = ome_meld_heap_meld(nodes, node.left, node.right);
    nodes[index] = (ome_meld_node_t){0};
    nodes[in_its_place].parent = in_its_place != 0 ? node.parent : 0;
    if (node.parent != 0)
    {
        ome_meld_node_t *parent = &nodes[node.parent];
        *(parent->left == index ? &parent->left : &parent->right) = in_its_place;
        /* Ranks above change only as long as each is its right child's, so this is a short way too. */
        for (uint32_t above = node.parent; above != 0 && heap_settle(nodes, above); above = nodes[above].parent)
        {
        }
    }
    return in_its_place;
}

uint32_t ome_meld_heap_next(const ome_meld_node_t *nodes, uint32_t index)
{
    if (nodes[index].left != 0)
    {
        return nodes[index].left; /* a node with a right child has a left one */
    }
    for (uint32_t parent = nodes[index].parent; parent != 0; parent = nodes[index].parent)
    {
        if (nodes[parent].left == index && nodes[parent].right != 0)
        {
            return nodes[parent].right;
        }
        index = parent;
    }
    return 0;
}
