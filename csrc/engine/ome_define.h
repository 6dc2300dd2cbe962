/* Definitions: what makes the engine what it is, as commands in the same sequence as orders. */
#ifndef OME_DEFINE_H
#define OME_DEFINE_H

#include "engine/ome_engine.h"

/* Applies a definition. Returns OME_REASON_NONE, or OME_REASON_BAD_DEFINITION and changes nothing. */
uint8_t ome_define(ome_engine_t *engine, const ome_command_t *command);

/* Gives a session the number in `sender` (ome_command_sender), which is in range. A session that has the number already is gone. */
void ome_define_session(ome_engine_t *engine, uint32_t sender, const char participant_name[OME_NAME_SIZE], uint16_t session_number);

/* Each owner of accounts has the participant that has its name. Where accounts were defined without ome_define. */
void ome_define_account_participants(ome_engine_t *engine);

/* Whether an account that has this for a name belongs to nobody. */
bool ome_define_is_nobody(const char name[OME_NAME_SIZE]);

static inline bool ome_define_are_session_flags(uint16_t flags)
{
    return (flags & ~(OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT | OME_SESSION_FLAGS_CANCEL_ON_LOGOUT)) == 0;
}

/* The number of the instrument with this symbol, padded with zeros; 0 where there is none. Takes the same time however many there are. */
uint32_t ome_define_find_symbol(const ome_engine_t *engine, const char symbol[OME_NAME_SIZE]);

/* Makes the next instrument, of a definition that is valid and whose symbol none has. There must be room. */
ome_book_t *ome_define_add_instrument(ome_engine_t *engine, const ome_command_t *definition);

/* How many reports the sessions of a participant got since its number was given to its name, those included that it no longer has; 0 for one
 * without sessions, and before the rules count them. It is the sum of what its sessions count, so that no order pays for it. */
uint64_t ome_define_participant_reports(const ome_engine_t *engine, uint32_t participant);

#endif
