/* A socket that is a table in memory: what the tests of the gateway give to its loop. */
#ifndef GATEWAY_WIRE_H
#define GATEWAY_WIRE_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "concurrent/ome_published.h"
#include "ome_test.h"
#include "wire/ome_frame.h"
#include "wire/ome_socket.h"

#define PEER_COUNT 6u /* their slots; 0 is not used */
#define FRAME_COUNT_MAX 4096u
#define REPORT_SIZE sizeof(ome_execution_report_t)

typedef struct
{
    uint32_t peer; /* its slot */
    uint32_t generation;
    uint32_t size_bytes;
    ome_socket_kind_t kind; /* of what came in */
    bool is_last; /* of what went out: the connection ended with it */
    uint8_t *data;
} wire_frame_t;

/* What the gateway did to a connection. */
typedef struct
{
    uint32_t generation; /* counts the connections that had the slot before */
    bool is_admitted;
    bool is_ended; /* nothing is sent to it any more, and nothing comes from it */
    uint32_t pause_count;
    uint32_t pause_ms; /* the last one's */
    ome_status_t status; /* what sending to it gives */
    uint32_t queued_bytes; /* that wait for it to read */
} wire_peer_t;

typedef struct
{
    ome_socket_t table;
    pthread_mutex_t lock;
    int event_fd; /* readable when a frame was put in */
    wire_frame_t in[FRAME_COUNT_MAX];
    uint32_t in_count;
    uint32_t in_read;
    uint8_t *handed_over; /* until the next receive */
    wire_frame_t out[FRAME_COUNT_MAX];
    uint32_t out_count;
    uint32_t out_read; /* by the test */
    uint32_t send_count; /* tried, also those refused */
    wire_peer_t peers[PEER_COUNT];
    bool is_closed;
    bool closes_in_wait;
    void (*before_receive)(void *context); /* NULL: nothing happens then */
    void *before_receive_context;
    const ome_published_t *published; /* no report of a command beyond it may be sent; NULL: not checked */
} wire_t;

static inline uint16_t template_of(const void *message)
{
    ome_message_header_t header;
    memcpy(&header, message, sizeof(header));
    return header.template_id;
}

static inline bool is_report_frame(const uint8_t *data)
{
    return template_of(data) == OME_TEMPLATE_EXECUTION_REPORT || template_of(data) == OME_TEMPLATE_ATTRIBUTES_REPORT;
}

/* The number of the connection that has the slot now. */
static inline uint64_t peer_number(const wire_t *wire, uint32_t peer)
{
    return (uint64_t)(wire->peers[peer].generation + 1) << 32 | peer;
}

/* The connection of that number, if it is the one that has the slot now and has not ended. */
static inline wire_peer_t *peer_at(wire_t *wire, uint64_t number)
{
    const uint32_t slot = (uint32_t)number;
    CHECK(slot >= 1 && slot < PEER_COUNT);
    return number == peer_number(wire, slot) && !wire->peers[slot].is_ended ? &wire->peers[slot] : NULL;
}

/* What came from those that have ended meanwhile is left out, as a listener does. */
static inline const wire_frame_t *next_in(wire_t *wire)
{
    while (wire->in_read < wire->in_count)
    {
        const wire_frame_t *frame = &wire->in[wire->in_read++];
        const wire_peer_t *peer = &wire->peers[frame->peer];
        if (frame->kind == OME_SOCKET_GONE || (!peer->is_ended && peer->generation == frame->generation))
        {
            return frame;
        }
        free(frame->data);
    }
    return NULL;
}

static inline ome_status_t wire_receive(void *context, ome_socket_message_t *message)
{
    wire_t *wire = context;
    if (wire->before_receive != NULL)
    {
        wire->before_receive(wire->before_receive_context);
    }
    pthread_mutex_lock(&wire->lock);
    free(wire->handed_over);
    wire->handed_over = NULL;
    ome_status_t status = wire->is_closed ? OME_STOPPED : OME_EMPTY;
    const wire_frame_t *frame = wire->is_closed ? NULL : next_in(wire);
    if (frame != NULL)
    {
        wire->handed_over = frame->data;
        *message = (ome_socket_message_t){.peer = (uint64_t)(frame->generation + 1) << 32 | frame->peer,
            .data = frame->data,
            .data_size_bytes = frame->size_bytes,
            .kind = frame->kind};
        status = OME_OK;
    }
    pthread_mutex_unlock(&wire->lock);
    return status;
}

static inline void wire_keep(wire_t *wire, uint64_t peer, const uint8_t *data, uint32_t size_bytes, bool is_last)
{
    CHECK(wire->out_count < FRAME_COUNT_MAX);
    wire_frame_t *frame = &wire->out[wire->out_count++];
    *frame = (wire_frame_t){.peer = (uint32_t)peer, .size_bytes = size_bytes, .is_last = is_last, .data = malloc(size_bytes)};
    CHECK(frame->data != NULL);
    memcpy(frame->data, data, size_bytes);
}

static inline ome_status_t wire_send(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    wire_t *wire = context;
    pthread_mutex_lock(&wire->lock);
    wire->send_count++;
    const wire_peer_t *to = peer_at(wire, peer);
    const ome_status_t status = to != NULL ? to->status : OME_NOT_FOUND;
    if (status == OME_OK)
    {
        wire_keep(wire, peer, data, size_bytes, false);
        for (uint32_t offset = 0; wire->published != NULL && is_report_frame(data) && offset < size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, data + offset, sizeof(report));
            CHECK(report.engine_sequence <= ome_published_limit(wire->published));
        }
    }
    pthread_mutex_unlock(&wire->lock);
    return status;
}

static inline uint32_t wire_queued(void *context, uint64_t peer)
{
    const wire_peer_t *waiting = peer_at(context, peer);
    return waiting != NULL ? waiting->queued_bytes : 0;
}

static inline uint32_t wire_key(void *context, uint64_t peer)
{
    (void)context;
    (void)peer;
    return 0;
}

static inline ome_status_t wire_admit(void *context, uint64_t peer, int is_admitted)
{
    wire_peer_t *admitted = peer_at(context, peer);
    if (admitted == NULL)
    {
        return OME_NOT_FOUND;
    }
    admitted->is_admitted = is_admitted != 0;
    return OME_OK;
}

static inline void wire_pause(void *context, uint64_t peer, uint32_t duration_ms)
{
    wire_peer_t *paused = peer_at(context, peer);
    CHECK(paused != NULL);
    paused->pause_count++;
    paused->pause_ms = duration_ms;
}

/* As a listener does: the last message goes out whatever sending to the peer gives. */
static inline void wire_end(void *context, uint64_t peer, const uint8_t *data, uint32_t size_bytes)
{
    wire_t *wire = context;
    wire_peer_t *ended = peer_at(wire, peer);
    if (ended == NULL)
    {
        return;
    }
    pthread_mutex_lock(&wire->lock);
    ended->is_ended = true;
    wire_keep(wire, peer, data, size_bytes, true);
    pthread_mutex_unlock(&wire->lock);
}

static inline ome_status_t wire_wait(void *context, int event_fd, uint32_t timeout_ms)
{
    wire_t *wire = context;
    struct pollfd items[2] = {{.fd = event_fd, .events = POLLIN}, {.fd = wire->event_fd, .events = POLLIN}};
    if (wire->closes_in_wait)
    {
        return OME_STOPPED;
    }
    (void)poll(items, 2, (int)timeout_ms);
    for (uint32_t i = 0; i < 2; i++)
    {
        uint64_t count;
        CHECK((items[i].revents & POLLIN) == 0 || read(items[i].fd, &count, sizeof(count)) == sizeof(count));
    }
    return OME_OK;
}

static inline wire_t *wire_new(void)
{
    wire_t *wire = calloc(1, sizeof(wire_t));
    CHECK(wire != NULL);
    CHECK_EQUAL(pthread_mutex_init(&wire->lock, NULL), 0);
    wire->event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(wire->event_fd >= 0);
    wire->table = (ome_socket_t){.context = wire,
        .receive = wire_receive,
        .send = wire_send,
        .queued = wire_queued,
        .admit = wire_admit,
        .pause = wire_pause,
        .key = wire_key,
        .end = wire_end,
        .wait = wire_wait};
    return wire;
}

static inline void wire_free(wire_t *wire)
{
    while (wire->in_read < wire->in_count)
    {
        free(wire->in[wire->in_read++].data);
    }
    free(wire->handed_over);
    for (uint32_t i = 0; i < wire->out_count; i++)
    {
        free(wire->out[i].data);
    }
    CHECK_EQUAL(close(wire->event_fd), 0);
    pthread_mutex_destroy(&wire->lock);
    free(wire);
}

static inline void wire_put_kind(wire_t *wire, uint32_t peer, ome_socket_kind_t kind, const void *data, uint32_t size_bytes)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&wire->lock);
    CHECK(wire->in_count < FRAME_COUNT_MAX);
    wire_frame_t *frame = &wire->in[wire->in_count++];
    *frame = (wire_frame_t){.peer = peer,
        .generation = wire->peers[peer].generation,
        .size_bytes = size_bytes,
        .kind = kind,
        .data = malloc(size_bytes > 0 ? size_bytes : 1)};
    CHECK(frame->data != NULL);
    memcpy(frame->data, data, size_bytes);
    pthread_mutex_unlock(&wire->lock);
    CHECK_EQUAL(write(wire->event_fd, &one, sizeof(one)), sizeof(one));
}

/* A client sends a frame. */
static inline void wire_put(wire_t *wire, uint32_t peer, const void *data, uint32_t size_bytes)
{
    wire_put_kind(wire, peer, OME_SOCKET_PART, data, size_bytes);
}

/* The client of a slot goes. */
static inline void wire_leave(wire_t *wire, uint32_t peer)
{
    wire_put_kind(wire, peer, OME_SOCKET_GONE, "", 0);
    wire->peers[peer].is_ended = true;
}

/* Another client connects and gets the slot. */
static inline void wire_reconnect(wire_t *wire, uint32_t peer)
{
    wire->peers[peer] = (wire_peer_t){.generation = wire->peers[peer].generation + 1};
}

#endif
