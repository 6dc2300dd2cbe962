"""An order as the engine keeps it, and the ids that orders get. Source: docs/RULES.md, Order ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Order", "OrderIds"]

GENERATION_MAX: Final = 2**32 - 1
_SLOT_MASK: Final = 2**32 - 1


@dataclass(slots=True, kw_only=True)
class Order:
    """An accepted order. Its total is `leaves` (lots still open) plus `cumulative` (lots traded)."""

    order_id: int
    client_order_id: int
    instrument: int
    side: int
    price: int  # its limit; 0 for a market order
    leaves: int
    cumulative: int = 0
    account: int
    participant: int
    session: int
    arrival: int = 0  # grows with each order that joins the back of a level: in a queue, a lower one is earlier


class OrderIds:
    """Gives out order ids, `generation << 32 | slot`, so that no id appears twice.

    `take` and `release` are the life of an id; `has_free` says whether there is one, `was_given` whether an id was ever an order's.
    """

    def __init__(self, slot_count_max: int) -> None:
        self._slot_count_max = slot_count_max
        self._generations: list[int] = []  # of slot 1, 2, ...
        self._free: list[int] = []  # slots; the one freed last is at the end

    @property
    def slots_ever_used(self) -> int:
        """How many slots have ever been taken."""
        return len(self._generations)

    @property
    def has_free(self) -> bool:
        """Whether `take` may be called."""
        return bool(self._free) or self.slots_ever_used < self._slot_count_max

    def take(self) -> int:
        """An id that was never given before: of the slot freed last, or where none is free of the next one never used."""
        if self._free:
            slot = self._free.pop()
        else:
            self._generations.append(0)
            slot = len(self._generations)
        self._generations[slot - 1] += 1
        return self._generations[slot - 1] << 32 | slot

    def release(self, order_id: int) -> None:
        """The order with this id is gone. A slot that has had its last generation is never used again."""
        if order_id >> 32 < GENERATION_MAX:
            self._free.append(order_id & _SLOT_MASK)

    def was_given(self, order_id: int) -> bool:
        """Whether any order, live or gone, has or had this id."""
        slot, generation = order_id & _SLOT_MASK, order_id >> 32
        return 1 <= slot <= self.slots_ever_used and 1 <= generation <= self._generations[slot - 1]

    def check(self, live_ids: set[int]) -> None:
        """Asserts that each slot ever used is either free or the slot of exactly one live order, under its present generation."""
        live_slots = {order_id & _SLOT_MASK for order_id in live_ids}
        spent = {slot for slot, generation in enumerate(self._generations, 1) if generation == GENERATION_MAX} - live_slots
        assert len(live_slots) == len(live_ids), "two live orders share a slot"
        assert len(set(self._free)) == len(self._free), "a slot is free twice"
        assert not live_slots & set(self._free), "the slot of a live order is free"
        assert live_slots | set(self._free) | spent == set(range(1, self.slots_ever_used + 1)), "a slot is neither free nor used"
        assert all(self._generations[(order_id & _SLOT_MASK) - 1] == order_id >> 32 for order_id in live_ids), "a live id is out of date"
        assert self.slots_ever_used <= self._slot_count_max, "more slots than the limit"
