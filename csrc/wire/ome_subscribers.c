#include "wire/ome_subscribers.h"

#include <string.h>

#include "base/ome_assert.h"

#define BUCKET_COUNT OME_SUBSCRIPTION_COUNT_MAX
#define READS_BYTES (UINT32_C(64) * 1024) /* a peer with fewer waiting bytes counts as reading */
#define ANSWER_BYTES                                                                                                                       \
    (UINT64_C(4) * 1024 * 1024) /* copied for one answer: the other peers get it later, so that market events do not wait */

void ome_subscribers_init(ome_subscribers_t *subscribers, ome_arena_t *arena, const ome_socket_t *socket, uint32_t channel_count,
    uint32_t instrument_count_max, uint32_t connection_slot_max)
{
    const uint64_t topic_count = (uint64_t)channel_count * ((uint64_t)instrument_count_max + 1);
    *subscribers = (ome_subscribers_t){.socket = socket,
        .fresh = 1,
        .channel_count = channel_count,
        .instrument_count_max = instrument_count_max,
        .connection_slot_max = connection_slot_max};
    subscribers->subscriptions = ome_arena_take(arena, ((uint64_t)OME_SUBSCRIPTION_COUNT_MAX + 1) * sizeof(ome_subscription_t));
    subscribers->buckets = ome_arena_take(arena, (uint64_t)BUCKET_COUNT * sizeof(uint32_t));
    subscribers->topics = ome_arena_take(arena, topic_count * sizeof(uint32_t));
    subscribers->answered = ome_arena_take(arena, topic_count * sizeof(uint64_t));
    subscribers->subscribers = ome_arena_take(arena, ((uint64_t)connection_slot_max + 1) * sizeof(ome_subscriber_t));
}

/* ---- Topics ---- */

static uint64_t subscribers_topic_number(uint32_t channel, uint32_t instrument)
{
    return (uint64_t)channel << 32 | instrument;
}

static uint64_t subscribers_topic_index(const ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument)
{
    return (uint64_t)(channel - 1) * ((uint64_t)subscribers->instrument_count_max + 1) + instrument;
}

/* A prefix as the number that a topic is, filled up with zeros. */
static uint64_t subscribers_prefix_number(const uint8_t *prefix, uint32_t prefix_size_bytes)
{
    uint8_t bytes[OME_TOPIC_SIZE] = {0};
    memcpy(bytes, prefix, prefix_size_bytes);
    uint64_t number;
    memcpy(&number, bytes, sizeof(number));
    return __builtin_bswap64(number);
}

static bool subscribers_is_prefix_of(const ome_subscription_t *subscription, uint64_t topic)
{
    const uint32_t bits = 8 * subscription->prefix_size_bytes;
    return bits == 0 || (topic ^ subscription->topic) >> (64 - bits) == 0;
}

/* Whether there can be a topic that begins so. */
static bool subscribers_is_possible(const ome_subscribers_t *subscribers, uint64_t topic, uint32_t prefix_size_bytes)
{
    const uint32_t channel = (uint32_t)(topic >> 32);
    const uint32_t instrument = (uint32_t)topic;
    if (prefix_size_bytes < 4)
    {
        return prefix_size_bytes == 0 || topic == 0; /* the channels are small numbers */
    }
    if (channel < 1 || channel > subscribers->channel_count || instrument > subscribers->instrument_count_max)
    {
        return false;
    }
    return prefix_size_bytes < OME_TOPIC_SIZE || instrument >= 1;
}

/* The list that a subscription is in. */
static uint32_t *subscribers_list_of(ome_subscribers_t *subscribers, uint64_t topic, uint32_t prefix_size_bytes)
{
    if (prefix_size_bytes < OME_TOPIC_SIZE)
    {
        return &subscribers->first_prefix;
    }
    return &subscribers->topics[subscribers_topic_index(subscribers, (uint32_t)(topic >> 32), (uint32_t)topic)];
}

/* ---- Finding ---- */

static uint32_t *subscribers_bucket_of(const ome_subscribers_t *subscribers, uint32_t slot, uint64_t topic, uint32_t prefix_size_bytes)
{
    uint64_t hash = (slot ^ topic << 20 ^ topic >> 44 ^ (uint64_t)prefix_size_bytes << 60) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    return &subscribers->buckets[hash & (BUCKET_COUNT - 1)];
}

static uint32_t subscribers_find(const ome_subscribers_t *subscribers, uint32_t slot, uint64_t topic, uint32_t prefix_size_bytes)
{
    uint32_t index = *subscribers_bucket_of(subscribers, slot, topic, prefix_size_bytes);
    while (index != 0)
    {
        const ome_subscription_t *found = &subscribers->subscriptions[index];
        if (found->slot == slot && found->topic == topic && found->prefix_size_bytes == prefix_size_bytes)
        {
            break;
        }
        index = found->next_of_bucket;
    }
    return index;
}

static ome_subscriber_t *subscriber_of(const ome_subscribers_t *subscribers, uint32_t slot)
{
    OME_ASSERT(slot <= subscribers->connection_slot_max);
    return &subscribers->subscribers[slot];
}

static void subscribers_ask(ome_subscribers_t *subscribers, ome_subscription_t *subscription)
{
    subscription->is_asking = subscription->prefix_size_bytes == OME_TOPIC_SIZE;
    subscription->asked = ++subscribers->ask_count;
    subscription->owed_from = 1;
}

static uint32_t subscribers_take_free(ome_subscribers_t *subscribers)
{
    if (subscribers->count == OME_SUBSCRIPTION_COUNT_MAX)
    {
        return 0;
    }
    const uint32_t index = subscribers->free;
    if (index == 0)
    {
        return subscribers->fresh++;
    }
    subscribers->free = subscribers->subscriptions[index].next_of_bucket;
    return index;
}

ome_status_t ome_subscribers_add(ome_subscribers_t *subscribers, uint64_t peer, const uint8_t *prefix, uint32_t prefix_size_bytes)
{
    if (prefix_size_bytes > OME_TOPIC_SIZE)
    {
        return OME_NOT_FOUND;
    }
    const uint64_t topic = subscribers_prefix_number(prefix, prefix_size_bytes);
    if (!subscribers_is_possible(subscribers, topic, prefix_size_bytes))
    {
        return OME_NOT_FOUND;
    }
    const uint32_t slot = (uint32_t)peer;
    ome_subscriber_t *subscriber = subscriber_of(subscribers, slot);
    uint32_t index = subscribers_find(subscribers, slot, topic, prefix_size_bytes);
    if (index != 0)
    {
        subscribers_ask(subscribers, &subscribers->subscriptions[index]);
        return OME_OK;
    }
    if (subscriber->first == 0)
    {
        subscribers->owed_count -= subscriber->is_owed;
        *subscriber = (ome_subscriber_t){.peer = peer};
    }
    OME_ASSERT(subscriber->peer == peer);
    const bool is_prefix = prefix_size_bytes < OME_TOPIC_SIZE;
    if (is_prefix && subscriber->prefix_count == OME_SUBSCRIBER_PREFIX_COUNT_MAX)
    {
        return OME_FULL;
    }
    index = subscribers_take_free(subscribers);
    if (index == 0)
    {
        return OME_FULL;
    }
    uint32_t *list = subscribers_list_of(subscribers, topic, prefix_size_bytes);
    uint32_t *bucket = subscribers_bucket_of(subscribers, slot, topic, prefix_size_bytes);
    subscribers->subscriptions[index] = (ome_subscription_t){.slot = slot,
        .topic = topic,
        .next_of_topic = *list,
        .next_of_peer = subscriber->first,
        .next_of_bucket = *bucket,
        .prefix_size_bytes = (uint8_t)prefix_size_bytes};
    if (*list != 0)
    {
        subscribers->subscriptions[*list].previous_of_topic = index;
    }
    if (subscriber->first != 0)
    {
        subscribers->subscriptions[subscriber->first].previous_of_peer = index;
    }
    *list = index;
    *bucket = index;
    subscriber->first = index;
    subscriber->prefix_count += is_prefix;
    subscribers->count++;
    subscribers_ask(subscribers, &subscribers->subscriptions[index]);
    return OME_OK;
}

/* ---- Removing ---- */

static void subscribers_release(ome_subscribers_t *subscribers, uint32_t index)
{
    ome_subscription_t *gone = &subscribers->subscriptions[index];
    uint32_t *link = subscribers_bucket_of(subscribers, gone->slot, gone->topic, gone->prefix_size_bytes);
    while (*link != index)
    {
        link = &subscribers->subscriptions[*link].next_of_bucket;
    }
    *link = gone->next_of_bucket;
    if (gone->next_of_topic != 0)
    {
        subscribers->subscriptions[gone->next_of_topic].previous_of_topic = gone->previous_of_topic;
    }
    if (gone->previous_of_topic != 0)
    {
        subscribers->subscriptions[gone->previous_of_topic].next_of_topic = gone->next_of_topic;
    }
    else
    {
        *subscribers_list_of(subscribers, gone->topic, gone->prefix_size_bytes) = gone->next_of_topic;
    }
    if (gone->next_of_peer != 0)
    {
        subscribers->subscriptions[gone->next_of_peer].previous_of_peer = gone->previous_of_peer;
    }
    *(gone->previous_of_peer != 0 ? &subscribers->subscriptions[gone->previous_of_peer].next_of_peer
                                  : &subscriber_of(subscribers, gone->slot)->first) = gone->next_of_peer;
    subscriber_of(subscribers, gone->slot)->prefix_count -= gone->prefix_size_bytes < OME_TOPIC_SIZE;
    gone->next_of_bucket = subscribers->free;
    subscribers->free = index;
    subscribers->count--;
}

void ome_subscribers_remove(ome_subscribers_t *subscribers, uint64_t peer, const uint8_t *prefix, uint32_t prefix_size_bytes)
{
    if (prefix_size_bytes <= OME_TOPIC_SIZE)
    {
        const uint32_t index =
            subscribers_find(subscribers, (uint32_t)peer, subscribers_prefix_number(prefix, prefix_size_bytes), prefix_size_bytes);
        if (index != 0)
        {
            subscribers_release(subscribers, index);
        }
    }
}

void ome_subscribers_remove_peer(ome_subscribers_t *subscribers, uint64_t peer)
{
    ome_subscriber_t *subscriber = subscriber_of(subscribers, (uint32_t)peer);
    while (subscriber->first != 0)
    {
        subscribers_release(subscribers, subscriber->first);
    }
}

bool ome_subscribers_has(const ome_subscribers_t *subscribers, uint64_t peer)
{
    return subscriber_of(subscribers, (uint32_t)peer)->first != 0;
}

/* ---- Sending ---- */

bool ome_subscribers_want(const ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument)
{
    if (subscribers->topics[subscribers_topic_index(subscribers, channel, instrument)] != 0)
    {
        return true;
    }
    const uint64_t topic = subscribers_topic_number(channel, instrument);
    for (uint32_t index = subscribers->first_prefix; index != 0; index = subscribers->subscriptions[index].next_of_topic)
    {
        if (subscribers_is_prefix_of(&subscribers->subscriptions[index], topic))
        {
            return true;
        }
    }
    return false;
}

/* Whether a subscription to the topic requests its state. */
static bool subscribers_is_asking(const ome_subscribers_t *subscribers, const ome_subscription_t *subscription, uint64_t index)
{
    return subscription->prefix_size_bytes == OME_TOPIC_SIZE ? subscription->is_asking : subscription->asked > subscribers->answered[index];
}

static bool subscribers_is_reading(const ome_subscribers_t *subscribers, uint32_t slot)
{
    return subscribers->socket->queued(subscribers->socket->context, subscribers->subscribers[slot].peer) < READS_BYTES;
}

static void subscribers_owe(ome_subscribers_t *subscribers, ome_subscription_t *subscription, uint32_t instrument)
{
    ome_subscriber_t *subscriber = subscriber_of(subscribers, subscription->slot);
    const bool is_first = subscription->prefix_size_bytes == OME_TOPIC_SIZE || !subscription->is_asking;
    subscription->owed_from = is_first || instrument < subscription->owed_from ? instrument : subscription->owed_from;
    subscription->is_asking = true;
    subscribers->owed_count += !subscriber->is_owed;
    subscriber->is_owed = true;
}

bool ome_subscribers_ask(ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument)
{
    const uint64_t at = subscribers_topic_index(subscribers, channel, instrument);
    const uint64_t topic = subscribers_topic_number(channel, instrument);
    bool has_reader = false;
    for (uint32_t pass = 0; pass < 2; pass++)
    {
        uint32_t index = pass == 0 ? subscribers->topics[at] : subscribers->first_prefix;
        for (; index != 0; index = subscribers->subscriptions[index].next_of_topic)
        {
            ome_subscription_t *subscription = &subscribers->subscriptions[index];
            if (!subscribers_is_prefix_of(subscription, topic) || !subscribers_is_asking(subscribers, subscription, at))
            {
                continue;
            }
            if (subscribers_is_reading(subscribers, subscription->slot))
            {
                has_reader = true;
            }
            else
            {
                subscribers_owe(subscribers, subscription, instrument);
            }
        }
    }
    return has_reader;
}

/* False where there was no room for the frame, now or when another subscription of the same connection was to get
 * it. */
static bool subscribers_send_once(ome_subscribers_t *subscribers, const ome_subscription_t *subscription, const uint8_t *frame,
    uint32_t size_bytes, ome_publication_t *publication)
{
    const ome_socket_t *socket = subscribers->socket;
    ome_subscriber_t *subscriber = subscriber_of(subscribers, subscription->slot);
    if (subscriber->last_frame != subscribers->frame_count)
    {
        const ome_status_t status = socket->send(socket->context, subscriber->peer, frame, size_bytes);
        subscriber->last_frame = subscribers->frame_count;
        subscriber->is_dropped = status == OME_FULL;
        publication->sent_count += status == OME_OK;
        publication->dropped_count += status == OME_FULL;
    }
    return !subscriber->is_dropped;
}

ome_publication_t ome_subscribers_publish(
    ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument, const uint8_t *frame, uint32_t size_bytes)
{
    ome_publication_t publication = {0};
    const uint64_t topic = subscribers_topic_number(channel, instrument);
    subscribers->frame_count++;
    uint32_t index = subscribers->topics[subscribers_topic_index(subscribers, channel, instrument)];
    for (; index != 0; index = subscribers->subscriptions[index].next_of_topic)
    {
        (void)subscribers_send_once(subscribers, &subscribers->subscriptions[index], frame, size_bytes, &publication);
    }
    for (index = subscribers->first_prefix; index != 0; index = subscribers->subscriptions[index].next_of_topic)
    {
        if (subscribers_is_prefix_of(&subscribers->subscriptions[index], topic))
        {
            (void)subscribers_send_once(subscribers, &subscribers->subscriptions[index], frame, size_bytes, &publication);
        }
    }
    return publication;
}

ome_publication_t ome_subscribers_answer(
    ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument, const uint8_t *frame, uint32_t size_bytes)
{
    ome_publication_t publication = {0};
    const uint64_t at = subscribers_topic_index(subscribers, channel, instrument);
    const uint64_t topic = subscribers_topic_number(channel, instrument);
    subscribers->frame_count++;
    for (uint32_t pass = 0; pass < 2; pass++)
    {
        uint32_t index = pass == 0 ? subscribers->topics[at] : subscribers->first_prefix;
        for (; index != 0; index = subscribers->subscriptions[index].next_of_topic)
        {
            ome_subscription_t *subscription = &subscribers->subscriptions[index];
            if (!subscribers_is_prefix_of(subscription, topic) || !subscribers_is_asking(subscribers, subscription, at))
            {
                continue;
            }
            const bool is_much = (uint64_t)publication.sent_count * size_bytes >= ANSWER_BYTES;
            if (is_much || !subscribers_is_reading(subscribers, subscription->slot) ||
                !subscribers_send_once(subscribers, subscription, frame, size_bytes, &publication))
            {
                subscribers_owe(subscribers, subscription, instrument);
                continue;
            }
            subscription->is_asking =
                subscription->is_asking && subscription->prefix_size_bytes < OME_TOPIC_SIZE; /* a topic is answered now */
        }
    }
    subscribers->answered[at] = subscribers->ask_count;
    return publication;
}

static void subscribers_ask_again(
    ome_subscribers_t *subscribers, const ome_subscriber_t *subscriber, ome_subscribers_want_t want, void *context)
{
    for (uint32_t index = subscriber->first; index != 0; index = subscribers->subscriptions[index].next_of_peer)
    {
        ome_subscription_t *subscription = &subscribers->subscriptions[index];
        if (!subscription->is_asking)
        {
            continue;
        }
        const uint64_t bytes = __builtin_bswap64(subscription->topic);
        const uint32_t first_instrument = subscription->owed_from;
        subscribers_ask(subscribers, subscription);
        want(context, (const uint8_t *)&bytes, subscription->prefix_size_bytes, first_instrument);
    }
}

bool ome_subscribers_retry(ome_subscribers_t *subscribers, ome_subscribers_want_t want, void *context)
{
    while (subscribers->owed_count > 0 && subscribers->retry_slot < subscribers->connection_slot_max)
    {
        const uint32_t slot = ++subscribers->retry_slot;
        ome_subscriber_t *subscriber = &subscribers->subscribers[slot];
        if (!subscriber->is_owed || (subscriber->first != 0 && !subscribers_is_reading(subscribers, slot)))
        {
            continue;
        }
        subscriber->is_owed = false;
        subscribers->owed_count--;
        subscribers_ask_again(subscribers, subscriber, want, context);
        return true;
    }
    subscribers->retry_slot = 0;
    return false;
}
