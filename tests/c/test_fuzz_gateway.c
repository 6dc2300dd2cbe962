/* Fuzz: the whole gateway, with hostile clients, a caller, an engine and an archive, run by a program that is the input. What must hold
 * is in ome_fuzz_gateway.h.
 *
 *     test_fuzz_gateway                         a fixed number of inputs, by ctest
 *     test_fuzz_gateway gateway SECONDS SEED    as tools/fuzz starts it
 *     test_fuzz_gateway FILE                    one input again
 *
 * An input is a step of settings, then steps of 8 bytes: what, who, two bytes and two numbers of 16 bits. Some steps are followed by more
 * steps that are their bytes. Every sequence of bytes is a program.
 *
 * There are two drivers for one entry, LLVMFuzzerTestOneInput: a seeded one, here, and libFuzzer's, which is guided by coverage, where
 * OME_FUZZ_GUIDED is defined (CMake: OME_FUZZ). */
#include "ome_fuzz_gateway.h"

#include <signal.h>
#include <unistd.h>

#define STEP_SIZE 8u
#define STEP_COUNT_MAX 512u
#define INPUT_SIZE_MAX (STEP_COUNT_MAX * STEP_SIZE)
#define INPUT_COUNT_STANDARD 1500u
#define INPUT_SECONDS_MAX 60u
#define RAW_SIZE_MAX 4096u
#define BURST_FRAMES_MAX 16u
#define IN_COUNT_MAX (FRAME_COUNT_MAX - 64u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum
{
    STEP_CONNECT,
    STEP_LOG_ON,
    STEP_LOG_OUT,
    STEP_COMMANDS,
    STEP_BURST,
    STEP_RAW,
    STEP_TEMPLATE,
    STEP_MUTATION,
    STEP_SESSION_MESSAGE,
    STEP_GO,
    STEP_READ_OR_NOT,
    STEP_TIME,
    STEP_TURN,
    STEP_MATCH,
    STEP_WORK,
    STEP_STORAGE,
    STEP_OPEN,
    STEP_GIVE,
    STEP_OPERATOR,
    STEP_KIND_COUNT
} step_kind_t;

typedef struct
{
    uint8_t kind;
    uint8_t who;
    uint8_t a;
    uint8_t b;
    uint16_t c;
    uint16_t d;
} step_t;
static_assert(sizeof(step_t) == STEP_SIZE, "a step has no padding");

typedef struct
{
    const uint8_t *data;
    size_t size;
    size_t at;
} program_t;

static bool next_step(program_t *program, step_t *step)
{
    if (program->size - program->at < STEP_SIZE)
    {
        return false;
    }
    memcpy(step, program->data + program->at, STEP_SIZE);
    program->at += STEP_SIZE;
    return true;
}

/* The bytes of so many steps that follow, as far as they are there, over and over until there are `size` bytes. */
static void take_bytes(program_t *program, uint32_t step_count, uint8_t *to, uint32_t size)
{
    const size_t left = program->size - program->at;
    const size_t there = step_count * STEP_SIZE < left ? step_count * STEP_SIZE : left;
    for (uint32_t i = 0; i < size; i++)
    {
        to[i] = there > 0 ? program->data[program->at + i % there] : 0;
    }
    program->at += there;
}

/* ---- what clients send ---- */

static bool has_room(uint32_t slot)
{
    const wire_t *wire = venue.house->wire;
    return !wire->peers[slot].is_ended && wire->in_count < IN_COUNT_MAX;
}

static void send_bytes(uint32_t slot, const uint8_t *bytes, uint32_t size_bytes)
{
    if (has_room(slot))
    {
        venue.clients[slot].has_sent = true;
        wire_put(venue.house->wire, slot, bytes, size_bytes);
    }
}

/* The same, and it is remembered, to be changed or sent again. */
static void send_good(uint32_t slot, const uint8_t *bytes, uint32_t size_bytes)
{
    client_t *client = &venue.clients[slot];
    memcpy(client->frame, bytes, size_bytes);
    client->frame_size = size_bytes;
    send_bytes(slot, bytes, size_bytes);
}

static void log_on(uint32_t slot, const step_t *step)
{
    static const char *const names[] = {"A", "B", "C", "D", "E", ""};
    static const uint64_t reports[] = {0, 1, 2, 5, 100, 4000, UINT64_MAX, 0};
    static const uint32_t heartbeats[] = {0, 100, 1000, 60000, 99, 60001, UINT32_MAX, 200};
    ome_logon_t logon = {.session_number = step->b & 3,
        .session_flags = step->b >> 2 & 3,
        .heartbeat_ms = heartbeats[step->b >> 5],
        .next_report_sequence = (step->c & 8) != 0 ? step->d : reports[step->c & 7],
        .login_id = step->d,
        .logon_flags = step->c >> 4 & 7};
    const char *name = names[step->a % 6];
    memcpy(logon.participant_name, name, strlen(name));
    ome_message_header_set(&logon, OME_TEMPLATE_LOGON, OME_BLOCK_LOGON);
    send_good(slot, (const uint8_t *)&logon, sizeof(logon));
}

static void log_out(uint32_t slot, const step_t *step)
{
    ome_logout_t logout = {.session = step->a, .reason = step->b};
    ome_message_header_set(&logout, OME_TEMPLATE_LOGOUT, OME_BLOCK_LOGOUT);
    send_good(slot, (const uint8_t *)&logout, sizeof(logout));
}

/* The session of the connection that a number chooses; 0: it has none. */
static uint16_t chosen_session(uint32_t slot, uint32_t number)
{
    const ome_gateway_t *gateway = venue.house->gateway;
    uint16_t session = ome_gateway_session_of(gateway, peer_number(venue.house->wire, slot));
    for (uint32_t i = 0; i < number % CALLER_SESSIONS && session != 0; i++)
    {
        const uint16_t next = ome_gateway_next_session(gateway, session);
        session = next != 0 ? next : session;
    }
    return session;
}

/* The number before the first one of a frame: the session's last, or another one, as the step says. */
static uint32_t number_before(uint32_t slot, uint16_t session, uint16_t how)
{
    const wire_t *wire = venue.house->wire;
    uint32_t *last = &venue.clients[slot].numbers[session];
    if (wire->in_read == wire->in_count && session != 0)
    {
        *last = look(venue.house, session).command_sequence;
    }
    switch (how & 15)
    {
    case 12: /* again */
    case 13:
        return *last - (how >> 4 & 63);
    case 14: /* too early */
        return *last + (how >> 4 & 63);
    case 15:
        return (how & 16) != 0 ? UINT32_MAX : UINT32_MAX - (how >> 5 & 3);
    default:
        return *last;
    }
}

/* A frame of `count` messages of a flow of orders that is mostly good. */
static void send_flow(uint32_t slot, uint32_t count, uint64_t random, uint16_t how, uint16_t session)
{
    static ome_command_t commands[OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX + 8];
    flow_t flow = {.random = random,
        .timestamp_ns = own_time_ns,
        .instrument_count = 2,
        .order_id_count = 20,
        .price_count = 20,
        .has_specials = true};
    uint32_t number = number_before(slot, session, how);
    uint32_t made = 0;
    while (made < count || (flow.terms_count > 0 && made < count + 8))
    {
        ome_command_t *command = &commands[made++];
        *command = flow_next(&flow);
        command->session = session;
        command->session_sequence = number = ome_session_next_sequence(number);
        set_header(command, command->kind);
    }
    venue.clients[slot].numbers[session] = number;
    made = made < OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX ? made : OME_GATEWAY_FRAME_MESSAGE_COUNT_MAX;
    send_good(slot, (const uint8_t *)commands, made * OME_RECORD_SIZE);
}

static void send_commands_of(uint32_t slot, const step_t *step)
{
    static const uint32_t counts[] = {1, 2, 3, 8, 64, 255, 256, 1};
    send_flow(slot, counts[step->a & 7], step->d, step->c, chosen_session(slot, step->b));
}

static void send_burst(uint32_t slot, const step_t *step)
{
    const uint16_t session = chosen_session(slot, step->b);
    for (uint32_t i = 0; i <= step->a % BURST_FRAMES_MAX; i++)
    {
        send_flow(slot, 64, (uint64_t)step->d << 8 | i, 0, session);
        if ((step->c & 1) != 0)
        {
            (void)venue_turn();
            (void)venue_match();
        }
    }
}

static void send_raw(uint32_t slot, const step_t *step, program_t *program)
{
    static uint8_t bytes[RAW_SIZE_MAX];
    const uint32_t size_bytes = step->c % (RAW_SIZE_MAX + 1);
    take_bytes(program, step->a & 31, bytes, size_bytes);
    send_bytes(slot, bytes, size_bytes);
}

/* Messages of one template, with the bytes that follow as their fields; most have the length that they should have. */
static void send_template(uint32_t slot, const step_t *step, program_t *program)
{
    static uint8_t bytes[RAW_SIZE_MAX];
    const uint16_t block_length = step->a == OME_TEMPLATE_LOGON ? OME_BLOCK_LOGON : OME_BODY_SIZE;
    const uint32_t message_size = OME_MESSAGE_HEADER_SIZE + block_length;
    const uint32_t count = 1 + (step->c & 7);
    take_bytes(program, step->b & 15, bytes, sizeof(bytes));
    uint32_t number = number_before(slot, chosen_session(slot, step->b >> 4), step->d);
    for (uint32_t i = 0; i < count; i++)
    {
        uint8_t *message = bytes + i * message_size;
        ome_message_header_set(message, step->a, block_length);
        number = ome_session_next_sequence(number);
        if ((step->c & 8) == 0)
        {
            memcpy(message + offsetof(ome_command_t, session_sequence), &number, sizeof(number));
        }
    }
    const uint32_t size_bytes = count * message_size;
    const uint32_t cut_bytes = (step->c & 16) != 0 ? step->c >> 8 : 0;
    send_bytes(slot, bytes, cut_bytes < size_bytes ? size_bytes - cut_bytes : 0);
}

/* The last good frame with a byte or a word changed, or cut, or longer. */
static void send_mutation(uint32_t slot, const step_t *step)
{
    static uint8_t bytes[2 * CLIENT_FRAME_SIZE_MAX];
    const client_t *client = &venue.clients[slot];
    uint32_t size_bytes = client->frame_size;
    memcpy(bytes, client->frame, size_bytes);
    memcpy(bytes + size_bytes, client->frame, size_bytes);
    if (size_bytes >= 2)
    {
        const uint32_t at = step->c % (size_bytes - 1);
        bytes[at] = (step->a & 1) != 0 ? step->b : bytes[at];
        bytes[at] = (uint8_t)(bytes[at] ^ ((step->a & 2) != 0 ? 1u << (step->b & 7) : 0));
        if ((step->a & 4) != 0)
        {
            memcpy(bytes + at, &step->d, sizeof(step->d));
        }
        size_bytes = (step->a & 8) != 0 ? step->d % (2 * size_bytes) : size_bytes;
    }
    send_bytes(slot, bytes, size_bytes);
}

static void send_session_message(uint32_t slot, const step_t *step)
{
    static const uint16_t templates[] = {
        OME_TEMPLATE_HEARTBEAT, OME_TEMPLATE_TEST_REQUEST, OME_TEMPLATE_RESEND_REQUEST, OME_TEMPLATE_RESEND_REQUEST};
    static const uint64_t numbers[] = {0, 1, UINT64_MAX, UINT64_MAX - 1};
    const uint16_t template_id = templates[step->a & 3];
    const uint16_t session = (step->b & 16) != 0 ? step->b & 7 : chosen_session(slot, step->b);
    ome_resend_request_t message = {.next_report_sequence = (step->c & 4) != 0 ? step->d : numbers[step->c & 3], .session = session};
    if (template_id == OME_TEMPLATE_HEARTBEAT)
    {
        memcpy((uint8_t *)&message + offsetof(ome_heartbeat_t, session), &session, sizeof(session));
    }
    ome_message_header_set(&message, template_id, OME_BODY_SIZE);
    send_good(slot, (const uint8_t *)&message, sizeof(message));
}

/* ---- what happens to connections, and to the venue ---- */

static void connect_again(uint32_t slot)
{
    if (venue.house->wire->peers[slot].is_ended)
    {
        wire_reconnect(venue.house->wire, slot);
        memset(&venue.clients[slot], 0, sizeof(venue.clients[slot]));
    }
}

static void go(uint32_t slot)
{
    if (has_room(slot))
    {
        wire_leave(venue.house->wire, slot);
    }
}

static void read_or_not(uint32_t slot, const step_t *step)
{
    wire_peer_t *peer = &venue.house->wire->peers[slot];
    peer->status = (step->a & 1) != 0 ? OME_FULL : OME_OK;
    peer->queued_bytes = (step->a & 2) != 0 ? 2u << 20 : 0;
}

static void turns(uint32_t count, uint64_t apart_ns)
{
    for (uint32_t i = 0; i < count; i++)
    {
        own_time_ns += apart_ns;
        (void)venue_turn();
    }
}

static void work_on(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        (void)venue_turn();
        (void)venue_match();
    }
}

/* The operator's own commands, an end of a session that its key no longer allows, and the gate. */
static void operate(const step_t *step)
{
    const uint16_t session = (uint16_t)(1 + step->b % (CALLER_SESSIONS + 2)); /* or the first drop copies */
    const uint64_t limit = ome_published_limit(&venue.house->published);
    ome_command_t command = {.kind = OME_COMMAND_KIND_MASS_CANCEL, .flags = OME_COMMAND_FLAGS_ANY_PARTICIPANT};
    switch (step->a & 7)
    {
    case 0:
        (void)caller_submit(&venue.caller, &command);
        return;
    case 1:
        command = define_instrument(1 + (step->c & 3), "THREE", 1, step->d & 7);
        (void)caller_submit(&venue.caller, &command);
        return;
    case 2:
        command = (ome_command_t){.kind = OME_COMMAND_KIND_EXPIRE_ORDERS, .flags = OME_COMMAND_FLAGS_END_OF_DAY};
        (void)caller_submit(&venue.caller, &command);
        return;
    case 3:
        if (look(venue.house, session).peer != 0)
        {
            ome_gateway_end_session(venue.house->gateway, session, OME_REASON_NOT_PERMITTED);
        }
        return;
    case 4: /* what comes now waits for the disk */
        venue.house->published.sequences[OME_GATE_DURABLE].value = venue.house->engine->sequence;
        return;
    case 5:
        open_gate(venue.house, limit < UINT64_MAX ? limit + step->c % 64 : limit);
        return;
    default:
        open_gate(venue.house, UINT64_MAX);
        return;
    }
}

static void run_client_step(uint32_t slot, const step_t *step, program_t *program)
{
    switch ((step_kind_t)(step->kind % STEP_KIND_COUNT))
    {
    case STEP_CONNECT:
        connect_again(slot);
        return;
    case STEP_LOG_ON:
        log_on(slot, step);
        return;
    case STEP_LOG_OUT:
        log_out(slot, step);
        return;
    case STEP_COMMANDS:
        send_commands_of(slot, step);
        return;
    case STEP_BURST:
        send_burst(slot, step);
        return;
    case STEP_RAW:
        send_raw(slot, step, program);
        return;
    case STEP_TEMPLATE:
        send_template(slot, step, program);
        return;
    case STEP_MUTATION:
        send_mutation(slot, step);
        return;
    case STEP_SESSION_MESSAGE:
        send_session_message(slot, step);
        return;
    case STEP_GO:
        go(slot);
        return;
    default:
        read_or_not(slot, step);
        return;
    }
}

static void run_venue_step(const step_t *step)
{
    switch ((step_kind_t)(step->kind % STEP_KIND_COUNT))
    {
    case STEP_TIME:
        turns(1 + step->a % 64, (uint64_t)(step->c % 20000) * 1000000);
        return;
    case STEP_TURN:
        turns(1 + step->a % 4, 0);
        return;
    case STEP_MATCH:
        (void)venue_match();
        return;
    case STEP_STORAGE:
        venue.house->storage = step->a % 3;
        return;
    case STEP_OPEN:
        venue.house->is_open = (step->a & 3) != 0;
        return;
    case STEP_GIVE:
        venue.answers_at_once = (step->a & 1) != 0;
        caller_give(&venue.caller, step->c % (OME_GATEWAY_ARCHIVE_COUNT_MAX + 1), (step->a & 2) != 0 ? step->b : 0);
        return;
    case STEP_OPERATOR:
        operate(step);
        return;
    default:
        work_on(1 + step->a % 8);
        return;
    }
}

static void run_step(const step_t *step, program_t *program)
{
    const uint8_t kind = step->kind % STEP_KIND_COUNT;
    if (kind <= STEP_READ_OR_NOT)
    {
        run_client_step(1 + step->who % CLIENT_COUNT, step, program);
    }
    else
    {
        run_venue_step(step);
    }
    read_all_sent();
    check_venue();
}

/* ---- the entry ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t ring_slots[] = {4, 16, 64, 512};
    static const ome_throttle_limits_t throttles[] = {{0, 0}, {0, 0}, {100, 0}, {0, 40}};
    program_t program = {.data = data, .size = size};
    step_t step;
    if (size > INPUT_SIZE_MAX || !next_step(&program, &step))
    {
        return 0;
    }
    venue_open(ring_slots[step.kind & 3], throttles[step.who & 3]);
    venue.answers_at_once = (step.a & 1) != 0;
    while (next_step(&program, &step))
    {
        run_step(&step, &program);
    }
    venue_close();
    return 0;
}

/* ---- programs by chance ---- */

static uint64_t below(uint64_t *random, uint64_t count)
{
    return test_random(random) % count;
}

static step_t random_step(uint64_t *random)
{
    /* More often what leads somewhere. */
    static const uint8_t kinds[] = {STEP_CONNECT, STEP_LOG_ON, STEP_LOG_ON, STEP_LOG_OUT, STEP_COMMANDS, STEP_COMMANDS, STEP_COMMANDS,
        STEP_COMMANDS, STEP_BURST, STEP_RAW, STEP_TEMPLATE, STEP_TEMPLATE, STEP_MUTATION, STEP_MUTATION, STEP_SESSION_MESSAGE,
        STEP_SESSION_MESSAGE, STEP_GO, STEP_READ_OR_NOT, STEP_READ_OR_NOT, STEP_TIME, STEP_TURN, STEP_TURN, STEP_MATCH, STEP_WORK,
        STEP_WORK, STEP_WORK, STEP_STORAGE, STEP_OPEN, STEP_GIVE, STEP_OPERATOR};
    step_t step;
    const uint64_t bytes = test_random(random);
    memcpy(&step, &bytes, sizeof(step));
    step.kind = kinds[below(random, sizeof(kinds))];
    step.who = below(random, 3) == 0 ? step.who : step.who % 2;
    if (step.kind == STEP_LOG_ON && below(random, 4) != 0)
    {
        step.a %= 3; /* a good one */
        step.b &= 0x0d;
        step.c &= (uint16_t)~0x40u;
        if (below(random, 3) == 0) /* of a drop copy */
        {
            step.b = 0;
            step.c = (uint16_t)((step.c & ~0x70u) | OME_LOGON_FLAGS_DROP_COPY << 4);
        }
    }
    if (step.kind == STEP_COMMANDS && below(random, 3) != 0)
    {
        step.a &= 3;
        step.c = 0;
    }
    if (step.kind == STEP_TEMPLATE && below(random, 2) != 0)
    {
        step.a = (uint8_t)(1 + step.a % 6);
        step.c &= 7;
    }
    if (step.kind == STEP_STORAGE || step.kind == STEP_OPEN || step.kind == STEP_READ_OR_NOT)
    {
        step.a = below(random, 2) == 0 ? 0 : step.a;
        step.a = step.kind == STEP_OPEN ? (uint8_t)(3 * below(random, 2)) : step.a;
    }
    return step;
}

/* How a program begins that catches up with thousands of reports: chance alone seldom gets there. */
static step_t story_step(uint64_t *random, uint64_t number)
{
    const uint16_t any = (uint16_t)test_random(random);
    const step_t settings = {.kind = 3, .a = any & 1};
    const step_t logon = {.kind = STEP_LOG_ON};
    const step_t turn = {.kind = STEP_WORK};
    const step_t burst = {.kind = STEP_BURST, .a = BURST_FRAMES_MAX - 1, .c = 1, .d = any};
    const step_t resend = {.kind = STEP_SESSION_MESSAGE, .a = 2, .c = 4, .d = any % 3000};
    const step_t copy = {.kind = STEP_LOG_ON, .who = 1, .c = 8 | OME_LOGON_FLAGS_DROP_COPY << 4, .d = any % 3000};
    return number == 0                  ? settings
           : number == 1                ? logon
           : number == 2 || number > 10 ? turn
           : number < 9                 ? burst
           : number == 9                ? resend
                                        : copy;
}

static size_t random_program(uint64_t *random, uint8_t *to, size_t size_max)
{
    const uint64_t most = size_max / STEP_SIZE;
    const uint64_t story_count = below(random, 32) == 0 ? 13 : 0;
    const uint64_t count = 2 + story_count + below(random, below(random, 4) == 0 ? 200 : 40);
    size_t size = 0;
    for (uint64_t i = 0; i < count && i < most; i++)
    {
        const step_t step = i < story_count ? story_step(random, i) : random_step(random);
        memcpy(to + size, &step, STEP_SIZE);
        size += STEP_SIZE;
    }
    return size;
}

#ifdef OME_FUZZ_GUIDED

/* ---- the driver that is guided by coverage ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed);

/* Half of the changes are of steps: one is put in, changed, dropped or moved. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    uint64_t random = seed;
    const size_t count = size / STEP_SIZE;
    if (count < 2)
    {
        return random_program(&random, data, size_max);
    }
    const uint64_t way = below(&random, 8);
    const size_t at = (1 + below(&random, count - 1)) * STEP_SIZE;
    const step_t step = random_step(&random);
    if (way < 2 && count * STEP_SIZE + STEP_SIZE <= size_max)
    {
        memmove(data + at + STEP_SIZE, data + at, count * STEP_SIZE - at);
        memcpy(data + at, &step, STEP_SIZE);
        return count * STEP_SIZE + STEP_SIZE;
    }
    if (way == 2)
    {
        memcpy(data + at, &step, STEP_SIZE);
        return size;
    }
    if (way == 3 && count > 2)
    {
        memmove(data + at, data + at + STEP_SIZE, count * STEP_SIZE - at - STEP_SIZE);
        return (count - 1) * STEP_SIZE;
    }
    return LLVMFuzzerMutate(data, size, size_max);
}

#else

/* ---- the seeded driver ---- */

#include "ome_fuzz_found.h"

static uint64_t input_number;
static uint64_t seed;
static uint8_t input[INPUT_SIZE_MAX];
static size_t input_size;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* Says which input it was, and keeps it, unless all of them are done. */
static void say_input(void)
{
    if (input_number == 0)
    {
        return;
    }
    char name[64];
    (void)snprintf(name, sizeof(name), "crash-gateway-%" PRIu64 "-%" PRIu64, seed, input_number);
    FILE *file = fopen(name, "wb");
    const bool is_kept = file != NULL && fwrite(input, 1, input_size, file) == input_size && fclose(file) == 0;
    fprintf(stderr, "at input %" PRIu64 " of seed %" PRIu64 "%s%s\n", input_number, seed, is_kept ? ", kept in " : "", is_kept ? name : "");
}

static void take_too_long(int number)
{
    (void)number;
    fprintf(stderr, "an input takes more than %u s\n", INPUT_SECONDS_MAX);
    say_input();
    _exit(1);
}

/* Until so many inputs were tried or so many seconds are over; the inputs depend on the seed only. */
static void try_inputs(uint64_t count_max, uint64_t seconds_max)
{
    const time_t end = time(NULL) + (time_t)seconds_max;
    uint64_t random = seed;
    uint64_t reports = 0;
    for (input_number = 1; input_number <= count_max && (input_number % 16 != 0 || time(NULL) < end); input_number++)
    {
        input_size = random_program(&random, input, sizeof(input));
        (void)alarm(INPUT_SECONDS_MAX);
        (void)LLVMFuzzerTestOneInput(input, input_size);
        reports += venue.report_count;
    }
    (void)alarm(0);
    printf("   %" PRIu64 " inputs, %" PRIu64 " reports\n", input_number - 1, reports);
    CHECK(reports > 0);
    input_number = 0;
}

static void hostile_programs_break_no_promise(void)
{
    try_inputs(INPUT_COUNT_STANDARD, 100);
}

static void try_found(const uint8_t *program, size_t size)
{
    memcpy(input, program, size);
    input_size = size;
    (void)LLVMFuzzerTestOneInput(input, input_size);
}

static void what_was_found_is_mended(void)
{
    try_found(found_former_definition, sizeof(found_former_definition));
    try_found(found_more_names_than_numbers, sizeof(found_more_names_than_numbers));
}

static int try_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
    {
        fprintf(stderr, "%s: cannot be opened\n", path);
        return 2;
    }
    input_size = fread(input, 1, sizeof(input), file);
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(input, input_size);
    printf("%s: %zu bytes, nothing found\n", path, input_size);
    return 0;
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 2)
    {
        return try_file(arguments[1]);
    }
    if (argument_count != 1 && (argument_count != 4 || strcmp(arguments[1], "gateway") != 0))
    {
        fprintf(stderr, "usage: %s [FILE | gateway SECONDS SEED]\n", arguments[0]);
        return 2;
    }
    seed = argument_count == 4 ? strtoull(arguments[3], NULL, 0) : test_seed(11);
    (void)atexit(say_input);
    (void)signal(SIGALRM, take_too_long);
    if (__sanitizer_set_death_callback != NULL)
    {
        __sanitizer_set_death_callback(say_input);
    }
    if (argument_count == 4)
    {
        try_inputs(UINT64_MAX, strtoull(arguments[2], NULL, 0));
        return 0;
    }
    RUN(what_was_found_is_mended);
    RUN(hostile_programs_break_no_promise);
    return 0;
}

#endif
