/* Accounts that belong to participants: who may use which, and what becomes of that when names, numbers and limits change. */
#include "engine_fixture.h"
#include "ome.h"
#include "snapshot_fixture.h"

static ome_command_t order_for(uint32_t account, uint16_t participant, uint16_t session)
{
    static uint64_t client_order_id = 0;
    ome_command_t command = limit_order(OME_SIDE_BUY, 100, 1, ++client_order_id);
    command.time_in_force = OME_TIME_IN_FORCE_IOC;
    command.account = account;
    command.participant = participant;
    command.session = session;
    return command;
}

/* On the plain path, and with an option on the general one. */
static void accept_order(market_t *market, uint32_t account, uint16_t participant, uint16_t session)
{
    ome_command_t with_option = order_for(account, participant, session);
    with_option.self_trade_prevention = OME_SELF_TRADE_PREVENTION_CANCEL_NEWEST;
    apply(market, order_for(account, participant, session), 2);
    apply(market, with_option, 2);
}

static void refuse_order(market_t *market, uint32_t account, uint16_t participant, uint16_t session, uint8_t reason)
{
    ome_command_t with_option = order_for(account, participant, session);
    with_option.self_trade_prevention = OME_SELF_TRADE_PREVENTION_CANCEL_NEWEST;
    apply_rejected(market, order_for(account, participant, session), reason);
    CHECK_EQUAL(event_from_end(market, 1)->account, account);
    apply_rejected(market, with_option, reason);
}

/* A participant has the number of its name: FIRM1 1, FIRM2 2. */
static market_t market_of_two(uint32_t limit_flags)
{
    ome_limits_t limits = standard_limits;
    limits.limit_flags = limit_flags;
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    apply(&market, define_session(1, 1, "FIRM1", 0), 1);
    apply(&market, define_session(2, 2, "FIRM2", 0), 1);
    return market;
}

static void define(market_t *market, uint32_t account, const char *name)
{
    apply(market, define_account(account, name), 1);
    CHECK_EQUAL(event_from_end(market, 1)->kind, OME_EVENT_KIND_DEFINED);
    CHECK(ome_engine_check(market->engine) == NULL);
}

/* Rule D9. */
static void an_account_is_used_by_its_participant_alone(void)
{
    market_t market = market_of_two(0);
    accept_order(&market, 7, 2, 2);
    define(&market, 7, "FIRM1");
    accept_order(&market, 7, 1, 1);
    accept_order(&market, 7, 1, 0); /* for the participant, by the embedder */
    refuse_order(&market, 7, 2, 2, OME_REASON_ACCOUNT_NOT_OWNED);
    refuse_order(&market, 7, 0, 0, OME_REASON_ACCOUNT_NOT_OWNED);
    refuse_order(&market, 7, 5, 0, OME_REASON_ACCOUNT_NOT_OWNED);
    refuse_order(&market, 7, UINT16_MAX, 0, OME_REASON_ACCOUNT_NOT_OWNED);
    accept_order(&market, 0, 2, 2);
    accept_order(&market, 8, 2, 2);
    ome_command_t elsewhere = order_for(7, 2, 2);
    elsewhere.instrument = 9;
    apply_rejected(&market, elsewhere, OME_REASON_ACCOUNT_NOT_OWNED); /* before the instrument is looked at */
    elsewhere.session = 1;
    apply_rejected(&market, elsewhere, OME_REASON_UNKNOWN_SESSION);
    market_free(&market);
}

static void where_accounts_are_restricted_an_unknown_one_is_refused(void)
{
    market_t market = market_of_two(OME_LIMIT_FLAGS_ACCOUNTS_RESTRICTED);
    refuse_order(&market, 8, 2, 2, OME_REASON_UNKNOWN_ACCOUNT);
    accept_order(&market, 0, 2, 2);
    define(&market, 8, "FIRM2");
    accept_order(&market, 8, 2, 2);
    refuse_order(&market, 8, 1, 1, OME_REASON_ACCOUNT_NOT_OWNED);
    define(&market, 8, "");
    refuse_order(&market, 8, 2, 2, OME_REASON_UNKNOWN_ACCOUNT);
    market_free(&market);
}

static void an_account_goes_to_another_participant_and_to_nobody(void)
{
    market_t market = market_of_two(0);
    define(&market, 7, "FIRM1");
    define(&market, 8, "FIRM1");
    define(&market, 7, "FIRM2");
    accept_order(&market, 7, 2, 2);
    refuse_order(&market, 7, 1, 1, OME_REASON_ACCOUNT_NOT_OWNED);
    accept_order(&market, 8, 1, 1);
    define(&market, 8, "FIRM1");
    accept_order(&market, 8, 1, 1);
    define(&market, 7, "");
    accept_order(&market, 7, 1, 1);
    define(&market, 7, "");
    ome_account_view_t view;
    CHECK_EQUAL(ome_engine_account_owner(market.engine, 0, &view), OME_OK);
    CHECK(view.account == 7 && view.participant_name[0] == '\0');
    CHECK_EQUAL(ome_engine_account_owner(market.engine, 1, &view), OME_OK);
    CHECK(view.account == 8 && strcmp(view.participant_name, "FIRM1") == 0);
    CHECK_EQUAL(ome_engine_account_owner(market.engine, 2, &view), OME_NOT_FOUND);
    market_free(&market);
}

/* The number of a participant is given again; its name is who it is. */
static void an_account_belongs_to_a_name_and_not_to_its_number(void)
{
    market_t market = market_of_two(0);
    define(&market, 7, "FIRM1");
    define(&market, 9, "LATER");
    refuse_order(&market, 9, 1, 1, OME_REASON_ACCOUNT_NOT_OWNED);
    apply(&market, define_session(1, 1, "LATER", 0), 1);
    accept_order(&market, 9, 1, 1);
    refuse_order(&market, 7, 1, 1, OME_REASON_ACCOUNT_NOT_OWNED);
    apply(&market, define_session(3, 4, "FIRM1", 0), 1);
    apply(&market, define_session(4, 4, "FIRM1", 1), 1);
    accept_order(&market, 7, 4, 3);
    apply(&market, define_session(3, 3, "FIRM3", 0), 1);
    accept_order(&market, 7, 4, 4); /* the other session of FIRM1 is still there */
    refuse_order(&market, 7, 3, 3, OME_REASON_ACCOUNT_NOT_OWNED);
    CHECK(ome_engine_check(market.engine) == NULL);
    market_free(&market);
}

static void a_definition_that_is_not_good_changes_nothing(void)
{
    market_t market = market_of_two(0);
    apply_rejected(&market, define_account(0, "FIRM1"), OME_REASON_BAD_DEFINITION);
    apply_rejected(&market, define_account(7, ""), OME_REASON_BAD_DEFINITION);
    apply_rejected(&market, define_account(7, "FIRM 1"), OME_REASON_BAD_DEFINITION);
    ome_command_t reserved = define_account(7, "FIRM1");
    reserved.reserved = 1;
    apply_rejected(&market, reserved, OME_REASON_RESERVED_NOT_ZERO);
    CHECK_EQUAL(market.engine->accounts.count, 0);
    for (uint32_t account = 1; account <= standard_limits.account_count_max; account++)
    {
        define(&market, account, "FIRM1");
    }
    apply_rejected(&market, define_account(9, "FIRM1"), OME_REASON_BAD_DEFINITION);
    define(&market, 5, "FIRM2");
    market_free(&market);
}

static void the_rules_before_have_no_accounts(void)
{
    ome_limits_t limits = standard_limits;
    limits.rules_version = OME_RULES_VERSION_SESSIONS;
    limits.limit_flags = OME_LIMIT_FLAGS_ACCOUNTS_RESTRICTED;
    market_t market = market_new(&limits, 1);
    apply(&market, define_instrument(1, "ABC", 1, 0), 1);
    apply_rejected(&market, define_account(7, "FIRM1"), OME_REASON_UNKNOWN_COMMAND);
    accept_order(&market, 7, 2, 0);
    ome_limits_t same = limits;
    same.limit_flags = same.account_count_max = 0;
    apply(&market, define_limits(&same), 1);
    CHECK_EQUAL(event_from_end(&market, 1)->kind, OME_EVENT_KIND_DEFINED);
    market_free(&market);
}

/* Both go on in the same way, whichever of the names has a session. */
static void a_snapshot_has_the_accounts(void)
{
    market_t market = market_of_two(OME_LIMIT_FLAGS_ACCOUNTS_RESTRICTED);
    define(&market, 9, "FIRM2");
    define(&market, 7, "FIRM1");
    define(&market, 8, "LATER");
    define(&market, 9, "");
    const uint64_t hash = ome_engine_state_hash(market.engine);
    bytes_t bytes = snapshot_of(market.engine);
    ome_engine_t *restored = restored_of(&bytes);
    free(market.engine);
    market.engine = restored;
    CHECK_EQUAL(ome_engine_state_hash(restored), hash);
    CHECK_EQUAL(restored->accounts.numbers[0], 9);
    accept_order(&market, 7, 1, 1);
    refuse_order(&market, 7, 2, 2, OME_REASON_ACCOUNT_NOT_OWNED);
    refuse_order(&market, 9, 2, 2, OME_REASON_UNKNOWN_ACCOUNT);
    apply(&market, define_session(3, 3, "LATER", 0), 1);
    accept_order(&market, 8, 3, 3);
    free(bytes.data);
    market_free(&market);
}

/* ---- the table ---- */

#define ACCOUNT_COUNT 60u
#define NAME_COUNT 25u

static void name_of(uint32_t number, char name[OME_NAME_SIZE])
{
    memset(name, 0, OME_NAME_SIZE);
    if (number != 0)
    {
        (void)snprintf(name, OME_NAME_SIZE, "N%u", number);
    }
}

/* Owners come and go, and their participants with them: the table says what a plain list says. */
static void the_table_is_that_of_a_plain_list(void)
{
    ome_arena_t arena = {0};
    ome_accounts_t accounts;
    ome_accounts_init(&accounts, &arena, ACCOUNT_COUNT, NAME_COUNT);
    arena = (ome_arena_t){.memory = market_memory(arena.used_bytes)};
    ome_accounts_init(&accounts, &arena, ACCOUNT_COUNT, NAME_COUNT);
    uint32_t owner_of[ACCOUNT_COUNT + 1] = {0};
    uint64_t random = 1;
    for (uint32_t i = 0; i < 20000; i++)
    {
        random = ome_hash_fold(random + OME_HASH_K1, OME_HASH_K2);
        const uint32_t account = 1 + (uint32_t)(random % ACCOUNT_COUNT);
        const uint32_t number = (uint32_t)(random >> 20) % (NAME_COUNT + 1);
        char name[OME_NAME_SIZE];
        name_of(number, name);
        CHECK(ome_account_define(&accounts, account, name));
        owner_of[account] = number;
        if (number != 0)
        {
            ome_account_name_participant(&accounts, number, name);
        }
        const uint32_t asked = 1 + (uint32_t)(random >> 40) % ACCOUNT_COUNT;
        const uint32_t owner = ome_account_owner(&accounts, asked);
        name_of(owner_of[asked], name);
        CHECK(memcmp(ome_account_name(&accounts, asked), name, OME_NAME_SIZE) == 0);
        CHECK(owner == 0 || ome_account_is_owner(&accounts, owner, owner_of[asked]));
        CHECK(i % 100 != 0 || ome_accounts_check(&accounts) == NULL);
    }
    CHECK_EQUAL(accounts.count, ACCOUNT_COUNT);
    CHECK(accounts.owners_ever_used <= NAME_COUNT);
    free(arena.memory);
}

int main(void)
{
    RUN(an_account_is_used_by_its_participant_alone);
    RUN(where_accounts_are_restricted_an_unknown_one_is_refused);
    RUN(an_account_goes_to_another_participant_and_to_nobody);
    RUN(an_account_belongs_to_a_name_and_not_to_its_number);
    RUN(a_definition_that_is_not_good_changes_nothing);
    RUN(the_rules_before_have_no_accounts);
    RUN(a_snapshot_has_the_accounts);
    RUN(the_table_is_that_of_a_plain_list);
    return 0;
}
