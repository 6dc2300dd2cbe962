#include "wire/ome_key_table.h"

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_memory.h"

ome_status_t ome_key_table_create(ome_key_table_t *table, uint32_t count_max)
{
    *table = (ome_key_table_t){.count_max = count_max};
    if (count_max < 1 || count_max > OME_CURVE_KEY_COUNT_MAX)
    {
        return OME_INVALID;
    }
    if (pthread_mutex_init(&table->lock, NULL) != 0)
    {
        return OME_NO_MEMORY;
    }
    for (uint32_t i = 0; i < 2; i++)
    {
        table->keys[i] = ome_memory_map((uint64_t)count_max * sizeof(ome_curve_key_t));
    }
    if (table->keys[0] == NULL || table->keys[1] == NULL)
    {
        (void)pthread_mutex_destroy(&table->lock);
        ome_key_table_destroy(table);
        return OME_NO_MEMORY;
    }
    return OME_OK;
}

void ome_key_table_destroy(ome_key_table_t *table)
{
    if (table->keys[0] != NULL && table->keys[1] != NULL)
    {
        (void)pthread_mutex_destroy(&table->lock);
    }
    for (uint32_t i = 0; i < 2; i++)
    {
        ome_memory_unmap(table->keys[i], (uint64_t)table->count_max * sizeof(ome_curve_key_t));
        table->keys[i] = NULL;
    }
}

static bool key_are_good(const ome_curve_key_t *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        if (keys[i].key_id == 0 || (i > 0 && memcmp(keys[i - 1].public_key, keys[i].public_key, OME_CURVE_KEY_SIZE) >= 0))
        {
            return false;
        }
    }
    return true;
}

ome_status_t ome_key_table_replace(ome_key_table_t *table, const ome_curve_key_t *keys, uint32_t count)
{
    if (count > table->count_max || !key_are_good(keys, count))
    {
        return OME_INVALID;
    }
    const int locked = pthread_mutex_lock(&table->lock);
    OME_ASSERT(locked == 0);
    const uint32_t next = 1 - table->used;
    if (count > 0)
    {
        memcpy(table->keys[next], keys, (size_t)count * sizeof(ome_curve_key_t));
    }
    table->counts[next] = count;
    atomic_store_explicit(&table->is_next, 1, memory_order_release); /* pairs with the look in `take`, which only saves it the lock */
    (void)pthread_mutex_unlock(&table->lock);
    return OME_OK;
}

bool ome_key_table_take(ome_key_table_t *table)
{
    if (atomic_load_explicit(&table->is_next, memory_order_acquire) == 0 || pthread_mutex_trylock(&table->lock) != 0)
    {
        return false;
    }
    const bool is_next = atomic_load_explicit(&table->is_next, memory_order_relaxed) != 0;
    if (is_next)
    {
        table->used = 1 - table->used;
        atomic_store_explicit(&table->is_next, 0, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&table->lock);
    return is_next;
}

uint32_t ome_key_table_find(const ome_key_table_t *table, const uint8_t public_key[OME_CURVE_KEY_SIZE])
{
    const ome_curve_key_t *keys = table->keys[table->used];
    uint32_t low = 0;
    uint32_t high = table->counts[table->used];
    while (low < high)
    {
        const uint32_t middle = low + (high - low) / 2;
        const int order = memcmp(keys[middle].public_key, public_key, OME_CURVE_KEY_SIZE);
        if (order == 0)
        {
            return keys[middle].key_id;
        }
        if (order < 0)
        {
            low = middle + 1;
        }
        else
        {
            high = middle;
        }
    }
    return 0;
}
