/* Subscriptions and the sending of frames against a plain list: everyone gets what it wants, once, and an answer when
 * it asked and reads. */
#include <string.h>

#include "ome_test_market.h"
#include "wire/ome_subscribers.h"

#define CHANNEL_COUNT 3u
#define INSTRUMENT_COUNT 300u /* so that the last two bytes of a topic both matter */
#define USED_COUNT 5u /* instruments that the flows use; as many behind 256 */
#define SLOT_COUNT 6u
#define MODEL_COUNT_MAX 1024u
#define READS_BYTES 65536u

static uint64_t seed;

typedef struct
{
    uint32_t generation;
    uint32_t queued_bytes;
    ome_status_t status; /* of sending */
    uint32_t got_count; /* of the frame that is being sent */
    bool is_owed;
} peer_t;

typedef struct
{
    uint32_t slot;
    uint32_t prefix_size_bytes;
    uint8_t prefix[OME_TOPIC_SIZE];
    bool needs[CHANNEL_COUNT + 1][INSTRUMENT_COUNT + 1]; /* is to be answered */
    bool is_owed; /* it did not read when it was to be answered */
    uint32_t owed_from;
} wish_t;

typedef struct
{
    ome_subscribers_t subscribers;
    ome_socket_t socket;
    void *memory;
    peer_t peers[SLOT_COUNT + 1];
    wish_t wishes[MODEL_COUNT_MAX];
    uint32_t wish_count;
    uint64_t frame; /* what is being sent, or begins so */
    uint32_t frame_size_bytes;
    uint32_t want_count; /* calls of a retry that were foreseen and have not come */
    bool is_to_want[MODEL_COUNT_MAX];
} house_t;

static uint64_t peer_number(const house_t *house, uint32_t slot)
{
    return (uint64_t)(house->peers[slot].generation + 1) << 32 | slot;
}

static ome_status_t house_send(void *context, uint64_t number, const uint8_t *data, uint32_t size_bytes)
{
    house_t *house = context;
    CHECK_EQUAL(number, peer_number(house, (uint32_t)number));
    CHECK_EQUAL(size_bytes, house->frame_size_bytes);
    CHECK_BYTES_EQUAL(data, &house->frame, sizeof(uint64_t));
    house->peers[(uint32_t)number].got_count++;
    return house->peers[(uint32_t)number].status;
}

static uint32_t house_queued(void *context, uint64_t number)
{
    const house_t *house = context;
    CHECK_EQUAL(number, peer_number(house, (uint32_t)number));
    return house->peers[(uint32_t)number].queued_bytes;
}

static house_t *house_new(uint32_t instrument_count_max, uint32_t slot_count)
{
    house_t *house = calloc(1, sizeof(house_t));
    CHECK(house != NULL);
    house->frame_size_bytes = sizeof(uint64_t);
    house->socket = (ome_socket_t){.context = house, .send = house_send, .queued = house_queued};
    ome_arena_t arena = {0};
    ome_subscribers_init(&house->subscribers, &arena, &house->socket, CHANNEL_COUNT, instrument_count_max, slot_count);
    house->memory = market_memory(arena.used_bytes);
    arena = (ome_arena_t){.memory = house->memory};
    ome_subscribers_init(&house->subscribers, &arena, &house->socket, CHANNEL_COUNT, instrument_count_max, slot_count);
    return house;
}

static void house_free(house_t *house)
{
    free(house->memory);
    free(house);
}

/* ---- the model ---- */

static void topic_bytes(uint8_t bytes[OME_TOPIC_SIZE], uint32_t channel, uint32_t instrument)
{
    for (uint32_t i = 0; i < 4; i++)
    {
        bytes[i] = (uint8_t)(channel >> (24 - 8 * i));
        bytes[4 + i] = (uint8_t)(instrument >> (24 - 8 * i));
    }
}

static bool matches(const wish_t *wish, uint32_t channel, uint32_t instrument)
{
    uint8_t topic[OME_TOPIC_SIZE];
    topic_bytes(topic, channel, instrument);
    return memcmp(topic, wish->prefix, wish->prefix_size_bytes) == 0;
}

static bool is_reading(const house_t *house, uint32_t slot)
{
    return house->peers[slot].queued_bytes < READS_BYTES;
}

static void need_all(wish_t *wish)
{
    for (uint32_t channel = 1; channel <= CHANNEL_COUNT; channel++)
    {
        for (uint32_t instrument = 1; instrument <= INSTRUMENT_COUNT; instrument++)
        {
            wish->needs[channel][instrument] = matches(wish, channel, instrument);
        }
    }
    wish->is_owed = false;
}

static wish_t *find_wish(house_t *house, uint32_t slot, const uint8_t *prefix, uint32_t size_bytes)
{
    for (uint32_t i = 0; i < house->wish_count; i++)
    {
        wish_t *wish = &house->wishes[i];
        if (wish->slot == slot && wish->prefix_size_bytes == size_bytes && memcmp(wish->prefix, prefix, size_bytes) == 0)
        {
            return wish;
        }
    }
    return NULL;
}

static bool is_possible(const uint8_t *prefix, uint32_t size_bytes)
{
    if (size_bytes > OME_TOPIC_SIZE)
    {
        return false;
    }
    wish_t wish = {.prefix_size_bytes = size_bytes};
    memcpy(wish.prefix, prefix, size_bytes);
    for (uint32_t channel = 1; channel <= CHANNEL_COUNT; channel++)
    {
        for (uint32_t instrument = size_bytes == OME_TOPIC_SIZE; instrument <= INSTRUMENT_COUNT; instrument++)
        {
            if (matches(&wish, channel, instrument))
            {
                return true;
            }
        }
    }
    return false;
}

static uint32_t count_of(const house_t *house, uint32_t slot, bool is_prefix_only)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < house->wish_count; i++)
    {
        count += house->wishes[i].slot == slot && (!is_prefix_only || house->wishes[i].prefix_size_bytes < OME_TOPIC_SIZE);
    }
    return count;
}

static void add(house_t *house, uint32_t slot, const uint8_t *prefix, uint32_t size_bytes)
{
    const ome_status_t status = ome_subscribers_add(&house->subscribers, peer_number(house, slot), prefix, size_bytes);
    if (!is_possible(prefix, size_bytes))
    {
        CHECK_EQUAL(status, OME_NOT_FOUND);
        return;
    }
    wish_t *wish = find_wish(house, slot, prefix, size_bytes);
    if (wish == NULL)
    {
        if (size_bytes < OME_TOPIC_SIZE && count_of(house, slot, true) == OME_SUBSCRIBER_PREFIX_COUNT_MAX)
        {
            CHECK_EQUAL(status, OME_FULL);
            return;
        }
        CHECK(house->wish_count < MODEL_COUNT_MAX);
        if (count_of(house, slot, false) == 0)
        {
            house->peers[slot].is_owed = false;
        }
        wish = &house->wishes[house->wish_count++];
        *wish = (wish_t){.slot = slot, .prefix_size_bytes = size_bytes};
        memcpy(wish->prefix, prefix, size_bytes);
    }
    CHECK_EQUAL(status, OME_OK);
    need_all(wish);
}

static void take_off(house_t *house, wish_t *wish)
{
    *wish = house->wishes[--house->wish_count];
}

static void remove_wish(house_t *house, uint32_t slot, const uint8_t *prefix, uint32_t size_bytes)
{
    ome_subscribers_remove(&house->subscribers, peer_number(house, slot), prefix, size_bytes);
    wish_t *wish = size_bytes <= OME_TOPIC_SIZE ? find_wish(house, slot, prefix, size_bytes) : NULL;
    if (wish != NULL)
    {
        take_off(house, wish);
    }
}

static void remove_peer(house_t *house, uint32_t slot)
{
    ome_subscribers_remove_peer(&house->subscribers, peer_number(house, slot));
    for (uint32_t i = house->wish_count; i-- > 0;)
    {
        if (house->wishes[i].slot == slot)
        {
            take_off(house, &house->wishes[i]);
        }
    }
    house->peers[slot].generation++; /* another has the slot then */
}

/* ---- what is checked ---- */

/* Each peer got the frame as often as it should, which is once or not at all. */
static void check_got(house_t *house, ome_publication_t publication, const bool *due)
{
    ome_publication_t expected = {0};
    for (uint32_t slot = 1; slot <= SLOT_COUNT; slot++)
    {
        CHECK_EQUAL(house->peers[slot].got_count, due[slot]);
        expected.sent_count += due[slot] && house->peers[slot].status == OME_OK;
        expected.dropped_count += due[slot] && house->peers[slot].status == OME_FULL;
        house->peers[slot].got_count = 0;
    }
    CHECK_EQUAL(publication.sent_count, expected.sent_count);
    CHECK_EQUAL(publication.dropped_count, expected.dropped_count);
}

static void publish(house_t *house, uint32_t channel, uint32_t instrument)
{
    bool due[SLOT_COUNT + 1] = {0};
    bool is_wanted = false;
    for (uint32_t i = 0; i < house->wish_count; i++)
    {
        if (matches(&house->wishes[i], channel, instrument))
        {
            due[house->wishes[i].slot] = is_wanted = true;
        }
    }
    CHECK_EQUAL(ome_subscribers_want(&house->subscribers, channel, instrument), is_wanted);
    house->frame++;
    check_got(
        house, ome_subscribers_publish(&house->subscribers, channel, instrument, (uint8_t *)&house->frame, sizeof(house->frame)), due);
}

static void owe(house_t *house, wish_t *wish, uint32_t instrument)
{
    const bool is_first = !wish->is_owed || wish->prefix_size_bytes == OME_TOPIC_SIZE;
    wish->owed_from = is_first || instrument < wish->owed_from ? instrument : wish->owed_from;
    wish->is_owed = true;
    house->peers[wish->slot].is_owed = true;
}

static void answer(house_t *house, uint32_t channel, uint32_t instrument, bool is_answered)
{
    bool due[SLOT_COUNT + 1] = {0};
    bool has_reader = false;
    for (uint32_t i = 0; i < house->wish_count; i++)
    {
        wish_t *wish = &house->wishes[i];
        if (!wish->needs[channel][instrument])
        {
            continue;
        }
        if (!is_reading(house, wish->slot))
        {
            owe(house, wish, instrument);
            wish->needs[channel][instrument] = !is_answered || wish->prefix_size_bytes == OME_TOPIC_SIZE; /* asked again by a retry */
            continue;
        }
        has_reader = true;
        if (is_answered)
        {
            due[wish->slot] = true;
            if (house->peers[wish->slot].status == OME_FULL) /* there was no room for it: it is still to come */
            {
                owe(house, wish, instrument);
                wish->needs[channel][instrument] = wish->prefix_size_bytes == OME_TOPIC_SIZE;
                continue;
            }
            wish->needs[channel][instrument] = false;
            wish->is_owed = wish->is_owed && wish->prefix_size_bytes < OME_TOPIC_SIZE;
        }
    }
    CHECK_EQUAL(ome_subscribers_ask(&house->subscribers, channel, instrument), has_reader);
    if (is_answered)
    {
        house->frame++;
        check_got(
            house, ome_subscribers_answer(&house->subscribers, channel, instrument, (uint8_t *)&house->frame, sizeof(house->frame)), due);
    }
}

static void want(void *context, const uint8_t *prefix, uint32_t size_bytes, uint32_t first_instrument)
{
    house_t *house = context;
    for (uint32_t i = 0; i < house->wish_count; i++)
    {
        const wish_t *wish = &house->wishes[i];
        const bool is_from = size_bytes == OME_TOPIC_SIZE || wish->owed_from == first_instrument;
        if (house->is_to_want[i] && wish->prefix_size_bytes == size_bytes && memcmp(wish->prefix, prefix, size_bytes) == 0 && is_from)
        {
            CHECK(first_instrument >= 1);
            house->is_to_want[i] = false;
            house->want_count--;
            return;
        }
    }
    CHECK(false);
}

static void retry(house_t *house)
{
    house->want_count = 0;
    for (uint32_t i = 0; i < house->wish_count; i++)
    {
        wish_t *wish = &house->wishes[i];
        bool needs = wish->is_owed;
        for (uint32_t channel = 1; channel <= CHANNEL_COUNT && wish->prefix_size_bytes == OME_TOPIC_SIZE; channel++)
        {
            for (uint32_t instrument = 1; instrument <= INSTRUMENT_COUNT; instrument++)
            {
                needs = needs || wish->needs[channel][instrument];
            }
        }
        house->is_to_want[i] = needs && house->peers[wish->slot].is_owed && is_reading(house, wish->slot);
        house->want_count += house->is_to_want[i];
    }
    bool is_to_want[MODEL_COUNT_MAX];
    memcpy(is_to_want, house->is_to_want, sizeof(is_to_want));
    uint32_t most = 0;
    for (uint32_t slot = 1; slot <= SLOT_COUNT; slot++)
    {
        most = count_of(house, slot, false) > most ? count_of(house, slot, false) : most;
    }
    bool has_more = true;
    while (has_more)
    {
        const uint32_t before = house->want_count;
        has_more = ome_subscribers_retry(&house->subscribers, want, house);
        CHECK(before - house->want_count <= most); /* one connection at a time */
        CHECK(has_more || before == house->want_count);
    }
    CHECK_EQUAL(house->want_count, 0);
    for (uint32_t i = 0; i < house->wish_count; i++)
    {
        if (is_to_want[i])
        {
            need_all(&house->wishes[i]);
        }
    }
    for (uint32_t slot = 1; slot <= SLOT_COUNT; slot++)
    {
        house->peers[slot].is_owed = house->peers[slot].is_owed && count_of(house, slot, false) > 0 && !is_reading(house, slot);
    }
}

static uint32_t random_instrument(uint64_t *random)
{
    return (uint32_t)(test_random(random) % USED_COUNT + (test_random(random) % 2 == 0 ? 254 : 1));
}

static uint32_t random_prefix(uint64_t *random, uint8_t *prefix)
{
    topic_bytes(prefix, 1 + (uint32_t)(test_random(random) % CHANNEL_COUNT), random_instrument(random));
    if (test_random(random) % 30 == 0)
    {
        prefix[test_random(random) % 9] ^= (uint8_t)(1u << test_random(random) % 8); /* often impossible */
    }
    return (uint32_t)(test_random(random) % 2 == 0 ? OME_TOPIC_SIZE : test_random(random) % 10);
}

/* Whatever comes and goes in whichever order: frames and answers reach those that a plain list says, once each. */
static void subscribers_agree_with_a_list(void)
{
    uint64_t random = seed;
    house_t *house = house_new(INSTRUMENT_COUNT, SLOT_COUNT);
    for (uint32_t step = 0; step < 30000; step++)
    {
        const uint32_t slot = 1 + (uint32_t)(test_random(&random) % SLOT_COUNT);
        const uint32_t channel = 1 + (uint32_t)(test_random(&random) % CHANNEL_COUNT);
        uint8_t prefix[10] = {0};
        const uint32_t size_bytes = random_prefix(&random, prefix);
        const uint64_t choice = test_random(&random) % 100;
        if (choice < 25)
        {
            add(house, slot, prefix, size_bytes);
        }
        else if (choice < 35)
        {
            remove_wish(house, slot, prefix, size_bytes);
        }
        else if (choice < 36)
        {
            remove_peer(house, slot);
        }
        else if (choice < 45)
        {
            house->peers[slot].queued_bytes = test_random(&random) % 2 == 0 ? READS_BYTES - 1 : READS_BYTES;
            house->peers[slot].status = test_random(&random) % 3 == 0 ? OME_FULL : test_random(&random) % 9 == 0 ? OME_NOT_FOUND : OME_OK;
        }
        else if (choice < 70)
        {
            publish(house, channel, random_instrument(&random));
        }
        else if (choice < 95)
        {
            answer(house, channel, random_instrument(&random), test_random(&random) % 3 != 0);
        }
        else
        {
            retry(house);
        }
        CHECK_EQUAL(house->subscribers.count, house->wish_count);
        uint32_t owed_count = 0;
        for (uint32_t i = 1; i <= SLOT_COUNT; i++)
        {
            CHECK_EQUAL(ome_subscribers_has(&house->subscribers, peer_number(house, i)), count_of(house, i, false) > 0);
            owed_count += house->peers[i].is_owed;
        }
        CHECK_EQUAL(house->subscribers.owed_count, owed_count);
    }
    for (uint32_t slot = 1; slot <= SLOT_COUNT; slot++)
    {
        remove_peer(house, slot);
        house->peers[slot].queued_bytes = 0;
    }
    retry(house);
    CHECK_EQUAL(house->subscribers.count, 0);
    CHECK_EQUAL(house->subscribers.owed_count, 0);
    CHECK_EQUAL(house->subscribers.first_prefix, 0);
    house_free(house);
}

/* Each connection has a few prefixes, and all together have a number of subscriptions; who is gone makes room. */
static void there_are_only_so_many_subscriptions(void)
{
    const uint32_t instrument_count_max = 400000;
    house_t *house = house_new(instrument_count_max, 2);
    ome_subscribers_t *subscribers = &house->subscribers;
    uint8_t topic[OME_TOPIC_SIZE];
    for (uint32_t i = 0; i < OME_SUBSCRIBER_PREFIX_COUNT_MAX; i++)
    {
        topic_bytes(topic, 1, i << 8);
        CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 1), topic, 7), OME_OK);
    }
    topic_bytes(topic, 2, 0);
    CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 1), topic, 4), OME_FULL);
    ome_subscribers_remove(subscribers, peer_number(house, 1), (const uint8_t[7]){0, 0, 0, 1}, 7);
    CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 1), topic, 4), OME_OK);
    uint32_t count = OME_SUBSCRIBER_PREFIX_COUNT_MAX;
    for (uint32_t i = 0; count < OME_SUBSCRIPTION_COUNT_MAX; i++, count++)
    {
        topic_bytes(topic, 1 + i / instrument_count_max, 1 + i % instrument_count_max);
        CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 1), topic, OME_TOPIC_SIZE), OME_OK);
    }
    CHECK_EQUAL(subscribers->count, OME_SUBSCRIPTION_COUNT_MAX);
    CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 1), topic, OME_TOPIC_SIZE), OME_OK); /* it has that one */
    CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 2), topic, OME_TOPIC_SIZE), OME_FULL);
    CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 2), topic, 0), OME_FULL);
    CHECK(!ome_subscribers_has(subscribers, peer_number(house, 2)));
    ome_subscribers_remove_peer(subscribers, peer_number(house, 1));
    CHECK_EQUAL(subscribers->count, 0);
    CHECK_EQUAL(subscribers->first_prefix, 0);
    house->peers[1].generation++;
    for (uint32_t i = 0; i < 1000; i++)
    {
        topic_bytes(topic, 3, 1 + i);
        CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, 1 + i % 2), topic, OME_TOPIC_SIZE), OME_OK);
    }
    CHECK_EQUAL(subscribers->count, 1000);
    CHECK(subscribers->fresh <= OME_SUBSCRIPTION_COUNT_MAX + 1);
    house_free(house);
}

static void want_one(void *context, const uint8_t *prefix, uint32_t prefix_size_bytes, uint32_t first_instrument)
{
    (void)prefix;
    CHECK_EQUAL(prefix_size_bytes, OME_TOPIC_SIZE);
    CHECK_EQUAL(first_instrument, 1);
    (*(uint32_t *)context)++;
}

/* A long answer goes to as many at a time as there is a bound for in bytes; the others get it later, each once. */
static void a_long_answer_goes_to_a_few_at_a_time(void)
{
    house_t *house = house_new(4, SLOT_COUNT);
    ome_subscribers_t *subscribers = &house->subscribers;
    const uint32_t size_bytes = 3 << 20;
    uint8_t *frame = calloc(1, size_bytes);
    CHECK(frame != NULL);
    house->frame_size_bytes = size_bytes;
    uint8_t topic[OME_TOPIC_SIZE];
    topic_bytes(topic, 2, 1);
    for (uint32_t slot = 1; slot <= 5; slot++)
    {
        CHECK_EQUAL(ome_subscribers_add(subscribers, peer_number(house, slot), topic, OME_TOPIC_SIZE), OME_OK);
    }
    for (uint32_t left = 5; left > 0; left -= left < 2 ? left : 2)
    {
        CHECK(ome_subscribers_ask(subscribers, 2, 1));
        CHECK_EQUAL(ome_subscribers_answer(subscribers, 2, 1, frame, size_bytes).sent_count, left < 2 ? left : 2);
        uint32_t want_count = 0;
        while (ome_subscribers_retry(subscribers, want_one, &want_count))
        {
        }
        CHECK_EQUAL(want_count, left < 2 ? 0 : left - 2);
    }
    CHECK(!ome_subscribers_ask(subscribers, 2, 1));
    for (uint32_t slot = 1; slot <= 5; slot++)
    {
        CHECK_EQUAL(house->peers[slot].got_count, 1);
    }
    free(frame);
    house_free(house);
}

int main(void)
{
    seed = test_seed(23);
    RUN(subscribers_agree_with_a_list);
    RUN(there_are_only_so_many_subscriptions);
    RUN(a_long_answer_goes_to_a_few_at_a_time);
    return 0;
}
