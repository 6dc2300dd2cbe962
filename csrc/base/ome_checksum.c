#include "base/ome_checksum.h"

#include "base/ome_platform.h"

#include <stdatomic.h>
#include <string.h>

/* The instruction by assembler text: gcc and clang of different ages want it named and enabled in different ways. */

#if defined(__x86_64__)

bool ome_crc32c_has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

static inline uint32_t step_8(uint32_t crc, uint64_t word)
{
    uint64_t wide = crc;
    __asm__("crc32q %1, %0" : "+r"(wide) : "r"(word));
    return (uint32_t)wide;
}

static inline uint32_t step_4(uint32_t crc, uint32_t word)
{
    __asm__("crc32l %1, %0" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint32_t step_1(uint32_t crc, uint8_t byte)
{
    __asm__("crc32b %1, %0" : "+r"(crc) : "r"(byte));
    return crc;
}

#else

#include <sys/auxv.h>

#define HWCAP_OF_CRC32 (1u << 7)

bool ome_crc32c_has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_OF_CRC32) != 0;
}

static inline uint32_t step_8(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint32_t step_4(uint32_t crc, uint32_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cw %w0, %w0, %w1" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint32_t step_1(uint32_t crc, uint8_t byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
    return crc;
}

#endif

uint32_t ome_crc32c_instruction(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, bytes += 8)
    {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = step_8(crc, word);
    }
    if (size >= 4)
    {
        uint32_t word;
        memcpy(&word, bytes, 4);
        crc = step_4(crc, word);
        size -= 4;
        bytes += 4;
    }
    for (; size > 0; size--, bytes++)
    {
        crc = step_1(crc, *bytes);
    }
    return ~crc;
}

/* Half a byte at a time: the remainders of 0 to 15. A larger table would be faster; every processor of the last decade has the instruction. */
uint32_t ome_crc32c_table(uint32_t crc, const void *data, size_t size)
{
    static const uint32_t table[16] = {0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
        0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};
    const uint8_t *bytes = data;
    crc = ~crc;
    for (size_t index = 0; index < size; index++)
    {
        crc ^= bytes[index];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

typedef uint32_t (*crc32c_function_t)(uint32_t crc, const void *data, size_t size);

static uint32_t choose(uint32_t crc, const void *data, size_t size);

/* Relaxed: every thread that chooses stores the same value, and it points to code, not to data. */
static _Atomic(crc32c_function_t) chosen = choose;

static uint32_t choose(uint32_t crc, const void *data, size_t size)
{
    const crc32c_function_t function = ome_crc32c_has_instruction() ? ome_crc32c_instruction : ome_crc32c_table;
    atomic_store_explicit(&chosen, function, memory_order_relaxed);
    return function(crc, data, size);
}

uint32_t ome_crc32c(uint32_t crc, const void *data, size_t size)
{
    return atomic_load_explicit(&chosen, memory_order_relaxed)(crc, data, size);
}
