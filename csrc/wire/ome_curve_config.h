/* What a listener with keys is made of: the functions that encrypt, the server's keys, and the keys that it admits. Also read by cffi. */
#ifndef OME_CURVE_CONFIG_H
#define OME_CURVE_CONFIG_H

#include <stdint.h>

enum
{
    OME_CURVE_KEY_SIZE = 32,
    OME_CURVE_KEY_COUNT_MAX = 65536
};

/* Functions of NaCl (libsodium), from whichever library has them. Those with a result return 0 where it is good. A box is 16 bytes
 * longer than its message. They are called in place: secretbox_easy with a message that stands 16 bytes behind the beginning of the box,
 * secretbox_open_easy with one that is to stand where the box begins. */
typedef struct
{
    int (*box_keypair)(unsigned char *public_key, unsigned char *secret_key);
    int (*box_beforenm)(unsigned char *shared_key, unsigned char *public_key, unsigned char *secret_key);
    int (*secretbox_easy)(
        unsigned char *box, unsigned char *message, unsigned long long message_size_bytes, unsigned char *nonce, unsigned char *key);
    int (*secretbox_open_easy)(
        unsigned char *message, unsigned char *box, unsigned long long box_size_bytes, unsigned char *nonce, unsigned char *key);
    void (*random_bytes)(unsigned char *bytes, unsigned long long size_bytes);
} ome_curve_primitives_t;

/* A client's public key, and the number under which the venue knows it. */
typedef struct
{
    uint8_t public_key[OME_CURVE_KEY_SIZE];
    uint32_t key_id; /* from 1 */
} ome_curve_key_t;

typedef struct
{
    ome_curve_primitives_t primitives;
    uint8_t public_key[OME_CURVE_KEY_SIZE]; /* the server's */
    uint8_t secret_key[OME_CURVE_KEY_SIZE];
    uint32_t key_count_max; /* that may be admitted at a time */
} ome_curve_config_t;

#endif
