#include "wire/ome_link.h"

#define RECORD_COUNT_MIN 16384u

static void link_lay_out(ome_link_t *link, const ome_link_config_t *config, ome_arena_t *engines, ome_arena_t *gateways)
{
    const uint64_t session_count = (uint64_t)config->session_count_max + 1;
    link->board = ome_arena_take(engines, sizeof(ome_link_board_t));
    link->order_counts = ome_arena_take(engines, session_count * sizeof(ome_order_count_t));
    link->sequences = ome_arena_take(engines, (uint64_t)config->entry_count * sizeof(uint64_t));
    link->life = ome_arena_take(gateways, sizeof(ome_link_life_t));
    link->is_connected = ome_arena_take(gateways, session_count * sizeof(uint8_t));
    link->counters.header =
        ome_arena_take(gateways, ome_counters_size_bytes(config->counters->counter_count, config->counters->histogram_count));
    ome_channel_lay_out(&link->entries, gateways, engines, config->entry_count, sizeof(ome_command_t));
    ome_channel_lay_out(&link->records, engines, gateways, config->record_count, sizeof(ome_link_record_t));
}

void ome_link_size_bytes(const ome_link_config_t *config, uint64_t *engines, uint64_t *gateways)
{
    ome_link_t link;
    ome_arena_t engine_arena = {0};
    ome_arena_t gateway_arena = {0};
    link_lay_out(&link, config, &engine_arena, &gateway_arena);
    *engines = engine_arena.used_bytes;
    *gateways = gateway_arena.used_bytes;
}

void ome_link_view(ome_link_t *link, const ome_link_config_t *config, void *engines, void *gateways, int bell_fd)
{
    ome_arena_t engine_arena = {.memory = engines};
    ome_arena_t gateway_arena = {.memory = gateways};
    *link = (ome_link_t){.bell_fd = bell_fd};
    link_lay_out(link, config, &engine_arena, &gateway_arena);
}

uint32_t ome_link_record_count(uint32_t session_count_max)
{
    uint32_t count = RECORD_COUNT_MIN;
    while (count <= session_count_max + 1)
    {
        count *= 2;
    }
    return count;
}
