/* libzmq's functions, taken from the library that the process has loaded already (pyzmq's), and a socket table over them.
 *
 * A second libzmq would refuse the first one's sockets, so none is ever linked: the functions are looked up in the file that holds pyzmq's. */
#ifndef OME_ZMQ_H
#define OME_ZMQ_H

#include <stdint.h>

#include "wire/ome_socket.h"

typedef struct ome_zmq ome_zmq_t;

/* Looks the functions up in the loaded library at `path`. OME_OK; OME_NOT_FOUND: it is not loaded, or a function is missing;
 * OME_UNSUPPORTED: its version is not `version` (major * 10000 + minor * 100 + patch); OME_NO_MEMORY. */
ome_status_t ome_zmq_create(const char *path, int version, ome_zmq_t **zmq);
void ome_zmq_destroy(ome_zmq_t *zmq);

/* Fills `table` for `handle`, the void * of an open ZeroMQ socket that outlives the table. `has_peers`: it is a ROUTER. OME_OK; OME_NO_MEMORY. */
ome_status_t ome_zmq_socket_create(const ome_zmq_t *zmq, void *handle, int has_peers, ome_socket_t **table);

/* Frees the table; the socket itself stays open. */
void ome_zmq_socket_destroy(ome_socket_t *table);

#endif
