#include "engine/ome_define.h"

#include <string.h>

#include "base/ome_hash.h"
#include "book/ome_book.h"

static bool define_account_limits_agree(const ome_engine_t *engine, const ome_command_t *command)
{
    const ome_limits_t *limits = &engine->limits;
    return !ome_engine_knows_accounts(engine) ||
           (command->account_count_max == limits->account_count_max && command->limit_flags == limits->limit_flags);
}

/* Who changes them has moved the engine before (ome_resize.h). */
static bool define_limits_agree(const ome_engine_t *engine, const ome_command_t *command)
{
    const ome_limits_t *limits = &engine->limits;
    return command->order_count_max == limits->order_count_max && command->level_count_max == limits->level_count_max &&
           command->instrument_count_max == limits->instrument_count_max && command->session_count_max == limits->session_count_max &&
           command->special_count_max == limits->special_count_max && command->rules_version == limits->rules_version &&
           define_account_limits_agree(engine, command);
}

/* The entry of the table that has this symbol's instrument, or the free one where it would be. At least half of the table is free. */
static uint32_t define_symbol_entry(const ome_engine_t *engine, const char symbol[OME_NAME_SIZE])
{
    uint64_t words[OME_NAME_SIZE / sizeof(uint64_t)];
    memcpy(words, symbol, OME_NAME_SIZE);
    uint32_t entry = (uint32_t)ome_hash_fold(words[0] ^ OME_HASH_K0, words[1] ^ OME_HASH_K1) & engine->symbols_mask;
    while (engine->symbols[entry] != 0 && memcmp(engine->books[engine->symbols[entry]].instrument.symbol, symbol, OME_NAME_SIZE) != 0)
    {
        entry = (entry + 1) & engine->symbols_mask;
    }
    return entry;
}

uint32_t ome_define_find_symbol(const ome_engine_t *engine, const char symbol[OME_NAME_SIZE])
{
    return engine->symbols[define_symbol_entry(engine, symbol)];
}

ome_book_t *ome_define_add_instrument(ome_engine_t *engine, const ome_command_t *definition)
{
    const uint32_t number = ++engine->instrument_count;
    OME_EXPECT(number <= engine->limits.instrument_count_max);
    engine->symbols[define_symbol_entry(engine, definition->symbol)] = number;
    ome_book_init(&engine->books[number], number, definition);
    return &engine->books[number];
}

static bool define_instrument(ome_engine_t *engine, const ome_command_t *command)
{
    const bool is_next =
        command->instrument == engine->instrument_count + 1 && engine->instrument_count < engine->limits.instrument_count_max;
    if (!is_next || !ome_instrument_is_valid(command) || ome_define_find_symbol(engine, command->symbol) != 0)
    {
        return false;
    }
    (void)ome_define_add_instrument(engine, command);
    return true;
}

static bool define_is_in_range(const ome_engine_t *engine, uint32_t number)
{
    return number >= 1 && number <= engine->limits.session_count_max;
}

/* Whether the names, numbers and pairs go together with those of all sessions but the one whose number this takes. `is_new`: none of
 * them is the participant's. */
static bool define_agrees_with_others(const ome_engine_t *engine, const ome_command_t *command, bool *is_new)
{
    *is_new = true;
    for (uint32_t number = 1, seen = 0; seen < engine->session_count; number++)
    {
        seen += ome_session_is_defined(engine, number);
        if (!ome_session_is_defined(engine, number) || number == command->session)
        {
            continue;
        }
        const ome_session_t *session = &engine->sessions[number];
        const bool has_name = memcmp(session->participant_name, command->participant_name, OME_NAME_SIZE) == 0;
        const bool has_number = ome_session_participant(engine, number) == command->participant;
        if (has_name != has_number || (has_name && session->session_number == command->session_number))
        {
            return false;
        }
        *is_new = *is_new && !has_name;
    }
    return true;
}

/* A number is used again only where nothing lives that came under it. What waits for its terms does not count: any other record than
 * those ends it. */
static bool define_numbers_are_free(ome_engine_t *engine, const ome_command_t *command, bool is_new)
{
    if (ome_session_is_defined(engine, command->session) &&
        ome_order_pool_has(&engine->pools.orders, ome_session_participant(engine, command->session), command->session))
    {
        return false;
    }
    return !is_new || !ome_order_pool_has(&engine->pools.orders, command->participant, 0);
}

/* Whether the command is about the very session that has this number. */
static bool define_is_same_session(const ome_engine_t *engine, const ome_command_t *command)
{
    const ome_session_t *session = &engine->sessions[command->session];
    return engine->senders[command->session] == ome_command_sender(command) && session->session_number == command->session_number &&
           memcmp(session->participant_name, command->participant_name, OME_NAME_SIZE) == 0;
}

static bool define_flags_are_good(const ome_engine_t *engine, uint16_t flags)
{
    return !ome_engine_counts_sessions(engine) || ome_define_are_session_flags(flags);
}

static bool define_session(ome_engine_t *engine, const ome_command_t *command)
{
    bool is_new;
    if (!define_is_in_range(engine, command->session) || !define_is_in_range(engine, command->participant) ||
        !define_flags_are_good(engine, command->session_flags))
    {
        return false;
    }
    if (ome_engine_counts_sessions(engine) && define_is_same_session(engine, command))
    {
        engine->sessions[command->session].flags = command->session_flags;
        return true;
    }
    if (!ome_name_is_valid(command->participant_name) || !define_agrees_with_others(engine, command, &is_new) ||
        !define_numbers_are_free(engine, command, is_new))
    {
        return false;
    }
    ome_define_session(engine, ome_command_sender(command), command->participant_name, command->session_number);
    if (ome_engine_counts_sessions(engine))
    {
        engine->sessions[command->session].flags = command->session_flags;
    }
    return true;
}

static void define_forget_session(ome_engine_t *engine, uint32_t number)
{
    const uint16_t participant = ome_session_participant(engine, number);
    engine->session_count--;
    engine->past_reports[participant] += ome_engine_counts_participants(engine) ? engine->progress[number].report_sequence : 0;
    if (--engine->participant_sessions[participant] == 0)
    {
        engine->past_reports[participant] = 0;
        engine->participant_count--;
        ome_account_forget_participant(&engine->accounts, participant);
    }
}

void ome_define_session(ome_engine_t *engine, uint32_t sender, const char participant_name[OME_NAME_SIZE], uint16_t session_number)
{
    const uint32_t number = sender >> 16;
    OME_EXPECT(define_is_in_range(engine, sender >> 16));
    if (ome_session_is_defined(engine, number))
    {
        define_forget_session(engine, number);
    }
    engine->senders[number] = sender;
    memcpy(engine->sessions[number].participant_name, participant_name, OME_NAME_SIZE);
    engine->sessions[number].session_number = session_number;
    engine->sessions[number].flags = 0;
    engine->progress[number] = (ome_session_progress_t){.defined_sequence = engine->sequence};
    engine->session_count++;
    engine->participant_count += engine->participant_sessions[ome_session_participant(engine, number)]++ == 0;
    ome_account_name_participant(&engine->accounts, ome_session_participant(engine, number), participant_name);
    OME_EXPECT(ome_session_is_defined(engine, number));
}

uint64_t ome_define_participant_reports(const ome_engine_t *engine, uint32_t participant)
{
    uint64_t count = 0;
    if (!ome_engine_counts_participants(engine) || !define_is_in_range(engine, participant))
    {
        return 0;
    }
    for (uint32_t number = 1, seen = 0; seen < engine->participant_sessions[participant]; number++)
    {
        const bool is_own = ome_session_participant(engine, number) == participant;
        count += is_own ? engine->progress[number].report_sequence : 0;
        seen += is_own;
    }
    return count + engine->past_reports[participant];
}

void ome_define_account_participants(ome_engine_t *engine)
{
    for (uint32_t number = 1, seen = 0; seen < engine->session_count; number++)
    {
        if (ome_session_is_defined(engine, number))
        {
            ome_account_name_participant(
                &engine->accounts, ome_session_participant(engine, number), engine->sessions[number].participant_name);
            seen++;
        }
    }
}

bool ome_define_is_nobody(const char name[OME_NAME_SIZE])
{
    const char nobody[OME_NAME_SIZE] = {0};
    return memcmp(name, nobody, OME_NAME_SIZE) == 0;
}

/* Only an account that was defined before can belong to nobody. */
static bool define_account(ome_engine_t *engine, const ome_command_t *command)
{
    const char *name = command->participant_name;
    const uint32_t account = command->account;
    const bool is_good =
        account != 0 && (ome_name_is_valid(name) || (ome_define_is_nobody(name) && ome_account_is_defined(&engine->accounts, account)));
    if (!is_good || !ome_account_define(&engine->accounts, account, name))
    {
        return false;
    }
    const uint32_t owner = ome_account_owner(&engine->accounts, account);
    if (engine->accounts.owners[owner].participant == 0)
    {
        ome_define_account_participants(engine);
    }
    ome_engine_set_account_mask(engine);
    return true;
}

uint8_t ome_define(ome_engine_t *engine, const ome_command_t *command)
{
    bool is_good;
    switch (command->kind)
    {
    case OME_COMMAND_KIND_DEFINE_LIMITS:
        is_good = define_limits_agree(engine, command);
        break;
    case OME_COMMAND_KIND_DEFINE_INSTRUMENT:
        is_good = define_instrument(engine, command);
        break;
    case OME_COMMAND_KIND_DEFINE_ACCOUNT:
        is_good = define_account(engine, command);
        break;
    default:
        is_good = define_session(engine, command);
        break;
    }
    return is_good ? OME_REASON_NONE : OME_REASON_BAD_DEFINITION;
}
