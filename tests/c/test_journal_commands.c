/* The end of a journal inside a command of several records: it ends before the command, which nobody was told of. */
#include "journal_fixture.h"

#define PART_COUNT 3u /* records of the command: an order and two records of terms */

/* The record of a command, by its place in it; place PART_COUNT: an order of one record. */
static void put_part(uint32_t part)
{
    ome_command_t command = {.kind = part == 0 || part == PART_COUNT ? OME_COMMAND_KIND_NEW_ORDER : OME_COMMAND_KIND_ORDER_TERMS,
        .flags = part + 1 < PART_COUNT ? OME_COMMAND_FLAGS_CONTINUED : 0};
    CHECK_EQUAL(
        ome_journal_writer_append(&writer, writer.next_sequence, command.kind, (const uint8_t *)&command + sizeof(uint64_t), OME_BODY_SIZE),
        OME_OK);
}

static void commit_parts(uint32_t from, uint32_t to)
{
    for (uint32_t part = from; part < to; part++)
    {
        put_part(part);
    }
    CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_OK);
}

/* How many records there are, and where the journal ends; both ways to read say the same. */
static ome_status_t count_records(bool is_live, uint64_t *found)
{
    ome_journal_record_t record;
    ome_status_t status;
    open_reader(&memory.table, DIRECTORY, is_live);
    while ((status = ome_journal_reader_next(&reader, &record)) == OME_OK)
    {
    }
    *found = reader.last_sequence;
    ome_journal_reader_close(&reader);
    static ome_command_t slots[64];
    open_reader(&memory.table, DIRECTORY, is_live);
    ome_status_t other = OME_OK;
    while (other == OME_OK)
    {
        other = ome_journal_reader_next_commands(&reader, slots, 64) > 0 ? OME_OK : ome_journal_reader_next(&reader, &record);
    }
    CHECK_EQUAL(other, status);
    CHECK_EQUAL(reader.last_sequence, *found);
    ome_journal_reader_close(&reader);
    return status;
}

/* Ten records, then so much of a command, and the writer is killed. */
static void make_begun(uint32_t part_count)
{
    start_new();
    commit_groups(10, 3);
    commit_parts(0, part_count);
    kill_writer();
}

/* Rule: a torn tail begins with the command, wherever it ends in it; the next run goes on before it, and what was there is kept. */
static void a_command_without_its_end_is_a_torn_tail(void)
{
    for (uint32_t part_count = 1; part_count < PART_COUNT; part_count++)
    {
        for (size_t size = 0; size < OME_JOURNAL_COMMAND_SIZE; size += 9) /* bytes of the next record that are there */
        {
            make_begun(PART_COUNT);
            memory_node_t *file = memory_file(&memory, FIRST_SEGMENT);
            const size_t end = writer.buffer_offset + writer.buffer_used_bytes;
            const size_t kept = end - (PART_COUNT - part_count) * OME_JOURNAL_COMMAND_SIZE + size;
            memset(file->seen + kept, 0, end - kept);
            uint64_t found;
            CHECK_EQUAL(count_records(false, &found), OME_EMPTY);
            CHECK_EQUAL(found, 10);
            CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_TORN);
            CHECK_EQUAL(reader.report.sequence_expected, 11);
            CHECK_EQUAL(reader.report.offset, end - PART_COUNT * OME_JOURNAL_COMMAND_SIZE);
            CHECK(strstr(reader.report.reason, "several records") != NULL);
            check_goes_on();
            char torn[OME_PATH_SIZE];
            (void)snprintf(torn, sizeof(torn), "%s.torn-%zu", FIRST_SEGMENT, end - PART_COUNT * OME_JOURNAL_COMMAND_SIZE);
            CHECK(memory_find(&memory.seen, torn) >= 0);
            memory_end(&memory);
        }
    }
}

/* Its group may have ended in the middle of it, and be on disk: the next one says so, and is no damage. */
static void a_group_may_end_inside_a_command(void)
{
    start_new();
    commit_groups(10, 3);
    commit_parts(0, 1);
    commit_parts(1, 2);
    kill_writer();
    memory_file(&memory, FIRST_SEGMENT)->seen[writer.offset + 5] = 1;
    uint64_t found;
    CHECK_EQUAL(count_records(false, &found), OME_EMPTY);
    CHECK_EQUAL(found, 10);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_TORN);
    check_goes_on();
    memory_end(&memory);
}

/* Behind it a whole command, another command that interrupts it, or a seal: what is there counts. */
static void a_command_that_something_follows_counts(void)
{
    for (uint32_t way = 0; way < 3; way++)
    {
        start_new();
        commit_groups(10, 3);
        commit_parts(0, way == 0 ? PART_COUNT : 2);
        if (way == 1)
        {
            commit_parts(PART_COUNT, PART_COUNT + 1);
        }
        if (way == 2)
        {
            CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        }
        else
        {
            kill_writer();
        }
        uint64_t found;
        CHECK_EQUAL(count_records(false, &found), OME_EMPTY);
        CHECK_EQUAL(found, way == 2 ? 12 : 13);
        CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
        memory_end(&memory);
    }
}

/* A live reader waits for its end. */
static void a_live_reader_gives_whole_commands(void)
{
    start_new();
    commit_groups(10, 3);
    uint64_t found;
    for (uint32_t part = 0; part < PART_COUNT; part++)
    {
        commit_parts(part, part + 1);
        CHECK_EQUAL(count_records(true, &found), OME_EMPTY);
        CHECK_EQUAL(found, part + 1 < PART_COUNT ? 10 : 13);
    }
    kill_writer();
    memory_end(&memory);
}

/* Damage inside it, with a later group behind: that is no end. */
static void damage_inside_a_command_is_damage(void)
{
    make_begun(PART_COUNT);
    const uint64_t end = writer.buffer_offset + writer.buffer_used_bytes;
    memory_end(&memory);
    start_new();
    commit_groups(10, 3);
    commit_parts(0, PART_COUNT);
    commit_groups(5, 1);
    kill_writer();
    memory_file(&memory, FIRST_SEGMENT)->seen[end - OME_JOURNAL_COMMAND_SIZE + 20] ^= 4;
    uint64_t found;
    CHECK_EQUAL(count_records(false, &found), OME_DAMAGED);
    CHECK_EQUAL(found, 10);
    CHECK_EQUAL(reader.report.sequence_expected, 11);
    memory_end(&memory);
}

int main(void)
{
    seed = test_seed(45);
    RUN(a_command_without_its_end_is_a_torn_tail);
    RUN(a_group_may_end_inside_a_command);
    RUN(a_command_that_something_follows_counts);
    RUN(a_live_reader_gives_whole_commands);
    RUN(damage_inside_a_command_is_damage);
    return 0;
}
