/* Memory from the system: zeroed, aligned to a page, touched only where it is used. The one place that asks for any, and only while starting. */
#ifndef OME_MEMORY_H
#define OME_MEMORY_H

#include <stdint.h>

/* NULL when there is none to be had. */
void *ome_memory_map(uint64_t size_bytes);

void ome_memory_unmap(void *memory, uint64_t size_bytes);

#endif
