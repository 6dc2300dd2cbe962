/* A damaged journal: a torn tail is truncated, every other damage is found, and nothing is ever misread. */
#include "journal_fixture.h"

static void check_torn_at(uint64_t offset, tear_t how)
{
    make_small(false);
    memory_node_t *file = memory_file(&memory, SECOND_SEGMENT);
    tear(file, offset, how);
    uint64_t kept_sequence = 8;
    while (kept_sequence > 3 && small_offset(kept_sequence + 1) > offset)
    {
        kept_sequence--;
    }
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, kept_sequence);
    CHECK_EQUAL(reader.report.offset, small_offset(kept_sequence + 1));
    CHECK_EQUAL(reader.report.sequence_expected, kept_sequence + 1);
    CHECK_TEXT_EQUAL(reader.report.path, DIRECTORY "/" SECOND_SEGMENT);
    if (how == TEAR_BY_GARBAGE)
    {
        CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_TORN);
    }
    char saved[MEMORY_NAME_SIZE];
    snprintf(saved, sizeof(saved), "%s.torn-%" PRIu64, SECOND_SEGMENT, reader.report.offset);
    const bool is_torn = reader.report.verdict == OME_JOURNAL_TORN;
    uint8_t cut[4096 + OME_JOURNAL_RECORD_SIZE_MAX];
    const size_t cut_size = (size_t)(reader.tail_end - reader.report.offset);
    memcpy(cut, file->seen + reader.report.offset, cut_size);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    CHECK_EQUAL(file->seen_size, small_offset(kept_sequence + 1) + (kept_sequence > 3 ? OME_JOURNAL_SEAL_SIZE : 0));
    CHECK_EQUAL(memory_find(&memory.seen, saved) >= 0, is_torn);
    if (is_torn)
    {
        CHECK_EQUAL(memory_file(&memory, saved)->seen_size, cut_size);
        CHECK_BYTES_EQUAL(memory_file(&memory, saved)->seen, cut, cut_size);
    }
    check_goes_on();
    memory_end(&memory);
}

/* Rule: a write that stopped at any byte is cut off, kept beside, and nothing before it is touched. */
static void a_tail_torn_at_any_byte_is_truncated(void)
{
    for (uint64_t offset = small_offset(4); offset < small_offset(9); offset++)
    {
        check_torn_at(offset, TEAR_BY_END);
        check_torn_at(offset, TEAR_BY_ZEROS);
        check_torn_at(offset, TEAR_BY_GARBAGE);
    }
}

/* Flips each bit in turn of `size` bytes of a file and checks what the reader says: the records before `cut_offset` are
 * acknowledged for sure, so that a change of them is damage; behind it a change may look like a torn tail, which loses
 * nothing before. */
static void check_flips(const char *name, size_t size, uint64_t cut_offset, uint64_t kept_sequence)
{
    memory_node_t *file = memory_file(&memory, name);
    for (size_t offset = 0; offset < size; offset++)
    {
        for (int bit = 0; bit < 8; bit++)
        {
            file->seen[offset] ^= (uint8_t)(1 << bit);
            const ome_status_t status = read_all(); /* which checks each record that it is given */
            if (offset < cut_offset)
            {
                CHECK_EQUAL(status, OME_DAMAGED);
                CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_DAMAGED);
                CHECK(reader.report.reason != NULL);
                CHECK(reader.report.offset <= offset);
                CHECK(strstr(reader.report.path, name) != NULL);
                CHECK_EQUAL(ome_journal_recover(&reader), OME_DAMAGED);
            }
            else
            {
                CHECK_EQUAL(status, OME_EMPTY);
                CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_TORN);
                CHECK_EQUAL(reader.last_sequence, kept_sequence);
            }
            file->seen[offset] ^= (uint8_t)(1 << bit);
        }
    }
}

/* Rule: every changed bit is found. Only in the last group of a journal that was not closed may it be taken for a torn tail. */
static void every_flipped_bit_is_found(void)
{
    make_small(false);
    check_flips(FIRST_SEGMENT, memory_file(&memory, FIRST_SEGMENT)->seen_size, UINT64_MAX, 0);
    check_flips(SECOND_SEGMENT, small_offset(9), small_offset(8), 7);
    memory_end(&memory);
    make_small(true);
    check_flips(SECOND_SEGMENT, small_offset(9), small_offset(9), 8);
    memory_node_t *file = memory_file(&memory, SECOND_SEGMENT);
    for (size_t offset = small_offset(9) + OME_JOURNAL_SEAL_SIZE; offset < SEGMENT_SIZE; offset += 61)
    {
        file->seen[offset] = 1;
        CHECK_EQUAL(read_all(), OME_DAMAGED); /* nothing is ever written behind a seal */
        file->seen[offset] = 0;
    }
    CHECK_EQUAL(read_all(), OME_EMPTY);
    memory_end(&memory);
}

/* Rule: damage changes nothing on disk. */
static void recovery_changes_nothing_where_there_is_damage(void)
{
    make_small(false);
    memory_node_t *file = memory_file(&memory, SECOND_SEGMENT);
    file->seen[small_offset(5) + 20] ^= 1;
    const uint64_t change_count = (uint64_t)memory.change_count;
    const uint32_t checksum = ome_crc32c(0, file->seen, file->seen_size);
    CHECK_EQUAL(read_all(), OME_DAMAGED);
    CHECK_EQUAL(reader.last_sequence, 4);
    CHECK_EQUAL(reader.report.offset, small_offset(5));
    CHECK_EQUAL(reader.report.sequence_expected, 5);
    CHECK_EQUAL(reader.report.sequence_found, 6);
    CHECK_EQUAL(reader.report.offset_found, small_offset(6));
    CHECK_EQUAL(start(), OME_DAMAGED);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_DAMAGED);
    CHECK_EQUAL((uint64_t)memory.change_count, change_count);
    CHECK_EQUAL(ome_crc32c(0, file->seen, file->seen_size), checksum);
    memory_end(&memory);
}

/* Rule: a reader that has not come to the end, or that is live, does not know where to cut. */
static void recovery_needs_a_reader_that_came_to_the_end(void)
{
    ome_journal_record_t record;
    make_small(false);
    open_reader(&memory.table, DIRECTORY, false);
    CHECK_EQUAL(ome_journal_reader_next(&reader, &record), OME_OK);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_INVALID);
    open_reader(&memory.table, DIRECTORY, true);
    CHECK_EQUAL(read_on(), OME_EMPTY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_INVALID);
    memory_end(&memory);
}

static void check_damaged_header(void (*change)(ome_journal_header_t *header), ome_status_t expected)
{
    make_small(false);
    ome_journal_header_t header;
    memory_node_t *file = memory_file(&memory, SECOND_SEGMENT);
    memcpy(&header, file->seen, sizeof(header));
    change(&header);
    header.checksum = ome_crc32c(0, &header, offsetof(ome_journal_header_t, checksum));
    memcpy(file->seen, &header, sizeof(header));
    CHECK_EQUAL(read_all(), expected);
    CHECK_EQUAL(reader.last_sequence, 3);
    CHECK_EQUAL(reader.report.offset, 0);
    CHECK(strstr(reader.report.path, SECOND_SEGMENT) != NULL);
    memory_end(&memory);
}

static void change_version(ome_journal_header_t *header)
{
    header->version++;
}

static void change_header_size(ome_journal_header_t *header)
{
    header->header_size = 512;
}

static void change_segment_size(ome_journal_header_t *header)
{
    header->segment_size = 8192;
}

static void change_epoch(ome_journal_header_t *header)
{
    header->epoch = 0;
}

static void change_first_sequence(ome_journal_header_t *header)
{
    header->first_sequence++;
}

static void change_previous_checksum(ome_journal_header_t *header)
{
    header->previous_checksum ^= 1;
}

/* Rule: a segment continues the one before, or the journal is damaged; another format version is named as such. */
static void a_header_that_does_not_continue_the_journal_is_refused(void)
{
    check_damaged_header(change_version, OME_UNSUPPORTED);
    check_damaged_header(change_header_size, OME_DAMAGED);
    check_damaged_header(change_segment_size, OME_DAMAGED);
    check_damaged_header(change_epoch, OME_DAMAGED);
    check_damaged_header(change_first_sequence, OME_DAMAGED);
    check_damaged_header(change_previous_checksum, OME_DAMAGED);
}

/* Rule: an epoch may stay or grow, not go down. */
static void an_epoch_that_goes_down_is_damage(void)
{
    start_new();
    reader.epoch = 9;
    kill_writer();
    CHECK_EQUAL(open_writer(&memory.table, DIRECTORY), OME_IO_ERROR); /* a segment of full length is there: recovery did not run */
    CHECK_EQUAL(writer.error.number, EEXIST);
    memory_end(&memory);
    memory_start(&memory, seed);
    CHECK_EQUAL(open_writer(&memory.table, DIRECTORY), OME_OK);
    CHECK_EQUAL(writer.epoch, 10);
    commit_groups(2, 2);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    reader.epoch = 8;
    CHECK_EQUAL(open_writer(&memory.table, DIRECTORY), OME_OK);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(read_all(), OME_DAMAGED);
    memory_end(&memory);
}

/* Rule: a segment that does not belong to the journal is damage, wherever it stands. */
static void a_foreign_segment_is_damage(void)
{
    static const uint64_t foreign[] = {2, 9, 4000, UINT64_MAX};
    for (size_t index = 0; index < sizeof(foreign) / sizeof(foreign[0]); index++)
    {
        char name[OME_JOURNAL_NAME_SIZE];
        make_small(true);
        ome_journal_name(name, OME_JOURNAL_COMMANDS, foreign[index]);
        memory_set(&memory.seen, name, memory.seen.entries[memory_find(&memory.seen, FIRST_SEGMENT)].node);
        CHECK_EQUAL(read_all(), OME_DAMAGED);
        CHECK_EQUAL(reader.last_sequence, foreign[index] < 4 ? 3 : 8);
        memory_end(&memory);
    }
}

/* Rule: without the segment in which it begins there is no journal to read, and recovery does not make one. */
static void a_journal_without_its_first_segment_is_absent(void)
{
    make_small(true);
    memory_set(&memory.seen, FIRST_SEGMENT, -1);
    CHECK_EQUAL(read_all(), OME_NOT_FOUND);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_ABSENT);
    CHECK_EQUAL(reader.last_sequence, 0);
    CHECK_EQUAL(reader.report.sequence_expected, 1);
    CHECK_EQUAL(reader.report.sequence_found, 4);
    CHECK_TEXT_EQUAL(reader.report.path, DIRECTORY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_NOT_FOUND);
    memory_end(&memory);
}

/* Rule: each segment but the last is missed. */
static void a_missing_segment_is_damage(void)
{
    start_new();
    commit_groups(4000, 100);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK(reader.segment_count >= 4);
    for (int entry = 0; entry < memory.seen.count; entry++)
    {
        const memory_directory_t before = memory.seen;
        const uint64_t first = ome_journal_name_sequence(OME_JOURNAL_COMMANDS, memory.seen.entries[entry].name);
        if (first != reader.segment_first_sequence)
        {
            memory_set(&memory.seen, memory.seen.entries[entry].name, -1);
            open_reader(&memory.table, DIRECTORY, false);
            CHECK_EQUAL(read_on(), first == 1 ? OME_NOT_FOUND : OME_DAMAGED);
            memory.seen = before;
            CHECK_EQUAL(read_all(), OME_EMPTY);
        }
    }
    memory_end(&memory);
}

/* Rule: a record in its place with another sequence than the next is damage: a crash does not do that. */
static void a_valid_record_with_another_sequence_is_damage(void)
{
    static const uint64_t sequences[] = {1, 7, 10, UINT64_MAX};
    for (size_t index = 0; index < sizeof(sequences) / sizeof(sequences[0]); index++)
    {
        make_small(false);
        ome_journal_encode(memory_file(&memory, SECOND_SEGMENT)->seen + small_offset(9), sequences[index], 1, "x", 1);
        CHECK_EQUAL(read_all(), OME_DAMAGED);
        CHECK_EQUAL(reader.last_sequence, 8);
        CHECK_EQUAL(reader.report.sequence_found, sequences[index]);
        memory_end(&memory);
    }
}

/* Rule: the power fails inside a group and any of its sectors are on disk: a torn tail, whatever valid records follow it, and all that was
 * committed before is there. The control: the same bytes in a group that was followed by another are damage. */
static void a_group_torn_out_of_order_is_a_torn_tail(void)
{
    uint64_t torn_count = 0;
    uint64_t hole_count = 0;
    for (uint64_t round = 0; round < 400; round++)
    {
        start_new();
        memory.random += round;
        const uint64_t committed = test_random(&memory.random) % 900;
        commit_groups(committed, 64);
        const uint64_t end = writer.next_sequence + 1 + test_random(&memory.random) % GROUP_COUNT_MAX;
        while (writer.next_sequence < end)
        {
            CHECK_EQUAL(append(writer.next_sequence), OME_OK);
        }
        CHECK_EQUAL(ome_journal_writer_write(&writer), OME_OK);
        const uint64_t durable = writer.durable_sequence; /* more than committed when a segment ended */
        const bool is_more = ome_journal_writer_append(&writer, end, 1, "x", 1) == OME_OK;
        kill_writer();
        memory_cut_power(&memory);
        CHECK(is_more);
        CHECK_EQUAL(read_all(), OME_EMPTY);
        CHECK(reader.last_sequence >= durable);
        CHECK(reader.last_sequence < end);
        torn_count += reader.report.verdict == OME_JOURNAL_TORN;
        hole_count += reader.report.verdict == OME_JOURNAL_TORN && reader.tail_end > reader.report.offset + 4 * MEMORY_SECTOR_SIZE;
        check_goes_on();
        memory_end(&memory);
    }
    CHECK(torn_count > 100);
    CHECK(hole_count > 100);
    start_new();
    commit_groups(256, 64);
    kill_writer();
    memset(memory_file(&memory, FIRST_SEGMENT)->seen + 8192, 0, MEMORY_SECTOR_SIZE);
    CHECK_EQUAL(read_all(), OME_DAMAGED);
    memory_end(&memory);
}

int main(void)
{
    seed = test_seed(20240229);
    RUN(a_tail_torn_at_any_byte_is_truncated);
    RUN(every_flipped_bit_is_found);
    RUN(recovery_changes_nothing_where_there_is_damage);
    RUN(recovery_needs_a_reader_that_came_to_the_end);
    RUN(a_header_that_does_not_continue_the_journal_is_refused);
    RUN(an_epoch_that_goes_down_is_damage);
    RUN(a_foreign_segment_is_damage);
    RUN(a_journal_without_its_first_segment_is_absent);
    RUN(a_missing_segment_is_damage);
    RUN(a_valid_record_with_another_sequence_is_damage);
    RUN(a_group_torn_out_of_order_is_a_torn_tail);
    return 0;
}
