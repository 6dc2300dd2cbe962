/* Waiting for another thread, and waking it.
 *
 * A wait object belongs to a condition, such as "this sequence is published". Waiters are the threads that need the
 * condition, wakers those that make it true. Three strategies:
 *   spin   checks again and again: lowest latency, costs a core
 *   yield  checks again and again, and yields the core in between
 *   block  checks for about two microseconds, then sleeps in the kernel
 *
 * A sleeper must not be missed, and a waker should pay no system call when nobody sleeps. So a waiter announces itself
 * before it sleeps, in a word that also holds the number of the announcement:
 *
 *     waiter                            waker
 *     word = announced                  make the condition true
 *     fence                             fence
 *     condition true? then go on        not announced? then done
 *     sleep while word is the same      word = next number, not announced; wake all
 *
 * Of the two fences, both sequentially consistent, one comes first (Dekker). Either the waiter sees the condition, or
 * the waker sees the announcement. The sleep is a futex on the word: if the waker was faster, the word has changed, and
 * the kernel does not let the waiter sleep. The number is for the case that another waiter announces itself in between:
 * without it the word would look the same again, and the first waiter would sleep through a wake that it needed. (The
 * number repeats after 2^30 wakes; no waiter takes that long to fall asleep.)
 *
 * Woken waiters check again, and announce themselves again if they must. All waiters share one announcement; it is not
 * a count of waiters. The first waker takes it down, so later wakers pay nothing while the waiter is on its way, and a
 * waiter that dies causes at most one needless wake. The disadvantage: if a waker is killed between taking the
 * announcement down and waking, the sleeper wakes only at its timeout. So a thread that waits for another process must
 * give a timeout.
 *
 * A thread that sleeps in poll() on sockets cannot sleep on a futex too. It gives the object an event file descriptor,
 * which the waker writes to, and has this loop:
 *     do all that can be done; ome_wait_prepare(wait); is there something to do after all? then ome_wait_cancel(wait) and begin again;
 *     poll(sockets and event descriptor); ome_wait_cancel(wait); if the event descriptor is readable, read its 8 bytes.
 * Only one thread does this on one object; other threads may sleep on its futex. A wake may come late, after a cancel:
 * then poll returns without a reason.
 *
 * Threads: any. The object may lie in memory that processes share: no pointers, and the futex is not private. The event
 * descriptor is a number in the wakers' process. A wait object carries no data: the condition itself reads with acquire
 * what the waker wrote with release. */
#ifndef OME_WAIT_H
#define OME_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_choices.h"
#include "abi/ome_status.h"
#include "concurrent/ome_sequence.h"

#define OME_WAIT_SPIN_NS UINT64_C(2000)
#define OME_WAIT_FOREVER UINT64_MAX

/* The word: the number of the announcement in the upper bits, and which kind of sleeper has announced itself. */
#define OME_WAIT_ASLEEP 1u /* on the futex, or about to be */
#define OME_WAIT_IN_POLL 2u /* on the event descriptor, or about to be */
#define OME_WAIT_ANYBODY (OME_WAIT_ASLEEP | OME_WAIT_IN_POLL)
#define OME_WAIT_NUMBER_STEP 4u

typedef struct
{
    OME_CACHE_ALIGNED _Atomic uint32_t word; /* the futex */
    /* Fixed before the first wait. */
    uint32_t strategy;
    uint32_t notifies; /* 1 if a waiter may sleep: strategy block, or an event descriptor */
    int32_t event_fd; /* -1 if there is none */
    uint8_t padding[OME_SEQUENCE_SIZE - 4 * sizeof(uint32_t)];
} ome_wait_t;
static_assert(sizeof(ome_wait_t) == OME_SEQUENCE_SIZE, "a wait object has its cache lines for itself");

/* True when the condition holds. Called often; reads with acquire; changes nothing. */
typedef bool (*ome_wait_condition_t)(const void *context);

/* OME_OK; OME_INVALID when the strategy is none of the three. */
ome_status_t ome_wait_init(ome_wait_t *wait, ome_wait_strategy_t strategy);

/* Wakers write to `event_fd` (an eventfd; non-blocking; -1 for none) from now on. Before the threads start. OME_OK. */
ome_status_t ome_wait_set_event_fd(ome_wait_t *wait, int event_fd);

/* Waits until the condition holds, at most `timeout_ns` (OME_WAIT_FOREVER: without end). OME_OK when it holds;
 * OME_EMPTY when time ran out. */
ome_status_t ome_wait_for(ome_wait_t *wait, ome_wait_condition_t condition, const void *context, uint64_t timeout_ns);

/* Announces that the caller is about to sleep in poll(); it must check its condition once more after this, before it
 * sleeps. */
void ome_wait_prepare(ome_wait_t *wait);

/* The caller of ome_wait_prepare does not sleep, or no longer: wakers need not write to the event descriptor. */
void ome_wait_cancel(ome_wait_t *wait);

/* Wakes the waiters, after the condition was made true; costs a fence and a load when nobody sleeps. */
void ome_wait_notify(ome_wait_t *wait);

/* The two halves of ome_wait_notify, for a waker with several objects: the fence once, then each object. */
void ome_wait_fence(void);
void ome_wait_notify_after_fence(ome_wait_t *wait);

/* The time `timeout_ns` from now on the monotonic clock, or the end of time. */
uint64_t ome_wait_deadline_ns(uint64_t timeout_ns);

#endif
