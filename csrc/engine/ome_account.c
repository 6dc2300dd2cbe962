#include "engine/ome_account.h"

#include <string.h>

#include "base/ome_assert.h"
#include "base/ome_hash.h"

void ome_accounts_init(ome_accounts_t *accounts, ome_arena_t *arena, uint32_t count_max, uint32_t participant_max)
{
    uint32_t size_bits = 1;
    while ((UINT64_C(1) << size_bits) < 2 * (uint64_t)count_max)
    {
        size_bits++;
    }
    const uint64_t size = UINT64_C(1) << size_bits;
    *accounts = (ome_accounts_t){.home_shift = 32 - size_bits, .count_max = count_max, .participant_max = participant_max};
    accounts->entries = ome_arena_take(arena, size * sizeof(*accounts->entries));
    accounts->names = ome_arena_take(arena, size * sizeof(*accounts->names));
    accounts->numbers = ome_arena_take(arena, (uint64_t)count_max * sizeof(*accounts->numbers));
    accounts->owners = ome_arena_take(arena, ((uint64_t)count_max + 1) * sizeof(*accounts->owners));
    accounts->participant_owners = ome_arena_take(arena, ((uint64_t)participant_max + 1) * sizeof(*accounts->participant_owners));
}

/* ---- owners ---- */

static uint32_t account_name_home(const ome_accounts_t *accounts, const char name[OME_NAME_SIZE])
{
    uint64_t words[OME_NAME_SIZE / sizeof(uint64_t)];
    memcpy(words, name, OME_NAME_SIZE);
    return (uint32_t)ome_hash_fold(words[0] ^ OME_HASH_K0, words[1] ^ OME_HASH_K1) >> accounts->home_shift;
}

static uint32_t account_next_place(const ome_accounts_t *accounts, uint32_t place)
{
    return (place + 1) & (UINT32_MAX >> accounts->home_shift);
}

/* Where the name stands in the table, or the free place where it would. */
static uint32_t account_name_place(const ome_accounts_t *accounts, const char name[OME_NAME_SIZE])
{
    uint32_t place = account_name_home(accounts, name);
    while (accounts->names[place] != 0 && memcmp(accounts->owners[accounts->names[place]].name, name, OME_NAME_SIZE) != 0)
    {
        place = account_next_place(accounts, place);
    }
    return place;
}

/* Takes the name out of the table, and moves what stands behind it closer to its home. */
static void account_remove_name(ome_accounts_t *accounts, uint32_t place)
{
    const uint32_t mask = UINT32_MAX >> accounts->home_shift;
    uint32_t next = account_next_place(accounts, place);
    while (accounts->names[next] != 0)
    {
        const uint32_t home = account_name_home(accounts, accounts->owners[accounts->names[next]].name);
        if (((next - home) & mask) >= ((next - place) & mask))
        {
            accounts->names[place] = accounts->names[next];
            place = next;
        }
        next = account_next_place(accounts, next);
    }
    accounts->names[place] = 0;
}

/* One account more belongs to this name. Returns its owner. There are no more owners than accounts, so one is always free. */
static uint32_t account_take_owner(ome_accounts_t *accounts, const char name[OME_NAME_SIZE])
{
    const uint32_t place = account_name_place(accounts, name);
    uint32_t owner = accounts->names[place];
    if (owner == 0)
    {
        owner = accounts->free_owner != 0 ? accounts->free_owner : ++accounts->owners_ever_used;
        OME_ASSERT(owner <= accounts->count_max);
        accounts->free_owner = accounts->owners[owner].next_free;
        accounts->owners[owner] = (ome_account_owner_t){0};
        memcpy(accounts->owners[owner].name, name, OME_NAME_SIZE);
        accounts->names[place] = owner;
    }
    accounts->owners[owner].account_count++;
    return owner;
}

/* One account less belongs to this owner: with its last one it is no owner. */
static void account_give_owner(ome_accounts_t *accounts, uint32_t number)
{
    ome_account_owner_t *owner = &accounts->owners[number];
    if (number == 0 || --owner->account_count > 0)
    {
        return;
    }
    account_remove_name(accounts, account_name_place(accounts, owner->name));
    ome_account_forget_participant(accounts, owner->participant);
    *owner = (ome_account_owner_t){.next_free = accounts->free_owner};
    accounts->free_owner = number;
}

void ome_account_name_participant(ome_accounts_t *accounts, uint32_t participant, const char name[OME_NAME_SIZE])
{
    const uint32_t owner = accounts->count == 0 ? 0 : accounts->names[account_name_place(accounts, name)];
    OME_EXPECT(participant >= 1 && participant <= accounts->participant_max);
    if (owner != 0)
    {
        accounts->participant_owners[participant] = owner;
        accounts->owners[owner].participant = participant;
    }
}

void ome_account_forget_participant(ome_accounts_t *accounts, uint32_t participant)
{
    accounts->owners[accounts->participant_owners[participant]].participant = 0;
    accounts->participant_owners[participant] = 0;
}

/* ---- accounts ---- */

bool ome_account_define(ome_accounts_t *accounts, uint32_t account, const char name[OME_NAME_SIZE])
{
    ome_account_t *entry = ome_account_entry(accounts, account);
    OME_EXPECT(account != 0);
    if (entry->account == 0)
    {
        if (accounts->count == accounts->count_max)
        {
            return false;
        }
        entry->account = account;
        accounts->numbers[accounts->count++] = account;
    }
    if (memcmp(accounts->owners[entry->owner].name, name, OME_NAME_SIZE) == 0)
    {
        return true;
    }
    account_give_owner(accounts, entry->owner); /* first, so that there is a free one */
    entry->owner = name[0] == '\0' ? 0 : account_take_owner(accounts, name);
    return true;
}

/* ---- for tests ---- */

static const char *account_check_owner(const ome_accounts_t *accounts, uint32_t number)
{
    const ome_account_owner_t *owner = &accounts->owners[number];
    uint32_t account_count = 0;
    for (uint32_t i = 0; i < accounts->count; i++)
    {
        account_count += ome_account_owner(accounts, accounts->numbers[i]) == number;
    }
    if (account_count != owner->account_count)
    {
        return "an owner does not have the accounts that it counts";
    }
    if (account_count != 0 && accounts->names[account_name_place(accounts, owner->name)] != number)
    {
        return "an owner is not found by its name";
    }
    return owner->participant == 0 || accounts->participant_owners[owner->participant] == number
               ? NULL
               : "an owner is not that of its participant";
}

const char *ome_accounts_check(const ome_accounts_t *accounts)
{
    for (uint32_t number = 1; number <= accounts->owners_ever_used; number++)
    {
        const char *wrong = account_check_owner(accounts, number);
        if (wrong != NULL)
        {
            return wrong;
        }
    }
    for (uint32_t participant = 0; participant <= accounts->participant_max; participant++)
    {
        const uint32_t owner = accounts->participant_owners[participant];
        if (owner != 0 && accounts->owners[owner].participant != participant)
        {
            return "a participant is not that of its owner";
        }
    }
    return NULL;
}
