/* The engine: a pure state machine. The same commands in the same order give the same events, byte for byte, and the same state.
 *
 * It sees no clock, no randomness and no input or output; it allocates nothing after init. One thread at a time. What it does with each
 * command is told in docs/RULES.md. Commands are numbered by the engine itself, from 1. */
#ifndef OME_ENGINE_H
#define OME_ENGINE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ome_records.h"
#include "abi/ome_status.h"
#include "base/ome_assert.h"
#include "book/ome_book_state.h"
#include "engine/ome_account.h"
#include "engine/ome_engine_limits.h"
#include "engine/ome_sink.h"

/* The terms of one command, by OME_TERM_. */
#define OME_TERMS_BAD 1u /* in `given`: one of them cannot be */

typedef struct
{
    int64_t values[OME_TERM_COUNT]; /* 0 where a term is not given; of one given twice the first */
    uint32_t given;                 /* bit n: term n is given */
} ome_given_t;

/* A command of several records whose last one has not come. */
typedef struct
{
    ome_command_t command; /* its first record */
    ome_given_t given;     /* by the records since */
    bool waits;
} ome_pending_t;

/* What a session is beside its sender. */
typedef struct
{
    char participant_name[OME_NAME_SIZE];
    uint16_t session_number;
    uint16_t flags; /* OME_SESSION_FLAGS_ */
} ome_session_t;

/* How far a session is. What is counted before the rules have sessions means nothing, and is set back when they get them. */
typedef struct
{
    uint64_t report_sequence;  /* events so far that are reported to it */
    uint64_t defined_sequence; /* of the command that defined it */
    uint32_t command_sequence; /* of the last record that was taken from it; 0: none was */
    uint32_t reserved;
} ome_session_progress_t;

typedef struct ome_engine
{
    uint64_t sequence; /* commands applied */
    uint64_t time_ns; /* highest timestamp of a command since the last SET_TIME, which sets it */
    uint64_t
        attention_ns; /* from this time on a command is not the first thing to do: no later than the earliest deadline; 0 while a command waits for its terms */
    uint64_t trade_count;
    uint64_t event_count;
    ome_book_t *books; /* by instrument number; the first is not used */
    uint32_t *symbols; /* a hash table of instrument numbers by symbol, 0 where it is free: ome_define.h */
    uint32_t *senders; /* by session number: its participant | its number << 16; 0 where no session has the number, and for the embedder */
    ome_session_t *sessions; /* by session number */
    ome_session_progress_t *progress; /* by session number; that of 0, the embedder, means nothing */
    uint16_t *participant_sessions; /* by participant number: how many sessions the participant has */
    uint64_t *past_reports; /* by participant number: reports to sessions that the participant no longer has */
    uint32_t symbols_mask; /* the table's size less 1; the size is a power of two, at least twice the instruments */
    uint32_t instrument_count;
    uint32_t session_count; /* that are defined */
    uint32_t participant_count; /* that have a session */
    uint32_t account_mask; /* 0 where an order may have any account, since none belongs to anybody; otherwise all ones */
    ome_limits_t limits;
    ome_accounts_t accounts;
    ome_book_pools_t pools;
    int64_t
        first_trade_price; /* of the aggressor that runs, where stops are to be looked at for it; OME_NULL_VALUE while it has not traded */
    uint32_t
        elected_head; /* slot of the first of the stops that were triggered and have not entered; linked by `next`; 0 between commands */
    uint32_t elected_tail;
    ome_pending_t pending;
} ome_engine_t;

/* Who sends a command: participant | session << 16, the upper half of an owner's word. */
static inline uint32_t ome_command_sender(const ome_command_t *command)
{
    uint32_t sender;
    __builtin_memcpy(&sender, &command->participant, sizeof(sender));
    return sender;
}

static_assert(
    offsetof(ome_command_t, session) == offsetof(ome_command_t, participant) + sizeof(uint16_t), "the sender is one word of a command");

static inline bool ome_session_is_defined(const ome_engine_t *engine, uint32_t session)
{
    return engine->senders[session] != 0;
}

static inline uint16_t ome_session_participant(const ome_engine_t *engine, uint32_t session)
{
    return (uint16_t)engine->senders[session];
}

/* The session is 0, the embedder's own, or is defined and its participant is the sender's. One comparison says both: the word of who is
 * not the embedder has a session in it, so it is never the 0 of a number that no session has. */
OME_ALWAYS_INLINE bool ome_engine_knows_sender(const ome_engine_t *engine, uint32_t sender)
{
    const uint32_t session = sender >> 16;
    return sender <= UINT16_MAX || OME_LIKELY(session <= engine->limits.session_count_max && engine->senders[session] == sender);
}

/* The number of a session's next message: 0 is none. */
static inline uint32_t ome_session_next_sequence(uint32_t sequence)
{
    return sequence == UINT32_MAX ? 1 : sequence + 1;
}

/* Whether the rules count the commands and reports of sessions. */
static inline bool ome_engine_counts_sessions(const ome_engine_t *engine)
{
    return engine->limits.rules_version >= OME_RULES_VERSION_SESSIONS;
}

/* Whether the rules know accounts that belong to participants. */
static inline bool ome_engine_knows_accounts(const ome_engine_t *engine)
{
    return engine->limits.rules_version >= OME_RULES_VERSION_ACCOUNTS;
}

/* Whether the rules count the reports of participants. */
static inline bool ome_engine_counts_participants(const ome_engine_t *engine)
{
    return engine->limits.rules_version >= OME_RULES_VERSION_PARTICIPANTS;
}

/* Whether an order is refused for an account that belongs to nobody. */
static inline bool ome_engine_restricts_accounts(const ome_engine_t *engine)
{
    return ome_engine_knows_accounts(engine) && (engine->limits.limit_flags & OME_LIMIT_FLAGS_ACCOUNTS_RESTRICTED) != 0;
}

/* To be called where accounts or limits have changed. */
static inline void ome_engine_set_account_mask(ome_engine_t *engine)
{
    engine->account_mask = engine->accounts.count != 0 || ome_engine_restricts_accounts(engine) ? UINT32_MAX : 0;
}

/* Whether an account, other than 0, is the participant's, or is one that anybody may use. */
static inline bool ome_engine_owns_account(const ome_engine_t *engine, uint32_t account, uint32_t participant)
{
    const uint32_t owner = ome_account_owner(&engine->accounts, account);
    return owner != 0 ? ome_account_is_owner(&engine->accounts, owner, participant) : !ome_engine_restricts_accounts(engine);
}

/* Whether a participant may enter orders for an account: one of its own, none, or one that anybody may use. */
OME_ALWAYS_INLINE bool ome_engine_may_use_account(const ome_engine_t *engine, uint32_t account, uint32_t participant)
{
    return OME_LIKELY((account & engine->account_mask) == 0) || ome_engine_owns_account(engine, account, participant);
}

/* Bytes that an engine of these limits needs; 0 when a limit is out of range. Most are touched only when they are used. */
uint64_t ome_engine_size_bytes(const ome_limits_t *limits);

/* Makes an engine in `memory`, which is zeroed and aligned to a cache line. OME_OK; OME_INVALID: a limit is out of range, or the memory
 * is not aligned; OME_NO_MEMORY: it is too small. */
ome_status_t ome_engine_init(ome_engine_t **engine, void *memory, uint64_t size_bytes, const ome_limits_t *limits);

#endif
