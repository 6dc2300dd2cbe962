#include "concurrent/ome_wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/ome_assert.h"
#include "base/ome_clock.h"
#include "base/ome_platform.h"

#define NS_PER_SECOND UINT64_C(1000000000)

static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "the kernel reads the futex as a plain 32-bit word");

/* ThreadSanitizer does not follow fences, and gcc says so. Nothing here relies on a fence to carry data: it orders one
 * store before one load, which the fence in the machine does under the sanitizer too. */
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

void ome_wait_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

uint64_t ome_wait_deadline_ns(uint64_t timeout_ns)
{
    const uint64_t now_ns = ome_clock_monotonic_ns();
    return timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
}

/* Sleeps while the word is as announced. Returns for a wake, a timeout, a signal, or no reason at all: the caller asks
 * again. */
static void wait_futex_sleep(ome_wait_t *wait, uint32_t word, uint64_t timeout_ns)
{
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_SECOND), .tv_nsec = (long)(timeout_ns % NS_PER_SECOND)};
    const long result = syscall(SYS_futex, &wait->word, FUTEX_WAIT, word, &timeout, NULL, 0);
    OME_ASSERT(result == 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
}

static void wait_futex_wake_all(ome_wait_t *wait)
{
    const long result = syscall(SYS_futex, &wait->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    OME_ASSERT(result >= 0);
}

static void wait_event_fd_signal(int event_fd)
{
    const uint64_t one = 1;
    const ssize_t written = write(event_fd, &one, sizeof(one));
    /* EAGAIN: so many wakes are unread that the counter is full; the descriptor is readable, which is all that is wanted. */
    OME_ASSERT(written == (ssize_t)sizeof(one) || errno == EAGAIN || errno == EINTR);
}

ome_status_t ome_wait_init(ome_wait_t *wait, ome_wait_strategy_t strategy)
{
    if (strategy != OME_WAIT_SPIN && strategy != OME_WAIT_YIELD && strategy != OME_WAIT_BLOCK)
    {
        return OME_INVALID;
    }
    atomic_init(&wait->word, 0);
    wait->strategy = (uint32_t)strategy;
    wait->notifies = strategy == OME_WAIT_BLOCK;
    wait->event_fd = -1;
    return OME_OK;
}

ome_status_t ome_wait_set_event_fd(ome_wait_t *wait, int event_fd)
{
    wait->event_fd = event_fd;
    wait->notifies = wait->strategy == OME_WAIT_BLOCK || event_fd >= 0;
    return OME_OK;
}

/* The waiter's half of the protocol: what is read after this is read after the announcement is visible. Returns the
 * word announced. */
static uint32_t wait_announce(ome_wait_t *wait, uint32_t who)
{
    const uint32_t word = atomic_fetch_or_explicit(&wait->word, who, memory_order_relaxed) | who;
    ome_wait_fence(); /* pairs with the fence of the waker */
    return word;
}

static bool wait_poll_until(ome_wait_condition_t condition, const void *context, uint64_t deadline_ns, bool yields)
{
    do
    {
        if (condition(context))
        {
            return true;
        }
        if (yields)
        {
            sched_yield();
        }
        else
        {
            ome_cpu_relax();
        }
    } while (ome_clock_monotonic_ns() < deadline_ns);
    return condition(context);
}

static bool wait_sleep_until(ome_wait_t *wait, ome_wait_condition_t condition, const void *context, uint64_t deadline_ns)
{
    for (;;)
    {
        const uint32_t word = wait_announce(wait, OME_WAIT_ASLEEP);
        if (condition(context))
        {
            return true;
        }
        const uint64_t now_ns = ome_clock_monotonic_ns();
        if (now_ns >= deadline_ns)
        {
            return false;
        }
        wait_futex_sleep(wait, word, deadline_ns - now_ns);
    }
}

ome_status_t ome_wait_for(ome_wait_t *wait, ome_wait_condition_t condition, const void *context, uint64_t timeout_ns)
{
    if (condition(context))
    {
        return OME_OK;
    }
    const uint64_t deadline_ns = ome_wait_deadline_ns(timeout_ns);
    if (wait->strategy != OME_WAIT_BLOCK)
    {
        return wait_poll_until(condition, context, deadline_ns, wait->strategy == OME_WAIT_YIELD) ? OME_OK : OME_EMPTY;
    }
    const uint64_t spin_end_ns = ome_wait_deadline_ns(OME_WAIT_SPIN_NS);
    if (wait_poll_until(condition, context, spin_end_ns < deadline_ns ? spin_end_ns : deadline_ns, false))
    {
        return OME_OK;
    }
    return wait_sleep_until(wait, condition, context, deadline_ns) ? OME_OK : OME_EMPTY;
}

void ome_wait_prepare(ome_wait_t *wait)
{
    OME_ASSERT(wait->event_fd >= 0);
    wait_announce(wait, OME_WAIT_IN_POLL);
}

void ome_wait_cancel(ome_wait_t *wait)
{
    OME_ASSERT(wait->event_fd >= 0);
    atomic_fetch_and_explicit(&wait->word, ~OME_WAIT_IN_POLL, memory_order_relaxed);
}

void ome_wait_notify_after_fence(ome_wait_t *wait)
{
    uint32_t word = atomic_load_explicit(&wait->word, memory_order_relaxed);
    do
    {
        if (OME_LIKELY((word & OME_WAIT_ANYBODY) == 0))
        {
            return; /* nobody sleeps, or another waker was faster */
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &wait->word, &word, (word & ~OME_WAIT_ANYBODY) + OME_WAIT_NUMBER_STEP, memory_order_relaxed, memory_order_relaxed));
    if (word & OME_WAIT_ASLEEP)
    {
        wait_futex_wake_all(wait);
    }
    if (word & OME_WAIT_IN_POLL)
    {
        wait_event_fd_signal(wait->event_fd);
    }
}

void ome_wait_notify(ome_wait_t *wait)
{
    if (wait->notifies)
    {
        ome_wait_fence(); /* pairs with the fence in wait_announce */
        ome_wait_notify_after_fence(wait);
    }
}
