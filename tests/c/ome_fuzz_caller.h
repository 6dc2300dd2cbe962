/* The caller of a gateway, for the fuzz driver: it does with what the loop hands over what the server's thread does (ome/gateway/), with a
 * registry of names that has as few numbers as the engine. */
#ifndef OME_FUZZ_CALLER_H
#define OME_FUZZ_CALLER_H

#include "gateway_truth.h"

#define CALLER_SESSIONS TRUTH_SESSIONS
#define CALLER_SLOTS (CALLER_SESSIONS + OME_DROP_COPY_COUNT_MAX) /* the numbers of drop copies are behind those of sessions */
#define CALLER_HEARTBEAT_MS_MIN 100u
#define CALLER_HEARTBEAT_MS_MAX 60000u

/* Whose a session's number is. */
typedef struct
{
    char name[OME_NAME_SIZE];
    uint64_t used; /* the last to be used has the highest */
    uint16_t number;
    uint16_t participant;
    bool is_there;
    bool is_defined;
} caller_entry_t;

typedef struct
{
    ome_logon_t logon;
    uint64_t peer;
    uint16_t session;
    uint16_t participant;
    bool is_defined;
} caller_admission_t;

typedef struct
{
    house_t *house;
    truth_t *truth;
    caller_entry_t entries[CALLER_SESSIONS + 1];
    caller_entry_t formers[CALLER_SESSIONS + 1];     /* whose the number is until that of `entries` is defined */
    caller_admission_t waiting[CALLER_SESSIONS + 1]; /* for the engine to give it a number that is another one's; peer 0: nobody */
    caller_admission_t admitted[CALLER_SLOTS + 1]; /* the last */
    bool is_connected[CALLER_SLOTS + 1];
    ome_gateway_wanted_t question;
    char asked_name[OME_NAME_SIZE]; /* of the participant of the drop copy that asks */
    bool has_question;
    bool has_lost_reports; /* the archive did not have all that it was asked for */
    uint64_t use_count;
} caller_t;

static inline void caller_send(const caller_t *caller, uint64_t peer, const void *message, uint32_t size_bytes)
{
    (void)ome_gateway_send(caller->house->gateway, peer, message, size_bytes);
}

/* The embedder's own command; false where the ring is full or the venue stops. */
static inline bool caller_submit(const caller_t *caller, const ome_command_t *command)
{
    const ome_ingress_t ingress = {.ring = caller->house->ring, .clock = &caller->house->clock};
    ome_ingress_claim_t claim;
    if (!caller->house->is_open || ome_ingress_claim(&ingress, 1, &claim) != OME_OK)
    {
        return false;
    }
    (void)ome_ingress_put(&ingress, &claim, 0, command);
    ome_ingress_publish(&ingress, &claim);
    return true;
}

/* ---- numbers for names ---- */

static inline bool caller_is_of(const caller_entry_t *entry, const char *name)
{
    return entry->is_there && memcmp(entry->name, name, OME_NAME_SIZE) == 0;
}

/* The number of a participant that a drop copy of this name keeps; 0: there is none. */
static inline uint16_t caller_held(const caller_t *caller, const char *name)
{
    for (uint32_t copy = CALLER_SESSIONS + 1; copy <= CALLER_SLOTS; copy++)
    {
        const caller_admission_t *admitted = &caller->admitted[copy];
        if (caller->is_connected[copy] && memcmp(admitted->logon.participant_name, name, OME_NAME_SIZE) == 0)
        {
            return admitted->participant;
        }
    }
    return 0;
}

/* The session of a name and the client's number, or of the name alone (`number` below 0); 0: there is none. */
static inline uint16_t caller_find(const caller_t *caller, const char *name, int32_t number, uint16_t *participant)
{
    for (uint16_t session = 1; session <= CALLER_SESSIONS; session++)
    {
        const caller_entry_t *both[2] = {&caller->entries[session], &caller->formers[session]};
        for (uint32_t i = 0; i < 2; i++)
        {
            if (caller_is_of(both[i], name) && (number < 0 || both[i]->number == number))
            {
                *participant = both[i]->participant;
                return session;
            }
        }
    }
    return 0;
}

static inline uint16_t caller_free_participant(const caller_t *caller)
{
    for (uint16_t participant = 1; participant <= CALLER_SESSIONS; participant++)
    {
        bool is_free = true;
        for (uint32_t session = 1; session <= CALLER_SESSIONS; session++)
        {
            const caller_entry_t *entry = &caller->entries[session];
            const caller_entry_t *former = &caller->formers[session];
            is_free = is_free && !(entry->is_there && entry->participant == participant) &&
                      !(former->is_there && former->participant == participant);
        }
        for (uint32_t copy = CALLER_SESSIONS + 1; copy <= CALLER_SLOTS; copy++)
        {
            is_free = is_free && !(caller->is_connected[copy] && caller->admitted[copy].participant == participant);
        }
        if (is_free)
        {
            return participant;
        }
    }
    return 0;
}

/* Whether the number changes hands: the engine is being asked whether another name may have it. */
static inline bool caller_is_shared(const caller_t *caller, uint16_t participant)
{
    for (uint32_t session = 1; session <= CALLER_SESSIONS; session++)
    {
        const caller_entry_t *entry = &caller->entries[session];
        const caller_entry_t *former = &caller->formers[session];
        if (former->is_there && former->participant == participant && entry->participant == participant &&
            !caller_is_of(former, entry->name))
        {
            return true;
        }
    }
    return false;
}

/* The number of a participant of this name, or one that it may have; 0: there is none. */
static inline uint16_t caller_participant(const caller_t *caller, const char *name)
{
    uint16_t participant = 0;
    if (caller_find(caller, name, -1, &participant) == 0)
    {
        participant = caller_held(caller, name);
        participant = participant != 0 ? participant : caller_free_participant(caller);
    }
    return participant;
}

static inline void caller_define(caller_t *caller, uint16_t session)
{
    CHECK(caller->entries[session].is_there);
    caller->entries[session].is_defined = true;
    caller->formers[session].is_there = false;
}

static inline void caller_forget(caller_t *caller, uint16_t session)
{
    caller->entries[session] = caller->formers[session];
    caller->formers[session].is_there = false;
}

/* Frees the numbers that sessions without a connection have borrowed. */
static inline void caller_sweep(caller_t *caller)
{
    for (uint16_t session = 1; session <= CALLER_SESSIONS; session++)
    {
        const caller_entry_t *entry = &caller->entries[session];
        const ome_gateway_session_t seen = look(caller->house, session);
        if (!entry->is_there || entry->is_defined || caller->formers[session].is_there)
        {
            continue;
        }
        if (seen.is_defined)
        {
            caller_define(caller, session);
        }
        else if (seen.peer == 0)
        {
            caller_forget(caller, session);
        }
    }
}

/* A free number, or one whose session is defined and has neither orders nor a connection: that which was used longest ago. */
static inline uint16_t caller_choose(const caller_t *caller)
{
    uint16_t chosen = 0;
    for (uint16_t session = 1; session <= CALLER_SESSIONS; session++)
    {
        const caller_entry_t *entry = &caller->entries[session];
        const ome_gateway_session_t seen = look(caller->house, session);
        if (!entry->is_there)
        {
            return session;
        }
        if (entry->is_defined && seen.peer == 0 && seen.order_count == 0 && (chosen == 0 || entry->used < caller->entries[chosen].used))
        {
            chosen = session;
        }
    }
    return chosen;
}

static inline uint16_t caller_lend(caller_t *caller, const char *name, uint16_t number)
{
    caller_sweep(caller);
    const uint16_t session = caller_choose(caller);
    if (session == 0)
    {
        return 0;
    }
    caller_entry_t *entry = &caller->entries[session];
    uint16_t participant = caller_participant(caller, name);
    participant = participant == 0 && entry->is_there && caller_held(caller, entry->name) == 0 ? entry->participant : participant;
    if (participant == 0)
    {
        return 0; /* more names than numbers, while one changes hands */
    }
    caller->formers[session] = *entry;
    *entry = (caller_entry_t){.number = number, .participant = participant, .is_there = true};
    memcpy(entry->name, name, OME_NAME_SIZE);
    return session;
}

/* ---- logons ---- */

static inline bool caller_is_copy(uint16_t session)
{
    return session > CALLER_SESSIONS;
}

static inline void caller_answer(const caller_t *caller, const caller_admission_t *to, uint8_t reason)
{
    ome_logon_answer_t answer = {
        .login_id = to->logon.login_id, .reason = reason, .frame_message_count_max = OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX};
    ome_message_header_set(&answer, OME_TEMPLATE_LOGON_ANSWER, OME_BLOCK_LOGON_ANSWER);
    if (reason == OME_REASON_NONE)
    {
        const ome_gateway_session_t seen = look(caller->house, to->session);
        answer.participant = to->participant;
        answer.session = caller_is_copy(to->session) ? 0 : to->session;
        answer.report_sequence = seen.report_sequence;
        answer.first_report_sequence = seen.first_report_sequence;
        answer.command_sequence = seen.command_sequence;
    }
    caller_send(caller, to->peer, &answer, sizeof(answer));
}

static inline void caller_say_logout(const caller_t *caller, uint64_t peer, uint16_t session, uint8_t reason)
{
    ome_logout_t logout = {.reason = reason, .session = caller_is_copy(session) ? 0 : session};
    ome_message_header_set(&logout, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    if (session != 0)
    {
        const ome_gateway_session_t seen = look(caller->house, session);
        logout.command_sequence = seen.command_sequence;
        logout.report_sequence = seen.report_sequence;
    }
    caller_send(caller, peer, &logout, sizeof(logout));
}

static inline ome_gateway_logon_t caller_entry_of(const caller_t *caller, const caller_admission_t *admission)
{
    const bool is_copy = caller_is_copy(ome_gateway_session_of(caller->house->gateway, admission->peer)); /* nothing is added to one */
    ome_gateway_logon_t entry = {.peer = admission->peer,
        .heartbeat_ms = admission->logon.heartbeat_ms != 0 ? admission->logon.heartbeat_ms : 10000,
        .participant = admission->participant,
        .session_number = admission->logon.session_number,
        .flags = admission->logon.session_flags,
        .is_defined = admission->is_defined};
    entry.is_added = (admission->logon.logon_flags & OME_LOGON_FLAGS_ADD_SESSION) != 0 && !is_copy;
    memcpy(entry.participant_name, admission->logon.participant_name, OME_NAME_SIZE);
    return entry;
}

/* What the connection has now, and no longer after this logon. */
static inline void caller_note_left(const caller_t *caller, const ome_gateway_logon_t *entry, bool is_left[CALLER_SLOTS + 1])
{
    const ome_gateway_t *gateway = caller->house->gateway;
    memset(is_left, 0, CALLER_SLOTS + 1);
    for (uint16_t other = ome_gateway_session_of(gateway, entry->peer); other != 0; other = ome_gateway_next_session(gateway, other))
    {
        is_left[other] = entry->is_added == 0;
    }
}

/* The connection has the session, or is the drop copy. */
static inline void caller_begin(caller_t *caller, const caller_admission_t *admission, const bool is_left[CALLER_SLOTS + 1])
{
    for (uint32_t other = 1; other <= CALLER_SLOTS; other++)
    {
        caller->is_connected[other] = caller->is_connected[other] && !is_left[other];
    }
    caller->is_connected[admission->session] = true;
    caller->admitted[admission->session] = *admission;
    caller_answer(caller, admission, OME_REASON_NONE);
    ome_gateway_begin(caller->house->gateway, admission->session, admission->logon.next_report_sequence);
}

static inline void caller_admit(caller_t *caller, const caller_admission_t *admission)
{
    ome_gateway_t *gateway = caller->house->gateway;
    const uint16_t session = admission->session;
    const uint64_t former = look(caller->house, session).peer;
    const ome_gateway_logon_t entry = caller_entry_of(caller, admission);
    if (former != 0 && former != admission->peer)
    {
        if ((admission->logon.logon_flags & OME_LOGON_FLAGS_NO_TAKEOVER) != 0)
        {
            caller_answer(caller, admission, OME_REASON_SESSION_IN_USE);
            return;
        }
        caller_say_logout(caller, former, session, OME_REASON_SESSION_TAKEN_OVER);
        CHECK(caller->is_connected[session]);
    }
    bool is_left[CALLER_SLOTS + 1];
    caller_note_left(caller, &entry, is_left);
    if (ome_gateway_bind(gateway, session, &entry) == OME_OK)
    {
        caller_begin(caller, admission, is_left);
    }
}

/* The connection becomes a drop copy, for which its participant keeps its number. Returns why not. */
static inline uint8_t caller_admit_copy(caller_t *caller, caller_admission_t *admission)
{
    admission->participant = caller_participant(caller, admission->logon.participant_name);
    if (admission->participant == 0 || caller_is_shared(caller, admission->participant))
    {
        return OME_REASON_BUSY;
    }
    const ome_gateway_logon_t entry = caller_entry_of(caller, admission);
    bool is_left[CALLER_SLOTS + 1];
    caller_note_left(caller, &entry, is_left);
    const ome_status_t status = ome_gateway_bind_copy(caller->house->gateway, &entry, &admission->session);
    if (status == OME_OK)
    {
        CHECK(caller_is_copy(admission->session) && admission->session <= CALLER_SLOTS);
        caller_begin(caller, admission, is_left);
    }
    return status == OME_FULL ? OME_REASON_SESSION_ALLOWANCE_REACHED : OME_REASON_NONE; /* or nobody is there to be told */
}

/* A free number is valid at once; one that the engine has for another session, when the engine has accepted the change. */
static inline void caller_take_lease(caller_t *caller, const caller_admission_t *admission)
{
    const uint16_t session = admission->session;
    caller_admission_t *waiting = &caller->waiting[session];
    if (!caller->formers[session].is_there && waiting->peer == 0)
    {
        caller_admit(caller, admission);
        return;
    }
    if (waiting->peer == 0)
    {
        ome_command_t command = define_session(session, admission->participant, "", admission->logon.session_number);
        memcpy(command.participant_name, admission->logon.participant_name, OME_NAME_SIZE);
        if (ome_gateway_submit(caller->house->gateway, &command, 1) != OME_OK)
        {
            caller_forget(caller, session);
            caller_answer(caller, admission, OME_REASON_BUSY);
            return;
        }
    }
    else if (waiting->peer != admission->peer)
    {
        caller_answer(caller, waiting, OME_REASON_BUSY);
    }
    *waiting = *admission;
}

/* Printable, and zeros behind it. */
static inline bool caller_is_name(const char *name)
{
    uint32_t length = 0;
    while (length < OME_NAME_SIZE && name[length] > ' ' && name[length] <= '~')
    {
        length++;
    }
    for (uint32_t i = length; i < OME_NAME_SIZE; i++)
    {
        if (name[i] != 0)
        {
            return false;
        }
    }
    return length > 0;
}

static inline bool caller_wants_copy(const ome_logon_t *logon)
{
    return (logon->logon_flags & OME_LOGON_FLAGS_DROP_COPY) != 0;
}

static inline uint8_t caller_refusal(const caller_t *caller, uint64_t peer, const ome_logon_t *logon)
{
    const bool has_heartbeat = logon->heartbeat_ms != 0;
    if (!caller_is_name(logon->participant_name))
    {
        return OME_REASON_BAD_PARTICIPANT;
    }
    if (has_heartbeat && (logon->heartbeat_ms < CALLER_HEARTBEAT_MS_MIN || logon->heartbeat_ms > CALLER_HEARTBEAT_MS_MAX))
    {
        return OME_REASON_BAD_HEARTBEAT;
    }
    const bool has_unknown =
        (logon->session_flags & ~(OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT | OME_SESSION_FLAGS_CANCEL_ON_LOGOUT)) != 0 ||
        (logon->logon_flags & ~(OME_LOGON_FLAGS_NO_TAKEOVER | OME_LOGON_FLAGS_ADD_SESSION | OME_LOGON_FLAGS_DROP_COPY)) != 0;
    const bool has_more = caller_wants_copy(logon) &&
                          (logon->session_flags != 0 || logon->session_number != 0 || logon->logon_flags != OME_LOGON_FLAGS_DROP_COPY);
    if (has_unknown || has_more)
    {
        return OME_REASON_BAD_FLAGS;
    }
    const bool is_added = (logon->logon_flags & OME_LOGON_FLAGS_ADD_SESSION) != 0;
    return is_added && caller_is_copy(ome_gateway_session_of(caller->house->gateway, peer)) ? OME_REASON_NOT_PERMITTED : OME_REASON_NONE;
}

static inline void caller_log_on(caller_t *caller, uint64_t peer, const ome_logon_t *logon)
{
    caller_admission_t admission = {.logon = *logon, .peer = peer};
    if (ome_gateway_session_of(caller->house->gateway, peer) != 0)
    {
        ome_gateway_pause(caller->house->gateway, peer, 250);
    }
    uint8_t refusal = caller_refusal(caller, peer, logon);
    if (refusal == OME_REASON_NONE && caller_wants_copy(logon))
    {
        refusal = caller_admit_copy(caller, &admission);
        if (refusal == OME_REASON_NONE)
        {
            return;
        }
    }
    if (refusal != OME_REASON_NONE)
    {
        caller_answer(caller, &admission, refusal);
        return;
    }
    uint16_t session = caller_find(caller, logon->participant_name, logon->session_number, &admission.participant);
    session = session != 0 ? session : caller_lend(caller, logon->participant_name, logon->session_number);
    caller_entry_t *entry = &caller->entries[session];
    if (session == 0 || !caller_is_of(entry, logon->participant_name) || entry->number != logon->session_number)
    {
        caller_answer(caller, &admission, session == 0 ? OME_REASON_SESSION_LIMIT_REACHED : OME_REASON_BUSY);
        return;
    }
    entry->used = ++caller->use_count;
    if (!caller->formers[session].is_there && look(caller->house, session).is_defined)
    {
        caller_define(caller, session);
    }
    admission.session = session;
    admission.participant = entry->participant;
    admission.is_defined = entry->is_defined;
    caller_take_lease(caller, &admission);
}

static inline void caller_log_out(caller_t *caller, uint64_t peer, uint16_t named)
{
    ome_gateway_t *gateway = caller->house->gateway;
    const uint16_t first = ome_gateway_session_of(gateway, peer);
    uint16_t session = first != 0 && ome_gateway_next_session(gateway, first) == 0 ? first : 0;
    for (uint16_t other = first; other != 0; other = ome_gateway_next_session(gateway, other))
    {
        session = other == named ? other : session;
    }
    caller_say_logout(caller, peer, session, OME_REASON_REQUESTED);
    if (session != 0)
    {
        ome_gateway_log_out(gateway, session);
        caller->is_connected[session] = false;
    }
}

/* ---- what the loop hands over ---- */

static inline void caller_take_message(caller_t *caller)
{
    const uint8_t *message = ome_gateway_message(caller->house->gateway);
    ome_logon_t logon;
    ome_logout_t logout;
    memcpy(&logon, message, sizeof(logon));
    memcpy(&logout, message, sizeof(logout));
    if (template_of(message) == OME_TEMPLATE_LOGON)
    {
        caller_log_on(caller, ome_gateway_peer(caller->house->gateway), &logon);
        return;
    }
    CHECK_EQUAL(template_of(message), OME_TEMPLATE_LOGOUT);
    caller_log_out(caller, ome_gateway_peer(caller->house->gateway), logout.session);
}

/* The definition of a session whose number somebody waits for. */
static inline void caller_take_former_definition(caller_t *caller, const ome_event_t *event)
{
    if (event->kind != OME_EVENT_KIND_DEFINED)
    {
        ome_gateway_undefine(caller->house->gateway, event->session);
        caller->formers[event->session].is_there = false;
    }
}

static inline void caller_take_definition(caller_t *caller)
{
    ome_gateway_t *gateway = caller->house->gateway;
    ome_event_t event;
    memcpy(&event, ome_gateway_event(gateway), sizeof(event));
    if (event.command_kind != OME_COMMAND_KIND_DEFINE_SESSION)
    {
        return;
    }
    const uint16_t session = event.session;
    caller_admission_t waited = caller->waiting[session];
    if (waited.peer != 0 && ome_gateway_is_own_definition(gateway))
    {
        caller_take_former_definition(caller, &event);
        return;
    }
    caller->waiting[session].peer = 0;
    if (event.kind == OME_EVENT_KIND_DEFINED)
    {
        caller_define(caller, session);
        if (waited.peer != 0)
        {
            const ome_session_t *defined = &caller->house->engine->sessions[session];
            CHECK(memcmp(defined->participant_name, waited.logon.participant_name, OME_NAME_SIZE) == 0);
            CHECK_EQUAL(defined->session_number, waited.logon.session_number);
            ome_gateway_undefine(gateway, session); /* whose number it was */
            waited.participant = event.participant;
            waited.is_defined = true;
            caller_admit(caller, &waited);
        }
        return;
    }
    ome_gateway_undefine(gateway, session);
    caller_forget(caller, session);
    if (waited.peer != 0)
    {
        caller_answer(caller, &waited, OME_REASON_SESSION_LIMIT_REACHED);
    }
}

/* The reports of the participant that a drop copy asks for: the engine may be ahead of the gateway, and they have begun anew since. */
static inline const truth_copies_t *caller_copies(const caller_t *caller, const ome_gateway_wanted_t *wanted)
{
    const truth_copies_t *copies = caller->truth->copies[wanted->participant];
    while (copies != NULL && (memcmp(copies->name, caller->asked_name, OME_NAME_SIZE) != 0 || copies->count < wanted->report_sequence))
    {
        copies = copies->former;
    }
    CHECK(copies != NULL);
    return copies;
}

/* Answers the last question for reports, with `most` of them; the first `lost` of those that are wanted are gone. */
static inline void caller_give(caller_t *caller, uint32_t most, uint32_t lost)
{
    if (!caller->has_question)
    {
        return;
    }
    caller->has_question = false;
    const ome_gateway_wanted_t *wanted = &caller->question;
    const truth_copies_t *copies = wanted->participant != 0 ? caller_copies(caller, wanted) : NULL;
    const truth_session_t *its = &caller->truth->sessions[copies == NULL ? wanted->session : 0];
    const uint8_t *reports = copies != NULL ? copies->reports : its->reports;
    const uint64_t there = copies != NULL ? copies->count : its->count;
    const uint64_t first = wanted->next_report_sequence + lost;
    const uint64_t left = first <= there ? there - first + 1 : 0;
    const uint32_t count = (uint32_t)(left < most ? left : most);
    caller->has_lost_reports = caller->has_lost_reports || lost > 0 || count == 0;
    ome_gateway_give_reports(
        caller->house->gateway, caller->question.request, count > 0 ? reports + (first - 1) * REPORT_SIZE : (const uint8_t *)"", count);
}

static inline void caller_take_ends(caller_t *caller)
{
    ome_gateway_end_t end;
    while ((end = ome_gateway_take_end(caller->house->gateway)).session != 0)
    {
        CHECK(end.session <= CALLER_SLOTS);
        caller->is_connected[end.session] = false;
    }
}

static inline void caller_take(caller_t *caller, ome_gateway_outcome_t outcome)
{
    caller_take_ends(caller); /* those come before what a session does next */
    switch (outcome)
    {
    case OME_GATEWAY_MESSAGE:
        caller_take_message(caller);
        break;
    case OME_GATEWAY_DEFINED:
        caller_take_definition(caller);
        break;
    case OME_GATEWAY_REPORTS_WANTED:
        ome_gateway_wanted(caller->house->gateway, &caller->question);
        CHECK(caller->question.session >= 1 && caller->question.session <= CALLER_SLOTS);
        CHECK((caller->question.participant != 0) == caller_is_copy(caller->question.session));
        memcpy(caller->asked_name, caller->admitted[caller->question.session].logon.participant_name, OME_NAME_SIZE);
        caller->has_question = true;
        break;
    default:
        break;
    }
}

#endif
