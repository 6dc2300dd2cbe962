#include "journal/ome_journal_format.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER_CHECKED_SIZE offsetof(ome_journal_header_t, checksum)

static const char name_start[] = "journal-";
static const char name_end[] = ".ome";
#define NAME_START_SIZE (sizeof(name_start) - 1)
#define NAME_DIGITS 20u
static_assert(NAME_START_SIZE + NAME_DIGITS + sizeof(name_end) == OME_JOURNAL_NAME_SIZE, "a name fits exactly");

void ome_journal_header_set(
    ome_journal_header_t *header, uint64_t epoch, uint64_t first_sequence, uint64_t segment_size, uint32_t previous_checksum)
{
    memset(header, 0, sizeof(*header));
    header->magic = OME_JOURNAL_MAGIC;
    header->version = OME_JOURNAL_VERSION;
    header->header_size = OME_JOURNAL_HEADER_SIZE;
    header->epoch = epoch;
    header->first_sequence = first_sequence;
    header->segment_size = segment_size;
    header->previous_checksum = previous_checksum;
    header->checksum = ome_crc32c(0, header, HEADER_CHECKED_SIZE);
}

const char *ome_journal_header_fault(const ome_journal_header_t *header)
{
    if (header->magic != OME_JOURNAL_MAGIC)
    {
        return "the magic number is not that of a journal segment";
    }
    if (header->checksum != ome_crc32c(0, header, HEADER_CHECKED_SIZE))
    {
        return "the header's checksum is wrong";
    }
    return NULL;
}

void ome_journal_name(char *name, uint64_t first_sequence)
{
    snprintf(name, OME_JOURNAL_NAME_SIZE, "%s%020" PRIu64 "%s", name_start, first_sequence, name_end);
}

uint64_t ome_journal_name_sequence(const char *name)
{
    if (strlen(name) != OME_JOURNAL_NAME_SIZE - 1 || strncmp(name, name_start, NAME_START_SIZE) != 0)
    {
        return 0;
    }
    uint64_t sequence = 0;
    for (size_t index = NAME_START_SIZE; index < NAME_START_SIZE + NAME_DIGITS; index++)
    {
        const uint64_t digit = (uint64_t)(name[index] - '0');
        if (digit > 9 || sequence > (UINT64_MAX - digit) / 10)
        {
            return 0;
        }
        sequence = sequence * 10 + digit;
    }
    return strcmp(name + NAME_START_SIZE + NAME_DIGITS, name_end) == 0 ? sequence : 0;
}
