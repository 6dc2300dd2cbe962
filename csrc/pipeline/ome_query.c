#include "pipeline/ome_query.h"

#include "base/ome_assert.h"

void ome_query_init(ome_query_t *query)
{
    atomic_init(&query->state, OME_QUERY_IDLE);
    query->work = NULL;
    query->context = NULL;
    const ome_status_t status = ome_wait_init(&query->answered, OME_WAIT_BLOCK);
    OME_ASSERT(status == OME_OK);
}

void ome_query_answer(ome_query_t *query, ome_engine_t *engine)
{
    uint32_t asked = OME_QUERY_ASKED;
    /* Acquire: pairs with the release in ome_query_post. A question that is withdrawn is not there any more. */
    if (!atomic_compare_exchange_strong_explicit(&query->state, &asked, OME_QUERY_WORKING, memory_order_acquire, memory_order_relaxed))
    {
        return;
    }
    query->work(engine, query->context);
    /* Release: pairs with the acquire in query_is_answered. */
    atomic_store_explicit(&query->state, OME_QUERY_ANSWERED, memory_order_release);
    ome_wait_notify(&query->answered);
}

void ome_query_post(ome_query_t *query, ome_query_work_t work, void *context)
{
    OME_ASSERT(atomic_load_explicit(&query->state, memory_order_relaxed) == OME_QUERY_IDLE);
    query->work = work;
    query->context = context;
    /* Release: pairs with the acquire in ome_query_answer. */
    atomic_store_explicit(&query->state, OME_QUERY_ASKED, memory_order_release);
}

static bool query_is_answered(const void *context)
{
    const ome_query_t *query = context;
    /* Acquire: pairs with the release in ome_query_answer. */
    return atomic_load_explicit(&query->state, memory_order_acquire) == OME_QUERY_ANSWERED;
}

ome_status_t ome_query_take(ome_query_t *query, uint64_t timeout_ns)
{
    ome_status_t status = ome_wait_for(&query->answered, query_is_answered, query, timeout_ns);
    if (status != OME_OK)
    {
        uint32_t asked = OME_QUERY_ASKED;
        if (atomic_compare_exchange_strong_explicit(&query->state, &asked, OME_QUERY_IDLE, memory_order_relaxed, memory_order_relaxed))
        {
            return OME_EMPTY;
        }
        /* The match thread is at it: the work is bounded, and its context is in use until it ends. */
        status = ome_wait_for(&query->answered, query_is_answered, query, OME_WAIT_FOREVER);
    }
    OME_ASSERT(status == OME_OK);
    atomic_store_explicit(&query->state, OME_QUERY_IDLE, memory_order_relaxed);
    return OME_OK;
}
