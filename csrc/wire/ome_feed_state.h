/* The feed's state, and the functions that its parts share. Only for csrc/wire/ome_feed_*.c.
 *
 * Each part uses those below it:
 *     ome_feed_loop.c     set-up, reading, running
 *     ome_feed_answers.c  subscriptions, and the current state for new subscribers
 *     ome_feed_frames.c   the messages of a batch, and their frames */
#ifndef OME_FEED_STATE_H
#define OME_FEED_STATE_H

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "wire/ome_feed.h"
#include "wire/ome_feed_book.h"
#include "wire/ome_subscribers.h"

#define OME_FEED_NS_PER_MS UINT64_C(1000000)

#define OME_FEED_CHANNEL_COUNT 3u

#define OME_FEED_MESSAGE_SIZE 80u
static_assert(sizeof(ome_top_of_book_t) == OME_FEED_MESSAGE_SIZE, "messages of the feed have one size");
static_assert(sizeof(ome_trade_print_t) == OME_FEED_MESSAGE_SIZE, "messages of the feed have one size");
static_assert(sizeof(ome_level_update_t) == OME_FEED_MESSAGE_SIZE, "messages of the feed have one size");
static_assert(sizeof(ome_level_snapshot_t) == OME_FEED_MESSAGE_SIZE, "messages of the feed have one size");
static_assert((2 * (uint64_t)OME_FEED_SNAPSHOT_LEVEL_COUNT_MAX + 1) * OME_FEED_MESSAGE_SIZE + OME_TOPIC_SIZE <= UINT32_MAX,
    "a frame's size is a 32-bit number");

/* An ome_message_header_t as the word at the place where a record has its sequence. */
#define OME_FEED_HEADER(template_id, block_length)                                                                                         \
    ((uint64_t)(block_length) | (uint64_t)(template_id) << 16 | (uint64_t)OME_SCHEMA_ID << 32 | (uint64_t)OME_SCHEMA_VERSION << 48)
static_assert(offsetof(ome_message_header_t, template_id) == 2, "HEADER has the fields where the header has them");
static_assert(offsetof(ome_message_header_t, schema_id) == 4, "HEADER has the fields where the header has them");
static_assert(offsetof(ome_message_header_t, version) == 6, "HEADER has the fields where the header has them");

typedef union
{
    ome_trade_print_t trade;
    ome_level_update_t level;
} ome_feed_message_t;

typedef struct
{
    int64_t bid_price;
    int64_t bid_quantity;
    int64_t ask_price;
    int64_t ask_quantity;
} ome_feed_top_t;
static_assert(sizeof(ome_feed_top_t) == 32, "tops are compared as bytes");

/* Messages of one channel and instrument that are not sent yet, linked through `next_message`. */
typedef struct
{
    uint32_t first;
    uint32_t last;
    uint32_t count;
} ome_feed_queue_t;

typedef struct
{
    ome_feed_top_t top; /* as last published; new subscribers get this */
    uint64_t top_sequence;
    uint64_t level_sequence; /* the last channel_sequence of each channel */
    uint64_t trade_sequence;
    ome_feed_queue_t levels;
    ome_feed_queue_t trades;
    uint32_t next_wanted; /* instrument; 0 ends the list */
    uint32_t next_touched;
    bool is_touched;
    bool wants_top;
    bool wants_levels;
} ome_feed_instrument_t;

struct ome_feed
{
    ome_feed_config_t config;
    ome_feed_book_t book;
    ome_subscribers_t subscribers;
    ome_feed_instrument_t *instruments; /* by number; the first is not used */
    uint32_t instrument_count;

    uint64_t sequence; /* last command that was read whole */
    uint64_t command_sequence; /* of the last event that was read */
    uint64_t timestamp_ns; /* of the command that is being read, or of the last */
    uint64_t trade_count;
    bool in_command; /* there may be more events of the command of `command_sequence` */
    bool is_stopped;

    ome_feed_message_t *messages; /* of the batch; the first is not used */
    uint32_t *next_message; /* 0 ends a queue */
    uint32_t message_count;
    uint32_t touched_first; /* instruments that the batch says something of, in the order first met */
    uint32_t touched_last;

    uint64_t noted_count; /* in this call of do_work: instruments looked at for who subscribed */
    uint32_t wanted_first; /* instruments whose state somebody still has to get */
    uint32_t wanted_last;
    int64_t snapshot_bytes; /* that may be sent now */
    uint64_t now_ns; /* monotonic, when snapshots were last looked at */
    uint64_t retry_ns;

    uint8_t *frame; /* topic, then messages */
};

static inline uint32_t ome_feed_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A message of the frame that is being put together. */
static inline uint8_t *ome_feed_frame_message(const ome_feed_t *feed, uint32_t index)
{
    return feed->frame + OME_TOPIC_SIZE + (uint64_t)index * OME_FEED_MESSAGE_SIZE;
}

/* ---- ome_feed_frames.c ---- */

/* The best of both sides as the feed's book has them. */
ome_feed_top_t ome_feed_current_top(const ome_feed_t *feed, uint32_t number);

/* Puts the top as it was last published into the frame buffer. */
void ome_feed_put_top(const ome_feed_t *feed, uint32_t number);

/* Sends the first `message_count` messages of the frame buffer to those who asked. */
void ome_feed_answer_frame(ome_feed_t *feed, uint32_t channel, uint32_t number, uint32_t message_count);

/* A level as the feed's book has it. */
ome_level_update_t ome_feed_level_update(const ome_feed_t *feed, const ome_level_t *level, uint64_t channel_sequence);

void ome_feed_print_trade(ome_feed_t *feed, const ome_event_t *event);

/* The command that was read has no event more. */
void ome_feed_end_command(ome_feed_t *feed);

/* Sends what the batch has to say. */
void ome_feed_end_batch(ome_feed_t *feed);

/* ---- ome_feed_answers.c ---- */

/* There is an instrument more. */
void ome_feed_define_instrument(ome_feed_t *feed, uint32_t number);

/* Each returns how much was done. */
uint32_t ome_feed_receive_subscriptions(ome_feed_t *feed);
uint32_t ome_feed_answer_wanted(ome_feed_t *feed);

#endif
