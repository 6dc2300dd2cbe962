/* Damaged snapshots: bytes that are not those that were written are refused, or are another state that keeps every rule. */
#include "snapshot_fixture.h"

static uint64_t seed;

static bytes_t copy_of(const bytes_t *bytes)
{
    bytes_t copy = {.data = malloc(bytes->size + 1), .size = bytes->size, .capacity = bytes->size + 1};
    CHECK(copy.data != NULL);
    memcpy(copy.data, bytes->data, bytes->size);
    return copy;
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

/* ---- damage ---- */

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

#define STEP (OME_SNAPSHOT_BLOCK_SIZE + OME_SNAPSHOT_CHECKSUM_SIZE) /* from block to block */

/* Blocks that are whole, but not where they belong. */
static void no_block_is_taken_for_another(void)
{
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
    free(bytes.data);
    free(engine);
}

/* The reason is its checksum, whatever its bytes would say. */
static void a_block_is_proved_before_it_is_used(void)
{
    ome_engine_t *engine = engine_of_orders(5000);
    bytes_t bytes = snapshot_of(engine);
    const uint64_t block_count = (bytes.size - OME_SNAPSHOT_HEADER_SIZE + STEP - 1) / STEP;
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
    free(bytes.data);
    free(engine);
}

/* What follows it moves up. */
static void a_missing_block_is_found(void)
{
    ome_engine_t *engine = engine_of_orders(5000);
    bytes_t bytes = snapshot_of(engine);
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
    for (uint32_t version = 0; version < OME_SNAPSHOT_VERSION + 2; version++)
    {
        ome_snapshot_header_t *header = (void *)bytes.data;
        header->version = version;
        header->total_size = 1; /* whatever it says */
        header->checksum = ome_crc32c(0, bytes.data, 4092);
        ome_status_t status;
        CHECK(restore(&bytes, &status) == NULL);
        const bool is_read = version != 0 && version <= OME_SNAPSHOT_VERSION;
        CHECK_EQUAL(status, is_read ? OME_DAMAGED : OME_UNSUPPORTED);
        CHECK(reader.reason != NULL && (is_read || strstr(reader.reason, "version") != NULL));
    }
    free(bytes.data);
    free(engine);
}

/* ---- bytes that are wrong and have the right checksums ---- */

/* Whether no order is displayed anew more than a thousand times: one of 2^60 lots with a peak of 1 is an order like any
 * other, and trades for ever. */
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
static void any_bytes_that_are_taken_are_an_engine_that_keeps_its_rules(void)
{
    uint64_t random = seed ^ 9;
    uint32_t made_count = 0;
    uint32_t other_count = 0;
    for (uint32_t i = 0; i < 20; i++)
    {
        ome_engine_t *engine = engine_after(i % 2 == 0 ? &tiny_limits : &snapshot_limits, random, 300 + 50 * i);
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

#define SESSION 56
#define ORDER 56
#define ICEBERG (3 * ORDER)
#define STOP_SIZE (56 + 32 + 56)

static const wrong_t wrongs[] = {
    {0, AT(header, header_size), 4095, "not one of this version"},
    {0, AT(header, section_count), 8, "not one of this version"},
    {0, 300, 1, 1, "not one of this version"},
    {0, AT(header, version), OME_SNAPSHOT_VERSION_RULES, "not one of this version"},
    {0, AT(header, rules_version), 0, "state hash"},
    {0, AT(header, account_count_max), UINT32_MAX, "limit is out of range"},
    {0, AT(header, account_count_max), 1, "more than the limits allow"},
    {0, AT(header, limit_flags), 2, "limit is out of range"},
    {0, AT(header, accounts.type), 6, "not the one that belongs there"},
    {0, AT(header, accounts.size_bytes), 25, "not that of what it counts"},
    {OME_SNAPSHOT_SECTION_ACCOUNTS, AT(account, account), 0, "can be defined"},
    {OME_SNAPSHOT_SECTION_ACCOUNTS, AT(account, account), 2000, "there twice"},
    {OME_SNAPSHOT_SECTION_ACCOUNTS, AT(account, reserved), 1, "can be defined"},
    {OME_SNAPSHOT_SECTION_ACCOUNTS, AT(account, participant_name[0]), ' ', "can be defined"},
    {OME_SNAPSHOT_SECTION_ACCOUNTS, AT(account, participant_name[0]), 'X', "state hash"},
    {0, AT(header, level_count_max), 0, "limit is out of range"},
    {0, AT(header, special_count_max), UINT32_MAX, "limit is out of range"},
    {0, AT(header, order_count_max), 3, "more than the limits allow"},
    {0, AT(header, instrument_count_max), 2, "more than the limits allow"},
    {0, AT(header, session_count_max), 2, "more than the limits allow"},
    {0, AT(header, special_count_max), 1, "more than the limits allow"},
    {0, AT(header, order_count), 7, "orders that it counts"},
    {0, AT(header, slots_ever_used), 25, "slots are not those"},
    {0, AT(header, slots_retired), 1, "slots are not those"},
    {0, AT(header, total_size), 4096, "size is not that"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_ORDERS, type), 9, "not the one that belongs there"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_ORDERS, reserved), 1, "not the one that belongs there"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_PENDING, count), 2, "more than the limits allow"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_STOPS, size_bytes), 2 * STOP_SIZE - 1, "not that of what it counts"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_STOPS, size_bytes), 2 * (STOP_SIZE + sizeof(ome_snapshot_attributes_t)) + 1,
        "not that of what it counts"},
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_STOPS, size_bytes), 4 * STOP_SIZE, "not that of what it counts"},
    {0, AT(header, state_hash), 1, "state hash"},
    {0, AT(header, sequence), 1, "a stop stands behind"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, tick), 0, "can be defined"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, symbol[0]), ' ', "can be defined"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, last_trade_price), 0, "last trade price"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, last_trade_price), 120, "past its trigger"},
    {OME_SNAPSHOT_SECTION_INSTRUMENTS, AT(instrument, last_trade_price), 106, "has not followed"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, participant), 1000, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, participant), 0, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, flags), 4, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, flags), 1, "state hash"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(24, progress, reserved), 1, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(24, progress, report_sequence), 1, "state hash"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(24, progress, command_sequence), 1, "state hash"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(48, past_reports, past_reports), 1, "state hash"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, participant), 2, "state hash"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, session), 1000, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, session), 2, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(SESSION, session, session), 1, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(2 * SESSION, session, session), 2, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(2 * SESSION, session, session), 4, "out of range or out of order"},
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
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, has_attributes), 2, "attributes are out of range"},
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
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, given), 1u << 31, "not one that can"},
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, reserved), 1, "not one that can"},
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, values[9]), 1, "is not given"},
    {OME_SNAPSHOT_SECTION_PENDING, AT(pending, given), 1, "state hash"},
};

/* The same of an engine that follows the first version of the rules: its sessions have nothing behind them. */
static const wrong_t old_wrongs[] = {
    {0, SECTION_FIELD(OME_SNAPSHOT_SECTION_STOPS, size_bytes), 2 * STOP_SIZE + 1, "not that of what it counts"},
    {0, AT(header, version), OME_SNAPSHOT_VERSION_ATTRIBUTES, "not that of what it counts"},
    {0, AT(header, version), OME_SNAPSHOT_VERSION_RULES, "not that of what it counts"},
    {0, AT(header, version), OME_SNAPSHOT_VERSION_ACCOUNTS, "not one of this version"},
    {0, AT(header, account_count_max), 1, "not one of this version"},
    {0, AT(header, limit_flags), 1, "not one of this version"},
    {0, AT(header, accounts.count), 1, "not one of this version"},
    {0, AT(header, rules_version), 1, "version"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AT(session, flags), 1, "can be defined"},
    {OME_SNAPSHOT_SECTION_SESSIONS, AFTER(24, session, session), 1, "out of range or out of order"},
    {OME_SNAPSHOT_SECTION_ORDERS, AFTER(ICEBERG + ORDER, special, has_attributes), 1, "attributes are out of range"},
};

static void check_wrongs(ome_engine_t *engine, const wrong_t *table, uint32_t count)
{
    bytes_t bytes = snapshot_of(engine);
    CHECK_EQUAL(writer.header.sections[OME_SNAPSHOT_SECTION_ORDERS - 1].size_bytes, 4 * ORDER + 32);
    for (uint32_t i = 0; i < count; i++)
    {
        const wrong_t *wrong = &table[i];
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

/* Each rule of an entry is looked at: a value that breaks one is found for that, whatever the checksums say. */
static void a_snapshot_that_breaks_a_rule_of_the_engine_is_refused(void)
{
    check_wrongs(engine_of_everything(OME_RULES_VERSION), wrongs, sizeof(wrongs) / sizeof(wrongs[0]));
    check_wrongs(engine_of_everything(0), old_wrongs, sizeof(old_wrongs) / sizeof(old_wrongs[0]));
}

/* A header that has the right checksum and names rules that this build does not know is not damage, and is named. */
static void a_version_of_the_rules_that_is_not_known_is_not_supported(void)
{
    ome_engine_t *engine = engine_of_everything(OME_RULES_VERSION);
    bytes_t bytes = snapshot_of(engine);
    ome_snapshot_header_t *header = (void *)bytes.data;
    for (uint32_t i = 0; i < 2; i++)
    {
        header->rules_version = i == 0 ? OME_RULES_VERSION + 1 : UINT32_MAX;
        seal(&bytes);
        ome_status_t status;
        CHECK(restore(&bytes, &status) == NULL);
        CHECK_EQUAL(status, OME_UNSUPPORTED);
        CHECK(strstr(reader.reason, "a version of the rules that this build does not know") != NULL);
        CHECK_EQUAL(reader.offset, offsetof(ome_snapshot_header_t, rules_version));
    }
    free(bytes.data);
    free(engine);
}

int main(void)
{
    seed = test_seed(21);
    RUN(no_changed_bit_and_no_other_length_is_taken);
    RUN(no_block_is_taken_for_another);
    RUN(a_block_is_proved_before_it_is_used);
    RUN(a_missing_block_is_found);
    RUN(another_version_is_not_supported);
    RUN(any_bytes_that_are_taken_are_an_engine_that_keeps_its_rules);
    RUN(a_snapshot_that_breaks_a_rule_of_the_engine_is_refused);
    RUN(a_version_of_the_rules_that_is_not_known_is_not_supported);
    return 0;
}
