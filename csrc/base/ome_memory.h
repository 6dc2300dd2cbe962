/* Memory from the system: zeroed, aligned to a page, touched only when it is used. The only place that asks for memory,
 * and only during a start. */
#ifndef OME_MEMORY_H
#define OME_MEMORY_H

#include <stdint.h>

/* NULL if there is no memory. */
void *ome_memory_map(uint64_t size_bytes);

void ome_memory_unmap(void *memory, uint64_t size_bytes);

#endif
