/* The market data feed: follows the events of the outbound stream and publishes tops, price levels and trades to
 * its subscribers.
 *
 *     [ outbound stream ] --> events up to the gate --> own book (ome_feed_book) --> frames --> subscribers
 *                                                                                     ^
 *                                    somebody subscribed --> snapshot, between batches
 *
 * A frame is an 8-byte topic, channel and instrument of 32 bits each, big-endian, and messages with their headers, as
 * ome/codec/schema.xml has them:
 *   levels  a LevelUpdate for each level that a command changed, with its state after that command, in the order first changed
 *   trades  a TradePrint for each trade
 *   top     a TopOfBook at the end of a batch, if the best bid or ask is not the one that was last published
 * All messages show displayed quantity only: hidden orders and the reserves of icebergs appear only in trades. A batch
 * holds the events that were in the stream, at most about OME_FEED_BATCH_EVENT_COUNT, and ends with a command. The
 * messages of a batch for one channel and instrument go out as one frame, or as several frames if there are more than
 * OME_FEED_MESSAGE_COUNT_MAX messages in all. A command ends where the next event belongs to another command, or where
 * the stream says so.
 *
 * A new subscriber gets the current state: for each topic that its subscription is a prefix of, a LevelSnapshot with
 * the levels, or the TopOfBook. If it subscribed before the instrument was defined, it gets the state when the
 * instrument is defined. A snapshot is made once for all subscribers that wait for it at the same time, at a bounded
 * rate in bytes, and only while one of them reads. A snapshot that leaves levels out says how many.
 *
 * `channel_sequence` counts the messages of a channel and instrument from 1. A frame that a subscriber's queue cannot
 * take is dropped for that subscriber and counted; the subscriber sees the gap and subscribes again. The feed never
 * waits for a subscriber. Messages without a subscriber are counted and not made.
 *
 * Threads: one thread at a time calls do_work or run. It is a reader of the stream and uses the socket. It must keep
 * reading, because a slow reader delays the producer; when it has stopped, the owner detaches it from the stream.
 *
 * Invariant: no message has an engine_sequence above what the gate allowed when its batch was read.
 *
 * The feed does not keep what it published: a snapshot closes a gap; messages are never sent again. */
#ifndef OME_FEED_H
#define OME_FEED_H

#include <stdint.h>

#include "abi/ome_status.h"
#include "base/ome_counters.h"
#include "concurrent/ome_published.h"
#include "engine/ome_engine.h"
#include "wire/ome_socket.h"

#define OME_FEED_BATCH_EVENT_COUNT 512u
#define OME_FEED_MESSAGE_COUNT_MAX 1024u
#define OME_FEED_SNAPSHOT_LEVEL_COUNT_DEFAULT 65536u
#define OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX (UINT32_C(1) << 17) /* so that a snapshot fits into the pool of a listener */

/* What a topic begins with. */
enum
{
    OME_FEED_CHANNEL_TOP = 1,
    OME_FEED_CHANNEL_LEVELS = 2,
    OME_FEED_CHANNEL_TRADES = 3,
};

/* Each is there, and written by the feed's thread alone. */
typedef struct
{
    ome_counter_t *frames_sent;
    ome_counter_t *messages_sent;
    ome_counter_t *frames_dropped; /* for subscribers that did not read, once for each */
    ome_counter_t *snapshots_sent;
    ome_counter_t *snapshots_cut; /* books deeper than a snapshot may be: their worst levels are missing in it */
    ome_counter_t *last_sequence; /* the last command that is published */
    ome_counter_t *subscriptions; /* now */
    ome_counter_t *subscriptions_refused; /* of no topic, or too many */
} ome_feed_counters_t;

typedef struct
{
    ome_limits_t limits; /* those of the engine */
    uint32_t snapshot_level_count_max; /* levels of each side that a snapshot has, best first; 1 to OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX */
    uint32_t epoch; /* in every message: which start of the publisher this is */
    ome_reader_t reader;
    uint32_t connection_slot_max; /* of the socket's peers */
    int32_t event_fd; /* an eventfd, non-blocking, for this reader alone */
    const ome_socket_t *socket;
    ome_feed_counters_t counters;
} ome_feed_config_t;

typedef struct ome_feed ome_feed_t;

/* Bytes of memory for a feed of these limits; 0 when one is out of range. Most are touched only when they are used. */
uint64_t ome_feed_size_bytes(const ome_feed_config_t *config);

/* Makes a feed that has seen nothing in `memory`, which is zeroed and aligned to a cache line, and gives the stream's
 * reader the event descriptor. Before the threads start. OME_OK; OME_INVALID when the configuration is outside its
 * limits or the memory not aligned; OME_NO_MEMORY when `size_bytes` is below ome_feed_size_bytes. */
ome_status_t ome_feed_init(ome_feed_t **feed, void *memory, uint64_t size_bytes, const ome_feed_config_t *config);

/* Takes over the state of an engine: its books, its count of trades, its last sequence. The next event in the stream is
 * that of its next command. Once, on a new feed, before the threads start. OME_OK; OME_INVALID when the engine's limits
 * are others than the feed's. */
ome_status_t ome_feed_seed(ome_feed_t *feed, const ome_engine_t *engine);

/* Does what can be done now: reads subscriptions and events, sends. Never blocks, and does a bounded amount. Returns
 * how much it was; 0 when there was nothing to do, or it has stopped. */
uint32_t ome_feed_do_work(ome_feed_t *feed);

/* Works, and sleeps when there is nothing to do, for about `timeout_ms`. OME_OK; OME_STOPPED when the socket is closed,
 * or the sequences of the events went back: it does no more then. */
ome_status_t ome_feed_run(ome_feed_t *feed, uint32_t timeout_ms);

#endif
