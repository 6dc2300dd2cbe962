/* The venue opened and its stages stepped by hand: stamps, the gate, groups, bounds, time. */
#include "base/ome_clock.h"
#include "venue_fixture.h"

/* ---- opening ---- */

/* What is outside its limits is refused, with and without a journal, and nothing stays behind. */
static void a_venue_is_opened_only_with_a_good_configuration(void)
{
    const directory_t directory = directory_new();
    for (uint32_t has_journal = 0; has_journal < 2; has_journal++)
    {
        const plan_t good = {.policy = has_journal ? OME_POLICY_COMMIT : OME_POLICY_MEMORY,
            .ring_slot_count = 16,
            .stream_slot_count = 16,
            .reader_count = 1,
            .wait_strategy = OME_WAIT_BLOCK,
            .directory = has_journal ? directory.path : NULL};
        ome_venue_t *venue = NULL;
        plan_t bad[10] = {good, good, good, good, good, good, good, good, good, good};
        bad[0].policy = 0;
        bad[1].policy = OME_POLICY_MEMORY + 1;
        bad[2].ring_slot_count = 0;
        bad[3].ring_slot_count = 17;
        bad[4].stream_slot_count = 0;
        bad[5].stream_slot_count = 24;
        bad[6].reader_count = 0;
        bad[7].reader_count = OME_RING_CONSUMER_COUNT_MAX + 1;
        bad[8].wait_strategy = 0;
        bad[9].wait_strategy = OME_WAIT_BLOCK + 1;
        for (uint32_t i = 0; i < 10; i++)
        {
            CHECK_EQUAL(venue_try(&bad[i], &venue), OME_INVALID);
            CHECK(venue == NULL);
        }
        CHECK_EQUAL(venue_try(&good, &venue), OME_OK);
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK); /* without a start */
    }
    directory_remove(&directory);
}

/* No commands, or more than the ring has slots, are refused; as many as it has are taken. */
static void a_submission_has_one_command_to_as_many_as_the_ring_has(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 64, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    ome_command_t commands[17] = {0};
    CHECK_EQUAL(ome_venue_submit(venue, commands, 0), OME_INVALID);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 17), OME_INVALID);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 16), OME_OK);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_FULL);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 16);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* A command is stamped when it is sequenced; the rest of its body arrives as it was. */
static void a_submitted_command_is_stamped_and_otherwise_unchanged(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 16, 16, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    ome_command_t command;
    memset(&command, 0x5A, sizeof(command));
    const uint64_t before_ns = ome_clock_realtime_ns();
    CHECK_EQUAL(ome_venue_submit(venue, &command, 1), OME_OK);
    const ome_command_t *slot = ome_ring_slot(venue->ring, 1);
    CHECK_EQUAL(slot->sequence, 1);
    CHECK(slot->timestamp_ns >= before_ns);
    CHECK(slot->timestamp_ns <= ome_clock_realtime_ns());
    CHECK_BYTES_EQUAL((const uint8_t *)slot + 16, (const uint8_t *)&command + 16, sizeof(command) - 16);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* ---- stages by hand ---- */

/* Under `commit` an event is read after its command is on disk and not before; under the other policies at once. */
static void nothing_is_published_before_the_gate_opens(void)
{
    for (uint8_t policy = OME_POLICY_COMMIT; policy <= OME_POLICY_MEMORY; policy++)
    {
        const directory_t directory = directory_new();
        const plan_t plan = {policy, 16, 64, 1, OME_WAIT_BLOCK, policy != OME_POLICY_MEMORY ? directory.path : NULL};
        ome_venue_t *venue = venue_open(&plan);
        ome_event_t events[8];
        submit_definitions(venue);
        CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
        CHECK_EQUAL(ome_stream_published(venue->stream), 2);
        if (policy == OME_POLICY_COMMIT)
        {
            CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 1000000), 0);
            CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
            CHECK_EQUAL(ome_published_limit(&venue->published), 2);
            /* Two more are matched and wait; only what is on disk is read. */
            const ome_command_t orders[2] = {limit_order(OME_SIDE_BUY, 10, 1, 1), limit_order(OME_SIDE_BUY, 10, 1, 2)};
            CHECK_EQUAL(ome_venue_submit(venue, orders, 2), OME_OK);
            CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
        }
        CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 1000000), 2);
        CHECK_EQUAL(events[0].sequence, 1);
        CHECK_EQUAL(events[1].sequence, 2);
        CHECK_EQUAL(events[1].kind, OME_EVENT_KIND_DEFINED);
        CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 0), 0);
        CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
        directory_remove(&directory);
    }
}

/* The journal may be ahead of the matcher, too: then there is nothing to say yet. */
static void a_command_on_disk_is_published_when_it_is_matched(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 16, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_event_t events[8];
    submit_definitions(venue);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(ome_published_limit(&venue->published), 2);
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 1000000), 0);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 2);
    CHECK_EQUAL(ome_venue_read(venue, "first", events, 8, 0), 2);
    CHECK_EQUAL(ome_journal_stage_do_work(&venue->journal_stage), 0);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 0);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* Under `async` a group is written at once and synced when it is large, when its oldest has waited, or when nothing more is there. */
static void an_async_group_is_synced_when_it_is_large_or_old_or_the_stream_is_idle(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_ASYNC, 128, 256, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_journal_stage_t *stage = &venue->journal_stage;
    ome_command_t commands[128] = {0};
    stage->delay_ns = LONG_NS;
    CHECK_EQUAL(stage->batch_count, 64);
    commands[0] = define_limits(&standard_limits);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 10), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 10);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 10);
    CHECK_EQUAL(ome_published_limit(&venue->published), UINT64_MAX);
    CHECK_EQUAL(counter_of(venue, OME_COUNT_DURABLE), 0);
    CHECK(ome_journal_stage_do_work(stage) > 0);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 0); /* idle */
    CHECK_EQUAL(counter_of(venue, OME_COUNT_DURABLE), 10);
    CHECK_EQUAL(counter_of(venue, OME_COUNT_COMMITS), 1);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 0);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 63), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 63);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 63);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 2);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 0); /* large */
    stage->delay_ns = 0;
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_journal_stage_do_work(stage), 2);
    CHECK_EQUAL(ome_journal_stage_unsynced_count(stage), 0); /* old */
    CHECK_EQUAL(counter_of(venue, OME_COUNT_COMMITS), 3);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* A command of several records lies in one segment whole: a process that dies between two writes leaves all of it or nothing. */
static void a_command_of_several_records_is_in_one_segment(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 1024, 2048, 1, OME_WAIT_BLOCK, directory.path};
    const uint32_t room = (OME_JOURNAL_SEGMENT_SIZE_MIN - OME_JOURNAL_HEADER_SIZE - OME_JOURNAL_SEAL_SIZE) / OME_JOURNAL_COMMAND_SIZE;
    ome_venue_t *venue = venue_open(&plan);
    ome_journal_writer_t *writer = venue->journal_stage.writer;
    static ome_command_t commands[1024];
    commands[0] = define_limits(&standard_limits);
    CHECK_EQUAL(ome_venue_submit(venue, commands, room - 1), OME_OK);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(writer->segment_first_sequence, 1); /* one record more fits */
    ome_command_t order[2] = {
        {.kind = OME_COMMAND_KIND_NEW_ORDER, .flags = OME_COMMAND_FLAGS_CONTINUED}, {.kind = OME_COMMAND_KIND_ORDER_TERMS}};
    CHECK_EQUAL(ome_venue_submit(venue, order, 2), OME_OK);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(writer->segment_first_sequence, room);
    CHECK_EQUAL(writer->durable_sequence, room + 1);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* A slot of the ring is free for producers when both the matcher and the journal are done with it. */
static void the_ring_is_held_back_by_the_matcher_and_the_journal(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 16, 64, 1, OME_WAIT_BLOCK, directory.path};
    ome_venue_t *venue = venue_open(&plan);
    ome_command_t commands[16] = {0};
    commands[0] = define_limits(&standard_limits);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 16), OME_OK);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 16);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_FULL);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 16), OME_OK);
    CHECK(ome_journal_stage_do_work(&venue->journal_stage) > 0);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_FULL);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 16);
    CHECK_EQUAL(ome_venue_submit(venue, commands, 1), OME_OK);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

/* The matcher takes commands in batches of at most OME_MATCH_BATCH_COUNT, and its events cross the wrap of a stream that is smaller. */
static void a_batch_of_the_matcher_is_bounded(void)
{
    const plan_t plan = {OME_POLICY_MEMORY, 1024, 1024, 1, OME_WAIT_BLOCK, NULL};
    ome_venue_t *venue = venue_open(&plan);
    static ome_command_t commands[OME_MATCH_BATCH_COUNT + 44];
    CHECK_EQUAL(ome_venue_submit(venue, commands, OME_MATCH_BATCH_COUNT + 44), OME_OK);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), OME_MATCH_BATCH_COUNT);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 44);
    CHECK_EQUAL(ome_match_stage_do_work(&venue->match_stage), 0);
    CHECK_EQUAL(ome_stream_published(venue->stream), OME_MATCH_BATCH_COUNT + 44);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
}

/* ---- time ---- */

/* What is submitted has the venue's time, whatever the machine's clock says; after a restart the time goes on from
 * there, and says how far it is from the clock. */
static void a_submitted_command_has_the_time_of_the_venue(void)
{
    const directory_t directory = directory_new();
    const plan_t plan = {OME_POLICY_COMMIT, 64, 256, 1, OME_WAIT_BLOCK, directory.path};
    const uint64_t hour_ns = UINT64_C(3600000000000);
    ome_venue_t *venue = venue_open(&plan);
    ome_venue_clock_view_t view;
    ome_venue_accept_clock(venue, ome_clock_steady_ns(), ome_clock_realtime_ns() + hour_ns, &view);
    CHECK(!view.is_held);
    CHECK_EQUAL(view.difference_ns, 0);
    const uint64_t before_ns = view.time_ns;
    reader_t reader;
    reader_start(&reader, venue, 0, 0, &nothing);
    CHECK_EQUAL(ome_venue_start(venue), OME_OK);
    submit_definitions(venue);
    ome_venue_follow_clock(venue, ome_clock_steady_ns(), ome_clock_realtime_ns(), &view);
    CHECK(view.is_held);
    CHECK_EQUAL(view.jump_count, 1);
    CHECK(view.difference_ns < 0);
    const ome_counters_t *counters = &venue->counters;
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(counters, OME_COUNT_CLOCK_HELD)), 1);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(counters, OME_COUNT_CLOCK_BEHIND)), (uint64_t)-view.difference_ns);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(counters, OME_COUNT_CLOCK_AHEAD)), 0);
    ome_venue_stop(venue);
    CHECK_EQUAL(pthread_join(reader.thread, NULL), 0);
    const uint64_t last_ns = ome_venue_engine(venue)->time_ns;
    CHECK(last_ns >= before_ns && last_ns < ome_clock_realtime_ns() + hour_ns + hour_ns);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    venue = venue_open(&plan);
    CHECK(ome_venue_clock_now_ns(&venue->clock) >= last_ns);
    CHECK_EQUAL(ome_counter_get(ome_counters_counter(&venue->counters, OME_COUNT_CLOCK_HELD)), 1);
    CHECK_EQUAL(ome_venue_destroy(venue), OME_OK);
    directory_remove(&directory);
}

int main(void)
{
    RUN(a_venue_is_opened_only_with_a_good_configuration);
    RUN(a_submission_has_one_command_to_as_many_as_the_ring_has);
    RUN(a_submitted_command_is_stamped_and_otherwise_unchanged);
    RUN(nothing_is_published_before_the_gate_opens);
    RUN(a_command_on_disk_is_published_when_it_is_matched);
    RUN(an_async_group_is_synced_when_it_is_large_or_old_or_the_stream_is_idle);
    RUN(a_command_of_several_records_is_in_one_segment);
    RUN(the_ring_is_held_back_by_the_matcher_and_the_journal);
    RUN(a_batch_of_the_matcher_is_bounded);
    RUN(a_submitted_command_has_the_time_of_the_venue);
    return 0;
}
