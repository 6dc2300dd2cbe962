/* Questions to the match thread: answered between two batches, withdrawn where it does not come to them, and never in the way of commands. */
#include "venue_fixture.h"

/* What a question of these tests finds. */
typedef struct
{
    uint64_t sequence;
    uint64_t order_count;
    uint64_t quantity;
    uint32_t call_count;
} seen_t;

/* Reads the orders of participant 0 as an answer does. */
static void look_at_orders(ome_engine_t *engine, void *context)
{
    seen_t *seen = context;
    ome_order_pool_t *pool = &engine->pools.orders;
    seen->sequence = engine->sequence;
    seen->order_count = seen->quantity = 0;
    seen->call_count++;
    for (uint32_t slot = ome_order_pool_next_of(pool, 0, 0); slot != 0; slot = ome_order_pool_next_of(pool, 0, slot))
    {
        ome_order_view_t order;
        CHECK_EQUAL(ome_engine_order(engine, ome_order_id(pool, slot), &order), OME_OK);
        CHECK(order.leaves_quantity > 0);
        seen->order_count++;
        seen->quantity += (uint64_t)order.leaves_quantity;
    }
}

/* ---- by hand ---- */

static void a_question_is_answered_before_the_batch_that_comes_next(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 512, 1024, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    seen_t seen = {0};
    submit_definitions(venue);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
    for (uint64_t i = 1; i <= 300; i++)
    {
        const ome_command_t order = limit_order(OME_SIDE_BUY, 10, 1, i);
        CHECK_EQUAL(ome_venue_submit(venue, &order, 1), OME_OK);
    }
    ome_query_post(&venue->query, look_at_orders, &seen);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), OME_MATCH_BATCH_COUNT);
    CHECK_EQUAL(ome_query_take(&venue->query, 0), OME_OK);
    CHECK_EQUAL(seen.sequence, 2);
    CHECK_EQUAL(seen.order_count, 0);
    ome_query_post(&venue->query, look_at_orders, &seen);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 302 - 2 - OME_MATCH_BATCH_COUNT);
    CHECK_EQUAL(ome_query_take(&venue->query, 0), OME_OK);
    CHECK_EQUAL(seen.sequence, 2 + OME_MATCH_BATCH_COUNT);
    CHECK_EQUAL(seen.order_count, standard_limits.order_count_max); /* the others were refused */
    CHECK_EQUAL(seen.call_count, 2);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

static void an_idle_match_stage_answers_too(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 16, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    seen_t seen = {0};
    ome_query_post(&venue->query, look_at_orders, &seen);
    ome_match_stage_wait(&venue->match_stage, LONG_NS); /* comes back at once */
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 0);
    CHECK_EQUAL(ome_query_take(&venue->query, 0), OME_OK);
    CHECK_EQUAL(seen.call_count, 1);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

static void a_question_is_withdrawn_where_nobody_answers(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 16, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    seen_t seen = {0};
    CHECK_EQUAL(ome_venue_ask(venue, look_at_orders, &seen, 1000000), OME_EMPTY);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 0);
    CHECK_EQUAL(seen.call_count, 0);
    ome_query_post(&venue->query, look_at_orders, &seen);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 0);
    CHECK_EQUAL(ome_query_take(&venue->query, 0), OME_OK);
    CHECK_EQUAL(seen.call_count, 1);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* ---- with threads ---- */

/* Answers are about later and later states, and what they show is what the journal gives; asking changes nothing of the state. */
static void questions_are_answered_while_commands_come(void)
{
    static const uint32_t waits[] = {OME_WAIT_BLOCK, OME_WAIT_YIELD};
    for (uint32_t round = 0; round < 2; round++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {OME_POLICY_COMMIT, 256, 512, 1, waits[round], directory.path};
        submitter_t submitters[SUBMITTER_COUNT];
        reader_t reader;
        ome_venue_t *venue = venue_open(&plan);
        seen_t seen = {0};
        uint64_t last_sequence = 0;
        uint64_t held_count = 0;
        reader_start(&reader, venue, 0, 0, &nothing);
        CHECK_EQUAL(ome_venue_start(venue), OME_OK);
        submit_definitions(venue);
        submitters_start(submitters, venue, 200 * LOAD, 16);
        for (uint32_t i = 0; i < 100 * LOAD; i++)
        {
            CHECK_EQUAL(ome_venue_ask(venue, look_at_orders, &seen, LONG_NS), OME_OK);
            CHECK(seen.sequence >= last_sequence);
            last_sequence = seen.sequence;
            held_count += seen.sequence > ome_published_limit(&venue->published);
            while (seen.sequence > ome_published_limit(&venue->published)) /* every answer may be spoken of some time */
            {
                sched_yield();
            }
        }
        (void)submitters_join(submitters);
        CHECK_EQUAL(seen.call_count, 100 * LOAD);
        CHECK_EQUAL(ome_venue_ask(venue, look_at_orders, &seen, LONG_NS), OME_OK);
        ome_venue_stop(venue);
        CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
        CHECK_EQUAL(ome_venue_ask(venue, look_at_orders, &seen, LONG_NS), OME_STOPPED);
        const uint64_t hash = ome_engine_state_hash(ome_venue_engine(venue));
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
        ome_replay_t *replay = replay_to_end(directory.path);
        CHECK_EQUAL(ome_engine_state_hash(replay->engine), hash);
        seen_t replayed = {0};
        look_at_orders(replay->engine, &replayed);
        CHECK(seen.sequence <= replayed.sequence);
        CHECK(seen.sequence < replayed.sequence || (seen.order_count == replayed.order_count && seen.quantity == replayed.quantity));
        ome_replay_destroy(replay);
        directory_remove(&directory);
        printf("   %" PRIu64 " answers had to wait for the gate\n", held_count);
    }
}

/* While nobody reads its events the match thread waits for room, and comes to no question: that is withdrawn, and the next one is answered. */
static void a_match_thread_that_waits_for_its_readers_answers_later(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 16, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    seen_t seen = {0};
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    for (uint32_t busy_in_a_row = 0; busy_in_a_row < 50;)
    {
        busy_in_a_row = ome_venue_submit(venue, &(ome_command_t){0}, 1) == OME_FULL ? busy_in_a_row + 1 : 0;
    }
    CHECK_EQUAL(ome_venue_ask(venue, look_at_orders, &seen, 5000000), OME_EMPTY);
    CHECK_EQUAL(seen.call_count, 0);
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_ask(venue, look_at_orders, &seen, LONG_NS), OME_OK);
    CHECK_EQUAL(seen.call_count, 1);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* A short time over and over: some questions are answered, some withdrawn, and each is the one or the other. */
static void a_question_that_is_withdrawn_is_never_answered(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 64, 128, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    submitter_t submitters[SUBMITTER_COUNT];
    reader_t reader;
    seen_t seen = {0};
    uint32_t answered_count = 0;
    reader_start(&reader, venue, 0, 100, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    submitters_start(submitters, venue, 100 * LOAD, 16);
    for (uint32_t i = 0; i < 200 * LOAD; i++)
    {
        const ome_status_t status = ome_venue_ask(venue, look_at_orders, &seen, i % 20000);
        CHECK(status == OME_OK || status == OME_EMPTY);
        answered_count += status == OME_OK;
        CHECK_EQUAL(seen.call_count, answered_count);
    }
    (void)submitters_join(submitters);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

int main(void)
{
    seed = test_seed(21);
    RUN(a_question_is_answered_before_the_batch_that_comes_next);
    RUN(an_idle_match_stage_answers_too);
    RUN(a_question_is_withdrawn_where_nobody_answers);
    RUN(questions_are_answered_while_commands_come);
    RUN(a_match_thread_that_waits_for_its_readers_answers_later);
    RUN(a_question_that_is_withdrawn_is_never_answered);
    return 0;
}
