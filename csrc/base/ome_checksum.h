/* CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected): the checksum of the journal.
 *
 * It uses the processor's instruction if there is one, otherwise a table; chosen at the first call. Any thread may
 * call. It finds accidents, not forgeries. Source: RFC 3720, appendix B.4, whose examples are in
 * tests/c/test_checksum.c. */
#ifndef OME_CHECKSUM_H
#define OME_CHECKSUM_H

#include "base/ome_platform.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The instruction by assembler text: versions of gcc and clang name and enable it in different ways. */

#if defined(__x86_64__)

static inline uint32_t ome_crc32c_step_8(uint32_t crc, uint64_t word)
{
    uint64_t wide = crc;
    __asm__("crc32q %1, %0" : "+r"(wide) : "r"(word));
    return (uint32_t)wide;
}

static inline uint32_t ome_crc32c_step_4(uint32_t crc, uint32_t word)
{
    __asm__("crc32l %1, %0" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint32_t ome_crc32c_step_1(uint32_t crc, uint8_t byte)
{
    __asm__("crc32b %1, %0" : "+r"(crc) : "r"(byte));
    return crc;
}

#else

static inline uint32_t ome_crc32c_step_8(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint32_t ome_crc32c_step_4(uint32_t crc, uint32_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cw %w0, %w0, %w1" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint32_t ome_crc32c_step_1(uint32_t crc, uint8_t byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
    return crc;
}

#endif

/* In the header, because for a size that the compiler knows it is a dozen instructions. */
static inline uint32_t ome_crc32c_instruction(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, bytes += 8)
    {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = ome_crc32c_step_8(crc, word);
    }
    if (size >= 4)
    {
        uint32_t word;
        memcpy(&word, bytes, 4);
        crc = ome_crc32c_step_4(crc, word);
        size -= 4;
        bytes += 4;
    }
    for (; size > 0; size--, bytes++)
    {
        crc = ome_crc32c_step_1(crc, *bytes);
    }
    return ~crc;
}

/* The two implementations. The one above may be called only where the processor has the instruction. */
uint32_t ome_crc32c_table(uint32_t crc, const void *data, size_t size);
bool ome_crc32c_has_instruction(void);

/* Relaxed: every thread that chooses stores the same value, and no other data depends on it. */
enum
{
    OME_CRC32C_UNKNOWN = 0,
    OME_CRC32C_INSTRUCTION = 1,
    OME_CRC32C_TABLE = 2
};
extern _Atomic(int) ome_crc32c_choice;
uint32_t ome_crc32c_choose(uint32_t crc, const void *data, size_t size);

/* The checksum of `size` bytes that follow bytes whose checksum is `crc`; 0 before the first byte. */
static inline uint32_t ome_crc32c(uint32_t crc, const void *data, size_t size)
{
    return atomic_load_explicit(&ome_crc32c_choice, memory_order_relaxed) == OME_CRC32C_INSTRUCTION
               ? ome_crc32c_instruction(crc, data, size)
               : ome_crc32c_choose(crc, data, size);
}

#endif
