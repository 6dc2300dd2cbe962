/* The event check: compares the events of a replay with the event log, one by one.
 *
 * The log may begin later than the replay, and end earlier: events in both must be equal, byte for byte. A difference
 * means that the engine behaves differently than when the events were written, or that one of the two files is not what
 * it was.
 *
 * The log may continue after the journal's end: under the policies that publish before a command is on disk, a power
 * cut may lose a command of the journal and leave its events. But an event with OME_JOURNAL_EVENT_DURABLE belongs to a
 * command that was on disk: then the journal has lost the command, which is damage.
 *
 * Reads only. One thread. */
#ifndef OME_EVENT_CHECK_H
#define OME_EVENT_CHECK_H

#include "abi/ome_records.h"
#include "journal/ome_journal_reader.h"

typedef struct
{
    ome_journal_reader_t reader; /* of the log */
    void *reader_memory;
    bool has_log;                /* there is a log */
    bool is_at_end;              /* all of it was read */
    bool has_other_event;        /* than the journal gives: that is the reason */
    uint64_t last_number;        /* of the log's last event, where there is a log: they count from 1 */
    uint64_t next_number;        /* of the next event that is taken */
    uint64_t compared_count;     /* events in both */
    uint64_t missing_count;      /* events behind the end of the log */
    uint64_t ahead_count;        /* events of the log behind the end of the journal */
    const char *reason;          /* why `status` is OME_DAMAGED and the reader found nothing wrong; otherwise NULL */
    ome_status_t status;
    char text[192];
} ome_event_check_t;

/* Finds out whether there is a log, and where it ends. `check` is zeroed memory. OME_OK; OME_NO_MEMORY; OME_INVALID:
 * the directory's name is too long; OME_DAMAGED, OME_UNSUPPORTED, OME_IO_ERROR: its reader says why. Call
 * ome_event_check_close after any status. */
ome_status_t ome_event_check_open(ome_event_check_t *check, const ome_file_system_t *file_system, const char *directory);

/* Sets the number of the next event. OME_OK. */
ome_status_t ome_event_check_begin(ome_event_check_t *check, uint64_t first_number);

/* Takes the next events of the replay. OME_OK; OME_DAMAGED (`reason`, or the reader's), OME_UNSUPPORTED, OME_IO_ERROR;
 * after an error, the same every time. */
ome_status_t ome_event_check_take(ome_event_check_t *check, const ome_event_t *events, uint64_t count);

/* The replay has reached the journal's end: counts the events that the log has beyond. As ome_event_check_take. */
ome_status_t ome_event_check_finish(ome_event_check_t *check);

/* Number of the last right event, if something is wrong. */
uint64_t ome_event_check_right(const ome_event_check_t *check);

/* Truncates the log after that event, and saves the bytes to files (ome_journal_cut). OME_OK; OME_NOT_FOUND: the log
 * has no event up to there; OME_IO_ERROR. */
ome_status_t ome_event_check_cut(ome_event_check_t *check, uint64_t last_number);

void ome_event_check_close(ome_event_check_t *check);

#endif
