"""The engine inside your process: the C core behind one call for one order, and one call for a million.

Prices and quantities are decimal numbers in units of the instrument, wherever they go in or come out as objects: `Decimal`, `str`, `int`
and integers of numpy go in, `Decimal` comes out. Arrays and messages hold integers, of price units and lots; names say so.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from weakref import WeakSet

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import (
    COMMAND,
    EVENT,
    EVENT_ROW,
    OrderOptions,
    Records,
    Rows,
    SelfTradeName,
    SelfTradeScopeName,
    SideName,
    Time,
    TimeInForceName,
    amend_order,
    cancel_order,
    decode_events,
    define_instrument,
    encode_commands,
    expire_orders,
    mass_cancel,
    new_order,
    record_bytes,
    reduce_order,
    set_last_price,
    side_of,
    time_ns,
)
from ome.enums import InstrumentFlags, OrderType, Reason, SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError, NotCopyable, OmeError, one_of
from ome.instruments import Instrument
from ome.messages import (
    NULL_VALUE,
    Cancelled,
    Command,
    Completed,
    Displayed,
    Event,
    Limits,
    OrderEvent,
    Prevented as PreventedEvent,
    Rejected,
    Trade as TradeEvent,
    Triggered,
)
from ome.units import Integer, Number, decimal_of, integer_of, number_of, units_of

__all__ = [
    "Book",
    "Completion",
    "ConcurrentUseError",
    "Engine",
    "EngineClosedError",
    "EngineState",
    "EngineView",
    "Level",
    "OpenOrder",
    "OrderRejectedError",
    "Prevented",
    "Report",
    "SessionState",
    "Trade",
    "event_rows",
]

_RECORD_SIZE: Final = 64
_DEPTH_MAX: Final = 2**24  # levels of one side; more than an engine can hold
_ORDER_COUNT_FIRST: Final = 256  # how many orders are asked for, before more
# Looked up once: a tenth of what a call of a few commands costs.
_batch_apply, _batch_events, _batch_event_count = lib.ome_batch_apply, lib.ome_batch_events, lib.ome_batch_event_count
_from_buffer, _buffer = ffi.from_buffer, ffi.buffer
_UINT16_MAX: Final = 2**16 - 1
_REPR_SYMBOLS: Final = 5  # symbols that the text of an engine shows

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V", bound="EngineView")
_Checked = TypeVar("_Checked")


class EngineClosedError(OmeError):
    """The engine was closed before this call, or made before a fork of this process."""


class ConcurrentUseError(OmeError, RuntimeError):
    """Another call on the same engine had not returned yet: in another thread, or in what a signal interrupted. This call did nothing."""


class OrderRejectedError(OmeError):
    """A command was refused; `reason` says why. Raised only where asked for: `Report.raise_for_rejection`."""

    def __init__(self, reason: Reason, **context: str) -> None:
        self.reason = reason
        super().__init__(f"command refused: {reason.name}", **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade, at the resting order's price. Without `resting_` the ids and the account are the aggressor's, as `side` is.

    An account is the name that it was given by, or its number.
    """

    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    order_id: int
    client_order_id: int
    account: str | int
    resting_order_id: int
    resting_client_order_id: int
    resting_account: str | int

    @property
    def buyer(self) -> str | int:
        """The account that bought."""
        return self.account if self.side is Side.BUY else self.resting_account

    @property
    def seller(self) -> str | int:
        """The account that sold."""
        return self.resting_account if self.side is Side.BUY else self.account


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevented:
    """A trade that self-trade prevention kept from happening. Fields as of a Trade."""

    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    order_id: int
    client_order_id: int
    account: str | int
    resting_order_id: int
    resting_client_order_id: int
    resting_account: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one command did to its order; all quantities in units of the instrument.

    `order_id` is the order's, 0 where the command was refused and had none; `symbol` is empty where a refused command named no instrument.
    `reason` is NONE, or why something was refused or cancelled. `trades` are the order's, in the order in which they happened; `prevented`
    what would have been trades with its own group; `cancelled` what was cancelled of it. Where the order is now: `resting` in the book, of
    which `displayed` is seen, or `waiting` for a stop price.

    `triggered` are the reports of the stops that the command set off, in the order in which they entered the market, its own order among
    them where it is a stop that triggered at once. `events` are all events of the command, other orders' too, as messages (price units and
    lots); in the report of a stop, those from its triggering on.
    """

    order_id: int
    client_order_id: int
    symbol: str
    accepted: bool
    reason: Reason
    trades: tuple[Trade, ...]
    prevented: tuple[Prevented, ...]
    cancelled: Decimal
    resting: Decimal
    displayed: Decimal
    waiting: Decimal
    triggered: tuple[Report, ...]
    events: tuple[Event, ...] = field(repr=False)

    def raise_for_rejection(self) -> Report:
        """Returns itself, or raises OrderRejectedError."""
        if not self.accepted:
            raise OrderRejectedError(self.reason)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a command did that is about many orders: a mass cancel, an expiry, a last price from outside.

    `order_ids` are the orders that it cancelled, in that order, and `cancelled` the sum of their quantities. `triggered` are the reports
    of the stops that it set off. `reason` is NONE, or why the command was refused. `events` are all events, as messages.
    """

    accepted: bool
    reason: Reason
    order_ids: tuple[int, ...]
    cancelled: Decimal
    triggered: tuple[Report, ...]
    events: tuple[Event, ...] = field(repr=False)

    def raise_for_rejection(self) -> Completion:
        """Returns itself, or raises OrderRejectedError."""
        if not self.accepted:
            raise OrderRejectedError(self.reason)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A price level as the market sees it: the quantity displayed, and how many orders display it."""

    price: Decimal
    quantity: Decimal
    order_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Both sides of a book as the market sees it, best level first. Hidden orders and reserves are not in it."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @property
    def best_bid(self) -> Level | None:
        """The highest bid, or None."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask, or None."""
        return self.asks[0] if self.asks else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that lives: at rest in the book, or waiting for its stop price. What it does not have is None.

    `leaves_quantity` is all that is open; at rest, `displayed_quantity` of it is what the market sees. `price` is the limit, of a waiting
    TRAILING_STOP_LIMIT the distance of its limit. `stop_price`, `trail_amount` and `trail_basis_points` are those of an order that waits.
    `account` is a number, or where an `Engine` was given a name for it that name. `deadline_ns` is nanoseconds since 1970.
    """

    order_id: int
    client_order_id: int
    symbol: str
    instrument: int
    side: Side
    price: Decimal | None
    leaves_quantity: Decimal
    cumulative_quantity: Decimal
    displayed_quantity: Decimal
    peak_quantity: Decimal | None
    stop_price: Decimal | None
    trail_amount: Decimal | None
    trail_basis_points: int | None
    deadline_ns: int | None
    account: str | int
    participant: int
    session: int
    order_type: OrderType
    time_in_force: TimeInForce
    is_waiting: bool
    is_hidden: bool
    is_post_only: bool
    self_trade_prevention: SelfTradePrevention
    self_trade_scope: SelfTradeScope
    self_trade_group: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """The counts of an engine since its first command: records, not commands, in `sequence`; what lives now in levels and special orders.

    `order_slot_count`: slots that orders ever used at once; an order id is never given twice, so they stay.
    """

    sequence: int
    time_ns: int
    trade_count: int
    event_count: int
    instrument_count: int
    session_count: int
    participant_count: int
    level_count: int
    special_count: int
    order_slot_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """A session that is defined: its number, its participant's name and number, and which of the participant's sessions it is."""

    session: int
    participant: int
    participant_name: str
    session_number: int


def limits_of(limits: Limits) -> CData:
    """Limits for C, an ome_limits_t *."""
    return ffi.new("ome_limits_t *", {name: getattr(limits, name) for name in Limits.__slots__})


def misfit(state: EngineState, sessions: Iterable[SessionState], limits: Limits, where: str) -> InvalidValueError:
    """What of an engine in this state, with these sessions, does not fit into other limits."""
    used = {
        "order_count_max": state.order_slot_count,
        "level_count_max": state.level_count,
        "instrument_count_max": state.instrument_count,
        # There may be gaps below the highest number of a session or participant.
        "session_count_max": max((max(session.session, session.participant) for session in sessions), default=0),
        "special_count_max": state.special_count,
    }
    too_few = [name for name, count in used.items() if getattr(limits, name) < count]
    found = ", ".join(f"{name} {getattr(limits, name):,}" for name in too_few)
    allowed = "at least " + ", ".join(f"{name} {used[name]:,}" for name in too_few) + ", which are in use"
    return InvalidValueError("limits", where=where, found=found, allowed=allowed)


def _one_call(method: Callable[Concatenate[V, P], R]) -> Callable[Concatenate[V, P], R]:
    """Lets a method run only while no other call on the engine does, and otherwise raises ConcurrentUseError.

    The GIL is released while C runs, so another thread may call meanwhile. `setdefault` takes the engine in one step, in which no other
    thread and no signal handler can come between, and notes by whom: so whatever ends the call, even a KeyboardInterrupt before the first
    line, the engine is given back exactly where it was taken. No function is called on the way back, since a signal could end that.
    """

    @functools.wraps(method)
    def call(self: V, /, *args: P.args, **kwargs: P.kwargs) -> R:
        holder, token = self._holder, object()
        try:
            if holder.setdefault("call", token) is not token:
                raise _concurrent_use()
            return method(self, *args, **kwargs)
        finally:
            if "call" in holder and holder["call"] is token:
                del holder["call"]

    return call


def _concurrent_use() -> ConcurrentUseError:
    return ConcurrentUseError("engine", found="another call that has not returned", allowed="one call at a time")


class EngineView(NotCopyable):
    """What can be read of a C engine, whoever owns it. An instrument is given by symbol or by number.

    The market: `book`, which everybody may see, and `levels`, the same as integers. The orders: `open_orders`, `orders`, `waiting`,
    `order`, `client_order`. The rest: `instruments`, `last_price`, `sessions`, `state`, `limits`, `state_hash`, `check`.

    One call at a time: another thread's raises ConcurrentUseError. In a fork of the process every call raises EngineClosedError.
    """

    _use_instead = "the commands, kept as arrays and applied to a new Engine; of a venue its journal or snapshots (ome.recovery.Replay)"

    def __init__(self, pointer: CData) -> None:
        self._pointer = pointer
        self._closed = "closed"  # what an engine is that cannot be used any more
        self._holder: dict[str, object] = {}  # of the call that runs: _one_call
        self._numbers: dict[str, int] = {}
        self._instruments: dict[int, Instrument] = {}
        _VIEWS.add(self)

    def __repr__(self) -> str:
        kind = type(self).__name__
        try:
            state, symbols = self.state, list(self.instruments)
        except OmeError as error:
            return f"<{kind}: {error.found}>"
        more = ", ..." if len(symbols) > _REPR_SYMBOLS else ""
        listed = f" ({', '.join(symbols[:_REPR_SYMBOLS])}{more})" if symbols else ""
        return (
            f"<{kind}: {state.instrument_count} instruments{listed}, sequence {state.sequence}, {state.trade_count} trades, "
            f"{state.level_count} levels>"
        )

    @property
    def _engine(self) -> CData:
        if self._pointer is None:
            raise EngineClosedError("engine", found=self._closed, allowed="an open engine of this process")
        return self._pointer

    @property
    @_one_call
    def state(self) -> EngineState:
        """All counts at once."""
        return self._state()

    @property
    @_one_call
    def limits(self) -> Limits:
        """What the engine was made with."""
        status = ffi.new("ome_engine_status_t *")
        lib.ome_engine_status(self._engine, status)
        return Limits(**{name: getattr(status, name) for name in Limits.__slots__})

    @property
    def sequence(self) -> int:
        """Records applied: of a command of several records, all of them."""
        return self.state.sequence

    @property
    def trade_count(self) -> int:
        """Trades so far; also the last trade's id."""
        return self.state.trade_count

    @property
    @_one_call
    def state_hash(self) -> int:
        """Hash of the whole state, 64 bits; the same on every machine after the same commands. Source: docs/RULES.md, Hashes."""
        return int(lib.ome_engine_state_hash(self._engine))

    @_one_call
    def book(self, instrument: str | Integer, depth: Integer | None = None) -> Book:
        """The best `depth` levels (None: all) of both sides, as the market sees them."""
        number = self._number(instrument)
        known = self._instruments[number]

        def side(which: Side) -> tuple[Level, ...]:
            return tuple(
                Level(price=known.price(price), quantity=known.quantity(lots), order_count=count)
                for price, lots, count in self._levels(number, which, depth)
            )

        return Book(bids=side(Side.BUY), asks=side(Side.SELL))

    @_one_call
    def levels(self, instrument: str | Integer, side: SideName | Side, depth: Integer | None = None) -> list[tuple[int, int, int]]:
        """The best `depth` levels (None: all) of a side, best first, as integers: price units, lots displayed, orders that display them."""
        return self._levels(self._number(instrument), side_of(side), depth)

    @_one_call
    def open_orders(self, instrument: str | Integer) -> list[OpenOrder]:
        """All orders of an instrument that live: bids and asks as they would trade, then waiting buys and sells as they would trigger."""
        number = self._number(instrument)
        queries = (lib.ome_engine_orders, lib.ome_engine_waiting_orders)
        return [order for query in queries for side in Side for order in self._all_orders(query, number, side)]

    @_one_call
    def orders(self, instrument: str | Integer, side: SideName | Side) -> list[OpenOrder]:
        """All orders at rest on a side as they would trade: best price first; at a price the displayed, then the hidden, as they queue."""
        return self._all_orders(lib.ome_engine_orders, self._number(instrument), side_of(side))

    @_one_call
    def waiting(self, instrument: str | Integer, side: SideName | Side) -> list[OpenOrder]:
        """All orders of a side that wait for their stop price as they would trigger: buys by rising stop price, sells by falling."""
        return self._all_orders(lib.ome_engine_waiting_orders, self._number(instrument), side_of(side))

    @_one_call
    def order(self, order_id: Integer) -> OpenOrder | None:
        """The order that lives and has this id, or None."""
        return self._order(integer_of(order_id, "order_id"))

    @_one_call
    def client_order(self, client_order_id: Integer, *, participant: Integer = 0) -> OpenOrder | None:
        """The participant's order that lives and has this client order id, or None."""
        wanted = integer_of(client_order_id, "client_order_id")
        owner = integer_of(participant, "participant", 0, _UINT16_MAX)
        found = ffi.new("ome_order_view_t *")
        status = lib.ome_engine_client_order(self._engine, owner, wanted, found)
        return self._open_order(found) if status == lib.OME_OK else None

    @property
    @_one_call
    def instruments(self) -> Mapping[str, tuple[int, Instrument]]:
        """Every instrument by symbol, with its number, as they are defined now."""
        self._learn()
        return MappingProxyType({symbol: (number, self._instruments[number]) for symbol, number in self._numbers.items()})

    @_one_call
    def last_price(self, instrument: str | Integer) -> Decimal | None:
        """The last trade price of an instrument; None before the first."""
        number = self._number(instrument)
        found = ffi.new("ome_instrument_view_t *")
        lib.ome_engine_instrument(self._engine, number, found)
        return None if found.last_trade_price == NULL_VALUE else self._instruments[number].price(int(found.last_trade_price))

    @property
    @_one_call
    def sessions(self) -> list[SessionState]:
        """Every session that is defined, by rising number. There may be gaps."""
        return self._sessions()

    def _sessions(self) -> list[SessionState]:
        status = ffi.new("ome_engine_status_t *")
        lib.ome_engine_status(self._engine, status)
        found = ffi.new("ome_session_view_t *")
        result: list[SessionState] = []
        for number in range(1, status.session_count_max + 1):
            if len(result) == status.session_count:
                break
            if lib.ome_engine_session(self._engine, number, found) != lib.OME_OK:
                continue
            name = ffi.string(found.participant_name, 16).decode("ascii")
            result.append(
                SessionState(session=number, participant=found.participant, participant_name=name, session_number=found.session_number)
            )
        return result

    @_one_call
    def check(self) -> None:
        """Walks the whole engine; raises InvariantError when anything in it does not hold. Slow; for tests."""
        wrong = lib.ome_engine_check(self._engine)
        if wrong != ffi.NULL:
            raise InvariantError("engine", found=ffi.string(wrong).decode("ascii"), allowed="every invariant holds")

    # ---- inside: within a call ----

    def _state(self) -> EngineState:
        status = ffi.new("ome_engine_status_t *")
        lib.ome_engine_status(self._engine, status)
        return EngineState(**{name: getattr(status, name) for name in EngineState.__slots__})

    def _learn(self) -> None:
        """Reads the instruments that were defined since the last time, however they were."""
        found = ffi.new("ome_instrument_view_t *")
        for number in range(len(self._instruments) + 1, self._state().instrument_count + 1):
            lib.ome_engine_instrument(self._engine, number, found)
            symbol = ffi.string(found.symbol, 16).decode("ascii")
            self._numbers[symbol] = number
            self._instruments[number] = Instrument(
                symbol,
                tick=number_of(found.tick, found.price_decimals),
                price_decimals=found.price_decimals,
                quantity_decimals=found.quantity_decimals,
                signed_prices=bool(found.flags & InstrumentFlags.SIGNED_PRICES),
                collar_ticks=found.collar_ticks,
                market_to_limit=bool(found.flags & InstrumentFlags.MARKET_TO_LIMIT),
                post_only_slides=bool(found.flags & InstrumentFlags.POST_ONLY_SLIDES),
            )

    def _number(self, instrument: str | Integer) -> int:
        """The number of an instrument, given by symbol or number, that `_instruments` then has."""
        if isinstance(instrument, str):
            if instrument not in self._numbers:
                self._learn()
            number = self._numbers.get(instrument, 0)
        else:
            number = integer_of(instrument, "instrument")
        if self._instrument(number) is None:
            raise InvalidValueError("instrument", found=instrument, allowed=one_of(self._numbers, "none: no instrument is defined"))
        return number

    def _instrument(self, number: int) -> Instrument | None:
        """The instrument of this number, if there is one."""
        if number not in self._instruments:
            self._learn()
        return self._instruments.get(number)

    def _levels(self, number: int, side: Side, depth: Integer | None) -> list[tuple[int, int, int]]:
        engine = self._engine
        wanted = self._state().level_count if depth is None else integer_of(depth, "depth")
        capacity = min(wanted, _DEPTH_MAX)
        found = ffi.new("ome_depth_t[]", max(capacity, 1))
        count = lib.ome_engine_levels(engine, number, side, capacity, found)
        return [(found[i].price, found[i].quantity, found[i].order_count) for i in range(count)]

    def _all_orders(self, query: Callable[[CData, int, int, int, CData], int], number: int, side: Side) -> list[OpenOrder]:
        capacity = _ORDER_COUNT_FIRST
        while True:
            found = ffi.new("ome_order_view_t[]", capacity)
            count = query(self._engine, number, side, capacity, found)
            if count < capacity:
                return [self._open_order(found[i]) for i in range(count)]
            capacity *= 2

    def _order(self, order_id: int) -> OpenOrder | None:
        found = ffi.new("ome_order_view_t *")
        status = lib.ome_engine_order(self._engine, order_id, found)
        return self._open_order(found) if status == lib.OME_OK else None

    def _account_name(self, number: int) -> str | int:
        """What an account is called."""
        return number

    def _open_order(self, view: CData) -> OpenOrder:
        instrument = self._instrument(view.instrument)
        assert instrument is not None, "an order that lives is of an instrument that was defined"
        order_type = OrderType(view.order_type)
        has_limit = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT)
        return OpenOrder(
            order_id=view.order_id,
            client_order_id=view.client_order_id,
            symbol=instrument.symbol,
            instrument=view.instrument,
            side=Side(view.side),
            price=instrument.price(view.price) if has_limit else None,
            leaves_quantity=instrument.quantity(view.leaves_quantity),
            cumulative_quantity=instrument.quantity(view.cumulative_quantity),
            displayed_quantity=instrument.quantity(view.displayed_quantity),
            peak_quantity=instrument.quantity(view.peak_quantity) if view.peak_quantity else None,
            stop_price=instrument.price(view.stop_price) if view.is_waiting else None,
            trail_amount=instrument.price(view.trail_amount) if view.trail_amount else None,
            trail_basis_points=view.trail_basis_points or None,
            deadline_ns=view.deadline_ns or None,
            account=self._account_name(view.account),
            participant=view.participant,
            session=view.session,
            order_type=order_type,
            time_in_force=TimeInForce(view.time_in_force),
            is_waiting=bool(view.is_waiting),
            is_hidden=bool(view.is_hidden),
            is_post_only=bool(view.is_post_only),
            self_trade_prevention=SelfTradePrevention(view.self_trade_prevention),
            self_trade_scope=SelfTradeScope(view.self_trade_scope),
            self_trade_group=view.self_trade_group or None,
        )


_VIEWS: Final[WeakSet[EngineView]] = WeakSet()  # all of this process, for _leave_behind


def _leave_behind() -> None:
    """In a fork: its copies of engines may be in the middle of a call that will never return here, so none is used again."""
    for view in list(_VIEWS):
        view._pointer = None
        view._closed = "made before a fork of this process"
        view._holder.clear()


os.register_at_fork(after_in_child=_leave_behind)


def event_rows(events: Records) -> Rows:
    """Events as rows with one meaning for each column, at full speed: a new array of dtype `ome.codec.EVENT_ROW`.

    `events` is an array of dtype `ome.codec.EVENT`, as `Engine.apply_records` and a replay give it. Prices and quantities stay integers,
    of price units and lots. In a row `price` and `quantity` are NULL_VALUE, and all else is 0, where its kind has no such thing. A trade
    has the time of its command, and account, participant and session of its aggressor, from the events before it of the same command.

    >>> from ome.messages import NewOrder
    >>> with Engine([Instrument("AAPL")]) as market:
    ...     orders = [NewOrder(instrument=1, side=side, price=15025, quantity=10, account=7, timestamp_ns=99) for side in Side]
    ...     rows = event_rows(market.apply_records(encode_commands(orders)))
    >>> rows[["timestamp_ns", "price", "quantity", "account"]][-1].item()
    (99, 15025, 10, 7)

    Raises InvalidTypeError for another array.
    """
    if not isinstance(events, np.ndarray) or events.dtype != EVENT or events.ndim != 1:
        found = f"{events.dtype}, shape {events.shape}" if isinstance(events, np.ndarray) else type(events).__name__
        raise InvalidTypeError("events", found=found, allowed="a one-dimensional array of dtype EVENT")
    return _rows(_from_buffer(record_bytes(events)), len(events))


def _rows(events: CData, count: int) -> Rows:
    data = bytearray(count * EVENT_ROW.itemsize)
    lib.ome_event_rows(events, count, _from_buffer(data))
    return np.frombuffer(data, EVENT_ROW)


class Engine(EngineView):
    """A market in your process.

    - One order: `buy`, `sell`, `cancel`, `reduce`, `amend`; each gives a Report.
    - Many orders, or the market itself: `mass_cancel`, `expire`, `set_last`, `define`.
    - What there is: `book`, `open_orders`, and all of EngineView.
    - Many commands: `apply` with arrays, `apply_records` the same without work on the events, `submit` with messages.

    Prices and quantities are in units of the instrument: `Decimal`, `str`, `int` or an integer of numpy go in, `Decimal` comes out.
    Time is `clock_ns`, nanoseconds since 1970; it stands still unless you set it, so that the same calls give the same hashes everywhere.
    One call at a time; `close`, or use it as a context manager.

    >>> with Engine([Instrument("AAPL", tick="0.01")]) as market:
    ...     resting = market.sell("AAPL", 100, at="150.25", account="maker")
    ...     report = market.buy("AAPL", 150, at="150.50", account="taker", tif="ioc")
    ...     [(trade.price, trade.quantity, trade.buyer, trade.seller) for trade in report.trades], report.cancelled
    ([(Decimal('150.25'), Decimal('100'), 'taker', 'maker')], Decimal('50'))

    A stop waits until a trade reaches its price; the report of whoever sets it off tells what became of it:

    >>> with Engine([Instrument("AAPL", tick="0.01")]) as market:
    ...     stop = market.buy("AAPL", 30, stop="151.00")
    ...     iceberg = market.sell("AAPL", 500, at="151.00", display=20)
    ...     report = market.buy("AAPL", 50, at="151.00")
    ...     [str(trade.quantity) for trade in report.trades], str(market.book("AAPL").best_ask.quantity)
    ...     str(stop.waiting), [(other.order_id == stop.order_id, str(other.trades[0].quantity)) for other in report.triggered]
    (['20', '20', '10'], '20')
    ('30', [(True, '10')])

    Raises InvalidTypeError or InvalidValueError for arguments, never for what the market refuses: that is in the report.
    """

    def __init__(self, instruments: Iterable[Instrument] = (), *, limits: Limits | None = None) -> None:
        super().__init__(None)
        limits = _checked(Limits, "limits", Limits() if limits is None else limits)
        engine = ffi.new("ome_engine_t **")
        batch = ffi.new("ome_batch_t **")
        if lib.ome_engine_create(limits_of(limits), engine) != lib.OME_OK or lib.ome_batch_create(batch) != lib.OME_OK:
            raise MemoryError(f"no memory for an engine of {limits}")
        self._pointer = engine[0]
        self._batch = batch[0]
        self._accounts: dict[str, int] = {}
        self._account_names: dict[int, str] = {}
        self._next_client_order_id = 1
        self._clock_ns = 0
        for instrument in instruments:
            self.define(instrument)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()

    @_one_call
    def close(self) -> None:
        """Frees the engine's memory; every later call raises EngineClosedError."""
        if self._pointer is not None:
            lib.ome_batch_destroy(self._batch)
            lib.ome_engine_destroy(self._pointer)
            self._pointer = None

    @_one_call
    def resize(self, limits: Limits) -> None:
        """Moves the engine to other limits: larger ones, or smaller ones that hold all that it has. It goes on as it would have.

        Raises InvalidValueError where something does not fit; then nothing has changed. Source: docs/RULES.md, Definitions.
        """
        pointer = ffi.new("ome_engine_t **", self._engine)
        status = lib.ome_engine_resize(pointer, limits_of(_checked(Limits, "limits", limits)))
        if status == lib.OME_FULL:
            raise misfit(self._state(), self._sessions(), limits, "resize")
        if status != lib.OME_OK:
            raise MemoryError(f"no memory for an engine of {limits}")
        self._pointer = pointer[0]

    @property
    def clock_ns(self) -> int:
        """The time of the next commands, nanoseconds since 1970."""
        return self._clock_ns

    @clock_ns.setter
    def clock_ns(self, now_ns: Time) -> None:
        self._clock_ns = time_ns(now_ns, "clock_ns")

    @property
    @_one_call
    def event_hash(self) -> int:
        """Rolling hash of every event, 64 bits. Source: docs/RULES.md, Hashes."""
        _ = self._engine  # raises where it is closed: the batch lives as long as the engine
        return int(lib.ome_batch_event_hash(self._batch))

    @property
    def accounts(self) -> Mapping[str, int]:
        """The number of each account that was given by name."""
        return MappingProxyType(self._accounts)

    # ---- many commands ----

    @_one_call
    def apply(self, commands: Records | bytes) -> Rows:
        """Applies commands in order and returns all their events, in order, as rows.

        `commands`: an array of dtype `ome.codec.COMMAND`, or bytes, 64 for each; their `sequence` is ignored: the engine numbers commands
        itself, from 1. A command of several records may be cut anywhere. Returns a new array of dtype `ome.codec.EVENT_ROW`, whose columns
        each have one meaning (see `event_rows`), `sequence` being the command's. The GIL is released.

        Raises InvalidTypeError or InvalidValueError where `commands` is neither.
        """
        batch = self._apply(commands)
        return _rows(_batch_events(batch), _batch_event_count(batch))

    def apply_records(self, commands: Records | bytes) -> Records:
        """As `apply`, and returns the events as records: a new array of dtype `ome.codec.EVENT`, 64 bytes for each, as they are in a log.

        Kinds share bytes in it: the `timestamp_ns` of a trade is an order id. Read it by `event_rows` or `ome.codec.records_of_kind`.
        """
        holder, token = self._holder, object()
        try:  # as _one_call does, without the cost of another function
            if holder.setdefault("call", token) is not token:
                raise _concurrent_use()
            batch = self._apply(commands)
            # Copied: what the batch holds is gone with the next call. By way of a bytearray, since an array of records is slow to make.
            return np.frombuffer(bytearray(_buffer(_batch_events(batch), _batch_event_count(batch) * _RECORD_SIZE)), EVENT)
        finally:
            if "call" in holder and holder["call"] is token:
                del holder["call"]

    @_one_call
    def submit(self, *commands: Command) -> list[Event]:
        """Applies commands given as messages and returns their events as messages, which hold integers: price units and lots."""
        return self._submit(commands)

    # ---- one order ----

    @_one_call
    def buy(
        self,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None = None,
        *,
        tif: TimeInForceName | TimeInForce | None = None,
        expires: Time | None = None,
        post_only: bool = False,
        hidden: bool = False,
        display: Number | None = None,
        minimum: Number | None = None,
        budget: Number | None = None,
        collar_ticks: Integer | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
        trail_percent: Number | None = None,
        limit_offset: Number | None = None,
        self_trade: SelfTradeName | SelfTradePrevention | None = None,
        self_trade_scope: SelfTradeScopeName | SelfTradeScope | None = None,
        self_trade_group: Integer | None = None,
        account: str | Integer = 0,
        participant: Integer = 0,
        client_order_id: Integer | None = None,
    ) -> Report:
        """Enters an order to buy `quantity`, at the limit `at`, or at the market where that is None.

        `symbol` may be an instrument number. Numbers are Decimal, str, int or integers of numpy.

        How long it lives:
        - `tif`: "gtc" (until cancelled; the default), "day", "gtd" (until `expires`; the default with it), "ioc" (what does not trade at
          once is cancelled), "fok" (all of it at once, or nothing).
        - `expires`: deadline of a "gtd" order, nanoseconds since 1970 or a datetime with a time zone.

        What it does in the book:
        - `post_only`: never takes. `hidden`: not displayed. `display`: an iceberg, which displays so much at a time.
        - `minimum`: so much trades at once, or the order is cancelled whole.
        - `budget`: of a "fok", the highest cost of a buy or the lowest proceeds of a sell, price times quantity.
        - `collar_ticks`: how far from the best opposite price an order without limit may trade, in ticks.

        When it enters the market:
        - `stop`: when the last trade is at this price or past it. Then it is a market order, or with a limit a limit order.
        - `trail`, `trail_percent`: a stop that follows the last trade at this distance, a price or a percentage ("0.01" to "100"). `stop`
          says where it starts, `limit_offset` (a signed price) how far from its stop price its limit will be.

        What happens where it would trade with its own:
        - `self_trade`: "none", "cancel_newest", "cancel_oldest", "cancel_both" or "decrement".
        - `self_trade_scope`: what its own is: "account" (the default), "participant", or "group" (the default with `self_trade_group`, 1 to
          2^32 - 1).

        Who it is: `account` is a name or a number; `participant` a number; `client_order_id` by default counts the orders
        that were given none.

        Raises InvalidTypeError for a float or a bool, InvalidValueError for what no order can be.
        """
        options = OrderOptions(
            tif=tif,
            expires=expires,
            post_only=post_only,
            hidden=hidden,
            display=display,
            minimum=minimum,
            budget=budget,
            collar_ticks=collar_ticks,
            stop=stop,
            trail=trail,
            trail_percent=trail_percent,
            limit_offset=limit_offset,
            self_trade=self_trade,
            self_trade_scope=self_trade_scope,
            self_trade_group=self_trade_group,
        )
        return self._enter(Side.BUY, symbol, quantity, at, options, account, participant, client_order_id)

    @_one_call
    def sell(
        self,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None = None,
        *,
        tif: TimeInForceName | TimeInForce | None = None,
        expires: Time | None = None,
        post_only: bool = False,
        hidden: bool = False,
        display: Number | None = None,
        minimum: Number | None = None,
        budget: Number | None = None,
        collar_ticks: Integer | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
        trail_percent: Number | None = None,
        limit_offset: Number | None = None,
        self_trade: SelfTradeName | SelfTradePrevention | None = None,
        self_trade_scope: SelfTradeScopeName | SelfTradeScope | None = None,
        self_trade_group: Integer | None = None,
        account: str | Integer = 0,
        participant: Integer = 0,
        client_order_id: Integer | None = None,
    ) -> Report:
        """Enters an order to sell; as `buy`."""
        options = OrderOptions(
            tif=tif,
            expires=expires,
            post_only=post_only,
            hidden=hidden,
            display=display,
            minimum=minimum,
            budget=budget,
            collar_ticks=collar_ticks,
            stop=stop,
            trail=trail,
            trail_percent=trail_percent,
            limit_offset=limit_offset,
            self_trade=self_trade,
            self_trade_scope=self_trade_scope,
            self_trade_group=self_trade_group,
        )
        return self._enter(Side.SELL, symbol, quantity, at, options, account, participant, client_order_id)

    @_one_call
    def cancel(self, order: Report | OpenOrder | Integer, *, participant: Integer = 0) -> Report:
        """Cancels what is left of an order, given as its report, as an open order, or by its order id."""
        return self._report(cancel_order(_order_id(order), by_order_id=True, participant=participant, timestamp_ns=self._clock_ns))

    @_one_call
    def reduce(self, order: Report | OpenOrder | Integer, quantity: Number, *, participant: Integer = 0) -> Report:
        """Takes `quantity` off an order; it keeps its place. Raises as `buy`."""
        order_id = _order_id(order)
        decimal_of(quantity, "quantity")
        (lots,) = self._units_of(order_id, quantity=quantity)
        lots = 0 if lots is None else lots
        return self._report(reduce_order(order_id, lots, by_order_id=True, participant=participant, timestamp_ns=self._clock_ns))

    @_one_call
    def amend(
        self,
        order: Report | OpenOrder | Integer,
        *,
        at: Number | None = None,
        quantity: Number | None = None,
        open_quantity: Number | None = None,
        stop: Number | None = None,
        limit_offset: Number | None = None,
        client_order_id: Integer | None = None,
        participant: Integer = 0,
    ) -> Report:
        """Gives an order a new limit `at`, a new total `quantity` (with what has traded) or a new `open_quantity`; what is None stays.

        While it waits, a stop takes a new price `stop`, and a trailing stop with a limit a new `limit_offset`. `client_order_id` is the id
        that the order has from then on (cancel-replace). Raises as `buy`, and InvalidValueError where two exclude each other.
        """
        for name, one, other in (("quantity", quantity, open_quantity), ("at", at, limit_offset)):
            if one is not None and other is not None:
                allowed = "quantity or open_quantity, not both" if name == "quantity" else "at or limit_offset, not both"
                raise InvalidValueError(name, where="amend", found=one, allowed=allowed)
        order_id = _order_id(order)
        limit, distance, trigger, total, rest = self._units_of(
            order_id, at=at, limit_offset=limit_offset, stop=stop, quantity=quantity, open_quantity=open_quantity
        )
        command = amend_order(
            order_id,
            price=distance if limit is None else limit,
            lots=rest if total is None else total,
            is_open_quantity=open_quantity is not None,
            stop_price=trigger,
            new_client_order_id=client_order_id,
            by_order_id=True,
            participant=participant,
            timestamp_ns=self._clock_ns,
        )
        return self._report(command)

    # ---- many orders, and the market itself ----

    @_one_call
    def mass_cancel(
        self,
        symbol: str | Integer | None = None,
        *,
        side: SideName | Side | None = None,
        account: str | Integer | None = None,
        session: Integer | None = None,
        participant: Integer | None = 0,
    ) -> Completion:
        """Cancels every order of the participant (None: of everybody) that is all of what is given; waiting ones too.

        >>> with Engine([Instrument("AAPL")]) as market:
        ...     orders = [market.buy("AAPL", 10, at=1, account=account) for account in ("one", "two", "one")]
        ...     market.mass_cancel(account="one").order_ids == (orders[0].order_id, orders[2].order_id)
        True
        """
        command = mass_cancel(
            instrument=0 if symbol is None else self._number(symbol),
            side=side,
            account=None if account is None else self._account(account),
            session=session,
            participant=participant,
            timestamp_ns=self._clock_ns,
        )
        if account is not None:
            self._remember(account, command.account)
        return self._complete(command)

    @_one_call
    def expire(self, until: Time | None = None, *, end_of_day: bool = False, symbol: str | Integer | None = None) -> Completion:
        """Cancels orders whose deadline is at or before `until`, and at the end of the day all "day" orders; of one instrument, or of all.

        `until` is nanoseconds since 1970 or a datetime with a time zone. Deadlines that `clock_ns` has passed need no call: every command
        cancels what is due before anything else.
        """
        number = 0 if symbol is None else self._number(symbol)
        return self._complete(expire_orders(until, end_of_day=end_of_day, instrument=number, timestamp_ns=self._clock_ns))

    @_one_call
    def set_last(self, symbol: str | Integer, price: Number) -> Completion:
        """Gives an instrument a last trade price from outside, as a close or another venue's, and triggers what waits for it."""
        number = self._number(symbol)
        return self._complete(set_last_price(self._instruments[number], number, price, timestamp_ns=self._clock_ns))

    @_one_call
    def define(self, instrument: Instrument) -> int:
        """Opens an instrument for trading and returns its number.

        Raises OrderRejectedError where the engine refuses it: a symbol twice, or too many.
        """
        _checked(Instrument, "instrument", instrument)
        number = self._state().instrument_count + 1
        event = self._submit([define_instrument(instrument, number, timestamp_ns=self._clock_ns)])[-1]
        if isinstance(event, Rejected):
            raise OrderRejectedError(Reason(event.reason), where=f"instrument {instrument.symbol}")
        return number

    # ---- inside: within a call ----

    def _apply(self, commands: Records | bytes) -> CData:
        """Applies commands; returns the batch, which has their events."""
        if isinstance(commands, np.ndarray):
            if commands.dtype != COMMAND or len(shape := commands.shape) != 1:
                raise _not_commands(commands)
            (count,) = shape
            try:
                data = _from_buffer(commands)
            except ValueError:  # its rows do not follow each other in memory
                raise _not_commands(commands) from None
        elif isinstance(commands, bytes):
            count, rest = divmod(len(commands), _RECORD_SIZE)
            if rest:
                raise InvalidValueError("commands", found=f"{len(commands)} bytes", allowed=f"a multiple of {_RECORD_SIZE} bytes")
            data = commands
        else:
            raise InvalidTypeError("commands", found=type(commands).__name__, allowed="an array of dtype COMMAND, or bytes")
        engine, batch = self._pointer or self._engine, self._batch
        _batch_apply(batch, engine, data, count)
        return batch

    def _submit(self, commands: Iterable[Command]) -> list[Event]:
        batch = self._apply(encode_commands(commands))
        return decode_events(np.frombuffer(_buffer(_batch_events(batch), _batch_event_count(batch) * _RECORD_SIZE), EVENT))

    def _account(self, account: str | Integer) -> Integer:
        """The number of an account; a new name has the next one, once `_remember` is called."""
        return self._accounts.get(account, len(self._accounts) + 1) if isinstance(account, str) else account

    def _remember(self, account: str | Integer, number: int) -> None:
        if isinstance(account, str):
            self._accounts[account] = number
            self._account_names[number] = account

    def _account_name(self, number: int) -> str | int:
        return self._account_names.get(number, number)

    def _units_of(self, order_id: int, **values: Number | None) -> tuple[int | None, ...]:
        """Prices and quantities of an order in price units and lots. None where it does not live: the market will refuse the command."""
        live = self._order(order_id)
        instrument = None if live is None else self._instruments[live.instrument]
        found: list[int | None] = []
        for name, value in values.items():
            if value is not None:
                decimal_of(value, name)
            if value is None or instrument is None:
                found.append(None)
            else:
                is_quantity = name in ("quantity", "open_quantity")
                found.append(units_of(value, instrument.quantity_decimals if is_quantity else instrument.price_decimals, name))
        return tuple(found)

    def _enter(
        self,
        side: Side,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None,
        options: OrderOptions,
        account: str | Integer,
        participant: Integer,
        client_order_id: Integer | None,
    ) -> Report:
        number = self._number(symbol)
        command = new_order(
            self._instruments[number],
            side,
            quantity,
            at,
            options,
            timestamp_ns=self._clock_ns,
            client_order_id=self._next_client_order_id if client_order_id is None else client_order_id,
            account=self._account(account),
            participant=participant,
            instrument=number,
        )
        # Nothing can be refused here any more, so a call that was uses up neither.
        self._remember(account, command.account)
        self._next_client_order_id += client_order_id is None
        return self._report(command)

    def _report(self, command: Command) -> Report:
        """Applies a command about one order."""
        events = self._submit([command])
        start = next(index for index, event in enumerate(events) if _is_about_the_command(event))
        first, ours = events[start], events[start:]
        assert isinstance(first, OrderEvent | Rejected), "the first event of an order command is about its order"
        return self._told(first, ours, self._triggered(ours), events)

    def _complete(self, command: Command) -> Completion:
        """Applies a command about many orders, or none."""
        events = self._submit([command])
        place, last = next(
            (index, event) for index, event in enumerate(events) if isinstance(event, Completed | Rejected) and _is_about_the_command(event)
        )
        cancelled = [event for event in events[:place] if isinstance(event, Cancelled)]
        # Before those that it names stand those whose deadline had passed anyway.
        cancelled = cancelled[len(cancelled) - last.quantity :] if isinstance(last, Completed) else []
        return Completion(
            accepted=isinstance(last, Completed),
            reason=Reason(last.reason),
            order_ids=tuple(event.order_id for event in cancelled),
            cancelled=self._sum(cancelled),
            triggered=self._triggered(events[place:]),
            events=tuple(events),
        )

    def _sum(self, events: Sequence[Cancelled]) -> Decimal:
        """The quantities together, also of instruments with different decimals."""
        quantities = [(event.quantity, self._decimals(event.instrument)) for event in events]
        most = max((decimals for _, decimals in quantities), default=0)
        return number_of(sum(lots * 10 ** (most - decimals) for lots, decimals in quantities), most)

    def _decimals(self, number: int) -> int:
        instrument = self._instrument(number)
        return 0 if instrument is None else instrument.quantity_decimals

    def _triggered(self, events: Sequence[Event]) -> tuple[Report, ...]:
        return tuple(self._told(event, events[index:], (), events) for index, event in enumerate(events) if isinstance(event, Triggered))

    def _told(
        self, first: OrderEvent | Rejected, events: Sequence[Event], triggered: tuple[Report, ...], everything: Sequence[Event]
    ) -> Report:
        """What these events say of the order that the first is about."""
        order_id = first.order_id
        trades, prevented, cancelled_lots, reason = [], [], 0, Reason(first.reason)
        accounts: dict[int, int] = {}  # of orders that events told of
        for event in events:
            if isinstance(event, OrderEvent):
                accounts[event.order_id] = event.account
            if isinstance(event, TradeEvent) and order_id in (event.order_id, event.resting_order_id):
                trades.append(Trade(**self._pair(event, accounts)))
            elif isinstance(event, PreventedEvent) and order_id in (event.order_id, event.resting_order_id):
                prevented.append(Prevented(**self._pair(event, accounts)))
            elif isinstance(event, Cancelled) and event.order_id == order_id:
                cancelled_lots += event.quantity
                reason = Reason(event.reason)
        live = ffi.new("ome_order_view_t *")  # all zeros where the order does not live
        lib.ome_engine_order(self._engine, order_id, live)
        instrument = self._instrument(first.instrument)
        decimals = 0 if instrument is None else instrument.quantity_decimals
        return Report(
            order_id=order_id,
            client_order_id=first.client_order_id,
            symbol="" if instrument is None else instrument.symbol,
            accepted=not isinstance(first, Rejected),
            reason=reason,
            trades=tuple(trades),
            prevented=tuple(prevented),
            cancelled=number_of(cancelled_lots, decimals),
            resting=number_of(0 if live.is_waiting else live.leaves_quantity, decimals),
            displayed=number_of(live.displayed_quantity, decimals),
            waiting=number_of(live.leaves_quantity if live.is_waiting else 0, decimals),
            triggered=triggered,
            events=tuple(everything),
        )

    def _pair(self, event: TradeEvent | PreventedEvent, accounts: Mapping[int, int]) -> dict[str, Any]:
        """The fields of a Trade or Prevented. `accounts` has the aggressor's, which an event of the same command told."""
        instrument = self._instruments[event.instrument]
        resting = ffi.new("uint32_t *")
        status = lib.ome_engine_account(self._engine, event.resting_order_id, resting)
        assert status == lib.OME_OK, "no order came after the last command"
        return {
            "symbol": instrument.symbol,
            "side": Side(event.side),
            "price": instrument.price(event.price),
            "quantity": instrument.quantity(event.quantity),
            "order_id": event.order_id,
            "client_order_id": event.client_order_id,
            "account": self._account_name(accounts[event.order_id]),
            "resting_order_id": event.resting_order_id,
            "resting_client_order_id": event.resting_client_order_id,
            "resting_account": self._account_name(resting[0]),
        }


def _checked(kind: type[_Checked], what: str, value: _Checked) -> _Checked:
    if not isinstance(value, kind):
        raise InvalidTypeError(what, found=value, allowed=f"an instance of {kind.__name__}")
    return value


def _not_commands(array: Records) -> InvalidTypeError:
    return InvalidTypeError(
        "commands", found=f"{array.dtype}, shape {array.shape}", allowed="a contiguous array of dtype COMMAND, one dimension"
    )


def _is_about_the_command(event: Event) -> bool:
    """False for what happens before every command: orders whose time is over, and a command whose terms never came."""
    if isinstance(event, Displayed):  # comes before what it is about
        return False
    if isinstance(event, Cancelled):
        return event.reason != Reason.EXPIRED
    return not (isinstance(event, Rejected) and event.reason == Reason.INCOMPLETE_COMMAND)


def _order_id(order: Report | OpenOrder | Integer) -> int:
    return order.order_id if isinstance(order, Report | OpenOrder) else integer_of(order, "order_id")
