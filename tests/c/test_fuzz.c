/* Fuzz: spoiled journals, snapshots and streams of clients given to their readers. Whatever the bytes are, nothing
 * crashes and everything ends; what is taken is a journal that recovery and a writer can go on from, or an engine that
 * keeps its rules, or messages that are those of the stream.
 *
 *     test_fuzz [journal|snapshot|wire SECONDS SEED]          as tools/fuzz starts it; without arguments a fixed number of inputs for each
 *
 * An input is a byte of flags and then a snapshot, a stream (flags: 1 a subscriber's, 0 one of order entry), or the
 * segments of a journal: for each the sequence of its name, 8 bytes, its size, 4, and its bytes. The flags say whether
 * the checksums are made to fit (1), and whether what is computed from the whole as well, which is chain, seals and
 * state hash (2), so that what is behind those checks is reached.
 *
 * There are two drivers for one entry, LLVMFuzzerTestOneInput: a seeded one, here, and libFuzzer's, which is guided by
 * coverage, where OME_FUZZ_GUIDED is defined (CMake: OME_FUZZ); there OME_FUZZ_READER says which reader. Both begin
 * with files of real runs, and change them by the same functions. */
#include "state/ome_snapshot.h"
#include "ome_fuzz_changes.h"
#include "ome_fuzz_wire.h"
#include "ome_venue_run.h"
#include "state/ome_state.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define FRAME_SIZE_MAX (1u << 14)
#define ENGINE_SIZE_MAX (UINT64_C(1) << 22)
#define ORIGINAL_COUNT 6u
#define INPUT_COUNT_STANDARD 6000u
#define INPUT_SECONDS_MAX 60u

#define FLAG_CHECKSUMS 1u
#define FLAG_WHOLE 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum
{
    READER_JOURNAL,
    READER_SNAPSHOT,
    READER_WIRE,
    READER_COUNT
} reader_t;

static reader_t reader_of_inputs;
static uint8_t input[INPUT_SIZE_MAX]; /* a copy, to be repaired */
static uint64_t taken_count; /* inputs whose end was reached without anything wrong */
static uint64_t refused_count;

/* Where the checksums are as they were, what is taken is of this original. NULL: it may be anything. */
typedef struct
{
    uint8_t bytes[INPUT_SIZE_MAX];
    size_t size;
    uint64_t last_sequence;
    uint8_t role; /* of a stream */
    uint32_t chains[512]; /* of a journal, after each command */
} original_t;

static original_t originals[READER_COUNT][ORIGINAL_COUNT];
static const original_t *original;

static void put_file(const char *name, const uint8_t *bytes, size_t size)
{
    memory_file_system_t *memory = &run.memory;
    const int file = memory_open(memory, name, OME_FILE_CREATE);
    CHECK_EQUAL(memory_write(memory, file, bytes, size, 0), 0);
    CHECK_EQUAL(memory_sync(memory, file), 0);
    CHECK_EQUAL(memory_close(memory, file), 0);
    CHECK_EQUAL(memory_sync_directory(memory, RUN_DIRECTORY), 0);
}

/* ---- journals ---- */

static void repair_header(const frame_t *frame, const uint32_t *chain)
{
    ome_journal_header_t header;
    memcpy(&header, frame->bytes, sizeof(header));
    header.previous_checksum = chain != NULL ? *chain : header.previous_checksum;
    header.checksum = ome_crc32c(0, &header, offsetof(ome_journal_header_t, checksum));
    memcpy(frame->bytes, &header, sizeof(header));
}

/* Makes the checksums of a segment fit, and where `is_whole` header and seal tell of the records before them. */
static void repair_segment(const frame_t *frame, uint32_t *chain, bool is_whole)
{
    if (frame->size < OME_JOURNAL_HEADER_SIZE)
    {
        return;
    }
    repair_header(frame, is_whole ? chain : NULL);
    uint64_t count = 0;
    for (size_t at = OME_JOURNAL_HEADER_SIZE; frame->size - at >= OME_JOURNAL_ENVELOPE_SIZE;)
    {
        uint8_t *const bytes = frame->bytes + at;
        ome_journal_prefix_t prefix;
        memcpy(&prefix, bytes, sizeof(prefix));
        if (prefix.sequence == 0 || prefix.length > frame->size - at - OME_JOURNAL_ENVELOPE_SIZE)
        {
            return;
        }
        const bool is_seal = (prefix.type & OME_JOURNAL_KIND_MAX) == OME_JOURNAL_KIND_SEAL;
        if (is_seal && is_whole && prefix.length == sizeof(ome_journal_seal_t))
        {
            ome_journal_seal_t seal;
            memcpy(&seal, bytes + OME_JOURNAL_PREFIX_SIZE, sizeof(seal));
            seal.record_count = count;
            seal.last_sequence = prefix.sequence - 1;
            seal.chain_checksum = *chain;
            memcpy(bytes + OME_JOURNAL_PREFIX_SIZE, &seal, sizeof(seal));
        }
        const uint32_t checksum = ome_crc32c(0, bytes, OME_JOURNAL_PREFIX_SIZE + prefix.length);
        memcpy(bytes + OME_JOURNAL_PREFIX_SIZE + prefix.length, &checksum, sizeof(checksum));
        *chain = is_seal ? *chain : ome_journal_chain(*chain, checksum);
        count += !is_seal;
        at += OME_JOURNAL_ENVELOPE_SIZE + prefix.length;
    }
}

/* What a reader says of a journal. */
typedef struct
{
    ome_status_t status;
    ome_journal_verdict_t verdict;
    uint64_t last_sequence;
    uint64_t given_count;
    uint32_t chain;
} reading_t;

static ome_journal_reader_t reader;
static uint8_t reader_memory[1 << 20];

/* Reads to the end. Each record has the sequence after the one before, and there are not more of them than fit. */
static reading_t read_journal(uint64_t first_sequence, bool is_live)
{
    const ome_journal_reader_config_t config = {.file_system = &run.memory.table,
        .directory = RUN_DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .first_sequence = first_sequence,
        .is_live = is_live};
    CHECK_EQUAL(ome_journal_reader_open(&reader, reader_memory, sizeof(reader_memory), &config), OME_OK);
    reading_t reading = {.status = OME_OK};
    for (;;)
    {
        ome_journal_record_t record;
        reading.status = ome_journal_reader_next(&reader, &record);
        if (reading.status != OME_OK)
        {
            break;
        }
        CHECK_EQUAL(record.sequence, first_sequence + reading.given_count);
        CHECK_EQUAL(record.sequence, reader.last_sequence);
        CHECK(record.length <= OME_JOURNAL_DATA_SIZE_MAX && (record.type & OME_JOURNAL_KIND_MAX) != OME_JOURNAL_KIND_SEAL);
        reading.given_count++;
        CHECK(reading.given_count <= INPUT_SIZE_MAX / OME_JOURNAL_ENVELOPE_SIZE);
    }
    CHECK(reading.status == OME_EMPTY || reading.status == OME_DAMAGED || reading.status == OME_UNSUPPORTED ||
          reading.status == OME_NOT_FOUND);
    CHECK(reading.status == OME_EMPTY || reader.report.reason != NULL);
    reading.verdict = reader.report.verdict;
    reading.last_sequence = reader.last_sequence;
    reading.chain = reader.chain_checksum;
    ome_journal_reader_close(&reader);
    return reading;
}

/* However it is read, it is the same journal. */
static void check_readings(const reading_t *whole)
{
    const reading_t again = read_journal(1, false);
    CHECK_EQUAL(again.status, whole->status);
    CHECK_EQUAL(again.verdict, whole->verdict);
    CHECK_EQUAL(again.last_sequence, whole->last_sequence);
    const reading_t live = read_journal(1, true);
    CHECK_EQUAL(live.last_sequence, whole->last_sequence);
    CHECK_EQUAL(live.given_count, whole->given_count);
    if (whole->status == OME_EMPTY && whole->last_sequence > 1)
    {
        const reading_t half = read_journal(1 + whole->last_sequence / 2, false);
        CHECK_EQUAL(half.status, OME_EMPTY);
        CHECK_EQUAL(half.verdict, whole->verdict);
        CHECK_EQUAL(half.last_sequence, whole->last_sequence);
        CHECK_EQUAL(half.chain, whole->chain);
    }
    CHECK(original == NULL || whole->last_sequence <= original->last_sequence);
    CHECK(original == NULL || whole->last_sequence == 0 || whole->chain == original->chains[whole->last_sequence] ||
          whole->status != OME_EMPTY);
}

/* Its commands, whatever they are, leave an engine that keeps every rule. */
static void check_replay(const reading_t *whole)
{
    ome_replay_t *replay = run_replay_new();
    ome_status_t status = ome_replay_open(replay, RUN_DIRECTORY, 0);
    while (status == OME_OK)
    {
        status = ome_replay_step(replay, 32);
        CHECK(replay->engine == NULL || status == OME_ASSERTED || ome_engine_check(replay->engine) == NULL);
    }
    CHECK(status == whole->status || status == OME_NO_MEMORY || (status == OME_DAMAGED && replay->reason != NULL));
    CHECK(status != OME_EMPTY || whole->last_sequence == 0 || replay->engine->sequence == whole->last_sequence);
    run_replay_free(replay);
}

/* What has come to its end is recovered, and a writer goes on; what is damaged is not touched. */
static void check_recovery(const reading_t *whole)
{
    const int change_count = run.memory.change_count;
    const reading_t before = read_journal(1, false);
    const ome_status_t recovered = ome_journal_recover(&reader);
    CHECK_EQUAL(recovered, before.status == OME_EMPTY ? OME_OK : before.status);
    if (recovered != OME_OK || reader.epoch == UINT64_MAX)
    {
        CHECK(recovered == OME_OK || run.memory.change_count == change_count);
        return;
    }
    const ome_journal_writer_config_t config = {.file_system = &run.memory.table,
        .directory = RUN_DIRECTORY,
        .kind = OME_JOURNAL_COMMANDS,
        .segment_size_bytes = OME_JOURNAL_SEGMENT_SIZE_MIN,
        .epoch = reader.epoch + 1,
        .first_sequence = reader.last_sequence + 1,
        .previous_checksum = reader.chain_checksum};
    CHECK_EQUAL(ome_journal_writer_open(&run.writer, run_writer_memory, sizeof(run_writer_memory), &config), OME_OK);
    for (uint64_t sequence = config.first_sequence; sequence < config.first_sequence + 3; sequence++)
    {
        CHECK_EQUAL(ome_journal_writer_append(&run.writer, sequence, 1, "x", 1), OME_OK);
    }
    CHECK_EQUAL(ome_journal_writer_close(&run.writer), OME_OK);
    const reading_t after = read_journal(1, false);
    CHECK_EQUAL(after.status, OME_EMPTY);
    CHECK_EQUAL(after.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(after.last_sequence, whole->last_sequence + 3);
}

static void read_spoiled_journal(size_t size, uint32_t flags)
{
    frame_t frame;
    uint32_t chain = 0;
    size_t at = 0;
    for (uint32_t count = 0; count < FRAME_COUNT_MAX && next_frame(input, size, &at, &frame); count++)
    {
        char name[OME_JOURNAL_NAME_SIZE];
        if (flags & FLAG_CHECKSUMS)
        {
            repair_segment(&frame, &chain, (flags & FLAG_WHOLE) != 0);
        }
        ome_journal_name(name, OME_JOURNAL_COMMANDS, frame.name);
        put_file(name, frame.bytes, frame.size);
    }
    const reading_t whole = read_journal(1, false);
    taken_count += whole.status == OME_EMPTY;
    refused_count += whole.status != OME_EMPTY;
    check_readings(&whole);
    check_replay(&whole);
    check_recovery(&whole);
}

/* ---- snapshots ---- */

static ome_snapshot_reader_t snapshot_reader;
static ome_snapshot_writer_t snapshot_writer;

typedef struct
{
    const uint8_t *bytes;
    size_t size;
    size_t at;
} stream_t;

static int64_t get_bytes(void *context, void *bytes, uint32_t size_bytes)
{
    stream_t *stream = context;
    const size_t left = stream->size - stream->at;
    const size_t size = size_bytes < left ? size_bytes : left;
    memcpy(bytes, stream->bytes + stream->at, size);
    stream->at += size;
    return (int64_t)size;
}

/* What is written must be what is there. */
static int compare_bytes(void *context, const void *bytes, uint32_t size_bytes)
{
    stream_t *stream = context;
    CHECK(stream->size - stream->at >= size_bytes);
    CHECK_BYTES_EQUAL(stream->bytes + stream->at, bytes, size_bytes);
    stream->at += size_bytes;
    return 0;
}

static void repair_snapshot(size_t size)
{
    const size_t header_end = offsetof(ome_snapshot_header_t, checksum);
    if (size < OME_SNAPSHOT_HEADER_SIZE)
    {
        return;
    }
    uint32_t checksum = ome_crc32c(0, input, header_end);
    memcpy(input + header_end, &checksum, sizeof(checksum));
    for (size_t at = OME_SNAPSHOT_HEADER_SIZE; at + sizeof(checksum) < size;)
    {
        const size_t left = size - sizeof(checksum) - at;
        const size_t block = left < OME_SNAPSHOT_BLOCK_SIZE ? left : OME_SNAPSHOT_BLOCK_SIZE;
        checksum = ome_crc32c(checksum, input + at, block);
        memcpy(input + at + block, &checksum, sizeof(checksum));
        at += block + sizeof(checksum);
    }
}

/* Where only the state hash is wrong, it is made right. */
static void repair_state_hash(size_t size)
{
    stream_t stream = {.bytes = input, .size = size};
    ome_status_t status = ome_snapshot_open(&snapshot_reader, get_bytes, &stream);
    const ome_limits_t limits = ome_snapshot_limits(&snapshot_reader.header);
    const uint64_t engine_size = status == OME_OK ? ome_engine_size_bytes(&limits) : 0;
    if (engine_size == 0 || engine_size > ENGINE_SIZE_MAX)
    {
        return;
    }
    ome_engine_t *made = NULL;
    void *memory = market_memory(engine_size);
    status = ome_snapshot_restore(&snapshot_reader, &made, memory, engine_size);
    if (status == OME_DAMAGED && strstr(snapshot_reader.reason, "state hash") != NULL)
    {
        const uint64_t state_hash = ome_engine_state_hash(memory);
        memcpy(input + offsetof(ome_snapshot_header_t, state_hash), &state_hash, sizeof(state_hash));
        repair_snapshot(size);
    }
    free(memory);
}

/* Whether no order is displayed anew more than a thousand times: only then do a few commands end soon. */
static bool ends_soon(const ome_engine_t *engine)
{
    for (uint32_t slot = 1; slot <= engine->pools.orders.slots_ever_used; slot++)
    {
        const ome_order_t *order = &engine->pools.orders.orders[slot];
        const int64_t peak = engine->pools.specials.records[ome_order_special(order)].peak;
        if (order->leaves_quantity > 0 && peak != 0 && ome_book_leaves(&engine->pools, order) / peak > 1000)
        {
            return false;
        }
    }
    return true;
}

/* Whether a session has no number, as in a snapshot of an earlier build: it gets one, so the next snapshot has other bytes. The snapshot was
 * taken, so its counts are true; instruments and sessions are in the first block. */
static bool lacks_session_numbers(void)
{
    const ome_snapshot_header_t *header = (const void *)input;
    const uint64_t begin =
        OME_SNAPSHOT_HEADER_SIZE + header->sections[OME_SNAPSHOT_SECTION_INSTRUMENTS - 1].count * sizeof(ome_snapshot_instrument_t);
    for (uint64_t i = 0; i < header->sections[OME_SNAPSHOT_SECTION_SESSIONS - 1].count; i++)
    {
        ome_snapshot_session_t session;
        memcpy(&session, input + begin + i * sizeof(session), sizeof(session));
        if (session.session == 0)
        {
            return true;
        }
    }
    return false;
}

/* What has been made of it keeps every rule, has these very bytes as its snapshot, and goes on. */
static void check_engine(ome_engine_t *engine, ome_snapshot_past_t past, size_t size)
{
    CHECK(ome_engine_check(engine) == NULL);
    if (!lacks_session_numbers())
    {
        stream_t stream = {.bytes = input, .size = size};
        CHECK_EQUAL(ome_snapshot_write(&snapshot_writer, engine, past, compare_bytes, &stream), OME_OK);
        CHECK_EQUAL(stream.at, size);
    }
    run.flow.timestamp_ns = engine->time_ns < (UINT64_C(1) << 62) ? engine->time_ns : UINT64_C(1) << 62;
    recorder_t *recorder = recorder_new(RECORDER_WINDOW_COUNT_MAX);
    for (uint32_t i = 0; i < 20 && ends_soon(engine); i++)
    {
        const ome_command_t command = run_command(RUN_COMMAND_COUNT_MAX);
        (void)recorder_apply(recorder, engine, &command);
    }
    CHECK(ome_engine_check(engine) == NULL);
    recorder_free(recorder);
}

static void read_spoiled_snapshot(size_t size, uint32_t flags)
{
    if (flags & FLAG_CHECKSUMS)
    {
        repair_snapshot(size);
    }
    if ((flags & FLAG_CHECKSUMS) && (flags & FLAG_WHOLE))
    {
        repair_state_hash(size);
    }
    uint64_t sequence = 1;
    if (size >= OME_SNAPSHOT_HEADER_SIZE)
    {
        memcpy(&sequence, input + offsetof(ome_snapshot_header_t, sequence), sizeof(sequence));
    }
    char name[OME_SNAPSHOT_NAME_SIZE];
    static ome_snapshot_files_t files;
    memset(&files, 0, sizeof(files));
    ome_snapshot_name(name, sequence);
    put_file(name, input, size);
    CHECK_EQUAL(ome_snapshot_files_open(&files, &run.memory.table, RUN_DIRECTORY), OME_OK);
    ome_snapshot_loaded_t loaded;
    const ome_status_t status = ome_snapshot_file_load(&files, &loaded);
    CHECK(status == OME_OK || status == OME_NOT_FOUND || status == OME_NO_MEMORY);
    taken_count += status == OME_OK;
    refused_count += status != OME_OK;
    if (status == OME_OK)
    {
        CHECK(original == NULL || (size == original->size && memcmp(input, original->bytes, size) == 0));
        check_engine(loaded.engine, loaded.past, size);
        ome_memory_unmap(loaded.engine, loaded.engine_size_bytes);
    }
}

/* ---- streams ---- */

static void read_spoiled_stream(size_t size, uint32_t flags)
{
    const ome_zmtp_role_t role = (flags & 1) != 0 ? OME_ZMTP_XPUB : OME_ZMTP_ROUTER;
    const bool is_taken = wire_read_stream(input, (uint32_t)size, role);
    taken_count += is_taken;
    refused_count += !is_taken;
}

/* ---- the entry ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_SIZE_MAX)
    {
        return 0;
    }
    memcpy(input, data + 1, size - 1);
    if (reader_of_inputs == READER_WIRE)
    {
        read_spoiled_stream(size - 1, data[0]);
        return 0;
    }
    memory_end(&run.memory);
    memory_start(&run.memory, 1);
    run.memory.table.sync_data = memory_sync;
    run.flow = (flow_t){
        .random = size, .instrument_count = 2, .participant_count = 2, .order_id_count = 60, .price_count = 20, .has_specials = true};
    (reader_of_inputs == READER_JOURNAL ? read_spoiled_journal : read_spoiled_snapshot)(size - 1, data[0]);
    CHECK_EQUAL(memory_open_count(&run.memory), 0);
    return 0;
}

/* ---- originals: files of real runs ---- */

static void keep_file(original_t *kept, const char *name, bool has_head)
{
    const memory_node_t *node = memory_file(&run.memory, name);
    uint32_t size = (uint32_t)node->seen_size;
    const uint64_t sequence = ome_journal_name_sequence(OME_JOURNAL_COMMANDS, name);
    while (has_head && size > OME_JOURNAL_HEADER_SIZE && node->seen[size - 1] == 0)
    {
        size--;
    }
    CHECK(size <= FRAME_SIZE_MAX && kept->size + FRAME_HEAD_SIZE + size <= INPUT_SIZE_MAX);
    if (has_head)
    {
        memcpy(kept->bytes + kept->size, &sequence, sizeof(sequence));
        memcpy(kept->bytes + kept->size + sizeof(sequence), &size, sizeof(size));
        kept->size += FRAME_HEAD_SIZE;
    }
    memcpy(kept->bytes + kept->size, node->seen, size);
    kept->size += size;
}

static void keep_journal(original_t *kept)
{
    ome_replay_t *replay = run_replay_new();
    ome_status_t status = ome_replay_open(replay, RUN_DIRECTORY, 0);
    for (uint64_t segment_count = 0; status == OME_OK; segment_count = replay->reader.segment_count)
    {
        status = ome_replay_step(replay, 1);
        const ome_journal_reader_t *read = &replay->reader;
        CHECK(read->last_sequence < sizeof(kept->chains) / sizeof(kept->chains[0]));
        kept->last_sequence = read->last_sequence;
        kept->chains[read->last_sequence] = read->chain_checksum;
        if (read->segment_count > segment_count)
        {
            keep_file(kept, strrchr(read->report.path, '/') + 1, true);
        }
    }
    CHECK_EQUAL(status, OME_EMPTY);
    run_replay_free(replay);
}

/* Runs of three processes, of which the last was closed or killed in the middle of a write. */
static void make_originals(uint64_t seed)
{
    for (uint32_t number = 0; number < ORIGINAL_COUNT; number++)
    {
        run_begin(seed + number);
        for (uint32_t process = 0; process < 3; process++)
        {
            const run_life_t life = {.group_count = 3 + run_below(4),
                .group_size_max = 5 + run_below(8),
                .snapshot_every = 2,
                .prepare_every = 99,
                .is_killed = process < 2 || number % 2 == 0};
            CHECK_EQUAL(run_live(&life), OME_OK);
            CHECK(run.wrong == NULL);
        }
        char name[OME_SNAPSHOT_NAME_SIZE];
        ome_snapshot_name(name, run.snapshot_sequence);
        keep_file(&originals[READER_SNAPSHOT][number], name, false);
        keep_journal(&originals[READER_JOURNAL][number]);
        run_end();
        memset(&run, 0, sizeof(run));
        original_t *stream = &originals[READER_WIRE][number];
        stream->role = number % 2;
        stream->size = wire_original(seed + number, stream->role != 0 ? OME_ZMTP_XPUB : OME_ZMTP_ROUTER, stream->bytes);
    }
}

/* ---- inputs ---- */

static size_t change(uint64_t *random, uint8_t *bytes, size_t size, uint8_t *to)
{
    return reader_of_inputs == READER_JOURNAL ? change_journal(random, bytes, size, to) : change_snapshot(random, bytes, size, to);
}

/* An original as an input, with flags: half of them have their checksums made to fit. */
static size_t original_input(const original_t *from, uint64_t random, uint8_t *to)
{
    static const uint8_t flags[] = {0, 0, FLAG_CHECKSUMS, FLAG_CHECKSUMS | FLAG_WHOLE};
    to[0] = reader_of_inputs == READER_WIRE ? from->role : flags[random % sizeof(flags)];
    memcpy(to + 1, from->bytes, from->size);
    return 1 + from->size;
}

#ifdef OME_FUZZ_GUIDED

/* ---- the driver that is guided by coverage ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed);
int LLVMFuzzerInitialize(int *argument_count, char ***arguments);

int LLVMFuzzerInitialize(int *argument_count, char ***arguments)
{
    (void)argument_count;
    (void)arguments;
    const char *name = getenv("OME_FUZZ_READER");
    reader_of_inputs = name != NULL && strcmp(name, "snapshot") == 0 ? READER_SNAPSHOT
                       : name != NULL && strcmp(name, "wire") == 0   ? READER_WIRE
                                                                     : READER_JOURNAL;
    make_originals(1);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    static uint8_t before[INPUT_SIZE_MAX];
    static uint8_t changed[INPUT_SIZE_MAX];
    uint64_t random = seed;
    if (size > OME_JOURNAL_HEADER_SIZE && below(&random, 4) == 0)
    {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    if (size <= OME_JOURNAL_HEADER_SIZE || size > sizeof(before))
    {
        size = original_input(&originals[reader_of_inputs][below(&random, ORIGINAL_COUNT)], test_random(&random), before);
    }
    else
    {
        memcpy(before, data, size);
    }
    const size_t changed_size = change(&random, before, size, changed);
    const size_t fitting_size = changed_size < size_max ? changed_size : size_max;
    memcpy(data, changed, fitting_size);
    return fitting_size;
}

#else

/* ---- the seeded driver ---- */

static uint64_t input_number;
static const char *const reader_names[READER_COUNT] = {"journal", "snapshot", "wire"};
static uint64_t seed;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* Says which input it was, unless all of them are done. */
static void say_input(void)
{
    if (input_number > 0)
    {
        fprintf(stderr, "at input %" PRIu64 " of tools/fuzz --reader %s --seed %" PRIu64 "\n", input_number, reader_names[reader_of_inputs],
            seed);
    }
}

static void take_too_long(int number)
{
    (void)number;
    fprintf(stderr, "an input takes more than %u s\n", INPUT_SECONDS_MAX);
    say_input();
    _exit(1);
}

static void try_input(uint64_t *random)
{
    static uint8_t before[INPUT_SIZE_MAX];
    static uint8_t changed[INPUT_SIZE_MAX];
    const original_t *from = &originals[reader_of_inputs][below(random, ORIGINAL_COUNT)];
    const size_t size = original_input(from, test_random(random), before);
    original = before[0] == 0 ? from : NULL;
    (void)alarm(INPUT_SECONDS_MAX);
    (void)LLVMFuzzerTestOneInput(changed, change(random, before, size, changed));
}

/* Until so many inputs were tried or so many seconds are over; the inputs depend on the seed only. */
static void try_inputs(reader_t which, uint64_t count_max, uint64_t seconds_max)
{
    const time_t end = time(NULL) + (time_t)seconds_max;
    uint64_t random = seed;
    reader_of_inputs = which;
    taken_count = 0;
    refused_count = 0;
    for (input_number = 1; input_number <= count_max && (input_number % 64 != 0 || time(NULL) < end); input_number++)
    {
        try_input(&random);
    }
    (void)alarm(0);
    printf("   %s: %" PRIu64 " inputs, %" PRIu64 " taken, %" PRIu64 " refused\n", reader_names[which], taken_count + refused_count,
        taken_count, refused_count);
    CHECK(taken_count > 0 && refused_count > 0);
    input_number = 0;
}

/* ---- tests ---- */

static void spoiled_journals_are_refused_or_are_journals(void)
{
    try_inputs(READER_JOURNAL, INPUT_COUNT_STANDARD, 100);
}

static void spoiled_snapshots_are_refused_or_are_engines(void)
{
    try_inputs(READER_SNAPSHOT, INPUT_COUNT_STANDARD, 100);
}

static void spoiled_streams_are_their_messages_or_faults(void)
{
    try_inputs(READER_WIRE, INPUT_COUNT_STANDARD, 100);
}

int main(int argument_count, char **arguments)
{
    uint32_t which = 0;
    while (argument_count == 4 && which < READER_COUNT && strcmp(arguments[1], reader_names[which]) != 0)
    {
        which++;
    }
    if ((argument_count != 1 && argument_count != 4) || which == READER_COUNT)
    {
        fprintf(stderr, "usage: %s [journal|snapshot|wire SECONDS SEED]\n", arguments[0]);
        return 2;
    }
    seed = argument_count == 4 ? strtoull(arguments[3], NULL, 0) : test_seed(34);
    make_originals(seed);
    (void)atexit(say_input);
    (void)signal(SIGALRM, take_too_long);
    if (__sanitizer_set_death_callback != NULL)
    {
        __sanitizer_set_death_callback(say_input);
    }
    if (argument_count == 4)
    {
        try_inputs((reader_t)which, UINT64_MAX, strtoull(arguments[2], NULL, 0));
        return 0;
    }
    RUN(spoiled_journals_are_refused_or_are_journals);
    RUN(spoiled_snapshots_are_refused_or_are_engines);
    RUN(spoiled_streams_are_their_messages_or_faults);
    return 0;
}

#endif
