#include "engine/ome_engine.h"

#include "book/ome_book.h"

static bool engine_is_in_limit(uint32_t value, uint32_t max)
{
    return value >= 1 && value <= max;
}

static bool engine_limits_are_valid(const ome_limits_t *limits)
{
    return engine_is_in_limit(limits->order_count_max, OME_ORDER_COUNT_MAX) &&
           engine_is_in_limit(limits->level_count_max, OME_LEVEL_COUNT_MAX) &&
           engine_is_in_limit(limits->instrument_count_max, OME_INSTRUMENT_COUNT_MAX) &&
           engine_is_in_limit(limits->session_count_max, OME_SESSION_COUNT_MAX) && limits->special_count_max <= OME_ORDER_COUNT_MAX &&
           limits->rules_version <= OME_RULES_VERSION && limits->account_count_max <= OME_ACCOUNT_COUNT_MAX &&
           (limits->limit_flags & ~(uint32_t)OME_LIMIT_FLAGS_ACCOUNTS_RESTRICTED) == 0;
}

/* Lays an engine out in an arena; without memory it only measures. */
static void engine_lay_out(ome_engine_t *engine, ome_arena_t *arena, const ome_limits_t *limits)
{
    engine->books = ome_arena_take(arena, ((uint64_t)limits->instrument_count_max + 1) * sizeof(ome_book_t));
    engine->senders = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(uint32_t));
    uint32_t symbols_size = 2;
    while (symbols_size < 2 * limits->instrument_count_max)
    {
        symbols_size *= 2;
    }
    engine->symbols_mask = symbols_size - 1;
    engine->symbols = ome_arena_take(arena, (uint64_t)symbols_size * sizeof(uint32_t));
    engine->sessions = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(ome_session_t));
    engine->progress = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(ome_session_progress_t));
    engine->participant_sessions = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(uint16_t));
    engine->past_reports = ome_arena_take(arena, ((uint64_t)limits->session_count_max + 1) * sizeof(uint64_t));
    ome_accounts_init(&engine->accounts, arena, limits->account_count_max, limits->session_count_max);
    ome_book_pools_init(
        &engine->pools, arena, limits->order_count_max, limits->level_count_max, limits->special_count_max, limits->instrument_count_max);
}

uint64_t ome_engine_size_bytes(const ome_limits_t *limits)
{
    if (!engine_limits_are_valid(limits))
    {
        return 0;
    }
    ome_engine_t engine;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_engine_t));
    engine_lay_out(&engine, &arena, limits);
    return arena.used_bytes;
}

ome_status_t ome_engine_init(ome_engine_t **engine, void *memory, uint64_t size_bytes, const ome_limits_t *limits)
{
    const uint64_t needed_bytes = ome_engine_size_bytes(limits);
    if (needed_bytes == 0 || (uintptr_t)memory % OME_CACHE_LINE_SIZE != 0)
    {
        return OME_INVALID;
    }
    if (size_bytes < needed_bytes)
    {
        return OME_NO_MEMORY;
    }
    ome_arena_t arena = {.memory = memory};
    ome_engine_t *made = ome_arena_take(&arena, sizeof(ome_engine_t));
    *made = (ome_engine_t){.attention_ns = UINT64_MAX, .limits = *limits};
    engine_lay_out(made, &arena, limits);
    ome_engine_set_account_mask(made);
    *engine = made;
    return OME_OK;
}
