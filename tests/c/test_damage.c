/* Damage: whatever is done to the files of a venue at rest, its start finds it, or finds a beginning that a crash could
 * have left; it never finds anything else.
 *
 * test_journal_damage.c, test_journal_seals.c and test_snapshot_damage.c turn over every bit and take records and
 * blocks out of their places. Here it is whole files: every length of every segment, sectors as a disk spoils them,
 * files that are missing or in another's place, and journal and snapshots together, as a start reads them. */
#include "ome_venue_run.h"
#include "state/ome_state.h"

#define SEGMENT_COUNT 3u
#define SECTOR MEMORY_SECTOR_SIZE

static uint64_t seed;

/* ---- a venue at rest ---- */

/* Three processes: the first two were killed, so that recovery has cut and sealed what they left; the last was closed. */
static struct
{
    char name[OME_JOURNAL_NAME_SIZE];
    memory_node_t *file;
    uint64_t last_sequence;
    uint64_t seal_offset;
    uint64_t end; /* of the seal */
} segments[SEGMENT_COUNT];

static uint64_t snapshots[8]; /* sequences, oldest first */
static uint32_t snapshot_count;

static void note_segments(void)
{
    ome_replay_t *replay = run_replay_new();
    ome_status_t status = ome_replay_open(replay, RUN_DIRECTORY, 0);
    while (status == OME_OK)
    {
        status = ome_replay_step(replay, 1);
        const ome_journal_reader_t *reader = &replay->reader;
        CHECK(reader->segment_count <= SEGMENT_COUNT);
        const uint64_t index = reader->segment_count - 1;
        ome_journal_name(segments[index].name, OME_JOURNAL_COMMANDS, reader->segment_first_sequence);
        segments[index].file = memory_file(&run.memory, segments[index].name);
        segments[index].last_sequence = reader->last_sequence;
        segments[index].seal_offset = status == OME_OK ? reader->report.offset : segments[index].seal_offset;
        segments[index].end = segments[index].seal_offset + OME_JOURNAL_SEAL_SIZE;
    }
    CHECK_EQUAL(status, OME_EMPTY);
    CHECK_EQUAL(replay->reader.segment_count, SEGMENT_COUNT);
    run_replay_free(replay);
}

static void note_snapshots(void)
{
    snapshot_count = 0;
    for (uint64_t sequence = 1; sequence <= run.sequenced; sequence++)
    {
        char name[OME_SNAPSHOT_NAME_SIZE];
        ome_snapshot_name(name, sequence);
        if (memory_find(&run.memory.seen, name) >= 0)
        {
            snapshots[snapshot_count++] = sequence;
        }
    }
    CHECK_EQUAL(snapshot_count, OME_SNAPSHOT_KEEP_COUNT_DEFAULT);
}

static void make_venue(void)
{
    run_begin(seed);
    const run_life_t lives[SEGMENT_COUNT] = {
        {.group_count = 5, .group_size_max = 9, .snapshot_every = 2, .prepare_every = 99, .is_killed = true},
        {.group_count = 4, .group_size_max = 9, .snapshot_every = 3, .prepare_every = 99, .is_killed = true},
        {.group_count = 6, .group_size_max = 9, .snapshot_every = 4, .prepare_every = 99},
    };
    for (uint32_t number = 0; number < SEGMENT_COUNT; number++)
    {
        CHECK_EQUAL(run_live(&lives[number]), OME_OK);
    }
    CHECK(run.wrong == NULL);
    note_segments();
    note_snapshots();
    CHECK_EQUAL(snapshots[snapshot_count - 1], run.sequenced);
    CHECK_EQUAL(segments[SEGMENT_COUNT - 1].last_sequence, run.sequenced);
}

/* Without snapshots only the journal says what there was. */
static void drop_snapshots(void)
{
    for (uint32_t index = 0; index < snapshot_count; index++)
    {
        char name[OME_SNAPSHOT_NAME_SIZE];
        ome_snapshot_name(name, snapshots[index]);
        memory_set(&run.memory.seen, name, -1);
    }
}

/* ---- a start ---- */

static uint64_t found_sequence;
static uint64_t refused_count;

/* Starts, and changes nothing. What comes back is a beginning, in every bit of its state, whatever else is said. */
static ome_status_t start(void)
{
    ome_replay_t *replay = run_replay_new();
    ome_status_t status = ome_replay_open(replay, RUN_DIRECTORY, OME_REPLAY_FROM_SNAPSHOT);
    while (status == OME_OK)
    {
        status = ome_replay_step(replay, 500);
    }
    CHECK(status == OME_EMPTY || status == OME_DAMAGED || status == OME_NOT_FOUND);
    CHECK(status == OME_EMPTY || replay->reason != NULL || replay->reader.report.reason != NULL);
    found_sequence = replay->engine != NULL ? replay->engine->sequence : 0;
    refused_count = replay->refused_count;
    CHECK(found_sequence <= run.sequenced);
    CHECK(replay->engine == NULL || ome_engine_state_hash(replay->engine) == run.state_hashes[found_sequence]);
    CHECK_EQUAL(ome_replay_event_hash(replay), run.event_hashes[found_sequence]);
    run_replay_free(replay);
    return status;
}

static void check_all_is_there(void)
{
    CHECK_EQUAL(start(), OME_EMPTY);
    CHECK_EQUAL(found_sequence, run.sequenced);
    CHECK_EQUAL(refused_count, 0);
}

/* ---- tests ---- */

/* A segment that another one follows is found at every length but those that only lack zeros. The last one may end
 * early, as a crash could have left it; with a snapshot of its end beside it that is found, too, unless nothing but the
 * seal is gone. */
static void a_segment_is_found_at_every_wrong_length(void)
{
    for (uint32_t has_snapshots = 0; has_snapshots < 2; has_snapshots++)
    {
        make_venue();
        if (!has_snapshots)
        {
            drop_snapshots();
        }
        for (uint32_t index = 0; index < SEGMENT_COUNT; index++)
        {
            memory_node_t *file = segments[index].file;
            const size_t size = file->seen_size;
            const bool is_last = index + 1 == SEGMENT_COUNT;
            const bool is_needed = !has_snapshots || is_last; /* a start from a snapshot does not look at what is before it */
            for (file->seen_size = 0; file->seen_size < size; file->seen_size += file->seen_size < segments[index].end ? 1 : 997)
            {
                const ome_status_t status = start();
                const bool is_whole = file->seen_size >= segments[index].end || !is_needed;
                const bool may_end = is_last && file->seen_size >= (has_snapshots ? segments[index].seal_offset : OME_JOURNAL_HEADER_SIZE);
                CHECK_EQUAL(status == OME_EMPTY, is_whole || may_end);
                CHECK(!is_whole || found_sequence == run.sequenced);
                CHECK(!may_end || found_sequence >= segments[index - 1].last_sequence);
            }
            file->seen_size = size;
        }
        check_all_is_there();
        run_end();
    }
}

/* Without a snapshot a journal that lacks its last segment is a journal like any other: this is what cannot be found. A
 * snapshot of a command in it finds it. */
static void a_last_segment_that_is_gone_is_found_by_a_snapshot(void)
{
    make_venue();
    const memory_directory_t before = run.memory.seen;
    memory_set(&run.memory.seen, segments[SEGMENT_COUNT - 1].name, -1);
    CHECK_EQUAL(start(), OME_NOT_FOUND);
    drop_snapshots();
    CHECK_EQUAL(start(), OME_EMPTY);
    CHECK_EQUAL(found_sequence, segments[SEGMENT_COUNT - 2].last_sequence);
    memory_set(&run.memory.seen, segments[SEGMENT_COUNT - 2].name, -1);
    CHECK_EQUAL(start(), OME_EMPTY);
    CHECK_EQUAL(found_sequence, segments[0].last_sequence);
    run.memory.seen = before;
    drop_snapshots();
    memory_set(&run.memory.seen, segments[0].name, -1);
    CHECK_EQUAL(start(), OME_NOT_FOUND);
    run.memory.seen = before;
    check_all_is_there();
    run_end();
}

/* A change of the bytes from `first` to `last` of a segment, and what a start may make of it: only where the seal of
 * the last segment is changed may it be a beginning, since only that looks like a process that died. */
static void check_change(uint32_t index, uint64_t first, uint64_t last, const uint8_t *kept)
{
    const uint8_t *bytes = segments[index].file->seen;
    if (memcmp(bytes, kept, segments[index].file->seen_size) == 0)
    {
        return;
    }
    const bool is_of_seal = index + 1 == SEGMENT_COUNT && last > segments[index].seal_offset && first < segments[index].end;
    const ome_status_t status = start();
    CHECK(status != OME_EMPTY || is_of_seal);
    CHECK(status != OME_EMPTY || found_sequence >= segments[index - 1].last_sequence);
}

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* Disks spoil sectors: each one lost, written in another's place, or in each other's, in every segment, is found. */
static void sectors_lost_doubled_and_swapped_are_found(void)
{
    static uint8_t kept[OME_JOURNAL_SEGMENT_SIZE_MIN];
    make_venue();
    drop_snapshots();
    for (uint32_t index = 0; index < SEGMENT_COUNT; index++)
    {
        uint8_t *bytes = segments[index].file->seen;
        const uint64_t size = segments[index].file->seen_size;
        const uint64_t sector_count =
            smaller(segments[index].end / SECTOR + 3, size / SECTOR); /* whole ones, some of them behind the seal */
        memcpy(kept, bytes, size);
        for (uint64_t sector = 0; sector <= sector_count; sector++)
        {
            const uint64_t from = sector * SECTOR;
            const uint64_t to = smaller(from + SECTOR, size);
            memset(bytes + from, 0, to - from);
            check_change(index, from, to, kept);
            memset(bytes + from, 0xFF, to - from);
            check_change(index, from, to, kept);
            memcpy(bytes, kept, size);
            for (uint64_t other = 0; other < sector_count && sector < sector_count; other++)
            {
                memcpy(bytes + from, kept + other * SECTOR, SECTOR);
                check_change(index, from, to, kept);
                memcpy(bytes + other * SECTOR, kept + from, SECTOR);
                check_change(index, smaller(from, other * SECTOR), from > other * SECTOR ? to : (other + 1) * SECTOR, kept);
                memcpy(bytes, kept, size);
            }
        }
    }
    check_all_is_there();
    run_end();
}

/* The entry of each snapshot in the directory, oldest first. */
static void find_snapshots(memory_entry_t *entries[OME_SNAPSHOT_KEEP_COUNT_DEFAULT])
{
    for (uint32_t index = 0; index < snapshot_count; index++)
    {
        char name[OME_SNAPSHOT_NAME_SIZE];
        ome_snapshot_name(name, snapshots[index]);
        entries[index] = &run.memory.seen.entries[memory_find(&run.memory.seen, name)];
    }
}

/* The start ends where it should, whatever the snapshots are: the journal is the state. */
static void check_start_refuses(uint64_t count)
{
    CHECK_EQUAL(start(), OME_EMPTY);
    CHECK_EQUAL(found_sequence, run.sequenced);
    CHECK_EQUAL(refused_count, count);
}

/* Every byte of the newest, and every length: the one before is used. */
static void a_damaged_snapshot_costs_time_only(void)
{
    make_venue();
    memory_entry_t *entries[OME_SNAPSHOT_KEEP_COUNT_DEFAULT];
    find_snapshots(entries);
    memory_node_t *newest = memory_file(&run.memory, entries[snapshot_count - 1]->name);
    const size_t size = newest->seen_size;
    for (size_t offset = 0; offset < size; offset++)
    {
        const uint8_t bit = (uint8_t)(1u << run_below(8));
        newest->seen[offset] ^= bit;
        check_start_refuses(1);
        newest->seen[offset] ^= bit;
        newest->seen_size = offset;
        check_start_refuses(1);
        newest->seen_size = size;
    }
    check_all_is_there();
    run_end();
}

/* One in the place of another, and the two in each other's. */
static void a_snapshot_in_the_place_of_another_costs_time_only(void)
{
    make_venue();
    const memory_directory_t before = run.memory.seen;
    memory_entry_t *entries[OME_SNAPSHOT_KEEP_COUNT_DEFAULT];
    find_snapshots(entries);
    for (uint32_t index = 0; index < snapshot_count; index++)
    {
        for (uint32_t other = 0; other < snapshot_count; other++)
        {
            const int node = entries[index]->node;
            entries[index]->node = entries[other]->node;
            check_start_refuses(index != other && index + 1 == snapshot_count);
            entries[other]->node = node;
            CHECK_EQUAL(start(), OME_EMPTY);
            CHECK_EQUAL(found_sequence, run.sequenced);
            run.memory.seen = before;
        }
    }
    check_all_is_there();
    run_end();
}

static void a_start_without_snapshots_costs_time_only(void)
{
    make_venue();
    drop_snapshots();
    check_start_refuses(0);
    check_all_is_there();
    run_end();
}

/* Also where there is no other. */
static void a_snapshot_that_is_older_than_its_name_costs_time_only(void)
{
    make_venue();
    const memory_directory_t before = run.memory.seen;
    memory_entry_t *entries[OME_SNAPSHOT_KEEP_COUNT_DEFAULT];
    find_snapshots(entries);
    char name[OME_SNAPSHOT_NAME_SIZE];
    const int node = entries[0]->node;
    drop_snapshots();
    ome_snapshot_name(name, snapshots[0] + 1);
    memory_set(&run.memory.seen, name, node);
    check_start_refuses(1);
    run.memory.seen = before;
    check_all_is_there();
    run_end();
}

int main(void)
{
    seed = test_seed(33);
    RUN(a_segment_is_found_at_every_wrong_length);
    RUN(a_last_segment_that_is_gone_is_found_by_a_snapshot);
    RUN(sectors_lost_doubled_and_swapped_are_found);
    RUN(a_damaged_snapshot_costs_time_only);
    RUN(a_snapshot_in_the_place_of_another_costs_time_only);
    RUN(a_start_without_snapshots_costs_time_only);
    RUN(a_snapshot_that_is_older_than_its_name_costs_time_only);
    return 0;
}
