/* Snapshots: an engine made from one goes on as the first would have, one state has one snapshot, and bytes that are not those that were written are never taken for them. */
#include <errno.h>

#include "base/ome_checksum.h"
#include "state/ome_snapshot.h"
#include "ome_test_market.h"
#include "state/ome_state.h"

static uint64_t seed;
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

static bool fails(bytes_t *bytes)
{
    return ++bytes->call_count == bytes->fails_at_call;
}

static int bytes_put(void *context, const void *data, uint32_t size_bytes)
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

static int64_t bytes_get(void *context, void *data, uint32_t size_bytes)
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

static bytes_t snapshot_of(const ome_engine_t *engine)
{
    bytes_t bytes = {0};
    CHECK_EQUAL(ome_snapshot_write(&writer, engine, (ome_snapshot_past_t){77, 78}, bytes_put, &bytes), OME_OK);
    CHECK_EQUAL(bytes.size, writer.header.total_size);
    return bytes;
}

static bytes_t copy_of(const bytes_t *bytes)
{
    bytes_t copy = {.data = malloc(bytes->size + 1), .size = bytes->size, .capacity = bytes->size + 1};
    CHECK(copy.data != NULL);
    memcpy(copy.data, bytes->data, bytes->size);
    return copy;
}

#define ENGINE_SIZE_MAX (UINT64_C(1) << 24)

/* Restores; the engine's memory is the caller's whatever the status, and starts with the engine. NULL where there is no header, or the engine would be too large for a test. */
static ome_engine_t *restore(bytes_t *bytes, ome_status_t *status)
{
    bytes->read_at = 0;
    bytes->call_count = 0;
    *status = ome_snapshot_open(&reader, bytes_get, bytes);
    const uint64_t size_bytes = *status == OME_OK ? ome_engine_size_bytes(&reader.header.limits) : 0;
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

static ome_engine_t *restored_of(bytes_t *bytes)
{
    ome_status_t status;
    ome_engine_t *engine = restore(bytes, &status);
    CHECK_EQUAL(status, OME_OK);
    CHECK(reader.reason == NULL);
    return engine;
}

/* The checksums that belong to the bytes as they are. */
static void seal(bytes_t *bytes)
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

static const ome_limits_t standard_limits = {.order_count_max = 200,
    .level_count_max = 60,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 90};
/* So small that pools are full again and again: the one that of orders, the other those of levels and special records. */
static const ome_limits_t few_orders = {.order_count_max = 24,
    .level_count_max = 24,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 24};
static const ome_limits_t few_levels = {.order_count_max = 40,
    .level_count_max = 12,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 7};
static const ome_limits_t plain_limits = {.order_count_max = 40,
    .level_count_max = 12,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 0};

static flow_t flow_of(uint64_t random)
{
    return (flow_t){
        .random = random, .instrument_count = 3, .participant_count = 3, .order_id_count = 60, .price_count = 24, .has_specials = true};
}

/* Without the quantities that make one command a flow of its own: two orders of 2^50 lots trade for ever where one shows a few at a time. */
static ome_command_t calm_next(flow_t *flow)
{
    ome_command_t command = flow_next(flow);
    const bool is_order = command.kind == OME_COMMAND_KIND_NEW_ORDER || command.kind == OME_COMMAND_KIND_AMEND_ORDER;
    command.quantity = is_order && command.quantity > 1000 ? 1000 : command.quantity;
    return command;
}

/* Three instruments of all flags, and a session of each of three participants. */
static void define_market(ome_engine_t *engine, recorder_t *recorder)
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
static bool is_same(const ome_engine_t *engine, const ome_engine_t *other)
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

/* Whether both say the same to a command. */
static bool says_the_same(
    ome_engine_t *engine, recorder_t *recorder, const ome_command_t *command, const ome_event_t *events, uint64_t count)
{
    recorder->count = 0;
    return recorder_apply(recorder, engine, command) == count &&
           (count == 0 || memcmp(recorder->events, events, count * sizeof(ome_event_t)) == 0);
}

/* ---- what a flow has come by when a snapshot was taken ---- */

typedef struct
{
    uint32_t snapshot_count;
    uint32_t pending_count;
    uint32_t pending_with_terms_count;
    uint32_t stop_count;
    uint32_t trailing_count;
    uint32_t part_of_peak_count; /* icebergs that display less than their peak and have a reserve */
    uint32_t hidden_count;
    uint32_t deadline_count;
    uint32_t group_count;
    uint32_t traded_count;
    uint32_t free_count; /* of slots */
    uint32_t full_order_count; /* pools that are full */
    uint32_t full_level_count;
    uint32_t full_special_count;
    uint32_t retired_count;
} seen_t;

static seen_t seen;

static void look_at(const ome_engine_t *engine)
{
    const ome_book_pools_t *pools = &engine->pools;
    seen.snapshot_count++;
    seen.pending_count += engine->pending.waits;
    seen.pending_with_terms_count += engine->pending.waits && engine->pending.given.given != 0;
    for (uint32_t slot = 1; slot <= pools->orders.slots_ever_used; slot++)
    {
        const ome_order_t *order = &pools->orders.orders[slot];
        const ome_special_t *special = &pools->specials.records[ome_order_special(order)];
        if (order->leaves_quantity > 0)
        {
            seen.stop_count += ome_special_waits(special);
            seen.trailing_count += ome_special_waits(special) && special->order_type >= OME_ORDER_TYPE_TRAILING_STOP;
            seen.part_of_peak_count += special->reserve_quantity > 0 && order->leaves_quantity < special->peak;
            seen.hidden_count += (order->marks & OME_ORDER_MARK_HIDDEN) != 0;
            seen.deadline_count += special->deadline_ns != 0;
            seen.group_count += special->group != 0;
            seen.traded_count += order->cumulative_quantity > 0;
        }
    }
    seen.free_count += pools->orders.free_head != 0 && pools->orders.orders[pools->orders.free_head].next != 0;
    seen.full_order_count += ome_order_pool_is_full(&pools->orders);
    seen.full_level_count += ome_ladder_pool_is_full(&pools->ladder);
    seen.full_special_count += pools->specials.record_count_max > 0 && ome_special_pool_is_full(&pools->specials);
    seen.retired_count += writer.header.slots_retired > 0;
}

/* ---- tests ---- */

#define COPY_COUNT 6u

/* An engine and those that were restored from it and go on beside it. */
typedef struct
{
    ome_engine_t *engine;
    recorder_t *recorder;
    ome_engine_t *copies[COPY_COUNT];
    recorder_t *copy_recorder;
} life_t;

static life_t life_new(const ome_limits_t *limits)
{
    life_t life = {.engine = market_engine(limits), .recorder = recorder_new(64), .copy_recorder = recorder_new(5)};
    define_market(life.engine, life.recorder);
    return life;
}

static void life_free(life_t *life)
{
    for (uint32_t i = 0; i < COPY_COUNT; i++)
    {
        free(life->copies[i]);
    }
    free(life->engine);
    recorder_free(life->recorder);
    recorder_free(life->copy_recorder);
}

static void life_apply(life_t *life, const ome_command_t *command)
{
    life->recorder->count = 0;
    const uint64_t count = recorder_apply(life->recorder, life->engine, command);
    for (uint32_t i = 0; i < COPY_COUNT; i++)
    {
        CHECK(life->copies[i] == NULL || says_the_same(life->copies[i], life->copy_recorder, command, life->recorder->events, count));
        CHECK(life->copies[i] == NULL || life->copies[i]->event_count == life->engine->event_count);
    }
}

/* Takes a snapshot of any of them, restores it in the place of a copy, and takes one of that. */
static void life_copy(life_t *life, uint64_t random)
{
    const ome_engine_t *from = life->copies[random % COPY_COUNT] != NULL ? life->copies[random % COPY_COUNT] : life->engine;
    bytes_t bytes = snapshot_of(from);
    CHECK_EQUAL(writer.header.event_hash, 77);
    CHECK_EQUAL(writer.header.journal_checksum, 78);
    CHECK_EQUAL(writer.header.sequence, life->engine->sequence);
    look_at(from);
    ome_engine_t *copy = restored_of(&bytes);
    CHECK(ome_engine_check(copy) == NULL);
    CHECK(is_same(copy, life->engine));
    bytes_t again = snapshot_of(copy);
    bytes_t first = snapshot_of(life->engine);
    CHECK_EQUAL(again.size, bytes.size);
    CHECK_BYTES_EQUAL(again.data, bytes.data, bytes.size);
    CHECK_EQUAL(first.size, bytes.size);
    CHECK_BYTES_EQUAL(first.data, bytes.data, bytes.size);
    const uint64_t place = random / COPY_COUNT % COPY_COUNT;
    free(life->copies[place]);
    life->copies[place] = copy;
    free(bytes.data);
    free(again.data);
    free(first.data);
}

/* Makes free slots so old that some are used up soon. */
static void life_age(life_t *life, uint64_t *random)
{
    const ome_order_pool_t *pool = &life->engine->pools.orders;
    uint32_t count = 0;
    for (uint32_t slot = pool->free_head; slot != 0 && count < 8; slot = pool->orders[slot].next, count++)
    {
        pool->orders[slot].generation = UINT32_MAX - 1 - (uint32_t)(test_random(random) % 4);
    }
    for (uint32_t i = 0; i < COPY_COUNT; i++)
    {
        free(life->copies[i]);
        life->copies[i] = NULL;
    }
}

static void check_life(const ome_limits_t *limits, uint64_t random, uint32_t command_count)
{
    life_t life = life_new(limits);
    flow_t flow = flow_of(random);
    flow.has_specials = limits->special_count_max > 0;
    life_copy(&life, random);
    for (uint32_t i = 0; i < command_count; i++)
    {
        const ome_command_t command = calm_next(&flow);
        life_apply(&life, &command);
        if (i == command_count / 2)
        {
            life_age(&life, &random);
        }
        /* Also where a command of several records waits for the next. */
        if (test_random(&random) % (life.engine->pending.waits ? 6 : 20) == 0)
        {
            life_copy(&life, test_random(&random));
        }
    }
    uint32_t copy_count = 0;
    for (uint32_t i = 0; i < COPY_COUNT; i++)
    {
        copy_count += life.copies[i] != NULL;
        CHECK(life.copies[i] == NULL || (is_same(life.copies[i], life.engine) && ome_engine_check(life.copies[i]) == NULL));
    }
    CHECK(copy_count > 0);
    life_free(&life);
}

/* Whenever the snapshot is taken, the engine made from it says the same to every later command, and ends the same; a snapshot of it is the same bytes. */
static void a_restored_engine_goes_on_as_the_first_would_have(void)
{
    for (uint32_t i = 0; i < 4; i++)
    {
        check_life(&standard_limits, seed + i, 3000);
        check_life(&few_orders, seed + 100 + i, 3000);
        check_life(&few_levels, seed + 300 + i, 3000);
        check_life(&plain_limits, seed + 200 + i, 1000);
    }
    printf(
        "   %u snapshots: %u with a command that waits, %u of them with terms; orders in them: %u stops, %u trailing, %u with a part of "
        "their peak, %u hidden, %u "
        "with a deadline, %u of a group, %u traded; full pools: %u of orders, %u of levels, %u of special records; %u with retired slots\n",
        seen.snapshot_count, seen.pending_count, seen.pending_with_terms_count, seen.stop_count, seen.trailing_count,
        seen.part_of_peak_count, seen.hidden_count, seen.deadline_count, seen.group_count, seen.traded_count, seen.full_order_count,
        seen.full_level_count, seen.full_special_count, seen.retired_count);
    CHECK(seen.snapshot_count > 1000 && seen.pending_count > 100 && seen.pending_with_terms_count > 5);
    CHECK(seen.stop_count > 100 && seen.trailing_count > 100 && seen.part_of_peak_count > 100 && seen.hidden_count > 100);
    CHECK(seen.deadline_count > 100 && seen.group_count > 100 && seen.traded_count > 100 && seen.free_count > 100);
    CHECK(seen.full_order_count > 10 && seen.full_level_count > 10 && seen.full_special_count > 10 && seen.retired_count > 10);
}

/* An engine in the middle of a flow. */
static ome_engine_t *engine_after(const ome_limits_t *limits, uint64_t random, uint32_t command_count)
{
    ome_engine_t *engine = market_engine(limits);
    recorder_t *recorder = recorder_new(64);
    flow_t flow = flow_of(random);
    define_market(engine, recorder);
    for (uint32_t i = 0; i < command_count; i++)
    {
        const ome_command_t command = calm_next(&flow);
        (void)recorder_apply(recorder, engine, &command);
    }
    recorder_free(recorder);
    return engine;
}

static uint64_t section_offset(const bytes_t *bytes, uint32_t type)
{
    const ome_snapshot_header_t *header = (const void *)bytes->data;
    uint64_t offset = OME_SNAPSHOT_HEADER_SIZE;
    for (uint32_t i = 1; i < type; i++)
    {
        offset += header->sections[i - 1].size_bytes;
    }
    return offset;
}

/* ---- damage ---- */

static void check_is_damaged(bytes_t *bytes)
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
    .special_count_max = 12};

/* Every bit of it turned over, every shorter length, and one byte more. */
static void no_changed_bit_and_no_other_length_is_taken(void)
{
    ome_engine_t *engine = engine_after(&tiny_limits, seed ^ 1, 700);
    bytes_t bytes = snapshot_of(engine);
    CHECK(writer.header.sections[OME_SNAPSHOT_SECTION_STOPS - 1].count > 0 && writer.header.order_count > 10);
    for (uint64_t bit = 0; bit < 8 * bytes.size; bit++)
    {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_is_damaged(&bytes);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    const uint64_t size = bytes.size;
    for (bytes.size = 0; bytes.size < size; bytes.size++)
    {
        check_is_damaged(&bytes);
        CHECK_EQUAL(reader.offset, bytes.size);
        CHECK(strstr(reader.reason, "ends") != NULL);
    }
    CHECK_EQUAL(bytes_put(&bytes, "", 1), 0);
    check_is_damaged(&bytes);
    bytes.size = size;
    free(restored_of(&bytes));
    free(bytes.data);
    free(engine);
}

/* Plain orders at so many prices, one behind another: a snapshot of several blocks. */
static ome_engine_t *engine_of_orders(uint32_t order_count)
{
    const ome_limits_t limits = {.order_count_max = order_count,
        .level_count_max = order_count / 4 + 1,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = 0};
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

/* Blocks that are whole, but not where they belong. */
static void no_block_is_taken_for_another(void)
{
    enum
    {
        STEP = OME_SNAPSHOT_BLOCK_SIZE + OME_SNAPSHOT_CHECKSUM_SIZE
    };
    ome_engine_t *engine = engine_of_orders(5000);
    bytes_t bytes = snapshot_of(engine);
    const uint64_t block_count = (bytes.size - OME_SNAPSHOT_HEADER_SIZE + STEP - 1) / STEP;
    CHECK_EQUAL(block_count, 5);
    for (uint32_t from = 0; from + 1 < block_count; from++)
    {
        for (uint32_t to = 0; to + 1 < block_count; to++)
        {
            if (from != to)
            {
                /* In its place, and the two in each other's. */
                bytes_t copy = copy_of(&bytes);
                memcpy(copy.data + OME_SNAPSHOT_HEADER_SIZE + to * STEP, bytes.data + OME_SNAPSHOT_HEADER_SIZE + from * STEP, STEP);
                check_is_damaged(&copy);
                memcpy(copy.data + OME_SNAPSHOT_HEADER_SIZE + from * STEP, bytes.data + OME_SNAPSHOT_HEADER_SIZE + to * STEP, STEP);
                check_is_damaged(&copy);
                free(copy.data);
            }
        }
    }
    /* A block is proved before it is used: the reason is its checksum, whatever its bytes would say. */
    for (uint32_t block = 0; block < block_count; block++)
    {
        const uint64_t offset = OME_SNAPSHOT_HEADER_SIZE + block * (uint64_t)STEP;
        bytes_t copy = copy_of(&bytes);
        copy.data[offset + 100] ^= 0xFF;
        check_is_damaged(&copy);
        CHECK(strstr(reader.reason, "block's checksum") != NULL);
        CHECK_EQUAL(reader.offset, offset);
        free(copy.data);
    }
    /* One taken out: what follows moves up. */
    bytes_t copy = copy_of(&bytes);
    memmove(
        copy.data + OME_SNAPSHOT_HEADER_SIZE, copy.data + OME_SNAPSHOT_HEADER_SIZE + STEP, bytes.size - OME_SNAPSHOT_HEADER_SIZE - STEP);
    check_is_damaged(&copy);
    free(copy.data);
    ome_engine_t *same = restored_of(&bytes);
    CHECK(is_same(engine, same));
    free(same);
    free(bytes.data);
    free(engine);
}

/* A header that has the right checksum and says another version is not damage, and is named. */
static void another_version_is_not_supported(void)
{
    ome_engine_t *engine = engine_after(&tiny_limits, seed, 100);
    bytes_t bytes = snapshot_of(engine);
    for (uint32_t version = 0; version < 4; version++)
    {
        ome_snapshot_header_t *header = (void *)bytes.data;
        header->version = version;
        header->total_size = 1; /* whatever it says */
        header->checksum = ome_crc32c(0, bytes.data, 4092);
        ome_status_t status;
        CHECK(restore(&bytes, &status) == NULL);
        CHECK_EQUAL(status, version == OME_SNAPSHOT_VERSION ? OME_DAMAGED : OME_UNSUPPORTED);
        CHECK(reader.reason != NULL && (version == OME_SNAPSHOT_VERSION || strstr(reader.reason, "version") != NULL));
    }
    free(bytes.data);
    free(engine);
}

/* ---- bytes that are wrong and have the right checksums ---- */

/* Whether no order is displayed anew more than a thousand times: one of 2^60 lots with a peak of 1 is an order like any other, and trades for ever. */
static bool ends_soon(const ome_engine_t *engine)
{
    for (uint32_t slot = 1; slot <= engine->pools.orders.slots_ever_used; slot++)
    {
        const ome_order_t *order = &engine->pools.orders.orders[slot];
        const int64_t peak = engine->pools.specials.records[ome_order_special(order)].peak;
        if (order->leaves_quantity > 0 && peak != 0 && ome_book_leaves(&engine->pools, order) / peak > 1000)
        {
            return false;
        }
    }
    return true;
}

/* What has been made of bytes that are whole: it keeps every rule of an engine, and goes on. */
static void check_is_an_engine(ome_engine_t *engine, uint64_t random)
{
    const char *wrong = ome_engine_check(engine);
    CHECK(wrong == NULL);
    flow_t flow = flow_of(random);
    flow.timestamp_ns = engine->time_ns < (UINT64_C(1) << 62) ? engine->time_ns : UINT64_C(1) << 62;
    recorder_t *recorder = recorder_new(64);
    for (uint32_t i = 0; i < 40 && ends_soon(engine); i++)
    {
        const ome_command_t command = calm_next(&flow);
        (void)recorder_apply(recorder, engine, &command);
    }
    CHECK(ome_engine_check(engine) == NULL);
    recorder_free(recorder);
}

static bool is_only_another_state(void)
{
    return strstr(reader.reason, "state hash") != NULL;
}

static void spoil(bytes_t *bytes, uint64_t *random)
{
    static const uint64_t values[] = {0, 1, 2, 255, 65535, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 60, UINT64_C(1) << 62};
    const uint64_t choice = test_random(random);
    const bool is_header = choice % 8 == 0;
    const uint64_t at =
        is_header ? 12 + choice / 64 % 244 : OME_SNAPSHOT_HEADER_SIZE + choice / 64 % (bytes->size - 4 - OME_SNAPSHOT_HEADER_SIZE);
    const uint64_t size = UINT64_C(1) << choice / 8 % 4;
    if (at + size > bytes->size - 4)
    {
        return;
    }
    uint64_t value = test_random(random) % 3 == 0 ? test_random(random) : values[test_random(random) % 10];
    if (test_random(random) % 2 == 0)
    {
        uint64_t old = 0;
        memcpy(&old, bytes->data + at, size);
        value = old + test_random(random) % 7 - 3;
    }
    memcpy(bytes->data + at, &value, size);
}

#define REASON_COUNT_MAX 64u
static const char *reasons[REASON_COUNT_MAX];
static uint32_t reason_count;

static void keep_reason(void)
{
    for (uint32_t i = 0; i < reason_count; i++)
    {
        if (reasons[i] == reader.reason)
        {
            return;
        }
    }
    CHECK(reason_count < REASON_COUNT_MAX);
    reasons[reason_count++] = reader.reason;
}

/* Random changes with checksums made to fit: never more is read or written than there is, and what is not refused is an engine. */
static void whatever_the_bytes_an_engine_is_an_engine(void)
{
    uint64_t random = seed ^ 9;
    uint32_t made_count = 0;
    uint32_t other_count = 0;
    for (uint32_t i = 0; i < 20; i++)
    {
        ome_engine_t *engine = engine_after(i % 2 == 0 ? &tiny_limits : &standard_limits, random, 300 + 50 * i);
        bytes_t bytes = snapshot_of(engine);
        for (uint32_t j = 0; j < 1000; j++)
        {
            bytes_t copy = copy_of(&bytes);
            for (uint64_t k = test_random(&random) % 4; k < 4; k++)
            {
                spoil(&copy, &random);
            }
            seal(&copy);
            ome_status_t status;
            ome_engine_t *made = restore(&copy, &status);
            CHECK(status == OME_OK || status == OME_DAMAGED || status == OME_UNSUPPORTED);
            if (status == OME_DAMAGED)
            {
                keep_reason();
            }
            if (made != NULL && (status == OME_OK || is_only_another_state()))
            {
                made_count += status == OME_OK;
                other_count += status != OME_OK;
                check_is_an_engine(made, random);
            }
            free(made);
            free(copy.data);
        }
        free(bytes.data);
        free(engine);
    }
    printf("   %u taken as they were, %u as another state; %u reasons\n", made_count, other_count, reason_count);
    CHECK(made_count > 10 && other_count > 100 && reason_count > 25);
}

/* A market with something of everything, small enough to say where each field is. */
static ome_engine_t *engine_of_everything(void)
{
    ome_engine_t *engine = market_engine(&tiny_limits);
    recorder_t *recorder = recorder_new(64);
    define_market(engine, recorder);
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
        limit_order(OME_SIDE_BUY, 98, 2, 9), /* its terms have not come */
    };
    commands[4].flags = commands[6].flags = commands[8].flags = commands[14].flags = OME_COMMAND_FLAGS_CONTINUED;
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

/* The control: the state hash does not say which slot is taken next, so that a snapshot with the two free slots in each other's place is taken; the comparison of events sees it. */
static void another_order_of_free_slots_is_seen_in_the_events(void)
{
    ome_engine_t *engine = engine_of_everything();
    bytes_t bytes = snapshot_of(engine);
    CHECK_EQUAL(writer.header.sections[OME_SNAPSHOT_SECTION_FREE_SLOTS - 1].count, 2);
    uint8_t *const first = bytes.data + section_offset(&bytes, OME_SNAPSHOT_SECTION_FREE_SLOTS);
    uint8_t slot[sizeof(ome_snapshot_free_slot_t)];
    memcpy(slot, first, sizeof(slot));
    memmove(first, first + sizeof(slot), sizeof(slot));
    memcpy(first + sizeof(slot), slot, sizeof(slot));
    seal(&bytes);
    ome_engine_t *copy = restored_of(&bytes);
    CHECK_EQUAL(ome_engine_state_hash(copy), ome_engine_state_hash(engine));
    CHECK(!is_same(copy, engine));
    recorder_t *recorder = recorder_new(64);
    recorder_t *copy_recorder = recorder_new(64);
    const ome_command_t command = limit_order(OME_SIDE_BUY, 97, 1, 10);
    const uint64_t count = recorder_apply(recorder, engine, &command);
    CHECK_EQUAL(count, 2); /* the command that waited is refused, this one is taken */
    CHECK(!says_the_same(copy, copy_recorder, &command, recorder->events, count));
    free(engine);
    free(copy);
    free(bytes.data);
    recorder_free(recorder);
    recorder_free(copy_recorder);
}

/* A value that does not belong there, and what is said of it. */
typedef struct
{
    uint32_t section; /* 0: the header */
    uint32_t offset;
    uint32_t size;
    uint64_t value;
    const char *reason;
} wrong_t;

#define AT(type, field) offsetof(ome_snapshot_##type##_t, field), sizeof(((ome_snapshot_##type##_t *)0)->field)
#define AFTER(before, type, field) (before) + offsetof(ome_snapshot_##type##_t, field), sizeof(((ome_snapshot_##type##_t *)0)->field)
#define SECTION_FIELD(type, field)                                                                                                         \
    112 + ((type) - 1) * 24 + offsetof(ome_snapshot_section_t, field), sizeof(((ome_snapshot_section_t *)0)->field)
#define ORDER 56
#define ICEBERG (3 * ORDER)
#define STOP_SIZE (56 + 32 + 56)

static const wrong_t wrongs[] = {
    {0, AT(header, header_size), 4095, "not one of this version"},
    {0, AT(header, section_count), 7, "not one of this version"},
    {0, 300, 1, 1, "not one of this version"},
    {0, AT(header, limits.level_count_max), 0, "limit is out of range"},
    {0, AT(header, limits.special_count_max), UINT32_MAX, "limit is out of range"},
    {0, AT(header, limits.order_count_max), 3, "more than the limits allow"},
    {0, AT(header, limits.instrument_count_max), 2, "more than the limits allow"},
    {0, AT(header, limits.session_count_max), 2, "more than the limits allow"},
    {0, AT(header, limits.special_count_max), 1, "more than the limits allow"},
    {0, AT(header, order_count), 7, "orders that it counts"},
    {0, AT(header, slots_ever_used), 25, "slots are not those"},
    {0, AT(header, slots_retired), 1, "slots are not those"},
    {0, AT(header, total_size), 4096, "size is not that"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_ORDERS, type), 9, "not the one that belongs there"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_ORDERS, reserved), 1, "not the one that belongs there"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_PENDING, count), 2, "more than the limits allow"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_STOPS, size_bytes), 2 * STOP_SIZE + 1, "not that of what it counts"},
    {0, AT(header, state_hash), 1, "state hash"},
    {0, AT(header, sequence), 1, "a stop stands behind"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, tick), 0, "can be defined"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, symbol[0]), ' ', "can be defined"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, last_trade_price), 0, "last trade price"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, last_trade_price), 120, "past its trigger"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, last_trade_price), 106, "has not followed"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, participant), 1000, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, participant), 0, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, reserved), 1, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, participant), 2, "state hash"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, session), 1000, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, session), 2, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(24, session, session), 1, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(48, session, session), 2, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(48, session, session), 4, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_FREE_SLOTS, AT(free_slot, slot), 0, "out of range"},
    {OME_SNAPSHOT_SECTION_FREE_SLOTS, AT(free_slot, slot), 9, "out of range"},
    {OME_SNAPSHOT_SECTION_FREE_SLOTS, AT(free_slot, slot), 7, "there twice"},
    {OME_SNAPSHOT_SECTION_FREE_SLOTS, AT(free_slot, slot), 1, "there twice"},
    {OME_SNAPSHOT_SECTION_FREE_SLOTS, AT(free_slot, generation), 0, "out of range"},
    {OME_SNAPSHOT_SECTION_FREE_SLOTS, AT(free_slot, generation), UINT32_MAX, "used up"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, order_id), 1, "out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, order_id), UINT64_C(1) << 32 | 2, "there twice"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, client_order_id), 2, "one client order id"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, price), 0, "none of its instrument's"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, price), 98, "stands behind"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, price), 110, "crossed"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, leaves_quantity), 0, "quantity is out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, leaves_quantity), OME_QUANTITY_MAX + 1, "quantity is out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, cumulative_quantity), UINT64_MAX, "quantity is out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, cumulative_quantity), OME_OPEN_QUANTITY_MAX - 9, "quantity is out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, owner), UINT64_C(1) << 48 | UINT64_C(2) << 32, "not its participant's"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, owner), UINT64_C(4) << 48, "not its participant's"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, instrument), 0, "is not there"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, instrument), 4, "is not there"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, side), 3, "is not there"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, reserved), 1, "is not there"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, marks), 5 << OME_ORDER_SELF_TRADE_SHIFT, "do not go together"},
    {OME_SNAPSHOT_SECTION_ORDERS, AT(order, marks), OME_ORDER_MARK_SCOPE_PARTICIPANT, "do not go together"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG, order, leaves_quantity), 7, "more than its peak"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG, order, marks), OME_ORDER_MARK_SPECIAL | OME_ORDER_MARK_HIDDEN, "is hidden"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG, order, marks), 0, "do not fill their section"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, deadline_ns), UINT64_MAX, "terms are out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, peak), UINT64_MAX, "terms are out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, peak), 0, "reserve without a peak"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, reserve_quantity), UINT64_MAX, "terms are out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, reserve_quantity), OME_QUANTITY_MAX, "terms are out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, reserve_quantity), OME_QUANTITY_MAX / 2, "more peaks"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, reserved), 1, "terms are out of range"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, deadline_ns), 999, "state hash"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, group), 1, "state hash"},
    {OME_SNAPSHOT_SECTION_STOPS, AT(order, marks), 0, "not special"},
    {OME_SNAPSHOT_SECTION_STOPS, AT(order, marks), OME_ORDER_MARK_SPECIAL | OME_ORDER_MARK_POST_ONLY, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AT(order, price), 1, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER, special, reserve_quantity), 1, "reserve without a peak"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER, special, deadline_ns), 1000, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, stop_price), 0, "none of its instrument's"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, stop_price), 105, "past its trigger"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, trail_amount), 1, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, entry), 1000, "stands behind"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, minimum_quantity), UINT64_MAX, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, budget), 1, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, collar_ticks), 1, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, order_type), OME_ORDER_TYPE_LIMIT, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, order_type), OME_ORDER_TYPE_TRAILING_STOP, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, time_in_force), 6, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, flags), OME_SPECIAL_WAITS, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(ORDER + 32, stop, reserved[6]), 1, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(STOP_SIZE + ORDER + 32, stop, stop_price), 99, "has not followed"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(STOP_SIZE + ORDER + 32, stop, trail_basis_points), 1, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(STOP_SIZE + ORDER + 32, stop, trail_amount), 0, "do not go together"},
    {OME_SNAPSHOT_SECTION_STOPS, AFTER(STOP_SIZE, order, side), OME_SIDE_BUY, "stands behind"},
    {OME_SNAPSHOT_SECTION_PENDING, 48, 1, OME_COMMAND_KIND_CANCEL_ORDER, "not one that can"},
    {OME_SNAPSHOT_SECTION_PENDING, 52, 2, 0, "not one that can"},
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, given), 1u << 11, "not one that can"},
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, reserved), 1, "not one that can"},
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, values[9]), 1, "is not given"},
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, given), 1, "state hash"},
};

/* Each rule of an entry is looked at: a value that breaks one is found for that, whatever the checksums say. */
static void each_rule_is_looked_at(void)
{
    ome_engine_t *engine = engine_of_everything();
    bytes_t bytes = snapshot_of(engine);
    CHECK_EQUAL(writer.header.sections[OME_SNAPSHOT_SECTION_ORDERS - 1].size_bytes, 4 * ORDER + 32);
    for (uint32_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++)
    {
        const wrong_t *wrong = &wrongs[i];
        bytes_t copy = copy_of(&bytes);
        const uint64_t base = wrong->section == 0 ? 0 : section_offset(&bytes, wrong->section);
        memcpy(copy.data + base + wrong->offset, &wrong->value, wrong->size);
        seal(&copy);
        ome_status_t status;
        free(restore(&copy, &status));
        if (status != OME_DAMAGED || strstr(reader.reason, wrong->reason) == NULL)
        {
            fprintf(stderr, "rule %u: wanted \"%s\", got status %d, \"%s\"\n", i, wrong->reason, (int)status,
                reader.reason != NULL ? reader.reason : "");
        }
        CHECK_EQUAL(status, OME_DAMAGED);
        CHECK(strstr(reader.reason, wrong->reason) != NULL);
        free(copy.data);
    }
    free(bytes.data);
    free(engine);
}

/* ---- limits ---- */

static void check_comes_back(ome_engine_t *engine)
{
    bytes_t bytes = snapshot_of(engine);
    ome_engine_t *copy = restored_of(&bytes);
    CHECK(is_same(copy, engine) && ome_engine_check(copy) == NULL);
    bytes_t again = snapshot_of(copy);
    CHECK_EQUAL(again.size, bytes.size);
    CHECK_BYTES_EQUAL(again.data, bytes.data, bytes.size);
    free(again.data);
    free(bytes.data);
    free(copy);
}

static ome_command_t last_price(int64_t price)
{
    return (ome_command_t){.kind = OME_COMMAND_KIND_SET_LAST_PRICE, .instrument = 1, .price = price};
}

/* A snapshot has stop prices and no groups: trailing stops with the same best come back as one group, whatever their distances, and go on as one. */
static void groups_of_trailing_stops_come_back(void)
{
    ome_engine_t *engine = market_engine(&standard_limits);
    recorder_t *recorder = recorder_new(64);
    define_market(engine, recorder);
    for (uint64_t id = 1; id <= 30; id++)
    {
        const bool is_amount = id % 3 != 0;
        const ome_command_t price = last_price(1000 + (int64_t)((id - 1) / 6) * 10);
        const ome_command_t terms =
            order_terms(is_amount ? OME_TERM_TRAIL_AMOUNT : OME_TERM_TRAIL_BASIS_POINTS, 500 + (int64_t)(id * 7 % 5) * 10);
        ome_command_t order = limit_order(OME_SIDE_BUY, 0, 1, id);
        order.order_type = OME_ORDER_TYPE_TRAILING_STOP;
        order.flags = OME_COMMAND_FLAGS_CONTINUED;
        (void)recorder_apply(recorder, engine, &price);
        (void)recorder_apply(recorder, engine, &order);
        (void)recorder_apply(recorder, engine, &terms);
    }
    CHECK_EQUAL(engine->books[1].waiting_count, 30);
    CHECK_EQUAL(engine->pools.trailing.group_count, 10);
    bytes_t bytes = snapshot_of(engine);
    ome_engine_t *copy = restored_of(&bytes);
    CHECK(is_same(copy, engine) && ome_engine_check(copy) == NULL);
    CHECK(copy->pools.trailing.group_count <= 5 + 10); /* of basis points each has a best of its own, where the stop price says no more */
    static const int64_t prices[] = {1045, 1025, 1000, 999, 1070};
    for (uint32_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++)
    {
        const ome_command_t price = last_price(prices[i]);
        (void)recorder_apply(recorder, engine, &price);
        recorder->count = 0;
        (void)recorder_apply(recorder, copy, &price);
        CHECK(is_same(copy, engine) && ome_engine_check(copy) == NULL);
        CHECK(prices[i] > 1000 || copy->pools.trailing.group_count == 2);
    }
    free(bytes.data);
    free(engine);
    free(copy);
    recorder_free(recorder);
}

/* An engine that has done nothing; one whose every pool is full; prices and quantities at their ends. */
static void limits_at_their_ends_come_back(void)
{
    const ome_limits_t least = {.order_count_max = 1, .level_count_max = 1, .instrument_count_max = 1, .session_count_max = 1};
    ome_engine_t *engine = market_engine(&least);
    check_comes_back(engine);
    recorder_t *recorder = recorder_new(64);
    const ome_command_t definition = define_instrument(1, "A", OME_PRICE_MAX, OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
    const ome_command_t order = limit_order(OME_SIDE_SELL, -OME_PRICE_MAX, OME_QUANTITY_MAX, UINT64_MAX);
    CHECK_EQUAL(recorder_apply(recorder, engine, &definition), 1);
    CHECK_EQUAL(recorder_apply(recorder, engine, &order), 1);
    CHECK(ome_order_pool_is_full(&engine->pools.orders) && ome_ladder_pool_is_full(&engine->pools.ladder));
    check_comes_back(engine);
    free(engine);
    const ome_limits_t full = {
        .order_count_max = 8, .level_count_max = 4, .instrument_count_max = 1, .session_count_max = 1, .special_count_max = 2};
    engine = market_engine(&full);
    const ome_command_t fine = define_instrument(1, "A", 1, 0);
    CHECK_EQUAL(recorder_apply(recorder, engine, &fine), 1);
    for (uint64_t i = 0; i < 4; i++)
    {
        const ome_command_t buy = limit_order(OME_SIDE_BUY, 1, OME_QUANTITY_MAX, 1 + i);
        const ome_command_t sell = limit_order(OME_SIDE_SELL, OME_PRICE_MAX - (int64_t)i % 3, OME_QUANTITY_MAX, UINT64_MAX - i);
        CHECK_EQUAL(recorder_apply(recorder, engine, &buy), 1);
        CHECK_EQUAL(recorder_apply(recorder, engine, &sell), 1);
    }
    CHECK_EQUAL(engine->books[1].open_quantity[0], OME_OPEN_QUANTITY_MAX);
    CHECK_EQUAL(engine->books[1].open_quantity[1], OME_OPEN_QUANTITY_MAX);
    CHECK(ome_order_pool_is_full(&engine->pools.orders) && ome_ladder_pool_is_full(&engine->pools.ladder));
    check_comes_back(engine);
    /* What would be past them is refused: one level more than the limit, and an order more on a side. */
    bytes_t bytes = snapshot_of(engine);
    ome_snapshot_header_t *header = (void *)bytes.data;
    header->limits.level_count_max = 3;
    seal(&bytes);
    check_is_damaged(&bytes);
    CHECK(strstr(reader.reason, "price levels") != NULL);
    header->limits.level_count_max = 4;
    uint8_t *const fifth = bytes.data + section_offset(&bytes, OME_SNAPSHOT_SECTION_ORDERS) + 4 * sizeof(ome_snapshot_order_t);
    const int64_t price = 1;
    memcpy(fifth + offsetof(ome_snapshot_order_t, price), &price, sizeof(price));
    fifth[offsetof(ome_snapshot_order_t, side)] = OME_SIDE_BUY;
    seal(&bytes);
    check_is_damaged(&bytes);
    CHECK(strstr(reader.reason, "more is open") != NULL);
    free(bytes.data);
    recorder_free(recorder);
    free(engine);
}

/* Numbers of sessions and participants come back with their gaps, and so does who may have which number next. */
static void gaps_between_sessions_come_back(void)
{
    const ome_limits_t limits = {.order_count_max = 8, .level_count_max = 4, .instrument_count_max = 1, .session_count_max = UINT16_MAX};
    ome_engine_t *engine = market_engine(&limits);
    recorder_t *recorder = recorder_new(64);
    ome_command_t order = limit_order(OME_SIDE_BUY, 1, 1, 1);
    order.participant = order.session = UINT16_MAX;
    const ome_command_t commands[] = {define_instrument(1, "A", 1, 0), define_session(UINT16_MAX, UINT16_MAX, "LAST", 3),
        define_session(300, 7, "MIDDLE", 0), define_session(2, 7, "MIDDLE", UINT16_MAX), order};
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
    {
        CHECK_EQUAL(recorder_apply(recorder, engine, &commands[i]), 1);
        CHECK(recorder->events[i].kind != OME_EVENT_KIND_REJECTED);
    }
    check_comes_back(engine);
    bytes_t bytes = snapshot_of(engine);
    ome_engine_t *copy = restored_of(&bytes);
    const ome_command_t later[] = {define_session(UINT16_MAX, 1, "NEXT", 0), define_session(300, 8, "MIDDLE", 0),
        define_session(300, 7, "NEXT", 0), define_session(300, 8, "NEXT", 0), define_session(2, 7, "THIRD", 0)};
    const uint8_t kinds[] = {
        OME_EVENT_KIND_REJECTED, OME_EVENT_KIND_REJECTED, OME_EVENT_KIND_REJECTED, OME_EVENT_KIND_DEFINED, OME_EVENT_KIND_DEFINED};
    recorder_t *copy_recorder = recorder_new(64);
    for (uint32_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
    {
        recorder->count = 0;
        CHECK_EQUAL(recorder_apply(recorder, engine, &later[i]), 1);
        CHECK_EQUAL(recorder->events[0].kind, kinds[i]);
        CHECK(says_the_same(copy, copy_recorder, &later[i], recorder->events, 1));
    }
    CHECK(is_same(copy, engine));
    CHECK(ome_engine_check(copy) == NULL);
    CHECK_EQUAL(copy->session_count, 3);
    CHECK_EQUAL(copy->participant_count, 3);
    free(bytes.data);
    free(copy);
    free(engine);
    recorder_free(recorder);
    recorder_free(copy_recorder);
}

/* A snapshot of a build whose sessions had no gaps has no numbers of sessions: they count from 1. */
static void a_snapshot_without_numbers_of_sessions_is_read(void)
{
    ome_engine_t *engine = engine_of_everything();
    bytes_t bytes = snapshot_of(engine);
    uint8_t *sessions = bytes.data + section_offset(&bytes, OME_SNAPSHOT_SECTION_SESSIONS);
    for (uint32_t i = 0; i < engine->session_count; i++)
    {
        memset(sessions + i * sizeof(ome_snapshot_session_t) + offsetof(ome_snapshot_session_t, session), 0, sizeof(uint16_t));
    }
    seal(&bytes);
    ome_engine_t *copy = restored_of(&bytes);
    CHECK(is_same(copy, engine) && ome_engine_check(copy) == NULL);
    free(copy);
    free(bytes.data);
    free(engine);
}

/* Memory that is too small or not aligned is refused before anything is read into it. */
static void the_memory_must_be_large_enough_and_aligned(void)
{
    ome_engine_t *engine = engine_of_everything();
    bytes_t bytes = snapshot_of(engine);
    const uint64_t size_bytes = ome_engine_size_bytes(&engine->limits);
    uint8_t *memory = market_memory(size_bytes + 64);
    ome_engine_t *made = NULL;
    CHECK_EQUAL(ome_snapshot_open(&reader, bytes_get, &bytes), OME_OK);
    CHECK_BYTES_EQUAL(&reader.header.limits, &engine->limits, sizeof(ome_limits_t));
    CHECK_EQUAL(ome_snapshot_restore(&reader, &made, memory, size_bytes - 1), OME_NO_MEMORY);
    CHECK_EQUAL(ome_snapshot_restore(&reader, &made, memory + 8, size_bytes), OME_INVALID);
    CHECK(made == NULL);
    CHECK_EQUAL(bytes.read_at, OME_SNAPSHOT_HEADER_SIZE);
    CHECK_EQUAL(ome_snapshot_restore(&reader, &made, memory, size_bytes), OME_OK);
    CHECK(is_same(made, engine));
    free(memory);
    free(bytes.data);
    free(engine);
}

/* A function of the caller that fails ends it, and is not called again. */
static void a_failing_call_ends_it(void)
{
    ome_engine_t *engine = engine_of_orders(3000);
    bytes_t whole = snapshot_of(engine);
    const uint64_t put_count = whole.call_count;
    CHECK_EQUAL(put_count, 4);
    for (uint64_t call = 1; call <= put_count; call++)
    {
        bytes_t bytes = {.fails_at_call = call};
        CHECK_EQUAL(ome_snapshot_write(&writer, engine, (ome_snapshot_past_t){0}, bytes_put, &bytes), OME_IO_ERROR);
        CHECK_EQUAL(writer.result, -ENOSPC);
        CHECK_EQUAL(bytes.call_count, call);
        free(bytes.data);
    }
    for (uint64_t call = 1; call <= put_count + 1; call++)
    {
        ome_status_t status;
        whole.fails_at_call = call;
        free(restore(&whole, &status));
        CHECK_EQUAL(status, OME_IO_ERROR);
        CHECK_EQUAL(reader.result, -EIO);
        CHECK_EQUAL(whole.call_count, call);
    }
    free(whole.data);
    free(engine);
}

int main(void)
{
    seed = test_seed(21);
    RUN(a_restored_engine_goes_on_as_the_first_would_have);
    RUN(no_changed_bit_and_no_other_length_is_taken);
    RUN(no_block_is_taken_for_another);
    RUN(another_version_is_not_supported);
    RUN(whatever_the_bytes_an_engine_is_an_engine);
    RUN(another_order_of_free_slots_is_seen_in_the_events);
    RUN(each_rule_is_looked_at);
    RUN(groups_of_trailing_stops_come_back);
    RUN(limits_at_their_ends_come_back);
    RUN(gaps_between_sessions_come_back);
    RUN(a_snapshot_without_numbers_of_sessions_is_read);
    RUN(the_memory_must_be_large_enough_and_aligned);
    RUN(a_failing_call_ends_it);
    return 0;
}
