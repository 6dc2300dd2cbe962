#include "bench_wakeup.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "bench_cores.h"

typedef struct
{
    bench_cores_t cores;
    int there;
    int back;
    uint64_t count;
    uint64_t *wakeups_ns;
    int outcome;
} pair_t;

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int wake(int fd)
{
    const uint64_t one = 1;
    return write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one) ? 0 : -1;
}

/* Sleeps until somebody wakes it. */
static int sleep_on(int fd)
{
    uint64_t value;
    return read(fd, &value, sizeof(value)) == (ssize_t)sizeof(value) ? 0 : -1;
}

static void *answer(void *context)
{
    const pair_t *pair = context;
    bench_cores_take(&pair->cores, 1);
    for (uint64_t i = 0; i < pair->count; i++)
    {
        if (sleep_on(pair->there) != 0 || wake(pair->back) != 0)
        {
            break;
        }
    }
    return NULL;
}

static void *ask(void *context)
{
    pair_t *pair = context;
    bench_cores_take(&pair->cores, 0);
    pair->outcome = 0;
    for (uint64_t i = 0; i < pair->count && pair->outcome == 0; i++)
    {
        const uint64_t start_ns = now_ns();
        pair->outcome = wake(pair->there) != 0 || sleep_on(pair->back) != 0 ? -1 : 0;
        pair->wakeups_ns[i] = (now_ns() - start_ns) / 2;
    }
    return NULL;
}

/* In threads of their own: the caller's stays on the cores that it may use. */
static void measure(pair_t *pair)
{
    pthread_t answerer;
    pthread_t asker;
    if (pthread_create(&answerer, NULL, answer, pair) != 0)
    {
        return;
    }
    if (pthread_create(&asker, NULL, ask, pair) == 0)
    {
        (void)pthread_join(asker, NULL);
    }
    else
    {
        (void)pthread_cancel(answerer);
    }
    (void)pthread_join(answerer, NULL);
}

int bench_wakeup(uint64_t count, uint64_t *wakeups_ns)
{
    pair_t pair = {
        .there = eventfd(0, EFD_CLOEXEC), .back = eventfd(0, EFD_CLOEXEC), .count = count, .wakeups_ns = wakeups_ns, .outcome = -1};
    bench_cores_find(&pair.cores);
    if (pair.there >= 0 && pair.back >= 0)
    {
        measure(&pair);
    }
    (void)close(pair.there);
    (void)close(pair.back);
    return pair.outcome;
}
