#include "base/ome_assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void ome_assert_failed(const char *file, int line, const char *condition)
{
    const char *name = strrchr(file, '/');
    fprintf(stderr, "ome: assertion failed: %s (%s:%d)\n", condition, name != NULL ? name + 1 : file, line);
    fflush(stderr);
    abort();
}
