/* The public keys that a listener admits: found by its thread, replaced by any.
 *
 * Two tables: the listener's thread finds keys in one of them, and needs no lock for that. `replace` writes the other one and marks it as
 * the next. `take` makes the next table the one in use. Both hold the lock meanwhile; `take` does not wait for it. So a table that is
 * being written is never in use, and no table in use is written. Memory is reserved when the table is made. */
#ifndef OME_KEY_TABLE_H
#define OME_KEY_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "abi/ome_status.h"
#include "wire/ome_curve_config.h"

typedef struct
{
    ome_curve_key_t *keys[2]; /* in the order of the public keys */
    uint32_t counts[2];
    uint32_t count_max;
    uint32_t used;           /* which of both is in use: read by the listener's thread; written by it, with the lock held */
    pthread_mutex_t lock;
    _Atomic uint32_t is_next; /* the other one is complete, and newer */
} ome_key_table_t;

/* Empty, for up to `count_max` keys. OME_OK; OME_INVALID: `count_max` is 0 or more than OME_CURVE_KEY_COUNT_MAX; OME_NO_MEMORY. */
ome_status_t ome_key_table_create(ome_key_table_t *table, uint32_t count_max);
void ome_key_table_destroy(ome_key_table_t *table);

/* From any thread: these are the keys, from the next `take` on. They are in strictly increasing order of their bytes, and each has an id from 1.
 * OME_OK; OME_INVALID: they are not, or are too many; nothing has changed. */
ome_status_t ome_key_table_replace(ome_key_table_t *table, const ome_curve_key_t *keys, uint32_t count);

/* ---- the listener's thread ---- */

/* Whether there were new keys, which are used from now on. */
bool ome_key_table_take(ome_key_table_t *table);

/* The id of a key; 0 where it is not admitted. */
uint32_t ome_key_table_find(const ome_key_table_t *table, const uint8_t public_key[OME_CURVE_KEY_SIZE]);

#endif
