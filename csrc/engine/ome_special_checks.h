/* Every check of the commands that are not plain, in the order that docs/RULES.md gives. Internal to engine/.
 *
 * The engine is only read. What the checks had to work out on the way is kept. The checks of plain commands are in ome_checks.h. */
#ifndef OME_SPECIAL_CHECKS_H
#define OME_SPECIAL_CHECKS_H

#include "engine/ome_entry.h"

/* A price, or a stop price, of an instrument. */
uint8_t ome_check_price(const ome_book_t *book, int64_t price);

/* What a new order is to become. */
typedef struct
{
    ome_entrant_t entrant;
    ome_special_t special; /* to be kept where it is special */
    bool is_special;
    bool waits;   /* it is a stop */
    bool is_past; /* and past its trigger already */
    bool crosses; /* a limit order that meets the other side */
} ome_new_order_t;

uint8_t ome_check_new_order(const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_new_order_t *made);

/* What an amend makes of a live order. */
typedef struct
{
    uint64_t client_order_id; /* from now on */
    int64_t price;            /* limit or distance */
    uint64_t key;             /* of the price, of an order at rest */
    int64_t leaves;           /* at or below 0: it is cancelled */
    int64_t old_leaves;
    int64_t stop_price; /* of an order that waits */
    uint32_t slot;
    bool waits;
    bool crosses;
} ome_change_t;

uint8_t ome_check_amend_order(const ome_engine_t *engine, const ome_command_t *command, const ome_given_t *given, ome_change_t *change);

/* A cancel or a reduce of any order; sets its slot. */
uint8_t ome_check_cancel_order(const ome_engine_t *engine, const ome_command_t *command, uint32_t *slot);
uint8_t ome_check_reduce_order(const ome_engine_t *engine, const ome_command_t *command, uint32_t *slot);

#endif
