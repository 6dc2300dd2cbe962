/* The venue: stages stepped by hand, then threads: every event in order, nothing said before the gate opens, nothing lost at a stop, a restart or a failure. */
#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/ome_clock.h"
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
    .special_count_max = 32};

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

static ome_replay_t *replay_to_end(const char *directory)
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

static ome_status_t venue_try(const plan_t *plan, ome_venue_t **venue)
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

static ome_venue_t *venue_open(const plan_t *plan)
{
    ome_venue_t *venue = NULL;
    CHECK_EQUAL(venue_try(plan, &venue), OME_OK);
    return venue;
}

/* Submits until there is room; returns the status otherwise. */
static ome_status_t submit(ome_venue_t *venue, const ome_command_t *commands, uint32_t count)
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

static void submit_definitions(ome_venue_t *venue)
{
    const ome_command_t commands[2] = {define_limits(&standard_limits), define_instrument(1, "ONE", 1, 0)};
    CHECK_EQUAL(submit(venue, commands, 2), OME_OK);
}

static flow_t flow_of(uint64_t flow_seed)
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

static void *submit_flow(void *argument)
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

static void take_event(reader_t *reader, const ome_event_t *event)
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
static void *read_all(void *argument)
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

static void reader_start(reader_t *reader, ome_venue_t *venue, uint32_t index, uint32_t pause_every, const spoken_t *spoken)
{
    *reader = (reader_t){.venue = venue, .index = index, .pause_every = pause_every, .hash = spoken->hash};
    atomic_init(&reader->last_sequence, spoken->sequence);
    CHECK_EQUAL(pthread_create(&reader->thread, NULL, read_all, reader), 0);
}

static void submitters_start(submitter_t *submitters, ome_venue_t *venue, uint32_t command_count, uint32_t batch_count_max)
{
    for (uint32_t i = 0; i < SUBMITTER_COUNT; i++)
    {
        submitters[i] = (submitter_t){
            .venue = venue, .flow_seed = seed + i + command_count, .command_count = command_count, .batch_count_max = batch_count_max};
        CHECK_EQUAL(pthread_create(&submitters[i].thread, NULL, submit_flow, &submitters[i]), 0);
    }
}

/* Waits for the submitters' end; returns how many commands were taken. */
static uint64_t submitters_join(submitter_t *submitters)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < SUBMITTER_COUNT; i++)
    {
        CHECK_EQUAL(pthread_join(submitters[i].thread, NULL), 0);
        count += submitters[i].accepted_count;
    }
    return count;
}

static void wait_until_drained(const ome_venue_t *venue)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (!ome_venue_is_drained(venue))
    {
        CHECK(ome_clock_monotonic_ns() < end_ns);
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

static uint64_t counter_of(const ome_venue_t *venue, ome_venue_counter_t counter)
{
    return ome_counter_get(ome_counters_counter(&venue->counters, counter));
}

/* A whole life: starts, takes a flow from several threads while readers read, stops, drains; returns the state hash, and adds what was
 * said. Checks that every reader saw every event. */
static uint64_t live_on(const plan_t *plan, uint32_t command_count, uint32_t pause_every, spoken_t *spoken)
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

static void live_once(const plan_t *plan, uint32_t command_count, uint32_t pause_every)
{
    spoken_t spoken = nothing;
    (void)live_on(plan, command_count, pause_every, &spoken);
}

/* ---- opening ---- */

/* What is outside its limits is refused, with and without a journal, and nothing stays behind. */
static void a_venue_is_opened_only_with_a_good_configuration(void)
{
    const directory_t directory = directory_new();
    for (uint32_t has_journal = 0; has_journal < 2; has_journal++)
    {
        const plan_t good = {.policy = has_journal ? OME_POLICY_COMMIT : OME_POLICY_MEMORY,
            .ring_slot_count = 16,
            .stream_slot_count = 16,
            .reader_count = 1,
            .wait_strategy = OME_WAIT_BLOCK,
            .directory = has_journal ? directory.path : NULL};
        ome_venue_t *venue = NULL;
        plan_t bad[10] = {good, good, good, good, good, good, good, good, good, good};
        bad[0].policy = 0;
        bad[1].policy = OME_POLICY_MEMORY + 1;
        bad[2].ring_slot_count = 0;
        bad[3].ring_slot_count = 17;
        bad[4].stream_slot_count = 0;
        bad[5].stream_slot_count = 24;
        bad[6].reader_count = 0;
        bad[7].reader_count = OME_RING_CONSUMER_COUNT_MAX + 1;
        bad[8].wait_strategy = 0;
        bad[9].wait_strategy = OME_WAIT_BLOCK + 1;
        for (uint32_t i = 0; i < 10; i++)
        {
            CHECK_EQUAL(venue_try(&bad[i], &venue), OME_INVALID);
            CHECK(venue == NULL);
        }
        CHECK_EQUAL(venue_try(&good, &venue), OME_OK);
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK); /* without a start */
    }
    directory_remove(&directory);
}

/* No commands, or more than the ring has slots, are refused; as many as it has are taken. */
static void a_submission_has_one_command_to_as_many_as_the_ring_has(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 64, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    ome_command_t commands[17] = {0};
    CHECK_EQUAL(ome_venue_submit(venue, commands, 0), OME_INVALID);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 17), OME_INVALID);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 16), OME_OK);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_FULL);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 16);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* A command is stamped when it is sequenced; the rest of its body arrives as it was. */
static void a_submitted_command_is_stamped_and_otherwise_unchanged(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 16, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    ome_command_t command;
    memset(&command, 0x5A, sizeof(command));
    const uint64_t before_ns = ome_clock_realtime_ns();
    CHECK_EQUAL(ome_venue_submit(venue, &command, 1), OME_OK);
    const ome_command_t *slot = ome_ring_slot(venue->ring, 1);
    CHECK_EQUAL(slot->sequence, 1);
    CHECK(slot->timestamp_ns >= before_ns);
    CHECK(slot->timestamp_ns <= ome_clock_realtime_ns());
    CHECK_BYTES_EQUAL((const uint8_t *)slot + 16, (const uint8_t *)&command + 16, sizeof(command) - 16);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* ---- stages by hand ---- */

/* Under `commit` an event is read after its command is on disk and not before; under the other policies at once. */
static void nothing_is_said_before_the_gate_opens(void)
{
    for (uint8_t policy = OME_POLICY_COMMIT; policy <= OME_POLICY_MEMORY; policy++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {policy, 16, 64, 1, OME_WAIT_BLOCK, policy != OME_POLICY_MEMORY ? directory.path : NULL};
        ome_venue_t *venue = venue_open(&plan);
        ome_event_t events[8];
        submit_definitions(venue);
        CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
        CHECK_EQUAL(ome_stream_published(venue->stream), 2);
        if (policy == OME_POLICY_COMMIT)
        {
            CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 1000000), 0);
            CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
            CHECK_EQUAL(ome_published_limit(&venue->published), 2);
            /* Two more are matched and wait; only what is on disk is read. */
            const ome_command_t orders[2] = {limit_order(OME_SIDE_BUY, 10, 1, 1), limit_order(OME_SIDE_BUY, 10, 1, 2)};
            CHECK_EQUAL(ome_venue_submit(venue, orders, 2), OME_OK);
            CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
        }
        CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 1000000), 2);
        CHECK_EQUAL(events[0].sequence, 1);
        CHECK_EQUAL(events[1].sequence, 2);
        CHECK_EQUAL(events[1].kind, OME_EVENT_KIND_DEFINED);
        CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 0), 0);
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
        directory_remove(&directory);
    }
}

/* The journal may be ahead of the matcher, too: then there is nothing to say yet. */
static void a_command_on_disk_is_said_when_it_is_matched(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 16, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_event_t events[8];
    submit_definitions(venue);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(ome_published_limit(&venue->published), 2);
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 1000000), 0);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 0), 2);
    CHECK_EQUAL(ome_journal_stage_do_work(&venue->journal_stage), 0);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 0);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* Under `async` a group is written at once and synced when it is large, when its oldest has waited, or when nothing more is there. */
static void an_async_group_is_synced_when_it_is_large_or_old_or_the_stream_is_idle(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_ASYNC, 128, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_journal_stage_t *stage = &venue->journal_stage;
    ome_command_t commands[128] = {0};
    stage->delay_ns = LONG_NS;
    CHECK_EQUAL(stage->batch_count, 64);
    commands[0] = define_limits(&standard_limits);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 10), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 10);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 10);
    CHECK_EQUAL(ome_published_limit(&venue->published), UINT64_MAX);
    CHECK_EQUAL(counter_of(venue, OME_COUNT_DURABLE), 0);
    CHECK(ome_journal_stage_do_work(stage) > 0);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 0); /* idle */
    CHECK_EQUAL(counter_of(venue, OME_COUNT_DURABLE), 10);
    CHECK_EQUAL(counter_of(venue, OME_COUNT_COMMITS), 1);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 0);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 63), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 63);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 63);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 2);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 0); /* large */
    stage->delay_ns = 0;
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 2);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 0); /* old */
    CHECK_EQUAL(counter_of(venue, OME_COUNT_COMMITS), 3);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* A slot of the ring is free for producers when both the matcher and the journal are done with it. */
static void the_ring_is_held_back_by_the_matcher_and_the_journal(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 64, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_command_t commands[16] = {0};
    commands[0] = define_limits(&standard_limits);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 16), OME_OK);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 16);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_FULL);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 16), OME_OK);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_FULL);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 16);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* The matcher takes commands in batches of at most OME_MATCH_BATCH_COUNT, and its events cross the wrap of a stream that is smaller. */
static void a_batch_of_the_matcher_is_bounded(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 1024, 1024, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    static ome_command_t commands[OME_MATCH_BATCH_COUNT + 44];
    CHECK_EQUAL(ome_venue_submit(venue, commands, OME_MATCH_BATCH_COUNT + 44), OME_OK);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), OME_MATCH_BATCH_COUNT);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 44);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 0);
    CHECK_EQUAL(ome_stream_published(venue->stream), OME_MATCH_BATCH_COUNT + 44);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* ---- threads ---- */

static void every_reader_sees_every_event_in_order_without_a_journal(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 256, 256, 2, OME_WAIT_BLOCK, NULL};
    live_once(&plan, 5000 * LOAD, 0);
    const plan_t yielding = {OME_POLICY_MEMORY, 64, 128, 1, OME_WAIT_YIELD, NULL};
    live_once(&yielding, 1000 * LOAD, 0);
}

static void every_reader_sees_every_event_in_order_with_a_journal(void)
{
    for (uint8_t policy = OME_POLICY_COMMIT; policy <= OME_POLICY_ASYNC; policy++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {policy, 256, 512, 2, OME_WAIT_BLOCK, directory.path};
        live_once(&plan, 500 * LOAD, 0);
        directory_remove(&directory);
    }
}

/* Rings of 16 slots and a reader that pauses: the producers are told that it is busy, and nothing is lost. */
static void a_slow_reader_holds_a_small_venue_back_and_loses_nothing(void)
{
    const directory_t directory = directory_new();
    const plan_t memory = {OME_POLICY_MEMORY, 16, 16, 2, OME_WAIT_BLOCK, NULL};
    const plan_t commit = {OME_POLICY_COMMIT, 16, 16, 2, OME_WAIT_BLOCK, directory.path};
    live_once(&memory, 300 * LOAD, 40);
    live_once(&commit, 60 * LOAD, 40);
    directory_remove(&directory);
}

/* While nobody reads, the venue takes what its rings hold and then is busy; it goes on when somebody does. */
static void a_venue_that_nobody_reads_becomes_busy_and_recovers(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 16, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    uint64_t taken = 0;
    uint32_t busy_in_a_row = 0;
    while (busy_in_a_row < 50)
    {
        const ome_status_t status = ome_venue_submit(venue, &(ome_command_t){0}, 1);
        CHECK(status == OME_OK || status == OME_FULL);
        taken += status == OME_OK;
        busy_in_a_row = status == OME_FULL ? busy_in_a_row + 1 : 0;
    }
    CHECK(taken >= 16 && taken <= 16 + 16 + 16); /* one event each: the stream, one batch being matched, the ring */
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    const ome_command_t command = {0};
    CHECK_EQUAL(submit(venue, &command, 1), OME_OK);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    CHECK_EQUAL(reader.event_count, taken + 1);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* Started again, a venue is what it was: the replay of its journal has the state that it was stopped in, over several lives and policies. */
static void a_restart_gives_the_state_that_was_stopped(void)
{
    const directory_t directory = directory_new();
    static const uint8_t policies[4] = {OME_POLICY_COMMIT, OME_POLICY_ASYNC, OME_POLICY_ASYNC, OME_POLICY_COMMIT};
    uint64_t epoch = 0;
    spoken_t spoken = nothing;
    for (uint32_t life = 0; life < 4; life++)
    {
        const plan_t plan = {policies[life], 64, 128, 1, OME_WAIT_BLOCK, directory.path};
        const uint64_t hash = live_on(&plan, 150 * LOAD + life, 0, &spoken);
        ome_replay_t *replay = replay_to_end(directory.path);
        CHECK_EQUAL(ome_engine_state_hash(replay->engine), hash);
        CHECK_EQUAL(ome_replay_event_hash(replay), spoken.hash);
        CHECK_EQUAL(replay->reader.report.verdict, OME_JOURNAL_CLEAN);
        CHECK(replay->reader.epoch > epoch);
        epoch = replay->reader.epoch;
        ome_replay_destroy(replay);
    }
    directory_remove(&directory);
}

/* A command of kind 0, which the journal cannot say as it is, is rejected alike now and in a replay. */
static void unknown_kinds_replay_to_the_same_state(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 64, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    for (uint32_t kind = 0; kind < 256; kind += 5)
    {
        const ome_command_t command = {.kind = (uint8_t)kind};
        CHECK_EQUAL(submit(venue, &command, 1), OME_OK);
    }
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    const uint64_t state_hash = ome_engine_state_hash(ome_venue_engine(venue));
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    ome_replay_t *replay = replay_to_end(directory.path);
    CHECK_EQUAL(ome_engine_state_hash(replay->engine), state_hash);
    CHECK_EQUAL(ome_replay_event_hash(replay), reader.hash);
    ome_replay_destroy(replay);
    directory_remove(&directory);
}

/* Closed at once, with commands in the ring and nobody reading, a venue ends and has journaled what it took. */
static void a_venue_closed_without_draining_has_journaled_what_it_took(void)
{
    for (uint32_t round = 0; round < 4; round++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {round % 2 == 0 ? OME_POLICY_COMMIT : OME_POLICY_ASYNC, 64, 16, 1, OME_WAIT_BLOCK, directory.path};
        ome_venue_t *venue = venue_open(&plan);
        CHECK_EQUAL(ome_venue_start(venue), OME_OK);
        submit_definitions(venue);
        flow_t flow = flow_of(seed + round);
        for (uint32_t i = 0; i < 40; i++)
        {
            const ome_command_t command = flow_next(&flow);
            CHECK_EQUAL(submit(venue, &command, 1), OME_OK);
        }
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
        ome_replay_t *replay = replay_to_end(directory.path);
        CHECK_EQUAL(replay->engine->sequence, 42);
        CHECK(ome_engine_check(replay->engine) == NULL);
        ome_replay_destroy(replay);
        directory_remove(&directory);
    }
}

/* ---- failures ---- */

/* Files may grow to so many bytes; RLIM_INFINITY: to any. */
static void limit_files(rlim_t size_bytes)
{
    struct rlimit limit;
    CHECK_EQUAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size_bytes < limit.rlim_max ? size_bytes : limit.rlim_max;
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Submits one by one until the venue says that it is stopped. */
static uint64_t submit_until_stopped(ome_venue_t *venue)
{
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    flow_t flow = flow_of(seed);
    uint64_t taken = 0;
    for (;;)
    {
        const ome_command_t command = flow_next(&flow);
        const ome_status_t status = ome_venue_submit(venue, &command, 1);
        if (status == OME_STOPPED)
        {
            return taken;
        }
        taken += status == OME_OK;
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
}

/* Replays as far as the reader was told, and finds the same events. */
static void check_spoken_is_in_the_journal(const char *directory, const reader_t *reader)
{
    const uint64_t spoken = atomic_load(&reader->last_sequence);
    ome_replay_t *replay = NULL;
    CHECK_EQUAL(ome_replay_create(directory, 0, &replay), OME_OK);
    CHECK(spoken > 2);
    CHECK_EQUAL(ome_replay_step(replay, spoken), OME_OK);
    CHECK_EQUAL(replay->engine->sequence, spoken);
    CHECK_EQUAL(replay->engine->event_count, reader->event_count);
    CHECK_EQUAL(ome_replay_event_hash(replay), reader->hash);
    ome_replay_destroy(replay);
}

/* A venue on the journal as it is now, after a failure. */
static void check_can_go_on(const plan_t *plan)
{
    ome_replay_t *replay = replay_to_end(plan->directory);
    spoken_t spoken = {.sequence = replay->engine->sequence, .hash = ome_replay_event_hash(replay)};
    ome_replay_destroy(replay);
    const uint64_t hash = live_on(plan, 20, 0, &spoken);
    replay = replay_to_end(plan->directory);
    CHECK_EQUAL(ome_engine_state_hash(replay->engine), hash);
    CHECK_EQUAL(ome_replay_event_hash(replay), spoken.hash);
    ome_replay_destroy(replay);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* The journal's file reaches its limit: the venue stops for good and says why, and all that was spoken under `commit` is in the journal, which can be gone on with. */
static void a_journal_that_cannot_be_written_stops_the_venue(void)
{
    for (uint8_t policy = OME_POLICY_COMMIT; policy <= OME_POLICY_ASYNC; policy++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {policy, 16, 32, 1, OME_WAIT_BLOCK, directory.path};
        ome_venue_t *venue = venue_open(&plan);
        reader_t reader;
        reader_start(&reader, venue, 0, 0, &nothing);
        CHECK_EQUAL(ome_venue_start(venue), OME_OK);
        submit_definitions(venue);
        limit_files(OME_JOURNAL_HEADER_SIZE + 2 * OME_FILE_BLOCK_SIZE + 30);
        CHECK(submit_until_stopped(venue) >= 98);
        CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
        limit_files(RLIM_INFINITY);
        ome_venue_view_t view;
        ome_venue_look(venue, &view);
        CHECK(view.is_failed && view.is_drained);
        CHECK_EQUAL(view.error_number, EFBIG);
        CHECK_TEXT_EQUAL(view.error_call, "pwrite");
        CHECK(ends_with(view.error_path, "journal-00000000000000000001.ome"));
        CHECK_EQUAL(ome_venue_submit(venue, &(ome_command_t){0}, 1), OME_STOPPED);
        /* All but what says nothing: the first records of a command that goes on. */
        const uint64_t spoken = atomic_load(&reader.last_sequence);
        CHECK(policy == OME_POLICY_ASYNC || (spoken <= view.durable && spoken + 2 >= view.durable));
        CHECK(view.durable <= 110);
        (void)ome_venue_destroy(venue);
        if (policy == OME_POLICY_COMMIT)
        {
            check_spoken_is_in_the_journal(directory.path, &reader);
        }
        check_can_go_on(&plan);
        directory_remove(&directory);
    }
}

/* The next segment cannot be made, neither ahead nor when it is needed: the venue goes on to the end of this one, then stops and says why. */
static void a_segment_that_cannot_be_made_stops_the_venue_when_it_is_needed(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    char spare[128];
    char new[128];
    snprintf(spare, sizeof(spare), "%s/journal-spare.tmp", directory.path);
    snprintf(new, sizeof(new), "%s/journal-new.tmp", directory.path);
    CHECK_EQUAL(mkdir(spare, 0700), 0);
    CHECK_EQUAL(mkdir(new, 0700), 0); /* where files should be */
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    (void)submit_until_stopped(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    ome_venue_view_t view;
    ome_venue_look(venue, &view);
    CHECK(view.is_failed);
    CHECK_EQUAL(view.error_number, EISDIR);
    CHECK_TEXT_EQUAL(view.error_call, "open");
    CHECK(ends_with(view.error_path, "journal-new.tmp"));
    (void)ome_venue_destroy(venue);
    check_spoken_is_in_the_journal(directory.path, &reader);
    CHECK_EQUAL(rmdir(spare), 0);
    CHECK_EQUAL(rmdir(new), 0);
    check_can_go_on(&plan);
    directory_remove(&directory);
}

/* The next segment cannot be made ahead, for a while: the writer makes it when it needs it, and later ones are made ahead again. */
static void a_segment_that_cannot_be_made_ahead_is_made_when_it_is_needed(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    char spare[128];
    snprintf(spare, sizeof(spare), "%s/journal-spare.tmp", directory.path);
    CHECK_EQUAL(mkdir(spare, 0700), 0);
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    flow_t flow = flow_of(seed);
    const ome_counter_t *unprepared = ome_counters_counter(&venue->counters, OME_COUNT_JOURNAL_UNPREPARED);
    const uint64_t end_ns = ome_clock_monotonic_ns() + LONG_NS;
    while (ome_counter_get(unprepared) == 0)
    {
        const ome_command_t command = flow_next(&flow);
        CHECK(ome_venue_submit(venue, &command, 1) != OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
    CHECK_EQUAL(rmdir(spare), 0);
    while (atomic_load(&venue->writer.spare_state) == 0)
    {
        const ome_command_t command = flow_next(&flow);
        CHECK(ome_venue_submit(venue, &command, 1) != OME_STOPPED);
        CHECK(ome_clock_monotonic_ns() < end_ns);
    }
    ome_venue_view_t view;
    ome_venue_look(venue, &view);
    CHECK(!view.is_failed);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    (void)ome_venue_destroy(venue);
    check_spoken_is_in_the_journal(directory.path, &reader);
    check_can_go_on(&plan);
    directory_remove(&directory);
}

/* A matcher that waits for a reader who never comes ends when the journal fails. */
static void a_venue_that_fails_while_nobody_reads_ends(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 16, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    limit_files(OME_JOURNAL_HEADER_SIZE + 20 * OME_JOURNAL_COMMAND_SIZE);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    (void)submit_until_stopped(venue);
    wait_until_drained(venue);
    limit_files(RLIM_INFINITY);
    (void)ome_venue_destroy(venue);
    directory_remove(&directory);
}

/* ome_venue_close: OME_OK or OME_IO_ERROR; a venue that failed could not seal its journal. */
static void closing_a_failed_venue_says_that_the_journal_could_not_be_sealed(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    limit_files(OME_JOURNAL_HEADER_SIZE);
    submit_definitions(venue);
    CHECK_EQUAL(ome_journal_stage_do_work(&venue->journal_stage), 0);
    CHECK_EQUAL(venue->journal_stage.status, OME_IO_ERROR);
    limit_files(RLIM_INFINITY);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_IO_ERROR);
    directory_remove(&directory);
}

/* Once an event went nowhere, because the venue has failed and nobody reads, none after it is published: a reader never sees a gap. */
static void once_an_event_went_nowhere_none_is_published(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 2, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    const ome_command_t commands[3] = {0};
    ome_event_t events[4];
    CHECK_EQUAL(ome_venue_submit(venue, commands, 3), OME_OK);
    atomic_store(&venue->is_failed, true);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 3);
    const uint32_t count = ome_venue_read(venue, "first", events, 4, 0);
    CHECK(count <= 2);
    atomic_store(&venue->is_failed, false);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 2), OME_OK);
    atomic_store(&venue->is_failed, true);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 4, 0), 0);
    (void)ome_venue_destroy(venue);
}

static uint64_t thread_time_ns(void)
{
    struct timespec now;
    CHECK_EQUAL(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Under the strategy block, who waits for the gate sleeps, and leaves the core to the journal that is to open it. */
static void a_reader_sleeps_while_the_gate_is_shut(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 16, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_event_t events[4];
    submit_definitions(venue);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
    const uint64_t start_ns = thread_time_ns();
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 4, UINT64_C(100000000)), 0);
    CHECK(thread_time_ns() - start_ns < UINT64_C(20000000));
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* ome_venue_stop: no new commands from then on. What a thread was told is taken while another stops the venue is matched, said, and in the journal. */
static void a_command_taken_while_the_venue_is_stopped_is_not_lost(void)
{
    for (uint32_t round = 0; round < 40 * LOAD; round++)
    {
        const directory_t directory = directory_new();
        const bool has_journal = round % 4 == 0;
        const plan_t plan = {
            has_journal ? OME_POLICY_ASYNC : OME_POLICY_MEMORY, 256, 256, 1, OME_WAIT_BLOCK, has_journal ? directory.path : NULL};
        ome_venue_t *venue = venue_open(&plan);
        submitter_t submitters[SUBMITTER_COUNT];
        reader_t reader;
        reader_start(&reader, venue, 0, 0, &nothing);
        CHECK_EQUAL(ome_venue_start(venue), OME_OK);
        submit_definitions(venue);
        submitters_start(submitters, venue, UINT32_MAX, 1);
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        ome_venue_stop(venue);
        const uint64_t taken = submitters_join(submitters) + 2;
        CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
        CHECK_EQUAL(ome_venue_engine(venue)->sequence, taken);
        CHECK(atomic_load(&reader.last_sequence) + 2 >= taken); /* the first records of a command that goes on say nothing */
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
        if (has_journal)
        {
            ome_replay_t *replay = replay_to_end(directory.path);
            CHECK_EQUAL(replay->engine->sequence, taken);
            ome_replay_destroy(replay);
        }
        directory_remove(&directory);
    }
}

/* What is submitted has the venue's time, whatever the machine's clock says; after a restart the time goes on from there, and says how far it is from the clock. */
static void what_is_submitted_has_the_venues_time(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    const uint64_t hour_ns = UINT64_C(3600000000000);
    ome_venue_t *venue = venue_open(&plan);
    ome_venue_clock_view_t view;
    ome_venue_accept_clock(venue, ome_clock_steady_ns(), ome_clock_realtime_ns() + hour_ns, &view);
    CHECK(!view.is_held);
    CHECK_EQUAL(view.difference_ns, 0);
    const uint64_t before_ns = view.time_ns;
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    ome_venue_follow_clock(venue, ome_clock_steady_ns(), ome_clock_realtime_ns(), &view);
    CHECK(view.is_held);
    CHECK_EQUAL(view.jump_count, 1);
    CHECK(view.difference_ns < 0);
    const ome_counters_t *counters = &venue->counters;
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(counters, OME_COUNT_CLOCK_HELD)), 1);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(counters, OME_COUNT_CLOCK_BEHIND)), (uint64_t)-view.difference_ns);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(counters, OME_COUNT_CLOCK_AHEAD)), 0);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    const uint64_t last_ns = ome_venue_engine(venue)->time_ns;
    CHECK(last_ns >= before_ns && last_ns < ome_clock_realtime_ns() + hour_ns + hour_ns);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    venue = venue_open(&plan);
    CHECK(ome_venue_clock_now_ns(&venue->clock) >= last_ns);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(&venue->counters, OME_COUNT_CLOCK_HELD)), 1);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

int main(void)
{
    seed = test_seed(16);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR); /* so that a file's limit is an error of its write */
    RUN(a_venue_is_opened_only_with_a_good_configuration);
    RUN(a_submission_has_one_command_to_as_many_as_the_ring_has);
    RUN(a_submitted_command_is_stamped_and_otherwise_unchanged);
    RUN(nothing_is_said_before_the_gate_opens);
    RUN(a_command_on_disk_is_said_when_it_is_matched);
    RUN(an_async_group_is_synced_when_it_is_large_or_old_or_the_stream_is_idle);
    RUN(the_ring_is_held_back_by_the_matcher_and_the_journal);
    RUN(a_batch_of_the_matcher_is_bounded);
    RUN(every_reader_sees_every_event_in_order_without_a_journal);
    RUN(every_reader_sees_every_event_in_order_with_a_journal);
    RUN(a_slow_reader_holds_a_small_venue_back_and_loses_nothing);
    RUN(a_venue_that_nobody_reads_becomes_busy_and_recovers);
    RUN(a_restart_gives_the_state_that_was_stopped);
    RUN(unknown_kinds_replay_to_the_same_state);
    RUN(a_venue_closed_without_draining_has_journaled_what_it_took);
    RUN(a_journal_that_cannot_be_written_stops_the_venue);
    RUN(a_segment_that_cannot_be_made_stops_the_venue_when_it_is_needed);
    RUN(a_segment_that_cannot_be_made_ahead_is_made_when_it_is_needed);
    RUN(a_venue_that_fails_while_nobody_reads_ends);
    RUN(closing_a_failed_venue_says_that_the_journal_could_not_be_sealed);
    RUN(once_an_event_went_nowhere_none_is_published);
    RUN(a_reader_sleeps_while_the_gate_is_shut);
    RUN(a_command_taken_while_the_venue_is_stopped_is_not_lost);
    RUN(what_is_submitted_has_the_venues_time);
    return 0;
}
