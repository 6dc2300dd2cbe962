/* Repair of a journal: whatever is damaged, it ends up readable, nothing before the damage is lost, and a failed call
 * or a power cut leaves what can be repaired again.
 *
 * On the file system in memory (ome_memory_file.h). The journal has three runs and six segments; the second run was
 * killed. */
#include "journal/ome_journal_recover.h"
#include "journal/ome_journal_repair.h"
#include "journal/ome_journal_writer.h"
#include "ome_memory_file.h"
#include "ome_test.h"

#define DIRECTORY "data"
#define RECORD_COUNT 4200u
#define RUN_COUNT 3u
#define SEGMENT_COUNT_MAX 16u

static uint64_t seed;
static memory_file_system_t memory;
static ome_journal_writer_t writer;
static ome_journal_reader_t reader;
static uint8_t writer_memory[1 << 16];
static uint8_t reader_memory[1 << 20];

/* What was written. */
static uint32_t chain[RECORD_COUNT + 1]; /* the chain checksum after each record */
static uint64_t first_of[SEGMENT_COUNT_MAX + 1]; /* of each segment; behind the last, one more than the last record */
static uint32_t segment_count;
static const uint64_t run_ends[RUN_COUNT] = {1500, 2800, RECORD_COUNT};

static void data_of(uint64_t sequence, uint8_t data[OME_BODY_SIZE])
{
    uint64_t state = sequence * 977 + seed;
    for (uint32_t index = 0; index < OME_BODY_SIZE; index++)
    {
        data[index] = (uint8_t)test_random(&state);
    }
}

static void open_reader(uint64_t first_sequence, const uint32_t *before)
{
    const ome_journal_reader_config_t config = {.file_system = &memory.table,
        .directory = DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .first_sequence = first_sequence,
        .has_previous_checksum = before != NULL,
        .previous_checksum = before != NULL ? *before : 0};
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_OK);
}

/* Reads from a sequence on, checks what comes, and gives what the reader says at the end. */
static ome_status_t read_from(uint64_t first_sequence, const uint32_t *before)
{
    open_reader(first_sequence, before);
    ome_journal_record_t record;
    ome_status_t status;
    uint64_t sequence = first_sequence;
    for (; (status = ome_journal_reader_next(&reader, &record)) == OME_OK; sequence++)
    {
        uint8_t data[OME_BODY_SIZE];
        data_of(sequence, data);
        CHECK_EQUAL(record.sequence, sequence);
        CHECK_EQUAL(record.length, OME_BODY_SIZE);
        CHECK_BYTES_EQUAL(record.data, data, OME_BODY_SIZE);
    }
    ome_journal_reader_close(&reader);
    return status;
}

static void open_writer(void)
{
    const ome_journal_writer_config_t config = {.file_system = &memory.table,
        .directory = DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .epoch = reader.epoch + 1,
        .first_sequence = reader.last_sequence + 1,
        .previous_checksum = reader.chain_checksum};
    CHECK_EQUAL(ome_journal_writer_open(&writer, writer_memory, sizeof(writer_memory), &config), OME_OK);
}

static void write_to(uint64_t last_sequence)
{
    while (writer.next_sequence <= last_sequence)
    {
        uint8_t data[OME_BODY_SIZE];
        data_of(writer.next_sequence, data);
        CHECK_EQUAL(ome_journal_writer_append(&writer, writer.next_sequence, OME_COMMAND_KIND_CANCEL_ORDER, data, OME_BODY_SIZE), OME_OK);
        if (writer.next_sequence - 1 <= RECORD_COUNT)
        {
            chain[writer.next_sequence - 1] = writer.checksum;
        }
        if (writer.next_sequence % 7 == 0)
        {
            CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_OK);
        }
    }
    CHECK_EQUAL(ome_journal_writer_commit(&writer), OME_OK);
}

static void make_journal(uint64_t random)
{
    memory_start(&memory, random);
    for (uint32_t run = 0; run < RUN_COUNT; run++)
    {
        CHECK_EQUAL(read_from(1, NULL), OME_EMPTY);
        CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
        open_writer();
        write_to(run_ends[run]);
        atomic_store(&writer.is_stopped, run == 1); /* killed: without a seal */
        (void)ome_journal_writer_close(&writer);
    }
    segment_count = 0;
    for (uint64_t sequence = 1; sequence <= RECORD_COUNT; sequence++)
    {
        char name[OME_JOURNAL_NAME_SIZE];
        ome_journal_name(name, OME_JOURNAL_COMMANDS, sequence);
        if (memory_find(&memory.seen, name) >= 0)
        {
            first_of[segment_count++] = sequence;
        }
    }
    first_of[segment_count] = RECORD_COUNT + 1;
    CHECK_EQUAL(segment_count, 6);
    CHECK_EQUAL(read_from(1, NULL), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, RECORD_COUNT);
    CHECK_EQUAL(reader.epoch, RUN_COUNT);
}

static const char *name_of(uint32_t segment)
{
    static char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name(name, OME_JOURNAL_COMMANDS, first_of[segment]);
    return name;
}

static size_t offset_of(uint32_t segment, uint64_t sequence)
{
    return OME_JOURNAL_HEADER_SIZE + (size_t)(sequence - first_of[segment]) * OME_JOURNAL_COMMAND_SIZE;
}

/* ---- damage ---- */

typedef enum
{
    DAMAGE_RECORD, /* a bit in the middle of the segment */
    DAMAGE_FIRST_RECORD,
    DAMAGE_HEADER,
    DAMAGE_MISSING, /* the segment */
    DAMAGE_SEAL, /* says something else */
    DAMAGE_NO_SEAL,
    DAMAGE_BEHIND_SEAL, /* bytes that are not zero */
    DAMAGE_SWAPPED, /* two records */
    DAMAGE_COUNT
} damage_t;

/* Damages a segment that is not the last; gives the first sequence that cannot be read any more. */
static uint64_t damage(uint32_t segment, damage_t kind)
{
    memory_node_t *const file = memory_file(&memory, name_of(segment));
    uint8_t *const bytes = file->seen;
    const uint64_t first = first_of[segment];
    const uint64_t next = first_of[segment + 1];
    const uint64_t middle = (first + next) / 2;
    uint8_t *const seal = bytes + offset_of(segment, next);
    switch (kind)
    {
    case DAMAGE_RECORD:
        bytes[offset_of(segment, middle) + 20] ^= 16;
        return middle;
    case DAMAGE_FIRST_RECORD:
        bytes[offset_of(segment, first)] ^= 1;
        return first;
    case DAMAGE_HEADER:
        bytes[20] ^= 2;
        return first;
    case DAMAGE_MISSING:
        memory_set(&memory.seen, name_of(segment), -1);
        memory_set(&memory.disk, name_of(segment), -1);
        return first;
    case DAMAGE_SEAL:
        seal[OME_JOURNAL_PREFIX_SIZE] ^= 1;
        memcpy(seal + 38, &(uint32_t){ome_crc32c(0, seal, 38)}, 4);
        return next;
    case DAMAGE_NO_SEAL:
        memset(seal, 0, OME_JOURNAL_SEAL_SIZE);
        return next;
    case DAMAGE_BEHIND_SEAL:
        seal[OME_JOURNAL_SEAL_SIZE + 5] = 1;
        file->seen_size = OME_JOURNAL_SEGMENT_SIZE_MIN; /* recovery may have cut it */
        return next;
    default:
        for (size_t index = 0; index < OME_JOURNAL_COMMAND_SIZE; index++)
        {
            uint8_t *const one = bytes + offset_of(segment, middle) + index;
            const uint8_t kept = *one;
            *one = one[OME_JOURNAL_COMMAND_SIZE];
            one[OME_JOURNAL_COMMAND_SIZE] = kept;
        }
        return middle;
    }
}

/* The damage reached the disk too. */
static void sync_damage(void)
{
    for (int index = 0; index < memory.node_count; index++)
    {
        memory_node_t *const node = &memory.nodes[index];
        memory_flush(&memory, node, false);
        if (node->seen != NULL)
        {
            memcpy(node->disk, node->seen, node->capacity);
        }
    }
}

/* A server goes on behind what is there, as a later run than any before, and then all is there and in order. */
static void check_goes_on(uint64_t from, uint64_t last_sequence)
{
    const uint32_t *const before = from > 1 ? &chain[from - 1] : NULL;
    CHECK_EQUAL(read_from(from, before), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, last_sequence);
    CHECK(reader.epoch >= RUN_COUNT);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    open_writer();
    write_to(last_sequence + 5);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(read_from(from, before), OME_EMPTY);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(reader.last_sequence, last_sequence + 5);
    CHECK(reader.epoch > RUN_COUNT);
}

/* How many valid records there are in all files, whatever their names; those that are in two files count twice. */
static uint64_t count_everywhere(void)
{
    uint64_t count = 0;
    for (int index = 0; index < memory.seen.count; index++)
    {
        const memory_node_t *const node = &memory.nodes[memory.seen.entries[index].node];
        ome_journal_record_t record;
        for (size_t offset = 0; offset + OME_JOURNAL_ENVELOPE_SIZE < node->seen_size;)
        {
            const bool is_record = ome_journal_decode(node->seen + offset, node->seen_size - offset, &record);
            const bool is_seal = is_record && (record.type & OME_JOURNAL_KIND_MAX) == OME_JOURNAL_KIND_SEAL;
            count += is_record && !is_seal;
            offset += is_record ? OME_JOURNAL_ENVELOPE_SIZE + record.length : 1;
        }
    }
    return count;
}

/* ---- tests ---- */

/* Rule: whatever is damaged, the journal is cut before the first record that cannot be read, says what it loses, and removes nothing. */
static void a_cut_ends_the_journal_before_any_damage(void)
{
    for (uint32_t segment = 0; segment < 5; segment++)
    {
        for (damage_t kind = 0; kind < DAMAGE_COUNT; kind++)
        {
            if (segment == 0 && kind == DAMAGE_MISSING)
            {
                continue; /* the journal begins later, which is no damage */
            }
            make_journal(seed);
            const uint64_t lost = damage(segment, kind);
            CHECK_EQUAL(read_from(1, NULL), OME_DAMAGED);
            CHECK_EQUAL(reader.report.sequence_expected, lost);
            const uint64_t readable = count_everywhere();
            ome_journal_loss_t loss;
            CHECK_EQUAL(ome_journal_survey(&reader, &loss), OME_OK);
            CHECK_EQUAL(loss.last_sequence, RECORD_COUNT);
            CHECK_EQUAL(loss.record_count, readable - (lost - 1));
            CHECK_EQUAL(ome_journal_cut(&reader), OME_OK);
            CHECK_EQUAL(read_from(1, NULL), OME_EMPTY);
            CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
            CHECK_EQUAL(reader.last_sequence, lost - 1);
            CHECK_EQUAL(count_everywhere(), readable);
            check_goes_on(1, lost - 1);
            memory_end(&memory);
        }
    }
}

/* Rule: a journal that is not damaged is not cut. */
static void only_damage_is_cut(void)
{
    make_journal(seed);
    ome_journal_loss_t loss;
    CHECK_EQUAL(ome_journal_survey(&reader, &loss), OME_INVALID);
    CHECK_EQUAL(ome_journal_cut(&reader), OME_INVALID);
    open_reader(1, NULL);
    CHECK_EQUAL(ome_journal_cut(&reader), OME_INVALID);
    CHECK_EQUAL(ome_journal_begin(&reader), OME_INVALID); /* without a checksum */
    check_goes_on(1, RECORD_COUNT);
    memory_end(&memory);
}

/* Reads to the damage and cuts there. */
static ome_status_t cut(void)
{
    const ome_status_t status = read_from(1, NULL);
    return status == OME_DAMAGED ? ome_journal_cut(&reader) : status == OME_EMPTY ? OME_OK : status;
}

/* Cuts, dies at the n-th call, and cuts again. True while n is a call. */
static bool check_interrupted_cut(damage_t kind, uint64_t call, bool cuts_power, uint64_t variant)
{
    make_journal(seed + call + 1000 * variant);
    const uint64_t lost = damage(2, kind);
    sync_damage();
    memory_restart(&memory);
    memory.fail_call = call;
    memory.fails_ever_after = true;
    memory.fail = MEMORY_FAIL_TORN;
    const ome_status_t status = cut();
    const bool is_reached = memory.call_count >= call;
    CHECK_EQUAL(status, is_reached ? OME_IO_ERROR : OME_OK);
    for (int repeat = 0; repeat < 2; repeat++)
    {
        memory_restart(&memory);
        if (cuts_power)
        {
            memory_cut_power(&memory);
        }
        CHECK_EQUAL(cut(), OME_OK);
        CHECK_EQUAL(read_from(1, NULL), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, lost - 1);
    }
    CHECK_EQUAL(read_from(1, NULL), OME_EMPTY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    open_writer();
    write_to(lost + 4);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    CHECK_EQUAL(read_from(1, NULL), OME_EMPTY);
    CHECK_EQUAL(reader.last_sequence, lost + 4);
    memory_end(&memory);
    return is_reached;
}

/* Rule: a cut may die at any call, with the power or without, and the next one completes it: nothing before the damage is lost. */
static void a_cut_may_be_interrupted_and_repeated(void)
{
    static const damage_t kinds[] = {DAMAGE_RECORD, DAMAGE_HEADER, DAMAGE_SEAL};
    for (size_t which = 0; which < sizeof(kinds) / sizeof(kinds[0]); which++)
    {
        bool is_reached = true;
        uint64_t call = 1;
        for (; is_reached; call++)
        {
            is_reached = check_interrupted_cut(kinds[which], call, false, 0);
            for (uint64_t variant = 0; variant < 3; variant++)
            {
                check_interrupted_cut(kinds[which], call, true, variant);
            }
        }
        CHECK(call > 20);
    }
}

/* Rule: a cut and a new beginning that were told to be done are on disk. */
static void a_finished_repair_survives_a_power_cut(void)
{
    for (uint64_t variant = 0; variant < 100; variant++)
    {
        const uint32_t segment = (uint32_t)(variant % 5);
        make_journal(seed + variant);
        const uint64_t lost = damage(segment, variant % 2 == 0 ? DAMAGE_RECORD : DAMAGE_NO_SEAL);
        sync_damage();
        CHECK_EQUAL(cut(), OME_OK);
        memory_cut_power(&memory);
        CHECK_EQUAL(read_from(1, NULL), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, lost - 1);
        memory_end(&memory);
        make_journal(seed + variant);
        const uint64_t sequence = damage(segment, DAMAGE_RECORD) + 9;
        sync_damage();
        open_reader(sequence + 1, &chain[sequence]);
        CHECK_EQUAL(ome_journal_begin(&reader), OME_OK);
        memory_cut_power(&memory);
        CHECK(memory_find(&memory.seen, name_of(segment)) < 0);
        CHECK_EQUAL(read_from(sequence + 1, &chain[sequence]), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, RECORD_COUNT);
        memory_end(&memory);
    }
}

/* Makes the journal begin behind a snapshot of `sequence`. */
static ome_status_t begin_behind(uint64_t sequence)
{
    open_reader(sequence + 1, &chain[sequence]);
    return ome_journal_begin(&reader);
}

/* Rule: whatever is damaged before or at a snapshot, the journal can be made to begin behind it, and then has all records from there on. */
static void a_journal_begins_behind_a_snapshot_whatever_is_damaged_before(void)
{
    for (uint32_t segment = 0; segment < 5; segment++)
    {
        for (damage_t kind = 0; kind < DAMAGE_COUNT; kind++)
        {
            for (uint32_t place = 0; place < 4; place++)
            {
                make_journal(seed);
                const uint64_t lost = damage(segment, kind);
                const uint64_t readable = count_everywhere();
                const uint64_t end = kind == DAMAGE_MISSING || kind == DAMAGE_FIRST_RECORD ? first_of[segment + 1] : lost + 1;
                const uint64_t places[] = {end, end + 1, first_of[segment + 1] + 10, RECORD_COUNT};
                const uint64_t sequence = places[place] > lost ? places[place] : lost + 1;
                CHECK_EQUAL(begin_behind(sequence), OME_OK);
                CHECK_EQUAL(read_from(sequence + 1, &chain[sequence]), OME_EMPTY);
                CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
                CHECK_EQUAL(reader.last_sequence, RECORD_COUNT);
                CHECK(count_everywhere() >= readable);
                CHECK_EQUAL(begin_behind(sequence), OME_OK); /* it begins there already */
                check_goes_on(sequence + 1, RECORD_COUNT);
                memory_end(&memory);
            }
        }
    }
}

/* Rule: a header is not needed to find the records, and where a seal is spoiled the next header proves that they are complete. */
static void records_are_found_without_header_and_seal(void)
{
    for (uint32_t segment = 0; segment < 5; segment++)
    {
        make_journal(seed);
        (void)damage(segment, DAMAGE_HEADER);
        (void)damage(segment, DAMAGE_NO_SEAL);
        const uint64_t sequence = first_of[segment] + 100;
        CHECK_EQUAL(begin_behind(sequence), OME_OK);
        CHECK_EQUAL(read_from(sequence + 1, &chain[sequence]), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, RECORD_COUNT);
        check_goes_on(sequence + 1, RECORD_COUNT);
        memory_end(&memory);
        make_journal(seed);
        (void)damage(segment, DAMAGE_HEADER);
        CHECK(begin_behind(first_of[segment] - 1) == OME_OK || segment == 0);
        if (segment > 0)
        {
            const uint64_t before = first_of[segment] - 1;
            CHECK_EQUAL(read_from(before + 1, &chain[before]), OME_EMPTY);
            CHECK_EQUAL(reader.last_sequence, RECORD_COUNT);
        }
        memory_end(&memory);
    }
}

/* Rule: damage behind the snapshot stays damage: it is not hidden by the new beginning, and to cut it is another decision. */
static void damage_behind_the_snapshot_is_still_there(void)
{
    make_journal(seed);
    const uint64_t lost = damage(2, DAMAGE_RECORD);
    memory_file(&memory, name_of(2))->seen[offset_of(2, lost + 50) + 3] ^= 1;
    const uint64_t sequence = lost + 20;
    CHECK_EQUAL(begin_behind(sequence), OME_OK);
    CHECK_EQUAL(read_from(sequence + 1, &chain[sequence]), OME_DAMAGED);
    CHECK_EQUAL(reader.last_sequence, lost + 49);
    CHECK_EQUAL(ome_journal_cut(&reader), OME_OK);
    check_goes_on(sequence + 1, lost + 49);
    memory_end(&memory);

    make_journal(seed); /* the very next record */
    memory_file(&memory, name_of(2))->seen[offset_of(2, lost) + 3] ^= 1;
    memory_file(&memory, name_of(2))->seen[offset_of(2, sequence + 1) + 3] ^= 1;
    CHECK_EQUAL(begin_behind(sequence), OME_OK);
    CHECK_EQUAL(read_from(sequence + 1, &chain[sequence]), OME_DAMAGED);
    CHECK_EQUAL(reader.last_sequence, sequence);
    CHECK_EQUAL(ome_journal_cut(&reader), OME_OK);
    check_goes_on(sequence + 1, sequence);
    memory_end(&memory);
}

/* Rule: what is not the journal of the snapshot is refused, and nothing is changed. */
static void a_snapshot_of_another_journal_is_refused(void)
{
    for (uint32_t segment = 2; segment < 6; segment++)
    {
        make_journal(seed);
        const uint64_t lost = damage(segment, DAMAGE_RECORD);
        const uint64_t sequence = lost + 20;
        const uint32_t wrong = chain[sequence] ^ 1;
        const int name_count = memory.seen.count;
        open_reader(sequence + 1, &wrong);
        CHECK_EQUAL(ome_journal_begin(&reader), OME_DAMAGED);
        CHECK(reader.report.reason != NULL);
        CHECK_EQUAL(memory.seen.count, name_count);
        CHECK_EQUAL(memory.change_count, 0);
        memory_end(&memory);
    }
}

/* Makes the journal begin, dies at the n-th call, and does it again. True while n is a call. */
static bool check_interrupted_begin(damage_t kind, uint64_t call, bool cuts_power, uint64_t variant)
{
    make_journal(seed + call + 1000 * variant);
    const uint64_t sequence = damage(2, kind) + 20;
    sync_damage();
    memory_restart(&memory);
    memory.fail_call = call;
    memory.fails_ever_after = true;
    memory.fail = MEMORY_FAIL_TORN;
    const ome_status_t status = begin_behind(sequence);
    const bool is_reached = memory.call_count >= call;
    CHECK_EQUAL(status, is_reached ? OME_IO_ERROR : OME_OK);
    for (int repeat = 0; repeat < 2; repeat++)
    {
        memory_restart(&memory);
        if (cuts_power)
        {
            memory_cut_power(&memory);
        }
        CHECK_EQUAL(begin_behind(sequence), OME_OK);
        CHECK_EQUAL(read_from(sequence + 1, &chain[sequence]), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, RECORD_COUNT);
    }
    check_goes_on(sequence + 1, RECORD_COUNT);
    memory_end(&memory);
    return is_reached;
}

/* Rule: it may die at any call, with the power or without, and the next one completes it: no record behind the snapshot is lost. */
static void a_new_beginning_may_be_interrupted_and_repeated(void)
{
    static const damage_t kinds[] = {DAMAGE_RECORD, DAMAGE_HEADER};
    for (size_t which = 0; which < sizeof(kinds) / sizeof(kinds[0]); which++)
    {
        bool is_reached = true;
        uint64_t call = 1;
        for (; is_reached; call++)
        {
            is_reached = check_interrupted_begin(kinds[which], call, false, 0);
            for (uint64_t variant = 0; variant < 3; variant++)
            {
                check_interrupted_begin(kinds[which], call, true, variant);
            }
        }
        CHECK(call > 20);
    }
}

int main(void)
{
    seed = test_seed(67);
    RUN(a_cut_ends_the_journal_before_any_damage);
    RUN(only_damage_is_cut);
    RUN(a_cut_may_be_interrupted_and_repeated);
    RUN(a_finished_repair_survives_a_power_cut);
    RUN(a_journal_begins_behind_a_snapshot_whatever_is_damaged_before);
    RUN(records_are_found_without_header_and_seal);
    RUN(damage_behind_the_snapshot_is_still_there);
    RUN(a_snapshot_of_another_journal_is_refused);
    RUN(a_new_beginning_may_be_interrupted_and_repeated);
    return 0;
}
