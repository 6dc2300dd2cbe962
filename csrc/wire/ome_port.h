/* The engine's end of a gateway that is a process of its own (ome_link.h).
 *
 * It sequences what the gateway publishes, tells it which sequences its commands got, and makes reports of the events that may be published,
 * with their numbers. The newest reports are kept here: a gateway that begins is told of all sessions, gets those reports, and then what is
 * new. So nothing that clients need is in the gateway's process alone, and another one goes on where the last one ended.
 *
 *     attach -> run, run, ... -> detach -> attach ...
 *
 * Nothing waits for the gateway. While there is none, or one that does not read, events are read and reports are kept all the same; one that
 * is so far behind that a report is overwritten before it got it, is lost. What the gateway sends is checked: it may send commands of clients
 * and definitions of sessions, whole claims, and nothing else. One that sends anything else is broken. Its owner ends a gateway that is lost
 * or broken, and attaches another one.
 *
 * One thread. */
#ifndef OME_PORT_H
#define OME_PORT_H

#include "concurrent/ome_ingress.h"
#include "concurrent/ome_published.h"
#include "engine/ome_engine.h"
#include "wire/ome_link.h"
#include "wire/ome_session_table.h"

typedef struct
{
    ome_ingress_t ingress;
    ome_reader_t reader;
    bool (*is_open)(void *context);    /* whether commands are taken */
    uint8_t (*storage)(void *context); /* ome_storage_t */
    void *context;
    ome_report_counters_t counters;
    ome_link_config_t link;
    void *engines;  /* the regions, zeroed */
    void *gateways;
    uint32_t order_count_max;
    uint32_t history_count; /* reports kept; a power of two */
    int event_fd;           /* the threads of this process wake this end by it */
    int bell_fd;            /* the gateway does, by the other end of these sockets */
    int gateway_bell_fd;    /* wakes the gateway */
} ome_port_config_t;

typedef struct ome_port ome_port_t;

uint64_t ome_port_size_bytes(const ome_port_config_t *config);

/* Lays a port out in zeroed memory aligned to a cache line, and takes over the engine's sessions and live orders; before the threads start.
 * OME_OK or OME_NO_MEMORY. */
ome_status_t ome_port_init(
    ome_port_t **port, void *memory, uint64_t size_bytes, const ome_port_config_t *config, const ome_engine_t *engine);

/* A gateway begins, as soon as everything is published that the one before it has sent. There is none. */
void ome_port_attach(ome_port_t *port);

/* The gateway's process has ended: what it has published is taken, and nobody is connected. False while the inbound ring has no room for all
 * of it: then once more, after a turn. */
bool ome_port_detach(ome_port_t *port);

/* Stops taking commands: the gateway is told, and refuses them. What it has published is still taken. */
void ome_port_close_entry(ome_port_t *port);

/* Works for about `timeout_ms`, or until there is something for the caller. */
ome_port_outcome_t ome_port_run(ome_port_t *port, uint32_t timeout_ms);

/* After OME_PORT_DEFINED: the event. Valid until the next call of ome_port_run. */
const void *ome_port_event(const ome_port_t *port);

/* Whether the gateway has sent nothing that is not taken, and has taken everything that there is for it. */
bool ome_port_is_flushed(const ome_port_t *port);

/* Turns of the gateway's loop: one that lives makes some each second. */
uint64_t ome_port_turns(const ome_port_t *port);

/* By session, for any thread: who is connected. */
const _Atomic uint8_t *ome_port_connected(const ome_port_t *port);

/* What the gateway that is attached, or was, says that it has counted. */
uint64_t ome_port_counter(const ome_port_t *port, uint32_t index);

#endif
