/* Assertions stay on in production: a core that has gone wrong stops, it does not go on.
 *
 * One condition each, so that the message tells which. What a client can cause is never asserted; it is a rejected command. */
#ifndef OME_ASSERT_H
#define OME_ASSERT_H

#define OME_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define OME_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Writes file, line and condition to standard error and aborts. */
_Noreturn void ome_assert_failed(const char *file, int line, const char *condition);

#define OME_ASSERT(condition) (OME_LIKELY(condition) ? (void)0 : ome_assert_failed(__FILE__, __LINE__, #condition))

#endif
