"""An order in the engine, and the ids of orders. Source: docs/RULES.md, Order ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ome.enums import OrderType, TimeInForce

__all__ = [
    "LIMIT",
    "MARKET",
    "PEAK_COUNT_MAX",
    "RESTING_TIMES",
    "STOP",
    "STOP_LIMIT",
    "TRAILING_STOP",
    "TRAILING_STOP_LIMIT",
    "TYPES_WITH_LIMIT",
    "Order",
    "OrderIds",
]

# Plain integers: an IntEnum's member costs more to reach and to compare.
LIMIT: Final = int(OrderType.LIMIT)
MARKET: Final = int(OrderType.MARKET)
STOP: Final = int(OrderType.STOP)
STOP_LIMIT: Final = int(OrderType.STOP_LIMIT)
TRAILING_STOP: Final = int(OrderType.TRAILING_STOP)
TRAILING_STOP_LIMIT: Final = int(OrderType.TRAILING_STOP_LIMIT)
TYPES_WITH_LIMIT: Final = (LIMIT, STOP_LIMIT, TRAILING_STOP_LIMIT)
RESTING_TIMES: Final = frozenset((int(TimeInForce.GTC), int(TimeInForce.DAY), int(TimeInForce.GTD)))
"""The times in force under which what is left of an order stays."""

PEAK_COUNT_MAX: Final = 4_096
"""Peaks that what is open of an iceberg may be."""

GENERATION_MAX: Final = 2**32 - 1
_SLOT_MASK: Final = 2**32 - 1


@dataclass(slots=True, kw_only=True)
class Order:
    """An accepted order. `leaves` are lots still open, reserve included; with `cumulative`, lots traded, they are its total.

    It waits while its type is one of the four stop types. When it triggers it becomes LIMIT or MARKET, and so do the rules for it.
    """

    order_id: int
    client_order_id: int
    instrument: int
    side: int
    order_type: int
    time_in_force: int
    price: int  # its limit; 0 for an order without; of a waiting TRAILING_STOP_LIMIT the distance from its stop price
    leaves: int
    cumulative: int = 0
    account: int
    participant: int
    session: int

    # As long as it lives
    is_post_only: bool = False
    is_hidden: bool = False
    instruction: int = 0  # a SelfTradePrevention
    scope: int = 0  # a SelfTradeScope
    group: int = 0  # self-trade group; 0 for none
    attributes: tuple[int, ...] = ()  # in the order of their terms, 0 for one that is not given; empty for none
    peak: int = 0  # of an iceberg, in lots; 0 for an order that is none
    deadline_ns: int = 0  # of a GTD order; 0 for an order that has none

    # When it enters
    minimum_quantity: int = 0  # 0 for none
    collar_ticks: int | None = None
    budget: int | None = None

    # While it waits
    stop_price: int = 0
    trail_amount: int = 0
    trail_basis_points: int = 0
    entry: int = 0  # sequence of the command since which it has its place

    # At rest
    displayed: int = 0  # of an iceberg: the part of its leaves that the market sees
    arrival: int = 0  # grows with each order that joins the back of a queue: in a queue, a lower one is earlier

    @property
    def is_waiting(self) -> bool:
        """S1: whether it waits for its stop price, outside the book."""
        return self.order_type >= STOP

    @property
    def is_trailing(self) -> bool:
        """S6: whether it waits for a stop price that follows the market."""
        return self.order_type >= TRAILING_STOP

    @property
    def has_limit(self) -> bool:
        """Whether it has a limit, or will have one when it triggers."""
        return self.order_type in TYPES_WITH_LIMIT

    @property
    def would_rest(self) -> bool:
        """T2: whether what does not trade joins the book."""
        return self.order_type in TYPES_WITH_LIMIT and self.time_in_force in RESTING_TIMES

    @property
    def is_special(self) -> bool:
        """Section Order of checks: whether it counts against `special_count_max`."""
        return self.order_type >= STOP or self.peak > 0 or self.deadline_ns > 0 or self.group > 0 or any(self.attributes)

    @property
    def shown(self) -> int:
        """P7, I1: the lots that the market sees while it rests."""
        if self.is_hidden:
            return 0
        return self.displayed if self.peak else self.leaves


class OrderIds:
    """Gives out order ids, `generation << 32 | slot`, so that no id appears twice.

    `take` and `release` are the life of an id; `has_free` says whether there is one, `was_given` whether an id was ever an order's.
    """

    def __init__(self, slot_count_max: int) -> None:
        self.slot_count_max = slot_count_max
        self._generations: list[int] = []  # of slot 1, 2, ...
        self._free: list[int] = []  # slots; the one freed last is at the end

    @property
    def slots_ever_used(self) -> int:
        """How many slots have ever been taken."""
        return len(self._generations)

    @property
    def has_free(self) -> bool:
        """Whether `take` may be called."""
        return bool(self._free) or self.slots_ever_used < self.slot_count_max

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
        assert self.slots_ever_used <= self.slot_count_max, "more slots than the limit"
