/* The journal as it is written: its bytes are those of docs/JOURNAL.md, and what was committed comes back. */
#include "journal_fixture.h"

/* Rule: the layout is that of docs/JOURNAL.md, byte for byte. */
static void the_bytes_are_those_of_the_document(void)
{
    start_new();
    CHECK_EQUAL(ome_journal_writer_append(&writer, 1, 2, "abc", 3), OME_OK);
    CHECK_EQUAL(ome_journal_writer_append(&writer, 2, 3, NULL, 0), OME_OK);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    static const uint8_t header[64] = {'\n', 'O', 'M', 'E', 'J', 'R', 'N', 'L', 2, 0, 0, 0, 0, 0x10, 0, 0, /* magic, version, size */
        1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, /* epoch, first, segment */
        0, 0, 0, 0, 1, 0, 0, 0, 0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01}; /* previous checksum, kind, configuration */
    static const uint8_t first[17] = {1, 0, 0, 0, 0, 0, 0, 0, 2, 0x80, 3, 0, 0, 0, 'a', 'b', 'c'};
    static const uint8_t second[14] = {2, 0, 0, 0, 0, 0, 0, 0, 3, 0};
    uint8_t seal[38] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 24, 0, 0, 0, /* the next sequence, kind and synced, length */
        2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}; /* count, last, chain, reason */
    const uint8_t *bytes = memory_file(&memory, FIRST_SEGMENT)->seen;
    CHECK_BYTES_EQUAL(bytes, header, sizeof(header));
    const uint32_t checksums[3] = {ome_crc32c(0, bytes, 4092), ome_crc32c(0, first, 17), ome_crc32c(0, second, 14)};
    const uint32_t chain = ome_crc32c(0, &checksums[1], 8);
    memcpy(seal + 30, &chain, 4);
    const uint32_t seal_checksum = ome_crc32c(0, seal, 38);
    CHECK_BYTES_EQUAL(bytes + 4092, &checksums[0], 4);
    CHECK_BYTES_EQUAL(bytes + 4096, first, 17);
    CHECK_BYTES_EQUAL(bytes + 4113, &checksums[1], 4);
    CHECK_BYTES_EQUAL(bytes + 4117, second, 14);
    CHECK_BYTES_EQUAL(bytes + 4131, &checksums[2], 4);
    CHECK_BYTES_EQUAL(bytes + 4135, seal, 38);
    CHECK_BYTES_EQUAL(bytes + 4173, &seal_checksum, 4);
    CHECK_EQUAL(writer.checksum, chain);
    memory_end(&memory);
}

static void only_names_of_segments_are_taken_for_segments(void)
{
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name(name, OME_JOURNAL_COMMANDS, 1204332);
    CHECK_TEXT_EQUAL(name, "journal-00000000000001204332.ome");
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_COMMANDS, name), 1204332);
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_EVENTS, name), 0);
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_COMMANDS, "journal-18446744073709551615.ome"), UINT64_MAX);
    ome_journal_name(name, OME_JOURNAL_EVENTS, 7);
    CHECK_TEXT_EQUAL(name, "events-00000000000000000007.ome");
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_EVENTS, name), 7);
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_COMMANDS, name), 0);
    ome_journal_name(name, OME_JOURNAL_DECISIONS, UINT64_MAX);
    CHECK_TEXT_EQUAL(name, "decisions-18446744073709551615.ome");
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_DECISIONS, name), UINT64_MAX);
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_COMMANDS, name), 0);
    ome_journal_name_temporary(name, OME_JOURNAL_EVENTS, OME_JOURNAL_TEMPORARY_SPARE);
    CHECK_TEXT_EQUAL(name, "events-spare.tmp");
    CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_EVENTS, name), 0);
    static const char *const others[] = {"journal-18446744073709551616.ome", "journal-00000000000000000000.ome", "journal-1.ome",
        "journal-0000000000000000000a.ome", "journal-00000000000000000001.ome.torn-4096", "Journal-00000000000000000001.ome", NAME_SPARE,
        NAME_NEW, "journal-torn.tmp", "", ".", ".."};
    for (size_t index = 0; index < sizeof(others) / sizeof(others[0]); index++)
    {
        CHECK_EQUAL(ome_journal_name_sequence(OME_JOURNAL_COMMANDS, others[index]), 0);
    }
}

/* Rule: records come back as they were, in order, over segments and runs; each run has a higher epoch. */
static void records_come_back_over_many_segments_and_runs(void)
{
    start_new();
    for (uint64_t run = 1; run <= 6; run++)
    {
        CHECK_EQUAL(writer.epoch, run);
        for (uint64_t part = 0; part < 8; part++)
        {
            commit_groups(300, run * 50);
            if (run % 2 == 0)
            {
                CHECK_EQUAL(ome_journal_writer_prepare_next(&writer), OME_OK);
            }
        }
        CHECK(run % 2 == 0 ? writer.unprepared_count <= 1 : writer.unprepared_count >= 2);
        if (run % 3 == 0)
        {
            kill_writer();
        }
        else
        {
            CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
            CHECK(memory_find(&memory.seen, NAME_SPARE) < 0);
        }
        CHECK_EQUAL(start(), OME_OK);
        CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
        CHECK_EQUAL(reader.last_sequence, run * 2400);
        CHECK_EQUAL(reader.chain_checksum, writer.checksum);
    }
    CHECK(reader.segment_count >= 18);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    memory_end(&memory);
}

/* Rule: a group larger than the buffer, or than what is left of a segment, is committed as a whole. */
static void a_group_may_be_larger_than_the_buffer_and_the_segment(void)
{
    start_new();
    commit_groups(5000, 5000);
    kill_writer();
    memory_cut_power(&memory);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, 5000);
    check_goes_on();
    memory_end(&memory);
}

/* Rule: with memory for groups of n commands a group of n is written by one call, wherever the memory begins and the
 * group before it has ended. */
static void memory_for_a_group_is_enough_to_write_it_at_once(void)
{
    static const size_t shifts[] = {0, 1, 64, 2048, OME_FILE_BLOCK_SIZE - 1};
    const uint8_t body[OME_BODY_SIZE] = {0};
    for (uint32_t count = 100; count < GROUP_COUNT_MAX; count += 7)
    {
        const size_t size = ome_journal_writer_size_bytes(count);
        const size_t shift = shifts[count % 5];
        CHECK(shift + size <= sizeof(writer_memory));
        memory_start(&memory, seed);
        const ome_journal_writer_config_t config = {.file_system = &memory.table,
            .directory = DIRECTORY,
            .kind = OME_JOURNAL_COMMANDS,
            .segment_size_bytes = SEGMENT_SIZE,
            .epoch = 1,
            .first_sequence = 1};
        CHECK_EQUAL(ome_journal_writer_open(&writer, writer_memory + shift, size, &config), OME_OK);
        for (uint32_t group = 0; group < 3; group++)
        {
            const uint64_t call_count = memory.call_count;
            for (uint32_t index = 0; index < count; index++)
            {
                CHECK_EQUAL(ome_journal_writer_append(&writer, writer.next_sequence, 1, body, OME_BODY_SIZE), OME_OK);
            }
            CHECK_EQUAL(ome_journal_writer_write(&writer), OME_OK);
            CHECK_EQUAL(memory.call_count, call_count + 1);
            CHECK_EQUAL(ome_journal_writer_write(&writer), OME_OK);
            CHECK_EQUAL(memory.call_count, call_count + 1); /* there was nothing to write */
        }
        CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        memory_end(&memory);
    }
}

/* Rule: segments of any size are read, also by a reader that sees a part of them at a time. */
static void a_segment_may_be_larger_than_what_is_read_at_once(void)
{
    segment_size_bytes = 5 * sizeof(reader_memory) / 2 / 4096 * 4096;
    start_new();
    commit_groups(40000, 1000);
    memory_node_t *file = memory_file(&memory, FIRST_SEGMENT);
    kill_writer();
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(reader.last_sequence, 40000);
    CHECK_EQUAL(reader.segment_count, 2);
    for (size_t offset = OME_JOURNAL_HEADER_SIZE; offset < segment_size_bytes; offset += 99991)
    {
        file->seen[offset] ^= 8;
        CHECK_EQUAL(read_all(), OME_DAMAGED);
        CHECK(reader.report.offset <= offset);
        CHECK(reader.report.offset + OME_JOURNAL_RECORD_SIZE_MAX > offset);
        file->seen[offset] ^= 8;
    }
    check_goes_on();
    memory_end(&memory);
    segment_size_bytes = SEGMENT_SIZE;
}

/* Rule: however full a segment is, the seal has its place, and no segment grows. */
static void a_seal_fits_in_a_segment_that_is_full(void)
{
    static const uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    for (uint64_t left = 0; left < 60; left++)
    {
        start_new();
        uint64_t room = SEGMENT_SIZE - OME_JOURNAL_HEADER_SIZE - left;
        while (room > 0)
        {
            const uint64_t size = room >= 2 * OME_JOURNAL_RECORD_SIZE_MAX ? OME_JOURNAL_RECORD_SIZE_MAX
                                  : room > OME_JOURNAL_RECORD_SIZE_MAX    ? room / 2
                                                                          : room;
            const uint32_t length = (uint32_t)(size - OME_JOURNAL_ENVELOPE_SIZE);
            CHECK_EQUAL(ome_journal_writer_append(&writer, writer.next_sequence, 1, data, length), OME_OK);
            room -= size;
        }
        CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        open_reader(&memory.table, DIRECTORY, false);
        ome_journal_record_t record;
        ome_status_t status;
        while ((status = ome_journal_reader_next(&reader, &record)) == OME_OK)
        {
        }
        CHECK_EQUAL(status, OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, writer.next_sequence - 1);
        CHECK(reader.is_sealed);
        CHECK_EQUAL(reader.segment_count, left < OME_JOURNAL_SEAL_SIZE ? 2 : 1);
        memory_end(&memory);
    }
}

/* Rule: a journal without records is clean, and each run still has its own epoch. */
static void an_empty_journal_is_clean_and_its_epochs_grow(void)
{
    memory_start(&memory, seed);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(reader.last_sequence, 0);
    for (uint64_t run = 1; run <= 6; run++)
    {
        CHECK_EQUAL(start(), OME_OK);
        CHECK_EQUAL(writer.epoch, run);
        CHECK_EQUAL(writer.next_sequence, 1);
        if (run % 2 == 0)
        {
            CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        }
        else
        {
            kill_writer();
        }
    }
    check_goes_on();
    memory_end(&memory);
}

/* Rule: async policy. What was written survives the process; only what was synced survives the power. */
static void write_and_sync_may_be_called_apart(void)
{
    start_new();
    commit_groups(10, 10);
    CHECK_EQUAL(append(11), OME_OK);
    CHECK_EQUAL(writer.written_sequence, 10);
    CHECK_EQUAL(ome_journal_writer_write(&writer), OME_OK);
    CHECK_EQUAL(writer.written_sequence, 11);
    CHECK_EQUAL(writer.durable_sequence, 10);
    const uint64_t call_count = memory.call_count;
    CHECK_EQUAL(ome_journal_writer_write(&writer), OME_OK);
    CHECK_EQUAL(memory.call_count, call_count); /* nothing to write */
    CHECK_EQUAL(append(12), OME_OK);
    CHECK_EQUAL(ome_journal_writer_sync(&writer), OME_OK);
    CHECK_EQUAL(writer.durable_sequence, 11); /* 12 was not written */
    CHECK_EQUAL(ome_journal_writer_sync(&writer), OME_OK);
    CHECK_EQUAL(memory.call_count, call_count + 1); /* nothing to sync */
    kill_writer();
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, 11);
    memory_end(&memory);
}

/* ---- kinds and configurations ---- */

/* Rule: events lie in a directory beside the commands, with names of their own, and neither is taken for the other. */
static void two_kinds_share_a_directory(void)
{
    static ome_journal_writer_t events;
    static uint8_t events_memory[6 * OME_FILE_BLOCK_SIZE];
    ome_journal_record_t record;
    start_new();
    const ome_journal_writer_config_t config = {.file_system = &memory.table,
        .directory = DIRECTORY,
        .kind = OME_JOURNAL_EVENTS,
        .segment_size_bytes = SEGMENT_SIZE,
        .epoch = 1,
        .first_sequence = 1};
    CHECK_EQUAL(ome_journal_writer_open(&events, events_memory, sizeof(events_memory), &config), OME_OK);
    CHECK_EQUAL(ome_journal_writer_prepare_next(&events), OME_OK);
    CHECK_EQUAL(ome_journal_writer_prepare_next(&writer), OME_OK);
    for (uint64_t sequence = 1; sequence <= 2000; sequence++)
    {
        CHECK_EQUAL(append(sequence), OME_OK);
        CHECK_EQUAL(ome_journal_writer_append(&events, sequence, 9, &sequence, sizeof(sequence)), OME_OK);
    }
    CHECK_EQUAL(ome_journal_writer_commit(&events), OME_OK);
    kill_writer();
    atomic_store(&events.is_stopped, true);
    ome_journal_writer_close(&events);
    CHECK(memory_open(&memory, "events-spare.tmp", OME_FILE_CREATE) >= 0);
    CHECK(memory_open(&memory, NAME_SPARE, OME_FILE_CREATE) >= 0);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    CHECK(memory_find(&memory.seen, NAME_SPARE) < 0);
    CHECK(memory_find(&memory.seen, "events-spare.tmp") >= 0);
    ome_journal_reader_config_t reading = {
        .file_system = &memory.table, .directory = DIRECTORY, .kind = OME_JOURNAL_EVENTS, .first_sequence = 1};
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &reading), OME_OK);
    for (uint64_t sequence = 1; sequence <= 2000; sequence++)
    {
        CHECK_EQUAL(ome_journal_reader_next(&reader, &record), OME_OK);
        CHECK_EQUAL(record.sequence, sequence);
        CHECK_EQUAL(record.type, 9);
        CHECK_BYTES_EQUAL(record.data, &sequence, sizeof(sequence));
    }
    CHECK_EQUAL(ome_journal_reader_next(&reader, &record), OME_EMPTY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    CHECK(memory_find(&memory.seen, "events-spare.tmp") < 0);
    memory_end(&memory);
}

/* Rule: a writer that is not open writes nothing, and a configuration is refused before the first call of the system. */
static void a_writer_refuses_a_wrong_configuration(void)
{
    memory_start(&memory, seed);
    const ome_journal_writer_config_t good = {.file_system = &memory.table,
        .directory = DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = SEGMENT_SIZE,
        .epoch = 1,
        .first_sequence = 1};
    static char long_name[OME_PATH_SIZE];
    memset(long_name, 'a', sizeof(long_name) - 1);
    ome_journal_writer_config_t bad[8];
    const size_t bad_count = sizeof(bad) / sizeof(bad[0]);
    for (size_t index = 0; index < bad_count; index++)
    {
        bad[index] = good;
    }
    bad[0].epoch = 0;
    bad[1].first_sequence = 0;
    bad[2].segment_size_bytes = SEGMENT_SIZE - 4096;
    bad[3].segment_size_bytes = SEGMENT_SIZE + 1;
    bad[4].segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MAX + 4096;
    bad[5].directory = long_name;
    bad[6].kind = 0;
    bad[7].kind = OME_JOURNAL_DECISIONS + 1;
    for (size_t index = 0; index < bad_count; index++)
    {
        CHECK_EQUAL(ome_journal_writer_open(&writer, writer_memory, sizeof(writer_memory), &bad[index]), OME_INVALID);
        CHECK_EQUAL(ome_journal_writer_close(&writer), OME_STOPPED);
    }
    CHECK_EQUAL(ome_journal_writer_open(&writer, writer_memory, 100, &good), OME_NO_MEMORY);
    CHECK_EQUAL(ome_journal_writer_open(&writer, writer_memory, ome_journal_writer_size_bytes(1) - 1, &good), OME_NO_MEMORY);
    CHECK_EQUAL(memory.call_count, 0);
    memory_end(&memory);
}

/* Rule: a configuration is refused before the first call of the system. */
static void a_reader_refuses_a_wrong_configuration(void)
{
    memory_start(&memory, seed);
    static char long_name[OME_PATH_SIZE];
    memset(long_name, 'a', sizeof(long_name) - 1);
    ome_journal_reader_config_t config = {.file_system = &memory.table, .directory = DIRECTORY, .kind = OME_JOURNAL_COMMANDS};
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_INVALID);
    config.first_sequence = 1;
    config.kind = 0;
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_INVALID);
    config.kind = OME_JOURNAL_COMMANDS;
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, ome_journal_reader_size_bytes() - 1, &config), OME_NO_MEMORY);
    config.directory = long_name;
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_INVALID);
    CHECK_EQUAL(memory.call_count, 0);
    memory_end(&memory);
}

int main(void)
{
    seed = test_seed(20240229);
    RUN(the_bytes_are_those_of_the_document);
    RUN(only_names_of_segments_are_taken_for_segments);
    RUN(records_come_back_over_many_segments_and_runs);
    RUN(a_group_may_be_larger_than_the_buffer_and_the_segment);
    RUN(memory_for_a_group_is_enough_to_write_it_at_once);
    RUN(a_segment_may_be_larger_than_what_is_read_at_once);
    RUN(a_seal_fits_in_a_segment_that_is_full);
    RUN(an_empty_journal_is_clean_and_its_epochs_grow);
    RUN(write_and_sync_may_be_called_apart);
    RUN(two_kinds_share_a_directory);
    RUN(a_writer_refuses_a_wrong_configuration);
    RUN(a_reader_refuses_a_wrong_configuration);
    return 0;
}
