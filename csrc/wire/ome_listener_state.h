/* The listener's state, and the functions that its parts share. Only for csrc/wire/ome_listener_*.c.
 *
 * Each part uses those below it:
 *     ome_listener_loop.c         set-up, time, and the table of functions that the loops call
 *     ome_listener_accept.c       new connections
 *     ome_listener_in.c           input from connections
 *     ome_listener_out.c          output to connections
 *     ome_listener_curve.c        keys, and encrypted frames
 *     ome_listener_connections.c  finding, watching and closing connections, and making room for them */
#ifndef OME_LISTENER_STATE_H
#define OME_LISTENER_STATE_H

#include <stdbool.h>
#include <sys/epoll.h>

#include "wire/ome_blocks.h"
#include "wire/ome_curve.h"
#include "wire/ome_listener.h"

#define OME_LISTENER_NS_PER_MS UINT64_C(1000000)
#define OME_LISTENER_TICK_MS 10u
#define OME_LISTENER_ADMISSION_MS 30000u
#define OME_LISTENER_ENDING_MS 30000u /* for a peer that still has to read its last bytes */
#define OME_LISTENER_EVENT_COUNT 64u
#define OME_LISTENER_READ_SIZE (UINT32_C(64) * 1024)
#define OME_LISTENER_LISTEN_KEY UINT64_C(0)

typedef enum
{
    OME_CONNECTION_FREE,
    OME_CONNECTION_OPEN,
    OME_CONNECTION_ENDING, /* what it sends is dropped, a piece each tick; ends when all is sent and the peer has closed, or its time is over */
    OME_CONNECTION_GONE /* closed after it was admitted; the caller does not know yet */
} ome_connection_state_t;

typedef struct
{
    ome_connection_state_t state;
    ome_zmtp_stage_t stage;
    int fd;
    uint32_t generation;
    bool is_admitted;
    bool is_shut; /* all is sent, and the peer knows that nothing follows */
    bool wants_write; /* epoll reports when it can be written to */
    bool is_dirty; /* in the list of those with something to write */
    bool is_paused;
    bool has_waited; /* for a step of its handshake */
    uint32_t needed; /* bytes of input before it can go on */
    uint32_t frame_count; /* in this tick */
    uint32_t command_count;
    uint64_t tick;
    uint64_t resume_ns;
    uint64_t deadline_ns; /* of admission, or of the end */
    uint64_t moved_ns; /* when it last took something, or its queue was empty */
    ome_block_queue_t in; /* the beginning of a frame, or what was read before a pause */
    ome_block_queue_t out;
    uint32_t older; /* of those that are not admitted, by when they came */
    uint32_t newer;
    uint32_t next_dirty;
    uint32_t next_paused;
    uint32_t next_free; /* or next gone */
} ome_connection_t;

struct ome_listener
{
    ome_socket_t table;
    ome_listener_config_t config;
    ome_connection_t *connections; /* the first is not used */
    uint8_t *buffer; /* room for what a connection held, and then what is read */
    uint32_t headroom;
    ome_blocks_t blocks;
    int epoll_fd;
    int event_fd; /* the one that epoll knows; -1: none */
    bool is_failed;
    bool listens; /* epoll is to tell of connections */

    struct epoll_event events[OME_LISTENER_EVENT_COUNT];
    uint32_t event_index;
    uint32_t event_count;

    uint32_t current; /* the connection whose bytes are in the buffer; 0: none */
    uint8_t *position;
    uint8_t *end;

    uint64_t now_ns;
    uint64_t tick;
    uint64_t sweep_ns;
    uint32_t sweep_count;
    uint32_t strangers_frame_count; /* in this tick */
    uint32_t open_count;
    uint32_t free;
    uint32_t gone;
    uint32_t dirty;
    uint32_t paused_first;
    uint32_t paused_last;
    uint64_t resume_tick; /* the last in which nobody else could go on */
    uint64_t full_tick; /* in which nobody could be closed to make room: in it, that is tried again only for who needs less than half of: */
    uint32_t full_bytes;
    uint64_t skip_tick; /* up to `skipped`, nobody in the list can go on in this tick */
    uint32_t skipped;
    uint32_t oldest; /* that is not admitted */
    uint32_t newest;
    ome_curve_config_t curve_config;
    ome_curve_server_t curve;
    ome_key_table_t keys;
    ome_curve_t *curves; /* by slot; NULL: a listener without keys */
    uint8_t *sealed; /* room for one encrypted frame */
    uint32_t handshake_count; /* steps of handshakes in this tick */
    uint32_t hello_size_bytes;
    uint8_t hello[OME_ZMTP_HELLO_SIZE_MAX];
};

/* ---- ome_listener_connections.c ---- */

static inline bool ome_listener_is_there(const ome_connection_t *connection)
{
    return connection->state == OME_CONNECTION_OPEN || connection->state == OME_CONNECTION_ENDING;
}

static inline uint64_t ome_listener_peer_of(const ome_listener_t *listener, uint32_t slot)
{
    return (uint64_t)listener->connections[slot].generation << 32 | slot;
}

/* The slot of a peer that is there; 0 when it is gone. */
uint32_t ome_listener_slot_of(const ome_listener_t *listener, uint64_t peer);

/* The slot of a peer that is there and does not end; 0 otherwise. */
uint32_t ome_listener_open_slot_of(const ome_listener_t *listener, uint64_t peer);

/* Tells the kernel what it waits for. */
void ome_listener_watch(const ome_listener_t *listener, uint32_t slot);

/* While it is off, nobody is accepted: connections wait in the kernel's queue. */
void ome_listener_watch_listening(ome_listener_t *listener, bool listens);

/* Puts it in, or takes it out of, the list of those that are not admitted. */
void ome_listener_enlist(ome_listener_t *listener, uint32_t slot);
void ome_listener_delist(ome_listener_t *listener, uint32_t slot);

void ome_listener_count_queued(const ome_listener_t *listener);

/* Closes it at once. What waits in either direction is dropped. */
void ome_listener_close_connection(ome_listener_t *listener, uint32_t slot);

/* The same, and counts it. */
void ome_listener_close_counted(ome_listener_t *listener, uint32_t slot, ome_counter_t *counter);

/* The pool is used up: closes the connection that holds most, of those that do not read; if all read, of those that
 * hold more than twice what the one that is to be spared needs: a peer that reads a little at a time must not keep the
 * memory that all share. False where there is none. */
bool ome_listener_make_room(ome_listener_t *listener, uint32_t spared, uint64_t needed_bytes);

/* ---- ome_listener_curve.c ---- */

/* Makes what a listener with keys needs, if this one is to have them, and our first bytes. OME_OK; OME_INVALID; OME_NO_MEMORY. */
ome_status_t ome_listener_curve_create(ome_listener_t *listener);
void ome_listener_curve_destroy(ome_listener_t *listener);

/* Whether the connection may take another step of its handshake in this tick. */
bool ome_listener_may_shake_hands(const ome_listener_t *listener, const ome_connection_t *connection);

/* Uses the keys that were admitted since the last time, if any, and closes the connections whose keys are not among them. */
void ome_listener_take_keys(ome_listener_t *listener);

/* The next item of the current connection, and what is to be sent in answer. */
void ome_listener_open_item(ome_listener_t *listener, ome_zmtp_item_t *item, ome_curve_answer_t *answer);

/* Whether the connection is so far that messages may be sent to it. */
bool ome_listener_may_send(const ome_listener_t *listener, uint32_t slot);

/* The largest message that ome_listener_seal takes. */
uint64_t ome_listener_sealed_size_max(const ome_listener_t *listener);

/* Encrypts a part, or a command, into `sealed`. Returns the frame's size. */
uint32_t ome_listener_seal(ome_listener_t *listener, uint32_t slot, bool is_command, const uint8_t *data, uint32_t data_size_bytes);

/* ---- ome_listener_accept.c ---- */

void ome_listener_accept_connections(ome_listener_t *listener);

/* ---- ome_listener_in.c ---- */

/* Reads nothing from it until then. */
void ome_listener_pause_until(ome_listener_t *listener, uint32_t slot, uint64_t resume_ns);

/* Whether the connection may have another item in this tick. */
bool ome_listener_has_credit(ome_listener_t *listener, ome_connection_t *connection);

/* Takes the beginning of what the current connection sent, up to the first item for the caller. False when there is
 * none: then there is no current connection any more. */
bool ome_listener_next_item(ome_listener_t *listener, ome_socket_message_t *message);

/* Reads once from a connection, which then is the current one if there is something to take. */
void ome_listener_read_connection(ome_listener_t *listener, uint32_t slot);

/* ---- ome_listener_out.c ---- */

/* Writes what waits, as far as the kernel takes it. */
void ome_listener_flush_connection(ome_listener_t *listener, uint32_t slot);

/* The same of all that have something to write. */
void ome_listener_flush_all(ome_listener_t *listener);

/* Puts bytes into its queue; they leave with the next flush. */
bool ome_listener_enqueue(
    ome_listener_t *listener, uint32_t slot, const void *header, uint32_t header_size_bytes, const void *data, uint32_t data_size_bytes);

/* The same with a part, or with the body of a command: puts the header before it, or encrypts it. */
bool ome_listener_enqueue_frame(ome_listener_t *listener, uint32_t slot, bool is_command, const uint8_t *data, uint32_t data_size_bytes);

/* Nothing more is taken from it; what waits is sent, as far as it reads, and then it ends. */
void ome_listener_end_connection(ome_listener_t *listener, uint32_t slot);

/* ome_socket_t.send. */
ome_status_t ome_listener_send(void *context, uint64_t peer, const uint8_t *data, uint32_t data_size_bytes);

#endif
