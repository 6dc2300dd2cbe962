#include "ome_requests_face.h"

#include <string.h>

#include "base/ome_memory.h"
#include "engine/ome_engine.h"
#include "pipeline/ome_venue.h"
#include "wire/ome_listener.h"
#include "wire/ome_requests.h"

/* How long a question waits for the match thread, which comes to it between two batches unless a reader of its events is far behind. */
#define ASK_TIMEOUT_NS UINT64_C(100000000)

/* So many sessions cost as much to look at as an order. */
#define SESSIONS_PER_ORDER 16u

/* In front of the loop, in the same memory. */
typedef struct
{
    OME_CACHE_ALIGNED uint64_t size_bytes;
    ome_venue_t *venue;
    const _Atomic uint8_t *connected; /* by session; NULL: nobody is */
} requests_face_t;

/* A question on its way to the match thread. */
typedef struct
{
    const requests_face_t *face;
    const ome_question_t *question;
    ome_answer_t *answer;
} asked_t;

/* ---- On the match thread ---- */

/* The place of the next message of an answer. */
static void *face_place(ome_answer_t *answer, uint16_t template_id, uint16_t block_length)
{
    uint8_t *message = answer->messages + answer->size_bytes;
    memset(message, 0, OME_MESSAGE_HEADER_SIZE + (size_t)block_length);
    ome_message_header_set(message, template_id, block_length);
    answer->size_bytes += OME_MESSAGE_HEADER_SIZE + (uint32_t)block_length;
    answer->message_count++;
    return message;
}

static uint8_t face_flags_of(const ome_order_view_t *view)
{
    return (uint8_t)((view->is_waiting ? OME_ORDER_FLAGS_WAITING : 0) | (view->is_hidden ? OME_ORDER_FLAGS_HIDDEN : 0) |
                     (view->is_post_only ? OME_ORDER_FLAGS_POST_ONLY : 0) |
                     (view->time_in_force == OME_TIME_IN_FORCE_DAY ? OME_ORDER_FLAGS_DAY : 0));
}

/* What only the record of a special order has. */
static void face_add_specials(const ome_engine_t *engine, ome_open_order_t *order)
{
    const ome_order_t *from = &engine->pools.orders.orders[(uint32_t)order->order_id];
    const ome_special_t *special = &engine->pools.specials.records[ome_order_special(from)];
    const bool is_waiting = ome_special_waits(special);
    order->reserve_quantity = special->reserve_quantity;
    order->minimum_quantity = is_waiting ? special->minimum_quantity : 0;
    order->budget = is_waiting && (special->flags & OME_SPECIAL_HAS_BUDGET) != 0 ? special->budget : 0;
    order->collar_ticks = is_waiting && (special->flags & OME_SPECIAL_HAS_COLLAR) != 0 ? special->collar_ticks : 0;
}

static void face_put_order(const ome_engine_t *engine, const ome_order_view_t *view, ome_answer_t *answer)
{
    ome_open_order_t order;
    uint8_t *place = face_place(answer, OME_TEMPLATE_OPEN_ORDER, OME_BLOCK_OPEN_ORDER);
    memcpy(&order, place, sizeof(order));
    order.order_id = view->order_id;
    order.client_order_id = view->client_order_id;
    order.price = view->price;
    order.stop_price = view->stop_price;
    order.leaves_quantity = view->leaves_quantity;
    order.cumulative_quantity = view->cumulative_quantity;
    order.displayed_quantity = view->displayed_quantity;
    order.peak_quantity = view->peak_quantity;
    order.trail_amount = view->trail_amount;
    order.deadline_ns = view->deadline_ns;
    memcpy((uint8_t *)&order + offsetof(ome_open_order_t, capacity), view->attributes, sizeof(view->attributes));
    order.account = view->account;
    order.instrument = view->instrument;
    order.self_trade_group = view->self_trade_group;
    order.session = view->session;
    order.trail_basis_points = view->trail_basis_points;
    order.order_flags = face_flags_of(view);
    order.side = view->side;
    order.order_type = view->order_type;
    order.time_in_force = view->time_in_force;
    order.self_trade_prevention = view->self_trade_prevention;
    order.self_trade_scope = view->self_trade_scope;
    face_add_specials(engine, &order);
    memcpy(place, &order, sizeof(order));
}

/* The orders of a participant are visited by slot: one that lives all the while is met once, whatever becomes of others. */
static void face_answer_orders(ome_engine_t *engine, const ome_question_t *question, ome_answer_t *answer)
{
    uint32_t slot = question->cursor <= UINT32_MAX - 1 ? (uint32_t)question->cursor : UINT32_MAX - 1;
    while (answer->visited_count < OME_ANSWER_ORDER_COUNT_MAX)
    {
        ome_order_view_t view;
        answer->visited_count++;
        slot = ome_order_pool_next_of(&engine->pools.orders, question->participant, slot);
        if (slot == 0 || ome_engine_order(engine, ome_order_id(&engine->pools.orders, slot), &view) != OME_OK)
        {
            return; /* that was the last */
        }
        if ((question->instrument == 0 || view.instrument == question->instrument) &&
            (question->target_session == 0 || view.session == question->target_session))
        {
            face_put_order(engine, &view, answer);
        }
    }
    answer->next_cursor = slot;
}

/* Whether an order that has ended was the participant's, as far as its slot still says so. */
static bool face_was_owner(const ome_engine_t *engine, const ome_question_t *question)
{
    const ome_order_pool_t *pool = &engine->pools.orders;
    const ome_order_t *order = &pool->orders[(uint32_t)question->order_id];
    return ome_order_pool_state(pool, question->order_id) == OME_ORDER_CLOSED && order->generation == question->order_id >> 32 &&
           (uint16_t)(order->owner >> 32) == question->participant;
}

static void face_answer_order(const ome_engine_t *engine, const ome_question_t *question, ome_answer_t *answer)
{
    ome_order_view_t view;
    const ome_status_t status = question->order_id != 0
                                    ? ome_engine_order(engine, question->order_id, &view)
                                    : ome_engine_client_order(engine, question->participant, question->client_order_id, &view);
    answer->visited_count = 1;
    if (status == OME_OK && view.participant == question->participant)
    {
        face_put_order(engine, &view, answer);
        return;
    }
    const bool was_owner = status != OME_OK && question->order_id != 0 && face_was_owner(engine, question);
    answer->reason = was_owner ? OME_REASON_ORDER_CLOSED : OME_REASON_UNKNOWN_ORDER;
}

static void face_answer_instruments(const ome_engine_t *engine, const ome_question_t *question, ome_answer_t *answer)
{
    uint64_t number = question->cursor;
    while (number < engine->instrument_count && answer->message_count < OME_ANSWER_MESSAGE_COUNT_MAX)
    {
        ome_instrument_view_t view;
        const ome_status_t status = ome_engine_instrument(engine, (uint32_t)++number, &view);
        OME_ASSERT(status == OME_OK);
        uint8_t *place = face_place(answer, OME_TEMPLATE_DEFINE_INSTRUMENT, OME_BLOCK_DEFINE_INSTRUMENT);
        ome_command_t definition;
        memcpy(&definition, place, sizeof(definition));
        memcpy(definition.symbol, view.symbol, sizeof(definition.symbol));
        definition.tick = view.tick;
        definition.collar_ticks = view.collar_ticks;
        definition.instrument = (uint32_t)number;
        definition.kind = OME_COMMAND_KIND_DEFINE_INSTRUMENT;
        definition.price_decimals = view.price_decimals;
        definition.quantity_decimals = view.quantity_decimals;
        definition.instrument_flags = view.flags;
        memcpy(place, &definition, sizeof(definition));
    }
    answer->visited_count = answer->message_count;
    answer->next_cursor = number < engine->instrument_count ? number : 0;
}

static void face_put_session(const requests_face_t *face, uint16_t number, const ome_session_view_t *view, ome_answer_t *answer)
{
    uint8_t *place = face_place(answer, OME_TEMPLATE_SESSION_STATUS, OME_BLOCK_SESSION_STATUS);
    ome_session_status_t status;
    memcpy(&status, place, sizeof(status));
    status.report_sequence = view->report_sequence;
    status.command_sequence = view->command_sequence;
    status.session = number;
    status.session_number = view->session_number;
    status.session_flags = view->flags;
    status.is_connected = face->connected != NULL && atomic_load_explicit(&face->connected[number], memory_order_relaxed) != 0;
    memcpy(place, &status, sizeof(status));
}

/* The session is the participant's, and has its name. */
static bool face_is_session_of(const ome_engine_t *engine, uint32_t number, const ome_question_t *question)
{
    return number >= 1 && number <= engine->limits.session_count_max && ome_session_is_defined(engine, number) &&
           memcmp(engine->sessions[number].participant_name, question->name, OME_NAME_SIZE) == 0;
}

/* Visits sessions from behind the cursor on: the question is who the name is, or which sessions it has. */
static void face_answer_sessions(
    const requests_face_t *face, const ome_engine_t *engine, const ome_question_t *question, ome_answer_t *answer)
{
    const uint32_t count_max = engine->limits.session_count_max;
    const bool is_who = question->template_id == OME_QUESTION_WHO;
    uint64_t number = question->cursor;
    uint32_t visited_count = 0;
    while (number < count_max && visited_count < OME_ANSWER_SESSION_COUNT_MAX && answer->message_count < OME_ANSWER_MESSAGE_COUNT_MAX &&
           answer->participant == 0)
    {
        ome_session_view_t view;
        number++;
        visited_count++;
        if (!face_is_session_of(engine, (uint32_t)number, question) || ome_engine_session(engine, (uint32_t)number, &view) != OME_OK)
        {
            continue;
        }
        if (is_who)
        {
            answer->participant = view.participant;
            answer->session = (uint16_t)number;
        }
        else
        {
            face_put_session(face, (uint16_t)number, &view, answer);
        }
    }
    answer->visited_count = visited_count / SESSIONS_PER_ORDER + 1;
    answer->next_cursor = number < count_max ? number : 0;
}

static void face_answer(ome_engine_t *engine, void *context)
{
    const asked_t *asked = context;
    const ome_question_t *question = asked->question;
    ome_answer_t *answer = asked->answer;
    answer->sequence = engine->sequence;
    answer->is_known = question->template_id == OME_QUESTION_WHO || question->template_id == OME_TEMPLATE_INSTRUMENTS_REQUEST ||
                       (face_is_session_of(engine, question->session, question) &&
                           ome_session_participant(engine, question->session) == question->participant);
    if (!answer->is_known)
    {
        return;
    }
    switch (question->template_id)
    {
    case OME_TEMPLATE_ORDERS_REQUEST:
        face_answer_orders(engine, question, answer);
        break;
    case OME_TEMPLATE_ORDER_STATUS_REQUEST:
        face_answer_order(engine, question, answer);
        break;
    case OME_TEMPLATE_INSTRUMENTS_REQUEST:
        face_answer_instruments(engine, question, answer);
        break;
    default:
        face_answer_sessions(asked->face, engine, question, answer);
        break;
    }
}

/* ---- On the thread of requests ---- */

static ome_status_t face_ask(void *context, const ome_question_t *question, ome_answer_t *answer)
{
    const requests_face_t *face = context;
    asked_t asked = {.face = face, .question = question, .answer = answer};
    return ome_venue_ask(face->venue, face_answer, &asked, ASK_TIMEOUT_NS);
}

static uint64_t face_limit(void *context)
{
    return ome_published_limit(&((const requests_face_t *)context)->venue->published);
}

static ome_requests_counters_t face_counters(const ome_venue_t *venue)
{
    return (ome_requests_counters_t){.frames = ome_counters_counter(&venue->counters, OME_COUNT_REQUESTS_FRAMES),
        .frames_rejected = ome_counters_counter(&venue->counters, OME_COUNT_REQUESTS_REJECTED),
        .answers = ome_counters_counter(&venue->counters, OME_COUNT_REQUESTS_ANSWERS),
        .busy = ome_counters_counter(&venue->counters, OME_COUNT_REQUESTS_BUSY),
        .undelivered = ome_counters_counter(&venue->counters, OME_COUNT_REQUESTS_UNDELIVERED)};
}

ome_status_t ome_requests_create(
    ome_venue_t *venue, const uint8_t *connected, ome_listener_t *listener, int event_fd, ome_requests_t **requests)
{
    ome_requests_config_t config = {.ask = face_ask,
        .limit = face_limit,
        .socket = ome_listener_socket(listener),
        .counters = face_counters(venue),
        .connection_slot_max = ome_listener_connection_count_max(listener),
        .event_fd = event_fd};
    const uint64_t loop_size_bytes = ome_requests_size_bytes(&config);
    requests_face_t *face = ome_memory_map(sizeof(requests_face_t) + loop_size_bytes);
    if (face == NULL)
    {
        return OME_NO_MEMORY;
    }
    face->size_bytes = sizeof(requests_face_t) + loop_size_bytes;
    face->venue = venue;
    face->connected = (const _Atomic uint8_t *)connected;
    config.context = face;
    return ome_requests_init(requests, face + 1, loop_size_bytes, &config);
}

void ome_requests_destroy(ome_requests_t *requests)
{
    if (requests != NULL)
    {
        requests_face_t *face = (requests_face_t *)(void *)requests - 1;
        ome_memory_unmap(face, face->size_bytes);
    }
}
