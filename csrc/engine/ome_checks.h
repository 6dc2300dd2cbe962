/* Every check of a command before anything changes, in the order that docs/RULES.md gives. Internal to engine/.
 *
 * The engine is only read. What the checks had to work out on the way is kept, so that it is not worked out twice. */
#ifndef OME_CHECKS_H
#define OME_CHECKS_H

#include "engine/ome_engine.h"

typedef struct
{
    ome_book_t *book;
    uint64_t key;    /* of the price, on the order's side; not set for a market order */
    int64_t price;   /* limit; 0 for a market order */
    int64_t limit;   /* as price; for a market order, any price */
    int64_t leaves;  /* lots open once the command has taken effect; at or below 0 an amend cancels */
    uint32_t slot;   /* of the order meant; 0 for a new order */
    uint8_t side;
    bool crosses;
} ome_terms_t;

/* Checks that hold for every command. Returns OME_REASON_NONE or why it is refused; so do the others. */
uint8_t ome_check_command(const ome_engine_t *engine, const ome_command_t *command);

uint8_t ome_check_new(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms);
uint8_t ome_check_cancel(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms);
uint8_t ome_check_reduce(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms);
uint8_t ome_check_amend(const ome_engine_t *engine, const ome_command_t *command, ome_terms_t *terms);

/* Whether an order can join the level of this key: it exists, or one is free. */
bool ome_check_level_room(const ome_engine_t *engine, const ome_book_t *book, uint8_t side, uint64_t key);

#endif
