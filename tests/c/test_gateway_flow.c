/* Clients whose connections break at any moment: from what they received alone each has every report once, in order, with the bytes that
 * follow from the events, and each of its messages was taken once. */
#include "gateway_truth.h"

static uint64_t seed;

enum
{
    CLIENTS = 3,
    MOST = 60000, /* messages of a client */
    ROUNDS = 2500
};

typedef struct
{
    ome_command_t *sent; /* by number, from 1: a copy of each message */
    uint32_t next;       /* the number of the next new message */
    uint64_t reports;    /* so many it has received, in order */
    uint64_t now;        /* the report that this connection is sent next; 0: any */
    bool is_connected;
} client_t;

typedef struct
{
    house_t *house;
    truth_t *truth;
    client_t clients[CLIENTS + 1]; /* by session, which is its connection's slot too */
    flow_t flow;
    uint32_t asked;
    uint32_t gone_count;
    uint32_t busy_count;
    uint32_t slow_count;
    uint32_t late_count;
    bool answers; /* the archive does */
} crowd_t;

static void crowd_answer(house_t *house)
{
    crowd_t *crowd = house->answerer;
    crowd->asked++;
    if (crowd->answers && flow_below(&crowd->flow, 3) != 0)
    {
        truth_give(crowd->truth, house, 1 + flow_below(&crowd->flow, OME_GATEWAY_ARCHIVE_COUNT_MAX));
        house->wanted.session = 0;
    }
}

static void client_take(crowd_t *crowd, uint32_t number, const wire_frame_t *frame)
{
    client_t *client = &crowd->clients[number];
    for (uint32_t offset = 0; is_report_frame(frame->data) && offset < frame->size_bytes; offset += REPORT_SIZE)
    {
        ome_execution_report_t report;
        memcpy(&report, frame->data + offset, REPORT_SIZE);
        CHECK_EQUAL(report.session, number);
        CHECK_BYTES_EQUAL(&report, truth_report(crowd->truth, number, report.report_sequence), REPORT_SIZE);
        CHECK(report.report_sequence <= client->reports + 1); /* no gap */
        client->reports = report.report_sequence > client->reports ? report.report_sequence : client->reports;
    }
    if (template_of(frame->data) == OME_TEMPLATE_FRAME_REJECT)
    {
        ome_frame_reject_t reject;
        memcpy(&reject, frame->data, sizeof(reject));
        CHECK(reject.reason == OME_REASON_BUSY || reject.reason == OME_REASON_SEQUENCE_GAP || reject.reason == OME_REASON_SEQUENCE_SEEN);
        crowd->busy_count += reject.reason == OME_REASON_BUSY;
    }
    if (template_of(frame->data) == OME_TEMPLATE_RESEND_ANSWER)
    {
        ome_resend_answer_t answer;
        memcpy(&answer, frame->data, sizeof(answer));
        CHECK_EQUAL(answer.reason, OME_REASON_NONE);
        CHECK(answer.next_report_sequence <= client->reports + 1);
    }
}

static void crowd_work(crowd_t *crowd)
{
    house_t *house = crowd->house;
    for (uint32_t turn = 0; turn < 4; turn++)
    {
        (void)run_and_note(house);
        (void)ome_match_stage_do_work(house->stage);
        truth_follow(crowd->truth, house);
        for (; house->wire->out_read < house->wire->out_count; house->wire->out_read++)
        {
            const wire_frame_t *frame = &house->wire->out[house->wire->out_read];
            client_take(crowd, frame->peer, frame);
            crowd->slow_count += frame->is_last;
            crowd->clients[frame->peer].is_connected = crowd->clients[frame->peer].is_connected && !frame->is_last;
        }
    }
    while (house->wire->in_read < house->wire->in_count)
    {
        (void)run_and_note(house);
        (void)match(house);
        truth_follow(crowd->truth, house);
    }
    for (; house->wire->out_read < house->wire->out_count; house->wire->out_read++)
    {
        const wire_frame_t *frame = &house->wire->out[house->wire->out_read];
        client_take(crowd, frame->peer, frame);
        crowd->clients[frame->peer].is_connected = crowd->clients[frame->peer].is_connected && !frame->is_last;
    }
    forget_frames(house);
}

static void client_send(crowd_t *crowd, uint32_t number, uint32_t from)
{
    client_t *client = &crowd->clients[number];
    uint32_t count = client->next - from;
    count = count < 200 ? count : 200;
    while (count > 0 && from + count < client->next && client->sent[from + count].kind == OME_COMMAND_KIND_ORDER_TERMS)
    {
        count--;
    }
    if (count > 0)
    {
        send_commands(crowd->house, number, client->sent + from, count);
    }
}

static void client_make(crowd_t *crowd, uint32_t number)
{
    client_t *client = &crowd->clients[number];
    const uint32_t least = 1 + flow_below(&crowd->flow, 12);
    uint32_t count = 0;
    crowd->flow.timestamp_ns = ome_clock_realtime_ns() + 100000;
    while (count < least || crowd->flow.terms_count > 0)
    {
        ome_command_t command = flow_next(&crowd->flow);
        const bool may_be_sent = command.kind >= OME_COMMAND_KIND_NEW_ORDER && command.kind <= OME_COMMAND_KIND_MASS_CANCEL;
        command.kind = may_be_sent ? command.kind : OME_COMMAND_KIND_CANCEL_ORDER;
        command.session_sequence = client->next + count;
        CHECK(client->next + count < MOST);
        client->sent[client->next + count++] = command;
    }
    for (uint32_t i = client->next; i < client->next + count; i++)
    {
        ome_command_t *command = &client->sent[i];
        const bool is_first = i == client->next;
        const bool continues = !is_first && (command[-1].flags & OME_COMMAND_FLAGS_CONTINUED) != 0 &&
                               (command[-1].kind <= OME_COMMAND_KIND_NEW_ORDER || command[-1].kind == OME_COMMAND_KIND_AMEND_ORDER ||
                                   command[-1].kind == OME_COMMAND_KIND_ORDER_TERMS);
        if ((command->kind == OME_COMMAND_KIND_ORDER_TERMS) != continues)
        {
            command->kind = continues ? OME_COMMAND_KIND_ORDER_TERMS : OME_COMMAND_KIND_CANCEL_ORDER;
        }
        if (i + 1 == client->next + count || command[1].kind != OME_COMMAND_KIND_ORDER_TERMS)
        {
            command->flags &= (uint16_t)~OME_COMMAND_FLAGS_CONTINUED;
        }
    }
    client->next += count;
}

static void client_log_on(crowd_t *crowd, uint32_t number)
{
    house_t *house = crowd->house;
    client_t *client = &crowd->clients[number];
    wire_reconnect(house->wire, number);
    ome_gateway_logon_t logon = logon_of(house, (uint16_t)number, number);
    logon.flags = (uint16_t)flow_below(&crowd->flow, 4);
    CHECK_EQUAL(ome_gateway_bind(house->gateway, (uint16_t)number, &logon), OME_OK);
    ome_gateway_begin(house->gateway, (uint16_t)number, client->reports + 1);
    client->is_connected = true;
    client_send(crowd, number, look(house, (uint16_t)number).command_sequence + 1);
}

static void client_act(crowd_t *crowd, uint32_t number)
{
    house_t *house = crowd->house;
    client_t *client = &crowd->clients[number];
    wire_peer_t *peer = &house->wire->peers[number];
    const uint32_t taken = look(house, (uint16_t)number).command_sequence;
    if (!client->is_connected)
    {
        if (flow_below(&crowd->flow, 8) == 0)
        {
            client_log_on(crowd, number);
        }
        return;
    }
    const uint32_t choice = flow_below(&crowd->flow, 60);
    if (choice == 0)
    {
        wire_leave(house->wire, number);
        client->is_connected = false;
        crowd->gone_count++;
    }
    else if (choice == 1)
    {
        client_log_on(crowd, number); /* over another connection: the one before is left */
    }
    else if (choice == 2)
    {
        ome_gateway_log_out(house->gateway, (uint16_t)number);
        client->is_connected = false;
    }
    else if (choice < 6)
    {
        ome_resend_request_t request = {.next_report_sequence = flow_below(&crowd->flow, (uint32_t)client->reports + 2)};
        set_header(&request, OME_TEMPLATE_RESEND_REQUEST);
        wire_put(house->wire, number, &request, sizeof(request));
    }
    else if (choice < 9)
    {
        peer->queued_bytes = 2000000 * flow_below(&crowd->flow, 2);
    }
    else if (choice == 9)
    {
        peer->status = flow_below(&crowd->flow, 2) == 0 ? OME_FULL : OME_OK; /* what is lost so ends the session, or is sent later */
    }
    else if (choice < 16 && taken > 0)
    {
        const uint32_t back = 1 + flow_below(&crowd->flow, taken < 300 ? taken : 300);
        uint32_t from = taken + 1 - back;
        while (from > 1 && client->sent[from].kind == OME_COMMAND_KIND_ORDER_TERMS)
        {
            from--;
        }
        client_send(crowd, number, from); /* seen before, and perhaps some that is new */
    }
    else
    {
        if (client->next == taken + 1)
        {
            client_make(crowd, number);
        }
        client_send(crowd, number, taken + 1);
    }
}

/* All connect, read, and send what was not taken, until there is nothing left. */
static void crowd_end(crowd_t *crowd)
{
    house_t *house = crowd->house;
    crowd->answers = true;
    for (uint32_t round = 0; round < 4000; round++)
    {
        bool is_over = true;
        if (house->wanted.session != 0)
        {
            truth_give(crowd->truth, house, OME_GATEWAY_ARCHIVE_COUNT_MAX);
            house->wanted.session = 0;
        }
        for (uint32_t number = 1; number <= CLIENTS; number++)
        {
            client_t *client = &crowd->clients[number];
            house->wire->peers[number].queued_bytes = 0;
            house->wire->peers[number].status = OME_OK;
            if (!client->is_connected)
            {
                client_log_on(crowd, number);
            }
            const ome_gateway_session_t seen = look(house, (uint16_t)number);
            client_send(crowd, number, seen.command_sequence + 1);
            is_over = is_over && seen.command_sequence + 1 == client->next && client->reports == seen.report_sequence;
        }
        crowd_work(crowd);
        if (is_over && house->engine->sequence == ome_ring_cursor(house->ring))
        {
            return;
        }
    }
    CHECK(false);
}

static void reports_are_the_same_whatever_breaks(void)
{
    static crowd_t crowd;
    memset(&crowd, 0, sizeof(crowd));
    crowd.house = house_around(defined_engine(), 16, 4096);
    crowd.truth = truth_new(defined_engine());
    crowd.flow = (flow_t){.random = seed, .instrument_count = 1, .order_id_count = 30, .price_count = 15, .has_specials = true};
    crowd.house->answer = crowd_answer;
    crowd.house->answerer = &crowd;
    /* The second engine was made by the same definitions, whose reports count for nobody. */
    for (uint32_t number = 1; number <= CLIENTS; number++)
    {
        crowd.clients[number].sent = calloc(MOST, sizeof(ome_command_t));
        CHECK(crowd.clients[number].sent != NULL);
        crowd.clients[number].next = 1;
    }
    for (uint32_t round = 0; round < ROUNDS; round++)
    {
        crowd.answers = flow_below(&crowd.flow, 4) != 0;
        if (crowd.house->wanted.session != 0 && flow_below(&crowd.flow, 10) == 0)
        {
            crowd.late_count++; /* the answer may come when nobody waits for it any more */
            truth_give(crowd.truth, crowd.house, 1 + flow_below(&crowd.flow, 3000));
            crowd.house->wanted.session = 0;
        }
        for (uint32_t number = 1; number <= CLIENTS; number++)
        {
            client_act(&crowd, number);
        }
        if (flow_below(&crowd.flow, 40) == 0)
        {
            truth_begin_table(crowd.truth, 1 + flow_below(&crowd.flow, CLIENTS));
        }
        crowd_work(&crowd);
    }
    crowd_end(&crowd);
    for (uint32_t number = 1; number <= CLIENTS; number++)
    {
        const client_t *client = &crowd.clients[number];
        CHECK_EQUAL(client->reports, crowd.truth->sessions[number].count);
        CHECK_EQUAL(crowd.house->engine->progress[number].command_sequence, client->next - 1);
        CHECK(client->reports > 5000);
        free(crowd.clients[number].sent);
    }
    printf("   %" PRIu64 " commands, %u asked, %u late, %u gone, %u busy, %u ended, %" PRIu64 " cancels\n", crowd.house->engine->sequence,
        crowd.asked, crowd.late_count, crowd.gone_count, crowd.busy_count, crowd.house->end_count,
        count_of(crowd.house, OME_COUNT_DISCONNECT_CANCELS));
    CHECK(crowd.asked > 20 && crowd.busy_count > 20);
    CHECK(crowd.gone_count > 10 && crowd.house->end_count > 10);
    CHECK(crowd.truth->stops_count > 20 && crowd.truth->attributes_count > 20);
    CHECK(count_of(crowd.house, OME_COUNT_DISCONNECT_CANCELS) > 10);
    CHECK(count_of(crowd.house, OME_COUNT_MESSAGES_SEEN) > 100);
    CHECK(crowd.house->engine->trade_count > 500);
    truth_free(crowd.truth);
    house_free(crowd.house);
}

int main(void)
{
    seed = test_seed(17);
    RUN(reports_are_the_same_whatever_breaks);
    return 0;
}
