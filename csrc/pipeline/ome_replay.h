/* Replay: makes an engine what it was, from the journal.
 *
 * Reads the journal of a directory from its first record and applies every command. The first command tells the engine's limits (DefineLimits), so that nothing outside the
 * journal decides what a replay gives. Works in steps, so that a caller can show how far it is. Changes nothing on disk. One thread. */
#ifndef OME_REPLAY_H
#define OME_REPLAY_H

#include "base/ome_assert.h"
#include "engine/ome_engine.h"
#include "journal/ome_journal_reader.h"

typedef struct ome_replay
{
    ome_sink_t sink; /* first, so that a sink is its replay */
    ome_journal_reader_t reader;
    ome_engine_t *engine;        /* NULL before the first command */
    const char *reason;          /* why a record cannot be applied, where the reader found nothing wrong; otherwise NULL */
    ome_status_t reason_status;  /* OME_DAMAGED or OME_ASSERTED, where there is a reason */
    ome_assert_trap_t trap;
    uint64_t engine_size_bytes;
    uint64_t event_hash;         /* of what was flushed so far: see ome_replay_event_hash */
    void *reader_memory;
    ome_command_t commands[256]; /* read and applied together */
    ome_event_t events[256];     /* regenerated, hashed, and not kept */
} ome_replay_t;

/* Opens the journal in `directory`, which must exist. `replay` is zeroed memory. OME_OK; OME_INVALID: the name is too long; OME_NO_MEMORY. */
ome_status_t ome_replay_open(ome_replay_t *replay, const char *directory, bool is_live);

/* Applies up to `count_max` commands; a command of several records, of which each counts, may be split over steps. Everything before the end or an error is applied when it is
 * told. OME_OK: there may be more; OME_EMPTY: the journal ends here (reader.report says how); OME_DAMAGED, OME_UNSUPPORTED
 * (reader.report, or `reason`); OME_ASSERTED (`reason`; the engine's sequence says which command trips an assertion of the core, and nothing else of it is
 * to be used); OME_IO_ERROR (reader.error); OME_NO_MEMORY. */
ome_status_t ome_replay_step(ome_replay_t *replay, uint64_t count_max);

/* Reads up to `count_max` commands and applies none: for who wants to see them only, and never steps. Those that `count` tells are read
 * whatever is returned: as ome_replay_step, but for OME_NO_MEMORY. */
ome_status_t ome_replay_read(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max, uint64_t *count);

/* Reads up to `count_max` commands, the first of all alone, which the caller then applies to `engine` by ome_replay_guard, and whose events it hands to
 * ome_replay_hash. Returns as ome_replay_step; those that `count` tells are read whatever is returned. */
ome_status_t ome_replay_read_next(ome_replay_t *replay, ome_command_t *commands, uint64_t count_max, uint64_t *count);

/* Does work that applies commands to the engine. OME_OK; OME_ASSERTED, as ome_replay_step. */
ome_status_t ome_replay_guard(ome_replay_t *replay, void (*work)(void *context), void *context);

void ome_replay_hash(ome_replay_t *replay, const ome_event_t *events, uint64_t count);

/* Hands the engine over; the caller unmaps its memory of ome_engine_size_bytes. NULL when the journal had no command. */
ome_engine_t *ome_replay_take_engine(ome_replay_t *replay);

/* Rolling hash of all events so far. */
uint64_t ome_replay_event_hash(const ome_replay_t *replay);

void ome_replay_close(ome_replay_t *replay);

#endif
