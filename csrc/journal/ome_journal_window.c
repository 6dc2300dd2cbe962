#include "journal/ome_journal_window.h"

#include <string.h>

int64_t ome_journal_window_move(ome_journal_window_t *window, const ome_file_system_t *file_system, int file, uint64_t offset)
{
    ome_journal_window_forget(window);
    const int64_t size = file_system->read(file_system->context, file, window->bytes, window->capacity_bytes, offset);
    if (size < 0)
    {
        return size;
    }
    window->offset = offset;
    window->size_bytes = (size_t)size;
    return 0;
}

/* The end of the last byte that is not zero; 0 when there is none. */
static size_t window_used_size(const uint8_t *bytes, size_t size_bytes)
{
    size_t end = size_bytes;
    uint64_t word = 0;
    while (end >= sizeof(word) && (memcpy(&word, bytes + end - sizeof(word), sizeof(word)), word == 0))
    {
        end -= sizeof(word);
    }
    while (end > 0 && bytes[end - 1] == 0)
    {
        end--;
    }
    return end;
}

int64_t ome_journal_window_find_used_end(
    ome_journal_window_t *window, const ome_file_system_t *file_system, int file, uint64_t offset, uint64_t *end)
{
    *end = offset;
    for (;;)
    {
        const uint8_t *bytes = NULL;
        size_t available_bytes = 0;
        const int64_t result = ome_journal_window_look(window, file_system, file, offset, 1, &bytes, &available_bytes);
        if (result < 0 || available_bytes == 0)
        {
            return result;
        }
        const size_t used_size = window_used_size(bytes, available_bytes);
        *end = used_size > 0 ? offset + used_size : *end;
        offset += available_bytes;
    }
}
