#include "wire/ome_throttle.h"

#include "base/ome_assert.h"

#define THROTTLE_NS_PER_S UINT64_C(1000000000)

/* Messages refused in a second that end a session: as many as it may send, and no fewer than a client may have under way when the first
 * refusal reaches it. */
#define THROTTLE_REFUSED_MIN 4096u

void ome_throttle_init(ome_throttle_t *throttle, ome_arena_t *arena, uint32_t participant_count_max, const ome_throttle_limits_t *limits)
{
    throttle->participants = ome_arena_take(arena, ((uint64_t)participant_count_max + 1) * sizeof(ome_throttle_slot_t));
    throttle->limits = *limits;
}

static void throttle_fill(const ome_throttle_t *throttle, ome_throttle_slot_t *slot, uint64_t now_ns)
{
    const uint32_t rate = throttle->limits.message_rate_max;
    const uint64_t passed_ns = now_ns - slot->filled_ns;
    if (slot->filled_ns == 0 || passed_ns >= THROTTLE_NS_PER_S)
    {
        slot->left = rate;
        slot->filled_ns = now_ns;
        return;
    }
    const uint64_t more = passed_ns * rate / THROTTLE_NS_PER_S;
    if (more > 0)
    {
        const uint64_t left = slot->left + more;
        slot->left = left < rate ? (uint32_t)left : rate;
        slot->filled_ns += more * THROTTLE_NS_PER_S / rate;
    }
}

uint32_t ome_throttle_allows(ome_throttle_t *throttle, uint16_t participant, uint32_t count, uint64_t now_ns)
{
    ome_throttle_slot_t *slot = &throttle->participants[participant];
    uint32_t allowed = count;
    if (throttle->limits.message_rate_max != 0)
    {
        throttle_fill(throttle, slot, now_ns);
        allowed = slot->left < allowed ? slot->left : allowed;
    }
    if (throttle->limits.in_flight_max != 0)
    {
        const uint32_t room = slot->in_flight < throttle->limits.in_flight_max ? throttle->limits.in_flight_max - slot->in_flight : 0;
        allowed = room < allowed ? room : allowed;
    }
    return allowed;
}

void ome_throttle_take(ome_throttle_t *throttle, uint16_t participant, uint32_t count)
{
    ome_throttle_slot_t *slot = &throttle->participants[participant];
    slot->in_flight += count;
    slot->left -= count < slot->left ? count : slot->left;
}

void ome_throttle_answer(ome_throttle_t *throttle, uint16_t participant, uint32_t count)
{
    ome_throttle_slot_t *slot = &throttle->participants[participant];
    OME_ASSERT(slot->in_flight >= count);
    slot->in_flight -= count;
}

bool ome_throttle_refuse(ome_throttle_t *throttle, uint16_t participant, uint32_t count, uint64_t now_ns)
{
    ome_throttle_slot_t *slot = &throttle->participants[participant];
    const uint64_t second = now_ns / THROTTLE_NS_PER_S;
    const uint32_t rate = throttle->limits.message_rate_max;
    slot->refused_count = slot->second == second ? slot->refused_count + count : count;
    slot->second = second;
    return slot->refused_count > (rate > THROTTLE_REFUSED_MIN ? rate : THROTTLE_REFUSED_MIN);
}
