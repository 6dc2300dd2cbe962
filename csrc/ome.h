/* ome: an order matching engine as a C library. This header is its manual.
 *
 * An engine is a pure state machine. Commands go in, events come out; both are records of 64 bytes (ome_command_t and
 * ome_event_t in abi/ome_records.h, which this header includes). The same commands give the same events, byte for byte,
 * and the same state, on every machine: the engine sees no clock, no randomness, no file and no network. docs/RULES.md
 * defines what each command does. docs/EMBEDDING.md shows how to build and link, and a whole program.
 *
 *     ome_limits_t limits = {.order_count_max = 1000, .level_count_max = 1000, .instrument_count_max = 1, .session_count_max = 1,
 *         .special_count_max = 100, .rules_version = OME_RULES_VERSION};
 *     ome_engine_t *engine;
 *     ome_batch_t *batch;
 *     if (ome_engine_create(&limits, &engine) != OME_OK || ome_batch_create(&batch) != OME_OK) ...
 *     ome_batch_apply(batch, engine, commands, command_count);
 *     while ((event_count = ome_batch_take(batch, events, 256)) > 0) ...
 *
 * Conventions, for every function here:
 *
 * - A function that can fail returns an ome_status_t (abi/ome_status.h), and its comment lists every status that it may
 *   return. If it does not return OME_OK, it does not write what the pointers point to. A refused command is not a
 *   failure: it is a REJECTED event with its reason, and has changed nothing but counters.
 * - Pointers must not be NULL, except the argument of a _destroy function and an array with a count of 0.
 * - Threads: the library has no locks. Only one thread at a time may call functions on an engine. Queries (functions
 *   that take a const engine) may run at the same time as each other, but not during any other call. The same holds for
 *   a batch. Different engines and batches are independent, on any threads.
 * - Memory: an engine lies in one block whose size follows from its limits and never changes. Only _create functions
 *   and a batch that grows ask the system for memory.
 * - Numbers: instruments count from 1 in the order in which they were defined; sessions and participants have the
 *   numbers that DefineSession gave them, from 1 to session_count_max, with gaps. A side is OME_SIDE_BUY or
 *   OME_SIDE_SELL. Prices are in the instrument's price unit (10^-price_decimals), quantities in lots, times in
 *   nanoseconds since 1970.
 * - If an invariant of the library itself is broken, the library prints where and aborts the process, because it must
 *   not go on with a wrong book. No command can cause that. */
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
 * Limits are set when an engine is made (ome_limits_t). A command that would exceed a limit is rejected with its own
 * reason (ORDER_LIMIT_REACHED, LEVEL_LIMIT_REACHED, SPECIAL_LIMIT_REACHED; BAD_DEFINITION for instruments and
 * sessions). Live orders are not affected, and there is room again as soon as something ends. */

typedef struct ome_engine ome_engine_t;

/* Bytes that an engine of these limits needs; 0 when a limit is out of range. Touches nothing. */
uint64_t ome_engine_size_bytes(const ome_limits_t *limits);

/* Makes an engine in your `memory`, which must be zeroed and aligned to 64 bytes. You free the memory, as a whole, when
 * the engine is no longer used; never call ome_engine_destroy on such an engine. The engine holds pointers into its
 * memory, so it cannot be moved or copied. Returns OME_OK; OME_INVALID: a limit is out of range, or the memory is not
 * aligned; OME_NO_MEMORY: `size_bytes` is below ome_engine_size_bytes. */
ome_status_t ome_engine_init(ome_engine_t **engine, void *memory, uint64_t size_bytes, const ome_limits_t *limits);

/* Makes an engine in memory of its own. The memory is reserved now and touched as the books grow, in huge pages if the
 * system grants them. Returns OME_OK; OME_INVALID: a limit is out of range; OME_NO_MEMORY. */
ome_status_t ome_engine_create(const ome_limits_t *limits, ome_engine_t **engine);

/* Moves an engine made by ome_engine_create to other limits: larger ones, or smaller ones that hold everything that it
 * has. Then `*engine` is another engine, which continues exactly as the first would have, and the first is freed.
 * Returns OME_OK; OME_INVALID: a limit is out of range; OME_FULL: the engine holds more than the limits allow;
 * OME_NO_MEMORY. If it does not return OME_OK, nothing has changed. */
ome_status_t ome_engine_resize(ome_engine_t **engine, const ome_limits_t *limits);

/* Frees an engine made by ome_engine_create; NULL is allowed. */
void ome_engine_destroy(ome_engine_t *engine);

/* ---- Applying commands ----
 *
 * The engine numbers the commands itself, from 1: it ignores the `sequence` of a command, and each event carries the
 * sequence of the command that caused it. The commands give the time (timestamp_ns). Time never runs backwards: a
 * command from the past has the time of the latest command before it. There is no useful bound on the events of one
 * command: one order may meet every other order, and trigger every stop. So no call can run out of room; there are
 * three ways to take events:
 *
 *   by a sink      the engine writes into your window, and calls you when it is full: nothing is copied, nothing allocated
 *   in a batch     the batch keeps all events of a call, in memory that grows; you read them in place
 *   in a buffer    your buffer has any size; you fill it from the batch until there are no more events
 *
 * Orders of more than one record (flag CONTINUED, then OrderTerms) may be split over calls; the engine applies the
 * command with its last record. */

/* A sink (engine/ome_sink.h) has `next`, where the engine writes the next event, `end`, and `flush`, which the engine
 * calls when the two meet. flush must take the events in the window, or give another window, so that next < end again;
 * it must not call the engine. After a call, the events from the start of your window to `next` are not flushed yet:
 * take them and set `next` back, or leave them there for the next call. Put the sink first in your own struct; flush
 * then finds the struct by a cast.
 *
 * Applies one command of 64 bytes, aligned to 8. Never fails. Takes some tens of nanoseconds in a book that the cache
 * holds. */
void ome_engine_apply(ome_engine_t *engine, const ome_command_t *command, ome_sink_t *sink);

/* Applies `count` commands, one after another: as ome_engine_apply in a loop, but faster, because it requests the
 * memory of later commands in advance. `count` may be 0. */
void ome_engine_apply_many(ome_engine_t *engine, const ome_command_t *commands, uint64_t count, ome_sink_t *sink);

/* A store of events, for as many engines as you like, one call at a time. */
typedef struct ome_batch ome_batch_t;

/* Returns OME_OK or OME_NO_MEMORY. */
ome_status_t ome_batch_create(ome_batch_t **batch);

/* NULL is allowed. */
void ome_batch_destroy(ome_batch_t *batch);

/* Drops the events of the previous call, applies `count` commands of 64 bytes each, and keeps their events until the
 * next call. `commands` needs no alignment. The store grows to the largest call and never shrinks. If there is no
 * memory for it, the function ends the process: the commands are applied by then, and their events must not be lost. */
void ome_batch_apply(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count);

/* The same, but it also keeps the events of the calls before it, back to the last ome_batch_apply. */
void ome_batch_append(ome_batch_t *batch, ome_engine_t *engine, const void *commands, uint64_t count);

/* Copies the next events of the last ome_batch_apply that were not taken yet to `events`, which has room for
 * `count_max`. Returns how many; 0 when all are taken. */
uint64_t ome_batch_take(ome_batch_t *batch, void *events, uint64_t count_max);

/* All events of the last ome_batch_apply in place, taken or not; valid until the next one. And their number. */
const void *ome_batch_events(const ome_batch_t *batch);
uint64_t ome_batch_event_count(const ome_batch_t *batch);

/* Rolling hash of all events that the batch ever held, as docs/RULES.md defines it. Two runs with the same
 * hash have given the same events. */
uint64_t ome_batch_event_hash(const ome_batch_t *batch);

/* An event with one meaning for each field; in ome_event_t, kinds share bytes. A field that a kind does not have is 0,
 * or OME_NULL_VALUE if 0 could be a value. */
typedef struct
{
    uint64_t sequence;
    uint64_t timestamp_ns; /* of the command, in every kind */
    uint64_t order_id; /* in TRADE and PREVENTED the aggressor */
    uint64_t client_order_id;
    uint64_t resting_order_id; /* TRADE and PREVENTED; otherwise 0, and so is the next field */
    uint64_t resting_client_order_id;
    int64_t price; /* price units, as the kind says; OME_NULL_VALUE if it has none, or if a refused amend did not change it */
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
    uint8_t order_type; /* STOP_SET; otherwise 0 */
    uint8_t reserved[2];
    uint32_t attributes[4]; /* ATTRIBUTES: by OME_ATTRIBUTE_ (abi/ome_attributes.h), 0 for one that is not given; otherwise 0 */
} ome_event_row_t;

/* Writes `count` events of 64 bytes to as many rows. A trade has no room for its time and its aggressor's owner: the
 * function takes them from earlier events of the same command. They are 0 if those are not among the given events.
 * Neither array needs alignment. */
void ome_event_rows(const void *events, uint64_t count, void *rows);

/* ---- Market data ----
 *
 * The part of the book that the market may see: displayed lots only. Hidden orders and the reserves of icebergs are
 * left out, and so is a level that holds nothing else. */

/* A price level. */
typedef struct
{
    int64_t price;         /* price units */
    int64_t quantity;      /* lots displayed */
    uint32_t order_count;  /* orders that display lots */
    uint32_t reserved;
} ome_depth_t;

/* The best level of a side. Returns OME_OK; OME_EMPTY: nothing is displayed on that side; OME_NOT_FOUND: no such
 * instrument; OME_INVALID: no such side. One load, except for levels that hold only hidden orders. */
ome_status_t ome_engine_best(const ome_engine_t *engine, uint32_t instrument, uint8_t side, ome_depth_t *depth);

/* The level at a price. Returns OME_OK; OME_EMPTY: nothing is displayed there; OME_NOT_FOUND: no such instrument;
 * OME_INVALID: no such side, or a price that is out of range or not on the tick. */
ome_status_t ome_engine_depth(const ome_engine_t *engine, uint32_t instrument, uint8_t side, int64_t price, ome_depth_t *depth);

/* Up to `count_max` levels of a side, best first; returns how many. 0 for an instrument or a side that does not
 * exist. */
uint32_t ome_engine_levels(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_depth_t *levels);

/* ---- Orders ----
 *
 * Everything about an order, for its owner and for the operator of the market. */

/* A live order: it rests in the book, or waits for its stop price. */
typedef struct
{
    uint64_t order_id;
    uint64_t client_order_id;    /* 0: none */
    int64_t price;               /* price units; waiting: its limit, of a TRAILING_STOP_LIMIT its distance, 0 without limit */
    int64_t leaves_quantity;     /* lots, including the reserve */
    int64_t cumulative_quantity; /* lots */
    int64_t displayed_quantity;  /* lots that the market sees; the rest of the leaves is reserve, or hidden, or waits */
    int64_t peak_quantity;       /* lots of each new peak of an iceberg; 0: the order is no iceberg */
    int64_t stop_price;          /* price units; 0 if it does not wait, and so are trail_amount and trail_basis_points */
    int64_t trail_amount;        /* price units; 0 if the distance is not given as a price */
    uint64_t deadline_ns;        /* 0: none */
    uint32_t account;
    uint32_t instrument;
    uint32_t self_trade_group;   /* 0: none */
    uint16_t participant;
    uint16_t session;
    uint16_t trail_basis_points;
    uint8_t side;
    uint8_t order_type;          /* OME_ORDER_TYPE_; LIMIT if it does not wait */
    uint8_t time_in_force;       /* OME_TIME_IN_FORCE_; GTC, DAY or GTD if it does not wait */
    uint8_t is_waiting;
    uint8_t is_hidden;
    uint8_t is_post_only;
    uint8_t self_trade_prevention; /* OME_SELF_TRADE_PREVENTION_ */
    uint8_t self_trade_scope;      /* OME_SELF_TRADE_SCOPE_ */
    uint8_t reserved[6];
    uint32_t attributes[4];        /* by OME_ATTRIBUTE_; 0: not given */
} ome_order_view_t;

/* Returns OME_OK, or OME_NOT_FOUND if there is no such live order. One load. */
ome_status_t ome_engine_order(const ome_engine_t *engine, uint64_t order_id, ome_order_view_t *order);

/* The same by the participant's own id. One search of a hash table. */
ome_status_t ome_engine_client_order(const ome_engine_t *engine, uint16_t participant, uint64_t client_order_id, ome_order_view_t *order);

/* The account of an order that rests, or rested before the last command, so that you can name both sides after a trade.
 * Returns OME_OK, or OME_NOT_FOUND if another order has taken its place since, or there never was such an order. */
ome_status_t ome_engine_account(const ome_engine_t *engine, uint64_t order_id, uint32_t *account);

/* Up to `count_max` resting orders of a side, in the order in which they would trade: levels best first; in a level
 * first the queue of displayed quantity from its front, then the hidden orders from the front of theirs. Returns how
 * many; 0 for an instrument or a side that does not exist. */
uint32_t ome_engine_orders(const ome_engine_t *engine, uint32_t instrument, uint8_t side, uint32_t count_max, ome_order_view_t *orders);

/* Up to `count_max` waiting orders of a side, in the order in which they would trigger: buys by rising stop price,
 * sells by falling stop price, at one stop price by entry. Returns how many. */
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
    uint16_t flags; /* OME_SESSION_FLAGS_ */
    uint16_t reserved;
    uint32_t command_sequence; /* of the last record that was taken from it; 0: none was */
    uint32_t reserved_too;
    uint64_t report_sequence; /* events so far that are reported to it */
    uint64_t defined_sequence; /* of the command that defined it */
} ome_session_view_t;

typedef struct
{
    uint32_t account;
    char participant_name[16]; /* whom it belongs to; only zeros: nobody */
} ome_account_view_t;

/* Both return OME_OK, or OME_NOT_FOUND if nothing has this number. To list all sessions, try the numbers from 1 on
 * until session_count of them were found. */
ome_status_t ome_engine_instrument(const ome_engine_t *engine, uint32_t number, ome_instrument_view_t *instrument);
ome_status_t ome_engine_session(const ome_engine_t *engine, uint32_t number, ome_session_view_t *session);

/* How many reports the sessions of a participant got since its number was given to its name: the number of its last report on a drop copy.
 * 0 for one without sessions. */
uint64_t ome_engine_participant_reports(const ome_engine_t *engine, uint32_t participant);

/* The accounts that were ever defined, in the order of their first definitions: `index` is from 0 to below account_count. Returns
 * OME_OK, or OME_NOT_FOUND. */
ome_status_t ome_engine_account_owner(const ome_engine_t *engine, uint32_t index, ome_account_view_t *account);

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
    uint32_t special_count; /* live special orders */
    uint32_t order_count_max; /* limits */
    uint32_t level_count_max;
    uint32_t instrument_count_max;
    uint32_t session_count_max;
    uint32_t special_count_max;
    uint32_t rules_version;
    uint32_t order_slot_count; /* slots that orders ever used: order_count_max cannot become less */
    uint32_t account_count; /* accounts that were ever defined */
    uint32_t account_count_max; /* limits, too */
    uint32_t limit_flags;
    uint32_t reserved;
} ome_engine_status_t;

void ome_engine_status(const ome_engine_t *engine, ome_engine_status_t *status);

/* ---- Agreement ---- */

/* Hash of the whole state, as docs/RULES.md defines it: two engines with the same hash behave the same from
 * now on. Walks every order. */
uint64_t ome_engine_state_hash(const ome_engine_t *engine);

/* Checks every invariant. Returns NULL, or a constant text that says what is wrong. For tests; slow. */
const char *ome_engine_check(const ome_engine_t *engine);

#ifdef __cplusplus
}
#endif

#endif
