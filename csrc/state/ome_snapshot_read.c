/* The bytes of a snapshot, and its header. */
#include "state/ome_snapshot_read.h"

#include "base/ome_checksum.h"

bool ome_snapshot_fault_at(ome_snapshot_reader_t *reader, uint64_t offset, const char *reason)
{
    reader->reason = reason;
    reader->offset = offset;
    return false;
}

bool ome_snapshot_fault(ome_snapshot_reader_t *reader, const char *reason)
{
    return ome_snapshot_fault_at(reader, ome_snapshot_offset(reader->taken_at_bytes), reason);
}

ome_status_t ome_snapshot_status(const ome_snapshot_reader_t *reader)
{
    return reader->result < 0 ? OME_IO_ERROR : OME_DAMAGED;
}

/* ---- bytes ---- */

/* Reads bytes that must be there. */
static bool read_bytes(ome_snapshot_reader_t *reader, void *bytes, uint32_t size_bytes, uint64_t offset)
{
    const int64_t got = reader->get(reader->context, bytes, size_bytes);
    if (got < 0)
    {
        reader->result = (int)got;
        return false;
    }
    if ((uint64_t)got != size_bytes)
    {
        return ome_snapshot_fault_at(reader, offset + (uint64_t)got, "it ends before all of it is there");
    }
    return true;
}

static bool read_block(ome_snapshot_reader_t *reader)
{
    const uint64_t left_bytes = reader->content_bytes - reader->loaded_bytes;
    const uint64_t offset = ome_snapshot_offset(reader->loaded_bytes);
    const uint32_t size_bytes = left_bytes < OME_SNAPSHOT_BLOCK_SIZE ? (uint32_t)left_bytes : OME_SNAPSHOT_BLOCK_SIZE;
    if (size_bytes == 0)
    {
        return ome_snapshot_fault_at(reader, offset, "the sections hold less than they count");
    }
    if (!read_bytes(reader, reader->block, size_bytes + OME_SNAPSHOT_CHECKSUM_SIZE, offset))
    {
        return false;
    }
    uint32_t checksum;
    memcpy(&checksum, reader->block + size_bytes, sizeof(checksum));
    reader->checksum = ome_crc32c(reader->checksum, reader->block, size_bytes);
    if (checksum != reader->checksum)
    {
        return ome_snapshot_fault_at(reader, offset, "a block's checksum is wrong");
    }
    reader->loaded_bytes += size_bytes;
    reader->size_bytes = size_bytes;
    reader->used_bytes = 0;
    return true;
}

bool ome_snapshot_take_across(ome_snapshot_reader_t *reader, void *entry, uint32_t size_bytes)
{
    const uint32_t here_bytes = reader->size_bytes - reader->used_bytes;
    memcpy(entry, reader->block + reader->used_bytes, here_bytes);
    if (!read_block(reader))
    {
        return false;
    }
    if (reader->size_bytes < size_bytes - here_bytes)
    {
        return ome_snapshot_fault_at(reader, ome_snapshot_offset(reader->loaded_bytes), "the sections hold less than they count");
    }
    memcpy((uint8_t *)entry + here_bytes, reader->block, size_bytes - here_bytes);
    reader->used_bytes = size_bytes - here_bytes;
    return true;
}

/* ---- header ---- */

/* The least and the most bytes that an entry of a section has. */
typedef struct
{
    uint64_t least;
    uint64_t most;
} entry_size_t;

static entry_size_t read_entry_size(uint32_t version, uint32_t type)
{
    const bool is_plain = version == OME_SNAPSHOT_VERSION_PLAIN;
    const uint64_t session = ome_snapshot_session_size(version);
    const uint64_t order = sizeof(ome_snapshot_order_t);
    const uint64_t special = sizeof(ome_snapshot_special_t);
    const uint64_t attributes = is_plain ? 0 : sizeof(ome_snapshot_attributes_t);
    const uint64_t stop = order + special + sizeof(ome_snapshot_stop_t);
    const uint64_t pending = sizeof(ome_snapshot_pending_t) + (is_plain ? 0 : sizeof(ome_snapshot_more_terms_t));
    switch (type)
    {
    case OME_SNAPSHOT_SECTION_INSTRUMENTS:
        return (entry_size_t){sizeof(ome_snapshot_instrument_t), sizeof(ome_snapshot_instrument_t)};
    case OME_SNAPSHOT_SECTION_SESSIONS:
        return (entry_size_t){session, session};
    case OME_SNAPSHOT_SECTION_FREE_SLOTS:
        return (entry_size_t){sizeof(ome_snapshot_free_slot_t), sizeof(ome_snapshot_free_slot_t)};
    case OME_SNAPSHOT_SECTION_ORDERS:
        return (entry_size_t){order, order + special + attributes};
    case OME_SNAPSHOT_SECTION_STOPS:
        return (entry_size_t){stop, stop + attributes};
    case OME_SNAPSHOT_SECTION_ACCOUNTS:
        return (entry_size_t){sizeof(ome_snapshot_account_t), sizeof(ome_snapshot_account_t)};
    default:
        return (entry_size_t){pending, pending};
    }
}

/* How many entries a section can have at most. */
static uint64_t read_count_max(const ome_snapshot_header_t *limits, uint32_t type)
{
    switch (type)
    {
    case OME_SNAPSHOT_SECTION_INSTRUMENTS:
        return limits->instrument_count_max;
    case OME_SNAPSHOT_SECTION_SESSIONS:
        return limits->session_count_max;
    case OME_SNAPSHOT_SECTION_STOPS:
        return limits->special_count_max;
    case OME_SNAPSHOT_SECTION_PENDING:
        return 1;
    case OME_SNAPSHOT_SECTION_ACCOUNTS:
        return limits->account_count_max;
    default:
        return limits->order_count_max;
    }
}

static bool read_check_section(ome_snapshot_reader_t *reader, uint32_t type)
{
    const ome_snapshot_section_t *section = ome_snapshot_section(&reader->header, type);
    const uint64_t offset = ome_snapshot_section_offset(type);
    if (section->type != type || section->reserved != 0)
    {
        return ome_snapshot_fault_at(reader, offset, "a section is not the one that belongs there");
    }
    if (section->count > read_count_max(&reader->header, type))
    {
        return ome_snapshot_fault_at(reader, offset, "a section counts more than the limits allow");
    }
    const entry_size_t size = read_entry_size(reader->header.version, type);
    if (section->size_bytes < section->count * size.least || section->size_bytes > section->count * size.most)
    {
        return ome_snapshot_fault_at(reader, offset, "a section's size is not that of what it counts");
    }
    return true;
}

static bool read_check_counts(ome_snapshot_reader_t *reader)
{
    const ome_snapshot_header_t *header = &reader->header;
    const uint64_t live_count =
        ome_snapshot_count(header, OME_SNAPSHOT_SECTION_ORDERS) + ome_snapshot_count(header, OME_SNAPSHOT_SECTION_STOPS);
    const uint64_t free_count = ome_snapshot_count(header, OME_SNAPSHOT_SECTION_FREE_SLOTS);
    if (live_count != header->order_count)
    {
        return ome_snapshot_fault_at(
            reader, offsetof(ome_snapshot_header_t, order_count), "the sections do not hold the orders that it counts");
    }
    if (header->slots_ever_used > header->order_count_max || live_count + free_count + header->slots_retired != header->slots_ever_used)
    {
        return ome_snapshot_fault_at(
            reader, offsetof(ome_snapshot_header_t, slots_ever_used), "the slots are not those of orders, free and retired ones");
    }
    if (header->total_size != ome_snapshot_total_size(header))
    {
        return ome_snapshot_fault_at(reader, offsetof(ome_snapshot_header_t, total_size), "its size is not that of its sections");
    }
    return true;
}

/* What the version does not have is zero. */
static bool read_has_what_it_may(const ome_snapshot_header_t *header)
{
    const ome_snapshot_section_t *accounts = &header->accounts;
    const bool has_accounts = (accounts->type | accounts->reserved | accounts->count | accounts->size_bytes | header->account_count_max |
                                  header->limit_flags) != 0;
    return ome_snapshot_is_zero(header->reserved, sizeof(header->reserved)) &&
           (header->version >= OME_SNAPSHOT_VERSION_ACCOUNTS || !has_accounts);
}

static bool read_check_header(ome_snapshot_reader_t *reader)
{
    const ome_snapshot_header_t *header = &reader->header;
    if (header->header_size != OME_SNAPSHOT_HEADER_SIZE || header->section_count != ome_snapshot_section_count(header->version) ||
        !read_has_what_it_may(header))
    {
        return ome_snapshot_fault_at(reader, 0, "the header is not one of this version");
    }
    const ome_limits_t limits = ome_snapshot_limits(header);
    if (ome_engine_size_bytes(&limits) == 0)
    {
        return ome_snapshot_fault_at(reader, offsetof(ome_snapshot_header_t, order_count_max), "a limit is out of range");
    }
    for (uint32_t type = 1; type <= header->section_count; type++)
    {
        if (!read_check_section(reader, type))
        {
            return false;
        }
    }
    return read_check_counts(reader);
}

ome_status_t ome_snapshot_open(ome_snapshot_reader_t *reader, ome_snapshot_get_t get, void *context)
{
    ome_snapshot_header_t *const header = &reader->header;
    reader->get = get;
    reader->context = context;
    reader->reason = NULL;
    reader->offset = 0;
    reader->result = 0;
    if (!read_bytes(reader, header, sizeof(*header), 0))
    {
        return ome_snapshot_status(reader);
    }
    if (header->magic != OME_SNAPSHOT_MAGIC)
    {
        (void)ome_snapshot_fault_at(reader, 0, "the magic number is not that of a snapshot");
        return OME_DAMAGED;
    }
    if (header->checksum != ome_crc32c(0, header, offsetof(ome_snapshot_header_t, checksum)))
    {
        (void)ome_snapshot_fault_at(reader, offsetof(ome_snapshot_header_t, checksum), "the header's checksum is wrong");
        return OME_DAMAGED;
    }
    if (header->version == 0 || header->version > OME_SNAPSHOT_VERSION)
    {
        (void)ome_snapshot_fault_at(
            reader, offsetof(ome_snapshot_header_t, version), "it has another version of the format than this build reads");
        return OME_UNSUPPORTED;
    }
    if (header->rules_version > OME_RULES_VERSION)
    {
        (void)ome_snapshot_fault_at(reader, offsetof(ome_snapshot_header_t, rules_version),
            "its engine follows a version of the rules that this build does not know");
        return OME_UNSUPPORTED;
    }
    if (!read_check_header(reader))
    {
        return OME_DAMAGED;
    }
    reader->checksum = header->checksum;
    reader->content_bytes = ome_snapshot_content_size(header);
    reader->loaded_bytes = reader->taken_at_bytes = 0;
    reader->size_bytes = reader->used_bytes = 0;
    return OME_OK;
}
