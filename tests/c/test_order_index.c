/* The index of client order ids against a list, and the pool of order slots against the rules for order ids. */
#include <stdbool.h>

#include "book/ome_order_index.h"
#include "ome_test_market.h"

#define ORDER_COUNT_MAX 96u /* a table of 128 entries, full to three quarters */

static uint64_t seed;

typedef struct
{
    ome_order_pool_t pool;
    ome_order_index_t index;
    void *memory;
    uint32_t slots[ORDER_COUNT_MAX]; /* of the orders that are in the index */
    uint32_t count;
} model_t;

static void model_init(model_t *model)
{
    ome_arena_t measure = {0};
    ome_order_pool_init(&model->pool, &measure, ORDER_COUNT_MAX);
    ome_order_index_init(&model->index, &measure, ORDER_COUNT_MAX);
    ome_arena_t arena = {.memory = market_memory(measure.used_bytes)};
    model->memory = arena.memory;
    model->count = 0;
    ome_order_pool_init(&model->pool, &arena, ORDER_COUNT_MAX);
    ome_order_index_init(&model->index, &arena, ORDER_COUNT_MAX);
}

static const ome_order_t *order_of(const model_t *model, uint32_t slot)
{
    return &model->pool.orders[slot];
}

static uint32_t model_find(const model_t *model, uint16_t participant, uint64_t client_order_id)
{
    for (uint32_t i = 0; i < model->count; i++)
    {
        const ome_order_t *order = order_of(model, model->slots[i]);
        if (order->client_order_id == client_order_id && (uint16_t)(order->owner >> 32) == participant)
        {
            return model->slots[i];
        }
    }
    return 0;
}

static uint32_t index_find(const model_t *model, uint16_t participant, uint64_t client_order_id)
{
    return ome_order_index_find(&model->index, &model->pool, participant, client_order_id);
}

static void add(model_t *model, uint16_t participant, uint64_t client_order_id)
{
    const uint32_t slot = ome_order_pool_take(&model->pool);
    model->pool.orders[slot].leaves_quantity = 1;
    model->pool.orders[slot].client_order_id = client_order_id;
    model->pool.orders[slot].owner = (uint64_t)participant << 32 | 0xFFFF000000000000 | 77; /* session and account do not matter */
    ome_order_index_insert(&model->index, participant, client_order_id, slot);
    model->slots[model->count++] = slot;
}

static void remove_at(model_t *model, uint32_t at)
{
    const uint32_t slot = model->slots[at];
    const ome_order_t *order = order_of(model, slot);
    ome_order_index_remove(&model->index, (uint16_t)(order->owner >> 32), order->client_order_id, slot);
    ome_order_pool_free(&model->pool, slot);
    model->slots[at] = model->slots[--model->count];
}

static void check_all_are_found(const model_t *model)
{
    CHECK_EQUAL(model->index.count, model->count);
    for (uint32_t i = 0; i < model->count; i++)
    {
        const ome_order_t *order = order_of(model, model->slots[i]);
        CHECK_EQUAL(index_find(model, (uint16_t)(order->owner >> 32), order->client_order_id), model->slots[i]);
    }
}

/* The table has no entry left that nobody counts. */
static void check_is_empty(const model_t *model)
{
    CHECK_EQUAL(model->index.count, 0);
    for (uint32_t at = 0; at <= model->index.mask; at++)
    {
        CHECK_EQUAL(model->index.entries[at], 0);
    }
}

/* The next id from `from` on whose home is at `home`. */
static uint64_t id_with_home(const model_t *model, uint16_t participant, uint32_t home, uint64_t from)
{
    while (ome_order_index_home(&model->index, ome_order_index_hash(participant, from)) != home)
    {
        from++;
    }
    return from;
}

/* ---- the index ---- */

/* Ids that are clustered, equal modulo the table's size, at both ends of 64 bits, and the same for several participants. */
static uint64_t random_id(uint64_t *state)
{
    const uint64_t random = test_random(state);
    const uint64_t near = random >> 8 & 31;
    switch (random & 3)
    {
    case 0:
        return 1 + near;
    case 1:
        return UINT64_MAX - near;
    case 2:
        return 1 + near * (ORDER_COUNT_MAX / 3 * 4);
    default:
        return 1 + (near << 40);
    }
}

/* Whatever is inserted and removed, exactly what is there is found; the load goes up to the limit and back to nothing. */
static void the_index_finds_exactly_what_was_inserted_and_not_removed(void)
{
    uint64_t state = seed;
    model_t model;
    model_init(&model);
    CHECK_EQUAL(model.index.mask + 1, ORDER_COUNT_MAX / 3 * 4);
    bool was_full = false;
    for (uint32_t step = 0; step < 100000; step++)
    {
        const uint16_t participant = (uint16_t)(test_random(&state) % 3 * 0x7FFF);
        const uint64_t id = random_id(&state);
        const uint32_t found = index_find(&model, participant, id);
        CHECK_EQUAL(found, model_find(&model, participant, id));
        const bool grows = test_random(&state) % 100 < (step / 5000 % 2 == 0 ? 70u : 30u);
        if (grows && found == 0 && model.count < ORDER_COUNT_MAX)
        {
            add(&model, participant, id);
        }
        else if (!grows && model.count > 0)
        {
            remove_at(&model, (uint32_t)(test_random(&state) % model.count));
        }
        was_full = was_full || model.count == ORDER_COUNT_MAX;
        if (step % 16 == 0)
        {
            check_all_are_found(&model);
        }
    }
    CHECK(was_full);
    while (model.count > 0)
    {
        remove_at(&model, (uint32_t)(test_random(&state) % model.count));
        check_all_are_found(&model);
    }
    check_is_empty(&model);
    free(model.memory);
}

/* Swaps towards the next permutation in lexicographic order; false after the last. */
static bool next_permutation(uint32_t *order, uint32_t count)
{
    uint32_t at = count - 1;
    while (at > 0 && order[at - 1] > order[at])
    {
        at--;
    }
    if (at == 0)
    {
        return false;
    }
    uint32_t other = count - 1;
    while (order[other] < order[at - 1])
    {
        other--;
    }
    const uint32_t kept = order[at - 1];
    order[at - 1] = order[other];
    order[other] = kept;
    for (uint32_t low = at, high = count - 1; low < high; low++, high--)
    {
        const uint32_t swapped = order[low];
        order[low] = order[high];
        order[high] = swapped;
    }
    return true;
}

/* Entries of the table's last two homes and its first go around the end; they are removed in each of the 720 orders,
 * and those left are found each time. */
static void entries_that_wrap_around_the_tables_end_are_removed_in_any_order(void)
{
    static const uint32_t homes_from_end[6] = {2, 1, 1, 2, 1, 0}; /* 0 is the first entry of the table */
    uint32_t order[6] = {0, 1, 2, 3, 4, 5};
    do
    {
        model_t model;
        model_init(&model);
        uint64_t ids[6];
        uint64_t from = 1;
        for (uint32_t i = 0; i < 6; i++)
        {
            const uint32_t home = (model.index.mask + 1 - homes_from_end[i]) & model.index.mask;
            ids[i] = id_with_home(&model, 9, home, from);
            from = ids[i] + 1;
            add(&model, 9, ids[i]);
        }
        CHECK(model.index.entries[0] != 0 && model.index.entries[1] != 0 && model.index.entries[2] != 0);
        for (uint32_t i = 0; i < 6; i++)
        {
            const uint32_t slot = index_find(&model, 9, ids[order[i]]);
            uint32_t at = 0;
            while (model.slots[at] != slot)
            {
                CHECK(++at < model.count);
            }
            remove_at(&model, at);
            CHECK_EQUAL(index_find(&model, 9, ids[order[i]]), 0);
            check_all_are_found(&model);
        }
        check_is_empty(&model);
        free(model.memory);
    } while (next_permutation(order, 6));
}

/* Filled to its limit by ids of one home, the longest run that there can be, an absent id is still told to be absent. */
static void a_table_filled_by_ids_of_one_home_still_ends_its_search(void)
{
    model_t model;
    model_init(&model);
    uint64_t from = 1;
    for (uint32_t i = 0; i < ORDER_COUNT_MAX; i++)
    {
        from = id_with_home(&model, 3, 100, from);
        add(&model, 3, from++);
    }
    check_all_are_found(&model);
    CHECK_EQUAL(index_find(&model, 3, id_with_home(&model, 3, 100, from)), 0);
    CHECK_EQUAL(index_find(&model, 4, order_of(&model, model.slots[0])->client_order_id), 0);
    while (model.count > 0)
    {
        remove_at(&model, 0);
        check_all_are_found(&model);
    }
    check_is_empty(&model);
    free(model.memory);
}

typedef struct
{
    uint64_t client_order_id;
    uint32_t hash;
} tried_t;

static int compare_hashes(const void *first, const void *second)
{
    const uint32_t a = ((const tried_t *)first)->hash;
    const uint32_t b = ((const tried_t *)second)->hash;
    return a < b ? -1 : a > b;
}

static void check_are_told_apart(uint64_t first, uint64_t second)
{
    model_t model;
    model_init(&model);
    add(&model, 5, first);
    CHECK_EQUAL(index_find(&model, 5, second), 0);
    add(&model, 5, second);
    check_all_are_found(&model);
    CHECK(index_find(&model, 5, first) != index_find(&model, 5, second));
    remove_at(&model, 0);
    CHECK_EQUAL(index_find(&model, 5, first), 0);
    CHECK(index_find(&model, 5, second) != 0);
    free(model.memory);
}

/* Two ids whose 32 bits of hash are the same are two orders: the order itself decides. */
static void ids_with_the_same_hash_are_told_apart(void)
{
    enum
    {
        TRIED_COUNT = 1 << 18
    };
    uint64_t state = seed ^ 3;
    tried_t *tried = malloc(TRIED_COUNT * sizeof(tried_t));
    CHECK(tried != NULL);
    for (uint32_t i = 0; i < TRIED_COUNT; i++)
    {
        tried[i].client_order_id = test_random(&state) | 1;
        tried[i].hash = ome_order_index_hash(5, tried[i].client_order_id);
    }
    qsort(tried, TRIED_COUNT, sizeof(tried_t), compare_hashes);
    uint32_t pair_count = 0;
    for (uint32_t i = 1; i < TRIED_COUNT; i++)
    {
        if (tried[i - 1].hash == tried[i].hash && tried[i - 1].client_order_id != tried[i].client_order_id)
        {
            check_are_told_apart(tried[i - 1].client_order_id, tried[i].client_order_id);
            pair_count++;
        }
    }
    CHECK(pair_count > 0);
    free(tried);
}

/* Entries that are looked at to find each order, on the average, times 100: `client_order_id` i of participant p is p *
 * participant_step + i * id_step + 1. */
static uint64_t mean_probe_count(uint32_t participant_count, uint32_t id_count, uint64_t participant_step, uint64_t id_step)
{
    const uint32_t order_count = participant_count * id_count;
    ome_arena_t measure = {0};
    ome_order_index_t index;
    ome_order_index_init(&index, &measure, order_count);
    ome_arena_t arena = {.memory = market_memory(measure.used_bytes)};
    ome_order_index_init(&index, &arena, order_count);
    for (uint32_t slot = 1; slot <= order_count; slot++)
    {
        const uint32_t participant = (slot - 1) / id_count;
        const uint64_t id = participant * participant_step + (slot - 1) % id_count * id_step + 1;
        ome_order_index_insert(&index, (uint16_t)(participant + 1), id, slot);
    }
    uint64_t probe_count = 0;
    for (uint32_t at = 0; at <= index.mask; at++)
    {
        probe_count += index.entries[at] != 0 ? 1 + ome_order_index_distance(&index, index.entries[at], at) : 0;
    }
    free(arena.memory);
    return probe_count * 100 / order_count;
}

/* Clients count, each from its own number, in steps of their own: blocks of neighbours share their homes with those of
 * others, and cost tens of entries at the worst; they never form one long run. */
static void orders_of_clients_that_count_never_form_one_long_run(void)
{
    static const uint32_t participant_counts[] = {1, 10, 64, 500};
    static const uint64_t participant_steps[] = {0, 1, 1000000, UINT64_C(1) << 32, UINT64_C(1) << 48, UINT64_C(1) << 56};
    static const uint64_t id_steps[] = {1, 2, 10, 4096, 1000000, UINT64_C(1) << 32, UINT64_C(1) << 40};
    for (uint32_t i = 0; i < 4; i++)
    {
        for (uint32_t j = 0; j < 6; j++)
        {
            for (uint32_t k = 0; k < 7; k++)
            {
                const uint64_t mean =
                    mean_probe_count(participant_counts[i], 20000 / participant_counts[i], participant_steps[j], id_steps[k]);
                if (mean >= 12800)
                {
                    fprintf(stderr, "%" PRIu32 " participants, steps %" PRIu64 " and %" PRIu64 ": %" PRIu64 " entries looked at\n",
                        participant_counts[i], participant_steps[j], id_steps[k], mean / 100);
                }
                CHECK(mean < 12800);
            }
        }
    }
}

/* The table holds any number of orders at a load of at most three quarters. */
static void a_table_is_never_fuller_than_three_quarters(void)
{
    for (uint32_t order_count_max = 1; order_count_max < 5000; order_count_max += order_count_max < 200 ? 1 : 37)
    {
        ome_arena_t arena = {0};
        ome_order_index_t index;
        ome_order_index_init(&index, &arena, order_count_max);
        CHECK_EQUAL(index.mask & (index.mask + 1), 0);
        CHECK((uint64_t)order_count_max * 4 <= ((uint64_t)index.mask + 1) * 3);
        CHECK_EQUAL(arena.used_bytes, ((uint64_t)index.mask + 1) * sizeof(uint64_t));
    }
}

/* ---- the pool ---- */

/* Rules, "Order ids": the slot freed last is taken first, a slot never used only when none is free, and each taking is
 * the slot's next generation: no id comes twice. */
static void the_pool_hands_out_the_slot_freed_last_and_never_the_same_id_twice(void)
{
    uint64_t state = seed ^ 1;
    model_t model;
    model_init(&model);
    uint32_t free_slots[ORDER_COUNT_MAX];
    uint32_t free_count = 0;
    uint32_t generations[ORDER_COUNT_MAX + 1] = {0};
    uint32_t slots_ever_used = 0;
    for (uint32_t step = 0; step < 50000; step++)
    {
        const bool is_full = free_count == 0 && slots_ever_used == ORDER_COUNT_MAX;
        CHECK_EQUAL(ome_order_pool_is_full(&model.pool), is_full);
        const bool grows = test_random(&state) % 100 < (step / 2000 % 2 == 0 ? 60u : 40u);
        if (grows && !is_full)
        {
            const uint32_t expected = free_count > 0 ? free_slots[--free_count] : ++slots_ever_used;
            const uint32_t slot = ome_order_pool_take(&model.pool);
            CHECK_EQUAL(slot, expected);
            const uint64_t id = (uint64_t)++generations[slot] << 32 | slot;
            CHECK_EQUAL(ome_order_id(&model.pool, slot), id);
            CHECK_EQUAL(ome_order_pool_state(&model.pool, id), OME_ORDER_CLOSED); /* until it has lots at rest */
            model.pool.orders[slot].leaves_quantity = 1;
            CHECK_EQUAL(ome_order_pool_state(&model.pool, id), OME_ORDER_LIVE);
            model.slots[model.count++] = slot;
        }
        else if (!grows && model.count > 0)
        {
            const uint32_t at = (uint32_t)(test_random(&state) % model.count);
            const uint32_t slot = model.slots[at];
            const uint64_t id = ome_order_id(&model.pool, slot);
            ome_order_pool_free(&model.pool, slot);
            CHECK_EQUAL(ome_order_pool_state(&model.pool, id), OME_ORDER_CLOSED);
            model.slots[at] = model.slots[--model.count];
            free_slots[free_count++] = slot;
        }
    }
    CHECK_EQUAL(slots_ever_used, ORDER_COUNT_MAX);
    free(model.memory);
}

/* Rules, "Order of checks": never used, or of no or a later generation, is unknown; an earlier generation, or this one
 * when it is over, is closed. */
static void an_order_id_is_live_or_closed_or_unknown(void)
{
    model_t model;
    model_init(&model);
    const ome_order_pool_t *pool = &model.pool;
    CHECK_EQUAL(ome_order_pool_state(pool, 0), OME_ORDER_UNKNOWN);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(1) << 32 | 1), OME_ORDER_UNKNOWN);
    const uint32_t slot = ome_order_pool_take(&model.pool);
    CHECK_EQUAL(slot, 1);
    ome_order_pool_free(&model.pool, slot);
    CHECK_EQUAL(ome_order_pool_take(&model.pool), 1);
    model.pool.orders[1].leaves_quantity = 7;
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(0) << 32 | 1), OME_ORDER_UNKNOWN);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(1) << 32 | 1), OME_ORDER_CLOSED);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(2) << 32 | 1), OME_ORDER_LIVE);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(3) << 32 | 1), OME_ORDER_UNKNOWN);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(2) << 32 | 0), OME_ORDER_UNKNOWN);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(1) << 32 | 2), OME_ORDER_UNKNOWN);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(1) << 32 | UINT32_MAX), OME_ORDER_UNKNOWN);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_MAX), OME_ORDER_UNKNOWN);
    ome_order_pool_free(&model.pool, 1);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(2) << 32 | 1), OME_ORDER_CLOSED);
    CHECK_EQUAL(ome_order_pool_state(pool, UINT64_C(3) << 32 | 1), OME_ORDER_UNKNOWN);
    free(model.memory);
}

/* A slot whose generation is 2^32 - 1 is never handed out again, and its last order stays closed; the pool is full the sooner. */
static void a_slot_whose_generation_is_used_up_is_retired(void)
{
    model_t model;
    model_init(&model);
    const uint32_t slot = ome_order_pool_take(&model.pool);
    ome_order_pool_free(&model.pool, slot);
    model.pool.orders[slot].generation = UINT32_MAX - 1;
    CHECK_EQUAL(ome_order_pool_take(&model.pool), slot);
    const uint64_t last_id = (uint64_t)UINT32_MAX << 32 | slot;
    CHECK_EQUAL(ome_order_id(&model.pool, slot), last_id);
    model.pool.orders[slot].leaves_quantity = 1;
    CHECK_EQUAL(ome_order_pool_state(&model.pool, last_id), OME_ORDER_LIVE);
    ome_order_pool_free(&model.pool, slot);
    CHECK_EQUAL(ome_order_pool_state(&model.pool, last_id), OME_ORDER_CLOSED);
    for (uint32_t i = 1; i < ORDER_COUNT_MAX; i++)
    {
        CHECK(!ome_order_pool_is_full(&model.pool));
        CHECK(ome_order_pool_take(&model.pool) != slot);
    }
    CHECK(ome_order_pool_is_full(&model.pool));
    free(model.memory);
}

int main(void)
{
    seed = test_seed(12);
    RUN(the_index_finds_exactly_what_was_inserted_and_not_removed);
    RUN(entries_that_wrap_around_the_tables_end_are_removed_in_any_order);
    RUN(a_table_filled_by_ids_of_one_home_still_ends_its_search);
    RUN(ids_with_the_same_hash_are_told_apart);
    RUN(a_table_is_never_fuller_than_three_quarters);
    RUN(the_pool_hands_out_the_slot_freed_last_and_never_the_same_id_twice);
    RUN(an_order_id_is_live_or_closed_or_unknown);
    RUN(a_slot_whose_generation_is_used_up_is_retired);
    RUN(orders_of_clients_that_count_never_form_one_long_run);
    return 0;
}
