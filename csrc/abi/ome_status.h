/* Status codes. A function that can fail returns one; each header says which. A business reject is an event, never a status. */
#ifndef OME_STATUS_H
#define OME_STATUS_H

#include <stdint.h>

typedef enum
{
    OME_OK = 0,
    OME_INVALID = 1,        /* an argument is outside what the header allows */
    OME_NO_MEMORY = 2,      /* the memory given is too small, or none could be had */
    OME_FULL = 3,           /* no room now: try again later (busy) */
    OME_EMPTY = 4,          /* nothing there now */
    OME_IO_ERROR = 5,       /* a system call on a file failed: ome_error has file, call and errno; the writer is stopped for good */
    OME_DAMAGED = 6,        /* stored bytes are not what was written */
    OME_UNSUPPORTED = 7,    /* a format or schema version, or a platform, that this build does not handle */
    OME_STOPPED = 8,        /* asked to stop, or stopped by an earlier error */
    OME_NOT_FOUND = 9,      /* no such thing */
    OME_ASSERTED = 10       /* an assertion of the core does not hold: what it worked on is lost */
} ome_status_t;

#endif
