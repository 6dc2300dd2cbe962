#include "pipeline/ome_venue_counters.h"

#define TOTAL(name) {name, OME_COUNTER_KIND_TOTAL, OME_COUNTER_UNIT_COUNT}
#define GAUGE(name) {name, OME_COUNTER_KIND_GAUGE, OME_COUNTER_UNIT_COUNT}
#define SEQUENCE(name) {name, OME_COUNTER_KIND_TOTAL, OME_COUNTER_UNIT_SEQUENCE}

static const ome_counter_definition_t counters[] = {
    [OME_COUNT_COMMANDS] = SEQUENCE("match.sequence"),
    [OME_COUNT_EVENTS] = TOTAL("match.events"),
    [OME_COUNT_TRADES] = TOTAL("match.trades"),
    [OME_COUNT_LEVELS] = GAUGE("match.levels"),
    [OME_COUNT_DEADLINE] = {"match.next_deadline", OME_COUNTER_KIND_GAUGE, OME_COUNTER_UNIT_NANOSECONDS},
    [OME_COUNT_DURABLE] = SEQUENCE("journal.sequence"),
    [OME_COUNT_COMMITS] = TOTAL("journal.commits"),
    [OME_COUNT_JOURNAL_UNPREPARED] = TOTAL("journal.segments_unprepared"),
    [OME_COUNT_EVENTS_DURABLE] = SEQUENCE("events.number"),
    [OME_COUNT_FRAMES_IN] = TOTAL("gateway.frames"),
    [OME_COUNT_MESSAGES_IN] = TOTAL("gateway.messages"),
    [OME_COUNT_FRAMES_REJECTED] = TOTAL("gateway.frames_rejected"),
    [OME_COUNT_MESSAGES_BUSY] = TOTAL("gateway.messages_busy"),
    [OME_COUNT_REPORTS] = TOTAL("gateway.reports"),
    [OME_COUNT_REPORTS_UNDELIVERED] = TOTAL("gateway.reports_undelivered"),
    [OME_COUNT_SESSIONS] = GAUGE("gateway.sessions"),
    [OME_COUNT_SESSIONS_ENDED] = TOTAL("gateway.sessions_ended"),
    [OME_COUNT_ORDERS] = TOTAL("gateway.orders_accepted"),
    [OME_COUNT_CANCELS] = TOTAL("gateway.orders_cancelled"),
    [OME_COUNT_REJECTS] = TOTAL("gateway.commands_rejected"),
    [OME_COUNT_ORDERS_STORAGE_LOW] = TOTAL("gateway.orders_storage_low"),
    [OME_COUNT_ORDERS_CONNECTIONS] = GAUGE("gateway.connections"),
    [OME_COUNT_ORDERS_ACCEPTED] = TOTAL("gateway.connections_accepted"),
    [OME_COUNT_ORDERS_REFUSED] = TOTAL("gateway.connections_refused"),
    [OME_COUNT_ORDERS_FAULTS] = TOTAL("gateway.connections_faulty"),
    [OME_COUNT_ORDERS_SLOW] = TOTAL("gateway.connections_slow"),
    [OME_COUNT_ORDERS_PAUSES] = TOTAL("gateway.pauses"),
    [OME_COUNT_ORDERS_QUEUED] = {"gateway.queued_bytes", OME_COUNTER_KIND_GAUGE, OME_COUNTER_UNIT_BYTES},
    [OME_COUNT_FEED_SEQUENCE] = SEQUENCE("feed.sequence"),
    [OME_COUNT_FEED_FRAMES] = TOTAL("feed.frames"),
    [OME_COUNT_FEED_MESSAGES] = TOTAL("feed.messages"),
    [OME_COUNT_FEED_DROPPED] = TOTAL("feed.frames_dropped"),
    [OME_COUNT_FEED_SNAPSHOTS] = TOTAL("feed.snapshots"),
    [OME_COUNT_FEED_SNAPSHOTS_CUT] = TOTAL("feed.snapshots_cut"),
    [OME_COUNT_FEED_SUBSCRIPTIONS] = GAUGE("feed.subscriptions"),
    [OME_COUNT_FEED_SUBSCRIPTIONS_REFUSED] = TOTAL("feed.subscriptions_refused"),
    [OME_COUNT_FEED_CONNECTIONS] = GAUGE("feed.connections"),
    [OME_COUNT_FEED_ACCEPTED] = TOTAL("feed.connections_accepted"),
    [OME_COUNT_FEED_REFUSED] = TOTAL("feed.connections_refused"),
    [OME_COUNT_FEED_FAULTS] = TOTAL("feed.connections_faulty"),
    [OME_COUNT_FEED_SLOW] = TOTAL("feed.connections_slow"),
    [OME_COUNT_FEED_PAUSES] = TOTAL("feed.pauses"),
    [OME_COUNT_FEED_QUEUED] = {"feed.queued_bytes", OME_COUNTER_KIND_GAUGE, OME_COUNTER_UNIT_BYTES},
    [OME_COUNT_POLICY] = GAUGE("venue.policy"),
    [OME_COUNT_RING_SLOTS] = GAUGE("venue.ring_slots"),
    [OME_COUNT_INSTRUMENTS] = GAUGE("venue.instruments"),
    [OME_COUNT_RING_CURSOR] = SEQUENCE("ring.cursor"),
    [OME_COUNT_STORAGE_FREE] = {"storage.free_bytes", OME_COUNTER_KIND_GAUGE, OME_COUNTER_UNIT_BYTES},
    [OME_COUNT_STORAGE_LOW] = GAUGE("storage.is_low"),
    [OME_COUNT_CLOCK_AHEAD] = {"clock.ahead_ns", OME_COUNTER_KIND_GAUGE, OME_COUNTER_UNIT_NANOSECONDS},
    [OME_COUNT_CLOCK_BEHIND] = {"clock.behind_ns", OME_COUNTER_KIND_GAUGE, OME_COUNTER_UNIT_NANOSECONDS},
    [OME_COUNT_CLOCK_HELD] = GAUGE("clock.is_held"),
    [OME_COUNT_CLOCK_JUMPS] = TOTAL("clock.jumps"),
    [OME_COUNT_THREADS_FAILING] = GAUGE("threads.failing"),
    [OME_COUNT_THREAD_FAILURES] = TOTAL("threads.failures"),
};
static_assert(sizeof(counters) / sizeof(counters[0]) == OME_COUNT_COUNT, "every counter has a label");

static const char *const histograms[] = {
    [OME_LATENCY_REPORT] = "latency.report",
    [OME_LATENCY_COMMIT] = "latency.commit",
};
static_assert(sizeof(histograms) / sizeof(histograms[0]) == OME_LATENCY_COUNT, "every histogram has a label");

const ome_counters_table_t ome_venue_counters_table = {.counters = counters,
    .counter_count = OME_COUNT_COUNT,
    .histogram_labels = histograms,
    .histogram_count = OME_LATENCY_COUNT};
