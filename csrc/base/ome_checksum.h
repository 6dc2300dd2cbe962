/* CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected): the checksum of the journal.
 *
 * By the processor's instruction where it has one, by a table otherwise; chosen at the first call. Any thread may call.
 * It finds accidents, not forgeries. Source: RFC 3720, appendix B.4, whose examples are in tests/c/test_checksum.c. */
#ifndef OME_CHECKSUM_H
#define OME_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The checksum of `size` bytes that follow bytes whose checksum is `crc`; 0 before the first byte. */
uint32_t ome_crc32c(uint32_t crc, const void *data, size_t size);

/* The two implementations, for the test that compares them. The second may be called only where the third is true. */
uint32_t ome_crc32c_table(uint32_t crc, const void *data, size_t size);
uint32_t ome_crc32c_instruction(uint32_t crc, const void *data, size_t size);
bool ome_crc32c_has_instruction(void);

#endif
