/* Memory from the system: zeroed, aligned to a page, touched when it is used or when somebody asks. The only place that asks for memory,
 * and only during a start. */
#ifndef OME_MEMORY_H
#define OME_MEMORY_H

#include <stdint.h>

/* NULL if there is no memory. */
void *ome_memory_map(uint64_t size_bytes);

/* Touches the pages of a part of mapped memory, so that the thread that uses it first does not wait while they are
 * cleared. Changes nothing in it, also where it is in use. Before Linux 5.14 it does nothing. */
void ome_memory_touch(const void *memory, uint64_t size_bytes);

void ome_memory_unmap(void *memory, uint64_t size_bytes);

#endif
