/* Hash of blocks of eight words: the event hash and the state hash.
 *
 * A multiply-and-fold mix in the manner of wyhash (Wang Yi, public domain): four independent 64x64 products, so that the latency of one block
 * is that of two multiplications. It tells two histories apart; it does not resist somebody who chooses the input to collide.
 * The definition, for other implementations, is in docs/RULES.md. */
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

/* In registers: a block is hashed while it is written, not read back. */
static inline uint64_t ome_hash_mix_words(uint64_t hash, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t w5, uint64_t w6, uint64_t w7)
{
    const uint64_t block = ome_hash_fold(w0 ^ OME_HASH_K0, w1 ^ OME_HASH_K1) ^ ome_hash_fold(w2 ^ OME_HASH_K2, w3 ^ OME_HASH_K3) ^
        ome_hash_fold(w4 ^ OME_HASH_K4, w5 ^ OME_HASH_K5) ^ ome_hash_fold(w6 ^ OME_HASH_K6, w7 ^ OME_HASH_K7);
    return ome_hash_fold(hash ^ block, OME_HASH_K0);
}

static inline uint64_t ome_hash_mix(uint64_t hash, const uint64_t words[8])
{
    return ome_hash_mix_words(hash, words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7]);
}

#endif
