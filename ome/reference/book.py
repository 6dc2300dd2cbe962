"""The book of one instrument: two sides, each a sorted map of price levels, each level two queues.

Source: docs/RULES.md, P1, P3, P5 to P7, I1, I2.

Levels are sorted by *rank*, the price with its sign reversed for bids, so that on both sides the best level comes
first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from sortedcontainers import SortedDict

from ome.enums import Side
from ome.messages import DefineInstrument
from ome.reference.orders import Order
from ome.reference.stops import StopBook

__all__ = ["Book", "BookSide", "Level"]


@dataclass(slots=True)
class Level:
    """The orders at one price: those that display lots and those that are hidden, earliest first in both queues, by order id."""

    price: int
    displayed: OrderedDict[int, Order] = field(default_factory=OrderedDict)
    hidden: OrderedDict[int, Order] = field(default_factory=OrderedDict)

    def __iter__(self) -> Iterator[Order]:
        """P1, P7: the orders in the order in which they would trade."""
        return chain(self.displayed.values(), self.hidden.values())

    @property
    def first(self) -> Order:
        """P1, P7: the order that trades next."""
        return next(iter(self.displayed.values() if self.displayed else self.hidden.values()))

    def queue_of(self, order: Order) -> OrderedDict[int, Order]:
        """P7: the queue of this order, whether or not it is in the book."""
        return self.hidden if order.is_hidden else self.displayed


class BookSide:
    """The bids or the asks of one instrument. `open_quantity` is the sum of the leaves of all its orders."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.open_quantity = 0
        self._levels: SortedDict[int, Level] = SortedDict()
        self._sign = -1 if side == Side.BUY else 1
        self._arrival_count = 0

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
        """Whether any order rests at this price."""
        return price * self._sign in self._levels

    def is_crossed_by(self, limit: int | None) -> bool:
        """P3: whether an order of the other side with this limit (None for no limit) can trade with the best level."""
        return bool(self._levels) and (limit is None or self._levels.peekitem(0)[0] <= limit * self._sign)

    def within(self, limit: int | None) -> Iterator[Level]:
        """P3: the levels that an order of the other side with this limit (None for no limit) can trade with, best first."""
        for rank, level in self._levels.items():
            if limit is not None and rank > limit * self._sign:
                return
            yield level

    def join(self, order: Order) -> bool:
        """P1, I1: the order joins the back of its queue, an iceberg with its peak. Returns whether that opened a level."""
        rank = order.price * self._sign
        level = self._levels.get(rank)
        opened = level is None
        if level is None:
            level = self._levels[rank] = Level(order.price)
        if order.peak:
            order.displayed = min(order.peak, order.leaves)
        self._arrival_count += 1
        order.arrival = self._arrival_count
        level.queue_of(order)[order.order_id] = order
        self.open_quantity += order.leaves
        return opened

    def leave(self, order: Order) -> bool:
        """P5: the order leaves the book, from any place in its queue. Returns whether that closed its level."""
        level = self._levels[order.price * self._sign]
        del level.queue_of(order)[order.order_id]
        order.displayed = 0
        self.open_quantity -= order.leaves
        if level.displayed or level.hidden:
            return False
        del self._levels[order.price * self._sign]
        return True

    def trade(self, order: Order, quantity: int) -> None:
        """P6: the order, which stays where it is, has traded `quantity` lots of those that it shows."""
        order.leaves -= quantity
        order.cumulative += quantity
        self.open_quantity -= quantity
        if order.peak:
            order.displayed -= quantity

    def shrink(self, order: Order, quantity: int) -> int:
        """A1: the order, which stays where it is, has `quantity` lots less open, of an iceberg the reserve first.

        Returns by how much the peak of an iceberg shrinks.
        """
        order.leaves -= quantity
        self.open_quantity -= quantity
        gone = max(0, order.displayed - order.leaves)
        order.displayed -= gone
        return gone

    def refresh(self, order: Order) -> None:
        """I2: an iceberg whose peak is used up displays the next one at the back of the queue."""
        order.displayed = min(order.peak, order.leaves)
        self._arrival_count += 1
        order.arrival = self._arrival_count
        self._levels[order.price * self._sign].displayed.move_to_end(order.order_id)


class Book:
    """An instrument as it was defined, its bids and asks, its waiting orders and its last trade price (None before the first)."""

    def __init__(self, definition: DefineInstrument) -> None:
        self.definition = definition
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)
        self.stops = StopBook(definition)
        self.last_trade_price: int | None = None

    def side(self, side: int) -> BookSide:
        """The side where an order of `side` rests."""
        return self.bids if side == Side.BUY else self.asks

    def opposite(self, side: int) -> BookSide:
        """The side that an order of `side` trades with."""
        return self.asks if side == Side.BUY else self.bids
