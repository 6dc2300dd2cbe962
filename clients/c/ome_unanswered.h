/* The messages of a session that no report has answered: a bounded ring, part of the client library (ome_client.h).
 *
 * It numbers messages, knows which are on the connection, and which have to be sent again. It knows no sockets and no time, and allocates
 * nothing. One thread uses it.
 */
#ifndef OME_UNANSWERED_H
#define OME_UNANSWERED_H

#include <stdbool.h>

#include "ome_client.h"

/* All commands have the same layout in what is used here: header, client_order_id, session_sequence, flags. */
typedef union
{
    ome_header_t header;
    ome_new_order_t order;
    ome_order_terms_t terms;
} ome_unanswered_message_t;

/* Messages have positions that count up. Those from `first` to `next` - 1 are kept. Those before `sent` are on the connection; those before
 * `said` were, though they may have to be sent again, so that an answer may come. Those before `taken` were with the server at the last logon. New orders before `refuse_end` and not before `sent` are to be left out (STORAGE_LOW).
 * The message at `first` has the number after `answered_number`. */
typedef struct
{
    ome_unanswered_message_t *messages;
    uint32_t count_max;
    uint32_t answered_number, last_number;
    uint64_t first, sent, said, next, taken, refuse_end;
    bool is_known; /* how far the session has got: since the first logon */
} ome_unanswered_t;

/* Puts a command and its terms behind the others and numbers it. False where there is no room. */
bool ome_unanswered_put(
    ome_unanswered_t *ring, const ome_unanswered_message_t *command, const ome_client_term_t *terms, uint32_t term_count);

/* Copies what is to be sent next, at most `count_max` messages that end between commands; gives their number. */
uint32_t ome_unanswered_copy(ome_unanswered_t *ring, ome_unanswered_message_t *messages, uint32_t count_max);

/* The next `count` messages are on the connection. */
void ome_unanswered_note_sent(ome_unanswered_t *ring, uint32_t count);

/* A logon says that the venue took the messages up to this number: what is behind it is sent again. False where that cannot be, because the
 * venue or another client has changed the session; then nothing is kept. */
bool ome_unanswered_resume(ome_unanswered_t *ring, uint32_t taken_number);

/* Drops the oldest command if this report answers it. */
bool ome_unanswered_answer(ome_unanswered_t *ring, const ome_execution_report_t *report);

/* Drops what was taken before the last logon: its answers are lost. */
void ome_unanswered_drop_taken(ome_unanswered_t *ring);

/* The server did not take the messages from this number on: they are sent again, but for new orders if `is_storage_low`. False where no such
 * message is on the connection. */
bool ome_unanswered_go_back(ome_unanswered_t *ring, uint32_t number, bool is_storage_low);

/* Leaves out the next new order that storage refused, and numbers what is behind it anew. False where there is none. */
bool ome_unanswered_leave_out(ome_unanswered_t *ring, uint64_t *client_order_id);

#endif
