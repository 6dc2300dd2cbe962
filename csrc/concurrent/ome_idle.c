/* A thread of the lowest scheduling class. */
#define _GNU_SOURCE
#include "concurrent/ome_idle.h"

#include <pthread.h>
#include <sched.h>

typedef struct
{
    ome_status_t (*function)(void *context, uint64_t count);
    void *context;
    uint64_t count;
    ome_status_t status;
} idle_work_t;

/* A low nice value is not enough: such a thread may run to the end of its slice, some milliseconds, while another waits. */
static void *idle_work(void *argument)
{
    idle_work_t *work = argument;
    const struct sched_param none = {0};
    (void)sched_setscheduler(0, SCHED_IDLE, &none); /* of this thread; where the system refuses it works all the same */
    work->status = work->function(work->context, work->count);
    return NULL;
}

ome_status_t ome_idle_run(ome_status_t (*function)(void *context, uint64_t count), void *context, uint64_t count)
{
    idle_work_t work = {.function = function, .context = context, .count = count};
    pthread_t thread;
    if (pthread_create(&thread, NULL, idle_work, &work) != 0)
    {
        return OME_NO_MEMORY;
    }
    (void)pthread_join(thread, NULL);
    return work.status;
}
