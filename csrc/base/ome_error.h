/* A failed system call, so that a message can say which call, on which file, and why. */
#ifndef OME_ERROR_H
#define OME_ERROR_H

#define OME_PATH_SIZE 4096u /* bytes of a path with its terminating zero */

typedef struct
{
    int number; /* errno; 0: no error */
    const char *call; /* name of the system call, a constant; NULL: no error */
    char path[OME_PATH_SIZE];
} ome_error_t;

#endif
