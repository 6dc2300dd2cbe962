"""The book of one instrument: two sides, each a sorted map of price levels, each level a queue. Source: docs/RULES.md, P1, P5, P6.

Levels are sorted by *rank*, the price with its sign turned for bids, so that on both sides the best level comes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from sortedcontainers import SortedDict

from ome.enums import Side
from ome.messages import DefineInstrument
from ome.reference.orders import Order

__all__ = ["Book", "BookSide", "Level"]


@dataclass(slots=True)
class Level:
    """The orders at one price, earliest first. `quantity` is the sum of their leaves."""

    price: int
    quantity: int = 0
    queue: OrderedDict[int, Order] = field(default_factory=OrderedDict)

    @property
    def first(self) -> Order:
        """The order that trades next."""
        return next(iter(self.queue.values()))


class BookSide:
    """The bids or the asks of one instrument. `open_quantity` is the sum of the leaves of all its orders."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.open_quantity = 0
        self._levels: SortedDict[int, Level] = SortedDict()
        self._sign = -1 if side == Side.BUY else 1

    def __len__(self) -> int:
        """How many levels there are."""
        return len(self._levels)

    def __iter__(self) -> Iterator[Level]:
        """The levels, best first."""
        return iter(self._levels.values())

    @property
    def best(self) -> Level:
        """The best level; there must be one."""
        level: Level = self._levels.peekitem(0)[1]
        return level

    def has_level(self, price: int) -> bool:
        """Whether any order stands at this price."""
        return price * self._sign in self._levels

    def is_crossed_by(self, limit: int | None) -> bool:
        """Whether an order of the other side with this limit (None for a market order) can trade with the best level."""
        return bool(self._levels) and (limit is None or self._levels.peekitem(0)[0] <= limit * self._sign)

    def has_within(self, limit: int | None, quantity: int) -> bool:
        """Whether an order of the other side with this limit (None for a market order) finds at least `quantity` lots."""
        for rank, level in self._levels.items():
            if limit is not None and rank > limit * self._sign:
                return False
            quantity -= level.quantity
            if quantity <= 0:
                return True
        return False

    def join(self, order: Order) -> bool:
        """The order joins the back of the queue at its price. Returns whether that opened a level."""
        rank = order.price * self._sign
        level = self._levels.get(rank)
        opened = level is None
        if level is None:
            level = self._levels[rank] = Level(order.price)
        level.queue[order.order_id] = order
        level.quantity += order.leaves
        self.open_quantity += order.leaves
        return opened

    def leave(self, order: Order) -> bool:
        """The order leaves the book, wherever it stands in its queue. Returns whether that closed its level."""
        level = self._levels[order.price * self._sign]
        del level.queue[order.order_id]
        level.quantity -= order.leaves
        self.open_quantity -= order.leaves
        if level.queue:
            return False
        del self._levels[order.price * self._sign]
        return True

    def shrink(self, order: Order, quantity: int) -> None:
        """The order, which stays where it is, has `quantity` lots less open."""
        order.leaves -= quantity
        self._levels[order.price * self._sign].quantity -= quantity
        self.open_quantity -= quantity


class Book:
    """An instrument as it was defined, its bids and asks, and the price of its last trade (0 before the first)."""

    def __init__(self, definition: DefineInstrument) -> None:
        self.definition = definition
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)
        self.last_trade_price = 0

    def side(self, side: int) -> BookSide:
        """The side where an order of `side` rests."""
        return self.bids if side == Side.BUY else self.asks

    def opposite(self, side: int) -> BookSide:
        """The side that an order of `side` trades with."""
        return self.asks if side == Side.BUY else self.bids
