#include "bench_textbook.h"

#include <malloc.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <unordered_map>
#include <vector>

#include "abi/ome_limits.h"

namespace
{

struct level_t;

struct order_t
{
    uint64_t order_id;
    uint64_t client_order_id;
    int64_t leaves;
    int64_t cumulative;
    level_t *level;
    uint32_t account;
    uint16_t participant;
    uint16_t session;
};

using queue_t = std::list<order_t>;

struct level_t
{
    int64_t price = 0;
    int64_t quantity = 0;
    uint32_t instrument = 0;
    uint8_t side = 0;
    queue_t queue;
};

/* Bids are keyed by their price negated, so that on both sides the best level is the first. */
using levels_t = std::map<int64_t, level_t>;

/* One instrument: bids, asks. */
struct sides_t
{
    levels_t levels[2];
};

int64_t key_of(uint8_t side, int64_t price)
{
    return side == OME_SIDE_BUY ? -price : price;
}

uint8_t opposite(uint8_t side)
{
    return side == OME_SIDE_BUY ? OME_SIDE_SELL : OME_SIDE_BUY;
}

bool crosses(uint8_t side, int64_t limit, int64_t price)
{
    return side == OME_SIDE_BUY ? price <= limit : price >= limit;
}

order_t order_of(const ome_command_t &command, uint64_t order_id)
{
    return order_t{order_id, command.client_order_id, command.quantity, 0, nullptr, command.account, command.participant, command.session};
}

uint8_t flags_of(int flags)
{
    return static_cast<uint8_t>(flags);
}

/* The event at `next` is complete. Events are put together where they stay: copying one that was just written field by field would wait for each field. */
void written(ome_sink_t *sink)
{
    if (++sink->next == sink->end)
    {
        sink->flush(sink);
    }
}

constexpr size_t HEAP_BYTES_PER_ORDER = 192; /* a node of the list, a node and a bucket of the hash map, and levels */

/* A client order id is unique among its participant's orders. */
struct order_key_t
{
    uint64_t client_order_id;
    uint16_t participant;

    bool operator==(const order_key_t &other) const
    {
        return client_order_id == other.client_order_id && participant == other.participant;
    }
};

/* As in boost::hash_combine. */
struct order_key_hash_t
{
    size_t operator()(const order_key_t &key) const
    {
        const size_t hash = std::hash<uint64_t>()(key.client_order_id);
        return hash ^ (std::hash<uint16_t>()(key.participant) + 0x9E3779B9 + (hash << 6) + (hash >> 2));
    }
};

} // namespace

struct bench_textbook
{
    bench_textbook(uint32_t order_count, uint32_t instrument_count) : books(instrument_count + 1)
    {
        orders.reserve(order_count);
    }

    void apply(const ome_command_t &command, ome_sink_t *sink);
    levels_t &side_levels(uint32_t instrument, uint8_t side)
    {
        return books[instrument].levels[side - 1];
    }

    std::vector<sides_t> books; /* by instrument number; the first is not used */
    std::unordered_map<order_key_t, queue_t::iterator, order_key_hash_t> orders;
    uint64_t sequence = 0;
    uint64_t last_order_id = 0;

  private:
    void apply_new(const ome_command_t &command, ome_sink_t *sink);
    void apply_cancel(const ome_command_t &command, ome_sink_t *sink);
    void apply_reduce(const ome_command_t &command, ome_sink_t *sink);
    void apply_amend(const ome_command_t &command, ome_sink_t *sink);
    void define(const ome_command_t &command, ome_sink_t *sink);
    void reject(const ome_command_t &command, uint8_t reason, ome_sink_t *sink);
    void write_order(ome_sink_t *sink, const ome_command_t &command, const order_t &order, uint32_t instrument, uint8_t side, int64_t price,
        int64_t quantity, uint8_t kind, uint8_t reason, int flags);
    bool touches(uint32_t instrument, uint8_t side, int64_t limit);
    void trade(order_t &aggressor, uint32_t instrument, uint8_t side, int64_t limit, ome_sink_t *sink);
    void join(queue_t &from, uint32_t instrument, uint8_t side, int64_t price);
    void leave(queue_t::iterator order, queue_t &to);
    void cancel(const ome_command_t &command, queue_t::iterator order, uint8_t reason, ome_sink_t *sink);
};

void bench_textbook::write_order(ome_sink_t *sink, const ome_command_t &command, const order_t &order, uint32_t instrument, uint8_t side,
    int64_t price, int64_t quantity, uint8_t kind, uint8_t reason, int flags)
{
    ome_event_t &event = *sink->next;
    event.sequence = sequence;
    event.order_id = order.order_id;
    event.client_order_id = order.client_order_id;
    event.price = price;
    event.quantity = quantity;
    event.timestamp_ns = command.timestamp_ns;
    event.account = order.account;
    event.participant = order.participant;
    event.session = order.session;
    event.instrument = instrument;
    event.kind = kind;
    event.side = side;
    event.reason = reason;
    event.flags = flags_of(flags);
    written(sink);
}

void bench_textbook::reject(const ome_command_t &command, uint8_t reason, ome_sink_t *sink)
{
    const bool is_new = command.kind == OME_COMMAND_KIND_NEW_ORDER;
    const int64_t price = is_new || command.kind == OME_COMMAND_KIND_AMEND_ORDER ? command.price : 0;
    const int64_t quantity = command.kind == OME_COMMAND_KIND_CANCEL_ORDER ? 0 : command.quantity;
    write_order(sink, command, order_of(command, 0), command.instrument, is_new ? command.side : uint8_t{0}, price, quantity,
        OME_EVENT_KIND_REJECTED, reason, command.kind);
}

bool bench_textbook::touches(uint32_t instrument, uint8_t side, int64_t limit)
{
    const levels_t &others = side_levels(instrument, opposite(side));
    return !others.empty() && crosses(side, limit, others.begin()->second.price);
}

/* Trades with what is at the limit or better. */
void bench_textbook::trade(order_t &aggressor, uint32_t instrument, uint8_t side, int64_t limit, ome_sink_t *sink)
{
    levels_t &others = side_levels(instrument, opposite(side));
    while (aggressor.leaves > 0 && touches(instrument, side, limit))
    {
        level_t &level = others.begin()->second;
        order_t &resting = level.queue.front();
        const int64_t traded = std::min(resting.leaves, aggressor.leaves);
        aggressor.leaves -= traded;
        aggressor.cumulative += traded;
        resting.leaves -= traded;
        resting.cumulative += traded;
        level.quantity -= traded;
        ome_event_t &event = *sink->next;
        event.sequence = sequence;
        event.order_id = aggressor.order_id;
        event.client_order_id = aggressor.client_order_id;
        event.price = level.price;
        event.quantity = traded;
        event.resting_order_id = resting.order_id;
        event.resting_client_order_id = resting.client_order_id;
        event.instrument = instrument;
        event.kind = OME_EVENT_KIND_TRADE;
        event.side = side;
        event.reason = OME_REASON_NONE;
        event.flags = flags_of(
            (aggressor.leaves == 0 ? OME_EVENT_FLAGS_AGGRESSOR_FILLED : 0) | (resting.leaves == 0 ? OME_EVENT_FLAGS_RESTING_FILLED : 0));
        written(sink);
        if (resting.leaves == 0)
        {
            orders.erase({resting.client_order_id, resting.participant});
            level.queue.pop_front();
        }
        if (level.queue.empty())
        {
            others.erase(others.begin());
        }
    }
}

/* Moves the one order of `from` to the back of the level of its price. */
void bench_textbook::join(queue_t &from, uint32_t instrument, uint8_t side, int64_t price)
{
    level_t &level = side_levels(instrument, side)[key_of(side, price)];
    level.price = price;
    level.instrument = instrument;
    level.side = side;
    from.front().level = &level;
    level.quantity += from.front().leaves;
    level.queue.splice(level.queue.end(), from);
}

/* Moves an order out of its level to `to`, and drops the level with its last order. */
void bench_textbook::leave(queue_t::iterator order, queue_t &to)
{
    level_t &level = *order->level;
    level.quantity -= order->leaves;
    to.splice(to.end(), level.queue, order);
    if (level.queue.empty())
    {
        side_levels(level.instrument, level.side).erase(key_of(level.side, level.price));
    }
}

void bench_textbook::apply_new(const ome_command_t &command, ome_sink_t *sink)
{
    if (command.quantity <= 0)
    {
        reject(command, command.quantity == 0 ? OME_REASON_ZERO_QUANTITY : OME_REASON_NEGATIVE_QUANTITY, sink);
        return;
    }
    if (orders.find({command.client_order_id, command.participant}) != orders.end())
    {
        reject(command, OME_REASON_DUPLICATE_CLIENT_ORDER_ID, sink);
        return;
    }
    order_t order = order_of(command, ++last_order_id);
    const bool may_rest = command.time_in_force == OME_TIME_IN_FORCE_GTC;
    const bool rests_whole = may_rest && !touches(command.instrument, command.side, command.price);
    write_order(sink, command, order, command.instrument, command.side, command.price, command.quantity, OME_EVENT_KIND_ACCEPTED,
        OME_REASON_NONE, rests_whole ? OME_EVENT_FLAGS_RESTS : 0);
    if (!rests_whole)
    {
        trade(order, command.instrument, command.side, command.price, sink);
    }
    if (order.leaves == 0)
    {
        return;
    }
    if (!may_rest)
    {
        write_order(sink, command, order, command.instrument, command.side, command.price, order.leaves, OME_EVENT_KIND_CANCELLED,
            OME_REASON_IMMEDIATE_OR_CANCEL, 0);
        return;
    }
    queue_t node{order};
    orders.emplace(order_key_t{order.client_order_id, order.participant}, node.begin());
    join(node, command.instrument, command.side, command.price);
    if (!rests_whole)
    {
        write_order(sink, command, order, command.instrument, command.side, command.price, order.leaves, OME_EVENT_KIND_RESTED,
            OME_REASON_NONE, OME_EVENT_FLAGS_RESTS);
    }
}

void bench_textbook::cancel(const ome_command_t &command, queue_t::iterator order, uint8_t reason, ome_sink_t *sink)
{
    write_order(sink, command, *order, order->level->instrument, order->level->side, order->level->price, order->leaves,
        OME_EVENT_KIND_CANCELLED, reason, OME_EVENT_FLAGS_WAS_RESTING);
    orders.erase({order->client_order_id, order->participant});
    queue_t gone;
    leave(order, gone);
}

void bench_textbook::apply_cancel(const ome_command_t &command, ome_sink_t *sink)
{
    const auto found = orders.find({command.client_order_id, command.participant});
    if (found == orders.end())
    {
        reject(command, OME_REASON_UNKNOWN_ORDER, sink);
        return;
    }
    cancel(command, found->second, OME_REASON_REQUESTED, sink);
}

void bench_textbook::apply_reduce(const ome_command_t &command, ome_sink_t *sink)
{
    const auto found = orders.find({command.client_order_id, command.participant});
    if (found == orders.end())
    {
        reject(command, OME_REASON_UNKNOWN_ORDER, sink);
        return;
    }
    if (command.quantity <= 0)
    {
        reject(command, command.quantity == 0 ? OME_REASON_ZERO_QUANTITY : OME_REASON_NEGATIVE_QUANTITY, sink);
        return;
    }
    order_t &order = *found->second;
    if (command.quantity >= order.leaves)
    {
        cancel(command, found->second, OME_REASON_REDUCED_AWAY, sink);
        return;
    }
    order.leaves -= command.quantity;
    order.level->quantity -= command.quantity;
    write_order(sink, command, order, order.level->instrument, order.level->side, order.level->price, command.quantity,
        OME_EVENT_KIND_REDUCED, OME_REASON_NONE, OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_KEPT_PRIORITY);
}

void bench_textbook::apply_amend(const ome_command_t &command, ome_sink_t *sink)
{
    const auto found = orders.find({command.client_order_id, command.participant});
    if (found == orders.end())
    {
        reject(command, OME_REASON_UNKNOWN_ORDER, sink);
        return;
    }
    if (command.quantity != OME_NULL_VALUE && command.quantity < 0)
    {
        reject(command, OME_REASON_NEGATIVE_QUANTITY, sink);
        return;
    }
    order_t &order = *found->second;
    const uint32_t instrument = order.level->instrument;
    const uint8_t side = order.level->side;
    const int64_t old_price = order.level->price;
    const int64_t price = command.price == OME_NULL_VALUE ? old_price : command.price;
    const int64_t total = order.leaves + order.cumulative;
    const int64_t leaves = (command.quantity == OME_NULL_VALUE ? total : command.quantity) - order.cumulative;
    if (leaves <= 0)
    {
        cancel(command, found->second, OME_REASON_AMENDED_AWAY, sink);
        return;
    }
    if (price == old_price && leaves <= order.leaves)
    {
        order.level->quantity -= order.leaves - leaves;
        order.leaves = leaves;
        write_order(sink, command, order, instrument, side, price, leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE,
            OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS | OME_EVENT_FLAGS_KEPT_PRIORITY);
        return;
    }
    queue_t node;
    leave(found->second, node);
    order.leaves = leaves;
    const bool trades = touches(instrument, side, price);
    write_order(sink, command, order, instrument, side, price, leaves, OME_EVENT_KIND_AMENDED, OME_REASON_NONE,
        trades ? OME_EVENT_FLAGS_WAS_RESTING : OME_EVENT_FLAGS_WAS_RESTING | OME_EVENT_FLAGS_RESTS);
    if (trades)
    {
        trade(order, instrument, side, price, sink);
        if (order.leaves == 0)
        {
            orders.erase({order.client_order_id, order.participant});
            return;
        }
        write_order(
            sink, command, order, instrument, side, price, order.leaves, OME_EVENT_KIND_RESTED, OME_REASON_NONE, OME_EVENT_FLAGS_RESTS);
    }
    join(node, instrument, side, price);
}

/* A definition's bytes are its own: none of them is an order's. */
void bench_textbook::define(const ome_command_t &command, ome_sink_t *sink)
{
    order_t nothing{};
    nothing.participant = command.participant;
    nothing.session = command.session;
    write_order(sink, command, nothing, command.instrument, 0, 0, 0, OME_EVENT_KIND_DEFINED, OME_REASON_NONE, command.kind);
}

void bench_textbook::apply(const ome_command_t &command, ome_sink_t *sink)
{
    sequence++;
    switch (command.kind)
    {
    case OME_COMMAND_KIND_NEW_ORDER:
        apply_new(command, sink);
        break;
    case OME_COMMAND_KIND_CANCEL_ORDER:
        apply_cancel(command, sink);
        break;
    case OME_COMMAND_KIND_REDUCE_ORDER:
        apply_reduce(command, sink);
        break;
    case OME_COMMAND_KIND_AMEND_ORDER:
        apply_amend(command, sink);
        break;
    case OME_COMMAND_KIND_DEFINE_INSTRUMENT:
        define(command, sink);
        break;
    default:
        std::abort();
    }
}

/* One piece as large as all of them is taken, written, and kept by the heap. */
void bench_textbook_warm_heap(uint32_t order_count)
{
    const size_t size_bytes = order_count * HEAP_BYTES_PER_ORDER;
    mallopt(M_MMAP_THRESHOLD, INT_MAX);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    void *piece = std::malloc(size_bytes);
    if (piece != nullptr)
    {
        std::memset(piece, 1, size_bytes);
        __asm__ __volatile__("" : : "r"(piece) : "memory");
    }
    std::free(piece);
}

bench_textbook_t *bench_textbook_create(uint32_t order_count, uint32_t instrument_count)
{
    return new bench_textbook(order_count, instrument_count);
}

void bench_textbook_apply(bench_textbook_t *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink)
{
    for (uint64_t i = 0; i < count; i++)
    {
        book->apply(commands[i], sink);
    }
}

int64_t bench_textbook_best(const bench_textbook_t *book, uint32_t instrument, uint8_t side, int64_t otherwise)
{
    const levels_t &levels = book->books[instrument].levels[side - 1];
    return levels.empty() ? otherwise : levels.begin()->second.price;
}
