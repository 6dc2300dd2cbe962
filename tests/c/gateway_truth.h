/* The reports of each session, and those of each participant for its drop copies, as the journal would give them: a second engine applies
 * what the ring has, and the report tables that the archive uses make the reports of its events. */
#ifndef GATEWAY_TRUTH_H
#define GATEWAY_TRUTH_H

#include "gateway_fixture.h"
#include "ome_reports_face.h"

#define TRUTH_SESSIONS 4u

typedef struct
{
    ome_report_wanted_t wanted;
    uint8_t *reports;
    uint64_t count;
    uint64_t capacity;
} truth_session_t;

/* The reports of whoever has a participant's number, from when it got the number. */
typedef struct truth_copies truth_copies_t;

struct truth_copies
{
    truth_copies_t *former; /* of whoever had the number before, or of the same one before it began anew */
    char name[OME_NAME_SIZE];
    uint64_t begun_sequence;
    uint8_t *reports;
    uint64_t count;
    uint64_t capacity;
};

typedef struct
{
    ome_engine_t *engine;
    recorder_t *recorder;
    ome_report_table_t *tables[TRUTH_SESSIONS + 1]; /* by session: each reads all events */
    truth_session_t sessions[TRUTH_SESSIONS + 1];
    ome_report_table_t *copy_tables[TRUTH_SESSIONS + 1]; /* by participant */
    uint8_t copy_sessions[TRUTH_SESSIONS + 1][TRUTH_SESSIONS + 1]; /* by participant: 1 for those that it has */
    truth_copies_t *copies[TRUTH_SESSIONS + 1]; /* by participant: the newest; NULL: nobody has had the number */
    uint64_t stops_count; /* of kinds of reports that were made */
    uint64_t attributes_count;
} truth_t;

static inline void truth_begin_copies(truth_t *truth, uint16_t participant, const char *name)
{
    truth_copies_t *begun = calloc(1, sizeof(truth_copies_t));
    CHECK(begun != NULL);
    begun->former = truth->copies[participant];
    begun->begun_sequence = truth->engine->sequence;
    memcpy(begun->name, name, OME_NAME_SIZE);
    truth->copies[participant] = begun;
}

static inline truth_t *truth_new(ome_engine_t *engine)
{
    truth_t *truth = calloc(1, sizeof(truth_t));
    CHECK(truth != NULL);
    truth->engine = engine;
    truth->recorder = recorder_new(1);
    for (uint32_t session = 1; session <= TRUTH_SESSIONS; session++)
    {
        CHECK_EQUAL(ome_report_table_create(NULL, &engine->limits, &truth->tables[session]), OME_OK);
        truth->sessions[session].wanted = (ome_report_wanted_t){
            .defined_sequence = engine->progress[session].defined_sequence, .next_report_sequence = 1, .session = session};
        CHECK_EQUAL(ome_report_table_create(NULL, &engine->limits, &truth->copy_tables[session]), OME_OK);
        if (ome_session_is_defined(engine, session))
        {
            const uint16_t participant = ome_session_participant(engine, session);
            truth->copy_sessions[participant][session] = 1;
            truth_begin_copies(truth, participant, engine->sessions[session].participant_name);
        }
    }
    return truth;
}

static inline void truth_free(truth_t *truth)
{
    for (uint32_t session = 1; session <= TRUTH_SESSIONS; session++)
    {
        ome_report_table_destroy(truth->tables[session]);
        free(truth->sessions[session].reports);
        ome_report_table_destroy(truth->copy_tables[session]);
        for (truth_copies_t *copies = truth->copies[session]; copies != NULL;)
        {
            truth_copies_t *former = copies->former;
            free(copies->reports);
            free(copies);
            copies = former;
        }
    }
    recorder_free(truth->recorder);
    free(truth->engine);
    free(truth);
}

static inline const ome_execution_report_t *truth_report(const truth_t *truth, uint32_t session, uint64_t report_sequence)
{
    CHECK(report_sequence >= 1 && report_sequence <= truth->sessions[session].count);
    return (const ome_execution_report_t *)(const void *)(truth->sessions[session].reports + (report_sequence - 1) * REPORT_SIZE);
}

/* As a replay from a snapshot begins: with a table of what lives in the engine. */
static inline void truth_begin_table(truth_t *truth, uint32_t session)
{
    ome_report_table_destroy(truth->tables[session]);
    CHECK_EQUAL(ome_report_table_create(truth->engine, &truth->engine->limits, &truth->tables[session]), OME_OK);
}

static inline void truth_read(truth_t *truth, uint32_t session, const ome_event_t *events, uint64_t count)
{
    truth_session_t *its = &truth->sessions[session];
    const uint64_t defined_sequence = truth->engine->progress[session].defined_sequence;
    if (defined_sequence != its->wanted.defined_sequence)
    {
        its->wanted.defined_sequence = defined_sequence;
        its->wanted.report_sequence = its->count = 0;
    }
    for (uint64_t done = 0; done < count; done += its->wanted.event_count)
    {
        uint8_t made[3 * REPORT_SIZE];
        ome_report_table_make(truth->tables[session], events + done, count - done, &its->wanted, made, 3);
        CHECK(its->wanted.event_count > 0);
        if (its->count + 3 > its->capacity)
        {
            its->capacity = 2 * its->count + 64;
            its->reports = realloc(its->reports, its->capacity * REPORT_SIZE);
            CHECK(its->reports != NULL);
        }
        memcpy(its->reports + its->count * REPORT_SIZE, made, its->wanted.report_count * REPORT_SIZE);
        for (uint32_t i = 0; i < its->wanted.report_count; i++)
        {
            const ome_execution_report_t *report = truth_report(truth, session, ++its->count);
            truth->stops_count += report->kind == OME_EVENT_KIND_STOP_SET;
            truth->attributes_count += template_of(report) == OME_TEMPLATE_ATTRIBUTES_REPORT;
        }
    }
    if (defined_sequence == 0)
    {
        its->wanted.report_sequence = its->count = 0; /* what is said of a session that is not defined is nobody's */
    }
    /* The engine has counted the same. */
    CHECK_EQUAL(its->wanted.report_sequence, its->count);
    CHECK_EQUAL(its->count, truth->engine->progress[session].report_sequence);
}

static inline void truth_read_copies(truth_t *truth, uint16_t participant, const ome_event_t *events, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
    {
        truth_copies_t *its = truth->copies[participant];
        ome_copies_wanted_t wanted = {
            .next_report_sequence = 1, .report_sequence = its != NULL ? its->count : 0, .participant = participant};
        uint8_t made[2 * REPORT_SIZE];
        ome_report_table_copies(truth->copy_tables[participant], &events[i], 1, truth->copy_sessions[participant], &wanted, made, 2);
        CHECK_EQUAL(wanted.event_count, 1);
        if (wanted.has_begun != 0)
        {
            truth_begin_copies(truth, participant, truth->engine->sessions[events[i].session].participant_name);
            its = truth->copies[participant];
        }
        if (wanted.report_count == 0)
        {
            continue;
        }
        CHECK(its != NULL);
        if (its->count + 2 > its->capacity)
        {
            its->capacity = 2 * its->count + 64;
            its->reports = realloc(its->reports, its->capacity * REPORT_SIZE);
            CHECK(its->reports != NULL);
        }
        memcpy(its->reports + its->count * REPORT_SIZE, made, wanted.report_count * REPORT_SIZE);
        its->count += wanted.report_count;
        CHECK_EQUAL(its->count, wanted.report_sequence);
    }
    /* The engine has counted the same; a participant without a session has none. */
    if (truth->engine->participant_sessions[participant] > 0)
    {
        CHECK_EQUAL(truth->copies[participant]->count, ome_engine_participant_reports(truth->engine, participant));
    }
}

/* Applies the next command that the house's engine has applied. */
static inline void truth_step(truth_t *truth, const house_t *house)
{
    ome_command_t command;
    memcpy(&command, ome_ring_slot(house->ring, truth->engine->sequence + 1), sizeof(command));
    truth->recorder->count = 0;
    (void)recorder_apply(truth->recorder, truth->engine, &command);
    for (uint32_t session = 1; session <= TRUTH_SESSIONS; session++)
    {
        truth_read(truth, session, truth->recorder->events, truth->recorder->count);
        truth_read_copies(truth, (uint16_t)session, truth->recorder->events, truth->recorder->count);
    }
}

/* Applies what the house's engine has applied since; after each match, before the ring's slots are used again. */
static inline void truth_follow(truth_t *truth, const house_t *house)
{
    while (truth->engine->sequence < house->engine->sequence)
    {
        truth_step(truth, house);
    }
    CHECK_EQUAL(ome_engine_state_hash(truth->engine), ome_engine_state_hash(house->engine));
}

/* Answers the gateway's last question as an archive does that is asked for no more than `most`. */
static inline void truth_give(const truth_t *truth, house_t *house, uint32_t most)
{
    const truth_session_t *its = &truth->sessions[house->wanted.session];
    const uint64_t first = house->wanted.next_report_sequence;
    const uint64_t left = first <= its->count ? its->count - first + 1 : 0;
    const uint32_t count = (uint32_t)(left < most ? left : most);
    CHECK(first >= 1 && house->wanted.report_sequence <= its->count);
    ome_gateway_give_reports(house->gateway, house->wanted.request,
        its->reports != NULL ? its->reports + (first - 1) * REPORT_SIZE : (const uint8_t *)"", count);
}

#endif
