/* A gateway in a process of its own that dies at any moment, that does what it must not, or that does not read: the engine goes on, another
 * gateway goes on where it ended, and every session gets each report once. */
#include "gateway_truth.h"
#include "wire/ome_gateway_state.h"

#define ROUNDS 2500u

static uint64_t seed;

static house_t *port_house(uint32_t ring_slot_count)
{
    house_t *house = house_around(defined_engine(), ring_slot_count, 4096);
    CHECK(house->port != NULL);
    return house;
}

/* The process is gone, with all its memory; its connections break. */
static void kill_gateway(house_t *house)
{
    free(house->gateway);
    house->gateway = NULL;
    for (uint32_t peer = 1; peer < PEER_COUNT; peer++)
    {
        wire_reconnect(house->wire, peer);
    }
    while (next_in(house->wire) != NULL)
    {
    }
}

static void replace_gateway(house_t *house)
{
    while (!ome_port_detach(house->port))
    {
        (void)match(house);
        pump(house);
    }
    for (uint32_t session = 0; session <= house->engine->limits.session_count_max; session++)
    {
        CHECK_EQUAL(ome_port_connected(house->port)[session], 0);
    }
    (void)match(house);
    take_over(house);
}

/* ---- what a gateway leaves behind ---- */

static void what_was_published_is_taken_and_nothing_else(void)
{
    house_t *house = port_house(64);
    bind_session(house, 1, 1);
    const ome_command_t first = limit_order(OME_SIDE_BUY, 10, 5, 1);
    const ome_command_t second = limit_order(OME_SIDE_BUY, 11, 5, 2);
    ome_ingress_claim_t claim;
    CHECK_EQUAL(ome_gateway_submit(house->gateway, &first, 1), OME_OK); /* of nobody: it is refused, but it is taken */
    CHECK_EQUAL(ome_gateway_claim(house->gateway, 2, &claim), OME_OK);
    (void)ome_gateway_put(house->gateway, &claim, 0, &second);
    const uint64_t before = ome_ring_cursor(house->ring);
    kill_gateway(house); /* between claim and publish */
    replace_gateway(house);
    CHECK_EQUAL(ome_ring_cursor(house->ring), before + 1);
    house_free(house);
}

static void another_gateway_knows_what_was(void)
{
    house_t *house = port_house(64);
    bind_session(house, 1, 1);
    bind_session(house, 2, 2);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
    send_command(house, 2, limit_order(OME_SIDE_SELL, 10, 3, 1));
    work(house);
    forget_frames(house);
    const ome_gateway_session_t before = look(house, 1);
    CHECK_EQUAL(before.report_sequence, 2);
    kill_gateway(house);
    replace_gateway(house);
    const ome_gateway_session_t after = look(house, 1);
    CHECK_EQUAL(after.report_sequence, before.report_sequence);
    CHECK_EQUAL(after.command_sequence, before.command_sequence);
    CHECK_EQUAL(after.order_count, 1);
    CHECK_EQUAL(after.first_report_sequence, 1);
    CHECK_EQUAL(after.participant, 1);
    CHECK(memcmp(after.participant_name, "A", 2) == 0);
    bind_session(house, 1, 1);
    ome_gateway_begin(house->gateway, 1, 1);
    work(house);
    const wire_frame_t *frame = next_frame(house, 1);
    CHECK_EQUAL(frame->size_bytes, 2 * REPORT_SIZE);
    house_free(house);
}

static void who_has_chosen_so_has_its_orders_cancelled(void)
{
    house_t *house = port_house(64);
    bind_session(house, 2, 2);
    ome_gateway_logon_t logon = logon_of(house, 1, 1);
    logon.flags = OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT;
    CHECK_EQUAL(ome_gateway_bind(house->gateway, 1, &logon), OME_OK);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
    send_command(house, 2, limit_order(OME_SIDE_BUY, 10, 5, 1));
    work(house);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 9, 5, 2));
    CHECK_EQUAL(ome_gateway_run(house->gateway, 0), OME_GATEWAY_IDLE); /* published, and not sequenced yet */
    forget_frames(house);
    kill_gateway(house);
    replace_gateway(house);
    work(house);
    CHECK_EQUAL(look(house, 1).order_count, 0);
    CHECK_EQUAL(look(house, 2).order_count, 1);
    CHECK_EQUAL(count_of(house, OME_COUNT_DISCONNECT_CANCELS), 1);
    house_free(house);
}

/* ---- gateways that do what they must not ---- */

static ome_channel_t *entries_of(house_t *house)
{
    return &house->link.entries;
}

/* One wrong thing each. */
static void misbehave(house_t *house, uint32_t kind)
{
    ome_channel_t *entries = entries_of(house);
    ome_command_t command = limit_order(OME_SIDE_BUY, 10, 5, 1);
    command.session = command.participant = 1;
    uint64_t count = 1;
    uint64_t published = entries->position + 1;
    switch (kind)
    {
    case 0:
        count = 0;
        break;
    case 1:
        count = 2;
        break;
    case 2:
        count = UINT64_MAX;
        break;
    case 3:
        published = entries->position + entries->slot_count + 1;
        break;
    case 4:
        published = UINT64_MAX;
        break;
    case 5:
        command.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT;
        break;
    case 6:
        command.kind = OME_COMMAND_KIND_EXPIRE_ORDERS;
        break;
    case 7:
        command.session = 0;
        break;
    case 8:
        command.session = UINT16_MAX;
        break;
    default:
        command.kind = OME_EVENT_KIND_TRADE;
        break;
    }
    uint8_t *slot = ome_channel_slot(entries, entries->position);
    memcpy(slot, &command, sizeof(command));
    memcpy(slot, &count, sizeof(count));
    atomic_store(&entries->published->value, published);
}

static ome_port_outcome_t run_port(house_t *house)
{
    ome_port_outcome_t outcome = OME_PORT_IDLE;
    for (uint32_t turns = 0; turns < 8 && outcome != OME_PORT_BROKEN; turns++)
    {
        (void)match(house);
        outcome = ome_port_run(house->port, 0);
    }
    return outcome;
}

static void a_gateway_that_sends_nonsense_is_broken(void)
{
    for (uint32_t kind = 0; kind < 10; kind++)
    {
        house_t *house = port_house(64);
        bind_session(house, 1, 1);
        send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
        work(house);
        forget_frames(house);
        const uint64_t hash = ome_engine_state_hash(house->engine);
        misbehave(house, kind);
        const ome_command_t own = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .instrument = 1};
        submit(house, &own); /* there is something for it to read, too */
        CHECK_EQUAL(run_port(house), OME_PORT_BROKEN);
        CHECK(ome_engine_check(house->engine) == NULL);
        CHECK(ome_engine_state_hash(house->engine) != hash); /* the engine goes on */
        kill_gateway(house);
        replace_gateway(house);
        bind_session(house, 1, 1);
        const uint64_t reports = look(house, 1).report_sequence;
        send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 2));
        work(house);
        CHECK_EQUAL(look(house, 1).report_sequence, reports + 1);
        house_free(house);
    }
}

/* Numbers that the engine does not take are not taken by the port either: the next gateway goes on where the engine is. */
static void a_number_that_the_engine_refuses_is_not_believed(void)
{
    for (uint32_t kind = 0; kind < 3; kind++)
    {
        house_t *house = port_house(64);
        bind_session(house, 1, 1);
        send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
        work(house);
        forget_frames(house);
        ome_command_t command = limit_order(OME_SIDE_BUY, 10, 5, 2);
        command.session = 1;
        command.participant = kind == 0 ? 2 : 1;
        command.session_sequence = kind == 0 ? 2 : kind == 1 ? 77 : 1;
        CHECK_EQUAL(ome_gateway_submit(house->gateway, &command, 1), OME_OK);
        work(house);
        kill_gateway(house);
        replace_gateway(house);
        CHECK_EQUAL(look(house, 1).command_sequence, house->engine->progress[1].command_sequence);
        CHECK_EQUAL(look(house, 1).command_sequence, 1);
        house_free(house);
    }
}

/* The matcher waits for no gateway. */
static void a_gateway_that_does_not_read_is_broken_and_delays_nobody(void)
{
    house_t *house = port_house(64);
    bind_session(house, 1, 1);
    send_command(house, 1, limit_order(OME_SIDE_BUY, 10, 5, 1));
    work(house);
    forget_frames(house);
    ome_port_outcome_t outcome = OME_PORT_IDLE;
    uint32_t count = 0;
    for (; outcome != OME_PORT_BROKEN && count < 100000; count++)
    {
        ome_command_t reduction = {.kind = OME_COMMAND_KIND_CANCEL_ORDER, .session = 1, .participant = 1, .client_order_id = 77};
        submit(house, &reduction); /* as if the embedder traded for it: each is a report */
        CHECK_EQUAL(match(house), 1);
        outcome = ome_port_run(house->port, 0);
    }
    printf("   %u reports before it was broken\n", count);
    CHECK(count > OME_GATEWAY_HISTORY_COUNT_MIN && count < 100000);
    CHECK_EQUAL(ome_stream_published(house->stream), ome_stream_reader_position(house->stream, 0));
    kill_gateway(house);
    replace_gateway(house);
    CHECK_EQUAL(look(house, 1).report_sequence, count + 1);
    house_free(house);
}

/* ---- any moment ---- */

typedef struct
{
    house_t *house;
    truth_t *truth;
    flow_t flow;
    uint64_t received[TRUTH_SESSIONS + 1];
    uint64_t compared_count;
} story_t;

static void story_receive(story_t *story)
{
    house_t *house = story->house;
    for (; house->wire->out_read < house->wire->out_count; house->wire->out_read++)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read];
        for (uint32_t offset = 0; is_report_frame(frame->data) && offset < frame->size_bytes; offset += REPORT_SIZE)
        {
            ome_execution_report_t report;
            memcpy(&report, frame->data + offset, REPORT_SIZE);
            CHECK_BYTES_EQUAL(&report, truth_report(story->truth, report.session, report.report_sequence), REPORT_SIZE);
            CHECK_EQUAL(report.report_sequence, story->received[report.session] + 1);
            story->received[report.session]++;
            story->compared_count++;
        }
    }
}

static void story_log_on(story_t *story)
{
    for (uint16_t session = 1; session <= 3; session++)
    {
        ome_gateway_logon_t logon = logon_of(story->house, session, session);
        logon.flags = session == 3 ? OME_SESSION_FLAGS_CANCEL_ON_DISCONNECT : 0;
        CHECK_EQUAL(ome_gateway_bind(story->house->gateway, session, &logon), OME_OK);
        ome_gateway_begin(story->house->gateway, session, story->received[session] + 1);
    }
}

static void story_send(story_t *story, uint32_t session)
{
    ome_command_t commands[24];
    uint32_t count = 0;
    const uint32_t least = 1 + flow_below(&story->flow, 8);
    story->flow.timestamp_ns = ome_clock_realtime_ns() + 100000;
    while (count < least || story->flow.terms_count > 0)
    {
        ome_command_t *command = &commands[count++];
        *command = flow_next(&story->flow);
        const bool may_be_sent = command->kind >= OME_COMMAND_KIND_NEW_ORDER && command->kind <= OME_COMMAND_KIND_MASS_CANCEL;
        command->kind = may_be_sent ? command->kind : OME_COMMAND_KIND_CANCEL_ORDER;
        command->session_sequence = 0;
    }
    send_commands(story->house, session, commands, count);
}

/* Steps of the three parts in any order; the gateway is killed between any two. */
static void story_step(story_t *story)
{
    house_t *house = story->house;
    switch (flow_below(&story->flow, 8))
    {
    case 0:
    case 1:
        (void)ome_gateway_run(house->gateway, 0);
        break;
    case 2:
    case 3:
        CHECK(ome_port_run(house->port, 0) != OME_PORT_BROKEN);
        break;
    case 4:
        (void)ome_match_stage_do_work(house->stage);
        break;
    default:
        story_send(story, 1 + flow_below(&story->flow, 3));
        break;
    }
}

static void nothing_is_lost_or_said_twice(void)
{
    story_t story = {.house = port_house(4096), .truth = truth_new(defined_engine())};
    uint32_t kills = 0;
    story.flow = (flow_t){.random = seed, .instrument_count = 1, .order_id_count = 30, .price_count = 15, .has_specials = true};
    story_log_on(&story);
    for (uint32_t round = 0; round < ROUNDS; round++)
    {
        for (uint32_t steps = flow_below(&story.flow, 20); steps > 0; steps--)
        {
            story_step(&story);
        }
        if (flow_below(&story.flow, 3) == 0)
        {
            kill_gateway(story.house);
            truth_follow(story.truth, story.house);
            story_receive(&story);
            forget_frames(story.house);
            replace_gateway(story.house);
            truth_follow(story.truth, story.house);
            story_log_on(&story);
            kills++;
        }
        work(story.house);
        work(story.house);
        truth_follow(story.truth, story.house);
        story_receive(&story);
        forget_frames(story.house);
        for (uint32_t session = 1; session <= 3; session++)
        {
            CHECK_EQUAL(story.received[session], story.truth->sessions[session].count);
            CHECK_EQUAL(story.received[session], story.house->engine->progress[session].report_sequence);
            CHECK_EQUAL(look(story.house, (uint16_t)session).command_sequence, story.house->engine->progress[session].command_sequence);
        }
    }
    CHECK_EQUAL(ome_engine_state_hash(story.house->engine), ome_engine_state_hash(story.truth->engine));
    printf("   %u kills, %" PRIu64 " reports compared\n", kills, story.compared_count);
    CHECK(kills > ROUNDS / 5 && story.compared_count > ROUNDS);
    truth_free(story.truth);
    house_free(story.house);
}

int main(void)
{
    CHECK_EQUAL(setenv("OME_TEST_PORT", "1", 1), 0);
    seed = test_seed(17);
    RUN(what_was_published_is_taken_and_nothing_else);
    RUN(another_gateway_knows_what_was);
    RUN(who_has_chosen_so_has_its_orders_cancelled);
    RUN(a_gateway_that_sends_nonsense_is_broken);
    RUN(a_number_that_the_engine_refuses_is_not_believed);
    RUN(a_gateway_that_does_not_read_is_broken_and_delays_nobody);
    RUN(nothing_is_lost_or_said_twice);
    return 0;
}
