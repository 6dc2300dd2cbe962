"""The orders of one instrument that wait for their stop price. Source: docs/RULES.md, S1, S2, S6."""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict

from ome.enums import Side
from ome.messages import DefineInstrument
from ome.reference.orders import Order
from ome.reference.prices import kept_within

__all__ = ["StopBook", "favourable", "is_reached", "trailed_price"]


def is_reached(order: Order, last_price: int | None) -> bool:
    """S1: whether the last trade price is at the stop price or past it: for a buy at or above, for a sell at or below."""
    if last_price is None:
        return False
    return last_price >= order.stop_price if order.side == Side.BUY else last_price <= order.stop_price


def trailed_price(instrument: DefineInstrument, order: Order, last_price: int) -> int:
    """S6: the stop price of a trailing order at its distance from the last trade price, above it for a buy, below for a sell.

    The distance is an amount; or so many hundredths of a percent of the last price, rounded up to a tick, at least one tick.
    """
    if order.trail_amount:
        distance = order.trail_amount
    else:
        ticks = -(-abs(last_price) * order.trail_basis_points // (10_000 * instrument.tick))
        distance = max(1, ticks) * instrument.tick
    return kept_within(instrument, last_price + distance if order.side == Side.BUY else last_price - distance)


class StopBook:
    """Waiting buys by rising stop price and waiting sells by falling, at one stop price by entry: the order in which they are elected."""

    def __init__(self, instrument: DefineInstrument) -> None:
        self._instrument = instrument
        self._buys: SortedDict[tuple[int, int], Order] = SortedDict()
        self._sells: SortedDict[tuple[int, int], Order] = SortedDict()
        self._trailing: dict[int, Order] = {}  # by order id

    def __len__(self) -> int:
        """How many orders wait."""
        return len(self._buys) + len(self._sells)

    def __iter__(self) -> Iterator[Order]:
        """S2: buys by rising stop price, then sells by falling; at one stop price by entry."""
        yield from self._buys.values()
        yield from self._sells.values()

    def join(self, order: Order) -> None:
        """S2: the order waits, behind those of its stop price that came before it."""
        queue, key = self._place(order)
        queue[key] = order
        if order.is_trailing:
            self._trailing[order.order_id] = order

    def leave(self, order: Order) -> None:
        """The order waits no longer."""
        queue, key = self._place(order)
        del queue[key]
        self._trailing.pop(order.order_id, None)

    def trail(self, last_price: int) -> None:
        """S6: trailing stops follow the last trade price, each only in its favour: a buy's falls, a sell's rises."""
        for order in list(self._trailing.values()):
            price = favourable(order, trailed_price(self._instrument, order, last_price))
            if price != order.stop_price:
                self.leave(order)
                order.stop_price = price
                self.join(order)

    def elect(self, last_price: int) -> list[Order]:
        """S1, S2: takes out the orders whose stop price is reached, in the order in which they will trigger."""
        elected = []
        for queue in (self._buys, self._sells):
            while queue and is_reached(first := queue.peekitem(0)[1], last_price):
                self.leave(first)
                elected.append(first)
        return elected

    def _place(self, order: Order) -> tuple[SortedDict[tuple[int, int], Order], tuple[int, int]]:
        if order.side == Side.BUY:
            return self._buys, (order.stop_price, order.entry)
        return self._sells, (-order.stop_price, order.entry)


def favourable(order: Order, price: int) -> int:
    """S6: of its stop price and this one, the one that is better for the order: a buy's lower, a sell's higher."""
    return min(order.stop_price, price) if order.side == Side.BUY else max(order.stop_price, price)
