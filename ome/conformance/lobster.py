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

import re
import time
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ome.conformance.market import MarketFactory
from ome.conformance.tape import Action, Book, Progress, Step, run_steps
from ome.enums import Side
from ome.errors import InvalidValueError
from ome.instruments import Instrument

__all__ = ["LobsterResult", "LobsterTape", "lobster_tape", "run_lobster"]

LobsterSource = Path | str | tuple[Path | str, Path | str]
"""A zip file or a folder that holds one message file and one orderbook file, or these two files."""

SUBMISSION: Final = 1
PARTIAL_CANCEL: Final = 2
DELETION: Final = 3
EXECUTION: Final = 4
HIDDEN_EXECUTION: Final = 5
CROSS: Final = 6
HALT: Final = 7
RESUMPTION_PRICE: Final = 1  # of a HALT message: trading goes on

NOT_FOLLOWED_CROSS: Final = "cross trade"
NOT_FOLLOWED_HALT: Final = "trading halt"
NOT_FOLLOWED_CROSSED: Final = "crossed or locked book"
NOT_REPLAYED_HIDDEN: Final = "execution of a hidden order"
NOT_REPLAYED_PRIORITY: Final = "execution out of price and time priority"

_OWN_ID_FIRST: Final = 2**63  # of orders that have no id of LOBSTER's
_NUMBER_MAX: Final = 2**62  # of prices and sizes
_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_OTHER: Final = {_BUY: _SELL, _SELL: _BUY}
_NAME: Final = re.compile(r"(?P<symbol>[^_/]+)_.*(?P<kind>message|orderbook).*\.csv$", re.IGNORECASE)
_SOURCE_FORM: Final = "a zip file or folder with one SYMBOL_..._message_....csv and one SYMBOL_..._orderbook_....csv, or these two files"
_MESSAGE_FORM: Final = (
    "time,type,order id,size,price,direction: type 1 to 7, direction 1 or -1, whole numbers but for the time, ids below 2^63"
)
_BOOK_FORM: Final = "ask price,ask size,bid price,bid size for each level, as many levels in each row, whole numbers"


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


class Message(NamedTuple):
    """One row of the message file. `side` is that of the order it is about."""

    type: int
    order_id: int
    size: int
    price: int
    side: int


Quantities = dict[int, int]
"""Quantity by price, of one side of a row of the orderbook file, best first."""

Row = tuple[Quantities, Quantities]
"""Asks and bids."""


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
        with _opened(source) as (self.name, symbol, messages, rows):
            self._messages = _read_messages(islice(messages, limit), self.name)
            self.level_count, self._edges = _read_edges(islice(rows, limit), self.name)
        self.instrument = Instrument(symbol, tick="0.0001")
        self.message_count = len(self._messages)
        if self.message_count != (row_count := len(self._edges[_SELL])):
            raise InvalidValueError(
                "orderbook rows", where=self.name, found=row_count, allowed=f"{self.message_count}, one for each message"
            )
        self.seeded_count = 0
        self.books_not_checked: Counter[str] = Counter()
        self.executions_not_checked: Counter[str] = Counter()
        self._own_id = _OWN_ID_FIRST
        self._halted = False
        self._sides: dict[int, dict[int, dict[int, int]]] = {_SELL: {}, _BUY: {}}  # side, price, order id in time order: quantity
        self._later: dict[int, list[int]] = {}  # order id: indexes of messages to come that change or end it, the next one last
        self._unseen: dict[tuple[int, int], list[tuple[int, int]]] = {}  # side and price: heap of (next message, order id) not in the book
        self._look_ahead()

    def __iter__(self) -> Iterator[Step]:
        previous: Row | None = None
        in_step = False
        with _opened(self._source) as (_, _, _, rows):
            for index, (message, line) in enumerate(zip(self._messages, rows, strict=False)):
                row = self._read_row(line, index)
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

    # What is to come.

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

    def _forget(self, order_id: int, side: int, price: int) -> None:
        """Notes that an order is in the market's book no more, though messages may yet name it."""
        if indexes := self._later.get(order_id):
            heappush(self._unseen.setdefault((side, price), []), (indexes[-1], order_id))

    def _leaves(self, side: int, price: int, index: int) -> int:
        """The index of the first row from `index` on in which this price is out of sight; the number of rows where there is none."""
        edges, start, length = self._edges[side], index, 64
        while start < self.message_count:
            part = edges[start : start + length]
            out_of_sight = part < price if side == _SELL else part > price
            if out_of_sight[first := int(out_of_sight.argmax())]:
                return start + first
            start, length = start + length, length * 4
        return self.message_count

    def _pass_over(self, message: Message, index: int, reason: str) -> None:
        self.books_not_checked[reason] += 1
        if message.type == EXECUTION:
            self.executions_not_checked[reason] += 1
        self._take_note(message, index)
        self._forget(message.order_id, message.side, message.price)

    def _take_note(self, message: Message, index: int) -> None:
        """The message is not to come any more."""
        indexes = self._later.get(message.order_id)
        if indexes and indexes[-1] == index:
            indexes.pop()

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
        for side, quantities in ((_SELL, row[0]), (_BUY, row[1])):
            for price in list(self._sides[side]):
                self._evict(side, price, actions, index)
            for price, quantity in quantities.items():
                self._seed(side, price, quantity, actions, index)

    def _follow(self, message: Message, row: Row, actions: list[Action], index: int) -> None:
        """Does what the message says, then lets levels fall out of sight and come into it, beyond the worst level that was seen before."""
        edges = {side: self._edge(side) for side in (_SELL, _BUY)}
        if message.type == HIDDEN_EXECUTION:
            self.executions_not_checked[NOT_REPLAYED_HIDDEN] += 1
        else:
            self._take_note(message, index)
            edge = edges[message.side]
            if edge is None or not _is_worse(message.side, message.price, edge):
                self._act(message, actions, index)
            else:  # out of sight, so it changes nothing here
                self._forget(message.order_id, message.side, message.price)
        for side, quantities in ((_SELL, row[0]), (_BUY, row[1])):
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
        return max(levels) if side == _SELL else min(levels)

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
        best = min(levels) if side == _SELL else max(levels)
        return price == best and next(iter(levels[price])) == order_id

    def _evict(self, side: int, price: int, actions: list[Action], index: int) -> None:
        for order_id in self._sides[side].pop(price):
            actions.append(Action(code="D", order_id=order_id, row=index + 1, line=index + 1))
            self._forget(order_id, side, price)

    def _seed(self, side: int, price: int, quantity: int, actions: list[Action], index: int) -> None:
        """Puts a level of `quantity` into the book: the orders that messages will name while it stays in sight, then the rest as one order.

        An order holds at least what all later messages take off it. In the queue, orders are in the order in which they
        trade, and those that do not trade behind them.
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
            first_execution = next((each for each in reversed(later) if self._messages[each].type == EXECUTION), self.message_count)
            named[order_id] = (first_execution, needed)
            left -= needed
        orders = {order_id: named[order_id][1] for order_id in sorted(named, key=lambda each: (named[each][0], each))}
        if left:
            orders[self._new_id()] = left
        self._sides[side][price] = orders
        self.seeded_count += len(orders)
        for order_id, each in orders.items():
            actions.append(Action(code="S", order_id=order_id, side=side, price=price, quantity=each, row=index + 1, line=index + 1))

    def _new_id(self) -> int:
        self._own_id += 1
        return self._own_id

    def _read_row(self, line: str, index: int) -> Row:
        try:
            values = [int(value) for value in line.split(",")]
            if len(values) != 4 * self.level_count or max(values) > _NUMBER_MAX or min(values) < -_NUMBER_MAX:
                raise ValueError
        except ValueError:
            raise _row_refusal(self.name, line, index) from None
        asks = {price: size for price, size in zip(values[0::4], values[1::4], strict=True) if size}
        bids = {price: size for price, size in zip(values[2::4], values[3::4], strict=True) if size}
        return asks, bids


def _is_worse(side: int, price: int, than: int) -> bool:
    return price > than if side == _SELL else price < than


def _is_crossed(row: Row) -> bool:
    asks, bids = row
    return bool(asks and bids) and next(iter(bids)) >= next(iter(asks))


def _before(message: Message, row: Row) -> Row:
    """The row that stood before `row`, which the message made: the first message, too, has a book to act on."""
    asks, bids = dict(row[0]), dict(row[1])
    side = asks if message.side == _SELL else bids
    if message.type in (PARTIAL_CANCEL, DELETION, EXECUTION):
        side[message.price] = side.get(message.price, 0) + message.size
    elif message.type == SUBMISSION and side.get(message.price, 0) >= message.size:
        side[message.price] -= message.size
        if not side[message.price]:
            del side[message.price]
    return dict(sorted(asks.items())), dict(sorted(bids.items(), reverse=True))


def _read_messages(lines: Iterable[str], name: str) -> list[Message]:
    messages = []
    sides = {"1": _BUY, "-1": _SELL}
    for number, line in enumerate(lines, 1):
        try:
            _, kind_text, order_id, size, price, direction = line.split(",")[:6]
            kind = int(kind_text)
            if not SUBMISSION <= kind <= HALT:
                raise ValueError
            side = sides[direction.strip()] if kind <= EXECUTION else _BUY
            message = Message(kind, int(order_id), int(size), int(price), side)
            if kind <= EXECUTION and not (0 < message.order_id < _OWN_ID_FIRST and max(message.size, abs(message.price)) <= _NUMBER_MAX):
                raise ValueError
            messages.append(message)
        except (ValueError, KeyError):
            where = f"{name}, message row {number}"
            raise InvalidValueError("message", where=where, found=line.strip(), allowed=_MESSAGE_FORM) from None
    if not messages:
        raise InvalidValueError("messages", where=name, found="none", allowed="one row or more")
    return messages


def _read_edges(lines: Iterable[str], name: str) -> tuple[int, dict[int, NDArray[np.int64]]]:
    """How many levels a row has, and the worst price in sight of each side after each row: beyond all prices where a side has fewer."""
    asks, bids, level_count = array("q"), array("q"), 0
    for index, line in enumerate(lines):
        level_count = level_count or (line.count(",") + 1) // 4
        try:
            ask, ask_size, bid, bid_size = (int(value) for value in line.rsplit(",", 4)[-4:])
            asks.append(ask if ask_size else _NUMBER_MAX)
            bids.append(bid if bid_size else -_NUMBER_MAX)
        except (ValueError, OverflowError):
            raise _row_refusal(name, line, index) from None
    return level_count, {_SELL: np.array(asks, dtype=np.int64), _BUY: np.array(bids, dtype=np.int64)}


def _row_refusal(name: str, line: str, index: int) -> InvalidValueError:
    return InvalidValueError("orderbook", where=f"{name}, orderbook row {index + 1}", found=line.strip(), allowed=_BOOK_FORM)


@contextmanager
def _opened(source: LobsterSource) -> Iterator[tuple[str, str, IO[str], IO[str]]]:
    """The name of the source, its symbol, and its message and orderbook files, open."""
    place = " and ".join(map(str, source)) if isinstance(source, tuple) else str(source)
    try:
        with ExitStack() as stack:
            if isinstance(source, tuple):
                message_path, book_path = Path(source[0]), Path(source[1])
            elif (path := Path(source)).is_dir():
                message_path, book_path = (path / name for name in _pair([each.name for each in path.iterdir()], place))
            else:
                archive = stack.enter_context(zipfile.ZipFile(path))
                members = _pair(archive.namelist(), place)
                files = [stack.enter_context(TextIOWrapper(archive.open(name), encoding="ascii")) for name in members]
                yield path.name, _symbol(members[0]), files[0], files[1]
                return
            messages = stack.enter_context(message_path.open(encoding="ascii"))
            yield message_path.name, _symbol(message_path.name), messages, stack.enter_context(book_path.open(encoding="ascii"))
    except (OSError, EOFError, UnicodeDecodeError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidValueError("LOBSTER data", where=place, found=str(error), allowed=_SOURCE_FORM) from error


def _pair(names: list[str], place: str) -> tuple[str, str]:
    """The message file and the orderbook file among these names."""
    found = {
        kind: [name for name in names if (match := _NAME.search(name)) and match["kind"].lower() == kind]
        for kind in ("message", "orderbook")
    }
    if any(len(each) != 1 for each in found.values()):
        raise InvalidValueError("LOBSTER data", where=place, found=[name for each in found.values() for name in each], allowed=_SOURCE_FORM)
    return found["message"][0], found["orderbook"][0]


def _symbol(name: str) -> str:
    match = _NAME.search(name)
    return match["symbol"] if match else "LOBSTER"
