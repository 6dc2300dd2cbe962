/* What the C tests share: a check that stays on, and a seeded generator. A test program returns 0 when all held. */
#ifndef OME_TEST_H
#define OME_TEST_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                                                   \
    do                                                                                                                                     \
    {                                                                                                                                      \
        if (!(condition))                                                                                                                  \
        {                                                                                                                                  \
            fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);                                                  \
            exit(1);                                                                                                                       \
        }                                                                                                                                  \
    } while (0)

/* The same, and both values are printed. For integers of any type, and enumerations: floating point and pointers do not compile. */
#define CHECK_EQUAL(found, expected)                                                                                                       \
    do                                                                                                                                     \
    {                                                                                                                                      \
        const uint64_t found_value = (uint64_t)((found) | 0);                                                                              \
        const uint64_t expected_value = (uint64_t)((expected) | 0);                                                                        \
        if (found_value != expected_value)                                                                                                 \
        {                                                                                                                                  \
            fprintf(stderr, "%s:%d: check failed: %s: found %" PRIu64 " (%" PRId64 "), expected %" PRIu64 " (%" PRId64 "): %s\n",          \
                __FILE__, __LINE__, #found, found_value, (int64_t)found_value, expected_value, (int64_t)expected_value, #expected);        \
            exit(1);                                                                                                                       \
        }                                                                                                                                  \
    } while (0)

/* The same for texts that end with a zero. */
#define CHECK_TEXT_EQUAL(found, expected) test_check_text(__FILE__, __LINE__, #found, found, #expected, expected)

/* The same for memory: the first byte that differs is printed. */
#define CHECK_BYTES_EQUAL(found, expected, size_bytes) test_check_bytes(__FILE__, __LINE__, #found, found, #expected, expected, size_bytes)

#define RUN(test)                                                                                                                          \
    do                                                                                                                                     \
    {                                                                                                                                      \
        test();                                                                                                                            \
        printf("ok %s\n", #test);                                                                                                          \
        fflush(stdout);                                                                                                                    \
    } while (0)

static inline void test_check_text(
    const char *file, int line, const char *found_name, const char *found, const char *expected_name, const char *expected)
{
    if (found == NULL || expected == NULL || strcmp(found, expected) != 0)
    {
        fprintf(stderr, "%s:%d: check failed: %s: found \"%s\", expected \"%s\": %s\n", file, line, found_name,
            found != NULL ? found : "(null)", expected != NULL ? expected : "(null)", expected_name);
        exit(1);
    }
}

static inline void test_check_bytes(const char *file, int line, const char *found_name, const void *found, const char *expected_name,
    const void *expected, uint64_t size_bytes)
{
    if (memcmp(found, expected, size_bytes) != 0)
    {
        const uint8_t *const found_bytes = found;
        const uint8_t *const expected_bytes = expected;
        uint64_t offset = 0;
        while (found_bytes[offset] == expected_bytes[offset])
        {
            offset++;
        }
        fprintf(stderr, "%s:%d: check failed: %s: at offset %" PRIu64 " of %" PRIu64 " bytes found 0x%02X, expected 0x%02X: %s\n", file,
            line, found_name, offset, size_bytes, found_bytes[offset], expected_bytes[offset], expected_name);
        exit(1);
    }
}

/* The seed: OME_SEED where it is set, otherwise the one given; printed, so that a failure can be run again. */
static inline uint64_t test_seed(uint64_t standard)
{
    const char *text = getenv("OME_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : standard;
    printf("OME_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#endif
