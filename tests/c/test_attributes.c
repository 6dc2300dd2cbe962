/* Order attributes: what the engine says about them and keeps of them, for each attribute of the schema. */
#include "abi/ome_attributes.h"
#include "engine_fixture.h"
#include "snapshot_fixture.h"

static const uint8_t no_flags = 0;

static void expect_attributes(const market_t *market, uint64_t from_end, uint64_t client_order_id, const uint32_t *values)
{
    const ome_event_t *event = event_from_end(market, from_end);
    uint32_t found[OME_ATTRIBUTE_ROOM];
    memcpy(found, (const uint8_t *)event + offsetof(ome_event_t, price), sizeof(found));
    CHECK_EQUAL(event->kind, OME_EVENT_KIND_ATTRIBUTES);
    CHECK_EQUAL(event->client_order_id, client_order_id);
    CHECK_EQUAL(event->flags, no_flags);
    for (uint32_t i = 0; i < OME_ATTRIBUTE_ROOM; i++)
    {
        CHECK_EQUAL(found[i], i < OME_ATTRIBUTE_COUNT ? values[i] : 0);
    }
}

/* A record that gives every attribute its largest value, and these values. */
static ome_command_t every_attribute(uint32_t values[OME_ATTRIBUTE_COUNT])
{
    ome_command_t terms = {.kind = OME_COMMAND_KIND_ORDER_TERMS};
    CHECK(OME_ATTRIBUTE_COUNT <= 3);
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        (&terms.term_1)[i] = OME_ATTRIBUTES[i].term;
        (&terms.value_1)[i] = OME_ATTRIBUTES[i].value_max;
        values[i] = OME_ATTRIBUTES[i].value_max;
    }
    return terms;
}

static void attributes_are_said_right_after_the_order_was_accepted(void)
{
    market_t market = simple_market();
    uint32_t values[OME_ATTRIBUTE_COUNT];
    const ome_command_t terms = every_attribute(values);
    apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), terms, 2);
    expect(&market, 2, OME_EVENT_KIND_ACCEPTED, 1, 100, 5, 0, OME_EVENT_FLAGS_RESTS);
    expect_attributes(&market, 1, 1, values);
    apply_with(&market, limit_order(OME_SIDE_BUY, 100, 5, 2), terms, 3);
    expect_attributes(&market, 2, 2, values);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_TRADE);
    CHECK_EQUAL(market.engine->pools.specials.record_count, 0);
    market_free(&market);
}

static void an_attribute_alone_says_nothing_of_the_others(void)
{
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        market_t market = simple_market();
        uint32_t values[OME_ATTRIBUTE_COUNT] = {0};
        values[i] = 1;
        apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), order_terms(OME_ATTRIBUTES[i].term, 1), 2);
        expect_attributes(&market, 1, 1, values);
        market_free(&market);
    }
}

static void a_value_out_of_range_is_a_bad_term(void)
{
    market_t market = simple_market();
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        const int64_t bad[] = {0, -1, (int64_t)OME_ATTRIBUTES[i].value_max + 1, INT64_MAX, INT64_MIN};
        for (uint32_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        {
            apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), order_terms(OME_ATTRIBUTES[i].term, bad[k]), 1);
            CHECK_EQUAL(last_reason(&market), OME_REASON_BAD_TERM);
        }
    }
    market_free(&market);
}

static void an_amend_cannot_change_an_attribute(void)
{
    market_t market = simple_market();
    apply(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), 1);
    for (uint32_t i = 0; i < OME_ATTRIBUTE_COUNT; i++)
    {
        apply_with(&market, amend_order(1, 101, OME_NULL_VALUE), order_terms(OME_ATTRIBUTES[i].term, 1), 1);
        CHECK_EQUAL(last_reason(&market), OME_REASON_BAD_TERM);
    }
    market_free(&market);
}

static void a_stop_keeps_its_attributes_when_it_has_triggered(void)
{
    market_t market = simple_market();
    uint32_t values[OME_ATTRIBUTE_COUNT];
    ome_command_t terms = every_attribute(values);
    ome_command_t stop =
        with_flags(with_type(limit_order(OME_SIDE_BUY, 100, 5, 1), OME_ORDER_TYPE_STOP_LIMIT), OME_COMMAND_FLAGS_CONTINUED);
    apply(&market, stop, 0);
    apply(&market, with_flags(order_terms(OME_TERM_STOP_PRICE, 90), OME_COMMAND_FLAGS_CONTINUED), 0);
    apply(&market, terms, 3);
    expect(&market, 3, OME_EVENT_KIND_ACCEPTED, 1, 100, 5, 0, OME_EVENT_FLAGS_WAITING);
    expect_attributes(&market, 2, 1, values);
    expect_stop_set(&market, 1, 1, 90, 5, OME_ORDER_TYPE_STOP_LIMIT);
    apply(&market, last_price(95), 3);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_RESTED);
    const ome_special_t *special = &market.engine->pools.specials.records[1];
    CHECK_BYTES_EQUAL(special->attributes, values, sizeof(values));
    market_free(&market);
}

static void an_order_with_attributes_takes_one_of_the_special_records(void)
{
    ome_limits_t limits = standard_limits;
    limits.special_count_max = 1;
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), order_terms(OME_ATTRIBUTES[0].term, 1), 2);
    apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 2), order_terms(OME_ATTRIBUTES[0].term, 1), 1);
    CHECK_EQUAL(last_reason(&market), OME_REASON_SPECIAL_LIMIT_REACHED);
    market_free(&market);
}

/* As simple_market, of an engine that follows this version of the rules. */
static market_t market_of_version(uint32_t rules_version)
{
    ome_limits_t limits = standard_limits;
    limits.rules_version = rules_version;
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    return market;
}

static uint32_t version_of(const ome_engine_t *engine)
{
    bytes_t bytes = snapshot_of(engine);
    ome_status_t status;
    ome_engine_t *restored = restore(&bytes, &status);
    const uint32_t version = ((const ome_snapshot_header_t *)(const void *)bytes.data)->version;
    CHECK_EQUAL(status, OME_OK);
    CHECK_EQUAL(ome_engine_state_hash(restored), ome_engine_state_hash(engine));
    CHECK(ome_engine_check(restored) == NULL);
    free(restored);
    free(bytes.data);
    return version;
}

static void a_snapshot_has_the_lowest_version_that_holds_its_state(void)
{
    market_t newest = simple_market();
    CHECK_EQUAL(version_of(newest.engine), OME_SNAPSHOT_VERSION_ACCOUNTS);
    market_free(&newest);
    market_t with_sessions = market_of_version(OME_RULES_VERSION_SESSIONS);
    CHECK_EQUAL(version_of(with_sessions.engine), OME_SNAPSHOT_VERSION_RULES);
    market_free(&with_sessions);
    market_t market = market_of_version(0);
    apply_with(&market, limit_order(OME_SIDE_SELL, 100, 5, 1), order_terms(OME_TERM_DISPLAY_QUANTITY, 2), 2);
    apply(&market, with_flags(limit_order(OME_SIDE_BUY, 90, 5, 2), OME_COMMAND_FLAGS_CONTINUED), 0);
    CHECK_EQUAL(version_of(market.engine), OME_SNAPSHOT_VERSION_PLAIN);
    apply(&market, with_flags(order_terms(OME_ATTRIBUTES[0].term, 1), OME_COMMAND_FLAGS_CONTINUED), 0);
    CHECK_EQUAL(version_of(market.engine), OME_SNAPSHOT_VERSION_ATTRIBUTES);
    apply(&market, order_terms(OME_TERM_NONE, 0), 2);
    CHECK_EQUAL(version_of(market.engine), OME_SNAPSHOT_VERSION_ATTRIBUTES);
    apply(&market, cancel_order(2), 1);
    CHECK_EQUAL(version_of(market.engine), OME_SNAPSHOT_VERSION_PLAIN);
    market_free(&market);
}

static void an_order_restored_from_a_snapshot_has_all_its_attributes(void)
{
    for (uint32_t i = 0; i < 4; i++)
    {
        const uint32_t waits = i % 2;
        const uint32_t rules_version = i / 2;
        market_t market = market_of_version(rules_version);
        uint32_t values[OME_ATTRIBUTE_COUNT];
        const ome_command_t terms = every_attribute(values);
        const uint8_t type = waits ? OME_ORDER_TYPE_STOP_LIMIT : OME_ORDER_TYPE_LIMIT;
        apply(&market, with_flags(with_type(limit_order(OME_SIDE_BUY, 100, 5, 1), type), OME_COMMAND_FLAGS_CONTINUED), 0);
        apply(&market, with_flags(order_terms(waits ? OME_TERM_STOP_PRICE : OME_TERM_NONE, waits * 90), OME_COMMAND_FLAGS_CONTINUED), 0);
        apply(&market, terms, 2 + waits * rules_version);
        CHECK_EQUAL(version_of(market.engine), rules_version == 0 ? OME_SNAPSHOT_VERSION_ATTRIBUTES : OME_SNAPSHOT_VERSION_RULES);
        bytes_t bytes = snapshot_of(market.engine);
        ome_status_t status;
        ome_engine_t *restored = restore(&bytes, &status);
        CHECK_EQUAL(status, OME_OK);
        CHECK_BYTES_EQUAL(restored->pools.specials.records[1].attributes, values, sizeof(values));
        free(restored);
        free(bytes.data);
        market_free(&market);
    }
}

int main(void)
{
    RUN(attributes_are_said_right_after_the_order_was_accepted);
    RUN(an_attribute_alone_says_nothing_of_the_others);
    RUN(a_value_out_of_range_is_a_bad_term);
    RUN(an_amend_cannot_change_an_attribute);
    RUN(a_stop_keeps_its_attributes_when_it_has_triggered);
    RUN(an_order_with_attributes_takes_one_of_the_special_records);
    RUN(a_snapshot_has_the_lowest_version_that_holds_its_state);
    RUN(an_order_restored_from_a_snapshot_has_all_its_attributes);
    return 0;
}
