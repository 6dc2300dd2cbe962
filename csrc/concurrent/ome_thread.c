#include "concurrent/ome_thread.h"

#include <sys/prctl.h>

void ome_thread_set_name(const char *name)
{
    (void)prctl(PR_SET_NAME, name); /* unlike pthread_setname_np it cuts a longer name */
}
