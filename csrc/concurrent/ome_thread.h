/* The name of a thread, as `top -H` and `ps -L` show it. docs/OPERATING.md lists the names of a venue's threads. */
#ifndef OME_THREAD_H
#define OME_THREAD_H

/* Names the calling thread. The system keeps the first 15 bytes. A thread that is made later by this one begins with
 * the same name. */
void ome_thread_set_name(const char *name);

#endif
