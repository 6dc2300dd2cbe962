/* Work that must not take time from anything else. */
#ifndef OME_IDLE_H
#define OME_IDLE_H

#include <stdint.h>

#include "abi/ome_status.h"

/* Calls a function in a thread that the system runs only when a core is idle, waits for its end and returns its status. OME_NO_MEMORY: there
 * could be no thread. */
ome_status_t ome_idle_run(ome_status_t (*function)(void *context, uint64_t count), void *context, uint64_t count);

#endif
