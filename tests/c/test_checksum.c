/* CRC-32C: the examples of RFC 3720 (appendix B.4), and the two implementations against each other. */
#include "base/ome_checksum.h"
#include "ome_test.h"

#include <string.h>

typedef uint32_t (*checksum_t)(uint32_t crc, const void *data, size_t size);

static void check_examples(checksum_t checksum)
{
    uint8_t bytes[32];
    memset(bytes, 0, sizeof(bytes));
    CHECK_EQUAL(checksum(0, bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof(bytes));
    CHECK_EQUAL(checksum(0, bytes, 32), 0x62A8AB43u);
    for (uint8_t index = 0; index < 32; index++)
    {
        bytes[index] = index;
    }
    CHECK_EQUAL(checksum(0, bytes, 32), 0x46DD794Eu);
    for (uint8_t index = 0; index < 32; index++)
    {
        bytes[index] = (uint8_t)(31 - index);
    }
    CHECK_EQUAL(checksum(0, bytes, 32), 0x113FDB5Cu);
    CHECK_EQUAL(checksum(0, "123456789", 9), 0xE3069283u);
    CHECK_EQUAL(checksum(0, NULL, 0), 0);
}

static void every_implementation_gives_the_examples_of_rfc_3720(void)
{
    check_examples(ome_crc32c);
    check_examples(ome_crc32c_table);
    if (ome_crc32c_has_instruction())
    {
        check_examples(ome_crc32c_instruction);
    }
}

static void implementations_agree_at_every_size_and_alignment(void)
{
    uint64_t random = test_seed(1);
    uint8_t bytes[512];
    for (size_t index = 0; index < sizeof(bytes); index++)
    {
        bytes[index] = (uint8_t)test_random(&random);
    }
    for (size_t start = 0; start < 9; start++)
    {
        for (size_t size = 0; size <= 500; size++)
        {
            const uint32_t crc = (uint32_t)test_random(&random);
            const uint32_t expected = ome_crc32c_table(crc, bytes + start, size);
            CHECK_EQUAL(ome_crc32c(crc, bytes + start, size), expected);
            CHECK(!ome_crc32c_has_instruction() || ome_crc32c_instruction(crc, bytes + start, size) == expected);
        }
    }
}

static void a_checksum_may_be_taken_in_parts(void)
{
    const char text[] = "what is written in two parts has the checksum of the whole";
    const uint32_t whole = ome_crc32c(0, text, sizeof(text));
    for (size_t cut = 0; cut <= sizeof(text); cut++)
    {
        CHECK_EQUAL(ome_crc32c(ome_crc32c(0, text, cut), text + cut, sizeof(text) - cut), whole);
    }
}

int main(void)
{
    RUN(every_implementation_gives_the_examples_of_rfc_3720);
    RUN(implementations_agree_at_every_size_and_alignment);
    RUN(a_checksum_may_be_taken_in_parts);
    return 0;
}
