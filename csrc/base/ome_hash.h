/* Hash of blocks of eight words: the event hash and the state hash.
 *
 * A multiply-and-fold mix in the manner of wyhash (Wang Yi, public domain): four independent 64x64 products, so that
 * the latency of one block is that of two multiplications. It distinguishes two histories; it does not resist a person
 * who constructs a collision. The definition, for other implementations, is in docs/RULES.md. */
#ifndef OME_HASH_H
#define OME_HASH_H

#include <stdint.h>

#define OME_HASH_K0 UINT64_C(0x9E3779B97F4A7C15)
#define OME_HASH_K1 UINT64_C(0xA0761D6478BD642F)
#define OME_HASH_K2 UINT64_C(0xE7037ED1A0B428DB)
#define OME_HASH_K3 UINT64_C(0x8EBC6AF09C88C6E3)
#define OME_HASH_K4 UINT64_C(0x589965CC75374CC3)
#define OME_HASH_K5 UINT64_C(0x1D8E4E27C47D124F)
#define OME_HASH_K6 UINT64_C(0xEB44ACCAB455D165)
#define OME_HASH_K7 UINT64_C(0x2F9BE6CC7F4A7C21)

#define OME_HASH_EVENTS_INITIAL OME_HASH_K7
#define OME_HASH_STATE_INITIAL OME_HASH_K6

static inline uint64_t ome_hash_fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t ome_hash_mix(uint64_t hash, const uint64_t words[8])
{
    const uint64_t block =
        ome_hash_fold(words[0] ^ OME_HASH_K0, words[1] ^ OME_HASH_K1) ^ ome_hash_fold(words[2] ^ OME_HASH_K2, words[3] ^ OME_HASH_K3) ^
        ome_hash_fold(words[4] ^ OME_HASH_K4, words[5] ^ OME_HASH_K5) ^ ome_hash_fold(words[6] ^ OME_HASH_K6, words[7] ^ OME_HASH_K7);
    return ome_hash_fold(hash ^ block, OME_HASH_K0);
}

/* Continues the event hash by `count` events of 64 bytes, aligned to 8. */
static inline uint64_t ome_hash_events(uint64_t hash, const void *events, uint64_t count)
{
    const uint64_t *words = events;
    for (uint64_t i = 0; i < count; i++)
    {
        hash = ome_hash_mix(hash, words + 8 * i);
    }
    return hash;
}

#endif
