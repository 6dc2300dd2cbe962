/* Events to reports: events that may be published go to the sessions of their orders. */
#include "wire/ome_gateway_state.h"

void ome_gateway_pool_report(ome_gateway_t *gateway, const ome_execution_report_t *report, uint16_t session_number)
{
    if (session_number == 0 || session_number > gateway->table.session_count_max)
    {
        return; /* the embedder's own, or one that there cannot be */
    }
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    session->report_sequence++;
    if (session->peer == 0)
    {
        ome_counter_add(gateway->config.counters.reports_undelivered, 1);
        return;
    }
    const uint32_t index = ++gateway->pool_count;
    ome_pooled_report_t *pooled = &gateway->pool[index];
    pooled->report = *report;
    pooled->report.report_sequence = session->report_sequence;
    pooled->next = 0;
    if (session->first_report == 0)
    {
        session->first_report = index;
        gateway->dirty[gateway->dirty_count++] = session_number;
    }
    else
    {
        gateway->pool[session->last_report].next = index;
    }
    session->last_report = index;
}

/* Ends a session whose connection does not read, with a Logout: it must not slow the others. */
static void gateway_send_session(ome_gateway_t *gateway, uint16_t session_number)
{
    ome_session_slot_t *session = &gateway->table.sessions[session_number];
    uint32_t count = 0;
    for (uint32_t index = session->first_report; index != 0; index = gateway->pool[index].next)
    {
        gateway->frame[count++] = gateway->pool[index].report;
    }
    session->first_report = 0;
    session->last_report = 0;
    if (session->peer == 0) /* it ended meanwhile */
    {
        ome_counter_add(gateway->config.counters.reports_undelivered, count);
        return;
    }
    session->spoke_ns = gateway->now_ns;
    const ome_status_t status =
        ome_gateway_send(gateway, session->peer, (const uint8_t *)gateway->frame, (uint32_t)(count * sizeof(ome_execution_report_t)));
    if (status == OME_OK)
    {
        ome_counter_add(gateway->config.counters.reports, count);
        return;
    }
    ome_counter_add(gateway->config.counters.reports_undelivered, count);
    ome_gateway_end_session(gateway, session_number, OME_REASON_SLOW_CONSUMER);
}

static void gateway_count_event(const ome_gateway_t *gateway, const ome_event_t *event, uint64_t now_ns)
{
    const ome_gateway_counters_t *counters = &gateway->config.counters;
    switch (event->kind)
    {
    case OME_EVENT_KIND_TRADE:
    case OME_EVENT_KIND_PREVENTED: /* has no time of its own */
    case OME_EVENT_KIND_DISPLAYED: /* makes no report */
        return;
    case OME_EVENT_KIND_ACCEPTED:
        ome_counter_add(counters->orders, 1);
        break;
    case OME_EVENT_KIND_CANCELLED:
        ome_counter_add(counters->cancels, 1);
        break;
    case OME_EVENT_KIND_REJECTED:
        ome_counter_add(counters->rejects, 1);
        break;
    default:
        break;
    }
    ome_histogram_record(counters->report_latency, now_ns > event->timestamp_ns ? now_ns - event->timestamp_ns : 0);
}

static bool gateway_is_definition_answer(const ome_event_t *event)
{
    return event->kind == OME_EVENT_KIND_DEFINED ||
           (event->kind == OME_EVENT_KIND_REJECTED && ome_message_class(event->command_kind) == OME_MESSAGE_CLASS_DEFINITION);
}

/* Reads events that may be spoken of, until a definition is among them. Returns how many. */
static uint32_t gateway_read_events(ome_gateway_t *gateway)
{
    const ome_gateway_config_t *config = &gateway->config;
    const ome_event_t *events;
    const uint32_t available = ome_reader_take(&config->reader, OME_GATEWAY_EVENT_COUNT_PER_TURN, &events);
    if (available == 0)
    {
        return 0;
    }
    const uint64_t now_ns = ome_venue_clock_now_ns(gateway->config.ingress.clock);
    uint32_t count = 0;
    while (count < available && !gateway->has_event)
    {
        const ome_event_t *event = &events[count++];
        ome_execution_report_t made[2];
        uint16_t sessions[2];
        const uint32_t made_count = ome_reports_make(&gateway->reports, event, made, sessions);
        for (uint32_t i = 0; i < made_count; i++)
        {
            ome_gateway_pool_report(gateway, &made[i], sessions[i]);
        }
        gateway_count_event(gateway, event, now_ns);
        if (gateway_is_definition_answer(event))
        {
            gateway->event = *event;
            gateway->has_event = true;
        }
    }
    ome_reader_advance(&config->reader, count);
    return count;
}

void ome_gateway_send_reports(ome_gateway_t *gateway)
{
    for (uint32_t i = 0; i < gateway->dirty_count; i++)
    {
        gateway_send_session(gateway, gateway->dirty[i]);
    }
    gateway->dirty_count = 0;
    gateway->pool_count = 0;
}

uint32_t ome_gateway_report_events(ome_gateway_t *gateway)
{
    const uint32_t count = gateway_read_events(gateway);
    ome_gateway_send_reports(gateway);
    return count;
}
