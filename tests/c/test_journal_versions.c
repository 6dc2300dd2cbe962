/* Journals of version 1, alone and followed by version 2. */
#include "journal_fixture.h"

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

/* Rule: a journal of version 1 is read as it always was, and a writer of this version goes on from it, however it
 * ended; recovery leaves the version 1 segments without a seal of version 2. */
static void a_journal_of_version_1_is_read_and_goes_on_in_version_2(void)
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
static void a_seal_of_version_1_is_synced_and_without_data(void)
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
static void a_torn_tail_of_version_1_is_truncated(void)
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
static void flipped_bits_are_found_in_a_journal_of_both_versions(void)
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
static void versions_and_kinds_that_do_not_belong_are_refused(void)
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

int main(void)
{
    seed = test_seed(20240229);
    RUN(a_journal_of_version_1_is_read_and_goes_on_in_version_2);
    RUN(a_seal_of_version_1_is_synced_and_without_data);
    RUN(a_torn_tail_of_version_1_is_truncated);
    RUN(flipped_bits_are_found_in_a_journal_of_both_versions);
    RUN(versions_and_kinds_that_do_not_belong_are_refused);
    return 0;
}
