/* The journal: what was committed comes back, what is damaged is said to be, and nothing is ever misread. docs/JOURNAL.md has the rules.
 *
 * Most tests use the file system in memory (ome_memory_file.h), where each system call can fail and the power can be cut. */
#include "journal/ome_journal_recover.h"
#include "journal/ome_journal_writer.h"
#include "ome_memory_file.h"
#include "ome_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT_SIZE OME_JOURNAL_SEGMENT_SIZE_MIN
#define GROUP_COUNT_MAX 256u
#define DIRECTORY "data"
#define NAME_NEW "journal-new.tmp"
#define NAME_SPARE "journal-spare.tmp"
#define FIRST_SEGMENT "journal-00000000000000000001.ome"
#define CONFIGURATION_HASH UINT64_C(0x0123456789ABCDEF)

static uint64_t seed;
static uint64_t segment_size_bytes = SEGMENT_SIZE;
static memory_file_system_t memory;
static ome_journal_writer_t writer;
static ome_journal_reader_t reader;
static uint8_t writer_memory[GROUP_COUNT_MAX * OME_JOURNAL_COMMAND_SIZE + 5 * OME_FILE_BLOCK_SIZE];
static uint8_t reader_memory[1 << 20];

/* The data of a record is a function of its sequence, so that any record can be checked. Most have the length of a command. */
static uint32_t expected_data(uint64_t sequence, uint8_t *data)
{
    uint64_t state = sequence * 977 + seed;
    const uint64_t choice = test_random(&state) % 64;
    const uint32_t length = choice == 0   ? (uint32_t)(test_random(&state) % (OME_JOURNAL_DATA_SIZE_MAX + 1))
                            : choice == 1 ? 0
                                          : OME_BODY_SIZE;
    for (uint32_t index = 0; index < length; index++)
    {
        data[index] = (uint8_t)test_random(&state);
    }
    return length;
}

static uint16_t expected_kind(uint64_t sequence)
{
    return (uint16_t)(1 + sequence % OME_JOURNAL_KIND_MAX);
}

static ome_status_t append(uint64_t sequence)
{
    uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    const uint32_t length = expected_data(sequence, data);
    return ome_journal_writer_append(&writer, sequence, expected_kind(sequence), data, length);
}

static void check_record(const ome_journal_record_t *record, uint64_t sequence)
{
    uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    CHECK_EQUAL(record->sequence, sequence);
    CHECK_EQUAL(record->type, expected_kind(sequence));
    CHECK_EQUAL(record->length, expected_data(sequence, data));
    CHECK_BYTES_EQUAL(record->data, data, record->length);
}

static void open_reader(const ome_file_system_t *file_system, const char *directory, bool is_live)
{
    const ome_journal_reader_config_t config = {
        .file_system = file_system, .directory = directory, .kind = OME_JOURNAL_COMMANDS, .first_sequence = 1, .is_live = is_live};
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_OK);
}

/* Reads on to the end, checks every record, and gives what the reader said there. */
static ome_status_t read_on(void)
{
    ome_journal_record_t record;
    ome_status_t status;
    for (uint64_t sequence = reader.last_sequence + 1; (status = ome_journal_reader_next(&reader, &record)) == OME_OK; sequence++)
    {
        check_record(&record, sequence);
    }
    if (!reader.config.is_live)
    {
        CHECK_EQUAL(ome_journal_reader_next(&reader, &record), status); /* it stays so */
    }
    return status;
}

static ome_status_t read_all(void)
{
    open_reader(&memory.table, DIRECTORY, false);
    const ome_status_t status = read_on();
    ome_journal_reader_close(&reader);
    return status;
}

static ome_status_t open_writer(const ome_file_system_t *file_system, const char *directory)
{
    const ome_journal_writer_config_t config = {.file_system = file_system,
        .directory = directory,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = segment_size_bytes,
        .epoch = reader.epoch + 1,
        .first_sequence = reader.last_sequence + 1,
        .previous_checksum = reader.chain_checksum,
        .configuration_hash = CONFIGURATION_HASH};
    return ome_journal_writer_open(&writer, writer_memory, sizeof(writer_memory), &config);
}

/* The start of a server: read, recover, open the writer. */
static ome_status_t start(void)
{
    ome_status_t status = read_all();
    if (status == OME_EMPTY)
    {
        status = ome_journal_recover(&reader);
    }
    return status == OME_OK ? open_writer(&memory.table, DIRECTORY) : status;
}

static void start_new(void)
{
    memory_start(&memory, seed);
    memset(&reader, 0, sizeof(reader));
    CHECK_EQUAL(start(), OME_OK);
}

static void commit_groups(uint64_t count, uint64_t group_count)
{
    const uint64_t end = writer.next_sequence + count;
    while (writer.next_sequence < end)
    {
        for (uint64_t index = 0; index < group_count && writer.next_sequence < end; index++)
        {
            CHECK_EQUAL(append(writer.next_sequence), OME_OK);
        }
        CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_OK);
        CHECK_EQUAL(writer.durable_sequence, writer.next_sequence - 1);
    }
}

/* The server is killed: nothing is sealed, the page cache stays. */
static void kill_writer(void)
{
    atomic_store(&writer.is_stopped, true);
    ome_journal_writer_close(&writer);
}

/* A server that starts from any state goes on, and then all is there and in order. */
static void check_goes_on(void)
{
    CHECK_EQUAL(start(), OME_OK);
    const uint64_t last_sequence = writer.durable_sequence;
    commit_groups(3, 2);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(reader.last_sequence, last_sequence + 3);
}

/* Rule: the layout is that of docs/JOURNAL.md, byte for byte. */
static void test_the_bytes_are_those_of_the_document(void)
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

static void test_only_names_of_segments_are_taken_for_segments(void)
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
static void test_records_come_back_over_many_segments_and_runs(void)
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
static void test_a_group_may_be_larger_than_the_buffer_and_the_segment(void)
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

/* Rule: with memory for groups of n commands a group of n is written by one call, wherever the memory begins and the group before it has ended. */
static void test_memory_for_a_group_is_enough_to_write_it_at_once(void)
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
static void test_a_segment_may_be_larger_than_what_is_read_at_once(void)
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
static void test_a_seal_fits_in_a_segment_that_is_full(void)
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
static void test_an_empty_journal_is_clean_and_its_epochs_grow(void)
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
static void test_write_and_sync_may_be_called_apart(void)
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

/* Makes a small journal of two segments: records 1 to 3 in the first, 4 to 8 in the second, one group each. */
static void make_small(bool is_sealed)
{
    start_new();
    commit_groups(3, 1);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(start(), OME_OK);
    commit_groups(5, 1);
    if (is_sealed)
    {
        CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    }
    else
    {
        kill_writer();
    }
}

#define SECOND_SEGMENT "journal-00000000000000000004.ome"

/* Where the record of a sequence begins in the second segment of make_small. */
static uint64_t small_offset(uint64_t sequence)
{
    uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    uint64_t offset = OME_JOURNAL_HEADER_SIZE;
    for (uint64_t before = 4; before < sequence; before++)
    {
        offset += OME_JOURNAL_ENVELOPE_SIZE + expected_data(before, data);
    }
    return offset;
}

typedef enum
{
    TEAR_BY_END = 0,
    TEAR_BY_ZEROS = 1,
    TEAR_BY_GARBAGE = 2
} tear_t;

static void tear(memory_node_t *file, uint64_t offset, tear_t how)
{
    uint64_t random = seed + offset;
    memset(file->seen + offset, 0, file->capacity - offset);
    for (uint64_t index = offset; how == TEAR_BY_GARBAGE && index < offset + 3000; index++)
    {
        file->seen[index] = (uint8_t)test_random(&random);
    }
    file->seen_size = how == TEAR_BY_END ? offset : file->seen_size;
}

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
static void test_a_tail_torn_at_any_byte_is_cut(void)
{
    for (uint64_t offset = small_offset(4); offset < small_offset(9); offset++)
    {
        check_torn_at(offset, TEAR_BY_END);
        check_torn_at(offset, TEAR_BY_ZEROS);
        check_torn_at(offset, TEAR_BY_GARBAGE);
    }
}

/* Flips each bit in turn of `size` bytes of a file and checks what the reader says: the records before `cut_offset` are acknowledged for sure,
 * so that a change of them is damage; behind it a change may look like a torn tail, which loses nothing before. */
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
static void test_every_flipped_bit_is_found(void)
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
static void test_recovery_changes_nothing_where_there_is_damage(void)
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
static void test_recovery_needs_a_reader_that_came_to_the_end(void)
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
static void test_a_header_that_does_not_continue_the_journal_is_refused(void)
{
    check_damaged_header(change_version, OME_UNSUPPORTED);
    check_damaged_header(change_header_size, OME_DAMAGED);
    check_damaged_header(change_segment_size, OME_DAMAGED);
    check_damaged_header(change_epoch, OME_DAMAGED);
    check_damaged_header(change_first_sequence, OME_DAMAGED);
    check_damaged_header(change_previous_checksum, OME_DAMAGED);
}

/* Rule: an epoch may stay or grow, not go down. */
static void test_an_epoch_that_goes_down_is_damage(void)
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

/* Rule: a segment that is missing or that does not belong to the journal is damage, wherever it stands. */
static void test_a_missing_or_foreign_segment_is_damage(void)
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
static void test_a_valid_record_with_another_sequence_is_damage(void)
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
static void test_a_group_torn_out_of_order_is_a_torn_tail(void)
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

/* One run of a server that is stopped by the first failure: starts, commits groups of all sizes over several segments, prepares some of them,
 * closes. Gives the last sequence whose commit returned OME_OK. */
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
    const uint64_t last_sequence = reader.last_sequence;
    memory_cut_power(&memory);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, last_sequence); /* a failed sync left nothing that only seemed to be on disk */
    memory_end(&memory);
    return is_reached;
}

/* Rule: whichever call fails, the writer stops for good, and a later start finds all that was committed. */
static void test_any_failing_call_stops_the_writer_and_loses_nothing_committed(void)
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
static void test_a_failed_preparation_is_tried_again_and_stops_nobody(void)
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
static void test_recovery_does_not_trust_what_only_the_page_cache_holds(void)
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
static void test_recovery_may_be_interrupted_and_repeated(void)
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
static void test_a_power_cut_loses_nothing_committed(void)
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

/* Rule: a live reader stops at the last complete record, goes on when there are more, and follows over segments and runs. */
static void test_a_live_reader_follows_the_writer(void)
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

/* ---- Version 2: seals, kinds, versions that follow each other, beginning anywhere ---- */

/* What is known of a journal of several segments: read once, then compared with. */
#define SEGMENT_COUNT_MAX 16
static struct
{
    char name[OME_JOURNAL_NAME_SIZE];
    uint64_t first_sequence;
    uint64_t seal_offset; /* where the records end */
    memory_node_t *file;
} segments[SEGMENT_COUNT_MAX];
static uint64_t segment_count;
static uint32_t chains[8192]; /* after each sequence */
static uint64_t last_sequence;

/* Reads the journal, which must be clean, and notes what it is made of. */
static void note_journal(void)
{
    ome_journal_record_t record;
    uint64_t offset = 0;
    segment_count = 0;
    open_reader(&memory.table, DIRECTORY, false);
    while (ome_journal_reader_next(&reader, &record) == OME_OK)
    {
        CHECK(record.sequence < sizeof(chains) / sizeof(chains[0]));
        chains[record.sequence] = reader.chain_checksum;
        if (reader.segment_count > segment_count)
        {
            CHECK(segment_count < SEGMENT_COUNT_MAX);
            segments[segment_count].first_sequence = reader.segment_first_sequence;
            ome_journal_name(segments[segment_count].name, OME_JOURNAL_COMMANDS, reader.segment_first_sequence);
            segments[segment_count].file = memory_file(&memory, segments[segment_count].name);
            segment_count++;
        }
        offset = reader.report.offset;
        segments[segment_count - 1].seal_offset = offset;
    }
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    last_sequence = reader.last_sequence;
}

/* A journal of seven segments and three runs: three segments of a run that was killed, two of one that was killed, two of one that was closed. */
static void make_runs(void)
{
    start_new();
    for (int run = 0; run < 3; run++)
    {
        for (int rotation = run == 0 ? 0 : 1; rotation < 2; rotation++)
        {
            const uint64_t first = writer.segment_first_sequence;
            while (writer.segment_first_sequence == first)
            {
                commit_groups(57, 19);
            }
        }
        if (run == 2)
        {
            CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        }
        else
        {
            kill_writer();
            CHECK_EQUAL(start(), OME_OK);
        }
    }
    note_journal();
    CHECK_EQUAL(segment_count, 7);
}

/* Takes a segment out of the directory. */
static void drop(uint64_t index)
{
    const int entry = memory_find(&memory.seen, segments[index].name);
    CHECK(entry >= 0);
    memory.seen.entries[entry] = memory.seen.entries[--memory.seen.count];
}

static ome_journal_seal_t seal_of(uint64_t index)
{
    ome_journal_record_t record;
    ome_journal_seal_t seal;
    CHECK(ome_journal_decode(segments[index].file->seen + segments[index].seal_offset, OME_JOURNAL_SEAL_SIZE, &record));
    CHECK_EQUAL(record.type & OME_JOURNAL_KIND_MAX, OME_JOURNAL_KIND_SEAL);
    CHECK_EQUAL(record.length, sizeof(seal));
    memcpy(&seal, record.data, sizeof(seal));
    CHECK_EQUAL(record.sequence, seal.last_sequence + 1);
    return seal;
}

static uint64_t segment_end(uint64_t index)
{
    return (index + 1 < segment_count ? segments[index + 1].first_sequence : last_sequence + 1) - 1;
}

/* Rule: every segment that is finished is sealed, whoever finished it, and the seal says what stands before it and why it is there. */
static void test_every_finished_segment_is_sealed(void)
{
    static const uint32_t reasons[7] = {OME_JOURNAL_SEAL_ROTATION, OME_JOURNAL_SEAL_ROTATION, OME_JOURNAL_SEAL_RECOVERY,
        OME_JOURNAL_SEAL_ROTATION, OME_JOURNAL_SEAL_RECOVERY, OME_JOURNAL_SEAL_ROTATION, OME_JOURNAL_SEAL_CLOSE};
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        const ome_journal_seal_t seal = seal_of(index);
        ome_journal_header_t header;
        memcpy(&header, segments[index].file->seen, sizeof(header));
        CHECK_EQUAL(seal.reason, reasons[index]);
        CHECK_EQUAL(seal.last_sequence, segment_end(index));
        CHECK_EQUAL(seal.record_count, seal.last_sequence + 1 - segments[index].first_sequence);
        CHECK_EQUAL(seal.chain_checksum, chains[seal.last_sequence]);
        CHECK_EQUAL(header.configuration_hash, CONFIGURATION_HASH);
        CHECK_EQUAL(header.kind, OME_JOURNAL_COMMANDS);
        CHECK_EQUAL(header.version, 2);
    }
    memory_end(&memory);
}

/* Rule: the seal goes with the commit that ends the segment: one write and one sync, of which the old segment needs no more. */
static void test_the_seal_at_rotation_costs_no_commit_of_its_own(void)
{
    start_new();
    CHECK_EQUAL(ome_journal_writer_prepare_next(&writer), OME_OK);
    commit_groups(300, 100);
    const uint64_t first = writer.segment_first_sequence;
    CHECK_EQUAL(first, 1);
    uint64_t calls = 0;
    while (writer.segment_first_sequence == first)
    {
        calls = memory.call_count;
        if (writer.next_sequence % 50 == 0)
        {
            CHECK_EQUAL(ome_journal_writer_write(&writer), OME_OK);
        }
        calls = memory.call_count;
        CHECK_EQUAL(append(writer.next_sequence), OME_OK);
    }
    /* pwrite and fdatasync of the old one; pwrite, fdatasync, rename and fsync of the directory for the new one */
    CHECK_EQUAL(memory.call_count, calls + 6);
    CHECK_EQUAL(writer.durable_sequence, writer.next_sequence - 2);
    CHECK_EQUAL(writer.unprepared_count, 0);
    kill_writer();
    memory_end(&memory);
}

/* Appends records of zeros that take up exactly so many bytes of the segment. */
static void append_bytes(uint64_t size)
{
    static const uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    while (size > 0)
    {
        const uint64_t part = size > 2000 ? 1000 : size;
        CHECK_EQUAL(
            ome_journal_writer_append(&writer, writer.next_sequence, 1, data, (uint32_t)(part - OME_JOURNAL_ENVELOPE_SIZE)), OME_OK);
        size -= part;
    }
}

/* Rule: the seal stays within the writer's memory, also where the buffer is full when the segment ends, which only long records bring about. */
static void test_the_seal_fits_in_a_buffer_that_is_full(void)
{
    static _Alignas(OME_FILE_BLOCK_SIZE) uint8_t bytes[4 * OME_FILE_BLOCK_SIZE + 64];
    static const uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    const uint64_t capacity = 4 * OME_FILE_BLOCK_SIZE;
    for (uint64_t left = 0; left < 60; left++)
    {
        memory_start(&memory, seed);
        memset(bytes + capacity, 0x5A, 64);
        const ome_journal_writer_config_t config = {.file_system = &memory.table,
            .directory = DIRECTORY,
            .kind = OME_JOURNAL_COMMANDS,
            .segment_size_bytes = SEGMENT_SIZE,
            .epoch = 1,
            .first_sequence = 1};
        CHECK_EQUAL(ome_journal_writer_open(&writer, bytes, capacity, &config), OME_OK);
        append_bytes(SEGMENT_SIZE - 2 * OME_FILE_BLOCK_SIZE - capacity);
        CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_OK);
        append_bytes(capacity - left);
        CHECK_EQUAL(writer.buffer_used_bytes, capacity - left);
        CHECK_EQUAL(ome_journal_writer_append(&writer, writer.next_sequence, 1, data, OME_JOURNAL_DATA_SIZE_MAX), OME_OK);
        CHECK_EQUAL(writer.segment_first_sequence, writer.next_sequence - 1);
        CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
        for (size_t index = 0; index < 64; index++)
        {
            CHECK_EQUAL(bytes[capacity + index], 0x5A);
        }
        open_reader(&memory.table, DIRECTORY, false);
        ome_journal_record_t record;
        while (ome_journal_reader_next(&reader, &record) == OME_OK)
        {
        }
        CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
        CHECK_EQUAL(reader.last_sequence, writer.next_sequence - 1);
        memory_end(&memory);
    }
}

static void check_flip(uint64_t index, uint64_t offset, int bit)
{
    uint8_t *byte = segments[index].file->seen + offset;
    const bool is_last_seal =
        index + 1 == segment_count && offset >= segments[index].seal_offset && offset < segments[index].seal_offset + OME_JOURNAL_SEAL_SIZE;
    *byte ^= (uint8_t)(1 << bit);
    const ome_status_t status = read_all();
    CHECK_EQUAL(status, is_last_seal ? OME_EMPTY : OME_DAMAGED);
    CHECK_EQUAL(reader.report.verdict, is_last_seal ? OME_JOURNAL_TORN : OME_JOURNAL_DAMAGED);
    CHECK(!is_last_seal || reader.last_sequence == last_sequence);
    CHECK(is_last_seal || strstr(reader.report.path, segments[index].name) != NULL);
    *byte ^= (uint8_t)(1 << bit);
}

/* Rule: a changed bit in any segment is found. Only the last seal may look like a torn one, and no record is lost by it. Every bit of the headers'
 * fields, of what is around each seal and of all of a small journal (above), and one in many of the rest. */
static void test_flipped_bits_are_found_in_every_segment(void)
{
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        const uint64_t size = segments[index].file->seen_size;
        const uint64_t near_seal = segments[index].seal_offset - 100;
        const uint64_t behind_seal = segments[index].seal_offset + OME_JOURNAL_SEAL_SIZE + 40;
        for (uint64_t offset = 0; offset < size; offset += offset < 64 || (offset >= near_seal && offset < behind_seal) ? 1 : 701)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                check_flip(index, offset, bit);
            }
            offset = offset < near_seal && offset + 701 > near_seal ? near_seal - 701 : offset;
        }
        check_flip(index, size - 1, 7);
    }
    CHECK_EQUAL(read_all(), OME_EMPTY);
    memory_end(&memory);
}

/* Rule: a segment cut at any length is damage where another follows it; only the last may be shorter, and then loses what is cut off. */
static void test_a_segment_cut_short_is_found(void)
{
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        memory_node_t *file = segments[index].file;
        const size_t size = file->seen_size;
        const uint64_t seal_end = segments[index].seal_offset + OME_JOURNAL_SEAL_SIZE;
        for (uint64_t offset = 0; offset<seal_end; offset += offset + 90> seal_end || offset < 5 ? 1 : 167)
        {
            file->seen_size = offset;
            const ome_status_t status = read_all();
            const bool may_end = index + 1 == segment_count && offset >= OME_JOURNAL_HEADER_SIZE;
            CHECK_EQUAL(status, may_end ? OME_EMPTY : OME_DAMAGED);
            CHECK(may_end || reader.last_sequence <= segment_end(index));
        }
        file->seen_size = seal_end; /* what recovery leaves */
        CHECK_EQUAL(read_all(), OME_EMPTY);
        file->seen_size = size;
    }
    memory_end(&memory);
}

/* Rule: a segment dropped, put in another's place, or there twice is damage, also when its header is right for its name. */
static void test_segments_dropped_doubled_or_swapped_are_found(void)
{
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        for (uint64_t other = 0; other < segment_count; other++)
        {
            const memory_directory_t before = memory.seen;
            memory_entry_t *const entry = &memory.seen.entries[memory_find(&memory.seen, segments[index].name)];
            memory_entry_t *const other_entry = &memory.seen.entries[memory_find(&memory.seen, segments[other].name)];
            const int node = entry->node;
            if (other != index)
            {
                entry->node = other_entry->node;
                CHECK_EQUAL(read_all(), OME_DAMAGED); /* doubled */
                other_entry->node = node;
                CHECK_EQUAL(read_all(), OME_DAMAGED); /* swapped */
            }
            else if (index + 1 < segment_count)
            {
                drop(index);
                CHECK_EQUAL(read_all(), index == 0 ? OME_NOT_FOUND : OME_DAMAGED); /* dropped */
            }
            memory.seen = before;
        }
        /* The header says that it belongs where it was put; what is in it does not. */
        memory_node_t *file = segments[index].file;
        ome_journal_header_t kept;
        ome_journal_header_t header;
        memcpy(&kept, file->seen, sizeof(kept));
        memcpy(&header, segments[(index + 1) % segment_count].file->seen, sizeof(header));
        ome_journal_header_set(&header, OME_JOURNAL_COMMANDS, kept.epoch, kept.first_sequence, SEGMENT_SIZE, kept.previous_checksum ^ 1, 0);
        memcpy(file->seen, &header, sizeof(header));
        CHECK_EQUAL(read_all(), OME_DAMAGED);
        memcpy(file->seen, &kept, sizeof(kept));
    }
    CHECK_EQUAL(read_all(), OME_EMPTY);
    memory_end(&memory);
}

static uint64_t record_offset(uint64_t index, uint64_t sequence)
{
    uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    uint64_t offset = OME_JOURNAL_HEADER_SIZE;
    for (uint64_t before = segments[index].first_sequence; before < sequence; before++)
    {
        offset += OME_JOURNAL_ENVELOPE_SIZE + expected_data(before, data);
    }
    return offset;
}

/* Rule: a record dropped, doubled, swapped with its neighbour or replaced by another valid one is damage: in the last one of them, the chain and the
 * seal say so, for each record by itself is right. */
static void test_records_dropped_doubled_swapped_or_replaced_are_found(void)
{
    static uint8_t kept[SEGMENT_SIZE];
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        uint8_t *bytes = segments[index].file->seen;
        const uint64_t seal_end = segments[index].seal_offset + OME_JOURNAL_SEAL_SIZE;
        const uint64_t count = segment_end(index) - segments[index].first_sequence + 1;
        memcpy(kept, bytes, seal_end);
        for (uint64_t step = 0; step < 12; step++)
        {
            const uint64_t sequence = step == 0 ? segment_end(index) : segments[index].first_sequence + count * (step - 1) / 11;
            const uint64_t from = record_offset(index, sequence);
            const uint64_t to = record_offset(index, sequence + 1);
            const uint64_t size = to - from;
            memmove(bytes + from, bytes + to, seal_end - to); /* dropped */
            memset(bytes + seal_end - size, 0, size);
            CHECK_EQUAL(read_all(), OME_DAMAGED);
            memcpy(bytes, kept, seal_end);
            if (seal_end + size <= segments[index].file->seen_size)
            {
                memcpy(bytes + to, kept + from, seal_end - from); /* doubled */
                CHECK_EQUAL(read_all(), OME_DAMAGED);
                memset(bytes + seal_end, 0, size);
                memcpy(bytes, kept, seal_end);
            }
            if (sequence < segment_end(index))
            {
                const uint64_t next_size = record_offset(index, sequence + 2) - to;
                memcpy(bytes + from, kept + to, next_size); /* swapped */
                memcpy(bytes + from + next_size, kept + from, size);
                CHECK_EQUAL(read_all(), OME_DAMAGED);
                memcpy(bytes, kept, seal_end);
            }
            uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
            const uint32_t length = expected_data(sequence, data);
            ome_journal_encode(
                bytes + from, sequence, expected_kind(sequence) ^ 1 ? expected_kind(sequence) ^ 1 : 3, data, length); /* replaced */
            open_reader(&memory.table, DIRECTORY, false);
            ome_journal_record_t record;
            ome_status_t status;
            while ((status = ome_journal_reader_next(&reader, &record)) == OME_OK)
            {
            }
            CHECK_EQUAL(status, OME_DAMAGED);
            CHECK_TEXT_EQUAL(reader.report.reason, "the seal does not fit the records before it");
            CHECK(strstr(reader.report.path, segments[index].name) != NULL);
            memcpy(bytes, kept, seal_end);
        }
    }
    CHECK_EQUAL(read_all(), OME_EMPTY);
    memory_end(&memory);
}

/* Rule: a seal that is missing before another segment, or that says anything else than the truth, is damage, though its own checksum is right. */
static void test_a_seal_that_is_missing_or_wrong_is_damage(void)
{
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        const ome_journal_seal_t right = seal_of(index);
        uint8_t *bytes = segments[index].file->seen + segments[index].seal_offset;
        uint8_t kept[OME_JOURNAL_SEAL_SIZE];
        memcpy(kept, bytes, sizeof(kept));
        for (int change = 0; change < 6; change++)
        {
            ome_journal_seal_t wrong = right;
            wrong.record_count += change == 0;
            wrong.chain_checksum ^= change == 1;
            wrong.reason = change == 2 ? 0 : change == 3 ? OME_JOURNAL_SEAL_RECOVERY + 1 : wrong.reason;
            wrong.last_sequence -= change == 4;
            ome_journal_encode(bytes, right.last_sequence + 1, OME_JOURNAL_TYPE_SYNCED, &wrong, change == 5 ? 23 : sizeof(wrong));
            CHECK_EQUAL(read_all(), OME_DAMAGED);
            CHECK_EQUAL(reader.last_sequence, right.last_sequence);
            memcpy(bytes, kept, sizeof(kept));
        }
        memset(bytes, 0, sizeof(kept));
        const ome_status_t status = read_all();
        CHECK_EQUAL(status, index + 1 < segment_count ? OME_DAMAGED : OME_EMPTY);
        CHECK(
            index + 1 == segment_count || strcmp(reader.report.reason, "the segment has no seal and is followed by another segment") == 0);
        memcpy(bytes, kept, sizeof(kept));
    }
    memory_end(&memory);
}

/* Rule: only a segment that was full is followed by one of the same run; the seal's reason and the next header's epoch agree. */
static void test_only_a_full_segment_is_followed_by_the_same_run(void)
{
    make_runs();
    for (uint64_t index = 0; index + 1 < segment_count; index++)
    {
        for (uint32_t reason = OME_JOURNAL_SEAL_ROTATION; reason <= OME_JOURNAL_SEAL_RECOVERY; reason++)
        {
            uint8_t *bytes = segments[index].file->seen + segments[index].seal_offset;
            uint8_t kept[OME_JOURNAL_SEAL_SIZE];
            ome_journal_seal_t seal = seal_of(index);
            const bool is_same_run = seal.reason == OME_JOURNAL_SEAL_ROTATION;
            memcpy(kept, bytes, sizeof(kept));
            seal.reason = reason;
            ome_journal_seal_encode(bytes, &seal, OME_JOURNAL_TYPE_SYNCED);
            CHECK_EQUAL(read_all(), is_same_run && reason != OME_JOURNAL_SEAL_ROTATION ? OME_DAMAGED : OME_EMPTY);
            memcpy(bytes, kept, sizeof(kept));
        }
    }
    memory_end(&memory);
}

/* Writes a segment of version 1, by its own description: `count` records in groups of two; sealed as only a close did then. */
static uint32_t write_version_1(uint64_t first_sequence, uint64_t count, uint64_t epoch, uint32_t chain, bool is_sealed)
{
    char name[64];
    snprintf(name, sizeof(name), "journal-%020" PRIu64 ".ome", first_sequence);
    const int node = memory_open(&memory, name, OME_FILE_CREATE);
    uint8_t *bytes = calloc(1, SEGMENT_SIZE);
    CHECK(bytes != NULL);
    const uint32_t words[2] = {1, 4096};
    const uint64_t longs[3] = {epoch, first_sequence, SEGMENT_SIZE};
    memcpy(bytes, "\nOMEJRNL", 8);
    memcpy(bytes + 8, words, 8);
    memcpy(bytes + 16, longs, 24);
    memcpy(bytes + 40, &chain, 4);
    const uint32_t header_checksum = ome_crc32c(0, bytes, 4092);
    memcpy(bytes + 4092, &header_checksum, 4);
    uint64_t offset = 4096;
    for (uint64_t sequence = first_sequence; sequence < first_sequence + count + (is_sealed ? 1 : 0); sequence++)
    {
        uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
        const bool is_seal = sequence == first_sequence + count;
        const uint32_t length = is_seal ? 0 : expected_data(sequence, data);
        const uint16_t synced = (sequence - first_sequence) % 2 == 0 || is_seal ? 0x8000 : 0;
        const uint16_t type = (uint16_t)((is_seal ? 0 : expected_kind(sequence)) | synced);
        memcpy(bytes + offset, &sequence, 8);
        memcpy(bytes + offset + 8, &type, 2);
        memcpy(bytes + offset + 10, &length, 4);
        memcpy(bytes + offset + 14, data, length);
        const uint32_t checksum = ome_crc32c(0, bytes + offset, 14 + length);
        memcpy(bytes + offset + 14 + length, &checksum, 4);
        chain = is_seal ? chain : ome_crc32c(chain, &checksum, 4);
        offset += 18 + length;
        CHECK(offset <= SEGMENT_SIZE);
    }
    CHECK_EQUAL(memory_write(&memory, node, bytes, SEGMENT_SIZE, 0), 0);
    CHECK_EQUAL(memory_sync(&memory, node), 0);
    CHECK_EQUAL(memory_sync_directory(&memory, DIRECTORY), 0);
    free(bytes);
    return chain;
}

/* Two segments of a run of version 1, and two of a later one: no seal where a segment was full. Records 1 to 40. */
static void make_version_1(bool is_sealed)
{
    memory_start(&memory, seed);
    uint32_t chain = write_version_1(1, 12, 1, 0, false);
    chain = write_version_1(13, 8, 1, chain, true);
    chain = write_version_1(21, 15, 2, chain, false);
    write_version_1(36, 5, 2, chain, is_sealed);
}

/* Rule: a journal of version 1 is read as it always was, and a writer of this version goes on from it, however it ended; recovery leaves the version 1
 * segments without a seal of version 2. */
static void test_a_journal_of_version_1_is_read_and_goes_on_in_version_2(void)
{
    for (int is_sealed = 0; is_sealed <= 1; is_sealed++)
    {
        make_version_1(is_sealed);
        CHECK_EQUAL(read_all(), OME_EMPTY);
        CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
        CHECK_EQUAL(reader.last_sequence, 40);
        CHECK_EQUAL(reader.is_sealed, is_sealed);
        CHECK_EQUAL(reader.version, 1);
        const uint64_t end = reader.report.offset;
        check_goes_on();
        CHECK_EQUAL(reader.version, 2);
        CHECK_EQUAL(reader.epoch, 3);
        CHECK_EQUAL(memory_file(&memory, "journal-00000000000000000036.ome")->seen_size, end);
        check_goes_on();
        memory_end(&memory);
    }
}

/* Rule: a seal of version 1 is synced and has no data; no writer of it wrote another. */
static void test_a_seal_of_version_1_is_synced_and_without_data(void)
{
    for (int variant = 0; variant < 3; variant++)
    {
        make_version_1(false);
        CHECK_EQUAL(read_all(), OME_EMPTY);
        uint8_t *bytes = memory_file(&memory, "journal-00000000000000000036.ome")->seen + reader.report.offset;
        const ome_journal_seal_t seal = {.record_count = 5, .last_sequence = 40, .chain_checksum = reader.chain_checksum, .reason = 2};
        ome_journal_encode(bytes, 41, variant == 1 ? 0 : OME_JOURNAL_TYPE_SYNCED, &seal, variant == 2 ? sizeof(seal) : 0);
        CHECK_EQUAL(read_all(), variant == 0 ? OME_EMPTY : OME_DAMAGED);
        CHECK_EQUAL(reader.last_sequence, 40);
        memory_end(&memory);
    }
}

/* Rule: a tail of version 1 that is torn at any byte is cut, and the journal goes on. */
static void test_a_torn_tail_of_version_1_is_cut(void)
{
    for (uint64_t cut = 0; cut < 300; cut++)
    {
        make_version_1(false);
        memory_node_t *file = memory_file(&memory, "journal-00000000000000000036.ome");
        const uint64_t offset = OME_JOURNAL_HEADER_SIZE + cut;
        tear(file, offset, (tear_t)(cut % 3));
        CHECK_EQUAL(read_all(), OME_EMPTY);
        CHECK(reader.last_sequence >= 35);
        const uint64_t kept = reader.last_sequence;
        check_goes_on();
        CHECK_EQUAL(reader.last_sequence, kept + 3);
        memory_end(&memory);
    }
}

/* Rule: in a journal of both versions, changed bits are found in both; what follows a version 1 segment must be right for either. */
static void test_flipped_bits_are_found_in_a_journal_of_both_versions(void)
{
    make_version_1(false);
    CHECK_EQUAL(start(), OME_OK);
    commit_groups(5, 1);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    note_journal();
    CHECK_EQUAL(segment_count, 5);
    for (uint64_t index = 0; index < segment_count; index++)
    {
        for (uint64_t offset = 0; offset < segments[index].seal_offset; offset += offset >= 64 && offset < 4080 ? 40 : 1)
        {
            check_flip(index, offset, (int)(offset % 8));
        }
    }
    memory_end(&memory);
}

static void check_header_after(uint64_t index, const ome_journal_header_t *changed, ome_status_t expected, const char *reason)
{
    ome_journal_header_t kept;
    ome_journal_header_t header = *changed;
    memcpy(&kept, segments[index].file->seen, sizeof(kept));
    header.checksum = ome_crc32c(0, &header, offsetof(ome_journal_header_t, checksum));
    memcpy(segments[index].file->seen, &header, sizeof(header));
    CHECK_EQUAL(read_all(), expected);
    CHECK(reader.report.reason != NULL);
    CHECK(strstr(reader.report.reason, reason) != NULL);
    CHECK(strstr(reader.report.path, segments[index].name) != NULL);
    memcpy(segments[index].file->seen, &kept, sizeof(kept));
}

/* Rule: versions never go back, an unknown one is named, a kind is that of the name, and what a version does not use is zero. */
static void test_versions_and_kinds_that_do_not_belong_are_refused(void)
{
    static const uint32_t unknown[] = {0, 3, 4, UINT32_MAX};
    ome_journal_header_t header;
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
        const uint8_t *const bytes = segments[index].file->seen;
        for (size_t which = 0; which < sizeof(unknown) / sizeof(unknown[0]); which++)
        {
            memcpy(&header, bytes, sizeof(header));
            header.version = unknown[which];
            check_header_after(index, &header, OME_UNSUPPORTED, "format version");
            CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_UNSUPPORTED);
        }
        memcpy(&header, bytes, sizeof(header));
        header.kind = OME_JOURNAL_EVENTS;
        check_header_after(index, &header, OME_DAMAGED, "another kind");
        header.kind = 0;
        check_header_after(index, &header, OME_DAMAGED, "another kind");
        memcpy(&header, bytes, sizeof(header));
        header.reserved[sizeof(header.reserved) - 1] = 1;
        check_header_after(index, &header, OME_DAMAGED, "not zero");
        memcpy(&header, bytes, sizeof(header));
        header.version = 1;
        check_header_after(index, &header, OME_DAMAGED, "not zero");
        if (index > 0)
        {
            header.kind = 0;
            header.configuration_hash = 0;
            check_header_after(index, &header, OME_DAMAGED, "older");
        }
    }
    memory_end(&memory);
    make_version_1(true);
    CHECK_EQUAL(start(), OME_OK);
    commit_groups(2, 2);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    note_journal();
    memcpy(&header, segments[4].file->seen, sizeof(header));
    header.epoch = 2;
    check_header_after(4, &header, OME_DAMAGED, "ended for good");
    memory_end(&memory);
}

/* Rule: events lie in a directory beside the commands, with names of their own, and neither is taken for the other. */
static void test_two_kinds_share_a_directory(void)
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

/* Rule: reading may begin at any sequence up to one behind the last; the chain checksum before it is held against the one that the caller knows. */
static void test_reading_begins_at_any_sequence(void)
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

/* Rule: whoever begins in the middle of a segment still reads it from its beginning, so that damage before the place is found, and further back is not
 * looked at. */
static void test_what_is_before_the_beginning_is_read_in_its_segment_only(void)
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

/* Rule: a journal whose oldest segments are gone is read from where it begins, goes on being written, and says from where on it is there. */
static void test_a_journal_whose_beginning_was_archived_is_read_from_there(void)
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
static void test_a_live_reader_begins_anywhere(void)
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

/* Rule: the power fails at any call of rotation and sealing, and any sectors of what was not synced are on disk: nothing committed is lost, nothing
 * is called damage, and the next run goes on. The control: where one sync of many did nothing, records are lost or the journal is damaged. */
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

static void test_a_power_cut_in_rotation_loses_nothing_and_is_no_damage(void)
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

static void test_wrong_configurations_are_refused(void)
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

/* The rest is on the operating system's files. */

static char directory[] = "/tmp/ome-test-journal-XXXXXX";

static void remove_files(void)
{
    DIR *entries = opendir(directory);
    CHECK(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
    {
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
}

static void *prepare(void *stop)
{
    while (!atomic_load((atomic_bool *)stop))
    {
        const ome_status_t status = ome_journal_writer_prepare_next(&writer);
        CHECK_EQUAL(status, OME_OK);
        usleep(100);
    }
    return NULL;
}

/* Rule: one thread writes while another prepares, on real files; the records come back. */
static void test_another_thread_may_prepare_segments(void)
{
    const ome_file_system_t *file_system = ome_file_system_posix();
    open_reader(file_system, directory, false);
    CHECK_EQUAL(read_on(), OME_EMPTY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    CHECK_EQUAL(open_writer(file_system, directory), OME_OK);
    atomic_bool stop = false;
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, prepare, &stop), 0);
    commit_groups(20000, 200);
    atomic_store(&stop, true);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    open_reader(file_system, directory, false);
    CHECK_EQUAL(read_on(), OME_EMPTY);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(reader.last_sequence, 20000);
    CHECK(writer.unprepared_count < reader.segment_count - 1); /* some were prepared */
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    ome_journal_reader_close(&reader);
    remove_files();
}

/* Rule: a live reader, which reads through the page cache, sees at once what was written past it, also in blocks that it has read before. */
static void test_a_live_reader_sees_what_was_written_past_the_page_cache(void)
{
    const ome_file_system_t *file_system = ome_file_system_posix();
    memset(&reader, 0, sizeof(reader));
    CHECK_EQUAL(open_writer(file_system, directory), OME_OK);
    open_reader(file_system, directory, true);
    for (uint64_t group = 0; group < 60; group++)
    {
        commit_groups(1 + group % 40, 40);
        CHECK_EQUAL(read_on(), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, writer.durable_sequence);
    }
    CHECK(reader.segment_count > 1);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    ome_journal_reader_close(&reader);
    remove_files();
}

/* Rule: a file for whole blocks takes them, and what the file system refuses to take past the page cache goes through it. */
static void test_a_file_for_whole_blocks_falls_back_to_the_page_cache(void)
{
    static _Alignas(OME_FILE_BLOCK_SIZE) uint8_t blocks[2 * OME_FILE_BLOCK_SIZE];
    static uint8_t bytes[2 * OME_FILE_BLOCK_SIZE];
    const ome_file_system_t *table = ome_file_system_posix();
    char path[OME_PATH_SIZE];
    CHECK_EQUAL(ome_file_join(path, directory, "blocks"), OME_OK);
    const int file = table->open(NULL, path, OME_FILE_CREATE_DIRECT);
    CHECK(file >= 0);
    memset(blocks, 3, sizeof(blocks));
    CHECK_EQUAL(table->write(NULL, file, blocks, sizeof(blocks), 0), 0);
    memset(blocks, 4, sizeof(blocks));
    CHECK_EQUAL(table->write(NULL, file, blocks, OME_FILE_BLOCK_SIZE, OME_FILE_BLOCK_SIZE), 0);
    CHECK_EQUAL(table->write(NULL, file, blocks + 1, 11, 5), 0); /* EINVAL past the page cache */
    CHECK_EQUAL(table->write(NULL, file, blocks, OME_FILE_BLOCK_SIZE, 2 * OME_FILE_BLOCK_SIZE), 0);
    CHECK_EQUAL(table->sync_data(NULL, file), 0);
    CHECK_EQUAL(table->size(NULL, file), 3 * OME_FILE_BLOCK_SIZE);
    CHECK_EQUAL(table->close(NULL, file), 0);
    const int again = table->open(NULL, path, OME_FILE_READ);
    CHECK_EQUAL(table->read(NULL, again, bytes, sizeof(bytes), 0), sizeof(bytes));
    for (size_t index = 0; index < sizeof(bytes); index++)
    {
        CHECK_EQUAL(bytes[index], (index >= 5 && index < 16) || index >= OME_FILE_BLOCK_SIZE ? 4 : 3);
    }
    CHECK_EQUAL(table->close(NULL, again), 0);
    remove_files();
}

/* Rule: the table of the operating system does whole operations or says why not, and errors name the call and the file. */
static void test_the_table_of_the_operating_system(void)
{
    const ome_file_system_t *table = ome_file_system_posix();
    char path[OME_PATH_SIZE];
    char other[OME_PATH_SIZE];
    uint8_t bytes[100];
    CHECK_EQUAL(ome_file_join(path, directory, "a"), OME_OK);
    CHECK_EQUAL(ome_file_join(other, directory, "b"), OME_OK);
    CHECK_EQUAL(table->open(NULL, path, OME_FILE_READ), -ENOENT);
    CHECK_EQUAL(table->open(NULL, path, OME_FILE_WRITE), -ENOENT);
    const int file = table->open(NULL, path, OME_FILE_CREATE);
    CHECK(file >= 0);
    CHECK_EQUAL(table->write(NULL, file, "hello world", 11, 5), 0);
    CHECK_EQUAL(table->size(NULL, file), 16);
    CHECK_EQUAL(table->read(NULL, file, bytes, sizeof(bytes), 11), 5);
    CHECK_BYTES_EQUAL(bytes, "world", 5);
    CHECK_EQUAL(table->read(NULL, file, bytes, sizeof(bytes), 16), 0);
    CHECK_EQUAL(table->truncate(NULL, file, 7), 0);
    CHECK_EQUAL(table->size(NULL, file), 7);
    CHECK_EQUAL(table->sync_data(NULL, file), 0);
    CHECK_EQUAL(table->sync_all(NULL, file), 0);
    CHECK_EQUAL(table->rename(NULL, path, other), 0);
    CHECK_EQUAL(table->sync_directory(NULL, directory), 0);
    CHECK_EQUAL(table->close(NULL, file), 0);
    const int read_only = table->open(NULL, other, OME_FILE_READ);
    CHECK(read_only >= 0);
    CHECK_EQUAL(table->write(NULL, read_only, "x", 1, 0), -EBADF);
    CHECK_EQUAL(table->close(NULL, read_only), 0);
    CHECK_EQUAL(table->remove(NULL, path), -ENOENT);
    CHECK_EQUAL(table->remove(NULL, other), 0);
    CHECK_EQUAL(table->sync_directory(NULL, other), -ENOENT);
    CHECK_EQUAL(table->list(NULL, other, NULL, NULL), -ENOENT);
    CHECK_EQUAL(table->close(NULL, -1), -EBADF);
    ome_error_t error;
    CHECK_EQUAL(ome_file_failed(&error, -ENOSPC, "pwrite", path), OME_IO_ERROR);
    CHECK_EQUAL(error.number, ENOSPC);
    CHECK_TEXT_EQUAL(error.call, "pwrite");
    CHECK_TEXT_EQUAL(error.path, path);
}

/* Rule: a write that the system cuts short is continued, and where it cannot be, it is an error: here by a limit on the size of files. */
static void test_a_short_write_is_continued_and_then_an_error(void)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        const ome_file_system_t *table = ome_file_system_posix();
        const struct rlimit limit = {.rlim_cur = 5000, .rlim_max = 5000};
        char path[OME_PATH_SIZE];
        static const _Alignas(OME_FILE_BLOCK_SIZE) uint8_t bytes[2 * OME_FILE_BLOCK_SIZE];
        signal(SIGXFSZ, SIG_IGN);
        CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
        CHECK_EQUAL(ome_file_join(path, directory, "limited"), OME_OK);
        for (int mode = OME_FILE_CREATE; mode <= OME_FILE_CREATE_DIRECT; mode++)
        {
            const int file = table->open(NULL, path, (ome_file_mode_t)mode);
            CHECK(file >= 0);
            CHECK_EQUAL(table->write(NULL, file, bytes, sizeof(bytes), 0), -EFBIG);
            CHECK_EQUAL(table->size(NULL, file), 5000);
            CHECK_EQUAL(table->close(NULL, file), 0);
        }
        _exit(0);
    }
    int status;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    remove_files();
}

int main(void)
{
    seed = test_seed(20240229);
    CHECK(mkdtemp(directory) != NULL);
    RUN(test_the_bytes_are_those_of_the_document);
    RUN(test_only_names_of_segments_are_taken_for_segments);
    RUN(test_records_come_back_over_many_segments_and_runs);
    RUN(test_a_group_may_be_larger_than_the_buffer_and_the_segment);
    RUN(test_memory_for_a_group_is_enough_to_write_it_at_once);
    RUN(test_a_segment_may_be_larger_than_what_is_read_at_once);
    RUN(test_a_seal_fits_in_a_segment_that_is_full);
    RUN(test_an_empty_journal_is_clean_and_its_epochs_grow);
    RUN(test_write_and_sync_may_be_called_apart);
    RUN(test_a_tail_torn_at_any_byte_is_cut);
    RUN(test_every_flipped_bit_is_found);
    RUN(test_recovery_changes_nothing_where_there_is_damage);
    RUN(test_recovery_needs_a_reader_that_came_to_the_end);
    RUN(test_a_header_that_does_not_continue_the_journal_is_refused);
    RUN(test_an_epoch_that_goes_down_is_damage);
    RUN(test_a_missing_or_foreign_segment_is_damage);
    RUN(test_a_valid_record_with_another_sequence_is_damage);
    RUN(test_a_group_torn_out_of_order_is_a_torn_tail);
    RUN(test_any_failing_call_stops_the_writer_and_loses_nothing_committed);
    RUN(test_a_failed_preparation_is_tried_again_and_stops_nobody);
    RUN(test_recovery_does_not_trust_what_only_the_page_cache_holds);
    RUN(test_recovery_may_be_interrupted_and_repeated);
    RUN(test_a_power_cut_loses_nothing_committed);
    RUN(test_a_live_reader_follows_the_writer);
    RUN(test_every_finished_segment_is_sealed);
    RUN(test_the_seal_at_rotation_costs_no_commit_of_its_own);
    RUN(test_the_seal_fits_in_a_buffer_that_is_full);
    RUN(test_flipped_bits_are_found_in_every_segment);
    RUN(test_a_segment_cut_short_is_found);
    RUN(test_segments_dropped_doubled_or_swapped_are_found);
    RUN(test_records_dropped_doubled_swapped_or_replaced_are_found);
    RUN(test_a_seal_that_is_missing_or_wrong_is_damage);
    RUN(test_only_a_full_segment_is_followed_by_the_same_run);
    RUN(test_a_journal_of_version_1_is_read_and_goes_on_in_version_2);
    RUN(test_a_seal_of_version_1_is_synced_and_without_data);
    RUN(test_a_torn_tail_of_version_1_is_cut);
    RUN(test_flipped_bits_are_found_in_a_journal_of_both_versions);
    RUN(test_versions_and_kinds_that_do_not_belong_are_refused);
    RUN(test_two_kinds_share_a_directory);
    RUN(test_reading_begins_at_any_sequence);
    RUN(test_what_is_before_the_beginning_is_read_in_its_segment_only);
    RUN(test_a_journal_whose_beginning_was_archived_is_read_from_there);
    RUN(test_a_live_reader_begins_anywhere);
    RUN(test_a_power_cut_in_rotation_loses_nothing_and_is_no_damage);
    RUN(test_wrong_configurations_are_refused);
    RUN(test_another_thread_may_prepare_segments);
    RUN(test_a_live_reader_sees_what_was_written_past_the_page_cache);
    RUN(test_a_file_for_whole_blocks_falls_back_to_the_page_cache);
    RUN(test_the_table_of_the_operating_system);
    RUN(test_a_short_write_is_continued_and_then_an_error);
    CHECK_EQUAL(rmdir(directory), 0);
    return 0;
}
