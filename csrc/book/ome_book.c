#include "book/ome_book.h"

void ome_book_pools_init(ome_book_pools_t *pools, ome_arena_t *arena, uint32_t order_count_max, uint32_t level_count_max)
{
    ome_order_pool_init(&pools->orders, arena, order_count_max);
    ome_order_index_init(&pools->index, arena, order_count_max);
    ome_ladder_pool_init(&pools->ladder, arena, level_count_max);
}

void ome_book_init(ome_book_t *book, uint32_t number, const ome_command_t *definition)
{
    *book = (ome_book_t){.number = number};
    ome_instrument_init(&book->instrument, definition);
}
