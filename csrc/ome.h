/* ome: an order matching engine as a C library. This header is its manual.
 *
 * An engine is a pure state machine. Commands go in, events come out; both are records of 64 bytes (ome_command_t and ome_event_t in
 * abi/ome_records.h, which this header includes). The same commands give the same events, byte for byte, and the same state, on every
 * machine: it sees no clock, no randomness, no file and no network. What each command does is told in docs/RULES.md, how to build and
 * link, and a whole program, in docs/EMBEDDING.md.
 *
 *     ome_limits_t limits = {.order_count_max = 1000, .level_count_max = 1000, .instrument_count_max = 1, .session_count_max = 1,
 *         .special_count_max = 100};
 *     ome_engine_t *engine;
 *     ome_batch_t *batch;
 *     if (ome_engine_create(&limits, &engine) != OME_OK || ome_batch_create(&batch) != OME_OK) ...
 *     ome_batch_apply(batch, engine, commands, command_count);
 *     while ((event_count = ome_batch_take(batch, events, 256)) > 0) ...
 *
 * Conventions, for every function here:
 *
 * - What can fail returns an ome_status_t (abi/ome_status.h), and its comment lists all that it may return; where it is not OME_OK, what
 *   the pointers point to is not written. A command that is refused is no failure: it is a REJECTED event with its reason, and has
 *   changed nothing but counters.
 * - Pointers must not be NULL, but for the argument of a _destroy function and for an array of which nothing is asked (a count of 0).
 * - Threads: nothing here locks, and no function is safe to call on an engine while another thread calls one on it, queries included;
 *   only queries (those that take a const engine) may run at the same time as each other. The same holds for a batch. Different engines
 *   and batches are independent, on any threads.
 * - Memory: an engine lies in one block whose size follows from its limits and never changes. Only _create functions and a batch that
 *   grows ask the system for memory.
 * - Numbers: instruments count from 1 in the order in which they were defined; sessions and participants have the numbers that
 *   DefineSession gave them, from 1 to session_count_max, with gaps. A side is OME_SIDE_BUY or OME_SIDE_SELL.
 *   Prices are in the instrument's price unit (10^-price_decimals), quantities in lots, times in nanoseconds since 1970.
 * - A broken invariant of the library itself prints where and aborts the process: it does not go on with a wrong book. No command can
 *   cause that. */
#ifndef OME_H
#define OME_H

#include <stdint.h>

#include "abi/ome_attributes.h"
#include "abi/ome_records.h"
#include "abi/ome_status.h"
#include "engine/ome_engine_limits.h"
#include "engine/ome_sink.h"

#ifdef __cplusplus
extern "C"
{
#endif

/* ---- Making an engine ----
 *
 * Limits are set when an engine is made (ome_limits_t). Reaching one is a rejection with its own reason (ORDER_LIMIT_REACHED,
 * LEVEL_LIMIT_REACHED, SPECIAL_LIMIT_REACHED; BAD_DEFINITION for instruments and sessions); everything that lives already goes on, and
 * there is room again as soon as something ends. */

typedef struct ome_engine ome_engine_t;

/* Bytes that an engine of these limits needs; 0 when a limit is out of range. Touches nothing. */
uint64_t ome_engine_size_bytes(const ome_limits_t *limits);

/* Makes an engine in `memory` of yours: zeroed, aligned to 64 bytes, and yours to free, as a whole, when the engine is no longer used;
 * never ome_engine_destroy such an engine. The engine holds pointers into its memory, so it cannot be moved or copied.
 * Returns OME_OK; OME_INVALID: a limit is out of range, or the memory is not aligned; OME_NO_MEMORY: `size_bytes` is below
 * ome_engine_size_bytes. */
ome_status_t ome_engine_init(ome_engine_t **engine, void *memory, uint64_t size_bytes, const ome_limits_t *limits);

/* Makes an engine in memory of its own, which is reserved now and touched as the books grow; in huge pages where the system grants them.
 * Returns OME_OK; OME_INVALID: a limit is out of range; OME_NO_MEMORY. */
ome_status_t ome_engine_create(const ome_limits_t *limits, ome_engine_t **engine);

/* Moves an engine made by ome_engine_create to other limits: larger ones, or smaller ones that hold all that it has. `*engine` is another one
 * then, which goes on exactly as the first would have, and the first is freed. Returns OME_OK; OME_INVALID: a limit is out of range; OME_FULL:
 * it holds more than they allow; OME_NO_MEMORY. Otherwise nothing has changed. */
ome_status_t ome_engine_resize(ome_engine_t **engine, const ome_limits_t *limits);

/* Frees an engine made by ome_engine_create; NULL is allowed. */
void ome_engine_destroy(ome_engine_t *engine);

/* ---- Applying commands ----
 *
 * The engine numbers the commands itself, from 1: the `sequence` that a command carries is ignored, each event carries that of the
 * command that caused it. Time is what the commands say (timestamp_ns); it never runs backwards, a command from the past has the time of
 * the latest before it. How many events a command gives is not bounded by anything useful: one order may meet every other, and set off
 * every stop. So there is no call that could run out of room; there are three ways to take events:
 *
 *   by a sink      the engine writes into a window of yours, and calls you when it is full: nothing is copied, nothing allocated
 *   in a batch     the batch keeps all events of a call, in memory that grows; you read them in place
 *   in a buffer    of any size of yours, filled from the batch as often as there is more
 *
 * Orders of more than one record (flag CONTINUED, then OrderTerms) may be split over calls; the command is applied with its last record. */

/* A sink (engine/ome_sink.h) is `next`, where the next event is written, `end`, and `flush`, which the engine calls when they meet.
 * flush must take what is in the window, or give another, so that next < end again; it must not call the engine. After a call, the
 * events from the start of your window to `next` are not flushed yet: take them and set `next` back, or leave them and go on. Put the
 * sink first in a struct of yours, and flush finds the struct by a cast.
 *
 * Applies one command of 64 bytes, aligned to 8. Never fails. Takes some tens of nanoseconds in a book that the cache holds. */
void ome_engine_apply(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);

/* Applies `count` commands, one after another: as ome_engine_apply in a loop, but faster, since it asks for the memory of those that
 * come ahead. `count` may be 0. */
void ome_engine_apply_many(ome_engine_t *engine, const ome_command_t *commands, uint64_t count, ome_sink_t *sink);

/* A store of events, for as many engines as you like, one call at a time. */
typedef struct ome_batch ome_batch_t;

/* Returns OME_OK or OME_NO_MEMORY. */
ome_status_t ome_batch_create(ome_batch_t **batch);

/* NULL is allowed. */
void ome_batch_destroy(ome_batch_t *batch);

/* Forgets the events of the call before, applies `count` commands of 64 bytes each, and keeps their events until the next call.
 * `commands` needs no alignment. The store grows to the largest call and never shrinks. Ends the process when no memory can be had for
 * it: the commands are applied by then, and what they caused must not be lost. */
void ome_batch_apply(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count);

/* The same, and keeps the events of the calls before it, back to the last ome_batch_apply. */
void ome_batch_append(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count);

/* Copies the next events of the last ome_batch_apply, those not taken yet, to `events`, which has room for `count_max`. Returns how
 * many; 0 when all are taken. */
uint64_t ome_batch_take(ome_batch_t *batch, void *events, uint64_t count_max);

/* All events of the last ome_batch_apply in place, taken or not, until the next one; and how many they are. */
const void *ome_batch_events(const ome_batch_t *batch);
uint64_t ome_batch_event_count(const ome_batch_t *batch);

/* Rolling hash of all events that the batch ever held, as docs/RULES.md defines it. Two runs that agree in it have said the same. */
uint64_t ome_batch_event_hash(const ome_batch_t *batch);

/* An event with one meaning for each field: in ome_event_t kinds share bytes. What a kind does not have is 0, or OME_NULL_VALUE where
 * 0 could be a value. */
typedef struct
{
    uint64_t sequence;
    uint64_t timestamp_ns; /* of the command, in every kind */
    uint64_t order_id; /* in TRADE and PREVENTED the aggressor */
    uint64_t client_order_id;
    uint64_t resting_order_id; /* TRADE and PREVENTED; otherwise 0, as in the next */
    uint64_t resting_client_order_id;
    int64_t price; /* price units, as the kind says; OME_NULL_VALUE where it has none, or a refused amend left it unchanged */
    int64_t quantity; /* lots, as the kind says; OME_NULL_VALUE as in price */
    uint32_t order_count; /* COMPLETED: orders cancelled */
    uint32_t account; /* of the order `order_id`, as participant and session are */
    uint32_t instrument;
    uint16_t participant;
    uint16_t session;
    uint8_t kind; /* OME_EVENT_KIND_ */
    uint8_t side; /* 0: none */
    uint8_t reason;
    uint8_t flags; /* OME_EVENT_FLAGS_; 0 in kinds that have none */
    uint8_t command_kind; /* REJECTED, DEFINED and COMPLETED; otherwise 0 */
    uint8_t reserved[3];
    uint32_t attributes[4]; /* ATTRIBUTES: by OME_ATTRIBUTE_ (abi/ome_attributes.h), 0 for one that is not given; otherwise 0 */
} ome_event_row_t;

/* Writes `count` events of 64 bytes to as many rows. A trade has no room for its time and its aggressor's owner: they come from the events
 * before it of the same command, and are 0 where those are not among the events given. Neither array needs alignment. */
void ome_event_rows(const void *events, uint64_t count, void *rows);

/* ---- Market data ----
 *
 * What the market may see: displayed lots only. Hidden orders and the reserves of icebergs are not in it, and a level that holds nothing
 * else is not there. */

/* A price level. */
typedef struct
{
    int64_t price;         /* price units */
    int64_t quantity;      /* lots displayed */
    uint32_t order_count;  /* orders that display lots */
    uint32_t reserved;
} ome_depth_t;

/* The best level of a side.
 * Returns OME_OK; OME_EMPTY: nothing is displayed on that side; OME_NOT_FOUND: no such instrument; OME_INVALID: no such side. One load,
 * but for levels with hidden orders alone. */
ome_status_t ome_engine_best(const ome_engine_t *engine, uint32_t instrument, uint8_t side, ome_depth_t *depth);

/* The level at a price.
 * Returns OME_OK; OME_EMPTY: nothing is displayed there; OME_NOT_FOUND: no such instrument; OME_INVALID: no such side, or a price that
 * is out of range or not on the tick. */
ome_status_t ome_engine_depth(const ome_engine_t *engine, uint32_t instrument, uint8_t side, int64_t price, ome_depth_t *depth);

/* Up to `count_max` levels of a side, best first; returns how many. 0 for an instrument or a side that is not there. */
uint32_t ome_engine_levels(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_depth_t *levels);

/* ---- Orders ----
 *
 * What their owners may see, and whoever runs the market: all of it. */

/* An order that lives: at rest in the book, or waiting for its stop price. */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;    /* 0: none */
    int64_t price;               /* price units; where it waits its limit, of a TRAILING_STOP_LIMIT its distance, 0 without limit */
    int64_t leaves_quantity;     /* lots, the reserve included */
    int64_t cumulative_quantity; /* lots */
    int64_t displayed_quantity;  /* lots that the market sees; the rest of the leaves is reserve, or hidden, or waits */
    int64_t peak_quantity;       /* lots that an iceberg displays anew; 0: it is none */
    int64_t stop_price;          /* price units; 0 where it does not wait, as in the next and in trail_basis_points */
    int64_t trail_amount;        /* price units; 0 where the distance is not given as such */
    uint64_t deadline_ns;        /* 0: none */
    uint32_t account;
    uint32_t instrument;
    uint32_t self_trade_group;   /* 0: none */
    uint16_t participant;
    uint16_t session;
    uint16_t trail_basis_points;
    uint8_t side;
    uint8_t order_type;          /* OME_ORDER_TYPE_; LIMIT where it does not wait */
    uint8_t time_in_force;       /* OME_TIME_IN_FORCE_; GTC, DAY or GTD where it does not wait */
    uint8_t is_waiting;
    uint8_t is_hidden;
    uint8_t is_post_only;
    uint8_t self_trade_prevention; /* OME_SELF_TRADE_PREVENTION_ */
    uint8_t self_trade_scope;      /* OME_SELF_TRADE_SCOPE_ */
    uint8_t reserved[6];
    uint32_t attributes[4];        /* by OME_ATTRIBUTE_; 0: not given */
} ome_order_view_t;

/* Returns OME_OK, or OME_NOT_FOUND when no such order lives. One load. */
ome_status_t ome_engine_order(const ome_engine_t *engine, uint64_t order_id, ome_order_view_t *order);

/* The same by the participant's own id. One search of a hash table. */
ome_status_t ome_engine_client_order(const ome_engine_t *engine, uint16_t participant, uint64_t client_order_id, ome_order_view_t *order);

/* The account of an order that rests, or rested before the last command: so after a trade both sides can be named.
 * Returns OME_OK, or OME_NOT_FOUND when its place was taken by another order since, or there never was such an order. */
ome_status_t ome_engine_account(const ome_engine_t *engine, uint64_t order_id, uint32_t *account);

/* Up to `count_max` orders of a side at rest, in the order in which they would trade: levels best first; in a level what is displayed
 * from the front of its queue, then the hidden orders from the front of theirs. Returns how many; 0 for an instrument or a side that is
 * not there. */
uint32_t ome_engine_orders(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_order_view_t *orders);

/* Up to `count_max` orders of a side that wait, in the order in which they would trigger: buys by rising stop price, sells by falling,
 * at one stop price by entry. Returns how many. */
uint32_t ome_engine_waiting_orders(
    const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_order_view_t *orders);

/* ---- Definitions and counts ---- */

typedef struct
{
    char symbol[16]; /* zero padded */
    int64_t tick; /* price units */
    int64_t last_trade_price; /* price units; OME_NULL_VALUE before the first */
    uint32_t collar_ticks; /* 0: none */
    uint16_t flags; /* OME_INSTRUMENT_FLAGS_ */
    uint8_t price_decimals;
    uint8_t quantity_decimals;
} ome_instrument_view_t;

typedef struct
{
    char participant_name[16]; /* zero padded */
    uint16_t participant;
    uint16_t session_number;
    uint32_t reserved;
} ome_session_view_t;

/* Both return OME_OK, or OME_NOT_FOUND where nothing has this number. For all sessions ask for the numbers from 1 on, until session_count of
 * them were found. */
ome_status_t ome_engine_instrument(const ome_engine_t *engine, uint32_t number, ome_instrument_view_t *instrument);
ome_status_t ome_engine_session(const ome_engine_t *engine, uint32_t number, ome_session_view_t *session);

/* Counts since the first command, what is in use, and the limits. */
typedef struct
{
    uint64_t sequence; /* records applied */
    uint64_t time_ns; /* highest timestamp of a record since the last SET_TIME, which sets it */
    uint64_t trade_count;
    uint64_t event_count;
    uint32_t instrument_count;
    uint32_t session_count; /* that are defined */
    uint32_t participant_count; /* that have a session */
    uint32_t level_count; /* price levels in use */
    uint32_t special_count; /* special orders that live */
    uint32_t order_count_max; /* limits */
    uint32_t level_count_max;
    uint32_t instrument_count_max;
    uint32_t session_count_max;
    uint32_t special_count_max;
    uint32_t order_slot_count; /* slots that orders ever used: order_count_max cannot become less */
    uint32_t reserved;
} ome_engine_status_t;

void ome_engine_status(const ome_engine_t *engine, ome_engine_status_t *status);

/* ---- Agreement ---- */

/* Hash of the whole state, as docs/RULES.md defines it: two engines that agree in it will go on alike. Walks every order. */
uint64_t ome_engine_state_hash(const ome_engine_t *engine);

/* Walks everything and returns NULL, or what is wrong, a constant: for tests. Slow. */
const char *ome_engine_check(const ome_engine_t *engine);

#ifdef __cplusplus
}
#endif

#endif
