/* Limits that the build fixes, and the relations between them. Limits that a user sets are ome_limits_t. */
#ifndef OME_LIMITS_H
#define OME_LIMITS_H

#include <assert.h>
#include <stdint.h>

#define OME_CACHE_LINE_SIZE 64u
#define OME_RECORD_SIZE 64u
#define OME_BODY_SIZE 56u
static_assert(OME_RECORD_SIZE == OME_CACHE_LINE_SIZE, "a record fills one cache line, so that two writers never share one");

#define OME_QUANTITY_MAX (INT64_C(1) << 60)
/* What is open on one side of a book, and what one order has traded and has open. */
#define OME_OPEN_QUANTITY_MAX (INT64_C(1) << 62)
static_assert(OME_OPEN_QUANTITY_MAX <= INT64_MAX - OME_QUANTITY_MAX, "the sum of a side and one more order cannot overflow");

/* How many peaks an iceberg's open quantity may be: each is two events of whoever trades with it, and two orders could otherwise keep an engine busy for years. */
#define OME_PEAK_COUNT_MAX INT64_C(4096)

#define OME_PRICE_MAX (INT64_C(1) << 62)
#define OME_TICK_MAX (INT64_C(1) << 62)

#define OME_ORDER_COUNT_MAX (UINT32_C(1) << 30)
#define OME_LEVEL_COUNT_MAX ((UINT32_C(1) << 24) - 1)
static_assert(OME_LEVEL_COUNT_MAX < (UINT32_C(1) << 24), "an order holds its level in 24 bits");
#define OME_INSTRUMENT_COUNT_MAX (UINT32_C(1) << 20)
#define OME_SESSION_COUNT_MAX UINT32_C(65535)
#define OME_ACCOUNT_COUNT_MAX (UINT32_C(1) << 24)

#define OME_NAME_SIZE 16u
#define OME_DECIMALS_MAX 18u

#define OME_RING_SLOT_COUNT_DEFAULT 32768u
#define OME_RING_SLOT_COUNT_MAX (UINT32_C(1) << 24)
#define OME_RING_CONSUMER_COUNT_MAX 8u

#define OME_JOURNAL_BATCH_COUNT_DEFAULT 1000u
#define OME_JOURNAL_DELAY_NS_DEFAULT UINT64_C(10000000)
#define OME_JOURNAL_SEGMENT_SIZE_DEFAULT (UINT64_C(64) << 20)

#endif
