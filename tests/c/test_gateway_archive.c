/* The archive: reports made again from events, begun at any snapshot, are the same bytes as the gateway sent; also where a session's number
 * has gone to another one. */
#include "gateway_truth.h"
#include "snapshot_fixture.h"

static uint64_t seed;

enum
{
    ROUNDS = 700
};

typedef struct
{
    house_t *house;
    truth_t *truth;
    flow_t flow;
    uint64_t received[TRUTH_SESSIONS + 1]; /* the last report in order */
    uint64_t compared_count;
    uint32_t identity; /* of session 4 */
    bool has_fourth;
} archive_t;

static void archive_answer(house_t *house)
{
    truth_give(((archive_t *)house->answerer)->truth, house, OME_GATEWAY_ARCHIVE_COUNT_MAX);
}

/* Every report that was sent is the one that the archive makes. */
static void compare_frames(archive_t *archive)
{
    house_t *house = archive->house;
    for (; house->wire->out_read < house->wire->out_count; house->wire->out_read++)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read];
        for (uint32_t offset = 0; is_report_frame(frame->data) && offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK_EQUAL(report.session, frame->peer);
            CHECK_BYTES_EQUAL(&report, truth_report(archive->truth, frame->peer, report.report_sequence), REPORT_SIZE);
            CHECK(report.report_sequence <= archive->received[frame->peer] + 1);
            archive->received[frame->peer] =
                report.report_sequence > archive->received[frame->peer] ? report.report_sequence : archive->received[frame->peer];
            archive->compared_count++;
        }
    }
    forget_frames(house);
}

static void archive_work(archive_t *archive)
{
    house_t *house = archive->house;
    for (uint32_t idle = 0; idle < 3;)
    {
        const uint32_t before = house->wire->send_count;
        const ome_gateway_outcome_t outcome = run_and_note(house);
        const bool has_matched = ome_match_stage_do_work(house->stage) > 0;
        truth_follow(archive->truth, house);
        const bool has_read = house->wire->in_read == house->wire->in_count;
        idle = outcome == OME_GATEWAY_IDLE && !has_matched && has_read && house->wire->send_count == before ? idle + 1 : 0;
    }
    compare_frames(archive);
}

static void send_some(archive_t *archive, uint32_t session)
{
    ome_command_t commands[24];
    uint32_t count = 0;
    const uint32_t least = 1 + flow_below(&archive->flow, 16);
    archive->flow.timestamp_ns = ome_clock_realtime_ns() + 100000;
    while (count < least || archive->flow.terms_count > 0)
    {
        ome_command_t *command = &commands[count++];
        *command = flow_next(&archive->flow);
        const bool may_be_sent = command->kind >= OME_COMMAND_KIND_NEW_ORDER && command->kind <= OME_COMMAND_KIND_MASS_CANCEL;
        command->kind = may_be_sent ? command->kind : OME_COMMAND_KIND_CANCEL_ORDER;
        command->session_sequence = 0;
    }
    send_commands(archive->house, session, commands, count); /* a frame that is cut wrongly is refused whole */
}

/* The number of session 4 goes to another one of the same participant, or to one of another name. */
static void give_fourth_away(archive_t *archive)
{
    house_t *house = archive->house;
    char name[2] = {(char)('D' + archive->identity / 3), 0};
    if (archive->has_fourth)
    {
        const ome_command_t all = {.kind = OME_COMMAND_KIND_MASS_CANCEL};
        send_command(house, 4, all);
        archive_work(archive);
        CHECK_EQUAL(archive->received[4], archive->truth->sessions[4].count);
        ome_gateway_log_out(house->gateway, 4);
        archive->identity++;
        name[0] = (char)('D' + archive->identity / 3);
    }
    const uint16_t number = (uint16_t)(archive->identity % 3);
    const ome_command_t definition = define_session(4, 4, name, number);
    const uint32_t before = house->defined_count;
    CHECK_EQUAL(ome_gateway_submit(house->gateway, &definition, 1), OME_OK);
    while (house->defined_count == before)
    {
        (void)run_and_note(house);
        (void)match(house);
        truth_follow(archive->truth, house);
    }
    CHECK_EQUAL(((const ome_event_t *)ome_gateway_event(house->gateway))->kind, OME_EVENT_KIND_DEFINED);
    ome_gateway_undefine(house->gateway, 4);
    archive->received[4] = 0;
    wire_reconnect(house->wire, 4);
    ome_gateway_logon_t logon = logon_of(house, 4, 4);
    memcpy(logon.participant_name, name, 2);
    logon.session_number = number;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 4, &logon), OME_OK);
    ome_gateway_begin(house->gateway, 4, 1);
    archive->has_fourth = true;
}

/* The archive begins again at a snapshot of this moment. */
static void begin_at_snapshot(archive_t *archive, uint32_t session)
{
    bytes_t bytes = snapshot_of(archive->truth->engine);
    ome_engine_t *engine = restored_of(&bytes);
    ome_report_table_destroy(archive->truth->tables[session]);
    CHECK_EQUAL(ome_report_table_create(engine, &engine->limits, &archive->truth->tables[session]), OME_OK);
    CHECK_EQUAL(engine->progress[session].report_sequence, archive->truth->sessions[session].count);
    free(engine);
    free(bytes.data);
}

static void the_archive_makes_the_bytes_that_were_sent(void)
{
    archive_t archive = {.house = house_around(defined_engine(), 64, 4096), .truth = truth_new(defined_engine())};
    archive.flow = (flow_t){.random = seed, .instrument_count = 1, .order_id_count = 30, .price_count = 15, .has_specials = true};
    archive.house->answer = archive_answer;
    archive.house->answerer = &archive;
    for (uint16_t session = 1; session <= 2; session++)
    {
        bind_session(archive.house, session, session);
        ome_gateway_begin(archive.house->gateway, session, 1);
    }
    for (uint32_t round = 0; round < ROUNDS; round++)
    {
        if (round % 25 == 0)
        {
            give_fourth_away(&archive);
        }
        if (flow_below(&archive.flow, 10) == 0)
        {
            begin_at_snapshot(&archive, 1 + flow_below(&archive.flow, TRUTH_SESSIONS));
        }
        static const uint16_t senders[3] = {1, 2, 4};
        for (uint32_t i = 0; i < 3; i++)
        {
            send_some(&archive, senders[i]);
        }
        if (flow_below(&archive.flow, 20) == 0)
        {
            const uint32_t session = senders[flow_below(&archive.flow, 3)];
            ome_resend_request_t request = {.next_report_sequence = 1 + flow_below(&archive.flow, 2) * archive.received[session] / 2};
            set_header(&request, OME_TEMPLATE_RESEND_REQUEST);
            wire_put(archive.house->wire, session, &request, sizeof(request));
        }
        archive_work(&archive);
        for (uint32_t i = 0; i < 3; i++)
        {
            CHECK_EQUAL(archive.received[senders[i]], archive.truth->sessions[senders[i]].count);
        }
    }
    printf("   %" PRIu64 " reports compared, %u questions, %u sessions of one number\n", archive.compared_count,
        archive.house->wanted_count, archive.identity + 1);
    CHECK(archive.house->wanted_count >= 2);
    CHECK(archive.identity >= 10);
    CHECK(archive.truth->stops_count > 20 && archive.truth->attributes_count > 20);
    CHECK(archive.house->engine->trade_count > 200);
    truth_free(archive.truth);
    house_free(archive.house);
}

int main(void)
{
    seed = test_seed(17);
    RUN(the_archive_makes_the_bytes_that_were_sent);
    return 0;
}
