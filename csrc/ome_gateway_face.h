/* A gateway in a process of its own: the port in the engine's process, and the other end. For whom it is: ome_replay_face.h. */
#ifndef OME_GATEWAY_FACE_H
#define OME_GATEWAY_FACE_H

#include "ome_venue_face.h"

/* Bytes of the two regions of shared memory between a venue with these limits and a gateway's process: the one that the engine's process
 * writes, and the one that the gateway's does. */
void ome_link_measure(const ome_limits_t *limits, uint32_t ring_slot_count, uint64_t *engines, uint64_t *gateways);

/* ---- the engine's process ---- */

typedef struct ome_engine_port ome_engine_port_t;

/* Registers as the reader "gateway"; before the venue starts. The descriptors are those of zeroed regions, which are mapped; of an eventfd
 * of this process alone; and of two sockets, by one of which the gateway wakes this end, and this end the gateway by the other. They stay
 * the caller's. OME_OK; OME_INVALID: the options; OME_NO_MEMORY; as ome_venue_register. */
ome_status_t ome_engine_port_create(ome_venue_t *venue, int engines_fd, int gateways_fd, int event_fd, int bell_fd, int gateway_bell_fd,
    const ome_gateway_options_t *options, ome_engine_port_t **port);
void ome_engine_port_destroy(ome_engine_port_t *port);

/* Works until there is something for the caller, or for about `timeout_ms`. */
ome_port_outcome_t ome_engine_port_run(ome_engine_port_t *port, uint32_t timeout_ms);

/* A gateway's process begins; it has ended, and what it has published is taken. 0 while the ring has no room for all of that: once more after
 * a run. */
void ome_engine_port_attach(ome_engine_port_t *port);
int ome_engine_port_detach(ome_engine_port_t *port);

/* No more commands are taken from clients. */
void ome_engine_port_close_entry(ome_engine_port_t *port);

/* On the thread that runs it: whether the gateway has taken everything that there is for it. */
int ome_engine_port_is_flushed(const ome_engine_port_t *port);

/* Turns of the gateway's loop, which makes some each second. From any thread. */
uint64_t ome_engine_port_turns(const ome_engine_port_t *port);

/* After OME_PORT_DEFINED: the event (64 bytes). Valid until the next run. */
const void *ome_engine_port_event(const ome_engine_port_t *port);

/* By session: 1 for one that is connected. For any thread, as long as the port lives. */
const uint8_t *ome_engine_port_connected(const ome_engine_port_t *port);

/* ---- the gateway's process ---- */

typedef struct ome_remote ome_remote_t;

/* Maps the regions. `limits` and the slots are the venue's. OME_OK or OME_NO_MEMORY. */
ome_status_t ome_remote_open(
    const ome_limits_t *limits, uint32_t ring_slot_count, int engines_fd, int gateways_fd, int engine_bell_fd, ome_remote_t **remote);
void ome_remote_close(ome_remote_t *remote);

/* As ome_venue_listen. */
ome_status_t ome_remote_listen(ome_remote_t *remote, int listen_fd, ome_listen_use_t use, uint32_t connection_count_max,
    uint32_t part_size_max_bytes, uint32_t queue_size_max_bytes, uint64_t pool_size_bytes, const ome_curve_config_t *curve,
    ome_listener_t **listener);

/* As ome_gateway_create, and waits until the engine's process has told what was before, at most 10 s. OME_OK; OME_INVALID; OME_NO_MEMORY;
 * OME_EMPTY: it has not. */
ome_status_t ome_remote_gateway(
    ome_remote_t *remote, ome_listener_t *listener, int event_fd, const ome_gateway_options_t *options, ome_gateway_t **gateway);

/* The venue as this process sees it: time, and the last command sequenced. */
uint64_t ome_remote_time_ns(const ome_remote_t *remote);
uint64_t ome_remote_cursor(const ome_remote_t *remote);

/* The system ends this process when the thread that made it ends. The process with this id made it; 0: it is gone already. */
int ome_die_with_parent(int parent);

#endif
