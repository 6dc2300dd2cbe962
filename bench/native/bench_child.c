#include "bench_child.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_SIZE_BYTES 4096u

void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("ome_bench: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

void *bench_shared_memory(uint64_t size_bytes)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
    {
        bench_fail("no memory for %llu bytes", (unsigned long long)size_bytes);
    }
    return memory;
}

void bench_child_run(void (*work)(void *context), void *context)
{
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child < 0)
    {
        bench_fail("fork failed");
    }
    if (child == 0)
    {
        work(context);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0)
    {
        bench_fail("a measured run ended with wait status %d", status);
    }
}

void bench_touch_to_write(void *memory, uint64_t size_bytes)
{
    for (uint64_t at = 0; at < size_bytes; at += PAGE_SIZE_BYTES)
    {
        ((volatile uint8_t *)memory)[at] = 0;
    }
}

void bench_touch_to_read(const void *memory, uint64_t size_bytes)
{
    for (uint64_t at = 0; at < size_bytes; at += PAGE_SIZE_BYTES)
    {
        (void)((const volatile uint8_t *)memory)[at];
    }
}

uint64_t bench_thread_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
