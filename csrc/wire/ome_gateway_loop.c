/* Set-up of the gateway, and its loop. */
#include "wire/ome_gateway.h"

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "wire/ome_gateway_state.h"

static void gateway_lay_out(ome_gateway_t *gateway, ome_arena_t *arena, const ome_gateway_config_t *config)
{
    ome_session_table_init(&gateway->table, arena, config->session_count_max, config->connection_slot_max);
    ome_reports_init(&gateway->reports, arena, config->order_count_max, config->session_count_max);
    gateway->pool = ome_arena_take(arena, (OME_GATEWAY_REPORT_COUNT_MAX + 1) * sizeof(ome_pooled_report_t));
    gateway->frame = ome_arena_take(arena, OME_GATEWAY_REPORT_COUNT_MAX * sizeof(ome_execution_report_t));
    gateway->dirty = ome_arena_take(arena, OME_GATEWAY_REPORT_COUNT_MAX * sizeof(uint16_t));
}

uint64_t ome_gateway_size_bytes(const ome_gateway_config_t *config)
{
    ome_gateway_t gateway;
    ome_arena_t arena = {0};
    (void)ome_arena_take(&arena, sizeof(ome_gateway_t));
    gateway_lay_out(&gateway, &arena, config);
    return arena.used_bytes;
}

ome_status_t ome_gateway_init(
    ome_gateway_t **gateway, void *memory, uint64_t size_bytes, const ome_gateway_config_t *config, const ome_engine_t *engine)
{
    if (size_bytes < ome_gateway_size_bytes(config))
    {
        return OME_NO_MEMORY;
    }
    ome_arena_t arena = {.memory = memory};
    ome_gateway_t *made = ome_arena_take(&arena, sizeof(ome_gateway_t));
    made->config = *config;
    made->command_message_count_max = config->ingress.ring->slot_count < OME_FRAME_COMMAND_MESSAGE_COUNT_MAX
                                          ? config->ingress.ring->slot_count
                                          : OME_FRAME_COMMAND_MESSAGE_COUNT_MAX;
    gateway_lay_out(made, &arena, config);
    ome_reports_seed(&made->reports, engine);
    (void)ome_wait_set_event_fd(ome_reader_wait(&config->reader), config->event_fd);
    *gateway = made;
    return OME_OK;
}

/* ---- The loop ---- */

/* Sleeps until there may be a frame or an event. */
static ome_gateway_outcome_t gateway_sleep(ome_gateway_t *gateway, uint32_t timeout_ms)
{
    const ome_gateway_config_t *config = &gateway->config;
    ome_wait_t *wait = ome_reader_wait(&config->reader);
    ome_status_t status = OME_OK;
    ome_wait_prepare(wait);
    if (!ome_reader_has_event(&config->reader))
    {
        status = config->socket->wait(config->socket->context, config->event_fd, timeout_ms);
    }
    ome_wait_cancel(wait);
    return status == OME_OK ? OME_GATEWAY_IDLE : OME_GATEWAY_STOPPED;
}

ome_gateway_outcome_t ome_gateway_run(ome_gateway_t *gateway, uint32_t timeout_ms)
{
    gateway->now_ns = ome_clock_monotonic_ns();
    const uint64_t deadline_ns = gateway->now_ns + timeout_ms * OME_GATEWAY_NS_PER_MS;
    gateway->has_event = false;
    for (;;)
    {
        ome_gateway_outcome_t outcome = OME_GATEWAY_IDLE;
        uint32_t work = ome_gateway_report_events(gateway);
        if (gateway->has_event)
        {
            return OME_GATEWAY_DEFINED;
        }
        work += ome_gateway_take_frames(gateway, &outcome);
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
            const uint64_t left_ms = (deadline_ns - gateway->now_ns) / OME_GATEWAY_NS_PER_MS + 1;
            const uint64_t watch_ns = gateway->watch_ns > gateway->now_ns ? gateway->watch_ns - gateway->now_ns : 0;
            const uint64_t most_ms = gateway->table.heartbeat_count > 0 ? watch_ns / OME_GATEWAY_NS_PER_MS + 1 : left_ms;
            outcome = gateway_sleep(gateway, (uint32_t)(left_ms < most_ms ? left_ms : most_ms));
            if (outcome != OME_GATEWAY_IDLE)
            {
                return outcome;
            }
            gateway->now_ns = ome_clock_monotonic_ns();
        }
    }
}
