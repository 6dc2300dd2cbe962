/* A listener's keys, and frames that are encrypted where it has keys. */
#include "wire/ome_listener_state.h"

#include <string.h>
#include <sys/mman.h>

#include "base/ome_assert.h"
#include "base/ome_memory.h"

#define HANDSHAKE_COUNT 16u /* steps in a tick, of some 50 us each: 800 us in 10 ms */
#define SEALED_SIZE_MAX (UINT64_C(1) << 30)

/* ---- Set-up ---- */

static uint64_t listener_curves_size(const ome_listener_t *listener)
{
    return ((uint64_t)listener->config.connection_count_max + 1) * sizeof(ome_curve_t);
}

/* What is longer than the pool is never sent. Only what is used of it takes memory. */
static uint64_t listener_sealed_size(const ome_listener_t *listener)
{
    return listener->config.pool_size_bytes < SEALED_SIZE_MAX ? listener->config.pool_size_bytes : SEALED_SIZE_MAX;
}

static bool listener_is_curve_good(const ome_curve_primitives_t *primitives)
{
    return primitives->box_keypair != NULL && primitives->box_beforenm != NULL && primitives->secretbox_easy != NULL &&
           primitives->secretbox_open_easy != NULL && primitives->random_bytes != NULL;
}

ome_status_t ome_listener_curve_create(ome_listener_t *listener)
{
    if (listener->config.curve == NULL)
    {
        listener->hello_size_bytes = ome_zmtp_hello(listener->config.role, listener->hello);
        return OME_OK;
    }
    if (!listener_is_curve_good(&listener->config.curve->primitives))
    {
        return OME_INVALID;
    }
    const ome_status_t status = ome_key_table_create(&listener->keys, listener->config.curve->key_count_max);
    if (status != OME_OK)
    {
        return status;
    }
    listener->sealed = ome_memory_map(listener_sealed_size(listener));
    listener->curves = ome_memory_map(listener_curves_size(listener));
    if (listener->sealed == NULL || listener->curves == NULL)
    {
        return OME_NO_MEMORY;
    }
    (void)madvise(listener->sealed, listener_sealed_size(listener), MADV_NOHUGEPAGE);
    (void)madvise(listener->curves, listener_curves_size(listener), MADV_DONTDUMP); /* keys do not belong into a core file */
    listener->curve_config = *listener->config.curve;
    listener->config.curve = &listener->curve_config;
    listener->curve = (ome_curve_server_t){.config = &listener->curve_config,
        .keys = &listener->keys,
        .role = listener->config.role,
        .part_size_max_bytes = listener->config.part_size_max_bytes};
    ome_curve_greeting(listener->hello);
    listener->hello_size_bytes = OME_ZMTP_GREETING_SIZE;
    return OME_OK;
}

void ome_listener_curve_destroy(ome_listener_t *listener)
{
    explicit_bzero(&listener->curve_config, sizeof(listener->curve_config));
    ome_key_table_destroy(&listener->keys);
    ome_memory_unmap(listener->sealed, listener_sealed_size(listener));
    ome_memory_unmap(listener->curves, listener_curves_size(listener));
}

/* ---- Keys ---- */

bool ome_listener_may_shake_hands(const ome_listener_t *listener, const ome_connection_t *connection)
{
    return listener->curves == NULL || connection->stage == OME_ZMTP_STAGE_GREETING ||
           listener->handshake_count < (connection->has_waited ? HANDSHAKE_COUNT : HANDSHAKE_COUNT / 2);
}

ome_status_t ome_listener_admit_keys(ome_listener_t *listener, const ome_curve_key_t *keys, uint32_t count)
{
    return listener->curves != NULL ? ome_key_table_replace(&listener->keys, keys, count) : OME_INVALID;
}

void ome_listener_take_keys(ome_listener_t *listener)
{
    if (!ome_key_table_take(&listener->keys))
    {
        return;
    }
    for (uint32_t slot = 1; slot <= listener->config.connection_count_max; slot++)
    {
        const ome_curve_t *curve = &listener->curves[slot];
        if (listener->connections[slot].state == OME_CONNECTION_OPEN && curve->stage == OME_CURVE_MESSAGE &&
            ome_key_table_find(&listener->keys, curve->client_key) != curve->key_id)
        {
            ome_listener_close_counted(listener, slot, listener->config.counters.refused);
        }
    }
}

uint32_t ome_listener_key(const ome_listener_t *listener, uint64_t peer)
{
    const uint32_t slot = ome_listener_slot_of(listener, peer);
    return slot != 0 && listener->curves != NULL ? listener->curves[slot].key_id : 0;
}

/* ---- Frames ---- */

void ome_listener_open_item(ome_listener_t *listener, ome_zmtp_item_t *item, ome_curve_answer_t *answer)
{
    ome_connection_t *connection = &listener->connections[listener->current];
    const uint32_t size_bytes = (uint32_t)(listener->end - listener->position);
    answer->size_bytes = 0;
    if (listener->curves == NULL)
    {
        ome_zmtp_next(
            &connection->stage, listener->config.role, listener->config.part_size_max_bytes, listener->position, size_bytes, item);
    }
    else
    {
        const bool is_handshake = connection->stage == OME_ZMTP_STAGE_READY;
        ome_curve_next(&listener->curve, &listener->curves[listener->current], &connection->stage, listener->now_ns, listener->position,
            size_bytes, item, answer);
        listener->handshake_count += is_handshake && item->kind != OME_ZMTP_MORE;
    }
    listener->position += item->consumed_bytes;
}

bool ome_listener_may_send(const ome_listener_t *listener, uint32_t slot)
{
    return listener->curves == NULL || listener->curves[slot].stage == OME_CURVE_MESSAGE;
}

uint64_t ome_listener_sealed_size_max(const ome_listener_t *listener)
{
    return listener_sealed_size(listener) - OME_BLOCK_SIZE - OME_ZMTP_HEADER_SIZE_MAX - OME_CURVE_OVERHEAD_SIZE;
}

uint32_t ome_listener_seal(ome_listener_t *listener, uint32_t slot, bool is_command, const uint8_t *data, uint32_t data_size_bytes)
{
    OME_EXPECT(ome_listener_may_send(listener, slot));
    OME_EXPECT(data_size_bytes <= ome_listener_sealed_size_max(listener));
    return ome_curve_seal(&listener->curve, &listener->curves[slot], is_command, data, data_size_bytes, listener->sealed);
}
