/* Decisions: what was decided comes back, what a cut makes void does not count, and a failed call or a power cut leaves
 * those that were made before. */
#include "ome_memory_file.h"
#include "ome_test.h"
#include "pipeline/ome_decisions.h"

#define DIRECTORY "data"

static uint64_t seed;
static memory_file_system_t memory;
static ome_journal_reader_t reader;
static uint8_t reader_memory[1 << 20];
static ome_decisions_t decisions;

static ome_decision_t decision_of(uint64_t sequence, ome_decision_kind_t kind)
{
    return (ome_decision_t){.sequence = sequence, .time_ns = sequence * 1000, .checksum = (uint32_t)sequence * 7, .kind = kind};
}

static ome_status_t decide(uint64_t sequence, ome_decision_kind_t kind)
{
    const ome_decision_t decision = decision_of(sequence, kind);
    ome_error_t error = {0};
    const ome_status_t status = ome_decisions_write(&memory.table, DIRECTORY, &decision, &error);
    CHECK_EQUAL(status == OME_IO_ERROR, error.call != NULL);
    return status;
}

static ome_status_t read_decisions(void)
{
    return ome_decisions_read(&decisions, &reader, reader_memory, &memory.table, DIRECTORY);
}

static ome_status_t find(uint64_t sequence, uint32_t checksum)
{
    const ome_journal_record_t record = {.sequence = sequence, .checksum = checksum};
    return ome_decisions_may_be(&decisions, sequence) ? ome_decisions_find(&decisions, &record) : OME_EMPTY;
}

/* Rule: decisions are kept in order, one after the other, and found by the commands that they are about. */
static void decisions_come_back(void)
{
    memory_start(&memory, seed);
    CHECK_EQUAL(read_decisions(), OME_OK);
    CHECK_EQUAL(decisions.count, 0);
    CHECK_EQUAL(find(1, 0), OME_EMPTY);
    for (uint64_t number = 1; number <= 20; number++)
    {
        CHECK_EQUAL(decide(1000 - number * 7, OME_DECISION_QUARANTINE), OME_OK);
        CHECK_EQUAL(read_decisions(), OME_OK);
        CHECK_EQUAL(decisions.count, number);
    }
    for (uint32_t index = 0; index < 20; index++)
    {
        const ome_decision_t expected = decision_of(993 - index * 7, OME_DECISION_QUARANTINE);
        CHECK_BYTES_EQUAL(&decisions.entries[index], &expected, sizeof(expected));
    }
    for (uint64_t sequence = 1; sequence < 1010; sequence++)
    {
        const bool is_bad = sequence >= 860 && sequence <= 993 && (1000 - sequence) % 7 == 0;
        CHECK_EQUAL(find(sequence, (uint32_t)sequence * 7), is_bad ? OME_OK : OME_EMPTY);
    }
    memory_end(&memory);
}

/* Rule: after a cut, decisions from its sequence on are void, since other commands get these sequences; what is decided
 * about them later counts. */
static void a_cut_makes_earlier_decisions_void(void)
{
    memory_start(&memory, seed);
    CHECK_EQUAL(decide(10, OME_DECISION_QUARANTINE), OME_OK);
    CHECK_EQUAL(decide(20, OME_DECISION_QUARANTINE), OME_OK);
    CHECK_EQUAL(decide(30, OME_DECISION_QUARANTINE), OME_OK);
    CHECK_EQUAL(decide(20, OME_DECISION_CUT), OME_OK);
    CHECK_EQUAL(decide(30, OME_DECISION_QUARANTINE), OME_OK);
    CHECK_EQUAL(decide(5, OME_DECISION_BEGIN), OME_OK);
    CHECK_EQUAL(read_decisions(), OME_OK);
    CHECK_EQUAL(decisions.count, 6);
    CHECK_EQUAL(find(10, 70), OME_OK);
    CHECK_EQUAL(find(20, 1), OME_EMPTY);
    CHECK_EQUAL(find(30, 210), OME_OK);
    CHECK_EQUAL(read_decisions(), OME_OK);
    CHECK_EQUAL(find(30, 211), OME_DAMAGED);
    CHECK(decisions.reason != NULL);
    memory_end(&memory);
}

/* Rule: there are at most so many, and only kinds that are known. */
static void decisions_are_bounded_and_of_known_kinds(void)
{
    memory_start(&memory, seed);
    CHECK_EQUAL(read_decisions(), OME_OK);
    for (uint32_t number = 0; number < OME_DECISION_COUNT_MAX; number++)
    {
        const ome_decision_t decision = decision_of(number + 1, OME_DECISION_QUARANTINE);
        CHECK_EQUAL(ome_decisions_take(&decisions, &decision), OME_OK);
    }
    const ome_decision_t decision = decision_of(5000, OME_DECISION_QUARANTINE);
    CHECK_EQUAL(ome_decisions_take(&decisions, &decision), OME_FULL);
    CHECK(decisions.reason != NULL);
    CHECK_EQUAL(decide(7, (ome_decision_kind_t)0), OME_UNSUPPORTED);
    CHECK_EQUAL(decide(7, (ome_decision_kind_t)(OME_DECISION_BEGIN + 1)), OME_UNSUPPORTED);
    CHECK_EQUAL(read_decisions(), OME_OK);
    CHECK_EQUAL(decisions.count, 0);
    memory_end(&memory);
}

/* Rule: every flipped bit of a decision's record is found, or leaves the decision that was last made undone; none is misread. */
static void flipped_bits_are_found(void)
{
    memory_start(&memory, seed);
    CHECK_EQUAL(decide(10, OME_DECISION_QUARANTINE), OME_OK);
    CHECK_EQUAL(decide(20, OME_DECISION_QUARANTINE), OME_OK);
    memory_node_t *file = memory_file(&memory, "decisions-00000000000000000001.ome");
    const size_t size = OME_JOURNAL_HEADER_SIZE + OME_JOURNAL_ENVELOPE_SIZE + sizeof(ome_decision_t) + OME_JOURNAL_SEAL_SIZE;
    for (size_t bit = 0; bit < size * 8; bit++)
    {
        file->seen[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_EQUAL(read_decisions(), OME_DAMAGED);
        CHECK_EQUAL(decide(30, OME_DECISION_QUARANTINE), OME_DAMAGED);
        file->seen[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_EQUAL(read_decisions(), OME_OK);
    CHECK_EQUAL(decisions.count, 2);
    memory_end(&memory);
}

/* Makes the third decision, dies at the n-th call, and checks that the first two are there and the third may be made
 * again. True while n is a call. */
static bool check_interrupted(uint64_t call, bool cuts_power, uint64_t variant)
{
    memory_start(&memory, seed + call + 1000 * variant);
    CHECK_EQUAL(decide(10, OME_DECISION_QUARANTINE), OME_OK);
    CHECK_EQUAL(decide(20, OME_DECISION_QUARANTINE), OME_OK);
    memory.call_count = 0;
    memory.fail_call = call;
    memory.fails_ever_after = true;
    memory.fail = MEMORY_FAIL_TORN;
    const ome_status_t status = decide(30, OME_DECISION_QUARANTINE);
    const bool is_reached = memory.call_count >= call;
    CHECK_EQUAL(status, is_reached ? OME_IO_ERROR : OME_OK);
    memory_restart(&memory);
    if (cuts_power)
    {
        memory_cut_power(&memory);
    }
    CHECK_EQUAL(read_decisions(), OME_OK);
    CHECK(decisions.count == 3 || (is_reached && decisions.count == 2));
    const uint32_t count = decisions.count;
    CHECK_EQUAL(decide(40, OME_DECISION_QUARANTINE), OME_OK);
    CHECK_EQUAL(read_decisions(), OME_OK);
    CHECK_EQUAL(decisions.count, count + 1);
    CHECK_EQUAL(find(10, 70), OME_OK);
    CHECK_EQUAL(find(20, 140), OME_OK);
    CHECK_EQUAL(find(40, 280), OME_OK);
    memory_end(&memory);
    return is_reached;
}

/* Rule: a call that fails, or a power cut at any call, loses no decision that was made. */
static void a_decision_is_made_or_not_and_those_before_stay(void)
{
    bool is_reached = true;
    uint64_t call = 1;
    for (; is_reached; call++)
    {
        is_reached = check_interrupted(call, false, 0);
        for (uint64_t variant = 0; variant < 10; variant++)
        {
            check_interrupted(call, true, variant);
        }
    }
    CHECK(call > 20);
}

int main(void)
{
    seed = test_seed(41);
    RUN(decisions_come_back);
    RUN(a_cut_makes_earlier_decisions_void);
    RUN(decisions_are_bounded_and_of_known_kinds);
    RUN(flipped_bits_are_found);
    RUN(a_decision_is_made_or_not_and_those_before_stay);
    return 0;
}
