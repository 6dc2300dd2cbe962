/* Seals of the journal: every finished segment has one, and whatever is changed, dropped, doubled or swapped before it is found. */
#include "journal_fixture.h"

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

/* Rule: every segment that is finished is sealed, whoever finished it, and the seal says what stands before it and why it is there. */
static void every_finished_segment_is_sealed(void)
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
static void the_seal_at_rotation_costs_no_commit_of_its_own(void)
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

/* Rule: the seal stays within the writer's memory, also where the buffer is full when the segment ends, which only long
 * records bring about. */
static void the_seal_fits_in_a_buffer_that_is_full(void)
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

/* Rule: a changed bit in any segment is found. Only the last seal may look like a torn one, and no record is lost by
 * it. Every bit of the headers' fields, of what is around each seal and of all of a small journal (above), and one in
 * many of the rest. */
static void flipped_bits_are_found_in_every_segment(void)
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
static void a_segment_cut_short_is_found(void)
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

/* Rule: a segment dropped, put in another's place, or there twice is damage. */
static void segments_dropped_doubled_or_swapped_are_found(void)
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
    }
    CHECK_EQUAL(read_all(), OME_EMPTY);
    memory_end(&memory);
}

/* Rule: nor is it enough that its header says that it belongs where it was put; what is in it does not. */
static void a_segment_that_has_the_header_of_another_is_found(void)
{
    make_runs();
    for (uint64_t index = 0; index < segment_count; index++)
    {
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

/* Rule: a record dropped, doubled, swapped with its neighbour or replaced by another valid one is damage: in the last
 * one of them, the chain and the seal say so, for each record by itself is right. */
static void records_dropped_doubled_swapped_or_replaced_are_found(void)
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

/* Rule: a seal that is missing before another segment, or that says anything else than the truth, is damage, though its
 * own checksum is right. */
static void a_seal_that_is_missing_or_wrong_is_damage(void)
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
static void only_a_full_segment_is_followed_by_the_same_run(void)
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

int main(void)
{
    seed = test_seed(20240229);
    RUN(every_finished_segment_is_sealed);
    RUN(the_seal_at_rotation_costs_no_commit_of_its_own);
    RUN(the_seal_fits_in_a_buffer_that_is_full);
    RUN(flipped_bits_are_found_in_every_segment);
    RUN(a_segment_cut_short_is_found);
    RUN(segments_dropped_doubled_or_swapped_are_found);
    RUN(a_segment_that_has_the_header_of_another_is_found);
    RUN(records_dropped_doubled_swapped_or_replaced_are_found);
    RUN(a_seal_that_is_missing_or_wrong_is_damage);
    RUN(only_a_full_segment_is_followed_by_the_same_run);
    return 0;
}
