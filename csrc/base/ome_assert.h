/* Assertions stay on in production: a core with an error must stop. Conditions that would cost too much are
 * expectations.
 *
 * Each assertion has one condition, so that the message names it. A condition that a client can break is never
 * asserted; it is a rejected command. */
#ifndef OME_ASSERT_H
#define OME_ASSERT_H

#include <setjmp.h>
#include <stddef.h>

#define OME_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define OME_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* For a thread that can give up what it works on, as a replay can: while the trap is set, a failed assertion jumps to
 * `jump` instead of ending the process.
 *
 *     ome_assert_trap_set(&trap);
 *     if (setjmp(trap.jump) == 0) { ... the work, which holds no lock and no memory of its own ... } else { ... what it worked on is lost ... }
 *     ome_assert_trap_set(NULL); */
typedef struct
{
    jmp_buf jump;
    char message[256]; /* condition, file and line; empty if none has failed */
} ome_assert_trap_t;

/* Sets the trap of this thread; NULL for none. */
void ome_assert_trap_set(ome_assert_trap_t *trap);

/* Writes file, line and condition to standard error and aborts, or jumps to this thread's trap. */
_Noreturn void ome_assert_failed(const char *file, int line, const char *condition);

#define OME_ASSERT(condition) (OME_LIKELY(condition) ? (void)0 : ome_assert_failed(__FILE__, __LINE__, #condition))

/* For conditions on the hot path, or that cost more than a comparison: checked in builds with a sanitizer, and with
 * OME_CHECKED. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(OME_CHECKED)
#define OME_EXPECT(condition) OME_ASSERT(condition)
#else
#define OME_EXPECT(condition) ((void)sizeof(condition))
#endif

#endif
