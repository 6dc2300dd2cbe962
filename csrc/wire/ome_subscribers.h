/* The subscribers of each topic of market data, and the sending of a frame to all of them.
 *
 * A topic is 8 bytes, a channel and an instrument; a subscription is a topic, or a shorter prefix of topics. A
 * connection gets a frame once, however many of its subscriptions match.
 *
 * A new subscription is also a request for the current state of its topics. The state is made once for all requests,
 * and goes to those subscribers that read, up to a number of bytes at a time. The others are tried again later
 * (`retry`), so that the state is never made for a full queue.
 *
 * Bounds: OME_SUBSCRIPTION_COUNT_MAX in all; each topic once for a connection, and OME_SUBSCRIBER_PREFIX_COUNT_MAX
 * prefixes. Impossible topics are not stored. One thread. */
#ifndef OME_SUBSCRIBERS_H
#define OME_SUBSCRIBERS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ome_arena.h"
#include "wire/ome_socket.h"

#define OME_TOPIC_SIZE 8u
#define OME_SUBSCRIPTION_COUNT_MAX (UINT32_C(1) << 20)
#define OME_SUBSCRIBER_PREFIX_COUNT_MAX 16u

typedef struct
{
    uint64_t topic; /* a prefix is filled up with zeros */
    uint64_t asked; /* of a prefix: when it asked, as ome_subscribers_t.ask_count */
    uint32_t slot;  /* of its connection */
    uint32_t next_of_topic;
    uint32_t previous_of_topic;
    uint32_t next_of_peer;
    uint32_t previous_of_peer;
    uint32_t next_of_bucket;
    uint8_t prefix_size_bytes;
    bool is_asking; /* the state is requested; of a prefix: again, from instrument `owed_from` on */
    uint32_t owed_from;
} ome_subscription_t;
static_assert(sizeof(ome_subscription_t) == 48, "a million of them stay below 64 MB");

typedef struct
{
    uint64_t peer;
    uint64_t last_frame; /* that it got, or was to get */
    bool is_dropped;     /* there was no room for that frame */
    uint32_t first;      /* of its subscriptions */
    uint32_t prefix_count;
    bool is_owed;        /* it asked, and did not read then */
} ome_subscriber_t;

typedef struct
{
    ome_subscription_t *subscriptions; /* the first is not used */
    uint32_t *buckets;                 /* by peer, topic and size */
    uint32_t *topics;                  /* first subscription, by channel and instrument */
    uint64_t *answered;                /* when all prefixes were last answered, by channel and instrument */
    ome_subscriber_t *subscribers;     /* by the slot of the connection */
    const ome_socket_t *socket;
    uint64_t frame_count;
    uint64_t ask_count;
    uint32_t first_prefix;
    uint32_t free;
    uint32_t fresh;
    uint32_t count;
    uint32_t owed_count;
    uint32_t retry_slot; /* the last that had its turn */
    uint32_t channel_count;
    uint32_t instrument_count_max;
    uint32_t connection_slot_max;
} ome_subscribers_t;

/* Channels are numbered from 1. Without memory in the arena it only measures. */
void ome_subscribers_init(ome_subscribers_t *subscribers, ome_arena_t *arena, const ome_socket_t *socket, uint32_t channel_count,
    uint32_t instrument_count_max, uint32_t connection_slot_max);

/* Subscribes the peer to all topics with the prefix, and requests their state. OME_OK; OME_NOT_FOUND: no topic can
 * begin so; OME_FULL: it has too many, or all have. */
ome_status_t ome_subscribers_add(ome_subscribers_t *subscribers, uint64_t peer, const uint8_t *prefix, uint32_t prefix_size_bytes);

/* Ends the subscription; does nothing if there is none. */
void ome_subscribers_remove(ome_subscribers_t *subscribers, uint64_t peer, const uint8_t *prefix, uint32_t prefix_size_bytes);

/* The peer is gone. */
void ome_subscribers_remove_peer(ome_subscribers_t *subscribers, uint64_t peer);

/* Whether the peer has any subscription. */
bool ome_subscribers_has(const ome_subscribers_t *subscribers, uint64_t peer);

/* Whether the topic has a subscriber. */
bool ome_subscribers_want(const ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument);

/* Whether a peer that reads has requested the state of the topic; those that do not read are noted. */
bool ome_subscribers_ask(ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument);

typedef struct
{
    uint32_t sent_count;
    uint32_t dropped_count; /* the connection's queue was full */
} ome_publication_t;

/* Sends a frame of the topic to all its subscribers, or, as an answer, to those that requested the state and read. */
ome_publication_t ome_subscribers_publish(
    ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument, const uint8_t *frame, uint32_t size_bytes);
ome_publication_t ome_subscribers_answer(
    ome_subscribers_t *subscribers, uint32_t channel, uint32_t instrument, const uint8_t *frame, uint32_t size_bytes);

/* Of the connections that asked and did not read, or had no room, takes the next that reads now, and calls `want` with
 * the prefix of each of its subscriptions and the first instrument that it was not answered for. False when all have
 * had their turn, and begins anew then. So a slow reader continues where it stopped, and reaches the end. */
typedef void (*ome_subscribers_want_t)(void *context, const uint8_t *prefix, uint32_t prefix_size_bytes, uint32_t first_instrument);
bool ome_subscribers_retry(ome_subscribers_t *subscribers, ome_subscribers_want_t want, void *context);

#endif
