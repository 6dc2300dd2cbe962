#include "engine/ome_define.h"

#include <string.h>

#include "base/ome_hash.h"

static bool limits_agree(const ome_engine_t *engine, const ome_command_t *command)
{
    const ome_limits_t *limits = &engine->limits;
    return engine->sequence == 1 && command->order_count_max == limits->order_count_max &&
           command->level_count_max == limits->level_count_max && command->instrument_count_max == limits->instrument_count_max &&
           command->session_count_max == limits->session_count_max && command->special_count_max == limits->special_count_max;
}

/* The entry of the table that has this symbol's instrument, or the free one where it would be. At least half of the table is free. */
static uint32_t symbol_entry(const ome_engine_t *engine, const char symbol[OME_NAME_SIZE])
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
    return engine->symbols[symbol_entry(engine, symbol)];
}

ome_book_t *ome_define_add_instrument(ome_engine_t *engine, const ome_command_t *definition)
{
    const uint32_t number = ++engine->instrument_count;
    engine->symbols[symbol_entry(engine, definition->symbol)] = number;
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

/* The number that a participant of this name has, or would get; 0 when the name already has a session of this number. */
static uint32_t participant_number(const ome_engine_t *engine, const ome_command_t *command)
{
    uint32_t number = engine->participant_count + 1;
    for (uint32_t i = 1; i <= engine->session_count; i++)
    {
        const ome_session_t *session = &engine->sessions[i];
        if (memcmp(session->participant_name, command->participant_name, OME_NAME_SIZE) == 0)
        {
            if (session->session_number == command->session_number)
            {
                return 0;
            }
            number = session->participant;
        }
    }
    return number;
}

static bool define_session(ome_engine_t *engine, const ome_command_t *command)
{
    const bool is_next = command->session == engine->session_count + 1 && engine->session_count < engine->limits.session_count_max;
    if (!is_next || !ome_name_is_valid(command->participant_name))
    {
        return false;
    }
    const uint32_t participant = participant_number(engine, command);
    if (participant == 0 || participant != command->participant)
    {
        return false;
    }
    ome_session_t *session = &engine->sessions[++engine->session_count];
    memcpy(session->participant_name, command->participant_name, OME_NAME_SIZE);
    session->participant = command->participant;
    session->session_number = command->session_number;
    if (participant > engine->participant_count)
    {
        engine->participant_count = participant;
    }
    return true;
}

uint8_t ome_define(ome_engine_t *engine, const ome_command_t *command)
{
    bool is_good;
    switch (command->kind)
    {
    case OME_COMMAND_KIND_DEFINE_LIMITS:
        is_good = limits_agree(engine, command);
        break;
    case OME_COMMAND_KIND_DEFINE_INSTRUMENT:
        is_good = define_instrument(engine, command);
        break;
    default:
        is_good = define_session(engine, command);
        break;
    }
    return is_good ? OME_REASON_NONE : OME_REASON_BAD_DEFINITION;
}
