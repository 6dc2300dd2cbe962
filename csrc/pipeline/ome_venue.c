#include "pipeline/ome_venue.h"

#include <string.h>
#include <time.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "base/ome_memory.h"
#include "concurrent/ome_thread.h"
#include "journal/ome_journal_recover.h"

#define IDLE_WAIT_NS UINT64_C(10000000)
#define PREPARE_PAUSE_NS 2000000L
#define PREPARE_PAUSE_MAX_NS 400000000L
#define EVENT_LOG_PAUSE_NS 1000000L
#define EVENT_LOG_DELAY_NS UINT64_C(100000000)

enum
{
    CONSUMER_MATCH,
    CONSUMER_JOURNAL
};

/* The first error is kept. */
static void venue_note_error(ome_venue_t *venue, const ome_error_t *error)
{
    const ome_error_t *none = NULL;
    /* Release: pairs with the acquire in ome_venue_error. */
    (void)atomic_compare_exchange_strong_explicit(&venue->error, &none, error, memory_order_release, memory_order_relaxed);
}

/* ---- Wiring ---- */

static ome_status_t venue_make_ring(ome_venue_t *venue, const ome_venue_config_t *config)
{
    venue->ring_size_bytes = ome_ring_size_bytes(config->ring_slot_count);
    void *memory = ome_memory_map(venue->ring_size_bytes);
    if (memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    const ome_ring_config_t ring = {.slot_count = config->ring_slot_count,
        .consumer_count = venue->has_journal ? 2 : 1,
        .initial_sequence = venue->engine->sequence,
        .wait_strategy = (ome_wait_strategy_t)config->wait_strategy};
    const ome_status_t status = ome_ring_init(&venue->ring, memory, venue->ring_size_bytes, &ring);
    if (status != OME_OK)
    {
        ome_memory_unmap(memory, venue->ring_size_bytes);
    }
    return status;
}

static ome_status_t venue_make_stream(ome_venue_t *venue, const ome_venue_config_t *config)
{
    venue->stream_size_bytes = ome_stream_size_bytes(config->stream_slot_count);
    void *memory = ome_memory_map(venue->stream_size_bytes);
    if (memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    const ome_stream_config_t stream = {.slot_count = config->stream_slot_count,
        .reader_count = config->reader_count + (venue->has_event_log ? 1 : 0),
        .wait_strategy = (ome_wait_strategy_t)config->wait_strategy};
    const ome_status_t status = ome_stream_init(&venue->stream, memory, venue->stream_size_bytes, &stream);
    if (status != OME_OK)
    {
        ome_memory_unmap(memory, venue->stream_size_bytes);
    }
    return status;
}

static ome_status_t venue_make_counters(ome_venue_t *venue, const ome_venue_config_t *config)
{
    ome_status_t status;
    if (config->counters_path != NULL)
    {
        status = ome_counters_create(&venue->counters, config->counters_path, &ome_venue_counters_table, venue->epoch);
    }
    else
    {
        venue->counters_size_bytes = ome_counters_size_bytes(OME_COUNT_COUNT, OME_LATENCY_COUNT);
        void *memory = ome_memory_map(venue->counters_size_bytes);
        if (memory == NULL)
        {
            venue->counters_size_bytes = 0;
            return OME_NO_MEMORY;
        }
        status = ome_counters_init(&venue->counters, memory, venue->counters_size_bytes, &ome_venue_counters_table, venue->epoch);
    }
    if (status == OME_OK)
    {
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_POLICY), venue->policy);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_RING_SLOTS), config->ring_slot_count);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_INSTRUMENTS), venue->engine->instrument_count);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_COMMANDS), venue->engine->sequence);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_DURABLE), venue->engine->sequence);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_TRADES), venue->engine->trade_count);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_EVENTS), venue->engine->event_count);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_LEVELS), venue->engine->pools.ladder.level_count);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_RING_CURSOR), venue->engine->sequence);
        ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_FEED_SEQUENCE), venue->engine->sequence);
        ome_venue_count_clock(venue);
    }
    return status;
}

void ome_venue_count_clock(const ome_venue_t *venue)
{
    const ome_venue_clock_t *clock = &venue->clock;
    const int64_t difference_ns = clock->difference_ns;
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_CLOCK_AHEAD), difference_ns > 0 ? (uint64_t)difference_ns : 0);
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_CLOCK_BEHIND), difference_ns < 0 ? (uint64_t)-difference_ns : 0);
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_CLOCK_HELD), clock->is_held);
    ome_counter_set(ome_counters_counter(&venue->counters, OME_COUNT_CLOCK_JUMPS), clock->jump_count);
}

/* Ends the journal after its last valid record and begins the next segment. */
static ome_status_t venue_open_journal(ome_venue_t *venue, ome_replay_t *replay, const ome_venue_config_t *config)
{
    ome_status_t status = ome_journal_recover(&replay->reader);
    if (status != OME_OK)
    {
        return status;
    }
    venue->epoch = replay->reader.epoch + 1;
    venue->writer_memory_size_bytes = ome_journal_writer_size_bytes(config->ring_slot_count);
    venue->writer_memory = ome_memory_map(venue->writer_memory_size_bytes);
    if (venue->writer_memory == NULL)
    {
        return OME_NO_MEMORY;
    }
    const ome_journal_writer_config_t writer = {.file_system = ome_file_system_posix(),
        .directory = config->directory,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = config->segment_size_bytes,
        .epoch = venue->epoch,
        .first_sequence = replay->reader.last_sequence + 1,
        .previous_checksum = replay->reader.chain_checksum,
        .configuration_hash = config->configuration_hash};
    OME_ASSERT(venue->engine->sequence == replay->reader.last_sequence);
    status = ome_journal_writer_open(&venue->writer, venue->writer_memory, venue->writer_memory_size_bytes, &writer);
    venue->has_journal = status == OME_OK;
    if (!venue->has_journal)
    {
        (void)ome_journal_writer_close(&venue->writer);
    }
    if (status == OME_IO_ERROR)
    {
        venue_note_error(venue, &venue->writer.error);
    }
    return status;
}

/* Completes the event log up to the journal's end, and begins its next segment. */
static ome_status_t venue_open_event_log(ome_venue_t *venue, ome_replay_t *replay, const ome_venue_config_t *config)
{
    const ome_event_log_config_t log = {.segment_size_bytes = config->segment_size_bytes,
        .epoch = venue->epoch,
        .configuration_hash = config->configuration_hash,
        .delay_ns = EVENT_LOG_DELAY_NS,
        .event_count = venue->engine->event_count};
    const ome_status_t status = ome_event_log_open(&venue->event_log, replay, &log);
    venue->has_event_log = status == OME_OK;
    if (venue->event_log.writer.error.call != NULL)
    {
        venue_note_error(venue, &venue->event_log.writer.error);
    }
    return status;
}

/* What the first commands use. The threads that match and write would otherwise wait for each page to be cleared. */
static void venue_touch(const ome_venue_t *venue)
{
    ome_book_pools_touch(&venue->engine->pools);
    ome_memory_touch(venue->ring, venue->ring_size_bytes);
    ome_memory_touch(venue->stream, venue->stream_size_bytes);
    if (venue->has_journal)
    {
        ome_memory_touch(venue->writer_memory, venue->writer_memory_size_bytes);
    }
    if (venue->has_event_log)
    {
        ome_memory_touch(venue->event_log.memory, venue->event_log.memory_size_bytes);
    }
}

static void venue_make_stages(ome_venue_t *venue, const ome_venue_config_t *config)
{
    ome_match_stage_init(
        &venue->match_stage, venue->engine, venue->ring, CONSUMER_MATCH, venue->stream, &venue->counters, &venue->is_failed);
    ome_query_init(&venue->query);
    venue->match_stage.query = &venue->query;
    venue->ingress = (ome_ingress_t){.ring = venue->ring, .clock = &venue->clock};
    const uint32_t required = venue->policy == OME_POLICY_COMMIT ? 1u << OME_GATE_DURABLE : 0;
    ome_published_init(&venue->published, venue->stream, required, venue->engine->sequence);
    if (venue->has_journal)
    {
        const ome_journal_stage_config_t stage = {.writer = &venue->writer,
            .ring = venue->ring,
            .published = &venue->published,
            .counters = &venue->counters,
            .first_sequence = venue->engine->sequence + 1,
            .delay_ns = config->delay_ns,
            .batch_count = config->batch_count,
            .consumer_index = CONSUMER_JOURNAL};
        ome_journal_stage_init(&venue->journal_stage, &stage);
    }
    if (venue->has_event_log)
    {
        ome_reader_t reader;
        const ome_status_t status = ome_published_register(&venue->published, "event log", false, &reader);
        OME_ASSERT(status == OME_OK);
        ome_event_log_attach(&venue->event_log, reader, &venue->counters);
    }
}

ome_status_t ome_venue_open(ome_venue_t *venue, ome_engine_t *engine, ome_replay_t *replay, const ome_venue_config_t *config)
{
    venue->engine = engine;
    venue->policy = (uint8_t)config->policy;
    venue->epoch = ome_clock_realtime_ns() / UINT64_C(1000000000);
    ome_venue_clock_init(&venue->clock, ome_clock_steady_ns(), ome_clock_realtime_ns(), engine->time_ns);
    if (config->policy < OME_POLICY_COMMIT || config->policy > OME_POLICY_MEMORY)
    {
        return OME_INVALID;
    }
    ome_status_t status = OME_OK;
    if (config->policy != OME_POLICY_MEMORY)
    {
        status = venue_open_journal(venue, replay, config);
        status = status == OME_OK && replay->checks_events ? venue_open_event_log(venue, replay, config) : status;
    }
    if (status == OME_OK)
    {
        status = venue_make_ring(venue, config);
    }
    if (status == OME_OK)
    {
        status = venue_make_stream(venue, config);
    }
    if (status == OME_OK)
    {
        status = venue_make_counters(venue, config);
    }
    if (status == OME_OK)
    {
        venue_make_stages(venue, config);
        venue_touch(venue);
    }
    return status;
}

/* ---- Threads ---- */

static bool venue_flag_is_set(const atomic_bool *flag)
{
    /* Acquire: pairs with the release in venue_set_flag. */
    return atomic_load_explicit(flag, memory_order_acquire);
}

static void venue_set_flag(atomic_bool *flag)
{
    atomic_store_explicit(flag, true, memory_order_release);
}

/* Stops the venue: nothing is matched or published any more. */
static void venue_stop_for(ome_venue_t *venue, const ome_error_t *error)
{
    venue_note_error(venue, error);
    venue_set_flag(&venue->is_failed);
    ome_ring_close(venue->ring);
}

static void *venue_match_loop(void *argument)
{
    ome_thread_set_name("ome-match");
    ome_venue_t *venue = argument;
    ome_match_stage_t *stage = &venue->match_stage;
    while (!venue_flag_is_set(&venue->is_failed) && !ome_ring_is_finished(venue->ring, stage->next_sequence - 1))
    {
        if (ome_match_stage_do_work(stage) == 0)
        {
            ome_match_stage_wait(stage, IDLE_WAIT_NS);
        }
    }
    venue_set_flag(&venue->is_match_done);
    return NULL;
}

static void *venue_journal_loop(void *argument)
{
    ome_thread_set_name("ome-journal");
    ome_venue_t *venue = argument;
    ome_journal_stage_t *stage = &venue->journal_stage;
    for (;;)
    {
        if (ome_journal_stage_do_work(stage) != 0)
        {
            continue;
        }
        if (stage->status != OME_OK)
        {
            venue_stop_for(venue, &venue->writer.error);
            break;
        }
        if (ome_ring_is_finished(venue->ring, stage->next_sequence - 1))
        {
            break;
        }
        (void)ome_ring_wait(venue->ring, stage->next_sequence, IDLE_WAIT_NS);
    }
    venue_set_flag(&venue->is_journal_done);
    return NULL;
}

/* Checks from time to time, and so wakes up late: waking it for each event would cost the waker more than the checks
 * cost. */
static void *venue_event_log_loop(void *argument)
{
    ome_thread_set_name("ome-event-log");
    ome_venue_t *venue = argument;
    ome_event_log_t *log = &venue->event_log;
    const struct timespec pause = {.tv_nsec = EVENT_LOG_PAUSE_NS};
    while (!venue_flag_is_set(&venue->is_failed))
    {
        const bool is_last = venue_flag_is_set(&venue->is_match_done) && venue_flag_is_set(&venue->is_journal_done); /* before it looks */
        const uint32_t count = ome_event_log_do_work(log);
        if (log->status != OME_OK)
        {
            venue_stop_for(venue, &log->writer.error);
        }
        else if (count == 0 && is_last)
        {
            break;
        }
        else if (count == 0)
        {
            (void)nanosleep(&pause, NULL);
        }
    }
    ome_reader_detach(&log->reader);
    return NULL;
}

/* Keeps one journal segment ready ahead of the writer. A failed attempt is repeated after a pause, which doubles up to
 * half a second. A writer that needs the segment in the meantime makes it itself, and reports the failure if it
 * cannot. */
static void *venue_prepare_loop(void *argument)
{
    ome_thread_set_name("ome-prepare");
    ome_venue_t *venue = argument;
    struct timespec pause = {.tv_nsec = PREPARE_PAUSE_NS};
    while (!venue_flag_is_set(&venue->is_journal_done))
    {
        const bool is_due = atomic_load_explicit(&venue->journal_stage.is_spare_due, memory_order_relaxed);
        const bool has_failed = is_due && ome_journal_writer_prepare_next(&venue->writer) != OME_OK;
        pause.tv_nsec = !has_failed ? PREPARE_PAUSE_NS : pause.tv_nsec < PREPARE_PAUSE_MAX_NS ? 2 * pause.tv_nsec : pause.tv_nsec;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

ome_status_t ome_venue_start(ome_venue_t *venue)
{
    if (!venue->has_journal)
    {
        venue_set_flag(&venue->is_journal_done);
    }
    ome_published_start(&venue->published);
    if (pthread_create(&venue->match_thread, NULL, venue_match_loop, venue) != 0)
    {
        return OME_NO_MEMORY;
    }
    venue->is_started = true;
    if (venue->has_journal)
    {
        /* A process that cannot make three threads at its start cannot run a venue. */
        OME_ASSERT(pthread_create(&venue->journal_thread, NULL, venue_journal_loop, venue) == 0);
        OME_ASSERT(pthread_create(&venue->prepare_thread, NULL, venue_prepare_loop, venue) == 0);
    }
    if (venue->has_event_log)
    {
        OME_ASSERT(pthread_create(&venue->event_log_thread, NULL, venue_event_log_loop, venue) == 0);
    }
    return OME_OK;
}

ome_status_t ome_venue_submit(ome_venue_t *venue, const void *commands, uint32_t count)
{
    if (venue_flag_is_set(&venue->is_failed))
    {
        return OME_STOPPED;
    }
    ome_ingress_claim_t claim;
    const ome_status_t status = ome_ingress_claim(&venue->ingress, count, &claim);
    if (status != OME_OK)
    {
        return status;
    }
    for (uint32_t i = 0; i < count; i++)
    {
        (void)ome_ingress_put(&venue->ingress, &claim, i, (const uint8_t *)commands + (size_t)i * OME_RECORD_SIZE);
    }
    ome_ingress_publish(&venue->ingress, &claim);
    return OME_OK;
}

ome_status_t ome_venue_ask(ome_venue_t *venue, ome_query_work_t work, void *context, uint64_t timeout_ns)
{
    if (venue_flag_is_set(&venue->is_match_done))
    {
        return OME_STOPPED;
    }
    ome_query_post(&venue->query, work, context);
    ome_wait_notify(&venue->ring->wait);
    const ome_status_t status = ome_query_take(&venue->query, timeout_ns);
    return status == OME_OK || !venue_flag_is_set(&venue->is_match_done) ? status : OME_STOPPED;
}

void ome_venue_stop(ome_venue_t *venue)
{
    ome_ring_close(venue->ring);
}

const ome_error_t *ome_venue_error(const ome_venue_t *venue)
{
    return atomic_load_explicit(&venue->error, memory_order_acquire);
}

bool ome_venue_is_drained(const ome_venue_t *venue)
{
    return venue_flag_is_set(&venue->is_match_done) && venue_flag_is_set(&venue->is_journal_done);
}

ome_status_t ome_venue_close(ome_venue_t *venue)
{
    ome_status_t status = OME_OK;
    if (venue->is_started)
    {
        ome_venue_stop(venue);
        ome_published_close(&venue->published);
        (void)pthread_join(venue->match_thread, NULL);
        if (venue->has_journal)
        {
            (void)pthread_join(venue->journal_thread, NULL);
            (void)pthread_join(venue->prepare_thread, NULL);
        }
        if (venue->has_event_log)
        {
            (void)pthread_join(venue->event_log_thread, NULL);
        }
        venue->is_started = false;
    }
    if (venue->has_journal)
    {
        status = ome_journal_writer_close(&venue->writer) == OME_OK ? OME_OK : OME_IO_ERROR;
        venue->has_journal = false;
    }
    const ome_status_t log_status = ome_event_log_close(&venue->event_log);
    status = venue->has_event_log && log_status != OME_OK ? OME_IO_ERROR : status;
    ome_memory_unmap(venue->writer_memory, venue->writer_memory_size_bytes);
    ome_memory_unmap(venue->ring, venue->ring_size_bytes);
    ome_memory_unmap(venue->stream, venue->stream_size_bytes);
    if (venue->counters_size_bytes != 0)
    {
        ome_memory_unmap(venue->counters.header, venue->counters_size_bytes);
    }
    else if (venue->counters.header != NULL)
    {
        ome_counters_close(&venue->counters);
    }
    if (venue->engine != NULL)
    {
        ome_memory_unmap(venue->engine, ome_engine_size_bytes(&venue->engine->limits));
    }
    *venue = (ome_venue_t){0};
    return status;
}
