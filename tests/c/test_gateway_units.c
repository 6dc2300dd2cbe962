/* What the gateway is made of, each alone: runs of messages, the throttle, the history of reports. Each agrees with a list that is kept
 * the simple way. */
#include "gateway_fixture.h"

static uint64_t seed;

/* ---- runs ---- */

#define RUNS 8u

static ome_runs_t runs_new(void **memory)
{
    ome_arena_t measure = {0};
    ome_runs_t runs;
    ome_runs_init(&runs, &measure, RUNS);
    ome_arena_t arena = {.memory = *memory = market_memory(measure.used_bytes)};
    ome_runs_init(&runs, &arena, RUNS);
    return runs;
}

/* Messages of three sessions are found as long as their runs are there, and answered in the order in which they were taken. */
static void runs_agree_with_a_list(void)
{
    enum
    {
        SESSIONS = 3,
        MOST = 4000
    };
    static struct
    {
        ome_run_t run;
        uint32_t numbers[5];
    } list[MOST + 1];
    void *memory;
    ome_runs_t runs = runs_new(&memory);
    uint64_t state = seed;
    uint64_t sequence = 100;
    uint64_t last[SESSIONS] = {0};
    uint32_t number[SESSIONS] = {0, UINT32_MAX - 500, 7}; /* the second goes round */
    uint64_t answered = 0;
    uint64_t made = 0;
    while (made < MOST)
    {
        if (ome_runs_is_full(&runs) || test_random(&state) % 2 == 0)
        {
            const uint64_t up_to = answered < made ? list[answered + 1].run.first_sequence + test_random(&state) % 8 : sequence;
            const ome_run_t *run;
            while ((run = ome_runs_answer(&runs, up_to)) != NULL)
            {
                answered++;
                CHECK(list[answered].run.first_sequence + list[answered].run.count - 1 <= up_to);
                CHECK_BYTES_EQUAL(run, &list[answered].run, sizeof(*run));
            }
            CHECK(answered == made || list[answered + 1].run.first_sequence + list[answered + 1].run.count - 1 > up_to);
            CHECK_EQUAL(ome_runs_waits(&runs, made), answered < made);
            continue;
        }
        const uint32_t session = (uint32_t)(test_random(&state) % SESSIONS);
        const uint32_t count = 1 + (uint32_t)(test_random(&state) % 5);
        sequence += 1 + test_random(&state) % 3;
        made++;
        list[made].run = (ome_run_t){.first_sequence = sequence,
            .previous = last[session],
            .first_number = ome_session_next_sequence(number[session]),
            .count = count,
            .session = (uint16_t)session,
            .participant = 1};
        for (uint32_t i = 0; i < count; i++)
        {
            list[made].numbers[i] = number[session] = ome_session_next_sequence(number[session]);
        }
        sequence += count - 1;
        CHECK_EQUAL(ome_runs_add(&runs, &list[made].run), made);
        last[session] = made;
        CHECK_EQUAL(ome_runs_is_full(&runs), made - answered == RUNS);
        for (uint64_t at = made > 40 ? made - 40 : 1; at <= made; at++)
        {
            const uint32_t its = list[at].run.session;
            for (uint32_t i = 0; i < list[at].run.count; i++)
            {
                const uint64_t found = ome_runs_find(&runs, last[its], list[at].numbers[i]);
                CHECK_EQUAL(found, at + RUNS > made ? list[at].run.first_sequence + i : 0);
            }
        }
        for (uint32_t i = 0; i < SESSIONS; i++)
        {
            CHECK_EQUAL(ome_runs_find(&runs, last[i], ome_session_next_sequence(number[i])), 0);
            CHECK_EQUAL(ome_runs_find(&runs, last[i], 0), 0);
        }
    }
    CHECK(number[1] < UINT32_MAX - 500);
    free(memory);
}

/* After 2^32 - 1 comes 1: no message has the number 0, and those behind it are found where they are. */
static void a_run_over_the_end_of_the_numbers_has_each_message_in_its_place(void)
{
    void *memory;
    ome_runs_t runs = runs_new(&memory);
    const ome_run_t run = {.first_sequence = 50, .first_number = UINT32_MAX - 1, .count = 5};
    const uint64_t last = ome_runs_add(&runs, &run);
    static const uint32_t numbers[5] = {UINT32_MAX - 1, UINT32_MAX, 1, 2, 3};
    for (uint32_t i = 0; i < 5; i++)
    {
        CHECK_EQUAL(ome_runs_find(&runs, last, numbers[i]), 50 + i);
    }
    CHECK_EQUAL(ome_runs_find(&runs, last, UINT32_MAX - 2), 0);
    CHECK_EQUAL(ome_runs_find(&runs, last, 4), 0);
    CHECK_EQUAL(ome_runs_find(&runs, 0, 1), 0);
    CHECK(ome_runs_answer(&runs, 53) == NULL);
    CHECK(ome_runs_answer(&runs, 54) != NULL);
    CHECK(ome_runs_answer(&runs, UINT64_MAX) == NULL);
    free(memory);
}

/* ---- the throttle ---- */

static ome_throttle_t throttle_new(void **memory, uint32_t rate, uint32_t in_flight)
{
    const ome_throttle_limits_t limits = {.message_rate_max = rate, .in_flight_max = in_flight};
    ome_arena_t measure = {0};
    ome_throttle_t throttle;
    ome_throttle_init(&throttle, &measure, 3, &limits);
    ome_arena_t arena = {.memory = *memory = market_memory(measure.used_bytes)};
    ome_throttle_init(&throttle, &arena, 3, &limits);
    return throttle;
}

#define SECOND UINT64_C(1000000000)

/* Never more than a second's messages at once, and in any time no more than that and what comes back in it; who waits gets all of it. */
static void a_participant_may_send_its_rate_and_no_more(void)
{
    static const uint32_t rates[] = {1, 3, 1000, 999983, UINT32_MAX};
    for (uint32_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
    {
        void *memory;
        ome_throttle_t throttle = throttle_new(&memory, rates[i], 0);
        const uint64_t start_ns = 77 * SECOND;
        uint64_t now_ns = start_ns;
        uint64_t taken = 0;
        uint64_t state = seed + i;
        for (uint32_t step = 0; step < 20000; step++)
        {
            const uint32_t wanted = 1 + (uint32_t)(test_random(&state) % 256);
            const uint32_t allowed = ome_throttle_allows(&throttle, 2, wanted, now_ns);
            CHECK(allowed <= wanted);
            ome_throttle_take(&throttle, 2, allowed);
            taken += allowed;
            const unsigned __int128 due = (unsigned __int128)(now_ns - start_ns) * rates[i];
            CHECK(taken <= rates[i] + (uint64_t)(due / SECOND));
            now_ns += test_random(&state) % (test_random(&state) % 50 == 0 ? SECOND : 2 * SECOND / (rates[i] < 500 ? rates[i] : 500));
            CHECK_EQUAL(ome_throttle_allows(&throttle, 1, 1, now_ns), 1); /* another one has its own */
        }
        const uint64_t due = (uint64_t)((unsigned __int128)(now_ns - start_ns) * rates[i] / SECOND);
        CHECK(rates[i] > 1000 || taken > due / 3);
        CHECK_EQUAL(ome_throttle_allows(&throttle, 2, UINT32_MAX, now_ns + SECOND), rates[i]);
        free(memory);
    }
}

static void a_participant_may_have_so_many_messages_without_an_answer(void)
{
    void *memory;
    ome_throttle_t throttle = throttle_new(&memory, 0, 10);
    CHECK_EQUAL(ome_throttle_allows(&throttle, 1, 6, 5), 6);
    ome_throttle_take(&throttle, 1, 6);
    CHECK_EQUAL(ome_throttle_allows(&throttle, 1, 6, 5), 4);
    ome_throttle_take(&throttle, 1, 4);
    CHECK_EQUAL(ome_throttle_allows(&throttle, 1, 6, 5 + 9 * SECOND), 0);
    CHECK_EQUAL(ome_throttle_allows(&throttle, 3, 6, 5), 6);
    ome_throttle_answer(&throttle, 1, 7);
    CHECK_EQUAL(ome_throttle_allows(&throttle, 1, 20, 5), 7);
    free(memory);
}

/* So many refusals in one second are too many as the rate, and 4,096 at least; with the next second they begin anew. */
static void who_goes_on_sending_what_is_refused_has_to_go(void)
{
    static const uint32_t rates[] = {1, 4096, 10000};
    for (uint32_t i = 0; i < 3; i++)
    {
        void *memory;
        ome_throttle_t throttle = throttle_new(&memory, rates[i], 0);
        const uint32_t most = rates[i] > 4096 ? rates[i] : 4096;
        for (uint64_t second = 3; second < 5; second++)
        {
            CHECK(!ome_throttle_refuse(&throttle, 1, most, second * SECOND));
            CHECK(ome_throttle_refuse(&throttle, 1, 1, second * SECOND + SECOND - 1));
            CHECK(!ome_throttle_refuse(&throttle, 2, 1, second * SECOND));
        }
        free(memory);
    }
}

/* ---- the history of reports ---- */

enum
{
    KEPT = 64,
    KEEPERS = 3
};

/* Whatever is overwritten, the reports of each session in memory are its newest, linked in order both ways, and a session that began anew
 * has none of those before. */
static void the_history_has_the_newest_reports_of_each_session(void)
{
    ome_arena_t measure = {0};
    ome_session_table_t table;
    ome_report_history_t history;
    ome_session_table_init(&table, &measure, KEEPERS, 0, 1);
    ome_report_history_init(&history, &measure, KEPT);
    ome_arena_t arena = {.memory = market_memory(measure.used_bytes)};
    ome_session_table_init(&table, &arena, KEEPERS, 0, 1);
    ome_report_history_init(&history, &arena, KEPT);
    static uint16_t owners[20001]; /* by number; 0: of one that is forgotten */
    uint64_t counts[KEEPERS + 1] = {0};
    uint64_t state = seed;
    uint32_t one = 1;
    for (uint64_t made = 1; made <= 20000; made++)
    {
        one = test_random(&state) % 100 == 0 ? 1 + (uint32_t)(test_random(&state) % KEEPERS) : one; /* for a while all are one's */
        const uint16_t session = (uint16_t)(test_random(&state) % 3 == 0 ? 1 + test_random(&state) % KEEPERS : one);
        if (test_random(&state) % 500 == 0)
        {
            table.sessions[session] = (ome_session_slot_t){0};
            counts[session] = 0;
            for (uint64_t i = 1; i < made; i++)
            {
                owners[i] = owners[i] == session ? 0 : owners[i];
            }
        }
        const ome_execution_report_t report = {.report_sequence = ++counts[session], .engine_sequence = made / 3, .session = session};
        CHECK_EQUAL(ome_report_history_add(&history, &table, session, &report, made), made);
        owners[made] = session;
        const uint64_t oldest = made > KEPT ? made - KEPT + 1 : 1;
        CHECK_EQUAL(ome_report_history_has(&history, oldest), true);
        CHECK_EQUAL(ome_report_history_has(&history, oldest - 1), false);
        CHECK_EQUAL(ome_report_history_covers(&history, oldest / 3), made <= KEPT);
        CHECK(ome_report_history_covers(&history, oldest / 3 + 1));
        for (uint16_t its = 1; its <= KEEPERS; its++)
        {
            uint64_t at = table.sessions[its].first_kept;
            uint64_t before = 0;
            for (uint64_t i = oldest; i <= made; i++)
            {
                if (owners[i] != its)
                {
                    continue;
                }
                CHECK_EQUAL(at, i);
                const ome_kept_report_t *kept = ome_report_history_at(&history, at);
                CHECK_EQUAL(kept->report.session, its);
                const uint64_t previous = ome_report_history_previous(&history, at);
                CHECK_EQUAL(kept->copy, at);
                CHECK(before == 0 ? !ome_report_history_has(&history, previous) : previous == before);
                before = at;
                at = ome_report_history_next(&history, at);
            }
            CHECK_EQUAL(at, 0);
            CHECK_EQUAL(table.sessions[its].last_kept, before);
        }
    }
    free(arena.memory);
}

int main(void)
{
    seed = test_seed(17);
    RUN(runs_agree_with_a_list);
    RUN(a_run_over_the_end_of_the_numbers_has_each_message_in_its_place);
    RUN(a_participant_may_send_its_rate_and_no_more);
    RUN(a_participant_may_have_so_many_messages_without_an_answer);
    RUN(who_goes_on_sending_what_is_refused_has_to_go);
    RUN(the_history_has_the_newest_reports_of_each_session);
    return 0;
}
