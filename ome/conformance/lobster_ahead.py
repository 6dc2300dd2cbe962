"""What is still to come of a LOBSTER day: which messages name an order, and so which orders a level that comes into sight must hold."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from ome.conformance.lobster_files import DELETION, EXECUTION, PARTIAL_CANCEL, SELL, SUBMISSION, Message

__all__ = ["Ahead"]


class Ahead:
    """The messages to come, by the orders that they name. `edges` are those of `lobster_files.read_edges`, one for each message."""

    def __init__(self, messages: list[Message], edges: dict[int, NDArray[np.int64]]) -> None:
        self._messages = messages
        self._edges = edges
        self._later: dict[int, list[int]] = {}  # order id: indexes of messages to come that change or end it, the next one last
        self._unseen: dict[tuple[int, int], list[tuple[int, int]]] = {}  # side and price: heap of (next message, order id) not in the book
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Notes for each order the messages that change it, and which orders are named without having been submitted."""
        for index, (kind, order_id, _, price, side) in enumerate(self._messages):
            if kind == SUBMISSION:
                self._later.setdefault(order_id, [])
            elif kind in (PARTIAL_CANCEL, DELETION, EXECUTION):
                if order_id not in self._later:
                    self._later[order_id] = []
                    heappush(self._unseen.setdefault((side, price), []), (index, order_id))
                self._later[order_id].append(index)
        for indexes in self._later.values():
            indexes.reverse()

    def forget(self, order_id: int, side: int, price: int) -> None:
        """Notes that an order is in the market's book no more, though messages may yet name it."""
        if indexes := self._later.get(order_id):
            heappush(self._unseen.setdefault((side, price), []), (indexes[-1], order_id))

    def take_note(self, message: Message, index: int) -> None:
        """The message is not to come any more."""
        indexes = self._later.get(message.order_id)
        if indexes and indexes[-1] == index:
            indexes.pop()

    def orders_of_level(self, side: int, price: int, quantity: int, index: int) -> dict[int, int]:
        """The orders that messages from `index` on name while a level of `quantity` stays in sight: quantity by order id, as they trade.

        An order holds at least what all messages to come take off it, as far as the level has it. Those that do not trade come last.
        """
        unseen, leaves = self._unseen.get((side, price), []), self._leaves(side, price, index)
        named: dict[int, tuple[int, int]] = {}  # order id: first execution, quantity
        left = quantity
        while left and unseen and unseen[0][0] <= leaves:
            next_index, order_id = heappop(unseen)
            later = self._later[order_id]
            if order_id in named or not later or later[-1] != next_index:
                continue  # noted twice, or again since, under its next message
            needed = min(left, sum(self._messages[each].size for each in later))
            first_execution = next((each for each in reversed(later) if self._messages[each].type == EXECUTION), len(self._messages))
            named[order_id] = (first_execution, needed)
            left -= needed
        return {order_id: named[order_id][1] for order_id in sorted(named, key=lambda each: (named[each][0], each))}

    def _leaves(self, side: int, price: int, index: int) -> int:
        """The index of the first row from `index` on in which this price is out of sight; the number of rows where there is none."""
        edges, start, length = self._edges[side], index, 64
        while start < len(self._messages):
            part = edges[start : start + length]
            out_of_sight = part < price if side == SELL else part > price
            if out_of_sight[first := int(out_of_sight.argmax())]:
                return start + first
            start, length = start + length, length * 4
        return len(self._messages)
