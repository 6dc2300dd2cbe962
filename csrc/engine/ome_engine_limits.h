/* What an engine is made with: its sizes, and the version of the rules that it follows. Public: ome.h includes this file. */
#ifndef OME_ENGINE_LIMITS_H
#define OME_ENGINE_LIMITS_H

#include <stdint.h>

/* Each at least 1, at most OME_..._COUNT_MAX (abi/ome_limits.h); account_count_max may be 0, and special_count_max, at most
 * OME_ORDER_COUNT_MAX. */
typedef struct ome_limits
{
    uint32_t order_count_max;      /* orders that live at once, waiting ones included; to 2^30 */
    uint32_t level_count_max;      /* price levels at once, of all instruments and both sides; to 2^24 - 1 */
    uint32_t instrument_count_max; /* to 2^20 */
    uint32_t session_count_max;    /* to 65535 */
    uint32_t special_count_max;    /* orders at once that wait, or have a peak, a deadline or a self-trade group; 0 to 2^30 */
    uint32_t rules_version;        /* 0 to OME_RULES_VERSION; a new engine follows the newest */
    uint32_t
        account_count_max; /* accounts that belong or belonged to a participant; to 2^24. Means nothing before OME_RULES_VERSION_ACCOUNTS */
    uint32_t limit_flags; /* OME_LIMIT_FLAGS_; likewise */
} ome_limits_t;

/* docs/RULES.md, "Versions of the rules". */
#define OME_RULES_VERSION 2u
#define OME_RULES_VERSION_SESSIONS 1u /* from here on: the sequences of sessions, their reports, STOP_SET, and answers to the sender */
#define OME_RULES_VERSION_ACCOUNTS 2u /* from here on: accounts that belong to participants */
#define OME_RULES_VERSION_PARTICIPANTS 2u /* from here on: the reports of a participant are counted, and DEFINED says how many there are */

#endif
