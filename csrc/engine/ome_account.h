/* Accounts and the participants that they belong to.
 *
 * An account belongs to a name, not to a participant's number: the number is given with the first session of the name, and again to others
 * when the last one is gone. So a name that has accounts is an *owner*, with a number that is known here alone, and a table says which owner the
 * participant of each number is now. An order is compared by the two: one load each, and no name is looked at.
 *
 * An account that was defined once keeps its place, also when it belongs to nobody: their order is that of their first definitions, in the
 * state hash and in snapshots. The numbers of owners appear in neither. */
#ifndef OME_ACCOUNT_H
#define OME_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ome_limits.h"
#include "base/ome_arena.h"
#include "base/ome_platform.h"

/* An entry of the table by account. */
typedef struct
{
    uint32_t account; /* 0 where the entry is free */
    uint32_t owner;   /* 0: it belongs to nobody */
} ome_account_t;

typedef struct
{
    char name[OME_NAME_SIZE];
    uint32_t account_count; /* 0: the number is free, and next_free leads to another one */
    uint32_t participant;   /* the number that the name has now; 0: it has no session */
    uint32_t next_free;
} ome_account_owner_t;

typedef struct
{
    ome_account_t *entries;       /* a hash table by account, at most half full */
    uint32_t *numbers;            /* the accounts, from 0 on in the order of their first definitions */
    ome_account_owner_t *owners;  /* by number, from 1 */
    uint32_t *names;              /* a hash table of owners by name, 0 where it is free; at most half full */
    uint32_t *participant_owners; /* by participant: the owner that has its name; 0: its name has no accounts */
    uint32_t home_shift;          /* from a hash of 32 bits to a place in either table */
    uint32_t count;               /* that were ever defined */
    uint32_t count_max;
    uint32_t participant_max;
    uint32_t owners_ever_used;
    uint32_t free_owner; /* the first of those that are free again; 0: none */
} ome_accounts_t;

/* Lays them out in an arena; without memory it only measures. */
void ome_accounts_init(ome_accounts_t *accounts, ome_arena_t *arena, uint32_t count_max, uint32_t participant_max);

/* Says whom an account, other than 0, belongs to: a name, or with zeros nobody. A name that had no account has no participant yet
 * (ome_account_name_participant). False, and nothing is changed: there is no room for one more account. */
bool ome_account_define(ome_accounts_t *accounts, uint32_t account, const char name[OME_NAME_SIZE]);

/* The participant of this number has this name from now on. */
void ome_account_name_participant(ome_accounts_t *accounts, uint32_t participant, const char name[OME_NAME_SIZE]);

/* Nobody has this number from now on. */
void ome_account_forget_participant(ome_accounts_t *accounts, uint32_t participant);

/* NULL, or what does not hold. For tests. */
const char *ome_accounts_check(const ome_accounts_t *accounts);

/* Of neighbours, as accounts usually are, each has a home of its own. */
static inline uint32_t ome_account_home(const ome_accounts_t *accounts, uint32_t account)
{
    return (account * UINT32_C(0x9E3779B1)) >> accounts->home_shift;
}

/* The entry of an account, other than 0, or the free one where it would be. */
static inline ome_account_t *ome_account_entry(const ome_accounts_t *accounts, uint32_t account)
{
    uint32_t place = ome_account_home(accounts, account);
    while (accounts->entries[place].account != account && accounts->entries[place].account != 0)
    {
        place = (place + 1) & (UINT32_MAX >> accounts->home_shift);
    }
    return &accounts->entries[place];
}

/* The owner of an account, other than 0; 0: it belongs to nobody. */
static inline uint32_t ome_account_owner(const ome_accounts_t *accounts, uint32_t account)
{
    return ome_account_entry(accounts, account)->owner;
}

/* Whether a participant, whatever its number, is this owner. */
static inline bool ome_account_is_owner(const ome_accounts_t *accounts, uint32_t owner, uint32_t participant)
{
    return participant <= accounts->participant_max && accounts->participant_owners[participant] == owner;
}

static inline bool ome_account_is_defined(const ome_accounts_t *accounts, uint32_t account)
{
    return ome_account_entry(accounts, account)->account == account;
}

static inline const char *ome_account_name(const ome_accounts_t *accounts, uint32_t account)
{
    return accounts->owners[ome_account_owner(accounts, account)].name; /* that of owner 0 is all zeros */
}

#endif
