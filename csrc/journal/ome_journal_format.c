#include "journal/ome_journal_format.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER_CHECKED_SIZE offsetof(ome_journal_header_t, checksum)

static const char name_end[] = ".ome";
#define NAME_DIGITS 20u
static_assert(sizeof("decisions-") - 1 + NAME_DIGITS + sizeof(name_end) == OME_JOURNAL_NAME_SIZE, "the longest name fits exactly");

static const char *format_name_start(ome_journal_kind_t kind)
{
    return kind == OME_JOURNAL_EVENTS ? "events-" : kind == OME_JOURNAL_DECISIONS ? "decisions-" : "journal-";
}

void ome_journal_header_set(ome_journal_header_t *header, ome_journal_kind_t kind, uint64_t epoch, uint64_t first_sequence,
    uint64_t segment_size, uint32_t previous_checksum, uint64_t configuration_hash)
{
    memset(header, 0, sizeof(*header));
    header->magic = OME_JOURNAL_MAGIC;
    header->version = OME_JOURNAL_VERSION;
    header->header_size = OME_JOURNAL_HEADER_SIZE;
    header->epoch = epoch;
    header->first_sequence = first_sequence;
    header->segment_size = segment_size;
    header->previous_checksum = previous_checksum;
    header->kind = kind;
    header->configuration_hash = configuration_hash;
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

void ome_journal_seal_encode(uint8_t *bytes, const ome_journal_seal_t *seal, uint16_t synced)
{
    ome_journal_encode(bytes, seal->last_sequence + 1, OME_JOURNAL_KIND_SEAL | synced, seal, sizeof(*seal));
}

void ome_journal_name(char *name, ome_journal_kind_t kind, uint64_t first_sequence)
{
    snprintf(name, OME_JOURNAL_NAME_SIZE, "%s%020" PRIu64 "%s", format_name_start(kind), first_sequence, name_end);
}

void ome_journal_name_temporary(char *name, ome_journal_kind_t kind, ome_journal_temporary_t temporary)
{
    static const char *const ends[OME_JOURNAL_TEMPORARY_COUNT] = {
        [OME_JOURNAL_TEMPORARY_NEW] = "new.tmp", [OME_JOURNAL_TEMPORARY_SPARE] = "spare.tmp", [OME_JOURNAL_TEMPORARY_TORN] = "torn.tmp"};
    snprintf(name, OME_JOURNAL_NAME_SIZE, "%s%s", format_name_start(kind), ends[temporary]);
}

uint64_t ome_journal_name_sequence(ome_journal_kind_t kind, const char *name)
{
    const size_t start_size = strlen(format_name_start(kind));
    if (strlen(name) != start_size + NAME_DIGITS + strlen(name_end) || strncmp(name, format_name_start(kind), start_size) != 0)
    {
        return 0;
    }
    uint64_t sequence = 0;
    for (size_t index = start_size; index < start_size + NAME_DIGITS; index++)
    {
        const uint64_t digit = (uint64_t)(name[index] - '0');
        if (digit > 9 || sequence > (UINT64_MAX - digit) / 10)
        {
            return 0;
        }
        sequence = sequence * 10 + digit;
    }
    return strcmp(name + start_size + NAME_DIGITS, name_end) == 0 ? sequence : 0;
}
