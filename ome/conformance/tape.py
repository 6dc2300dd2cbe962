"""Tapes: order flow as commands, with the trades and the books that must come out. Every line must hold.

A tape is text (`.csv`, or `.csv.gz`), one line each, the first field a row number; lines that start with `#` are
comments.

    row,S,id,side,price,quantity   an order that rests whole; A is the same. side is buy or sell
    row,X,id,side,price,quantity   an IOC order
    row,L,id,side,price,quantity   a marketable limit order; what does not trade rests
    row,R,id,quantity              takes quantity off an order
    row,M,id,price,quantity        amends an order to this price and this open quantity
    row,D,id                       cancels an order
    row,T,maker,taker,price,quantity   a trade that the command just before must cause, in order, and no others
    row,=,ask,quantity,bid,quantity,...   the best levels now, best first, as many as the line has; 0,0 if there is none

An id is a client order id, 1 to 2^64 - 1, and may be used again when its order is gone. All orders belong to one
participant and one instrument, with tick 1 and signed prices.

`read_tape` turns lines into steps; `run_steps` applies steps from any source and compares the market with them, event
by event.
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from ome.codec import COMMAND, Records, command_structure, event_structure, record_bytes, records_of
from ome.conformance.market import Market, MarketFactory, SeekableMarket
from ome.enums import CommandFlags, CommandKind, EventKind, OrderType, Reason, Side, TimeInForce
from ome.errors import InvalidValueError, OmeError
from ome.instruments import Instrument

__all__ = ["Action", "Book", "Mismatch", "Progress", "Step", "TapeResult", "read_tape", "run_steps", "run_tape"]

Progress = Callable[[int], None]
"""Told now and then how many commands have been applied."""

Trade = tuple[int, int, int, int]
"""Maker's id, taker's id, price, quantity."""

TAPE_INSTRUMENT: Final = Instrument("TAPE", tick=1, signed_prices=True)
_ACTIONS_PER_STEP_MAX: Final = 1024
_COMMANDS_PER_PROGRESS: Final = 4096
_FORMS: Final = {
    "S": "row,S,id,side,price,quantity",
    "A": "row,A,id,side,price,quantity",
    "X": "row,X,id,side,price,quantity",
    "L": "row,L,id,side,price,quantity",
    "R": "row,R,id,quantity",
    "M": "row,M,id,price,quantity",
    "D": "row,D,id",
    "T": "row,T,maker,taker,price,quantity, after a command",
    "=": "row,=,ask,quantity,bid,quantity,... with four numbers for each level",
}
_SIDES: Final = {"buy": int(Side.BUY), "sell": int(Side.SELL)}
_NEW_CODES: Final = frozenset("SAXL")
_ACCEPTED, _TRADE, _CANCELLED = int(EventKind.ACCEPTED), int(EventKind.TRADE), int(EventKind.CANCELLED)
_REDUCED, _AMENDED, _RESTED = int(EventKind.REDUCED), int(EventKind.AMENDED), int(EventKind.RESTED)
_PARTICIPANT: Final = 1
_INSTRUMENT: Final = 1
_pack_new = command_structure(CommandKind.NEW_ORDER).pack
_pack_cancel = command_structure(CommandKind.CANCEL_ORDER).pack
_pack_reduce = command_structure(CommandKind.REDUCE_ORDER).pack
_pack_amend = command_structure(CommandKind.AMEND_ORDER).pack

# The structure of a trade has a field for every byte of an event, so it reads all kinds: sequence, order id, client order id, price,
# quantity, resting order id, resting client order id, instrument, kind, side, reason, flags.
_iterate_events = event_structure(EventKind.TRADE).iter_unpack
_Event = tuple[int, ...]
_Told = tuple[int, int, int, int, int]
"""What is compared of an event: kind, client order id, the resting order's client order id (0 but for a trade), price, quantity."""


class Mismatch(OmeError):  # noqa: N818 - what a run finds, not a fault of the run
    """The market did something else than what the source says. `expected` and `found` tell what, `row` and `line` where."""

    def __init__(self, what: str, *, source: str, row: int, line: int, expected: str, found: str) -> None:
        super().__init__(f"{source}, line {line} (row {row}): {what}: expected {expected}; found {found}")
        self.what = what
        self.where = source
        self.row = row
        self.line = line
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One command, and the trades that it must cause, in order. `code` is that of its line in a tape; what a code does not need is 0."""

    code: str
    order_id: int
    side: int = 0
    price: int = 0
    quantity: int = 0
    trades: Sequence[Trade] = ()
    row: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The best `depth` levels of each side, (price, quantity), best first; fewer where a side has fewer."""

    asks: list[tuple[int, int]]
    bids: list[tuple[int, int]]
    depth: int

    def __str__(self) -> str:
        pairs = [
            pair
            for index in range(self.depth)
            for levels in (self.asks, self.bids)
            for pair in (levels[index] if index < len(levels) else (0, 0))
        ]
        return ",".join(map(str, pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Commands to apply in one go, and the book that must be there after the last of them, unless that is None."""

    actions: tuple[Action, ...]
    book: Book | None
    row: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeResult:
    """What held: the numbers of commands applied, of trades and of books compared. `seconds` is the time that it took."""

    source: str
    instrument: Instrument
    commands: int
    trades: int
    books: int
    seconds: float


def run_tape(path: Path | str, market_factory: MarketFactory, progress: Progress | None = None) -> TapeResult:
    """Replays the tape at `path` and holds the market to every line of it.

    Raises Mismatch at the first line that does not hold, InvalidValueError for a file or a line that is not as this module says.
    """
    path = Path(path)
    return run_steps(read_tape(path), market_factory([TAPE_INSTRUMENT]), path.name, TAPE_INSTRUMENT, progress)


def read_tape(path: Path | str) -> Iterator[Step]:
    """The steps of the tape at `path`, read as they are asked for. A step ends at a book line, or after many commands without one.

    Raises InvalidValueError for a file that cannot be read, a line that does not have the form of its code, or a tape without a line.
    """
    path = Path(path)
    actions: list[Action] = []
    trades: list[Trade] | None = None  # of the command read last, which holds the same list; None where a trade may not stand
    row = line = 0
    for line, content in _lines(path):
        fields = content.split(",")
        try:
            row, code = int(fields[0]), fields[1]
            if code == "=":
                book = _book(fields)
            elif code == "T":
                _append_trade(trades, fields)
                continue
            else:
                trades = []
                action = _action(fields, row, line, trades)
        except (ValueError, KeyError, IndexError):
            raise _refusal(path.name, line, content, fields) from None
        if code == "=":
            yield Step(actions=tuple(actions), book=book, row=row, line=line)
            actions, trades = [], None
            continue
        if len(actions) >= _ACTIONS_PER_STEP_MAX:
            yield Step(actions=tuple(actions), book=None, row=row, line=line)
            actions = []
        actions.append(action)
    if line == 0:
        raise InvalidValueError("tape", where=str(path), found="no line", allowed="lines of commands, trades and books")
    if actions:
        yield Step(actions=tuple(actions), book=None, row=row, line=line)


def run_steps(steps: Iterable[Step], market: Market, source: str, instrument: Instrument, progress: Progress | None = None) -> TapeResult:
    """Applies the steps to instrument 1 of `market`, and compares all that comes out. Raises Mismatch at the first difference."""
    started = time.perf_counter()
    commands = trades = books = 0
    pending = iter(steps)
    seekable = market if isinstance(market, SeekableMarket) else None
    steps_per_call = seekable.steps_per_call if seekable is not None else 1
    sequence = 0  # of the command before the book that is compared
    while part := list(islice(pending, steps_per_call)):
        actions = [action for step in part for action in step.actions]
        sequences = _apply(actions, market, source) if actions else []
        done = 0
        for step in part:
            done += len(step.actions)
            if step.book is None:
                continue
            sequence = sequences[done - 1] if done else sequence
            if seekable is not None:
                seekable.seek(sequence)
            _compare_book(step, step.book, market, source)
            books += 1
        commands += done
        trades += sum([len(action.trades) for action in actions])
        if progress is not None and commands // _COMMANDS_PER_PROGRESS != (commands - done) // _COMMANDS_PER_PROGRESS:
            progress(commands)
    seconds = time.perf_counter() - started
    return TapeResult(source=source, instrument=instrument, commands=commands, trades=trades, books=books, seconds=seconds)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line number from 1, and text, of all lines but comments and empty ones."""
    try:
        with gzip.open(path, "rt", encoding="ascii") if path.suffix == ".gz" else path.open("r", encoding="ascii") as text:
            for line, raw in enumerate(text, 1):
                content = raw.strip()
                if content and not content.startswith("#"):
                    yield line, content
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InvalidValueError("tape", where=str(path), found=str(error), allowed="a readable .csv or .csv.gz file") from error


def _action(fields: list[str], row: int, line: int, trades: list[Trade]) -> Action:
    code = fields[1]
    if code in _NEW_CODES:
        _, _, order_id, side, price, quantity = fields
        return Action(
            code=code,
            order_id=_id(order_id),
            side=_SIDES[side],
            price=_signed(price),
            quantity=_signed(quantity),
            trades=trades,
            row=row,
            line=line,
        )
    if code == "D":
        _, _, order_id = fields
        return Action(code=code, order_id=_id(order_id), trades=trades, row=row, line=line)
    if code == "R":
        _, _, order_id, quantity = fields
        return Action(code=code, order_id=_id(order_id), quantity=_signed(quantity), trades=trades, row=row, line=line)
    if code == "M":
        _, _, order_id, price, quantity = fields
        price_and_quantity = {"price": _signed(price), "quantity": _signed(quantity)}
        return Action(code=code, order_id=_id(order_id), **price_and_quantity, trades=trades, row=row, line=line)
    raise KeyError(code)


def _append_trade(trades: list[Trade] | None, fields: list[str]) -> None:
    if trades is None:
        raise ValueError
    _, _, maker, taker, price, quantity = fields
    trades.append((_id(maker), _id(taker), _signed(price), _signed(quantity)))


def _book(fields: list[str]) -> Book:
    values = [int(value) for value in fields[2:]]
    if not values or len(values) % 4:
        raise ValueError
    asks, bids = list(zip(values[0::4], values[1::4], strict=True)), list(zip(values[2::4], values[3::4], strict=True))
    for levels in (asks, bids):
        while levels and levels[-1] == (0, 0):
            levels.pop()
    return Book(asks=asks, bids=bids, depth=len(values) // 4)


def _id(text: str) -> int:
    value = int(text)
    if not 0 < value < 2**64:
        raise ValueError
    return value


def _signed(text: str) -> int:
    value = int(text)
    if not -(2**63) < value < 2**63:
        raise ValueError
    return value


def _refusal(name: str, line: int, content: str, fields: list[str]) -> InvalidValueError:
    form = _FORMS.get(fields[1]) if len(fields) > 1 else None
    return InvalidValueError("tape line", where=f"{name}, line {line}", found=content, allowed=form or "; ".join(_FORMS.values()))


def _record(action: Action) -> bytes:
    """The command of an action. Its values are timestamp, client order id, what the kind has, account, participant, session, the session's
    sequence, instrument, kind, what the kind has, flags, and the last two bytes."""
    code = action.code
    if code in _NEW_CODES:
        time_in_force = TimeInForce.IOC if code == "X" else TimeInForce.GTC
        return _pack_new(
            *(0, action.order_id, action.price, action.quantity, 0, _PARTICIPANT, 0, 0, _INSTRUMENT),
            *(CommandKind.NEW_ORDER, action.side, OrderType.LIMIT, time_in_force, 0, 0, 0),
        )
    if code == "D":
        return _pack_cancel(0, action.order_id, 0, _PARTICIPANT, 0, 0, _INSTRUMENT, CommandKind.CANCEL_ORDER, 0, 0)
    if code == "R":
        return _pack_reduce(0, action.order_id, action.quantity, 0, _PARTICIPANT, 0, 0, _INSTRUMENT, CommandKind.REDUCE_ORDER, 0, 0)
    return _pack_amend(
        *(0, action.order_id, action.price, action.quantity, 0, _PARTICIPANT, 0, 0, _INSTRUMENT),
        *(CommandKind.AMEND_ORDER, CommandFlags.OPEN_QUANTITY, 0),
    )


def commands_of(actions: Sequence[Action]) -> Records:
    """The commands (dtype COMMAND) of these actions, for instrument 1 and participant 1."""
    return records_of(b"".join([_record(action) for action in actions]), COMMAND)


def _apply(actions: Sequence[Action], market: Market, source: str) -> list[int]:
    """Applies the commands in one call and compares the events of each with what its action says. Returns the sequence of each."""
    sequences = []
    commands = commands_of(actions)
    events = _iterate_events(record_bytes(market.apply_records(commands)))
    event = next(events, None)
    for action in actions:
        found: list[_Event] = []
        sequence = event[0] if event is not None else 0
        sequences.append(sequence)
        while event is not None and event[0] == sequence:
            found.append(event)
            event = next(events, None)
        told = [_told(each) for each in found]
        if told != (expected := _expected(action, found)):
            what = f"{action.code},{action.order_id}"
            texts = {"expected": _text(expected), "found": _text(told, found)}
            raise Mismatch(what, source=source, row=action.row, line=action.line, **texts)
    if event is not None:
        last, texts = actions[-1], {"expected": "no more events", "found": _text([_told(event)], [event])}
        raise Mismatch("events", source=source, row=last.row, line=last.line, **texts)
    return sequences


def _told(event: _Event) -> _Told:
    kind = event[8]
    return kind, event[2], event[6] if kind == EventKind.TRADE else 0, event[3], event[4]


def _expected(action: Action, found: list[_Event]) -> list[_Told]:
    """All that the action's command must cause. What a tape does not say, as the quantity that a cancel takes off, is taken as found."""
    code, order_id, price, quantity = action.code, action.order_id, action.price, action.quantity
    found_price, found_quantity, found_reason = (found[0][3], found[0][4], found[0][10]) if found else (0, 0, 0)
    if code == "D" or (code == "M" and quantity <= 0):
        return [(_CANCELLED, order_id, 0, found_price, found_quantity)]
    if code == "R":
        if found_reason == Reason.REDUCED_AWAY and found_quantity <= quantity:
            return [(_CANCELLED, order_id, 0, found_price, found_quantity)]
        return [(_REDUCED, order_id, 0, found_price, quantity)]
    events = [(_AMENDED if code == "M" else _ACCEPTED, order_id, 0, price, quantity)]
    for maker, taker, trade_price, trade_quantity in action.trades:
        events.append((_TRADE, taker, maker, trade_price, trade_quantity))
        quantity -= trade_quantity
    if code == "X":
        if quantity:
            events.append((_CANCELLED, order_id, 0, price, quantity))
    elif action.trades and (quantity or code in "SA"):
        events.append((_RESTED, order_id, 0, price, quantity))
    return events


def _text(told: Sequence[_Told], events: Sequence[_Event] = ()) -> str:
    """Events as a person reads them; with a reason where one is given."""
    reasons = [Reason(event[10]) for event in events] or [Reason.NONE] * len(told)
    parts = []
    for (kind, order_id, resting_id, price, quantity), reason in zip(told, reasons, strict=True):
        subject = f"{resting_id} with {order_id}" if kind == EventKind.TRADE else f"{order_id}"
        parts.append(f"{EventKind(kind).name} {subject}, {quantity} at {price}" + (f" ({reason.name})" if reason else ""))
    return "; ".join(parts) or "nothing"


def _compare_book(step: Step, book: Book, market: Market, source: str) -> None:
    asks = [(level[0], level[1]) for level in market.levels(_INSTRUMENT, Side.SELL, book.depth)]
    bids = [(level[0], level[1]) for level in market.levels(_INSTRUMENT, Side.BUY, book.depth)]
    if asks != book.asks or bids != book.bids:
        found = Book(asks=asks, bids=bids, depth=book.depth)
        raise Mismatch("book", source=source, row=step.row, line=step.line, expected=str(book), found=str(found))
