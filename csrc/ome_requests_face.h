/* Requests: what clients ask a running venue, on an address of its own. Beside ome_venue_face.h, for Python (cffi_build.py reads it) and for
 * tests. */
#ifndef OME_REQUESTS_FACE_H
#define OME_REQUESTS_FACE_H

#include "ome_venue_face.h"

typedef struct ome_requests ome_requests_t;

/* Makes the loop of a listener made for OME_LISTEN_REQUESTS. `event_fd` is an eventfd that wakes it. `connected` has 1 for
 * each session that is, by its number; NULL: none is. It and the venue must outlive it. OME_OK; OME_NO_MEMORY. */
ome_status_t ome_requests_create(
    ome_venue_t *venue, const uint8_t *connected, ome_listener_t *listener, int event_fd, ome_requests_t **requests);

/* NULL is allowed. */
void ome_requests_destroy(ome_requests_t *requests);

/* Works until there is something for the caller, or it was called, or for about `timeout_ms`. */
ome_requests_outcome_t ome_requests_run(ome_requests_t *requests, uint32_t timeout_ms);

/* From any thread: the run returns soon. */
void ome_requests_call(ome_requests_t *requests);

/* The connection, the 88 bytes of a message, zeros behind a shorter one, and the 16 of the participant's name of a connection that is logged
 * on. Valid until the next run. */
uint64_t ome_requests_peer(const ome_requests_t *requests);
const uint8_t *ome_requests_message(const ome_requests_t *requests);
const char *ome_requests_name(const ome_requests_t *requests);

/* After OME_REQUESTS_LOGON: who the participant of this name, 16 bytes, is in the engine; its connection is admitted (OME_OK; OME_NOT_FOUND:
 * it is gone); the logon is answered once, when what `sequence` names may be spoken of. */
void ome_requests_find(ome_requests_t *requests, const char *name, ome_requests_who_t *who);
ome_status_t ome_requests_admit(ome_requests_t *requests, uint64_t peer, const char *name, const ome_requests_who_t *who);
void ome_requests_answer_logon(ome_requests_t *requests, uint64_t peer, const uint8_t *frame, uint32_t size_bytes, uint64_t sequence);

/* Nothing is read from a connection for `duration_ms`; whether it is logged on; it ends, with a Logout that says why. */
void ome_requests_pause(ome_requests_t *requests, uint64_t peer, uint32_t duration_ms);
int ome_requests_is_logged_on(const ome_requests_t *requests, uint64_t peer);
void ome_requests_end(ome_requests_t *requests, uint64_t peer, uint8_t reason);

/* After OME_REQUESTS_FILLS, at any time: the answer, which may be spoken of. */
void ome_requests_answer_fills(ome_requests_t *requests, uint64_t peer, const uint8_t *frame, uint32_t size_bytes);

#endif
