/* Set-up of the gateway, and its loop. */
#include "wire/ome_gateway.h"

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "wire/ome_gateway_state.h"

/* Of a part of the memory at the start, as of every part of the engine's. */
#define TOUCHED_BYTES (UINT64_C(32) << 20)

/* While a session that is behind waits for its connection, the loop looks so often whether it has read. */
#define BEHIND_LOOK_MS 1u

static uint32_t gateway_claim_count_max(const ome_gateway_config_t *config)
{
    return config->link != NULL ? config->link->entries.slot_count : config->ingress.ring->slot_count;
}

/* Runs that may be unanswered: each has a message at least, and so many messages are in the ring and the stream at most. */
static uint32_t gateway_run_count(const ome_gateway_config_t *config)
{
    return 4 * gateway_claim_count_max(config);
}

static void gateway_lay_out(ome_gateway_t *gateway, ome_arena_t *arena, const ome_gateway_config_t *config)
{
    ome_session_table_init(&gateway->table, arena, config->session_count_max, OME_DROP_COPY_COUNT_MAX, config->connection_slot_max);
    const uint64_t slot_count = (uint64_t)gateway->table.slot_count_max + 1;
    ome_reports_init(&gateway->reports, arena, config->order_count_max, config->session_count_max);
    ome_report_history_init(&gateway->history, arena, config->history_count);
    ome_runs_init(&gateway->runs, arena, gateway_run_count(config));
    ome_throttle_init(&gateway->throttle, arena, config->session_count_max, &config->throttle);
    gateway->archive.reports = ome_arena_take(arena, OME_GATEWAY_ARCHIVE_COUNT_MAX * sizeof(ome_execution_report_t));
    gateway->frame = ome_arena_take(arena, OME_GATEWAY_REPORT_COUNT_MAX * sizeof(ome_execution_report_t));
    gateway->dirty = ome_arena_take(arena, slot_count * sizeof(uint16_t));
    gateway->behind = ome_arena_take(arena, slot_count * sizeof(uint16_t));
    gateway->owing = ome_arena_take(arena, slot_count * sizeof(uint16_t));
    gateway->ends = ome_arena_take(arena, slot_count * sizeof(ome_gateway_end_t));
}

uint64_t ome_gateway_size_bytes(const ome_gateway_config_t *config)
{
    ome_gateway_t gateway;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_gateway_t));
    gateway_lay_out(&gateway, &arena, config);
    return arena.used_bytes;
}

/* Nobody is connected yet: sessions that have chosen so lose their orders. */
static void gateway_owe_cancels(ome_gateway_t *gateway)
{
    for (uint32_t number = 1; number <= gateway->table.session_count_max; number++)
    {
        ome_session_slot_t *session = &gateway->table.sessions[number];
        if ((session->defined_flags & OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT) != 0 &&
            ome_order_count(gateway->order_counts, (uint16_t)number) > 0)
        {
            session->owes_cancel = true;
            gateway->owing[gateway->owing_count++] = (uint16_t)number;
        }
    }
}

/* What the first reports use: the loop would otherwise wait for each page to be cleared. */
static void gateway_touch(const ome_gateway_t *gateway)
{
    const uint64_t history_bytes = (uint64_t)gateway->history.count_max * sizeof(ome_kept_report_t);
    const uint64_t order_bytes = (uint64_t)gateway->config.order_count_max * sizeof(ome_report_order_t);
    ome_memory_touch(gateway->history.reports, history_bytes < TOUCHED_BYTES ? history_bytes : TOUCHED_BYTES);
    ome_memory_touch(gateway->reports.orders, order_bytes < TOUCHED_BYTES ? order_bytes : TOUCHED_BYTES);
}

ome_status_t ome_gateway_init(
    ome_gateway_t **gateway, void *memory, uint64_t size_bytes, const ome_gateway_config_t *config, const ome_engine_t *engine)
{
    if (size_bytes < ome_gateway_size_bytes(config))
    {
        return OME_NO_MEMORY;
    }
    OME_ASSERT(config->history_count >= OME_GATEWAY_HISTORY_COUNT_MIN);
    ome_arena_t arena = {.memory = memory};
    ome_gateway_t *made = ome_arena_take(&arena, sizeof(ome_gateway_t));
    made->config = *config;
    made->claim_count_max = gateway_claim_count_max(config);
    made->command_message_count_max =
        made->claim_count_max < OME_FRAME_COMMAND_MESSAGE_COUNT_MAX ? made->claim_count_max : OME_FRAME_COMMAND_MESSAGE_COUNT_MAX;
    gateway_lay_out(made, &arena, config);
    *gateway = made;
    if (config->link != NULL)
    {
        made->order_counts = config->link->order_counts;
        made->table.is_connected = config->link->is_connected; /* where the engine's process sees it */
        return OME_OK;
    }
    made->order_counts = made->reports.order_counts;
    gateway_touch(made);
    ome_reports_seed(&made->reports, engine);
    ome_session_table_seed(&made->table, engine);
    gateway_owe_cancels(made);
    (void)ome_wait_set_event_fd(ome_reader_wait(&config->reader), config->event_fd);
    return OME_OK;
}

ome_status_t ome_gateway_take_over(ome_gateway_t *gateway)
{
    while (!gateway->has_begun && ome_gateway_read_link(gateway) > 0)
    {
    }
    if (!gateway->has_begun)
    {
        return OME_EMPTY;
    }
    gateway_owe_cancels(gateway);
    return OME_OK;
}

/* ---- The loop ---- */

/* How long there is nothing to do but to read, in milliseconds. */
static uint32_t gateway_pause_ms(const ome_gateway_t *gateway, uint64_t deadline_ns)
{
    uint64_t until_ns = deadline_ns;
    if (ome_gateway_has_connections(gateway) && gateway->watch_ns < until_ns)
    {
        until_ns = gateway->watch_ns;
    }
    if (gateway->is_behind_stuck || gateway->owing_count > 0)
    {
        return BEHIND_LOOK_MS;
    }
    const uint64_t left_ns = until_ns > gateway->now_ns ? until_ns - gateway->now_ns : 0;
    return (uint32_t)(left_ns / OME_GATEWAY_NS_PER_MS) + 1;
}

/* What a turn has left for the caller. */
static ome_gateway_outcome_t gateway_outcome(ome_gateway_t *gateway)
{
    const bool is_wanted = gateway->archive.is_to_be_told && gateway->archive.session != 0;
    gateway->archive.is_to_be_told = false;
    if (is_wanted)
    {
        return OME_GATEWAY_REPORTS_WANTED;
    }
    return gateway->end_count > 0 ? OME_GATEWAY_ENDED : OME_GATEWAY_IDLE;
}

ome_gateway_outcome_t ome_gateway_run(ome_gateway_t *gateway, uint32_t timeout_ms)
{
    gateway->now_ns = ome_clock_monotonic_ns();
    const uint64_t deadline_ns = gateway->now_ns + timeout_ms * OME_GATEWAY_NS_PER_MS;
    gateway->has_event = false;
    for (;;)
    {
        ome_gateway_outcome_t outcome = OME_GATEWAY_IDLE;
        uint32_t work = gateway->config.link != NULL ? ome_gateway_read_link(gateway) : ome_gateway_read_events(gateway);
        ome_gateway_send_reports(gateway);
        if (gateway->has_event)
        {
            return OME_GATEWAY_DEFINED;
        }
        ome_gateway_pay_cancels(gateway);
        work += ome_gateway_serve_behind(gateway);
        work += ome_gateway_take_frames(gateway, &outcome);
        outcome = outcome != OME_GATEWAY_IDLE ? outcome : gateway_outcome(gateway);
        if (outcome != OME_GATEWAY_IDLE)
        {
            return outcome;
        }
        ome_gateway_watch_sessions(gateway);
        gateway->now_ns = ome_clock_monotonic_ns();
        if (gateway->now_ns >= deadline_ns)
        {
            return OME_GATEWAY_IDLE;
        }
        if (work == 0)
        {
            if (ome_gateway_sleep(gateway, gateway_pause_ms(gateway, deadline_ns)) != OME_OK)
            {
                return OME_GATEWAY_STOPPED;
            }
            gateway->now_ns = ome_clock_monotonic_ns();
        }
    }
}
