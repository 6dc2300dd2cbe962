#include "base/ome_assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local ome_assert_trap_t *trap_of_thread;

void ome_assert_trap_set(ome_assert_trap_t *trap)
{
    trap_of_thread = trap;
    if (trap != NULL)
    {
        trap->message[0] = '\0';
    }
}

_Noreturn void ome_assert_failed(const char *file, int line, const char *condition)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash != NULL ? slash + 1 : file;
    ome_assert_trap_t *const trap = trap_of_thread;
    if (trap != NULL)
    {
        snprintf(trap->message, sizeof(trap->message), "assertion failed: %s (%s:%d)", condition, name, line);
        longjmp(trap->jump, 1);
    }
    fprintf(stderr, "ome: assertion failed: %s (%s:%d)\n", condition, name, line);
    fflush(stderr);
    abort();
}
