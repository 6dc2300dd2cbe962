/* The journal under failing system calls and power cuts: nothing that was committed is lost, and recovery may be repeated. */
#include "journal_fixture.h"

/* One run of a server that is stopped by the first failure: starts, commits groups of all sizes over several segments,
 * prepares some of them, closes. Gives the last sequence whose commit returned OME_OK. */
static uint64_t run_until_failure(ome_status_t *status)
{
    uint64_t durable = 0;
    *status = start();
    for (uint64_t group = 0; *status == OME_OK && group < 24; group++)
    {
        for (uint64_t index = 0; *status == OME_OK && index < 1 + group * 13 % 170; index++)
        {
            *status = append(writer.next_sequence);
        }
        if (*status == OME_OK)
        {
            *status = ome_journal_writer_commit(&writer);
            durable = *status == OME_OK ? writer.next_sequence - 1 : durable;
        }
        if (*status == OME_OK && group % 10 == 5)
        {
            *status = ome_journal_writer_prepare_next(&writer);
            *status = *status == OME_IO_ERROR ? OME_OK : *status; /* is said when the segment is needed */
        }
    }
    durable = *status == OME_STOPPED ? 0 : durable;
    return durable;
}

/* After a failure every call says so and touches nothing. */
static void check_is_stopped(void)
{
    const uint64_t call_count = memory.call_count;
    CHECK_EQUAL(append(writer.next_sequence), OME_STOPPED);
    CHECK_EQUAL(ome_journal_writer_write(&writer), OME_STOPPED);
    CHECK_EQUAL(ome_journal_writer_sync(&writer), OME_STOPPED);
    CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_STOPPED);
    CHECK_EQUAL(ome_journal_writer_prepare_next(&writer), OME_STOPPED);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_STOPPED);
    CHECK_EQUAL(memory.call_count, call_count);
}

/* Runs with the n-th call failing, then cuts the power or not, and recovers. True while n is a call of the run. */
static bool check_failing_call(uint64_t failing_call, memory_fail_t fail, bool cuts_power)
{
    memory_start(&memory, seed + failing_call);
    memory.fail_call = failing_call;
    memory.fail = fail;
    ome_status_t status;
    const uint64_t durable = run_until_failure(&status);
    const bool is_reached = memory.call_count >= failing_call;
    if (status == OME_OK)
    {
        status = ome_journal_writer_close(&writer);
    }
    if (status == OME_IO_ERROR)
    {
        CHECK(reader.status == OME_IO_ERROR || writer.error.number == EIO);
        CHECK(reader.status == OME_IO_ERROR || writer.error.call != NULL);
        if (reader.status != OME_IO_ERROR)
        {
            CHECK(strncmp(writer.error.path, DIRECTORY, strlen(DIRECTORY)) == 0);
            check_is_stopped();
        }
    }
    memory_restart(&memory);
    if (cuts_power)
    {
        memory_cut_power(&memory);
    }
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK(reader.last_sequence >= durable);
    check_goes_on();
    const uint64_t kept_sequence = reader.last_sequence;
    memory_cut_power(&memory);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, kept_sequence); /* a failed sync left nothing that only seemed to be on disk */
    memory_end(&memory);
    return is_reached;
}

/* Rule: whichever call fails, the writer stops for good, and a later start finds all that was committed. */
static void any_failing_call_stops_the_writer_and_loses_nothing_committed(void)
{
    uint64_t call = 1;
    while (check_failing_call(call, MEMORY_FAIL_CLEAN, false))
    {
        check_failing_call(call, MEMORY_FAIL_CLEAN, true);
        check_failing_call(call, MEMORY_FAIL_TORN, false);
        check_failing_call(call, MEMORY_FAIL_TORN, true);
        call++;
    }
    CHECK(call > 60);
}

/* Rule: a failed preparation leaves nothing and may be tried again; a writer that needs the segment meanwhile makes it itself. */
static void a_failed_preparation_is_tried_again_and_stops_nobody(void)
{
    start_new();
    commit_groups(10, 10);
    for (uint64_t call = 2; call <= 3; call++)
    {
        memory.fail_call = memory.call_count + call;
        CHECK_EQUAL(ome_journal_writer_prepare_next(&writer), OME_IO_ERROR);
        CHECK_TEXT_EQUAL(writer.spare_error.path, DIRECTORY "/" NAME_SPARE);
        CHECK(memory_find(&memory.seen, NAME_SPARE) < 0);
    }
    while (writer.unprepared_count == 0)
    {
        CHECK_EQUAL(append(writer.next_sequence), OME_OK);
    }
    CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_OK);
    CHECK_EQUAL(ome_journal_writer_prepare_next(&writer), OME_OK);
    CHECK(memory_find(&memory.seen, NAME_SPARE) >= 0);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    check_goes_on();
    memory_end(&memory);
}

/* Rule: what recovery has read may be in memory only, after a sync that failed; when it is done, it is on disk. */
static void recovery_does_not_trust_what_only_the_page_cache_holds(void)
{
    start_new();
    commit_groups(5, 5);
    for (uint64_t sequence = 6; sequence <= 40; sequence++)
    {
        CHECK_EQUAL(append(sequence), OME_OK);
    }
    memory.fail_call = memory.call_count + 2;
    CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_IO_ERROR);
    CHECK_TEXT_EQUAL(writer.error.call, "fdatasync");
    CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_STOPPED); /* and is not tried again */
    CHECK_EQUAL(writer.durable_sequence, 5);
    check_is_stopped();
    memory_restart(&memory);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, 40);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    memory_cut_power(&memory);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, 40);
    memory_end(&memory);
}

static uint32_t torn_checksum; /* of the tail, 3003 bytes */

/* A journal with a torn tail and unfinished files. */
static void make_torn(void)
{
    make_small(false);
    memory_node_t *file = memory_file(&memory, SECOND_SEGMENT);
    tear(file, small_offset(7) + 3, TEAR_BY_GARBAGE);
    file->seen[small_offset(7)] = 1;
    file->seen[small_offset(7) + 3002] = 1;
    torn_checksum = ome_crc32c(0, file->seen + small_offset(7), 3003);
    CHECK(memory_open(&memory, NAME_SPARE, OME_FILE_CREATE) >= 0);
    CHECK(memory_open(&memory, NAME_NEW, OME_FILE_CREATE) >= 0);
    for (int index = 0; index < memory.node_count; index++)
    {
        memory_node_t *node = &memory.nodes[index];
        memcpy(node->disk, node->seen, node->capacity);
        memset(node->is_dirty, 0, node->capacity / MEMORY_SECTOR_SIZE * sizeof(bool));
        node->disk_size = node->seen_size;
    }
    memory.disk = memory.seen;
    memory.change_count = 0;
}

#define TORN_TAIL SECOND_SEGMENT ".torn-%" PRIu64

/* Recovers a torn journal, dies at the n-th call, recovers twice more, and checks that nothing differs. True while n is a call. */
static bool check_interrupted_recovery(uint64_t call, bool cuts_power, uint64_t variant)
{
    make_torn();
    memory.random += call + 1000 * variant;
    memory.call_count = 0;
    memory.fail_call = call;
    memory.fails_ever_after = true;
    memory.fail = MEMORY_FAIL_TORN;
    const ome_status_t interrupted = read_all() == OME_EMPTY ? ome_journal_recover(&reader) : OME_IO_ERROR;
    const bool is_reached = memory.call_count >= call;
    CHECK_EQUAL(interrupted, is_reached ? OME_IO_ERROR : OME_OK);
    char saved[MEMORY_NAME_SIZE];
    snprintf(saved, sizeof(saved), TORN_TAIL, small_offset(7));
    for (int repeat = 0; repeat < 3; repeat++)
    {
        memory_restart(&memory);
        if (cuts_power)
        {
            memory_cut_power(&memory);
        }
        CHECK_EQUAL(read_all(), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, 6);
        CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
        CHECK_EQUAL(memory_file(&memory, SECOND_SEGMENT)->seen_size, small_offset(7) + OME_JOURNAL_SEAL_SIZE);
        const memory_node_t *torn = memory_file(&memory, saved);
        CHECK_EQUAL(torn->seen_size, 3003);
        CHECK_EQUAL(ome_crc32c(0, torn->seen, 3003), torn_checksum);
        CHECK_EQUAL(memory.seen.count, 3); /* two segments and the torn tail */
    }
    check_goes_on();
    memory_end(&memory);
    return is_reached;
}

/* Rule: recovery may die at any step, with the power or without, and the next one gives the same; so do more of them. */
static void recovery_may_be_interrupted_and_repeated(void)
{
    bool is_reached = true;
    uint64_t call = 1;
    for (; is_reached; call++)
    {
        is_reached = check_interrupted_recovery(call, false, 0);
        for (uint64_t variant = 0; variant < 10; variant++)
        {
            check_interrupted_recovery(call, true, variant);
        }
    }
    CHECK(call > 20);
}

/* Runs a server, cuts the power at the n-th call, and gives how many committed records were lost; SIZE_MAX when there was no such call. */
static uint64_t lost_by_power_cut(uint64_t call, bool syncs_nothing)
{
    memory_start(&memory, seed * 31 + call);
    memory.fail_call = call;
    memory.fails_ever_after = true;
    memory.fail = MEMORY_FAIL_TORN;
    memory.syncs_nothing = syncs_nothing;
    ome_status_t status;
    const uint64_t durable = run_until_failure(&status);
    const bool is_reached = memory.call_count >= call;
    kill_writer();
    memory_cut_power(&memory);
    memory.syncs_nothing = false;
    status = read_all();
    const uint64_t found = reader.last_sequence;
    if (!syncs_nothing)
    {
        CHECK_EQUAL(status, OME_EMPTY);
        check_goes_on();
    }
    memory_end(&memory);
    return is_reached ? (durable > found ? durable - found : 0) : SIZE_MAX;
}

/* Rule: commit policy. A power cut at any moment loses nothing that was committed. The control: without syncs it does. */
static void a_power_cut_loses_nothing_committed(void)
{
    uint64_t call = 1;
    for (uint64_t lost = 0; (lost = lost_by_power_cut(call, false)) != SIZE_MAX; call++)
    {
        CHECK_EQUAL(lost, 0);
    }
    CHECK(call > 60);
    uint64_t losing_count = 0;
    for (uint64_t control = 1; control < call; control++)
    {
        losing_count += lost_by_power_cut(control, true) > 0;
    }
    CHECK(losing_count > call / 2);
}

/* Rule: the power fails at any call of rotation and sealing, and any sectors of what was not synced are on disk:
 * nothing committed is lost, nothing is called damage, and the next run goes on. The control: where one sync of many
 * did nothing, records are lost or the journal is damaged. */
static uint64_t rotate_and_cut(uint64_t call, uint64_t variant, uint64_t lying_sync, uint64_t *sync_count)
{
    memory_start(&memory, seed + 1000 * variant);
    memory.random += call * 7;
    memset(&reader, 0, sizeof(reader));
    CHECK_EQUAL(start(), OME_OK);
    while (writer.buffer_offset + writer.buffer_used_bytes + 2500 < SEGMENT_SIZE)
    {
        commit_groups(1, 1);
    }
    memory.call_count = 0;
    memory.fail_call = call;
    memory.fails_ever_after = true;
    memory.fail = MEMORY_FAIL_TORN;
    memory.sync_count = 0;
    memory.lying_sync = lying_sync;
    uint64_t durable = writer.durable_sequence;
    ome_status_t status = OME_OK;
    for (uint64_t count = 0; status == OME_OK && count < 90; count++)
    {
        status = append(writer.next_sequence);
        if (status == OME_OK && count % 30 == 29)
        {
            status = ome_journal_writer_commit(&writer);
            durable = status == OME_OK ? writer.durable_sequence : durable;
        }
    }
    const bool is_reached = memory.call_count >= call;
    *sync_count = memory.sync_count;
    kill_writer();
    memory_cut_power(&memory);
    memory.lying_sync = 0;
    status = read_all();
    const uint64_t lost = status != OME_EMPTY ? 1000000 : durable > reader.last_sequence ? durable - reader.last_sequence : 0;
    if (lying_sync == 0)
    {
        CHECK_EQUAL(lost, 0);
        check_goes_on();
        check_goes_on();
    }
    memory_end(&memory);
    return is_reached ? lost : UINT64_MAX;
}

static void a_power_cut_in_rotation_loses_nothing_and_is_no_damage(void)
{
    uint64_t sync_count = 0;
    uint64_t call = 1;
    for (; rotate_and_cut(call, 0, 0, &sync_count) != UINT64_MAX; call++)
    {
        for (uint64_t variant = 1; variant < 30; variant++)
        {
            rotate_and_cut(call, variant, 0, &sync_count);
        }
    }
    CHECK(call > 10);
    const uint64_t sync_count_max = sync_count;
    CHECK(sync_count_max >= 5);
    uint64_t losing_count = 0;
    for (uint64_t lying = 1; lying <= sync_count_max; lying++)
    {
        uint64_t loss_count = 0;
        for (uint64_t variant = 0; variant < 40; variant++)
        {
            for (uint64_t control = 1; control < call; control++)
            {
                const uint64_t lost = rotate_and_cut(control, variant, lying, &sync_count);
                loss_count += lost != 0 && lost != UINT64_MAX;
            }
        }
        losing_count += loss_count > 0;
    }
    /* All but two: that of the zeros, which the header's sync does as well, and the last of all, which nothing relies on any more. */
    CHECK(losing_count + 2 >= sync_count_max);
}

int main(void)
{
    seed = test_seed(20240229);
    RUN(any_failing_call_stops_the_writer_and_loses_nothing_committed);
    RUN(a_failed_preparation_is_tried_again_and_stops_nobody);
    RUN(recovery_does_not_trust_what_only_the_page_cache_holds);
    RUN(recovery_may_be_interrupted_and_repeated);
    RUN(a_power_cut_loses_nothing_committed);
    RUN(a_power_cut_in_rotation_loses_nothing_and_is_no_damage);
    return 0;
}
