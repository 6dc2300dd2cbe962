// ome.h is a C++ header too: makes a market, enters an order through a sink, and ends with 0 when the best bid is that order.
#include "ome.h"

#include <array>
#include <cstdint>

namespace
{

struct Sink
{
    ome_sink_t sink{}; // first, so that a sink is its Sink
    std::array<ome_event_t, 2> window{};
    std::uint64_t count = 0;

    Sink()
    {
        sink = {window.data(), window.data() + window.size(), flush};
    }

    static void flush(ome_sink_t *sink)
    {
        Sink *self = reinterpret_cast<Sink *>(sink);
        self->count += static_cast<std::uint64_t>(sink->next - self->window.data());
        sink->next = self->window.data();
    }
};

} // namespace

int main()
{
    const ome_limits_t limits{8, 8, 1, 1, 0, OME_RULES_VERSION};
    ome_engine_t *engine = nullptr;
    if (ome_engine_create(&limits, &engine) != OME_OK)
    {
        return 1;
    }
    std::array<ome_command_t, 2> commands{};
    commands[0].kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT;
    commands[0].instrument = 1;
    commands[0].symbol[0] = 'A';
    commands[0].tick = 1;
    commands[1].kind = OME_COMMAND_KIND_NEW_ORDER;
    commands[1].instrument = 1;
    commands[1].side = OME_SIDE_BUY;
    commands[1].order_type = OME_ORDER_TYPE_LIMIT;
    commands[1].time_in_force = OME_TIME_IN_FORCE_GTC;
    commands[1].client_order_id = 1;
    commands[1].price = 100;
    commands[1].quantity = 7;
    Sink sink;
    ome_engine_apply_many(engine, commands.data(), commands.size(), &sink.sink);
    ome_depth_t best;
    const bool is_right =
        sink.count == 2 && ome_engine_best(engine, 1, OME_SIDE_BUY, &best) == OME_OK && best.price == 100 && best.quantity == 7;
    ome_engine_destroy(engine);
    return is_right ? 0 : 1;
}
