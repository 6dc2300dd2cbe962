/* A bare disk to compare with: files in the current directory that were written with zeros beforehand, so that writing to them changes data only, and
 * the two calls. Whatever fails ends the process. */
#ifndef BENCH_DISK_H
#define BENCH_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ome_file.h"

/* A new file of at least so many bytes, all zero and on the disk, to be closed by the caller. Where it `is_direct`, it is written past the page cache if the file system can do
 * that, as the journal is: in whole blocks of OME_FILE_BLOCK_SIZE, from memory that is aligned to one. */
int bench_disk_open(uint64_t size_bytes, bool is_direct);

/* Memory that may be written to such a file, with bytes that are not zero; in whole blocks, at least `size_bytes`. */
void *bench_disk_memory(uint64_t size_bytes);

void bench_disk_write(int file, const void *data, uint64_t size_bytes, uint64_t offset);
void bench_disk_sync(int file);

#endif
