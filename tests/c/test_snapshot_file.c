/* Snapshots as files: which are kept, which is loaded, and that neither a failing call nor a power cut ever loses one
 * that was promised or passes a wrong one off. */
#include "base/ome_checksum.h"
#include "base/ome_memory.h"
#include "ome_memory_file.h"
#include "ome_test_directory.h"
#include "ome_test_market.h"
#include "pipeline/ome_snapshot_file.h"
#include "state/ome_state.h"

#define DIRECTORY "data"
#define SNAPSHOT_COUNT 6u
#define KEEP_COUNT OME_SNAPSHOT_KEEP_COUNT_DEFAULT

static uint64_t seed;
static memory_file_system_t memory;
static ome_snapshot_files_t files;

/* ---- an engine at some moments ---- */

static const ome_limits_t limits = {.order_count_max = 64,
    .level_count_max = 32,
    .instrument_count_max = 2,
    .session_count_max = 2,
    .special_count_max = 24,
    .rules_version = OME_RULES_VERSION};

/* Engines after so many commands; snapshots of them are written one after another. */
static ome_engine_t *engines[SNAPSHOT_COUNT];

static void make_engines(void)
{
    for (uint32_t i = 0; i < SNAPSHOT_COUNT; i++)
    {
        engines[i] = market_engine(&limits);
        recorder_t *recorder = recorder_new(64);
        const ome_command_t definition = define_instrument(1, "ABC", 1, 0);
        flow_t flow = {.random = seed, .instrument_count = 1, .order_id_count = 60, .price_count = 20, .has_specials = true};
        (void)recorder_apply(recorder, engines[i], &definition);
        for (uint32_t j = 0; j < 150 + 61 * i; j++)
        {
            ome_command_t command = flow_next(&flow);
            command.quantity = command.quantity > 1000
                                   ? 1000
                                   : command.quantity; /* two of 2^50 lots, of which one shows few at a time, would trade for ever */
            (void)recorder_apply(recorder, engines[i], &command);
        }
        recorder_free(recorder);
    }
}

static void free_engines(void)
{
    for (uint32_t i = 0; i < SNAPSHOT_COUNT; i++)
    {
        free(engines[i]);
    }
}

static ome_snapshot_past_t past_of(uint32_t number)
{
    return (ome_snapshot_past_t){.event_hash = UINT64_C(0x1234) + number, .journal_checksum = 77 + number};
}

static void name_of(char *name, uint32_t number)
{
    ome_snapshot_name(name, engines[number]->sequence);
}

/* ---- what is refused ---- */

static uint32_t refused_count;
static ome_status_t refused_status;
static char refused_path[OME_PATH_SIZE];
static char refused_reason[128];

static void refused(void *context, const char *path, ome_status_t status, const char *reason, uint64_t offset)
{
    CHECK(context == &files);
    CHECK(offset <= memory_file(&memory, path)->seen_size);
    refused_count++;
    refused_status = status;
    snprintf(refused_path, sizeof(refused_path), "%s", path);
    snprintf(refused_reason, sizeof(refused_reason), "%s", reason);
}

/* ---- steps ---- */

static void open_files(void)
{
    memset(&files, 0, sizeof(files));
    CHECK_EQUAL(ome_snapshot_files_open(&files, &memory.table, DIRECTORY), OME_OK);
    files.refused = refused;
    files.context = &files;
    refused_count = 0;
}

static ome_status_t write_number(uint32_t number)
{
    return ome_snapshot_file_write(&files, engines[number], past_of(number), KEEP_COUNT);
}

/* A file system with snapshots 0 to count - 1. */
static void start_with(uint32_t count)
{
    memory_start(&memory, seed);
    open_files();
    for (uint32_t number = 0; number < count; number++)
    {
        CHECK_EQUAL(write_number(number), OME_OK);
    }
}

/* Loads; gives the number of the snapshot, which is that engine, or -1 where there is none. */
static int load_number(ome_status_t *status)
{
    ome_snapshot_loaded_t loaded;
    *status = ome_snapshot_file_load(&files, &loaded);
    if (*status != OME_OK)
    {
        return -1;
    }
    CHECK(ome_engine_check(loaded.engine) == NULL);
    int found = -1;
    for (uint32_t number = 0; number < SNAPSHOT_COUNT; number++)
    {
        if (engines[number]->sequence == loaded.engine->sequence)
        {
            CHECK_EQUAL(ome_engine_state_hash(engines[number]), ome_engine_state_hash(loaded.engine));
            CHECK_EQUAL(loaded.past.event_hash, past_of(number).event_hash);
            CHECK_EQUAL(loaded.past.journal_checksum, past_of(number).journal_checksum);
            found = (int)number;
        }
    }
    CHECK(found >= 0);
    ome_memory_unmap(loaded.engine, loaded.engine_size_bytes);
    return found;
}

static int loaded_number(void)
{
    ome_status_t status;
    const int number = load_number(&status);
    CHECK_EQUAL(status, number < 0 ? OME_NOT_FOUND : OME_OK);
    return number;
}

static bool is_there(const char *name)
{
    return memory_find(&memory.seen, name) >= 0;
}

static bool number_is_there(uint32_t number)
{
    char name[OME_SNAPSHOT_NAME_SIZE];
    name_of(name, number);
    return is_there(name);
}

static memory_node_t *file_of(uint32_t number)
{
    char name[OME_SNAPSHOT_NAME_SIZE];
    name_of(name, number);
    return memory_file(&memory, name);
}

/* ---- tests ---- */

/* Nothing is there, or nothing that has the name of a snapshot: that is no error. */
static void a_missing_snapshot_is_no_error(void)
{
    static const char *const others[] = {"snapshot-1.ome", "snapshot-0000000000000000001a.ome", "snapshot-99999999999999999999.ome",
        "snapshot-00000000000000000001.ome.broken", "journal-00000000000000000001.ome", OME_SNAPSHOT_NAME_NEW, "counters.dat"};
    start_with(0);
    CHECK_EQUAL(loaded_number(), -1);
    for (uint32_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
    {
        CHECK(memory_open(&memory, others[i], OME_FILE_CREATE) >= 0);
    }
    CHECK_EQUAL(loaded_number(), -1);
    CHECK_EQUAL(refused_count, 0);
    CHECK_EQUAL(memory.seen.count, sizeof(others) / sizeof(others[0]));
    memory_end(&memory);
    uint64_t sequence = 5;
    CHECK(ome_snapshot_name_sequence("snapshot-18446744073709551615.ome", &sequence));
    CHECK_EQUAL(sequence, UINT64_MAX);
    CHECK(!ome_snapshot_name_sequence("snapshot-18446744073709551616.ome", &sequence));
}

/* The newest three are there, each replaced when it is written again, and the newest is loaded. */
static void the_newest_few_are_kept_and_the_newest_is_loaded(void)
{
    start_with(0);
    for (uint32_t number = 0; number < SNAPSHOT_COUNT; number++)
    {
        CHECK_EQUAL(write_number(number), OME_OK);
        CHECK_EQUAL(write_number(number), OME_OK);
        CHECK_EQUAL(loaded_number(), (int)number);
        for (uint32_t other = 0; other < SNAPSHOT_COUNT; other++)
        {
            CHECK_EQUAL(number_is_there(other), other <= number && other + KEEP_COUNT > number);
        }
        CHECK(!is_there(OME_SNAPSHOT_NAME_NEW));
        CHECK_EQUAL(refused_count, 0);
    }
    memory_end(&memory);
}

/* But not none. */
static void fewer_snapshots_are_kept_when_fewer_are_asked_for(void)
{
    start_with(0);
    for (uint32_t number = 0; number < 6; number++)
    {
        CHECK_EQUAL(write_number(number), OME_OK);
    }
    CHECK_EQUAL(ome_snapshot_file_write(&files, engines[5], past_of(5), 0), OME_INVALID);
    CHECK(number_is_there(3));
    CHECK_EQUAL(ome_snapshot_file_write(&files, engines[5], past_of(5), 1), OME_OK);
    CHECK_EQUAL(memory.seen.count, 1);
    CHECK_EQUAL(loaded_number(), 5);
    memory_end(&memory);
}

/* One that is broken is said with the reason, gets another name, and the one before is loaded; so on until none is left. */
static void a_broken_snapshot_is_set_aside_and_the_one_before_is_used(void)
{
    start_with(4);
    for (uint32_t number = 3; number >= 1; number--)
    {
        char name[OME_SNAPSHOT_NAME_SIZE];
        char broken[OME_SNAPSHOT_NAME_SIZE + 8];
        name_of(name, number);
        snprintf(broken, sizeof(broken), "%s.broken", name);
        memory_node_t *file = file_of(number);
        CHECK(file->seen_size > 0);
        file->seen[test_random(&memory.random) % file->seen_size] ^= 1;
        files.is_read_only = true;
        CHECK_EQUAL(loaded_number(), (int)number - 1 - (number == 1));
        CHECK(number_is_there(number));
        CHECK(!is_there(broken));
        CHECK_EQUAL(refused_count, 1);
        files.is_read_only = false;
        CHECK_EQUAL(loaded_number(), (int)number - 1 - (number == 1));
        CHECK(!number_is_there(number));
        CHECK(is_there(broken));
        CHECK_EQUAL(refused_count, 2);
        CHECK_EQUAL(refused_status, OME_DAMAGED);
        CHECK(strlen(refused_reason) > 5);
        CHECK_TEXT_EQUAL(strrchr(refused_path, '/') + 1, name);
        CHECK_EQUAL(loaded_number(), (int)number - 1 - (number == 1));
        CHECK_EQUAL(refused_count, 2);
        refused_count = 0;
        memory_cut_power(&memory); /* it is set aside for good */
        CHECK(is_there(broken));
    }
    CHECK_EQUAL(memory.seen.count, 3); /* the broken ones */
    memory_end(&memory);
}

/* A whole snapshot under another name is not taken for one of that sequence. */
static void a_name_of_another_sequence_is_damage(void)
{
    char name[OME_SNAPSHOT_NAME_SIZE];
    char other[OME_SNAPSHOT_NAME_SIZE];
    start_with(2);
    name_of(name, 1);
    ome_snapshot_name(other, engines[1]->sequence + 1);
    CHECK_EQUAL(memory_rename(&memory, name, other), 0);
    CHECK_EQUAL(loaded_number(), 0);
    CHECK_EQUAL(refused_count, 1);
    CHECK(strstr(refused_reason, "another sequence") != NULL);
    memory_end(&memory);
}

/* A snapshot of another version is not broken: it stays where it is, and the one before is used. */
static void another_version_is_left_alone(void)
{
    start_with(2);
    memory_node_t *file = file_of(1);
    const uint32_t version = OME_SNAPSHOT_VERSION + 1;
    memcpy(file->seen + offsetof(ome_snapshot_header_t, version), &version, sizeof(version));
    const uint32_t checksum = ome_crc32c(0, file->seen, offsetof(ome_snapshot_header_t, checksum));
    memcpy(file->seen + offsetof(ome_snapshot_header_t, checksum), &checksum, sizeof(checksum));
    CHECK_EQUAL(loaded_number(), 0);
    CHECK_EQUAL(refused_count, 1);
    CHECK_EQUAL(refused_status, OME_UNSUPPORTED);
    CHECK(number_is_there(1));
    memory_end(&memory);
}

/* Writes all snapshots, or until one fails; gives how many were written. */
static int write_until_failure(ome_status_t *status)
{
    int count = 0;
    *status = OME_OK;
    for (uint32_t number = 0; number < SNAPSHOT_COUNT && *status == OME_OK; number++)
    {
        *status = write_number(number);
        count += *status == OME_OK;
    }
    return count;
}

/* Writes with the n-th call failing, cuts the power or not, and loads. True while n is a call. */
static bool check_failing_call(uint64_t call, memory_fail_t fail, bool cuts_power)
{
    memory_start(&memory, seed + call);
    open_files();
    memory.fail_call = call;
    memory.fail = fail;
    ome_status_t status;
    const int count = write_until_failure(&status);
    const bool is_reached = memory.call_count >= call;
    /* What is not told is that the new file could not be removed after another failure. */
    CHECK_EQUAL(status, is_reached ? OME_IO_ERROR : OME_OK);
    if (is_reached)
    {
        CHECK_EQUAL(files.error.number, EIO);
        CHECK(files.error.call != NULL);
        CHECK(strncmp(files.error.path, DIRECTORY, strlen(DIRECTORY)) == 0);
    }
    memory_restart(&memory);
    if (cuts_power)
    {
        memory_cut_power(&memory);
    }
    open_files();
    CHECK(loaded_number() >= count - 1);
    CHECK_EQUAL(refused_count, 0);
    /* And goes on. */
    CHECK_EQUAL(write_number(SNAPSHOT_COUNT - 1), OME_OK);
    memory_cut_power(&memory);
    CHECK_EQUAL(loaded_number(), SNAPSHOT_COUNT - 1);
    CHECK_EQUAL(refused_count, 0);
    CHECK(!is_there(OME_SNAPSHOT_NAME_NEW));
    memory_end(&memory);
    return is_reached;
}

/* Whichever call of writing fails: it is told, what was written before is there, and the next one is written. */
static void any_failing_call_of_writing_loses_nothing(void)
{
    uint64_t call = 1;
    while (check_failing_call(call, MEMORY_FAIL_CLEAN, false))
    {
        check_failing_call(call, MEMORY_FAIL_CLEAN, true);
        check_failing_call(call, MEMORY_FAIL_TORN, false);
        check_failing_call(call, MEMORY_FAIL_TORN, true);
        call++;
    }
    CHECK(call > 50);
}

static uint32_t sync_count; /* of files */
static uint32_t sync_fails_at;

static int counted_sync(void *context, int file)
{
    (void)context;
    return ++sync_count == sync_fails_at ? -EIO : memory_sync(&memory, file);
}

/* A sync that failed is not made again, nor is its file used again. */
static void a_failed_sync_is_not_made_again(void)
{
    start_with(1);
    memory.table.sync_data = counted_sync;
    memory.table.sync_all = counted_sync;
    sync_count = 0;
    sync_fails_at = 1;
    CHECK_EQUAL(write_number(1), OME_IO_ERROR);
    CHECK_EQUAL(sync_count, 1);
    CHECK_TEXT_EQUAL(files.error.call, "fdatasync");
    CHECK_TEXT_EQUAL(files.error.path, DIRECTORY "/" OME_SNAPSHOT_NAME_NEW);
    CHECK(!is_there(OME_SNAPSHOT_NAME_NEW));
    CHECK(!number_is_there(1));
    CHECK_EQUAL(loaded_number(), 0);
    const int node_count = memory.node_count;
    CHECK_EQUAL(write_number(1), OME_OK);
    CHECK_EQUAL(sync_count, 2);
    CHECK_EQUAL(memory.node_count, node_count + 1);
    CHECK_EQUAL(loaded_number(), 1);
    memory_end(&memory);
}

/* Whichever call of loading fails, with a broken snapshot in the way: it is told, and the next time the right one is loaded. */
static void any_failing_call_of_loading_is_reported_and_changes_nothing_for_good(void)
{
    uint64_t call = 1;
    for (bool is_reached = true; is_reached; call++)
    {
        start_with(3);
        file_of(2)->seen[OME_SNAPSHOT_HEADER_SIZE] ^= 1;
        memory_restart(&memory);
        memory.fail_call = call;
        ome_status_t status;
        const int number = load_number(&status);
        is_reached = memory.call_count >= call;
        CHECK(is_reached ? status == OME_IO_ERROR : number == 1);
        CHECK(!is_reached || (files.error.number == EIO && files.error.call != NULL));
        memory_restart(&memory);
        CHECK_EQUAL(loaded_number(), 1);
        CHECK(number_is_there(1) && number_is_there(0) && !number_is_there(2));
        memory_end(&memory);
    }
    CHECK(call > 8);
}

static int sync_no_file(void *context, int file)
{
    (void)file;
    memory_file_system_t *const system = context;
    return memory_fails(system, "sync") ? -system->fail_number : 0;
}

static int sync_no_directory(void *context, const char *path)
{
    (void)path;
    return sync_no_file(context, 0);
}

typedef enum
{
    SYNCS_ALL,
    SYNCS_NO_FILE,
    SYNCS_NO_DIRECTORY
} syncs_t;

/* Cuts the power at the n-th call; gives how many promised snapshots were lost, -1 when there was no such call. */
static int lost_by_power_cut(uint64_t call, uint64_t variant, syncs_t syncs)
{
    memory_start(&memory, seed * 31 + call + 1000 * variant);
    memory.table.sync_data = syncs == SYNCS_NO_FILE ? sync_no_file : memory.table.sync_data;
    memory.table.sync_directory = syncs == SYNCS_NO_DIRECTORY ? sync_no_directory : memory.table.sync_directory;
    open_files();
    memory.fail_call = call;
    memory.fails_ever_after = true;
    memory.fail = MEMORY_FAIL_TORN;
    ome_status_t status;
    const int promised = write_until_failure(&status) - 1;
    const bool is_reached = memory.call_count >= call;
    memory_cut_power(&memory);
    open_files();
    const int found = loaded_number();
    CHECK(syncs != SYNCS_ALL || refused_count == 0); /* a name is given to a whole snapshot only */
    memory_end(&memory);
    return is_reached ? (promised > found ? promised - found : 0) : -1;
}

/* Sums what is lost over all moments. */
static uint32_t lost_over_all(syncs_t syncs, uint64_t variant_count)
{
    uint32_t lost = 0;
    for (uint64_t variant = 0; variant < variant_count; variant++)
    {
        uint64_t call = 1;
        for (int now = 0; now >= 0; call++)
        {
            now = lost_by_power_cut(call, variant, syncs);
            lost += now > 0 ? (uint32_t)now : 0;
        }
        CHECK(call > 50);
    }
    return lost;
}

/* A power cut at any moment loses no snapshot that was written, and never leaves half of one under a name. The
 * controls: without the sync of the file, or of the directory, some are lost. */
static void a_power_cut_loses_no_snapshot(void)
{
    CHECK_EQUAL(lost_over_all(SYNCS_ALL, 20), 0);
    const uint32_t without_file = lost_over_all(SYNCS_NO_FILE, 3);
    const uint32_t without_directory = lost_over_all(SYNCS_NO_DIRECTORY, 3);
    printf("   lost without the sync of files %u, of the directory %u\n", without_file, without_directory);
    CHECK(without_file > 10 && without_directory > 10);
}

/* On a real file system. */
static void snapshots_are_kept_in_a_real_directory(void)
{
    const directory_t directory = directory_new();
    char *longest = malloc(2 * OME_PATH_SIZE);
    CHECK(longest != NULL);
    memset(longest, 'x', OME_PATH_SIZE);
    longest[OME_PATH_SIZE - 20] = 0;
    CHECK_EQUAL(ome_snapshot_files_open(&files, ome_file_system_posix(), longest), OME_INVALID);
    free(longest);
    memset(&files, 0, sizeof(files));
    CHECK_EQUAL(ome_snapshot_files_open(&files, ome_file_system_posix(), directory.path), OME_OK);
    CHECK_EQUAL(loaded_number(), -1);
    for (uint32_t number = 0; number < SNAPSHOT_COUNT; number++)
    {
        CHECK_EQUAL(write_number(number), OME_OK);
        CHECK_EQUAL(loaded_number(), (int)number);
    }
    directory_remove(&directory);
    ome_status_t status;
    CHECK_EQUAL(write_number(0), OME_IO_ERROR);
    CHECK_EQUAL(files.error.number, ENOENT);
    CHECK_EQUAL(load_number(&status), -1);
    CHECK_EQUAL(status, OME_IO_ERROR);
    CHECK_TEXT_EQUAL(files.error.call, "readdir");
}

int main(void)
{
    seed = test_seed(22);
    make_engines();
    RUN(a_missing_snapshot_is_no_error);
    RUN(the_newest_few_are_kept_and_the_newest_is_loaded);
    RUN(fewer_snapshots_are_kept_when_fewer_are_asked_for);
    RUN(a_broken_snapshot_is_set_aside_and_the_one_before_is_used);
    RUN(a_name_of_another_sequence_is_damage);
    RUN(another_version_is_left_alone);
    RUN(any_failing_call_of_writing_loses_nothing);
    RUN(a_failed_sync_is_not_made_again);
    RUN(any_failing_call_of_loading_is_reported_and_changes_nothing_for_good);
    RUN(a_power_cut_loses_no_snapshot);
    RUN(snapshots_are_kept_in_a_real_directory);
    free_engines();
    return 0;
}
