#include "journal/ome_journal_writer.h"

#include "base/ome_assert.h"

#include <errno.h>
#include <stdio.h>

enum
{
    SPARE_ABSENT = 0,
    SPARE_READY = 1
};

#define BLOCK_SIZE OME_FILE_BLOCK_SIZE
static_assert(sizeof(ome_journal_header_t) == BLOCK_SIZE, "a header is written as one block");

/* Zeros are written in parts of this size: while a part is written, a group commit of the other thread waits for it. */
#define ZEROS_SIZE (1u << 20)

/* Not const, so that it is in no file; never written, so that it is one page of zeros in memory. */
static _Alignas(BLOCK_SIZE) uint8_t zeros[ZEROS_SIZE];

/* Room for a block that is not full, any record behind it, and what it takes to begin where a block may. */
#define MEMORY_SIZE_MIN ((size_t)4 * BLOCK_SIZE)
static_assert(MEMORY_SIZE_MIN - BLOCK_SIZE >= BLOCK_SIZE + OME_JOURNAL_RECORD_SIZE_MAX, "any record fits, and so does the seal");

/* The writer's own thread sets it, and reads it relaxed; the other thread needs no more than to see it some time. */
static bool writer_is_stopped(const ome_journal_writer_t *writer)
{
    return atomic_load_explicit(&writer->is_stopped, memory_order_relaxed);
}

static ome_status_t writer_stop(ome_journal_writer_t *writer, int64_t result, const char *call, const char *path)
{
    atomic_store_explicit(&writer->is_stopped, true, memory_order_relaxed);
    return ome_file_failed(&writer->error, result, call, path);
}

/* The bit for a record that is added now. */
static uint16_t writer_synced_bit(const ome_journal_writer_t *writer)
{
    return writer->durable_sequence == writer->next_sequence - 1 ? OME_JOURNAL_TYPE_SYNCED : 0;
}

static ome_status_t writer_sync_file(ome_journal_writer_t *writer)
{
    const int result = writer->file_system->sync_data(writer->file_system->context, writer->file);
    if (result < 0)
    {
        return writer_stop(writer, result, "fdatasync", writer->path);
    }
    writer->durable_sequence = writer->written_sequence;
    return OME_OK;
}

/* Makes a file of zeros, which are on disk when this returns OME_OK. Uses nothing of the writer that changes: both threads call it. */
static ome_status_t writer_make_zeros(const ome_journal_writer_t *writer, const char *path, int *file, ome_error_t *error)
{
    const ome_file_system_t *const file_system = writer->file_system;
    void *const context = file_system->context;
    *file = file_system->open(context, path, OME_FILE_CREATE_DIRECT);
    if (*file < 0)
    {
        return ome_file_failed(error, *file, "open", path);
    }
    const char *call = NULL;
    int result = 0;
    for (uint64_t offset = 0; offset < writer->zeros_size_bytes && result >= 0;)
    {
        const uint64_t left = writer->zeros_size_bytes - offset;
        const size_t size = left < ZEROS_SIZE ? (size_t)left : ZEROS_SIZE;
        call = "pwrite";
        result = file_system->write(context, *file, zeros, size, offset);
        offset += size;
    }
    if (result >= 0)
    {
        call = "fdatasync";
        result = file_system->sync_data(context, *file);
    }
    if (result < 0)
    {
        file_system->close(context, *file);
        *file = -1;
        (void)file_system->remove(context, path); /* a disk that is full gets its room back */
        return ome_file_failed(error, result, call, path);
    }
    return OME_OK;
}

static void writer_temporary_path(const ome_journal_writer_t *writer, char *path, ome_journal_temporary_t temporary)
{
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name_temporary(name, writer->kind, temporary);
    const ome_status_t status = ome_file_join(path, writer->directory, name);
    OME_ASSERT(status == OME_OK); /* the names of segments are longer, and were tried when the writer was opened */
}

/* Gives a file of zeros: the one that was prepared, or one made here. */
static ome_status_t writer_take_zeros(ome_journal_writer_t *writer, int *file, char *path, bool *is_spare)
{
    *is_spare = false;
    /* Acquire: pairs with the release in ome_journal_writer_prepare_next. */
    if (atomic_load_explicit(&writer->spare_state, memory_order_acquire) == SPARE_READY)
    {
        writer_temporary_path(writer, path, OME_JOURNAL_TEMPORARY_SPARE);
        *file = writer->spare_file;
        *is_spare = true;
        return OME_OK;
    }
    writer_temporary_path(writer, path, OME_JOURNAL_TEMPORARY_NEW);
    const ome_status_t status = writer_make_zeros(writer, path, file, &writer->error);
    if (status != OME_OK)
    {
        atomic_store_explicit(&writer->is_stopped, true, memory_order_relaxed);
    }
    return status;
}

/* Writes the header into a file of zeros and gives the file the segment's name, in this order: a segment that has its name is whole. */
static ome_status_t writer_name_segment(ome_journal_writer_t *writer, int file, const char *temporary)
{
    const ome_file_system_t *const file_system = writer->file_system;
    ome_journal_header_t *const header = (void *)writer->buffer; /* which is empty */
    ome_journal_header_set(header, writer->kind, writer->epoch, writer->next_sequence, writer->segment_size_bytes, writer->checksum,
        writer->configuration_hash);
    int result = file_system->write(file_system->context, file, header, sizeof(*header), 0);
    if (result < 0)
    {
        return writer_stop(writer, result, "pwrite", temporary);
    }
    result = file_system->sync_data(file_system->context, file);
    if (result < 0)
    {
        return writer_stop(writer, result, "fdatasync", temporary);
    }
    result = file_system->rename(file_system->context, temporary, writer->path);
    if (result < 0)
    {
        return writer_stop(writer, result, "rename", writer->path);
    }
    result = file_system->sync_directory(file_system->context, writer->directory);
    return result < 0 ? writer_stop(writer, result, "fsync", writer->directory) : OME_OK;
}

/* Begins the segment whose first record is the next sequence. */
static ome_status_t writer_begin_segment(ome_journal_writer_t *writer)
{
    char name[OME_JOURNAL_NAME_SIZE];
    char temporary[OME_PATH_SIZE];
    int file;
    bool is_spare;
    ome_status_t status = writer_take_zeros(writer, &file, temporary, &is_spare);
    if (status != OME_OK)
    {
        return status;
    }
    if (writer->file >= 0)
    {
        writer->file_system->close(writer->file_system->context, writer->file); /* all of it is on disk: a failure loses nothing */
    }
    writer->file = file;
    writer->offset = OME_JOURNAL_HEADER_SIZE;
    writer->buffer_offset = OME_JOURNAL_HEADER_SIZE;
    writer->buffer_used_bytes = 0;
    writer->segment_first_sequence = writer->next_sequence;
    ome_journal_name(name, writer->kind, writer->next_sequence);
    status = ome_file_join(writer->path, writer->directory, name);
    OME_ASSERT(status == OME_OK);
    status = writer_name_segment(writer, file, temporary);
    if (is_spare)
    {
        writer->spare_file = -1;
        /* Release: the file no longer has the name that the next one will be given. Pairs with the acquire in ..._prepare_next. */
        atomic_store_explicit(&writer->spare_state, SPARE_ABSENT, memory_order_release);
    }
    return status;
}

/* Recovery leaves a last segment that has no records in place, so that its epoch is not forgotten; the next run replaces it. */
static ome_status_t writer_check_replaceable(ome_journal_writer_t *writer)
{
    const ome_file_system_t *const file_system = writer->file_system;
    const int file = file_system->open(file_system->context, writer->path, OME_FILE_READ);
    if (file == -ENOENT)
    {
        return OME_OK;
    }
    if (file < 0)
    {
        return writer_stop(writer, file, "open", writer->path);
    }
    const int64_t size = file_system->size(file_system->context, file);
    file_system->close(file_system->context, file);
    if (size < 0)
    {
        return writer_stop(writer, size, "fstat", writer->path);
    }
    return size > OME_JOURNAL_HEADER_SIZE ? writer_stop(writer, -EEXIST, "open", writer->path) : OME_OK;
}

static size_t writer_whole_blocks(size_t size_bytes)
{
    return (size_bytes + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
}

size_t ome_journal_writer_size_bytes(uint32_t group_count_max)
{
    const size_t size = (size_t)group_count_max * OME_JOURNAL_COMMAND_SIZE;
    return MEMORY_SIZE_MIN + (size > OME_JOURNAL_RECORD_SIZE_MAX ? writer_whole_blocks(size - OME_JOURNAL_RECORD_SIZE_MAX) : 0);
}

ome_status_t ome_journal_writer_open(
    ome_journal_writer_t *writer, void *memory, size_t size_bytes, const ome_journal_writer_config_t *config)
{
    memset(writer, 0, sizeof(*writer));
    writer->file = -1;
    writer->spare_file = -1;
    atomic_init(&writer->spare_state, SPARE_ABSENT);
    atomic_init(&writer->is_stopped, true); /* until the first segment is there */
    char name[OME_JOURNAL_NAME_SIZE];
    ome_journal_name(name, config->kind, config->first_sequence);
    if (!ome_journal_kind_is_known(config->kind) || config->epoch == 0 || config->first_sequence == 0 ||
        config->segment_size_bytes < OME_JOURNAL_SEGMENT_SIZE_MIN || config->segment_size_bytes > OME_JOURNAL_SEGMENT_SIZE_MAX ||
        config->segment_size_bytes % OME_JOURNAL_HEADER_SIZE != 0 || ome_file_join(writer->path, config->directory, name) != OME_OK)
    {
        return OME_INVALID;
    }
    if (size_bytes < MEMORY_SIZE_MIN)
    {
        return OME_NO_MEMORY;
    }
    const size_t before_bytes = -(uintptr_t)memory % BLOCK_SIZE;
    writer->file_system = config->file_system;
    writer->buffer = (uint8_t *)memory + before_bytes;
    writer->buffer_capacity_bytes = (size_bytes - before_bytes) / BLOCK_SIZE * BLOCK_SIZE;
    writer->segment_size_bytes = config->segment_size_bytes;
    writer->zeros_size_bytes = config->grows ? 0 : config->segment_size_bytes;
    writer->kind = config->kind;
    writer->epoch = config->epoch;
    writer->configuration_hash = config->configuration_hash;
    writer->next_sequence = config->first_sequence;
    writer->written_sequence = config->first_sequence - 1;
    writer->durable_sequence = config->first_sequence - 1;
    writer->checksum = config->previous_checksum;
    snprintf(writer->directory, sizeof(writer->directory), "%s", config->directory);
    ome_status_t status = writer_check_replaceable(writer);
    if (status == OME_OK)
    {
        status = writer_begin_segment(writer);
    }
    atomic_store_explicit(&writer->is_stopped, status != OME_OK, memory_order_relaxed);
    return status;
}

/* Commits, with a seal behind the last record: append left room for it in the segment. */
static ome_status_t writer_seal(ome_journal_writer_t *writer, ome_journal_seal_reason_t reason)
{
    ome_status_t status = OME_OK;
    if (writer->buffer_used_bytes + OME_JOURNAL_SEAL_SIZE > writer->buffer_capacity_bytes)
    {
        status = ome_journal_writer_write(writer);
    }
    if (status != OME_OK)
    {
        return status;
    }
    const ome_journal_seal_t data = {.record_count = writer->next_sequence - writer->segment_first_sequence,
        .last_sequence = writer->next_sequence - 1,
        .chain_checksum = writer->checksum,
        .reason = reason};
    ome_journal_seal_encode(writer->buffer + writer->buffer_used_bytes, &data, writer_synced_bit(writer));
    writer->buffer_used_bytes += OME_JOURNAL_SEAL_SIZE;
    status = ome_journal_writer_write(writer);
    if (status != OME_OK)
    {
        return status;
    }
    return writer_sync_file(writer); /* also when all records were on disk */
}

/* Ends the segment: all of it is on disk before the next one gets its name. */
static ome_status_t writer_next_segment(ome_journal_writer_t *writer)
{
    const ome_status_t status = writer_seal(writer, OME_JOURNAL_SEAL_ROTATION);
    if (status != OME_OK)
    {
        return status;
    }
    /* Relaxed: only counts; writer_begin_segment looks again. */
    if (atomic_load_explicit(&writer->spare_state, memory_order_relaxed) == SPARE_ABSENT)
    {
        writer->unprepared_count++;
    }
    return writer_begin_segment(writer);
}

ome_status_t ome_journal_writer_make_room(ome_journal_writer_t *writer, size_t size_bytes)
{
    if (writer_is_stopped(writer))
    {
        return OME_STOPPED;
    }
    OME_ASSERT(size_bytes <= OME_JOURNAL_RECORD_SIZE_MAX);
    const uint64_t end = writer->buffer_offset + writer->buffer_used_bytes + size_bytes;
    if (end + OME_JOURNAL_SEAL_SIZE > writer->segment_size_bytes)
    {
        return writer_next_segment(writer);
    }
    return writer->buffer_used_bytes + size_bytes > writer->buffer_capacity_bytes ? ome_journal_writer_write(writer) : OME_OK;
}

ome_status_t ome_journal_writer_append(
    ome_journal_writer_t *writer, uint64_t sequence, uint16_t kind, const void *data, uint32_t length_bytes)
{
    OME_ASSERT(sequence == writer->next_sequence);
    OME_ASSERT(kind >= 1);
    OME_ASSERT(kind <= OME_JOURNAL_KIND_MAX);
    OME_ASSERT(length_bytes <= OME_JOURNAL_DATA_SIZE_MAX);
    const size_t size = OME_JOURNAL_ENVELOPE_SIZE + length_bytes;
    const ome_status_t status = ome_journal_writer_make_room(writer, size);
    if (status != OME_OK)
    {
        return status;
    }
    const uint16_t type = kind | writer_synced_bit(writer);
    const uint32_t checksum = ome_journal_encode(writer->buffer + writer->buffer_used_bytes, sequence, type, data, length_bytes);
    writer->checksum = ome_journal_chain(writer->checksum, checksum);
    writer->buffer_used_bytes += size;
    writer->next_sequence++;
    return OME_OK;
}

/* All of the buffer was written: what is left in it is a last block that is not full. */
static void writer_keep_last_block(ome_journal_writer_t *writer)
{
    const size_t kept_bytes = writer->buffer_used_bytes % BLOCK_SIZE;
    const size_t done_bytes = writer->buffer_used_bytes - kept_bytes;
    memmove(writer->buffer, writer->buffer + done_bytes, kept_bytes);
    writer->buffer_offset += done_bytes;
    writer->buffer_used_bytes = kept_bytes;
}

ome_status_t ome_journal_writer_write(ome_journal_writer_t *writer)
{
    if (writer_is_stopped(writer))
    {
        return OME_STOPPED;
    }
    const uint64_t end = writer->buffer_offset + writer->buffer_used_bytes;
    if (end == writer->offset)
    {
        return OME_OK;
    }
    const ome_file_system_t *const file_system = writer->file_system;
    const size_t size = writer_whole_blocks(writer->buffer_used_bytes);
    memset(writer->buffer + writer->buffer_used_bytes, 0, size - writer->buffer_used_bytes);
    const int result = file_system->write(file_system->context, writer->file, writer->buffer, size, writer->buffer_offset);
    if (result < 0)
    {
        return writer_stop(writer, result, "pwrite", writer->path);
    }
    writer->offset = end;
    writer->written_sequence = writer->next_sequence - 1;
    writer_keep_last_block(writer);
    return OME_OK;
}

ome_status_t ome_journal_writer_sync(ome_journal_writer_t *writer)
{
    if (writer_is_stopped(writer))
    {
        return OME_STOPPED;
    }
    if (writer->durable_sequence == writer->written_sequence)
    {
        return OME_OK;
    }
    return writer_sync_file(writer);
}

ome_status_t ome_journal_writer_commit(ome_journal_writer_t *writer)
{
    const ome_status_t status = ome_journal_writer_write(writer);
    return status == OME_OK ? ome_journal_writer_sync(writer) : status;
}

ome_status_t ome_journal_writer_prepare_next(ome_journal_writer_t *writer)
{
    if (writer_is_stopped(writer))
    {
        return OME_STOPPED;
    }
    /* Acquire: pairs with the release in writer_begin_segment. */
    if (atomic_load_explicit(&writer->spare_state, memory_order_acquire) == SPARE_READY)
    {
        return OME_OK;
    }
    char path[OME_PATH_SIZE];
    writer_temporary_path(writer, path, OME_JOURNAL_TEMPORARY_SPARE);
    const ome_status_t status = writer_make_zeros(writer, path, &writer->spare_file, &writer->spare_error);
    if (status == OME_OK)
    {
        /* Release: pairs with the acquire in writer_take_zeros. */
        atomic_store_explicit(&writer->spare_state, SPARE_READY, memory_order_release);
    }
    return status;
}

/* Nothing comes after this seal that would prove the last group complete: so that one is on disk first, and the seal is synced and proves it. */
static ome_status_t writer_commit_and_seal(ome_journal_writer_t *writer)
{
    const ome_status_t status = ome_journal_writer_commit(writer);
    return status == OME_OK ? writer_seal(writer, OME_JOURNAL_SEAL_CLOSE) : status;
}

ome_status_t ome_journal_writer_close(ome_journal_writer_t *writer)
{
    const ome_status_t status = writer_is_stopped(writer) ? OME_STOPPED : writer_commit_and_seal(writer);
    const ome_file_system_t *const file_system = writer->file_system;
    if (writer->spare_file >= 0)
    {
        file_system->close(file_system->context, writer->spare_file);
        if (status == OME_OK)
        {
            char path[OME_PATH_SIZE];
            writer_temporary_path(writer, path, OME_JOURNAL_TEMPORARY_SPARE);
            file_system->remove(file_system->context, path); /* recovery does it where this fails */
        }
        writer->spare_file = -1;
    }
    if (writer->file >= 0)
    {
        file_system->close(file_system->context, writer->file);
        writer->file = -1;
    }
    atomic_store_explicit(&writer->is_stopped, true, memory_order_relaxed);
    return status;
}
