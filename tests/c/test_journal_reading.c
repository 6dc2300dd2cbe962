/* Readers of the journal: live ones, and those that begin anywhere. */
#include "journal_fixture.h"

/* Rule: a live reader stops at the last complete record, goes on when there are more, and follows over segments and runs. */
static void a_live_reader_follows_the_writer(void)
{
    static ome_journal_reader_t live;
    static uint8_t live_memory[1 << 20];
    memory_start(&memory, seed);
    const ome_journal_reader_config_t config = {
        .file_system = &memory.table, .directory = DIRECTORY, .kind = OME_JOURNAL_COMMANDS, .first_sequence = 1, .is_live = true};
    CHECK_EQUAL(ome_journal_reader_open(&live, live_memory, sizeof(live_memory), &config), OME_OK);
    ome_journal_record_t record;
    CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
    uint64_t random = seed;
    uint64_t sequence = 1;
    for (int run = 0; run < 6; run++)
    {
        CHECK_EQUAL(start(), OME_OK);
        CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
        for (int group = 0; group < (run == 2 ? 0 : 40); group++)
        {
            commit_groups(1 + test_random(&random) % 100, 100);
            const uint64_t stop = group % 3 == 0 ? writer.durable_sequence / 2 : writer.durable_sequence;
            for (; sequence <= stop; sequence++)
            {
                CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_OK);
                check_record(&record, sequence);
            }
            memory_node_t *file = memory_file(&memory, writer.path);
            const uint64_t offset = writer.offset;
            file->seen[offset] = 77; /* the first bytes of what is being written */
            file->seen[offset + 30] = 77;
            for (; sequence <= writer.durable_sequence; sequence++)
            {
                CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_OK);
            }
            CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
            CHECK_EQUAL(live.report.verdict, OME_JOURNAL_READING);
            file->seen[offset] = 0;
            file->seen[offset + 30] = 0;
        }
        if (run % 2 == 0)
        {
            CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        }
        else
        {
            kill_writer();
        }
        CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
    }
    CHECK(live.segment_count > 10);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(live.segment_count, reader.segment_count);
    memory_end(&memory);
}

/* Reads from a sequence on; `chain`, where given, must hold before it. Gives what the reader said at the end. */
static ome_status_t read_from(uint64_t first_sequence, const uint32_t *chain, bool is_live)
{
    const ome_journal_reader_config_t config = {.file_system = &memory.table,
        .directory = DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .first_sequence = first_sequence,
        .has_previous_checksum = chain != NULL,
        .previous_checksum = chain != NULL ? *chain : 0,
        .is_live = is_live};
    ome_journal_record_t record;
    ome_status_t status;
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_OK);
    for (uint64_t sequence = first_sequence; (status = ome_journal_reader_next(&reader, &record)) == OME_OK; sequence++)
    {
        check_record(&record, sequence);
        CHECK_EQUAL(reader.chain_checksum, chains[sequence]);
    }
    return status;
}

static void check_from(uint64_t first_sequence)
{
    const uint32_t right = chains[first_sequence - 1];
    const uint32_t wrong = right ^ 0x100;
    for (int is_live = 0; is_live <= 1; is_live++)
    {
        CHECK_EQUAL(read_from(first_sequence, NULL, is_live), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, last_sequence);
        CHECK_EQUAL(read_from(first_sequence, &right, is_live), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, last_sequence);
        CHECK_EQUAL(reader.report.verdict, is_live ? OME_JOURNAL_READING : OME_JOURNAL_CLEAN);
        CHECK_EQUAL(read_from(first_sequence, &wrong, is_live), OME_DAMAGED);
        CHECK_EQUAL(reader.last_sequence, first_sequence - 1); /* nothing was given */
        CHECK(strstr(reader.report.reason, "before the first one asked for") != NULL || first_sequence == 1);
    }
}

/* Rule: reading may begin at any sequence up to one behind the last; the chain checksum before it is held against the
 * one that the caller knows. */
static void reading_begins_at_any_sequence(void)
{
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        check_from(segments[index].first_sequence);
        check_from(segments[index].first_sequence + 1);
        check_from(segment_end(index));
    }
    for (uint64_t sequence = 2; sequence <= last_sequence + 1; sequence += 137)
    {
        check_from(sequence);
    }
    check_from(last_sequence + 1);
    const uint64_t too_far[] = {last_sequence + 2, last_sequence + 1000, UINT64_MAX};
    for (size_t index = 0; index < sizeof(too_far) / sizeof(too_far[0]); index++)
    {
        CHECK_EQUAL(read_from(too_far[index], NULL, false), OME_NOT_FOUND);
        CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_ABSENT);
        CHECK_EQUAL(reader.report.sequence_expected, last_sequence + 1);
        CHECK_EQUAL(ome_journal_recover(&reader), OME_NOT_FOUND);
        CHECK_EQUAL(read_from(too_far[index], NULL, true), OME_EMPTY); /* it may come */
    }
    memory_end(&memory);
    memory_start(&memory, seed);
    CHECK_EQUAL(read_from(1, NULL, false), OME_EMPTY);
    CHECK_EQUAL(read_from(2, NULL, true), OME_EMPTY);
    CHECK_EQUAL(read_from(2, NULL, false), OME_NOT_FOUND);
    memory_end(&memory);
}

/* Rule: whoever begins in the middle of a segment still reads it from its beginning, so that damage before the place is
 * found, and further back is not looked at. */
static void records_before_the_beginning_are_read_in_its_segment_only(void)
{
    make_runs();
    const uint64_t first_sequence = segments[3].first_sequence + 100;
    segments[3].file->seen[record_offset(3, first_sequence - 50) + 2] ^= 1;
    CHECK_EQUAL(read_from(first_sequence, NULL, false), OME_DAMAGED);
    CHECK_EQUAL(reader.last_sequence, first_sequence - 51);
    segments[3].file->seen[record_offset(3, first_sequence - 50) + 2] ^= 1;
    segments[2].file->seen[record_offset(2, segments[2].first_sequence + 5) + 2] ^= 1;
    CHECK_EQUAL(read_from(first_sequence, NULL, false), OME_EMPTY);
    CHECK_EQUAL(read_from(1, NULL, false), OME_DAMAGED);
    memory_end(&memory);
}

/* Rule: a journal whose oldest segments are gone is read from where it begins, goes on being written, and says from
 * where on it is there. */
static void a_journal_whose_beginning_was_archived_is_read_from_there(void)
{
    make_runs();
    for (uint64_t gone = 0; gone + 1 < segment_count; gone++)
    {
        drop(gone);
        const uint64_t begin = segments[gone + 1].first_sequence;
        check_from(begin);
        check_from(begin + 3);
        check_from(last_sequence + 1);
        CHECK_EQUAL(read_from(begin - 1, NULL, false), OME_NOT_FOUND);
        CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_ABSENT);
        CHECK_EQUAL(reader.report.sequence_found, begin);
        CHECK_EQUAL(reader.report.sequence_expected, begin - 1);
        CHECK_TEXT_EQUAL(reader.report.path, DIRECTORY);
        CHECK_EQUAL(read_from(begin - 1, NULL, true), OME_NOT_FOUND);
        CHECK_EQUAL(read_from(1, NULL, false), OME_NOT_FOUND);
    }
    CHECK_EQUAL(read_from(last_sequence + 1, &chains[last_sequence], false), OME_EMPTY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    CHECK_EQUAL(open_writer(&memory.table, DIRECTORY), OME_OK);
    CHECK_EQUAL(writer.epoch, 4);
    commit_groups(4, 2);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    const uint64_t begin = segments[segment_count - 1].first_sequence;
    const ome_journal_reader_config_t config = {
        .file_system = &memory.table, .directory = DIRECTORY, .kind = OME_JOURNAL_COMMANDS, .first_sequence = begin};
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_OK);
    reader.last_sequence = begin - 1;
    CHECK_EQUAL(read_on(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, last_sequence + 4);
    memory_end(&memory);
}

/* Rule: a live reader may begin anywhere too, also before the server has written so far, and while older segments are taken away. */
static void a_live_reader_begins_anywhere(void)
{
    static ome_journal_reader_t live;
    static uint8_t live_memory[1 << 20];
    ome_journal_record_t record;
    memory_start(&memory, seed);
    const ome_journal_reader_config_t config = {
        .file_system = &memory.table, .directory = DIRECTORY, .kind = OME_JOURNAL_COMMANDS, .first_sequence = 1500, .is_live = true};
    CHECK_EQUAL(ome_journal_reader_open(&live, live_memory, sizeof(live_memory), &config), OME_OK);
    CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
    memset(&reader, 0, sizeof(reader));
    CHECK_EQUAL(start(), OME_OK);
    CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
    uint64_t sequence = 1500;
    for (int run = 0; run < 5; run++)
    {
        for (int group = 0; group < (run == 3 ? 0 : 30); group++)
        {
            const uint64_t first = writer.segment_first_sequence;
            commit_groups(40, 40);
            for (; sequence <= writer.durable_sequence; sequence++)
            {
                CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_OK);
                check_record(&record, sequence);
            }
            CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
            CHECK_EQUAL(live.report.verdict, OME_JOURNAL_READING);
            if (writer.segment_first_sequence != first && writer.segment_first_sequence > 3000)
            {
                open_reader(&memory.table, DIRECTORY, false);
                if (memory_find(&memory.seen, FIRST_SEGMENT) >= 0)
                {
                    memory_directory_t kept = memory.seen;
                    memory_set(&memory.seen, FIRST_SEGMENT, -1);
                    CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
                    memory.seen = kept;
                }
            }
        }
        if (run % 2 == 0)
        {
            CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        }
        else
        {
            kill_writer();
        }
        CHECK_EQUAL(ome_journal_reader_next(&live, &record), OME_EMPTY);
        CHECK_EQUAL(start(), OME_OK);
    }
    CHECK(sequence > 3000);
    CHECK_EQUAL(live.last_sequence, writer.next_sequence - 1);
    kill_writer();
    memory_end(&memory);
}

int main(void)
{
    seed = test_seed(20240229);
    RUN(a_live_reader_follows_the_writer);
    RUN(reading_begins_at_any_sequence);
    RUN(records_before_the_beginning_are_read_in_its_segment_only);
    RUN(a_journal_whose_beginning_was_archived_is_read_from_there);
    RUN(a_live_reader_begins_anywhere);
    return 0;
}
