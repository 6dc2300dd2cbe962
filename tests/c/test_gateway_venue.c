/* The gateway in a running venue, with its threads. */
#include <pthread.h>

#include "gateway_fixture.h"
#include "pipeline/ome_venue.h"

typedef struct
{
    pthread_t thread;
    ome_gateway_t *gateway;
    atomic_bool is_over;
} loop_t;

static void *loop_run(void *argument)
{
    loop_t *loop = argument;
    while (!atomic_load_explicit(&loop->is_over, memory_order_acquire))
    {
        const ome_gateway_outcome_t outcome = ome_gateway_run(loop->gateway, 50);
        CHECK(outcome == OME_GATEWAY_IDLE || outcome == OME_GATEWAY_DEFINED);
    }
    return NULL;
}

/* Reports of a peer so far, and the first frames that were refused. */
static uint32_t count_reports(wire_t *wire, uint32_t peer, uint32_t *reject_count)
{
    uint32_t count = 0;
    *reject_count = 0;
    pthread_mutex_lock(&wire->lock);
    for (uint32_t i = 0; i < wire->out_count; i++)
    {
        const bool is_reports = is_report_frame(wire->out[i].data);
        count += wire->out[i].peer == peer && is_reports ? wire->out[i].size_bytes / (uint32_t)REPORT_SIZE : 0;
        *reject_count += wire->out[i].peer == peer && !is_reports;
    }
    pthread_mutex_unlock(&wire->lock);
    return count;
}

static ome_venue_t *gateway_venue(const char *directory)
{
    ome_venue_t *venue = NULL;
    ome_venue_view_t view;
    ome_engine_t *engine = NULL;
    ome_replay_t *replay = NULL;
    CHECK_EQUAL(ome_engine_create(&standard_limits, &engine), OME_OK);
    CHECK_EQUAL(ome_replay_create(directory, 0, &replay), OME_OK);
    CHECK_EQUAL(ome_replay_step(replay, 1), OME_EMPTY);
    const ome_venue_config_t config = {.ring_slot_count = 256,
        .stream_slot_count = 512,
        .reader_count = 1,
        .wait_strategy = OME_WAIT_BLOCK,
        .policy = OME_POLICY_COMMIT,
        .batch_count = 64,
        .directory = directory,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .delay_ns = 1000000};
    CHECK_EQUAL(ome_venue_create(replay, engine, &config, &venue, &view), OME_OK);
    ome_replay_destroy(replay);
    return venue;
}

static bool venue_is_open(void *context)
{
    (void)context;
    return true;
}

static uint8_t venue_storage(void *context)
{
    (void)context;
    return OME_STORAGE_ROOM;
}

/* In a venue with all its threads every command of two clients is answered, while the gateway sleeps and is woken by
 * frames and by the gate; nothing is sent of what is not on disk. */
static void clients_of_a_running_venue_get_every_answer(void)
{
    enum
    {
        ROUNDS = 60,
        COUNT = 10
    };
    const directory_t directory = directory_new();
    ome_venue_t *venue = gateway_venue(directory.path);
    wire_t *wire = wire_new();
    loop_t loop = {.is_over = false};
    const int event_fd = eventfd(0, EFD_NONBLOCK);
    wire->published = &venue->published;
    ome_reader_t reader;
    CHECK_EQUAL(ome_published_register(&venue->published, "gateway", true, &reader), OME_OK);
    const ome_gateway_config_t config = {.ingress = venue->ingress,
        .reader = reader,
        .is_open = venue_is_open,
        .storage = venue_storage,
        .context = venue,
        .socket = &wire->table,
        .counters = gateway_counters(&venue->counters),
        .order_count_max = standard_limits.order_count_max,
        .session_count_max = standard_limits.session_count_max,
        .connection_slot_max = PEER_COUNT - 1,
        .history_count = OME_GATEWAY_HISTORY_COUNT_MIN,
        .event_fd = event_fd};
    const uint64_t size_bytes = ome_gateway_size_bytes(&config);
    void *memory = market_memory(size_bytes);
    CHECK_EQUAL(ome_gateway_init(&loop.gateway, memory, size_bytes, &config, venue->engine), OME_OK);
    for (uint16_t session = 1; session <= 2; session++)
    {
        /* Nobody has defined it: it is, with its first command. */
        ome_gateway_logon_t logon = {.peer = peer_number(wire, session), .participant = session};
        logon.participant_name[0] = (char)('A' + session - 1);
        CHECK_EQUAL(ome_gateway_bind(loop.gateway, session, &logon), OME_OK);
    }
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    CHECK_EQUAL(pthread_create(&loop.thread, NULL, loop_run, &loop), 0);
    const ome_command_t definitions[2] = {define_limits(&standard_limits), define_instrument(1, "ONE", 1, 0)};
    CHECK_EQUAL(ome_venue_submit(venue, definitions, 2), OME_OK);
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    for (uint32_t round = 1; round <= ROUNDS; round++)
    {
        for (uint32_t peer = 1; peer <= 2; peer++)
        {
            /* Each command is answered by one report: cancels of nothing, but for a pair that trades. */
            uint8_t frame[COUNT * OME_RECORD_SIZE] = {0};
            for (uint32_t i = 0; i < COUNT; i++)
            {
                set_header(frame + i * OME_RECORD_SIZE, OME_TEMPLATE_CANCEL_ORDER);
            }
            const ome_command_t order = limit_order((uint8_t)peer, 10, 1, round);
            memcpy(frame + OME_MESSAGE_HEADER_SIZE, (const uint8_t *)&order + OME_MESSAGE_HEADER_SIZE, OME_BODY_SIZE);
            set_header(frame, OME_TEMPLATE_NEW_ORDER);
            for (uint32_t i = 0; i < COUNT; i++)
            {
                ((ome_command_t *)(void *)(frame + i * OME_RECORD_SIZE))->session_sequence = (round - 1) * COUNT + i + 1;
            }
            wire_put(wire, peer, frame, sizeof(frame));
        }
        uint32_t rejects = 0;
        for (uint32_t peer = 1; peer <= 2; peer++)
        {
            while (count_reports(wire, peer, &rejects) < round * (COUNT + 1)) /* and the trade */
            {
                CHECK_EQUAL(rejects, 0);
                CHECK(ome_clock_monotonic_ns() < end_ns);
                (void)sched_yield();
            }
            CHECK_EQUAL(count_reports(wire, peer, &rejects), round * (COUNT + 1));
        }
    }
    ome_venue_stop(venue);
    while (!ome_venue_is_drained(venue))
    {
        CHECK(ome_clock_monotonic_ns() < end_ns);
        (void)sched_yield();
    }
    atomic_store_explicit(&loop.is_over, true, memory_order_release);
    CHECK_EQUAL(pthread_join(loop.thread, NULL), 0);
    ome_gateway_session_t seen;
    ome_gateway_look(loop.gateway, 1, &seen);
    CHECK_EQUAL(ome_venue_engine(venue)->trade_count, ROUNDS);
    CHECK_EQUAL(seen.report_sequence, ROUNDS * (COUNT + 1));
    CHECK_EQUAL(ome_venue_engine(venue)->session_count, 2);
    free(memory);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    CHECK_EQUAL(close(event_fd), 0);
    wire_free(wire);
    directory_remove(&directory);
}

int main(void)
{
    RUN(clients_of_a_running_venue_get_every_answer);
    return 0;
}
