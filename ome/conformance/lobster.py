"""A day of LOBSTER data, replayed as orders: every visible execution must trade, and after each message the book must be LOBSTER's.

LOBSTER provides two files with equally many rows: messages (time, type, order id, size, price, direction) and, for
each, the book's best levels after it (ask price, ask size, bid price, bid size, for each level). The ReadMe of a
download explains them. `lobster_tape` turns them into steps of a tape, which `tape.run_steps` then applies; orders have
LOBSTER's own ids.

The files do not say everything; this is how the module handles it. Its book, and so the market's, is what LOBSTER
shows: the N best levels.
- Orders that came before the file, or while their price was out of sight, are never submitted. They are *seeded* when
  their level comes into sight, beyond the worst level seen before: the level's quantity is known, and later messages
  show which orders it must hold, how much of each at least, and in which order they trade. Quantity that no message
  names while the level stays in sight is one order behind them, with an id of our own.
- A level that falls out of sight takes its orders with it: they are cancelled, and seeded again when the level returns.
- An execution becomes an IOC order at its price and size, which must trade with that very order. If another order is
  before it in price or time, the data do not follow the rules that are checked here: the order is reduced instead, and
  this is counted.
- A crossed or locked book, a cross (type 6) and a trading halt (type 7, until trading resumes) cannot be followed by continuous trading.
  These rows are counted, and afterwards the book is built anew from the last row before.

Everything else must hold: a level within sight has only the quantity that the messages gave it, and no row is repaired.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ome.conformance.lobster_ahead import Ahead
from ome.conformance.lobster_files import (
    BUY,
    CROSS,
    DELETION,
    EXECUTION,
    HALT,
    HIDDEN_EXECUTION,
    OWN_ID_FIRST,
    PARTIAL_CANCEL,
    RESUMPTION_PRICE,
    SELL,
    SUBMISSION,
    LobsterSource,
    Message,
    Row,
    opened,
    read_edges,
    read_messages,
    read_row,
)
from ome.conformance.market import MarketFactory
from ome.conformance.tape import Action, Book, Progress, Step, run_steps
from ome.errors import InvalidValueError
from ome.instruments import Instrument

__all__ = ["LobsterResult", "LobsterTape", "lobster_tape", "run_lobster"]

NOT_FOLLOWED_CROSS: Final = "cross trade"
NOT_FOLLOWED_HALT: Final = "trading halt"
NOT_FOLLOWED_CROSSED: Final = "crossed or locked book"
NOT_REPLAYED_HIDDEN: Final = "execution of a hidden order"
NOT_REPLAYED_PRIORITY: Final = "execution out of price and time priority"

_OTHER: Final = {BUY: SELL, SELL: BUY}


@dataclass(frozen=True, slots=True, kw_only=True)
class LobsterResult:
    """What held, and what could not be checked.

    `messages` of the file were read; they became `commands`, `trades` and `books` that held. `seeded` orders were not submitted in sight.
    `books_not_checked` and `executions_not_checked` count, by reason, the rows and the executions that the market was not held to.
    `seconds` is the time that it took, with reading.
    """

    source: str
    instrument: Instrument
    level_count: int
    messages: int
    commands: int
    trades: int
    books: int
    seeded: int
    books_not_checked: Mapping[str, int]
    executions_not_checked: Mapping[str, int]
    seconds: float


def run_lobster(
    source: LobsterSource, market_factory: MarketFactory, progress: Progress | None = None, limit: int | None = None
) -> LobsterResult:
    """Replays the day in `source`, or its first `limit` messages, and holds the market to it.

    Raises Mismatch at the first message whose trade or book does not come out, InvalidValueError for files that are not as LOBSTER makes
    them.
    """
    started = time.perf_counter()
    day = lobster_tape(source, limit)
    held = run_steps(day, market_factory([day.instrument]), day.name, day.instrument, progress)
    return LobsterResult(
        source=day.name,
        instrument=day.instrument,
        level_count=day.level_count,
        messages=day.message_count,
        commands=held.commands,
        trades=held.trades,
        books=held.books,
        seeded=day.seeded_count,
        books_not_checked=dict(day.books_not_checked),
        executions_not_checked=dict(day.executions_not_checked),
        seconds=time.perf_counter() - started,
    )


def lobster_tape(source: LobsterSource, limit: int | None = None) -> LobsterTape:
    """The day in `source`, or its first `limit` messages, as steps of a tape: iterate over it, once.

    Raises InvalidValueError for files that are not as LOBSTER makes them, here or while iterating.
    """
    return LobsterTape(source, limit)


class LobsterTape:
    """The steps of one day. Its counts are complete when the iteration has ended.

    Row and line of a step are the number of its message, from 1.
    """

    def __init__(self, source: LobsterSource, limit: int | None = None) -> None:
        self._source = source
        self._limit = limit
        with opened(source) as (self.name, symbol, messages, rows):
            self._messages = read_messages(islice(messages, limit), self.name)
            self.level_count, edges = read_edges(islice(rows, limit), self.name)
        self.instrument = Instrument(symbol, tick="0.0001")
        self.message_count = len(self._messages)
        if self.message_count != (row_count := len(edges[SELL])):
            raise InvalidValueError(
                "orderbook rows", where=self.name, found=row_count, allowed=f"{self.message_count}, one for each message"
            )
        self.seeded_count = 0
        self.books_not_checked: Counter[str] = Counter()
        self.executions_not_checked: Counter[str] = Counter()
        self._own_id = OWN_ID_FIRST
        self._halted = False
        self._sides: dict[int, dict[int, dict[int, int]]] = {SELL: {}, BUY: {}}  # side, price, order id in time order: quantity
        self._ahead = Ahead(self._messages, edges)

    def __iter__(self) -> Iterator[Step]:
        previous: Row | None = None
        in_step = False
        with opened(self._source) as (_, _, _, rows):
            for index, (message, line) in enumerate(zip(self._messages, rows, strict=False)):
                row = read_row(line, index, self.name, self.level_count)
                if previous is None:
                    previous = _before(message, row)
                actions: list[Action] = []
                reason = self._why_not_followed(message, previous, row)
                if reason is None:
                    if not in_step:
                        self._rebuild(previous, actions, index)
                    self._follow(message, row, actions, index)
                    asks, bids = list(row[0].items()), list(row[1].items())
                    book = Book(asks=asks, bids=bids, depth=self.level_count)
                    yield Step(actions=tuple(actions), book=book, row=index + 1, line=index + 1)
                else:
                    self._pass_over(message, index, reason)
                in_step = reason is None
                previous = row

    def _pass_over(self, message: Message, index: int, reason: str) -> None:
        self.books_not_checked[reason] += 1
        if message.type == EXECUTION:
            self.executions_not_checked[reason] += 1
        self._ahead.take_note(message, index)
        self._ahead.forget(message.order_id, message.side, message.price)

    # Following the messages.

    def _why_not_followed(self, message: Message, previous: Row, row: Row) -> str | None:
        was_halted = self._halted
        if message.type == HALT:
            self._halted = message.price != RESUMPTION_PRICE
        if was_halted or message.type == HALT:
            return NOT_FOLLOWED_HALT
        if message.type == CROSS:
            return NOT_FOLLOWED_CROSS
        return NOT_FOLLOWED_CROSSED if _is_crossed(previous) or _is_crossed(row) else None

    def _rebuild(self, row: Row, actions: list[Action], index: int) -> None:
        """Makes the book that of `row`, which comes before message `index`."""
        for side, quantities in ((SELL, row[0]), (BUY, row[1])):
            for price in list(self._sides[side]):
                self._evict(side, price, actions, index)
            for price, quantity in quantities.items():
                self._seed(side, price, quantity, actions, index)

    def _follow(self, message: Message, row: Row, actions: list[Action], index: int) -> None:
        """Does what the message says, then lets levels fall out of sight and come into it, beyond the worst level that was seen before."""
        edges = {side: self._edge(side) for side in (SELL, BUY)}
        if message.type == HIDDEN_EXECUTION:
            self.executions_not_checked[NOT_REPLAYED_HIDDEN] += 1
        else:
            self._ahead.take_note(message, index)
            edge = edges[message.side]
            if edge is None or not _is_worse(message.side, message.price, edge):
                self._act(message, actions, index)
            else:  # out of sight, so it changes nothing here
                self._ahead.forget(message.order_id, message.side, message.price)
        for side, quantities in ((SELL, row[0]), (BUY, row[1])):
            levels = self._sides[side]
            if levels.keys() == quantities.keys():
                continue
            if len(quantities) == self.level_count:
                worst = next(reversed(quantities))
                for price in [price for price in levels if _is_worse(side, price, worst)]:
                    self._evict(side, price, actions, index)
            edge = edges[side]
            for price, quantity in quantities.items():
                if price not in levels and edge is not None and _is_worse(side, price, edge):
                    self._seed(side, price, quantity, actions, index)

    def _edge(self, side: int) -> int | None:
        """The worst price in sight; None where the side has less than the file's levels, so that all of it is in sight."""
        levels = self._sides[side]
        if len(levels) < self.level_count:
            return None
        return max(levels) if side == SELL else min(levels)

    def _act(self, message: Message, actions: list[Action], index: int) -> None:
        kind, order_id, size, price, side = message
        levels = self._sides[side]
        orders = levels.get(price, {})
        number = index + 1
        if kind == SUBMISSION:
            levels.setdefault(price, {})[order_id] = size
            actions.append(Action(code="A", order_id=order_id, side=side, price=price, quantity=size, row=number, line=number))
            return
        if kind == DELETION:
            actions.append(Action(code="D", order_id=order_id, row=number, line=number))
            size = orders.get(order_id, 0)
        elif kind == EXECUTION and self._is_next(order_id, side, price):
            taker = self._new_id()
            trade = (order_id, taker, price, size)
            actions.append(
                Action(code="X", order_id=taker, side=_OTHER[side], price=price, quantity=size, trades=(trade,), row=number, line=number)
            )
        else:
            if kind == EXECUTION:
                self.executions_not_checked[NOT_REPLAYED_PRIORITY] += 1
            actions.append(Action(code="R", order_id=order_id, quantity=size, row=number, line=number))
        if order_id in orders:
            orders[order_id] -= size
            if orders[order_id] <= 0:
                del orders[order_id]
                if not orders:
                    del levels[price]

    def _is_next(self, order_id: int, side: int, price: int) -> bool:
        """Whether an order is the next of its side to trade. True also of an order that is not there: that is for the market to find."""
        levels = self._sides[side]
        if order_id not in levels.get(price, {}):
            return True
        best = min(levels) if side == SELL else max(levels)
        return price == best and next(iter(levels[price])) == order_id

    def _evict(self, side: int, price: int, actions: list[Action], index: int) -> None:
        for order_id in self._sides[side].pop(price):
            actions.append(Action(code="D", order_id=order_id, row=index + 1, line=index + 1))
            self._ahead.forget(order_id, side, price)

    def _seed(self, side: int, price: int, quantity: int, actions: list[Action], index: int) -> None:
        """Puts a level into the book: the orders that messages will name while it stays in sight, then the rest as one order."""
        orders = self._ahead.orders_of_level(side, price, quantity, index)
        left = quantity - sum(orders.values())
        if left:
            orders[self._new_id()] = left
        self._sides[side][price] = orders
        self.seeded_count += len(orders)
        for order_id, each in orders.items():
            actions.append(Action(code="S", order_id=order_id, side=side, price=price, quantity=each, row=index + 1, line=index + 1))

    def _new_id(self) -> int:
        self._own_id += 1
        return self._own_id


def _is_worse(side: int, price: int, than: int) -> bool:
    return price > than if side == SELL else price < than


def _is_crossed(row: Row) -> bool:
    asks, bids = row
    return bool(asks and bids) and next(iter(bids)) >= next(iter(asks))


def _before(message: Message, row: Row) -> Row:
    """The row that stood before `row`, which the message made: the first message, too, has a book to act on."""
    asks, bids = dict(row[0]), dict(row[1])
    side = asks if message.side == SELL else bids
    if message.type in (PARTIAL_CANCEL, DELETION, EXECUTION):
        side[message.price] = side.get(message.price, 0) + message.size
    elif message.type == SUBMISSION and side.get(message.price, 0) >= message.size:
        side[message.price] -= message.size
        if not side[message.price]:
            del side[message.price]
    return dict(sorted(asks.items())), dict(sorted(bids.items(), reverse=True))
