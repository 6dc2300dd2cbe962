/* Snapshots: an engine that is restored from one goes on as the first would have, and one state has one snapshot. */
#include "engine/ome_define.h"
#include "snapshot_fixture.h"

static uint64_t seed;

/* ---- flows ---- */

/* So small that pools are full again and again: the one that of orders, the other those of levels and special records. */
static const ome_limits_t few_orders = {.order_count_max = 24,
    .level_count_max = 24,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 24,
    .rules_version = OME_RULES_VERSION};

static const ome_limits_t few_levels = {.order_count_max = 40,
    .level_count_max = 12,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 7,
    .rules_version = OME_RULES_VERSION};

static const ome_limits_t plain_limits = {.order_count_max = 40,
    .level_count_max = 12,
    .instrument_count_max = 3,
    .session_count_max = 3,
    .special_count_max = 0,
    .rules_version = OME_RULES_VERSION};

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

/* Whenever the snapshot is taken, the engine made from it says the same to every later command, and ends the same; a
 * snapshot of it is the same bytes. */
static void a_restored_engine_goes_on_as_the_first_would_have(void)
{
    for (uint32_t i = 0; i < 4; i++)
    {
        check_life(&snapshot_limits, seed + i, 3000);
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

/* The control: the state hash does not say which slot is taken next, so that a snapshot with the two free slots in each
 * other's place is taken; the comparison of events sees it. */
static void another_order_of_free_slots_is_seen_in_the_events(void)
{
    ome_engine_t *engine = engine_of_everything(OME_RULES_VERSION);
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

/* A snapshot has stop prices and no groups: trailing stops with the same best come back as one group, whatever their
 * distances, and go on as one. */
static void groups_of_trailing_stops_come_back(void)
{
    ome_engine_t *engine = market_engine(&snapshot_limits);
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

static void an_engine_that_has_done_nothing_comes_back(void)
{
    const ome_limits_t least = {
        .order_count_max = 1, .level_count_max = 1, .instrument_count_max = 1, .session_count_max = 1, .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = market_engine(&least);
    check_comes_back(engine);
    free(engine);
}

/* Its price, quantity, tick and id are the largest that there are, its pools have one place. */
static void an_order_at_every_limit_comes_back(void)
{
    const ome_limits_t least = {
        .order_count_max = 1, .level_count_max = 1, .instrument_count_max = 1, .session_count_max = 1, .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = market_engine(&least);
    recorder_t *recorder = recorder_new(64);
    const ome_command_t definition = define_instrument(1, "A", OME_PRICE_MAX, OME_INSTRUMENT_FLAGS_SIGNED_PRICES);
    const ome_command_t order = limit_order(OME_SIDE_SELL, -OME_PRICE_MAX, OME_QUANTITY_MAX, UINT64_MAX);
    CHECK_EQUAL(recorder_apply(recorder, engine, &definition), 1);
    CHECK_EQUAL(recorder_apply(recorder, engine, &order), 1);
    CHECK(ome_order_pool_is_full(&engine->pools.orders) && ome_ladder_pool_is_full(&engine->pools.ladder));
    check_comes_back(engine);
    recorder_free(recorder);
    free(engine);
}

/* Every order and every level that it may have, and as much open on both sides as may be. */
static ome_engine_t *full_engine(void)
{
    const ome_limits_t full = {.order_count_max = 8,
        .level_count_max = 4,
        .instrument_count_max = 1,
        .session_count_max = 1,
        .special_count_max = 2,
        .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = market_engine(&full);
    recorder_t *recorder = recorder_new(64);
    const ome_command_t fine = define_instrument(1, "A", 1, 0);
    CHECK_EQUAL(recorder_apply(recorder, engine, &fine), 1);
    for (uint64_t i = 0; i < 4; i++)
    {
        const ome_command_t buy = limit_order(OME_SIDE_BUY, 1, OME_QUANTITY_MAX, 1 + i);
        const ome_command_t sell = limit_order(OME_SIDE_SELL, OME_PRICE_MAX - (int64_t)i % 3, OME_QUANTITY_MAX, UINT64_MAX - i);
        CHECK_EQUAL(recorder_apply(recorder, engine, &buy), 1);
        CHECK_EQUAL(recorder_apply(recorder, engine, &sell), 1);
    }
    recorder_free(recorder);
    CHECK_EQUAL(engine->books[1].open_quantity[0], OME_OPEN_QUANTITY_MAX);
    CHECK_EQUAL(engine->books[1].open_quantity[1], OME_OPEN_QUANTITY_MAX);
    CHECK(ome_order_pool_is_full(&engine->pools.orders) && ome_ladder_pool_is_full(&engine->pools.ladder));
    return engine;
}

static void an_engine_whose_pools_are_full_comes_back(void)
{
    ome_engine_t *engine = full_engine();
    check_comes_back(engine);
    free(engine);
}

/* One level more than the limit, and one order more on a side. */
static void a_snapshot_past_the_limits_is_refused(void)
{
    ome_engine_t *engine = full_engine();
    bytes_t bytes = snapshot_of(engine);
    ome_snapshot_header_t *header = (void *)bytes.data;
    header->level_count_max = 3;
    seal(&bytes);
    check_is_damaged(&bytes);
    CHECK(strstr(reader.reason, "price levels") != NULL);
    header->level_count_max = 4;
    uint8_t *const fifth = bytes.data + section_offset(&bytes, OME_SNAPSHOT_SECTION_ORDERS) + 4 * sizeof(ome_snapshot_order_t);
    const int64_t price = 1;
    memcpy(fifth + offsetof(ome_snapshot_order_t, price), &price, sizeof(price));
    fifth[offsetof(ome_snapshot_order_t, side)] = OME_SIDE_BUY;
    seal(&bytes);
    check_is_damaged(&bytes);
    CHECK(strstr(reader.reason, "more is open") != NULL);
    free(bytes.data);
    free(engine);
}

/* Numbers of sessions and participants come back with their gaps, and so does who may have which number next. */
static void gaps_between_the_numbers_of_sessions_come_back(void)
{
    const ome_limits_t limits = {.order_count_max = 8,
        .level_count_max = 4,
        .instrument_count_max = 1,
        .session_count_max = UINT16_MAX,
        .rules_version = OME_RULES_VERSION};
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

/* Rule D10: what a participant's former sessions were told comes back; its sessions have to agree on it. */
static void past_reports_come_back(void)
{
    const ome_limits_t limits = {
        .order_count_max = 8, .level_count_max = 4, .instrument_count_max = 1, .session_count_max = 5, .rules_version = OME_RULES_VERSION};
    ome_engine_t *engine = market_engine(&limits);
    recorder_t *recorder = recorder_new(64);
    ome_command_t cancel = cancel_order(1);
    cancel.participant = 2;
    cancel.session = 3;
    const ome_command_t commands[] = {define_session(3, 2, "A", 0), define_session(4, 2, "A", 1), define_session(5, 2, "A", 2), cancel,
        cancel, define_session(3, 1, "B", 0)};
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
    {
        CHECK_EQUAL(recorder_apply(recorder, engine, &commands[i]), 1);
    }
    CHECK_EQUAL(engine->past_reports[2], 2);
    check_comes_back(engine);
    bytes_t bytes = snapshot_of(engine);
    ome_engine_t *copy = restored_of(&bytes);
    CHECK_EQUAL(ome_define_participant_reports(copy, 2), 2);
    CHECK_EQUAL(ome_define_participant_reports(copy, 1), 0);
    free(bytes.data);
    free(copy);
    free(engine);
    recorder_free(recorder);
}

/* A snapshot of a build whose sessions had no gaps has no numbers of sessions: they count from 1. */
static void a_snapshot_without_numbers_of_sessions_is_read(void)
{
    ome_engine_t *engine = engine_of_everything(OME_RULES_VERSION);
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
    ome_engine_t *engine = engine_of_everything(OME_RULES_VERSION);
    bytes_t bytes = snapshot_of(engine);
    const uint64_t size_bytes = ome_engine_size_bytes(&engine->limits);
    uint8_t *memory = market_memory(size_bytes + 64);
    ome_engine_t *made = NULL;
    CHECK_EQUAL(ome_snapshot_open(&reader, bytes_get, &bytes), OME_OK);
    const ome_limits_t limits = ome_snapshot_limits(&reader.header);
    CHECK_BYTES_EQUAL(&limits, &engine->limits, sizeof(ome_limits_t));
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
static void a_failing_call_ends_the_snapshot(void)
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
    RUN(another_order_of_free_slots_is_seen_in_the_events);
    RUN(groups_of_trailing_stops_come_back);
    RUN(an_engine_that_has_done_nothing_comes_back);
    RUN(an_order_at_every_limit_comes_back);
    RUN(an_engine_whose_pools_are_full_comes_back);
    RUN(a_snapshot_past_the_limits_is_refused);
    RUN(gaps_between_the_numbers_of_sessions_come_back);
    RUN(past_reports_come_back);
    RUN(a_snapshot_without_numbers_of_sessions_is_read);
    RUN(the_memory_must_be_large_enough_and_aligned);
    RUN(a_failing_call_ends_the_snapshot);
    return 0;
}
