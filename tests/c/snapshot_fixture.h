/* What the tests of snapshots share: snapshots as bytes in memory, flows of commands, and how two engines are compared. */
#ifndef SNAPSHOT_FIXTURE_H
#define SNAPSHOT_FIXTURE_H

#include <errno.h>

#include "base/ome_checksum.h"
#include "state/ome_snapshot.h"
#include "ome_test_market.h"
#include "state/ome_state.h"

static ome_snapshot_writer_t writer;
static ome_snapshot_reader_t reader;

/* ---- bytes in memory ---- */

typedef struct
{
    uint8_t *data;
    uint64_t size;
    uint64_t capacity;
    uint64_t read_at;
    uint64_t fails_at_call; /* the call of that number fails, from 1; 0: none */
    uint64_t call_count;
} bytes_t;

static inline bool fails(bytes_t *bytes)
{
    return ++bytes->call_count == bytes->fails_at_call;
}

static inline int bytes_put(void *context, const void *data, uint32_t size_bytes)
{
    bytes_t *bytes = context;
    if (fails(bytes))
    {
        return -ENOSPC;
    }
    if (bytes->size + size_bytes > bytes->capacity)
    {
        bytes->capacity = 2 * (bytes->size + size_bytes);
        bytes->data = realloc(bytes->data, bytes->capacity);
        CHECK(bytes->data != NULL);
    }
    memcpy(bytes->data + bytes->size, data, size_bytes);
    bytes->size += size_bytes;
    return 0;
}

static inline int64_t bytes_get(void *context, void *data, uint32_t size_bytes)
{
    bytes_t *bytes = context;
    if (fails(bytes))
    {
        return -EIO;
    }
    const uint64_t left = bytes->size - bytes->read_at;
    const uint64_t size = size_bytes < left ? size_bytes : left;
    memcpy(data, bytes->data + bytes->read_at, size);
    bytes->read_at += size;
    return (int64_t)size;
}

static inline bytes_t snapshot_of(const ome_engine_t *engine)
{
    bytes_t bytes = {0};
    CHECK_EQUAL(ome_snapshot_write(&writer, engine, (ome_snapshot_past_t){77, 78}, bytes_put, &bytes), OME_OK);
    CHECK_EQUAL(bytes.size, writer.header.total_size);
    return bytes;
}

#define ENGINE_SIZE_MAX (UINT64_C(1) << 24)

/* Restores; the engine's memory is the caller's whatever the status, and starts with the engine. NULL where there is no
 * header, or the engine would be too large for a test. */
static inline ome_engine_t *restore(bytes_t *bytes, ome_status_t *status)
{
    bytes->read_at = 0;
    bytes->call_count = 0;
    *status = ome_snapshot_open(&reader, bytes_get, bytes);
    const ome_limits_t limits = ome_snapshot_limits(&reader.header);
    const uint64_t size_bytes = *status == OME_OK ? ome_engine_size_bytes(&limits) : 0;
    if (size_bytes == 0 || size_bytes > ENGINE_SIZE_MAX)
    {
        return NULL;
    }
    ome_engine_t *engine = NULL;
    void *memory = market_memory(size_bytes);
    *status = ome_snapshot_restore(&reader, &engine, memory, size_bytes);
    CHECK_EQUAL(*status == OME_OK, engine != NULL);
    return memory;
}

static inline ome_engine_t *restored_of(bytes_t *bytes)
{
    ome_status_t status;
    ome_engine_t *engine = restore(bytes, &status);
    CHECK_EQUAL(status, OME_OK);
    CHECK(reader.reason == NULL);
    return engine;
}

/* The checksums that belong to the bytes as they are. */
static inline void seal(bytes_t *bytes)
{
    uint32_t checksum = ome_crc32c(0, bytes->data, 4092);
    memcpy(bytes->data + 4092, &checksum, 4);
    for (uint64_t at = OME_SNAPSHOT_HEADER_SIZE; at + 4 < bytes->size;)
    {
        const uint64_t left = bytes->size - 4 - at;
        const uint64_t size = left < OME_SNAPSHOT_BLOCK_SIZE ? left : OME_SNAPSHOT_BLOCK_SIZE;
        checksum = ome_crc32c(checksum, bytes->data + at, size);
        memcpy(bytes->data + at + size, &checksum, 4);
        at += size + 4;
    }
}

/* ---- flows ---- */

static const ome_limits_t snapshot_limits = {.order_count_max = 200,
    .level_count_max = 60,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 90,
    .rules_version = OME_RULES_VERSION};

static inline flow_t flow_of(uint64_t random)
{
    return (flow_t){
        .random = random, .instrument_count = 3, .participant_count = 3, .order_id_count = 60, .price_count = 24, .has_specials = true};
}

/* Without the quantities that make one command a flow of its own: two orders of 2^50 lots trade for ever where one
 * shows a few at a time. */
static inline ome_command_t calm_next(flow_t *flow)
{
    ome_command_t command = flow_next(flow);
    const bool is_order = command.kind == OME_COMMAND_KIND_NEW_ORDER || command.kind == OME_COMMAND_KIND_AMEND_ORDER;
    command.quantity = is_order && command.quantity > 1000 ? 1000 : command.quantity;
    return command;
}

/* Three instruments of all flags, and a session of each of three participants. */
static inline void define_market(ome_engine_t *engine, recorder_t *recorder)
{
    ome_command_t commands[] = {define_limits(&engine->limits), define_instrument(1, "ONE", 1, OME_INSTRUMENT_FLAGS_MARKET_TO_LIMIT),
        define_instrument(2, "TWO", 1, OME_INSTRUMENT_FLAGS_POST_ONLY_SLIDES | OME_INSTRUMENT_FLAGS_SIGNED_PRICES),
        define_instrument(3, "SIXTEENLETTERS16", 1, 0), define_session(1, 1, "A", 0), define_session(2, 2, "B", 7),
        define_session(3, 3, "C", 65535)};
    commands[3].collar_ticks = 9;
    commands[3].quantity_decimals = 4;
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
    {
        CHECK_EQUAL(recorder_apply(recorder, engine, &commands[i]), 1);
    }
}

/* ---- what is the same ---- */

/* Also what the state hash does not say: which slots the next orders take, and when the engine looks up. */
static inline bool is_same(const ome_engine_t *engine, const ome_engine_t *other)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    const ome_order_pool_t *other_pool = &other->pools.orders;
    if (ome_engine_state_hash(engine) != ome_engine_state_hash(other) || pool->slots_ever_used != other_pool->slots_ever_used ||
        engine->participant_count != other->participant_count)
    {
        return false;
    }
    for (uint32_t slot = 1; slot <= pool->slots_ever_used; slot++)
    {
        if (pool->orders[slot].generation != other_pool->orders[slot].generation)
        {
            return false;
        }
    }
    uint32_t slot = pool->free_head;
    uint32_t other_slot = other_pool->free_head;
    while (slot != 0 && slot == other_slot)
    {
        slot = pool->orders[slot].next;
        other_slot = other_pool->orders[other_slot].next;
    }
    return slot == other_slot;
}

/* ---- damage to a snapshot ---- */

static inline uint64_t section_offset(const bytes_t *bytes, uint32_t type)
{
    const ome_snapshot_header_t *header = (const void *)bytes->data;
    uint64_t offset = OME_SNAPSHOT_HEADER_SIZE;
    for (uint32_t i = 1; i < type; i++)
    {
        offset += header->sections[i - 1].size_bytes;
    }
    return offset;
}

static inline void check_is_damaged(bytes_t *bytes)
{
    ome_status_t status;
    ome_engine_t *engine = restore(bytes, &status);
    CHECK_EQUAL(status, OME_DAMAGED);
    CHECK(reader.reason != NULL && reader.offset <= bytes->size);
    free(engine);
}

static const ome_limits_t tiny_limits = {.order_count_max = 24,
    .level_count_max = 12,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 12,
    .rules_version = OME_RULES_VERSION};

/* Plain orders at so many prices, one behind another: a snapshot of several blocks. */
static inline ome_engine_t *engine_of_orders(uint32_t order_count)
{
    const ome_limits_t limits = {.order_count_max = order_count,
        .level_count_max = order_count / 4 + 1,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = 0,
        .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = market_engine(&limits);
    recorder_t *recorder = recorder_new(64);
    const ome_command_t definition = define_instrument(1, "ABC", 1, 0);
    (void)recorder_apply(recorder, engine, &definition);
    for (uint32_t i = 0; i < order_count; i++)
    {
        const ome_command_t command = limit_order(OME_SIDE_BUY, 100 + i % (order_count / 4 + 1), 1 + i % 9, 1 + i);
        CHECK_EQUAL(recorder_apply(recorder, engine, &command), 1);
    }
    recorder_free(recorder);
    return engine;
}

/* A market with something of everything, small enough to say where each field is. */
static inline ome_engine_t *engine_of_everything(uint32_t rules_version)
{
    ome_limits_t limits = tiny_limits;
    limits.rules_version = rules_version;
    limits.account_count_max = rules_version >= OME_RULES_VERSION_ACCOUNTS ? 4 : 0;
    ome_engine_t *engine = market_engine(&limits);
    recorder_t *recorder = recorder_new(64);
    define_market(engine, recorder);
    for (uint32_t account = 1000; limits.account_count_max != 0 && account <= 2000; account += 1000)
    {
        const ome_command_t definition = define_account(account, account == 1000 ? "B" : "YET");
        CHECK_EQUAL(recorder_apply(recorder, engine, &definition), 1);
        CHECK_EQUAL(recorder->events[recorder->count - 1].kind, OME_EVENT_KIND_DEFINED);
    }
    ome_command_t commands[] = {
        {.kind = OME_COMMAND_KIND_SET_LAST_PRICE, .instrument = 1, .price = 105},
        limit_order(OME_SIDE_BUY, 100, 10, 1),
        limit_order(OME_SIDE_BUY, 99, 5, 2),
        limit_order(OME_SIDE_SELL, 110, 7, 3),
        limit_order(OME_SIDE_SELL, 111, 20, 4), /* an iceberg, until a deadline */
        order_terms(OME_TERM_DISPLAY_QUANTITY, 6),
        limit_order(OME_SIDE_BUY, 0, 3, 5), /* a stop */
        order_terms(OME_TERM_STOP_PRICE, 120),
        limit_order(OME_SIDE_SELL, 0, 4, 6), /* a trailing stop */
        order_terms(OME_TERM_TRAIL_AMOUNT, 5),
        limit_order(OME_SIDE_BUY, 90, 1, 7),
        limit_order(OME_SIDE_BUY, 90, 1, 8),
        cancel_order(7),
        cancel_order(8),
        define_session(2, 2, "B", 7), /* with flags */
        {.kind = OME_COMMAND_KIND_MASS_CANCEL, .participant = 3, .session = 3, .session_sequence = 1},
        limit_order(OME_SIDE_BUY, 98, 2, 9), /* its terms have not come */
    };
    commands[14].session_flags = OME_SESSION_FLAGS_CANCEL_ON_LOGOUT;
    commands[4].flags = commands[6].flags = commands[8].flags = commands[16].flags = OME_COMMAND_FLAGS_CONTINUED;
    commands[4].time_in_force = OME_TIME_IN_FORCE_GTD;
    commands[5].term_2 = OME_TERM_EXPIRE_TIME;
    commands[5].value_2 = 1000;
    commands[6].order_type = OME_ORDER_TYPE_STOP;
    commands[8].order_type = OME_ORDER_TYPE_TRAILING_STOP;
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
    {
        recorder->count = 0;
        const uint64_t count = recorder_apply(recorder, engine, &commands[i]);
        CHECK(count == 0 || recorder->events[0].kind != OME_EVENT_KIND_REJECTED);
    }
    CHECK(engine->pending.waits);
    recorder_free(recorder);
    return engine;
}

#endif
