/* A window on a file that is being read: a piece of it in memory, which moves to where somebody looks.
 *
 * One thread owns a window. It has no file of its own: whoever looks says which one, and forgets what is shown before looking at
 * another. The memory is the caller's, and may be used for something else once what is shown is forgotten. A window that is not full
 * ends where the file does. */
#ifndef OME_JOURNAL_WINDOW_H
#define OME_JOURNAL_WINDOW_H

#include "base/ome_file.h"

#include <stdbool.h>

typedef struct
{
    uint8_t *bytes;
    size_t capacity_bytes;
    size_t size_bytes; /* shown; fewer than the capacity: the file ends behind them */
    uint64_t offset; /* in the file, of the first byte shown; UINT64_MAX: nothing is shown */
} ome_journal_window_t;

/* Shows nothing any more: the file may have changed, or another one is looked at next. */
static inline void ome_journal_window_forget(ome_journal_window_t *window)
{
    window->offset = UINT64_MAX;
    window->size_bytes = 0;
}

/* True when the window shows `wanted_bytes` at `offset`, or all that the file has there. */
static inline bool ome_journal_window_shows(const ome_journal_window_t *window, uint64_t offset, size_t wanted_bytes)
{
    if (offset < window->offset || offset - window->offset > window->size_bytes)
    {
        return false;
    }
    const size_t shown_bytes = window->size_bytes - (size_t)(offset - window->offset);
    return wanted_bytes <= shown_bytes || window->size_bytes < window->capacity_bytes;
}

/* Moves the window to `offset`. Returns 0, or the negative errno of a read that failed; then nothing is shown. */
int64_t ome_journal_window_move(ome_journal_window_t *window, const ome_file_system_t *file_system, int file, uint64_t offset);

/* Gives what the file has at `offset`: `available_bytes` of it, `wanted_bytes` or more unless the file ends. Returns as
 * ome_journal_window_move. */
static inline int64_t ome_journal_window_look(ome_journal_window_t *window, const ome_file_system_t *file_system, int file, uint64_t offset,
    size_t wanted_bytes, const uint8_t **bytes, size_t *available_bytes)
{
    const int64_t result =
        ome_journal_window_shows(window, offset, wanted_bytes) ? 0 : ome_journal_window_move(window, file_system, file, offset);
    if (result == 0)
    {
        *bytes = window->bytes + (offset - window->offset);
        *available_bytes = window->size_bytes - (size_t)(offset - window->offset);
    }
    return result;
}

/* Finds the end of the last byte at or after `offset` that is not zero; `offset` itself when there is none. Returns as
 * ome_journal_window_move. */
int64_t ome_journal_window_find_used_end(
    ome_journal_window_t *window, const ome_file_system_t *file_system, int file, uint64_t offset, uint64_t *end);

#endif
