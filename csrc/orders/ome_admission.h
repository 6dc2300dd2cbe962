/* Admission: every check of a command before anything changes, in the order of docs/RULES.md, "Order of checks".
 *
 * There is one table of checks (ome_admission_table.c): a row has its reason, the commands that it is for, and its predicate. The engine is only
 * read. What a check had to work out is kept, so that it is not worked out twice: once a command is admitted, its admission says what
 * becomes of it. */
#ifndef OME_ADMISSION_H
#define OME_ADMISSION_H

#include "matching/ome_incoming.h"

typedef struct
{
    const ome_engine_t *engine;
    const ome_command_t *command;
    const ome_given_t *given;
    ome_book_t *book;
    const ome_special_t *special; /* of the order meant; one that is all zeros for a plain or a new order */
    uint64_t client_order_id;     /* that the order has from now on */
    uint64_t key;                 /* of the price, on the order's side; of an order with a limit that does not wait */
    int64_t price;                /* limit, or distance of a trailing stop limit */
    int64_t old_price;
    int64_t stop_price;
    int64_t leaves; /* once the command has taken effect; at or below 0 an amend cancels */
    int64_t old_leaves;
    uint32_t slot; /* of the order meant; 0 for a new order */
    uint8_t side;
    uint8_t order_type; /* of an order at rest LIMIT */
    uint8_t marks;
    bool rests;   /* what does not trade may rest */
    bool waits;   /* the order meant is a stop that waits */
    bool crosses; /* it meets the other side */
} ome_admission_t;

/* Sets what no check works out: not all of it, since a command that is refused needs little. */
static inline void ome_admission_begin(
    ome_admission_t *admission, const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given)
{
    admission->engine = engine;
    admission->command = command;
    admission->given = given;
    admission->key = 0;
    admission->slot = 0;
    admission->waits = false;
    admission->crosses = false;
}

/* Each returns the reason of the first check that fails, or OME_REASON_NONE. */
uint8_t ome_admit_new(ome_admission_t *admission);
uint8_t ome_admit_amend(ome_admission_t *admission);
uint8_t ome_admit_reduce(ome_admission_t *admission);
uint8_t ome_admit_cancel(ome_admission_t *admission);
uint8_t ome_admit_mass_cancel(ome_admission_t *admission);
uint8_t ome_admit_expire_orders(ome_admission_t *admission);
uint8_t ome_admit_set_last_price(ome_admission_t *admission);
uint8_t ome_admit_definition(ome_admission_t *admission);

/* Whether a new order is special (Rules): as long as it lives it has a record. */
bool ome_admission_is_special(const ome_admission_t *admission);

/* Of a stop that was triggered: whether it may enter. Where a post-only order slides, its price and key are those that it slides to. */
uint8_t ome_admit_triggered(const ome_engine_t *engine, ome_incoming_t *incoming);

#endif
