/* The counters of a running venue, which `ome-admin stats` reads. Only the named thread writes each counter. */
#ifndef OME_VENUE_COUNTERS_H
#define OME_VENUE_COUNTERS_H

#include "base/ome_counters.h"

typedef enum
{
    /* match stage */
    OME_COUNT_COMMANDS,          /* sequence of the last command matched */
    OME_COUNT_EVENTS,
    OME_COUNT_TRADES,
    OME_COUNT_LEVELS,            /* price levels in use */
    OME_COUNT_DEADLINE,          /* when the next order expires, nanoseconds since 1970; 0: none does */
    /* journal stage */
    OME_COUNT_DURABLE,           /* sequence of the last command on disk */
    OME_COUNT_COMMITS,
    OME_COUNT_JOURNAL_UNPREPARED, /* segments that were not ready when they were needed */
    /* event log */
    OME_COUNT_EVENTS_DURABLE,    /* number of the last event on disk; 0 where there is no log */
    /* gateway */
    OME_COUNT_FRAMES_IN,
    OME_COUNT_MESSAGES_IN,
    OME_COUNT_FRAMES_REJECTED,
    OME_COUNT_MESSAGES_BUSY,
    OME_COUNT_MESSAGES_SEEN,      /* that were taken before, and are answered again */
    OME_COUNT_MESSAGES_THROTTLED,
    OME_COUNT_REPORTS,
    OME_COUNT_REPORTS_RESENT,     /* out of memory; those of before are in the counter above, too */
    OME_COUNT_REPORTS_UNDELIVERED, /* made for a session that was not there, or did not read */
    OME_COUNT_SESSIONS,          /* connected now */
    OME_COUNT_SESSIONS_ENDED,    /* by the server: slow or gone */
    OME_COUNT_DISCONNECT_CANCELS, /* sessions whose orders were cancelled because they were gone */
    OME_COUNT_ORDERS,            /* accepted */
    OME_COUNT_CANCELS,
    OME_COUNT_REJECTS,
    OME_COUNT_ORDERS_STORAGE_LOW, /* orders refused because storage is low */
    OME_COUNT_ORDERS_CONNECTIONS, /* open now; these are in the order of ome_listener_counters_t */
    OME_COUNT_ORDERS_ACCEPTED,
    OME_COUNT_ORDERS_REFUSED,
    OME_COUNT_ORDERS_FAULTS,
    OME_COUNT_ORDERS_SLOW,
    OME_COUNT_ORDERS_PAUSES,
    OME_COUNT_ORDERS_QUEUED,
    /* feed */
    OME_COUNT_FEED_SEQUENCE,     /* last command published */
    OME_COUNT_FEED_FRAMES,
    OME_COUNT_FEED_MESSAGES,
    OME_COUNT_FEED_DROPPED,
    OME_COUNT_FEED_SNAPSHOTS,
    OME_COUNT_FEED_SNAPSHOTS_CUT, /* books deeper than a snapshot may be */
    OME_COUNT_FEED_SUBSCRIPTIONS, /* now */
    OME_COUNT_FEED_SUBSCRIPTIONS_REFUSED,
    OME_COUNT_FEED_CONNECTIONS, /* as for orders */
    OME_COUNT_FEED_ACCEPTED,
    OME_COUNT_FEED_REFUSED,
    OME_COUNT_FEED_FAULTS,
    OME_COUNT_FEED_SLOW,
    OME_COUNT_FEED_PAUSES,
    OME_COUNT_FEED_QUEUED,
    /* requests */
    OME_COUNT_REQUESTS_FRAMES,
    OME_COUNT_REQUESTS_REJECTED,    /* frames that were none, or came before a logon */
    OME_COUNT_REQUESTS_ANSWERS,
    OME_COUNT_REQUESTS_BUSY,        /* answered by BUSY */
    OME_COUNT_REQUESTS_UNDELIVERED, /* answers to who was not there, or did not read */
    OME_COUNT_REQUESTS_CONNECTIONS, /* as for orders */
    OME_COUNT_REQUESTS_ACCEPTED,
    OME_COUNT_REQUESTS_REFUSED,
    OME_COUNT_REQUESTS_FAULTS,
    OME_COUNT_REQUESTS_SLOW,
    OME_COUNT_REQUESTS_PAUSES,
    OME_COUNT_REQUESTS_QUEUED,
    /* the venue, set when it starts */
    OME_COUNT_POLICY,
    OME_COUNT_RING_SLOTS,
    OME_COUNT_INSTRUMENTS,
    OME_COUNT_RING_CURSOR, /* match stage: last command sequenced when it last looked */
    /* who watches the storage; zeros where nobody does */
    OME_COUNT_STORAGE_FREE, /* bytes, when it last looked */
    OME_COUNT_STORAGE_LOW,  /* ome_storage_t */
    /* who checks stored segments; zeros where nobody does */
    OME_COUNT_CHECK_BYTES,   /* read since the start */
    OME_COUNT_CHECK_PASSES,  /* over all segments */
    OME_COUNT_CHECK_DAMAGED, /* places that are not what was written: the most of the last pass and of this one */
    /* who follows the machine's clock */
    OME_COUNT_CLOCK_AHEAD,  /* nanoseconds that the machine's clock is ahead of the venue's time, or: */
    OME_COUNT_CLOCK_BEHIND,
    OME_COUNT_CLOCK_HELD,   /* 1: they differ by more than the limit; the venue's time waits for the clock or an operator */
    OME_COUNT_CLOCK_JUMPS,  /* times that this began */
    /* who supervises the background threads */
    OME_COUNT_THREADS_FAILING,  /* whose last attempt failed */
    OME_COUNT_THREAD_FAILURES,  /* attempts that failed */
    /* who supervises the process of the gateway; 0 where it has none */
    OME_COUNT_GATEWAY_RESTARTS,
    OME_COUNT_COUNT
} ome_venue_counter_t;

typedef enum
{
    OME_LATENCY_REPORT, /* gateway: from sequencing to the report */
    OME_LATENCY_COMMIT, /* journal stage: one group commit */
    OME_LATENCY_COUNT
} ome_venue_latency_t;

extern const ome_counters_table_t ome_venue_counters_table;

#endif
