/* What is measured on a flow: the engine, the textbook, and a null engine that does nothing but acknowledge. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/ome_engine.h"

typedef struct
{
    const char *name;
    /* A book of these limits, never given back. Where it `is_warm`, its memory is touched already. */
    void *(*create)(const ome_limits_t *limits, bool is_warm);
    void (*apply)(void *book, const ome_command_t *commands, uint64_t count, ome_sink_t *sink);
} bench_subject_t;

enum
{
    BENCH_SUBJECT_OME,
    BENCH_SUBJECT_TEXTBOOK,
    BENCH_SUBJECT_NULL, /* one ACCEPTED for each command, with what the command says; no book, no checks, no ids */
    BENCH_SUBJECT_COUNT
};

/* How many of them keep a book, and must say the same: the first. */
#define BENCH_BOOK_COUNT 2u

extern const bench_subject_t BENCH_SUBJECTS[BENCH_SUBJECT_COUNT];

#endif
