/* What the tests of the journal share: a writer and a reader with their memory, and records whose bytes follow from their sequence.
 *
 * Most tests use the file system in memory (ome_memory_file.h), where each system call can fail and the power can be cut. */
#ifndef JOURNAL_FIXTURE_H
#define JOURNAL_FIXTURE_H

#include "journal/ome_journal_recover.h"
#include "journal/ome_journal_writer.h"
#include "ome_memory_file.h"
#include "ome_test.h"

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
static inline uint32_t expected_data(uint64_t sequence, uint8_t *data)
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

/* None that a command of several records has: one of those without an end is no end of a journal (test_journal_commands). */
static inline uint16_t expected_kind(uint64_t sequence)
{
    return (uint16_t)(32 + sequence % (OME_JOURNAL_KIND_MAX - 32));
}

static inline ome_status_t append(uint64_t sequence)
{
    uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    const uint32_t length = expected_data(sequence, data);
    return ome_journal_writer_append(&writer, sequence, expected_kind(sequence), data, length);
}

static inline void check_record(const ome_journal_record_t *record, uint64_t sequence)
{
    uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    CHECK_EQUAL(record->sequence, sequence);
    CHECK_EQUAL(record->type, expected_kind(sequence));
    CHECK_EQUAL(record->length, expected_data(sequence, data));
    CHECK_BYTES_EQUAL(record->data, data, record->length);
}

static inline void open_reader(const ome_file_system_t *file_system, const char *directory, bool is_live)
{
    const ome_journal_reader_config_t config = {
        .file_system = file_system, .directory = directory, .kind = OME_JOURNAL_COMMANDS, .first_sequence = 1, .is_live = is_live};
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_OK);
}

/* Reads on to the end, checks every record, and gives what the reader said there. */
static inline ome_status_t read_on(void)
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

static inline ome_status_t read_all(void)
{
    open_reader(&memory.table, DIRECTORY, false);
    const ome_status_t status = read_on();
    ome_journal_reader_close(&reader);
    return status;
}

static inline ome_status_t open_writer(const ome_file_system_t *file_system, const char *directory)
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
static inline ome_status_t start(void)
{
    ome_status_t status = read_all();
    if (status == OME_EMPTY)
    {
        status = ome_journal_recover(&reader);
    }
    return status == OME_OK ? open_writer(&memory.table, DIRECTORY) : status;
}

static inline void start_new(void)
{
    memory_start(&memory, seed);
    memset(&reader, 0, sizeof(reader));
    CHECK_EQUAL(start(), OME_OK);
}

static inline void commit_groups(uint64_t count, uint64_t group_count)
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
static inline void kill_writer(void)
{
    atomic_store(&writer.is_stopped, true);
    ome_journal_writer_close(&writer);
}

/* A server that starts from any state goes on, and then all is there and in order. */
static inline void check_goes_on(void)
{
    CHECK_EQUAL(start(), OME_OK);
    const uint64_t last_sequence = writer.durable_sequence;
    commit_groups(3, 2);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(read_all(), OME_EMPTY);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(reader.last_sequence, last_sequence + 3);
}

/* Makes a small journal of two segments: records 1 to 3 in the first, 4 to 8 in the second, one group each. */
static inline void make_small(bool is_sealed)
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
static inline uint64_t small_offset(uint64_t sequence)
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

static inline void tear(memory_node_t *file, uint64_t offset, tear_t how)
{
    uint64_t random = seed + offset;
    memset(file->seen + offset, 0, file->capacity - offset);
    for (uint64_t index = offset; how == TEAR_BY_GARBAGE && index < offset + 3000; index++)
    {
        file->seen[index] = (uint8_t)test_random(&random);
    }
    file->seen_size = how == TEAR_BY_END ? offset : file->seen_size;
}

/* ---- a journal of several segments ---- */

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
static inline void note_journal(void)
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

/* A journal of seven segments and three runs: three segments of a run that was killed, two of one that was killed, two
 * of one that was closed. */
static inline void make_runs(void)
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
static inline void drop(uint64_t index)
{
    const int entry = memory_find(&memory.seen, segments[index].name);
    CHECK(entry >= 0);
    memory.seen.entries[entry] = memory.seen.entries[--memory.seen.count];
}

static inline uint64_t segment_end(uint64_t index)
{
    return (index + 1 < segment_count ? segments[index + 1].first_sequence : last_sequence + 1) - 1;
}

static inline void check_flip(uint64_t index, uint64_t offset, int bit)
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

static inline uint64_t record_offset(uint64_t index, uint64_t sequence)
{
    uint8_t data[OME_JOURNAL_DATA_SIZE_MAX];
    uint64_t offset = OME_JOURNAL_HEADER_SIZE;
    for (uint64_t before = segments[index].first_sequence; before < sequence; before++)
    {
        offset += OME_JOURNAL_ENVELOPE_SIZE + expected_data(before, data);
    }
    return offset;
}

#endif
