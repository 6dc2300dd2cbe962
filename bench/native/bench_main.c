/* ome_bench NAME [--count N] [--repeat R] [--seed S]
 *
 * Runs one benchmark and prints JSON lines: `build`, then what the benchmark says of itself (`flow`, `check`), then a line for each run (`sample`, `pass`, `latency`,
 * `pause`, `resident`). bench/run makes figures of them. `flow-mixed` and `flow-wide` write a flow as bytes instead. Ends with 0, 1 when a check fails, 2 when called
 * wrongly. What has a journal leaves files in the current directory. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_batch.h"
#include "bench_book.h"
#include "bench_churn.h"
#include "bench_commit.h"
#include "bench_commit_latency.h"
#include "bench_flat.h"
#include "bench_headline.h"
#include "bench_memory.h"
#include "bench_pipeline.h"
#include "bench_replay.h"
#include "bench_restore.h"
#include "bench_ring.h"
#include "bench_snapshot.h"

#define COUNT_MAX UINT64_C(100000000)
#define REPEAT_MAX UINT64_C(1000)

typedef struct
{
    uint64_t count;
    uint32_t repeat;
    uint64_t seed;
} options_t;

static void run_book_seed(const options_t *options)
{
    bench_book_run("seed", options->count, options->repeat, options->seed, 0);
}

static void run_book_mixed(const options_t *options)
{
    bench_book_run("mixed", options->count, options->repeat, options->seed, 1);
}

static void run_book_mixed_latency(const options_t *options)
{
    bench_book_run_latency("mixed", options->count, options->repeat, options->seed);
}

static void run_book_wide(const options_t *options)
{
    bench_book_run("wide", options->count, options->repeat, options->seed, 0);
}

static void run_book_churn(const options_t *options)
{
    bench_churn_run(options->count, options->repeat, options->seed);
}

static void run_mass_cancel(const options_t *options)
{
    bench_flat_run_mass_cancel(options->count, options->repeat, options->seed);
}

static void run_trailing(const options_t *options)
{
    bench_flat_run_trailing(options->count, options->repeat);
}

static void run_memory(const options_t *options)
{
    bench_memory_run(options->count, options->repeat, options->seed);
}

static void run_book_deep_build(const options_t *options)
{
    bench_book_run("deep-build", options->count, options->repeat, options->seed, 0);
}

static void run_book_deep_churn(const options_t *options)
{
    bench_book_run("deep-churn", options->count, options->repeat, options->seed, 0);
}

static void run_batch(const options_t *options)
{
    bench_batch_run(options->count, options->repeat, options->seed);
}

static void run_ring_1(const options_t *options)
{
    bench_ring_run(1, 16, options->count, options->repeat);
}

static void run_ring_3(const options_t *options)
{
    bench_ring_run(3, 16, options->count, options->repeat);
}

static void run_ring_1_single(const options_t *options)
{
    bench_ring_run(1, 1, options->count, options->repeat);
}

static void run_ring_3_single(const options_t *options)
{
    bench_ring_run(3, 1, options->count, options->repeat);
}

static void run_headline(const options_t *options)
{
    bench_headline_run(options->count, options->repeat);
}

static void run_pipeline(const options_t *options)
{
    bench_pipeline_run(options->count, options->repeat, options->seed);
}

static void run_journal_commit(const options_t *options)
{
    bench_commit_run(options->count, options->repeat);
}

static void run_commit_latency(const options_t *options)
{
    bench_commit_latency_run(options->count, options->repeat);
}

static void run_replay(const options_t *options)
{
    bench_replay_run(options->count, options->repeat, options->seed);
}

static void run_snapshot(const options_t *options)
{
    bench_snapshot_run(options->count, options->repeat, options->seed);
}

static void run_restore(const options_t *options)
{
    bench_restore_run(options->count, options->repeat, options->seed);
}

static void write_flow_mixed(const options_t *options)
{
    bench_batch_write_flow("mixed", options->count, options->seed);
}

static void write_flow_wide(const options_t *options)
{
    bench_batch_write_flow("wide", options->count, options->seed);
}

static const struct
{
    const char *name;
    void (*run)(const options_t *options);
    int prints_json;
} BENCHMARKS[] = {
    {"book-seed", run_book_seed, 1},
    {"book-mixed", run_book_mixed, 1},
    {"book-mixed-latency", run_book_mixed_latency, 1},
    {"book-wide", run_book_wide, 1},
    {"book-churn", run_book_churn, 1},
    {"book-deep-build", run_book_deep_build, 1},
    {"book-deep-churn", run_book_deep_churn, 1},
    {"mass-cancel", run_mass_cancel, 1},
    {"trailing", run_trailing, 1},
    {"memory", run_memory, 1},
    {"batch", run_batch, 1},
    {"ring-1", run_ring_1, 1},
    {"ring-3", run_ring_3, 1},
    {"ring-1-single", run_ring_1_single, 1},
    {"ring-3-single", run_ring_3_single, 1},
    {"headline", run_headline, 1},
    {"pipeline", run_pipeline, 1},
    {"journal-commit", run_journal_commit, 1},
    {"commit-latency", run_commit_latency, 1},
    {"replay", run_replay, 1},
    {"snapshot", run_snapshot, 1},
    {"restore", run_restore, 1},
    {"flow-mixed", write_flow_mixed, 0},
    {"flow-wide", write_flow_wide, 0},
};
#define BENCHMARK_COUNT (sizeof(BENCHMARKS) / sizeof(BENCHMARKS[0]))

static int usage(const char *what, const char *found)
{
    (void)fprintf(stderr, "ome_bench: %s: %s\nusage: ome_bench NAME [--count N] [--repeat R] [--seed S]\nNAME is one of:", what, found);
    for (size_t i = 0; i < BENCHMARK_COUNT; i++)
    {
        (void)fprintf(stderr, " %s", BENCHMARKS[i].name);
    }
    (void)fputc('\n', stderr);
    return 2;
}

/* A number from `min` to `max`, or false. */
static int parse(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *value >= min && *value <= max;
}

static int parse_option(options_t *options, const char *name, const char *text)
{
    uint64_t value = 0;
    if (strcmp(name, "--count") == 0 && parse(text, 1, COUNT_MAX, &value))
    {
        options->count = value;
        return 1;
    }
    if (strcmp(name, "--repeat") == 0 && parse(text, 1, REPEAT_MAX, &value))
    {
        options->repeat = (uint32_t)value;
        return 1;
    }
    if (strcmp(name, "--seed") == 0 && parse(text, 0, UINT64_MAX, &value))
    {
        options->seed = value;
        return 1;
    }
    return 0;
}

int main(int argument_count, char **arguments)
{
    options_t options = {.count = 1000000, .repeat = 5, .seed = 1};
    if (argument_count < 2 || argument_count % 2 != 0)
    {
        return usage("wrong number of arguments", "");
    }
    for (int i = 2; i < argument_count; i += 2)
    {
        if (!parse_option(&options, arguments[i], arguments[i + 1]))
        {
            return usage("option or value not allowed", arguments[i]);
        }
    }
    for (size_t i = 0; i < BENCHMARK_COUNT; i++)
    {
        if (strcmp(BENCHMARKS[i].name, arguments[1]) == 0)
        {
            if (BENCHMARKS[i].prints_json)
            {
                printf("{\"type\": \"build\", \"compiler\": \"%s %s\"}\n", __GNUC__ && !strstr(__VERSION__, "Clang") ? "gcc" : "clang",
                    __VERSION__);
            }
            BENCHMARKS[i].run(&options);
            return 0;
        }
    }
    return usage("unknown name", arguments[1]);
}
