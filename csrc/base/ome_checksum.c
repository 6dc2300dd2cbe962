#include "base/ome_checksum.h"

#if defined(__x86_64__)

static bool checksum_has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#else

#include <sys/auxv.h>

#define HWCAP_OF_CRC32 (1u << 7)

static bool checksum_has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_OF_CRC32) != 0;
}

#endif

/* Half a byte at a time: the remainders of 0 to 15. A larger table would be faster; every processor of the last decade
 * has the instruction. */
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

_Atomic(int) ome_crc32c_choice = OME_CRC32C_UNKNOWN;

bool ome_crc32c_has_instruction(void)
{
    int choice = atomic_load_explicit(&ome_crc32c_choice, memory_order_relaxed);
    if (choice == OME_CRC32C_UNKNOWN)
    {
        choice = checksum_has_instruction() ? OME_CRC32C_INSTRUCTION : OME_CRC32C_TABLE;
        atomic_store_explicit(&ome_crc32c_choice, choice, memory_order_relaxed);
    }
    return choice == OME_CRC32C_INSTRUCTION;
}

uint32_t ome_crc32c_choose(uint32_t crc, const void *data, size_t size)
{
    return ome_crc32c_has_instruction() ? ome_crc32c_instruction(crc, data, size) : ome_crc32c_table(crc, data, size);
}
