#include "bench_queue.h"

#include <string.h>

void bench_queue_init(bench_queue_t *queue, bench_record_t *slots, uint32_t slot_count)
{
    memset(queue, 0, sizeof(*queue));
    queue->slots = slots;
    queue->slot_count = slot_count;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
}

void bench_queue_destroy(bench_queue_t *queue)
{
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->lock);
}

static bench_record_t *slot_of(bench_queue_t *queue, uint64_t position)
{
    return &queue->slots[position & (queue->slot_count - 1)];
}

void bench_queue_put(bench_queue_t *queue, const bench_record_t *records, uint32_t count)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->put_count + count > queue->taken_count + queue->slot_count)
    {
        pthread_cond_wait(&queue->not_full, &queue->lock);
    }
    for (uint32_t i = 0; i < count; i++)
    {
        *slot_of(queue, queue->put_count + i) = records[i];
    }
    queue->put_count += count;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->not_empty);
}

uint32_t bench_queue_take(bench_queue_t *queue, bench_record_t *records, uint32_t count_max)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->put_count == queue->taken_count)
    {
        pthread_cond_wait(&queue->not_empty, &queue->lock);
    }
    const uint64_t there = queue->put_count - queue->taken_count;
    const uint32_t count = there < count_max ? (uint32_t)there : count_max;
    for (uint32_t i = 0; i < count; i++)
    {
        records[i] = *slot_of(queue, queue->taken_count + i);
    }
    queue->taken_count += count;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_broadcast(&queue->not_full);
    return count;
}
