#include "base/ome_checksum.h"

#include "base/ome_platform.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)

#include <nmmintrin.h>

#define OME_CRC32C_TARGET __attribute__((target("sse4.2")))
#define OME_CRC32C_8(crc, word) ((uint32_t)_mm_crc32_u64(crc, word))
#define OME_CRC32C_4(crc, word) _mm_crc32_u32(crc, word)
#define OME_CRC32C_1(crc, byte) _mm_crc32_u8(crc, byte)

bool ome_crc32c_has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#else

#include <sys/auxv.h>

/* By assembler text, because gcc and clang spell the intrinsic and its target attribute differently. */
#define OME_CRC32C_STEP(name, type, instruction, operand)                                                                                  \
    static inline uint32_t name(uint32_t crc, type word)                                                                                   \
    {                                                                                                                                      \
        __asm__(".arch_extension crc\n\t" instruction " %w0, %w0, %" operand "1" : "+r"(crc) : "r"(word));                                 \
        return crc;                                                                                                                        \
    }
OME_CRC32C_STEP(crc32c_8, uint64_t, "crc32cx", "x")
OME_CRC32C_STEP(crc32c_4, uint32_t, "crc32cw", "w")
OME_CRC32C_STEP(crc32c_1, uint32_t, "crc32cb", "w")

#define OME_CRC32C_TARGET
#define OME_CRC32C_8(crc, word) crc32c_8(crc, word)
#define OME_CRC32C_4(crc, word) crc32c_4(crc, word)
#define OME_CRC32C_1(crc, byte) crc32c_1(crc, byte)
#define OME_HWCAP_CRC32 (1u << 7)

bool ome_crc32c_has_instruction(void)
{
    return (getauxval(AT_HWCAP) & OME_HWCAP_CRC32) != 0;
}

#endif

OME_CRC32C_TARGET uint32_t ome_crc32c_instruction(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, bytes += 8)
    {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = OME_CRC32C_8(crc, word);
    }
    if (size >= 4)
    {
        uint32_t word;
        memcpy(&word, bytes, 4);
        crc = OME_CRC32C_4(crc, word);
        size -= 4;
        bytes += 4;
    }
    for (; size > 0; size--, bytes++)
    {
        crc = OME_CRC32C_1(crc, *bytes);
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
