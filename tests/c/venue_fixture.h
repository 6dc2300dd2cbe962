/* What the tests of the venue share: how one is opened, and the threads that submit to it and read from it. */
#ifndef VENUE_FIXTURE_H
#define VENUE_FIXTURE_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "base/ome_hash.h"
#include "ome_venue_face.h"
#include "ome_test_directory.h"
#include "ome_test_market.h"
#include "pipeline/ome_venue.h"
#include "state/ome_state.h"

#define SUBMITTER_COUNT 3u
#define READER_COUNT_MAX 2u
#define READ_TIMEOUT_NS UINT64_C(2000000)
#define LONG_NS UINT64_C(20000000000) /* a wait this long means that something hangs */

#if defined(__SANITIZE_THREAD__)
#define LOAD 4u
#else
#define LOAD 8u
#endif

static uint64_t seed;

static const ome_limits_t standard_limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 32,
    .rules_version = OME_RULES_VERSION};

/* ---- a venue and its threads ---- */

typedef struct
{
    uint8_t policy;
    uint32_t ring_slot_count;
    uint32_t stream_slot_count;
    uint32_t reader_count;
    uint32_t wait_strategy;
    const char *directory; /* NULL where the policy is memory */
} plan_t;

static inline ome_replay_t *replay_to_end(const char *directory)
{
    ome_replay_t *replay = NULL;
    CHECK_EQUAL(ome_replay_create(directory, 0, &replay), OME_OK);
    ome_status_t status = OME_OK;
    while (status == OME_OK)
    {
        status = ome_replay_step(replay, 1000);
    }
    CHECK_EQUAL(status, OME_EMPTY);
    return replay;
}

static const char *const reader_names[] = {"first", "second", "third", "fourth"};

static inline ome_status_t venue_try(const plan_t *plan, ome_venue_t **venue)
{
    ome_engine_t *engine = NULL;
    ome_venue_view_t view;
    CHECK_EQUAL(ome_engine_create(&standard_limits, &engine), OME_OK);
    ome_replay_t *replay = plan->directory != NULL ? replay_to_end(plan->directory) : NULL;
    const ome_venue_config_t config = {.ring_slot_count = plan->ring_slot_count,
        .stream_slot_count = plan->stream_slot_count,
        .reader_count = plan->reader_count,
        .wait_strategy = plan->wait_strategy,
        .policy = plan->policy,
        .batch_count = 64,
        .directory = plan->directory,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .delay_ns = UINT64_C(1000000)};
    const ome_status_t status = ome_venue_create(replay, engine, &config, venue, &view);
    ome_replay_destroy(replay);
    for (uint32_t i = 0; status == OME_OK && i < plan->reader_count; i++)
    {
        CHECK_EQUAL(ome_venue_register(*venue, reader_names[i]), OME_OK);
    }
    return status;
}

static inline ome_venue_t *venue_open(const plan_t *plan)
{
    ome_venue_t *venue = NULL;
    CHECK_EQUAL(venue_try(plan, &venue), OME_OK);
    return venue;
}

/* Submits until there is room; returns the status otherwise. */
static inline ome_status_t submit(ome_venue_t *venue, const ome_command_t *commands, uint32_t count)
{
    for (;;)
    {
        const ome_status_t status = ome_venue_submit(venue, commands, count);
        if (status != OME_FULL)
        {
            return status;
        }
        sched_yield();
    }
}

static inline void submit_definitions(ome_venue_t *venue)
{
    const ome_command_t commands[2] = {define_limits(&standard_limits), define_instrument(1, "ONE", 1, 0)};
    CHECK_EQUAL(submit(venue, commands, 2), OME_OK);
}

static inline flow_t flow_of(uint64_t flow_seed)
{
    return (flow_t){.random = flow_seed, .instrument_count = 1, .order_id_count = 50, .price_count = 20, .has_specials = true};
}

typedef struct
{
    pthread_t thread;
    ome_venue_t *venue;
    uint64_t flow_seed;
    uint32_t command_count; /* to submit; UINT32_MAX: until the venue is stopped */
    uint32_t batch_count_max;
    uint64_t accepted_count;
    ome_status_t status; /* of the last submission */
} submitter_t;

static inline void *submit_flow(void *argument)
{
    submitter_t *submitter = argument;
    flow_t flow = flow_of(submitter->flow_seed);
    submitter->status = OME_OK;
    while (submitter->accepted_count < submitter->command_count && submitter->status == OME_OK)
    {
        ome_command_t batch[16];
        const uint32_t count = 1 + flow_below(&flow, submitter->batch_count_max);
        for (uint32_t i = 0; i < count; i++)
        {
            batch[i] = flow_next(&flow);
        }
        submitter->status = submit(submitter->venue, batch, count);
        submitter->accepted_count += submitter->status == OME_OK ? count : 0;
    }
    return NULL;
}

typedef struct
{
    pthread_t thread;
    ome_venue_t *venue;
    uint32_t index;
    uint32_t pause_every; /* events; 0: never */
    uint64_t event_count;
    uint64_t hash;
    _Atomic uint64_t last_sequence;
} reader_t;

static inline void take_event(reader_t *reader, const ome_event_t *event)
{
    uint64_t words[8];
    memcpy(words, event, sizeof(words));
    reader->hash = ome_hash_mix(reader->hash, words);
    reader->event_count++;
    const uint64_t last_sequence = atomic_load_explicit(&reader->last_sequence, memory_order_relaxed);
    CHECK(event->sequence >= last_sequence); /* records of a command that goes on say nothing themselves */
    atomic_store_explicit(&reader->last_sequence, event->sequence, memory_order_relaxed);
    if (reader->pause_every > 0 && reader->event_count % reader->pause_every == 0)
    {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Reads until the venue is drained and nothing is left that may be spoken of. */
static inline void *read_all(void *argument)
{
    reader_t *reader = argument;
    for (;;)
    {
        ome_event_t events[48];
        const bool is_drained = ome_venue_is_drained(reader->venue);
        const uint32_t count = ome_venue_read(reader->venue, reader_names[reader->index], events, 48, READ_TIMEOUT_NS);
        CHECK(count == 0 || events[count - 1].sequence <= ome_published_limit(&reader->venue->published));
        for (uint32_t i = 0; i < count; i++)
        {
            take_event(reader, &events[i]);
        }
        if (count == 0 && is_drained)
        {
            return NULL;
        }
    }
}

/* What has been said so far. */
typedef struct
{
    uint64_t sequence;
    uint64_t hash;
} spoken_t;

static const spoken_t nothing = {.sequence = 0, .hash = OME_HASH_EVENTS_INITIAL};

static inline void reader_start(reader_t *reader, ome_venue_t *venue, uint32_t index, uint32_t pause_every, const spoken_t *spoken)
{
    *reader = (reader_t){.venue = venue, .index = index, .pause_every = pause_every, .hash = spoken->hash};
    atomic_init(&reader->last_sequence, spoken->sequence);
    CHECK_EQUAL(pthread_create(&reader->thread, NULL, read_all, reader), 0);
}

static inline void submitters_start(submitter_t *submitters, ome_venue_t *venue, uint32_t command_count, uint32_t batch_count_max)
{
    for (uint32_t i = 0; i < SUBMITTER_COUNT; i++)
    {
        submitters[i] = (submitter_t){
            .venue = venue, .flow_seed = seed + i + command_count, .command_count = command_count, .batch_count_max = batch_count_max};
        CHECK_EQUAL(pthread_create(&submitters[i].thread, NULL, submit_flow, &submitters[i]), 0);
    }
}

/* Waits for the submitters' end; returns how many commands were taken. */
static inline uint64_t submitters_join(submitter_t *submitters)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < SUBMITTER_COUNT; i++)
    {
        CHECK_EQUAL(pthread_join(submitters[i].thread, NULL), 0);
        count += submitters[i].accepted_count;
    }
    return count;
}

static inline uint64_t counter_of(const ome_venue_t *venue, ome_venue_counter_t counter)
{
    return ome_counter_get(ome_counters_counter(&venue->counters, counter));
}

/* A whole life: starts, takes a flow from several threads while readers read, stops, drains; returns the state hash, and adds what was
 * said. Checks that every reader saw every event. */
static inline uint64_t live_on(const plan_t *plan, uint32_t command_count, uint32_t pause_every, spoken_t *spoken)
{
    submitter_t submitters[SUBMITTER_COUNT];
    reader_t readers[READER_COUNT_MAX];
    ome_venue_t *venue = venue_open(plan);
    const uint64_t first_sequence = venue->engine->sequence;
    const uint64_t first_event_count = venue->engine->event_count;
    for (uint32_t i = 0; i < plan->reader_count; i++)
    {
        reader_start(&readers[i], venue, i, i == 0 ? pause_every : 0, spoken);
    }
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    if (first_sequence == 0)
    {
        submit_definitions(venue);
    }
    submitters_start(submitters, venue, command_count, plan->ring_slot_count < 32 ? 3 : 16);
    const uint64_t taken = submitters_join(submitters) + (first_sequence == 0 ? 2 : 0);
    ome_venue_stop(venue);
    CHECK_EQUAL(ome_venue_submit(venue, &(ome_command_t){0}, 1), OME_STOPPED);
    for (uint32_t i = 0; i < plan->reader_count; i++)
    {
        CHECK_EQUAL(pthread_join(readers[i].thread, NULL), 0);
    }
    CHECK(ome_venue_is_drained(venue));
    const ome_engine_t *engine = ome_venue_engine(venue);
    CHECK_EQUAL(engine->sequence, first_sequence + taken);
    CHECK(ome_engine_check(engine) == NULL);
    for (uint32_t i = 0; i < plan->reader_count; i++)
    {
        CHECK(atomic_load(&readers[i].last_sequence) + 2 >= engine->sequence); /* the first records of a command that goes on say nothing */
        CHECK_EQUAL(readers[i].event_count, engine->event_count - first_event_count);
        CHECK_EQUAL(readers[i].hash, readers[0].hash);
    }
    CHECK_EQUAL(counter_of(venue, OME_COUNT_COMMANDS), engine->sequence);
    CHECK_EQUAL(counter_of(venue, OME_COUNT_EVENTS), engine->event_count);
    CHECK_EQUAL(counter_of(venue, OME_COUNT_TRADES), engine->trade_count);
    CHECK(engine->trade_count > 0);
    CHECK_EQUAL(counter_of(venue, OME_COUNT_LEVELS), engine->pools.ladder.level_count);
    CHECK(plan->policy == OME_POLICY_MEMORY || counter_of(venue, OME_COUNT_DURABLE) == engine->sequence);
    const uint64_t hash = ome_engine_state_hash(engine);
    *spoken = (spoken_t){.sequence = engine->sequence, .hash = readers[0].hash};
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    return hash;
}

#endif
