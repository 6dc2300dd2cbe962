"""The engine inside your process: the C core behind one call for one order, and one call for a million."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import Final, Unpack

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import (
    COMMAND,
    EVENT,
    OrderOptions,
    Records,
    Time,
    decode_events,
    define_instrument,
    encode_commands,
    new_order,
    side_of,
    time_ns,
)
from ome.enums import (
    CommandFlags,
    InstrumentFlags,
    OrderType,
    Reason,
    SelfTradePrevention,
    SelfTradeScope,
    Side,
    Term,
    TimeInForce,
)
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError, OmeError
from ome.instruments import Instrument
from ome.messages import (
    NULL_VALUE,
    AmendOrder,
    Cancelled,
    CancelOrder,
    Command,
    Completed,
    Displayed,
    Event,
    ExpireOrders,
    Limits,
    MassCancel,
    OrderEvent,
    Prevented as PreventedEvent,
    ReduceOrder,
    Rejected,
    SetLastPrice,
    Trade as TradeEvent,
    Triggered,
)
from ome.units import Number, decimal_of, number_of, units_of

__all__ = [
    "Book",
    "Completion",
    "Engine",
    "EngineClosedError",
    "EngineState",
    "EngineView",
    "Level",
    "OpenOrder",
    "OrderRejectedError",
    "Prevented",
    "Report",
    "Trade",
]

_RECORD_SIZE: Final = 64
_DEPTH_MAX: Final = 2**24  # levels of one side; more than an engine can hold
_ORDER_COUNT_FIRST: Final = 256  # how many orders are asked for, before more
# Looked up once: a tenth of what a call of a few commands costs.
_batch_apply, _batch_events, _batch_event_count = lib.ome_batch_apply, lib.ome_batch_events, lib.ome_batch_event_count
_from_buffer, _buffer = ffi.from_buffer, ffi.buffer


class EngineClosedError(OmeError):
    """The engine was closed before this call."""


class OrderRejectedError(OmeError):
    """A command was refused; `reason` says why. Raised only where asked for: `Report.raise_for_rejection`."""

    def __init__(self, reason: Reason, **context: str) -> None:
        self.reason = reason
        super().__init__(f"command refused: {reason.name}", **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade: `price` and `quantity` as decimals and lots, and the order ids of both sides."""

    price: Decimal
    quantity: int
    order_id: int
    resting_order_id: int
    client_order_id: int
    resting_client_order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevented:
    """A trade that self-trade prevention kept from happening: `price` as a decimal, `quantity` in lots, and the order ids of both sides."""

    price: Decimal
    quantity: int
    order_id: int
    resting_order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one command did to its order; all quantities in lots.

    `order_id` is the order's, 0 where the command was refused and had none. `reason` is NONE, or why something was refused or cancelled.
    `trades` are the order's, in the order in which they happened; `prevented` what would have been trades with its own group; `cancelled`
    what was cancelled of it. Where the order is now: `resting` lots in the book, of which `displayed` are seen, or `waiting` lots that wait
    for a stop price.

    `triggered` are the reports of the stops that the command set off, in the order in which they entered the market, its own order among
    them where it is a stop that triggered at once. `events` are all events of the command, other orders' too; in the report of a stop,
    those from its triggering on.
    """

    order_id: int
    client_order_id: int
    accepted: bool
    reason: Reason
    trades: tuple[Trade, ...]
    prevented: tuple[Prevented, ...]
    cancelled: int
    resting: int
    displayed: int
    waiting: int
    triggered: tuple[Report, ...]
    events: tuple[Event, ...]

    def raise_for_rejection(self) -> Report:
        """Returns itself, or raises OrderRejectedError."""
        if not self.accepted:
            raise OrderRejectedError(self.reason)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a command did that is about many orders: a mass cancel, an expiry, a last price from outside.

    `order_ids` are the orders that it cancelled, in that order, and `cancelled` their lots. `triggered` are the reports of the stops that
    it set off. `reason` is NONE, or why the command was refused. `events` are all events.
    """

    accepted: bool
    reason: Reason
    order_ids: tuple[int, ...]
    cancelled: int
    triggered: tuple[Report, ...]
    events: tuple[Event, ...]

    def raise_for_rejection(self) -> Completion:
        """Returns itself, or raises OrderRejectedError."""
        if not self.accepted:
            raise OrderRejectedError(self.reason)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A price level as the market sees it: price as a decimal, lots displayed and orders that display them."""

    price: Decimal
    quantity: int
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
    """An order that lives: at rest in the book, or waiting for its stop price. Prices in price units, quantities in lots.

    `leaves_quantity` is all that is open; at rest, `displayed_quantity` of it is what the market sees. `price` is the limit, 0 where it
    waits without one, of a waiting TRAILING_STOP_LIMIT the distance of its limit. `stop_price`, `trail_amount` and `trail_basis_points` are
    those of an order that waits. 0 is none, also in `peak_quantity`, `deadline_ns` and `self_trade_group`.
    """

    order_id: int
    client_order_id: int
    price: int
    leaves_quantity: int
    cumulative_quantity: int
    displayed_quantity: int
    peak_quantity: int
    stop_price: int
    trail_amount: int
    trail_basis_points: int
    deadline_ns: int
    account: int
    participant: int
    session: int
    instrument: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    is_waiting: bool
    is_hidden: bool
    is_post_only: bool
    self_trade_prevention: SelfTradePrevention
    self_trade_scope: SelfTradeScope
    self_trade_group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """The counts of an engine since its first command: records, not commands, in `sequence`; what lives now in the last two."""

    sequence: int
    time_ns: int
    trade_count: int
    event_count: int
    instrument_count: int
    session_count: int
    participant_count: int
    level_count: int
    special_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """A session that is defined: its number, its participant's name and number, and which of the participant's sessions it is."""

    session: int
    participant: int
    participant_name: str
    session_number: int


class EngineView:
    """What can be read of a C engine, whoever owns it.

    The market: `levels`, which everybody may see. The orders: `orders`, `waiting`, `order`, `client_order`. The rest: `instruments`,
    `last_price`, `sessions`, `state`, `limits`, `state_hash`, `check`.
    """

    def __init__(self, pointer: CData) -> None:
        self._pointer = pointer

    @property
    def _engine(self) -> CData:
        if self._pointer is None:
            raise EngineClosedError("engine", found="closed", allowed="an open engine")
        return self._pointer

    @property
    def state(self) -> EngineState:
        """All counts at once."""
        status = ffi.new("ome_engine_status_t *")
        lib.ome_engine_status(self._engine, status)
        return EngineState(**{name: getattr(status, name) for name in EngineState.__slots__})

    @property
    def limits(self) -> Limits:
        """What the engine was made with."""
        status = ffi.new("ome_engine_status_t *")
        lib.ome_engine_status(self._engine, status)
        return Limits(**{name: getattr(status, name) for name in Limits.__slots__})

    @property
    def sequence(self) -> int:
        """Commands applied."""
        return self.state.sequence

    @property
    def trade_count(self) -> int:
        """Trades so far; also the last trade's id."""
        return self.state.trade_count

    @property
    def state_hash(self) -> int:
        """Hash of the whole state, 64 bits; the same on every machine after the same commands. Source: docs/RULES.md, Hashes."""
        return int(lib.ome_engine_state_hash(self._engine))

    def levels(self, instrument: int, side: Side, depth: int | None = None) -> list[tuple[int, int, int]]:
        """The best `depth` levels (None: all) of a side, best first: (price in price units, lots displayed, orders that display them)."""
        engine = self._engine
        capacity = min(self.state.level_count if depth is None else depth, _DEPTH_MAX)
        found = ffi.new("ome_depth_t[]", max(capacity, 1))
        count = lib.ome_engine_levels(engine, instrument, side, capacity, found)
        return [(found[i].price, found[i].quantity, found[i].order_count) for i in range(count)]

    def orders(self, instrument: int, side: Side) -> list[OpenOrder]:
        """All orders at rest on a side as they would trade: best price first; at a price the displayed, then the hidden, as they queue."""
        return self._all_orders(lib.ome_engine_orders, instrument, side)

    def waiting(self, instrument: int, side: Side) -> list[OpenOrder]:
        """All orders of a side that wait for their stop price as they would trigger: buys by rising stop price, sells by falling."""
        return self._all_orders(lib.ome_engine_waiting_orders, instrument, side)

    def order(self, order_id: int) -> OpenOrder | None:
        """The order that lives and has this id, or None."""
        found = ffi.new("ome_order_view_t *")
        status = lib.ome_engine_order(self._engine, order_id, found)
        return _open_order(found) if status == lib.OME_OK else None

    def client_order(self, client_order_id: int, *, participant: int = 0) -> OpenOrder | None:
        """The participant's order that lives and has this client order id, or None."""
        found = ffi.new("ome_order_view_t *")
        status = lib.ome_engine_client_order(self._engine, participant, client_order_id, found)
        return _open_order(found) if status == lib.OME_OK else None

    def _all_orders(self, query: Callable[[CData, int, int, int, CData], int], instrument: int, side: Side) -> list[OpenOrder]:
        capacity = _ORDER_COUNT_FIRST
        while True:
            found = ffi.new("ome_order_view_t[]", capacity)
            count = query(self._engine, instrument, side, capacity, found)
            if count < capacity:
                return [_open_order(found[i]) for i in range(count)]
            capacity *= 2

    @property
    def instruments(self) -> Mapping[str, tuple[int, Instrument]]:
        """Every instrument by symbol, with its number."""
        found = ffi.new("ome_instrument_view_t *")
        result: dict[str, tuple[int, Instrument]] = {}
        for number in range(1, self.state.instrument_count + 1):
            lib.ome_engine_instrument(self._engine, number, found)
            symbol = ffi.string(found.symbol, 16).decode("ascii")
            instrument = Instrument(
                symbol,
                tick=number_of(found.tick, found.price_decimals),
                price_decimals=found.price_decimals,
                quantity_decimals=found.quantity_decimals,
                signed_prices=bool(found.flags & InstrumentFlags.SIGNED_PRICES),
                collar_ticks=found.collar_ticks,
                market_to_limit=bool(found.flags & InstrumentFlags.MARKET_TO_LIMIT),
                post_only_slides=bool(found.flags & InstrumentFlags.POST_ONLY_SLIDES),
            )
            result[symbol] = (number, instrument)
        return MappingProxyType(result)

    def last_price(self, instrument: int) -> int | None:
        """The last trade price of an instrument in price units; None before the first, or where there is no such instrument."""
        found = ffi.new("ome_instrument_view_t *")
        status = lib.ome_engine_instrument(self._engine, instrument, found)
        return None if status != lib.OME_OK or found.last_trade_price == NULL_VALUE else int(found.last_trade_price)

    @property
    def sessions(self) -> list[SessionState]:
        """Every session that is defined, by rising number. There may be gaps."""
        found = ffi.new("ome_session_view_t *")
        result: list[SessionState] = []
        count = self.state.session_count
        for number in range(1, self.limits.session_count_max + 1):
            if len(result) == count:
                break
            if lib.ome_engine_session(self._engine, number, found) != lib.OME_OK:
                continue
            name = ffi.string(found.participant_name, 16).decode("ascii")
            result.append(
                SessionState(session=number, participant=found.participant, participant_name=name, session_number=found.session_number)
            )
        return result

    def check(self) -> None:
        """Walks the whole engine; raises InvariantError when anything in it does not hold. Slow; for tests."""
        wrong = lib.ome_engine_check(self._engine)
        if wrong != ffi.NULL:
            raise InvariantError("engine", found=ffi.string(wrong).decode("ascii"), allowed="every invariant holds")


_ORDER_TYPES: Final[Mapping[str, Callable[[int], int]]] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "is_waiting": bool,
    "is_hidden": bool,
    "is_post_only": bool,
    "self_trade_prevention": SelfTradePrevention,
    "self_trade_scope": SelfTradeScope,
}


def _open_order(view: CData) -> OpenOrder:
    values = {name: getattr(view, name) for name in OpenOrder.__slots__}
    return OpenOrder(**values | {name: kind(values[name]) for name, kind in _ORDER_TYPES.items()})


class Engine(EngineView):
    """A market in your process.

    - One order: `buy`, `sell`, `cancel`, `reduce`, `amend`; each gives a Report.
    - Many orders, or the market itself: `mass_cancel`, `expire`, `set_last`, `define`.
    - What there is: `book`, `open_orders`, and all of EngineView.
    - Many commands: `apply` with arrays, `submit` with messages.

    Time is `clock_ns`, nanoseconds since 1970; it stands still unless you set it, so that the same calls give the same hashes everywhere.
    One thread at a time; `close`, or use it as a context manager.

    >>> with Engine([Instrument("AAPL", tick="0.01")]) as market:
    ...     resting = market.sell("AAPL", 100, at="150.25", account="maker")
    ...     report = market.buy("AAPL", 150, at="150.50", account="taker", tif="ioc")
    ...     [(trade.price, trade.quantity) for trade in report.trades], report.cancelled
    ([(Decimal('150.25'), 100)], 50)

    A stop waits until a trade reaches its price; the report of whoever sets it off tells what became of it:

    >>> with Engine([Instrument("AAPL", tick="0.01")]) as market:
    ...     stop = market.buy("AAPL", 30, stop="151.00")
    ...     iceberg = market.sell("AAPL", 500, at="151.00", display=20)
    ...     report = market.buy("AAPL", 50, at="151.00")
    ...     [trade.quantity for trade in report.trades], market.book("AAPL").best_ask.quantity
    ...     stop.waiting, [(other.order_id == stop.order_id, other.trades[0].quantity) for other in report.triggered]
    ([20, 20, 10], 20)
    (30, [(True, 10)])

    Raises InvalidTypeError or InvalidValueError for arguments, never for what the market refuses: that is in the report.
    """

    def __init__(self, instruments: Iterable[Instrument] = (), *, limits: Limits | None = None) -> None:
        super().__init__(None)
        limits = Limits() if limits is None else limits
        engine = ffi.new("ome_engine_t **")
        batch = ffi.new("ome_batch_t **")
        sizes = ffi.new("ome_limits_t *", {name: getattr(limits, name) for name in Limits.__slots__})
        if lib.ome_engine_create(sizes, engine) != lib.OME_OK or lib.ome_batch_create(batch) != lib.OME_OK:
            raise MemoryError(f"no memory for an engine of {limits}")
        self._pointer = engine[0]
        self._batch = batch[0]
        self._numbers: dict[str, int] = {}
        self._instruments: dict[int, Instrument] = {}
        self._accounts: dict[str, int] = {}
        self._client_order_ids = itertools.count(1)
        self.clock_ns = 0
        for instrument in instruments:
            self.define(instrument)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()

    def close(self) -> None:
        """Frees the engine's memory; every later call raises EngineClosedError."""
        if self._pointer is not None:
            lib.ome_batch_destroy(self._batch)
            lib.ome_engine_destroy(self._pointer)
            self._pointer = None

    @property
    def event_hash(self) -> int:
        """Rolling hash of every event, 64 bits. Source: docs/RULES.md, Hashes."""
        if self._pointer is None:
            raise EngineClosedError("engine", found="closed", allowed="an open engine")
        return int(lib.ome_batch_event_hash(self._batch))

    # ---- many commands ----

    def apply(self, commands: Records | bytes) -> Records:
        """Applies commands in order and returns all their events, in order.

        `commands`: an array of dtype `ome.codec.COMMAND`, or bytes, 64 for each; their `sequence` is ignored: the engine numbers commands
        itself, from 1. A command of several records may be cut anywhere. Returns a new array of dtype `ome.codec.EVENT`, `sequence` being
        the command's. The GIL is released.

        Raises InvalidTypeError or InvalidValueError where `commands` is neither.
        """
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
        batch = self._batch
        _batch_apply(batch, self._pointer or self._engine, data, count)
        # Copied: what the batch holds is gone with the next call. By way of a bytearray, since an array of records is slow to make.
        return np.frombuffer(bytearray(_buffer(_batch_events(batch), _batch_event_count(batch) * _RECORD_SIZE)), EVENT)

    apply_records = apply

    def submit(self, *commands: Command) -> list[Event]:
        """Applies commands given as messages and returns their events as messages."""
        return decode_events(self.apply(encode_commands(commands)))

    # ---- one order ----

    def buy(self, symbol: str, quantity: Number, at: Number | None = None, **options: Unpack[OrderOptions]) -> Report:
        """Enters an order to buy `quantity`, at the limit `at`, or at the market where that is None.

        Options say the rest (ome.codec.OrderOptions tells each): `tif`, `expires`; `post_only`, `hidden`, `display`, `minimum`, `budget`,
        `collar_ticks`; `stop`, `trail`, `trail_percent`, `limit_offset`; `self_trade`, `self_trade_scope`, `self_trade_group`; `account`,
        `participant`, `client_order_id`, which is the next unused count by default.

        Raises InvalidTypeError for a float, InvalidValueError for what no order can be, TypeError for an option that does not exist.
        """
        return self._enter(Side.BUY, symbol, quantity, at, options)

    def sell(self, symbol: str, quantity: Number, at: Number | None = None, **options: Unpack[OrderOptions]) -> Report:
        """Enters an order to sell; as `buy`."""
        return self._enter(Side.SELL, symbol, quantity, at, options)

    def cancel(self, order: Report | int, *, participant: int = 0) -> Report:
        """Cancels what is left of an order, given as its report or its order id."""
        command = CancelOrder(
            timestamp_ns=self.clock_ns, client_order_id=_order_id(order), participant=participant, flags=CommandFlags.BY_ORDER_ID
        )
        return self._report(command)

    def reduce(self, order: Report | int, quantity: int, *, participant: int = 0) -> Report:
        """Takes `quantity` lots off an order; it keeps its place."""
        command = ReduceOrder(
            timestamp_ns=self.clock_ns,
            client_order_id=_order_id(order),
            quantity=quantity,
            participant=participant,
            flags=CommandFlags.BY_ORDER_ID,
        )
        return self._report(command)

    def amend(
        self,
        order: Report | int,
        *,
        at: Number | None = None,
        quantity: int | None = None,
        open_quantity: int | None = None,
        stop: Number | None = None,
        limit_offset: Number | None = None,
        client_order_id: int | None = None,
        participant: int = 0,
    ) -> Report:
        """Gives an order a new limit `at`, a new total `quantity` or a new `open_quantity`, in lots; what is None stays.

        While it waits, a stop takes a new price `stop`, and a trailing stop with a limit a new `limit_offset`. `client_order_id` is the id
        that the order has from then on (cancel-replace). Raises as `buy`, and InvalidValueError where two exclude each other.
        """
        for name, one, other in (("quantity", quantity, open_quantity), ("at", at, limit_offset)):
            if one is not None and other is not None:
                allowed = "quantity or open_quantity, not both" if name == "quantity" else "at or limit_offset, not both"
                raise InvalidValueError(name, where="amend", found=one, allowed=allowed)
        order_id = _order_id(order)
        prices = {"at": at, "limit_offset": limit_offset, "stop": stop}
        for name, price in prices.items():
            if price is not None:
                decimal_of(price, name)
        live = self.order(order_id)
        decimals = 0 if live is None else self._instrument(live.instrument).price_decimals
        # Of an order that does not live the market refuses the amend, whatever the prices.
        units = {name: units_of(price, decimals, name) for name, price in prices.items() if price is not None and live is not None}
        terms = [(Term.STOP_PRICE, units["stop"])] if "stop" in units else []
        if client_order_id is not None:
            terms.append((Term.NEW_CLIENT_ORDER_ID, client_order_id))
        lots = quantity if open_quantity is None else open_quantity
        command = AmendOrder(
            timestamp_ns=self.clock_ns,
            client_order_id=order_id,
            price=units.get("at", units.get("limit_offset", NULL_VALUE)),
            quantity=NULL_VALUE if lots is None else lots,
            participant=participant,
            flags=CommandFlags.BY_ORDER_ID | (CommandFlags.OPEN_QUANTITY if open_quantity is not None else 0),
            terms=tuple(terms),
        )
        return self._report(command)

    # ---- many orders, and the market itself ----

    def mass_cancel(
        self,
        symbol: str | None = None,
        *,
        side: Side | str | None = None,
        account: str | int | None = None,
        session: int | None = None,
        participant: int | None = 0,
    ) -> Completion:
        """Cancels every order of the participant (None: of everybody) that is all of what is given; waiting ones too.

        >>> with Engine([Instrument("AAPL")]) as market:
        ...     orders = [market.buy("AAPL", 10, at=1, account=account) for account in ("one", "two", "one")]
        ...     market.mass_cancel(account="one").order_ids == (orders[0].order_id, orders[2].order_id)
        True
        """
        flags = CommandFlags.BY_ACCOUNT if account is not None else CommandFlags(0)
        flags |= CommandFlags.BY_SESSION if session is not None else 0
        flags |= CommandFlags.ANY_PARTICIPANT if participant is None else 0
        command = MassCancel(
            timestamp_ns=self.clock_ns,
            instrument=0 if symbol is None else self._number(symbol),
            side=0 if side is None else side_of(side),
            account=0 if account is None else self._account(account),
            target_session=0 if session is None else session,
            participant=0 if participant is None else participant,
            flags=flags,
        )
        return self._complete(command)

    def expire(self, until: Time | None = None, *, end_of_day: bool = False, symbol: str | None = None) -> Completion:
        """Cancels orders whose deadline is at or before `until`, and at the end of the day all "day" orders; of one instrument, or of all.

        `until` is nanoseconds since 1970 or a datetime with a time zone. Deadlines that `clock_ns` has passed need no call: every command
        cancels what is due before anything else.
        """
        command = ExpireOrders(
            timestamp_ns=self.clock_ns,
            cutoff_ns=0 if until is None else time_ns(until, "until"),
            instrument=0 if symbol is None else self._number(symbol),
            flags=CommandFlags.END_OF_DAY if end_of_day else 0,
        )
        return self._complete(command)

    def set_last(self, symbol: str, price: Number) -> Completion:
        """Gives an instrument a last trade price from outside, as a close or another venue's, and triggers what waits for it."""
        number = self._number(symbol)
        units = units_of(price, self._instrument(number).price_decimals, f"price of {symbol}")
        return self._complete(SetLastPrice(timestamp_ns=self.clock_ns, instrument=number, price=units))

    def define(self, instrument: Instrument) -> int:
        """Opens an instrument for trading and returns its number.

        Raises OrderRejectedError where the engine refuses it: a symbol twice, or too many.
        """
        number = self.state.instrument_count + 1
        event = self.submit(define_instrument(instrument, number, timestamp_ns=self.clock_ns))[-1]
        if isinstance(event, Rejected):
            raise OrderRejectedError(Reason(event.reason), where=f"instrument {instrument.symbol}")
        return number

    # ---- what there is ----

    def book(self, symbol: str, depth: int | None = None) -> Book:
        """The best `depth` levels (None: all) of both sides, as the market sees them."""
        number = self._number(symbol)
        instrument = self._instrument(number)

        def side(which: Side) -> tuple[Level, ...]:
            return tuple(
                Level(price=instrument.price(price), quantity=quantity, order_count=count)
                for price, quantity, count in self.levels(number, which, depth)
            )

        return Book(bids=side(Side.BUY), asks=side(Side.SELL))

    def open_orders(self, symbol: str) -> list[OpenOrder]:
        """All orders of an instrument that live: bids and asks as they would trade, then waiting buys and sells as they would trigger."""
        number = self._number(symbol)
        return [order for query in (self.orders, self.waiting) for side in Side for order in query(number, side)]

    # ---- inside ----

    def _learn(self) -> None:
        """Takes over the instruments that were defined since the last time, by `define` or by `apply`."""
        if len(self._instruments) != self.state.instrument_count:
            known = self.instruments.values()
            self._instruments = dict(known)
            self._numbers = {instrument.symbol: number for number, instrument in known}

    def _instrument(self, number: int) -> Instrument:
        if number not in self._instruments:
            self._learn()
        return self._instruments[number]

    def _number(self, symbol: str) -> int:
        if symbol not in self._numbers:
            self._learn()
        number = self._numbers.get(symbol)
        if number is None:
            raise InvalidValueError("symbol", found=symbol, allowed=", ".join(self._numbers) or "none: no instrument is defined")
        return number

    def _account(self, account: str | int) -> int:
        if isinstance(account, str):
            return self._accounts.setdefault(account, len(self._accounts) + 1)
        return account

    def _enter(self, side: Side, symbol: str, quantity: Number, at: Number | None, options: OrderOptions) -> Report:
        number = self._number(symbol)
        client_order_id = options.get("client_order_id")
        return self._report(
            new_order(
                self._instrument(number),
                side,
                quantity,
                at,
                options,
                timestamp_ns=self.clock_ns,
                client_order_id=next(self._client_order_ids) if client_order_id is None else client_order_id,
                account=self._account(options.get("account", 0)),
                participant=options.get("participant", 0),
                instrument=number,
            )
        )

    def _report(self, command: Command) -> Report:
        """Applies a command about one order."""
        events = self.submit(command)
        start = next(index for index, event in enumerate(events) if _is_about_the_command(event))
        first, ours = events[start], events[start:]
        assert isinstance(first, OrderEvent | Rejected), "the first event of an order command is about its order"
        return self._told(first, ours, self._triggered(ours), events)

    def _complete(self, command: Command) -> Completion:
        """Applies a command about many orders, or none."""
        events = self.submit(command)
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
            cancelled=sum(event.quantity for event in cancelled),
            triggered=self._triggered(events[place:]),
            events=tuple(events),
        )

    def _triggered(self, events: Sequence[Event]) -> tuple[Report, ...]:
        return tuple(self._told(event, events[index:], (), events) for index, event in enumerate(events) if isinstance(event, Triggered))

    def _told(
        self, first: OrderEvent | Rejected, events: Sequence[Event], triggered: tuple[Report, ...], everything: Sequence[Event]
    ) -> Report:
        """What these events say of the order that the first is about."""
        order_id = first.order_id
        trades, prevented, cancelled, reason = [], [], 0, Reason(first.reason)
        for event in events:
            if isinstance(event, TradeEvent) and order_id in (event.order_id, event.resting_order_id):
                trades.append(self._trade(event))
            elif isinstance(event, PreventedEvent) and order_id in (event.order_id, event.resting_order_id):
                prevented.append(self._prevented(event))
            elif isinstance(event, Cancelled) and event.order_id == order_id:
                cancelled += event.quantity
                reason = Reason(event.reason)
        live = self.order(order_id)
        return Report(
            order_id=order_id,
            client_order_id=first.client_order_id,
            accepted=not isinstance(first, Rejected),
            reason=reason,
            trades=tuple(trades),
            prevented=tuple(prevented),
            cancelled=cancelled,
            resting=0 if live is None or live.is_waiting else live.leaves_quantity,
            displayed=0 if live is None else live.displayed_quantity,
            waiting=live.leaves_quantity if live is not None and live.is_waiting else 0,
            triggered=triggered,
            events=tuple(everything),
        )

    def _trade(self, event: TradeEvent) -> Trade:
        return Trade(
            price=self._instrument(event.instrument).price(event.price),
            quantity=event.quantity,
            order_id=event.order_id,
            resting_order_id=event.resting_order_id,
            client_order_id=event.client_order_id,
            resting_client_order_id=event.resting_client_order_id,
        )

    def _prevented(self, event: PreventedEvent) -> Prevented:
        return Prevented(
            price=self._instrument(event.instrument).price(event.price),
            quantity=event.quantity,
            order_id=event.order_id,
            resting_order_id=event.resting_order_id,
        )


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


def _order_id(order: Report | int) -> int:
    return order.order_id if isinstance(order, Report) else order
