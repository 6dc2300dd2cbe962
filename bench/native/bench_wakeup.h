/* How long this machine takes to wake a thread that sleeps, for Python to call: two threads, on cores of their own where there are several, that wake each other in turn. */
#ifndef BENCH_WAKEUP_H
#define BENCH_WAKEUP_H

#include <stdint.h>

/* `wakeups_ns` holds `count`: of each round trip over two eventfds, half the time. Returns 0, or -1 where the system gives no eventfd or no thread. */
int bench_wakeup(uint64_t count, uint64_t *wakeups_ns);

#endif
