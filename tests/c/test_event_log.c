/* The event log: that it has every event, and what a start makes of one that lags, is damaged, or says something else than the journal. */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "base/ome_clock.h"
#include "ome_test_directory.h"
#include "ome_test_market.h"
#include "ome_venue_face.h"
#include "pipeline/ome_venue.h"

#define COMMAND_COUNT 3000u
#define EVENT_RECORD_SIZE (OME_JOURNAL_ENVELOPE_SIZE + sizeof(ome_event_t))

static uint64_t seed;

static const ome_limits_t standard_limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 4,
    .session_count_max = 4,
    .special_count_max = 32,
    .rules_version = OME_RULES_VERSION};

/* ---- a venue with a log ---- */

static ome_replay_t *replay_new(const char *directory, uint32_t flags)
{
    ome_replay_t *replay = NULL;
    (void)ome_replay_create(directory, flags, &replay);
    CHECK(replay != NULL);
    return replay;
}

/* Steps to the end; returns what the end is. */
static ome_status_t run(ome_replay_t *replay)
{
    ome_status_t status = OME_OK;
    while (status == OME_OK)
    {
        status = ome_replay_step(replay, 500);
    }
    return status;
}

static ome_status_t venue_try(const char *directory, uint8_t policy, ome_venue_t **venue)
{
    ome_engine_t *engine = NULL;
    ome_venue_view_t view;
    ome_replay_t *replay = replay_new(directory, OME_REPLAY_CHECKS_EVENTS | OME_REPLAY_FROM_SNAPSHOT);
    ome_status_t status = run(replay);
    if (status == OME_EMPTY)
    {
        CHECK_EQUAL(ome_engine_create(&standard_limits, &engine), OME_OK);
        const ome_venue_config_t config = {.ring_slot_count = 64,
            .stream_slot_count = 256,
            .reader_count = 1,
            .wait_strategy = OME_WAIT_BLOCK,
            .policy = policy,
            .batch_count = 64,
            .directory = directory,
            .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
            .delay_ns = UINT64_C(1000000)};
        status = ome_venue_create(replay, engine, &config, venue, &view);
        CHECK(status != OME_OK || ome_venue_register(*venue, "reader") == OME_OK);
    }
    ome_replay_destroy(replay);
    return status;
}

typedef struct
{
    pthread_t thread;
    ome_venue_t *venue;
} reader_t;

static void *read_all(void *argument)
{
    reader_t *reader = argument;
    for (;;)
    {
        ome_event_t events[64];
        const bool is_drained = ome_venue_is_drained(reader->venue);
        if (ome_venue_read(reader->venue, "reader", events, 64, UINT64_C(2000000)) == 0 && is_drained)
        {
            return NULL;
        }
    }
}

/* Submits until there is room; false where the venue has stopped. */
static bool submit(ome_venue_t *venue, const ome_command_t *command)
{
    ome_status_t status;
    while ((status = ome_venue_submit(venue, command, 1)) == OME_FULL)
    {
        sched_yield();
    }
    return status == OME_OK;
}

/* The last command is one that says something, whatever came before. */
static uint32_t submit_flow(ome_venue_t *venue, uint32_t command_count)
{
    flow_t flow = {
        .random = seed + venue->engine->sequence, .instrument_count = 1, .order_id_count = 50, .price_count = 20, .has_specials = true};
    const ome_command_t definitions[2] = {define_limits(&standard_limits), define_instrument(1, "ONE", 1, 0)};
    const uint32_t definition_count = venue->engine->sequence == 0 ? 2 : 0;
    for (uint32_t i = 0; i < command_count; i++)
    {
        const ome_command_t next = i < definition_count ? definitions[i] : flow_next(&flow);
        const ome_command_t command = i + 1 < command_count ? next : limit_order(OME_SIDE_BUY, 1, 1, 1);
        if (!submit(venue, &command))
        {
            return i;
        }
    }
    return command_count;
}

/* A venue takes commands and ends in good order. */
static void live(const char *directory, uint8_t policy, uint32_t command_count)
{
    reader_t reader;
    CHECK_EQUAL(venue_try(directory, policy, &reader.venue), OME_OK);
    CHECK_EQUAL(pthread_create(&reader.thread, NULL, read_all, &reader), 0);
    CHECK_EQUAL(ome_venue_start(reader.venue), OME_OK);
    CHECK_EQUAL(submit_flow(reader.venue, command_count), command_count);
    ome_venue_stop(reader.venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    CHECK_EQUAL(ome_venue_destroy(reader.venue), OME_OK);
}

/* ---- what a replay finds ---- */

typedef struct
{
    ome_status_t status;
    uint64_t event_count; /* of the journal */
    ome_replay_report_t report;
    char reason[256];
    char path[OME_PATH_SIZE];
} finding_t;

static finding_t look(const char *directory, uint32_t flags)
{
    ome_replay_t *replay = replay_new(directory, OME_REPLAY_CHECKS_EVENTS | flags);
    finding_t finding = {.status = run(replay)};
    ome_replay_report(replay, &finding.report);
    finding.event_count = replay->engine != NULL ? replay->engine->event_count : 0;
    snprintf(finding.reason, sizeof(finding.reason), "%s", finding.report.reason != NULL ? finding.report.reason : "");
    snprintf(finding.path, sizeof(finding.path), "%s", finding.report.path);
    ome_replay_destroy(replay);
    return finding;
}

/* The log has all events of the journal; gives how many. */
static uint64_t check_complete(const char *directory)
{
    const finding_t finding = look(directory, 0);
    CHECK_EQUAL(finding.status, OME_EMPTY);
    CHECK_EQUAL(finding.report.events_checked, finding.event_count);
    CHECK_EQUAL(finding.report.events_missing, 0);
    CHECK_EQUAL(finding.report.events_ahead, 0);
    return finding.event_count;
}

/* ---- its files ---- */

static uint32_t list(const char *directory, const char *start, char names[][64], uint32_t count_max)
{
    struct dirent **entries = NULL;
    const int found = scandir(directory, &entries, NULL, alphasort);
    CHECK(found >= 0);
    uint32_t count = 0;
    for (int i = 0; i < found; i++)
    {
        if (strncmp(entries[i]->d_name, start, strlen(start)) == 0 && count < count_max)
        {
            snprintf(names[count++], 64, "%.63s", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

static void path_of(char *path, const char *directory, const char *name)
{
    CHECK_EQUAL(ome_file_join(path, directory, name), OME_OK);
}

static void remove_file(const char *directory, const char *name)
{
    char path[OME_PATH_SIZE];
    path_of(path, directory, name);
    CHECK_EQUAL(remove(path), 0);
}

/* The last segment of that kind that has records, and how many: `last` is the sequence of the last. */
static uint32_t last_segment(const char *directory, ome_journal_kind_t kind, uint64_t last, char *path)
{
    char names[64][64];
    uint32_t index = list(directory, kind == OME_JOURNAL_EVENTS ? "events-" : "journal-", names, 64);
    uint64_t first;
    do
    {
        CHECK(index > 0);
        first = ome_journal_name_sequence(kind, names[--index]);
    } while (first > last);
    path_of(path, directory, names[index]);
    return (uint32_t)(last - first + 1);
}

static void cut_file(const char *path, uint32_t record_count, uint32_t record_size, uint32_t more_bytes)
{
    CHECK_EQUAL(truncate(path, OME_JOURNAL_HEADER_SIZE + (off_t)record_count * record_size + more_bytes), 0);
}

/* ---- tests ---- */

/* Under every policy with a journal, over segments and restarts: each event once, in order, as the journal gives it. */
static void every_event_is_in_the_log(void)
{
    for (uint8_t policy = OME_POLICY_COMMIT; policy <= OME_POLICY_ASYNC; policy++)
    {
        const directory_t directory = directory_new();
        uint64_t before = 0;
        for (uint32_t round = 0; round < 3; round++)
        {
            live(directory.path, policy, COMMAND_COUNT);
            const uint64_t count = check_complete(directory.path);
            CHECK(count > before + COMMAND_COUNT / 2);
            before = count;
        }
        char names[64][64];
        CHECK(list(directory.path, "events-", names, 64) > 3);
        directory_remove(&directory);
    }
}

/* What a crash took from the end of the log, whole segments too, the next start gives it again from the journal. */
static void a_log_that_lags_is_completed(void)
{
    uint64_t random = seed;
    for (uint32_t round = 0; round < 12; round++)
    {
        const directory_t directory = directory_new();
        live(directory.path, OME_POLICY_COMMIT, COMMAND_COUNT);
        const uint64_t event_count = check_complete(directory.path);
        char path[OME_PATH_SIZE];
        const uint32_t record_count = last_segment(directory.path, OME_JOURNAL_EVENTS, event_count, path);
        const uint32_t kept = (uint32_t)(test_random(&random) % (record_count + 1));
        cut_file(path, kept, EVENT_RECORD_SIZE, (uint32_t)(test_random(&random) % EVENT_RECORD_SIZE));
        const finding_t lagging = look(directory.path, 0);
        CHECK_EQUAL(lagging.status, OME_EMPTY);
        CHECK_EQUAL(lagging.report.events_missing + lagging.report.events_checked, event_count);
        CHECK(lagging.report.events_missing == record_count - kept || kept == record_count);
        live(directory.path, OME_POLICY_COMMIT, 10);
        CHECK(check_complete(directory.path) > event_count);
        directory_remove(&directory);
    }
}

static void write_snapshot(const char *directory, uint64_t sequence)
{
    ome_replay_t *replay = replay_new(directory, 0);
    CHECK_EQUAL(ome_replay_step(replay, sequence), OME_OK);
    CHECK_EQUAL(ome_replay_snapshot(replay, 9), OME_OK);
    ome_replay_destroy(replay);
}

/* A start uses the newest snapshot that is not ahead of the log: otherwise there would be a hole. */
static void no_start_begins_with_a_snapshot_that_is_ahead_of_the_log(void)
{
    const directory_t directory = directory_new();
    live(directory.path, OME_POLICY_COMMIT, COMMAND_COUNT);
    const uint64_t event_count = check_complete(directory.path);
    write_snapshot(directory.path, COMMAND_COUNT / 2);
    write_snapshot(directory.path, COMMAND_COUNT);
    CHECK_EQUAL(look(directory.path, OME_REPLAY_FROM_SNAPSHOT).report.snapshot_sequence, COMMAND_COUNT);
    char path[OME_PATH_SIZE];
    const uint32_t record_count = last_segment(directory.path, OME_JOURNAL_EVENTS, event_count, path);
    cut_file(path, record_count - 1, EVENT_RECORD_SIZE, 0);
    const finding_t finding = look(directory.path, OME_REPLAY_FROM_SNAPSHOT);
    CHECK_EQUAL(finding.status, OME_EMPTY);
    CHECK_EQUAL(finding.report.snapshot_sequence, COMMAND_COUNT / 2);
    live(directory.path, OME_POLICY_COMMIT, 10);
    CHECK(check_complete(directory.path) > event_count);
    directory_remove(&directory);
}

/* Neither a snapshot nor the journal reaches back to the end of the log: the start says so and changes nothing. */
static void no_start_leaves_a_hole_in_the_log(void)
{
    const directory_t directory = directory_new();
    live(directory.path, OME_POLICY_COMMIT, COMMAND_COUNT);
    (void)check_complete(directory.path);
    write_snapshot(directory.path, COMMAND_COUNT);
    char names[64][64];
    CHECK_EQUAL(list(directory.path, "snapshot-", names, 64), 1);
    CHECK(list(directory.path, "journal-", names, 64) > 2);
    remove_file(directory.path, names[0]);
    const uint32_t log_count = list(directory.path, "events-", names, 64);
    for (uint32_t i = 1; i < log_count; i++)
    {
        remove_file(directory.path, names[i]);
    }
    const finding_t lost = look(directory.path, OME_REPLAY_FROM_SNAPSHOT);
    CHECK_EQUAL(lost.status, OME_NOT_FOUND);
    CHECK(strstr(lost.reason, "the event log ends before every snapshot") != NULL);
    directory_remove(&directory);
}

/* A log that is not there begins with the next event, and what was before is compared by nobody. */
static void a_new_log_begins_where_the_engine_is(void)
{
    const directory_t directory = directory_new();
    live(directory.path, OME_POLICY_COMMIT, COMMAND_COUNT);
    const uint64_t event_count = check_complete(directory.path);
    char names[64][64];
    const uint32_t log_count = list(directory.path, "events-", names, 64);
    for (uint32_t i = 0; i < log_count; i++)
    {
        remove_file(directory.path, names[i]);
    }
    CHECK_EQUAL(look(directory.path, 0).report.events_checked, 0);
    live(directory.path, OME_POLICY_COMMIT, COMMAND_COUNT);
    const finding_t finding = look(directory.path, 0);
    CHECK_EQUAL(finding.status, OME_EMPTY);
    CHECK_EQUAL(finding.report.events_missing, 0);
    CHECK_EQUAL(finding.report.events_checked, finding.event_count - event_count);
    directory_remove(&directory);
}

/* Changes a byte of an event in the log. */
static void damage_event(const char *directory, uint32_t index, uint32_t byte)
{
    char path[OME_PATH_SIZE];
    path_of(path, directory, "events-00000000000000000001.ome");
    const int file = open(path, O_RDWR);
    const off_t offset = OME_JOURNAL_HEADER_SIZE + (off_t)index * (off_t)EVENT_RECORD_SIZE + OME_JOURNAL_PREFIX_SIZE + byte;
    uint8_t value;
    CHECK_EQUAL(pread(file, &value, 1, offset), 1);
    value ^= 4;
    CHECK_EQUAL(pwrite(file, &value, 1, offset), 1);
    CHECK_EQUAL(close(file), 0);
}

/* A log that was written by an engine that says something else. */
typedef struct
{
    ome_journal_writer_t writer;
    uint32_t index; /* of the event that is another */
    uint32_t byte;  /* of it */
} other_t;

static void write_other(void *visitor, const ome_event_t *events, uint64_t count)
{
    other_t *other = visitor;
    for (uint64_t i = 0; i < count; i++)
    {
        ome_event_t event = events[i];
        const uint64_t number = other->writer.next_sequence;
        ((uint8_t *)&event)[other->byte] ^= number - 1 == other->index ? 1 : 0;
        CHECK_EQUAL(ome_journal_writer_append(&other->writer, number, event.kind, &event, sizeof(event)), OME_OK);
    }
}

/* Writes the log anew, with another event at `index`, if there are so many. */
static void change_event(const char *directory, uint32_t index, uint32_t byte)
{
    char names[64][64];
    const uint32_t count = list(directory, "events-", names, 64);
    for (uint32_t i = 0; i < count; i++)
    {
        remove_file(directory, names[i]);
    }
    other_t other = {.index = index, .byte = byte};
    const size_t size_bytes = ome_journal_writer_size_bytes(64);
    void *memory = malloc(size_bytes);
    const ome_journal_writer_config_t config = {.file_system = ome_file_system_posix(),
        .directory = directory,
        .kind = OME_JOURNAL_EVENTS,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .epoch = 1,
        .first_sequence = 1};
    CHECK_EQUAL(ome_journal_writer_open(&other.writer, memory, size_bytes, &config), OME_OK);
    ome_replay_t *replay = replay_new(directory, 0);
    replay->visit = write_other;
    replay->visitor = &other;
    CHECK_EQUAL(run(replay), OME_EMPTY);
    ome_replay_destroy(replay);
    CHECK_EQUAL(ome_journal_writer_close(&other.writer), OME_OK);
    free(memory);
}

/* An event that is not what the journal gives stops the start: which one, and where. */
static void an_event_log_that_differs_from_the_journal_is_found(void)
{
    for (uint32_t byte = 0; byte < sizeof(ome_event_t); byte++)
    {
        const directory_t directory = directory_new();
        live(directory.path, OME_POLICY_COMMIT, 500);
        change_event(directory.path, 100 + byte, byte);
        const finding_t finding = look(directory.path, OME_REPLAY_FROM_SNAPSHOT);
        CHECK_EQUAL(finding.status, OME_DAMAGED);
        CHECK_EQUAL(finding.report.verdict, OME_JOURNAL_DAMAGED);
        char expected[64];
        snprintf(expected, sizeof(expected), "event %u of the log", 101 + byte);
        CHECK(strncmp(finding.reason, expected, strlen(expected)) == 0 && strstr(finding.path, "/events-") != NULL);
        CHECK_EQUAL(finding.report.events_checked, 100 + byte);
        ome_venue_t *venue = NULL;
        CHECK_EQUAL(venue_try(directory.path, OME_POLICY_COMMIT, &venue), OME_DAMAGED);
        CHECK(venue == NULL);
        directory_remove(&directory);
    }
}

/* So does a log whose bytes are not what was written. */
static void a_damaged_log_is_found(void)
{
    for (uint32_t byte = 0; byte < sizeof(ome_event_t); byte += 9)
    {
        const directory_t directory = directory_new();
        live(directory.path, OME_POLICY_COMMIT, 500);
        damage_event(directory.path, 100, byte);
        const finding_t finding = look(directory.path, OME_REPLAY_FROM_SNAPSHOT);
        CHECK_EQUAL(finding.status, OME_DAMAGED);
        CHECK(strstr(finding.path, "/events-00000000000000000001.ome") != NULL);
        directory_remove(&directory);
    }
}

/* The journal has lost the end that it had on disk, seal and all: nobody could tell, but for the events of what is gone. */
static void a_journal_that_lost_its_end_is_found_by_its_events(void)
{
    const directory_t directory = directory_new();
    live(directory.path, OME_POLICY_COMMIT, COMMAND_COUNT);
    char path[OME_PATH_SIZE];
    const uint32_t record_count = last_segment(directory.path, OME_JOURNAL_COMMANDS, COMMAND_COUNT, path);
    cut_file(path, record_count - 1, OME_JOURNAL_COMMAND_SIZE, 0);
    const finding_t finding = look(directory.path, OME_REPLAY_FROM_SNAPSHOT);
    CHECK_EQUAL(finding.status, OME_DAMAGED);
    CHECK(strstr(finding.reason, "the journal ends before that command") != NULL);
    directory_remove(&directory);
}

/* Events of commands that were not on disk, behind the end of a journal that a power cut has shortened: they are cut
 * off, over segments too, and kept beside. */
static void events_that_only_the_log_has_are_truncated(void)
{
    for (uint32_t kept = 100; kept < COMMAND_COUNT; kept += 700)
    {
        const directory_t directory = directory_new();
        live(directory.path, OME_POLICY_ASYNC, COMMAND_COUNT);
        change_event(directory.path, UINT32_MAX, 0); /* the same, and none of them durable */
        char names[64][64];
        char path[OME_PATH_SIZE];
        const uint32_t record_count = last_segment(directory.path, OME_JOURNAL_COMMANDS, kept, path);
        cut_file(path, record_count, OME_JOURNAL_COMMAND_SIZE, 0);
        for (uint32_t i = list(directory.path, "journal-", names, 64); ome_journal_name_sequence(OME_JOURNAL_COMMANDS, names[i - 1]) > kept;
            i--)
        {
            remove_file(directory.path, names[i - 1]);
        }
        const finding_t finding = look(directory.path, 0);
        CHECK_EQUAL(finding.status, OME_EMPTY);
        CHECK(finding.report.last_sequence <= kept && finding.report.last_sequence + 4 >= kept); /* behind a whole command */
        CHECK(finding.report.events_ahead > 0);
        CHECK_EQUAL(finding.report.events_checked, finding.event_count);
        live(directory.path, OME_POLICY_ASYNC, 200);
        CHECK(check_complete(directory.path) > finding.event_count);
        uint32_t aside_count = 0;
        for (uint32_t i = list(directory.path, "events-", names, 64); i > 0; i--)
        {
            aside_count += strstr(names[i - 1], ".torn-") != NULL || strstr(names[i - 1], ".set-aside") != NULL;
        }
        CHECK(aside_count > 0);
        directory_remove(&directory);
    }
}

/* A call that fails on the log stops the venue, as one on the journal does, and says which. */
static void a_log_that_cannot_be_written_stops_the_venue(void)
{
    const directory_t directory = directory_new();
    reader_t reader;
    CHECK_EQUAL(venue_try(directory.path, OME_POLICY_COMMIT, &reader.venue), OME_OK);
    char path[OME_PATH_SIZE];
    path_of(path, directory.path, "events-new.tmp");
    CHECK_EQUAL(mkdir(path, 0700), 0); /* where a file should be */
    CHECK_EQUAL(pthread_create(&reader.thread, NULL, read_all, &reader), 0);
    CHECK_EQUAL(ome_venue_start(reader.venue), OME_OK);
    CHECK(submit_flow(reader.venue, 1000000) < 1000000);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    ome_venue_view_t view;
    ome_venue_look(reader.venue, &view);
    CHECK(view.is_failed);
    CHECK_EQUAL(view.error_number, EISDIR);
    CHECK_TEXT_EQUAL(view.error_call, "open");
    CHECK(strstr(view.error_path, "events-new.tmp") != NULL);
    CHECK_EQUAL(ome_venue_destroy(reader.venue), OME_IO_ERROR);
    CHECK_EQUAL(rmdir(path), 0);
    live(directory.path, OME_POLICY_COMMIT, 10);
    CHECK(check_complete(directory.path) > 500);
    directory_remove(&directory);
}

int main(void)
{
    seed = test_seed(23);
    RUN(every_event_is_in_the_log);
    RUN(a_log_that_lags_is_completed);
    RUN(no_start_begins_with_a_snapshot_that_is_ahead_of_the_log);
    RUN(no_start_leaves_a_hole_in_the_log);
    RUN(a_new_log_begins_where_the_engine_is);
    RUN(an_event_log_that_differs_from_the_journal_is_found);
    RUN(a_damaged_log_is_found);
    RUN(a_journal_that_lost_its_end_is_found_by_its_events);
    RUN(events_that_only_the_log_has_are_truncated);
    RUN(a_log_that_cannot_be_written_stops_the_venue);
    return 0;
}
